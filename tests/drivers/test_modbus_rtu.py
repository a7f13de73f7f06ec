"""RTU frames: known vectors, and any bytes give the answer, a refusal, or nothing."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.bus.base import Span
from drivers.bus.modbus_rtu import ReadExchange, WriteExchange, check_sum, write_body
from drivers.errors import DeviceRefused, NoAnswer

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
