"""Load off the plan: one more unit when tank and units are too few, one less when their heat finds no use. Pure.

The order is that of least cost: the tank first, then a charging unit that turns to the loop, then a start.
"""

from dataclasses import replace
from datetime import timedelta

from edge_agent.control.command import Because
from edge_agent.control.loop.case import REST, USED_RATIO, Case, Duty
from edge_agent.control.loop.duties import VALLEY_BANDS
from edge_agent.control.memory import Phase
from edge_agent.control.permissives import run_long_enough, start_obstacles
from edge_agent.control.regulate import LOAD_RATIO_MIN

TOO_WARM_K = 0.4
"""A supply this far above its set-point with all units at their lowest load: their heat finds no use. Well before
their own thermostats stop them. Ours."""
TANK_ENDS_S = 900.0
"""A tank that lasts less than this is followed by a unit's start: the time a start takes, and some."""
SHORT_S = 60.0
"""An imminent lack must be seen this long before a unit is started for it: one reading is none. Ours."""
NEAR_MIN_K = 1.5
"""This close to the lower limit nothing waits. Ours."""


def meet_lack(case: Case, *, discharging: bool) -> None:
    """Turns a charging unit to the loop, or starts one more, when tank and running units cannot hold the supply."""
    supply_degc = case.loop.supply_degc
    extra = {
        name: until
        for name, until in case.before.extra_until_utc.items()
        if case.available(name) and name not in case.stopped
    }
    balance = case.balance
    if supply_degc is not None:
        near_min = supply_degc < case.config.supply_degc_min + NEAR_MIN_K
        cold = supply_degc < case.floor_degc()
        imminent = _imminent(case)
        wrong_way = _drains_while_charging(case)
        lack_since_utc = (case.before.lack_since_utc or case.now_utc) if cold or imminent or wrong_way else None
        lack_s = 0.0 if lack_since_utc is None else (case.now_utc - lack_since_utc).total_seconds()
        case.state = replace(case.state, lack_since_utc=lack_since_utc)
        tank_works = balance.tank_kw > 0.0 and (case.before.discharge_ratio or 0.0) < USED_RATIO
        urgent = lack_s >= SHORT_S and (imminent or (near_min and cold))
        patient = lack_s >= case.site.control.stage_up_s and (wrong_way or not tank_works)
        starting = any(case.expected(name) and not case.settled(name) for name in case.units)
        if urgent or (patient and not starting):
            name = _one_more(case, urgent=urgent)
            if name is not None:
                hold = timedelta(seconds=case.site.units[name].min_on_s)
                extra[name] = case.now_utc + hold
                case.state = replace(case.state, lack_since_utc=None)
    # An extra unit stays for its minimum run, then as long as the others cannot carry the load (see release.py).
    extra = {name: until for name, until in extra.items() if until > case.now_utc}
    for name in extra:
        duty = case.duties[name]
        if duty.mode != "direct":
            case.duties[name] = Duty("direct", case.capacity_kw(name, "direct"), Because.COMFORT)
            case.note("unit_extra")
    case.state = replace(case.state, extra_until_utc=extra)
    if discharging and balance.lasts_s < TANK_ENDS_S:
        case.note("tank_ends")


def _drains_while_charging(case: Case) -> bool:
    """Whether the loop takes out of the tank what a unit brings in, beyond what the plan passes through it."""
    if not any(map(case.charging, case.units)) or (case.before.discharge_ratio or 0.0) <= 1.0 - USED_RATIO:
        return False
    return case.balance.short_kw - case.passed_kw > case.notable_kw()


def turn_waiting(case: Case) -> None:
    """Turns a unit to the loop that charges only until its minimum run is over: that needs no stop and no start."""
    load_kw = case.loop.load_kw
    if load_kw is None:
        return
    served_kw = LOAD_RATIO_MIN * sum(case.capacity_kw(name, "direct") for name in case.units if case.in_direct(name))
    for name in case.units:
        waits = case.charging(name) and case.duties[name].mode is None and name not in case.stopped
        waits = waits and not run_long_enough(case.site.units[name], case.memories[name], case.now_utc)
        least_kw = LOAD_RATIO_MIN * case.capacity_kw(name, "direct")
        if waits and "direct" in case.site.units[name].modes and served_kw + least_kw <= load_kw:
            case.duties[name] = replace(case.duties[name], mode="direct", load_kw=least_kw)
            case.note("unit_turns")
            served_kw += least_kw


def _imminent(case: Case) -> bool:
    """Whether the units are too few for the load and the tank will not bridge the start of another."""
    return case.balance.short_kw > case.notable_kw() and case.balance.lasts_s < TANK_ENDS_S


def _one_more(case: Case, *, urgent: bool) -> str | None:
    """The unit that helps soonest: one that charges now, else one that may be started."""
    for name in case.units:
        memory = case.memories[name]
        if case.duties[name].mode == "direct" or "direct" not in case.site.units[name].modes or name in case.stopped:
            continue
        if memory.phase is Phase.RUNNING and memory.mode == "charge" and memory.idle_since_utc is None:
            return name
    candidates = [
        name
        for name in case.units
        if case.duties[name].mode is None
        and name not in case.stopped
        and case.memories[name].phase is Phase.OFF
        and not start_obstacles(name, case.memories[name], mode="direct", view=case.view, site=case.site)
    ]
    # A planned stop that has not begun costs no start at all.
    staying = [
        name
        for name in case.units
        if case.duties[name].mode is None and case.in_direct(name) and name not in case.stopped
    ]
    if staying and urgent:
        return staying[0]
    return min(candidates, key=lambda name: len(case.memories[name].starts_utc), default=None)


def meet_surplus(case: Case) -> None:
    """Takes a unit from the loop whose heat finds no use, after the valve has closed and all units are at their lowest.

    In a valley it charges the tank instead: it stays on at the cheapest hour and need not start again.
    """
    supply_degc = case.loop.supply_degc
    direct = [name for name in case.units if case.expected(name)]
    low = [case.view.units[name].load_ratio for name in direct]
    too_warm = (
        supply_degc is not None
        and supply_degc > case.setpoint_degc + TOO_WARM_K
        and (case.before.discharge_ratio or 0.0) <= 1.0 - USED_RATIO
        and len(direct) > 1
        and all(ratio is not None and ratio <= LOAD_RATIO_MIN + 0.1 for ratio in low)
    )
    since_utc = (case.before.surplus_since_utc or case.now_utc) if too_warm else None
    case.state = replace(case.state, surplus_since_utc=since_utc)
    if since_utc is None or (case.now_utc - since_utc).total_seconds() < case.site.control.stage_up_s:
        return
    for name in reversed(direct):
        unit, memory = case.site.units[name], case.memories[name]
        if run_long_enough(unit, memory, case.now_utc):
            may_charge = (
                case.bands.current_band in VALLEY_BANDS
                and "charge" in unit.modes
                and case.tank_seen()
                and not (case.state.tank_full or case.held)
            )
            load_kw = case.capacity_kw(name, "charge")
            charge = Duty("charge", load_kw, case.duties[name].because, planned="charge")
            case.duties[name] = charge if may_charge else replace(case.duties[name], mode=None)
            rested = {**case.state.rested_until_utc, name: case.now_utc + REST}
            extra = {key: until for key, until in case.state.extra_until_utc.items() if key != name}
            case.state = replace(case.state, rested_until_utc=rested, extra_until_utc=extra, surplus_since_utc=None)
            case.note("unit_charges_surplus" if may_charge else "unit_rests")
            return
