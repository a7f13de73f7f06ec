"""Reading what was accepted while the service runs, or when it does not: own connections, never a write.

For `export`, `audit`, reports. What is committed is seen at once; a frame that cannot be read is logged and left out.
"""

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from edge_agent.errors import StoreFault
from edge_agent.rollup import microseconds
from edge_agent.store import frame_reader
from edge_agent.store.rows import AuditEntry, StoredSample
from edge_agent.store.state import StateReader

FRAMES_FOLDER = "frames"
STATE_FILE = "state.db"


def read_samples(
    state_dir: Path, from_utc: datetime, to_utc: datetime, points: Collection[str] | None = None
) -> Iterator[StoredSample]:
    """Samples of [from, to), frame by frame in the order of acceptance.

    Args:
        state_dir: the service's state folder.
        from_utc: first instant.
        to_utc: the first instant that is no longer wanted.
        points: only these points; None for all.

    Raises:
        StoreFault: there is no store here.
    """
    folder = state_dir / FRAMES_FOLDER
    if not folder.is_dir():
        raise StoreFault(f"{folder}: 没有记录 / no records here")
    return frame_reader.read_samples(folder, from_utc, to_utc, points=points)


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
    """
    path = state_dir / STATE_FILE
    if not path.is_file():
        return {}
    reader = StateReader(path)
    try:
        rollups = reader.rollups(point, period_min, microseconds(from_utc), microseconds(to_utc))
    finally:
        reader.close()
    return {rollup.start_utc: rollup.mean for rollup in rollups if rollup.mean is not None}


@contextmanager
def read_ledger(state_dir: Path) -> Iterator[StateReader]:
    """The delivery ledger, beside the service.

    Args:
        state_dir: the service's state folder.

    Raises:
        StoreFault: there is no store here, or it is an older release's that no service has opened since.
    """
    path = state_dir / STATE_FILE
    if not path.is_file():
        raise StoreFault(f"{path}: 没有记录 / no records here")
    try:
        reader = StateReader(path)
        try:
            yield reader
        finally:
            reader.close()
    except sqlite3.Error as error:
        raise StoreFault(f"{path}: 读不出 / cannot be read: {error}") from error


def read_audit(state_dir: Path, *, limit: int) -> tuple[list[AuditEntry], int | None, dict[int, AuditEntry]]:
    """The audit: newest entries first, where its chain is broken (None: nowhere), commands without an end by number.

    Args:
        state_dir: the service's state folder.
        limit: most entries.

    Raises:
        StoreFault: there is no store here.
    """
    path = state_dir / STATE_FILE
    if not path.is_file():
        raise StoreFault(f"{path}: 没有记录 / no records here")
    reader = StateReader(path)
    try:
        return reader.audit_entries(limit), reader.audit_broken_at(), reader.audit_unfinished()
    finally:
        reader.close()
