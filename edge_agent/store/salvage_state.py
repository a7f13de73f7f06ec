"""Brings what is sound in a damaged state.db into the fresh one that took its place, before the service goes on.

Undelivered records keep epoch and number, for the numbering goes on above the marks kept beside the database; numbers
that cannot be accounted for are declared. A row whose columns are not of their types, or whose digest does not fit, is
left in the file that was set aside.
"""

import logging
import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from edge_agent.rollup import instant
from edge_agent.store import audit, damaged_file, gaps, outbox
from edge_agent.store.damage import Row, sound_rows
from edge_agent.store.rows import Fate, Gap

LOG = logging.getLogger(__name__)

REASON = "damaged"
LENGTHS_MIN = (1, 2, 3, 5, 6, 10, 12, 15, 20, 30, 60, 120, 180, 240, 360, 480, 720, 1440)
"""Lengths of periods that are looked for in a damaged table [min]."""
FATES = frozenset(Fate)
MINUTE_US = 60_000_000
GAP_COUNT_MAX = 100
"""More runs of missing numbers than this are declared as one."""
MISSING_MAX = 100_000
"""So many numbers of a stream, at most, are accounted for one by one."""
TYPES: Mapping[str, tuple[type, ...]] = {
    "INTEGER": (int, type(None)),
    "TEXT": (str, type(None)),
    "BLOB": (bytes, type(None)),
}


@dataclass(frozen=True, slots=True)
class _Table:
    """A table, and how its rows are found when the whole of it cannot be read.

    Attributes:
        name: of the table.
        key: integer column by which ranges are halved; its index or the columns before it are given by `prefix`.
        prefix: column that stands before it in the primary key.
        step: distance of two keys: ranges are not halved below it.
        descending: when nothing else works, from both ends.
    """

    name: str
    key: str | None
    prefix: str | None = None
    step: int = 1


TABLES = (
    _Table("state", None),
    _Table("point", "id"),
    _Table("stream", None),
    _Table("reported", "id"),
    _Table("outbox", "seq", "uplink"),
    _Table("delivery", "seq", "uplink"),
    _Table("rollup", "start_us", "period_min", step=MINUTE_US),
    _Table("audit", "id"),
    _Table("plan", "id"),
    _Table("completeness", "id"),
    _Table("gap", "id"),
)


def salvage(aside: Path, fresh: sqlite3.Connection, *, head: bytes | None, marks: Mapping[str, tuple[str, int]]) -> str:
    """Salvages state.db.

    Args:
        aside: the damaged file.
        fresh: the writer's connection to the new one, in which nothing is yet.
        head: the first page of the damaged file, kept while it was sound.
        marks: epoch and highest number that may have been used, by stream.

    Returns:
        What was brought over, for the log.
    """
    counts: dict[str, int] = {}
    fresh.execute("PRAGMA foreign_keys = OFF")
    try:
        with damaged_file.opened(aside, head=head, table="stream") as damaged:
            fresh.execute("BEGIN IMMEDIATE")
            if damaged is not None:
                prefixes = {"uplink": _uplinks(damaged, marks), "period_min": LENGTHS_MIN}
                for table in TABLES:
                    counts[table.name] = _copy(damaged, fresh, table, prefixes)
                counts["audit"] -= audit.drop_altered(fresh)
            _streams(fresh, marks, end_us=round(aside.stat().st_mtime * 1e6))
            fresh.execute("COMMIT")
    except BaseException:
        if fresh.in_transaction:
            fresh.execute("ROLLBACK")
        raise
    finally:
        fresh.execute("PRAGMA foreign_keys = ON")
    return " ".join(f"{name}={count}" for name, count in counts.items()) or "nothing"


def _uplinks(damaged: sqlite3.Connection, marks: Mapping[str, tuple[str, int]]) -> Sequence[str]:
    names = set(marks)
    try:
        names.update(name for (name,) in damaged.execute("SELECT uplink FROM stream") if isinstance(name, str))
    except sqlite3.DatabaseError as error:
        LOG.warning("streams of the damaged file cannot be listed: %s", error)
    return sorted(names)


def _copy(
    damaged: sqlite3.Connection, fresh: sqlite3.Connection, table: _Table, prefixes: Mapping[str, Sequence[object]]
) -> int:
    """Copies the sound rows of a table; returns how many."""
    wanted = {row[1]: row[2].upper() for row in fresh.execute(f"PRAGMA table_info({table.name})")}
    try:
        present = {row[1] for row in damaged.execute(f"PRAGMA table_info({table.name})")}
    except sqlite3.DatabaseError:
        return 0
    columns = [column for column in wanted if column in present]
    if not columns:
        return 0
    insert = f"INSERT OR IGNORE INTO {table.name} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 - own words
    count = 0
    for row in _sound(damaged, table, columns, prefixes):
        types = (TYPES[wanted[column].split()[0]] for column in columns)
        if not all(isinstance(value, kind) for value, kind in zip(row, types, strict=True)):
            continue
        if table.name == "delivery" and row[columns.index("state")] not in FATES:
            continue
        try:
            count += fresh.execute(insert, row).rowcount
        except (sqlite3.IntegrityError, OverflowError):
            continue  # a row that breaks a rule of the schema is a damaged row
    return count


def _sound(
    damaged: sqlite3.Connection, table: _Table, columns: Sequence[str], prefixes: Mapping[str, Sequence[object]]
) -> Iterator[Row]:
    query = f"SELECT {', '.join(columns)} FROM {table.name}"  # noqa: S608 - own words
    try:
        yield from damaged.execute(query).fetchall()
    except (sqlite3.DatabaseError, OverflowError) as error:
        LOG.warning("table damaged, its sound rows are read table=%s reason=%s", table.name, error)
    else:
        return
    if table.key is None:
        yield from _from_both_ends(damaged, query)
        return
    for prefix in prefixes[table.prefix] if table.prefix else (None,):
        condition = f"{table.key} BETWEEN ? AND ?" + (f" AND {table.prefix} = ?" if table.prefix else "")
        more = () if prefix is None else (prefix,)

        ranged = f"{query} WHERE {condition} ORDER BY {table.key}"

        def read(low: int, high: int, ranged: str = ranged, more: tuple[object, ...] = more) -> Iterator[Row]:
            return damaged.execute(ranged, (low, high, *more))

        yield from sound_rows(read, key_at=columns.index(table.key), step=table.step)


def _from_both_ends(damaged: sqlite3.Connection, query: str) -> Iterator[Row]:
    """The rows before the first hole, and those behind the last one."""
    for order in ("", " ORDER BY 1 DESC"):
        try:
            yield from damaged.execute(query + order)
        except (sqlite3.DatabaseError, OverflowError):
            continue


def _streams(fresh: sqlite3.Connection, marks: Mapping[str, tuple[str, int]], *, end_us: int) -> None:
    """Lets each stream go on above its mark, and accounts for every number below."""
    salvaged = {row[0]: row for row in fresh.execute("SELECT uplink, epoch, seq_last FROM stream").fetchall()}
    for uplink, (epoch, last) in marks.items():
        row = salvaged.pop(uplink, None)
        if row is not None and row[1] != epoch:
            _forget(fresh, uplink)
        fresh.execute("INSERT OR IGNORE INTO stream (uplink, epoch) VALUES (?, ?)", (uplink, epoch))
        fresh.execute(
            "UPDATE stream SET epoch = ?1, seq_last = max(seq_last, ?2), seq_sent_max = max(seq_sent_max, ?2)"
            " WHERE uplink = ?3",
            (epoch, last, uplink),
        )
        _account(fresh, uplink, epoch, end_us=end_us)
    for uplink in salvaged:  # no mark: what numbers were used after the last one that is known cannot be told
        _forget(fresh, uplink)


def _forget(fresh: sqlite3.Connection, uplink: str) -> None:
    """A stream whose numbering cannot go on begins a new epoch; its undelivered periods are declared."""
    low_us, high_us, count = fresh.execute(
        "SELECT min(start_us), max(start_us + period_min * 60000000), count(*) FROM outbox WHERE uplink = ?", (uplink,)
    ).fetchone()
    fresh.execute("DELETE FROM outbox WHERE uplink = ?", (uplink,))
    fresh.execute(
        "UPDATE delivery SET state = ?, reason = ? WHERE uplink = ? AND state IN ('stored', 'sent')",
        (Fate.EVICTED, REASON, uplink),
    )
    fresh.execute("DELETE FROM stream WHERE uplink = ?", (uplink,))
    if count:
        gaps.declare(fresh, Gap(None, instant(low_us), instant(high_us), count, REASON))
    LOG.error("numbering of a stream cannot go on, a new epoch begins uplink=%s undelivered=%d", uplink, count)


def _as_it_was(stored: bytes, digest: bytes) -> bool:
    try:
        return outbox.digest(outbox.unpacked(stored)) == digest
    except zlib.error:
        return False


def _account(fresh: sqlite3.Connection, uplink: str, epoch: str, *, end_us: int) -> None:
    """Declares the numbers of a stream of which nothing is known, and drops rows whose bytes are not as they were."""
    # An epoch that one row alone names is a flipped bit, not an epoch.
    fresh.execute(
        "DELETE FROM delivery WHERE uplink = ?1 AND epoch <> ?2 AND epoch IN"
        " (SELECT epoch FROM delivery WHERE uplink = ?1 GROUP BY epoch HAVING count(*) = 1)",
        (uplink, epoch),
    )
    for seq, payload, digest in fresh.execute(
        "SELECT seq, payload, digest FROM outbox JOIN delivery USING (uplink, seq) WHERE uplink = ? AND epoch = ?"
        " AND length(digest) > 0",
        (uplink, epoch),
    ).fetchall():
        if not _as_it_was(payload, digest):
            fresh.execute("DELETE FROM outbox WHERE uplink = ? AND seq = ?", (uplink, seq))
            fresh.execute("DELETE FROM delivery WHERE uplink = ? AND epoch = ? AND seq = ?", (uplink, epoch, seq))
    # A record that waits and has no entry in the ledger, or the other way round, is one or the other's loss.
    fresh.execute(
        "INSERT OR IGNORE INTO delivery (uplink, epoch, seq, kind, start_us, period_min, made_us, digest, state,"
        " sent_count, reason) SELECT uplink, ?2, seq, kind, start_us, period_min, 0, x'',"
        " CASE WHEN refused IS NOT NULL THEN 'refused' WHEN sent_count > 0 THEN 'sent' ELSE 'stored' END,"
        " sent_count, refused FROM outbox WHERE uplink = ?1",
        (uplink, epoch),
    )
    fresh.execute(
        "UPDATE delivery SET state = ?, reason = ? WHERE uplink = ? AND epoch = ? AND state IN ('stored', 'sent')"
        " AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.uplink = delivery.uplink AND outbox.seq = delivery.seq)",
        (Fate.EVICTED, REASON, uplink, epoch),
    )
    (last,) = fresh.execute("SELECT seq_last FROM stream WHERE uplink = ?", (uplink,)).fetchone()
    known = dict(
        fresh.execute(
            "SELECT seq, start_us FROM delivery WHERE uplink = ? AND epoch = ? AND NOT (state = ? AND reason = ?)",
            (uplink, epoch, Fate.EVICTED, REASON),
        )
    )
    missing = [seq for seq in range(max(1, last - MISSING_MAX), last + 1) if seq not in known]
    if not missing:
        return
    newest_us = max([end_us, *known.values()])
    runs = [[seq for _, seq in run] for _, run in groupby(enumerate(missing), key=lambda pair: pair[1] - pair[0])]
    declared = [
        Gap(
            None,
            instant(known.get(run[0] - 1, 0)),  # from 1970: nothing is known before it
            instant(max(known.get(run[0] - 1, 0), known.get(run[-1] + 1, newest_us))),
            len(run),
            REASON,
        )
        for run in runs
    ]
    fresh.executemany(
        "INSERT OR IGNORE INTO delivery (uplink, epoch, seq, kind, start_us, period_min, made_us, digest, state,"
        " reason) VALUES (?, ?, ?, 'record', ?, 0, 0, x'', ?, ?)",
        [(uplink, epoch, seq, newest_us, Fate.EVICTED, REASON) for seq in missing],
    )
    if len(declared) > GAP_COUNT_MAX:
        low, high = min(gap.from_utc for gap in declared), max(gap.to_utc for gap in declared)
        declared = [Gap(None, low, high, len(missing), REASON)]
    for gap in declared:
        gaps.declare(fresh, gap)
