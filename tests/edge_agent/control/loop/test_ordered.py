"""An operator's orders in dispatch: stop, hold, charge; heat first, and an order to stop is obeyed with an alarm."""

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

from edge_agent.control.command import Because
from edge_agent.control.demand_guard import Ceiling, Ceilings
from edge_agent.control.intent import BandOutlook
from edge_agent.control.memory import LoopMemory
from edge_agent.control.orders import Order, OrderKind

DIRECT = ({"hp1": ("direct", 500.0), "hp2": ("direct", 500.0)}, 0.0, 0.0)
ONE = ({"hp1": ("direct", 600.0)}, 0.0, 0.0)
TANK_ONLY = ({}, 0.0, 500.0)
CHARGE = ({"hp1": ("direct", 600.0), "hp2": ("charge", 558.0)}, 558.0, 0.0)
COLD_TANK = (42.0, 42.0, 42.0, 42.0)


def order(kit: SimpleNamespace, kind: OrderKind, subject: str | None = None) -> tuple[Order, ...]:
    return (Order(kind, subject, kit.now_utc + timedelta(hours=2), "a person", "a reason", kit.now_utc, 1),)


class TestStop:
    def test_the_unit_is_not_wanted_and_the_lack_is_an_alarm(self, kit: SimpleNamespace) -> None:
        plan = kit.plan(kit.now_utc, DIRECT)
        both = kit.memory(kit.running(), kit.running())
        view = {"hp1": kit.unit_running, "hp2": kit.unit_running, "load_kw": 900.0, "layers_degc": COLD_TANK}
        free = kit.decide(both, plan=plan, supply_degc=42.0, **view)
        assert free.wants["hp2"].on
        stopped = kit.decide(both, plan=plan, orders=order(kit, OrderKind.STOP, "hp2"), supply_degc=42.0, **view)
        assert (stopped.wants["hp2"].on, stopped.wants["hp2"].because) == (False, Because.OPERATOR)
        assert "order_costs_comfort" in [alarm.code for alarm in stopped.alarms]
        assert stopped.wants["hp1"].on

    def test_nor_started_for_comfort(self, kit: SimpleNamespace) -> None:
        plan = kit.plan(kit.now_utc, ONE)
        loop = LoopMemory(lack_since_utc=kit.now_utc - timedelta(seconds=900))
        view = {"hp1": kit.unit_running, "supply_degc": 41.0, "load_kw": 900.0, "layers_degc": COLD_TANK}
        memory = kit.memory(kit.running())
        assert kit.decide(memory, plan=plan, loop=loop, **view).wants["hp2"].on
        barred = order(kit, OrderKind.STOP, "hp2")
        assert not kit.decide(memory, plan=plan, loop=loop, orders=barred, **view).wants["hp2"].on

    def test_the_rule_counts_on_the_others(self, kit: SimpleNamespace) -> None:
        result = kit.decide(kit.memory(), load_kw=500.0, orders=order(kit, OrderKind.STOP, "hp1"))
        assert [result.wants[name].on for name in ("hp1", "hp2")] == [False, True]

    def test_it_is_given_no_duty_of_its_twin(self, kit: SimpleNamespace) -> None:
        """It has the fewest running hours, as a unit under repair has; twins are rotated by them."""
        site = kit.site()
        twin = site.units["hp2"].model_copy(update={"identical_to": "hp1"})
        site = site.model_copy(update={"units": {**site.units, "hp2": twin}})
        memory = kit.memory(kit.rested(), kit.rested(run_s=60 * 3600.0))
        plan = kit.plan(kit.now_utc, ({"hp2": ("direct", 500.0)}, 0.0, 0.0))
        rotated = kit.decide(memory, plan=plan, site=site, load_kw=500.0)
        assert [rotated.wants[name].on for name in ("hp1", "hp2")] == [True, False]
        barred = kit.decide(memory, plan=plan, site=site, load_kw=500.0, orders=order(kit, OrderKind.STOP, "hp1"))
        assert [barred.wants[name].on for name in ("hp1", "hp2")] == [False, True]


class TestHold:
    def test_neither_charged_nor_discharged(self, kit: SimpleNamespace) -> None:
        held = order(kit, OrderKind.HOLD, "tank")
        memory = kit.memory(kit.running())
        charging = kit.decide(
            memory, plan=kit.plan(kit.now_utc, CHARGE), hp1=kit.unit_running, load_kw=500.0, orders=held
        )
        assert not charging.wants["hp2"].on
        giving = kit.decide(
            memory, plan=kit.plan(kit.now_utc, TANK_ONLY), hp1=kit.unit_running, load_kw=500.0, orders=held
        )
        assert giving.wants["hp1"].mode == "direct", "units carry what the plan had left to the tank"
        assert giving.wants["hp1"].because is Because.OPERATOR
        assert not giving.memory.discharging

    def test_comfort_still_comes_first(self, kit: SimpleNamespace) -> None:
        regulated_utc = kit.now_utc - timedelta(seconds=30)
        loop = LoopMemory(discharge_ratio=0.0, error_k=0.0, regulated_utc=regulated_utc)
        view = {"hp1": kit.unit_running, "load_kw": 500.0, "charge_ratio": 1.0, "supply_degc": 42.0}
        result = kit.decide(
            kit.memory(kit.running()),
            plan=kit.plan(kit.now_utc, ONE),
            loop=loop,
            orders=order(kit, OrderKind.HOLD),
            **view,
        )
        assert result.discharge_ratio > 0.0

    def test_the_rule_leaves_the_tank_alone(self, kit: SimpleNamespace) -> None:
        held = order(kit, OrderKind.HOLD)
        peak = kit.decide(kit.memory(), bands=BandOutlook("peak"), load_kw=500.0, orders=held)
        assert any(want.mode == "direct" for want in peak.wants.values())
        valley = kit.decide(kit.memory(), bands=BandOutlook("valley"), load_kw=300.0, orders=held)
        assert not any(want.mode == "charge" for want in valley.wants.values())


class TestCharge:
    def test_units_that_the_load_does_not_need_charge(self, kit: SimpleNamespace) -> None:
        ordered = order(kit, OrderKind.CHARGE)
        result = kit.decide(
            kit.memory(kit.running()),
            plan=kit.plan(kit.now_utc, ONE),
            hp1=kit.unit_running,
            load_kw=500.0,
            orders=ordered,
        )
        assert (result.wants["hp1"].mode, result.wants["hp2"].mode) == ("direct", "charge")
        assert result.wants["hp2"].because is Because.OPERATOR
        peak = kit.decide(
            kit.memory(),
            plan=kit.plan(kit.now_utc, TANK_ONLY),
            bands=BandOutlook("peak"),
            load_kw=500.0,
            orders=ordered,
        )
        assert sorted(str(want.mode) for want in peak.wants.values()) == ["charge", "direct"]

    def test_one_unit_as_ordered_and_past_the_margin_before_a_peak(self, kit: SimpleNamespace) -> None:
        near = BandOutlook("valley", kit.now_utc + timedelta(minutes=5))
        charging = replace(kit.unit_running, mode_actual="charge", mode_request="charge")
        view = {"hp1": kit.unit_running, "hp2": charging, "load_kw": 500.0, "charge_ratio": 1.0}
        memory = kit.memory(kit.running(), kit.running("charge"))
        ordered = order(kit, OrderKind.CHARGE, "hp2")
        plan = kit.plan(kit.now_utc, *[CHARGE] * 1)
        assert kit.decide(memory, plan=plan, bands=near, orders=ordered, **view).wants["hp2"].mode == "charge"
        full = (55.0, 55.0, 54.8, 54.5)
        result = kit.decide(memory, plan=plan, bands=near, orders=ordered, layers_degc=full, **view)
        assert not result.wants["hp2"].on

    def test_stays_under_the_ceiling(self, kit: SimpleNamespace) -> None:
        ceilings = Ceilings(hard=Ceiling(320.0, 320.0, "contract"))
        result = kit.decide(
            kit.memory(kit.running()),
            plan=kit.plan(kit.now_utc, ONE),
            hp1=replace(kit.unit_running, electric_kw=104.0),
            load_kw=480.0,
            orders=order(kit, OrderKind.CHARGE),
            ceilings=ceilings,
        )
        assert not result.wants["hp2"].on

    def test_a_hold_or_stop_outranks_it(self, kit: SimpleNamespace) -> None:
        orders = (*order(kit, OrderKind.CHARGE), *order(kit, OrderKind.STOP, "hp2"))
        plan = kit.plan(kit.now_utc, ONE)
        result = kit.decide(kit.memory(kit.running()), plan=plan, hp1=kit.unit_running, load_kw=500.0, orders=orders)
        assert not result.wants["hp2"].on
