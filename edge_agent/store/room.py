"""Room on the disk: a quota far below it, what goes first when it is reached, and a ballast for when others fill it.

First go the details of the oldest day, then what is reported of it, then its totals with the whole file; days from
which a period is still to be made or delivered come after all others, today's details last of all. Nothing goes
undeclared: the gap is on the disk before anything is removed.
"""

import json
import logging
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from edge_agent.rollup import instant
from edge_agent.store import database, frames, packing
from edge_agent.store.facts import Keep
from edge_agent.store.frames import KIND, day_files, day_path
from edge_agent.store.gaps import QUOTA_REASON
from edge_agent.store.rows import Gap

LOG = logging.getLogger(__name__)

BALLAST_SHARE = 50
"""The ballast is this part of the quota ..."""
BALLAST_BYTES_MAX = 16_000_000
"""... and at most this."""
FREE_RATIO_MIN = 4
"""The ballast is laid only where so many times its size is free: it must not be what fills the disk."""


@dataclass(frozen=True, slots=True)
class Eviction:
    """Something to be removed.

    Attributes:
        day: whose file.
        keep: only this class of points; None: the whole file.
        gap: what it leaves.
        last: number of the last segment, or for the whole file of the last frame, that the gap declares: what comes
            later is not meant.
        shrink: give the room back to the disk; not while the file is being written.
    """

    day: date
    keep: Keep | None
    gap: Gap
    shrink: bool
    last: int = 0


def used_bytes(path: Path) -> int:
    """Bytes of a database that hold something: pages that were freed are used again [bytes]."""
    try:
        with closing(database.open_read(path)) as connection:
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    except sqlite3.Error:
        return database.size_bytes(path)
    return int(pages - free) * database.PAGE_BYTES


def frames_bytes(folder: Path) -> int:
    """Bytes of all day files, and of what was set aside beside them; of the newest only what holds something."""
    files = day_files(folder)
    newest = used_bytes(files[-1][1]) if files else 0
    return newest + sum(database.size_bytes(path) for _, path in files[:-1])


def next_eviction(folder: Path, *, bytes_max: int, needed_from: date, today: date) -> Eviction | None:
    """What is to go next; None while there is room.

    Args:
        folder: of the day files.
        bytes_max: most bytes for all of them.
        needed_from: first day from which something is still to be made or delivered.
        today: the day whose file is being written, whatever a wrong clock has written beside it.
    """
    if frames_bytes(folder) <= bytes_max:
        return None
    for day, path, keep in _order(folder, needed_from, today):
        found = _eviction(day, path, keep, shrink=day != today)
        if found is not None:
            return found
    return None


def newest_details(folder: Path, today: date) -> Eviction | None:
    """The packed details of today, or what it holds of the reported points; None when there is nothing.

    For the day whose file alone has reached its quota.
    """
    for keep in (Keep.DETAIL, Keep.REPORTED):
        found = _eviction(today, day_path(folder, today), keep, shrink=False)
        if found is not None:
            return found
    return None


def _order(folder: Path, needed_from: date, today: date) -> Iterator[tuple[date, Path, Keep]]:
    older = [(day, path) for day, path in day_files(folder) if day != today]
    for days in (
        [entry for entry in older if entry[0] < needed_from],
        [entry for entry in older if entry[0] >= needed_from],
    ):
        for keep in (Keep.DETAIL, Keep.REPORTED, Keep.TOTAL):
            yield from ((day, path, keep) for day, path in days)
    if day_path(folder, today).exists():
        yield from ((today, day_path(folder, today), keep) for keep in (Keep.DETAIL, Keep.REPORTED))


def _eviction(day: date, path: Path, keep: Keep, *, shrink: bool) -> Eviction | None:
    """The eviction of a class of a day; None when there is nothing of it."""
    try:
        with closing(database.open_read(path)) as connection:
            if keep is Keep.TOTAL:
                return _whole_file(connection, day)
            count, from_us, to_us, last = connection.execute(
                "SELECT sum(seq_last - seq_first + 1), min(sample_min_us), max(sample_max_us), max(id) FROM segment"
                " WHERE keep = ?",
                (keep,),
            ).fetchone()
            if not count:
                return None
            names = connection.execute(
                "SELECT name FROM point WHERE coalesce(keep, ?) = ? ORDER BY name", (Keep.DETAIL, keep)
            )
            points = tuple(name for (name,) in names)
            return Eviction(
                day,
                keep,
                Gap(points, instant(from_us), instant(to_us + 1), count, QUOTA_REASON),
                shrink=shrink,
                last=last,
            )
    except sqlite3.Error as error:
        LOG.warning("day file not read for eviction path=%s reason=%s", path, error)
        return None


def _whole_file(connection: sqlite3.Connection, day: date) -> Eviction | None:
    tables = [("seq", "frame", "count(*)")]
    if database.version(connection) > 1:
        tables.append(("seq_last", "segment", "coalesce(sum(seq_last - seq_first + 1), 0)"))
    counts, lows, highs, lasts = 0, [], [], []
    for seq, table, count in tables:
        number, low_us, high_us, last = connection.execute(
            f"SELECT {count}, min(sample_min_us), max(sample_max_us), max({seq}) FROM {table}"  # noqa: S608 - own words
        ).fetchone()
        counts += number
        if last is not None:
            lows.append(low_us)
            highs.append(high_us)
            lasts.append(last)
    if not lows:
        return Eviction(day, None, Gap(None, instant(0), instant(0), 0, QUOTA_REASON), shrink=False)
    gap = Gap(None, instant(min(lows)), instant(max(highs) + 1), counts, QUOTA_REASON)
    return Eviction(day, None, gap, shrink=False, last=max(lasts))


def note(eviction: Eviction) -> str:
    """An eviction as text: what a run that dies leaves to the next one."""
    keep = None if eviction.keep is None else int(eviction.keep)
    return json.dumps({"day": eviction.day.isoformat(), "keep": keep, "shrink": eviction.shrink, "last": eviction.last})


def read_note(text: str) -> Eviction:
    """The eviction of a note; its gap has been declared."""
    noted = json.loads(text)
    keep = None if noted["keep"] is None else Keep(noted["keep"])
    nothing = Gap(None, instant(0), instant(0), 0, QUOTA_REASON)
    return Eviction(date.fromisoformat(noted["day"]), keep, nothing, shrink=noted["shrink"], last=noted["last"])


def remove_file(folder: Path, eviction: Eviction) -> None:
    """Removes a whole file that has been declared, in the thread that writes frames: it may have come to it since.

    A clock that was set back brings an old day to life again: what came after the declaration stays.
    """
    path = day_path(folder, eviction.day)
    if frames.last_sequence(path) > eviction.last:
        with closing(database.open_write(path, database.scripts(KIND), bytes_max=database.size_bytes(path))) as day:
            day.execute("DELETE FROM segment WHERE seq_last <= ?", (eviction.last,))
            day.execute("DELETE FROM frame WHERE seq <= ?", (eviction.last,))
    else:
        database.unlink(path)
        database.sync_folder(folder)
    _say(eviction)


def carry_out(folder: Path, eviction: Eviction, *, bytes_max: int) -> None:
    """Removes the class of a day that has been declared; doing it again does no harm."""
    path = day_path(folder, eviction.day)
    if path.exists():
        with closing(database.open_write(path, database.scripts(KIND), bytes_max=bytes_max)) as connection:
            connection.execute("DELETE FROM segment WHERE keep = ? AND id <= ?", (eviction.keep, eviction.last))
        if eviction.shrink:
            packing.shrink(path, bytes_max=bytes_max)
    _say(eviction)


def _say(eviction: Eviction) -> None:
    LOG.warning(
        "evicted day=%s class=%s frames=%d reason=%s",
        eviction.day,
        "all" if eviction.keep is None else eviction.keep.name.lower(),
        eviction.gap.count,
        eviction.gap.reason,
    )


class Ballast:
    """A file that holds room for the moment when others have filled the disk."""

    def __init__(self, state_dir: Path, *, quota_bytes: int) -> None:
        """Names the file."""
        self._path = state_dir / "ballast"
        self.bytes = min(quota_bytes // BALLAST_SHARE, BALLAST_BYTES_MAX)

    @property
    def laid(self) -> bool:
        """Whether it is there."""
        return self._path.exists()

    def lay(self) -> bool:
        """Lays it where there is room enough; returns whether it is there."""
        if self.laid:
            return True
        if free_bytes(self._path.parent) < FREE_RATIO_MIN * self.bytes:
            return False
        try:
            with self._path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, self.bytes)
        except OSError as error:
            LOG.warning("no ballast path=%s reason=%s", self._path, error)
            self._path.unlink(missing_ok=True)
            return False
        return True

    def drop(self) -> bool:
        """Gives its room to the service; returns whether there was any."""
        if not self.laid:
            return False
        self._path.unlink()
        LOG.error("the disk is full, ballast dropped bytes=%d", self.bytes)
        return True


def free_bytes(folder: Path) -> int:
    """Bytes that are free on the disk of a folder."""
    return shutil.disk_usage(folder).free
