"""One serial port, owned by one thread: keeps the gaps, waits as long as the wire needs, lets no late answer through.

It knows no protocol: an `Exchange` brings the request and recognises its answer. A thread and not asyncio, because a
transaction that has begun must end on the wire whatever becomes of its caller: a cancelled task would leave an answer
behind, and the next request would take it for its own.
"""

import asyncio
import contextlib
import logging
import os
import queue
import select
import termios
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Generic, Protocol, TypeVar

import serial

from drivers.bus.base import BusCounts
from drivers.errors import DriverError, LineDown, NoAnswer, ProfileFault, ProtocolFault
from drivers.read_plan import gap_s

log = logging.getLogger(__name__)

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

ANSWER_TIMEOUT_S = 0.5
"""Default time from the end of a request to the begin of its answer; slower devices say so in their profile."""
LATEST_ANSWER_S = 1.5
"""Default time after which no answer can come any more: slowest turnaround seen in the field 0.8 s, with margin."""
GAP_MARGIN_S = 0.00015
"""The silence is aimed this much longer, so that a waking thread is never early by the slave's clock."""
REOPEN_FIRST_S = 0.5
REOPEN_MAX_S = 8.0
NEVER_SILENT_S = 2.0
"""A line on which bytes keep coming unasked is given up for this transaction after this time."""
WAITING_MAX = 256
"""Greatest number of requests in the queue of a line."""
NAP_MAX_S = 0.1
"""Longest sleep without looking whether the line is being closed."""
RECEIVED_MAX = 4096
"""Bytes kept of what comes in during one transaction; a longer babble keeps its end."""
TURNAROUND_GAIN = 0.1
"""Share by which a slower answer lengthens the learned turnaround; a faster one shortens it at once."""


class Exchange(Protocol[T_co]):
    """One request and how to know its answer.

    Attributes:
        request: bytes to send.
        answer_length: length of the regular answer [bytes].
        partner: whom it is addressed to; turnarounds are learned per partner.
    """

    request: bytes
    answer_length: int
    partner: int

    def look(self, received: bytes) -> T_co | None:
        """Searches the answer in what came in; None: not there yet; raises what the device refused."""
        ...


class BytePort(Protocol):
    """An open way for bytes: a terminal, or a socket to a serial server. None of its methods waits."""

    def fileno(self) -> int:
        """The descriptor to wait on."""
        ...

    def send(self, data: bytes) -> None:
        """Sends all of it; raises OSError if it cannot."""
        ...

    def receive(self) -> bytes:
        """What has come in; empty when there is nothing; raises OSError if the other end is known to be gone."""
        ...

    def hung_up(self) -> bool:
        """Whether the other end has ended the connection while it was idle."""
        ...

    def close(self) -> None:
        """Gives the port back."""
        ...


class _Terminal:
    """A serial port of this machine."""

    def __init__(self, port: serial.Serial) -> None:
        self._port = port

    def fileno(self) -> int:
        descriptor: int = self._port.fileno()
        return descriptor

    def send(self, data: bytes) -> None:
        if os.write(self._port.fileno(), data) != len(data):
            raise serial.SerialException("port does not take the request")

    def receive(self) -> bytes:
        try:
            return os.read(self._port.fileno(), RECEIVED_MAX)
        except BlockingIOError:
            return b""

    def hung_up(self) -> bool:
        return False  # a terminal says so only when it is read or written

    def close(self) -> None:
        self._port.close()


@dataclass(order=True, slots=True)
class _Job(Generic[T]):
    """A transaction in the queue; writes (rank 0) come before reads (rank 1)."""

    rank: int
    number: int
    exchange: Exchange[T] = field(compare=False)
    loop: asyncio.AbstractEventLoop = field(compare=False)
    future: "asyncio.Future[T]" = field(compare=False)

    def settle(self, result: T | None, error: DriverError | None) -> None:
        """Hands the result to the caller's loop, from the worker's thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self.loop.call_soon_threadsafe(_settle, self.future, result, error)


def _settle(future: "asyncio.Future[Any]", result: object, error: DriverError | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)


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
    ) -> None:
        self.name = name
        self.counts = BusCounts()
        self._path = port
        self._baud = baud
        self._open_port = open_port or self._open_terminal
        self._bytesize, self._parity, self._stopbits = parse_framing(framing)
        if baud <= 0:
            raise ProfileFault(f"{name}: baud {baud}", code="bus_baud", at=("baud",))
        self.bits_per_character = 1 + self._bytesize + (self._parity != "N") + self._stopbits
        self._character_s = self.bits_per_character / baud
        self._silence_s = gap_s(baud=baud, character_s=self._character_s) if silence_s is None else silence_s
        self._elapsed_s = elapsed_s
        self.answer_timeout_s = answer_timeout_s
        self._latest_answer_s = max(latest_answer_s, answer_timeout_s)
        self._jobs: queue.PriorityQueue[_Job[Any]] = queue.PriorityQueue(WAITING_MAX)
        self._numbers = count()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        # All below belongs to the worker thread.
        self._port: BytePort | None = None
        self._idle_at_s = 0.0
        self._rest_until_s = float("-inf")  # after a loss in mid-transaction: its answer may reach the next connection
        self._turnaround_s: dict[int, float] = {}
        self._reopen_at_s = float("-inf")
        self._reopen_after_s = REOPEN_FIRST_S
        self._down_since_s: float | None = None

    # ------------------------------------------------------------------------------------------------ callers' side

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

    async def transact(self, exchange: Exchange[T], *, first: bool = False) -> T:
        """Sends a request and returns its answer. Cancelling the caller does not cancel the transaction.

        Args:
            exchange: request and how to know its answer.
            first: goes before all requests that are not `first` (commands before polling).

        Raises:
            LineDown: the port is not there, or the line is closed.
            NoAnswer: silence.
            ProtocolFault: something came, but not the answer.
            DeviceRefused: the device says no.
        """
        if self._thread is None:
            raise LineDown(f"{self.name}: closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        try:
            self._jobs.put_nowait(_Job(0 if first else 1, next(self._numbers), exchange, loop, future))
        except queue.Full:
            raise LineDown(f"{self.name}: {WAITING_MAX} requests are waiting already") from None
        return await asyncio.shield(future)

    # ------------------------------------------------------------------------------------------------- worker's side

    def _work(self) -> None:
        """The thread: one transaction after the other until the line is closed."""
        while not self._closing.is_set():
            if self._port is None and self._elapsed_s() >= self._reopen_at_s:
                self._try_open()
            try:
                job = self._jobs.get(timeout=NAP_MAX_S)
            except queue.Empty:
                continue
            try:
                self._serve(job)
            except Exception:  # a codec that breaks costs one request, never the line
                self.counts.damaged += 1
                log.exception("transaction failed bus=%s unit=%d", self.name, job.exchange.partner)
                job.settle(None, ProtocolFault(f"{self.name}: unit {job.exchange.partner}: internal error"))
        while True:
            try:
                self._jobs.get_nowait().settle(None, LineDown(f"{self.name}: closed"))
            except queue.Empty:
                break
        self._drop_port()

    def _serve(self, job: _Job[Any]) -> None:
        """One job: transaction, answer to the caller, quarantine where it is due."""
        if self._port is not None and self._port.hung_up():
            # Serial servers close idle connections: nothing has been sent, so nobody needs to hear of it.
            self._drop_port()
            self._try_open()
            self.counts.reopened += self._port is not None
        if self._port is not None and self._elapsed_s() < self._rest_until_s:
            self._quarantine(job.exchange, b"", until_s=self._rest_until_s)
        if self._port is None:
            job.settle(None, LineDown(f"{self.name}: {self._path} is not there"))
            return
        self.counts.requests += 1
        rest_until_s: float | None = None
        received = b""
        try:
            answer, received, rest_until_s = self._transaction(job.exchange)
        except DriverError as error:  # refused by the device, or never silent: the line is in step
            job.settle(None, error)
        except (OSError, serial.SerialException, termios.error) as error:
            answer_s = self._latest_answer_s + job.exchange.answer_length * self._character_s
            self._rest_until_s = max(self._idle_at_s, self._elapsed_s()) + answer_s
            self._lost(error)
            job.settle(None, LineDown(f"{self.name}: {self._path}: {error}"))
        else:
            if rest_until_s is None:
                job.settle(answer, None)
                return
            if received:
                self.counts.damaged += 1
                head = received[:16].hex(" ")
                job.settle(
                    None,
                    ProtocolFault(
                        f"{self.name}: unit {job.exchange.partner}: not the answer: {head} ({len(received)} bytes)"
                    ),
                )
            else:
                self.counts.silent += 1
                job.settle(None, NoAnswer(f"{self.name}: unit {job.exchange.partner} is silent"))
            self._quarantine(job.exchange, received, until_s=rest_until_s)

    def _transaction(self, exchange: Exchange[T]) -> tuple[T | None, bytes, float | None]:
        """One request on the wire.

        Returns:
            Answer, received bytes, None; or None, received bytes, and the instant until which the line must rest [s].
        """
        self._await_silence()
        character_s, length = self._character_s, exchange.answer_length
        self._send(exchange.request)
        sent_s = self._elapsed_s() + len(exchange.request) * character_s
        self._idle_at_s = sent_s
        turnaround_s = self._turnaround_s.get(exchange.partner, 0.0)
        self._sleep_until(sent_s + 0.9 * turnaround_s + (length - 1) * character_s)
        give_up_s = sent_s + self.answer_timeout_s + length * character_s
        received = self._receive()
        while True:
            if received:
                now_s = self._idle_at_s = self._elapsed_s()
                answer = exchange.look(received)
                if answer is not None:
                    self._learn(exchange.partner, now_s - sent_s - length * character_s)
                    return answer, received, None
                if len(received) < length - 1:
                    self._sleep_until(min(give_up_s, now_s + (length - 1 - len(received)) * character_s))
            remaining_s = give_up_s - self._elapsed_s()
            if remaining_s <= 0:
                return None, received, sent_s + self._latest_answer_s + length * character_s
            received = (received + self._receive(wait_s=remaining_s))[-RECEIVED_MAX:]

    def _learn(self, partner: int, turnaround_s: float) -> None:
        """Follows the turnaround of a device: faster answers at once, slower ones by degrees."""
        measured_s = max(0.0, turnaround_s)
        known_s = self._turnaround_s.get(partner, measured_s)
        self._turnaround_s[partner] = min(measured_s, known_s + TURNAROUND_GAIN * (measured_s - known_s))

    def _quarantine(self, exchange: Exchange[Any], received: bytes, *, until_s: float) -> None:
        """Rests until the latest possible answer has passed; ends early only when that very answer has come."""
        while not self._closing.is_set():
            remaining_s = until_s - self._elapsed_s()
            if remaining_s <= 0:
                return
            try:
                more = self._receive(wait_s=min(remaining_s, NAP_MAX_S))
            except (OSError, serial.SerialException) as error:
                self._lost(error)
                return
            if not more:
                continue
            self._idle_at_s = self._elapsed_s()
            received = (received + more)[-RECEIVED_MAX:]
            try:
                arrived = exchange.look(received) is not None
            except DriverError:
                arrived = True
            if arrived:
                self.counts.late += 1
                return

    def _await_silence(self) -> None:
        """Waits until the line has been silent for 3.5 characters; throws away what nobody asked for.

        Raises:
            ProtocolFault: it does not become silent.
        """
        begin_s = self._elapsed_s()
        while True:
            self._sleep_until(self._idle_at_s + self._silence_s + GAP_MARGIN_S)
            stray = self._receive()
            if not stray:
                return
            self.counts.stray_bytes += len(stray)
            self._idle_at_s = self._elapsed_s()
            if self._idle_at_s - begin_s > NEVER_SILENT_S or self._closing.is_set():
                raise ProtocolFault(f"{self.name}: bytes keep coming unasked")

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
        if wait_s > 0:
            ready, _, _ = select.select([self._port.fileno()], [], [], wait_s)
            if not ready:
                return b""
        data = self._port.receive()
        if wait_s > 0 and not data:  # readable, yet nothing to read: the other end is gone
            raise serial.SerialException("port is gone")
        return data

    def _open_terminal(self) -> BytePort:
        return _Terminal(
            serial.Serial(
                self._path,
                self._baud,
                bytesize=self._bytesize,
                parity=self._parity,
                stopbits=self._stopbits,
                timeout=0,
                exclusive=True,
            )
        )

    def _try_open(self) -> None:
        try:
            self._port = self._open_port()
        except (OSError, ValueError, serial.SerialException, termios.error) as error:
            self._lost(error)
            return
        self._idle_at_s = self._elapsed_s()
        self._reopen_after_s = REOPEN_FIRST_S
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
            with contextlib.suppress(OSError, serial.SerialException, termios.error):
                port.close()


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
