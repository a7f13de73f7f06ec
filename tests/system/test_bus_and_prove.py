"""`bus` and `prove` against simulated devices over TCP, and the same wires lent by a running service."""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import Result
from ruamel.yaml import YAML

from drivers.bus.base import Span
from drivers.errors import DeviceRefused, NoAnswer
from edge_agent import attempt, local_api
from edge_agent.control.modes import signed
from edge_agent.errors import EdgeAgentError
from edge_agent.field import ServiceBus
from edge_agent.settings.files import FILES, shipped_config
from edge_agent.settings.load import load_configuration
from edge_agent.store.store import Store
from hil_sim.devices.server import DeviceServer
from hil_sim.devices.tcp import serve_tcp
from hil_sim.wire_log import WireLog

pytestmark = pytest.mark.system

INSTANT_S = datetime(2026, 1, 15, 8, tzinfo=UTC).timestamp()


@dataclass
class Bench:
    """A configuration whose units answer on loopback."""

    folder: Path
    truth: dict[str, float]
    log: WireLog
    typed: Callable[..., Result]
    commands: list[tuple[str, float]] = field(default_factory=list)
    servers: dict[str, DeviceServer] = field(default_factory=dict)
    mute_when_commanded: bool = False

    @property
    def state_dir(self) -> Path:
        return self.folder / "state"

    async def ask(self, *words: str) -> tuple[int, dict[str, object], str]:
        """The verb in this process."""
        done = await asyncio.to_thread(self.typed, *words, "--json", "--config", str(self.folder))
        return done.exit_code, json.loads(done.stdout), done.stderr

    async def start(self, *words: str) -> asyncio.subprocess.Process:
        """A process of its own, left running."""
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "edge_agent", *words, "--config", str(self.folder)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=os.environ | {"PYTHONSAFEPATH": "1", "LANG": "C"},
        )

    async def ask_in_a_shell(self, *words: str) -> tuple[int, dict[str, object], str]:
        """The verb in a process of its own."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "edge_agent", *words, "--json", "--config", str(self.folder)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=os.environ | {"PYTHONSAFEPATH": "1", "LANG": "C"},
        )
        out, err = await process.communicate()
        assert process.returncode is not None
        assert out, err.decode()
        return process.returncode, json.loads(out), err.decode()


@contextmanager
def served(folder: Path, typed: Callable[..., Result]) -> Iterator[Bench]:
    """All devices of the example plant behind one TCP port, each with its own unit number."""
    bench = Bench(folder, {}, WireLog(), typed)
    for file in FILES:
        (folder / file).write_text(
            (shipped_config() / "plants" / "ground-office" / file).read_text(encoding="utf-8"), encoding="utf-8"
        )
    devices = YAML(typ="safe").load((folder / "devices.yaml").read_text(encoding="utf-8"))
    lines = ["buses:", '  net: {tcp: "127.0.0.1:PORT"}', "devices:"]
    for unit, (name, entry) in enumerate(devices["devices"].items(), start=1):
        model = entry["profile"]
        lines.append(f"  {name}: {{bus: net, unit: {unit}, profile: {model}, period_s: {entry['period_s']}}}")
        truth: dict[str, float] = {}

        def value(point: str, *, of: str = name) -> float:
            return bench.truth.get(f"{of}.{point}", 1.0)

        def command(point: str, number: float, *, of: str = name) -> None:
            bench.truth[f"{of}.{point}"] = number
            bench.commands.append((f"{of}.{point}", number))
            bench.servers[of].muted = bench.mute_when_commanded

        del truth
        bench.servers[name] = DeviceServer(
            name, unit, model, truth=value, command=command, seed=1, now_s=lambda: INSTANT_S, log=bench.log
        )
    server = serve_tcp(list(bench.servers.values()), "127.0.0.1", 0)
    text = "\n".join(lines).replace("PORT", str(server.port)) + "\n"
    (folder / "devices.yaml").write_text(text, encoding="utf-8")
    site = (folder / "site.yaml").read_text(encoding="utf-8").replace("/var/lib/edge-agent", str(bench.state_dir))
    site = site.replace("simulated: true", "simulated: false").replace("start_mode: auto", "start_mode: monitor")
    site = re.sub(r"signed_(by|on): [^ ]+", r"signed_\1: null", site)
    (folder / "site.yaml").write_text(site, encoding="utf-8")
    assert not signed(load_configuration(folder).site)
    bench.state_dir.mkdir()
    bench.truth |= {"hp1.supply_setpoint": 45.0, "hp1.state": 0.0, "hp1.remote": 1.0, "hp1.mode_request": 1.0}
    bench.truth["hp1.source_inlet_temperature"] = 12.0
    try:
        yield bench
    finally:
        server.stop()


@pytest.fixture
def bench(tmp_path: Path, typed: Callable[..., Result]) -> Iterator[Bench]:
    with served(tmp_path, typed) as running:
        yield running


ATTENDED = ("--by", "an engineer", "--yes-i-am-at-the-plant", "--effect", "0")


async def test_bus_measures_and_only_reads(bench: Bench) -> None:
    status, told, error = await bench.ask_in_a_shell("bus", "--cycles", "2")
    assert status == 0, error
    buses = told["buses"]
    assert isinstance(buses, dict)
    net = buses["net"]
    assert net["cycles"] == 2
    assert net["errors"] == 0
    assert net["requests"] >= 20
    assert net["points"] > 300
    assert 0 < net["wire_limit_s"] <= net["cycle_s"]
    assert 0 < net["efficiency"] <= 1
    assert net["cpu_ms_per_transaction"] > 0
    assert len(net["units"]) == 19
    assert bench.log.write_frames() == 0


async def test_a_command_is_proven_restored_and_audited_before_anything_is_signed(bench: Bench) -> None:
    status, told, error = await bench.ask_in_a_shell(
        "prove", "hp1", "--command", "supply_setpoint", "--value", "46", *ATTENDED
    )
    assert status == 0, error
    assert told["outcome"] == "proven"
    steps = told["steps"]
    assert isinstance(steps, list)
    assert [step["step"] for step in steps] == ["read", "judge", "confirm", "write", "effect", "restore"]
    assert [number for _, number in bench.commands] == [46.0, 45.0]
    assert bench.truth["hp1.supply_setpoint"] == 45.0
    store = await Store.open(bench.state_dir, quota_mb=500, raw_days=10)
    try:
        entries = await store.audit_entries(10)
    finally:
        await store.close()
    assert [(entry.actor, entry.cause, entry.point) for entry in entries] == [
        ("an engineer", "prove", "hp1.supply_setpoint")
    ] * 2


@pytest.mark.parametrize(
    ("truth", "words", "reason"),
    [
        ({}, ("supply_setpoint", "--value", "99"), "out_of_bounds"),
        ({}, ("supply_setpoint", "--value", "45"), "stands_already"),
        ({"hp1.state": 4.0}, ("run_request", "--value", "1"), "unit_tripped"),
        ({"hp1.remote": 0.0}, ("supply_setpoint", "--value", "46"), "unit_local"),
        ({"hp1.user_flow": 0.0}, ("run_request", "--value", "1"), "flow_not_proven"),
        ({"hp1.state": 2.0, "hp1.run_request": 1.0}, ("run_request", "--value", "0"), "min_off"),
    ],
)
async def test_interlocks_refuse_and_no_frame_leaves(
    bench: Bench, truth: dict[str, float], words: tuple[str, ...], reason: str
) -> None:
    bench.truth |= {"hp1.run_request": 0.0} | truth
    status, told, _ = await bench.ask("prove", "hp1", "--command", *words, *ATTENDED)
    assert (status, told["outcome"]) == (5, "refused")
    assert told["reason"] == reason, told
    assert bench.log.write_frames() == 0


async def test_without_room_to_restore_nothing_is_written(bench: Bench) -> None:
    devices = bench.folder / "devices.yaml"
    limited = "points: {supply_setpoint: {write: {function: 6, min: 35, max: 58, per_hour: 2}}}"
    text, count = re.subn(r"(?m)^(  hp1: .*)}$", rf"\1, {limited}}}", devices.read_text(encoding="utf-8"))
    assert count == 1
    devices.write_text(text, encoding="utf-8")
    status, told, _ = await bench.ask("prove", "hp1", "--command", "supply_setpoint", "--value", "46", *ATTENDED)
    assert (status, told["reason"]) == (5, "no_room_to_restore")
    assert bench.log.write_frames() == 0


async def test_nobody_at_a_terminal_and_no_name_is_refused(bench: Bench) -> None:
    status, told, _ = await bench.ask("prove", "hp1", "--command", "supply_setpoint", "--value", "46", "--effect", "0")
    assert (status, told["reason"]) == (5, "not_confirmed")
    status, _, error = await bench.ask("prove", "hp1", "--command", "supply_setpoint", "--yes-i-am-at-the-plant")
    assert status == 2
    assert "--by" in error
    status, _, _ = await bench.ask("prove", "em_main", "--command", "energy_total", *ATTENDED)
    assert status == 5
    assert bench.log.write_frames() == 0


WATCHING = (*ATTENDED[:-1], "300")
PROVE = ("prove", "hp1", "--command", "supply_setpoint", "--value", "46")


async def test_a_proof_that_is_told_to_stop_puts_the_old_value_back(bench: Bench) -> None:
    process = await bench.start(*PROVE, *WATCHING, "--json")
    await _until(lambda: bool(bench.commands))
    process.terminate()
    out, _ = await process.communicate()
    assert process.returncode == 130
    told = json.loads(out)
    assert told["outcome"] == "interrupted"
    assert told["steps"][-1]["step"] == "restore"
    assert told["steps"][-1]["ok"] is True
    assert bench.truth["hp1.supply_setpoint"] == 45.0


async def test_what_a_killed_proof_left_is_told_and_mended_by_the_next_one(bench: Bench) -> None:
    process = await bench.start(*PROVE, *WATCHING)
    await _until(lambda: bool(bench.commands))
    process.kill()
    await process.communicate()
    assert bench.truth["hp1.supply_setpoint"] == 46.0, "nobody was left to restore it"

    status, told, _ = await bench.ask(*PROVE, "--effect", "0")
    assert (status, told["reason"]) == (5, "left_behind"), "nobody confirmed that it may be mended"
    assert bench.truth["hp1.supply_setpoint"] == 46.0

    status, told, error = await bench.ask(*PROVE, *ATTENDED)
    assert status == 0, error
    steps = told["steps"]
    assert isinstance(steps, list)
    assert [step["step"] for step in steps] == [
        *("left", "confirm", "restore"),
        *("read", "judge", "confirm", "write", "effect", "restore"),
    ]
    assert (steps[0]["value"], steps[0]["old"], steps[0]["by"]) == (46.0, 45.0, "an engineer")
    assert [number for _, number in bench.commands] == [46.0, 45.0, 46.0, 45.0]
    status, told, error = await bench.ask(*PROVE, *ATTENDED)
    assert isinstance(told["steps"], list)
    assert told["steps"][0]["step"] == "read", "once mended it is told no more"


async def test_a_value_that_somebody_has_changed_since_is_left_alone(bench: Bench) -> None:
    process = await bench.start(*PROVE, *WATCHING)
    await _until(lambda: bool(bench.commands))
    process.kill()
    await process.communicate()
    bench.truth["hp1.supply_setpoint"] = 48.0
    status, told, error = await bench.ask("prove", "hp1", "--command", "supply_setpoint", "--value", "47", *ATTENDED)
    assert status == 0, error
    assert isinstance(told["steps"], list)
    assert (told["steps"][0]["step"], told["steps"][0]["now"]) == ("left_changed", 48.0)
    assert [number for _, number in bench.commands] == [46.0, 47.0, 48.0]


async def test_a_restoration_that_meets_silence_says_so_and_is_made_up_for(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "RESTORE_S_MAX", 0.5)
    monkeypatch.setattr(attempt, "RESTORE_AGAIN_S", 0.1)
    bench.mute_when_commanded = True
    status, told, _ = await bench.ask(*PROVE, *ATTENDED)
    assert (status, told["outcome"]) == (1, "not_restored")
    assert told["reason"] == "no_answer", "nothing was read back, so nothing differs"
    bench.mute_when_commanded = bench.servers["hp1"].muted = False
    status, told, error = await bench.ask(*PROVE, *ATTENDED)
    assert status == 0, error
    assert bench.truth["hp1.supply_setpoint"] == 45.0


async def test_a_device_that_comes_back_gets_its_value_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "RESTORE_AGAIN_S", 0.1)
    bench.mute_when_commanded = True
    proof = asyncio.ensure_future(bench.ask(*PROVE, *ATTENDED))  # noqa: TID251 - awaited below
    await _until(lambda: bool(bench.commands))
    bench.mute_when_commanded = False
    before = len(bench.log.asked_s["hp1"])
    await _until(lambda: len(bench.log.asked_s["hp1"]) > before + 2)
    bench.servers["hp1"].muted = False
    status, told, _ = await proof
    assert (status, told["outcome"]) == (1, "unverified")
    assert isinstance(told["steps"], list)
    assert [step["step"] for step in told["steps"]][-2:] == ["restore_waits", "restore"]
    assert bench.truth["hp1.supply_setpoint"] == 45.0


async def test_read_watch_gives_one_object_a_line_and_a_round(bench: Bench) -> None:
    process = await bench.start("read", "hp1.supply_setpoint", "--watch", "--json")
    assert process.stdout is not None
    rounds = [json.loads(await process.stdout.readline()) for _ in range(2)]
    process.send_signal(signal.SIGINT)
    await process.communicate()
    assert process.returncode == 130
    for told in rounds:
        assert told["schema"] == "read/1"
        assert [(sample["point"], sample["value"]) for sample in told["samples"]] == [("hp1.supply_setpoint", 45.0)]


async def test_read_asks_only_the_devices_that_are_named(bench: Bench) -> None:
    status, told, error = await bench.ask_in_a_shell("read", "hp1", "io1.supply_temperature")
    assert status == 0, error
    samples = told["samples"]
    assert isinstance(samples, list)
    assert {str(sample["point"]).partition(".")[0] for sample in samples} <= {"hp1", "io1"}
    assert set(bench.log.asked_s) == {"hp1", "io1"}
    assert bench.log.write_frames() == 0


async def test_a_running_service_owns_the_wires_and_lends_them_for_reading(bench: Bench) -> None:
    async with serving(bench):
        for words in (("bus",), ("probe", "em_main"), ("prove", "hp1", "--command", "supply_setpoint", *ATTENDED)):
            status, _, error = await bench.ask(*words)
            assert status == 3, error
            assert "service" in error
        status, told, error = await bench.ask("probe", "em_main", "--via-service")
        assert told["matches"], error
        lent = ServiceBus("net", state_dir=bench.state_dir)
        assert len(await lent.read(Span(3, 0, 2), unit=1)) == 2
        with pytest.raises(DeviceRefused):
            await lent.read(Span(3, 60_000, 2), unit=1)
        with pytest.raises(NoAnswer):
            await lent.read(Span(3, 0, 2), unit=255)
        host = YAML(typ="safe").load((bench.folder / "devices.yaml").read_text(encoding="utf-8"))["buses"]["net"]["tcp"]
        status, told, error = await bench.ask("scan", "tcp", host, "--via-service", "--units", "1", "--no-guess")
        units = told["units"]
        assert isinstance(units, list)
        assert (status, len(units)) == (0, 1), error
        with pytest.raises(EdgeAgentError):
            await asyncio.to_thread(
                local_api.ask, bench.state_dir, "bus_read", bus="net", unit=1, function=6, address=0, count=1
            )
    assert bench.log.write_frames() == 0


@asynccontextmanager
async def serving(bench: Bench) -> AsyncIterator[asyncio.subprocess.Process]:
    """The service as a process, until it is told to stop."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edge_agent", "run", "--config", str(bench.folder)),
        stderr=asyncio.subprocess.DEVNULL,
        env=os.environ | {"PYTHONSAFEPATH": "1", "LANG": "C"},
    )
    try:
        await _until((bench.state_dir / local_api.SOCKET_NAME).exists)
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def test_the_service_proves_over_its_own_wires_and_puts_back_whatever_becomes_of_the_caller(bench: Bench) -> None:
    via = (*PROVE, "--via-service")
    async with serving(bench) as service:
        await _until(lambda: bool(bench.log.asked_s["io1"]))
        status, told, _ = await bench.ask(*via, "--effect", "0")
        assert (status, told["reason"]) == (5, "not_confirmed")
        assert bench.log.write_frames() == 0
        status, told, _ = await bench.ask(*via[:4], "--value", "99", "--via-service", *ATTENDED)
        assert (status, told["reason"]) == (5, "out_of_bounds")
        assert bench.log.write_frames() == 0

        status, told, error = await bench.ask(*via, *ATTENDED)
        assert status == 0, error
        assert told["outcome"] == "proven"
        assert isinstance(told["steps"], list)
        assert [step["step"] for step in told["steps"]] == ["read", "judge", "confirm", "write", "effect", "restore"]
        assert [number for _, number in bench.commands] == [46.0, 45.0]

        # The caller is told to stop; then one is killed, and nobody else may prove or go into automatic mode meanwhile.
        for number, ends in ((signal.SIGTERM, 130), (signal.SIGKILL, -signal.SIGKILL)):
            bench.commands.clear()
            caller = await bench.start(*via, *WATCHING, "--json")
            await _until(lambda: bool(bench.commands))
            status, told, error = await bench.ask(*via, *ATTENDED)
            assert status == 5, error
            status, _, error = await bench.ask("mode", "auto", "--by", "x", "--reason", "y")
            assert (status, "proven" in error) == (5, True), error
            caller.send_signal(number)
            out, _ = await caller.communicate()
            assert caller.returncode == ends
            await _until(lambda: bench.truth["hp1.supply_setpoint"] == 45.0)
            if ends == 130:
                assert json.loads(out)["outcome"] == "interrupted"
                assert json.loads(out)["steps"][-1]["ok"] is True

        # The service itself is told to stop: the caller hears that the old value is back.
        bench.commands.clear()
        caller = await bench.start(*via, *WATCHING, "--json")
        await _until(lambda: bool(bench.commands))
        service.terminate()
        out, _ = await caller.communicate()
        await service.wait()
        assert bench.truth["hp1.supply_setpoint"] == 45.0
        assert json.loads(out)["steps"][-1]["step"] == "restore"


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(0.05)
