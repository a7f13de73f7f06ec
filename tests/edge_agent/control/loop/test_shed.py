"""Under the power ceilings: charging gives way first, then loads on the loop, and only a hard one costs comfort."""

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_agent.control.command import Because
from edge_agent.control.demand_guard import Ceiling, Ceilings
from edge_agent.control.memory import LoopMemory
from edge_agent.control.view import UnitView

BOTH = ({"hp1": ("direct", 600.0), "hp2": ("charge", 558.0)}, 558.0, 0.0)
DIRECT = ({"hp1": ("direct", 600.0), "hp2": ("direct", 600.0)}, 0.0, 0.0)
COLD_TANK = (42.0, 42.0, 42.0, 42.0)


def ceiling(kw: float, code: str = "contract") -> Ceiling:
    return Ceiling(allowed_kw=kw, steady_kw=kw, code=code)


def hard(kw: float) -> Ceilings:
    return Ceilings(hard=ceiling(kw))


def soft(kw: float) -> Ceilings:
    return Ceilings(soft=ceiling(kw, "peak"))


def charging(kit: SimpleNamespace, **changes: object) -> UnitView:
    unit = replace(
        kit.unit_running, mode_actual="charge", mode_request="charge", load_ratio=1.0, electric_kw=160.0,
        user_supply_degc=55.0, user_return_degc=50.0,
    )  # fmt: skip
    return replace(unit, **changes)


def one_of_each(kit: SimpleNamespace) -> dict[str, object]:
    """hp1 on the loop at 104 kW, hp2 charging at 160 kW, 300 kW in all: 36 kW beside the units."""
    return {"hp1": replace(kit.unit_running, electric_kw=104.0), "hp2": charging(kit), "load_kw": 480.0}


class TestCharging:
    def test_nothing_changes_far_below_the_ceiling(self, kit: SimpleNamespace) -> None:
        memory, plan = kit.memory(kit.running(), kit.running("charge")), kit.plan(kit.now_utc, BOTH)
        free = kit.decide(memory, plan=plan, **one_of_each(kit))
        kept = kit.decide(memory, plan=plan, ceilings=hard(900.0), **one_of_each(kit))
        assert kept.wants == free.wants
        assert not [note for note in kept.notes if note.startswith("limit_")]

    def test_charges_with_what_the_loop_leaves(self, kit: SimpleNamespace) -> None:
        memory, plan = kit.memory(kit.running(), kit.running("charge")), kit.plan(kit.now_utc, BOTH)
        result = kit.decide(memory, plan=plan, ceilings=hard(240.0), **one_of_each(kit))
        # 240 kW less 36 kW of others, 104 kW on the loop and its head-room of 6.5 kW.
        assert result.wants["hp2"].limit_ratio["charge"] == pytest.approx((240.0 - 36.0 - 110.5) / 160.0, abs=0.011)
        assert result.wants["hp1"].limit_ratio["direct"] == 1.0
        assert result.wants["hp2"].because is Because.LIMIT
        assert "limit_charge_less" in result.notes
        assert [(alarm.code, alarm.values["limit_kw"]) for alarm in result.alarms] == [("grid_limit", 240)]

    def test_a_unit_without_a_load_limit_is_told_a_lower_temperature(self, kit: SimpleNamespace) -> None:
        memory, plan = kit.memory(kit.running(), kit.running("charge")), kit.plan(kit.now_utc, BOTH)
        result = kit.decide(memory, plan=plan, ceilings=hard(240.0), **one_of_each(kit))
        ratio = result.wants["hp2"].limit_ratio["charge"]
        assert result.wants["hp2"].setpoint_degc["charge"] == pytest.approx(50.0 + 5.0 * ratio, abs=0.06)

    def test_stops_when_not_even_the_lowest_load_fits_but_runs_its_minimum(self, kit: SimpleNamespace) -> None:
        plan = kit.plan(kit.now_utc, BOTH)
        long = kit.memory(kit.running(), kit.running("charge"))
        result = kit.decide(long, plan=plan, ceilings=hard(180.0), **one_of_each(kit))
        assert not result.wants["hp2"].on
        assert result.wants["hp2"].because is Because.LIMIT
        assert result.memory.charge_rest_until_utc["hp2"] > kit.now_utc
        stopped = kit.memory(kit.running(), kit.rested())
        rest = kit.decide(
            stopped, plan=plan, loop=result.memory, ceilings=hard(900.0), hp1=kit.unit_running, load_kw=480.0
        )
        assert not rest.wants["hp2"].on, "not started again within a window"
        since_utc = kit.now_utc - timedelta(minutes=5)
        short = kit.memory(kit.running(), kit.running("charge", running_since_utc=since_utc))
        kept = kit.decide(short, plan=plan, ceilings=hard(180.0), **one_of_each(kit))
        assert kept.wants["hp2"].on
        assert kept.wants["hp2"].limit_ratio["charge"] == 0.3

    def test_does_not_start_for_less_than_half_its_load(self, kit: SimpleNamespace) -> None:
        memory, plan = kit.memory(kit.running(), kit.rested()), kit.plan(kit.now_utc, BOTH)
        view = {"hp1": replace(kit.unit_running, electric_kw=104.0), "load_kw": 480.0}
        # 300 kW measured, of which 196 are others.
        for kw, on in ((900.0, True), (400.0, True), (370.0, False)):
            assert kit.decide(memory, plan=plan, ceilings=hard(kw), **view).wants["hp2"].on is on

    def test_a_soft_ceiling_narrows_charging_as_well(self, kit: SimpleNamespace) -> None:
        memory, plan = kit.memory(kit.running(), kit.running("charge")), kit.plan(kit.now_utc, BOTH)
        result = kit.decide(memory, plan=plan, ceilings=soft(240.0), **one_of_each(kit))
        assert result.wants["hp2"].limit_ratio["charge"] < 0.7
        assert [alarm.code for alarm in result.alarms] == ["demand_guard"]


class TestLoop:
    def view(self, kit: SimpleNamespace, **changes: object) -> dict[str, object]:
        unit = replace(kit.unit_running, electric_kw=104.0)
        return {"hp1": unit, "hp2": unit, "load_kw": 960.0, "layers_degc": COLD_TANK, **changes}

    def test_a_hard_ceiling_lowers_loads_even_when_it_is_cold(self, kit: SimpleNamespace) -> None:
        memory, plan = kit.memory(kit.running(), kit.running()), kit.plan(kit.now_utc, DIRECT)
        for supply_degc in (44.0, 40.5):
            result = kit.decide(
                memory, plan=plan, ceilings=hard(220.0), **self.view(kit, supply_degc=supply_degc)
            )  # 92 kW are others
            assert result.wants["hp1"].limit_ratio["direct"] == pytest.approx((220.0 - 92.0) / 260.0, abs=0.011)
            assert "limit_load_less" in result.notes
            assert "heat_unmet" in result.notes

    def test_a_soft_one_lets_go_as_the_supply_nears_its_limit(self, kit: SimpleNamespace) -> None:
        memory, plan = kit.memory(kit.running(), kit.running()), kit.plan(kit.now_utc, DIRECT)
        ratios = [
            kit.decide(memory, plan=plan, ceilings=soft(220.0), **self.view(kit, supply_degc=supply_degc))
            .wants["hp1"]
            .limit_ratio["direct"]
            for supply_degc in (44.0, 41.7, 41.3, 41.0, 40.1)
        ]
        assert ratios[0] == pytest.approx(0.49, abs=0.011)
        assert ratios == sorted(ratios)
        assert ratios[-2:] == [1.0, 1.0], "a degree above the limit, money counts no more"

    def test_the_tank_gives_what_is_cut(self, kit: SimpleNamespace) -> None:
        memory, plan = kit.memory(kit.running(), kit.running()), kit.plan(kit.now_utc, DIRECT)
        loop = LoopMemory(discharge_ratio=0.0, regulated_utc=kit.now_utc - timedelta(seconds=30))
        view = {**self.view(kit, supply_degc=43.5), "charge_ratio": 1.0, "layers_degc": (54.0, 54.0, 54.0, 50.0)}
        result = kit.decide(memory, plan=plan, loop=loop, ceilings=hard(220.0), **view)
        assert result.memory.discharging
        assert result.discharge_ratio > 0.0
        assert "heat_unmet" not in result.notes

    def test_a_hard_one_stops_a_unit_when_lowest_loads_do_not_fit(self, kit: SimpleNamespace) -> None:
        memory, plan = kit.memory(kit.running(), kit.running()), kit.plan(kit.now_utc, DIRECT)
        result = kit.decide(memory, plan=plan, ceilings=hard(150.0), **self.view(kit))
        assert [want.on for want in result.wants.values()].count(False) == 1
        assert "limit_load_stops" in result.notes
        softly = kit.decide(memory, plan=plan, ceilings=soft(150.0), **self.view(kit))
        assert all(want.on for want in softly.wants.values())

    def test_a_start_waits_but_not_for_money_when_heat_is_short(self, kit: SimpleNamespace) -> None:
        memory, plan = kit.memory(kit.running(), kit.rested()), kit.plan(kit.now_utc, DIRECT)
        view = {"hp1": replace(kit.unit_running, electric_kw=130.0, load_ratio=1.0), "load_kw": 900.0}
        for ceilings, supply_degc, on in (
            (hard(235.0), 44.0, False),
            (soft(235.0), 44.0, False),
            (hard(235.0), 42.0, False),
            (soft(235.0), 42.0, True),
            (hard(330.0), 44.0, True),
        ):
            result = kit.decide(
                memory, plan=plan, ceilings=ceilings, supply_degc=supply_degc, layers_degc=COLD_TANK, **view
            )
            assert result.wants["hp2"].on is on
            assert ("limit_start_waits" in result.notes) is not on


class TestFlutter:
    def test_a_ceiling_closes_at_once_and_opens_slowly(self, kit: SimpleNamespace) -> None:
        memory, plan = kit.memory(kit.running(), kit.running("charge")), kit.plan(kit.now_utc, BOTH)
        closed = kit.decide(memory, plan=plan, ceilings=hard(200.0), **one_of_each(kit))
        assert closed.memory.held_kw == {"hard": 200.0}
        later = replace(closed.memory, regulated_utc=kit.now_utc - timedelta(seconds=30))
        opening = kit.decide(memory, plan=plan, loop=later, ceilings=hard(900.0), **one_of_each(kit))
        assert opening.memory.held_kw["hard"] == pytest.approx(200.0 + 900.0 * 30.0 / 600.0)

    def test_room_in_a_window_is_not_filled_up_but_used_if_it_is_drawn_already(self, kit: SimpleNamespace) -> None:
        memory, plan = kit.memory(kit.running(), kit.running("charge")), kit.plan(kit.now_utc, BOTH)
        roomy = Ceilings(hard=Ceiling(allowed_kw=400.0, steady_kw=250.0, code="contract"))
        result = kit.decide(memory, plan=plan, ceilings=roomy, **one_of_each(kit))
        assert result.memory.held_kw["hard"] == 300.0, "what is drawn now"

    def test_limits_are_raised_in_steps(self, kit: SimpleNamespace) -> None:
        memory, plan = kit.memory(kit.running(), kit.running("charge")), kit.plan(kit.now_utc, BOTH)
        told = []
        for kw in (240.0, 241.0, 243.0, 239.0, 246.0):
            loop = LoopMemory(caps={"charge": told[-1]}) if told else LoopMemory()
            result = kit.decide(memory, plan=plan, loop=loop, ceilings=hard(kw), **one_of_each(kit))
            told.append(result.wants["hp2"].limit_ratio["charge"])
        assert told[0] == told[1] == told[2] > told[3]
        assert told[4] >= told[3] + 0.03


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    limit_kw=st.floats(0.0, 1000.0),
    is_hard=st.booleans(),
    powers_kw=st.tuples(st.floats(30.0, 200.0), st.floats(30.0, 200.0)),
    total_kw=st.none() | st.floats(0.0, 900.0),
    supply_degc=st.none() | st.floats(38.0, 50.0),
    modes=st.tuples(*[st.sampled_from([None, "direct", "charge"])] * 2),
    age_min=st.integers(1, 200),
)
def test_a_ceiling_only_narrows(
    kit: SimpleNamespace,
    *,
    limit_kw: float,
    is_hard: bool,
    powers_kw: tuple[float, float],
    total_kw: float | None,
    supply_degc: float | None,
    modes: tuple[str | None, str | None],
    age_min: int,
) -> None:
    """With a ceiling no unit is wanted that was not, none is asked for more; a soft one stops nothing on the loop."""
    since_utc = kit.now_utc - timedelta(minutes=age_min)
    memories = [kit.rested() if mode is None else kit.running(mode, running_since_utc=since_utc) for mode in modes]
    views = [
        kit.unit_off if mode is None else replace(kit.unit_running, mode_actual=mode, electric_kw=kw)
        for mode, kw in zip(modes, powers_kw, strict=True)
    ]
    plan = kit.plan(kit.now_utc, BOTH)
    view = {"hp1": views[0], "hp2": views[1], "supply_degc": supply_degc, "load_kw": 700.0, "electric_kw": total_kw}
    free = kit.decide(kit.memory(*memories), plan=plan, **view)
    kept = kit.decide(kit.memory(*memories), plan=plan, ceilings=hard(limit_kw) if is_hard else soft(limit_kw), **view)
    for name in ("hp1", "hp2"):
        before, after = free.wants[name], kept.wants[name]
        assert after.on <= before.on
        assert after.mode in (before.mode, None)
        for mode in ("direct", "charge"):
            assert 0.3 <= after.limit_ratio[mode] <= max(before.limit_ratio[mode], 0.3)
        if not is_hard and before.mode == "direct" and kit.memory(*memories).unit(name).mode == "direct":
            assert after.on, "no unit on the loop stops for money"
