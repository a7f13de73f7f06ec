"""The audit: who commanded what, and what came of it; each entry carries the hash of the one before.

hash = SHA-256(hash before, 32 bytes, or 32 zero bytes; then the entry as JSON text in UTF-8 as stored). Changing or
removing an entry breaks the chain at that place; only the newest entries could be cut off unseen.
"""

import hashlib
import json
import logging
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime

from edge_agent.rollup import microseconds
from edge_agent.store.rows import AuditEntry

LOG = logging.getLogger(__name__)

GENESIS = bytes(32)
UNREADABLE = (ValueError, TypeError, AttributeError, KeyError)
OPEN = frozenset({"issued", "verified"})
"""Stages of a command after which another one is due."""
UNFINISHED_ENTRIES_MAX = 20_000
"""So many of the newest entries are searched at a start for commands without an end: weeks of commands, while the
longest effect is awaited for less than an hour."""


def _text(entry: AuditEntry) -> str:
    fields = asdict(entry) | {"instant_utc": entry.instant_utc.isoformat()}
    return json.dumps(fields, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _entry(text: bytes) -> AuditEntry:
    fields = json.loads(text.decode())
    entry = AuditEntry(**(fields | {"instant_utc": datetime.fromisoformat(fields["instant_utc"])}))
    if not isinstance(entry.number, int | None):
        raise TypeError(f"number {entry.number!r}")
    return entry


def _hash(before: bytes, text: bytes) -> bytes:
    return hashlib.sha256(before + text).digest()


def _sound(rows: Iterable[tuple[int, bytes]]) -> Iterator[AuditEntry]:
    """Entries that can be read: one flipped bit must not keep the service from starting; the chain tells of it.

    Their text is read as bytes: SQLite would refuse a whole query for one that is no UTF-8.
    """
    for number, text in rows:
        try:
            yield _entry(text)
        except UNREADABLE as error:
            LOG.error("audit entry cannot be read, it is left out number=%d reason=%s", number, error)  # noqa: TRY400 - the reason is enough


def drop_altered(connection: sqlite3.Connection) -> int:
    """Removes entries that a salvaged file gives otherwise than they were chained; returns how many.

    The chain is broken there, as it must be: an entry is missing.
    """
    before: tuple[int, bytes] | None = None
    altered = []
    for number, text, stored in connection.execute("SELECT id, CAST(entry AS BLOB), hash FROM audit ORDER BY id"):
        follows = before is not None and before[0] == number - 1
        try:
            _entry(text)
            sound = not (follows and before is not None and stored != _hash(before[1], text))
        except UNREADABLE:
            sound = False
        if not sound:
            altered.append((number,))
        before = number, stored
    connection.executemany("DELETE FROM audit WHERE id = ?", altered)
    return len(altered)


def append(connection: sqlite3.Connection, entry: AuditEntry) -> None:
    """Adds an entry; the caller holds the transaction."""
    newest = connection.execute("SELECT hash FROM audit ORDER BY id DESC LIMIT 1").fetchone()
    text = _text(entry)
    connection.execute(
        "INSERT INTO audit (instant_us, entry, hash) VALUES (?, ?, ?)",
        (microseconds(entry.instant_utc), text, _hash(newest[0] if newest else GENESIS, text.encode())),
    )


def entries(connection: sqlite3.Connection, limit: int) -> list[AuditEntry]:
    """The newest entries, newest first."""
    return list(
        _sound(connection.execute("SELECT id, CAST(entry AS BLOB) FROM audit ORDER BY id DESC LIMIT ?", (limit,)))
    )


def unfinished(oldest_first: Iterable[AuditEntry]) -> dict[int, AuditEntry]:
    """Commands that have not come to an end: the last entry of each, by the command's number.

    Args:
        oldest_first: entries in the order in which they were chained.
    """
    waiting: dict[int, AuditEntry] = {}
    for entry in oldest_first:
        if entry.number is None:
            continue
        if entry.outcome in OPEN:
            waiting[entry.number] = entry
        else:
            waiting.pop(entry.number, None)
    return waiting


def last_number(newest_first: Iterable[AuditEntry]) -> int:
    """Number of the last command; 0 when there is none."""
    return max((entry.number for entry in newest_first if entry.number is not None), default=0)


def all_unfinished(connection: sqlite3.Connection) -> dict[int, AuditEntry]:
    """Commands of the whole chain that have not come to an end, by number: none, but for those still awaited."""
    return unfinished(_sound(connection.execute("SELECT id, CAST(entry AS BLOB) FROM audit ORDER BY id")))


def broken_at(connection: sqlite3.Connection) -> int | None:
    """Number of the first entry that does not fit the chain; None when the chain is whole."""
    before = GENESIS
    expected = 1
    for number, text, stored in connection.execute("SELECT id, CAST(entry AS BLOB), hash FROM audit ORDER BY id"):
        if number != expected or stored != _hash(before, text):
            return int(number)
        before, expected = stored, number + 1
    return None
