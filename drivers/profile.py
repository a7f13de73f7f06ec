"""A device model's register map: what each point is called, where its registers lie, what may be written. Pure data.

The mapping comes from a YAML file that somebody else has opened; a fault names the path of keys to the wrong entry
(`ProfileFault.at`). Turning registers into numbers is the business of `drivers.codec`, fetching them that of
`drivers.device`.
"""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from drivers.errors import ProfileFault

REGISTERS_PER_READ_MAX = 125
"""Source: Modbus Application Protocol Specification V1.1b3, 6.3 and 6.4."""
BITS_PER_READ_MAX = 2000
"""Source: as above, 6.1 and 6.2."""
ADDRESS_MAX = 0xFFFF
SCALE_MAX = 1e12

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
        "Hz": "Hz",
        "A": "A",
        "V": "V",
        "kvar": "kvar",
        "kVA": "kVA",
        "h": "h",
        "s": "s",
    }
)
"""Unit on the wire -> unit inside; the factors stand in `drivers.codec`."""


class ValueType(StrEnum):
    """How registers hold a number; the figure is its size in bits."""

    U16 = "u16"
    I16 = "i16"
    U32 = "u32"
    I32 = "i32"
    F32 = "f32"
    U64 = "u64"
    I64 = "i64"
    BOOL = "bool"

    @property
    def registers(self) -> int:
        """Number of 16-bit registers (a bool takes one register, or one bit)."""
        return 1 if self is ValueType.BOOL else int(self[1:]) // 16


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
    """

    function: int
    value_min: float
    value_max: float
    step: float | None
    state_point: str
    tolerance: float
    state_values: Mapping[float, tuple[float, ...]]
    per_hour: int | None


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
class Limits:
    """What one read of this model may ask for.

    Attributes:
        registers_max: greatest number of registers in one read.
        block_read: False: never more than one point in a read.
        forbidden: (function, first, last) that no read may touch.
    """

    registers_max: int = REGISTERS_PER_READ_MAX
    block_read: bool = True
    forbidden: tuple[tuple[int, int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Timing:
    """How fast this model is; None where nothing is known.

    Attributes:
        turnaround_s: usual time from the end of a request to the begin of the answer [s].
        timeout_s: time after which no answer is to be expected [s].
    """

    turnaround_s: float | None = None
    timeout_s: float | None = None


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
        notes: what bites.
        limits: what one read may ask for.
        timing: how fast it is.
        points: by name, in the order of the file.
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
    notes: tuple[str, ...]
    limits: Limits
    timing: Timing
    points: Mapping[str, PointSpec]
    data: Mapping[str, object]


# ------------------------------------------------------------------------------------------------------ the file


class _Entry(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
    )


_Address = Annotated[int, Field(ge=0, le=ADDRESS_MAX)]
_Function = Annotated[int, Field(ge=1, le=4)]
_Scale = Annotated[float, Field(ge=-SCALE_MAX, le=SCALE_MAX)]
_Type = Literal["u16", "i16", "u32", "i32", "f32", "u64", "i64", "bool"]
_Order = Literal["high_first", "low_first"]
_Confidence = Literal["high", "medium", "low"]


class _PartFile(_Entry):
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


class _WriteFile(_Entry):
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


class _FlowFile(_Entry):
    point: str
    """Flow point of the same device."""
    min: Annotated[float, Field(gt=0)]
    """Magnitude from which the temperature is a reading, inside unit of the flow."""


class _PointFile(_Entry):
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
    parts: Annotated[list[_PartFile], Field(min_length=1)] | None = None
    """Several registers whose numbers are added up."""
    unit: str = ""
    """Unit on the wire, after scaling."""
    times: list[str] = []
    """Points of the same device by which it is multiplied."""
    range: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    """Plausible values, inside unit."""
    period_s: Annotated[float, Field(gt=0)] | None = None
    """Own period of a slow point [s]."""
    access: Literal["r", "rw", "w"] = "r"
    """Read, write or both."""
    atomic: str | None = None
    """Group whose points come from one request."""
    write: _WriteFile | None = None
    """Rules of writing."""
    needs_flow: _FlowFile | None = None
    """Flow without which it is not a reading."""
    source: str = ""
    """Where this entry comes from, if not from the profile's sources."""
    confidence: _Confidence | None = None
    """If it differs from the profile's."""
    note: str = ""
    """Anything else worth knowing."""


class _RangeFile(_Entry):
    function: _Function
    """Function code of the read."""
    first: _Address
    """First forbidden address."""
    last: _Address
    """Last forbidden address."""


class _LimitsFile(_Entry):
    registers_max: Annotated[int, Field(ge=1, le=REGISTERS_PER_READ_MAX)] = REGISTERS_PER_READ_MAX
    """Greatest number of registers in one read."""
    block_read: bool = True
    """False: never more than one point in a read."""
    forbidden: list[_RangeFile] = []
    """Addresses that no read may touch."""


class _TimingFile(_Entry):
    turnaround_s: Annotated[float, Field(ge=0)] | None = None
    """Usual time from the end of a request to the begin of the answer [s]."""
    timeout_s: Annotated[float, Field(gt=0)] | None = None
    """Time after which no answer is to be expected [s]."""


class _ProfileFile(_Entry):
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
    notes: list[str] = []
    """What bites."""
    word_order: _Order = "high_first"
    """Of values longer than one register."""
    byte_order: _Order = "high_first"
    """Inside each register."""
    limits: _LimitsFile = _LimitsFile()
    """What one read may ask for."""
    timing: _TimingFile = _TimingFile()
    """How fast it is."""
    points: Annotated[dict[str, _PointFile], Field(min_length=1)]
    """Its points by name."""


# --------------------------------------------------------------------------------------------------- from file to spec


def parse_profile(data: Mapping[str, object], *, name: str) -> Profile:
    """Checks a parsed profile file and builds the profile.

    Args:
        data: the file's mapping as a YAML reader gives it.
        name: id of the profile: the name of its file.

    Raises:
        ProfileFault: what is wrong; `.at` is the path of keys.
    """
    plain = _plain(data)
    if not isinstance(plain, dict):
        raise ProfileFault(f"{name}: a profile is a mapping, this is a {type(data).__name__}", code="profile_bad_value")
    try:
        file = _ProfileFile.model_validate(plain)
    except ValidationError as error:
        raise _fault(error, plain) from None
    limits = Limits(
        registers_max=file.limits.registers_max,
        block_read=file.limits.block_read,
        forbidden=tuple((entry.function, entry.first, entry.last) for entry in file.limits.forbidden),
    )
    points = {key: _point(key, entry, file=file) for key, entry in file.points.items()}
    for key, spec in points.items():
        _check_relations(spec, points=points)
        _check_limits(key, specs=(spec,), limits=limits)
    for group in {spec.atomic for spec in points.values() if spec.atomic}:
        members = tuple(spec for spec in points.values() if spec.atomic == group)
        if len({spec.function for spec in members}) > 1:
            raise _bad(
                f"atomic group {group} has several function codes: no single request reads it",
                members[0].name,
                "atomic",
            )
        _check_limits(members[0].name, specs=members, limits=limits)
    return Profile(
        name=name,
        zh=file.zh,
        en=file.en,
        maker=file.maker,
        category=file.category,
        level=Level(file.level),
        confidence=file.confidence,
        sources=tuple(file.sources),
        notes=tuple(file.notes),
        limits=limits,
        timing=Timing(turnaround_s=file.timing.turnaround_s, timeout_s=file.timing.timeout_s),
        points=MappingProxyType(points),
        data=MappingProxyType(plain),
    )


def override(profile: Profile, points: Mapping[str, Mapping[str, object]]) -> Profile:
    """Builds the profile again with some keys of some points replaced (`points:` of a device in devices.yaml).

    Raises:
        ProfileFault: unknown point or key, or a value that does not fit; `.at` starts at the name of the point.
    """
    changes = _plain(points)
    if not isinstance(changes, dict):
        raise ProfileFault(f"points of a {profile.name}: a mapping of points is needed", code="profile_bad_value")
    merged = _plain(profile.data)
    assert isinstance(merged, dict)
    for key, change in changes.items():
        if key not in merged["points"]:
            text = f"{profile.name} has no point {key!r}{nearest(str(key), profile.points)}"
            raise ProfileFault(text, code="profile_unknown_point", at=(str(key),))
        if not isinstance(change, dict):
            raise ProfileFault(
                f"{profile.name}.{key}: a mapping of keys is needed", code="profile_bad_value", at=(str(key),)
            )
        entry = merged["points"][key]
        for word, value in change.items():
            # `write: {max: 50}` narrows one limit and leaves the others as they are.
            nested = isinstance(value, dict) and isinstance(entry.get(word), dict)
            entry[word] = entry[word] | value if nested else value
    try:
        return parse_profile(merged, name=profile.name)
    except ProfileFault as fault:
        raise ProfileFault(str(fault), code=fault.code, at=fault.at[1:]) from None


def nearest(word: str, known: Iterable[str]) -> str:
    """Returns a hint naming the known word that comes nearest, or all of them when none does."""
    names = list(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(sorted(names))}"


def _plain(value: object) -> Any:  # noqa: ANN401 - JSON-like data of any depth
    """Copies what a round-trip YAML reader returns into plain types, which the strict model tells apart exactly."""
    if isinstance(value, Mapping):
        return {key if isinstance(key, bool) else _plain(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, bool) or value is None:
        return value
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value


def _fault(error: ValidationError, data: dict[str, Any]) -> ProfileFault:
    """Words the first finding of the model; a misspelt key goes before the key that it leaves missing."""
    first = min(error.errors(include_url=False), key=lambda finding: finding["type"] != "extra_forbidden")
    # Members of a union add their own names to the location; only what leads through the data is a path of keys.
    path: list[str | int] = []
    here: Any = data
    for step in first["loc"]:
        inside = step in here if isinstance(here, dict) else isinstance(here, list) and step in range(len(here))
        if inside:
            here = here[step]
        elif first["type"] != "missing":
            break
        path.append(step)
    at = tuple(path)
    where = ".".join(str(step) for step in at)
    if first["type"] == "extra_forbidden":
        return ProfileFault(
            f"{where}: unknown key{nearest(str(at[-1]), _keys_at(at[:-1]))}", code="profile_unknown_key", at=at
        )
    if first["type"] == "missing":
        return ProfileFault(f"{where}: key is missing", code="profile_missing_key", at=at[:-1])
    return ProfileFault(f"{where}: {first['msg']}", code="profile_bad_value", at=at)


_AT_MODEL: Mapping[str, type[_Entry]] = MappingProxyType(
    {
        "parts": _PartFile,
        "write": _WriteFile,
        "needs_flow": _FlowFile,
        "limits": _LimitsFile,
        "timing": _TimingFile,
        "forbidden": _RangeFile,
    }
)


def _keys_at(path: tuple[str | int, ...]) -> Iterable[str]:
    """Names of the keys that are legal at a place of a profile file."""
    for step in reversed(path):
        if isinstance(step, str) and step in _AT_MODEL and path != ("points", step):
            return _AT_MODEL[step].model_fields
    return (_PointFile if path[:1] == ("points",) else _ProfileFile).model_fields


def _bad(text: str, *at: str) -> ProfileFault:
    """A fault of one point."""
    path = ("points", *at)
    return ProfileFault(f"{'.'.join(path)}: {text}", code="profile_bad_value", at=path)


def _exact(scale: float) -> Fraction:
    """The decimal fraction that was written in the file, not the nearest binary one."""
    return Fraction(Decimal(repr(scale)))


def _point(key: str, entry: _PointFile, *, file: _ProfileFile) -> PointSpec:
    """Builds one point; checks what concerns it alone."""
    if entry.unit not in INSIDE_UNIT:
        raise _bad(f"unknown unit {entry.unit!r}{nearest(entry.unit, INSIDE_UNIT)}", key, "unit")
    if entry.parts is None:
        if entry.address is None or entry.type is None:
            missing = "address" if entry.address is None else "type"
            raise ProfileFault(
                f"points.{key}: key {missing!r} is missing (or give `parts`)",
                code="profile_missing_key",
                at=("points", key),
            )
        files = [
            _PartFile(
                address=entry.address,
                type=entry.type,
                word_order=entry.word_order,
                byte_order=entry.byte_order,
                scale=entry.scale,
                invalid=entry.invalid,
                bit=entry.bit,
            )
        ]
    else:
        alone = [
            word
            for word in ("address", "type", "word_order", "byte_order", "scale", "invalid", "bit")
            if word in entry.model_fields_set
        ]
        if alone:
            raise _bad(f"{alone[0]!r} belongs into each of the `parts`", key, alone[0])
        files = entry.parts
    parts = tuple(
        Part(
            address=part.address,
            type=ValueType(part.type),
            word_order=Order(part.word_order or file.word_order),
            byte_order=Order(part.byte_order or file.byte_order),
            scale=_exact(part.scale),
            invalid=tuple(part.invalid),
            bit=part.bit,
        )
        for part in files
    )
    for part in parts:
        if part.scale == 0:
            raise _bad("scale is 0: every reading would be 0", key, "scale")
        if part.address + part.type.registers - 1 > ADDRESS_MAX:
            raise _bad(f"registers end beyond address {ADDRESS_MAX}", key, "address")
        if entry.function <= 2 and (part.type is not ValueType.BOOL or part.bit is not None):  # noqa: PLR2004 - functions 1 and 2 read bits
            raise _bad(f"function {entry.function} reads bits: type bool, no `bit`", key, "type")
        if part.bit is not None and part.type is not ValueType.BOOL:
            raise _bad(f"`bit` picks a bool out of a register, type is {part.type}", key, "bit")
    if entry.range is not None and entry.range[0] >= entry.range[1]:
        raise _bad(f"range {entry.range} is empty", key, "range")
    spec = PointSpec(
        name=key,
        zh=entry.zh,
        en=entry.en,
        function=entry.function,
        parts=parts,
        wire_unit=entry.unit,
        unit=INSIDE_UNIT[entry.unit],
        times=tuple(entry.times),
        value_range=(entry.range[0], entry.range[1]) if entry.range else None,
        period_s=entry.period_s,
        access=Access(entry.access),
        atomic=entry.atomic,
        write=None if entry.write is None else _write_rule(key, entry.write),
        needs_flow=None if entry.needs_flow is None else FlowNeed(entry.needs_flow.point, entry.needs_flow.min),
        source=entry.source,
        confidence=entry.confidence or file.confidence,
    )
    _check_write(spec)
    return spec


def _write_rule(key: str, rule: _WriteFile) -> WriteRule:
    if rule.min > rule.max:
        raise _bad(f"min {rule.min} is above max {rule.max}", key, "write", "min")
    return WriteRule(
        function=rule.function,
        value_min=rule.min,
        value_max=rule.max,
        step=rule.step,
        state_point=rule.state_point or key,
        tolerance=rule.tolerance if rule.tolerance is not None else (rule.step or 0.0) / 2,
        state_values=MappingProxyType({float(value): tuple(proofs) for value, proofs in rule.state_values.items()}),
        per_hour=rule.per_hour,
    )


def _check_write(spec: PointSpec) -> None:
    """Checks that access, function codes and registers of a writable point go together."""
    if (spec.write is None) != (spec.access is Access.READ):
        raise _bad(f"access {spec.access.value!r} and `write` contradict each other", spec.name, "access")
    if spec.write is None:
        return
    allowed = {1: (5, 15), 3: (6, 16)}.get(spec.function, ())
    if spec.write.function not in allowed:
        text = f"function {spec.write.function} does not write what function {spec.function} reads"
        raise _bad(text, spec.name, "write", "function")
    if len(spec.parts) > 1 or spec.parts[0].bit is not None or spec.times:
        raise _bad("only a point of one plain part can be written", spec.name, "write")
    if spec.write.function == 6 and spec.count > 1:  # noqa: PLR2004 - function 6 writes a single register
        raise _bad(
            f"function 6 writes one register, {spec.parts[0].type} has {spec.count}",
            spec.name,
            "write",
            "function",
        )


def _check_relations(spec: PointSpec, *, points: Mapping[str, PointSpec]) -> None:
    """Checks that the points named by a point exist and can serve."""
    named = [("times", word) for word in spec.times]
    if spec.needs_flow is not None:
        named.append(("needs_flow", spec.needs_flow.point))
    if spec.write is not None:
        named.append(("write", spec.write.state_point))
    for key, word in named:
        if word not in points:
            text = f"points.{spec.name}.{key}: no point {word!r}{nearest(word, points)}"
            raise ProfileFault(text, code="profile_unknown_point", at=("points", spec.name, key))
        other = points[word]
        if key != "write" and (other is spec or other.times or other.needs_flow):
            raise _bad(f"{word!r} hangs on another point itself", spec.name, key)
        if other.access is Access.WRITE and key != "write":
            raise _bad(f"{word!r} is never read", spec.name, key)


def _check_limits(key: str, *, specs: tuple[PointSpec, ...], limits: Limits) -> None:
    """Checks that a point, or an atomic group, fits into one legal read."""
    first = min(spec.first for spec in specs)
    end = max(spec.first + spec.count for spec in specs)
    function = specs[0].function
    most = BITS_PER_READ_MAX if function <= 2 else limits.registers_max  # noqa: PLR2004 - functions 1 and 2 read bits
    if end - first > most:
        raise _bad(f"needs {end - first} registers in one read, at most {most} are allowed", key)
    for kind, low, high in limits.forbidden:
        if kind == function and first <= high and low < end:
            raise _bad(f"lies in the forbidden range {low}..{high}", key)
