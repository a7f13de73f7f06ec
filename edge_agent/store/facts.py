"""What the store must know of a point beside its samples: how often it is read, and how dear its history is."""

from dataclasses import dataclass
from enum import IntEnum


class Keep(IntEnum):
    """What goes first when there is no room: the highest number."""

    TOTAL = 0
    """Energy totals: what money and evaluation hang on."""
    REPORTED = 1
    """What an uplink reports."""
    DETAIL = 2
    """Everything else."""


@dataclass(frozen=True, slots=True)
class PointFacts:
    """Facts of one point.

    Attributes:
        period_s: expected distance of two readings [s].
        keep: how dear its history is.
    """

    period_s: float
    keep: Keep = Keep.DETAIL


UNKNOWN = PointFacts(period_s=10.0)
"""A point of which nobody has said anything: read every scan, like most."""
