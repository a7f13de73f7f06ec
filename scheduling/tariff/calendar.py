"""Which band holds at an instant: the site's wall clock against the calendar version of that date.

Every instant is read on the wall clock of the site's zone on its own; nothing is added to midnight, so a day with a
clock change has its bands where people see them. The host's zone plays no part.
"""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from scheduling.errors import TariffFault
from scheduling.tariff.model import DAY_MIN, WEEKDAYS, Calendar, DayKind, Tariff

WORKING_DAYS = frozenset(WEEKDAYS[:5])
SEARCH_DAYS = 8
"""How far `next_change` looks: a week with all its weekdays."""


@lru_cache(maxsize=256)
def _table(day: DayKind) -> tuple[str, ...]:
    claims = day.table()
    if any(len(bands) != 1 for bands in claims):
        raise TariffFault(
            "tariff_coverage", "时段表没有恰好覆盖 24 小时", en="the bands of a day do not cover it exactly once"
        )
    return tuple(bands[0] for bands in claims)


def calendar_of(tariff: Tariff, day: date) -> Calendar:
    """The version that holds on a date; before the first version, the first."""
    valid = [calendar for calendar in tariff.calendars if calendar.valid_from <= day]
    return valid[-1] if valid else tariff.calendars[0]


def day_kind(tariff: Tariff, day: date) -> DayKind:
    """The first entry that matches a date.

    Raises:
        TariffFault: none does.
    """
    made_up = any(span.holds(day) for span in tariff.make_up_dates)
    weekday = WEEKDAYS[day.weekday()]
    for kind in calendar_of(tariff, day).days:
        if not any(span.holds(day) for span in kind.dates):
            continue
        if kind.make_up_days and not made_up:
            continue
        if kind.weekdays is not None:
            works = made_up and weekday not in WORKING_DAYS  # a Saturday that is worked is a working day
            if not (set(kind.weekdays) >= WORKING_DAYS if works else weekday in kind.weekdays):
                continue
        if kind.holidays is not None and not any(
            span.holds(day) for name in kind.holidays for span in tariff.holidays[name]
        ):
            continue
        return kind
    raise TariffFault("tariff_dates_missing", f"{day} 没有适用的时段表", en=f"no `days` entry holds on {day}")


def bands_of(tariff: Tariff, day: date) -> tuple[str, ...]:
    """The band of each of the 1440 minutes of a date."""
    return _table(day_kind(tariff, day))


def band_at(tariff: Tariff, instant_utc: datetime, *, zone: ZoneInfo) -> str:
    """The band of an instant."""
    local = instant_utc.astimezone(zone)
    return bands_of(tariff, local.date())[local.hour * 60 + local.minute]


def edges_utc(tariff: Tariff, start_utc: datetime, end_utc: datetime, *, zone: ZoneInfo) -> list[datetime]:
    """Every instant in [start, end) at which band, version or wall clock may change, rising; start itself is one."""
    edges = {start_utc}
    day = start_utc.astimezone(zone).date() - timedelta(days=1)
    last = end_utc.astimezone(zone).date() + timedelta(days=1)
    while day <= last:
        bands = bands_of(tariff, day)
        midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
        minutes = [minute for minute in range(DAY_MIN) if minute == 0 or bands[minute] != bands[minute - 1]]
        for minute in minutes:
            for fold in (0, 1):
                edges.add(midnight.replace(hour=minute // 60, minute=minute % 60, fold=fold).astimezone(UTC))
        if midnight.utcoffset() != (midnight + timedelta(days=1)).utcoffset():
            begin = midnight.astimezone(UTC)  # a clock change falls on a full hour of UTC
            edges.update(begin + timedelta(hours=n) for n in range(26))
        day += timedelta(days=1)
    return sorted(edge for edge in edges if start_utc <= edge < end_utc)


def next_change(tariff: Tariff, instant_utc: datetime, *, zone: ZoneInfo) -> datetime | None:
    """The next instant with another band; None when the band stays for the days ahead."""
    now = band_at(tariff, instant_utc, zone=zone)
    edges = edges_utc(tariff, instant_utc, instant_utc + timedelta(days=SEARCH_DAYS), zone=zone)
    return next((edge for edge in edges[1:] if band_at(tariff, edge, zone=zone) != now), None)
