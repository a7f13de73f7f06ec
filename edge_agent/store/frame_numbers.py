"""Numbers for frames that are never used twice, whatever happens to the databases.

A tiny file beside the databases says up to which number this service may have used them. It is written ahead, a block
at a time, so that it costs nothing per frame; after a kill the rest of the block is skipped. Numbers rise strictly over
all restarts; they are without gaps only within one run.
"""

import logging
import os
from pathlib import Path

from edge_agent.store.database import sync_folder

LOG = logging.getLogger(__name__)

BLOCK = 1000
LEAP = 1_000_000
"""Added to what the databases know when the tiny file itself is lost: more frames than the newest day file, which may
be lost with it, can have held."""


class FrameNumbers:
    """The next number, and the promise that it was never given before."""

    def __init__(self, path: Path, *, used_max: int) -> None:
        """Reads the high-water mark.

        Args:
            path: the tiny file.
            used_max: highest number that the databases know of: holds when the file itself is lost.
        """
        self._path = path
        self._last = max(used_max, self._read(used_max))
        self._reserved = self._last

    def _read(self, used_max: int) -> int:
        try:
            return int(self._path.read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError) as error:
            if used_max == 0:
                return 0  # the very first start
            LOG.error("high-water mark of frames lost, numbers leap path=%s reason=%s", self._path, error)  # noqa: TRY400 - the reason is enough
            return used_max + LEAP

    def _write(self, reserved: int) -> None:
        fresh = self._path.with_name(self._path.name + ".new")
        with fresh.open("w", encoding="ascii") as file:
            file.write(f"{reserved}\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        sync_folder(self._path.parent)
        self._reserved = reserved

    @property
    def reserved(self) -> int:
        """No number above this one has been given."""
        return self._reserved

    def next(self) -> int:
        """A number above every one given before, in this run and all runs before it."""
        if self._last >= self._reserved:
            self._write(self._last + BLOCK)
        self._last += 1
        return self._last

    def close(self) -> None:
        """Gives back what was reserved and not used: a clean restart leaves no gap."""
        if self._reserved > self._last:
            self._write(self._last)
