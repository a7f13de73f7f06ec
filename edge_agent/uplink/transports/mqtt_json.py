"""Records as JSON over MQTT 3.1.1, acknowledged by the platform's own message; the broker's PUBACK only paces.

A new client for each connection (a re-used one would send again what it kept), own time-outs, and a reader that is
always waiting: it notices a lost connection at once and so frees the publishes that wait for it. Credentials are read
anew for each connection. Besides frames and acknowledgements the platform may ask for a span on `down/query` and gets
it on `up/reply`.
"""

import json
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlsplit

import aiomqtt
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from typing_extensions import override

from edge_agent.errors import ConfigurationFault, RetryUplink
from edge_agent.uplink.credentials import Credentials
from edge_agent.uplink.record import Record, readings
from edge_agent.uplink.swallowed import cancellation_heeded
from edge_agent.uplink.tls import client_context, worded
from edge_agent.uplink.transports.base import Event, Lane, OutboxRow, Query, Receipt, SetPeriod, Traits

LOG = logging.getLogger(__name__)

PORTS = {"mqtt": 1883, "mqtts": 8883}
KEEPALIVE_S = 60
"""Some clouds refuse less than 30 s; a dead line is noticed sooner, by the publish time-out."""
CALL_S_MAX = 10.0
"""Longest wait for the broker's answer to connect, subscribe and publish [s, wall]."""
INFLIGHT_COUNT_MAX = 20
INCOMING_COUNT_MAX = 1000
NO_DELAY = (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
"""A publish must not wait until the receipt of the last one is confirmed: 40 ms each on most systems."""
YEAR_FIRST, YEAR_LAST = 2000, 2100
"""An instant outside these years is a mistake of the other side, and near year 1 no zone can be reckoned with."""
SEQ_MAX = 2**62
"""Largest number that an acknowledgement may name; what the database could not hold is no number of ours."""


class _Refused(BaseModel):
    """A number that the platform will not take."""

    model_config = ConfigDict(strict=True, frozen=True)
    seq: int = Field(ge=0, le=SEQ_MAX)
    reason: str = Field(max_length=500)


class _Ack(BaseModel):
    """The platform's acknowledgement; keys that it adds are passed over."""

    model_config = ConfigDict(strict=True, frozen=True)
    v: int = Field(ge=1, le=1)
    plant: str
    epoch: str
    hwm: int = Field(ge=0, le=SEQ_MAX)
    ranges: list[tuple[Annotated[int, Field(ge=0, le=SEQ_MAX)], Annotated[int, Field(ge=0, le=SEQ_MAX)]]] = []
    refused: list[_Refused] = []


def parse_ack(payload: bytes, *, plant: str) -> Receipt:
    """Reads an acknowledgement.

    Raises:
        ValueError: it is malformed, or meant for another plant.
    """
    ack = _Ack.model_validate_json(payload)
    if ack.plant != plant:
        raise ValueError(f"acknowledgement for plant {ack.plant!r} on the topic of {plant!r}")
    return Receipt(ack.epoch, ack.hwm, tuple(ack.ranges), tuple((entry.seq, entry.reason) for entry in ack.refused))


class _Query(BaseModel):
    """The platform's question for a span; keys that it adds are passed over."""

    model_config = ConfigDict(frozen=True)
    v: int = Field(ge=1, le=1)
    plant: str
    id: str = Field(max_length=200)
    from_utc: AwareDatetime | None = Field(default=None, alias="from")
    to_utc: AwareDatetime | None = Field(default=None, alias="to")


def parse_query(payload: bytes, *, plant: str) -> Query:
    """Reads a question for a span.

    Raises:
        ValueError: it is malformed, or meant for another plant.
    """
    query = _Query.model_validate_json(payload)
    if query.plant != plant:
        raise ValueError(f"query for plant {query.plant!r} on the topic of {plant!r}")
    for bound in (query.from_utc, query.to_utc):
        if bound is not None and not YEAR_FIRST <= bound.year <= YEAR_LAST:
            raise ValueError(f"query for the year {bound.year}")
    bounds: list[datetime | None] = [
        None if bound is None else bound.astimezone(UTC) for bound in (query.from_utc, query.to_utc)
    ]
    return Query(bounds[0], bounds[1], query.id.encode())


def document(row: OutboxRow, *, plant: str) -> bytes:
    """A row's message: a record's bytes as they are; a gap record or an alarm in the same envelope.

    Always the same bytes for the same row: what goes into them is fixed with the row.
    """
    if row.kind == "record":
        return row.payload
    body = {"v": 1, "plant": plant, "epoch": row.epoch, "seq": row.seq, "records": []}
    body[f"{row.kind}s"] = [json.loads(row.payload)]
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


class _Overheard(logging.Handler):
    """Hears what the library only logs: why TLS was refused comes after the handshake, and its error says "timed out".

    Attributes:
        fault: the last error that it logged.
    """

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.fault: BaseException | None = None

    @override
    def emit(self, record: logging.LogRecord) -> None:
        """Keeps the error; the sender logs it in words."""
        arguments = record.args if isinstance(record.args, tuple) else ()
        self.fault = next((one for one in arguments if isinstance(one, ssl.SSLError)), self.fault)


class MqttJson:
    """A way to a platform behind an MQTT broker."""

    traits = Traits(
        acknowledges=True,
        receipts_outlive_session=True,
        carries_gaps=True,
        carries_alarms=True,
        inflight_count_max=INFLIGHT_COUNT_MAX,
    )

    def __init__(self, *, broker: str, plant: str, credentials: Credentials | None = None) -> None:
        """Reads the address.

        Args:
            broker: `mqtt://host[:port]` or `mqtts://host[:port]`.
            plant: plant name in topics.
            credentials: user, client certificate and authority, read for each connection; None: nobody is named, and
                the machine's own authorities hold.

        Raises:
            ConfigurationFault: not such an address.
        """
        address = urlsplit(broker)
        if address.scheme not in PORTS or not address.hostname:
            raise ConfigurationFault(f"{broker}: 应为 mqtt://主机:端口 / must be mqtt://host:port or mqtts://host:port")
        self._host = address.hostname
        self._port = address.port or PORTS[address.scheme]
        self._tls = address.scheme == "mqtts"
        self._plant = plant
        self._credentials = credentials
        self._client: aiomqtt.Client | None = None

    @asynccontextmanager
    async def session(self) -> AsyncIterator[None]:
        """Connects and listens for acknowledgements and queries before anything is sent.

        Raises:
            RetryUplink: the broker is not there or refuses.
        """
        heard = _Overheard()
        logger = logging.Logger("mqtt client", logging.ERROR)  # noqa: LOG001 - of this connection alone, heard by nobody else
        logger.addHandler(heard)
        user, password = (None, None) if self._credentials is None else self._credentials.login()
        client = aiomqtt.Client(
            self._host,
            self._port,
            username=user,
            password=password,
            timeout=CALL_S_MAX,
            keepalive=KEEPALIVE_S,
            max_inflight_messages=INFLIGHT_COUNT_MAX,
            max_queued_incoming_messages=INCOMING_COUNT_MAX,
            socket_options=[NO_DELAY],
            tls_context=client_context(self._credentials) if self._tls else None,
            logger=logger,
        )
        client.pending_calls_threshold = INFLIGHT_COUNT_MAX
        try:
            async with AsyncExitStack() as connected:
                with cancellation_heeded():
                    await connected.enter_async_context(client)
                    await client.subscribe([(f"hp/{self._plant}/down/ack", 1), (f"hp/{self._plant}/down/query", 1)])
                self._client = client
                yield
        except aiomqtt.MqttError as error:
            raise self._lost(heard.fault or error) from error
        finally:
            self._client = None

    async def send(self, rows: Sequence[OutboxRow], lane: Lane) -> None:
        """Publishes a row and waits for the broker.

        Raises:
            RetryUplink: no answer, or no session.
        """
        del lane  # one topic for all: the receiver tells by the time in the record
        for row in rows:
            await self._publish("up/frame", document(row, plant=self._plant))

    async def receive(self) -> Event:
        """Waits for the next acknowledgement or query; a malformed one is logged and passed over.

        Raises:
            RetryUplink: the connection is gone.
        """
        try:
            async for message in self._connected().messages:
                assert isinstance(message.payload, bytes)
                try:
                    if message.topic.value.endswith("/query"):
                        return parse_query(message.payload, plant=self._plant)
                    return parse_ack(message.payload, plant=self._plant)
                except (ValidationError, ValueError) as error:
                    LOG.warning("malformed acknowledgement passed over plant=%s reason=%s", self._plant, error)
        except aiomqtt.MqttError as error:
            raise self._lost(error) from error
        raise RetryUplink(f"{self._host}:{self._port}: no more messages")

    async def reply(self, query: Query, records: Sequence[Record], *, last: bool) -> None:
        """Publishes a part of the answer, one message a record, and an empty one at the end.

        Raises:
            RetryUplink: no answer of the broker, or no session.
        """
        head = {"v": 1, "plant": self._plant, "id": query.reference.decode()}
        for record in records:
            body = {**head, "last": False, "records": readings(record)}
            await self._publish("up/reply", json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode())
        if last:
            await self._publish("up/reply", json.dumps({**head, "last": True, "records": []}).encode())

    async def confirm(self, request: SetPeriod, *, accepted: bool) -> None:
        """This dialect has no such request."""

    async def _publish(self, topic: str, payload: bytes) -> None:
        try:
            with cancellation_heeded():
                await self._connected().publish(f"hp/{self._plant}/{topic}", payload, qos=1, timeout=CALL_S_MAX)
        except aiomqtt.MqttError as error:
            raise self._lost(error) from error

    def _lost(self, error: BaseException) -> RetryUplink:
        return RetryUplink(f"{self._host}:{self._port}: {worded(error)}")

    def _connected(self) -> aiomqtt.Client:
        if self._client is None:
            raise RetryUplink(f"{self._host}:{self._port}: no session")
        return self._client
