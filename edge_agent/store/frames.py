"""Raw samples on disk: one file a UTC day, one compressed frame a scan, older quarters of an hour packed as columns.

A frame lies in the file of the day of its own instant; its samples may be older (they were read before midnight, or
waited while the disk refused), so a reader looks at the files from a day before the wanted span up to the newest.
Writing is done by `frame_writer`, reading by `frame_reader`, packing by `packing`.
"""

import logging
import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path

from edge_agent.store import database

LOG = logging.getLogger(__name__)

KIND = "frames"


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


def set_aside(folder: Path) -> list[tuple[date, Path]]:
    """Damaged files of days that were set aside, oldest day first."""
    found = []
    for path in folder.glob("*.db.damaged-*"):
        try:
            found.append((date.fromisoformat(path.name.partition(".")[0]), path))
        except ValueError:
            continue
    return sorted((day, path) for day, path in found if not path.name.endswith(("-wal", "-shm")))


def version(connection: sqlite3.Connection) -> int:
    """Number of the schema of an open file: older days are read as they were written."""
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    return int(found)


def first_instant_us(folder: Path, *, from_day: date = date.min) -> int | None:
    """Instant of the oldest sample of the oldest file, from a day on, that holds any [us since 1970 UTC]."""
    for day, path in day_files(folder):
        if day < from_day:
            continue
        try:
            connection = database.open_read(path)
        except sqlite3.Error:
            continue
        try:
            oldest_us = [us for us in _over_tables(connection, "min(sample_min_us)") if us is not None]
        except sqlite3.Error:
            continue
        finally:
            connection.close()
        if oldest_us:
            return min(oldest_us)
    return None


def _over_tables(connection: sqlite3.Connection, expression: str, *, in_segment: str = "") -> list[int | None]:
    """An aggregate over the frames and, where the file has them, over the segments."""
    queries = [f"SELECT {expression} FROM frame"]  # noqa: S608 - own words
    if version(connection) > 1:
        queries.append(f"SELECT {in_segment or expression} FROM segment")  # noqa: S608 - own words
    return [connection.execute(query).fetchone()[0] for query in queries]


def sequence_max(folder: Path) -> int:
    """Highest frame number in any readable day file; 0 when there is none."""
    highest = 0
    for _, path in day_files(folder):
        try:
            connection = database.open_read(path)
        except sqlite3.Error:
            continue
        try:
            found = _over_tables(connection, "max(seq)", in_segment="max(seq_last)")
        except sqlite3.Error:
            continue
        finally:
            connection.close()
        highest = max(highest, *(number or 0 for number in found))
    return highest


def _seq(path: Path, which: str) -> int | None:
    """Lowest or highest frame number of a file; None when there is none or it cannot be read."""
    try:
        with closing(database.open_read(path)) as connection:
            column = "seq_first" if which == "min" else "seq_last"
            found = _over_tables(connection, f"{which}(seq)", in_segment=f"{which}({column})")
    except sqlite3.Error:
        return None
    numbers = [number for number in found if number is not None]
    return (min if which == "min" else max)(numbers) if numbers else None


def remove_old(folder: Path, *, keep_from: date, needed_from: date, files_min: int) -> list[date]:
    """Unlinks whole day files that are older than wanted; never the newest, nor one that is needed.

    Args:
        folder: folder of the day files.
        keep_from: first day to keep.
        needed_from: first day from which a period is still to be made or delivered.
        files_min: so many of the newest files stay in any case: a clock that leaps ahead makes nothing old.

    Returns:
        The days removed.
    """
    files = day_files(folder)
    limit = min(keep_from, needed_from)
    kept = [path for day, path in files if day >= limit]
    floor = min((seq for path in kept if (seq := _seq(path, "min"))), default=0)
    # A clock that was years wrong stamps an old day on what has just been read: the numbers know the order.
    removed = [
        (day, path)
        for day, path in files[: -max(1, files_min)]
        if day < limit and not (_seq(path, "max") or 0) > floor > 0
    ]
    for day, path in removed:
        database.unlink(path)
        LOG.info("day file removed, it is older than it is kept day=%s", day)
    if removed:
        database.sync_folder(folder)
    return [day for day, _ in removed]


def day_of(instant_us: int) -> date:
    """The UTC day of an instant."""
    return datetime.fromtimestamp(instant_us // 1_000_000, UTC).date()
