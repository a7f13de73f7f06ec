"""Heat that is asked of units and tank beside the load that is to be served: what does not add up is named. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from edge_agent.control.loop.case import Case
from edge_agent.control.regulate import LOAD_RATIO_MIN
from edge_agent.control.want import Want


@dataclass(frozen=True, slots=True)
class Heat:
    """Heat of the loop as asked for; all in kW, load = units + tank + unmet - surplus.

    Attributes:
        load_kw: to be served, measured.
        units_kw: of the units that serve the loop.
        tank_kw: of the tank.
        unmet_kw: nobody is asked for it, or those asked cannot give it.
        surplus_kw: the units at their lowest load give more than is taken.
    """

    load_kw: float
    units_kw: float
    tank_kw: float
    unmet_kw: float
    surplus_kw: float


def heat_of(case: Case, wants: Mapping[str, Want], *, tank: bool) -> Heat | None:
    """What the wants come to; None while the load is not known.

    Args:
        case: the decision.
        wants: of each unit.
        tank: the tank may give heat: it is used, or its valve stands open.
    """
    load_kw = case.loop.load_kw
    if load_kw is None:
        return None
    serving = [name for name in case.units if case.expected(name) and wants[name].mode == "direct"]
    rated_kw = {name: case.capacity_kw(name, "direct") for name in serving}
    most_kw = sum(wants[name].limit_ratio.get("direct", 1.0) * rated_kw[name] for name in serving)
    least_kw = min(most_kw, LOAD_RATIO_MIN * sum(rated_kw.values()))
    units_kw = min(max(load_kw, least_kw), most_kw)
    tank_kw = min(max(0.0, load_kw - units_kw), case.tank_kw() if tank and case.tank_helps() else 0.0)
    return Heat(
        load_kw=load_kw,
        units_kw=units_kw,
        tank_kw=tank_kw,
        unmet_kw=max(0.0, load_kw - units_kw - tank_kw),
        surplus_kw=max(0.0, units_kw + tank_kw - load_kw),
    )


def note_heat(case: Case, heat: Heat | None) -> None:
    """Names what does not add up by more than readings and ratings are worth."""
    if heat is None:
        return
    if heat.unmet_kw > case.notable_kw():
        case.note("heat_unmet")
    if heat.surplus_kw > case.notable_kw():
        case.note("heat_surplus")
