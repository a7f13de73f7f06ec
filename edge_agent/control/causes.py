"""What stands behind a command, for the audit: which plan, whose order, which limit of power. Pure."""

from collections.abc import Sequence

from edge_agent.control.command import Because, Command
from edge_agent.control.demand_guard import Ceilings
from edge_agent.control.orders import Order, OrderKind
from edge_agent.settings.model import SiteFile
from scheduling.plan import Plan


class Causes:
    """Says of each command of a cycle what caused it; of an order only one that bears on it.

    Args:
        site: which pumps and valves serve which units and storages.
        plan: the last plan.
        orders: of an operator, those in force.
        power: ceilings of electric power.
    """

    def __init__(self, site: SiteFile, *, plan: Plan | None, orders: Sequence[Order], power: Ceilings) -> None:
        self._site = site
        self._plan = plan
        self._orders = orders
        self._power = power

    def __call__(self, command: Command) -> str:
        """The cause in words that need no translation; empty when the command speaks for itself."""
        if command.because is Because.LIMIT:
            limits = (ceiling for ceiling in (self._power.hard, self._power.soft) if ceiling is not None)
            return "; ".join(f"{ceiling.code} {ceiling.steady_kw:.0f} kW" for ceiling in limits)
        if command.because is Because.PLAN and self._plan is not None:
            return f"{self._plan.request} {self._plan.made_utc.isoformat()}"
        if command.because is Because.OPERATOR:
            bearing = (order for order in self._orders if self._bears(order, command))
            return "; ".join(f"{order.number} {order.by}: {order.reason}" for order in bearing)
        return ""

    def _bears(self, order: Order, command: Command) -> bool:
        """Whether an order has to do with the unit, pump or valve of a command.

        A stop concerns its units and their pumps. Charging or holding a tank concerns its valves, and all units of its
        loop as well: who does not charge it carries the load meanwhile.
        """
        units = self._units(command)
        if order.kind is OrderKind.STOP:
            return bool(units) if order.subject is None else order.subject in units
        storages = self._storages(order.subject)
        loops = {self._site.storages[storage].loop for storage in storages}
        valves = {self._site.storages[storage].isolating_valve for storage in storages}
        valves |= {self._site.storages[storage].discharge_valve for storage in storages}
        return command.subject in valves or any(self._site.units[unit].loop in loops for unit in units)

    def _units(self, command: Command) -> set[str]:
        """The unit of a command; of a pump, the units that it serves."""
        return {
            name
            for name, unit in self._site.units.items()
            if command.subject in (name, unit.source_pump, unit.user_pump)
        }

    def _storages(self, subject: str | None) -> set[str]:
        """Storages that an order on a subject is about: a storage, that of a unit, or all."""
        if subject is None:
            return set(self._site.storages)
        unit = self._site.units.get(subject)
        storage = subject if unit is None else unit.storage
        return {storage} & set(self._site.storages) if storage is not None else set()
