"""When to plan, and without the solver when it fails; no failure in here ever ends the service.

What the task says is built in `plan_case.py`; who solves it is `solver_process.py`, and how is the business of
`scheduling`.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Protocol

from edge_agent.clock import Clock, sleep_until
from edge_agent.errors import StoreFault
from edge_agent.replacing import Solved, replacing
from edge_agent.source_ahead import drawn_by_plan_kw
from scheduling.carried import carried
from scheduling.errors import SchedulingError, SolverFault
from scheduling.explain import with_reasons
from scheduling.plan import Change, Plan, check
from scheduling.request import PlanRequest
from scheduling.rule import plan_by_rule
from scheduling.timegrid import TimeGrid

LOG = logging.getLogger(__name__)

SOLVE_SECONDS_KEPT = 1000
"""Solve times kept for the median."""
STANDING_AGE_MAX = timedelta(hours=12)
"""An older plan is no longer held against a new one: its steps for these hours were made coarse."""
AHEAD_MAX = timedelta(minutes=5)
"""A plan that was made later than now was made under another clock; so much is a clock being set right."""
AFTER_EDGE_S = 20.0
"""A plan is made this long after the edge of a quarter of an hour [s, site], so that the quarter's readings are in."""

PRICES_S = 60.0
"""Prices are looked at so often [s, site]."""


class Solver(Protocol):
    """Who solves a task: the worker process, or what stands in its place."""

    async def solve(self, request: PlanRequest, *, limit_s: float, gap_ratio: float, hint: Plan | None) -> Solved:
        """The plan of a task, and how the standing one (the hint) stands beside it; SolverFault without one."""


class Planner:
    """Makes a plan every quarter of an hour, or when told, and keeps the last one."""

    def __init__(
        self,
        *,
        solver: Solver,
        build: Callable[[datetime], Awaitable[PlanRequest | None]],
        keep: Callable[[Plan], Awaitable[None]],
        limit_s: float,
        gap_ratio: float,
        last_plan: Plan | None = None,
        damped: bool = True,
    ) -> None:
        """Wires the planner.

        Args:
            solver: the worker process, or what stands in its place.
            build: the task of an instant; None while the plant is not known well enough.
            keep: stores a plan.
            limit_s: wall time for the solver [s].
            gap_ratio: proven distance to the optimum at which it may stop.
            last_plan: the plan of the run before, kept over a restart.
            damped: units of the next hours are changed only for a gain; False only to show what that is worth.
        """
        self._solver = solver
        self._build = build
        self._keep = keep
        self._limit_s = limit_s
        self._gap_ratio = gap_ratio
        self._damped = damped
        self._again = asyncio.Event()
        self.plan = last_plan
        self.request: PlanRequest | None = None
        self.method_count: Counter[str] = Counter()
        self.change_count: Counter[str] = Counter()
        self.solve_seconds: list[float] = []
        self._solver_failing = False
        self._failing: str | None = None
        self.failure_count = 0
        """Plannings that ended in an error that nobody foresaw."""

    def ask_again(self) -> None:
        """Wants a new plan now: a unit was lost, a price changed."""
        self._again.set()

    def demand_kw(self, now_utc: datetime) -> float | None:
        """Highest demand that the last plan makes in the charging period that holds now, or that is paid anyway [kW].

        None where demand is not charged, and after the plan's end.
        """
        if self.plan is None or self.request is None:
            return None
        grid = self.request.grid.time_grid
        step = grid.step_at(max(now_utc, grid.start_utc))
        return max(
            (
                max(*self.plan.grid_kw[period.from_step : period.to_step], period.peak_so_far_kw)
                for period in self.request.demand
                if step is not None and period.from_step <= step < period.to_step
            ),
            default=None,
        )

    def drawn_kw(self, grid: TimeGrid) -> dict[str, list[float | None]]:
        """Heat that the last plan draws from each source in the steps of a grid [kW]; empty without one of this run."""
        if self.plan is None or self.request is None:
            return {}
        return drawn_by_plan_kw(self.plan, self.request, grid)

    async def make(self, now_utc: datetime) -> Plan | None:
        """Makes, stores and returns a plan; None when the plant is not known well enough yet.

        Raises:
            SchedulingError: no method gave a usable plan; the last one stays.
        """
        request = await self._build(now_utc)
        if request is None:
            return None
        standing = self._standing(now_utc)
        try:
            solved = await self._solver.solve(request, limit_s=self._limit_s, gap_ratio=self._gap_ratio, hint=standing)
            plan = replacing(solved if self._damped else Solved(solved.plan), gap_ratio=self._gap_ratio)
            self.solve_seconds.append(solved.plan.solve_seconds)
            if self._solver_failing:
                LOG.warning("solver works again")
            self._solver_failing = False
        except SolverFault as fault:
            if not self._solver_failing:
                LOG.error("solver failed, planning without it: %s", fault)  # noqa: TRY400 - said once, no trace
            self._solver_failing = True
            plan = await asyncio.to_thread(_without_solver, request, standing)
        change = plan.change or Change(code="no_solver")
        self.plan, self.request = plan, request
        self.method_count[plan.method] += 1
        self.change_count[change.code] += 1
        del self.solve_seconds[:-SOLVE_SECONDS_KEPT]
        try:
            await self._keep(plan)
        except StoreFault as fault:
            LOG.error("plan made and not kept: %s", fault)  # noqa: TRY400 - the plan is what counts
        LOG.info(
            "plan made method=%s cost_cny=%.0f bound_cny=%s seconds=%.2f change=%s gain_cny=%s least_cny=%s",
            plan.method,
            plan.objective_cny,
            plan.bound_cny,
            plan.solve_seconds,
            change.code,
            change.gain_cny,
            change.least_cny,
        )
        return plan

    def _standing(self, now_utc: datetime) -> Plan | None:
        """The plan in force, if it is young enough to say anything of the next hours."""
        if self.plan is None or not -AHEAD_MAX <= now_utc - self.plan.made_utc <= STANDING_AGE_MAX:
            return None
        return self.plan

    async def run(self, *, clock: Clock, replan_min: int, retry_s: float, progress: Callable[[], None]) -> None:
        """Plans for ever: after each edge of the re-planning grid, at once when asked, soon again after a failure.

        Args:
            clock: the site's clock.
            replan_min: distance of the edges [min]; they lie on the clock.
            retry_s: after a failure or while the plant is not known, try again after this time [s, site].
            progress: called after each try.
        """
        while True:
            self._again.clear()
            now_utc = clock.now_utc()
            plan: Plan | None = None
            try:
                plan = await self.make(now_utc)
            except (SchedulingError, StoreFault) as error:
                LOG.error("no plan, the last one stays: %s", error)  # noqa: TRY400 - the reason is the message
            except Exception as error:  # noqa: BLE001 - whatever it is, heat must go on: control has its own rule
                self._fails(error)
            else:
                self._failing = None
            progress()
            next_utc = _next_edge_utc(now_utc, replan_min) if plan is not None else now_utc + timedelta(seconds=retry_s)
            await self._wait(clock, next_utc)

    async def follow_prices(self, *, clock: Clock, changed: Callable[[], Awaitable[bool]]) -> None:
        """Asks for a new plan, for ever, soon after prices have changed that the last plan was made by.

        Args:
            clock: the site's clock.
            changed: whether they have, since a plan was built on them.
        """
        while True:
            await sleep_until(clock, clock.now_utc() + timedelta(seconds=PRICES_S))
            if await changed() and self.plan is not None:
                LOG.info("prices have changed, planning again")
                self.ask_again()

    def _fails(self, error: Exception) -> None:
        """Says what nobody foresaw, with its trace the first time."""
        what = f"{type(error).__name__}: {error}"
        self.failure_count += 1
        if what == self._failing:
            LOG.error("no plan, the last one stays: %s, as before failures=%d", what, self.failure_count)
        else:
            LOG.error("no plan, the last one stays: %s", what, exc_info=error)
        self._failing = what

    async def _wait(self, clock: Clock, instant_utc: datetime) -> None:
        """Until the instant or until somebody asks for a plan."""
        async with asyncio.TaskGroup() as group:
            due = group.create_task(sleep_until(clock, instant_utc), name="next plan due")
            asked = group.create_task(self._again.wait(), name="new plan asked")
            await asyncio.wait((due, asked), return_when=asyncio.FIRST_COMPLETED)
            due.cancel()
            asked.cancel()


def _without_solver(request: PlanRequest, standing: Plan | None) -> Plan:
    """The cheaper of the plan before, carried on, and the rule plan; takes part of a second: never on the event loop.

    The rule is the last rung: where the plant is in a state that no plan can mend, it is used and says which rule it
    breaks; the guard refuses what must not be commanded.
    """
    plan = plan_by_rule(request)
    broken = check(request, plan)
    before = None if standing is None else carried(request, standing)
    if before is not None and not check(request, before) and (broken or before.objective_cny <= plan.objective_cny):
        gain_cny = None if broken else round(before.objective_cny - plan.objective_cny, 2)
        before = before.model_copy(
            update={"change": Change(code="carried", gain_cny=gain_cny), "note": "the plan before, without a solver"}
        )
        return with_reasons(request, before)
    if broken:
        note = f"{len(broken)} broken rules, first {broken[0].rule} {broken[0].name} step {broken[0].step}"
        LOG.error("the rule plan breaks rules: %s", note)
        plan = plan.model_copy(update={"note": note})
    return with_reasons(request, plan.model_copy(update={"change": Change(code="no_solver")}))


def _next_edge_utc(now_utc: datetime, replan_min: int) -> datetime:
    """A little after the next multiple of the re-planning interval on the clock."""
    step_s = replan_min * 60
    gone_s = now_utc.timestamp() % step_s
    return now_utc + timedelta(seconds=step_s - gone_s + AFTER_EDGE_S)
