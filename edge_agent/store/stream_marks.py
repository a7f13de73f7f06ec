"""Up to which number each stream may have used its epoch: a tiny file beside state.db, written ahead of the numbers.

When state.db is damaged, the numbering goes on above the mark in the same epoch: what is salvaged keeps its epoch and
number, no number is used twice, and those that are missing can be named. Without the file a new epoch begins.
"""

import json
import logging
import os
import sqlite3
import zlib
from pathlib import Path

from edge_agent.store.database import sync_folder

LOG = logging.getLogger(__name__)

BLOCK = 50
"""Numbers written ahead at a time: so many, at most, are declared missing though they never were."""


class StreamMarks:
    """The marks of all streams."""

    def __init__(self, path: Path) -> None:
        """Reads the file; a torn one counts as lost."""
        self._path = path
        self.reserved: dict[str, tuple[str, int]] = self._read()
        """Epoch and highest number that may have been used, by stream."""

    def _read(self) -> dict[str, tuple[str, int]]:
        try:
            crc, _, body = self._path.read_bytes().partition(b" ")
            if int(crc, 16) != zlib.crc32(body):
                raise ValueError("CRC-32")  # noqa: TRY301 - torn like any other text that is no mark
            return {name: (str(epoch), int(last)) for name, (epoch, last) in json.loads(body).items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError, TypeError) as error:
            LOG.error("marks of streams lost path=%s reason=%s", self._path, error)  # noqa: TRY400 - the reason is enough
            return {}

    def cover(self, connection: sqlite3.Connection, *, ahead: int = BLOCK) -> None:
        """Makes sure, before a commit, that the file covers every number that the transaction gives out."""
        streams = connection.execute("SELECT uplink, epoch, seq_last FROM stream").fetchall()
        fresh = {name: (epoch, last + ahead) for name, epoch, last in streams}
        if not ahead or any(
            name not in self.reserved or self.reserved[name][0] != epoch or self.reserved[name][1] < last
            for name, epoch, last in streams
        ):
            self._write(self.reserved | fresh)

    def _write(self, reserved: dict[str, tuple[str, int]]) -> None:
        if reserved == self.reserved:
            return
        body = json.dumps(reserved, ensure_ascii=False).encode()
        new = self._path.with_name(self._path.name + ".new")
        with new.open("wb") as file:
            file.write(b"%08x " % zlib.crc32(body) + body)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)
        sync_folder(self._path.parent)
        self.reserved = reserved
