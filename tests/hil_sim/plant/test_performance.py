"""The unit's map: its working points, its envelope, its part load."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil_sim.plant.performance import COP, HEAT_KW, LOAD_RATIO_MIN, electric_ratio, full_load


def test_the_working_points() -> None:
    heat_kw, electric_kw = full_load(10.0, 45.0)
    assert heat_kw == pytest.approx(600.0)
    assert heat_kw / electric_kw == pytest.approx(4.4)
    heat_kw, electric_kw = full_load(10.0, 55.0)
    assert heat_kw == pytest.approx(558.0)
    assert heat_kw / electric_kw == pytest.approx(3.5)


def test_outside_the_envelope_the_map_is_clamped() -> None:
    assert full_load(-5.0, 80.0) == pytest.approx((HEAT_KW[0][-1], HEAT_KW[0][-1] / COP[0][-1]))
    assert full_load(30.0, 20.0) == pytest.approx((HEAT_KW[-1][0], HEAT_KW[-1][0] / COP[-1][0]))


@pytest.mark.parametrize("leaving_degc", [45.0, 55.0])
def test_electricity_over_load_is_convex(leaving_degc: float) -> None:
    loads = [LOAD_RATIO_MIN + 0.05 * number for number in range(15)]
    powers = [electric_ratio(load, leaving_degc) for load in loads]
    slopes = [(right - left) / 0.05 for left, right in pairwise(powers)]
    assert powers[-1] == pytest.approx(1.0)
    assert min(slopes) > 0.0
    assert all(right >= left for left, right in pairwise(slopes))


@settings(max_examples=60, deadline=None)
@given(source=st.floats(-10, 30), leaving=st.floats(20, 80))
def test_warmer_source_and_cooler_water_are_never_worse(source: float, leaving: float) -> None:
    heat_kw, electric_kw = full_load(source, leaving)
    warmer_kw, warmer_electric_kw = full_load(source + 1.0, leaving)
    hotter_kw, hotter_electric_kw = full_load(source, leaving + 1.0)
    assert warmer_kw >= heat_kw - 1e-9
    assert warmer_kw / warmer_electric_kw >= heat_kw / electric_kw - 1e-9
    assert hotter_kw / hotter_electric_kw <= heat_kw / electric_kw + 1e-9
    assert 400.0 < heat_kw < 800.0
    assert hotter_kw <= heat_kw + 1e-9
