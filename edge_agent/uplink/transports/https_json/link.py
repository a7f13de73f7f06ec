"""Records posted over HTTPS, one at a time; the answer of the platform, after its own commit, is the receipt.

The message is that of `mqtt_json`, and so is the acknowledgement, as the body of a 2xx answer. Any other answer proves
nothing: a redirection is not followed, a refusal without a word about the record leaves it where it is. The connection
is kept between records and opened anew when the platform has closed it.
"""

import asyncio
import base64
import logging
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from pydantic import ValidationError

from edge_agent.errors import ConfigurationFault, RetryUplink
from edge_agent.store.rows import OutboxRow
from edge_agent.uplink.credentials import Credentials
from edge_agent.uplink.record import Record
from edge_agent.uplink.tls import client_context, worded
from edge_agent.uplink.transports.base import Event, Lane, Query, Receipt, SetPeriod, Traits
from edge_agent.uplink.transports.https_json.exchange import Answer, AnswerReader, BadAnswer, request
from edge_agent.uplink.transports.mqtt_json import document, parse_ack

LOG = logging.getLogger(__name__)

CONNECT_S_MAX = 15.0
ANSWER_S_MAX = 30.0
"""A request is to be written and answered within this time [s, wall]."""
CLOSE_S_MAX = 2.0
READ_BYTES = 1 << 16
REST_S_MAX = 300.0
"""Longest rest that a platform may ask for by Retry-After [s, wall]."""
PORTS = {"https": 443, "http": 80}
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
NOT_TAKEN = frozenset({400, 409, 413, 415, 422})
"""Answers about the record itself, not about us or the platform's state."""
NOT_TAKEN_MAX = 3
"""So many of them for one record, and it is kept apart: others wait behind it."""
OK, MULTIPLE, UNAUTHORISED, FORBIDDEN, SERVER = 200, 300, 401, 403, 500
CLIENT_WORDS = {
    UNAUTHORISED: "平台不认用户名或密码 / the platform does not know user or password",
    FORBIDDEN: "平台不允许 / the platform does not allow it",
    404: "平台没有这个地址 / the platform has no such address",
    413: "平台嫌记录太大 / the platform finds the record too large",
    429: "平台要求慢一些 / the platform asks for fewer requests",
}


class HttpsJson:
    """A way to a platform behind an HTTP server."""

    def __init__(self, *, url: str, plant: str, credentials: Credentials | None = None) -> None:
        """Reads the address.

        Args:
            url: https://host[:port]/path; plain http only to this machine.
            plant: name of the plant at the receiver.
            credentials: user, certificates and authorities; None: none and those of the machine.

        Raises:
            ConfigurationFault: not such an address.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        host = parts.hostname
        plain = parts.scheme == "http" and host not in LOOPBACK
        if parts.scheme not in PORTS or host is None or plain or not url.isascii() or not url.isprintable():
            raise ConfigurationFault(f"{url}: 应为 https://主机/路径 / must be https://host/path")
        self._host, self._port = host, port or PORTS[parts.scheme]
        self._tls = parts.scheme == "https"
        self._name = parts.netloc.rpartition("@")[2]
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._plant = plant
        self._credentials = credentials
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._turn = asyncio.Lock()
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._open = False
        self._rest_s = 0.0
        self._refusals: dict[tuple[str, int], int] = {}

    @property
    def traits(self) -> Traits:
        """Every record is acknowledged, one after the other."""
        return Traits(acknowledges=True, carries_gaps=True, carries_alarms=True)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[None]:
        """Connects.

        Raises:
            RetryUplink: nobody is there, or the certificates do not fit.
        """
        rest_s, self._rest_s = self._rest_s, 0.0
        await asyncio.sleep(rest_s)
        self._events = asyncio.Queue()
        await self._connect()
        self._open = True
        try:
            yield
        finally:
            self._open = False
            await self._close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        context = client_context(self._credentials) if self._tls else None
        try:
            async with asyncio.timeout(CONNECT_S_MAX):
                self._stream = await asyncio.open_connection(self._host, self._port, ssl=context)
        except (OSError, TimeoutError, UnicodeError) as error:
            reason = worded(error) if isinstance(error, ssl.SSLError) else str(error) or "timed out"
            raise RetryUplink(f"{self._name}: 连接不上 / cannot connect: {reason}") from error
        return self._stream

    async def _close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is None:
            return
        writer = stream[1]
        writer.close()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(CLOSE_S_MAX):
                await writer.wait_closed()
                return
        writer.transport.abort()

    async def send(self, rows: Sequence[OutboxRow], lane: Lane) -> None:
        """Posts rows, one after the other, each after the answer to the last.

        Raises:
            RetryUplink: it may or may not have been stored.
        """
        del lane  # one address for all: the receiver tells by the time in the record
        async with self._turn:
            for row in rows:
                if not self._open:
                    raise RetryUplink(f"{self._name}: 未连接 / no session")
                await self._post(row)

    async def _post(self, row: OutboxRow) -> None:
        headers = {"Idempotency-Key": f"{row.epoch}-{row.seq}"}
        user, password = (None, None) if self._credentials is None else self._credentials.login()
        if user is not None:
            pair = base64.b64encode(f"{user}:{password or ''}".encode()).decode("ascii")
            headers["Authorization"] = f"Basic {pair}"
        data = request(host=self._name, path=self._path, body=document(row, plant=self._plant), headers=headers)
        answer = await self._exchange(data)
        await self._events.put(self._receipt(answer, row))

    async def _exchange(self, data: bytes) -> Answer:
        """One request and its answer; on a kept connection that the platform has closed meanwhile, once more."""
        kept = self._stream is not None
        try:
            return await self._once(data)
        except (OSError, EOFError) as error:
            await self._close()
            if not kept:
                raise RetryUplink(f"{self._name}: 连接断开 / connection lost: {worded(error)}") from error
        try:
            return await self._once(data)
        except (OSError, EOFError) as error:
            raise RetryUplink(f"{self._name}: 连接断开 / connection lost: {worded(error)}") from error

    async def _once(self, data: bytes) -> Answer:
        reader, writer = self._stream or await self._connect()
        found = AnswerReader()
        heard = False
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                writer.write(data)
                await writer.drain()
                while True:
                    portion = await reader.read(READ_BYTES)
                    if not portion and not heard:
                        raise EOFError("closed without an answer")
                    heard = True
                    answer = found.feed(portion) if portion else found.end()
                    if answer is not None:
                        break
        except TimeoutError as error:
            raise RetryUplink(f"{self._name}: 无应答 / no answer in {ANSWER_S_MAX:g} s") from error
        except BadAnswer as fault:
            raise RetryUplink(f"{self._name}: 应答不合 HTTP / not an HTTP answer: {fault}") from fault
        if not answer.keeps:
            await self._close()
        return answer

    def _receipt(self, answer: Answer, row: OutboxRow) -> Receipt:
        """What an answer proves.

        Raises:
            RetryUplink: nothing.
        """
        status = answer.status
        if OK <= status < MULTIPLE or status in NOT_TAKEN:
            receipt = self._said(answer)
            if receipt is not None and (OK <= status < MULTIPLE or receipt.refused):
                self._refusals.pop((row.epoch, row.seq), None)
                if receipt.epoch != row.epoch:
                    LOG.warning("acknowledgement of another numbering server=%s seq=%d", self._name, row.seq)
                return receipt
            if OK <= status < MULTIPLE:
                raise RetryUplink(f"{self._name}: {status} 应答没有说已存 / the answer does not say that it is stored")
            count = self._refusals[row.epoch, row.seq] = self._refusals.get((row.epoch, row.seq), 0) + 1
            if count >= NOT_TAKEN_MAX:
                del self._refusals[row.epoch, row.seq]
                return Receipt(row.epoch, refused=((row.seq, f"HTTP {status}"),))
        with suppress(ValueError):
            self._rest_s = min(max(0.0, float(answer.headers.get("retry-after", "0"))), REST_S_MAX)
        if status >= SERVER:
            words = "平台出错 / the platform has an error of its own"
        else:
            words = CLIENT_WORDS.get(status, "平台不收 / the platform does not take it")
        raise RetryUplink(f"{self._name}: HTTP {status} {words}")

    def _said(self, answer: Answer) -> Receipt | None:
        """The acknowledgement in an answer; None without one."""
        try:
            return parse_ack(answer.body, plant=self._plant)
        except (ValidationError, ValueError):
            return None

    async def receive(self) -> Event:
        """Waits for the next receipt."""
        return await self._events.get()

    async def reply(self, query: Query, records: Sequence[Record], *, last: bool) -> None:
        """Nobody can ask over this way: a platform that wants a span again names it to the operator."""
        del query, records, last

    async def confirm(self, request: SetPeriod, *, accepted: bool) -> None:
        """Nobody can ask over this way."""
        del request, accepted
