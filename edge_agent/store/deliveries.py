"""What became of each number that was given out, and the chain of daily completeness records. It sends nothing.

The chain: hash = SHA-256(hash before, 32 bytes, or 32 zero bytes; then the record as JSON text in UTF-8 as stored), one
chain over all streams in the order of writing. Changing or removing a record breaks it at that place.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence

from edge_agent.rollup import instant
from edge_agent.store import outbox
from edge_agent.store.rows import ChainedDay, Delivery, Fate

GENESIS = bytes(32)
KEPT_COUNT = 300_000
"""Numbers that are remembered of each stream: more than eight years of quarter hours."""
COLUMNS = (
    "uplink, epoch, seq, kind, start_us, period_min, made_us, digest, codes, gaps, state, sent_count, backfilled,"
    " settled_us, reason"
)


def between(connection: sqlite3.Connection, uplink: str, from_us: int, to_us: int) -> Iterator[Delivery]:
    """Records of a stream whose periods begin in [from, to), by start."""
    lists: dict[str | None, tuple[str, ...]] = {None: ()}
    for row in connection.execute(
        f"SELECT {COLUMNS} FROM delivery LEFT JOIN reported ON reported.id = delivery.reported"  # noqa: S608 - own constant
        " WHERE uplink = ? AND start_us >= ? AND start_us < ? ORDER BY start_us, period_min, seq",
        (uplink, from_us, to_us),
    ):
        name, epoch, seq, kind, start_us, length_min, made_us, mark, codes, gaps, state, count, late, settled, why = row
        if codes not in lists:
            lists[codes] = tuple(json.loads(codes))
        yield Delivery(
            uplink=name,
            epoch=epoch,
            seq=seq,
            kind=kind,
            start_utc=instant(start_us),
            period_min=length_min,
            made_utc=instant(made_us),
            digest=mark,
            codes=lists[codes],
            gaps={} if gaps is None else {cause: tuple(places) for cause, places in json.loads(gaps).items()},
            fate=Fate(state),
            sent_count=count,
            backfilled=bool(late),
            settled_utc=None if settled is None else instant(settled),
            reason=why,
        )


def names(connection: sqlite3.Connection) -> list[str]:
    """Streams that were ever given a number."""
    return [name for (name,) in connection.execute("SELECT uplink FROM stream ORDER BY uplink")]


def begin_us(connection: sqlite3.Connection, uplink: str) -> int | None:
    """Start of the oldest record that the ledger knows of a stream [us since 1970 UTC]."""
    (start_us,) = connection.execute(
        "SELECT min(start_us) FROM delivery WHERE uplink = ? AND kind = 'record'", (uplink,)
    ).fetchone()
    return None if start_us is None else int(start_us)


def end_us(connection: sqlite3.Connection, uplink: str) -> int | None:
    """Start of the newest record that the ledger knows of a stream [us since 1970 UTC]."""
    (start_us,) = connection.execute(
        "SELECT max(start_us) FROM delivery WHERE uplink = ? AND kind = 'record'", (uplink,)
    ).fetchone()
    return None if start_us is None else int(start_us)


def consumed(
    connection: sqlite3.Connection, uplink: str, settled_before_us: int, *, after_us: int, limit: int, sent_max: int
) -> list[Delivery]:
    """Records that were delivered without an acknowledgement before an instant and do not wait, oldest first.

    Only those of periods that begin after another instant: who asks goes on behind what has been looked at.
    """
    starts = connection.execute(
        "SELECT start_us, seq FROM delivery WHERE uplink = ? AND state = 'consumed' AND kind = 'record'"
        " AND start_us > ? AND settled_us < ? AND sent_count < ? AND NOT EXISTS"
        " (SELECT 1 FROM outbox WHERE outbox.uplink = delivery.uplink AND outbox.seq = delivery.seq)"
        " ORDER BY start_us LIMIT ?",
        (uplink, after_us, settled_before_us, sent_max, limit),
    ).fetchall()
    return [
        entry
        for start_us, seq in starts
        for entry in between(connection, uplink, start_us, start_us + 1)
        if entry.seq == seq
    ]


def replaced_starts_us(connection: sqlite3.Connection, uplink: str, from_us: int) -> list[int]:
    """Starts of the periods from an instant on whose delivered record was corrected [us since 1970 UTC]."""
    return [
        start_us
        for (start_us,) in connection.execute(
            "SELECT DISTINCT start_us FROM delivery WHERE uplink = ? AND state = 'replaced'"
            " AND state <> 'acknowledged' AND start_us >= ?",  # the second word lets the index of open ones serve
            (uplink, from_us),
        )
    ]


def fetched(
    connection: sqlite3.Connection, uplink: str, periods_us: Sequence[tuple[int, int]], *, instant_us: int
) -> int:
    """Notes that the platform has asked for periods and was served; the caller holds the transaction.

    What waits goes on waiting: only what was delivered without an acknowledgement is better known now.

    Returns:
        How many records are better known.
    """
    return sum(
        connection.execute(
            "UPDATE delivery SET state = ?, settled_us = ? WHERE uplink = ? AND start_us = ?"
            " AND period_min = ? AND kind = 'record' AND state = ?",
            (Fate.FETCHED, instant_us, uplink, start_us, length_min, Fate.CONSUMED),
        ).rowcount
        for start_us, length_min in periods_us
    )


def send_again(connection: sqlite3.Connection, uplink: str, payloads: Mapping[tuple[str, int], bytes]) -> int:
    """Puts delivered records back into the queue under their old numbers; the caller holds the transaction.

    Args:
        connection: the writer's.
        uplink: name of the stream.
        payloads: bytes by epoch and number; those that differ from what was sent before are left out.

    Returns:
        How many were put back.
    """
    return sum(
        outbox.send_again(connection, uplink, epoch=epoch, seq=seq, payload=payload)
        for (epoch, seq), payload in payloads.items()
    )


def remove_old(connection: sqlite3.Connection, uplink: str) -> int:
    """Forgets the oldest numbers that are acknowledged, by their count: no clock has a say in it.

    The caller holds the transaction. Daily records stay, and so does everything that is not acknowledged.
    """
    return connection.execute(
        "DELETE FROM delivery WHERE uplink = ?1 AND state IN ('acknowledged', 'replaced') AND seq <="
        " (SELECT seq_last FROM stream WHERE uplink = ?1) - ?2",
        (uplink, KEPT_COUNT),
    ).rowcount


# -------------------------------------------------------------------------------------------------- the daily records
def _hash(before: bytes, text: str) -> bytes:
    return hashlib.sha256(before + text.encode()).digest()


def append_day(connection: sqlite3.Connection, uplink: str, day: str, record: Mapping[str, object]) -> None:
    """Adds a day's record to the chain; the caller holds the transaction."""
    newest = connection.execute("SELECT hash FROM completeness ORDER BY id DESC LIMIT 1").fetchone()
    text = json.dumps(record, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    connection.execute(
        "INSERT INTO completeness (uplink, day, record, hash) VALUES (?, ?, ?, ?)",
        (uplink, day, text, _hash(newest[0] if newest else GENESIS, text)),
    )


def days(connection: sqlite3.Connection, uplink: str, from_day: str, to_day: str) -> list[ChainedDay]:
    """The record that holds of each day in [from, to], oldest day first."""
    rows = connection.execute(
        "SELECT id, day, record, hash FROM completeness WHERE id IN"
        " (SELECT max(id) FROM completeness WHERE uplink = ? AND day >= ? AND day <= ? GROUP BY day) ORDER BY day",
        (uplink, from_day, to_day),
    )
    return [ChainedDay(number, day, json.loads(text), bytes(mark).hex()) for number, day, text, mark in rows]


def broken_at(connection: sqlite3.Connection) -> int | None:
    """Number of the first daily record that does not fit the chain; None when it is whole."""
    before = GENESIS
    expected = 1
    for number, text, stored in connection.execute("SELECT id, record, hash FROM completeness ORDER BY id"):
        if number != expected or stored != _hash(before, text):
            return int(number)
        before, expected = stored, number + 1
    return None
