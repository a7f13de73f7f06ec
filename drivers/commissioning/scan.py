"""Finds the units on a wire with reads alone: likely settings and numbers first, short time-outs, nobody lost.

A scan need not wait for a slow unit where it asks: its late answer is heard while the next units are asked, and then
those asked shortly before are asked again with patience. So the time-out of the sweep may be short, and becomes shorter
still once units have shown how fast they are.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from drivers.bus.base import UNIT_MAX, Bus, Span
from drivers.commissioning.guess import Asked, Guess, Model, guess_model
from drivers.errors import DeviceRefused, DriverError, LineDown, ProtocolFault
from drivers.profile import Profile

SWEEP_TIMEOUT_S = 0.1
"""First time-out: nine meters in ten begin to answer within it; the others are heard late."""
SWEEP_TIMEOUT_MIN_S = 0.03
LEARNED_FACTOR = 3.0
LEARNED_MARGIN_S = 0.02
"""Time-out once units have answered: this many times the slowest of them, and an adapter's latency timer."""
PATIENT_TIMEOUT_S = 1.2
"""Slowest turnaround seen in the field is 0.8 s (a solar inverter), with margin."""
LIKELY_UNITS = 32
"""Numbers up to this are what people set; they are tried first, and at every setting of the line."""
ALTERNATIVES_MAX = 3
FIRST_QUESTION = Span(3, 0, 1)
OTHER_QUESTIONS = (Span(4, 0, 1), Span(3, 1, 1), Span(4, 1, 1), Span(1, 0, 1), Span(2, 0, 1))
"""What a unit is asked that has refused the first one: which function and register it does answer."""
FEW_DOUBTS = 4
DOUBTS_MAX = 64
"""Units asked again with patience in one sweep; on a line full of noise all would be doubtful."""
USUAL_SETTINGS = (
    (9600, "8N1"),
    (9600, "8E1"),
    (19200, "8N1"),
    (19200, "8E1"),
    (2400, "8E1"),
    (4800, "8N1"),
    (38400, "8N1"),
    (115200, "8N1"),
    (2400, "8N1"),
    (4800, "8E1"),
    (57600, "8N1"),
    (9600, "8N2"),
    (9600, "8O1"),
    (19200, "8N2"),
)
"""Speeds and framings by how often meters and units leave the factory with them; ours, from drivers/profiles."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Speed and framing of a serial line; a TCP connection has none."""

    baud: int
    framing: str

    @property
    def character_s(self) -> float:
        """Time of one character [s]."""
        return (1 + int(self.framing[0]) + (self.framing[1] != "N") + int(self.framing[2])) / self.baud


class Sign(StrEnum):
    """How a unit showed itself."""

    REGISTERS = "registers"
    EXCEPTION = "exception"
    NOISE = "noise"  # something came, twice, and was no answer


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit that was found.

    Attributes:
        unit: its number.
        sign: how it showed itself.
        code: of the exception.
        turnaround_s: time from the end of the question to the begin of its answer; None: not measured [s].
        setting: of the line; None on TCP.
        guesses: what it may be, the likeliest first.
        question: a read that it answered with registers; where it refused all, one that it refused.
    """

    unit: int
    sign: Sign
    code: int | None = None
    turnaround_s: float | None = None
    setting: Setting | None = None
    guesses: tuple[Guess, ...] = ()
    question: Span = FIRST_QUESTION


@dataclass(slots=True)
class Result:
    """What a scan has found so far; complete at any time, so an interrupted scan is not lost.

    Attributes:
        units: by number.
        setting: at which the line answers; None: not known, or TCP.
        asked: questions put.
        noisy: something other than an answer was heard at these settings.
        same_everywhere: a TCP device that answers whatever number it is asked by.
        finished: the scan came to its end.
    """

    units: dict[int, Unit] = field(default_factory=dict)
    setting: Setting | None = None
    asked: int = 0
    noisy: list[Setting | None] = field(default_factory=list)
    same_everywhere: bool = False
    finished: bool = False


class Step(StrEnum):
    """What a scan is doing."""

    ASK = "ask"  # whether anybody is there
    AGAIN = "again"  # once more, with patience, or otherwise
    GUESS = "guess"  # what it is


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a scan is.

    Attributes:
        setting: being tried; None on TCP.
        done: units asked at it.
        total: units to be asked at it.
        found: units found so far.
        step: what is being done.
    """

    setting: Setting | None
    done: int
    total: int
    found: int
    step: Step


OpenWire = Callable[[Setting | None, float], Bus]
"""Makes a wire with a setting and a time-out [s], not yet open; its quarantine is no longer than the time-out."""


def order(settings: Iterable[tuple[int, str]], profiles: Iterable[Profile]) -> list[Setting]:
    """Settings in the order in which they are tried: those of known models' factory settings go up."""
    wanted = list(dict.fromkeys(settings))
    votes: dict[tuple[int, str], int] = {}
    for profile in profiles:
        if profile.line.baud is not None:
            key = (profile.line.baud, profile.line.framing or "8N1")
            votes[key] = votes.get(key, 0) + 1
    ranked = sorted(wanted, key=lambda pair: (-min(votes.get(pair, 0), 3), wanted.index(pair)))
    return [Setting(*pair) for pair in ranked]


class Scan:
    """One scan of one wire.

    Args:
        open_wire: makes the wire.
        units: numbers to be asked, in this order; likely ones are asked first.
        profiles: models that it knows.
        elapsed_s: stop-watch of the machine [s].
        progress: told after each question.
        pause: waits some wall time [s].
    """

    def __init__(
        self,
        open_wire: OpenWire,
        *,
        units: Sequence[int],
        profiles: Sequence[Profile],
        elapsed_s: Callable[[], float],
        progress: Callable[[Progress], None] = lambda _: None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.result = Result()
        self._open_wire = open_wire
        self._likely = [unit for unit in units if unit <= LIKELY_UNITS or unit > UNIT_MAX]
        self._others = [unit for unit in units if LIKELY_UNITS < unit <= UNIT_MAX]
        self._profiles = profiles
        self._elapsed_s = elapsed_s
        self._progress = progress
        self._pause = pause

    async def serial(self, settings: Sequence[Setting]) -> None:
        """Tries settings until one brings units; then asks all numbers at it.

        Raises:
            LineDown: the port is not there.
        """
        for setting in settings:
            await self._sweep(setting, self._likely)
            if self.result.units:
                break
        for setting in settings:
            if self.result.units and self.result.setting != setting:
                continue
            await self._sweep(setting, self._others)
            if not self.result.units:
                await self._ask_otherwise(setting)
            if self.result.units:
                break
        if self.result.setting is not None:
            await self._ask_otherwise(self.result.setting)
        await self._guess(self.result.setting)
        self.result.finished = True

    async def tcp(self) -> None:
        """Asks all numbers behind a TCP connection.

        Raises:
            LineDown: nobody listens there.
        """
        if await self._same_everywhere():
            self.result.same_everywhere = True
        else:
            await self._sweep(None, self._likely + self._others)
        await self._guess(None)
        self.result.finished = True

    # --------------------------------------------------------------------------------------------------------- parts

    async def _sweep(self, setting: Setting | None, units: Sequence[int]) -> None:
        """Asks many units briefly, then the doubtful ones with patience."""
        waiting = [unit for unit in units if unit not in self.result.units]
        if not waiting:
            return
        heard_late: list[list[int]] = []
        recent: deque[tuple[float, int]] = deque()
        timeout_s = self._timeout_s(setting)
        bus = self._open_wire(setting, timeout_s)
        await bus.open()
        try:
            for number, unit in enumerate([*waiting, None]):
                heard = _heard(bus)
                if unit is None:  # whoever is still thinking is heard before the end
                    await self._pause(PATIENT_TIMEOUT_S if setting is not None else 0.0)
                    unit = waiting[-1]  # noqa: PLW2901 - one more question, to hear what lies in the port
                asked_s = self._elapsed_s()
                while number < len(waiting) and recent and recent[0][0] < asked_s - PATIENT_TIMEOUT_S - timeout_s:
                    recent.popleft()
                recent.append((asked_s, unit))
                found = await self._ask(bus, unit, FIRST_QUESTION, setting)
                if found is not None and found.sign is not Sign.NOISE:
                    self._note(found)
                if (found is None or found.sign is Sign.NOISE) and _heard(bus) > heard:
                    heard_late.append([late for _, late in reversed(recent)])
                    # A wire that has heard a late answer rests for the next ones; a fresh one does not know.
                    await bus.close()
                    bus = self._open_wire(setting, timeout_s)
                    await bus.open()
                self._tell(setting, number + 1, len(waiting))
        finally:
            await bus.close()
        if heard_late:
            if setting not in self.result.noisy:
                self.result.noisy.append(setting)
            # Noise at every number is the wrong speed, not many slow units: a few tell.
            everywhere = len(heard_late) > max(FEW_DOUBTS, len(waiting) // 2) and not self.result.units
            limit = FEW_DOUBTS if everywhere else DOUBTS_MAX
            await self._ask_patiently(setting, heard_late[:limit], brief_s=timeout_s)

    async def _ask_patiently(self, setting: Setting | None, heard_late: list[list[int]], *, brief_s: float) -> None:
        """Asks again who may have answered late: from the unit asked last back to the one that explains it.

        Those in between may have been talked over, so they are asked as well.

        Args:
            setting: of the line.
            heard_late: for each time that something was heard, the units asked before, the last one first.
            brief_s: time-out by which they were missed [s].
        """
        bus = self._open_wire(setting, PATIENT_TIMEOUT_S)
        await bus.open()
        asked: set[int] = set()
        try:
            for suspects in heard_late:
                for unit in suspects:
                    if unit in asked or unit in self.result.units:
                        continue
                    asked.add(unit)
                    found = await self._ask(bus, unit, FIRST_QUESTION, setting)
                    if found is not None and found.sign is Sign.NOISE:
                        found = await self._ask(bus, unit, FIRST_QUESTION, setting)
                    if found is not None:
                        self._note(found)
                        if found.sign is Sign.NOISE or (found.turnaround_s or 0.0) > brief_s:
                            break  # this one it was
        finally:
            await bus.close()

    async def _ask_otherwise(self, setting: Setting | None) -> None:
        """Asks likely numbers for registers of models that answer a bad request with silence."""
        questions = _alternatives(self._profiles)
        silent = [unit for unit in self._likely if unit not in self.result.units]
        if not questions or not silent:
            return
        bus = self._open_wire(setting, self._timeout_s(setting))
        await bus.open()
        try:
            for number, unit in enumerate(silent):
                self._tell(setting, number, len(silent), Step.AGAIN)
                for question in questions:
                    found = await self._ask(bus, unit, question, setting)
                    if found is not None and found.sign is not Sign.NOISE:
                        self._note(found)
                        break
        finally:
            await bus.close()

    async def _same_everywhere(self) -> bool:
        """Whether a device answers alike to numbers that nobody sets: it ignores them."""
        bus = self._open_wire(None, PATIENT_TIMEOUT_S / 2)
        await bus.open()
        try:
            odd = [await self._ask(bus, unit, FIRST_QUESTION, None) for unit in (1, 173, 219)]
        finally:
            await bus.close()
        if any(found is None or found.sign is Sign.NOISE for found in odd) or not self._likely:
            return False
        first = odd[0]
        assert first is not None
        self._note(first)
        return True

    async def _guess(self, setting: Setting | None) -> None:
        live = [found for found in self.result.units.values() if found.sign is not Sign.NOISE]
        if not live:
            return
        slowest_s = max((found.turnaround_s or 0.0 for found in live), default=0.0)
        bus = self._open_wire(setting, max(2 * SWEEP_TIMEOUT_S, min(PATIENT_TIMEOUT_S, 2 * slowest_s)))
        models = [Model(profile) for profile in self._profiles]
        await bus.open()
        try:
            for number, found in enumerate(live):
                self._tell(setting, number, len(live), Step.GUESS)
                asked = Asked()
                if found.code is not None:
                    for question in OTHER_QUESTIONS:
                        await asked.ask(bus, found.unit, question)
                guesses = await guess_model(bus, found.unit, models, elapsed_s=self._elapsed_s, asked=asked)
                answered = (span for span, answer in asked.answers.items() if isinstance(answer, tuple))
                question = found.question if found.code is None else next(answered, found.question)
                self.result.units[found.unit] = replace(found, guesses=tuple(guesses), question=question)
            self._tell(setting, len(live), len(live), Step.GUESS)
        finally:
            await bus.close()

    async def _ask(self, bus: Bus, unit: int, span: Span, setting: Setting | None) -> Unit | None:
        self.result.asked += 1
        start_s = self._elapsed_s()
        sign, code = Sign.REGISTERS, None
        try:
            await bus.read(span, unit=unit)
        except LineDown:
            raise
        except DeviceRefused as error:
            sign, code = Sign.EXCEPTION, error.code
        except ProtocolFault:
            return Unit(unit, Sign.NOISE, setting=setting, question=span)
        except DriverError:
            return None
        took_s = self._elapsed_s() - start_s
        if setting is not None:  # question of 8 characters, answer of 7 (5 when refused), gap of 3.5 before
            took_s -= (18.5 if code is None else 16.5) * setting.character_s
        return Unit(unit, sign, code, max(0.0, took_s), setting, question=span)

    def _note(self, found: Unit) -> None:
        """Keeps what was found; noise only on a line that answers others, because elsewhere the speed is to blame."""
        if found.sign is not Sign.NOISE:
            self.result.setting = found.setting
        elif not self.result.units or self.result.setting != found.setting:
            return
        self.result.units[found.unit] = found

    def _timeout_s(self, setting: Setting | None) -> float:
        seen = [found.turnaround_s for found in self.result.units.values() if found.turnaround_s is not None]
        if not seen or setting is None:
            return SWEEP_TIMEOUT_S if setting is not None else PATIENT_TIMEOUT_S / 2
        learned_s = LEARNED_FACTOR * max(seen) + LEARNED_MARGIN_S
        return min(SWEEP_TIMEOUT_S, max(SWEEP_TIMEOUT_MIN_S, learned_s))

    def _tell(self, setting: Setting | None, done: int, total: int, step: Step = Step.ASK) -> None:
        self._progress(Progress(setting, min(done, total), total, len(self.result.units), step))


def _heard(bus: Bus) -> int:
    """How much has come in that was no answer."""
    return bus.counts.stray_bytes + bus.counts.damaged + bus.counts.late


def _alternatives(profiles: Iterable[Profile]) -> list[Span]:
    """First registers of the models that would not answer the usual question, and that of input registers."""
    questions: dict[Span, None] = {Span(4, 0, 1): None}
    for profile in profiles:
        if not profile.limits.silent_beyond:
            continue
        spec = next(iter(profile.points.values()))
        if (spec.function, spec.first) != (FIRST_QUESTION.function, FIRST_QUESTION.address):
            questions[Span(spec.function, spec.first, spec.count)] = None
    return list(questions)[:ALTERNATIVES_MAX]
