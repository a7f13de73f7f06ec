"""The store as the service sees it: asyncio in front, one thread that writes and one that reads behind.

What returns has been committed with a full flush; what raises StoreFault was not accepted. Nothing else in the service
opens these databases for writing, and a lock keeps a second service out.
"""

import asyncio
import errno
import fcntl
import json
import logging
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from functools import partial
from pathlib import Path
from typing import IO, TypeVar

from drivers.sample import Sample
from edge_agent.clock_quality import ClockQuality
from edge_agent.errors import StoreFault
from edge_agent.rollup import HOLD_PERIODS_MAX, Period, Reading, Rollup, instant, microseconds
from edge_agent.store import frame_reader, frames, history, room, salvage_frames, wear, words
from edge_agent.store.database import sync_folder
from edge_agent.store.facts import UNKNOWN, PointFacts
from edge_agent.store.frame_numbers import FrameNumbers
from edge_agent.store.frame_writer import FrameWriter
from edge_agent.store.outbox import WAITING_MAX
from edge_agent.store.reader import FRAMES_FOLDER, STATE_FILE
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
from edge_agent.store.state import EVICTION_KEY, SALVAGED_KEY, StateReader, StateWriter
from edge_agent.store.tending import Tender

LOG = logging.getLogger(__name__)

BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")
MEGABYTE = 1_000_000
WRITTEN_KEY = "store.written"
NOTE_BYTES = 20_000_000
"""The count of what was written is kept each time it has grown by so much."""
EMERGENCY_STEPS = 200
"""When a quota is hit, room is made down to the ratio that housekeeping keeps, at most so many things at once."""
FIRST_SAMPLE_US = 600_000_000
"""A period whose day begins later than this after it has lost its first frames, or its day altogether [us]."""
TEND_S = 5.0
"""Housekeeping looks for work this often [s, wall] ..."""
TEND_BUSY_S = 0.05
"""... and goes on after this, while there is some."""
T = TypeVar("T")


@dataclass(slots=True)
class _Parts:
    """What the two threads work on."""

    lock: IO[str]
    state: StateWriter
    state_reader: StateReader
    frames: FrameWriter
    numbers: FrameNumbers
    tender: Tender
    ballast: room.Ballast


class Store:
    """Everything that must not be lost. Open it with `Store.open`, end it with `close`."""

    def __init__(self, state_dir: Path, *, quota_mb: int, raw_days: int) -> None:
        self._folder = state_dir / FRAMES_FOLDER
        self._state_dir = state_dir
        # Half for the database, half for the raw frames; within that half one day's file may grow.
        self._half_bytes = quota_mb * MEGABYTE // 2
        self._raw_days = raw_days
        self._boot = _boot_id()
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="store-write")
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="store-read")
        self._tending = ThreadPoolExecutor(1, thread_name_prefix="store-tend")
        self._facts: dict[str, PointFacts] = {}
        self._closed_us = 0
        self._newest_us = 0
        self._evicted_count = 0
        self._meter: wear.WriteMeter | None = None
        self._noted_bytes = 0
        self._salvaged: set[str] | None = None
        self._ballast = room.Ballast(state_dir, quota_bytes=quota_mb * MEGABYTE)
        self._opened: _Parts | None = None
        self._closed = False

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
        store = cls(state_dir, quota_mb=quota_mb, raw_days=raw_days)
        try:
            store._opened = await store._run(store._writing, store._open)
        except BaseException:
            store._shutdown()
            raise
        return store

    def _open(self) -> _Parts:
        self._folder.mkdir(parents=True, exist_ok=True)
        sync_folder(self._state_dir)
        lock = (self._state_dir / "lock").open("w", encoding="ascii")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise StoreFault(f"{self._state_dir}: 另一服务正在使用 / another service is using it") from error
        try:
            state = StateWriter(self._state_dir / STATE_FILE, bytes_max=self._half_bytes)
            numbers = FrameNumbers(self._state_dir / "frame_sequence", used_max=frames.sequence_max(self._folder))
            reader = StateReader(self._state_dir / STATE_FILE)
            self._closed_us = max(reader.last_period_ends_us().values(), default=0)
            return _Parts(
                lock=lock,
                state=state,
                state_reader=reader,
                frames=FrameWriter(self._folder, bytes_max=self._half_bytes, facts=self._facts),
                numbers=numbers,
                tender=Tender(self._folder, bytes_max=self._half_bytes),
                ballast=self._ballast,
            )
        except BaseException:
            lock.close()
            raise

    @property
    def _parts(self) -> _Parts:
        if self._opened is None:
            raise StoreFault("数据库已关闭 / the store is closed")
        return self._opened

    async def close(self) -> None:
        """Ends both threads after the work in hand."""
        parts, self._opened = self._opened, None
        if parts is not None:
            await self._run(self._reading, parts.state_reader.close)
            await self._run(self._writing, partial(_close_writers, parts))
        self._shutdown()

    def _shutdown(self) -> None:
        self._closed = True
        self._writing.shutdown(wait=False)
        self._reading.shutdown(wait=False)
        self._tending.shutdown(wait=False)

    async def _run(self, thread: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        if self._closed:
            raise StoreFault("数据库已关闭 / the store is closed")
        if thread is self._writing:
            work = partial(self._with_room, work)
        try:
            return await asyncio.get_running_loop().run_in_executor(thread, work)
        except (sqlite3.Error, OSError) as error:
            raise StoreFault(words.told(error)) from error

    def _with_room(self, work: Callable[[], T]) -> T:
        """Does a piece of writing; where the disk or a quota is full, makes room and does it once more."""
        try:
            return work()
        except (sqlite3.OperationalError, OSError) as error:
            if not _is_full(error) or not self._emergency():
                raise
            return work()

    def _emergency(self) -> bool:
        """Makes room at once, in the writer thread; returns whether there is any."""
        parts = self._opened
        try:
            if room.free_bytes(self._state_dir) < self._ballast.bytes and self._ballast.drop():
                return True
            if parts is None:
                return False
            made = 0
            while made < EMERGENCY_STEPS and parts.state.make_room():
                made += 1
            if made:
                return True
            eviction = room.newest_details(self._folder, frames.day_of(self._newest_us))
            if eviction is None:
                return False
            parts.state.declare_eviction(eviction.gap, note=room.note(eviction))
            room.carry_out(self._folder, eviction, bytes_max=self._half_bytes)
            parts.state.put_state(EVICTION_KEY, "")
        except (sqlite3.Error, OSError) as error:
            LOG.error("no room can be made: %s", error)  # noqa: TRY400 - the reason is enough
            return False
        self._evicted_count += 1
        return True

    # ------------------------------------------------------------------------------------------------ raw samples

    def expect(self, facts: Mapping[str, PointFacts]) -> None:
        """Says of every point how often it is read and how dear its history is; to be called before the first frame."""
        self._facts.update(facts)

    @property
    def _period_s_max(self) -> float:
        """The longest expected distance of two readings [s]."""
        return max((facts.period_s for facts in self._facts.values()), default=UNKNOWN.period_s)

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
        parts = self._parts
        work = partial(self._append, parts, tuple(samples), instant_utc=instant_utc, elapsed_s=elapsed_s, clock=clock)
        return await self._run(self._writing, work)

    def _append(
        self,
        parts: _Parts,
        samples: Sequence[Sample],
        *,
        instant_utc: datetime,
        elapsed_s: float,
        clock: ClockQuality | None,
    ) -> int:
        instant_us = microseconds(instant_utc)
        day = frames.day_of(instant_us)
        if parts.frames.day != day:
            parts.frames.open_day(day)
            self._remove_old(instant_utc)
        self._note_late(parts, samples)
        sequence = parts.numbers.next()
        parts.frames.append(
            samples,
            sequence=sequence,
            instant_us=instant_us,
            elapsed_us=round(elapsed_s * 1e6),
            boot=self._boot,
            clock=clock,
        )
        self._newest_us = instant_us
        parts.tender.touched(frames.day_path(self._folder, day))
        return sequence

    def _note_late(self, parts: _Parts, samples: Sequence[Sample]) -> None:
        """Marks rollups to which samples come after their period was closed, before these are accepted."""
        oldest_utc = min(sample.instant_utc for sample in samples)
        if microseconds(oldest_utc) >= self._closed_us:
            return
        newest_utc = max(sample.instant_utc for sample in samples)
        held = timedelta(seconds=HOLD_PERIODS_MAX * self._period_s_max)
        parts.state.mark_stale(microseconds(oldest_utc), microseconds(newest_utc + held))

    def _remove_old(self, now_utc: datetime) -> None:
        """Unlinks day files that are older than they need to be kept, and from which nothing is still to be made."""
        reader = StateReader(self._state_dir / STATE_FILE)
        try:
            needed_from = self._needed_from(reader)
        finally:
            reader.close()
        frames.remove_old(
            self._folder,
            keep_from=(now_utc - timedelta(days=self._raw_days)).date(),
            needed_from=needed_from,
            recorded_days_min=self._raw_days,
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
        return await self._run(
            self._reading, lambda: list(frame_reader.read_samples(self._folder, from_utc, to_utc, points=points))
        )

    async def readings_between(self, from_utc: datetime, to_utc: datetime) -> dict[str, list[Reading]]:
        """Readings of [from, to) by point, as plain numbers for rollups; a value that was not GOOD is None."""
        from_us, to_us = microseconds(from_utc), microseconds(to_utc)
        return await self._run(self._reading, lambda: frame_reader.read_readings(self._folder, from_us, to_us).by_point)

    async def clock_between(self, from_utc: datetime, to_utc: datetime) -> ClockQuality:
        """The worst that the clock was at a frame with samples of [from, to)."""
        from_us, to_us = microseconds(from_utc), microseconds(to_utc)
        return await self._run(
            self._reading,
            lambda: frame_reader.read_readings(self._folder, from_us, to_us, points=()).clock(from_us, to_us),
        )

    async def first_instant_utc(self, *, from_day: date = date.min) -> datetime | None:
        """Instant of the oldest stored sample, of all or from a UTC day on."""
        first_us = await self._run(self._reading, partial(frames.first_instant_us, self._folder, from_day=from_day))
        return None if first_us is None else instant(first_us)

    async def gaps_between(self, from_utc: datetime, to_utc: datetime) -> list[Gap]:
        """What is known to be gone of [from, to): evicted for want of room, or lost with a damaged file."""
        return await self._run(
            self._reading, partial(self._parts.state_reader.gaps, microseconds(from_utc), microseconds(to_utc))
        )

    # ---------------------------------------------------------------------------------------- rollups and records

    async def close_period(self, period: Period, rollups: Sequence[Rollup], records: Sequence[OutboxEntry]) -> bool:
        """Stores a period's rollups and its records in one transaction.

        Returns:
            False when this period was closed before: then nothing is changed.
        """
        return await self._run(self._writing, partial(self._close_period, self._parts, period, rollups, records))

    def _close_period(
        self, parts: _Parts, period: Period, rollups: Sequence[Rollup], records: Sequence[OutboxEntry]
    ) -> bool:
        self._closed_us = max(self._closed_us, microseconds(period.end_utc))
        return parts.state.close_period(period, rollups, records)

    async def last_period_end_utc(self, period_min: int) -> datetime | None:
        """End of the last closed period of a length [min]."""
        end_us = await self._run(self._reading, partial(self._parts.state_reader.last_period_end_us, period_min))
        return None if end_us is None else instant(end_us)

    async def last_period_ends_utc(self) -> dict[int, datetime]:
        """End of the last closed period of every length [min] that was ever closed."""
        ends_us = await self._run(self._reading, self._parts.state_reader.last_period_ends_us)
        return {period_min: instant(end_us) for period_min, end_us in ends_us.items()}

    async def rollups(self, point: str, period_min: int, from_utc: datetime, to_utc: datetime) -> list[Rollup]:
        """Rollups of one point for the periods that begin in [from, to), oldest first."""
        return await self._run(
            self._reading,
            partial(self._parts.state_reader.rollups, point, period_min, microseconds(from_utc), microseconds(to_utc)),
        )

    async def rollups_of_all(
        self, period_min: int, from_utc: datetime, to_utc: datetime, *, limit: int
    ) -> list[tuple[Period, dict[str, Rollup]]]:
        """Closed periods that begin in [from, to), oldest first, at most so many, with the rollups of all points.

        Periods of whole quarter hours that went for want of room are made of these.
        """
        return await self._run(
            self._reading,
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
        return await self._run(
            self._reading,
            partial(
                history.rollups,
                reader,
                self._folder,
                width_s=width_s,
                from_utc=from_utc,
                to_utc=to_utc,
                zone=zone,
                points=points,
                period_s_max=self._period_s_max,
            ),
        )

    async def tend(self) -> None:
        """Housekeeping for ever, a little at a time: what nobody waits for and no scan is held up by."""
        fault = ""
        while True:
            busy = False
            try:
                busy = await self.tend_once()
                fault = ""
            except StoreFault as error:
                if str(error) != fault:
                    LOG.error("housekeeping waits: %s", error)  # noqa: TRY400 - said once, no trace
                fault = str(error)
            await asyncio.sleep(TEND_BUSY_S if busy else TEND_S)

    async def tend_once(self) -> bool:
        """One piece of housekeeping; returns whether more is waiting."""
        await self._count_writes()
        # What is packed needs less room and can go class by class: first that, then evictions.
        return (
            await self._salvage()
            or await self._recompute_stale()
            or await self._run(self._tending, partial(self._pack, self._parts))
            or await self._make_room()
        )

    async def _count_writes(self) -> None:
        parts = self._parts
        if self._meter is None:
            noted = await self._run(self._reading, partial(parts.state_reader.get_state, WRITTEN_KEY))
            self._meter = wear.read_note(noted)
        if self._newest_us:
            self._meter.look(frames.day_of(self._newest_us), wear.process_bytes())
            if self._meter.day_bytes - self._noted_bytes >= NOTE_BYTES or self._meter.day_bytes < self._noted_bytes:
                self._noted_bytes = self._meter.day_bytes
                await self._run(self._writing, partial(parts.state.put_state, WRITTEN_KEY, self._meter.note()))

    async def usage(self) -> StoreUsage:
        """How much room there is."""
        parts = self._parts
        state_bytes = await self._run(self._reading, partial(room.used_bytes, self._state_dir / STATE_FILE))
        frames_bytes = await self._run(self._reading, partial(room.frames_bytes, self._folder))
        meter = self._meter or wear.WriteMeter()
        damaged = [path for folder in (self._state_dir, self._folder) for path in folder.glob("*.damaged-*")]
        return StoreUsage(
            used_bytes=state_bytes + frames_bytes,
            quota_bytes=2 * self._half_bytes,
            full_ratio=max(state_bytes, frames_bytes) / self._half_bytes,
            disk_free_bytes=room.free_bytes(self._state_dir),
            ballast=parts.ballast.laid,
            evicted=self._evicted_count,
            written_bytes=meter.day_bytes,
            written_before_bytes=meter.before_bytes,
            write_budget_bytes=wear.BUDGET_BYTES_A_DAY,
            damaged=tuple(sorted(path.name for path in damaged if not path.name.endswith(("-wal", "-shm")))),
        )

    async def _salvage(self) -> bool:
        """Takes what is sound out of one damaged day file that was set aside."""
        parts = self._parts
        if self._salvaged is None:
            noted = await self._run(self._reading, partial(parts.state_reader.get_state, SALVAGED_KEY))
            self._salvaged = set(json.loads(noted or "[]"))
        waiting = await self._run(self._tending, partial(frames.set_aside, self._folder))
        for day, aside in waiting:
            if aside.name in self._salvaged:
                continue
            target = frames.day_path(self._folder, day)
            found = await self._run(
                self._tending, partial(salvage_frames.salvage, aside, target, bytes_max=self._half_bytes)
            )
            self._salvaged.add(aside.name)
            note = json.dumps(sorted(self._salvaged & {path.name for _, path in waiting}))
            await self._run(self._writing, partial(parts.state.salvaged, found, note=note))
            parts.tender.touched(target)
            LOG.warning("salvaged file=%s frames=%d gaps=%d", aside.name, found.frames, len(found.gaps))
            return True
        return False

    async def _make_room(self) -> bool:
        """Removes one thing when the quota is reached: declared first, then removed."""
        parts = self._parts
        removed = await self._run(self._writing, parts.state.make_room)
        if removed:
            LOG.warning("state.db nears its quota, removed=%s", removed)
            return True
        await self._run(self._tending, parts.ballast.lay)
        note = await self._run(self._reading, partial(parts.state_reader.get_state, EVICTION_KEY))
        if note:  # declared by a run that died before it had removed it
            eviction = room.read_note(note)
        else:
            needed_from = await self._run(self._reading, partial(self._needed_from, parts.state_reader))
            found = await self._run(self._tending, partial(self._next_eviction, needed_from))
            if found is None:
                return False
            eviction = found
            await self._run(
                self._writing, partial(parts.state.declare_eviction, eviction.gap, note=room.note(eviction))
            )
        if eviction.keep is None:
            await self._run(self._writing, partial(room.remove_file, self._folder, eviction))
        else:
            await self._run(self._tending, partial(room.carry_out, self._folder, eviction, bytes_max=self._half_bytes))
        await self._run(self._writing, partial(parts.state.put_state, EVICTION_KEY, ""))
        self._evicted_count += 1
        return True

    def _next_eviction(self, needed_from: date) -> room.Eviction | None:
        if not self._newest_us:  # which file is being written is not known yet
            return None
        return room.next_eviction(
            self._folder, bytes_max=self._half_bytes, needed_from=needed_from, today=frames.day_of(self._newest_us)
        )

    def _needed_from(self, reader: StateReader) -> date:
        """The first day from which something is still to be made or delivered.

        Periods of all lengths are closed up to the same time and none is longer than a day, so two days before the
        newest closed end are safe; without any closed period everything is needed.
        """
        ends_us = reader.last_period_ends_us().values()
        oldest_us = reader.outbox_oldest_us()
        if not ends_us:
            return date.min
        return frames.day_of(min([max(ends_us), *([] if oldest_us is None else [oldest_us])])) - timedelta(days=2)

    def _pack(self, parts: _Parts) -> bool:
        return self._newest_us > 0 and parts.tender.pack(self._newest_us)

    def _frames_are_whole(self, parts: _Parts, period: Period) -> bool:
        """Whether nothing that the period was made of has gone since."""
        from_us, to_us = microseconds(period.start_utc), microseconds(period.end_utc)
        first_us = frames.first_instant_us(self._folder, from_day=frames.day_of(from_us) - timedelta(days=1))
        if first_us is None or first_us > from_us + FIRST_SAMPLE_US:
            return False
        if not frames.made_in_order(self._folder, frames.day_of(from_us)):
            return False
        return not parts.state_reader.gaps(from_us, to_us)

    def _from_frames(self, period: Period) -> list[Rollup]:
        return list(history.from_frames(self._folder, [period], points=None, period_s_max=self._period_s_max))

    async def _recompute_stale(self) -> bool:
        """Recomputes the rollups of one period to which samples came late."""
        parts = self._parts
        waiting = await self._run(self._reading, partial(parts.state_reader.stale, 1))
        for stale in waiting:
            fresh = await self._run(self._tending, partial(self._from_frames, stale.period))
            if not await self._run(self._reading, partial(self._frames_are_whole, parts, stale.period)):
                stored = await self._run(self._reading, partial(parts.state_reader.period, stale.period))
                fresh = history.richer(stored, fresh)
            if await self._run(self._writing, partial(parts.state.refresh, stale, fresh)):
                LOG.info(
                    "rollups recomputed with late samples start=%s length_min=%d",
                    stale.period.start_utc.isoformat(),
                    stale.period.length_min,
                )
        return bool(waiting)

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
        return await self._run(
            self._reading,
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
        return await self._run(
            self._writing, partial(self._parts.state.mark_sent, uplink, tuple(seqs), live=frozenset(live))
        )

    async def outbox_take(self, uplink: str, limit: int, *, skip: Collection[int], waiting_max: int) -> list[OutboxRow]:
        """Rows to be sent now, as `outbox_due` with the live one first; noted as sent, on the disk, when it returns."""
        return await self._run(
            self._writing,
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
        return await self._run(
            self._writing,
            partial(self._parts.state.settle, uplink, tuple(receipts), instant_us=microseconds(instant_utc)),
        )

    async def outbox_shelve(self, uplink: str, seqs: Collection[int]) -> None:
        """Takes gap records or alarms out of the queue of a stream whose protocol has no words for them."""
        await self._run(self._writing, partial(self._parts.state.shelve, uplink, tuple(seqs)))

    async def outbox_retry_refused(self, uplink: str) -> int:
        """Puts what the platform refused back into the queue; returns how many."""
        return await self._run(self._writing, partial(self._parts.state.retry_refused, uplink))

    async def outbox_fetched(self, uplink: str, starts_utc: Sequence[datetime], *, instant_utc: datetime) -> int:
        """Notes that the platform has asked for the periods with these starts, and was served."""
        starts_us = [microseconds(start_utc) for start_utc in starts_utc]
        return await self._run(
            self._writing, partial(self._parts.state.fetched, uplink, starts_us, instant_us=microseconds(instant_utc))
        )

    async def outbox_send_again(self, uplink: str, payloads: Mapping[tuple[str, int], bytes]) -> int:
        """Puts delivered records back into the queue under their old epoch and number; returns how many.

        Bytes that differ from what was sent before are left out: one number never stands for two contents.
        """
        return await self._run(self._writing, partial(self._parts.state.send_again, uplink, dict(payloads)))

    async def deliveries(self, uplink: str, from_utc: datetime, to_utc: datetime) -> list[Delivery]:
        """What became of the records of the periods that begin in [from, to), oldest first."""
        return await self._run(
            self._reading,
            partial(self._parts.state_reader.deliveries, uplink, microseconds(from_utc), microseconds(to_utc)),
        )

    async def ledger_span_utc(self, uplink: str) -> tuple[datetime, datetime] | None:
        """Starts of the oldest and of the newest record that the ledger knows of a stream."""
        reader = self._parts.state_reader
        begin_us = await self._run(self._reading, partial(reader.ledger_begin_us, uplink))
        end_us = await self._run(self._reading, partial(reader.ledger_end_us, uplink))
        return None if begin_us is None or end_us is None else (instant(begin_us), instant(end_us))

    async def deliveries_consumed(
        self, uplink: str, settled_before_utc: datetime, *, limit: int, sent_max: int
    ) -> list[Delivery]:
        """Records that were delivered without an acknowledgement before an instant and do not wait, oldest first.

        Args:
            uplink: name of the stream.
            settled_before_utc: delivered before this instant.
            limit: most records.
            sent_max: only what was sent less often.
        """
        return await self._run(
            self._reading,
            partial(
                self._parts.state_reader.consumed,
                uplink,
                microseconds(settled_before_utc),
                limit=limit,
                sent_max=sent_max,
            ),
        )

    async def completeness(self, uplink: str, from_day: date, to_day: date) -> list[ChainedDay]:
        """The record that holds of each day of the site's calendar in [from, to], oldest first."""
        return await self._run(
            self._reading,
            partial(self._parts.state_reader.completeness, uplink, from_day.isoformat(), to_day.isoformat()),
        )

    async def append_day(self, uplink: str, day: date, record: Mapping[str, object]) -> None:
        """Chains a day's completeness, and forgets the oldest single records that are acknowledged."""
        await self._run(self._writing, partial(self._parts.state.append_day, uplink, day.isoformat(), record))

    async def put_alarm(self, uplinks: Sequence[str], payload: bytes, *, instant_utc: datetime) -> None:
        """Queues an alarm for streams, ahead of their records."""
        await self._run(
            self._writing,
            partial(self._parts.state.put_alarm, tuple(uplinks), payload, start_us=microseconds(instant_utc)),
        )

    async def put_gap(self, gap: Gap) -> None:
        """Declares to every stream that something will never come."""
        await self._run(self._writing, partial(self._parts.state.put_gap, gap))

    async def outbox_status(self, uplink: str) -> OutboxStatus:
        """How far an uplink is."""
        return await self._run(self._reading, partial(self._parts.state_reader.outbox_status, uplink))

    # ------------------------------------------------------------------------------------- audit, plans, own state

    async def audit(self, *entries: AuditEntry) -> None:
        """Adds entries to the audit's chain, all or none."""
        await self._run(self._writing, partial(self._parts.state.audit, *entries))

    async def audit_entries(self, limit: int) -> list[AuditEntry]:
        """The newest audit entries, newest first."""
        return await self._run(self._reading, partial(self._parts.state_reader.audit_entries, limit))

    async def audit_broken_at(self) -> int | None:
        """Number of the first audit entry that does not fit the chain; None when the chain is whole."""
        return await self._run(self._reading, self._parts.state_reader.audit_broken_at)

    async def audit_unfinished(self) -> dict[int, AuditEntry]:
        """Commands of the audit that have not come to an end, by number; of a stopped service only those awaited."""
        return await self._run(self._reading, self._parts.state_reader.audit_unfinished)

    async def put_plan(self, made_utc: datetime, plan_json: str) -> None:
        """Keeps a plan."""
        await self._run(self._writing, partial(self._parts.state.put_plan, made_utc, plan_json))

    async def latest_plan(self) -> tuple[datetime, str] | None:
        """The plan kept last: when it was made, and its JSON text."""
        return await self._run(self._reading, self._parts.state_reader.latest_plan)

    async def put_state(self, key: str, json_text: str) -> None:
        """Keeps a JSON text under a key."""
        await self._run(self._writing, partial(self._parts.state.put_state, key, json_text))

    async def get_state(self, key: str) -> str | None:
        """The JSON text under a key."""
        return await self._run(self._reading, partial(self._parts.state_reader.get_state, key))


def _is_full(error: sqlite3.OperationalError | OSError) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL


def _close_writers(parts: _Parts) -> None:
    parts.frames.close()
    parts.numbers.close()
    parts.state.close()
    parts.lock.close()


def _boot_id() -> str:
    try:
        return BOOT_ID_FILE.read_text(encoding="ascii").strip()
    except OSError:
        return ""
