"""A measured village heat plant: what was forecast 24 hours ahead at each midnight of two winters, and what came.

`kind` says what is known of the weather: true, noisy (an AR(1) error of 0.7 K at once, 1.6 K a day ahead) or none.
Prints one JSON object a kind; ends with 1 above the goals. The set is not part of the project: without it the bench
says so and ends. Method of the project's notes on plant physics, section 12.

    python tests/bench/forecast_village.py [FOLDER OF MEASURED DATA]
"""

import csv
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from scheduling.forecast.hourly import HourlyHistory, HourlyWeather
from scheduling.forecast.load import DesignLoad, forecast_load
from scheduling.timegrid import TimeGrid

Floats = npt.NDArray[np.float64]
SET = "loads/bavaria_heatplant_hourly_2020_01_2021_06.csv"
ZONE = ZoneInfo("Europe/Berlin")
FIRST_D = 60
DESIGN = DesignLoad(load_kw=1500.0, outdoor_degc=-14.0, limit_degc=17.0)
NOISE_K = np.linspace(0.7, 1.6, 24)
NOISE_HELD = 0.95
SEEDS = range(5)
GOALS = {"true": (0.15, 0.045), "noisy": (0.155, 0.052), "none": (0.182, 0.079)}
"""CV-RMSE and day-energy error that must be reached. Source: the project's notes on plant physics, section 12."""
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@dataclass(frozen=True)
class Village:
    """Hourly load and outdoor temperature; temperature gaps are bridged only where they stand for the forecast."""

    start_utc: datetime
    load_kw: Floats
    degc: Floats
    bridged_degc: Floats


@dataclass(frozen=True)
class Score:
    """Errors of the forecast and of "as yesterday" over the same days."""

    days: int
    cv_rmse_ratio: float
    day_error_ratio: float
    inside_ratio: float
    yesterday_cv_rmse_ratio: float


def read_village(path: Path) -> Village:
    with path.open() as opened:
        rows = list(csv.DictReader(opened))
    load_kw, degc = (np.array([float(row[key] or "nan") for row in rows]) for key in ("P_kW", "T_out_C"))
    good = np.flatnonzero(np.isfinite(degc))
    return Village(
        datetime.fromisoformat(rows[0]["t"]), load_kw, degc, np.interp(np.arange(len(degc)), good, degc[good])
    )


def midnights(village: Village) -> Iterator[int]:
    """Hours, counted from the start, at which a winter day begins whose 24 loads are all known."""
    for at in range(FIRST_D * 24, len(village.load_kw) - 24):
        local = (village.start_utc + timedelta(hours=at)).astimezone(ZONE)
        winter = (local.month, local.day) >= (10, 15) or (local.month, local.day) < (4, 15)
        if local.hour == 0 and winter and np.isfinite(village.load_kw[at : at + 24]).all():
            yield at


def score(village: Village, *, kind: str, seed: int = 0, last: int = 0) -> Score:
    """Scores all midnights, or only the `last` ones."""
    dice = np.random.default_rng(seed)
    errors, came, inside, naive = [], [], [], []
    for at in list(midnights(village))[-last:]:
        now_utc = village.start_utc + timedelta(hours=at)
        measured_kw = village.load_kw[at : at + 24]
        error_k, noise = np.zeros(24), np.zeros(24)
        if kind == "noisy":
            error_k = NOISE_K
            noise[0] = dice.normal()
            for hour in range(1, 24):
                noise[hour] = NOISE_HELD * noise[hour - 1] + np.sqrt(1.0 - NOISE_HELD**2) * dice.normal()
        weather = HourlyWeather(now_utc, village.bridged_degc[at : at + 24] + error_k * noise, error_k, "measured")
        past_degc = np.full(at, np.nan) if kind == "none" else village.degc[:at]
        found = forecast_load(
            HourlyHistory(village.start_utc, village.load_kw[:at].tolist(), past_degc.tolist()),
            TimeGrid(now_utc, 3600.0, 24),
            weather=weather,
            design=DESIGN,
            zone=ZONE,
        )
        assert found.method == ("ridge_without_weather" if kind == "none" else "ridge")
        errors.append(found.load_kw - measured_kw)
        came.append(measured_kw)
        naive.append(village.load_kw[at - 24 : at] - measured_kw)
        inside.append((measured_kw >= found.quantile_kw(0.1)) & (measured_kw <= found.quantile_kw(0.9)))
    error_kw, came_kw = np.array(errors), np.array(came)
    return Score(
        days=len(errors),
        cv_rmse_ratio=float(np.sqrt((error_kw**2).mean()) / came_kw.mean()),
        day_error_ratio=float((np.abs(error_kw.sum(axis=1)) / came_kw.sum(axis=1)).mean()),
        inside_ratio=float(np.mean(inside)),
        yesterday_cv_rmse_ratio=float(np.sqrt(np.nanmean(np.array(naive) ** 2)) / came_kw.mean()),
    )


def main() -> None:
    """Scores every day of both winters; the noisy weather with several dice."""
    path = Path(sys.argv[1] if len(sys.argv) > 1 else SHARED) / SET
    if not path.is_file():
        sys.stdout.write(f"measured data {SET} is not here\n")
        return
    village = read_village(path)
    missed = False
    for kind, (cv_max, day_max) in GOALS.items():
        scores = [score(village, kind=kind, seed=seed) for seed in (SEEDS if kind == "noisy" else (0,))]
        cv, day, inside = (
            float(np.mean([getattr(one, key) for one in scores]))
            for key in ("cv_rmse_ratio", "day_error_ratio", "inside_ratio")
        )
        missed |= cv > cv_max or day > day_max
        row = {
            "bench": "forecast_village",
            "weather": kind,
            "days": scores[0].days,
            "dice": len(scores),
            "cv_rmse_pct": round(100.0 * cv, 2),
            "cv_rmse_pct_worst": round(100.0 * max(one.cv_rmse_ratio for one in scores), 2),
            "cv_rmse_pct_max": 100.0 * cv_max,
            "day_error_pct": round(100.0 * day, 2),
            "day_error_pct_max": 100.0 * day_max,
            "inside_10_90_pct": round(100.0 * inside, 1),
            "as_yesterday_cv_rmse_pct": round(100.0 * scores[0].yesterday_cv_rmse_ratio, 1),
        }
        sys.stdout.write(json.dumps(row) + "\n")
    sys.exit(int(missed))


if __name__ == "__main__":
    main()
