"""Start of one unit: way, pumps, flow, lead, request; each proven before the next, or the start ends with its name.

Source: plant-operation notes, section 3 (operating rules, maker manuals); times: `SiteFile.control`. Pure.
"""

from dataclasses import replace
from datetime import timedelta

from edge_agent.control.command import Alarm, Because
from edge_agent.control.hydraulics import mode_valves
from edge_agent.control.memory import ASKED, Phase, enter
from edge_agent.control.permissives import draws_power, start_obstacles
from edge_agent.control.turn import Turn, stop_commands
from edge_agent.control.view import UnitState
from edge_agent.control.want import Step

PATH_NOT_PROVEN = "valve_not_proven"
"""Code of a start whose way did not open."""


def off(turn: Turn) -> Step:
    """A unit that stands: begins a start when it is wanted and nothing is in the way."""
    mode = turn.want.mode
    if not turn.want.on or mode is None:
        return Step(turn.memory, turn.withdraw())
    obstacles = start_obstacles(turn.name, turn.memory, mode=mode, view=turn.view, site=turn.site)
    if obstacles:
        return Step(turn.memory, turn.withdraw(), waiting=obstacles)
    turn.memory = replace(turn.memory, mode=mode, mode_since_utc=turn.now_utc)
    turn.go(Phase.PATH)
    return prepare(turn)


def prepare(turn: Turn) -> Step:
    """Path, pumps, flow, lead: goes on as far as is proven."""
    mode = turn.want.mode
    if not turn.want.on or mode is None:
        return Step(enter(replace(turn.memory, mode=None), Phase.OFF, turn.now_utc), turn.withdraw())
    if mode != turn.memory.mode:
        turn.memory = replace(turn.memory, mode=mode, mode_since_utc=turn.now_utc)
        turn.go(Phase.PATH)
    obstacles = start_obstacles(turn.name, turn.memory, mode=mode, view=turn.view, site=turn.site)
    if obstacles:
        return _put_off(turn, obstacles)
    if turn.memory.phase is Phase.PATH and turn.path_ready():
        turn.go(Phase.FLOW if turn.config.pump_owner != "agent" else Phase.SOURCE_PUMP)
    if turn.memory.phase is Phase.SOURCE_PUMP and turn.pump_runs(turn.config.source_pump):
        turn.go(Phase.USER_PUMP)
    if turn.memory.phase is Phase.USER_PUMP and turn.pump_runs(turn.config.user_pump):
        turn.go(Phase.FLOW)
    if turn.memory.phase is Phase.FLOW and _flow_ready(turn):
        turn.go(Phase.LEAD)
    if turn.memory.phase is Phase.LEAD:
        return _lead(turn)
    return _wait_or_fail(turn)


def _flow_ready(turn: Turn) -> bool:
    if turn.unit.mode_request != turn.memory.mode:
        return False
    if turn.config.pump_owner == "unit":
        return True  # the unit runs its pumps when it wants them: flow before the request would be an error to it
    return turn.unit.user_flow is True and turn.unit.source_flow is True


def _lead(turn: Turn) -> Step:
    ready = turn.path_ready() and _flow_ready(turn)
    if turn.config.pump_owner == "agent":
        ready = ready and turn.pump_runs(turn.config.source_pump) and turn.pump_runs(turn.config.user_pump)
    if not ready:
        turn.go(Phase.FLOW)
        return _wait_or_fail(turn)
    state_utc = turn.unit.state_utc
    fresh = state_utc is not None and turn.memory.since_utc is not None and state_utc > turn.memory.since_utc
    if turn.age_s < turn.control.pump_lead_s or not fresh:
        return Step(turn.memory, turn.mode_command())
    if turn.age_s >= turn.control.start_held_s:
        return fail(turn, "start_held")
    if not turn.may_request:
        return Step(turn.memory, turn.mode_command(), waiting=("stagger",))
    turn.memory = replace(
        enter(turn.memory, Phase.STARTING, turn.now_utc),
        starts_utc=(*turn.memory.starts_utc, turn.now_utc),
        start_pending=True,
    )
    commands = (*turn.unit_commands(), turn.request())
    return Step(turn.memory, commands)


def _wait_or_fail(turn: Turn) -> Step:
    """Waits for the proof of the present phase, or ends the start with the step's name."""
    control = turn.control
    limits_s = {
        Phase.PATH: _travel_s(turn) + control.valve_margin_s,
        Phase.SOURCE_PUMP: control.pump_proof_s,
        Phase.USER_PUMP: control.pump_proof_s,
        Phase.FLOW: control.flow_proof_s,
    }
    if turn.age_s <= limits_s[turn.memory.phase] + control.cycle_s:
        # The mode register decides which way the unit's water goes, so it comes before the proof of flow.
        return Step(turn.memory, () if turn.memory.phase is Phase.PATH else turn.mode_command())
    if turn.memory.phase is Phase.FLOW:
        if turn.unit.mode_request != turn.memory.mode:
            return fail(turn, "mode_not_taken")
        return fail(turn, "user_flow_not_proven" if turn.unit.source_flow else "source_flow_not_proven")
    if turn.memory.phase is Phase.PATH:
        return fail(turn, PATH_NOT_PROVEN)
    source = turn.memory.phase is Phase.SOURCE_PUMP
    return fail(turn, "source_pump_not_proven" if source else "user_pump_not_proven")


def _travel_s(turn: Turn) -> float:
    """How long the way may take [s]: the valves of the modes close one after the other before others open."""
    storage = turn.config.storage
    own_s = 0.0
    if turn.memory.mode == "charge" and storage is not None:
        own_s = turn.site.valves[turn.site.storages[storage].isolating_valve].travel_s
    modes_s = max((turn.site.valves[valve].travel_s for valve in mode_valves(turn.site)), default=0.0)
    return max(own_s, 2.0 * modes_s)


def fail(turn: Turn, reason: str) -> Step:
    """Ends a start that did not get as far as the request, or was not followed."""
    if reason == PATH_NOT_PROVEN and turn.memory.mode is not None:
        return _bar(turn, turn.memory.mode)
    failures = turn.memory.failures + 1
    memory = replace(
        turn.memory,
        failures=failures,
        locked_out=turn.memory.locked_out or failures > turn.control.start_retries,
        retry_utc=turn.now_utc + timedelta(seconds=turn.config.min_off_s),
        fault=reason,
        fault_utc=turn.now_utc,
        start_pending=False,
        stop_because=Because.PROTECTION.value,
    )
    if turn.memory.phase in ASKED:
        memory = enter(memory, Phase.STOPPING, turn.now_utc)
    else:
        memory = enter(replace(memory, mode=None), Phase.OFF, turn.now_utc)
    return Step(memory, stop_commands(turn.site, turn.name, because=Because.PROTECTION))


def _put_off(turn: Turn, obstacles: tuple[str, ...]) -> Step:
    """Gives up a start that has become impossible; one that shows only with pumps on is not tried at once."""
    memory = enter(replace(turn.memory, mode=None), Phase.OFF, turn.now_utc)
    if turn.memory.phase is not Phase.PATH:
        again_utc = turn.now_utc + timedelta(seconds=turn.config.min_off_s)
        memory = replace(memory, retry_utc=again_utc, fault=obstacles[0], fault_utc=turn.now_utc)
    return Step(memory, waiting=obstacles)


def _bar(turn: Turn, mode: str) -> Step:
    """A way that is not proven is the valve's fault, not the unit's: the mode is barred for a while, not the unit."""
    memory = replace(
        turn.memory,
        mode=None,
        barred_mode=mode,
        barred_until_utc=turn.now_utc + timedelta(seconds=turn.config.min_off_s),
        fault=PATH_NOT_PROVEN,
        fault_utc=turn.now_utc,
    )
    commands = stop_commands(turn.site, turn.name, because=Because.PROTECTION)
    return Step(enter(memory, Phase.OFF, turn.now_utc), commands)


def starting(turn: Turn) -> Step:
    """Asked to run: waits for the unit to say so."""
    # A request that stands is not taken back before the unit has run its minimum: its compressor may be on already.
    if turn.age_s > turn.control.unit_start_s:
        if turn.unit.state is UnitState.OFF:
            return fail(turn, "unit_not_started")
        if not draws_power(turn.config, turn.unit):
            return fail(turn, "unit_keeps_starting")
    alarms = turn.pump_alarms()
    if turn.age_s > turn.control.unit_start_s and turn.memory.since_utc is not None:
        # Its compressor runs: stopping it would cost heat for a word that it does not say.
        alarms = (*alarms, Alarm("unit_start_unconfirmed", turn.name, turn.memory.since_utc, {"unit": turn.name}))
    commands = (*turn.unit_commands(), turn.request())
    return Step(turn.memory, commands, alarms)
