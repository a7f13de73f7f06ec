"""The city platform behind a TCP port: logs collectors in, checks every packet, keeps their records, gives commands.

Collectors connect; the platform never calls them. It holds a value by (collector, time, code) and counts what it really
has, so that what a collector believes can be compared with it. How it misbehaves is said in `mohurd_conduct`.

Source: 可再生能源建筑应用示范项目数据监测系统技术导则(试行) (2009), chapter 5 and appendix 4. It
shares no code with the agent.
"""

import asyncio
import logging
import secrets
import socket
import struct
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from xml.sax.saxutils import escape

from hil_sim.platform.mohurd_conduct import Conduct
from hil_sim.platform.mohurd_dialects import DIALECTS, PlatformDialect
from hil_sim.platform.mohurd_wire import (
    BLOCK,
    TIME_FORM,
    HeldValue,
    PlatformKeys,
    Words,
    Wrong,
    decipher,
    digest_of,
    encipher,
    frame_of,
    frame_size,
    read_values,
    read_words,
    unframe,
)

LOG = logging.getLogger(__name__)

BEIJING = timezone(timedelta(hours=8))
SEEN_MAX = 2000
"""Packets remembered as seen."""
KEY_TYPES = {"0": "md5", "1": "aes", "2": "iv"}
HEAP = 256
LINGER_OFF = struct.pack("ii", 1, 0)


@dataclass(slots=True, eq=False)
class Collector:
    """A collector that the platform knows.

    Attributes:
        project: its plant's number.
        gateway: its own.
        keys: of the next login.
        session_keys: of the connection that stands.
        values: what is held, by (time, code).
        arrivals: packets of data by type.
        duplicates: values that came again as they were.
        contradictions: values that came again and differ: must never happen.
        answers: `*_ack` packets by type and return code.
    """

    project: str
    gateway: str
    keys: PlatformKeys
    values: dict[tuple[str, str], float | None] = field(default_factory=dict)
    arrivals: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    contradictions: int = 0
    answers: Counter[str] = field(default_factory=Counter)

    def hold(self, values: list[HeldValue]) -> None:
        """Stores values."""
        for value in values:
            key = (value.time, value.code)
            if key not in self.values:
                self.values[key] = value.value
            elif self.values[key] == value.value:
                self.duplicates += 1
            else:
                self.contradictions += 1

    def times(self) -> set[str]:
        """Names of the periods of which something is held."""
        return {time for time, _ in self.values}


class _Connection:
    """One collector's connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.collector: Collector | None = None
        self.keys: PlatformKeys | None = None
        self.challenge = ""
        self.sequence = b""
        self.logged_in = False
        self.held_back = b""
        """A frame that waits to travel with the next one."""


class MohurdServer:
    """The platform: `start()` it, and `stop()` it at the end; what it holds outlives that."""

    def __init__(
        self,
        dialect: str | PlatformDialect = "g2009",
        *,
        conduct: Conduct | None = None,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        """Knows nobody yet.

        Args:
            dialect: by name, or its own.
            conduct: how it behaves; may be changed while it runs.
            now: its clock; None: a clock that stands at the beginning of 2026.
        """
        self.dialect = DIALECTS[dialect] if isinstance(dialect, str) else dialect
        self.conduct = conduct or Conduct()
        self.collectors: dict[str, Collector] = {}
        self.wrong: Counter[str] = Counter()
        """Packets that broke the description, by what was wrong with them."""
        self.heard: Counter[str] = Counter()
        """Packets by type."""
        self.seen: deque[str] = deque(maxlen=SEEN_MAX)
        """What it saw, packet by packet, the newest last."""
        self.logins = 0
        self.connections = 0
        self.port = 0
        self._now = now or (lambda: datetime(2026, 1, 1, tzinfo=UTC))
        self._server: asyncio.Server | None = None
        self._open: dict[_Connection, asyncio.Task[None] | None] = {}
        self._numbers = 0
        self._changed = asyncio.Event()
        self._late: set[asyncio.Task[None]] = set()

    # -------------------------------------------------------------------------------------------------- what it is told
    def know(self, *, project: str, gateway: str, keys: PlatformKeys) -> Collector:
        """Registers a collector."""
        collector = Collector(project, gateway, keys)
        self.collectors[gateway] = collector
        return collector

    async def start(self, *, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listens."""
        self._server = await asyncio.start_server(self._serve, host, port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Closes the port and every connection."""
        for task in list(self._late):
            task.cancel()
        if self._server is not None:
            self._server.close()
        tasks = [task for task in self._open.values() if task is not None]
        for connection in list(self._open):
            connection.writer.transport.abort()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None

    async def changed(self) -> None:
        """Waits until something has come or gone."""
        self._changed.clear()
        await self._changed.wait()

    def drop_connections(self) -> None:
        """Cuts every connection, as a reboot does."""
        for connection in list(self._open):
            connection.writer.transport.abort()

    @property
    def online(self) -> list[str]:
        """Collectors that are logged in."""
        return [
            connection.collector.gateway
            for connection in self._open
            if connection.collector is not None and connection.logged_in
        ]

    # --------------------------------------------------------------------------------------------------------- commands
    async def command(self, gateway: str, kind: str, *, element: str = "stand", inside: str = "") -> bytes:
        """Sends a command to a collector that is logged in; returns the sequence that its answer must repeat.

        Args:
            gateway: whose.
            kind: type of the packet.
            element: name of the body.
            inside: XML within the body.

        Raises:
            LookupError: it is not logged in.
        """
        for connection in self._open:
            if connection.collector is not None and connection.collector.gateway == gateway and connection.logged_in:
                self._numbers += 1
                sequence = (0x70000000 + self._numbers).to_bytes(4, "big")[: self.dialect.sequence_size]
                await self._say(connection, kind, element=element, inside=inside, sequence=sequence)
                return sequence
        raise LookupError(f"{gateway} is not logged in")

    async def ask(self, gateway: str, begin: str | None = None, end: str | None = None) -> bytes:
        """Asks for history, with or without a span."""
        inside = "" if begin is None else f"<beginTime>{begin}</beginTime><endTime>{end}</endTime>"
        return await self.command(gateway, "query", element="data", inside=inside)

    async def set_period(self, gateway: str, number: str) -> bytes:
        """Wants another sending period."""
        return await self.command(gateway, "period", element="config", inside=f"<period>{number}</period>")

    async def set_clock(self, gateway: str, instant: datetime) -> bytes:
        """Says what time it is."""
        inside = f"<time>{instant.astimezone(BEIJING):{TIME_FORM}}</time>"
        return await self.command(gateway, "time", element="id_validate", inside=inside)

    async def set_key(self, gateway: str, kind: str, key: str, *, then_old_only: bool = False) -> bytes:
        """Sets a key; from the next login on only the new one is taken, or, misbehaving, only the old one.

        Args:
            gateway: whose.
            kind: 0 MD5, 1 AES, 2 initial vector.
            key: the new one.
            then_old_only: forgets it at once.
        """
        inside = f"<type>{kind}</type><key>{key}</key>"
        sequence = await self.command(gateway, "setkey", inside=inside)
        if not then_old_only:
            collector = self.collectors[gateway]
            collector.keys = replace(collector.keys, **{KEY_TYPES[kind]: key.rjust(BLOCK, "0")})
        return sequence

    # ------------------------------------------------------------------------------------------------------- connection
    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(reader, writer)
        self._open[connection] = asyncio.current_task()
        self.connections += 1
        self._changed.set()
        way = self.conduct.now("link", among=("refuse", "reset", "black_hole", "never_read"))
        try:
            if way == "refuse":
                return
            if way == "reset":
                _reset(writer)
                return
            if way == "never_read":
                writer.transport.pause_reading()  # type: ignore[attr-defined] # a socket's transport can
                await asyncio.Event().wait()
            await self._listen(connection, answers=way != "black_hole")
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            del self._open[connection]
            writer.close()
            self._changed.set()

    async def _listen(self, connection: _Connection, *, answers: bool) -> None:
        received = b""
        while True:
            data = await connection.reader.read(1 << 16)
            if not data:
                return
            received += data
            try:
                while (size := frame_size(self.dialect, received)) is not None and len(received) >= size:
                    frame, received = received[:size], received[size:]
                    await self._arrived(connection, frame, answers=answers)
            except Wrong as wrong:
                # Nobody can say where the next frame begins.
                self._note_wrong(wrong)
                return

    def _note_wrong(self, wrong: Wrong) -> None:
        self.wrong[wrong.name] += 1
        self.seen.append(f"wrong: {wrong}")
        self._changed.set()

    async def _arrived(self, connection: _Connection, frame: bytes, *, answers: bool) -> None:
        try:
            sequence, content = unframe(self.dialect, frame)
            words = self._words(connection, content)
        except Wrong as wrong:
            if self.conduct.strict:
                raise
            self._note_wrong(wrong)
            return
        self.heard[words.kind] += 1
        self.seen.append(words.kind)
        one_way = self.conduct.now("link", among=("one_way",)) == "one_way"
        if answers and self.conduct.slow_s:
            await asyncio.sleep(self.conduct.slow_s)
        try:
            await self._understand(connection, words, sequence, answers=answers and not one_way)
        except Wrong as wrong:
            if self.conduct.strict:
                raise
            self._note_wrong(wrong)
        self._changed.set()

    def _words(self, connection: _Connection, content: bytes) -> Words:
        """Reads a text under the connection's keys, or under those of the collector that it names."""
        ciphered = self.dialect.enciphered == "all" or (self.dialect.enciphered == "data" and content[:1] != b"<")
        if not ciphered:
            return self._known(connection, read_words(self.dialect, content[: content.rfind(b">") + 1]), None)
        tried = [connection.keys] if connection.keys is not None else [one.keys for one in self.collectors.values()]
        fault = Wrong("cipher nobody known")
        for keys in tried:
            try:
                words = read_words(self.dialect, decipher(content, keys))
            except Wrong as wrong:
                fault = wrong
                continue
            return self._known(connection, words, keys)
        raise Wrong(f"cipher under no known key: {fault}")

    def _known(self, connection: _Connection, words: Words, keys: PlatformKeys | None) -> Words:
        collector = self.collectors.get(words.gateway)
        if collector is None or collector.project != words.project:
            raise Wrong(f"ids {words.project} {words.gateway}")
        if connection.collector is not None and connection.collector is not collector:
            raise Wrong("ids another collector on this connection")
        connection.collector = collector
        if connection.keys is None:
            connection.keys = keys or collector.keys
        return words

    # ------------------------------------------------------------------------------------------------ what packets mean
    async def _understand(self, connection: _Connection, words: Words, sequence: bytes, *, answers: bool) -> None:
        if words.kind == "request":
            if answers:
                await self._challenge(connection, sequence)
        elif words.kind == "md5":
            await self._judge(connection, words, sequence, answers=answers)
        elif not connection.logged_in:
            raise Wrong(f"login {words.kind} before it")
        elif words.kind == "notify":
            if answers:
                await self._alive(connection, sequence)
        elif words.kind in {"report", "continuous", "reply"}:
            await self._data(connection, words, sequence, answers=answers)
        elif words.kind == "continuous_request":
            pass  # whether history may come is for whoever plays the platform: `command` allows or forbids it
        elif words.kind.endswith("_ack"):
            assert connection.collector is not None
            code = words.body.findtext("return", "")
            connection.collector.answers[f"{words.kind} {code}"] += 1
        else:
            raise Wrong(f"xml type {words.kind!r}")

    async def _challenge(self, connection: _Connection, sequence: bytes) -> None:
        way = self.conduct.now("login", among=("silence", "second_sequence", "wrong_echo"))
        if way == "silence":
            return
        connection.sequence = sequence
        for _ in range(2 if way == "second_sequence" else 1):
            connection.challenge = secrets.token_hex(8)
            echo = _other(sequence) if way == "wrong_echo" else sequence
            inside = f"<sequence>{connection.challenge}</sequence>"
            await self._say(connection, "sequence", element="id_validate", inside=inside, sequence=echo)

    async def _judge(self, connection: _Connection, words: Words, sequence: bytes, *, answers: bool) -> None:
        assert connection.collector is not None
        keys = connection.keys or connection.collector.keys
        # The digest is judged under the key that holds now, whatever the cipher's are.
        right = words.body.findtext("md5") == digest_of(
            self.dialect, sequence=connection.challenge, key=connection.collector.keys.md5
        )
        way = self.conduct.now("login", among=("fail", "pass_without_time", "drop_after_pass"))
        passed = right and way != "fail"
        del keys
        if not right:
            self.wrong["md5"] += 1
        if passed:
            connection.logged_in = True
            self.logins += 1
        if not answers:
            return
        clock = f"<time>{self._time()}</time>" if self.dialect.clock_at_login and way != "pass_without_time" else ""
        inside = f"<result>{'pass' if passed else 'fail'}</result>{clock if passed else ''}"
        second = "<type>time</type>" if clock and passed else ""
        await self._say(connection, "result", element="id_validate", inside=inside, sequence=sequence, second=second)
        if way == "drop_after_pass":
            connection.logged_in = False
            connection.writer.close()

    async def _alive(self, connection: _Connection, sequence: bytes) -> None:
        if self.dialect.heart_with_time:
            inside = f"<time>{self._time()}</time>"
            await self._say(connection, "time", element="heart_beat", inside=inside, sequence=sequence)
            return
        inside = "<heart_result>0000</heart_result>"
        await self._say(connection, "heart_result", element="id_validate", inside=inside, sequence=sequence)

    async def _data(self, connection: _Connection, words: Words, sequence: bytes, *, answers: bool) -> None:
        collector = connection.collector
        assert collector is not None
        values = read_values(self.dialect, words.body)
        collector.arrivals[words.kind] += 1
        way = self.conduct.now("acks")
        # An acknowledgement before the storing, and then a crash; where reports have none, merely a loss.
        if way == "lost":
            collector.arrivals["lost"] += 1
        else:
            collector.hold(values)
        if answers:
            await self._acknowledge(connection, words, sequence, way=way)

    async def _acknowledge(self, connection: _Connection, words: Words, sequence: bytes, *, way: str) -> None:
        body_sequence = words.body.findtext("sequence", "")
        if words.kind == "continuous":
            total, current = (int(words.body.findtext(name, "0")) for name in ("total", "current"))
            if not 0 < current <= total:
                raise Wrong(f"data current {current} of {total}")
            if not self.dialect.history_ack or (self.dialect.history_ack == "batch" and current != total):
                return
            kind, value = "continuous_ack", str(current)
            value = {"zero": "0", "negative": "-3", "beyond_total": str(total + 1)}.get(way, value)
            inside = f"<continuous_ack>{value}</continuous_ack>"
        elif words.kind == "report" and self.dialect.report_ack:
            kind = self.dialect.report_ack
            value = {"zero": "0", "negative": "-3"}.get(way, "1" if kind == "data_ack" else "pass")
            inside = f"<result>{value}</result>"
        else:
            return
        if way == "none":
            return
        if way == "wrong_sequence":
            sequence, body_sequence = _other(sequence), str(int(body_sequence) + 1000)
        if not self.dialect.sequence_size:
            inside = f"<sequence>{body_sequence}</sequence>{inside}"
        times = 2 if way == "doubled" else 1
        if way == "late":
            task = asyncio.get_running_loop().create_task(
                self._say_late(connection, kind, inside=inside, sequence=sequence)
            )
            self._late.add(task)
            task.add_done_callback(self._late.discard)
            return
        for _ in range(times):
            await self._say_ack(
                connection, kind, inside=inside, sequence=sequence, good=way not in {"zero", "negative"}
            )

    async def _say_late(self, connection: _Connection, kind: str, *, inside: str, sequence: bytes) -> None:
        await asyncio.sleep(self.conduct.late_s)
        with suppress(OSError):
            await self._say_ack(connection, kind, inside=inside, sequence=sequence, good=True)

    async def _say_ack(self, connection: _Connection, kind: str, *, inside: str, sequence: bytes, good: bool) -> None:
        if kind == "ok":
            await self._send(connection, f"<ack>{'OK' if good else 'FAIL'}</ack>", sequence=sequence, kind="data")
        else:
            await self._say(connection, kind, element="data", inside=inside, sequence=sequence)

    def _time(self) -> str:
        return self._now().astimezone(BEIJING).strftime(TIME_FORM)

    # ------------------------------------------------------------------------------------------------- what it puts out
    async def _say(
        self, connection: _Connection, kind: str, *, element: str, inside: str, sequence: bytes, second: str = ""
    ) -> None:
        collector = connection.collector
        assert collector is not None
        project, gateway, dialect = collector.project, collector.gateway, self.dialect
        way = self.conduct.now("xml")
        if way == "foreign_ids":
            gateway = "9" * len(gateway)
        if way == "unknown_type":
            kind, element = "surprise", "stand"
        if way == "two_types" and not second:
            second = "<type>surprise</type>"
        common = (
            f"<common><{dialect.project}>{escape(project)}</{dialect.project}><{dialect.gateway}>{escape(gateway)}"
            f"</{dialect.gateway}><type>{escape(kind)}</type>{second}</common>"
        )
        begin, end = f'<{element} operation="{escape(kind)}">', f"</{element}>"
        front = '<?xml version="1.0" encoding="utf-8"?>'
        if way == "closed_twice":
            begin = f'<{element} operation="{escape(kind)}" />'
        elif way == "blanks":
            begin, end = f'< {element} operation="{escape(kind)}" >', f"</ {element} >"
        elif way == "broken_comment":
            begin = f"<!-- {element} ->{begin}"
        elif way == "bom":
            front = "\ufeff" + front
        elif way == "doctype":
            front += '<!DOCTYPE root [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
        group = {"notify": "heart", "time": "heart", "sequence": "login", "result": "login"}.get(kind, "other")
        if kind in {"report_ack", "data_ack", "continuous_ack"}:
            group = "data"
        await self._send(connection, f"{front}<root>{common}{begin}{inside}{end}</root>", sequence=sequence, kind=group)

    async def _send(self, connection: _Connection, text: str, *, sequence: bytes, kind: str) -> None:
        way = self.conduct.now("bytes")
        dialect = self.dialect
        if way in {"fill_nul", "fill_pkcs7"}:
            dialect = replace(dialect, padding=way.removeprefix("fill_"))
        content = text.encode()
        if dialect.enciphered == "all":
            keys = connection.keys
            assert keys is not None
            if way == "wrong_key":
                keys = PlatformKeys(keys.md5, "f" * BLOCK, "e" * BLOCK)
            content = encipher(dialect, content, keys)
        frame = frame_of(dialect, sequence=sequence, content=content, kind=kind)
        await self._write(connection, _damaged(dialect, frame, way))

    async def _write(self, connection: _Connection, frame: bytes) -> None:
        writer = connection.writer
        way = self.conduct.now("link", among=("drip", "two_in_one", "half_frame"))
        if way == "half_frame":
            writer.write(frame[: len(frame) // 2])
            await writer.drain()
            writer.close()
            return
        if way == "two_in_one" and not connection.held_back:
            connection.held_back = frame
            asyncio.get_running_loop().call_later(0.05, self._release, connection)
            return
        frame, connection.held_back = connection.held_back + frame, b""
        if way == "drip":
            for byte in frame[:HEAP]:
                writer.write(bytes([byte]))
                await writer.drain()
            frame = frame[HEAP:]
        writer.write(frame)
        await writer.drain()

    def _release(self, connection: _Connection) -> None:
        """Lets a frame go that waited for another one in vain."""
        if connection.held_back and not connection.writer.is_closing():
            connection.writer.write(connection.held_back)
        connection.held_back = b""


def _damaged(dialect: PlatformDialect, frame: bytes, way: str) -> bytes:
    """A frame with something wrong in its bytes."""
    if way == "wrong_head":
        return bytes([frame[0] ^ 0xFF]) + frame[1:]
    at = len(dialect.head) + dialect.typed
    if way in {"length_zero", "length_huge", "length_off"}:
        counted = {"length_zero": 0, "length_huge": 0xFFFFFFF0 if dialect.length == "le4" else 0xFFFF}.get(way)
        if counted is None:
            field = frame[at : at + 4]
            counted = 1 + (int.from_bytes(field, "little") if dialect.length == "le4" else int(field, 16))
        written = counted.to_bytes(4, "little") if dialect.length == "le4" else f"{counted:04x}".encode()
        return frame[:at] + written + frame[at + 4 :] + (bytes(8) if way == "length_off" else b"")
    end = len(frame) - len(dialect.tail)
    if way in {"bad_crc", "swapped_crc"} and dialect.crc:
        first, second = frame[end - 2 : end]
        sums = bytes([second, first]) if way == "swapped_crc" else bytes([first ^ 1, second])
        return frame[: end - 2] + sums + frame[end:]
    return frame + b"junk" if way == "trailing_junk" else frame


def _other(sequence: bytes) -> bytes:
    return bytes(byte ^ 0x5A for byte in sequence)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection with a reset."""
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_OFF)
    writer.transport.abort()


def expected(records: Mapping[datetime, Mapping[str, float | None]]) -> dict[tuple[str, str], float | None]:
    """What a platform must hold of records, by (time, code): to be compared with `Collector.values`.

    Args:
        records: values by code, by the instant that names the period.
    """
    return {
        (f"{instant.astimezone(BEIJING):{TIME_FORM}}", code): value
        for instant, values in records.items()
        for code, value in values.items()
    }
