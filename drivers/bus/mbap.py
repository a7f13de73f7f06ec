"""One Modbus TCP connection: takes the byte stream apart into frames, and says when it ends. It judges no answer.

Source: MODBUS Messaging on TCP/IP Implementation Guide V1.0b, 3.1.3.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass

from typing_extensions import override

HEADER = struct.Struct(">HHHB")
"""Transaction number, protocol (0), length of what follows, unit."""
LENGTHS = range(3, 255)
"""What the length in the header of an answer can be: unit, function, and at least one byte more."""
UNACKNOWLEDGED_MS_MAX = 5000
"""Sent bytes that the host's network has not confirmed for so long end the connection: cable, switch, dead host."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What came in.

    Attributes:
        number: transaction number.
        unit: who answers.
        pdu: function code and data.
        size: bytes on the wire.
    """

    number: int
    unit: int
    pdu: bytes
    size: int


class Connection(asyncio.Protocol):
    """A connection from its begin to its end; never used again afterwards.

    Attributes:
        alive: whether it can be sent on.
        made_s: when it was made [s].
        sent_count: requests sent on it.
        answer_count: answers accepted on it.

    Args:
        on_frame: is handed every frame.
        on_babble: is told once what came that is no frame; nothing follows.
        on_end: is told why it ended, unless we ended it.
        elapsed_s: stop-watch of the machine [s].
    """

    def __init__(
        self,
        *,
        on_frame: Callable[["Connection", Frame], None],
        on_babble: Callable[["Connection", bytes], None],
        on_end: Callable[["Connection", str], None],
        elapsed_s: Callable[[], float],
    ) -> None:
        self.alive = False
        self.made_s = 0.0
        self.sent_count = 0
        self.answer_count = 0
        self._on_frame = on_frame
        self._on_babble = on_babble
        self._on_end = on_end
        self._elapsed_s = elapsed_s
        self._transport: asyncio.Transport | None = None
        self._received = b""

    def send(self, number: int, *, unit: int, pdu: bytes) -> None:
        """Sends one request."""
        assert self._transport is not None
        self.sent_count += 1
        self._transport.write(HEADER.pack(number, 0, len(pdu) + 1, unit) + pdu)

    def drop(self) -> None:
        """Ends it; nobody is told."""
        self.alive = False
        if self._transport is not None:
            self._transport.abort()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        wire: socket.socket = transport.get_extra_info("socket")
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS_MAX)
        self._transport = transport
        self.made_s = self._elapsed_s()
        self.alive = True

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self.alive:
            self.alive = False
            self._on_end(self, str(exc or "closed by the host"))

    @override
    def data_received(self, data: bytes) -> None:
        self._received += data
        while self.alive and len(self._received) >= HEADER.size:
            number, protocol, length, unit = HEADER.unpack_from(self._received)
            if protocol != 0 or length not in LENGTHS:
                self._on_babble(self, self._received)
                return
            size = HEADER.size - 1 + length
            if len(self._received) < size:
                return
            pdu = self._received[HEADER.size : size]
            self._received = self._received[size:]
            self._on_frame(self, Frame(number, unit, pdu, size))
