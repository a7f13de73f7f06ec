"""Changing one point in devices.yaml: that place alone, comments stay, and what is not certain is refused."""

import pytest

from edge_agent.errors import ConfigurationFault
from edge_agent.settings.patch import flow, with_point

KEYS = {"address": 31, "scale": 0.1}
FORMS = {
    "flow": "  m: {bus: b, unit: 1, profile: p, period_s: 5}   # 注释 {\n",
    "flow, trailing comma": "  m: {bus: b, unit: 1, profile: p, period_s: 5, }\n",
    "flow with points": "  m: {bus: b, unit: 1, profile: p, period_s: 5, points: {other: {scale: 10}}}\n",
    "flow with the point": "  m: {bus: b, points: {total: {scale: 10, unit: GJ}}, unit: 1, profile: p, period_s: 5}\n",
    "block": "  m:   # mine\n    bus: b\n    unit: 1   # one\n    profile: p\n    period_s: 5\n",
    "block with points": "  m:\n    bus: b\n    points:\n      other: {scale: 10}   # ten\n    unit: 1\n",
    "quoted brace": '  m: {bus: "b}", unit: 1, profile: p, period_s: 5}\n',
    "several lines": "  m: {bus: b, unit: 1,   # } here\n      profile: p, period_s: 5}\n",
}
HEAD = (
    "# 总线 / buses\nbuses: {b: {serial: /dev/x}}\ndevices:   # 设备\n  a: {bus: b, unit: 9, profile: p, period_s: 5}\n"
)
TAIL = "  z: {bus: b, unit: 8, profile: p, period_s: 5}   # the last\n"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_only_that_place_changes(form: str, ending: str) -> None:
    before = (HEAD + FORMS[form] + TAIL).replace("\n", ending)
    after = with_point(before, device="m", point="total", keys=KEYS, file="devices.yaml")
    assert after.startswith(HEAD.replace("\n", ending))
    assert after.endswith(TAIL.replace("\n", ending))
    for comment in ("# 注释 {", "# mine", "# one", "# ten", "# } here"):
        assert (comment in after) == (comment in before)
    assert "address: 31" in after
    if form == "flow with the point":
        assert "total: {scale: 0.1, unit: GJ, address: 31}" in after
    again = with_point(after, device="m", point="total", keys=KEYS, file="devices.yaml")
    assert again == after


@pytest.mark.parametrize(
    "entry", ["  m:\n    bus: b\n    points:\n      total:\n        scale: 10\n", "  m: {bus: b, points: null}\n"]
)
def test_what_cannot_be_changed_in_place_is_refused_with_the_line_to_write(entry: str) -> None:
    with pytest.raises(ConfigurationFault, match="address: 31"):
        with_point(HEAD + entry + TAIL, device="m", point="total", keys=KEYS, file="devices.yaml")


def test_an_unknown_device_and_a_broken_file_are_refused() -> None:
    with pytest.raises(ConfigurationFault, match="nobody"):
        with_point(HEAD, device="nobody", point="total", keys=KEYS, file="devices.yaml")
    with pytest.raises(ConfigurationFault):
        with_point("devices: {", device="m", point="total", keys=KEYS, file="devices.yaml")


def test_values_on_one_line() -> None:
    assert flow({"a": 1, "b": 0.1, "c": "low_first", "d": None, "e": [{"f": "8E1"}], "g": "on", "h": "m3/h"}) == (
        '{a: 1, b: 0.1, c: low_first, d: null, e: [{f: "8E1"}], g: "on", h: m3/h}'
    )
