"""Reasons: every block has one, with the figures that decide, in both languages."""

import json
import time
from collections.abc import Callable
from typing import Any

from scheduling.explain import with_reasons
from scheduling.plan import Plan
from scheduling.request import PlanRequest
from scheduling.rule import plan_by_rule
from scheduling.solve import solve

Case = Callable[[str], PlanRequest]


def test_the_tiny_plan_is_explained(case: Case) -> None:
    request = case("tiny_request")
    plan = with_reasons(request, solve(request, limit_s=10.0, gap_ratio=1e-6, elapsed_s=time.perf_counter))  # noqa: TID251 - a stop-watch
    codes = {(reason.name, reason.code) for reason in plan.reasons}
    assert {("tank", "charge_cheap"), ("tank", "discharge_dear"), ("HP1", "min_time"), ("grid", "demand_peak")} <= codes
    # Valley electricity 0.388 x (80 + 6 pumps) / 280 and the tank's pumps at full load; a little less at part load.
    (charge,) = [reason for reason in plan.reasons if reason.code == "charge_cheap"]
    assert "0.12" in charge.zh
    assert "0.12" in charge.en


def test_a_plan_that_leaves_the_store_alone_says_why(document: dict[str, Any]) -> None:
    document["price_cny_per_kwh"] = [0.6] * 6
    document["storages"][0]["terminal"] = {"target_kwh": 0.0, "short_cny_per_kwh": 0.0, "surplus_cny_per_kwh": 0.0}
    document["storages"][0]["soc_kwh"] = 0.0
    request = PlanRequest.model_validate_json(json.dumps(document))
    plan = with_reasons(request, plan_by_rule(request))
    (reason,) = [reason for reason in plan.reasons if reason.code == "do_not_charge"]
    # per kWh of heat: charging 0.6 x (80 + 6)/280 + pump 0.006 = 0.190; direct 0.6 x (68.18 + 6)/300 = 0.148
    assert "0.190" in reason.zh
    assert "0.148" in reason.en
    assert (reason.from_step, reason.to_step) == (0, 6)


def test_reasons_stay_inside_the_plan_and_speak_both_languages(case: Case) -> None:
    for name in ("08", "14", "15"):
        request = case(name)
        plan: Plan = with_reasons(request, plan_by_rule(request))
        assert plan.reasons
        for reason in plan.reasons:
            assert 0 <= reason.from_step < reason.to_step <= request.grid.steps
            assert reason.zh != reason.en


def test_stored_heat_that_is_dearer_than_direct_heat_claims_no_saving(document: dict[str, Any]) -> None:
    """A unit in its minimum rest leaves the load to the tank although electricity is cheap."""
    document["price_cny_per_kwh"] = [0.2] * 6
    request = PlanRequest.model_validate_json(json.dumps(document))
    plan = with_reasons(request, plan_by_rule(request))
    told = [reason for reason in plan.reasons if reason.name == "tank" and reason.code == "min_time"]
    assert told
    assert all("少花" not in reason.zh for reason in told)
    given = [reason for reason in plan.reasons if reason.name == "tank" and reason.code == "discharge_dear"]
    assert not given, "at one price all day storing is never the cheaper way"
