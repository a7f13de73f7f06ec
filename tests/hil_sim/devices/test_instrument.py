"""Instruments: errors within their class, updates, truncation, roll-over."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil_sim.devices.instrument import EXACT, Gauge, Instrument

METER = Instrument(gain_error_ratio=0.01, offset=0.2, noise_ratio=0.003, noise=0.05)


@settings(max_examples=100, deadline=None)
@given(value=st.floats(-1000, 1000), seed=st.integers(0, 1000), update=st.integers(0, 10**9))
def test_an_error_stays_within_the_class(value: float, seed: int, update: int) -> None:
    shown = Gauge(METER, seed=seed, device="hm", quantity="flow").reading(value, update)
    ideal = abs(value) * 0.01 + 0.2
    assert abs(shown - value) <= ideal + 0.05 + 0.003 * (abs(value) + ideal) + 1e-9


def test_the_same_seed_gives_the_same_meter_and_another_seed_another() -> None:
    def first(seed: int, device: str) -> float:
        return Gauge(METER, seed=seed, device=device, quantity="flow").reading(100.0, 7)

    assert first(1, "hm") == first(1, "hm")
    assert len({first(1, "hm"), first(2, "hm"), first(1, "hm2")}) == 3


def test_noise_changes_with_the_update_and_averages_out() -> None:
    gauge = Gauge(Instrument(noise=1.0), seed=3, device="tt1", quantity="temperature_1")
    shown = [gauge.reading(50.0, update) for update in range(2000)]
    assert len(set(shown)) > 1990
    assert abs(sum(shown) / len(shown) - 50.0) < 0.05


def test_one_chain_shares_its_constant_error() -> None:
    power = Gauge(Instrument(gain_error_ratio=0.01, chain="power"), seed=1, device="em", quantity="electric_power")
    energy = Gauge(Instrument(gain_error_ratio=0.01, chain="power"), seed=1, device="em", quantity="energy_total")
    assert power.reading(100.0, 0) == energy.reading(100.0, 0) != 100.0


def test_updates_follow_the_period() -> None:
    gauge = Gauge(Instrument(period_s=10.0), seed=1, device="hm", quantity="flow")
    numbers = [gauge.update_number(1e9 + second) for second in range(60)]
    assert len(set(numbers)) in (6, 7)
    assert numbers == sorted(numbers, key=lambda number: number or 0)
    assert Gauge(EXACT, seed=1, device="hp1", quantity="state").update_number(1e9) is None


@settings(max_examples=100, deadline=None)
@given(totals=st.lists(st.floats(0, 1e7), min_size=2, max_size=20))
def test_a_truncated_total_never_runs_backwards_and_never_shows_what_has_not_flowed(totals: list[float]) -> None:
    gauge = Gauge(Instrument(resolution=0.6, truncates=True), seed=1, device="em", quantity="energy_total")
    shown = [gauge.reading(total, None) for total in sorted(totals)]
    assert shown == sorted(shown)
    for total, counted in zip(sorted(totals), shown, strict=True):
        assert -1e-6 <= total - counted <= 0.6 + 1e-6


def test_full_counts_survive_the_arithmetic() -> None:
    gauge = Gauge(Instrument(resolution=0.1, truncates=True), seed=1, device="em", quantity="energy_total")
    assert gauge.reading(0.3, None) == pytest.approx(0.3)  # 0.3 / 0.1 is 2.9999999999999996


def test_a_counter_rolls_over() -> None:
    gauge = Gauge(Instrument(rolls_over_at=1000.0), seed=1, device="em", quantity="energy_total")
    assert [gauge.reading(total, None) for total in (999.5, 1000.25, 2001.0)] == [999.5, 0.25, 1.0]
