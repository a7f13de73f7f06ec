"""Whether a new plan takes the place of the standing one: only when it gains enough, or the standing one is of no use.

A plan is made anew every quarter of an hour, from a forecast and a state that have moved a little. Two plans that cost
the same may run quite different units; following whichever comes last would start and stop units for nothing. So the
units of the standing plan's next hours are kept until others gain more than the solver's own proof can tell apart; all
loads and all later hours are always those of now. What is kept can never cost more than that over the optimum, for it
is weighed against it each time. Pure.
"""

from dataclasses import dataclass

from scheduling.plan import Change, Plan, Stands

GAIN_CNY_MAX = 5.0
"""More than this need not be saved for the change's own sake; a third of what an ordinary unit's start is priced at.
Ours."""
GAIN_DAY_RATIO = 0.01
"""Nor more than this part of what the plan costs a day: for a village that is less. Ours."""
MINUTES_PER_DAY = 1440.0
UNMET_KWH_MAX = 5.0
"""A standing plan that would leave so much more heat unmade than the new one is of no use. Ours."""


@dataclass(frozen=True, slots=True)
class Solved:
    """What the solver answers.

    Attributes:
        plan: the new plan.
        stands: how the standing plan's next hours stand beside it; None: there was none to compare.
        kept: the standing plan's next hours in the present task; None: they are the same, cannot be run, or there was
            no time. Beside "unknown" its cost is the most that keeping them costs, perhaps not the least.
    """

    plan: Plan
    stands: Stands | None = None
    kept: Plan | None = None


def replacing(solved: Solved, *, gap_ratio: float) -> Plan:
    """The plan to follow, with the reason in its `change`.

    Args:
        solved: new plan and standing one.
        gap_ratio: proven distance to the optimum at which the solver stops: plans closer than that are equals to it.
    """
    new, kept = solved.plan, solved.kept
    if solved.stands is None:
        return _with(new, Change(code="first"))
    if solved.stands == "same" or (solved.stands == "unknown" and kept is None):
        return _with(new, Change(code=solved.stands))
    if kept is None or _unmet_kwh(kept) > _unmet_kwh(new) + UNMET_KWH_MAX:
        return _with(new, Change(code="unknown" if solved.stands == "unknown" else "broken"))
    gain_cny = round(kept.objective_cny - new.objective_cny, 2)
    least_cny = round(max(_least_cny(kept), gap_ratio * abs(kept.objective_cny)), 2)
    if gain_cny > least_cny and solved.stands == "unknown":
        return _with(new, Change(code="unknown"))
    if gain_cny > least_cny:
        return _with(new, Change(code="cheaper", gain_cny=gain_cny, least_cny=least_cny))
    return _with(kept, Change(code="kept", gain_cny=gain_cny, least_cny=least_cny))


def _with(plan: Plan, change: Change) -> Plan:
    return plan.model_copy(update={"change": change})


def _least_cny(plan: Plan) -> float:
    """What a change must save for its own sake: a figure of the plant's own size."""
    days = sum(plan.step_minutes) / MINUTES_PER_DAY
    return min(GAIN_CNY_MAX, GAIN_DAY_RATIO * abs(plan.objective_cny) / days)


def _unmet_kwh(plan: Plan) -> float:
    return sum(
        kw * minutes / 60.0
        for loop in plan.loops.values()
        for kw, minutes in zip(loop.unmet_kw, plan.step_minutes, strict=True)
    )
