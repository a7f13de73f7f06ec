"""The standing plan beside a new one: what its next hours would cost now, all else made optimal for the new forecast.

Which units run in the next hours is taken from the standing plan; loads, tank and later hours are planned anew: only
the next hours are commanded before the next plan, and the end of an old plan is worth nothing. Whether the difference
is worth a change is not decided here.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from scheduling.errors import SolverFault
from scheduling.milp.assign import draft_of, integers_of
from scheduling.milp.door import solve_arrays
from scheduling.milp.model import build, clusters_of
from scheduling.milp.narrow import holding
from scheduling.milp.search import is_plain
from scheduling.plan import Plan, Stands, UnitPlan, Verdict, bounded, check, finish
from scheduling.request import PlanRequest, UnitState
from scheduling.solve import shifted

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
        plan: the standing plan's next hours with the new plan's later ones; only where they differ.
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
    wishes = shifted(request, _met(request, standing))[0]
    theirs: Modes = {name: unit.mode for name, unit in new.units.items()}
    if _same(request, wishes, theirs, steps=near):
        return Beside("same")
    if limit_s < SHORTEST_S:
        return Beside("unknown")
    model = build(request, clusters_of(request))
    columns, values = integers_of(model, wishes, {name: [False] * request.grid.steps for name in model.aux_on})
    units = np.concatenate([np.concatenate([block.on, *block.k]) for block in model.cluster_columns])
    held = np.isin(columns, units) & (model.step_of[columns] < near)
    hint = integers_of(model, *shifted(request, new))
    try:
        found = solve_arrays(
            holding(model.arrays, columns[held], values[held]),
            "scip" if is_plain(model) else "highs",
            limit_s=limit_s,
            gap_ratio=gap_ratio,
            hint=hint,
        )
        if not found.optimal:
            return Beside("unknown")
        draft = draft_of(model, found.values)
    except SolverFault as error:
        # Any other word of the solver means that it was not given the time to tell.
        return Beside("broken" if INFEASIBLE in str(error) else "unknown")
    plan = finish(request, draft, Verdict("milp", bound_cny=new.bound_cny, solve_seconds=elapsed_s() - begin_s))
    if check(request, plan):
        return Beside("broken")
    return Beside("differs", plan.model_copy(update=bounded(plan.objective_cny, new.bound_cny)))


def _same(request: PlanRequest, ours: Modes, theirs: Modes, *, steps: int) -> bool:
    """Whether as many units of each kind run in each mode in the first steps; which ones is the rotation's business."""
    return all(
        sorted(str(ours[unit.name][step]) for unit in group.units)
        == sorted(str(theirs[unit.name][step]) for unit in group.units)
        for group in request.groups
        for step in range(steps)
    )


def _met(request: PlanRequest, plan: Plan) -> Plan:
    """The plan with identical units changed about so that those that run now are those that it has running now."""
    now = _step_now(request, plan)
    units = dict(plan.units)
    for group in request.groups:
        tracks = [plan.units[unit.name] for unit in group.units if unit.name in plan.units]
        if len(tracks) < len(group.units):
            continue
        for unit in sorted(group.units, key=lambda unit: not unit.on):
            best = min(range(len(tracks)), key=lambda at: _mismatch(unit, tracks[at], now))
            units[unit.name] = tracks.pop(best)
    return plan.model_copy(update={"units": units})


def _mismatch(unit: UnitState, track: UnitPlan, step: int) -> int:
    planned = track.mode[step]
    if unit.on is not (planned is not None):
        return 2
    return 0 if planned == unit.mode or not unit.on else 1


def _step_now(request: PlanRequest, plan: Plan) -> int:
    gone_min = (request.grid.start_utc - plan.grid_start_utc).total_seconds() / 60.0
    for step, minutes in enumerate(plan.step_minutes):
        gone_min -= minutes
        if gone_min < 0.0:
            return step
    return len(plan.step_minutes) - 1
