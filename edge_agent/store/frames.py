"""Raw samples on disk: one file a UTC day, one compressed frame a scan, older quarters of an hour packed as columns.

A frame lies in the file of the day of its own instant; its samples may be older (they were read before midnight, or
waited while the disk refused), so a reader looks at the files from a day before the wanted span up to the newest.
Writing is done by `frame_writer`, reading by `frame_reader`, packing by `packing`.
"""

import logging
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from edge_agent.store import database

LOG = logging.getLogger(__name__)

KIND = "frames"
QUARTER_US = 900_000_000
TABLES = (("instant_us", "frame"), ("instant_min_us", "segment"))
"""Where frames are, and when the first of a row was made; a file of version 1 has only the former."""
DAY_US = 96 * QUARTER_US
RECORDED_RATIO_MIN = 0.99
"""Of the days that must be recorded after a file before its age is believed: short stops of the service count as well.
"""


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
    if database.version(connection) > 1:
        queries.append(f"SELECT {in_segment or expression} FROM segment")  # noqa: S608 - own words
    return [connection.execute(query).fetchone()[0] for query in queries]


def made_in_order(folder: Path, day: date) -> bool:
    """Whether the file of a day is older than those of later days, by frame number.

    Otherwise it went, and a late frame or a clock set back has made it anew: what it was is not in it.
    """
    files = [(other, path) for other, path in day_files(folder) if other >= day]
    if not files or files[0][0] != day:
        return False
    own = _first_sequence(files[0][1])
    return own is not None and not any((_first_sequence(path) or own) < own for _, path in files[1:])


def _first_sequence(path: Path) -> int | None:
    try:
        with closing(database.open_read(path)) as connection:
            found = _over_tables(connection, "min(seq)", in_segment="min(seq_first)")
    except sqlite3.Error:
        return None
    return min((number for number in found if number is not None), default=None)


def last_sequence(path: Path) -> int:
    """Highest frame number of a file; 0 when there is none or it cannot be read."""
    try:
        with closing(database.open_read(path)) as connection:
            return max(number or 0 for number in _over_tables(connection, "max(seq)", in_segment="max(seq_last)"))
    except sqlite3.Error:
        return 0


def sequence_max(folder: Path) -> int:
    """Highest frame number in any readable day file; 0 when there is none."""
    return max((last_sequence(path) for _, path in day_files(folder)), default=0)


@dataclass(frozen=True, slots=True)
class _Look:
    """What a day file says of its age, by numbers that no clock has made.

    Attributes:
        first: its lowest frame number.
        last: its highest.
        quarters: quarter hours of the day in which anything was recorded.
    """

    first: int
    last: int
    quarters: int


def _look(path: Path) -> _Look | None:
    """Looks at a file; None when there is nothing in it or it cannot be read."""
    try:
        with closing(database.open_read(path)) as connection:
            firsts = _over_tables(connection, "min(seq)", in_segment="min(seq_first)")
            lasts = _over_tables(connection, "max(seq)", in_segment="max(seq_last)")
            quarters: set[int] = set()
            for column, table in TABLES[: min(database.version(connection), len(TABLES))]:
                rows = connection.execute(f"SELECT DISTINCT {column} / {QUARTER_US} FROM {table}")  # noqa: S608 - own words
                quarters.update(quarter for (quarter,) in rows)
    except sqlite3.Error:
        return None
    numbers = [number for number in (*firsts, *lasts) if number is not None]
    return _Look(min(numbers), max(numbers), len(quarters)) if numbers else None


def remove_old(folder: Path, *, keep_from: date, needed_from: date, recorded_days_min: int) -> list[date]:
    """Unlinks whole day files that are older than wanted; none that is needed, and none because a clock was wrong.

    A file's age is not believed to the clock alone, which may leap ahead by years, or have stamped years ago what has
    just been read: so much must have been recorded after it, in the order of frame numbers, as it is to be kept.

    Args:
        folder: folder of the day files.
        keep_from: first day to keep.
        needed_from: first day from which a period is still to be made or delivered.
        recorded_days_min: recorded after a file before it goes [d].

    Returns:
        The days removed.
    """
    files = day_files(folder)
    limit = min(keep_from, needed_from)
    if not files or files[0][0] >= limit:
        return []
    looks = {day: _look(path) for day, path in files}
    quarters_min = RECORDED_RATIO_MIN * recorded_days_min * DAY_US // QUARTER_US
    removed = []
    for day, path in files:
        if day >= limit:
            break
        own = looks[day]
        after = [
            look
            for other, look in looks.items()
            if look is not None and (other > day if own is None else look.first > own.last)
        ]
        if sum(look.quarters for look in after) >= quarters_min:
            database.unlink(path)
            LOG.info("day file removed, it is older than it is kept day=%s", day)
            removed.append(day)
    if removed:
        database.sync_folder(folder)
    return removed


def day_of(instant_us: int) -> date:
    """The UTC day of an instant."""
    return datetime.fromtimestamp(instant_us // 1_000_000, UTC).date()
