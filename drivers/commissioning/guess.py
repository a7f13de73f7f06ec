"""Guesses which model answers, by what a few of its registers hold: they must exist, be plausible and obey physics.

Each profile is asked for a handful of its reads; what exists and lies in a narrow plausible range speaks for it, what
the unit refuses or what is absurd against it. The evidence is counted in bits, against "a model that we do not know".
"""

import math
from collections.abc import Callable, Mapping, Sequence
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
PURSUED_MAX = 8
"""Models that are asked for more than their first read."""
GIVEN_UP_BITS = -6.0
GUESS_S_MAX = 5.0
"""Wall time for one unit; at 9600 baud and 20 ms a hundred reads take as long."""
FUNCTION_UNKNOWN = 1
"""Exception code: the unit does not know the function at all."""
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
        """One read; what earlier answers tell is not asked again."""
        for known, answer in self.answers.items():
            if known.function != span.function:
                continue
            if answer == FUNCTION_UNKNOWN:
                return answer
            inside = known.address <= span.address and span.end <= known.end
            if inside and isinstance(answer, tuple):
                offset = span.address - known.address
                return answer[offset : offset + span.count]
            if isinstance(answer, int) and span.address <= known.address and known.end <= span.end:
                return answer  # what holds a refused span is refused as well
            if known == span:
                return answer
        try:
            answer = await bus.read(span, unit=unit)
        except LineDown:
            raise
        except DeviceRefused as error:
            answer = error.code
        except DriverError:
            answer = None
        self.answers[span] = answer
        return answer


class Model:
    """A profile made ready for asking; made once, used for every unit."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        points = {
            name: spec for name, spec in profile.points.items() if spec.access is not Access.WRITE and not spec.times
        }
        self.codecs = {name: PointCodec(spec) for name, spec in points.items()}
        wants = [Want((name,), Span(spec.function, spec.first, spec.count)) for name, spec in points.items()]
        # A typical serial line decides which registers belong into one read, whatever the wire is: questions stay few.
        cost = LineCost.serial(baud=9600, bits_per_character=10, turnaround_s=0.02)
        reads = read_plan(wants, cost=cost, limits=profile.limits)
        self.reads = sorted(reads, key=lambda read: -len(read.names))[:READS_MAX]


async def guess_model(
    bus: Bus,
    unit: int,
    models: Sequence[Model],
    *,
    elapsed_s: Callable[[], float],
    seconds_max: float = GUESS_S_MAX,
    asked: Asked | None = None,
) -> list[Guess]:
    """Asks a unit for registers of every profile and says which fit, the likeliest first. Reads only.

    Args:
        bus: open.
        unit: number.
        models: that are considered.
        elapsed_s: stop-watch of the machine [s].
        seconds_max: after this wall time nothing more is asked: a slow unit is guessed at by less [s].
        asked: what the unit has answered already; receives the answers.

    Raises:
        LineDown: the wire is not there.
    """
    asked = Asked() if asked is None else asked
    end_s = elapsed_s() + seconds_max
    trials = [_Trial(model) for model in models]
    for trial in trials:  # one question for each model first: most drop out by it
        if trial.reads and elapsed_s() < end_s:
            await trial.ask(bus, unit, asked)
    trials.sort(key=lambda trial: -trial.bits)
    for trial in trials[:PURSUED_MAX]:
        while trial.reads and trial.bits > GIVEN_UP_BITS and elapsed_s() < end_s:
            await trial.ask(bus, unit, asked)
    weights = {trial.model.profile.name: 2.0 ** min(60.0, trial.judge() - NEEDED_BITS) for trial in trials}
    whole = 1.0 + sum(weights.values())
    guesses = [Guess(name, weight / whole) for name, weight in weights.items() if weight / whole >= SHARE_MIN]
    return sorted(guesses, key=lambda guess: -guess.share)


class _Trial:
    """One model on trial: what is still to be asked, and what speaks for it so far."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.reads = list(model.reads)
        self.bits = 0.0
        self._values: dict[str, float] = {}

    async def ask(self, bus: Bus, unit: int, asked: Asked) -> None:
        """Puts the next question and weighs its answer."""
        read = self.reads.pop(0)
        answer = await asked.ask(bus, unit, read.span)
        if answer is None:
            self.bits += SILENT_BITS
            return
        if isinstance(answer, int):
            self.bits += REFUSED_BITS
            return
        for name in read.names:
            codec = self.model.codecs[name]
            offset = codec.first - read.span.address
            value, _ = codec.decode(answer[offset : offset + codec.count])
            if value is not None:
                self._values[name] = value
                self.bits += _plausible_bits(codec.spec, value)

    def judge(self) -> float:
        """What speaks for it in the end [bits]."""
        checks = [one for one in check(self._values, profile=self.model.profile) if one.code != "range"]
        return self.bits + sum(CHECK_BITS if one.holds else ABSURD_BITS for one in checks)


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
