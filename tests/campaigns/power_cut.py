"""Cuts the power under the product, again and again: of what it promised nothing may be gone when it comes back.

Two kinds of trials, both with the product unmodified on a disk of tests/campaigns/power_fs.py:

- `writer_trial`: a process with the product's store alone, which promises thousands of frames and records;
- `agent_trial`: the whole agent on a simulated site (`--promise-fd`), with uplinks; a cut takes the machine's power,
  the agent boots again.

After each cut every database must be sound or have been set aside, every promised frame must be read back with all its
samples, and every promised record must still be due or delivered. `--planted normal` plants a store that does not
flush: the campaign must count losses then. The last line is one JSON object; exit status 1 when something was lost
(with a planted bug: when nothing was).
"""

import argparse
import asyncio
import json
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from planted_store import BUGS
from power_fs import Disk, available

from edge_agent.clock import elapsed_s
from edge_agent.store.reader import read_samples
from hil_sim.demo import Options, Play
from hil_sim.scenario import load

PLANTED = Path(__file__).with_name("planted_store.py")
SAMPLES_A_FRAME = 20
"""Of the writer."""
FAR = timedelta(days=40_000)
MIDDLE = datetime(2026, 1, 15, tzinfo=UTC)
CUT_AFTER_PROMISES_MAX = 220
AGENT_DAYS = 0.25


@dataclass
class Trial:
    """What became of the promises.

    Attributes:
        seed: repeats the trial.
        cuts: how often the power went.
        frames_promised: frames whose number was given out.
        frames_lost: promised and not read back whole.
        records_promised: records that were said to be in the outbox.
        records_lost: of these, neither due nor delivered afterwards.
        unsound: databases that SQLite's integrity check finds fault with after a cut.
        failures: what else went wrong, in words.
        writes_waiting: writes that were not on the medium when the power went.
    """

    seed: int
    cuts: int = 0
    frames_promised: int = 0
    frames_lost: int = 0
    records_promised: int = 0
    records_lost: int = 0
    unsound: int = 0
    writes_waiting: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether everything promised was kept."""
        return not (self.frames_lost or self.records_lost or self.unsound or self.failures)


def writer_trial(seed: int, *, cuts: int, planted: str = "none") -> Trial:
    """Cuts the power under the store alone."""
    trial = Trial(seed)
    dice = random.Random(f"cuts {seed}")
    frames: set[int] = set()
    with tempfile.TemporaryDirectory(prefix="power-cut-") as folder, Disk(Path(folder) / "state", seed=seed) as disk:
        for _ in range(cuts):
            words = _until_cut(disk, dice.randrange(1, CUT_AFTER_PROMISES_MAX), planted, trial)
            if not words:
                trial.failures.append("the writer did not start after a cut")
                break
            mine = [int(number) for word, number in words if word == "frame"]
            if frames & set(mine):
                trial.failures.append("a frame number was given twice")
            frames.update(mine)
            trial.frames_promised += len(mine)
            trial.records_promised = max([trial.records_promised, *(int(n) for word, n in words if word == "due")])
            trial.unsound += _unsound(disk.mount)
        found = Counter(stored.frame for stored in read_samples(disk.mount, MIDDLE - FAR, MIDDLE + FAR))
        trial.frames_lost = sum(found[frame] != SAMPLES_A_FRAME for frame in frames)
        trial.records_lost = max(0, trial.records_promised - _records(disk.mount))
    return trial


def _until_cut(disk: Disk, promises: int, planted: str, trial: Trial) -> list[list[str]]:
    """Lets the writer promise so many things, takes its power, and returns what it has promised."""
    command = [sys.executable, str(PLANTED), planted, "writer", str(disk.mount)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(promises)]
        counts = disk.cut()
        process.kill()
        rest, error = process.communicate()
        lines += rest.splitlines()
    if not any(lines):
        trial.failures.append(error[-500:])
    trial.cuts += 1
    trial.writes_waiting += counts["writes_waiting"]
    disk.restore()
    return [line.split() for line in lines if line.strip()]


def _unsound(state_dir: Path) -> int:
    """Databases that are damaged; each is looked at as the next start finds it."""
    count = 0
    for path in [state_dir / "state.db", *(state_dir / "frames").glob("*.db")]:
        if not path.exists():
            continue
        connection = sqlite3.connect(path)
        try:
            count += connection.execute("PRAGMA integrity_check").fetchone() != ("ok",)
        except sqlite3.DatabaseError:
            count += 1
        finally:
            connection.close()
    return count


def _records(state_dir: Path) -> int:
    connection = sqlite3.connect(state_dir / "state.db")
    try:
        return int(connection.execute("SELECT coalesce(max(seq_last), 0) FROM stream").fetchone()[0])
    finally:
        connection.close()


def agent_trial(seed: int, *, cuts: int, speed_ratio: float = 240.0, planted: str = "none") -> Trial:
    """Cuts the power under the whole agent on a simulated site."""
    return asyncio.run(_agent_trial(seed, cuts=cuts, speed_ratio=speed_ratio, planted=planted))


async def _agent_trial(seed: int, *, cuts: int, speed_ratio: float, planted: str) -> Trial:
    trial = Trial(seed)
    scenario = load("winter-day").changed(days=AGENT_DAYS, seed=seed)
    agent = (sys.executable, str(PLANTED), planted) if planted != "none" else ()
    options = Options(scenario=scenario, speed_ratio=speed_ratio, keep=True, verb="power", agent=agent)
    play = Play(options, wall_s=elapsed_s)
    with Disk(play.site.state_dir, seed=seed) as disk:
        async with asyncio.TaskGroup() as group:
            cutting = group.create_task(_cut_often(play, disk, cuts, seed, trial))
            result: dict[str, Any] = await play.run()
            cutting.cancel()
        trial.frames_promised = len(play.agent.promised)
        trial.frames_lost = int(result["samples_lost"])
        trial.records_promised = int(result["records_due"])
        trial.records_lost = int(result["records_lost"])
        trial.unsound = len(list(play.site.state_dir.glob("**/*.damaged-*")))
        trial.failures += [str(failure) for failure in result["failures"]]
        if trial.cuts < cuts:
            trial.failures.append(f"only {trial.cuts} cuts")
    if trial.good:
        shutil.rmtree(play.folder, ignore_errors=True)
    else:
        trial.failures.append(f"kept: {play.folder}")
    return trial


async def _cut_often(play: Play, disk: Disk, cuts: int, seed: int, trial: Trial) -> None:
    """Each cut comes when the agent has lived through some more frames."""
    dice = random.Random(f"agent cuts {seed}")
    while trial.cuts < cuts:
        wanted = len(play.agent.promised) + dice.randrange(5, 60)
        while len(play.agent.promised) < wanted:  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(0.01 + dice.random() / 20)
        counts = await asyncio.to_thread(disk.cut)
        play.agent.hold()
        while play.agent.running:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
        await asyncio.to_thread(disk.restore)
        play.agent.release()
        trial.cuts += 1
        trial.writes_waiting += counts["writes_waiting"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs trials, prints, and returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=5, help="of the store alone")
    parser.add_argument("--cuts", type=int, default=10, help="in each of them")
    parser.add_argument("--agent-trials", type=int, default=1, help="of the whole agent")
    parser.add_argument("--agent-cuts", type=int, default=6, help="in each of them")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--planted", choices=sorted(BUGS), default="none")
    chosen = parser.parse_args(arguments)
    reason = available()
    if reason:
        print(json.dumps({"target": "power-cut", "trials": 0, "failed": 0, "skipped": [reason]}))
        return 1
    begin_s = time.monotonic()
    trials = []
    for number in range(chosen.trials + chosen.agent_trials):
        seed = chosen.seed + number
        if number < chosen.trials:
            trial = writer_trial(seed, cuts=chosen.cuts, planted=chosen.planted)
        else:
            trial = agent_trial(seed, cuts=chosen.agent_cuts, planted=chosen.planted)
        trials.append(trial)
        print(json.dumps(asdict(trial), ensure_ascii=False), flush=True)
    failed = sum(not trial.good for trial in trials)
    totals = {
        name: sum(getattr(trial, name) for trial in trials)
        for name in ("cuts", "frames_promised", "frames_lost", "records_promised", "records_lost", "unsound")
    }
    print(
        json.dumps(
            {"target": "power-cut", "planted": chosen.planted, "trials": len(trials), "failed": failed}
            | totals
            | {"skipped": [], "seed": chosen.seed, "seconds": round(time.monotonic() - begin_s, 1)}
        )
    )
    return int(failed > 0 if chosen.planted == "none" else failed == 0)


if __name__ == "__main__":
    sys.exit(main())
