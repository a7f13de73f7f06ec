"""A bench for simulated devices: a plant that is a dictionary, a clock that is a number."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from hil_sim.devices.catalogue import MODELS
from hil_sim.devices.server import DeviceServer
from hil_sim.wire_log import WireLog


@dataclass
class Bench:
    """What stands behind the devices under test."""

    truth: dict[str, float] = field(default_factory=dict)
    commands: list[tuple[str, float]] = field(default_factory=list)
    log: WireLog = field(default_factory=WireLog)
    instant_s: float = 1.7e9

    def command(self, quantity: str, value: float) -> None:
        """Does what a plant does with a write."""
        self.commands.append((quantity, value))
        self.truth[quantity] = value

    def device(self, model: str, *, name: str = "dut", unit: int = 1) -> DeviceServer:
        """A device whose every quantity is 10 units from its place in the map, unless the test says otherwise."""
        for place, quantity in enumerate(sorted(MODELS[model].names())):
            self.truth.setdefault(quantity, 10.0 + place)
        for switch in ("user_flow", "source_flow"):
            if self.truth.get(switch, 0.0) > 1.0:
                self.truth[switch] = 1.0
        return DeviceServer(
            name,
            unit,
            model,
            truth=self.truth.__getitem__,
            command=self.command,
            seed=1,
            now_s=lambda: self.instant_s,
            log=self.log,
        )


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def new_bench() -> Callable[[], Bench]:
    return Bench
