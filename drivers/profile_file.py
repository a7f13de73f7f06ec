"""Reads a profile's file into a profile: what it means, and where it is wrong.

The mapping comes from a YAML file that somebody else has opened; a fault names the path of keys to the wrong entry
(`ProfileFault.at`). The form of the file is said by `drivers.profile_form`, whether points fit together by
`drivers.profile_check`.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from drivers.errors import ProfileFault
from drivers.profile import (
    INSIDE_UNIT,
    Access,
    Check,
    Counter,
    FlowNeed,
    HeatBalance,
    Level,
    Limits,
    LimitsBy,
    Line,
    Order,
    Part,
    PointSpec,
    Profile,
    Pulse,
    SumCheck,
    Timing,
    Unlock,
    ValueType,
    Words,
    WriteRule,
)
from drivers.profile_check import bad_point, check_point, check_profile, nearest, raise_all
from drivers.profile_form import (
    CounterFile,
    Entry,
    FlowFile,
    HeatBalanceFile,
    LimitsByFile,
    LimitsFile,
    LineFile,
    PartFile,
    PointFile,
    ProfileFile,
    PulseFile,
    RangeFile,
    SumFile,
    TimingFile,
    UnlockFile,
    WordsFile,
    WriteFile,
)


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
        file = ProfileFile.model_validate(plain)
    except ValidationError as error:
        raise _fault(error, plain) from None
    points: dict[str, PointSpec] = {}
    faults: list[ProfileFault] = []
    for key, entry in file.points.items():
        try:
            points[key] = _point(key, entry, file=file)
        except ProfileFault as fault:
            faults += [fault, *fault.others]
    raise_all(faults)
    profile = Profile(
        name=name,
        zh=file.zh,
        en=file.en,
        maker=file.maker,
        category=file.category,
        level=Level(file.level),
        confidence=file.confidence,
        sources=tuple(file.sources),
        quirks=tuple(Words(entry.zh, entry.en) for entry in file.quirks),
        line=Line(
            baud=file.line.baud,
            framing=file.line.framing,
            allowed_baud=tuple(file.line.allowed_baud),
            unit=file.line.unit,
        ),
        limits=_limits(file.limits),
        timing=Timing(
            turnaround_s=file.timing.turnaround_s,
            timeout_s=file.timing.timeout_s,
            guard_s=file.timing.guard_s,
            refresh_s=file.timing.refresh_s,
            connect_delay_s=file.timing.connect_delay_s,
        ),
        points=MappingProxyType(points),
        identity=tuple(file.identity),
        checks=tuple(_check(entry) for entry in file.checks),
        data=MappingProxyType(plain),
    )
    raise_all(check_profile(profile))
    return profile


def override(profile: Profile, points: Mapping[str, Mapping[str, object]]) -> Profile:
    """Builds the profile again with some keys of some points replaced (`points:` of a device in devices.yaml).

    Raises:
        ProfileFault: unknown point or key, or a value that does not fit; `.at` starts at the name of the point.
    """
    try:
        return parse_profile(merged(profile, points), name=profile.name)
    except ProfileFault as fault:
        raise_all(
            ProfileFault(str(one), code=one.code, at=one.at[1:], why=one.why, values=one.values)
            for one in (fault, *fault.others)
        )
        raise


def merged(profile: Profile, points: Mapping[str, Mapping[str, object]]) -> dict[str, Any]:
    """The data of a profile's file with some keys of some points replaced; not checked.

    Raises:
        ProfileFault: unknown point, or no mapping; `.at` starts at `points`.
    """
    changes = _plain(points)
    if not isinstance(changes, dict):
        raise ProfileFault(f"points of a {profile.name}: a mapping of points is needed", code="profile_bad_value")
    data = _plain(profile.data)
    assert isinstance(data, dict)
    for key, change in changes.items():
        at = ("points", str(key))
        if key not in data["points"]:
            near = nearest(str(key), profile.points)
            values = {"where": profile.name, "word": key, "near": near.removeprefix("; ")}
            text = f"{profile.name} has no point {key!r}{near}"
            raise ProfileFault(text, code="profile_unknown_point", at=at, why="profile_no_point", values=values)
        if not isinstance(change, dict):
            raise ProfileFault(f"{profile.name}.{key}: a mapping of keys is needed", code="profile_bad_value", at=at)
        entry = data["points"][key]
        for word, value in change.items():
            # `write: {max: 50}` narrows one limit and leaves the others as they are.
            nested = isinstance(value, dict) and isinstance(entry.get(word), dict)
            entry[word] = entry[word] | value if nested else value
    return data


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
    for index, step in enumerate(first["loc"]):
        inside = step in here if isinstance(here, dict) else isinstance(here, list) and step in range(len(here))
        if inside:
            here = here[step]
        elif first["type"] != "missing" or index + 1 < len(first["loc"]):
            continue
        path.append(step)
    at = tuple(path)
    where = ".".join(str(step) for step in at)
    if first["type"] == "extra_forbidden":
        return ProfileFault(
            f"{where}: unknown key{nearest(str(at[-1]), _keys_at(at[:-1], data))}", code="profile_unknown_key", at=at
        )
    if first["type"] == "missing":
        return ProfileFault(f"{where}: key is missing", code="profile_missing_key", at=at[:-1])
    return ProfileFault(f"{where}: {first['msg']}", code="profile_bad_value", at=at)


_AT_FORM: Mapping[str, type[Entry]] = MappingProxyType(
    {
        "parts": PartFile,
        "write": WriteFile,
        "pulse": PulseFile,
        "unlock": UnlockFile,
        "limits_by": LimitsByFile,
        "needs_flow": FlowFile,
        "counter": CounterFile,
        "limits": LimitsFile,
        "timing": TimingFile,
        "line": LineFile,
        "forbidden": RangeFile,
        "quirks": WordsFile,
        "values": WordsFile,
        "checks": HeatBalanceFile,
    }
)


def _keys_at(path: tuple[str | int, ...], data: Mapping[str, Any]) -> Iterable[str]:
    """Names of the keys that are legal at a place of a profile file."""
    form: type[Entry] = PointFile if path[:1] == ("points",) else ProfileFile
    for step in reversed(path):
        if isinstance(step, str) and step in _AT_FORM and path != ("points", step):
            form = _AT_FORM[step]
            break
    if form is HeatBalanceFile and data["checks"][path[-1]].get("kind") == "sum":
        form = SumFile
    return [field.alias or name for name, field in form.model_fields.items()]


def _exact(scale: float) -> Fraction:
    """The decimal fraction that was written in the file, not the nearest binary one."""
    return Fraction(Decimal(repr(scale)))


def _point(key: str, entry: PointFile, *, file: ProfileFile) -> PointSpec:
    """Builds one point; checks what concerns it alone."""
    if entry.unit not in INSIDE_UNIT:
        near = nearest(entry.unit, INSIDE_UNIT)
        raise bad_point(
            f"unknown unit {entry.unit!r}{near}", key, "unit", why="unit", word=entry.unit, near=near.removeprefix("; ")
        )
    if entry.parts is None:
        if entry.address is None or entry.type is None:
            missing = "address" if entry.address is None else "type"
            raise ProfileFault(
                f"points.{key}: key {missing!r} is missing (or give `parts`)",
                code="profile_missing_key",
                at=("points", key),
                why="profile_address_or_parts",
                values={"where": f"points.{key}", "word": missing},
            )
        files = [
            PartFile(
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
            raise bad_point(f"{alone[0]!r} belongs into each of the `parts`", key, alone[0], why="parts", word=alone[0])
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
        values=MappingProxyType({float(code): Words(word.zh, word.en) for code, word in entry.values.items()}),
        counter=None if entry.counter is None else Counter(entry.counter.rate_max, entry.counter.rolls_over_at),
        frozen_s=entry.frozen_s,
        source=entry.source,
        confidence=entry.confidence or file.confidence,
    )
    raise_all(check_point(spec))
    return spec


def _write_rule(key: str, rule: WriteFile) -> WriteRule:
    return WriteRule(
        function=rule.function,
        value_min=rule.min,
        value_max=rule.max,
        step=rule.step,
        state_point=rule.state_point or key,
        tolerance=rule.tolerance if rule.tolerance is not None else (rule.step or 0.0) / 2,
        state_values=MappingProxyType({float(value): tuple(proofs) for value, proofs in rule.state_values.items()}),
        per_hour=rule.per_hour,
        per_day=rule.per_day,
        deadband=rule.deadband,
        volatile=rule.volatile,
        pulse=None if rule.pulse is None else Pulse(rule.pulse.reset),
        keep_alive_s=rule.keep_alive_s,
        expiry_s=rule.expiry_s,
        safe=rule.safe,
        unlock=tuple(Unlock(entry.point, entry.value) for entry in rule.unlock),
        wait_s=rule.wait_s,
        limits_by=None if rule.limits_by is None else _limits_by(rule.limits_by),
    )


def _limits_by(entry: LimitsByFile) -> LimitsBy:
    bounds = {float(value): (low, high) for value, (low, high) in entry.values.items()}
    return LimitsBy(entry.point, MappingProxyType(bounds))


def _limits(entry: LimitsFile) -> Limits:
    return Limits(
        registers_max=entry.registers_max,
        block_read=entry.block_read,
        forbidden=tuple((taboo.function, taboo.first, taboo.last) for taboo in entry.forbidden),
        functions=tuple(entry.functions),
        first=entry.first,
        last=entry.last,
        silent_beyond=entry.silent_beyond,
    )


def _check(entry: HeatBalanceFile | SumFile) -> Check:
    if isinstance(entry, SumFile):
        return SumCheck(
            total=entry.total,
            parts=tuple(entry.parts),
            tolerance_ratio=entry.tolerance_ratio,
            tolerance=entry.tolerance,
        )
    return HeatBalance(
        power=entry.power,
        flow=entry.flow,
        supply=entry.supply,
        return_=entry.return_,
        tolerance_ratio=entry.tolerance_ratio,
        tolerance=entry.tolerance,
    )
