"""Packs frames older than an hour into segments of a quarter of an hour, column by column: a sixth of the size.

Segment and removal of its frames are one transaction, and the segment is read back before. What cannot be read stays.
"""

import logging
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import takewhile
from pathlib import Path

from edge_agent.errors import StoreFault
from edge_agent.store import database, frame_codec, segment_codec
from edge_agent.store.damage import Row
from edge_agent.store.facts import Keep
from edge_agent.store.frame_reader import FRAME_COLUMNS
from edge_agent.store.frame_writer import frame_crc
from edge_agent.store.frames import KIND, QUARTER_US
from edge_agent.store.segment_codec import Mark, Series

LOG = logging.getLogger(__name__)

FRAME_COUNT_MAX = 1000
"""Frames of one segment at most: a scan of one second fills a quarter of an hour with 900."""


def pack_next(path: Path, *, before_us: int, after_seq: int, bytes_max: int) -> tuple[bool, int]:
    """Packs the oldest quarter of a day file whose frames are all older than an instant.

    Args:
        path: the day file; it may be open for writing elsewhere.
        before_us: quarters that end after this are left [us since 1970 UTC].
        after_seq: frames up to this number are known to be unreadable and are left.
        bytes_max: most bytes for the file.

    Returns:
        Whether there was something to pack, and the number up to which frames are unreadable now.

    Raises:
        sqlite3.Error: the file cannot be written.
    """
    connection = database.open_write(path, database.scripts(KIND), bytes_max=bytes_max)
    try:
        limit_us = before_us // QUARTER_US * QUARTER_US
        rows: list[Row] = connection.execute(
            f"SELECT {FRAME_COLUMNS}, clock, fold FROM frame WHERE seq > ? ORDER BY seq LIMIT ?",  # noqa: S608 - own words
            (after_seq, FRAME_COUNT_MAX),
        ).fetchall()
        if not rows:
            return False, after_seq
        quarter = _quarter(rows[0])
        rows = list(takewhile(lambda row: _quarter(row) == quarter, rows))
        if rows[-1][1] >= limit_us:
            return False, after_seq
        packed, unread = _pack(connection, rows)
        return packed or unread > 0, max(after_seq, unread)
    finally:
        connection.close()


def shrink(path: Path, *, bytes_max: int) -> None:
    """Gives the room of what was packed or removed back to the disk; for days that are over.

    Such a file needs no log any more: readers of a file in WAL mode would leave a shared-memory file of 32 kB behind.
    """
    connection = database.open_write(path, database.scripts(KIND), bytes_max=bytes_max)
    try:
        connection.execute("VACUUM")
        try:
            connection.execute("PRAGMA journal_mode = DELETE").fetchone()
        except sqlite3.OperationalError:
            LOG.debug("somebody reads the day file, its log stays path=%s", path)
    finally:
        connection.close()


def _quarter(row: Row) -> tuple[int, int]:
    return row[1] // QUARTER_US, row[-1]


def _pack(connection: sqlite3.Connection, rows: Sequence[Row]) -> tuple[bool, int]:
    """Packs frames; returns whether any could be, and the highest number of those that cannot be read."""
    boots: dict[str, int] = {}
    classes: dict[int, Keep] = {
        number: Keep.DETAIL if keep is None else Keep(keep)
        for number, keep in connection.execute("SELECT id, keep FROM point")
    }
    marks: list[Mark] = []
    columns: dict[int, list[tuple[int, int, float, int, int, float]]] = defaultdict(list)
    unread = 0
    for seq, instant_us, elapsed_us, boot, low_us, high_us, layout, crc, blob, clock, fold in rows:
        try:
            own = frame_crc(blob, seq=seq, instant_us=instant_us, elapsed_us=elapsed_us, clock=clock, fold=fold)
            found = frame_codec.decode(blob, layout=layout, crc=crc, own=own)
        except StoreFault as error:
            LOG.error("%s frame=%d stays as it is", error, seq)  # noqa: TRY400 - the reason is enough
            unread = max(unread, seq)
            continue
        if boot not in boots:
            boots[boot] = _word(connection, boot)
        place = len(marks)
        marks.append(Mark(seq, instant_us, elapsed_us, boots[boot], clock, low_us, high_us))
        for point, *sample in zip(
            found.points,
            found.instants_us,
            found.values,
            found.qualities,
            found.causes,
            found.corrections,
            strict=True,
        ):
            columns[point].append((place, *sample))
    if not marks:
        return False, unread
    series = [Series(point, *zip(*samples, strict=True)) for point, samples in columns.items()]
    by_class: dict[Keep, list[Series]] = defaultdict(list)
    for one in series:
        by_class[classes.get(one.point, Keep.DETAIL)].append(one)
    # All that takes time comes before the transaction: scans wait for it.
    segments = [_segment(marks, some, keep=keep, fold=rows[0][-1]) for keep, some in by_class.items()]
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.executemany(
            "INSERT INTO segment (seq_first, seq_last, keep, fold, clock, instant_min_us, instant_max_us,"
            " sample_min_us, sample_max_us, layout, crc, blob) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            segments,
        )
        connection.executemany("DELETE FROM frame WHERE seq = ?", [(mark.seq,) for mark in marks])
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return True, unread


def _segment(marks: Sequence[Mark], series: Sequence[Series], *, keep: Keep, fold: int) -> Row:
    """The row of a segment, read back."""
    blob, crc = segment_codec.encode_checked(marks, series)
    clocks = [mark.clock for mark in marks if mark.clock is not None]
    return (
        marks[0].seq,
        marks[-1].seq,
        keep,
        fold,
        max(clocks, default=None),
        *_span(mark.instant_us for mark in marks),
        *_span(instant_us for one in series for instant_us in one.instants_us),
        segment_codec.LAYOUT,
        crc,
        blob,
    )


def _span(numbers: Iterable[int]) -> tuple[int, int]:
    found = sorted(numbers)
    return found[0], found[-1]


def _word(connection: sqlite3.Connection, text: str) -> int:
    connection.execute("INSERT OR IGNORE INTO word (text) VALUES (?)", (text,))
    (number,) = connection.execute("SELECT id FROM word WHERE text = ?", (text,)).fetchone()
    return int(number)
