"""Frames of the city platform's TCP protocol: head, length, sequence, content, check sum, tail. Pure.

A frame is cut by its length, never by searching for the tail: the cipher may contain it. A bad frame ends the
connection, because nobody can say where the next one begins.

Source: 可再生能源建筑应用示范项目数据监测系统技术导则(试行) (2009), appendix 4. Byte orders
and the start of the check sum are not printed there; they follow from public packets (tests/golden/vectors).
"""

import binascii
from dataclasses import dataclass
from functools import cache

from edge_agent.settings.dialect import Dialect
from edge_agent.uplink.transports.mohurd_tcp.faults import BadFrame

CONTENT_BYTES_MAX = 1 << 20
"""A longer content is no packet of this protocol [B]."""
CCITT_POLY = 0x1021
CRC_BYTES = 2
LENGTH_BYTES = {"u32_le": 4, "u32_be": 4, "u16_le": 2, "u16_be": 2, "hex4": 4}


@dataclass(frozen=True, slots=True)
class Packet:
    """What a frame carries.

    Attributes:
        sequence: number that the initiator chose and the answerer repeats; empty where the frame carries none.
        content: the text, still enciphered.
        type_byte: kind of packet, where the frame says it.
    """

    sequence: bytes
    content: bytes
    type_byte: int | None = None


@cache
def _table(poly: int) -> tuple[int, ...]:
    """Check sums of the 256 single bytes."""
    table = []
    for byte in range(256):
        value = byte << 8
        for _ in range(8):
            value = (value << 1 ^ poly if value & 0x8000 else value << 1) & 0xFFFF
        table.append(value)
    return tuple(table)


def crc16(data: bytes, *, poly: int, start: int) -> int:
    """The 16-bit check sum, high bit first, not reflected.

    Args:
        data: what is counted.
        poly: polynomial; 0x1021 is CRC-16-CCITT.
        start: value before the first byte.
    """
    if poly == CCITT_POLY:
        return binascii.crc_hqx(data, start)
    table, value = _table(poly), start
    for byte in data:
        value = (value << 8 ^ table[value >> 8 ^ byte]) & 0xFFFF
    return value


class FrameFormat:
    """How frames look in one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        """Prepares the parts that never change."""
        self._crc = dialect.crc
        self._head = bytes.fromhex(dialect.frame.head)
        self._tail = bytes.fromhex(dialect.frame.tail)
        self._typed = dialect.frame.type_byte
        self._length_form = dialect.frame.length
        self._sequence_bytes = dialect.frame.sequence_bytes
        self._counted = self._sequence_bytes if dialect.frame.length_counts == "sequence_and_content" else 0
        self._length_at = len(self._head) + self._typed
        self._sequence_at = self._length_at + LENGTH_BYTES[self._length_form]
        self._crc_bytes = CRC_BYTES if self._crc.coverage != "none" else 0

    @property
    def sequence_bytes(self) -> int:
        """Length of the sequence number [B]."""
        return self._sequence_bytes

    def encode(self, packet: Packet) -> bytes:
        """The frame around a packet.

        Raises:
            ValueError: the packet does not fit this dialect, which is our own error.
        """
        if len(packet.sequence) != self._sequence_bytes or (packet.type_byte is None) is self._typed:
            raise ValueError(f"sequence {packet.sequence.hex()}, type byte {packet.type_byte}: not of this dialect")
        if len(packet.content) > CONTENT_BYTES_MAX:
            raise ValueError(f"a content of {len(packet.content)} B")
        kind = b"" if packet.type_byte is None else bytes((packet.type_byte,))
        body = packet.sequence + packet.content
        frame = self._head + kind + self._write_length(len(packet.content) + self._counted) + body
        if self._crc_bytes:
            value = self._sum(frame)
            frame += value.to_bytes(CRC_BYTES, "big" if self._crc.order == "high_first" else "little")
        return frame + self._tail

    def cut(self, buffer: bytearray) -> Packet | None:
        """Takes the first frame out of what has arrived; None while it is not complete.

        Raises:
            BadFrame: what stands there is no frame.
        """
        start = bytes(buffer[: len(self._head)])
        if start != self._head[: len(start)]:
            raise BadFrame(f"head {start.hex()}, expected {self._head.hex()}")
        if len(buffer) < self._sequence_at:
            return None
        content_at = self._sequence_at + self._sequence_bytes
        size = self._read_length(bytes(buffer[self._length_at : self._sequence_at])) - self._counted
        if not 0 < size <= CONTENT_BYTES_MAX:
            raise BadFrame(f"a content of {size} B")
        crc_at = content_at + size
        end = crc_at + self._crc_bytes + len(self._tail)
        if len(buffer) < end:
            return None
        frame = bytes(buffer[:end])
        if frame[crc_at + self._crc_bytes :] != self._tail:
            raise BadFrame(f"tail {frame[crc_at + self._crc_bytes :].hex()}, expected {self._tail.hex()}")
        if self._crc_bytes:
            self._check_sum(frame[:crc_at], frame[crc_at : crc_at + CRC_BYTES])
        del buffer[:end]
        return Packet(
            frame[self._sequence_at : content_at],
            frame[content_at:crc_at],
            frame[len(self._head)] if self._typed else None,
        )

    def _sum(self, frame: bytes) -> int:
        """The check sum over a frame without check sum and tail."""
        begin = 0 if self._crc.coverage == "head_to_content" else self._sequence_at
        return crc16(frame[begin:], poly=self._crc.poly, start=self._crc.start)

    def _check_sum(self, frame: bytes, given: bytes) -> None:
        value = self._sum(frame).to_bytes(CRC_BYTES, "big")
        allowed = {"any": (value, value[::-1]), "high_first": (value,), "low_first": (value[::-1],)}
        if given not in allowed[self._crc.order_rx]:
            raise BadFrame(f"check sum {given.hex()}, counted {value.hex()} ({self._crc.order_rx})")

    def _write_length(self, length: int) -> bytes:
        if self._length_form == "hex4":
            if length > 0xFFFF:  # noqa: PLR2004 - four hex digits
                raise ValueError(f"a length of {length} does not fit four hex digits")
            return b"%04X" % length
        return length.to_bytes(LENGTH_BYTES[self._length_form], "little" if self._length_form[-2:] == "le" else "big")

    def _read_length(self, field: bytes) -> int:
        if self._length_form == "hex4":
            if not all(byte in b"0123456789ABCDEFabcdef" for byte in field):
                raise BadFrame(f"length {field!r} is no hex number")
            return int(field, 16)
        return int.from_bytes(field, "little" if self._length_form[-2:] == "le" else "big")
