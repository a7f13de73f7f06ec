"""Which orders may be given, and why not the others."""

from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest

from edge_agent.control.memory import ControlMemory, LoopMemory
from edge_agent.control.modes import Mode
from edge_agent.control.order_rules import judge_order, next_time, storage_of, warnings
from edge_agent.control.orders import ORDER_COUNT_MAX, Order, OrderKind, Orders
from edge_agent.control.view import UnitState, UnitView
from edge_agent.texts.catalogue import TEXTS, text

UNSIGNED = {"commissioning": {"start_mode": "auto"}}
NO_STORAGE = {"storages": {}}


def order(kit: SimpleNamespace, kind: str, subject: str | None, *, hours: float = 2.0, by: str = "a") -> Order:
    return Order(OrderKind(kind), subject, kit.now_utc + timedelta(hours=hours), by, "reason", kit.now_utc)


def judged(kit: SimpleNamespace, wanted: Order, **given: object) -> str:
    """Code of the refusal; empty if it may be given."""
    facts = {"site": kit.site(), "mode": Mode.AUTO, "orders": Orders(), "view": kit.view(), "memory": kit.memory()}
    refusal = judge_order(wanted, **{**facts, **given})
    if refusal is None:
        return ""
    words = text(refusal.code, **refusal.values)
    assert refusal.code in TEXTS
    assert "?" not in words.zh + words.en + words.hint_zh + words.hint_en  # no placeholder without its value
    return refusal.code


@pytest.mark.parametrize(
    ("kind", "subject", "code"),
    [
        ("charge", None, ""),
        ("charge", "hp1", ""),
        ("charge", "tank", ""),
        ("charge", "hp9", "order_subject_unknown"),
        ("hold", None, ""),
        ("hold", "tank", ""),
        ("hold", "hp1", "order_hold_needs_storage"),
        ("stop", None, ""),
        ("stop", "hp1", ""),
        ("stop", "tank", "order_stop_needs_unit"),
        ("release", None, "order_none_stands"),
        ("release", "hp9", "order_subject_unknown"),
    ],
)
def test_what_each_order_may_be_given_to(kit: SimpleNamespace, kind: str, subject: str | None, code: str) -> None:
    assert judged(kit, order(kit, kind, subject)) == code


@pytest.mark.parametrize("kind", ["charge", "hold", "stop"])
def test_no_order_without_signature_auto_name_and_a_reasonable_end(kit: SimpleNamespace, kind: str) -> None:
    assert judged(kit, order(kit, kind, None), site=kit.site(**UNSIGNED)) == "not_commissioned"
    for mode in (Mode.MONITOR, Mode.ADVISE):
        assert judged(kit, order(kit, kind, None), mode=mode) == "order_mode_not_auto"
    assert judged(kit, order(kit, kind, None, by=" ")) == "needs_name_and_reason"
    assert judged(kit, order(kit, kind, None, hours=0.0)) == "order_lasts_nothing"
    assert judged(kit, order(kit, kind, None, hours=-1.0)) == "order_end_past"
    assert judged(kit, order(kit, kind, None, hours=24.0)) == ""
    assert judged(kit, order(kit, kind, None, hours=24.01)) == "order_end_too_far"
    assert judged(kit, order(kit, kind, None), view=None) == "order_too_early"


@pytest.mark.parametrize(
    ("unit", "code"),
    [
        ({"remote": False}, "order_unit_cannot"),
        ({"state": UnitState.TRIPPED}, "order_unit_cannot"),
        ({"state": None}, "order_unit_cannot"),
        ({}, ""),
    ],
)
def test_a_unit_that_cannot_charge_is_not_ordered_to(kit: SimpleNamespace, unit: dict[str, object], code: str) -> None:
    seen: UnitView = replace(kit.unit_off, **unit)
    assert judged(kit, order(kit, "charge", "hp1"), view=kit.view(hp1=seen)) == code
    assert judged(kit, order(kit, "charge", "tank"), view=kit.view(hp1=seen)) == ""
    both = "order_no_unit" if code else ""
    assert judged(kit, order(kit, "charge", "tank"), view=kit.view(hp1=seen, hp2=seen)) == both


def test_a_locked_out_or_stopped_unit_is_not_ordered_to_charge(kit: SimpleNamespace) -> None:
    locked = kit.memory(hp1=kit.rested(locked_out=True))
    assert judged(kit, order(kit, "charge", "hp1"), memory=locked) == "order_unit_cannot"
    stopped = Orders().given(order(kit, "stop", "hp1"), storage_of=storage_of(kit.site()))
    assert judged(kit, order(kit, "charge", "hp1"), orders=stopped) == "order_unit_cannot"
    assert judged(kit, order(kit, "charge", "hp2"), orders=stopped) == ""
    assert judged(kit, order(kit, "release", "hp1"), orders=stopped) == ""
    assert judged(kit, order(kit, "release", "hp2"), orders=stopped) == "order_none_on_subject"


def test_a_full_hot_or_unseen_tank_is_not_charged(kit: SimpleNamespace) -> None:
    full = ControlMemory(units=kit.memory().units, loops={"heating": LoopMemory(tank_full=True)})
    assert judged(kit, order(kit, "charge", None), memory=full) == "order_tank_full"
    hot = kit.view(layers_degc=(57.5, 56.0, 50.0, 45.0))
    assert judged(kit, order(kit, "charge", "hp1"), view=hot) == "order_tank_full"
    assert judged(kit, order(kit, "charge", "hp1"), view=kit.view(layers_degc=())) == "tank_sensors_missing"
    assert judged(kit, order(kit, "hold", "tank"), view=kit.view(layers_degc=())) == ""


def test_what_bars_charging_bars_no_other_order(kit: SimpleNamespace) -> None:
    assert judged(kit, order(kit, "charge", None), charging_barred="tank_too_hot") == "order_charging_barred"
    assert judged(kit, order(kit, "stop", None), charging_barred="tank_too_hot") == ""


def test_a_unit_at_its_own_panel_cannot_be_stopped_from_here(kit: SimpleNamespace) -> None:
    local = kit.view(hp1=replace(kit.unit_running, remote=False))
    assert judged(kit, order(kit, "stop", "hp1"), view=local) == "order_unit_local"


def test_orders_are_counted(kit: SimpleNamespace) -> None:
    many = Orders(tuple(replace(order(kit, "stop", f"u{n}"), number=n) for n in range(ORDER_COUNT_MAX)))
    assert judged(kit, order(kit, "stop", "hp1"), orders=many) == "orders_too_many"
    assert judged(kit, order(kit, "release", None), orders=many) == ""


def test_a_stop_says_what_it_means(kit: SimpleNamespace) -> None:
    def noted(wanted: Order, **view: object) -> tuple[str, ...]:
        young = kit.running(running_since_utc=kit.now_utc - timedelta(minutes=5))
        memory = kit.memory(hp1=young)
        return warnings(wanted, site=kit.site(), view=kit.view(**view), memory=memory)

    running = kit.unit_running
    assert noted(order(kit, "stop", "hp1"), hp1=running, hp2=running) == ("stop_waits_for_min_on",)
    assert noted(order(kit, "stop", "hp1"), hp1=running) == ("stop_waits_for_min_on", "stop_ends_heat")
    assert noted(order(kit, "stop", "hp2"), hp2=UnitView()) == ("stop_waits_for_reading",)
    assert noted(order(kit, "hold", None), hp1=running) == ()


@pytest.mark.parametrize(
    ("typed", "now", "wanted"),
    [
        ("18:30", "2026-01-12T12:00", "2026-01-12T18:30"),
        ("18:30", "2026-01-12T18:30", "2026-01-13T18:30"),
        ("6:05", "2026-01-12T12:00", "2026-01-13T06:05"),
        ("24:00", "2026-01-12T12:00", "2026-01-13T00:00"),
        ("24:00", "2026-01-12T00:00", "2026-01-13T00:00"),
        ("24:30", "2026-01-12T12:00", None),
        ("25:00", "2026-01-12T12:00", None),
        ("noon", "2026-01-12T12:00", None),
        ("18:30", "2026-10-24T20:00", "2026-10-25T18:30"),  # the night in which Berlin sets its clocks back
    ],
)
def test_a_time_of_day_is_the_next_one_on_the_sites_clock(typed: str, now: str, wanted: str | None) -> None:
    zone = ZoneInfo("Europe/Berlin")
    found = next_time(typed, now_local=datetime.fromisoformat(now).replace(tzinfo=zone))
    assert found == (None if wanted is None else datetime.fromisoformat(wanted).replace(tzinfo=zone))
