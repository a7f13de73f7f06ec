"""Outdoor temperature of the days ahead from the plant's own sensor and the usual course of the year."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from scheduling.forecast.hourly import DAY_H, Floats, HourlyWeather

YEAR_D = 365.25
LEVEL_WEIGHT = 0.8
LEVEL_FADE_H = 60.0
LAST_WEIGHT = 0.3
LAST_FADE_H = 48.0
"""How much of the last day's, and of the last hour's, deviation from the usual year is still there later: fitted on
winters (15 Nov to 15 Mar) of 2013 to 2015, errors 2.6 K six hours ahead, 2.9 K a day, 3.1 K two days, against 3.2 K of
the usual year alone and 3.4 K of "as yesterday". Source: hourly weather of Beijing city, UCI data set 501."""
PLACE_D = 10.0
"""Days of history that count as much as knowing nothing of how the place differs from its climate. Ours."""
ERROR_NEAR_K = 2.5
ERROR_FAR_K = 3.2
ERROR_FADE_H = 30.0
USUAL_ERROR_K = 3.8
"""Error without any reading: the usual year's own, and a place that may differ from it by 2 K. The other three
follow the measured errors above."""


@dataclass(frozen=True, slots=True)
class Climate:
    """The usual outdoor temperature of every hour of a year [degC]: two waves of the year, two of the day.

    Attributes:
        mean_degc: of the year.
        year_k: (cosine, sine) of one and of two periods a year, from 1 January on [K].
        day_k: likewise of the day, from midnight of the place on [K].
    """

    mean_degc: float
    year_k: tuple[tuple[float, float], tuple[float, float]]
    day_k: tuple[tuple[float, float], tuple[float, float]]

    def at(self, instants_utc: Sequence[datetime], zone: ZoneInfo) -> Floats:
        """Usual temperature at instants [degC]."""
        local = [instant.astimezone(zone) for instant in instants_utc]
        hour = np.array([moment.hour + moment.minute / 60.0 for moment in local])
        day = np.array([moment.timetuple().tm_yday for moment in local]) + hour / DAY_H
        out = np.full(len(local), self.mean_degc)
        for number, (year_k, day_k) in enumerate(zip(self.year_k, self.day_k, strict=True), start=1):
            of_year, of_day = 2 * math.pi * number * day / YEAR_D, 2 * math.pi * number * hour / DAY_H
            out += year_k[0] * np.cos(of_year) + year_k[1] * np.sin(of_year)
            out += day_k[0] * np.cos(of_day) + day_k[1] * np.sin(of_day)
        return out


BEIJING = Climate(13.51, ((-14.08, -3.06), (-0.99, 0.23)), ((-3.38, -2.80), (0.82, 0.32)))
"""Fitted to 21 936 hours. Source: hourly weather of Beijing city, 2013-03 to 2015-08, UCI data set 501."""


def forecast_outdoor(
    start_utc: datetime,
    measured_degc: Sequence[float],
    *,
    from_utc: datetime,
    hours: int,
    zone: ZoneInfo,
    climate: Climate = BEIJING,
    now_degc: float | None = None,
) -> HourlyWeather:
    """Expected outdoor temperature: the usual year, moved to this place, and today's deviation fading out.

    Args:
        start_utc: start of the first measured hour.
        measured_degc: hourly means up to the last full hour [degC]; NaN where there is none; may be empty.
        from_utc: start of the first hour wanted: the end of the last measured one.
        hours: how many are wanted.
        zone: the site's zone.
        climate: the usual year.
        now_degc: reading of this moment, if there is one.
    """
    middles = [from_utc + timedelta(hours=hour, minutes=30) for hour in range(hours)]
    usual_degc = climate.at(middles, zone)
    values = np.asarray(measured_degc, float)
    if now_degc is not None and math.isfinite(now_degc):
        values = np.append(values, now_degc)
    good = np.flatnonzero(np.isfinite(values))
    if not len(good):
        return HourlyWeather(from_utc, usual_degc, np.full(hours, USUAL_ERROR_K), "usual")
    instants = [start_utc + timedelta(hours=int(hour), minutes=30) for hour in good]
    off_k = values[good] - climate.at(instants, zone)
    place_k = float(off_k.sum()) / (len(off_k) + PLACE_D * DAY_H)
    off_k = off_k - place_k
    age_h = float(good[-1]) - good
    level_k = float(off_k[age_h < DAY_H].mean())
    last_k = float(off_k[-1])
    silent_h = (from_utc - instants[-1]).total_seconds() / 3600.0
    ahead_h = silent_h + 0.5 + np.arange(hours)
    degc = usual_degc + place_k + LEVEL_WEIGHT * level_k * np.exp(-ahead_h / LEVEL_FADE_H)
    degc = degc + LAST_WEIGHT * (last_k - level_k) * np.exp(-ahead_h / LAST_FADE_H)
    error_k = ERROR_FAR_K - (ERROR_FAR_K - ERROR_NEAR_K) * np.exp(-ahead_h / ERROR_FADE_H)
    return HourlyWeather(from_utc, degc, error_k, "persistence")
