"""Steps and instants: each is the other's inverse."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduling.timegrid import TimeGrid, staged_grid

START = datetime(2026, 1, 12, 21, 30, tzinfo=UTC)
LENGTHS = st.lists(st.sampled_from([60.0, 900.0, 1800.0, 3600.0]), min_size=1, max_size=40)


@given(LENGTHS)
def test_start_and_step_are_inverse(lengths: list[float]) -> None:
    grid = TimeGrid(START, tuple(lengths), len(lengths))
    for step in range(grid.count):
        assert grid.step_at(grid.start_of(step)) == step
        assert grid.step_at(grid.start_of(step + 1) - timedelta(microseconds=1)) == step
    assert grid.step_at(grid.end_utc) is None
    assert grid.step_at(START - timedelta(microseconds=1)) is None


def test_a_civil_day_changes_at_the_plants_midnight() -> None:
    grid = TimeGrid(datetime(2026, 1, 12, 15, 0, tzinfo=UTC), 1800.0, 4)
    assert grid.civil_days(ZoneInfo("Asia/Shanghai")).tolist() == [0, 0, 1, 1]
    assert grid.civil_days(ZoneInfo("UTC")).tolist() == [0, 0, 0, 0]


def test_a_naive_start_is_refused() -> None:
    with pytest.raises(ValueError, match="UTC"):
        TimeGrid(datetime(2026, 1, 12), 900.0, 4)  # noqa: DTZ001 - that is the point


@given(st.integers(0, 24 * 60 - 1), st.sampled_from([6.0, 24.0, 48.0]))
def test_a_staged_grid_fills_the_horizon_and_keeps_clock_edges(minute: int, horizon_h: float) -> None:
    start = START.replace(hour=0, minute=0) + timedelta(minutes=minute)
    grid = staged_grid(start, horizon_h=horizon_h)
    assert grid.end_utc == start + timedelta(hours=horizon_h)
    for step in range(1, grid.count):
        length_min = grid.lengths_s[step] / 60.0
        begin = grid.start_of(step)
        if step < grid.count - 1:
            assert length_min in {15.0, 30.0, 60.0}
            assert (begin.hour * 60 + begin.minute) % length_min == 0
    assert max(grid.lengths_s[:4]) <= 900.0


@given(
    st.integers(0, 24 * 60 - 1),
    st.lists(st.integers(-100, 49 * 60), max_size=8),
)
def test_every_edge_within_the_horizon_falls_on_a_step_and_costs_one_at_most(minute: int, edges_min: list[int]) -> None:
    start = START.replace(hour=0, minute=0) + timedelta(minutes=minute)
    edges = [start + timedelta(minutes=edge_min) for edge_min in edges_min]
    grid, plain = (staged_grid(start, horizon_h=48.0, edges_utc=wished) for wished in (edges, ()))
    assert grid.end_utc == plain.end_utc
    starts, within = set(grid.starts_utc()), {edge for edge in edges if start <= edge < grid.end_utc}
    assert starts == set(plain.starts_utc()) | within
    assert min(grid.lengths_s) >= 60.0
