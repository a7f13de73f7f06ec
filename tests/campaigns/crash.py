"""`make crash`: kills, power cuts, full disks, clock jumps, dying brokers and platforms, and nothing may be lost.

The agent is a process of its own against simulated meters on real sockets, behind a real mosquitto with its default
persistence; the platform counts what it really has. A site lives through several trials, one after the other; after
each, time stands still and both sides are compared (crash_judge says what must hold). At the end of its life
`edge-agent export` and `edge-agent upload verify` of the command line are held against the same truth.

`--count N`: N kills, N/10 power cuts, N/50 full disks and clock jumps, N/20 broker and platform restarts, at least one
of each. A campaign that was interrupted goes on with the next life when the same command is given again; `--only LIFE`
replays one life of the same count and seed, `--keep` leaves its folder. What cannot be tried here (no root, no
/dev/fuse, no mosquitto) stands in `skipped`, and the exit status is 1 then, unless ALLOW_SKIP=1.

`--planted`: agents with a bug each (crash_planted), which the campaign must catch.

The last line is one JSON object.
"""

import argparse
import asyncio
import concurrent.futures
import hashlib
import json
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from crash_judge import Verdict, judge
from crash_planted import BUGS
from crash_site import SPEED, UPLINK, CrashSite, Stuck
from crash_trials import ON_A_DISK, TRIALS, Ground
from power_fs import Disk, available

from edge_agent.errors import EdgeAgentError
from hil_sim.score import export_samples, read_export
from hil_sim.supervisor import AgentFailed

COUNT_DEFAULT = 1000
SHARES = {
    "kill": 1,
    "power_cut": 10,
    "full_disk": 50,
    "clock_jump": 50,
    "broker_restart": 20,
    "platform_restart": 20,
}
"""N over this many of each."""
COUNTED = {
    "frames_promised": "frames",
    "frames_lost": "lost",
    "records_due": "records",
    "records_lost": "lost",
    "records_altered": "altered",
    "values_lost": "values lost",
    "values_wrong": "wrong",
    "duplicates": "repeats",
    "duplicates_declared": "declared",
}
"""Counts of a verdict, and their titles."""
TRIALS_A_LIFE = 12
DISK_BYTES = 24_000_000
"""Of the disk that is filled: with the quota well above it, the disk is what runs out."""
REPOSITORY = Path(__file__).resolve().parents[2]
PLANTED_KINDS = {
    "normal": "power_cut",
    "puback": "platform_restart",
    "written": "broker_restart",
    "unsure": "clock_jump",
}
PLANTED_TRIALS_MAX = 40
LOG_LINES_SHOWN = 12


@dataclass(frozen=True)
class Life:
    """One site and what it lives through.

    Attributes:
        number: which.
        seed: of the campaign.
        kinds: its trials, in order.
        planted: bug in its agent; `none`.
        stop_at_fault: end at the first trial that finds something.
    """

    number: int
    seed: int
    kinds: tuple[str, ...]
    planted: str = "none"
    stop_at_fault: bool = False


def lives(count: int, seed: int, *, skip: Sequence[str] = ()) -> list[Life]:
    """Spreads the trials over lives: those on a disk of ours together, all others mixed by dice."""
    dice = random.Random(f"{seed}/lives")
    wanted = {kind: max(1, count // share) for kind, share in SHARES.items() if kind not in skip}
    groups: list[list[str]] = [
        ["power_cut"] * wanted.get("power_cut", 0),
        ["full_disk"] * wanted.get("full_disk", 0),
        [kind for kind, number in wanted.items() if kind not in ON_A_DISK for _ in range(number)],
    ]
    found: list[Life] = []
    for group in groups:
        dice.shuffle(group)
        for first in range(0, len(group), TRIALS_A_LIFE):
            found.append(Life(len(found), seed, tuple(group[first : first + TRIALS_A_LIFE])))
    return found


def live(life: Life, *, keep: bool = False) -> list[dict[str, Any]]:
    """Lives one life in this process; one entry a trial, and one for its end."""
    return asyncio.run(_live(life, keep=keep))


async def _live(life: Life, *, keep: bool) -> list[dict[str, Any]]:
    folder = Path(tempfile.mkdtemp(prefix=f"crash-{life.seed}-{life.number}-"))
    mosquitto = _mosquitto()
    assert mosquitto is not None
    site = CrashSite(folder, seed=life.seed * 1000 + life.number, mosquitto=mosquitto, bug=life.planted)
    disk = None
    if ON_A_DISK & set(life.kinds):
        space = {"bytes_max": DISK_BYTES} if "full_disk" in life.kinds else {}
        disk = Disk(site.state_dir, seed=life.seed * 1000 + life.number, **space)
    entries: list[dict[str, Any]] = []
    try:
        async with asyncio.timeout(600), site.life(disk), asyncio.TaskGroup() as tasks:
            for number, kind in enumerate(life.kinds):
                entries.append(await _trial(site, disk, tasks, life=life, number=number, kind=kind))
                if entries[-1]["faults"] and life.stop_at_fault:
                    break
                site.clock.set_speed(SPEED)
            if life.planted == "none":
                entries.append(await _end(site, life))
            if site._listening is not None:
                await site.stop_platform()
    except* (Stuck, AgentFailed, TimeoutError, OSError, EdgeAgentError) as found:
        entries.append(_entry(life, len(entries), "life", [f"{type(e).__name__}: {e}" for e in _flat(found)]))
    good = not any(entry["faults"] for entry in entries)
    if not good and life.planted == "none":
        entries[-1]["log"] = _tail(folder / "agent.log")
    if good or life.planted != "none":
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    else:
        entries[-1]["folder"] = str(folder)
    return entries


async def _trial(
    site: CrashSite, disk: Disk | None, tasks: asyncio.TaskGroup, *, life: Life, number: int, kind: str
) -> dict[str, Any]:
    begin_s = time.monotonic()
    dice = random.Random(f"{life.seed}/{life.number}/{number}/{kind}")
    said = await TRIALS[kind](Ground(site, disk, tasks, dice))
    verdict = await judge(site)
    entry = _entry(life, number, kind, verdict.faults)
    return entry | {"said": said, "seconds": round(time.monotonic() - begin_s, 2), "counts": _counts(verdict)}


def _entry(life: Life, number: int, kind: str, faults: Sequence[str]) -> dict[str, Any]:
    return {"life": life.number, "trial": number, "kind": kind, "faults": list(faults)}


def _counts(verdict: Verdict) -> dict[str, int]:
    return {name: value for name, value in asdict(verdict).items() if isinstance(value, int)}


async def _end(site: CrashSite, life: Life) -> dict[str, Any]:
    """The command line must say the same: the export of every promised frame, and the ledger's verdict."""
    site.clock.hold()
    faults = []
    target = site.folder / "export.csv"
    first_s, last_s = site.start_s - 86_400.0, site.start_s + 2 * 86_400.0
    status = await export_samples(config=site.config, first_s=first_s, last_s=last_s, target=target)
    with target.open(encoding="utf-8", newline="") as lines:
        frames = {sample.frame for sample in read_export(lines)}
    if status or set(site.agent.promised) - frames:
        faults.append(
            f"export: status {status}, {len(set(site.agent.promised) - frames)} promised frames are not in it"
        )
    command = [sys.executable, "-m", "edge_agent", "upload", "verify", "--config", str(site.config), "--json"]
    command += ["--from", "2027-01-12T00:00Z"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    answer = json.loads(out)
    account = answer["uplinks"][UPLINK]
    if account["missing"] or account["unproven"] or answer["chain"]["broken_at"] is not None:
        faults.append(f"upload verify: {account['missing'][:3]} {account['unproven'][:3]}")
    if account["acknowledged"] != len(site.platform.held_periods()):
        faults.append(f"verify says {account['acknowledged']}, platform has {len(site.platform.held_periods())}")
    return _entry(life, len(life.kinds), "end", faults)


def _flat(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _flat(error)
        else:
            yield error


def _tail(log: Path) -> str:
    with suppress(OSError):
        return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES_SHOWN:])
    return ""


def _mosquitto() -> str | None:
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


# ---------------------------------------------------------------------------------------------------------- campaign
def main() -> int:
    """Runs the campaign, prints, and returns the exit status."""
    arguments = _arguments()
    begin_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="crash-compiled-") as compiled:
        # Each start would compile every module anew where the environment forbids to keep what is compiled.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = compiled
        return _main(arguments, begin_s=begin_s)


def _main(arguments: argparse.Namespace, *, begin_s: float) -> int:
    skipped: list[str] = []
    if _mosquitto() is None:
        skipped.append("everything: mosquitto is not installed")
    elif reason := available():
        skipped += [f"{kind}: {reason}" for kind in sorted(ON_A_DISK)]
    try:
        result = _planted(arguments) if arguments.planted else _campaign(arguments, skipped)
    except KeyboardInterrupt:
        print("interrupted: the same command goes on with the next life", file=sys.stderr)
        return 130
    result |= {"skipped": skipped, "seed": arguments.seed, "seconds": round(time.monotonic() - begin_s, 1)}
    print(json.dumps(result, ensure_ascii=False))
    allowed = os.environ.get("ALLOW_SKIP") == "1"
    return int(result["failed"] > 0 or (bool(skipped) and not allowed))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=COUNT_DEFAULT, help="how many kills; the others follow from it")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--parallel", type=int, default=max(1, min(8, (os.cpu_count() or 2) + 1)), help="lives at a time"
    )
    parser.add_argument("--only", type=int, help="this life alone")
    parser.add_argument("--keep", action="store_true", help="leave the folders of good lives as well")
    parser.add_argument("--fresh", action="store_true", help="do not go on with an interrupted campaign")
    parser.add_argument("--planted", action="store_true", help="planted bugs: each must be caught")
    return parser.parse_args()


def _campaign(arguments: argparse.Namespace, skipped: Sequence[str]) -> dict[str, Any]:
    skip = (
        tuple(SHARES) if any(text.startswith("everything") for text in skipped) else tuple(ON_A_DISK if skipped else ())
    )
    all_lives = lives(arguments.count, arguments.seed, skip=skip)
    if arguments.only is not None:
        all_lives = [life for life in all_lives if life.number == arguments.only]
    book = _book(arguments)
    if arguments.fresh or arguments.only is not None:
        book.unlink(missing_ok=True)
    done = [json.loads(line) for line in book.read_text(encoding="utf-8").splitlines()] if book.exists() else []
    entries = [entry for life in done for entry in life]
    lived = {entry["life"] for entry in entries}
    if lived:
        print(f"goes on after {len(lived)} lives ({book})", flush=True)
    waiting = [life for life in all_lives if life.number not in lived]
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(arguments.parallel, mp_context=context) as pool:
        futures = {pool.submit(live, life, keep=arguments.keep): life for life in waiting}
        for future in concurrent.futures.as_completed(futures):
            found = future.result()
            with book.open("a", encoding="utf-8") as file:
                file.write(json.dumps(found, ensure_ascii=False) + "\n")
            entries += found
            _show(found, len({entry["life"] for entry in entries}), len(all_lives))
    return _result(entries, arguments)


def _result(entries: Sequence[dict[str, Any]], arguments: argparse.Namespace) -> dict[str, Any]:
    """Prints the table and how to replay what failed; returns the figures."""
    trials = _each(entries)
    kinds = sorted({trial["kind"] for trial in trials})
    rows = {kind: _row([trial for trial in trials if trial["kind"] == kind]) for kind in kinds}
    total = _row(trials)
    print(_table(rows | {"all": total}), flush=True)
    for entry in entries:
        if entry["faults"]:
            command = f"crash.py --count {arguments.count} --seed {arguments.seed} --only {entry['life']} --keep"
            print(f"replay trial {entry['trial']} {entry['kind']}: .venv/bin/python tests/campaigns/{command}")
    return {
        "target": "crash",
        "trials": len(trials),
        "failed": sum(bool(entry["faults"]) for entry in entries),
        "by_kind": {kind: row["trials"] for kind, row in rows.items()},
        "failed_by_kind": {kind: row["failed"] for kind, row in rows.items() if row["failed"]},
        "samples_lost": total["frames_lost"],
        **{name: total[name] for name in COUNTED},
        "trial_seconds_median": total["seconds"] if trials else None,
    }


def _each(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The trials, each with what it added to the counts of its life."""
    found = []
    before: dict[int, dict[str, int]] = {}
    for entry in entries:
        if "counts" in entry:
            counts = before.setdefault(entry["life"], {})
            found.append(
                entry | {"added": {name: max(0, entry["counts"][name] - counts.get(name, 0)) for name in COUNTED}}
            )
            before[entry["life"]] = {name: max(entry["counts"][name], counts.get(name, 0)) for name in COUNTED}
    return found


def _row(trials: Sequence[dict[str, Any]]) -> dict[str, Any]:
    seconds = sorted(trial["seconds"] for trial in trials)
    return {
        "trials": len(trials),
        "failed": sum(bool(trial["faults"]) for trial in trials),
        **{name: sum(trial["added"][name] for trial in trials) for name in COUNTED},
        "seconds": seconds[len(seconds) // 2] if seconds else 0.0,
    }


def _table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    titles = ["kind", "trials", "failed", *COUNTED.values(), "median s"]
    lines = [titles, *([kind, *map(str, row.values())] for kind, row in rows.items())]
    widths = [max(len(line[place]) for line in lines) for place in range(len(titles))]
    return "\n".join(
        "  ".join(
            word.ljust(width) if not place else word.rjust(width)
            for place, (word, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def _show(found: Sequence[dict[str, Any]], count: int, of: int) -> None:
    bad = [entry for entry in found if entry["faults"]]
    kinds = Counter(entry["kind"] for entry in found if "counts" in entry)
    words = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
    print(f"life {found[0]['life']:>3} ({count}/{of}): {words}: {'ok' if not bad else 'FAILED'}", flush=True)
    for entry in bad:
        print(f"    trial {entry['trial']} {entry['kind']} ({entry.get('said', '')}): {'; '.join(entry['faults'])}")
    for entry in found:
        if "folder" in entry:
            print(f"    kept: {entry['folder']}\n{entry.get('log', '')}", flush=True)


def _book(arguments: argparse.Namespace) -> Path:
    """Where the lives are noted: another code, count or seed has another one."""
    code = subprocess.run(["git", "rev-parse", "HEAD"], cwd=REPOSITORY, capture_output=True, check=False).stdout
    code += subprocess.run(["git", "diff", "HEAD"], cwd=REPOSITORY, capture_output=True, check=False).stdout
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "heat-pump-edge-agent" / "crash"
    home.mkdir(parents=True, exist_ok=True)
    return home / f"{hashlib.sha256(code).hexdigest()[:12]}-{arguments.count}-{arguments.seed}.jsonl"


def _planted(arguments: argparse.Namespace) -> dict[str, Any]:
    """Each bug until it is caught, at most PLANTED_TRIALS_MAX trials."""
    caught: dict[str, Any] = {}
    failed = 0
    for bug in BUGS:
        if bug == "none":
            continue
        tried = 0
        words = ""
        number = 0
        while tried < PLANTED_TRIALS_MAX and not words:
            kinds = (PLANTED_KINDS[bug],) * TRIALS_A_LIFE
            found = live(Life(number, arguments.seed, kinds, planted=bug, stop_at_fault=True))
            tried += sum("counts" in entry for entry in found)
            words = next(("; ".join(entry["faults"]) for entry in found if entry["faults"]), "")
            number += 1
        print(f"planted {bug}: {'caught' if words else 'NOT CAUGHT'} after {tried} trials: {words}", flush=True)
        caught[bug] = {"caught": bool(words), "trials": tried, "by": words}
        failed += not words
    return {"target": "crash-planted", "trials": len(caught), "failed": failed, "caught": caught}


if __name__ == "__main__":
    sys.exit(main())
