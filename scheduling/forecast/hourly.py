"""Hours: measured history, expected weather, and how hourly values become steps of a plan. It forecasts nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from scheduling.timegrid import TimeGrid

DAY_H = 24
GAP_H_MAX = 3
"""A gap of the history up to this long is bridged by a straight line, a longer one by the day before. Ours."""
SATURDAY = 5

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

    @property
    def count(self) -> int:
        """Number of hours."""
        return len(self.load_kw)

    @property
    def end_utc(self) -> datetime:
        """End of the last hour: the first instant that nothing is known of."""
        return self.start_utc + timedelta(hours=self.count)


@dataclass(frozen=True, slots=True)
class HourlyWeather:
    """Expected outdoor temperature, hour by hour.

    Attributes:
        start_utc: start of the first hour.
        outdoor_degc: mean of each hour [degC]; finite.
        error_k: expected error of each hour, one standard deviation [K].
        method: where it comes from: a weather service, the sensor's level on the usual day, or the usual day alone.
    """

    start_utc: datetime
    outdoor_degc: Floats
    error_k: Floats
    method: str

    def __post_init__(self) -> None:
        if len(self.outdoor_degc) != len(self.error_k) or not np.isfinite(self.outdoor_degc).all():
            raise ValueError(f"need as many errors as finite temperatures, {len(self.outdoor_degc)}")

    def from_hour(self, start_utc: datetime) -> "HourlyWeather":
        """The same from a later hour on."""
        skip = round((start_utc - self.start_utc).total_seconds() / 3600.0)
        if not 0 <= skip < len(self.outdoor_degc):
            raise ValueError(f"no weather at {start_utc.isoformat()}: it begins {self.start_utc.isoformat()}")
        return HourlyWeather(start_utc, self.outdoor_degc[skip:], self.error_k[skip:], self.method)

    def then(self, later: "HourlyWeather") -> "HourlyWeather":
        """This one as far as it goes, and after it the hours of another that begins at the same instant."""
        known = len(self.outdoor_degc)
        return HourlyWeather(
            self.start_utc,
            np.concatenate([self.outdoor_degc, later.outdoor_degc[known:]]),
            np.concatenate([self.error_k, later.error_k[known:]]),
            self.method,
        )


def hours_needed(start_utc: datetime, grid: TimeGrid) -> int:
    """Whole hours from an instant to the end of a grid."""
    return max(1, int(np.ceil((grid.end_utc - start_utc).total_seconds() / 3600.0 - 1e-9)))


def to_steps(hourly: Floats, start_utc: datetime, grid: TimeGrid) -> Floats:
    """Mean over each step of a grid of values that hold for an hour each; heat is kept exactly.

    Args:
        hourly: values from `start_utc` on; before the first and after the last the nearest holds.
        start_utc: start of the first hour.
        grid: the steps.
    """
    offset_h = (grid.start_utc - start_utc).total_seconds() / 3600.0
    edges_h = np.array(grid.edges_s) / 3600.0 + offset_h
    sums = np.concatenate([[0.0], np.cumsum(hourly)])
    inside = np.interp(edges_h, np.arange(len(sums)), sums)
    inside += np.minimum(edges_h, 0.0) * hourly[0] + np.maximum(edges_h - len(hourly), 0.0) * hourly[-1]
    return np.asarray(np.diff(inside) / grid.hours, float)


def calendar(start_utc: datetime, count: int, *, zone: ZoneInfo) -> tuple[npt.NDArray[np.int64], Floats]:
    """Hour of the civil day and whether it is a weekend (1.0) of successive hours."""
    local = [(start_utc + timedelta(hours=hour)).astimezone(zone) for hour in range(count)]
    hour_of_day = np.array([moment.hour for moment in local], dtype=np.int64)
    return hour_of_day, np.array([float(moment.weekday() >= SATURDAY) for moment in local])


def filled(values: Floats) -> Floats:
    """The same with short gaps bridged, and longer ones taken from the day before; NaN where neither is known."""
    out = np.array(values, float)
    known = np.flatnonzero(np.isfinite(out))
    if not len(known):
        return out
    gap_ends = np.flatnonzero(np.diff(known) > 1)
    for at in gap_ends:
        before, after = int(known[at]), int(known[at + 1])
        if after - before - 1 <= GAP_H_MAX:
            out[before : after + 1] = np.linspace(out[before], out[after], after - before + 1)
    for hour in np.flatnonzero(~np.isfinite(out)):
        if hour >= DAY_H:
            out[hour] = out[hour - DAY_H]
    return out
