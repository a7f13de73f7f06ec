"""A small, quick site for `make crash`: meters on a TCP port, a real mosquitto, a platform, the agent as a process.

Time runs SPEED times as fast as the wall clock, a record is due every simulated minute. The simulated side knows what
it served and what the platform holds; nothing here looks into the agent.
"""

import asyncio
import math
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from crash_nursery import fork_agent
from ruamel.yaml import YAML

from edge_agent.clock import elapsed_s
from edge_agent.local_api import SOCKET_NAME
from hil_sim import supervisor
from hil_sim.devices.catalogue import asked_of_the_plant
from hil_sim.devices.server import DeviceServer
from hil_sim.devices.tcp import TcpServer
from hil_sim.plant.bench import MeterBench
from hil_sim.platform.mqtt_receiver import MqttReceiver
from hil_sim.sim_clock import SimClock
from hil_sim.site import example_folder
from hil_sim.supervisor import AgentProcess, Supervisor
from hil_sim.wire_log import WireLog

HOST = "127.0.0.1"
PLANT = "crash"
UPLINK = "owner"
SPEED = 120.0
POLL_S = 10.0
PERIOD_MIN = 1
RESEND_S = 1.0
START_UTC = datetime(2027, 1, 13, 23, 40, tzinfo=UTC)
"""A life goes over midnight UTC: two day files."""
DEVICES = {"em1": (1, "eastron_sdm630"), "em2": (2, "acrel_adl3000"), "hm1": (3, "tuf2000m"), "ws1": (4, "xy_md0x")}
POINTS = (
    ("em1.electric_power", "01", "mean"),
    ("em1.energy_total", "02", "last"),
    ("em2.electric_power", "03", "mean"),
    ("hm1.heat_power", "04", "mean"),
    ("hm1.flow", "05", "max"),
    ("hm1.supply_temperature", "06", "min"),
    ("hm1.heat_total", "07", "last"),
    ("ws1.temperature", "08", "mean"),
)
CLOCK_SET_S = 1.0
"""Simulated time within which a clock that is set may show either [s]."""
LOOK_S = 0.02
PATIENCE_S = 120.0
"""What takes longer will not come, also on a busy machine."""
STARTING_SPEED = 20.0
"""Speed while the agent starts: at full speed a busy machine would owe hours of periods after a start."""
STEPPED_SPEED = 60.0
"""Speed while the agent makes sure that a clock which was set stands: minutes of the site."""


class Stuck(Exception):
    """Something that had to come did not come in time."""


async def until(
    condition: Callable[[], bool], what: str, *, within_s: float = PATIENCE_S, look_s: float = LOOK_S
) -> None:
    """Waits for a condition that other processes bring about.

    Raises:
        Stuck: it never came.
    """
    try:
        async with asyncio.timeout(within_s):
            while not condition():  # noqa: ASYNC110 - another process sets no event here
                await asyncio.sleep(look_s)
    except TimeoutError:
        raise Stuck(f"never came within {within_s:.0f} s: {what}") from None


class Broker:
    """A mosquitto with its default persistence: it keeps its store, and writes it at an orderly end only."""

    def __init__(self, program: str, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            self.port = probe.getsockname()[1]
        self._program = program
        self._configuration = folder / "mosquitto.conf"
        store = folder / "mosquitto"
        store.mkdir()
        store.chmod(0o777)  # it gives up root
        self._configuration.write_text(
            f"listener {self.port} {HOST}\nallow_anonymous true\npersistence true\npersistence_location {store}/\n"
            "log_type error\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Listens when it returns."""
        self._process = subprocess.Popen(  # noqa: ASYNC220 - returns at once
            [self._program, "-c", self._configuration], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        await until(self._listens, "mosquitto")

    def kill(self) -> None:
        """As a crash does."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((HOST, self.port)) == 0


class CrashSite:
    """Everything around one agent.

    Attributes:
        clock: simulated time.
        agent: the agent's process.
        platform: the one that runs now.
        log: what was served on the wire.
        clock_shown_s: the latest instant that a wrong clock has shown [s since 1970 UTC]; before the start: none was.
        told: faults of values found by an earlier judgement of this life, in words.
    """

    def __init__(self, folder: Path, *, seed: int, mosquitto: str, bug: str = "none") -> None:
        """Prepares; `life` runs it.

        Args:
            folder: of the run, there already.
            seed: of the readings.
            mosquitto: the broker's program.
            bug: planted in the agent (crash_planted).
        """
        supervisor.BACKOFF_S = 0.02  # type: ignore[misc] # a kill is a trial here: no rest between two
        self.folder = folder
        self.config = folder / "config"
        self.state_dir = folder / "state"
        self.start_s = START_UTC.timestamp()
        self.clock = SimClock(folder / "clock", start_s=self.start_s, wall_s=elapsed_s)
        self.log = WireLog()
        self.meters = MeterBench(
            seed=seed,
            start_s=self.start_s,
            devices={name: asked_of_the_plant(model) for name, (_, model) in DEVICES.items()},
        )
        self.net = TcpServer(
            [
                DeviceServer(
                    name,
                    unit,
                    model,
                    truth=partial(self._truth, name),
                    command=partial(self.meters.command, name),
                    seed=seed,
                    now_s=self.clock.now_s,
                    log=self.log,
                )
                for name, (unit, model) in DEVICES.items()
            ],
            log=self.log,
            now_s=self.clock.now_s,
        )
        self.broker = Broker(mosquitto, folder)
        self.platform: MqttReceiver
        self._listening: asyncio.Task[None] | None = None
        self.clock_shown_s = -math.inf
        self._clock_set: list[tuple[float, float]] = [(-math.inf, 0.0)]
        self.told: set[str] = set()
        self._bug = bug
        self.agent = Supervisor(
            config=self.config, log_path=folder / "agent.log", wall_s=elapsed_s, start=self._start_agent
        )

    async def _start_agent(self, log: BinaryIO, promise_fd: int) -> AgentProcess:
        """The first start of a life is that of the service manager, from the disk; the others are forked."""
        words = ("run", "--config", str(self.config))
        if self.agent.starts > 0 or self._bug != "none":
            return await fork_agent(words, log=log, promise_fd=promise_fd, bug=self._bug)
        return await self.agent.start_command(log, promise_fd)

    def set_clock(self, wrong_s: float) -> None:
        """Sets the site's clock this far off the plant's time [s], and notes it; 0 sets it right."""
        before_s = self._clock_set[-1][1]
        if before_s:
            self.clock_shown_s = max(self.clock_shown_s, self.clock.now_s() + before_s)
        self.clock.set_wrong(wrong_s)
        self._clock_set.append((self.clock.now_s(), wrong_s))

    def true_instants(self, stamp_s: float) -> list[float]:
        """The plant's instants [s] at which the site's clock showed a stamp; none: it never did."""
        ends_s = [*(from_s for from_s, _ in self._clock_set[1:]), math.inf]
        return [
            stamp_s - wrong_s
            for (from_s, wrong_s), end_s in zip(self._clock_set, ends_s, strict=True)
            if from_s - CLOCK_SET_S <= stamp_s - wrong_s <= end_s + CLOCK_SET_S
        ]

    def _truth(self, device: str, name: str) -> float:
        return self.meters.quantity(device, name, instant_s=self.clock.now_s())

    @asynccontextmanager
    async def life(self, disk: AbstractContextManager[Any] | None = None) -> AsyncIterator[None]:
        """Runs the site: broker, platform, wires, and the agent until its first frame.

        Args:
            disk: what the state folder lies on; None: the machine's own disk.
        """
        with disk or nullcontext():
            self.net.start(HOST, 0)
            await self.broker.start()
            self._write_configuration()
            try:
                async with asyncio.TaskGroup() as group:
                    self.start_platform(group)
                    keeping = group.create_task(self.agent.run(), name="agent")
                    await until((self.state_dir / SOCKET_NAME).exists, "the agent's socket")
                    self.clock.set_speed(SPEED)
                    await self.promises(1)
                    yield
                    await self.agent.stop()
                    await keeping
                    await self.stop_platform()
            finally:
                self.broker.kill()
                self.net.stop()
                self.clock.hold()
                self.clock.close()

    async def promises(self, count: int) -> None:
        """Waits until the agent has promised so many frames more.

        Raises:
            Stuck: it does not.
        """
        wanted = len(self.agent.promised) + count
        await until(lambda: len(self.agent.promised) >= wanted, f"{count} more frames promised")

    def kill_agent(self) -> None:
        """Kill -9; time goes slower until it is back."""
        self.agent.kill()
        self.clock.set_speed(STARTING_SPEED)

    async def recovers(self) -> None:
        """Waits until the agent promises frames again.

        Raises:
            Stuck: it does not.
        """
        await self.promises(1)
        self.clock.set_speed(SPEED)
        await self.promises(2)

    def start_platform(self, group: asyncio.TaskGroup) -> None:
        """The platform comes up with what it had on its disk."""
        self.platform = MqttReceiver(host=HOST, port=self.broker.port, path=self.folder / "platform.db")
        self._listening = group.create_task(self.platform.run(), name="platform")

    async def stop_platform(self) -> None:
        """The platform goes down in the middle of whatever it does."""
        task, self._listening = self._listening, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            self.platform.close()

    def _write_configuration(self) -> None:
        self.config.mkdir()
        self.state_dir.mkdir(exist_ok=True)
        documents: dict[str, object] = {
            "site": {
                "site": {
                    "id": PLANT,
                    "name": "崩溃试验 crash trials",
                    "timezone": "Asia/Shanghai",
                    "plant_type": "ground_source",
                    "heated_area_m2": 1000,
                    "simulated": True,
                    "simulated_clock": str(self.clock.path),
                },
                "commissioning": {"start_mode": "monitor"},
                "loops": {},
                "units": {},
                "meters": {"electricity": "em1", "weather": "ws1.temperature"},
                "storage_media": {"state_dir": str(self.state_dir), "quota_mb": 64},
            },
            "devices": {
                "buses": {"net": {"tcp": f"{HOST}:{self.net.port}"}},
                "devices": {
                    name: {"bus": "net", "unit": unit, "profile": model, "period_s": POLL_S}
                    for name, (unit, model) in DEVICES.items()
                },
            },
            "uplink": {
                "uplinks": {
                    UPLINK: {
                        "transport": "mqtt_json",
                        "broker": f"mqtt://{HOST}:{self.broker.port}",
                        "plant": PLANT,
                        "period_min": PERIOD_MIN,
                        "resend_s": RESEND_S,
                        "backfill_per_s": 1000.0,
                    }
                },
                "points": [{"point": point, "code": code, "aggregate": aggregate} for point, code, aggregate in POINTS],
            },
        }
        for name, content in documents.items():
            with (self.config / f"{name}.yaml").open("w", encoding="utf-8") as file:
                YAML(typ="safe", pure=True).dump(content, file)
        shutil.copyfile(example_folder("ground-office") / "tariff.yaml", self.config / "tariff.yaml")
