"""Every shipped profile is loaded and used: planned, decoded, and written at its bounds."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from drivers.catalogue import SHIPPED_DIR, find, shipped
from drivers.codec import PointCodec
from drivers.errors import ProfileFault
from drivers.profile import Access, Level, Profile
from drivers.read_plan import LineCost, Span, Want, read_plan
from drivers.sample import Cause

SLOW = LineCost.serial(baud=9600, bits_per_character=10, turnaround_s=0.020)
NETWORK = LineCost.tcp(turnaround_s=0.005)
READS = {
    "abb_acx580": (1, 1),
    "acrel_adl3000": (3, 2),
    "acrel_adw300": (2, 1),
    "carrier_23xrv_pic6": (13, 13),
    "carrier_30xv": (1, 1),
    "chint_dtsu666": (4, 3),
    "chint_dtsu666_unscaled": (4, 3),
    "daikin_homehub": (2, 2),
    "danfoss_fc102": (9, 9),
    "danfoss_fc51": (6, 6),
    "diehl_sharky_775": (3, 2),
    "dimplex_wpm_nwpm": (4, 3),
    "eas_ech_r32_modular": (3, 2),
    "eastron_sdm630": (3, 3),
    "generic_ground_unit": (2, 2),
    "generic_ground_unit_setpoint": (3, 3),
    "generic_station_io": (2, 2),
    "generic_unit_contacts": (4, 4),
    "generic_unit_stages": (2, 2),
    "idm_navigator": (5, 4),
    "kamstrup_multical_legacy": (3, 2),
    "kamstrup_multical_x03_default": (1, 1),
    "lambda_eureka": (7, 4),
    "lambda_eureka_1_1_3": (7, 4),
    "lg_therma_v": (3, 2),
    "mag11_heat": (3, 3),
    "nibe_s_series": (15, 11),
    "pzem016": (1, 1),
    "schneider_pm5xxx": (2, 2),
    "siemens_landisgyr_uh50_wzu485e": (1, 1),
    "stiebel_isg_lwz": (3, 3),
    "stiebel_isg_wpm": (3, 3),
    "trane_rthd_ch530_pic": (4, 4),
    "tuf2000m": (2, 2),
    "wb_m1w2": (1, 1),
    "xy_md0x": (1, 1),
    "york_ylaa_ipu2": (2, 2),
    "york_yvag": (2, 1),
}
"""Requests for all points of a model at 9600 baud and on a network; a new profile adds its line here."""
CATEGORIES = {"heat_meter", "electricity_meter", "heat_pump", "chiller", "vfd", "temperature_module", "station_io"}
NOT_FOR_WRITING = {"heat_meter", "electricity_meter", "temperature_module"}
CHINESE = re.compile("[\u4e00-\u9fff]")


def wants(profile: Profile) -> list[Want]:
    return [
        Want((spec.name,), Span(spec.function, spec.first, spec.count))
        for spec in profile.points.values()
        if spec.access is not Access.WRITE
    ]


def assert_both_languages(zh: str, en: str) -> None:
    assert CHINESE.search(zh) or zh == zh.upper(), zh
    assert en, zh
    assert not CHINESE.search(en), en
    assert zh != en


def test_the_list_is_complete() -> None:
    assert sorted(shipped()) == sorted(READS)
    assert {path.suffix for path in SHIPPED_DIR.iterdir()} == {".yaml"}
    real = [name for name in shipped() if not name.startswith("generic_")]
    assert len(real) >= 24, "real models"


@pytest.mark.parametrize("name", sorted(READS))
def test_a_shipped_profile_says_it_in_both_languages(name: str, shipped_profiles: Mapping[str, Profile]) -> None:
    profile = shipped_profiles[name]
    assert profile.level in (Level.DOCUMENTED, Level.SIMULATED), "recordings of real units do not exist yet"
    assert profile.category in CATEGORIES
    assert all(profile.sources)
    assert profile.quirks, "every model has something that bites"
    words = [(profile.zh, profile.en)]
    words += [(quirk.zh, quirk.en) for quirk in profile.quirks]
    for spec in profile.points.values():
        words.append((spec.zh, spec.en))
        words += [(word.zh, word.en) for word in spec.values.values()]
    for zh, en in words:
        assert_both_languages(zh, en)
    names = [spec.zh for spec in profile.points.values()]
    assert len(set(names)) == len(names), "two points with one Chinese name"


@pytest.mark.parametrize("name", sorted(READS))
def test_the_plan_of_a_shipped_profile_is_legal(name: str, shipped_profiles: Mapping[str, Profile]) -> None:
    profile = shipped_profiles[name]
    limits = profile.limits
    for cost, count in zip((SLOW, NETWORK), READS[name], strict=True):
        reads = read_plan(wants(profile), cost=cost, limits=limits)
        assert len(reads) == count
        asked = {point for read in reads for point in read.names}
        assert asked == {spec.name for spec in profile.points.values() if spec.access is not Access.WRITE}
        for read in reads:
            span = read.span
            assert span.count <= (2000 if span.function <= 2 else limits.registers_max)
            assert limits.block_read or len(read.names) == 1
            assert not limits.functions or span.function in limits.functions
            assert limits.first is None or span.address >= limits.first
            assert limits.last is None or span.end - 1 <= limits.last
            for function, first, last in limits.forbidden:
                assert function != span.function or span.end <= first or span.address > last
            inside = [profile.points[point] for point in read.names]
            # A read that began or ended inside a number would return torn words (T550 with WZU-485E-MOD).
            assert span.address in {spec.first for spec in inside}
            assert span.end in {spec.first + spec.count for spec in inside}


@pytest.mark.parametrize("name", sorted(READS))
def test_what_a_shipped_profile_lets_us_write_fits(name: str, shipped_profiles: Mapping[str, Profile]) -> None:
    profile = shipped_profiles[name]
    for spec in profile.points.values():
        if spec.write is None:
            continue
        assert profile.category not in NOT_FOR_WRITING, "meters are never written"
        codec = PointCodec(spec)
        rule = spec.write
        legal = [rule.value_min, rule.value_max]
        legal += [bound for pair in (rule.limits_by.values.values() if rule.limits_by else ()) for bound in pair]
        legal += list(rule.state_values) + [rule.safe] * (rule.safe is not None)
        for value in legal:
            back = codec.decode(codec.encode(value))[0]
            assert back == pytest.approx(value, abs=max(rule.tolerance, 1e-9))
            assert spec.value_range is None or spec.value_range[0] <= value <= spec.value_range[1]
        assert rule.value_min in spec.values or not spec.values, "a coded point is bounded by its codes"
        assert rule.value_max in spec.values or not spec.values
        if rule.limits_by is not None:
            assert set(rule.limits_by.values) <= set(profile.points[rule.limits_by.point].values)
        if not name.startswith("generic_"):
            worn = rule.per_hour is not None or rule.per_day is not None
            assert rule.volatile or worn, f"{spec.name}: either it lies in RAM, or writes are counted"


def test_zero_registers_are_a_number_or_no_value(shipped_profiles: Mapping[str, Profile]) -> None:
    for name, profile in shipped_profiles.items():
        for spec in profile.points.values():
            codec = PointCodec(spec)
            value, cause = codec.decode((0,) * codec.count)
            assert (value == 0) is (cause is Cause.NONE), (name, spec.name)


def test_the_smaller_unit_differs_by_the_capacity_limit_only(shipped_profiles: Mapping[str, Profile]) -> None:
    big, small = shipped_profiles["generic_ground_unit"], shipped_profiles["generic_ground_unit_setpoint"]
    assert set(big.points) - set(small.points) == {"capacity_limit"}
    assert all(big.points[name] == spec for name, spec in small.points.items())


def test_a_plants_own_profile_goes_first(tmp_path: Path) -> None:
    own = tmp_path / "tuf2000m.yaml"
    own.touch()
    assert find("tuf2000m", None) == SHIPPED_DIR / "tuf2000m.yaml"
    assert find("tuf2000m", tmp_path) == own
    assert find("xy_md0x", tmp_path / "absent") == SHIPPED_DIR / "xy_md0x.yaml"
    with pytest.raises(ProfileFault, match="did you mean 'tuf2000m'") as caught:
        find("tuf2000", tmp_path)
    assert caught.value.code == "profile_unknown"
