"""Reading what was accepted while the service runs, or when it does not: own connections, never a write.

For `export` and reports. What is committed is seen at once; a frame that cannot be read is logged and left out.
"""

from collections.abc import Collection, Iterator
from datetime import datetime
from pathlib import Path

from edge_agent.errors import StoreFault
from edge_agent.store import frames
from edge_agent.store.rows import StoredSample

FRAMES_FOLDER = "frames"


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
    return frames.read_samples(folder, from_utc, to_utc, points=points)
