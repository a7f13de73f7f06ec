"""The dialects that the simulated city platform speaks, as it has them from the protocols' descriptions.

Written from the descriptions alone, and kept apart from the agent's own dialect files on purpose: where the two were
one, both sides would make the same mistake and never notice.

Source: 可再生能源建筑应用示范项目数据监测系统技术导则(试行) (2009), appendix 4, its public
sample packets, and what public clients of other platforms send.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class PlatformDialect:
    """What the platform expects and says.

    Attributes:
        head, tail: bytes around a frame.
        typed: a byte after the head tells the kind of packet.
        length: `le4` (binary, little-endian) or `hex` (four ASCII digits).
        length_with_sequence: the length counts the sequence as well.
        sequence_size: bytes of the sequence in the frame.
        crc: `frame` (head to content), `inner` (sequence and content) or empty.
        crc_low_first: order of the check sum's bytes that the platform sends; it takes the same.
        enciphered: `all`, `data` or empty.
        padding: what fills the last block: `zeros` (ASCII), `nul`, `pkcs7`.
        key_first: the challenge hashes key + sequence.
        project, gateway: names of the elements that tell who speaks.
        shape: form of the data: `meter`, `items`, `meters`.
        code_at: attribute that carries the data code in `meter`.
        heart_with_time: heartbeats are answered with the platform's clock.
        clock_at_login: the result of the login carries the clock.
        report_ack: type of the answer to a report; empty: none. `ok` is the bare <ack>OK</ack>.
        history_ack: history is acknowledged `packet` by packet, as a `batch`, or not.
    """

    head: bytes
    tail: bytes
    typed: bool = False
    length: str = "le4"
    length_with_sequence: bool = True
    sequence_size: int = 4
    crc: str = "frame"
    crc_low_first: bool = True
    enciphered: str = "all"
    padding: str = "zeros"
    key_first: bool = False
    project: str = "project_id"
    gateway: str = "gateway_id"
    shape: str = "meter"
    code_at: str = "coding"
    heart_with_time: bool = False
    clock_at_login: bool = True
    report_ack: str = ""
    history_ack: str = "packet"


GUIDELINE = PlatformDialect(head=bytes.fromhex("68681616"), tail=bytes.fromhex("55AA55AA"))

DIALECTS: Mapping[str, PlatformDialect] = MappingProxyType(
    {
        "g2009": GUIDELINE,
        "g2009_2013": PlatformDialect(head=GUIDELINE.head, tail=GUIDELINE.tail, code_at="id"),
        "zhejiang": PlatformDialect(
            head=GUIDELINE.tail,
            tail=GUIDELINE.head,
            crc="inner",
            project="building_id",
            shape="items",
            heart_with_time=True,
            clock_at_login=False,
            report_ack="report_ack",
        ),
        "qx": PlatformDialect(
            head=bytes.fromhex("8BAE9B"),
            tail=b"",
            typed=True,
            length="hex",
            length_with_sequence=False,
            sequence_size=0,
            crc="",
            enciphered="",
            key_first=True,
            shape="meters",
            heart_with_time=True,
            clock_at_login=False,
            report_ack="data_ack",
        ),
        "building_energy": PlatformDialect(
            head=GUIDELINE.head,
            tail=GUIDELINE.tail,
            typed=True,
            length_with_sequence=False,
            sequence_size=0,
            enciphered="data",
            padding="pkcs7",
            key_first=True,
            project="building_id",
            shape="items",
            heart_with_time=True,
            clock_at_login=False,
            report_ack="ok",
        ),
    }
)
