"""Physics tells right definitions from wrong ones by the meter's own values."""

import pytest
from ruamel.yaml import YAML

from drivers.catalogue import shipped
from drivers.commissioning.physics import check, monotonic
from drivers.profile import Profile
from drivers.profile_file import parse_profile


def profile(name: str) -> Profile:
    return parse_profile(YAML().load(shipped()[name].read_text(encoding="utf-8")), name=name)


HEAT = {"flow": 50.0, "supply_temperature": 45.0, "return_temperature": 35.0, "heat_power": 574.5}
POWER = {
    **{f"voltage_{phase}": 230.0 for phase in "abc"},
    **{f"current_{phase}": 200.0 for phase in "abc"},
    "power_factor": 0.95,
    "electric_power": 131.1,
    "frequency": 50.0,
}


@pytest.mark.parametrize("power_kw", [574.5, -574.5, 560.0])
def test_a_heat_meter_agrees_with_itself(power_kw: float) -> None:
    (found,) = check({**HEAT, "heat_power": power_kw}, profile=profile("tuf2000m"))
    assert (found.code, found.holds) == ("heat_balance", True)


@pytest.mark.parametrize("wrong", [574.5 / 3.6, 574.5 * 3.6, 5745.0, 57.45])
def test_gigajoules_for_kilowatt_hours_or_a_factor_of_ten_do_not_pass(wrong: float) -> None:
    (found,) = check({**HEAT, "heat_power": wrong}, profile=profile("tuf2000m"))
    assert not found.holds


def test_without_a_spread_nothing_is_said() -> None:
    assert check({**HEAT, "return_temperature": 45.0, "heat_power": 0.0}, profile=profile("tuf2000m")) == []


def test_an_electricity_meter_agrees_with_itself() -> None:
    found = {one.code: one.holds for one in check(POWER, profile=profile("acrel_adl3000"))}
    assert found == {"voltage": True, "frequency": True, "volt_ampere": True}


@pytest.mark.parametrize(
    ("point", "value", "law"),
    [("electric_power", 13.11, "volt_ampere"), ("voltage_a", 23.0, "voltage"), ("frequency", 5.0, "range")],
)
def test_a_wrong_scale_shows(point: str, value: float, law: str) -> None:
    broken = {one.code for one in check({**POWER, point: value}, profile=profile("acrel_adl3000")) if not one.holds}
    assert law in broken


def test_totals_only_grow() -> None:
    meter = profile("acrel_adl3000")
    assert [one.holds for one in monotonic({"energy_total": 10.0}, {"energy_total": 11.0}, profile=meter)] == [True]
    assert [one.holds for one in monotonic({"energy_total": 10.0}, {"energy_total": 9.0}, profile=meter)] == [False]
