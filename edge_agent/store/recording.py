"""Accepts frames, in the writing thread: into the file of their day, after what they make untrue has been marked.

A new day is also when days that are too old go.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from drivers.sample import Sample
from edge_agent.clock_quality import ClockQuality
from edge_agent.rollup import HOLD_PERIODS_MAX, microseconds
from edge_agent.store import frames
from edge_agent.store.parts import Parts
from edge_agent.store.reader import STATE_FILE
from edge_agent.store.state import StateReader

NEEDED_DAYS = timedelta(days=2)
"""Periods of all lengths are closed up to the same time and none is longer than a day: so long before the newest closed
end nothing is to be made any more."""


def append(
    parts: Parts, samples: Sequence[Sample], *, instant_utc: datetime, elapsed_s: float, clock: ClockQuality | None
) -> int:
    """Commits one frame; returns its number.

    Args:
        parts: the open store.
        samples: at least one.
        instant_utc: the scan's instant on the site's clock.
        elapsed_s: reading of the monotonic clock [s].
        clock: how far the site's clock was trusted; None: not known.
    """
    instant_us = microseconds(instant_utc)
    day = frames.day_of(instant_us)
    if parts.frames.day != day:
        parts.frames.open_day(day)
        _remove_old(parts, instant_utc)
    _note_late(parts, samples)
    sequence = parts.numbers.next()
    parts.frames.append(
        samples,
        sequence=sequence,
        instant_us=instant_us,
        elapsed_us=round(elapsed_s * 1e6),
        boot=parts.boot,
        clock=clock,
    )
    parts.newest_us = instant_us
    parts.tender.touched(frames.day_path(parts.folder, day))
    return sequence


def _note_late(parts: Parts, samples: Sequence[Sample]) -> None:
    """Marks rollups to which samples come after their period was closed, before these are accepted."""
    oldest_utc = min(sample.instant_utc for sample in samples)
    if microseconds(oldest_utc) >= parts.closed_us:
        return
    newest_utc = max(sample.instant_utc for sample in samples)
    held = timedelta(seconds=HOLD_PERIODS_MAX * parts.period_s_max)
    parts.state.mark_stale(microseconds(oldest_utc), microseconds(newest_utc + held))


def _remove_old(parts: Parts, now_utc: datetime) -> None:
    """Unlinks day files that are older than they need to be kept, and from which nothing is still to be made."""
    reader = StateReader(parts.state_dir / STATE_FILE)  # the open one belongs to the reading thread
    try:
        needed = needed_from(reader)
    finally:
        reader.close()
    frames.remove_old(
        parts.folder,
        keep_from=(now_utc - timedelta(days=parts.raw_days)).date(),
        needed_from=needed,
        recorded_days_min=parts.raw_days,
    )


def needed_from(reader: StateReader) -> date:
    """The first day from which something is still to be made or delivered; without a closed period, everything is."""
    ends_us = reader.last_period_ends_us().values()
    oldest_us = reader.outbox_oldest_us()
    if not ends_us:
        return date.min
    return frames.day_of(min([max(ends_us), *([] if oldest_us is None else [oldest_us])])) - NEEDED_DAYS
