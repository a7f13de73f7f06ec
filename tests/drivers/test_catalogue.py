"""Every shipped profile is loaded and used: planned, decoded, and written at its bounds."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from drivers.catalogue import SHIPPED_DIR, find, shipped
from drivers.codec import PointCodec
from drivers.errors import ProfileFault
from drivers.profile import Access, Level, Profile
from drivers.profile_file import parse_profile
from drivers.read_plan import LineCost, Span, Want, read_plan

SLOW = LineCost.serial(baud=9600, bits_per_character=10, turnaround_s=0.020)
READS_AT_9600 = {
    "acrel_adl3000": 3,
    "eastron_sdm630": 2,
    "generic_ground_unit": 2,
    "generic_ground_unit_setpoint": 3,
    "generic_station_io": 2,
    "mag11_heat": 2,
    "tuf2000m": 1,
    "wb_m1w2": 1,
    "xy_md0x": 1,
}
"""Requests for all points of a model on a 9600 baud line; a new profile adds its line here."""


def load(name: str) -> Profile:
    return parse_profile(YAML().load(shipped()[name].read_text(encoding="utf-8")), name=name)


def test_the_list_is_complete() -> None:
    assert sorted(shipped()) == sorted(READS_AT_9600)
    assert {path.suffix for path in SHIPPED_DIR.iterdir()} == {".yaml"}


@pytest.mark.parametrize("name", sorted(READS_AT_9600))
def test_a_shipped_profile_is_complete_and_usable(name: str) -> None:
    profile = load(name)
    assert profile.level in (Level.DOCUMENTED, Level.SIMULATED), "recordings of real units do not exist yet"
    wants = []
    for spec in profile.points.values():
        assert spec.zh != spec.en
        codec = PointCodec(spec)
        value, _ = codec.decode((0,) * codec.count)
        assert value == 0
        if spec.access is not Access.WRITE:
            wants.append(Want((spec.name,), Span(spec.function, codec.first, codec.count)))
        if spec.bounds is not None:
            for bound in spec.bounds:
                assert codec.decode(codec.encode(bound))[0] == pytest.approx(bound)
    assert len(read_plan(wants, cost=SLOW, limits=profile.limits)) == READS_AT_9600[name]


def test_meters_cannot_be_written() -> None:
    for name in shipped():
        profile = load(name)
        if not name.startswith("generic_"):
            assert not any(spec.write for spec in profile.points.values()), name


def test_the_smaller_unit_differs_by_the_capacity_limit_only() -> None:
    big, small = load("generic_ground_unit"), load("generic_ground_unit_setpoint")
    assert set(big.points) - set(small.points) == {"capacity_limit"}
    assert all(big.points[name] == spec for name, spec in small.points.items())


def test_known_registers_of_real_meters() -> None:
    """Values as the makers' tables give them. Source: TUF-2000F manual 5.1.1; 2FLOW MAG 11 manual page 47."""
    tuf = load("tuf2000m").points
    power = PointCodec(tuf["heat_power"])
    assert (power.first, power.spec.unit) == (2, "kW")
    assert power.decode((0x6666, 0x3FE6))[0] == pytest.approx(500.0, rel=1e-6)  # 1.8 GJ/h, low word first
    mag = PointCodec(load("mag11_heat").points["heat_total"])
    assert (mag.first, mag.count) == (516, 4)
    assert mag.decode((0, 1, 0, 0))[0] == pytest.approx(2**32 / 1000)


def test_a_plants_own_profile_goes_first(tmp_path: Path) -> None:
    own = tmp_path / "tuf2000m.yaml"
    own.touch()
    assert find("tuf2000m", None) == SHIPPED_DIR / "tuf2000m.yaml"
    assert find("tuf2000m", tmp_path) == own
    assert find("xy_md0x", tmp_path / "absent") == SHIPPED_DIR / "xy_md0x.yaml"
    with pytest.raises(ProfileFault, match="did you mean 'tuf2000m'") as caught:
        find("tuf2000", tmp_path)
    assert caught.value.code == "profile_unknown"
