"""Plan without a solver: what a good operator would do.

Fill the store in the cheap hours with what the dear hours will need, empty it in the dear hours and keep it for the
dearest; run as few units as the load needs, evenly loaded; keep minimum times and starts; stay under caps and the
demand peak where the store can help. It is the fall-back when the solver fails, its first hint, and the yardstick
that an optimum must beat.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from scheduling.plan import (
    Draft,
    Plan,
    UnitTrack,
    Verdict,
    clear_minutes,
    finish,
    limit_kw,
    next_soc_kwh,
    unit_electricity_kw,
)
from scheduling.request import Floats, Group, Mode, PlanRequest, Storage

CHEAP_RATIO = 0.15
"""Prices within this part of the spread above the lowest count as cheap."""
LOOK_BACK_H = 24.0
"""Cheap is judged against the prices of a day around a step, not against the whole horizon."""
MARGIN_KW = 1e-6
BISECTIONS = 12
COMFORT_CNY_PER_KWH = 1000.0
"""Comfort comes before the demand peak: an operator lets the peak rise before the building cools."""
REFILL_RATIO = (0.35, 0.9)
"""A store that alone serves its loop is filled again below the first share of its capacity, up to the second."""
SHED_RATIOS = (1.0, 0.75, 0.5, 0.25, 0.0)
"""Parts of the wished charging power, then of the energy kept for later, that are tried when a limit would be
passed."""
SOURCE_RESERVE_RATIO = 1.2
"""Energy of a limited source that must be there before a unit starts, relative to what its minimum time takes at
least."""


@dataclass(slots=True)
class _Member:
    """A unit while the rule walks through the plan."""

    track: UnitTrack
    modes: Mapping[str, Mode]
    available: Sequence[bool]
    clear_min: Floats
    capacity_ratio: Floats
    cop_ratio: Floats
    chosen: list[str | None] = field(default_factory=list)
    loads_kw: list[float] = field(default_factory=list)

    def range_kw(self, mode: str, step: int) -> tuple[float, float]:
        """Lowest and highest output of a mode."""
        full_kw = self.modes[mode].capacity_kw * float(self.capacity_ratio[step])
        return full_kw * self.modes[mode].curve[0][0], full_kw * self.modes[mode].curve[-1][0]

    def electricity_kw(self, mode: str, load_kw: float, *, step: int) -> float:
        """Electricity of the unit without its pumps."""
        return float(
            unit_electricity_kw(
                self.modes[mode],
                np.array([load_kw]),
                capacity_factor=self.capacity_ratio[[step]],
                cop_factor=self.cop_ratio[[step]],
            )[0]
        )


@dataclass(slots=True)
class _StepPlan:
    """Decisions of one step."""

    mode: dict[str, str] = field(default_factory=dict)
    load_kw: dict[str, float] = field(default_factory=dict)
    charge_kw: dict[str, float] = field(default_factory=dict)
    discharge_kw: dict[str, float] = field(default_factory=dict)
    aux_kw: dict[str, float] = field(default_factory=dict)
    lack_kw: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Way:
    """One way to run a step, as parts of what was wished."""

    charge_ratio: float
    keep_ratio: float
    units_max: int
    load_ratio: float = 1.0


def _cop(mode: Mode) -> float:
    """Heat per electricity at the highest load."""
    return mode.capacity_kw * mode.curve[-1][0] / max(mode.curve[-1][1], 1e-9)


def best_cop(request: PlanRequest, *, loop: str, storage: str | None) -> float:
    """COP of the best mode for a loop (storage None) or for filling a store; 1 where there is none."""
    cops = [_cop(m) for group in request.groups for m in group.modes if m.loop == loop and m.storage == storage]
    return max(cops, default=1.0)


@dataclass(frozen=True, slots=True)
class StoreWish:
    """What a good operator wants of a store in each step: fill it up to a level, or keep a level for dearer hours."""

    fill_to_kwh: Floats
    keep_kwh: Floats
    cheap: Sequence[bool]


def wish_of(request: PlanRequest, store: Storage) -> StoreWish:
    """Levels to fill to in cheap steps and to keep in dear ones."""
    price, hours = np.array(request.price_cny_per_kwh), request.grid.hours
    steps = request.grid.steps
    begin_h = np.concatenate([[0.0], np.cumsum(hours)[:-1]])
    load_kw = np.array(next(loop.load_kw for loop in request.loops if loop.name == store.loop))
    most_kw = max(kw for _, kw in store.discharge_limit_kw)
    draw_kwh = np.minimum(load_kw, most_kw) * hours
    has_direct = any(m.storage is None and m.loop == store.loop for group in request.groups for m in group.modes)
    charge_cop = best_cop(request, loop=store.loop, storage=store.name)
    direct_cop = best_cop(request, loop=store.loop, storage=None) if has_direct else charge_cop
    cheap = np.zeros(steps, bool)
    for step in range(steps):
        near = np.abs(begin_h - begin_h[step]) <= LOOK_BACK_H
        low, high = float(price[near].min()), float(price[near].max())
        cheap[step] = price[step] <= low + CHEAP_RATIO * (high - low) and high > low
    fill, keep = np.full(steps, store.min_kwh), np.full(steps, store.min_kwh)
    end = store.terminal
    for step in range(steps):
        later = np.arange(step + 1, steps)
        stop = next((j for j in later if cheap[j] and not cheap[step:j].all()), steps)  # start of the next cheap block
        ahead = np.arange(step + 1, stop)
        tail_kwh = end.target_kwh if stop == steps else store.min_kwh
        worth = price[step] / charge_cop < price[ahead] / direct_cop * (1.0 - store.loss_fraction_per_h) ** (
            begin_h[ahead] - begin_h[step]
        )
        held_kwh = tail_kwh if price[step] / charge_cop < end.short_cny_per_kwh or stop < steps else store.min_kwh
        if cheap[step]:
            fill[step] = held_kwh + float(draw_kwh[ahead[worth & ~cheap[ahead]]].sum())
            keep[step] = store.capacity_kwh
        else:
            dearer = ahead[price[ahead] > price[step] * 1.001]
            tail_worth = price[step] / direct_cop < end.short_cny_per_kwh
            keep[step] = (tail_kwh if tail_worth or stop < steps else store.min_kwh) + float(draw_kwh[dearer].sum())
            fill[step] = store.min_kwh
    bounds = (store.min_kwh, store.capacity_kwh)
    return StoreWish(np.clip(fill, *bounds), np.clip(keep, *bounds), cheap.tolist())


@dataclass(frozen=True, slots=True)
class Given:
    """What is decided already: the mode of each unit, what each store takes and gives, what each auxiliary gives.

    Every series has one value a step. Stores do less where they must; they and auxiliaries give more where units lack.
    """

    modes: Mapping[str, Sequence[str | None]]
    charge_kw: Mapping[str, Sequence[float]]
    discharge_kw: Mapping[str, Sequence[float]]
    through_kw: Mapping[str, Sequence[float]]
    """What units that charge a store pass on to its loop."""
    aux_kw: Mapping[str, Sequence[float]]


class _Operator:
    """Walks through the steps once and decides each with what is known then."""

    def __init__(self, request: PlanRequest, given: Given | None = None) -> None:
        self.request = request
        self.given = given
        self.hours = request.grid.hours
        self.minutes = request.grid.minutes
        self.members = [self._member(group, at) for group in request.groups for at in range(len(group.units))]
        self.direct = {
            loop.name: any(m.storage is None and m.loop == loop.name for group in request.groups for m in group.modes)
            for loop in request.loops
        }
        self.wishes = {store.name: wish_of(request, store) for store in request.storages}
        self.soc_kwh = {store.name: store.soc_kwh for store in request.storages}
        self.flow_caps_kw = {store.name: request.flow_caps_kw(store) for store in request.storages}
        self.source_kwh = dict.fromkeys((source.name for source in request.sources), 0.0)
        self.medium = {loop.name: loop.medium for loop in request.loops}
        self.other_kw = request.per_step(request.other_load_kw)
        self.aux_on = {aux.name: aux.on for aux in request.aux}
        self.peak_kw = [period.peak_so_far_kw for period in request.demand]
        self.filling = dict.fromkeys(self.soc_kwh, False)
        self.steps: list[_StepPlan] = []

    def _member(self, group: Group, at: int) -> _Member:
        request = self.request
        available = request.available(group.units[at])
        return _Member(
            UnitTrack(group, group.units[at]),
            {mode.name: mode for mode in group.modes},
            available.tolist(),
            clear_minutes(request.grid.minutes, available),
            request.per_step(group.capacity_factor, 1.0),
            request.per_step(group.cop_factor, 1.0),
        )

    def run(self) -> Draft:
        """Every step in turn."""
        for step in range(self.request.grid.steps):
            plan = self._decide(step) if self.given is None else self._follow(step, self.given)
            self.steps.append(plan)
            self._commit(step, plan)
        steps = self.steps
        return Draft(
            {m.track.unit.name: m.chosen for m in self.members},
            {m.track.unit.name: np.array(m.loads_kw) for m in self.members},
            {s.name: np.array([p.charge_kw[s.name] for p in steps]) for s in self.request.storages},
            {s.name: np.array([p.discharge_kw[s.name] for p in steps]) for s in self.request.storages},
            {a.name: np.array([p.aux_kw[a.name] for p in steps]) for a in self.request.aux},
        )

    def _commit(self, step: int, plan: _StepPlan) -> None:
        for member in self.members:
            name = member.track.unit.name
            member.chosen.append(plan.mode.get(name))
            member.loads_kw.append(plan.load_kw.get(name, 0.0))
            member.track.advance(
                plan.mode.get(name), step_min=float(self.minutes[step]), day=int(self.request.days[step])
            )
        for store in self.request.storages:
            net_kw = plan.charge_kw[store.name] - plan.discharge_kw[store.name]
            self.soc_kwh[store.name], _ = next_soc_kwh(
                store, self.soc_kwh[store.name], net_charge_kw=net_kw, hours=float(self.hours[step])
            )
        grid_kw = self._grid_kw(step, plan)
        for at, period in enumerate(self.request.demand):
            if period.from_step <= step < period.to_step:
                self.peak_kw[at] = max(self.peak_kw[at], grid_kw)
        for name, kw in self._drawn_kw(step, plan).items():
            self.source_kwh[name] += abs(kw) * float(self.hours[step])
        self.aux_on = {name: kw > 0 for name, kw in plan.aux_kw.items()}

    # ------------------------------------------------------------------------------------------------ one step

    def _decide(self, step: int) -> _StepPlan:
        """The wished step; where limits ask for it, with less charging, more from the store, fewer units, less load."""
        everyone = len(self.members)
        ways = [_Way(ratio, 1.0, everyone) for ratio in SHED_RATIOS] + [
            _Way(0.0, ratio, everyone) for ratio in SHED_RATIOS[1:]
        ]
        ways += [_Way(0.0, 0.0, fewer) for fewer in range(everyone - 1, -1, -1)]
        best, least_cny = None, np.inf
        for way in ways:
            plan = self._try(step, way)
            excess_cny = self._excess_cny(step, plan) if self._allowed(step, plan) else np.inf
            if best is None or excess_cny < least_cny - MARGIN_KW:
                best, least_cny = plan, excess_cny
            if least_cny <= MARGIN_KW:
                break
        assert best is not None
        if np.isfinite(least_cny):
            return best
        for fewer in range(everyone, -1, -1):  # only lower loads or fewer units keep what may not be broken
            low, high = 0.0, 1.0
            best = self._try(step, _Way(0.0, 0.0, fewer, low))
            if not self._allowed(step, best):
                continue
            for _ in range(BISECTIONS):
                middle = 0.5 * (low + high)
                trial = self._try(step, _Way(0.0, 0.0, fewer, middle))
                if self._allowed(step, trial):
                    low, best = middle, trial
                else:
                    high = middle
            break
        return best

    def _follow(self, step: int, given: Given) -> _StepPlan:
        """The step with the units that are given; their loads and the stores serve the load."""
        plan = _StepPlan()
        for name, modes in given.modes.items():
            mode = modes[step]
            if mode is not None:
                plan.mode[name] = mode
        charge = {s.name: given.charge_kw[s.name][step] for s in self.request.storages}
        discharge = {
            s.name: min(given.discharge_kw[s.name][step], self._discharge_most_kw(s, step))
            for s in self.request.storages
        }
        for loop in self.request.loops:
            self._load(step, plan, loop.name, want_charge=charge, want_discharge=discharge, load_ratio=1.0)
        return plan

    def _excess_cny(self, step: int, plan: _StepPlan) -> float:
        """What a step costs beyond its energy: demand peak, caps, unmet load."""
        grid_kw, hours = self._grid_kw(step, plan), float(self.hours[step])
        cost = 0.0
        for period, peak_kw in zip(self.request.demand, self.peak_kw, strict=True):
            if period.from_step <= step < period.to_step:
                cost += period.cny_per_kw_month * period.month_share * max(0.0, grid_kw - peak_kw)
        for cap in self.request.grid_caps:
            if cap.from_step <= step < cap.to_step:
                cost += cap.penalty_cny_per_kwh * max(0.0, grid_kw - cap.cap_kw) * hours
        for loop in self.request.loops:
            cost += COMFORT_CNY_PER_KWH * max(0.0, plan.lack_kw[loop.name]) * hours
        return cost + sum(
            float(self.request.per_step(aux.cost_cny_per_kwh)[step]) * plan.aux_kw[aux.name] * hours
            for aux in self.request.aux
        )

    def _allowed(self, step: int, plan: _StepPlan) -> bool:
        """Whether the limits that may not be broken hold."""
        grid_kw = self._grid_kw(step, plan)
        for cap in self.request.grid_caps:
            if cap.hard and cap.from_step <= step < cap.to_step and grid_kw > cap.cap_kw + MARGIN_KW:
                return False
        drawn_kw = self._drawn_kw(step, plan)
        for source in self.request.sources:
            size_kw = abs(drawn_kw[source.name])
            if (
                source.limit_kw is not None
                and size_kw > float(self.request.per_step(source.limit_kw)[step]) + MARGIN_KW
            ):
                return False
            if source.energy_limit_kwh is not None:
                left_kwh = source.energy_limit_kwh - self.source_kwh[source.name]
                if size_kw * float(self.hours[step]) > left_kwh + MARGIN_KW:
                    return False
        return True

    def _grid_kw(self, step: int, plan: _StepPlan) -> float:
        grid_kw = float(self.other_kw[step])
        for member in self.members:
            mode = plan.mode.get(member.track.unit.name)
            if mode is not None:
                grid_kw += (
                    member.electricity_kw(mode, plan.load_kw[member.track.unit.name], step=step)
                    + member.track.group.pump_kw
                )
        for store in self.request.storages:
            grid_kw += store.pump_kw_per_kw * (plan.charge_kw[store.name] + plan.discharge_kw[store.name])
        return grid_kw + sum(aux.electricity_kw_per_kw * plan.aux_kw[aux.name] for aux in self.request.aux)

    def _drawn_kw(self, step: int, plan: _StepPlan) -> dict[str, float]:
        drawn = dict.fromkeys(self.source_kwh, 0.0)
        for member in self.members:
            name = member.track.unit.name
            if name not in plan.mode:
                continue
            mode = member.modes[plan.mode[name]]
            if mode.source is not None:
                electricity_kw = member.electricity_kw(mode.name, plan.load_kw[name], step=step)
                heat = self.medium[mode.loop] == "heat"
                drawn[mode.source] += (
                    plan.load_kw[name] - electricity_kw if heat else -(plan.load_kw[name] + electricity_kw)
                )
        return drawn

    def _try(self, step: int, way: _Way) -> _StepPlan:
        """One way to run the step: units for the load, then units for charging, then loads, store and auxiliaries."""
        plan = _StepPlan()
        want_charge, want_discharge = self._store_wishes(step, way)
        pool = self._pool(step, way.units_max)
        for store in self.request.storages:  # what only a store can serve comes first
            if not self.direct[store.loop] and want_charge[store.name] > 0:
                load_kw = self._load_kw(store.loop, step)
                self._take(
                    step, plan, pool, loop=store.loop, storage=store.name, need_kw=want_charge[store.name] + load_kw
                )
        for loop in self.request.loops:
            need_kw = loop.load_kw[step] - sum(
                want_discharge[s.name] for s in self.request.storages if s.loop == loop.name
            )
            if way.keep_ratio == 1.0:
                need_kw = max(need_kw, self._need_ahead_kw(step, loop.name, want_discharge))
            self._take(step, plan, pool, loop=loop.name, storage=None, need_kw=need_kw)
        for store in self.request.storages:
            if self.direct[store.loop]:
                self._take(step, plan, pool, loop=store.loop, storage=store.name, need_kw=want_charge[store.name])
        for member in pool:  # what may not stop runs on, in its mode
            track = member.track
            if track.on and not track.may_switch() and track.unit.name not in plan.mode and track.mode is not None:
                plan.mode[track.unit.name] = track.mode
        for loop in self.request.loops:
            self._load(
                step, plan, loop.name, want_charge=want_charge, want_discharge=want_discharge, load_ratio=way.load_ratio
            )
        return plan

    def _load_kw(self, loop: str, step: int) -> float:
        return float(next(item.load_kw[step] for item in self.request.loops if item.name == loop))

    def _store_wishes(self, step: int, way: _Way) -> tuple[dict[str, float], dict[str, float]]:
        """Power that each store should take and give."""
        charge: dict[str, float] = {}
        discharge: dict[str, float] = {}
        for store in self.request.storages:
            soc_kwh, wish, hours = self.soc_kwh[store.name], self.wishes[store.name], float(self.hours[step])
            fill_to_kwh, keep_kwh = float(wish.fill_to_kwh[step]), float(wish.keep_kwh[step])
            if not self.direct[store.loop]:
                low_kwh, high_kwh = (
                    store.min_kwh + ratio * (store.capacity_kwh - store.min_kwh) for ratio in REFILL_RATIO
                )
                was_filling = self.filling[store.name]
                self.filling[store.name] = soc_kwh < (high_kwh - 1.0 if was_filling or wish.cheap[step] else low_kwh)
                fill_to_kwh, keep_kwh = (
                    (high_kwh, high_kwh) if self.filling[store.name] else (store.min_kwh, store.min_kwh)
                )
            keep_kwh = store.min_kwh + (keep_kwh - store.min_kwh) * way.keep_ratio
            cap_kw = float(self.flow_caps_kw[store.name][0][step])
            charge[store.name] = max(
                0.0, min(cap_kw, limit_kw(store.charge_limit_kw, soc_kwh), (fill_to_kwh - soc_kwh) / hours)
            )
            charge[store.name] *= way.charge_ratio
            most_kw = self._discharge_most_kw(store, step)
            discharge[store.name] = max(
                0.0, min(most_kw, (soc_kwh - keep_kwh) / hours, self._load_kw(store.loop, step))
            )
            if discharge[store.name] > 0:
                charge[store.name] = 0.0
        return charge, discharge

    def _discharge_most_kw(self, store: Storage, step: int) -> float:
        """What the store can give in a step without passing its lower limit."""
        soc_kwh, hours = self.soc_kwh[store.name], float(self.hours[step])
        left_kwh = soc_kwh * (1.0 - store.loss_fraction_per_h) ** hours - store.loss_kw * hours - store.min_kwh
        cap_kw = float(self.flow_caps_kw[store.name][1][step])
        return float(max(0.0, min(cap_kw, limit_kw(store.discharge_limit_kw, soc_kwh), left_kwh / hours)))

    def _charge_most_kw(self, store: Storage, step: int) -> float:
        """What the store can take in a step without passing its capacity."""
        soc_kwh, hours = self.soc_kwh[store.name], float(self.hours[step])
        kept_kwh = soc_kwh * (1.0 - store.loss_fraction_per_h) ** hours - store.loss_kw * hours
        room_kw = (store.capacity_kwh - kept_kwh) / hours
        cap_kw = float(self.flow_caps_kw[store.name][0][step])
        return float(max(0.0, min(cap_kw, limit_kw(store.charge_limit_kw, soc_kwh), room_kw)))

    def _need_ahead_kw(self, step: int, loop: str, want_discharge: Mapping[str, float]) -> float:
        """Load on running units within the shortest rest: a unit that is wanted again so soon had better not stop."""
        rest_min = min((m.track.group.min_down_minutes for m in self.members), default=0.0)
        load_kw = next(item.load_kw for item in self.request.loops if item.name == loop)
        stores = [s for s in self.request.storages if s.loop == loop]
        running_kw = sum(
            m.range_kw(m.track.mode, step)[1]
            for m in self.members
            if m.track.on and m.track.mode is not None and m.modes[m.track.mode].loop == loop
        )
        most_kw, gone_min, later = 0.0, 0.0, step
        while later + 1 < self.request.grid.steps and gone_min < rest_min:
            gone_min += float(self.minutes[later])
            later += 1
            if any(self.request.price_cny_per_kwh[later] > self.request.price_cny_per_kwh[step] for _ in stores):
                break  # dearer hours begin: the store takes over
            most_kw = max(most_kw, load_kw[later] - sum(want_discharge[s.name] for s in stores))
        return min(most_kw, running_kw)

    def _pool(self, step: int, units_max: int) -> list[_Member]:
        """Units that may run in this step: those that run first, then those that rested longest."""
        day = int(self.request.days[step])
        here = [member for member in self.members if member.available[step]]
        running = [m for m in here if m.track.on]
        resting = [
            m
            for m in here
            if not m.track.on
            and m.track.may_switch()
            and m.track.starts_left(day) > 0
            and m.clear_min[step] >= m.track.group.min_up_minutes
            and self._source_lasts(m, step)
        ]
        held = [m for m in running if not m.track.may_switch()]
        free = [m for m in running if m.track.may_switch()]
        free.sort(key=lambda m: (-max(_cop(x) for x in m.modes.values()), m.track.in_state_min))
        resting.sort(key=lambda m: (-round(max(_cop(x) for x in m.modes.values()), 3), -m.track.in_state_min))
        return held + (free + resting)[: max(0, units_max - len(held))]

    def _source_lasts(self, member: _Member, step: int) -> bool:
        """Whether limited sources can carry one more unit through its minimum time."""
        up_h = member.track.group.min_up_minutes / 60.0
        running = 1 + sum(m.track.on for m in self.members)
        for source in self.request.sources:
            users = [mode for mode in member.modes.values() if mode.source == source.name]
            if source.energy_limit_kwh is None or not users:
                continue
            least_kwh = max(2.0 * member.range_kw(mode.name, step)[0] for mode in users) * max(
                up_h, float(self.hours[step])
            )
            if source.energy_limit_kwh - self.source_kwh[source.name] < SOURCE_RESERVE_RATIO * running * least_kwh:
                return False
        return True

    def _take(
        self, step: int, plan: _StepPlan, pool: Sequence[_Member], *, loop: str, storage: str | None, need_kw: float
    ) -> None:
        """Puts units of the pool into a mode until their capacity covers the need."""
        have_kw = 0.0
        ways = [
            (member, mode)
            for member in pool
            for mode in member.modes.values()
            if member.track.unit.name not in plan.mode and mode.loop == loop and mode.storage == storage
        ]
        ways.sort(
            key=lambda way: (not way[0].track.on, way[0].track.mode != way[1].name)
        )  # stable: keeps the pool's order
        for member, mode in ways:
            if have_kw >= need_kw - MARGIN_KW or need_kw <= MARGIN_KW:
                return
            least_kw, most_kw = member.range_kw(mode.name, step)
            if not member.track.on and need_kw - have_kw < 0.5 * least_kw and storage is not None:
                return  # a unit is not started to charge less than half of its lowest load
            plan.mode[member.track.unit.name] = mode.name
            have_kw += most_kw

    def _load(
        self,
        step: int,
        plan: _StepPlan,
        loop: str,
        *,
        want_charge: Mapping[str, float],
        want_discharge: Mapping[str, float],
        load_ratio: float,
    ) -> None:
        """Loads of the chosen units of a loop, what its stores take and give, its auxiliaries."""
        stores = [store for store in self.request.storages if store.loop == loop]
        auxiliaries = [aux for aux in self.request.aux if aux.loop == loop]
        ordered_kw = {aux.name: 0.0 if self.given is None else self.given.aux_kw[aux.name][step] for aux in auxiliaries}
        load_kw = self._load_kw(loop, step) - sum(ordered_kw.values())
        through_kw, charges = 0.0, False
        into: dict[str, float] = {}
        for store in stores:
            chosen = self._chosen(plan, loop, store.name)
            least_kw, most_kw = self._range_kw(step, plan, chosen)
            direct_most_kw = self._range_kw(step, plan, self._chosen(plan, loop, None))[1]
            short_kw = max(0.0, load_kw - direct_most_kw - want_discharge[store.name] - through_kw)
            if self.given is not None:
                short_kw = max(short_kw, min(self.given.through_kw[store.name][step], load_kw - through_kw))
            total_kw = min(most_kw, max(least_kw, want_charge[store.name] + short_kw))
            total_kw = least_kw + (total_kw - least_kw) * load_ratio
            self._spread(step, plan, chosen, total_kw)
            take_kw = min(total_kw, self._charge_most_kw(store, step))
            if short_kw > 0:
                take_kw = min(take_kw, max(0.0, total_kw - short_kw))
            into[store.name] = take_kw
            through_kw += total_kw - take_kw
            charges = charges or take_kw > MARGIN_KW
        chosen = self._chosen(plan, loop, None)
        least_kw, most_kw = self._range_kw(step, plan, chosen)
        give = {s.name: 0.0 if into[s.name] > MARGIN_KW else want_discharge[s.name] for s in stores}
        total_kw = min(most_kw, max(least_kw, load_kw - through_kw - sum(give.values())))
        total_kw = least_kw + (total_kw - least_kw) * load_ratio
        self._spread(step, plan, chosen, total_kw)
        lack_kw = load_kw - through_kw - total_kw - sum(give.values())
        for store in stores:
            if lack_kw < 0:  # units may not go lower: the store gives less, or takes what charging units can spare
                less_kw = min(give[store.name], -lack_kw)
                give[store.name] -= less_kw
                lack_kw += less_kw
            elif lack_kw > 0:
                if into[store.name] > MARGIN_KW:
                    less_kw = min(into[store.name], lack_kw)
                    into[store.name] -= less_kw
                    lack_kw -= less_kw
                if into[store.name] <= MARGIN_KW:
                    more_kw = min(self._discharge_most_kw(store, step) - give[store.name], lack_kw)
                    give[store.name] += max(0.0, more_kw)
                    lack_kw -= max(0.0, more_kw)
            plan.charge_kw[store.name] = into[store.name]
            plan.discharge_kw[store.name] = give[store.name] if into[store.name] <= MARGIN_KW else 0.0
        for aux in auxiliaries:
            most, want_kw = float(self.request.per_step(aux.max_kw)[step]), ordered_kw[aux.name] + lack_kw
            output_kw = min(most, max(aux.min_kw, want_kw)) if want_kw > MARGIN_KW and most >= aux.min_kw else 0.0
            plan.aux_kw[aux.name] = output_kw
            lack_kw -= output_kw - ordered_kw[aux.name]
        plan.lack_kw[loop] = lack_kw

    def _chosen(self, plan: _StepPlan, loop: str, storage: str | None) -> list[_Member]:
        out = []
        for member in self.members:
            name = plan.mode.get(member.track.unit.name)
            if name is not None and member.modes[name].loop == loop and member.modes[name].storage == storage:
                out.append(member)
        return out

    def _range_kw(self, step: int, plan: _StepPlan, chosen: Sequence[_Member]) -> tuple[float, float]:
        least_kw = most_kw = 0.0
        for member in chosen:
            low, high = member.range_kw(plan.mode[member.track.unit.name], step)
            least_kw, most_kw = least_kw + low, most_kw + high
        return least_kw, most_kw

    def _spread(self, step: int, plan: _StepPlan, chosen: Sequence[_Member], total_kw: float) -> None:
        """Loads every unit of a set to the same part of its range."""
        least_kw, most_kw = self._range_kw(step, plan, chosen)
        ratio = (total_kw - least_kw) / (most_kw - least_kw) if most_kw > least_kw else 0.0
        for member in chosen:
            low, high = member.range_kw(plan.mode[member.track.unit.name], step)
            plan.load_kw[member.track.unit.name] = low + ratio * (high - low)


def plan_by_rule(request: PlanRequest) -> Plan:
    """The plan of a good operator."""
    return finish(request, _Operator(request).run(), Verdict("rule"))


def draft_by_rule(request: PlanRequest, given: Given) -> Draft:
    """The decisions of a good operator who has been told which units run."""
    return _Operator(request, given).run()
