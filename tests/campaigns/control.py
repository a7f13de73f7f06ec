"""`make campaign`: every plant fault as a scenario, with several seeds, against the agent over real wires.

Each run is a process of its own: simulated plant, its devices behind terminals and sockets, and the agent as a separate
process beside it, which is started again when it dies. A run is good when the plant's own judge has counted nothing
(an avoidable heat outage is one of its rules, as are starts, minimum times, flow, limits), the scenario's bounds and
alarms are met, nothing was lost or wrong, the audit's chain is whole, and every command in it has an end.

`--planted` shows that the judge sees: in each cycle the agent is given a command that stops a pump under a running
unit. With its guard this must be refused and nothing may happen; with the guard taken away the judge must count it.

The last line is one JSON object with the counts; exit status 1 when a run failed. A failed run keeps its folder, which
is named. Results lie in `--folder`, one line a run; `--resume` goes on where an earlier campaign was stopped.
"""

import argparse
import asyncio
import concurrent.futures
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from edge_agent.clock import elapsed_s
from edge_agent.store.audit import all_unfinished, broken_at
from hil_sim.demo import Options, Play, RunFailed
from hil_sim.scenario import load, names

PREFIX = "plant-"
SEEDS_DEFAULT = 1
"""A seed of all scenarios takes a quarter of an hour on two cores at this speed."""
SPEED_DEFAULT = 240.0
PARALLEL_DEFAULT = 2
"""The agent measures time: on two cores two runs at once still keep this speed."""
LIMIT_S = 1200.0
"""Longest wall time of one run."""
AWAITED_S = 1200.0
"""The effect of a command is awaited for at most so long: younger ones may be open when a run ends [site s]."""
TAIL_CHARS = 2000
PLANTED = "plant-01-unit-trips"
ROGUE = Path(__file__).with_name("rogue_agent.py")
WIDTHS = (34, 5, 7, 6, 8, 7, 6, 6, 10, 6, 6, 7)
HEAD = (
    "scenario",
    "seed",
    "T min",
    "K h",
    "starts",
    "trips",
    "broken",
    "kills",
    "commands",
    "open",
    "speed",
    "verdict",
)


def main() -> int:
    """Plays, prints, and returns the exit status."""
    arguments = _arguments()
    if arguments.play:
        print(json.dumps(_play_here(arguments)))
        return 0
    folder = arguments.folder or Path(tempfile.gettempdir()) / "heat-pump-campaign"
    folder.mkdir(parents=True, exist_ok=True)
    begin_s = time.monotonic()
    summary = _planted(arguments, folder) if arguments.planted else _campaign(arguments, folder)
    summary["seconds"] = round(time.monotonic() - begin_s, 1)
    print(json.dumps(summary))
    return 1 if summary["failed"] or not summary["runs"] else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=SEEDS_DEFAULT, help="seeds per scenario")
    parser.add_argument("--seed", type=int, default=1, help="the first of them")
    parser.add_argument("--only", default="", help="only scenarios with this in their name")
    parser.add_argument("--speed", type=float, default=SPEED_DEFAULT, help="simulated seconds per second")
    parser.add_argument("--parallel", type=int, choices=(1, 2, 3, 4), default=PARALLEL_DEFAULT)
    parser.add_argument("--folder", type=Path, help="results and kept runs lie here")
    parser.add_argument("--resume", action="store_true", help="leave out what stands in the results already")
    parser.add_argument("--planted", action="store_true", help="show that the plant's judge and the agent's guard see")
    parser.add_argument("--play", help=argparse.SUPPRESS)
    parser.add_argument("--agent", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


# -------------------------------------------------------------------------------------------------------- the campaign
def _campaign(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    wanted = [name for name in names() if name.startswith(PREFIX) and arguments.only in name]
    runs = [(name, seed) for seed in range(arguments.seed, arguments.seed + arguments.count) for name in wanted]
    results = {(result["scenario"], result["seed"]): result for result in _known(folder, keep=arguments.resume)}
    results = {key: result for key, result in results.items() if key in runs}
    print(_row(HEAD))
    for result in results.values():
        _show(result)
    with concurrent.futures.ThreadPoolExecutor(max_workers=arguments.parallel) as pool:
        futures = [pool.submit(_play, key[0], key[1], arguments, folder) for key in runs if key not in results]
        for future in concurrent.futures.as_completed(futures):
            result = future.result()
            results[result["scenario"], result["seed"]] = result
            with (folder / "results.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(result) + "\n")
            _show(result)
    return _summary(list(results.values()), arguments)


def _summary(results: list[dict[str, Any]], arguments: argparse.Namespace) -> dict[str, Any]:
    failed = [f"{result['scenario']} seed {result['seed']}" for result in results if not _good(result)]
    outcomes: Counter[str] = Counter()
    for result in results:
        outcomes.update(result.get("outcomes", {}))
    return {
        "target": "campaign",
        "runs": len(results),
        "failed": len(failed),
        "failed_names": sorted(failed),
        "scenarios": len({result["scenario"] for result in results}),
        "seeds": arguments.count,
        "invariant_violations": sum(len(result.get("invariant_violations") or ()) for result in results),
        "avoidable_kelvin_hours": round(sum(result.get("avoidable_kelvin_hours") or 0.0 for result in results), 4),
        "unit_starts_max": max((result.get("unit_starts_max") or 0 for result in results), default=None),
        "commands": sum(result.get("commands", 0) for result in results),
        "commands_without_end": sum(len(result.get("commands_open", ())) for result in results),
        "outcomes": dict(sorted(outcomes.items())),
        "agent_kills": sum(max(0, (result.get("agent_starts") or 1) - 1) for result in results),
        "sim_hours": round(sum(result.get("sim_hours") or 0.0 for result in results), 1),
        "speed_median": _median([result.get("speed_effective") for result in results]),
        "seed": arguments.seed,
    }


def _median(values: list[float | None]) -> float | None:
    known = sorted(value for value in values if value is not None)
    return known[len(known) // 2] if known else None


def _known(folder: Path, *, keep: bool) -> list[dict[str, Any]]:
    """Results of an earlier campaign in this folder; a fresh campaign forgets them."""
    path = folder / "results.jsonl"
    if not keep:
        path.unlink(missing_ok=True)
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]


def _play(name: str, seed: int, arguments: argparse.Namespace, folder: Path, agent: str = "") -> dict[str, Any]:
    """One run in a process of its own."""
    command = [sys.executable, __file__, "--play", name, "--seed", str(seed), "--speed", str(arguments.speed)]
    command += ["--agent", agent] if agent else []
    environment = os.environ | {"PYTHONSAFEPATH": "1", "TMPDIR": str(folder)}
    what = {"scenario": name, "seed": seed}
    try:
        run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        return what | {"failures": [f"not over within {LIMIT_S:.0f} s; look into {folder}"]}
    try:
        result: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        return what | {"failures": [f"exit {run.returncode}: {run.stderr[-TAIL_CHARS:]}"]}
    return what | result


# ------------------------------------------------------------------------------------------------------------- one run
def _play_here(arguments: argparse.Namespace) -> dict[str, Any]:
    """Plays a run in this process, and judges its audit before the folder goes."""
    scenario = load(arguments.play).changed(seed=arguments.seed)
    agent = (sys.executable, str(ROGUE), arguments.agent) if arguments.agent else ()
    play = Play(
        Options(scenario=scenario, speed_ratio=arguments.speed, keep=True, verb="campaign", agent=agent),
        wall_s=elapsed_s,
    )
    try:
        result: dict[str, Any] = asyncio.run(play.run())
    except RunFailed as fault:
        return {"failures": [str(fault)[-TAIL_CHARS:]], "folder": str(play.folder)}
    result |= judge_audit(play.site.state_dir / "state.db", end_s=play.site.end_s)
    result["failures"] += result["audit_faults"]
    if _good(result):
        shutil.rmtree(play.folder, ignore_errors=True)
    else:
        result["folder"] = str(play.folder)
    return result


def judge_audit(database: Path, *, end_s: float) -> dict[str, Any]:
    """What the audit says of the commands: outcomes, those without an end, and whether its chain is whole.

    Args:
        database: the agent's state.
        end_s: end of the run [s since 1970 UTC].
    """
    connection = sqlite3.connect(database)
    try:
        broken = broken_at(connection)
        open_ones = [
            f"{entry.point} = {entry.wanted} of {entry.instant_utc.isoformat()} ({entry.outcome})"
            for entry in all_unfinished(connection).values()
            if entry.instant_utc.timestamp() < end_s - AWAITED_S
        ]
        stages = [json.loads(text) for (text,) in connection.execute("SELECT entry FROM audit ORDER BY id")]
    finally:
        connection.close()
    last = {stage["number"]: stage["outcome"] for stage in stages if stage["number"] is not None}
    faults = [] if broken is None else [f"audit: the chain is broken at {broken}"]
    faults += [f"audit: no end of {entry}" for entry in open_ones]
    return {
        "commands": len(last),
        "commands_open": open_ones,
        "outcomes": dict(sorted(Counter(last.values()).items())),
        "audit_faults": faults if last else [*faults, "audit: no command at all"],
    }


# ------------------------------------------------------------------------------------------------- a planted violation
def _planted(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The same nonsense with and without the guard: refused, or counted by the judge."""
    print(_row(HEAD))
    guarded = _play(PLANTED, arguments.seed, arguments, folder, agent="guarded")
    _show(guarded | {"scenario": "nonsense, guarded"})
    unguarded = _play(PLANTED, arguments.seed, arguments, folder, agent="unguarded")
    _show(unguarded | {"scenario": "nonsense, unguarded"}, failure_wanted=True)
    refused = guarded.get("outcomes", {}).get("refused", 0)
    caught = [text for text in unguarded.get("invariant_violations", ()) if "stopped while the compressor" in text]
    faults = []
    if guarded.get("invariant_violations") != [] or not refused:
        faults.append("with its guard the agent must refuse, and the judge count nothing")
    if not caught:
        faults.append("without the guard the judge must count a pump stopped under a compressor")
    for text in faults:
        print(f"    {text}")
    return {
        "target": "campaign-planted",
        "runs": 2,
        "failed": len(faults),
        "refused_with_guard": refused,
        "violations_with_guard": len(guarded.get("invariant_violations") or ()),
        "violations_without_guard": len(unguarded.get("invariant_violations") or ()),
        "caught": caught[:3],
        "seed": arguments.seed,
    }


# ------------------------------------------------------------------------------------------------------------ the table
def _good(result: dict[str, Any]) -> bool:
    return not result["failures"] and not result.get("expectations_missed")


def _show(result: dict[str, Any], *, failure_wanted: bool = False) -> None:
    good = _good(result)
    verdict = "good" if good else "CAUGHT" if failure_wanted else "FAILED"
    print(_row(_cells(result, verdict)), flush=True)
    if good:
        return
    for text in (*result["failures"], *result.get("expectations_missed", ())):
        print(f"    {str(text)[:TAIL_CHARS]}", flush=True)
    if "folder" in result:
        print(f"    kept: {result['folder']}", flush=True)


def _cells(result: dict[str, Any], verdict: str) -> tuple[str, ...]:
    def shown(key: str, form: str = "{}") -> str:
        value = result.get(key)
        return "-" if value is None else form.format(value)

    starts = result.get("unit_starts_by_unit")
    broken = result.get("invariant_violations")
    return (
        result["scenario"],
        shown("seed"),
        shown("supply_degc_min", "{:.1f}"),
        shown("discomfort_kelvin_hours", "{:.2f}"),
        "-" if not starts else "/".join(str(count) for count in starts.values()),
        shown("protection_trips"),
        "-" if broken is None else str(len(broken)),
        "-" if "agent_starts" not in result else str(result["agent_starts"] - 1),
        shown("commands"),
        "-" if "commands_open" not in result else str(len(result["commands_open"])),
        shown("speed_effective", "{:.0f}x"),
        verdict,
    )


def _row(cells: tuple[str, ...]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=True)).rstrip()


if __name__ == "__main__":
    sys.exit(main())
