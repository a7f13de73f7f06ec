"""Guesses which model answers, by what a few of its registers hold: they must exist, be plausible and obey physics.

Each profile is asked for a handful of its reads; what exists and lies in a narrow plausible range speaks for it, what
the unit refuses or what is absurd against it. The evidence is counted in bits, against "a model that we do not know".
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from drivers.bus.base import Bus, Span
from drivers.codec import PointCodec
from drivers.commissioning.physics import check
from drivers.errors import DeviceRefused, DriverError, LineDown
from drivers.profile import Access, PointSpec, Profile, ValueType
from drivers.read_plan import LineCost, Want, read_plan

READS_MAX = 4
"""Reads asked of each profile; most models need one to three for all their points."""
NEEDED_BITS = 8.0
"""How much must speak for a profile before it is as likely as a model that we do not know."""
REFUSED_BITS = -7.0
"""A unit of that model would not have refused its own registers (firmware levels differ: not impossible)."""
SILENT_BITS = -5.0
ABSURD_BITS = -4.0
CHECK_BITS = 6.0
FLOAT_SANE_BITS = 2.0
"""A random pair of registers is a float between 1e-3 and 1e7 in one case of seven or eight."""
POINT_BITS_MAX = 5.0
SHARE_MIN = 0.02
"""Guesses less sure than this are not shown."""

_USUAL: Mapping[str, tuple[float, float]] = {
    "degC": (-30.0, 130.0),
    "K": (-60.0, 60.0),
    "V": (180.0, 450.0),
    "Hz": (0.0, 65.0),
    "A": (-3000.0, 3000.0),
    "%": (0.0, 100.0),
    "kW": (-20000.0, 20000.0),
    "m3/h": (-20000.0, 20000.0),
}
"""What a value of a plant room may be, by inside unit, where a profile does not say."""
_SANE_MIN, _SANE_MAX = 1e-3, 1e7


@dataclass(frozen=True, slots=True)
class Guess:
    """A model and how likely it is.

    Attributes:
        profile: its id.
        share: 0..1; the rest belongs to other models and to those that we do not know.
    """

    profile: str
    share: float


@dataclass(slots=True)
class Asked:
    """Answers of one unit, so that no question is put twice: registers, an exception code, or None for silence."""

    answers: dict[Span, tuple[int, ...] | int | None] = field(default_factory=dict)

    async def ask(self, bus: Bus, unit: int, span: Span) -> tuple[int, ...] | int | None:
        """One read, remembered; a span inside an earlier one is cut out of it."""
        for known, registers in self.answers.items():
            if known.function == span.function and known.address <= span.address and span.end <= known.end:
                if isinstance(registers, tuple):
                    offset = span.address - known.address
                    return registers[offset : offset + span.count]
                if known == span:
                    return registers
        try:
            answer: tuple[int, ...] | int | None = await bus.read(span, unit=unit)
        except LineDown:
            raise
        except DeviceRefused as error:
            answer = error.code
        except DriverError:
            answer = None
        self.answers[span] = answer
        return answer


async def guess_model(bus: Bus, unit: int, profiles: Sequence[Profile], *, asked: Asked | None = None) -> list[Guess]:
    """Asks a unit for registers of every profile and says which fit, the likeliest first. Reads only.

    Raises:
        LineDown: the wire is not there.
    """
    answers = asked or Asked()
    bits: dict[str, float] = {}
    for profile in profiles:
        bits[profile.name] = await _evidence(bus, unit, profile, answers)
    weights = {name: 2.0 ** min(60.0, found - NEEDED_BITS) for name, found in bits.items()}
    whole = 1.0 + sum(weights.values())
    guesses = [Guess(name, weight / whole) for name, weight in weights.items() if weight / whole >= SHARE_MIN]
    return sorted(guesses, key=lambda guess: -guess.share)


async def _evidence(bus: Bus, unit: int, profile: Profile, asked: Asked) -> float:
    """What speaks for a profile [bits]."""
    points = {name: spec for name, spec in profile.points.items() if spec.access is not Access.WRITE and not spec.times}
    wants = [Want((name,), Span(spec.function, spec.first, spec.count)) for name, spec in points.items()]
    bits = 0.0
    values: dict[str, float] = {}
    silent = 0
    # A typical serial line decides which registers belong into one read, whatever the wire is: the questions stay few.
    cost = LineCost.serial(baud=9600, bits_per_character=10, turnaround_s=0.02)
    reads = read_plan(wants, cost=cost, limits=profile.limits)
    reads.sort(key=lambda read: -len(read.names))
    for read in reads[:READS_MAX]:
        answer = await asked.ask(bus, unit, read.span)
        if answer is None:
            bits += SILENT_BITS
            silent += 1
            if silent > 1:
                break  # a unit that is silent twice is no unit of this model, and each silence costs a time-out
            continue
        if isinstance(answer, int):
            bits += REFUSED_BITS
            continue
        for name in read.names:
            spec = points[name]
            codec = PointCodec(spec)
            offset = codec.first - read.span.address
            value, _ = codec.decode(answer[offset : offset + codec.count])
            if value is None:
                continue
            values[name] = value
            bits += _plausible_bits(spec, value)
    bits += sum(
        CHECK_BITS if one.holds else ABSURD_BITS for one in check(values, profile=profile) if one.code != "range"
    )
    return bits


def _plausible_bits(spec: PointSpec, value: float) -> float:
    """What one value says: nothing when it is 0, much when a narrow range is met, against when it is missed."""
    if value == 0:
        return 0.0
    limits = spec.value_range or _USUAL.get(spec.unit)
    kinds = {part.type for part in spec.parts}
    if limits is not None and not limits[0] <= value <= limits[1]:
        return ABSURD_BITS
    if spec.values and value not in spec.values:
        return ABSURD_BITS
    if kinds == {ValueType.BOOL}:
        return 0.5
    if ValueType.F32 in kinds:
        return FLOAT_SANE_BITS if _SANE_MIN <= abs(value) <= _SANE_MAX else ABSURD_BITS
    if limits is None or len(spec.parts) > 1:
        return 0.2
    part = spec.parts[0]
    whole = float(abs(part.scale)) * 2.0 ** (16 * part.type.registers)
    return min(POINT_BITS_MAX, max(0.0, math.log2(whole / max(limits[1] - limits[0], 1e-9)) * 0.7))
