"""`make kills`: the agent is killed (-9) at 50 moments of a winter day, by chance and in each phase of its sequences.

The same day is played twice, with one seed: undisturbed, and with the kills. What must hold:
- the supply is never below the site's limit because of a kill: where the undisturbed day keeps it, the other one does;
- the plant's own judge counts nothing, no unit trips, nothing accepted is lost;
- no needless start or stop: none that follows a restart within 15 min and is taken back (the unit asked to stop and to
  run again, or to run and to stop again) before a minimum time has passed, unless the undisturbed day does the same;
- units start no more often than on the undisturbed day, but for START_SLACK in all: a plan made anew at another minute
  may run another unit.

A kill in a phase waits until a unit is in it by the agent's own word. The last line is one JSON object; exit status 1
when something did not hold. The run's folder is kept then, and named.
"""

import argparse
import asyncio
import concurrent.futures
import json
import math
import random
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge_agent.clock import elapsed_s
from hil_sim.demo import Options, Play
from hil_sim.plant.checker import SiteLimits
from hil_sim.scenario import Scenario, load

COUNT_DEFAULT = 50
SPEED_DEFAULT = 240.0
PHASES = ("path", "source_pump", "user_pump", "flow", "lead", "starting", "running", "stopping", "overrun")
"""Every phase of a unit that control goes through by itself."""
AFTER_RESTART_S = 900.0
TAKEN_BACK_S = 3600.0
START_SLACK = 2
FIRST_KILL_S = 600.0
Request = tuple[float, str, bool]


@dataclass(frozen=True, slots=True)
class Day:
    """A day that has been played: its score, its folder, the requests to run that changed, and the kills."""

    result: dict[str, Any]
    folder: Path
    requests: list[Request]
    kills_s: list[float]
    kills_by_phase: dict[str, int]


def main() -> int:
    """Plays both days, prints, and returns the exit status."""
    arguments = _arguments()
    begin_s = time.monotonic()
    day = load("winter-day").changed(days=arguments.days, seed=arguments.seed)
    killed = replace(day, name="winter-day-killed", event_rules=_kills(arguments), expect={})
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        calm, run = pool.map(_play, (replace(day, expect={}), killed), (arguments.speed,) * 2)
    print(_line("undisturbed", calm), flush=True)
    print(_line(f"{arguments.count} kills", run), flush=True)

    result, calm_result, restarts_s = run.result, calm.result, run.kills_s
    needless = _needless(run.requests, restarts_s)
    calm_pairs = _taken_back(calm.requests)
    faults = [*result["failures"]]
    limit_degc = SiteLimits().supply_degc_min
    if result["supply_degc_min"] < min(limit_degc, calm_result["supply_degc_min"]) - 0.05:
        faults.append(f"supply down to {result['supply_degc_min']} degC, undisturbed {calm_result['supply_degc_min']}")
    if result["protection_trips"]:
        faults.append(f"{result['protection_trips']} trips")
    if len(needless) > len(calm_pairs):
        faults += [f"needless: {text}" for text in needless]
    if result["unit_starts"] > calm_result["unit_starts"] + START_SLACK:
        faults.append(f"{result['unit_starts']} starts, undisturbed {calm_result['unit_starts']}")
    if len(restarts_s) < arguments.count:
        faults.append(f"only {len(restarts_s)} kills of {arguments.count}")
    for text in faults:
        print(f"    {text}", flush=True)
    for folder, good in ((calm.folder, True), (run.folder, not faults)):
        if good:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            print(f"    kept: {folder}", flush=True)
    print(
        json.dumps(
            {
                "target": "kills",
                "trials": len(restarts_s),
                "failed": len(faults),
                "kills_by_phase": run.kills_by_phase,
                "supply_degc_min": result["supply_degc_min"],
                "supply_degc_min_undisturbed": calm_result["supply_degc_min"],
                "supply_limit_degc": limit_degc,
                "discomfort_kelvin_hours": result["discomfort_kelvin_hours"],
                "unit_starts": result["unit_starts_by_unit"],
                "unit_starts_undisturbed": calm_result["unit_starts_by_unit"],
                "needless_after_restart": needless,
                "taken_back_undisturbed": len(calm_pairs),
                "invariant_violations": len(result["invariant_violations"]),
                "protection_trips": result["protection_trips"],
                "samples_lost": result["samples_lost"],
                "records_lost": result["records_lost"],
                "seed": arguments.seed,
                "seconds": round(time.monotonic() - begin_s, 1),
            }
        )
    )
    return 1 if faults else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT_DEFAULT, help="how many kills")
    parser.add_argument("--seed", type=int, default=16, help="of the day and of the moments")
    parser.add_argument("--days", type=float, default=1.0)
    parser.add_argument("--speed", type=float, default=SPEED_DEFAULT, help="simulated seconds per second")
    return parser.parse_args()


def _kills(arguments: argparse.Namespace) -> tuple[dict[str, object], ...]:
    """Moments spread over the day by chance; every third of them waits for a phase, each phase in turn."""
    dice = random.Random(f"{arguments.seed}/kills")
    last_s = arguments.days * 86_400.0
    moments_s = sorted(dice.uniform(FIRST_KILL_S, last_s - FIRST_KILL_S) for _ in range(arguments.count))
    rules: list[dict[str, object]] = []
    for number, moment_s in enumerate(moments_s):
        args: dict[str, object] = {}
        if number % 3 == 0:
            args = {"phase": PHASES[number // 3 % len(PHASES)], "within_s": 1800.0}
        hour, rest_s = divmod(int(moment_s), 3600)
        day, hour = divmod(hour, 24)
        rules.append({"what": "kill_agent", "at": f"{day}+{hour:02}:{rest_s // 60:02}:{rest_s % 60:02}", "args": args})
    return tuple(rules)


def _play(scenario: Scenario, speed_ratio: float) -> Day:
    """Plays a day in this process."""
    play = Play(Options(scenario=scenario, speed_ratio=speed_ratio, keep=True, verb="kills"), wall_s=elapsed_s)
    result = asyncio.run(play.run())
    happened = play.happenings
    return Day(result, play.folder, play.site.plant.commands.requests, happened.kills_s, dict(happened.kills_by_phase))


def _taken_back(requests: Sequence[Request]) -> list[tuple[Request, Request]]:
    """Pairs of requests of one unit of which the second takes the first back within a minimum time."""
    pairs = []
    for number, (instant_s, unit, asked) in enumerate(requests):
        back = next(((s, name, to) for s, name, to in requests[number + 1 :] if name == unit), None)
        if back is not None and back[2] is not asked and back[0] - instant_s < TAKEN_BACK_S:
            pairs.append(((instant_s, unit, asked), back))
    return pairs


def _needless(requests: Sequence[Request], restarts_s: Sequence[float]) -> list[str]:
    """Of those pairs, the ones that begin soon after a restart."""
    found = []
    for (instant_s, unit, asked), (back_s, _, _) in _taken_back(requests):
        after_s = min((instant_s - restart_s for restart_s in restarts_s if restart_s <= instant_s), default=math.inf)
        if after_s <= AFTER_RESTART_S:
            what = "start" if asked else "stop"
            found.append(f"{unit}: {what} {after_s:.0f} s after a kill, taken back {back_s - instant_s:.0f} s later")
    return found


def _line(name: str, day: Day) -> str:
    result = day.result
    starts = "/".join(str(count) for count in result["unit_starts_by_unit"].values())
    return (
        f"{name:<14} supply min {result['supply_degc_min']:.1f} degC  "
        f"discomfort {result['discomfort_kelvin_hours']} Kh  starts {starts}  requests {len(day.requests)}  "
        f"kills {len(day.kills_s)}  broken {len(result['invariant_violations'])}  cost {result['cost_cny']} CNY  "
        f"{result['speed_effective']}x"
    )


if __name__ == "__main__":
    sys.exit(main())
