"""Opens a damaged database for salvage: a copy of it, its first page mended where that is what is broken.

The file that was set aside is never changed.
"""

import logging
import shutil
import sqlite3
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_agent.store import database

LOG = logging.getLogger(__name__)

HEAD_SUFFIX = ".head"
_PAGES_AT, _FREELIST_AT = 28, 32
"""Places in the header: size in pages, first page and length of the list of free pages. Source: SQLite file format,
1.3 "The Database Header"."""


def head_path(path: Path) -> Path:
    """Where the first page of a database is kept: it holds header and schema, which only a migration changes."""
    return path.with_name(path.name + HEAD_SUFFIX)


def keep_head(path: Path, connection: sqlite3.Connection) -> None:
    """Keeps the first page of an open, sound database, if it is another one than was kept."""
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    with path.open("rb") as file:
        page = file.read(database.PAGE_BYTES)
    kept = head_path(path)
    if len(page) < database.PAGE_BYTES or (kept.exists() and _schema(kept.read_bytes()) == _schema(page)):
        return
    new = kept.with_name(kept.name + ".new")
    new.write_bytes(page)
    new.replace(kept)


def _schema(page: bytes) -> bytes:
    """The part of a first page that only a migration changes."""
    return page[40:44] + page[100:]


def fresh_head(steps: list[str], *, folder: Path) -> bytes:
    """The first page of a database that these scripts make."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="salvage-") as place:
        path = Path(place) / "fresh.db"
        connection = database.open_write(path, steps, bytes_max=1 << 40)
        connection.close()
        return path.read_bytes()[: database.PAGE_BYTES]


@contextmanager
def opened(aside: Path, *, head: bytes | None, table: str) -> Iterator[sqlite3.Connection | None]:
    """A damaged file to read; None when not even its tables can be found.

    Args:
        aside: the file that was set aside.
        head: a first page that fits it; None: none is known.
        table: one of its tables, by which it is known.
    """
    with tempfile.TemporaryDirectory(dir=aside.parent, prefix="salvage-") as place:
        copy = Path(place) / "damaged.db"
        for sidecar in ("", "-wal"):
            source = aside.with_name(aside.name + sidecar)
            if source.exists():
                shutil.copyfile(source, copy.with_name(copy.name + sidecar))
        connection = _connect(copy, table)
        if connection is None and head is not None:
            _mend(copy, head)
            connection = _connect(copy, table)
        try:
            yield connection
        finally:
            if connection is not None:
                connection.close()


def _connect(path: Path, table: str) -> sqlite3.Connection | None:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        # Lets SQLite read a file that is shorter than its header says, or a part of whose schema is broken.
        connection.execute("PRAGMA writable_schema = ON")
        found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        if found is not None:
            return connection
    except sqlite3.Error as error:
        LOG.warning("damaged file not readable as it is path=%s reason=%s", path, error)
    connection.close()
    return None


def _mend(path: Path, head: bytes) -> None:
    """Writes a first page that fits over the broken one."""
    pages = max(1, path.stat().st_size // database.PAGE_BYTES)
    mended = bytearray(head)
    struct.pack_into(">I", mended, _PAGES_AT, pages)
    struct.pack_into(">II", mended, _FREELIST_AT, 0, 0)
    with path.open("r+b") as file:
        file.write(mended)
        file.truncate(pages * database.PAGE_BYTES)
