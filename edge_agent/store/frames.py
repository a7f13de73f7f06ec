"""Raw samples on disk: one file a UTC day, one compressed frame a scan.

A frame lies in the file of the day of its own instant; its samples may be older (they were read before midnight, or
waited while the disk refused), so a reader looks at the files from a day before the wanted span up to the newest.
"""

import logging
import sqlite3
import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from drivers.sample import Cause, Quality, Sample
from edge_agent.errors import StoreFault
from edge_agent.rollup import Reading, instant, microseconds
from edge_agent.store import database, frame_codec
from edge_agent.store.rows import StoredSample

LOG = logging.getLogger(__name__)

KIND = "frames"
SPAN_QUERY = "SELECT seq, layout, crc, blob FROM frame WHERE sample_max_us >= ? AND sample_min_us < ? ORDER BY seq"


def day_path(folder: Path, day: date) -> Path:
    """The file of a UTC day."""
    return folder / f"{day.isoformat()}.db"


def day_files(folder: Path) -> list[tuple[date, Path]]:
    """All day files that there are, oldest first."""
    found = []
    for path in folder.glob("*.db"):
        try:
            found.append((date.fromisoformat(path.stem), path))
        except ValueError:
            continue
    return sorted(found)


@dataclass(frozen=True, slots=True)
class _Dictionary:
    """Names behind the numbers of one file."""

    points: dict[int, tuple[str, str]]
    words: dict[int, str]


class FrameWriter:
    """The one writer of day files; lives in the store's writer thread."""

    def __init__(self, folder: Path, *, bytes_max: int) -> None:
        """Names the folder.

        Args:
            folder: folder of the day files; it exists.
            bytes_max: most bytes for one day's file.
        """
        self._folder = folder
        self._bytes_max = bytes_max
        self._day: date | None = None
        self._connection: sqlite3.Connection | None = None
        self._point_ids: dict[tuple[str, str], int] = {}
        self._word_ids: dict[str, int] = {}

    @property
    def day(self) -> date | None:
        """The day whose file is open."""
        return self._day

    def open_day(self, day: date) -> None:
        """Opens, and if need be creates, the file of a day; a damaged one is set aside.

        Raises:
            sqlite3.Error: the file cannot be opened.
            StoreFault: a newer release wrote it.
        """
        self.close()
        connection, _ = database.open_checked(
            day_path(self._folder, day), database.scripts(KIND), bytes_max=self._bytes_max
        )
        self._connection, self._day = connection, day
        self._point_ids = {
            (name, unit): number for number, name, unit in connection.execute("SELECT id, name, unit FROM point")
        }
        self._word_ids = {text: number for number, text in connection.execute("SELECT id, text FROM word")}

    def append(self, samples: Sequence[Sample], *, sequence: int, instant_us: int, elapsed_us: int, boot: str) -> None:
        """Commits one frame; when it returns, the frame is on the disk.

        Args:
            samples: at least one.
            sequence: number of the frame.
            instant_us: instant of the scan [us since 1970 UTC].
            elapsed_us: reading of the monotonic clock [us].
            boot: id of the machine's boot.

        Raises:
            sqlite3.Error: nothing was accepted.
        """
        assert self._connection is not None, "no day is open"
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            layout, blob, span = self._encoded(samples)
            connection.execute(
                "INSERT INTO frame (seq, instant_us, elapsed_us, boot, sample_min_us, sample_max_us, layout, crc, blob)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (sequence, instant_us, elapsed_us, boot, *span, layout, zlib.crc32(blob), blob),
            )
            connection.execute("COMMIT")
        except BaseException:
            # The dictionaries in memory may name rows that were rolled back: read them again with the file.
            self.close()
            raise

    def _encoded(self, samples: Sequence[Sample]) -> tuple[int, bytes, tuple[int, int]]:
        instants_us = tuple(microseconds(sample.instant_utc) for sample in samples)
        columns = frame_codec.Columns(
            points=tuple(self._point_id(sample.point, sample.unit) for sample in samples),
            instants_us=instants_us,
            values=tuple(frame_codec.number(sample.value) for sample in samples),
            qualities=tuple(int(sample.quality) for sample in samples),
            causes=tuple(self._word_id(sample.cause) for sample in samples),
            corrections=tuple(sample.correction for sample in samples),
        )
        return columns.layout, frame_codec.encode(columns), (min(instants_us), max(instants_us))

    def _point_id(self, name: str, unit: str) -> int:
        number = self._point_ids.get((name, unit))
        if number is None:
            assert self._connection is not None
            number = self._connection.execute("INSERT INTO point (name, unit) VALUES (?, ?)", (name, unit)).lastrowid
            assert number is not None
            self._point_ids[name, unit] = number
        return number

    def _word_id(self, text: str) -> int:
        number = self._word_ids.get(text)
        if number is None:
            assert self._connection is not None
            number = self._connection.execute("INSERT INTO word (text) VALUES (?)", (str(text),)).lastrowid
            assert number is not None
            self._word_ids[text] = number
        return number

    def close(self) -> None:
        """Closes the open file; an open transaction is rolled back."""
        connection, self._connection, self._day = self._connection, None, None
        if connection is not None:
            connection.close()


def _spans(folder: Path, from_us: int, to_us: int) -> Iterator[tuple[int, frame_codec.Columns, _Dictionary]]:
    """Frames that may hold samples of [from, to), file by file, each with its file's dictionary.

    A file or a frame that cannot be read is logged and left out: what is sound is still given.
    """
    first_day = instant(from_us).date() - timedelta(days=1)
    for day, path in day_files(folder):
        if day < first_day:
            continue
        try:
            connection = database.open_read(path)
        except sqlite3.Error as error:
            LOG.error("day file cannot be read path=%s reason=%s", path, error)  # noqa: TRY400 - the reason is enough
            continue
        try:
            dictionary = _Dictionary(
                {number: (name, unit) for number, name, unit in connection.execute("SELECT id, name, unit FROM point")},
                dict(connection.execute("SELECT id, text FROM word")),
            )
            for sequence, layout, crc, blob in connection.execute(SPAN_QUERY, (from_us, to_us)):
                try:
                    columns = frame_codec.decode(blob, layout=layout, crc=crc)
                except StoreFault as error:
                    LOG.error("%s path=%s frame=%d", error, path, sequence)  # noqa: TRY400 - the reason is enough
                    continue
                yield sequence, columns, dictionary
        except sqlite3.Error as error:
            LOG.error("day file damaged path=%s reason=%s", path, error)  # noqa: TRY400 - the reason is enough
        finally:
            connection.close()


def read_samples(
    folder: Path, from_utc: datetime, to_utc: datetime, *, points: Collection[str] | None
) -> Iterator[StoredSample]:
    """Samples of [from, to) as they were accepted, frame by frame.

    Args:
        folder: folder of the day files.
        from_utc: first instant.
        to_utc: the first instant that is no longer wanted.
        points: only these; None for all.
    """
    from_us, to_us = microseconds(from_utc), microseconds(to_utc)
    for sequence, columns, dictionary in _spans(folder, from_us, to_us):
        for number, instant_us, value, quality, cause, correction in zip(
            columns.points,
            columns.instants_us,
            columns.values,
            columns.qualities,
            columns.causes,
            columns.corrections,
            strict=True,
        ):
            name, unit = dictionary.points[number]
            if not from_us <= instant_us < to_us or (points is not None and name not in points):
                continue
            yield StoredSample(
                sequence,
                Sample(
                    name,
                    instant(instant_us),
                    frame_codec.value(value),
                    unit,
                    Quality(quality),
                    Cause(dictionary.words[cause]),
                    correction,
                ),
            )


def read_readings(folder: Path, from_us: int, to_us: int) -> dict[str, list[Reading]]:
    """Readings of [from, to) by point, as plain numbers: what rollups need, without making a sample of each."""
    readings: dict[str, list[Reading]] = {}
    by_number: dict[int, list[Reading]] = {}
    last: _Dictionary | None = None
    trusted = int(Quality.GOOD)
    for _, columns, dictionary in _spans(folder, from_us, to_us):
        if dictionary is not last:
            last = dictionary
            by_number = {number: readings.setdefault(name, []) for number, (name, _) in dictionary.points.items()}
        for number, instant_us, value, quality in zip(
            columns.points, columns.instants_us, columns.values, columns.qualities, strict=True
        ):
            if from_us <= instant_us < to_us:
                by_number[number].append((instant_us, value if quality == trusted else None))
    return {name: found for name, found in readings.items() if found}


def first_instant_us(folder: Path) -> int | None:
    """Instant of the oldest sample of the oldest file that holds any [us since 1970 UTC]."""
    for _, path in day_files(folder):
        try:
            connection = database.open_read(path)
        except sqlite3.Error:
            continue
        try:
            (oldest_us,) = connection.execute("SELECT min(sample_min_us) FROM frame").fetchone()
        except sqlite3.Error:
            continue
        finally:
            connection.close()
        if oldest_us is not None:
            return int(oldest_us)
    return None


def sequence_max(folder: Path) -> int:
    """Highest frame number in any readable day file; 0 when there is none."""
    highest = 0
    for _, path in day_files(folder):
        try:
            connection = database.open_read(path)
        except sqlite3.Error:
            continue
        try:
            (found,) = connection.execute("SELECT max(seq) FROM frame").fetchone()
        except sqlite3.Error:
            continue
        finally:
            connection.close()
        highest = max(highest, found or 0)
    return highest


def remove_old(folder: Path, *, keep_from: date, needed_from: date, bytes_max: int) -> list[date]:
    """Unlinks whole day files: those older than wanted, then the oldest while all together are too big.

    Never touched: days from `needed_from` on, and the newest file. What is removed is logged; a gap record is not made
    here, because every period of a removed day has been delivered.

    Args:
        folder: folder of the day files.
        keep_from: first day to keep.
        needed_from: first day that an undelivered or unclosed period still needs.
        bytes_max: most bytes for all files together.

    Returns:
        The days removed.
    """
    files = day_files(folder)
    sizes = {day: database.size_bytes(path) for day, path in files}
    removed: list[date] = []
    for day, path in files[:-1]:
        too_big = sum(sizes.values()) > bytes_max
        if day >= needed_from or (day >= keep_from and not too_big):
            break
        database.unlink(path)
        del sizes[day]
        removed.append(day)
        LOG.warning("old day file removed day=%s reason=%s", day, "age" if day < keep_from else "quota")
    if removed:
        database.sync_folder(folder)
    return removed


def day_of(instant_us: int) -> date:
    """The UTC day of an instant."""
    return datetime.fromtimestamp(instant_us // 1_000_000, UTC).date()
