"""Wires open and close side by side with a deadline, memories are kept, only mode auto lets writes out."""
# ruff: noqa: ANN001 - fixtures are known by their names

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import cast

import pytest

from drivers.bus.base import Bus
from drivers.writing import Reason
from edge_agent import wiring
from edge_agent.app import Service
from edge_agent.clock import RealClock, elapsed_s
from edge_agent.control.modes import Mode, ModeState
from edge_agent.errors import StoreFault
from edge_agent.settings.load import load_configuration
from edge_agent.store.facts import PointFacts
from edge_agent.store.store import Store
from edge_agent.wiring import bus_budgets, close_buses, open_buses

NOON_UTC = datetime(2026, 1, 15, 4, tzinfo=UTC)


class StuckBus:
    """Neither opens nor closes."""

    def __init__(self) -> None:
        self.asked = 0

    async def open(self) -> None:
        self.asked += 1
        await asyncio.Event().wait()

    async def close(self) -> None:
        await self.open()


class Shelf:
    """A store that keeps states, or refuses."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {}
        self.full = False

    async def put_state(self, key: str, text: str) -> None:
        if self.full:
            raise StoreFault("disk full")
        self.states[key] = text

    def expect(self, facts: Mapping[str, PointFacts]) -> None:
        """It keeps no samples."""

    def correct_with(self, corrections: object) -> None:
        """It makes nothing anew."""


async def test_a_hundred_wires_that_hang_take_one_deadline_not_a_hundred(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "CONNECT_S_MAX", 0.2)
    monkeypatch.setattr(wiring, "CLOSE_S_MAX", 0.2)
    wires = [StuckBus() for _ in range(100)]
    buses = {f"b{number}": cast("Bus", wire) for number, wire in enumerate(wires)}
    begin_s = elapsed_s()
    await open_buses(buses)
    await close_buses(buses)
    assert elapsed_s() - begin_s < 10.0, "one after the other they would take 40 s"
    assert all(wire.asked == 2 for wire in wires)


def service(plant, shelf: Shelf, **kept: str) -> Service:
    configuration = load_configuration(plant.folder)
    return Service(configuration, clock=RealClock(), store=cast("Store", shelf), promise_fd=None, device_memories=kept)


async def test_what_a_device_learned_is_kept_and_a_refusing_disk_stops_nothing(plant) -> None:
    shelf = Shelf()
    part = service(plant, shelf)
    name, device = next(iter(part.devices.items()))
    await device._memory.put("holes", {"x": 1})
    assert json.loads(shelf.states[f"device/{name}"]) == {"holes": {"x": 1}}
    shelf.full = True
    await device._memory.put("holes", {"x": 2})
    again = service(plant, shelf, **{name: shelf.states[f"device/{name}"]})
    assert again.devices[name]._memory.get("holes") == {"x": 1}
    await part.solver.stop()
    await again.solver.stop()


@pytest.mark.parametrize("mode", list(Mode))
async def test_only_mode_auto_lets_a_write_out(plant, mode: Mode) -> None:
    part = service(plant, Shelf())
    point = next(
        f"{name}.{point}"
        for name, device in part.devices.items()
        for point, spec in device.profile.points.items()
        if spec.write is not None and spec.write.pulse is None and not spec.write.unlock
    )
    assert (await part._write(point, 0.0)).reason == Reason.MONITOR_MODE, "before anybody has said which mode"
    part.operation.mode = ModeState(mode, NOON_UTC, "op", "test")
    outcome = await part._write(point, 0.0)
    assert (outcome.reason == Reason.MONITOR_MODE) == (mode is not Mode.AUTO)
    await part.solver.stop()


def test_the_example_plant_fits_its_wires(plant) -> None:
    configuration = load_configuration(plant.folder)
    budgets = bus_budgets(configuration, buses=wiring.build_buses(configuration))
    assert budgets.keys() == configuration.devices.buses.keys()
    assert all(budget.fits and budget.share > 0 for budget in budgets.values())
