"""Hulls: nowhere on the wrong side, nothing lost where there is no bend, and the error is what it says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduling.plant.curve import concave_under, convex_hull, is_concave, is_convex, rising

POINTS = st.lists(st.floats(0.0, 100.0), min_size=2, max_size=12).map(
    lambda ys: [(float(number), y) for number, y in enumerate(ys)]
)


def at(points: tuple[tuple[float, float], ...], x: float) -> float:
    return float(np.interp(x, [a for a, _ in points], [b for _, b in points]))


@given(POINTS)
def test_a_hull_lies_under_the_curve_touches_its_ends_and_is_convex(points: list[tuple[float, float]]) -> None:
    hull = convex_hull(points)
    assert hull.points[0] == points[0]
    assert hull.points[-1] == points[-1]
    assert is_convex(hull.points)
    assert rising(hull.points)
    for x, y in points:
        assert at(hull.points, x) <= y + 1e-9 * max(1.0, y)


@given(POINTS)
def test_a_convex_curve_is_its_own_hull(points: list[tuple[float, float]]) -> None:
    convex = convex_hull(points).points
    again = convex_hull(convex)
    assert again.error_ratio == pytest.approx(0.0, abs=1e-9)
    for x, y in convex:
        assert at(again.points, x) == pytest.approx(y)


def test_the_error_is_the_worst_distance() -> None:
    hull = convex_hull([(0.25, 20.0), (0.5, 60.0), (1.0, 80.0)])
    # The chord from (0.25, 20) to (1, 80) has 40 at 0.5, where the curve has 60.
    assert hull.error_ratio == pytest.approx(20.0 / 60.0)
    assert hull.position == 0.5
    assert not is_convex([(0.25, 20.0), (0.5, 60.0), (1.0, 80.0)])
    assert is_concave([(0.25, 20.0), (0.5, 60.0), (1.0, 80.0)])


@given(
    st.lists(st.floats(0.0, 500.0), min_size=3, max_size=8),
    st.floats(10.0, 2000.0),
    st.integers(1, 6),
)
def test_a_limit_is_never_promised_beyond_what_is_there(kws: list[float], high: float, segments: int) -> None:
    def limit(kwh: float) -> float:
        return float(np.interp(kwh, np.linspace(0.0, high, len(kws)), kws))

    hull = concave_under(limit, low_kwh=0.0, high_kwh=high, segments_max=segments)
    assert len(hull.points) <= segments + 1
    assert is_concave(hull.points)
    for kwh in np.linspace(0.0, high, 65):
        # Between the places where the limit was read a line may pass a sharp corner by less than a place is wide.
        slack = max(abs(limit(kwh + d) - limit(kwh)) for d in (-high / 64, high / 64) if 0 <= kwh + d <= high)
        assert -1e-9 <= at(hull.points, float(kwh)) <= limit(float(kwh)) + slack + 1e-9 * max(kws)


def test_a_concave_limit_is_kept_whole() -> None:
    hull = concave_under(lambda kwh: min(300.0, 3.0 * (800.0 - kwh)), low_kwh=0.0, high_kwh=800.0)
    assert at(hull.points, 100.0) == pytest.approx(300.0, rel=0.01)
    assert at(hull.points, 750.0) == pytest.approx(150.0, rel=0.03)
