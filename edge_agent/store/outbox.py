"""The only memory of unsent records: one row is one uplink's one period, and it leaves on acknowledgement alone.

Numbers are without gaps within an epoch; the epoch is random and born with the uplink's row in a database, so a lost
database starts a new one and never re-uses a number. A row is marked as sent, on the disk, before its bytes leave, so
that an acknowledgement can only ever remove what was really sent. One that names a foreign epoch or a number never sent
is ignored as a whole and logged. A row that the platform refuses stays, apart from the queue, and is never dropped.
"""

import logging
import secrets
import sqlite3
from collections.abc import Collection, Sequence

from edge_agent.rollup import Period, instant, microseconds
from edge_agent.store.rows import OutboxEntry, OutboxRow, OutboxStatus

LOG = logging.getLogger(__name__)

EPOCH_BYTES = 8
RANGE_COUNT_MAX = 10_000
"""An acknowledgement with more ranges than this is not believed."""
COLUMNS = "uplink, seq, start_us, period_min, payload, sent_count"


def put(connection: sqlite3.Connection, period: Period, entry: OutboxEntry) -> None:
    """Numbers a record, has its bytes made and stores them; the caller holds the transaction."""
    stream = connection.execute("SELECT epoch, seq_last FROM stream WHERE uplink = ?", (entry.uplink,)).fetchone()
    if stream is None:
        stream = (secrets.token_hex(EPOCH_BYTES), 0)
        connection.execute("INSERT INTO stream (uplink, epoch) VALUES (?, ?)", (entry.uplink, stream[0]))
    epoch, seq_last = stream
    seq = seq_last + 1
    connection.execute("UPDATE stream SET seq_last = ? WHERE uplink = ?", (seq, entry.uplink))
    connection.execute(
        "INSERT INTO outbox (uplink, seq, start_us, period_min, payload) VALUES (?, ?, ?, ?, ?)",
        (entry.uplink, seq, microseconds(period.start_utc), period.length_min, entry.encode(epoch, seq)),
    )


def due(
    connection: sqlite3.Connection, uplink: str, *, limit: int, skip: Collection[int], live_first: bool
) -> list[OutboxRow]:
    """Rows to be sent, oldest first.

    Args:
        connection: any connection.
        uplink: name of the uplink.
        limit: most rows wanted.
        skip: sequence numbers that are not wanted now, at most a few dozen: they are on their way.
        live_first: put the newest row, if it was never sent, before the older ones.
    """
    stream = connection.execute("SELECT epoch FROM stream WHERE uplink = ?", (uplink,)).fetchone()
    if stream is None or limit < 1:
        return []
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM outbox WHERE uplink = ? AND refused IS NULL ORDER BY seq LIMIT ?",  # noqa: S608 - own constant
        (uplink, limit + len(skip)),
    ).fetchall()
    rows = [row for row in rows if row[1] not in skip][:limit]
    if live_first and rows:
        newest = connection.execute(
            f"SELECT {COLUMNS} FROM outbox WHERE uplink = ? ORDER BY seq DESC LIMIT 1",  # noqa: S608 - own constant
            (uplink,),
        ).fetchone()
        if newest[1] not in skip and newest[5] == 0:
            rows = [newest, *(row for row in rows if row[1] != newest[1])][:limit]
    return [
        OutboxRow(name, stream[0], seq, instant(start_us), period_min, payload, sent_count)
        for name, seq, start_us, period_min, payload, sent_count in rows
    ]


def mark_sent(connection: sqlite3.Connection, uplink: str, seqs: Collection[int]) -> list[int]:
    """Notes that rows are about to be sent; the caller holds the transaction and sends only after its commit.

    Returns:
        The numbers that still wait: one that was acknowledged meanwhile need not be sent.
    """
    seqs = [
        seq
        for seq in seqs
        if connection.execute("SELECT 1 FROM outbox WHERE uplink = ? AND seq = ?", (uplink, seq)).fetchone()
    ]
    connection.executemany(
        "UPDATE stream SET seq_sent_max = max(seq_sent_max, ?1), resent_count = resent_count + "
        "(SELECT sent_count > 0 FROM outbox WHERE uplink = ?2 AND seq = ?1) WHERE uplink = ?2",
        [(seq, uplink) for seq in seqs],
    )
    connection.executemany(
        "UPDATE outbox SET sent_count = sent_count + 1 WHERE uplink = ? AND seq = ?", [(uplink, seq) for seq in seqs]
    )
    return seqs


def _ranges_fault(hwm: int, ranges: Sequence[tuple[int, int]], *, sent_max: int) -> str | None:
    """What makes an acknowledgement unbelievable; None when nothing does."""
    if len(ranges) > RANGE_COUNT_MAX:
        return f"{len(ranges)} ranges"
    if hwm < 0 or any(not 0 < low <= high for low, high in ranges):
        return f"hwm={hwm} ranges={ranges[:3]} make no sense"
    highest = max([hwm, *(high for _, high in ranges)])
    if highest > sent_max:
        return f"names number {highest}, the highest ever sent is {sent_max}"
    return None


def acknowledge(
    connection: sqlite3.Connection,
    uplink: str,
    *,
    epoch: str,
    hwm: int,
    ranges: Sequence[tuple[int, int]],
    instant_us: int,
) -> int:
    """Removes the rows that the platform holds; the caller holds the transaction.

    Args:
        connection: the writer's.
        uplink: name of the uplink.
        epoch: epoch named by the acknowledgement.
        hwm: every number up to this one is held.
        ranges: inclusive ranges above it that are held as well.
        instant_us: when [us since 1970 UTC].

    Returns:
        How many rows left.
    """
    stream = connection.execute("SELECT epoch, seq_sent_max FROM stream WHERE uplink = ?", (uplink,)).fetchone()
    if stream is None or stream[0] != epoch:
        LOG.warning(
            "acknowledgement of a foreign epoch ignored uplink=%s epoch=%s ours=%s",
            uplink,
            epoch,
            None if stream is None else stream[0],
        )
        return 0
    fault = _ranges_fault(hwm, ranges, sent_max=stream[1])
    if fault is not None:
        LOG.warning("acknowledgement ignored uplink=%s reason=%s", uplink, fault)
        return 0
    gone = 0
    for low, high in [(1, hwm), *ranges]:
        gone += connection.execute(
            "DELETE FROM outbox WHERE uplink = ? AND seq BETWEEN ? AND ? AND sent_count > 0", (uplink, low, high)
        ).rowcount
    connection.execute("UPDATE stream SET acknowledged_us = ? WHERE uplink = ?", (instant_us, uplink))
    return gone


def refuse(connection: sqlite3.Connection, uplink: str, *, epoch: str, seq: int, reason: str) -> bool:
    """Takes a sent row that the platform refuses out of the queue, and keeps it; the caller holds the transaction."""
    changed = connection.execute(
        "UPDATE outbox SET refused = ? WHERE uplink = ? AND seq = ? AND sent_count > 0"
        " AND EXISTS (SELECT 1 FROM stream WHERE stream.uplink = outbox.uplink AND epoch = ?)",
        (reason, uplink, seq, epoch),
    ).rowcount
    return changed > 0


def status(connection: sqlite3.Connection, uplink: str) -> OutboxStatus:
    """How far an uplink is."""
    stream = connection.execute(
        "SELECT seq_last, resent_count, acknowledged_us FROM stream WHERE uplink = ?", (uplink,)
    ).fetchone()
    if stream is None:
        return OutboxStatus(0, None, None, 0, 0, 0, 0)
    seq_last, resent, acknowledged_us = stream
    backlog, oldest_us, refused = connection.execute(
        "SELECT count(*), min(start_us), count(refused) FROM outbox WHERE uplink = ?", (uplink,)
    ).fetchone()
    return OutboxStatus(
        backlog=backlog,
        oldest_utc=None if oldest_us is None else instant(oldest_us),
        last_ack_utc=None if acknowledged_us is None else instant(acknowledged_us),
        due=seq_last,
        acknowledged=seq_last - backlog,
        resent=resent,
        refused=refused,
    )


def oldest_start_us(connection: sqlite3.Connection) -> int | None:
    """Start of the oldest period that may still be delivered [us since 1970 UTC].

    A refused row holds its own bytes and needs no raw frames; it must not keep the disk from being cleared.
    """
    (oldest_us,) = connection.execute("SELECT min(start_us) FROM outbox WHERE refused IS NULL").fetchone()
    return None if oldest_us is None else int(oldest_us)
