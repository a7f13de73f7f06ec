import asyncio
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge_agent import planner as planning
from edge_agent.planner import AHEAD_MAX, STANDING_AGE_MAX, Planner, Solver
from edge_agent.replacing import Solved
from edge_agent.solver_process import SolverProcess
from scheduling.carried import carried
from scheduling.errors import SolverFault
from scheduling.plan import Plan, check
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


class Once:
    """Solves the first task; at every other it fails, as after a fork that got no memory."""

    def __init__(self, plan: Plan) -> None:
        self.plan: Plan | None = plan

    async def solve(self, request: PlanRequest, *, limit_s: float, gap_ratio: float, hint: Plan | None) -> Solved:
        del request, limit_s, gap_ratio, hint
        if self.plan is None:
            raise SolverFault("fork: cannot allocate memory")
        plan, self.plan = self.plan, None
        return Solved(plan)


async def best_of(request: PlanRequest) -> Plan:
    solver = SolverProcess(explain=False)
    try:
        return (await solver.solve(request, limit_s=20.0, gap_ratio=0.001, hint=None)).plan
    finally:
        await solver.stop()


async def test_a_solver_that_fails_once_does_not_cost_a_good_plan(request_now: PlanRequest) -> None:
    best = await best_of(request_now)
    warmer = request_now.loops[0].model_copy(
        update={"load_kw": tuple(0.97 * kw for kw in request_now.loops[0].load_kw)}
    )
    moved = request_now.model_copy(update={"loops": (warmer,)})
    part = planner(Once(best), request_now, [])
    await part.make(NOW)

    async def build(_now_utc: datetime) -> PlanRequest:
        return moved

    part._build = build
    again = await part.make(NOW + timedelta(minutes=1))
    assert again is not None
    assert again.change is not None
    assert again.change.code == "carried"
    assert check(moved, again) == []
    assert {name: unit.mode for name, unit in again.units.items()} == {n: u.mode for n, u in best.units.items()}
    assert again.objective_cny < plan_by_rule(moved).objective_cny - 5.0
    assert all(kw < 1.0 for loop in again.loops.values() for kw in loop.unmet_kw)
    assert again.reasons


async def test_a_plan_carried_onto_its_own_task_costs_what_it_cost(request_now: PlanRequest) -> None:
    best = await best_of(request_now)
    again = carried(request_now, best)
    assert check(request_now, again) == []
    assert again.objective_cny == pytest.approx(best.objective_cny, abs=0.5)


async def test_a_bad_plan_is_not_carried_on_when_the_rule_is_cheaper(request_now: PlanRequest) -> None:
    rule = plan_by_rule(request_now)
    idle = {name: unit.model_copy(update={"mode": (None,) * 6}) for name, unit in rule.units.items()}
    part = planner(Once(rule.model_copy(update={"units": idle})), request_now, [])
    await part.make(NOW)
    again = await part.make(NOW + timedelta(minutes=1))
    assert again is not None
    assert again.change is not None
    assert (again.change.code, again.objective_cny) == ("no_solver", rule.objective_cny)


async def test_a_plan_of_another_clock_is_not_held_against_a_new_one(request_now: PlanRequest) -> None:
    solver = Echo()
    part = planner(solver, request_now, [])
    await part.make(NOW)
    await part.make(request_now.grid.start_utc - AHEAD_MAX - timedelta(minutes=1))
    assert solver.hints == [None, None]


class Steady:
    """A site's clock that stands still until the test ends it; each wait is a step of the test."""

    def __init__(self) -> None:
        self.waits = 0

    def now_utc(self) -> datetime:
        return NOW + timedelta(minutes=self.waits)


async def test_no_failure_of_planning_ends_its_task(
    request_now: PlanRequest, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = planner(Echo(), request_now, [])
    clock, good = Steady(), part._build
    errors: list[Exception] = [KeyError("direct"), KeyError("direct"), ZeroDivisionError("x"), AssertionError("y")]

    async def build(now_utc: datetime) -> PlanRequest | None:
        if errors:
            raise errors.pop(0)
        return await good(now_utc)

    async def wait(_clock: object, _instant_utc: datetime) -> None:
        clock.waits += 1
        if clock.waits > 6:
            raise asyncio.CancelledError

    monkeypatch.setattr(part, "_build", build)
    monkeypatch.setattr(part, "_wait", wait)
    progress: list[None] = []
    with pytest.raises(asyncio.CancelledError):
        await part.run(clock=clock, replan_min=15, retry_s=60.0, progress=lambda: progress.append(None))  # type: ignore[arg-type]
    assert part.plan is not None, "it went on"
    assert part.failure_count == 4
    assert len(progress) == 7
    told = [record for record in caplog.records if "no plan" in record.message]
    assert [bool(record.exc_info) for record in told] == [True, False, True, True], "a trace, once"


async def test_new_prices_ask_for_a_new_plan_once(request_now: PlanRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    part, clock = planner(Echo(), request_now, []), Steady()
    looks = iter([True, True, False, True, False])
    asked: list[int] = []

    async def due(_clock: object, _instant_utc: datetime) -> None:
        clock.waits += 1
        if clock.waits == 2:
            await part.make(NOW)
        if clock.waits > 5:
            raise asyncio.CancelledError

    async def changed() -> bool:
        return next(looks)

    monkeypatch.setattr(planning, "sleep_until", due)
    monkeypatch.setattr(part, "ask_again", lambda: asked.append(clock.waits))
    with pytest.raises(asyncio.CancelledError):
        await part.follow_prices(clock=clock, changed=changed)  # type: ignore[arg-type]
    assert asked == [2, 4], "without a plan there is none to renew"
