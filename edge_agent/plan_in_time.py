"""A plan by its deadline, whatever the solver does: it solves in a thread, and the best plan so far is taken in time.

Solvers are native code and look at their clock when they like; on a busy machine one second becomes three. What a plan
is and how it is found is the business of `scheduling`. A thread that is still solving cannot be ended: whoever is told
so ends the process once the plan is delivered.
"""

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass

from edge_agent.clock import elapsed_s
from scheduling.errors import NoPlan, SchedulingError
from scheduling.plan import Plan
from scheduling.request import PlanRequest
from scheduling.solve import Method, solve

RULE_S_MAX = 30.0
"""Beyond the limit only the rule plan is waited for: milliseconds, but on a machine that stands still so long [s]."""


@dataclass(frozen=True, slots=True)
class InTime:
    """A plan, and whether the solver is still running in its thread."""

    plan: Plan
    late: bool


def plan_in_time(
    request: PlanRequest,
    *,
    limit_s: float,
    gap_ratio: float,
    method: Method = "auto",
    hint: Plan | None = None,
    offer: Callable[[Plan], None] | None = None,
) -> InTime:
    """The best plan that is there at the limit.

    Args:
        request: what to plan.
        limit_s: wall time for everything.
        gap_ratio: stop when the plan is proven this close to the optimum.
        method: "auto" and "milp" climb down the ladder; "rule" uses no solver.
        hint: the last plan.
        offer: told of each better plan, in the solver's thread.

    Raises:
        SchedulingError: even the rule plan breaks a rule.
    """
    begin_s = elapsed_s()
    came: queue.SimpleQueue[tuple[Plan | None, BaseException | None]] = queue.SimpleQueue()

    def better(plan: Plan) -> None:
        came.put((plan, None))
        if offer is not None:
            offer(plan)

    def work() -> None:
        try:
            plan = solve(
                request,
                limit_s=limit_s,
                gap_ratio=gap_ratio,
                method=method,
                hint=hint,
                elapsed_s=elapsed_s,
                offer=better,
            )
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits, which raises it
            came.put((None, error))
        else:
            came.put((plan, None))
        came.put((None, None))

    threading.Thread(target=work, name="solver", daemon=True).start()
    best: Plan | None = None
    while True:
        left_s = begin_s + limit_s - elapsed_s()
        try:
            plan, error = came.get(timeout=max(0.0, left_s) if best is not None else max(0.0, left_s) + RULE_S_MAX)
        except queue.Empty:
            if best is None:
                raise NoPlan(f"no plan {RULE_S_MAX:g} s after the limit") from None
            note = "; ".join(filter(None, (best.note, f"the solver had not returned after {limit_s:g} s")))
            seconds = round(elapsed_s() - begin_s, 3)
            return InTime(best.model_copy(update={"note": note, "solve_seconds": seconds}), late=True)
        if plan is not None:
            best = plan
        elif error is not None:
            if best is None or not isinstance(error, SchedulingError):
                raise error
        elif best is not None:
            return InTime(best, late=False)
