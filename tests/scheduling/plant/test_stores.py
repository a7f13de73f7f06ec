"""Tanks by their layers, ice by its measured tank, sources and prices of other heat."""

import math
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduling.plant.latent import BRINE_KJ_PER_KG_K, NIST_CHARGE, NIST_MELT, LatentStore
from scheduling.plant.source import WaterSource, balance_price, gas_heat_price
from scheduling.plant.tank import WaterTank, loss_fraction_per_h

ICE = Path(__file__).resolve().parents[4] / "shared" / "data" / "ice"
NIST = LatentStore(263.7, NIST_CHARGE, NIST_MELT)
HOT = WaterTank(800.0, empty_degc=42.0, full_degc=55.0)
COLD = WaterTank(100.0, empty_degc=12.0, full_degc=5.0)


@given(st.lists(st.floats(0.0, 100.0), min_size=1, max_size=20))
def test_usable_energy_stays_between_empty_and_full(layers_degc: list[float]) -> None:
    for tank in (HOT, COLD):
        assert 0.0 <= tank.usable_kwh(layers_degc) <= tank.capacity_kwh + 1e-9
        warmer = tank.usable_kwh([degc + 1.0 for degc in layers_degc])
        assert (warmer - tank.usable_kwh(layers_degc)) * (tank.full_degc - tank.empty_degc) >= -1e-6


def test_a_lukewarm_tank_gives_nothing_and_half_a_tank_gives_half() -> None:
    assert HOT.capacity_kwh == pytest.approx(800.0 * 1.149 * 13.0)
    assert HOT.usable_kwh([42.0] * 10) == 0.0
    assert HOT.usable_kwh([55.0] * 5 + [30.0] * 5) == pytest.approx(0.5 * HOT.capacity_kwh)  # the mean says 42.5
    assert COLD.usable_kwh([5.0, 12.0]) == pytest.approx(0.5 * COLD.capacity_kwh)


@pytest.mark.parametrize("figures", [(0.0, 42.0, 55.0), (10.0, 42.0, 42.0), (10.0, 12.0, 3.0)])
def test_what_is_no_tank_is_refused(figures: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="tank"):
        WaterTank(*figures)


def test_a_day_of_hourly_losses_is_the_loss_of_a_day() -> None:
    assert (1.0 - loss_fraction_per_h(0.03)) ** 24 == pytest.approx(0.97)
    assert 0.1 < loss_fraction_per_h(1.0) == loss_fraction_per_h(1.7) < 0.2, "a learned factor times a poor nameplate"


@given(st.floats(0.0, 1.0), st.floats(-12.0, -0.5), st.floats(0.1, 4.0))
def test_ice_grows_no_faster_than_the_brine_carries(ratio: float, inlet_degc: float, flow: float) -> None:
    kw = NIST.rate_kw(ratio, inlet_degc=inlet_degc, flow_kg_per_s=flow, charging=True)
    assert 0.0 <= kw <= flow * BRINE_KJ_PER_KG_K * abs(inlet_degc) + 1e-6
    more = NIST.rate_kw(ratio, inlet_degc=inlet_degc - 1.0, flow_kg_per_s=flow, charging=True)
    assert more >= kw - 1e-6


@pytest.mark.parametrize("inlet_degc", [6.0, 10.0, 14.0])
def test_limits_of_ice_are_concave_and_never_above_the_rate(inlet_degc: float) -> None:
    hull = NIST.discharge_limit(inlet_degc=inlet_degc, flow_kg_per_s=0.88)
    assert len(hull.points) <= 6
    for kwh, kw in hull.points:
        rate_kw = NIST.rate_kw(kwh / 263.7, inlet_degc=inlet_degc, flow_kg_per_s=0.88, charging=False)
        assert kw <= rate_kw + 0.2
    assert hull.points[-1][1] > hull.points[0][1]  # a full store melts faster


def test_a_store_with_hysteresis_needs_warmer_water_to_fill_than_it_gives_back() -> None:
    pcm = LatentStore(100.0, NIST_CHARGE, NIST_MELT, change_degc=48.0, hysteresis_k=2.0)
    assert pcm.rate_kw(0.3, inlet_degc=48.5, flow_kg_per_s=1.0, charging=True) < pcm.rate_kw(
        0.3, inlet_degc=52.0, flow_kg_per_s=1.0, charging=True
    )
    assert pcm.rate_kw(0.3, inlet_degc=49.0, flow_kg_per_s=1.0, charging=True) == 0.0  # melts at 49 only
    assert pcm.rate_kw(0.7, inlet_degc=40.0, flow_kg_per_s=1.0, charging=False) > 0.0


@pytest.mark.parametrize(
    ("file", "charging", "first_s", "last_s", "end_ratio", "outlet_k"),
    [
        ("ice_charging.txt", True, 15_000.0, 60_370.0, 0.971, 0.63),
        ("ice_discharging1.txt", False, 0.0, 19_990.0, 0.180, 0.83),
    ],
)
def test_the_measured_tank(
    file: str,
    charging: bool,  # noqa: FBT001 - a parameter of the case
    first_s: float,
    last_s: float,
    end_ratio: float,
    outlet_k: float,
) -> None:
    path = ICE / file
    if not path.exists():
        pytest.skip(f"../shared/data/ice/{file} is not here")
    rows = [[float(cell) for cell in line.split()] for line in path.read_text(encoding="utf-8").splitlines()[2:]]
    rows = [row for row in rows if first_s <= row[0] <= last_s]
    ratio, squares = rows[0][4], []
    for (t, inlet, outlet, flow, _), after in pairwise(rows):
        kw = NIST.rate_kw(ratio, inlet_degc=inlet, flow_kg_per_s=flow, charging=charging)
        if flow > 0:  # without flow the outlet's sensor is no reading
            passed_k = kw / (flow * BRINE_KJ_PER_KG_K)
            squares.append((inlet + (passed_k if charging else -passed_k) - outlet) ** 2)
        step = kw * (after[0] - t) / 3600.0 / NIST.latent_kwh
        ratio = min(1.0, max(0.0, ratio + (step if charging else -step)))
    assert ratio == pytest.approx(end_ratio, abs=0.02)
    assert math.sqrt(sum(squares) / len(squares)) == pytest.approx(outlet_k, rel=0.10)


def test_a_well_gives_what_its_outlet_allows() -> None:
    well = WaterSource(100.0, outlet_degc_min=5.0, outlet_degc_max=30.0)
    assert well.draw_kw_max(12.0) == pytest.approx(100.0 * 1.163 * 7.0)
    assert well.draw_kw_max(4.0) == 0.0
    assert well.reject_kw_max(20.0) == pytest.approx(1163.0)
    assert WaterSource(100.0).draw_kw_max(12.0) is None


def test_balance_is_priced_by_what_is_missing() -> None:
    assert balance_price(drawn_year_kwh=300.0, rejected_year_kwh=100.0, unbalanced_cny_per_kwh=0.09) == pytest.approx(
        0.06
    )
    assert balance_price(drawn_year_kwh=100.0, rejected_year_kwh=100.0, unbalanced_cny_per_kwh=0.09) == 0.0
    assert balance_price(drawn_year_kwh=0.0, rejected_year_kwh=0.0, unbalanced_cny_per_kwh=0.09) == 0.0
    assert balance_price(drawn_year_kwh=100.0, rejected_year_kwh=300.0, unbalanced_cny_per_kwh=0.09) < 0.0


def test_heat_of_gas() -> None:
    assert gas_heat_price(gas_cny_per_m3=3.2, efficiency_ratio=0.93) == pytest.approx(0.348, abs=0.001)
    with pytest.raises(ValueError, match="boiler"):
        gas_heat_price(gas_cny_per_m3=3.2, efficiency_ratio=93.0)
