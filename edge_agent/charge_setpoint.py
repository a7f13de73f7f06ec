"""How hot a tank is charged: no hotter than the next day needs, for every kelvin costs. Pure.

A unit gives about 2 % more heat for its electricity for each kelvin that it need not lift, and more heat at all. A tank
at its greatest temperature that is half empty at the end of the valley has been lifted for nothing. What the day needs
is a tank that can carry the dear hours alone: hot enough for their greatest load through its valve, and for their heat
in its volume.

Planned again at each temperature, four days of the simulated office cost 3 % less at the best of them than at 55 degC;
the one found here is mostly one or two kelvin above the best, at 0.3 to 1.5 % (docs/figures.md, heating season).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edge_agent.settings.model import SiteFile, Storage
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
STORED_TOL_K = 0.3
"""A tank that holds a little more than it could at a temperature is no reason to charge hotter. Ours."""
DEAR_RATIO = 1.02
"""Dear is what costs more than this many times the usual price: rounding makes no peak."""
CHEAP_RATIO = 1.2
"""Where nothing is above the usual price, as with two bands by day and night, dear is what costs so many times the
cheapest. Ours: less is not worth storing, with what a kelvin costs."""


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


@dataclass(frozen=True, slots=True)
class Need:
    """What the tank's loop will ask, one value a step of the plan.

    Attributes:
        hours: length of the steps.
        supply_degc: at which the loop will be served; empty: not known.
        load_kw: of the loop.
        price_cny_per_kwh: of electricity.
        usual_cny_per_kwh: what it usually costs: dear is what costs more.
    """

    hours: Sequence[float]
    supply_degc: Sequence[float]
    load_kw: Sequence[float]
    price_cny_per_kwh: Sequence[float]
    usual_cny_per_kwh: float


def charging_of(
    storage: Storage, tank: WaterTank, *, need: Need, stored_kwh: float, asked_degc: float | None
) -> Charging | None:
    """The temperature between the storage's two that the next day needs; None where the site leaves no choice.

    None as well where a figure is no number: the request says so at its place.

    Args:
        storage: of the site file.
        tank: the same as a body of water.
        need: of its loop.
        stored_kwh: what the tank holds: it is not charged cooler than what it holds already.
        asked_degc: temperature that the plan before asked for; None: there was none.
    """
    lowest_degc, highest_degc = storage.charge_setpoint_degc_min, storage.charge_setpoint_degc
    if lowest_degc is None or storage.kind != "hot_water" or not need.supply_degc:
        return None
    count = _steps_within(need.hours, AHEAD_H)
    dear = _dear(need, count)
    kwh = [length_h * kw for length_h, kw in zip(need.hours, need.load_kw, strict=True)]
    dear_kwh = _greatest_dear_kwh(kwh, dear, count)
    dear_kw = max((kw for kw, is_dear in zip(need.load_kw[:count], dear, strict=False) if is_dear), default=0.0)
    dear_degc = max(
        (degc for degc, is_dear in zip(need.supply_degc[:count], dear, strict=False) if is_dear), default=None
    )
    warmest_degc = max(need.supply_degc[:count])
    kw_per_k = storage.discharge_kw_max / (tank.full_degc - tank.empty_degc)
    floors_degc = [
        warmest_degc + OVER_SUPPLY_K,
        tank.empty_degc + dear_kwh / tank.kwh_per_k,
        tank.empty_degc + dear_kw / kw_per_k,
        tank.empty_degc + stored_kwh / tank.kwh_per_k - STORED_TOL_K,
    ]
    floors_degc += [] if dear_degc is None else [dear_degc + OVER_DEAR_K]
    if not all(map(math.isfinite, floors_degc)):
        return None
    needed_degc = max(floors_degc)
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


def at_highest(site: SiteFile) -> SiteFile:
    """A site whose tanks are charged at one temperature, the highest: for who must not, or cannot, choose."""
    storages = {
        name: storage.model_copy(update={"charge_setpoint_degc_min": None}) for name, storage in site.storages.items()
    }
    return site.model_copy(update={"storages": storages})


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


def _dear(need: Need, count: int) -> list[bool]:
    """Which steps are dear: of all, because a dear stretch of the next day may end after it."""
    prices = need.price_cny_per_kwh
    limit_cny = DEAR_RATIO * need.usual_cny_per_kwh
    if not any(price > limit_cny for price in prices[:count]):
        limit_cny = max(CHEAP_RATIO * min(prices[:count]), 0.0)
    return [price > limit_cny for price in prices]


def _greatest_dear_kwh(kwh: Sequence[float], dear: Sequence[bool], count: int) -> float:
    """Heat of the greatest run of dear steps that begins within the first so many, to its end."""
    greatest_kwh = run_kwh = 0.0
    for step, (step_kwh, is_dear) in enumerate(zip(kwh, dear, strict=True)):
        if step >= count and not run_kwh:
            break
        run_kwh = run_kwh + step_kwh if is_dear else 0.0
        greatest_kwh = max(greatest_kwh, run_kwh)
    return greatest_kwh
