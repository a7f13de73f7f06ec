"""The sequence of one unit, step by step, each step proven by feedback. Pure: instants come in, wishes go out.

`adopt.py` has brought the remembered phase in line with reality; here the next thing is done: `start.py`, running as
below, `stop.py`. Pumps are not commanded here but asked for by the phase (memory.NEEDS_...): `station.py` unites what
all units need.

Source: plant-operation notes, sections 3 and 4 (operating rules, maker manuals); times: `SiteFile.control`.
"""

from collections.abc import Mapping
from dataclasses import replace

from edge_agent.control import start, stop
from edge_agent.control.actuation import at_rest
from edge_agent.control.command import Alarm, Because
from edge_agent.control.memory import ASKED, PREPARING, Phase, UnitMemory
from edge_agent.control.permissives import PATH_OPEN_RATIO, path_open, run_long_enough, tank_too_hot
from edge_agent.control.protection import NO_RAMP, danger_of
from edge_agent.control.regulate import LOAD_RATIO_MIN
from edge_agent.control.turn import Turn, stop_commands
from edge_agent.control.view import PlantView, UnitState
from edge_agent.control.want import Step, Want
from edge_agent.settings.model import SiteFile


def step(
    name: str,
    memory: UnitMemory,
    *,
    want: Want,
    view: PlantView,
    site: SiteFile,
    may_request: bool,
    achieved: Mapping[str, float] | None = None,
) -> Step:
    """Does the next thing for one unit whose memory has been adopted.

    Args:
        name: of the unit.
        memory: after `adopt`.
        want: what dispatch wants of it.
        view: the plant now.
        site: times and limits.
        may_request: staggering allows this unit to be asked to start in this cycle.
        achieved: what the unit is known to give for what it is told.
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
        return Step(at_rest(memory), stop_commands(site, name, because=Because.PROTECTION), (alarm,))
    result = _next(Turn(name, memory, want=want, view=view, site=site, may_request=may_request, achieved=achieved))
    if result.memory.phase not in ASKED:
        result = replace(result, memory=at_rest(result.memory))
    return replace(result, alarms=(*result.alarms, *_fault_alarms(name, result.memory)))


def _next(turn: Turn) -> Step:
    phase = turn.memory.phase
    if phase in PREPARING:
        return start.prepare(turn)
    if phase is Phase.OFF:
        return start.off(turn)
    if phase is Phase.STARTING:
        return start.starting(turn)
    if phase is Phase.RUNNING:
        return _running(turn)
    if phase is Phase.STOPPING:
        return stop.stopping(turn)
    return stop.overrun(turn)


def _fault_alarms(name: str, memory: UnitMemory) -> tuple[Alarm, ...]:
    if not memory.fault or memory.fault_utc is None:
        return ()
    if memory.fault == start.PATH_NOT_PROVEN:
        return (Alarm("unit_way_failed", name, memory.fault_utc, {"unit": name, "mode": memory.barred_mode or "?"}),)
    code = "unit_locked_out" if memory.locked_out else "unit_start_failed"
    return (Alarm(code, name, memory.fault_utc, {"unit": name, "reason": memory.fault}),)


def _running(turn: Turn) -> Step:
    memory, want = turn.memory, turn.want
    if memory.idle_since_utc is not None:
        idle_s = (turn.now_utc - memory.idle_since_utc).total_seconds()
        if idle_s >= turn.control.idle_s or not want.on:
            return stop.stop(turn, Because.SEQUENCE)
    elif not want.on and run_long_enough(turn.config, memory, turn.now_utc):
        return stop.stop(turn, want.because)
    danger = danger_of(turn.name, memory, view=turn.view, site=turn.site)
    alarms = (*turn.pump_alarms(), *danger.alarms)
    since_utc = (memory.danger_since_utc or turn.now_utc) if danger.stop else None
    turn.memory = memory = replace(memory, danger_since_utc=since_utc)
    seen = since_utc is not None and (turn.now_utc - since_utc).total_seconds() >= turn.control.danger_s
    if seen and (danger.at_once or run_long_enough(turn.config, memory, turn.now_utc)):
        alarm = Alarm("unit_protected", turn.name, turn.now_utc, {"unit": turn.name, "reason": danger.stop})
        taken = start.fail(turn, danger.stop) if danger.stop == NO_RAMP else stop.stop(turn, Because.PROTECTION)
        return replace(taken, alarms=(*alarms, alarm))
    if danger.unload:
        lowest = dict.fromkeys(turn.config.modes, LOAD_RATIO_MIN)
        turn.want = want = replace(want, limit_ratio=lowest, because=Because.PROTECTION)
    if memory.mode == "charge" and _path_lost(turn):
        # The way into the tank is gone: back to the loop at once, before the unit loses its flow.
        alarms = (*alarms, *_valve_alarm(turn))
        if "direct" in turn.config.modes:
            turn.memory = replace(memory, mode="direct", mode_since_utc=turn.now_utc)
    elif _may_change_mode(turn):
        turn.memory = replace(memory, mode=want.mode, mode_since_utc=turn.now_utc)
    # A request that somebody may have withdrawn is not given again before that is known.
    request = () if memory.withdrawn_utc is not None else (turn.request(),)
    commands = (*turn.unit_commands(), *request)
    return Step(turn.memory, commands, alarms)


def _path_lost(turn: Turn) -> bool:
    """Whether the isolating valve is seen not to be open; not seen is not closed."""
    storage = turn.config.storage
    if storage is None:
        return True
    position_ratio = turn.view.valves[turn.site.storages[storage].isolating_valve].position_ratio
    return position_ratio is not None and position_ratio <= PATH_OPEN_RATIO


def _may_change_mode(turn: Turn) -> bool:
    memory, want = turn.memory, turn.want
    if not want.on or want.mode is None or want.mode == memory.mode or want.mode not in turn.config.modes:
        return False
    if turn.unit.state is not UnitState.RUNNING:
        return False
    held_s = (
        (turn.now_utc - memory.mode_since_utc).total_seconds() if memory.mode_since_utc else turn.control.mode_hold_s
    )
    if held_s < turn.control.mode_hold_s and want.because is not Because.COMFORT:
        return False
    if want.mode != "charge":
        return True
    too_hot = tank_too_hot(turn.site, turn.view, turn.config.storage)
    return not too_hot and path_open(turn.site, turn.view, turn.config.storage)


def _valve_alarm(turn: Turn) -> tuple[Alarm, ...]:
    storage = turn.config.storage
    if storage is None:
        return ()
    valve = turn.site.storages[storage].isolating_valve
    position_ratio = turn.view.valves[valve].position_ratio
    values: dict[str, float | str] = {
        "valve": valve,
        "wanted_ratio": 1.0,
        "position_ratio": "?" if position_ratio is None else round(position_ratio, 2),
    }
    return (Alarm("valve_stuck", valve, turn.now_utc, values),)
