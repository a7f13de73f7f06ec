"""Who may narrow what: the one place where the layers of control meet. Pure.

    protection      sequence.py and guard.py: every command, whoever caused it, is judged last; nobody is above it
    operator        orders.py: a stopped unit is not wanted, a held storage is not charged
    limit           demand_guard.py, limits and calls of the grid: load is shed in dispatch before it is wanted
    comfort         dispatch.py: units and tank beyond the plan, so that the supply holds
    plan            dispatch.py: what the plan asks for; an order to charge stands in its place
    rule            dispatch.py: without a plan

A layer takes away from what the layers under it want, and adds nothing: no unit runs, charges or gives more because of
a narrowing. The cause of a wish is the lowest layer that wanted it; of a wish that was taken away, the layer that did.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from edge_agent.control.command import Because
from edge_agent.control.orders import Order, hold_order, stop_order
from edge_agent.control.want import Want
from edge_agent.settings.model import SiteFile

ORDER: tuple[Because, ...] = (
    Because.PROTECTION,
    Because.OPERATOR,
    Because.LIMIT,
    Because.COMFORT,
    Because.PLAN,
    Because.RULE,
)
"""From the highest layer to the lowest."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What one layer leaves of a unit's choices.

    Attributes:
        layer: whose it is.
        may_run: whether the unit may be wanted at all.
        may_charge: whether it may be wanted to charge.
        ratio_max: most load.
    """

    layer: Because
    may_run: bool = True
    may_charge: bool = True
    ratio_max: float = 1.0


def narrow(wants: Mapping[str, Want], *, orders: Iterable[Order], site: SiteFile) -> dict[str, Want]:
    """What is left of dispatch's wishes under an operator's orders, unit by unit.

    Args:
        wants: of each unit.
        orders: those in force.
        site: which storage each unit charges.
    """
    standing = tuple(orders)
    return {
        name: bounded(want, order_bound(standing, unit=name, storage=site.units[name].storage))
        for name, want in wants.items()
    }


def order_bound(orders: Iterable[Order], *, unit: str, storage: str | None) -> Bound:
    """What an operator's orders leave of a unit's choices."""
    standing = tuple(orders)
    held = storage is not None and hold_order(standing, storage=storage) is not None
    return Bound(
        Because.OPERATOR,
        may_run=stop_order(standing, unit=unit) is None,
        may_charge=not held,
    )


def bounded(want: Want, *bounds: Bound) -> Want:
    """What bounds leave of a wish; the highest layer that took something away is its cause."""
    for bound in sorted(bounds, key=lambda bound: ORDER.index(bound.layer), reverse=True):
        want = _bounded(want, bound)
    return want


def _bounded(want: Want, bound: Bound) -> Want:
    barred = not bound.may_run or (want.mode == "charge" and not bound.may_charge)
    if want.on and barred:
        return replace(want, on=False, mode=None, because=bound.layer)
    if any(ratio > bound.ratio_max for ratio in want.limit_ratio.values()):
        ratios = {mode: min(ratio, bound.ratio_max) for mode, ratio in want.limit_ratio.items()}
        return replace(want, limit_ratio=ratios, because=bound.layer)
    return want
