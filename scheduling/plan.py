"""Plan (`plan/1`): what everything does in each step; its price, and the rules that every plan must keep.

`check` and `price` follow the referee's words in the contract of the plan (tolerance 0.5 kW + 0.1 %, 1 kWh or 0.1 %,
0.5 CNY or 0.1 %); they are our own code, so that a fault in either shows. No plan is used before it passes `check`,
whatever made it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError, model_validator

from scheduling.request import (
    STEPS_MAX,
    Assumption,
    Document,
    Floats,
    Group,
    Instant,
    Mode,
    Name,
    NotNegative,
    Number,
    PlanRequest,
    Positive,
    Series,
    Storage,
    UnitState,
    check_span,
)
from scheduling.request_fault import fault_of, shape_fault

POWER_TOL_KW = 0.5
POWER_TOL_RATIO = 1e-3
ENERGY_TOL_KWH = 1.0
ENERGY_TOL_RATIO = 1e-3
COST_TOL_CNY = 0.5
COST_TOL_RATIO = 1e-3
MINUTES_TOL = 1e-6
PARTS = ("energy", "demand", "starts", "mode_changes", "aux", "terminal", "grid_cap", "unmet", "dump", "source")
DIGITS = 3
"""Digits after the point that a plan carries: a watt, a watt-hour, a tenth of a fen."""

Stands = Literal["same", "differs", "broken", "unknown"]
"""How the standing plan's next hours stand beside those of a new one (`standing.py`)."""

ReasonCode = Literal[
    "charge_cheap",
    "discharge_dear",
    "do_not_charge",
    "demand_peak",
    "grid_cap",
    "unit_not_needed",
    "min_time",
    "short_capacity",
    "terminal",
    "held",
    "serve_load",
]


class UnitPlan(Document):
    """A unit's mode (null: off) and output, per step."""

    mode: Annotated[tuple[Name | None, ...], Field(strict=False)]
    load_kw: Series
    load_ratio: Series | None = None
    """Output as a share of what the unit can give at the temperatures of the step: what it is told."""


class StoragePlan(Document):
    """Charge, discharge, and energy at the end of each step."""

    charge_kw: Series
    discharge_kw: Series
    soc_kwh: Series
    capacity_kwh: NotNegative | None = None
    """Usable energy of the full store, for who shows the plan."""
    start_kwh: NotNegative | None = None
    """Energy at the start of step 0."""
    charge_degc: Number | None = None
    """Leaving temperature that a charging unit is told [degC]; None: as the site file says."""


class AuxPlan(Document):
    """Output of an auxiliary source."""

    output_kw: Series


class LoopPlan(Document):
    """What a loop lacks, and what it has too much of."""

    unmet_kw: Series
    dump_kw: Series


class Reason(Document):
    """Why a block of the plan is as it is.

    Attributes:
        saves_cny: what not doing it would cost more, about; None: that cannot be said in money.
    """

    from_step: Annotated[int, Field(ge=0)]
    to_step: Annotated[int, Field(ge=1)]
    name: Name
    code: ReasonCode
    zh: str
    en: str
    saves_cny: Number | None = None


class Alternative(Document):
    """What the same steps would cost if they were run otherwise, priced by the same rules as the plan.

    Attributes:
        objective_cny: cost of the other plan.
        penalty_cny: part of it that is no bill: what loops would lack, and power above limits, as they are weighed.
        unmet_kwh: what loops would lack.
        excess_kwh: energy above limits of power.
    """

    objective_cny: Number
    penalty_cny: NotNegative = 0.0
    unmet_kwh: NotNegative = 0.0
    excess_kwh: NotNegative = 0.0


class Comparison(Document):
    """The plan's yardsticks.

    Attributes:
        rule: as a good operator would run it; None: his plan would break a rule.
        no_storage: the same without touching any store; None likewise.
    """

    rule: Alternative | None = None
    no_storage: Alternative | None = None


class Change(Document):
    """Why this plan took the place of the one before, or why that one's next hours were kept.

    Attributes:
        code: first: there was none; same: the same units run in the next hours; kept: others would gain too little;
            cheaper: others gain enough; broken: the one before can no longer be run; unknown: there was no time to
            weigh them; carried: the solver failed, and the units of the one before are kept; no_solver: the rule stands
            in.
        gain_cny: what the new plan's next hours save against those of the one before; None: not comparable.
        least_cny: what they must save to be taken.
    """

    code: Literal["first", "same", "kept", "cheaper", "broken", "unknown", "carried", "no_solver"]
    gain_cny: Number | None = None
    least_cny: NotNegative | None = None


class Plan(Document):
    """What to do, what it costs, and how good it is known to be."""

    schema_id: Literal["plan/1"] = Field(default="plan/1", alias="schema")
    request: Name
    made_utc: Instant
    method: Literal["milp", "relaxed", "rule"]
    status: Literal["optimal", "feasible"]
    objective_cny: Number
    parts_cny: dict[str, Number]
    bound_cny: Number | None = None
    gap: Number | None = None
    solve_seconds: NotNegative = 0.0
    grid_start_utc: Instant
    step_minutes: Annotated[tuple[Positive, ...], Field(strict=False, min_length=1, max_length=STEPS_MAX)]
    units: dict[Name, UnitPlan]
    storages: dict[Name, StoragePlan]
    aux: dict[Name, AuxPlan] = Field(default_factory=dict)
    loops: dict[Name, LoopPlan] = Field(default_factory=dict)
    grid_kw: Series
    reasons: Annotated[tuple[Reason, ...], Field(strict=False)] = ()
    comparison: Comparison | None = None
    price_cny_per_kwh: Series = ()
    """Price of each step, for who shows the plan."""
    bands: Annotated[tuple[Name, ...], Field(strict=False)] = ()
    """Band of each step; empty: not known."""
    assumptions: Annotated[tuple[Assumption, ...], Field(strict=False)] = ()
    """What the request's figures rest on."""
    change: Change | None = None
    """Set by who decides whether a plan is followed; None: nobody has."""
    note: str = ""
    """What the ladder tried before this plan and why it was left; empty when nothing failed."""

    @model_validator(mode="after")
    def _shape(self) -> Self:
        check_span(self.grid_start_utc, self.step_minutes, start="grid_start_utc")
        steps = len(self.step_minutes)
        parts: list[tuple[str, Mapping[str, Document]]] = [
            ("units", self.units),
            ("storages", self.storages),
            ("aux", self.aux),
            ("loops", self.loops),
        ]
        series = [
            (f"{kind}.{name}.{key}", values)
            for kind, members in parts
            for name, member in members.items()
            for key, values in member
        ]
        series += [("grid_kw", self.grid_kw)]
        series += [(key, values) for key in ("price_cny_per_kwh", "bands") if (values := getattr(self, key))]
        for path, values in series:
            if isinstance(values, tuple) and len(values) != steps:
                raise shape_fault(
                    path,
                    f"应有 {steps} 个值,每步一个,现有 {len(values)} 个",
                    f"need {steps} values, one a step, got {len(values)}",
                )
        return self

    def to_json(self) -> str:
        """The document."""
        return self.model_dump_json(by_alias=True)


def read_plan(text: str | bytes) -> Plan:
    """Reads a Plan document.

    Raises:
        RequestFault: the text is not a plan of the agreed form.
    """
    try:
        return Plan.model_validate_json(text)
    except ValidationError as error:
        raise fault_of(error, Plan) from error


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken rule: which, by what, in which step, by how much."""

    rule: str
    name: str
    step: int | None
    amount: float
    unit: str

    def words(self, *, when: str) -> tuple[str, str]:
        """The broken rule for people, in both languages; `when` is its step on the plant's clock."""
        zh, en = RULE_WORDS.get(self.rule, (self.rule, self.rule))
        place = f"{self.name} {when}".rstrip()
        return f"{place}: {zh} ({self.amount:g} {self.unit})", f"{place}: {en} ({self.amount:g} {self.unit})"


RULE_WORDS = {
    "min_up": ("最短运行时间未满就要停", "would stop before its minimum run is over"),
    "min_down": ("最短停机时间未满就要起", "would start before its minimum rest is over"),
    "max_starts_per_day": ("每日起动次数超限", "more starts a day than allowed"),
    "unavailable": ("不可用却要运行", "would run though it is not available"),
    "grid_cap": ("超出不可超的电网上限", "power above a limit that may not be passed"),
    "source_limit": ("超出热源上限", "more than the source may give"),
    "source_energy": ("超出热源可用总量", "more energy than the source may give"),
    "storage_overdrawn": ("低于储量下限", "below the lowest energy of the store"),
    "storage_overfull": ("超出储量上限", "above the capacity of the store"),
}
"""What rules are called for people; only those that a request itself may make impossible."""


@dataclass(slots=True)
class UnitTrack:
    """Walks through a unit's life step by step and knows what its minimum times and starts allow.

    The checker, the rule and the unit assignment share it, so that all three mean the same by "may stop now".
    """

    group: Group
    unit: UnitState
    on: bool = False
    mode: str | None = None
    in_state_min: float = 0.0
    starts_by_day: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.on = self.unit.on
        self.mode = self.unit.mode if self.unit.on else None
        self.in_state_min = self.unit.minutes_in_state
        self.starts_by_day = {0: self.unit.starts_today}

    def lacks_min(self) -> float:
        """Minutes that are missing before the unit may change between on and off."""
        need_min = self.group.min_up_minutes if self.on else self.group.min_down_minutes
        return max(0.0, need_min - self.in_state_min)

    def may_switch(self) -> bool:
        """Whether the minimum time of the present state is over."""
        return self.lacks_min() <= MINUTES_TOL

    def starts_left(self, day: int) -> int:
        """Starts that are left in a civil day."""
        return self.group.max_starts_per_day - self.starts_by_day.get(day, 0)

    def advance(self, mode: str | None, *, step_min: float, day: int) -> None:
        """Takes one step in a mode (None: off)."""
        if (mode is not None) != self.on:
            self.on, self.in_state_min = mode is not None, 0.0
            if self.on:
                self.starts_by_day[day] = self.starts_by_day.get(day, 0) + 1
        self.mode = mode
        self.in_state_min += step_min


def clear_minutes(minutes: Floats, available: npt.NDArray[np.bool_]) -> Floats:
    """How long a unit may run from the start of each step before an outage [min]; to the end of the plan: unlimited."""
    out = np.zeros(len(minutes))
    left = np.inf
    for step in range(len(minutes) - 1, -1, -1):
        left = left + float(minutes[step]) if available[step] else 0.0
        out[step] = left
    return out


def unit_electricity_kw(mode: Mode, load_kw: Floats, *, capacity_factor: Floats, cop_factor: Floats) -> Floats:
    """Electricity of one running unit per step, linear between the curve's points [kW]."""
    fractions, electricity_kw = np.array(mode.curve).T
    fraction = np.clip(load_kw / (mode.capacity_kw * capacity_factor), fractions[0], fractions[-1])
    return np.asarray(np.interp(fraction, fractions, electricity_kw) * capacity_factor / cop_factor)


def limit_kw(points: Sequence[tuple[float, float]], soc_kwh: float) -> float:
    """Charge or discharge limit at an energy [kW]."""
    soc, limit = np.array(points).T
    return max(0.0, float(np.interp(soc_kwh, soc, limit)))


def next_soc_kwh(store: Storage, soc_kwh: float, *, net_charge_kw: float, hours: float) -> tuple[float, float]:
    """Energy after a step, and the part of the fixed loss that an empty store could not supply [kWh]."""
    loss_kwh = store.loss_kw * hours
    soc = soc_kwh * (1.0 - store.loss_fraction_per_h) ** hours - loss_kwh + net_charge_kw * hours
    spared = min(loss_kwh, max(0.0, store.min_kwh - soc))
    return soc + spared, spared


@dataclass(frozen=True, slots=True)
class Flows:
    """What the units of a plan take and give, per step."""

    electricity_kw: Floats
    loop_kw: Mapping[str, Floats]
    into_kw: Mapping[str, Floats]
    source_kw: Mapping[str, Floats]


def unit_flows(request: PlanRequest, units: Mapping[str, UnitPlan]) -> Flows:
    """Electricity, output to loops, output of charging units, and heat drawn from sources (rejected: negative)."""
    steps = request.grid.steps
    electricity_kw = np.zeros(steps)
    loop_kw = {loop.name: np.zeros(steps) for loop in request.loops}
    into_kw = {store.name: np.zeros(steps) for store in request.storages}
    source_kw = {source.name: np.zeros(steps) for source in request.sources}
    medium = {loop.name: loop.medium for loop in request.loops}
    for group in request.groups:
        capacity, cop = request.per_step(group.capacity_factor, 1.0), request.per_step(group.cop_factor, 1.0)
        for unit in group.units:
            chosen = np.array([mode or "" for mode in units[unit.name].mode])
            load_kw = np.array(units[unit.name].load_kw)
            for mode in group.modes:
                on = chosen == mode.name
                if not on.any():
                    continue
                drawn_kw = np.where(
                    on, unit_electricity_kw(mode, load_kw, capacity_factor=capacity, cop_factor=cop), 0.0
                )
                output_kw = np.where(on, load_kw, 0.0)
                electricity_kw += drawn_kw + np.where(on, group.pump_kw, 0.0)
                if mode.source is not None:
                    source_kw[mode.source] += (
                        output_kw - drawn_kw if medium[mode.loop] == "heat" else -(output_kw + drawn_kw)
                    )
                if mode.storage is not None:
                    into_kw[mode.storage] += output_kw
                else:
                    loop_kw[mode.loop] += output_kw
    return Flows(electricity_kw, loop_kw, into_kw, source_kw)


@dataclass(frozen=True, slots=True)
class Draft:
    """The decisions of a planning method; everything else in a plan follows from them."""

    modes: Mapping[str, Sequence[str | None]]
    loads_kw: Mapping[str, Floats]
    charge_kw: Mapping[str, Floats]
    discharge_kw: Mapping[str, Floats]
    aux_kw: Mapping[str, Floats]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a plan was made."""

    method: Literal["milp", "relaxed", "rule"]
    optimal: bool = False
    bound_cny: float | None = None
    solve_seconds: float = 0.0
    note: str = ""


def _rounded(values: Floats) -> tuple[float, ...]:
    return tuple(np.round(np.where(np.abs(values) < 0.5 * 10**-DIGITS, 0.0, values), DIGITS).tolist())


def finish(request: PlanRequest, draft: Draft, verdict: Verdict) -> Plan:
    """Makes a plan of a draft: energies, what is unmet or dumped, grid power and price follow from the decisions."""
    hours = request.grid.hours
    units = {
        unit.name: _unit_plan(request, group, modes=draft.modes[unit.name], load_kw=draft.loads_kw[unit.name])
        for group in request.groups
        for unit in group.units
        if unit.name in draft.modes
    }
    flows = unit_flows(request, units)
    supply_kw = {name: values.copy() for name, values in flows.loop_kw.items()}
    grid_kw = request.per_step(request.other_load_kw) + flows.electricity_kw
    storages: dict[str, StoragePlan] = {}
    for store in request.storages:
        both_kw = np.minimum(draft.charge_kw[store.name], draft.discharge_kw[store.name])
        charge_kw = np.array(_rounded(np.maximum(0.0, draft.charge_kw[store.name] - both_kw)))
        discharge_kw = np.array(_rounded(np.maximum(0.0, draft.discharge_kw[store.name] - both_kw)))
        soc, trace = store.soc_kwh, []
        for net_kw, step_h in zip(charge_kw - discharge_kw, hours, strict=True):
            soc, _ = next_soc_kwh(store, soc, net_charge_kw=float(net_kw), hours=float(step_h))
            trace.append(soc)
        storages[store.name] = StoragePlan(
            charge_kw=_rounded(charge_kw),
            discharge_kw=_rounded(discharge_kw),
            soc_kwh=_rounded(np.array(trace)),
            capacity_kwh=store.capacity_kwh,
            start_kwh=store.soc_kwh,
            charge_degc=store.charge_degc,
        )
        supply_kw[store.loop] += flows.into_kw[store.name] - charge_kw + discharge_kw
        grid_kw = grid_kw + store.pump_kw_per_kw * (charge_kw + discharge_kw)
    aux: dict[str, AuxPlan] = {}
    for source in request.aux:
        output_kw = np.array(_rounded(draft.aux_kw[source.name]))
        aux[source.name] = AuxPlan(output_kw=_rounded(output_kw))
        supply_kw[source.loop] += output_kw
        grid_kw = grid_kw + source.electricity_kw_per_kw * output_kw
    loops: dict[str, LoopPlan] = {}
    for loop in request.loops:
        lack_kw = np.array(loop.load_kw) - supply_kw[loop.name]
        loops[loop.name] = LoopPlan(
            unmet_kw=_rounded(np.maximum(0.0, lack_kw)), dump_kw=_rounded(np.maximum(0.0, -lack_kw))
        )
    plan = Plan(
        request=request.name,
        made_utc=request.grid.start_utc,
        method=verdict.method,
        status="optimal" if verdict.optimal else "feasible",
        objective_cny=0.0,
        parts_cny={},
        solve_seconds=verdict.solve_seconds,
        grid_start_utc=request.grid.start_utc,
        step_minutes=tuple(request.grid.minutes.tolist()),
        units=units,
        storages=storages,
        aux=aux,
        loops=loops,
        grid_kw=_rounded(grid_kw),
        price_cny_per_kwh=request.price_cny_per_kwh,
        bands=request.bands,
        assumptions=request.assumptions,
        note=verdict.note,
    )
    parts = price(request, plan)
    total = sum(parts.values())
    return plan.model_copy(
        update={
            "parts_cny": {name: round(value, DIGITS) for name, value in parts.items()},
            "objective_cny": round(total, DIGITS),
            **bounded(total, verdict.bound_cny),
        }
    )


def _unit_plan(request: PlanRequest, group: Group, *, modes: Sequence[str | None], load_kw: Floats) -> UnitPlan:
    """A unit's part of a plan; its share of the load is of what it can give in each step."""
    full_kw = {mode.name: mode.capacity_kw for mode in group.modes}
    capacity = request.per_step(group.capacity_factor, 1.0)
    ratios = [
        0.0 if mode is None else kw / (full_kw[mode] * factor)
        for mode, kw, factor in zip(modes, load_kw, capacity, strict=True)
    ]
    return UnitPlan(mode=tuple(modes), load_kw=_rounded(np.asarray(load_kw)), load_ratio=_rounded(np.array(ratios)))


def bounded(objective_cny: float, bound_cny: float | None) -> dict[str, float | None]:
    """Bound and gap of a plan, as its keys."""
    if bound_cny is None or not np.isfinite(bound_cny):
        return {"bound_cny": None, "gap": None}
    bound_cny = min(bound_cny, objective_cny)  # solver tolerances may put it a hair above
    gap = (objective_cny - bound_cny) / abs(objective_cny) if objective_cny else 0.0
    return {"bound_cny": round(bound_cny, DIGITS), "gap": round(gap, 6)}


def grid_kw_of(request: PlanRequest, plan: Plan) -> Floats:
    """Mean grid power per step that follows from a plan's decisions [kW]."""
    grid_kw = request.per_step(request.other_load_kw) + unit_flows(request, plan.units).electricity_kw
    for store in request.storages:
        said = plan.storages[store.name]
        grid_kw = grid_kw + store.pump_kw_per_kw * (np.array(said.charge_kw) + np.array(said.discharge_kw))
    for aux in request.aux:
        grid_kw = grid_kw + aux.electricity_kw_per_kw * np.array(plan.aux[aux.name].output_kw)
    return grid_kw


def commitment_cost_cny(group: Group, unit: UnitState, modes: Sequence[str | None]) -> tuple[float, float]:
    """Cost of starts and of mode changes of one unit."""
    change_cny = {mode.name: mode.change_cost_cny for mode in group.modes}
    before = unit.mode if unit.on else None
    starts_cny = changes_cny = 0.0
    for mode in modes:
        if mode is not None and before is None:
            starts_cny += group.start_cost_cny
        elif mode is not None and mode != before:
            changes_cny += change_cny[mode]
        before = mode
    return starts_cny, changes_cny


def price(request: PlanRequest, plan: Plan) -> dict[str, float]:
    """Cost of a plan by parts [CNY], recomputed from its decisions."""
    hours = request.grid.hours
    parts = dict.fromkeys(PARTS, 0.0)
    grid_kw = grid_kw_of(request, plan)
    parts["energy"] = float((grid_kw * request.per_step(request.price_cny_per_kwh) * hours).sum())
    for period in request.demand:
        rise_kw = max(0.0, float(grid_kw[period.from_step : period.to_step].max()) - period.peak_so_far_kw)
        parts["demand"] += period.cny_per_kw_month * period.month_share * rise_kw
    for cap in request.grid_caps:
        window = slice(cap.from_step, cap.to_step)
        parts["grid_cap"] += (
            float((np.maximum(0.0, grid_kw[window] - cap.cap_kw) * hours[window]).sum()) * cap.penalty_cny_per_kwh
        )
    for group in request.groups:
        for unit in group.units:
            starts_cny, changes_cny = commitment_cost_cny(group, unit, plan.units[unit.name].mode)
            parts["starts"] += starts_cny
            parts["mode_changes"] += changes_cny
    for aux in request.aux:
        output_kw = np.array(plan.aux[aux.name].output_kw)
        on = output_kw > POWER_TOL_KW
        before = np.concatenate([[aux.on], on[:-1]])
        parts["aux"] += float((output_kw * request.per_step(aux.cost_cny_per_kwh) * hours).sum())
        parts["aux"] += int((on & ~before).sum()) * aux.start_cost_cny
    for loop in request.loops:
        said = plan.loops[loop.name]
        parts["unmet"] += float((np.array(said.unmet_kw) * hours).sum()) * loop.unmet_cny_per_kwh
        parts["dump"] += float((np.array(said.dump_kw) * hours).sum()) * loop.dump_cny_per_kwh
    unmet_cny = {loop.name: loop.unmet_cny_per_kwh for loop in request.loops}
    for store in request.storages:
        soc, spared_kwh = _soc_trace(store, plan.storages[store.name], hours)
        parts["unmet"] += spared_kwh * unmet_cny[store.loop]
        over_kwh = float(soc[-1]) - store.terminal.target_kwh
        parts["terminal"] += max(0.0, -over_kwh) * store.terminal.short_cny_per_kwh
        parts["terminal"] -= max(0.0, over_kwh) * store.terminal.surplus_cny_per_kwh
    drawn = unit_flows(request, plan.units).source_kw
    for source in request.sources:
        parts["source"] += float((drawn[source.name] * hours).sum()) * source.balance_cny_per_kwh
    return parts


def _soc_trace(store: Storage, said: StoragePlan, hours: Floats) -> tuple[Floats, float]:
    soc, spared_kwh, trace = store.soc_kwh, 0.0, []
    for charge_kw, discharge_kw, step_h in zip(said.charge_kw, said.discharge_kw, hours, strict=True):
        soc, spared = next_soc_kwh(store, soc, net_charge_kw=charge_kw - discharge_kw, hours=float(step_h))
        spared_kwh += spared
        trace.append(soc)
    return np.array(trace), spared_kwh


class _Findings:
    """Collects broken rules."""

    def __init__(self) -> None:
        self.items: list[Violation] = []

    def add(self, rule: str, name: str, *, step: int | None, amount: float, unit: str = "kW") -> None:
        self.items.append(Violation(rule, name, step, round(float(amount), DIGITS), unit))

    def where(self, rule: str, name: str, *, excess: Floats) -> None:
        for step in np.flatnonzero(excess > 0).tolist():
            self.add(rule, name, step=step, amount=float(excess[step]))


def _tol_kw(scale_kw: Floats | float) -> Floats:
    return np.asarray(POWER_TOL_KW + POWER_TOL_RATIO * np.abs(scale_kw))


def check(request: PlanRequest, plan: Plan) -> list[Violation]:
    """Every rule that a plan breaks; empty when it may be used."""
    found = _Findings()
    if not _same_shape(request, plan, found):
        return found.items
    for group in request.groups:
        for unit in group.units:
            _check_unit(request, group, unit, said=plan.units[unit.name], found=found)
    flows = unit_flows(request, plan.units)
    supply_kw = {name: values.copy() for name, values in flows.loop_kw.items()}
    for store in request.storages:
        said = plan.storages[store.name]
        _check_storage(request, store, said=said, into_kw=flows.into_kw[store.name], found=found)
        supply_kw[store.loop] += flows.into_kw[store.name] - np.array(said.charge_kw) + np.array(said.discharge_kw)
    for aux in request.aux:
        output_kw = np.array(plan.aux[aux.name].output_kw)
        most_kw = request.per_step(aux.max_kw)
        found.where("negative_output", aux.name, excess=-output_kw - _tol_kw(0.0))
        found.where("above_capacity", aux.name, excess=output_kw - most_kw - _tol_kw(most_kw))
        low_kw = np.where(output_kw > POWER_TOL_KW, aux.min_kw - output_kw, 0.0)
        found.where("below_minimum", aux.name, excess=low_kw - _tol_kw(aux.min_kw))
        supply_kw[aux.loop] += output_kw
    for loop in request.loops:
        unmet_kw, dump_kw = np.array(plan.loops[loop.name].unmet_kw), np.array(plan.loops[loop.name].dump_kw)
        load_kw = np.array(loop.load_kw)
        found.where("negative_unmet", loop.name, excess=-unmet_kw - _tol_kw(0.0))
        found.where("negative_dump", loop.name, excess=-dump_kw - _tol_kw(0.0))
        found.where(
            "loop_balance",
            loop.name,
            excess=np.abs(supply_kw[loop.name] + unmet_kw - dump_kw - load_kw) - _tol_kw(load_kw),
        )
    _check_sources(request, flows, found)
    _check_grid_and_cost(request, plan, found)
    return found.items


def _same_shape(request: PlanRequest, plan: Plan, found: _Findings) -> bool:
    """Whether the plan speaks of the same things and steps; else nothing more can be said."""
    steps = request.grid.steps
    wanted: list[tuple[str, set[str], Mapping[str, Document]]] = [
        ("unit", {unit.name for group in request.groups for unit in group.units}, plan.units),
        ("storage", {store.name for store in request.storages}, plan.storages),
        ("aux", {aux.name for aux in request.aux}, plan.aux),
        ("loop", {loop.name for loop in request.loops}, plan.loops),
    ]
    modes = {unit.name: {mode.name for mode in group.modes} for group in request.groups for unit in group.units}
    for kind, names, said in wanted:
        for name in sorted(names ^ said.keys()):
            found.add("shape", f"{kind} {name}", step=None, amount=1, unit="names")
        for name in sorted(names & said.keys()):
            series = [value for _, value in said[name] if isinstance(value, tuple)]
            if any(len(values) != steps for values in series):
                found.add("shape", f"{kind} {name}", step=None, amount=steps, unit="steps")
    for name in modes.keys() & plan.units.keys():
        if set(plan.units[name].mode) - modes[name] - {None}:
            found.add("shape", f"mode of {name}", step=None, amount=1, unit="names")
    if len(plan.grid_kw) != steps:
        found.add("shape", "grid_kw", step=None, amount=steps, unit="steps")
    return not found.items


def _check_unit(request: PlanRequest, group: Group, unit: UnitState, *, said: UnitPlan, found: _Findings) -> None:
    track = UnitTrack(group, unit)
    modes = {mode.name: mode for mode in group.modes}
    available = request.available(unit)
    capacity = request.per_step(group.capacity_factor, 1.0)
    for step, (new, load_kw) in enumerate(zip(said.mode, said.load_kw, strict=True)):
        day = int(request.days[step])
        switches = (new is not None) != track.on
        if switches and not track.may_switch():
            found.add(
                "min_up" if track.on else "min_down", unit.name, step=step, amount=track.lacks_min(), unit="minutes"
            )
        if switches and new is not None and track.starts_left(day) <= 0:
            found.add("max_starts_per_day", unit.name, step=step, amount=group.max_starts_per_day + 1, unit="starts")
        if new is not None and not available[step]:
            found.add("unavailable", unit.name, step=step, amount=1, unit="unit")
        track.advance(new, step_min=float(request.grid.minutes[step]), day=day)
        if new is None:
            if abs(load_kw) > POWER_TOL_KW:
                found.add("load_while_off", unit.name, step=step, amount=load_kw)
            continue
        full_kw = modes[new].capacity_kw * float(capacity[step])
        low_kw, high_kw = full_kw * modes[new].curve[0][0], full_kw * modes[new].curve[-1][0]
        if load_kw > high_kw + float(_tol_kw(high_kw)):
            found.add("above_capacity", unit.name, step=step, amount=load_kw - high_kw)
        if load_kw < low_kw - float(_tol_kw(low_kw)):
            found.add("below_minimum", unit.name, step=step, amount=low_kw - load_kw)


def _check_storage(
    request: PlanRequest, store: Storage, *, said: StoragePlan, into_kw: Floats, found: _Findings
) -> None:
    charge_kw, discharge_kw, said_kwh = np.array(said.charge_kw), np.array(said.discharge_kw), np.array(said.soc_kwh)
    found.where("negative_charge", store.name, excess=-charge_kw - _tol_kw(0.0))
    found.where("negative_discharge", store.name, excess=-discharge_kw - _tol_kw(0.0))
    found.where("charge_and_discharge", store.name, excess=np.minimum(charge_kw, discharge_kw) - _tol_kw(0.0))
    found.where("charge_without_unit", store.name, excess=charge_kw - into_kw - _tol_kw(into_kw))
    soc_kwh, _ = _soc_trace(store, said, request.grid.hours)
    before_kwh = np.concatenate([[store.soc_kwh], soc_kwh[:-1]])
    top_kw = np.array([limit_kw(store.charge_limit_kw, soc) for soc in before_kwh])
    bottom_kw = np.array([limit_kw(store.discharge_limit_kw, soc) for soc in before_kwh])
    found.where("charge_limit", store.name, excess=charge_kw - top_kw - _tol_kw(top_kw))
    found.where("discharge_limit", store.name, excess=discharge_kw - bottom_kw - _tol_kw(bottom_kw))
    charge_cap_kw, discharge_cap_kw = request.flow_caps_kw(store)
    for rule, flow_kw, cap_kw in (
        ("charge_for_a_while", charge_kw, charge_cap_kw),
        ("discharge_for_a_while", discharge_kw, discharge_cap_kw),
    ):
        limited = np.isfinite(cap_kw)
        most_kw = np.where(limited, cap_kw, 0.0)
        found.where(rule, store.name, excess=np.where(limited, flow_kw - most_kw - _tol_kw(most_kw), 0.0))
    slack_kwh = max(ENERGY_TOL_KWH, ENERGY_TOL_RATIO * store.capacity_kwh)
    found.where("storage_overfull", store.name, excess=soc_kwh - store.capacity_kwh - slack_kwh)
    found.where("storage_overdrawn", store.name, excess=store.min_kwh - soc_kwh - slack_kwh)
    found.where("soc_differs", store.name, excess=np.abs(said_kwh - soc_kwh) - slack_kwh)


def _check_sources(request: PlanRequest, flows: Flows, found: _Findings) -> None:
    for source in request.sources:
        drawn_kw = np.abs(flows.source_kw[source.name])
        if source.limit_kw is not None:
            most_kw = request.per_step(source.limit_kw)
            found.where("source_limit", source.name, excess=drawn_kw - most_kw - _tol_kw(most_kw))
        if source.energy_limit_kwh is not None:
            slack_kwh = max(ENERGY_TOL_KWH, ENERGY_TOL_RATIO * source.energy_limit_kwh)
            excess_kwh = float((drawn_kw * request.grid.hours).sum()) - source.energy_limit_kwh - slack_kwh
            if excess_kwh > 0:
                found.add("source_energy", source.name, step=None, amount=excess_kwh, unit="kWh")


def _check_grid_and_cost(request: PlanRequest, plan: Plan, found: _Findings) -> None:
    grid_kw = grid_kw_of(request, plan)
    for cap in request.grid_caps:
        if cap.hard:
            over_kw = grid_kw[cap.from_step : cap.to_step] - cap.cap_kw - _tol_kw(cap.cap_kw)
            found.where("grid_cap", cap.name, excess=np.concatenate([np.zeros(cap.from_step), over_kw]))
    found.where("grid_kw_differs", "grid", excess=np.abs(np.array(plan.grid_kw) - grid_kw) - _tol_kw(grid_kw))
    total_cny = sum(price(request, plan).values())
    if abs(plan.objective_cny - total_cny) > max(COST_TOL_CNY, COST_TOL_RATIO * abs(total_cny)):
        found.add("objective_differs", "plan", step=None, amount=plan.objective_cny - total_cny, unit="CNY")
