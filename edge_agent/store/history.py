"""Rollups of every width: quarter hours as they were stored, everything else out of these or out of the frames.

A rollup is a pure function of the frames: computing it again, at any time and in any order of their coming, gives the
same numbers. Stored quarter hours stay when the frames are gone.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import groupby
from pathlib import Path

from edge_agent.errors import StoreFault
from edge_agent.rollup import (
    DAY_S,
    HOLD_PERIODS_MAX,
    QUARTER_MIN,
    Period,
    Rollup,
    combine,
    instant,
    microseconds,
    periods_between,
    roll_up_each,
)
from edge_agent.store.frame_reader import read_readings
from edge_agent.store.state import StateReader

WIDTHS_S = (60, 300, 900, 1800, 3600, DAY_S)
PERIOD_COUNT_MAX = 50_000
"""More periods than this are not asked for at a time: a quarter of a year of 5 min would be 26 000."""
SPAN = timedelta(hours=6)
"""Frames of so much time are in memory at once."""
QUARTER_S = QUARTER_MIN * 60
FAR_US = microseconds(datetime.max.replace(tzinfo=UTC))


def rollups(
    reader: StateReader,
    folder: Path,
    *,
    width_s: int,
    from_utc: datetime,
    to_utc: datetime,
    zone: tzinfo | None,
    points: Collection[str] | None,
    period_s_max: float,
) -> list[Rollup]:
    """Rollups of the periods that begin in [from, to), by start, then by point.

    Args:
        reader: of state.db.
        folder: of the day files.
        width_s: one of WIDTHS_S; a day is one of the plant's zone.
        from_utc: first start.
        to_utc: the first start that is no longer wanted.
        zone: the plant's; needed for days.
        points: only these; None for all.
        period_s_max: the longest expected distance of two readings [s].

    Raises:
        StoreFault: another width, days without a zone, or too many periods.
    """
    if width_s not in WIDTHS_S or (width_s == DAY_S and zone is None):
        raise StoreFault(f"no rollups of {width_s} s, zone {zone}: only {WIDTHS_S}, days with a zone")
    if (to_utc - from_utc).total_seconds() > PERIOD_COUNT_MAX * width_s:
        raise StoreFault(f"{from_utc} to {to_utc}: more than {PERIOD_COUNT_MAX} periods of {width_s} s")
    periods = list(periods_between(width_s, from_utc, to_utc, zone=zone or UTC))
    if not periods:
        return []
    if width_s < QUARTER_S:
        found = from_frames(folder, periods, points=points, period_s_max=period_s_max)
    else:
        found = _quarters(
            reader, folder, periods[0].start_utc, periods[-1].end_utc, points=points, period_s_max=period_s_max
        )
        if width_s > QUARTER_S:
            found = _combined(found, periods)
    return sorted(found, key=lambda rollup: (rollup.start_utc, rollup.point))


def from_frames(
    folder: Path, periods: Sequence[Period], *, points: Collection[str] | None, period_s_max: float
) -> Iterator[Rollup]:
    """Rollups of periods, oldest first, computed from the frames."""
    look_back = timedelta(seconds=HOLD_PERIODS_MAX * period_s_max)
    for _, group in groupby(periods, key=lambda period: (period.start_utc - periods[0].start_utc) // SPAN):
        some = list(group)
        from_us = microseconds(some[0].start_utc - look_back)
        readings = read_readings(folder, from_us, microseconds(max(period.end_utc for period in some)), points=points)
        clocks = {
            period: readings.clock(microseconds(period.start_utc), microseconds(period.end_utc)) for period in some
        }
        for point, found in readings.by_point.items():
            period_s = readings.period_of_s(point)
            for rollup in roll_up_each(found, point=point, periods=some, period_s=period_s):
                clock = clocks[Period(rollup.start_utc, rollup.period_min)]
                yield replace(rollup, clock=clock) if clock else rollup


def closed_periods(
    reader: StateReader, length_min: int, from_us: int, to_us: int, *, limit: int
) -> list[tuple[Period, dict[str, Rollup]]]:
    """Closed periods of any length that begin in [from, to), oldest first, at most so many, with all points.

    Those that went for want of room, before the oldest that is still there, are made of their quarter hours.
    """
    begin_us = reader.first_start_us(length_min)
    found: list[tuple[Period, dict[str, Rollup]]] = []
    if length_min > QUARTER_MIN and length_min % QUARTER_MIN == 0:
        made_to_us = to_us if begin_us is None else min(to_us, begin_us)
        found = _made_of_quarters(reader, length_min, from_us, made_to_us, limit=limit)
    if len(found) < limit:
        found += reader.rollups_of_all(length_min, from_us, to_us, limit=limit - len(found))
    return found


def _made_of_quarters(
    reader: StateReader, length_min: int, from_us: int, to_us: int, *, limit: int
) -> list[tuple[Period, dict[str, Rollup]]]:
    """Whole periods whose quarter hours are all there."""
    parts_count = length_min // QUARTER_MIN
    found: list[tuple[Period, dict[str, Rollup]]] = []
    length_us = length_min * 60_000_000
    at_us = -(-from_us // length_us) * length_us  # the first start from there on
    while at_us < to_us and len(found) < limit:
        (first, *_) = reader.rollups_of_all(QUARTER_MIN, at_us, FAR_US, limit=1) or (None,)
        if first is None:
            break
        at_us = max(at_us, microseconds(first[0].start_utc) // length_us * length_us)
        if at_us >= to_us:
            break
        quarters = reader.rollups_of_all(QUARTER_MIN, at_us, at_us + length_us, limit=parts_count)
        if len(quarters) == parts_count:
            period = Period(instant(at_us), length_min)
            parts: dict[str, list[Rollup]] = {}
            for _, rollups in quarters:
                for point, rollup in rollups.items():
                    parts.setdefault(point, []).append(rollup)
            found.append((period, {point: combine(some, period=period) for point, some in parts.items()}))
        at_us += length_us
    return found


def richer(stored: Mapping[str, Rollup], fresh: Sequence[Rollup]) -> list[Rollup]:
    """Of two makings of a period whose frames are not all there any more, point by point that of more readings."""
    found = dict(stored)
    for rollup in fresh:
        known = found.get(rollup.point)
        if known is None or rollup.count > known.count:
            found[rollup.point] = rollup
    return list(found.values())


def _quarters(
    reader: StateReader,
    folder: Path,
    from_utc: datetime,
    to_utc: datetime,
    *,
    points: Collection[str] | None,
    period_s_max: float,
) -> Iterator[Rollup]:
    """Quarter hours: as stored where they are, computed where they are not yet closed or no longer true."""
    stored = reader.closed(QUARTER_MIN, microseconds(from_utc), microseconds(to_utc), points=points)
    for found in stored.values():
        yield from found or ()
    wanted = periods_between(QUARTER_S, from_utc, to_utc, zone=UTC)
    missing = [period for period in wanted if stored.get(period.start_utc) is None]
    yield from from_frames(folder, missing, points=points, period_s_max=period_s_max)


def _combined(quarters: Iterator[Rollup], periods: Sequence[Period]) -> Iterator[Rollup]:
    ordered = sorted(quarters, key=lambda rollup: (rollup.point, rollup.start_utc))
    for _, group in groupby(ordered, key=lambda rollup: rollup.point):
        parts = list(group)
        at = 0
        for period in periods:
            begin = at
            while at < len(parts) and parts[at].start_utc < period.end_utc:
                at += 1
            if begin < at:
                yield combine(parts[begin:at], period=period)
