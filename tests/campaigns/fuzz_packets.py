"""Hostile packets of a city platform for `make fuzz`: understood, passed over, or the end of the connection.

Never an exception that the protocol does not name, never more kept than the limits say, and never a record believed to
be delivered that no whole packet of the platform named. What is whole is decided by the simulator's own decoder.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from random import Random

from edge_agent.settings.dialect_file import dialect_paths, shipped_dialect
from edge_agent.uplink.transports.https_json.exchange import BODY_BYTES_MAX, HEAD_BYTES_MAX, AnswerReader, BadAnswer
from edge_agent.uplink.transports.mohurd_tcp.conversation import (
    Alive,
    Asked,
    Clock,
    Conversation,
    Proven,
    span_of,
)
from edge_agent.uplink.transports.mohurd_tcp.faults import ProtocolFault
from edge_agent.uplink.transports.mohurd_tcp.flights import Flight
from edge_agent.uplink.transports.mohurd_tcp.frame import CONTENT_BYTES_MAX
from edge_agent.uplink.transports.mohurd_tcp.keys import Keys
from hil_sim.platform.mohurd_dialects import DIALECTS, PlatformDialect
from hil_sim.platform.mohurd_wire import PlatformKeys, encipher, frame_of, frame_size, unframe
from hil_sim.platform.mohurd_wire import Wrong as NotWhole

PROJECT, GATEWAY = "110108900", "1101089000101"
KEYS, PLATFORM_KEYS = Keys("0000000000123456", "0000000000123456"), PlatformKeys("0000000000123456")
ZONE = timezone(timedelta(hours=8))
NOW = datetime(2026, 1, 15, tzinfo=UTC)
ROWS = 6
IN_BYTES_MAX = CONTENT_BYTES_MAX + 64
"""What may wait for the rest of a frame."""
OUT_RATIO_MAX = 40
"""Bytes answered to a byte that came: an answer to an unknown command is as long as a packet, and no longer."""
TEXTS: Mapping[str, str] = {
    "continuous_ack": "<data operation='continuous_ack'><continuous_ack>{n}</continuous_ack></data>",
    "report_ack": "<data operation='report_ack'><sequence>{n}</sequence><result>pass</result></data>",
    "data_ack": "<data operation='data_ack'><sequence>{n}</sequence><result>{r}</result></data>",
    "heart_result": "<id_validate operation='heart_result'><heart_result>0000</heart_result></id_validate>",
    "time": "<heart_beat operation='time'><time>{t}</time></heart_beat>",
    "sequence": "<id_validate operation='sequence'><sequence>{n}</sequence></id_validate>",
    "result": "<id_validate operation='result'><result>{w}</result></id_validate>",
    "query": "<data operation='query'><beginTime>{t}</beginTime><endTime>{t}</endTime></data>",
    "period": "<config operation='period'><period>{n}</period></config>",
    "setkey": "<stand operation='setkey'><type>{n}</type><key>{w}</key></stand>",
    "restart": "<stand operation='restart'></stand>",
}
PIECES = (
    "<", ">", "/>", "</", "<!--", "-->", "<![CDATA[", "<!DOCTYPE r [<!ENTITY a 'b'>]>", "&a;", "&#1;", "&#x41;",
    "<?x ?>", "<type>time</type>", "<a b='c' b='c'>", "\ufeff", "\x00", "字", "'", '"', "=", "<common>", "</root>",
    "<root>" * 20, "9" * 30, "-1", "0", " ", "\r\n\t", "<sequence>1</sequence>",
)  # fmt: skip


class Wrong(Exception):
    """The protocol's side of the agent did what it must never do."""


def text_of(dice: Random, dialect: PlatformDialect) -> str:
    """A text of a platform: right, misprinted, or cut and glued."""
    kind = dice.choice(sorted(TEXTS))
    inside = TEXTS[kind].format(
        n=dice.choice((0, 1, 2, 3, ROWS, -1, 99, "1e3", "")),
        r=dice.choice((1, 0, -3, "pass")),
        w=dice.choice(("pass", "fail", "0000000000654321", "x" * 70, "")),
        t=dice.choice(("20260115000000", "00010101000000", "99991231235959", "x", "")),
    )
    gateway = GATEWAY if dice.randrange(12) else "1101089000199"
    common = (
        f"<{dialect.project}>{PROJECT}</{dialect.project}><{dialect.gateway}>{gateway}</{dialect.gateway}>"
        f"<type>{kind}</type>"
    )
    text = f"<root><common>{common}</common>{inside}</root>"
    for _ in range(dice.choice((0, 0, 0, 1, 2, 5))):
        place = dice.randrange(len(text) + 1)
        if dice.randrange(2):
            text = text[:place] + dice.choice(PIECES) + text[place:]
        else:
            text = text[:place] + text[place + dice.randint(1, 20) :]
    return text


def mutated(dice: Random, data: bytes) -> bytes:
    """Bytes that have suffered on their way."""
    for _ in range(dice.choice((0, 0, 1, 1, 2, 4))):
        if not data:
            break
        place, kind = dice.randrange(len(data)), dice.randrange(6)
        if kind == 0:
            data = data[:place] + bytes((data[place] ^ 1 << dice.randrange(8),)) + data[place + 1 :]
        elif kind == 1:
            data = data[:place]
        elif kind == 2:
            data = data[place:]
        elif kind == 3:
            data += data
        elif kind == 4:
            data = data[:place] + dice.randbytes(dice.randint(1, 6)) + data[place:]
        else:
            data = data[:place] + data[place + 1 :]
    return data


class Packets:
    """Streams of a hostile platform into the conversation of each dialect."""

    def __init__(self) -> None:
        self._dialects = {
            name: shipped_dialect(name, {"crc": {"order_rx": "low_first"}}) for name in dialect_paths(None)
        }

    def one(self, dice: Random) -> str:
        """One stream of a few packets."""
        name = dice.choice(sorted(self._dialects))
        ours, theirs = self._dialects[name], DIALECTS[name]
        talk = Conversation(ours, project=PROJECT, gateway=GATEWAY, keys=KEYS, zone=ZONE, first_sequence=1)
        talk.logged_in = dice.randrange(5) > 0
        rows = self._send(talk, dice)
        stream, texts = b"", []
        for _ in range(dice.choice((1, 1, 2, 3))):
            texts.append(text_of(dice, theirs))
            content = texts[-1].encode("utf-8", "surrogatepass")
            if theirs.enciphered == "all" or (theirs.enciphered == "data" and dice.randrange(2)):
                content = encipher(theirs, content, PLATFORM_KEYS)
            if not content:
                continue
            sequence = dice.randint(0, 2 * ROWS).to_bytes(4, "big")[: theirs.sequence_size]
            stream += frame_of(theirs, sequence=sequence, content=content, kind=dice.choice(("login", "data", "other")))
        stream = mutated(dice, stream) if dice.randrange(20) else dice.randbytes(dice.randint(0, 400))
        label = self._hear(talk, stream, dice, rows)
        whole = whole_frames(theirs, stream)
        if talk.packets > whole:
            raise Wrong(f"{name}: took {talk.packets} packets, {whole} are whole: {stream.hex()}")
        return label

    def _send(self, talk: Conversation, dice: Random) -> set[int]:
        """Lets rows be on their way."""
        # As `report` and `history` leave them, without the work of writing packets that nobody reads here.
        count = talk._format.sequence_bytes
        for seq in range(1, ROWS):
            history = dice.randrange(2) > 0
            frame = seq.to_bytes(4, "big")[:count]
            talk.flights.add(Flight("e", seq, frame, str(seq), history=history, current=1, total=1, batch=seq))
        talk._hearts += [(bytes(count), 0), (b"\0\0\0\x06"[:count], talk.flights.mark)]
        return set(range(1, ROWS))

    def _hear(self, talk: Conversation, stream: bytes, dice: Random, rows: set[int]) -> str:
        labels = []
        while stream:
            size = dice.randint(1, len(stream)) if dice.randrange(2) else len(stream)
            before = talk.packets
            try:
                said = talk.hear(stream[:size])
            except ProtocolFault as fault:
                labels.append(type(fault).__name__)
                break
            if len(talk._in) > IN_BYTES_MAX:
                raise Wrong(f"keeps {len(talk._in)} B")
            for one in said:
                if isinstance(one, Proven) and not {flight.seq for flight in one.flights} <= rows:
                    raise Wrong(f"believes in rows that it never sent: {one}")
                if isinstance(one, Proven) and talk.packets == before:
                    raise Wrong("believes without a packet")
                if isinstance(one, Clock):
                    one.instant.astimezone(UTC)
                if isinstance(one, Asked):
                    for bound in span_of(one, stamp_end=True, period_min=1440, now=NOW, without_range_h=8784):
                        _ = bound and bound.astimezone(UTC)
                labels.append(type(one).__name__)
            if any(isinstance(one, Proven | Alive) for one in said) and not talk.logged_in:
                raise Wrong("believes before the login")
            stream = stream[size:]
        out = talk.take()
        if len(out) > OUT_RATIO_MAX * max(1, talk.packets) * 64:
            raise Wrong(f"answers {len(out)} B to {talk.packets} packets")
        if len(talk.flights) > ROWS or sum(talk.passed_over.values()) > 3 * max(1, talk.packets):
            raise Wrong("keeps more than was sent")
        if not labels:
            return "passed over" if talk.passed_over else "answered" if out else "waits"
        return "+".join(sorted(set(labels)))


def whole_frames(dialect: PlatformDialect, stream: bytes) -> int:
    """How many whole frames lead a stream, by the simulator's decoder."""
    count = 0
    try:
        while (size := frame_size(dialect, stream)) is not None and len(stream) >= size:
            unframe(dialect, stream[:size])
            count += 1
            stream = stream[size:]
    except NotWhole:
        pass
    return count


ANSWER = b'{"v":1,"plant":"p","epoch":"e","hwm":0,"ranges":[[1,1]]}'
LINES = (
    b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.0 500 X\r\n",
    b"Content-Length: %d\r\n" % len(ANSWER), b"Content-Length: 9999999999\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n", b"X: y\r\n", b"\r\n", ANSWER, b"%x\r\n%b\r\n" % (len(ANSWER), ANSWER), b"0\r\n\r\n",
    b"FFFFFFFF\r\n", b" folded\r\n",
)  # fmt: skip


class HttpAnswers:
    """Answers of a hostile HTTP server: read within limits, or refused."""

    def one(self, dice: Random) -> str:
        """One answer."""
        right = LINES[0] + LINES[3] + LINES[8] + ANSWER
        data = mutated(dice, right) if dice.randrange(2) else b"".join(dice.choices(LINES, k=dice.randint(1, 9)))
        reader, whole = AnswerReader(), data
        while data:
            size = dice.randint(1, len(data))
            try:
                answer = reader.feed(data[:size])
            except BadAnswer:
                return "refused"
            if answer is not None:
                if answer.body == ANSWER and not re.search(rb"HTTP/1\.[01] [1-5]\d\d", whole):
                    raise Wrong(f"an answer out of {whole!r}")
                return f"status {answer.status // 100}xx"
            if len(reader._received) > HEAD_BYTES_MAX + BODY_BYTES_MAX:
                raise Wrong("keeps more than its limits")
            data = data[size:]
        return "waits"
