"""Curves as the planner needs them: convex electricity over load, concave limits over energy, and how far off one is.

The mixed-integer model puts lines under a curve (or over a limit). Where a curve bends the other way it would plan
with the hull instead: too little electricity, or a store that takes more than it can. So bends are measured when a
configuration is read, small ones are replaced openly, large ones are refused.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

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
    xs = [low_kwh + (high_kwh - low_kwh) * number / INSIDE_STEPS for number in range(INSIDE_STEPS + 1)]
    ys = [max(0.0, limit(x)) for x in xs]
    upper = [(x, -y) for x, y in convex_hull([(x, -y) for x, y in zip(xs, ys, strict=True)]).points]
    hull = [interpolated(upper, x) for x in xs]
    factor = min((y / h for y, h in zip(ys, hull, strict=True) if h > 0), default=1.0)
    amount = max(h - y for y, h in zip(ys, hull, strict=True))
    lowered = [h * factor for h in hull]
    by_amount = [h - amount for h in hull]
    if min(by_amount) >= 0 and sum(by_amount) > sum(lowered):  # cut off at zero it would not be concave any more
        lowered = by_amount
    kept = _few_chords(list(zip(xs, lowered, strict=True)), segments_max=segments_max)
    return _measured(list(zip(xs, ys, strict=True)), kept)


def interpolated(points: Points, x: float) -> float:
    """The value of a line of points, held at its ends; in plain Python, because checking files must stay quick."""
    if x <= points[0][0]:
        return points[0][1]
    for (x0, y0), (x1, y1) in pairwise(points):
        if x <= x1:
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return points[-1][1]


def _few_chords(points: Points, *, segments_max: int) -> list[tuple[float, float]]:
    """Chords of a concave curve, which lie under it: the point that is missed most is added until there are enough."""
    chosen = [0, len(points) - 1]
    scale = max(*(y for _, y in points), 1e-9)
    while len(chosen) <= segments_max:
        line = [points[index] for index in chosen]
        gaps = [y - interpolated(line, x) for x, y in points]
        worst = max(range(len(points)), key=lambda index: gaps[index])
        if gaps[worst] <= SMOOTH_RATIO * scale:
            break
        chosen = sorted({*chosen, worst})
    return [points[index] for index in chosen]


def _slope(a: tuple[float, float], b: tuple[float, float]) -> float:
    return (b[1] - a[1]) / (b[0] - a[0])


def _measured(points: Points, kept: Points) -> Hull:
    worst, at = 0.0, points[0][0]
    scale = max((abs(y) for _, y in points), default=0.0) or 1.0
    for x, y in points:
        there = interpolated(kept, x)
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
