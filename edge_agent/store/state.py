"""state.db: rollups, outbox, audit, plans and the service's own state; synchronous, for one writer thread.

Every method that changes something commits before it returns, or changes nothing.
"""

import logging
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from edge_agent.errors import StoreFault
from edge_agent.rollup import Period, Rollup, instant, microseconds
from edge_agent.store import (
    audit,
    damaged_file,
    database,
    deliveries,
    gaps,
    outbox,
    rollup_codec,
    rollup_table,
    salvage_frames,
    salvage_state,
    state_room,
    words,
)
from edge_agent.store.rows import AuditEntry, ChainedDay, Delivery, Gap, OutboxEntry, OutboxRow, OutboxStatus, Receipt
from edge_agent.store.stream_marks import StreamMarks

LOG = logging.getLogger(__name__)

KIND = "schema"
MARKS_FILE = "stream_sequence"
SALVAGED_KEY = "store.salvaged"
"""Names of the damaged day files from which everything sound has been taken."""
PLAN_COUNT_MAX = 10_000
"""Plans kept: more than a hundred days of quarter hours."""
EVICTION_KEY = "store.eviction"
"""What has been declared as evicted and is perhaps still there."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StaleRollup:
    """A closed period to which readings have come since.

    Attributes:
        period: the period.
        marks: how often.
    """

    period: Period
    marks: int


class StateWriter:
    """The one connection that writes state.db."""

    def __init__(self, path: Path, *, bytes_max: int) -> None:
        """Opens the file, checks it and brings it to the newest schema.

        A damaged one is set aside, and what is sound in it is taken over at once: control's memory is in it.
        """
        self._path = path
        self._bytes_max = bytes_max
        self._connection, aside = database.open_checked(path, database.scripts(KIND), bytes_max=bytes_max)
        self._marks = StreamMarks(path.with_name(MARKS_FILE))
        if aside is not None:
            self._salvage(path, aside)
        self._marks.cover(self._connection)
        damaged_file.keep_head(path, self._connection)
        self._point_ids: dict[str, int] = {}
        self._read_points()

    def _salvage(self, path: Path, aside: Path) -> None:
        kept = damaged_file.head_path(path)
        head = kept.read_bytes() if kept.exists() else None
        found = salvage_state.salvage(aside, self._connection, head=head, marks=self._marks.reserved)
        LOG.warning("salvaged file=%s %s", aside.name, found)

    def salvaged(self, found: salvage_frames.Salvaged, *, note: str) -> None:
        """Declares what is missing after a day file was salvaged, and lets its rollups be computed again."""
        with self._transaction() as connection:
            for gap in found.gaps:
                gaps.declare(connection, gap)
            if found.span_us is not None:
                rollup_table.mark_stale(connection, found.span_us[0], found.span_us[1] + 1)
            _put_state(connection, SALVAGED_KEY, note)

    def _read_points(self) -> None:
        self._point_ids = {name: number for number, name in self._connection.execute("SELECT id, name FROM point")}

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
            self._marks.cover(self._connection)
            self._connection.execute("COMMIT")
        except BaseException as error:
            if isinstance(error, sqlite3.Error):
                words.place(error, self._path)
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._read_points()
            raise

    def close_period(self, period: Period, rollups: Sequence[Rollup], entries: Sequence[OutboxEntry]) -> bool:
        """Stores the rollups of a period and its records, all or nothing.

        Returns:
            False when the period was closed before: then nothing is changed.
        """
        with self._transaction() as connection:
            self._know(connection, rollups)
            inserted = connection.execute(
                "INSERT OR IGNORE INTO rollup (period_min, start_us, layout, columns) VALUES (?, ?, ?, ?)",
                (
                    period.length_min,
                    microseconds(period.start_utc),
                    *rollup_codec.encode(rollups, ids=self._point_ids),
                ),
            ).rowcount
            if inserted:
                for entry in entries:
                    outbox.put(connection, period, entry)
        return inserted > 0

    def _know(self, connection: sqlite3.Connection, rollups: Sequence[Rollup]) -> None:
        fresh = [(rollup.point,) for rollup in rollups if rollup.point not in self._point_ids]
        if fresh:
            connection.executemany("INSERT INTO point (name) VALUES (?)", fresh)
            self._read_points()

    def mark_stale(self, from_us: int, to_us: int) -> int:
        """Notes that readings of [from, to) come after their periods were closed; returns how many periods."""
        with self._transaction() as connection:
            return rollup_table.mark_stale(connection, from_us, to_us)

    def refresh(self, stale: StaleRollup, rollups: Sequence[Rollup], entries: Sequence[OutboxEntry] = ()) -> bool:
        """Replaces rollups that were recomputed from the frames, and queues what corrects the records of the old ones.

        Returns:
            False when more readings have come meanwhile: then nothing is changed.
        """
        with self._transaction() as connection:
            self._know(connection, rollups)
            changed = connection.execute(
                "UPDATE rollup SET layout = ?, columns = ?, stale = 0"
                " WHERE period_min = ? AND start_us = ? AND stale = ?",
                (
                    *rollup_codec.encode(rollups, ids=self._point_ids),
                    stale.period.length_min,
                    microseconds(stale.period.start_utc),
                    stale.marks,
                ),
            ).rowcount
            if changed:
                for entry in entries:
                    outbox.put(connection, stale.period, entry)
        return changed > 0

    def put_correction(self, period: Period, entry: OutboxEntry) -> None:
        """Queues a record that corrects an earlier one of its period."""
        with self._transaction() as connection:
            outbox.put(connection, period, entry)

    def mark_sent(self, uplink: str, seqs: Collection[int], *, live: Collection[int] = ()) -> list[int]:
        """Notes that rows are about to be sent; returns those that still wait."""
        with self._transaction() as connection:
            return outbox.mark_sent(connection, uplink, seqs, live=live)

    def take(
        self, uplink: str, *, limit: int, skip: Collection[int], live_first: bool, waiting_max: int
    ) -> list[OutboxRow]:
        """Rows to be sent, noted as sent in the same transaction."""
        damaged: list[int] = []
        with self._transaction() as connection:
            rows = outbox.due(
                connection,
                uplink,
                limit=limit,
                skip=skip,
                live_first=live_first,
                waiting_max=waiting_max,
                damaged=damaged,
            )
            outbox.drop_damaged(connection, uplink, damaged)
            outbox.mark_sent(connection, uplink, [row.seq for row in rows], live=[row.seq for row in rows if row.live])
            return rows

    def settle(self, uplink: str, receipts: Sequence[Receipt], *, instant_us: int) -> list[list[int]]:
        """Takes receipts; returns for each the numbers that need no further sending."""
        with self._transaction() as connection:
            return [outbox.settle(connection, uplink, receipt, instant_us=instant_us) for receipt in receipts]

    def shelve(self, uplink: str, seqs: Collection[int]) -> None:
        """Takes out what the stream's protocol has no words for."""
        with self._transaction() as connection:
            outbox.shelve(connection, uplink, seqs)

    def retry_refused(self, uplink: str) -> int:
        """Puts what the platform refused back into the queue; returns how many."""
        with self._transaction() as connection:
            return outbox.retry(connection, uplink)

    def fetched(self, uplink: str, periods_us: Sequence[tuple[int, int]], *, instant_us: int) -> int:
        """Notes that the platform has asked for periods and was served."""
        with self._transaction() as connection:
            return deliveries.fetched(connection, uplink, periods_us, instant_us=instant_us)

    def send_again(self, uplink: str, payloads: Mapping[tuple[str, int], bytes]) -> int:
        """Puts delivered records back into the queue; returns how many."""
        with self._transaction() as connection:
            return deliveries.send_again(connection, uplink, payloads)

    def append_day(self, uplink: str, day: str, record: Mapping[str, object]) -> None:
        """Chains a day's completeness, and forgets the oldest single records."""
        with self._transaction() as connection:
            deliveries.append_day(connection, uplink, day, record)
            deliveries.remove_old(connection, uplink)

    def put_alarm(self, uplinks: Sequence[str], payload: bytes, *, start_us: int) -> None:
        """Queues an alarm for streams, ahead of their records."""
        with self._transaction() as connection:
            for uplink in uplinks:
                outbox.put_document(connection, uplink, kind="alarm", start_us=start_us, length_min=0, payload=payload)

    def put_gap(self, gap: Gap) -> None:
        """Declares to every stream that something will never come."""
        with self._transaction() as connection:
            gaps.declare(connection, gap)

    def declare_eviction(self, gap: Gap, *, note: str) -> None:
        """Declares what is about to be removed outside this file, and remembers that it is to be removed."""
        with self._transaction() as connection:
            if gap.count:
                gaps.declare(connection, gap)
            _put_state(connection, EVICTION_KEY, note)

    def make_room(self) -> str:
        """Removes what may go when this file nears its quota; returns what, empty: nothing or no need."""
        if state_room.used_ratio(self._connection, bytes_max=self._bytes_max) <= state_room.ROOM_RATIO_MAX:
            return ""
        with state_room.reserve(self._connection), self._transaction() as connection:
            return state_room.make_room(connection)

    def audit(self, *entries: AuditEntry) -> None:
        """Adds entries to the chain, all or none."""
        with self._transaction() as connection:
            for entry in entries:
                audit.append(connection, entry)

    def put_plan(self, made_utc: datetime, plan_json: str) -> None:
        """Keeps a plan."""
        with self._transaction() as connection:
            connection.execute("INSERT INTO plan (made_us, plan) VALUES (?, ?)", (microseconds(made_utc), plan_json))
            connection.execute("DELETE FROM plan WHERE id <= (SELECT max(id) FROM plan) - ?", (PLAN_COUNT_MAX,))

    def put_state(self, key: str, json_text: str) -> None:
        """Keeps a value under a key."""
        with self._transaction() as connection:
            _put_state(connection, key, json_text)

    def close(self) -> None:
        """Closes the connection; what was written ahead of the streams' numbers and not used is given back."""
        self._marks.cover(self._connection, ahead=0)
        self._connection.close()


def _decoded(
    blob: bytes, layout: int, period: Period, names: Mapping[int, str], *, only: int | None = None
) -> list[Rollup] | None:
    """Rollups of a stored row; None, and a word in the log, when they cannot be read."""
    try:
        return rollup_codec.decode(blob, layout=layout, period=period, names=names, only=only)
    except StoreFault as error:
        LOG.error("%s start=%s length_min=%d", error, period.start_utc.isoformat(), period.length_min)  # noqa: TRY400 - the reason is enough
        return None


def _put_state(connection: sqlite3.Connection, key: str, json_text: str) -> None:
    connection.execute(
        "INSERT INTO state (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (key, json_text),
    )


class StateReader:
    """A connection that reads state.db, in any thread, one at a time."""

    def __init__(self, path: Path) -> None:
        """Opens the file for reading only."""
        self._connection = database.open_read(path)

    def version(self) -> int:
        """Number of the file's schema; 0: it has none."""
        return database.version(self._connection)

    def last_period_end_us(self, period_min: int) -> int | None:
        """End of the last closed period of a length [us since 1970 UTC]."""
        return rollup_table.last_end_us(self._connection, period_min)

    def last_period_ends_us(self) -> dict[int, int]:
        """End of the last closed period of every length that was ever closed."""
        return rollup_table.last_ends_us(self._connection)

    def first_start_us(self, period_min: int) -> int | None:
        """Start of the oldest period of a length that is still kept [us since 1970 UTC]."""
        return rollup_table.first_start_us(self._connection, period_min)

    def rollups(self, point: str, period_min: int, from_us: int, to_us: int) -> list[Rollup]:
        """Rollups of one point for the periods that begin in [from, to), oldest first."""
        names: dict[int, str] = dict(self._connection.execute("SELECT id, name FROM point"))
        only = next((number for number, name in names.items() if name == point), None)
        if only is None:
            return []
        rows = self._connection.execute(
            "SELECT start_us, layout, columns FROM rollup WHERE period_min = ? AND start_us >= ? AND start_us < ?"
            " ORDER BY start_us",
            (period_min, from_us, to_us),
        )
        return [
            rollup
            for start_us, layout, blob in rows
            for rollup in _decoded(blob, layout, Period(instant(start_us), period_min), names, only=only) or ()
        ]

    def closed(
        self, period_min: int, from_us: int, to_us: int, *, points: Collection[str] | None
    ) -> dict[datetime, list[Rollup] | None]:
        """Rollups of the closed periods that begin in [from, to), by start; None where they are stale."""
        names: dict[int, str] = dict(self._connection.execute("SELECT id, name FROM point"))
        rows = self._connection.execute(
            "SELECT start_us, layout, columns, stale FROM rollup WHERE period_min = ? AND start_us >= ?"
            " AND start_us < ? ORDER BY start_us",
            (period_min, from_us, to_us),
        )
        found: dict[datetime, list[Rollup] | None] = {}
        for start_us, layout, blob, stale in rows:
            period = Period(instant(start_us), period_min)
            rollups = None if stale else _decoded(blob, layout, period, names)
            if rollups is not None and points is not None:
                rollups = [rollup for rollup in rollups if rollup.point in points]
            found[period.start_utc] = rollups
        return found

    def gaps(self, from_us: int, to_us: int) -> list[Gap]:
        """What is known to be gone of [from, to)."""
        return gaps.between(self._connection, from_us, to_us)

    def stale(self, limit: int, *, until_us: int | None = None) -> list[StaleRollup]:
        """Periods that end at or before an instant and whose rollups wait to be recomputed, oldest first."""
        rows = self._connection.execute(
            "SELECT period_min, start_us, stale FROM rollup WHERE stale > 0"
            " AND (?1 IS NULL OR start_us + period_min * 60000000 <= ?1) ORDER BY start_us LIMIT ?2",
            (until_us, limit),
        )
        return [StaleRollup(Period(instant(start_us), period_min), stale) for period_min, start_us, stale in rows]

    def rollups_of_all(
        self, period_min: int, from_us: int, to_us: int, *, limit: int
    ) -> list[tuple[Period, dict[str, Rollup]]]:
        """Closed periods that begin in [from, to), oldest first, at most so many, with the rollups of all points."""
        names: dict[int, str] = dict(self._connection.execute("SELECT id, name FROM point"))
        rows = self._connection.execute(
            "SELECT start_us, layout, columns FROM rollup WHERE period_min = ? AND start_us >= ? AND start_us < ?"
            " ORDER BY start_us LIMIT ?",
            (period_min, from_us, to_us, limit),
        )
        found = []
        for start_us, layout, blob in rows:
            period = Period(instant(start_us), period_min)
            rollups = _decoded(blob, layout, period, names) or ()
            found.append((period, {rollup.point: rollup for rollup in rollups}))
        return found

    def period(self, period: Period) -> dict[str, Rollup]:
        """Rollups of one closed period, by point."""
        start_us = microseconds(period.start_utc)
        return dict(
            *(rollups for _, rollups in self.rollups_of_all(period.length_min, start_us, start_us + 1, limit=1))
        )

    def outbox_due(
        self,
        uplink: str,
        *,
        limit: int,
        skip: Collection[int],
        live_first: bool,
        waiting_max: int = outbox.WAITING_MAX,
    ) -> list[OutboxRow]:
        """Rows to be sent."""
        # Several statements, one look: a snapshot keeps them together while the writer works.
        return self._snapshot(
            lambda: outbox.due(
                self._connection, uplink, limit=limit, skip=skip, live_first=live_first, waiting_max=waiting_max
            )
        )

    def deliveries(self, uplink: str, from_us: int, to_us: int) -> list[Delivery]:
        """What became of the records of a span."""
        return list(deliveries.between(self._connection, uplink, from_us, to_us))

    def ledger_begin_us(self, uplink: str) -> int | None:
        """Start of the oldest record that the ledger knows of a stream [us since 1970 UTC]."""
        return deliveries.begin_us(self._connection, uplink)

    def ledger_end_us(self, uplink: str) -> int | None:
        """Start of the newest record that the ledger knows of a stream [us since 1970 UTC]."""
        return deliveries.end_us(self._connection, uplink)

    def consumed(
        self, uplink: str, settled_before_us: int, *, after_us: int, limit: int, sent_max: int
    ) -> list[Delivery]:
        """Records that were delivered without an acknowledgement before an instant."""
        return deliveries.consumed(
            self._connection, uplink, settled_before_us, after_us=after_us, limit=limit, sent_max=sent_max
        )

    def replaced_starts_us(self, uplink: str, from_us: int) -> list[int]:
        """Starts of the periods whose delivered record was corrected [us since 1970 UTC]."""
        return deliveries.replaced_starts_us(self._connection, uplink, from_us)

    def stream_names(self) -> list[str]:
        """Streams that were ever given a number."""
        return deliveries.names(self._connection)

    def completeness(self, uplink: str, from_day: str, to_day: str) -> list[ChainedDay]:
        """The record that holds of each day in [from, to]."""
        return deliveries.days(self._connection, uplink, from_day, to_day)

    def completeness_broken_at(self) -> int | None:
        """Number of the first daily record that does not fit the chain."""
        return deliveries.broken_at(self._connection)

    def outbox_status(self, uplink: str) -> OutboxStatus:
        """How far an uplink is."""
        return self._snapshot(lambda: outbox.status(self._connection, uplink))

    def outbox_oldest_us(self) -> int | None:
        """Start of the oldest undelivered period [us since 1970 UTC]."""
        return outbox.oldest_start_us(self._connection)

    def audit_entries(self, limit: int) -> list[AuditEntry]:
        """The newest entries, newest first."""
        return audit.entries(self._connection, limit)

    def audit_broken_at(self) -> int | None:
        """Number of the first entry that does not fit the chain."""
        return audit.broken_at(self._connection)

    def audit_unfinished(self) -> dict[int, AuditEntry]:
        """Commands without an end, by number."""
        return audit.all_unfinished(self._connection)

    def latest_plan(self) -> tuple[datetime, str] | None:
        """The plan kept last, and when it was made."""
        row = self._connection.execute("SELECT made_us, plan FROM plan ORDER BY id DESC LIMIT 1").fetchone()
        return None if row is None else (instant(row[0]), row[1])

    def get_state(self, key: str) -> str | None:
        """The value under a key."""
        row = self._connection.execute("SELECT CAST(value AS BLOB) FROM state WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        try:
            return bytes(row[0]).decode()
        except UnicodeDecodeError as error:
            LOG.error("value cannot be read, it counts as not there key=%s reason=%s", key, error)  # noqa: TRY400 - the reason is enough
            return None

    def _snapshot(self, read: Callable[[], T]) -> T:
        self._connection.execute("BEGIN")
        try:
            return read()
        finally:
            self._connection.execute("COMMIT")

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()
