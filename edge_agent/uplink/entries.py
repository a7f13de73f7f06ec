"""Makes outbox entries of records: the bytes, what they report, and why a value is missing. It closes no period."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Protocol

from edge_agent.rollup import Reading, microseconds
from edge_agent.settings.model import ReportedPoint
from edge_agent.store.rows import Delivery, OutboxEntry, StoredSample
from edge_agent.uplink.gap_causes import NOT_RUNNING, gap_causes
from edge_agent.uplink.record import Record, encode


class Samples(Protocol):
    """Where the causes of missing values are found."""

    async def samples_between(
        self, from_utc: datetime, to_utc: datetime, *, points: Collection[str] | None = None
    ) -> list[StoredSample]:
        """Samples of a span."""
        ...


async def make_entry(
    store: Samples,
    stream: str,
    record: Record,
    *,
    points: Sequence[ReportedPoint],
    readings: Mapping[str, Sequence[Reading]],
    now_utc: datetime,
    replaces: Delivery | None = None,
    absent: str = NOT_RUNNING,
) -> OutboxEntry:
    """A record as it goes into the outbox.

    Args:
        store: the samples.
        stream: name of the stream.
        record: the record.
        points: what is reported, in the record's order.
        readings: readings of its period by point.
        now_utc: the present on the site's clock: the message says when it was made.
        replaces: the record of the same period that this one corrects.
        absent: why there are no readings at all, if there are none.
    """
    gaps = await _gaps(store, record, points=points, readings=readings, absent=absent)
    corrects = None if replaces is None else (replaces.epoch, replaces.seq)
    return OutboxEntry(
        stream,
        partial(_encode, record=record, now_utc=now_utc, corrects=corrects),
        made_utc=now_utc,
        codes=tuple(point.code for point in record.points),
        gaps=gaps,
        corrects=replaces is not None,
    )


async def _gaps(
    store: Samples,
    record: Record,
    *,
    points: Sequence[ReportedPoint],
    readings: Mapping[str, Sequence[Reading]],
    absent: str,
) -> dict[str, tuple[int, ...]]:
    """Places of a record without a valid value, by cause."""
    missing = [place for place, point in enumerate(record.points) if point.value is None]
    if not missing:
        return {}
    period = record.period
    wanted = {points[place].point for place in missing}
    start_us = microseconds(period.start_utc)
    running = any(instant_us >= start_us for point in readings.values() for instant_us, _ in point)
    stored = await store.samples_between(period.start_utc, period.end_utc, points=wanted) if running else []
    causes = gap_causes([entry.sample for entry in stored], points=wanted, running=running, absent=absent)
    found: dict[str, tuple[int, ...]] = {}
    for place in missing:
        cause = causes[points[place].point]
        found[cause] = (*found.get(cause, ()), place)
    return found


def _encode(epoch: str, seq: int, *, record: Record, now_utc: datetime, corrects: tuple[str, int] | None) -> bytes:
    return encode(record, epoch=epoch, seq=seq, sent_at_utc=now_utc, corrects=corrects)


def bytes_again(record: Record, told: Sequence[Delivery]) -> bytes:
    """The message of a record under the last number that its period was told by.

    Args:
        record: as the store has it now.
        told: the records of its period, each but the first a correction of the one before.
    """
    last = told[-1]
    corrects = (told[-2].epoch, told[-2].seq) if len(told) > 1 else None
    return encode(record, epoch=last.epoch, seq=last.seq, sent_at_utc=last.made_utc, corrects=corrects)
