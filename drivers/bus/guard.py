"""The rest that a partner needs between its answer and the next request to it, learned from silence. No port, no clock.

A slave that ignores requests which come too soon after its answer looks as if it died now and then. What tells it from
one that is dead or loses requests at random: it is silent after short rests and answers after long ones, again and
again. What was enough yesterday proves nothing against that, so only its last answers count. A rest that has grown is
tried shorter now and then, ever more seldom while that fails: one bad evening does not slow a line for ever.
"""

from collections import deque

GUARD_FIRST_S = 0.01
GUARD_MAX_S = 0.25
"""No slave found needs a longer rest than 60 ms between its answer and the next request."""
GUARD_GROWTH = 4.0
GUARD_CUT = 0.5
"""A guard under trial is this share of the former one."""
SAME_REST_RATIO = 0.8
"""A rest is called shorter than another when it is less than this share of it."""
HASTY_MAX = 2
"""Requests after a short rest that must fail, with answers after long ones between, before the rest is blamed ..."""
HASTY_AGAINST = 3
"""... and so many where one of its last answers came after no longer a rest: lost requests shall not look the same."""
RESTS_KEPT = 16
"""Answers whose rests count as enough."""
TRIAL_FIRST = 500
"""Answers after just the guard, after which a shorter one is tried: an hour or so, in which the guard itself has cost
far more of the line's time than one request without an answer."""
TRIAL_MAX = 32_000
"""... at most so many, doubled from trial to trial while they fail."""


class Guard:
    """What one partner has shown.

    Args:
        floor_s: rest that its profile asks for; never undercut [s].

    Attributes:
        rest_s: rest that it gets [s].
    """

    def __init__(self, floor_s: float) -> None:
        self.rest_s = floor_s
        self._floor_s = floor_s
        self._enough_s: deque[float] = deque(maxlen=RESTS_KEPT)
        self._hasty = 0  # short rests blamed
        self._hasty_rest_s = float("-inf")  # an answer after no more than this clears them
        self._silent_rest_s: float | None = None  # short rest of the last request, which was not answered
        self._limited = 0  # answers after just the guard
        self._trial_after = TRIAL_FIRST
        self._proven_s: float | None = None  # guard to go back to, while a shorter one is on trial

    def answered(self, rest_s: float) -> None:
        """Notes that it spoke after a rest [s]."""
        self._enough_s.append(rest_s)
        silent_rest_s, self._silent_rest_s = self._silent_rest_s, None
        if self._proven_s is not None and rest_s < SAME_REST_RATIO * self._proven_s:
            self._proven_s, self._trial_after = None, TRIAL_FIRST
            self._clear()
        if rest_s <= self._hasty_rest_s or (silent_rest_s is not None and rest_s <= silent_rest_s):
            self._clear()
        elif silent_rest_s is not None:
            self._hasty += 1
            self._hasty_rest_s = max(self._hasty_rest_s, silent_rest_s)
        if self.rest_s > self._floor_s and SAME_REST_RATIO * rest_s <= self.rest_s:
            self._limited += 1
            if self._limited >= self._trial_after and self._proven_s is None:
                self._try_shorter()

    def silent(self, rest_s: float) -> bool:
        """Notes that a request after a rest [s] stayed unanswered; returns whether the guard grew."""
        if rest_s >= GUARD_MAX_S:
            if self._hasty and self.rest_s >= GUARD_MAX_S:  # the longest rest does not help: the rest is not the matter
                self.rest_s = self._floor_s
            if self._proven_s is None:
                self._clear()
            self._silent_rest_s = None
            return False
        self._silent_rest_s = rest_s
        longer = [enough_s for enough_s in self._enough_s if rest_s < SAME_REST_RATIO * enough_s]
        if self._hasty + 1 < (HASTY_MAX if len(longer) == len(self._enough_s) else HASTY_AGAINST):
            return False
        self._enough_s = deque(longer, RESTS_KEPT)
        former_s = self.rest_s
        if self._proven_s is not None:
            self.rest_s = self._proven_s
            self._proven_s, self._trial_after = None, min(TRIAL_MAX, 2 * self._trial_after)
            self._clear()
        else:
            longer_s = min(max(GUARD_FIRST_S, GUARD_GROWTH * rest_s), GUARD_MAX_S, *self._enough_s)
            self.rest_s = max(self.rest_s, longer_s)
            # The next silence blames the new rest at once, unless it has answered after such a one.
            self._hasty, self._hasty_rest_s = HASTY_MAX - 1, self.rest_s / SAME_REST_RATIO
        self._silent_rest_s, self._limited = None, 0
        return self.rest_s > former_s

    def _try_shorter(self) -> None:
        shorter_s = GUARD_CUT * self.rest_s
        self._proven_s = self.rest_s
        self.rest_s = max(self._floor_s, shorter_s if shorter_s >= GUARD_FIRST_S else 0.0)
        self._hasty, self._hasty_rest_s, self._limited = HASTY_MAX - 1, float("-inf"), 0

    def _clear(self) -> None:
        self._hasty, self._hasty_rest_s = 0, float("-inf")
