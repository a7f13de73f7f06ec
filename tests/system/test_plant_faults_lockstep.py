"""Plant faults against the real control code in lockstep: the sound rest carries the load, and no rule is broken.

A few of the shipped scenarios; `make fault-seeds` plays all that lockstep can, with many seeds, and `make campaign` all
of them over real wires.
"""

import importlib.util
import sys
from datetime import datetime
from pathlib import Path

import pytest

from hil_sim.scenario import load

_PATH = Path(__file__).parents[1] / "campaigns" / "fault_seeds.py"
_SPEC = importlib.util.spec_from_file_location("fault_seeds", _PATH)  # tests are not a package
assert _SPEC is not None
assert _SPEC.loader is not None
fault_seeds = importlib.util.module_from_spec(_SPEC)
sys.modules["fault_seeds"] = fault_seeds
_SPEC.loader.exec_module(fault_seeds)

SUPPLY_MIN_DEGC = 40.0

pytestmark = [pytest.mark.system]


@pytest.mark.parametrize(
    ("name", "trips"),
    [
        ("plant-02-flow-lost", 1),
        ("plant-06-discharge-valve-stuck", 0),
        ("plant-13-power-dip", 0),
        ("plant-15-all-units-lost", 4),
        ("plant-17-unit-ignores-stop", 0),
        ("plant-18-unit-refuses", 0),
        ("plant-21-unit-local", 0),
    ],
)
def test_the_sound_rest_carries_the_load(name: str, trips: int) -> None:
    result = fault_seeds.play(name, 1)
    assert result["faults"] == []
    assert result["avoidable_kelvin_hours"] == 0.0
    assert result["supply_degc_min"] >= SUPPLY_MIN_DEGC
    assert result["protection_trips"] == trips
    assert result["unit_starts_max"] <= 2


def test_four_units_on_a_small_load_are_no_fault() -> None:
    """Their pumps bring twice the house's flow; the rest goes round, and the return header is warmer than the meter."""
    lockstep = fault_seeds.lockstep

    def planned(_local: datetime) -> object:
        return lockstep.Slot(dict.fromkeys(("hp1", "hp2", "hp3", "hp4"), ("direct", 300.0)))

    scenario = load("winter-day").changed(days=0.12, seed=2)
    day = fault_seeds.Day(scenario, plan_for=lambda now_utc, _: lockstep.hand_plan(now_utc, planned))
    mixed_k: list[float] = []

    def watch(_: object) -> None:
        mixed_k.append(day.plant.return_header.degc - day.plant.building.return_degc)

    day.run(scenario.days * 24.0, each_tick=watch)
    assert max(mixed_k) > 2.5, "more than two sensors of the same water may differ"
    assert day.trace.alarms == {}
