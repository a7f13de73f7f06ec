"""The standing plan beside a new one: what its next hours would cost now, all else made optimal for the new forecast.

Which units run in the next hours is taken from the standing plan; loads, tank and later hours are planned anew: only
the next hours are commanded before the next plan, and the end of an old plan is worth nothing. Whether the difference
is worth a change is not decided here.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from scheduling.carried import met, shifted
from scheduling.errors import SolverFault
from scheduling.milp.assign import draft_of, integers_of
from scheduling.milp.door import solve_arrays
from scheduling.milp.model import build, clusters_of
from scheduling.milp.narrow import holding
from scheduling.milp.search import is_plain
from scheduling.plan import Plan, Stands, Verdict, bounded, check, finish
from scheduling.request import PlanRequest

HOLD_H = 6.0
"""The standing plan's units are weighed for so long [h]: a start or stop further off binds nobody yet."""
LIMIT_S = 5.0
"""Longest time for planning what the standing plan leaves open [s]; it takes a third of one on a quiet machine."""

INFEASIBLE = "INFEASIBLE"
"""As solvers call a task that cannot be done."""
SHORTEST_S = 0.1
"""With less time than this the solver is not begun."""

Modes = Mapping[str, Sequence[str | None]]


class Beside(NamedTuple):
    """The standing plan beside the new one.

    Attributes:
        stands: same: both run the same units in the next hours; differs: they do not; broken: the standing one cannot
            be run any more; unknown: there was no time to tell.
        plan: the standing plan's next hours with the later ones planned anew; only where they differ. Where that is
            not known to the end, the best that was found: it may cost less than it says, never more.
    """

    stands: Stands
    plan: Plan | None = None


def beside(
    request: PlanRequest,
    *,
    standing: Plan,
    new: Plan,
    gap_ratio: float,
    elapsed_s: Callable[[], float],
    hold_h: float = HOLD_H,
    limit_s: float = LIMIT_S,
) -> Beside:
    """Puts the next hours of the standing plan into the present task.

    Args:
        request: the task of now.
        standing: the plan that has been followed.
        new: the plan for the task.
        gap_ratio: as for the new plan.
        elapsed_s: reading of a stop-watch, for the plan's own record.
        hold_h: how long the standing plan's units are weighed [h].
        limit_s: wall time for planning what they leave open.
    """
    begin_s = elapsed_s()
    starts = request.grid.time_grid.starts_utc()
    near = sum(1 for start in starts if (start - starts[0]).total_seconds() < hold_h * 3600.0)
    wishes = shifted(request, met(request, standing))[0]
    theirs: Modes = {name: unit.mode for name, unit in new.units.items()}
    if _same(request, wishes, theirs, steps=near):
        return Beside("same")
    if limit_s < SHORTEST_S:
        return Beside("unknown")
    model = build(request, clusters_of(request))
    columns, values = integers_of(model, wishes, {name: [False] * request.grid.steps for name in model.aux_on})
    units = np.concatenate([np.concatenate([block.on, *block.k]) for block in model.cluster_columns])
    held = np.isin(columns, units) & (model.step_of[columns] < near)
    hinted, hint_values = integers_of(model, *shifted(request, new))
    # What is held is hinted as it is held: HiGHS refuses a model whose hint lies outside its bounds.
    fixed = dict(zip(columns[held].tolist(), values[held].tolist(), strict=True))
    hint_values = np.array(
        [fixed.get(column, value) for column, value in zip(hinted.tolist(), hint_values.tolist(), strict=True)]
    )
    try:
        found = solve_arrays(
            holding(model.arrays, columns[held], values[held]),
            "scip" if is_plain(model) else "highs",
            limit_s=limit_s,
            gap_ratio=gap_ratio,
            hint=(hinted, hint_values),
        )
        draft = draft_of(model, found.values)
    except SolverFault as error:
        # Any other word of the solver means that it was not given the time to tell.
        return Beside("broken" if INFEASIBLE in str(error) else "unknown")
    plan = finish(request, draft, Verdict("milp", bound_cny=new.bound_cny, solve_seconds=elapsed_s() - begin_s))
    if check(request, plan):
        return Beside("broken" if found.optimal else "unknown")
    # Out of time, what was found is still a way to keep on: at its cost or less.
    stands: Stands = "differs" if found.optimal else "unknown"
    return Beside(stands, plan.model_copy(update=bounded(plan.objective_cny, new.bound_cny)))


def _same(request: PlanRequest, ours: Modes, theirs: Modes, *, steps: int) -> bool:
    """Whether as many units of each kind run in each mode in the first steps; which ones is the rotation's business."""
    return all(
        sorted(str(ours[unit.name][step]) for unit in group.units)
        == sorted(str(theirs[unit.name][step]) for unit in group.units)
        for group in request.groups
        for step in range(steps)
    )
