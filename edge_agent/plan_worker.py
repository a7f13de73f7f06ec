"""The solver's own process: reads a planning task a line, writes plans a line.

A crash or a hang here never touches the service. Started by `solver_process.py` as `python -m edge_agent.plan_worker`.
A task: {"request": PlanRequest, "limit_s": number, "gap_ratio": number, "hint": Plan or null, "explain": bool}. The
answer is lines: {"started": true}; {"plan": Plan} for each better plan, so that what was found outlives a crash; and at
last {"answer": Plan, "stands": word or null, "kept": Plan or null, "done": bool}, or {"fault": text, "done": bool};
after "done" the process ends, for a solver that did not return in time is still running in it. `stands` and `kept` say
how the hint, which is the standing plan, stands beside the answer (`scheduling.standing`).
"""

import json
import os
import resource
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from edge_agent.clock import elapsed_s
from edge_agent.plan_in_time import plan_in_time
from scheduling.errors import SchedulingError
from scheduling.explain import with_reasons
from scheduling.plan import Plan, read_plan
from scheduling.request import read_request
from scheduling.standing import LIMIT_S, beside

NICENESS = 5
"""The solver yields to polling and control, which have deadlines of seconds."""
WEIGHING_RATIO = 0.2
"""Part of the limit that is kept for weighing the standing plan: without it a plan that takes all its time is followed
whatever it gains."""
DATA_BYTES_MAX = 1 << 30
"""Most memory for data; a solver that wants more ends here instead of taking the machine along. 5 times the most that
was measured."""


def answer(task_line: str, *, write: Callable[[dict[str, object]], None]) -> bool:
    """Solves one task; every fault of the task itself becomes an answer. False: the process has to end."""
    late = False
    try:
        task = json.loads(task_line)
        hint, limit_s, gap_ratio = task.get("hint"), float(task["limit_s"]), float(task["gap_ratio"])
        standing = None if hint is None else read_plan(json.dumps(hint))
        request = read_request(json.dumps(task["request"]))
        write({"started": True})

        def offer(plan: Plan) -> None:
            write({"plan": json.loads(plan.to_json())})

        begin_s = elapsed_s()
        solve_s = limit_s if standing is None else limit_s - min(LIMIT_S, WEIGHING_RATIO * limit_s)
        found = plan_in_time(request, limit_s=solve_s, gap_ratio=gap_ratio, hint=standing, offer=offer)
        late = found.late
        weighed = None
        if standing is not None:
            left_s = min(LIMIT_S, begin_s + limit_s - elapsed_s())
            weighed = beside(
                request, standing=standing, new=found.plan, gap_ratio=gap_ratio, elapsed_s=elapsed_s, limit_s=left_s
            )

        def shown(plan: Plan) -> object:
            return json.loads((with_reasons(request, plan) if task.get("explain", True) else plan).to_json())

        write(
            {
                "answer": shown(found.plan),
                "stands": None if weighed is None else weighed.stands,
                "kept": None if weighed is None or weighed.plan is None else shown(weighed.plan),
                "done": late,
            }
        )
    except (SchedulingError, ValueError, KeyError, MemoryError) as error:
        write({"fault": f"{type(error).__name__}: {error}", "done": late})
    return not late


def main(source: TextIO = sys.stdin, sink: TextIO = sys.stdout) -> None:
    """Answers tasks until the input ends, which is how the service stops it, or a solver does not return."""

    def write(message: dict[str, object]) -> None:
        sink.write(json.dumps(message, ensure_ascii=False) + "\n")
        sink.flush()

    for line in source:
        if not answer(line, write=write):
            return


def run() -> None:
    """What the process is: polite, bounded, first to go when memory runs out, and with its answers for itself."""
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_DATA, (DATA_BYTES_MAX, DATA_BYTES_MAX))
    with suppress(OSError):  # a kernel without it has no such choice to make
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    # Native solvers print where they like: answers keep the real output for themselves, all else goes to stderr.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    main(sink=answers)
    os._exit(0)  # a solver that is still running in its thread must not hold the process


if __name__ == "__main__":
    run()
