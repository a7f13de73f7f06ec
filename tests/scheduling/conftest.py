"""Paths and readers that the planner's tests share."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scheduling.plan import Plan
from scheduling.request import PlanRequest, read_request

ROOT = Path(__file__).resolve().parents[2]
CASES = ROOT / "tests" / "golden" / "cases"
VECTORS = ROOT / "tests" / "golden" / "vectors"
REFEREE = ROOT.parent / "shared" / "bench" / "evaluate_plan.py"


@pytest.fixture(scope="session")
def best_known() -> dict[str, dict[str, float]]:
    """Best cost and bound of every case."""
    return json.loads((CASES / "best_known.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def case() -> Callable[[str], PlanRequest]:
    """Reads a case by its name's beginning."""

    def read(name: str) -> PlanRequest:
        (path,) = CASES.glob(f"{name}*.json")
        return read_request(path.read_bytes())

    return read


@pytest.fixture
def document() -> dict[str, Any]:
    """The tiny request as a fresh mapping."""
    return json.loads((CASES / "tiny_request.json").read_text(encoding="utf-8"))


@pytest.fixture
def referee(tmp_path: Path) -> Callable[[PlanRequest, Plan], dict[str, Any]]:
    """The neutral checker, run as the program it is."""
    if not REFEREE.exists():
        pytest.skip("../shared/bench/evaluate_plan.py is not here")

    def judge(request: PlanRequest, plan: Plan) -> dict[str, Any]:
        (tmp_path / "request.json").write_text(
            request.model_dump_json(by_alias=True, exclude_none=True), encoding="utf-8"
        )
        (tmp_path / "plan.json").write_text(plan.to_json(), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, REFEREE, tmp_path / "request.json", tmp_path / "plan.json"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        answer: dict[str, Any] = json.loads(done.stdout)
        return {**answer, "exit": done.returncode}

    return judge
