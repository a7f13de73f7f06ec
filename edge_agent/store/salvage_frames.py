"""Brings what is sound in a damaged day file into the file that took its place: frames and segments, bit for bit.

Each keeps its number, its instants and what the clock was worth. Nothing is guessed: a row whose CRC-32 does not fit,
or whose names are lost, is left in the file that was set aside.
"""

import logging
import sqlite3
import struct
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from edge_agent.errors import StoreFault
from edge_agent.rollup import instant
from edge_agent.store import damaged_file, database, frame_codec, names, segment_codec
from edge_agent.store.damage import Row, sound_rows
from edge_agent.store.frame_numbers import BLOCK
from edge_agent.store.frame_reader import FRAME_COLUMNS
from edge_agent.store.frame_writer import frame_crc
from edge_agent.store.frames import KIND
from edge_agent.store.rows import Gap

LOG = logging.getLogger(__name__)

REASON = "damaged"
GAP_COUNT_MAX = 100
"""More holes than this are declared as one."""
SEGMENT_COLUMNS = (
    "seq_first, seq_last, keep, fold, clock, instant_min_us, instant_max_us, sample_min_us, sample_max_us, layout, crc,"
    " blob"
)


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What came of it.

    Attributes:
        frames: frames brought over, single or in segments.
        span_us: first and last instant of their samples; None: nothing was sound.
        gaps: frames that are missing between them.
    """

    frames: int
    span_us: tuple[int, int] | None
    gaps: tuple[Gap, ...]


@dataclass(frozen=True, slots=True)
class _Ids:
    """Numbers of the new file by those of the damaged one."""

    points: dict[int, int]
    words: dict[int, int]


def salvage(aside: Path, target: Path, *, bytes_max: int) -> Salvaged:
    """Salvages a day file; doing it again does no harm.

    Args:
        aside: the damaged file.
        target: the file of the same day; it may be open for writing elsewhere.
        bytes_max: most bytes for it.

    Raises:
        sqlite3.Error: the new file cannot be written.
    """
    steps = database.scripts(KIND)
    head = damaged_file.fresh_head(steps, folder=target.parent)
    with damaged_file.opened(aside, head=head, table="frame") as damaged:
        if damaged is None:
            return Salvaged(0, None, ())
        known = names.read(damaged)
        with closing(database.open_write(target, steps, bytes_max=bytes_max)) as fresh:
            ids = _ids(fresh, known)
            found = [*_frames(damaged, fresh, ids), *_segments(damaged, fresh, ids)]
    spans = [span for _, span in found]
    if not spans:
        return Salvaged(0, None, ())
    numbers = {seq: span for seqs, span in found for seq in seqs}
    whole = min(low for low, _ in spans), max(high for _, high in spans)
    return Salvaged(len(numbers), whole, _holes(numbers))


def whole_day(day: date) -> Gap:
    """The gap of a day of which nothing is left; how many frames it had is not known."""
    begin_utc = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return Gap(None, begin_utc, begin_utc + timedelta(days=1), 0, REASON)


def _ids(fresh: sqlite3.Connection, known: names.Names) -> _Ids:
    points = {
        number: _number(
            fresh,
            "INSERT INTO point (name, unit) VALUES (?, ?) ON CONFLICT DO UPDATE SET name = name RETURNING id",
            name,
        )
        for number, name in known.points.items()
    }
    words = {
        number: _number(
            fresh, "INSERT INTO word (text) VALUES (?) ON CONFLICT DO UPDATE SET text = text RETURNING id", (text,)
        )
        for number, text in known.words.items()
    }
    return _Ids(points, words)


def _number(fresh: sqlite3.Connection, statement: str, values: tuple[str, ...]) -> int:
    ((number,),) = fresh.execute(statement, values).fetchall()
    return int(number)


Found = tuple[tuple[int, ...], tuple[int, int]]
"""Numbers of frames, and first and last instant of their samples [us]."""


def _rows(damaged: sqlite3.Connection, table: str, columns: str, key: str) -> list[Row]:
    present = {row[1] for row in damaged.execute(f"PRAGMA table_info({table})")}
    chosen = [column if column in present else f"NULL AS {column}" for column in columns.split(", ")]
    query = f"SELECT {key}, {', '.join(chosen)} FROM {table} WHERE {key} BETWEEN ? AND ? ORDER BY {key}"  # noqa: S608 - own words
    try:
        return [row[1:] for row in sound_rows(lambda low, high: damaged.execute(query, (low, high)))]
    except sqlite3.Error:
        return []


def _frames(damaged: sqlite3.Connection, fresh: sqlite3.Connection, ids: _Ids) -> list[Found]:
    found: list[Found] = []
    fresh.execute("BEGIN IMMEDIATE")
    for row in _rows(damaged, "frame", f"{FRAME_COLUMNS}, clock, fold", "seq"):
        seq, instant_us, elapsed_us, boot, low_us, high_us, layout, crc, blob, clock, fold = row
        fold = fold or 0
        try:
            own = frame_crc(blob, seq=seq, instant_us=instant_us, elapsed_us=elapsed_us, clock=clock, fold=fold)
            columns = frame_codec.decode(blob, layout=layout, crc=crc, own=own)
            columns = replace(
                columns,
                points=tuple(ids.points[point] for point in columns.points),
                causes=tuple(ids.words[cause] for cause in columns.causes),
            )
        except (StoreFault, KeyError, TypeError, ValueError, struct.error) as error:
            LOG.info("row of a damaged file left behind frame=%s reason=%s", seq, error)
            continue
        blob = frame_codec.encode(columns)
        low_us, high_us = min(columns.instants_us), max(columns.instants_us)
        crc = frame_crc(blob, seq=seq, instant_us=instant_us, elapsed_us=elapsed_us, clock=clock, fold=fold)
        fresh.execute(
            f"INSERT OR IGNORE INTO frame ({FRAME_COLUMNS}, clock, fold) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - own words
            (seq, instant_us, elapsed_us, str(boot), low_us, high_us, columns.layout, crc, blob, clock, fold),
        )
        found.append(((seq,), (low_us, high_us)))
    fresh.execute("COMMIT")
    return found


def _segments(damaged: sqlite3.Connection, fresh: sqlite3.Connection, ids: _Ids) -> list[Found]:
    found: list[Found] = []
    if damaged.execute("SELECT 1 FROM sqlite_master WHERE name = 'segment'").fetchone() is None:
        return found
    fresh.execute("BEGIN IMMEDIATE")
    for row in _rows(damaged, "segment", SEGMENT_COLUMNS, "id"):
        *outside, layout, crc, blob = row
        try:
            marks, series = segment_codec.decode(blob, layout=layout, crc=crc)
            series = [
                replace(one, point=ids.points[one.point], causes=tuple(ids.words[cause] for cause in one.causes))
                for one in series
            ]
            marks = [replace(mark, boot=ids.words.get(mark.boot, 0)) for mark in marks]
            fresh_blob, fresh_crc = segment_codec.encode_checked(marks, series)
        except (StoreFault, KeyError, TypeError, ValueError, struct.error) as error:
            LOG.info("row of a damaged file left behind segment=%s reason=%s", outside[:3], error)
            continue
        # The numbers beside the blob have no CRC-32: those that the blob knows are taken from it.
        instants = [mark.instant_us for mark in marks]
        samples = [instant_us for one in series for instant_us in one.instants_us]
        keep, fold = (value if isinstance(value, int) else 2 for value in outside[2:4])
        clock = max((mark.clock for mark in marks if mark.clock is not None), default=None)
        fresh.execute(
            f"INSERT OR IGNORE INTO segment ({SEGMENT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - own words
            (
                *(marks[0].seq, marks[-1].seq, keep, fold, clock, min(instants), max(instants)),
                *(min(samples), max(samples), segment_codec.LAYOUT, fresh_crc, fresh_blob),
            ),
        )
        found.append((tuple(mark.seq for mark in marks), (min(samples), max(samples))))
    fresh.execute("COMMIT")
    return found


def _holes(numbers: dict[int, tuple[int, int]]) -> tuple[Gap, ...]:
    """Runs of missing numbers; a whole block and more is what a kill skips, not what is missing."""
    gaps = [
        Gap(None, instant(numbers[before][1]), instant(numbers[after][0]), after - before - 1, REASON)
        for before, after in pairwise(sorted(numbers))
        if 1 < after - before < BLOCK and numbers[before][1] <= numbers[after][0]
    ]
    if len(gaps) > GAP_COUNT_MAX:
        count = sum(gap.count for gap in gaps)
        return (Gap(None, gaps[0].from_utc, max(gap.to_utc for gap in gaps), count, REASON),)
    return tuple(gaps)
