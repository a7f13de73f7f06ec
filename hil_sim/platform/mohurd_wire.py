"""Frames, cipher and texts as the simulated city platform reads and writes them, in the simulator's own code.

Reading is strict: every check that the description allows is made, and each failure has a name under which it is
counted. Nothing here is shared with the agent.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from xml.etree import ElementTree as ET

from cryptography.hazmat.primitives import padding as paddings
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from hil_sim.platform.mohurd_dialects import PlatformDialect

BLOCK = 16
FRAME_MAX = 1 << 21
KIND_BYTES = {"login": 1, "heart": 2, "data": 3, "other": 5}
TIME_FORM = "%Y%m%d%H%M%S"


class Wrong(Exception):
    """A packet that breaks the description; the first word of the message is the name under which it is counted."""

    @property
    def name(self) -> str:
        """head, length, tail, crc, cipher, xml, ids, data."""
        return str(self).partition(" ")[0]


@dataclass(frozen=True, slots=True)
class PlatformKeys:
    """What one collector and the platform share.

    Attributes:
        md5: joined with the challenge.
        aes: sixteen characters.
        iv: sixteen characters.
    """

    md5: str
    aes: str = "0000000000123456"
    iv: str = "0000000000123456"


def _of_byte(byte: int) -> int:
    """The check sum of one byte, bit after bit."""
    register = byte << 8
    for _ in range(8):
        register = (register << 1) ^ 0x1021 if register & 0x8000 else register << 1
        register &= 0xFFFF
    return register


_OF_BYTES = [_of_byte(byte) for byte in range(256)]


def xmodem(data: bytes) -> int:
    """CRC-16 with 0x1021 from zero, most significant bit first; 0x31C3 for "123456789"."""
    register = 0
    for byte in data:
        register = (register << 8 & 0xFFFF) ^ _OF_BYTES[register >> 8 ^ byte]
    return register


def frame_of(dialect: PlatformDialect, *, sequence: bytes, content: bytes, kind: str) -> bytes:
    """A frame around a content."""
    inner = (sequence if dialect.sequence_size else b"") + content
    counted = len(inner) if dialect.length_with_sequence else len(content)
    length = counted.to_bytes(4, "little") if dialect.length == "le4" else f"{counted:04x}".encode()
    front = dialect.head + (bytes([KIND_BYTES[kind]]) if dialect.typed else b"") + length
    return front + inner + check_of(dialect, front=front, inner=inner) + dialect.tail


def check_of(dialect: PlatformDialect, *, front: bytes, inner: bytes) -> bytes:
    """The check sum's bytes; none where the dialect has none."""
    if not dialect.crc:
        return b""
    value = xmodem(front + inner if dialect.crc == "frame" else inner)
    return value.to_bytes(2, "little" if dialect.crc_low_first else "big")


def frame_size(dialect: PlatformDialect, received: bytes) -> int | None:
    """Size of the frame that begins here; None while it cannot be told.

    Raises:
        Wrong: no frame begins here.
    """
    if not dialect.head.startswith(received[: len(dialect.head)]):
        raise Wrong(f"head {received[:4].hex()}")
    at = len(dialect.head) + dialect.typed
    if len(received) < at + 4:
        return None
    field = received[at : at + 4]
    try:
        counted = int.from_bytes(field, "little") if dialect.length == "le4" else int(field, 16)
    except ValueError as error:
        raise Wrong(f"length {field!r}") from error
    if not 0 < counted < FRAME_MAX:
        raise Wrong(f"length {counted}")
    inner = counted + (0 if dialect.length_with_sequence else dialect.sequence_size)
    return at + 4 + inner + (2 if dialect.crc else 0) + len(dialect.tail)


def unframe(dialect: PlatformDialect, frame: bytes) -> tuple[bytes, bytes]:
    """Sequence and content of a complete frame.

    Raises:
        Wrong: tail or check sum.
    """
    end = len(frame) - len(dialect.tail)
    if frame[end:] != dialect.tail:
        raise Wrong(f"tail {frame[end:].hex()}")
    at = len(dialect.head) + dialect.typed + 4
    if dialect.crc:
        end -= 2
        wanted = check_of(dialect, front=frame[:at], inner=frame[at:end])
        if frame[end : end + 2] != wanted:
            raise Wrong(f"crc {frame[end : end + 2].hex()} wanted {wanted.hex()}")
    inner = frame[at:end]
    return inner[: dialect.sequence_size], inner[dialect.sequence_size :]


def encipher(dialect: PlatformDialect, text: bytes, keys: PlatformKeys) -> bytes:
    """AES-128-CBC with the dialect's padding."""
    if dialect.padding == "pkcs7":
        padder = paddings.PKCS7(128).padder()
        text = padder.update(text) + padder.finalize()
    else:
        text += (b"0" if dialect.padding == "zeros" else b"\0") * (-len(text) % BLOCK)
    encryptor = Cipher(algorithms.AES(keys.aes.encode()), modes.CBC(keys.iv.encode())).encryptor()
    return encryptor.update(text) + encryptor.finalize()


def decipher(content: bytes, keys: PlatformKeys) -> bytes:
    """The text, cut behind its last bracket.

    Raises:
        Wrong: it is none.
    """
    if len(content) % BLOCK or not content:
        raise Wrong(f"cipher {len(content)} bytes")
    decryptor = Cipher(algorithms.AES(keys.aes.encode()), modes.CBC(keys.iv.encode())).decryptor()
    plain = decryptor.update(content) + decryptor.finalize()
    return plain[: plain.rfind(b">") + 1]


@dataclass(frozen=True, slots=True)
class Words:
    """A packet of a collector, read.

    Attributes:
        project, gateway: who speaks.
        kind: its type.
        body: the element beside `common`.
    """

    project: str
    gateway: str
    kind: str
    body: ET.Element


def read_words(dialect: PlatformDialect, text: bytes) -> Words:
    """Takes a text apart; it must be well-formed, and its operation must be its type.

    Raises:
        Wrong: it is not.
    """
    try:
        root = ET.fromstring(text.decode("utf-8"))  # noqa: S314 - the agent's own words, on loopback
    except (ET.ParseError, UnicodeDecodeError) as error:
        raise Wrong(f"xml {error}") from error
    common = root.find("common")
    bodies = [child for child in root if child.tag != "common"]
    if root.tag != "root" or common is None or len(bodies) != 1:
        raise Wrong("xml not root, common and one body")
    kind = common.findtext("type", "")
    if not kind or bodies[0].get("operation") != kind:
        raise Wrong(f"xml type {kind!r} operation {bodies[0].get('operation')!r}")
    return Words(common.findtext(dialect.project, ""), common.findtext(dialect.gateway, ""), kind, bodies[0])


@dataclass(frozen=True, slots=True)
class HeldValue:
    """A value as it arrived: code, time as written, number or None, and whether it is marked valid."""

    code: str
    time: str
    value: float | None


def read_values(dialect: PlatformDialect, body: ET.Element) -> list[HeldValue]:
    """The values of a data packet.

    Raises:
        Wrong: a value that breaks the description.
    """
    time = body.findtext("time", "")
    try:
        datetime.strptime(time, TIME_FORM)  # noqa: DTZ007 - only its form
    except ValueError as error:
        raise Wrong(f"data time {time!r}") from error
    if body.findtext("parse") not in {"yes", "no"} or not body.findtext("sequence"):
        raise Wrong("data parse or sequence")
    if dialect.shape == "meter":
        leaves = [(leaf, leaf.get(dialect.code_at, "")) for leaf in body.findall("meter/function")]
        if any(leaf.get("sample_time") != time for leaf, _ in leaves):
            raise Wrong("data sample_time")
        if any(meter.get("conn") not in {"conn", "disconn"} or not meter.get("id") for meter in body.findall("meter")):
            raise Wrong("data meter")
    elif dialect.shape == "items":
        leaves = [(leaf, leaf.get("code", "")) for leaf in body.findall("energy_items/energy_item")]
    else:
        leaves = [(leaf, leaf.get("name", "")) for leaf in body.findall("meters/meter")]
    return [HeldValue(_code(code), time, _value(leaf)) for leaf, code in leaves]


def _code(code: str) -> str:
    if len(code) != 16 or not code.isalnum():  # noqa: PLR2004 - digits of a data code
        raise Wrong(f"data code {code!r}")
    return code


def _value(leaf: ET.Element) -> float | None:
    """The value that this platform takes: a number that is told as an error is none."""
    valid, text = leaf.get("error") == "0", leaf.text or ""
    if not leaf.get("error"):
        raise Wrong("data without an error mark")
    if not valid and not text:
        return None
    try:
        number = float(text)
    except ValueError as error:
        raise Wrong(f"data value {text!r}") from error
    return number if valid else None


def digest_of(dialect: PlatformDialect, *, sequence: str, key: str) -> str:
    """The right answer to a challenge."""
    joined = key + sequence if dialect.key_first else sequence + key
    return hashlib.md5(joined.encode(), usedforsecurity=False).hexdigest()
