"""The store: size of a day, and what 500 points a second cost: `python tests/bench/store.py [--minutes N]`.

(a) A day of 300 points every 10 s, as meters show them: temperatures and flows that wander, powers in float32, totals
that grow, codes that rarely change, instants that jitter by a request. Bytes on the disk as they come, and packed.
(b) 500 points a second for N minutes (10): processor time as a share of that time, bytes written to the disk by this
process, and the time of a frame beside that of a bare SQLite commit of as many bytes on the same disk, taken in turns.
"""

import argparse
import asyncio
import json
import os
import random
import sqlite3
import struct
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from drivers.sample import Sample, good
from edge_agent.clock import cpu_s, stopwatch
from edge_agent.clock_quality import ClockQuality
from edge_agent.store.store import Store

START = datetime(2026, 1, 15, tzinfo=UTC)
DAY_POINTS, DAY_PERIOD_S = 300, 10
POINTS_A_SECOND = 500
REQUEST_POINTS = 15
"""Points of one answer on the wire: they share its instant."""
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of its own below; (a) measures bytes, not the disk


def plant(count: int, seed: int) -> Iterator[list[float]]:
    """Values of the points, scan by scan."""
    dice = random.Random(seed)  # noqa: S311 - reproducible values
    kinds = [number % 10 for number in range(count)]
    state = [dice.uniform(5, 60) for _ in kinds]
    while True:
        values = []
        for place, kind in enumerate(kinds):
            if kind < 5:  # temperature, pressure: a random walk in tenths
                state[place] += dice.gauss(0, 0.03)
                values.append(round(state[place] * 10) / 10)
            elif kind < 7:  # flow, power: noise in float32
                values.append(struct.unpack("<f", struct.pack("<f", state[place] * (1 + dice.gauss(0, 0.005))))[0])
            elif kind < 9:  # total, in hundredths
                state[place] += dice.random() / 30
                values.append(int(state[place] * 100) / 100)
            else:  # code
                values.append(float(dice.random() < 0.001))
        yield values


def scans(count: int, *, period_s: float, seed: int) -> Iterator[tuple[datetime, list[Sample]]]:
    """Scans of a plant, for ever."""
    dice = random.Random(seed)  # noqa: S311 - reproducible jitter
    names = [f"dev{place // REQUEST_POINTS}.point{place}" for place in range(count)]
    instant_utc = START
    for values in plant(count, seed):
        instant_utc += timedelta(seconds=period_s)
        samples = []
        read_utc = instant_utc
        for place, value in enumerate(values):
            if place % REQUEST_POINTS == 0:
                read_utc = instant_utc - timedelta(seconds=dice.uniform(0, period_s / 3))
            samples.append(good(names[place], read_utc, value, "kW"))
        yield instant_utc, samples


def written_bytes() -> int:
    """Bytes that this process has caused to be written to block devices."""
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


def size_bytes(folder: Path) -> int:
    """Bytes of all files below."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


async def day(place: Path | None) -> None:
    """(a)."""
    with tempfile.TemporaryDirectory(dir=place) as name:
        folder = Path(name)
        store = await Store.open(folder, quota_mb=2000, raw_days=90)
        source = scans(DAY_POINTS, period_s=DAY_PERIOD_S, seed=1)
        for _ in range(86_400 // DAY_PERIOD_S - 1):
            instant_utc, samples = next(source)
            await store.append_frame(samples, instant_utc=instant_utc, elapsed_s=0.0, clock=ClockQuality.SYNCHRONISED)
        as_it_came = size_bytes(folder / "frames")
        late_utc = START + timedelta(days=1, hours=2)
        await store.append_frame(samples[:1], instant_utc=late_utc, elapsed_s=0.0)
        before_s, passed_s = cpu_s(), stopwatch()
        while await store.tend_once():
            pass
        pack_cpu_s, pack_s = cpu_s() - before_s, passed_s()
        await store.close()
        packed = (folder / "frames" / f"{START.date()}.db").stat().st_size
    print(
        json.dumps(
            {
                "bench": "store_day",
                "points": DAY_POINTS,
                "period_s": DAY_PERIOD_S,
                "mb_a_day_frames": round(as_it_came / 1e6, 2),
                "mb_a_day_packed": round(packed / 1e6, 2),
                "ratio_packed": round(packed / as_it_came, 3),
                "pack_cpu_s_a_day": round(pack_cpu_s, 2),
                "pack_s_a_day": round(pack_s, 2),
            }
        ),
        flush=True,
    )


async def load(minutes: float) -> None:
    """(b)."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = await Store.open(folder, quota_mb=2000, raw_days=90)
        bare = sqlite3.connect(folder / "bare.db", isolation_level=None)
        bare.execute("PRAGMA journal_mode = WAL")
        bare.execute("PRAGMA synchronous = FULL")
        bare.execute("CREATE TABLE frame (seq INTEGER PRIMARY KEY, blob BLOB)")
        source = scans(POINTS_A_SECOND, period_s=1, seed=2)
        frame_s: list[float] = []
        bare_s: list[float] = []
        cpu, written, blob_bytes = 0.0, 0, 4000
        count = round(60 * minutes)
        for number in range(count):
            instant_utc, samples = next(source)
            before_s, before_bytes, passed_s = cpu_s(), written_bytes(), stopwatch()
            await store.append_frame(samples, instant_utc=instant_utc, elapsed_s=0.0, clock=ClockQuality.SYNCHRONISED)
            frame_s.append(passed_s())
            cpu += cpu_s() - before_s
            written += written_bytes() - before_bytes
            if number == 0:
                blob_bytes = _blob_bytes(folder)
            passed_s = stopwatch()
            bare.execute("INSERT INTO frame (blob) VALUES (?)", (os.urandom(blob_bytes),))
            bare_s.append(passed_s())
        bare.close()
        await store.close()
    print(
        json.dumps(
            {
                "bench": "store_load",
                "points_a_second": POINTS_A_SECOND,
                "minutes": minutes,
                "cpu_share": round(cpu / count, 4),
                "kib_written_a_frame": round(written / count / 1024, 1),
                "gb_written_a_day": round(written / count * 86_400 / 1e9, 2),
                "frame_bytes": blob_bytes,
                "frame_ms_median": round(1000 * median(frame_s), 2),
                "ratio_to_bare_commit": round(median(frame_s) / median(bare_s), 2),
            }
        ),
        flush=True,
    )


def _blob_bytes(folder: Path) -> int:
    connection = sqlite3.connect(folder / "frames" / f"{START.date()}.db")
    try:
        return int(connection.execute("SELECT length(blob) FROM frame").fetchone()[0])
    finally:
        connection.close()


def main() -> None:
    """Prints one JSON object a figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    arguments = parser.parse_args()
    asyncio.run(day(MEMORY if MEMORY.is_dir() else None))
    asyncio.run(load(arguments.minutes))


if __name__ == "__main__":
    main()
