"""Start and stop of one unit, step by step, each step proven by feedback. Pure: instants come in, wishes go out.

Reality first: `adopt` brings the remembered phase in line with what the unit reports, every cycle, so a restart of
the service, a person at the panel and the unit's own thermostat are nothing special. Then `step` does the next thing.

Pumps are not commanded here but asked for by the phase (memory.NEEDS_...): `station.py` unites what all units need.

Source: plant-operation notes, sections 3 and 4 (operating rules, maker manuals); times: `SiteFile.control`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from edge_agent.control.command import Alarm, Because, Command, Kind
from edge_agent.control.memory import ASKED, PREPARING, STARTS_KEPT, Phase, UnitMemory, civil_midnight_utc
from edge_agent.control.view import MODE_NUMBERS, PlantView, UnitState, UnitView
from edge_agent.settings.model import SiteFile, Unit

PATH_OPEN_RATIO = 0.95
"""Position from which a valve counts as open. Ours: travel ends and readings are rounded."""
IDLE_S = 60.0
"""A unit that its own thermostat has stopped this long ago is no longer asked to run, so that it cannot start by
itself outside of our minimum times. Ours; units rest for minutes before they start again."""
MODE_HOLD_S = 600.0
"""Least time between two changes of a running unit's mode. Ours: the loop must settle."""
STOPPED_RATIO = 0.02
"""Electric power below this share of the rated heat proves that the compressor stands. Ours."""
SOURCE_MARGIN_K = 1.0
"""No start when the source is less than this above its limit. Source: plant-operation notes, section 7: act at 1 K."""
TANK_ABOVE_MAX_K = 2.0
"""No charging when the top is this far above the tank's usable maximum. Ours."""
START_HELD_S = 900.0
"""A start that is held up at its last step for this long counts as failed. Ours."""


@dataclass(frozen=True, slots=True)
class Want:
    """What dispatch wants of a unit.

    Attributes:
        on: whether it shall run.
        mode: direct or charge; of a unit that shall run.
        setpoint_degc: leaving temperature, for each mode that it may be in until the change is done.
        limit_ratio: most load, likewise; only for units that take one.
        because: why.
    """

    on: bool
    mode: str | None = None
    setpoint_degc: Mapping[str, float] = field(default_factory=dict)
    limit_ratio: Mapping[str, float] = field(default_factory=dict)
    because: Because = Because.PLAN


@dataclass(frozen=True, slots=True)
class Step:
    """Result of a step: new memory, wishes for the unit, alarms, and what a start is waiting for."""

    memory: UnitMemory
    commands: tuple[Command, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    waiting: tuple[str, ...] = ()


# ------------------------------------------------------------------------------------------------------- reality


def adopt(memory: UnitMemory, *, unit: UnitView, pumps_on: bool | None, now_utc: datetime) -> UnitMemory:
    """Brings what is remembered in line with what the unit reports.

    Args:
        memory: of the unit.
        unit: its feedback; nothing changes while that is not known.
        pumps_on: whether any of its pumps runs.
        now_utc: the present instant.
    """
    memory = _forget(memory, now_utc)
    if unit.state is None or unit.remote is None:
        return memory
    memory = _count(memory, unit=unit, now_utc=now_utc)
    if unit.state is UnitState.OFF or unit.state is UnitState.TRIPPED:
        memory = replace(memory, running_since_utc=None, off_since_utc=memory.off_since_utc or now_utc)
    else:
        memory = replace(memory, off_since_utc=None, idle_since_utc=None)
        if unit.state is UnitState.RUNNING:
            memory = replace(memory, running_since_utc=memory.running_since_utc or now_utc)
    if not unit.remote:
        return memory if memory.phase is Phase.LOCAL else _enter(memory, Phase.LOCAL, now_utc)
    if unit.state is UnitState.TRIPPED:
        return memory if memory.phase is Phase.TRIPPED else _enter(memory, Phase.TRIPPED, now_utc)
    if unit.state is UnitState.OFF:
        return _adopt_off(memory, unit=unit, pumps_on=pumps_on, now_utc=now_utc)
    return _adopt_on(memory, unit=unit, now_utc=now_utc)


def _adopt_on(memory: UnitMemory, *, unit: UnitView, now_utc: datetime) -> UnitMemory:
    phase = memory.phase
    if unit.run_request is False and phase is not Phase.STOPPING and unit.state is not UnitState.STARTING:
        # Somebody else has withdrawn the request, or it was withdrawn just before a restart of the service.
        newer = phase not in ASKED or (unit.state_utc is not None and unit.state_utc > (memory.since_utc or now_utc))
        if newer:
            return _enter(memory, Phase.STOPPING, now_utc)
    if phase in (Phase.STOPPING, Phase.RUNNING):
        return memory
    mode = unit.mode_actual or unit.mode_request or memory.mode
    if unit.state is UnitState.STARTING:
        return memory if phase is Phase.STARTING else _enter(replace(memory, mode=mode), Phase.STARTING, now_utc)
    return _enter(replace(memory, mode=mode, failures=0, fault="", retry_utc=None), Phase.RUNNING, now_utc)


def _adopt_off(memory: UnitMemory, *, unit: UnitView, pumps_on: bool | None, now_utc: datetime) -> UnitMemory:
    phase = memory.phase
    if phase is Phase.STOPPING:
        # Only a reading younger than the stop request proves that the unit has stopped because of it.
        proven = unit.state_utc is not None and unit.state_utc > (memory.since_utc or now_utc) and not unit.run_request
        return _enter(replace(memory, idle_since_utc=None), Phase.OVERRUN, now_utc) if proven else memory
    if phase is Phase.RUNNING:
        if unit.run_request is False:
            return _enter(replace(memory, idle_since_utc=None), Phase.OVERRUN, now_utc)
        return replace(memory, idle_since_utc=memory.idle_since_utc or now_utc)
    if phase in PREPARING or phase in (Phase.STARTING, Phase.OVERRUN, Phase.OFF):
        return memory
    if unit.run_request is None or pumps_on is None:
        return memory  # UNKNOWN, LOCAL or TRIPPED until all is known
    if unit.run_request:
        # After a trip that a person has reset, the unit must not jump on: the request is taken back first.
        phase = Phase.STOPPING if phase is Phase.TRIPPED else Phase.STARTING
        return _enter(replace(memory, mode=unit.mode_request), phase, now_utc)
    return _enter(memory, Phase.OVERRUN if pumps_on else Phase.OFF, now_utc)


def _count(memory: UnitMemory, *, unit: UnitView, now_utc: datetime) -> UnitMemory:
    """Notes starts that were not ours, by the unit's own counter: its thermostat's, or while the service was away."""
    if unit.starts_total is None:
        return memory
    if memory.starts_total is None or unit.starts_total < memory.starts_total:
        return replace(memory, starts_total=unit.starts_total)
    foreign = unit.starts_total - memory.starts_total
    if foreign == 0:
        return memory
    if memory.start_pending:
        foreign -= 1  # the one that was asked for, counted when it was asked
    memory = replace(memory, starts_total=unit.starts_total, start_pending=False)
    if foreign <= 0:
        return memory
    return replace(memory, starts_utc=memory.starts_utc + (now_utc,) * min(foreign, 10), running_since_utc=None)


def _forget(memory: UnitMemory, now_utc: datetime) -> UnitMemory:
    if memory.starts_utc and now_utc - memory.starts_utc[0] > STARTS_KEPT:
        kept = tuple(start for start in memory.starts_utc if now_utc - start <= STARTS_KEPT)
        return replace(memory, starts_utc=kept)
    return memory


def _enter(memory: UnitMemory, phase: Phase, now_utc: datetime) -> UnitMemory:
    return replace(memory, phase=phase, since_utc=now_utc)


# ---------------------------------------------------------------------------------------------------- permissives


def start_obstacles(name: str, memory: UnitMemory, *, mode: str, view: PlantView, site: SiteFile) -> tuple[str, ...]:
    """Why a unit may not be started now: codes, shown to the operator; empty when nothing is in the way.

    Flow and staggering are not among them: they belong to the last step before the request.
    """
    unit = site.units[name]
    now_utc = view.instant_utc
    obstacles: list[str] = []
    if memory.locked_out:
        obstacles.append("unit_locked_out")
    if memory.retry_utc is not None and now_utc < memory.retry_utc:
        obstacles.append("retry_later")
    if not rested(unit, memory, now_utc):
        obstacles.append("min_off")
    obstacles.extend(starts_left(unit, memory, now_utc=now_utc, timezone=site.site.timezone))
    if source_too_cold(site, view, name):
        obstacles.append("source_too_cold")
    if mode not in unit.modes:
        obstacles.append("mode_unknown")
    elif mode == "charge" and tank_too_hot(site, view, unit.storage):
        obstacles.append("tank_too_hot")
    return tuple(obstacles)


def rested(unit: Unit, memory: UnitMemory, now_utc: datetime) -> bool:
    """Whether the minimum rest is over; a rest whose begin is not known is not over."""
    return memory.off_since_utc is not None and (now_utc - memory.off_since_utc).total_seconds() >= unit.min_off_s


def run_long_enough(unit: Unit, memory: UnitMemory, now_utc: datetime) -> bool:
    """Whether the minimum run is over; a run whose begin is not known is not over."""
    since_utc = memory.running_since_utc
    return since_utc is not None and (now_utc - since_utc).total_seconds() >= unit.min_on_s


def starts_left(unit: Unit, memory: UnitMemory, *, now_utc: datetime, timezone: str) -> tuple[str, ...]:
    """Codes of the limits that another start now would break; a start of this very instant is not counted."""
    codes = []
    if memory.starts_since(now_utc - timedelta(hours=1), before_utc=now_utc) >= unit.starts_per_hour_max:
        codes.append("starts_per_hour")
    midnight_utc = civil_midnight_utc(now_utc, timezone)
    if memory.starts_since(midnight_utc, before_utc=now_utc) >= unit.starts_per_day_max:
        codes.append("starts_per_day")
    return tuple(codes)


def source_too_cold(site: SiteFile, view: PlantView, name: str) -> bool:
    """Whether the water from the source is too near its limit; not known counts as warm: the unit protects itself."""
    unit = site.units[name]
    source = site.sources.get(unit.source)
    if source is None or source.inlet_degc_min is None:
        return False
    inlet_degc = view.source_inlet_degc.get(unit.source)
    return inlet_degc is not None and inlet_degc < source.inlet_degc_min + SOURCE_MARGIN_K


def tank_too_hot(site: SiteFile, view: PlantView, storage: str | None) -> bool:
    """Whether the top of a tank forbids charging; a tank whose temperatures are not known is not charged."""
    if storage is None:
        return True
    top_degc = view.storages[storage].top_degc
    return top_degc is None or top_degc >= site.storages[storage].degc_max + TANK_ABOVE_MAX_K


def path_open(site: SiteFile, view: PlantView, storage: str | None) -> bool:
    """Whether the isolating valve of a tank is proven open."""
    if storage is None:
        return False
    position_ratio = view.valves[site.storages[storage].isolating_valve].position_ratio
    return position_ratio is not None and position_ratio > PATH_OPEN_RATIO


def compressor_stands(site: SiteFile, name: str, unit: UnitView) -> bool:
    """Whether the unit reports off and its power, if measured, agrees; a tripped one must prove it by its power."""
    limit_kw = STOPPED_RATIO * site.units[name].heat_kw_rated
    if unit.state is UnitState.OFF:
        return unit.electric_kw is None or unit.electric_kw < limit_kw
    return unit.state is UnitState.TRIPPED and unit.electric_kw is not None and unit.electric_kw < limit_kw


# ----------------------------------------------------------------------------------------------------------- steps


def step(name: str, memory: UnitMemory, *, want: Want, view: PlantView, site: SiteFile, may_request: bool) -> Step:
    """Does the next thing for one unit whose memory has been adopted.

    Args:
        name: of the unit.
        memory: after `adopt`.
        want: what dispatch wants of it.
        view: the plant now.
        site: times and limits.
        may_request: staggering allows this unit to be asked to start in this cycle.
    """
    unit = view.units[name]
    now_utc = view.instant_utc
    if not unit.known:
        since_utc = memory.since_utc or now_utc
        return Step(memory, alarms=(Alarm("device_silent", name, since_utc, {"device": site.units[name].device}),))
    if memory.phase is Phase.LOCAL:
        return Step(memory, alarms=(Alarm("unit_local", name, memory.since_utc or now_utc, {"unit": name}),))
    if memory.phase is Phase.UNKNOWN:
        return Step(memory)
    if memory.phase is Phase.TRIPPED:
        # No reset and no set-points; only the request is withdrawn, so that a reset at the panel does not start it.
        alarm = Alarm("unit_tripped", name, memory.since_utc or now_utc, {"unit": name, "alarm": unit.alarm_code or 0})
        return Step(memory, (_run(site, name, on=False, because=Because.PROTECTION),), (alarm,))
    result = _Sequence(name, memory, want=want, view=view, site=site, may_request=may_request).next()
    faults = _fault_alarms(name, result.memory)
    return replace(result, alarms=(*result.alarms, *faults))


def _fault_alarms(name: str, memory: UnitMemory) -> tuple[Alarm, ...]:
    if not memory.fault or memory.fault_utc is None:
        return ()
    code = "unit_locked_out" if memory.locked_out else "unit_start_failed"
    return (Alarm(code, name, memory.fault_utc, {"unit": name, "reason": memory.fault}),)


def _run(site: SiteFile, name: str, *, on: bool, because: Because) -> Command:
    return Command(f"{site.units[name].device}.run_request", float(on), Kind.RUN_REQUEST, name, because)


class _Sequence:
    """One cycle of one unit: holds what every step needs."""

    def __init__(
        self, name: str, memory: UnitMemory, *, want: Want, view: PlantView, site: SiteFile, may_request: bool
    ) -> None:
        self.name = name
        self.memory = memory
        self.want = want
        self.view = view
        self.site = site
        self.may_request = may_request
        self.unit = view.units[name]
        self.config = site.units[name]
        self.control = site.control
        self.now_utc = view.instant_utc
        self.age_s = memory.age_s(self.now_utc)

    def next(self) -> Step:
        phase = self.memory.phase
        if phase in PREPARING:
            return self._prepare()
        if phase is Phase.OFF:
            return self._off()
        if phase is Phase.STARTING:
            return self._starting()
        if phase is Phase.RUNNING:
            return self._running()
        if phase is Phase.STOPPING:
            return self._stopping()
        return self._overrun()

    # ------------------------------------------------------------------------------------------------------ start

    def _off(self) -> Step:
        if not self.want.on or self.want.mode is None:
            return Step(self.memory, self._withdraw())
        obstacles = start_obstacles(self.name, self.memory, mode=self.want.mode, view=self.view, site=self.site)
        if obstacles:
            return Step(self.memory, self._withdraw(), waiting=obstacles)
        mode = self.want.mode
        self.memory = _enter(replace(self.memory, mode=mode, mode_since_utc=self.now_utc), Phase.PATH, self.now_utc)
        self.age_s = 0.0
        return self._prepare()

    def _prepare(self) -> Step:
        """Path, pumps, flow, lead: goes on as far as is proven."""
        if not self.want.on or self.want.mode is None:
            return Step(_enter(replace(self.memory, mode=None), Phase.OFF, self.now_utc), self._withdraw())
        if self.want.mode != self.memory.mode:
            changed = replace(self.memory, mode=self.want.mode, mode_since_utc=self.now_utc)
            self.memory = _enter(changed, Phase.PATH, self.now_utc)
            self.age_s = 0.0
        obstacles = start_obstacles(self.name, self.memory, mode=self.want.mode, view=self.view, site=self.site)
        if obstacles:
            return Step(_enter(replace(self.memory, mode=None), Phase.OFF, self.now_utc), waiting=obstacles)
        if self.memory.phase is Phase.PATH and self._path_ready():
            self._go(Phase.FLOW if self.config.pump_owner != "agent" else Phase.SOURCE_PUMP)
        if self.memory.phase is Phase.SOURCE_PUMP and self._running_pump(self.config.source_pump):
            self._go(Phase.USER_PUMP)
        if self.memory.phase is Phase.USER_PUMP and self._running_pump(self.config.user_pump):
            self._go(Phase.FLOW)
        if self.memory.phase is Phase.FLOW and self._flow_ready():
            self._go(Phase.LEAD)
        if self.memory.phase is Phase.LEAD:
            return self._lead()
        return self._wait_or_fail()

    def _go(self, phase: Phase) -> None:
        self.memory = _enter(self.memory, phase, self.now_utc)
        self.age_s = 0.0

    def _path_ready(self) -> bool:
        return self.memory.mode != "charge" or path_open(self.site, self.view, self.config.storage)

    def _running_pump(self, pump: str) -> bool:
        return self.view.pumps[pump].running is True

    def _flow_ready(self) -> bool:
        if self.unit.mode_request != self.memory.mode:
            return False
        if self.config.pump_owner == "unit":
            return True  # the unit runs its pumps when it wants them: flow before the request would be an error to it
        return self.unit.user_flow is True and self.unit.source_flow is True

    def _lead(self) -> Step:
        ready = self._path_ready() and self._flow_ready()
        if self.config.pump_owner == "agent":
            ready = ready and self._running_pump(self.config.source_pump) and self._running_pump(self.config.user_pump)
        if not ready:
            self._go(Phase.FLOW)
            return self._wait_or_fail()
        state_utc = self.unit.state_utc
        fresh = state_utc is not None and self.memory.since_utc is not None and state_utc > self.memory.since_utc
        if self.age_s < self.control.pump_lead_s or not fresh:
            return Step(self.memory, self._mode_command())
        if self.age_s >= START_HELD_S:
            return self._fail("start_held")
        if not self.may_request:
            return Step(self.memory, self._mode_command(), waiting=("stagger",))
        self.memory = replace(
            _enter(self.memory, Phase.STARTING, self.now_utc),
            starts_utc=(*self.memory.starts_utc, self.now_utc),
            start_pending=True,
        )
        return Step(self.memory, (*self._unit_commands(), self._request(on=True)))

    def _wait_or_fail(self) -> Step:
        """Waits for the proof of the present phase, or ends the start with the step's name."""
        control = self.control
        limits_s = {
            Phase.PATH: self._travel_s() + control.valve_margin_s,
            Phase.SOURCE_PUMP: control.pump_proof_s,
            Phase.USER_PUMP: control.pump_proof_s,
            Phase.FLOW: control.flow_proof_s,
        }
        if self.age_s <= limits_s[self.memory.phase] + control.cycle_s:
            # The mode register decides which way the unit's water goes, so it comes before the proof of flow.
            return Step(self.memory, () if self.memory.phase is Phase.PATH else self._mode_command())
        if self.memory.phase is Phase.FLOW:
            if self.unit.mode_request != self.memory.mode:
                return self._fail("mode_not_taken")
            return self._fail("user_flow_not_proven" if self.unit.source_flow else "source_flow_not_proven")
        if self.memory.phase is Phase.PATH:
            return self._fail("valve_not_proven")
        source = self.memory.phase is Phase.SOURCE_PUMP
        return self._fail("source_pump_not_proven" if source else "user_pump_not_proven")

    def _travel_s(self) -> float:
        storage = self.config.storage
        if self.memory.mode != "charge" or storage is None:
            return 0.0
        return self.site.valves[self.site.storages[storage].isolating_valve].travel_s

    def _fail(self, reason: str) -> Step:
        """Ends a start that did not get as far as the request, or was not followed."""
        failures = self.memory.failures + 1
        memory = replace(
            self.memory,
            failures=failures,
            locked_out=self.memory.locked_out or failures > self.control.start_retries,
            retry_utc=self.now_utc + timedelta(seconds=self.config.min_off_s),
            fault=reason,
            fault_utc=self.now_utc,
            start_pending=False,
        )
        if self.memory.phase is Phase.STARTING:
            memory = _enter(memory, Phase.STOPPING, self.now_utc)
        else:
            memory = _enter(replace(memory, mode=None), Phase.OFF, self.now_utc)
        return Step(memory, (_run(self.site, self.name, on=False, because=Because.PROTECTION),))

    def _starting(self) -> Step:
        # A request that stands is not taken back before the unit has run its minimum: its compressor may be on already.
        if self.unit.state is UnitState.OFF and self.age_s > self.control.unit_start_s:
            return self._fail("unit_not_started")
        return Step(self.memory, (*self._unit_commands(), self._request(on=True)), self._pump_alarms())

    # -------------------------------------------------------------------------------------------------------- run

    def _running(self) -> Step:
        memory = self.memory
        if memory.idle_since_utc is not None:
            idle_s = (self.now_utc - memory.idle_since_utc).total_seconds()
            if idle_s >= IDLE_S or not self.want.on:
                return self._stop(Because.SEQUENCE)
        elif not self.want.on and run_long_enough(self.config, memory, self.now_utc):
            return self._stop(self.want.because)
        alarms = self._pump_alarms()
        if memory.mode == "charge" and self._path_lost():
            # The way into the tank is gone: back to the loop at once, before the unit loses its flow.
            alarms = (*alarms, *self._valve_alarm())
            if "direct" in self.config.modes:
                self.memory = replace(memory, mode="direct", mode_since_utc=self.now_utc)
        elif self._may_change_mode():
            self.memory = replace(memory, mode=self.want.mode, mode_since_utc=self.now_utc)
        return Step(self.memory, (*self._unit_commands(), self._request(on=True)), alarms)

    def _path_lost(self) -> bool:
        """Whether the isolating valve is seen not to be open; not seen is not closed."""
        storage = self.config.storage
        if storage is None:
            return True
        position_ratio = self.view.valves[self.site.storages[storage].isolating_valve].position_ratio
        return position_ratio is not None and position_ratio <= PATH_OPEN_RATIO

    def _may_change_mode(self) -> bool:
        memory, want = self.memory, self.want
        if not want.on or want.mode is None or want.mode == memory.mode or want.mode not in self.config.modes:
            return False
        if self.unit.state is not UnitState.RUNNING:
            return False
        held_s = (self.now_utc - memory.mode_since_utc).total_seconds() if memory.mode_since_utc else MODE_HOLD_S
        if held_s < MODE_HOLD_S and want.because is not Because.COMFORT:
            return False
        if want.mode != "charge":
            return True
        too_hot = tank_too_hot(self.site, self.view, self.config.storage)
        return not too_hot and path_open(self.site, self.view, self.config.storage)

    def _valve_alarm(self) -> tuple[Alarm, ...]:
        storage = self.config.storage
        if storage is None:
            return ()
        valve = self.site.storages[storage].isolating_valve
        position_ratio = self.view.valves[valve].position_ratio
        values: dict[str, float | str] = {
            "valve": valve,
            "wanted_ratio": 1.0,
            "position_ratio": "?" if position_ratio is None else round(position_ratio, 2),
        }
        return (Alarm("valve_stuck", valve, self.now_utc, values),)

    def _pump_alarms(self) -> tuple[Alarm, ...]:
        if self.config.pump_owner != "agent":
            return ()
        return tuple(
            Alarm("pump_stopped", pump, self.now_utc, {"pump": pump})
            for pump in (self.config.source_pump, self.config.user_pump)
            if self.view.pumps[pump].running is False
        )

    # ------------------------------------------------------------------------------------------------------- stop

    def _stop(self, because: Because) -> Step:
        memory = _enter(self.memory, Phase.STOPPING, self.now_utc)
        return Step(memory, (_run(self.site, self.name, on=False, because=because),))

    def _stopping(self) -> Step:
        alarms: tuple[Alarm, ...] = ()
        if self.age_s > self.control.unit_stop_s and self.memory.since_utc is not None:
            # No short cut: the pumps stay on and a person is asked.
            alarms = (Alarm("unit_stop_unconfirmed", self.name, self.memory.since_utc, {"unit": self.name}),)
        return Step(self.memory, (_run(self.site, self.name, on=False, because=Because.SEQUENCE),), alarms)

    def _overrun(self) -> Step:
        stands = compressor_stands(self.site, self.name, self.unit)
        if stands and self.age_s >= self.control.pump_overrun_s:
            return Step(_enter(replace(self.memory, mode=None), Phase.OFF, self.now_utc), self._withdraw())
        return Step(self.memory, self._withdraw())

    # --------------------------------------------------------------------------------------------------- commands

    def _request(self, *, on: bool) -> Command:
        return _run(self.site, self.name, on=on, because=self.want.because)

    def _withdraw(self) -> tuple[Command, ...]:
        return (_run(self.site, self.name, on=False, because=Because.SEQUENCE),)

    def _mode_command(self) -> tuple[Command, ...]:
        if self.memory.mode is None:
            return ()
        number = float(MODE_NUMBERS[self.memory.mode])
        return (Command(f"{self.config.device}.mode_request", number, Kind.MODE_REQUEST, self.name, self.want.because),)

    def _unit_commands(self) -> tuple[Command, ...]:
        """Mode, set-point and limit, in the order in which they may be written."""
        commands = [*self._mode_command()]
        want, mode = self.want, self.memory.mode
        if mode is None:
            return ()
        # A set-point belongs to a mode: that of a mode which the unit is not yet in would be wrong for it.
        if mode in want.setpoint_degc:
            point = f"{self.config.device}.supply_setpoint"
            commands.append(Command(point, want.setpoint_degc[mode], Kind.SETPOINT, self.name, want.because))
        if mode in want.limit_ratio and self.config.actuation == "capacity_ratio":
            point = f"{self.config.device}.capacity_limit"
            commands.append(Command(point, want.limit_ratio[mode], Kind.CAPACITY_LIMIT, self.name, want.because))
        return tuple(commands)
