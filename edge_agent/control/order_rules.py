"""Whether an operator's order may be given: judged against mode, site and plant; a refusal says why. Pure.

An order that is given only narrows what plan and comfort may do. The guard judges its commands like all others.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from edge_agent.control.memory import ControlMemory, Phase
from edge_agent.control.modes import Mode, Refusal, signed
from edge_agent.control.orders import ORDER_COUNT_MAX, Order, OrderKind, Orders, hold_order, stop_order
from edge_agent.control.permissives import run_long_enough, tank_too_hot
from edge_agent.control.view import PlantView, UnitState
from edge_agent.plan_case import UnitNow
from edge_agent.settings.model import SiteFile

LONG_MIN = 24.0 * 60.0
"""A state that has lasted this long [min] binds no plan."""


def storage_of(site: SiteFile) -> Mapping[str, str | None]:
    """Storage that each unit charges; None: it cannot charge."""
    return {name: unit.storage if "charge" in unit.modes else None for name, unit in site.units.items()}


def with_subject(order: Order, site: SiteFile) -> Order:
    """A charge or hold of the whole plant is one of its storage where there is but one: so the two are one order."""
    if order.kind in (OrderKind.CHARGE, OrderKind.HOLD) and order.subject is None and len(site.storages) == 1:
        return replace(order, subject=next(iter(site.storages)))
    return order


def judge_order(
    order: Order,
    *,
    site: SiteFile,
    mode: Mode,
    orders: Orders,
    view: PlantView | None,
    memory: ControlMemory,
    charging_barred: str | None = None,
) -> Refusal | None:
    """Judges an order before it is given; None: it may be.

    Args:
        order: what somebody wants.
        site: units, storages, longest time of an order.
        mode: the one in force.
        orders: those that stand.
        view: the plant now; None before the first look.
        memory: of the units.
        charging_barred: code of what forbids any charging now; None: nothing does.
    """
    if order.kind is OrderKind.RELEASE:
        return _named(order) or _judge_release(order, site=site, orders=orders)
    if not signed(site):
        return Refusal("not_commissioned")
    if mode is not Mode.AUTO:
        return Refusal("order_mode_not_auto", {"mode": mode.value})
    refusal = _named(order) or _judge_subject(order, site) or _judge_end(order, site)
    if refusal is not None:
        return refusal
    if len(orders.entries) >= ORDER_COUNT_MAX:
        return Refusal("orders_too_many", {"count": ORDER_COUNT_MAX})
    if view is None:
        return Refusal("order_too_early")
    if order.kind is OrderKind.CHARGE:
        if charging_barred is not None:
            return Refusal("order_charging_barred", {"reason": charging_barred})
        return _judge_charge(order, site=site, orders=orders, view=view, memory=memory)
    if order.kind is OrderKind.STOP and order.subject is not None and view.units[order.subject].remote is False:
        return Refusal("order_unit_local", {"unit": order.subject})
    return None


def warnings(order: Order, *, site: SiteFile, view: PlantView | None, memory: ControlMemory) -> tuple[str, ...]:
    """Codes of what the operator should know of an order that may be given: above all, that it cannot act at once."""
    if order.kind is not OrderKind.STOP or view is None:
        return ()
    names = [order.subject] if order.subject is not None else list(site.units)
    found: list[str] = []
    for name in names:
        unit = view.units[name]
        if not unit.known:
            found.append("stop_waits_for_reading")
        elif unit.state is UnitState.RUNNING and not run_long_enough(
            site.units[name], memory.unit(name), view.instant_utc
        ):
            found.append("stop_waits_for_min_on")
    running = [name for name, unit in view.units.items() if unit.state is UnitState.RUNNING]
    if running and set(running) <= set(names):
        found.append("stop_ends_heat")
    return tuple(dict.fromkeys(found))


def planned_around(units: Mapping[str, UnitNow], orders: Iterable[Order]) -> dict[str, UnitNow]:
    """Units as the planner is told of them: one that is ordered off is off until the order ends."""
    standing = tuple(orders)
    told = dict(units)
    for name, unit in units.items():
        until_utc = max(
            (order.until_utc for order in standing if stop_order((order,), unit=name) is not None), default=None
        )
        if until_utc is not None:
            # It may still finish its minimum run; a plan that had to count on that could become impossible.
            told[name] = replace(unit, on=False, mode=None, minutes_in_state=LONG_MIN, out_until_utc=until_utc)
    return told


def held_until_utc(storages: Iterable[str], orders: Iterable[Order]) -> dict[str, datetime]:
    """Until when each storage is held, as the planner is told of it; one that nobody holds has no entry."""
    standing = tuple(orders)
    ends = {
        name: [order.until_utc for order in standing if hold_order((order,), storage=name) is not None]
        for name in storages
    }
    return {name: max(until) for name, until in ends.items() if until}


def _named(order: Order) -> Refusal | None:
    return None if order.by.strip() and order.reason.strip() else Refusal("needs_name_and_reason")


def _judge_subject(order: Order, site: SiteFile) -> Refusal | None:
    subject = order.subject
    if subject is None:
        return None if order.kind is OrderKind.STOP or site.storages else Refusal("order_no_storage")
    if subject not in site.units and subject not in site.storages:
        known = ", ".join([*site.units, *site.storages])
        return Refusal("order_subject_unknown", {"subject": subject, "known": known})
    if order.kind is OrderKind.STOP and subject not in site.units:
        return Refusal("order_stop_needs_unit", {"subject": subject, "known": ", ".join(site.units)})
    if order.kind is OrderKind.HOLD and subject not in site.storages:
        return Refusal("order_hold_needs_storage", {"subject": subject, "known": ", ".join(site.storages) or "-"})
    return None


def _judge_end(order: Order, site: SiteFile) -> Refusal | None:
    left = order.until_utc - order.made_utc
    if left == timedelta(0):
        return Refusal("order_lasts_nothing")
    if left < timedelta(0):
        return Refusal("order_end_past")
    if left > timedelta(hours=site.control.order_h_max):
        return Refusal("order_end_too_far", {"hours": site.control.order_h_max})
    return None


def _judge_release(order: Order, *, site: SiteFile, orders: Orders) -> Refusal | None:
    subject = order.subject
    standing = orders.entries
    if subject is not None and subject not in site.units and subject not in site.storages:
        return Refusal("order_subject_unknown", {"subject": subject, "known": ", ".join([*site.units, *site.storages])})
    if not standing:
        return Refusal("order_none_stands")
    numbers = ", ".join(str(entry.number) for entry in standing)
    if order.number and all(entry.number != order.number for entry in standing):
        return Refusal("order_number_unknown", {"number": order.number, "numbers": numbers})
    if not order.number and subject is not None and all(entry.subject != subject for entry in standing):
        return Refusal("order_none_on_subject", {"subject": subject, "numbers": numbers})
    return None


def _judge_charge(
    order: Order, *, site: SiteFile, orders: Orders, view: PlantView, memory: ControlMemory
) -> Refusal | None:
    charged = storage_of(site)
    names = [
        name for name, storage in charged.items() if storage is not None and order.subject in (None, name, storage)
    ]
    if not names:
        return Refusal("order_cannot_charge", {"subject": order.subject or "-"})
    tanks = {storage for name in names if (storage := charged[name]) is not None}
    full = [refusal for tank in tanks if (refusal := _tank_obstacle(tank, site=site, view=view, memory=memory))]
    if len(full) == len(tanks):
        return full[0]
    stops = orders.entries
    obstacles = [_unit_obstacle(name, orders=stops, view=view, memory=memory) for name in names]
    if all(code is not None for code in obstacles):
        if len(names) == 1:
            return Refusal("order_unit_cannot", {"unit": names[0], "reason": obstacles[0] or ""})
        return Refusal("order_no_unit", {"reason": obstacles[0] or ""})
    return None


def _tank_obstacle(tank: str, *, site: SiteFile, view: PlantView, memory: ControlMemory) -> Refusal | None:
    if view.storages[tank].top_degc is None:
        return Refusal("tank_sensors_missing", {"storage": tank})
    if memory.loop(site.storages[tank].loop).tank_full or tank_too_hot(site, view, tank):
        return Refusal("order_tank_full", {"storage": tank})
    return None


def _unit_obstacle(name: str, *, orders: Iterable[Order], view: PlantView, memory: ControlMemory) -> str | None:
    """Code of what keeps a unit from charging; None: nothing lasting."""
    unit = view.units[name]
    if not unit.known:
        return "stale_inputs"
    if not unit.remote:
        return "unit_in_local"
    if unit.state is UnitState.TRIPPED or memory.unit(name).phase is Phase.TRIPPED:
        return "unit_has_tripped"
    if memory.unit(name).locked_out:
        return "unit_is_locked_out"
    if stop_order(orders, unit=name) is not None:
        return "unit_is_stopped"
    return None


def next_time(clock_text: str, *, now_local: datetime) -> datetime | None:
    """The next instant at which the site's clock shows a time of day; None: no time of day.

    Args:
        clock_text: `18:30`.
        now_local: the present instant in the site's zone.
    """
    try:
        hour, minute = (int(part) for part in clock_text.split(":"))
        if (hour, minute) == (24, 0):
            hour = 0  # the midnight at the end of today
        moment = now_local.replace(hour=hour, minute=minute, second=0, microsecond=0, fold=0)
    except ValueError:
        return None
    return moment if moment > now_local else moment + timedelta(days=1)
