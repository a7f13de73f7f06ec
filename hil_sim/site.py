"""One simulated site: plant, register servers, serial lines, TCP port, clock, broker, city platform, configuration.

Everything runs in this process: the plant is moved by one task, lines and the TCP port have threads of their own, so
the plant is guarded by a lock. It starts no agent; whoever does reads the configuration folder that is written here.
"""

import asyncio
import statistics
import threading
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

from ruamel.yaml import YAML

from hil_sim.broker import EmbeddedBroker
from hil_sim.devices.server import DeviceServer
from hil_sim.devices.tcp import TcpServer, serve_tcp
from hil_sim.line import SerialLine
from hil_sim.plant.checker import SiteLimits
from hil_sim.plant.office import ONE_OF_EACH, UNIT_KINDS, GroundOffice
from hil_sim.plant.truth import Truth
from hil_sim.plant.unit import UnitKind
from hil_sim.plant.water import HEAT_CAPACITY_KJ_PER_KG_K, KJ_PER_KWH
from hil_sim.platform.mqtt_receiver import MqttReceiver
from hil_sim.scenario import Scenario
from hil_sim.sim_clock import SimClock
from hil_sim.wire_log import WireLog

HOST: Final = "127.0.0.1"
ZONE: Final = ZoneInfo("Asia/Shanghai")
COMPRESSED_BAUD: Final = 921_600
"""Wire time does not shrink with simulated time: a fast run needs a fast line, and both ends are told so."""
COMPRESSED_TURNAROUND_S: Final = 0.001
TRUE_BAUD: Final = 9600
TRUE_TURNAROUND_S: Final = 0.010
TRUE_LINE_SPEED_MAX: Final = 1.0
"""Up to this speed the lines run at true baud."""
CLOCK_LEASE_S: Final = 0.25
"""Simulated time stands still when the plant has not been moved for this wall time: a stalled machine ages no plant."""
STEP_NAP_S_MAX: Final = 0.1
STEP_NAP_S_MIN: Final = 0.01
TANK_EMPTY_DEGC: Final = 42.0
TANK_FULL_DEGC: Final = 55.0
GRID_KW_MAX: Final = 900.0
"""Agreed with the grid for the example plant; the plant's own checker judges by it."""
MONEY_STEP_S: Final = 60.0
"""The truth is handed out at least this often in simulated time, so that no price band is blurred."""
PLANTS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "ground-office": (
            "地源热泵 4×600 kW,800 m³ 蓄热罐,50 000 m² 办公与酒店,北京,冬季",
            "four ground-source units of 600 kW, tank of 800 m3, office and hotel of 50 000 m2, Beijing, winter",
        ),
        "actuation-bench": (
            "同一座站,四台机组各用一种控制方式: 容量上限、三级、设定温度、干触点",
            "the same plant, each unit told in another way: capacity limit, three stages, set-point, contacts",
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Wired:
    """A device of the plant and where it hangs."""

    name: str
    bus: str
    unit: int
    model: str


DEVICES: Final[Sequence[Wired]] = (
    Wired("hm_user", "rs485_1", 1, "tuf2000m"),
    Wired("hm_tank", "rs485_1", 2, "tuf2000m"),
    Wired("hm_source", "rs485_1", 3, "mag11_heat"),
    Wired("em_main", "rs485_1", 11, "acrel_adl3000"),
    *(Wired(f"em_hp{number}", "rs485_1", 11 + number, "eastron_sdm630") for number in (1, 2, 3, 4)),
    *(Wired(f"tt{number}", "rs485_2", number, "wb_m1w2") for number in (1, 2, 3, 4, 5)),
    Wired("ws1", "rs485_2", 9, "xy_md0x"),
    Wired("hp1", "plant_net", 11, "generic_ground_unit"),
    Wired("hp2", "plant_net", 12, "generic_ground_unit"),
    Wired("hp3", "plant_net", 13, "generic_ground_unit_setpoint"),
    Wired("hp4", "plant_net", 14, "generic_ground_unit_setpoint"),
    Wired("io1", "plant_net", 40, "generic_station_io"),
)
UNITS_OF: Final[Mapping[str, tuple[Sequence[UnitKind], Mapping[str, str]]]] = MappingProxyType(
    {
        "ground-office": (UNIT_KINDS, {}),
        "actuation-bench": (ONE_OF_EACH, {"hp2": "generic_unit_stages", "hp4": "generic_unit_contacts"}),
    }
)
"""Plant -> what its units can be told, and the device models that differ from DEVICES for it."""
SERIAL_BUSES: Final = ("rs485_1", "rs485_2")
TCP_BUS: Final = "plant_net"


@dataclass(frozen=True, slots=True)
class Reported:
    """A point that the agent reports: its code on the platform, and which value of the period (mean, last ...)."""

    point: str
    code: str
    aggregate: str


class SiteFault(Exception):
    """The simulated site cannot be set up; the message says why."""


class Site:
    """The simulated side of a run.

    Attributes:
        clock: the site's clock, held until somebody sets a speed.
        plant: the physics; take `lock` before touching it.
        log: what was served on the wires.
        devices: register servers by name, with their fault switches.
        lines: the serial lines by name.
        tcp: the TCP port of the plant network.
        reported: what the agent was told to report under which code.
        uplink_period_min: length of a record's period, as in the configuration that was written.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        folder: Path,
        wall_s: Callable[[], float],
        compressed: bool = True,
        zone: ZoneInfo = ZONE,
    ) -> None:
        """Builds the plant and its devices; `start` opens the wires.

        Args:
            scenario: plant, first instant, seed, poll period.
            folder: run folder, there already; clock, configuration, state and logs go into it.
            wall_s: monotonic wall time [s].
            compressed: serial lines at COMPRESSED_BAUD instead of true baud.
            zone: the site's zone.

        Raises:
            SiteFault: no such plant.
        """
        if scenario.plant not in PLANTS:
            raise SiteFault(f"没有电站 / no plant {scenario.plant!r}; 有 / there are: {', '.join(PLANTS)}")
        self.scenario = scenario
        self.folder = folder
        self.config = folder / "config"
        self.state_dir = folder / "state"
        self.zone = zone
        self.start_s = scenario.start_s(zone)
        self.end_s = scenario.end_s(zone)
        self.clock = SimClock(folder / "clock", start_s=self.start_s, wall_s=wall_s, lease_s=CLOCK_LEASE_S)
        self.log = WireLog()
        self.lock = threading.Lock()
        kinds, models = UNITS_OF[scenario.plant]
        limits = SiteLimits(grid_kw_max=GRID_KW_MAX, demand_response=_demand_response(scenario, zone))
        self.plant = GroundOffice(seed=scenario.seed, start_s=self.start_s, limits=limits, kinds=kinds)
        # The plant moves in whole steps: a run that ended between two of them would never reach its end.
        self.end_s = self.start_s + (self.end_s - self.start_s) // self.plant.step_s * self.plant.step_s
        self.devices = {
            wired.name: DeviceServer(
                wired.name,
                wired.unit,
                models.get(wired.name, wired.model),
                truth=partial(self._quantity, wired.name),
                command=partial(self._command, wired.name),
                seed=scenario.seed,
                now_s=self.clock.now_s,
                log=self.log,
            )
            for wired in DEVICES
        }
        self.baud = COMPRESSED_BAUD if compressed else TRUE_BAUD
        self.lines = {
            bus: SerialLine(
                bus,
                [self.devices[wired.name] for wired in DEVICES if wired.bus == bus],
                baud=self.baud,
                turnaround_s=COMPRESSED_TURNAROUND_S if compressed else TRUE_TURNAROUND_S,
                now_s=self.clock.now_s,
                wall_s=wall_s,
                log=self.log,
            )
            for bus in SERIAL_BUSES
        }
        self.tcp: TcpServer | None = None
        self.uplink_period_min = 0
        self.reported: tuple[Reported, ...] = ()
        self._period_s: dict[str, float] = {}
        self._stopped = asyncio.Event()

    # ------------------------------------------------------------------------------------------------ open and close
    def open(self, *, port: int = 0) -> None:
        """Opens serial lines and TCP port (0: any free one).

        Raises:
            OSError: no pseudo terminal or no port to be had.
        """
        for line in self.lines.values():
            line.start()
        on_net = [self.devices[wired.name] for wired in DEVICES if wired.bus == TCP_BUS]
        self.tcp = serve_tcp(on_net, HOST, port)

    def close(self) -> None:
        """Closes all wires and lets go of the clock, held."""
        for line in self.lines.values():
            line.stop()
        if self.tcp is not None:
            self.tcp.stop()
        self.clock.hold()
        self.clock.close()

    @property
    def nets(self) -> dict[str, TcpServer]:
        """The TCP ports by name, once they are open."""
        return {TCP_BUS: self.tcp} if self.tcp is not None else {}

    def members(self, bus: str) -> Sequence[str]:
        """Names of the devices on a bus."""
        return [wired.name for wired in DEVICES if wired.bus == bus]

    def bus_of(self, device: str) -> str:
        """Name of the bus that a device hangs on."""
        return next(wired.bus for wired in DEVICES if wired.name == device)

    # ---------------------------------------------------------------------------------------------------- the plant
    async def run(self, on_truth: Callable[[Truth], None]) -> None:
        """Moves the plant along with the clock until `stop`.

        Args:
            on_truth: is told the plant's truth after each stretch of at most MONEY_STEP_S; one stretch ends exactly at
                the end of the scenario.
        """
        while not self._stopped.is_set():
            self.clock.renew()
            self.advance(on_truth)
            speed_ratio = self.clock.speed_ratio
            nap_s = self.plant.step_s / speed_ratio if speed_ratio > 0.0 else STEP_NAP_S_MAX
            await asyncio.sleep(min(STEP_NAP_S_MAX, max(STEP_NAP_S_MIN, nap_s)))

    def advance(self, on_truth: Callable[[Truth], None]) -> None:
        """Moves the plant to the present instant."""
        while True:
            with self.lock:
                now_s, plant_s = self.clock.now_s(), self.plant.instant_s
                target_s = min(now_s, plant_s + MONEY_STEP_S)
                if plant_s < self.end_s:
                    target_s = min(target_s, self.end_s)
                self.plant.advance_to(target_s)
                moved = self.plant.instant_s > plant_s
                if moved:
                    on_truth(self.plant.truth())
            if not moved or self.plant.instant_s + self.plant.step_s > now_s:
                return

    def stop(self) -> None:
        """Ends `run`."""
        self._stopped.set()

    def _quantity(self, device: str, name: str) -> float:
        with self.lock:
            return self.plant.quantity(device, name)

    def _command(self, device: str, name: str, value: float) -> None:
        with self.lock:
            self.plant.command(device, name, value)

    @property
    def tank_capacity_kwh(self) -> float:
        """Heat in the tank between the temperatures that count as empty and as full."""
        tank = self.plant.tank
        span_k = TANK_FULL_DEGC - TANK_EMPTY_DEGC
        return len(tank.layers_degc) * tank.layer_kg * HEAT_CAPACITY_KJ_PER_KG_K * span_k / KJ_PER_KWH

    @property
    def frame_period_s(self) -> float:
        """How often the agent commits a frame by the configuration that was written [s]."""
        return min(self._period_s.values())

    # ----------------------------------------------------------------------------------------------- configuration
    def period_s(self, device: str) -> float:
        """How often a device is polled by the configuration that was written [s]."""
        return self._period_s[device]

    def write_configuration(self, *, broker: tuple[str, int], folder: Path | None = None) -> Path:
        """Writes the example configuration of the plant, made to fit this site; returns the folder.

        Args:
            broker: host and port of the MQTT broker.
            folder: where to; by default `config` in the run folder.
        """
        assert self.tcp is not None, "open the wires first: their ports go into the configuration"
        target = folder or self.config
        target.mkdir(parents=True, exist_ok=True)
        self.state_dir.mkdir(parents=True, exist_ok=True)
        example = example_folder(self.scenario.plant)
        for path in sorted(example.rglob("*")):
            if path.is_file():
                copy = target / path.relative_to(example)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(path.read_bytes())
        _patch(target / "site.yaml", self._fit_site)
        _patch(target / "devices.yaml", self._fit_devices)
        _patch(target / "tariff.yaml", self._fit_tariff)
        _patch(target / "uplink.yaml", partial(self._fit_uplinks, broker=broker))
        return target

    def _fit_site(self, data: dict[str, dict[str, object]]) -> None:
        data["site"]["simulated"] = True
        data["site"]["simulated_clock"] = str(self.clock.path)
        data["commissioning"]["start_mode"] = self.scenario.start_mode or "auto"
        data.setdefault("storage_media", {})["state_dir"] = str(self.state_dir)

    def _fit_devices(self, data: dict[str, dict[str, dict[str, object]]]) -> None:
        assert self.tcp is not None
        for bus, line in self.lines.items():
            data["buses"][bus]["serial"] = line.path
            data["buses"][bus]["baud"] = self.baud
        data["buses"][TCP_BUS]["tcp"] = f"{HOST}:{self.tcp.port}"
        for device in data["devices"].values():
            device["period_s"] = max(float(str(device["period_s"])), self.scenario.period_s)
        self._period_s = {name: float(str(device["period_s"])) for name, device in data["devices"].items()}

    def _fit_tariff(self, data: dict[str, list[object]]) -> None:
        """Demand responses of the scenario, and the day whose bands the agent has wrong."""
        for event in self.scenario.events(self.zone):
            if event.what == "tariff_event":
                begin, end = (
                    datetime.fromtimestamp(instant_s, self.zone).strftime("%Y-%m-%dT%H:%M")
                    for instant_s in (event.at_s, event.at_s + event.lasts_s)
                )
                data["events"] = [
                    *(data.get("events") or []),
                    {
                        "from": begin,
                        "to": end,
                        "grid_kw_max": float(str(event.args["grid_kw_max"])),
                        "pays_cny_per_kwh": float(str(event.args.get("pays_cny_per_kwh", 3.0))),
                        "reason": "需求响应 / demand response",
                    },
                ]
            elif event.what == "wrong_tariff_day":
                day = datetime.fromtimestamp(event.at_s, self.zone).strftime("%m-%d")
                wrong = {"dates": [f"{day}..{day}"], "valley": ["07:00-23:00"], "peak": ["23:00-07:00"]}
                for calendar in data["calendars"]:
                    assert isinstance(calendar, dict)
                    calendar["days"].insert(0, wrong)

    def _fit_uplinks(self, data: dict[str, dict[str, dict[str, object]]], *, broker: tuple[str, int]) -> None:
        host, port = broker
        for uplink in data["uplinks"].values():
            if uplink["transport"] == "mqtt_json":
                uplink["broker"] = f"mqtt://{host}:{port}"
                self.uplink_period_min = int(str(uplink["period_min"]))
        self.reported = tuple(
            Reported(str(entry["point"]), str(entry["code"]), str(entry.get("aggregate", "mean")))
            for entry in data["points"]
            if isinstance(entry, Mapping)
        )


def example_folder(plant: str) -> Path:
    """Where the example configuration of a plant lies: in the wheel, or in the checkout.

    Raises:
        SiteFault: it is in neither.
    """
    package = Path(__file__).resolve().parent
    for root in (package.parent / "edge_agent" / "_config", package.parent / "config"):
        folder = root / "plants" / plant
        if folder.is_dir():
            return folder
    raise SiteFault(f"config/plants/{plant}: 没有示例配置 / no example configuration")


def _demand_response(scenario: Scenario, zone: ZoneInfo) -> tuple[tuple[float, float, float], ...]:
    """What the plant's own judge knows of agreed limits: begin, end, power."""
    return tuple(
        (event.at_s, event.at_s + event.lasts_s, float(str(event.args["grid_kw_max"])))
        for event in scenario.events(zone)
        if event.what == "tariff_event"
    )


def _patch(path: Path, fit: Callable[..., None]) -> None:
    """Changes a YAML file in place; comments stay, and a fresh reader for each file keeps a %YAML line to its own."""
    yaml = YAML(typ="rt")
    yaml.width = 4096
    yaml.preserve_quotes = True
    data = yaml.load(path.read_text(encoding="utf-8"))
    fit(data)
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(data, file)


# ------------------------------------------------------------------------------------------------------ city platform
PLATFORM_READY_S_MAX: Final = 15.0
"""Wall time for the platform to reach its broker."""


class BrokerUnreachable(Exception):
    """The MQTT broker does not answer; the message names it."""


@dataclass(frozen=True, slots=True)
class Platform:
    """The city platform, running, and its broker's host and port."""

    receiver: MqttReceiver
    address: tuple[str, int]


@asynccontextmanager
async def open_platform(*, broker: tuple[str, int] | None) -> AsyncIterator[Platform]:
    """Runs the city platform behind a broker for as long as the context lasts.

    Its books are kept in memory: a disk that stalls would hold up this process while simulated time runs on.

    Args:
        broker: host and port of a foreign broker; None: an embedded one on a free port.

    Raises:
        BrokerUnreachable: the platform could not subscribe in PLATFORM_READY_S_MAX.
    """
    embedded = EmbeddedBroker() if broker is None else None
    if embedded is not None:
        await embedded.start()
    host, port = broker or (HOST, embedded.port if embedded is not None else 0)
    receiver = MqttReceiver(host=host, port=port)
    task = asyncio.get_running_loop().create_task(receiver.run(), name="platform")
    try:
        try:
            await asyncio.wait_for(receiver.ready.wait(), PLATFORM_READY_S_MAX)
        except TimeoutError as error:
            raise BrokerUnreachable(f"{host}:{port}: 没有 MQTT broker 应答 / no MQTT broker answers") from error
        yield Platform(receiver, (host, port))
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        receiver.close()
        if embedded is not None:
            await embedded.stop()


# ----------------------------------------------------------------------------------------------------------- governor
SPEED_UP: Final = 1.25
SLOW_DOWN: Final = 0.7
LATE_RATIO: Final = 3.0
"""A bus is late when the half of its devices has not been asked for this many periods."""
IN_TIME_RATIO: Final = 2.0
SLOWEST_RATIO: Final = 1.0
GRACE_S: Final = 60.0
"""Wall time after which an agent that does not ask every bus counts as up all the same: a bus may be broken. On a busy
machine an agent took more than 20 s to start, and an hour of its plant had gone by meanwhile."""


@dataclass(slots=True)
class Governor:
    """Decides how fast simulated time runs: as fast as wanted while the agent keeps up.

    While the agent is down or starting, time runs at 1x: a restart takes wall time, and the plant must not age by hours
    in it. When the agent asks its devices or commits its frames too seldom, time slows down, and says so.

    Attributes:
        wanted_ratio: the speed asked for.
        slowdowns: how often time was slowed because the agent fell behind.
        slowest_ratio: the lowest speed that this led to.
    """

    wanted_ratio: float
    slowdowns: int = 0
    slowest_ratio: float = float("inf")
    _up: bool = False
    _late: bool = False

    @property
    def late(self) -> bool:
        """True while time is slowed because the agent has fallen behind."""
        return self._late

    @property
    def agent_up(self) -> bool:
        """True when the agent has asked its devices since it was started."""
        return self._up

    def next_speed(
        self,
        speed_ratio: float,
        *,
        lateness_ratio: float,
        agent_up_s: float,
        agent_since_s: float,
        asked_since_s: float,
    ) -> float:
        """The speed from now on.

        Args:
            speed_ratio: the present one.
            lateness_ratio: age of the last requests over their period, of the worst bus; or of the last frame.
            agent_up_s: for how long the agent's process has been there [wall s]; 0: not there.
            agent_since_s: simulated instant at which it was started.
            asked_since_s: simulated instant by which every bus had been asked last.
        """
        if agent_up_s <= 0.0:
            self._up = False
            return min(SLOWEST_RATIO, self.wanted_ratio)
        if not self._up:
            self._up = asked_since_s > agent_since_s or agent_up_s > GRACE_S
            if not self._up:
                return min(SLOWEST_RATIO, self.wanted_ratio)
        if lateness_ratio > LATE_RATIO and speed_ratio > SLOWEST_RATIO:
            if not self._late:
                self.slowdowns += 1
            self._late = True
            slower = max(SLOWEST_RATIO, speed_ratio * min(SLOW_DOWN, LATE_RATIO / lateness_ratio))
            self.slowest_ratio = min(self.slowest_ratio, slower)
            return min(slower, self.wanted_ratio)
        if lateness_ratio < IN_TIME_RATIO:
            faster = min(self.wanted_ratio, max(speed_ratio, SLOWEST_RATIO) * SPEED_UP)
            self._late = self._late and faster < self.wanted_ratio
            return faster
        return speed_ratio


def lateness_ratio(log: WireLog, *, now_s: float, period_s: Mapping[str, float], silent: Collection[str] = ()) -> float:
    """Age of the last request over the poll period: the middle device of each bus, and of these the worst.

    The middle one, because a device that is dead on purpose is asked seldom by a careful agent; those that are known to
    be silent are left out.
    """
    return max(
        (
            statistics.median(
                (now_s - log.last_request_s[device]) / period_s[device] if device in log.last_request_s else 0.0
                for device in members
            )
            for members in _buses(silent)
        ),
        default=0.0,
    )


def asked_since_s(log: WireLog, *, silent: Collection[str] = ()) -> float:
    """Simulated instant of the last request to the middle device of the bus that was asked least recently."""
    return min(
        (
            statistics.median(log.last_request_s.get(device, float("-inf")) for device in members)
            for members in _buses(silent)
        ),
        default=float("-inf"),
    )


def _buses(silent: Collection[str]) -> Iterable[list[str]]:
    for bus in (*SERIAL_BUSES, TCP_BUS):
        members = [wired.name for wired in DEVICES if wired.bus == bus and wired.name not in silent]
        if members:
            yield members
