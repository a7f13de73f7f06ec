import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge_agent.planner import Planner, SolverProcess
from scheduling.errors import SolverFault
from scheduling.plan import Plan
from scheduling.request import PlanRequest, read_request

TINY = Path(__file__).resolve().parent.parent / "golden" / "cases" / "tiny_request.json"
NOW = datetime(2026, 1, 12, 21, 30, tzinfo=UTC)


@pytest.fixture
def request_now() -> PlanRequest:
    return read_request(TINY.read_bytes())


class StrayWorker(SolverProcess):
    """Talks to a worker that prints something of its own, or nothing, instead of an answer."""

    def __init__(self, program: str) -> None:
        super().__init__()
        self.program = program

    async def _exchange(self, task: bytes) -> bytes:
        if self._process is None:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", self.program),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
        return await super()._exchange(task)


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


@pytest.mark.parametrize(
    "program",
    [
        "print('Warning: a native library says hello', flush=True); input()",
        "print('{\"plan\": {}}', flush=True); input()",
        "print('[1]', flush=True); input()",
        "import os; os._exit(139)",
    ],
)
async def test_a_worker_that_talks_nonsense_or_dies_costs_only_the_optimum(
    program: str, request_now: PlanRequest
) -> None:
    solver, kept = StrayWorker(program), list[Plan]()
    with pytest.raises(SolverFault):
        await solver.solve(request_now, limit_s=5.0, gap_ratio=0.001, hint=None)
    plan = await planner(solver, request_now, kept).make(NOW)
    await solver.stop()
    assert plan is not None
    assert plan.method == "rule"
    assert kept == [plan]
