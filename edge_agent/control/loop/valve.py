"""The tank's discharge valve: whether the tank holds the supply, how far it opens, when its way must be open. Pure."""

from dataclasses import replace

from edge_agent.control.intent import Intent
from edge_agent.control.loop.case import BAND_K, USED_RATIO, Case
from edge_agent.control.memory import ASKED, PREPARING, Phase
from edge_agent.control.permissives import path_open
from edge_agent.control.regulate import VALVE_CLOSE_PER_S, valve_ratio

WANTED_KW = 20.0
"""A planned discharge below this is none."""
HAND_OVER_RATIO = 0.8
"""Share of a leaving unit's heat for which the discharge valve opens at once; regulation does the rest. Ours."""
LOOSENED_RATIO = 0.6
"""Units told to give more than planned are held to the plan again when the valve is this far closed. Ours."""


def planned_kw(case: Case, intent: Intent) -> float:
    """Heat that plan or rule wants of the tank [kW]."""
    return 0.0 if case.storage_name is None else intent.to_loop_kw.get(case.storage_name, 0.0)


def passes_through(case: Case, now: Intent) -> bool:
    """Whether plan or operator let charging units pass heat through the tank to the loop."""
    planned = any(intent.mode == "charge" for intent in now.units.values()) and planned_kw(case, now) > WANTED_KW
    return planned or bool(case.charge_ordered)


def wants_tank(case: Case, now: Intent) -> bool:
    """Whether the tank shall hold the supply at its set-point: planned, or until units have taken over."""
    if case.storage_name is None or not (case.tank_helps() or (case.before.discharging and not case.tank_seen())):
        return False
    if case.held:
        return False  # the operator's order; the band's lower edge is still held for comfort
    if planned_kw(case, now) > WANTED_KW and not case.charge_ordered:
        return True
    if not case.before.discharging:
        return False
    if case.balance.short_kw > case.notable_kw():
        return True
    awaited = [name for name, duty in case.duties.items() if duty.mode == "direct" and not case.settled(name)]
    return any(case.memories[name].phase in PREPARING or case.in_direct(name) for name in awaited)


def one_way(case: Case, *, discharging: bool) -> bool:
    """Whether the tank still holds the supply once it is known who charges it: never both, unless that is the plan.

    A unit that waits to charge goes on waiting while the tank gives; one that already charges keeps the tank from
    giving more than the band's lower edge asks for.
    """
    charging = [name for name, duty in case.duties.items() if duty.mode == "charge"]
    if not discharging or case.through or not charging:
        return discharging
    if any(case.memories[name].phase in ASKED for name in charging):
        return False
    for name in charging:
        case.duties[name] = replace(case.duties[name], mode=None)
    case.note("charge_waits")
    return True


def regulate(case: Case, *, discharging: bool) -> float | None:
    """New opening of the valve: holds the set-point when the tank is wanted, else the band's lower edge.

    A lost reading closes nothing: the heat that is being given goes on. A tank that is not seen is opened no further.

    Returns:
        0 closed .. 1 open; None: what stands stays.
    """
    supply_degc = case.loop.supply_degc
    if case.storage is None:
        return None
    valve = case.view.valves[case.storage.discharge_valve]
    before_ratio = case.before.discharge_ratio
    if before_ratio is None:
        before_ratio = valve.commanded_ratio
    case.state = replace(case.state, regulated_utc=case.now_utc)
    if supply_degc is None or before_ratio is None:
        return None
    if case.view.valves[case.storage.isolating_valve].position_ratio is None:
        return None
    useless = case.tank_seen() and not (discharging or case.tank_helps())
    if useless or not path_open(case.site, case.view, case.storage_name):
        case.state = replace(case.state, discharge_ratio=0.0, error_k=None)
        return 0.0
    target_degc = case.setpoint_degc if discharging else case.floor_degc()
    error_k = target_degc - supply_degc
    error_before_k = case.before.error_k if discharging == case.before.discharging else None
    step_s = min(case.step_s(), 3.0 * case.site.control.cycle_s)
    lift_k = 0.0
    if case.tank.top_degc is not None and case.loop.return_degc is not None:
        lift_k = case.tank.top_degc - case.loop.return_degc
    ratio = valve_ratio(before_ratio, error_k=error_k, error_before_k=error_before_k, step_s=step_s, lift_k=lift_k)
    if case.balance.handed_kw > 0.0 and case.balance.tank_kw > 0.0:
        ratio = min(1.0, ratio + HAND_OVER_RATIO * case.balance.handed_kw / case.balance.tank_kw)
    if not discharging and error_k < 0.0:
        ratio = min(ratio, max(0.0, before_ratio - VALVE_CLOSE_PER_S * step_s))
    if not case.tank_seen():
        ratio = min(ratio, before_ratio)
    case.state = replace(case.state, discharge_ratio=ratio, error_k=error_k)
    return round(ratio, 3)


def loosened(case: Case, *, discharging: bool, ratio: float | None) -> bool:
    """Whether units may give more than planned because the tank gives all it can and the supply still sags."""
    supply_degc = case.loop.supply_degc
    if not discharging or ratio is None or supply_degc is None:
        return False
    if ratio >= USED_RATIO and supply_degc < case.setpoint_degc - 0.5 * BAND_K:
        return True
    return case.before.loosened and ratio > LOOSENED_RATIO


def path_used(case: Case, now: Intent, soon: Intent, *, discharging: bool, ratio: float | None) -> bool:
    """Whether the tank's way must be open: it feeds the loop, is charged, is planned to, or may have to help."""
    charging = any(
        memory.mode == "charge" and memory.phase not in (Phase.OFF, Phase.UNKNOWN) for memory in case.memories.values()
    )
    planned = max(planned_kw(case, now), planned_kw(case, soon)) > WANTED_KW
    if discharging or charging or planned or (ratio or 0.0) > 0.0:
        return True
    supply_degc = case.loop.supply_degc
    cold = supply_degc is not None and supply_degc < case.floor_degc() + 0.3 * BAND_K
    return cold and case.tank_helps()
