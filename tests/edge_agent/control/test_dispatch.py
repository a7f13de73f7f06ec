"""Dispatch: follows the plan, holds the supply, lets units go only when the rest can carry the load."""

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_agent.control.command import Because
from edge_agent.control.dispatch import Dispatched, dispatch
from edge_agent.control.intent import BandOutlook, plan_intent, plan_step, plan_usable
from edge_agent.control.loop.case import BAND_K
from edge_agent.control.memory import ControlMemory, LoopMemory, Phase, UnitMemory
from edge_agent.control.orders import Order, OrderKind
from edge_agent.control.regulate import curve_degc, leaving_degc, tank_lasts_s, valve_ratio
from edge_agent.control.view import PlantView, UnitState, UnitView
from edge_agent.settings.model import SiteFile
from scheduling.plan import Plan

ALL_DIRECT = ({"hp1": ("direct", 400.0), "hp2": ("direct", 400.0)}, 0.0, 0.0)
TANK_ONLY = ({}, 0.0, 500.0)
NOTHING = ({}, 0.0, 0.0)


def cooler(
    kit: SimpleNamespace, step: tuple[object, ...], *, lowest_degc: float, asked_degc: float
) -> tuple[SiteFile, Plan]:
    """A site whose tank may be charged cooler, and a plan of one step that asks for a temperature."""
    fixed = kit.site()
    storage = fixed.storages["tank"].model_copy(update={"charge_setpoint_degc_min": lowest_degc})
    plan = kit.plan(kit.now_utc, step)
    tank = plan.storages["tank"].model_copy(update={"charge_degc": asked_degc})
    return (
        fixed.model_copy(update={"storages": {"tank": storage}}),
        plan.model_copy(update={"storages": {"tank": tank}}),
    )


class TestPlan:
    def test_is_followed_unit_by_unit(self, kit: SimpleNamespace) -> None:
        plan = kit.plan(kit.now_utc, ({"hp1": ("direct", 400.0), "hp2": ("charge", 558.0)}, 558.0, 0.0))
        result = kit.decide(kit.memory(), plan=plan, load_kw=400.0)
        assert (result.wants["hp1"].mode, result.wants["hp2"].mode) == ("direct", "charge")
        assert result.wants["hp2"].setpoint_degc["charge"] == 55.0
        assert result.because is Because.PLAN
        assert result.setpoint_degc == 44.0

    def test_a_start_begins_ahead_of_its_step(self, kit: SimpleNamespace) -> None:
        plan = kit.plan(kit.now_utc - timedelta(minutes=11), TANK_ONLY, ALL_DIRECT)
        assert kit.decide(kit.memory(), plan=plan).wants["hp1"].mode == "direct"
        early = kit.plan(kit.now_utc - timedelta(minutes=9), TANK_ONLY, ALL_DIRECT)
        assert not kit.decide(kit.memory(), plan=early).wants["hp1"].on

    def test_a_stop_begins_ahead_of_a_peak_and_of_nothing_else(self, kit: SimpleNamespace) -> None:
        plan = kit.plan(kit.now_utc - timedelta(minutes=11), ALL_DIRECT, TANK_ONLY)
        memory = kit.memory(kit.running())
        view = {"hp1": kit.unit_running, "charge_ratio": 1.0, "load_kw": 400.0}
        for peak_min, limit_ratio in ((4, 0.3), (6, 1.0), (None, 1.0)):
            peak_utc = None if peak_min is None else kit.now_utc + timedelta(minutes=peak_min)
            bands = BandOutlook("flat", next_peak_utc=peak_utc)
            result = kit.decide(memory, plan=plan, bands=bands, **view)
            assert result.wants["hp1"].on  # the tank takes over first
            assert result.wants["hp1"].limit_ratio["direct"] == limit_ratio, peak_min
        # It is not spared where the tank cannot carry the load.
        bands = BandOutlook("flat", next_peak_utc=kit.now_utc + timedelta(minutes=4))
        cold = kit.decide(memory, plan=plan, bands=bands, layers_degc=(43.0,) * 4, **view)
        assert cold.wants["hp1"].limit_ratio["direct"] == 1.0

    def test_old_or_ended_plans_are_not_followed(self, kit: SimpleNamespace) -> None:
        plan = kit.plan(kit.now_utc, ALL_DIRECT, made_utc=kit.now_utc - timedelta(minutes=121))
        assert not plan_usable(plan, kit.now_utc)
        result = kit.decide(kit.memory(), plan=plan)
        assert result.because is Because.RULE
        assert "plan_stale" in [alarm.code for alarm in result.alarms]
        assert not plan_usable(kit.plan(kit.now_utc - timedelta(minutes=15), ALL_DIRECT), kit.now_utc)
        assert not plan_usable(None, kit.now_utc)

    def test_a_plan_of_another_clock_is_not_followed(self, kit: SimpleNamespace) -> None:
        for ahead_min, usable in ((4, True), (6, False), (14_400, False)):
            ahead = kit.now_utc + timedelta(minutes=ahead_min)
            plan = kit.plan(kit.now_utc if usable else ahead, ALL_DIRECT, made_utc=ahead)
            assert plan_usable(plan, kit.now_utc) is usable

    def test_steps_and_heat_passed_through_the_tank(self, kit: SimpleNamespace) -> None:
        plan = kit.plan(kit.now_utc, NOTHING, ({"hp1": ("charge", 558.0)}, 400.0, 0.0))
        assert plan_step(plan, kit.now_utc + timedelta(minutes=15)) == 1
        assert plan_step(plan, kit.now_utc - timedelta(minutes=1)) == 0
        intent = plan_intent(plan, kit.now_utc + timedelta(minutes=20), storage_of={"hp1": "tank"})
        assert intent.to_loop_kw["tank"] == pytest.approx(158.0)


class TestRule:
    def test_runs_units_for_the_load_and_a_tenth(self, kit: SimpleNamespace) -> None:
        memory = kit.memory(kit.running(), kit.rested())
        result = kit.decide(memory, hp1=kit.unit_running, load_kw=540.0)
        assert [result.wants[name].on for name in ("hp1", "hp2")] == [True, False]
        result = kit.decide(memory, hp1=kit.unit_running, load_kw=560.0)
        assert [result.wants[name].on for name in ("hp1", "hp2")] == [True, True]

    def test_charges_in_the_valley_with_what_is_left(self, kit: SimpleNamespace) -> None:
        memory = kit.memory(kit.running(), kit.rested())
        valley = BandOutlook("valley", kit.now_utc + timedelta(hours=5), None)
        result = kit.decide(memory, hp1=kit.unit_running, load_kw=300.0, bands=valley)
        assert (result.wants["hp1"].mode, result.wants["hp2"].mode) == ("direct", "charge")
        assert not kit.decide(memory, hp1=kit.unit_running, load_kw=300.0).wants["hp2"].on

    def test_keeps_what_runs_when_the_load_is_not_known(self, kit: SimpleNamespace) -> None:
        memory = kit.memory(kit.running(), kit.rested())
        result = kit.decide(memory, hp1=kit.unit_running, load_kw=None)
        assert [result.wants[name].on for name in ("hp1", "hp2")] == [True, False]

    def test_a_loop_without_a_unit_is_no_fault(self, kit: SimpleNamespace) -> None:
        """Metered hot water, or a loop behind an exchanger: there is a load, and nothing to command."""
        site = kit.site()
        site = site.model_copy(update={"loops": {**site.loops, "service": site.loops["heating"]}})
        view = kit.view()
        view = replace(view, loops={**view.loops, "service": view.loops["heating"]})
        for plan in (None, kit.plan(kit.now_utc, ALL_DIRECT)):
            result = dispatch(
                "service", kit.memory(), site=site, view=view, plan=plan, bands=BandOutlook(), capacities={}
            )
            assert result.wants == {}
            assert result.discharge_ratio is None


class TestCharging:
    CHARGE = ({"hp1": ("charge", 558.0)}, 558.0, 0.0)

    def test_ends_before_a_peak(self, kit: SimpleNamespace) -> None:
        memory = kit.memory(kit.running("charge"))
        plan = kit.plan(kit.now_utc, *[self.CHARGE] * 1, *[NOTHING] * 8)
        far = BandOutlook("valley", kit.now_utc + timedelta(minutes=11), None)
        near = BandOutlook("valley", kit.now_utc + timedelta(minutes=10), None)
        view = {"hp1": replace(kit.unit_running, mode_actual="charge"), "charge_ratio": 1.0, "load_kw": 0.0}
        later_plan = kit.plan(kit.now_utc - timedelta(minutes=6), self.CHARGE, NOTHING)
        assert kit.decide(memory, plan=plan, bands=far, **view).wants["hp1"].mode == "charge"
        assert not kit.decide(memory, plan=later_plan, bands=near, **view).wants["hp1"].on

    def test_unless_the_plan_charges_in_the_peak(self, kit: SimpleNamespace) -> None:
        plan = kit.plan(kit.now_utc, *[self.CHARGE] * 8)
        near = BandOutlook("valley", kit.now_utc + timedelta(minutes=5), None)
        memory = kit.memory(kit.running("charge"))
        view = {"hp1": replace(kit.unit_running, mode_actual="charge"), "charge_ratio": 1.0, "load_kw": 0.0}
        assert kit.decide(memory, plan=plan, bands=near, **view).wants["hp1"].mode == "charge"

    def test_all_that_a_cold_source_lets_a_unit_give_is_full_load(self, kit: SimpleNamespace) -> None:
        """The plan wants 510 kW of a unit rated at 558: by the rating a part of it, by its map all there is."""
        plan = kit.plan(kit.now_utc, ({"hp1": ("charge", 510.0)}, 510.0, 0.0))
        view = {"hp1": replace(kit.unit_running, mode_actual="charge"), "charge_ratio": 1.0, "load_kw": 0.0}
        memory = kit.memory(kit.running("charge"))
        assert kit.decide(memory, plan=plan, **view).wants["hp1"].limit_ratio["charge"] == pytest.approx(0.924)
        for share, limit in ((1.0, 1.0), (0.6, 0.61)):
            unit = plan.units["hp1"].model_copy(update={"load_ratio": (share,)})
            told = plan.model_copy(update={"units": {**plan.units, "hp1": unit}})
            wants = kit.decide(memory, plan=told, **view).wants["hp1"]
            assert wants.limit_ratio["charge"] == pytest.approx(limit)

    def test_ends_with_a_full_tank_and_begins_again_only_well_below(self, kit: SimpleNamespace) -> None:
        plan = kit.plan(kit.now_utc, self.CHARGE)
        memory = kit.memory(kit.running("charge"))
        full = kit.decide(memory, plan=plan, layers_degc=(55.0, 55.0, 54.5, 53.6), load_kw=0.0)
        assert full.memory.tank_full
        assert not full.wants["hp1"].on
        still = kit.decide(memory, plan=plan, loop=full.memory, layers_degc=(55.0, 55.0, 55.0, 52.0), load_kw=0.0)
        assert still.memory.tank_full
        empty = kit.decide(memory, plan=plan, loop=full.memory, layers_degc=(55.0, 50.0, 45.0, 44.0), load_kw=0.0)
        assert empty.wants["hp1"].mode == "charge"

    def test_at_the_temperature_that_the_plan_chose_within_the_site_s_two(self, kit: SimpleNamespace) -> None:
        fixed = kit.site()
        storage = fixed.storages["tank"].model_copy(update={"charge_setpoint_degc_min": 46.0})
        site = fixed.model_copy(update={"storages": {"tank": storage}})
        plan = kit.plan(kit.now_utc, self.CHARGE)
        memory = kit.memory(kit.running("charge"))

        def told(asked_degc: float | None, **options: object) -> Dispatched:
            tank = plan.storages["tank"].model_copy(update={"charge_degc": asked_degc})
            chosen = plan.model_copy(update={"storages": {"tank": tank}})
            return kit.decide(memory, **{"plan": chosen, "site": site, "load_kw": 0.0, **options})

        asked = {degc: told(degc).wants["hp1"].setpoint_degc["charge"] for degc in (None, 30.0, 46.0, 50.5, 55.0, 90.0)}
        assert asked == {None: 55.0, 30.0: 46.0, 46.0: 46.0, 50.5: 50.5, 55.0: 55.0, 90.0: 55.0}
        assert told(50.0, site=fixed).wants["hp1"].setpoint_degc["charge"] == 55.0  # the site leaves no choice
        old = plan.model_copy(update={"made_utc": kit.now_utc - timedelta(hours=3)})
        assert told(None, plan=old).wants["hp1"].setpoint_degc["charge"] == 55.0
        # Full is what the bottom and the heat say at that temperature, and it stays so until well below.
        full = told(50.0, layers_degc=(50.0, 50.0, 49.5, 48.6))
        assert full.memory.tank_full
        assert not full.wants["hp1"].on
        still = told(50.0, loop=full.memory, layers_degc=(50.0, 50.0, 50.0, 48.0))
        assert still.memory.tank_full
        assert not told(50.0, loop=full.memory, layers_degc=(50.0, 46.0, 44.0, 43.0)).memory.tank_full
        assert not told(55.0, layers_degc=(50.0, 50.0, 49.5, 48.6)).memory.tank_full

    @pytest.mark.parametrize("asked_degc", [55.0, 50.0, 46.5])
    @pytest.mark.parametrize("shape", ["straight", "hot top", "by its water"])
    def test_full_does_not_flutter_at_any_temperature(
        self, kit: SimpleNamespace, asked_degc: float, shape: str
    ) -> None:
        """Readings around the edge: once full it stays so, however small the span between the two temperatures."""
        site, plan = cooler(kit, self.CHARGE, lowest_degc=46.0, asked_degc=asked_degc)
        span_k = asked_degc - 42.0
        loop, seen = None, []
        for cycle in range(6):
            off_k = 0.1 if cycle % 2 else -0.1
            layers_degc = {
                "straight": (asked_degc, asked_degc - 0.3, asked_degc - 0.8, asked_degc - 1.5 + off_k),
                "hot top": (55.0, 55.0, 42.0 + 4.0 * 0.985 * span_k - 26.0 + off_k, 42.0),
                "by its water": (asked_degc, asked_degc, asked_degc - 0.5, asked_degc - 2.0 + off_k),
            }[shape]
            hp1 = replace(kit.unit_running, mode_actual="charge", user_return_degc=asked_degc - 1.4)
            unit = {"hp1": hp1} if shape == "by its water" and not seen else {}
            memory = kit.memory(kit.running("charge")) if not seen or not seen[-1] else kit.memory()
            result = kit.decide(memory, plan=plan, site=site, loop=loop, layers_degc=layers_degc, load_kw=0.0, **unit)
            loop = result.memory
            seen.append(loop.tank_full)
        assert seen[seen.index(True) :] == [True] * (len(seen) - seen.index(True)), seen

    @pytest.mark.parametrize("asked_degc", [55.0, 52.0, 50.0, 48.0, 46.0, 45.0])
    def test_full_ends_when_the_tank_has_given_its_heat(self, kit: SimpleNamespace, asked_degc: float) -> None:
        """Also where warm water comes back: a tank of return water is not full, whatever the return is short of it."""
        site, plan = cooler(kit, self.CHARGE, lowest_degc=45.0, asked_degc=asked_degc)
        loop = kit.decide(kit.memory(), plan=plan, site=site, layers_degc=(asked_degc,) * 4, load_kw=0.0).memory
        assert loop.tank_full
        lukewarm_degc = max(42.0, asked_degc - 3.2)
        given = kit.decide(kit.memory(), plan=plan, site=site, loop=loop, layers_degc=(lukewarm_degc,) * 4, load_kw=0.0)
        assert not given.memory.tank_full or asked_degc - 42.0 > 3.2 / 0.25  # it holds three quarters still
        empty = kit.decide(kit.memory(), plan=plan, site=site, loop=loop, layers_degc=(42.0,) * 4, load_kw=0.0)
        assert not empty.memory.tank_full

    def test_who_orders_charging_gets_a_full_tank(self, kit: SimpleNamespace) -> None:
        site, plan = cooler(kit, self.CHARGE, lowest_degc=46.0, asked_degc=46.0)
        memory = kit.memory(kit.running("charge"))
        view = {"plan": plan, "site": site, "load_kw": 0.0, "layers_degc": (46.0, 46.0, 45.8, 44.6)}
        order = Order(OrderKind.CHARGE, "hp1", kit.now_utc + timedelta(hours=2), "a", "b", kit.now_utc, 1)
        assert kit.decide(memory, **view).wants["hp1"].mode is None
        ordered = kit.decide(memory, orders=(order,), **view)
        assert ordered.wants["hp1"].mode == "charge"
        assert ordered.wants["hp1"].setpoint_degc["charge"] == 55.0


class TestRelease:
    """A unit leaves the loop only when the others or the tank can carry the load."""

    def both(self, kit: SimpleNamespace) -> ControlMemory:
        return kit.memory(kit.running(), kit.running())

    def units(self, kit: SimpleNamespace, **changes: object) -> dict[str, UnitView]:
        return {"hp1": replace(kit.unit_running, **changes), "hp2": kit.unit_running}

    def test_not_while_the_others_are_too_few(self, kit: SimpleNamespace) -> None:
        plan = kit.plan(kit.now_utc, ({"hp1": ("direct", 600.0)}, 0.0, 0.0))
        result = kit.decide(self.both(kit), plan=plan, load_kw=900.0, layers_degc=(42.0,) * 4, **self.units(kit))
        assert result.wants["hp2"].on
        assert result.wants["hp2"].because is Because.COMFORT
        result = kit.decide(self.both(kit), plan=plan, load_kw=500.0, layers_degc=(42.0,) * 4, **self.units(kit))
        assert not result.wants["hp2"].on

    def test_who_has_been_let_go_keeps_its_turn_until_the_way_is_open(self, kit: SimpleNamespace) -> None:
        """A unit turns to a tank whose valve is closed: it takes minutes, in which the next turn is not free."""
        plan = kit.plan(kit.now_utc, ({"hp1": ("direct", 500.0), "hp2": ("charge", 558.0)}, 558.0, 0.0))
        memory, loop = self.both(kit), None
        wanted = []
        for cycle in range(12):  # six minutes, twice the time between two units that leave
            now_utc = kit.now_utc + timedelta(seconds=30 * cycle)
            result = kit.decide(memory, plan=plan, loop=loop, now_utc=now_utc, load_kw=500.0, **self.units(kit))
            loop = result.memory
            wanted.append(result.wants["hp2"].mode)
        assert wanted == ["charge"] * 12
        # The tank never takes over by that: it needs its way first, and the unit unloads.
        tank_only = kit.plan(kit.now_utc, ({"hp1": ("direct", 600.0)}, 0.0, 400.0))
        late = kit.now_utc + timedelta(minutes=6)
        view = {"now_utc": late, "load_kw": 900.0, "layers_degc": (54.0,) * 4, **self.units(kit)}
        handed = kit.decide(memory, plan=tank_only, loop=loop, **view)
        assert handed.wants["hp2"].mode == "direct"
        assert handed.tank_used
        # Nor does what was granted long ago count for ever.
        stale = replace(loop, stopped_utc=late, leaving_since_utc={"hp2": late - timedelta(hours=1)})
        old = kit.decide(memory, plan=plan, loop=stale, now_utc=late, load_kw=500.0, **self.units(kit))
        assert old.wants["hp2"].mode == "direct"
        # When the others are too few meanwhile, it stays.
        late = kit.now_utc + timedelta(minutes=6)
        short = kit.decide(memory, plan=plan, loop=loop, now_utc=late, load_kw=900.0, **self.units(kit))
        assert short.wants["hp2"].mode == "direct"
        assert not short.memory.leaving_since_utc

    def test_the_last_unit_waits_for_the_tank(self, kit: SimpleNamespace) -> None:
        plan = kit.plan(kit.now_utc, TANK_ONLY)
        memory = kit.memory(kit.running())
        view = {"hp1": kit.unit_running, "load_kw": 500.0}
        closed = kit.decide(memory, plan=plan, **view)
        assert closed.wants["hp1"].on
        assert closed.tank_used, "the way is opened first"
        assert closed.discharge_ratio == 0.0
        opened = kit.decide(memory, plan=plan, charge_ratio=1.0, **view)
        assert opened.wants["hp1"].on
        assert opened.wants["hp1"].limit_ratio["direct"] == 0.3, "it leaves its load to the tank"
        assert opened.discharge_ratio > 0.0
        low = replace(kit.unit_running, load_ratio=0.3)
        given = replace(opened.memory, discharge_ratio=0.5)
        taken = kit.decide(memory, plan=plan, loop=given, charge_ratio=1.0, discharge_ratio=0.5, hp1=low, load_kw=500.0)
        assert not taken.wants["hp1"].on

    def test_not_before_the_supply_holds(self, kit: SimpleNamespace) -> None:
        plan = kit.plan(kit.now_utc, TANK_ONLY)
        low = replace(kit.unit_running, load_ratio=0.3)
        loop = LoopMemory(
            discharge_ratio=0.5, discharging=True, unloading_since_utc={"hp1": kit.now_utc - timedelta(minutes=3)}
        )
        view = {"hp1": low, "charge_ratio": 1.0, "discharge_ratio": 0.5, "load_kw": 500.0}
        sagging = kit.decide(kit.memory(kit.running()), plan=plan, loop=loop, supply_degc=43.4, **view)
        assert sagging.wants["hp1"].on
        holding = kit.decide(kit.memory(kit.running()), plan=plan, loop=loop, supply_degc=43.9, **view)
        assert not holding.wants["hp1"].on

    def test_never_onto_an_empty_tank(self, kit: SimpleNamespace) -> None:
        plan = kit.plan(kit.now_utc, TANK_ONLY)
        result = kit.decide(
            kit.memory(kit.running()), plan=plan, hp1=kit.unit_running, charge_ratio=1.0, layers_degc=(43.0,) * 4
        )
        assert result.wants["hp1"].on
        assert result.wants["hp1"].limit_ratio["direct"] == 1.0

    def test_one_at_a_time(self, kit: SimpleNamespace) -> None:
        plan = kit.plan(kit.now_utc, TANK_ONLY)
        loop = LoopMemory(discharge_ratio=0.6, discharging=True)
        low = {"hp1": replace(kit.unit_running, load_ratio=0.3), "hp2": replace(kit.unit_running, load_ratio=0.3)}
        result = kit.decide(
            self.both(kit), plan=plan, loop=loop, charge_ratio=1.0, discharge_ratio=0.6, load_kw=700.0, **low
        )
        assert [result.wants[name].on for name in ("hp1", "hp2")].count(False) == 1


class TestLack:
    def test_the_tank_helps_below_the_band_before_any_unit(self, kit: SimpleNamespace) -> None:
        plan = kit.plan(kit.now_utc, ALL_DIRECT)
        view = {"hp1": kit.unit_running, "hp2": kit.unit_running, "supply_degc": 42.5, "charge_ratio": 1.0}
        loop = LoopMemory(discharge_ratio=0.0, regulated_utc=kit.now_utc - timedelta(seconds=30), error_k=0.3)
        result = kit.decide(kit.memory(kit.running(), kit.running()), plan=plan, loop=loop, load_kw=1000.0, **view)
        assert result.discharge_ratio > 0.0
        assert result.tank_used

    def test_then_a_charging_unit_turns_to_the_loop(self, kit: SimpleNamespace) -> None:
        plan = kit.plan(kit.now_utc, ({"hp1": ("direct", 600.0), "hp2": ("charge", 558.0)}, 558.0, 0.0))
        charging = replace(kit.unit_running, mode_actual="charge", mode_request="charge")
        loop = LoopMemory(lack_since_utc=kit.now_utc - timedelta(seconds=601))
        result = kit.decide(
            kit.memory(kit.running(), kit.running("charge")),
            plan=plan,
            loop=loop,
            supply_degc=42.5,
            load_kw=1000.0,
            layers_degc=(42.0,) * 4,
            hp1=kit.unit_running,
            hp2=charging,
        )
        assert result.wants["hp2"].mode == "direct"
        assert result.wants["hp2"].because is Because.COMFORT
        assert "unit_extra" in result.notes

    def test_then_one_more_unit_after_the_staging_time(self, kit: SimpleNamespace) -> None:
        plan = kit.plan(kit.now_utc, ({"hp1": ("direct", 600.0)}, 0.0, 0.0))
        view = {"hp1": kit.unit_running, "supply_degc": 42.5, "load_kw": 590.0, "layers_degc": (42.0,) * 4}
        memory = kit.memory(kit.running(), kit.rested())
        for age_s, on in ((599, False), (601, True)):
            loop = LoopMemory(lack_since_utc=kit.now_utc - timedelta(seconds=age_s))
            assert kit.decide(memory, plan=plan, loop=loop, **view).wants["hp2"].on is on

    def test_at_once_near_the_limit(self, kit: SimpleNamespace) -> None:
        plan = kit.plan(kit.now_utc, ({"hp1": ("direct", 600.0)}, 0.0, 0.0))
        loop = LoopMemory(lack_since_utc=kit.now_utc - timedelta(seconds=60))
        view = {"hp1": kit.unit_running, "supply_degc": 41.4, "load_kw": 590.0, "layers_degc": (42.0,) * 4}
        assert kit.decide(kit.memory(kit.running()), plan=plan, loop=loop, **view).wants["hp2"].on

    def test_a_unit_starts_before_the_tank_ends(self, kit: SimpleNamespace) -> None:
        plan = kit.plan(kit.now_utc, TANK_ONLY, TANK_ONLY)
        loop = LoopMemory(discharge_ratio=0.6, discharging=True, lack_since_utc=kit.now_utc - timedelta(seconds=90))
        view = {"charge_ratio": 1.0, "discharge_ratio": 0.6, "load_kw": 900.0}
        ample = kit.decide(kit.memory(), plan=plan, loop=loop, **view)
        assert not any(want.on for want in ample.wants.values())
        # 900 kW at the full flow need 5.9 K above the return and some for the smear.
        ending = kit.decide(kit.memory(), plan=plan, loop=loop, layers_degc=(46.1, 42.0, 41.0, 41.0), **view)
        assert any(want.on and want.because is Because.COMFORT for want in ending.wants.values())

    def test_a_unit_whose_heat_finds_no_use_rests(self, kit: SimpleNamespace) -> None:
        plan = kit.plan(kit.now_utc, ALL_DIRECT)
        low = replace(kit.unit_running, load_ratio=0.3)
        loop = LoopMemory(surplus_since_utc=kit.now_utc - timedelta(seconds=601))
        view = {"hp1": low, "hp2": low, "supply_degc": 44.6, "load_kw": 300.0}
        result = kit.decide(kit.memory(kit.running(), kit.running()), plan=plan, loop=loop, **view)
        assert [result.wants[name].on for name in ("hp1", "hp2")] == [True, False]
        again = kit.decide(kit.memory(kit.running()), plan=plan, loop=result.memory, hp1=low)
        assert not again.wants["hp2"].on, "and is not started again by the same plan"


class TestSetpoints:
    def test_follow_the_heating_curve_and_leave_a_margin_above_the_limit(self, kit: SimpleNamespace) -> None:
        for outdoor_degc, wanted_degc in ((-20.0, 48.0), (-2.5, 46.0), (10.0, 42.5), (30.0, 41.0)):
            assert kit.decide(kit.memory(), outdoor_degc=outdoor_degc).setpoint_degc == pytest.approx(wanted_degc)

    def test_an_unknown_outdoor_temperature_is_the_last_known_else_cold(self, kit: SimpleNamespace) -> None:
        assert kit.decide(kit.memory(), outdoor_degc=None).setpoint_degc == 48.0
        known = LoopMemory(outdoor_degc=5.0)
        assert kit.decide(kit.memory(), loop=known, outdoor_degc=None).setpoint_degc == 44.0

    def test_planned_loads_are_kept_while_the_tank_does_the_balance(self, kit: SimpleNamespace) -> None:
        plan = kit.plan(kit.now_utc, ({"hp1": ("direct", 300.0), "hp2": ("direct", 300.0)}, 0.0, 400.0))
        hot = replace(kit.unit_running, user_supply_degc=45.0, user_return_degc=40.0, load_ratio=1.0)
        result = kit.decide(
            kit.memory(kit.running(), kit.running()),
            plan=plan,
            loop=LoopMemory(discharge_ratio=0.2, discharging=True),
            charge_ratio=1.0,
            discharge_ratio=0.2,
            load_kw=1000.0,
            hp1=hot,
            hp2=hot,
        )
        assert result.wants["hp1"].limit_ratio["direct"] == pytest.approx(0.51)
        # hp2 can only be told a temperature: half of the 5 K that it makes at full load.
        assert result.wants["hp2"].setpoint_degc["direct"] == pytest.approx(42.55, abs=0.06)

    def test_return_water_that_passes_the_units_by_is_made_up_for(self) -> None:
        assert leaving_degc(
            wanted_degc=44.0, return_degc=40.0, unit_kg_per_s=30.0, loop_kg_per_s=60.0
        ) == pytest.approx(48.0)
        assert leaving_degc(
            wanted_degc=44.0, return_degc=40.0, unit_kg_per_s=90.0, loop_kg_per_s=60.0
        ) == pytest.approx(44.0)
        assert leaving_degc(wanted_degc=44.0, return_degc=40.0, unit_kg_per_s=0.0, loop_kg_per_s=60.0) == 44.0

    def test_blind_nothing_moves(self, kit: SimpleNamespace) -> None:
        loop = LoopMemory(discharge_ratio=0.4, discharging=True)
        result = kit.decide(kit.memory(), loop=loop, supply_degc=None, charge_ratio=1.0, discharge_ratio=0.4)
        assert result.discharge_ratio is None
        assert "reading_missing" in [alarm.code for alarm in result.alarms]

    def test_a_lost_reading_of_the_way_moves_no_valve(self, kit: SimpleNamespace) -> None:
        loop = LoopMemory(discharge_ratio=0.4, discharging=True)
        plan = kit.plan(kit.now_utc, TANK_ONLY)
        result = kit.decide(kit.memory(), plan=plan, loop=loop, charge_ratio=None, discharge_ratio=0.4)
        assert result.discharge_ratio is None
        assert result.memory.discharge_ratio == 0.4
        closed = kit.decide(kit.memory(), plan=plan, loop=loop, charge_ratio=0.5, discharge_ratio=0.4)
        assert closed.discharge_ratio == 0.0, "seen to be closed, which is something else"

    @pytest.mark.parametrize(("supply_degc", "least", "most"), [(43.0, 0.4, 0.4), (44.5, 0.1, 0.399)])
    def test_a_tank_that_is_not_seen_gives_on_and_opens_no_further(
        self, kit: SimpleNamespace, supply_degc: float, least: float, most: float
    ) -> None:
        regulated_utc = kit.now_utc - timedelta(seconds=30)
        loop = LoopMemory(discharge_ratio=0.4, discharging=True, error_k=0.0, regulated_utc=regulated_utc)
        plan = kit.plan(kit.now_utc, TANK_ONLY)
        view = {"layers_degc": (), "charge_ratio": 1.0, "discharge_ratio": 0.4, "supply_degc": supply_degc}
        result = kit.decide(kit.memory(), plan=plan, loop=loop, **view)
        assert result.discharge_ratio is not None
        assert least <= result.discharge_ratio <= most
        assert "tank_sensors_missing" in [alarm.code for alarm in result.alarms]


class TestRegulator:
    def test_curve(self) -> None:
        assert curve_degc([(0.0, 50.0), (10.0, 40.0)], 2.5) == pytest.approx(47.5)

    @given(
        before=st.floats(0, 1),
        error_k=st.floats(-20, 20),
        last_k=st.none() | st.floats(-20, 20),
        step_s=st.floats(0, 90),
        lift_k=st.floats(-5, 30),
    )
    def test_valve_stays_in_its_range(
        self, before: float, error_k: float, last_k: float | None, step_s: float, lift_k: float
    ) -> None:
        ratio = valve_ratio(before, error_k=error_k, error_before_k=last_k, step_s=step_s, lift_k=lift_k)
        assert 0.0 <= ratio <= 1.0

    def test_tank_lasts(self, kit: SimpleNamespace) -> None:
        site, tank = kit.site().storages["tank"], kit.view(layers_degc=(54.0, 54.0, 44.0, 42.0)).storages["tank"]
        lasts_s = tank_lasts_s(site, tank, needed_kw=1000.0, return_degc=40.0)
        # 1 000 kW at 36.75 kg/s need 6.5 K: two layers of 200 m3 with 14 K count.
        assert lasts_s == pytest.approx(2 * 200 * 1.149 * 14 / 1000 * 3600)
        assert tank_lasts_s(site, tank, needed_kw=0.0, return_degc=40.0) == float("inf")
        assert tank_lasts_s(site, tank, needed_kw=1000.0, return_degc=None) == 0.0


# ---------------------------------------------------------------------------------------- never off limits

PHASES = st.sampled_from([Phase.OFF, Phase.LEAD, Phase.STARTING, Phase.RUNNING, Phase.STOPPING, Phase.TRIPPED])
TEMPERATURE = st.none() | st.floats(20.0, 60.0)


@pytest.mark.parametrize(("starts_s", "power_kw", "helped"), [(299, 0.5, False), (301, 0.5, True), (301, 100.0, False)])
def test_a_unit_that_keeps_starting_is_not_counted_on_for_ever(
    kit: SimpleNamespace, starts_s: float, power_kw: float, *, helped: bool
) -> None:
    since_utc = kit.now_utc - timedelta(seconds=starts_s)
    memory = kit.memory(kit.rested(phase=Phase.STARTING, mode="direct", since_utc=since_utc, off_since_utc=None))
    step = ({"hp1": ("direct", 500.0)}, 0.0, 0.0)
    result = kit.decide(
        memory,
        plan=kit.plan(kit.now_utc - timedelta(minutes=5), step, step),
        hp1=replace(kit.unit_running, state=UnitState.STARTING, electric_kw=power_kw, load_ratio=0.0),
        supply_degc=42.0,
        layers_degc=(40.0,) * 4,
        loop=LoopMemory(lack_since_utc=kit.now_utc - timedelta(hours=1)),
    )
    assert result.wants["hp2"].on is helped
    assert result.wants["hp1"].on, "it may still come"


@settings(
    max_examples=settings().max_examples // 2,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_whatever_it_sees_its_wishes_stay_within_limits(kit: SimpleNamespace, data: st.DataObject) -> None:
    now_utc = kit.now_utc
    mode = st.sampled_from([None, "direct", "charge"])

    def memory() -> UnitMemory:
        phase = data.draw(PHASES)
        since_utc = now_utc - timedelta(seconds=data.draw(st.sampled_from([10, 400, 4000])))
        active = phase in (Phase.LEAD, Phase.STARTING, Phase.RUNNING, Phase.STOPPING)
        return UnitMemory(
            phase=phase,
            since_utc=since_utc,
            mode=data.draw(st.sampled_from(["direct", "charge"])) if active else None,
            running_since_utc=since_utc if phase is Phase.RUNNING else None,
            off_since_utc=None if phase is Phase.RUNNING else since_utc,
        )

    def unit() -> UnitView:
        return replace(
            kit.unit_running,
            state=data.draw(st.sampled_from([None, *UnitState])),
            load_ratio=data.draw(st.none() | st.floats(0, 1)),
            user_supply_degc=data.draw(TEMPERATURE),
            user_return_degc=data.draw(TEMPERATURE),
        )

    steps = [
        (
            {name: (data.draw(mode), data.draw(st.floats(0, 600))) for name in ("hp1", "hp2")},
            data.draw(st.floats(0, 1800)),
            data.draw(st.floats(0, 2000)),
        )
        for _ in range(2)
    ]
    plan = data.draw(st.sampled_from([None, kit.plan(now_utc, *steps)]))
    band = data.draw(st.sampled_from([None, "valley", "flat", "peak"]))
    loop = LoopMemory(
        discharge_ratio=data.draw(st.none() | st.floats(0, 1)),
        discharging=data.draw(st.booleans()),
        trim_k=data.draw(st.floats(-2, 3)),
        regulated_utc=now_utc - timedelta(seconds=30),
    )
    memories = kit.memory(memory(), memory())
    seen = {
        "hp1": unit(),
        "hp2": unit(),
        "supply_degc": data.draw(TEMPERATURE),
        "return_degc": data.draw(TEMPERATURE),
        "load_kw": data.draw(st.none() | st.floats(0, 3000)),
        "charge_ratio": data.draw(st.sampled_from([None, 0.0, 0.5, 1.0])),
        "layers_degc": data.draw(st.sampled_from([(), (54.0, 50.0, 44.0, 42.0), (42.0,) * 4, (58.0,) * 4])),
        "outdoor_degc": data.draw(st.none() | st.floats(-25, 25)),
    }
    view = kit.view(**seen)
    result = kit.decide(
        memories,
        plan=plan,
        bands=BandOutlook(band, now_utc + timedelta(minutes=data.draw(st.integers(1, 600))), None),
        loop=loop,
        **seen,
    )
    assert 40.0 + BAND_K <= result.setpoint_degc <= 52.0
    if result.discharge_ratio is not None:
        assert 0.0 <= result.discharge_ratio <= 1.0
    for want in result.wants.values():
        assert want.on == (want.mode is not None)
        assert 39.0 <= want.setpoint_degc["direct"] <= 52.0
        assert want.setpoint_degc["charge"] == 55.0
        assert all(0.3 <= ratio <= 1.0 for ratio in want.limit_ratio.values())
    if plan is not None and "unit_rests" not in result.notes:
        assert_carried(result, view, memories)


def assert_carried(result: Dispatched, view: PlantView, memories: ControlMemory) -> None:
    """Heat is conserved: a unit leaves the loop only if the other units, or the tank, can carry the load without it."""

    def serves(name: str) -> bool:
        unit = memories.unit(name)
        return unit.phase is Phase.RUNNING and unit.mode == "direct" and unit.running_since_utc is not None

    leaving = [name for name in ("hp1", "hp2") if serves(name) and result.wants[name].mode != "direct"]
    if not leaving:
        return
    loop, tank, path = view.loops["heating"], view.storages["tank"], view.valves["v_charge"]
    assert loop.load_kw is not None
    assert loop.supply_degc is not None
    staying_kw = 600.0 * sum(serves(name) for name in ("hp1", "hp2") if name not in leaving)
    if staying_kw < loop.load_kw:
        assert path.position_ratio == 1.0
        assert tank.top_degc > min(loop.supply_degc, result.setpoint_degc)
        assert result.memory.discharging
