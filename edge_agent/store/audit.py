"""The audit: who commanded what, and what came of it; each entry carries the hash of the one before.

hash = SHA-256(hash before, 32 bytes, or 32 zero bytes; then the entry as JSON text in UTF-8 as stored). Changing or
removing an entry breaks the chain at that place; only the newest entries could be cut off unseen.
"""

import hashlib
import json
import sqlite3
from dataclasses import asdict
from datetime import datetime

from edge_agent.rollup import microseconds
from edge_agent.store.rows import AuditEntry

GENESIS = bytes(32)


def _text(entry: AuditEntry) -> str:
    fields = asdict(entry) | {"instant_utc": entry.instant_utc.isoformat()}
    return json.dumps(fields, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _entry(text: str) -> AuditEntry:
    fields = json.loads(text)
    return AuditEntry(**(fields | {"instant_utc": datetime.fromisoformat(fields["instant_utc"])}))


def _hash(before: bytes, text: str) -> bytes:
    return hashlib.sha256(before + text.encode()).digest()


def append(connection: sqlite3.Connection, entry: AuditEntry) -> None:
    """Adds an entry; the caller holds the transaction."""
    newest = connection.execute("SELECT hash FROM audit ORDER BY id DESC LIMIT 1").fetchone()
    text = _text(entry)
    connection.execute(
        "INSERT INTO audit (instant_us, entry, hash) VALUES (?, ?, ?)",
        (microseconds(entry.instant_utc), text, _hash(newest[0] if newest else GENESIS, text)),
    )


def entries(connection: sqlite3.Connection, limit: int) -> list[AuditEntry]:
    """The newest entries, newest first."""
    rows = connection.execute("SELECT entry FROM audit ORDER BY id DESC LIMIT ?", (limit,))
    return [_entry(text) for (text,) in rows]


def broken_at(connection: sqlite3.Connection) -> int | None:
    """Number of the first entry that does not fit the chain; None when the chain is whole."""
    before = GENESIS
    expected = 1
    for number, text, stored in connection.execute("SELECT id, entry, hash FROM audit ORDER BY id"):
        if number != expected or stored != _hash(before, text):
            return int(number)
        before, expected = stored, number + 1
    return None
