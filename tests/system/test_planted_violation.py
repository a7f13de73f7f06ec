"""A violation planted on purpose: with the guard it is refused, without it the plant's own judge counts it."""

import importlib.util
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest

from edge_agent.control import executor
from edge_agent.control.command import Verdict

TESTS = Path(__file__).parents[1]
MORNING_UTC = datetime(2026, 1, 20, 22, 0, tzinfo=UTC)

pytestmark = [pytest.mark.system]


def _module(name: str, path: Path) -> ModuleType:
    """A file of the tests, which are no package."""
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


lockstep = _module("lockstep", TESTS / "system" / "lockstep.py")
rogue_agent = _module("rogue_agent", TESTS / "campaigns" / "rogue_agent.py")


@pytest.fixture
def unpatched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the rogue patches is put back after the test."""
    monkeypatch.setattr(executor.Executor, "carry_out", executor.Executor.carry_out)
    monkeypatch.setattr(executor, "judge", executor.judge)  # type: ignore[attr-defined]


def _an_hour() -> lockstep.Lockstep:
    day = lockstep.Lockstep(seed=1, start_utc=MORNING_UTC)
    day.run(1.0)
    return day


@pytest.mark.usefixtures("unpatched")
def test_the_guard_refuses_the_nonsense_and_nothing_happens() -> None:
    rogue_agent.plant_rogue()
    day = _an_hour()
    refused = {outcome.command.point for outcome in day.trace.refused()}
    assert any(point.startswith("io1.p_source_") for point in refused)
    assert day.plant.checker.violations == []
    assert day.truth().protection_trips == 0


@pytest.mark.usefixtures("unpatched")
def test_without_the_guard_the_plants_judge_counts_it() -> None:
    rogue_agent.plant_rogue()
    rogue_agent.take_guard_away()
    day = _an_hour()
    codes = [violation.code for violation in day.plant.checker.violations]
    assert "pump_stopped_under_compressor" in codes
    assert day.truth().protection_trips >= 1
    assert not any(outcome.verdict is Verdict.REFUSED for outcome in day.trace.outcomes)
