"""The power that a month needs anyway: worst day, evened out by tanks; metered windows; months of a plan."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.month_peak import (
    WORST_DAY_K,
    electric_kw,
    even_kw,
    heat_needed_kw,
    metered_peak_kw,
    months_of,
    worst_days_kw,
    worst_degc,
)
from edge_agent.settings.files import shipped_config
from edge_agent.settings.load import load_configuration
from scheduling.forecast.load import DesignLoad
from scheduling.timegrid import staged_grid

ZONE = ZoneInfo("Asia/Shanghai")
OFFICE = load_configuration(shipped_config() / "plants" / "ground-office")
HEAT = DesignLoad(1000.0, -12.0, limit_degc=17.0)
COLD = DesignLoad(1000.0, 33.0, limit_degc=18.0, medium="cold")
loads = st.lists(st.floats(0.0, 2000.0), min_size=24, max_size=24).map(np.array)


@given(load_kw=loads, store_kwh=st.floats(0.0, 20_000.0), give_kw=st.floats(0.0, 3000.0))
def test_the_even_level_serves_the_day_and_a_lower_one_does_not(
    load_kw: np.ndarray, store_kwh: float, give_kw: float
) -> None:
    level = even_kw(load_kw, store_kwh=store_kwh, give_kw=give_kw)
    given_kw = np.maximum(0.0, load_kw - level)
    assert given_kw.sum() <= store_kwh + 1e-3
    assert given_kw.max() <= give_kw + 1e-6
    assert load_kw.mean() - 1e-6 <= level <= load_kw.max() + 1e-6
    lower = np.maximum(0.0, load_kw - (level - 1.0))
    assert lower.sum() > store_kwh or lower.max() > give_kw or level - 1.0 < load_kw.mean()


def test_without_a_store_the_highest_hour_counts_and_with_a_great_one_the_mean() -> None:
    day = np.array([800.0] * 12 + [400.0] * 12)
    assert even_kw(day, store_kwh=0.0, give_kw=0.0) == 800.0
    assert even_kw(day, store_kwh=1e6, give_kw=1e6) == 600.0
    assert even_kw(day, store_kwh=1e6, give_kw=50.0) == 750.0
    assert even_kw(day, store_kwh=1200.0, give_kw=1e6) == pytest.approx(700.0)


def test_the_worst_day_is_colder_than_usual_and_than_any_ahead_but_not_than_the_design_day() -> None:
    assert worst_degc([2.0, float("nan"), 4.0], [3.0] * 48, design=HEAT) == 3.0 - WORST_DAY_K
    assert worst_degc([3.0], [3.0] * 24 + [-8.0] * 24, design=HEAT) == -8.0, "a cold front that is forecast"
    assert worst_degc([-10.0], [-9.0] * 24, design=HEAT) == -12.0
    assert worst_degc([float("nan")], [1.0] * 24, design=HEAT) == 1.0 - WORST_DAY_K, "a first day"
    assert worst_degc([26.0], [25.0] * 24, design=COLD) == 26.0 + WORST_DAY_K
    assert worst_degc([31.0], [25.0] * 24, design=COLD) == 33.0


def test_a_day_of_the_forecast_becomes_the_worst_one_and_never_less() -> None:
    mild, front = [500.0] * 24, [800.0] * 24
    days = worst_days_kw([*mild, *front, 300.0], [5.0] * 24 + [-5.0] * 25, day_degc=-5.0, design=HEAT)
    assert len(days) == 2
    assert days[0].tolist() == pytest.approx([500.0 * 32.0 / 22.0] * 24)
    assert days[1].tolist() == front
    assert worst_days_kw([0.0] * 24, [5.0] * 24, day_degc=-5.0, design=HEAT)[0].max() == 0.0, "before the season"
    assert len(worst_days_kw([500.0] * 12, [5.0] * 12, day_degc=-5.0, design=HEAT)) == 1, "a short plan"


def test_electricity_of_an_output_is_that_of_the_units_and_ends_where_they_do() -> None:
    site, maps = OFFICE.site, OFFICE.performance
    full_kw = sum(map_.modes["direct"].heat_kw for map_ in maps.values())
    half, whole, more = (
        electric_kw(site, maps, loop="heating", heat_kw=ratio * full_kw, outdoor_degc=0.0) for ratio in (0.4, 0.8, 3.0)
    )
    assert whole == pytest.approx(2.0 * half)
    assert more < 1.5 * whole
    assert 3.0 < 0.8 * full_kw / whole < 5.5, "a COP with pumps of a ground-source plant"


def test_the_tank_of_the_example_evens_its_worst_day_out() -> None:
    day = np.array([1900.0] * 10 + [1100.0] * 14)
    assert heat_needed_kw(OFFICE.site, "heating", [day]) == pytest.approx(day.mean())
    bare = OFFICE.site.model_copy(update={"storages": {}})
    assert heat_needed_kw(bare, "heating", [day]) == 1900.0
    assert heat_needed_kw(bare, "heating", []) == 0.0


START = datetime(2027, 1, 15, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(("window_min", "kw"), [(15, 900.0), (20, 900.0), (30, 600.0), (45, 600.0), (60, 400.0)])
def test_peaks_are_means_of_the_meters_window(window_min: int, kw: float) -> None:
    quarters = [200.0, 200.0, 900.0, 300.0]
    means = {START + timedelta(minutes=15 * n): value for n, value in enumerate(quarters)}
    assert metered_peak_kw(means, window_min) == kw
    del means[START + timedelta(minutes=15)]
    assert metered_peak_kw(means, 60) == 0.0, "half a window is none"
    assert metered_peak_kw({}, window_min) == 0.0


@given(minutes=st.integers(0, 60 * 24 * 366), zone=st.sampled_from(["Asia/Shanghai", "Europe/Berlin", "Asia/Kolkata"]))
def test_months_of_a_plan_are_cut_at_local_midnight_and_leave_nothing_out(minutes: int, zone: str) -> None:
    grid = staged_grid(START + timedelta(minutes=minutes), horizon_h=48)
    months = months_of(grid, ZoneInfo(zone))
    assert [step for month in months for step in range(month.from_step, month.to_step)] == list(range(grid.count))
    starts = grid.starts_utc()
    for month in months:
        days = {starts[step].astimezone(ZoneInfo(zone)).date() for step in range(month.from_step, month.to_step)}
        assert month.first <= min(days) <= max(days) <= month.last
        assert (month.first.day, (month.last + timedelta(days=1)).day) == (1, 1)


def test_a_plan_over_new_year() -> None:
    months = months_of(staged_grid(datetime(2026, 12, 31, 14, 0, tzinfo=UTC), horizon_h=48), ZONE)
    assert [(month.first, month.last) for month in months] == [
        (date(2026, 12, 1), date(2026, 12, 31)),
        (date(2027, 1, 1), date(2027, 1, 31)),
    ]
    assert months[0].to_step == months[1].from_step == 8, "two hours of quarters"
