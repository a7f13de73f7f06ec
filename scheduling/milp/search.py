"""Good plans within a deadline: coarse plan first, then the whole model, then windows of it until the time is up.

A mixed plant's first plans are poor and its bound is good early, so effort goes into better plans: all whole numbers
stay as they are but those of one window of some hours, the small rest is solved, what is better is kept, and the
window slides on.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from scheduling.errors import SolverFault
from scheduling.milp.assign import draft_of, integers_of, round_counts
from scheduling.milp.coarse import blocks_of, coarse_request
from scheduling.milp.door import Solution, Solver, integer_columns, solve_arrays
from scheduling.milp.model import Ints, Model, build, clusters_of
from scheduling.plan import Draft
from scheduling.request import Floats, PlanRequest

COARSE_STEPS_MIN = 60
"""Below this number of steps a coarse plan first costs more than it brings."""
COARSE_BLOCK_MIN = 60.0
COARSE_GAP_RATIO = 0.003
COARSE_SOLVER: Solver = "scip"
"""On coarse models of every kind of plant it found better plans than HiGHS in the same time: 06, 08, 10, 14, 15."""
COARSE_SHARE = 0.33
"""Most of the time that the coarse plan may take."""
WHOLE_SHARE = {"scip": 0.5, "highs": 0.33}
"""Most of the time that the whole model may take before windows begin."""
SCIP_COLUMNS_MAX = 8000
"""Above this SCIP does not finish its first relaxation in seconds."""
WINDOW_H = (4.0, 6.0, 8.0)
"""Lengths of windows, in turn."""
WINDOW_LIMIT_S = 1.0
WINDOW_GAP_RATIO = 2e-4
RESERVE_S = 0.15
"""Kept back for handing out, pricing and checking the plan."""
STALE_SWEEPS = 2
"""Sweeps of windows without a gain after which searching ends."""
BETTER_CNY = 1e-4
UNIT_UP_FROM = (0.5, 0.25, 0.05)
"""Parts of a unit in the relaxation from which on a whole unit runs; all are tried."""
AUX_UP_FROM = 0.05

Hint = tuple[Mapping[str, Sequence[str | None]], Mapping[str, Sequence[bool]]]


@dataclass(frozen=True, slots=True)
class Found:
    """The decisions of the best solution, its proven bound, and whether the gap was reached."""

    draft: Draft
    bound_cny: float
    optimal: bool


def choose_solver(model: Model) -> Solver:
    """SCIP for identical units around one store, HiGHS for mixed or long plans: each is several times faster there."""
    plain = len(model.clusters) <= 2 and len(model.request.storages) <= 1 and not model.aux_on  # noqa: PLR2004 - few groups
    return "scip" if plain and len(model.arrays.cost) <= SCIP_COLUMNS_MAX else "highs"


def _gap(objective_cny: float, bound_cny: float) -> float:
    return (objective_cny - bound_cny) / max(abs(objective_cny), 1e-9)


def search(
    request: PlanRequest,
    *,
    limit_s: float,
    gap_ratio: float,
    elapsed_s: Callable[[], float],
    hint: Hint | None = None,
    fallback: Hint | None = None,
    single: bool = False,
    solver: Solver | None = None,
) -> Found:
    """The best plan that can be found in the time.

    Args:
        request: what to plan.
        limit_s: when to stop, on `elapsed_s`.
        gap_ratio: good enough.
        elapsed_s: wall time since the work on this plan began.
        hint: modes and running auxiliaries of a good plan on the same steps.
        fallback: the same of any plan: what windows start from when the whole model gave nothing.
        single: give each unit its own whole numbers; slower, for groups whose starts are used up unevenly.
        solver: instead of the choice by the kind of plant.

    Raises:
        SolverFault: nothing was found.
    """
    model = build(request, clusters_of(request, single=single))
    solver = solver or choose_solver(model)
    end_s = limit_s - RESERVE_S
    start = None if hint is None else integers_of(model, *hint)
    if start is None and request.grid.steps >= COARSE_STEPS_MIN:
        start = _coarse_start(
            model, end_s=elapsed_s() + COARSE_SHARE * (end_s - elapsed_s()), elapsed_s=elapsed_s, single=single
        )
    left_s = end_s - elapsed_s()
    best: Solution | None = None
    bound_cny = -np.inf
    try:
        best = solve_arrays(model.arrays, solver, limit_s=WHOLE_SHARE[solver] * left_s, gap_ratio=gap_ratio, hint=start)
        bound_cny = best.bound_cny
    except SolverFault:
        start = start or (None if fallback is None else integers_of(model, *fallback))
        if start is None:
            raise
    if start is not None and (best is None or not best.optimal):
        # The hinted plan itself, with its loads made optimal: the solver may not have managed to take the hint up.
        best = _better(best, _try(model, fixed=start, solver=solver, limit_s=min(WINDOW_LIMIT_S, end_s - elapsed_s())))
    if best is None:
        raise SolverFault(f"{solver}: no plan within {limit_s} s")
    if not best.optimal and _gap(best.objective_cny, bound_cny) > gap_ratio:
        best = _windows(model, best, bound_cny=bound_cny, gap_ratio=gap_ratio, end_s=end_s, elapsed_s=elapsed_s)
    return Found(draft_of(model, best.values), bound_cny, _gap(best.objective_cny, bound_cny) <= gap_ratio)


def relaxed(request: PlanRequest, *, limit_s: float, elapsed_s: Callable[[], float]) -> Found:
    """The relaxation, rounded to whole units within their minimum times, with loads made optimal for that.

    Args:
        request: what to plan.
        limit_s: when to stop, on `elapsed_s`.
        elapsed_s: wall time since the work on this plan began.

    Raises:
        SolverFault: nothing was found.
    """
    model = build(request, clusters_of(request))
    loose = solve_arrays(model.arrays, "glop", limit_s=limit_s - elapsed_s(), gap_ratio=0.0, relax=True)
    aux_on = {name: (loose.values[on] > AUX_UP_FROM).tolist() for name, on in model.aux_on.items()}
    best: Solution | None = None
    for up_from in UNIT_UP_FROM:
        start = integers_of(model, round_counts(model, loose.values, up_from=up_from), aux_on)
        best = _better(best, _try(model, fixed=start, solver="highs", limit_s=limit_s - elapsed_s()))
    if best is None:
        raise SolverFault("no rounding of the relaxation can be run in the time")
    return Found(draft_of(model, best.values), loose.objective_cny, optimal=False)


def _try(model: Model, *, fixed: tuple[Ints, Floats], solver: Solver, limit_s: float) -> Solution | None:
    if limit_s <= 0:
        return None
    try:
        return solve_arrays(model.arrays, solver, limit_s=limit_s, gap_ratio=WINDOW_GAP_RATIO, fixed=fixed)
    except SolverFault:
        return None


def _better(old: Solution | None, new: Solution | None) -> Solution | None:
    if old is None or new is None:
        return new or old
    if new.objective_cny >= old.objective_cny - BETTER_CNY:
        return old
    return replace(new, bound_cny=old.bound_cny, optimal=False)


def _coarse_start(
    model: Model, *, end_s: float, elapsed_s: Callable[[], float], single: bool
) -> tuple[Ints, Floats] | None:
    """Whole numbers of a coarse plan, repeated over the fine steps."""
    request = model.request
    blocks = blocks_of(request, block_min=COARSE_BLOCK_MIN)
    if len(blocks) - 1 > request.grid.steps // 2:
        return None
    rough = build(coarse_request(request, blocks), clusters_of(coarse_request(request, blocks), single=single))
    try:
        found = solve_arrays(
            rough.arrays, choose_solver(rough), limit_s=end_s - elapsed_s(), gap_ratio=COARSE_GAP_RATIO
        )
    except SolverFault:
        return None
    lengths = np.diff(blocks)
    columns: list[Ints] = []
    values: list[Floats] = []
    for fine, coarse in zip(model.cluster_columns, rough.cluster_columns, strict=True):
        for to, of in zip([fine.on, *fine.k], [coarse.on, *coarse.k], strict=True):
            columns.append(to)
            values.append(np.repeat(np.rint(found.values[of]), lengths))
    for name, on in model.aux_on.items():
        columns.append(on)
        values.append(np.repeat(np.rint(found.values[rough.aux_on[name]]), lengths))
    return np.concatenate(columns), np.concatenate(values)


def _windows(
    model: Model, best: Solution, *, bound_cny: float, gap_ratio: float, end_s: float, elapsed_s: Callable[[], float]
) -> Solution:
    """Improves a solution window by window until the gap is reached, the time is up, or nothing gets better."""
    whole = integer_columns(model.arrays)
    step_of = model.step_of[whole]
    begin_h = np.concatenate([[0.0], np.cumsum(model.request.grid.hours)])
    stale = 0
    for sweep in range(1000):
        window_h = WINDOW_H[sweep % len(WINDOW_H)]
        before_cny = best.objective_cny
        first_h = -0.5 * window_h if sweep % 2 else 0.0
        while first_h < begin_h[-1]:
            left_s = end_s - elapsed_s()
            if left_s <= 0 or _gap(best.objective_cny, bound_cny) <= gap_ratio:
                return best
            inside = (begin_h[step_of] >= first_h) & (begin_h[step_of] < first_h + window_h) | (step_of < 0)
            fixed = (whole[~inside], np.rint(best.values[whole[~inside]]))
            found = _try(model, fixed=fixed, solver="highs", limit_s=min(WINDOW_LIMIT_S, left_s))
            best = _better(best, found) or best
            first_h += 0.5 * window_h
        stale = stale + 1 if best.objective_cny >= before_cny - BETTER_CNY else 0
        if stale >= STALE_SWEEPS:
            return best
    return best
