"""What the same steps would cost by a good operator's rule, and without touching any store."""

from datetime import timedelta

import numpy as np

from scheduling.plan import Alternative, Comparison, Plan, check, grid_kw_of
from scheduling.request import PlanRequest, StorageLimit
from scheduling.rule import plan_by_rule

PENALTIES = ("unmet", "grid_cap")
"""Parts of a plan's cost that nobody is billed for."""


def without_storage(request: PlanRequest) -> PlanRequest:
    """The request with every store left alone: it loses heat, and what is left of it at the end counts as ever."""
    begin_utc, end_utc = request.grid.start_utc, request.grid.time_grid.end_utc + timedelta(seconds=1)
    alone = StorageLimit(from_utc=begin_utc, to_utc=end_utc, charge_kw_max=0.0, discharge_kw_max=0.0)
    stores = tuple(store.model_copy(update={"limits": (*store.limits, alone)}) for store in request.storages)
    return request.model_copy(update={"storages": stores})


def compared(request: PlanRequest, plan: Plan) -> Comparison:
    """The yardsticks of a plan; a rule plan is its own."""
    rule = plan if plan.method == "rule" else plan_by_rule(request)
    if not request.storages:
        return Comparison(rule=_cost(request, rule), no_storage=None)
    alone = without_storage(request)
    return Comparison(rule=_cost(request, rule), no_storage=_cost(alone, plan_by_rule(alone)))


def _cost(request: PlanRequest, plan: Plan) -> Alternative | None:
    if check(request, plan):
        return None
    hours = request.grid.hours
    grid_kw = grid_kw_of(request, plan)
    excess_kw = np.zeros(request.grid.steps)
    for cap in request.grid_caps:
        part = slice(cap.from_step, cap.to_step)
        excess_kw[part] = np.maximum(excess_kw[part], grid_kw[part] - cap.cap_kw)
    return Alternative(
        objective_cny=plan.objective_cny,
        penalty_cny=max(0.0, sum(plan.parts_cny[part] for part in PENALTIES)),
        unmet_kwh=sum(float((np.array(loop.unmet_kw) * hours).sum()) for loop in plan.loops.values()),
        excess_kwh=float((excess_kw * hours).sum()),
    )
