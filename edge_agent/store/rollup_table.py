"""The table of closed periods, looked at along its key only: it holds years, and scans wait meanwhile."""

import sqlite3
from collections.abc import Iterator

LENGTH_AFTER = "SELECT min(period_min) FROM rollup WHERE period_min > ?"
MINUTE_US = 60_000_000


def lengths(connection: sqlite3.Connection) -> Iterator[int]:
    """Lengths of which any period is kept [min], shortest first; one look along the key for each."""
    (length,) = connection.execute(LENGTH_AFTER, (0,)).fetchone()
    while length is not None:
        yield int(length)
        (length,) = connection.execute(LENGTH_AFTER, (length,)).fetchone()


def mark_stale(connection: sqlite3.Connection, from_us: int, to_us: int) -> int:
    """Marks the periods that touch [from, to); returns how many. The caller holds the transaction."""
    return sum(
        connection.execute(
            "UPDATE rollup SET stale = stale + 1 WHERE period_min = ? AND start_us > ? AND start_us < ?",
            (length, from_us - length * MINUTE_US, to_us),
        ).rowcount
        for length in lengths(connection)
    )


def first_start_us(connection: sqlite3.Connection, length_min: int) -> int | None:
    """Start of the oldest period of a length that is still kept [us since 1970 UTC]."""
    (start_us,) = connection.execute("SELECT min(start_us) FROM rollup WHERE period_min = ?", (length_min,)).fetchone()
    return None if start_us is None else int(start_us)


def last_end_us(connection: sqlite3.Connection, length_min: int) -> int | None:
    """End of the last closed period of a length [us since 1970 UTC]."""
    (start_us,) = connection.execute("SELECT max(start_us) FROM rollup WHERE period_min = ?", (length_min,)).fetchone()
    return None if start_us is None else int(start_us) + length_min * MINUTE_US


def last_ends_us(connection: sqlite3.Connection) -> dict[int, int]:
    """End of the last closed period of every length that is kept [us since 1970 UTC]."""
    ends_us = {length: last_end_us(connection, length) for length in lengths(connection)}
    return {length: end_us for length, end_us in ends_us.items() if end_us is not None}
