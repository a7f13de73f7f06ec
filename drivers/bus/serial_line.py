"""One serial line, owned by one thread: keeps the gaps, waits as long as the wire needs, lets no late answer through.

It knows no protocol: an `Exchange` brings the request and recognises its answer. A thread and not asyncio, because a
transaction that has begun must end on the wire whatever becomes of its caller: a cancelled task would leave an answer
behind, and the next request would take it for its own. What is known of a partner is kept by `drivers.bus.partner`.
"""

import asyncio
import contextlib
import logging
import queue
import select
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Generic, TypeVar

import serial

from drivers.bus.base import BusCounts, UnitTiming
from drivers.bus.byte_port import (
    OPEN_FAULTS,
    PORT_FAULTS,
    RECEIVED_MAX,
    USB_SERIAL,
    BytePort,
    Terminal,
    warn_of_latency,
)
from drivers.bus.exchange import Exchange
from drivers.bus.line_echo import LineEcho
from drivers.bus.partner import Pace, Partner
from drivers.errors import DeviceRefused, DriverError, LineDown, NoAnswer, ProfileFault, ProtocolFault, WriteForbidden
from drivers.read_plan import gap_s

log = logging.getLogger(__name__)

T = TypeVar("T")

ANSWER_TIMEOUT_S = 0.5
"""Default time from the end of a request to the begin of its answer; slower devices say so, or are learned."""
LATEST_ANSWER_S = 1.5
"""Default time after which no answer can come any more: slowest turnaround seen in the field 0.8 s, with margin."""
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
REOPEN_FIRST_S = 0.5
REOPEN_MAX_S = 2.0
"""To look for a port that is not there costs nothing; whoever plugs the adapter in again waits no longer than this."""
NEVER_SILENT_S = 2.0
"""A line on which bytes keep coming unasked is given up for this transaction after this time."""
PROOFS_MAX = 3
"""Proofs asked for one request; more than one is needed only when one of them was owed itself."""
WAITING_MAX = 256
"""Greatest number of requests in the queue of a line."""
NAP_MAX_S = 0.1
"""Longest sleep without looking whether the line is being closed."""
REQUEST_TYPICAL = 8
WHOLE_FRAME = 256
"""Longest frame assumed for a partner that was not asked yet [bytes]."""


@dataclass(order=True, slots=True)
class _Job(Generic[T]):
    """A transaction in the queue; writes (rank 0) come before reads (rank 1).

    Attributes:
        permit: asked right before the request is sent; None: it always may.
        abandoned: its caller was cancelled; if it was not sent yet, it never is.
    """

    rank: int
    number: int
    exchange: Exchange[T] = field(compare=False)
    loop: asyncio.AbstractEventLoop = field(compare=False)
    future: "asyncio.Future[T]" = field(compare=False)
    permit: Callable[[], bool] | None = field(default=None, compare=False)
    abandoned: bool = field(default=False, compare=False)

    def may_leave(self) -> bool:
        """Whether its request may be sent now."""
        return not self.abandoned and (self.permit is None or self.permit())

    def settle(self, result: T | None, error: DriverError | None) -> None:
        """Hands the result to the caller's loop, from the worker's thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self.loop.call_soon_threadsafe(_settle, self.future, result, error)


def _settle(future: "asyncio.Future[Any]", result: object, error: DriverError | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
        future.exception()  # a caller that has gone fetches it no more
    else:
        future.set_result(result)


@dataclass(frozen=True, slots=True)
class _Result:
    """What became of one request on the wire.

    Attributes:
        answer: if it was answered.
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

    @property
    def alive(self) -> bool:
        """Whether the partner said something that we understood."""
        return self.error is None or isinstance(self.error, DeviceRefused)


class SerialLine:
    """A serial port and the thread that owns it.

    Args:
        name: of the bus, for messages.
        port: device path, best below /dev/serial/by-id.
        baud: of the line.
        framing: data bits, parity, stop bits: `8N1`, `8E1`, `8N2`, `8O1` ...
        elapsed_s: stop-watch of the machine [s].
        answer_timeout_s: wall time from the end of a request to the begin of its answer [s].
        latest_answer_s: wall time after which no answer can come any more; after a failure the line rests so long [s].
        silence_s: silence between frames; None: 3.5 characters as the standard says [s].
        open_port: opens the way to the line where it is not a serial port of this machine; raises OSError.
        usb_serial: where the kernel lists USB serial adapters.

    Attributes:
        counts: what happened on the line.
        echo_test: a read that nobody answers, sent before a write whose answer an echo would imitate while it is not
            known whether the adapter hears itself.
    """

    def __init__(
        self,
        name: str,
        *,
        port: str,
        baud: int,
        framing: str,
        elapsed_s: Callable[[], float],
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
        latest_answer_s: float = LATEST_ANSWER_S,
        silence_s: float | None = None,
        open_port: Callable[[], BytePort] | None = None,
        usb_serial: Path = USB_SERIAL,
    ) -> None:
        self.name = name
        self.counts = BusCounts()
        self.echo_test: Exchange[Any] | None = None
        self._path = port
        self._framing = parse_framing(framing)
        if baud <= 0:
            raise ProfileFault(f"{name}: baud {baud}", code="bus_baud", at=("baud",))
        self._local = open_port is None
        self._open_port = open_port or (lambda: Terminal(port, baud=baud, framing=self._framing))
        bytesize, parity, stopbits = self._framing
        self.bits_per_character = 1 + bytesize + (parity != "N") + stopbits
        self._character_s = self.bits_per_character / baud
        self._silence_s = gap_s(baud=baud, character_s=self._character_s) if silence_s is None else silence_s
        self._elapsed_s = elapsed_s
        self.answer_timeout_s = answer_timeout_s
        self._latest_answer_s = latest_answer_s
        self._usb_serial = usb_serial
        self._jobs: queue.PriorityQueue[_Job[Any]] = queue.PriorityQueue(WAITING_MAX)
        self._numbers = count()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._partners: dict[Hashable, Partner] = {}
        # All below belongs to the worker thread.
        self._port: BytePort | None = None
        self._ready = select.poll()
        self._opened_at_s = self._idle_at_s = 0.0
        self._rest_until_s = float("-inf")  # after a loss in mid-transaction: its answer may reach the next connection
        self._echo = LineEcho(name, self.counts)
        self._stray = b""
        self._latency_judged = False
        self._reopen_at_s = float("-inf")
        self._reopen_after_s = REOPEN_FIRST_S
        self._down_since_s: float | None = None

    # ------------------------------------------------------------------------------------------------ callers' side

    def expect(self, partner: Hashable, timing: UnitTiming) -> None:
        """Tells the pace of a partner, before `open`; the line learns the rest."""
        self._partners[partner] = self._new_partner(partner, timing)

    def pace(self, partner: Hashable) -> Pace:
        """What the line has learned of a partner."""
        known = self._partners.get(partner)
        return (known or self._new_partner(partner, UnitTiming())).pace

    def miss_s(self, partner: Hashable) -> float:
        """What an unanswered request to a partner takes from the line: its time-out and the rest after it [s]."""
        known = self._partners.get(partner) or self._new_partner(partner, UnitTiming())
        characters = REQUEST_TYPICAL + (known.longest_answer or WHOLE_FRAME)
        return max(known.timeout_s, known.latest_answer_s) + characters * self._character_s + self._silence_s

    async def open(self) -> None:
        """Starts the worker; the port is opened by it, now or when it appears."""
        if self._thread is None:
            self._closing.clear()
            self._thread = threading.Thread(target=self._work, name=f"serial {self.name}", daemon=True)
            self._thread.start()

    async def close(self) -> None:
        """Ends the worker after the transaction in progress; requests still waiting get `LineDown`."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._closing.set()
            await asyncio.to_thread(thread.join)

    async def transact(
        self, exchange: Exchange[T], *, first: bool = False, permit: Callable[[], bool] | None = None
    ) -> T:
        """Sends a request and returns its answer.

        Cancelling the caller does not cancel a transaction that has begun on the wire; one that has not is dropped.

        Args:
            exchange: request and how to know its answer.
            first: goes before all requests that are not `first` (commands before polling).
            permit: asked by the line's thread right before the first byte is sent.

        Raises:
            LineDown: the port is not there, or the line is closed; of a write nothing has left.
            NoAnswer: silence; or a write was sent, and the port was lost.
            ProtocolFault: something came, but not the answer.
            DeviceRefused: the device says no.
            WriteForbidden: `permit` said no; nothing has left.
        """
        if self._thread is None:
            raise LineDown(f"{self.name}: closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        job = _Job(0 if first else 1, next(self._numbers), exchange, loop, future, permit)
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            raise LineDown(f"{self.name}: {WAITING_MAX} requests are waiting already") from None
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            job.abandoned = True
            raise

    # ------------------------------------------------------------------------------------------------- worker's side

    def _work(self) -> None:
        """The thread: one transaction after the other until the line is closed."""
        spent_before_s = self.counts.cpu_s
        while not self._closing.is_set():
            job: _Job[Any] | None = None
            begin_s = self._elapsed_s()
            try:
                if self._port is None and begin_s >= self._reopen_at_s:
                    self._try_open()
                with contextlib.suppress(queue.Empty):
                    job = self._jobs.get(timeout=NAP_MAX_S)
                if job is None:
                    self._listen()
                    continue
                begin_s = self._elapsed_s()
                self._serve(job)
            except Exception as error:  # a codec or a port that breaks costs one request, never the thread
                log.exception("serial line broke bus=%s", self.name)
                self._broke(job, error)
            self.counts.busy_s += self._elapsed_s() - begin_s
            self.counts.cpu_s = spent_before_s + time.thread_time()
        while True:
            try:
                self._jobs.get_nowait().settle(None, LineDown(f"{self.name}: closed"))
            except queue.Empty:
                break
        self._drop_port()

    def _broke(self, job: _Job[Any] | None, error: Exception) -> None:
        """Goes on after a fault of our own; the line rests, because an answer may still come to what was sent."""
        self._rest_until_s = self._elapsed_s() + self._latest_answer_s
        if job is None:
            self._lost(error)
            return
        self.counts.damaged += 1
        job.settle(None, ProtocolFault(f"{self.name}: unit {job.exchange.partner}: internal error"))

    def _serve(self, job: _Job[Any]) -> None:
        """One job: proof that the partner is in step where there is doubt, transaction, rest where it is due."""
        if job.abandoned:
            return
        exchange = job.exchange
        if self._port is not None and self._port.hung_up():
            if self._local:
                self._lost(ConnectionResetError("the adapter has gone"))
            else:  # serial servers close idle connections: nothing has been sent, so nobody needs to hear of it
                self._drop_port()
                self._try_open()
                self.counts.reopened += self._port is not None
        partner = self._partner(exchange.partner)
        if self._port is not None and self._elapsed_s() < self._rest_until_s:
            self._rest(partner, b"", until_s=self._rest_until_s)
        if self._port is None:
            job.settle(None, LineDown(f"{self.name}: {self._path} is not there"))
            return
        try:
            if exchange.mirrored and self._echo.heard is None:
                self._test_echo()
            result = self._settle_doubt(partner, exchange) or self._attempt(partner, exchange, may_leave=job.may_leave)
        except PORT_FAULTS as error:
            self._lost_amid(partner, exchange, error)
            job.settle(None, LineDown(f"{self.name}: {self._path}: {error}"))
            return
        doubt = ProtocolFault(f"{self.name}: unit {partner.name}: perhaps a late answer") if result.doubtful else None
        job.settle(result.answer, result.error or doubt)
        if result.rest_until_s is not None:
            silent = self._rest(partner, result.received, until_s=result.rest_until_s)
            if silent and result.doubtful:
                partner.silent()

    def _lost_amid(self, partner: Partner, exchange: Exchange[Any], error: Exception) -> None:
        """Gives the port up in the middle of a transaction: its answer may still reach the next connection."""
        self._rest_until_s = max(self._idle_at_s, self._elapsed_s()) + partner.latest_answer_s
        self._rest_until_s += exchange.answer_length * self._character_s
        self._lost(error)

    def _settle_doubt(self, partner: Partner, exchange: Exchange[Any]) -> _Result | None:
        """Brings a partner into step that owes an answer which could be taken for that of the next request.

        A partner may be silent because it does not answer the proof. So every second time a read itself is sent to see
        whether anybody is there at all; its answer is thrown away, and the proof follows at once.

        Returns:
            None: the request may be sent; else the failure for the caller.
        """
        for _ in range(PROOFS_MAX):
            if not partner.in_doubt(exchange) or (proof := partner.proof(exchange)) is None:
                return None
            alive = False
            if partner.proof_unanswered and exchange.repeatable:
                partner.proof_unanswered = False
                trial = self._attempt(partner, exchange)
                if not trial.alive:
                    return trial
                alive = True
            result = self._attempt(partner, proof)
            partner.proof_unanswered = not result.alive
            if result.alive:
                partner.proof_answered()
                continue
            if alive and partner.proof_failed():
                log.warning(
                    "unit answers no second kind of request: answers later than its rest cannot be told apart "
                    "bus=%s unit=%s rest_s=%.1f",
                    self.name,
                    partner.name,
                    partner.latest_answer_s,
                )
            return result
        return _Result(error=ProtocolFault(f"{self.name}: unit {partner.name} is out of step"))

    def _attempt(
        self, partner: Partner, exchange: Exchange[Any], *, may_leave: Callable[[], bool] | None = None
    ) -> _Result:
        """One request on the wire and what became of it; raises what the port raises, for a write only before it."""
        try:
            self._await_silence(partner, exchange)
        except ProtocolFault as fault:
            return _Result(error=fault)
        if may_leave is not None and not may_leave():
            return _Result(error=WriteForbidden(f"{self.name}: unit {partner.name}: no write leaves in this mode"))
        counts, character_s, length = self.counts, self._character_s, exchange.answer_length
        counts.requests += 1
        counts.writes += not exchange.repeatable
        partner.longest_answer = max(partner.longest_answer, length)
        rest_s = self._elapsed_s() - partner.answered_at_s
        sent_s = self._elapsed_s() + len(exchange.request) * character_s
        try:
            self._send(exchange.request)
            sent_s = self._idle_at_s = self._elapsed_s() + len(exchange.request) * character_s
            answer, received = self._await_answer(partner, exchange, sent_s=sent_s)
        except PORT_FAULTS as fault:
            partner.missed(exchange, sent_s=sent_s)
            if exchange.repeatable:
                raise
            self._lost_amid(partner, exchange, fault)
            text = f"{self.name}: unit {partner.name}: sent, and the connection was lost: {fault}"
            return _Result(error=NoAnswer(text))
        except DriverError as error:  # the device, or a gateway before it, says no: the line is in step
            counts.answers += 1
            partner.answered_at_s = self._idle_at_s
            partner.refused(exchange, sent_s=sent_s, rest_s=rest_s, final=isinstance(error, DeviceRefused))
            return _Result(error=error)
        if answer is None:
            return self._missed(partner, exchange, received, sent_s=sent_s, rest_s=rest_s)
        counts.answers += 1
        partner.answered_at_s = self._idle_at_s
        if len(received) > length:
            self._find_late(received, but=exchange)
        turnaround_s = self._idle_at_s - sent_s - length * character_s
        if partner.answered(exchange, sent_s=sent_s, turnaround_s=turnaround_s, rest_s=rest_s):
            return _Result(answer)
        if partner.proof(exchange) is not None:
            return _Result(doubtful=True)
        return _Result(doubtful=True, rest_until_s=self._idle_at_s + partner.doubt_s)

    def _missed(
        self, partner: Partner, exchange: Exchange[Any], received: bytes, *, sent_s: float, rest_s: float
    ) -> _Result:
        """Counts a failure, learns from it, and says how long the line must rest."""
        rest_until_s = sent_s + partner.latest_answer_s + exchange.answer_length * self._character_s
        if not received:
            self.counts.silent += 1
            partner.missed(exchange, sent_s=sent_s)
            if partner.guard.silent(rest_s):
                log.warning(
                    "unit seems to need a rest between its answer and the next request bus=%s unit=%s guard_s=%.3f",
                    self.name,
                    partner.name,
                    partner.guard.rest_s,
                )
            error: DriverError = NoAnswer(f"{self.name}: unit {partner.name} is silent")
            return _Result(error=error, rest_until_s=rest_until_s)
        self.counts.damaged += 1
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
        error = ProtocolFault(f"{self.name}: unit {partner.name}: not the answer: {head} ({len(received)} bytes)")
        return _Result(error=error, rest_until_s=rest_until_s, received=received)

    def _await_answer(self, partner: Partner, exchange: Exchange[T], *, sent_s: float) -> tuple[T | None, bytes]:
        """Waits for the answer; returns it, or None, with what has come in; raises what the device refuses."""
        character_s, length = self._character_s, exchange.answer_length
        self._sleep_until(sent_s + 0.9 * partner.turnaround_s + (length - 1) * character_s)
        give_up_s = sent_s + partner.timeout_s + length * character_s
        usual_s = sent_s + partner.usual_answer_s() + length * character_s
        raw = received = self._receive()
        while True:
            until_s = give_up_s
            if raw:
                now_s = self._idle_at_s = self._elapsed_s()
                received, echoed = self._echo.take_off(exchange, raw)
                answer = exchange.look(received) if received else None
                if answer is not None:
                    self._echo.judge(exchange, raw, echoed=echoed)
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
            if remaining_s <= 0 or not (more := self._receive(wait_s=remaining_s)):
                self._echo.judge(exchange, raw, echoed=raw.startswith(exchange.request))
                return None, received
            raw = (raw + more)[-RECEIVED_MAX:]

    def _rest(self, partner: Partner, received: bytes, *, until_s: float) -> bool:
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
                more = self._receive(wait_s=min(remaining_s, NAP_MAX_S))
            except PORT_FAULTS as error:
                self._lost(error)
                return False
            if not more:
                continue
            self._idle_at_s = self._elapsed_s()
            received = (received + more)[-RECEIVED_MAX:]
            silent = silent and not any(owed.exchange.head in received for owed in partner.owed)
            if self._find_late(received):
                received = b""
                if not partner.owed:
                    break
        return False

    def _find_late(self, received: bytes, *, but: Exchange[Any] | None = None) -> bool:
        """Searches owed answers in bytes that belong to nobody; each teaches how late its partner can be."""
        found = False
        for partner in list(self._partners.values()):
            if not partner.owed:
                continue
            head = but.head if but is not None and but.partner == partner.name else b""
            delay_s = partner.find_late(received, now_s=self._idle_at_s, character_s=self._character_s, but=head)
            if delay_s is None:
                continue
            found = True
            self.counts.late += 1
            if partner.lengthen(delay_s):
                log.warning(
                    "an answer came later than believed possible bus=%s unit=%s after_s=%.2f rest_s=%.2f",
                    self.name,
                    partner.name,
                    delay_s,
                    partner.latest_answer_s,
                )
        return found

    def _listen(self) -> None:
        """Looks at an idle line: takes in what nobody asked for, and notices that the adapter has gone."""
        if self._port is None:
            return
        try:
            if self._port.hung_up():
                if self._local:
                    self._lost(ConnectionResetError("the adapter has gone"))
                return
            self._take_stray(self._receive())
        except PORT_FAULTS as error:
            self._lost(error)

    def _await_silence(self, partner: Partner, exchange: Exchange[Any]) -> None:
        """Waits until the line has been silent as long as it must, and the partner has had its rest.

        Raises:
            ProtocolFault: the line does not become silent.
        """
        begin_s = self._elapsed_s()
        silence_s = max(self._silence_s, exchange.silence_s) + GAP_MARGIN_S
        rested_s = max(partner.answered_at_s + partner.guard.rest_s, self._opened_at_s + partner.connect_delay_s)
        while True:
            self._sleep_until(max(self._idle_at_s + silence_s, rested_s))
            stray = self._receive()
            if not stray:
                self._stray = b""
                return
            self._take_stray(stray)
            if self._idle_at_s - begin_s > NEVER_SILENT_S or self._closing.is_set():
                raise ProtocolFault(f"{self.name}: bytes keep coming unasked")

    def _take_stray(self, data: bytes) -> None:
        """Counts and throws away what nobody asked for; an answer among it was a late one."""
        if not data:
            self._stray = b""
            return
        self.counts.stray_bytes += len(data)
        self._idle_at_s = self._elapsed_s()
        self._stray = (self._stray + data)[-RECEIVED_MAX:]
        if self._find_late(self._stray):
            self._stray = b""

    def _test_echo(self) -> None:
        """Finds out whether the adapter hears itself, before an answer is expected that an echo would imitate."""
        test = self.echo_test
        if test is None:
            return
        self._await_silence(self._partner(test.partner), test)
        self.counts.requests += 1
        self._send(test.request)
        until_s = self._elapsed_s() + len(test.request) * self._character_s + ECHO_WAIT_S
        raw = b""
        while test.request not in raw and (remaining_s := until_s - self._elapsed_s()) > 0:
            raw += self._receive(wait_s=remaining_s)
        self._idle_at_s = self._elapsed_s()
        self._echo.judge(test, raw, echoed=test.request in raw)
        self._echo.heard = bool(self._echo.heard)

    # ---------------------------------------------------------------------------------------------------------- port

    def _sleep_until(self, instant_s: float) -> None:
        remaining_s = instant_s - self._elapsed_s()
        if remaining_s > 0:
            time.sleep(remaining_s)

    def _send(self, request: bytes) -> None:
        assert self._port is not None
        self._port.send(request)

    def _receive(self, *, wait_s: float = 0.0) -> bytes:
        """What has come in; waits for the first byte at most `wait_s` [s]."""
        assert self._port is not None
        if wait_s > 0 and not self._ready.poll(wait_s * 1e3):
            return b""
        data = self._port.receive()
        if wait_s > 0 and not data:  # readable, yet nothing to read: the other end is gone
            raise serial.SerialException("port is gone")
        return data

    def _try_open(self) -> None:
        try:
            self._port = self._open_port()
        except OPEN_FAULTS as error:
            self._lost(error)
            return
        self._ready = select.poll()
        self._ready.register(self._port.fileno(), select.POLLIN)
        self._opened_at_s = self._idle_at_s = self._elapsed_s()
        self._echo.heard = None  # it may be another adapter
        self._stray = b""
        self._reopen_after_s = REOPEN_FIRST_S
        if self._local and not self._latency_judged:
            self._latency_judged = warn_of_latency(self.name, self._path, sysfs=self._usb_serial)
        if self._down_since_s is not None:
            self.counts.reopened += 1
            log.warning(
                "serial line is back bus=%s port=%s down_s=%.1f",
                self.name,
                self._path,
                self._idle_at_s - self._down_since_s,
            )
            self._down_since_s = None

    def _lost(self, error: Exception) -> None:
        """Notes that the port is not there, says so once, and sets the next attempt."""
        self._drop_port()
        now_s = self._elapsed_s()
        if self._down_since_s is None:
            self._down_since_s = now_s
            log.warning("serial line is down bus=%s port=%s reason=%s", self.name, self._path, error)
        self._reopen_at_s = now_s + self._reopen_after_s
        self._reopen_after_s = min(REOPEN_MAX_S, 2 * self._reopen_after_s)

    def _drop_port(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            with contextlib.suppress(*PORT_FAULTS):
                port.close()

    def _partner(self, name: Hashable) -> Partner:
        partner = self._partners.get(name)
        if partner is None:
            partner = self._partners[name] = self._new_partner(name, UnitTiming())
        return partner

    def _new_partner(self, name: Hashable, timing: UnitTiming) -> Partner:
        return Partner(name, timing, timeout_s=self.answer_timeout_s, latest_answer_s=self._latest_answer_s)


def parse_framing(framing: str) -> tuple[int, str, int]:
    """Reads `8N1` and the like.

    Returns:
        Data bits, parity letter, stop bits.

    Raises:
        ProfileFault: not a framing of Modbus lines.
    """
    if len(framing) != 3 or framing[0] not in "78" or framing[1] not in "NEO" or framing[2] not in "12":  # noqa: PLR2004 - three characters
        raise ProfileFault(
            f"framing {framing!r}: 8N1, 8E1, 8O1, 8N2 ... are known", code="bus_framing", at=("framing",)
        )
    return int(framing[0]), framing[1], int(framing[2])
