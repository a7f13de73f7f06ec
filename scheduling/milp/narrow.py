"""Parts of the model to search anew around a plan: which whole numbers may move, and how far. No solver here.

Each kind of part answers another weakness of a good plan: starts and stops that lie a little too early or too late
(`edges`), hours that would be better ordered otherwise (`window`), units that would better have done another's work
(`units`), and whatever the relaxation would do otherwise (`apart`).
"""

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from scheduling.milp.model import Arrays, Ints, Model
from scheduling.request import Floats, PlanRequest

PRICE_EDGE_RATIO = 0.2
"""With more price changes than this share of the steps there are no price blocks: every step has its own price."""


class Narrowing:
    """Narrows the whole numbers of one model around plans of it."""

    def __init__(self, model: Model) -> None:
        """Finds the series of whole numbers: counts that run, counts by mode, auxiliaries that run."""
        self._model = model
        self._series: list[Ints] = []
        self._owner: list[int] = []
        """Cluster of each series; -1 for auxiliaries."""
        for at, columns in enumerate(model.cluster_columns):
            self._series += [columns.on, *columns.k]
            self._owner += [at] * (1 + len(columns.k))
        self._series += list(model.aux_on.values())
        self._owner += [-1] * len(model.aux_on)
        self._stepped = np.concatenate([*self._series, np.zeros(0, int)])
        self.price_edges = price_edges(model.request)

    @property
    def cluster_count(self) -> int:
        """Number of clusters."""
        return len(self._model.clusters)

    def edges(self, values: Floats, *, reach: int) -> Arrays:
        """Each count may take what it takes within `reach` steps before or after: changes may move that far."""
        lower, upper = self._model.arrays.lower.copy(), self._model.arrays.upper.copy()
        for columns in self._series:
            padded = np.pad(np.rint(values[columns]), reach, mode="edge")
            near = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
            lower[columns] = np.maximum(lower[columns], near.min(axis=1))
            upper[columns] = np.minimum(upper[columns], near.max(axis=1))
        return replace(self._model.arrays, lower=lower, upper=upper)

    def window(self, values: Floats, *, first_step: int, to_step: int) -> Arrays:
        """All counts of some steps are free, all others stay."""
        step = self._model.step_of[self._stepped]
        return self._holding(values, self._stepped[(step < first_step) | (step >= to_step)])

    def units(self, values: Floats, *, clusters: Collection[int]) -> Arrays:
        """All counts of some clusters, and the auxiliaries, are free, all others stay."""
        held = [c for c, owner in zip(self._series, self._owner, strict=True) if owner >= 0 and owner not in clusters]
        return self._holding(values, np.concatenate([*held, np.zeros(0, int)]))

    def apart(self, values: Floats, loose: Floats, *, from_count: float) -> Arrays:
        """Counts that differ from the relaxation by at least `from_count` are free, all others stay.

        Source: Danna, Rothberg, Le Pape 2005 (relaxation-induced neighbourhoods).
        """
        near = np.abs(loose[self._stepped] - np.rint(values[self._stepped])) < from_count
        return self._holding(values, self._stepped[near])

    def _holding(self, values: Floats, columns: Ints) -> Arrays:
        return holding(self._model.arrays, columns, np.rint(values[columns]))


def holding(arrays: Arrays, columns: Ints, values: Floats) -> Arrays:
    """The same programme with some columns held at values."""
    lower, upper = arrays.lower.copy(), arrays.upper.copy()
    lower[columns] = upper[columns] = values
    return replace(arrays, lower=lower, upper=upper)


def price_edges(request: PlanRequest) -> list[int]:
    """Steps at which a price block begins, and the number of steps; empty where the price changes all the time."""
    edges = (np.flatnonzero(np.diff(np.array(request.price_cny_per_kwh))) + 1).tolist()
    if len(edges) > PRICE_EDGE_RATIO * request.grid.steps:
        return []
    return [0, *edges, request.grid.steps]
