"""The plant's judge: each rule, broken on purpose, is reported once; and nothing else is."""

from datetime import UTC, datetime

import pytest

from hil_sim.plant.checker import Checker, SiteLimits
from hil_sim.plant.office import GroundOffice

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
    _go(plant, 60)
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
            electric_kw=500.0,
        )
    assert [violation.instant_s for violation in checker.violations] == [0.0, 30.0]
    assert pytest.approx(52.0) == checker.limits.supply_degc_max
