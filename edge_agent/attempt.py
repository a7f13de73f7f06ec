"""One attended proof of a command: judged like any other, confirmed by a person, read back, restored, audited.

Mode and signature do not matter to it, because somebody stands at the machine; every other rule of the guard and of the
profile does. It works on devices that somebody else has opened: `edge_agent.attended` where no service runs, and
`edge_agent.proving` inside the service.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import MappingProxyType

from drivers.device import Device
from drivers.errors import DriverError
from drivers.profile import PointSpec, WriteRule
from drivers.writing import Reason, WriteOutcome
from edge_agent.clock import Clock, elapsed_s
from edge_agent.control.command import Because, Command, Kind
from edge_agent.control.guard import Refused, judge
from edge_agent.control.memory import ControlMemory
from edge_agent.control.modes import Mode
from edge_agent.control.view import UnitState, build_view
from edge_agent.image import ProcessImage
from edge_agent.left_behind import Left, left_behind, note, strike_off
from edge_agent.settings.model import Commissioning, SiteFile
from edge_agent.store.rows import AuditEntry
from edge_agent.store.store import Store
from edge_agent.to_the_end import finished, to_the_end

WATCH_S = 2.0
"""Pause between two looks for an effect."""
CHANGE_RATIO = 0.02
"""A value that moves by less is not called an effect."""
FRAMES = 3
"""The command, its restoration, and once more the restoration if a frame is lost."""
RESTORE_S_MAX = 30.0
"""A device that falls silent is tried again for so long [s, wall] to get its value back ..."""
RESTORE_AGAIN_S = 2.0
"""... at this pace."""
SILENCE = (Reason.NO_ANSWER, Reason.LINE_DOWN, Reason.READ_BACK_FAILED)
"""After these the device is waited for before anything is written again."""

Confirm = Callable[[str], Awaitable[str | None]]
"""Shown what will be done, returns the name of who answers for it; None: nobody does."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its name is a code `prove_NAME` of the texts, with `_failed` behind it; ok None: for information."""

    name: str
    ok: bool | None
    values: dict[str, float | str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The plant as a proof finds it.

    Attributes:
        site: the plant.
        devices: by name, on open wires.
        image: last sample of every point.
        refresh: brings the image of one device up to date.
        store: keeps audit and journal.
        clock: the site's clock.
        memory: what control remembers.
        permit: lets writes to this device out, and to no other; None: to none.
        to_its_end: keeps signals from ending the process while something has to be put back.
    """

    site: SiteFile
    devices: Mapping[str, Device]
    image: ProcessImage
    refresh: Callable[[str], Awaitable[None]]
    store: Store
    clock: Clock
    memory: ControlMemory
    permit: Callable[[str | None], None]
    to_its_end: Callable[[], AbstractContextManager[None]] = nullcontext


UNIT_ROLES: Mapping[Kind, tuple[str, ...]] = MappingProxyType(
    {
        Kind.RUN_REQUEST: ("run_request",),
        Kind.MODE_REQUEST: ("mode_request", "charge_contact"),
        Kind.SETPOINT: ("supply_setpoint",),
        Kind.CAPACITY_LIMIT: ("capacity_limit",),
        Kind.STAGE: ("stage_request",),
        Kind.HEARTBEAT: ("heartbeat",),
    }
)
"""What a unit may be told, and which points carry it."""


def commands_of(site: SiteFile, device: str, point: str) -> list[tuple[Kind, str]]:
    """What a point is to control: kind of command and its subject in the site file; several pumps may share one."""
    found = [
        (kind, name)
        for name, unit in site.units.items()
        for kind, roles in UNIT_ROLES.items()
        if f"{device}.{point}" in (*map(unit.point, roles), *(unit.points.stage_contacts if kind is Kind.STAGE else ()))
    ]
    found += [(Kind.PUMP, name) for name, pump in site.pumps.items() if (pump.device, pump.command) == (device, point)]
    for name, valve in site.valves.items():
        if (valve.device, valve.point) == (device, point):
            isolating = any(storage.isolating_valve == name for storage in site.storages.values())
            found.append((Kind.ISOLATING_VALVE if isolating else Kind.DISCHARGE_VALVE, name))
    return found


class Attempt:
    """One proof.

    Args:
        scene: the plant.
        device: name.
        spec: the point to be written.
        value: to be written, inside unit; None: one step away from what stands there.
        tell: hears of each step.
        effect_s: how long an effect is waited for [s].
    """

    def __init__(
        self,
        scene: Scene,
        *,
        device: str,
        spec: PointSpec,
        value: float | None,
        tell: Callable[[Step], None],
        effect_s: float,
    ) -> None:
        self.effects: list[tuple[str, float, float]] = []
        self._scene = scene
        self._device = scene.devices[device]
        self._point = f"{device}.{spec.name}"
        self._spec = spec
        self._value = value
        self._listener = tell
        self._effect_s = effect_s

    async def run(self, confirm: Confirm) -> tuple[str, str]:
        """Proves, and restores whatever ends it, short of a kill -9.

        Returns:
            Outcome (proven, unverified, refused, not_restored, unreachable) and reason.
        """
        try:
            for left in (await left_behind(self._scene.store)).values():
                end = await self._mend(left, confirm)
                if end is not None and left.point == self._point:
                    return end
            return await self._prove(confirm)
        finally:
            self._scene.permit(None)

    async def _prove(self, confirm: Confirm) -> tuple[str, str]:
        rule = self._spec.write
        if rule is None:
            return self._judged(None, "not_writable")
        before = await _see(self._device, rule.state_point)
        self._tell(
            Step("read", before is not None, {"point": f"{self._device.name}.{rule.state_point}", "value": before})
        )
        if before is None:
            return "unreachable", "no_answer"
        old = _command_of(rule, before, own=rule.state_point == self._spec.name)
        value = self._value if self._value is not None else _step_from(rule, old)
        refusal = self._refusal(rule, value, old)
        if not refusal and not self._device.room(self._spec.name, frames=FRAMES):
            refusal = "no_room_to_restore"
        end = self._judged(value, refusal)
        if refusal:
            return end
        by = await self._confirmed(confirm, f"{self._point}: {old:g} -> {value:g} {self._spec.unit} -> {old:g}")
        if by is None:
            return "refused", "not_confirmed"
        left = Left(self._point, old, value, by, self._scene.clock.now_utc().isoformat(timespec="seconds"))
        with self._scene.to_its_end():
            # Once this is safe, whatever happens is mended at the next start at the latest.
            await to_the_end(note(self._scene.store, left))
            cut_off: BaseException | None = None
            try:
                end = await self._command_and_watch(left)
            except BaseException as error:  # noqa: BLE001 - raised again below, when the old value is back
                cut_off = error
            restored, _ = await finished(self._restore(left, by))
        if not restored.verified:  # that matters more than whatever has ended it
            return "not_restored", str(restored.reason)
        if cut_off is not None:
            raise cut_off
        return end

    async def _command_and_watch(self, left: Left) -> tuple[str, str]:
        self._scene.permit(self._device.name)
        written = await to_the_end(self._write(left.value, left.by, old=left.old))
        values = {"value": written.wrote, "read_back": written.read_back, "reason": str(written.reason)}
        self._tell(Step("write", written.verified, values))
        if not written.verified:
            return "unverified", str(written.reason)
        await self._watch()
        return "proven", ""

    async def _mend(self, left: Left, confirm: Confirm) -> tuple[str, str] | None:
        """Puts right what an earlier proof has left behind; None: nothing is left of it."""
        name, _, point = left.point.partition(".")
        device = self._scene.devices.get(name)
        spec = None if device is None else device.profile.points.get(point)
        if device is None or spec is None or spec.write is None:
            self._tell(Step("left_gone", None, _left_values(left)))
            await strike_off(self._scene.store, left.point)
            return None
        rule = spec.write
        seen = await _see(device, rule.state_point)
        if seen is None:
            self._tell(Step("left_unreachable", None, _left_values(left)))
            return "unreachable", "no_answer"
        if not _shows(rule, left.value, seen):
            shows_old = _shows(rule, left.old, seen)
            self._tell(Step("left_restored" if shows_old else "left_changed", None, _left_values(left) | {"now": seen}))
            await strike_off(self._scene.store, left.point)
            return None
        self._tell(Step("left", None, _left_values(left)))
        by = await self._confirmed(confirm, f"{left.point}: {left.value:g} -> {left.old:g} {spec.unit}")
        if by is None:
            return "refused", "left_behind"
        with self._scene.to_its_end():
            restored = await to_the_end(self._restore(left, by))
        return None if restored.verified else ("not_restored", str(restored.reason))

    async def _confirmed(self, confirm: Confirm, plan: str) -> str | None:
        by = await confirm(plan)
        self._tell(Step("confirm", by is not None, {"by": by}))
        return by

    def _judged(self, value: float | None, refusal: str) -> tuple[str, str]:
        self._tell(Step("judge", not refusal, {"value": value, "reason": refusal}))
        return "refused", refusal

    def _tell(self, step: Step) -> None:
        """Says a step; a listener that has gone away stops nothing."""
        with suppress(OSError):
            self._listener(step)

    # ------------------------------------------------------------------------------------------------- the steps

    def _refusal(self, rule: WriteRule, value: float, old: float) -> str:
        """Why it may not be written; empty if it may."""
        clock, memory = self._scene.clock, self._scene.memory
        if not rule.value_min <= value <= rule.value_max or not rule.value_min <= old <= rule.value_max:
            self._tell(Step("bounds", None, {"lowest": rule.value_min, "highest": rule.value_max}))
            return "out_of_bounds"
        if rule.pulse is not None:
            return "pulse_not_restorable"
        if abs(value - old) <= max(rule.deadband or 0.0, 1e-9):
            return "stands_already"
        site = self._scene.site
        signed = Commissioning(signed_by="attended", signed_on=clock.now_utc().date(), start_mode="monitor")
        attended = site.model_copy(update={"commissioning": signed})
        view = build_view(attended, self._scene.image, now_utc=clock.now_utc())
        for kind, subject in commands_of(site, self._device.name, self._spec.name):
            known = memory
            if kind in (Kind.RUN_REQUEST, Kind.SETPOINT) and subject in view.units:
                # Nobody has sequenced the unit: the mode that stands in its register is the one it was put into, and a
                # rest that nobody has watched is answered for by whoever stands at the machine.
                unit = replace(memory.unit(subject), mode=view.units[subject].mode_request)
                if unit.off_since_utc is None:
                    rest = timedelta(seconds=site.units[subject].min_off_s)
                    unit = replace(unit, off_since_utc=view.instant_utc - rest)
                known = memory.with_unit(subject, unit)
            if kind is Kind.RUN_REQUEST and value == 0 and view.units[subject].state is UnitState.RUNNING:
                return "min_off"  # it would have to be started again before its rest is over
            for wanted in (value, old):  # what cannot be taken back must not be done
                command = Command(self._point, wanted, kind, subject, Because.PROTECTION)
                verdict = judge(command, view, memory=known, mode=Mode.AUTO, site=attended)
                if isinstance(verdict, Refused):
                    if {"lowest", "highest"} <= verdict.values.keys():
                        self._tell(Step("bounds_now", None, dict(verdict.values)))
                    return verdict.code
        return ""

    async def _watch(self) -> None:
        """Looks which of the device's values move after the write."""
        mine = f"{self._device.name}."
        assert self._spec.write is not None
        own = {self._point, mine + self._spec.write.state_point}
        before = {sample.point: sample.value for sample in self._scene.image if sample.point.startswith(mine)}
        waited_s = 0.0
        while waited_s < self._effect_s:
            pause_s = min(WATCH_S, self._effect_s - waited_s)
            await asyncio.sleep(pause_s)
            waited_s += pause_s
            with suppress(DriverError):
                await self._scene.refresh(self._device.name)
            moved = []
            for sample in self._scene.image:
                was = before.get(sample.point)
                if sample.point in own or was is None or sample.value is None:
                    continue
                if abs(sample.value - was) > max(CHANGE_RATIO * abs(was), 1e-6):
                    moved.append((sample.point, was, sample.value))
            self.effects = moved
        self._tell(
            Step("effect", True if self.effects else None, {"count": len(self.effects), "seconds": self._effect_s})
        )

    async def _restore(self, left: Left, by: str) -> WriteOutcome:
        """Writes the old value, again while the device is silent, and strikes the note off once it shows."""
        name, _, point = left.point.partition(".")
        self._scene.permit(name)
        written = await self._write(left.old, by, old=None, point=left.point)
        if not written.verified:
            if written.reason in SILENCE:
                self._tell(Step("restore_waits", None, {"reason": str(written.reason), "seconds": RESTORE_S_MAX}))
                await self._wait_for(self._scene.devices[name], point)
            written = await self._write(left.old, by, old=None, point=left.point)
        if written.verified:
            await strike_off(self._scene.store, left.point)
        values = {"value": left.old, "read_back": written.read_back, "reason": str(written.reason)}
        self._tell(Step("restore", written.verified, values))
        return written

    async def _wait_for(self, device: Device, point: str) -> None:
        """Waits until a silent device answers again: asking costs none of the writes that are left."""
        rule = device.profile.points[point].write
        assert rule is not None
        end_s = elapsed_s() + RESTORE_S_MAX
        while elapsed_s() < end_s:
            if await _see(device, rule.state_point) is not None:
                return
            await asyncio.sleep(RESTORE_AGAIN_S)

    async def _write(self, value: float, by: str, *, old: float | None, point: str = "") -> WriteOutcome:
        """One command to a device, and its entry in the audit."""
        point = point or self._point
        name, _, key = point.partition(".")
        written = await self._scene.devices[name].write(key, value)
        await self._scene.store.audit(
            AuditEntry(
                instant_utc=self._scene.clock.now_utc(),
                actor=by,
                cause="prove",
                point=point,
                old=old,
                wanted=value,
                read_back=written.read_back,
                outcome="verified" if written.verified else "unverified",
                reason=str(written.reason),
                latency_s=None,
            )
        )
        return written


async def _see(device: Device, point: str) -> float | None:
    """What a point shows now; once more when the first question was in vain."""
    for _ in range(2):
        with suppress(DriverError):
            return await device.look(point)
    return None


def _command_of(rule: WriteRule, read_back: float, *, own: bool) -> float:
    """The value to write in order to have what stands there: codes of state and command may differ."""
    if own:
        return read_back
    return next((wrote for wrote, proofs in rule.state_values.items() if read_back in proofs), read_back)


def _shows(rule: WriteRule, wrote: float, read_back: float) -> bool:
    """Whether the state point shows what was written."""
    return any(abs(read_back - proof) <= rule.tolerance + 1e-6 for proof in rule.state_values.get(wrote, (wrote,)))


def _step_from(rule: WriteRule, old: float) -> float:
    step = rule.step or (rule.value_max - rule.value_min) / 100
    return old + step if old + step <= rule.value_max else old - step


def _left_values(left: Left) -> dict[str, float | str | None]:
    return {"point": left.point, "old": left.old, "value": left.value, "by": left.by, "since": left.since}
