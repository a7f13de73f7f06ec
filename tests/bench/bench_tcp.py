"""Modbus TCP: CPU of a plant's polling, and speed beside libmodbus' C client: `python tests/bench/bench_tcp.py`.

Two figures. (a) 300 points of 20 units behind one address, each read once a second through `Device` as the service does
it: processor time of this process over wall time; the simulated plant runs in another process. (b) Requests and points
a second of our client (one in flight, and four), of pymodbus' and of libmodbus' client against the same libmodbus
server, rounds interleaved, medians; skipped where the peers are not built (`make peers`). WRITE=1 renews the table in
docs/figures.md.
"""

import argparse
import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from pymodbus.client import AsyncModbusTcpClient

from drivers.bus.base import Span
from drivers.bus.modbus_tcp import ModbusTcpBus
from drivers.device import Device
from drivers.profile_file import parse_profile
from drivers.sample import Quality
from edge_agent.clock import elapsed_s
from hil_sim.devices.tcp import serve_tcp

UNIT_COUNT = 20
POINT_COUNT = 15
"""A unit; every third one lies behind a gap, so that the read plan has something to do."""
PERIOD_S = 1.0
REGISTERS = (2, 120)
FIGURES = Path(__file__).resolve().parent.parent.parent / "docs" / "figures.md"
HEADING = "## Field bus: Modbus TCP"
PEERS = Path(os.environ.get("PEERS") or Path.home() / ".cache" / "heat-pump-edge-agent" / "peers")


class Slave:
    """Register n holds n."""

    def __init__(self, unit: int) -> None:
        self.name, self.unit, self.late_s = f"s{unit}", unit, 0.0

    def requested(self, _function: int) -> None:
        """Counts nothing."""

    def answer(self, request: bytes) -> bytes:
        """Registers in their order."""
        address, count = int.from_bytes(request[1:3], "big"), int.from_bytes(request[3:5], "big")
        return bytes((request[0], 2 * count)) + b"".join(n.to_bytes(2, "big") for n in range(address, address + count))


def serve() -> None:
    """The plant: prints its port and answers until its standard input ends."""
    server = serve_tcp([Slave(unit) for unit in range(1, UNIT_COUNT + 1)], "127.0.0.1", 0)
    print(server.port, flush=True)
    sys.stdin.read()
    server.stop()


PROFILE = {
    "zh": "测试", "en": "bench", "maker": "-", "category": "other", "level": "simulated", "confidence": "high",
    "sources": ["this bench"],
    "points": {
        f"p{number}": {
            "zh": f"点{number}", "en": f"point {number}", "function": 3, "type": "u32", "unit": "s",
            "address": 2 * number + 10 * (number // 3),
        }
        for number in range(POINT_COUNT)
    },
}  # fmt: skip


async def poll(port: int, seconds: float) -> dict[str, float]:
    """Polls the plant as the service does and measures this process."""
    bus = ModbusTcpBus("net", host="127.0.0.1", port=port, elapsed_s=elapsed_s)
    profile = parse_profile(PROFILE, name="bench")
    devices = [
        Device(
            f"d{unit}", bus=bus, unit=unit, profile=profile, period_s=PERIOD_S,
            now_utc=lambda: datetime.now(UTC), elapsed_s=elapsed_s,  # noqa: TID251 - a bench has no site's clock
        )
        for unit in range(1, UNIT_COUNT + 1)
    ]  # fmt: skip
    await bus.open()
    for device in devices:
        await device.poll()
    begin_s, begin_cpu_s, requests = elapsed_s(), time.process_time(), bus.counts.requests
    samples = good = rounds = 0
    while elapsed_s() - begin_s < seconds:
        rounds += 1
        await asyncio.sleep(max(0.0, begin_s + rounds * PERIOD_S - elapsed_s()))
        for device in devices:
            for sample in await device.poll():
                samples += 1
                good += sample.quality is Quality.GOOD
    wall_s = elapsed_s() - begin_s
    cpu_s = time.process_time() - begin_cpu_s
    requests = bus.counts.requests - requests
    await bus.close()
    return {
        "wall_s": round(wall_s, 1),
        "samples_per_s": round(samples / wall_s, 1),
        "good_ratio": round(good / max(1, samples), 4),
        "requests_per_s": round(requests / wall_s, 1),
        "cpu_ratio_of_one_core": round(cpu_s / wall_s, 4),
        "cpu_us_per_request": round(1e6 * cpu_s / max(1, requests)),
    }


async def our_rate(port: int, *, registers: int, depth: int, seconds: float) -> tuple[float, float]:
    """Requests a second of our client as fast as it can, and its CPU a request [us]."""
    bus = ModbusTcpBus("net", host="127.0.0.1", port=port, elapsed_s=elapsed_s, depth=depth)
    await bus.open()
    span = Span(3, 0, registers)
    expected = tuple(range(registers))
    count = 0
    begin_s, begin_cpu_s = elapsed_s(), time.process_time()

    async def work() -> None:
        nonlocal count
        while elapsed_s() - begin_s < seconds:
            assert await bus.read(span, unit=1) == expected
            count += 1

    await asyncio.gather(*(work() for _ in range(depth)))
    wall_s, cpu_s = elapsed_s() - begin_s, time.process_time() - begin_cpu_s
    await bus.close()
    return count / wall_s, 1e6 * cpu_s / count


async def pymodbus_rate(port: int, *, registers: int, seconds: float) -> tuple[float, float]:
    """The same of pymodbus' async client."""
    async with AsyncModbusTcpClient("127.0.0.1", port=port, retries=0) as client:
        count = 0
        begin_s, begin_cpu_s = elapsed_s(), time.process_time()
        while elapsed_s() - begin_s < seconds:
            answer = await client.read_holding_registers(0, count=registers, device_id=1)
            assert answer.registers[-1] == registers - 1
            count += 1
        wall_s, cpu_s = elapsed_s() - begin_s, time.process_time() - begin_cpu_s
    return count / wall_s, 1e6 * cpu_s / count


def libmodbus_rate(port: int, *, registers: int, seconds: float) -> tuple[float, float]:
    """The same of libmodbus' client."""
    words = [str(PEERS / "libmodbus_client"), str(port), str(registers), str(seconds)]
    shown = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
    count, wall_s, cpu_s = map(float, shown)
    return count / wall_s, 1e6 * cpu_s / count


def compare(rounds: int, seconds: float) -> list[dict[str, object]]:
    """Interleaved rounds against one libmodbus server; medians."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    server = subprocess.Popen([str(PEERS / "libmodbus_server"), str(port)], stdout=subprocess.PIPE)
    rows: list[dict[str, object]] = []
    try:
        assert server.stdout is not None
        server.stdout.readline()
        for registers in REGISTERS:
            measured: dict[str, list[tuple[float, float]]] = {
                "libmodbus": [], "ours": [], "ours, depth 4": [], "pymodbus": [],
            }  # fmt: skip
            for _ in range(rounds):
                measured["libmodbus"].append(libmodbus_rate(port, registers=registers, seconds=seconds))
                measured["pymodbus"].append(asyncio.run(pymodbus_rate(port, registers=registers, seconds=seconds)))
                for name, depth in (("ours", 1), ("ours, depth 4", 4)):
                    measured[name].append(
                        asyncio.run(our_rate(port, registers=registers, depth=depth, seconds=seconds))
                    )
            base = median(rate for rate, _ in measured["libmodbus"])
            for name, pairs in measured.items():
                rate = median(rate for rate, _ in pairs)
                rows.append(
                    {
                        "client": name,
                        "registers": registers,
                        "requests_per_s": round(rate),
                        "points_per_s": round(rate * registers / 2),
                        "cpu_us_per_request": round(median(cpu for _, cpu in pairs)),
                        "ratio_to_libmodbus": round(rate / base, 3),
                    }
                )
    finally:
        server.kill()
        server.wait()
        if server.stdout is not None:
            server.stdout.close()
    return rows


def table(polled: dict[str, float], rows: list[dict[str, object]]) -> str:
    """The results as in docs/figures.md."""
    lines = [
        "| client | registers | requests/s | 32-bit points/s | CPU us a request | of libmodbus |",
        "|---|---|---|---|---|---|",
        *("| " + " | ".join(map(str, row.values())) + " |" for row in rows),
        "",
        (
            f"{UNIT_COUNT * POINT_COUNT} points of {UNIT_COUNT} units every {PERIOD_S:g} s: "
            f"{100 * polled['cpu_ratio_of_one_core']:.1f} % of one core ({polled['wall_s']:.0f} s, "
            f"{polled['samples_per_s']:.0f} samples/s, GOOD {100 * polled['good_ratio']:.0f} %, "
            f"{polled['cpu_us_per_request']:.0f} us a request with decoding and judging)."
        ),
    ]
    return "\n".join(lines)


def main() -> None:
    """Runs both parts; prints tables, then one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--serve", action="store_true", help="be the simulated plant")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long the plant is polled [s]")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--round-seconds", type=float, default=1.0)
    wanted = parser.parse_args()
    if wanted.serve:
        serve()
        return
    words = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as plant:
        assert plant.stdout is not None
        port = int(plant.stdout.readline())
        polled = asyncio.run(poll(port, wanted.seconds))
        plant.communicate()
    rows = compare(wanted.rounds, wanted.round_seconds) if (PEERS / "libmodbus_client").exists() else []
    print(table(polled, rows))
    if not rows:
        print("libmodbus is not there (make peers): no comparison")
    print(json.dumps({"bench": "tcp", "polling": polled, "speed": rows}))
    if os.environ.get("WRITE") == "1" and rows:
        text = FIGURES.read_text(encoding="utf-8")
        section = re.compile(rf"(^{HEADING}.*?\n\n)\|.*?\n(?=\n## |\Z)", re.MULTILINE | re.DOTALL)
        text, renewed = section.subn(lambda found: found[1] + table(polled, rows) + "\n", text)
        if renewed != 1:
            sys.exit(f"docs/figures.md has no section {HEADING!r} with a table")
        FIGURES.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
