"""The store as the service sees it: asyncio in front, one thread that writes and one that reads behind.

What returns has been committed with a full flush; what raises StoreFault was not accepted. Nothing else in the service
opens these databases for writing, and a lock keeps a second service out.
"""

import asyncio
import fcntl
import sqlite3
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import IO, TypeVar

from drivers.sample import Sample
from edge_agent.errors import StoreFault
from edge_agent.rollup import Period, Reading, Rollup, instant, microseconds
from edge_agent.store import frames
from edge_agent.store.database import sync_folder
from edge_agent.store.frame_numbers import FrameNumbers
from edge_agent.store.frames import FrameWriter
from edge_agent.store.outbox import WAITING_MAX
from edge_agent.store.reader import FRAMES_FOLDER
from edge_agent.store.rows import AuditEntry, Gap, OutboxEntry, OutboxRow, OutboxStatus, Receipt, StoredSample
from edge_agent.store.state import StateReader, StateWriter

BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")
MEGABYTE = 1_000_000
T = TypeVar("T")


@dataclass(slots=True)
class _Parts:
    """What the two threads work on."""

    lock: IO[str]
    state: StateWriter
    state_reader: StateReader
    frames: FrameWriter
    numbers: FrameNumbers


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
        self._opened: _Parts | None = None
        self._closed = False

    @classmethod
    async def open(cls, state_dir: Path, *, quota_mb: int, raw_days: int) -> "Store":
        """Opens the store of a state folder, and makes one where there is none.

        A damaged state.db or day file is set aside (renamed) and a fresh one started; salvage of what it held is not
        built yet.

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
            state = StateWriter(self._state_dir / "state.db", bytes_max=self._half_bytes)
            numbers = FrameNumbers(self._state_dir / "frame_sequence", used_max=frames.sequence_max(self._folder))
            return _Parts(
                lock=lock,
                state=state,
                state_reader=StateReader(self._state_dir / "state.db"),
                frames=FrameWriter(self._folder, bytes_max=self._half_bytes),
                numbers=numbers,
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

    async def _run(self, thread: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        if self._closed:
            raise StoreFault("数据库已关闭 / the store is closed")
        try:
            return await asyncio.get_running_loop().run_in_executor(thread, work)
        except (sqlite3.Error, OSError) as error:
            raise StoreFault(f"数据库拒绝 / the store refuses: {type(error).__name__}: {error}") from error

    # ------------------------------------------------------------------------------------------------ raw samples

    async def append_frame(self, samples: Sequence[Sample], *, instant_utc: datetime, elapsed_s: float) -> int:
        """Commits the samples of one scan.

        Args:
            samples: at least one.
            instant_utc: the scan's instant on the site's clock; decides the day file.
            elapsed_s: reading of the monotonic clock [s].

        Returns:
            The frame's number, after the commit: higher than every number before.

        Raises:
            StoreFault: nothing was accepted.
        """
        parts = self._parts
        return await self._run(self._writing, partial(self._append, parts, tuple(samples), instant_utc, elapsed_s))

    def _append(self, parts: _Parts, samples: Sequence[Sample], instant_utc: datetime, elapsed_s: float) -> int:
        instant_us = microseconds(instant_utc)
        day = frames.day_of(instant_us)
        if parts.frames.day != day:
            parts.frames.open_day(day)
            self._remove_old(instant_utc)
        sequence = parts.numbers.next()
        parts.frames.append(
            samples,
            sequence=sequence,
            instant_us=instant_us,
            elapsed_us=round(elapsed_s * 1e6),
            boot=self._boot,
        )
        return sequence

    def _remove_old(self, now_utc: datetime) -> None:
        """Unlinks old day files.

        A file is needed while an undelivered period begins on its day, or a period that reaches into it is not closed.
        Periods of all lengths are closed up to the same time and none is longer than a day, so two days before the
        newest closed end are safe; without any closed period everything is needed.
        """
        reader = StateReader(self._state_dir / "state.db")
        try:
            ends_us = list(reader.last_period_ends_us().values())
            oldest_us = reader.outbox_oldest_us()
        finally:
            reader.close()
        if not ends_us:
            return
        needed_us = max(ends_us) if oldest_us is None else min(max(ends_us), oldest_us)
        frames.remove_old(
            self._folder,
            keep_from=(now_utc - timedelta(days=self._raw_days)).date(),
            needed_from=frames.day_of(needed_us) - timedelta(days=2),
            bytes_max=self._half_bytes,
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
            self._reading, lambda: list(frames.read_samples(self._folder, from_utc, to_utc, points=points))
        )

    async def readings_between(self, from_utc: datetime, to_utc: datetime) -> dict[str, list[Reading]]:
        """Readings of [from, to) by point, as plain numbers for rollups; a value that was not GOOD is None."""
        return await self._run(
            self._reading, partial(frames.read_readings, self._folder, microseconds(from_utc), microseconds(to_utc))
        )

    async def first_instant_utc(self) -> datetime | None:
        """Instant of the oldest stored sample."""
        first_us = await self._run(self._reading, partial(frames.first_instant_us, self._folder))
        return None if first_us is None else instant(first_us)

    # ---------------------------------------------------------------------------------------- rollups and records

    async def close_period(self, period: Period, rollups: Sequence[Rollup], records: Sequence[OutboxEntry]) -> bool:
        """Stores a period's rollups and its records in one transaction.

        Returns:
            False when this period was closed before: then nothing is changed.
        """
        return await self._run(self._writing, partial(self._parts.state.close_period, period, rollups, records))

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
        """Closed periods that begin in [from, to), oldest first, at most so many, with the rollups of all points."""
        return await self._run(
            self._reading,
            partial(
                self._parts.state_reader.rollups_of_all,
                period_min,
                microseconds(from_utc),
                microseconds(to_utc),
                limit=limit,
            ),
        )

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

    async def outbox_retry_refused(self, uplink: str) -> int:
        """Puts what the platform refused back into the queue; returns how many."""
        return await self._run(self._writing, partial(self._parts.state.retry_refused, uplink))

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
