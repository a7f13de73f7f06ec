"""The score of past forecasts: figures that can be worked by hand."""

from datetime import UTC, datetime, timedelta

import pytest

from scheduling.forecast.skill import Issued, skill

NOW = datetime(2026, 1, 13, 16, 0, tzinfo=UTC)


def test_two_days_by_hand() -> None:
    issued = [
        Issued(NOW, (110.0,) * 24, "ridge"),
        Issued(NOW + timedelta(days=1), (90.0,) * 24, "ridge"),
    ]
    came = {NOW + timedelta(hours=hour): 100.0 for hour in range(48)}
    found = skill(issued, came)
    assert found is not None
    assert (found.hours, found.days) == (48, 2)
    assert found.cv_rmse_ratio == pytest.approx(0.1)
    assert found.day_error_ratio == pytest.approx(0.1)
    assert found.bias_ratio == pytest.approx(0.0)


def test_an_hour_that_was_not_measured_is_left_out_and_its_day_is_no_whole_day() -> None:
    came = {NOW + timedelta(hours=hour): 100.0 for hour in range(48) if hour != 5}
    found = skill([Issued(NOW, (110.0,) * 24, "ridge"), Issued(NOW + timedelta(days=1), (100.0,) * 24, "ridge")], came)
    assert found is not None
    assert (found.hours, found.days) == (47, 1)
    assert found.day_error_ratio == pytest.approx(0.0)


def test_too_little_gives_no_figure() -> None:
    assert skill([], {}) is None
    assert skill([Issued(NOW, (1.0,) * 24, "ridge")], {NOW: 1.0}) is None
