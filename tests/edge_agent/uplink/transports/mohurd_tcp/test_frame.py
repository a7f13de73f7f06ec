"""Frames of every dialect: what is written is read again, in any portions; what is damaged is never taken."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.settings.dialect import Dialect
from edge_agent.settings.dialect_file import dialect_paths, shipped_dialect
from edge_agent.uplink.transports.mohurd_tcp.cipher import TextCipher, fitted, plain_text
from edge_agent.uplink.transports.mohurd_tcp.faults import BadCipher, BadFrame
from edge_agent.uplink.transports.mohurd_tcp.frame import CONTENT_BYTES_MAX, FrameFormat, Packet, crc16

DIALECTS = {name: shipped_dialect(name) for name in dialect_paths(None)}
VARIANTS = {
    (name, length): shipped_dialect(name, {"frame": {"length": length}})
    for name in DIALECTS
    for length in ("u32_le", "u32_be", "u16_le", "u16_be", "hex4")
}
FILLS = {
    (fill, encoding, mode): shipped_dialect(
        "g2009", {"crypt": {"fill": fill, "mode": mode}, "body": {"encoding": encoding}}
    )
    for fill in ("ascii_zero", "zero", "space", "pkcs7")
    for encoding in ("utf-8", "utf-16-le", "utf-16-be", "gb18030")
    for mode in ("cbc", "ecb")
}


def bitwise(data: bytes, *, poly: int, start: int) -> int:
    """The check sum one bit after the other, as the textbook has it."""
    value = start
    for byte in data:
        for place in range(7, -1, -1):
            top = value >> 15 ^ byte >> place & 1
            value = (value << 1 & 0xFFFF) ^ (poly if top else 0)
    return value


@given(st.binary(max_size=80), st.sampled_from([0x1021, 0x8005, 0x3D65]), st.sampled_from([0, 0xFFFF, 0x1D0F]))
def test_the_check_sum_is_the_textbook_s(data: bytes, poly: int, start: int) -> None:
    assert crc16(data, poly=poly, start=start) == bitwise(data, poly=poly, start=start)


def packets(dialect: Dialect) -> st.SearchStrategy[Packet]:
    count = dialect.frame.sequence_bytes
    kinds = st.integers(0, 255) if dialect.frame.type_byte else st.none()
    return st.builds(Packet, st.binary(min_size=count, max_size=count), st.binary(min_size=1, max_size=300), kinds)


@settings(max_examples=settings().max_examples // 2)
@given(st.sampled_from(sorted(VARIANTS)), st.data())
def test_frames_are_read_as_they_were_written_in_any_portions(variant: tuple[str, str], data: st.DataObject) -> None:
    dialect = VARIANTS[variant]
    sent = data.draw(st.lists(packets(dialect), min_size=1, max_size=3))
    format_ = FrameFormat(dialect)
    stream = b"".join(format_.encode(packet) for packet in sent)
    buffer, found = bytearray(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        buffer += stream[:size]
        stream = stream[size:]
        while (packet := format_.cut(buffer)) is not None:
            found.append(packet)
    assert found == sent
    assert not buffer


@pytest.mark.parametrize("name", [name for name, dialect in DIALECTS.items() if dialect.crc.coverage != "none"])
@settings(max_examples=settings().max_examples // 4)
@given(data=st.data())
def test_a_damaged_frame_is_never_taken_for_another_packet(name: str, data: st.DataObject) -> None:
    dialect, format_ = DIALECTS[name], FrameFormat(DIALECTS[name])
    frame = bytearray(format_.encode(data.draw(packets(dialect))))
    place = data.draw(st.integers(0, len(frame) - 1))
    counted = dialect.crc.coverage == "head_to_content" or place >= len(frame) - 2 - 4 - 1
    frame[place] ^= 1 << data.draw(st.integers(0, 7))
    try:
        packet = format_.cut(frame)
    except BadFrame:
        return
    assert packet is None or not counted


@pytest.mark.parametrize(
    "frame",
    [
        "68681617",  # head
        "68681616" + "00000000",  # nothing in it
        "68681616" + "04000000",  # a sequence and no content
        "68681616" + "ffffffff",  # huge
        "68681616" + "05001000",  # one byte more than is read
    ],
)
def test_impossible_frames_are_refused_before_they_have_come(frame: str) -> None:
    with pytest.raises(BadFrame):
        FrameFormat(DIALECTS["g2009"]).cut(bytearray.fromhex(frame))


def test_a_packet_that_does_not_fit_the_dialect_is_our_own_error() -> None:
    with pytest.raises(ValueError, match="not of this dialect"):
        FrameFormat(DIALECTS["g2009"]).encode(Packet(b"", b"x"))
    with pytest.raises(ValueError, match="not of this dialect"):
        FrameFormat(DIALECTS["qx"]).encode(Packet(b"", b"x"))
    with pytest.raises(ValueError, match="four hex digits"):
        FrameFormat(DIALECTS["qx"]).encode(Packet(b"", bytes(70_000), 3))
    with pytest.raises(ValueError, match="content of"):
        FrameFormat(DIALECTS["g2009"]).encode(Packet(bytes(4), bytes(CONTENT_BYTES_MAX + 1)))


@given(st.sampled_from(sorted(FILLS)), st.text(st.characters(codec="utf-8", categories=("L", "N", "Zs")), max_size=60))
def test_texts_come_back_whatever_fills_their_last_block(variant: tuple[str, str, str], inside: str) -> None:
    dialect = FILLS[variant]
    cipher = TextCipher(dialect.crypt, dialect.body, key=b"0123456789abcdef", iv=bytes(16))
    text = f"<a>{inside}</a>"
    content = cipher.encipher(text)
    assert len(content) % 16 == 0
    assert plain_text(cipher.decipher(content), encoding=dialect.body.encoding) == text


def test_foreign_keys_and_broken_blocks_are_said() -> None:
    dialect = DIALECTS["g2009"]
    ours = TextCipher(dialect.crypt, dialect.body, key=fitted("123456"), iv=fitted("123456"))
    theirs = TextCipher(dialect.crypt, dialect.body, key=fitted("654321"), iv=fitted("654321"))
    with pytest.raises(BadCipher):
        plain_text(ours.decipher(theirs.encipher("<root>" + "字" * 40 + "</root>")), encoding="utf-8")
    with pytest.raises(BadCipher, match="whole number"):
        ours.decipher(bytes(17))
    with pytest.raises(BadCipher, match="no `>`"):
        plain_text(b"000", encoding="utf-8")


def test_keys_of_other_lengths_are_fitted() -> None:
    assert fitted("0000000000654321") == b"0000000000654321"
    assert fitted("654321") == b"0000000000654321"
    assert len(fitted("x" * 40)) == 16
    assert len(fitted("x" * 32)) == 32
