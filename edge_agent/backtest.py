"""Replays stored days: what the same load would have cost by the optimal plan, by rule, and without storage. Pure.

Each civil day is planned at its midnight with the load and the prices that then really came, a day and a half ahead,
and run as planned to the next midnight; tanks and units go on from there, each strategy for itself. So it is the plan
with hindsight of the load: what a forecast costs on top is the business of `hil-sim season`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np

from edge_agent.charge_setpoint import at_highest
from edge_agent.demand_account import DemandAccount, raised
from edge_agent.plan_case import LiveState, UnitNow, build_request, tank_of
from edge_agent.settings.load import Configuration
from edge_agent.source_ahead import response_of
from edge_agent.tariff_facts import facts_of, wanted
from scheduling.errors import NoPlan, RequestFault, SchedulingError, SolverFault
from scheduling.milp.door import solve_arrays
from scheduling.milp.model import build, clusters_of
from scheduling.plan import Plan, check, commitment_cost_cny
from scheduling.request import PlanRequest, Storage
from scheduling.rule import plan_by_rule
from scheduling.solve import solve
from scheduling.tariff.facts import Facts
from scheduling.tariff.price import StepPrices, caps_of, price_per_step
from scheduling.timegrid import TimeGrid
from scheduling.why.compare import without_storage

Strategy = Literal["optimal", "rule", "no_storage"]
STRATEGIES: tuple[Strategy, ...] = ("optimal", "rule", "no_storage")
Means = Callable[[str, datetime, datetime], Mapping[datetime, float]]
"""Stored quarter-hour means of a point between two instants, by their start."""

QUARTER_MIN = 15
QUARTER = timedelta(minutes=QUARTER_MIN)
LOOK_AHEAD = timedelta(hours=12)
"""Each day is planned this far into the next, so that it leaves the tank as the next day wants it."""
GAP_QUARTERS_MAX = 4
"""So many missing quarters in a row are filled between their neighbours; a day with a longer gap is left out."""
RESTED_MIN = 600.0
BOUND_DAYS_MAX = 14
"""Longer spans have no bound: it is one relaxation of the whole span."""
BOUND_LIMIT_S = 120.0
"""Wall time for that relaxation [s]."""
UNMET_TOL_KWH = 1.0


@dataclass(frozen=True, slots=True)
class Left:
    """A day that was not replayed, and why: a code of the texts."""

    day: date
    why: Literal["load_missing", "tank_missing", "no_plan", "bad_task"]
    detail: str = ""
    """Of a task that cannot be planned: its fault."""


@dataclass(slots=True)
class Account:
    """What one strategy has cost so far.

    Attributes:
        cost_cny: electricity, starts and changes of mode; at the end also demand and what tanks hold more or less.
        unmet_kwh: heat that it did not deliver.
        peaks_kw: highest quarter of an hour of each month, by its first day.
    """

    cost_cny: float = 0.0
    unmet_kwh: float = 0.0
    peaks_kw: dict[date, float] = field(default_factory=dict)
    storage_kwh: dict[str, float] = field(default_factory=dict)
    units: dict[str, UnitNow] = field(default_factory=dict)

    @property
    def peak_kw(self) -> float:
        """Highest quarter of an hour of all."""
        return max(self.peaks_kw.values(), default=0.0)


@dataclass(frozen=True, slots=True)
class Replay:
    """The result.

    Attributes:
        days: that were replayed.
        left: that were not.
        accounts: by strategy.
        bound_cny: no way of running could have cost less, of all the days together; None: not known.
        actual_cny: what the main meter really drew in the same days at the same prices, with the same share of its
            demand and with the tanks' difference, but without wear of starts, which no meter shows; None: it was not
            stored.
        warnings: what the tariff does not know of these days, as the bill would say it.
    """

    days: tuple[date, ...]
    left: tuple[Left, ...]
    accounts: Mapping[Strategy, Account]
    bound_cny: float | None
    actual_cny: float | None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Day:
    """A civil day as it was stored, with the hours after it that are known."""

    day: date
    grid: TimeGrid
    own_steps: int
    load_kw: Mapping[str, list[float]]
    other_kw: float
    actual_kwh: np.ndarray | None


class Backtest:
    """Replays the days of one site."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        means: Means,
        limit_s: float,
        gap_ratio: float,
        elapsed_s: Callable[[], float],
    ) -> None:
        """Wires it.

        Args:
            configuration: of the site.
            means: of the stored history.
            limit_s: wall time for each optimal plan [s].
            gap_ratio: proven distance at which it may stop.
            elapsed_s: reading of a stop-watch.
        """
        self._configuration = configuration
        # One charging temperature, the highest: else each day would have a bound of its own. What a cooler tank saves
        # comes on top of what is told here.
        self._site = at_highest(configuration.site)
        self._zone = ZoneInfo(configuration.site.site.timezone)
        self._means = means
        self._limit_s = limit_s
        self._gap_ratio = gap_ratio
        self._elapsed_s = elapsed_s
        # One value of stored heat for the whole span, or days would not compare.
        self._valley_cny = self._flat_cny = 0.0
        self._months = DemandAccount(configuration.tariff, ())
        self._priced: dict[tuple[datetime, int], StepPrices] = {}
        self._span_grid: TimeGrid | None = None
        self._means_degc: dict[tuple[datetime, int], tuple[dict[str, float], dict[str, float]]] = {}

    def run(self, first: date, last: date, *, progress: Callable[[date], None] = lambda _: None) -> Replay:
        """Replays the civil days [first, last).

        Args:
            first: first day.
            last: the first day that is no longer wanted.
            progress: called before each day.
        """
        days = {day: self._day(day) for day in _days(first, last)}
        self._months = DemandAccount(
            self._configuration.tariff, [day for day, stored in days.items() if isinstance(stored, _Day)]
        )
        span = self._span(first, last)
        self._span_grid = span if len(days) <= BOUND_DAYS_MAX else None
        prices = self._prices(span).cny_per_kwh
        self._valley_cny, self._flat_cny = float(prices.min()), float(np.median(prices))
        accounts: dict[Strategy, Account] = {}
        done: list[_Day] = []
        left: list[Left] = []
        begin_kwh: dict[str, float] = {}
        actual: list[float | None] = []
        for day, stored in days.items():
            progress(day)
            fault = stored if isinstance(stored, Left) else None
            if isinstance(stored, _Day) and not accounts:
                tanks = self._tanks(stored.grid.start_utc)
                if tanks is None:
                    fault = Left(day, "tank_missing")
                else:
                    begin_kwh = tanks
                    accounts = {name: self._fresh(tanks) for name in STRATEGIES}
            if fault is None and isinstance(stored, _Day):
                try:
                    self._replay(stored, accounts)
                    done.append(stored)
                    actual.append(self._actual_cny(stored))
                except RequestFault as error:
                    fault = Left(day, "bad_task", str(error))
                except SchedulingError:
                    fault = Left(day, "no_plan")
            if fault is not None:
                left.append(fault)
        if done:
            self._close(done, accounts, begin_kwh)
        actual_cny = self._actual(done, actual, begin_kwh) if done else None
        return Replay(
            tuple(stored.day for stored in done),
            tuple(left),
            accounts,
            self._bound_cny(done, begin_kwh) if self._comparable(done, left, accounts) else None,
            actual_cny,
            tuple(dict.fromkeys(warning for priced in self._priced.values() for warning in priced.warnings)),
        )

    # ------------------------------------------------------------------------------------------------- what was stored

    def _span(self, first: date, last: date) -> TimeGrid:
        begin, end = (self._midnight(day).astimezone(UTC) for day in (first, last))
        return TimeGrid(begin, QUARTER_MIN * 60.0, max(1, round((end - begin) / QUARTER)))

    def _midnight(self, day: date) -> datetime:
        return datetime(day.year, day.month, day.day, tzinfo=self._zone)

    def _day(self, day: date) -> "_Day | Left":
        """A day with what is known of the hours after it."""
        begin, end = (self._midnight(d).astimezone(UTC) for d in (day, day + timedelta(days=1)))
        own_steps = round((end - begin) / QUARTER)
        most = own_steps + round(LOOK_AHEAD / QUARTER)
        loads = {name: self._series(f"{loop.meter}.heat_power", begin, most) for name, loop in self._site.loops.items()}
        known = min(_known_steps(values) for values in loads.values())
        if known < own_steps:
            return Left(day, "load_missing")
        main = self._series(f"{self._site.meters.electricity}.electric_power", begin, own_steps)
        units = [
            self._series(f"{meter}.electric_power", begin, own_steps) for meter in self._site.meters.units.values()
        ]
        other = [kw - sum(each) for kw, *each in zip(main, *units, strict=True)]
        other = [kw for kw in other if math.isfinite(kw)]
        return _Day(
            day,
            TimeGrid(begin, QUARTER_MIN * 60.0, known),
            own_steps,
            {name: [max(0.0, kw) for kw in values[:known]] for name, values in loads.items()},
            max(0.0, median(other)) if other else 0.0,
            np.array(main) * QUARTER_MIN / 60.0 if all(map(math.isfinite, main)) else None,
        )

    def _series(self, point: str, begin: datetime, count: int) -> list[float]:
        """Quarter-hour means from an instant on, short gaps filled; NaN where nothing is known."""
        means = self._means(point, begin, begin + count * QUARTER)
        values = np.array([means.get(begin + step * QUARTER, math.nan) for step in range(count)])
        seen = np.flatnonzero(np.isfinite(values))
        for low, high in pairwise(seen.tolist()):
            if 1 < high - low <= GAP_QUARTERS_MAX + 1:
                values[low:high] = np.linspace(values[low], values[high], high - low, endpoint=False)
        return [float(value) for value in values]

    def _tanks(self, instant_utc: datetime) -> dict[str, float] | None:
        """Usable energy of each tank at an instant; None where one is not known."""
        out: dict[str, float] = {}
        for name, storage in self._site.storages.items():
            layers = [self._series(point, instant_utc, 1)[0] for point in storage.layers]
            known = [degc for degc in layers if math.isfinite(degc)]
            if not known:
                return None
            out[name] = tank_of(storage).usable_kwh(known)
        return out

    def _actual(
        self, done: Sequence[_Day], paid: Sequence[float | None], begin_kwh: Mapping[str, float]
    ) -> float | None:
        """What the meter's energy cost, with what the tanks held more or less in the end, as for the strategies."""
        known = [cny for cny in paid if cny is not None]
        end_kwh = self._tanks(done[-1].grid.start_of(done[-1].own_steps) - QUARTER)
        if len(known) < len(done) or end_kwh is None:
            return None
        stores = self._request(done[-1], self._fresh(begin_kwh)).storages
        peaks_kw: dict[date, float] = {}
        for stored in done:
            if stored.actual_kwh is not None:
                peaks_kw = raised(peaks_kw, stored.day, float(stored.actual_kwh.max()) * 60.0 / QUARTER_MIN)
        demand_cny = self._months.cost_cny(peaks_kw)
        return (
            sum(known)
            + demand_cny
            - sum(_worth_cny(store, end_kwh[store.name] - begin_kwh[store.name]) for store in stores)
        )

    def _actual_cny(self, stored: _Day) -> float | None:
        if stored.actual_kwh is None:
            return None
        return float((stored.actual_kwh * self._prices(stored.grid).cny_per_kwh[: stored.own_steps]).sum())

    def _prices(self, grid: TimeGrid) -> StepPrices:
        """The prices of the bill: hot days and the ladder's count as they were recorded."""
        key = (grid.start_utc, grid.count)
        if key not in self._priced:
            self._priced[key] = price_per_step(
                self._configuration.tariff, grid, zone=self._zone, facts=self._facts(grid)
            )
        return self._priced[key]

    def _facts(self, grid: TimeGrid) -> Facts:
        """What the records say of the tariff's facts, of the days that begin within the grid as well."""
        tariff, begin_utc, meters = self._configuration.tariff, grid.start_utc, self._site.meters
        need = wanted(tariff, begin_utc, zone=self._zone)
        outdoor_degc: Mapping[datetime, float] = {}
        electric_kw: Mapping[datetime, float] = {}
        if need.outdoor_from_utc is not None:
            outdoor_degc = self._means(meters.weather, need.outdoor_from_utc, grid.end_utc + timedelta(days=1))
        if need.electric_from_utc is not None:
            electric_kw = self._means(f"{meters.electricity}.electric_power", need.electric_from_utc, begin_utc)
        return facts_of(tariff, begin_utc, zone=self._zone, outdoor_degc=outdoor_degc, electric_kw=electric_kw)

    def _conditions(self, grid: TimeGrid) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
        """Temperatures of sources and of supply that came; what was not recorded has no entry.

        Air counts step by step. Water and supply count by their mean: of the day, or, where a bound is to hold for all
        days together, of the span.
        """
        means_of = self._span_grid if self._span_grid is not None else grid
        key = (means_of.start_utc, means_of.count)
        if key not in self._means_degc:
            self._means_degc[key] = self._mean_degc(means_of)
        water_degc, loops_degc = self._means_degc[key]
        source_degc = {name: [degc] * grid.count for name, degc in water_degc.items()}
        outdoor_degc = self._series(self._site.meters.weather, grid.start_utc, grid.count)
        if all(map(math.isfinite, outdoor_degc)):
            source_degc |= {name: outdoor_degc for name, source in self._site.sources.items() if source.kind == "air"}
        return source_degc, {name: [degc] * grid.count for name, degc in loops_degc.items()}

    def _mean_degc(self, grid: TimeGrid) -> tuple[dict[str, float], dict[str, float]]:
        """Mean temperature of each source that is drawn from, and of each loop's supply by its heating curve."""
        water_degc: dict[str, float] = {}
        for name, source in self._site.sources.items():
            if source.kind != "air" and source.meter is not None:
                inlet_degc, heat_kw = (
                    self._series(f"{source.meter}.{point}", grid.start_utc, grid.count)
                    for point in ("supply_temperature", "heat_power")
                )
                response = response_of(inlet_degc, heat_kw)
                if response is not None:
                    water_degc[name] = response.mean_degc
        outdoor_degc = np.array(self._series(self._site.meters.weather, grid.start_utc, grid.count))
        known_degc = outdoor_degc[np.isfinite(outdoor_degc)]
        loops_degc: dict[str, float] = {}
        for name, loop in self._site.loops.items():
            if len(known_degc):
                cold_degc, supply_degc = zip(*loop.supply_setpoint_degc, strict=True)
                loops_degc[name] = float(np.interp(known_degc, cold_degc, supply_degc).mean())
        return water_degc, loops_degc

    # ------------------------------------------------------------------------------------------------------ the replay

    def _fresh(self, tanks: Mapping[str, float]) -> Account:
        rested = UnitNow(on=False, mode=None, minutes_in_state=RESTED_MIN, starts_today=0, available=True)
        return Account(storage_kwh=dict(tanks), units=dict.fromkeys(self._site.units, rested))

    def _request(self, stored: _Day, account: Account) -> PlanRequest:
        prices = self._prices(stored.grid)
        source_degc, supply_degc = self._conditions(stored.grid)
        request = build_request(
            self._site,
            self._configuration.performance,
            grid=stored.grid,
            live=LiveState(
                units=account.units,
                storage_kwh=account.storage_kwh,
                load_kw=stored.load_kw,
                price_cny_per_kwh=prices.cny_per_kwh.tolist(),
                bands=prices.bands,
                valley_cny_per_kwh=self._valley_cny,
                flat_cny_per_kwh=self._flat_cny,
                other_load_kw=stored.other_kw,
                caps=caps_of(self._configuration.tariff.events, stored.grid, zone=self._zone),
                source_degc=source_degc,
                supply_degc=supply_degc,
            ),
        )
        # What a day adds to its month's peak costs the plan what it will cost the account.
        demand = self._months.periods(stored.grid, account.peaks_kw, zone=self._zone)
        return request.model_copy(update={"demand": demand})

    def _replay(self, stored: _Day, accounts: dict[Strategy, Account]) -> None:
        """One day by every strategy; none counts unless all could be planned."""
        after: dict[Strategy, Account] = {}
        for strategy, account in accounts.items():
            request = self._request(stored, account)
            if strategy == "no_storage":
                request = without_storage(request)
            plan = (
                solve(request, limit_s=self._limit_s, gap_ratio=self._gap_ratio, elapsed_s=self._elapsed_s)
                if strategy == "optimal"
                else plan_by_rule(request)
            )
            if broken := check(request, plan):
                raise NoPlan(f"{strategy}: {broken[0].rule} {broken[0].name} step {broken[0].step}")
            after[strategy] = _run(request, plan, account, stored=stored)
        accounts.update(after)

    def _close(
        self, done: Sequence[_Day], accounts: Mapping[Strategy, Account], begin_kwh: Mapping[str, float]
    ) -> None:
        """Prices what the tanks hold more or less than at the beginning, and the demand of the span."""
        for account in accounts.values():
            request = self._request(done[-1], account)
            for store in request.storages:
                account.cost_cny -= _worth_cny(store, account.storage_kwh[store.name] - begin_kwh[store.name])
            account.cost_cny += self._months.cost_cny(account.peaks_kw)

    def _comparable(self, done: Sequence[_Day], left: Sequence[Left], accounts: Mapping[Strategy, Account]) -> bool:
        """Whether a bound says something: one unbroken span, and nothing lacking whose weight is no bill."""
        return bool(done) and not left and accounts["optimal"].unmet_kwh <= UNMET_TOL_KWH

    def _bound_cny(self, done: Sequence[_Day], begin_kwh: Mapping[str, float]) -> float | None:
        """The relaxation of all days as one task, tanks back where they began."""
        if len(done) > BOUND_DAYS_MAX:
            return None
        account = self._fresh(begin_kwh)
        whole = replace(
            done[0],
            grid=TimeGrid(done[0].grid.start_utc, QUARTER_MIN * 60.0, sum(stored.own_steps for stored in done)),
            own_steps=sum(stored.own_steps for stored in done),
            load_kw={
                name: [kw for stored in done for kw in stored.load_kw[name][: stored.own_steps]]
                for name in self._site.loops
            },
            other_kw=min(stored.other_kw for stored in done),
        )
        request = self._request(whole, account)
        stores = tuple(
            store.model_copy(
                update={"terminal": store.terminal.model_copy(update={"target_kwh": begin_kwh[store.name]})}
            )
            for store in request.storages
        )
        task = request.model_copy(update={"storages": stores})
        try:
            model = build(task, clusters_of(task))
            found = solve_arrays(model.arrays, "glop", limit_s=BOUND_LIMIT_S, gap_ratio=0.0, relax=True)
        except SolverFault:
            return None
        # Other consumers are the same for everybody; each day's own share was more than the least that was planned.
        prices = self._prices(whole.grid).cny_per_kwh
        first, rest = 0, 0.0
        for stored in done:
            part = slice(first, first + stored.own_steps)
            rest += (stored.other_kw - whole.other_kw) * float(prices[part].sum()) * QUARTER_MIN / 60.0
            first += stored.own_steps
        return found.objective_cny + rest


def _worth_cny(store: Storage, more_kwh: float) -> float:
    """Value of what a tank holds more, by what it spares; of what it holds less, negative, by what it will cost."""
    end = store.terminal
    return more_kwh * (end.surplus_cny_per_kwh if more_kwh > 0 else end.short_cny_per_kwh)


def _known_steps(values: Sequence[float]) -> int:
    """How many values stand before the first that is not known."""
    return next((step for step, value in enumerate(values) if not math.isfinite(value)), len(values))


def _days(first: date, last: date) -> list[date]:
    """The civil days [first, last)."""
    return [first + timedelta(days=number) for number in range((last - first).days)]


def _run(request: PlanRequest, plan: Plan, account: Account, *, stored: _Day) -> Account:
    """The account after a day's own steps of a plan were run as planned."""
    steps = stored.own_steps
    hours = request.grid.hours[:steps]
    prices = request.per_step(request.price_cny_per_kwh)[:steps]
    grid_kw = np.array(plan.grid_kw)[:steps]
    cost_cny = float((grid_kw * prices * hours).sum())
    units: dict[str, UnitNow] = {}
    for group in request.groups:
        for unit in group.units:
            modes = plan.units[unit.name].mode[:steps]
            cost_cny += sum(commitment_cost_cny(group, unit, modes))
            units[unit.name] = _after(account.units[unit.name], modes, minutes=request.grid.minutes[:steps].tolist())
    unmet_kwh = sum(float((np.array(loop.unmet_kw)[:steps] * hours).sum()) for loop in plan.loops.values())
    return Account(
        account.cost_cny + cost_cny,
        account.unmet_kwh + unmet_kwh,
        raised(account.peaks_kw, stored.day, float(grid_kw.max())),
        {name: max(0.0, stored.soc_kwh[steps - 1]) for name, stored in plan.storages.items()},
        units,
    )


def _after(unit: UnitNow, modes: Sequence[str | None], *, minutes: Sequence[float]) -> UnitNow:
    """A unit at the end of the day, at the beginning of the next: no start counted yet."""
    last = modes[-1]
    in_state = 0.0
    for mode, step_min in zip(reversed(modes), reversed(minutes), strict=True):
        if (mode is None) != (last is None):
            break
        in_state += step_min
    else:
        if unit.on == (last is not None):
            in_state += unit.minutes_in_state
    return replace(unit, on=last is not None, mode=last, minutes_in_state=in_state, starts_today=0)
