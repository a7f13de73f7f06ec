"""The ladder: MILP, else the rounded relaxation, else the rule; each within the deadline, each checked before use.

The rule plan is made first, in milliseconds: it is there when the solver fails, windows start from it when nothing
better is found, and no MILP plan that costs more is ever used. Which rung a plan comes from, and why the rungs above
it were left, stands in the plan.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

from scheduling.carried import shifted
from scheduling.errors import NoPlan, SolverFault
from scheduling.milp.search import Fallback, Found, relaxed, search
from scheduling.plan import Draft, Plan, Verdict, bounded, check, finish
from scheduling.request import PlanRequest
from scheduling.rule import plan_by_rule

Method = Literal["auto", "milp", "rule"]

DEFAULT_LIMIT_S = 10.0
DEFAULT_GAP_RATIO = 0.001
STOPPING_RATIO = 0.05
"""Part of the limit that the search leaves to a solver that is slow to stop, up to `STOPPING_S_MAX`."""
STOPPING_S_MAX = 0.5
SHORTEST_MILP_S = 0.3
"""With less time than this there is no use in starting the solver."""
COST_TOL_CNY = 0.01
PRICING_TOL_RATIO = 2e-4
"""How far a finished plan may cost more than its model said (rounding, mode changes in large groups) and still count
as optimal."""
VIOLATIONS_SAID = 3


def solve(
    request: PlanRequest,
    *,
    limit_s: float = DEFAULT_LIMIT_S,
    gap_ratio: float = DEFAULT_GAP_RATIO,
    method: Method = "auto",
    hint: Plan | None = None,
    elapsed_s: Callable[[], float],
    offer: Callable[[Plan], None] | None = None,
) -> Plan:
    """The best plan that the time allows.

    Args:
        request: what to plan.
        limit_s: wall time for everything; a solver that is slow to stop may overrun it.
        gap_ratio: stop when the plan is proven this close to the optimum.
        method: "auto" and "milp" climb down the ladder; "rule" uses no solver.
        hint: the last plan; its steps are shifted onto this request's.
        elapsed_s: reading of a stop-watch.
        offer: told of each plan that is better than those before and keeps every rule; the rule plan comes first.

    Raises:
        NoPlan: even the rule plan breaks a rule.
    """
    begin_s = elapsed_s()
    ladder = _Ladder(request, since_s=lambda: elapsed_s() - begin_s, offer=offer)
    rule = ladder.take(plan_by_rule(request))
    if method != "rule":
        ladder.climb(limit_s=limit_s, gap_ratio=gap_ratio, hint=hint, rule=rule)
    plan = ladder.best
    if plan is None:
        raise NoPlan("; ".join(ladder.notes))
    if plan.gap is not None and plan.gap <= gap_ratio + PRICING_TOL_RATIO:
        plan = plan.model_copy(update={"status": "optimal"})
    return plan.model_copy(update={"solve_seconds": round(elapsed_s() - begin_s, 3), "note": "; ".join(ladder.notes)})


class _Ladder:
    """One planning: the best plan so far that keeps every rule, and why rungs were left."""

    def __init__(
        self, request: PlanRequest, *, since_s: Callable[[], float], offer: Callable[[Plan], None] | None
    ) -> None:
        self._request = request
        self._since_s = since_s
        self._offer = offer
        self.best: Plan | None = None
        self.notes: list[str] = []

    def take(self, plan: Plan) -> Plan | None:
        """Keeps a plan that is better than the best so far, and returns it when it keeps every rule."""
        violations = check(self._request, plan)
        if violations:
            said = [f"{v.rule} {v.name} step {v.step} by {v.amount:g} {v.unit}" for v in violations[:VIOLATIONS_SAID]]
            self.notes.append(f"{plan.method}: {len(violations)} broken rules ({', '.join(said)})")
            return None
        if self.best is None or plan.objective_cny < self.best.objective_cny - COST_TOL_CNY:
            self.best = plan
            if self._offer is not None:
                note = "; ".join(self.notes)
                self._offer(plan.model_copy(update={"solve_seconds": round(self._since_s(), 3), "note": note}))
        return plan

    def climb(self, *, limit_s: float, gap_ratio: float, hint: Plan | None, rule: Plan | None) -> None:
        """Tries the rungs of the solver, the highest first, until one gives a plan that keeps every rule."""
        request = self._request
        until_s = limit_s - min(STOPPING_S_MAX, STOPPING_RATIO * limit_s)
        usable = False
        for single in (False, True):
            if until_s - self._since_s() < SHORTEST_MILP_S:
                self.notes.append("milp: no time left")
                break
            undealt = False

            def better(draft: Draft, bound_cny: float) -> None:
                nonlocal usable
                usable |= self.take(finish(request, draft, Verdict("milp", bound_cny=bound_cny))) is not None

            try:
                found = search(
                    request,
                    limit_s=until_s,
                    gap_ratio=gap_ratio,
                    elapsed_s=self._since_s,
                    hint=None if hint is None else shifted(request, hint),
                    fallback=None if rule is None else Fallback(rule.objective_cny, partial(shifted, plan=rule)),
                    single=single,
                    offer=better,
                )
            except SolverFault as error:
                self.notes.append(f"milp: {error}")
            else:
                usable |= self._ends(found, "milp")
                undealt = found.undealt
            if usable and not undealt:
                return
            if undealt and not single:
                self.notes.append("milp: a better count of units cannot be handed out; each unit for itself")
        if usable:
            return
        try:
            self._ends(relaxed(request, limit_s=limit_s, elapsed_s=self._since_s), "relaxed")
        except SolverFault as error:
            self.notes.append(f"relaxed: {error}")

    def _ends(self, found: Found, method: Literal["milp", "relaxed"]) -> bool:
        """Takes what a rung found at last; its bound holds for the best plan, whichever that is."""
        plan = self.take(_finished(self._request, found, method=method))
        if self.best is not None:
            if plan is not None and plan.objective_cny > self.best.objective_cny + COST_TOL_CNY:
                self.notes.append(f"{method}: {plan.objective_cny:.2f} CNY, dearer than the {self.best.method} plan")
            self.best = self.best.model_copy(update=bounded(self.best.objective_cny, found.bound_cny))
        return plan is not None


def _finished(request: PlanRequest, found: Found, *, method: Literal["milp", "relaxed"]) -> Plan:
    return finish(request, found.draft, Verdict(method, optimal=found.optimal, bound_cny=found.bound_cny))
