"""Price and check agree with the referee, and each rule fires when it is broken."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scheduling.plan import Plan, check, price, read_plan
from scheduling.request import PlanRequest
from scheduling.rule import plan_by_rule

Case = Callable[[str], PlanRequest]
Referee = Callable[[PlanRequest, Plan], dict[str, Any]]
TINY = Path(__file__).parents[1] / "golden" / "cases" / "tiny_plan.json"


@pytest.fixture
def tiny() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(TINY.read_text(encoding="utf-8"))
    document["grid_start_utc"] = document["made_utc"]
    document["step_minutes"] = [30, 60, 60, 60, 60, 60]
    return document


def read(document: dict[str, Any]) -> Plan:
    return read_plan(json.dumps(document))


def test_the_published_plan_is_clean_and_priced_alike(tiny: dict[str, Any], case: Case) -> None:
    request, plan = case("tiny_request"), read(tiny)
    assert check(request, plan) == []
    assert sum(price(request, plan).values()) == pytest.approx(276.72, abs=0.01)


def shorten(member: object) -> None:
    """Takes the last step off every series of a plan: it is a plan still, but of another request."""
    if isinstance(member, dict):
        for key, value in member.items():
            if isinstance(value, list) and key != "reasons":
                value.pop()
            else:
                shorten(value)


BREAKS: list[tuple[str, str, Callable[[dict[str, Any]], object]]] = [
    ("min_up", "min_up", lambda p: p["units"]["HP1"]["mode"].__setitem__(1, None)),
    ("above_capacity", "above_capacity", lambda p: p["units"]["HP2"]["load_kw"].__setitem__(2, 310.0)),
    ("below_minimum", "below_minimum", lambda p: p["units"]["HP2"]["load_kw"].__setitem__(2, 40.0)),
    ("load_while_off", "load_while_off", lambda p: p["units"]["HP1"]["load_kw"].__setitem__(5, 20.0)),
    ("charge_without_unit", "charge_without_unit", lambda p: p["storages"]["tank"]["charge_kw"].__setitem__(4, 50.0)),
    (
        "charge_and_discharge",
        "charge_and_discharge",
        lambda p: p["storages"]["tank"]["discharge_kw"].__setitem__(0, 9.0),
    ),
    ("discharge_limit", "discharge_limit", lambda p: p["storages"]["tank"]["discharge_kw"].__setitem__(5, 400.0)),
    ("soc_differs", "soc_differs", lambda p: p["storages"]["tank"]["soc_kwh"].__setitem__(3, 300.0)),
    ("loop_balance", "loop_balance", lambda p: p["loops"]["heat"]["unmet_kw"].__setitem__(3, 5.0)),
    ("negative_unmet", "negative_unmet", lambda p: p["loops"]["heat"]["unmet_kw"].__setitem__(3, -5.0)),
    ("aux below_minimum", "below_minimum", lambda p: p["aux"]["boiler"]["output_kw"].__setitem__(3, 20.0)),
    ("grid_kw_differs", "grid_kw_differs", lambda p: p["grid_kw"].__setitem__(0, 90.0)),
    ("objective_differs", "objective_differs", lambda p: p.update(objective_cny=200.0)),
    ("shape: wrong length", "shape", shorten),
    ("shape: missing unit", "shape", lambda p: p["units"].pop("HP2")),
]


@pytest.mark.parametrize(("rule", "spoil"), [b[1:] for b in BREAKS], ids=[b[0] for b in BREAKS])
def test_a_broken_rule_is_found_by_us_and_by_the_referee(
    rule: str, spoil: Callable[[dict[str, Any]], object], tiny: dict[str, Any], case: Case, referee: Referee
) -> None:
    request = case("tiny_request")
    spoil(tiny)
    plan = read(tiny)
    ours = check(request, plan)
    assert rule in {violation.rule for violation in ours}
    judged = referee(request, plan)
    assert judged["exit"] != 0
    if rule != "shape":
        assert {v.rule for v in ours} == {v["rule"] for v in judged["violations"]}


def test_a_plan_that_passes_a_limit_of_a_while_is_found(document: dict[str, Any]) -> None:
    free = PlanRequest.model_validate_json(json.dumps(document))
    plan = plan_by_rule(free)
    first = int(np.argmax(np.array(plan.storages["tank"].charge_kw) > 1.0))
    later = int(np.argmax(np.array(plan.storages["tank"].discharge_kw) > 1.0))
    starts = free.grid.time_grid.starts_utc()
    document["storages"][0]["limits"] = [
        {"from": f"{at:%Y-%m-%dT%H:%M:%SZ}", "to": f"{at + timedelta(minutes=1):%Y-%m-%dT%H:%M:%SZ}", key: 0.0}
        for at, key in ((starts[first], "charge_kw_max"), (starts[later], "discharge_kw_max"))
    ]
    held = PlanRequest.model_validate_json(json.dumps(document))
    broken = {(violation.rule, violation.step) for violation in check(held, plan)}
    assert broken == {("charge_for_a_while", first), ("discharge_for_a_while", later)}
    assert check(held, plan_by_rule(held)) == []


@pytest.mark.parametrize("name", ["tiny_request", "13_n4_48h_air_rural"])
def test_a_units_share_is_of_what_it_can_give_in_the_step(name: str, case: Case) -> None:
    request = case(name)
    plan = plan_by_rule(request)
    for group in request.groups:
        full_kw = {mode.name: mode.capacity_kw for mode in group.modes}
        factor = request.per_step(group.capacity_factor, 1.0)
        for unit in group.units:
            track = plan.units[unit.name]
            for step, mode in enumerate(track.mode):
                given_kw = 0.0 if mode is None else track.load_ratio[step] * full_kw[mode] * float(factor[step])
                assert given_kw == pytest.approx(track.load_kw[step], abs=1.0)
                assert 0.0 <= track.load_ratio[step] <= 1.001
