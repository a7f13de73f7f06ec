"""Records as JSON over MQTT 3.1.1, acknowledged by the platform's own message; the broker's PUBACK only paces.

A new client for each connection (a re-used one would send again what it kept), own time-outs, and a reader that is
always waiting: it notices a lost connection at once and so frees the publishes that wait for it.
Credentials and client certificates are not built yet.
"""

import logging
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated
from urllib.parse import urlsplit

import aiomqtt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge_agent.errors import ConfigurationFault, RetryUplink
from edge_agent.store.rows import OutboxRow
from edge_agent.uplink.transports.base import Receipt

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


class MqttJson:
    """A way to a platform behind an MQTT broker."""

    def __init__(self, *, broker: str, plant: str) -> None:
        """Reads the address.

        Args:
            broker: `mqtt://host[:port]` or `mqtts://host[:port]` (TLS with the system's certificates).
            plant: plant name in topics.

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
        self._client: aiomqtt.Client | None = None

    @asynccontextmanager
    async def session(self) -> AsyncIterator[None]:
        """Connects and listens for acknowledgements before anything is sent.

        Raises:
            RetryUplink: the broker is not there or refuses.
        """
        client = aiomqtt.Client(
            self._host,
            self._port,
            timeout=CALL_S_MAX,
            keepalive=KEEPALIVE_S,
            max_inflight_messages=INFLIGHT_COUNT_MAX,
            max_queued_incoming_messages=INCOMING_COUNT_MAX,
            socket_options=[NO_DELAY],
            tls_context=ssl.create_default_context() if self._tls else None,
        )
        client.pending_calls_threshold = INFLIGHT_COUNT_MAX
        try:
            async with client:
                await client.subscribe(f"hp/{self._plant}/down/ack", qos=1)
                self._client = client
                yield
        except aiomqtt.MqttError as error:
            raise RetryUplink(f"{self._host}:{self._port}: {error}") from error
        finally:
            self._client = None

    async def send(self, row: OutboxRow) -> None:
        """Publishes a row and waits for the broker.

        Raises:
            RetryUplink: no answer, or no session.
        """
        try:
            await self._connected().publish(f"hp/{self._plant}/up/frame", row.payload, qos=1, timeout=CALL_S_MAX)
        except aiomqtt.MqttError as error:
            raise RetryUplink(f"{self._host}:{self._port}: publish: {error}") from error

    async def receive(self) -> Receipt:
        """Waits for the next acknowledgement; a malformed one is logged and passed over.

        Raises:
            RetryUplink: the connection is gone.
        """
        try:
            async for message in self._connected().messages:
                try:
                    assert isinstance(message.payload, bytes)
                    return parse_ack(message.payload, plant=self._plant)
                except (ValidationError, ValueError) as error:
                    LOG.warning("malformed acknowledgement passed over plant=%s reason=%s", self._plant, error)
        except aiomqtt.MqttError as error:
            raise RetryUplink(f"{self._host}:{self._port}: {error}") from error
        raise RetryUplink(f"{self._host}:{self._port}: no more messages")

    def _connected(self) -> aiomqtt.Client:
        if self._client is None:
            raise RetryUplink(f"{self._host}:{self._port}: no session")
        return self._client
