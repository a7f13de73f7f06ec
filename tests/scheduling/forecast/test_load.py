"""The chain of load forecasts: exact on made-up plants whose answer is known, and never nonsense."""

import math
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling.forecast.hourly import HourlyHistory, HourlyWeather
from scheduling.forecast.load import BASE_K, DesignLoad, forecast_load
from scheduling.timegrid import TimeGrid, staged_grid

Floats = npt.NDArray[np.float64]
NOW = datetime(2026, 1, 13, 16, 0, tzinfo=UTC)
GRID = TimeGrid(NOW, 3600.0, 24)
DESIGN = DesignLoad(load_kw=2600.0, outdoor_degc=-9.0, limit_degc=17.0)
ZONE = ZoneInfo("Asia/Shanghai")


def weather(degc: list[float] | Floats, error_k: float = 0.0) -> HourlyWeather:
    return HourlyWeather(NOW, np.asarray(degc, float), np.full(len(degc), error_k), "test")


def building_kw(outdoor_degc: Floats) -> Floats:
    return 80.0 * np.maximum(0.0, 17.0 - outdoor_degc)


def weeks(days: int, *, seed: int = 3) -> tuple[Floats, Floats]:
    """Load and outdoor temperature of a plant that follows weather and habits, the last day being the next one."""
    dice = np.random.default_rng(seed)
    hour = np.arange((days + 1) * 24)
    slow_k = np.convolve(dice.normal(0.0, 3.0, len(hour) + 71), np.full(72, 1 / 72), "valid") * 6.0
    degc = slow_k + 4.0 * np.sin((hour - 9) / 24 * 2 * np.pi)
    habit_kw = 200.0 * np.sin(hour / 24 * 2 * np.pi) ** 2
    return building_kw(degc) + habit_kw + dice.normal(0.0, 15.0, len(hour)), degc


def test_without_history_the_design_curve_holds() -> None:
    found = forecast_load(None, GRID, weather=weather([-9.0] * 12 + [17.0] * 12), design=DESIGN, zone=ZONE)
    assert found.method == "design"
    assert found.load_kw.tolist() == [2600.0] * 12 + [0.0] * 12


def test_a_building_to_be_cooled_has_its_own_curve() -> None:
    design = DesignLoad(load_kw=1000.0, outdoor_degc=34.0, limit_degc=18.0, medium="cold")
    found = forecast_load(None, GRID, weather=weather([34.0] * 12 + [10.0] * 12), design=design, zone=ZONE)
    assert found.load_kw.tolist() == [1000.0] * 12 + [0.0] * 12


def test_yesterday_is_scaled_by_kelvin_and_its_base() -> None:
    then = 2.0 + 4.0 * np.sin(np.arange(24) / 24 * 2 * np.pi)
    history = HourlyHistory(NOW - timedelta(hours=24), building_kw(then).tolist(), then.tolist())
    found = forecast_load(history, GRID, weather=weather(then - 5.0), design=DESIGN, zone=ZONE)
    assert found.method == "yesterday_scaled"
    then_k = float((17.0 - then).mean())
    assert found.load_kw == pytest.approx(building_kw(then) * (then_k + 5.0 + BASE_K) / (then_k + BASE_K))


def test_a_few_measured_hours_scale_the_design_curve() -> None:
    history = HourlyHistory(NOW - timedelta(hours=3), [1200.0, math.nan, 1200.0], [2.0, 2.0, 2.0])
    found = forecast_load(history, GRID, weather=weather([2.0] * 24), design=DESIGN, zone=ZONE)
    assert found.method == "design_scaled"
    assert found.measured_h == 2
    assert found.load_kw == pytest.approx([1200.0] * 24)


def test_a_gap_yesterday_is_not_filled_with_a_guess() -> None:
    loads = [1200.0] * 24
    loads[5] = math.nan
    history = HourlyHistory(NOW - timedelta(hours=24), loads, [2.0] * 24)
    found = forecast_load(history, GRID, weather=weather([2.0] * 24), design=DESIGN, zone=ZONE)
    assert found.method == "design_scaled"


def test_without_an_outdoor_sensor_like_days_are_meant() -> None:
    hours = np.arange(4 * 24)  # 10 to 13 January: a weekend day, then working days like the next ones
    loads = 1000.0 + 100.0 * (hours % 24)
    history = HourlyHistory(NOW - timedelta(days=4), loads.tolist(), [math.nan] * len(hours))
    found = forecast_load(history, GRID, weather=weather([2.0] * 24), design=DESIGN, zone=ZONE)
    assert found.method == "like_days"
    assert found.load_kw == pytest.approx(1000.0 + 100.0 * np.arange(24))


def test_weeks_of_history_are_learned_from() -> None:
    load_kw, degc = weeks(30)
    history = HourlyHistory(NOW - timedelta(days=30), load_kw[:-24].tolist(), degc[:-24].tolist())
    found = forecast_load(history, GRID, weather=weather(degc[-24:]), design=DESIGN, zone=ZONE)
    assert found.method == "ridge"
    error_kw = found.load_kw - load_kw[-24:]
    assert float(np.sqrt((error_kw**2).mean())) < 0.04 * load_kw[-24:].mean()
    assert found.error_ratio < 0.06


def test_the_same_without_weather_errs_more_and_says_so() -> None:
    load_kw, degc = weeks(30)
    blind = HourlyHistory(NOW - timedelta(days=30), load_kw[:-24].tolist(), [math.nan] * 720)
    found = forecast_load(blind, GRID, weather=weather(degc[-24:]), design=DESIGN, zone=ZONE)
    assert found.method == "ridge_without_weather"
    seen = HourlyHistory(NOW - timedelta(days=30), load_kw[:-24].tolist(), degc[:-24].tolist())
    assert (
        found.error_ratio > forecast_load(seen, GRID, weather=weather(degc[-24:]), design=DESIGN, zone=ZONE).error_ratio
    )


def test_a_doubtful_weather_forecast_widens_the_quantiles() -> None:
    load_kw, degc = weeks(40)
    history = HourlyHistory(NOW - timedelta(days=40), load_kw[:-24].tolist(), degc[:-24].tolist())
    sure, doubtful = (
        forecast_load(history, GRID, weather=weather(degc[-24:], error_k), design=DESIGN, zone=ZONE)
        for error_k in (0.0, 3.0)
    )
    wide_kw = doubtful.quantile_kw(0.9) - doubtful.quantile_kw(0.1)
    narrow_kw = sure.quantile_kw(0.9) - sure.quantile_kw(0.1)
    assert float(wide_kw.mean()) > 2.0 * float(narrow_kw.mean())
    assert doubtful.error_ratio > sure.error_ratio


def test_quantiles_of_the_design_curve_are_normal() -> None:
    found = forecast_load(None, GRID, weather=weather([0.0] * 24), design=DESIGN, zone=ZONE)
    median, high = found.quantile_kw(0.5), found.quantile_kw(0.9)
    assert median == pytest.approx(found.load_kw, rel=1e-9)
    assert (high - median).mean() == pytest.approx(1.28155 * found.error_ratio * found.load_kw.mean(), rel=1e-4)
    with pytest.raises(ValueError, match="between 0 and 1"):
        found.quantile_kw(1.0)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000), days=st.integers(0, 24), spoiled=st.floats(0.0, 0.9), minutes=st.integers(0, 59))
def test_whatever_was_measured_the_forecast_is_finite_and_not_negative(
    seed: int, days: int, spoiled: float, minutes: int
) -> None:
    load_kw, degc = weeks(days, seed=seed)
    dice = np.random.default_rng(seed)
    for values in (load_kw, degc):
        values[dice.random(len(values)) < spoiled] = np.nan
    history = HourlyHistory(NOW - timedelta(days=days), load_kw[:-24].tolist(), degc[:-24].tolist())
    grid = staged_grid(NOW + timedelta(minutes=minutes), horizon_h=48.0)
    found = forecast_load(history, grid, weather=weather([-2.0] * 49, 2.0), design=DESIGN, zone=ZONE)
    assert found.load_kw.shape == (grid.count,)
    low_kw, high_kw = found.quantile_kw(0.1), found.quantile_kw(0.9)
    for values in (found.load_kw, low_kw, high_kw):
        assert np.isfinite(values).all()
        assert (values >= 0.0).all()
    assert (low_kw <= high_kw).all()


def test_a_meter_that_shows_a_little_below_zero_at_standstill_stops_no_plan() -> None:
    loads = [-0.4] * (5 * 24)
    loads[-3] = math.nan  # yesterday is not whole: like days are meant
    history = HourlyHistory(NOW - timedelta(days=5), loads, [12.0] * len(loads))
    found = forecast_load(history, GRID, weather=weather([12.0] * 24), design=DESIGN, zone=ZONE)
    assert found.method == "like_days"
    assert float(found.load_kw.min()) == 0.0
    assert float(found.hourly_kw.min()) == 0.0


def test_the_load_ends_at_the_building_s_own_limit() -> None:
    """A house that needs no heat above 12 degC, at 10 and at 0: 1/12 and half of what it needs at -12."""
    design = DesignLoad(load_kw=2000.0, outdoor_degc=-12.0, limit_degc=12.0)
    found = forecast_load(None, GRID, weather=weather([10.0] * 12 + [0.0] * 12), design=design, zone=ZONE)
    assert found.load_kw == pytest.approx([2000.0 / 12.0] * 12 + [1000.0] * 12)


@pytest.mark.parametrize(("outdoor_degc", "medium"), [(-12.0, "cold"), (34.0, "heat"), (17.0, "heat"), (17.0, "cold")])
def test_a_design_on_the_wrong_side_of_the_limit_is_refused(
    outdoor_degc: float, medium: Literal["heat", "cold"]
) -> None:
    with pytest.raises(ValueError, match="between design"):
        DesignLoad(load_kw=1000.0, outdoor_degc=outdoor_degc, limit_degc=17.0, medium=medium)
