"""Registers and numbers: every type and order goes there and back; what is no number never becomes one."""

import math
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.codec import FACTOR, OFFSET, PointCodec
from drivers.errors import GiveUpPoint
from drivers.profile import INSIDE_UNIT
from drivers.profile_file import parse_profile
from drivers.sample import Cause

INTEGERS = {"u16": (0, 2**16 - 1), "i16": (-(2**15), 2**15 - 1), "u32": (0, 2**32 - 1), "i32": (-(2**31), 2**31 - 1)}
INTEGERS |= {"u64": (0, 2**64 - 1), "i64": (-(2**63), 2**63 - 1)}
ORDERS = st.sampled_from(["high_first", "low_first"])


def codec(**point: Any) -> PointCodec:  # noqa: ANN401 - any entry of a point
    entry = {"zh": "x", "en": "x", "function": 3, "address": 10} | point
    if "parts" in entry:
        del entry["address"]
    head = {
        "zh": "x",
        "en": "x",
        "maker": "x",
        "category": "x",
        "level": "documented",
        "confidence": "low",
        "sources": ["x"],
    }
    return PointCodec(parse_profile(head | {"points": {"p": entry}}, name="x").points["p"])


def words(layout: str, *values: float) -> tuple[int, ...]:
    data = struct.pack(layout, *values)
    return struct.unpack(f">{len(data) // 2}H", data)


@settings(max_examples=200)
@given(kind=st.sampled_from(sorted(INTEGERS)), word=ORDERS, byte=ORDERS, data=st.data())
def test_integers_of_all_types_and_orders_go_there_and_back(
    kind: str, word: str, byte: str, data: st.DataObject
) -> None:
    low, high = INTEGERS[kind]
    # A float carries whole numbers exactly up to 2^53; longer totals are rounded to that.
    value = data.draw(st.integers(max(low, -(2**53)), min(high, 2**53)))
    point = codec(type=kind, word_order=word, byte_order=byte)
    registers = point.encode(value)
    assert all(0 <= register <= 0xFFFF for register in registers)
    assert point.decode(registers) == (value, Cause.NONE)


@settings(max_examples=100)
@given(digits=st.integers(1, 8), word=ORDERS, byte=ORDERS, data=st.data())
def test_decimal_digits_go_there_and_back(digits: int, word: str, byte: str, data: st.DataObject) -> None:
    value = data.draw(st.integers(0, 10**digits - 1))
    point = codec(type="bcd16" if digits <= 4 else "bcd32", word_order=word, byte_order=byte)
    registers = point.encode(value)
    assert point.decode(registers) == (value, Cause.NONE)
    if word == byte == "high_first":
        assert "".join(f"{register:04x}" for register in registers) == f"{value:0{4 * len(registers)}d}"


@settings(max_examples=200)
@given(raw=st.integers(0, 2**32 - 1), kind=st.sampled_from(["bcd16", "bcd32"]))
def test_a_digit_above_nine_is_no_number(raw: int, kind: str) -> None:
    registers = (raw >> 16, raw & 0xFFFF) if kind == "bcd32" else (raw & 0xFFFF,)
    shown = "".join(f"{register:04x}" for register in registers)
    expected = (float(shown), Cause.NONE) if shown.isdecimal() else (None, Cause.CANNOT_DECODE)
    assert codec(type=kind).decode(registers) == expected


@pytest.mark.parametrize("value", [-1, 10_000])
def test_what_four_digits_cannot_hold_is_not_encoded(value: float) -> None:
    with pytest.raises(GiveUpPoint, match="does not fit"):
        codec(type="bcd16").encode(value)


@settings(max_examples=100)
@given(value=st.floats(width=32, allow_nan=False, allow_infinity=False), word=ORDERS, byte=ORDERS)
def test_floats_of_all_orders_go_there_and_back(value: float, word: str, byte: str) -> None:
    point = codec(type="f32", word_order=word, byte_order=byte)
    assert point.decode(point.encode(value)) == (value, Cause.NONE)


@pytest.mark.parametrize(
    ("word", "byte", "registers"),
    [
        ("high_first", "high_first", (0x1234, 0x5678)),  # ABCD
        ("low_first", "high_first", (0x5678, 0x1234)),  # CDAB
        ("high_first", "low_first", (0x3412, 0x7856)),  # BADC
        ("low_first", "low_first", (0x7856, 0x3412)),  # DCBA
    ],
)
def test_the_four_orders_of_a_long_value(word: str, byte: str, registers: tuple[int, ...]) -> None:
    point = codec(type="u32", word_order=word, byte_order=byte)
    assert point.decode(registers) == (0x12345678, Cause.NONE)
    assert point.encode(0x12345678) == registers


@settings(max_examples=200)
@given(
    kind=st.sampled_from(["u16", "i16", "u32", "i32"]),
    scale=st.sampled_from([0.001, 0.01, 0.1, 0.0625, 0.5, 1, 10, -0.1]),
    unit=st.sampled_from(sorted(INSIDE_UNIT)),
    data=st.data(),
)
def test_encoding_is_within_half_a_count(kind: str, scale: float, unit: str, data: st.DataObject) -> None:
    low, high = INTEGERS[kind]
    point = codec(type=kind, scale=scale, unit=unit)
    count = abs(scale * float(FACTOR.get(unit, 1)))
    raw = data.draw(st.floats(low + 1, high - 1))
    value = raw * scale * float(FACTOR.get(unit, 1)) + OFFSET.get(unit, 0.0)
    decoded, cause = point.decode(point.encode(value))
    assert cause is Cause.NONE
    assert decoded is not None
    assert abs(decoded - value) <= 0.5 * count * (1 + 1e-6) + abs(value) * 1e-12


@settings(max_examples=300)
@given(
    kind=st.sampled_from([*sorted(INTEGERS), "f32"]),
    registers=st.lists(st.integers(0, 0xFFFF), min_size=4, max_size=4),
    scale=st.sampled_from([1.0, 0.01, 1e12, -1e-12]),
    word=ORDERS,
)
def test_any_registers_give_a_finite_number_or_a_cause(
    kind: str, registers: list[int], scale: float, word: str
) -> None:
    point = codec(type=kind, scale=scale, word_order=word)
    value, cause = point.decode(registers[: point.count])
    assert (value is None) != (cause is Cause.NONE)
    assert value is None or math.isfinite(value)


@pytest.mark.parametrize(
    ("pattern", "cause"),
    [(0x7FC00000, Cause.INVALID_MARK), (0x7F800000, Cause.CANNOT_DECODE), (0xFF800000, Cause.CANNOT_DECODE)],
)
def test_nan_and_infinity_never_pass(pattern: int, cause: Cause) -> None:
    assert codec(type="f32").decode((pattern >> 16, pattern & 0xFFFF)) == (None, cause)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_number_is_not_written(value: float) -> None:
    with pytest.raises(GiveUpPoint):
        codec(type="f32").encode(value)


@pytest.mark.parametrize(
    ("kind", "value"), [("u16", -1), ("u16", 65536), ("i16", 32768), ("u32", 2**32), ("f32", 1e39)]
)
def test_what_does_not_fit_is_not_written(kind: str, value: float) -> None:
    with pytest.raises(GiveUpPoint):
        codec(type=kind).encode(value)


def test_marks_mean_no_value_in_either_spelling() -> None:
    assert codec(type="i16", invalid=[0x8000]).decode((0x8000,)) == (None, Cause.INVALID_MARK)
    assert codec(type="i16", invalid=[-32768]).decode((0x8000,)) == (None, Cause.INVALID_MARK)
    assert codec(type="i16", invalid=[0x7FFF], scale=0.01).decode((0x7FFE,)) == (327.66, Cause.NONE)
    assert codec(type="f32", invalid=[-999.0]).decode(words(">f", -999.0)) == (None, Cause.INVALID_MARK)
    with pytest.raises(GiveUpPoint, match="no value"):
        codec(type="i16", invalid=[0x7FFF]).encode(0x7FFF)


def test_scaled_decimals_are_as_clean_as_on_the_screen() -> None:
    point = codec(type="u16", scale=0.1)
    assert [point.decode((raw,))[0] for raw in (3, 7, 2301)] == [0.3, 0.7, 230.1]


@pytest.mark.parametrize(
    ("unit", "raw", "inside"),
    [
        ("W", 1500, 1.5),
        ("GJ/h", 36, 10000.0),
        ("GJ", 36, 10000.0),
        ("MJ", 36, 10.0),
        ("Wh", 2500, 2.5),
        ("MWh", 2, 2000.0),
        ("degF", 212, 100.0),
        ("bar", 2, 200.0),
        ("MPa", 1, 1000.0),
        ("L/s", 10, 36.0),
        ("L/min", 100, 6.0),
        ("L/h", 500, 0.5),
        ("L", 500, 0.5),
        ("var", 1500, 1.5),
        ("VA", 1500, 1.5),
        ("min", 10, 600.0),
    ],
)
def test_units_of_the_wire_become_units_inside(unit: str, raw: int, inside: float) -> None:
    assert codec(type="u16", unit=unit).decode((raw,))[0] == pytest.approx(inside, rel=1e-12)


def test_every_factor_belongs_to_a_unit_that_changes_its_name() -> None:
    renamed = {wire for wire, inside in INSIDE_UNIT.items() if wire != inside}
    assert set(FACTOR) == renamed
    assert set(OFFSET) <= renamed


def test_parts_are_added_up() -> None:
    total = codec(unit="GJ", parts=[{"address": 16, "type": "i32"}, {"address": 18, "type": "f32"}])
    assert total.count == 4
    assert total.decode((*words(">i", 35), *words(">f", 0.5)))[0] == pytest.approx(35.5 / 0.0036)
    assert total.decode((*words(">i", 35), *words(">f", math.nan))) == (None, Cause.INVALID_MARK)
    halves = codec(parts=[{"address": 4, "type": "u32", "scale": 2**32}, {"address": 6, "type": "u32"}])
    assert halves.decode(words(">Q", 5 * 2**32 + 7)) == (5 * 2**32 + 7, Cause.NONE)
    with pytest.raises(GiveUpPoint, match="several parts"):
        total.encode(1.0)


def test_switches() -> None:
    assert codec(type="bool", function=1).decode((1,)) == (1, Cause.NONE)
    assert codec(type="bool").decode((2,)) == (None, Cause.CANNOT_DECODE)
    assert codec(type="bool", bit=9).decode((0x0200,)) == (1, Cause.NONE)
    assert codec(type="bool", bit=9).decode((0xFDFF,)) == (0, Cause.NONE)
    with pytest.raises(GiveUpPoint):
        codec(type="bool", bit=9).encode(1)
    with pytest.raises(GiveUpPoint):
        codec(type="bool", function=1).encode(2)
