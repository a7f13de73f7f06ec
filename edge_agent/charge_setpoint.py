"""How hot a tank is charged: no hotter than the next day needs, for every kelvin costs. Pure.

A unit gives about 2 % more heat for its electricity for each kelvin that it need not lift, and more heat at all. A tank
at its greatest temperature that is half empty at the end of the valley has been lifted for nothing. What the day needs
is a tank that can carry the dear hours alone: hot enough for their greatest load through its valve, and for their heat
in its volume.

Planned again and again at each temperature, four days of the simulated office cost 2 to 3 % less at the best of them
than at 55 degC, and at the one found here within 0.6 % of the best (docs/figures.md, heating season).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edge_agent.settings.model import Storage
from scheduling.plan import Plan
from scheduling.plant.tank import WaterTank

AHEAD_H = 24.0
"""So far ahead the plan's supply temperatures and loads are heeded [h]: what is charged now is used up by then."""
OVER_DEAR_K = 3.0
"""A tank is charged so much hotter than its loop is served at while it shall give: mixing, pipes, sensors. Ours."""
OVER_SUPPLY_K = 1.5
"""... and so much hotter than at any time: what is stored must help whenever a unit is lost. Ours."""
KEPT_K = 1.0
"""A temperature that was asked for stays while it is at most so much higher than needed: set-points do not flutter."""
DEAR_RATIO = 1.02
"""Dear is what costs more than this many times the usual price: rounding makes no peak."""


@dataclass(frozen=True, slots=True)
class Charging:
    """How a tank is charged.

    Attributes:
        degc: leaving temperature asked of a charging unit.
        lowest_degc, highest_degc: between which the site lets the plan choose.
        supply_degc: highest temperature that the loop will be served at.
        dear_degc: the same in dear hours; None: there are none.
        dear_kw: greatest load of dear hours; 0 without any.
        dear_kwh: heat of the greatest stretch of dear hours.
    """

    degc: float
    lowest_degc: float
    highest_degc: float
    supply_degc: float
    dear_degc: float | None
    dear_kw: float
    dear_kwh: float


def charging_of(
    storage: Storage,
    tank: WaterTank,
    *,
    hours: Sequence[float],
    supply_degc: Sequence[float],
    load_kw: Sequence[float],
    price_cny_per_kwh: Sequence[float],
    usual_cny_per_kwh: float,
    asked_degc: float | None,
) -> Charging | None:
    """The temperature between the storage's two that the next day needs; None where the site leaves no choice.

    Args:
        storage: of the site file.
        tank: the same as a body of water.
        hours: length of each step of the plan.
        supply_degc: at which the loop will be served, one value a step; empty: not known.
        load_kw: of the loop, likewise.
        price_cny_per_kwh: likewise.
        usual_cny_per_kwh: what electricity usually costs: dear is what costs more.
        asked_degc: temperature that the plan before asked for; None: there was none.
    """
    lowest_degc, highest_degc = storage.charge_setpoint_degc_min, storage.charge_setpoint_degc
    if lowest_degc is None or storage.kind != "hot_water" or not supply_degc:
        return None
    count = _steps_within(hours, AHEAD_H)
    dear = [price > DEAR_RATIO * usual_cny_per_kwh for price in price_cny_per_kwh[:count]]
    kwh = [length_h * kw for length_h, kw in zip(hours[:count], load_kw, strict=False)]
    dear_kwh = _greatest_dear_kwh(list(zip(kwh, dear, strict=True)))
    dear_degc = max((degc for degc, is_dear in zip(supply_degc, dear, strict=False) if is_dear), default=None)
    dear_kw = max((kw for kw, is_dear in zip(load_kw, dear, strict=False) if is_dear), default=0.0)
    warmest_degc = max(supply_degc[:count])
    kw_per_k = storage.discharge_kw_max / (tank.full_degc - tank.empty_degc)
    needed_degc = max(
        warmest_degc + OVER_SUPPLY_K,
        -math.inf if dear_degc is None else dear_degc + OVER_DEAR_K,
        tank.empty_degc + dear_kwh / tank.kwh_per_k,
        tank.empty_degc + dear_kw / kw_per_k,
    )
    wanted_degc = float(math.ceil(round(needed_degc, 1)))
    if asked_degc is not None and needed_degc <= asked_degc <= needed_degc + KEPT_K:
        wanted_degc = asked_degc
    return Charging(
        min(max(wanted_degc, lowest_degc), highest_degc),
        lowest_degc=lowest_degc,
        highest_degc=highest_degc,
        supply_degc=warmest_degc,
        dear_degc=dear_degc,
        dear_kw=dear_kw,
        dear_kwh=dear_kwh,
    )


def charge_degc_of(plan: Plan | None) -> dict[str, float]:
    """At what temperature a plan has storages charged, as far as it chose one."""
    if plan is None:
        return {}
    return {name: store.charge_degc for name, store in plan.storages.items() if store.charge_degc is not None}


def discharge_ratio(degc: float, tank: WaterTank) -> float:
    """Share of the full discharge that a tank of this temperature can give: its valve passes only so much water."""
    return min(1.0, (degc - tank.empty_degc) / (tank.full_degc - tank.empty_degc))


def _steps_within(hours: Sequence[float], limit_h: float) -> int:
    """How many steps begin within a time; at least one."""
    gone_h = 0.0
    for count, length_h in enumerate(hours):
        if gone_h >= limit_h:
            return max(1, count)
        gone_h += length_h
    return len(hours)


def _greatest_dear_kwh(steps: Sequence[tuple[float, bool]]) -> float:
    """Heat of the greatest run of dear steps, each step as (heat, dear)."""
    greatest_kwh = run_kwh = 0.0
    for kwh, dear in steps:
        run_kwh = run_kwh + kwh if dear else 0.0
        greatest_kwh = max(greatest_kwh, run_kwh)
    return greatest_kwh
