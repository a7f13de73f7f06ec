"""Lets happen in a run what its scenario says: faults of wires and plant, kills, a wrong clock, an operator's orders.

Not here: what the faults do (hil_sim.faults, hil_sim.plant.faults) and what came of it (hil_sim.score).
"""

import asyncio
import logging
import math
import os
import random
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge_agent.errors import EdgeAgentError
from edge_agent.local_api import ask
from hil_sim import faults
from hil_sim.plant import faults as plant_faults
from hil_sim.plant.outage import TANK
from hil_sim.scenario import Event
from hil_sim.site import DEVICES, Site
from hil_sim.supervisor import Supervisor

LOG = logging.getLogger(__name__)

LOOK_S: Final = 0.05
"""The clock is looked at this often [wall s]."""
HUNTING_SPEED_RATIO: Final = 60.0
"""Time runs no faster while a unit's phase is waited for: a phase lasts half a minute."""
LAST_KILL_S: Final = 300.0
"""A phase that has not come so long before the end is waited for no longer [site s]."""
ORDER_SPEED_RATIO: Final = 5.0
"""Time runs no faster while an operator's order is being typed: a program takes wall time to start."""
ORDER_S_MAX: Final = 60.0
"""Wall time that a command line may take."""
TOLD_CHARS_MAX: Final = 400
SILENCING: Final = frozenset({"mute", "refuse", "unplug", "restart_server", "occupy"})
"""Faults of the wires under which a device cannot be commanded, and is asked less often by a careful agent."""

Tell = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Order:
    """What an operator typed, and what came of it.

    Attributes:
        line: the words after `edge-agent`.
        status: exit status.
        wanted: the exit status that the scenario wants.
        said: the end of what the program said.
    """

    line: str
    status: int
    wanted: int
    said: str

    @property
    def fault(self) -> str | None:
        """What went otherwise than wanted, in words."""
        if self.status == self.wanted:
            return None
        return f"order {self.line!r}: exit {self.status} instead of {self.wanted}: {self.said}"


class Happenings:
    """The events of one run.

    Attributes:
        orders: what operators typed, and what came of it.
        kills_s: when the agent was killed [s since 1970 UTC].
        kills_by_phase: in which phase a unit was then, where one was waited for; "": any moment.
        clock_was_wrong: the agent's clock has been set wrong at some time.
    """

    def __init__(self, site: Site, agent: Supervisor, *, tell: Tell) -> None:
        """Prepares; `play` lets things happen.

        Args:
            site: the simulated side.
            agent: the process that is killed.
            tell: is told what happens: zh, en, tone.
        """
        self._site = site
        self._agent = agent
        self._tell = tell
        self._silent: Counter[str] = Counter()
        self._slow: list[float] = []
        self.orders: list[Order] = []
        self.kills_s: list[float] = []
        self.kills_by_phase: Counter[str] = Counter()
        self.clock_was_wrong = False

    @property
    def silent(self) -> frozenset[str]:
        """Devices whose silence is a fault's: it says nothing about the agent's pace."""
        return frozenset(+self._silent)

    @property
    def speed_max_ratio(self) -> float:
        """How fast time may run at most, just now."""
        return min(self._slow, default=float("inf"))

    async def play(self) -> None:
        """Waits for each event's instant and lets it happen; those that last, run on beside the next ones."""
        async with asyncio.TaskGroup() as tasks:
            for event in self._site.scenario.events(self._site.zone):
                await self._reach(event.at_s)
                if event.what in faults.FAULTS:
                    tasks.create_task(self._wire_fault(event), name=event.what)
                elif event.what == "plant_fault":
                    tasks.create_task(self._plant_fault(event), name=str(event.args["kind"]))
                elif event.what == "clock_jump":
                    tasks.create_task(self._clock_jump(event), name=event.what)
                elif event.what == "order":
                    await self._order(event)
                elif event.what == "kill_agent":
                    await self._kill(event)

    async def _reach(self, instant_s: float) -> None:
        while self._site.clock.now_s() < instant_s:  # noqa: ASYNC110 - a clock tells nobody when it gets there
            await asyncio.sleep(LOOK_S)

    async def _until_over(self, event: Event) -> None:
        await self._reach(faults.ends_at_s(event, end_s=self._site.end_s))

    # --------------------------------------------------------------------------------------------------------- faults
    async def _wire_fault(self, event: Event) -> None:
        """One fault on the wires, from its begin to its end."""
        running = await asyncio.to_thread(faults.begin, event, self._site, seed=self._site.scenario.seed)
        names = ", ".join(sorted(running.touched))
        self._tell(f"总线故障开始: {event.what} {names}", f"bus fault begins: {event.what} {names}", tone="warn")
        lost = running.touched if event.what in SILENCING else frozenset()
        parts = _parts(lost)
        self._silent.update(lost)
        with self._site.lock:
            self._site.plant.impaired.extend(parts)
        try:
            await self._until_over(event)
        finally:
            await asyncio.to_thread(running.end)
            self._silent.subtract(lost)
            with self._site.lock:
                for part in parts:
                    self._site.plant.impaired.remove(part)
            self._tell(f"总线故障结束: {event.what}", f"bus fault is over: {event.what}", tone="good")

    async def _plant_fault(self, event: Event) -> None:
        """One fault of the plant, from its begin until it is mended."""
        site = self._site
        dice = random.Random(f"{site.scenario.seed}/{event.args['kind']}/{event.at_s}")  # noqa: S311 - repeatable
        with site.lock:
            fault = plant_faults.begin(site.plant, event.args, dice=dice)
        said = f"{fault.kind} {fault.subject}"
        self._tell(f"机房故障开始: {said}", f"plant fault begins: {said}", tone="warn")
        dark = list(site.devices) if fault.devices_silent else []
        self._silent.update(dark)
        for name in dark:
            site.devices[name].mute(on=True)
        dies = fault.devices_silent and event.args.get("agent") == "dies"
        if dies:
            self._agent.hold()
        try:
            await self._until_over(event)
        finally:
            with site.lock:
                fault.end()
            for name in dark:
                site.devices[name].mute(on=False)
            self._silent.subtract(dark)
            if dies:
                self._agent.release()
            self._tell(f"机房故障排除: {said}", f"plant fault is mended: {said}", tone="good")

    async def _clock_jump(self, event: Event) -> None:
        """The agent's clock is wrong for a while."""
        by_s = float(str(event.args.get("by_s", 3600.0)))
        self.clock_was_wrong = True
        self._site.clock.set_wrong(by_s)
        self._tell(f"控制器时钟偏 {by_s:+.0f} s", f"the controller's clock is off by {by_s:+.0f} s", tone="warn")
        try:
            await self._until_over(event)
        finally:
            self._site.clock.set_wrong(0.0)
            self._tell("控制器时钟恢复", "the controller's clock is right again", tone="good")

    # ---------------------------------------------------------------------------------------------------- the agent
    async def _kill(self, event: Event) -> None:
        """Kills the agent; while it is being started again, a kill would hit nobody and prove nothing."""
        wanted = event.args.get("phases", [event.args["phase"]] if "phase" in event.args else [])
        phase = await self._hunt(event, [str(name) for name in _listed(wanted)]) if wanted else ""
        while not self._agent.kill():  # noqa: ASYNC110 - rare, and a process is no task
            await asyncio.sleep(LOOK_S)
        self.kills_s.append(self._site.clock.now_s())
        self.kills_by_phase[phase] += 1
        if phase:
            self._tell(f"终止于步骤 {phase}", f"killed in phase {phase}", tone="bad")

    async def _hunt(self, event: Event, phases: list[str]) -> str:
        """Waits until a unit is in a phase by the agent's own word, of several in one that had no kill yet.

        Returns the phase; empty when none came in time.
        """
        unit = event.args.get("unit")
        until_s = min(self._site.end_s - LAST_KILL_S, event.at_s + float(str(event.args.get("within_s", math.inf))))
        self._slow.append(HUNTING_SPEED_RATIO)
        try:
            while self._site.clock.now_s() < until_s:
                try:
                    status = await asyncio.to_thread(ask, self._site.state_dir, "status")
                except (EdgeAgentError, ValueError):
                    await asyncio.sleep(LOOK_S)
                    continue
                units = status.get("units")
                for name, said in units.items() if isinstance(units, Mapping) else ():
                    phase = said.get("phase") if isinstance(said, Mapping) and unit in (None, name) else None
                    fresh = len(phases) == 1 or not self.kills_by_phase[str(phase)]
                    if phase in phases and fresh:
                        return str(phase)
        finally:
            self._slow.remove(HUNTING_SPEED_RATIO)
        return ""

    async def _order(self, event: Event) -> None:
        """An operator types an order at the agent's own command line."""
        argv = [str(word) for word in _listed(event.args.get("argv"))]
        wanted = int(str(event.args.get("exit", 0)))
        self._slow.append(ORDER_SPEED_RATIO)
        try:
            status, said = await run_verb(self._site.config, argv)
        finally:
            self._slow.remove(ORDER_SPEED_RATIO)
        order = Order(" ".join(argv), status, wanted, said)
        self.orders.append(order)
        tone = "plain" if order.fault is None else "bad"
        self._tell(f"运行人员: {order.line} → {status}", f"operator: {order.line} → {status}", tone=tone)


async def run_verb(config: Path, argv: list[str]) -> tuple[int, str]:
    """Runs a verb of `edge-agent` as a process of its own; returns exit status and the end of what it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edge_agent", *argv, "--config", str(config)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {"PYTHONSAFEPATH": "1"},
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), ORDER_S_MAX)
    except TimeoutError:
        process.kill()
        await process.wait()
        LOG.warning("order takes too long; killed argv=%s limit_s=%.0f", argv, ORDER_S_MAX)
        return -1, ""
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    return process.returncode or 0, said.decode(errors="replace").strip()[-TOLD_CHARS_MAX:]


def _listed(value: object) -> list[object]:
    if not isinstance(value, list) or not value:
        raise faults.FaultArgumentsWrong(f"argv: {value!r} is not a list of words")
    return value


def _parts(devices: frozenset[str]) -> list[str]:
    """What of the plant cannot be commanded while devices do not hear."""
    units = [wired.name for wired in DEVICES if wired.name.startswith("hp")]
    if "io1" in devices:
        return [*units, TANK]
    return [name for name in units if name in devices]
