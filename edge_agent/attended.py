"""An attended proof of one command: judged like any other, confirmed by a person, read back, restored, audited.

Stands beside `edge_agent.app`: it opens the plant's wires where no service runs. Mode and signature do not matter to
it, because somebody stands at the machine; every other rule of the guard and of the profile does.
"""

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from types import FrameType, MappingProxyType
from typing import TypeVar

from drivers.commissioning.mbpoll import read_question
from drivers.device import Device
from drivers.errors import DriverError
from drivers.memory import DeviceMemory
from drivers.profile import PointSpec
from drivers.writing import WriteOutcome
from edge_agent.clock import Clock
from edge_agent.control.command import Because, Command, Kind
from edge_agent.control.guard import Refused, judge
from edge_agent.control.memory import ControlMemory, read_memory
from edge_agent.control.modes import Mode
from edge_agent.control.view import UnitState, build_view
from edge_agent.field import target_of
from edge_agent.image import ProcessImage
from edge_agent.settings.load import Configuration
from edge_agent.settings.model import Commissioning, SiteFile
from edge_agent.store.rows import AuditEntry
from edge_agent.store.store import Store
from edge_agent.wiring import DEVICE_KEY, MEMORY_KEY, build_buses, build_clock, build_devices, open_bus

Done = TypeVar("Done")
WATCH_S = 2.0
"""Pause between two looks for an effect."""
CHANGE_RATIO = 0.02
"""A value that moves by less is not called an effect."""
FRAMES = 3
"""The command, its restoration, and once more the restoration if a frame is lost."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its name is a code `prove_NAME` of the texts; ok None: for information."""

    name: str
    ok: bool | None
    values: dict[str, float | str | None] = field(default_factory=dict)


async def to_the_end(work: Coroutine[None, None, Done]) -> Done:
    """Waits for work that must not be left half done; a cancellation takes effect after it."""
    task = asyncio.create_task(work)  # noqa: TID251 - it is waited for below, whatever comes
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            cancelled = True
    done = task.result()
    if cancelled:
        raise asyncio.CancelledError
    return done


@contextmanager
def interrupted_once() -> Iterator[None]:
    """Passes the first Ctrl-C on and swallows the others: asyncio ends the loop at the second, whatever it is doing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    passed = False

    def once(number: int, frame: FrameType | None) -> None:
        nonlocal passed
        if not passed and callable(before):
            passed = True
            before(number, frame)

    signal.signal(signal.SIGINT, once)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


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
        configuration: all files.
        device: name.
        spec: the point to be written.
        value: to be written, inside unit; None: one step away from what stands there.
        tell: hears of each step.
        effect_s: how long an effect is waited for [s].
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        device: str,
        spec: PointSpec,
        value: float | None,
        tell: Callable[[Step], None],
        effect_s: float,
    ) -> None:
        self.device = device
        self.spec = spec
        self.effects: list[tuple[str, float, float]] = []
        self.mbpoll = ""
        self._configuration = configuration
        self._value = value
        self._tell = tell
        self._effect_s = effect_s
        self._image = ProcessImage()
        self._permitted = False  # until somebody has confirmed, not one frame that writes leaves

    async def run(self, confirm: Callable[[str], str | None]) -> tuple[str, str]:
        """Proves, and restores whatever happens, Ctrl-C included.

        Args:
            confirm: shown what will be done, returns the name of who answers for it; None: nobody does.

        Returns:
            Outcome (proven, unverified, refused, not_restored, unreachable) and reason.
        """
        media = self._configuration.site.storage_media
        store = await Store.open(media.state_dir, quota_mb=media.quota_mb, raw_days=media.raw_days)
        clock = build_clock(self._configuration)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(store.close)  # no audit, no proof: the store is opened first
            buses = build_buses(self._configuration)
            for name, bus in buses.items():
                await open_bus(name, bus)
                stack.push_async_callback(bus.close)
            key = f"{DEVICE_KEY}{self.device}"
            own = DeviceMemory(self.device, kept=await store.get_state(key), keep=partial(store.put_state, key))
            devices = build_devices(
                self._configuration,
                buses=buses,
                clock=clock,
                memory=lambda name: own if name == self.device else DeviceMemory(name),
                may_write=lambda: self._permitted,
            )
            memory = read_memory(await store.get_state(MEMORY_KEY))
            return await self._prove(devices, clock, store, memory, confirm)

    async def _prove(
        self,
        devices: dict[str, Device],
        clock: Clock,
        store: Store,
        memory: ControlMemory,
        confirm: Callable[[str], str | None],
    ) -> tuple[str, str]:
        device = devices[self.device]
        await self._look(devices)
        before = self._now(self._state_point())
        self._tell(Step("read", before is not None, {"point": f"{self.device}.{self._state_point()}", "value": before}))
        if before is None:
            return "unreachable", "no_answer"
        old = self._restorable(before)
        value = self._value if self._value is not None else self._step_from(old)
        refusal = self._refusal(value, old, clock, memory)
        if not refusal and not device.room(self.spec.name, frames=FRAMES):
            refusal = "no_room_to_restore"
        self._tell(Step("judge", not refusal, {"value": value, "reason": refusal}))
        if refusal:
            return "refused", refusal
        point = f"{self.device}.{self.spec.name}"
        plan = f"{point}: {old} -> {value} {self.spec.unit} -> {old}"
        by = confirm(plan)
        self._tell(Step("confirm", by is not None, {"by": by}))
        if by is None:
            return "refused", "not_confirmed"
        self._permitted = True
        entry = target_of(self._configuration.devices.buses[self._configuration.devices.devices[self.device].bus])
        if entry is not None:
            self.mbpoll = read_question(
                entry.line,
                unit=device.unit,
                function=self.spec.function,
                address=self.spec.first,
                count=self.spec.count,
            )
        outcome = "unverified"
        reason = ""
        restored = False
        with interrupted_once():
            try:
                written = await device.write(self.spec.name, value)
                await self._audit(store, clock, by, old=old, value=value, written=written)
                self._tell(Step("write", written.verified, {"value": written.wrote, "read_back": written.read_back}))
                reason = str(written.reason)
                if written.verified:
                    outcome = "proven"
                    await self._watch(device)
            finally:
                restored = await to_the_end(self._restore(device, store, clock, by, old=old))
        return (outcome, reason) if restored else ("not_restored", "read_back_differs")

    # ------------------------------------------------------------------------------------------------- the steps

    def _state_point(self) -> str:
        assert self.spec.write is not None
        own = self.spec.access != "w"
        return self.spec.name if own else self.spec.write.state_point

    def _restorable(self, before: float) -> float:
        """The value to write in order to have what stood there: codes of state and command may differ."""
        assert self.spec.write is not None
        if self._state_point() == self.spec.name:
            return before
        return next((wrote for wrote, proofs in self.spec.write.state_values.items() if before in proofs), before)

    def _step_from(self, old: float) -> float:
        rule = self.spec.write
        assert rule is not None
        low, high = rule.value_min, rule.value_max
        step = rule.step or (high - low) / 100
        return old + step if old + step <= high else old - step

    def _refusal(self, value: float, old: float, clock: Clock, memory: ControlMemory) -> str:
        """Why it may not be written; empty if it may."""
        rule = self.spec.write
        if rule is None:
            return "not_writable"
        if not rule.value_min <= value <= rule.value_max or not rule.value_min <= old <= rule.value_max:
            return "out_of_bounds"
        if rule.pulse is not None:
            return "pulse_not_restorable"
        if abs(value - old) <= max(rule.deadband or 0.0, 1e-9):
            return "stands_already"
        site = self._configuration.site
        signed = Commissioning(signed_by="attended", signed_on=clock.now_utc().date(), start_mode="monitor")
        attended = site.model_copy(update={"commissioning": signed})
        view = build_view(attended, self._image, now_utc=clock.now_utc())
        for kind, subject in commands_of(site, self.device, self.spec.name):
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
                command = Command(f"{self.device}.{self.spec.name}", wanted, kind, subject, Because.PROTECTION)
                verdict = judge(command, view, memory=known, mode=Mode.AUTO, site=attended)
                if isinstance(verdict, Refused):
                    return verdict.code
        return ""

    async def _look(self, devices: dict[str, Device]) -> None:
        """The whole plant once, bus by bus."""
        entries = self._configuration.devices.devices

        async def one_bus(bus: str) -> None:
            for name, device in devices.items():
                if entries[name].bus == bus:
                    self._image.put(await device.poll())

        await asyncio.gather(*(one_bus(bus) for bus in self._configuration.devices.buses))

    def _now(self, point: str) -> float | None:
        sample = self._image.get(f"{self.device}.{point}")
        return None if sample is None else sample.value

    async def _watch(self, device: Device) -> None:
        """Looks which of the device's values move after the write."""
        before = {sample.point: sample.value for sample in self._image if sample.value is not None}
        own = {f"{self.device}.{self.spec.name}", f"{self.device}.{self._state_point()}"}
        waited_s = 0.0
        while waited_s < self._effect_s:
            pause_s = min(WATCH_S, self._effect_s - waited_s)
            await asyncio.sleep(pause_s)
            waited_s += pause_s
            try:
                samples = await device.poll()
            except DriverError:
                continue
            for sample in samples:
                was = before.get(sample.point)
                if sample.point in own or was is None or sample.value is None:
                    continue
                if abs(sample.value - was) > max(CHANGE_RATIO * abs(was), 1e-6):
                    self.effects = [effect for effect in self.effects if effect[0] != sample.point]
                    self.effects.append((sample.point, was, sample.value))
        self._tell(
            Step("effect", True if self.effects else None, {"count": len(self.effects), "seconds": self._effect_s})
        )

    async def _restore(self, device: Device, store: Store, clock: Clock, by: str, *, old: float) -> bool:
        written = await device.write(self.spec.name, old)
        if not written.verified:  # once more: a lost frame must not leave a foreign value behind
            written = await device.write(self.spec.name, old)
        await self._audit(store, clock, by, old=None, value=old, written=written)
        self._tell(Step("restore", written.verified, {"value": old, "read_back": written.read_back}))
        return written.verified

    async def _audit(
        self, store: Store, clock: Clock, by: str, *, old: float | None, value: float, written: WriteOutcome
    ) -> None:
        await store.audit(
            AuditEntry(
                instant_utc=clock.now_utc(),
                actor=by,
                cause="prove",
                point=f"{self.device}.{self.spec.name}",
                old=old,
                wanted=value,
                read_back=written.read_back,
                outcome="verified" if written.verified else "unverified",
                reason=str(written.reason),
                latency_s=None,
            )
        )
