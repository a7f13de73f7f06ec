"""The ways in which registers hold a number: type, order of words and bytes. For finding out; `drivers.codec` reads.

Letters as on the data sheets: A is the highest byte, the first letter the first byte on the wire. ABCD and CDAB are
the two common orders, BADC and DCBA the same with the bytes of each register exchanged. Pure.
"""

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from drivers.profile import Order

REGISTERS: Mapping[str, int] = MappingProxyType(
    {"u16": 1, "i16": 1, "u32": 2, "i32": 2, "f32": 2, "u64": 4, "i64": 4, "bcd16": 1, "bcd32": 2}
)
"""Type, as a profile names it -> number of registers."""
_UNSIGNED_TWIN: Mapping[str, str] = MappingProxyType({"i16": "u16", "i32": "u32", "i64": "u64"})


@dataclass(frozen=True, slots=True)
class Encoding:
    """One way.

    Attributes:
        type: name of the type, as in a profile.
        word_order: of the registers.
        byte_order: inside each register.
    """

    type: str
    word_order: Order = Order.HIGH_FIRST
    byte_order: Order = Order.HIGH_FIRST

    @property
    def registers(self) -> int:
        """How many registers it takes."""
        return REGISTERS[self.type]

    @property
    def letters(self) -> str:
        """Its order as data sheets draw it: AB, BA, ABCD, CDAB, BADC, DCBA, and the same for eight bytes."""
        words = ["AB", "CD", "EF", "GH"][: self.registers]
        if self.word_order is Order.LOW_FIRST:
            words.reverse()
        return "".join(word[::-1] if self.byte_order is Order.LOW_FIRST else word for word in words)

    @property
    def twin(self) -> str | None:
        """The unsigned type of the same size, of a signed one; they differ only in negative numbers."""
        return _UNSIGNED_TWIN.get(self.type)

    def number(self, words: Sequence[int]) -> int | float | None:
        """The number in the registers, unscaled; None: they hold none of this type.

        Args:
            words: `(registers,)` of 16 bits in the order of their addresses.
        """
        assert len(words) == self.registers, f"{self.type}: {len(words)} registers"
        ordered = words[::-1] if self.word_order is Order.LOW_FIRST else words
        little = self.byte_order is Order.LOW_FIRST
        data = b"".join(word.to_bytes(2, "little" if little else "big") for word in ordered)
        if self.type == "f32":
            value: float = struct.unpack(">f", data)[0]
            return value if math.isfinite(value) else None
        if self.type.startswith("bcd"):
            digits = data.hex()
            return int(digits) if digits.isdecimal() else None
        return int.from_bytes(data, "big", signed=self.type.startswith("i"))


def encodings() -> Iterator[Encoding]:
    """All ways: every type in each of its orders."""
    for kind, registers in REGISTERS.items():
        for word_order in Order if registers > 1 else (Order.HIGH_FIRST,):
            for byte_order in Order:
                yield Encoding(kind, word_order, byte_order)


ENCODINGS: tuple[Encoding, ...] = tuple(encodings())
