"""The audit names the order that bears on a command, and no other."""

from datetime import timedelta
from types import SimpleNamespace

import pytest

from edge_agent.control.causes import Causes
from edge_agent.control.command import Because, Command, Kind
from edge_agent.control.demand_guard import Ceilings
from edge_agent.control.orders import Order, OrderKind


def order(kit: SimpleNamespace, number: int, kind: OrderKind, subject: str | None) -> Order:
    until_utc = kit.now_utc + timedelta(hours=1)
    return Order(kind, subject, until_utc, by="Li", reason=f"no. {number}", made_utc=kit.now_utc, number=number)


@pytest.mark.parametrize(
    ("kind", "subject", "numbers"),
    [
        (Kind.RUN_REQUEST, "hp1", [1, 3, 4]),
        (Kind.RUN_REQUEST, "hp2", [2, 3, 4]),
        (Kind.PUMP, "ps_hp1", [1, 3, 4]),
        (Kind.DISCHARGE_VALVE, "v_discharge", [4]),
        (Kind.ISOLATING_VALVE, "v_charge", [4]),
        (Kind.ISOLATING_VALVE, "v_other", []),
    ],
)
def test_only_orders_that_bear_on_a_command_are_its_cause(
    kit: SimpleNamespace, kind: Kind, subject: str, numbers: list[int]
) -> None:
    orders = [
        order(kit, 1, OrderKind.STOP, "hp1"),
        order(kit, 2, OrderKind.STOP, "hp2"),
        order(kit, 3, OrderKind.STOP, None),
        order(kit, 4, OrderKind.HOLD, "tank"),
    ]
    cause_of = Causes(kit.site(), plan=None, orders=orders, power=Ceilings())
    command = Command("a.point", 0.0, kind, subject, Because.OPERATOR)
    assert cause_of(command) == "; ".join(f"{number} Li: no. {number}" for number in numbers)
    assert cause_of(Command("a.point", 0.0, kind, subject, Because.SEQUENCE)) == ""


def test_an_order_to_a_unit_concerns_its_storage(kit: SimpleNamespace) -> None:
    charge = order(kit, 1, OrderKind.CHARGE, "hp1")
    cause_of = Causes(kit.site(), plan=None, orders=[charge], power=Ceilings())
    for kind, subject in ((Kind.ISOLATING_VALVE, "v_charge"), (Kind.RUN_REQUEST, "hp2")):
        assert cause_of(Command("a.point", 1.0, kind, subject, Because.OPERATOR)) == "1 Li: no. 1"
