"""The store as the service sees it: asyncio in front, one thread that writes and one that reads behind.

What returns has been committed with a full flush; what raises StoreFault was not accepted. Nothing else in the service
opens these databases for writing, and a lock keeps a second service out. How a frame is accepted is told in
`recording`, what goes on beside it in `housekeeping`.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, tzinfo
from functools import partial
from pathlib import Path

from drivers.sample import Sample
from edge_agent.clock_quality import ClockQuality
from edge_agent.errors import StoreFault
from edge_agent.rollup import Period, Reading, Rollup, instant, microseconds
from edge_agent.store import frame_reader, frames, history, recording, room
from edge_agent.store.facts import PointFacts
from edge_agent.store.housekeeping import Corrections, Housekeeper, make_room_at_once
from edge_agent.store.outbox import WAITING_MAX
from edge_agent.store.parts import Parts, open_parts
from edge_agent.store.rows import (
    AuditEntry,
    ChainedDay,
    Delivery,
    Gap,
    OutboxEntry,
    OutboxRow,
    OutboxStatus,
    Receipt,
    StoredSample,
    StoreUsage,
)
from edge_agent.store.threads import CLOSED, Threads

LOG = logging.getLogger(__name__)

MEGABYTE = 1_000_000


class Store:
    """Everything that must not be lost. Open it with `Store.open`, end it with `close`."""

    def __init__(self, state_dir: Path, *, quota_mb: int) -> None:
        self._state_dir = state_dir
        self._ballast = room.Ballast(state_dir, quota_bytes=quota_mb * MEGABYTE)
        self._threads = Threads(self._emergency)
        self._opened: Parts | None = None
        self._keeper: Housekeeper | None = None

    @classmethod
    async def open(cls, state_dir: Path, *, quota_mb: int, raw_days: int) -> "Store":
        """Opens the store of a state folder, and makes one where there is none.

        A damaged state.db or day file is set aside (renamed), a fresh one started, and what is sound taken over: of
        state.db before this returns, of a day file by `tend`.

        Args:
            state_dir: the service's state folder.
            quota_mb: most disk space [MB].
            raw_days: raw frames are kept this long [d].

        Raises:
            StoreFault: no leave to write, no space, another service holds it, or a newer release wrote it.
        """
        store = cls(state_dir, quota_mb=quota_mb)
        half_bytes = quota_mb * MEGABYTE // 2
        try:
            parts = await store._threads.write(
                partial(open_parts, state_dir, half_bytes=half_bytes, raw_days=raw_days, ballast=store._ballast)
            )
        except BaseException:
            store._threads.shutdown()
            raise
        store._opened, store._keeper = parts, Housekeeper(parts, store._threads)
        return store

    @property
    def _parts(self) -> Parts:
        if self._opened is None:
            raise StoreFault(CLOSED)
        return self._opened

    @property
    def _housekeeper(self) -> Housekeeper:
        if self._keeper is None:
            raise StoreFault(CLOSED)
        return self._keeper

    async def close(self) -> None:
        """Ends both threads after the work in hand."""
        parts, self._opened, self._keeper = self._opened, None, None
        if parts is not None:
            await self._threads.read(parts.state_reader.close)
            await self._threads.write(parts.close)
        self._threads.shutdown()

    def _emergency(self) -> bool:
        """Makes room at once, in the writing thread; returns whether there is any."""
        try:
            if room.free_bytes(self._state_dir) < self._ballast.bytes and self._ballast.drop():
                return True
        except OSError as error:
            LOG.error("no room can be made: %s", error)  # noqa: TRY400 - the reason is enough
            return False
        return self._opened is not None and make_room_at_once(self._opened)

    # ------------------------------------------------------------------------------------------------ raw samples

    def expect(self, facts: Mapping[str, PointFacts]) -> None:
        """Says of every point how often it is read and how dear its history is; to be called before the first frame."""
        self._parts.facts.update(facts)

    async def append_frame(
        self,
        samples: Sequence[Sample],
        *,
        instant_utc: datetime,
        elapsed_s: float,
        clock: ClockQuality | None = None,
    ) -> int:
        """Commits the samples of one scan.

        Args:
            samples: at least one.
            instant_utc: the scan's instant on the site's clock; decides the day file.
            elapsed_s: reading of the monotonic clock [s].
            clock: how far the site's clock was trusted; None: not known.

        Returns:
            The frame's number, after the commit: higher than every number before.

        Raises:
            StoreFault: nothing was accepted.
        """
        return await self._threads.write(
            partial(
                recording.append,
                self._parts,
                tuple(samples),
                instant_utc=instant_utc,
                elapsed_s=elapsed_s,
                clock=clock,
            )
        )

    async def samples_between(
        self, from_utc: datetime, to_utc: datetime, *, points: Collection[str] | None = None
    ) -> list[StoredSample]:
        """Samples of [from, to) as they were accepted, oldest frame first.

        Args:
            from_utc: first instant.
            to_utc: the first instant that is no longer wanted.
            points: only these points; None for all.
        """
        return await self._threads.read(
            lambda: list(frame_reader.read_samples(self._parts.folder, from_utc, to_utc, points=points))
        )

    async def readings_between(self, from_utc: datetime, to_utc: datetime) -> dict[str, list[Reading]]:
        """Readings of [from, to) by point, as plain numbers for rollups; a value that was not GOOD is None."""
        from_us, to_us = microseconds(from_utc), microseconds(to_utc)
        return await self._threads.read(lambda: frame_reader.read_readings(self._parts.folder, from_us, to_us).by_point)

    async def clock_between(self, from_utc: datetime, to_utc: datetime) -> ClockQuality:
        """The worst that the clock was at a frame with samples of [from, to)."""
        from_us, to_us = microseconds(from_utc), microseconds(to_utc)
        return await self._threads.read(
            lambda: frame_reader.read_readings(self._parts.folder, from_us, to_us, points=()).clock(from_us, to_us),
        )

    async def first_instant_utc(self, *, from_day: date = date.min) -> datetime | None:
        """Instant of the oldest stored sample, of all or from a UTC day on."""
        first_us = await self._threads.read(partial(frames.first_instant_us, self._parts.folder, from_day=from_day))
        return None if first_us is None else instant(first_us)

    async def gaps_between(self, from_utc: datetime, to_utc: datetime) -> list[Gap]:
        """What is known to be gone of [from, to): evicted for want of room, or lost with a damaged file."""
        return await self._threads.read(
            partial(self._parts.state_reader.gaps, microseconds(from_utc), microseconds(to_utc))
        )

    # ---------------------------------------------------------------------------------------- rollups and records

    async def close_period(self, period: Period, rollups: Sequence[Rollup], records: Sequence[OutboxEntry]) -> bool:
        """Stores a period's rollups and its records in one transaction.

        Returns:
            False when this period was closed before: then nothing is changed.
        """
        return await self._threads.write(partial(_close_period, self._parts, period, rollups, records))

    async def last_period_end_utc(self, period_min: int) -> datetime | None:
        """End of the last closed period of a length [min]."""
        end_us = await self._threads.read(partial(self._parts.state_reader.last_period_end_us, period_min))
        return None if end_us is None else instant(end_us)

    async def last_period_ends_utc(self) -> dict[int, datetime]:
        """End of the last closed period of every length [min] that was ever closed."""
        ends_us = await self._threads.read(self._parts.state_reader.last_period_ends_us)
        return {period_min: instant(end_us) for period_min, end_us in ends_us.items()}

    async def rollups(self, point: str, period_min: int, from_utc: datetime, to_utc: datetime) -> list[Rollup]:
        """Rollups of one point for the periods that begin in [from, to), oldest first."""
        return await self._threads.read(
            partial(self._parts.state_reader.rollups, point, period_min, microseconds(from_utc), microseconds(to_utc)),
        )

    async def rollups_of_all(
        self, period_min: int, from_utc: datetime, to_utc: datetime, *, limit: int
    ) -> list[tuple[Period, dict[str, Rollup]]]:
        """Closed periods that begin in [from, to), oldest first, at most so many, with the rollups of all points.

        Periods of whole quarter hours that went for want of room are made of these.
        """
        return await self._threads.read(
            partial(
                history.closed_periods,
                self._parts.state_reader,
                period_min,
                microseconds(from_utc),
                microseconds(to_utc),
                limit=limit,
            ),
        )

    async def rollups_between(
        self,
        width_s: int,
        from_utc: datetime,
        to_utc: datetime,
        *,
        zone: tzinfo | None = None,
        points: Collection[str] | None = None,
    ) -> list[Rollup]:
        """Rollups of any width for the periods that begin in [from, to), by start, then by point.

        Quarter hours are stored for years, longer periods are made of them, shorter ones of the frames while these are
        kept. What came late is in; a point without a reading that held in a period has no rollup there.

        Args:
            width_s: 60, 300, 900, 1800, 3600 or 86 400 [s]; a day is one of the plant's zone.
            from_utc: first start.
            to_utc: the first start that is no longer wanted.
            zone: the plant's; needed for days.
            points: only these; None for all.
        """
        reader = self._parts.state_reader
        return await self._threads.read(
            partial(
                history.rollups,
                reader,
                self._parts.folder,
                width_s=width_s,
                from_utc=from_utc,
                to_utc=to_utc,
                zone=zone,
                points=points,
                period_s_max=self._parts.period_s_max,
            ),
        )

    async def tend(self) -> None:
        """Housekeeping for ever, a little at a time: what nobody waits for and no scan is held up by."""
        await self._housekeeper.run()

    async def tend_once(self) -> bool:
        """One piece of housekeeping; returns whether more is waiting."""
        return await self._housekeeper.once()

    def correct_with(self, corrections: Corrections) -> None:
        """Names who makes the records that correct those of a period whose rollups were made anew."""
        self._housekeeper.correct_with(corrections)

    async def usage(self) -> StoreUsage:
        """How much room there is."""
        return await self._housekeeper.usage()

    # ------------------------------------------------------------------------------------------------------ outbox

    async def outbox_due(
        self,
        uplink: str,
        limit: int,
        *,
        skip: Collection[int] = (),
        live_first: bool = False,
        waiting_max: int = WAITING_MAX,
    ) -> list[OutboxRow]:
        """Rows to be sent: alarms and gap records, the newest period, then the others from the oldest on.

        Args:
            uplink: name of the stream.
            limit: most rows wanted.
            skip: sequence numbers not wanted now.
            live_first: put the newest row, if it was never sent, before the older ones.
            waiting_max: most rows of the backlog among them.
        """
        return await self._threads.read(
            partial(
                self._parts.state_reader.outbox_due,
                uplink,
                limit=limit,
                skip=frozenset(skip),
                live_first=live_first,
                waiting_max=waiting_max,
            ),
        )

    async def outbox_mark_sent(self, uplink: str, seqs: Collection[int], *, live: Collection[int] = ()) -> list[int]:
        """Notes rows as sent; to be awaited before their bytes leave, or their receipt will be ignored.

        Args:
            uplink: name of the stream.
            seqs: numbers of the rows.
            live: those among them that leave on time.

        Returns:
            The numbers that still wait: one that was acknowledged meanwhile need not be sent.
        """
        return await self._threads.write(
            partial(self._parts.state.mark_sent, uplink, tuple(seqs), live=frozenset(live))
        )

    async def outbox_take(self, uplink: str, limit: int, *, skip: Collection[int], waiting_max: int) -> list[OutboxRow]:
        """Rows to be sent now, as `outbox_due` with the live one first; noted as sent, on the disk, when it returns."""
        return await self._threads.write(
            partial(
                self._parts.state.take,
                uplink,
                limit=limit,
                skip=frozenset(skip),
                live_first=True,
                waiting_max=waiting_max,
            ),
        )

    async def outbox_settle(
        self, uplink: str, receipts: Sequence[Receipt], *, instant_utc: datetime
    ) -> list[list[int]]:
        """Removes the rows that receipts prove and keeps apart those that they refuse, in one transaction.

        Args:
            uplink: name of the stream.
            receipts: each is believed or ignored as a whole.
            instant_utc: when they were taken.

        Returns:
            For each receipt the numbers that need no further sending.
        """
        return await self._threads.write(
            partial(self._parts.state.settle, uplink, tuple(receipts), instant_us=microseconds(instant_utc)),
        )

    async def outbox_shelve(self, uplink: str, seqs: Collection[int]) -> None:
        """Takes gap records or alarms out of the queue of a stream whose protocol has no words for them."""
        await self._threads.write(partial(self._parts.state.shelve, uplink, tuple(seqs)))

    async def outbox_retry_refused(self, uplink: str) -> int:
        """Puts what the platform refused back into the queue; returns how many."""
        return await self._threads.write(partial(self._parts.state.retry_refused, uplink))

    async def outbox_fetched(self, uplink: str, periods: Sequence[Period], *, instant_utc: datetime) -> int:
        """Notes that the platform has asked for these periods, and was served."""
        periods_us = [(microseconds(period.start_utc), period.length_min) for period in periods]
        return await self._threads.write(
            partial(self._parts.state.fetched, uplink, periods_us, instant_us=microseconds(instant_utc))
        )

    async def outbox_correct(self, period: Period, entry: OutboxEntry) -> None:
        """Queues a record that corrects an earlier one of its period."""
        await self._threads.write(partial(self._parts.state.put_correction, period, entry))

    async def outbox_send_again(self, uplink: str, payloads: Mapping[tuple[str, int], bytes]) -> int:
        """Puts delivered records back into the queue under their old epoch and number; returns how many.

        Bytes that differ from what was sent before are left out: one number never stands for two contents.
        """
        return await self._threads.write(partial(self._parts.state.send_again, uplink, dict(payloads)))

    async def deliveries(self, uplink: str, from_utc: datetime, to_utc: datetime) -> list[Delivery]:
        """What became of the records of the periods that begin in [from, to), oldest first."""
        return await self._threads.read(
            partial(self._parts.state_reader.deliveries, uplink, microseconds(from_utc), microseconds(to_utc)),
        )

    async def ledger_span_utc(self, uplink: str) -> tuple[datetime, datetime] | None:
        """Starts of the oldest and of the newest record that the ledger knows of a stream."""
        reader = self._parts.state_reader
        begin_us = await self._threads.read(partial(reader.ledger_begin_us, uplink))
        end_us = await self._threads.read(partial(reader.ledger_end_us, uplink))
        return None if begin_us is None or end_us is None else (instant(begin_us), instant(end_us))

    async def replaced_starts_utc(self, uplink: str, from_utc: datetime) -> list[datetime]:
        """Starts of the periods from an instant on whose delivered record was corrected."""
        reader = self._parts.state_reader
        starts_us = await self._threads.read(partial(reader.replaced_starts_us, uplink, microseconds(from_utc)))
        return [instant(start_us) for start_us in starts_us]

    async def deliveries_consumed(
        self, uplink: str, settled_before_utc: datetime, *, after_utc: datetime | None, limit: int, sent_max: int
    ) -> list[Delivery]:
        """Records that were delivered without an acknowledgement before an instant and do not wait, oldest first.

        Args:
            uplink: name of the stream.
            settled_before_utc: delivered before this instant.
            after_utc: only of periods that begin after it; None: of all.
            limit: most records.
            sent_max: only what was sent less often.
        """
        return await self._threads.read(
            partial(
                self._parts.state_reader.consumed,
                uplink,
                microseconds(settled_before_utc),
                after_us=-1 if after_utc is None else microseconds(after_utc),
                limit=limit,
                sent_max=sent_max,
            ),
        )

    async def completeness(self, uplink: str, from_day: date, to_day: date) -> list[ChainedDay]:
        """The record that holds of each day of the site's calendar in [from, to], oldest first."""
        return await self._threads.read(
            partial(self._parts.state_reader.completeness, uplink, from_day.isoformat(), to_day.isoformat()),
        )

    async def append_day(self, uplink: str, day: date, record: Mapping[str, object]) -> None:
        """Chains a day's completeness, and forgets the oldest single records that are acknowledged."""
        await self._threads.write(partial(self._parts.state.append_day, uplink, day.isoformat(), record))

    async def put_alarm(self, uplinks: Sequence[str], payload: bytes, *, instant_utc: datetime) -> None:
        """Queues an alarm for streams, ahead of their records."""
        await self._threads.write(
            partial(self._parts.state.put_alarm, tuple(uplinks), payload, start_us=microseconds(instant_utc)),
        )

    async def put_gap(self, gap: Gap) -> None:
        """Declares to every stream that something will never come."""
        await self._threads.write(partial(self._parts.state.put_gap, gap))

    async def outbox_status(self, uplink: str) -> OutboxStatus:
        """How far an uplink is."""
        return await self._threads.read(partial(self._parts.state_reader.outbox_status, uplink))

    # ------------------------------------------------------------------------------------- audit, plans, own state

    async def audit(self, *entries: AuditEntry) -> None:
        """Adds entries to the audit's chain, all or none."""
        await self._threads.write(partial(self._parts.state.audit, *entries))

    async def audit_entries(self, limit: int) -> list[AuditEntry]:
        """The newest audit entries, newest first."""
        return await self._threads.read(partial(self._parts.state_reader.audit_entries, limit))

    async def audit_broken_at(self) -> int | None:
        """Number of the first audit entry that does not fit the chain; None when the chain is whole."""
        return await self._threads.read(self._parts.state_reader.audit_broken_at)

    async def audit_unfinished(self) -> dict[int, AuditEntry]:
        """Commands of the audit that have not come to an end, by number; of a stopped service only those awaited."""
        return await self._threads.read(self._parts.state_reader.audit_unfinished)

    async def put_plan(self, made_utc: datetime, plan_json: str) -> None:
        """Keeps a plan."""
        await self._threads.write(partial(self._parts.state.put_plan, made_utc, plan_json))

    async def latest_plan(self) -> tuple[datetime, str] | None:
        """The plan kept last: when it was made, and its JSON text."""
        return await self._threads.read(self._parts.state_reader.latest_plan)

    async def put_state(self, key: str, json_text: str) -> None:
        """Keeps a JSON text under a key."""
        await self._threads.write(partial(self._parts.state.put_state, key, json_text))

    async def get_state(self, key: str) -> str | None:
        """The JSON text under a key."""
        return await self._threads.read(partial(self._parts.state_reader.get_state, key))


def _close_period(parts: Parts, period: Period, rollups: Sequence[Rollup], records: Sequence[OutboxEntry]) -> bool:
    parts.closed_us = max(parts.closed_us, microseconds(period.end_utc))
    return parts.state.close_period(period, rollups, records)
