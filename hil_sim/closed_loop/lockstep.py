"""Controller and plant in lockstep on a fake clock: reads, decides, commands, moves on; repeatable to the last digit.

Readings are as old as on the wires: units and station every 30 s, meters every 60 s, each device with its own phase.
What the controller wants of its surroundings (writes, audit, memory) is answered here, at once and without a disk.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from drivers.writing import WriteOutcome
from edge_agent.control.command import Outcome
from edge_agent.control.controller import Controller
from edge_agent.control.intent import BandOutlook
from edge_agent.control.loop.case import Capacities
from edge_agent.control.modes import Mode
from edge_agent.control.orders import Order
from edge_agent.control.report import CycleReport
from edge_agent.image import ProcessImage
from edge_agent.settings.model import Performance, SiteFile
from hil_sim.closed_loop.readings import METER_POINTS, STATION, Readings, period_s
from hil_sim.plant.commands import CommandRefused
from hil_sim.plant.office import UNIT_KINDS, UNIT_NAMES, GroundOffice
from hil_sim.plant.unit import UnitKind
from scheduling.plan import Plan

TICK_S: Final = 10
"""Readings, plans and cycles fall on multiples of this [s]."""
POLL_ROUND_S: Final = 60
CYCLE_S: Final = 30
"""A control cycle this often [s]: the example plants' own."""
READ_BACK_TOLERANCE: Final = 1e-6
STEPS_PER_UNIT: Final = {"supply_setpoint": 10.0, "capacity_limit": 1000.0, "valve_discharge": 1000.0}
"""Registers hold whole numbers: so many a unit of the quantity."""


@dataclass(frozen=True, slots=True)
class Machines:
    """What the controller knows of its units, beside the site file.

    Attributes:
        capacities: heat at full load by unit and mode.
        powers: electricity at full load, likewise.
        performance: maps by unit; None: not known.
    """

    capacities: Capacities
    powers: Capacities
    performance: dict[str, Performance] | None = None

    @classmethod
    def of(cls, performance: dict[str, Performance]) -> "Machines":
        """As the service reads them out of the performance maps."""
        return cls(
            capacities={
                name: {mode: figures.heat_kw for mode, figures in machine.modes.items()}
                for name, machine in performance.items()
            },
            powers={
                name: {mode: figures.curve[-1][1] for mode, figures in machine.modes.items()}
                for name, machine in performance.items()
            },
            performance=performance,
        )


class Lockstep:
    """Plant and controller; `advance` moves both on by a tick.

    Attributes:
        plan: what the controller follows.
        bands: what it is told of the tariff.
        mode: in which it works.
        orders: of an operator.
        out: units out of control.
        silent: devices that do not answer.
    """

    def __init__(
        self,
        plant: GroundOffice,
        site: SiteFile,
        *,
        seed: int,
        start_utc: datetime,
        machines: Machines,
        mode: Mode = Mode.AUTO,
        kinds: Sequence[UnitKind] = UNIT_KINDS,
    ) -> None:
        """Boots the controller.

        Args:
            plant: the physics, at `start_utc`.
            site: the site file.
            seed: of noise and phases.
            start_utc: begin of the simulation, on a whole tick.
            machines: what is known of the units.
            mode: in which the controller works.
            kinds: what each unit can be told.
        """
        self.random = random.Random(seed)  # noqa: S311 - repeatable noise
        self.site = site
        self.plant = plant
        self.machines = machines
        self.now_utc = start_utc
        self.mode = mode
        self.plan: Plan | None = None
        self.bands = BandOutlook()
        self.orders: tuple[Order, ...] = ()
        self.out: frozenset[str] = frozenset()
        self.silent: set[str] = set()
        self.image = ProcessImage()
        self.saved: str | None = None
        self.readings = Readings(plant, kinds=kinds, dice=self.random, seen=self._shown)
        self.devices = [*UNIT_NAMES, STATION, *METER_POINTS, *site.meters.units.values()]
        phase_s = {device: TICK_S * self.random.randrange(POLL_ROUND_S // TICK_S) for device in self.devices}
        self._due: dict[int, list[str]] = {
            second: [device for device in self.devices if (second + phase_s[device]) % period_s(device) == 0]
            for second in range(0, POLL_ROUND_S, TICK_S)
        }
        self._cycle_phase_s = TICK_S * self.random.randrange(CYCLE_S // TICK_S)
        self.controller = self._boot()

    def _boot(self) -> Controller:
        """A controller as after the start of the service."""
        return Controller(
            self.site,
            image=self.image,
            write=self._write,
            audit=self._audit,
            save_memory=self._save,
            memory=self.saved,
            capacities=self.machines.capacities,
            powers=self.machines.powers,
            performance=self.machines.performance,
            steady=lambda: ("lockstep", self.now_utc.timestamp(), self.now_utc),
            unfinished=frozenset(),
        )

    # ------------------------------------------------------------------------------- what the controller is handed
    async def _save(self, text: str) -> None:
        self.saved = text

    async def _audit(self, outcomes: Sequence[Outcome]) -> None:
        """Keeps nothing; who wants to know of commands overrides this."""

    async def _write(self, point: str, value: float) -> WriteOutcome:
        """Writes to the plant and reads back, at once."""
        device, name = point.split(".")
        steps = STEPS_PER_UNIT.get(name)
        value = value if steps is None else round(value * steps) / steps
        if device in self.silent:
            return WriteOutcome(verified=False, wrote=value, read_back=None, reason="no_answer")
        try:
            self.plant.command(device, name, value)
        except CommandRefused:
            return WriteOutcome(verified=False, wrote=value, read_back=None, reason="refused")
        self._written(device, name, value)
        seen = self.plant.quantity(device, name)
        same = abs(seen - value) < READ_BACK_TOLERANCE
        return WriteOutcome(verified=same, wrote=value, read_back=seen, reason="" if same else "read_back_differs")

    def _written(self, device: str, name: str, value: float) -> None:
        """A write has reached its device."""

    def _shown(self, device: str, name: str, value: float) -> None:
        """A device has shown a value."""

    def _reported(self, report: CycleReport) -> None:
        """A cycle has ended."""

    # ------------------------------------------------------------------------------------------------------- a tick
    async def advance(self) -> None:
        """Moves plant and controller on by a tick."""
        second = round(self.now_utc.timestamp())
        self.plant.advance_to(self.now_utc.timestamp())
        if self._alive():
            for device in self._due[second % POLL_ROUND_S]:
                self._poll(device)
            await self._think(second)
            if (second + self._cycle_phase_s) % CYCLE_S == 0:
                await self._cycle()
        self._ticked()
        self.now_utc += timedelta(seconds=TICK_S)

    def _alive(self) -> bool:
        """Whether the controller lives."""
        return True

    def _poll(self, device: str) -> None:
        if device not in self.silent:
            self.image.put(self.readings.of(device, self.now_utc))

    async def _think(self, second: int) -> None:
        """Between reading and control: plans, tariff. Nothing here.

        Args:
            second: the present instant, whole seconds since 1970 UTC.
        """

    async def _cycle(self) -> None:
        report = await self.controller.cycle(
            self.now_utc, plan=self.plan, mode=self.mode, bands=self.bands, orders=self.orders, out=self.out
        )
        self._reported(report)

    def _ticked(self) -> None:
        """A tick has ended; the clock moves on next."""
