"""The form of a profile's file: which keys stand where, and what may be their values. Each fault names its key.

What the file means, and whether its points fit together, is said by `drivers.profile_file`.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from drivers.profile import ADDRESS_MAX, REGISTERS_PER_READ_MAX

SCALE_MAX = 1e12
UNIT_MAX = 247
"""Source: Modbus over Serial Line V1.02, 2.2."""
EVEN_PARITY_AS_YAML_READS_IT = 8e1
"""8E1 without quotes is 8 times ten to the first."""


class Entry(BaseModel):
    """What all forms have in common: unknown keys, wrong types and numbers that are none are faults."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
    )


def _framing_text(value: object) -> object:
    """Gives back the text `8E1`, which YAML reads as a number."""
    return "8E1" if isinstance(value, float) and value == EVEN_PARITY_AS_YAML_READS_IT else value


Framing = Annotated[Literal["8N1", "8E1", "8O1", "8N2"], BeforeValidator(_framing_text)]
"""Data bits, parity, stop bits of a serial character, as people write them."""
_Address = Annotated[int, Field(ge=0, le=ADDRESS_MAX)]
_Function = Annotated[int, Field(ge=1, le=4)]
_Scale = Annotated[float, Field(ge=-SCALE_MAX, le=SCALE_MAX)]
_Type = Literal["u16", "i16", "u32", "i32", "f32", "u64", "i64", "bcd16", "bcd32", "bool"]
_Order = Literal["high_first", "low_first"]
_Confidence = Literal["high", "medium", "low"]
_Seconds = Annotated[float, Field(gt=0)]
_Tolerance = Annotated[float, Field(ge=0)]
_Baud = Annotated[int, Field(ge=300, le=1_000_000)]
_Bounds = Annotated[list[float], Field(min_length=2, max_length=2)]


class WordsFile(Entry):
    """Something to be read by people."""

    zh: Annotated[str, Field(min_length=1)]
    """For an operator."""
    en: Annotated[str, Field(min_length=1)]
    """The same in English."""


class PartFile(Entry):
    """Neighbouring registers that hold one number."""

    address: _Address
    """First register as in the request, 0-based."""
    type: _Type
    """How the registers hold the number."""
    word_order: _Order | None = None
    """Order of the registers of a longer number; None: the profile's."""
    byte_order: _Order | None = None
    """Order of the bytes in a register; None: the profile's."""
    scale: _Scale = 1.0
    """From the number in the registers to the unit."""
    invalid: list[int | float] = []
    """Numbers that mean "no value"."""
    bit: Annotated[int, Field(ge=0, le=15)] | None = None
    """Which bit of the register."""


class PulseFile(Entry):
    """A trigger."""

    reset: float | None
    """What ends it; null: the device clears it itself."""


class UnlockFile(Entry):
    """What must be written first."""

    point: str
    """Point of the same device that is written first."""
    value: float
    """What it must show."""


class LimitsByFile(Entry):
    """Bounds by another point."""

    point: str
    """Point of the same device whose present value decides."""
    values: Annotated[dict[int | float, _Bounds], Field(min_length=1)]
    """Its value -> [smallest, greatest] that may be written."""


class WriteFile(Entry):
    """Rules of writing."""

    function: Literal[5, 6, 15, 16]
    """Function code of the write."""
    min: float
    """Smallest value, inside unit."""
    max: float
    """Greatest value, inside unit."""
    step: Annotated[float, Field(gt=0)] | None = None
    """Values are rounded to multiples of it."""
    state_point: str | None = None
    """Point that shows what the device made of it."""
    tolerance: Annotated[float, Field(ge=0)] | None = None
    """Greatest difference between written and read back; None: half a step."""
    state_values: dict[int | float, list[int | float]] = {}
    """Value written -> values of the state point that prove it."""
    per_hour: Annotated[int, Field(ge=1)] | None = None
    """Greatest number of writes an hour."""
    per_day: Annotated[int, Field(ge=1)] | None = None
    """Greatest number of writes in 24 hours."""
    deadband: _Tolerance | None = None
    """A change up to this is not written, because the state point shows it already; 0: only an equal value is not."""
    volatile: bool = False
    """The value lies in RAM: writing does not wear it, limits on the number of writes do not apply."""
    pulse: PulseFile | None = None
    """A trigger: written once, never repeated blindly."""
    keep_alive_s: _Seconds | None = None
    """The device gives it up unless it is written again within this time [s]."""
    expiry_s: _Seconds | None = None
    """A command not renewed for so long is no longer in force [s]."""
    safe: float | None = None
    """What replaces a command that is no longer in force."""
    unlock: list[UnlockFile] = []
    """Points that are written and proven first."""
    wait_s: Annotated[float, Field(ge=0)] = 0.0
    """The device needs this time before its next command [s]."""
    limits_by: LimitsByFile | None = None
    """Bounds that depend on the present value of another point."""


class FlowFile(Entry):
    """Flow without which a temperature is not a reading."""

    point: str
    """Flow point of the same device."""
    min: Annotated[float, Field(gt=0)]
    """Magnitude from which the temperature is a reading, inside unit of the flow."""


class CounterFile(Entry):
    """A total that only grows."""

    rate_max: Annotated[float, Field(gt=0)]
    """Fastest growth that the plant can cause, inside unit per hour."""
    rolls_over_at: Annotated[float, Field(gt=0)] | None = None
    """First number that its display cannot show, where it begins at 0 again; inside unit."""


class PointFile(Entry):
    """One point."""

    zh: Annotated[str, Field(min_length=1)]
    """Name for an operator."""
    en: Annotated[str, Field(min_length=1)]
    """The same in English."""
    function: _Function
    """1 coils, 2 discrete inputs, 3 holding registers, 4 input registers."""
    address: _Address | None = None
    """First register as in the request, 0-based; or `parts`."""
    type: _Type | None = None
    """How the registers hold the number; or `parts`."""
    word_order: _Order | None = None
    """Order of the registers of a longer number; None: the profile's."""
    byte_order: _Order | None = None
    """Order of the bytes in a register; None: the profile's."""
    scale: _Scale = 1.0
    """From the number in the registers to the unit."""
    invalid: list[int | float] = []
    """Numbers that mean "no value"."""
    bit: Annotated[int, Field(ge=0, le=15)] | None = None
    """Which bit of the register."""
    parts: Annotated[list[PartFile], Field(min_length=1)] | None = None
    """Several registers whose numbers are added up."""
    unit: str = ""
    """Unit on the wire, after scaling."""
    times: list[str] = []
    """Points of the same device by which it is multiplied."""
    range: _Bounds | None = None
    """Plausible values, inside unit."""
    period_s: Annotated[float, Field(gt=0)] | None = None
    """Own period of a slow point [s]."""
    access: Literal["r", "rw", "w"] = "r"
    """Read, write or both."""
    atomic: str | None = None
    """Group whose points come from one request."""
    write: WriteFile | None = None
    """Rules of writing."""
    needs_flow: FlowFile | None = None
    """Flow without which it is not a reading."""
    values: dict[int, WordsFile] = {}
    """What its codes mean."""
    counter: CounterFile | None = None
    """It is a total that only grows."""
    frozen_s: _Seconds | None = None
    """A value that has not moved by a bit for so long is not being measured [s]."""
    source: str = ""
    """Where this entry comes from, if not from the profile's sources."""
    confidence: _Confidence | None = None
    """If it differs from the profile's."""
    note: str = ""
    """Anything else worth knowing."""


class RangeFile(Entry):
    """Addresses that no read may touch."""

    function: _Function
    """Function code of the read."""
    first: _Address
    """First forbidden address."""
    last: _Address
    """Last forbidden address."""


class LimitsFile(Entry):
    """What one read may ask for."""

    registers_max: Annotated[int, Field(ge=1, le=REGISTERS_PER_READ_MAX)] = REGISTERS_PER_READ_MAX
    """Greatest number of registers in one read."""
    block_read: bool = True
    """False: never more than one point in a read."""
    forbidden: list[RangeFile] = []
    """Addresses that no read may touch."""
    functions: list[_Function] = []
    """Function codes of reads that it knows."""
    first: _Address | None = None
    """Lowest legal address."""
    last: _Address | None = None
    """Highest legal address."""
    silent_beyond: bool = False
    """It answers a request that it does not like with silence."""


class TimingFile(Entry):
    """How fast a device is."""

    turnaround_s: Annotated[float, Field(ge=0)] | None = None
    """Usual time from the end of a request to the begin of the answer [s]."""
    timeout_s: Annotated[float, Field(gt=0)] | None = None
    """Time after which no answer is to be expected [s]."""
    guard_s: Annotated[float, Field(ge=0)] | None = None
    """Rest between an answer and the next request [s]."""
    refresh_s: _Seconds | None = None
    """It renews its values no faster [s]."""
    connect_delay_s: Annotated[float, Field(ge=0)] | None = None
    """Rest after a connection was made [s]."""


class LineFile(Entry):
    """How a port is set when it leaves the factory."""

    baud: _Baud | None = None
    """Symbols a second, as it leaves the factory."""
    framing: Framing | None = None
    """Data bits, parity, stop bits."""
    allowed_baud: list[_Baud] = []
    """What it can be set to."""
    unit: Annotated[int, Field(ge=1, le=UNIT_MAX)] | None = None
    """Its Modbus address, as it leaves the factory."""


class HeatBalanceFile(Entry):
    """Power against flow and temperatures."""

    kind: Literal["heat_balance"]
    """Power against flow and temperatures."""
    power: str
    """Point of the heat power."""
    flow: str
    """Point of the flow."""
    supply: str
    """Point of the supply's temperature."""
    return_: Annotated[str, Field(alias="return")]
    """Point of the return's temperature."""
    tolerance_ratio: _Tolerance = 0.1
    """Greatest difference as a share of the power ..."""
    tolerance: _Tolerance = 5.0
    """... plus this [kW]."""


class SumFile(Entry):
    """A total against its parts."""

    kind: Literal["sum"]
    """A total against its parts."""
    total: str
    """Point that states the sum."""
    parts: Annotated[list[str], Field(min_length=2)]
    """Points that are added up."""
    tolerance_ratio: _Tolerance = 0.02
    """Greatest difference as a share of the total ..."""
    tolerance: _Tolerance = 0.2
    """... plus this, inside unit of the total."""


CheckFile = Annotated[HeatBalanceFile | SumFile, Field(discriminator="kind")]


class ProfileFile(Entry):
    """The whole file."""

    zh: Annotated[str, Field(min_length=1)]
    """What it is, for an operator."""
    en: Annotated[str, Field(min_length=1)]
    """The same in English."""
    maker: str
    """Who makes it."""
    category: str
    """heat_meter, electricity_meter, heat_pump, temperature_module, station_io ..."""
    level: Literal["documented", "simulated", "recorded"]
    """How far it has been proven."""
    confidence: _Confidence
    """high: maker's text; medium: maintained driver; low: third party."""
    sources: Annotated[list[str], Field(min_length=1)]
    """Where the map comes from."""
    quirks: list[WordsFile] = []
    """What bites."""
    line: LineFile = LineFile()
    """How its port is set when it leaves the factory."""
    word_order: _Order = "high_first"
    """Of values longer than one register."""
    byte_order: _Order = "high_first"
    """Inside each register."""
    limits: LimitsFile = LimitsFile()
    """What one read may ask for."""
    timing: TimingFile = TimingFile()
    """How fast it is."""
    identity: list[str] = []
    """Points that tell one meter (or its firmware) from another."""
    checks: list[CheckFile] = []
    """Plausibility between its points."""
    points: Annotated[dict[str, PointFile], Field(min_length=1)]
    """Its points by name."""
