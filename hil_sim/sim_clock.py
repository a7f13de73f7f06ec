"""The clock of a simulated site: hil-sim says what time it is and how fast it runs, all processes read it.

The file's layout belongs to its reader, `edge_agent.clock`. No process of the site but this one writes it.
"""

import math
import mmap
import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from edge_agent.clock import CLOCK_LAYOUT, CLOCK_MARK

_SEQUENCE = struct.Struct("<Q")
_SEQUENCE_OFFSET = len(CLOCK_MARK)
_BODY = struct.Struct("<ddddd")
_BODY_OFFSET = _SEQUENCE_OFFSET + _SEQUENCE.size
assert _BODY_OFFSET + _BODY.size == CLOCK_LAYOUT.size, "layout differs from edge_agent.clock"


class _State(NamedTuple):
    """What the file says besides mark and sequence, in its order."""

    anchor_s: float
    simulated_s: float
    speed_ratio: float
    lease_s: float
    wrong_s: float = 0.0

    def at(self, wall_s: float) -> float:
        """The simulated instant at a reading of the monotonic clock [s]."""
        return self.simulated_s + min(wall_s - self.anchor_s, self.lease_s) * self.speed_ratio


class SimClock:
    """Simulated time that can be held, sped up and slowed down without ever jumping.

    A change is written between two increments of the sequence number, and the anchor is read while that number is odd:
    a reader that takes its own reading of the monotonic clock between two equal even numbers sees time go on without
    a step, however the change falls.
    """

    def __init__(self, path: Path, *, start_s: float, wall_s: Callable[[], float], lease_s: float = math.inf) -> None:
        """Makes the file; time is held at the start.

        Args:
            path: the clock file, new or to be overwritten.
            start_s: simulated instant at the start [s since 1970 UTC].
            wall_s: the machine's monotonic clock [s], the one that the readers use.
            lease_s: faster than the wall clock, time stands still unless `set_speed` is called again within this wall
                time [s]: a machine that stalls for a second must not age the plant by minutes.
        """
        self.path = path
        self._lease_s = lease_s
        self._wall_s = wall_s
        self._sequence = 0
        self._state = _State(wall_s(), start_s, 0.0, math.inf)
        path.write_bytes(CLOCK_LAYOUT.pack(CLOCK_MARK, 0, *self._state))
        with path.open("r+b") as file:
            self._view = mmap.mmap(file.fileno(), CLOCK_LAYOUT.size, access=mmap.ACCESS_WRITE)

    @property
    def speed_ratio(self) -> float:
        """Simulated seconds per wall second; 0 while time is held."""
        return self._state.speed_ratio

    def now_s(self) -> float:
        """The present simulated instant [s since 1970 UTC]."""
        while True:  # as the readers of the file do: the threads that serve the wires ask while the main one changes it
            before = self._sequence
            now_s = self._state.at(self._wall_s())
            if before % 2 == 0 and before == self._sequence:
                return now_s

    def set_speed(self, speed_ratio: float) -> None:
        """Lets time run at this speed from now on, and renews the lease; 0 holds it.

        Raises:
            ValueError: a speed below 0.
        """
        if not speed_ratio >= 0.0:
            raise ValueError(f"simulated time cannot run at {speed_ratio}x")
        state = self._state
        if speed_ratio == state.speed_ratio and math.isinf(state.lease_s):
            return
        lease_s = self._lease_s if speed_ratio > 1.0 else math.inf
        self._put(speed_ratio=speed_ratio, lease_s=lease_s, wrong_s=state.wrong_s)

    def set_wrong(self, wrong_s: float) -> None:
        """Sets the site's clock, which all its processes read, this far off the plant's time [s]; 0 sets it right."""
        self._put(speed_ratio=self._state.speed_ratio, lease_s=self._state.lease_s, wrong_s=wrong_s)

    def _put(self, *, speed_ratio: float, lease_s: float, wrong_s: float) -> None:
        state = self._state
        self._put_sequence()
        anchor_s = self._wall_s()
        self._state = _State(anchor_s, state.at(anchor_s), speed_ratio, lease_s, wrong_s)
        self._view[_BODY_OFFSET:] = _BODY.pack(*self._state)
        self._put_sequence()

    def renew(self) -> None:
        """Lets time go on at its present speed for another lease."""
        self.set_speed(self._state.speed_ratio)

    def hold(self) -> None:
        """Stops time."""
        self.set_speed(0.0)

    def close(self) -> None:
        """Lets go of the file; a reader keeps the last speed that was set, so hold first."""
        self._view.close()

    def _put_sequence(self) -> None:
        self._sequence += 1
        self._view[_SEQUENCE_OFFSET:_BODY_OFFSET] = _SEQUENCE.pack(self._sequence)
