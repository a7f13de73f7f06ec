"""Steps of a plan: the only place that maps instants to step numbers and back.

Steps are [start, end), numbered from 0, and may differ in length: fine soon, coarse late, a short first step so that
later steps fall on metering windows.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate, pairwise
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

SECONDS_PER_HOUR = 3600.0
SECONDS_PER_MINUTE = 60.0
STAGES_H_MIN = ((12.0, 15), (24.0, 30), (48.0, 60))
"""(until hour, step in minutes) of a live plan: fine where commands are taken from it, coarse where only its shape
counts."""

SHORTEST_S = 60.0
"""No step is made shorter by splitting [s]: tariffs and calls are written in minutes, and a plan starts on one."""


@dataclass(frozen=True, slots=True)
class TimeGrid:
    """Steps from an instant on.

    Attributes:
        start_utc: start of step 0, aware, UTC.
        step_s: length of every step [s]: one number, or one for each step.
        count: number of steps.
    """

    start_utc: datetime
    step_s: float | tuple[float, ...]
    count: int

    def __post_init__(self) -> None:
        if self.start_utc.utcoffset() != timedelta(0):
            raise ValueError(f"start must be an aware instant in UTC, not {self.start_utc!r}")
        if self.count < 1:
            raise ValueError(f"a grid needs at least one step, not {self.count}")
        lengths = self.lengths_s
        if len(lengths) != self.count or min(lengths) <= 0:
            raise ValueError(f"need {self.count} positive step lengths, got {len(lengths)}")

    @property
    def lengths_s(self) -> tuple[float, ...]:
        """Length of every step [s]."""
        return self.step_s if isinstance(self.step_s, tuple) else (self.step_s,) * self.count

    @property
    def edges_s(self) -> tuple[float, ...]:
        """Start of every step and the end of the last, in seconds after the start of the grid."""
        edges = [0.0]
        for length_s in self.lengths_s:
            edges.append(edges[-1] + length_s)
        return tuple(edges)

    @property
    def hours(self) -> npt.NDArray[np.float64]:
        """Length of every step [h]."""
        return np.array(self.lengths_s) / SECONDS_PER_HOUR

    @property
    def end_utc(self) -> datetime:
        """End of the last step."""
        return self.start_of(self.count)

    def start_of(self, step: int) -> datetime:
        """Start of a step; `count` gives the end of the grid."""
        return self.start_utc + timedelta(seconds=self.edges_s[step])

    def starts_utc(self) -> list[datetime]:
        """Start of every step."""
        return [self.start_utc + timedelta(seconds=edge_s) for edge_s in self.edges_s[:-1]]

    def step_at(self, instant_utc: datetime) -> int | None:
        """The step that holds an instant; None outside the grid."""
        offset_s = (instant_utc - self.start_utc).total_seconds()
        edges = self.edges_s
        if offset_s < 0 or offset_s >= edges[-1]:
            return None
        return bisect_right(edges, offset_s) - 1

    def civil_days(self, zone: ZoneInfo) -> npt.NDArray[np.int64]:
        """Civil day, counted from the day of step 0 in the plant's zone, in which each step starts."""
        ordinals = [start.astimezone(zone).toordinal() for start in self.starts_utc()]
        return np.array(ordinals, dtype=np.int64) - ordinals[0]


def staged_grid(
    start_utc: datetime,
    *,
    horizon_h: float,
    stages_h_min: Sequence[tuple[float, int]] = STAGES_H_MIN,
    edges_utc: Iterable[datetime] = (),
) -> TimeGrid:
    """Grid for a live plan: first a step up to the next clock edge, then steps on clock edges that grow with distance.

    A stage's steps begin on multiples of their own length in UTC, so that price edges and metering windows on full
    and half hours fall on step edges for zones whose offset is a whole number of hours. A remainder shorter than the
    stage's step fills up with steps of the finer stage before it. A step is split where one of `edges_utc` lies within
    it, and nowhere else: each edge costs one step at most.
    """
    fine_min = stages_h_min[0][1]
    minute = start_utc.replace(second=0, microsecond=0)
    lengths: list[float] = []
    offset_s = 0.0
    end_s = horizon_h * SECONDS_PER_HOUR
    begin_s = (start_utc - datetime(minute.year, minute.month, minute.day, tzinfo=UTC)).total_seconds()
    while offset_s < end_s - 1e-6:
        step_min = next(
            (step for until_h, step in stages_h_min if offset_s < until_h * SECONDS_PER_HOUR), stages_h_min[-1][1]
        )
        clock_s = begin_s + offset_s
        # A coarse step may only begin on its own edge; until then go on in fine steps.
        while step_min > fine_min and clock_s % (step_min * SECONDS_PER_MINUTE) > 1e-6:  # noqa: PLR2004 - rounding
            step_min = max(fine_min, max((s for _, s in stages_h_min if s < step_min), default=fine_min))
        step_s = step_min * SECONDS_PER_MINUTE
        length_s = step_s - clock_s % step_s
        lengths.append(min(length_s, end_s - offset_s))
        offset_s += lengths[-1]
    ends_s = list(accumulate(lengths))
    wished_s = {(edge_utc - start_utc).total_seconds() for edge_utc in edges_utc}
    ends_s += [
        edge_s
        for edge_s in wished_s
        if 0.0 < edge_s < ends_s[-1] and min(abs(edge_s - end_s) for end_s in (0.0, *ends_s)) >= SHORTEST_S
    ]
    ends_s.sort()
    split = tuple(end_s - begin_s for begin_s, end_s in pairwise((0.0, *ends_s)))
    return TimeGrid(start_utc, split, len(split))
