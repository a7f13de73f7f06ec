"""Factors from history: they converge on the truth, say how sure they are, and never leave their limits."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduling.plant.identify import Estimate, Limits, identify, output_of

LIMITS = Limits(0.7, 1.2, count_min=48)
NAMES = ("a", "b")


def history(
    truth: dict[str, float], *, hours: int, noise: float, seed: int
) -> tuple[dict[str, list[float]], list[float]]:
    """Hours of a plant whose groups run now and then, with the noise of its meter."""
    rng = np.random.default_rng(seed)
    expected = {name: (rng.uniform(100.0, 600.0, hours) * (rng.random(hours) < 0.7)).tolist() for name in truth}
    total = sum(truth[name] * np.array(expected[name]) for name in truth)
    return expected, (total * (1.0 + noise * rng.standard_normal(hours))).tolist()


@pytest.mark.parametrize("seed", range(8))
def test_the_truth_is_found_and_lies_in_its_interval(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    truth = {name: float(rng.uniform(0.8, 1.1)) for name in NAMES}
    expected, measured = history(truth, hours=1000, noise=0.05, seed=seed)
    for name, estimate in identify(expected, measured, LIMITS).items():
        assert estimate.why == "learned"
        assert estimate.value == pytest.approx(truth[name], abs=0.015)
        assert estimate.lower <= truth[name] <= estimate.upper
        assert estimate.upper - estimate.lower < 0.05


def test_more_history_is_a_sharper_estimate() -> None:
    widths = []
    errors = []
    for hours in (100, 400, 1600):
        expected, measured = history({"a": 0.9, "b": 1.05}, hours=hours, noise=0.05, seed=5)
        found = identify(expected, measured, LIMITS)
        widths.append(found["a"].upper - found["a"].lower)
        errors.append(abs(found["a"].value - 0.9))
    assert widths == sorted(widths, reverse=True)
    assert errors[-1] < 0.01


def test_a_gross_error_of_a_meter_moves_nothing() -> None:
    expected, measured = history({"a": 0.9, "b": 1.05}, hours=400, noise=0.03, seed=6)
    clean = identify(expected, measured, LIMITS)
    measured[::40] = [10_000.0] * len(measured[::40])
    spoilt = identify(expected, measured, LIMITS)
    for name in NAMES:
        assert spoilt[name].value == pytest.approx(clean[name].value, abs=0.02)


def test_until_there_is_enough_the_nameplate_stands() -> None:
    expected, measured = history({"a": 0.8, "b": 0.8}, hours=40, noise=0.02, seed=7)
    for estimate in identify(expected, measured, LIMITS).values():
        assert estimate == Estimate(1.0, 0.7, 1.2, estimate.count, "too_few")
    expected, measured = history({"a": 0.8, "b": 0.8}, hours=100, noise=1.5, seed=7)
    for estimate in identify(expected, measured, LIMITS).values():
        assert (estimate.value, estimate.why) == (1.0, "too_vague")


def test_a_group_that_hardly_ran_does_not_spoil_the_other() -> None:
    expected, measured = history({"a": 0.9, "b": 1.0}, hours=300, noise=0.03, seed=8)
    rare = [kw if hour % 30 == 0 else 0.0 for hour, kw in enumerate(expected["b"])]
    measured = [m - b + r for m, b, r in zip(measured, expected["b"], rare, strict=True)]
    found = identify({"a": expected["a"], "b": rare}, measured, LIMITS)
    assert found["a"].value == pytest.approx(0.9, abs=0.03)
    assert (found["b"].value, found["b"].why) == (1.0, "too_few")


def test_two_groups_that_always_run_alike_share_what_is_off() -> None:
    """Nothing in the evidence tells them apart: the prior must, and the sum must be right."""
    one = np.random.default_rng(9).uniform(100.0, 600.0, 400)
    found = identify({"a": one.tolist(), "b": one.tolist()}, (1.8 * one).tolist(), LIMITS)
    assert found["a"].value == pytest.approx(found["b"].value, abs=1e-6)
    assert found["a"].value == pytest.approx(0.9, abs=0.02) or found["a"].why == "too_vague"


def test_a_plant_that_cannot_be_true_is_clipped_and_said() -> None:
    expected, measured = history({"a": 0.3, "b": 1.9}, hours=800, noise=0.02, seed=10)
    found = identify(expected, measured, LIMITS)
    assert (found["a"].value, found["a"].why) == (0.7, "clipped")
    assert (found["b"].value, found["b"].why) == (1.2, "clipped")


NUMBERS = st.one_of(
    st.floats(-1e6, 1e6), st.sampled_from([math.nan, math.inf, -math.inf, 0.0, 1e-300, 1e300]), st.floats(0.0, 1000.0)
)


@given(st.lists(st.tuples(st.floats(0.0, 1e4), st.floats(0.0, 1e4), NUMBERS), max_size=120), st.data())
def test_no_history_leads_beyond_the_limits(rows: list[tuple[float, float, float]], data: st.DataObject) -> None:
    limits = Limits(0.7, 1.2, count_min=data.draw(st.integers(1, 60)))
    found = identify({"a": [r[0] for r in rows], "b": [r[1] for r in rows]}, [r[2] for r in rows], limits)
    for estimate in found.values():
        assert limits.lower <= estimate.lower <= estimate.value <= estimate.upper <= limits.upper
        assert estimate.learned or estimate.value == 1.0
        assert estimate.count <= len(rows)


CURVE = ((0.3, 46.2), (0.5, 68.2), (1.0, 136.4))


@pytest.mark.parametrize(("load", "kw"), CURVE)
def test_electricity_is_turned_back_into_output(load: float, kw: float) -> None:
    assert output_of(kw, CURVE, output_kw=600.0) == pytest.approx(600.0 * load)


def test_below_the_lowest_load_the_share_of_time_counts() -> None:
    assert output_of(23.1, CURVE, output_kw=600.0) == pytest.approx(0.5 * 0.3 * 600.0)
    assert output_of(-5.0, CURVE, output_kw=600.0) == 0.0
    assert output_of(500.0, CURVE, output_kw=600.0) == 600.0
