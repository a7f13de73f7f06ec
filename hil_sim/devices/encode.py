"""Numbers to Modbus registers and back, in the simulator's own code, shared with nothing that it tests.

Registers are 16-bit words; each goes over the wire high byte first. A number of several words has its words in one of
two orders. A coil or a discrete input is a word that is 0 or 1.
"""

import struct
from typing import Final, Literal

Kind = Literal["bit", "u16", "i16", "u32", "i32", "u64", "f32"]
WordOrder = Literal["high_first", "low_first"]
Words = tuple[int, ...]

REGISTER_COUNT: Final[dict[Kind, int]] = {"bit": 1, "u16": 1, "i16": 1, "u32": 2, "i32": 2, "u64": 4, "f32": 2}
WHOLE_NUMBER_RANGE: Final[dict[Kind, tuple[int, int]]] = {
    "bit": (0, 1),
    "u16": (0, 2**16 - 1),
    "i16": (-(2**15), 2**15 - 1),
    "u32": (0, 2**32 - 1),
    "i32": (-(2**31), 2**31 - 1),
    "u64": (0, 2**64 - 1),
}
_SINGLE = struct.Struct(">f")


def encode(value: float, kind: Kind, *, order: WordOrder) -> Words:
    """Puts a number into registers.

    Raises:
        OverflowError: the number does not fit the kind.
        ValueError: a fraction for a whole-number kind, or a number that is not finite.
    """
    count = REGISTER_COUNT[kind]
    if kind == "f32":
        if value - value != 0:  # nan and the infinities: a meter of ours never sends them by accident
            raise ValueError(f"{value} is not a finite number")
        bits = int.from_bytes(_SINGLE.pack(value), "big")
    else:
        low, high = WHOLE_NUMBER_RANGE[kind]
        bits = int(value)
        if bits != value:
            raise ValueError(f"{value} is not a whole number, {kind} holds nothing else")
        if not low <= bits <= high:
            raise OverflowError(f"{bits} does not fit {kind} [{low}, {high}]")
    if count == 1:
        return (bits & 0xFFFF,)
    words = tuple((bits >> 16 * place) & 0xFFFF for place in range(count))  # low word first
    return words if order == "low_first" else words[::-1]


def decode(words: Words, kind: Kind, *, order: WordOrder) -> float:
    """Takes a number out of registers; whole numbers come back as int.

    Raises:
        ValueError: the count of registers is not that of the kind.
    """
    if len(words) != REGISTER_COUNT[kind]:
        raise ValueError(f"{kind} takes {REGISTER_COUNT[kind]} registers, not {len(words)}")
    bits = 0
    for word in words if order == "high_first" else reversed(words):
        bits = bits << 16 | word
    if kind == "f32":
        value: float = _SINGLE.unpack(bits.to_bytes(4, "big"))[0]
        return value
    if kind in {"i16", "i32"} and bits > WHOLE_NUMBER_RANGE[kind][1]:
        bits -= 1 << 16 * len(words)
    return bits
