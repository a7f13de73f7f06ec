"""Tells systemd how the service is: ready, alive, stopping. The watchdog is fed by progress, not by a timer alone.

Source: sd_notify(3): datagrams of KEY=VALUE lines to the Unix socket named in $NOTIFY_SOCKET.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

LOG = logging.getLogger(__name__)


def notify(message: str) -> bool:
    """Sends a state line to the service manager; False when there is none.

    Args:
        message: e.g. "READY=1", "WATCHDOG=1", "STATUS=...", "STOPPING=1".
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        channel.connect(address)
        channel.sendall(message.encode())
    return True


def watchdog_interval_s() -> float | None:
    """How often the manager wants to hear from us [s, wall]: half of its limit; None without a watchdog."""
    limit_us = os.environ.get("WATCHDOG_USEC")
    return int(limit_us) / 2e6 if limit_us else None


@dataclass(slots=True)
class Progress:
    """When each part of the service last got something done [s, monotonic]."""

    elapsed_s: Callable[[], float]
    last_s: dict[str, float] = field(default_factory=dict)

    def mark(self, part: str) -> None:
        """Notes that a part has just done its work."""
        self.last_s[part] = self.elapsed_s()

    def stuck(self, allowed_s: dict[str, float]) -> Iterable[str]:
        """Parts that have shown no progress for longer than allowed [s, wall]; a part never seen is not judged yet."""
        now_s = self.elapsed_s()
        return [
            part for part, limit_s in allowed_s.items() if part in self.last_s and now_s - self.last_s[part] > limit_s
        ]


async def feed_watchdog(progress: Progress, allowed_s: dict[str, float]) -> None:
    """Feeds the manager's watchdog for ever while all parts make progress; ends at once where there is none.

    Args:
        progress: of the parts.
        allowed_s: how long each may go without [s, wall].
    """
    interval_s = watchdog_interval_s()
    if interval_s is None:
        return
    for part in allowed_s:
        progress.mark(part)  # a part that never begins is stuck as well
    while True:
        await asyncio.sleep(interval_s)
        stuck = list(progress.stuck(allowed_s))
        if stuck:
            LOG.error("no progress, the watchdog is not fed: %s", ", ".join(stuck))
        else:
            notify("WATCHDOG=1")
