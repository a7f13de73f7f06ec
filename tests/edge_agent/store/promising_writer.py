"""Run as a program by test_kill.py: appends frames and closes periods for ever, and promises each after its commit."""

import asyncio
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from drivers.sample import good
from edge_agent.rollup import Period
from edge_agent.store.rows import OutboxEntry
from edge_agent.store.store import Store

START = datetime(2026, 1, 15, 23, 50, tzinfo=UTC)


def promise(word: str, number: int) -> None:
    os.write(1, f"{word} {number}\n".encode())


async def main(state_dir: Path) -> None:
    store = await Store.open(state_dir, quota_mb=64, raw_days=90)
    period = Period(await store.last_period_end_utc(15) or START, 15)
    tick = 0
    while True:
        instant_utc = START + timedelta(seconds=10 * tick)  # crosses midnight: two day files
        samples = [good(f"tt1.temperature_{number}", instant_utc, tick + number / 8, "degC") for number in range(20)]
        promise("frame", await store.append_frame(samples, instant_utc=instant_utc, elapsed_s=float(tick)))
        if tick % 3 == 0:
            await store.close_period(period, [], [OutboxEntry("owner", lambda epoch, seq: f"{epoch} {seq}".encode())])
            period = period.next()
            promise("due", (await store.outbox_status("owner")).due)
        tick += 1


asyncio.run(main(Path(sys.argv[1])))
