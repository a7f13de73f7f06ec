"""The mixed-integer model of a request as numpy arrays; no solver here.

Identical units are counted, not named: a group of N units has integer counts per mode instead of N binaries, which is
exact for convex part load and N times smaller. Numbers in comments, (1) to (16), are those of the model's
description:

(1) on/off changes are starts and stops      (2) one mode each             (3, 4) minimum times with the elapsed state
(5) starts a civil day                        (6) load between limits       (7) part load, perspective form: exact for
equal loads (8) mode changes                              (9) energy balance            (10) limits that depend on the
energy (11) only charging modes charge               (12) balance of every loop    (13) auxiliary sources (14) grid
power                               (15) demand peak and caps     (16) value of the energy left at the end

All slacks are priced and all bounds finite, so the model always has a solution.
Source: Knueven, Ostrowski, Watson 2017 (clustering); Rajan, Takriti 2005 (windows of minimum times).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from scheduling.plan import limit_kw
from scheduling.request import Aux, Floats, Group, Mode, PlanRequest, Storage, UnitState

Ints: TypeAlias = npt.NDArray[np.int64]

HARD_CNY_PER_KWH = 1000.0
"""Price of breaking what may not be broken: far above any real price, so that it only happens where nothing else is
possible."""
LAST_RESORT_CNY_PER_KWH = 100.0
STARTS_AMPLE = 2
"""So many starts left in the day are hardly ever all needed: units with at least as many are counted together."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Units that the model may count together: one group, same availability."""

    group: Group
    units: tuple[UnitState, ...]
    available: npt.NDArray[np.bool_]

    @property
    def count(self) -> int:
        """Number of units."""
        return len(self.units)


def clusters_of(request: PlanRequest, *, single: bool = False) -> list[Cluster]:
    """Units to be counted together.

    Groups that differ only in their names are one; a unit with an outage of its own stands apart, because a count
    cannot say which unit is away, and so does one whose starts of the day are nearly used up: a sum cannot say whose
    starts are left. `single` counts every unit for itself.
    """
    alike: dict[str, list[tuple[Group, UnitState]]] = {}
    for group in request.groups:
        kind = group.model_dump_json(exclude={"name", "units"})
        for unit in group.units:
            scarce = min(group.max_starts_per_day - unit.starts_today, STARTS_AMPLE)
            key = unit.name if single else f"{kind}{scarce}{request.available(unit).tobytes().hex()}"
            alike.setdefault(key, []).append((group, unit))
    return [
        Cluster(members[0][0], tuple(unit for _, unit in members), request.available(members[0][1]))
        for members in alike.values()
    ]


@dataclass(frozen=True, slots=True)
class Arrays:
    """A mixed-integer programme: minimise cost x, low <= A x <= high, lower <= x <= upper."""

    cost: Floats
    lower: Floats
    upper: Floats
    integer: npt.NDArray[np.bool_]
    row_low: Floats
    row_high: Floats
    row: Ints
    column: Ints
    value: Floats


@dataclass(slots=True)
class ClusterColumns:
    """Columns of one cluster; `k`, `q`, `p` by mode."""

    on: Ints
    start: Ints
    stop: Ints
    k: list[Ints]
    q: list[Ints]
    p: list[Ints]
    change: list[Ints | None]


@dataclass(slots=True)
class StoreColumns:
    """Columns of one store."""

    charge: Ints
    discharge: Ints
    through: Ints
    energy: Ints


@dataclass(slots=True)
class Model:
    """The arrays, and where to find the decisions in them."""

    request: PlanRequest
    clusters: list[Cluster]
    arrays: Arrays
    cluster_columns: list[ClusterColumns]
    store_columns: dict[str, StoreColumns]
    aux_output: dict[str, Ints]
    aux_on: dict[str, Ints]
    step_of: Ints
    """Step that each column belongs to; -1 for none."""


@dataclass(slots=True)
class _Builder:
    """Grows columns and rows block by block."""

    steps: int
    cost: list[Floats] = field(default_factory=list)
    lower: list[Floats] = field(default_factory=list)
    upper: list[Floats] = field(default_factory=list)
    integer: list[npt.NDArray[np.bool_]] = field(default_factory=list)
    step_of: list[Ints] = field(default_factory=list)
    columns: int = 0
    low: list[Floats] = field(default_factory=list)
    high: list[Floats] = field(default_factory=list)
    rows: int = 0
    row: list[Ints] = field(default_factory=list)
    column: list[Ints] = field(default_factory=list)
    value: list[Floats] = field(default_factory=list)

    def per_step(
        self, upper: Floats | float, *, cost: Floats | float = 0.0, lower: Floats | float = 0.0, integer: bool = False
    ) -> Ints:
        """One column a step."""
        return self._add(self.steps, upper, cost=cost, lower=lower, integer=integer, step_of=np.arange(self.steps))

    def one(self, upper: float, *, cost: float = 0.0, lower: float = 0.0, integer: bool = False) -> int:
        """One column."""
        return int(self._add(1, upper, cost=cost, lower=lower, integer=integer, step_of=np.array([-1]))[0])

    def _add(
        self,
        count: int,
        upper: Floats | float,
        *,
        cost: Floats | float,
        lower: Floats | float,
        integer: bool,
        step_of: Ints,
    ) -> Ints:
        self.upper.append(np.broadcast_to(np.asarray(upper, float), (count,)))
        self.lower.append(np.broadcast_to(np.asarray(lower, float), (count,)))
        self.cost.append(np.broadcast_to(np.asarray(cost, float), (count,)))
        self.integer.append(np.full(count, integer))
        self.step_of.append(step_of)
        self.columns += count
        return np.arange(self.columns - count, self.columns)

    def constrain(
        self,
        terms: Sequence[tuple[Ints, Floats | float]],
        *,
        low: Floats | float = -np.inf,
        high: Floats | float = np.inf,
    ) -> Ints:
        """Rows, one for each element: sum of coefficient x column over the terms."""
        count = len(terms[0][0])
        rows = np.arange(self.rows, self.rows + count)
        self.rows += count
        self.low.append(np.broadcast_to(np.asarray(low, float), (count,)))
        self.high.append(np.broadcast_to(np.asarray(high, float), (count,)))
        for columns, value in terms:
            self.more(rows, columns, value)
        return rows

    def more(self, rows: Ints, columns: Ints, value: Floats | float) -> None:
        """Further terms of existing rows."""
        self.row.append(rows)
        self.column.append(columns)
        self.value.append(np.broadcast_to(np.asarray(value, float), columns.shape))

    def upper_of(self, columns: Ints) -> Floats:
        """Upper bounds of a block of columns."""
        first = 0
        for bounds in self.upper:
            if first == columns[0]:
                return bounds
            first += len(bounds)
        raise AssertionError("not the columns of a block")

    def arrays(self) -> Arrays:
        """The finished programme, sorted by row and column."""
        row, column, value = np.concatenate(self.row), np.concatenate(self.column), np.concatenate(self.value)
        keep = value != 0.0
        order = np.lexsort((column[keep], row[keep]))
        return Arrays(
            np.concatenate(self.cost),
            np.concatenate(self.lower),
            np.concatenate(self.upper),
            np.concatenate(self.integer),
            np.concatenate(self.low),
            np.concatenate(self.high),
            row[keep][order],
            column[keep][order],
            value[keep][order],
        )


@dataclass(slots=True)
class _Sums:
    """Terms that later rows collect."""

    loop: dict[str, list[tuple[Ints, float]]]
    into: dict[str, list[tuple[Ints, float]]]
    grid: list[tuple[Ints, Floats | float]]
    source: dict[str, list[tuple[Ints, float]]]
    grid_most_kw: Floats


def build(request: PlanRequest, clusters: list[Cluster]) -> Model:
    """The model of a request."""
    steps, hours = request.grid.steps, request.grid.hours
    make = _Builder(steps)
    sums = _Sums(
        {loop.name: [] for loop in request.loops},
        {store.name: [] for store in request.storages},
        [],
        {source.name: [] for source in request.sources},
        np.maximum(0.0, request.per_step(request.other_load_kw)),
    )
    cluster_columns = [_cluster(make, request, cluster, sums=sums) for cluster in clusters]
    store_columns = {store.name: _store(make, request, store, sums=sums) for store in request.storages}
    aux_output: dict[str, Ints] = {}
    aux_on: dict[str, Ints] = {}
    for aux in request.aux:
        aux_output[aux.name], aux_on[aux.name] = _aux(make, request, aux, sums=sums)
    for loop in request.loops:  # (12)
        load_kw = np.array(loop.load_kw)
        unmet = make.per_step(load_kw, cost=loop.unmet_cny_per_kwh * hours)
        dump = make.per_step(_dump_most_kw(request, loop.name), cost=loop.dump_cny_per_kwh * hours)
        make.constrain([*sums.loop[loop.name], (unmet, 1.0), (dump, -1.0)], low=load_kw, high=load_kw)
    _sources(make, request, sums)
    _grid(make, request, sums)
    return Model(
        request,
        clusters,
        make.arrays(),
        cluster_columns,
        store_columns,
        aux_output,
        aux_on,
        np.concatenate(make.step_of),
    )


def _dump_most_kw(request: PlanRequest, loop: str) -> float:
    """More than anything could push into a loop."""
    most_kw = 0.0
    for group in request.groups:
        factor = max(group.capacity_factor or (1.0,))
        most_kw += len(group.units) * max(
            (m.capacity_kw * m.curve[-1][0] * factor for m in group.modes if m.loop == loop), default=0.0
        )
    most_kw += sum(max(kw for _, kw in store.discharge_limit_kw) for store in request.storages if store.loop == loop)
    return most_kw + sum(float(request.per_step(aux.max_kw).max()) for aux in request.aux if aux.loop == loop)


def _cluster(make: _Builder, request: PlanRequest, cluster: Cluster, *, sums: _Sums) -> ClusterColumns:
    group, count = cluster.group, cluster.count
    most = np.where(cluster.available, float(count), 0.0)
    on = make.per_step(most, integer=True)
    start = make.per_step(float(count), cost=group.start_cost_cny)
    stop = make.per_step(float(count))
    out = ClusterColumns(on, start, stop, [], [], [], [])
    now = sum(unit.on for unit in cluster.units)
    first = np.zeros(make.steps)
    first[0] = now
    rows = make.constrain([(on, 1.0), (start, -1.0), (stop, 1.0)], low=first, high=first)  # (1)
    make.more(rows[1:], on[:-1], -1.0)
    _minimum_times(make, request, cluster, columns=out, most=most)
    days = request.days
    for day in np.unique(days).tolist():  # (5)
        inside = start[days == day]
        left = sum(max(0, group.max_starts_per_day - (unit.starts_today if day == 0 else 0)) for unit in cluster.units)
        row = make.constrain([(inside[:1], 1.0)], high=float(left))
        make.more(np.repeat(row, len(inside) - 1), inside[1:], 1.0)
    capacity, cop = request.per_step(group.capacity_factor, 1.0), request.per_step(group.cop_factor, 1.0)
    medium = {loop.name: loop.medium for loop in request.loops}
    most_kw = np.zeros(make.steps)
    for mode in group.modes:
        k, q, p = _mode(
            make, cluster, mode, capacity=capacity, cop=cop, price=request.per_step(request.price_cny_per_kwh)
        )
        out.k.append(k)
        out.q.append(q)
        out.p.append(p)
        if mode.storage is None:
            sums.loop[mode.loop].append((q, 1.0))
        else:
            sums.into[mode.storage].append((q, 1.0))
        sums.grid.append((p, 1.0))
        if mode.source is not None:
            sums.source[mode.source] += [(q, 1.0), (p, -1.0)] if medium[mode.loop] == "heat" else [(q, -1.0), (p, -1.0)]
        most_kw = np.maximum(most_kw, count * mode.curve[-1][1] * capacity / cop)
    make.constrain([(on, 1.0), *((k, -1.0) for k in out.k)], low=0.0, high=0.0)  # (2)
    out.change += [_changes(make, cluster, mode, k=k, start=start) for mode, k in zip(group.modes, out.k, strict=True)]
    sums.grid.append((on, group.pump_kw))
    sums.grid_most_kw += most_kw + count * group.pump_kw
    return out


def _minimum_times(
    make: _Builder, request: PlanRequest, cluster: Cluster, *, columns: ClusterColumns, most: Floats
) -> None:
    """(3), (4): what started within the minimum time still runs; what stopped within it still rests."""
    group, count = cluster.group, cluster.count
    begin = np.concatenate([[0.0], np.cumsum(request.grid.minutes)[:-1]])
    for need_min, moved, state, running in (
        (group.min_up_minutes, columns.start, 1.0, True),
        (group.min_down_minutes, columns.stop, -1.0, False),
    ):
        age = np.array([unit.minutes_in_state for unit in cluster.units if unit.on == running])
        held = np.array([float((age + t + 1e-6 < need_min).sum()) for t in begin])
        if running:
            held = np.minimum(held, most)  # an outage comes first; the checker will tell
        # sum of moves in the window + held <= on   or   <= count - on
        rows = make.constrain([(columns.on, -state)], high=-held if running else count - held)
        later, earlier = np.nonzero(
            (begin[None, :] <= begin[:, None]) & (begin[:, None] - begin[None, :] < need_min - 1e-6)
        )
        if need_min <= 0:
            later = earlier = np.arange(make.steps)  # a start counts in its own step at least
        make.more(rows[later], moved[earlier], 1.0)


def _mode(
    make: _Builder, cluster: Cluster, mode: Mode, *, capacity: Floats, cop: Floats, price: Floats
) -> tuple[Ints, Ints, Ints]:
    """(6), (7): counts, output and electricity of one mode."""
    count = float(cluster.count)
    most = np.where(cluster.available, count, 0.0)
    full_kw = mode.capacity_kw * capacity
    fraction, electricity_kw = np.array(mode.curve).T
    k = make.per_step(most, integer=True)
    q = make.per_step(most * full_kw * fraction[-1])
    p = make.per_step(most * electricity_kw.max() * capacity / cop)
    make.constrain([(q, 1.0), (k, -fraction[0] * full_kw)], low=0.0)
    make.constrain([(q, 1.0), (k, -fraction[-1] * full_kw)], high=0.0)
    if len(fraction) == 1:
        make.constrain([(p, 1.0), (k, -electricity_kw[0] * capacity / cop)], low=0.0, high=0.0)
        return k, q, p
    slope = np.diff(electricity_kw) / np.diff(fraction)
    level = electricity_kw[:-1] - slope * fraction[:-1]
    for b, a in zip(slope, level, strict=True):
        make.constrain([(p, 1.0), (k, -a * capacity / cop), (q, -b / (mode.capacity_kw * cop))], low=0.0)
    below = np.flatnonzero(price < 0)
    if len(below):
        # Where using electricity is paid, nothing pushes p down onto the curve: hold it under the curve's chord.
        b = (electricity_kw[-1] - electricity_kw[0]) / (fraction[-1] - fraction[0])
        a = electricity_kw[0] - b * fraction[0]
        make.constrain(
            [
                (p[below], 1.0),
                (k[below], (-a * capacity / cop)[below]),
                (q[below], (-b / (mode.capacity_kw * cop))[below]),
            ],
            high=0.0,
        )
    return k, q, p


def _changes(make: _Builder, cluster: Cluster, mode: Mode, *, k: Ints, start: Ints) -> Ints | None:
    """(8): units that change into a mode while they run."""
    if mode.change_cost_cny <= 0:
        return None
    z = make.per_step(float(cluster.count), cost=mode.change_cost_cny)
    now = np.zeros(make.steps)
    now[0] = sum(unit.on and unit.mode == mode.name for unit in cluster.units)
    rows = make.constrain([(z, 1.0), (k, -1.0), (start, 1.0)], low=-now)
    make.more(rows[1:], k[:-1], 1.0)
    return z


def _limit_rows(make: _Builder, store: Storage, *, points: list[tuple[float, float]], flow: Ints, energy: Ints) -> None:
    """(10): every line of a concave limit, read at the energy at the start of the step."""
    for (x0, y0), (x1, y1) in pairwise(points):
        slope = (y1 - y0) / (x1 - x0)
        if slope == 0.0:
            continue  # a level line is the column's own bound
        high = np.full(make.steps, y0 - slope * x0)
        high[0] += slope * store.soc_kwh
        rows = make.constrain([(flow, 1.0)], high=high)
        make.more(rows[1:], energy[:-1], -slope)


def _store(make: _Builder, request: PlanRequest, store: Storage, *, sums: _Sums) -> StoreColumns:
    hours = request.grid.hours
    unmet_cny = next(loop.unmet_cny_per_kwh for loop in request.loops if loop.name == store.loop)
    flows = []
    energy = make.per_step(store.capacity_kwh, lower=store.min_kwh)
    caps_kw = request.flow_caps_kw(store)
    for limit, cap_kw in zip((store.charge_limit_kw, store.discharge_limit_kw), caps_kw, strict=True):
        most_kw = np.full(make.steps, max(kw for _, kw in limit))
        most_kw[0] = limit_kw(limit, store.soc_kwh)
        most_kw = np.minimum(most_kw, cap_kw)  # an order or a window of work
        flow = make.per_step(most_kw)
        _limit_rows(make, store, points=store.spanned(limit), flow=flow, energy=energy)
        flows.append(flow)
    charge, discharge = flows
    spared = make.per_step(store.loss_kw, cost=unmet_cny * hours)
    keep = (1.0 - store.loss_fraction_per_h) ** hours
    fixed = -store.loss_kw * hours
    fixed[0] += keep[0] * store.soc_kwh
    rows = make.constrain(
        [(energy, 1.0), (charge, -hours), (discharge, hours), (spared, -hours)], low=fixed, high=fixed
    )  # (9)
    make.more(rows[1:], energy[:-1], -keep[1:])
    if store.min_kwh > 0 and store.loss_fraction_per_h > 0:
        # Proportional loss at the lower limit needs a way out as well, or an idle store would have no solution.
        rescue = make.per_step(store.capacity_kwh, cost=LAST_RESORT_CNY_PER_KWH * hours)
        make.more(rows, rescue, -hours)
    through = make.per_step(sum((make.upper_of(q) for q, _ in sums.into[store.name]), np.zeros(make.steps)))
    make.constrain(
        [(charge, 1.0), (through, 1.0), *((q, -c) for q, c in sums.into[store.name])], low=0.0, high=0.0
    )  # (11)
    sums.loop[store.loop] += [(through, 1.0), (discharge, 1.0)]
    sums.grid += [(charge, store.pump_kw_per_kw), (discharge, store.pump_kw_per_kw)]
    sums.grid_most_kw += store.pump_kw_per_kw * sum(
        max(kw for _, kw in x) for x in (store.charge_limit_kw, store.discharge_limit_kw)
    )
    end = store.terminal  # (16)
    short = make.one(store.capacity_kwh + end.target_kwh, cost=end.short_cny_per_kwh)
    surplus = make.one(store.capacity_kwh + end.target_kwh, cost=-end.surplus_cny_per_kwh)
    ends = (np.array([short]), np.array([surplus]))
    make.constrain([(energy[-1:], 1.0), (ends[0], 1.0), (ends[1], -1.0)], low=end.target_kwh, high=end.target_kwh)
    if end.surplus_cny_per_kwh > end.short_cny_per_kwh:
        # More is worth more than less costs: without a choice between the two the model would take both at once.
        over = np.array([make.one(1.0, integer=True)])
        make.constrain([(ends[1], 1.0), (over, -store.capacity_kwh)], high=0.0)
        make.constrain([(ends[0], 1.0), (over, end.target_kwh)], high=end.target_kwh)
    return StoreColumns(charge, discharge, through, energy)


def _aux(make: _Builder, request: PlanRequest, aux: Aux, *, sums: _Sums) -> tuple[Ints, Ints]:
    """(13)."""
    most_kw = request.per_step(aux.max_kw)
    price = request.per_step(aux.cost_cny_per_kwh)
    on = make.per_step(1.0, integer=True)
    output = make.per_step(most_kw, cost=price * request.grid.hours)
    begins = make.per_step(1.0, cost=aux.start_cost_cny)
    make.constrain([(output, 1.0), (on, -most_kw)], high=0.0)
    make.constrain([(output, 1.0), (on, -aux.min_kw)], low=0.0)
    before = np.zeros(make.steps)
    before[0] = float(aux.on)
    rows = make.constrain([(begins, 1.0), (on, -1.0)], low=-before)
    make.more(rows[1:], on[:-1], 1.0)
    sums.loop[aux.loop].append((output, 1.0))
    sums.grid.append((output, aux.electricity_kw_per_kw))
    sums.grid_most_kw += most_kw * aux.electricity_kw_per_kw
    return output, on


def _sources(make: _Builder, request: PlanRequest, sums: _Sums) -> None:
    hours = request.grid.hours
    for source in request.sources:
        terms = sums.source[source.name]
        if not terms:
            continue
        scale_kw = sum(float(make.upper_of(columns).max()) for columns, _ in terms)
        drawn = make.per_step(scale_kw, lower=-scale_kw, cost=source.balance_cny_per_kwh * hours)
        make.constrain([(drawn, -1.0), *terms], low=0.0, high=0.0)
        size = make.per_step(scale_kw)
        make.constrain([(size, 1.0), (drawn, -1.0)], low=0.0)
        make.constrain([(size, 1.0), (drawn, 1.0)], low=0.0)
        if source.limit_kw is not None:
            excess = make.per_step(scale_kw, cost=HARD_CNY_PER_KWH * hours)
            make.constrain([(size, 1.0), (excess, -1.0)], high=request.per_step(source.limit_kw))
        if source.energy_limit_kwh is not None:
            excess_kwh = make.one(scale_kw * float(hours.sum()), cost=HARD_CNY_PER_KWH)
            row = make.constrain([(np.array([excess_kwh]), -1.0)], high=source.energy_limit_kwh)
            make.more(np.repeat(row, make.steps), size, hours)


def _grid(make: _Builder, request: PlanRequest, sums: _Sums) -> None:
    """(14), (15)."""
    hours = request.grid.hours
    other_kw = request.per_step(request.other_load_kw)
    lowest_kw = np.minimum(0.0, other_kw)
    grid = make.per_step(sums.grid_most_kw, lower=lowest_kw, cost=request.per_step(request.price_cny_per_kwh) * hours)
    make.constrain(
        [(grid, 1.0), *((columns, -np.asarray(value)) for columns, value in sums.grid)], low=other_kw, high=other_kw
    )
    for period in request.demand:
        most_kw = max(period.peak_so_far_kw, float(sums.grid_most_kw.max()))
        rise = make.one(most_kw, cost=period.cny_per_kw_month * period.month_share)
        inside = grid[period.from_step : period.to_step]
        make.constrain([(inside, 1.0), (np.full(len(inside), rise), -1.0)], high=period.peak_so_far_kw)
    for cap in request.grid_caps:
        inside = grid[cap.from_step : cap.to_step]
        price = cap.penalty_cny_per_kwh + (HARD_CNY_PER_KWH if cap.hard else 0.0)
        over_cost = np.zeros(make.steps)
        over_cost[cap.from_step : cap.to_step] = price * hours[cap.from_step : cap.to_step]
        over = make.per_step(sums.grid_most_kw, cost=over_cost)[cap.from_step : cap.to_step]
        make.constrain([(inside, 1.0), (over, -1.0)], high=cap.cap_kw)
