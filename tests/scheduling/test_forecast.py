"""Load and outdoor forecasts: exact on made-up days whose answer is known."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from scheduling.forecast import DesignLoad, HourlyHistory, UsualDay, forecast_load, forecast_outdoor
from scheduling.timegrid import TimeGrid

NOW = datetime(2026, 1, 13, 16, 0, tzinfo=UTC)
GRID = TimeGrid(NOW, 3600.0, 24)
DESIGN = DesignLoad(load_kw=2600.0, outdoor_degc=-9.0)
ZONE = ZoneInfo("Asia/Shanghai")


def building_kw(outdoor_degc: np.ndarray) -> np.ndarray:
    return 80.0 * np.maximum(0.0, 17.0 - outdoor_degc)


def test_without_history_the_design_curve_holds() -> None:
    found = forecast_load(None, GRID, outdoor_degc=[-9.0] * 12 + [17.0] * 12, design=DESIGN)
    assert found.method == "design"
    assert found.load_kw.tolist() == [2600.0] * 12 + [0.0] * 12


def test_yesterday_is_scaled_by_degree_hours() -> None:
    then = 2.0 + 4.0 * np.sin(np.arange(24) / 24 * 2 * np.pi)
    history = HourlyHistory(NOW - timedelta(hours=24), building_kw(then).tolist(), then.tolist())
    found = forecast_load(history, GRID, outdoor_degc=(then - 5.0).tolist(), design=DESIGN)
    assert found.method == "yesterday_scaled"
    assert found.load_kw.sum() == pytest.approx(building_kw(then - 5.0).sum(), rel=1e-9)


def test_a_few_measured_hours_scale_the_design_curve() -> None:
    history = HourlyHistory(NOW - timedelta(hours=3), [1200.0, float("nan"), 1200.0], [2.0, 2.0, 2.0])
    found = forecast_load(history, GRID, outdoor_degc=[2.0] * 24, design=DESIGN)
    assert found.method == "design_scaled"
    assert found.measured_h == 2
    assert found.load_kw == pytest.approx([1200.0] * 24)


def test_a_gap_yesterday_is_not_filled_with_a_guess() -> None:
    loads = [1200.0] * 24
    loads[5] = float("nan")
    found = forecast_load(
        HourlyHistory(NOW - timedelta(hours=24), loads, [2.0] * 24), GRID, outdoor_degc=[2.0] * 24, design=DESIGN
    )
    assert found.method == "design_scaled"


def test_quantiles_widen_with_the_stated_error() -> None:
    found = forecast_load(None, GRID, outdoor_degc=[0.0] * 24, design=DESIGN)
    median, high = found.quantile_kw(0.5), found.quantile_kw(0.9)
    assert median == pytest.approx(found.load_kw, rel=1e-3)
    assert (high - median).mean() == pytest.approx(1.2816 * found.error_ratio * found.load_kw.mean(), rel=1e-2)


def test_outdoor_keeps_the_level_and_the_swing_of_a_steady_day() -> None:
    usual = UsualDay(mean_degc=0.0, swing_k=8.0)
    instants = [NOW - timedelta(minutes=30 * n) for n in range(48, 0, -1)]
    measured = usual.at(instants, ZONE) - 6.0
    found = forecast_outdoor(instants, measured.tolist(), grid=GRID, usual=usual, zone=ZONE)
    middles = [start + timedelta(minutes=30) for start in GRID.starts_utc()]
    assert found.outdoor_degc == pytest.approx(usual.at(middles, ZONE) - 6.0)
    local_hour = middles[int(np.argmax(found.outdoor_degc))].astimezone(ZONE).hour
    assert local_hour in {14, 15}


def test_no_sample_means_the_usual_day() -> None:
    found = forecast_outdoor([NOW], [float("nan")], grid=GRID, usual=UsualDay(mean_degc=0.0, swing_k=8.0), zone=ZONE)
    assert found.method == "usual"
    assert found.outdoor_degc.mean() == pytest.approx(0.0, abs=1e-9)
