"""Carries commands out: judged, written on change, proven by read-back and by effect, told to the audit.

Silence is not success. Every command has a number and comes to an end in the audit: it is told as issued before its
frame leaves, then as verified or not, then with its effect. One that was not proven is repeated with growing pauses;
after three times in a row it is an alarm, and so is one that the plant did not follow.
"""

import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from drivers.sample import Quality
from drivers.writing import WriteOutcome
from edge_agent.control.awaiting import Awaiting
from edge_agent.control.command import Alarm, Command, Expectation, Kind, Outcome, Verdict
from edge_agent.control.guard import Refused, judge
from edge_agent.control.memory import ControlMemory
from edge_agent.control.modes import Mode
from edge_agent.control.view import PlantView
from edge_agent.image import ProcessImage
from edge_agent.settings.model import SiteFile

LOG = logging.getLogger(__name__)

Write = Callable[[str, float], Awaitable[WriteOutcome]]
Renew = Callable[[str, float], bool]
Audit = Callable[[Sequence[Outcome]], Awaitable[None]]
"""Keeps stages of commands, all or none."""
CauseOf = Callable[[Command], str]
"""Which plan, whose order, which limit stands behind a command."""

DEADBANDS = {Kind.SETPOINT: 0.2, Kind.CAPACITY_LIMIT: 0.02, Kind.DISCHARGE_VALVE: 0.01}
"""A change smaller than this is not written: registers wear, valves too. [K, ratio, ratio] Ours."""
EXACT = 1e-6
UNVERIFIED_ALARM_COUNT = 3
BACK_OFF_CYCLES_MAX = 8
REPLACED_COUNT_MAX = 3
REPLACED_WINDOW_S = 3600.0
"""A register that a device has changed back so often within this time is not written again before it is over [s]: we do
not fight a unit's own control. Ours."""
REPLACEABLE = frozenset({Kind.SETPOINT, Kind.CAPACITY_LIMIT})


@dataclass(frozen=True, slots=True)
class _Proven:
    """A command that was proven: its value, when, and what the register showed then.

    The two differ by up to the device's own dead band, within which nothing is written.
    """

    value: float
    when_utc: datetime
    read_back: float


@dataclass(slots=True)
class _Failed:
    """A command that was not proven: how often in a row, when it is tried again."""

    value: float
    count: int
    again_utc: datetime
    since_utc: datetime


@dataclass(slots=True)
class _Replaced:
    """A register that a device changes back by itself."""

    count: int
    since_utc: datetime
    last_utc: datetime


@dataclass(frozen=True, slots=True)
class _Issue:
    """A command that may be written, and its place among all of a cycle."""

    place: int
    number: int
    command: Command
    before: float | None


class Executor:
    """The only part of control that writes."""

    def __init__(
        self,
        site: SiteFile,
        *,
        image: ProcessImage,
        write: Write,
        audit: Audit,
        renew: Renew = lambda _point, _value: True,
        now_utc: Callable[[], datetime] | None = None,
        expectations: Sequence[Expectation] = (),
        last_number: int = 0,
    ) -> None:
        """Wires the executor.

        Args:
            site: the site file.
            image: last samples.
            write: writes a point and proves it.
            audit: keeps the stages of commands.
            renew: says that what stands in a point is still wanted, without a frame; False if the device has given it
                up, or is about to: it must be written again. Commands that can expire live by it.
            now_utc: the site's clock, to see that a cycle was not overtaken by time; None where time only moves
                between cycles.
            expectations: commands of the run before whose effect is still awaited.
            last_number: of the last command in the audit.
        """
        self._site = site
        self._now_utc = now_utc
        self._image = image
        self._write = write
        self._audit = audit
        self._renew = renew
        self._verified: dict[str, _Proven] = {}
        self._failed: dict[str, _Failed] = {}
        self._refused: dict[str, tuple[float, str, datetime]] = {}
        self._beats: dict[str, tuple[float, datetime | None]] = {}
        self._awaiting = Awaiting(site, read=image.get, expectations=expectations)
        self._replaced: dict[str, _Replaced] = {}
        self._number = max([last_number, *(expectation.number for expectation in expectations)])

    # ------------------------------------------------------------------------------------------------------ commands

    async def carry_out(
        self,
        commands: Sequence[Command],
        *,
        view: PlantView,
        memory: ControlMemory,
        mode: Mode,
        cause_of: CauseOf = lambda _command: "",
    ) -> list[Outcome]:
        """Judges and writes what differs from what stands in the plant, in the given order.

        In mode advise nothing is written: what would have been is returned as advised.

        Args:
            commands: wishes of this cycle.
            view: the plant now.
            memory: starts and stops.
            mode: nothing is written but in auto.
            cause_of: what stands behind a command, for the audit.
        """
        told = {command.point for command in commands}
        self._refused = {point: entry for point, entry in self._refused.items() if point in told}
        self._failed = {point: entry for point, entry in self._failed.items() if point in told or point in self._beats}
        outcomes: dict[int, Outcome] = {}
        issues: list[_Issue] = []
        blocked: set[str] = set()  # units whose mode waits to be repeated
        news: list[Outcome] = []
        for place, command in enumerate(commands):
            if not self._differs(command) and self._still_wanted(command, mode):
                self._failed.pop(command.point, None)
                self._refused.pop(command.point, None)
                continue
            if mode is Mode.ADVISE:
                outcomes[place] = self._advise(command, view=view, memory=memory)
                continue
            if self._withdrawn_since(command, view):
                continue
            if self._waits(command, view.instant_utc):
                if command.kind is Kind.MODE_REQUEST:
                    blocked.add(command.subject)
                continue
            if command.kind is Kind.RUN_REQUEST and command.value == 1.0 and command.subject in blocked:
                before = self.standing(command.point)
                outcomes[place] = Outcome(command, view.instant_utc, Verdict.REFUSED, "mode_not_taken", before=before)
                continue
            verdict = judge(command, view, memory=memory, mode=mode, site=self._site)
            if isinstance(verdict, Refused):
                outcomes[place] = self._refuse(command, verdict, view.instant_utc, cause_of=cause_of, news=news)
                if command.kind is Kind.MODE_REQUEST:
                    blocked.add(command.subject)
                continue
            self._refused.pop(command.point, None)
            self._number += 1
            issues.append(_Issue(place, self._number, command, self.standing(command.point)))
        # Told before the first frame leaves: a process that dies while writing leaves no command without a trace.
        news += [
            Outcome(
                issue.command,
                view.instant_utc,
                Verdict.ISSUED,
                before=issue.before,
                number=issue.number,
                reference=cause_of(issue.command),
            )
            for issue in issues
        ]
        if news:
            await self._audit(news)
        outcomes |= await self._write_all(issues, view=view, cause_of=cause_of, blocked=blocked)
        return [outcomes[place] for place in sorted(outcomes)]

    async def _write_all(
        self, issues: Sequence[_Issue], *, view: PlantView, cause_of: CauseOf, blocked: set[str]
    ) -> dict[int, Outcome]:
        """Writes what may be written; returns what became of each, by its place."""
        outcomes: dict[int, Outcome] = {}
        overtaken = False
        ends: list[Outcome] = []
        for issue in issues:
            command = issue.command
            reason = ""
            if self.overtaken(view):
                reason = "view_too_old"
                if not overtaken:
                    LOG.error("cycle given up, its view is too old instant=%s", view.instant_utc.isoformat())
                overtaken = True
            elif command.kind is Kind.RUN_REQUEST and command.value == 1.0 and command.subject in blocked:
                # Its mode was not taken: it must not run in another one, and the start did not happen.
                reason = "mode_not_taken"
            if reason:
                outcome = Outcome(command, view.instant_utc, Verdict.REFUSED, reason, before=issue.before)
            else:
                begun_utc = self._now_utc() if self._now_utc is not None else view.instant_utc
                written = await self._write(command.point, command.value)
                outcome = self._conclude(command, written, before=issue.before, now_utc=view.instant_utc)
                outcome = replace(outcome, latency_s=self._since_s(begun_utc))
            outcome = replace(outcome, number=issue.number, reference=cause_of(command))
            if not reason:
                held = outcome.read_back if command.kind in REPLACEABLE else None
                ends += self._awaiting.opened(outcome, read_back=held)
            if command.kind is Kind.MODE_REQUEST and outcome.verdict is not Verdict.VERIFIED:
                blocked.add(command.subject)
            ends.append(outcome)
            outcomes[issue.place] = outcome
        if ends:
            await self._audit(ends)
        return outcomes

    def _since_s(self, begun_utc: datetime) -> float | None:
        return None if self._now_utc is None else max(0.0, (self._now_utc() - begun_utc).total_seconds())

    def present_utc(self, view: PlantView) -> datetime:
        """The site's clock now, when a cycle's writes have taken their time; the view's instant on a fake clock."""
        return view.instant_utc if self._now_utc is None else max(view.instant_utc, self._now_utc())

    def overtaken(self, view: PlantView) -> bool:
        """Whether a view has become stale while it was acted upon: a disk or a bus held us up.

        Meanwhile the units may have gone over to their own control; what was right then may be harmful now.
        """
        if self._now_utc is None:
            return False
        return (self._now_utc() - view.instant_utc).total_seconds() > self._site.control.stale_s

    def _advise(self, command: Command, *, view: PlantView, memory: ControlMemory) -> Outcome:
        """What would have become of a command in auto, as far as can be said without writing it."""
        before = self.standing(command.point)
        verdict = judge(command, view, memory=memory, mode=Mode.AUTO, site=self._site)
        if isinstance(verdict, Refused) and verdict.code != "not_commissioned":
            values = dict(verdict.values)
            return Outcome(command, view.instant_utc, Verdict.REFUSED, verdict.code, values=values, before=before)
        return Outcome(command, view.instant_utc, Verdict.ADVISED, before=before)

    def _waits(self, command: Command, now_utc: datetime) -> bool:
        """Whether a command that was not proven, or that the device changes back, waits to be repeated."""
        failed = self._failed.get(command.point)
        if failed is not None and _same(failed.value, command) and now_utc < failed.again_utc:
            return True
        return command.kind in REPLACEABLE and self._changed_back(command, now_utc)

    def _changed_back(self, command: Command, now_utc: datetime) -> bool:
        """Notes that a device has put another value into a register; True when that has happened too often."""
        known = self._replaced.get(command.point)
        if known is not None and (now_utc - known.last_utc).total_seconds() >= REPLACED_WINDOW_S:
            del self._replaced[command.point]
            known = None
        if known is not None and known.count >= REPLACED_COUNT_MAX:
            return True
        written = self._verified.get(command.point)
        sample = self._image.get(command.point)
        if written is None or sample is None or sample.value is None or not _same(written.value, command):
            return False
        if sample.quality is not Quality.GOOD or sample.instant_utc <= written.when_utc:
            return False
        if abs(sample.value - written.read_back) < DEADBANDS.get(command.kind, EXACT) - EXACT:
            return False  # it stands as it was proven; what is wanted has moved on by just its dead band
        count = 1 if known is None else known.count + 1
        self._replaced[command.point] = _Replaced(count, now_utc if known is None else known.since_utc, now_utc)
        return count >= REPLACED_COUNT_MAX

    def _refuse(
        self, command: Command, verdict: Refused, now_utc: datetime, *, cause_of: CauseOf, news: list[Outcome]
    ) -> Outcome:
        """A refusal; one that lasts is told once."""
        outcome = Outcome(
            command,
            now_utc,
            Verdict.REFUSED,
            verdict.code,
            values=dict(verdict.values),
            before=self.standing(command.point),
        )
        known = self._refused.get(command.point)
        if known is None or known[1] != verdict.code or not _same(known[0], command):
            self._refused[command.point] = (command.value, verdict.code, now_utc)
            LOG.warning("command refused point=%s value=%s reason=%s", command.point, command.value, verdict.code)
            self._number += 1
            outcome = replace(outcome, number=self._number, reference=cause_of(command))
            news.append(outcome)
        return outcome

    def _conclude(self, command: Command, written: WriteOutcome, *, before: float | None, now_utc: datetime) -> Outcome:
        point = command.point
        if written.verified:
            held = command.kind in REPLACEABLE and written.read_back is not None
            stood = written.read_back if held and written.read_back is not None else command.value
            self._verified[point] = _Proven(command.value, now_utc, stood)
            self._failed.pop(point, None)
            return Outcome(command, now_utc, Verdict.VERIFIED, before=before, read_back=written.read_back)
        self._verified.pop(point, None)
        failed = self._failed.get(point)
        # Every heartbeat carries another number: it is the beat that fails, not the value.
        again = failed is not None and (command.kind is Kind.HEARTBEAT or _same(failed.value, command))
        count = failed.count + 1 if failed is not None and again else 1
        since_utc = failed.since_utc if failed is not None and again else now_utc
        pause_s = self._site.control.cycle_s * min(2 ** (count - 1), BACK_OFF_CYCLES_MAX)
        self._failed[point] = _Failed(command.value, count, now_utc + timedelta(seconds=pause_s), since_utc)
        LOG.warning(
            "command not proven point=%s value=%s reason=%s count=%d", point, command.value, written.reason, count
        )
        return Outcome(
            command,
            now_utc,
            Verdict.UNVERIFIED,
            str(written.reason),
            values={"count": count},
            before=before,
            read_back=written.read_back,
        )

    async def watch(self, now_utc: datetime) -> list[Outcome]:
        """Closes the commands whose effect has shown, or has not in its time; in every mode."""
        found = self._awaiting.watch(now_utc)
        if found:
            await self._audit(found)
        return found

    async def stand_back(self, now_utc: datetime) -> None:
        """Commands nothing any more: what stands in the plant is somebody else's, and no fault of our commands."""
        ends = self._awaiting.given_up(now_utc)
        self._verified.clear()
        self._refused.clear()
        self._failed.clear()
        self._replaced.clear()
        self._beats.clear()
        if ends:
            await self._audit(ends)

    def shift(self, by: timedelta) -> None:
        """Moves all remembered instants with the site's clock, which has been set."""
        self._verified = {
            point: replace(proven, when_utc=proven.when_utc + by) for point, proven in self._verified.items()
        }
        self._refused = {point: (value, code, when + by) for point, (value, code, when) in self._refused.items()}
        self._beats = {
            point: (number, None if when is None else when + by) for point, (number, when) in self._beats.items()
        }
        for failed in self._failed.values():
            failed.again_utc += by
            failed.since_utc += by
        for entry in self._replaced.values():
            entry.since_utc += by
            entry.last_utc += by
        self._awaiting.shift(by)

    @property
    def expectations(self) -> tuple[Expectation, ...]:
        """Commands whose effect is awaited."""
        return self._awaiting.expectations

    def standing(self, point: str) -> float | None:
        """What stands in a point: the younger of last reading and last proven write; None if neither is known."""
        sample = self._image.get(point)
        written = self._verified.get(point)
        read = sample.value if sample is not None and sample.quality is Quality.GOOD else None
        if written is not None and (sample is None or read is None or sample.instant_utc <= written.when_utc):
            return written.value
        return read

    def _withdrawn_since(self, command: Command, view: PlantView) -> bool:
        """Whether a request to run stood in the view and has been seen withdrawn since: the next cycle decides anew.

        After a power dip the view still shows a running unit with its flow, while its register already reads 0.
        """
        if command.kind is not Kind.RUN_REQUEST or command.value != 1.0:
            return False
        return view.units[command.subject].run_request is True and self.standing(command.point) == 0.0

    def _differs(self, command: Command) -> bool:
        standing = self.standing(command.point)
        if standing is None:
            return True
        proven = self._verified.get(command.point)
        if proven is not None and abs(standing - proven.read_back) <= EXACT:
            standing = proven.value  # the device took it within its own dead band: that is as commanded as it gets
        change = abs(command.value - standing)
        ends = command.kind is Kind.DISCHARGE_VALVE and command.value in (0.0, 1.0)
        return change > (EXACT if ends else DEADBANDS.get(command.kind, EXACT) - EXACT)

    def _still_wanted(self, command: Command, mode: Mode) -> bool:
        """Renews what stands in the plant as commanded; False if it has expired there all the same.

        Only auto commands: in any other mode a command that can expire is left to do so.
        """
        standing = self.standing(command.point)
        return mode is not Mode.AUTO or standing is None or self._renew(command.point, standing)

    # ----------------------------------------------------------------------------------------------------- heartbeat

    async def beat(self, view: PlantView, *, memory: ControlMemory, mode: Mode) -> None:
        """Refreshes the watchdog of every unit that is known and remote; a unit that we cannot see is left to itself.

        A heartbeat is not audited: it changes nothing. One that fails shows as an alarm.
        """
        now_utc = view.instant_utc
        # A little early rather than a whole cycle late.
        pause_s = self._site.control.heartbeat_s - 0.5 * self._site.control.cycle_s
        for name, unit in self._site.units.items():
            point = unit.point(Kind.HEARTBEAT.value)
            if point is None:
                continue
            number, last_utc = self._beats.get(point, (0.0, None))
            if last_utc is not None and 0.0 <= (now_utc - last_utc).total_seconds() < pause_s:
                continue
            number = math.fmod(number + 1.0, 32768.0)
            command = Command(point, number, Kind.HEARTBEAT, name)
            if isinstance(judge(command, view, memory=memory, mode=mode, site=self._site), Refused):
                continue
            if self.overtaken(view):
                return
            written = await self._write(point, number)
            # A beat that failed is tried again in the next cycle, not only when the next one is due.
            self._beats[point] = (number, now_utc if written.verified else None)
            self._conclude(command, written, before=None, now_utc=now_utc)
            self._verified.pop(point, None)

    # -------------------------------------------------------------------------------------------------------- alarms

    def alarms(self) -> list[Alarm]:
        """Commands that were not proven three times in a row, that had no effect, or that the guard keeps refusing."""
        unproven = [
            Alarm("write_unverified", point, failed.since_utc, {"point": point, "wrote": failed.value})
            for point, failed in self._failed.items()
            if failed.count >= UNVERIFIED_ALARM_COUNT
        ]
        refused = [
            Alarm("write_refused", point, since_utc, {"point": point, "reason": code})
            for point, (_, code, since_utc) in self._refused.items()
        ]
        replaced = [
            Alarm("command_replaced", point, entry.since_utc, {"point": point, "count": entry.count})
            for point, entry in self._replaced.items()
            if entry.count >= REPLACED_COUNT_MAX
        ]
        return unproven + refused + self._awaiting.alarms() + replaced


def _same(value: float, command: Command) -> bool:
    return abs(value - command.value) <= DEADBANDS.get(command.kind, EXACT)
