"""From what is wanted of a unit to what it can be told, by its actuation; and what it then really gives. Pure.

A unit takes a capacity limit, a number of stages, a set-point only, or nothing but contacts. Stages come and go one at
a time, each after its wait, and a unit without a set-point of its own has its stages chosen here by the temperature of
the water that leaves it. Starting and stopping is the business of `sequence.py`; whether anything of this may be
written, that of `guard.py`.

Told loads narrow: a limit between two stages is the lower one. The planner is told the same in `plan_case.py`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise

from edge_agent.control.command import Alarm, Because, Command, Kind
from edge_agent.control.memory import ASKED, Phase, UnitMemory
from edge_agent.control.regulate import LOAD_RATIO_MIN
from edge_agent.control.view import MODE_NAMES, MODE_NUMBERS, PlantView, UnitState, UnitView
from edge_agent.settings.model import PerformanceMode, Unit

ALL_RATIO = 0.97
"""A limit from here on is no limit. Ours, as in `dispatch`."""
LIMIT_TOLERANCE_RATIO = 0.05
"""A stage may give this much more than the limit and still be allowed. Ours: shares are rounded on nameplates."""
RISE_K = 5.0
"""Rise of the water in a unit at full load. Source: usual condenser design, EN 14511-2 rates at 5 K."""
BAND_STEP_RATIO = 0.6
"""A stage comes or goes when the leaving water is this share of the stage's own step away. Ours: above one half, or
the next stage would be taken back at once."""
PROVEN_S = 60.0
"""A need for a stage must last this long: a flow transient looks like load. Ours."""
SETTLED_S = 300.0
"""What a unit gives is judged this long after a start, a stage or a change of mode. Ours: heat after 3 min."""
LEARN_S = 1800.0
"""Time constant of what is learned. Ours."""
LEARN_STEP_RATIO = 0.2
"""A reading further off than this counts as so far only: one bad reading moves nothing. Ours."""
ACHIEVED_MIN, ACHIEVED_MAX = 0.05, 1.3
"""Bounds of a learned load: beyond them the reading is wrong, not the unit. Ours."""
CORRECTION_RATIO = 0.1
"""A told limit is corrected by what was learned by at most this much. Ours."""


# ------------------------------------------------------------------------------------------------------- what it takes


def stage_count(unit: Unit) -> int:
    """Number of stages; 0 for a unit that has none to be told."""
    return len(unit.stage_ratios) if unit.actuation in ("stages", "contacts") else 0


def regulates_itself(unit: Unit) -> bool:
    """Whether its own thermostat follows a set-point that it is told; its stages are then a limit only."""
    return unit.point("supply_setpoint") is not None


def run_command(name: str, unit: Unit, *, on: bool, because: Because) -> Command:
    """The request to run or to stop."""
    return Command(_require(unit, "run_request"), float(on), Kind.RUN_REQUEST, name, because)


def mode_commands(name: str, unit: Unit, *, mode: str, because: Because) -> tuple[Command, ...]:
    """The request for a mode, as a number or as a contact; none for a unit that knows only one."""
    contact = unit.point("charge_contact")
    if contact is not None:
        return (Command(contact, float(mode == "charge"), Kind.MODE_REQUEST, name, because),)
    register = unit.point("mode_request")
    if register is None:
        return ()
    return (Command(register, float(MODE_NUMBERS[mode]), Kind.MODE_REQUEST, name, because),)


def mode_of(command: Command, unit: Unit) -> str | None:
    """The mode that a request stands for; None for a number that is none."""
    if command.value != round(command.value):
        return None
    if command.point == unit.point("charge_contact"):
        return {0.0: "direct", 1.0: "charge"}.get(command.value)
    return MODE_NAMES.get(round(command.value))


def stage_commands(name: str, unit: Unit, *, stage: int, because: Because) -> tuple[Command, ...]:
    """What lets so many stages run: one number, or one contact for each stage after the first.

    Contacts open from the last stage down and close from the second up.
    """
    if stage_count(unit) == 0:
        return ()
    register = unit.point("stage_request")
    if register is not None:
        return (Command(register, float(max(stage, 1)), Kind.STAGE, name, because),)
    contacts = [
        Command(point, float(stage > place), Kind.STAGE, name, because)
        for place, point in enumerate(unit.points.stage_contacts, start=1)
    ]
    opening = [command for command in reversed(contacts) if command.value == 0.0]
    return (*opening, *(command for command in contacts if command.value == 1.0))


def stage_of(command: Command, unit: Unit) -> int | None:
    """How many stages a stage command lets run at most (contact opens) or at least (contact closes)."""
    if command.value != round(command.value):
        return None
    if command.point == unit.point("stage_request"):
        return round(command.value)
    contacts = unit.points.stage_contacts
    if command.point not in contacts or command.value not in (0.0, 1.0):
        return None
    return contacts.index(command.point) + 1 + round(command.value)


def _require(unit: Unit, role: str) -> str:
    point = unit.point(role)
    assert point is not None, f"checked in the configuration: {role}"
    return point


# ------------------------------------------------------------------------------------------------------ what it is told


@dataclass(frozen=True, slots=True)
class Told:
    """What a unit is told of its load in this cycle.

    Attributes:
        memory: with the stage that is asked for.
        commands: set-point, limit, stages, in the order in which they may be written.
    """

    memory: UnitMemory
    commands: tuple[Command, ...] = ()


def tell_load(
    name: str,
    unit: Unit,
    memory: UnitMemory,
    *,
    setpoint_degc: float | None,
    limit_ratio: float | None,
    view: PlantView,
    achieved: Mapping[str, float],
    because: Because,
    lowest_degc: float,
) -> Told:
    """Turns a leaving temperature and a most load into what the unit takes.

    Args:
        name: of the unit.
        unit: its configuration.
        memory: of a unit that is asked to run; its mode is that of the set-point and the limit.
        setpoint_degc: leaving temperature wanted; None: what stands there stays.
        limit_ratio: most load as share of the full heat; None: none is wanted.
        view: the plant now.
        achieved: what was learned of the unit.
        because: why.
        lowest_degc: least set-point that may be asked for.
    """
    commands: list[Command] = []
    mode = memory.mode or "direct"
    register = unit.point("supply_setpoint")
    if because is Because.PROTECTION and limit_ratio is not None and unit.actuation == "supply_setpoint":
        inlet_degc = view.units[name].user_return_degc
        if inlet_degc is None:
            inlet_degc = view.loops[unit.loop].return_degc
        setpoint_degc = _unloading_degc(
            setpoint_degc, limit_ratio=limit_ratio, inlet_degc=inlet_degc, lowest_degc=lowest_degc
        )
    if register is not None and setpoint_degc is not None:
        commands.append(Command(register, setpoint_degc, Kind.SETPOINT, name, because))
    limit = unit.point("capacity_limit")
    if limit is not None and limit_ratio is not None:
        told_ratio = _corrected(limit_ratio, achieved.get(mode))
        commands.append(Command(limit, told_ratio, Kind.CAPACITY_LIMIT, name, because))
    if stage_count(unit) > 0:
        memory = _choose_stage(
            unit,
            memory,
            setpoint_degc=setpoint_degc,
            limit_ratio=limit_ratio,
            view=view,
            name=name,
            achieved=achieved,
            at_once=because is Because.PROTECTION,
        )
        commands.extend(stage_commands(name, unit, stage=memory.stage, because=because))
    return Told(memory, tuple(commands))


def _unloading_degc(
    setpoint_degc: float | None, *, limit_ratio: float, inlet_degc: float | None, lowest_degc: float
) -> float | None:
    """A set-point that unloads a unit which takes nothing else: little above the water that enters it."""
    if inlet_degc is None:
        return setpoint_degc
    unloading_degc = max(round(inlet_degc + RISE_K * limit_ratio, 1), lowest_degc)
    return unloading_degc if setpoint_degc is None else min(setpoint_degc, unloading_degc)


def _corrected(limit_ratio: float, achieved_ratio: float | None) -> float:
    """A limit such that the unit gives what is wanted, as far as it was learned; no limit stays none."""
    if achieved_ratio is None or limit_ratio >= ALL_RATIO:
        return limit_ratio
    factor = min(max(1.0 / achieved_ratio, 1.0 - CORRECTION_RATIO), 1.0 + CORRECTION_RATIO)
    # Below its lowest load a unit takes no limit at all.
    return round(min(max(limit_ratio * factor, min(limit_ratio, LOAD_RATIO_MIN)), ALL_RATIO), 3)


def stage_key(mode: str, stage: int) -> str:
    """Under which name the load of a stage is learned."""
    return f"{mode}/{stage}"


def stage_shares(unit: Unit, mode: str, achieved: Mapping[str, float]) -> tuple[float, ...]:
    """Share of the full heat by number of stages: as learned, else as configured; never less with one stage more."""
    shares: list[float] = []
    for stage, configured in enumerate(unit.stage_ratios, start=1):
        share = achieved.get(stage_key(mode, stage), configured)
        shares.append(max(share, shares[-1] if shares else 0.0))
    return tuple(shares)


def stage_within(limit_ratio: float, shares: tuple[float, ...]) -> int:
    """The most stages that keep a limit; the first always runs while the unit does."""
    if limit_ratio >= ALL_RATIO:
        return len(shares)
    kept = [stage for stage, share in enumerate(shares, start=1) if share <= limit_ratio + LIMIT_TOLERANCE_RATIO]
    return max(kept, default=1)


def _choose_stage(
    unit: Unit,
    memory: UnitMemory,
    *,
    setpoint_degc: float | None,
    limit_ratio: float | None,
    view: PlantView,
    name: str,
    achieved: Mapping[str, float],
    at_once: bool,
) -> UnitMemory:
    """The next stage: one up or one down when it is due, else the present one; for protection down without a wait."""
    seen, now_utc = view.units[name], view.instant_utc
    mode = memory.mode or "direct"
    if memory.stage == 0:
        # Just asked to start, or taken over from somebody else: what stands there is where we begin.
        running = seen.state is UnitState.RUNNING and memory.phase is Phase.RUNNING
        begun = seen.stage_commanded if running and seen.stage_commanded is not None else 1
        memory = replace(memory, stage=min(max(begun, 1), stage_count(unit)), stages_utc=(now_utc,))
    ceiling = stage_within(1.0 if limit_ratio is None else limit_ratio, unit.stage_ratios)
    if regulates_itself(unit) or mode != "direct":
        need = (ceiling > memory.stage) - (ceiling < memory.stage)
    else:
        need = _need(unit, memory.stage, setpoint_degc=setpoint_degc, leaving_degc=seen.user_supply_degc)
        if need > 0 and memory.stage >= ceiling:
            need = 0
        if memory.stage > ceiling:
            need = -1
    shares = stage_shares(unit, mode, achieved)
    if need > 0 and memory.stage < len(shares) and shares[memory.stage - 1] >= ALL_RATIO:
        need = 0  # one more would give nothing
    if need != memory.stage_need:
        memory = replace(memory, stage_need=need, stage_need_utc=now_utc)
    if need == 0 or seen.state is not UnitState.RUNNING or memory.running_since_utc is None:
        return memory
    assert memory.stage_need_utc is not None
    if at_once and need < 0:
        return _moved(memory, need, now_utc)
    wait_s = unit.stage_up_s if need > 0 else unit.stage_down_s
    since_utc = max((memory.running_since_utc, *memory.stages_utc[-1:]))
    proven_s = 0.0 if regulates_itself(unit) or mode != "direct" else PROVEN_S
    if (now_utc - since_utc).total_seconds() < wait_s or (now_utc - memory.stage_need_utc).total_seconds() < proven_s:
        return memory
    return _moved(memory, need, now_utc)


def _moved(memory: UnitMemory, need: int, now_utc: datetime) -> UnitMemory:
    instants = (*memory.stages_utc[-1:], now_utc)
    return replace(memory, stage=memory.stage + need, stages_utc=instants, stage_need=0, stage_need_utc=None)


def _need(unit: Unit, stage: int, *, setpoint_degc: float | None, leaving_degc: float | None) -> int:
    """One stage more, one less, or as it is, by the water that leaves; blind: as it is."""
    if setpoint_degc is None or leaving_degc is None:
        return 0
    error_k = setpoint_degc - leaving_degc
    ratios = unit.stage_ratios
    if stage < len(ratios) and error_k > BAND_STEP_RATIO * RISE_K * (ratios[stage] - ratios[stage - 1]):
        return 1
    if stage > 1 and -error_k > BAND_STEP_RATIO * RISE_K * (ratios[stage - 1] - ratios[stage - 2]):
        return -1
    return 0


def at_rest(memory: UnitMemory) -> UnitMemory:
    """Memory of a unit that is not asked to run: the next start begins with the first stage."""
    if memory.stage == 0 and memory.stage_need == 0:
        return memory
    return replace(memory, stage=0, stages_utc=(), stage_need=0, stage_need_utc=None)


def stage_obstacle(command: Command, unit: Unit, memory: UnitMemory, *, seen: UnitView, now_utc: datetime) -> str:
    """What forbids a stage, as a code; empty when nothing does.

    Going down is always allowed to a unit that is not asked to run, and for its protection.
    """
    if stage_count(unit) == 0:
        return "not_commandable"
    stage = stage_of(command, unit)
    if stage is None or not 1 <= stage <= stage_count(unit):
        return "out_of_bounds"
    standing = seen.stage_commanded
    if standing is None:
        return "stale_inputs"
    contact = command.point in unit.points.stage_contacts
    up = command.value == 1.0 if contact else stage > max(standing, 1)
    if not up and (command.because is Because.PROTECTION or memory.phase not in ASKED or stage >= standing):
        return ""
    own = memory.stages_utc[-1:] == (now_utc,)
    before = memory.stages_utc[:-1] if own or memory.stage == stage else memory.stages_utc
    since_utc = max((*before[-1:], *((memory.running_since_utc,) if memory.running_since_utc else ())), default=None)
    waited_s = math.inf if since_utc is None else (now_utc - since_utc).total_seconds()
    if not up:
        return "stage_wait" if waited_s < unit.stage_down_s else ""
    if seen.state is not UnitState.RUNNING or memory.running_since_utc is None:
        return "unit_not_running"
    if stage - standing > 1:
        return "stage_jump"
    return "stage_wait" if waited_s < unit.stage_up_s else ""


# ------------------------------------------------------------------------------------------------- what it really gives


def load_given(unit: Unit, seen: UnitView, figures: PerformanceMode | None) -> float | None:
    """Share of the full heat that a running unit gives: its own word, else what its electricity says; None: not known.

    Args:
        unit: its configuration.
        seen: its feedback.
        figures: what it needs for what it gives, in its present mode.
    """
    if seen.state is not UnitState.RUNNING:
        return None
    if unit.point("load_ratio") is not None and seen.load_ratio is not None:
        return seen.load_ratio
    if seen.electric_kw is None or figures is None:
        return None
    return load_for_power(seen.electric_kw, figures.curve)


def load_for_power(electric_kw: float, curve: tuple[tuple[float, float], ...]) -> float:
    """Load ratio that needs a power, by a curve of (load, power) that rises; beyond its ends it goes on straight."""
    for (low, low_kw), (high, high_kw) in pairwise(curve):
        if electric_kw <= high_kw or high == curve[-1][0]:
            if high_kw <= low_kw:
                return high
            return max(0.0, low + (high - low) * (electric_kw - low_kw) / (high_kw - low_kw))
    return curve[-1][0]


def learn(
    achieved: Mapping[str, float],
    unit: Unit,
    memory: UnitMemory,
    *,
    told_ratio: float | None,
    given_ratio: float | None,
    step_s: float,
    now_utc: datetime,
) -> Mapping[str, float]:
    """What is known of a unit's load after one more reading.

    By stage: the share of the full heat that so many stages give. By mode, for a load limit or a set-point that stands
    for a load: what it gives over what it was told. Nothing is learned from a unit that has not settled.

    Args:
        achieved: what is known.
        unit: its configuration.
        memory: with the stage and the mode that it was told.
        told_ratio: load that its limit or its set-point stands for; None or all: no part load was told.
        given_ratio: what it gives now.
        step_s: time since the last reading.
        now_utc: the present instant.
    """
    if given_ratio is None or memory.phase is not Phase.RUNNING or memory.mode is None or memory.idle_since_utc:
        return achieved
    instants = [memory.running_since_utc, memory.mode_since_utc, *memory.stages_utc[-1:]]
    last_utc = max((instant for instant in instants if instant is not None), default=None)
    if last_utc is None or (now_utc - last_utc).total_seconds() < SETTLED_S:
        return achieved
    if stage_count(unit) > 0:
        if regulates_itself(unit):
            return achieved  # what it gives below its limit is its own thermostat's business
        key, start, reading = stage_key(memory.mode, memory.stage), unit.stage_ratios[memory.stage - 1], given_ratio
    elif unit.actuation == "contacts":
        key, start, reading = stage_key(memory.mode, 1), 1.0, given_ratio
    else:
        if told_ratio is None or not 0.0 < told_ratio < ALL_RATIO:
            return achieved
        key, start, reading = memory.mode, 1.0, given_ratio / told_ratio
    known = achieved.get(key, start)
    change = min(max(reading - known, -LEARN_STEP_RATIO), LEARN_STEP_RATIO) * -math.expm1(-max(step_s, 0.0) / LEARN_S)
    return {**achieved, key: min(max(known + change, ACHIEVED_MIN), ACHIEVED_MAX)}


@dataclass(frozen=True, slots=True)
class Load:
    """What a unit is told and gives, for the operator and the planner.

    Attributes:
        actuation: what it can be told.
        stage, stages: how many stages are asked for, and how many there are; 0: none to be told.
        given_ratio: share of the full heat that it gives now; None: not known, or it does not run.
        achieved: what was learned, as `learn` writes it.
    """

    actuation: str
    stage: int = 0
    stages: int = 0
    given_ratio: float | None = None
    achieved: Mapping[str, float] = field(default_factory=dict)


def stage_alarms(
    name: str, unit: Unit, memory: UnitMemory, *, seen: UnitView, given_ratio: float | None, now_utc: datetime
) -> tuple[Alarm, ...]:
    """A stage that was called and does not show: by its feedback, else by the load; a limit is no call."""
    stage = memory.stage
    if stage < 2 or memory.phase is not Phase.RUNNING or regulates_itself(unit) or not memory.stages_utc:  # noqa: PLR2004 - the first stage is the start itself
        return ()
    since_utc = memory.stages_utc[-1]
    if (now_utc - since_utc).total_seconds() <= unit.stage_proof_s or seen.state is not UnitState.RUNNING:
        return ()
    if seen.stage is not None:
        shows = seen.stage >= stage
    elif given_ratio is not None:
        shows = given_ratio > 0.5 * (unit.stage_ratios[stage - 2] + unit.stage_ratios[stage - 1])
    else:
        return ()
    if shows:
        return ()
    return (Alarm("stage_not_proven", name, since_utc, {"unit": name, "stage": float(stage)}),)
