"""The plant's judge: each rule, broken on purpose, is reported once; and nothing else is."""

from datetime import UTC, datetime

import pytest

from hil_sim.plant.checker import Checker, SiteLimits
from hil_sim.plant.office import GroundOffice
from hil_sim.plant.unit import Alarm

MONDAY_S = datetime(2026, 1, 11, 16, tzinfo=UTC).timestamp()


def _plant(limits: SiteLimits | None = None) -> GroundOffice:
    plant = GroundOffice(seed=1, start_s=MONDAY_S, limits=limits)
    assert plant.quantity("hp1", "state") == 2
    assert plant.quantity("hp4", "state") == 0
    return plant


def _go(plant: GroundOffice, seconds: float) -> None:
    plant.advance_to(plant.instant_s + seconds)


def _codes(plant: GroundOffice) -> list[str]:
    return [violation.code for violation in plant.checker.violations]


def _pumps(plant: GroundOffice, unit: int, *, on: int) -> None:
    plant.command("io1", f"p_source_{unit}", on)
    plant.command("io1", f"p_user_{unit}", on)


def test_stopping_a_pump_under_a_running_compressor() -> None:
    plant = _plant()
    plant.command("hp1", "heartbeat", 1)
    plant.command("io1", "p_source_1", 0)
    _go(plant, 60)
    assert _codes(plant) == ["pump_stopped_under_compressor", "no_source_flow"]
    assert plant.quantity("hp1", "alarm_code") == 1
    assert plant.truth().protection_trips == 1
    assert plant.checker.violations[0].instant_s == MONDAY_S
    assert "hp1" in plant.checker.violations[0].text


def test_a_run_request_without_pumps() -> None:
    plant = _plant()
    plant.command("hp4", "run_request", 1)
    plant.command("hp4", "run_request", 1)
    _go(plant, 120)
    assert _codes(plant) == ["request_without_pumps"]
    assert plant.quantity("hp4", "alarm_code") == 1


def test_charging_with_the_valve_closed() -> None:
    plant = _plant()
    plant.command("hp1", "mode_request", 2)
    _go(plant, 60)
    assert _codes(plant) == ["no_user_flow", "charge_valve_closed"]
    assert plant.quantity("hp1", "alarm_code") == 2


def test_stopping_too_early_and_starting_too_early() -> None:
    plant = _plant()
    _pumps(plant, 4, on=1)
    _go(plant, 60)
    plant.command("hp4", "run_request", 1)
    _go(plant, 600)
    assert _codes(plant) == []
    plant.command("hp4", "run_request", 0)
    _go(plant, 120)
    assert _codes(plant) == ["min_on"]
    plant.command("hp4", "run_request", 1)
    assert _codes(plant) == ["min_on", "min_off"]


def test_too_many_starts_of_a_unit() -> None:
    plant = _plant(SiteLimits(min_on_s=0.0, min_off_s=0.0))
    _pumps(plant, 4, on=1)
    _go(plant, 60)
    for start in range(7):
        plant.command("hp4", "run_request", 1)
        _go(plant, 500)
        plant.command("hp4", "run_request", 0)
        for _ in range(1 if start < 2 else 8):  # three starts within an hour, then one in 75 minutes
            _go(plant, 500)
            plant.command("hp4", "heartbeat", 0)
    assert _codes(plant) == ["starts_per_hour", "starts_per_day"]
    assert plant.truth().units[3].starts == 7


def test_supply_tank_and_grid_above_their_limits_are_reported_once_each_time() -> None:
    plant = _plant(SiteLimits(grid_kw_max=100.0))
    _go(plant, 900)
    assert _codes(plant) == ["grid_limit"]
    plant.supply_header.degc = 60.0
    plant.tank.layers_degc[0] = 58.0
    _go(plant, 30)
    assert sorted(_codes(plant)) == ["grid_limit", "supply_too_hot", "tank_too_hot"]


def test_a_cold_source_counts_only_while_a_compressor_runs() -> None:
    plant = _plant(SiteLimits(source_inlet_degc_min=40.0))
    _go(plant, 30)
    assert _codes(plant) == ["source_too_cold"]


def test_local_control_is_never_blamed() -> None:
    limits = SiteLimits(min_on_s=1e6, min_off_s=1e6, starts_per_hour_max=0, starts_per_day_max=0)
    plant = GroundOffice(seed=2, start_s=MONDAY_S, step_s=60.0, limits=limits)
    _go(plant, 2 * 86_400)
    assert sum(unit.starts for unit in plant.truth().units) >= 1
    assert _codes(plant) == []


def test_a_condition_that_ends_and_comes_back_is_reported_again() -> None:
    checker = Checker(SiteLimits())
    for instant_s, supply_degc in ((0.0, 54.0), (10.0, 54.0), (20.0, 50.0), (30.0, 54.0)):
        checker.check_plant(
            instant_s,
            supply_degc=supply_degc,
            tank_top_degc=50.0,
            source_inlet_degc=8.0,
            any_running=True,
        )
    assert [violation.instant_s for violation in checker.violations] == [0.0, 30.0]
    assert pytest.approx(52.0) == checker.limits.supply_degc_max


def test_a_tripped_unit_may_only_have_its_request_withdrawn() -> None:
    plant = _plant()
    plant.units[0].trip(plant.instant_s, Alarm.USER_FLOW)
    plant.command("hp1", "supply_setpoint", 45)  # nobody could have seen the trip yet
    _go(plant, 200)
    plant.command("hp1", "run_request", 0)
    plant.command("hp1", "heartbeat", 7)
    assert _codes(plant) == []
    plant.command("hp1", "mode_request", 1)
    assert _codes(plant) == ["commanded_while_tripped"]


def _open_tank(plant: GroundOffice, seconds: float) -> None:
    plant.command("io1", "valve_charge", 1)
    plant.command("io1", "valve_discharge", 1)
    _go(plant, seconds)


def test_a_tank_open_to_a_hot_loop() -> None:
    plant = _plant(SiteLimits(supply_degc_max=41.0))
    plant.command("hp1", "heartbeat", 1)
    _open_tank(plant, 240)
    assert "discharge_into_hot_loop" not in _codes(plant)  # a look, the travel of the valve: it is not yet late
    _go(plant, 120)
    assert [code for code in _codes(plant) if code != "supply_too_hot"] == ["discharge_into_hot_loop"]


def test_a_cold_tank_that_draws_heat_out_of_the_loop() -> None:
    plant = _plant()
    plant.tank.layers_degc[:] = [30.0] * 10
    plant.command("hp1", "heartbeat", 1)
    _open_tank(plant, 480)
    assert "discharge_of_cold_tank" in _codes(plant)


def test_charging_while_the_tank_is_open() -> None:
    plant = _plant()
    _pumps(plant, 4, on=1)
    plant.command("io1", "valve_charge", 1)
    _go(plant, 120)
    plant.command("hp4", "mode_request", 2)
    plant.command("hp4", "supply_setpoint", 55)
    plant.command("hp4", "run_request", 1)
    plant.command("io1", "valve_discharge", 0.1)
    for _ in range(3):
        plant.command("hp4", "heartbeat", 1)
        _go(plant, 400)
    assert _codes(plant) == []  # it balances the loop, and is charged all the same
    for _ in range(8):
        plant.command("hp4", "heartbeat", 2)
        _open_tank(plant, 400)
    assert _codes(plant) == ["charge_and_discharge"]


def test_a_demand_window_is_judged_by_its_mean_and_by_the_limit_of_the_hour() -> None:
    plant = _plant(SiteLimits(grid_kw_max=900.0, demand_response=((MONDAY_S + 1800.0, MONDAY_S + 3600.0, 60.0),)))
    _go(plant, 1800)
    assert _codes(plant) == []
    _go(plant, 3600)
    assert _codes(plant) == ["grid_limit", "grid_limit"]
    assert plant.checker.limits.grid_kw_at(MONDAY_S + 1800.0) == 60.0
    assert plant.checker.limits.grid_kw_at(MONDAY_S + 3600.0) == 900.0
    assert SiteLimits().grid_kw_at(MONDAY_S) is None


def _cold_house(*, hand: bool | None = None) -> GroundOffice:
    """Nobody asks a unit to run, and the tank is empty."""
    plant = _plant(SiteLimits(min_on_s=0.0))
    plant.tank.layers_degc[:] = [38.0] * 10
    for number in range(1, 5):
        plant.command(f"hp{number}", "run_request", 0)
    if hand is not None:
        for unit, local in zip(plant.units, plant.local, strict=True):
            local.select_local(plant.instant_s, hand=hand)
            plant.impaired.append(unit.name)
    for _ in range(48):
        _go(plant, 300)
        for number in range(1, 5):
            plant.command(f"hp{number}", "heartbeat", 1)
    return plant


def test_a_cold_supply_counts_as_avoidable_while_sound_units_stand() -> None:
    plant = _cold_house()
    assert _codes(plant) == ["avoidable_outage"]
    assert plant.truth().supply_degc < 39.0
    assert 0.0 < plant.truth().avoidable_kelvin_hours <= plant.truth().discomfort_kelvin_hours
    assert plant.truth().supply_degc_min <= plant.truth().supply_degc


def test_a_cold_supply_is_nobodys_fault_while_a_person_keeps_the_units_off() -> None:
    plant = _cold_house(hand=False)
    assert _codes(plant) == []
    assert plant.truth().discomfort_kelvin_hours > 1.0
    assert plant.truth().avoidable_kelvin_hours == 0.0


def _start(plant: GroundOffice, number: int) -> None:
    plant.command(f"hp{number}", "run_request", 1)


def test_starts_too_close_together_and_pumps_that_ran_too_short() -> None:
    plant = GroundOffice(seed=1, start_s=MONDAY_S, warm_up_s=60.0, limits=SiteLimits(min_on_s=0.0))
    for _ in range(8):
        for number in range(1, 5):
            plant.command(f"hp{number}", "run_request", 0)
        _go(plant, 300)
    plant.checker.violations.clear()
    _pumps(plant, 3, on=1)
    _go(plant, 60)
    _start(plant, 3)
    assert _codes(plant) == []
    _pumps(plant, 4, on=1)
    _go(plant, 20)
    _start(plant, 4)
    assert _codes(plant) == ["pump_lead", "start_stagger"]
    _go(plant, 600)
    plant.command("hp4", "run_request", 0)
    _go(plant, 90)
    assert plant.quantity("hp4", "state") == 0
    plant.command("io1", "p_user_4", 0)
    assert _codes(plant) == ["pump_lead", "start_stagger", "overrun_cut"]
    _go(plant, 180)
    plant.command("io1", "p_source_4", 0)
    assert _codes(plant)[3:] == []
