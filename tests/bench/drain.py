"""A 30-day outage delivered, beside a bare aiomqtt publisher on the same broker: `python tests/bench/drain.py`.

2880 quarter hours of POINTS points wait in the outbox of a real store. The sender drains them through mosquitto to a
platform in a process of its own that acknowledges what it has (in batches, as databases do); then the bare publisher
sends the same bytes to the same broker, 20 in flight, and counts PUBACKs alone: no outbox, no flush, no
acknowledgement. Rounds interleaved, medians. While the backlog drains, new periods end all the time: how long each is
on its way is measured, and the memory of the sending process. The back-fill limit is opened for the rate; a run with
the default limit follows.

At the end the platform must hold every number with the bytes that were made. WRITE=1 renews the table in
docs/figures.md.
"""

import argparse
import asyncio
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import aiomqtt

from edge_agent.clock import elapsed_s
from edge_agent.rollup import Period, Rollup
from edge_agent.settings.model import ReportedPoint, Uplink, UplinkFile
from edge_agent.store.rows import OutboxEntry
from edge_agent.store.store import Store
from edge_agent.uplink.archive import Archive
from edge_agent.uplink.record import build_record, encode
from edge_agent.uplink.sender import Sender
from edge_agent.uplink.transports.mqtt_json import MqttJson

PERIODS = 2880
POINTS = 100
PERIOD_MIN = 15
START = datetime(2026, 1, 15, tzinfo=UTC)
INFLIGHT = 20
ACK_S = 0.02
LIVE_EVERY_S = 0.7
"""Longer than the sender's look at its outbox: each is the newest when it is seen."""
LOOK_S = 0.1
ROUNDS = 3
HOST = "127.0.0.1"
UNLIMITED_PER_S = 10_000.0
FIGURES = Path(__file__).resolve().parents[2] / "docs" / "figures.md"
HEADING = "## Delivery after an outage"


# ---------------------------------------------------------------------------------------------------------- platform
async def platform(port: int) -> None:
    """Keeps number and digest of all that comes, acknowledges every ACK_S, prints what it holds when input ends."""
    held: dict[str, dict[int, tuple[str, float]]] = {}
    epochs: dict[str, str] = {}
    fresh = asyncio.Event()
    async with aiomqtt.Client(HOST, port, identifier="platform") as client:
        await client.subscribe("hp/+/up/frame", qos=1)
        print("ready", flush=True)

        async def acknowledge() -> None:
            marks: dict[str, int] = {}
            while True:
                await fresh.wait()
                fresh.clear()
                for plant, epoch in list(epochs.items()):
                    numbers = held[plant]
                    mark = marks.get(plant, 0)
                    while mark + 1 in numbers:
                        mark += 1
                    marks[plant] = mark
                    above = [[seq, seq] for seq in sorted(seq for seq in numbers if seq > mark)]
                    ack = {"v": 1, "plant": plant, "epoch": epoch, "hwm": mark, "ranges": above[:1000]}
                    await client.publish(f"hp/{plant}/down/ack", json.dumps(ack), qos=1)
                await asyncio.sleep(ACK_S)

        async def receive() -> None:
            async for message in client.messages:
                plant = message.topic.value.split("/")[1]
                assert isinstance(message.payload, bytes)
                head = message.payload[:200]
                found = re.search(rb'"epoch":"([0-9a-f]+)","seq":(\d+)', head)
                if found is None:
                    continue
                if plant != "bare":
                    epochs[plant] = found[1].decode()
                mark = hashlib.sha256(message.payload).hexdigest()
                held.setdefault(plant, {}).setdefault(int(found[2]), (mark, elapsed_s()))  # one clock for all processes
                fresh.set()

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work()) for work in (acknowledge, receive)]
            await asyncio.to_thread(sys.stdin.read)
            for task in tasks:
                task.cancel()
    print(json.dumps(held), flush=True)


# ------------------------------------------------------------------------------------------------------------ outbox
CODES = [ReportedPoint(point=f"m{n // 10}.p{n}", code=f"11010890020{n:05}") for n in range(POINTS)]


def rollups(period: Period) -> dict[str, Rollup]:
    """Values that look like measured ones."""
    quarter = period.start_utc.timestamp() / 900
    return {
        entry.point: Rollup(
            entry.point, period.start_utc, PERIOD_MIN, *[round(quarter * (n + 7) % 977 / 7, 3)] * 5, 1.0, 90
        )
        for n, entry in enumerate(CODES)
    }


async def close(store: Store, period: Period, plant: str, digests: dict[int, str]) -> int:
    """A period ends; returns its number."""
    record = build_record(rollups(period), CODES, plant=plant, period=period)
    numbers: list[int] = []

    def made(epoch: str, seq: int) -> bytes:
        payload = encode(record, epoch=epoch, seq=seq, sent_at_utc=period.end_utc)
        digests[seq] = hashlib.sha256(payload).hexdigest()
        numbers.append(seq)
        return payload

    await store.close_period(period, [], [OutboxEntry("owner", made, made_utc=period.end_utc)])
    return numbers[0]


def memory_mb() -> float:
    """Resident memory of this process [MB]."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


async def drain(port: int, folder: Path, *, plant: str, per_s: float) -> dict[str, Any]:
    """Fills an outbox, drains it, and measures."""
    digests: dict[int, str] = {}
    store = await Store.open(folder, quota_mb=2000, raw_days=90)
    period = Period(START, PERIOD_MIN)
    for _ in range(PERIODS):
        await close(store, period, plant, digests)
        period = period.next()
    sender = Sender(
        uplink="owner",
        store=store,
        transport=MqttJson(broker=f"mqtt://{HOST}:{port}", plant=plant),
        archive=Archive(store, UplinkFile(), plant=plant),
        resend_s=30.0,
        backfill_per_s=per_s,
        now_utc=lambda: START,
        elapsed_s=elapsed_s,
    )
    before_mb = peak_mb = memory_mb()
    live: dict[int, float] = {}
    begin_s, cpu_s = elapsed_s(), time.process_time()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(sender.run())
        next_live_s = begin_s + LIVE_EVERY_S
        backlog = PERIODS
        while backlog:
            await asyncio.sleep(LOOK_S)
            peak_mb = max(peak_mb, memory_mb())
            backlog = (await sender.status()).backlog
            if backlog and elapsed_s() >= next_live_s:
                live[await close(store, period, plant, digests)] = elapsed_s()
                period = period.next()
                next_live_s += LIVE_EVERY_S
        seconds = elapsed_s() - begin_s
        used_s = time.process_time() - cpu_s
        running.cancel()
    status = await sender.status()
    await store.close()
    return {
        "records": status.due,
        "seconds": seconds,
        "per_s": status.due / seconds,
        "cpu_us_a_record": used_s / status.due * 1e6,
        "resent": status.resent,
        "memory_mb_before": before_mb,
        "memory_mb_peak": peak_mb,
        "digests": digests,
        "live": live,
    }


async def bare(port: int) -> dict[str, Any]:
    """The same kind of bytes, published and forgotten at PUBACK."""
    period = Period(START, PERIOD_MIN)
    payloads = []
    for seq in range(1, PERIODS + 1):
        record = build_record(rollups(period), CODES, plant="bare", period=period)
        payloads.append(encode(record, epoch="0" * 16, seq=seq, sent_at_utc=period.end_utc))
        period = period.next()
    async with aiomqtt.Client(HOST, port, max_inflight_messages=INFLIGHT) as client:
        client.pending_calls_threshold = INFLIGHT
        places = asyncio.Semaphore(INFLIGHT)

        async def publish(payload: bytes) -> None:
            async with places:
                await client.publish("hp/bare/up/frame", payload, qos=1)

        begin_s, cpu_s = elapsed_s(), time.process_time()
        async with asyncio.TaskGroup() as group:
            for payload in payloads:
                group.create_task(publish(payload))
        seconds = elapsed_s() - begin_s
    return {
        "seconds": seconds,
        "per_s": PERIODS / seconds,
        "cpu_us_a_record": (time.process_time() - cpu_s) / PERIODS * 1e6,
        "payload_bytes": sum(map(len, payloads)) / PERIODS,
    }


# -------------------------------------------------------------------------------------------------------------- bench
@contextmanager
def broker(folder: Path) -> Iterator[int]:
    """A mosquitto; its queue for a slow subscriber is not cut."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        sys.exit("mosquitto is not installed")
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = int(probe.getsockname()[1])
    configuration = folder / "mosquitto.conf"
    configuration.write_text(f"listener {port} {HOST}\nallow_anonymous true\nmax_queued_messages 0\nlog_type error\n")
    with subprocess.Popen([program, "-c", configuration], stderr=subprocess.DEVNULL) as process:
        try:
            while True:
                with socket.socket() as probe:
                    if probe.connect_ex((HOST, port)) == 0:
                        break
                time.sleep(0.05)
            yield port
        finally:
            process.terminate()


def role(*words: str) -> dict[str, Any]:
    """Runs this file in another role; its last line is its answer."""
    done = subprocess.run([sys.executable, __file__, *words], stdout=subprocess.PIPE, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--role", choices=("bench", "platform", "drain", "bare"), default="bench")
    parser.add_argument("--port", type=int)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--plant", default="p0")
    parser.add_argument("--per-s", type=float, default=UNLIMITED_PER_S)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    chosen = parser.parse_args()
    if chosen.role == "platform":
        asyncio.run(platform(chosen.port))
    elif chosen.role == "drain":
        print(json.dumps(asyncio.run(drain(chosen.port, chosen.folder, plant=chosen.plant, per_s=chosen.per_s))))
    elif chosen.role == "bare":
        print(json.dumps(asyncio.run(bare(chosen.port))))
    else:
        bench(chosen.rounds)


def bench(rounds: int) -> None:
    """All rounds and the comparison of what was sent with what has come."""
    with tempfile.TemporaryDirectory(prefix="drain-") as name, broker(Path(name)) as port:
        folder = Path(name)
        there = ("--port", str(port))
        with subprocess.Popen(
            [sys.executable, __file__, "--role", "platform", *there],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        ) as receiver:  # fmt: skip
            assert receiver.stdin is not None
            assert receiver.stdout is not None
            receiver.stdout.readline()
            ours, theirs = [], []
            for number in range(rounds):
                place = ("--folder", str(folder / f"p{number}"), "--plant", f"p{number}")
                ours.append(role("--role", "drain", *there, *place))
                theirs.append(role("--role", "bare", *there))
            limit_per_s = float(Uplink.model_fields["backfill_per_s"].default)
            place = ("--folder", str(folder / "paced"), "--plant", "paced", "--per-s", str(limit_per_s))
            paced = role("--role", "drain", *there, *place)
            out, _ = receiver.communicate("")
        held = json.loads(out.splitlines()[-1])
    runs = {**{f"p{number}": run for number, run in enumerate(ours)}, "paced": paced}
    for plant, run in runs.items():
        came = held[plant]
        run["lost"] = len(run["digests"].keys() - came.keys())
        run["altered"] = sum(came[seq][0] != digest for seq, digest in run["digests"].items() if seq in came)
        delays_s = [came[seq][1] - made_s for seq, made_s in run["live"].items() if seq in came]
        run["live_count"] = len(delays_s)
        run["live_s_max"] = max(delays_s, default=None)
    result = {
        "bench": "drain",
        "records": PERIODS,
        "points": POINTS,
        "payload_bytes": round(theirs[0]["payload_bytes"]),
        "ours_per_s": round(median(run["per_s"] for run in ours)),
        "bare_per_s": round(median(run["per_s"] for run in theirs)),
        "ratio": round(median(run["per_s"] for run in ours) / median(run["per_s"] for run in theirs), 2),
        "cpu_us_a_record": [round(median(run["cpu_us_a_record"] for run in runs_)) for runs_ in (ours, theirs)],
        "live_s_max": round(max(run["live_s_max"] or 0.0 for run in ours), 3),
        "live_records": sum(run["live_count"] for run in ours),
        "memory_mb": [round(max(run[key] for run in ours), 1) for key in ("memory_mb_before", "memory_mb_peak")],
        "resent": sum(run["resent"] for run in runs.values()),
        "lost": sum(run["lost"] for run in runs.values()),
        "altered": sum(run["altered"] for run in runs.values()),
        "paced_limit_per_s": limit_per_s,
        "paced_per_s": round(paced["per_s"], 1),
        "paced_live_s_max": None if paced["live_s_max"] is None else round(paced["live_s_max"], 3),
        "paced_live_records": paced["live_count"],
    }
    print(json.dumps(result))
    if os.environ.get("WRITE") == "1":
        write(result)
    if result["lost"] or result["altered"]:
        sys.exit("records were lost or altered")


def write(result: dict[str, Any]) -> None:
    """Renews the table in docs/figures.md."""
    text = FIGURES.read_text(encoding="utf-8")
    ours_us, bare_us = result["cpu_us_a_record"]
    before_mb, peak_mb = result["memory_mb"]
    table = f"""{HEADING} ({time.strftime("%Y-%m-%d", time.gmtime())})

`python tests/bench/drain.py`: {result["records"]} quarter hours of {result["points"]} points
({result["payload_bytes"]} bytes each) through mosquitto to a platform that acknowledges what it has; beside it the bare
publisher, same bytes, same broker, PUBACK only. Medians of interleaved rounds.

| | sender, end-to-end acknowledged | bare aiomqtt |
|---|---|---|
| records a second | {result["ours_per_s"]} | {result["bare_per_s"]} |
| ratio | {result["ratio"]} | 1 |
| processor time a record | {ours_us} us | {bare_us} us |
| lost, altered, sent again | {result["lost"]}, {result["altered"]}, {result["resent"]} | - |
| new records meanwhile: worst delay | {result["live_s_max"]} s of {result["live_records"]} | - |
| memory before, peak | {before_mb} MB, {peak_mb} MB | - |
| at the default limit | {result["paced_per_s"]}/s, new records at most {result["paced_live_s_max"]} s late | - |
"""
    if HEADING in text:
        text = re.sub(rf"{re.escape(HEADING)}.*?(?=\n## |\Z)", lambda _: table, text, flags=re.DOTALL)
    else:
        text = f"{text.rstrip()}\n\n{table}"
    FIGURES.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
