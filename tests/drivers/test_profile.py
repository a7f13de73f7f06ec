"""A profile is strict: what is wrong in it is named by its path of keys, with the nearest known word."""

import copy
from fractions import Fraction
from typing import Any

import pytest

from drivers.errors import ProfileFault
from drivers.profile import (
    Access,
    Counter,
    FlowNeed,
    HeatBalance,
    Level,
    LimitsBy,
    Line,
    Order,
    Pulse,
    SumCheck,
    Timing,
    Unlock,
    ValueType,
    Words,
)
from drivers.profile_file import override, parse_profile

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

FULL: dict[str, Any] = {
    **{key: METER[key] for key in ("zh", "en", "maker", "category", "level", "confidence", "sources")},
    "quirks": [{"zh": "写入超限的设定会被替换", "en": "A set-point beyond its range is replaced"}],
    "line": {"baud": 9600, "framing": "8E1", "allowed_baud": [2400, 9600], "unit": 1},
    "limits": {"registers_max": 10, "functions": [3, 4], "first": 1, "last": 41, "silent_beyond": True},
    "timing": {"turnaround_s": 0.02, "timeout_s": 0.5, "guard_s": 0.01, "refresh_s": 4, "connect_delay_s": 1},
    "identity": ["serial"],
    "checks": [
        {"kind": "heat_balance", "power": "heat", "flow": "flow", "supply": "supply", "return": "back"},
        {"kind": "sum", "total": "heat", "parts": ["heat_1", "heat_2"], "tolerance_ratio": 0.05, "tolerance": 1},
    ],
    "points": {
        "serial": {"zh": "表号", "en": "Serial number", "function": 4, "address": 1, "type": "bcd32"},
        "heat": {"zh": "功率", "en": "Power", "function": 4, "address": 3, "type": "u16", "unit": "kW"},
        "heat_1": {"zh": "功率1", "en": "Power 1", "function": 4, "address": 4, "type": "u16", "unit": "kW"},
        "heat_2": {"zh": "功率2", "en": "Power 2", "function": 4, "address": 5, "type": "u16", "unit": "kW"},
        "flow": {
            "zh": "流量",
            "en": "Flow",
            "function": 4,
            "address": 6,
            "type": "u16",
            "unit": "m3/h",
            "frozen_s": 600,
        },
        "supply": {"zh": "供水", "en": "Supply", "function": 4, "address": 7, "type": "i16", "unit": "degC"},
        "back": {"zh": "回水", "en": "Return", "function": 4, "address": 8, "type": "i16", "unit": "degC"},
        "total": {
            "zh": "累积",
            "en": "Total",
            "function": 4,
            "address": 10,
            "type": "bcd32",
            "unit": "kWh",
            "counter": {"rolls_over_at": 10000000, "rate_max": 3000},
        },
        "mode": {
            "zh": "模式",
            "en": "Mode",
            "function": 3,
            "address": 20,
            "type": "u16",
            "values": {1: {"zh": "制冷", "en": "cooling"}, 2: {"zh": "制热", "en": "heating"}},
            "access": "rw",
            "write": {"function": 6, "min": 1, "max": 2, "step": 1, "wait_s": 10, "per_day": 24},
        },
        "enable": {
            "zh": "允许",
            "en": "Enable",
            "function": 3,
            "address": 21,
            "type": "u16",
            "access": "rw",
            "write": {"function": 6, "min": 0, "max": 1, "step": 1},
        },
        "setpoint": {
            "zh": "设定",
            "en": "Set-point",
            "function": 3,
            "address": 22,
            "type": "u16",
            "unit": "degC",
            "access": "rw",
            "write": {
                "function": 16,
                "min": 0,
                "max": 55,
                "step": 0.1,
                "deadband": 0.2,
                "volatile": True,
                "keep_alive_s": 60,
                "expiry_s": 600,
                "safe": 25,
                "unlock": [{"point": "enable", "value": 1}],
                "limits_by": {"point": "mode", "values": {1: [0, 20], 2: [25, 55]}},
            },
        },
        "reset": {
            "zh": "复位",
            "en": "Reset",
            "function": 3,
            "address": 23,
            "type": "u16",
            "access": "rw",
            "write": {"function": 6, "min": 0, "max": 1, "pulse": {"reset": 0}},
        },
    },
}
"""Every key that a file may have beyond those of `METER`."""


def with_change(*path: str | int, value: object, start: dict[str, Any] = METER) -> dict[str, Any]:
    data = copy.deepcopy(start)
    here: Any = data
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


def test_a_profile_may_say_how_the_device_bites() -> None:
    profile = parse_profile(FULL, name="full")
    assert profile.quirks == (Words("写入超限的设定会被替换", "A set-point beyond its range is replaced"),)
    assert profile.line == Line(baud=9600, framing="8E1", allowed_baud=(2400, 9600), unit=1)
    assert (profile.limits.functions, profile.limits.first, profile.limits.last) == ((3, 4), 1, 41)
    assert profile.limits.silent_beyond
    assert profile.timing == Timing(turnaround_s=0.02, timeout_s=0.5, guard_s=0.01, refresh_s=4, connect_delay_s=1)
    assert profile.identity == ("serial",)
    assert profile.checks == (
        HeatBalance("heat", "flow", "supply", "back", tolerance_ratio=0.1, tolerance=5.0),
        SumCheck("heat", ("heat_1", "heat_2"), tolerance_ratio=0.05, tolerance=1),
    )
    assert profile.points["flow"].frozen_s == 600
    assert profile.points["total"].counter == Counter(rate_max=3000, rolls_over_at=10_000_000)
    assert profile.points["mode"].values[2] == Words("制热", "heating")
    rule = profile.points["setpoint"].write
    assert rule is not None
    assert (rule.deadband, rule.volatile, rule.keep_alive_s, rule.expiry_s, rule.safe) == (0.2, True, 60, 600, 25)
    assert rule.unlock == (Unlock("enable", 1),)
    assert rule.limits_by == LimitsBy("mode", {1.0: (0, 20), 2.0: (25, 55)})
    pulse = profile.points["reset"].write
    assert pulse is not None
    assert pulse.pulse == Pulse(reset=0)


WRITE = ("points", "setpoint", "write")
TOTAL = ("points", "total", "counter")


@pytest.mark.parametrize(
    ("path", "value", "at", "code", "says"),
    [
        (("notes",), ["x"], ("notes",), "profile_unknown_key", "known"),
        (("quirks",), ["x"], ("quirks", 0), "profile_bad_value", "dictionary"),
        (("quirks", 0, "cn"), "x", ("quirks", 0, "cn"), "profile_unknown_key", "en, zh"),
        (("line", "bauds"), 1, ("line", "bauds"), "profile_unknown_key", "'baud'"),
        (("line", "framing"), "8X1", ("line", "framing"), "profile_bad_value", "8N1"),
        (("limits", "first"), 42, ("limits", "first"), "profile_bad_value", "above last"),
        (("limits", "first"), 2, ("points", "serial"), "profile_bad_value", "outside the device's addresses 2..41"),
        (("limits", "functions"), [3], ("points", "serial", "function"), "profile_bad_value", "none of the device's"),
        (("timing", "refresh_s"), 0, ("timing", "refresh_s"), "profile_bad_value", "greater than 0"),
        (("identity",), ["seral"], ("identity", 0), "profile_unknown_point", "'serial'"),
        (("checks", 0, "kind"), "balance", ("checks", 0), "profile_bad_value", "heat_balance"),
        (("checks", 0, "retrun"), "x", ("checks", 0, "retrun"), "profile_unknown_key", "'return'"),
        (("checks", 1, "part"), "x", ("checks", 1, "part"), "profile_unknown_key", "'parts'"),
        (("checks", 0), {"kind": "sum", "total": "heat"}, ("checks", 0), "profile_missing_key", "parts"),
        (("checks", 0, "flow"), "heat", ("checks", 0, "flow"), "profile_bad_value", "m3/h is needed"),
        (("checks", 0, "return"), "bak", ("checks", 0, "return"), "profile_unknown_point", "'back'"),
        (("checks", 1, "parts"), ["heat_1", "heat"], ("checks", 1, "parts"), "profile_bad_value", "cannot be a part"),
        (TOTAL, {}, TOTAL, "profile_missing_key", "rate_max"),
        ((*TOTAL, "rate"), 1, (*TOTAL, "rate"), "profile_unknown_key", "rate_max"),
        (("points", "mode", "values", 1), "x", ("points", "mode", "values", 1), "profile_bad_value", "dictionary"),
        ((*WRITE, "expiry_s"), None, (*WRITE, "safe"), "profile_bad_value", "needs `expiry_s`"),
        ((*WRITE, "safe"), 60, (*WRITE, "safe"), "profile_bad_value", "outside"),
        ((*WRITE, "unlock", 0, "point"), "flow", (*WRITE, "unlock"), "profile_bad_value", "cannot unlock"),
        ((*WRITE, "unlock", 0, "point"), "enabel", (*WRITE, "unlock"), "profile_unknown_point", "'enable'"),
        ((*WRITE, "unlock", 0, "value"), 2, (*WRITE, "unlock"), "profile_bad_value", "may not be written"),
        ((*WRITE, "limits_by", "values", 2), [25, 60], (*WRITE, "limits_by"), "profile_bad_value", "within min"),
        ((*WRITE, "limits_by", "point"), "moed", (*WRITE, "limits_by"), "profile_unknown_point", "'mode'"),
        (
            ("points", "reset", "write", "expiry_s"),
            60,
            ("points", "reset", "write", "expiry_s"),
            "profile_bad_value",
            "sent once",
        ),
    ],
)  # fmt: skip
def test_faults_of_the_finer_keys(
    path: tuple[str | int, ...], value: object, at: tuple[str | int, ...], code: str, says: str
) -> None:
    with pytest.raises(ProfileFault) as caught:
        parse_profile(with_change(*path, value=value, start=FULL), name="full")
    assert (caught.value.at, caught.value.code) == (at, code)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"expiry_s": None, "safe": None}, "must not be kept alive"),
        ({"keep_alive_s": None, "safe": None}, "ends nothing"),
    ],
)
def test_a_watchdog_is_never_fed_for_ever(changes: dict[str, Any], says: str) -> None:
    data = copy.deepcopy(FULL)
    data["points"]["setpoint"]["write"] |= changes
    with pytest.raises(ProfileFault, match=says):
        parse_profile(data, name="full")
