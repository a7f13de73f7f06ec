"""A device model's register map: what each point is called, where its registers lie, what may be written. Pure data.

How the file is read and checked is the business of `drivers.profile_file`; turning registers into numbers that of
`drivers.codec`, fetching them that of `drivers.device`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from types import MappingProxyType

REGISTERS_PER_READ_MAX = 125
"""Source: Modbus Application Protocol Specification V1.1b3, 6.3 and 6.4."""
BITS_PER_READ_MAX = 2000
"""Source: as above, 6.1 and 6.2."""
ADDRESS_MAX = 0xFFFF

INSIDE_UNIT: Mapping[str, str] = MappingProxyType(
    {
        "": "",
        "%": "%",
        "kW": "kW",
        "W": "kW",
        "MW": "kW",
        "GJ/h": "kW",
        "kWh": "kWh",
        "Wh": "kWh",
        "MWh": "kWh",
        "GJ": "kWh",
        "MJ": "kWh",
        "degC": "degC",
        "degF": "degC",
        "K": "K",
        "kPa": "kPa",
        "bar": "kPa",
        "MPa": "kPa",
        "m3": "m3",
        "L": "m3",
        "m3/h": "m3/h",
        "L/h": "m3/h",
        "L/min": "m3/h",
        "L/s": "m3/h",
        "m/s": "m/s",
        "Hz": "Hz",
        "A": "A",
        "V": "V",
        "kvar": "kvar",
        "var": "kvar",
        "kvarh": "kvarh",
        "kVA": "kVA",
        "VA": "kVA",
        "h": "h",
        "min": "s",
        "s": "s",
        "K.min": "K.min",
    }
)
"""Unit on the wire -> unit inside; the factors stand in `drivers.codec`."""


class ValueType(StrEnum):
    """How registers hold a number; the figure is its size in bits. In bcd each four bits are a decimal digit."""

    U16 = "u16"
    I16 = "i16"
    U32 = "u32"
    I32 = "i32"
    F32 = "f32"
    U64 = "u64"
    I64 = "i64"
    BCD16 = "bcd16"
    BCD32 = "bcd32"
    BOOL = "bool"

    @property
    def registers(self) -> int:
        """Number of 16-bit registers (a bool takes one register, or one bit)."""
        return 1 if self is ValueType.BOOL else int(self.lstrip("uifbcd")) // 16


class Order(StrEnum):
    """Order of the 16-bit words of a longer value, or of the two bytes of a word."""

    HIGH_FIRST = "high_first"
    LOW_FIRST = "low_first"


class Access(StrEnum):
    """What may be done with a point."""

    READ = "r"
    READ_WRITE = "rw"
    WRITE = "w"


class Level(StrEnum):
    """How far a profile has been proven. Recordings come from real units only; they are never synthesised."""

    DOCUMENTED = "documented"
    SIMULATED = "simulated"
    RECORDED = "recorded"


@dataclass(frozen=True, slots=True)
class Words:
    """Something to be read by people, in both languages."""

    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Part:
    """Neighbouring registers that hold one number.

    Attributes:
        address: first register (or bit) as in the request, 0-based.
        type: how they hold it.
        word_order: of values longer than one register.
        byte_order: inside each register; `low_first` is rare.
        scale: exact factor from the number in the registers to the wire unit.
        invalid: numbers by which the device says "no value" (unsigned patterns are accepted for signed types).
        bit: which bit of the register, 0 the lowest; None: the register itself is 0 or 1.
    """

    address: int
    type: ValueType
    word_order: Order = Order.HIGH_FIRST
    byte_order: Order = Order.HIGH_FIRST
    scale: Fraction = Fraction(1)
    invalid: tuple[float, ...] = ()
    bit: int | None = None


@dataclass(frozen=True, slots=True)
class Pulse:
    """A trigger: written once, never repeated blindly.

    Attributes:
        reset: what ends it, in the inside unit; None: the device clears it itself.
    """

    reset: float | None


@dataclass(frozen=True, slots=True)
class Unlock:
    """A point that must show a value before another one may be written."""

    point: str
    value: float


@dataclass(frozen=True, slots=True)
class LimitsBy:
    """Bounds that depend on the present value of another point of the same device.

    Attributes:
        point: the other point.
        values: its value -> (smallest, greatest) that may be written; at any other value nothing may.
    """

    point: str
    values: Mapping[float, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class WriteRule:
    """What may be written to a point, and how it is proven. Numbers are in the point's inside unit.

    Attributes:
        function: 5, 6, 15 or 16.
        value_min: smallest value that may be written.
        value_max: greatest value that may be written.
        step: values are rounded to multiples of it; None: as fine as the register is.
        state_point: point that shows what the device made of it; the point itself where there is no other.
        tolerance: greatest difference between written and read back.
        state_values: value written -> values of the state point that prove it, where the two are coded differently.
        per_hour: greatest number of writes in an hour of the site's clock (registers wear out); None: no limit.
        per_day: the same in 24 hours.
        deadband: a change up to this is not written, because the state point shows it already; None: every request is.
        volatile: the value lies in RAM: writing does not wear it, and the limits on its number do not apply.
        pulse: it is a trigger; None: a value that stays.
        keep_alive_s: the device gives it up unless it is written again within this time [s].
        expiry_s: a command that its owner has not renewed for so long is no longer in force [s].
        safe: what replaces a command that is no longer in force; None: the device's own watchdog does.
        unlock: written and proven first.
        wait_s: the device needs this time before its next command [s].
        limits_by: bounds that depend on another point.
    """

    function: int
    value_min: float
    value_max: float
    step: float | None
    state_point: str
    tolerance: float
    state_values: Mapping[float, tuple[float, ...]]
    per_hour: int | None
    per_day: int | None = None
    deadband: float | None = None
    volatile: bool = False
    pulse: Pulse | None = None
    keep_alive_s: float | None = None
    expiry_s: float | None = None
    safe: float | None = None
    unlock: tuple[Unlock, ...] = ()
    wait_s: float = 0.0
    limits_by: LimitsBy | None = None


@dataclass(frozen=True, slots=True)
class Counter:
    """A total that only grows. Numbers are in the point's inside unit, after `times`.

    Attributes:
        rate_max: fastest growth that the plant can cause [unit/h].
        rolls_over_at: first number that its display cannot show, where it begins at 0 again; None: not known.
    """

    rate_max: float
    rolls_over_at: float | None = None


@dataclass(frozen=True, slots=True)
class FlowNeed:
    """Magnitude of a flow point of the same device, in its inside unit, below which a temperature is not a reading."""

    point: str
    value_min: float


@dataclass(frozen=True, slots=True)
class PointSpec:
    """One point of a device model.

    Attributes:
        name: its name in the profile; with the device in front, the name of its samples.
        zh: what an operator calls it.
        en: the same in English.
        function: 1 coils, 2 discrete inputs, 3 holding registers, 4 input registers.
        parts: where its number lies; several parts are added up (integer + fraction, high + low).
        wire_unit: unit of the scaled number on the wire.
        unit: unit inside.
        times: points of the same device by which it is multiplied (ratio of current transformers).
        value_range: plausible values in the inside unit; outside the sample is UNCERTAIN.
        period_s: own period, for points that change slowly; None: the device's [s].
        access: read, write or both.
        atomic: name of a group whose points come from one request; None: alone.
        write: rules; None: never written.
        needs_flow: flow without which it is not a reading.
        values: what its codes mean; where there are any, nothing else may be written.
        counter: it is a total that only grows; None: it is not.
        frozen_s: a value that has not moved by a bit for so long is not being measured [s]; None: it may stand still.
        source: where the entry comes from, if not from the profile's sources.
        confidence: as in the profile, if it differs.
    """

    name: str
    zh: str
    en: str
    function: int
    parts: tuple[Part, ...]
    wire_unit: str
    unit: str
    times: tuple[str, ...] = ()
    value_range: tuple[float, float] | None = None
    period_s: float | None = None
    access: Access = Access.READ
    atomic: str | None = None
    write: WriteRule | None = None
    needs_flow: FlowNeed | None = None
    values: Mapping[float, Words] = field(default_factory=lambda: MappingProxyType({}))
    counter: Counter | None = None
    frozen_s: float | None = None
    source: str = ""
    confidence: str = ""

    @property
    def first(self) -> int:
        """Lowest address it needs."""
        return min(part.address for part in self.parts)

    @property
    def count(self) -> int:
        """Registers from the lowest to the highest it needs; they always come from one request."""
        return max(part.address + part.type.registers for part in self.parts) - self.first

    @property
    def bounds(self) -> tuple[float, float] | None:
        """What may be written, in the inside unit; None: nothing."""
        return None if self.write is None else (self.write.value_min, self.write.value_max)


@dataclass(frozen=True, slots=True)
class HeatBalance:
    """A heat meter's power against its flow and temperatures; names are points of the device.

    Attributes:
        power: heat power [kW].
        flow: flow [m3/h].
        supply: temperature of the supply [degC].
        return_: temperature of the return [degC].
        tolerance_ratio: greatest difference as a share of the power ...
        tolerance: ... plus this [kW].
    """

    power: str
    flow: str
    supply: str
    return_: str
    tolerance_ratio: float
    tolerance: float


@dataclass(frozen=True, slots=True)
class SumCheck:
    """A total against its parts; names are points of the device.

    Attributes:
        total: the point that states the sum.
        parts: the points that are added up.
        tolerance_ratio: greatest difference as a share of the total ...
        tolerance: ... plus this, in the inside unit of the total.
    """

    total: str
    parts: tuple[str, ...]
    tolerance_ratio: float
    tolerance: float


Check = HeatBalance | SumCheck
"""Plausibility between points of one device."""


@dataclass(frozen=True, slots=True)
class Line:
    """How a device's port is set when it leaves the factory; None and empty where nothing is known.

    Attributes:
        baud: symbols a second.
        framing: data bits, parity, stop bits: 8N1.
        allowed_baud: what it can be set to.
        unit: its Modbus address.
    """

    baud: int | None = None
    framing: str | None = None
    allowed_baud: tuple[int, ...] = ()
    unit: int | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What one read of this model may ask for.

    Attributes:
        registers_max: greatest number of registers in one read.
        block_read: False: never more than one point in a read.
        forbidden: (function, first, last) that no read may touch.
        functions: function codes of reads that it knows; empty: not stated.
        first: lowest legal address; None: not stated.
        last: highest legal address; None: not stated.
        silent_beyond: it answers a request that it does not like with silence, not with an exception.
    """

    registers_max: int = REGISTERS_PER_READ_MAX
    block_read: bool = True
    forbidden: tuple[tuple[int, int, int], ...] = ()
    functions: tuple[int, ...] = ()
    first: int | None = None
    last: int | None = None
    silent_beyond: bool = False


@dataclass(frozen=True, slots=True)
class Timing:
    """How fast this model is; None where nothing is known.

    Attributes:
        turnaround_s: usual time from the end of a request to the begin of the answer [s].
        timeout_s: time after which no answer is to be expected [s].
        guard_s: rest that it needs between an answer and its next request [s].
        refresh_s: it renews its values no faster [s].
        connect_delay_s: rest that it needs after a connection was made [s].
    """

    turnaround_s: float | None = None
    timeout_s: float | None = None
    guard_s: float | None = None
    refresh_s: float | None = None
    connect_delay_s: float | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """A device model.

    Attributes:
        name: id, which is the name of its file.
        zh: what it is, for an operator.
        en: the same in English.
        maker: who makes it.
        category: heat_meter, electricity_meter, heat_pump, temperature_module, station_io ...
        level: how far it has been proven.
        confidence: high (maker's text), medium (maintained driver), low (third party).
        sources: where the map comes from.
        quirks: what bites.
        line: how its port is set when it leaves the factory.
        limits: what one read may ask for.
        timing: how fast it is.
        points: by name, in the order of the file.
        identity: points that tell one meter (or its firmware) from another.
        checks: plausibility between its points.
        data: the plain mapping it was read from; `override` starts from it.
    """

    name: str
    zh: str
    en: str
    maker: str
    category: str
    level: Level
    confidence: str
    sources: tuple[str, ...]
    quirks: tuple[Words, ...]
    line: Line
    limits: Limits
    timing: Timing
    points: Mapping[str, PointSpec]
    identity: tuple[str, ...]
    checks: tuple[Check, ...]
    data: Mapping[str, object]
