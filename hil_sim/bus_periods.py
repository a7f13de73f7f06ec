"""Whether a unit that no fault touches kept its period: every single interval between its answers, seen on the wire.

Over TCP each interval must be within a tenth of the period. A serial line carries one request at a time; one that is
not answered as it should holds it until the latest possible answer has passed, and whoever becomes due meanwhile must
wait. So there an interval may be longer by that time, and the one after it shorter, if, and only if, such a request
went to another unit of the line right before: once for each unit that failed. What an interval may be at most (or at
least) is its bound; an interval beyond it is broken.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

HELD_RATIO: Final = 0.10
"""A period counts as held within this share of it."""
QUEUE_RATIO: Final = 0.20
"""When a line is free again, those that became due before go first: for such a share of the period at most."""
INTERVALS_MIN: Final = 3


@dataclass(frozen=True, slots=True)
class LineHolds:
    """Requests to other units of a line that kept it waiting.

    Attributes:
        hold_s: how long one of them may hold the line: time-out, rest, a frame, and what piled up meanwhile [s].
        marks: when each began [s], and whom it was sent to, in the order of time.
    """

    hold_s: float = 0.0
    marks: Sequence[tuple[float, str]] = ()

    def wait_s(self, instant_s: float, *, queue_s: float) -> float:
        """How long an answer of this instant may have been kept waiting [s].

        Args:
            instant_s: when the unit answered.
            queue_s: so long after the line is free again it may still have waited for others.
        """
        units: set[str] = set()
        free_s = instant_s
        for begin_s, unit in reversed(self.marks):
            if begin_s >= instant_s:
                continue
            if begin_s + self.hold_s < free_s - queue_s:
                break
            units.add(unit)
            free_s = begin_s
        return self.hold_s * len(units)


NO_HOLDS: Final = LineHolds()


@dataclass(frozen=True, slots=True)
class Interval:
    """Time between two answers of a unit.

    Attributes:
        begin_s: when it began [s since 1970].
        length_s: how long it was.
        bound_s: how long it may be at most; of an interval shorter than the period: how short.
        held: within HELD_RATIO of the period.
        broken: neither held nor within its bound.
    """

    begin_s: float
    length_s: float
    bound_s: float
    held: bool
    broken: bool


@dataclass(frozen=True, slots=True)
class UnitPeriods:
    """How regularly one unit was read.

    Attributes:
        period_s: how often it is to be read.
        intervals: all of them.
    """

    period_s: float
    intervals: Sequence[Interval]

    @property
    def mean_s(self) -> float:
        """Mean interval."""
        return statistics.fmean(interval.length_s for interval in self.intervals)

    @property
    def off_ratio(self) -> float:
        """Distance of the mean from the period, as a share of it."""
        return abs(self.mean_s - self.period_s) / self.period_s

    @property
    def held_count(self) -> int:
        """Intervals within HELD_RATIO of the period."""
        return sum(interval.held for interval in self.intervals)

    @property
    def worst(self) -> Interval:
        """The interval farthest from the period; a broken one before all others."""
        return max(self.intervals, key=lambda interval: (interval.broken, abs(interval.length_s - self.period_s)))

    @property
    def broken(self) -> list[Interval]:
        """Intervals for which there is no excuse."""
        return [interval for interval in self.intervals if interval.broken]

    def as_score(self) -> dict[str, object]:
        """What the score carries."""
        return {
            "intervals": len(self.intervals),
            "held": self.held_count,
            "excused": sum(not (interval.held or interval.broken) for interval in self.intervals),
            "broken": len(self.broken),
            "mean_s": round(self.mean_s, 3),
            "worst_s": round(self.worst.length_s, 3),
            "worst_bound_s": round(self.worst.bound_s, 3),
        }


def unit_periods(instants_s: Sequence[float], *, period_s: float, holds: LineHolds = NO_HOLDS) -> UnitPeriods | None:
    """How regular a series of answers is; None if it is too short to say.

    Args:
        instants_s: when the unit answered [s since 1970].
        period_s: how often it is to be read [s].
        holds: what kept its line waiting; nothing on TCP.
    """
    if len(instants_s) <= INTERVALS_MIN:
        return None
    slack_s, queue_s = HELD_RATIO * period_s, QUEUE_RATIO * period_s
    waits_s = [holds.wait_s(instant_s, queue_s=queue_s) for instant_s in instants_s]
    intervals = []
    for (earlier_s, waited_s), (later_s, waits_for_s) in pairwise(zip(instants_s, waits_s, strict=True)):
        length_s = later_s - earlier_s
        off_s = length_s - period_s
        bound_s = period_s + waits_for_s if off_s > 0 else max(0.0, period_s - waited_s)
        held = abs(off_s) <= slack_s
        broken = not held and abs(off_s) > abs(bound_s - period_s) + slack_s
        intervals.append(Interval(earlier_s, length_s, bound_s, held=held, broken=broken))
    return UnitPeriods(period_s, intervals)
