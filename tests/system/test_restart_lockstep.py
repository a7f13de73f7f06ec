"""The service dies in every phase of a unit's life, in lockstep: no needless start or stop, no rule broken.

The same hours are lived with and without the death; the plant's own book says how often units were started and stopped.
"""

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge_agent.control.memory import Phase

if "lockstep" not in sys.modules:
    _SPEC = importlib.util.spec_from_file_location("lockstep", Path(__file__).with_name("lockstep.py"))
    assert _SPEC is not None
    assert _SPEC.loader is not None
    _MODULE = importlib.util.module_from_spec(_SPEC)  # tests are not a package
    sys.modules["lockstep"] = _MODULE
    _SPEC.loader.exec_module(_MODULE)
lockstep = sys.modules["lockstep"]

pytestmark = [pytest.mark.system]

BEGIN_UTC = datetime(2026, 1, 20, 15, 0, tzinfo=UTC)
"""23:00 in Beijing, the valley begins."""
START_UTC = BEGIN_UTC + timedelta(minutes=60)
STOP_UTC = BEGIN_UTC + timedelta(minutes=135)
STARTED_H, END_H = 1.75, 3.0
"""When the start, and the stop as well, is over [h]."""
UNIT = "hp4"


def night(local: datetime) -> lockstep.Slot:
    """Three units serve the loop; the fourth charges for a little more than its shortest run."""
    instant_utc = local - lockstep.LOCAL
    units = {f"hp{number}": ("direct", 600.0) for number in (1, 2, 3)}
    if START_UTC <= instant_utc < STOP_UTC:
        return lockstep.Slot({**units, UNIT: ("charge", 558.0)}, charge_kw=558.0)
    return lockstep.Slot(units)


def peak(local: datetime) -> lockstep.Slot:
    """The tank feeds the loop beside two units."""
    instant_utc = local - lockstep.LOCAL
    units = {f"hp{number}": ("direct", 600.0) for number in (1, 2)}
    return lockstep.Slot(units, discharge_kw=500.0 if instant_utc >= START_UTC else 0.0)


@dataclass(frozen=True, slots=True)
class Book:
    """What the plant has counted."""

    starts: tuple[int, ...]
    asked: tuple[tuple[str, bool], ...]
    states: tuple[str, ...]


def live(
    slot_at: Callable[[datetime], lockstep.Slot],
    *,
    dies_in: Phase | str | None = None,
    down_s: float = 60.0,
    forgets: bool = False,
    hours: float = END_H,
) -> Book:
    day = lockstep.Lockstep(
        seed=21, start_utc=BEGIN_UTC, plan_for=lambda now_utc, _: lockstep.hand_plan(now_utc, slot_at)
    )
    asked: list[tuple[str, bool]] = []
    before = {f"hp{number}": False for number in range(1, 5)}

    def watch(day: lockstep.Lockstep) -> None:
        for unit in day.plant.units:
            if unit.run_request is not before[unit.name]:
                before[unit.name] = unit.run_request
                asked.append((unit.name, unit.run_request))
        if dies_in is None or day.trace.kills or day.now_utc < START_UTC - timedelta(minutes=10):
            return
        memory = day.controller.memory.units[UNIT]
        feeding = dies_in == "discharging" and day.truth().heat_discharged_kwh > 100.0
        if memory.phase is dies_in or feeding:
            if forgets:
                day.saved = None
            day.kill(down_s=down_s)

    day.run(hours, each_tick=watch)
    assert day.plant.checker.violations == []
    assert day.truth().protection_trips == 0
    assert day.trace.supply_min_degc >= 40.0
    awaited = {expectation.number for expectation in day.controller.memory.expectations}
    assert day.trace.unfinished().keys() <= awaited, "a command in the audit without an end"
    assert day.trace.kills == (0 if dies_in is None else 1), f"never in {dies_in}"
    units = day.truth().units
    # In which order several units are asked is no matter.
    return Book(tuple(unit.starts for unit in units), tuple(sorted(asked)), tuple(unit.state for unit in units))


@pytest.fixture(scope="module")
def started() -> Book:
    book = live(night, hours=STARTED_H)
    assert (UNIT, True) in book.asked
    return book


@pytest.fixture(scope="module")
def stopped() -> Book:
    book = live(night)
    assert book.asked.count((UNIT, False)) == 1
    return book


slow = pytest.mark.slow
# With these pumps the flow is proven in the cycle in which the last pump is: nobody can die between.
STARTS = (
    Phase.PATH,
    pytest.param(Phase.SOURCE_PUMP, marks=slow),
    pytest.param(Phase.USER_PUMP, marks=slow),
    pytest.param(Phase.LEAD, marks=slow),
    Phase.STARTING,
    pytest.param(Phase.RUNNING, marks=slow),
)
STOPS = (Phase.STOPPING, pytest.param(Phase.OVERRUN, marks=slow))


@pytest.mark.parametrize("down_s", [60.0, pytest.param(10.0, marks=slow), pytest.param(280.0, marks=slow)])
@pytest.mark.parametrize("phase", STARTS)
def test_a_death_while_a_unit_starts_costs_no_start_and_no_stop(started: Book, phase: Phase, down_s: float) -> None:
    assert live(night, dies_in=phase, down_s=down_s, hours=STARTED_H) == started


@pytest.mark.parametrize("down_s", [60.0, pytest.param(10.0, marks=slow), pytest.param(280.0, marks=slow)])
@pytest.mark.parametrize("phase", STOPS)
def test_nor_does_one_while_it_stops(stopped: Book, phase: Phase, down_s: float) -> None:
    assert live(night, dies_in=phase, down_s=down_s) == stopped


@pytest.mark.parametrize("phase", [pytest.param(Phase.STARTING, marks=slow), Phase.RUNNING])
def test_who_has_lost_his_memory_adopts_what_he_finds(started: Book, phase: Phase) -> None:
    assert live(night, dies_in=phase, forgets=True, hours=STARTED_H) == started


@slow
def test_nor_does_he_stop_twice_what_stops(stopped: Book) -> None:
    assert live(night, dies_in=Phase.STOPPING, forgets=True).starts == stopped.starts


@slow
def test_a_death_while_the_tank_discharges_costs_nothing() -> None:
    assert live(peak, dies_in="discharging", hours=2.0) == live(peak, hours=2.0)
