"""`hil-sim season`: days of a heating season in closed loop, and their score.

Truth (weather, occupants, instruments) comes from the seed alone, so that all strategies live through the same days.
Counted are the plant's own sums; the heat left in the tank is priced.
"""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from statistics import median
from typing import Final, Literal
from zoneinfo import ZoneInfo

from typing_extensions import override

from edge_agent.charge_setpoint import at_highest
from edge_agent.control.report import CycleReport
from edge_agent.correcting import Correcting
from edge_agent.expectation import Expectation, bands_at
from edge_agent.planner import AFTER_EDGE_S
from edge_agent.settings.load import Configuration, load_configuration
from edge_agent.settings.model import SiteFile
from edge_agent.solver_process import SolverProcess
from hil_sim.closed_loop.archive import MemoryArchive, MemoryTexts
from hil_sim.closed_loop.building_ahead import known_load_kw, record_begins, recorded
from hil_sim.closed_loop.lockstep import CYCLE_S, Lockstep, Machines
from hil_sim.closed_loop.strategies import Known, Strategy, Tasks, planner_of
from hil_sim.closed_loop.weather_file import read_weather
from hil_sim.plant.checker import SiteLimits
from hil_sim.plant.office import GroundOffice
from hil_sim.plant.truth import Truth
from hil_sim.plant.weather import Weather
from hil_sim.score import Run, Tally, score
from hil_sim.site import GRID_KW_MAX, UNITS_OF, ZONE, example_folder
from scheduling.errors import SchedulingError
from scheduling.timegrid import TimeGrid

LOG = logging.getLogger(__name__)

Forecast = Literal["real", "perfect"]
MONEY_S: Final = 300
"""The truth is summed this often [s]; bands change on full and half hours."""
BANDS_S: Final = 300
"""The tariff is looked up this often [s]: bands change on full and half hours, what is ahead is an instant."""
RETRY_S: Final = 60
"""Without a plan the next one is tried after this time [s]."""
AHEAD: Final = timedelta(days=3)
"""Weather must be known for so long beyond the end: a plan looks two days ahead."""
BEFORE: Final = timedelta(days=2)
"""... and for so long before the begin: the plant warms up."""


@dataclass(frozen=True, slots=True)
class Options:
    """What is to be lived through, and how.

    Attributes:
        plant: name of the example plant.
        first: first day, local.
        last: last day, local; it is lived to its end.
        strategy: who decides.
        forecast: of the service, or what really comes.
        replan_min: a new plan this often.
        seed: of weather, occupants, instruments.
        weather_file: outdoor air out of a file; None: the simulator's own.
        limit_s: wall time for a plan; None: as the site says.
        gap_ratio: proven distance at which the solver may stop; None: as the site says.
        damped: as in the service; False: every new plan is followed, to show what damping is worth.
        load_ratio: size of the building against the example plant's: how roomy the station is.
        from_hour: begin on the first day, local.
        to_hour: end on the last day, local.
    """

    plant: str
    first: date
    last: date
    strategy: Strategy = "optimal"
    forecast: Forecast = "real"
    replan_min: int = 60
    seed: int = 1
    weather_file: Path | None = None
    limit_s: float | None = None
    gap_ratio: float | None = None
    damped: bool = True
    load_ratio: float = 1.0
    from_hour: int = 0
    to_hour: int = 24


@dataclass(slots=True)
class Day:
    """What a local day was planned to be at its begin, and what it became.

    Attributes:
        date: the day.
        planned_cny: electricity of its hours by the first plan of the day; None: there was none.
        planned_load_kwh: heat expected then.
        planned_stored_kwh: heat expected in the tank at its end.
        cost_cny: what its electricity cost.
        stored_heat_cny: value of the heat that the tank gained.
        heat_kwh: delivered.
        stored_kwh: in the tank at its end.
        starts: of units.
        plans: made.
        discomfort_kelvin_hours: below the lower limit.
    """

    date: str
    planned_cny: float | None = None
    planned_load_kwh: float | None = None
    planned_stored_kwh: float | None = None
    cost_cny: float = 0.0
    stored_heat_cny: float = 0.0
    heat_kwh: float = 0.0
    stored_kwh: float = 0.0
    starts: int = 0
    plans: int = 0
    discomfort_kelvin_hours: float = 0.0


@dataclass(slots=True)
class _Mark:
    """Sums at the begin of a day."""

    cost_cny: float = 0.0
    stored_heat_cny: float = 0.0
    heat_kwh: float = 0.0
    starts: int = 0
    plans: int = 0
    discomfort_kelvin_hours: float = 0.0


class Season(Lockstep):
    """Plant, controller and planner through the days of a season.

    Attributes:
        days: those that have ended, and the one that goes on.
        tally: money and heat.
    """

    def __init__(
        self,
        options: Options,
        configuration: Configuration,
        *,
        solver: SolverProcess,
        told: Callable[[Day], None] = lambda _day: None,
    ) -> None:
        """Builds the plant at the begin of the first day.

        Args:
            options: what is to be lived through.
            configuration: of the site.
            solver: for the optimal strategy.
            told: of each day that has ended.
        """
        self.options = options
        self.start_utc = _midnight_utc(options.first, ZONE) + timedelta(hours=options.from_hour)
        self.end_utc = _midnight_utc(options.last, ZONE) + timedelta(hours=options.to_hour)
        offset = self.start_utc.astimezone(ZONE).utcoffset() or timedelta(0)
        record_utc = record_begins(self.start_utc, zone_offset=offset)
        weather = _weather(options, from_utc=min(record_utc, self.start_utc) - BEFORE, to_utc=self.end_utc + AHEAD)
        kinds, _ = UNITS_OF[options.plant]
        plant = GroundOffice(
            seed=options.seed,
            start_s=self.start_utc.timestamp(),
            weather=weather,
            limits=SiteLimits(grid_kw_max=GRID_KW_MAX),
            kinds=kinds,
            building_ratio=options.load_ratio,
        )
        site = configuration.site
        loops = {
            name: loop.model_copy(update={"design_kw": loop.design_kw * options.load_ratio})
            for name, loop in site.loops.items()
        }
        control = site.control.model_copy(update={"replan_min": options.replan_min, "cycle_s": float(CYCLE_S)})
        site = site.model_copy(update={"control": control, "loops": loops})
        if options.strategy == "rule":  # an operator's rule knows one charging temperature
            site = at_highest(site)
        configuration = replace(configuration, site=site)
        loop = next(iter(site.loops.values()))
        heat_point, outdoor_point = f"{loop.meter}.heat_power", site.meters.weather
        self.archive = MemoryArchive(_looked_back_on(site))
        load_kw, outdoor_degc = recorded(
            weather, seed=options.seed, ratio=options.load_ratio, from_utc=record_utc, to_utc=self.start_utc
        )
        self.archive.fill(heat_point, load_kw)
        self.archive.fill(outdoor_point, outdoor_degc)
        super().__init__(
            plant,
            site,
            seed=options.seed,
            start_utc=self.start_utc,
            machines=Machines.of(dict(configuration.performance)),
            kinds=kinds,
        )
        self.expectation = Expectation(configuration, store=self.archive, image=self.image)
        self.correcting = Correcting(configuration, history=self.archive, memory=MemoryTexts())
        self.tasks = Tasks(
            configuration,
            expectation=self.expectation,
            controller=lambda: self.controller,
            known=self._known if options.forecast == "perfect" else None,
        )
        self._gap_ratio = site.control.solve_gap_ratio if options.gap_ratio is None else options.gap_ratio
        self.planner = planner_of(
            options.strategy,
            solver=solver,
            build=self.tasks.build,
            limit_s=options.limit_s or site.control.solve_s_max,
            gap_ratio=self._gap_ratio,
            damped=options.damped,
        )
        self.tasks.planner = self.planner
        self.tally = Tally(zone=ZONE)
        self.tally.add(plant.truth())
        self.days: list[Day] = []
        self.plans_cut_short = 0
        self.no_plan = 0
        self._told = told
        self._mark = _Mark()
        self._asked = False
        self._lost: frozenset[str] = frozenset()
        self._next_plan_s = self.start_utc.timestamp()

    # ------------------------------------------------------------------------------------------------------ in the loop
    async def live(self) -> None:
        """Lives to the end of the last day."""
        self._begin_day()
        while self.now_utc < self.end_utc:
            await self.advance()
        self.plant.advance_to(self.end_utc.timestamp())
        self._sum()
        self._end_day()

    def _known(self, grid: TimeGrid) -> Known:
        middles_s = [
            start_utc.timestamp() + length_s / 2.0
            for start_utc, length_s in zip(grid.starts_utc(), grid.lengths_s, strict=True)
        ]
        return Known(
            load_kw=known_load_kw(self.plant.building, self.plant.weather, grid, now_s=self.plant.instant_s),
            outdoor_degc=[self.plant.weather.outdoor_degc(instant_s) for instant_s in middles_s],
        )

    @override
    def _poll(self, device: str) -> None:
        samples = [*self.readings.of(device, self.now_utc)]
        self.image.put(samples)
        self.archive.put(samples)

    @override
    async def _think(self, second: int) -> None:
        if second % MONEY_S == 0:
            self._sum()
            if self.now_utc.astimezone(ZONE).time() == time(0) and self.now_utc > self.start_utc:
                self._end_day()
                self._begin_day()
        if second % BANDS_S == 0 and self.options.strategy != "no-storage":
            bands = bands_at(self.expectation.tariff, self.now_utc, zone=ZONE, facts=self.expectation.facts)
            self.bands = replace(
                bands, demand_kw=None if self.planner is None else self.planner.demand_kw(self.now_utc)
            )
        if self.planner is None:
            return
        if self._asked or second >= self._next_plan_s:
            self.expectation.corrections = await self.correcting.look(self.now_utc)
            await self._plan(second)

    async def _plan(self, second: int) -> None:
        assert self.planner is not None
        self._asked = False
        try:
            made = await self.planner.make(self.now_utc)
        except SchedulingError as error:
            LOG.warning("no plan at %s: %s", self.now_utc.isoformat(), error)
            self.no_plan += 1
            made = None
        self.plan = self.planner.plan
        if made is None:
            self._next_plan_s = second + RETRY_S
            return
        step_s = self.options.replan_min * 60
        self._next_plan_s = second - second % step_s + step_s + AFTER_EDGE_S
        if self.options.strategy == "optimal" and (made.gap is None or made.gap > self._gap_ratio + 1e-9):
            self.plans_cut_short += 1
        self._expect()

    @override
    def _reported(self, report: CycleReport) -> None:
        self.tasks.report = report
        if self.planner is None:
            return
        lost = frozenset(name for name, unit in self.controller.unit_states(self.now_utc).items() if not unit.available)
        if report.replan or (lost != self._lost and self.planner.plan is not None):
            self._asked = True
        self._lost = lost

    # -------------------------------------------------------------------------------------------------------- the books
    def _sum(self) -> Truth:
        truth = self.plant.truth()
        self.tally.add(truth)
        return truth

    def _start_cost_cny(self) -> float:
        """What the starts cost by the site file: wear, which the planner weighs against electricity."""
        truth = self.tally.last
        assert truth is not None
        return sum(unit.starts * self.site.units[unit.name].start_cost_cny for unit in truth.units)

    def _begin_day(self) -> None:
        self.days.append(Day(f"{self.now_utc.astimezone(ZONE):%Y-%m-%d}"))
        self._mark = self._sums()

    def _sums(self) -> _Mark:
        truth = self.tally.last
        assert truth is not None
        return _Mark(
            cost_cny=self.tally.cost_cny,
            stored_heat_cny=self.tally.stored_heat_cny(),
            heat_kwh=truth.heat_delivered_kwh,
            starts=sum(unit.starts for unit in truth.units),
            plans=0 if self.planner is None else sum(self.planner.method_count.values()),
            discomfort_kelvin_hours=truth.discomfort_kelvin_hours,
        )

    def _end_day(self) -> None:
        day, now, before = self.days[-1], self._sums(), self._mark
        day.cost_cny = round(now.cost_cny - before.cost_cny, 2)
        day.stored_heat_cny = round(now.stored_heat_cny - before.stored_heat_cny, 2)
        day.heat_kwh = round(now.heat_kwh - before.heat_kwh, 1)
        day.stored_kwh = round(self.plant.tank.usable_kwh(), 1)
        day.starts = now.starts - before.starts
        day.plans = now.plans - before.plans
        day.discomfort_kelvin_hours = round(now.discomfort_kelvin_hours - before.discomfort_kelvin_hours, 4)
        self._told(day)

    def _expect(self) -> None:
        """Notes what the first plan of a day says of it."""
        day = self.days[-1]
        assert self.planner is not None
        plan, request = self.planner.plan, self.planner.request
        if day.planned_cny is not None or plan is None or request is None:
            return
        until_utc = _midnight_utc(self.now_utc.astimezone(ZONE).date() + timedelta(days=1), ZONE)
        starts = request.grid.time_grid.starts_utc()
        count = sum(1 for start in starts if start < until_utc)
        hours = request.grid.hours[:count].tolist()
        prices = request.price_cny_per_kwh[:count]
        day.planned_cny = round(sum(p * h * kw for p, h, kw in zip(prices, hours, plan.grid_kw, strict=False)), 2)
        loads_kw = [loop.load_kw[:count] for loop in request.loops]
        day.planned_load_kwh = round(
            sum(h * kw for load_kw in loads_kw for h, kw in zip(hours, load_kw, strict=True)), 1
        )
        day.planned_stored_kwh = round(sum(store.soc_kwh[count - 1] for store in plan.storages.values()), 1)

    # ------------------------------------------------------------------------------------------------------------ score
    def result(self, *, wall_s: float) -> dict[str, object]:
        """The score of what has been lived through, with the season's own figures."""
        sim_s = (self.now_utc - self.start_utc).total_seconds()
        planner = self.planner
        run = Run(
            seed=self.options.seed,
            sim_s=sim_s,
            counted_sim_s=sim_s,
            wall_s=wall_s,
            speed_wanted_ratio=None,
            slowdowns=None,
            agent_starts=None,
            baud=None,
            plans=None if planner is None else dict(planner.method_count),
            plan_seconds_median=None if planner is None or not planner.solve_seconds else median(planner.solve_seconds),
        )
        violations = [
            f"{datetime.fromtimestamp(violation.instant_s, ZONE):%m-%d %H:%M:%S} {violation.text}"
            for violation in self.plant.checker.violations
        ]
        figures = score(run, tally=self.tally, violations=violations, samples=None, records=None, reported=None)
        months: dict[str, float] = {}
        for day in self.days:
            month = day.date[:7]
            months[month] = round(months.get(month, 0.0) + day.cost_cny, 2)
        return {
            **figures,
            "plant": self.options.plant,
            "strategy": self.options.strategy,
            "forecast": self.options.forecast,
            "replan_min": self.options.replan_min,
            "damped": self.options.damped,
            "load_ratio": self.options.load_ratio,
            "first_day": self.options.first.isoformat(),
            "last_day": self.options.last.isoformat(),
            "weather": "seed" if self.options.weather_file is None else str(self.options.weather_file),
            "corrections": {
                name: round(estimate.value, 4)
                for name, estimate in self.expectation.corrections.cop.items()
                if estimate.learned
            },
            "cost_with_stored_heat_cny": round(self.tally.cost_cny - self.tally.stored_heat_cny(), 2),
            "start_cost_cny": round(self._start_cost_cny(), 2),
            "cost_cny_by_month": months,
            "plans_by_change": None if planner is None else dict(planner.change_count),
            "plans_cut_short": self.plans_cut_short,
            "plans_failed": self.no_plan,
            "days": [asdict(day) for day in self.days],
        }


async def live(
    options: Options, *, elapsed_s: Callable[[], float], told: Callable[[Day], None] = lambda _day: None
) -> dict[str, object]:
    """Lives through the days and returns the score.

    Args:
        options: what is to be lived through.
        elapsed_s: wall time.
        told: of each day that has ended.
    """
    begin_s = elapsed_s()
    configuration = load_configuration(example_folder(options.plant))
    solver = SolverProcess(explain=False)
    try:
        season = Season(options, configuration, solver=solver, told=told)
        await season.live()
    finally:
        await solver.stop()
    return season.result(wall_s=elapsed_s() - begin_s)


def _looked_back_on(site: SiteFile) -> set[str]:
    """Points whose past forecast, tariff and corrections use."""
    meters = [*site.meters.units.values(), site.meters.electricity]
    heat = [loop.meter for loop in site.loops.values()] + [storage.meter for storage in site.storages.values()]
    heat += [source.meter for source in site.sources.values()]
    return {
        *(f"{meter}.electric_power" for meter in meters if meter),
        *(f"{meter}.heat_power" for meter in heat if meter),
        *(f"{source.meter}.supply_temperature" for source in site.sources.values() if source.meter),
        *(
            point
            for unit in site.units.values()
            for role in ("mode_actual", "user_supply_temperature", "source_inlet_temperature")
            if (point := unit.point(role))
        ),
        *(loop.supply_point for loop in site.loops.values()),
        *(point for storage in site.storages.values() for point in storage.layers),
        *([site.meters.weather] if site.meters.weather else []),
    }


def _weather(options: Options, *, from_utc: datetime, to_utc: datetime) -> Weather:
    if options.weather_file is None:
        return Weather(options.seed)
    return read_weather(options.weather_file, zone=ZONE, seed=options.seed, from_utc=from_utc, to_utc=to_utc)


def _midnight_utc(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(0), zone).astimezone(UTC)
