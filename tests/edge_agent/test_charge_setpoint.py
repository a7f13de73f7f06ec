"""How hot a tank is charged: enough for the loop and for what it must hold, no more, and without fluttering."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.charge_setpoint import (
    AHEAD_H,
    KEPT_K,
    OVER_DEAR_K,
    OVER_SUPPLY_K,
    STORED_TOL_K,
    Charging,
    Need,
    at_highest,
    charging_of,
    discharge_ratio,
)
from edge_agent.plan_case import tank_of
from edge_agent.settings.files import shipped_config
from edge_agent.settings.load import load_configuration
from edge_agent.settings.model import Storage

LOWEST_DEGC, HIGHEST_DEGC = 46.0, 55.0
KWH_PER_K = 800.0 * 1.149


def storage(**changes: object) -> Storage:
    return Storage.model_validate(
        {
            "kind": "hot_water",
            "loop": "heating",
            "volume_m3": 800.0,
            "degc_min": 42.0,
            "degc_max": 55.0,
            "layers": ("tt1.temperature_1", "tt1.temperature_2"),
            "charge_kw_max": 1800.0,
            "discharge_kw_max": 2000.0,
            "charge_setpoint_degc": HIGHEST_DEGC,
            "charge_setpoint_degc_min": LOWEST_DEGC,
            "isolating_valve": "v_charge",
            "discharge_valve": "v_discharge",
            **changes,
        }
    )


def charging(
    tank: Storage | None = None,
    *,
    supply_degc: Sequence[float] = (44.0,) * 48,
    load_kw: Sequence[float] = (1000.0,) * 48,
    dear_hours: Sequence[int] = (),
    price_cny_per_kwh: Sequence[float] | None = None,
    stored_kwh: float = 0.0,
    asked_degc: float | None = None,
) -> Charging | None:
    tank = tank or storage()
    priced = price_cny_per_kwh or [1.0 if hour in dear_hours else 0.6 for hour in range(48)]
    return charging_of(
        tank,
        tank_of(tank),
        need=Need([1.0] * 48, supply_degc, load_kw, priced, sorted(priced)[24]),
        stored_kwh=stored_kwh,
        asked_degc=asked_degc,
    )


def degc(**given_: object) -> float:
    found = charging(**given_)  # type: ignore[arg-type]
    assert found is not None
    return found.degc


def test_some_kelvin_above_what_the_loop_is_served_at() -> None:
    assert degc(supply_degc=[44.5] * 48) == 44.5 + OVER_SUPPLY_K
    assert degc(supply_degc=[45.0] * 48) == 47.0  # whole kelvin, upwards
    assert degc(supply_degc=[45.0] * 20 + [48.5] + [45.0] * 27) == 50.0
    assert degc(supply_degc=[45.0] * 24 + [50.0] * 24) == 47.0  # the day after next has its own night
    assert degc(supply_degc=[41.0] * 48) == LOWEST_DEGC
    assert degc(supply_degc=[54.0] * 48) == HIGHEST_DEGC


def test_and_some_more_while_it_shall_give() -> None:
    day = [48.0] * 8 + [45.0] * 9 + [46.0] * 5 + [46.0] * 2
    light_kw = [500.0] * 48  # the tank could carry it at any temperature
    assert degc(supply_degc=day * 2, load_kw=light_kw) == 50.0  # 48 + 1.5
    assert degc(supply_degc=day * 2, load_kw=light_kw, dear_hours=[17, 18, 19]) == 50.0  # 46 + 3 is less
    assert degc(supply_degc=day * 2, load_kw=light_kw, dear_hours=[7, 18, 19]) == 48.0 + OVER_DEAR_K


def test_hot_enough_to_carry_the_greatest_dear_load_alone() -> None:
    load_kw = [1800.0] * 17 + [1200.0, 1350.0] + [1000.0] * 29
    found = charging(load_kw=load_kw, dear_hours=[17, 18, 19])
    assert found is not None
    assert found.dear_kw == 1350.0
    assert found.degc == 51.0  # 42 + 1350 / 2000 x 13 = 50.8


def test_room_for_the_greatest_dear_stretch() -> None:
    tank = storage(discharge_kw_max=6000.0)
    five_h = charging(tank, dear_hours=[3, 17, 18, 19, 20, 21], load_kw=[1600.0] * 48)
    assert five_h is not None
    assert five_h.dear_kwh == 8000.0
    assert five_h.dear_degc == 44.0
    assert five_h.degc == 51.0  # 42 + 8000 / 919.2 = 50.7
    assert degc(tank=tank, dear_hours=[3, 17, 18, 19, 20, 21], load_kw=[900.0] * 48) == 47.0
    assert degc(tank=tank, dear_hours=range(27, 34), load_kw=[1800.0] * 48) == LOWEST_DEGC  # begins after a day


def test_a_dear_stretch_counts_to_its_end() -> None:
    """At seven in the evening the stretch of tomorrow is cut by the end of the 24 hours: it is no smaller for that."""
    tank = storage(discharge_kw_max=6000.0)
    whole = charging(tank, dear_hours=range(17, 22), load_kw=[1600.0] * 48)
    cut = charging(tank, dear_hours=[0, 1, 2, *range(22, 27)], load_kw=[1600.0] * 48)
    assert whole is not None
    assert cut is not None
    assert cut.dear_kwh == whole.dear_kwh == 8000.0


def test_with_two_bands_the_upper_one_is_dear_though_it_is_the_usual() -> None:
    two = [0.3 if hour % 24 in (22, 23, 0, 1, 2, 3, 4, 5, 6, 7) else 0.75 for hour in range(48)]
    assert degc(price_cny_per_kwh=two, load_kw=[1000.0] * 48) == HIGHEST_DEGC
    hardly = [0.6 if price < 0.5 else 0.7 for price in two]
    assert degc(price_cny_per_kwh=hardly, load_kw=[1000.0] * 48) == LOWEST_DEGC
    assert degc(price_cny_per_kwh=[0.6] * 48) == LOWEST_DEGC


def test_a_tank_is_not_charged_cooler_than_what_it_holds() -> None:
    assert degc(stored_kwh=8.0 * KWH_PER_K) == 50.0
    assert degc(stored_kwh=8.25 * KWH_PER_K) == 50.0  # hardly more
    assert degc(stored_kwh=8.5 * KWH_PER_K) == 51.0
    assert degc(stored_kwh=20.0 * KWH_PER_K) == HIGHEST_DEGC


def test_what_is_no_number_is_left_to_the_request_to_refuse() -> None:
    assert charging(supply_degc=[math.nan] * 48) is None
    assert charging(stored_kwh=math.nan) is None


def test_where_the_site_leaves_no_choice_there_is_none() -> None:
    assert charging(storage(charge_setpoint_degc_min=None)) is None
    assert charging(storage(kind="pcm")) is None
    assert charging(supply_degc=()) is None


def test_a_temperature_that_was_asked_for_stays_while_it_is_hardly_too_high() -> None:
    needed_degc = 46.7 + OVER_SUPPLY_K
    for asked_degc, expected_degc in (
        (None, 49.0),
        (48.0, 49.0),  # too cool now
        (49.0, 49.0),
        (needed_degc + KEPT_K, needed_degc + KEPT_K),
        (50.0, 49.0),
    ):
        assert degc(supply_degc=[46.7] * 48, asked_degc=asked_degc) == pytest.approx(expected_degc)


@given(
    supply=st.lists(st.floats(30.0, 60.0), min_size=48, max_size=48),
    load=st.lists(st.floats(0.0, 3000.0), min_size=48, max_size=48),
    dear=st.sets(st.integers(0, 47), max_size=20),
    stored=st.floats(0.0, 12_000.0),
    asked=st.none() | st.floats(20.0, 70.0),
)
def test_always_between_the_site_s_two_and_enough_where_they_allow(
    supply: list[float], load: list[float], dear: set[int], stored: float, asked: float | None
) -> None:
    day = {"supply_degc": supply, "load_kw": load, "dear_hours": sorted(dear), "stored_kwh": stored}
    found = charging(**day, asked_degc=asked)  # type: ignore[arg-type]
    assert found is not None
    assert LOWEST_DEGC <= found.degc <= HIGHEST_DEGC
    assert found.supply_degc == max(supply[: int(AHEAD_H)])
    needed_degc = max(
        found.supply_degc + OVER_SUPPLY_K,
        0.0 if found.dear_degc is None else found.dear_degc + OVER_DEAR_K,
        42.0 + found.dear_kwh / KWH_PER_K,
        42.0 + found.dear_kw / 2000.0 * 13.0,
        42.0 + stored / KWH_PER_K - STORED_TOL_K,
    )
    assert found.degc >= min(needed_degc, HIGHEST_DEGC) - 0.05  # tenths of a kelvin count
    assert found.degc <= max(LOWEST_DEGC, needed_degc + KEPT_K)
    again = charging(**day, asked_degc=found.degc)  # type: ignore[arg-type]
    assert again is not None
    assert again.degc == found.degc  # what it chose it keeps


def test_a_cooler_tank_gives_less() -> None:
    tank = tank_of(storage())
    assert discharge_ratio(55.0, tank) == 1.0
    assert discharge_ratio(60.0, tank) == 1.0
    assert discharge_ratio(47.0, tank) == pytest.approx(5.0 / 13.0)


def test_one_temperature_for_who_cannot_choose() -> None:
    site = load_configuration(shipped_config() / "plants" / "ground-office").site
    fixed = at_highest(site)
    assert {tank.charge_setpoint_degc_min for tank in site.storages.values()} == {46.0}
    assert {tank.charge_setpoint_degc_min for tank in fixed.storages.values()} == {None}
    assert fixed.units == site.units
