"""How far the site's clock may be trusted at a moment, and how a step of it shows. It reads no clock.

A frame carries the quality of the moment at which it was made, and is never stamped anew: what a wrong clock has
stamped stays as it is, and says so.
"""

from enum import IntEnum

STEP_S = 1.0
"""The clock and the steady one may differ by this much more than at the look before without anybody having set it [s].
Ours: disciplined clocks are slewed below it, a time service steps a clock from 0.1 s (chrony, timesyncd)
or more on."""


class ClockQuality(IntEnum):
    """What an instant is worth; the higher the number, the less."""

    SYNCHRONISED = 0
    """A time service says that the clock is right."""
    UNSYNCHRONISED = 1
    """Nobody says so: no time service, or it has not heard of its servers for too long."""
    STEPPED = 2
    """The clock was set between the frame before and this one: samples of both sides may be in it."""


class StepWatch:
    """Sees that the clock was set, by one that nobody sets."""

    def __init__(self) -> None:
        self._epoch = ""
        self._offset_s: float | None = None
        self.step_s = 0.0
        """By how much the clock was last set [s]; 0: never seen."""

    def look(self, epoch: str, *, clock_s: float, steady_s: float) -> bool:
        """Whether the clock was set since the last look.

        Args:
            epoch: what the steady clock counts from; another one means that nothing is known of the time between.
            clock_s: the site's clock [s since 1970 UTC].
            steady_s: the steady clock at the same moment [s].
        """
        offset_s = clock_s - steady_s
        before_s, self._offset_s = self._offset_s, offset_s
        same = epoch == self._epoch
        self._epoch = epoch
        if before_s is None or not same or abs(offset_s - before_s) <= STEP_S:
            return False
        self.step_s = offset_s - before_s
        return True


def judge(*, synchronised: bool, stepped: bool) -> ClockQuality:
    """The quality of a moment."""
    if stepped:
        return ClockQuality.STEPPED
    return ClockQuality.SYNCHRONISED if synchronised else ClockQuality.UNSYNCHRONISED
