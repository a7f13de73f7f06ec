"""Carries commands out: judged, written on change, proven by read-back, told to the audit. Silence is not success.

A command that was not proven is repeated with growing pauses; after three times in a row it is an alarm.
"""

import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from drivers.sample import Quality
from drivers.writing import WriteOutcome
from edge_agent.control.command import Alarm, Command, Kind, Outcome, Verdict
from edge_agent.control.guard import Refused, judge
from edge_agent.control.memory import ControlMemory
from edge_agent.control.modes import Mode
from edge_agent.control.view import PlantView
from edge_agent.image import ProcessImage
from edge_agent.settings.model import SiteFile

LOG = logging.getLogger(__name__)

Write = Callable[[str, float], Awaitable[WriteOutcome]]
Renew = Callable[[str, float], bool]
Audit = Callable[[Outcome], Awaitable[None]]

DEADBANDS = {Kind.SETPOINT: 0.2, Kind.CAPACITY_LIMIT: 0.02, Kind.DISCHARGE_VALVE: 0.01}
"""A change smaller than this is not written: registers wear, valves too. [K, ratio, ratio] Ours."""
EXACT = 1e-6
UNVERIFIED_ALARM_COUNT = 3
BACK_OFF_CYCLES_MAX = 8


@dataclass(slots=True)
class _Failed:
    """A command that was not proven: how often in a row, when it is tried again."""

    value: float
    count: int
    again_utc: datetime
    since_utc: datetime


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
    ) -> None:
        """Wires the executor.

        Args:
            site: the site file.
            image: last samples.
            write: writes a point and proves it.
            audit: keeps an outcome.
            renew: says that what stands in a point is still wanted, without a frame; False if the device has given it
                up, or is about to: it must be written again. Commands that can expire live by it.
            now_utc: the site's clock, to see that a cycle was not overtaken by time; None where time only moves
                between cycles.
        """
        self._site = site
        self._now_utc = now_utc
        self._image = image
        self._write = write
        self._audit = audit
        self._renew = renew
        self._verified: dict[str, tuple[float, datetime]] = {}
        self._failed: dict[str, _Failed] = {}
        self._refused: dict[str, tuple[float, str, datetime]] = {}
        self._beats: dict[str, tuple[float, datetime | None]] = {}

    # ------------------------------------------------------------------------------------------------------ commands

    async def carry_out(
        self, commands: Sequence[Command], *, view: PlantView, memory: ControlMemory, mode: Mode
    ) -> list[Outcome]:
        """Judges and writes what differs from what stands in the plant, in the given order.

        In mode advise nothing is written: what would have been is returned as advised.
        """
        outcomes: list[Outcome] = []
        blocked: set[str] = set()
        overtaken = False
        told = {command.point for command in commands}
        self._refused = {point: entry for point, entry in self._refused.items() if point in told}
        self._failed = {point: entry for point, entry in self._failed.items() if point in told or point in self._beats}
        for command in commands:
            if not self._differs(command) and self._still_wanted(command, mode):
                self._failed.pop(command.point, None)
                self._refused.pop(command.point, None)
                continue
            if self.overtaken(view):
                outcomes.append(self._give_up(command, view, said=overtaken))
                overtaken = True
                continue
            if command.kind is Kind.RUN_REQUEST and command.value == 1.0 and command.subject in blocked:
                # Its mode was not taken: it must not run in another one, and the start did not happen.
                outcomes.append(Outcome(command, view.instant_utc, Verdict.REFUSED, "mode_not_taken"))
                continue
            outcome = await self._one(command, view=view, memory=memory, mode=mode)
            if outcome is None:
                blocked.add(command.subject)
                continue
            outcomes.append(outcome)
            if command.kind is Kind.MODE_REQUEST and outcome.verdict is not Verdict.VERIFIED:
                blocked.add(command.subject)
        return outcomes

    def overtaken(self, view: PlantView) -> bool:
        """Whether a view has become stale while it was acted upon: a disk or a bus held us up.

        Meanwhile the units may have gone over to their own control; what was right then may be harmful now.
        """
        if self._now_utc is None:
            return False
        return (self._now_utc() - view.instant_utc).total_seconds() > self._site.control.stale_s

    def _give_up(self, command: Command, view: PlantView, *, said: bool) -> Outcome:
        """Refuses a command of a cycle that was overtaken; said once a cycle."""
        if not said:
            LOG.error("cycle given up, its view is too old instant=%s", view.instant_utc.isoformat())
        before = self.standing(command.point)
        return Outcome(command, view.instant_utc, Verdict.REFUSED, "view_too_old", before=before)

    async def _one(self, command: Command, *, view: PlantView, memory: ControlMemory, mode: Mode) -> Outcome | None:
        """One command to its end; None while it waits to be repeated."""
        now_utc = view.instant_utc
        before = self.standing(command.point)
        if mode is Mode.ADVISE:
            verdict = judge(command, view, memory=memory, mode=Mode.AUTO, site=self._site)
            if isinstance(verdict, Refused) and verdict.code != "not_commissioned":
                return Outcome(
                    command, now_utc, Verdict.REFUSED, verdict.code, values=dict(verdict.values), before=before
                )
            return Outcome(command, now_utc, Verdict.ADVISED, before=before)
        failed = self._failed.get(command.point)
        if failed is not None and _same(failed.value, command) and now_utc < failed.again_utc:
            return None
        verdict = judge(command, view, memory=memory, mode=mode, site=self._site)
        if isinstance(verdict, Refused):
            outcome = Outcome(
                command, now_utc, Verdict.REFUSED, verdict.code, values=dict(verdict.values), before=before
            )
            known = self._refused.get(command.point)
            if known is None or known[1] != verdict.code or not _same(known[0], command):
                self._refused[command.point] = (command.value, verdict.code, now_utc)
                LOG.warning("command refused point=%s value=%s reason=%s", command.point, command.value, verdict.code)
                await self._audit(outcome)
            return outcome
        self._refused.pop(command.point, None)
        written = await self._write(command.point, command.value)
        outcome = self._conclude(command, written, before=before, now_utc=now_utc)
        await self._audit(outcome)
        return outcome

    def _conclude(self, command: Command, written: WriteOutcome, *, before: float | None, now_utc: datetime) -> Outcome:
        point = command.point
        if written.verified:
            self._verified[point] = (command.value, now_utc)
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

    def standing(self, point: str) -> float | None:
        """What stands in a point: the younger of last reading and last proven write; None if neither is known."""
        sample = self._image.get(point)
        written = self._verified.get(point)
        read = sample.value if sample is not None and sample.quality is Quality.GOOD else None
        if written is not None and (sample is None or read is None or sample.instant_utc <= written[1]):
            return written[0]
        return read

    def _differs(self, command: Command) -> bool:
        standing = self.standing(command.point)
        if standing is None:
            return True
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
            point = f"{unit.device}.{Kind.HEARTBEAT.value}"
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
        """Commands that were not proven three times in a row, and those that the guard keeps refusing."""
        unproven = [
            Alarm("write_unverified", point, failed.since_utc, {"point": point, "wrote": failed.value})
            for point, failed in self._failed.items()
            if failed.count >= UNVERIFIED_ALARM_COUNT
        ]
        refused = [
            Alarm("write_refused", point, since_utc, {"point": point, "reason": code})
            for point, (_, code, since_utc) in self._refused.items()
        ]
        return unproven + refused


def _same(value: float, command: Command) -> bool:
    return abs(value - command.value) <= DEADBANDS.get(command.kind, EXACT)
