"""Several devices behind one Modbus TCP port, as a plant network has them, and everything such a port may do wrong.

A server of our own and not pymodbus': it must misbehave on demand, and pymodbus' answers only one of several requests
that arrive together. Frames are taken apart here; what a device answers is its own business (hil_sim.devices.server).
A serial server with a raw TCP port is another thing: hil_sim.devices.serial_server.

Source: MODBUS Messaging on TCP/IP Implementation Guide V1.0b, 3.1.3.
"""

import asyncio
import logging
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from typing_extensions import override

from hil_sim.devices.pdu import GATEWAY_TARGET_SILENT, exception_answer
from hil_sim.line import Attached
from hil_sim.wire_log import WireLog

logger = logging.getLogger(__name__)

START_S_MAX: Final = 10.0
"""Longest wait [s] for the server thread to listen or to end."""
LAST_ACCEPT_S_MAX: Final = 1.0
"""Longest wait [s] at the end for connections that are just being made."""
DEVICE_FAILURE: Final = 4
"""Source: Modbus Application Protocol Specification V1.1b3, 7."""
HEADER_BYTES: Final = 7
FRAME_BYTES_MAX: Final = 260
UNIT_PLACE: Final = 6
"""Place of the unit number in a frame. Source: as above."""

Disturbance = Callable[[str, bytes], bytes]
"""Makes of a device's answer frame what the wire carries: the frame, a damaged one, or nothing (b"")."""


@dataclass(slots=True)
class TcpFaults:
    """What the port does wrong; every switch may be thrown while it runs, from any thread.

    Attributes:
        change_id: makes the transaction number of an answer from that of its request (`id_zero`, `id_off_by_one`).
        late_s: every answer leaves so much later [wall s]; answers overtake each other as on parallel lines.
        queue_s: every request takes so long [wall s], one after the other: the port falls behind a hurried client.
        behind: so many answers are kept back; each request brings out the answer of an earlier one.
        clients_max: a connection beyond that number is closed at once; None: any number.
        idle_close_s: a connection without a request for so long is closed [wall s]; None: never.
        swallow_first: so many requests of each new connection are lost.
        silent_units: units that are not heard of.
        gateway_codes: unit -> exception with which the gateway answers for it (10 no path, 11 silent).
        garbage: bytes sent before every answer.
    """

    change_id: Callable[[int], int] | None = None
    late_s: float = 0.0
    queue_s: float = 0.0
    behind: int = 0
    clients_max: int | None = None
    idle_close_s: float | None = None
    swallow_first: int = 0
    silent_units: frozenset[int] = frozenset()
    gateway_codes: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))
    garbage: bytes = b""


@dataclass(slots=True)
class TcpStatistics:
    """What happened at the port.

    Attributes:
        connections: that were made.
        turned_away: connections closed at once because of `clients_max`.
        clients: connections at present.
        clients_most: most connections at one time.
        requests: frames that came in.
        answers: frames that went out.
        waiting_most: most requests without an answer at one time on one connection.
    """

    connections: int = 0
    turned_away: int = 0
    clients: int = 0
    clients_most: int = 0
    requests: int = 0
    answers: int = 0
    waiting_most: int = 0


def id_zero(_number: int) -> int:
    """A gateway that does not keep the transaction number."""
    return 0


def id_off_by_one(number: int) -> int:
    """A gateway that is one behind with its transaction numbers."""
    return (number - 1) & 0xFFFF


def wrong_function(_name: str, frame: bytes) -> bytes:
    """Disturbance: the answer belongs to another function (3 and 4 exchanged, else the next)."""
    function = {3: 4, 4: 3}.get(frame[HEADER_BYTES], frame[HEADER_BYTES] + 1)
    return frame[:HEADER_BYTES] + bytes((function,)) + frame[HEADER_BYTES + 1 :]


def wrong_unit(_name: str, frame: bytes) -> bytes:
    """Disturbance: another unit answers."""
    return frame[:UNIT_PLACE] + bytes((frame[UNIT_PLACE] ^ 1,)) + frame[HEADER_BYTES:]


def wrong_count(_name: str, frame: bytes) -> bytes:
    """Disturbance: one register too few in a read answer, in a frame that is consistent in itself."""
    pdu = frame[HEADER_BYTES:]
    if pdu[0] not in (3, 4) or pdu[1] < 2:  # noqa: PLR2004 - two bytes a register
        return frame
    return with_header(frame, bytes((pdu[0], pdu[1] - 2)) + pdu[2:-2])


def wrong_echo(_name: str, frame: bytes) -> bytes:
    """Disturbance: a write answer confirms another address."""
    pdu = frame[HEADER_BYTES:]
    if pdu[0] not in (5, 6, 15, 16):
        return frame
    return with_header(frame, bytes((pdu[0], pdu[1] ^ 1)) + pdu[2:])


def undecodable(_name: str, frame: bytes) -> bytes:
    """Disturbance: a function that does not exist."""
    return with_header(frame, b"\x63\x01\x02")


def with_header(request: bytes, pdu: bytes) -> bytes:
    """An answer frame with the transaction number and the unit of a request."""
    return request[:4] + (len(pdu) + 1).to_bytes(2, "big") + request[UNIT_PLACE:HEADER_BYTES] + pdu


class TcpServer:
    """A running server; made by `serve_tcp`.

    Args:
        devices: behind the port.
        log: where late answers are noted; None: nowhere.
        now_s: simulated time [s since 1970].

    Attributes:
        port: where it listens.
        disturbance: what the wire does to answers; None: nothing.
        faults: what the port does wrong.
        statistics: what happened at it.
    """

    def __init__(
        self,
        devices: Sequence[Attached],
        *,
        log: WireLog | None = None,
        now_s: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.port = 0
        self._log = log
        self._now_s = now_s
        self.disturbance: Disturbance | None = None
        self.faults = TcpFaults()
        self.statistics = TcpStatistics()
        self._devices = {device.unit: device for device in devices}
        self._host = ""
        self._clients: set[_Client] = set()
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self._main: asyncio.Task[None] | None = None
        self._listener: asyncio.Server | None = None
        self._fault: BaseException | None = None
        self._thread: threading.Thread | None = None

    def start(self, host: str, port: int) -> None:
        """Listens.

        Raises:
            OSError: the port cannot be had.
        """
        self._host, self.port = host, port
        self._ready.clear()  # it may have been stopped before
        self._fault = None
        self._thread = threading.Thread(target=self._run, name=f"modbus-tcp-{port}", daemon=True)
        self._thread.start()
        if not self._ready.wait(START_S_MAX):
            raise OSError(f"Modbus TCP server on {host}:{port} did not start within {START_S_MAX} s")
        if self._fault is not None:
            raise OSError(f"Modbus TCP server cannot listen on {host}:{port}: {self._fault}") from self._fault

    def stop(self) -> None:
        """Closes every connection and the port."""
        if self._thread is None or self._loop is None or self._end is None:
            return
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(START_S_MAX)
        self._thread = None

    def drop_connections(self) -> None:
        """Resets every connection; new ones are taken."""
        self._in_loop(self._drop)

    def go_down(self) -> None:
        """Resets every connection and refuses new ones, as a device without power; `come_back` ends it."""
        self._in_loop(self._shut)

    def come_back(self) -> None:
        """Listens again, on the same port."""
        self._in_loop(self._listen)

    def _in_loop(self, work: Callable[[], object]) -> None:
        """Does something in the server's thread and waits until it is done."""
        assert self._loop is not None, "not started"

        async def do() -> None:
            result = work()
            if asyncio.iscoroutine(result):
                await result

        asyncio.run_coroutine_threadsafe(do(), self._loop).result(START_S_MAX)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except (OSError, RuntimeError) as fault:
            self._fault = fault
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        self._main = asyncio.current_task()
        await self._listen()
        self._ready.set()
        await self._end.wait()
        await self._shut()
        await asyncio.sleep(0)  # closed connections say goodbye in the loop's next round

    async def _listen(self) -> None:
        assert self._loop is not None
        if self._listener is None:
            self._listener = await self._loop.create_server(lambda: _Client(self), self._host, self.port)
            self.port = self._listener.sockets[0].getsockname()[1]

    async def _shut(self) -> None:
        # A connection that is just being accepted would escape the closing.
        if accepting := asyncio.all_tasks() - {asyncio.current_task(), self._main}:
            await asyncio.wait(accepting, timeout=LAST_ACCEPT_S_MAX)
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self._drop()

    def _drop(self) -> None:
        for client in tuple(self._clients):
            client.abort()

    # ------------------------------------------------------------------------------------------- for its connections
    def arrived(self, client: "_Client") -> bool:
        """Takes a new connection, or turns it away."""
        most, statistics = self.faults.clients_max, self.statistics
        if most is not None and len(self._clients) >= most:
            statistics.turned_away += 1
            return False
        self._clients.add(client)
        statistics.connections += 1
        statistics.clients = len(self._clients)
        statistics.clients_most = max(statistics.clients_most, statistics.clients)
        return True

    def left(self, client: "_Client") -> None:
        """Forgets a connection."""
        self._clients.discard(client)
        self.statistics.clients = len(self._clients)

    def answer(self, request: bytes) -> tuple[bytes, float]:
        """The answer frame to a request frame, empty for silence, and how late the device is with it [s]."""
        unit, pdu = request[UNIT_PLACE], request[HEADER_BYTES:]
        device, faults = self._devices.get(unit), self.faults
        if unit in faults.silent_units:
            return b"", 0.0
        if device is None or unit in faults.gateway_codes:
            code = faults.gateway_codes.get(unit, GATEWAY_TARGET_SILENT)
            return self._numbered(with_header(request, exception_answer(pdu[0], code))), faults.late_s
        device.requested(pdu[0])
        try:
            content = device.answer(pdu)
        except Exception:  # one request that breaks a device must not end the port for the rest of the run
            logger.exception("device cannot answer device=%s", device.name)
            content = exception_answer(pdu[0], DEVICE_FAILURE)
        if content is None:
            return b"", 0.0
        frame = with_header(request, content)
        if self.disturbance is not None:
            frame = self.disturbance(device.name, frame)
        return self._numbered(frame), device.late_s + faults.late_s

    def now_s(self) -> float:
        """Simulated time [s since 1970]."""
        return self._now_s()

    def postponed(self, unit: int, *, begin_s: float, end_s: float, left_s: float) -> None:
        """Notes that the answer which a unit made between two instants leaves late [simulated s]."""
        device = self._devices.get(unit)
        if self._log is not None and device is not None:
            self._log.postpone(device.name, begin_s=begin_s, end_s=end_s, left_s=left_s)

    def _numbered(self, frame: bytes) -> bytes:
        change = self.faults.change_id
        if change is None or not frame:
            return frame
        return change(int.from_bytes(frame[:2], "big")).to_bytes(2, "big") + frame[2:]


class _Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, server: TcpServer) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._request_count = 0
        self._waiting = 0
        self._kept: deque[tuple[bytes, int, float, float]] = deque()  # and whose it is, made from when to when
        self._free_at_s = 0.0
        self._heard_at_s = 0.0
        self._idle: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        if not self._server.arrived(self):
            transport.close()
            return
        self._transport = transport
        self._heard_at_s = self._loop.time()
        self._watch_idle()

    @override
    def connection_lost(self, _reason: Exception | None) -> None:
        self._transport = None
        if self._idle is not None:
            self._idle.cancel()
        self._server.left(self)

    def abort(self) -> None:
        """Ends the connection at once, with a reset."""
        if self._transport is not None:
            wire: socket.socket = self._transport.get_extra_info("socket")
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()

    @override
    def data_received(self, data: bytes) -> None:
        self._heard_at_s = self._loop.time()
        self._watch_idle()
        self._received += data
        while len(self._received) > HEADER_BYTES:
            end = 6 + int.from_bytes(self._received[4:6], "big")
            if self._received[2:4] != b"\x00\x00" or not HEADER_BYTES < end <= FRAME_BYTES_MAX:
                self.abort()  # not Modbus TCP
                return
            if len(self._received) < end:
                return
            request, self._received = self._received[:end], self._received[end:]
            self._serve(request)

    def _serve(self, request: bytes) -> None:
        server, faults = self._server, self._server.faults
        server.statistics.requests += 1
        self._request_count += 1
        if self._request_count <= faults.swallow_first:
            return
        self._waiting += 1
        server.statistics.waiting_most = max(server.statistics.waiting_most, self._waiting)
        now_s = self._loop.time()
        start_s = now_s
        if faults.queue_s:
            start_s = self._free_at_s = max(now_s, self._free_at_s) + faults.queue_s
        # The device is asked when its turn comes, not when the request arrives: its answer shows that instant.
        if start_s > now_s:
            self._loop.call_at(start_s, self._ask, request)
        else:
            self._ask(request)

    def _ask(self, request: bytes) -> None:
        if self._transport is None:
            return
        faults = self._server.faults
        begin_s = self._server.now_s()
        frame, late_s = self._server.answer(request)
        made = frame, request[UNIT_PLACE], begin_s, self._server.now_s()
        if not frame:
            self._waiting -= 1
            return
        if faults.behind:
            self._kept.append(made)
            if len(self._kept) <= faults.behind:
                return
            made = self._kept.popleft()
        frame, unit, begin_s, end_s = made
        if late_s > 0 or faults.behind:
            self._server.postponed(unit, begin_s=begin_s, end_s=end_s, left_s=self._server.now_s() + late_s)
        if late_s > 0:
            self._loop.call_later(late_s, self._send, frame)
        else:
            self._send(frame)

    def _send(self, frame: bytes) -> None:
        self._waiting -= 1
        if self._transport is not None:
            self._transport.write(self._server.faults.garbage + frame)
            self._server.statistics.answers += 1

    def _watch_idle(self) -> None:
        """Closes the connection when nothing has come for too long; looks again while something has."""
        idle_s = self._server.faults.idle_close_s
        if idle_s is None or self._transport is None:
            return
        if self._idle is None:
            self._idle = self._loop.call_at(self._heard_at_s + idle_s, self._look_idle)

    def _look_idle(self) -> None:
        self._idle = None
        idle_s = self._server.faults.idle_close_s
        if idle_s is None or self._transport is None:
            return
        if self._loop.time() - self._heard_at_s >= idle_s:
            self._transport.close()
        else:
            self._watch_idle()


def serve_tcp(devices: Sequence[Attached], host: str, port: int) -> TcpServer:
    """Serves devices on one port (0: any free one) until `stop`; unknown units are answered with exception 11.

    Raises:
        OSError: the port cannot be had.
    """
    server = TcpServer(devices)
    server.start(host, port)
    return server
