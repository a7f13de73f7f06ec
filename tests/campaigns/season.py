"""`make season`: the same days of a heating season lived through by each strategy, in closed loop without wires.

Runs: no storage, no plan (the tank by the clock), the product's own rule plan, the planner, and the planner with load,
weather and prices known; with `--undamped` also the planner that follows every new plan. All see the same weather,
occupants and instruments. Cost is electricity, less the value of the heat that the tank gained, and the starts at the
site file's price, as the planner counts; without the starts it is told beside. Good when nothing was uncomfortable,
nothing tripped, no rule of the plant's judge was broken, and the planner costs as much less as is promised
(`BELOW_*`), and hardly more than with everything known (`REGRET_RATIO_MAX`).

The last line is one JSON object; exit status 1 when something was not met.
"""

import argparse
import concurrent.futures
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

BELOW_RULE_RATIO = 0.04
BELOW_NO_STORAGE_RATIO = 0.12
REGRET_RATIO_MAX = 0.03
PARALLEL_DEFAULT = 2
RUNS: Mapping[str, tuple[str, ...]] = {
    "optimal": ("--strategy", "optimal"),
    "optimal, all known": ("--strategy", "optimal", "--forecast", "perfect"),
    "rule": ("--strategy", "rule"),
    "no plan": ("--strategy", "no-plan"),
    "no-storage": ("--strategy", "no-storage"),
}
UNDAMPED = {"optimal, undamped": ("--strategy", "optimal", "--undamped")}
COLUMNS = (
    ("power CNY", "cost_with_stored_heat_cny", "{:.0f}"),
    ("starts CNY", "start_cost_cny", "{:.0f}"),
    ("heat kWh", "heat_delivered_kwh", "{:.0f}"),
    ("kWh", "electricity_kwh", "{:.0f}"),
    ("charged", "heat_charged_kwh", "{:.0f}"),
    ("starts", "unit_starts", "{}"),
    ("K h", "discomfort_kelvin_hours", "{:.2f}"),
    ("trips", "protection_trips", "{}"),
    ("wall s", "wall_seconds", "{:.0f}"),
)


def live(name: str, arguments: tuple[str, ...], shared: list[str]) -> dict[str, Any]:
    """One run as a process of its own."""
    print(f"begins: {name}", file=sys.stderr, flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "hil_sim.cli", "season", *arguments, *shared, "--json"],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        env={**os.environ, "PYTHONSAFEPATH": "1"},
    )
    if not done.stdout.strip():
        raise SystemExit(f"{name}: exit {done.returncode}, no score")
    result: dict[str, Any] = json.loads(done.stdout)
    print(f"ends: {name}, {result['wall_seconds']:.0f} s", file=sys.stderr, flush=True)
    return result


def power_cny(result: Mapping[str, Any]) -> float:
    """Electricity, less the value of the heat that the tank gained."""
    return float(result["cost_with_stored_heat_cny"])


def cost_cny(result: Mapping[str, Any]) -> float:
    """The same with the starts."""
    return power_cny(result) + float(result["start_cost_cny"])


def judge(results: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, float], list[str]]:
    """Shares saved and lost, and what was not met."""
    missed = []
    for name, result in results.items():
        if result["discomfort_kelvin_hours"] > 0.0:
            missed.append(f"{name}: {result['discomfort_kelvin_hours']} K h too cold")
        if result["protection_trips"]:
            missed.append(f"{name}: {result['protection_trips']} trips")
        missed += [f"{name}: {text}" for text in result["failures"]]
    own = cost_cny(results["optimal"])
    ratios = {
        "below_rule": 1.0 - own / cost_cny(results["rule"]),
        "below_no_storage": 1.0 - own / cost_cny(results["no-storage"]),
        "below_no_plan": 1.0 - own / cost_cny(results["no plan"]),
        "regret": own / cost_cny(results["optimal, all known"]) - 1.0,
    }
    power = power_cny(results["optimal"])
    for name in ("rule", "no plan", "no-storage"):
        key = name.replace(" ", "_").replace("-", "_")
        ratios[f"power_below_{key}"] = 1.0 - power / power_cny(results[name])
    if ratios["below_rule"] < BELOW_RULE_RATIO:
        missed.append(f"only {ratios['below_rule']:.1%} below the rule, not {BELOW_RULE_RATIO:.0%}")
    if ratios["below_no_storage"] < BELOW_NO_STORAGE_RATIO:
        missed.append(f"only {ratios['below_no_storage']:.1%} below no storage, not {BELOW_NO_STORAGE_RATIO:.0%}")
    if ratios["regret"] > REGRET_RATIO_MAX:
        missed.append(f"regret {ratios['regret']:.1%}, above {REGRET_RATIO_MAX:.0%}")
    return ratios, missed


def table(results: Mapping[str, Mapping[str, Any]]) -> None:
    """One row a run."""
    print(f"{'strategy':<20}" + "".join(f"{head:>10}" for head, _, _ in COLUMNS) + f"{'against':>10}  plans")
    own = cost_cny(results["optimal"])
    for name, result in results.items():
        cells = "".join(f"{form.format(result[key]):>10}" for _, key, form in COLUMNS)
        share = cost_cny(result) / own - 1.0
        changes = result["plans_by_change"] or {}
        plans = " ".join(f"{code} {count}" for code, count in changes.items()) or "-"
        print(f"{name:<20}{cells}{share:>+10.1%}  {plans}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--plant", default="ground-office")
    parser.add_argument("--from", dest="first", default="2026-01-05")
    parser.add_argument("--days", type=int, default=14)
    parser.add_argument("--replan-min", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--load-ratio", type=float, default=1.0, help="size of the building: how roomy the station is")
    parser.add_argument("--limit", type=float, help="wall seconds a plan; on a busy machine give more")
    parser.add_argument("--weather", help="a file in place of the simulator's own weather")
    parser.add_argument("--undamped", action="store_true", help="also without damping of re-plans")
    parser.add_argument("--parallel", type=int, choices=(1, 2, 3, 4), default=PARALLEL_DEFAULT)
    arguments = parser.parse_args()
    shared = ["--plant", arguments.plant, "--from", arguments.first, "--days", str(arguments.days)]
    shared += ["--replan-min", str(arguments.replan_min), "--seed", str(arguments.seed)]
    shared += ["--load-ratio", str(arguments.load_ratio)]
    shared += ["--limit", str(arguments.limit)] if arguments.limit else []
    shared += ["--weather", arguments.weather] if arguments.weather else []
    runs = {**RUNS, **(UNDAMPED if arguments.undamped else {})}
    with concurrent.futures.ThreadPoolExecutor(max_workers=arguments.parallel) as pool:
        futures = {name: pool.submit(live, name, words, shared) for name, words in runs.items()}
        results = {name: future.result() for name, future in futures.items()}
    ratios, missed = judge(results)
    table(results)
    for text in missed:
        print(f"not met: {text}")
    summary = {
        "target": "season",
        "plant": arguments.plant,
        "first_day": arguments.first,
        "days": arguments.days,
        "replan_min": arguments.replan_min,
        "seed": arguments.seed,
        "load_ratio": arguments.load_ratio,
        **{f"{name}_ratio": round(value, 4) for name, value in ratios.items()},
        "cost_cny": {name: round(cost_cny(result), 2) for name, result in results.items()},
        "power_cny": {name: power_cny(result) for name, result in results.items()},
        "unit_starts": {name: result["unit_starts"] for name, result in results.items()},
        "wall_seconds": {name: result["wall_seconds"] for name, result in results.items()},
        "not_met": missed,
        "failed": len(missed),
    }
    print(json.dumps(summary, ensure_ascii=False))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
