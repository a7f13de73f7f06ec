"""A writer is killed at a random moment, again and again: every promise it made is kept."""

import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge_agent.store.reader import read_samples
from edge_agent.store.store import Store

WRITER = Path(__file__).with_name("promising_writer.py")
DAY = datetime(2026, 1, 15, tzinfo=UTC)
KILLS = 5


def killed(state_dir: Path, *, after: int) -> list[str]:
    """Runs the writer, kills it after so many promises, and returns all that it managed to give."""
    with subprocess.Popen([sys.executable, WRITER, state_dir], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        promises = [process.stdout.readline() for _ in range(after)]
        process.kill()
        # What it promised between our last look and its death counts as well.
        promises += process.stdout.readlines()
    return promises


@pytest.mark.parametrize("seed", [20260115])
async def test_nothing_promised_is_lost_by_kill_9(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - moments of kills, not secrets
    frames: list[int] = []
    due = 0
    for _ in range(KILLS):
        promises = killed(tmp_path, after=rng.randrange(1, 120))
        assert promises[0], f"the writer died by itself, seed {seed}"
        for line in promises:
            word, number = line.split()
            if word == "frame":
                frames.append(int(number))
            else:
                due = max(due, int(number))
    assert frames == sorted(set(frames)), "a frame number was given twice"
    stored: dict[int, int] = {}
    for found in read_samples(tmp_path, DAY, DAY + timedelta(days=2)):
        stored[found.frame] = stored.get(found.frame, 0) + 1
    assert set(frames) <= set(stored)
    assert set(stored.values()) == {20}
    store = await Store.open(tmp_path, quota_mb=64, raw_days=90)
    rows = await store.outbox_due("owner", 10_000)
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
    assert due <= len(rows) <= due + KILLS
    assert len({row.start_utc for row in rows}) == len(rows)
    await store.close()
