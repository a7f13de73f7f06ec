"""Builds clock, wires and devices from the configuration, and opens and closes wires; starts nothing by itself.

Shared by the service and by the verbs that reach devices where no service runs: those load neither planner nor uplink.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial

from drivers.bus.base import Bus
from drivers.bus.modbus_rtu import ModbusRtuBus
from drivers.bus.modbus_tcp import ModbusTcpBus
from drivers.bus.rtu_over_tcp import rtu_over_tcp
from drivers.device import Device
from drivers.link import LineShare
from drivers.memory import DeviceMemory
from drivers.turns import Turns
from drivers.wire_budget import WireBudget, device_share
from edge_agent.clock import Clock, RealClock, SimulatedClock, SiteClock, elapsed_s
from edge_agent.errors import ConfigurationFault
from edge_agent.settings.load import Configuration

LOG = logging.getLogger(__name__)

CONNECT_S_MAX = 5.0
"""A bus that does not open within this wall time is left to reopen by itself while everything else goes on."""
CLOSE_S_MAX = 5.0
"""A bus that does not close within this wall time is left behind."""
MEMORY_KEY = "control"
"""Where the store keeps what control remembers."""
DEVICE_KEY = "device/"
"""Before the name of a device: where the store keeps what the device remembers."""


def build_clock(configuration: Configuration) -> SiteClock:
    """The site's clock: the machine's, or the simulator's on a simulated site."""
    site = configuration.site.site
    if not site.simulated:
        return RealClock()
    if site.simulated_clock is None:
        raise ConfigurationFault("仿真站点缺少 site.simulated_clock / a simulated site needs site.simulated_clock")
    return SimulatedClock(site.simulated_clock)


def build_buses(configuration: Configuration, *, stopwatch: Callable[[], float] = elapsed_s) -> dict[str, Bus]:
    """One wire for each entry of devices.yaml; nothing is opened yet.

    Args:
        configuration: all files, checked.
        stopwatch: of the machine [s]; that of a site's clock lets it say when an answer was complete.
    """
    buses: dict[str, Bus] = {}
    for name, entry in configuration.devices.buses.items():
        if entry.serial is not None:
            buses[name] = ModbusRtuBus(
                name, port=entry.serial, baud=entry.baud, framing=entry.framing, elapsed_s=stopwatch
            )
        elif entry.tcp is not None:
            host, _, port = entry.tcp.rpartition(":")
            buses[name] = ModbusTcpBus(
                name,
                host=host,
                port=int(port),
                elapsed_s=stopwatch,
                depth=entry.depth,
                lenient_ids=entry.lenient_ids,
                connect_delay_s=entry.connect_delay_s,
            )
        elif entry.rtu_over_tcp is not None:
            host, _, port = entry.rtu_over_tcp.rpartition(":")
            buses[name] = rtu_over_tcp(
                name, host=host, port=int(port), baud=entry.baud, framing=entry.framing, elapsed_s=stopwatch
            )
    return buses


def line_shares(configuration: Configuration, buses: Mapping[str, Bus]) -> dict[str, LineShare]:
    """What the units of each line share, by the name of the bus; over TCP one that is overdue lets the others pass."""
    return {name: _share(buses[name], depth=entry.depth) for name, entry in configuration.devices.buses.items()}


def _share(bus: Bus, *, depth: int) -> LineShare:
    if isinstance(bus, ModbusTcpBus):
        return LineShare(Turns(depth), gives_way_s=bus.pace.gives_way_s)
    return LineShare(Turns(depth))


def build_devices(
    configuration: Configuration,
    *,
    buses: Mapping[str, Bus],
    clock: Clock,
    memory: Callable[[str], DeviceMemory] = DeviceMemory,
    may_write: Callable[[str], bool] = lambda _device: False,
    shares: Mapping[str, LineShare] | None = None,
) -> dict[str, Device]:
    """One device for each entry of devices.yaml.

    Args:
        configuration: all files, checked.
        buses: by name.
        clock: the site's clock.
        memory: what each device still knows, by its name; without it each starts anew and keeps nothing.
        may_write: asked with the device's name before every frame that writes; without it none ever leaves.
        shares: what the units of each line share; None: nobody else shares it.
    """
    shares = shares or line_shares(configuration, buses)
    return {
        name: Device(
            name,
            bus=buses[entry.bus],
            unit=entry.unit,
            profile=configuration.profiles[name],
            period_s=entry.period_s,
            now_utc=clock.now_utc,
            elapsed_s=elapsed_s,
            memory=memory(name),
            may_write=partial(may_write, name),
            share=shares[entry.bus],
            at_utc=clock.at_utc,
        )
        for name, entry in configuration.devices.devices.items()
    }


def bus_budgets(configuration: Configuration, *, buses: Mapping[str, Bus]) -> dict[str, WireBudget]:
    """What the devices of each bus want of it."""
    shares: dict[str, dict[str, float]] = {name: {} for name in buses}
    for name, entry in configuration.devices.devices.items():
        profile = configuration.profiles[name]
        shares[entry.bus][name] = device_share(profile, period_s=entry.period_s, cost=buses[entry.bus].cost)
    return {name: WireBudget(members) for name, members in shares.items()}


async def open_bus(name: str, bus: Bus) -> None:
    """Opens a wire; one that is not there keeps reopening itself and never holds up the rest."""
    try:
        async with asyncio.timeout(CONNECT_S_MAX):
            await bus.open()
    except TimeoutError:
        LOG.warning("bus does not open, it is tried again later bus=%s", name)


async def open_buses(buses: Mapping[str, Bus]) -> None:
    """Opens all wires side by side."""
    await asyncio.gather(*(open_bus(name, bus) for name, bus in buses.items()))


async def close_buses(buses: Mapping[str, Bus]) -> None:
    """Closes all wires side by side; one that does not close in time is left to the end of the process."""

    async def close(name: str, bus: Bus) -> None:
        try:
            async with asyncio.timeout(CLOSE_S_MAX):
                await bus.close()
        except TimeoutError:
            LOG.warning("bus does not close in time bus=%s", name)

    await asyncio.gather(*(close(name, bus) for name, bus in buses.items()))
