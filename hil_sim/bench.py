"""Benches of meters: lines, TCP ports and devices made to try the field bus on, with a configuration that fits.

No building and no heat pump behind them (hil_sim.site has those): a bench is quick to set up, runs at 1x with true
baud, and its agent stays in monitor mode. Not here: how a run goes (hil_sim.bench_play).
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from ruamel.yaml import YAML

from hil_sim.bus_periods import NO_HOLDS, LineHolds
from hil_sim.devices.catalogue import asked_of_the_plant, quantity_names
from hil_sim.devices.serial_server import SerialServer
from hil_sim.devices.server import DeviceServer
from hil_sim.devices.tcp import TcpFaults, TcpServer
from hil_sim.line import SerialLine
from hil_sim.plant.bench import MeterBench
from hil_sim.scenario import Scenario
from hil_sim.sim_clock import SimClock
from hil_sim.site import HOST, TRUE_BAUD, ZONE, SiteFault, Wired, example_folder
from hil_sim.wire_faults import WireFaults
from hil_sim.wire_log import WireLog

TURNAROUND_S: Final = 0.020
SERIAL_MISS_S: Final = 1.5
"""What an unanswered request costs the agent on a serial line by its defaults: until the latest answer has passed."""
TCP_MISS_S: Final = 1.0
LATE_BELIEF_RATIO: Final = 1.5
LATE_BELIEF_S_MAX: Final = 10.0
"""Once an answer has come later than the agent believed, it waits so many times its delay, at most so long."""
FRAME_BYTES: Final = 8 + 255
"""A request and the longest answer."""
CROWD_HOSTS: Final = 24
CROWD_UNITS: Final = 4
CROWD_ON_LINE: Final = 8
LINE_FAULTS: Final = frozenset(field.name for field in fields(WireFaults)) - {"units"}
"""What a scenario may set under `wires` of a line for a whole run, besides `baud`, `turnaround_s`, `bits_per_char`, and
`serial_server` (a box with a raw TCP port stands between line and agent). Of a TCP port: the keys of `TcpFaults`."""
TARIFF_OF: Final = "ground-office"
"""A service needs a tariff; the bench borrows one."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A bench: which devices hang on which wire.

    Attributes:
        zh: what it is, for `list`.
        en: the same.
        devices: where each device hangs.
        serial: names of the buses that are serial lines; the others are TCP ports.
    """

    zh: str
    en: str
    devices: tuple[Wired, ...]
    serial: tuple[str, ...]

    @property
    def nets(self) -> tuple[str, ...]:
        """Names of the buses that are TCP ports."""
        return tuple(dict.fromkeys(wired.bus for wired in self.devices if wired.bus not in self.serial))


BENCHES: Final[Mapping[str, Layout]] = MappingProxyType(
    {
        "meter-bench": Layout(
            "仪表台: 两条 RS-485 线与一个 TCP 网关, 12 台设备",
            "a bench of meters: two RS-485 lines and a TCP gateway, 12 devices",
            (
                Wired("hm1", "line_1", 1, "tuf2000m"),
                Wired("hm2", "line_1", 2, "mag11_heat"),
                Wired("em1", "line_1", 11, "acrel_adl3000"),
                Wired("em2", "line_1", 12, "eastron_sdm630"),
                Wired("tt1", "line_1", 21, "wb_m1w2"),
                Wired("em3", "line_2", 11, "eastron_sdm630"),
                Wired("tt2", "line_2", 21, "wb_m1w2"),
                Wired("ws1", "line_2", 22, "xy_md0x"),
                Wired("hp1", "net", 11, "generic_ground_unit"),
                Wired("hp2", "net", 12, "generic_ground_unit"),
                Wired("em4", "net", 13, "eastron_sdm630"),
                Wired("io1", "net", 40, "generic_station_io"),
            ),
            ("line_1", "line_2"),
        ),
        "crowd-bench": Layout(
            f"拥挤的总线: {CROWD_HOSTS} 台 TCP 主机各 {CROWD_UNITS} 个单元, 一条线上 {CROWD_ON_LINE} 台",
            f"a crowd: {CROWD_HOSTS} TCP hosts of {CROWD_UNITS} units each, {CROWD_ON_LINE} devices on one line",
            (
                *(
                    Wired(f"m{host}_{unit}", f"host_{host}", unit, "eastron_sdm630" if unit == 1 else "wb_m1w2")
                    for host in range(1, CROWD_HOSTS + 1)
                    for unit in range(1, CROWD_UNITS + 1)
                ),
                *(Wired(f"tt{unit}", "line_1", unit, "wb_m1w2") for unit in range(1, CROWD_ON_LINE)),
                Wired("ws1", "line_1", 22, "xy_md0x"),
            ),
            ("line_1",),
        ),
    }
)


class Bench:
    """The simulated side of a run on a bench.

    Attributes:
        clock: the site's clock, held until somebody sets a speed.
        log: what was asked and served on the wires.
        devices: register servers by name, with their fault switches.
        lines: the serial lines by name.
        serial_servers: boxes with a raw TCP port before a line, by its name.
        nets: the TCP ports by name.
        start_s: first instant [s since 1970 UTC].
        end_s: the last.
    """

    def __init__(self, scenario: Scenario, *, folder: Path, wall_s: Callable[[], float]) -> None:
        """Builds devices and wires; `open` opens them.

        Args:
            scenario: bench, first instant, seed, poll period, differing wires.
            folder: run folder, there already.
            wall_s: monotonic wall time [s].

        Raises:
            SiteFault: no such bench, or a wire that it does not have.
        """
        if scenario.plant not in BENCHES:
            raise SiteFault(f"没有仪表台 / no bench {scenario.plant!r}; 有 / there are: {', '.join(BENCHES)}")
        self.scenario = scenario
        self.layout = BENCHES[scenario.plant]
        buses = (*self.layout.serial, *self.layout.nets)
        if unknown := sorted((scenario.wires.keys() | scenario.settings.keys()) - set(buses)):
            raise SiteFault(f"{scenario.name}: no such bus: {', '.join(unknown)}; there are: {', '.join(buses)}")
        if unknown := sorted(scenario.points.keys() - {wired.name for wired in self.layout.devices}):
            raise SiteFault(f"{scenario.name}: no such device: {', '.join(unknown)}")
        self.folder = folder
        self.config = folder / "config"
        self.state_dir = folder / "state"
        self.start_s = scenario.start_s(ZONE)
        self.end_s = scenario.end_s(ZONE)
        self.clock = SimClock(folder / "clock", start_s=self.start_s, wall_s=wall_s)
        self.log = WireLog()
        self.meters = MeterBench(
            seed=scenario.seed,
            start_s=self.start_s,
            devices={wired.name: asked_of_the_plant(wired.model) for wired in self.layout.devices},
        )
        self.devices = {
            wired.name: DeviceServer(
                wired.name,
                wired.unit,
                wired.model,
                truth=partial(self._truth, wired.name),
                command=partial(self.meters.command, wired.name),
                seed=scenario.seed,
                now_s=self.clock.now_s,
                log=self.log,
            )
            for wired in self.layout.devices
        }
        self.serial_servers: dict[str, SerialServer] = {}
        self._behind_servers: list[str] = []
        self.lines = {bus: self._line(bus, wall_s) for bus in self.layout.serial}
        self.nets = {bus: self._net(bus) for bus in self.layout.nets}

    def _truth(self, device: str, name: str) -> float:
        return self.meters.quantity(device, name, instant_s=self.clock.now_s())

    def _line(self, bus: str, wall_s: Callable[[], float]) -> SerialLine:
        wire: dict[str, Any] = {"baud": TRUE_BAUD, "turnaround_s": TURNAROUND_S, **self.scenario.wires.get(bus, {})}
        lasting = {key: wire.pop(key) for key in wire.keys() & LINE_FAULTS}
        if wire.pop("serial_server", False):
            self._behind_servers.append(bus)
        line = SerialLine(
            bus,
            [self.devices[name] for name in self.members(bus)],
            now_s=self.clock.now_s,
            wall_s=wall_s,
            log=self.log,
            link=self.folder / f"tty-{bus}",
            seed=self.scenario.seed,
            **wire,
        )
        line.faults = WireFaults(**lasting)
        return line

    def _net(self, bus: str) -> TcpServer:
        lasting: dict[str, Any] = {**self.scenario.wires.get(bus, {})}
        net = TcpServer([self.devices[name] for name in self.members(bus)], log=self.log, now_s=self.clock.now_s)
        net.faults = TcpFaults(**lasting)
        return net

    # ------------------------------------------------------------------------------------------------ open and close
    def open(self) -> None:
        """Opens lines and ports.

        Raises:
            OSError: no pseudo terminal or no port to be had.
        """
        for line in self.lines.values():
            line.start()
        for bus in self._behind_servers:
            self.serial_servers[bus] = SerialServer(self.lines[bus].path, host=HOST)
        for net in self.nets.values():
            net.start(HOST, 0)

    def close(self) -> None:
        """Closes all wires and lets go of the clock, held."""
        for server in self.serial_servers.values():
            server.stop()
        for line in self.lines.values():
            line.stop()
        for net in self.nets.values():
            net.stop()
        self.clock.hold()
        self.clock.close()

    def members(self, bus: str) -> Sequence[str]:
        """Names of the devices on a bus."""
        return [wired.name for wired in self.layout.devices if wired.bus == bus]

    def bus_of(self, device: str) -> str:
        """Name of the bus that a device hangs on."""
        return next(wired.bus for wired in self.layout.devices if wired.name == device)

    def miss_s(self, bus: str) -> float:
        """What an unanswered request costs the agent on a bus: time-out, and the rest that follows it [s].

        Where answers come later than that by the scenario, a serial line learns to rest for longer.
        """
        settings = self.scenario.settings.get(bus, {})
        default_s = SERIAL_MISS_S if bus in self.layout.serial else TCP_MISS_S
        stated_s = max(
            (float(str(settings[key])) for key in ("timeout_s", "latest_answer_s") if key in settings),
            default=default_s,
        )
        if bus not in self.layout.serial:
            return stated_s
        learned_s = max((LATE_BELIEF_RATIO * late_s for late_s in self._late_s(bus) if late_s > stated_s), default=0.0)
        return max(stated_s, min(LATE_BELIEF_S_MAX, learned_s))

    def _late_s(self, bus: str) -> list[float]:
        """How late the scenario makes answers on a bus [s]."""
        found = []
        for event in self.scenario.events(ZONE):
            devices = event.args.get("devices", [event.args.get("device")])
            hit = event.args.get("bus") == bus or (
                isinstance(devices, list) and not set(self.members(bus)).isdisjoint(map(str, devices))
            )
            if hit and "late_s" in event.args:
                found.append(float(str(event.args["late_s"])))
        return found

    def holds(self, device: str) -> LineHolds:
        """What kept the line of a device waiting: requests to its other members that were not answered as they should.

        Each may hold it until its latest answer has passed, and for a frame; what the others wanted meanwhile has piled
        up by the share of time that the line is busy. Behind a TCP port nobody must wait.
        """
        bus = self.bus_of(device)
        if bus not in self.lines:
            return NO_HOLDS
        line = self.lines[bus]
        busy_ratio = line.statistics.busy_s / max(1.0, self.clock.now_s() - self.start_s)
        others = [name for name in self.members(bus) if name != device]
        return LineHolds(
            hold_s=(self.miss_s(bus) + FRAME_BYTES * line.char_s) * (1.0 + busy_ratio),
            marks=sorted((instant_s, name) for name in others for instant_s in self.log.held_s[name]),
        )

    # ----------------------------------------------------------------------------------------------- configuration
    def write_configuration(self) -> Path:
        """Writes a configuration for this bench; returns the folder."""
        self.config.mkdir(parents=True, exist_ok=True)
        self.state_dir.mkdir(parents=True, exist_ok=True)
        electricity = next(
            wired.name for wired in self.layout.devices if "electric_power" in quantity_names(wired.model)
        )
        site: dict[str, object] = {
            "site": {
                "id": self.scenario.plant,
                "name": self.layout.zh,
                "timezone": str(ZONE),
                "plant_type": "ground_source",
                "heated_area_m2": 1000,
                "simulated": True,
                "simulated_clock": str(self.clock.path),
            },
            "commissioning": {"start_mode": self.scenario.start_mode or "monitor"},
            "loops": {},
            "units": {},
            "meters": {"electricity": electricity, "weather": "ws1.temperature"},
            "storage_media": {"state_dir": str(self.state_dir)},
        }
        devices: dict[str, object] = {
            "buses": {bus: self._entry(bus) for bus in (*self.lines, *self.nets)},
            "devices": {
                wired.name: {
                    "bus": wired.bus,
                    "unit": wired.unit,
                    "profile": wired.model,
                    "period_s": self.scenario.period_s,
                    "points": dict(self.scenario.points.get(wired.name, {})),
                }
                for wired in self.layout.devices
            },
        }
        for name, content in (
            ("site", site),
            ("devices", devices),
            ("uplink", {"uplinks": {}, "points": []}),
        ):
            with (self.config / f"{name}.yaml").open("w", encoding="utf-8") as file:
                YAML(typ="safe", pure=True).dump(content, file)
        shutil.copyfile(example_folder(TARIFF_OF) / "tariff.yaml", self.config / "tariff.yaml")
        return self.config

    def _entry(self, bus: str) -> dict[str, object]:
        entry: dict[str, object]
        if bus in self.serial_servers:
            entry = {
                "rtu_over_tcp": f"{HOST}:{self.serial_servers[bus].port}",
                "baud": self.lines[bus].baud,
                "framing": "8N1",
            }
        elif bus in self.lines:
            entry = {"serial": self.lines[bus].path, "baud": self.lines[bus].baud, "framing": "8N1"}
        else:
            entry = {"tcp": f"{HOST}:{self.nets[bus].port}"}
        return entry | dict(self.scenario.settings.get(bus, {}))
