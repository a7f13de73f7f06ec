"""What units draw and give now: by meter, by their own word, by map; and whose they are."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.plan_case import Corrections, UnitNow
from edge_agent.present_power import present_power, unit_power
from edge_agent.settings.files import shipped_config
from edge_agent.settings.load import load_configuration
from scheduling.plant.identify import Estimate

OFFICE = load_configuration(shipped_config() / "plants" / "ground-office")
SITE, MAPS = OFFICE.site, OFFICE.performance
HP1 = SITE.units["hp1"]
DIRECT = MAPS["hp1"].modes["direct"]
FULL_KW = DIRECT.curve[-1][1]
RUNS = UnitNow(
    on=True, mode="direct", minutes_in_state=90.0, starts_today=1, available=True,
    seen_on=True, seen_mode="direct", load_ratio=1.0, electric_kw=FULL_KW + 1.0,
)  # fmt: skip
RESTS = UnitNow(on=False, mode=None, minutes_in_state=600.0, starts_today=0, available=True, seen_on=False)
ON_ITS_PANEL = replace(RUNS, on=False, mode=None, available=False)
SILENT = UnitNow(on=False, mode=None, minutes_in_state=1440.0, starts_today=0, available=False)
NO_METERS = dict.fromkeys(SITE.units)


def test_the_meter_comes_before_the_unit_and_the_unit_before_the_map() -> None:
    def drawn_kw(now: UnitNow, meter_kw: float | None) -> float | None:
        return unit_power(HP1, MAPS["hp1"], now, meter_kw=meter_kw).electric_kw

    assert drawn_kw(RUNS, 99.0) == 99.0
    assert drawn_kw(RUNS, None) == FULL_KW + 1.0
    assert drawn_kw(replace(RUNS, electric_kw=None), None) == pytest.approx(FULL_KW)
    low, low_kw = DIRECT.curve[0]
    assert drawn_kw(replace(RUNS, electric_kw=None, load_ratio=low), None) == pytest.approx(low_kw)
    assert drawn_kw(replace(RUNS, electric_kw=None, load_ratio=None), None) is None
    assert drawn_kw(RESTS, None) == 0.0
    assert drawn_kw(RESTS, -0.4) == 0.0, "a meter's noise at standstill is no generation"


def test_what_history_has_taught_of_the_map_counts() -> None:
    now = replace(RUNS, electric_kw=None)
    poor = unit_power(HP1, MAPS["hp1"], now, meter_kw=None, cop_ratio=0.8)
    assert poor.electric_kw == pytest.approx(FULL_KW / 0.8)
    assert unit_power(HP1, MAPS["hp1"], RUNS, meter_kw=FULL_KW / 0.8, cop_ratio=0.8).loop_heat_kw == pytest.approx(
        DIRECT.heat_kw
    )
    kind = Estimate(value=0.8, lower=0.75, upper=0.85, count=100, why="learned")
    all_kw = present_power(
        SITE, MAPS, {"hp1": now}, meters_kw=NO_METERS, corrections=Corrections(cop={"hp1": kind})
    ).units_kw
    assert all_kw == pytest.approx(FULL_KW / 0.8 + HP1.pump_kw)


def test_the_heat_of_a_unit_follows_its_power_else_its_load_and_none_while_it_fills_a_tank() -> None:
    def heat_kw(now: UnitNow, meter_kw: float | None) -> float:
        return unit_power(HP1, MAPS["hp1"], now, meter_kw=meter_kw).loop_heat_kw

    assert heat_kw(RUNS, FULL_KW) == pytest.approx(DIRECT.heat_kw)
    assert heat_kw(replace(RUNS, electric_kw=None, load_ratio=0.5), None) == pytest.approx(0.5 * DIRECT.heat_kw)
    assert heat_kw(replace(RUNS, electric_kw=None, load_ratio=None), None) == 0.0
    assert heat_kw(replace(RUNS, seen_mode="charge"), FULL_KW) == 0.0
    assert heat_kw(RESTS, 3.0) == 0.0
    assert heat_kw(SILENT, FULL_KW) == pytest.approx(DIRECT.heat_kw), "its meter shows that it runs"
    assert heat_kw(SILENT, None) == 0.0


@given(meters=st.lists(st.one_of(st.none(), st.floats(0.0, 200.0)), min_size=4, max_size=4))
def test_what_is_not_ours_is_a_part_of_all(meters: list[float | None]) -> None:
    units = dict(zip(SITE.units, (RUNS, ON_ITS_PANEL, SILENT, RESTS), strict=True))
    found = present_power(SITE, MAPS, units, meters_kw=dict(zip(SITE.units, meters, strict=True)))
    assert found.units_kw is not None
    assert 0.0 <= found.not_ours_kw <= found.units_kw + 1e-9
    assert 0.0 <= sum(found.not_ours_heat_kw.values()) <= 2.0 * DIRECT.heat_kw + 1e-6
    ours = present_power(SITE, MAPS, dict.fromkeys(SITE.units, RUNS), meters_kw=NO_METERS)
    assert ours.not_ours_kw == 0.0
    assert set(ours.not_ours_heat_kw.values()) == {0.0}


def test_one_that_runs_and_tells_nothing_leaves_the_whole_unknown_unless_it_is_not_ours() -> None:
    mute = replace(RUNS, electric_kw=None, load_ratio=None)
    assert present_power(SITE, MAPS, {"hp1": mute, "hp2": RESTS}, meters_kw=NO_METERS).units_kw is None
    assert present_power(SITE, MAPS, {"hp1": SILENT, "hp2": RESTS}, meters_kw=NO_METERS).units_kw == 0.0
