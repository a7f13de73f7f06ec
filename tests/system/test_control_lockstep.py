"""The real control code against the simulated plant, in lockstep on a fake clock: whole winter days.

What must hold, whatever the plan says and however often the controller is killed: the supply temperature never below
the site's limit, no violation in the plant's own book, no protective trip.
"""

import importlib.util
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge_agent.control.command import Because, Verdict
from edge_agent.control.memory import Phase
from edge_agent.control.modes import Mode
from edge_agent.control.orders import Order, OrderKind
from edge_agent.control.step_down import Evidence, StepDowns, weigh

_PATH = Path(__file__).with_name("lockstep.py")
_SPEC = importlib.util.spec_from_file_location("lockstep", _PATH)  # tests are not a package
assert _SPEC is not None
assert _SPEC.loader is not None
lockstep = importlib.util.module_from_spec(_SPEC)
sys.modules["lockstep"] = lockstep
_SPEC.loader.exec_module(lockstep)

Slot = lockstep.Slot
Planner = Callable[[datetime], lockstep.Slot] | None
JANUARY_UTC = datetime(2026, 1, 20, 12, 0, tzinfo=UTC)
MARCH_UTC = datetime(2026, 3, 8, 9, 0, tzinfo=UTC)
SUPPLY_MIN_DEGC = 40.0

pytestmark = [pytest.mark.system]


def direct(*numbers: int, load_kw: float = 600.0) -> dict[str, tuple[str, float]]:
    return {f"hp{number}": ("direct", load_kw) for number in numbers}


def charge(*numbers: int, load_kw: float = 558.0) -> dict[str, tuple[str, float]]:
    return {f"hp{number}": ("charge", load_kw) for number in numbers}


def good_operator(local: datetime) -> Slot:
    """Charges in the valley, lives on the tank in the peaks."""
    if local.hour >= 23 or local.hour < 7:
        return Slot({**direct(1, 3), **charge(2, 4)}, charge_kw=1100.0)
    if 10 <= local.hour < 13 or 17 <= local.hour < 22:
        return Slot({}, discharge_kw=1400.0)
    return Slot(direct(1, 2, 3))


def wild_planner(local: datetime) -> Slot:
    """Throws units about from hour to hour: far too many, far too few, all to the tank."""
    hour = local.hour
    if hour >= 23 or hour < 7:
        return Slot(charge(1, 2, 3, 4), charge_kw=1000.0) if hour % 2 else Slot(direct(1, 2, 3, 4))
    if 10 <= hour < 13:
        return Slot({}, discharge_kw=1400.0)
    if 17 <= hour < 20:
        return Slot(direct(hour % 4 + 1), discharge_kw=900.0)
    return Slot(direct(1, 2, 3, 4) if hour % 2 else direct(2))


def run(
    slot_at: Planner,
    *,
    seed: int,
    start_utc: datetime = JANUARY_UTC,
    hours: float = 24.0,
    each_tick: Callable[[lockstep.Lockstep], None] | None = None,
    **options: object,
) -> lockstep.Lockstep:
    plan_for = None if slot_at is None else (lambda now_utc, _: lockstep.hand_plan(now_utc, slot_at))
    day = lockstep.Lockstep(seed=seed, start_utc=start_utc, plan_for=plan_for, **options)
    day.run(hours, each_tick=each_tick)
    return day


def assert_safe(day: lockstep.Lockstep) -> None:
    assert day.plant.checker.violations == []
    assert day.truth().protection_trips == 0
    assert day.trace.supply_min_degc >= SUPPLY_MIN_DEGC, f"seed and kills: {day.trace.kills}"
    awaited = {expectation.number for expectation in day.controller.memory.expectations}
    assert day.trace.unfinished().keys() <= awaited, "a command in the audit without an end"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("slot_at", "seed", "start_utc"),
    [
        (good_operator, 1, JANUARY_UTC),
        (wild_planner, 11, MARCH_UTC),
        (None, 3, JANUARY_UTC),
    ],
    ids=["good operator", "wild planner in mild weather", "no plan at all"],
)
def test_a_day_with_kills(slot_at: Planner, seed: int, start_utc: datetime) -> None:
    day = run(slot_at, seed=seed, start_utc=start_utc, kills=30.0)
    assert_safe(day)
    assert day.trace.kills >= 10
    assert [outcome.reason for outcome in day.trace.refused() if outcome.reason in ("min_on", "min_off")] == []


def test_a_peak_on_the_tank_and_back() -> None:
    """Flat hour, peak from the tank alone, and back: eight hours from 08:00, with few starts."""
    day = run(good_operator, seed=2, start_utc=datetime(2026, 1, 20, 0, 0, tzinfo=UTC), hours=7.0)
    assert_safe(day)
    truth = day.truth()
    assert truth.heat_discharged_kwh > 2000.0
    assert max(unit.starts for unit in truth.units) <= 2
    errors_k = [
        abs(supply - wanted)
        for supply, wanted in zip(day.trace.supply_degc[::3], day.trace.setpoint_degc, strict=False)
    ]
    assert sum(errors_k) / len(errors_k) < 1.0


def test_a_unit_turns_to_a_tank_whose_way_is_shut_once_and_stays() -> None:
    """Four units on the loop, then one of them charges: its valve is opened once, not again and again."""
    begin = datetime(2026, 1, 20, 5, 0, tzinfo=UTC)  # flat, from 13:00 on
    shut = begin + timedelta(hours=1)

    def plan(local: datetime) -> Slot:
        if local.replace(tzinfo=UTC) - lockstep.LOCAL < shut:
            return Slot(direct(1, 2, 3, 4))
        return Slot({**direct(1, 2, 3), **charge(4)}, charge_kw=558.0)

    day = run(plan, seed=3, start_utc=begin, hours=2.0)
    assert_safe(day)
    assert day.controller.memory.units["hp4"].mode == "charge"
    assert day.truth().heat_charged_kwh > 250.0
    moved = [value for instant, point, value in day.writes if point == "io1.valve_charge" and instant >= shut]
    assert moved == [1.0]


def test_monitor_writes_nothing_and_advise_neither() -> None:
    for mode in (Mode.MONITOR, Mode.ADVISE):
        day = run(good_operator, seed=4, hours=2.0, mode=mode)
        assert day.writes == []
    assert {outcome.verdict for report in day.trace.reports for outcome in report.outcomes} >= {Verdict.ADVISED}


def test_a_restart_adopts_what_runs() -> None:
    """Two units run; the controller dies, forgets nothing, and starts or stops nothing when it comes back."""
    day = run(lambda _: Slot(direct(1, 2, 3)), seed=5, hours=1.0)
    states = [unit.state for unit in day.truth().units]
    starts = [unit.starts for unit in day.truth().units]
    for saved in (day.saved, None):
        day.saved = saved
        day.kill(down_s=60.0)
        begun_utc = day.now_utc
        day.run(0.5)
        assert [unit.state for unit in day.truth().units] == states
        assert [unit.starts for unit in day.truth().units] == starts
        asked = [point for instant, point, _ in day.writes if instant > begun_utc and point.endswith("run_request")]
        assert asked == []
    assert_safe(day)


def test_an_absence_of_an_hour_is_taken_over_from_the_units_own_control() -> None:
    day = run(good_operator, seed=6, hours=2.0)
    day.kill(down_s=3600.0)
    day.run(3.0)
    assert_safe(day)
    phases = {memory.phase for memory in day.controller.memory.units.values()}
    assert phases <= {Phase.OFF, Phase.RUNNING}


def test_silent_devices_are_left_alone_and_come_back() -> None:
    """Devices fall silent for a while, one after the other; readings too old are never acted upon."""
    devices = ["hp1", "hp3", "io1", "hm_user", "tt1"]

    def silence(day: lockstep.Lockstep) -> None:
        index = int((day.now_utc - JANUARY_UTC) / timedelta(minutes=25))
        quiet = int((day.now_utc - JANUARY_UTC) / timedelta(minutes=1)) % 25 < 8
        day.silent = {devices[index % len(devices)]} if quiet else set()

    day = run(good_operator, seed=7, hours=4.0, each_tick=silence)
    assert_safe(day)
    assert "device_silent" in day.trace.alarms


def test_blind_it_holds_and_the_units_take_over() -> None:
    """Every reading is lost for 25 minutes: nothing is commanded, the units' watchdogs run out, then all is adopted."""
    day = run(good_operator, seed=12, hours=1.5)
    day.silent = {*lockstep.CAPACITIES, "io1", *lockstep.METER_POINTS}
    lost_utc = day.now_utc
    day.run(25.0 / 60.0)
    assert [point for instant, point, _ in day.writes if instant > lost_utc + timedelta(minutes=7)] == []
    assert day.trace.reports[-1].holding
    assert any(alarm.code == "reading_stale" for alarm in day.trace.reports[-1].alarms)
    assert all(local.active for local in day.plant.local)
    day.silent = set()
    day.run(1.5)
    assert not day.trace.reports[-1].holding
    assert not any(local.active for local in day.plant.local)
    # Seeds 12 to 16: 41.5 ... 41.8 degC, when the panels have closed the tank and their first unit is starting.
    assert_safe(day)


def test_a_locked_out_unit_needs_a_person() -> None:
    day = lockstep.Lockstep(
        seed=13,
        start_utc=JANUARY_UTC,
        site=lockstep.site_file(start_retries=0),
        plan_for=lambda now_utc, _: lockstep.hand_plan(now_utc, lambda _: Slot(direct(1, 2, 3, 4))),
    )

    def switched_off(day: lockstep.Lockstep) -> None:
        day.plant.source_pumps[3].commanded = False  # at its own switch board

    day.run(1.0, each_tick=switched_off)
    assert day.controller.memory.units["hp4"].locked_out
    assert not day.controller.unit_states(day.now_utc)["hp4"].available
    day.run(1.0)
    assert day.controller.memory.units["hp4"].phase is Phase.OFF
    day.controller.release("hp4")
    day.run(0.5)
    assert day.controller.memory.units["hp4"].phase is Phase.RUNNING
    assert_safe(day)


def test_writes_that_fail_are_repeated() -> None:
    day = lockstep.Lockstep(
        seed=8, start_utc=JANUARY_UTC, plan_for=lambda now_utc, _: lockstep.hand_plan(now_utc, good_operator)
    )
    chance = day.random
    day.write_fault = lambda _point, _value: "no_answer" if chance.random() < 0.3 else ""
    day.run(4.0)
    assert_safe(day)
    assert any(outcome.verdict is Verdict.UNVERIFIED for outcome in day.trace.outcomes)


def test_a_tripped_unit_is_replaced_and_not_reset() -> None:
    day = run(lambda _: Slot(direct(1, 2, 3)), seed=9, hours=1.5)
    day.plant.units[0]._trip(day.plant.instant_s, day.plant.units[0].alarm.__class__(4))
    day.run(2.0)
    truth = day.truth()
    assert truth.units[0].state == "tripped"
    assert "unit_tripped" in day.trace.alarms
    assert truth.supply_degc > day.trace.setpoint_degc[-1] - 1.2, "the others, the tank or another unit carry its load"
    assert day.trace.supply_min_degc >= SUPPLY_MIN_DEGC
    assert day.plant.checker.violations == []
    states = day.controller.unit_states(day.now_utc)
    assert (states["hp1"].on, states["hp1"].available) == (False, False)
    assert states["hp2"].on


def test_a_stuck_tank_valve_stops_the_start_before_any_pump() -> None:
    day = lockstep.Lockstep(
        seed=10,
        start_utc=JANUARY_UTC,
        plan_for=lambda now_utc, _: lockstep.hand_plan(
            now_utc, lambda _: Slot({**direct(1, 2, 3), **charge(4)}, charge_kw=558.0)
        ),
    )

    def stuck(day: lockstep.Lockstep) -> None:
        day.plant.valve_charge.position_ratio = min(day.plant.valve_charge.position_ratio, 0.6)

    day.run(1.5, each_tick=stuck)
    assert_safe(day)
    assert day.controller.memory.units["hp4"].fault == "valve_not_proven"
    pumps = [point for _, point, value in day.writes if point in ("io1.p_source_4", "io1.p_user_4") and value == 1.0]
    assert pumps == []


def test_a_silent_station_releases_the_units_without_a_cold_hour_and_takes_them_back() -> None:
    """No supply temperature, pumps or valves for two hours in a peak on the tank: held, released, and taken back."""
    state = StepDowns()
    modes: list[Mode] = []

    def look(day: lockstep.Lockstep) -> None:
        nonlocal state
        view = day.controller.view
        blind = view is not None and view.loops["heating"].supply_degc is None
        state = weigh(state, Evidence(blind=blind), now_utc=day.now_utc)
        day.mode = state.mode(Mode.AUTO)
        modes.append(day.mode)

    day = run(good_operator, seed=7, start_utc=datetime(2026, 1, 20, 2, 0, tzinfo=UTC), hours=1.0, each_tick=look)
    assert set(modes) == {Mode.AUTO}
    day.silent = {"io1"}
    begun_utc = day.now_utc
    day.run(2.0, each_tick=look)
    released_utc = begun_utc + timedelta(minutes=35)
    assert modes[-1] is Mode.ADVISE
    assert [point for instant, point, _ in day.writes if instant > released_utc] == []
    day.silent = set()
    day.run(2.0, each_tick=look)
    assert modes[-1] is Mode.AUTO
    assert_safe(day)


def test_a_unit_out_of_control_goes_on_with_its_own_panel() -> None:
    """Two units carry the load; one no longer takes commands: nothing is written to it, and nobody gets cold."""
    day = run(lambda _: Slot(direct(1, 2, 3)), seed=8, hours=1.0)
    day.out = frozenset({"hp1"})
    begun_utc = day.now_utc
    day.run(2.0)
    assert [point for instant, point, _ in day.writes if instant > begun_utc and point.startswith("hp1.")] == []
    assert day.truth().units[0].state == "running"
    assert not day.controller.unit_states(day.now_utc)["hp1"].available
    day.out = frozenset()
    day.run(1.0)
    assert day.controller.memory.unit("hp1").phase is Phase.RUNNING
    assert_safe(day)


def test_orders_end_and_the_plan_goes_on() -> None:
    """A stop for two hours: the unit stops after its minimum run, stays off, and comes back to the plan."""
    day = run(lambda _: Slot(direct(1, 2, 3)), seed=9, hours=1.5)
    begun_utc = day.now_utc
    stop = Order(OrderKind.STOP, "hp1", begun_utc + timedelta(hours=2), "op", "inspection", begun_utc, 1)

    def obey(day: lockstep.Lockstep) -> None:
        day.orders = tuple(order for order in (stop,) if order.stands(day.now_utc))

    day.run(1.8, each_tick=obey)
    assert day.controller.memory.unit("hp1").phase is Phase.OFF
    stops = [outcome.command for outcome in day.trace.outcomes if outcome.command.point == "hp1.run_request"]
    assert stops[-1].value == 0.0
    assert stops[-1].because is Because.OPERATOR
    day.run(1.5, each_tick=obey)
    assert day.controller.memory.unit("hp1").phase is Phase.RUNNING
    assert_safe(day)
