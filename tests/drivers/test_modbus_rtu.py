"""RTU frames: known vectors, and any bytes give the answer, a refusal, or nothing."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.bus.base import Span
from drivers.bus.modbus_rtu import ReadExchange, WriteExchange, check_sum, write_body
from drivers.errors import DeviceRefused, NoAnswer
from drivers.profile import ADDRESS_MAX, Limits

NOISE = st.binary(max_size=12)


def sealed(*body: int) -> bytes:
    return bytes(body) + check_sum(bytes(body))


def test_check_sum_of_published_frames() -> None:
    """Source: MODBUS over Serial Line V1.02, appendix B: frame 02 07 ends with 41 12."""
    assert check_sum(bytes.fromhex("0207")) == bytes.fromhex("4112")
    assert check_sum(b"123456789") == (0x4B37).to_bytes(2, "little")  # the usual check value of CRC-16/MODBUS


def test_requests_on_the_wire() -> None:
    """Source: Modbus Application Protocol V1.1b3, 6.3, 6.6, 6.11, 6.12: the examples there."""
    assert ReadExchange(Span(3, 0x6B, 3), unit=17).request[:-2] == bytes.fromhex("11 03 00 6B 00 03")
    assert WriteExchange(1, [3], unit=17, function=6).request[:-2] == bytes.fromhex("11 06 00 01 00 03")
    assert write_body(1, [0x000A, 0x0102], function=16) == bytes.fromhex("00 01 00 02 04 00 0A 01 02")
    assert write_body(0x13, [1, 0, 1, 1, 0, 0, 1, 1, 1, 0], function=15) == bytes.fromhex("00 13 00 0A 02 CD 01")
    assert write_body(0xAC, [1], function=5) == bytes.fromhex("00 AC FF 00")


def test_bits_of_an_answer() -> None:
    """Source: Modbus Application Protocol V1.1b3, 6.1: coils 20-38 read CD 6B 05."""
    bits = ReadExchange(Span(1, 0x13, 19), unit=1).look(sealed(1, 1, 3, 0xCD, 0x6B, 0x05))
    assert bits is not None
    assert len(bits) == 19
    assert bits[:8] == (1, 0, 1, 1, 0, 0, 1, 1)
    assert bits[16:] == (1, 0, 1)


@settings(max_examples=200)
@given(registers=st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=20), before=NOISE, after=NOISE)
def test_the_answer_is_found_behind_noise(registers: list[int], before: bytes, after: bytes) -> None:
    data = struct.pack(f">{len(registers)}H", *registers)
    frame = sealed(9, 4, len(data), *data)
    assert ReadExchange(Span(4, 0, len(registers)), unit=9).look(before + frame + after) == tuple(registers)


@pytest.mark.parametrize(
    "frame",
    [
        sealed(2, 3, 2, 0, 7),  # another unit
        sealed(1, 4, 2, 0, 7),  # another function
        sealed(1, 3, 4, 0, 7, 0, 8),  # more registers
        sealed(1, 3, 2, 0),  # fewer bytes than it says
        sealed(1, 3, 2, 0, 7)[:-1],  # cut
        sealed(1, 3, 2, 0, 7)[:-1] + b"\x00",  # damaged
        b"",
    ],
)
def test_what_is_not_the_answer_is_no_answer(frame: bytes) -> None:
    assert ReadExchange(Span(3, 0, 1), unit=1).look(frame) is None


@pytest.mark.parametrize("frame", [sealed(1, 6, 0, 10, 0, 51), sealed(1, 6, 0, 11, 0, 50), sealed(2, 6, 0, 10, 0, 50)])
def test_an_echo_must_repeat_the_write(frame: bytes) -> None:
    write = WriteExchange(10, [50], unit=1, function=6)
    assert write.look(frame) is None
    assert write.look(sealed(1, 6, 0, 10, 0, 50)) is True


def test_exceptions() -> None:
    read = ReadExchange(Span(3, 0, 1), unit=1)
    with pytest.raises(DeviceRefused, match="no such address") as caught:
        read.look(b"\x00" + sealed(1, 0x83, 2))
    assert caught.value.code == 2
    with pytest.raises(NoAnswer, match="gateway"):
        read.look(sealed(1, 0x83, 11))
    assert read.look(sealed(1, 0x84, 2)) is None, "exception to another function"


@settings(max_examples=300)
@given(received=st.binary(max_size=64), count=st.integers(1, 4))
def test_any_bytes_give_a_proven_answer_a_refusal_or_nothing(received: bytes, count: int) -> None:
    try:
        registers = ReadExchange(Span(3, 0, count), unit=1).look(received)
    except (DeviceRefused, NoAnswer):
        return
    if registers is not None:
        data = struct.pack(f">{count}H", *registers)
        assert sealed(1, 3, len(data), *data) in received


def asked(span: Span, limits: Limits) -> list[tuple[int, int, int]]:
    """Function, address and count of each variant of a read, as on the wire."""
    return [struct.unpack(">BHH", part.request[1:6]) for part in ReadExchange(span, unit=7, limits=limits).variants()]


def test_a_variant_of_one_register_keeps_its_function_where_the_model_allows() -> None:
    span = Span(3, 47, 1)
    assert asked(span, Limits()) == [(3, 47, 2), (3, 46, 2), (4, 47, 1)]
    assert asked(span, Limits(functions=(3,), forbidden=((3, 48, 50),))) == [(3, 46, 2)]
    assert asked(span, Limits(first=47, last=47, silent_beyond=True)) == [(4, 47, 1)]
    assert asked(span, Limits(first=47, last=47, functions=(3,))) == [], "it can only be left its rest"
    assert asked(Span(1, 0, 1), Limits(functions=(1, 3))) == [(1, 0, 9)]
    assert asked(Span(3, ADDRESS_MAX, 1), Limits(registers_max=1)) == [(4, ADDRESS_MAX, 1)]


@given(
    function=st.integers(1, 4),
    address=st.one_of(st.integers(0, 20), st.integers(ADDRESS_MAX - 20, ADDRESS_MAX)),
    count=st.integers(1, 20),
    forbidden=st.tuples(st.integers(1, 4), st.integers(0, 40)),
    functions=st.sets(st.integers(1, 4)),
)
def test_no_variant_leaves_what_the_model_may_be_asked(
    function: int, address: int, count: int, forbidden: tuple[int, int], functions: set[int]
) -> None:
    span = Span(function, address, min(count, ADDRESS_MAX - address + 1))
    kind, barred = forbidden
    if (functions and function not in functions) or (kind == function and address <= barred < span.end):
        return  # the profile itself asks for nothing of that sort
    limits = Limits(functions=tuple(functions), forbidden=((kind, barred, barred),))
    exchange = ReadExchange(span, unit=7, limits=limits)
    for part, (code, first, size) in zip(exchange.variants(), asked(span, limits), strict=True):
        assert part.head != exchange.head
        assert not functions or code in functions
        assert 0 <= first <= first + size - 1 <= ADDRESS_MAX
        assert not (code == kind and first <= barred < first + size)
