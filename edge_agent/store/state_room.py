"""Room within state.db, whose size is limited by its own quota: what goes first when it is nearly reached.

First plans and the rollups of the uplinks' own periods that are made of quarter hours again, then shorter periods,
then the oldest quarter hours, and only when none is left the oldest undelivered records; alarms, gap records, the audit
and the service's own state never. Whatever cannot be made again leaves a declared gap, in the same transaction.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from edge_agent.rollup import QUARTER_MIN, instant
from edge_agent.store import database, gaps, outbox, rollup_table
from edge_agent.store.gaps import QUOTA_REASON
from edge_agent.store.rows import Gap

ROOM_RATIO_MAX = 0.9
"""Above this share of its quota room is made."""
PLANS_KEPT = 100
QUARTERS_KEPT = 4 * 96
"""Quarter hours that stay in any case: forecasts and accounts look back at least so far."""
ROLLUP_ROWS = 96
"""Removed at a time: a day of quarter hours."""
RECORD_ROWS = 48
RESERVE_PAGES = 64


def used_ratio(connection: sqlite3.Connection, *, bytes_max: int) -> float:
    """Share of the quota [bytes] that holds something; above 1 where a migration needed more."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    return float((pages - free) * database.PAGE_BYTES / bytes_max)


@contextmanager
def reserve(connection: sqlite3.Connection) -> Iterator[None]:
    """A few pages beyond the quota: rows that are removed free no whole page, and their gap needs one."""
    (most,) = connection.execute("PRAGMA max_page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {most + RESERVE_PAGES}")
    try:
        yield
    finally:
        connection.execute(f"PRAGMA max_page_count = {most}")


def make_room(connection: sqlite3.Connection) -> str:
    """Removes the next thing; the caller holds the transaction.

    Returns:
        What was removed, for the log; empty when there is nothing that may go.
    """
    # The longer ones first: quarter hours hold them as well.
    own_min = sorted((length for length in rollup_table.lengths(connection) if length != QUARTER_MIN), reverse=True)
    return (
        _plans(connection)
        or next(filter(None, (_rollups(connection, length) for length in own_min)), "")
        or _rollups(connection, QUARTER_MIN)
        or _records(connection)
    )


def _plans(connection: sqlite3.Connection) -> str:
    count = connection.execute("DELETE FROM plan WHERE id <= (SELECT max(id) FROM plan) - ?", (PLANS_KEPT,)).rowcount
    return f"{count} plans" if count > 0 else ""


def _rollups(connection: sqlite3.Connection, length_min: int) -> str:
    """The oldest rollups of a length."""
    end_us = rollup_table.last_end_us(connection, QUARTER_MIN)
    if end_us is None:
        return ""
    rows = connection.execute(
        "SELECT period_min, start_us FROM rollup WHERE period_min = ? AND start_us < ? ORDER BY start_us LIMIT ?",
        (length_min, end_us - (QUARTERS_KEPT + 1) * QUARTER_MIN * 60_000_000, ROLLUP_ROWS),
    ).fetchall()
    if not rows:
        return ""
    connection.executemany("DELETE FROM rollup WHERE period_min = ? AND start_us = ?", rows)
    if length_min <= QUARTER_MIN or length_min % QUARTER_MIN:
        end_us = rows[-1][1] + length_min * 60_000_000
        gaps.declare(connection, Gap(None, instant(rows[0][1]), instant(end_us), len(rows), QUOTA_REASON))
    return f"{len(rows)} rollups"


def _records(connection: sqlite3.Connection) -> str:
    """The oldest undelivered records of the stream that has most of them."""
    row = connection.execute(
        "SELECT uplink, count(*) AS waiting FROM outbox WHERE class = ? AND refused IS NULL GROUP BY uplink"
        " ORDER BY waiting DESC LIMIT 1",
        (outbox.CLASS_RECORD,),
    ).fetchone()
    if row is None or row[1] <= RECORD_ROWS:
        return ""
    count = outbox.evict(connection, row[0], count=RECORD_ROWS, reason=QUOTA_REASON)
    return f"{count} undelivered records of {row[0]}" if count else ""
