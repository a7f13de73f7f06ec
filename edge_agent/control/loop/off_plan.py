"""A load that is not the planned one: what the tank may spare for it, and when a new plan is due. Pure.

More load than planned is met by the tank first, if it holds more than the plan still needs of it before the next
charging: such heat would only be carried over, and it was made cheaper than what a unit makes now. In a valley it is
the other way round: a unit's heat costs least at this hour. Heat that the coming peak needs is never spent: the units
take the load then, and the tank helps only when the supply leaves its band (`valve.py`).
"""

from dataclasses import replace
from datetime import timedelta

from edge_agent.control.intent import Intent, plan_step
from edge_agent.control.loop.case import Case
from edge_agent.control.loop.duties import VALLEY_BANDS
from edge_agent.control.loop.valve import WANTED_KW, planned_kw
from edge_agent.control.view import SECONDS_PER_HOUR

EXCESS_RATIO, EXCESS_OVER_RATIO = 0.10, 0.03
"""Load above the plan that the tank takes over, and at which it ends. Share of the load; forecasts are not better."""
SPARE_S = 3600.0
"""The tank begins to help only if it can spare the excess for this long, and ends when none is left to spare. Ours."""
OFF_RATIO = 0.15
"""Load this far from the planned one, up or down, is off the plan. Ours: a good day's forecast error is half of it."""
OFF_PLAN = timedelta(minutes=10)
"""... after this time: longer than a unit takes from its start to its share."""
REPLAN_APART = timedelta(minutes=15)
"""A new plan is not asked for more often than this."""


def served_kw(case: Case, now: Intent) -> float:
    """Heat that the plan gives to the loop at this instant [kW]."""
    units_kw = sum(now.unit(name).load_kw for name in case.units if now.unit(name).mode == "direct")
    return units_kw + planned_kw(case, now)


def spare_kwh(case: Case) -> float:
    """Heat in the tank that the plan does not need before it charges again [kWh]; nothing without a plan."""
    plan, name, energy_kwh = case.plan, case.storage_name, case.tank.energy_kwh
    if not case.following or plan is None or name is None or energy_kwh is None or name not in plan.storages:
        return 0.0
    step = plan_step(plan, case.now_utc)
    if step is None:
        return 0.0
    storage = plan.storages[name]
    steps = range(step, len(storage.soc_kwh))
    charged = next((later for later in steps if storage.charge_kw[later] > WANTED_KW), steps.stop)
    least_kwh = min(storage.soc_kwh[step:charged], default=0.0)
    return energy_kwh - storage.soc_kwh[step] + least_kwh


def spend(case: Case, now: Intent) -> bool:
    """Whether the tank gives what the load is above the plan, while the units keep to their planned loads."""
    load_kw = case.loop.load_kw
    busy = any(duty.mode == "charge" for duty in case.duties.values()) or any(map(case.charging, case.units))
    dear = case.bands.current_band is not None and case.bands.current_band not in VALLEY_BANDS
    possible = case.following and dear and not busy and not case.held and case.tank_helps()
    spending = False
    if possible and load_kw is not None and planned_kw(case, now) <= WANTED_KW:
        excess_kw, spare = load_kw - served_kw(case, now), spare_kwh(case)
        if case.before.spending:
            spending = excess_kw > EXCESS_OVER_RATIO * load_kw and spare > 0.0
        elif case.before.off_plan_since_utc is not None:
            lasting = (case.now_utc - case.before.off_plan_since_utc).total_seconds() >= case.site.control.stage_up_s
            enough = spare * SECONDS_PER_HOUR >= SPARE_S * excess_kw
            spending = lasting and enough and excess_kw > max(EXCESS_RATIO * load_kw, case.notable_kw())
    case.state = replace(case.state, spending=spending)
    if spending:
        case.note("tank_spends")
    return spending


def replan_due(case: Case, now: Intent) -> bool:
    """Whether the plant has been off its plan for so long that a new plan is worth asking for."""
    load_kw = case.loop.load_kw
    off = False
    if case.following and load_kw is not None:
        off_kw = abs(load_kw - served_kw(case, now))
        off = off_kw > max(OFF_RATIO * load_kw, case.notable_kw())
        extra, rested = case.state.extra_until_utc, case.state.rested_until_utc
        off = off or any(now.unit(name).mode != "direct" for name in extra)
        off = off or any(now.unit(name).mode == "direct" for name in rested)
    since_utc = (case.before.off_plan_since_utc or case.now_utc) if off else None
    asked_utc = case.before.replan_utc
    due = since_utc is not None and case.now_utc - since_utc >= OFF_PLAN
    due = due and (asked_utc is None or case.now_utc - asked_utc >= REPLAN_APART)
    case.state = replace(case.state, off_plan_since_utc=since_utc, replan_utc=case.now_utc if due else asked_utc)
    return due
