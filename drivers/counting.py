"""One total that only grows, seen through a meter that rolls over, is reset, exchanged, torn or unplugged. Pure.

The meter's reading is never altered. Beside it stands a correction: reading + correction is the continuous total. A
reading that does not follow from the last one is doubted; only when the readings after it follow from it is it
believed, and the correction moved so that the total goes on where it was.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from drivers.codec import FACTOR
from drivers.profile import Counter, PointSpec, ValueType
from drivers.sample import Cause

CONFIRM_COUNT = 3
"""So many readings in line, the first included, make a new course of the counter believed."""
ZERO_S_MAX = 86_400.0
"""A counter that stands at zero says nothing (an unplugged meter does); after so long it was reset."""
RETURN_S_MAX = 7 * 86_400.0
"""A counter may come back to the course that it left (an old meter, a supply restored) within this time."""
LAG_S = 60.0
"""Meters add up in lumps: within a step there may be this much more than its time, or its refresh time if longer."""
TORN_COUNTS = 65_536
"""A number of several registers, read while the meter renews it, is wrong by a multiple of this."""
F32_RATIO = 2.0**-22
"""Two neighbouring numbers of a 32-bit float differ by less than this share."""
F64_RATIO = 1e-12
SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Mark:
    """A reading: what the meter showed, and when [inside unit]."""

    value: float
    instant_utc: datetime


@dataclass(frozen=True, slots=True)
class _Doubt:
    """A course that does not follow from the trusted one.

    Attributes:
        first: its first reading.
        last: its last reading so far.
        count: readings in line.
        cause: why it is doubted.
    """

    first: Mark
    last: Mark
    count: int
    cause: Cause


@dataclass(frozen=True, slots=True)
class _Course:
    """A course that was left: its last reading and its correction."""

    last: Mark
    correction: float


class CounterWatch:
    """Follows one counter.

    Args:
        spec: the point; it has a counter.
        refresh_s: the device renews its values no faster [s].
        kept: what `state` returned before the restart.
    """

    def __init__(self, spec: PointSpec, *, refresh_s: float, kept: object = None) -> None:
        assert spec.counter is not None
        self.correction = 0.0
        self._counter: Counter = spec.counter
        self._lag_s = max(LAG_S, refresh_s)
        factor = FACTOR.get(spec.wire_unit, 1)
        self._resolutions = [abs(float(part.scale * factor)) for part in spec.parts]
        kinds = {part.type for part in spec.parts}
        self._ratio = F32_RATIO if kinds == {ValueType.F32} else F64_RATIO
        self._whole = ValueType.F32 not in kinds
        self._tears = any(part.type.registers > 1 for part in spec.parts)
        self._last: Mark | None = None
        self._before: Mark | None = None
        self._doubt: _Doubt | None = None
        self._left: _Course | None = None
        self._highest = -math.inf
        if isinstance(kept, dict):
            self._take_up(kept)

    # ------------------------------------------------------------------------------------------------------- memory

    def state(self) -> dict[str, float] | None:
        """The last trusted reading and the correction, as JSON-like data; None before the first reading."""
        if self._last is None:
            return None
        return {
            "value": self._last.value,
            "at_s": self._last.instant_utc.timestamp(),
            "correction": self.correction,
        }

    def _take_up(self, kept: Mapping[str, object]) -> None:
        numbers = [_finite(kept.get(key)) for key in ("value", "at_s", "correction")]
        value, at_s, correction = numbers
        if value is None or at_s is None or correction is None:
            return
        try:
            mark = Mark(value, datetime.fromtimestamp(at_s, UTC))
        except (OverflowError, ValueError, OSError):
            return
        self._last = self._before = mark
        self.correction = correction
        self._highest = value + correction

    # ------------------------------------------------------------------------------------------------------ judging

    def judge(self, value: float, instant_utc: datetime) -> tuple[Cause, float]:
        """Takes a reading.

        Args:
            value: what the meter shows, in the inside unit.
            instant_utc: when.

        Returns:
            Why it is doubted, NONE if it is not; and the correction that belongs to it.
        """
        mark = Mark(value, instant_utc)
        if self._last is None:
            self._trust(mark)
            return Cause.NONE, self.correction
        if self._follows(self._last, mark):
            self._trust(mark)
            return Cause.NONE, self._held(value)
        if self._before is not None and value < self._last.value and self._follows(self._before, mark):
            # The reading before was a little too high to be noticed: the total waits until the meter has caught up.
            self._last = self._before
            self._trust(mark)
            return Cause.NONE, self._held(value)
        self._note(mark)
        assert self._doubt is not None
        if not self._confirmed(self._doubt):
            return self._doubt.cause, self.correction
        self._turn(self._doubt)
        return Cause.NONE, self._held(value)

    def believe(self) -> None:
        """The meter is known to be another one: the next reading in line with the doubted one is believed."""
        if self._doubt is not None:
            self._doubt = replace(self._doubt, count=CONFIRM_COUNT - 1)

    def _held(self, value: float) -> float:
        """The correction of a trusted reading: its total is never below one that was given before."""
        correction = max(self.correction, self._highest - value)
        self._highest = max(self._highest, value + self.correction)
        return correction

    def _trust(self, mark: Mark) -> None:
        self._before, self._last, self._doubt = self._last, mark, None
        if self._before is None:
            self._highest = mark.value + self.correction

    def _reach(self, earlier: Mark, later: Mark) -> float:
        """The most that the counter can have grown between two readings."""
        passed_s = max((later.instant_utc - earlier.instant_utc).total_seconds(), 0.0)
        grown = self._counter.rate_max * (passed_s + self._lag_s) / SECONDS_PER_HOUR
        return grown + (2 * max(self._resolutions) if self._whole else 0.0) + self._noise(later.value)

    def _noise(self, value: float) -> float:
        """How far a standing counter may seem to move, by the arithmetic of its number alone."""
        fraction = 0.0 if self._whole or len(self._resolutions) == 1 else F32_RATIO * max(self._resolutions)
        return self._ratio * abs(value) + fraction

    def _follows(self, earlier: Mark, later: Mark) -> bool:
        step = later.value - earlier.value
        return -self._noise(earlier.value) <= step <= self._reach(earlier, later)

    def _note(self, mark: Mark) -> None:
        """A doubted reading: in line with the doubted ones before it, or the first of its kind."""
        doubt = self._doubt
        if doubt is not None and self._follows(doubt.last, mark):
            self._doubt = replace(doubt, last=mark, count=doubt.count + 1)
        else:
            self._doubt = _Doubt(mark, mark, 1, self._cause(mark))

    def _cause(self, mark: Mark) -> Cause:
        assert self._last is not None
        if mark.value == 0:
            return Cause.COUNTER_ZERO
        step = mark.value - self._last.value
        for resolution in self._resolutions if self._tears else ():
            tear = TORN_COUNTS * resolution
            off = step - round(step / tear) * tear if tear > 0 else step
            if abs(step) >= tear / 2 and abs(off) <= min(self._reach(self._last, mark), tear / 8):
                return Cause.TORN
        return Cause.COUNTER_BACK if step < 0 else Cause.COUNTER_JUMP

    def _confirmed(self, doubt: _Doubt) -> bool:
        if doubt.count < CONFIRM_COUNT:
            return False
        if doubt.last.value > 0:
            return True
        return (doubt.last.instant_utc - doubt.first.instant_utc).total_seconds() >= ZERO_S_MAX

    def _turn(self, doubt: _Doubt) -> None:
        """The doubted course is the counter's: the total goes on where it was."""
        last = self._last
        assert last is not None
        reach = self._reach(last, doubt.first)
        turns_at, left = self._counter.rolls_over_at, self._left
        rolled = turns_at is not None and 0 <= doubt.first.value + turns_at - last.value <= reach
        began = doubt.first.value <= min(reach, last.value)
        # Both meters counted the same heat: one that stood still in between, or shows another total, is a new one.
        came_back = (
            left is not None
            and not began
            and (doubt.first.instant_utc - left.last.instant_utc).total_seconds() <= RETURN_S_MAX
            and self._follows(left.last, doubt.first)
            and abs(doubt.first.value + left.correction - last.value - self.correction) <= reach
        )
        before = self.correction
        if rolled:
            assert turns_at is not None
            self.correction += turns_at
        elif came_back:
            assert left is not None
            self.correction = left.correction
        elif began:
            self.correction += last.value  # it began at 0, and what it shows has been counted since
        else:
            self.correction += last.value - doubt.first.value
        self._left = None if rolled or came_back else _Course(last, before)
        self._last = doubt.first
        self._trust(doubt.last)


def _finite(value: object) -> float | None:
    """A number of kept data; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
