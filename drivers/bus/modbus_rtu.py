"""Modbus RTU: requests, answers and their check sum, on a serial line.

Source: Modbus Application Protocol Specification V1.1b3; MODBUS over Serial Line V1.02.
"""

import struct
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from drivers.bus.base import NO_LIMITS, UNIT_MAX, Registers, Span, UnitTiming, refusal
from drivers.bus.byte_port import BytePort
from drivers.bus.exchange import Exchange
from drivers.bus.partner import Pace
from drivers.bus.serial_line import ANSWER_TIMEOUT_S, LATEST_ANSWER_S, SerialLine
from drivers.profile import ADDRESS_MAX, Limits
from drivers.read_plan import READ_FUNCTION_BITS_LAST, LineCost

TURNAROUND_TYPICAL_S = 0.02
"""For the cost of a read; the line learns the real one."""
EXCEPTION_BIT = 0x80
COIL_ON = 0xFF00
WRITE_COIL, WRITE_REGISTER, WRITE_COILS, WRITE_REGISTERS = 5, 6, 15, 16
BITS_PER_BYTE = 8
VARIANTS_MAX = 4
OTHER_KIND = {1: 2, 2: 1, 3: 4, 4: 3}
"""Reads of the same form from the other kind of bits or registers."""
ECHO_TEST = Span(3, 0, 1)


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


class ReadExchange:
    """A read and its answer: unit, function, number of bytes, data, check sum must all fit."""

    partner: Hashable
    silence_s = 0.0  # the line's own is that of Modbus
    repeatable = True
    mirrored = False

    def __init__(self, span: Span, *, unit: int, limits: Limits = NO_LIMITS) -> None:
        self.partner = self._unit = unit
        self._span = span
        self._limits = limits
        self._bits = span.function <= READ_FUNCTION_BITS_LAST
        body = struct.pack(">BBHH", unit, span.function, span.address, span.count)
        self.request = body + check_sum(body)
        size = (span.count + 7) // 8 if self._bits else 2 * span.count
        self.head = bytes((unit, span.function, size))
        self.refusal = bytes((unit, span.function | EXCEPTION_BIT))
        self.answer_length = 5 + size

    def variants(self) -> "Sequence[Exchange[Any]]":
        """Shorter reads of the same span; where it is one register, longer ones, or the other kind of registers.

        A longer one with the same function goes before: it is answered, or refused, which is an answer of another form
        as well; to a function that they do not know some devices stay silent. None of them leaves what the model may
        be asked: some registers must never be read.
        """
        span, width = self._span, BITS_PER_BYTE if self._bits else 1
        places = -(-span.count // width)  # bytes of bits, or registers
        if places > 1:
            parts = [
                Span(span.function, span.address, 1 + part * width) for part in range(min(VARIANTS_MAX, places - 1))
            ]
        else:
            longer = (Span(span.function, address, 1 + width) for address in (span.address, span.address - width))
            other = Span(OTHER_KIND[span.function], span.address, 1)
            parts = [part for part in (*longer, other) if _may_ask(part, self._limits)]
        return [ReadExchange(part, unit=self._unit, limits=self._limits) for part in parts]

    def look(self, received: bytes) -> tuple[int, ...] | None:
        """Searches the answer, also behind noise; of two different ones none is believed."""
        frame = _find(received, self.head, length=self.answer_length)
        if frame is None:
            _look_for_refusal(received, self.refusal)
            return None
        data = frame[3:-2]
        if self._bits:
            return tuple(data[position >> 3] >> (position & 7) & 1 for position in range(self._span.count))
        return struct.unpack(f">{self._span.count}H", data)


def _may_ask(span: Span, limits: Limits) -> bool:
    """Whether a read stays within what the model knows and nothing in it is forbidden."""
    first = limits.first or 0
    last = ADDRESS_MAX if limits.last is None else limits.last
    registers = 0 if span.function <= READ_FUNCTION_BITS_LAST else span.count
    return (
        first <= span.address
        and span.end - 1 <= last
        and registers <= limits.registers_max
        and (not limits.functions or span.function in limits.functions)
        and not any(
            kind == span.function and span.address <= high and low < span.end for kind, low, high in limits.forbidden
        )
    )


class WriteExchange:
    """A write and its echo: unit, function, address and value (or number) must come back."""

    partner: Hashable
    silence_s = 0.0
    repeatable = False

    def __init__(self, address: int, values: Sequence[int], *, unit: int, function: int) -> None:
        self.partner = unit
        self.mirrored = function in (WRITE_COIL, WRITE_REGISTER)
        body = struct.pack(">BB", unit, function) + write_body(address, values, function=function)
        self.request = body + check_sum(body)
        self.head = body[:6]
        self.refusal = bytes((unit, function | EXCEPTION_BIT))
        self.answer_length = 8

    def variants(self) -> "Sequence[Exchange[Any]]":
        """There is no other write that does no harm."""
        return ()

    def look(self, received: bytes) -> bool | None:
        """Searches the echo, also behind noise."""
        if _find(received, self.head, length=self.answer_length) is not None:
            return True
        _look_for_refusal(received, self.refusal)
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
    """The complete frame with this head, this length and a right check sum; None: none, or several that differ."""
    found: bytes | None = None
    start = received.find(head)
    while start >= 0 and start + length <= len(received):
        frame = received[start : start + length]
        if check_sum(frame[:-2]) == frame[-2:]:
            if found is not None and frame != found:
                return None
            found = frame
        start = received.find(head, start + 1)
    return found


def _look_for_refusal(received: bytes, head: bytes) -> None:
    """Raises what an exception answer with this head says, if there is one."""
    frame = _find(received, head, length=5)
    if frame is not None:
        raise refusal(frame[2], f"unit {head[0]}, function {head[1] & ~EXCEPTION_BIT}")


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
        self._expected: dict[int, Limits] = {}
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
        self._expected[unit] = timing.limits
        self.line.expect(unit, timing)

    def miss_s(self, unit: int) -> float:
        """What an unanswered request to a unit costs: time-out, and the rest until its latest answer has passed [s]."""
        return self.line.miss_s(unit)

    def pace(self, unit: int) -> Pace:
        """What the line has learned of a unit."""
        return self.line.pace(unit)

    async def open(self) -> None:
        """Starts the line; a port that is not there yet is opened when it appears."""
        unused = next((unit for unit in range(UNIT_MAX, 0, -1) if unit not in self._expected), UNIT_MAX)
        self.line.echo_test = ReadExchange(ECHO_TEST, unit=unused)
        await self.line.open()

    async def close(self) -> None:
        """Ends the line."""
        await self.line.close()

    async def read(self, span: Span, *, unit: int) -> Registers:
        """Fetches registers, or bits as 0 and 1.

        Raises:
            DriverError: as `SerialLine.answered` says.
        """
        assert 1 <= unit <= UNIT_MAX, f"unit {unit}"
        limits = self._expected.get(unit, NO_LIMITS)
        answered = await self.line.answered(ReadExchange(span, unit=unit, limits=limits))
        return Registers(answered.answer, answered.complete_s)

    async def write(
        self,
        address: int,
        values: Sequence[int],
        *,
        unit: int,
        function: int,
        permit: Callable[[], bool] | None = None,
    ) -> None:
        """Sends registers or bits and checks the echo. Never repeated here.

        Raises:
            DriverError: as `SerialLine.answered` says.
        """
        assert 1 <= unit <= UNIT_MAX, f"unit {unit}"  # unit 0 would be a broadcast: to everybody, without an answer
        exchange = WriteExchange(address, values, unit=unit, function=function)
        await self.line.transact(exchange, first=True, permit=permit)
