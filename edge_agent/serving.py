"""Gives every device its regular chance to do what it owes: watchdogs, expired commands, pulses to be ended.

What is owed, and whether anything may be written, is known by the device (`drivers.writing`).
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Protocol

from drivers.device import Device
from edge_agent.clock import Clock, sleep_until

SERVE_S = 5.0
"""Pace on the site's clock ..."""
KEEP_ALIVE_SHARE = 0.25
"""... or this share of its shortest watchdog: it is served when half of its time has passed."""
LOG = logging.getLogger(__name__)


class Watch(Protocol):
    """Who counts what broke on a fault of ours."""

    failures: int


async def serve_bus(
    devices: Sequence[Device], *, clock: Clock, watch: Watch, progress: Callable[[str], None] = lambda _: None
) -> None:
    """Serves the devices of one bus for ever, each in its own task: none waits for a slow or broken neighbour.

    Args:
        devices: the units on this bus.
        clock: the site's clock.
        watch: its failures are counted up.
        progress: called with the name of a device after it was served; feeds the watchdog.
    """
    async with asyncio.TaskGroup() as group:
        for device in devices:
            if device.serves:
                group.create_task(
                    _serve(device, clock=clock, watch=watch, progress=progress), name=f"serve {device.name}"
                )


async def _serve(device: Device, *, clock: Clock, watch: Watch, progress: Callable[[str], None]) -> None:
    """Serves one device for ever; a fault costs it one turn and is logged once."""
    watchdogs_s = [
        spec.write.keep_alive_s
        for spec in device.points.values()
        if spec.write is not None and spec.write.keep_alive_s is not None
    ]
    pause_s = min([SERVE_S, *(KEEP_ALIVE_SHARE * watchdog_s for watchdog_s in watchdogs_s)])
    told = ""
    while True:
        await sleep_until(clock, clock.now_utc() + timedelta(seconds=pause_s))
        try:
            await device.serve()
        except Exception as error:
            watch.failures += 1
            fault = f"{type(error).__name__}: {error}"
            if fault != told:
                LOG.exception("serving failed device=%s", device.name)
            told = fault
        else:
            if told:
                LOG.warning("serving works again device=%s after=%s", device.name, told)
            told = ""
        progress(device.name)
