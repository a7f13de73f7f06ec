"""Scan and probe as an engineer types them, against simulated meters on a real pseudo terminal and over TCP.

`mbpoll`, a program of somebody else's, is the referee: the command that we print must show the number that we say.
"""

import asyncio
import json
import os
import shlex
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import Result

from edge_agent.clock import elapsed_s
from edge_agent.settings.files import FILES, shipped_config
from edge_agent.settings.load import load_configuration
from hil_sim.line import SerialLine
from hil_sim.wire_log import WireLog

pytestmark = pytest.mark.system

BAUD = 115200
"""Of the simulated line; a pseudo terminal carries any speed, and the tests are quick at this one."""
ORDERS = {"ABCD": (0, 1, 2, 3), "CDAB": (2, 3, 0, 1), "BADC": (1, 0, 3, 2), "DCBA": (3, 2, 1, 0)}


@dataclass
class Meter:
    """A unit with raw registers of one kind; answers reads, refuses addresses that it does not have."""

    unit: int
    registers: dict[int, int]
    name: str = "meter"
    late_s: float = 0.0
    kind: int = 3
    functions: list[int] = field(default_factory=list)
    moves: Callable[["Meter"], None] = lambda _: None

    def requested(self, function: int) -> None:
        self.functions.append(function)

    def answer(self, request: bytes) -> bytes | None:
        function, address, count = struct.unpack(">BHH", request[:5])
        if function != self.kind:
            return bytes((function | 0x80, 1))
        if any(address + place not in self.registers for place in range(count)):
            return bytes((function | 0x80, 2))
        words = [self.registers[address + place] for place in range(count)]
        self.moves(self)
        return bytes((function, 2 * count)) + struct.pack(f">{count}H", *words)

    def put(self, address: int, data: bytes, order: str) -> None:
        wire = bytes(data[place] for place in ORDERS[order])
        self.registers[address], self.registers[address + 1] = struct.unpack(">HH", wire)


@contextmanager
def line_with(*meters: Meter) -> Iterator[SerialLine]:
    line = SerialLine("line", meters, baud=BAUD, turnaround_s=0.002, now_s=lambda: 0.0, wall_s=elapsed_s, log=WireLog())
    line.start()
    try:
        yield line
    finally:
        line.stop()


Agent = Callable[..., tuple[int, dict[str, object], str]]


@pytest.fixture
def agent(typed: Callable[..., Result]) -> Agent:
    """The verb as typed, with --json, in this process."""

    def run(*words: str) -> tuple[int, dict[str, object], str]:
        done = typed(*words, "--json")
        return done.exit_code, json.loads(done.stdout), done.stderr

    return run


def typed_in_a_shell(*words: str) -> tuple[int, dict[str, object], str]:
    """The same in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "edge_agent", *words, "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        stdin=subprocess.DEVNULL,
        env=os.environ | {"PYTHONSAFEPATH": "1", "LANG": "C", "EDGE_AGENT_CONFIG": "/nonexistent"},
    )
    return done.returncode, json.loads(done.stdout), done.stderr


def referee(mbpoll: str, command: str) -> str:
    """What mbpoll shows behind the first register, or its registers in hexadecimal."""
    words = shlex.split(command)
    assert words[0] == "mbpoll"
    done = subprocess.run([mbpoll, *words[1:]], capture_output=True, text=True, check=False, timeout=20)
    lines = [line.partition("]:")[2].strip() for line in done.stdout.splitlines() if line.startswith("[")]
    assert lines, done.stdout + done.stderr
    return " ".join(lines)


def test_scan_finds_units_and_only_reads() -> None:
    """Also: the verb end to end, as a process."""
    meters = [Meter(unit, dict.fromkeys(range(4), 7)) for unit in (1, 37)]
    slow = Meter(30, dict.fromkeys(range(4), 7), late_s=0.25)
    with line_with(*meters, slow) as line:
        status, told, _ = typed_in_a_shell(
            "scan", "rtu", line.path, "--baud", str(BAUD), "--framing", "8N1", "--units", "1-4,30,37-38", "--no-guess"
        )
    assert status == 0
    assert told["schema"] == "scan/1"
    units = told["units"]
    assert isinstance(units, list)
    assert [unit["unit"] for unit in units] == [1, 30, 37]
    assert {unit["answer"] for unit in units} == {"registers"}
    assert all(set(meter.functions) <= {1, 2, 3, 4} for meter in (*meters, slow))


def test_what_scan_prints_for_mbpoll_is_answered(agent: Agent, need_program: Callable[[str], str]) -> None:
    """By a unit that knows input registers only, from address 1 on."""
    mbpoll = need_program("mbpoll")
    meter = Meter(3, {1: 205, 2: 463}, kind=4)
    with line_with(meter) as line:
        words = ("scan", "rtu", line.path, "--baud", str(BAUD), "--framing", "8N1", "--units", "1-4", "--no-guess")
        status, told, _ = agent(*words)
        units = told["units"]
        assert isinstance(units, list)
        assert (status, [unit["answer"] for unit in units]) == (0, ["exception 1"])
        assert referee(mbpoll, units[0]["mbpoll"]) == "205"


@pytest.mark.parametrize(
    ("address", "function", "status", "note"),
    [
        ("30002", "4", 0, "input register 2"),
        ("30002", None, 0, "input register 2"),
        ("1", "4", 0, ""),
        ("0x1", None, 0, ""),
        ("0x7532", "4", 3, ""),
        ("30002", "3", 3, "on the wire"),
    ],
)
def test_a_number_of_a_data_sheet_is_understood_and_said(
    agent: Agent, address: str, function: str | None, status: int, note: str
) -> None:
    meter = Meter(3, dict.fromkeys(range(1, 3), 205), kind=4)
    kind = () if function is None else ("--function", function)
    with line_with(meter) as line:
        where = ("probe", "rtu", line.path, "--unit", "3", "--baud", str(BAUD), "--lang", "en")
        got, told, error = agent(*where, "--address", address, *kind)
    assert got == status, error
    assert ("note:" in error) == bool(note)
    assert note in error
    if status == 0:
        registers = told["registers"]
        assert isinstance(registers, list)
        assert {"function": 4, "address": 1, "value": 205} in registers


def test_scan_of_an_empty_line_and_of_no_line(agent: Agent) -> None:
    with line_with() as line:
        status, told, _ = agent(
            "scan", "rtu", line.path, "--baud", str(BAUD), "--framing", "8N1", "--units", "1-3", "--no-guess"
        )
    assert (status, told["units"]) == (3, [])
    status, told, error = agent("scan", "rtu", "/dev/nowhere", "--baud", "9600")
    assert status == 3
    assert "/dev/nowhere" in error


@pytest.mark.parametrize("order", ORDERS)
def test_probe_finds_every_word_order_and_mbpoll_shows_the_same(
    agent: Agent, order: str, need_program: Callable[[str], str]
) -> None:
    """A float and a counter, one register before and behind the documented place."""
    mbpoll = need_program("mbpoll")
    cases = ((-1, "f32"), (1, "u32"))
    for offset, kind in cases:
        meter = Meter(5, {place: 11 + 7 * place for place in range(60)})
        number = 231.475 if kind == "f32" else 23_145_678
        meter.put(30 + offset, struct.pack(">f" if kind == "f32" else ">I", number), order)
        with line_with(meter) as line:
            status, told, error = agent(
                *("probe", "rtu", line.path, "--unit", "5", "--baud", str(BAUD), "--address", "30"),
                *("--expect", "231.475" if kind == "f32" else "2314567.8"),
            )
            assert status in (0, 1), error
            matches = told["matches"]
            assert isinstance(matches, list)
            best = matches[0]
            assert (best["address"], best["type"], best["order"]) == (30 + offset, kind, order), matches[:3]
            assert best["scale"] == (1 if kind == "f32" else 0.1)
            assert best["value"] == pytest.approx(float(str(told["expected"])), abs=0.05)
            shown = referee(mbpoll, best["mbpoll"])
            if best["mbpoll_shows"].startswith("0x"):
                assert shown == best["mbpoll_shows"]
            else:
                assert float(shown.split()[0]) == pytest.approx(float(best["mbpoll_shows"]), rel=1e-5)
        assert set(meter.functions) <= {3, 4}


def test_two_numbers_decide_what_one_leaves_open(agent: Agent) -> None:
    """Two places show the number; after a while only one still does."""
    meter = Meter(5, dict.fromkeys(range(60), 1))
    meter.registers |= {30: 4821, 33: 4821}

    def move(moving: Meter) -> None:
        moving.registers[30] = 4907

    with line_with(meter) as line:
        words = ("probe", "rtu", line.path, "--unit", "5", "--baud", str(BAUD), "--address", "31", "--pause", "0")
        status, told, _ = agent(*words, "--expect", "482.1")
        assert status == 1
        assert told["decided"] is False
        meter.moves = move
        meter.registers[30] = 4821
        status, told, _ = agent(*words, "--expect", "482.1", "--expect", "490.7")
    assert status == 0
    matches = told["matches"]
    assert isinstance(matches, list)
    assert (matches[0]["address"], matches[0]["type"], matches[0]["scale"]) == (30, "u16", 0.1)


@pytest.fixture
def plant(tmp_path: Path) -> Path:
    for file in FILES:
        shutil.copy(shipped_config() / "plants" / "ground-office" / file, tmp_path / file)
    site = tmp_path / "site.yaml"
    site.write_text(
        site.read_text(encoding="utf-8").replace("/var/lib/edge-agent", str(tmp_path / "state")), encoding="utf-8"
    )
    return tmp_path


def test_a_configured_point_is_corrected_in_its_file_and_comments_stay(plant: Path) -> None:
    """The meter counts in 0.1 kWh and not in 0.01, one register further on; a process of its own."""
    meter = Meter(11, dict.fromkeys(range(400), 0))
    meter.put(1, struct.pack(">I", 2_314_567), "ABCD")
    meter.put(331, struct.pack(">I", 60), "ABCD")
    devices = plant / "devices.yaml"
    with line_with(meter) as line:
        text = devices.read_text(encoding="utf-8").replace("/dev/serial/by-id/usb-rs485-1", line.path)
        devices.write_text(text, encoding="utf-8")
        status, told, error = typed_in_a_shell(
            *("probe", "em_main", "energy_total", "--expect", "13887402kWh", "--config", str(plant)),
            *("--write", str(devices)),
        )
    assert status == 0, error
    assert told["yaml"] == "em_main: points: {energy_total: {address: 1, scale: 0.1}}"
    after = devices.read_text(encoding="utf-8")
    changed = [(old, new) for old, new in zip(text.splitlines(), after.splitlines(), strict=True) if old != new]
    assert len(changed) == 1
    assert changed[0][1].endswith("points: {energy_total: {address: 1, scale: 0.1}}}")
    point = load_configuration(plant).profiles["em_main"].points["energy_total"]
    assert (point.first, float(point.parts[0].scale)) == (1, 0.1)


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("probe", "nobody"), 2, "nobody"),
        (("probe", "em_main", "no_such_point"), 2, "no_such_point"),
        (("probe", "em_main", "energy_total", "--expect", "abc"), 2, "--expect"),
        (("probe", "em_main", "energy_total", "--expect", "0"), 2, "0"),
        (("probe", "rtu"), 2, "--unit"),
        (("scan", "rtu", "/dev/x", "--units", "0-300"), 2, "--units"),
        (("scan", "rtu", "/dev/x", "--baud", "fast"), 2, "--baud"),
        (("scan", "tcp", "host:port"), 2, "host:port"),
        (("probe", "em_main", "--address", "99999"), 2, "99999"),
        (("probe", "em_main", "--address", "zero"), 2, "zero"),
        (("probe", "em_main"), 3, "usb-rs485-1"),
    ],
)
def test_bad_input_is_one_clear_message(
    agent: Agent, plant: Path, words: tuple[str, ...], status: int, said: str
) -> None:
    got, told, error = agent(*words, "--config", str(plant))
    assert got == status, error
    assert told["ok"] is False
    assert said in error
    assert "Traceback" not in error


async def test_interrupted_scan_shows_what_it_found() -> None:
    meter = Meter(1, dict.fromkeys(range(4), 7))
    with line_with(meter) as line:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "edge_agent", "scan", "rtu", line.path, "--baud", "9600", "--framing", "8N1"),
            *("--json", "--config", "/nonexistent"),
            stdout=asyncio.subprocess.PIPE,
            env=os.environ | {"PYTHONSAFEPATH": "1"},
            # A shell ignores Ctrl-C for what it runs in the background, and children inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        async with asyncio.timeout(30):
            while line.statistics.unknown_unit < 5:  # noqa: ASYNC110 - what is waited for happens in another process
                await asyncio.sleep(0.05)
        process.send_signal(2)
        out, _ = await process.communicate()
    assert process.returncode == 130
    told = json.loads(out)
    assert [unit["unit"] for unit in told["units"]] == [1]
    assert told["finished"] is False
