"""What each unit shall do by the plan, or, without one, by a plain rule; charging ends before a peak. Pure."""

from dataclasses import replace
from datetime import datetime, timedelta

from edge_agent.control.command import Because
from edge_agent.control.intent import Intent, UnitIntent, plan_intent
from edge_agent.control.loop.case import Case, Duty

PEAK_BANDS = frozenset({"sharp", "peak"})
VALLEY_BANDS = frozenset({"valley", "deep_valley"})
RULE_LOAD_RATIO = 1.1
"""Without a plan, units for this share of the measured load run."""
RULE_DISCHARGE_RATIO = 0.15
"""Without a plan, the tank feeds a peak if it holds at least this share."""


def intent_at(case: Case, instant_utc: datetime) -> Intent:
    """What plan or rule asks for at an instant."""
    if case.following and case.plan is not None:
        storage_of = {name: unit.storage for name, unit in case.site.units.items()}
        intent = plan_intent(case.plan, instant_utc, storage_of=storage_of)
        if intent is not None:
            return intent
    return _rule(case)


def _rule(case: Case) -> Intent:
    """Direct units for the measured load and a tenth; the tank is charged in the valley and feeds the peak."""
    load_kw = case.loop.load_kw
    direct = [name for name in case.units if case.in_direct(name)]
    usable = [name for name in case.units if case.available(name)]
    if load_kw is None:
        keep = {name: UnitIntent("direct", case.capacity_kw(name, "direct")) for name in direct}
        return Intent(keep, {}, Because.RULE)
    band = case.bands.current_band
    needed_kw = load_kw * RULE_LOAD_RATIO
    to_loop_kw: dict[str, float] = {}
    if case.storage_name is not None and band in PEAK_BANDS and _tank_for_peak(case):
        possible_kw = case.tank_kw()
        to_loop_kw[case.storage_name] = min(load_kw, possible_kw)
        needed_kw = max(0.0, needed_kw - possible_kw)
    units: dict[str, UnitIntent] = {}
    # Units that already serve the loop first, then those that rested longest from starting.
    order = sorted(usable, key=lambda name: (name not in direct, len(case.memories[name].starts_utc)))
    served_kw = 0.0
    for name in order:
        capacity_kw = case.capacity_kw(name, "direct")
        # A running unit stays until a tenth more than the need would be left without it.
        slack_kw = 0.1 * capacity_kw if name in direct else 0.0
        if served_kw < needed_kw + slack_kw and needed_kw > 1.0:
            units[name] = UnitIntent("direct", min(capacity_kw, needed_kw))
            served_kw += capacity_kw
    if band in VALLEY_BANDS and not case.state.tank_full and case.tank.layers_degc:
        for name in order:
            if name not in units and "charge" in case.site.units[name].modes:
                units[name] = UnitIntent("charge", case.capacity_kw(name, "charge"))
    return Intent(units, to_loop_kw, Because.RULE)


def _tank_for_peak(case: Case) -> bool:
    energy_kwh = case.tank.energy_kwh
    if energy_kwh is None:
        return False
    least_ratio = RULE_DISCHARGE_RATIO * (0.4 if case.before.discharging else 1.0)
    return energy_kwh > least_ratio * case.tank.capacity_kwh and case.tank_helps()


def assign(case: Case, now: Intent, soon: Intent) -> None:
    """Gives each unit its duty by the plan; one that starts within minutes begins now."""
    for name in case.units:
        present, next_ = now.unit(name), soon.unit(name)
        chosen = present if present.mode is not None else next_
        mode = chosen.mode if chosen.mode in case.site.units[name].modes else None
        rested_until_utc = case.before.rested_until_utc.get(name)
        if rested_until_utc is not None and case.now_utc < rested_until_utc and mode == "direct":
            mode = None
        case.duties[name] = Duty(mode, chosen.load_kw, now.because, planned=mode)
    rested = {name: until for name, until in case.before.rested_until_utc.items() if until > case.now_utc}
    case.state = replace(case.state, rested_until_utc=rested)


def end_charging(case: Case) -> None:
    """Ends charging before a peak, and when the tank is full."""
    peak_utc = case.bands.next_peak_utc
    margin = timedelta(minutes=case.site.control.charge_end_margin_min)
    at_peak: Intent | None = None
    if peak_utc is not None and timedelta(0) <= peak_utc - case.now_utc <= margin:
        at_peak = intent_at(case, peak_utc + timedelta(seconds=1)) if case.following else Intent()
    for name, duty in case.duties.items():
        if duty.mode != "charge":
            continue
        if at_peak is not None and at_peak.unit(name).mode != "charge":
            duty.mode = at_peak.unit(name).mode
            duty.load_kw = at_peak.unit(name).load_kw
        elif case.state.tank_full:
            duty.mode = None
