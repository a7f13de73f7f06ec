"""The solver's process from inside: how its time is shared between a new plan and weighing the standing one."""

import json
from pathlib import Path

import pytest

from edge_agent import plan_worker
from edge_agent.plan_in_time import InTime
from scheduling.plan import Plan
from scheduling.request import PlanRequest, read_request
from scheduling.rule import plan_by_rule
from scheduling.why.compare import without_storage

TINY = Path(__file__).resolve().parent.parent / "golden" / "cases" / "tiny_request.json"
LIMIT_S = 10.0


class Stopwatch:
    """Moves when told."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("hinted", [False, True])
def test_a_plan_that_takes_all_its_time_is_weighed_all_the_same(
    monkeypatch: pytest.MonkeyPatch, *, late: bool, hinted: bool
) -> None:
    request = read_request(TINY.read_bytes())
    standing = plan_by_rule(without_storage(request))
    watch = Stopwatch()
    asked_s: list[float] = []

    def whole_time(request: PlanRequest, *, limit_s: float, **_: object) -> InTime:
        asked_s.append(limit_s)
        watch.now_s += limit_s
        return InTime(plan_by_rule(request), late)

    monkeypatch.setattr(plan_worker, "elapsed_s", watch)
    monkeypatch.setattr(plan_worker, "plan_in_time", whole_time)
    written: list[dict[str, object]] = []
    task = {
        "request": request.model_dump(mode="json", by_alias=True),
        "limit_s": LIMIT_S,
        "gap_ratio": 0.001,
        "hint": json.loads(standing.to_json()) if hinted else None,
        "explain": False,
    }
    assert plan_worker.answer(json.dumps(task), write=written.append) is not late
    assert asked_s == [0.8 * LIMIT_S if hinted else LIMIT_S]
    answer = written[-1]
    assert answer["done"] is late
    assert answer["stands"] == ("differs" if hinted else None)
    if hinted:
        kept = Plan.model_validate_json(json.dumps(answer["kept"]))
        assert {name: unit.mode for name, unit in kept.units.items()} == {
            name: unit.mode for name, unit in standing.units.items()
        }
