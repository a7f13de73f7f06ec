"""Reasons: every block has one, with the figures that decide, in both languages."""

import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from scheduling.explain import with_reasons
from scheduling.plan import Plan, Reason
from scheduling.request import PlanRequest
from scheduling.rule import plan_by_rule
from scheduling.solve import solve
from scheduling.why.compare import without_storage
from scheduling.why.plant import demand_reasons

Case = Callable[[str], PlanRequest]


def test_the_tiny_plan_is_explained(case: Case) -> None:
    request = case("tiny_request")
    plan = with_reasons(request, solve(request, limit_s=10.0, gap_ratio=1e-6, elapsed_s=time.perf_counter))  # noqa: TID251 - a stop-watch
    codes = {(reason.name, reason.code) for reason in plan.reasons}
    assert {("tank", "charge_cheap"), ("tank", "discharge_dear"), ("HP1", "min_time"), ("grid", "demand_peak")} <= codes
    # Valley electricity 0.388 x (80 + 6 pumps) / 280 and the tank's pumps at full load; a little less at part load.
    (charge,) = [reason for reason in plan.reasons if reason.code == "charge_cheap"]
    assert "0.12" in charge.zh
    assert "0.12" in charge.en


def test_a_plan_that_leaves_the_store_alone_says_why(document: dict[str, Any]) -> None:
    document["price_cny_per_kwh"] = [0.6] * 6
    document["storages"][0]["terminal"] = {"target_kwh": 0.0, "short_cny_per_kwh": 0.0, "surplus_cny_per_kwh": 0.0}
    document["storages"][0]["soc_kwh"] = 0.0
    request = PlanRequest.model_validate_json(json.dumps(document))
    plan = with_reasons(request, plan_by_rule(request))
    (reason,) = [reason for reason in plan.reasons if reason.code == "do_not_charge"]
    # per kWh of heat: charging 0.6 x (80 + 6)/280 + pump 0.006 = 0.190; direct 0.6 x (68.18 + 6)/300 = 0.148
    assert "0.190" in reason.zh
    assert "0.148" in reason.en
    assert (reason.from_step, reason.to_step) == (0, 6)


@pytest.fixture(scope="module")
def three(case: Case) -> dict[str, tuple[PlanRequest, Plan]]:
    """Two tanks; a boiler and a call; ice: each with its rule plan explained, worked out once."""
    requests = {name: case(name) for name in ("08", "14", "15")}
    return {name: (request, with_reasons(request, plan_by_rule(request))) for name, request in requests.items()}


def test_reasons_stay_inside_the_plan_and_speak_both_languages(three: dict[str, tuple[PlanRequest, Plan]]) -> None:
    for request, plan in three.values():
        assert plan.reasons
        for reason in plan.reasons:
            assert 0 <= reason.from_step < reason.to_step <= request.grid.steps
            assert reason.zh != reason.en


def explained(document: dict[str, Any]) -> tuple[PlanRequest, Plan]:
    request = PlanRequest.model_validate_json(json.dumps(document))
    return request, with_reasons(request, plan_by_rule(request))


def of(plan: Plan, name: str) -> dict[str, Reason]:
    return {reason.code: reason for reason in plan.reasons if reason.name == name}


def test_stored_heat_that_is_dearer_than_direct_heat_claims_no_saving(document: dict[str, Any]) -> None:
    """A unit in its minimum rest leaves the load to the tank although electricity is cheap."""
    document["price_cny_per_kwh"] = [0.2] * 6
    document["grid_caps"] = []
    document["groups"][0]["units"][1]["minutes_in_state"] = 5
    document["groups"][0]["min_down_minutes"] = 90
    document["loops"][0]["load_kw"][0] = 310.0
    _, plan = explained(document)
    told = of(plan, "tank")
    assert "本不该放" in told["min_time"].zh
    assert told["min_time"].saves_cny is None
    assert "discharge_dear" not in told, "at one price all day storing is never the cheaper way"


def test_what_really_binds_is_named_before_the_price(document: dict[str, Any]) -> None:
    """At one price all day the tank is emptied for the last hour's cap, and for what units cannot give."""
    document["price_cny_per_kwh"] = [0.2] * 6
    _, plan = explained(document)
    assert "现做会超电网上限" in of(plan, "tank")["grid_cap"].zh
    document["grid_caps"] = []
    document["aux"] = []
    document["loops"][0]["load_kw"][3] = 700.0
    _, plan = explained(document)
    reason = of(plan, "tank")["short_capacity"]
    assert "机组全开也最多缺 100 kW" in reason.zh  # 700 less 2 x 300
    assert reason.saves_cny is None


def test_not_giving_counts_the_demand_that_it_keeps_down(document: dict[str, Any]) -> None:
    """4.8 CNY for each kW of the month: more than the price gap of 193 kWh."""
    document["price_cny_per_kwh"] = [0.4, 0.4, 0.5, 0.5, 0.5, 0.5]
    document["grid_caps"] = []
    document["demand"][0].update(peak_so_far_kw=70.0)
    _, plan = explained(document)
    told = [reason for reason in plan.reasons if reason.name == "tank" and "把需量抬高" in reason.zh]
    assert told
    assert all(reason.saves_cny is None or reason.saves_cny > 4.8 for reason in told)


def test_a_hold_is_said_with_its_end_and_bars_charging(document: dict[str, Any]) -> None:
    document["storages"][0]["limits"] = [
        {"from": "2026-01-12T21:30:00Z", "to": "2026-01-12T23:00:00Z", "charge_kw_max": 0, "discharge_kw_max": 0}
    ]
    _, plan = explained(document)
    held = of(plan, "tank")["held"]
    assert (held.from_step, held.to_step) == (0, 2)
    assert "01-13 07:00" in held.zh
    assert "ordered by a person" in held.en
    assert "有指令不得蓄" in of(plan, "tank")["do_not_charge"].zh


def test_what_is_lacking_names_what_stands_in_the_way(document: dict[str, Any]) -> None:
    document["aux"] = []
    document["grid_caps"] = []
    document["loops"][0]["load_kw"] = [900.0] * 6
    document["groups"][0]["units"][0].update(available=False, minutes_in_state=900)
    _, plan = explained(document)
    lack = of(plan, "heat")["short_capacity"]
    assert "负荷 900 kW,机组和辅助热源全开 300 kW" in lack.zh
    assert "HP1 不可用" in lack.zh
    assert "HP1 not available" in lack.en
    assert "不可用" in of(plan, "HP1")["unit_not_needed"].zh


def test_a_unit_that_could_help_and_may_not_is_named(document: dict[str, Any]) -> None:
    """A hard cap of 60 kW carries one unit; the other stands still while heat is lacking."""
    document["aux"] = []
    document["storages"][0]["soc_kwh"] = 0.0
    document["groups"][0]["units"][0].update(on=False, mode=None, minutes_in_state=900)
    document["groups"][0]["units"][1].update(minutes_in_state=900)
    document["grid_caps"] = [
        {"name": "line", "from_step": 0, "to_step": 6, "cap_kw": 60.0, "penalty_cny_per_kwh": 20.0, "hard": True}
    ]
    _, plan = explained(document)
    lack = of(plan, "heat")["short_capacity"]
    assert "停着没用" in lack.zh
    assert "电网上限" in lack.zh
    assert "the grid limit" in lack.en


def test_yardsticks_are_priced_like_the_plan(case: Case) -> None:
    request = case("13")
    rule = with_reasons(request, plan_by_rule(request))
    assert rule.comparison is not None
    assert rule.comparison.rule is not None
    assert rule.comparison.rule.objective_cny == rule.objective_cny
    alone = rule.comparison.no_storage
    assert alone is not None
    # Nothing into the tank and nothing out: it ends with what its losses leave, and the loop lacks what it gave.
    nothing = plan_by_rule(without_storage(request))
    assert not any(nothing.storages["tank"].charge_kw)
    assert not any(nothing.storages["tank"].discharge_kw)
    assert alone.objective_cny == nothing.objective_cny
    assert alone.penalty_cny == pytest.approx(5.0 * alone.unmet_kwh, rel=1e-3)


def test_every_block_of_a_store_is_explained_once(three: dict[str, tuple[PlanRequest, Plan]]) -> None:
    for request, plan in three.values():
        for store in request.storages:
            said = plan.storages[store.name]
            told = np.zeros(request.grid.steps, int)
            for reason in plan.reasons:
                if reason.name == store.name and reason.code not in ("do_not_charge", "held"):
                    told[reason.from_step : reason.to_step] += 1
            moves = (np.array(said.charge_kw) > 0.5) | (np.array(said.discharge_kw) > 0.5)
            assert (told[moves] == 1).all()
            assert told.max() <= 1


def test_a_boiler_says_why_it_burns(document: dict[str, Any]) -> None:
    document["loops"][0]["load_kw"][3] = 780.0
    document["storages"][0]["soc_kwh"] = 0.0
    _, plan = explained(document)
    told = [reason for reason in plan.reasons if reason.name == "boiler"]
    assert told
    assert any(reason.code == "short_capacity" and "机组全开也最多缺" in reason.zh for reason in told)
    # 0.36 of gas and 0.01 kW of electricity for a kW, against 0.622 x (68.18 + 6) / 300
    assert "每 kWh 0.366 元,机组现做 0.154 元" in told[0].zh


def test_a_loop_that_only_its_store_serves_compares_no_prices(three: dict[str, tuple[PlanRequest, Plan]]) -> None:
    _, plan = three["08"]
    codes = {reason.code for reason in plan.reasons if reason.name == "dhw_tank"}
    assert codes <= {"serve_load", "terminal"}
    assert any("只由它供热" in reason.zh for reason in plan.reasons if reason.name == "dhw_tank")


def test_a_demand_that_is_only_expected_is_not_said_to_be_paid(document: dict[str, Any]) -> None:
    _, plan = explained(document)
    most_kw = max(plan.grid_kw)
    for share, measured_kw, zh, en in (
        (1.0, None, "压在本月已有需量", "that is paid already"),
        (1.0, most_kw, "压在本月已有需量", "that is paid already"),
        (1.0, 45.0, "本月迟早要用到这么多(已计量 45 kW)", "that this month is expected to need anyway (45 kW metered)"),
        (0.3, 20.0, "需量由 20 升到", "kW will be needed this month anyway)"),
    ):
        document["demand"][0].update(peak_so_far_kw=share * most_kw, measured_kw=measured_kw)
        (said,) = demand_reasons(PlanRequest.model_validate_json(json.dumps(document)), plan)
        assert zh in said.zh
        assert en in said.en
