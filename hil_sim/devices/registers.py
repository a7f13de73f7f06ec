"""The shape of a register map: which quantity lies where, what may be written, what else can be read. Pure.

A map says for each quantity how its reading [inside unit: kW, kWh, degC, m3 ...] becomes registers, and what a reader
gets who decodes those very registers: rounding to counts and to 32-bit floats included.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from hil_sim.devices.encode import REGISTER_COUNT, WHOLE_NUMBER_RANGE, Kind, WordOrder, Words, decode, encode
from hil_sim.devices.instrument import EXACT, Inside, Instrument

COIL: Final = 1
"""Function code that reads coils."""
DISCRETE: Final = 2
"""Function code that reads discrete inputs."""
HOLDING: Final = 3
"""Function code that reads holding registers."""
INPUT: Final = 4
"""Function code that reads input registers."""
WRITE_COIL: Final = 5
WRITE_REGISTER: Final = 6
WRITE_COILS: Final = 15
WRITE_REGISTERS: Final = 16
READ_WRITE: Final = 23
REGISTERS_PER_READ_MAX: Final = 125
"""Source: MODBUS Application Protocol Specification V1.1b3, 6.3 and 6.4."""
KWH_PER_GJ: Final = 1e9 / 3.6e6
WH_PER_KWH: Final = 1e3
W_PER_KW: Final = 1e3
FLAG_UP_FROM: Final = 0.5

ReadFunction = Literal[1, 2, 3, 4]


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

    def torn(self, words: Words, order: WordOrder) -> Words:
        """Registers caught between two values: the high word is already the next one; one register cannot be torn."""
        if len(words) == 1:
            return words
        place = 0 if order == "high_first" else len(words) - 1
        return (*words[:place], (words[place] + 1) & 0xFFFF, *words[place + 1 :])


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

    def torn(self, words: Words, order: WordOrder) -> Words:
        """Registers caught between two values: the whole part is already the next one, the fraction is not."""
        return encode(decode(words[:2], "i32", order=order) + 1, "i32", order=order) + words[2:]


@dataclass(frozen=True, slots=True)
class Flag:
    """One bit of a register; the other bits are zero.

    Attributes:
        address: wire address (0-based) of the register.
        bit: place of the bit, 0 the lowest.
        scale: a flag is 0 or 1.
    """

    address: int
    bit: int
    scale: float = 1.0

    @property
    def count(self) -> int:
        """How many registers."""
        return 1

    def to_words(self, inside: Inside | None, _order: WordOrder) -> Words:
        """The register for a reading.

        Raises:
            ValueError: None; a flag has no invalid mark.
        """
        if inside is None:
            raise ValueError(f"no invalid mark is known for the flag at {self.address}.{self.bit}")
        return (int(inside >= FLAG_UP_FROM) << self.bit,)

    def to_inside(self, words: Words, _order: WordOrder) -> Inside:
        """What a reader of the register gets."""
        return words[0] >> self.bit & 1

    def torn(self, words: Words, _order: WordOrder) -> Words:
        """One register cannot be torn."""
        return words


Layout = Number | WholeAndFraction | Flag


@dataclass(frozen=True, slots=True)
class Quantity:
    """Something that the device measures or reports.

    Attributes:
        name: name of the quantity; the plant's and the agent's points use the same names, written independently.
        unit: inside unit.
        function: function code that reads it.
        layout: its registers.
        instrument: how it is measured.
        valid_while: name of a switch of the same device; while it is open the registers hold the invalid mark.
        constant: a setting of the device instead of something that the plant knows [unit].
        origin: who knows the value: the plant, or the device itself (its serial number, its calendar).
    """

    name: str
    unit: str
    function: ReadFunction
    layout: Layout
    instrument: Instrument = EXACT
    valid_while: str | None = None
    constant: Inside | None = None
    origin: Literal["plant", "serial", "calendar"] = "plant"

    @property
    def counts(self) -> bool:
        """Whether it is a counter: those cut to their resolution, everything else rounds."""
        return self.instrument.truncates


@dataclass(frozen=True, slots=True)
class LimitsBy:
    """Bounds of a command that depend on what another command of the device holds now.

    Attributes:
        command: the other command.
        limits: its value and, with it, the lowest and highest value accepted; with any other value nothing is.
    """

    command: str
    limits: tuple[tuple[Inside, Inside, Inside], ...]


@dataclass(frozen=True, slots=True)
class Command:
    """A coil or a holding register that may be written, and reads back what the device made of it.

    Attributes:
        name: name of the command.
        unit: inside unit.
        number: its registers.
        low: lowest value accepted [unit].
        high: highest value accepted [unit].
        function: the table it lies in: coils or holding registers.
        outside: what a value out of bounds gets: exception 3, or acceptance with the nearest bound put in its place.
        only: the only values accepted; empty: any between the bounds.
        limits_by: bounds that hold instead of `low` and `high`.
        local: what the panel of the device has set; it holds again when the device falls back to local [unit].
        hand_back: writing this value gives the command back to the panel [unit].
        clears_itself_s: a pulse: the device puts it back to zero after so long [simulated s].
        repeats_s: a pulse that the master must put back: until then the action runs again after so long [simulated s].
        stored: each write wears the memory behind it; the server counts them.
    """

    name: str
    unit: str
    number: Number
    low: Inside
    high: Inside
    function: Literal[1, 3] = 3
    outside: Literal["refuse", "clamp"] = "refuse"
    only: tuple[Inside, ...] = ()
    limits_by: LimitsBy | None = None
    local: Inside | None = None
    hand_back: Inside | None = None
    clears_itself_s: float | None = None
    repeats_s: float | None = None
    stored: bool = False

    def judge(self, inside: Inside, *, low: Inside, high: Inside) -> Inside | None:
        """What the device makes of a value within bounds; None: refuses it.

        Limits are decimal and registers are counts: half a count of tolerance.
        """
        slack = 0.5 * self.number.scale
        if self.only and not any(abs(inside - value) < slack for value in self.only):
            return None
        if self.outside == "refuse" and not low - slack < inside < high + slack:
            return None
        return min(max(inside, low), high)  # counts times scale may miss a limit by a hair


@dataclass(frozen=True, slots=True)
class Block:
    """Registers that exist, first to last inclusive, for one reading function; without a quantity they read zero."""

    function: ReadFunction
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Trap:
    """Holding registers that take a write and do harm: nothing but a mistake writes there.

    Attributes:
        first: first wire address.
        last: last wire address.
        harm: what such a write does, in words.
        clears_counters: the harm is that the counters start again from zero.
    """

    first: int
    last: int
    harm: str
    clears_counters: bool = False


@dataclass(frozen=True, slots=True)
class Watchdog:
    """A device that wants to be talked to: after a silence every command with a `local` value falls back to it.

    Attributes:
        silence_s: how long it waits [simulated s].
        fed_by: the command whose write counts as talking; None: any request does.
    """

    silence_s: float
    fed_by: str | None = None


@dataclass(frozen=True, slots=True)
class Unlock:
    """Until a command of the device holds a value, no other one can be written.

    Attributes:
        command: the command.
        value: what it must hold [its unit].
    """

    command: str
    value: Inside


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
        functions: function codes that it knows; empty: those that its blocks and commands ask for.
        silent: what other devices answer with an exception this one does not answer at all.
        torn_when_split: an answer that begins or ends inside a number carries the wrong half of it.
        reads_meter_s: it is a module that reads its meter after each request, and has the values so much later
            [simulated s]; 0: values are those of the request.
        traps: registers that must not be written.
        watchdog: what it does when nobody talks to it.
        unlock: what must be written first.
    """

    model: str
    order: WordOrder
    quantities: tuple[Quantity, ...]
    blocks: tuple[Block, ...]
    commands: tuple[Command, ...] = ()
    fixed: tuple[tuple[int, int, int], ...] = ()
    registers_per_read_max: int = REGISTERS_PER_READ_MAX
    functions: tuple[int, ...] = ()
    silent: bool = False
    torn_when_split: bool = False
    reads_meter_s: float = 0.0
    traps: tuple[Trap, ...] = ()
    watchdog: Watchdog | None = None
    unlock: Unlock | None = None

    def names(self) -> Iterator[str]:
        """All names that can appear in the wire log for this model."""
        yield from (quantity.name for quantity in self.quantities)
        yield from (command.name for command in self.commands)

    def known_functions(self) -> frozenset[int]:
        """Function codes that the device knows; any other is answered with exception 1."""
        if self.functions:
            return frozenset(self.functions)
        writes: set[int] = {WRITE_REGISTER, WRITE_REGISTERS} if self.traps else set()
        for command in self.commands:
            writes |= {WRITE_COIL, WRITE_COILS} if command.function == COIL else {WRITE_REGISTER, WRITE_REGISTERS}
        return frozenset(writes | {block.function for block in self.blocks})
