"""The planner beside oemof.solph and PyPSA on the same golden cases, one run, one machine.

    python tests/bench/plan_peers.py [--cases 01,03] [--limit 60] [--gap 0.001]

Each peer works in a venv of its own below $PEERS (`make plan-peers` builds them) with HiGHS and the same limit and gap;
its modes, loads and flows become a Plan, which our code completes (what is unmet or dumped) and the neutral evaluator
prices, or our own checker where the evaluator is not at hand. What a peer cannot express stands at the head of its file
in `peers/`. Build and solve seconds are wall times without imports. WRITE=1 renews the table in docs/figures.md.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from edge_agent.clock import stopwatch
from edge_agent.plan_in_time import plan_in_time
from scheduling.plan import Draft, Plan, Verdict, check, finish
from scheduling.request import PlanRequest, read_request

ROOT = Path(__file__).resolve().parents[2]
CASES = ROOT / "tests" / "golden" / "cases"
EVALUATOR = ROOT.parent / "shared" / "bench" / "evaluate_plan.py"
PEERS = Path(os.environ.get("PEERS", Path.home() / ".cache" / "heat-pump-edge-agent" / "peers"))
SCRIPTS = {"oemof.solph": ("oemof", "oemof_plan.py"), "PyPSA": ("pypsa", "pypsa_plan.py")}
FIGURES = ROOT / "docs" / "figures.md"
HEADING = "## Planner: beside other planners"
GRACE_S = 600.0
"""For starting, building and stopping a peer, besides its limit [s]."""


@dataclass(frozen=True, slots=True)
class Row:
    """One planner's plan of one case."""

    case: str
    planner: str
    cost_cny: float
    above_best_pct: float
    unmet_and_dumped_cny: float
    build_s: float | None
    solve_s: float
    verdict: str


def judged(request: PlanRequest, plan: Plan, folder: Path) -> tuple[float, float, str]:
    """Cost, cost of what is unmet or dumped, and verdict: the neutral evaluator's, else our checker's."""
    if not EVALUATOR.is_file():
        broken = check(request, plan)
        lost_cny = plan.parts_cny["unmet"] + plan.parts_cny["dump"]
        return plan.objective_cny, lost_cny, f"{len(broken)} broken (own checker)" if broken else "good (own checker)"
    task, made = folder / "request.json", folder / "plan.json"
    task.write_text(request.model_dump_json(by_alias=True, exclude_none=True), encoding="utf-8")
    made.write_text(plan.to_json(), encoding="utf-8")
    done = subprocess.run([sys.executable, EVALUATOR, task, made], capture_output=True, text=True, check=False)
    said = json.loads(done.stdout)
    rules = sorted({violation["rule"] for violation in said["violations"]})
    verdict = "good" if done.returncode == 0 else f"{said['violation_count']} broken: {', '.join(rules)}"
    return said["total_cny"], said["parts_cny"]["unmet"] + said["parts_cny"]["dump"], verdict


def ours(request: PlanRequest, *, limit_s: float, gap_ratio: float) -> tuple[Plan, float]:
    """Our plan, cold, and how long it took with building."""
    passed_s = stopwatch()
    found = plan_in_time(request, limit_s=limit_s, gap_ratio=gap_ratio)
    return found.plan, passed_s()


def theirs(
    request: PlanRequest, path: Path, *, venv: str, script: str, limit_s: float, gap_ratio: float, folder: Path
) -> tuple[Plan, float, float]:
    """A peer's plan, completed by our code, and its build and solve seconds."""
    out = folder / "peer.json"
    command = [PEERS / venv / "bin" / "python", "-W", "ignore", ROOT / "tests" / "bench" / "peers" / script]
    done = subprocess.run(
        [*command, path, out, str(limit_s), str(gap_ratio)],
        capture_output=True, text=True, check=False, timeout=limit_s + GRACE_S,
    )  # fmt: skip
    if done.returncode != 0:
        sys.exit(f"{venv}: exit {done.returncode}\n{done.stderr[-2000:]}")
    said = json.loads(out.read_text(encoding="utf-8"))
    draft = Draft(
        said["modes"],
        {name: np.array(kw) for name, kw in said["loads_kw"].items()},
        {name: np.array(kw) for name, kw in said["charge_kw"].items()},
        {name: np.array(kw) for name, kw in said["discharge_kw"].items()},
        {},
    )
    return finish(request, draft, Verdict("milp")), said["build_s"], said["solve_s"]


def bench(name: str, *, limit_s: float, gap_ratio: float) -> list[Row]:
    """Every planner on one case."""
    (path,) = CASES.glob(f"{name}*.json")
    request = read_request(path.read_bytes())
    best_cny = json.loads((CASES / "best_known.json").read_text(encoding="utf-8"))[request.name]["objective_cny"]
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for planner in ("ours", *SCRIPTS):
            build_s: float | None = None
            if planner == "ours":
                plan, solve_s = ours(request, limit_s=limit_s, gap_ratio=gap_ratio)
            else:
                venv, script = SCRIPTS[planner]
                if not (PEERS / venv / "bin" / "python").exists():
                    print(f"{planner} is not here: make plan-peers")
                    continue
                plan, build_s, solve_s = theirs(
                    request, path, venv=venv, script=script, limit_s=limit_s, gap_ratio=gap_ratio, folder=folder
                )
            cost_cny, lost_cny, verdict = judged(request, plan, folder)
            row = Row(
                name,
                planner,
                round(cost_cny, 2),
                round(100.0 * (cost_cny / best_cny - 1.0), 2),
                round(lost_cny, 2),
                None if build_s is None else round(build_s, 1),
                round(solve_s, 1),
                verdict,
            )
            print(json.dumps({"bench": "plan_peers", **asdict(row)}), flush=True)
            rows.append(row)
    return rows


def table(rows: list[Row]) -> str:
    """The rows as in docs/figures.md."""
    lines = [
        "| case | planner | cost CNY | above best known | of it unmet, dumped | build s | solve s | verdict |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        build = "in solve" if row.build_s is None else f"{row.build_s:.1f}"
        lines.append(
            f"| {row.case} | {row.planner} | {row.cost_cny:.2f} | {row.above_best_pct:.2f} % "
            f"| {row.unmet_and_dumped_cny:.2f} | {build} | {row.solve_s:.1f} | {row.verdict} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measures what is asked for."""
    asked = argparse.ArgumentParser(description="the planner beside oemof.solph and PyPSA")
    asked.add_argument("--cases", default="01,03")
    asked.add_argument("--limit", type=float, default=60.0)
    asked.add_argument("--gap", type=float, default=0.001)
    options = asked.parse_args()
    rows: list[Row] = []
    for name in options.cases.split(","):
        rows += bench(name, limit_s=options.limit, gap_ratio=options.gap)
    print(table(rows))
    if os.environ.get("WRITE") == "1" and any(row.planner != "ours" for row in rows):
        text = FIGURES.read_text(encoding="utf-8")
        section = re.compile(rf"(^{HEADING}.*?\n\n)\|.*?\n(?=\n|\Z)", re.MULTILINE | re.DOTALL)
        text, renewed = section.subn(lambda found: found[1] + table(rows) + "\n", text)
        if renewed != 1:
            sys.exit(f"docs/figures.md has no section {HEADING!r} with a table")
        FIGURES.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
