"""Housekeeping of the day files, in a thread of its own: packing, and what follows from it. It holds up no scan."""

import logging
import sqlite3
from datetime import date
from pathlib import Path

from edge_agent.errors import StoreFault
from edge_agent.store import packing
from edge_agent.store.frames import day_files, day_of

LOG = logging.getLogger(__name__)

PACK_AGE_US = 3_600_000_000
"""Frames stay as they came for so long: periods of up to an hour are closed from them [us]."""


class Tender:
    """Knows what has been tended to; everything is found out again after a start."""

    def __init__(self, folder: Path, *, bytes_max: int) -> None:
        """Names the folder of the day files and the most bytes for one of them."""
        self._folder = folder
        self._bytes_max = bytes_max
        self._done: set[Path] = set()
        self._unread: dict[Path, int] = {}
        self._damaged: list[tuple[date, str]] = []

    def pack(self, newest_us: int) -> bool:
        """Packs one quarter of an hour.

        Args:
            newest_us: instant of the newest frame [us since 1970 UTC].

        Returns:
            Whether there may be another one.
        """
        packable_us = newest_us - PACK_AGE_US
        for day, path in day_files(self._folder):
            if path in self._done or day > day_of(packable_us):
                continue
            try:
                if path.stat().st_size == 0:
                    raise sqlite3.DatabaseError("the file has been emptied")
                more, self._unread[path] = packing.pack_next(
                    path, before_us=packable_us, after_seq=self._unread.get(path, 0), bytes_max=self._bytes_max
                )
                if more:
                    return True
                if day < day_of(packable_us):  # it is over: nothing more will come, but from a clock set back
                    packing.shrink(path, bytes_max=self._bytes_max)
                    self._done.add(path)
                    return True
            except (sqlite3.Error, StoreFault) as error:
                if _is_damage(error):
                    self._damaged.append((day, str(error)))
                    self._done.add(path)
                    return True
                LOG.error("day file cannot be packed, it stays as it is path=%s reason=%s", path, error)  # noqa: TRY400 - the reason is enough
                self._done.add(path)
        return False

    def take_damaged(self) -> list[tuple[date, str]]:
        """Days whose files were found damaged since the last look, and why."""
        found, self._damaged = self._damaged, []
        return found

    def touched(self, path: Path) -> None:
        """A frame came into a file that was thought to be complete."""
        self._done.discard(path)


def _is_damage(error: sqlite3.Error | StoreFault) -> bool:
    """Whether it is the file's content, not the disk, the folder or another release."""
    return isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)
