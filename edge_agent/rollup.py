"""What one point did in one period: mean, extremes, first and last value, and how much of the period was really known.

The mean is weighted by time: a reading holds until the next one of the same point, whatever that one's quality, but
never longer than twice the expected distance of readings. Only GOOD readings count; time without one is missing from
`good_ratio`, it never counts as zero. It reads no store: who closes periods hands the readings in.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo

from drivers.sample import Quality, Sample
from edge_agent.clock_quality import ClockQuality

EPOCH_UTC = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
HOLD_PERIODS_MAX = 2.0
"""A reading holds for at most this many of its expected periods."""

Reading = tuple[int, float | None]
"""An instant [microseconds since 1970 UTC] and the value; None when it was not GOOD."""


def microseconds(instant_utc: datetime) -> int:
    """An instant as whole microseconds since 1970 UTC, exactly."""
    return (instant_utc - EPOCH_UTC) // MICROSECOND


def instant(instant_us: int) -> datetime:
    """Back from microseconds since 1970 UTC."""
    return EPOCH_UTC + timedelta(microseconds=instant_us)


def rfc3339(instant_utc: datetime) -> str:
    """An instant as platforms read it, e.g. 2026-01-15T00:30:00Z; fractions only where there are any."""
    return instant_utc.isoformat().replace("+00:00", "Z")


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """An interval [start, end) of a whole number of minutes.

    Attributes:
        start_utc: its label and its first instant.
        length_min: its length [min].
    """

    start_utc: datetime
    length_min: int

    @property
    def end_utc(self) -> datetime:
        """The first instant after it."""
        return self.start_utc + timedelta(minutes=self.length_min)

    def next(self) -> "Period":
        """The one that follows without a gap."""
        return Period(self.end_utc, self.length_min)


def period_at(instant_utc: datetime, length_min: int) -> Period:
    """The period of a length [min] that holds an instant; periods lie on whole multiples since 1970 UTC.

    Lengths up to an hour therefore begin with the clock's quarters and hours in every zone whose offset is a multiple
    of the length; longer ones begin at UTC midnight.
    """
    length_us = length_min * 60_000_000
    return Period(instant(microseconds(instant_utc) // length_us * length_us), length_min)


DAY_S = 86_400
QUARTER_MIN = 15
"""Stored for years; everything longer is made of these: every zone of today lies a whole number of them from UTC."""


def periods_between(width_s: int, from_utc: datetime, to_utc: datetime, *, zone: tzinfo) -> Iterator[Period]:
    """The periods of a width that begin in [from, to), oldest first.

    Args:
        width_s: their width [s]; 86 400: days of the zone, from midnight to midnight: 23 or 25 hours where the zone
            changes its clock.
        from_utc: first start.
        to_utc: the first start that is no longer wanted.
        zone: of the plant.
    """
    if width_s == DAY_S:
        day = from_utc.astimezone(zone).date()
        while (start_utc := _midnight(day, zone)) < to_utc:
            day += timedelta(days=1)
            if start_utc >= from_utc:
                yield Period(start_utc, (_midnight(day, zone) - start_utc) // timedelta(minutes=1))
        return
    period = period_at(from_utc, width_s // 60)
    if period.start_utc < from_utc:
        period = period.next()
    while period.start_utc < to_utc:
        yield period
        period = period.next()


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Rollup:
    """One point in one period, in the point's inside unit; values are None when nothing GOOD was known.

    Attributes:
        point: `device.point`.
        start_utc: start of the period.
        period_min: length of the period [min].
        mean: time-weighted mean over the covered part of the period.
        minimum: lowest value that held in the period.
        maximum: highest value that held in the period.
        first: value in force at the start of the covered part: of a counter, the last reading before the period.
        last: value in force at the end of the covered part.
        good_ratio: covered share of the period, 0 to 1.
        count: GOOD readings taken within the period.
        clock: the worst that the clock was at a frame of the period: its instants are not certain unless it was
            synchronised.
    """

    point: str
    start_utc: datetime
    period_min: int
    mean: float | None
    minimum: float | None
    maximum: float | None
    first: float | None
    last: float | None
    good_ratio: float
    count: int
    clock: ClockQuality = ClockQuality.SYNCHRONISED


def roll_up(samples: Iterable[Sample], *, point: str, start_utc: datetime, period_min: int, period_s: float) -> Rollup:
    """Rolls up the samples of one point.

    Args:
        samples: of any points, in any order, with or without repeats; those shortly before the period are wanted too,
            because the last of them holds into it.
        point: the point to look at.
        start_utc: start of the period.
        period_min: length of the period [min].
        period_s: expected distance of two readings of this point [s].
    """
    readings = [
        (microseconds(sample.instant_utc), sample.value if sample.quality is Quality.GOOD else None)
        for sample in samples
        if sample.point == point
    ]
    return roll_up_readings(readings, point=point, period=Period(start_utc, period_min), period_s=period_s)


def _order(reading: Reading) -> tuple[int, bool, float]:
    """By instant; where a point has several readings at one instant, always the same one is the last and holds."""
    instant_us, value = reading
    return instant_us, value is not None, 0.0 if value is None else value


def roll_up_readings(readings: Iterable[Reading], *, point: str, period: Period, period_s: float) -> Rollup:
    """Rolls up the readings of one point; like `roll_up`, for callers that hold plain numbers.

    Args:
        readings: instants and values of this point alone, in any order, with or without repeats.
        point: its name.
        period: the period.
        period_s: expected distance of two readings [s].
    """
    start_us = microseconds(period.start_utc)
    end_us = start_us + period.length_min * 60_000_000
    hold_us = round(HOLD_PERIODS_MAX * period_s * 1e6)
    ordered = sorted(set(readings), key=_order)
    held: list[float] = []
    weighted = 0.0
    covered_us = 0
    count = 0
    for position, (instant_us, value) in enumerate(ordered):
        if value is None or instant_us >= end_us:
            continue
        within = instant_us >= start_us
        until_us = min(instant_us + hold_us, end_us)
        if position + 1 < len(ordered):
            until_us = min(until_us, ordered[position + 1][0])
        duration_us = until_us - (instant_us if within else start_us)
        if duration_us > 0:
            covered_us += duration_us
            weighted += value * duration_us
        if within or duration_us > 0:
            held.append(value)
            count += within
    lowest, highest = (min(held), max(held)) if held else (None, None)
    mean = None
    if lowest is not None and highest is not None and covered_us > 0:
        # Rounding may put the quotient a hair outside the values it is made of.
        mean = min(max(weighted / covered_us, lowest), highest)
    return Rollup(
        point=point,
        start_utc=period.start_utc,
        period_min=period.length_min,
        mean=mean,
        minimum=lowest,
        maximum=highest,
        first=held[0] if held else None,
        last=held[-1] if held else None,
        good_ratio=covered_us / (end_us - start_us),
        count=count,
    )


def roll_up_each(
    readings: Sequence[Reading], *, point: str, periods: Sequence[Period], period_s: float
) -> Iterator[Rollup]:
    """Rolls up the readings of one point for each period in which one of them holds.

    Args:
        readings: instants and values of this point alone, in any order.
        point: its name.
        periods: periods, oldest first.
        period_s: expected distance of two readings [s].
    """
    hold_us = round(HOLD_PERIODS_MAX * period_s * 1e6)
    ordered = sorted(set(readings), key=_order)
    for period in periods:
        start_us = microseconds(period.start_utc)
        first = bisect_left(ordered, start_us - hold_us, key=_instant)
        last = bisect_left(ordered, start_us + period.length_min * 60_000_000, key=_instant)
        if first < last:
            yield roll_up_readings(ordered[first:last], point=point, period=period, period_s=period_s)


def _instant(reading: Reading) -> int:
    return reading[0]


def combine(parts: Sequence[Rollup], *, period: Period) -> Rollup:
    """The rollup of a period out of those of its parts.

    Args:
        parts: rollups of one point, at least one, for spans of the period that do not overlap, oldest first; time
            without a part was not covered.
        period: the period.
    """
    covered = [(part, part.good_ratio * part.period_min) for part in parts if part.mean is not None]
    covered_min = sum(minutes for _, minutes in covered)
    lows = [part.minimum for part in parts if part.minimum is not None]
    highs = [part.maximum for part in parts if part.maximum is not None]
    mean = None
    if covered_min > 0:
        mean = sum(part.mean * minutes for part, minutes in covered if part.mean is not None) / covered_min
        mean = min(max(mean, min(lows)), max(highs))
    return Rollup(
        point=parts[0].point,
        start_utc=period.start_utc,
        period_min=period.length_min,
        mean=mean,
        minimum=min(lows, default=None),
        maximum=max(highs, default=None),
        first=next((part.first for part in parts if part.first is not None), None),
        last=next((part.last for part in reversed(parts) if part.last is not None), None),
        good_ratio=min(1.0, covered_min / period.length_min),
        count=sum(part.count for part in parts),
        clock=max(part.clock for part in parts),
    )
