"""The two public packets, byte for byte; every wrong reading of them, and every single flipped bit, is refused.

Source: tests/golden/README.md, `mohurd2009_request.json` and `mohurd2009_query.json`.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from edge_agent.settings.dialect import Dialect
from edge_agent.settings.dialect_file import shipped_dialect
from edge_agent.uplink.transports.mohurd_tcp.cipher import TextCipher, challenge_answer, plain_text
from edge_agent.uplink.transports.mohurd_tcp.faults import BadFrame
from edge_agent.uplink.transports.mohurd_tcp.frame import FrameFormat, Packet, crc16
from edge_agent.uplink.transports.mohurd_tcp.words import read_packet

VECTORS = Path(__file__).parents[4] / "golden" / "vectors"
REQUEST: dict[str, Any] = json.loads((VECTORS / "mohurd2009_request.json").read_text())
QUERY: dict[str, Any] = json.loads((VECTORS / "mohurd2009_query.json").read_text())
FRAME = bytes.fromhex(REQUEST["frame_hex"])
KEY = REQUEST["aes"]["key_ascii"].encode()
HIGH_FIRST = {"crc": {"order": "high_first"}}


def cipher(dialect: Dialect, *, key: bytes = KEY) -> TextCipher:
    return TextCipher(dialect.crypt, dialect.body, key=key, iv=KEY)


def cut(dialect: Dialect, frame: bytes) -> Packet:
    buffer = bytearray(frame)
    packet = FrameFormat(dialect).cut(buffer)
    assert packet is not None
    assert not buffer
    return packet


def test_the_frame_is_the_published_one() -> None:
    assert len(FRAME) == 242
    assert hashlib.sha256(FRAME).hexdigest() == "5a4ca598fe1d490a9f937aff228f2f23203e5168a4189e16d8531ef59be6bcf9"
    assert crc16(b"123456789", poly=0x1021, start=0) == 0x31C3
    assert crc16(FRAME[:236], poly=0x1021, start=0) == 0x6441
    assert crc16(FRAME[:236], poly=0x1021, start=0xFFFF) == 0xE1E6
    assert crc16(FRAME[8:236], poly=0x1021, start=0) == 0x8E67


def test_packet_1_is_read() -> None:
    dialect = shipped_dialect("g2009")
    packet = cut(dialect, FRAME)
    assert packet.sequence.hex() == "1692ec42"
    assert len(packet.content) == 224
    assert packet.content[:16].hex() == "ad4e729dcd81551abc7c2983c86d3c6a"
    assert packet.content[-16:].hex() == "c65f3e0df735510bcd64f8b7c2b1f264"
    raw = cipher(dialect).decipher(packet.content)
    assert raw.decode() == REQUEST["plaintext"]
    text = plain_text(raw, encoding="utf-8")
    assert hashlib.sha256(text.encode()).hexdigest() == (
        "f2299551659949fce535a2e41679d0ac01214dee1eba7fc7c921267d554aa97b"
    )
    heard = read_packet(text, body=dialect.body)
    assert (heard.project, heard.types) == ("110000015", ("request",))


def test_packet_1_is_written_byte_for_byte() -> None:
    dialect = shipped_dialect("g2009", HIGH_FIRST)
    text = REQUEST["plaintext"].rstrip("0")
    content = cipher(dialect).encipher(text)
    assert FrameFormat(dialect).encode(Packet(bytes.fromhex("1692ec42"), content)) == FRAME


@pytest.mark.parametrize(
    ("fill", "crc", "last"),
    [
        ("zero", 0x6F0B, "c85f12ed7e52c630d8f317bf56b501e8"),
        ("pkcs7", 0x8900, "3fb8ea4f8b97b2c352cb442ef81f21c0"),
    ],
)
def test_other_fills_give_the_published_other_bytes_and_are_read_as_well(fill: str, crc: int, last: str) -> None:
    dialect = shipped_dialect("g2009", HIGH_FIRST | {"crypt": {"fill": fill}})
    text = REQUEST["plaintext"].rstrip("0")
    content = cipher(dialect).encipher(text)
    frame = FrameFormat(dialect).encode(Packet(bytes.fromhex("1692ec42"), content))
    assert content[-16:].hex() == last
    assert int.from_bytes(frame[-6:-4], "big") == crc
    plain = shipped_dialect("g2009")
    assert plain_text(cipher(plain).decipher(cut(plain, frame).content), encoding="utf-8") == text


def test_packet_2_is_read_and_written_byte_for_byte() -> None:
    frame = bytes.fromhex(QUERY["frame_hex"])
    dialect = shipped_dialect("g2009")
    packet = cut(dialect, frame)
    assert packet.sequence.hex() == QUERY["fields"]["sequence_bytes"]
    raw = cipher(dialect).decipher(packet.content)
    text = plain_text(raw, encoding="utf-8")
    assert len(text.encode()) == QUERY["fields"]["xml_bytes"]
    assert raw.decode() == text + "000"
    heard = read_packet(text, body=dialect.body)
    assert heard.types == ("query",)
    assert any(character.isalpha() for character in heard.project)
    assert heard.value("beginTime") == QUERY["says"]["beginTime"]
    assert heard.value("endTime") == QUERY["says"]["endTime"]
    # Its check sum stands low byte first, as our own do by default.
    assert FrameFormat(dialect).encode(Packet(packet.sequence, cipher(dialect).encipher(text))) == frame


@pytest.mark.parametrize(
    "options",
    [
        {"crc": {"start": 0xFFFF}},
        {"crc": {"poly": 0x8005}},
        {"crc": {"coverage": "sequence_and_content"}},
        {"crc": {"order_rx": "low_first"}},
        {"frame": {"length": "u32_be"}},
        {"frame": {"length_counts": "content"}},
        {"frame": {"head": "55AA55AA"}},
        {"frame": {"tail": "68681616"}},
    ],
)
def test_every_wrong_reading_of_packet_1_is_refused(options: dict[str, object]) -> None:
    dialect = shipped_dialect("g2009", options)
    with pytest.raises(BadFrame):
        FrameFormat(dialect).cut(bytearray(FRAME + bytes(64)))


def test_every_single_flipped_bit_of_packet_1_is_refused() -> None:
    format_ = FrameFormat(shipped_dialect("g2009"))
    waiting = 0
    for bit in range(len(FRAME) * 8):
        damaged = bytearray(FRAME)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            assert format_.cut(damaged) is None, f"bit {bit} of {bit // 8} goes unnoticed"
        except BadFrame:
            continue
        waiting += 1  # it names a greater length now: once that much has come, it is refused
        with pytest.raises(BadFrame):
            format_.cut(damaged + bytes(1 << 21))
    assert waiting == 16  # bits of the length that stay below the limit and were not set


def test_the_challenge_is_answered_in_both_orders() -> None:
    example = REQUEST["md5_example"]
    login = shipped_dialect("g2009").login
    assert challenge_answer(example["sequence"], example["key"], login=login) == "22c14618b0c881301b49a741bfd46db4"
    other = shipped_dialect("qx").login
    assert challenge_answer(example["sequence"], example["key"], login=other) == "785f5ad9983a4a5079ff9f0cb8095530"
