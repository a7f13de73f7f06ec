"""Keeps the connection to a Modbus TCP host: made when needed, again with growing pauses, and said once when down.

What is sent on it, and what its end means for requests under way, is the business of `drivers.bus.modbus_tcp`.
"""

import asyncio
import logging
import random
from collections.abc import Callable

from drivers.bus.mbap import Connection

log = logging.getLogger(__name__)

RECONNECT_FIRST_S = 0.5
RECONNECT_MAX_S = 8.0
RECONNECT_JITTER_RATIO = 0.25
"""Each pause is longer or shorter by up to this share, so that many controllers do not come back in step."""


class HostKeeper:
    """One host and the connection to it.

    Args:
        bus: name, for messages.
        host: name or address.
        port: TCP port.
        timeout_s: wall time for making the connection [s].
        new_connection: makes one that is not connected yet.
        on_made: is handed each one that was made.
        on_missing: is told why there is none, each time that there was to be one.
        elapsed_s: stop-watch of the machine [s].

    Attributes:
        connection: the present one.
        why: why there is none, in words.
        pausing: no attempt is made for the moment: whoever comes need not wait.
    """

    def __init__(
        self,
        bus: str,
        *,
        host: str,
        port: int,
        timeout_s: float,
        new_connection: Callable[[], Connection],
        on_made: Callable[[Connection], None],
        on_missing: Callable[[str], None],
        elapsed_s: Callable[[], float],
    ) -> None:
        self.connection: Connection | None = None
        self.why = "no connection"
        self.pausing = False
        self._bus = bus
        self._host = host
        self._port = port
        self._timeout_s = timeout_s
        self._new_connection = new_connection
        self._on_made = on_made
        self._on_missing = on_missing
        self._elapsed_s = elapsed_s
        self._dice = random.Random()  # noqa: S311 - jitter, not a secret
        self._task: asyncio.Task[None] | None = None
        self._needed = asyncio.Event()
        self._tried = asyncio.Event()
        self._fruitless = 0  # connections and attempts in a row that brought no answer
        self._down_since_s: float | None = None

    @property
    def running(self) -> bool:
        """Whether it keeps a connection at all."""
        return self._task is not None

    async def start(self) -> None:
        """Makes the connection; a host that is not there is tried again in the background, with growing pauses."""
        if self._task is None:
            self._tried.clear()
            self._needed.set()
            # `stop` is its parent: a bus may be opened long before, and closed long after, any task group.
            self._task = asyncio.get_running_loop().create_task(self._keep(), name=f"connection {self._bus}")
        await self._tried.wait()

    async def stop(self) -> None:
        """Makes no connection any more; the present one is left to the caller."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._tried.set()

    def need(self) -> None:
        """Asks for a connection, if there is none."""
        self._needed.set()

    def drop(self, reason: str) -> bool:
        """Gives the connection up; returns whether there was one."""
        connection, self.connection = self.connection, None
        if connection is None:
            return False
        connection.drop()
        self.why = reason
        return True

    def fruitless(self) -> None:
        """Notes that a connection brought nothing; after a second one there is a pause before the next."""
        self._fruitless += 1

    def fruitful(self) -> None:
        """Notes an answer."""
        self._fruitless = 0
        self.up()

    def down(self, reason: str) -> None:
        """Says once that the host is not to be had."""
        if self._down_since_s is None:
            self._down_since_s = self._elapsed_s()
            log.warning("connection is down bus=%s host=%s:%d reason=%s", self._bus, self._host, self._port, reason)

    def up(self) -> None:
        """Says once that a request has been answered again, or at least not been turned away."""
        if self._down_since_s is not None:
            log.warning(
                "connection is back bus=%s host=%s:%d down_s=%.1f",
                self._bus,
                self._host,
                self._port,
                self._elapsed_s() - self._down_since_s,
            )
            self._down_since_s = None

    async def _keep(self) -> None:
        """Makes the connection whenever one is needed, until it is stopped; a fault of its own does not end it."""
        while True:
            try:
                await self._keep_connected()
            except Exception:
                log.exception("connection keeper failed bus=%s", self._bus)
                self._fruitless += 2

    async def _keep_connected(self) -> None:
        while True:
            await self._needed.wait()
            made: Connection | None = None
            while self.connection is None:
                if self._fruitless > 1:
                    await self._pause()
                self.connection = made = await self._connect()
                if made is None:
                    self._fruitless += 1 + (self._fruitless == 0)
                    self._on_missing(self.why)
            self._needed.clear()
            self._tried.set()
            if made is not None:
                self._on_made(made)

    async def _pause(self) -> None:
        self._on_missing(self.why)
        self.pausing = True
        self._tried.set()
        try:
            await asyncio.sleep(pause_s(self._fruitless - 1, self._dice))
        finally:
            self.pausing = False

    async def _connect(self) -> Connection | None:
        """One attempt."""
        connection = self._new_connection()
        try:
            async with asyncio.timeout(self._timeout_s):
                await asyncio.get_running_loop().create_connection(lambda: connection, self._host, self._port)
        except (OSError, UnicodeError) as error:  # a time-out is an OSError; a host name may be none
            self.why = f"{self._host}:{self._port} is not there: {str(error) or 'no connection in time'}"
            self.down(str(error) or "no connection in time")
            return None
        return connection if connection.alive else None


def pause_s(attempts: int, dice: random.Random) -> float:
    """Returns the pause before the next attempt after so many in vain: doubling, scattered, never above the cap [s]."""
    base_s = min(RECONNECT_MAX_S, RECONNECT_FIRST_S * 2.0 ** min(16, attempts - 1))
    return min(RECONNECT_MAX_S, base_s * (1 + RECONNECT_JITTER_RATIO * dice.uniform(-1, 1)))
