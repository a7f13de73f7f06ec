"""Modbus RTU: requests, answers and their check sum, on a serial line.

Source: Modbus Application Protocol Specification V1.1b3; MODBUS over Serial Line V1.02.
"""

import struct
from collections.abc import Callable, Sequence

from drivers.bus.base import UNIT_MAX, Span, UnitTiming, refusal
from drivers.bus.serial_line import ANSWER_TIMEOUT_S, LATEST_ANSWER_S, BytePort, SerialLine
from drivers.read_plan import READ_FUNCTION_BITS_LAST, LineCost

TURNAROUND_TYPICAL_S = 0.02
"""For the cost of a read; the line learns the real one."""
EXCEPTION_BIT = 0x80
COIL_ON = 0xFF00
WRITE_COIL, WRITE_REGISTER, WRITE_COILS, WRITE_REGISTERS = 5, 6, 15, 16


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_CRC_TABLE = _crc_table()


def check_sum(frame: bytes) -> bytes:
    """Returns the two bytes that end a frame.

    Source: MODBUS over Serial Line V1.02, 2.5.1.2 and appendix B (CRC-16, polynomial 0xA001, low byte first).
    """
    value = 0xFFFF
    for byte in frame:
        value = value >> 8 ^ _CRC_TABLE[(value ^ byte) & 0xFF]
    return value.to_bytes(2, "little")


class _ReadExchange:
    """A read and its answer: unit, function, number of bytes, data, check sum must all fit."""

    def __init__(self, span: Span, *, unit: int) -> None:
        self.partner = unit
        self._span = span
        self._bits = span.function <= READ_FUNCTION_BITS_LAST
        body = struct.pack(">BBHH", unit, span.function, span.address, span.count)
        self.request = body + check_sum(body)
        size = (span.count + 7) // 8 if self._bits else 2 * span.count
        self._head = bytes((unit, span.function, size))
        self.answer_length = 5 + size

    def look(self, received: bytes) -> tuple[int, ...] | None:
        """Searches the answer, also behind noise."""
        frame = _find(received, self._head, length=self.answer_length)
        if frame is None:
            _look_for_refusal(received, self._span.function, unit=self.partner)
            return None
        data = frame[3:-2]
        if self._bits:
            return tuple(data[position >> 3] >> (position & 7) & 1 for position in range(self._span.count))
        return struct.unpack(f">{self._span.count}H", data)


class _WriteExchange:
    """A write and its echo: unit, function, address and value (or number) must come back."""

    def __init__(self, address: int, values: Sequence[int], *, unit: int, function: int) -> None:
        self.partner = unit
        self._function = function
        body = struct.pack(">BB", unit, function) + write_body(address, values, function=function)
        self.request = body + check_sum(body)
        self._echo = body[:6]
        self.answer_length = 8

    def look(self, received: bytes) -> bool | None:
        """Searches the echo, also behind noise."""
        if _find(received, self._echo, length=self.answer_length) is not None:
            return True
        _look_for_refusal(received, self._function, unit=self.partner)
        return None


def write_body(address: int, values: Sequence[int], *, function: int) -> bytes:
    """Builds a write request behind the function code."""
    if function == WRITE_COIL:
        return struct.pack(">HH", address, COIL_ON if values[0] else 0)
    if function == WRITE_REGISTER:
        return struct.pack(">HH", address, values[0])
    if function == WRITE_REGISTERS:
        return struct.pack(f">HHB{len(values)}H", address, len(values), 2 * len(values), *values)
    assert function == WRITE_COILS, f"function {function} does not write"
    packed = sum(1 << position for position, value in enumerate(values) if value)
    size = (len(values) + 7) // 8
    return struct.pack(">HHB", address, len(values), size) + packed.to_bytes(size, "little")


def _find(received: bytes, head: bytes, *, length: int) -> bytes | None:
    """The first complete frame with this head, this length and a right check sum."""
    start = received.find(head)
    while start >= 0 and start + length <= len(received):
        frame = received[start : start + length]
        if check_sum(frame[:-2]) == frame[-2:]:
            return frame
        start = received.find(head, start + 1)
    return None


def _look_for_refusal(received: bytes, function: int, *, unit: int) -> None:
    """Raises what an exception answer says, if there is one."""
    frame = _find(received, bytes((unit, function | EXCEPTION_BIT)), length=5)
    if frame is not None:
        raise refusal(frame[2], f"unit {unit}, function {function}")


class ModbusRtuBus:
    """Modbus RTU on one serial port.

    Args:
        name: as in devices.yaml.
        port: device path.
        baud: of the line.
        framing: `8N1`, `8E1` ...
        elapsed_s: stop-watch of the machine [s].
        timeout_s: wall time from the end of a request to the begin of its answer [s].
        latest_answer_s: wall time after which no answer can come any more [s].
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
        timeout_s: float = ANSWER_TIMEOUT_S,
        latest_answer_s: float = LATEST_ANSWER_S,
        silence_s: float | None = None,
        open_port: Callable[[], BytePort] | None = None,
    ) -> None:
        self.name = name
        self._timeout_s = timeout_s
        self._latest_answer_s = max(timeout_s, latest_answer_s)
        self._timings: dict[int, UnitTiming] = {}
        self.line = SerialLine(
            name,
            port=port,
            baud=baud,
            framing=framing,
            elapsed_s=elapsed_s,
            answer_timeout_s=timeout_s,
            latest_answer_s=latest_answer_s,
            silence_s=silence_s,
            open_port=open_port,
        )
        self.cost = LineCost.serial(
            baud=baud, bits_per_character=self.line.bits_per_character, turnaround_s=TURNAROUND_TYPICAL_S
        )
        self.counts = self.line.counts

    def expect(self, unit: int, timing: UnitTiming) -> None:
        """Tells the pace of a unit, before `open`."""
        self._timings[unit] = timing

    def miss_s(self, unit: int) -> float:
        """What an unanswered request to a unit costs: the line rests until its latest answer has passed [s]."""
        timing = self._timings.get(unit, UnitTiming())
        return max(timing.timeout_s or self._timeout_s, timing.latest_answer_s or self._latest_answer_s)

    async def open(self) -> None:
        """Starts the line; a port that is not there yet is opened when it appears."""
        await self.line.open()

    async def close(self) -> None:
        """Ends the line."""
        await self.line.close()

    async def read(self, span: Span, *, unit: int) -> tuple[int, ...]:
        """Fetches registers, or bits as 0 and 1.

        Raises:
            DriverError: as `SerialLine.transact` says.
        """
        assert 1 <= unit <= UNIT_MAX, f"unit {unit}"
        return await self.line.transact(_ReadExchange(span, unit=unit))

    async def write(self, address: int, values: Sequence[int], *, unit: int, function: int) -> None:
        """Sends registers or bits and checks the echo. Never repeated here.

        Raises:
            DriverError: as `SerialLine.transact` says.
        """
        assert 1 <= unit <= UNIT_MAX, f"unit {unit}"  # unit 0 would be a broadcast: to everybody, without an answer
        await self.line.transact(_WriteExchange(address, values, unit=unit, function=function), first=True)
