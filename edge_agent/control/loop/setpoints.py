"""What a unit is told beside on and off: leaving temperature and most load, such that its share comes about. Pure."""

from edge_agent.control.command import Because
from edge_agent.control.loop.case import BAND_K, USED_RATIO, Case, Duty
from edge_agent.control.regulate import LOAD_RATIO_MIN, UNIT_RISE_K, leaving_degc, unit_flow_kg_per_s
from edge_agent.control.want import Want

OFFSET_K = 0.3
"""Units are asked for a little more than the mixing demands: pipes and sensors lose some. Ours."""
LOOSE_K = 1.0
"""A unit whose load is limited gets a set-point this much higher, so that its limit decides. Ours."""
TRIM_S = 600.0
"""Integral time of the slow correction of the units' set-point. Ours."""
TRIM_K_MIN, TRIM_K_MAX = -2.0, 3.0
RISE_K_MIN, RISE_K_MAX = 3.0, 8.0
"""A unit's rise at full load, measured, is believed within these. Ours: half and twice the usual, roughly."""


def want_of(case: Case, name: str, *, duty: Duty, limited: bool) -> Want:
    """What is wanted of a unit.

    Args:
        case: the decision.
        name: the unit.
        duty: what it shall do.
        limited: planned loads are kept, because the tank does the balance.
    """
    unit = case.site.units[name]
    ratio = _ratio(case, name, duty, mode="direct")
    if duty.unloading or duty.planned != "direct":
        ratio = LOAD_RATIO_MIN if limited or duty.unloading else 1.0
    held = (limited and duty.because is not Because.COMFORT) or duty.unloading
    limit_ratio = min(ratio if held else 1.0, case.caps.get("direct", 1.0))
    setpoints = {"direct": _direct_degc(case, name, ratio=limit_ratio if held or limit_ratio < 1.0 else None)}
    limits = {"direct": limit_ratio}
    if unit.storage is not None:
        limits["charge"] = _charge_ratio(case, name, duty)
        setpoints["charge"] = _charge_degc(case, name, storage=unit.storage, ratio=limits["charge"])
    capped = duty.mode is not None and limits.get(duty.mode, 1.0) == case.caps.get(duty.mode, 1.0) < 1.0
    because = Because.LIMIT if capped and duty.because in (Because.PLAN, Because.RULE) else duty.because
    return Want(
        on=duty.mode is not None,
        mode=duty.mode,
        setpoint_degc=setpoints,
        limit_ratio=limits,
        because=because,
    )


def _charge_ratio(case: Case, name: str, duty: Duty) -> float:
    """Load limit while a unit charges: as planned, under the ceilings; the least once it only waits for its stop."""
    if duty.mode is None:
        return LOAD_RATIO_MIN
    planned = _ratio(case, name, duty, mode="charge") if duty.planned == "charge" else 1.0
    return min(planned, case.caps.get("charge", 1.0))


def _charge_degc(case: Case, name: str, *, storage: str, ratio: float) -> float:
    """Leaving temperature asked of a unit that charges; one that takes no load limit is told a lower one instead."""
    asked_degc = case.charge_degc(storage)
    inlet_degc = case.view.units[name].user_return_degc
    capped = ratio <= case.caps.get("charge", 1.0) < 1.0
    if case.site.units[name].actuation == "capacity_ratio" or not capped or inlet_degc is None:
        return asked_degc
    lowest_degc = case.config.supply_degc_min - BAND_K
    return round(min(max(_degc_for(case, name, ratio), lowest_degc), asked_degc), 1)


def _ratio(case: Case, name: str, duty: Duty, *, mode: str) -> float:
    """Load limit for a planned heat; a plan for nearly all is a plan for all.

    A cold source gives less than the rating: all that a unit can give then is full load, not a part of it.
    """
    planned = duty.load_kw / case.capacity_kw(name, mode) if duty.load_ratio is None else duty.load_ratio
    ratio = planned + 0.01
    return 1.0 if ratio >= USED_RATIO else max(LOAD_RATIO_MIN, round(ratio, 3))


def _direct_degc(case: Case, name: str, *, ratio: float | None) -> float:
    """Leaving temperature asked of a unit on the loop, such that it gives its share, or the planned load."""
    unit = case.site.units[name]
    return_degc = case.loop.return_degc
    wanted_degc = case.setpoint_degc
    if return_degc is not None:
        flow = sum(
            unit_flow_kg_per_s(case.site.units[other].heat_kw_rated) for other in case.units if case.in_direct(other)
        )
        wanted_degc = leaving_degc(
            wanted_degc=case.setpoint_degc,
            return_degc=return_degc,
            unit_kg_per_s=flow,
            loop_kg_per_s=case.loop.flow_kg_per_s,
        )
    asked_degc = wanted_degc + OFFSET_K + case.state.trim_k
    if ratio is not None:
        asked_degc = wanted_degc + LOOSE_K
        if unit.actuation == "supply_setpoint" and ratio < 1.0:
            # Such a unit can only be told a temperature: the one that belongs to the planned load.
            asked_degc = min(asked_degc, _degc_for(case, name, ratio))
    lowest_degc, highest_degc = case.config.supply_degc_min - BAND_K, case.config.supply_degc_max
    return round(min(max(asked_degc, lowest_degc), highest_degc), 1)


def _degc_for(case: Case, name: str, ratio: float) -> float:
    """Leaving temperature at which a unit carries a load ratio: its present rise scaled, or the usual rise."""
    seen = case.view.units[name]
    inlet_degc = seen.user_return_degc if seen.user_return_degc is not None else case.loop.return_degc
    if inlet_degc is None:
        return case.setpoint_degc
    rise_k = UNIT_RISE_K
    if (
        seen.user_supply_degc is not None
        and seen.user_return_degc is not None
        and seen.load_ratio is not None
        and seen.load_ratio >= LOAD_RATIO_MIN
        and (case.settled(name) or case.charging(name))
    ):
        measured_k = (seen.user_supply_degc - seen.user_return_degc) / seen.load_ratio
        rise_k = min(max(measured_k, RISE_K_MIN), RISE_K_MAX)
    # Not quite down to the lowest load: there the unit's own thermostat would stop it.
    return inlet_degc + rise_k * max(ratio, LOAD_RATIO_MIN + 0.05)


def trim_k(case: Case, *, discharging: bool) -> float:
    """Slow correction of what mixing and pipes lose [K], only while the units alone hold the supply."""
    kept_k = case.before.trim_k
    supply_degc = case.loop.supply_degc
    settled = [name for name in case.units if case.settled(name)]
    moving = any(case.in_direct(name) and name not in settled for name in case.units)
    if supply_degc is None or discharging or moving or not settled or (case.before.discharge_ratio or 0.0) > 0.0:
        return kept_k
    error_k = case.setpoint_degc - supply_degc
    ratios = [case.view.units[name].load_ratio for name in settled]
    full = all(ratio is not None and ratio >= USED_RATIO for ratio in ratios)
    lowest = all(ratio is not None and ratio <= LOAD_RATIO_MIN + 0.1 for ratio in ratios)
    if (error_k > 0.0 and full) or (error_k < 0.0 and lowest):
        return kept_k  # more, or less, is not to be had: winding up would only overshoot later
    step_s = min(case.step_s(), 2.0 * case.site.control.cycle_s)
    return min(max(kept_k + error_k * step_s / TRIM_S, TRIM_K_MIN), TRIM_K_MAX)
