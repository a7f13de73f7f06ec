"""Every command is judged here before it may touch a wire: Allowed, or Refused with a stable code and the numbers.

Pure, and independent of dispatch on purpose: it trusts the view and the journal of starts and stops, not the reasons of
those who command. Layers only narrow: what is refused here nobody above can force.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from edge_agent.control.actuation import mode_of, regulates_itself, stage_obstacle
from edge_agent.control.command import Because, Command, Kind
from edge_agent.control.hydraulics import allowed_under, mode_pumps, mode_valves, way_proven
from edge_agent.control.memory import ControlMemory, Phase
from edge_agent.control.modes import Mode, signed
from edge_agent.control.permissives import (
    PATH_OPEN_RATIO,
    compressor_stands,
    loop_too_hot,
    oil_cold,
    path_open,
    rested,
    run_long_enough,
    source_too_cold,
    starts_left,
    tank_too_hot,
)
from edge_agent.control.station import CLOSED_RATIO, needs_pump
from edge_agent.control.view import PlantView, UnitState, UnitView
from edge_agent.settings.model import SiteFile

SETPOINT_BELOW_MIN_K = 5.0
"""A unit's set-point may lie this far below the loop's lower limit, to unload it. Ours."""
LIMIT_RATIO_MIN = 0.1
"""A capacity limit below this is taken for a mistake. Ours; a profile narrows it to what the unit takes."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """Nothing speaks against it."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Why not: a stable code, worded in `edge_agent/texts`, and its values."""

    code: str
    values: Mapping[str, float | str] = field(default_factory=dict)


Verdict = Allowed | Refused
ALLOWED = Allowed()


def judge(command: Command, view: PlantView, *, memory: ControlMemory, mode: Mode, site: SiteFile) -> Verdict:
    """Judges one command.

    Args:
        command: what somebody wants written.
        view: the plant now.
        memory: starts and stops; a start of this very instant is the one being judged and is not counted.
        mode: nothing is written but in auto.
        site: limits, and whether commissioning is signed.
    """
    if mode is not Mode.AUTO:
        return Refused("mode_not_auto", {"mode": mode.value})
    if not signed(site):
        return Refused("not_commissioned")
    if not math.isfinite(command.value):
        return Refused("out_of_bounds", {"value": str(command.value)})
    rule = _RULES[command.kind]
    return rule(_Case(command, view, memory, site))


@dataclass(frozen=True, slots=True)
class _Case:
    command: Command
    view: PlantView
    memory: ControlMemory
    site: SiteFile

    @property
    def name(self) -> str:
        return self.command.subject

    @property
    def on(self) -> bool:
        return self.command.value == 1.0

    @property
    def binary(self) -> bool:
        return self.command.value in (0.0, 1.0)


def _out_of_bounds(case: _Case) -> Refused:
    return Refused("out_of_bounds", {"value": case.command.value})


def _unit_obstacle(case: _Case) -> Refused | None:
    """What forbids any command to a unit: unknown, or somebody else's."""
    if case.name not in case.site.units:
        return Refused("unknown_unit", {"unit": case.name})
    unit = case.view.units[case.name]
    if not unit.known:
        return Refused("stale_inputs", {"unit": case.name})
    if not unit.remote:
        return Refused("unit_local", {"unit": case.name})
    return None


def _judge_run(case: _Case) -> Verdict:
    obstacle = _unit_obstacle(case)
    if obstacle is not None:
        return obstacle
    if not case.binary:
        return _out_of_bounds(case)
    return _judge_start(case) if case.on else _judge_stop(case)


def _judge_stop(case: _Case) -> Verdict:
    unit, config = case.view.units[case.name], case.site.units[case.name]
    if unit.state in (UnitState.OFF, UnitState.TRIPPED, UnitState.STOPPING):
        return ALLOWED
    if case.command.because is Because.PROTECTION:
        return ALLOWED
    if not run_long_enough(config, case.memory.unit(case.name), case.view.instant_utc):
        return Refused("min_on", {"unit": case.name, "min_on_s": config.min_on_s})
    return ALLOWED


def _judge_start(case: _Case) -> Verdict:
    site, view, name = case.site, case.view, case.name
    unit, config, memory = view.units[name], site.units[name], case.memory.unit(name)
    if unit.state is UnitState.TRIPPED:
        return Refused("unit_tripped", {"unit": name})
    if unit.state is not UnitState.OFF:
        if unit.state is UnitState.STOPPING:
            return Refused("unit_stopping", {"unit": name})
        if unit.run_request is not True:
            # A state from before a power cut beside registers from after it: what "runs" without pumps does not run,
            # and the request would start it.
            return _pump_missing(case) or ALLOWED
        return ALLOWED  # it runs; the request only confirms it
    now_utc = view.instant_utc
    if memory.locked_out:
        return Refused("unit_locked_out", {"unit": name})
    if not rested(config, memory, now_utc):
        return Refused("min_off", {"unit": name, "min_off_s": config.min_off_s})
    left = starts_left(config, memory, now_utc=now_utc, timezone=site.site.timezone)
    if left:
        return Refused(left[0], {"unit": name})
    # Of the others even a start of this very instant counts: two at once would not be staggered.
    others = [start for other, entry in case.memory.units.items() if other != name for start in entry.starts_utc]
    if any((now_utc - start).total_seconds() < site.control.stagger_s for start in others):
        return Refused("stagger", {"unit": name, "stagger_s": site.control.stagger_s})
    if oil_cold(memory, now_utc):
        return Refused("oil_heating", {"unit": name})
    if source_too_cold(site, view, name):
        return Refused("source_too_cold", {"unit": name})
    if not regulates_itself(config) and (unit.stage_commanded or 1) > 1:
        return Refused("stage_jump", {"unit": name})
    if memory.mode == "direct" and loop_too_hot(site, view, config.loop):
        return Refused("supply_hot", {"unit": name})
    limit_kw = site.limits.grid_kw_max
    if limit_kw is not None and view.electric_kw is not None and view.electric_kw >= limit_kw:
        return Refused("grid_full", {"unit": name, "electric_kw": round(view.electric_kw), "limit_kw": limit_kw})
    return _judge_flow(case, unit)


def _pump_missing(case: _Case) -> Refused | None:
    """A pump of the unit that is ours and does not prove that it runs."""
    config = case.site.units[case.name]
    if config.pump_owner == "agent":
        for pump in (config.source_pump, config.user_pump):
            if case.view.pumps[pump].running is not True:
                return Refused("pump_not_proven", {"unit": case.name, "pump": pump})
    return None


def _judge_flow(case: _Case, unit: UnitView) -> Verdict:
    """The last conditions of a start: the water moves, and the way is that of the mode in the unit's register."""
    site, name = case.site, case.name
    config = site.units[name]
    missing = _pump_missing(case)
    if missing is not None:
        return missing
    if config.pump_owner != "unit":
        for side, flow in (("source", unit.source_flow), ("user", unit.user_flow)):
            if flow is not True:
                return Refused("flow_not_proven", {"unit": name, "side": side})
    if unit.mode_request is None or unit.mode_request != case.memory.unit(name).mode:
        return Refused("mode_not_taken", {"unit": name})
    return _judge_path(case, unit.mode_request)


def _judge_path(case: _Case, mode: str) -> Verdict:
    config = case.site.units[case.name]
    if mode not in config.modes:
        return Refused("mode_unknown", {"unit": case.name, "mode": mode})
    if not way_proven(case.site, case.view, mode):
        return Refused("way_not_proven", {"unit": case.name, "mode": mode})
    if mode != "charge":
        return ALLOWED
    if not path_open(case.site, case.view, config.storage):
        return Refused("path_closed", {"unit": case.name})
    if tank_too_hot(case.site, case.view, config.storage):
        return Refused("tank_too_hot", {"unit": case.name})
    return ALLOWED


def _judge_mode(case: _Case) -> Verdict:
    obstacle = _unit_obstacle(case)
    if obstacle is not None:
        return obstacle
    if case.view.units[case.name].state is UnitState.TRIPPED:
        return Refused("unit_tripped", {"unit": case.name})
    mode = mode_of(case.command, case.site.units[case.name])
    return _out_of_bounds(case) if mode is None else _judge_path(case, mode)


def _judge_setpoint(case: _Case) -> Verdict:
    obstacle = _unit_obstacle(case)
    if obstacle is not None:
        return obstacle
    unit, config = case.view.units[case.name], case.site.units[case.name]
    if unit.state is UnitState.TRIPPED:
        return Refused("unit_tripped", {"unit": case.name})
    loop = case.site.loops[config.loop]
    charging = case.memory.unit(case.name).mode == "charge" and config.storage is not None
    highest_degc = loop.supply_degc_max
    if charging and config.storage is not None:
        storage = case.site.storages[config.storage]
        highest_degc = max(storage.charge_setpoint_degc, storage.degc_max)
    lowest_degc = loop.supply_degc_min - SETPOINT_BELOW_MIN_K
    if not lowest_degc <= case.command.value <= highest_degc:
        return Refused("out_of_bounds", {"value": case.command.value, "lowest": lowest_degc, "highest": highest_degc})
    return ALLOWED


def _judge_limit(case: _Case) -> Verdict:
    obstacle = _unit_obstacle(case)
    if obstacle is not None:
        return obstacle
    if case.view.units[case.name].state is UnitState.TRIPPED:
        return Refused("unit_tripped", {"unit": case.name})
    if case.site.units[case.name].point("capacity_limit") is None:
        return Refused("not_commandable", {"unit": case.name})
    return ALLOWED if LIMIT_RATIO_MIN <= case.command.value <= 1.0 else _out_of_bounds(case)


def _judge_stage(case: _Case) -> Verdict:
    obstacle = _unit_obstacle(case)
    if obstacle is not None:
        return obstacle
    unit = case.site.units[case.name]
    code = stage_obstacle(
        case.command,
        unit,
        case.memory.unit(case.name),
        seen=case.view.units[case.name],
        now_utc=case.view.instant_utc,
    )
    if code:
        return Refused(code, {"unit": case.name, "value": case.command.value})
    return ALLOWED


def _judge_heartbeat(case: _Case) -> Verdict:
    return _unit_obstacle(case) or ALLOWED


def _judge_pump(case: _Case) -> Verdict:
    site, pump = case.site, case.name
    if pump in mode_pumps(site):
        return _judge_mode_part(case) if case.binary else _out_of_bounds(case)
    users = [name for name, unit in site.units.items() if pump in (unit.source_pump, unit.user_pump)]
    if pump not in site.pumps or not users:
        return Refused("unknown_pump", {"pump": pump})
    if any(site.units[name].pump_owner != "agent" for name in users):
        return Refused("not_ours", {"pump": pump})
    if not case.binary:
        return _out_of_bounds(case)
    if case.on:
        return ALLOWED
    for name in users:
        unit, memory = case.view.units[name], case.memory.unit(name)
        if not unit.known or memory.phase is Phase.UNKNOWN:
            return Refused("stale_inputs", {"unit": name, "pump": pump})
        if not unit.remote:
            return Refused("unit_local", {"unit": name, "pump": pump})
        if not compressor_stands(site, name, unit):
            return Refused("unit_not_stopped", {"unit": name, "pump": pump})
        if unit.run_request is not False:
            return Refused("unit_asked_to_run", {"unit": name, "pump": pump})
        if needs_pump(name, pump, memory, view=case.view, site=site) is not False:
            return Refused("pump_needed", {"unit": name, "pump": pump})
        off_utc = memory.off_since_utc
        overrun_s = site.control.pump_overrun_s
        if off_utc is None or (case.view.instant_utc - off_utc).total_seconds() < overrun_s:
            return Refused("overrun", {"unit": name, "pump": pump, "overrun_s": overrun_s})
    return ALLOWED


def _judge_mode_part(case: _Case) -> Verdict:
    """A valve or pump that only the modes move goes to where a mode has it that lets the running units run."""
    running: set[str] = set()
    for name in case.site.units:
        unit = case.view.units[name]
        if not unit.known:
            if case.memory.unit(name).phase is not Phase.OFF:
                return Refused("stale_inputs", {"unit": name})
            continue
        config = case.site.units[name]
        pumps = [case.view.pumps[pump].running for pump in (config.source_pump, config.user_pump)]
        if compressor_stands(case.site, name, unit) and not unit.run_request and not any(pumps):
            continue
        mode = unit.mode_actual or unit.mode_request
        if mode is None:
            return Refused("stale_inputs", {"unit": name})
        running.add(mode)
    if not allowed_under(case.site, case.name, value=case.command.value, active=frozenset(running)):
        return Refused("way_in_use", {"subject": case.name, "modes": ",".join(sorted(running))})
    return ALLOWED


def _judge_isolating(case: _Case) -> Verdict:
    if case.name not in case.site.valves or not case.binary:
        return _out_of_bounds(case)
    if case.name in mode_valves(case.site):
        return _judge_mode_part(case)
    if case.on:
        return ALLOWED
    for storage_name, storage in case.site.storages.items():
        if storage.isolating_valve != case.name:
            continue
        for name, config in case.site.units.items():
            if config.storage != storage_name:
                continue
            unit, memory = case.view.units[name], case.memory.unit(name)
            if not unit.known and memory.phase is not Phase.OFF:
                return Refused("stale_inputs", {"unit": name})
            # A unit that stands in its register for charging may start by itself as long as it is asked to run.
            charging = unit.mode_actual == "charge" or (unit.mode_request == "charge" and unit.run_request)
            if charging and not compressor_stands(case.site, name, unit):
                return Refused("unit_charging", {"unit": name})
            if memory.mode == "charge" and memory.phase not in (Phase.OFF, Phase.UNKNOWN, Phase.LOCAL):
                return Refused("unit_charging", {"unit": name})
        valve = case.view.valves[storage.discharge_valve]
        if valve.position_ratio is None or valve.position_ratio > CLOSED_RATIO or (valve.commanded_ratio or 0.0) > 0.0:
            return Refused("discharging", {"valve": storage.discharge_valve})
    return ALLOWED


def _judge_discharge(case: _Case) -> Verdict:
    if not 0.0 <= case.command.value <= 1.0:
        return _out_of_bounds(case)
    if case.command.value == 0.0:
        return ALLOWED
    for storage_name, storage in case.site.storages.items():
        if storage.discharge_valve != case.name:
            continue
        supply_degc = case.view.loops[storage.loop].protection_degc
        if supply_degc is None:
            return Refused("stale_inputs", {"valve": case.name})
        position_ratio = case.view.valves[storage.isolating_valve].position_ratio
        if position_ratio is None or position_ratio <= PATH_OPEN_RATIO:
            return Refused("path_closed", {"valve": case.name})
        before = case.view.valves[case.name].commanded_ratio
        opening = before is None or case.command.value > before
        if opening and supply_degc > case.site.loops[storage.loop].supply_degc_max:
            return Refused("supply_too_hot", {"supply_degc": round(supply_degc, 1), "storage": storage_name})
        return ALLOWED
    return Refused("unknown_valve", {"valve": case.name})


_RULES: Mapping[Kind, Callable[[_Case], Verdict]] = {
    Kind.RUN_REQUEST: _judge_run,
    Kind.MODE_REQUEST: _judge_mode,
    Kind.SETPOINT: _judge_setpoint,
    Kind.CAPACITY_LIMIT: _judge_limit,
    Kind.STAGE: _judge_stage,
    Kind.HEARTBEAT: _judge_heartbeat,
    Kind.PUMP: _judge_pump,
    Kind.ISOLATING_VALVE: _judge_isolating,
    Kind.DISCHARGE_VALVE: _judge_discharge,
}
