"""Builds the planning task from the site file and the state of the plant: pure, so any past plan can be asked again.

It knows how the site's words (units, tanks, curves) become the planner's words; it reads no clock, image or store.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from typing import Literal, TypeVar

from pydantic import ValidationError

from edge_agent.charge_setpoint import Charging, Need, charging_of, discharge_ratio
from edge_agent.settings.model import Loop as LoopEntry
from edge_agent.settings.model import Performance, SiteFile, Unit
from edge_agent.settings.model import Source as SourceEntry
from edge_agent.settings.model import Storage as StorageEntry
from edge_agent.unit_figures import Curve, Figures, ModeFigures
from scheduling.errors import RequestFault
from scheduling.plant.identify import Estimate
from scheduling.plant.tank import WaterTank, loss_fraction_per_h
from scheduling.request import (
    Assumption,
    Demand,
    Grid,
    GridCap,
    Group,
    Loop,
    Mode,
    PlanRequest,
    Source,
    StorageLimit,
    Terminal,
    UnitState,
)
from scheduling.request import Storage as StorageTask
from scheduling.request_fault import fault_of
from scheduling.tariff.price import CapWindow
from scheduling.timegrid import SECONDS_PER_HOUR, SECONDS_PER_MINUTE, TimeGrid

UNMET_CNY_PER_KWH = 25.0
"""Price of heat not delivered. Ours: above any way of making it, and above what an hour of it adds to the demand charge
of a month (52 CNY/kW at a COP of 2.2 or more), so that no plan lets people freeze to save money."""
DUMP_CNY_PER_KWH = 0.5
"""Price of heat nobody can take. Ours."""
GRID_EXCESS_CNY_PER_KWH = 150.0
"""Price of power above the connection's limit. Ours: dearer than the heat that it could make (25 CNY/kWh at a COP of
5), because a breaker that trips ends all heat."""
CALL_EXCESS_CNY_PER_KWH = 20.0
"""Price of power above a called limit. Ours: storage and charging give way to it, comfort does not."""
CALL_EXCESS_CNY_PER_KWH_MAX = 50.0
"""The same where the call itself forfeits more; still less than the heat that it could make (25 CNY/kWh, COP 2.2)."""
MODE_CHANGE_CNY = 4.0
"""Price of moving a running unit between loop and tank: a nuisance, not a start. Ours."""
TERMINAL_TARGET_RATIO = 0.3
"""Energy wanted at the end of the plan, as share of the capacity. Ours."""
SPARE_RATIO = 0.9
"""Up to this share of its rating a station is believed to carry a load without its tank: a cold source and a hot supply
take some. Ours."""
SOURCE_SAME_K = 0.5
"""A source that moves by less over the plan counts as steady: factors a step cost the solver time."""
COMMANDABLE_MIN = 0.05
"""A stage that was learned to give less than this counts as this: the planner knows no unit that runs for nothing."""
Default = TypeVar("Default", float, None)
Entry = TypeVar("Entry")
Part = TypeVar("Part")


@dataclass(frozen=True, slots=True)
class UnitNow:
    """Present state of a unit as the planner needs it.

    Attributes:
        achieved: what it was learned to give: `mode/stage` -> share of the full heat, for units on stages or contacts.
        out_until_utc: until then a person has ordered it off; None: nobody has.
        seen_on: whether it runs, whoever has asked for it; None: not known.
        seen_mode: the mode that it shows; None: not known.
        load_ratio: the load that it shows; None: not known.
        electric_kw: what it draws by its own word or its meter; None: not known.
    """

    on: bool
    mode: str | None
    minutes_in_state: float
    starts_today: int
    available: bool
    achieved: Mapping[str, float] = field(default_factory=dict)
    out_until_utc: datetime | None = None
    seen_on: bool | None = None
    seen_mode: str | None = None
    load_ratio: float | None = None
    electric_kw: float | None = None


@dataclass(frozen=True, slots=True)
class DemandNow:
    """A demand charge in force over some steps of a plan: those of one month.

    Attributes:
        cny_per_kw_month: price.
        measured_kw: greatest window mean of the month that has been metered.
        expected_kw: what the month will need anyway.
        from_step, to_step: [from, to); None: to the end.
    """

    cny_per_kw_month: float
    measured_kw: float
    expected_kw: float = 0.0
    from_step: int = 0
    to_step: int | None = None

    @property
    def peak_so_far_kw(self) -> float:
        """What is paid whatever the plan does: the greater of the two."""
        return max(self.expected_kw, self.measured_kw)


@dataclass(frozen=True, slots=True)
class Corrections:
    """Factors on nameplates that the plant's own history has taught; a name without one stands at its nameplate.

    Attributes:
        cop: heat for electricity, by the first unit of a kind.
        loss: heat lost by a tank.
        load: load of a loop at its design temperature.
    """

    cop: Mapping[str, Estimate] = field(default_factory=dict)
    loss: Mapping[str, Estimate] = field(default_factory=dict)
    load: Mapping[str, Estimate] = field(default_factory=dict)

    def factor(self, kind: Literal["cop", "loss", "load"], name: str) -> float:
        """The factor in use."""
        estimates: Mapping[str, Estimate] = getattr(self, kind)
        return estimates[name].value if name in estimates else 1.0


NAMEPLATES = Corrections()


@dataclass(frozen=True, slots=True)
class LiveState:
    """The plant now and what is expected.

    Attributes:
        units: by unit name.
        storage_kwh: usable energy of each tank now [kWh].
        load_kw: expected load of each loop, one value a step.
        price_cny_per_kwh: all components in, one value a step.
        valley_cny_per_kwh: cheapest price of the grid's day, for the value of heat left over.
        flat_cny_per_kwh: usual price, for the cost of heat missing at the end.
        other_load_kw: electricity behind the meter that the plan cannot move.
        demand: the demand charge of each month in which there is one.
        caps: called limits.
        bands: name of the tariff's band, one a step; empty: not known.
        source_degc: temperature of each source, one value a step; without an entry a unit's usual one is taken.
        supply_degc: leaving temperature that each loop will be served at, one value a step; likewise.
        corrections: of nameplates.
        held_until_utc: until then a person has ordered a storage to be left alone; without an entry nobody has.
        charge_degc: temperature at which the plan before has storages charged; without an entry it said nothing.
    """

    units: Mapping[str, UnitNow]
    storage_kwh: Mapping[str, float]
    load_kw: Mapping[str, Sequence[float]]
    price_cny_per_kwh: Sequence[float]
    valley_cny_per_kwh: float
    flat_cny_per_kwh: float
    other_load_kw: float
    demand: Sequence[DemandNow] = ()
    caps: Sequence[CapWindow] = ()
    bands: Sequence[str] = ()
    source_degc: Mapping[str, Sequence[float]] = field(default_factory=dict)
    supply_degc: Mapping[str, Sequence[float]] = field(default_factory=dict)
    corrections: Corrections = NAMEPLATES
    held_until_utc: Mapping[str, datetime] = field(default_factory=dict)
    charge_degc: Mapping[str, float] = field(default_factory=dict)


def tank_of(storage: StorageEntry) -> WaterTank:
    """A water tank of the site between its two temperatures."""
    if storage.kind == "chilled_water":
        return WaterTank(storage.volume_m3, empty_degc=storage.degc_max, full_degc=storage.degc_min)
    return WaterTank(storage.volume_m3, empty_degc=storage.degc_min, full_degc=storage.degc_max)


def build_request(
    site: SiteFile, performance: Mapping[str, Performance], *, grid: TimeGrid, live: LiveState
) -> PlanRequest:
    """The planning task of this moment.

    Args:
        site: the site file.
        performance: performance map of each unit.
        grid: the steps to plan.
        live: present state and expectation; series have one value a step of the grid.

    Raises:
        RequestFault: a figure is not a number, has the wrong sign, or contradicts another; its path names it. What the
            site file alone can contradict is refused when it is read.
    """
    with _inside(""):
        charging = _charging(site, grid=grid, live=live)
        storages = {
            name: storage.model_copy(update={"charge_setpoint_degc": charging[name].degc})
            if name in charging
            else storage
            for name, storage in site.storages.items()
        }
        charged = site.model_copy(update={"storages": storages})
        return _request(charged, performance, grid=grid, live=live, charging=charging)


@contextmanager
def _inside(place: str) -> Iterator[None]:
    """Names the place of a part in the request before the path of its fault."""
    try:
        yield
    except ValidationError as error:
        fault = fault_of(error, PlanRequest)
        raise RequestFault(f"${place}{fault.path[1:]}", fault.zh, fault.en) from error
    except RequestFault as fault:
        raise RequestFault(f"${place}{fault.path[1:]}", fault.zh, fault.en) from fault.__cause__


def _each(name: str, entries: Iterable[Entry], make: Callable[[Entry], Part]) -> tuple[Part, ...]:
    """The parts of a list; a fault names which one of them it is in."""
    parts = []
    for number, entry in enumerate(entries):
        with _inside(f".{name}[{number}]"):
            parts.append(make(entry))
    return tuple(parts)


def _charging(site: SiteFile, *, grid: TimeGrid, live: LiveState) -> dict[str, Charging]:
    """How storages are charged whose temperature is the plan's to choose."""
    if not _spares_heat(site, live):
        return {}
    hours = [length_s / SECONDS_PER_HOUR for length_s in grid.lengths_s]
    found = {
        name: charging_of(
            storage,
            tank_of(storage),
            need=Need(
                hours,
                live.supply_degc.get(storage.loop, ()),
                live.load_kw[storage.loop],
                live.price_cny_per_kwh,
                live.flat_cny_per_kwh,
            ),
            stored_kwh=live.storage_kwh[name],
            asked_degc=live.charge_degc.get(name),
        )
        for name, storage in site.storages.items()
    }
    return {name: charging for name, charging in found.items() if charging is not None}


def _spares_heat(site: SiteFile, live: LiveState) -> bool:
    """Whether a tank is wanted for its price only. Else it is filled as full as the site allows.

    Not while a unit is away, power is called off or a demand is charged, nor where the load may come near what all
    units give: then the tank's heat is worth more than the price of the hour says.
    """
    if live.caps or any(demand.cny_per_kw_month > 0 for demand in live.demand):
        return False
    if any(not unit.available or unit.out_until_utc is not None for unit in live.units.values()):
        return False
    return all(
        max(live.load_kw[name], default=0.0)
        <= SPARE_RATIO * sum(unit.heat_kw_rated for unit in site.units.values() if unit.loop == name)
        for name in site.loops
    )


def _request(
    site: SiteFile,
    performance: Mapping[str, Performance],
    *,
    grid: TimeGrid,
    live: LiveState,
    charging: Mapping[str, Charging],
) -> PlanRequest:
    return PlanRequest(
        schema_id="plan-request/1",
        name=f"{site.site.id} {grid.start_utc:%Y-%m-%dT%H:%MZ}",
        title=site.site.name,
        timezone=site.site.timezone,
        grid=Grid(
            start_utc=grid.start_utc,
            step_minutes=tuple(length_s / SECONDS_PER_MINUTE for length_s in grid.lengths_s),
            steps=grid.count,
        ),
        price_cny_per_kwh=tuple(live.price_cny_per_kwh),
        bands=tuple(live.bands),
        other_load_kw=live.other_load_kw,
        demand=_demand(live, grid),
        grid_caps=_caps(site, live, grid),
        loops=_each("loops", site.loops.items(), lambda loop: _loop(*loop, live=live)),
        storages=_each(
            "storages",
            site.storages,
            lambda name: _storage(
                site, performance, name=name, live=live, start_utc=grid.start_utc, charging=charging.get(name)
            ),
        ),
        sources=_each("sources", site.sources.items(), lambda source: _source(*source)),
        groups=_each(
            "groups",
            identical_groups(site.units).values(),
            lambda names: _group(site, performance, names=names, live=live, grid=grid),
        ),
        assumptions=(*assumptions(live.corrections, site), *_charging_words(charging)),
    )


def assumptions(corrections: Corrections, site: SiteFile) -> Iterator[Assumption]:
    """What the figures rest on, in words."""
    groups = identical_groups(site.units)
    words: tuple[tuple[Literal["cop", "loss", "load"], Mapping[str, Estimate], str, str], ...] = (
        ("cop", corrections.cop, "制热效率", "heat for electricity"),
        ("loss", corrections.loss, "散热损失", "heat loss"),
        ("load", corrections.load, "设计负荷", "design load"),
    )
    for kind, estimates, zh, en in words:
        for name, estimate in estimates.items():
            members = groups.get(name, [name]) if kind == "cop" else [name]
            zh_said, en_said = _estimate_words(estimate)
            yield Assumption(
                name=name,
                kind=kind,
                value=round(estimate.value, 4),
                lower=round(estimate.lower, 4),
                upper=round(estimate.upper, 4),
                learned=estimate.learned,
                zh=f"{'、'.join(members)} {zh}{zh_said}",
                en=f"{en} of {', '.join(members)}: {en_said}",
            )


def _charging_words(charging: Mapping[str, Charging]) -> Iterator[Assumption]:
    """How hot storages are charged, and why."""
    for name, how in charging.items():
        dear_zh = dear_en = ""
        if how.dear_degc is not None:
            dear_zh = (
                f";高价时段供水最高 {how.dear_degc:.1f} °C、负荷 {how.dear_kw:.0f} kW、一段 {how.dear_kwh:.0f} kWh"
            )
            dear_en = (
                f"; in dear hours at up to {how.dear_degc:.1f} degC, with up to {how.dear_kw:.0f} kW and "
                f"{how.dear_kwh:.0f} kWh in one stretch"
            )
        yield Assumption(
            name=name,
            kind="charge_degc",
            value=how.degc,
            lower=how.lowest_degc,
            upper=how.highest_degc,
            learned=False,
            zh=f"{name} 充热到 {how.degc:g} °C:今后 24 h 供水最高 {how.supply_degc:.1f} °C{dear_zh}",
            en=f"{name} is charged to {how.degc:g} degC: in the next 24 h the loop is served at up to "
            f"{how.supply_degc:.1f} degC{dear_en}",
        )


def _estimate_words(estimate: Estimate) -> tuple[str, str]:
    span = f"{estimate.lower:.2f}–{estimate.upper:.2f}"
    if estimate.why == "too_few":
        return (
            "按铭牌:还没有可用的实测" if not estimate.count else f"按铭牌:实测只有 {estimate.count} 次可用",
            f"nameplate, {estimate.count or 'no'} measurements can be used so far",
        )
    if estimate.why == "too_vague":
        return (
            f"按铭牌:{estimate.count} 次实测还不够一致",
            f"nameplate, {estimate.count} measurements do not agree well enough yet",
        )
    end_zh, end_en = (
        (",已到可信界限,请查表计", ", at the limit of belief: check the meters")
        if (estimate.why == "clipped")
        else ("", "")
    )
    return (
        f"按实测为铭牌的 {estimate.value:.2f} 倍({span},{estimate.count} 次){end_zh}",
        f"{estimate.value:.2f} of the nameplate as measured ({span}, {estimate.count} times){end_en}",
    )


def identical_groups(units: Mapping[str, Unit]) -> dict[str, list[str]]:
    """Units that are the same in everything but their state: first unit's name -> names, in the order of the file."""
    groups: dict[str, list[str]] = {}
    for name, unit in units.items():
        groups.setdefault(unit.identical_to or name, []).append(name)
    return groups


def _demand(live: LiveState, grid: TimeGrid) -> tuple[Demand, ...]:
    found = []
    for number, demand in enumerate(live.demand):
        with _inside(f".demand[{number}]"):
            period = Demand(
                from_step=demand.from_step,
                to_step=grid.count if demand.to_step is None else demand.to_step,
                cny_per_kw_month=demand.cny_per_kw_month,
                measured_kw=demand.measured_kw,
                peak_so_far_kw=demand.peak_so_far_kw,
            )
        found.append(period)
    return tuple(found)


def _caps(site: SiteFile, live: LiveState, grid: TimeGrid) -> tuple[GridCap, ...]:
    limit_kw = site.limits.grid_kw_max
    standing = [] if limit_kw is None else [(0, grid.count, limit_kw, "grid", GRID_EXCESS_CNY_PER_KWH)]
    called = [
        (cap.from_step, cap.to_step, cap.cap_kw, cap.name, _call_excess(cap.penalty_cny_per_kwh)) for cap in live.caps
    ]
    return _each("grid_caps", [*standing, *called], lambda cap: _cap(*cap))


def _call_excess(pays_cny_per_kwh: float) -> float:
    """Price of power above a called limit: what the call forfeits, if that is more than we weigh it anyway."""
    return min(max(CALL_EXCESS_CNY_PER_KWH, pays_cny_per_kwh), CALL_EXCESS_CNY_PER_KWH_MAX)


def _cap(from_step: int, to_step: int, cap_kw: float, name: str, penalty_cny_per_kwh: float) -> GridCap:
    return GridCap(
        name=name, from_step=from_step, to_step=to_step, cap_kw=cap_kw, penalty_cny_per_kwh=penalty_cny_per_kwh
    )


def _loop(name: str, loop: LoopEntry, *, live: LiveState) -> Loop:
    return Loop(
        name=name,
        medium=loop.medium,
        load_kw=tuple(live.load_kw[name]),
        unmet_cny_per_kwh=UNMET_CNY_PER_KWH,
        dump_cny_per_kwh=DUMP_CNY_PER_KWH,
    )


def _source(name: str, source: SourceEntry) -> Source:
    return Source(
        name=name, kind=source.kind, limit_kw=source.heat_kw_max, balance_cny_per_kwh=source.balance_cny_per_kwh
    )


def _storage(
    site: SiteFile,
    performance: Mapping[str, Performance],
    *,
    name: str,
    live: LiveState,
    start_utc: datetime,
    charging: Charging | None,
) -> StorageTask:
    storage = site.storages[name]
    tank, discharge_kw_max = tank_of(storage), storage.discharge_kw_max
    soc_kwh = min(max(live.storage_kwh[name], 0.0), tank.capacity_kwh)
    target_kwh = TERMINAL_TARGET_RATIO * tank.capacity_kwh
    if charging is not None:
        charged = replace(tank, full_degc=min(tank.full_degc, charging.degc))
        target_kwh = TERMINAL_TARGET_RATIO * charged.capacity_kwh
        # A tank that is hotter than it is to be charged has its heat nevertheless.
        full_degc = max(charged.full_degc, tank.empty_degc + soc_kwh / tank.kwh_per_k)
        discharge_kw_max *= discharge_ratio(full_degc, tank)
        tank = replace(tank, full_degc=full_degc)
    cop_charge, cop_direct = (
        _best_cop(site, performance, storage=name, mode=mode, live=live) for mode in ("charge", "direct")
    )
    # A missing kWh will be made in ordinary hours; a spare one saves a valley kWh of charging, less its losses. Where
    # prices fall below zero heat left over is worth nothing: more can be made then and paid for as well.
    with _inside(".terminal"):
        terminal = Terminal(
            target_kwh=target_kwh,
            short_cny_per_kwh=_not_below_zero(1.2 * live.flat_cny_per_kwh / cop_direct),
            surplus_cny_per_kwh=_not_below_zero(0.9 * live.valley_cny_per_kwh / cop_charge),
        )
    return StorageTask(
        name=name,
        kind=storage.kind,
        loop=storage.loop,
        capacity_kwh=tank.capacity_kwh,
        soc_kwh=min(soc_kwh, tank.capacity_kwh),
        loss_fraction_per_h=loss_fraction_per_h(storage.loss_ratio_per_day * live.corrections.factor("loss", name)),
        charge_limit_kw=tank.charge_limit_kw(storage.charge_kw_max),
        discharge_limit_kw=tank.discharge_limit_kw(discharge_kw_max),
        limits=_held(live.held_until_utc.get(name), start_utc),
        pump_kw_per_kw=storage.pump_kw_per_kw,
        terminal=terminal,
        charge_degc=None if charging is None else charging.degc,
    )


def _best_cop(
    site: SiteFile, performance: Mapping[str, Performance], *, storage: str, mode: str, live: LiveState
) -> float:
    """Most heat for electricity of the units of a storage in a mode, at the temperatures that are expected.

    Of a unit that does not know the mode, its best one counts; 1 where nobody can fill the storage.
    """
    groups = identical_groups(site.units)
    cops: list[float] = []
    for first, names in groups.items():
        unit = site.units[first]
        if not any(site.units[name].storage == storage for name in names):
            continue
        cop_ratio = live.corrections.factor("cop", first)
        known = [mode] if mode in unit.modes else unit.modes
        cops += [
            _conditioned(site, unit, performance[first], mode=one, live=live, cop_ratio=cop_ratio).cop_ratio
            for one in known
        ]
    return max(cops, default=1.0)


def _not_below_zero(cny_per_kwh: float) -> float:
    """Zero for less; what is no number stays none, so that the request refuses it."""
    return max(cny_per_kwh, 0.0)


def _held(until_utc: datetime | None, start_utc: datetime) -> tuple[StorageLimit, ...]:
    """Neither charge nor discharge up to the end of an order to hold."""
    if until_utc is None or until_utc <= start_utc:
        return ()
    return (StorageLimit(from_utc=start_utc, to_utc=until_utc, charge_kw_max=0.0, discharge_kw_max=0.0),)


def _group(
    site: SiteFile, performance: Mapping[str, Performance], *, names: Sequence[str], live: LiveState, grid: TimeGrid
) -> Group:
    unit = site.units[names[0]]
    cop_ratio = live.corrections.factor("cop", names[0])
    figures = {
        mode: _conditioned(site, unit, performance[names[0]], mode=mode, live=live, cop_ratio=cop_ratio)
        for mode in unit.modes
    }
    capacity, cop = _factors(unit, [figures[mode] for mode in unit.modes], live=live)
    return Group(
        name="+".join(names),
        units=_each("units", names, lambda name: _unit(name, live.units[name], grid=grid)),
        pump_kw=unit.pump_kw,
        min_up_minutes=unit.min_on_s / SECONDS_PER_MINUTE,
        min_down_minutes=unit.min_off_s / SECONDS_PER_MINUTE,
        max_starts_per_day=unit.starts_per_day_max,
        start_cost_cny=unit.start_cost_cny,
        capacity_factor=capacity,
        cop_factor=cop,
        modes=_each(
            "modes",
            unit.modes,
            lambda mode: _mode(unit, figures[mode], mode, achieved=[live.units[name].achieved for name in names]),
        ),
    )


def _unit(name: str, unit: UnitNow, *, grid: TimeGrid) -> UnitState:
    return UnitState(
        name=name,
        on=unit.on,
        mode=unit.mode,
        minutes_in_state=unit.minutes_in_state,
        starts_today=unit.starts_today,
        available=_available(unit, grid),
    )


def _available(unit: UnitNow, grid: TimeGrid) -> bool | tuple[bool, ...]:
    """Whether a unit may be planned: by step where an order keeps it off for a while, from the first whole step on."""
    if not unit.available or unit.out_until_utc is None:
        return unit.available
    return tuple(start_utc >= unit.out_until_utc for start_utc in grid.starts_utc())


def _conditioned(
    site: SiteFile, unit: Unit, performance: Performance, *, mode: str, live: LiveState, cop_ratio: float
) -> Figures:
    """A mode's figures, moved along its map from their usual temperatures to the mean of those that are expected.

    Where nothing is expected, and where a mode has no map, the usual figures stand; electricity as history corrects it.
    """
    usual = ModeFigures(performance.modes[mode], cop_ratio=cop_ratio)
    load_degc = _mean(live.supply_degc.get(unit.loop, ()), default=None)
    if mode == "charge" and unit.storage is not None:
        load_degc = site.storages[unit.storage].charge_setpoint_degc
    return usual.at(_mean(live.source_degc.get(unit.source, ()), default=None), load_degc)


def _factors(
    unit: Unit, figures: Sequence[Figures], *, live: LiveState
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """Capacity and COP of each step against the mean, as the source's temperature moves; its modes' mean counts."""
    sources = live.source_degc.get(unit.source, ())
    mapped = [figure.map for figure in figures if figure.map is not None]
    if not mapped or not sources or max(sources) - min(sources) < SOURCE_SAME_K:
        return None, None
    each = [
        unit_map.factors(sources, [load_degc] * len(sources), reference=here) for unit_map, here, load_degc in mapped
    ]
    capacity, cop = (
        tuple(_mean(values, default=1.0) for values in zip(*(pair[part] for pair in each), strict=True))
        for part in (0, 1)
    )
    return capacity, cop


def _mode(unit: Unit, figures: Figures, mode: str, *, achieved: Sequence[Mapping[str, float]]) -> Mode:
    return Mode(
        name=mode,
        loop=unit.loop,
        storage=unit.storage if mode == "charge" else None,
        source=unit.source,
        capacity_kw=figures.heat_kw,
        change_cost_cny=MODE_CHANGE_CNY if mode == "charge" else 0.0,
        curve=commandable_curve(unit, figures.curve, mode=mode, achieved=achieved),
    )


def commandable_curve(unit: Unit, curve: Curve, *, mode: str, achieved: Sequence[Mapping[str, float]] = ()) -> Curve:
    """The loads that a unit can be told in a mode, as a curve of (load, electric kW) from the lowest to the highest.

    - A capacity limit: any load of the performance map.
    - Stages: from the first to the last, as far as they were learned to come. The request knows no loads that jump;
      between two stages stands the straight line, which is what a unit needs that changes between them within a step.
    - Contacts without stages: full load, or what was learned of it.
    - A set-point only: any load. In direct mode the set-point that belongs to a load is told. While it charges its
      set-point is the tank's and it gives all it can: a part load in the plan is then made in less time, and the next
      plan starts from the measured tank. Told as full load only, two such units took the solver from 3 s to its limit
      of 10 s, for a plan that was no better.

    Args:
        unit: its configuration.
        curve: the performance map's.
        mode: direct or charge.
        achieved: what was learned, of each of the units that are planned as one kind; their mean counts.
    """
    if unit.actuation in ("capacity_ratio", "supply_setpoint"):
        return curve
    shares = [
        _mean([known[f"{mode}/{stage}"] for known in achieved if f"{mode}/{stage}" in known], default=share)
        for stage, share in enumerate(unit.stage_ratios or (1.0,), start=1)
    ]
    rising = sorted({min(max(round(share, 3), COMMANDABLE_MIN), 1.0) for share in shares})
    return tuple((share, _electric_kw(curve, share)) for share in rising)


def _mean(values: Sequence[float], *, default: Default) -> float | Default:
    return sum(values) / len(values) if values else default


def _electric_kw(curve: Curve, load_ratio: float) -> float:
    """Electricity at a load; below the lowest of the map its first slope goes on, and never below zero."""
    pairs = list(pairwise(curve))
    if not pairs:
        return curve[0][1] * load_ratio / curve[0][0]
    (low, low_kw), (high, high_kw) = next((pair for pair in pairs if load_ratio <= pair[1][0]), pairs[-1])
    return max(0.0, low_kw + (high_kw - low_kw) * (load_ratio - low) / (high - low))
