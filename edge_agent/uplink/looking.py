"""Looks at something again and again; a store that refuses is told once, and asked again at the next look."""

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from edge_agent.errors import StoreFault

LOG = logging.getLogger(__name__)


async def look_for_ever(
    look: Callable[[datetime], Awaitable[object]],
    *,
    what_waits: str,
    every_s: float,
    now_utc: Callable[[], datetime],
    sleep_until: Callable[[datetime], Awaitable[None]],
) -> None:
    """Ends only by cancellation.

    Args:
        look: is given the instant.
        what_waits: while the store refuses; for the log.
        every_s: site clock [s].
        now_utc: the site's clock.
        sleep_until: waits on the site's clock.
    """
    refused = False
    while True:
        try:
            await look(now_utc())
            refused = False
        except StoreFault as fault:
            if not refused:
                LOG.warning("%s, the store refuses: %s", what_waits, fault)
            refused = True
        await sleep_until(now_utc() + timedelta(seconds=every_s))
