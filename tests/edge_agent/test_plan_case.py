"""The planning task of a moment: a unit that a person has stopped is planned again from the end of the order on."""

from datetime import UTC, datetime, timedelta

import pytest

from edge_agent.control.order_rules import planned_around
from edge_agent.control.orders import Order, OrderKind
from edge_agent.plan_case import LiveState, UnitNow, build_request
from edge_agent.settings.files import shipped_config
from edge_agent.settings.load import Configuration, load_configuration
from scheduling.plan import check
from scheduling.rule import plan_by_rule
from scheduling.timegrid import staged_grid

NOW = datetime(2026, 1, 12, 16, 7, tzinfo=UTC)


@pytest.fixture(scope="module")
def office() -> Configuration:
    return load_configuration(shipped_config() / "plants" / "ground-office")


def order(subject: str | None, hours: float) -> Order:
    return Order(OrderKind.STOP, subject, NOW + timedelta(hours=hours), "a", "b", NOW, 1)


@pytest.mark.parametrize("orders", [(), (order("hp2", 2.0),), (order(None, 1.0), order("hp2", 2.0))])
def test_a_stopped_unit_is_planned_again_from_the_end_of_its_order(
    office: Configuration, orders: tuple[Order, ...]
) -> None:
    site = office.site
    running = UnitNow(on=True, mode="direct", minutes_in_state=20.0, starts_today=1, available=True)
    grid = staged_grid(NOW, horizon_h=24)
    count = grid.count
    live = LiveState(
        units=planned_around(dict.fromkeys(site.units, running), orders),
        storage_kwh=dict.fromkeys(site.storages, 4000.0),
        load_kw={name: [900.0] * count for name in site.loops},
        price_cny_per_kwh=[0.6] * count,
        valley_cny_per_kwh=0.3,
        flat_cny_per_kwh=0.6,
        other_load_kw=30.0,
    )
    request = build_request(site, office.performance, grid=grid, live=live)
    plan = plan_by_rule(request)
    assert check(request, plan) == []
    for name, unit in plan.units.items():
        until_utc = max(
            (order.until_utc for order in orders if order.subject in (None, name)),
            default=datetime.min.replace(tzinfo=UTC),
        )
        ordered_off = [
            mode for start_utc, mode in zip(grid.starts_utc(), unit.mode, strict=True) if start_utc < until_utc
        ]
        assert set(ordered_off) <= {None}
    assert any(mode is not None for unit in plan.units.values() for mode in unit.mode)


def test_who_is_not_available_stays_so_and_others_are_left_alone() -> None:
    silent = UnitNow(on=False, mode=None, minutes_in_state=5.0, starts_today=0, available=False)
    told = planned_around({"hp1": silent, "hp2": silent}, (order("hp1", 2.0),))
    assert not told["hp1"].available
    assert told["hp2"] == silent
