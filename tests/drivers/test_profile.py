"""A profile is strict: what is wrong in it is named by its path of keys, with the nearest known word."""

import copy
from fractions import Fraction
from typing import Any

import pytest

from drivers.errors import ProfileFault
from drivers.profile import Access, FlowNeed, Level, Order, ValueType, override, parse_profile

METER: dict[str, Any] = {
    "zh": "热量表",
    "en": "Heat meter",
    "maker": "nobody",
    "category": "heat_meter",
    "level": "simulated",
    "confidence": "high",
    "sources": ["a manual, page 3"],
    "word_order": "low_first",
    "limits": {"registers_max": 60, "forbidden": [{"function": 3, "first": 48, "last": 50}]},
    "points": {
        "flow": {"zh": "流量", "en": "Flow", "function": 3, "address": 0, "type": "f32", "unit": "m3/h"},
        "total": {
            "zh": "累积",
            "en": "Total",
            "function": 3,
            "unit": "GJ",
            "parts": [{"address": 8, "type": "i32"}, {"address": 10, "type": "f32", "word_order": "high_first"}],
        },
        "supply": {
            "zh": "供水",
            "en": "Supply",
            "function": 3,
            "address": 32,
            "type": "i16",
            "scale": 0.1,
            "unit": "degC",
            "range": [-40, 150],
            "period_s": 30,
            "needs_flow": {"point": "flow", "min": 1.5},
        },
        "setpoint": {
            "zh": "设定",
            "en": "Set-point",
            "function": 3,
            "address": 40,
            "type": "i16",
            "scale": 0.1,
            "unit": "degC",
            "access": "rw",
            "write": {"function": 6, "min": 35, "max": 58.0, "step": 0.5, "per_hour": 6},
        },
    },
}


def with_change(*path: str, value: object) -> dict[str, Any]:
    data = copy.deepcopy(METER)
    here = data
    for step in path[:-1]:
        here = here[step]
    here[path[-1]] = value
    return data


def test_a_profile_says_everything_about_its_points() -> None:
    profile = parse_profile(METER, name="meter")
    assert (profile.name, profile.zh, profile.level) == ("meter", "热量表", Level.SIMULATED)
    assert profile.limits.forbidden == ((3, 48, 50),)
    assert list(profile.points) == ["flow", "total", "supply", "setpoint"]

    total = profile.points["total"]
    assert (total.wire_unit, total.unit, total.first, total.count) == ("GJ", "kWh", 8, 4)
    assert [part.word_order for part in total.parts] == [Order.LOW_FIRST, Order.HIGH_FIRST]

    supply = profile.points["supply"]
    assert supply.parts[0].type is ValueType.I16
    assert supply.parts[0].scale == Fraction(1, 10), "the decimal of the file, not the nearest binary fraction"
    assert supply.needs_flow == FlowNeed("flow", 1.5)
    assert (supply.period_s, supply.value_range, supply.access) == (30, (-40, 150), Access.READ)

    rule = profile.points["setpoint"].write
    assert rule is not None
    assert (rule.state_point, rule.tolerance, rule.per_hour) == ("setpoint", 0.25, 6)
    assert profile.points["setpoint"].bounds == (35, 58)
    assert profile.points["flow"].bounds is None


@pytest.mark.parametrize(
    ("path", "value", "at", "code", "says"),
    [
        (("makr",), "x", ("makr",), "profile_unknown_key", "did you mean 'maker'"),
        (("limits", "register_max"), 4, ("limits", "register_max"), "profile_unknown_key", "'registers_max'"),
        (("points", "flow", "adress"), 4, ("points", "flow", "adress"), "profile_unknown_key", "'address'"),
        (
            ("points", "setpoint", "write", "maxi"),
            4,
            ("points", "setpoint", "write", "maxi"),
            "profile_unknown_key",
            "'max'",
        ),
        (("points", "flow", "type"), "float", ("points", "flow", "type"), "profile_bad_value", "'f32'"),
        (("points", "flow", "address"), "0", ("points", "flow", "address"), "profile_bad_value", "integer"),
        (("points", "flow", "address"), 70000, ("points", "flow", "address"), "profile_bad_value", "65535"),
        (("points", "flow", "address"), None, ("points", "flow"), "profile_missing_key", "'address'"),
        (("points", "flow", "address"), 65535, ("points", "flow", "address"), "profile_bad_value", "beyond"),
        (("points", "flow", "unit"), "m3h", ("points", "flow", "unit"), "profile_bad_value", "'m3/h'"),
        (("points", "flow", "scale"), float("nan"), ("points", "flow", "scale"), "profile_bad_value", "finite"),
        (("points", "flow", "scale"), 0, ("points", "flow", "scale"), "profile_bad_value", "scale is 0"),
        (("points", "flow", "function"), 1, ("points", "flow", "type"), "profile_bad_value", "bits"),
        (("points", "flow", "bit"), 3, ("points", "flow", "bit"), "profile_bad_value", "bool"),
        (("points", "flow", "address"), 49, ("points", "flow"), "profile_bad_value", "forbidden"),
        (("points", "flow", "access"), "rw", ("points", "flow", "access"), "profile_bad_value", "contradict"),
        (("points", "flow", "times"), ["ct"], ("points", "flow", "times"), "profile_unknown_point", "no point 'ct'"),
        (("points", "flow", "times"), ["flow"], ("points", "flow", "times"), "profile_bad_value", "itself"),
        (("points", "total", "scale"), 2, ("points", "total", "scale"), "profile_bad_value", "parts"),
        (("points", "supply", "range"), [5, 5], ("points", "supply", "range"), "profile_bad_value", "empty"),
        (
            ("points", "supply", "needs_flow", "point"),
            "flwo",
            ("points", "supply", "needs_flow"),
            "profile_unknown_point",
            "'flow'",
        ),
        (
            ("points", "setpoint", "type"),
            "i32",
            ("points", "setpoint", "write", "function"),
            "profile_bad_value",
            "one register",
        ),
        (
            ("points", "setpoint", "write", "function"),
            5,
            ("points", "setpoint", "write", "function"),
            "profile_bad_value",
            "does not write",
        ),
        (
            ("points", "setpoint", "write", "min"),
            60,
            ("points", "setpoint", "write", "min"),
            "profile_bad_value",
            "above max",
        ),
        (
            ("points", "setpoint", "write", "state_point"),
            "set",
            ("points", "setpoint", "write"),
            "profile_unknown_point",
            "no point",
        ),
        (("points",), {}, ("points",), "profile_bad_value", "at least 1"),
        (("limits", "registers_max"), 3, ("points", "total"), "profile_bad_value", "needs 4 registers"),
    ],
)
def test_faults_name_path_and_cure(
    path: tuple[str, ...], value: object, at: tuple[str, ...], code: str, says: str
) -> None:
    with pytest.raises(ProfileFault) as caught:
        parse_profile(with_change(*path, value=value), name="meter")
    assert (caught.value.at, caught.value.code) == (at, code)
    assert says in str(caught.value)


def test_a_missing_key_points_at_its_mapping() -> None:
    data = copy.deepcopy(METER)
    del data["points"]["flow"]["function"]
    with pytest.raises(ProfileFault, match=r"function") as caught:
        parse_profile(data, name="meter")
    assert (caught.value.at, caught.value.code) == (("points", "flow"), "profile_missing_key")


def test_an_atomic_group_must_fit_into_one_read() -> None:
    data = with_change("points", "flow", "atomic", value="g")
    data["points"]["supply"]["atomic"] = "g"
    parse_profile(data, name="meter")
    data["limits"]["registers_max"] = 20
    with pytest.raises(ProfileFault, match="needs 33 registers"):
        parse_profile(data, name="meter")
    data["points"]["supply"]["function"] = 4
    with pytest.raises(ProfileFault, match="several function codes"):
        parse_profile(data, name="meter")


def test_override_changes_single_keys_and_leaves_the_profile_alone() -> None:
    profile = parse_profile(METER, name="meter")
    changed = override(profile, {"supply": {"scale": 0.01}, "setpoint": {"write": {"max": 50}}})
    assert changed.points["supply"].parts[0].scale == Fraction(1, 100)
    assert changed.points["setpoint"].bounds == (35, 50)
    assert profile.points["supply"].parts[0].scale == Fraction(1, 10)
    assert profile.points["setpoint"].bounds == (35, 58)
    assert changed.points["flow"] == profile.points["flow"]


@pytest.mark.parametrize(
    ("points", "at", "says"),
    [
        ({"suply": {"scale": 1}}, ("suply",), "did you mean 'supply'"),
        ({"supply": {"scal": 1}}, ("supply", "scal"), "did you mean 'scale'"),
        ({"supply": 5}, ("supply",), "mapping"),
        ({"supply": {"scale": "1"}}, ("supply", "scale"), "number"),
    ],
)
def test_a_wrong_override_is_named_from_the_point_on(points: Any, at: tuple[str, ...], says: str) -> None:  # noqa: ANN401 - any YAML
    with pytest.raises(ProfileFault, match=says) as caught:
        override(parse_profile(METER, name="meter"), points)
    assert caught.value.at == at
