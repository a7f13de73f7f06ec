"""What the store's threads work on: the lock that keeps a second service out, the databases, and what is known of them.

Opened and closed as one, in the writing thread.
"""

import fcntl
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from edge_agent.errors import StoreFault
from edge_agent.store import frames, room
from edge_agent.store.database import sync_folder
from edge_agent.store.facts import UNKNOWN, PointFacts
from edge_agent.store.frame_numbers import FrameNumbers
from edge_agent.store.frame_writer import FrameWriter
from edge_agent.store.reader import FRAMES_FOLDER, STATE_FILE
from edge_agent.store.state import StateReader, StateWriter
from edge_agent.store.tending import Tender

BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")


@dataclass(slots=True, kw_only=True)
class Parts:
    """An open store.

    Attributes:
        state_dir: the service's state folder.
        folder: that of the day files.
        half_bytes: half of the quota for state.db, half for the raw frames; within that half one day's file may grow.
        raw_days: raw frames are kept this long [d].
        boot: id of the machine's boot.
        lock: held while the store is open.
        state: writes state.db.
        state_reader: reads it, in the reading thread.
        frames: writes the day files.
        numbers: gives each frame its number.
        tender: packs older frames.
        ballast: room for when others have filled the disk.
        facts: what is known of the points, by name.
        closed_us: end of the newest period that was closed [us since 1970 UTC].
        newest_us: instant of the last frame; 0: none since the start.
        evicted_count: things removed before their time since the start.
    """

    state_dir: Path
    folder: Path
    half_bytes: int
    raw_days: int
    boot: str
    lock: IO[str]
    state: StateWriter
    state_reader: StateReader
    frames: FrameWriter
    numbers: FrameNumbers
    tender: Tender
    ballast: room.Ballast
    facts: dict[str, PointFacts]
    closed_us: int
    newest_us: int = 0
    evicted_count: int = 0

    @property
    def period_s_max(self) -> float:
        """The longest expected distance of two readings [s]."""
        return max((facts.period_s for facts in self.facts.values()), default=UNKNOWN.period_s)

    def close(self) -> None:
        """Closes what writes; the reader is closed in its own thread."""
        self.frames.close()
        self.numbers.close()
        self.state.close()
        self.lock.close()


def open_parts(state_dir: Path, *, half_bytes: int, raw_days: int, ballast: room.Ballast) -> Parts:
    """Opens the store of a state folder, and makes one where there is none.

    Raises:
        StoreFault: another service holds it, or a newer release wrote it.
        OSError: no leave to write.
        sqlite3.Error: state.db cannot be opened.
    """
    folder = state_dir / FRAMES_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    sync_folder(state_dir)
    lock = (state_dir / "lock").open("w", encoding="ascii")
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StoreFault(f"{state_dir}: 另一服务正在使用 / another service is using it") from error
        state = StateWriter(state_dir / STATE_FILE, bytes_max=half_bytes)
        numbers = FrameNumbers(state_dir / "frame_sequence", used_max=frames.sequence_max(folder))
        reader = StateReader(state_dir / STATE_FILE)
        facts: dict[str, PointFacts] = {}
        return Parts(
            state_dir=state_dir,
            folder=folder,
            half_bytes=half_bytes,
            raw_days=raw_days,
            boot=_boot_id(),
            lock=lock,
            state=state,
            state_reader=reader,
            frames=FrameWriter(folder, bytes_max=half_bytes, facts=facts),
            numbers=numbers,
            tender=Tender(folder, bytes_max=half_bytes),
            ballast=ballast,
            facts=facts,
            closed_us=max(reader.last_period_ends_us().values(), default=0),
        )
    except BaseException:
        lock.close()
        raise


def _boot_id() -> str:
    try:
        return BOOT_ID_FILE.read_text(encoding="ascii").strip()
    except OSError:
        return ""
