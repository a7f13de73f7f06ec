"""The planner on every golden case: how near the best known plan, how soon, with how much memory.

    python tests/bench/plan_cases.py [--cases 03,08] [--limits 10,60] [--shifts 15,60] [--reference 30] [--rounds 1]

Each run is `edge-agent plan --request CASE --progress`, a process of its own: cold at each limit; then hinted, with the
last plan, on the request as it stands 15 min and an hour later under a load that came otherwise (AR(1) noise, fixed
seed). "live" after a case's number: on the grid of a live plan, 15, 30 and 60 min; the best known cost is then that of
a run with `--reference` seconds. Peak memory is that of the process that solves. "0.5 % after" is the moment of the
first plan at most so much dearer than the best known one; for a later request, than the best of its hinted plan and
one searched from it with `--reference` seconds more (0: no hinted runs). Wall times; on a busy machine only the gaps
mean something. Where the neutral evaluator of plans is at hand, it judges each plan. WRITE=1 renews the table in
docs/figures.md.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from statistics import median

import numpy as np

from edge_agent.clock import stopwatch
from scheduling.milp.coarse import coarse_request
from scheduling.plan import Plan, UnitTrack, check, read_plan
from scheduling.request import Demand, Floats, GridCap, PlanRequest, UnitState, read_request
from scheduling.timegrid import staged_grid

ROOT = Path(__file__).resolve().parents[2]
CASES = ROOT / "tests" / "golden" / "cases"
EVALUATOR = ROOT.parent / "shared" / "bench" / "evaluate_plan.py"
PROGRAM = Path(sys.executable).parent / "edge-agent"
FIGURES = ROOT / "docs" / "figures.md"
HEADING = "## Planner: golden cases"
NEAR_RATIO = 0.005
NOISE_RATIO = 0.05
"""Standard deviation of the load's error at first; it stays for hours (`NOISE_HELD` a step)."""
NOISE_HELD = 0.95
SEED = 7
MEMORY_MB_MAX = 250


@dataclass(frozen=True, slots=True)
class Run:
    """One plan: what it cost and what it took."""

    case: str
    start: str
    limit_s: float
    method: str
    cost_cny: float
    bound_cny: float | None
    wall_s: float
    trace: tuple[tuple[float, float], ...]
    """(seconds, cost) of each better plan."""
    memory_mb: float
    verdict: str


@dataclass(frozen=True, slots=True)
class Row:
    """Runs of one case, start and limit, against the best cost."""

    case: str
    start: str
    limit_s: float
    above_best_pct: float
    above_best_pct_worst: float
    proven_gap_pct: float | None
    wall_s: float
    near_s: float | None
    memory_mb: float
    verdict: str


def run(request: PlanRequest, start: str, *, limit_s: float, hint: Plan | None, folder: Path) -> tuple[Run, Plan]:
    """Makes a plan with the program as a user would."""
    task, last = folder / "request.json", folder / "hint.json"
    task.write_text(request.model_dump_json(by_alias=True, exclude_none=True), encoding="utf-8")
    command = [str(PROGRAM), "plan", "--request", str(task), "--limit", str(limit_s), "--progress", "--json"]
    if hint is not None:
        last.write_text(hint.to_json(), encoding="utf-8")
        command += ["--hint", str(last)]
    passed_s = stopwatch()
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall_s = passed_s()
    said = (folder / "err").read_text(encoding="utf-8")
    if process.returncode != 0:
        sys.exit(f"{request.name}: exit {process.returncode}\n{said}")
    plan = read_plan((folder / "out").read_bytes())
    steps = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    trace = tuple((step["s"], step["cost_cny"]) for step in steps)
    return (
        Run(
            request.name.split("_")[0] + (" live grid" if "live grid" in request.name else ""),
            start,
            limit_s,
            plan.method,
            plan.objective_cny,
            plan.bound_cny,
            wall_s,
            trace,
            usage.ru_maxrss / 1024.0,
            _verdict(request, plan, task=task, folder=folder),
        ),
        plan,
    )


def _verdict(request: PlanRequest, plan: Plan, *, task: Path, folder: Path) -> str:
    """Of the neutral evaluator, else of our own checker."""
    if not EVALUATOR.is_file():
        broken = check(request, plan)
        return f"{len(broken)} broken (own checker)" if broken else "good (own checker)"
    path = folder / "plan.json"
    path.write_text(plan.to_json(), encoding="utf-8")
    done = subprocess.run([sys.executable, EVALUATOR, task, path], capture_output=True, text=True, check=False)
    judged = json.loads(done.stdout)
    if done.returncode != 0:
        return f"{judged['violation_count']} broken"
    return "good" if abs(judged["total_cny"] - plan.objective_cny) < 1.0 else "priced otherwise"


def later(request: PlanRequest, plan: Plan, *, steps: int) -> PlanRequest:
    """The request some steps later, had the plan been followed, under another load from then on."""
    minutes = request.grid.minutes
    gone_min = float(minutes[:steps].sum())
    left = request.grid.steps - steps
    dice = np.random.default_rng(SEED)
    error = np.zeros(left)
    for step in range(left):
        shock = dice.normal(0.0, NOISE_RATIO * np.sqrt(1.0 - NOISE_HELD**2))
        error[step] = NOISE_HELD * (error[step - 1] if step else dice.normal(0.0, NOISE_RATIO)) + shock

    def cut(values: object) -> object:
        return values[steps:] if isinstance(values, tuple) else values

    def window(entry: Demand | GridCap) -> dict[str, int]:
        return {"from_step": max(0, entry.from_step - steps), "to_step": entry.to_step - steps}

    groups = []
    for group in request.groups:
        units: list[UnitState] = []
        for unit in group.units:
            track = UnitTrack(group, unit)
            for step in range(steps):
                track.advance(
                    plan.units[unit.name].mode[step], step_min=float(minutes[step]), day=int(request.days[step])
                )
            units.append(
                unit.model_copy(
                    update={
                        "on": track.on,
                        "mode": track.mode,
                        "minutes_in_state": track.in_state_min,
                        "starts_today": track.starts_by_day.get(int(request.days[steps]), 0),
                        "available": unit.available if isinstance(unit.available, bool) else unit.available[steps:],
                    }
                )
            )
        factors = {key: cut(getattr(group, key)) for key in ("capacity_factor", "cop_factor")}
        groups.append(group.model_copy(update={"units": tuple(units), **factors}))
    peak_kw = [max(plan.grid_kw[d.from_step : steps], default=0.0) for d in request.demand]
    return PlanRequest.model_validate(
        request.model_copy(
            update={
                "name": f"{request.name} {gone_min:g} min later",
                "grid": request.grid.model_copy(
                    update={
                        "start_utc": request.grid.start_utc + timedelta(minutes=gone_min),
                        "step_minutes": tuple(minutes[steps:].tolist()),
                        "steps": left,
                    }
                ),
                "price_cny_per_kwh": cut(request.price_cny_per_kwh),
                "other_load_kw": cut(request.other_load_kw),
                "demand": tuple(
                    d.model_copy(update={**window(d), "peak_so_far_kw": max(d.peak_so_far_kw, so_far_kw)})
                    for d, so_far_kw in zip(request.demand, peak_kw, strict=True)
                    if d.to_step > steps
                ),
                "grid_caps": tuple(c.model_copy(update=window(c)) for c in request.grid_caps if c.to_step > steps),
                "loops": tuple(
                    loop.model_copy(update={"load_kw": _noisy(np.array(loop.load_kw[steps:]), error)})
                    for loop in request.loops
                ),
                "storages": tuple(
                    store.model_copy(
                        update={
                            "soc_kwh": float(
                                np.clip(plan.storages[store.name].soc_kwh[steps - 1], store.min_kwh, store.capacity_kwh)
                            )
                        }
                    )
                    for store in request.storages
                ),
                "sources": tuple(s.model_copy(update={"limit_kw": cut(s.limit_kw)}) for s in request.sources),
                "aux": tuple(
                    aux.model_copy(
                        update={
                            "max_kw": cut(aux.max_kw),
                            "cost_cny_per_kwh": cut(aux.cost_cny_per_kwh),
                            "on": plan.aux[aux.name].output_kw[steps - 1] > 0,
                        }
                    )
                    for aux in request.aux
                ),
                "groups": tuple(groups),
            }
        ).model_dump(by_alias=True)
    )


def _noisy(load_kw: Floats, error: Floats) -> tuple[float, ...]:
    return tuple(np.round(np.maximum(0.0, load_kw * (1.0 + error)), 2).tolist())


def row_of(runs: Sequence[Run], best_cny: float) -> Row:
    """Medians over the rounds; the worst gap besides."""
    above = [100.0 * (one.cost_cny / best_cny - 1.0) for one in runs]
    near = [next((seconds for seconds, cny in one.trace if cny <= (1.0 + NEAR_RATIO) * best_cny), None) for one in runs]
    gaps = [100.0 * (1.0 - one.bound_cny / one.cost_cny) for one in runs if one.bound_cny is not None]
    reached = [seconds for seconds in near if seconds is not None]
    verdicts = {one.verdict for one in runs}
    return Row(
        runs[0].case,
        runs[0].start,
        runs[0].limit_s,
        round(median(above), 3),
        round(max(above), 3),
        round(median(gaps), 2) if gaps else None,
        round(median(one.wall_s for one in runs), 1),
        round(median(reached), 2) if len(reached) == len(runs) else None,
        round(max(one.memory_mb for one in runs)),
        "good" if verdicts == {"good"} else ", ".join(sorted(verdicts)),
    )


def live(request: PlanRequest) -> PlanRequest:
    """The request on the grid of a live plan: 15 min for 12 h, then 30, then 60."""
    start_min = np.concatenate([[0.0], np.cumsum(request.grid.minutes)])
    grid = staged_grid(request.grid.start_utc, horizon_h=float(request.grid.hours.sum()))
    blocks = set(np.searchsorted(start_min, np.array(grid.edges_s) / 60.0 - 1e-6).tolist())
    for entry in (*request.demand, *request.grid_caps):
        blocks |= {entry.from_step, entry.to_step}
    return coarse_request(request, sorted(blocks)).model_copy(update={"name": f"{request.name} live grid"})


def bench(name: str, *, limits: Sequence[float], shifts: Sequence[float], reference_s: float, rounds: int) -> list[Row]:
    """All rows of a case."""
    (path,) = CASES.glob(f"{name.removesuffix('live')}*.json")
    request = read_request(path.read_bytes())
    best_cny = json.loads((CASES / "best_known.json").read_text(encoding="utf-8"))[request.name]["objective_cny"]
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        plans: list[Plan] = []
        by_limit: list[list[Run]] = []
        if name.endswith("live"):
            request = live(request)
            best_cny = run(request, "reference", limit_s=max(30.0, reference_s), hint=None, folder=folder)[0].cost_cny
        for limit_s in limits:
            runs = []
            for _ in range(rounds):
                one, plan = run(request, "cold", limit_s=limit_s, hint=None, folder=folder)
                runs.append(one)
                plans.append(plan)
            by_limit.append(runs)
        last = min(plans, key=lambda plan: plan.objective_cny)
        if name.endswith("live"):
            best_cny = min(best_cny, last.objective_cny)
        elif last.objective_cny < best_cny * (1.0 - 1e-6):
            print(f"better than best known: {request.name} {last.objective_cny:.2f} CNY")
        rows += [said(row_of(runs, best_cny)) for runs in by_limit]
        for shift_min in shifts if reference_s > 0 else ():
            steps = int(np.searchsorted(np.cumsum(request.grid.minutes), shift_min - 1e-6)) + 1
            asked = later(request, last, steps=steps)
            runs = []
            for _ in range(rounds):
                one, plan = run(asked, f"+{shift_min:g} min", limit_s=min(limits), hint=last, folder=folder)
                runs.append(one)
            longer, _ = run(asked, "reference", limit_s=reference_s, hint=plan, folder=folder)
            rows.append(said(row_of(runs, min(longer.cost_cny, *(one.cost_cny for one in runs)))))
    return rows


def said(row: Row) -> Row:
    """Prints a row as soon as it is there."""
    print(json.dumps({"bench": "plan_cases", **asdict(row)}), flush=True)
    return row


def table(rows: Iterable[Row]) -> str:
    """The rows as in docs/figures.md: a line a case and start, limits side by side."""
    rows = list(rows)
    lines = [
        "| case, start | limit s | above best | worst | proven gap | wall s | 0.5 % after s | memory MB | verdict |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for _, of_case in groupby(rows, key=lambda row: row.case):
        for row in of_case:
            gap = "-" if row.proven_gap_pct is None else f"{row.proven_gap_pct:.2f} %"
            near = "-" if row.near_s is None else f"{row.near_s:.2f}"
            lines.append(
                f"| {row.case} {row.start} | {row.limit_s:g} "
                f"| {row.above_best_pct:.3f} % | {row.above_best_pct_worst:.3f} % "
                f"| {gap} | {row.wall_s:.1f} | {near} | {row.memory_mb:.0f} | {row.verdict} |"
            )
    return "\n".join(lines)


def main() -> None:
    """Measures what is asked for."""
    asked = argparse.ArgumentParser(description="the planner on the golden cases")
    asked.add_argument("--cases", default="01,02,03,04,04live,06,08,10,13,14,14live,15")
    asked.add_argument("--limits", default="10,60")
    asked.add_argument("--shifts", default="15,60")
    asked.add_argument("--reference", type=float, default=30.0)
    asked.add_argument("--rounds", type=int, default=1)
    options = asked.parse_args()
    rows: list[Row] = []
    for name in options.cases.split(","):
        rows += bench(
            name,
            limits=[float(text) for text in options.limits.split(",")],
            shifts=[float(text) for text in options.shifts.split(",")],
            reference_s=options.reference,
            rounds=options.rounds,
        )
    print(table(rows))
    heavy = [row for row in rows if row.memory_mb > MEMORY_MB_MAX]
    bad = [row for row in rows if not row.verdict.startswith("good")]
    if os.environ.get("WRITE") == "1":
        text = FIGURES.read_text(encoding="utf-8")
        section = re.compile(rf"(^{HEADING}.*?\n\n)\|.*?\n(?=\n|\Z)", re.MULTILINE | re.DOTALL)
        text, renewed = section.subn(lambda found: found[1] + table(rows) + "\n", text)
        if renewed != 1:
            sys.exit(f"docs/figures.md has no section {HEADING!r} with a table")
        FIGURES.write_text(text, encoding="utf-8")
    if bad or heavy:
        sys.exit(f"broken: {len(bad)}; above {MEMORY_MB_MAX} MB: {len(heavy)}")


if __name__ == "__main__":
    main()
