"""The building: design load, typical days, answer to the supply temperature, balance."""

from datetime import UTC, datetime

import pytest

from hil_sim.plant.building import Building
from hil_sim.plant.office import SUPPLY_CURVE, interpolate

MONDAY_S = datetime(2026, 1, 11, 16, tzinfo=UTC).timestamp()  # midnight in Beijing


def _hours(outdoor_degc: float, *, supply_degc: float, days: int = 5, seed: int = 1) -> tuple[list[float], Building]:
    """Hourly mean loads of the last two days, and the building."""
    building = Building(seed=seed)
    hours = []
    for hour in range(days * 24):
        heat_kwh = 0.0
        for minute in range(60):
            building.step(
                MONDAY_S + hour * 3600.0 + minute * 60.0, 60.0, outdoor_degc=outdoor_degc, supply_degc=supply_degc
            )
            heat_kwh += building.heat_kw / 60.0
        hours.append(heat_kwh)
    return hours[-48:], building


def test_the_design_load() -> None:
    hours, building = _hours(-12.0, supply_degc=48.0)
    assert 1950.0 < sum(hours) / len(hours) < 2150.0
    assert building.indoor_degc > 20.0


@pytest.mark.parametrize("outdoor_degc", [-4.0, -2.0, 0.0])
def test_a_january_day_is_warm_inside_at_the_wanted_supply(outdoor_degc: float) -> None:
    hours, building = _hours(outdoor_degc, supply_degc=interpolate(SUPPLY_CURVE, outdoor_degc))
    assert 1100.0 < sum(hours) / len(hours) < 1600.0
    assert all(20.0 < zone.room_degc < 22.7 for zone in building.zones)


def test_the_office_peaks_in_the_morning_and_the_hotel_in_the_evening() -> None:
    hours, _ = _hours(-4.0, supply_degc=46.4)
    day = [0.5 * (hours[hour] + hours[hour + 24]) for hour in range(24)]
    assert max(day[5:9]) > 1.15 * sum(day[0:4]) / 4.0
    assert max(day[17:20]) > sum(day[13:16]) / 3.0


def test_less_supply_means_less_heat_at_once_and_over_days() -> None:
    warm, _ = _hours(-8.0, supply_degc=47.0)
    cool, building = _hours(-8.0, supply_degc=38.0)
    assert sum(cool) < 0.9 * sum(warm)
    assert building.indoor_degc < 20.0
    before_kw = building.heat_kw
    building.step(MONDAY_S, 10.0, outdoor_degc=-8.0, supply_degc=43.0)
    assert building.heat_kw > before_kw + 300.0


def test_heat_is_kept() -> None:
    building = Building(seed=2)
    stored_kj = building.stored_kj()
    came_kj = 0.0
    for step in range(3000):
        building.step(MONDAY_S + 10.0 * step, 10.0, outdoor_degc=-5.0, supply_degc=40.0 + step % 9)
        came_kj += 10.0 * (building.heat_kw + building.boundary_kw())
    assert building.stored_kj() - stored_kj == pytest.approx(came_kj, abs=1e-9 * stored_kj)


def test_the_shortfall_is_nothing_at_the_wanted_temperature() -> None:
    _, building = _hours(-8.0, supply_degc=38.0, days=3)
    assert building.shortfall_kw(supply_degc=38.0, wanted_degc=38.0) == 0.0
    assert 200.0 < building.shortfall_kw(supply_degc=38.0, wanted_degc=47.0) < 1500.0
