"""One connection's conversation with a platform: bytes that came go in, what they mean comes out. No wire, no clock.

It knows the login, the signs of life, what an answer proves, and which commands there are. It obeys nothing: queries,
periods, keys and clocks are handed on. A packet that breaks the frame ends the connection; a packet that is merely
senseless is counted and passed over, and what nobody knows is answered with "not supported".

Source: 可再生能源建筑应用示范项目数据监测系统技术导则(试行) (2009), appendix 4.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from typing_extensions import override

from edge_agent.settings.dialect import Dialect
from edge_agent.uplink.transports.mohurd_tcp.cipher import TextCipher, challenge_answer, fitted, plain_text
from edge_agent.uplink.transports.mohurd_tcp.faults import BadCipher, BadText, ProtocolFault
from edge_agent.uplink.transports.mohurd_tcp.flights import Flight, Flights
from edge_agent.uplink.transports.mohurd_tcp.frame import FrameFormat, Packet
from edge_agent.uplink.transports.mohurd_tcp.keys import KeyKind, Keys
from edge_agent.uplink.transports.mohurd_tcp.words import (
    KEY_CHARACTERS_MAX,
    WORD_CHARACTERS_MAX,
    Heard,
    Told,
    Writer,
    read_clock,
    read_packet,
)

CHALLENGES_MAX = 3
"""Challenges answered on one connection: more of them would make us an oracle for our key."""
SEQUENCE_MAX = 2**32 - 1
OK_WORDS = frozenset({"1", "pass", "ok", "yes", "success"})
KEY_KINDS: dict[str, KeyKind] = {"0": "md5_key", "1": "aes_key", "2": "aes_iv"}
MINUTES = {"s": 1 / 60, "min": 1, "h": 60}
DAY_MIN = 1440
REFUSED_RANGE, REFUSED_FORM, REFUSED_GRID = -1, -2, -3
"""Our error codes: outside of the bounds, no number or key, a period that does not divide a day."""
OWN_TYPES = frozenset({"request", "md5", "notify", "report", "reply", "continuous"})
"""What only a collector says: from a platform it is an echo and gets no answer."""
LOGIN_TYPES, HEART_TYPES = frozenset({"request", "md5"}), frozenset({"notify"})
DATA_TYPES = frozenset({"report", "reply", "continuous"})


# ------------------------------------------------------------------------------------------------------ what comes out
@dataclass(frozen=True, slots=True)
class Passed:
    """The login has passed."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The login was refused: the words of the platform."""

    words: str


@dataclass(frozen=True, slots=True)
class Alive:
    """A heartbeat was answered."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The platform's clock."""

    instant: datetime


@dataclass(frozen=True, slots=True)
class Proven:
    """Rows that the platform has: acknowledged, or only read by it."""

    flights: Sequence[Flight]
    acknowledged: bool


@dataclass(frozen=True, slots=True)
class NotTaken:
    """Rows that the platform answered with a failure: they stay where they are."""

    flights: Sequence[Flight]
    words: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A query: instants as the platform names periods; None where it gives none."""

    begin: datetime | None
    end: datetime | None
    reference: bytes


@dataclass(frozen=True, slots=True)
class PeriodWanted:
    """Another sending period [min]."""

    period_min: int
    reference: bytes


@dataclass(frozen=True, slots=True)
class KeySet:
    """A new key; never shown."""

    kind: KeyKind
    value: str
    reference: bytes

    @override
    def __repr__(self) -> str:
        """Without the key."""
        return f"KeySet({self.kind})"


@dataclass(frozen=True, slots=True)
class HistoryAllowed:
    """History may be sent, or not."""

    allowed: bool


Said = Passed | Rejected | Alive | Clock | Proven | NotTaken | Asked | PeriodWanted | KeySet | HistoryAllowed


class Unsayable(Exception):
    """A row that this dialect has no packet for, such as one longer than its length field can say."""

    def __init__(self, epoch: str, seq: int, reason: str) -> None:
        super().__init__(reason)
        self.epoch = epoch
        self.seq = seq


class Conversation:
    """One connection."""

    def __init__(
        self,
        dialect: Dialect,
        *,
        project: str,
        gateway: str,
        keys: Keys,
        zone: tzinfo,
        first_sequence: int,
    ) -> None:
        """Begins with nothing said.

        Args:
            dialect: how it is spoken.
            project: number of the plant.
            gateway: number of the collector.
            keys: of this login.
            zone: the platform's zone, for its clocks.
            first_sequence: first number of our own frames; best another one for each connection.
        """
        self._dialect = dialect
        self._ids = (project, gateway)
        self._md5_key = keys.md5_key
        self._zone = zone
        self._format = FrameFormat(dialect)
        self._cipher: TextCipher | None = None
        if dialect.crypt.scope != "none":
            key = fitted(keys.aes_key)
            self._cipher = TextCipher(dialect.crypt, dialect.body, key=key, iv=fitted(keys.aes_iv or keys.aes_key)[:16])
        self._writer = Writer(dialect, project=project, gateway=gateway)
        self._theirs = {theirs: ours for ours, theirs in dialect.operations.items()}
        self._in, self._out = bytearray(), bytearray()
        self._sequence = first_sequence & SEQUENCE_MAX
        self._batch = 0
        self._challenges = self._results = 0
        self._hearts: list[tuple[bytes, int]] = []
        self._heart_mark = self._provable = self._hearts_sent = 0
        self.flights = Flights()
        self.logged_in = False
        self.passed_over: Counter[str] = Counter()
        """Packets that were passed over, by reason."""
        self.packets = 0
        """Packets that were read."""
        self.fault: ProtocolFault | None = None
        """What is wrong with the stream; nothing more is read from it."""

    # ------------------------------------------------------------------------------------------------------- our side
    def take(self) -> bytes:
        """What is to be written now."""
        taken = bytes(self._out)
        self._out.clear()
        return taken

    @property
    def unanswered(self) -> int:
        """Heartbeats without an answer."""
        return len(self._hearts)

    @property
    def waits_for_proof(self) -> bool:
        """Whether rows have left since the last heartbeat that only a heartbeat can prove."""
        return self._provable > self._heart_mark

    def begin(self) -> None:
        """Asks to come in."""
        self._say("request", self._writer.request())

    def heartbeat(self) -> int:
        """Gives a sign of life; returns its number, for `answered_up_to`."""
        self._heart_mark = self.flights.mark
        self._hearts.append((self._say("notify", self._writer.notify()), self._heart_mark))
        self._hearts_sent += 1
        return self._hearts_sent

    @property
    def answered_up_to(self) -> int:
        """Number of the last heartbeat that was answered; everything that we said before it was read."""
        return self._hearts_sent - len(self._hearts)

    def ask_resume(self) -> None:
        """Asks whether history may be sent."""
        self._say(self._dialect.resume.ask_type, self._writer.ask_resume())

    def report(self, told: Told, *, epoch: str, seq: int) -> None:
        """Sends a period as a timed report.

        Raises:
            Unsayable: it fits no packet.
        """
        body = self._body_sequence(seq)
        try:
            frame = self._say("report", self._writer.report(told, sequence=body))
        except ValueError as error:
            raise Unsayable(epoch, seq, str(error)) from error
        self._fly(Flight(epoch, seq, frame, body))

    def history(self, batch: Sequence[tuple[Told, str, int]]) -> None:
        """Sends periods, each with epoch and number, as one batch of history.

        Raises:
            Unsayable: one of them fits no packet; those before it have left, those behind it have not.
        """
        self._batch += 1
        for current, (told, epoch, seq) in enumerate(batch, start=1):
            body = self._body_sequence(seq)
            text = self._writer.continuous(told, sequence=body, total=len(batch), current=current)
            try:
                frame = self._say("continuous", text)
            except ValueError as error:
                raise Unsayable(epoch, seq, str(error)) from error
            self._fly(
                Flight(epoch, seq, frame, body, history=True, current=current, total=len(batch), batch=self._batch)
            )

    def _fly(self, flight: Flight) -> None:
        self.flights.add(flight)
        if (self._dialect.continuous if flight.history else self._dialect.data).ack == "none":
            self._provable = self.flights.mark

    def answer_query(self, told: Told, *, reference: bytes, number: int) -> None:
        """Sends a period that a query asked for, with the query's sequence."""
        self._say("reply", self._writer.reply(told, sequence=str(number)), reference=reference)

    def answer_query_as_history(self, portion: Sequence[Told], *, reference: bytes, number: int) -> None:
        """Sends periods that a query asked for as a batch of history; its acknowledgement moves nothing here."""
        for current, told in enumerate(portion, start=1):
            text = self._writer.continuous(told, sequence=str(number + current), total=len(portion), current=current)
            self._say("continuous", text, reference=reference)

    def answer_query_with_nothing(self, told: Told, *, reference: bytes) -> None:
        """Says that there is nothing in the span of a query."""
        self._say("reply", self._writer.reply(told, sequence="0", parse="no"), reference=reference)

    def answer_period(self, *, reference: bytes, code: int) -> None:
        """Answers a wanted period."""
        self._say("period_ack", self._writer.period_ack(code), reference=reference)

    def answer_key(self, *, reference: bytes, code: int) -> None:
        """Answers a new key, still under the old ones."""
        self._say("setkey_ack", self._writer.acknowledge("setkey", code), reference=reference)

    def _body_sequence(self, seq: int) -> str:
        return str(seq % 10**self._dialect.body.sequence_digits)

    def _say(self, kind: str, text: str, *, reference: bytes | None = None) -> bytes:
        """Puts a packet out; returns its sequence."""
        count = self._format.sequence_bytes
        if not count:
            sequence = b""
        elif reference is not None and len(reference) == count:
            sequence = reference
        else:
            sequence = self._sequence.to_bytes(count, "big")
            self._sequence = (self._sequence + 1) & SEQUENCE_MAX
        scope = self._dialect.crypt.scope
        ciphered = self._cipher is not None and (scope == "all" or kind in DATA_TYPES)
        content = self._cipher.encipher(text) if self._cipher is not None and ciphered else self._plain(text)
        type_byte = self._type_byte(kind) if self._dialect.frame.type_byte else None
        self._out += self._format.encode(Packet(sequence, content, type_byte))
        return sequence

    def _plain(self, text: str) -> bytes:
        return text.encode(self._dialect.body.encoding)

    def _type_byte(self, kind: str) -> int:
        numbers = self._dialect.type_bytes
        if kind in LOGIN_TYPES:
            return numbers.login
        if kind in HEART_TYPES:
            return numbers.heartbeat
        return numbers.data if kind in DATA_TYPES else numbers.control

    # ---------------------------------------------------------------------------------------------- the platform's side
    def hear(self, data: bytes) -> list[Said]:
        """Takes what has come.

        What whole packets said before a broken one counts; `fault` then names what the next call would raise.

        Raises:
            ProtocolFault: the frame or the cipher is broken, or the text is none: the connection must be closed.
        """
        if self.fault is not None:
            raise self.fault
        self._in += data
        said: list[Said] = []
        try:
            while (packet := self._format.cut(self._in)) is not None:
                self.packets += 1
                heard = self._read(packet)
                if heard is None:
                    continue
                for kind in heard.types:
                    said.extend(self._understand(self._theirs.get(kind, kind), heard, packet.sequence))
        except ProtocolFault as fault:
            self._in.clear()
            self.fault = fault
            if not said:
                raise
        return said

    def _read(self, packet: Packet) -> Heard | None:
        """The packet's text, taken apart; None for one that is meant for another collector."""
        heard = self._text(packet.content)
        if self._dialect.body.ids_rx == "same" and (heard.project, heard.gateway) not in {self._ids, ("", "")}:
            self.passed_over["foreign ids"] += 1
            return None
        return heard

    def _text(self, content: bytes) -> Heard:
        body, cipher = self._dialect.body, self._cipher
        if cipher is None:
            return read_packet(plain_text(content, encoding=body.encoding), body=body)
        if self._dialect.crypt.scope == "data":
            # Only some packets are enciphered, no source says which of the platform's: a text shows that it is one.
            try:
                return read_packet(plain_text(content, encoding=body.encoding), body=body)
            except ProtocolFault:
                if len(content) % 16:
                    raise
        try:
            return read_packet(plain_text(cipher.decipher(content), encoding=body.encoding), body=body)
        except BadText as fault:
            if not self.logged_in:
                raise BadCipher(f"not XML after deciphering: other keys? ({fault})") from fault
            raise

    def _understand(self, kind: str, heard: Heard, reference: bytes) -> Iterator[Said]:
        """What a packet means."""
        if kind == "sequence":
            self._challenge(heard, reference)
        elif kind == "result":
            yield from self._result(heard)
        elif kind == "time" or (kind == "heart_beat" and heard.value("time")):
            yield from self._time(heard)
        elif kind == "heart_result":
            yield from self._heart(reference)
        elif not self.logged_in:
            self.passed_over["before the login"] += 1
        elif kind in {"report_ack", "data_ack"}:
            yield from self._data_ack(heard, reference)
        elif kind == "continuous_ack":
            yield from self._history_ack(heard, reference)
        else:
            yield from self._command(kind, heard, reference)

    def _challenge(self, heard: Heard, reference: bytes) -> None:
        sequence = heard.value("sequence")
        self._challenges += 1
        if not sequence or len(sequence) > WORD_CHARACTERS_MAX or self._challenges > CHALLENGES_MAX:
            self.passed_over["challenge"] += 1
            return
        digest = challenge_answer(sequence, self._md5_key, login=self._dialect.login)
        self._say("md5", self._writer.md5(digest), reference=reference)

    def _result(self, heard: Heard) -> Iterator[Said]:
        words = heard.value("result") or ""
        self._results += 1
        if words.lower() in {word.lower() for word in self._dialect.login.pass_words}:
            self.logged_in = True
            yield Passed()
        elif self._results < self._challenges:
            self.passed_over["result of an earlier challenge"] += 1
        else:
            yield Rejected(words[:WORD_CHARACTERS_MAX])

    def _time(self, heard: Heard) -> Iterator[Said]:
        """The platform's clock: with the login, as the answer to a heartbeat, or by itself."""
        instant = read_clock(heard.value("time"), zone=self._zone)
        if instant is not None:
            yield Clock(instant)
        elif heard.value("time"):
            self.passed_over["clock"] += 1
        if self._is_heart_answer(heard):
            yield from self._heart(b"")

    def _is_heart_answer(self, heard: Heard) -> bool:
        """Whether a clock answers a heartbeat: it stands in the heartbeat's element."""
        return self._dialect.heartbeat.answer != "heart_result" and heard.body.name.lower() == "heart_beat"

    def _heart(self, reference: bytes) -> Iterator[Said]:
        """A heartbeat was answered: everything before it was read."""
        if not self._hearts or not self.logged_in:
            self.passed_over["heart answer"] += 1
            return
        place = 0
        if self._format.sequence_bytes and reference and self._dialect.heartbeat.echo == "same":
            place = next((place for place, (frame, _) in enumerate(self._hearts) if frame == reference), -1)
            if place < 0:
                self.passed_over["heart answer"] += 1
                return
        mark = self._hearts[place][1]
        del self._hearts[: place + 1]
        yield Alive()
        proven: list[Flight] = []
        if self._dialect.data.ack == "none":
            proven += self.flights.before(mark, history=False)
        if self._dialect.continuous.ack == "none":
            proven += self.flights.before(mark, history=True)
        if proven:
            yield Proven(proven, acknowledged=False)

    # ------------------------------------------------------------------------------------------------- acknowledgements
    def _verdict(self, heard: Heard, *names: str) -> tuple[bool, str]:
        """Whether an acknowledgement says yes, and its words."""
        for name in (*names, "result", "return", "ack"):
            words = heard.value(name)
            if words:
                return words.lower() in OK_WORDS, words[:WORD_CHARACTERS_MAX]
        return heard.body.text.lower() in OK_WORDS, heard.body.text[:WORD_CHARACTERS_MAX]

    def _data_ack(self, heard: Heard, reference: bytes) -> Iterator[Said]:
        good, words = self._verdict(heard, "report_ack", "data_ack")
        frame, body = self._names(heard, reference)
        found: list[Flight] = []
        if self._dialect.data.ack_match == "in_turn":
            found = self.flights.named(frame=None, body=None, history=False)[:1]
        elif frame is not None or body is not None:
            found = self.flights.named(frame=frame, body=body, history=False)
        yield from self._acknowledged(found, good=good, words=words)

    def _names(self, heard: Heard, reference: bytes) -> tuple[bytes | None, str | None]:
        """What an acknowledgement names, as far as the dialect counts it; all of it must fit."""
        match = self._dialect.data.ack_match
        frame = reference if self._format.sequence_bytes and match in {"frame_sequence", "given"} else None
        body = heard.value("sequence") if match in {"body_sequence", "given"} else None
        return frame, body or None

    def _history_ack(self, heard: Heard, reference: bytes) -> Iterator[Said]:
        rule = self._dialect.continuous
        if rule.ack == "none":
            self.passed_over["acknowledgement"] += 1
            return
        number = heard.number("continuous_ack")
        good, words = self._verdict(heard, "continuous_ack")
        frame, body = self._names(heard, reference)
        named = None
        if rule.ack_value == "current":
            good, named = number is not None and number > 0, number
        if frame is None and body is None and self._dialect.data.ack_match != "in_turn":
            # Packets of several batches share their places: without a sequence it could be any of them.
            found = []
        elif rule.ack == "batch":
            found = self.flights.batch_of(frame=frame, body=body, total=named if good else None)
        else:
            found = self.flights.named(frame=frame, body=body, history=True, current=named if good else None)
        yield from self._acknowledged(found, good=good, words=words)

    def _acknowledged(self, found: list[Flight], *, good: bool, words: str) -> Iterator[Said]:
        if not found:
            self.passed_over["acknowledgement"] += 1
        elif good:
            yield Proven(found, acknowledged=True)
        else:
            yield NotTaken(found, words)

    # --------------------------------------------------------------------------------------------------------- commands
    def _command(self, kind: str, heard: Heard, reference: bytes) -> Iterator[Said]:
        resume = self._dialect.resume
        if kind == "query":
            yield from self._query(heard, reference)
        elif kind == "period":
            yield from self._period(heard, reference)
        elif kind == "setkey":
            yield from self._setkey(heard, reference)
        elif kind in {resume.allow_type, resume.forbid_type}:
            yield HistoryAllowed(kind == resume.allow_type)
        elif kind.endswith("_ack") or kind in OWN_TYPES:
            self.passed_over["no answer due"] += 1  # an answer to an answer would never end
        else:
            self.passed_over["unknown type"] += 1
            self._say(f"{kind}_ack", self._writer.acknowledge(kind, 0), reference=reference)

    def _query(self, heard: Heard, reference: bytes) -> Iterator[Said]:
        rule = self._dialect.query
        texts = [heard.value(name) for name in (rule.begin_element, rule.end_element)]
        begin, end = (read_clock(text, zone=self._zone) for text in texts)
        if (texts[0] and begin is None) or (texts[1] and end is None) or (begin and end and begin > end):
            self.passed_over["query"] += 1
            self._say("query_ack", self._writer.acknowledge("query", REFUSED_FORM), reference=reference)
            return
        yield Asked(begin, end, reference)

    def _period(self, heard: Heard, reference: bytes) -> Iterator[Said]:
        rule = self._dialect.period
        number = heard.number("period")
        wanted_min = None if number is None else number * MINUTES[rule.unit]
        if wanted_min is None:
            self.answer_period(reference=reference, code=REFUSED_FORM)
        elif not rule.min_min <= wanted_min <= rule.max_min:
            self.answer_period(reference=reference, code=REFUSED_RANGE)
        elif wanted_min != int(wanted_min) or DAY_MIN % int(wanted_min):
            self.answer_period(reference=reference, code=REFUSED_GRID)
        else:
            yield PeriodWanted(int(wanted_min), reference)

    def _setkey(self, heard: Heard, reference: bytes) -> Iterator[Said]:
        kind = KEY_KINDS.get((heard.body.value("type") or "").strip())
        value = heard.value("key") or ""
        if kind is None:
            self._say("setkey_ack", self._writer.acknowledge("setkey", 0), reference=reference)
        elif not 0 < len(value) <= KEY_CHARACTERS_MAX or not value.isascii() or not value.isprintable():
            self.answer_key(reference=reference, code=REFUSED_FORM)
        else:
            yield KeySet(kind, value, reference)


def span_of(
    asked: Asked, *, stamp_end: bool, period_min: int, now: datetime, without_range_h: float
) -> tuple[datetime | None, datetime | None]:
    """Starts of the periods that a query asks for, as [from, to).

    Args:
        asked: the query; its instants are the names of periods, both meant.
        stamp_end: a period is named by its end.
        period_min: length of a period [min].
        now: the present.
        without_range_h: what a query without a span asks for [h].
    """
    shift = timedelta(minutes=period_min if stamp_end else 0)
    if asked.begin is None and asked.end is None:
        return now - timedelta(hours=without_range_h), None
    begin = None if asked.begin is None else asked.begin - shift
    end = None if asked.end is None else asked.end - shift + timedelta(seconds=1)
    return begin, end
