"""Our serial bus against pymodbus' async client with a gap sleep, on the paced line: `python tests/bench/bench_rtu.py`.

Reads of 40 registers, rounds interleaved, medians. Efficiency is the ideal cycle (request, turnaround, answer, 3.5
characters of silence) through the measured one; processor time is that of the whole process, the line is another one.
WRITE=1 renews the table in docs/figures.md. `bench_rtu.py client DEVICE BAUD REGISTERS REQUESTS [FRAMING]` is our bus
as a program, for yardsticks that bring their own line: unit 1, register a holds a, one JSON line at the end.
"""

import asyncio
import contextlib
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from pymodbus.client import AsyncModbusSerialClient

from drivers.bus.base import Span
from drivers.bus.modbus_rtu import ModbusRtuBus
from drivers.errors import DriverError
from edge_agent.clock import elapsed_s
from hil_sim.line import SerialLine
from hil_sim.wire_log import WireLog

REGISTERS = 40
ROUNDS = 5
ROUND_S = 2.0
FIGURES = Path(__file__).resolve().parent.parent.parent / "docs" / "figures.md"
HEADING = "## Field bus: serial lines"


@dataclass(frozen=True, slots=True)
class Case:
    """A line to measure on; a pseudo terminal carries no parity, its bit is charged as time."""

    name: str
    baud: int
    framing: str
    turnaround_s: float

    @property
    def bits(self) -> int:
        return 11 if self.framing == "8E1" else 10

    @property
    def silence_s(self) -> float:
        return 0.00175 if self.baud > 19200 else 3.5 * self.bits / self.baud

    @property
    def ideal_s(self) -> float:
        return (8 + 5 + 2 * REGISTERS) * self.bits / self.baud + self.turnaround_s + self.silence_s


CASES = (
    Case("9600 8N1, 10 ms", 9600, "8N1", 0.010),
    Case("19200 8E1, 10 ms", 19200, "8E1", 0.010),
    Case("115200 8N1, 5 ms", 115200, "8N1", 0.005),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """One round of one client."""

    cycle_s: float
    cpu_us: float
    failed: int
    wrong: int


class Mirror:
    """A slave whose register a holds a."""

    name, unit, late_s = "mirror", 1, 0.0

    def requested(self, function: int) -> None:
        """Nothing to note."""

    def answer(self, request: bytes) -> bytes:
        function, address, count = struct.unpack(">BHH", request)
        return struct.pack(f">BB{count}H", function, 2 * count, *range(address, address + count))


def serve_line(link: str, baud: int, bits: int, turnaround_s: float) -> None:
    """The line's process: prints its statistics each time a line of input comes, ends with the input."""
    line = SerialLine(
        "bench",
        [Mirror()],
        baud=baud,
        bits_per_char=bits,
        turnaround_s=turnaround_s,
        now_s=lambda: 0.0,
        wall_s=elapsed_s,
        log=WireLog(),
        link=Path(link),
    )
    line.start()
    print("ready", flush=True)
    for _ in sys.stdin:
        print(json.dumps(asdict(line.statistics)), flush=True)
    line.stop()


async def measure(read: Callable[[int], Awaitable[tuple[int, ...] | None]], requests: int, registers: int) -> Measured:
    """Reads so many times; None from `read` is a failure."""
    failed = wrong = 0
    cpu_s, begin_s = time.process_time(), elapsed_s()
    for number in range(requests):
        address = number * registers % 1000
        values = await read(address)
        failed += values is None
        wrong += values is not None and values != tuple(range(address, address + registers))
    return Measured((elapsed_s() - begin_s) / requests, (time.process_time() - cpu_s) / requests * 1e6, failed, wrong)


async def ours(device: str, baud: int, framing: str, *, requests: int, registers: int) -> Measured:
    """Our serial bus."""
    bus = ModbusRtuBus("bench", port=device, baud=baud, framing=framing, elapsed_s=elapsed_s)
    await bus.open()

    async def read(address: int) -> tuple[int, ...] | None:
        with contextlib.suppress(DriverError):
            return await bus.read(Span(3, address, registers), unit=1)
        return None

    try:
        await measure(read, 3, registers)  # the port opens, the turnaround is learned
        return await measure(read, requests, registers)
    finally:
        await bus.close()


async def pymodbus_with_gap(device: str, baud: int, framing: str, *, requests: int, registers: int) -> Measured:
    """The client of pymodbus as shipped, and a sleep that keeps the silence between frames."""
    client = AsyncModbusSerialClient(device, baudrate=baud, timeout=1.0, retries=0)
    await client.connect()
    silence_s = 0.00175 if baud > 19200 else 3.5 * (11 if framing == "8E1" else 10) / baud

    async def read(address: int) -> tuple[int, ...] | None:
        await asyncio.sleep(silence_s)
        answer = await client.read_holding_registers(address, count=registers, device_id=1)
        return None if answer.isError() else tuple(answer.registers)

    try:
        await read(0)
        return await measure(read, requests, registers)
    finally:
        client.close()


@contextlib.contextmanager
def line_of(case: Case) -> Iterator[tuple[str, Callable[[], dict[str, float]]]]:
    """A line in a process of its own: its terminal, and a function that asks its statistics."""
    with tempfile.TemporaryDirectory() as folder:
        link = str(Path(folder) / "line")
        command = [sys.executable, __file__, "line", link, str(case.baud), str(case.bits), str(case.turnaround_s)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            stdin, stdout = process.stdin, process.stdout
            assert stdout.readline().strip() == "ready"

            def ask() -> dict[str, float]:
                stdin.write("\n")
                stdin.flush()
                statistics: dict[str, float] = json.loads(stdout.readline())
                return statistics

            yield link, ask
            stdin.close()


def bench(case: Case) -> dict[str, object]:
    """Both clients on one line, in turns."""
    clients = {"ours": ours, "pymodbus_with_gap": pymodbus_with_gap}
    requests = max(10, round(ROUND_S / case.ideal_s))
    rounds: dict[str, list[Measured]] = {name: [] for name in clients}
    violations = dict.fromkeys(clients, 0.0)
    with line_of(case) as (device, ask):
        for number in range(ROUNDS):
            for name in sorted(clients, reverse=number % 2 == 1):
                before = ask()
                measured = asyncio.run(
                    clients[name](device, case.baud, case.framing, requests=requests, registers=REGISTERS)
                )
                rounds[name].append(measured)
                violations[name] += ask()["gap_violations"] - before["gap_violations"]
    result: dict[str, object] = {"bench": "rtu", "line": case.name, "rounds": ROUNDS, "requests_a_round": requests}
    for name, of_rounds in rounds.items():
        result[name] = {
            "efficiency": round(case.ideal_s / median(one.cycle_s for one in of_rounds), 4),
            "efficiency_worst": round(case.ideal_s / max(one.cycle_s for one in of_rounds), 4),
            "cpu_us": round(median(one.cpu_us for one in of_rounds)),
            "gap_violations": int(violations[name]),
            "failed": sum(one.failed for one in of_rounds),
            "wrong": sum(one.wrong for one in of_rounds),
        }
    return result


def table(results: list[dict[str, object]]) -> str:
    """The results as the table of docs/figures.md."""
    lines = [
        "| line | efficiency | pymodbus + gap | processor time | pymodbus + gap | gap violations | failed, wrong |",
        "|---|---|---|---|---|---|---|",
    ]
    for result in results:
        we, they = result["ours"], result["pymodbus_with_gap"]
        assert isinstance(we, dict)
        assert isinstance(they, dict)
        lines.append(
            f"| {result['line']} | {we['efficiency']:.3f} (worst round {we['efficiency_worst']:.3f}) "
            f"| {they['efficiency']:.3f} | {we['cpu_us']} us | {they['cpu_us']} us "
            f"| {we['gap_violations']} / {they['gap_violations']} | {we['failed']}, {we['wrong']} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measures, prints the table and one JSON line."""
    if sys.argv[1:2] == ["line"]:
        link, baud, bits, turnaround_s = sys.argv[2:]
        serve_line(link, int(baud), int(bits), float(turnaround_s))
        return
    if sys.argv[1:2] == ["client"]:
        device, baud, registers, requests = sys.argv[2:6]
        framing = sys.argv[6] if len(sys.argv) > 6 else "8N1"
        measured = asyncio.run(ours(device, int(baud), framing, requests=int(requests), registers=int(registers)))
        print(json.dumps({"err": measured.failed, "wrong": measured.wrong, "cpu_us": round(measured.cpu_us, 1)}))
        return
    results = [bench(case) for case in CASES]
    print(table(results))
    print(json.dumps(results))
    if os.environ.get("WRITE") == "1":
        text = FIGURES.read_text(encoding="utf-8")
        section = re.compile(rf"(^{HEADING}.*?\n\n)\|.*?\n(?=\n|\Z)", re.MULTILINE | re.DOTALL)
        text, renewed = section.subn(lambda found: found[1] + table(results) + "\n", text)
        if renewed != 1:
            sys.exit(f"docs/figures.md has no section {HEADING!r} with a table")
        FIGURES.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
