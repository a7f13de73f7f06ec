"""How long the periods of a stream are at a time: as configured, or as the platform has set it since. Pure.

A change begins where a period of the old length ends and one of the new length begins, so that no instant is reported
twice and none is left out.
"""

import json
import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from edge_agent.rollup import EPOCH_UTC

SET_MIN, SET_MAX = 5, 720
"""What a platform may set [min].

Source: 可再生能源建筑应用示范项目数据监测系统技术导则 (2009), chapter 5: sending period 5 min to 12 h.
"""
DAY_MIN = 1440
CHANGES_MAX = 50
"""Changes that are remembered; older ones belong to periods closed long ago."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """The lengths of one stream's periods.

    Attributes:
        configured_min: of uplink.yaml [min].
        changes: (from when, length [min]), oldest first.
    """

    configured_min: int
    changes: tuple[tuple[datetime, int], ...] = ()

    def at(self, start_utc: datetime) -> int:
        """Length [min] of the period that begins at an instant."""
        return next((length for since, length in reversed(self.changes) if since <= start_utc), self.configured_min)

    def changed(self, length_min: int, *, after_utc: datetime) -> "Lengths":
        """With another length from the first common boundary on that is not before an instant.

        Args:
            length_min: the new length [min].
            after_utc: end of the last period that is under way.
        """
        kept = tuple(change for change in self.changes if change[0] < after_utc)  # what was to come is not wanted now
        present_min = kept[-1][1] if kept else self.configured_min
        if length_min == present_min:
            return Lengths(self.configured_min, kept)
        begin_utc = common_boundary(after_utc, present_min, length_min)
        return Lengths(self.configured_min, (*kept, (begin_utc, length_min))[-CHANGES_MAX:])

    def to_json(self) -> str:
        """As it is kept."""
        return json.dumps(
            {"configured_min": self.configured_min, "changes": [[at.isoformat(), n] for at, n in self.changes]}
        )


def lengths_key(stream: str) -> str:
    """Where the lengths are kept that a stream's platform has set."""
    return f"uplink.{stream}.lengths"


def may_be_set(length_min: int) -> bool:
    """Whether a platform may ask for this length: within the rule, and a day holds a whole number of them."""
    return SET_MIN <= length_min <= SET_MAX and DAY_MIN % length_min == 0


def common_boundary(instant_utc: datetime, first_min: int, second_min: int) -> datetime:
    """The first instant not before the given one at which periods of both lengths [min] begin."""
    step = timedelta(minutes=math.lcm(first_min, second_min))
    steps = -((EPOCH_UTC - instant_utc) // step)
    return EPOCH_UTC + steps * step


def read_lengths(text: str | None, *, configured_min: int) -> Lengths:
    """What was kept; another configured length since then counts more than what the platform had set.

    Raises:
        ValueError: it cannot be read.
    """
    if text is None:
        return Lengths(configured_min)
    kept = json.loads(text)
    if kept["configured_min"] != configured_min:
        return Lengths(configured_min)
    return Lengths(configured_min, tuple((datetime.fromisoformat(at), int(length)) for at, length in kept["changes"]))
