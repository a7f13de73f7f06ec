"""The agent as a process of its own against two city platforms of different dialects, beside its MQTT uplink.

One of the platforms drops what it answers: the ledger names every period that nobody has proven, and after the
platform's own query nothing is missing.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from click.testing import Result

from edge_agent.clock import elapsed_s
from hil_sim.platform.mohurd_server import Collector, MohurdServer
from hil_sim.platform.mohurd_wire import PlatformKeys
from hil_sim.platform.mqtt_receiver import MqttReceiver
from hil_sim.scenario import load
from hil_sim.site import Site, open_platform

pytestmark = [pytest.mark.system, pytest.mark.slow]

WAIT_S = 90.0
SPEED_RATIO = 240.0
PERIOD = timedelta(minutes=5)
ZONE = ZoneInfo("Asia/Shanghai")
PROJECT, GATEWAY = "110108900", "1101089000101"
KEY = "0000000000123456"
UPLINKS = """\
  {name}:
    transport: mohurd_tcp
    profile: {dialect}
    options: {{heartbeat: {{proof_s: 0.3}}}}
    servers: ["127.0.0.1:{port}"]
    project_id: "{project}"
    gateway_id: "{gateway}"
    keys: {name}-keys
    period_min: 5
"""


async def until(condition: Callable[[], bool], what: str) -> None:
    """Waits for a condition; a limit on the wall clock only ends a test that would hang."""
    try:
        async with asyncio.timeout(WAIT_S):
            while not condition():  # noqa: ASYNC110 - what is waited for happens in another process
                await asyncio.sleep(0.05)
    except TimeoutError:
        pytest.fail(f"never came: {what}")


def held(collector: Collector) -> dict[datetime, dict[str, float | None]]:
    """What a platform holds, by start of the period and code."""
    found: dict[datetime, dict[str, float | None]] = {}
    for (time, code), value in list(collector.values.items()):
        end = datetime.strptime(time, "%Y%m%d%H%M%S").replace(tzinfo=ZONE).astimezone(UTC)
        found.setdefault(end - PERIOD, {})[code] = value
    return found


def as_over_mqtt(receiver: MqttReceiver, codes: set[str], start: datetime) -> dict[str, float | None]:
    """The same period as the MQTT platform holds it."""
    return {code: receiver.readings(code)[start][0] for code in codes}


async def test_two_dialects_end_to_end_and_a_platform_that_drops_what_it_answered(
    tmp_path: Path, typed: Callable[..., Result]
) -> None:
    site = Site(load("winter-day"), folder=tmp_path, wall_s=elapsed_s)
    site.open()
    servers = {"bureau": MohurdServer("g2009"), "province": MohurdServer("zhejiang")}
    process = None
    try:
        async with open_platform(broker=None) as platform, asyncio.TaskGroup() as group:
            config = site.write_configuration(broker=platform.address)
            blocks = ""
            for name, server in servers.items():
                server.know(project=PROJECT, gateway=GATEWAY, keys=PlatformKeys(KEY))
                await server.start()
                (config / f"{name}-keys").write_text(f"md5_key: {KEY}\naes_key: {KEY}\n", encoding="utf-8")
                dialect = {"bureau": "g2009", "province": "zhejiang"}[name]
                blocks += UPLINKS.format(name=name, dialect=dialect, port=server.port, project=PROJECT, gateway=GATEWAY)
            file = config / "uplink.yaml"
            text = file.read_text(encoding="utf-8")
            text = text.replace("period_min: 15 ", "period_min: 5 ").replace("uplinks:\n", "uplinks:\n" + blocks, 1)
            file.write_text(text, encoding="utf-8")
            plant = group.create_task(site.run(lambda _truth: None))
            site.clock.set_speed(SPEED_RATIO)
            bureau, province = (server.collectors[GATEWAY] for server in servers.values())
            servers["bureau"].conduct.misbehave("acks", "lost", times=2)
            log = (tmp_path / "agent.log").open("wb")
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "edge_agent", "run", "--config", str(config)),
                stderr=log,
                env=os.environ | {"PYTHONSAFEPATH": "1", "LANG": "C"},
            )
            log.close()
            await until(lambda: bureau.arrivals["lost"] == 2 and len(held(bureau)) >= 1, "periods, two of them dropped")
            await until(lambda: len(held(province)) >= 3, "three periods at the other platform")
            dropped = sorted(held(province))[:2]
            assert not set(dropped) & set(held(bureau))

            async def verdict() -> tuple[int, dict[str, object]]:
                words = ("upload", "verify", "--json", "--config", str(config))
                done = await asyncio.to_thread(typed, *words)
                answer = json.loads(done.stdout)
                (account,) = (found for name, found in answer["uplinks"].items() if name.startswith("bureau@"))
                return done.exit_code, account

            async with asyncio.timeout(WAIT_S):
                while True:
                    status, account = await verdict()
                    named = {datetime.fromisoformat(entry["start"]) for entry in account["unproven"]}  # type: ignore[attr-defined, index]
                    if set(dropped) <= named:
                        break
                    await asyncio.sleep(0.3)
            assert status == 1  # not complete, and every period that nobody has proven is named

            await servers["bureau"].ask(GATEWAY)
            await until(lambda: set(dropped) <= set(held(bureau)), "what the platform had dropped")
            async with asyncio.timeout(WAIT_S):
                while True:
                    _, account = await verdict()
                    named = {datetime.fromisoformat(entry["start"]) for entry in account["unproven"]}  # type: ignore[attr-defined, index]
                    if not set(dropped) & named:
                        break
                    await asyncio.sleep(0.3)

            common = set(held(bureau)) & set(held(province)) & platform.receiver.held_periods()
            assert common >= set(dropped)
            for start in common:
                told = held(bureau)[start]
                assert len(told) >= 25  # those with an index of the guideline
                assert all(code[-2:] <= "22" for code in told)
                assert told == held(province)[start] == as_over_mqtt(platform.receiver, set(told), start)
            assert not servers["bureau"].wrong
            assert not servers["province"].wrong
            assert bureau.contradictions == province.contradictions == 0
            site.clock.set_speed(1.0)
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(WAIT_S):
                assert await process.wait() == 0
            assert KEY not in (tmp_path / "agent.log").read_text(encoding="utf-8")
            plant.cancel()
    finally:
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()
        for server in servers.values():
            await server.stop()
        site.close()
