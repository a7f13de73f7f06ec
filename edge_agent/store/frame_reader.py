"""Reads day files, frames and packed quarters alike: samples as they were accepted, or plain readings for rollups.

A file or a row that cannot be read is logged and left out: what is sound is still given.
"""

import logging
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import repeat
from pathlib import Path

from drivers.sample import Cause, Quality, Sample
from edge_agent.clock_quality import ClockQuality
from edge_agent.errors import StoreFault
from edge_agent.rollup import Reading, instant, microseconds
from edge_agent.store import database, frame_codec, names, segment_codec, words
from edge_agent.store.damage import Row, sound_rows
from edge_agent.store.facts import UNKNOWN
from edge_agent.store.frame_writer import frame_crc
from edge_agent.store.frames import day_files
from edge_agent.store.rows import StoredSample
from edge_agent.store.segment_codec import Mark

LOG = logging.getLogger(__name__)

FRAME_COLUMNS = "seq, instant_us, elapsed_us, boot, sample_min_us, sample_max_us, layout, crc, blob"
SEGMENT_COLUMNS = "id, fold, layout, crc, blob"
SPAN = "sample_max_us >= ? AND sample_min_us < ?"
Clocked = tuple[int, int, int]
"""First and last instant [us] of the samples of a frame whose clock was not trusted, and its quality."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A frame, or a quarter of an hour of them.

    Attributes:
        fold: how often the clock had been set back in this file.
        marks: of the frames.
        samples: every sample by column, with the place of its frame among the marks in front: `(frame, point, instant
            [us], value, quality, cause, correction)`.
    """

    fold: int
    marks: Sequence[Mark]
    samples: Iterable[tuple[int, int, int, float, int, int, float]]


class DayFile:
    """One open day file."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        """Reads the dictionaries.

        Raises:
            sqlite3.Error: they cannot be read.
        """
        self.path = path
        self._connection = connection
        self._version = database.version(connection)
        self.faults: list[str] = []
        """Why something in it could not be read; one word for each that is left out."""
        known = names.read(connection)
        self.points = known.points
        self.words = known.words
        self.period_s: dict[str, float] = {}
        if self._version > 1:
            with suppress(sqlite3.DatabaseError):
                for number, period_s in connection.execute("SELECT id, period_s FROM point"):
                    if number in self.points and isinstance(period_s, float):
                        self.period_s[self.points[number][0]] = period_s

    def chunks(self, from_us: int, to_us: int, *, points: Collection[str] | None) -> Iterator[Chunk]:
        """What may hold samples of [from, to), in the order of acceptance but for what is packed, which comes first."""
        only = None
        if points is not None:
            only = frozenset(number for number, (name, _) in self.points.items() if name in points)
        span = (from_us, to_us)
        if self._version > 1:
            for row in self._rows("segment", "id", SEGMENT_COLUMNS, span, order="seq_first, keep"):
                chunk = self._packed(row, only)
                if chunk is not None:
                    yield chunk
        columns = FRAME_COLUMNS + (", clock, fold" if self._version > 1 else ", NULL, 0")
        for row in self._rows("frame", "seq", columns, span, order="seq"):
            chunk = self._single(row, only)
            if chunk is not None:
                yield chunk

    def _rows(self, table: str, key: str, columns: str, span: tuple[int, int], *, order: str) -> list[Row]:
        query = f"SELECT {columns} FROM {table} WHERE {SPAN}"  # noqa: S608 - own words
        try:
            return self._connection.execute(f"{query} ORDER BY {order}", span).fetchall()
        except (sqlite3.DatabaseError, OverflowError) as error:
            self.faults.append(str(error))
        # Without the index, which may be what is damaged.
        plain = query.replace("sample_max_us >=", "+sample_max_us >=").replace("sample_min_us <", "+sample_min_us <")
        ranged = f"{plain} AND {key} BETWEEN ? AND ? ORDER BY {key}"
        rows = sound_rows(lambda low, high: self._connection.execute(ranged, (*span, low, high)))
        return sorted(rows, key=lambda row: int(row[0]))

    def _single(self, row: Row, only: frozenset[int] | None) -> Chunk | None:
        seq, instant_us, elapsed_us, _, sample_min_us, sample_max_us, layout, crc, blob, clock, fold = row
        try:
            own = frame_crc(blob, seq=seq, instant_us=instant_us, elapsed_us=elapsed_us, clock=clock, fold=fold)
            columns = frame_codec.decode(blob, layout=layout, crc=crc, own=own)
        except (StoreFault, TypeError) as error:
            self.faults.append(f"frame {seq}: {error}")
            return None
        samples = zip(
            repeat(0),
            columns.points,
            columns.instants_us,
            columns.values,
            columns.qualities,
            columns.causes,
            columns.corrections,
            strict=False,
        )
        return Chunk(
            fold,
            [Mark(seq, instant_us, elapsed_us, 0, clock, sample_min_us, sample_max_us)],
            samples if only is None else (sample for sample in samples if sample[1] in only),
        )

    def _packed(self, row: Row, only: frozenset[int] | None) -> Chunk | None:
        number, fold, layout, crc, blob = row
        try:
            marks, series = segment_codec.decode(blob, layout=layout, crc=crc, only=only)
        except (StoreFault, TypeError) as error:
            self.faults.append(f"segment {number}: {error}")
            return None
        samples = (
            sample
            for one in series
            for sample in zip(
                one.frames,
                repeat(one.point),
                one.instants_us,
                one.values,
                one.qualities,
                one.causes,
                one.corrections,
                strict=False,
            )
        )
        return Chunk(fold, marks, samples)


@dataclass(frozen=True, slots=True)
class Missing:
    """Why a file could not be read, or not all of it.

    Attributes:
        reason: the first; in the operator's two languages, with what to do, where it is not damage.
        damaged: whether it is.
    """

    reason: str
    damaged: bool


Unread = dict[Path, Missing]
"""Files of which not everything could be read."""


def _note(path: Path, faults: Sequence[str | sqlite3.Error], unread: Unread | None) -> None:
    """Tells who asks what is missing, or the log where nobody does; once a file."""
    if not faults:
        return
    first = faults[0]
    if unread is None:
        LOG.error("day file damaged, what is sound is read path=%s unread=%d first reason=%s", path, len(faults), first)
    elif not isinstance(first, str) and words.cause(first) not in ("", "damaged"):
        unread.setdefault(path, Missing(words.told(first), damaged=False))
    else:
        unread.setdefault(path, Missing(str(first), damaged=True))


@contextmanager
def opened(path: Path, unread: Unread | None = None) -> Iterator[DayFile | None]:
    """A day file to read; None when it cannot be opened. What could not be read in it is told at the end."""
    try:
        connection = database.open_read(path)
    except sqlite3.Error as error:
        _note(path, [error], unread)
        yield None
        return
    file: DayFile | None = None
    try:
        try:
            # One look at names, segments and frames: packing may move rows from one to the other meanwhile.
            connection.execute("BEGIN")
            file = DayFile(path, connection)
        except sqlite3.Error as error:
            _note(path, [str(error)], unread)
            yield None
        else:
            yield file
    finally:
        connection.close()
        if file is not None:
            _note(path, file.faults, unread)


def _files(folder: Path, from_us: int) -> list[Path]:
    first_day = instant(from_us).date() - timedelta(days=1)
    return [path for day, path in day_files(folder) if day >= first_day]


def read_samples(
    folder: Path,
    from_utc: datetime,
    to_utc: datetime,
    *,
    points: Collection[str] | None,
    unread: Unread | None = None,
) -> Iterator[StoredSample]:
    """Samples of [from, to) as they were accepted, frame by frame.

    Args:
        folder: folder of the day files.
        from_utc: first instant.
        to_utc: the first instant that is no longer wanted.
        points: only these; None for all.
        unread: receives files of which not everything could be read; None: the log does.
    """
    from_us, to_us = microseconds(from_utc), microseconds(to_utc)
    for path in _files(folder, from_us):
        with opened(path, unread) as file:
            if file is None:
                continue
            waiting: list[StoredSample] = []
            until_seq = 0
            for chunk in file.chunks(from_us, to_us, points=points):
                if waiting and chunk.marks[0].seq > until_seq:  # the other class of the same quarter is in
                    yield from sorted(waiting, key=lambda stored: stored.frame)
                    waiting = []
                waiting += _samples(chunk, file, from_us, to_us)
                until_seq = max(until_seq, chunk.marks[-1].seq)
            yield from sorted(waiting, key=lambda stored: stored.frame)


def _samples(chunk: Chunk, file: DayFile, from_us: int, to_us: int) -> Iterator[StoredSample]:
    for frame, point, instant_us, value, quality, cause, correction in chunk.samples:
        if from_us <= instant_us < to_us and point in file.points and cause in file.words:
            name, unit = file.points[point]
            yield StoredSample(
                chunk.marks[frame].seq,
                Sample(
                    name,
                    instant(instant_us),
                    frame_codec.value(value),
                    unit,
                    Quality(quality),
                    Cause(file.words[cause]),
                    correction,
                ),
            )


@dataclass(frozen=True, slots=True)
class Readings:
    """What rollups are made of.

    Attributes:
        by_point: readings of each point, those of a clock set back later left out; nothing for a point without any.
        period_s: how far apart readings are expected [s], by point.
        clocked: frames whose clock was not trusted.
    """

    by_point: dict[str, list[Reading]]
    period_s: dict[str, float]
    clocked: list[Clocked]

    def period_of_s(self, point: str) -> float:
        """How far apart readings of a point are expected [s]."""
        return self.period_s.get(point, UNKNOWN.period_s)

    def clock(self, from_us: int, to_us: int) -> ClockQuality:
        """The worst quality of the clock among the frames that hold samples of [from, to)."""
        return ClockQuality(
            max((clock for low_us, high_us, clock in self.clocked if low_us < to_us and high_us >= from_us), default=0)
        )


def read_readings(folder: Path, from_us: int, to_us: int, *, points: Collection[str] | None = None) -> Readings:
    """Readings of [from, to), as plain numbers, without making a sample of each.

    Where the clock was set back, the same instants were told twice: the telling of the better clock holds, of two as
    good the later one. `read_samples` gives both.
    """
    found = Readings({}, {}, [])
    for path in _files(folder, from_us):
        with opened(path) as file:
            if file is None:
                continue
            found.period_s.update(file.period_s)
            chunks = list(file.chunks(from_us, to_us, points=points))
            yields = _tellings(chunks)
            for chunk in chunks:
                _add(found, chunk, yields, points=file.points, from_us=from_us, to_us=to_us)
    return found


AHEAD_US = 1_000_000
"""No reading is stamped so far ahead of its frame by the same clock [us]."""
Yields = Callable[[int, int, int], bool]
"""Whether what a fold tells of an instant [us] under a clock of a quality gives way to another telling."""


def _tellings(chunks: Sequence[Chunk]) -> Yields | None:
    """What was told again, by a better clock or later by one as good; None: nothing was."""
    spans: dict[tuple[int, int], tuple[int, int]] = {}
    for chunk in chunks:
        for mark in chunk.marks:
            key = chunk.fold, mark.clock or 0
            low_us, high_us = spans.get(key, (mark.instant_us, mark.instant_us))
            spans[key] = min(low_us, mark.instant_us), max(high_us, mark.instant_us)
    if len({fold for fold, _ in spans}) < 2:  # noqa: PLR2004 - one telling: nothing gives way
        return None

    def yields(fold: int, clock: int, at_us: int) -> bool:
        return any(
            other != fold and (quality < clock or (quality == clock and other > fold)) and low_us <= at_us <= high_us
            for (other, quality), (low_us, high_us) in spans.items()
        )

    return yields


def _add(
    found: Readings,
    chunk: Chunk,
    yields: Yields | None,
    *,
    points: dict[int, tuple[str, str]],
    from_us: int,
    to_us: int,
) -> None:
    """Adds the readings of a chunk but for those that were told again.

    Each by its own instant: the first frame after a clock was set back also holds what was read before, with stamps
    that lie ahead of the frame. That belongs to the telling before.
    """
    found.clocked.extend(
        (mark.sample_min_us, mark.sample_max_us, mark.clock)
        for mark in chunk.marks
        if mark.clock and not (yields and yields(chunk.fold, mark.clock, mark.instant_us))
    )
    trusted = int(Quality.GOOD)
    by_number: dict[int, list[Reading]] = {}
    for frame, point, instant_us, value, quality, _, _ in chunk.samples:
        if from_us <= instant_us < to_us and point in points:
            if yields is not None:
                mark = chunk.marks[frame]
                # Ahead of a frame that bears the mark of a step: the clock before stamped it. Elsewhere a reading that
                # came while the frame was made may be a little ahead of it.
                before_step = mark.clock == ClockQuality.STEPPED and instant_us > mark.instant_us + AHEAD_US
                fold, clock = (chunk.fold - 1, 0) if before_step else (chunk.fold, mark.clock or 0)
                if yields(fold, clock, instant_us):
                    continue
            readings = by_number.get(point)
            if readings is None:
                readings = by_number[point] = found.by_point.setdefault(points[point][0], [])
            readings.append((instant_us, value if quality == trusted else None))
