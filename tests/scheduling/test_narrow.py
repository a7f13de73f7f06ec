"""Parts of the model around a plan: the plan itself stays inside each, and only what is meant to move may move."""

from collections.abc import Callable

import numpy as np
import pytest

from scheduling.milp import improve as parts_of_the_model
from scheduling.milp.assign import draft_of, integers_of
from scheduling.milp.door import Solution, solve_arrays
from scheduling.milp.improve import Arm, arms_of, improve
from scheduling.milp.model import Arrays, Model, build, clusters_of
from scheduling.milp.narrow import Narrowing, holding, price_edges
from scheduling.plan import Verdict, check, finish
from scheduling.request import PlanRequest
from scheduling.rule import plan_by_rule
from scheduling.solve import shifted

Case = Callable[[str], PlanRequest]


@pytest.fixture
def mixed(case: Case) -> Model:
    request = case("06")
    return build(request, clusters_of(request))


@pytest.fixture
def plan(mixed: Model) -> Solution:
    held = integers_of(mixed, *shifted(mixed.request, plan_by_rule(mixed.request)))
    return solve_arrays(holding(mixed.arrays, *held), "highs", limit_s=10.0, gap_ratio=0.0)


def free(arrays: Arrays) -> set[int]:
    return set(np.flatnonzero(arrays.integer & (arrays.lower < arrays.upper)).tolist())


def test_every_part_of_every_size_holds_the_plan(mixed: Model, plan: Solution) -> None:
    loose = np.clip(plan.values + 0.3, mixed.arrays.lower, mixed.arrays.upper)
    arms = arms_of(mixed, loose)
    assert {arm.name for arm in arms} == {"apart", "edges", "window", "block", "unit"}
    for arm in arms:
        for size in range(arm.sizes):
            parts = arm.parts(size, plan.values)
            assert parts
            for arrays in (parts[0](), parts[-1]()):
                whole = arrays.integer
                assert (np.rint(plan.values[whole]) >= arrays.lower[whole]).all()
                assert (np.rint(plan.values[whole]) <= arrays.upper[whole]).all()


def test_a_change_may_move_by_the_reach_and_no_further(mixed: Model, plan: Solution) -> None:
    on = mixed.cluster_columns[0].on
    running = np.rint(plan.values[on])
    changes = np.flatnonzero(np.diff(running)) + 1
    assert len(changes)
    near = {step for change in changes for step in range(change - 2, change + 2) if 0 <= step < len(running)}
    movable = free(Narrowing(mixed).edges(plan.values, reach=2))
    assert {step for step, column in enumerate(on.tolist()) if column in movable} == near


def test_windows_leave_no_step_out(mixed: Model, plan: Solution) -> None:
    (window,) = (arm for arm in arms_of(mixed, None) if arm.name == "window")
    movable = set().union(*(free(part()) for part in window.parts(0, plan.values)))
    assert movable == free(mixed.arrays)


def test_units_are_searched_with_all_their_hours(mixed: Model, plan: Solution) -> None:
    movable = free(Narrowing(mixed).units(plan.values, clusters=[1]))
    columns = mixed.cluster_columns[1]
    assert movable == set(np.concatenate([columns.on, *columns.k]).tolist())


def test_a_spot_price_has_no_blocks(case: Case) -> None:
    assert price_edges(case("14")) == []
    assert len(price_edges(case("06"))) > 3


def test_improving_never_makes_a_plan_dearer_and_tells_of_each_better_one(
    mixed: Model, plan: Solution, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts_of_the_model, "PART_S_FIRST", 30.0)  # as long as it takes: the machine may be busy
    told: list[float] = []
    left_s = iter((90.0, 80.0, 70.0, 60.0, 50.0, 40.0, 0.0)).__next__  # two parts
    best = improve(
        mixed, plan, loose=None, enough_cny=-np.inf, left_s=left_s, found=lambda new: told.append(new.objective_cny)
    )
    assert told == sorted(told, reverse=True)
    assert told[-1] == best.objective_cny < plan.objective_cny
    finished = finish(mixed.request, draft_of(mixed, best.values), Verdict("milp"))
    assert check(mixed.request, finished) == []
    assert finished.objective_cny == pytest.approx(best.objective_cny, rel=1e-3)


def arm(parts: int) -> Arm:
    return Arm("some", lambda _size, _values: [lambda: None] * parts, 3, "scip", 1e-3)  # type: ignore[list-item,return-value]


def test_a_part_solved_in_vain_is_widened_and_at_last_left_alone() -> None:
    one = arm(1)
    sizes = []
    while not one.spent:
        sizes.append(one.size)
        one.learn(gain_per_s=0.0, solved=True, quick=True, parts=1)
    assert sizes == [0, 1, 2]


def test_a_part_too_hard_goes_to_the_other_solver_then_becomes_smaller() -> None:
    one = arm(1)
    one.size = 1
    tried = []
    while not one.spent:
        tried.append((one.size, one.solver))
        one.learn(gain_per_s=0.0, solved=False, quick=False, parts=1)
    assert tried == [(1, "scip"), (1, "highs"), (0, "highs"), (0, "scip")]
    assert one.size_max == 0, "what was too hard is not tried again before there is more time"
    one.wake(wider=True)
    assert one.size_max == 2


def test_a_slide_is_walked_to_its_end_before_it_is_widened() -> None:
    one = arm(3)
    for _ in range(3):
        assert one.size == 0
        one.learn(gain_per_s=0.0, solved=True, quick=True, parts=3)
    assert one.size == 1
