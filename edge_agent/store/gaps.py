"""What is known to be gone: one row each, declared to every stream in the same transaction."""

import json
import sqlite3

from edge_agent.rollup import instant, microseconds
from edge_agent.store import outbox
from edge_agent.store.rows import Gap

QUOTA_REASON = "quota"
"""Evicted for want of room."""


def declare(connection: sqlite3.Connection, gap: Gap) -> None:
    """Notes a gap and offers it to every stream; the caller holds the transaction."""
    points = None if gap.points is None else json.dumps(gap.points, ensure_ascii=False, separators=(",", ":"))
    connection.execute(
        "INSERT INTO gap (points, from_us, to_us, count, reason) VALUES (?, ?, ?, ?, ?)",
        (points, microseconds(gap.from_utc), microseconds(gap.to_utc), gap.count, gap.reason),
    )
    outbox.put_gap(connection, gap)


def between(connection: sqlite3.Connection, from_us: int, to_us: int) -> list[Gap]:
    """Gaps that touch [from, to), oldest first."""
    rows = connection.execute(
        "SELECT points, from_us, to_us, count, reason FROM gap WHERE from_us < ? AND to_us > ? ORDER BY from_us, id",
        (to_us, from_us),
    )
    return [
        Gap(None if points is None else tuple(json.loads(points)), instant(low_us), instant(high_us), count, reason)
        for points, low_us, high_us, count, reason in rows
    ]
