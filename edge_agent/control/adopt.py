"""Reality first: brings what is remembered of a unit in line with what the unit reports. Pure.

Called every cycle, so that a restart of the service, a person at the panel and the unit's own thermostat are nothing
special.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from edge_agent.control.memory import ASKED, PREPARING, STARTS_KEPT, Phase, UnitMemory, enter
from edge_agent.control.view import RUNNING_RATIO, PlantView, UnitState, UnitView
from edge_agent.settings.model import Control, Unit

POWERED_KW = 0.05
"""A silent unit whose meter shows more has not lost its power [kW]: controls and oil heater draw as much. Ours."""


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
        if memory.running_since_utc is not None:
            ran_s = max(0.0, (now_utc - memory.running_since_utc).total_seconds())
            memory = replace(memory, run_s=memory.run_s + ran_s)
        memory = replace(memory, running_since_utc=None, off_since_utc=memory.off_since_utc or now_utc)
    else:
        memory = replace(memory, off_since_utc=None, idle_since_utc=None)
        if unit.state is UnitState.RUNNING:
            memory = replace(memory, running_since_utc=memory.running_since_utc or now_utc)
    if not unit.remote:
        return memory if memory.phase is Phase.LOCAL else enter(memory, Phase.LOCAL, now_utc)
    if unit.state is UnitState.TRIPPED:
        return memory if memory.phase is Phase.TRIPPED else enter(memory, Phase.TRIPPED, now_utc)
    if unit.state is UnitState.OFF:
        return _adopt_off(memory, unit=unit, pumps_on=pumps_on, now_utc=now_utc)
    return _adopt_on(memory, unit=unit, now_utc=now_utc)


def cut_likely(name: str, view: PlantView) -> bool:
    """Whether what is seen while a unit is silent speaks for a loss of its power, and not of its line only.

    Its own meter, where it has one, decides (`hear`). Without one: the main meter is silent too, so the plant may be
    dark; or other units answer and only this one does not, so its breaker may be off. All units silent while the main
    meter answers have lost their line: to let them wait for warm oil would cost the house its heat for nothing. What is
    seen for moments proves nothing: units of a lost line come back, and fall silent, one after the other.
    """
    dark = view.main_meter.read_utc is None
    return dark or any(seen.known for other, seen in view.units.items() if other != name)


def hear(
    memory: UnitMemory,
    *,
    unit: UnitView,
    now_utc: datetime,
    config: Unit,
    control: Control,
    cut: bool,
) -> UnitMemory:
    """Notes how long a unit has been silent, and for how much of that its power was likely away; before `adopt`.

    The cut has ended when the unit answers again, or its meter shows that it draws power: a controller may take minutes
    to boot. If it was long, the oil has cooled and holds refrigerant. A unit that runs has warm oil.

    Source: plant-operation notes, section 5: crankcase power before a start.

    Args:
        memory: of the unit.
        unit: its feedback.
        now_utc: the present instant.
        config: how long its oil is heated.
        control: what counts as a long power cut.
        cut: whether it is likely now that a silent unit has lost its power (`cut_likely`).
    """
    drawn_kw = unit.electric_kw or 0.0
    if not unit.known and drawn_kw <= POWERED_KW:
        memory = replace(memory, silent_since_utc=memory.silent_since_utc or now_utc)
        if cut:
            return replace(memory, cut_since_utc=memory.cut_since_utc or now_utc)
        return replace(memory, cut_since_utc=None, cut_s=_cut_s(memory, now_utc))
    runs = unit.state is UnitState.RUNNING if unit.known else drawn_kw >= RUNNING_RATIO * config.heat_kw_rated
    if memory.silent_since_utc is None:
        return replace(memory, heat_until_utc=None) if runs else memory
    cut_s, owed_until_utc = _cut_s(memory, now_utc), memory.heat_until_utc or memory.silent_since_utc
    owed_s = max(0.0, (owed_until_utc - memory.silent_since_utc).total_seconds())
    memory = replace(memory, silent_since_utc=None, cut_since_utc=None, cut_s=0.0)
    if runs:
        return replace(memory, heat_until_utc=None)
    stands = not unit.known or unit.state in (UnitState.OFF, UnitState.TRIPPED)
    if cut_s < control.power_cut_s or not stands:
        return memory
    # What was still to be heated when the power went is so afterwards, and what has cooled since comes on top.
    return replace(memory, heat_until_utc=now_utc + timedelta(seconds=min(owed_s + cut_s, config.crankcase_heat_s)))


def _cut_s(memory: UnitMemory, now_utc: datetime) -> float:
    """For how much of its silence a unit's power was likely away [s]."""
    since_utc = memory.cut_since_utc
    return memory.cut_s + (0.0 if since_utc is None else max(0.0, (now_utc - since_utc).total_seconds()))


def _adopt_on(memory: UnitMemory, *, unit: UnitView, now_utc: datetime) -> UnitMemory:
    phase = memory.phase
    if unit.run_request is False and phase is not Phase.STOPPING and unit.state is not UnitState.STARTING:
        # Somebody else has withdrawn the request, or it was withdrawn just before a restart of the service.
        newer = phase not in ASKED or (unit.state_utc is not None and unit.state_utc > (memory.since_utc or now_utc))
        if newer and phase is Phase.RUNNING and memory.withdrawn_utc is None:
            return replace(memory, withdrawn_utc=unit.state_utc)  # one reading may be a glitch
        if newer and (memory.withdrawn_utc is None or unit.state_utc != memory.withdrawn_utc):
            return enter(replace(memory, withdrawn_utc=None), Phase.STOPPING, now_utc)
    elif memory.withdrawn_utc is not None:
        memory = replace(memory, withdrawn_utc=None)
    if phase in (Phase.STOPPING, Phase.RUNNING):
        return memory
    mode = unit.mode_actual or unit.mode_request or memory.mode
    if unit.state is UnitState.STARTING:
        return memory if phase is Phase.STARTING else enter(replace(memory, mode=mode), Phase.STARTING, now_utc)
    return enter(replace(memory, mode=mode, failures=0, fault="", retry_utc=None), Phase.RUNNING, now_utc)


def _adopt_off(memory: UnitMemory, *, unit: UnitView, pumps_on: bool | None, now_utc: datetime) -> UnitMemory:
    phase = memory.phase
    if phase is Phase.STOPPING:
        # Only a reading younger than the stop request proves that the unit has stopped because of it.
        proven = unit.state_utc is not None and unit.state_utc > (memory.since_utc or now_utc) and not unit.run_request
        return enter(replace(memory, idle_since_utc=None), Phase.OVERRUN, now_utc) if proven else memory
    if phase is Phase.RUNNING:
        if unit.run_request is False:
            return enter(replace(memory, idle_since_utc=None), Phase.OVERRUN, now_utc)
        return replace(memory, idle_since_utc=memory.idle_since_utc or now_utc)
    if phase in PREPARING or phase in (Phase.STARTING, Phase.OVERRUN, Phase.OFF):
        return memory
    if unit.run_request is None or pumps_on is None:
        return memory  # UNKNOWN, LOCAL or TRIPPED until all is known
    if unit.run_request:
        # After a trip that a person has reset, the unit must not jump on: the request is taken back first.
        phase = Phase.STOPPING if phase is Phase.TRIPPED else Phase.STARTING
        return enter(replace(memory, mode=unit.mode_request), phase, now_utc)
    return enter(memory, Phase.OVERRUN if pumps_on else Phase.OFF, now_utc)


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
