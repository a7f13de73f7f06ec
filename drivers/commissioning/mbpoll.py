"""The same question for `mbpoll`, an independent program that every engineer can install: a referee on the wire. Pure.

mbpoll counts registers from 1 and knows 16-bit, 32-bit and float values in the two common word orders; what it cannot
decode it shows as registers in hexadecimal.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from drivers.commissioning.encoding import Encoding
from drivers.profile import Order

PARITY = {"N": "none", "E": "even", "O": "odd"}
_TABLE = {1: "0", 2: "1", 3: "4", 4: "3"}
"""Function code -> mbpoll's table."""
_I32_MAX = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Line:
    """How a wire is reached.

    Attributes:
        target: device path of a serial port, or host of a TCP device.
        port: TCP port; None: serial.
        baud: of a serial line.
        framing: of a serial line.
    """

    target: str
    port: int | None = None
    baud: int = 9600
    framing: str = "8N1"

    def words(self) -> list[str]:
        """The part of the command that says where."""
        if self.port is not None:
            return ["-m", "tcp", "-p", str(self.port)]
        return ["-m", "rtu", "-b", str(self.baud), "-P", PARITY[self.framing[1]], "-s", self.framing[2]]


@dataclass(frozen=True, slots=True)
class Question:
    """A command, and the number that it shows when all is well.

    Attributes:
        command: to be typed.
        shows: what mbpoll prints behind the register: a number, or registers in hexadecimal.
    """

    command: str
    shows: str


def question(
    line: Line, *, unit: int, function: int, address: int, encoding: Encoding, registers: Sequence[int]
) -> Question:
    """The command that reads the same registers, and what it must show.

    Args:
        line: where.
        unit: Modbus unit number.
        function: 3 or 4.
        address: first register, 0-based.
        encoding: how the registers hold the number.
        registers: what they held.
    """
    number = encoding.number(registers)
    form, count, shows = "", 1, str(registers[0])
    plain = encoding.byte_order is Order.HIGH_FIRST
    if encoding.registers == 1 and plain and not encoding.type.startswith("bcd"):
        shows = f"{registers[0]} ({number})" if isinstance(number, int) and number < 0 else str(registers[0])
    elif encoding.type == "f32" and plain:
        form, shows = ":float", f"{number:g}"
    elif encoding.registers == 2 and plain and isinstance(number, int) and abs(number) <= _I32_MAX:  # noqa: PLR2004 - 32 bits
        form, shows = ":int", str(number)
        if encoding.type.startswith("bcd"):
            form, count, shows = _hex(registers)
    else:
        form, count, shows = _hex(registers)
    words = ["mbpoll", *line.words(), "-a", str(unit), "-t", _TABLE[function] + form]
    if form in (":float", ":int") and encoding.word_order is Order.HIGH_FIRST:
        words.append("-B")
    words += ["-r", str(address + 1), "-c", str(count), "-1", line.target]
    return Question(shlex.join(words), shows)


def _hex(registers: Sequence[int]) -> tuple[str, int, str]:
    return ":hex", len(registers), " ".join(f"0x{register:04X}" for register in registers)


def read_question(line: Line, *, unit: int, function: int, address: int, count: int) -> str:
    """The command that reads a span of registers (or bits)."""
    words = ["mbpoll", *line.words(), "-a", str(unit), "-t", _TABLE[function]]
    return shlex.join([*words, "-r", str(address + 1), "-c", str(count), "-1", line.target])
