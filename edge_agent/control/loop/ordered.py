"""What an operator has ordered, laid over plan or rule: charge, hold, stop; the guard still judges every command. Pure.

Heat first: units that the load needs serve the loop while the others charge, and a held tank still helps when the
supply leaves its band. A stopped unit is not wanted even if comfort suffers: that is an alarm, not a disobedience.
"""

from collections.abc import Sequence

from edge_agent.control.command import Alarm, Because
from edge_agent.control.loop.case import USED_RATIO, Case, Duty
from edge_agent.control.orders import Order, charge_order, hold_order, stop_order


def read_orders(case: Case, orders: Sequence[Order]) -> None:
    """Notes which units may not run or shall charge, and whether the tank is held; a stop or hold outranks a charge."""
    for name in case.units:
        storage = case.site.units[name].storage
        stop = stop_order(orders, unit=name)
        if stop is not None:
            case.stopped[name] = stop.number
        elif charge_order(orders, unit=name, storage=storage) is not None and "charge" in case.site.units[name].modes:
            case.charge_ordered.add(name)
    case.held = case.storage_name is not None and hold_order(orders, storage=case.storage_name) is not None
    if case.held:
        case.charge_ordered.clear()


def obey(case: Case) -> None:
    """Changes the duties to what is ordered."""
    for name in case.stopped:
        case.duties[name] = Duty(None, 0.0, Because.OPERATOR)
    if not (case.held or case.charge_ordered):
        return
    for name, duty in case.duties.items():
        if case.held and duty.mode == "charge":
            case.duties[name] = Duty(None, 0.0, Because.OPERATOR)
    _serve_load(case)
    for name in case.charge_ordered:
        if case.duties[name].mode != "direct" and case.available(name):
            load_kw = case.capacity_kw(name, "charge")
            case.duties[name] = Duty("charge", load_kw, Because.OPERATOR, planned="charge")


def _serve_load(case: Case) -> None:
    """Lets units carry the load that the plan may have left to the tank; those already on the loop first."""
    load_kw = case.loop.load_kw
    if load_kw is None:
        direct = [name for name in case.units if case.in_direct(name)]
        needed_kw = USED_RATIO * sum(case.capacity_kw(name, "direct") for name in direct)
    else:
        needed_kw = load_kw
    served_kw = sum(
        USED_RATIO * case.capacity_kw(name, "direct") for name, duty in case.duties.items() if duty.mode == "direct"
    )
    order = sorted(case.units, key=lambda name: (not case.in_direct(name), name in case.charge_ordered))
    for name in order:
        if served_kw >= needed_kw:
            return
        usable = case.available(name) and name not in case.stopped and "direct" in case.site.units[name].modes
        if usable and case.duties[name].mode != "direct":
            capacity_kw = case.capacity_kw(name, "direct")
            case.duties[name] = Duty("direct", capacity_kw, Because.OPERATOR, planned="direct")
            served_kw += USED_RATIO * capacity_kw


def watch_comfort(case: Case) -> None:
    """An alarm while stopped units are missed."""
    supply_degc = case.loop.supply_degc
    if case.stopped and supply_degc is not None and supply_degc < case.floor_degc():
        values: dict[str, float | str] = {
            "units": ", ".join(sorted(case.stopped)),
            "orders": ", ".join(str(number) for number in sorted(set(case.stopped.values()))),
            "supply_degc": round(supply_degc, 1),
        }
        case.alarms.append(Alarm("order_costs_comfort", case.name, case.now_utc, values))
