"""What the plant's own records say of a tariff's facts: how hot days were, what the meter has counted.

The rule's weather station may read otherwise: what it published stands in tariff.yaml and goes before these.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from scheduling.tariff.facts import Facts
from scheduling.tariff.model import Tariff

QUARTER_H = 0.25
"""Length of the stored means [h]."""
DAY_QUARTERS_MIN = 80
"""A day's maximum is known when so many of its 96 quarter hours are."""
COUNT_RATIO_MIN = 0.98
"""A ladder's count is known when so much of its time is recorded."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """From when on records are needed; None: none are.

    Attributes:
        outdoor_from_utc: for the maxima of days.
        electric_from_utc: for the ladder: start of its year or month.
    """

    outdoor_from_utc: datetime | None
    electric_from_utc: datetime | None


def wanted(tariff: Tariff, start_utc: datetime, *, zone: ZoneInfo) -> Wanted:
    """What a tariff needs to know for prices from an instant on."""
    runs = [
        kind.days_running
        for calendar in tariff.calendars
        for kind in calendar.days
        if kind.day_max_degc_min is not None
    ]
    local = start_utc.astimezone(zone)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    began = midnight.replace(day=1, month=local.month if tariff.tiers_period == "month" else 1)
    return Wanted(
        (midnight - timedelta(days=max(runs))).astimezone(UTC) if runs else None,
        began.astimezone(UTC) if tariff.tiers else None,
    )


def facts_of(
    tariff: Tariff,
    at_utc: datetime,
    *,
    zone: ZoneInfo,
    outdoor_degc: Mapping[datetime, float],
    electric_kw: Mapping[datetime, float],
) -> Facts:
    """The facts at an instant, from quarter-hour means by their start.

    Args:
        tariff: what is asked for.
        at_utc: the ladder's count is taken up to here.
        zone: the site's zone.
        outdoor_degc: outdoor temperature.
        electric_kw: power of the main meter.
    """
    used_kwh = None
    began_utc = wanted(tariff, at_utc, zone=zone).electric_from_utc
    if began_utc is not None:
        seen = [kw for start, kw in electric_kw.items() if began_utc <= start < at_utc]
        due = (at_utc - began_utc) / timedelta(hours=QUARTER_H)
        if len(seen) >= COUNT_RATIO_MIN * due:
            used_kwh = sum(seen) * QUARTER_H
    return Facts(_maxima(tariff, outdoor_degc, zone=zone), used_kwh=used_kwh, used_at_utc=at_utc)


def _maxima(tariff: Tariff, outdoor_degc: Mapping[datetime, float], *, zone: ZoneInfo) -> dict[date, float]:
    """Maxima of the days that are recorded, and of those which have reached a threshold already."""
    limits = [
        kind.day_max_degc_min
        for calendar in tariff.calendars
        for kind in calendar.days
        if kind.day_max_degc_min is not None
    ]
    by_day: defaultdict[date, list[float]] = defaultdict(list)
    for start_utc, degc in outdoor_degc.items():
        by_day[start_utc.astimezone(zone).date()].append(degc)
    return {
        day: max(seen)
        for day, seen in by_day.items()
        if limits and (len(seen) >= DAY_QUARTERS_MIN or max(seen) >= max(limits))
    }
