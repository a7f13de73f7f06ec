"""Reads devices where no service runs: the same devices, the same read plans, no store, no control, no write."""

import asyncio
from collections.abc import Collection
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime
from typing import Self

from drivers.device import Device
from drivers.sample import Sample
from edge_agent.image import ProcessImage
from edge_agent.settings.load import Configuration
from edge_agent.wiring import build_buses, build_clock, build_devices, open_bus


class DirectReader:
    """Reads devices without a service, as often as it is asked; an asynchronous context. Writes nothing.

    Args:
        configuration: all files.
        names: devices; the others are left alone, so that a silent one costs nothing.
        period_s: how often a point without a period of its own may be read [s].
    """

    def __init__(self, configuration: Configuration, names: Collection[str], *, period_s: float) -> None:
        entries = {
            name: entry.model_copy(update={"period_s": min(entry.period_s, period_s)})
            for name, entry in configuration.devices.devices.items()
            if name in names
        }
        devices = configuration.devices.model_copy(update={"devices": entries})
        self._configuration = replace(configuration, devices=devices)
        self._clock = build_clock(configuration)
        self._image = ProcessImage()
        self._stack = AsyncExitStack()
        self._members: dict[str, list[Device]] = {}

    async def __aenter__(self) -> Self:
        buses = build_buses(self._configuration, stopwatch=self._clock.reading_s)
        built = build_devices(self._configuration, buses=buses, clock=self._clock)
        for name, device in built.items():
            self._members.setdefault(self._configuration.devices.devices[name].bus, []).append(device)
        for bus in self._members:
            await open_bus(bus, buses[bus])
            self._stack.push_async_callback(buses[bus].close)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def read(self) -> tuple[list[Sample], datetime]:
        """The last sample of every point, after all that was due has been read, and the present instant."""

        async def one_bus(members: list[Device]) -> None:
            for device in members:
                self._image.put(await device.poll())

        await asyncio.gather(*map(one_bus, self._members.values()))
        return list(self._image), self._clock.now_utc()
