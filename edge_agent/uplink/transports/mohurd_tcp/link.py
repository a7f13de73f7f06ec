"""Records over the city platform's TCP protocol: connection, login, signs of life, and what goes to and fro.

The collector connects and keeps the connection; it never listens. What the bytes mean is the conversation's business,
what becomes of records the sender's. A platform that does not read, does not answer or talks nonsense loses the
connection within stated times; a refused login is tried again with growing rests.

Source: 可再生能源建筑应用示范项目数据监测系统技术导则(试行) (2009), chapter 5; times after a deployed client.
"""

import asyncio
import logging
import random
import secrets
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, tzinfo

from edge_agent.errors import RetryUplink, StoreFault
from edge_agent.settings.dialect import Dialect
from edge_agent.store.rows import OutboxRow
from edge_agent.uplink.record import Record, decode
from edge_agent.uplink.transports.base import (
    BackfillAllowed,
    Event,
    KeyChanged,
    Lane,
    Memory,
    Proof,
    Query,
    Receipt,
    ServerClock,
    SetPeriod,
    Traits,
)
from edge_agent.uplink.transports.mohurd_tcp.conversation import (
    Alive,
    Asked,
    Clock,
    Conversation,
    HistoryAllowed,
    KeySet,
    NotTaken,
    Passed,
    PeriodWanted,
    Proven,
    Rejected,
    Said,
    Unsayable,
    span_of,
)
from edge_agent.uplink.transports.mohurd_tcp.faults import BadCipher, ProtocolFault
from edge_agent.uplink.transports.mohurd_tcp.flights import Flight
from edge_agent.uplink.transports.mohurd_tcp.keys import KeyRing, read_credentials
from edge_agent.uplink.transports.mohurd_tcp.words import Told, Value, write_clock

LOG = logging.getLogger(__name__)

PORT = 4400
"""Where nothing else is said. Source: the guideline, chapter 5."""
CONNECT_S_MAX = 15.0
WRITE_S_MAX = 15.0
"""A platform that does not read for this long has lost the connection [s, wall]."""
CLOSE_S_MAX = 2.0
LOOK_S = 0.25
"""A heartbeat that is to prove something goes out at most this late [s, wall]."""
READ_BYTES = 1 << 16
LOGIN_REST_FIRST_S = 30.0
LOGIN_REST_S_MAX = 300.0
"""Rests after a refused login [s, wall]: the first, and the longest."""
INFLIGHT_MAX = 8
REASON_MAX = 200
REFUSED_STORE = -4
"""Our error code: the new key could not be kept."""
NO_DELAY = (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
KEEP_ALIVE = (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


class MohurdTcp:
    """A way to one server of a platform."""

    def __init__(
        self,
        *,
        server: str,
        dialect: Dialect,
        project: str,
        gateway: str,
        period_min: Callable[[], int],
        credentials: Callable[[], str],
        memory: Memory,
        zone: tzinfo,
        now_utc: Callable[[], datetime],
        elapsed_s: Callable[[], float],
        point_codes: Mapping[str, str] | None = None,
        jitter: Callable[[], float] = random.random,
        login_rest_s: float = LOGIN_REST_FIRST_S,
    ) -> None:
        """Takes everything; opens nothing.

        Args:
            server: `host` or `host:port`.
            dialect: how it is spoken.
            project: number of the plant.
            gateway: number of the collector.
            period_min: length of the periods of today [min], for queries.
            credentials: reads the credential file; asked before each login, so keys can be changed while we run.
            memory: keeps keys that the platform has set.
            zone: the platform's zone.
            now_utc: the site's clock.
            elapsed_s: the machine's monotonic clock [s].
            point_codes: 15-digit point code by data code.
            jitter: a number in [0, 1), anew each time.
            login_rest_s: rest after the first refused login [s, wall].
        """
        self._server = server
        self._dialect = dialect
        self._project = project
        self._gateway = gateway
        self._period_min = period_min
        self._credentials = credentials
        self._memory = memory
        self._key = f"mohurd.keys.{server}"
        self._zone = zone
        self._now_utc = now_utc
        self._elapsed_s = elapsed_s
        self._point_codes = dict(point_codes or {})
        self._jitter = jitter
        self._rest_first_s = self._rest_s = login_rest_s
        self._not_before_s: float | None = None
        self._ring: KeyRing | None = None
        self._events: deque[Event] = deque()
        self._landed = asyncio.Event()
        self._alive = asyncio.Event()
        self._talk: Conversation | None = None
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        self._heart_due_s = self._proof_due_s = self._ask_due_s = 0.0
        self._answers: dict[bytes, int] = {}
        self.logins_refused = 0
        """Logins that failed since the start."""

    @property
    def traits(self) -> Traits:
        """What the dialect can do."""
        dialect = self._dialect
        history = dialect.resume.as_ == "continuous" and dialect.continuous.ack != "none"
        one_by_one = self._in_turn
        return Traits(
            acknowledges=dialect.data.ack != "none" or dialect.continuous.ack != "none",
            receipts_outlive_session=False,
            asks_before_backfill=dialect.resume.handshake == "ask",
            batch_count_max=dialect.continuous.batch_max if history and not one_by_one else 1,
            inflight_count_max=1 if one_by_one or not dialect.frame.sequence_bytes else INFLIGHT_MAX,
        )

    @property
    def _in_turn(self) -> bool:
        acknowledges = self._dialect.data.ack != "none" or self._dialect.continuous.ack != "none"
        return acknowledges and self._dialect.data.ack_match == "in_turn"

    # ------------------------------------------------------------------------------------------------------ connection
    @asynccontextmanager
    async def session(self) -> AsyncIterator[None]:
        """Connects and logs in.

        Raises:
            RetryUplink: nobody is there, or the login fails.
        """
        await self._rest()
        ring = await self._keys()
        host, port = address(self._server)
        try:
            async with asyncio.timeout(CONNECT_S_MAX):
                self._reader, self._writer = await asyncio.open_connection(host, port)
        except (OSError, TimeoutError, UnicodeError) as error:  # UnicodeError: a name that cannot be one
            raise RetryUplink(f"{self._server}: 连接不上 / cannot connect: {str(error) or 'timed out'}") from error
        try:
            connection = self._writer.get_extra_info("socket")
            for option in (NO_DELAY, KEEP_ALIVE):
                connection.setsockopt(*option)
            self._events.clear()
            self._answers.clear()
            self._talk = Conversation(
                self._dialect,
                project=self._project,
                gateway=self._gateway,
                keys=ring.for_login,
                zone=self._zone,
                first_sequence=secrets.randbits(32),
            )
            await self._login(self._talk, ring)
            yield
        finally:
            self._log_passed_over()
            self._talk = None
            await self._close()

    async def _rest(self) -> None:
        """Waits until the next login may be tried."""
        if self._not_before_s is not None:
            await asyncio.sleep(max(0.0, self._not_before_s - self._elapsed_s()))

    async def _keys(self) -> KeyRing:
        """The keys of today: the credential file is read each time, it may have been changed."""
        try:
            given = read_credentials(self._credentials())
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise RetryUplink(f"{self._server}: 凭据文件 / credential file: {reason}") from error
        kept = self._ring.to_text() if self._ring is not None else await self._memory.get(self._key)
        if self._ring is None or not self._ring.given_is(given):
            self._ring = KeyRing(given, kept)
        return self._ring

    async def _login(self, talk: Conversation, ring: KeyRing) -> None:
        """Asks to come in; what the platform says beside the result is kept for `receive`."""
        try:
            talk.begin()
            await self._flush(talk)
            while not talk.logged_in:
                async with asyncio.timeout(self._dialect.login.step_s):
                    data = await self._read()
                await self._hear(talk, data)
        except TimeoutError as error:
            self._login_failed(ring)
            raise RetryUplink(f"{self._server}: 登录无应答 / no answer to the login") from error
        except RetryUplink:
            if not talk.logged_in:
                self._login_failed(ring)
            raise
        self._rest_s, self._not_before_s = self._rest_first_s, None
        now_s = self._elapsed_s()
        self._heart_due_s = now_s + self._dialect.heartbeat.every_s
        self._proof_due_s = now_s
        self._ask_due_s = now_s
        changed = ring.passed()
        if changed is not None:
            await self._memory.put(self._key, ring.to_text())
            fault = "" if changed else "登录未通过,已用回旧密钥 / the login with it failed, the old one is used again"
            self._events.append(KeyChanged("login", in_use=True, fault=fault))

    def _login_failed(self, ring: KeyRing) -> None:
        self.logins_refused += 1
        if ring.failed():
            self._not_before_s = None  # other keys are to be tried at once
            return
        self._not_before_s = self._elapsed_s() + self._rest_s * (0.5 + 0.5 * self._jitter())
        self._rest_s = min(2 * self._rest_s, LOGIN_REST_S_MAX)

    async def _close(self) -> None:
        self._writer.close()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(CLOSE_S_MAX):
                await self._writer.wait_closed()
                return
        self._writer.transport.abort()  # it does not even take what we had to say

    def _log_passed_over(self) -> None:
        if self._talk is not None and self._talk.passed_over:
            reasons = ",".join(f"{reason}:{count}" for reason, count in self._talk.passed_over.most_common())
            LOG.warning("packets of the platform were passed over server=%s %s", self._server, reasons)

    async def _read(self) -> bytes:
        try:
            data = await self._reader.read(READ_BYTES)
        except OSError as error:
            raise RetryUplink(f"{self._server}: 连接断开 / connection lost: {error}") from error
        if not data:
            raise RetryUplink(f"{self._server}: 对方关闭了连接 / closed by the platform")
        return data

    async def _flush(self, talk: Conversation) -> None:
        data = talk.take()
        if not data:
            return
        try:
            self._writer.write(data)
            async with asyncio.timeout(WRITE_S_MAX):
                await self._writer.drain()
        except TimeoutError as error:
            raise RetryUplink(f"{self._server}: 对方不接收数据 / the platform does not read") from error
        except OSError as error:
            raise RetryUplink(f"{self._server}: 连接断开 / connection lost: {error}") from error

    def _connected(self) -> Conversation:
        if self._talk is None:
            raise RetryUplink(f"{self._server}: 未连接 / no session")
        return self._talk

    # --------------------------------------------------------------------------------------------------------- sending
    async def send(self, rows: Sequence[OutboxRow], lane: Lane) -> None:
        """Sends rows as reports, or as history where the dialect wants that.

        Raises:
            RetryUplink: they may or may not have left.
        """
        talk = self._connected()
        told = []
        for row in rows:
            try:
                told.append((self._told(decode(row.payload, period_min=row.period_min)), row.epoch, row.seq))
            except ValueError as error:
                self._events.append(Receipt(row.epoch, refused=((row.seq, f"unreadable: {error}"[:REASON_MAX]),)))
        waited = talk.waits_for_proof
        try:
            if self._as_history(lane):
                talk.history(told)
            else:
                for values, epoch, seq in told:
                    talk.report(values, epoch=epoch, seq=seq)
        except Unsayable as fault:
            # Kept apart with its reason, as what a platform refuses: sent again it would fit no better.
            self._events.append(Receipt(fault.epoch, refused=((fault.seq, str(fault)[:REASON_MAX]),)))
        if talk.waits_for_proof and not waited:
            self._proof_due_s = self._elapsed_s() + self._dialect.heartbeat.proof_s
        await self._flush(talk)
        if self._in_turn:
            await self._answered(talk)

    async def _answered(self, talk: Conversation) -> None:
        """Waits for the acknowledgement of what has just left: the next one could not be told from it."""
        self._landed.clear()
        try:
            async with asyncio.timeout(self._dialect.data.ack_s):
                while len(talk.flights):
                    await self._landed.wait()
                    self._landed.clear()
        except TimeoutError as error:
            raise RetryUplink(f"{self._server}: 数据无应答 / no answer to a record") from error

    def _as_history(self, lane: Lane) -> bool:
        if lane is Lane.LIVE:
            return False
        if lane is Lane.RECONCILE and self._dialect.continuous.ack != "none":
            return True
        return self._dialect.resume.as_ == "continuous"

    def _told(self, record: Record) -> Told:
        """A record in the platform's words: without values that it has no name for."""
        period = record.period
        return Told(
            self._name_of(period.end_utc if self._dialect.body.stamp == "end" else period.start_utc),
            tuple(
                Value(point.code, self._point_codes.get(point.code, ""), point.value, point.quality)
                for point in record.points
                if takes(self._dialect, point.code)
            ),
        )

    def _name_of(self, instant: datetime) -> str:
        return write_clock(instant, zone=self._zone)

    async def reply(self, query: Query, records: Sequence[Record], *, last: bool) -> None:
        """Answers a query, a packet a period; with the last of them it waits until the platform has read them all.

        Raises:
            RetryUplink: they may or may not have left, or nobody has proven that they were read.
        """
        talk, reference = self._connected(), query.reference
        done = self._answers.get(reference, 0)
        told = [self._told(record) for record in records]
        if self._dialect.query.answer == "continuous":
            for begin in range(0, len(told), self._dialect.continuous.batch_max):
                portion = told[begin : begin + self._dialect.continuous.batch_max]
                try:
                    talk.answer_query_as_history(portion, reference=reference, number=done + begin)
                except ValueError as error:
                    LOG.warning("a period fits no packet server=%s: %s", self._server, error)
                await self._flush(talk)
        else:
            for number, values in enumerate(told, start=done + 1):
                try:
                    talk.answer_query(values, reference=reference, number=number)
                except ValueError as error:
                    LOG.warning("a period fits no packet server=%s time=%s: %s", self._server, values.time, error)
                await self._flush(talk)
        self._answers[reference] = done + len(records)
        if not last:
            return
        if self._answers.pop(reference) == 0:
            empty = Told(self._name_of(query.from_utc or self._now_utc()), ())
            talk.answer_query_with_nothing(empty, reference=reference)
        await self._read_by_now(talk)
        LOG.info("query answered and read server=%s records=%d", self._server, done + len(records))

    async def _read_by_now(self, talk: Conversation) -> None:
        """Returns when a heartbeat is answered that is sent now: the platform has read what we said before it."""
        number = talk.heartbeat()
        await self._flush(talk)
        try:
            async with asyncio.timeout(self._dialect.heartbeat.every_s):
                while talk.answered_up_to < number:
                    self._alive.clear()
                    await self._alive.wait()
        except TimeoutError as error:
            raise RetryUplink(f"{self._server}: 心跳无应答 / no answer to a heartbeat after a query") from error

    async def confirm(self, request: SetPeriod, *, accepted: bool) -> None:
        """Answers the wish for another period.

        Raises:
            RetryUplink: the answer may or may not have left.
        """
        talk = self._connected()
        talk.answer_period(reference=request.reference, code=1 if accepted else 0)
        await self._flush(talk)

    # ------------------------------------------------------------------------------------------------------- receiving
    async def receive(self) -> Event:
        """Waits for what the platform says next, and keeps the connection alive meanwhile.

        Raises:
            RetryUplink: the connection is gone.
        """
        talk = self._connected()
        while not self._events:
            if talk.fault is not None:
                raise self._broken(talk.fault)
            await self._live(talk)
            try:
                async with asyncio.timeout(LOOK_S):
                    data = await self._read()
            except TimeoutError:
                continue
            await self._hear(talk, data)
        return self._events.popleft()

    async def _live(self, talk: Conversation) -> None:
        """Heartbeats: at their time, and as the proof of what was sent."""
        rule, now_s = self._dialect.heartbeat, self._elapsed_s()
        if now_s >= self._heart_due_s or (talk.waits_for_proof and now_s >= self._proof_due_s):
            if talk.unanswered >= rule.missed_max:
                raise RetryUplink(f"{self._server}: 心跳无应答 / {talk.unanswered} heartbeats without an answer")
            talk.heartbeat()
            self._heart_due_s = now_s + rule.every_s
            await self._flush(talk)
        if self._dialect.resume.handshake == "ask" and now_s >= self._ask_due_s:
            talk.ask_resume()
            self._ask_due_s = now_s + self._dialect.resume.wait_s
            await self._flush(talk)

    async def _hear(self, talk: Conversation, data: bytes) -> None:
        try:
            said = talk.hear(data)
        except ProtocolFault as fault:
            raise self._broken(fault) from fault
        for one in said:
            await self._take(talk, one)
        await self._flush(talk)
        if talk.fault is not None and not self._events:
            raise self._broken(talk.fault)

    def _broken(self, fault: ProtocolFault) -> RetryUplink:
        if isinstance(fault, BadCipher):
            return RetryUplink(f"{self._server}: 解密失败,核对密钥 / cannot be deciphered: {fault}")
        return RetryUplink(f"{self._server}: 报文损坏 / broken packet: {fault}")

    async def _take(self, talk: Conversation, said: Said) -> None:
        match said:
            case Proven(flights, acknowledged):
                proof = Proof.ACKNOWLEDGED if acknowledged else Proof.CONSUMED
                self._events.extend(receipts(flights, proof=proof))
                self._landed.set()
            case NotTaken(flights, words):
                LOG.warning(
                    "platform did not take records server=%s count=%d words=%s", self._server, len(flights), words
                )
                self._landed.set()
            case Clock(instant):
                if self._dialect.clock == "offset":
                    self._events.append(ServerClock(instant.astimezone(UTC)))
            case Asked():
                begin, end = span_of(
                    said,
                    stamp_end=self._dialect.body.stamp == "end",
                    period_min=self._period_min(),
                    now=self._now_utc(),
                    without_range_h=self._dialect.query.without_range_h,
                )
                self._events.append(Query(_utc(begin), _utc(end), said.reference))
            case PeriodWanted(period_min, reference):
                self._events.append(SetPeriod(period_min, reference))
            case KeySet():
                await self._keep_key(talk, said)
            case HistoryAllowed(allowed):
                self._ask_due_s = float("inf") if allowed else self._elapsed_s() + self._dialect.resume.wait_s
                self._events.append(BackfillAllowed(allowed))
            case Rejected(words):
                raise RetryUplink(f"{self._server}: 登录被拒 / login refused: {words or '-'}")
            case Alive():
                self._alive.set()
            case Passed():
                pass

    async def _keep_key(self, talk: Conversation, key: KeySet) -> None:
        """Keeps a new key beside the old one, on the disk, and only then says so."""
        assert self._ring is not None
        before = self._ring.to_text()
        self._ring.set_by_platform(key.kind, key.value)
        try:
            await self._memory.put(self._key, self._ring.to_text())
        except StoreFault:
            self._ring.restore(before)
            talk.answer_key(reference=key.reference, code=REFUSED_STORE)
            return
        talk.answer_key(reference=key.reference, code=1)
        self._events.append(KeyChanged(key.kind))


def address(server: str) -> tuple[str, int]:
    """Host and port of a server; the port of the guideline where none is given.

    Raises:
        RetryUplink: it is no address, which `check` has said already.
    """
    host, colon, port = server.rpartition(":")
    if not colon or server.endswith("]"):
        return server.strip("[]"), PORT
    if not host or not port.isdigit():
        raise RetryUplink(f"{server}: 应为 主机:端口 / must be host:port")
    return host.strip("[]"), int(port)


def takes(dialect: Dialect, code: str) -> bool:
    """Whether a platform has a name for a value: an index of the guideline, or one that its dialect lists."""
    return len(code) == CODE_CHARACTERS and (code[-2:] in STANDARD_INDICES or code[-2:] in dialect.extra_indices)


CODE_CHARACTERS = 16
STANDARD_INDICES = frozenset(f"{index:02d}" for index in range(1, 23))
"""Source: the guideline, 4.3: the indices 01 to 22."""


def receipts(flights: Sequence[Flight], *, proof: Proof) -> Iterator[Receipt]:
    """One receipt for each numbering, with as few ranges as can be."""
    for epoch in dict.fromkeys(flight.epoch for flight in flights):
        ranges: list[tuple[int, int]] = []
        for seq in sorted({flight.seq for flight in flights if flight.epoch == epoch}):
            if ranges and ranges[-1][1] == seq - 1:
                ranges[-1] = (ranges[-1][0], seq)
            else:
                ranges.append((seq, seq))
        yield Receipt(epoch, ranges=tuple(ranges), proof=proof)


def _utc(instant: datetime | None) -> datetime | None:
    return None if instant is None else instant.astimezone(UTC)
