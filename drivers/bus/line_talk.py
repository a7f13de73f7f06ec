"""What is said on a line: one request, the wait for its answer, the rest after a failure, and what nobody asked for.

Used by the line's thread only. Whose request goes next, and whether a partner must first prove that it is in step, is
the business of `drivers.bus.serial_line`; the port that of `drivers.bus.line_port`.
"""

import logging
import threading
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from drivers.bus.base import BusCounts
from drivers.bus.byte_port import PORT_FAULTS, RECEIVED_MAX
from drivers.bus.exchange import Exchange
from drivers.bus.line_echo import LineEcho
from drivers.bus.line_port import LinePort
from drivers.bus.partner import Partner
from drivers.errors import DeviceRefused, DriverError, NoAnswer, ProtocolFault, WriteForbidden

log = logging.getLogger(__name__)

T = TypeVar("T")

GAP_MARGIN_S = 0.00015
"""The silence is aimed this much longer, so that a waking thread is never early by the slave's clock."""
DAMAGED_SILENCE_S = 0.05
"""An answer that is there in full length, but not right, is given up after this silence: more than a USB tick."""
BROKEN_SILENCE_S = 0.2
"""... and one of which only a part came, after this: packet radio pauses up to 0.1 s inside a frame."""
BURST = 33
"""Characters that a port may hold back and hand over at once; for so many the thread waits, it does not sleep."""
ECHO_WAIT_S = 0.1
"""An adapter that hears itself has given the request back after this time: several USB ticks."""
NEVER_SILENT_S = 2.0
"""A line on which bytes keep coming unasked is given up for this transaction after this time."""
NAP_MAX_S = 0.1
"""Longest sleep without looking whether the line is being closed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one request on the wire.

    Attributes:
        answer: if it was answered.
        complete_s: when that had come in whole [machine s].
        error: if it was not, or refused.
        rest_until_s: None: the line is in step; else it must rest until then [machine s].
        received: what came instead of an answer, for the rest.
        doubtful: it was answered, but perhaps not this request.
    """

    answer: Any = None
    error: DriverError | None = None
    rest_until_s: float | None = None
    received: bytes = b""
    doubtful: bool = False
    complete_s: float = 0.0

    @property
    def alive(self) -> bool:
        """Whether the partner said something that we understood."""
        return self.error is None or isinstance(self.error, DeviceRefused)


class LineTalk:
    """What is said on one line.

    Args:
        bus: name, for messages.
        port: the way to it.
        partners: who is known on it; their owed answers are searched in whatever comes.
        character_s: time of a character [s].
        silence_s: between frames [s].
        elapsed_s: stop-watch of the machine [s].
        counts: of the bus.
        closing: set when the line is being closed: rests end.

    Attributes:
        idle_at_s: when the last character passed [machine s].
        rest_until_s: after a loss in mid-transaction its answer may reach the next connection [machine s].
        echo: whether the adapter hears itself.
    """

    def __init__(
        self,
        bus: str,
        *,
        port: LinePort,
        partners: Mapping[Hashable, Partner],
        character_s: float,
        silence_s: float,
        elapsed_s: Callable[[], float],
        counts: BusCounts,
        closing: threading.Event,
    ) -> None:
        self._bus = bus
        self._port = port
        self._partners = partners
        self._character_s = character_s
        self._silence_s = silence_s
        self._elapsed_s = elapsed_s
        self._counts = counts
        self._closing = closing
        self.idle_at_s = 0.0
        self.rest_until_s = float("-inf")
        self.echo = LineEcho(bus, counts)
        self._stray = b""

    def begin_anew(self) -> None:
        """The port has just been opened; it may be another adapter."""
        self.idle_at_s = self._port.opened_at_s
        self.echo.heard = None
        self._stray = b""

    def lost_amid(self, partner: Partner, exchange: Exchange[Any], error: Exception) -> None:
        """Gives the port up in the middle of a transaction: its answer may still reach the next connection."""
        self.rest_until_s = max(self.idle_at_s, self._elapsed_s()) + partner.latest_answer_s
        self.rest_until_s += exchange.answer_length * self._character_s
        self._port.lost(error)

    def attempt(
        self, partner: Partner, exchange: Exchange[Any], *, may_leave: Callable[[], bool] | None = None
    ) -> Outcome:
        """One request on the wire and what became of it; raises what the port raises, for a write only before it."""
        try:
            self._await_silence(partner, exchange)
        except ProtocolFault as fault:
            return Outcome(error=fault)
        if may_leave is not None and not may_leave():
            return Outcome(error=WriteForbidden(f"{self._bus}: unit {partner.name}: no write leaves in this mode"))
        counts, character_s, length = self._counts, self._character_s, exchange.answer_length
        counts.requests += 1
        counts.writes += not exchange.repeatable
        partner.longest_answer = max(partner.longest_answer, length)
        rest_s = self._elapsed_s() - partner.answered_at_s
        sent_s = self._elapsed_s() + len(exchange.request) * character_s
        try:
            self._port.send(exchange.request)
            sent_s = self.idle_at_s = self._elapsed_s() + len(exchange.request) * character_s
            answer, received = self._await_answer(partner, exchange, sent_s=sent_s)
        except PORT_FAULTS as fault:
            partner.missed(exchange, sent_s=sent_s)
            if exchange.repeatable:
                raise
            self.lost_amid(partner, exchange, fault)
            text = f"{self._bus}: unit {partner.name}: sent, and the connection was lost: {fault}"
            return Outcome(error=NoAnswer(text))
        except DriverError as error:  # the device, or a gateway before it, says no: the line is in step
            counts.answers += 1
            partner.answered_at_s = self.idle_at_s
            partner.refused(exchange, sent_s=sent_s, rest_s=rest_s, final=isinstance(error, DeviceRefused))
            return Outcome(error=error)
        if answer is None:
            return self._missed(partner, exchange, received, sent_s=sent_s, rest_s=rest_s)
        counts.answers += 1
        partner.answered_at_s = self.idle_at_s
        if len(received) > length:
            self._find_late(received, but=exchange)
        turnaround_s = self.idle_at_s - sent_s - length * character_s
        if partner.answered(exchange, sent_s=sent_s, turnaround_s=turnaround_s, rest_s=rest_s):
            return Outcome(answer, complete_s=partner.answered_at_s)
        if partner.proof(exchange) is not None:
            return Outcome(doubtful=True)
        return Outcome(doubtful=True, rest_until_s=self.idle_at_s + partner.doubt_s)

    def _missed(
        self, partner: Partner, exchange: Exchange[Any], received: bytes, *, sent_s: float, rest_s: float
    ) -> Outcome:
        """Counts a failure, learns from it, and says how long the line must rest."""
        rest_until_s = sent_s + partner.latest_answer_s + exchange.answer_length * self._character_s
        if not received:
            self._counts.silent += 1
            partner.missed(exchange, sent_s=sent_s)
            if partner.guard.silent(rest_s):
                log.warning(
                    "unit seems to need a rest between its answer and the next request bus=%s unit=%s guard_s=%.3f",
                    self._bus,
                    partner.name,
                    partner.guard.rest_s,
                )
            error: DriverError = NoAnswer(f"{self._bus}: unit {partner.name} is silent")
            return Outcome(error=error, rest_until_s=rest_until_s)
        self._counts.damaged += 1
        self._find_late(received, but=exchange)
        begun = exchange.head in received
        if not (begun and not partner.owed):  # else it was this answer, damaged, and nothing is owed
            partner.missed(exchange, sent_s=sent_s)
        # When something like the answer came, a proof before the next request of this form finds out whether the real
        # one is still to come; who has no proofs must rest.
        safe = not partner.in_doubt(exchange) or partner.proof(exchange) is not None
        if safe and (begun or len(received) >= exchange.answer_length):
            rest_until_s = self._elapsed_s()
        head = received[:16].hex(" ")
        error = ProtocolFault(f"{self._bus}: unit {partner.name}: not the answer: {head} ({len(received)} bytes)")
        return Outcome(error=error, rest_until_s=rest_until_s, received=received)

    def _await_answer(self, partner: Partner, exchange: Exchange[T], *, sent_s: float) -> tuple[T | None, bytes]:
        """Waits for the answer; returns it, or None, with what has come in; raises what the device refuses."""
        character_s, length = self._character_s, exchange.answer_length
        self._sleep_until(sent_s + 0.9 * partner.turnaround_s + (length - 1) * character_s)
        give_up_s = sent_s + partner.timeout_s + length * character_s
        usual_s = sent_s + partner.usual_answer_s() + length * character_s
        raw = received = self._port.receive()
        while True:
            until_s = give_up_s
            if raw:
                now_s = self.idle_at_s = self._elapsed_s()
                received, echoed = self.echo.take_off(exchange, raw)
                answer = exchange.look(received) if received else None
                if answer is not None:
                    self.echo.judge(exchange, raw, echoed=echoed)
                    return answer, received
                begun = received.find(exchange.head)
                missing = length - len(received) + max(begun, 0)
                if begun >= 0:
                    silence_s = BROKEN_SILENCE_S + missing * character_s if missing > 0 else DAMAGED_SILENCE_S
                    until_s = min(give_up_s, now_s + silence_s)
                elif missing <= 0:  # the answer, and its head is damaged; or so much noise before it
                    until_s = min(give_up_s, max(now_s + BROKEN_SILENCE_S, usual_s))
                if missing > BURST:
                    self._sleep_until(min(until_s, now_s + (missing - BURST) * character_s))
            remaining_s = until_s - self._elapsed_s()
            if remaining_s <= 0 or not (more := self._port.receive(wait_s=remaining_s)):
                self.echo.judge(exchange, raw, echoed=raw.startswith(exchange.request))
                return None, received
            raw = (raw + more)[-RECEIVED_MAX:]

    def rest(self, partner: Partner, received: bytes, *, until_s: float) -> bool:
        """Rests until the latest possible answer has passed; ends early only when nothing is owed any more.

        Returns:
            Whether the whole rest has passed and nothing like an answer of the partner came.
        """
        silent = True
        while not self._closing.is_set():
            remaining_s = until_s - self._elapsed_s()
            if remaining_s <= 0:
                return silent
            try:
                more = self._port.receive(wait_s=min(remaining_s, NAP_MAX_S))
            except PORT_FAULTS as error:
                self._port.lost(error)
                return False
            if not more:
                continue
            self.idle_at_s = self._elapsed_s()
            received = (received + more)[-RECEIVED_MAX:]
            silent = silent and not any(owed.exchange.head in received for owed in partner.owed)
            if self._find_late(received):
                received = b""
                if not partner.owed:
                    break
            else:
                self._expect_the_rest(received)
        return False

    def _expect_the_rest(self, received: bytes) -> None:
        """Counts silence from the end of a late answer that has begun: what holds bytes back hands them over in parts.

        A request that were sent between two parts would be talked over.
        """
        missing = max((partner.missing(received) for partner in list(self._partners.values())), default=0)
        self.idle_at_s += max(0, missing) * self._character_s

    def _find_late(self, received: bytes, *, but: Exchange[Any] | None = None) -> bool:
        """Searches owed answers in bytes that belong to nobody; each teaches how late its partner can be."""
        found = False
        for partner in list(self._partners.values()):
            if not partner.owed:
                continue
            head = but.head if but is not None and but.partner == partner.name else b""
            delay_s = partner.find_late(received, now_s=self.idle_at_s, character_s=self._character_s, but=head)
            if delay_s is None:
                continue
            found = True
            self._counts.late += 1
            if partner.lengthen(delay_s):
                log.warning(
                    "an answer came later than believed possible bus=%s unit=%s after_s=%.2f rest_s=%.2f",
                    self._bus,
                    partner.name,
                    delay_s,
                    partner.latest_answer_s,
                )
        return found

    def _await_silence(self, partner: Partner, exchange: Exchange[Any]) -> None:
        """Waits until the line has been silent as long as it must, and the partner has had its rest.

        Raises:
            ProtocolFault: the line does not become silent.
        """
        begin_s = self._elapsed_s()
        silence_s = max(self._silence_s, exchange.silence_s) + GAP_MARGIN_S
        rested_s = max(partner.answered_at_s + partner.guard.rest_s, self._port.opened_at_s + partner.connect_delay_s)
        while True:
            self._sleep_until(max(self.idle_at_s + silence_s, rested_s))
            stray = self._port.receive()
            if not stray:
                self._stray = b""
                return
            self.take_stray(stray)
            if self.idle_at_s - begin_s > NEVER_SILENT_S or self._closing.is_set():
                raise ProtocolFault(f"{self._bus}: bytes keep coming unasked")

    def take_stray(self, data: bytes) -> None:
        """Counts and throws away what nobody asked for; an answer among it was a late one."""
        if not data:
            self._stray = b""
            return
        self._counts.stray_bytes += len(data)
        self.idle_at_s = self._elapsed_s()
        self._stray = (self._stray + data)[-RECEIVED_MAX:]
        if self._find_late(self._stray):
            self._stray = b""
        else:
            self._expect_the_rest(self._stray)

    def test_echo(self, test: Exchange[Any], partner: Partner) -> None:
        """Finds out whether the adapter hears itself, before an answer is expected that an echo would imitate.

        Args:
            test: a read that nobody answers.
            partner: whom it is addressed to.
        """
        self._await_silence(partner, test)
        self._counts.requests += 1
        self._port.send(test.request)
        until_s = self._elapsed_s() + len(test.request) * self._character_s + ECHO_WAIT_S
        raw = b""
        while test.request not in raw and (remaining_s := until_s - self._elapsed_s()) > 0:
            raw += self._port.receive(wait_s=remaining_s)
        self.idle_at_s = self._elapsed_s()
        self.echo.judge(test, raw, echoed=test.request in raw)
        self.echo.heard = bool(self.echo.heard)

    def _sleep_until(self, instant_s: float) -> None:
        remaining_s = instant_s - self._elapsed_s()
        if remaining_s > 0:
            time.sleep(remaining_s)
