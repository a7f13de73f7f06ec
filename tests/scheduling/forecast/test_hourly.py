"""Hours to steps, calendar, gaps: heat is kept, local days are civil days, nothing is invented."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduling.forecast.hourly import HourlyWeather, calendar, filled, hours_needed, to_steps
from scheduling.timegrid import TimeGrid, staged_grid

NOW = datetime(2026, 1, 13, 16, 0, tzinfo=UTC)


@given(
    hourly=st.lists(st.floats(0.0, 5000.0), min_size=49, max_size=60),
    minutes=st.integers(0, 59),
)
def test_a_live_grid_keeps_the_heat_of_the_hours(hourly: list[float], minutes: int) -> None:
    grid = staged_grid(NOW + timedelta(minutes=minutes), horizon_h=48.0)
    steps_kw = to_steps(np.array(hourly), NOW, grid)
    whole = np.concatenate([[0.0], np.cumsum(hourly)])
    inside_kwh = np.interp(48.0 + minutes / 60.0, range(len(whole)), whole) - hourly[0] * minutes / 60.0
    assert float(steps_kw @ grid.hours) == pytest.approx(inside_kwh, abs=1e-6)
    assert steps_kw.min() >= min(hourly) - 1e-6
    assert steps_kw.max() <= max(hourly) + 1e-6


def test_beyond_the_last_hour_the_nearest_holds() -> None:
    grid = TimeGrid(NOW - timedelta(hours=1), 1800.0, 8)
    assert to_steps(np.array([1.0, 3.0]), NOW, grid).tolist() == [1.0, 1.0, 1.0, 1.0, 3.0, 3.0, 3.0, 3.0]


def test_hours_needed_are_whole_and_reach_the_end() -> None:
    assert hours_needed(NOW, TimeGrid(NOW + timedelta(minutes=20), 900.0, 4)) == 2
    assert hours_needed(NOW, TimeGrid(NOW, 3600.0, 24)) == 24


def test_civil_hours_and_weekends_of_the_site_not_of_the_host() -> None:
    friday_evening_utc = datetime(2026, 1, 16, 15, 0, tzinfo=UTC)
    hour_of_day, weekend = calendar(friday_evening_utc, 3, zone=ZoneInfo("Asia/Shanghai"))
    assert hour_of_day.tolist() == [23, 0, 1]
    assert weekend.tolist() == [0.0, 1.0, 1.0]


def test_short_gaps_are_bridged_long_ones_come_from_the_day_before() -> None:
    values = np.arange(72.0)
    values[[10, 11]] = np.nan
    values[40:45] = np.nan
    out = filled(values)
    assert out[[10, 11]].tolist() == pytest.approx([10.0, 11.0])
    assert out[40:45].tolist() == [16.0, 17.0, 18.0, 19.0, 20.0]
    values[:5] = np.nan
    assert np.isnan(filled(values)[:5]).all()


def test_a_service_is_followed_by_our_own_hours() -> None:
    service = HourlyWeather(NOW, np.array([1.0, 2.0]), np.array([0.7, 0.8]), "service")
    own = HourlyWeather(NOW, np.array([5.0, 6.0, 7.0]), np.array([3.0, 3.0, 3.0]), "persistence")
    joined = service.then(own)
    assert joined.outdoor_degc.tolist() == [1.0, 2.0, 7.0]
    assert joined.error_k.tolist() == [0.7, 0.8, 3.0]
    assert joined.method == "service"
    assert joined.from_hour(NOW + timedelta(hours=2)).outdoor_degc.tolist() == [7.0]
    with pytest.raises(ValueError, match="no weather at"):
        joined.from_hour(NOW - timedelta(hours=1))
