"""Outdoor temperature: made-up days whose answer is known, and measured winters as the judge of the claimed errors."""

import csv
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from scheduling.forecast.outdoor import BEIJING, USUAL_ERROR_K, forecast_outdoor

NOW = datetime(2026, 1, 13, 16, 0, tzinfo=UTC)
ZONE = ZoneInfo("Asia/Shanghai")


def middles(start_utc: datetime, count: int) -> list[datetime]:
    return [start_utc + timedelta(hours=hour, minutes=30) for hour in range(count)]


def test_no_reading_means_the_usual_year() -> None:
    found = forecast_outdoor(NOW, [], from_utc=NOW, hours=24, zone=ZONE)
    assert found.method == "usual"
    assert found.outdoor_degc == pytest.approx(BEIJING.at(middles(NOW, 24), ZONE))
    assert found.error_k.tolist() == [USUAL_ERROR_K] * 24


def test_a_cold_day_fades_back_to_the_usual_year() -> None:
    start_utc = NOW - timedelta(hours=24)
    usual_degc = BEIJING.at(middles(start_utc, 24), ZONE)
    found = forecast_outdoor(start_utc, (usual_degc - 6.0).tolist(), from_utc=NOW, hours=72, zone=ZONE)
    off_k = found.outdoor_degc - BEIJING.at(middles(NOW, 72), ZONE)
    assert -6.0 < off_k[0] < -4.0
    assert (np.diff(off_k) > 0.0).all()
    assert off_k[-1] < 0.0


def test_a_place_that_is_always_colder_stays_so() -> None:
    start_utc = NOW - timedelta(days=60)
    usual_degc = BEIJING.at(middles(start_utc, 60 * 24), ZONE)
    found = forecast_outdoor(start_utc, (usual_degc - 8.0).tolist(), from_utc=NOW, hours=48, zone=ZONE)
    off_k = found.outdoor_degc - BEIJING.at(middles(NOW, 48), ZONE)
    assert off_k == pytest.approx(np.full(48, -8.0), abs=0.8)


def test_a_silent_sensor_is_trusted_less() -> None:
    usual_degc = BEIJING.at(middles(NOW - timedelta(hours=48), 48), ZONE)
    measured = (usual_degc - 6.0).tolist()
    fresh = forecast_outdoor(NOW - timedelta(hours=48), measured, from_utc=NOW, hours=6, zone=ZONE)
    measured[-24:] = [float("nan")] * 24
    silent = forecast_outdoor(NOW - timedelta(hours=48), measured, from_utc=NOW, hours=6, zone=ZONE)
    assert (silent.error_k > fresh.error_k).all()
    assert (silent.outdoor_degc > fresh.outdoor_degc).all()


def test_the_claimed_errors_hold_on_measured_winters(shared_data: Callable[[str], Path]) -> None:
    path = shared_data("weather/beijing_city_2013_03_2015_08.csv")
    with path.open() as opened:
        rows = list(csv.DictReader(opened))
    degc = [float(row["T_db_C"] or "nan") for row in rows]
    first_utc = datetime.fromisoformat(rows[0]["time_local"]).replace(tzinfo=ZONE).astimezone(UTC)
    errors: list[np.ndarray[tuple[int], np.dtype[np.float64]]] = []
    claimed_k = np.zeros(48)
    for at in range(31 * 24, len(degc) - 48, 31):
        from_utc = first_utc + timedelta(hours=at)
        local = from_utc.astimezone(ZONE)
        if not ((local.month, local.day) >= (11, 15) or (local.month, local.day) < (3, 13)):
            continue
        start_utc = from_utc - timedelta(days=30)
        found = forecast_outdoor(start_utc, degc[at - 720 : at], from_utc=from_utc, hours=48, zone=ZONE)
        errors.append(found.outdoor_degc - np.array(degc[at : at + 48]))
        claimed_k = found.error_k
    rmse_k = np.sqrt(np.nanmean(np.array(errors) ** 2, axis=0))
    assert len(errors) > 150
    for ahead_h in (6, 12, 24, 47):
        around = slice(max(0, ahead_h - 3), ahead_h + 4)
        assert float(rmse_k[around].mean()) < 1.15 * float(claimed_k[around].mean())
    assert float(rmse_k[:24].mean()) < 3.0
