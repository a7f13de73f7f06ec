"""Reading what was accepted while the service runs, or when it does not: own connections, never a write.

For `export`, `audit`, reports. What is committed is seen at once. A file that cannot be read is named, with what to do.
"""

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

from edge_agent.errors import StoreFault
from edge_agent.rollup import microseconds
from edge_agent.store import database, frame_reader, words
from edge_agent.store.rows import AuditEntry, StoredSample
from edge_agent.store.state import KIND, StateReader

FRAMES_FOLDER = "frames"
STATE_FILE = "state.db"


def read_samples(
    state_dir: Path,
    from_utc: datetime,
    to_utc: datetime,
    points: Collection[str] | None = None,
    *,
    unread: frame_reader.Unread | None = None,
) -> Iterator[StoredSample]:
    """Samples of [from, to), frame by frame in the order of acceptance.

    Args:
        state_dir: the service's state folder.
        from_utc: first instant.
        to_utc: the first instant that is no longer wanted.
        points: only these points; None for all.
        unread: receives files of which not everything could be read, and why; None: the log does.

    Raises:
        StoreFault: there is no store here.
    """
    folder = state_dir / FRAMES_FOLDER
    try:
        if not folder.is_dir():
            raise StoreFault(f"{folder}: 没有记录 / no records here")
        _ = next(folder.iterdir(), None)
    except OSError as error:
        raise StoreFault(words.told(error)) from error
    return frame_reader.read_samples(folder, from_utc, to_utc, points=points, unread=unread)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:  # who asks has no leave to look into the folder
        raise StoreFault(words.told(error)) from error


@contextmanager
def _state(path: Path) -> Iterator[StateReader]:
    if not _exists(path):
        raise StoreFault(f"{path}: 没有记录 / no records here")
    known = version = len(database.scripts(KIND))
    try:
        with closing(StateReader(path)) as reader:
            version = reader.version()
            if version == 0:
                raise StoreFault(words.damaged(path, "the file is empty"))
            yield reader
    except sqlite3.Error as error:
        if version < known and words.cause(error) != "damaged":
            raise StoreFault(
                f"{path}: 由较旧版本写成,启动一次服务即升级 / written by an older release, the service's next start"
                f" brings it up: schema={version} known={known}: {error}"
            ) from error
        words.place(error, path)
        raise StoreFault(words.told(error)) from error


def read_means(
    state_dir: Path, point: str, period_min: int, from_utc: datetime, to_utc: datetime
) -> dict[datetime, float]:
    """Stored means of a point by the start of their period; empty where there is no store.

    Args:
        state_dir: the service's state folder.
        point: `device.point`.
        period_min: length of the periods [min].
        from_utc: first start of a period.
        to_utc: the first start that is no longer wanted. Periods without a GOOD value are left out.

    Raises:
        StoreFault: it cannot be read.
    """
    path = state_dir / STATE_FILE
    if not _exists(path):
        return {}
    with _state(path) as reader:
        rollups = reader.rollups(point, period_min, microseconds(from_utc), microseconds(to_utc))
    return {rollup.start_utc: rollup.mean for rollup in rollups if rollup.mean is not None}


@contextmanager
def read_ledger(state_dir: Path) -> Iterator[StateReader]:
    """The delivery ledger, beside the service.

    Args:
        state_dir: the service's state folder.

    Raises:
        StoreFault: there is no store here, it cannot be read, or no service of this release has opened it since.
    """
    with _state(state_dir / STATE_FILE) as reader:
        yield reader


def read_audit(state_dir: Path, *, limit: int) -> tuple[list[AuditEntry], int | None, dict[int, AuditEntry]]:
    """The audit: newest entries first, where its chain is broken (None: nowhere), commands without an end by number.

    Args:
        state_dir: the service's state folder.
        limit: most entries.

    Raises:
        StoreFault: there is no store here, or it cannot be read.
    """
    with _state(state_dir / STATE_FILE) as reader:
        return reader.audit_entries(limit), reader.audit_broken_at(), reader.audit_unfinished()
