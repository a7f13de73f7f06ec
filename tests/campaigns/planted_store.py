"""The store with a planted bug, to see that the campaigns count what it loses. Started by a campaign, never by a user.

Arguments: the bug, then `writer STATE_DIR` (tests/edge_agent/store/promising_writer.py) or the arguments of
`edge-agent`. Bugs:

- `none`: the store as it is;
- `normal`: commits are not flushed one by one (synchronous=NORMAL): gone at a power cut, though promised;
- `early`: a frame is promised before its commit.

Nothing of this is in the product: the process patches itself before the store is opened.
"""

import runpy
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge_agent.store import database
from edge_agent.store.frame_writer import FrameWriter

WRITER = Path(__file__).parents[1] / "edge_agent" / "store" / "promising_writer.py"


def not_flushed() -> None:
    """Every connection that writes is opened with synchronous=NORMAL."""
    honest = database.open_write

    def open_write(path: Path, steps: list[str], *, bytes_max: int) -> sqlite3.Connection:
        connection = honest(path, steps, bytes_max=bytes_max)
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    database.open_write = open_write


def promised_early() -> None:
    """A frame is written when the next one comes: the last one has been promised and is nowhere."""
    honest = FrameWriter.append
    held: list[Callable[[], None]] = []

    def append(self: FrameWriter, *arguments: Any, **others: Any) -> None:
        for write in held:
            write()
        held[:] = [lambda: honest(self, *arguments, **others)]

    FrameWriter.append = append  # type: ignore[method-assign]


BUGS: dict[str, Callable[[], None]] = {"none": lambda: None, "normal": not_flushed, "early": promised_early}


def main() -> None:
    """Patches, then is the writer or the agent."""
    BUGS[sys.argv.pop(1)]()
    if sys.argv[1] == "writer":
        sys.argv = [str(WRITER), *sys.argv[2:]]
        runpy.run_path(str(WRITER), run_name="__main__")
        return
    from edge_agent.cli import main as agent  # noqa: PLC0415 - after the patch

    agent()


if __name__ == "__main__":
    main()
