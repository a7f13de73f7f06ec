"""Gives every device its regular chance to do what it owes: watchdogs, expired commands, pulses to be ended.

What is owed, and whether anything may be written, is known by the device (`drivers.writing`).
"""

from collections.abc import Callable, Sequence
from datetime import timedelta

from drivers.device import Device
from edge_agent.clock import Clock, sleep_until

SERVE_S = 5.0
"""Pace on the site's clock ..."""
KEEP_ALIVE_SHARE = 0.25
"""... or this share of the shortest watchdog on the bus: it is served when half of its time has passed."""


async def serve_bus(devices: Sequence[Device], *, clock: Clock, progress: Callable[[], None] = lambda: None) -> None:
    """Serves the devices of one bus for ever; those of another do not wait for it.

    Args:
        devices: the units on this bus.
        clock: the site's clock.
        progress: called after each device; feeds the watchdog.
    """
    serving = [device for device in devices if device.serves]
    watchdogs_s = [
        spec.write.keep_alive_s
        for device in serving
        for spec in device.points.values()
        if spec.write is not None and spec.write.keep_alive_s is not None
    ]
    pause_s = min([SERVE_S, *(KEEP_ALIVE_SHARE * watchdog_s for watchdog_s in watchdogs_s)])
    while True:
        await sleep_until(clock, clock.now_utc() + timedelta(seconds=pause_s))
        for device in serving:
            await device.serve()
            progress()
