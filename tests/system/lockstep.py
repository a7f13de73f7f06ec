"""The real control code and the simulated plant in lockstep on a fake clock: a winter day in seconds, repeatable.

Readings are as old as on the wires: units and station every 30 s, meters every 60 s, each device with its own phase.
The controller can be killed at any instant, also between two writes, and starts again from the JSON it had saved.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from typing_extensions import override

from drivers.writing import WriteOutcome
from edge_agent.control.command import FINAL, Outcome, Verdict
from edge_agent.control.controller import Controller
from edge_agent.control.effect import reconcile
from edge_agent.control.intent import BandOutlook
from edge_agent.control.memory import read_memory
from edge_agent.control.modes import Mode
from edge_agent.control.report import CycleReport
from edge_agent.image import ProcessImage
from edge_agent.settings.model import Performance, SiteFile
from hil_sim.closed_loop import lockstep as closed_loop
from hil_sim.closed_loop.lockstep import TICK_S, Machines
from hil_sim.closed_loop.readings import METER_POINTS
from hil_sim.plant.office import UNIT_KINDS, GroundOffice
from hil_sim.plant.truth import Truth
from hil_sim.plant.unit import UnitKind
from hil_sim.sequence_times import Marks
from scheduling.plan import Plan

__all__ = ["METER_POINTS", "TICK_S", "GroundOffice"]
STEP_MIN = 15
LOCAL = timedelta(hours=8)


def site_file(**control: float) -> SiteFile:
    """The example plant's site file, as far as control needs it."""
    units = {
        f"hp{number}": {
            "device": f"hp{number}",
            "source": "ground",
            "loop": "heating",
            "storage": "tank",
            "modes": ["direct", "charge"],
            "heat_kw_rated": 600.0,
            "performance": "ground_600kw",
            "actuation": "capacity_ratio" if number < 3 else "supply_setpoint",
            "min_on_s": 3600.0,
            "min_off_s": 1800.0,
            "source_pump": f"p_source_{number}",
            "user_pump": f"p_user_{number}",
            "pump_owner": "agent",
            "pump_kw": 16.0,
        }
        for number in range(1, 5)
    }
    pumps = {
        f"p_{side}_{number}": {
            "device": "io1",
            "command": f"p_{side}_{number}",
            "feedback": f"p_{side}_{number}_running",
        }
        for side in ("source", "user")
        for number in range(1, 5)
    }
    return SiteFile.model_validate(
        {
            "site": {
                "id": "lockstep",
                "name": "lockstep",
                "timezone": "Asia/Shanghai",
                "plant_type": "ground_source",
                "heated_area_m2": 50000.0,
                "simulated": True,
            },
            "commissioning": {"signed_by": "test", "signed_on": "2026-01-01", "start_mode": "auto"},
            "loops": {
                "heating": {
                    "medium": "heat",
                    "meter": "hm_user",
                    "supply_degc_min": 40.0,
                    "supply_degc_max": 52.0,
                    "supply_setpoint_degc": [[-10.0, 48.0], [5.0, 44.0], [15.0, 41.0]],
                    "supply_point": "io1.supply_temperature",
                    "return_point": "io1.return_temperature",
                    "design_kw": 2000.0,
                }
            },
            "sources": {"ground": {"kind": "ground", "meter": "hm_source", "inlet_degc_min": 4.0}},
            "storages": {
                "tank": {
                    "kind": "hot_water",
                    "loop": "heating",
                    "volume_m3": 800.0,
                    "degc_min": 42.0,
                    "degc_max": 55.0,
                    "meter": "hm_tank",
                    "layers": [f"tt{number}.temperature_{channel}" for number in range(1, 6) for channel in (1, 2)],
                    "charge_kw_max": 1800.0,
                    "discharge_kw_max": 2000.0,
                    "charge_setpoint_degc": 55.0,
                    "isolating_valve": "valve_charge",
                    "discharge_valve": "valve_discharge",
                }
            },
            "units": units,
            "pumps": pumps,
            "valves": {
                "valve_charge": {
                    "device": "io1",
                    "point": "valve_charge",
                    "feedback": "valve_charge_position",
                    "travel_s": 90.0,
                },
                "valve_discharge": {
                    "device": "io1",
                    "point": "valve_discharge",
                    "feedback": "valve_discharge_position",
                    "travel_s": 60.0,
                },
            },
            "meters": {"electricity": "em_main", "weather": "ws1.temperature"},
            "control": {"cycle_s": 30.0, **control},
        }
    )


CAPACITIES = {f"hp{number}": {"direct": 600.0, "charge": 558.0} for number in range(1, 5)}


@dataclass(frozen=True, slots=True)
class Slot:
    """What a hand-made plan says for an hour of the local day."""

    units: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    charge_kw: float = 0.0
    discharge_kw: float = 0.0


def hand_plan(start_utc: datetime, slot_at: Callable[[datetime], Slot], *, hours: int = 30) -> Plan:
    """A plan of quarter hours; `slot_at` gets local civil time."""
    first_utc = start_utc.replace(minute=start_utc.minute // STEP_MIN * STEP_MIN, second=0, microsecond=0)
    count = hours * 60 // STEP_MIN
    slots = [slot_at(first_utc + LOCAL + timedelta(minutes=STEP_MIN * index)) for index in range(count)]
    zeros = [0.0] * count
    return Plan.model_validate(
        {
            "schema": "plan/1",
            "request": "hand",
            "made_utc": start_utc,
            "method": "rule",
            "status": "feasible",
            "objective_cny": 0.0,
            "parts_cny": {},
            "grid_start_utc": first_utc,
            "step_minutes": [float(STEP_MIN)] * count,
            "units": {
                name: {
                    "mode": [slot.units[name][0] if name in slot.units else None for slot in slots],
                    "load_kw": [slot.units[name][1] if name in slot.units else 0.0 for slot in slots],
                }
                for name in CAPACITIES
            },
            "storages": {
                "tank": {
                    "charge_kw": [slot.charge_kw for slot in slots],
                    "discharge_kw": [slot.discharge_kw for slot in slots],
                    "soc_kwh": zeros,
                }
            },
            "grid_kw": zeros,
        }
    )


def bands_at(now_utc: datetime) -> BandOutlook:
    """Valley 23-07, peak 10-13 and 17-22, else flat: as in Beijing in winter."""
    local = now_utc + LOCAL
    hour = local.hour

    def band(hour: int) -> str:
        if hour >= 23 or hour < 7:
            return "valley"
        return "peak" if 10 <= hour < 13 or 17 <= hour < 22 else "flat"

    def ahead(wanted: Callable[[str], bool]) -> datetime:
        return next(
            now_utc.replace(minute=0, second=0, microsecond=0) + timedelta(hours=hours)
            for hours in range(1, 26)
            if wanted(band((hour + hours) % 24))
        )

    here = band(hour)
    return BandOutlook(here, ahead(lambda name: name == "peak"), ahead(lambda name: name != here))


class Killed(Exception):
    """The process dies here."""


@dataclass
class Trace:
    """What is kept of a run."""

    supply_degc: list[float] = field(default_factory=list)
    setpoint_degc: list[float] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    reports: list[CycleReport] = field(default_factory=list)
    alarms: dict[str, int] = field(default_factory=dict)
    kills: int = 0

    @property
    def supply_min_degc(self) -> float:
        """Lowest supply temperature."""
        return min(self.supply_degc)

    def unfinished(self) -> dict[int, Outcome]:
        """Commands in the audit that have not come to an end."""
        waiting: dict[int, Outcome] = {}
        for outcome in self.outcomes:
            if outcome.verdict in FINAL:
                waiting.pop(outcome.number, None)
            else:
                waiting[outcome.number] = outcome
        return waiting

    def refused(self) -> list[Outcome]:
        """Commands that the guard did not let pass."""
        return [outcome for outcome in self.outcomes if outcome.verdict is Verdict.REFUSED]


class Lockstep(closed_loop.Lockstep):
    """Plant and controller; `run` moves both on.

    Args:
        seed: of plant, noise and phases.
        start_utc: begin of the simulation.
        site: the site file.
        plan_for: makes the plan at an instant, asked every quarter of an hour; None: no plan.
        kills: how many times a day the controller dies.
        down_s: how long it is dead, at most.
    """

    def __init__(
        self,
        *,
        seed: int,
        start_utc: datetime,
        site: SiteFile | None = None,
        plan_for: Callable[[datetime, "Lockstep"], Plan | None] | None = None,
        bands: bool = True,
        kills: float = 0.0,
        down_s: float = 120.0,
        mode: Mode = Mode.AUTO,
        kinds: Sequence[UnitKind] = UNIT_KINDS,
        performance: Mapping[str, Performance] | None = None,
    ) -> None:
        self.marks = Marks()
        self.plan_for = plan_for
        self.knows_bands = bands
        self.kills = kills
        self.down_s = down_s
        self.trace = Trace()
        self.writes: list[tuple[datetime, str, float]] = []
        self.write_fault: Callable[[str, float], str] | None = None
        self._die_after_writes: int | None = None
        self._dead_until_utc = start_utc
        self._each_tick: Callable[[Lockstep], None] | None = None
        super().__init__(
            GroundOffice(seed=seed, start_s=start_utc.timestamp(), kinds=kinds),
            site or site_file(),
            seed=seed,
            start_utc=start_utc,
            machines=Machines(CAPACITIES, {}, None if performance is None else dict(performance)),
            mode=mode,
            kinds=kinds,
        )

    @override
    def _boot(self) -> Controller:
        return Controller(
            self.site,
            image=self.image,
            write=self._write,
            audit=self._audit,
            save_memory=self._save,
            memory=self.saved,
            capacities=CAPACITIES,
            performance=self.machines.performance,
            steady=lambda: ("lockstep", self.now_utc.timestamp(), self.now_utc),
            last_number=max((outcome.number for outcome in self.trace.outcomes), default=0),
            unfinished=self._close_unknown(),
        )

    def _close_unknown(self) -> frozenset[int]:
        """As the service does at its start: what nobody can tell the end of is closed; the rest is watched on."""
        waiting = self.trace.unfinished()
        watched, lost = reconcile(read_memory(self.saved).expectations, waiting)
        for number in lost:
            end = replace(waiting[number], verdict=Verdict.UNKNOWN, reason="service_died", instant_utc=self.now_utc)
            self.trace.outcomes.append(end)
        return frozenset(expectation.number for expectation in watched)

    @override
    async def _audit(self, outcomes: Sequence[Outcome]) -> None:
        self.trace.outcomes.extend(outcomes)

    @override
    async def _write(self, point: str, value: float) -> WriteOutcome:
        if self._die_after_writes is not None:
            if self._die_after_writes == 0:
                raise Killed
            self._die_after_writes -= 1
        fault = self.write_fault(point, value) if self.write_fault is not None else ""
        if fault:
            return WriteOutcome(verified=False, wrote=value, read_back=None, reason=fault)
        return await super()._write(point, value)

    @override
    def _written(self, device: str, name: str, value: float) -> None:
        self.writes.append((self.now_utc, f"{device}.{name}", value))
        self._shown(device, name, value)

    @override
    def _shown(self, device: str, name: str, value: float) -> None:
        self.marks.note((device, name), value, instant_s=self.now_utc.timestamp())

    def truth(self) -> Truth:
        """The plant's truth."""
        return self.plant.truth()

    # ----------------------------------------------------------------------------------------------------------- run

    def run(self, hours: float, *, each_tick: Callable[["Lockstep"], None] | None = None) -> Trace:
        """Moves plant and controller on."""
        asyncio.run(self.run_async(hours, each_tick=each_tick))
        return self.trace

    async def run_async(self, hours: float, *, each_tick: Callable[["Lockstep"], None] | None = None) -> None:
        """The same inside a loop."""
        end_utc = self.now_utc + timedelta(hours=hours)
        self._each_tick = each_tick
        while self.now_utc < end_utc:
            await self.advance()

    @override
    def _alive(self) -> bool:
        return self.now_utc >= self._dead_until_utc

    @override
    async def _think(self, second: int) -> None:
        if self.plan is None or second % (STEP_MIN * 60) == 20:
            self.plan = self.plan_for(self.now_utc, self) if self.plan_for is not None else None

    @override
    def _ticked(self) -> None:
        if self._each_tick is not None:
            self._each_tick(self)
        self.trace.supply_degc.append(self.plant.supply_header.degc)

    def _outlook(self) -> BandOutlook:
        """What the controller is told of the tariff now."""
        return bands_at(self.now_utc) if self.knows_bands else BandOutlook()

    @override
    async def _cycle(self) -> None:
        dies = self.random.random() < self.kills * 30.0 / 86400.0
        # Half of the deaths come between two writes, the others between two cycles.
        self._die_after_writes = self.random.randrange(3) if dies and self.random.random() < 0.5 else None
        self.bands = self._outlook()
        try:
            await super()._cycle()
        except Killed:
            dies = True
        self._die_after_writes = None
        if dies:
            self.kill()

    @override
    def _reported(self, report: CycleReport) -> None:
        self.trace.reports.append(report)
        for alarm in report.alarms:
            self.trace.alarms[alarm.code] = self.trace.alarms.get(alarm.code, 0) + 1
        self.trace.setpoint_degc.extend(report.setpoints_degc.values())

    def kill(self, down_s: float | None = None) -> None:
        """Ends the controller; it comes back with an empty image and what it had saved."""
        self.trace.kills += 1
        down_s = self.random.uniform(10.0, self.down_s) if down_s is None else down_s
        self._dead_until_utc = self.now_utc + timedelta(seconds=down_s)
        self.image = ProcessImage()
        self.controller = self._boot()


START_UTC = datetime(2026, 1, 12, 12, 0, tzinfo=UTC)
"""20:00 in Beijing, a Monday."""
