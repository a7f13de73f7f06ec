"""Why each block of a plan is as it is: for the operator, with the figures that decide and what else it could cost.

Reasons are read off the finished plan, whatever made it, so they also hold for a rule plan. They are worked out
subject by subject in `scheduling.why`.
"""

from collections.abc import Iterator

from scheduling.plan import Plan, Reason
from scheduling.request import PlanRequest
from scheduling.why.compare import compared
from scheduling.why.figures import Spans
from scheduling.why.plant import aux_reasons, cap_reasons, demand_reasons, unit_reasons, unmet_reasons
from scheduling.why.storage import storage_reasons

REASONS_MAX = 200


def with_reasons(request: PlanRequest, plan: Plan) -> Plan:
    """The plan with its reasons and its yardsticks."""
    found = sorted(_reasons(request, plan), key=lambda reason: (reason.from_step, reason.to_step, reason.name))
    return plan.model_copy(update={"reasons": tuple(found[:REASONS_MAX]), "comparison": compared(request, plan)})


def _reasons(request: PlanRequest, plan: Plan) -> Iterator[Reason]:
    spans = Spans(request)
    for store in request.storages:
        yield from storage_reasons(request, plan, store, spans=spans)
    yield from demand_reasons(request, plan)
    yield from cap_reasons(request, plan)
    yield from unit_reasons(request, plan, spans=spans)
    yield from aux_reasons(request, plan)
    yield from unmet_reasons(request, plan)
