"""`make faults`: every failure of the field bus as a scenario, played against the agent; a table, and one JSON line.

Each scenario is `hil-sim run bus-NN-name --json`: the agent is a process of its own behind real terminals and sockets.

The others' periods (units without a fault, from the begin of the first fault on, counted on the wire) are held when
every single interval is within 10 % of the period ("in 10 %"). Only on a serial line there is an excuse: a request to
the faulty unit that is not answered as it should holds the line for time-out, rest and frame, once for each unit that
fails, and whoever becomes due meanwhile waits, also for those due before him. "excused" counts such intervals,
"worst / bound" shows the interval farthest from its period and what the judge allows for it (`hil_sim.bus_periods`).
Over TCP there is none.

No scenario asks for what no master can do; the limit is printed below the table (`drivers.bus.partner` says more).

The last line is one JSON object with the counts; exit status 1 when a scenario failed. The same seed plays the same
run.
"""

import argparse
import concurrent.futures
import json
import os
import subprocess
import sys
import time
from typing import Any

from hil_sim.scenario import load, names

PARALLEL_DEFAULT = 1
"""The agent measures time: two runs at once on two cores is the most that still means something."""
NOT_POSSIBLE = """not tried, because no master can do it: on a serial line a slave that answers several identical
requests in another order than they were asked; nothing in the frames tells the answers apart."""
LIMIT_S = 900.0
"""Longest wall time of one run."""
TAIL_CHARS = 2000


def main() -> int:
    """Plays, prints, and returns the exit status."""
    arguments = _arguments()
    chosen = [name for name in names() if name.startswith("bus-") and arguments.only in name]
    chosen = chosen[: arguments.count or len(chosen)]
    begin_s = time.monotonic()
    print(
        _row(
            (
                "scenario",
                "wrong",
                "stale",
                "off %",
                "in 10 %",
                "excused",
                "worst / bound",
                "age",
                "recovery / bound",
                "gaps",
                "BAD",
                "verdict",
            )
        )
    )
    results = []
    with concurrent.futures.ThreadPoolExecutor(max_workers=arguments.parallel) as pool:
        for result in pool.map(lambda name: _play(name, arguments.seed), chosen):
            results.append(result)
            print(_row(_cells(result)), flush=True)
            for text in (*result.get("failures", ()), *result.get("expectations_missed", ())):
                print(f"    {str(text)[:TAIL_CHARS]}", flush=True)
    print(NOT_POSSIBLE)
    failed = [result["scenario"] for result in results if not _good(result)]
    summary = {
        "target": "faults",
        "scenarios": len(results),
        "failed": len(failed),
        "failed_names": failed,
        "wrong_values": sum(result.get("wrong_values") or 0 for result in results),
        "seed": arguments.seed,
        "seconds": round(time.monotonic() - begin_s, 1),
    }
    print(json.dumps(summary))
    return 1 if failed or not results else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=0, help="only the first so many scenarios")
    parser.add_argument("--seed", type=int, default=None, help="instead of each scenario's own")
    parser.add_argument("--only", default="", help="only scenarios with this in their name")
    parser.add_argument("--parallel", type=int, choices=(1, 2, 3), default=PARALLEL_DEFAULT)
    return parser.parse_args()


def _play(name: str, seed: int | None) -> dict[str, Any]:
    command = [
        sys.executable,
        "-m",
        "hil_sim.cli",
        "run",
        name,
        "--json",
        *(() if seed is None else ("--seed", str(seed))),
    ]
    environment = os.environ | {"PYTHONSAFEPATH": "1"}
    try:
        run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        return {"scenario": name, "failures": [f"not over within {LIMIT_S:.0f} s"]}
    try:
        result: dict[str, Any] = json.loads(run.stdout)
    except ValueError:
        return {"scenario": name, "failures": [f"exit {run.returncode}: {run.stderr[-TAIL_CHARS:]}"]}
    if run.returncode:
        result.setdefault("failures", []).append(run.stderr.strip()[-TAIL_CHARS:] or f"exit {run.returncode}")
    return result


def _good(result: dict[str, Any]) -> bool:
    return not result["failures"] and not result.get("expectations_missed")


def _cells(result: dict[str, Any]) -> tuple[str, ...]:
    off, held = result.get("periods_off_ratio_max"), result.get("periods_held_ratio")
    worst = result.get("period_worst_s")
    recovery = result.get("recovery_s_max")
    bound = f" / {result['recovery_bound_s']:.0f}" if result.get("recovery_bound_s") else ""
    return (
        load(result["scenario"]).name,
        str(result.get("wrong_values", "-")),
        str(result.get("stale_values", "-")),
        "-" if off is None else f"{100 * off:.1f}",
        "-" if held is None else f"{100 * held:.0f}",
        str(result.get("periods_excused", "-")),
        "-" if worst is None else f"{worst:.1f} / {result['period_worst_bound_s']:.1f} s",
        f"{result['value_age_s_max']:.1f} s" if "value_age_s_max" in result else "-",
        "-" if recovery is None else f"{recovery:.1f}{bound} s",
        str(result.get("gap_violations", "-")),
        str(result.get("bad_elsewhere", "-")),
        "good" if _good(result) else "FAILED",
    )


def _row(cells: tuple[str, ...]) -> str:
    widths = (26, 6, 6, 6, 8, 8, 14, 6, 18, 5, 5, 7)
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


if __name__ == "__main__":
    sys.exit(main())
