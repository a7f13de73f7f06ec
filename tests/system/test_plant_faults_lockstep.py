"""Plant faults against the real control code in lockstep: the sound rest carries the load, and no rule is broken.

A few of the shipped scenarios, their faults only; `make campaign` plays all of them over real wires.
"""

import importlib.util
import random
import sys
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from hil_sim.plant import faults
from hil_sim.scenario import load

_PATH = Path(__file__).with_name("lockstep.py")
if "lockstep" not in sys.modules:
    _SPEC = importlib.util.spec_from_file_location("lockstep", _PATH)  # tests are not a package
    assert _SPEC is not None
    assert _SPEC.loader is not None
    sys.modules["lockstep"] = importlib.util.module_from_spec(_SPEC)
    _SPEC.loader.exec_module(sys.modules["lockstep"])
lockstep = sys.modules["lockstep"]

BEIJING = ZoneInfo("Asia/Shanghai")
SUPPLY_MIN_DEGC = 40.0

pytestmark = [pytest.mark.system]


def play(name: str) -> lockstep.Lockstep:
    """A scenario's faults of the plant, in lockstep; without a plan, by the rule alone."""
    scenario = load(name)
    day = lockstep.Lockstep(
        seed=scenario.seed, start_utc=datetime.fromtimestamp(scenario.start_s(BEIJING), UTC), plan_for=None
    )
    waiting = [event for event in scenario.events(BEIJING) if event.what == "plant_fault"]
    running: list[tuple[float, faults.PlantFault]] = []

    def tick(day: lockstep.Lockstep) -> None:
        now_s = day.now_utc.timestamp()
        while waiting and waiting[0].at_s <= now_s:
            event = waiting.pop(0)
            fault = faults.begin(day.plant, event.args, dice=random.Random(scenario.seed))  # noqa: S311 - repeatable
            running.append((event.at_s + event.lasts_s, fault))
            if fault.devices_silent:
                day.silent.update(day.devices)
        for over in [item for item in running if item[0] <= now_s]:
            running.remove(over)
            over[1].end()
            day.silent.clear()

    day.run(scenario.days * 24.0, each_tick=tick)
    assert not waiting
    return day


@pytest.mark.parametrize(
    ("name", "alarms", "trips"),
    [
        ("plant-02-flow-lost", {"unit_tripped"}, 1),
        ("plant-13-power-dip", set(), 0),
        ("plant-15-all-units-lost", {"unit_tripped"}, 4),
        ("plant-17-unit-ignores-stop", set(), 0),
        ("plant-18-unit-refuses", set(), 0),
        ("plant-21-unit-local", {"unit_local"}, 0),
    ],
)
def test_the_sound_rest_carries_the_load(name: str, alarms: set[str], trips: int) -> None:
    day = play(name)
    truth = day.truth()
    assert day.plant.checker.violations == []
    assert truth.avoidable_kelvin_hours == 0.0
    assert truth.supply_degc_min >= SUPPLY_MIN_DEGC
    assert truth.protection_trips == trips
    assert alarms <= day.trace.alarms.keys()
    assert max(unit.starts for unit in truth.units) <= 2
