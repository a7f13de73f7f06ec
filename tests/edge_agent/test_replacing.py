from pathlib import Path

import pytest

from edge_agent.replacing import GAIN_CNY_MAX, Solved, replacing
from scheduling.plan import LoopPlan, Plan
from scheduling.request import read_request
from scheduling.rule import plan_by_rule

TINY = Path(__file__).resolve().parent.parent / "golden" / "cases" / "tiny_request.json"


@pytest.fixture(scope="module")
def plan() -> Plan:
    return plan_by_rule(read_request(TINY.read_bytes()))


def costing(plan: Plan, cost_cny: float) -> Plan:
    return plan.model_copy(update={"objective_cny": cost_cny})


@pytest.mark.parametrize(
    ("stands", "code"), [(None, "first"), ("same", "same"), ("unknown", "unknown"), ("broken", "broken")]
)
def test_without_anything_to_weigh_the_new_plan_is_followed(plan: Plan, stands: str | None, code: str) -> None:
    followed = replacing(Solved(plan, stands), gap_ratio=0.003)  # type: ignore[arg-type]
    assert followed.change is not None
    assert followed.change.code == code
    assert followed.units == plan.units


@pytest.mark.parametrize(
    ("kept_cny", "code", "cost_cny"),
    [
        (1000.0, "kept", 1000.0),  # gains nothing
        (990.0, "kept", 990.0),  # the new one is dearer: the solver has stopped early
        (1000.0 + GAIN_CNY_MAX, "kept", 1000.0 + GAIN_CNY_MAX),
        (1006.0, "cheaper", 1000.0),
    ],
)
def test_the_standing_units_stay_until_others_gain_enough(
    plan: Plan, kept_cny: float, code: str, cost_cny: float
) -> None:
    solved = Solved(costing(plan, 1000.0), "differs", costing(plan, kept_cny))
    followed = replacing(solved, gap_ratio=0.003)
    assert followed.change is not None
    assert (followed.change.code, followed.objective_cny) == (code, cost_cny)
    assert followed.change.gain_cny == pytest.approx(kept_cny - 1000.0)


@pytest.mark.parametrize(("kept_cny", "code"), [(1004.0, "kept"), (1006.0, "unknown")])
def test_a_standing_plan_that_is_good_enough_stays_though_its_least_cost_is_not_known(
    plan: Plan, kept_cny: float, code: str
) -> None:
    solved = Solved(costing(plan, 1000.0), "unknown", costing(plan, kept_cny))
    followed = replacing(solved, gap_ratio=0.003)
    assert followed.change is not None
    assert followed.change.code == code
    assert followed.objective_cny == (kept_cny if code == "kept" else 1000.0)


def test_a_small_plant_changes_for_a_small_gain(plan: Plan) -> None:
    days = sum(plan.step_minutes) / 1440.0
    for gain_cny, code in ((0.6, "kept"), (0.9, "cheaper")):
        solved = Solved(costing(plan, 75.0 * days), "differs", costing(plan, 75.0 * days + gain_cny))
        followed = replacing(solved, gap_ratio=0.003)
        assert followed.change is not None
        assert (followed.change.code, gain_cny) == (code, gain_cny)
        assert followed.change.least_cny == pytest.approx(0.75, abs=0.05)


def test_plans_within_the_proof_of_the_solver_are_equal(plan: Plan) -> None:
    solved = Solved(costing(plan, 10_000.0), "differs", costing(plan, 10_025.0))
    near, far = replacing(solved, gap_ratio=0.003), replacing(solved, gap_ratio=0.001)
    assert near.change is not None
    assert far.change is not None
    assert (near.change.code, far.change.code) == ("kept", "cheaper")


def test_a_standing_plan_that_leaves_heat_unmade_is_broken_whatever_it_costs(plan: Plan) -> None:
    steps = len(plan.step_minutes)
    cold = {name: LoopPlan(unmet_kw=(100.0,) * steps, dump_kw=(0.0,) * steps) for name in plan.loops}
    followed = replacing(Solved(plan, "differs", plan.model_copy(update={"loops": cold})), gap_ratio=0.003)
    assert followed.change is not None
    assert followed.change.code == "broken"
