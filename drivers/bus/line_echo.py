"""Whether an adapter hears what it sends, and how its echo is taken off. No port here.

On a half-duplex line some adapters give every request back before any answer. Most echoes harm nobody, because an
answer does not look like its request; the echo of a write of one register or coil looks exactly like its answer.
"""

import logging
from typing import Any

from drivers.bus.base import BusCounts
from drivers.bus.exchange import Exchange

log = logging.getLogger(__name__)


class LineEcho:
    """What is known of an adapter's echo.

    Args:
        name: of the bus, for messages.
        counts: of the line.

    Attributes:
        heard: None until an exchange has shown it.
    """

    def __init__(self, name: str, counts: BusCounts) -> None:
        self.heard: bool | None = None
        self._name = name
        self._counts = counts

    def take_off(self, exchange: Exchange[Any], raw: bytes) -> tuple[bytes, bool]:
        """Takes the request itself off what came in.

        Returns:
            The rest, and whether the request was there. While the echo of a write is still to come, or damaged, nothing
            passes for its answer: the answer is the second of the two.
        """
        position = raw.find(exchange.request)
        if position < 0 or (not self.heard and (position > 0 or exchange.mirrored)):
            return raw, False
        return raw[:position] + raw[position + len(exchange.request) :], True

    def judge(self, exchange: Exchange[Any], raw: bytes, *, echoed: bool) -> None:
        """Learns from what came in during one exchange; says so when an echo begins and when it ends."""
        if echoed and (self.heard or not exchange.mirrored):
            self._counts.echoed += 1
            if not self.heard:
                self.heard = True
                log.warning("line echoes: the adapter hears what it sends; taken off from now on bus=%s", self._name)
        elif not exchange.mirrored and len(raw) in (0, exchange.answer_length):
            if self.heard:
                log.warning("line echoes no more bus=%s", self._name)
            self.heard = False
