"""What a serial line knows of one partner: its pace, learned, and the answers that it owes. No port, no clock.

Why owed answers: nothing in a Modbus RTU answer says which request it belongs to. An answer that comes later than
anybody believed possible would be taken for that of the next request of the same form. So the line remembers each
request whose answer it has not seen. Slaves answer in order: an answer belongs to the oldest request that it fits, and
when it is there, nothing older can follow. So before a request is sent whose answer could be that of an owed one, the
partner is asked something whose answer looks different (a proof): best what it has answered before; else a variant of
the request, one after the other while they stay unanswered. The protocol sees to it that a variant is something which
the model may be asked. A refusal is as good a proof as an answer.

The limit: a slave (or a radio, a gateway) that answers identical requests in another order than it was asked cannot be
understood by any master on a serial line, for nothing in the frames differs. Several identical requests are owed only
after as many have gone unanswered; a rest in which nothing comes, or a proof, settles them.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from drivers.bus.base import UnitTiming
from drivers.bus.exchange import Exchange
from drivers.bus.guard import Guard
from drivers.errors import DriverError

FAST_GAIN = 0.1
"""Share by which a slower answer lengthens the fast turnaround; a faster one shortens it at once."""
SLOW_DECAY = 0.01
"""Share by which each answer lets the slow turnaround sink: what comes once in a hundred answers keeps it up."""
TIMEOUT_MARGIN = 1.5
"""The time-out is this many slow turnarounds, if its floor is not longer."""
TIMEOUT_LEARNED_MAX_S = 5.0
LATEST_MARGIN = 1.5
"""An answer later than the latest believed possible moves that belief to this many times its delay."""
LATEST_LEARNED_MAX_S = 10.0
DOUBT_MAX_S = 5.0
"""Longest rest after a doubtful answer of a partner without proofs, unless its latest answer may be later still."""
ANSWERS_KNOWN = 10
"""Answers after which the learned pace is worth something."""
OWED_MAX = 8
"""Of so many unanswered requests the older ones are forgotten, but none ..."""
OWED_S = 20.0
"""... that is not as old as this: twice the latest answer that is ever believed possible."""
KNOWN_MAX = 4
PROOFS_FAILED_MAX = 2
"""A partner that answers its requests but so many times no proof is not asked for one for a while."""
PROOFS_RETRY_ANSWERS = 40
"""After so many answers it is asked for a proof again where there is doubt: its silence may have had other reasons."""


@dataclass(frozen=True, slots=True)
class Owed:
    """A request whose answer was not seen.

    Attributes:
        exchange: the request.
        sent_s: when its last character had left [machine s].
    """

    exchange: Exchange[Any]
    sent_s: float


@dataclass(frozen=True, slots=True)
class Pace:
    """What has been learned of a partner, for those who look.

    Attributes:
        turnaround_s: from the end of a request to the begin of its answer, as it usually is [s].
        slow_s: ... as it is about once in a hundred answers [s].
        timeout_s: how long its answers are waited for [s].
        guard_s: rest that it gets between its answer and the next request [s].
        latest_answer_s: after this time no answer is believed to come [s].
        answers: how many this rests on.
        proves: whether it takes part in proofs that it is in step.
    """

    turnaround_s: float
    slow_s: float
    timeout_s: float
    guard_s: float
    latest_answer_s: float
    answers: int
    proves: bool


class Partner:
    """One partner on a line.

    Args:
        name: whom, for messages.
        timing: what its profile says of its pace; never undercut.
        timeout_s: time-out where the profile has none [s].
        latest_answer_s: latest answer where the profile has none [s].
    """

    def __init__(self, name: Hashable, timing: UnitTiming, *, timeout_s: float, latest_answer_s: float) -> None:
        self.name = name
        self._timeout_floor_s = timeout_s if timing.timeout_s is None else timing.timeout_s
        latest_s = latest_answer_s if timing.latest_answer_s is None else timing.latest_answer_s
        self._latest_floor_s = self.latest_answer_s = max(latest_s, self._timeout_floor_s)
        self.guard = Guard(timing.guard_s)
        self.connect_delay_s = timing.connect_delay_s
        self.turnaround_s = 0.0
        self.slow_s = 0.0
        self.answers = 0
        self.answered_at_s = float("-inf")
        self.longest_answer = 0
        self.owed: list[Owed] = []
        self.proves = True
        self.proof_unanswered = False
        self._proofs_failed = 0
        self._answers_unproven = 0
        self.doubt_s = 0.0
        self._known: dict[bytes, Exchange[Any]] = {}

    @property
    def timeout_s(self) -> float:
        """How long to wait for the begin of an answer [s]; never below the profile's or the line's own."""
        learned_s = min(TIMEOUT_MARGIN * self.slow_s, self.latest_answer_s, TIMEOUT_LEARNED_MAX_S)
        return max(self._timeout_floor_s, learned_s)

    @property
    def pace(self) -> Pace:
        """What has been learned."""
        return Pace(
            self.turnaround_s,
            self.slow_s,
            self.timeout_s,
            self.guard.rest_s,
            self.latest_answer_s,
            self.answers,
            self.proves,
        )

    def usual_answer_s(self) -> float:
        """When its answer has begun if it comes as the learned ones did [s after the request]; infinite: not known."""
        return TIMEOUT_MARGIN * self.slow_s if self.answers >= ANSWERS_KNOWN else float("inf")

    # ------------------------------------------------------------------------------------------------ owed answers

    def in_doubt(self, exchange: Exchange[Any]) -> bool:
        """Whether an answer to this request could be a late one to an earlier request."""
        return any(owed.exchange.head == exchange.head for owed in self.owed)

    def proof(self, exchange: Exchange[Any]) -> Exchange[Any] | None:
        """A request whose answer shows that nothing older can come; None: there is none for this partner."""
        if not self.proves:
            return None
        last_sent_s = {owed.exchange.head: owed.sent_s for owed in self.owed}
        known = sorted(self._known.values(), key=lambda exchange: exchange.answer_length)
        candidates = [other for other in (*known, *exchange.variants()) if other.head != exchange.head]
        # Best one that is owed by nobody; else the one that is owed for longest.
        return min(candidates, key=lambda other: last_sent_s.get(other.head, float("-inf")), default=None)

    def proof_failed(self) -> bool:
        """Notes that it answered a request but no proof; returns whether it is not asked for one for a while."""
        self._proofs_failed += 1
        self._answers_unproven = 0
        self.proves = self._proofs_failed < PROOFS_FAILED_MAX
        return not self.proves

    def proof_answered(self) -> None:
        """Notes that it does answer proofs."""
        self._proofs_failed = 0

    def silent(self) -> None:
        """Notes that nothing came during a rest after a doubtful answer: nothing is owed any more."""
        self.owed.clear()

    def answered(self, exchange: Exchange[Any], *, sent_s: float, turnaround_s: float, rest_s: float) -> bool:
        """Notes an answer; learns its pace if it is this request's own.

        Args:
            exchange: what was answered.
            sent_s: when its last character had left [machine s].
            turnaround_s: from then to the begin of the answer [s].
            rest_s: from its previous answer to this request [s].

        Returns:
            Whether it is the answer to this request. If not, it may be that to an earlier one; a partner without
            proofs must then be given `doubt_s` of rest, to show by its silence that nothing is owed any more.
        """
        if self.proof(exchange) is None:
            self.owed = [owed for owed in self.owed if sent_s - owed.sent_s <= OWED_S]
        owed_s = self._settle(exchange.head, refusal=False)
        if owed_s is not None:
            self.doubt_s = max(self.latest_answer_s, min(LATEST_MARGIN * (sent_s + turnaround_s - owed_s), DOUBT_MAX_S))
            self._owe(exchange, sent_s=sent_s)
            return False
        self.owed.clear()
        self._answers_unproven += not self.proves
        if self._answers_unproven >= PROOFS_RETRY_ANSWERS:
            self._answers_unproven, self._proofs_failed, self.proves = 0, PROOFS_FAILED_MAX - 1, True
        self._learn(turnaround_s)
        self.guard.answered(rest_s)
        if exchange.repeatable and (exchange.head in self._known or len(self._known) < KNOWN_MAX):
            self._known[exchange.head] = exchange
        return True

    def refused(self, exchange: Exchange[Any], *, sent_s: float, rest_s: float, final: bool) -> None:
        """Notes a refusal.

        Args:
            exchange: what was refused.
            sent_s: when its last character had left [machine s].
            rest_s: from its previous answer to this request [s].
            final: False: a gateway spoke for a device that may still answer.
        """
        if self._settle(exchange.refusal, refusal=True) is not None or not final:
            self._owe(exchange, sent_s=sent_s)
        else:
            self.owed.clear()
            self.guard.answered(rest_s)

    def missed(self, exchange: Exchange[Any], *, sent_s: float) -> None:
        """Notes that an answer was not seen."""
        self._owe(exchange, sent_s=sent_s)

    def find_late(self, received: bytes, *, now_s: float, character_s: float, but: bytes = b"") -> float | None:
        """Searches owed answers in bytes that belong to nobody; learns from the one found, and forgets older ones.

        Args:
            received: the bytes.
            now_s: when they were there [machine s].
            character_s: time of a character on this line [s].
            but: answers with this head are left alone: somebody else judges them.

        Returns:
            How late it was [s after its request], or None.
        """
        for position, owed in enumerate(self.owed):
            if owed.exchange.head == but:
                continue
            try:
                found = owed.exchange.look(received) is not None
            except DriverError:
                found = True
            if found:
                del self.owed[: position + 1]
                delay_s = max(0.0, now_s - owed.sent_s - owed.exchange.answer_length * character_s)
                self.slow_s = max(self.slow_s, delay_s)
                return delay_s
        return None

    def missing(self, received: bytes) -> int:
        """How many characters are still to come of an owed answer that has begun; 0: none has."""
        places = [(owed.exchange.answer_length, received.find(owed.exchange.head)) for owed in self.owed]
        return max((length - (len(received) - place) for length, place in places if place >= 0), default=0)

    def lengthen(self, delay_s: float) -> bool:
        """Believes later answers possible if this one was later than believed; returns whether."""
        if delay_s <= self.latest_answer_s:
            return False
        former_s = self.latest_answer_s
        self.latest_answer_s = max(former_s, min(LATEST_MARGIN * delay_s, LATEST_LEARNED_MAX_S))
        return self.latest_answer_s > former_s

    def _learn(self, turnaround_s: float) -> None:
        measured_s = max(0.0, turnaround_s)
        self.answers += 1
        known_s = self.turnaround_s if self.answers > 1 else measured_s
        self.turnaround_s = min(measured_s, known_s + FAST_GAIN * (measured_s - known_s))
        self.slow_s = max(measured_s, self.slow_s + SLOW_DECAY * (measured_s - self.slow_s))
        # One bad evening does not make every later miss dear; what is later than believed is still no value (`owed`).
        self.latest_answer_s = max(self._latest_floor_s, (1 - SLOW_DECAY) * self.latest_answer_s)

    def _settle(self, begin: bytes, *, refusal: bool) -> float | None:
        """Strikes out the oldest owed request that fits, and all older ones; returns when it was sent, or None."""
        for position, owed in enumerate(self.owed):
            if begin and begin == (owed.exchange.refusal if refusal else owed.exchange.head):
                del self.owed[: position + 1]
                return owed.sent_s
        return None

    def _owe(self, exchange: Exchange[Any], *, sent_s: float) -> None:
        self.owed.append(Owed(exchange, sent_s))
        while len(self.owed) > OWED_MAX and sent_s - self.owed[0].sent_s > OWED_S:
            del self.owed[0]
