import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge_agent.planner import Planner
from edge_agent.solver_process import SolverProcess
from scheduling.plan import Plan
from scheduling.request import PlanRequest, read_request

TINY = Path(__file__).resolve().parent.parent / "golden" / "cases" / "tiny_request.json"
NOW = datetime(2026, 1, 12, 21, 30, tzinfo=UTC)


@pytest.fixture
def request_now() -> PlanRequest:
    return read_request(TINY.read_bytes())


def planner(solver: SolverProcess, request: PlanRequest, kept: list[Plan]) -> Planner:
    async def build(_now_utc: datetime) -> PlanRequest:
        return request

    async def keep(plan: Plan) -> None:
        kept.append(plan)

    return Planner(solver=solver, build=build, keep=keep, limit_s=5.0, gap_ratio=0.001)


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


async def test_the_same_task_again_keeps_the_same_units_and_says_so(request_now: PlanRequest) -> None:
    solver, kept = SolverProcess(), list[Plan]()
    part = planner(solver, request_now, kept)
    first, second = await part.make(NOW), await part.make(NOW)
    await solver.stop()
    assert first is not None
    assert second is not None
    assert first.change is not None
    assert second.change is not None
    assert (first.change.code, second.change.code) == ("first", "same")
    assert part.change_count == {"first": 1, "same": 1}
