"""One unit of each kind in one plant, control code and physics in lockstep: every step of a start and a stop in time.

The plant is `actuation-bench` by its own written configuration, with its minimum times shortened; the plant's judge is
told the same. The same run at 1x over real wires is `make sequences`.
"""
# ruff: noqa: ANN401 - lockstep is loaded by its path, no type checker sees into it

import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from edge_agent.control.memory import Phase
from edge_agent.settings.files import shipped_config
from edge_agent.settings.load import Configuration, load_configuration
from edge_agent.settings.model import SiteFile
from hil_sim.plant.office import ONE_OF_EACH
from hil_sim.sequence_times import Marks, Row, allowed_by, judge, wiring_of

pytestmark = [pytest.mark.system]

START_UTC = datetime(2026, 1, 20, 4, 0, tzinfo=UTC)
SHORT = {"min_on_s": 1200.0, "min_off_s": 600.0, "stage_up_s": 120.0, "stage_down_s": 60.0}


def _lockstep() -> ModuleType:
    """Tests are not a package; whoever loads it first leaves it for the others."""
    if "lockstep" not in sys.modules:
        spec = importlib.util.spec_from_file_location("lockstep", Path(__file__).with_name("lockstep.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules["lockstep"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["lockstep"])
    return sys.modules["lockstep"]


lockstep = _lockstep()


@pytest.fixture(scope="module")
def configuration() -> Configuration:
    return load_configuration(shipped_config() / "plants" / "actuation-bench")


def site_of(configuration: Configuration) -> SiteFile:
    site = configuration.site
    units = {
        name: unit.model_copy(update={key: value for key, value in SHORT.items() if hasattr(unit, key)})
        for name, unit in site.units.items()
    }
    return site.model_copy(update={"units": units})


def bench_day(configuration: Configuration, slots: Mapping[float, object], *, seed: int = 5) -> Any:
    """A day with a plan that changes after so many hours."""

    def plan_for(now_utc: datetime, _: object) -> object:
        def slot_at(local: datetime) -> object:
            hours = (local - lockstep.LOCAL - START_UTC).total_seconds() / 3600.0
            return next(slot for until, slot in slots.items() if hours < until)

        return lockstep.hand_plan(now_utc, slot_at)

    day = lockstep.Lockstep(
        seed=seed,
        start_utc=START_UTC,
        site=site_of(configuration),
        kinds=ONE_OF_EACH,
        performance=configuration.performance,
        plan_for=plan_for,
        bands=False,
    )
    limits = replace(day.plant.checker.limits, min_on_s=SHORT["min_on_s"], min_off_s=SHORT["min_off_s"])
    day.plant.checker.limits = limits
    return day


TWO_CHARGE = lockstep.Slot(
    {"hp1": ("direct", 600.0), "hp2": ("charge", 558.0), "hp3": ("direct", 600.0), "hp4": ("charge", 558.0)},
    charge_kw=1100.0,
)
ALL = lockstep.Slot({f"hp{number}": ("direct", 600.0) for number in range(1, 5)})
TANK = lockstep.Slot({}, discharge_kw=1400.0)


def missed(rows: list[Row]) -> list[Row]:
    return [row for row in rows if not row.good]


@pytest.fixture(scope="module")
def played(configuration: Configuration) -> Any:
    """All four are stopped, started, two of them to charge, and stopped again."""
    day = bench_day(configuration, {0.75: TANK, 1.9: TWO_CHARGE, 99.0: TANK})
    day.run(2.9)
    return day


def test_one_start_and_one_stop_of_each_kind_is_in_time(played: Any, configuration: Configuration) -> None:
    site = site_of(configuration)
    rows = judge(played.marks, wiring_of(site), allowed_by(site))
    assert missed(rows) == []
    steps = {row.step for row in rows}
    assert steps >= {"valve open", "lead before request", "status running", "power rises", "stage 2 shows", "overrun"}
    assert {row.unit for row in rows if row.step == "user pump off"} == {"hp1", "hp2", "hp3", "hp4"}
    assert played.plant.checker.violations == []


def test_the_judge_sees_a_step_that_is_too_soon_or_too_late(played: Any, configuration: Configuration) -> None:
    """Against other limits the same run is wrong: a judge that says yes to everything proves nothing."""
    site = site_of(configuration)
    control = site.control.model_copy(update={"pump_lead_s": 3600.0, "unit_stop_s": 1.0, "pump_proof_s": 1.0})
    strict = site.model_copy(update={"control": control})
    rows = judge(played.marks, wiring_of(strict), allowed_by(strict))
    assert {row.step for row in missed(rows)} >= {"lead before request", "stopped", "source pump runs"}
    assert {row.step for row in missed(judge(Marks(), wiring_of(site), allowed_by(site)))} == {"request"}


def test_what_each_unit_gives_is_learned(played: Any) -> None:
    achieved = played.controller.memory.achieved
    contacts = achieved["hp4"]
    assert contacts["charge/2"] == pytest.approx(1.0, abs=0.15)
    assert "hp2" not in achieved, "a limit says nothing of a unit that regulates itself"


def test_a_broken_stage_is_an_alarm_and_the_plan_counts_without_it(configuration: Configuration) -> None:
    day = bench_day(configuration, {99.0: TWO_CHARGE})
    day.plant.units[3].stages_working = 1
    day.run(1.75)
    assert "stage_not_proven" in day.trace.alarms
    state = day.controller.unit_states(day.now_utc)["hp4"]
    assert state.achieved["charge/2"] == pytest.approx(0.55, abs=0.12)
    assert day.plant.checker.violations == []


def test_the_service_may_die_and_the_stages_stand(configuration: Configuration) -> None:
    """Killed while all stages run: no stage goes, no unit stops, waits go on."""
    day = bench_day(configuration, {99.0: ALL})
    day.run(1.0)
    running = [name for name, unit in day.controller.memory.units.items() if unit.phase is Phase.RUNNING]
    stages = {name: day.controller.memory.units[name].stage for name in running}
    written = len(day.writes)
    day.controller = day._boot()
    day.run(0.05)
    assert {name: day.controller.memory.units[name].stage for name in running} == stages
    new = [point for _, point, _ in day.writes[written:]]
    assert not [point for point in new if "run" in point or "stage" in point]
    assert day.plant.checker.violations == []
