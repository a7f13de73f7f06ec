"""Curves as the planner needs them: convex electricity over load, concave limits over energy, and how far off one is.

The mixed-integer model puts lines under a curve (or over a limit). Where a curve bends the other way it would plan
with the hull instead: too little electricity, or a store that takes more than it can. So bends are measured when a
configuration is read, small ones are replaced openly, large ones are refused.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np

Points: TypeAlias = Sequence[tuple[float, float]]
Line: TypeAlias = tuple[tuple[float, float], ...]

SMOOTH_RATIO = 2e-3
"""A bend up to this share of the value is rounding, not a shape: the request allows as much."""
HULL_RATIO_MAX = 0.02
"""A bend up to this share is planned by the hull and said; a larger one is refused. Ours: as good as a nameplate is."""
INSIDE_STEPS = 64
"""Places at which a continuous limit is read before lines are laid under it."""


@dataclass(frozen=True, slots=True)
class Hull:
    """A curve made convex from below (or concave), and what that costs in truth.

    Attributes:
        points: what may be planned with.
        error_ratio: the largest distance between curve and hull, as share of the curve's value there.
        position: load or energy where that is.
    """

    points: Line
    error_ratio: float
    position: float


def convex_hull(points: Points) -> Hull:
    """The greatest convex curve that lies nowhere above the points; x must rise."""
    kept: list[tuple[float, float]] = []
    for x, y in points:
        while len(kept) > 1 and _slope(kept[-2], kept[-1]) >= _slope(kept[-1], (x, y)):
            kept.pop()
        kept.append((x, y))
    return _measured(points, kept)


def concave_under(limit: Callable[[float], float], *, low_kwh: float, high_kwh: float, segments_max: int = 5) -> Hull:
    """A concave limit of few lines that lies nowhere above a given one: a store never promises what it cannot do.

    The limit's own upper hull is lowered until it lies under it everywhere: by one factor, or by one amount, whichever
    leaves more. Its error says how much was given away at the worst place.

    Args:
        limit: at an energy; never negative.
        low_kwh: lowest energy.
        high_kwh: highest energy.
        segments_max: most lines.
    """
    xs = np.linspace(low_kwh, high_kwh, INSIDE_STEPS + 1)
    ys = np.array([max(0.0, limit(float(x))) for x in xs])
    upper = [(x, -y) for x, y in convex_hull([(float(x), -float(y)) for x, y in zip(xs, ys, strict=True)]).points]
    hull = np.interp(xs, [x for x, _ in upper], [y for _, y in upper])
    positive = hull > 0
    by_factor = hull * float((ys[positive] / hull[positive]).min(initial=1.0))
    by_amount = np.maximum(0.0, hull - float((hull - ys).max(initial=0.0)))
    if (hull - float((hull - ys).max(initial=0.0)) < 0).any():
        by_amount = np.zeros_like(hull)  # cut off at zero it would not be concave any more
    lowered = by_factor if by_factor.sum() >= by_amount.sum() else by_amount
    kept = _few_chords(xs.tolist(), lowered.tolist(), segments_max=segments_max)
    return _measured(list(zip(xs.tolist(), ys.tolist(), strict=True)), kept)


def _few_chords(xs: list[float], ys: list[float], *, segments_max: int) -> list[tuple[float, float]]:
    """Chords of a concave curve, which lie under it: the point that is missed most is added until there are enough."""
    chosen = [0, len(xs) - 1]
    while len(chosen) <= segments_max:
        line = np.interp(xs, [xs[i] for i in chosen], [ys[i] for i in chosen])
        gap = np.array(ys) - line
        worst = int(gap.argmax())
        if gap[worst] <= SMOOTH_RATIO * max(*ys, 1e-9):
            break
        chosen = sorted({*chosen, worst})
    return [(xs[i], ys[i]) for i in chosen]


def _slope(a: tuple[float, float], b: tuple[float, float]) -> float:
    return (b[1] - a[1]) / (b[0] - a[0])


def _measured(points: Points, kept: Points) -> Hull:
    worst, at = 0.0, points[0][0]
    scale = max((abs(y) for _, y in points), default=0.0) or 1.0
    for x, y in points:
        there = float(np.interp(x, [a for a, _ in kept], [b for _, b in kept]))
        error = abs(y - there) / max(abs(y), SMOOTH_RATIO * scale)
        if error > worst:
            worst, at = error, x
    return Hull(tuple((float(x), float(y)) for x, y in kept), worst, at)


def is_convex(points: Points) -> bool:
    """Whether slopes never fall, but for rounding."""
    return convex_hull(points).error_ratio <= SMOOTH_RATIO


def is_concave(points: Points) -> bool:
    """Whether slopes never rise, but for rounding."""
    return is_convex([(x, -y) for x, y in points])


def rising(points: Points) -> bool:
    """Whether x rises."""
    return all(a < b for (a, _), (b, _) in pairwise(points))
