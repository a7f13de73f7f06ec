"""The port of a line as its thread sees it: there, gone, come back; opened again and again while it is not there.

What travels over it is the business of `drivers.bus.line_talk`, what a port is that of `drivers.bus.byte_port`.
"""

import contextlib
import logging
import select
from collections.abc import Callable
from pathlib import Path

import serial

from drivers.bus.base import BusCounts
from drivers.bus.byte_port import OPEN_FAULTS, PORT_FAULTS, USB_SERIAL, BytePort, warn_of_latency

log = logging.getLogger(__name__)

REOPEN_FIRST_S = 0.5
REOPEN_MAX_S = 2.0
"""To look for a port that is not there costs nothing; whoever plugs the adapter in again waits no longer than this."""


class LinePort:
    """The way to a line, which may be missing at any time. Used by one thread only.

    Args:
        bus: name, for messages.
        path: of the port, for messages and for the adapter's latency timer.
        open_port: opens it; raises OSError.
        local: it is a serial port of this machine; else it is reached over the network.
        elapsed_s: stop-watch of the machine [s].
        counts: of the bus.
        usb_serial: where the kernel lists USB serial adapters.

    Attributes:
        path: as above.
        opened_at_s: when it was opened last [machine s].
    """

    def __init__(
        self,
        bus: str,
        *,
        path: str,
        open_port: Callable[[], BytePort],
        local: bool,
        elapsed_s: Callable[[], float],
        counts: BusCounts,
        usb_serial: Path = USB_SERIAL,
    ) -> None:
        self.path = path
        self.opened_at_s = 0.0
        self._bus = bus
        self._open_port = open_port
        self._local = local
        self._elapsed_s = elapsed_s
        self._counts = counts
        self._usb_serial = usb_serial
        self._port: BytePort | None = None
        self._ready = select.poll()
        self._latency_judged = False
        self._reopen_at_s = float("-inf")
        self._reopen_after_s = REOPEN_FIRST_S
        self._down_since_s: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is there."""
        return self._port is not None

    @property
    def is_down(self) -> bool:
        """Whether it was missed and has not come back."""
        return self._down_since_s is not None

    def open_if_due(self) -> bool:
        """Tries to open a port that is not there, when it is time; returns whether it has come."""
        return self._port is None and self._elapsed_s() >= self._reopen_at_s and self._try_open()

    def look(self) -> bool:
        """Notices an adapter that has gone.

        Returns:
            Whether the port can be listened to.
        """
        if self._port is None:
            return False
        if not self._port.hung_up():
            return True
        if self._local:
            self.lost(ConnectionResetError("the adapter has gone"))
        return False

    def renew(self) -> bool:
        """Before a request: notices an adapter that has gone; a connection that was closed is made anew without a word.

        Returns:
            Whether it was made anew.
        """
        if self._port is None or self.look() or self._port is None:
            return False
        self.drop()  # serial servers close idle connections: nothing has been sent, so nobody needs to hear of it
        self._counts.reopened += self._try_open()
        return self.is_open

    def send(self, data: bytes) -> None:
        """Sends all of it; raises what the port raises."""
        assert self._port is not None
        self._port.send(data)

    def receive(self, *, wait_s: float = 0.0) -> bytes:
        """What has come in; waits for the first byte at most `wait_s` [s]; raises what the port raises."""
        assert self._port is not None
        if wait_s > 0 and not self._ready.poll(wait_s * 1e3):
            return b""
        data = self._port.receive()
        if wait_s > 0 and not data:  # readable, yet nothing to read: the other end is gone
            raise serial.SerialException("port is gone")
        return data

    def lost(self, error: Exception) -> None:
        """Notes that the port is not there, says so once, and sets the next attempt."""
        self.drop()
        now_s = self._elapsed_s()
        if self._down_since_s is None:
            self._down_since_s = now_s
            log.warning("serial line is down bus=%s port=%s reason=%s", self._bus, self.path, error)
        self._reopen_at_s = now_s + self._reopen_after_s
        self._reopen_after_s = min(REOPEN_MAX_S, 2 * self._reopen_after_s)

    def drop(self) -> None:
        """Gives the port back."""
        port, self._port = self._port, None
        if port is not None:
            with contextlib.suppress(*PORT_FAULTS):
                port.close()

    def _try_open(self) -> bool:
        try:
            self._port = self._open_port()
        except OPEN_FAULTS as error:
            self.lost(error)
            return False
        self._ready = select.poll()
        self._ready.register(self._port.fileno(), select.POLLIN)
        self.opened_at_s = self._elapsed_s()
        self._reopen_after_s = REOPEN_FIRST_S
        if self._local and not self._latency_judged:
            self._latency_judged = warn_of_latency(self._bus, self.path, sysfs=self._usb_serial)
        if self._down_since_s is not None:
            self._counts.reopened += 1
            log.warning(
                "serial line is back bus=%s port=%s down_s=%.1f",
                self._bus,
                self.path,
                self.opened_at_s - self._down_since_s,
            )
            self._down_since_s = None
        return True
