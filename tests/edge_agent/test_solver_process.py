"""The solver process with planted faults: what was found before a crash is used, the next task finds a new process."""

import json
import os
import sys
import threading
from pathlib import Path

import pytest

from edge_agent import solver_process
from edge_agent.plan_in_time import plan_in_time
from edge_agent.solver_process import SolverProcess
from scheduling import solve as ladder
from scheduling.errors import NoPlan, SolverFault
from scheduling.milp.search import search
from scheduling.plan import Plan, check
from scheduling.request import PlanRequest, read_request
from scheduling.rule import plan_by_rule

TINY = Path(__file__).resolve().parent.parent / "golden" / "cases" / "tiny_request.json"
OPTIMUM_CNY = 276.72

PLANTED = """
import ctypes, os, signal, time
from scheduling import solve as ladder
whole = ladder.search
out = os.dup(1)

def planted(*args, **options):
    found = whole(*args, **options)  # the plans of the search are out
    {fault}
    return found

if not os.path.exists({flag!r}):
    open({flag!r}, "w").close()
    ladder.search = planted
from edge_agent import plan_worker
plan_worker.run()
"""
FAULTS = {
    "segmentation fault": "ctypes.string_at(0)",
    "stopped process": "os.kill(os.getpid(), signal.SIGSTOP)",
    "memory without end": "hoard = [bytearray(1 << 26) for _ in range(10_000)]",
    "rubbish among the lines": "os.write(out, b'presolving\\n')",
}


@pytest.fixture
def request_now() -> PlanRequest:
    return read_request(TINY.read_bytes())


async def ask(solver: SolverProcess, request: PlanRequest, *, limit_s: float = 5.0) -> Plan:
    return (await solver.solve(request, limit_s=limit_s, gap_ratio=0.001, hint=None)).plan


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_in_a_solve_costs_neither_the_plan_nor_the_service(
    fault: str, request_now: PlanRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only a stopped process is found by its deadline; all others end by themselves, however busy the machine is.
    monkeypatch.setattr(solver_process, "ANSWER_S_MAX", 0.0)
    stopped = fault == "stopped process"
    code = PLANTED.format(fault=FAULTS[fault], flag=str(tmp_path / "planted"))
    solver = SolverProcess((sys.executable, "-c", code))
    plan = await ask(solver, request_now, limit_s=1.5 if stopped else 300.0)
    assert check(request_now, plan) == []
    if not stopped:
        assert plan.objective_cny == pytest.approx(OPTIMUM_CNY, abs=0.3), "the best plan before the fault"
        assert plan.method == "milp"
    assert plan.reasons
    assert "the solver process failed" in plan.note
    assert solver.process_id is None, "the faulty process is gone"


async def test_a_plan_that_was_saved_from_a_crash_is_not_told_as_the_first(
    request_now: PlanRequest, tmp_path: Path
) -> None:
    code = PLANTED.format(fault="os.kill(os.getpid(), signal.SIGKILL)", flag=str(tmp_path / "planted"))
    standing = plan_by_rule(request_now)
    solver = SolverProcess((sys.executable, "-c", code))
    saved = await solver.solve(request_now, limit_s=5.0, gap_ratio=0.001, hint=standing)
    assert "failed" in saved.plan.note
    assert saved.stands == "unknown"


async def test_the_task_after_a_kill_in_a_solve_finds_a_new_process(request_now: PlanRequest, tmp_path: Path) -> None:
    code = PLANTED.format(fault="os.kill(os.getpid(), signal.SIGKILL)", flag=str(tmp_path / "planted"))
    solver = SolverProcess((sys.executable, "-c", code))
    assert "failed" in (await ask(solver, request_now)).note
    again = await ask(solver, request_now)
    first = solver.process_id
    assert again.note == ""
    assert (await ask(solver, request_now)).objective_cny == again.objective_cny
    assert solver.process_id == first, "a healthy process is kept"
    await solver.stop()
    assert first is not None
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)


async def test_a_solver_that_does_not_return_is_not_waited_for(request_now: PlanRequest, tmp_path: Path) -> None:
    code = PLANTED.format(fault="time.sleep(600)", flag=str(tmp_path / "planted"))
    solver = SolverProcess((sys.executable, "-c", code))
    plan = await ask(solver, request_now, limit_s=1.0)
    assert plan.objective_cny <= plan_by_rule(request_now).objective_cny
    assert "had not returned after 1 s" in plan.note
    assert plan.solve_seconds >= 1.0
    assert solver.process_id is None, "a process with a solver running in it takes no other task"


@pytest.mark.parametrize(
    "program",
    [
        "print('Warning: a native library says hello', flush=True); input()",
        "print('{\"plan\": {}}', flush=True)",
        "print('[1]', flush=True); input()",
        'print(\'{"answer": {}, "done": true}\', flush=True); input()',
        "print('{\"weather\": 1}', flush=True); input()",
        "import os; os._exit(139)",
    ],
)
async def test_a_process_that_never_had_a_plan_is_a_fault(program: str, request_now: PlanRequest) -> None:
    solver = SolverProcess((sys.executable, "-c", program))
    with pytest.raises(SolverFault):
        await ask(solver, request_now)
    assert solver.process_id is None


async def test_a_plan_that_breaks_a_rule_is_not_used_whoever_sends_it(request_now: PlanRequest) -> None:
    plan = plan_by_rule(request_now)
    idle = {
        name: unit.model_copy(update={"mode": (None,) * 6, "load_kw": (0.0,) * 6}) for name, unit in plan.units.items()
    }
    broken = plan.model_copy(update={"units": idle})
    line = json.dumps({"answer": json.loads(broken.to_json()), "done": False})
    solver = SolverProcess((sys.executable, "-c", f"print({line!r}, flush=True); input()"))
    with pytest.raises(SolverFault, match="breaks"):
        await ask(solver, request_now)


def hang(*args: object, **options: object) -> None:
    """A search that finds something, tells of it, and never comes back."""
    search(*args, **options)  # type: ignore[arg-type]
    threading.Event().wait()


def test_a_deadline_is_kept_whatever_the_solver_does(request_now: PlanRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ladder, "search", hang)
    offered: list[Plan] = []
    found = plan_in_time(request_now, limit_s=1.0, gap_ratio=0.001, offer=offered.append)
    assert found.late
    assert found.plan.objective_cny == offered[-1].objective_cny
    assert offered[0].method == "rule"
    assert found.plan.solve_seconds == pytest.approx(1.0, abs=0.5)


def test_what_cannot_be_planned_is_said_as_such() -> None:
    document = json.loads(TINY.read_text(encoding="utf-8"))
    document["groups"][0]["units"][0].update(available=False, minutes_in_state=5)
    with pytest.raises(NoPlan):
        plan_in_time(PlanRequest.model_validate_json(json.dumps(document)), limit_s=1.0, gap_ratio=0.001)
