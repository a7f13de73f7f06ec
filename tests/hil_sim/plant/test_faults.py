"""Faults of the plant: each does what it says, is mended, comes again with its seed, and keeps the balance of heat."""

import random
from datetime import UTC, datetime

import pytest

from hil_sim.plant.commands import CommandRefused
from hil_sim.plant.faults import KINDS, PlantFault, PlantFaultWrong, begin
from hil_sim.plant.office import GroundOffice

MONDAY_S = datetime(2026, 1, 11, 16, tzinfo=UTC).timestamp()  # midnight in Beijing, January
EXAMPLES: dict[str, dict[str, object]] = {
    "unit_trip": {"unit": "running", "alarm": "source_flow"},
    "units_lost": {},
    "unit_local": {"unit": "any"},
    "unit_ignores_stop": {"unit": "running"},
    "unit_refuses_command": {"unit": "any", "how": "ignored"},
    "unit_replaces_command": {"unit": "any", "command": "supply_setpoint", "value": 41.0},
    "flow_lost": {"unit": "running", "side": "user"},
    "pump_fails": {"pump": "p_source_1", "how": "no_feedback"},
    "valve_stuck": {"valve": "valve_charge", "at_ratio": 0.6},
    "sensor_frozen": {"device": "io1", "quantity": "supply_temperature"},
    "sensor_drift": {"device": "io1", "quantity": "supply_temperature", "per_hour": 2.0},
    "sensor_swapped": {
        "device": "tt1",
        "quantity": "temperature_1",
        "with_device": "tt5",
        "with_quantity": "temperature_2",
    },
    "tank_inversion": {},
    "power_cut": {},
    "demand_step": {"kw": 300.0},
}


def a_plant() -> GroundOffice:
    plant = GroundOffice(seed=1, start_s=MONDAY_S, warm_up_s=3600.0)
    for number in range(1, 5):
        plant.command(f"hp{number}", "heartbeat", 1)
    return plant


def throw(plant: GroundOffice, kind: str, *, seed: int = 1, **args: object) -> PlantFault:
    return begin(plant, {"kind": kind, **EXAMPLES[kind], **args}, dice=random.Random(seed))  # noqa: S311 - repeatable


def go(plant: GroundOffice, seconds: float) -> None:
    end_s = plant.instant_s + seconds
    while plant.instant_s < end_s:
        plant.advance_to(min(end_s, plant.instant_s + 300.0))
        for number in range(1, 5):
            plant.command(f"hp{number}", "heartbeat", 1)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_fault_keeps_the_balance_and_is_mended(kind: str) -> None:
    plant = a_plant()
    go(plant, 600.0)
    fault = throw(plant, kind)
    assert fault.subject
    go(plant, 1200.0)
    fault.end()
    go(plant, 1200.0)
    assert abs(plant.truth().energy_residual_relative) < 1e-9
    assert plant.impaired == []
    assert (plant.commands.refused, plant.commands.ignored, plant.commands.replaced) == (set(), set(), {})
    assert all(not (pump.blocked or pump.dead or pump.feedback_lost) for pump in plant.source_pumps + plant.user_pumps)
    assert all(unit.powered and not unit.ignores_stop for unit in plant.units)
    assert plant.sensors.read(("io1", "supply_temperature")) == plant.supply_header.degc
    assert [local.selected_s for local in plant.local] == [None] * 4


def test_the_dice_choose_among_those_that_fit_and_choose_again_the_same() -> None:
    plant = a_plant()
    running = {unit.name for unit in plant.units if unit.compressor_on}
    assert 0 < len(running) < 4
    for wish, allowed in (("running", running), ("standing", {"hp1", "hp2", "hp3", "hp4"} - running)):
        subjects = [throw(a_plant(), "unit_local", unit=wish, seed=seed).subject for seed in range(6)]
        assert set(subjects) <= allowed
        assert subjects == [throw(a_plant(), "unit_local", unit=wish, seed=seed).subject for seed in range(6)]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"kind": "earthquake"}, "is none of"),
        ({"kind": "unit_trip", "unit": "hp9"}, "hp9"),
        ({"kind": "unit_trip", "alarm": "sad"}, "sad"),
        ({"kind": "unit_local", "hand": "on"}, "neither true nor false"),
        ({"kind": "unit_refuses_command", "commands": ["fly"]}, "fly"),
        ({"kind": "unit_replaces_command", "command": "supply_setpoint"}, "not a number"),
        ({"kind": "pump_fails", "pump": "p_roof_1"}, "p_roof_1"),
        ({"kind": "flow_lost", "side": "roof"}, "roof"),
        ({"kind": "valve_stuck", "at_ratio": 2.0}, "between 0 and 1"),
        ({"kind": "sensor_frozen", "device": "io1", "quantity": "colour"}, "no io1.colour"),
        ({"kind": "demand_step"}, "not a number"),
    ],
)
def test_a_fault_that_does_not_fit_the_plant_is_refused(args: dict[str, object], words: str) -> None:
    with pytest.raises(PlantFaultWrong, match=words):
        begin(a_plant(), args, dice=random.Random(1))  # noqa: S311 - repeatable


def test_a_lost_flow_trips_the_unit_and_a_person_resets_it() -> None:
    plant = a_plant()
    fault = throw(plant, "flow_lost", unit="hp1", side="user")
    go(plant, 60.0)
    assert plant.quantity("hp1", "state") == 4
    assert plant.quantity("hp1", "alarm_code") == 2
    assert plant.quantity("io1", "p_user_1_running") == 1.0
    assert plant.quantity("hp1", "user_flow") == 0.0
    assert plant.truth().protection_trips == 1
    assert plant.checker.violations == []  # nobody commanded it
    fault.end()
    go(plant, 10.0)
    assert plant.quantity("hp1", "state") == 0


def test_a_motor_that_stands_and_a_contact_that_lies() -> None:
    plant = a_plant()
    plant.command("io1", "p_source_4", 1)
    throw(plant, "pump_fails", pump="p_source_4", how="no_feedback")
    throw(plant, "pump_fails", pump="p_source_1", how="no_contact")
    go(plant, 60.0)
    assert plant.quantity("io1", "p_source_4_running") == 0.0
    assert plant.source_pumps[3].electric_kw == 0.0
    assert plant.quantity("io1", "p_source_1_running") == 0.0
    assert plant.quantity("hp1", "source_flow") == 1.0
    assert plant.truth().protection_trips == 0


def test_a_valve_jams_where_it_was_told_to() -> None:
    plant = a_plant()
    fault = throw(plant, "valve_stuck", valve="valve_charge", at_ratio=0.6)
    plant.command("io1", "valve_charge", 1)
    go(plant, 300.0)
    assert plant.quantity("io1", "valve_charge_position") == 0.6
    plant.command("io1", "valve_charge", 0)
    go(plant, 300.0)
    assert plant.quantity("io1", "valve_charge_position") == 0.6
    fault.end()
    go(plant, 300.0)
    assert plant.quantity("io1", "valve_charge_position") == 0.0


def test_a_person_at_the_panel_rules_and_remote_writes_are_refused_and_counted_late() -> None:
    plant = a_plant()
    fault = throw(plant, "unit_local", unit="hp1", hand=False)
    with pytest.raises(CommandRefused):
        plant.command("hp1", "run_request", 1)  # nobody could know yet
    assert plant.checker.violations == []
    go(plant, 200.0)
    assert plant.quantity("hp1", "remote") == 0.0
    assert plant.quantity("hp1", "state") == 0.0
    with pytest.raises(CommandRefused):
        plant.command("hp1", "run_request", 1)
    assert [violation.code for violation in plant.checker.violations] == ["commanded_in_local"]
    fault.end()
    assert plant.quantity("hp1", "remote") == 1.0


def test_a_unit_that_ignores_its_stop_runs_on_until_it_is_mended() -> None:
    plant = a_plant()
    go(plant, 3600.0)
    fault = throw(plant, "unit_ignores_stop", unit="hp1")
    plant.command("hp1", "run_request", 0)
    go(plant, 600.0)
    assert plant.quantity("hp1", "state") == 2
    fault.end()
    go(plant, 120.0)
    assert plant.quantity("hp1", "state") == 0


def test_commands_refused_forgotten_and_replaced() -> None:
    plant = a_plant()
    before = plant.quantity("hp1", "supply_setpoint")
    refused = throw(plant, "unit_refuses_command", unit="hp1", how="exception")
    with pytest.raises(CommandRefused):
        plant.command("hp1", "supply_setpoint", 50.0)
    refused.end()
    forgotten = throw(plant, "unit_refuses_command", unit="hp1", how="ignored", commands=["supply_setpoint"])
    plant.command("hp1", "supply_setpoint", 50.0)
    assert plant.quantity("hp1", "supply_setpoint") == before
    forgotten.end()
    throw(plant, "unit_replaces_command", unit="hp1", command="supply_setpoint", value=41.0)
    plant.command("hp1", "supply_setpoint", 50.0)
    assert plant.quantity("hp1", "supply_setpoint") == 41.0


def test_sensors_freeze_drift_and_hang_on_each_others_cables() -> None:
    plant = a_plant()
    frozen_degc = plant.quantity("ws1", "temperature")
    throw(plant, "sensor_frozen", device="ws1", quantity="temperature")
    throw(plant, "sensor_drift", per_hour=3.0)
    throw(plant, "sensor_swapped")
    go(plant, 3600.0)
    assert plant.quantity("ws1", "temperature") == frozen_degc != plant.outdoor_degc
    assert plant.quantity("io1", "supply_temperature") == pytest.approx(plant.supply_header.degc + 3.0)
    assert plant.quantity("tt1", "temperature_1") == plant.tank.bottom_degc
    assert plant.quantity("tt5", "temperature_2") == plant.tank.top_degc


def test_a_tank_turned_over_keeps_its_heat_and_loses_its_hot_water() -> None:
    plant = a_plant()
    stored_kj, top_degc = plant.tank.stored_kj(), plant.tank.top_degc
    throw(plant, "tank_inversion")
    assert plant.tank.stored_kj() == pytest.approx(stored_kj, rel=1e-12)
    go(plant, 60.0)
    assert plant.tank.top_degc < top_degc - 3.0


def test_a_power_cut_stops_everything_and_afterwards_the_panels_take_over() -> None:
    plant = a_plant()
    go(plant, 600.0)
    fault = throw(plant, "power_cut")
    assert fault.devices_silent
    plant.advance_to(plant.instant_s + 1800.0)
    truth = plant.truth()
    assert truth.electricity_kw == 0.0
    assert truth.load_kw == 0.0
    assert {unit.state for unit in truth.units} == {"off"}
    assert plant.quantity("hp1", "run_request") == 0.0
    fault.end()
    plant.advance_to(plant.instant_s + 540.0)
    assert {unit.state for unit in plant.truth().units} == {"off"}
    plant.advance_to(plant.instant_s + 3600.0)
    assert "running" in {unit.state for unit in plant.truth().units}


def test_more_demand_is_drawn_from_the_loop() -> None:
    plain, loaded = a_plant(), a_plant()
    throw(loaded, "demand_step", kw=400.0)
    for plant in (plain, loaded):
        go(plant, 300.0)
    assert loaded.truth().load_kw == pytest.approx(plain.truth().load_kw + 400.0, abs=40.0)
