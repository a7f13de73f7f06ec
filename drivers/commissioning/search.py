"""Finds which registers hold a number that a person reads on the meter: address, type, order, scale, unit. Pure.

Every encoding at every address of what was read is tried; those that show the number are the candidates. One number
alone cannot tell everything (a small total looks the same as u16 and as u32), so candidates are ranked by how far they
depart from what is usual or was declared, all are listed, and further numbers narrow them down.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType

from drivers.codec import FACTOR
from drivers.commissioning.encoding import ENCODINGS, Encoding
from drivers.commissioning.expected import Expected
from drivers.profile import INSIDE_UNIT, Order

Image = Mapping[tuple[int, int], int]
"""(function, address) -> register, of one short time."""
POWER_MIN, POWER_MAX = -4, 3
"""Scales are the powers of ten between these."""
RATIO_MIN, RATIO_MAX = 10 ** (POWER_MIN - 0.3), 10 ** (POWER_MAX + 0.3)
"""Quick sieve before anything is computed; also keeps negative numbers from fitting positive ones."""
COARSE_RATIO_MAX = 0.1
"""A register whose steps are more than this share of the number on the screen is not taken for it."""
NEARLY = 1 - 1e-9
"""A whole digit away is another number."""
CUT_OFF_BITS = 1.5
"""Most screens round; one that cuts digits off is less likely by this."""
LISTED_BITS = 12.0
"""Candidates less likely than the best by more than this are coincidence, and are not listed."""
LISTED_MAX = 40
KNOWN_BITS_MIN = 11.5
"""Numbers that say less decide nothing: among thousands of readings one fits by chance. Four digits, or twice two."""
MARGIN_BITS = 4.0
"""The first candidate is beyond doubt when every other is less likely by more than this."""
MOVING_RATIO = 0.02
"""A number that moves while it is read off and typed may differ by this much; only asked when nothing fits exactly."""
ROUNDING_RATIO = 1e-6
"""A 32-bit float shows a number no closer than 6e-8 of itself; the rest is our own arithmetic."""

# How unusual each departure is, in bits (1: half as likely). Ours, from the maps in drivers/profiles; only their order
# matters for the ranking.
_TYPE_BITS: Mapping[str, float] = MappingProxyType(
    {"f32": 0.0, "u32": 0.0, "u16": 0.0, "i16": 0.2, "i32": 0.4, "u64": 3.0, "i64": 4.0, "bcd32": 4.5, "bcd16": 5.0}
)
_ORDER_BITS: Mapping[str, float] = MappingProxyType({"CDAB": 1.0, "GHEFCDAB": 1.0, "BADC": 3.5, "DCBA": 3.0, "BA": 5.0})
_ORDER_BITS_OTHER = 3.5
_POWER_BITS: Mapping[int, float] = MappingProxyType(
    {0: 0.0, -1: 0.4, -2: 0.5, -3: 0.8, -4: 3.0, 1: 2.0, 2: 2.2, 3: 1.8}
)
_FLOAT_POWER_BITS: Mapping[int, float] = MappingProxyType(
    {0: 0.0, -3: 2.0, 3: 2.0, -1: 3.5, -2: 3.5, 1: 3.5, 2: 3.5, -4: 5.0}
)
_OTHER_UNIT_BITS = 2.5
_OTHER_TYPE_BITS = 3.0
_OTHER_SIGN_BITS = 0.5
_OTHER_SCALE_BITS = 1.0
_OTHER_FUNCTION_BITS = 2.0
_OFF_BY_ONE_BITS = 1.5
_ELSEWHERE_BITS = 3.5
_SIGNED_UNITS = frozenset({"degC", "degF", "K", "kW", "W", "MW", "GJ/h", "A", "kvar", "m3/h", "L/h", "L/min", "L/s"})
"""What may go below zero; without a negative number seen, the type of such a point is taken as signed."""


@dataclass(frozen=True, slots=True)
class Declared:
    """What documents or the profile say about the point, as far as they say anything.

    Attributes:
        function: 3 or 4.
        address: 0-based; None: nothing is known.
        encoding: type and orders.
        scale: from the register to `unit`.
        unit: on the wire.
    """

    function: int | None = None
    address: int | None = None
    encoding: Encoding | None = None
    scale: Fraction | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the meter: its registers, and what its screen shows at that time."""

    image: Image
    expected: Expected


@dataclass(frozen=True, slots=True)
class Candidate:
    """One reading of the registers that shows the number.

    Attributes:
        function: 3 or 4.
        address: first register, 0-based.
        encoding: type and orders.
        scale: from the register to `unit`.
        unit: on the wire, after scaling.
        value: what it shows now, in the unit that was typed.
        raw: number in the registers.
        unlikely_bits: how far it departs from the declared or the usual; the least is the best.
        moving: it fits only if the number moved meanwhile.
    """

    function: int
    address: int
    encoding: Encoding
    scale: Fraction
    unit: str
    value: float
    raw: int | float
    unlikely_bits: float
    moving: bool = False

    def registers(self, image: Image) -> tuple[int, ...]:
        """Its registers out of an image."""
        return tuple(image[self.function, self.address + place] for place in range(self.encoding.registers))


@dataclass(frozen=True, slots=True)
class Found:
    """All candidates, the best first.

    Attributes:
        candidates: by likelihood.
        known_bits: how much the numbers say; a number of two digits fits many registers by chance.
        as_documented: the first is where and how the documents say, scale included.
        type_documented: the first has the type and order of the documents.
    """

    candidates: tuple[Candidate, ...]
    known_bits: float = 0.0
    as_documented: bool = False
    type_documented: bool = False

    @property
    def rivals(self) -> tuple[Candidate, ...]:
        """Candidates that the first is not to be preferred to without another number.

        They are as likely, or the same number in the same registers by another type: a u16 and the u32 around it agree
        as long as the upper word is 0.
        """
        if not self.candidates or self.as_documented:
            return ()
        first, *others = self.candidates
        near = first.unlikely_bits + MARGIN_BITS
        return tuple(
            other
            for other in others
            if other.unlikely_bits <= near or (not self.type_documented and _same_number(first, other))
        )

    @property
    def decided(self) -> bool:
        """Whether the first candidate is beyond doubt."""
        if not self.candidates or self.candidates[0].moving:
            return False
        return self.as_documented or (self.known_bits >= KNOWN_BITS_MIN and not self.rivals)


def _same_number(one: Candidate, other: Candidate) -> bool:
    overlap = (
        one.function == other.function
        and one.address < other.address + other.encoding.registers
        and other.address < one.address + one.encoding.registers
    )
    return overlap and one.raw == other.raw


def search(looks: Sequence[Look], *, declared: Declared | None = None) -> Found:
    """Finds what shows the expected number in every look.

    Args:
        looks: at least one; registers that one of them lacks are not considered.
        declared: what is known beforehand.
    """
    assert looks, "nothing was looked at"
    hints = declared or Declared()
    found = _fitting(looks, hints, moving=False) or _fitting(looks, hints, moving=True)
    found.sort(key=lambda one: (one.unlikely_bits, one.function, one.address))
    if not found:
        return Found(())
    first = found[0]
    listed = [one for one in found if one.unlikely_bits <= first.unlikely_bits + LISTED_BITS]
    numbers = {look.expected.value: look.expected for look in looks}.values()
    known = hints.encoding
    type_documented = (
        known is not None
        and first.encoding.letters == known.letters
        and first.encoding.type in (known.type, known.twin)
        and not first.moving
    )
    return Found(
        tuple(listed[:LISTED_MAX]),
        known_bits=sum(math.log2(abs(number.value) / number.step) for number in numbers),
        as_documented=type_documented
        and (first.function, first.address, first.scale) == (hints.function, hints.address, hints.scale),
        type_documented=type_documented,
    )


def _fitting(looks: Sequence[Look], declared: Declared, *, moving: bool) -> list[Candidate]:
    places = set(looks[0].image).intersection(*(look.image for look in looks[1:]))
    unit = looks[0].expected.unit or declared.unit
    units = _units(unit)
    found: dict[tuple[object, ...], Candidate] = {}
    for function, address in places:
        for encoding in ENCODINGS:
            needed = [(function, address + place) for place in range(encoding.registers)]
            if not places.issuperset(needed):
                continue
            raws = [encoding.number([look.image[place] for place in needed]) for look in looks]
            if not all(raws):  # nothing of this type, or zero
                continue
            for wire_unit, factor in units:
                fit = _power(raws, looks, encoding=encoding, factor=float(factor), moving=moving)
                if fit is None:
                    continue
                power, lost_bits = fit
                scale = Fraction(10) ** power
                raw = raws[-1]
                assert raw is not None
                candidate = Candidate(
                    function,
                    address,
                    encoding,
                    scale,
                    wire_unit,
                    float(raw * scale * factor),
                    raw,
                    lost_bits + _unlikely_bits(declared, function, address, encoding, power, wire_unit, unit),
                    moving=moving,
                )
                key = (function, address, encoding.twin or encoding.type, encoding.letters, factor)
                if key not in found or candidate.unlikely_bits < found[key].unlikely_bits:
                    found[key] = candidate
    return list(found.values())


def _units(unit: str) -> list[tuple[str, Fraction]]:
    """Wire units that the number could stand in, with the factor to the typed one; one for each power-of-ten family."""
    own = FACTOR.get(unit, Fraction(1))
    units = [(unit, Fraction(1))]
    if not unit or unit not in INSIDE_UNIT or unit == "degF":
        return units
    for other, inside in INSIDE_UNIT.items():
        if inside != INSIDE_UNIT[unit] or other == "degF":
            continue
        factor = FACTOR.get(other, Fraction(1)) / own
        if all(_power_of_ten(factor / known) is None for _, known in units):
            units.append((other, factor))
    return units


def _power_of_ten(ratio: Fraction) -> int | None:
    power = round(math.log10(ratio))
    return power if ratio == Fraction(10) ** power else None


def _power(
    raws: Sequence[int | float | None], looks: Sequence[Look], *, encoding: Encoding, factor: float, moving: bool
) -> tuple[int, float] | None:
    """The power of ten that makes every raw number the expected one, and the bits lost because the register is coarser.

    None: there is no such power.
    """
    power: int | None = None
    lost_bits = 0.0
    for raw, look in zip(raws, looks, strict=True):
        assert raw is not None
        expected = look.expected
        ratio = expected.value / (raw * factor)
        if not RATIO_MIN < ratio < RATIO_MAX:
            return None
        this = round(math.log10(ratio))
        if power is not None and this != power:
            return None
        power = this
        step = 10.0**power * factor
        # A screen rounds or cuts off; a register of whole numbers may be coarser than the screen, and rounds.
        beyond = abs(raw * step) - abs(expected.value)
        slack = ROUNDING_RATIO * abs(expected.value)
        below, above = 0.5 * expected.step, expected.step * NEARLY
        if encoding.type != "f32" and step > expected.step * (1 + ROUNDING_RATIO):
            if step > COARSE_RATIO_MAX * abs(expected.value):
                return None
            below = above = max(expected.step, 0.5 * step)
            lost_bits = max(lost_bits, math.log2(step / expected.step))
        elif beyond > 0.5 * expected.step + slack:
            lost_bits = max(lost_bits, CUT_OFF_BITS)
        if moving:
            below = above = max(above, MOVING_RATIO * abs(expected.value))
        if not -below - slack <= beyond <= above + slack:
            return None
    assert power is not None
    return power, lost_bits


def _unlikely_bits(
    declared: Declared, function: int, address: int, encoding: Encoding, power: int, wire_unit: str, unit: str
) -> float:
    bits = 0.0
    known = declared.encoding
    if known is None:
        bits += _TYPE_BITS[encoding.type]
        if unit in _SIGNED_UNITS and encoding.type in ("u16", "u32", "u64"):
            bits += _OTHER_SIGN_BITS
    elif encoding.type != known.type:
        twins = {encoding.type, known.type} in ({"i16", "u16"}, {"i32", "u32"}, {"i64", "u64"})
        bits += _OTHER_SIGN_BITS if twins else _OTHER_TYPE_BITS + _TYPE_BITS[encoding.type]
    if known is None or known.letters != encoding.letters:
        plain = encoding.word_order is Order.HIGH_FIRST and encoding.byte_order is Order.HIGH_FIRST
        bits += 0.0 if plain else _ORDER_BITS.get(encoding.letters, _ORDER_BITS_OTHER)
    bits += (_FLOAT_POWER_BITS if encoding.type == "f32" else _POWER_BITS)[power]
    if declared.scale is not None and declared.scale != Fraction(10) ** power:
        bits += _OTHER_SCALE_BITS
    if wire_unit != unit:
        bits += _OTHER_UNIT_BITS
    if declared.function is not None and function != declared.function:
        bits += _OTHER_FUNCTION_BITS
    if declared.address is not None and address != declared.address:
        away = abs(address - declared.address)
        bits += _OFF_BY_ONE_BITS if away == 1 else _ELSEWHERE_BITS + math.log2(away)
    return bits
