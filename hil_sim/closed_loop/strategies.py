"""Who decides when heat is made: the product's planner, its plain rule, or nobody. All with the same dispatch below.

- `optimal`: the service's planner with its solver process.
- `rule`: the service's own rule plan, made as often: fills in the valley what the forecast will need in dear hours,
  where that pays, keeps it for the dearest, heeds limits and starts.
- `no-plan`: the service's control without any plan, knowing the tariff only: fills the tank in the valley with units
  that the load leaves over, and empties it from the first peak hour. What an operator does by the clock.
- `no-storage`: no plan and no tariff: the sequencer makes the load straight away; the tank is never charged.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal
from zoneinfo import ZoneInfo

from edge_agent.charge_setpoint import charge_degc_of
from edge_agent.control.controller import Controller
from edge_agent.control.memory import Phase
from edge_agent.control.report import CycleReport
from edge_agent.expectation import Expectation
from edge_agent.plan_case import LiveState, build_request
from edge_agent.planner import Planner, Solver
from edge_agent.replacing import Solved
from edge_agent.settings.load import Configuration
from edge_agent.unit_figures import supply_curve
from scheduling.plan import Plan
from scheduling.request import PlanRequest
from scheduling.rule import plan_by_rule
from scheduling.tariff.steps import live_grid
from scheduling.timegrid import TimeGrid

Strategy = Literal["optimal", "rule", "no-plan", "no-storage"]
STRATEGIES: Final[tuple[Strategy, ...]] = ("optimal", "rule", "no-plan", "no-storage")


@dataclass(frozen=True, slots=True)
class Known:
    """What really comes, one value a step of a grid.

    Attributes:
        load_kw: of the building.
        outdoor_degc: air.
    """

    load_kw: list[float]
    outdoor_degc: list[float]


class RuleSolver:
    """Answers every task with the rule plan; needs no solver."""

    async def solve(self, request: PlanRequest, *, limit_s: float, gap_ratio: float, hint: Plan | None) -> Solved:
        """The rule plan of a task, whatever limit, gap and hint."""
        del limit_s, gap_ratio, hint
        return Solved(plan_by_rule(request))


class Tasks:
    """Builds the planning task of an instant as the service does, out of what the controller knows.

    Args:
        configuration: of the site.
        expectation: load, prices and weather ahead.
        controller: states of units and tanks.
        known: load and weather that will really come, for the perfect forecast; None: the service's own.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        expectation: Expectation,
        controller: Callable[[], Controller],
        known: Callable[[TimeGrid], Known] | None,
    ) -> None:
        self._configuration = configuration
        self._expectation = expectation
        self._controller = controller
        self._known = known
        self.report: CycleReport | None = None
        self.planner: Planner | None = None
        """Whose plan is in force."""

    async def build(self, now_utc: datetime) -> PlanRequest | None:
        """The task; None while units or tanks are not known."""
        site, controller = self._configuration.site, self._controller()
        storage_kwh = {name: kwh for name, kwh in controller.storage_energy_kwh().items() if kwh is not None}
        if self.report is None or storage_kwh.keys() != site.storages.keys():
            return None
        if any(unit.phase is Phase.UNKNOWN for unit in self.report.units.values()):
            return None
        grid = live_grid(
            self._expectation.tariff,
            now_utc.replace(second=0, microsecond=0),
            horizon_h=site.control.horizon_h,
            zone=ZoneInfo(site.site.timezone),
            facts=self._expectation.facts,
        )
        units = controller.unit_states(now_utc)
        planner = self.planner
        live = await self._expectation.live_state(
            now_utc,
            grid=grid,
            units=units,
            storage_kwh=storage_kwh,
            drawn_kw={} if planner is None else planner.drawn_kw(grid),
        )
        live = replace(live, charge_degc=charge_degc_of(None if planner is None else planner.plan))
        return build_request(site, self._configuration.performance, grid=grid, live=self._knowing(live, grid))

    def _knowing(self, live: LiveState, grid: TimeGrid) -> LiveState:
        """Load, air and the heating curve's word as they will be; water of the ground depends on what is drawn."""
        if self._known is None:
            return live
        known, site = self._known(grid), self._configuration.site
        return replace(
            live,
            load_kw=dict.fromkeys(live.load_kw, known.load_kw),
            supply_degc={name: supply_curve(loop, known.outdoor_degc) for name, loop in site.loops.items()},
            source_degc={
                name: known.outdoor_degc if site.sources[name].kind == "air" else degc
                for name, degc in live.source_degc.items()
            },
        )


async def keep_nothing(_plan: Plan) -> None:
    """In place of the service's store of plans."""


def planner_of(
    strategy: Strategy,
    *,
    solver: Solver,
    build: Callable[[datetime], Awaitable[PlanRequest | None]],
    limit_s: float,
    gap_ratio: float,
    damped: bool = True,
) -> Planner | None:
    """The service's planner for a strategy; None where nobody plans.

    Args:
        strategy: who decides.
        solver: of the optimal strategy.
        build: the task of an instant.
        limit_s: wall time for a plan.
        gap_ratio: proven distance at which the solver may stop.
        damped: units of the next hours are changed only for a gain.
    """
    if strategy in ("no-plan", "no-storage"):
        return None
    chosen: Solver = RuleSolver() if strategy == "rule" else solver
    return Planner(solver=chosen, build=build, keep=keep_nothing, limit_s=limit_s, gap_ratio=gap_ratio, damped=damped)
