"""The ladder: known optima, the neutral referee, random small plants, and what happens when the solver fails."""

import json
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from scheduling import solve as ladder
from scheduling.errors import NoPlan, SolverFault
from scheduling.milp import model
from scheduling.milp.search import relaxed, search
from scheduling.plan import Plan, check, price, read_plan
from scheduling.request import PlanRequest
from scheduling.rule import plan_by_rule
from scheduling.solve import solve

Case = Callable[[str], PlanRequest]
Referee = Callable[[PlanRequest, Plan], dict[str, Any]]
Best = dict[str, dict[str, float]]


def quick(request: PlanRequest, **options: object) -> Plan:
    return solve(request, **{"limit_s": 10.0, "gap_ratio": 1e-3, "elapsed_s": time.perf_counter, **options})  # noqa: TID251 - a stop-watch


def test_the_tiny_example_is_solved_exactly(case: Case, best_known: Best, referee: Referee) -> None:
    request = case("tiny_request")
    plan = quick(request, gap_ratio=1e-7)
    assert plan.objective_cny == pytest.approx(best_known["tiny"]["objective_cny"], abs=0.01)
    assert plan.status == "optimal"
    judged = referee(request, plan)
    assert judged["exit"] == 0
    assert judged["total_cny"] == pytest.approx(plan.objective_cny, abs=0.01)


@pytest.mark.parametrize("name", ["01", "03", "13"])
def test_known_optima_are_reached(name: str, case: Case, best_known: Best, referee: Referee) -> None:
    request = case(name)
    plan = quick(request)
    best = best_known[request.name]
    assert plan.objective_cny <= 1.005 * best["objective_cny"]
    assert plan.bound_cny is not None
    assert plan.bound_cny <= 1.0005 * best["objective_cny"], "a bound above a known plan is no bound"
    assert referee(request, plan)["exit"] == 0


@pytest.mark.parametrize("starts_ample", [2, 0], ids=["told apart", "pooled"])
def test_starts_used_up_by_some_units_cost_no_heat(
    starts_ample: int, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three identical units, two of which may not start any more today: a sum of starts cannot say whose they are."""
    monkeypatch.setattr(model, "STARTS_AMPLE", starts_ample)
    request = case("uneven_starts")
    plan = quick(request, gap_ratio=1e-6)
    assert plan.objective_cny == pytest.approx(1153.777, abs=0.01), "the optimum with whole numbers for each unit"
    assert plan.parts_cny["unmet"] == pytest.approx(0.0, abs=0.01)
    assert check(request, plan) == []


@pytest.mark.parametrize("name", ["04", "06", "08", "10", "14", "15"])
def test_the_referee_accepts_the_rule_plan(name: str, case: Case, referee: Referee) -> None:
    request = case(name)
    plan = plan_by_rule(request)
    judged = referee(request, plan)
    assert judged["exit"] == 0, judged["violations"]
    for part, cny in price(request, plan).items():
        assert judged["parts_cny"][part] == pytest.approx(cny, abs=0.02)


def test_the_referee_accepts_a_rounded_relaxation(case: Case, referee: Referee) -> None:
    request = case("02")
    found = relaxed(request, limit_s=10.0, elapsed_s=lambda: 0.0)
    plan = ladder._finished(request, found, method="relaxed")
    assert referee(request, plan)["exit"] == 0
    assert plan.objective_cny >= found.bound_cny


def test_a_hinted_plan_of_the_same_request_is_no_worse(case: Case) -> None:
    request = case("01")
    first = quick(request, gap_ratio=5e-3)
    again = quick(request, gap_ratio=5e-3, hint=read_plan(first.to_json()))
    assert not check(request, again)
    assert again.objective_cny <= 1.0051 * first.objective_cny


def test_a_foolish_hint_does_no_harm(case: Case) -> None:
    request = case("01")
    rule = plan_by_rule(request)
    steps = request.grid.steps
    idle = {
        name: unit.model_copy(update={"mode": (None,) * steps, "load_kw": (0.0,) * steps})
        for name, unit in rule.units.items()
    }
    plan = quick(request, gap_ratio=5e-3, hint=rule.model_copy(update={"units": idle}))
    assert plan.objective_cny <= 0.99 * rule.objective_cny


def test_an_order_to_leave_the_store_alone_is_planned_around(case: Case, best_known: Best) -> None:
    request = case("01")
    start = request.grid.start_utc
    document = json.loads(request.model_dump_json(by_alias=True, exclude_none=True))
    document["storages"][0]["limits"] = [
        {"from": f"{start:%Y-%m-%dT%H:%M:%SZ}", "to": f"{start + timedelta(hours=9):%Y-%m-%dT%H:%M:%SZ}",
         "charge_kw_max": 0.0},
        {"from": f"{start + timedelta(hours=10):%Y-%m-%dT%H:%M:%SZ}",
         "to": f"{start + timedelta(hours=12):%Y-%m-%dT%H:%M:%SZ}", "discharge_kw_max": 80.0},
    ]  # fmt: skip
    held = PlanRequest.model_validate_json(json.dumps(document))
    plan = quick(held, gap_ratio=5e-3)
    store = plan.storages[held.storages[0].name]
    assert check(held, plan) == []
    assert plan.method == "milp"
    assert not any(store.charge_kw[:36])
    assert any(store.charge_kw[36:])
    assert max(store.discharge_kw[40:48]) <= 80.0 + 1e-3
    assert plan.objective_cny > best_known[request.name]["objective_cny"]


def test_every_better_plan_is_offered_and_each_keeps_every_rule(case: Case) -> None:
    request = case("02")
    offered: list[Plan] = []
    plan = quick(request, gap_ratio=5e-3, offer=offered.append)
    costs = [one.objective_cny for one in offered]
    assert offered[0].method == "rule"
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] == plan.objective_cny
    for one in offered:
        assert check(request, one) == []


def test_a_search_that_breaks_off_leaves_what_it_had_found(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks_off(*args: object, **options: object) -> None:
        search(*args, **options)  # type: ignore[arg-type]
        raise SolverFault("planted")

    monkeypatch.setattr(ladder, "search", breaks_off)
    request = case("tiny_request")
    plan = quick(request)
    assert plan.method == "milp"
    assert plan.objective_cny < plan_by_rule(request).objective_cny
    assert "planted" in plan.note


def test_the_same_request_gives_the_same_plan(case: Case) -> None:
    request = case("tiny_request")
    first, second = quick(request), quick(request)
    assert first.model_copy(update={"solve_seconds": 0.0}) == second.model_copy(update={"solve_seconds": 0.0})


def test_a_dead_solver_leaves_the_rule_plan(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    def dead(*_: object, **__: object) -> None:
        raise SolverFault("no licence for thinking")

    monkeypatch.setattr(ladder, "search", dead)
    monkeypatch.setattr(ladder, "relaxed", dead)
    plan = quick(case("tiny_request"))
    assert plan.method == "rule"
    assert "no licence for thinking" in plan.note
    assert plan.status == "feasible"


def test_a_dead_milp_leaves_the_relaxed_plan(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    def dead(*_: object, **__: object) -> None:
        raise SolverFault("out of memory")

    monkeypatch.setattr(ladder, "search", dead)
    plan = quick(case("03"))
    assert plan.method == "relaxed"
    assert plan.bound_cny is not None


def test_no_time_still_gives_a_plan(case: Case) -> None:
    plan = quick(case("03"), limit_s=0.01)
    assert plan.method in {"relaxed", "rule"}


def test_a_request_that_cannot_be_met_has_no_plan(document: dict[str, Any]) -> None:
    document["groups"][0]["units"][0].update(available=False, minutes_in_state=5)  # must run on, may not run
    with pytest.raises(NoPlan, match="min_up"):
        quick(PlanRequest.model_validate_json(json.dumps(document)))


def test_a_standing_limit_that_does_not_bind_changes_no_rule_plan(document: dict[str, Any]) -> None:
    """The limit of the connection stands in every request: it is no reason to empty the tank in the valley."""
    document["grid_caps"] = []
    free = plan_by_rule(PlanRequest.model_validate_json(json.dumps(document)))
    cap = {"name": "grid", "from_step": 0, "to_step": 6, "cap_kw": 900.0, "penalty_cny_per_kwh": 20.0}
    document["grid_caps"] = [cap]
    capped = plan_by_rule(PlanRequest.model_validate_json(json.dumps(document)))
    assert capped.storages == free.storages
    assert capped.units == free.units
