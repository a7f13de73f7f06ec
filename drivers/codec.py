"""Registers <-> numbers: type, word order, byte order, scale, unit, "no value" marks. NaN and infinity never pass.

Units on the wire exist only here. Which registers make a point is said by `drivers.profile`.
"""

import math
import struct
from collections.abc import Mapping, Sequence
from fractions import Fraction
from types import MappingProxyType

from drivers.errors import GiveUpPoint
from drivers.profile import Order, Part, PointSpec, ValueType
from drivers.sample import Cause

KW_PER_W = Fraction(1, 1000)
KW_PER_MW = Fraction(1000)
KW_PER_GJ_PER_H = Fraction(10**6, 3600)
"""1 GJ = 10^6 kJ, 1 h = 3600 s. Source: SI Brochure, 9th edition, tables 4 and 8."""
KWH_PER_WH = Fraction(1, 1000)
KWH_PER_MWH = Fraction(1000)
KWH_PER_GJ = Fraction(10**6, 3600)
"""1 kWh = 3600 kJ. Source: SI Brochure, 9th edition, tables 4 and 8."""
KWH_PER_MJ = Fraction(1000, 3600)
K_PER_DEGF = Fraction(5, 9)
ZERO_DEGF_DEGC = Fraction(-160, 9)
"""0 degF = -32 x 5/9 degC. Source: NIST SP 811 (2008), B.8."""
KPA_PER_BAR = Fraction(100)
KPA_PER_MPA = Fraction(1000)
M3_PER_L = Fraction(1, 1000)
M3_PER_H_PER_L_PER_H = Fraction(1, 1000)
M3_PER_H_PER_L_PER_MIN = Fraction(60, 1000)
M3_PER_H_PER_L_PER_S = Fraction(3600, 1000)
KVAR_PER_VAR = Fraction(1, 1000)
KVA_PER_VA = Fraction(1, 1000)
S_PER_MIN = Fraction(60)

FACTOR: Mapping[str, Fraction] = MappingProxyType(
    {
        "W": KW_PER_W,
        "MW": KW_PER_MW,
        "GJ/h": KW_PER_GJ_PER_H,
        "Wh": KWH_PER_WH,
        "MWh": KWH_PER_MWH,
        "GJ": KWH_PER_GJ,
        "MJ": KWH_PER_MJ,
        "degF": K_PER_DEGF,
        "bar": KPA_PER_BAR,
        "MPa": KPA_PER_MPA,
        "L": M3_PER_L,
        "L/h": M3_PER_H_PER_L_PER_H,
        "L/min": M3_PER_H_PER_L_PER_MIN,
        "L/s": M3_PER_H_PER_L_PER_S,
        "var": KVAR_PER_VAR,
        "VA": KVA_PER_VA,
        "min": S_PER_MIN,
    }
)
"""Inside value = wire value x factor (+ offset); units that are not named are the same on both sides."""
OFFSET: Mapping[str, float] = MappingProxyType({"degF": float(ZERO_DEGF_DEGC)})

_FORMAT = {
    ValueType.U16: "H",
    ValueType.I16: "h",
    ValueType.U32: "I",
    ValueType.I32: "i",
    ValueType.F32: "f",
    ValueType.U64: "Q",
    ValueType.I64: "q",
    ValueType.BCD16: "H",
    ValueType.BCD32: "I",
    ValueType.BOOL: "H",
}
_BCD = (ValueType.BCD16, ValueType.BCD32)


class _PartCodec:
    """Registers <-> the scaled number of one part."""

    def __init__(self, part: Part, *, offset: int) -> None:
        self.part = part
        self.slice = slice(offset, offset + part.type.registers)
        self._words = struct.Struct(f"{'<' if part.byte_order is Order.LOW_FIRST else '>'}{part.type.registers}H")
        self._value = struct.Struct(f">{_FORMAT[part.type]}")
        self._turn = part.word_order is Order.LOW_FIRST
        # A mark may be written as the device's manual prints it: 0x8000 for an i16 means -32768.
        size = 1 << (16 * part.type.registers)
        signed = part.type in (ValueType.I16, ValueType.I32, ValueType.I64)
        self.marks = frozenset(mark - size if signed and mark >= size // 2 else mark for mark in part.invalid)

    def read(self, registers: Sequence[int]) -> int | float:
        """The number in the registers, unscaled."""
        words = registers[self.slice]
        if self._turn:
            words = words[::-1]
        raw: int | float = self._value.unpack(self._words.pack(*words))[0]
        return raw

    def digits(self, raw: float) -> int | float | None:
        """The number that was meant: of BCD its decimal digits, None where one of them is above 9."""
        if self.part.type not in _BCD:
            return raw
        text = f"{raw:x}"
        return int(text) if text.isdecimal() else None

    def write(self, raw: float) -> tuple[int, ...]:
        """The registers of an unscaled number."""
        if self.part.type in _BCD:
            if raw < 0:
                raise struct.error("BCD holds no sign")
            raw = int(str(int(raw)), 16)
        words: tuple[int, ...] = self._words.unpack(self._value.pack(raw))
        return words[::-1] if self._turn else words


class PointCodec:
    """Registers <-> value of one point, in its inside unit. Made once per point, used at every reading."""

    def __init__(self, spec: PointSpec) -> None:
        self.spec = spec
        self.first = spec.first
        self.count = spec.count
        factor = FACTOR.get(spec.wire_unit, Fraction(1))
        self._offset = OFFSET.get(spec.wire_unit, 0.0)
        self._parts = tuple(_PartCodec(part, offset=part.address - spec.first) for part in spec.parts)
        # Multiplying by an integer, then dividing once, keeps decimals as clean as the screen of the meter shows them.
        scales = (part.scale * factor for part in spec.parts)
        self._ratios = tuple((scale.numerator, scale.denominator) for scale in scales)

    def decode(self, registers: Sequence[int]) -> tuple[float | None, Cause]:
        """Turns the registers of the point's span (or bits, for functions 1 and 2) into its value.

        Args:
            registers: `(count,)` numbers of 16 bits, the first from address `first`.

        Returns:
            Value in the inside unit and `Cause.NONE`, or None and why not.
        """
        assert len(registers) == self.count, f"{self.spec.name}: {len(registers)} registers for {self.count}"
        value = self._offset
        for part, (numerator, denominator) in zip(self._parts, self._ratios, strict=True):
            raw = part.read(registers)
            if raw in part.marks or raw != raw:  # noqa: PLR0124 - NaN is the usual "no value" of a float register
                return None, Cause.INVALID_MARK
            if part.part.type is ValueType.BOOL:
                assert isinstance(raw, int)
                if part.part.bit is not None:
                    raw = raw >> part.part.bit & 1
                elif raw > 1:
                    return None, Cause.CANNOT_DECODE
            number = part.digits(raw)
            if number is None:
                return None, Cause.CANNOT_DECODE
            value += number * numerator / denominator
        if not math.isfinite(value):
            return None, Cause.CANNOT_DECODE
        return value, Cause.NONE

    def encode(self, value: float) -> tuple[int, ...]:
        """Turns a value in the inside unit into registers (or one bit, for function 1), rounded to what they can hold.

        Raises:
            GiveUpPoint: the value does not fit, or the point is not made for writing.
        """
        if len(self._parts) != 1 or self._parts[0].part.bit is not None:
            raise GiveUpPoint(f"{self.spec.name}: several parts or a single bit of a register cannot be written")
        if not math.isfinite(value):
            raise GiveUpPoint(f"{self.spec.name}: {value} is not a number")
        part, (numerator, denominator) = self._parts[0], self._ratios[0]
        scaled = (value - self._offset) * denominator / numerator
        raw = scaled if part.part.type is ValueType.F32 else round(scaled)
        try:
            registers = part.write(raw)
        except (struct.error, OverflowError) as error:
            raise GiveUpPoint(
                f"{self.spec.name}: {value} {self.spec.unit} does not fit into {part.part.type}"
            ) from error
        if self.decode(registers)[0] is None:
            raise GiveUpPoint(f"{self.spec.name}: {value} {self.spec.unit} would read as no value")
        return registers
