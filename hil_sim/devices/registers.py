"""The shape of a register map: which quantity lies where, what may be written, what else can be read. Pure.

A map says for each quantity how its reading [inside unit: kW, kWh, degC, m3 ...] becomes registers, and what a reader
gets who decodes those very registers: rounding to counts and to 32-bit floats included.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from hil_sim.devices.encode import REGISTER_COUNT, WHOLE_NUMBER_RANGE, Kind, WordOrder, Words, decode, encode
from hil_sim.devices.instrument import EXACT, Inside, Instrument

HOLDING: Final = 3
"""Function code that reads holding registers."""
INPUT: Final = 4
"""Function code that reads input registers."""
REGISTERS_PER_READ_MAX: Final = 125
"""Source: MODBUS Application Protocol Specification V1.1b3, 6.3 and 6.4."""
KWH_PER_GJ: Final = 1e9 / 3.6e6
WH_PER_KWH: Final = 1e3
W_PER_KW: Final = 1e3


@dataclass(frozen=True, slots=True)
class Number:
    """One number in consecutive registers.

    Attributes:
        address: wire address (0-based) of the first register.
        kind: type of the number in the registers.
        scale: what one count (or 1.0 of a float) is worth in the inside unit.
        invalid_raw: the raw number that means "no value".
    """

    address: int
    kind: Kind
    scale: float = 1.0
    invalid_raw: int | None = None

    @property
    def count(self) -> int:
        """How many registers."""
        return REGISTER_COUNT[self.kind]

    def to_words(self, inside: Inside | None, order: WordOrder) -> Words:
        """Registers for a reading; a reading beyond the type saturates, as a real meter's does. None: the invalid mark.

        Raises:
            ValueError: None for a number that has no invalid mark.
        """
        if inside is None:
            if self.invalid_raw is None:
                raise ValueError(f"no invalid mark is known for the number at {self.address}")
            return encode(self.invalid_raw, self.kind, order=order)
        raw = inside / self.scale
        if self.kind == "f32":
            return encode(raw, self.kind, order=order)
        low, high = WHOLE_NUMBER_RANGE[self.kind]
        whole = min(max(round(raw), low), high)
        if whole == self.invalid_raw:
            whole -= 1
        return encode(whole, self.kind, order=order)

    def to_inside(self, words: Words, order: WordOrder) -> Inside | None:
        """What a reader of the registers gets in the inside unit; None for the invalid mark."""
        raw = decode(words, self.kind, order=order)
        return None if raw == self.invalid_raw else raw * self.scale


@dataclass(frozen=True, slots=True)
class WholeAndFraction:
    """A total split into a signed 32-bit whole part and, right behind it, a 32-bit float with the decimal fraction.

    Attributes:
        address: wire address (0-based) of the whole part.
        scale: what one unit of the whole part is worth in the inside unit.
        steps_per_unit: the fraction moves in steps of one unit divided by this.
    """

    address: int
    scale: float = 1.0
    steps_per_unit: int = 1000

    @property
    def count(self) -> int:
        """How many registers."""
        return 4

    def to_words(self, inside: Inside | None, order: WordOrder) -> Words:
        """Registers for a reading.

        Raises:
            ValueError: None; such a total has no invalid mark.
        """
        if inside is None:
            raise ValueError(f"no invalid mark is known for the total at {self.address}")
        whole, steps = divmod(round(inside / self.scale * self.steps_per_unit), self.steps_per_unit)
        return encode(whole, "i32", order=order) + encode(steps / self.steps_per_unit, "f32", order=order)

    def to_inside(self, words: Words, order: WordOrder) -> Inside:
        """What a reader of the registers gets in the inside unit."""
        total_units = decode(words[:2], "i32", order=order) + decode(words[2:], "f32", order=order)
        return total_units * self.scale


Layout = Number | WholeAndFraction


@dataclass(frozen=True, slots=True)
class Quantity:
    """Something that the device measures or reports.

    Attributes:
        name: name of the quantity; the plant's and the agent's points use the same names, written independently.
        unit: inside unit.
        function: function code that reads it, 3 or 4.
        layout: its registers.
        instrument: how it is measured.
        valid_while: name of a switch of the same device; while it is open the registers hold the invalid mark.
        constant: a setting of the device instead of something that the plant knows [unit].
    """

    name: str
    unit: str
    function: Literal[3, 4]
    layout: Layout
    instrument: Instrument = EXACT
    valid_while: str | None = None
    constant: Inside | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """A holding register that may be written, and reads back what was written.

    Attributes:
        name: name of the command.
        unit: inside unit.
        number: its one register.
        low: lowest value accepted [unit].
        high: highest value accepted [unit].
    """

    name: str
    unit: str
    number: Number
    low: Inside
    high: Inside

    def accepts(self, inside: Inside) -> bool:
        """Whether the device takes the value; limits are decimal, registers are counts: half a count of tolerance."""
        slack = 0.5 * self.number.scale
        return self.low - slack < inside < self.high + slack


@dataclass(frozen=True, slots=True)
class Block:
    """Registers that exist, first to last inclusive, for one reading function; without a quantity they read zero."""

    function: Literal[3, 4]
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class RegisterMap:
    """Everything that a device model shows on the wire.

    Attributes:
        model: name of the model in the catalogue.
        order: word order of numbers of several registers.
        quantities: what it measures and reports.
        blocks: which registers exist; any other address is answered with exception 2.
        commands: what may be written.
        fixed: raw content of settings registers: (function code, wire address, raw).
        registers_per_read_max: more registers in one read are answered with exception 3.
    """

    model: str
    order: WordOrder
    quantities: tuple[Quantity, ...]
    blocks: tuple[Block, ...]
    commands: tuple[Command, ...] = ()
    fixed: tuple[tuple[int, int, int], ...] = ()
    registers_per_read_max: int = REGISTERS_PER_READ_MAX

    def names(self) -> Iterator[str]:
        """All names that can appear in the wire log for this model."""
        yield from (quantity.name for quantity in self.quantities)
        yield from (command.name for command in self.commands)
