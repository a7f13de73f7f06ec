"""What a dialect of the city platform's TCP protocol may say, option by option: config/uplink/NAME.yaml.

No public text fixes these details and two platforms seldom agree, so each of them is data: a dialect that comes with
the product, a plant's own file in `uplink/` beside uplink.yaml, or single options changed under `options:` there.

Source of the options: 可再生能源建筑应用示范项目数据监测系统技术导则(试行) (2009), chapter 5 and appendix 4,
and what public clients of five platforms do differently.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from edge_agent.settings.entry import Entry, Texts

HEX = r"^([0-9A-Fa-f]{2}){0,16}$"
WORD = r"^[A-Za-z_][A-Za-z0-9_.-]{0,63}$"


class Frame(Entry):
    """The bytes around a packet."""

    head: str = Field(pattern=HEX, min_length=2)
    """First bytes, as hex digits."""
    type_byte: bool = False
    """Whether a byte after the head says what kind of packet it is; `type_bytes` gives the numbers."""
    length: Literal["u32_le", "u32_be", "u16_le", "u16_be", "hex4"] = "u32_le"
    """How the length is written: binary little- or big-endian, or four ASCII hex digits."""
    length_counts: Literal["sequence_and_content", "content"] = "sequence_and_content"
    """What the length counts."""
    sequence_bytes: Literal[0, 4] = 4
    """Length of the sequence number in the frame [B]; 0: the frame carries none."""
    tail: str = Field(default="", pattern=HEX)
    """Last bytes, as hex digits; empty: none."""


class TypeBytes(Entry):
    """Numbers of the type byte; used only with `frame.type_byte`."""

    login: int = Field(default=1, ge=0, le=255)
    """Packets of the login."""
    heartbeat: int = Field(default=2, ge=0, le=255)
    """Heartbeat and its answer."""
    data: int = Field(default=3, ge=0, le=255)
    """Reports, history and their acknowledgements."""
    control: int = Field(default=5, ge=0, le=255)
    """Everything else."""


class Crc(Entry):
    """The check sum."""

    coverage: Literal["head_to_content", "sequence_and_content", "none"] = "head_to_content"
    """What it is counted over; none: the frame carries no check sum."""
    poly: int = Field(default=0x1021, ge=1, le=0xFFFF)
    """Polynomial of the 16-bit check sum."""
    start: int = Field(default=0, ge=0, le=0xFFFF)
    """Start value."""
    order: Literal["high_first", "low_first"] = "low_first"
    """Byte order that we send. Never guessed."""
    order_rx: Literal["any", "high_first", "low_first"] = "any"
    """Byte order that we accept."""


class Crypt(Entry):
    """The cipher: AES-128 over the text."""

    scope: Literal["all", "data", "none"] = "all"
    """Which packets are encrypted; data: reports, history and their acknowledgements only."""
    mode: Literal["cbc", "ecb"] = "cbc"
    """Mode of operation."""
    iv: Literal["key", "own", "zero"] = "own"
    """Initial vector: the key itself, the `aes_iv` of the credential file, or zeros."""
    fill: Literal["ascii_zero", "zero", "space", "pkcs7"] = "ascii_zero"
    """How the last block is filled up when we send; when receiving every one of them is understood."""


class Body(Entry):
    """The XML text."""

    encoding: Literal["utf-8", "utf-16-le", "utf-16-be", "gb18030"] = "utf-8"
    """Encoding of the text."""
    declaration: bool = True
    """Whether a text begins with <?xml ...?>."""
    project_element: str = Field(default="project_id", pattern=WORD)
    """Element that carries the project number."""
    gateway_element: str = Field(default="gateway_id", pattern=WORD)
    """Element that carries the collector number."""
    data: Literal["meter_function", "energy_items", "meters"] = "meter_function"
    """Form of the data: meter/function, energy_items/energy_item code, or meters/meter id name."""
    point_code_in: Literal["meter_id", "function_id", "coding", "none"] = "none"
    """Attribute that carries the 15-digit point code (meter_function)."""
    data_code_in: Literal["coding", "function_id", "meter_id"] = "coding"
    """Attribute that carries the 16-digit data code (meter_function)."""
    quality_in: Literal["none", "coding", "quality"] = "none"
    """Attribute that carries the quality, 192, 64 (clock not to be trusted) or 0; `error` is sent in any case."""
    error_value: int = Field(default=1, ge=1, le=255)
    """What `error` says of an invalid value."""
    ids_rx: Literal["same", "any"] = "same"
    """Packets that name another plant or collector are passed over; any: a platform that does not repeat ours."""
    stamp: Literal["end", "start"] = "end"
    """Whether a period is named by its end or by its start."""
    sequence_digits: int = Field(default=10, ge=1, le=18)
    """Most digits of the sequence element of a data packet."""


class Login(Entry):
    """The challenge."""

    md5_order: Literal["sequence_key", "key_sequence"] = "sequence_key"
    """What is hashed: the platform's sequence followed by the key, or the key first."""
    md5_case: Literal["lower", "upper"] = "lower"
    """Letters of the digest."""
    pass_words: Texts = ("pass", "ok", "1", "success")
    """Words of the result that mean: come in."""
    step_s: float = Field(default=10.0, gt=0, le=120)
    """Each step of the login is awaited this long [s, wall]."""


class Heartbeat(Entry):
    """Signs of life."""

    every_s: float = Field(default=60.0, ge=5, le=3600)
    """A heartbeat this often [s, wall]. Source: a deployed client, 60 s."""
    missed_max: int = Field(default=2, ge=1, le=20)
    """Unanswered heartbeats after which the connection is given up."""
    answer: Literal["any", "heart_result", "time"] = "any"
    """What answers a heartbeat: `heart_result`, or a packet of the heartbeat's element with the platform's time."""
    echo: Literal["same", "any"] = "same"
    """Whether the answer must repeat the heartbeat's sequence; any: answers are counted in their order."""
    proof_s: float = Field(default=5.0, ge=0.2, le=600)
    """Without an acknowledgement of data: a heartbeat follows sent records after this time [s, wall]; it is their only
    proof."""


class Data(Entry):
    """Timed reports."""

    ack: Literal["none", "report_ack", "data_ack"] = "none"
    """How the platform acknowledges a report."""
    ack_match: Literal["given", "frame_sequence", "body_sequence", "in_turn"] = "given"
    """What an acknowledgement names: the sequence of the frame, of the text, whatever it gives of both (all must fit);
    in_turn: it names none, so one record is on its way at a time."""
    ack_s: float = Field(default=20.0, gt=0, le=600)
    """in_turn: without an acknowledgement for this long [s, wall], the connection is given up."""


class Continuous(Entry):
    """History."""

    ack: Literal["packet", "batch", "none"] = "packet"
    """Whether each packet is acknowledged, only the last of a batch, or none."""
    ack_value: Literal["current", "ok"] = "current"
    """Whether the acknowledgement names the packet by its `current` (a batch by its `total`), or only says 1."""
    batch_max: int = Field(default=48, ge=1, le=1000)
    """Most packets of one batch: `total` in each of them."""


class Resume(Entry):
    """What was not confirmed before the connection broke."""

    as_: Literal["continuous", "report"] = Field(default="continuous", alias="as")
    """Sent again as history, or as the reports that they were."""
    handshake: Literal["none", "ask"] = "none"
    """Whether the platform must allow history first."""
    ask_type: str = Field(default="continuous_request", pattern=WORD)
    """Type of the packet that asks; no public text names it."""
    allow_type: str = Field(default="continuous_allow", pattern=WORD)
    """Type of the packet that allows."""
    forbid_type: str = Field(default="continuous_forbid", pattern=WORD)
    """Type of the packet that forbids."""
    wait_s: float = Field(default=30.0, gt=0, le=3600)
    """Without an answer for this long [s, wall], it is asked again."""


class Period(Entry):
    """The sending period that the platform may set."""

    unit: Literal["min", "s", "h"] = "min"
    """Unit of the number; no public text gives it."""
    min_min: int = Field(default=5, ge=1, le=1440)
    """Shortest that is taken [min]. Source: the guideline, 5 min."""
    max_min: int = Field(default=720, ge=1, le=1440)
    """Longest that is taken [min]. Source: the guideline, 12 h."""


class Query(Entry):
    """History that the platform asks for."""

    begin_element: str = Field(default="beginTime", pattern=WORD)
    """Element of the first instant."""
    end_element: str = Field(default="endTime", pattern=WORD)
    """Element of the last instant."""
    answer: Literal["reply", "continuous"] = "reply"
    """Packets of the answer."""
    without_range_h: float = Field(default=24.0, gt=0, le=8784)
    """A query without a span asks for this much before the present [h]."""


class Dialect(Entry):
    """config/uplink/NAME.yaml."""

    name: str
    """Name shown."""
    source: str
    """Where the options come from."""
    frame: Frame
    """The bytes around a packet."""
    type_bytes: TypeBytes = TypeBytes()
    """Numbers of the type byte."""
    crc: Crc = Crc()
    """The check sum."""
    crypt: Crypt = Crypt()
    """The cipher."""
    body: Body = Body()
    """The text."""
    login: Login = Login()
    """The challenge."""
    heartbeat: Heartbeat = Heartbeat()
    """Signs of life."""
    data: Data = Data()
    """Timed reports."""
    continuous: Continuous = Continuous()
    """History."""
    resume: Resume = Resume()
    """After a broken connection."""
    period: Period = Period()
    """The sending period."""
    query: Query = Query()
    """Questions of the platform."""
    clock: Literal["ignore", "offset"] = "offset"
    """The platform's clock: passed over, or kept as an offset beside the records. Ours is never set by it."""
    code_form: Literal["digits", "alnum"] = "digits"
    """Whether codes are digits only; one public project number has a letter."""
    extra_indices: Texts = ()
    """Indices beside the guideline's 01..22 that this platform takes; values under other ones are not sent to it."""
    operations: Mapping[str, str] = {}
    """Names of packet types that differ on this platform: the guideline's name: theirs."""
