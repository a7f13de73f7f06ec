"""The load of every step of a plan, by the best rule that the history allows, and how far it may be off.

The chain, best first: ridge over weeks of history, with or without weather; yesterday scaled by how much colder it
will be; the mean of like days; the design curve scaled to the last measured hours; the design curve.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from statistics import NormalDist
from types import MappingProxyType
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np

from scheduling.forecast.hourly import (
    DAY_H,
    Floats,
    HourlyHistory,
    HourlyWeather,
    calendar,
    hours_needed,
    to_steps,
)
from scheduling.forecast.ridge import DayAhead, forecast_day
from scheduling.timegrid import TimeGrid

SCALE_BOUNDS_RATIO = (0.4, 2.5)
"""A scaled load stays within these factors of what was measured: beyond them the measurement is the likelier fault."""
RECENT_H = 6
"""Measured hours that the design curve is scaled to."""
BASE_K = 10.0
"""Added to both kelvin sums when yesterday is scaled: losses and hot water do not follow the weather. Measured on a
village heat plant, CV-RMSE with true weather: 26 % with 3 K, 22.8 % with 6 K, 21.4 % with 10 K, 20.9 % with 25 K; a
plain ratio fails on mild days. Not more than 10 K, because an office has less hot water than a village."""
LIKE_DAYS = 6
LIKE_DAYS_MIN = 2
DAYS_AHEAD_MAX = 7
"""Days beyond which the last expected hour is repeated; a plan looks two days ahead, at most seven."""
ERROR_RATIO: Mapping[str, float] = MappingProxyType(
    {"yesterday_scaled": 0.23, "like_days": 0.23, "design_scaled": 0.30, "design": 0.40}
)
"""Expected error as share of the mean load, where no residuals tell it. The first two are measured on a village heat
plant (with an expected temperature that errs by 1.2 K: 22.5 %; 23.2 %); the others are assumptions."""

SHARES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
"""Shares whose quantiles are kept; between them the normal score is drawn straight."""

RidgeMethod = Literal["ridge", "ridge_without_weather"]
RuleMethod = Literal["yesterday_scaled", "like_days", "design_scaled", "design"]


@dataclass(frozen=True, slots=True)
class DesignLoad:
    """The building as designed: load at the design temperature, none beyond the limit, straight between.

    Attributes:
        load_kw: load at the design temperature [kW].
        outdoor_degc: design temperature [degC]; below the limit for heat, above it for cold.
        limit_degc: outdoor temperature [degC] at which the load ends, or begins.
        medium: heat; or cold, whose load grows with the temperature.
    """

    load_kw: float
    outdoor_degc: float
    limit_degc: float
    medium: Literal["heat", "cold"] = "heat"

    def __post_init__(self) -> None:
        if self.cooling != (self.outdoor_degc > self.limit_degc) or self.outdoor_degc == self.limit_degc:
            raise ValueError(
                f"no {self.medium} load lies between design {self.outdoor_degc} and limit {self.limit_degc} degC"
            )

    @property
    def cooling(self) -> bool:
        """Whether the load grows with the temperature."""
        return self.medium == "cold"

    def degrees_k(self, outdoor_degc: Floats) -> Floats:
        """Kelvin that call for heat, or for cold; never negative."""
        sign = 1.0 if self.cooling else -1.0
        return np.asarray(np.maximum(0.0, sign * (outdoor_degc - self.limit_degc)), float)

    def at(self, outdoor_degc: Floats) -> Floats:
        """Load at outdoor temperatures [kW]."""
        return np.asarray(self.load_kw * self.degrees_k(outdoor_degc) / abs(self.limit_degc - self.outdoor_degc), float)


@dataclass(frozen=True, slots=True)
class LoadForecast:
    """Expected load of every step.

    Attributes:
        load_kw: mean of each step [kW].
        method: which rung of the chain it comes from.
        error_ratio: expected error (standard deviation) as share of the mean load.
        measured_h: hours of good history that were used.
        spread_kw: by share, how far the load that is not passed with this probability lies above the expected one [kW].
        hourly_kw: the same, hour by hour from the end of the history on, for the score of tomorrow.
    """

    load_kw: Floats
    method: RidgeMethod | RuleMethod
    error_ratio: float
    measured_h: int
    spread_kw: Mapping[float, Floats] = field(default_factory=dict)
    hourly_kw: Floats = field(default_factory=lambda: np.zeros(0))

    def quantile_kw(self, share: float) -> Floats:
        """Load that is not passed with this probability [kW]: from the residuals where there are some, else normal.

        Raises:
            ValueError: the share does not lie between 0 and 1.
        """
        if not 0.0 < share < 1.0:
            raise ValueError(f"a share lies between 0 and 1, not {share}")
        score = NormalDist().inv_cdf(share)
        if not self.spread_kw:
            return np.maximum(0.0, self.load_kw + score * self.error_ratio * float(self.load_kw.mean()))
        shares = sorted(self.spread_kw)
        scores = [NormalDist().inv_cdf(known) for known in shares]
        table = np.array([self.spread_kw[known] for known in shares])
        spread_kw = np.array([np.interp(score, scores, column) for column in table.T])
        return np.asarray(np.maximum(0.0, self.load_kw + spread_kw), float)


def forecast_load(
    history: HourlyHistory | None, grid: TimeGrid, *, weather: HourlyWeather, design: DesignLoad, zone: ZoneInfo
) -> LoadForecast:
    """Expected load of every step of a grid.

    Args:
        history: what was measured up to now; None at the first start.
        grid: the steps.
        weather: expected temperature from the end of the history (without one: from the grid's first hour) to the end.
        design: the building as designed.
        zone: the site's zone.
    """
    found = _best_known(history, grid, weather=weather, design=design, zone=zone)
    # A meter that shows a little below zero at standstill, and any rule that takes its word, end here.
    return replace(
        found,
        load_kw=np.asarray(np.maximum(0.0, found.load_kw), float),
        hourly_kw=np.asarray(np.maximum(0.0, found.hourly_kw), float),
    )


def _best_known(
    history: HourlyHistory | None, grid: TimeGrid, *, weather: HourlyWeather, design: DesignLoad, zone: ZoneInfo
) -> LoadForecast:
    if history is None or not history.count or not np.isfinite(np.asarray(history.load_kw, float)).any():
        hourly_kw = design.at(weather.outdoor_degc)
        return LoadForecast(
            to_steps(hourly_kw, weather.start_utc, grid), "design", ERROR_RATIO["design"], 0, hourly_kw=hourly_kw
        )
    weather = weather.from_hour(history.end_utc)
    hours = hours_needed(history.end_utc, grid)
    if hours > len(weather.outdoor_degc):
        raise ValueError(f"weather for {len(weather.outdoor_degc)} hours, {hours} are needed")
    degc = weather.outdoor_degc[:hours]
    ridge = _by_ridge(history, grid, weather=weather, design=design, zone=zone)
    if ridge is not None:
        return ridge
    hourly_kw, method, used_h = _by_rule(history, degc, design=design, zone=zone)
    load_kw = to_steps(hourly_kw, history.end_utc, grid)
    return LoadForecast(load_kw, method, ERROR_RATIO[method], used_h, hourly_kw=hourly_kw)


# ------------------------------------------------------------------------------------------------------------ ridge


def _by_ridge(
    history: HourlyHistory, grid: TimeGrid, *, weather: HourlyWeather, design: DesignLoad, zone: ZoneInfo
) -> LoadForecast | None:
    hours = hours_needed(history.end_utc, grid)
    count = min(DAYS_AHEAD_MAX, -(-hours // DAY_H))
    if len(weather.outdoor_degc) < count * DAY_H:
        short = count * DAY_H - len(weather.outdoor_degc)
        degc, error_k = (np.pad(values, (0, short), mode="edge") for values in (weather.outdoor_degc, weather.error_k))
        weather = HourlyWeather(weather.start_utc, degc, error_k, weather.method)
    rungs: tuple[tuple[HourlyWeather | None, RidgeMethod], ...] = ((weather, "ridge"), (None, "ridge_without_weather"))
    for used, method in rungs:
        days = [
            forecast_day(history, used, day=day, zone=zone, limit_degc=design.limit_degc, cooling=design.cooling)
            for day in range(count)
        ]
        known = [day for day in days if day is not None]
        if len(known) == count:
            error_k = weather.error_k if used is not None else np.zeros(count * DAY_H)
            return _joined(known, method, history, grid, error_k=error_k)
    return None


def _joined(
    days: list[DayAhead],
    method: RidgeMethod,
    history: HourlyHistory,
    grid: TimeGrid,
    *,
    error_k: Floats,
) -> LoadForecast:
    hourly_kw = np.concatenate([day.load_kw for day in days])
    own_kw = np.concatenate([_quantiles_by_hour(day.residual_kw) for day in days], axis=1)
    by_weather_kw = np.concatenate([day.weather_kw_per_k for day in days]) * error_k[: len(hourly_kw)]
    spread: dict[float, Floats] = {}
    for share, quantile_kw in zip(SHARES, own_kw, strict=True):
        wide_kw = np.hypot(quantile_kw, NormalDist().inv_cdf(share) * by_weather_kw)
        spread[share] = to_steps(np.copysign(wide_kw, quantile_kw), history.end_utc, grid)
    residual_kw = np.concatenate([day.residual_kw.ravel() for day in days])
    mean_kw = float(hourly_kw.mean())
    error_kw = float(np.sqrt(np.nanmean(residual_kw**2) + (by_weather_kw**2).mean()))
    return LoadForecast(
        load_kw=to_steps(hourly_kw, history.end_utc, grid),
        method=method,
        error_ratio=error_kw / mean_kw if mean_kw > 0.0 else 0.0,
        measured_h=min(day.days for day in days) * DAY_H,
        spread_kw=spread,
        hourly_kw=hourly_kw,
    )


def _quantiles_by_hour(residual_kw: Floats) -> Floats:
    """Quantiles of past errors, shape (shares, 24); the hours beside are counted in, for few days make few values."""
    around = np.stack([np.roll(residual_kw, shift, axis=1) for shift in (-1, 0, 1)])
    around[0, :, -1] = around[2, :, 0] = np.nan
    columns = [hour[np.isfinite(hour)] for hour in around.reshape(-1, DAY_H).T]
    return np.array([np.quantile(column, SHARES) for column in columns]).T


# ------------------------------------------------------------------------------------------------------------ rules


def _by_rule(
    history: HourlyHistory, ahead_degc: Floats, *, design: DesignLoad, zone: ZoneInfo
) -> tuple[Floats, RuleMethod, int]:
    load_kw, then_degc = np.asarray(history.load_kw, float), np.asarray(history.outdoor_degc, float)
    good = np.isfinite(load_kw) & np.isfinite(then_degc)
    if len(load_kw) >= DAY_H and good[-DAY_H:].all():
        day_degc = then_degc[-DAY_H:]
        return _yesterday_scaled(load_kw[-DAY_H:], day_degc, ahead_degc, design), "yesterday_scaled", DAY_H
    like = _like_days(history, len(ahead_degc), zone=zone)
    if like is not None:
        return *like, "like_days", LIKE_DAYS_MIN * DAY_H
    recent = np.flatnonzero(good)[-RECENT_H:]
    base_kw = float(design.at(then_degc[recent]).mean()) if len(recent) else 0.0
    plain_kw = design.at(ahead_degc)
    if base_kw <= 0.0:
        return plain_kw, "design", len(recent)
    ratio = float(np.clip(load_kw[recent].mean() / base_kw, *SCALE_BOUNDS_RATIO))
    return plain_kw * ratio, "design_scaled", len(recent)


def _yesterday_scaled(load_kw: Floats, then_degc: Floats, ahead_degc: Floats, design: DesignLoad) -> Floats:
    """The last measured day, hour by hour, times the ratio of the kelvin sums of each day ahead and of that day."""
    out = np.empty(len(ahead_degc))
    for begin in range(0, len(ahead_degc), DAY_H):
        ahead_k = design.degrees_k(ahead_degc[begin : begin + DAY_H])
        # A day that is only touched is compared with the same hours of yesterday, not with its mean.
        then_k = float(design.degrees_k(then_degc[: len(ahead_k)]).mean())
        ratio = float(np.clip((ahead_k.mean() + BASE_K) / (then_k + BASE_K), *SCALE_BOUNDS_RATIO))
        out[begin : begin + DAY_H] = np.maximum(0.0, load_kw[: len(ahead_k)]) * ratio
    return out


def _like_days(history: HourlyHistory, hours: int, *, zone: ZoneInfo) -> tuple[Floats] | None:
    """Mean of the same hours of the last days of the same kind, working or not; None without two of them."""
    hour_of_day, weekend = calendar(history.start_utc, history.count + hours, zone=zone)
    load_kw = np.asarray(history.load_kw, float)
    out = np.empty(hours)
    for ahead in range(hours):
        at = history.count + ahead
        same = np.flatnonzero(
            (hour_of_day[: history.count] == hour_of_day[at]) & (weekend[: history.count] == weekend[at])
        )
        values = load_kw[same][np.isfinite(load_kw[same])][-LIKE_DAYS:]
        if len(values) < LIKE_DAYS_MIN:
            return None
        out[ahead] = values.mean()
    return (out,)
