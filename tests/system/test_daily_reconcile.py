"""Over midnight with a platform that answers nothing and drops what it was told: the next day's round heals it.

The agent is a process of its own, on a clock that runs fast; its ledger names every period that nobody has proven, and
the daily round sends each once more in a way that is answered. Nobody asks for anything.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from click.testing import Result
from ruamel.yaml import YAML

from edge_agent.clock import elapsed_s
from edge_agent.uplink.daily import AFTER_MIDNIGHT
from hil_sim.devices.catalogue import asked_of_the_plant
from hil_sim.devices.server import DeviceServer
from hil_sim.devices.tcp import TcpServer
from hil_sim.plant.bench import MeterBench
from hil_sim.platform.mohurd_server import Collector, MohurdServer
from hil_sim.platform.mohurd_wire import PlatformKeys
from hil_sim.sim_clock import SimClock
from hil_sim.site import example_folder
from hil_sim.wire_log import WireLog

pytestmark = [pytest.mark.system, pytest.mark.slow]

WAIT_S = 60.0
ZONE = ZoneInfo("Asia/Shanghai")
MIDNIGHT = datetime(2027, 1, 14, tzinfo=ZONE).astimezone(UTC)
START = MIDNIGHT - timedelta(minutes=20)
PERIOD = timedelta(minutes=5)
SPEED_RATIO = 300.0
LOOKING_SPEED_RATIO = 20.0
"""While the ledger is looked at: heartbeats, which prove what was read, go by the site's clock."""
POLL_S = 30.0
PROJECT, GATEWAY = "110108900", "1101089000101"
KEY = "0000000000123456"
DROPPED = 2
DEVICES = {"hm1": (1, "tuf2000m"), "em1": (2, "eastron_sdm630")}
POINTS = {"hm1.supply_temperature": "1101089002010111", "hm1.flow": "1101089002010120"}


async def until(condition: Callable[[], bool], what: str) -> None:
    """Waits for a condition; a limit on the wall clock only ends a test that would hang."""
    try:
        async with asyncio.timeout(WAIT_S):
            while not condition():  # noqa: ASYNC110 - what is waited for happens in another process
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"never came: {what}")


def held(collector: Collector) -> set[datetime]:
    """Starts of the periods that the platform holds; it names their ends."""
    ends = {datetime.strptime(time, "%Y%m%d%H%M%S").replace(tzinfo=ZONE) for time in collector.times()}
    return {end.astimezone(UTC) - PERIOD for end in ends}


@dataclass
class Plant:
    """Two meters, the platform, the clock, and the folder of the agent's configuration."""

    clock: SimClock
    server: MohurdServer
    collector: Collector
    config: Path
    typed: Callable[..., Result]

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.clock.now_s(), UTC)

    async def verdict(self) -> tuple[int, set[datetime], list[object]]:
        """What `upload verify` says of the day: exit status, unproven periods, missing ones."""
        span = ("--from", START.isoformat(), "--to", MIDNIGHT.isoformat())
        words = ("upload", "verify", *span, "--json", "--config", str(self.config))
        done = await asyncio.to_thread(self.typed, *words)
        (account,) = json.loads(done.stdout)["uplinks"].values()
        unproven = {datetime.fromisoformat(entry["start"]) for entry in account["unproven"]}
        return done.exit_code, unproven, account["missing"]

    async def verdict_is(self, status: int, unproven: set[datetime]) -> None:
        """Asks until the command line says so, with nothing missing."""
        said = None
        try:
            async with asyncio.timeout(WAIT_S):
                while (said := await self.verdict()) != (status, unproven, []):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.2)
        except TimeoutError:
            pytest.fail(f"upload verify says {said}, not {status} {unproven}")


@asynccontextmanager
async def plant(folder: Path, typed: Callable[..., Result]) -> AsyncIterator[Plant]:
    clock = SimClock(folder / "clock", start_s=START.timestamp(), wall_s=elapsed_s)
    log = WireLog()
    wanted = {name: asked_of_the_plant(model) for name, (_, model) in DEVICES.items()}
    meters = MeterBench(seed=1, start_s=START.timestamp(), devices=wanted)
    net = TcpServer(
        [
            DeviceServer(
                name,
                unit,
                model,
                truth=lambda quantity, name=name: meters.quantity(name, quantity, instant_s=clock.now_s()),  # type: ignore[misc]
                command=partial(meters.command, name),
                seed=1,
                now_s=clock.now_s,
                log=log,
            )
            for name, (unit, model) in DEVICES.items()
        ],
        log=log,
        now_s=clock.now_s,
    )
    net.start("127.0.0.1", 0)
    server = MohurdServer("g2009")
    collector = server.know(project=PROJECT, gateway=GATEWAY, keys=PlatformKeys(KEY))
    await server.start()
    try:
        config = written(folder, clock=clock.path, bus_port=net.port, platform_port=server.port)
        yield Plant(clock, server, collector, config, typed)
    finally:
        await server.stop()
        net.stop()
        clock.hold()
        clock.close()


def written(folder: Path, *, clock: Path, bus_port: int, platform_port: int) -> Path:
    config = folder / "config"
    config.mkdir()
    documents: dict[str, object] = {
        "site": {
            "site": {
                "id": "reconciled",
                "name": "次日对账 reconciled the next day",
                "timezone": ZONE.key,
                "plant_type": "ground_source",
                "heated_area_m2": 1000,
                "simulated": True,
                "simulated_clock": str(clock),
            },
            "commissioning": {"start_mode": "monitor"},
            "loops": {},
            "units": {},
            "meters": {"electricity": "em1", "weather": "hm1.supply_temperature"},
            "storage_media": {"state_dir": str(folder / "state")},
        },
        "devices": {
            "buses": {"net": {"tcp": f"127.0.0.1:{bus_port}"}},
            "devices": {
                name: {"bus": "net", "unit": unit, "profile": model, "period_s": POLL_S}
                for name, (unit, model) in DEVICES.items()
            },
        },
        "uplink": {
            "uplinks": {
                "bureau": {
                    "transport": "mohurd_tcp",
                    "profile": "g2009",
                    "options": {"heartbeat": {"proof_s": 0.2}},
                    "servers": [f"127.0.0.1:{platform_port}"],
                    "project_id": PROJECT,
                    "gateway_id": GATEWAY,
                    "keys": "bureau-keys",
                    "period_min": 5,
                    "reconcile": "daily",
                }
            },
            "points": [{"point": point, "code": code, "aggregate": "mean"} for point, code in POINTS.items()],
        },
    }
    for name, content in documents.items():
        with (config / f"{name}.yaml").open("w", encoding="utf-8") as file:
            YAML(typ="safe", pure=True).dump(content, file)
    tariff = (example_folder("ground-office") / "tariff.yaml").read_text(encoding="utf-8")
    (config / "tariff.yaml").write_text(tariff, encoding="utf-8")
    (config / "bureau-keys").write_text(f"md5_key: {KEY}\naes_key: {KEY}\n", encoding="utf-8")
    return config


async def test_what_a_silent_platform_has_dropped_is_sent_again_after_midnight(
    tmp_path: Path, typed: Callable[..., Result]
) -> None:
    async with plant(tmp_path, typed) as part:
        part.server.conduct.misbehave("acks", "lost", times=DROPPED)
        with (tmp_path / "agent.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "edge_agent", "run", "--config", str(part.config)),
                stderr=log,
                env=os.environ | {"PYTHONSAFEPATH": "1", "LANG": "C"},
            )
        try:
            await until(lambda: part.server.heard["request"] > 0 or process.returncode is not None, "the agent's login")
            assert process.returncode is None, (tmp_path / "agent.log").read_text(encoding="utf-8")
            part.clock.set_speed(SPEED_RATIO)
            last = MIDNIGHT - PERIOD
            await until(lambda: last in held(part.collector), "the last period of the day")
            part.clock.set_speed(LOOKING_SPEED_RATIO)
            due = {MIDNIGHT - count * PERIOD for count in range(1, 5)}
            assert len(due - held(part.collector)) == part.collector.arrivals["lost"] == DROPPED
            await part.verdict_is(1, due)
            assert part.now() < MIDNIGHT + AFTER_MIDNIGHT
            assert len(due - held(part.collector)) == DROPPED

            part.clock.set_speed(SPEED_RATIO)
            await until(lambda: due <= held(part.collector), "what the platform had dropped")
            assert part.now() >= MIDNIGHT + AFTER_MIDNIGHT  # the round did it, not a repeat on the day itself
            part.clock.set_speed(LOOKING_SPEED_RATIO)
            await part.verdict_is(0, set())
            assert part.server.heard["continuous"] >= len(due)
            assert (part.collector.contradictions, part.server.wrong) == (0, {})
            assert part.server.heard["query"] == 0
        finally:
            part.clock.set_speed(1.0)
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(WAIT_S):
                assert await process.wait() == 0
