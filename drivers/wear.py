"""How often each register was written, over all restarts, and whether one more write is allowed: registers wear out.

Pure bookkeeping on the site's clock; when the numbers are made safe is decided by `drivers.writing`, before each frame.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from drivers.profile import WriteRule

HOUR_S = 3600.0
DAY_S = 86400.0
TOTAL_MAX = 2**53
"""A kept number above this is damage, not a count."""


@dataclass(slots=True)
class WriteCount:
    """Writes of one register.

    Attributes:
        total: since the register is known.
        day: the UTC day of the last write.
        today: writes on that day.
        recent: instants of the last writes, as many as the limits look back on [s since 1970 UTC].
    """

    total: int = 0
    day: str = ""
    today: int = 0
    recent: deque[float] = field(default_factory=deque)


class WriteCounts:
    """Counts of all registers of a device.

    Args:
        kept: what `state` returned before the restart; what cannot be read of it is left out.
    """

    def __init__(self, kept: object = None) -> None:
        self._counts: dict[str, WriteCount] = {}
        for name, entry in kept.items() if isinstance(kept, dict) else ():
            if isinstance(name, str) and isinstance(entry, dict):
                self._counts[name] = _read(entry)

    @property
    def counts(self) -> Mapping[str, WriteCount]:
        """By the name of the point."""
        return self._counts

    def room(self, name: str, rule: WriteRule, *, now_utc: datetime, needed: int) -> bool:
        """Whether so many more writes are within the limits of this hour and day.

        Args:
            name: of the point.
            rule: its rule.
            now_utc: the present instant.
            needed: writes wanted, those that must be able to follow included.
        """
        if rule.volatile:
            return True
        recent = self._counts[name].recent if name in self._counts else deque[float]()
        now_s = now_utc.timestamp()
        # After a clock was set back, what lies ahead counts as happening now: blocked for one span, not for ever.
        for position, instant_s in enumerate(recent):
            recent[position] = min(instant_s, now_s)
        for limit, span_s in ((rule.per_hour, HOUR_S), (rule.per_day, DAY_S)):
            if limit is not None and sum(now_s - instant_s < span_s for instant_s in recent) + needed > limit:
                return False
        return True

    def add(self, name: str, rule: WriteRule, *, now_utc: datetime) -> None:
        """Counts one frame."""
        count = self._counts.setdefault(name, WriteCount())
        count.total += 1
        day = now_utc.date().isoformat()
        count.today = count.today + 1 if count.day == day else 1
        count.day = day
        look_back = max(rule.per_hour or 0, rule.per_day or 0)
        count.recent.append(now_utc.timestamp())
        while len(count.recent) > look_back:
            count.recent.popleft()

    def state(self) -> dict[str, object]:
        """All counts as JSON-like data."""
        return {
            name: {"total": count.total, "day": count.day, "today": count.today, "recent": list(count.recent)}
            for name, count in self._counts.items()
        }


def _read(entry: Mapping[object, object]) -> WriteCount:
    day, recent = entry.get("day"), entry.get("recent")
    instants = recent if isinstance(recent, list) else []
    return WriteCount(
        total=_whole(entry.get("total")),
        day=day if isinstance(day, str) else "",
        today=_whole(entry.get("today")),
        recent=deque(float(instant_s) for instant_s in instants if type(instant_s) in (int, float)),
    )


def _whole(value: object) -> int:
    return value if type(value) is int and 0 <= value <= TOTAL_MAX else 0
