"""Orders of an operator: they end by themselves, replace what they contradict, and survive a restart."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.control.orders import (
    ORDER_H_MAX,
    Order,
    OrderKind,
    Orders,
    charge_order,
    hold_order,
    read_orders,
    stop_order,
    write_orders,
)

NOW = datetime(2026, 1, 12, 8, tzinfo=UTC)
STORAGE_OF = {"hp1": "tank", "hp2": "tank", "hp3": None}


def order(kind: OrderKind, subject: str | None = None, *, hours: float = 2.0) -> Order:
    return Order(kind, subject, NOW + timedelta(hours=hours), "值班员", "检修", NOW)


def given_all(*orders: Order) -> Orders:
    kept = Orders()
    for entry in orders:
        kept = kept.given(entry, storage_of=STORAGE_OF)
    return kept


orders_strategy = st.lists(
    st.builds(
        order,
        st.sampled_from(OrderKind),
        st.sampled_from([None, "hp1", "hp2", "hp3", "tank", "ice"]),
        hours=st.floats(0.1, ORDER_H_MAX),
    ),
    max_size=12,
)


def test_an_order_ends_by_itself_at_its_end_and_not_before() -> None:
    orders = given_all(order(OrderKind.STOP, "hp1"))
    end_utc = NOW + timedelta(hours=2)
    assert [entry.subject for entry in orders.now(end_utc - timedelta(microseconds=1))] == ["hp1"]
    assert orders.now(end_utc) == ()
    assert [entry.subject for entry in orders.ended(end_utc)] == ["hp1"]
    assert orders.kept(end_utc).entries == ()


def test_a_clock_set_far_back_does_not_prolong_an_order_for_ever() -> None:
    orders = given_all(order(OrderKind.CHARGE))
    assert orders.now(NOW - timedelta(days=30)) == ()
    assert len(orders.now(NOW - timedelta(minutes=10))) == 1


@pytest.mark.parametrize(
    ("before", "after", "left"),
    [
        ((OrderKind.CHARGE, None), (OrderKind.HOLD, "tank"), ["hold"]),
        ((OrderKind.HOLD, "tank"), (OrderKind.CHARGE, "hp1"), ["charge"]),
        ((OrderKind.HOLD, "ice"), (OrderKind.CHARGE, "hp1"), ["hold", "charge"]),
        ((OrderKind.STOP, "hp1"), (OrderKind.STOP, None), ["stop", "stop"]),
        ((OrderKind.STOP, "hp1"), (OrderKind.STOP, "hp1"), ["stop"]),
        ((OrderKind.STOP, None), (OrderKind.STOP, "hp1"), ["stop", "stop"]),
        ((OrderKind.STOP, "hp1"), (OrderKind.CHARGE, None), ["stop", "charge"]),
        ((OrderKind.STOP, "hp1"), (OrderKind.RELEASE, "hp2"), ["stop"]),
        ((OrderKind.STOP, "hp1"), (OrderKind.RELEASE, "hp1"), []),
        ((OrderKind.STOP, "hp1"), (OrderKind.RELEASE, None), []),
    ],
)
def test_a_new_order_replaces_what_it_contradicts_and_nothing_else(
    before: tuple[OrderKind, str | None], after: tuple[OrderKind, str | None], left: list[str]
) -> None:
    assert [entry.kind for entry in given_all(order(*before), order(*after)).entries] == left


@given(orders_strategy)
def test_no_storage_is_ordered_to_charge_and_to_hold_at_once(entries: list[Order]) -> None:
    standing = given_all(*entries).now(NOW)
    assert all(entry.kind is not OrderKind.RELEASE for entry in standing)
    for unit, storage in STORAGE_OF.items():
        if storage is not None and hold_order(standing, storage=storage) is not None:
            assert charge_order(standing, unit=unit, storage=storage) is None


@given(orders_strategy)
def test_orders_survive_a_restart(entries: list[Order]) -> None:
    orders = given_all(*entries)
    assert read_orders(write_orders(orders)) == orders
    numbers = [entry.number for entry in orders.entries]
    assert numbers == sorted(set(numbers))


def test_damaged_orders_are_not_taken_for_none() -> None:
    assert read_orders(None) == Orders()
    assert read_orders("{") is None
    assert read_orders(write_orders(Orders()).replace('"version":1', '"version":9')) is None


def test_the_newest_order_is_the_one_that_is_named() -> None:
    orders = given_all(order(OrderKind.STOP, None), order(OrderKind.STOP, "hp1")).now(NOW)
    named = stop_order(orders, unit="hp1")
    assert named is not None
    assert named.number == 2
    other = stop_order(orders, unit="hp2")
    assert other is not None
    assert other.number == 1
    assert charge_order(orders, unit="hp1", storage="tank") is None
