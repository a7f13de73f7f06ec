"""The solver's own process: reads a planning task a line, writes a plan a line.

A crash or a hang here never touches the service. Started by `planner.py` as `python -m edge_agent.plan_worker`. A task:
{"request": PlanRequest, "limit_s": number, "gap_ratio": number, "hint": Plan or null}; the answer is {"plan": Plan} or
{"fault": text}.
"""

import json
import os
import sys
from typing import TextIO

from edge_agent.clock import elapsed_s
from scheduling.errors import SchedulingError
from scheduling.explain import with_reasons
from scheduling.plan import read_plan
from scheduling.request import read_request
from scheduling.solve import solve

NICENESS = 5
"""The solver yields to polling and control, which have deadlines of seconds."""


def answer(task_line: str) -> str:
    """Solves one task; every fault of the task itself becomes an answer."""
    try:
        task = json.loads(task_line)
        hint = task.get("hint")
        request = read_request(json.dumps(task["request"]))
        plan = solve(
            request,
            limit_s=float(task["limit_s"]),
            gap_ratio=float(task["gap_ratio"]),
            method="auto",
            hint=None if hint is None else read_plan(json.dumps(hint)),
            elapsed_s=elapsed_s,
        )
    except (SchedulingError, ValueError, KeyError) as error:
        return json.dumps({"fault": f"{type(error).__name__}: {error}"}, ensure_ascii=False)
    return json.dumps({"plan": json.loads(with_reasons(request, plan).to_json())}, ensure_ascii=False)


def main(source: TextIO = sys.stdin, sink: TextIO = sys.stdout) -> None:
    """Answers tasks until the input ends, which is how the service stops it."""
    for line in source:
        sink.write(answer(line) + "\n")
        sink.flush()


if __name__ == "__main__":
    os.nice(NICENESS)
    # Native solvers print where they like: answers keep the real output for themselves, all else goes to stderr.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    main(sink=answers)
