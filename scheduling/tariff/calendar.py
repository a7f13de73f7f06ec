"""Which band holds at an instant: the site's wall clock against the calendar version of that date.

Every instant is read on the wall clock of the site's zone on its own; nothing is added to midnight, so a day with a
clock change has its bands where people see them. The host's zone plays no part.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from scheduling.errors import TariffFault
from scheduling.tariff.facts import NO_FACTS, Facts
from scheduling.tariff.form import DAY_MIN, DateSpan
from scheduling.tariff.model import WEEKDAYS, Calendar, DayKind, Tariff

WORKING_DAYS = frozenset(WEEKDAYS[:5])
SEARCH_DAYS = 8
"""How far `next_change` looks: a week with all its weekdays."""
DAY_MAX_UNKNOWN = "day_max_unknown"
"""Warning, with the date: the day's maximum would decide and is not known."""
HOLIDAYS_MISSING = "holidays_missing"
"""Warning, with the year, and the names of those that are missing unless all are."""
HOLIDAY_DAYS_MAX = 31
"""Longest run of holidays that is counted [d]."""


@dataclass(frozen=True, slots=True)
class DayMatch:
    """The entry that holds on a date, and what is not known about it.

    Attributes:
        kind: the entry.
        warnings: `day_max_unknown:2026-07-20`, `holidays_missing:2027`, `holidays_missing:2027 (new_year)`.
    """

    kind: DayKind
    warnings: tuple[str, ...] = ()


@lru_cache(maxsize=256)
def minutes_of(day: DayKind) -> tuple[str, ...]:
    """The band of each of the 1440 minutes of a day of this kind.

    Raises:
        TariffFault: a minute has no band, or two.
    """
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


def _in(spans: Iterable[DateSpan], day: date) -> bool:
    return any(span.holds(day) for span in spans)


def dates_hold(tariff: Tariff, kind: DayKind, day: date) -> bool:
    """Whether a date lies in an entry's dates and seasons."""
    return _in(kind.dates, day) and (
        kind.seasons is None or any(_in(tariff.seasons[name], day) for name in kind.seasons)
    )


def weekday_holds(kind: DayKind, weekday: str, *, made_up: bool) -> bool:
    """Whether a weekday is one of an entry's; a Saturday that is worked is a working day."""
    if kind.weekdays is None:
        return True
    if made_up and weekday not in WORKING_DAYS:
        return set(kind.weekdays) >= WORKING_DAYS
    return weekday in kind.weekdays


def _holiday_names(tariff: Tariff, kind: DayKind) -> tuple[str, ...]:
    return tuple(tariff.holidays) if kind.holidays is None else kind.holidays


def _holiday_spans(tariff: Tariff, kind: DayKind) -> list[DateSpan]:
    return [span for name in _holiday_names(tariff, kind) for span in tariff.holidays[name]]


def _holidays_missing(tariff: Tariff, kind: DayKind, year: int) -> str | None:
    """`2027` when none of an entry's holidays has dates in a year, `2027 (spring_festival)` when that one has none."""
    names = _holiday_names(tariff, kind)
    missing = [
        name
        for name in names
        if not any(len(span.first) == 2 or year in (span.first[0], span.last[0]) for span in tariff.holidays[name])  # noqa: PLR2004 - no year
    ]
    if not missing and names:
        return None
    return f"{year}" if len(missing) == len(names) else f"{year} ({', '.join(missing)})"


def _holiday_holds(tariff: Tariff, kind: DayKind, day: date) -> bool:
    if kind.holidays is None and kind.holiday_days_min is None:
        return True
    spans = _holiday_spans(tariff, kind)
    if not _in(spans, day):
        return False
    if kind.holiday_days_min is None:
        return True
    run = 1
    for step in (timedelta(days=-1), timedelta(days=1)):
        other = day + step
        while _in(spans, other) and run < HOLIDAY_DAYS_MAX:
            run += 1
            other += step
    return run >= kind.holiday_days_min


def _hot(tariff: Tariff, kind: DayKind, day: date, *, facts: Facts) -> bool | None:
    """Whether the temperature trigger holds; None when that is not known."""
    if kind.day_max_degc_min is None:
        return True
    days = [day - timedelta(days=n) for n in range(kind.days_running)]
    degc = [tariff.day_max_degc.get(each, facts.day_max_degc.get(each)) for each in days]
    if any(value is not None and value < kind.day_max_degc_min for value in degc):
        return False
    return None if None in degc else True


def day_match(tariff: Tariff, day: date, facts: Facts = NO_FACTS) -> DayMatch:
    """The first entry that matches a date, with what had to be assumed.

    Raises:
        TariffFault: none does.
    """
    made_up = _in(tariff.make_up_dates, day)
    weekday = WEEKDAYS[day.weekday()]
    warnings: dict[str, None] = {}
    for kind in calendar_of(tariff, day).days:
        if not (
            (kind.only_for is None or kind.only_for.holds(tariff.class_))
            and dates_hold(tariff, kind, day)
            and (made_up or not kind.make_up_days)
            and weekday_holds(kind, weekday, made_up=made_up)
        ):
            continue
        if kind.holidays is not None or kind.holiday_days_min is not None:
            missing = _holidays_missing(tariff, kind, day.year)
            if missing is not None:
                warnings[f"{HOLIDAYS_MISSING}:{missing}"] = None
            if not _holiday_holds(tariff, kind, day):
                continue
        if kind.notice is not None and not any(
            notice.name == kind.notice and _in(notice.dates, day) for notice in tariff.notices
        ):
            continue
        hot = _hot(tariff, kind, day, facts=facts)
        if hot is None:
            warnings[f"{DAY_MAX_UNKNOWN}:{day}"] = None
            hot = facts.hot_when_unknown
        if hot:
            return DayMatch(kind, tuple(warnings))
    raise TariffFault("tariff_dates_missing", f"{day} 没有适用的时段表", en=f"no `days` entry holds on {day}")


def day_kind(tariff: Tariff, day: date, facts: Facts = NO_FACTS) -> DayKind:
    """The first entry that matches a date.

    Raises:
        TariffFault: none does.
    """
    return day_match(tariff, day, facts).kind


def bands_of(tariff: Tariff, day: date, facts: Facts = NO_FACTS) -> tuple[str, ...]:
    """The band of each of the 1440 minutes of a date."""
    return minutes_of(day_kind(tariff, day, facts))


def band_at(tariff: Tariff, instant_utc: datetime, *, zone: ZoneInfo, facts: Facts = NO_FACTS) -> str:
    """The band of an instant."""
    local = instant_utc.astimezone(zone)
    return bands_of(tariff, local.date(), facts)[local.hour * 60 + local.minute]


def edges_utc(
    tariff: Tariff, start_utc: datetime, end_utc: datetime, *, zone: ZoneInfo, facts: Facts = NO_FACTS
) -> list[datetime]:
    """Every instant in [start, end) at which band, version or wall clock may change, rising; start itself is one."""
    edges = {start_utc}
    day = start_utc.astimezone(zone).date() - timedelta(days=1)
    last = end_utc.astimezone(zone).date() + timedelta(days=1)
    while day <= last:
        bands = bands_of(tariff, day, facts)
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


def next_change(tariff: Tariff, instant_utc: datetime, *, zone: ZoneInfo, facts: Facts = NO_FACTS) -> datetime | None:
    """The next instant with another band; None when the band stays for the days ahead."""
    now = band_at(tariff, instant_utc, zone=zone, facts=facts)
    edges = edges_utc(tariff, instant_utc, instant_utc + timedelta(days=SEARCH_DAYS), zone=zone, facts=facts)
    return next((edge for edge in edges[1:] if band_at(tariff, edge, zone=zone, facts=facts) != now), None)
