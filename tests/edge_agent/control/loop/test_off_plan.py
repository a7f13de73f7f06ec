"""A load off the plan: the tank's spare heat first, units that rest, charging that cannot end in time, a new plan."""

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest

from edge_agent.control.intent import BandOutlook
from edge_agent.control.memory import LoopMemory
from scheduling.plan import Plan

WARM_TANK = (54.0, 54.0, 54.0, 54.0)
WARM_KWH = 800.0 * 1.149 * 12.0
ONE = ({"hp1": ("direct", 400.0)}, 0.0, 0.0)
BOTH = ({"hp1": ("direct", 400.0), "hp2": ("direct", 400.0)}, 0.0, 0.0)


def plan_with_soc(kit: SimpleNamespace, *steps: tuple[object, ...], soc_kwh: list[float]) -> Plan:
    plan = kit.plan(kit.now_utc, *steps)
    storage = plan.storages["tank"].model_copy(update={"soc_kwh": soc_kwh})
    return plan.model_copy(update={"storages": {"tank": storage}})


class TestSpending:
    """300 kW more than planned for ten minutes, in a flat hour."""

    def spends(self, kit: SimpleNamespace, soc_kwh: list[float], *, band: str = "flat", load_kw: float = 700.0) -> bool:
        plan = plan_with_soc(kit, *[ONE] * len(soc_kwh), soc_kwh=soc_kwh)
        loop = LoopMemory(off_plan_since_utc=kit.now_utc - timedelta(minutes=11))
        result = kit.decide(
            kit.memory(kit.running()),
            plan=plan,
            loop=loop,
            bands=BandOutlook(band),
            hp1=kit.unit_running,
            load_kw=load_kw,
            layers_degc=WARM_TANK,
            charge_ratio=1.0,
        )
        assert ("tank_spends" in result.notes) is result.memory.spending
        if result.memory.spending:
            assert result.memory.discharging
            assert result.wants["hp1"].limit_ratio["direct"] == pytest.approx(400.0 / 600.0 + 0.01, abs=0.002)
        return bool(result.memory.spending)

    def test_heat_that_the_plan_does_not_need_is_spent_first(self, kit: SimpleNamespace) -> None:
        assert self.spends(kit, [WARM_KWH, WARM_KWH, 0.5 * WARM_KWH])

    def test_heat_that_the_coming_peak_needs_is_kept(self, kit: SimpleNamespace) -> None:
        assert not self.spends(kit, [WARM_KWH, WARM_KWH, 100.0])

    def test_in_a_valley_a_units_heat_costs_less(self, kit: SimpleNamespace) -> None:
        assert not self.spends(kit, [WARM_KWH, WARM_KWH, 0.5 * WARM_KWH], band="valley")

    def test_a_forecasts_error_is_no_excess(self, kit: SimpleNamespace) -> None:
        assert not self.spends(kit, [WARM_KWH, WARM_KWH, 0.5 * WARM_KWH], load_kw=430.0)


class TestLessLoad:
    def view(self, kit: SimpleNamespace) -> dict[str, object]:
        low = replace(kit.unit_running, load_ratio=0.3)
        return {"hp1": low, "hp2": low, "supply_degc": 44.6, "load_kw": 300.0}

    def test_charges_in_a_valley_instead_of_a_stop(self, kit: SimpleNamespace) -> None:
        loop = LoopMemory(surplus_since_utc=kit.now_utc - timedelta(seconds=601))
        memory, plan = kit.memory(kit.running(), kit.running()), kit.plan(kit.now_utc, BOTH)
        valley = kit.decide(memory, plan=plan, loop=loop, bands=BandOutlook("valley"), **self.view(kit))
        assert valley.wants["hp2"].mode == "charge"
        assert "unit_charges_surplus" in valley.notes
        flat = kit.decide(memory, plan=plan, loop=loop, bands=BandOutlook("flat"), **self.view(kit))
        assert not flat.wants["hp2"].on

    def test_a_unit_that_its_thermostat_stopped_is_not_asked_again_at_once(self, kit: SimpleNamespace) -> None:
        plan = kit.plan(kit.now_utc, BOTH)
        idle = kit.running(idle_since_utc=kit.now_utc - timedelta(seconds=90))
        view = {"hp1": replace(kit.unit_running, load_ratio=0.5), "load_kw": 300.0}
        result = kit.decide(kit.memory(kit.running(), idle), plan=plan, hp2=kit.unit_off, **view)
        assert not result.wants["hp2"].on
        rested = {"hp2": kit.now_utc - timedelta(seconds=1)}  # its rest is over
        loop = LoopMemory(rested_until_utc=rested)
        useless = kit.decide(kit.memory(kit.running()), plan=plan, loop=loop, **view)
        assert not useless.wants["hp2"].on, "the other carries the load and holds the supply"
        needed = kit.decide(kit.memory(kit.running()), plan=plan, loop=loop, **{**view, "load_kw": 700.0})
        assert needed.wants["hp2"].on


class TestChargingEnds:
    CHARGE = ({"hp1": ("charge", 558.0)}, 558.0, 0.0)
    NOTHING = ({}, 0.0, 0.0)

    @pytest.mark.parametrize(("minutes", "begins"), [(76, True), (74, False)])
    def test_none_begins_that_could_not_run_its_minimum(self, kit: SimpleNamespace, minutes: int, begins: bool) -> None:  # noqa: FBT001 - a parameter of the case
        # An hour of minimum run, ten minutes of margin, five for the start.
        plan = kit.plan(kit.now_utc, *[self.CHARGE] * 4, *[self.NOTHING] * 4)
        valley = BandOutlook("valley", kit.now_utc + timedelta(minutes=minutes))
        result = kit.decide(kit.memory(), plan=plan, bands=valley, load_kw=0.0)
        assert result.wants["hp1"].on is begins
        assert ("charge_too_late" in result.notes) is not begins
        running = kit.decide(
            kit.memory(kit.running("charge")),
            plan=plan,
            bands=valley,
            hp1=replace(kit.unit_running, mode_actual="charge"),
            charge_ratio=1.0,
            load_kw=0.0,
        )
        assert running.wants["hp1"].mode == "charge"

    def test_by_the_water_that_leaves_the_tank_before_the_clock(self, kit: SimpleNamespace) -> None:
        plan = kit.plan(kit.now_utc, *[self.CHARGE] * 4)
        memory = kit.memory(kit.running("charge"))
        for outlet_degc, charges in ((53.4, True), (53.6, False)):
            unit = replace(kit.unit_running, mode_actual="charge", user_return_degc=outlet_degc)
            for layers_degc in ((55.0, 54.0, 50.0, 47.0), ()):
                result = kit.decide(memory, plan=plan, hp1=unit, charge_ratio=1.0, load_kw=0.0, layers_degc=layers_degc)
                assert (result.wants["hp1"].mode == "charge") is charges

    def test_while_it_waits_for_its_stop_it_serves_the_loop(self, kit: SimpleNamespace) -> None:
        plan = kit.plan(kit.now_utc, self.NOTHING)
        unit = replace(kit.unit_running, mode_actual="charge")
        for minutes, load_kw, mode in ((30, 500.0, "direct"), (30, 100.0, None), (90, 500.0, None)):
            since_utc = kit.now_utc - timedelta(minutes=minutes)
            memory = kit.memory(kit.running("charge", running_since_utc=since_utc))
            result = kit.decide(memory, plan=plan, hp1=unit, charge_ratio=1.0, load_kw=load_kw)
            assert result.wants["hp1"].mode == mode

    def test_else_it_charges_least(self, kit: SimpleNamespace) -> None:
        since_utc = kit.now_utc - timedelta(minutes=30)
        memory = kit.memory(kit.running("charge", running_since_utc=since_utc))
        unit = replace(kit.unit_running, mode_actual="charge")
        result = kit.decide(memory, plan=kit.plan(kit.now_utc, self.NOTHING), hp1=unit, charge_ratio=1.0, load_kw=0.0)
        assert not result.wants["hp1"].on
        assert result.wants["hp1"].limit_ratio["charge"] == 0.3


class TestDraining:
    """A plan that charges and leaves too few units on the loop: the tank gives what it is charged with."""

    PLAN = ({"hp1": ("direct", 600.0), "hp2": ("charge", 558.0)}, 558.0, 0.0)

    @pytest.mark.parametrize(
        ("load_kw", "minutes", "mode"), [(900.0, 11, "direct"), (900.0, 9, "charge"), (550.0, 11, "charge")]
    )
    def test_the_charging_unit_turns_to_the_loop(
        self, kit: SimpleNamespace, load_kw: float, minutes: int, mode: str
    ) -> None:
        since_utc = kit.now_utc - timedelta(minutes=minutes)
        result = kit.decide(
            kit.memory(kit.running(), kit.running("charge")),
            plan=kit.plan(kit.now_utc, self.PLAN),
            loop=LoopMemory(discharge_ratio=0.3, lack_since_utc=since_utc),
            hp1=kit.unit_running,
            hp2=replace(kit.unit_running, mode_actual="charge"),
            supply_degc=43.1,
            load_kw=load_kw,
            charge_ratio=1.0,
            discharge_ratio=0.3,
        )
        assert result.wants["hp2"].mode == mode


class TestReplan:
    def asks(self, kit: SimpleNamespace, load_kw: float, **loop: object) -> bool:
        result = kit.decide(
            kit.memory(kit.running()),
            plan=kit.plan(kit.now_utc, ONE),
            loop=LoopMemory(**loop),
            hp1=kit.unit_running,
            load_kw=load_kw,
        )
        return bool(result.replan)

    def test_after_ten_minutes_off_the_plan_and_not_in_a_row(self, kit: SimpleNamespace) -> None:
        long_utc, just_utc = kit.now_utc - timedelta(minutes=10), kit.now_utc - timedelta(minutes=9)
        assert self.asks(kit, 600.0, off_plan_since_utc=long_utc)
        assert self.asks(kit, 250.0, off_plan_since_utc=long_utc)
        assert not self.asks(kit, 600.0, off_plan_since_utc=just_utc)
        assert not self.asks(kit, 420.0, off_plan_since_utc=long_utc)
        assert not self.asks(kit, 600.0, off_plan_since_utc=long_utc, replan_utc=just_utc)
