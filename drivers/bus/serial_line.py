"""One serial line, owned by one thread: keeps the gaps, waits as long as the wire needs, lets no late answer through.

It knows no protocol: an `Exchange` brings the request and recognises its answer. A thread and not asyncio, because a
transaction that has begun must end on the wire whatever becomes of its caller: a cancelled task would leave an answer
behind, and the next request would take it for its own. What is known of a partner is kept by `drivers.bus.partner`,
how one request and its answer go over the wire is in `drivers.bus.line_talk`, how a port comes and goes in
`drivers.bus.line_port`.
"""

import asyncio
import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Hashable
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from drivers.bus.base import BusCounts, UnitTiming
from drivers.bus.byte_port import PORT_FAULTS, USB_SERIAL, BytePort, Terminal
from drivers.bus.exchange import Exchange
from drivers.bus.line_job import Answered, Job
from drivers.bus.line_port import LinePort
from drivers.bus.line_talk import NAP_MAX_S, LineTalk, Outcome
from drivers.bus.partner import Pace, Partner
from drivers.errors import LineDown, ProfileFault, ProtocolFault
from drivers.read_plan import gap_s

log = logging.getLogger(__name__)

T = TypeVar("T")

ANSWER_TIMEOUT_S = 0.5
"""Default time from the end of a request to the begin of its answer; slower devices say so, or are learned."""
LATEST_ANSWER_S = 1.5
"""Default time after which no answer can come any more: slowest turnaround seen in the field 0.8 s, with margin."""
PROOFS_MAX = 3
"""Proofs asked for one request; more than one is needed only when one of them was owed itself."""
WAITING_MAX = 256
"""Greatest number of requests in the queue of a line."""
REQUEST_TYPICAL = 8
WHOLE_FRAME = 256
"""Longest frame assumed for a partner that was not asked yet [bytes]."""


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
        parsed = parse_framing(framing)
        if baud <= 0:
            raise ProfileFault(f"{name}: baud {baud}", code="bus_baud", at=("baud",))
        bytesize, parity, stopbits = parsed
        self.bits_per_character = 1 + bytesize + (parity != "N") + stopbits
        self._character_s = self.bits_per_character / baud
        self._silence_s = gap_s(baud=baud, character_s=self._character_s) if silence_s is None else silence_s
        self._elapsed_s = elapsed_s
        self.answer_timeout_s = answer_timeout_s
        self._latest_answer_s = latest_answer_s
        self._jobs: queue.PriorityQueue[Job[Any]] = queue.PriorityQueue(WAITING_MAX)
        self._numbers = count()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._partners: dict[Hashable, Partner] = {}
        # All below belongs to the worker thread.
        self._port = LinePort(
            name,
            path=port,
            open_port=open_port or (lambda: Terminal(port, baud=baud, framing=parsed)),
            local=open_port is None,
            elapsed_s=elapsed_s,
            counts=self.counts,
            usb_serial=usb_serial,
        )
        self._talk = LineTalk(
            name,
            port=self._port,
            partners=self._partners,
            character_s=self._character_s,
            silence_s=self._silence_s,
            elapsed_s=elapsed_s,
            counts=self.counts,
            closing=self._closing,
        )

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
        """Sends a request and returns its answer; all else as `answered`."""
        return (await self.answered(exchange, first=first, permit=permit)).answer

    async def answered(
        self, exchange: Exchange[T], *, first: bool = False, permit: Callable[[], bool] | None = None
    ) -> Answered[T]:
        """Sends a request and returns its answer, and when that was complete.

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
        future: asyncio.Future[Answered[T]] = loop.create_future()
        job = Job(0 if first else 1, next(self._numbers), exchange, loop, future, permit)
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
            job: Job[Any] | None = None
            begin_s = self._elapsed_s()
            try:
                if self._port.open_if_due():
                    self._talk.begin_anew()
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
        self._port.drop()

    def _broke(self, job: Job[Any] | None, error: Exception) -> None:
        """Goes on after a fault of our own; the line rests, because an answer may still come to what was sent."""
        self._talk.rest_until_s = self._elapsed_s() + self._latest_answer_s
        if job is None:
            self._port.lost(error)
            return
        self.counts.damaged += 1
        job.settle(None, ProtocolFault(f"{self.name}: unit {job.exchange.partner}: internal error"))

    def _serve(self, job: Job[Any]) -> None:
        """One job: proof that the partner is in step where there is doubt, transaction, rest where it is due."""
        if job.abandoned:
            return
        exchange = job.exchange
        talk = self._talk
        if self._port.renew():
            talk.begin_anew()
        partner = self._partner(exchange.partner)
        if self._port.is_open and self._elapsed_s() < talk.rest_until_s:
            talk.rest(partner, b"", until_s=talk.rest_until_s)
        if not self._port.is_open:
            job.settle(None, LineDown(f"{self.name}: {self._port.path} is not there"))
            return
        try:
            if exchange.mirrored and talk.echo.heard is None and self.echo_test is not None:
                talk.test_echo(self.echo_test, self._partner(self.echo_test.partner))
            result = self._settle_doubt(partner, exchange) or talk.attempt(partner, exchange, may_leave=job.may_leave)
        except PORT_FAULTS as error:
            talk.lost_amid(partner, exchange, error)
            job.settle(None, LineDown(f"{self.name}: {self._port.path}: {error}"))
            return
        doubt = ProtocolFault(f"{self.name}: unit {partner.name}: perhaps a late answer") if result.doubtful else None
        job.settle(Answered(result.answer, result.complete_s), result.error or doubt)
        if result.rest_until_s is not None:
            silent = talk.rest(partner, result.received, until_s=result.rest_until_s)
            if silent and result.doubtful:
                partner.silent()

    def _settle_doubt(self, partner: Partner, exchange: Exchange[Any]) -> Outcome | None:
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
                trial = self._talk.attempt(partner, exchange)
                if not trial.alive:
                    return trial
                alive = True
            result = self._talk.attempt(partner, proof)
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
        return Outcome(error=ProtocolFault(f"{self.name}: unit {partner.name} is out of step"))

    def _listen(self) -> None:
        """Looks at an idle line: takes in what nobody asked for, and notices that the adapter has gone."""
        try:
            if self._port.look():
                self._talk.take_stray(self._port.receive())
        except PORT_FAULTS as error:
            self._port.lost(error)

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
