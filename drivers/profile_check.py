"""Whether what a profile says fits together: one point by itself, points that name each other, limits, checks. Pure.

The first contradiction is raised with the path of keys to it. The form of the file is checked before.
"""

import difflib
from collections.abc import Iterable, Mapping

from drivers.errors import ProfileFault
from drivers.profile import (
    ADDRESS_MAX,
    BITS_PER_READ_MAX,
    Access,
    HeatBalance,
    Limits,
    PointSpec,
    Profile,
    ValueType,
    WriteRule,
)

BIT_FUNCTIONS = (1, 2)
"""Functions that read coils and discrete inputs."""
WRITES = {1: (5, 15), 3: (6, 16)}
"""Function that reads a point -> functions that write it."""
WRITES_ONE = 6
"""Function that writes a single register."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Returns a hint naming the known word that comes nearest, or all of them when none does."""
    names = list(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(sorted(names))}"


def bad_point(text: str, *at: str) -> ProfileFault:
    """A fault of one point.

    Args:
        text: what is wrong.
        at: name of the point and keys below it.
    """
    return _bad(text, "points", *at)


def _bad(text: str, *at: str | int) -> ProfileFault:
    return ProfileFault(f"{'.'.join(map(str, at))}: {text}", code="profile_bad_value", at=at)


def _unknown(word: str, known: Iterable[str], *at: str | int) -> ProfileFault:
    text = f"{'.'.join(map(str, at))}: no point {word!r}{nearest(word, known)}"
    return ProfileFault(text, code="profile_unknown_point", at=at)


# ------------------------------------------------------------------------------------------------------- one point


def check_point(spec: PointSpec) -> None:
    """Checks what concerns one point alone.

    Raises:
        ProfileFault: the first contradiction.
    """
    key = spec.name
    for part in spec.parts:
        if part.scale == 0:
            raise bad_point("scale is 0: every reading would be 0", key, "scale")
        if part.address + part.type.registers - 1 > ADDRESS_MAX:
            raise bad_point(f"registers end beyond address {ADDRESS_MAX}", key, "address")
        if spec.function in BIT_FUNCTIONS and (part.type is not ValueType.BOOL or part.bit is not None):
            raise bad_point(f"function {spec.function} reads bits: type bool, no `bit`", key, "type")
        if part.bit is not None and part.type is not ValueType.BOOL:
            raise bad_point(f"`bit` picks a bool out of a register, type is {part.type}", key, "bit")
    if spec.value_range is not None and spec.value_range[0] >= spec.value_range[1]:
        raise bad_point(f"range {list(spec.value_range)} is empty", key, "range")
    if spec.counter is not None and spec.access is Access.WRITE:
        raise bad_point("a counter must be readable", key, "counter")
    if (spec.write is None) != (spec.access is Access.READ):
        raise bad_point(f"access {spec.access.value!r} and `write` contradict each other", key, "access")
    if spec.write is not None:
        _check_write(spec, spec.write)


def _check_write(spec: PointSpec, rule: WriteRule) -> None:
    """Checks that function codes, registers and rules of a writable point go together."""
    key = spec.name
    if rule.value_min > rule.value_max:
        raise bad_point(f"min {rule.value_min} is above max {rule.value_max}", key, "write", "min")
    if rule.function not in WRITES.get(spec.function, ()):
        text = f"function {rule.function} does not write what function {spec.function} reads"
        raise bad_point(text, key, "write", "function")
    if len(spec.parts) > 1 or spec.parts[0].bit is not None or spec.times:
        raise bad_point("only a point of one plain part can be written", key, "write")
    if rule.function == WRITES_ONE and spec.count > 1:
        text = f"function 6 writes one register, {spec.parts[0].type} has {spec.count}"
        raise bad_point(text, key, "write", "function")
    if rule.pulse is not None:
        for word, given in (
            ("deadband", rule.deadband),
            ("keep_alive_s", rule.keep_alive_s),
            ("expiry_s", rule.expiry_s),
        ):
            if given is not None:
                raise bad_point("a pulse is sent once: it has none of that", key, "write", word)
        if rule.pulse.reset is not None and not rule.value_min <= rule.pulse.reset <= rule.value_max:
            raise bad_point("reset lies outside min and max", key, "write", "pulse")
    if rule.safe is not None and not rule.value_min <= rule.safe <= rule.value_max:
        raise bad_point("safe lies outside min and max", key, "write", "safe")
    if rule.safe is not None and rule.expiry_s is None:
        raise bad_point("`safe` needs `expiry_s`: it replaces a command that was not renewed", key, "write", "safe")
    if rule.expiry_s is not None and rule.safe is None and rule.keep_alive_s is None:
        raise bad_point("`expiry_s` without `safe` or `keep_alive_s` ends nothing", key, "write", "expiry_s")
    if rule.keep_alive_s is not None and rule.expiry_s is None:
        text = "`keep_alive_s` needs `expiry_s`: a control that has died must not be kept alive"
        raise bad_point(text, key, "write", "keep_alive_s")
    if rule.keep_alive_s is not None and not rule.volatile and (rule.per_hour or rule.per_day):
        text = "a register that is written all the time cannot be limited, unless it is `volatile`"
        raise bad_point(text, key, "write", "keep_alive_s")
    ends = rule.safe is not None or (rule.pulse is not None and rule.pulse.reset is not None)
    for word, limit in (("per_hour", rule.per_hour), ("per_day", rule.per_day)):
        if ends and limit == 1:
            raise bad_point("what ends the command is a write as well: at least 2", key, "write", word)
    owed = {"safe": rule.safe, "pulse": rule.pulse.reset if rule.pulse else None}
    for word, value in owed.items():
        if value is not None and spec.values and value not in spec.values:
            raise bad_point(f"{value:g} is none of the `values`", key, "write", word)
    for low, high in () if rule.limits_by is None else rule.limits_by.values.values():
        if not rule.value_min <= low <= high <= rule.value_max:
            raise bad_point(f"[{low}, {high}] does not lie within min and max", key, "write", "limits_by")


# ---------------------------------------------------------------------------------------------------- between points


def check_profile(profile: Profile) -> None:
    """Checks what concerns several points: those that name each other, limits, atomic groups, checks, identity.

    Raises:
        ProfileFault: the first contradiction.
    """
    points, limits = profile.points, profile.limits
    if limits.first is not None and limits.last is not None and limits.first > limits.last:
        raise _bad("first is above last", "limits", "first")
    for spec in points.values():
        refresh_s = profile.timing.refresh_s
        if spec.frozen_s is not None and refresh_s is not None and spec.frozen_s <= refresh_s:
            raise bad_point(f"its values stand still for {refresh_s:g} s anyway", spec.name, "frozen_s")
        _check_relations(spec, points=points)
        _check_reach((spec,), limits=limits)
    for group in {spec.atomic for spec in points.values() if spec.atomic}:
        members = tuple(spec for spec in points.values() if spec.atomic == group)
        if len({spec.function for spec in members}) > 1:
            text = f"atomic group {group} has several function codes: no single request reads it"
            raise bad_point(text, members[0].name, "atomic")
        _check_reach(members, limits=limits)
    for index, word in enumerate(profile.identity):
        _readable(word, "identity", index, points=points)
    for index, check in enumerate(profile.checks):
        at = ("checks", index)
        if isinstance(check, HeatBalance):
            kinds = (("power", check.power, ("kW",)), ("flow", check.flow, ("m3/h",)))
            ends = (("supply", check.supply, ("degC",)), ("return", check.return_, ("degC",)))
            for key, word, units in kinds + ends:
                spec = _readable(word, *at, key, points=points)
                if spec.unit not in units:
                    raise _bad(f"{word!r} is in {spec.unit or 'no unit'}, {units[0]} is needed", *at, key)
        else:
            total = _readable(check.total, *at, "total", points=points)
            for word in check.parts:
                spec = _readable(word, *at, "parts", points=points)
                if spec.unit != total.unit or spec is total:
                    raise _bad(f"{word!r} cannot be a part of {check.total!r}", *at, "parts")


def _readable(word: str, *at: str | int, points: Mapping[str, PointSpec]) -> PointSpec:
    """The named point, which exists and can be read."""
    if word not in points:
        raise _unknown(word, points, *at)
    if points[word].access is Access.WRITE:
        raise _bad(f"{word!r} is never read", *at)
    return points[word]


def _check_relations(spec: PointSpec, *, points: Mapping[str, PointSpec]) -> None:
    """Checks that the points named by a point exist and can serve."""
    named = [("times", word) for word in spec.times]
    if spec.needs_flow is not None:
        named.append(("needs_flow", spec.needs_flow.point))
    for key, word in named:
        at = ("points", spec.name, key)
        other = _readable(word, *at, points=points)
        if other is spec or other.times or other.needs_flow:
            raise _bad(f"{word!r} hangs on another point itself", *at)
    if spec.write is not None:
        _check_write_relations(spec, spec.write, points=points)


def _check_write_relations(spec: PointSpec, rule: WriteRule, *, points: Mapping[str, PointSpec]) -> None:
    """Checks the points that a rule of writing names."""
    at = ("points", spec.name, "write")
    if rule.state_point not in points:
        raise _unknown(rule.state_point, points, *at)
    if rule.deadband is not None and points[rule.state_point].access is Access.WRITE:
        raise _bad("what is never read shows no change: a deadband needs a readable state point", *at, "deadband")
    if rule.limits_by is not None:
        other = _readable(rule.limits_by.point, *at, "limits_by", points=points)
        if other.times:
            raise _bad(f"{other.name!r} hangs on another point itself", *at, "limits_by")
    for unlock in rule.unlock:
        if unlock.point not in points:
            raise _unknown(unlock.point, points, *at, "unlock")
        key = points[unlock.point].write
        if key is None or key.unlock or key.pulse or unlock.point == spec.name:
            raise _bad(f"{unlock.point!r} cannot unlock anything: it must be a plain writable point", *at, "unlock")
        if not key.value_min <= unlock.value <= key.value_max:
            raise _bad(f"{unlock.value} may not be written to {unlock.point!r}", *at, "unlock")


def _check_reach(specs: tuple[PointSpec, ...], *, limits: Limits) -> None:
    """Checks that a point, or an atomic group, fits into one legal read."""
    key = specs[0].name
    first = min(spec.first for spec in specs)
    end = max(spec.first + spec.count for spec in specs)
    function = specs[0].function
    most = BITS_PER_READ_MAX if function in BIT_FUNCTIONS else limits.registers_max
    if end - first > most:
        raise bad_point(f"needs {end - first} registers in one read, at most {most} are allowed", key)
    if limits.functions and function not in limits.functions:
        raise bad_point(f"function {function} is none of the device's {list(limits.functions)}", key, "function")
    if (limits.first is not None and first < limits.first) or (limits.last is not None and end - 1 > limits.last):
        raise bad_point(f"lies outside the device's addresses {limits.first}..{limits.last}", key)
    for kind, low, high in limits.forbidden:
        if kind == function and first <= high and low < end:
            raise bad_point(f"lies in the forbidden range {low}..{high}", key)
