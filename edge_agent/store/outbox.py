"""The only memory of unsent records: one row is one stream's one period, and it leaves on the platform's proof alone.

Numbers are without gaps within an epoch; the epoch is random and born with the stream's row in a database, so a lost
database starts a new one and never re-uses a number. A row is marked as sent, on the disk, before its bytes leave, so
that a receipt can only ever remove what was really sent. One that names a foreign epoch or a number never sent is
ignored as a whole and logged. A row that the platform refuses stays, apart from the queue, and is never dropped.
What became of each number is kept in `delivery` (edge_agent.store.deliveries reads it) in the same transactions.
"""

import hashlib
import json
import logging
import secrets
import sqlite3
import zlib
from collections import Counter
from collections.abc import Collection, Sequence

from edge_agent.rollup import Period, instant, microseconds, rfc3339
from edge_agent.store.rows import Fate, Gap, OutboxEntry, OutboxRow, OutboxStatus, Proof, Receipt

LOG = logging.getLogger(__name__)

EPOCH_BYTES = 8
DIGEST_BYTES = 8
RANGE_COUNT_MAX = 10_000
"""A receipt with more ranges than this is not believed."""
CLASS_FIRST, CLASS_RECORD = 0, 1
"""Alarms and gap records; records of periods."""
WAITING_MAX = 1_000_000
LATELY_US = 7 * 86_400_000_000
"""What was dropped within this time before the newest record is told as an alarm [us]."""
FATE_OF = {Proof.ACKNOWLEDGED: Fate.ACKNOWLEDGED, Proof.CONSUMED: Fate.CONSUMED}
AGAIN, CORRECTS = 1, 2
"""Values of `again`: delivered before and to be proven; a new number that corrects the period's earlier record."""
COLUMNS = "uplink, seq, start_us, period_min, payload, sent_count, kind, class, again"


def packed(payload: bytes) -> bytes:
    """A payload as it lies in the database: months of outage take a fifth of the space."""
    return zlib.compress(payload, 1)


def unpacked(stored: bytes) -> bytes:
    """A payload as it is sent; what an older release stored is JSON as it stands."""
    return stored if stored.startswith(b"{") else zlib.decompress(stored)


def digest(payload: bytes) -> bytes:
    """What tells a payload from an altered one."""
    return hashlib.sha256(payload).digest()[:DIGEST_BYTES]


def _number(connection: sqlite3.Connection, uplink: str) -> tuple[str, int]:
    """Gives out the stream's next number."""
    stream = connection.execute("SELECT epoch, seq_last FROM stream WHERE uplink = ?", (uplink,)).fetchone()
    if stream is None:
        stream = (secrets.token_hex(EPOCH_BYTES), 0)
        connection.execute("INSERT INTO stream (uplink, epoch) VALUES (?, ?)", (uplink, stream[0]))
    epoch, seq = stream[0], stream[1] + 1
    connection.execute("UPDATE stream SET seq_last = ? WHERE uplink = ?", (seq, uplink))
    return epoch, seq


def _reported(connection: sqlite3.Connection, codes: Sequence[str]) -> int | None:
    """Number of a list of codes; None for none."""
    if not codes:
        return None
    text = json.dumps(codes, ensure_ascii=False, separators=(",", ":"))
    connection.execute("INSERT OR IGNORE INTO reported (codes) VALUES (?)", (text,))
    (number,) = connection.execute("SELECT id FROM reported WHERE codes = ?", (text,)).fetchone()
    return int(number)


def put(connection: sqlite3.Connection, period: Period, entry: OutboxEntry) -> None:
    """Numbers a record, has its bytes made and stores them; the caller holds the transaction."""
    epoch, seq = _number(connection, entry.uplink)
    payload = entry.encode(epoch, seq)
    start_us = microseconds(period.start_utc)
    if entry.corrects:
        _replace(connection, entry.uplink, start_us=start_us, period_min=period.length_min)
    connection.execute(
        "INSERT INTO outbox (uplink, seq, class, kind, start_us, period_min, payload, again)"
        " VALUES (?, ?, ?, 'record', ?, ?, ?, ?)",
        (
            entry.uplink,
            seq,
            CLASS_RECORD,
            start_us,
            period.length_min,
            packed(payload),
            CORRECTS if entry.corrects else 0,
        ),
    )
    gaps = {cause: list(places) for cause, places in entry.gaps.items()}
    connection.execute(
        "INSERT INTO delivery (uplink, epoch, seq, kind, start_us, period_min, made_us, digest, reported, gaps, state)"
        " VALUES (?, ?, ?, 'record', ?, ?, ?, ?, ?, ?, ?)",
        (
            entry.uplink,
            epoch,
            seq,
            start_us,
            period.length_min,
            0 if entry.made_utc is None else microseconds(entry.made_utc),
            digest(payload),
            _reported(connection, entry.codes),
            json.dumps(gaps, separators=(",", ":")) if gaps else None,
            Fate.STORED,
        ),
    )


def _replace(connection: sqlite3.Connection, uplink: str, *, start_us: int, period_min: int) -> None:
    """Lets go of a period's earlier records: those that still wait go first, in their order, but for refused ones."""
    connection.execute(
        "DELETE FROM outbox WHERE uplink = ?1 AND refused IS NOT NULL AND seq IN"
        " (SELECT seq FROM delivery WHERE uplink = ?1 AND start_us = ?2 AND period_min = ?3 AND kind = 'record')",
        (uplink, start_us, period_min),
    )
    connection.execute(
        "UPDATE delivery SET state = 'replaced' WHERE uplink = ?1 AND start_us = ?2 AND period_min = ?3"
        " AND kind = 'record' AND state IN ('acknowledged', 'fetched', 'consumed', 'refused')",
        (uplink, start_us, period_min),
    )


def _is_held_back(connection: sqlite3.Connection, uplink: str, seq: int) -> bool:
    """Whether an earlier record of the period that a row corrects still waits: the platform keeps what comes last."""
    found = connection.execute(
        "SELECT 1 FROM outbox JOIN delivery ON delivery.uplink = outbox.uplink AND"
        " delivery.start_us = outbox.start_us AND delivery.period_min = outbox.period_min AND delivery.seq < outbox.seq"
        " JOIN outbox AS earlier ON earlier.uplink = delivery.uplink AND earlier.seq = delivery.seq"
        " WHERE outbox.uplink = ? AND outbox.seq = ? AND earlier.class = 1 AND earlier.refused IS NULL LIMIT 1",
        (uplink, seq),
    ).fetchone()
    return found is not None


def put_document(
    connection: sqlite3.Connection, uplink: str, *, kind: str, start_us: int, length_min: int, payload: bytes
) -> int:
    """Stores something else than a record (kind `gap` or `alarm`) for one stream, ahead of all records.

    The caller holds the transaction. The payload is neutral; a transport renders it with the row's epoch and number.

    Returns:
        Its number.
    """
    epoch, seq = _number(connection, uplink)
    connection.execute(
        "INSERT INTO outbox (uplink, seq, class, kind, start_us, period_min, payload) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (uplink, seq, CLASS_FIRST, kind, start_us, length_min, packed(payload)),
    )
    connection.execute(
        "INSERT INTO delivery (uplink, epoch, seq, kind, start_us, period_min, made_us, digest, state)"
        " VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?)",
        (uplink, epoch, seq, kind, start_us, length_min, digest(payload), Fate.STORED),
    )
    return seq


def put_gap(connection: sqlite3.Connection, gap: Gap, *, uplinks: Collection[str] | None = None) -> None:
    """Declares to every stream, or to some, that something will never come; the caller holds the transaction."""
    if uplinks is None:
        uplinks = [name for (name,) in connection.execute("SELECT uplink FROM stream ORDER BY uplink")]
    body = {
        "points": None if gap.points is None else list(gap.points),
        "from": rfc3339(gap.from_utc),
        "to": rfc3339(gap.to_utc),
        "count": gap.count,
        "reason": gap.reason,
    }
    payload = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    length_min = max(0, round((gap.to_utc - gap.from_utc).total_seconds() / 60))
    for uplink in uplinks:
        put_document(
            connection,
            uplink,
            kind="gap",
            start_us=microseconds(gap.from_utc),
            length_min=length_min,
            payload=payload,
        )


def evict(connection: sqlite3.Connection, uplink: str, *, count: int, reason: str) -> int:
    """Drops a stream's oldest undelivered records and declares the gap they leave; the caller holds the transaction.

    For the last resort of a full disk only. Alarms and gap records are never dropped.

    Returns:
        How many were dropped.
    """
    rows = connection.execute(
        "SELECT seq, start_us, period_min FROM outbox WHERE uplink = ? AND class = ? AND refused IS NULL AND again = 0"
        " ORDER BY seq LIMIT ?",
        (uplink, CLASS_RECORD, count),
    ).fetchall()
    return _drop(connection, uplink, rows, reason=reason)


def drop_damaged(connection: sqlite3.Connection, uplink: str, seqs: Collection[int]) -> int:
    """Drops rows whose bytes cannot be read any more and declares the gap; the caller holds the transaction."""
    rows = connection.execute(
        "SELECT seq, start_us, period_min FROM outbox WHERE uplink = ? AND seq IN (SELECT value FROM json_each(?))",
        (uplink, json.dumps(list(seqs))),
    ).fetchall()
    return _drop(connection, uplink, rows, reason="damaged")


def _drop(connection: sqlite3.Connection, uplink: str, rows: Sequence[tuple[int, int, int]], *, reason: str) -> int:
    if not rows:
        return 0
    (epoch,) = connection.execute("SELECT epoch FROM stream WHERE uplink = ?", (uplink,)).fetchone()
    connection.executemany("DELETE FROM outbox WHERE uplink = ? AND seq = ?", [(uplink, seq) for seq, _, _ in rows])
    # When it was dropped is told by the newest record of that time: no clock has a say in it.
    (newest_us,) = connection.execute("SELECT max(start_us) FROM delivery WHERE uplink = ?", (uplink,)).fetchone()
    connection.executemany(
        "UPDATE delivery SET state = ?, reason = ?, settled_us = ? WHERE uplink = ? AND epoch = ? AND seq = ?",
        [(Fate.EVICTED, reason, newest_us, uplink, epoch, seq) for seq, _, _ in rows],
    )
    from_us = min(start_us for _, start_us, _ in rows)
    to_us = max(start_us + length_min * 60_000_000 for _, start_us, length_min in rows)
    put_gap(connection, Gap(None, instant(from_us), instant(to_us), len(rows), reason), uplinks=[uplink])
    return len(rows)


def due(
    connection: sqlite3.Connection,
    uplink: str,
    *,
    limit: int,
    skip: Collection[int],
    live_first: bool,
    waiting_max: int = WAITING_MAX,
    damaged: list[int] | None = None,
) -> list[OutboxRow]:
    """Rows to be sent: alarms and gap records, the newest period, then the others from the oldest on.

    Args:
        connection: any connection.
        uplink: name of the stream.
        limit: most rows wanted.
        skip: sequence numbers that are not wanted now: they are on their way.
        live_first: put the newest row, if it was never sent, before the older ones.
        waiting_max: most rows of the backlog among them.
        damaged: takes the numbers of rows whose bytes cannot be read any more; they are left out.
    """
    stream = connection.execute("SELECT epoch FROM stream WHERE uplink = ?", (uplink,)).fetchone()
    if stream is None or limit < 1:
        return []
    order = connection.execute(
        "SELECT seq, class, again FROM outbox WHERE uplink = ? AND refused IS NULL ORDER BY class, seq LIMIT ?",
        (uplink, limit + len(skip)),
    ).fetchall()
    order = [
        (seq, rank)
        for seq, rank, again in order
        if seq not in skip and not (again == CORRECTS and _is_held_back(connection, uplink, seq))
    ]
    first = [seq for seq, rank in order if rank == CLASS_FIRST]
    newest = connection.execute(
        "SELECT seq FROM outbox WHERE uplink = ? AND class = ? AND refused IS NULL AND sent_count = 0 AND again = 0"
        " ORDER BY class DESC, seq DESC LIMIT 1",
        (uplink, CLASS_RECORD),
    ).fetchone()
    if live_first and newest is not None and _is_last(connection, uplink, newest[0]) and newest[0] not in skip:
        first.append(newest[0])
    wanted = [*first, *[seq for seq, rank in order if rank != CLASS_FIRST and seq not in first][: max(0, waiting_max)]]
    wanted = wanted[:limit]
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM outbox WHERE uplink = ? AND seq IN (SELECT value FROM json_each(?))",  # noqa: S608 - own constant
        (uplink, json.dumps(wanted)),
    ).fetchall()
    found: dict[int, OutboxRow] = {}
    for name, number, start_us, length_min, payload, sent_count, kind, _, again in rows:
        try:
            found[number] = OutboxRow(
                name,
                stream[0],
                number,
                instant(start_us),
                length_min,
                unpacked(payload),
                sent_count,
                kind=kind,
                live=number in first,
                again=again == AGAIN,
            )
        except zlib.error as error:
            LOG.error("a stored record is damaged uplink=%s seq=%d reason=%s", uplink, number, error)  # noqa: TRY400 - the reason is enough
            if damaged is not None:
                damaged.append(number)
    return [found[seq] for seq in wanted if seq in found]


def _is_last(connection: sqlite3.Connection, uplink: str, seq: int) -> bool:
    """Whether no record of a later period was ever made, whatever became of it: all behind the newest is backlog."""
    later = connection.execute(
        "SELECT 1 FROM delivery AS own JOIN stream USING (uplink, epoch) JOIN delivery AS later"
        " ON later.uplink = own.uplink AND later.epoch = own.epoch AND later.start_us > own.start_us"
        " AND later.seq > own.seq AND later.kind = 'record' WHERE own.uplink = ? AND own.seq = ? LIMIT 1",
        (uplink, seq),
    ).fetchone()
    return later is None


def mark_sent(
    connection: sqlite3.Connection, uplink: str, seqs: Collection[int], *, live: Collection[int] = ()
) -> list[int]:
    """Notes that rows are about to be sent; the caller holds the transaction and sends only after its commit.

    Args:
        connection: the writer's.
        uplink: name of the stream.
        seqs: numbers of the rows.
        live: those among them that leave on time.

    Returns:
        The numbers that still wait: one that was acknowledged meanwhile need not be sent.
    """
    epoch = connection.execute("SELECT epoch FROM stream WHERE uplink = ?", (uplink,)).fetchone()
    if epoch is None:
        return []
    sent_before = dict(
        connection.execute(
            "SELECT outbox.seq, max(outbox.sent_count, coalesce(delivery.sent_count, 0)) FROM outbox LEFT JOIN delivery"
            " ON delivery.uplink = outbox.uplink AND delivery.epoch = ? AND delivery.seq = outbox.seq"
            " WHERE outbox.uplink = ? AND outbox.seq IN (SELECT value FROM json_each(?))",
            (epoch[0], uplink, json.dumps(list(seqs))),
        )
    )
    kept = [seq for seq in seqs if seq in sent_before]
    resent = sum(sent_before[seq] > 0 for seq in kept)
    if not kept:
        return []
    connection.execute(
        "UPDATE stream SET seq_sent_max = max(seq_sent_max, ?), resent_count = resent_count + ? WHERE uplink = ?",
        (max(kept), resent, uplink),
    )
    those = json.dumps(kept)
    connection.execute(
        "UPDATE outbox SET sent_count = sent_count + 1 WHERE uplink = ? AND seq IN (SELECT value FROM json_each(?))",
        (uplink, those),
    )
    connection.execute(
        "UPDATE delivery SET sent_count = sent_count + 1, state = iif(state = 'stored', 'sent', state), backfilled ="
        " iif(sent_count = 0, seq NOT IN (SELECT value FROM json_each(?1)), backfilled)"
        " WHERE uplink = ?2 AND epoch = ?3 AND seq IN (SELECT value FROM json_each(?4))",
        (json.dumps(list(live)), uplink, epoch[0], those),
    )
    return kept


def _ranges_fault(receipt: Receipt, *, sent_max: int) -> str | None:
    """What makes a receipt unbelievable; None when nothing does."""
    if len(receipt.ranges) > RANGE_COUNT_MAX:
        return f"{len(receipt.ranges)} ranges"
    if receipt.hwm < 0 or any(not 0 < low <= high for low, high in receipt.ranges):
        return f"hwm={receipt.hwm} ranges={receipt.ranges[:3]} make no sense"
    highest = max([receipt.hwm, *(high for _, high in receipt.ranges)])
    if highest > sent_max:
        return f"names number {highest}, the highest ever sent is {sent_max}"
    return None


def settle(connection: sqlite3.Connection, uplink: str, receipt: Receipt, *, instant_us: int) -> list[int]:
    """Removes the rows that a receipt proves, and keeps apart those that it refuses; the caller holds the transaction.

    Args:
        connection: the writer's.
        uplink: name of the stream.
        receipt: what the platform says.
        instant_us: when [us since 1970 UTC].

    Returns:
        Numbers that need no further sending: proven or refused.
    """
    stream = connection.execute("SELECT epoch, seq_sent_max FROM stream WHERE uplink = ?", (uplink,)).fetchone()
    if stream is None or stream[0] != receipt.epoch:
        LOG.warning(
            "acknowledgement of a foreign epoch ignored uplink=%s epoch=%s ours=%s",
            uplink,
            receipt.epoch,
            None if stream is None else stream[0],
        )
        return []
    fault = _ranges_fault(receipt, sent_max=stream[1])
    if fault is not None:
        LOG.warning("acknowledgement ignored uplink=%s reason=%s", uplink, fault)
        return []
    refused = [
        seq
        for seq, reason in receipt.refused
        if refuse(connection, uplink, epoch=receipt.epoch, seq=seq, reason=reason)
    ]
    fate = FATE_OF[receipt.proof]
    gone = [
        seq
        for (seq,) in connection.execute(
            "DELETE FROM outbox WHERE uplink = ?1 AND seq IN"
            # CROSS: the ranges outside, so that each finds its rows by the key; else every waiting row is looked at.
            " (SELECT waiting.seq FROM json_each(?2) AS named CROSS JOIN outbox AS waiting ON waiting.uplink = ?1"
            " AND waiting.seq BETWEEN named.value ->> 0 AND named.value ->> 1"
            " WHERE waiting.sent_count > 0 AND waiting.refused IS NULL) RETURNING seq",
            (uplink, json.dumps([(1, receipt.hwm), *receipt.ranges])),
        )
    ]
    if fate is Fate.ACKNOWLEDGED:  # what is named by itself may have been consumed long before
        connection.execute(
            "UPDATE delivery SET state = ?, settled_us = ? WHERE uplink = ? AND epoch = ?"
            " AND seq IN (SELECT value FROM json_each(?)) AND state IN ('consumed', 'fetched')",
            (fate, instant_us, uplink, receipt.epoch, json.dumps([low for low, high in receipt.ranges if low == high])),
        )
    those_gone = json.dumps(gone)
    connection.execute(
        "UPDATE delivery SET state = ?1, settled_us = ?2, reason = NULL WHERE uplink = ?3 AND epoch = ?4"
        " AND seq IN (SELECT value FROM json_each(?5))"
        " AND (state NOT IN ('acknowledged', 'fetched') OR ?1 = 'acknowledged')",
        (fate, instant_us, uplink, receipt.epoch, those_gone),
    )
    connection.execute(
        "UPDATE delivery SET state = 'replaced' WHERE uplink = ?1 AND epoch = ?2 AND kind = 'record'"
        " AND seq IN (SELECT value FROM json_each(?3))"
        " AND EXISTS (SELECT 1 FROM delivery AS later WHERE later.uplink = ?1 AND later.start_us = delivery.start_us"
        " AND later.period_min = delivery.period_min AND later.epoch = ?2 AND later.seq > delivery.seq"
        " AND later.kind = 'record')",
        (uplink, receipt.epoch, those_gone),
    )
    if gone or not refused:
        connection.execute("UPDATE stream SET acknowledged_us = ? WHERE uplink = ?", (instant_us, uplink))
    return gone + refused


def refuse(connection: sqlite3.Connection, uplink: str, *, epoch: str, seq: int, reason: str) -> bool:
    """Takes a sent row that the platform refuses out of the queue, and keeps it; the caller holds the transaction."""
    changed = connection.execute(
        "UPDATE outbox SET refused = ? WHERE uplink = ? AND seq = ? AND sent_count > 0"
        " AND EXISTS (SELECT 1 FROM stream WHERE stream.uplink = outbox.uplink AND epoch = ?)",
        (reason, uplink, seq, epoch),
    ).rowcount
    if changed:
        connection.execute(
            "UPDATE delivery SET state = ?, reason = ? WHERE uplink = ? AND epoch = ? AND seq = ?",
            (Fate.REFUSED, reason, uplink, epoch, seq),
        )
    return changed > 0


def shelve(connection: sqlite3.Connection, uplink: str, seqs: Collection[int]) -> None:
    """Takes out what the stream's protocol has no words for: the ledger has it. The caller holds the transaction."""
    (epoch,) = connection.execute("SELECT epoch FROM stream WHERE uplink = ?", (uplink,)).fetchone()
    connection.executemany("DELETE FROM outbox WHERE uplink = ? AND seq = ?", [(uplink, seq) for seq in seqs])
    connection.executemany(
        "UPDATE delivery SET state = ?, reason = 'protocol' WHERE uplink = ? AND epoch = ? AND seq = ?",
        [(Fate.REFUSED, uplink, epoch, seq) for seq in seqs],
    )


def retry(connection: sqlite3.Connection, uplink: str) -> int:
    """Puts what the platform refused back into the queue; the caller holds the transaction. Returns how many."""
    seqs = [
        seq
        for (seq,) in connection.execute(
            # From now on it counts as never sent: an old receipt must not take it away before it has gone again.
            "UPDATE outbox SET refused = NULL, sent_count = 0 WHERE uplink = ? AND refused IS NOT NULL RETURNING seq",
            (uplink,),
        )
    ]
    connection.executemany(
        "UPDATE delivery SET state = ?, reason = NULL WHERE uplink = ? AND seq = ? AND state = ?",
        [(Fate.SENT, uplink, seq, Fate.REFUSED) for seq in seqs],
    )
    return len(seqs)


def send_again(connection: sqlite3.Connection, uplink: str, *, epoch: str, seq: int, payload: bytes) -> bool:
    """Puts a delivered record back into the queue with its old number, when its bytes are the old ones.

    The caller holds the transaction.

    Returns:
        False when the number is unknown, of another epoch, still waiting, or the bytes differ from those sent before.
    """
    row = connection.execute(
        "SELECT start_us, period_min, digest, sent_count FROM delivery JOIN stream USING (uplink, epoch)"
        " WHERE uplink = ? AND epoch = ? AND seq = ?",
        (uplink, epoch, seq),
    ).fetchone()
    if row is None or row[2] != digest(payload):
        return False
    added = connection.execute(
        "INSERT OR IGNORE INTO outbox (uplink, seq, class, kind, start_us, period_min, payload, sent_count, again)"
        " VALUES (?, ?, ?, 'record', ?, ?, ?, 0, 1)",  # not sent yet: an old receipt must not take it away
        (uplink, seq, CLASS_RECORD, row[0], row[1], packed(payload)),
    ).rowcount
    return added > 0


def status(connection: sqlite3.Connection, uplink: str) -> OutboxStatus:
    """How far a stream is."""
    stream = connection.execute(
        "SELECT epoch, seq_last, resent_count, acknowledged_us FROM stream WHERE uplink = ?", (uplink,)
    ).fetchone()
    if stream is None:
        return OutboxStatus(0, None, None, 0, 0, 0, 0)
    epoch, seq_last, resent, acknowledged_us = stream
    backlog, oldest_us, refused, payload_bytes, reason = connection.execute(
        "SELECT count(*), min(iif(class = 1 AND again = 0, start_us, NULL)), count(refused),"
        " coalesce(sum(length(payload)), 0), min(refused) FROM outbox"
        " WHERE uplink = ?",
        (uplink,),
    ).fetchone()
    counts = connection.execute(
        "SELECT state, epoch = ?, count(*) FROM delivery WHERE uplink = ? AND state <> 'acknowledged' GROUP BY 1, 2",
        (epoch, uplink),
    ).fetchall()
    fates: Counter[str] = Counter()
    for state, _, count in counts:
        fates[state] += count
    open_of_epoch = sum(count for _, own, count in counts if own)
    evicted_lately = 0
    if Fate.EVICTED in fates:
        (evicted_lately,) = connection.execute(
            "SELECT count(*) FROM delivery WHERE uplink = ?1 AND state = 'evicted' AND state <> 'acknowledged'"
            " AND coalesce(settled_us, start_us) >= (SELECT max(start_us) FROM delivery WHERE uplink = ?1) - ?2",
            (uplink, LATELY_US),
        ).fetchone()
    return OutboxStatus(
        backlog=backlog,
        oldest_utc=None if oldest_us is None else instant(oldest_us),
        last_ack_utc=None if acknowledged_us is None else instant(acknowledged_us),
        due=seq_last,
        acknowledged=seq_last - open_of_epoch,
        resent=resent,
        refused=refused,
        unacknowledged=fates.get(Fate.CONSUMED, 0),
        fetched=fates.get(Fate.FETCHED, 0),
        evicted=fates.get(Fate.EVICTED, 0),
        evicted_lately=evicted_lately,
        replaced=fates.get(Fate.REPLACED, 0),
        backlog_bytes=payload_bytes,
        refused_reason=reason or "",
    )


def oldest_start_us(connection: sqlite3.Connection) -> int | None:
    """Start of the oldest period that may still be delivered [us since 1970 UTC].

    A refused row holds its own bytes and needs no raw frames; it must not keep the disk from being cleared. Nor does a
    gap record, nor what goes a second time.
    """
    (oldest_us,) = connection.execute(
        "SELECT min(start_us) FROM outbox WHERE refused IS NULL AND class = ? AND again = 0", (CLASS_RECORD,)
    ).fetchone()
    return None if oldest_us is None else int(oldest_us)
