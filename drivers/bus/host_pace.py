"""What a Modbus TCP bus has learned of its host: how long to wait, when others may pass, what a connection needs.

No socket, no clock.
"""

import logging

from drivers.bus.base import UnitTiming

log = logging.getLogger(__name__)

LATEST_ANSWER_S = 5.0
"""Only where transaction numbers cannot be trusted: after this time an answer can come no more."""
LATEST_LEARNED_MAX_S = 10.0
LATEST_MARGIN_RATIO = 1.5
"""An answer later than that moves the belief to this many times its delay."""
PATIENCE_S_MAX = 5.0
"""A unit whose answers come late is given more time, at most so much."""
PATIENCE_MARGIN_RATIO = 1.5
PATIENCE_MISS_RATIO = 0.5
"""Patience that was not rewarded shrinks at once: a host that was behind, not slow, shall not be probed so seldom."""
PATIENCE_DECAY_RATIO = 0.95
"""A unit that is in time again is slowly given less, never less than its answers take."""
FAST_GAIN = 0.1
"""Share by which a slower answer lengthens the usual answer time of a unit; a faster one shortens it at once."""
GIVES_WAY_RATIO = 3.0
"""A request that takes so many times as long as the host's quickest unit does not hold up the other units ..."""
GIVES_WAY_MIN_S = 0.1
"""... but lets them pass no sooner than after this time."""
PASSED_IN_VAIN_MAX = 2
"""Requests in a row that were lost while they passed an overdue one, and answered when they were alone."""
CONNECT_DELAY_FIRST_S = 0.25
CONNECT_DELAY_MAX_S = 4.0
NO_TIMING = UnitTiming()


class HostPace:
    """The pace of a host and of the units behind it.

    Args:
        bus: name, for messages.
        timeout_s: wall time for an answer, where a profile does not say [s].
        lenient_ids: transaction numbers cannot be trusted.
        connect_delay_s: rest between a new connection and the first request; None: as the units need, and learned [s].
    """

    def __init__(self, bus: str, *, timeout_s: float, lenient_ids: bool, connect_delay_s: float | None) -> None:
        self._bus = bus
        self._timeout_s = timeout_s
        self._lenient_ids = lenient_ids
        self._stated_delay_s = connect_delay_s
        self._learned_delay_s = 0.0
        self._timings: dict[int, UnitTiming] = {}
        self._patience_s: dict[int, float] = {}
        self._latest_s: dict[int, float] = {}
        self._usual_s: dict[int, float] = {}
        self._passing = True
        self._passed_in_vain = 0

    def expect(self, unit: int, timing: UnitTiming) -> None:
        """Tells what is known of a unit."""
        self._timings[unit] = timing

    def guard_s(self, unit: int) -> float:
        """Rest that a unit needs between its answer and the next request to it [s]."""
        return self._timings.get(unit, NO_TIMING).guard_s

    def timeout_s(self, unit: int) -> float:
        """How long an answer of a unit is waited for [s]."""
        return max(self._stated_timeout_s(unit), self._patience_s.get(unit, 0.0))

    def is_patient(self, unit: int) -> bool:
        """Whether a unit is given more time than was stated."""
        return self._patience_s.get(unit, 0.0) > self._stated_timeout_s(unit)

    def latest_answer_s(self, unit: int) -> float:
        """Until when an answer may come, where its number would not tell [s]."""
        stated_s = self._timings.get(unit, NO_TIMING).latest_answer_s or LATEST_ANSWER_S
        return max(stated_s, self._latest_s.get(unit, 0.0))

    def miss_s(self, unit: int) -> float:
        """What an unanswered request to a unit costs: its time-out, and where numbers cannot be trusted a rest [s].

        Patience beyond the time-out costs the others nothing where they may pass.
        """
        timeout_s = self.timeout_s(unit)
        if self._lenient_ids:
            return max(timeout_s, self.latest_answer_s(unit))
        return timeout_s if self.gives_way_s() is None else min(timeout_s, self._stated_timeout_s(unit))

    def gives_way_s(self) -> float | None:
        """After which time a request lets requests to other units pass on the same connection [s].

        A gateway that waits for a dead or slow meter need not keep the others waiting. Each unit has one request under
        way all the same, and answers are told apart by their numbers.

        Returns:
            None: never; numbers cannot be trusted here, the host was seen to lose what passes, or is not known yet.
        """
        if self._lenient_ids or not self._passing or not self._usual_s:
            return None
        return max(GIVES_WAY_MIN_S, GIVES_WAY_RATIO * min(self._usual_s.values()))

    @property
    def connect_delay_s(self) -> float:
        """Rest between a new connection and the first request [s]."""
        if self._stated_delay_s is not None:
            return self._stated_delay_s
        return max(self._learned_delay_s, *(timing.connect_delay_s for timing in self._timings.values()), 0.0)

    # ----------------------------------------------------------------------------------------------------- learning

    def answered(self, unit: int, took_s: float) -> None:
        """Notes how long an answer took [s]."""
        usual_s = self._usual_s.get(unit, took_s)
        self._usual_s[unit] = min(took_s, usual_s + FAST_GAIN * (took_s - usual_s))
        if unit in self._patience_s:
            less_s = PATIENCE_DECAY_RATIO * self._patience_s[unit]
            self._patience_s[unit] = max(less_s, PATIENCE_MARGIN_RATIO * took_s)

    def missed(self, unit: int) -> None:
        """Notes that a unit was waited for in vain."""
        if unit in self._patience_s:
            self._patience_s[unit] *= PATIENCE_MISS_RATIO

    def late(self, unit: int, late_s: float) -> None:
        """Notes an answer that came so long after its request [s], when it was given up."""
        wished_s = max(self._patience_s.get(unit, 0.0), PATIENCE_MARGIN_RATIO * late_s)
        self._patience_s[unit] = min(PATIENCE_S_MAX, wished_s)

    def lengthen(self, unit: int, late_s: float) -> bool:
        """Believes later answers possible if this one was later than believed [s]; returns whether."""
        if late_s * LATEST_MARGIN_RATIO <= self.latest_answer_s(unit):
            return False
        self._latest_s[unit] = min(LATEST_LEARNED_MAX_S, LATEST_MARGIN_RATIO * late_s)
        return True

    def passed(self, *, in_vain: bool) -> None:
        """Notes what became of a request that was sent while another was overdue.

        Args:
            in_vain: it was lost, and answered when it was sent again alone.
        """
        self._passed_in_vain = self._passed_in_vain + 1 if in_vain else 0
        if self._passing and self._passed_in_vain >= PASSED_IN_VAIN_MAX:
            self._passing = False
            log.warning(
                "host loses requests that come while it waits for a silent unit: its units wait for each other bus=%s",
                self._bus,
            )

    def lost_first_request(self) -> None:
        """Notes that what came first on a connection was lost: the next one gets a rest, or a longer one."""
        if self._stated_delay_s is not None:
            return
        self._learned_delay_s = min(CONNECT_DELAY_MAX_S, max(CONNECT_DELAY_FIRST_S, 2 * self._learned_delay_s))
        log.info(
            "first request after connecting was lost bus=%s connect_delay_s=%.2f", self._bus, self._learned_delay_s
        )

    def _stated_timeout_s(self, unit: int) -> float:
        return self._timings.get(unit, NO_TIMING).timeout_s or self._timeout_s
