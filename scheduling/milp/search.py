"""Good plans within a deadline: a coarse plan first, then the whole model or parts of it until the time is up.

Identical units around one store are solved as a whole: SCIP proves their optimum in a second or two. A mixed plant's
first plans are poor and its bound is good early, so there the relaxation gives the bound and the time goes into better
plans (`improve`); what is left then goes into the bound.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from scheduling.errors import SolverFault
from scheduling.milp.assign import draft_of, integers_of, round_counts
from scheduling.milp.coarse import blocks_of, coarse_request
from scheduling.milp.door import Solution, Solver, solve_arrays
from scheduling.milp.improve import attempt, better, improve
from scheduling.milp.model import Ints, Model, build, clusters_of
from scheduling.milp.narrow import Narrowing, holding
from scheduling.plan import Draft
from scheduling.request import Floats, PlanRequest

COARSE_STEPS_MIN = 60
"""Below this number of steps a coarse plan first costs more than it brings."""
COARSE_BLOCK_MIN = 60.0
COARSE_GAP_RATIO = 0.003
COARSE_SHARE = 0.3
"""Most of the time that the coarse plan may take."""
SCIP_COARSE_STEPS_MAX = 100
"""Up to this length SCIP finds far better coarse plans than HiGHS, of every kind of plant; above, none."""
TOUCH_UP_SHARE = 0.1
TOUCH_UP_REACH_STEPS = 1
WHOLE_SHARE = 0.45
"""Most of the time that the whole model of a plain plant may take before parts of it are searched."""
BOUND_SHARE = 0.3
"""Part of the time that the whole model gets for its bound when the plan has been improved."""
BOUND_S_MIN = 8.0
"""With less time than this for it the whole model of a mixed plant proves no more than its relaxation."""
SMALL_INTEGERS_MAX = 250
"""Up to this number of whole numbers the whole model comes first, whatever the plant."""
WORTH_S = 0.5
"""With less time than this left the whole model is not begun again."""
LAST_TRY_SHARE = 0.7
"""Part of the time that is left that the whole model gets when there is no plan yet; the rung below needs some."""
RELAX_S_MAX = 10.0
RELAX_SHARE = 0.5
"""Most of the time that the relaxation may take: it gives a bound and shows where a plan is worth another look."""
SCIP_COLUMNS_MAX = 8000
"""Above this SCIP does not finish its first relaxation in seconds."""
FIT_S_MAX = 2.0
"""Longest time for making the loads of given counts optimal [s]; it is a plain linear programme."""
RESERVE_S = 0.15
"""Kept back for handing out, pricing and checking the plan."""
UNIT_UP_FROM = (0.5, 0.25, 0.05)
"""Parts of a unit in the relaxation from which on a whole unit runs; all are tried."""
AUX_UP_FROM = 0.05
REPAIR_S_MAX = 1.5
REPAIR_REACH_STEPS = 2
"""How far starts and stops of a rounded relaxation may move."""

Hint: TypeAlias = tuple[Mapping[str, Sequence[str | None]], Mapping[str, Sequence[bool]]]


@dataclass(frozen=True, slots=True)
class Fallback:
    """A plan without a solver: what it costs, and its modes for the request or a coarser one."""

    cost_cny: float
    modes: Callable[[PlanRequest], Hint]


@dataclass(frozen=True, slots=True)
class Found:
    """The decisions of the best solution.

    Attributes:
        draft: the decisions.
        bound_cny: proven: no plan costs less.
        optimal: whether the gap was reached.
        undealt: a better solution was found whose counts could not be handed out to units.
    """

    draft: Draft
    bound_cny: float
    optimal: bool
    undealt: bool = False


def is_plain(model: Model) -> bool:
    """Identical units around at most one store: SCIP solves such plants as a whole, several times faster than HiGHS."""
    few = len(model.clusters) <= 2 and len(model.request.storages) <= 1 and not model.aux_on  # noqa: PLR2004 - few
    return few and len(model.arrays.cost) <= SCIP_COLUMNS_MAX


def _gap(objective_cny: float, bound_cny: float) -> float:
    return (objective_cny - bound_cny) / max(abs(objective_cny), 1e-9)


def search(
    request: PlanRequest,
    *,
    limit_s: float,
    gap_ratio: float,
    elapsed_s: Callable[[], float],
    hint: Hint | None = None,
    fallback: Fallback | None = None,
    single: bool = False,
    offer: Callable[[Draft, float], None] | None = None,
) -> Found:
    """The best plan that can be found in the time.

    Args:
        request: what to plan.
        limit_s: when to stop, on `elapsed_s`.
        gap_ratio: good enough.
        elapsed_s: wall time since the work on this plan began.
        hint: modes and running auxiliaries of a good plan on the same steps.
        fallback: a plan without a solver; a hint that is dearer is not relied on.
        single: give each unit its own whole numbers; slower, for groups whose starts are used up unevenly.
        offer: told of every better plan and of the bound that is proven by then.

    Raises:
        SolverFault: nothing was found.
    """
    model = build(request, clusters_of(request, single=single))
    run = _Run(model, gap_ratio=gap_ratio, left_s=lambda: limit_s - RESERVE_S - elapsed_s(), offer=offer)
    if hint is not None:
        run.fit(integers_of(model, *hint))
    if run.best is None or (fallback is not None and run.best.objective_cny > fallback.cost_cny):
        if fallback is not None:
            run.fit(integers_of(model, *fallback.modes(request)))
        if request.grid.steps >= COARSE_STEPS_MIN:
            run.fit(_coarse_start(model, limit_s=COARSE_SHARE * run.left_s(), fallback=fallback, single=single))
    run.touch_up(limit_s=TOUCH_UP_SHARE * run.left_s())
    solver: Solver = "scip" if is_plain(model) else "highs"
    if solver == "scip" or model.arrays.integer.sum() <= SMALL_INTEGERS_MAX:
        run.whole(solver, limit_s=WHOLE_SHARE * run.left_s())
    if not run.enough():
        loose = run.relax()
        bound_s = BOUND_SHARE * run.left_s()
        run.improve(loose, until_left_s=bound_s if bound_s > BOUND_S_MIN else 0.0)
        if not run.enough() and run.left_s() > WORTH_S:
            run.whole(solver, limit_s=run.left_s() * (1.0 if run.best is not None else LAST_TRY_SHARE))
            run.improve(loose, until_left_s=0.0)
    if run.draft is None:
        raise SolverFault(f"no plan within {limit_s} s")
    return Found(run.draft, run.bound_cny, run.enough(), run.undealt)


class _Run:
    """One search: the best plan so far, handed out to units, and the bound so far."""

    def __init__(
        self,
        model: Model,
        *,
        gap_ratio: float,
        left_s: Callable[[], float],
        offer: Callable[[Draft, float], None] | None,
    ) -> None:
        self.model = model
        self.left_s = left_s
        self.bound_cny = -np.inf
        self.best: Solution | None = None
        self.draft: Draft | None = None
        self._drafted_cny = np.inf
        self._gap_ratio = gap_ratio
        self._offer = offer
        self.undealt = False

    def enough(self) -> bool:
        """Whether the plan is proven good enough."""
        return self.draft is not None and _gap(self._drafted_cny, self.bound_cny) <= self._gap_ratio

    def take(self, new: Solution | None) -> None:
        """Keeps a solution that is better.

        Raises:
            SolverFault: the first plan's counts cannot be handed out; no use to go on counting.
        """
        kept = better(self.best, new)
        if kept is self.best or kept is None:
            return
        try:
            self.draft = draft_of(self.model, kept.values)
        except SolverFault:
            if self.draft is None:
                raise
            self.undealt = True
            return
        self.best = kept
        self._drafted_cny = kept.objective_cny
        if self._offer is not None:
            self._offer(self.draft, self.bound_cny)

    def fit(self, start: tuple[Ints, Floats] | None) -> None:
        """Makes the loads of given counts optimal."""
        if start is not None:
            fitting = holding(self.model.arrays, *start)
            self.take(attempt(fitting, "highs", limit_s=min(FIT_S_MAX, self.left_s())))

    def touch_up(self, *, limit_s: float) -> None:
        """Moves starts and stops of the plan a little: the quickest way from a fair plan to a good one."""
        if self.best is not None:
            near = Narrowing(self.model).edges(self.best.values, reach=TOUCH_UP_REACH_STEPS)
            self.take(attempt(near, "scip", limit_s=limit_s, hint=self.best.values))

    def whole(self, solver: Solver, *, limit_s: float) -> None:
        """Searches the whole model, from the plan so far: its bound, and perhaps a better plan."""
        hint = None if self.best is None else (np.arange(len(self.best.values)), self.best.values)
        if limit_s <= 0:
            return
        with suppress(SolverFault):
            found = solve_arrays(self.model.arrays, solver, limit_s=limit_s, gap_ratio=self._gap_ratio, hint=hint)
            self.bound_cny = max(self.bound_cny, found.bound_cny)
            self.take(found)

    def relax(self) -> Floats | None:
        """The relaxation's values; its cost is a bound."""
        limit_s = min(RELAX_S_MAX, RELAX_SHARE * self.left_s())
        if limit_s <= 0:
            return None
        with suppress(SolverFault):
            loose = solve_arrays(self.model.arrays, "highs", limit_s=limit_s, gap_ratio=0.0, relax=True)
            if loose.optimal:
                self.bound_cny = max(self.bound_cny, loose.objective_cny)
            return loose.values
        return None

    def improve(self, loose: Floats | None, *, until_left_s: float) -> None:
        """Searches parts of the model until that much time is left."""
        if self.best is not None and not self.enough():
            enough_cny = self.bound_cny / (1.0 - self._gap_ratio) if self.bound_cny > 0 else -np.inf
            improve(
                self.model,
                self.best,
                loose=loose,
                enough_cny=enough_cny,
                left_s=lambda: self.left_s() - until_left_s,
                found=self.take,
            )


def relaxed(request: PlanRequest, *, limit_s: float, elapsed_s: Callable[[], float]) -> Found:
    """The relaxation, rounded to whole units within their minimum times, and starts and stops shifted where it pays.

    Args:
        request: what to plan.
        limit_s: when to stop, on `elapsed_s`.
        elapsed_s: wall time since the work on this plan began.

    Raises:
        SolverFault: nothing was found.
    """
    model = build(request, clusters_of(request))
    loose = solve_arrays(model.arrays, "highs", limit_s=limit_s - elapsed_s(), gap_ratio=0.0, relax=True)
    aux_on = {name: (loose.values[on] > AUX_UP_FROM).tolist() for name, on in model.aux_on.items()}
    best: Solution | None = None
    for up_from in UNIT_UP_FROM:
        start = integers_of(model, round_counts(model, loose.values, up_from=up_from), aux_on)
        best = better(best, attempt(holding(model.arrays, *start), "highs", limit_s=limit_s - elapsed_s()))
    if best is None:
        raise SolverFault("no rounding of the relaxation can be run in the time")
    repaired = Narrowing(model).edges(best.values, reach=REPAIR_REACH_STEPS)
    best = (
        better(best, attempt(repaired, "highs", limit_s=min(REPAIR_S_MAX, limit_s - elapsed_s()), hint=best.values))
        or best
    )
    return Found(draft_of(model, best.values), loose.objective_cny, optimal=False)


def _coarse_start(
    model: Model, *, limit_s: float, fallback: Fallback | None, single: bool
) -> tuple[Ints, Floats] | None:
    """Whole numbers of a coarse plan, repeated over the fine steps."""
    blocks = blocks_of(model.request, block_min=COARSE_BLOCK_MIN)
    if len(blocks) - 1 > model.request.grid.steps // 2:
        return None
    request = coarse_request(model.request, blocks)
    rough = build(request, clusters_of(request, single=single))
    start: Solution | None = None
    if fallback is not None:
        fitting = holding(rough.arrays, *integers_of(rough, *fallback.modes(request)))
        start = attempt(fitting, "highs", limit_s=min(FIT_S_MAX, limit_s))
    hint = None if start is None else (np.arange(len(start.values)), start.values)
    solver: Solver = "scip" if request.grid.steps <= SCIP_COARSE_STEPS_MAX else "highs"
    try:
        found = solve_arrays(rough.arrays, solver, limit_s=limit_s, gap_ratio=COARSE_GAP_RATIO, hint=hint)
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
