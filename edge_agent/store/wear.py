"""How much this service writes to the disk a day, against a budget: flash storage dies of writing."""

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path

PROCESS_IO = Path("/proc/self/io")
BUDGET_BYTES_A_DAY = 5_000_000_000
"""Ours: 16 GB of eMMC, 3 000 erase cycles, a write amplification of 2: 24 TB, half of it in six to seven years."""


def process_bytes() -> int:
    """Bytes that this process has caused to be written to block devices; 0 where the kernel does not tell.

    Source: proc(5), /proc/pid/io `write_bytes`.
    """
    try:
        lines = PROCESS_IO.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("write_bytes:")), 0)


@dataclass(slots=True)
class WriteMeter:
    """Counts what was written on a day, over restarts of the service.

    Attributes:
        day: UTC day; None: nothing was counted yet.
        day_bytes: written on it.
        before_bytes: written on the day before; None: not known.
        process_bytes: reading of the process's counter.
    """

    day: date | None = None
    day_bytes: int = 0
    before_bytes: int | None = None
    process_bytes: int = 0

    def look(self, day: date, counter_bytes: int) -> None:
        """Takes a reading of the process's counter."""
        if day != self.day:
            self.before_bytes = None if self.day is None else self.day_bytes
            self.day, self.day_bytes = day, 0
        self.day_bytes += counter_bytes - self.process_bytes
        self.process_bytes = counter_bytes

    def note(self) -> str:
        """What the next process needs."""
        day = None if self.day is None else self.day.isoformat()
        return json.dumps({"day": day, "bytes": self.day_bytes, "before": self.before_bytes})


def read_note(text: str | None) -> WriteMeter:
    """Goes on with what the process before has counted."""
    if not text:
        return WriteMeter()
    noted = json.loads(text)
    day = None if noted["day"] is None else date.fromisoformat(noted["day"])
    return WriteMeter(day, noted["bytes"], noted["before"])
