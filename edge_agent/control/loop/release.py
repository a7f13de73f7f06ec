"""Units leave the loop one by one, each only when the other units or the tank can carry the load without it. Pure."""

from dataclasses import replace
from datetime import datetime, timedelta

from edge_agent.control.command import Because
from edge_agent.control.loop.case import BAND_K, USED_RATIO, Case
from edge_agent.control.memory import Phase
from edge_agent.control.permissives import path_open, run_long_enough
from edge_agent.control.regulate import LOAD_RATIO_MIN

TANK_COVERS_S = 1800.0
"""A unit is let go on the tank's account only if the tank lasts at least this long."""
UNLOAD_S = 420.0
"""A unit that leaves its load to the tank is let go after this time at the latest, if the supply holds. Ours."""
UNLOADED_RATIO = 0.45
GOING_MAX = timedelta(minutes=15)
"""A unit that has been let go and has not left after this time asks again. Ours: valves travel for minutes."""
TAKEN_OVER_RATIO = 0.5
"""The tank has taken over when it gives at least this share of what the staying and unloading units do not give."""


def release(case: Case, *, discharging: bool) -> bool:
    """Lets units leave whose duty lies elsewhere, or keeps them.

    Returns:
        Whether the tank must take over for one that leaves.
    """
    before, let_go = case.before.unloading_since_utc, case.before.leaving_since_utc
    leaving = [name for name in case.units if case.in_direct(name) and case.duties[name].mode != "direct"]
    leaving.sort(key=lambda name: name not in before)  # who has begun goes first
    unloading: dict[str, datetime] = {}
    going: dict[str, datetime] = {}
    last_utc = case.before.stopped_utc
    turn_free = last_utc is None or (case.now_utc - last_utc).total_seconds() >= case.site.control.stage_down_s
    through_tank = False
    for name in leaving:
        duty, memory = case.duties[name], case.memories[name]
        if name in case.stopped:
            # An order to stop is no question of comfort; its minimum run is the sequence's business.
            if run_long_enough(case.site.units[name], memory, case.now_utc):
                _hand_over(case, name, lowest_ratio=0.0)
            continue
        may_stop = duty.mode is not None or run_long_enough(case.site.units[name], memory, case.now_utc)
        if not may_stop or memory.phase is Phase.STARTING:
            _keep(case, name, unloading=discharging)
            continue
        # Who has been let go keeps its turn until it has left: a valve takes longer to open than a cycle.
        verdict = _can_leave(case, name) if turn_free or _still_going(case, name) else None
        if verdict is None:
            _keep(case, name)
            continue
        if verdict == "units" and _still_going(case, name):
            going[name] = let_go[name]
            continue
        turn_free = False
        if verdict == "tank":
            through_tank = True
            if not path_open(case.site, case.view, case.storage_name):
                _keep(case, name)  # first the way, then the load
                continue
            since_utc = before.get(name, case.now_utc)
            if not _has_unloaded(case, name, since_utc):
                unloading[name] = since_utc
                _keep(case, name, unloading=True)
                if name not in before:
                    _hand_over(case, name, lowest_ratio=LOAD_RATIO_MIN)
                continue
            _hand_over(case, name, lowest_ratio=0.0)
        going[name] = last_utc = case.now_utc
    case.state = replace(case.state, unloading_since_utc=unloading, leaving_since_utc=going, stopped_utc=last_utc)
    return through_tank


def _still_going(case: Case, name: str) -> bool:
    """Whether a unit was let go so lately that it may still wait for its way."""
    since_utc = case.before.leaving_since_utc.get(name)
    return since_utc is not None and case.now_utc - since_utc <= GOING_MAX


def _keep(case: Case, name: str, *, unloading: bool = False) -> None:
    """Keeps a unit on the loop although the plan has other uses for it."""
    case.duties[name] = replace(case.duties[name], mode="direct", because=Because.COMFORT, unloading=unloading)


def _hand_over(case: Case, name: str, *, lowest_ratio: float) -> None:
    """Notes the heat that a unit is about to stop giving: the valve need not wait until the supply feels it."""
    load_ratio = case.view.units[name].load_ratio or 0.0
    case.balance.handed_kw += max(0.0, load_ratio - lowest_ratio) * case.capacity_kw(name, "direct")


def _can_leave(case: Case, name: str) -> str | None:
    """What carries the load when a unit leaves the loop: the other units, the tank, or nothing (None)."""
    load_kw, supply_degc = case.balance.load_kw, case.loop.supply_degc
    if load_kw is None or supply_degc is None:
        return None
    others_kw = USED_RATIO * sum(
        case.capacity_kw(other, "direct")
        for other in case.units
        if other != name and case.settled(other) and case.duties[other].mode == "direct"
    )
    if others_kw >= load_kw and supply_degc > case.floor_degc():
        return "units"
    if not case.tank_helps() or case.held:
        return None
    if not case.through and any(duty.mode == "charge" for duty in case.duties.values()):
        return None  # a tank that is being charged cannot take over a load as well
    missing_kw = max(0.0, load_kw - others_kw)
    enough = missing_kw <= case.balance.tank_kw and case.lasts_s(missing_kw) >= TANK_COVERS_S
    return "tank" if enough else None


def _has_unloaded(case: Case, name: str, since_utc: datetime) -> bool:
    """Whether the tank has taken over: way open, valve moving water, supply holding, unit at low load."""
    supply_degc = case.loop.supply_degc
    discharge_ratio = case.before.discharge_ratio or 0.0
    if supply_degc is None or not path_open(case.site, case.view, case.storage_name):
        return False
    if supply_degc < case.setpoint_degc - 0.5 * BAND_K or discharge_ratio > USED_RATIO:
        return False
    load_ratio = case.view.units[name].load_ratio
    given_kw = discharge_ratio * case.balance.tank_kw
    units_kw = sum(
        (case.view.units[other].load_ratio or 0.0) * case.capacity_kw(other, "direct")
        for other in case.units
        if case.in_direct(other)
    )
    rest_kw = (case.balance.load_kw or 0.0) - units_kw
    if given_kw < TAKEN_OVER_RATIO * rest_kw:
        return False
    low = load_ratio is not None and load_ratio <= UNLOADED_RATIO
    return low or (case.now_utc - since_utc).total_seconds() >= UNLOAD_S
