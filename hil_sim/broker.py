"""An MQTT broker inside the simulator, on loopback, for the demo and the tests.

It is amqtt, in the caller's event loop. Good enough to carry messages; it drops what is in flight when a client leaves,
so figures about loss come from a real broker.
"""

import asyncio
import logging
from contextlib import suppress

from amqtt.broker import Broker

HOST = "127.0.0.1"
QUIET = ("amqtt", "transitions")
"""Loggers of the library: each connection would be a dozen lines."""


class _TidyBroker(Broker):  # type: ignore[misc] # the library has no types
    """Knows its connections, so that none is left open when it stops: the library forgets half-closed ones."""

    def __init__(self, config: dict[str, object]) -> None:
        super().__init__(config)
        self._writers: set[asyncio.StreamWriter] = set()

    async def stream_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str
    ) -> None:
        """Serves a connection and closes it at the end, whatever happened."""
        self._writers.add(writer)
        try:
            await super().stream_connected(reader, writer, listener_name)
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def shutdown(self) -> None:
        """Stops, then drops what is still connected."""
        await super().shutdown()
        for writer in list(self._writers):
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()


class EmbeddedBroker:
    """A broker that can be stopped and started again on the same port."""

    def __init__(self, port: int = 0) -> None:
        """Chooses a port.

        Args:
            port: 0 for any free one, kept over restarts.
        """
        self.port = port
        self._broker: Broker | None = None

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"{HOST}:{self.port}"

    async def start(self) -> None:
        """Listens."""
        for name in QUIET:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        broker = _TidyBroker(
            {
                "listeners": {"default": {"type": "tcp", "bind": f"{HOST}:{self.port}"}},
                "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
            }
        )
        await broker.start()
        self._broker = broker
        # The library does not say which free port it was given.
        (listener,) = broker._servers["default"].instance.sockets  # noqa: SLF001 - no public way
        self.port = listener.getsockname()[1]

    async def stop(self) -> None:
        """Drops all connections and stops listening."""
        broker, self._broker = self._broker, None
        if broker is not None:
            await broker.shutdown()
