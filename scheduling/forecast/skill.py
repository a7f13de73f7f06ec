"""How good past forecasts were: what was expected a day ahead against what came. It forecasts nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from scheduling.forecast.hourly import DAY_H

HOURS_MIN = 24
"""Hours below which no figure is given."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A forecast as it was issued: 24 hours from an instant on [kW]."""

    start_utc: datetime
    load_kw: tuple[float, ...]
    method: str


@dataclass(frozen=True, slots=True)
class Skill:
    """Errors of forecasts a day ahead.

    Attributes:
        hours: hours that are compared.
        days: whole days among them.
        cv_rmse_ratio: root mean square error by the mean load.
        day_error_ratio: mean of the absolute error of a day's heat by that heat; None without a whole day.
        bias_ratio: mean error by the mean load; positive: too much was expected.
    """

    hours: int
    days: int
    cv_rmse_ratio: float
    day_error_ratio: float | None
    bias_ratio: float


def skill(issued: Sequence[Issued], measured_kw: Mapping[datetime, float]) -> Skill | None:
    """Compares forecasts with hourly means; None while fewer than 24 hours can be compared.

    Args:
        issued: forecasts that do not overlap, such as the one of each midnight.
        measured_kw: mean load by start of the hour, finite.
    """
    expected: list[float] = []
    came: list[float] = []
    day_errors: list[float] = []
    for forecast in issued:
        starts = [forecast.start_utc + timedelta(hours=hour) for hour in range(len(forecast.load_kw))]
        pairs = [
            (kw, measured_kw[start]) for start, kw in zip(starts, forecast.load_kw, strict=True) if start in measured_kw
        ]
        expected += [pair[0] for pair in pairs]
        came += [pair[1] for pair in pairs]
        heat_kwh = sum(pair[1] for pair in pairs)
        if len(pairs) == DAY_H and heat_kwh > 0.0:
            day_errors.append(abs(sum(pair[0] for pair in pairs) - heat_kwh) / heat_kwh)
    if len(came) < HOURS_MIN or sum(came) <= 0.0:
        return None
    error_kw = np.array(expected) - np.array(came)
    mean_kw = float(np.mean(came))
    return Skill(
        hours=len(came),
        days=len(day_errors),
        cv_rmse_ratio=float(np.sqrt(np.mean(error_kw**2))) / mean_kw,
        day_error_ratio=float(np.mean(day_errors)) if day_errors else None,
        bias_ratio=float(error_kw.mean()) / mean_kw,
    )
