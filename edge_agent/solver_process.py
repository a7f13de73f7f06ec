"""The service's end of the solver process: hands it a task, takes the best plan that came, ends it when it is overdue.

A crash, a hang or a flood of the solver costs its process and at most the plans it had not found yet. Every plan passes
the checker here, whatever came before. When to plan is the business of `planner.py`.
"""

import asyncio
import json
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import get_args

from edge_agent.replacing import Solved
from scheduling.errors import SchedulingError, SolverFault
from scheduling.explain import with_reasons
from scheduling.plan import Plan, Stands, check, read_plan
from scheduling.request import PlanRequest

LOG = logging.getLogger(__name__)

ANSWER_BYTES_MAX = 32 * 1024 * 1024
"""Longest line of the worker."""
LINES_MAX = 10_000
"""Most lines of one answer: ten plans a second for a quarter of an hour."""
WORKER_START_S_MAX = 30.0
"""For starting the worker and reading the task [s, wall]."""
ANSWER_S_MAX = 5.0
"""Added to the solver's limit for the reasons and for writing the answer [s, wall]."""
WORKER = (sys.executable, "-m", "edge_agent.plan_worker")


class SolverProcess:
    """The worker process: started when first needed, ended when it overruns, started again for the next task."""

    def __init__(self, program: Sequence[str] = WORKER, *, explain: bool = True) -> None:
        """Takes the program that is the worker; `explain`: plans come with the reasons of their blocks."""
        self._program = program
        self._explain = explain
        self._process: asyncio.subprocess.Process | None = None

    @property
    def process_id(self) -> int | None:
        """The worker that takes the next task; None when one has to be started."""
        return None if self._process is None or self._process.returncode is not None else self._process.pid

    async def solve(self, request: PlanRequest, *, limit_s: float, gap_ratio: float, hint: Plan | None) -> Solved:
        """Has a task solved.

        Args:
            request: the task.
            limit_s: wall time for the solver [s].
            gap_ratio: proven distance at which it may stop.
            hint: the standing plan; the answer says how it stands beside the new one.

        Raises:
            SolverFault: the worker crashed, overran its deadline or wrote nonsense before it had any usable plan.
        """
        task = {
            "request": request.model_dump(mode="json", by_alias=True),
            "limit_s": limit_s,
            "gap_ratio": gap_ratio,
            "hint": None if hint is None else json.loads(hint.to_json()),
            "explain": self._explain,
        }
        so_far: list[bytes] = []
        try:
            return await asyncio.to_thread(
                _solved, request, await self._exchange(json.dumps(task).encode() + b"\n", limit_s, so_far=so_far)
            )
        except (OSError, EOFError, TimeoutError, ValueError, KeyError, TypeError, SchedulingError) as error:
            # Whatever it was, an answer may still be on its way: a new process starts with a clean pipe.
            await self.stop()
            why = f"the solver process failed: {type(error).__name__} {error}"
            if so_far:
                with suppress(ValueError, KeyError, TypeError, SchedulingError):
                    rescued = await asyncio.to_thread(_rescued, request, so_far[-1], why=why)
                    return Solved(rescued, None if hint is None else "unknown")
            raise SolverFault(why) from error
        except asyncio.CancelledError:
            await self.stop()  # the answer of this task must not be taken for that of the next
            raise

    async def _exchange(self, task: bytes, limit_s: float, *, so_far: list[bytes]) -> bytes:
        """The last line of the answer; the line of the best plan before it is kept in `so_far`."""
        async with asyncio.timeout(WORKER_START_S_MAX) as deadline:
            process = await self._started()
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(task)
            await process.stdin.drain()
            for _ in range(LINES_MAX):
                line = await process.stdout.readline()
                if not line:
                    raise EOFError("it ended without an answer")
                message = json.loads(line)
                if not isinstance(message, dict):
                    raise TypeError("a line of the solver process that is no object")
                if message.keys() & {"answer", "fault"}:
                    if message["done"]:
                        await self.stop()
                    return line
                if message.get("started"):
                    deadline.reschedule(asyncio.get_running_loop().time() + limit_s + ANSWER_S_MAX)
                elif "plan" in message:
                    so_far[:] = [line]
                else:
                    raise ValueError("a line of the solver process that is none of an answer")
            raise ValueError("the answer of the solver process does not end")

    async def _started(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                *self._program,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env={**os.environ, "PYTHONSAFEPATH": "1"},
                limit=ANSWER_BYTES_MAX,
            )
        return self._process

    async def stop(self) -> None:
        """Ends the worker at once."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def _checked(request: PlanRequest, plan: Plan) -> Plan:
    violations = check(request, plan)
    if violations:
        raise SolverFault(f"a plan that breaks {len(violations)} rules, first {violations[0]}")
    return plan


def _solved(request: PlanRequest, line: bytes) -> Solved:
    """What the answer's last line says, its plans checked."""
    message = json.loads(line)
    if "fault" in message:
        raise SolverFault(str(message["fault"]))
    stands, kept = message.get("stands"), message.get("kept")
    if stands is not None and stands not in get_args(Stands):
        raise ValueError(f"a standing plan cannot be {stands!r}")
    return Solved(
        _checked(request, read_plan(json.dumps(message["answer"]))),
        stands,
        None if kept is None else _checked(request, read_plan(json.dumps(kept))),
    )


def _rescued(request: PlanRequest, line: bytes, *, why: str) -> Plan:
    """The best plan that came before the worker failed, checked, with reasons and a word on what happened."""
    plan = _checked(request, read_plan(json.dumps(json.loads(line)["plan"])))
    LOG.error("the solver failed, its best plan so far is used method=%s: %s", plan.method, why)
    return with_reasons(request, plan).model_copy(update={"note": "; ".join(filter(None, (plan.note, why)))})
