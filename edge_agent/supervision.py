"""Keeps one failing task from taking the whole service down: it is logged and started again, and given up at last.

A service that ends is started again by its manager; that is the last step, not the first: meanwhile nobody controls.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine

LOG = logging.getLogger(__name__)

PAUSE_FIRST_S = 1.0
PAUSE_MAX_S = 60.0
FAILURES_MAX = 8
"""So many failures in a row without a calm stretch end the service: its manager starts it from scratch."""
CALM_S = 600.0
"""A task that ran this long [s, wall] has recovered: its failures are forgotten."""


async def supervise(
    name: str,
    work: Callable[[], Coroutine[None, None, None]],
    *,
    elapsed_s: Callable[[], float],
    sleep: Callable[[float], Coroutine[None, None, None]] = asyncio.sleep,
    vital: bool = True,
) -> None:
    """Runs endless work, again after every failure, with growing pauses.

    Args:
        name: for the log.
        work: makes the coroutine anew.
        elapsed_s: the machine's monotonic clock [s].
        sleep: waits a wall time [s].
        vital: without it the service is of no use, and a fresh one may do better; else it is tried for ever.

    Raises:
        Exception: the failure that came once too often.
    """
    failures = 0
    while True:
        began_s = elapsed_s()
        try:
            await work()
        except Exception as error:
            if elapsed_s() - began_s > CALM_S:
                failures = 0
            failures += 1
            LOG.exception("task failed task=%s failures=%d", name, failures)
            if vital and failures >= FAILURES_MAX:
                LOG.critical("task given up, the service ends task=%s reason=%s", name, error)
                raise
        else:
            return
        await sleep(min(PAUSE_FIRST_S * 2 ** min(failures - 1, FAILURES_MAX), PAUSE_MAX_S))
