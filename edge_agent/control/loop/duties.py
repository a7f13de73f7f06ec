"""What each unit shall do by the plan, or, without one, by a plain rule; charging ends before a peak. Pure."""

from dataclasses import replace
from datetime import datetime, timedelta

from edge_agent.control.command import Because
from edge_agent.control.intent import Intent, UnitIntent, plan_intent
from edge_agent.control.loop.case import BAND_K, REST, USED_RATIO, Case, Duty
from edge_agent.control.memory import ASKED
from edge_agent.control.permissives import start_obstacles
from edge_agent.control.rotation import identical_groups, rotate

START_AHEAD = timedelta(minutes=5)
"""A unit needs about this long from its first valve to real heat: planned starts begin this much earlier. Ours,
measured in lockstep with the simulated plant: pumps, proofs and lead 4 min, compressor 1 min."""
REST_AGAIN = timedelta(minutes=5)
"""A rest goes on by this as long as the others carry the load. Ours."""
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
    usable = [name for name in case.units if case.available(name) and name not in case.stopped]
    if load_kw is None:
        keep = {name: UnitIntent("direct", case.capacity_kw(name, "direct")) for name in direct}
        return Intent(keep, {}, Because.RULE)
    band = case.bands.current_band
    needed_kw = load_kw * RULE_LOAD_RATIO
    to_loop_kw: dict[str, float] = {}
    ordered = case.held or bool(case.charge_ordered)
    if case.storage_name is not None and band in PEAK_BANDS and not ordered and _tank_for_peak(case):
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
    if band in VALLEY_BANDS and not case.held and not case.state.tank_full and case.tank.layers_degc:
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
    """Gives each unit its duty by the plan, or that of its twin; one that starts within minutes begins now.

    One that stops for a peak begins to leave as much before it: its load goes to the tank step by step, and what it
    still makes meanwhile is made at the price before. Whether it can be spared is asked as at any time (`release`).

    A unit whose heat found no use, by our judgement or that of its own thermostat, is not asked again at once.
    """
    _note_rests(case)
    case.twins = _twins(case, now, soon)
    peak_utc = case.bands.next_peak_utc
    before_peak = case.following and peak_utc is not None and case.now_utc < peak_utc <= case.now_utc + START_AHEAD
    for name in case.units:
        present, next_ = now.unit(case.twins[name]), soon.unit(case.twins[name])
        chosen = next_ if present.mode is None or (next_.mode is None and before_peak) else present
        mode = chosen.mode if chosen.mode in case.site.units[name].modes else None
        if mode == "direct" and name in case.state.rested_until_utc:
            mode = None
        if mode == "charge" and name in case.state.charge_rest_until_utc and not case.charging(name):
            mode = None
        case.duties[name] = Duty(mode, chosen.load_kw, now.because, planned=mode, load_ratio=chosen.load_ratio)


def _note_rests(case: Case) -> None:
    """Which units rest: ended rests are forgotten, a unit that its thermostat has stopped begins one."""
    rested = {
        name: until if until > case.now_utc else case.now_utc + REST_AGAIN
        for name, until in case.before.rested_until_utc.items()
        if until > case.now_utc or _finds_no_use(case, name)
    }
    charge_rest = {name: until for name, until in case.before.charge_rest_until_utc.items() if until > case.now_utc}
    for name in case.units:
        memory = case.memories[name]
        if memory.idle_since_utc is not None and memory.mode in ("direct", "charge"):
            (rested if memory.mode == "direct" else charge_rest)[name] = case.now_utc + REST
    case.state = replace(case.state, rested_until_utc=rested, charge_rest_until_utc=charge_rest)


def _finds_no_use(case: Case, name: str) -> bool:
    """Whether the others carry the load and hold the supply without a unit that has rested."""
    load_kw, supply_degc = case.loop.load_kw, case.loop.supply_degc
    if load_kw is None or supply_degc is None or case.in_direct(name):
        return False
    others_kw = sum(case.capacity_kw(other, "direct") for other in case.units if other != name and case.settled(other))
    return USED_RATIO * others_kw >= load_kw and supply_degc > case.setpoint_degc - 0.5 * BAND_K


def _twins(case: Case, now: Intent, soon: Intent) -> dict[str, str]:
    """Whose duty each unit takes; the duty of a unit that rests is nobody's, and none is given to it."""

    def rests(name: str, mode: str | None) -> bool:
        resting = case.state.rested_until_utc if mode == "direct" else case.state.charge_rest_until_utc
        return name in resting and not (mode == "charge" and case.charging(name))

    def may_start(name: str, mode: str) -> bool:
        if name in case.stopped or (mode == "charge" and case.held) or rests(name, mode):
            return False
        return not start_obstacles(name, case.memories[name], mode=mode, view=case.view, site=case.site)

    planned = {name: now.unit(name).mode or soon.unit(name).mode for name in case.units}
    return rotate(
        identical_groups({name: case.site.units[name] for name in case.units}),
        {name: None if rests(name, mode) else mode for name, mode in planned.items()},
        memories=case.memories,
        may_start=may_start,
        now_utc=case.now_utc,
        rotate_h=case.site.control.rotate_h,
        barred=case.stopped,
    )


def end_charging(case: Case) -> None:
    """Ends charging when the tank is full, and before a peak; begins none that could not end by then.

    A unit that goes on serving the loop in the peak turns to it; one that stops must have run its minimum by then.
    """
    peak_utc = case.bands.next_peak_utc
    end_utc = None
    at_peak = Intent()
    if peak_utc is not None and peak_utc >= case.now_utc:
        end_utc = peak_utc - timedelta(minutes=case.site.control.charge_end_margin_min)
        if case.following:
            at_peak = intent_at(case, peak_utc + timedelta(seconds=1))
    for name, duty in case.duties.items():
        if duty.mode != "charge":
            continue
        then = at_peak.unit(case.twins[name])
        bound = end_utc is not None and then.mode != "charge" and name not in case.charge_ordered
        if case.state.tank_full:
            duty.mode = None
        elif bound and end_utc is not None and case.now_utc >= end_utc:
            duty.mode, duty.load_kw, duty.load_ratio = then.mode, then.load_kw, then.load_ratio
        elif bound and end_utc is not None and then.mode is None and _starts_too_late(case, name, end_utc):
            duty.mode = None
            case.note("charge_too_late")


def _starts_too_late(case: Case, name: str, end_utc: datetime) -> bool:
    """Whether a unit that does not run yet would have to stop before its minimum run is over."""
    if case.memories[name].phase in ASKED:
        return False
    needed = START_AHEAD + timedelta(seconds=case.site.units[name].min_on_s)
    return case.now_utc + needed > end_utc
