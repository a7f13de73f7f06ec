"""An earlier plan on the steps of the present task: as a hint, and as a plan of its own when there is no solver. Pure.

Who runs when is taken from it and bent to what each unit may do now; loads and tanks follow the load of now.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import accumulate
from typing import TypeAlias

from scheduling.plan import Plan, UnitPlan, UnitTrack, Verdict, clear_minutes, finish
from scheduling.request import PlanRequest, UnitState
from scheduling.rule import Given, draft_by_rule

Wishes: TypeAlias = tuple[Mapping[str, Sequence[str | None]], Mapping[str, Sequence[bool]]]
"""Mode of every unit, and whether every auxiliary runs, by step."""
DAY = timedelta(days=1)


def carried(request: PlanRequest, plan: Plan) -> Plan:
    """What an earlier plan makes of the present task without a solver; nobody has checked it yet.

    Its units, its charging and discharging, its auxiliaries, on the load, the stores and the prices of now.
    """
    earlier = met(request, plan)
    steps = _steps_of(request, earlier)

    def flow(name: str, key: str) -> list[float]:
        said = earlier.storages.get(name)
        return [0.0] * len(steps) if said is None else [getattr(said, key)[step] for step in steps]

    given = Given(
        shifted(request, earlier)[0],
        {store.name: flow(store.name, "charge_kw") for store in request.storages},
        {store.name: flow(store.name, "discharge_kw") for store in request.storages},
        {store.name: _through_kw(request, earlier, store.name, steps) for store in request.storages},
        {
            aux.name: [earlier.aux[aux.name].output_kw[step] if aux.name in earlier.aux else 0.0 for step in steps]
            for aux in request.aux
        },
    )
    return finish(request, draft_by_rule(request, given), Verdict(plan.method))


def _through_kw(request: PlanRequest, plan: Plan, store: str, steps: Sequence[int]) -> list[float]:
    """What the units that charge a store passed on to its loop, by the plan's figures."""
    into_kw = [0.0] * len(plan.step_minutes)
    for group in request.groups:
        charging = {mode.name for mode in group.modes if mode.storage == store}
        for unit in group.units:
            if unit.name in plan.units:
                said = plan.units[unit.name]
                for step, mode in enumerate(said.mode):
                    into_kw[step] += said.load_kw[step] if mode in charging else 0.0
    charge_kw = plan.storages[store].charge_kw if store in plan.storages else [0.0] * len(into_kw)
    return [max(0.0, into_kw[step] - charge_kw[step]) for step in steps]


def shifted(request: PlanRequest, plan: Plan) -> Wishes:
    """Modes and running auxiliaries of another plan, on this request's steps and within what each unit may do now.

    Beyond the end of the other plan its last day is repeated.
    """
    steps = _steps_of(request, plan)
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


def _steps_of(request: PlanRequest, plan: Plan) -> list[int]:
    """For each step of the request the step of the plan that holds its start; a day earlier, where the plan is over."""
    edges = list(accumulate(plan.step_minutes, initial=0.0))
    return [
        min(max(bisect_right(edges, _offset_min(start, plan, edges[-1])) - 1, 0), len(plan.step_minutes) - 1)
        for start in request.grid.time_grid.starts_utc()
    ]


def _offset_min(start_utc: datetime, plan: Plan, length_min: float) -> float:
    """Where an instant lies in a plan; beyond its end as many whole days earlier as needed, or as there are."""
    since = start_utc - plan.grid_start_utc
    over_min = since / timedelta(minutes=1) - length_min
    if over_min >= 0.0:
        since -= DAY * min(int(over_min // (DAY / timedelta(minutes=1))) + 1, since // DAY)
    return since / timedelta(minutes=1)


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


def met(request: PlanRequest, plan: Plan) -> Plan:
    """The plan with identical units changed about so that those that run now are those that it has running now."""
    now = _step_now(request, plan)
    units = dict(plan.units)
    for group in request.groups:
        tracks = [plan.units[unit.name] for unit in group.units if unit.name in plan.units]
        if len(tracks) < len(group.units):
            continue
        for unit in sorted(group.units, key=lambda unit: not unit.on):
            best = min(range(len(tracks)), key=lambda at: _mismatch(unit, tracks[at], now))
            units[unit.name] = tracks.pop(best)
    return plan.model_copy(update={"units": units})


def _mismatch(unit: UnitState, track: UnitPlan, step: int) -> int:
    planned = track.mode[step]
    if unit.on is not (planned is not None):
        return 2
    return 0 if planned == unit.mode or not unit.on else 1


def _step_now(request: PlanRequest, plan: Plan) -> int:
    gone_min = (request.grid.start_utc - plan.grid_start_utc).total_seconds() / 60.0
    for step, minutes in enumerate(plan.step_minutes):
        gone_min -= minutes
        if gone_min < 0.0:
            return step
    return len(plan.step_minutes) - 1
