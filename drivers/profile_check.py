"""Whether what a profile says fits together: one point by itself, points that name each other, limits, checks. Pure.

Each contradiction comes with the path of keys to it. The form of the file is checked before.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping

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


def bad_point(text: str, *at: str, why: str, **values: object) -> ProfileFault:
    """A fault of one point.

    Args:
        text: what is wrong.
        at: name of the point and keys below it.
        why: code of the words in `edge_agent/texts`.
        **values: what the words name.
    """
    return _bad(text, "points", *at, why=why, **values)


def _bad(text: str, *at: str | int, why: str, **values: object) -> ProfileFault:
    where = ".".join(map(str, at))
    return ProfileFault(
        f"{where}: {text}", code="profile_bad_value", at=at, why=f"profile_{why}", values={"where": where, **values}
    )


def _unknown(word: str, known: Iterable[str], *at: str | int) -> ProfileFault:
    where = ".".join(map(str, at))
    text = f"{where}: no point {word!r}{nearest(word, known)}"
    values = {"where": where, "word": word, "near": nearest(word, known).removeprefix("; ")}
    return ProfileFault(text, code="profile_unknown_point", at=at, why="profile_no_point", values=values)


def raise_all(faults: Iterable[ProfileFault]) -> None:
    """Raises the first fault, which carries the others along; nothing when there is none.

    Raises:
        ProfileFault: the first one.
    """
    all_ = list(faults)
    if all_:
        first = all_[0]
        raise ProfileFault(
            str(first), code=first.code, at=first.at, why=first.why, values=first.values, others=all_[1:]
        )


# ------------------------------------------------------------------------------------------------------- one point


def check_point(spec: PointSpec) -> Iterator[ProfileFault]:
    """Everything that contradicts itself in one point alone."""
    key = spec.name
    for part in spec.parts:
        if part.scale == 0:
            yield bad_point("scale is 0: every reading would be 0", key, "scale", why="scale_zero")
        if part.address + part.type.registers - 1 > ADDRESS_MAX:
            yield bad_point(
                f"registers end beyond address {ADDRESS_MAX}", key, "address", why="beyond", last=ADDRESS_MAX
            )
        if spec.function in BIT_FUNCTIONS and (part.type is not ValueType.BOOL or part.bit is not None):
            yield bad_point(
                f"function {spec.function} reads bits: type bool, no `bit`",
                key,
                "type",
                why="bits",
                function=spec.function,
            )
        if part.bit is not None and part.type is not ValueType.BOOL:
            yield bad_point(
                f"`bit` picks a bool out of a register, type is {part.type}", key, "bit", why="bit", type=part.type
            )
    if spec.value_range is not None and spec.value_range[0] >= spec.value_range[1]:
        yield bad_point(
            f"range {list(spec.value_range)} is empty", key, "range", why="range", range=list(spec.value_range)
        )
    if spec.counter is not None and spec.access is Access.WRITE:
        yield bad_point("a counter must be readable", key, "counter", why="counter")
    if (spec.write is None) != (spec.access is Access.READ):
        yield bad_point(
            f"access {spec.access.value!r} and `write` contradict each other",
            key,
            "access",
            why="access",
            access=spec.access.value,
        )
    if spec.write is not None:
        yield from _check_write(spec, spec.write)


def _check_write(spec: PointSpec, rule: WriteRule) -> Iterator[ProfileFault]:
    """Checks that function codes, registers and rules of a writable point go together."""
    key = spec.name
    if rule.value_min > rule.value_max:
        yield bad_point(
            f"min {rule.value_min} is above max {rule.value_max}",
            key,
            "write",
            "min",
            why="min_max",
            low=rule.value_min,
            high=rule.value_max,
        )
        return
    if rule.function not in WRITES.get(spec.function, ()):
        text = f"function {rule.function} does not write what function {spec.function} reads"
        yield bad_point(text, key, "write", "function", why="writes", reads=spec.function, function=rule.function)
    if len(spec.parts) > 1 or spec.parts[0].bit is not None or spec.times:
        yield bad_point("only a point of one plain part can be written", key, "write", why="plain")
    if rule.function == WRITES_ONE and spec.count > 1:
        text = f"function 6 writes one register, {spec.parts[0].type} has {spec.count}"
        yield bad_point(text, key, "write", "function", why="one_register", type=spec.parts[0].type, count=spec.count)
    if rule.pulse is not None:
        for word, given in (
            ("deadband", rule.deadband),
            ("keep_alive_s", rule.keep_alive_s),
            ("expiry_s", rule.expiry_s),
        ):
            if given is not None:
                yield bad_point("a pulse is sent once: it has none of that", key, "write", word, why="pulse_once")
        if rule.pulse.reset is not None and not rule.value_min <= rule.pulse.reset <= rule.value_max:
            yield bad_point("reset lies outside min and max", key, "write", "pulse", why="outside", word="reset")
    if rule.safe is not None and not rule.value_min <= rule.safe <= rule.value_max:
        yield bad_point("safe lies outside min and max", key, "write", "safe", why="outside", word="safe")
    if rule.safe is not None and rule.expiry_s is None:
        yield bad_point(
            "`safe` needs `expiry_s`: it replaces a command that was not renewed",
            key,
            "write",
            "safe",
            why="safe_expiry",
        )
    if rule.expiry_s is not None and rule.safe is None and rule.keep_alive_s is None:
        yield bad_point(
            "`expiry_s` without `safe` or `keep_alive_s` ends nothing", key, "write", "expiry_s", why="expiry_alone"
        )
    if rule.keep_alive_s is not None and rule.expiry_s is None:
        text = "`keep_alive_s` needs `expiry_s`: a control that has died must not be kept alive"
        yield bad_point(text, key, "write", "keep_alive_s", why="alive_expiry")
    if rule.keep_alive_s is not None and not rule.volatile and (rule.per_hour or rule.per_day):
        text = "a register that is written all the time cannot be limited, unless it is `volatile`"
        yield bad_point(text, key, "write", "keep_alive_s", why="alive_limited")
    ends = rule.safe is not None or (rule.pulse is not None and rule.pulse.reset is not None)
    for word, limit in (("per_hour", rule.per_hour), ("per_day", rule.per_day)):
        if ends and limit == 1:
            yield bad_point(
                "what ends the command is a write as well: at least 2", key, "write", word, why="at_least_two"
            )
    owed = {"safe": rule.safe, "pulse": rule.pulse.reset if rule.pulse else None}
    for word, value in owed.items():
        if value is not None and spec.values and value not in spec.values:
            yield bad_point(f"{value:g} is none of the `values`", key, "write", word, why="no_code", value=f"{value:g}")
    for low, high in () if rule.limits_by is None else rule.limits_by.values.values():
        if not rule.value_min <= low <= high <= rule.value_max:
            yield bad_point(
                f"[{low}, {high}] does not lie within min and max",
                key,
                "write",
                "limits_by",
                why="limits_by",
                low=low,
                high=high,
            )


# ---------------------------------------------------------------------------------------------------- between points


def check_profile(profile: Profile) -> Iterator[ProfileFault]:
    """All that does not fit between points: those that name each other, limits, atomic groups, checks, identity."""
    points, limits = profile.points, profile.limits
    if limits.first is not None and limits.last is not None and limits.first > limits.last:
        yield _bad("first is above last", "limits", "first", why="first_last")
    for spec in points.values():
        refresh_s = profile.timing.refresh_s
        if spec.frozen_s is not None and refresh_s is not None and spec.frozen_s <= refresh_s:
            yield bad_point(
                f"its values stand still for {refresh_s:g} s anyway",
                spec.name,
                "frozen_s",
                why="frozen",
                refresh_s=f"{refresh_s:g}",
            )
        yield from _check_relations(spec, points=points)
        yield from _check_reach((spec,), limits=limits)
    for group in {spec.atomic for spec in points.values() if spec.atomic}:
        members = tuple(spec for spec in points.values() if spec.atomic == group)
        if len({spec.function for spec in members}) > 1:
            text = f"atomic group {group} has several function codes: no single request reads it"
            yield bad_point(text, members[0].name, "atomic", why="atomic", group=group)
        elif len(members) > 1:
            yield from _check_reach(members, limits=limits)
    for index, word in enumerate(profile.identity):
        yield from _unreadable(word, "identity", index, points=points)
    for index, check in enumerate(profile.checks):
        at = ("checks", index)
        if isinstance(check, HeatBalance):
            kinds = (("power", check.power, ("kW",)), ("flow", check.flow, ("m3/h",)))
            ends = (("supply", check.supply, ("degC",)), ("return", check.return_, ("degC",)))
            for key, word, units in kinds + ends:
                unreadable = list(_unreadable(word, *at, key, points=points))
                yield from unreadable
                if not unreadable and points[word].unit not in units:
                    unit = points[word].unit or "-"
                    text = f"{word!r} is in {points[word].unit or 'no unit'}, {units[0]} is needed"
                    yield _bad(text, *at, key, why="check_unit", word=word, unit=unit, needed=units[0])
        else:
            unreadable = list(_unreadable(check.total, *at, "total", points=points))
            for word in check.parts:
                unreadable += _unreadable(word, *at, "parts", points=points)
            yield from unreadable
            for word in () if unreadable else check.parts:
                if points[word].unit != points[check.total].unit or word == check.total:
                    text = f"{word!r} cannot be a part of {check.total!r}"
                    yield _bad(text, *at, "parts", why="sum_part", word=word, total=check.total)


def _unreadable(word: str, *at: str | int, points: Mapping[str, PointSpec]) -> Iterator[ProfileFault]:
    """What keeps a named point from being read: it does not exist, or is only written."""
    if word not in points:
        yield _unknown(word, points, *at)
    elif points[word].access is Access.WRITE:
        yield _bad(f"{word!r} is never read", *at, why="never_read", word=word)


def _check_relations(spec: PointSpec, *, points: Mapping[str, PointSpec]) -> Iterator[ProfileFault]:
    """Checks that the points named by a point exist and can serve."""
    named = [("times", word) for word in spec.times]
    if spec.needs_flow is not None:
        named.append(("needs_flow", spec.needs_flow.point))
    for key, word in named:
        at = ("points", spec.name, key)
        unreadable = list(_unreadable(word, *at, points=points))
        yield from unreadable
        if unreadable:
            continue
        other = points[word]
        if other is spec or other.times or other.needs_flow:
            yield _bad(f"{word!r} hangs on another point itself", *at, why="hangs", word=word)
    if spec.write is not None:
        yield from _check_write_relations(spec, spec.write, points=points)


def _check_write_relations(
    spec: PointSpec, rule: WriteRule, *, points: Mapping[str, PointSpec]
) -> Iterator[ProfileFault]:
    """Checks the points that a rule of writing names."""
    at = ("points", spec.name, "write")
    if rule.state_point not in points:
        yield _unknown(rule.state_point, points, *at)
    elif rule.deadband is not None and points[rule.state_point].access is Access.WRITE:
        yield _bad(
            "what is never read shows no change: a deadband needs a readable state point",
            *at,
            "deadband",
            why="deadband_blind",
        )
    if rule.limits_by is not None:
        word = rule.limits_by.point
        unreadable = list(_unreadable(word, *at, "limits_by", points=points))
        yield from unreadable
        if not unreadable and points[word].times:
            yield _bad(f"{word!r} hangs on another point itself", *at, "limits_by", why="hangs", word=word)
    for unlock in rule.unlock:
        if unlock.point not in points:
            yield _unknown(unlock.point, points, *at, "unlock")
            continue
        key = points[unlock.point].write
        if key is None or key.unlock or key.pulse or unlock.point == spec.name:
            text = f"{unlock.point!r} cannot unlock anything: it must be a plain writable point"
            yield _bad(text, *at, "unlock", why="unlock", word=unlock.point)
        elif not key.value_min <= unlock.value <= key.value_max:
            yield _bad(
                f"{unlock.value} may not be written to {unlock.point!r}",
                *at,
                "unlock",
                why="unlock_value",
                word=unlock.point,
                value=unlock.value,
            )


def _check_reach(specs: tuple[PointSpec, ...], *, limits: Limits) -> Iterator[ProfileFault]:
    """Checks that a point, or an atomic group, fits into one legal read."""
    key = specs[0].name
    first = min(spec.first for spec in specs)
    end = max(spec.first + spec.count for spec in specs)
    function = specs[0].function
    most = BITS_PER_READ_MAX if function in BIT_FUNCTIONS else limits.registers_max
    if end - first > most:
        yield bad_point(
            f"needs {end - first} registers in one read, at most {most} are allowed",
            key,
            why="too_long",
            count=end - first,
            most=most,
        )
    if limits.functions and function not in limits.functions:
        yield bad_point(
            f"function {function} is none of the device's {list(limits.functions)}",
            key,
            "function",
            why="functions",
            function=function,
            known=list(limits.functions),
        )
    if (limits.first is not None and first < limits.first) or (limits.last is not None and end - 1 > limits.last):
        yield bad_point(
            f"lies outside the device's addresses {limits.first}..{limits.last}",
            key,
            why="outside_device",
            first=limits.first,
            last=limits.last,
        )
    for kind, low, high in limits.forbidden:
        if kind == function and first <= high and low < end:
            yield bad_point(f"lies in the forbidden range {low}..{high}", key, why="forbidden", low=low, high=high)
