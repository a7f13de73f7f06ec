"""Makes a good plan better until the time is up: part after part of the model is searched anew, what is better is kept.

Which part comes next is decided by what it brought so far. A part that is solved to its end without a gain is widened;
one that the solver cannot finish is handed to the other solver, then made smaller. Of a mixed plant the bound is good
early and the plan is not, so the time goes into plans.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from typing import TypeAlias

import numpy as np

from scheduling.errors import SolverFault
from scheduling.milp.door import Solution, Solver, solve_arrays
from scheduling.milp.model import Arrays, Model
from scheduling.milp.narrow import Narrowing
from scheduling.request import Floats

PART_GAP_RATIO = 1e-4
BETTER_RATIO = 1e-6
"""Less than this part of the cost is no gain."""
PART_S_FIRST = 1.5
"""Longest search in one part at first [s]; doubled when no part brings anything any more."""
PART_S_MAX = 10.0
REACH_STEPS = (1, 2, 3, 4, 6, 8, 12)
APART_FROM = (0.4, 0.3, 0.2, 0.1, 0.05)
WINDOW_H = (3.0, 4.0, 6.0, 8.0, 12.0, 18.0, 24.0)
BLOCK_COUNTS = (1, 2, 3, 4, 6)
UNIT_COUNTS = (1, 2, 3)
QUICK_RATIO = 0.6
"""A part solved within this share of its time may be larger the next time."""
SHORTEST_S = 0.1
"""With less time than this no further part is begun."""
MEMORY_RATIO = 0.5
"""How much of an arm's worth the next gain decides."""
VAIN_RATIO = 0.1
"""What is left of an arm's worth after a try in vain."""

Part: TypeAlias = Callable[[], Arrays]


@dataclass(slots=True)
class Arm:
    """One kind of part, its present size, and what it has been worth.

    Attributes:
        parts: the parts of a size around a plan, one after the other; a slide over the horizon has several.
        sizes: number of sizes.
        solver: which solver it uses now.
        worth_ratio_per_s: gain as a share of the cost per second; before the first try, what is usual.
    """

    name: str
    parts: Callable[[int, Floats], list[Part]]
    sizes: int
    solver: Solver
    worth_ratio_per_s: float
    tries: int = 0
    size: int = 0
    size_max: int = 0
    turned: bool = False
    """Whether the other solver has been tried at this size."""
    spent: bool = False
    """Nothing more to be had until another arm changes the plan or the time for one part is raised."""
    slide: int = 0
    barren: int = 0
    """Parts of the present slide that were solved and brought nothing."""

    def __post_init__(self) -> None:
        self.size_max = self.sizes - 1

    def take(self, values: Floats) -> tuple[Part, int]:
        """The next part of the slide, and the number of parts in it."""
        parts = self.parts(self.size, values)
        self.slide = (self.slide + 1) % len(parts)
        return parts[self.slide], len(parts)

    def learn(self, *, gain_per_s: float, solved: bool, quick: bool, parts: int) -> None:
        """Takes the outcome of a part into account."""
        self.tries += 1
        if self.tries == 1:
            self.worth_ratio_per_s = gain_per_s
        elif gain_per_s > 0:
            self.worth_ratio_per_s = (1.0 - MEMORY_RATIO) * self.worth_ratio_per_s + MEMORY_RATIO * gain_per_s
        else:
            self.worth_ratio_per_s *= VAIN_RATIO
        if gain_per_s > 0:
            self.barren, self.turned = 0, False
            if quick and parts == 1 and self.size < self.size_max:
                self.size += 1
            return
        self.barren += 1
        if solved and self.barren < parts:
            return
        if solved:
            self.barren = 0
            if self.size < self.size_max:
                self.size += 1
            else:
                self.spent = True
            return
        if not self.turned:
            self.turned = True
            self.solver = "highs" if self.solver == "scip" else "scip"
            return
        self.turned = False
        if parts > 1 and self.barren < parts:
            return
        self.barren = 0
        if self.size > 0:
            self.size -= 1
            self.size_max = self.size
        else:
            self.spent = True

    def wake(self, *, wider: bool) -> None:
        """There is something to be had again: the plan has changed, or more time is given to a part."""
        self.spent = False
        self.turned = False
        self.barren = 0
        if wider:
            self.size_max = self.sizes - 1


def arms_of(model: Model, loose: Floats | None) -> list[Arm]:
    """The kinds of parts that make sense for a plant."""
    narrow = Narrowing(model)
    begin_h = np.concatenate([[0.0], np.cumsum(model.request.grid.hours)])
    edges, cluster_count = narrow.price_edges, narrow.cluster_count

    def near_edges(size: int, values: Floats) -> list[Part]:
        return [partial(narrow.edges, values, reach=REACH_STEPS[size])]

    def windows(size: int, values: Floats) -> list[Part]:
        spans = _slides(begin_h, WINDOW_H[size])
        return [partial(narrow.window, values, first_step=first, to_step=last) for first, last in spans]

    def blocks(size: int, values: Floats) -> list[Part]:
        count = BLOCK_COUNTS[size]
        spans = zip(edges[:-count], edges[count:], strict=True)
        return [partial(narrow.window, values, first_step=first, to_step=last) for first, last in spans]

    def units(size: int, values: Floats) -> list[Part]:
        chosen = combinations(range(cluster_count), UNIT_COUNTS[size])
        return [partial(narrow.units, values, clusters=clusters) for clusters in chosen]

    arms = [Arm("edges", near_edges, len(REACH_STEPS), "scip", 5e-3)]
    arms.append(Arm("window", windows, 1 + sum(hours < begin_h[-1] for hours in WINDOW_H[1:]), "highs", 5e-4))
    if len(edges) > 1:
        arms.append(Arm("block", blocks, sum(count < len(edges) for count in BLOCK_COUNTS), "highs", 4e-4))
    if cluster_count > 1:
        arms.append(Arm("unit", units, sum(count < cluster_count for count in UNIT_COUNTS), "scip", 1e-3))
    if loose is None:
        return arms

    def apart(size: int, values: Floats) -> list[Part]:
        return [partial(narrow.apart, values, loose, from_count=APART_FROM[size])]

    return [Arm("apart", apart, len(APART_FROM), "scip", 1e-2), *arms]


def _slides(begin_h: Floats, window_h: float) -> Iterator[tuple[int, int]]:
    """First and last step of windows that overlap by half."""
    first_h = -0.5 * window_h
    while first_h < begin_h[-1] - 1e-6:
        first, last = np.searchsorted(begin_h[:-1], [first_h - 1e-6, first_h + window_h - 1e-6])
        if last > first:
            yield int(first), int(last)
        first_h += 0.5 * window_h


def better(old: Solution | None, new: Solution | None) -> Solution | None:
    """The cheaper one; a plan of a part proves nothing about the whole."""
    if old is None or new is None:
        return new if old is None else old
    if new.objective_cny >= old.objective_cny - BETTER_RATIO * abs(old.objective_cny):
        return old
    return replace(new, bound_cny=old.bound_cny, optimal=False)


def attempt(arrays: Arrays, solver: Solver, *, limit_s: float, hint: Floats | None = None) -> Solution | None:
    """The solution of a part; None when the solver found none."""
    if limit_s <= 0:
        return None
    try:
        full = None if hint is None else (np.arange(len(hint)), hint)
        return solve_arrays(arrays, solver, limit_s=limit_s, gap_ratio=PART_GAP_RATIO, hint=full)
    except SolverFault:
        return None


def improve(
    model: Model,
    best: Solution,
    *,
    loose: Floats | None,
    enough_cny: float,
    left_s: Callable[[], float],
    found: Callable[[Solution], None],
) -> Solution:
    """Searches parts of the model around a plan.

    Args:
        model: the whole model.
        best: the plan to start from.
        loose: the relaxation, when it is known.
        enough_cny: a plan at this cost is good enough.
        left_s: wall time that is left.
        found: told of every better plan.
    """
    arms = arms_of(model, loose)
    part_s = PART_S_FIRST
    while left_s() > SHORTEST_S and best.objective_cny > enough_cny:
        ready = [arm for arm in arms if not arm.spent]
        if not ready:
            if part_s >= min(PART_S_MAX, left_s()):
                break
            part_s *= 2.0
            for arm in arms:
                arm.wake(wider=True)
            continue
        arm = max(ready, key=lambda arm: (arm.worth_ratio_per_s, -arm.tries))
        part, count = arm.take(best.values)
        begin_s = left_s()
        new = attempt(part(), arm.solver, limit_s=min(part_s, begin_s), hint=best.values)
        took_s = max(begin_s - left_s(), 1e-3)
        kept = better(best, new) or best
        gain = (best.objective_cny - kept.objective_cny) / abs(best.objective_cny)
        solved = new is not None and new.optimal
        arm.learn(gain_per_s=gain / took_s, solved=solved, quick=solved and took_s < QUICK_RATIO * part_s, parts=count)
        if gain > 0:
            best = kept
            found(best)
            for other in arms:
                if other is not arm:
                    other.wake(wider=False)
    return best
