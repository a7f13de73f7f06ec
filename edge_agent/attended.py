"""Opens the plant's wires for one attended proof where no service runs, and closes them behind it."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial

from drivers.memory import DeviceMemory
from drivers.profile import PointSpec
from edge_agent.attempt import Attempt, Confirm, Scene, Step
from edge_agent.control.memory import read_memory
from edge_agent.image import ProcessImage
from edge_agent.settings.load import Configuration
from edge_agent.store.store import Store
from edge_agent.to_the_end import stopped_once
from edge_agent.wiring import DEVICE_KEY, MEMORY_KEY, build_buses, build_clock, build_devices, open_buses

Effects = list[tuple[str, float, float]]


async def prove(
    configuration: Configuration,
    *,
    device: str,
    spec: PointSpec,
    value: float | None,
    tell: Callable[[Step], None],
    effect_s: float,
    confirm: Confirm,
    effects: Effects,
) -> tuple[str, str]:
    """Proves one command; see `Attempt`.

    Args:
        configuration: all files.
        device: name.
        spec: the point to be written.
        value: to be written, inside unit; None: one step away from what stands there.
        tell: hears of each step.
        effect_s: how long an effect is waited for [s].
        confirm: asks the person at the plant.
        effects: receives what has moved: point, before, after.

    Returns:
        Outcome and reason.
    """
    media = configuration.site.storage_media
    store = await Store.open(media.state_dir, quota_mb=media.quota_mb, raw_days=media.raw_days)
    permitted: str | None = None  # until somebody has confirmed, not one frame that writes leaves

    def permit(name: str | None) -> None:
        nonlocal permitted
        permitted = name

    async with AsyncExitStack() as stack:
        stack.push_async_callback(store.close)  # no audit, no proof: the store is opened first
        clock = build_clock(configuration)
        buses = build_buses(configuration, stopwatch=clock.reading_s)
        for bus in buses.values():
            stack.push_async_callback(bus.close)
        await open_buses(buses)
        memories = {}
        for name in configuration.devices.devices:
            key = f"{DEVICE_KEY}{name}"
            memories[name] = DeviceMemory(name, kept=await store.get_state(key), keep=partial(store.put_state, key))
        devices = build_devices(
            configuration,
            buses=buses,
            clock=clock,
            memory=lambda name: memories[name],
            may_write=lambda name: name == permitted,
        )
        image = ProcessImage()

        async def refresh(name: str) -> None:
            image.put(await devices[name].poll())

        async def one_bus(bus: str) -> None:
            for name, entry in configuration.devices.devices.items():
                if entry.bus == bus:
                    await refresh(name)

        await asyncio.gather(*(one_bus(bus) for bus in buses))
        scene = Scene(
            site=configuration.site,
            devices=devices,
            image=image,
            refresh=refresh,
            store=store,
            clock=clock,
            memory=read_memory(await store.get_state(MEMORY_KEY)),
            permit=permit,
            to_its_end=stopped_once,
        )
        attempt = Attempt(scene, device=device, spec=spec, value=value, tell=tell, effect_s=effect_s)
        try:
            return await attempt.run(confirm)
        finally:
            effects.extend(attempt.effects)
