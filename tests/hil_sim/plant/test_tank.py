"""The stratified tank keeps its heat, its order and its limits."""

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil_sim.plant.tank import LOSS_KW_PER_K, StratifiedTank
from hil_sim.plant.water import HEAT_CAPACITY_KJ_PER_KG_K

temperatures = st.floats(min_value=20.0, max_value=60.0)


@settings(max_examples=60, deadline=None)
@given(
    layers=st.lists(temperatures, min_size=2, max_size=12),
    flow=st.floats(min_value=-120.0, max_value=120.0),
    inlet=temperatures,
    step=st.sampled_from([1.0, 10.0, 60.0, 3600.0]),
)
def test_heat_is_kept_and_layers_stay_in_order(layers: list[float], flow: float, inlet: float, step: float) -> None:
    tank = StratifiedTank(layers)
    before_kj = tank.stored_kj()
    left_kj = tank.step(step, flow, inlet_degc=inlet, room_degc=18.0)
    entered_kj = abs(flow) * step * HEAT_CAPACITY_KJ_PER_KG_K * inlet
    balance_kj = tank.stored_kj() - before_kj - entered_kj + left_kj + tank.loss_kw * step
    assert abs(balance_kj) < 1e-12 * (before_kj + entered_kj)
    assert all(above >= below - 1e-9 for above, below in pairwise(tank.layers_degc))
    assert min(*layers, inlet, 18.0) - 1e-6 <= tank.bottom_degc
    assert tank.top_degc <= max(*layers, inlet) + 1e-6


def test_merging_an_inversion_is_the_mean_of_its_layers() -> None:
    tank = StratifiedTank([50.0, 40.0, 46.0, 43.0])
    tank.step(1e-6, 0.0, inlet_degc=0.0, room_degc=18.0)
    assert tank.layers_degc == pytest.approx([50.0, 43.0, 43.0, 43.0], abs=1e-6)


def test_charging_moves_a_front_from_the_top() -> None:
    tank = StratifiedTank([42.0] * 10)
    for _ in range(360):
        tank.step(10.0, 50.0, inlet_degc=55.0, room_degc=18.0)  # 180 t of 790 t
    assert tank.top_degc > 52.0
    assert tank.bottom_degc < 42.5
    assert tank.usable_kwh() == pytest.approx(180_000 * HEAT_CAPACITY_KJ_PER_KG_K * 13.0 / 3600.0, rel=0.02)


def test_the_loss_is_about_one_percent_a_day_of_a_full_tank() -> None:
    tank = StratifiedTank([55.0] * 10)
    full_kwh = tank.usable_kwh()
    for _ in range(144):
        tank.step(600.0, 0.0, inlet_degc=0.0, room_degc=18.0)
    assert 0.005 < (full_kwh - tank.usable_kwh()) / full_kwh < 0.015
    assert math.isclose(tank.loss_kw, LOSS_KW_PER_K * (55.0 - 18.0), rel_tol=0.02)
