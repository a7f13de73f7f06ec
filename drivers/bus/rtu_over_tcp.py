"""RTU frames through the raw TCP port of a serial server: a serial line whose port is a socket.

The line behind the server is a line like any other: same exchanges, same silence between frames, same rest
after a time-out, because an answer that is late on the wire is late here as well, even on a new connection. Frames
with a Modbus TCP header belong to `drivers.bus.modbus_tcp`.
"""

import socket
from collections.abc import Callable
from functools import partial

from drivers.bus.byte_port import RECEIVED_MAX
from drivers.bus.modbus_rtu import ModbusRtuBus
from drivers.bus.serial_line import ANSWER_TIMEOUT_S, LATEST_ANSWER_S

CONNECT_S_MAX = 2.0
"""A serial server on the plant's own network answers a connection within milliseconds."""
NETWORK_S = 0.05
"""Added to the time-out of the line: the way through the network, and the pause by which the server ends a packet."""


class SocketPort:
    """The raw TCP port of a serial server, as a `BytePort`.

    Args:
        host: name or address.
        port: TCP port.

    Raises:
        OSError: it is not there.
    """

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port), timeout=CONNECT_S_MAX)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)  # noqa: FBT003 - the library's signature

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._socket.fileno()

    def send(self, data: bytes) -> None:
        """Sends all of it; a frame that the socket takes only in part is lost, and so is the connection."""
        if self._socket.send(data) != len(data):
            raise ConnectionError("connection does not take the request")

    def receive(self) -> bytes:
        """What has come in; empty when there is nothing."""
        try:
            data = self._socket.recv(RECEIVED_MAX)
        except BlockingIOError:
            return b""
        if not data:
            raise ConnectionResetError("closed by the serial server")
        return data

    def hung_up(self) -> bool:
        """Whether the server has ended the connection while it was idle."""
        try:
            return not self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def close(self) -> None:
        """Ends the connection."""
        self._socket.close()


def rtu_over_tcp(
    name: str,
    *,
    host: str,
    port: int,
    baud: int,
    framing: str,
    elapsed_s: Callable[[], float],
    timeout_s: float = ANSWER_TIMEOUT_S + NETWORK_S,
    latest_answer_s: float = LATEST_ANSWER_S + NETWORK_S,
) -> ModbusRtuBus:
    """Makes the bus; it connects by itself, now or when the server appears.

    Args:
        name: as in devices.yaml.
        host: name or address of the serial server.
        port: TCP port of the server for this line.
        baud: of the line behind it, as set in the server; time-outs count its characters.
        framing: of that line.
        elapsed_s: stop-watch of the machine [s].
        timeout_s: wall time from the end of a request to the begin of its answer [s].
        latest_answer_s: wall time after which no answer can come any more [s].
    """
    return ModbusRtuBus(
        name,
        port=f"{host}:{port}",
        baud=baud,
        framing=framing,
        elapsed_s=elapsed_s,
        timeout_s=timeout_s,
        latest_answer_s=latest_answer_s,
        open_port=partial(SocketPort, host, port),
    )
