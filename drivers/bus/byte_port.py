"""The way of bytes to a serial line: what the line needs of it, and the serial port of this machine. No frames here."""

import contextlib
import errno
import logging
import os
import select
import termios
from pathlib import Path
from typing import Protocol

import serial

log = logging.getLogger(__name__)

RECEIVED_MAX = 4096
"""Bytes taken in one go, and kept of what comes in during one transaction; a longer babble keeps its end."""
USB_SERIAL = Path("/sys/bus/usb-serial/devices")
LATENCY_MAX_MS = 1
"""A USB adapter that waits longer before it hands on what it has received costs that time in each transaction."""
PSEUDO_TERMINALS = range(136, 144)
"""Source: Linux, Documentation/admin-guide/devices.txt: major numbers of Unix98 pseudo terminal slaves."""
OPEN_FAULTS = (OSError, ValueError, serial.SerialException, termios.error)
PORT_FAULTS = (OSError, serial.SerialException, termios.error)


class BytePort(Protocol):
    """An open way for bytes: a terminal, or a socket to a serial server. None of its methods waits."""

    def fileno(self) -> int:
        """The descriptor to wait on."""
        ...

    def send(self, data: bytes) -> None:
        """Sends all of it; raises OSError if it cannot."""
        ...

    def receive(self) -> bytes:
        """What has come in; empty when there is nothing; raises OSError if the other end is known to be gone."""
        ...

    def hung_up(self) -> bool:
        """Whether the other end has ended the connection while it was idle."""
        ...

    def close(self) -> None:
        """Gives the port back."""
        ...


class Terminal:
    """A serial port of this machine, opened for us alone.

    The path is followed anew each time: an adapter that comes back under another node is found by its fixed name.

    Args:
        path: device, best its name below /dev/serial/by-id.
        baud: of the line.
        framing: data bits, parity letter, stop bits.

    Raises:
        OSError, ValueError, termios.error: it is not there, taken, or cannot be set so.
    """

    def __init__(self, path: str, *, baud: int, framing: tuple[int, str, int]) -> None:
        bytesize, parity, stopbits = framing
        if is_pseudo_terminal(path):
            parity = "N"  # it has no wire and carries none; whoever simulates a line charges the bit as time
        self._port = serial.Serial(
            path, baud, bytesize=bytesize, parity=parity, stopbits=stopbits, timeout=0, exclusive=True
        )
        self._descriptor: int = self._port.fileno()
        if _flags(self._descriptor) != _wanted(bytesize, parity, stopbits):
            # Setting a terminal succeeds when any part of it does; a wrong parity would make every answer noise.
            self.close()
            raise OSError(errno.EINVAL, f"the port does not take {bytesize}{framing[1]}{stopbits}")
        self._gone = select.poll()
        self._gone.register(self._descriptor, 0)  # a hang-up is reported always

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._descriptor

    def send(self, data: bytes) -> None:
        """Sends all of it."""
        if os.write(self._descriptor, data) != len(data):
            raise serial.SerialException("port does not take the request")

    def receive(self) -> bytes:
        """What has come in; empty when there is nothing."""
        try:
            return os.read(self._descriptor, RECEIVED_MAX)
        except BlockingIOError:
            return b""

    def hung_up(self) -> bool:
        """Whether the adapter has gone."""
        return bool(self._gone.poll(0))

    def close(self) -> None:
        """Gives the port back."""
        with contextlib.suppress(*PORT_FAULTS):
            self._port.close()


def is_pseudo_terminal(path: str) -> bool:
    """Whether a path leads to a pseudo terminal; raises OSError if it leads nowhere."""
    return os.major(Path(path).stat().st_rdev) in PSEUDO_TERMINALS


def _flags(descriptor: int) -> int:
    flags: int = termios.tcgetattr(descriptor)[2]
    return flags & (termios.CSIZE | termios.PARENB | termios.PARODD | termios.CSTOPB)


def _wanted(bytesize: int, parity: str, stopbits: int) -> int:
    flags = termios.CS7 if bytesize == 7 else termios.CS8  # noqa: PLR2004 - data bits
    flags |= {"N": 0, "E": termios.PARENB, "O": termios.PARENB | termios.PARODD}[parity]
    return flags | (termios.CSTOPB if stopbits > 1 else 0)


def latency_timer_ms(path: str, *, sysfs: Path = USB_SERIAL) -> int | None:
    """How long a USB adapter waits before it hands on what it has received [ms]; None: not such an adapter.

    Args:
        path: of the port; links are followed.
        sysfs: where the kernel lists USB serial adapters.
    """
    try:
        return int((sysfs / Path(path).resolve().name / "latency_timer").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def warn_of_latency(bus: str, path: str, *, sysfs: Path = USB_SERIAL) -> bool:
    """Says how to mend a slow USB adapter; returns whether it is one."""
    latency_ms = latency_timer_ms(path, sysfs=sysfs)
    if latency_ms is None or latency_ms <= LATENCY_MAX_MS:
        return False
    log.warning(
        "usb adapter holds bytes back bus=%s port=%s latency_timer_ms=%d; mend: install the udev rule "
        "deploy/systemd/70-edge-agent-serial.rules, or: echo 1 > %s/latency_timer",
        bus,
        path,
        latency_ms,
        sysfs / Path(path).resolve().name,
    )
    return True
