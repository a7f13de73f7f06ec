"""What the electricity meter will cost: by band, by component, and demand or capacity, month by month."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from scheduling.tariff.facts import NO_FACTS, Facts
from scheduling.tariff.ladder import period_of, split, used_at
from scheduling.tariff.model import Tariff
from scheduling.tariff.price import TIER, TIER_UNKNOWN, Pricer, charges_of, pieces
from scheduling.timegrid import SECONDS_PER_HOUR, SECONDS_PER_MINUTE, TimeGrid

METERING_WINDOW_MIN = 15
"""Usual length of the means that a demand charge is made of, and of the stored means of the meter [min]."""


def counted_window_min(window_min: int) -> int:
    """The longest window made of stored means that divides an hour and is no longer than a meter's [min].

    A shorter one may show a little more than the meter does, never less.
    """
    return max(length for length in (15, 30, 60) if length <= max(window_min, METERING_WINDOW_MIN))


@dataclass(slots=True)
class BandLine:
    """Energy and cost of one band."""

    hours: float = 0.0
    electric_kwh: float = 0.0
    cost_cny: float = 0.0


@dataclass(slots=True)
class MonthLine:
    """Demand or capacity charge of one month; 0 where the class has none.

    Attributes:
        peak_kw: highest mean of the month, billed or not.
        cny_per_kw: price of the demand; None: it is not billed.
        demand_cny: the two multiplied.
        capacity_kva: of the transformer that is billed; None: it is not.
        cny_per_kva: its price.
        capacity_cny: the two multiplied.
    """

    peak_kw: float = 0.0
    cny_per_kw: float | None = None
    demand_cny: float = 0.0
    capacity_kva: float | None = None
    cny_per_kva: float = 0.0
    capacity_cny: float = 0.0


@dataclass(slots=True)
class Bill:
    """A bill; money is rounded when it is shown."""

    by_band: dict[str, BandLine] = field(default_factory=dict)
    by_component: dict[str, float] = field(default_factory=dict)
    by_month: dict[str, MonthLine] = field(default_factory=dict)
    by_event: dict[str, float] = field(default_factory=dict)
    warnings: dict[str, None] = field(default_factory=dict)

    @property
    def energy_cny(self) -> float:
        """Cost of energy."""
        return sum(line.cost_cny for line in self.by_band.values())

    @property
    def total_cny(self) -> float:
        """Everything."""
        fixed_cny = sum(line.demand_cny + line.capacity_cny for line in self.by_month.values())
        return self.energy_cny + fixed_cny + sum(self.by_event.values())


def bill(
    tariff: Tariff,
    grid: TimeGrid,
    electric_kw: Sequence[float],
    *,
    zone: ZoneInfo,
    facts: Facts = NO_FACTS,
    window_min: int = METERING_WINDOW_MIN,
) -> Bill:
    """The bill of a load per step.

    The demand charge takes the highest mean of each month over `window_min`; steps should be no longer. Energy above
    the limit of an event costs what the event says, beside its price. Demand
    and capacity are charged for whole months, also where the load covers only a part of one. A ladder counts on from
    `facts.used_kwh`, which is the count at the start of the grid; unknown, from 0, with a warning unless the grid
    starts with the ladder's year or month.
    """
    if len(electric_kw) != grid.count:
        raise ValueError(f"need {grid.count} mean powers, got {len(electric_kw)}")
    out = Bill()
    pricer = Pricer(tariff, zone=zone, facts=facts)
    ladder = _LadderCount(tariff, grid, zone=zone, facts=facts)
    for step, start, hours in pieces(tariff, grid, zone=zone, facts=facts):
        price = pricer.base_at(start)
        energy_kwh = electric_kw[step] * hours
        tier_cny = ladder.take(start, energy_kwh)
        line = out.by_band.setdefault(price.band, BandLine())
        line.hours += hours
        line.electric_kwh += energy_kwh
        line.cost_cny += energy_kwh * price.cny_per_kwh + tier_cny
        for name, cny_per_kwh in price.by_component.items():
            out.by_component[name] = out.by_component.get(name, 0.0) + energy_kwh * cny_per_kwh
        if tariff.tiers:
            out.by_component[TIER] = out.by_component.get(TIER, 0.0) + tier_cny
        out.warnings.update(dict.fromkeys(price.warnings))
    out.warnings.update(ladder.warnings)
    out.by_event = _forfeited_cny(tariff, grid, electric_kw, zone=zone)
    for start, power_kw in _window_means(grid, electric_kw, counted_window_min(window_min)):
        local = start.astimezone(zone)
        charges = charges_of(tariff, local.date())
        month = out.by_month.setdefault(f"{local:%Y-%m}", MonthLine())
        month.peak_kw = max(month.peak_kw, power_kw)
        month.cny_per_kw = charges.demand_cny_per_kw_month
        month.demand_cny = month.peak_kw * (month.cny_per_kw or 0.0)
        month.cny_per_kva = charges.capacity_cny_per_kva_month or 0.0
        month.capacity_kva = charges.capacity_kva if month.cny_per_kva else None
        month.capacity_cny = month.cny_per_kva * (month.capacity_kva or 0.0)
    return out


def _window_means(grid: TimeGrid, electric_kw: Sequence[float], window_min: int) -> list[tuple[datetime, float]]:
    """Start and mean of each demand window, which lie on the clock; a window that the grid only touches counts as far.

    A step that is no shorter than a window counts as one.
    """
    windows: dict[float, tuple[datetime, float, float]] = {}
    for start, hours, kw in zip(grid.starts_utc(), grid.hours.tolist(), electric_kw, strict=True):
        window_s = window_min * SECONDS_PER_MINUTE
        short = hours * SECONDS_PER_HOUR < window_s
        key = start.timestamp() // window_s * window_s if short else start.timestamp()
        first, energy_kwh, span_h = windows.get(key, (start, 0.0, 0.0))
        windows[key] = (first, energy_kwh + kw * hours, span_h + hours)
    return [(first, energy_kwh / span_h) for first, energy_kwh, span_h in windows.values()]


def _forfeited_cny(tariff: Tariff, grid: TimeGrid, electric_kw: Sequence[float], *, zone: ZoneInfo) -> dict[str, float]:
    """By the reason of each event that the grid touches: what energy above its limit costs beside its price."""
    edges = [*grid.starts_utc(), grid.end_utc]
    out: dict[str, float] = {}
    for event in tariff.events:
        begin, end = event.from_.replace(tzinfo=zone), event.to.replace(tzinfo=zone)
        for (start, stop), kw in zip(pairwise(edges), electric_kw, strict=True):
            hours = (min(stop, end) - max(start, begin)).total_seconds() / SECONDS_PER_HOUR
            if hours > 0.0:
                over_kwh = max(0.0, kw - event.grid_kw_max) * hours
                out[event.reason] = out.get(event.reason, 0.0) + over_kwh * event.pays_cny_per_kwh
    return out


class _LadderCount:
    """Counts along a grid what the ladder adds."""

    def __init__(self, tariff: Tariff, grid: TimeGrid, *, zone: ZoneInfo, facts: Facts) -> None:
        self._tariff = tariff
        self._zone = zone
        self._period = period_of(tariff, grid.start_utc.astimezone(zone).date())
        used_kwh = used_at(tariff, grid.start_utc, zone=zone, facts=facts)
        before = (grid.start_utc - timedelta(microseconds=1)).astimezone(zone).date()
        begins = period_of(tariff, before) != self._period
        self._used_kwh = 0.0 if begins or used_kwh is None else used_kwh
        self.warnings = {TIER_UNKNOWN: None} if tariff.tiers and used_kwh is None and not begins else {}

    def take(self, start_utc: datetime, energy_kwh: float) -> float:
        """What the ladder adds to this energy [CNY]."""
        if not self._tariff.tiers:
            return 0.0
        period = period_of(self._tariff, start_utc.astimezone(self._zone).date())
        if period != self._period:
            self._period, self._used_kwh = period, 0.0
        added_cny = sum(
            tier.add_cny_per_kwh * part_kwh for tier, part_kwh in split(self._tariff, self._used_kwh, energy_kwh)
        )
        self._used_kwh = max(0.0, self._used_kwh + energy_kwh)
        return added_cny
