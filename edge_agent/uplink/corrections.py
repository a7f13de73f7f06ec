"""Corrects what a platform was told about a period when the store knows better now: late samples, a clock set right.

A correction is a new record of the same period under the stream's next number; it names the one that it replaces. The
platform ends up with what the archive has. Nothing is corrected silently: each is in the log and in the ledger.
"""

import logging
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from edge_agent.rollup import Period, Reading, Rollup
from edge_agent.settings.model import UplinkFile
from edge_agent.store.outbox import digest
from edge_agent.store.rows import Delivery, OutboxEntry, StoredSample
from edge_agent.uplink.entries import bytes_again, make_entry
from edge_agent.uplink.record import Record, build_record
from edge_agent.uplink.streams import streams

LOG = logging.getLogger(__name__)

INSTANT = timedelta(microseconds=1)


class CorrectedStore(Protocol):
    """What corrections need of the store."""

    async def deliveries(self, uplink: str, from_utc: datetime, to_utc: datetime) -> list[Delivery]:
        """What became of the records of a span."""
        ...

    async def readings_between(self, from_utc: datetime, to_utc: datetime) -> dict[str, list[Reading]]:
        """Readings of a span by point."""
        ...

    async def samples_between(
        self, from_utc: datetime, to_utc: datetime, *, points: Collection[str] | None = None
    ) -> list[StoredSample]:
        """Samples of a span."""
        ...


class Corrections:
    """Compares what the store knows with what was told."""

    def __init__(
        self, store: CorrectedStore, uplink_file: UplinkFile, *, plant: str, now_utc: Callable[[], datetime]
    ) -> None:
        """Names the parts.

        Args:
            store: what was told, and what is known.
            uplink_file: who gets what.
            plant: name of the plant for uplinks that state none.
            now_utc: the site's clock.
        """
        self._store = store
        self._points = uplink_file.points
        self._streams = streams(uplink_file, plant=plant)
        self._now_utc = now_utc

    async def of_period(self, period: Period, rollups: Sequence[Rollup]) -> list[OutboxEntry]:
        """Records that correct what streams were told about a period.

        Args:
            period: the period.
            rollups: of all points, as the store knows them now.

        Raises:
            StoreFault: the store refuses.
        """
        by_point = {rollup.point: rollup for rollup in rollups}
        found: list[OutboxEntry] = []
        for name, stream in self._streams.items():
            record = build_record(by_point, self._points, plant=stream.plant, period=period)
            entry = await self.of_record(name, record)
            if entry is not None:
                found.append(entry)
        return found

    async def of_record(self, stream: str, record: Record) -> OutboxEntry | None:
        """The entry that corrects what a stream was told about a record's period; None: it was told the same.

        Args:
            stream: name of the stream.
            record: as the store has it now.

        Raises:
            StoreFault: the store refuses.
        """
        told = await self.told(stream, record.period)
        if not told or digest(bytes_again(record, told)) == told[-1].digest:
            return None  # the same; or the stream had other periods then, or did not exist
        period = record.period
        LOG.warning(
            "record corrected, the store knows better than what was told uplink=%s start=%s length_min=%d replaces=%d",
            stream,
            period.start_utc.isoformat(),
            period.length_min,
            told[-1].seq,
        )
        readings = await self._store.readings_between(period.start_utc, period.end_utc)
        return await make_entry(
            self._store,
            stream,
            record,
            points=self._points,
            readings=readings,
            now_utc=self._now_utc(),
            replaces=told[-1],
        )

    async def told(self, stream: str, period: Period) -> list[Delivery]:
        """The records of a period in the numbering used last, each but the first a correction of the one before."""
        deliveries = await self._store.deliveries(stream, period.start_utc, period.start_utc + INSTANT)
        return last_told(deliveries, period_min=period.length_min)


def last_told(deliveries: Sequence[Delivery], *, period_min: int) -> list[Delivery]:
    """The records of a period within the numbering that was used last, the first before what corrects it."""
    records = [entry for entry in deliveries if entry.kind == "record" and entry.period_min == period_min]
    if not records:
        return []
    epoch = max(records, key=lambda entry: (entry.made_utc, entry.seq)).epoch
    return sorted((entry for entry in records if entry.epoch == epoch), key=lambda entry: entry.seq)
