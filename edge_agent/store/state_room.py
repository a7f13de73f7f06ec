"""Room within state.db, whose size is limited by its own quota: what goes first when it is nearly reached.

First plans and the rollups of the uplinks' own periods that the quarter hours hold as well, then the oldest quarter
hours, and only when none is left the oldest undelivered records; alarms, gap records, the audit and the service's own
state never. Whatever goes leaves a declared gap, in the same transaction.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from edge_agent.rollup import QUARTER_MIN, instant
from edge_agent.store import gaps, outbox
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
QUOTA_REASON = "quota"


def used_ratio(connection: sqlite3.Connection) -> float:
    """Share of the most pages that hold something."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    (most,) = connection.execute("PRAGMA max_page_count").fetchone()
    return float((pages - free) / most)


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
    return _plans(connection) or _rollups(connection, own_periods=True) or _rollups(connection) or _records(connection)


def _plans(connection: sqlite3.Connection) -> str:
    count = connection.execute("DELETE FROM plan WHERE id <= (SELECT max(id) FROM plan) - ?", (PLANS_KEPT,)).rowcount
    return f"{count} plans" if count > 0 else ""


def _rollups(connection: sqlite3.Connection, *, own_periods: bool = False) -> str:
    """The oldest rollups: of periods that quarter hours hold as well, or of quarter hours."""
    sign = "<>" if own_periods else "="
    (newest_us,) = connection.execute(
        "SELECT max(start_us) FROM rollup WHERE period_min = ?", (QUARTER_MIN,)
    ).fetchone()
    if newest_us is None:
        return ""
    keep_us = newest_us - QUARTERS_KEPT * QUARTER_MIN * 60_000_000
    rows = connection.execute(
        f"SELECT period_min, start_us FROM rollup WHERE period_min {sign} ? AND start_us < ? ORDER BY start_us LIMIT ?",  # noqa: S608 - own words
        (QUARTER_MIN, keep_us, ROLLUP_ROWS),
    ).fetchall()
    if not rows:
        return ""
    connection.executemany("DELETE FROM rollup WHERE period_min = ? AND start_us = ?", rows)
    if not own_periods:
        end_us = rows[-1][1] + QUARTER_MIN * 60_000_000
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
