"""The ground field: its table can be computed again, its relaxations are the table, its heat is counted."""

import math
from collections import Counter
from itertools import pairwise

import pytest

from hil_sim.plant import ground_response as field
from hil_sim.plant.ground import BOREHOLE_RESISTANCE_M_K_PER_W, FIELD_LENGTH_M, SEASON_START_DEGC, GroundField
from hil_sim.plant.water import HEAT_CAPACITY_KJ_PER_KG_K


def _g_again(time_s: float) -> float:
    """Finite line sources, same extraction everywhere, by the trapezoidal rule.

    Source: Claesson, Javed, ASHRAE Transactions 117(2), 2011, equations (10)-(14).
    """

    def ierf(x: float) -> float:
        return x * math.erf(x) - (1.0 - math.exp(-x * x)) / math.sqrt(math.pi)

    pairs = Counter()
    for east in range(field.BOREHOLES_LONG):
        for north in range(field.BOREHOLES_WIDE):
            ways = (1 if east == 0 else 2) * (1 if north == 0 else 2)
            number = (field.BOREHOLES_LONG - east) * (field.BOREHOLES_WIDE - north) * ways
            distance_m = math.hypot(east, north) * field.BOREHOLE_SPACING_M or field.BOREHOLE_RADIUS_M
            pairs[round(distance_m, 6)] += number
    boreholes = field.BOREHOLES_LONG * field.BOREHOLES_WIDE
    length_m, depth_m = field.BOREHOLE_LENGTH_M, field.BOREHOLE_HEAD_DEPTH_M
    diffusivity_m2_per_s = field.GROUND_CONDUCTIVITY_W_PER_M_K / field.GROUND_HEAT_CAPACITY_J_PER_M3_K
    low = math.log(1.0 / math.sqrt(4.0 * diffusivity_m2_per_s * time_s))
    high = math.log(6.0 / field.BOREHOLE_RADIUS_M)
    points = 400
    total = 0.0
    for number in range(points + 1):
        s = math.exp(low + (high - low) * number / points)
        line = 2 * ierf(length_m * s) + 2 * ierf((length_m + 2 * depth_m) * s)
        line -= ierf((2 * length_m + 2 * depth_m) * s) + ierf(2 * depth_m * s)
        near = sum(count * math.exp(-((distance_m * s) ** 2)) for distance_m, count in pairs.items()) / boreholes
        total += (0.5 if number in (0, points) else 1.0) * near * line / (length_m * s)
    return 0.5 * total * (high - low) / points


@pytest.mark.parametrize("row", [2, 8, 13])
def test_the_table_can_be_computed_again(row: int) -> None:
    time_s, g = field.G_FUNCTION[row]
    assert _g_again(time_s) == pytest.approx(g, rel=0.003)


def test_the_relaxations_are_the_table() -> None:
    for time_s, g in field.G_FUNCTION:
        if time_s <= 2 * 365 * 86_400:
            sum_g = sum(weight * -math.expm1(-time_s / tau_s) for tau_s, weight in field.RELAXATIONS)
            assert sum_g == pytest.approx(g, abs=0.02)


def test_the_wall_follows_the_g_function_under_a_constant_extraction() -> None:
    ground = GroundField()
    flow_kg_per_s, heat_kw = 40.0, 1000.0
    for _ in range(30 * 24 * 6):
        inlet_degc = ground.outlet_degc - heat_kw / (flow_kg_per_s * HEAT_CAPACITY_KJ_PER_KG_K)
        ground.step(600.0, flow_kg_per_s, inlet_degc=inlet_degc)
    per_metre_w = heat_kw * 1000.0 / FIELD_LENGTH_M
    g = _g_again(30 * 86_400.0)
    drop_k = per_metre_w * g / (2 * math.pi * field.GROUND_CONDUCTIVITY_W_PER_M_K)
    assert pytest.approx(drop_k, rel=0.01) == SEASON_START_DEGC - ground.wall_degc
    assert ground.wall_heat_kw == pytest.approx(heat_kw, rel=0.001)
    mean_degc = 0.5 * (ground.down_degc + ground.up_degc)
    assert mean_degc == pytest.approx(ground.wall_degc - per_metre_w * BOREHOLE_RESISTANCE_M_K_PER_W, abs=0.01)


def test_heat_is_counted_and_the_start_of_flow_does_not_oscillate() -> None:
    ground = GroundField(extraction_kw=700.0, extraction_s=50 * 86_400.0)
    stored_kj = ground.stored_kj()
    came_kj = 0.0
    outlets = []
    for step in range(2000):
        flow_kg_per_s = 56.0 if step % 500 >= 100 else 0.0
        inlet_degc = ground.outlet_degc - 3.5
        came_kj += flow_kg_per_s * 10.0 * HEAT_CAPACITY_KJ_PER_KG_K * (inlet_degc - ground.outlet_degc)
        ground.step(10.0, flow_kg_per_s, inlet_degc=inlet_degc)
        came_kj += ground.wall_heat_kw * 10.0
        outlets.append(ground.outlet_degc)
    assert ground.stored_kj() - stored_kj == pytest.approx(came_kj, abs=1e-3)
    jumps = [abs(after - before) for before, after in pairwise(outlets)]
    assert max(jumps) < 0.2


def test_a_step_that_turns_the_pipes_over_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        GroundField().step(3600.0, 112.0, inlet_degc=5.0)
