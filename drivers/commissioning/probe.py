"""Finds a point's definition by what the meter shows: reads around the documented place, searches, checks by physics.

Reading only. Words and files are the business of the caller.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from drivers.bus.base import Bus, Span
from drivers.codec import FACTOR, PointCodec
from drivers.commissioning.encoding import Encoding
from drivers.commissioning.expected import Expected
from drivers.commissioning.physics import Check, check
from drivers.commissioning.reach import Reached, around, reach
from drivers.commissioning.search import MOVING_RATIO, Candidate, Declared, Found, Image, Look, search
from drivers.errors import ProfileFault
from drivers.profile import Access, PointSpec, Profile, ValueType
from drivers.profile_file import override

NEAR = 8
"""Registers read before and behind a documented place; most mistakes are off by one, some by a header or a gap."""
UNKNOWN_LAST = 199
"""Without a documented address registers 0 to this are read, of both kinds."""
PHYSICS_BITS = 6.0
"""How much likelier a definition is under which the meter's own values agree with each other."""
JUDGED_MAX = 8
"""Candidates that physics is asked about."""
_WHOLE_FACTORS = tuple(
    sorted(
        (Fraction(10) ** power * ratio for power in range(-4, 4) for ratio in (1, Fraction(5, 18), Fraction(18, 5))),
        key=lambda factor: abs(math.log10(factor)),
    )
)
"""Powers of ten, and those times gigajoules for megawatt-hours or the other way round; the nearest to 1 first."""
CONVENTION = ((400_001, 3), (300_001, 4), (40_001, 3), (30_001, 4))
"""Numbers of data sheets that carry the kind of register in front: 40001 is holding register 0."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A candidate with what physics says of it.

    Attributes:
        candidate: the definition.
        checks: that the point takes part in, under this definition.
    """

    candidate: Candidate
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a probe of one point came to.

    Attributes:
        judged: the candidates, the best first.
        decided: whether the best is beyond doubt.
        as_documented: the definition in force shows what the meter shows: nothing needs to change.
        reached: what was read last.
        factor: of a point of several parts: by what all of them must be multiplied; None: it is no such point.
    """

    judged: tuple[Judged, ...]
    decided: bool
    as_documented: bool
    reached: Reached
    factor: Fraction | None = None


def declared_of(spec: PointSpec) -> Declared:
    """What the profile says of a point; of one with several parts only where it begins."""
    part = spec.parts[0]
    if len(spec.parts) > 1 or part.type is ValueType.BOOL:
        return Declared(spec.function, spec.first, unit=spec.wire_unit)
    encoding = Encoding(str(part.type), part.word_order, part.byte_order)
    return Declared(spec.function, part.address, encoding, part.scale, spec.wire_unit)


def documented(number: int, *, function: int | None) -> Declared:
    """What a number on a data sheet means: an address, or one with the kind of register in front, counted from 1.

    The latter also when the function is said besides and is that of the kind; with another one it is a plain address.
    """
    for base, kind in CONVENTION:
        if base <= number < base + 9999 and function in (None, kind):
            return Declared(kind, number - base)
    return Declared(function, number)


def spans_around(declared: Declared, *, registers: int = 4) -> list[Span]:
    """What is read to find a point."""
    functions = (3, 4) if declared.function in (None, 3) else (4, 3)
    if declared.address is None:
        return [Span(function, 0, UNKNOWN_LAST + 1) for function in functions]
    behind = registers - 1 + NEAR
    return [around(function, declared.address, before=NEAR, behind=behind) for function in functions]


def spans_of(profile: Profile) -> list[Span]:
    """Registers of all points of a profile that can be read."""
    return [
        Span(spec.function, spec.first, spec.count)
        for spec in profile.points.values()
        if spec.access is not Access.WRITE and spec.function > 2  # noqa: PLR2004 - functions 1 and 2 read bits
    ]


async def look(
    bus: Bus,
    unit: int,
    spans: Sequence[Span],
    *,
    profile: Profile | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Reached:
    """Reads the registers of a search, and those that physics will need; `progress` as in `reach`.

    Raises:
        LineDown: the wire is not there.
    """
    wanted = list(spans)
    if profile is not None:
        forbidden = profile.limits.forbidden
        wanted = [part for span in wanted for part in _allowed(span, forbidden)]
        wanted += [span for span in spans_of(profile) if not any(_inside(span, other) for other in wanted)]
    return await reach(bus, unit, wanted, progress=progress)


def values_of(profile: Profile, image: Image) -> dict[str, float]:
    """Values of a profile's points out of an image; points that cannot be had are left out."""
    values: dict[str, float] = {}
    for name, spec in profile.points.items():
        needed = [(spec.function, spec.first + place) for place in range(spec.count)]
        if all(place in image for place in needed):
            value, _ = PointCodec(spec).decode([image[place] for place in needed])
            if value is not None:
                values[name] = value
    for name, spec in profile.points.items():
        if name in values and spec.times:
            if all(word in values for word in spec.times):
                for word in spec.times:
                    values[name] *= values[word]
            else:
                del values[name]
    return values


def conclude(
    looks: Sequence[tuple[Reached, Expected]], *, declared: Declared, profile: Profile | None, point: str | None
) -> Answer:
    """Searches what fits every look; physics, where a profile allows it, decides between those that are left.

    Args:
        looks: what was read, and what the screen showed at that time.
        declared: what is documented.
        profile: the device's, if it has one.
        point: which point of it.
    """
    spec = None if profile is None or point is None else profile.points[point]
    if profile is not None and spec is not None and len(spec.parts) > 1:
        whole = _whole(looks, spec, profile)
        if whole is not None:
            return whole
    found = search(
        [Look(reached.image, _own(expected, spec, reached, profile)) for reached, expected in looks], declared=declared
    )
    reached = looks[-1][0]
    ratio = _ratio(spec, reached, profile)
    judged = [Judged(replace(candidate, value=candidate.value * ratio)) for candidate in found.candidates]
    if profile is not None and point is not None:
        head = [_judge(one.candidate, profile, point, reached.image) for one in judged[:JUDGED_MAX]]
        judged = head + judged[JUDGED_MAX:]
        judged.sort(key=lambda one: one.candidate.unlikely_bits)
    order = Found(
        tuple(one.candidate for one in judged),
        known_bits=found.known_bits,
        as_documented=found.as_documented and bool(judged) and judged[0].candidate.address == declared.address,
        type_documented=found.type_documented,
    )
    return Answer(tuple(judged), order.decided, order.as_documented, reached)


def _own(expected: Expected, spec: PointSpec | None, reached: Reached, profile: Profile | None) -> Expected:
    """The expected number before it is multiplied by ratios of transformers, which the meter states by itself."""
    ratio = _ratio(spec, reached, profile)
    return replace(expected, value=expected.value / ratio, step=expected.step / ratio)


def _ratio(spec: PointSpec | None, reached: Reached, profile: Profile | None) -> float:
    """By what a point is multiplied, as the meter states it; 1 where it states nothing."""
    ratio = 1.0
    if spec is not None and profile is not None and spec.times:
        values = values_of(profile, reached.image)
        for word in spec.times:
            ratio *= values.get(word, 1.0) or 1.0
    return ratio


def _whole(looks: Sequence[tuple[Reached, Expected]], spec: PointSpec, profile: Profile) -> Answer | None:
    """A point of several parts is not searched for anew: either it shows the number, or all of it by another factor.

    None: no factor makes it so; what follows is the search for a plain number.
    """
    for moving in (False, True):
        common = set(_WHOLE_FACTORS if not moving else (Fraction(1),))
        for reached, expected in looks:
            value = values_of(profile, reached.image).get(spec.name)
            if not value:
                return None
            unit = float(FACTOR.get(expected.unit or spec.wire_unit, Fraction(1)))
            wanted, allowed = expected.value * unit, expected.step * unit + 1e-6 * abs(expected.value * unit)
            if moving:
                allowed = MOVING_RATIO * abs(wanted)
            common &= {factor for factor in common if abs(value * float(factor) - wanted) <= allowed}
        if common:
            factor = min(common, key=_WHOLE_FACTORS.index)
            as_documented = factor == 1 and not moving
            return Answer((), decided=not moving, as_documented=as_documented, reached=looks[-1][0], factor=factor)
    return None


def _judge(candidate: Candidate, profile: Profile, point: str, image: Image) -> Judged:
    try:
        changed = override(profile, {point: keys(candidate, profile.points[point])})
    except ProfileFault:  # out of the profile's limits: cannot become its definition
        return Judged(candidate)
    values = values_of(changed, image)
    checks = tuple(one for one in check(values, profile=changed) if point in one.points)
    bits = sum(-PHYSICS_BITS if one.holds else PHYSICS_BITS for one in checks)
    return Judged(replace(candidate, unlikely_bits=candidate.unlikely_bits + bits), checks)


def keys(candidate: Candidate, spec: PointSpec | None) -> dict[str, object]:
    """Keys of a point's entry in a profile, or those that differ from the one in force."""
    found: dict[str, object] = {
        "function": candidate.function,
        "address": candidate.address,
        "type": candidate.encoding.type,
    }
    if candidate.encoding.registers > 1:
        found["word_order"] = str(candidate.encoding.word_order)
    found["byte_order"] = str(candidate.encoding.byte_order)
    found["scale"] = plain(candidate.scale)
    found["unit"] = candidate.unit
    if spec is None:
        if candidate.encoding.byte_order == "high_first":
            del found["byte_order"]
        return {key: value for key, value in found.items() if key != "unit" or value}
    if not candidate.unit:
        del found["unit"]
    if len(spec.parts) > 1:
        return {"parts": None, **found}
    part = spec.parts[0]
    present: Mapping[str, object] = {
        "function": spec.function,
        "address": part.address,
        "type": str(part.type),
        "word_order": str(part.word_order),
        "byte_order": str(part.byte_order),
        "scale": plain(part.scale),
        "unit": spec.wire_unit,
    }
    return {key: value for key, value in found.items() if value != present[key]}


def scaled_parts(spec: PointSpec, factor: Fraction) -> dict[str, object]:
    """Keys of a point of several parts, each multiplied by a factor."""
    parts = []
    for part in spec.parts:
        entry: dict[str, object] = {"address": part.address, "type": str(part.type)}
        if part.type.registers > 1:
            entry["word_order"] = str(part.word_order)
        parts.append({**entry, "scale": plain(part.scale * factor)})
    return {"parts": parts}


def plain(scale: Fraction) -> int | float:
    """A scale as it is written in a file."""
    return int(scale) if scale.denominator == 1 else float(scale)


def _inside(span: Span, other: Span) -> bool:
    return span.function == other.function and other.address <= span.address and span.end <= other.end


def _allowed(span: Span, forbidden: Sequence[tuple[int, int, int]]) -> list[Span]:
    """A span without the ranges that no read may touch."""
    parts = [span]
    for function, low, high in forbidden:
        rest: list[Span] = []
        for part in parts:
            if part.function != function or part.end <= low or high < part.address:
                rest.append(part)
                continue
            if part.address < low:
                rest.append(Span(function, part.address, low - part.address))
            if high + 1 < part.end:
                rest.append(Span(function, high + 1, part.end - high - 1))
        parts = rest
    return parts
