"""The ladder: MILP, else the rounded relaxation, else the rule; each within the deadline, each checked before use.

The rule plan is made first, in milliseconds: it is there when the solver fails, windows start from it when nothing
better is found, and no MILP plan that costs more is ever used. Which rung a plan comes from, and why the rungs above
it were left, stands in the plan.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import accumulate
from typing import Literal

from scheduling.errors import NoPlan, SolverFault
from scheduling.milp.search import Found, Hint, relaxed, search
from scheduling.plan import Plan, UnitTrack, Verdict, bounded, check, clear_minutes, finish
from scheduling.request import PlanRequest
from scheduling.rule import plan_by_rule

Method = Literal["auto", "milp", "rule"]

DEFAULT_LIMIT_S = 10.0
DEFAULT_GAP_RATIO = 0.001
RELAXED_RESERVE_RATIO = 0.1
"""Part of the limit that the MILP leaves to the rungs below it, up to `RELAXED_RESERVE_S`."""
RELAXED_RESERVE_S = 1.0
SHORTEST_MILP_S = 0.3
"""With less time than this there is no use in starting the solver."""
COST_TOL_CNY = 0.01
PRICING_TOL_RATIO = 2e-4
"""How far a finished plan may cost more than its model said (rounding, mode changes in large groups) and still count
as optimal."""
VIOLATIONS_SAID = 3
DAY = timedelta(days=1)


def solve(
    request: PlanRequest,
    *,
    limit_s: float = DEFAULT_LIMIT_S,
    gap_ratio: float = DEFAULT_GAP_RATIO,
    method: Method = "auto",
    hint: Plan | None = None,
    elapsed_s: Callable[[], float],
) -> Plan:
    """The best plan that the time allows.

    Args:
        request: what to plan.
        limit_s: wall time for everything.
        gap_ratio: stop when the plan is proven this close to the optimum.
        method: "auto" and "milp" climb down the ladder; "rule" uses no solver.
        hint: the last plan; its steps are shifted onto this request's.
        elapsed_s: reading of a stop-watch.

    Raises:
        NoPlan: even the rule plan breaks a rule.
    """
    begin_s = elapsed_s()

    def since_s() -> float:
        return elapsed_s() - begin_s

    notes: list[str] = []
    rule = _usable(request, plan_by_rule(request), notes)
    plan: Plan | None = None
    if method != "rule":
        plan = _by_solver(
            request, limit_s=limit_s, gap_ratio=gap_ratio, hint=hint, rule=rule, since_s=since_s, notes=notes
        )
        if plan is not None and rule is not None and rule.objective_cny < plan.objective_cny - COST_TOL_CNY:
            notes.append(f"{plan.method}: {plan.objective_cny:.2f} CNY, dearer than the rule plan")
            plan = rule.model_copy(update=bounded(rule.objective_cny, plan.bound_cny))
    plan = plan or rule
    if plan is None:
        raise NoPlan("; ".join(notes))
    if plan.gap is not None and plan.gap <= gap_ratio + PRICING_TOL_RATIO:
        plan = plan.model_copy(update={"status": "optimal"})
    return plan.model_copy(update={"solve_seconds": round(since_s(), 3), "note": "; ".join(notes)})


def _by_solver(
    request: PlanRequest,
    *,
    limit_s: float,
    gap_ratio: float,
    hint: Plan | None,
    rule: Plan | None,
    since_s: Callable[[], float],
    notes: list[str],
) -> Plan | None:
    """The plan of the highest rung of the solver that gives one."""
    until_s = limit_s - min(RELAXED_RESERVE_S, RELAXED_RESERVE_RATIO * limit_s)
    start = shifted(request, hint) if hint is not None else None
    for single in (False, True):
        if until_s - since_s() < SHORTEST_MILP_S:
            notes.append("milp: no time left")
            break
        try:
            found = search(
                request,
                limit_s=until_s,
                gap_ratio=gap_ratio,
                elapsed_s=since_s,
                hint=start,
                fallback=None if rule is None else lambda asked: shifted(asked, rule),
                single=single,
            )
        except SolverFault as error:
            notes.append(f"milp: {error}")
            continue
        plan = _usable(request, _finished(request, found, method="milp"), notes)
        if plan is not None:
            return plan
    try:
        found = relaxed(request, limit_s=limit_s, elapsed_s=since_s)
    except SolverFault as error:
        notes.append(f"relaxed: {error}")
        return None
    return _usable(request, _finished(request, found, method="relaxed"), notes)


def _finished(request: PlanRequest, found: Found, *, method: Literal["milp", "relaxed"]) -> Plan:
    return finish(request, found.draft, Verdict(method, optimal=found.optimal, bound_cny=found.bound_cny))


def _usable(request: PlanRequest, plan: Plan, notes: list[str]) -> Plan | None:
    """The plan, when it keeps every rule."""
    violations = check(request, plan)
    if not violations:
        return plan
    said = ", ".join(f"{v.rule} {v.name} step {v.step} by {v.amount:g} {v.unit}" for v in violations[:VIOLATIONS_SAID])
    notes.append(f"{plan.method}: {len(violations)} broken rules ({said})")
    return None


def shifted(request: PlanRequest, plan: Plan) -> Hint:
    """Modes and running auxiliaries of another plan, on this request's steps and within what each unit may do now.

    Beyond the end of the other plan its last day is repeated.
    """
    edges = list(accumulate(plan.step_minutes, initial=0.0))
    grid = request.grid.time_grid
    steps: list[int] = []
    for start in grid.starts_utc():
        at = start
        while (at - plan.grid_start_utc) >= timedelta(minutes=edges[-1]) and (at - DAY) >= plan.grid_start_utc:
            at -= DAY
        offset_min = (at - plan.grid_start_utc).total_seconds() / 60.0
        steps.append(min(max(bisect_right(edges, offset_min) - 1, 0), len(plan.step_minutes) - 1))
    modes: dict[str, Sequence[str | None]] = {}
    for group in request.groups:
        known = {mode.name for mode in group.modes}
        for unit in group.units:
            said = plan.units.get(unit.name)
            wish = [None if said is None else said.mode[step] for step in steps]
            modes[unit.name] = _settled(
                request, UnitTrack(group, unit), [mode if mode in known else None for mode in wish]
            )
    aux: dict[str, Sequence[bool]] = {}
    for source in request.aux:
        output = plan.aux.get(source.name)
        aux[source.name] = [output is not None and output.output_kw[step] > 0 for step in steps]
    return modes, aux


def _settled(request: PlanRequest, track: UnitTrack, wish: Sequence[str | None]) -> list[str | None]:
    """A unit's wished modes, bent to minimum times, starts and outages."""
    available = request.available(track.unit)
    clear_min = clear_minutes(request.grid.minutes, available)
    out: list[str | None] = []
    for step, wanted in enumerate(wish):
        day = int(request.days[step])
        mode = wanted
        if not available[step]:
            mode = None
        elif track.on and mode is None and not track.may_switch():
            mode = track.mode
        elif not track.on and mode is not None:
            lasts = clear_min[step] >= track.group.min_up_minutes
            if not (track.may_switch() and track.starts_left(day) > 0 and lasts):
                mode = None
        out.append(mode)
        track.advance(mode, step_min=float(request.grid.minutes[step]), day=day)
    return out
