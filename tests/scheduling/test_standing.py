from pathlib import Path

import pytest

from edge_agent.clock import elapsed_s
from scheduling.plan import Plan, check
from scheduling.request import PlanRequest, read_request
from scheduling.rule import plan_by_rule
from scheduling.solve import solve
from scheduling.standing import beside

GAP_RATIO = 0.003


@pytest.fixture(scope="module")
def request_now() -> PlanRequest:
    cases = Path(__file__).resolve().parents[1] / "golden" / "cases"
    (path,) = cases.glob("01*.json")
    return read_request(path.read_bytes())


@pytest.fixture(scope="module")
def best(request_now: PlanRequest) -> Plan:
    return solve(request_now, gap_ratio=GAP_RATIO, limit_s=60.0, elapsed_s=elapsed_s)


def test_a_plan_stands_beside_itself(request_now: PlanRequest, best: Plan) -> None:
    found = beside(request_now, standing=best, new=best, gap_ratio=GAP_RATIO, elapsed_s=elapsed_s, limit_s=60.0)
    assert (found.stands, found.plan) == ("same", None)


def test_the_next_hours_of_another_plan_are_weighed_with_the_rest_made_optimal(
    request_now: PlanRequest, best: Plan
) -> None:
    rule = plan_by_rule(request_now)
    found = beside(request_now, standing=rule, new=best, gap_ratio=GAP_RATIO, elapsed_s=elapsed_s, limit_s=60.0)
    assert found.stands == "differs"
    assert found.plan is not None
    assert check(request_now, found.plan) == []
    near = 24  # quarter hours of the hours that are held

    def counts(plan: Plan) -> list[list[str]]:
        return [sorted(str(unit.mode[step]) for unit in plan.units.values()) for step in range(near)]

    assert counts(found.plan) == counts(rule)
    assert best.objective_cny * (1.0 - GAP_RATIO) <= found.plan.objective_cny <= rule.objective_cny * (1.0 + GAP_RATIO)


def test_units_that_are_gone_make_the_standing_plan_another(request_now: PlanRequest, best: Plan) -> None:
    (group, *others) = request_now.groups
    gone = group.units[0].model_copy(update={"available": False, "on": False, "mode": None, "minutes_in_state": 1440.0})
    groups = (group.model_copy(update={"units": (gone, *group.units[1:])}), *others)
    lost = request_now.model_copy(update={"groups": groups})
    new = solve(lost, gap_ratio=GAP_RATIO, elapsed_s=elapsed_s, limit_s=60.0)
    found = beside(lost, standing=best, new=new, gap_ratio=GAP_RATIO, elapsed_s=elapsed_s, limit_s=60.0)
    assert found.stands in ("same", "differs")
    if found.plan is not None:
        assert set(found.plan.units[gone.name].mode) == {None}


def test_without_time_nothing_is_claimed(request_now: PlanRequest, best: Plan) -> None:
    rule = plan_by_rule(request_now)
    found = beside(request_now, standing=rule, new=best, gap_ratio=0.0, elapsed_s=elapsed_s, limit_s=0.0)
    assert found.stands in ("unknown", "differs")
    assert (found.plan is None) == (found.stands == "unknown")
