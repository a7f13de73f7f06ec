"""Fetches the registers of a device's points: cheapest legal reads, in turn, repeated once, round the holes of its map.

What the registers mean, and what their values are good for, is the business of `drivers.device`.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from drivers.bus.base import Registers, Span
from drivers.errors import DeviceRefused, DriverError, LineDown, NoAnswer, ProtocolFault
from drivers.holes import DOUBTFUL_CODES, Finding, HoleBook, Hunt
from drivers.link import UnitLink
from drivers.memory import DeviceMemory
from drivers.profile import Access, Profile
from drivers.read_plan import LineCost, Read, Want, read_plan, wants_of
from drivers.sample import Cause

log = logging.getLogger(__name__)

PLANS_MAX = 64
"""Read plans kept; different sets of due points beyond that mean an odd mixture of periods."""
TESTS_PER_POLL_MIN, TESTS_PER_POLL_MAX = 4, 40
"""Reads that a hunt for a hole may add to one poll, so that the neighbours keep their periods ..."""
HUNT_SHARE = 0.05
"""... more than the least only as far as they take this share of the device's period: on a network they cost little."""
REFUSED_PACE_S = 600.0
"""A point that is refused even alone is asked again after this wall time; firmware changes, and options are bought."""
RETEST_FIRST_S = 3600.0
"""So long after the start [wall s] each learned hole is looked at again: a lost answer may have made it ..."""
RETEST_S = 86_400.0
"""... and then once a day: one read each, so that a hole which is none does not make reads dearer for ever."""
REFUSALS_TO_BELIEVE = 2
"""Refusals in a row of a point read alone before it is believed ..."""
SILENCES_TO_BELIEVE = 3
"""... and silences, of a unit that answers for another point right afterwards."""
REPLAN_RATIO = 1.5
"""Plans are made anew when the unit's own turnaround has become longer or shorter by this factor."""
TURNAROUND_FLOOR_S = 0.001
MEMORY_SECTION = "holes"


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came for one point.

    Attributes:
        instant_utc: when the answer was complete, or the attempt was given up.
        registers: of the point's own span; None: nothing.
        cause: why nothing came.
    """

    instant_utc: datetime
    registers: Sequence[int] | None
    cause: Cause


class Reader:
    """Reads one device.

    Args:
        name: of the device, for messages.
        link: the unit on its wire.
        profile: its register map.
        period_s: how often the device is polled [s].
        memory: keeps the holes that were found.
        now_utc: site's clock.
        elapsed_s: stop-watch of the machine [s].
        at_utc: what the site's clock says of a reading of that stop-watch [s].
    """

    def __init__(
        self,
        name: str,
        *,
        link: UnitLink,
        profile: Profile,
        period_s: float,
        memory: DeviceMemory,
        now_utc: Callable[[], datetime],
        elapsed_s: Callable[[], float],
        at_utc: Callable[[float], datetime],
    ) -> None:
        self._name = name
        self._link = link
        self._profile = profile
        self._period_s = period_s
        self._memory = memory
        self._now_utc = now_utc
        self._elapsed_s = elapsed_s
        self._at_utc = at_utc
        self._shy = profile.limits.silent_beyond
        readable = [spec for spec in profile.points.values() if spec.access is not Access.WRITE]
        self.names = tuple(spec.name for spec in readable)
        self._places = {spec.name: (spec.first, spec.count) for spec in readable}
        self._wants = wants_of(readable)
        self._want_at = {want.span: want for want in self._wants}
        self._book = HoleBook(profile, memory.get(MEMORY_SECTION))
        self._hunts: list[tuple[Hunt, Cause]] = []  # what is in doubt and why; the first is being worked on
        self._life: Want | None = None
        self._refusals: dict[Span, int] = {}
        self._again_at_s: dict[Span, float] = {}
        self._probe_place = 0
        self._due_s = 0.0
        self._retest_at_s = elapsed_s() + RETEST_FIRST_S
        self._to_retest: list[Span | None] = []
        self._plans: dict[tuple[str, ...], list[Read]] = {}
        self._cost = link.bus.cost
        self._turnaround_s = 0.0

    @property
    def holes(self) -> Sequence[Span]:
        """Registers that the device was seen to refuse."""
        return tuple(self._book.holes)

    async def fetch(self, names: Collection[str]) -> dict[str, Fetched]:
        """Reads points, in as few requests as it takes.

        Args:
            names: the points wanted.

        Returns:
            One entry per name; a hunt for a hole may add points that nobody asked for.
        """
        self._due_s = self._elapsed_s()  # a clock that is set must not move anybody in the queue
        got: dict[str, Fetched] = {}
        if self._link.dead and not await self._probe(got):
            now_utc = self._now_utc()
            return {name: got.get(name) or Fetched(now_utc, None, Cause.NO_ANSWER) for name in names}
        tests = await self._hunt(got, tests=self._tests_per_poll())
        suspects = {name: why for hunt, why in self._hunts for want in hunt.suspects for name in want.names}
        for read in self._plan(tuple(name for name in self.names if name in names and name not in suspects)):
            await self._regular(read, got)
        await self._hunt(got, tests=tests)
        await self._retest(got)
        now_utc = self._now_utc()
        for name in names:  # points under suspicion whose turn did not come
            why = Cause.NO_ANSWER if self._link.dead else suspects.get(name, Cause.NO_ANSWER)
            got.setdefault(name, Fetched(now_utc, None, why))
        return got

    async def identify(self, values: Mapping[str, float]) -> None:
        """Takes the points that tell one device or firmware from another; another one has other holes.

        Args:
            values: of the points named by the profile as its identity.
        """
        if values and self._book.identify(values):
            await self._keep()

    # ------------------------------------------------------------------------------------------------ regular reads

    async def _regular(self, read: Read, got: dict[str, Fetched]) -> None:
        """One read of the plan."""
        alone = read.span if read.span in self._want_at else None
        if alone is not None and self._book.refuses(alone) and self._elapsed_s() < self._again_at_s.get(alone, 0.0):
            self._put(got, read.names, span=read.span, registers=None, cause=Cause.REFUSED)
            return
        if self._link.last_chance and self._life is not None and self._life.span != read.span:
            await self._alive(got)  # before it is taken for dead: it may be silent about addresses only
        registers, cause, doubtful = await self._fetch(read.span)
        self._put(got, read.names, span=read.span, registers=registers, cause=cause)
        if alone is not None:
            await self._note_alone(alone, got, cause=cause if doubtful or registers is not None else None)
            return
        inside = [want for want in self._wants if _within(want.span, read.span)] if doubtful else []
        if inside and not self._link.dead:
            self._hunts.append((Hunt(inside, silent=cause is Cause.NO_ANSWER, life=self._life), cause))
            self._plans.clear()

    async def _alive(self, got: dict[str, Fetched]) -> bool:
        """Asks for a point that was answered before; whether the unit lives."""
        if self._life is None or self._link.resting:
            return False
        try:
            registers = await self._ask(self._life.span)
        except DriverError:
            return False
        self._put(got, self._life.names, span=self._life.span, registers=registers, cause=Cause.NONE)
        return True

    async def _note_alone(self, span: Span, got: dict[str, Fetched], *, cause: Cause | None) -> None:
        """Follows a point that is read alone: refused repeatedly, it gets its own slow pace; answered, it is forgiven.

        Args:
            span: its place.
            got: results of this poll.
            cause: what came of it; None: nothing that speaks of its address.
        """
        if cause is Cause.NONE:
            self._life = self._want_at[span]
            self._refusals.pop(span, None)
            if self._book.forgive(span):
                await self._found("device answers for a point that it refused", span)
        elif cause is not None:
            self._refusals[span] = self._refusals.get(span, 0) + 1
            believed = self._refusals[span] >= REFUSALS_TO_BELIEVE
            if cause is Cause.NO_ANSWER and not self._book.refuses(span):
                believed = self._refusals[span] >= SILENCES_TO_BELIEVE and await self._alive(got)
            if believed:
                self._again_at_s[span] = self._elapsed_s() + REFUSED_PACE_S
                if self._book.learn(Finding(hole=span)):
                    await self._found("device refuses a point, it is asked seldom", span)

    async def _probe(self, got: dict[str, Fetched]) -> bool:
        """Tries a dead unit with one point, another one each time; False: still dead, or its time has not come."""
        if self._link.resting or not self._wants:
            return False
        want = self._wants[self._probe_place % len(self._wants)]
        self._probe_place += 1
        try:
            registers = await self._ask(want.span)
        except DeviceRefused:
            return True
        except DriverError as error:
            cause = _cause(error)
            for each in self._wants if cause is Cause.LINE_DOWN else (want,):
                self._put(got, each.names, span=each.span, registers=None, cause=cause)
            return False
        self._put(got, want.names, span=want.span, registers=registers, cause=Cause.NONE)
        self._life = want
        return True

    async def _fetch(self, span: Span) -> tuple[Sequence[int] | None, Cause, bool]:
        """One request, repeated once if the unit was answering until now and the line has time for it.

        Returns:
            Registers or None, why none, and whether the addresses asked for may be the reason.
        """
        if self._link.resting:
            return None, Cause.NO_ANSWER, False
        again = self._link.answering and not self._shy and not self._book.refuses(span)
        while True:
            try:
                return await self._ask(span), Cause.NONE, False
            except (NoAnswer, ProtocolFault) as error:
                log.debug("no reading device=%s span=%s error=%s", self._name, span, error)
                if not again or self._link.resting:
                    return None, _cause(error), isinstance(error, NoAnswer)
                again = False
            except DriverError as error:
                log.debug("no reading device=%s span=%s error=%s", self._name, span, error)
                return None, _cause(error), isinstance(error, DeviceRefused) and error.code in DOUBTFUL_CODES

    async def _ask(self, span: Span, *, trial: bool = False) -> Sequence[int]:
        """One request, in its turn: due since the poll began, unless this unit has just kept the others waiting.

        Then whoever is due already goes first; and after a request in vain also whoever comes due within a period, so
        that nobody waits for more than one of them.

        Raises:
            DriverError: as `UnitLink.ask`.
        """
        due_s = self._due_s
        if self._link.silent or self._link.slow:
            due_s = self._elapsed_s() + self._link.silent * self._period_s
        return await self._link.ask_in_turn(span, due_s=due_s, trial=trial)

    def _put(
        self,
        got: dict[str, Fetched],
        names: Iterable[str],
        *,
        span: Span,
        registers: Sequence[int] | None,
        cause: Cause,
    ) -> None:
        """Deals the registers of one request out to its points."""
        # The event loop may have come to the answer long after the wire had it.
        now_utc = self._now_utc()
        instant_utc = self._at_utc(registers.complete_s) if isinstance(registers, Registers) else now_utc
        for name in names:
            first, count = self._places[name]
            offset = first - span.address
            own = None if registers is None else registers[offset : offset + count]
            if own is None and name in got and got[name].registers is not None:
                continue  # another read of this poll has brought it
            got[name] = Fetched(instant_utc, own, cause)

    # ----------------------------------------------------------------------------------------------------- the plan

    def _plan(self, names: tuple[str, ...]) -> list[Read]:
        """The cheapest reads for these points; remembered, because the same sets come again and again."""
        self._follow_pace()
        if names not in self._plans:
            if len(self._plans) >= PLANS_MAX:
                self._plans.clear()
            limits = self._profile.limits
            if self._book.registers_max is not None:
                limits = replace(limits, registers_max=min(limits.registers_max, self._book.registers_max))
            holes = [*self._book.holes, *(hunt.suspect_span for hunt, _ in self._hunts)]
            wants = wants_of(self._profile.points[name] for name in names)
            self._plans[names] = read_plan(wants, cost=self._cost, limits=limits, holes=holes)
        return self._plans[names]

    def _follow_pace(self) -> None:
        """Prices reads with the turnaround of this very unit: learned, or else as its profile says."""
        learned_s = self._link.turnaround_s or self._profile.timing.turnaround_s
        if learned_s is None:
            return
        turnaround_s = max(learned_s, TURNAROUND_FLOOR_S)
        if not self._turnaround_s / REPLAN_RATIO <= turnaround_s <= self._turnaround_s * REPLAN_RATIO:
            self._turnaround_s = turnaround_s
            self._cost = self._link.bus.cost.paced(turnaround_s)
            self._plans.clear()

    @property
    def cost(self) -> LineCost:
        """What a read of this unit costs, as far as known."""
        return self._cost

    # -------------------------------------------------------------------------------------------------------- holes

    async def _hunt(self, got: dict[str, Fetched], *, tests: int) -> int:
        """Goes on with what is in doubt; each read of a hunt fetches points that are wanted anyway.

        Args:
            got: results of this poll.
            tests: reads that may be added.

        Returns:
            How many of them are left.
        """
        while self._hunts:
            hunt, why = self._hunts[0]
            if self._link.dead:
                self._hunts.clear()
                self._plans.clear()
            elif hunt.finding is not None:
                del self._hunts[0]
                self._plans.clear()
                await self._take(hunt.finding)
            elif not tests or self._link.resting or (why is Cause.NO_ANSWER and self._link.line_spent):
                break  # enough for this poll
            else:
                tests -= 1
                await self._test(hunt, why, got)
        return tests

    def _tests_per_poll(self) -> int:
        """How many reads a hunt may add to this poll."""
        affordable = HUNT_SHARE * self._period_s / max(self._cost.request_s, TURNAROUND_FLOOR_S)
        return int(min(max(affordable, TESTS_PER_POLL_MIN), TESTS_PER_POLL_MAX))

    async def _take(self, finding: Finding) -> None:
        """Takes what a hunt found."""
        if finding.refused and finding.hole is not None:
            self._again_at_s[finding.hole] = self._elapsed_s() + REFUSED_PACE_S
        if self._book.learn(finding):
            await self._found("device refuses registers, they are read round", finding)

    async def _retest(self, got: dict[str, Fetched]) -> None:
        """Looks at a learned hole again, when it is time; one a poll, and only while nothing else is in doubt."""
        now_s = self._elapsed_s()
        if now_s >= self._retest_at_s:
            self._retest_at_s = now_s + RETEST_S
            self._to_retest = [hole for hole in self._book.holes if hole not in self._want_at]  # points have their pace
            self._to_retest += [None] if self._book.registers_max is not None else []
        if not self._to_retest or self._hunts or not self._link.answering:
            return
        hole = self._to_retest.pop(0)
        read = self._read_across(hole)
        if read is None:
            return
        try:
            registers = await self._ask(read.span, trial=True)
        except DriverError:  # it is a hole, or its time has not come
            return
        self._put(got, read.names, span=read.span, registers=registers, cause=Cause.NONE)
        if hole is None:
            self._book.allow_any_length()
            await self._found("device answers long reads after all", read.span)
        elif self._book.forgive(hole):
            await self._found("device answers for registers that it refused", hole)

    def _read_across(self, hole: Span | None) -> Read | None:
        """A legal read of wanted points that would be made if a hole were none (None: if reads could be longer)."""
        limits = self._profile.limits
        holes = [other for other in self._book.holes if other != hole]
        if hole is None:
            longest = self._book.registers_max or limits.registers_max
            reads = read_plan(self._wants, cost=self._cost, limits=limits, holes=holes)
            return next((read for read in reads if read.span.count > longest), None)
        mine = [want for want in self._wants if want.span.function == hole.function]
        before = max((want for want in mine if want.span.end <= hole.address), key=_end, default=None)
        behind = min((want for want in mine if want.span.address >= hole.end), key=_begin, default=None)
        if before is None or behind is None:
            return None
        reads = read_plan((before, behind), cost=self._cost, limits=limits, holes=holes)
        return reads[0] if len(reads) == 1 else None

    async def _test(self, hunt: Hunt, why: Cause, got: dict[str, Fetched]) -> None:
        """One read of a hunt."""
        span, wants = hunt.group_span, hunt.group
        try:
            registers = await self._ask(span, trial=hunt.trial)
        except (NoAnswer, DeviceRefused) as error:
            cause = _cause(error)
            for want in wants:
                self._put(got, want.names, span=span, registers=None, cause=cause)
            if cause is why and (isinstance(error, NoAnswer) or error.code in DOUBTFUL_CODES):
                hunt.tell(answered=False)
            else:
                hunt.give_up()
        except DriverError:
            hunt.give_up()
        else:
            for want in wants:
                self._put(got, want.names, span=span, registers=registers, cause=Cause.NONE)
            self._life = wants[0]
            hunt.tell(answered=True)

    async def _found(self, words: str, what: object) -> None:
        """Says and keeps what is new about the device's holes."""
        log.warning("%s device=%s what=%s", words, self._name, what)
        self._plans.clear()
        await self._keep()

    async def _keep(self) -> None:
        self._plans.clear()
        await self._memory.put(MEMORY_SECTION, self._book.as_json())


def _begin(want: Want) -> int:
    return want.span.address


def _end(want: Want) -> int:
    return want.span.end


def _within(inner: Span, outer: Span) -> bool:
    return inner.function == outer.function and outer.address <= inner.address and inner.end <= outer.end


def _cause(error: DriverError) -> Cause:
    for kind, cause in (
        (NoAnswer, Cause.NO_ANSWER),
        (LineDown, Cause.LINE_DOWN),
        (DeviceRefused, Cause.REFUSED),
    ):
        if isinstance(error, kind):
            return cause
    return Cause.PROTOCOL
