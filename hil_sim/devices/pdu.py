"""Modbus requests taken apart and answers put together, in the simulator's own code, shared with nothing that it tests.

A request here is the part between unit number and check sum. Not here: what a device answers (hil_sim.devices.server).

Source: MODBUS Application Protocol Specification V1.1b3, section 6 (formats and counts) and 7 (exception codes).
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hil_sim.devices.registers import (
    COIL,
    DISCRETE,
    HOLDING,
    INPUT,
    READ_WRITE,
    WRITE_COIL,
    WRITE_COILS,
    WRITE_REGISTER,
    WRITE_REGISTERS,
    ReadFunction,
)

ILLEGAL_FUNCTION: Final = 1
ILLEGAL_ADDRESS: Final = 2
ILLEGAL_VALUE: Final = 3
DEVICE_FAILURE: Final = 4
GATEWAY_TARGET_SILENT: Final = 11
EXCEPTION_BIT: Final = 0x80
COIL_ON: Final = 0xFF00
READ_COUNT_MAX: Final[dict[int, int]] = {COIL: 2000, DISCRETE: 2000, HOLDING: 125, INPUT: 125}
WRITE_COILS_MAX: Final = 1968
WRITE_REGISTERS_MAX: Final = 123
READ_WRITE_REGISTERS_MAX: Final = 121
ADDRESSES: Final = 65_536
_PAIR: Final = struct.Struct(">HH")


class Refused(Exception):
    """The device does not do what it was asked; carries the exception code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exception {code}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Read:
    """A wish to read: table (its reading function code), first wire address, how many."""

    table: ReadFunction
    address: int
    count: int


@dataclass(frozen=True, slots=True)
class Write:
    """A wish to write: table (1 or 3), first wire address, one word a register, 0 or 1 a coil."""

    table: ReadFunction
    address: int
    words: tuple[int, ...]


def parse(request: bytes) -> tuple[Write | None, Read | None]:
    """What a request wants done first and read afterwards.

    Raises:
        Refused: exception 1, no such function; 3, counts or length are wrong; 2, it runs over the last address.
    """
    function, body = request[0], request[1:]
    try:
        write, read = _PARSERS[function](function, body)
    except KeyError:
        raise Refused(ILLEGAL_FUNCTION) from None
    except struct.error:
        raise Refused(ILLEGAL_VALUE) from None
    if (read and read.address + read.count > ADDRESSES) or (write and write.address + len(write.words) > ADDRESSES):
        raise Refused(ILLEGAL_ADDRESS)
    return write, read


def read_answer(function: int, words: Sequence[int]) -> bytes:
    """The answer that carries registers, or coils packed eight to a byte, the first one lowest."""
    if function in (COIL, DISCRETE):
        packed = sum(bit << place for place, bit in enumerate(words)).to_bytes((len(words) + 7) // 8, "little")
    else:
        packed = struct.pack(f">{len(words)}H", *words)
    return bytes((function, len(packed))) + packed


def write_answer(request: bytes) -> bytes:
    """The answer that says that a write was done: for all four write functions its function code and two numbers."""
    return request[:5]


def exception_answer(function: int, code: int) -> bytes:
    """The answer that says no."""
    return bytes((function | EXCEPTION_BIT, code))


def _need(right: bool) -> None:  # noqa: FBT001 - a condition, read as need(a == b)
    if not right:
        raise Refused(ILLEGAL_VALUE)


def _read(function: int, body: bytes) -> tuple[Write | None, Read | None]:
    address, count = _PAIR.unpack(body)
    _need(1 <= count <= READ_COUNT_MAX[function])
    return None, Read(_TABLES[function], address, count)


def _write_coil(_function: int, body: bytes) -> tuple[Write | None, Read | None]:
    address, raw = _PAIR.unpack(body)
    _need(raw in (0, COIL_ON))
    return Write(COIL, address, (int(raw == COIL_ON),)), None


def _write_register(_function: int, body: bytes) -> tuple[Write | None, Read | None]:
    address, raw = _PAIR.unpack(body)
    return Write(HOLDING, address, (raw,)), None


def _write_coils(_function: int, body: bytes) -> tuple[Write | None, Read | None]:
    address, count, size = struct.unpack_from(">HHB", body)
    packed = body[5:]
    _need(1 <= count <= WRITE_COILS_MAX and size == len(packed) == (count + 7) // 8)
    bits = int.from_bytes(packed, "little")
    return Write(COIL, address, tuple(bits >> place & 1 for place in range(count))), None


def _write_registers(_function: int, body: bytes) -> tuple[Write | None, Read | None]:
    address, count, size = struct.unpack_from(">HHB", body)
    _need(1 <= count <= WRITE_REGISTERS_MAX and size == 2 * count == len(body) - 5)
    return Write(HOLDING, address, struct.unpack_from(f">{count}H", body, 5)), None


def _read_write(_function: int, body: bytes) -> tuple[Write | None, Read | None]:
    read_address, read_count, address, count, size = struct.unpack_from(">HHHHB", body)
    _need(1 <= read_count <= READ_COUNT_MAX[HOLDING] and 1 <= count <= READ_WRITE_REGISTERS_MAX)
    _need(size == 2 * count == len(body) - 9)
    return Write(HOLDING, address, struct.unpack_from(f">{count}H", body, 9)), Read(HOLDING, read_address, read_count)


_TABLES: Final[dict[int, ReadFunction]] = {1: 1, 2: 2, 3: 3, 4: 4}
_PARSERS: Final = {
    COIL: _read,
    DISCRETE: _read,
    HOLDING: _read,
    INPUT: _read,
    WRITE_COIL: _write_coil,
    WRITE_REGISTER: _write_register,
    WRITE_COILS: _write_coils,
    WRITE_REGISTERS: _write_registers,
    READ_WRITE: _read_write,
}
