"""The simulator's own encoder, against struct and known bit patterns."""

import math
import struct

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hil_sim.devices.encode import REGISTER_COUNT, WHOLE_NUMBER_RANGE, Kind, WordOrder, decode, encode

FORMATS: dict[Kind, str] = {"u16": ">H", "i16": ">h", "u32": ">I", "i32": ">i", "u64": ">Q"}
orders = st.sampled_from(["high_first", "low_first"])
whole_kinds = st.sampled_from(sorted(FORMATS))


def words_of(packed: bytes, order: WordOrder) -> tuple[int, ...]:
    words = struct.unpack(f">{len(packed) // 2}H", packed)
    return words if order == "high_first" else words[::-1]


@settings(max_examples=100, deadline=None)
@given(kind=whole_kinds, order=orders, data=st.data())
def test_whole_numbers_lie_as_struct_packs_them(kind: Kind, order: WordOrder, data: st.DataObject) -> None:
    low, high = WHOLE_NUMBER_RANGE[kind]
    value = data.draw(st.integers(low, high) | st.sampled_from([low, high, 0]))
    words = encode(value, kind, order=order)
    assert words == words_of(struct.pack(FORMATS[kind], value), order)
    assert len(words) == REGISTER_COUNT[kind]
    assert decode(words, kind, order=order) == value


@settings(max_examples=100, deadline=None)
@given(value=st.floats(width=32, allow_nan=False, allow_infinity=False), order=orders)
@example(value=-0.0, order="low_first")
def test_singles_lie_as_numpy_lays_them_and_come_back_exactly(value: float, order: WordOrder) -> None:
    words = encode(value, "f32", order=order)
    assert words == words_of(np.array(value, dtype=">f4").tobytes(), order)
    back = decode(words, "f32", order=order)
    assert back == value
    assert math.copysign(1, back) == math.copysign(1, value)


def test_known_bit_patterns() -> None:
    assert encode(1.0, "f32", order="high_first") == (0x3F80, 0x0000)
    assert encode(1.0, "f32", order="low_first") == (0x0000, 0x3F80)
    assert encode(-2, "i16", order="high_first") == (0xFFFE,)
    assert encode(0x0001_0203_0405_0607, "u64", order="high_first") == (0x0001, 0x0203, 0x0405, 0x0607)


@pytest.mark.parametrize(("value", "kind"), [(65536, "u16"), (-1, "u32"), (32768, "i16"), (2**63, "i32")])
def test_a_number_that_does_not_fit_is_refused(value: int, kind: Kind) -> None:
    with pytest.raises(OverflowError):
        encode(value, kind, order="high_first")


@pytest.mark.parametrize(("value", "kind"), [(1.5, "u16"), (math.nan, "f32"), (math.inf, "f32")])
def test_a_number_that_the_kind_cannot_say_is_refused(value: float, kind: Kind) -> None:
    with pytest.raises(ValueError, match=r"not a"):
        encode(value, kind, order="high_first")


def test_a_wrong_count_of_registers_is_refused() -> None:
    with pytest.raises(ValueError, match="2 registers, not 1"):
        decode((1,), "f32", order="high_first")
