"""Temperatures and loads: heating curve, units' set-points, the tank's discharge valve. Pure formulas, no decisions."""

import math
from collections.abc import Sequence
from itertools import pairwise

from edge_agent.control.view import SECONDS_PER_HOUR, WATER_KWH_PER_M3_K, StorageView
from edge_agent.settings.model import Storage

HEAT_CAPACITY_KJ_PER_KG_K = 4.186
"""Heat capacity of water. Source: NIST Chemistry WebBook, water at 30 degC."""
UNIT_RISE_K = 5.0
"""Rise of the water in a unit at full load. Source: usual condenser design, EN 14511-2 rates at 5 K."""
LOAD_RATIO_MIN = 0.3
"""Lowest load that is asked of a unit; usual for screw units. Ours."""

# Regulator of the discharge valve, tuned by the lambda rule for a header that mixes in about 330 s, 14 K between tank
# and return at 2/3 of the flow, and 60 s of dead time (old readings, cycle, travel): Kp = tau / (K (lambda + theta)),
# Ti = tau.
# Source: Skogestad 2003, "Simple analytic rules for model reduction and PID controller tuning" (SIMC).
VALVE_GAIN_PER_K = 0.2
VALVE_INTEGRAL_S = 330.0
VALVE_DESIGN_K = 14.0
"""Difference between tank top and return for which the gain holds; the gain follows the real one."""
SMEAR_K = 0.5
"""A layer counts as useful only this far above what is needed: it cools while colder water rises into it. Ours."""
VALVE_CLOSE_PER_S = 0.1 / 60.0
"""A valve that is no longer wanted closes at this speed, so that the units can follow."""


def curve_degc(curve: Sequence[tuple[float, float]], outdoor_degc: float) -> float:
    """Heating curve: straight between its points, level outside."""
    if outdoor_degc <= curve[0][0]:
        return curve[0][1]
    for (left, left_degc), (right, right_degc) in pairwise(curve):
        if outdoor_degc <= right:
            return left_degc + (right_degc - left_degc) * (outdoor_degc - left) / (right - left)
    return curve[-1][1]


def unit_flow_kg_per_s(heat_kw_rated: float) -> float:
    """Water through a unit in direct mode, from its rating and the usual rise."""
    return heat_kw_rated / (HEAT_CAPACITY_KJ_PER_KG_K * UNIT_RISE_K)


def leaving_degc(*, wanted_degc: float, return_degc: float, unit_kg_per_s: float, loop_kg_per_s: float | None) -> float:
    """Leaving temperature that gives the wanted supply when return water passes the units by.

    Source: mixing of two streams, T_supply = T_return + (T_leaving - T_return) x units' flow / loop's flow.

    Args:
        wanted_degc: supply temperature wanted.
        return_degc: return temperature.
        unit_kg_per_s: flow through all direct units [kg/s].
        loop_kg_per_s: flow of the loop [kg/s]; None if not known.
    """
    if loop_kg_per_s is None or unit_kg_per_s <= 0.0:
        return wanted_degc
    share_ratio = min(1.0, unit_kg_per_s / max(loop_kg_per_s, 1e-3))
    return return_degc + max(0.0, wanted_degc - return_degc) / share_ratio


def valve_ratio(
    before_ratio: float, *, error_k: float, error_before_k: float | None, step_s: float, lift_k: float
) -> float:
    """New opening of the discharge valve: PI in velocity form, so that it starts from whatever stands there.

    Args:
        before_ratio: opening now.
        error_k: wanted minus measured supply temperature.
        error_before_k: the same at the last step; None at the first.
        step_s: time since the last step.
        lift_k: tank top minus return.
    """
    gain_per_k = VALVE_GAIN_PER_K * min(max(VALVE_DESIGN_K / max(lift_k, 1.0), 0.5), 2.0)
    change_k = 0.0 if error_before_k is None else error_k - error_before_k
    moved = gain_per_k * (change_k + error_k * step_s / VALVE_INTEGRAL_S)
    return min(1.0, max(0.0, before_ratio + moved))


def discharge_flow_kg_per_s(storage: Storage) -> float:
    """Greatest discharge flow, from the greatest discharge at the tank's usable difference."""
    return storage.discharge_kw_max / (HEAT_CAPACITY_KJ_PER_KG_K * max(storage.degc_max - storage.degc_min, 1.0))


def discharge_kw_possible(storage: Storage, *, top_degc: float, return_degc: float) -> float:
    """Heat that the tank can give now with its valve open [kW]."""
    flow = discharge_flow_kg_per_s(storage)
    return max(0.0, min(storage.discharge_kw_max, flow * HEAT_CAPACITY_KJ_PER_KG_K * (top_degc - return_degc)))


def tank_lasts_s(storage: Storage, tank: StorageView, *, needed_kw: float, return_degc: float | None) -> float:
    """How long the tank can still give a heat before its top gets too cold for it [s]; infinite when nothing is needed.

    Layers count down to the first that is too cold for the needed heat at full flow.
    """
    if needed_kw <= 1.0:
        return math.inf
    if not tank.layers_degc or return_degc is None:
        return 0.0
    useful_degc = return_degc + needed_kw / (discharge_flow_kg_per_s(storage) * HEAT_CAPACITY_KJ_PER_KG_K)
    useful_degc += SMEAR_K
    layer_kwh_per_k = storage.volume_m3 * WATER_KWH_PER_M3_K / len(tank.layers_degc)
    energy_kwh = 0.0
    for layer_degc in tank.layers_degc:
        if layer_degc < useful_degc:
            break
        energy_kwh += layer_kwh_per_k * (layer_degc - return_degc)
    return energy_kwh / needed_kw * SECONDS_PER_HOUR
