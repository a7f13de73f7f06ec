import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge_agent.planner import STANDING_AGE_MAX, Planner, Solver
from edge_agent.replacing import Solved
from edge_agent.solver_process import SolverProcess
from scheduling.plan import Plan
from scheduling.request import PlanRequest, read_request
from scheduling.rule import plan_by_rule

TINY = Path(__file__).resolve().parent.parent / "golden" / "cases" / "tiny_request.json"
NOW = datetime(2026, 1, 12, 21, 30, tzinfo=UTC)


@pytest.fixture
def request_now() -> PlanRequest:
    return read_request(TINY.read_bytes())


def planner(solver: Solver, request: PlanRequest, kept: list[Plan]) -> Planner:
    async def build(_now_utc: datetime) -> PlanRequest:
        return request

    async def keep(plan: Plan) -> None:
        kept.append(plan)

    return Planner(solver=solver, build=build, keep=keep, limit_s=60.0, gap_ratio=0.001)


async def test_the_worker_process_plans_and_stops(request_now: PlanRequest) -> None:
    solver, kept = SolverProcess(), list[Plan]()
    plan = await planner(solver, request_now, kept).make(NOW)
    await solver.stop()
    assert plan is not None
    assert plan.method == "milp"
    assert plan.objective_cny == pytest.approx(276.72, abs=0.3)
    assert plan.reasons
    assert kept == [plan]


async def test_without_a_solver_the_rule_plans(request_now: PlanRequest) -> None:
    solver, kept = SolverProcess((sys.executable, "-c", "import os; os._exit(139)")), list[Plan]()
    plan = await planner(solver, request_now, kept).make(NOW)
    await solver.stop()
    assert plan is not None
    assert plan.method == "rule"
    assert kept == [plan]


async def test_a_rule_plan_that_breaks_a_rule_says_so(
    request_now: PlanRequest, caplog: pytest.LogCaptureFixture
) -> None:
    group = request_now.groups[0]
    lost = group.units[0].model_copy(update={"available": False, "minutes_in_state": 5.0})  # must run on, may not run
    request = request_now.model_copy(update={"groups": (group.model_copy(update={"units": (lost, *group.units[1:])}),)})
    solver, kept = SolverProcess((sys.executable, "-c", "import os; os._exit(139)")), list[Plan]()
    plan = await planner(solver, request, kept).make(NOW)
    await solver.stop()
    assert plan is not None
    assert "min_up HP1 step 0" in plan.note
    assert "breaks rules" in caplog.text


class Echo:
    """Answers with the rule plan, and that the standing one runs the same units."""

    def __init__(self) -> None:
        self.hints: list[Plan | None] = []

    async def solve(self, request: PlanRequest, *, limit_s: float, gap_ratio: float, hint: Plan | None) -> Solved:
        del limit_s, gap_ratio
        self.hints.append(hint)
        return Solved(plan_by_rule(request), None if hint is None else "same")


async def test_a_plan_says_why_it_is_followed_and_is_held_against_the_next_one(request_now: PlanRequest) -> None:
    solver, kept = Echo(), list[Plan]()
    part = planner(solver, request_now, kept)
    made = [await part.make(now) for now in (NOW, NOW, request_now.grid.start_utc + STANDING_AGE_MAX * 1.01)]
    assert [plan.change.code for plan in kept if plan.change is not None] == ["first", "same", "first"]
    assert solver.hints == [None, made[0], None], "a plan of half a day ago says nothing of these hours"
    assert part.change_count == {"first": 2, "same": 1}


async def test_the_worker_says_how_the_standing_plan_stands(request_now: PlanRequest) -> None:
    solver = SolverProcess(explain=False)
    first = await solver.solve(request_now, limit_s=20.0, gap_ratio=0.01, hint=None)
    again = await solver.solve(request_now, limit_s=20.0, gap_ratio=0.01, hint=first.plan)
    await solver.stop()
    assert first.stands is None
    assert again.stands is not None
    assert (again.kept is not None) == (again.stands == "differs")
    assert not again.plan.reasons
