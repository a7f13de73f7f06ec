"""What the platform holds: messages by (plant, epoch, seq) and values by (plant, code, time), in its own database.

It is written from the message's description alone and shares no code with the agent.
"""

import hashlib
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

SCHEMA = """
CREATE TABLE IF NOT EXISTS message (
    plant TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL, digest BLOB NOT NULL,
    PRIMARY KEY (plant, epoch, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS reading (
    plant TEXT NOT NULL, code TEXT NOT NULL, time TEXT NOT NULL, value REAL, quality INTEGER NOT NULL,
    PRIMARY KEY (plant, code, time)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS period (plant TEXT NOT NULL, time TEXT NOT NULL, PRIMARY KEY (plant, time)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS declared (
    plant TEXT NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS tally (name TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Reading:
    """One reported value."""

    code: str
    time_utc: datetime
    value: float | None
    quality: int


@dataclass(frozen=True, slots=True)
class Message:
    """One message from a plant, checked.

    Attributes:
        plant: which.
        epoch: birth mark of its numbering.
        seq: number.
        readings: values.
        declared: what else it says: (`gap` or `alarm`, JSON text).
    """

    plant: str
    epoch: str
    seq: int
    readings: tuple[Reading, ...]
    declared: tuple[tuple[str, str], ...] = ()
    corrects: bool = False
    """It says that it replaces an earlier message of the same period."""


class Held:
    """Numbers held of one epoch: all up to a mark, and single ones above it."""

    def __init__(self, seqs: list[int]) -> None:
        self.hwm = 0
        self._above: set[int] = set()
        for seq in seqs:
            self.add(seq)

    def add(self, seq: int) -> None:
        """Takes a number; the mark moves over everything without a gap."""
        if seq > self.hwm:
            self._above.add(seq)
        while self.hwm + 1 in self._above:
            self.hwm += 1
            self._above.discard(self.hwm)

    def ranges(self) -> list[list[int]]:
        """Inclusive ranges above the mark, ascending."""
        found: list[list[int]] = []
        for seq in sorted(self._above):
            if found and found[-1][1] == seq - 1:
                found[-1][1] = seq
            else:
                found.append([seq, seq])
        return found


class Ledger:
    """The platform's database and its counts; they survive a restart when there is a file."""

    def __init__(self, path: Path | None) -> None:
        """Opens it.

        Args:
            path: the file; None keeps everything in memory.
        """
        self._connection = sqlite3.connect(path or ":memory:", isolation_level=None)
        # A process that dies loses nothing at this setting; the simulator is not meant to survive a power cut.
        self._connection.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; {SCHEMA}")
        self._held: dict[tuple[str, str], Held] = {}
        for plant, epoch in self._connection.execute("SELECT DISTINCT plant, epoch FROM message").fetchall():
            rows = self._connection.execute("SELECT seq FROM message WHERE plant = ? AND epoch = ?", (plant, epoch))
            self._held[plant, epoch] = Held([seq for (seq,) in rows])

    def take(self, message: Message, payload: bytes) -> str:
        """Stores a message; when this returns it is committed.

        Returns:
            `stored`; `duplicate` for a key held with the same bytes; `altered` for a key held with other bytes, of
            which nothing is taken.
        """
        key = (message.plant, message.epoch, message.seq)
        digest = hashlib.sha256(payload).digest()
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            known = self._connection.execute(
                "SELECT digest FROM message WHERE plant = ? AND epoch = ? AND seq = ?", key
            ).fetchone()
            verdict = "stored" if known is None else "duplicate" if known[0] == digest else "altered"
            self._tally("frames")
            if verdict == "stored":
                self._connection.execute("INSERT INTO message VALUES (?, ?, ?, ?)", (*key, digest))
                if message.corrects:
                    self._tally("corrections")
                for reading in message.readings:
                    self._take_reading(message.plant, reading, corrects=message.corrects)
                self._connection.executemany(
                    "INSERT INTO declared VALUES (?, ?, ?)", [(message.plant, *entry) for entry in message.declared]
                )
            else:
                self._tally(verdict)
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
        self._held.setdefault((message.plant, message.epoch), Held([])).add(message.seq)
        return verdict

    def _take_reading(self, plant: str, reading: Reading, *, corrects: bool = False) -> None:
        time = reading.time_utc.isoformat()
        known = self._connection.execute(
            "SELECT value, quality FROM reading WHERE plant = ? AND code = ? AND time = ?", (plant, reading.code, time)
        ).fetchone()
        if known is None or corrects:
            self._connection.execute(
                "INSERT OR REPLACE INTO reading VALUES (?, ?, ?, ?, ?)",
                (plant, reading.code, time, reading.value, reading.quality),
            )
        elif known != (reading.value, reading.quality):
            self._tally("contradictions")
        self._connection.execute("INSERT OR IGNORE INTO period VALUES (?, ?)", (plant, time))

    def pretend(self, message: Message) -> None:
        """Will say that it holds a message, and does not: a crash between answer and commit, or a lie."""
        self._held.setdefault((message.plant, message.epoch), Held([])).add(message.seq)
        self._tally("lost_after_answer")

    def take_reply(self, plant: str, readings: Sequence[Reading]) -> None:
        """Stores values that were asked for; what is held already must be the same."""
        self._connection.execute("BEGIN IMMEDIATE")
        for reading in readings:
            self._take_reading(plant, reading)
        self._connection.execute("COMMIT")

    def declared(self, kind: str) -> list[str]:
        """What plants have declared: `gap` or `alarm`, JSON texts in the order of their arrival."""
        rows = self._connection.execute("SELECT body FROM declared WHERE kind = ? ORDER BY rowid", (kind,))
        return [body for (body,) in rows]

    def malformed(self) -> None:
        """Counts a message that cannot be read."""
        self._tally("malformed")

    def _tally(self, name: str) -> None:
        self._connection.execute(
            "INSERT INTO tally VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET count = count + 1", (name,)
        )

    def count(self, name: str) -> int:
        """A count: frames, duplicate, altered, contradictions, corrections, malformed, lost_after_answer."""
        row = self._connection.execute("SELECT count FROM tally WHERE name = ?", (name,)).fetchone()
        return 0 if row is None else int(row[0])

    def held(self, plant: str, epoch: str) -> Held:
        """Numbers held of one epoch."""
        return self._held.get((plant, epoch), Held([]))

    def messages(self) -> int:
        """How many different messages are held."""
        (count,) = self._connection.execute("SELECT count(*) FROM message").fetchone()
        return int(count)

    def digests(self) -> dict[tuple[str, str, int], bytes]:
        """SHA-256 of every message held, by (plant, epoch, seq)."""
        rows = self._connection.execute("SELECT plant, epoch, seq, digest FROM message")
        return {(plant, epoch, seq): bytes(mark) for plant, epoch, seq, mark in rows}

    def periods(self) -> set[datetime]:
        """Starts of all periods of which something is held."""
        return {datetime.fromisoformat(time) for (time,) in self._connection.execute("SELECT time FROM period")}

    def readings(self, code: str) -> dict[datetime, tuple[float | None, int]]:
        """Value and quality held under a code, by time."""
        rows = self._connection.execute("SELECT time, value, quality FROM reading WHERE code = ?", (code,))
        return {datetime.fromisoformat(time): (value, quality) for time, value, quality in rows}

    def close(self) -> None:
        """Closes the database."""
        self._connection.close()
