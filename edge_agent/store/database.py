"""How a database file is opened, migrated, checked and set aside. It knows no table."""

import logging
import os
import shutil
import sqlite3
from importlib import resources
from pathlib import Path
from urllib.parse import quote

from edge_agent.errors import StoreFault
from edge_agent.store import words

LOG = logging.getLogger(__name__)

PAGE_BYTES = 4096
BUSY_MS = 5000
CHECKPOINT_PAGES = 200
JOURNAL_BYTES_MAX = 262_144
SIDECARS = ("", "-wal", "-shm")
SET_ASIDE_COUNT_MAX = 1000


def scripts(kind: str) -> list[str]:
    """The schema scripts of a kind of file, oldest first: `{kind}_v1.sql`, `{kind}_v2.sql` ..."""
    folder = resources.files("edge_agent.store")
    found: list[str] = []
    while (script := folder / f"{kind}_v{len(found) + 1}.sql").is_file():
        found.append(script.read_text(encoding="utf-8"))
    assert found, f"no schema script {kind}_v1.sql in the package"
    return found


def migrate(connection: sqlite3.Connection, steps: list[str], *, path: Path) -> None:
    """Brings a file to the newest schema, one script a transaction; `user_version` is the number of scripts applied.

    Raises:
        StoreFault: a newer release wrote this file.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(steps):
        raise StoreFault(
            f"{path}: 由较新版本写成,请勿降级 / written by a newer release: schema={version} known={len(steps)}"
        )
    for number in range(version, len(steps)):
        # PRAGMA user_version takes part in the transaction: a kill leaves the old version or the new one, whole.
        connection.executescript(f"BEGIN IMMEDIATE;\n{steps[number]}\nPRAGMA user_version = {number + 1};\nCOMMIT;")


def open_write(path: Path, steps: list[str], *, bytes_max: int) -> sqlite3.Connection:
    """Opens a file for its one writer, with a full flush at every commit, and migrates it.

    Raises:
        sqlite3.Error: the file cannot be opened or is damaged.
        StoreFault: a newer release wrote this file.
    """
    try:
        connection = sqlite3.connect(path, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        words.place(error, path)
        raise
    try:
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {JOURNAL_BYTES_MAX}")
        connection.execute("PRAGMA foreign_keys = ON")
        migrate(connection, steps, path=path)
        # Only now: a migration may need more room than the quota leaves, and a service that does not start heats none.
        connection.execute(f"PRAGMA max_page_count = {max(1, bytes_max // PAGE_BYTES)}")
    except sqlite3.Error as error:
        connection.close()
        words.place(error, path)
        raise
    except StoreFault:
        connection.close()
        raise
    return connection


def open_read(path: Path) -> sqlite3.Connection:
    """Opens a file for reading only, while its writer may be at work.

    Raises:
        sqlite3.Error: the file cannot be opened or is damaged.
    """
    address = f"file:{quote(str(path))}"
    connection = sqlite3.connect(
        f"{address}?mode=ro", uri=True, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA user_version").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        if path.with_name(path.name + "-wal").exists():
            raise
        # A reader without leave to write in the folder cannot make the shared-memory file that WAL mode wants; where
        # no log exists, nobody is writing, and the file alone is the whole truth.
        connection = sqlite3.connect(f"{address}?mode=ro&immutable=1", uri=True, isolation_level=None)
    return connection


def version(connection: sqlite3.Connection) -> int:
    """Number of the schema of an open file; 0: it has none."""
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    return int(found)


def finding(connection: sqlite3.Connection) -> str | None:
    """What SQLite's quick check finds wrong with a file; None when it is sound."""
    try:
        (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if answer == "ok" else str(answer)


def set_aside(path: Path, *, reason: str) -> Path:
    """Renames a damaged file and its log, so that a fresh one can take its place; nothing is deleted.

    What is sound in it is brought over by `salvage_state` and `salvage_frames`.
    """
    for number in range(1, SET_ASIDE_COUNT_MAX):
        target = path.with_name(f"{path.name}.damaged-{number}")
        if not target.exists():
            break
    else:
        raise StoreFault(f"{path}: {SET_ASIDE_COUNT_MAX} damaged files lie beside it already")
    for sidecar in SIDECARS:
        part = path.with_name(path.name + sidecar)
        if part.exists():
            part.rename(target.with_name(target.name + sidecar))
    sync_folder(path.parent)
    LOG.error("database damaged, set aside path=%s kept_as=%s reason=%s", path, target.name, reason)
    return target


def _open_writable(path: Path, steps: list[str], *, bytes_max: int) -> sqlite3.Connection:
    """Opens a file for writing; one that is read-only in a folder that is not gives way to its copy."""
    try:
        return open_write(path, steps, bytes_max=bytes_max)
    except sqlite3.OperationalError as error:
        if words.cause(error) != "read_only" or not os.access(path.parent, os.W_OK):
            raise
        LOG.error("database is read-only, a copy takes its place path=%s", path)  # noqa: TRY400 - said once
        fresh = path.with_name(path.name + ".new")
        shutil.copyfile(path, fresh)
        with fresh.open("rb") as file:
            os.fsync(file.fileno())
        fresh.replace(path)
        sync_folder(path.parent)
    return open_write(path, steps, bytes_max=bytes_max)


def open_checked(path: Path, steps: list[str], *, bytes_max: int) -> tuple[sqlite3.Connection, Path | None]:
    """Opens a file for writing after a quick check; a damaged one is set aside and a fresh one started.

    Returns:
        The connection, and where the damaged file lies that was set aside; None: it was sound.
    """
    reason: str | None
    emptied = path.with_name(path.name + ".head").exists() and path.exists() and path.stat().st_size == 0
    try:
        if emptied:
            raise sqlite3.DatabaseError("the file has been emptied")  # noqa: TRY301 - damaged like any other
        connection = _open_writable(path, steps, bytes_max=bytes_max)
    except sqlite3.OperationalError:
        raise  # no space, no leave, busy: not a damaged file
    except sqlite3.DatabaseError as error:
        reason = str(error)
    else:
        reason = finding(connection)
        if reason is None:
            return connection, None
        connection.close()
    aside = set_aside(path, reason=reason)
    return open_write(path, steps, bytes_max=bytes_max), aside


def sync_folder(folder: Path) -> None:
    """Makes names of new, renamed and removed files in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def unlink(path: Path) -> None:
    """Removes a database with its log."""
    for sidecar in SIDECARS:
        path.with_name(path.name + sidecar).unlink(missing_ok=True)


def size_bytes(path: Path) -> int:
    """Size of a database with its log [bytes]."""
    parts = (path.with_name(path.name + sidecar) for sidecar in SIDECARS)
    return sum(part.stat().st_size for part in parts if part.exists())
