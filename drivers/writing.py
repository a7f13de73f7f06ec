"""Writes one value to a device so that success is proven: rules, bounds, step, echo, read back, comparison.

It decides nothing about the plant; whoever asks for a write has been judged before. What may be written at all is said
by the profile alone. What must outlive a crash (counts of wear, commands in force, pulses to be ended) is made safe
before the frame that it belongs to leaves. Watchdogs, expiries and pulses to be ended are served by `serve`.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from drivers.bus.base import Span
from drivers.codec import PointCodec
from drivers.errors import DeviceRefused, DriverError, GiveUpPoint, LineDown, NoAnswer, ProtocolFault, WriteForbidden
from drivers.link import UnitLink
from drivers.memory import DeviceMemory
from drivers.profile import Access, PointSpec, Pulse, WriteRule
from drivers.standing import RunningTime, Standing, StandingCommands
from drivers.wear import WriteCount, WriteCounts

log = logging.getLogger(__name__)

TOLERANCE_FLOOR = 1e-6
"""Written and read back values are equal if they differ by less than this, whatever the rule says: float arithmetic."""
AGAIN_S = 30.0
"""What could not be served (a pulse to be ended, a safe value) is tried again after this running time."""
TAKEN_PERHAPS = (4, 5, 6)
"""Exceptions (failure, accepted and still working, busy) that do not say that the value was not taken."""
WRITES = "writes"
"""Section of the device's memory: counts of wear and commands in force."""
PULSES = "pulses"
"""Section of the device's memory: pulses sent, or about to be, that have not been ended."""


class Reason(StrEnum):
    """Why a write is not verified; empty when it is. Stable codes, worded in `edge_agent/texts`."""

    NONE = ""
    UNKNOWN_POINT = "unknown_point"
    NOT_WRITABLE = "not_writable"
    MONITOR_MODE = "monitor_mode"  # the mode of the plant allows no write to any device
    NOT_A_NUMBER = "not_a_number"
    OUT_OF_BOUNDS = "out_of_bounds"
    LIMITS_UNKNOWN = "limits_unknown"  # the point that decides about the bounds cannot be read
    NOT_NOW = "not_now"  # in the present state of the device nothing may be written to this point
    RATE_LIMIT = "rate_limit"
    PULSE_PENDING = "pulse_pending"  # the pulse before has not been ended yet
    LOCKED = "locked"  # the device was not unlocked
    NO_ANSWER = "no_answer"
    LINE_DOWN = "line_down"
    PROTOCOL = "protocol"
    REFUSED = "refused"
    READ_BACK_FAILED = "read_back_failed"
    READ_BACK_DIFFERS = "read_back_differs"


class _Stop(Exception):
    """A write goes no further, for a reason."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class WriteOutcome:
    """What became of a write. Silence is not success.

    Attributes:
        verified: the device's own state point shows what was written.
        wrote: the value sent, rounded to step and register, in the inside unit; the wanted value when nothing was sent.
        read_back: what the state point showed; None if it was not read.
        reason: code of `Reason`, empty when verified.
    """

    verified: bool
    wrote: float
    read_back: float | None
    reason: str


class Writer:
    """Writes to one device, one command at a time.

    Args:
        link: the unit on its wire.
        points: what its profile says of each point.
        codecs: registers <-> values of each point.
        memory: what it knew before the last restart.
        now_utc: site's clock.
        elapsed_s: stop-watch of the machine [s].
        may_write: asked before every write; False: not one frame leaves.
        sleep: waits for a time [s].
    """

    def __init__(
        self,
        link: UnitLink,
        *,
        points: Mapping[str, PointSpec],
        codecs: Mapping[str, PointCodec],
        memory: DeviceMemory,
        now_utc: Callable[[], datetime],
        elapsed_s: Callable[[], float],
        may_write: Callable[[], bool],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._link = link
        self._points = points
        self._codecs = codecs
        self._memory = memory
        self._now_utc = now_utc
        self._elapsed_s = elapsed_s
        self._may_write = may_write
        self._sleep = sleep
        self._rules = {name: spec.write for name, spec in points.items() if spec.write is not None}
        self._one = asyncio.Lock()
        self._time = RunningTime(now_utc, elapsed_s)
        kept = memory.get(WRITES)
        sections = kept if isinstance(kept, dict) else {}
        self._counts = WriteCounts(sections.get("counts"))
        self._standing = StandingCommands(sections.get("commands"), now_s=0.0, rules=self._rules)
        pulses = memory.get(PULSES)
        names = pulses if isinstance(pulses, list) else []
        self._pulses = [name for name in names if name in self._rules and self._rules[name].pulse is not None]
        self._free_at_s = -math.inf
        self._again_s: dict[str, float] = {}

    @property
    def counts(self) -> Mapping[str, WriteCount]:
        """Frames sent to each point, over all restarts."""
        return self._counts.counts

    # ------------------------------------------------------------------------------------------------------ commands

    async def write(self, name: str, value: float) -> WriteOutcome:
        """Writes one value and proves it: bounds, step, echo, read back of the state point, comparison.

        A frame is sent once. If its echo is lost, the state point alone tells what became of it.

        Args:
            name: of the point in the profile.
            value: in the inside unit.
        """
        async with self._one:
            wrote = value
            try:
                rule = self._rule(name, value)
                wrote, registers = await self._registers(name, value, rule=rule)
                seen = await self._shown(rule, wrote) if self._in_force(name, rule) else None
                if seen is not None:
                    self._renewed(name)
                    return WriteOutcome(verified=True, wrote=wrote, read_back=seen, reason=Reason.NONE)
                self._check_room(name, rule, needed=1 + _ends(rule))
                await self._unlock(rule)
                outcome = await self._send(name, wrote, registers)
            except _Stop as stop:
                return WriteOutcome(verified=False, wrote=wrote, read_back=None, reason=stop.reason)
            if name in self._pulses:
                await self._end_pulse(name)
            return outcome

    def renew(self, name: str, value: float) -> bool:
        """Says that a command is still wanted; sends nothing.

        Returns:
            False if it can expire and does not stand any more: it must be written again.
        """
        rule = self._rules.get(name)
        if rule is None or rule.expiry_s is None:
            return True
        standing = self._standing.get(name)
        if standing is None or not standing.proven or abs(standing.value - value) > _resolution(rule):
            return False
        if not self._in_force(name, rule):
            return False
        standing.renewed_s = self._time.passed_s()
        return True

    def room(self, name: str, *, frames: int) -> bool:
        """Whether so many commands in a row are within the limits of this hour and day."""
        rule = self._rules.get(name)
        if rule is None:
            return False
        return self._counts.room(name, rule, now_utc=self._now_utc(), needed=frames + _ends(rule))

    def _rule(self, name: str, value: float) -> WriteRule:
        """The rule of a point that may be written at all, and now."""
        if name not in self._points:
            raise _Stop(Reason.UNKNOWN_POINT)
        rule = self._rules.get(name)
        if rule is None:
            raise _Stop(Reason.NOT_WRITABLE)
        if not self._may_write():
            raise _Stop(Reason.MONITOR_MODE)
        if not math.isfinite(value):
            raise _Stop(Reason.NOT_A_NUMBER)
        if not _within(value, rule.value_min, rule.value_max):
            raise _Stop(Reason.OUT_OF_BOUNDS)
        if self._link.resting:
            raise _Stop(Reason.NO_ANSWER)
        if name in self._pulses:
            raise _Stop(Reason.PULSE_PENDING)
        return rule

    async def _registers(self, name: str, value: float, *, rule: WriteRule) -> tuple[float, Sequence[int]]:
        """The value as step and register can hold it, within its present bounds, and its registers."""
        low, high = await self._bounds(rule)
        if not _within(value, low, high):
            raise _Stop(Reason.OUT_OF_BOUNDS)
        wanted = min(max(round(value / rule.step) * rule.step, low), high) if rule.step else value
        codec = self._codecs[name]
        try:
            registers = codec.encode(wanted)
        except GiveUpPoint:
            raise _Stop(Reason.OUT_OF_BOUNDS) from None
        wrote = codec.decode(registers)[0]
        assert wrote is not None
        if not _within(wrote, low, high):  # a coarse register rounds beyond the bound
            raise _Stop(Reason.OUT_OF_BOUNDS)
        codes = self._points[name].values
        if codes and not any(_within(wrote, code, code) for code in codes):  # between two codes there is nothing
            raise _Stop(Reason.OUT_OF_BOUNDS)
        return wrote, registers

    async def _bounds(self, rule: WriteRule) -> tuple[float, float]:
        """What may be written now."""
        if rule.limits_by is None:
            return rule.value_min, rule.value_max
        try:
            state = await self.see(rule.limits_by.point)
        except DriverError:
            state = None
        if state is None:
            raise _Stop(Reason.LIMITS_UNKNOWN)
        bounds = rule.limits_by.values.get(state)
        if bounds is None:
            raise _Stop(Reason.NOT_NOW)
        return bounds

    async def _shown(self, rule: WriteRule, wrote: float) -> float | None:
        """What the state point shows, if that is what is wanted already; None: a frame is needed.

        It is read now: what we wrote last is not what stands in the device.
        """
        if rule.deadband is None:
            return None
        try:
            seen = await self.see(rule.state_point)
        except (NoAnswer, ProtocolFault, LineDown) as error:
            raise _Stop(_reason(error)) from error
        except DriverError:
            return None
        if seen is not None and _proves(rule, wrote, seen, tolerance=max(rule.deadband, TOLERANCE_FLOOR)):
            return seen
        return None

    def _in_force(self, name: str, rule: WriteRule) -> bool:
        """Whether a command that can expire has not done so: what merely shows is not in force."""
        standing = self._standing.get(name)
        if rule.expiry_s is None:
            return True
        return standing is not None and self._time.passed_s() - standing.renewed_s < rule.expiry_s

    def _renewed(self, name: str) -> None:
        """A command was wanted again, shows, and needed no frame."""
        standing = self._standing.get(name)
        if standing is not None:
            standing.renewed_s = self._time.passed_s()
            standing.prove(proven=True)

    def _check_room(self, name: str, rule: WriteRule, *, needed: int) -> None:
        if not self._counts.room(name, rule, now_utc=self._now_utc(), needed=needed):
            raise _Stop(Reason.RATE_LIMIT)

    async def _unlock(self, rule: WriteRule) -> None:
        """Brings the points that lock this one to their values, each proven."""
        for unlock in rule.unlock:
            key = self._rules[unlock.point]
            try:
                seen = await self.see(key.state_point)
            except DriverError:
                seen = None
            if seen is not None and _proves(key, unlock.value, seen, tolerance=key.tolerance):
                continue
            self._check_room(unlock.point, key, needed=1)
            try:
                registers = self._codecs[unlock.point].encode(unlock.value)
            except GiveUpPoint:
                raise _Stop(Reason.LOCKED) from None
            outcome = await self._send(unlock.point, unlock.value, registers)
            if not outcome.verified:
                log.warning("device was not unlocked point=%s reason=%s", unlock.point, outcome.reason)
                raise _Stop(Reason.LOCKED)

    # ------------------------------------------------------------------------------------------------------- frames

    async def _send(self, name: str, wrote: float, registers: Sequence[int]) -> WriteOutcome:
        """Sends one command and proves it."""
        rule = self._rules[name]
        before = self._standing.get(name)
        if rule.expiry_s is not None:
            self._standing.put(name, wrote, now_s=self._time.passed_s())
        if rule.pulse is not None and rule.pulse.reset is not None:
            self._pulses.append(name)
            await self._memory.put(PULSES, list(self._pulses))
        outcome = WriteOutcome(verified=False, wrote=wrote, read_back=None, reason=Reason.MONITOR_MODE)
        try:
            await self._frame(name, registers)
        except _Stop as stop:
            await self._not_sent(name, before)
            raise stop from None
        except DriverError as error:
            if _not_taken(error):
                await self._not_sent(name, before)
                return replace(outcome, reason=_reason(error))
            outcome = await self._prove(rule, wrote)
            if not outcome.verified:
                outcome = replace(outcome, reason=_reason(error))
        else:
            outcome = await self._prove(rule, wrote)
            if rule.pulse is not None and rule.state_point == name and self._silent(name, rule.pulse):
                # That the device took it is all that can be known.
                outcome = replace(outcome, verified=True, reason=Reason.NONE)
        standing = self._standing.get(name)
        if standing is not None:
            standing.prove(proven=outcome.verified)
            if outcome.verified and rule.keep_alive_s is not None:
                await self._keep()  # only what is known to stand there is fed after a restart
        return outcome

    def _silent(self, name: str, pulse: Pulse) -> bool:
        """Whether a pulse shows nowhere: it clears itself before we look, or cannot be read."""
        return pulse.reset is None or self._points[name].access is Access.WRITE

    async def _not_sent(self, name: str, before: Standing | None) -> None:
        """Takes back what was noted for a command that the device cannot have taken."""
        if self._rules[name].expiry_s is not None:
            self._standing.restore(name, before)
            await self._keep()
        if name in self._pulses:
            self._pulses.remove(name)
            await self._memory.put(PULSES, list(self._pulses))

    async def _frame(self, name: str, registers: Sequence[int]) -> None:
        """The only way to the wire: counted and journalled first, and never while writing is not allowed.

        Raises:
            DriverError: as `UnitLink.send`.
        """
        spec, rule = self._points[name], self._rules[name]
        pause_s = self._free_at_s - self._elapsed_s()
        if pause_s > 0:
            await self._sleep(pause_s)
        if not self._may_write():
            raise _Stop(Reason.MONITOR_MODE)
        self._counts.add(name, rule, now_utc=self._now_utc())
        if not rule.volatile or rule.expiry_s is not None:
            await self._keep()
        if not self._may_write():  # a slow disk gives time to change one's mind
            raise _Stop(Reason.MONITOR_MODE)
        try:
            await self._link.send(spec.first, registers, function=rule.function)
        finally:
            self._free_at_s = self._elapsed_s() + rule.wait_s

    async def _keep(self) -> None:
        """Makes counts and commands safe. Counts of registers that do not wear go along, they cause no writing."""
        steady = {name for name, rule in self._rules.items() if not rule.volatile}
        counts = {name: count for name, count in self._counts.state().items() if name in steady}
        await self._memory.put(WRITES, {"counts": counts, "commands": self._standing.state()})

    async def see(self, name: str) -> float | None:
        """Reads a point now.

        Returns:
            Its value; None if it has none.

        Raises:
            DriverError: as `UnitLink.ask`.
        """
        codec = self._codecs[name]
        registers = await self._link.ask(Span(codec.spec.function, codec.first, codec.count))
        return codec.decode(registers)[0]

    async def _prove(self, rule: WriteRule, wrote: float) -> WriteOutcome:
        """Reads the state point and compares."""
        try:
            seen = await self.see(rule.state_point)
        except DriverError:
            seen = None
        if seen is None:
            return WriteOutcome(verified=False, wrote=wrote, read_back=None, reason=Reason.READ_BACK_FAILED)
        close = _proves(rule, wrote, seen, tolerance=rule.tolerance)
        reason = Reason.NONE if close else Reason.READ_BACK_DIFFERS
        return WriteOutcome(verified=close, wrote=wrote, read_back=seen, reason=reason)

    # ------------------------------------------------------------------------------------------------------ serving

    @property
    def serves(self) -> bool:
        """Whether any point of this device may ever need `serve`."""
        return any(rule.expiry_s is not None or rule.pulse is not None for rule in self._rules.values())

    async def serve(self) -> None:
        """Ends pulses, replaces expired commands by their safe value, and feeds the watchdogs of those in force.

        Called every few seconds of running time. Sends and reads nothing while writing is not allowed: a watchdog is
        then left to run out, and what is owed is done once it is allowed again.
        """
        now_s = self._time.passed_s()
        if not (self._pulses or self._standing) or not self._may_write() or self._link.resting:
            return
        async with self._one:
            for name in list(self._pulses):
                if now_s >= self._again_s.get(name, -math.inf):
                    await self._end_pulse(name)
            for name in self._standing.expired(self._rules, now_s=now_s):
                if now_s >= self._again_s.get(name, -math.inf):
                    await self._replace(name)
            for name in self._standing.to_feed(self._rules, now_s=now_s):
                await self._feed(name)

    async def _end_pulse(self, name: str) -> None:
        """Brings a pulse back to its rest; if that is not proven it is tried again later, even after a restart."""
        pulse = self._rules[name].pulse
        assert pulse is not None
        assert pulse.reset is not None
        if await self._settle(name, pulse.reset):
            self._pulses.remove(name)
            await self._memory.put(PULSES, list(self._pulses))

    async def _replace(self, name: str) -> None:
        """Ends a command that its owner has given up: its safe value, unless somebody else has changed it."""
        rule, standing = self._rules[name], self._standing.get(name)
        assert standing is not None
        if rule.safe is not None and not await self._settle(name, rule.safe, ours=standing.ours):
            return
        log.warning("command expired point=%s value=%s safe=%s", name, standing.value, rule.safe)
        self._standing.drop(name)
        await self._keep()

    async def _settle(self, name: str, value: float, *, ours: Sequence[float] = ()) -> bool:
        """Brings a register to a value that is owed to the device.

        Args:
            name: of the point.
            value: what it must show.
            ours: what it shows if it is still ours; anything else is left alone. Empty: whatever it shows.

        Returns:
            False if it has to be tried again later.
        """
        readable = self._points[name].access is not Access.WRITE
        self._again_s[name] = self._time.passed_s() + AGAIN_S
        try:
            shown = await self.see(name) if readable else None
            if readable and (shown is None or self._at(name, value, shown)):
                settled = shown is not None
            elif shown is not None and ours and not any(self._at(name, old, shown) for old in ours):
                settled = True
            else:
                self._check_room(name, self._rules[name], needed=1)
                await self._frame(name, self._codecs[name].encode(value))
                settled = not readable or self._at(name, value, await self.see(name))
        except (_Stop, DriverError) as error:
            log.warning("value is still owed to a device point=%s value=%s reason=%s", name, value, error)
            return False
        if settled:
            self._again_s.pop(name, None)
        return settled

    def _at(self, name: str, value: float, read_back: float | None) -> bool:
        """Whether a point shows a value of its own coding."""
        return read_back is not None and abs(read_back - value) <= self._rules[name].tolerance + TOLERANCE_FLOOR

    async def _feed(self, name: str) -> None:
        """Writes a command in force again, for the device's watchdog."""
        rule, standing = self._rules[name], self._standing.get(name)
        assert standing is not None
        try:
            self._check_room(name, rule, needed=1)
            await self._frame(name, self._codecs[name].encode(standing.value))
        except (_Stop, DriverError) as error:
            log.warning("watchdog was not served point=%s reason=%s", name, error)
            return
        standing.written_s = self._time.passed_s()


def _ends(rule: WriteRule) -> int:
    """Frames that must be able to follow within the limits: what ends the command, a safe value or a pulse's rest."""
    return int(rule.safe is not None or (rule.pulse is not None and rule.pulse.reset is not None))


def _not_taken(error: DriverError) -> bool:
    """Whether the device cannot have taken a write that failed so; of anything else only its state point tells."""
    if isinstance(error, DeviceRefused):
        return error.code not in TAKEN_PERHAPS
    return isinstance(error, LineDown | WriteForbidden)


def _within(value: float, lower: float, upper: float) -> bool:
    return lower - TOLERANCE_FLOOR <= value <= upper + TOLERANCE_FLOOR


def _resolution(rule: WriteRule) -> float:
    """Difference of two values that are written alike."""
    return max((rule.step or 0.0) / 2, rule.deadband or 0.0, rule.tolerance) + TOLERANCE_FLOOR


def _proves(rule: WriteRule, wrote: float, read_back: float, *, tolerance: float) -> bool:
    """Whether what the state point shows is what was written."""
    proofs = rule.state_values.get(wrote, (wrote,))
    return any(abs(read_back - proof) <= tolerance + TOLERANCE_FLOOR for proof in proofs)


def _reason(error: DriverError) -> Reason:
    for kind, reason in (
        (NoAnswer, Reason.NO_ANSWER),
        (LineDown, Reason.LINE_DOWN),
        (DeviceRefused, Reason.REFUSED),
        (WriteForbidden, Reason.MONITOR_MODE),
    ):
        if isinstance(error, kind):
            return reason
    return Reason.PROTOCOL
