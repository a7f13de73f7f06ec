"""Load and outdoor temperature over the horizon, from what was measured, with their own error.

The chain, best first: yesterday scaled by how much colder or warmer it will be, when a full day was measured; the
design curve scaled to the last measured hours; the design curve. Pure: arrays and instants in, arrays out. The
rolling ridge over weeks of history is not here yet, so the chain never says that it was used. Source: degree-hour
scaling (17 - T) as in the project's notes on load forecasts; heating limit of 17 degC.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from scheduling.timegrid import TimeGrid

HEATING_LIMIT_DEGC = 17.0
"""Outdoor temperature above which a building needs no heating."""
DAY_H = 24
WARMEST_HOUR = 15.0
"""Hour of the civil day at which the outdoor temperature is highest."""
FADE_H = 12.0
"""Time constant with which today's deviation from the usual day fades from the temperature forecast."""
SCALE_BOUNDS_RATIO = (0.4, 2.5)
"""A scaled load stays within these factors of what was measured: beyond them the measurement is the likelier fault."""
RECENT_H = 6
"""Measured hours that the design curve is scaled to."""
DEGREES_MIN_K = 1.0
"""Mean (17 - T) of yesterday below which its load says nothing about temperature."""
ERROR_RATIO = {"yesterday_scaled": 0.22, "design_scaled": 0.30, "design": 0.40}
"""Expected error as share of the mean load. The first is measured on a village heat plant (22.1 % CV-RMSE of
"yesterday"); the others are assumptions."""

Method = Literal["yesterday_scaled", "design_scaled", "design"]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class HourlyHistory:
    """Measured hourly means, without gaps in time; an hour without a good value is NaN.

    Attributes:
        start_utc: start of the first hour.
        load_kw: mean load of each hour [kW].
        outdoor_degc: mean outdoor temperature of each hour [degC].
    """

    start_utc: datetime
    load_kw: Sequence[float]
    outdoor_degc: Sequence[float]

    def __post_init__(self) -> None:
        if len(self.load_kw) != len(self.outdoor_degc):
            raise ValueError(f"{len(self.load_kw)} loads but {len(self.outdoor_degc)} temperatures")


@dataclass(frozen=True, slots=True)
class DesignLoad:
    """The building as designed: load at the design temperature, none above the heating limit, straight between.

    Attributes:
        load_kw: load at the design temperature [kW].
        outdoor_degc: design temperature [degC].
    """

    load_kw: float
    outdoor_degc: float

    def at(self, outdoor_degc: Floats) -> Floats:
        """Load at outdoor temperatures [kW]."""
        return self.load_kw * _degrees_k(outdoor_degc) / (HEATING_LIMIT_DEGC - self.outdoor_degc)


@dataclass(frozen=True, slots=True)
class LoadForecast:
    """Expected load of every step.

    Attributes:
        load_kw: mean of each step [kW].
        method: which rung of the chain it comes from.
        error_ratio: expected error (standard deviation) as share of the mean load.
        measured_h: hours of good history that were used.
    """

    load_kw: Floats
    method: Method
    error_ratio: float
    measured_h: int

    def quantile_kw(self, share: float) -> Floats:
        """Load that is not passed with this probability, for a normal error [kW]."""
        return np.maximum(0.0, self.load_kw + _normal_quantile(share) * self.error_ratio * float(self.load_kw.mean()))


def _normal_quantile(share: float) -> float:
    """Quantile of the standard normal distribution.

    Source: Abramowitz, Stegun 1964, 26.2.23, |error| < 4.5e-4.
    """
    if not 0.0 < share < 1.0:
        raise ValueError(f"a share lies between 0 and 1, not {share}")
    tail = min(share, 1.0 - share)
    t = float(np.sqrt(-2.0 * np.log(tail)))
    value = t - (2.515517 + 0.802853 * t + 0.010328 * t**2) / (1.0 + 1.432788 * t + 0.189269 * t**2 + 0.001308 * t**3)
    return value if share > 0.5 else -value  # noqa: PLR2004 - the median


def _degrees_k(outdoor_degc: Floats) -> Floats:
    return np.maximum(0.0, HEATING_LIMIT_DEGC - outdoor_degc)


def forecast_load(
    history: HourlyHistory | None, grid: TimeGrid, *, outdoor_degc: Sequence[float], design: DesignLoad
) -> LoadForecast:
    """Expected load of every step of a grid.

    Args:
        history: what was measured up to now; None at the first start.
        grid: the steps.
        outdoor_degc: expected outdoor temperature of each step [degC].
        design: the building as designed.
    """
    ahead_degc = np.asarray(outdoor_degc, float)
    if ahead_degc.shape != (grid.count,) or not np.isfinite(ahead_degc).all():
        raise ValueError(f"need {grid.count} finite temperatures")
    plain_kw = design.at(ahead_degc)
    if history is None or not len(history.load_kw):
        return LoadForecast(plain_kw, "design", ERROR_RATIO["design"], 0)
    load_kw, then_degc = np.asarray(history.load_kw, float), np.asarray(history.outdoor_degc, float)
    good = np.isfinite(load_kw) & np.isfinite(then_degc)
    if len(load_kw) >= DAY_H and good[-DAY_H:].all():
        return _yesterday_scaled(history, grid, ahead_degc=ahead_degc)
    recent = np.flatnonzero(good)[-RECENT_H:]
    base_kw = float(design.at(then_degc[recent]).mean()) if len(recent) else 0.0
    if base_kw <= 0:
        return LoadForecast(plain_kw, "design", ERROR_RATIO["design"], len(recent))
    ratio = float(np.clip(load_kw[recent].mean() / base_kw, *SCALE_BOUNDS_RATIO))
    return LoadForecast(plain_kw * ratio, "design_scaled", ERROR_RATIO["design_scaled"], len(recent))


def _yesterday_scaled(history: HourlyHistory, grid: TimeGrid, *, ahead_degc: Floats) -> LoadForecast:
    """The last measured day, hour by hour, times the ratio of the (17 - T) sums of the day ahead and of that day."""
    load_kw = np.asarray(history.load_kw, float)[-DAY_H:]
    then_k = float(_degrees_k(np.asarray(history.outdoor_degc, float)[-DAY_H:]).mean())
    day_start_utc = history.start_utc + timedelta(hours=len(history.load_kw) - DAY_H)
    out = np.zeros(grid.count)
    hours = grid.hours
    offset_h = np.array([(start - day_start_utc).total_seconds() / 3600.0 for start in grid.starts_utc()]) + hours / 2
    for day in np.unique(np.floor(offset_h / DAY_H)):
        inside = np.floor(offset_h / DAY_H) == day
        ahead_k = float(np.average(_degrees_k(ahead_degc[inside]), weights=hours[inside]))
        # A day that is only touched is compared with the same hours of yesterday, not with its mean.
        same = (offset_h[inside] % DAY_H).astype(int)
        then_same_k = float(
            np.average(_degrees_k(np.asarray(history.outdoor_degc, float)[-DAY_H:][same]), weights=hours[inside])
        )
        base_k = then_same_k if inside.sum() and hours[inside].sum() < DAY_H - 1e-6 else then_k
        ratio = float(np.clip(ahead_k / base_k, *SCALE_BOUNDS_RATIO)) if base_k >= DEGREES_MIN_K else 1.0
        out[inside] = np.maximum(0.0, load_kw[same]) * ratio
    return LoadForecast(out, "yesterday_scaled", ERROR_RATIO["yesterday_scaled"], DAY_H)


@dataclass(frozen=True, slots=True)
class UsualDay:
    """The usual course of the outdoor temperature over a civil day: a cosine, warmest in the afternoon.

    Attributes:
        mean_degc: mean of the season [degC].
        swing_k: highest minus lowest of a usual day [K].
    """

    mean_degc: float
    swing_k: float

    def at(self, instants_utc: Sequence[datetime], zone: ZoneInfo) -> Floats:
        """Usual temperature at instants [degC]."""
        local = [instant.astimezone(zone) for instant in instants_utc]
        hour = np.array([moment.hour + moment.minute / 60.0 for moment in local])
        return self.mean_degc + 0.5 * self.swing_k * np.cos(2.0 * np.pi * (hour - WARMEST_HOUR) / DAY_H)


@dataclass(frozen=True, slots=True)
class OutdoorForecast:
    """Expected outdoor temperature of every step, and its error [degC, K]."""

    outdoor_degc: Floats
    method: Literal["persistence", "usual"]
    error_k: float


PERSISTENCE_ERROR_K = 3.0
"""Error a day ahead of "tomorrow is like the last day". Assumption, Beijing winter."""
USUAL_ERROR_K = 5.0
"""Error of the season's usual day. Assumption, Beijing winter."""


def forecast_outdoor(
    recent_instants_utc: Sequence[datetime],
    recent_degc: Sequence[float],
    *,
    grid: TimeGrid,
    usual: UsualDay,
    zone: ZoneInfo,
) -> OutdoorForecast:
    """Expected outdoor temperature: the last day's level with the usual daily swing, today's deviation fading out.

    Args:
        recent_instants_utc: when the samples were taken, up to a day back; empty when there is none.
        recent_degc: the samples [degC]; NaN where there was no good value.
        grid: the steps.
        usual: the season's usual day.
        zone: the site's zone.
    """
    middles = [
        start + timedelta(seconds=length_s / 2)
        for start, length_s in zip(grid.starts_utc(), grid.lengths_s, strict=True)
    ]
    usual_degc = usual.at(middles, zone)
    measured = np.asarray(recent_degc, float)
    good = np.flatnonzero(np.isfinite(measured))
    if not len(good):
        return OutdoorForecast(usual_degc, "usual", USUAL_ERROR_K)
    instants = [recent_instants_utc[at] for at in good.tolist()]
    off_k = measured[good] - usual.at(instants, zone)
    level_k = float(off_k.mean())
    age_h = np.array([(instants[-1] - instant).total_seconds() / 3600.0 for instant in instants])
    weight = np.exp(-age_h)
    last_k = float((off_k * weight).sum() / weight.sum())  # the last hour or so
    ahead_h = np.array([max(0.0, (middle - instants[-1]).total_seconds() / 3600.0) for middle in middles])
    fade = np.exp(-ahead_h / FADE_H)
    return OutdoorForecast(usual_degc + level_k + (last_k - level_k) * fade, "persistence", PERSISTENCE_ERROR_K)
