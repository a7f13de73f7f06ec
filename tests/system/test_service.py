"""The service as its manager and its operator meet it: a process of its own against simulated devices on real wires."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from click.testing import Result

from edge_agent.clock import elapsed_s
from hil_sim.scenario import load
from hil_sim.site import Site, open_platform

pytestmark = [pytest.mark.system, pytest.mark.slow]

WAIT_S = 60.0
SPEED_RATIO = 240.0
POLLS = 40
"""A unit is polled every 30 simulated seconds: twenty minutes, one period and one plan and more."""


async def until(condition: Callable[[], bool], what: str) -> None:
    """Waits for a condition; a limit on the wall clock only ends a test that would hang."""
    try:
        async with asyncio.timeout(WAIT_S):
            while not condition():  # noqa: ASYNC110 - what is waited for happens in another process
                await asyncio.sleep(0.05)
    except TimeoutError:
        pytest.fail(f"never came: {what}")


class Bench:
    """A simulated site and the agent's process beside it."""

    def __init__(self, site: Site, config: Path, folder: Path, *, typed: Callable[..., Result]) -> None:
        self.site = site
        self.config = config
        self.typed = typed
        self.log_file = folder / "agent.log"
        self.environment = os.environ | {"PYTHONSAFEPATH": "1", "LANG": "C"}
        self.processes: list[asyncio.subprocess.Process] = []

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.config / file
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{file} does not say {old!r}"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8") if self.log_file.exists() else ""

    async def start(self, **environment: str) -> asyncio.subprocess.Process:
        with self.log_file.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "edge_agent", "run", "--config", str(self.config)),
                stderr=log,
                env=self.environment | environment,
            )
        self.processes.append(process)
        return process

    async def ask(self, *words: str) -> tuple[int, str, str]:
        """What a verb answers; it runs in this process and asks the service in the other."""
        done = await asyncio.to_thread(self.typed, *words, "--config", str(self.config))
        return done.exit_code, done.stdout, done.stderr

    async def status_with(self, key: str) -> None:
        """Asks until there is something under this key of the status."""
        async with asyncio.timeout(WAIT_S):
            while not json.loads((await self.ask("status", "--json"))[1])[key]:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.2)


async def end(process: asyncio.subprocess.Process) -> int:
    """Stops the service as its manager does; returns its exit status."""
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(WAIT_S):
        return await process.wait()


Opener = Callable[[], AbstractAsyncContextManager[Bench]]


@pytest.fixture
def bench(tmp_path: Path, typed: Callable[..., Result]) -> Opener:
    return lambda: opened(tmp_path, typed)


@asynccontextmanager
async def opened(folder: Path, typed: Callable[..., Result]) -> AsyncIterator[Bench]:
    site = Site(load("winter-day"), folder=folder, wall_s=elapsed_s)
    site.open()
    try:
        async with (
            open_platform(broker=None) as platform,
            asyncio.TaskGroup() as group,
        ):
            config = site.write_configuration(broker=platform.address)
            plant = group.create_task(site.run(lambda _truth: None))
            site.clock.set_speed(SPEED_RATIO)
            part = Bench(site, config, folder, typed=typed)
            try:
                yield part
            finally:
                for process in part.processes:
                    if process.returncode is None:
                        process.kill()
                        await process.wait()
                plant.cancel()
    finally:
        site.close()


async def test_monitor_reads_everything_and_writes_not_one_frame(bench: Opener) -> None:
    async with bench() as part:
        part.edit("site.yaml", "signed_by: hil-sim", "signed_by: null")
        part.edit("site.yaml", "signed_on: 2026-11-01", "signed_on: null")
        part.edit("site.yaml", "start_mode: auto", "start_mode: monitor")
        process = await part.start()
        requests = part.site.log.frames
        await until(lambda: requests["hp1", 4] > POLLS, "many polls of hp1")
        status, out, _ = await part.ask("status", "--json")
        assert status in (0, 1)
        assert json.loads(out)["mode"] == "monitor"
        await part.status_with("plan")  # it plans, and shows what it would do
        refused, _, err = await part.ask("mode", "auto", "--by", "op", "--reason", "test")
        assert refused == 5
        assert "not signed" in err
        refused, _, err = await part.ask("release", "hp9", "--by", "op", "--reason", "test")
        assert refused == 5
        assert "hp9" in err
        refused, _, err = await part.ask("release", "hp1", "--by", "op", "--reason", "test")
        assert refused == 5  # nothing holds it
        assert "hp1" in err
        seen, out, _ = await part.ask("read", "hp1.state", "tt1", "--json")
        assert seen == 0
        assert {sample["point"] for sample in json.loads(out)["samples"]} >= {"hp1.state", "tt1.temperature_1"}
        assert await end(process) == 0
        assert part.site.log.write_frames() == 0


async def test_a_signed_plant_in_monitor_or_advise_is_not_written_to_either(bench: Opener) -> None:
    """Everything is there to command the plant but the mode: not one frame that writes leaves, and then it does."""
    async with bench() as part:
        part.edit("site.yaml", "start_mode: auto", "start_mode: monitor")
        process = await part.start()
        requests = part.site.log.frames

        async def many_polls() -> None:
            wanted = requests["hp1", 4] + POLLS // 3
            await until(lambda: requests["hp1", 4] > wanted, "many polls of hp1")

        await many_polls()
        assert part.site.log.write_frames() == 0
        assert (await part.ask("mode", "advise", "--by", "op", "--reason", "test"))[0] == 0
        await many_polls()
        assert part.site.log.write_frames() == 0
        _, out, _ = await part.ask("status", "--json")
        buses = json.loads(out)["buses"]
        assert {bus["state"] for bus in buses.values()} == {"up"}
        assert not any(bus["writes"] for bus in buses.values())
        assert any(bus["requests"] > POLLS for bus in buses.values())
        assert (await part.ask("mode", "auto", "--by", "op", "--reason", "test"))[0] == 0
        await until(lambda: part.site.log.write_frames() > 0, "the first command: the wire log does see writes")
        assert await end(process) == 0


async def test_broken_surroundings_are_said_once_and_everything_else_goes_on(bench: Opener, tmp_path: Path) -> None:
    async with bench() as part:
        pty = part.site.lines["rs485_2"].path
        part.edit("devices.yaml", pty, str(tmp_path / "no-such-port"))
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))  # bound and not listening: a broker that is not there
            uplink = (part.config / "uplink.yaml").read_text(encoding="utf-8")
            address = next(line for line in uplink.splitlines() if "broker: " in line).split("broker: ")[1].split()[0]
            part.edit("uplink.yaml", address.rstrip(","), f"mqtt://127.0.0.1:{nobody.getsockname()[1]}")
            part.site.devices["hm_source"].mute(True)  # noqa: FBT003 - the switch has one position argument
            process = await part.start()
            await until(lambda: part.site.log.frames["hp1", 4] > POLLS, "many polls of hp1")
            await until(lambda: "hm_source" in part.log(), "the silent meter is said")
            status, out, _ = await part.ask("status", "--json")
            answer = json.loads(out)
            assert status in (0, 1)
            assert answer["uplinks"]["city"]["connected"] is False
            assert answer["uplinks"]["city"]["backlog"] == answer["uplinks"]["city"]["due"]
            assert answer["devices"]["tt1"]["fault"] == "line_down"
            assert answer["devices"]["hm_source"]["dead"] is True
            assert answer["devices"]["hm_user"]["fault"] == ""
            assert await end(process) == 0
        log = part.log().splitlines()
        assert sum("no-such-port" in line for line in log) == 1
        assert sum("uplink down" in line for line in log) == 1
        assert sum("hm_source" in line and "WARNING" in line for line in log) == 1
        assert "Traceback" not in part.log()


async def test_the_manager_hears_ready_alive_and_stopping(bench: Opener, tmp_path: Path) -> None:
    async with bench() as part:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(tmp_path / "notify"))
            manager.setblocking(False)  # noqa: FBT003 - the library's signature
            said: list[str] = []

            def heard(word: str) -> bool:
                try:
                    while True:
                        said.append(manager.recv(200).decode())
                except BlockingIOError:
                    return word in said

            process = await part.start(NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="1000000")
            await until(lambda: heard("READY=1"), "READY=1")
            await until(lambda: heard("WATCHDOG=1"), "WATCHDOG=1")
            assert await end(process) == 0
            assert heard("STOPPING=1")
            assert said[0] == "READY=1"


async def test_a_faulty_configuration_does_not_start(bench: Opener) -> None:
    async with bench() as part:
        part.edit("site.yaml", "start_mode: auto", "start_mode: full")
        process = await part.start()
        async with asyncio.timeout(WAIT_S):
            assert await process.wait() == 2
        err = part.log()
        assert "site.yaml:" in err
        assert "start_mode" in err
        assert sum(part.site.log.frames.values()) == 0
