"""What the electricity meter will cost: by band, by component, and demand or capacity, month by month."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from scheduling.tariff.facts import NO_FACTS, Facts
from scheduling.tariff.ladder import period_of, split, used_at
from scheduling.tariff.model import Tariff
from scheduling.tariff.price import TIER, TIER_UNKNOWN, Pricer, charges_of, pieces
from scheduling.timegrid import TimeGrid

METERING_WINDOW_MIN = 15
"""Length of the means that a demand charge is made of, and of the stored means of the meter [min]."""


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
    warnings: dict[str, None] = field(default_factory=dict)

    @property
    def energy_cny(self) -> float:
        """Cost of energy."""
        return sum(line.cost_cny for line in self.by_band.values())

    @property
    def total_cny(self) -> float:
        """Everything."""
        return self.energy_cny + sum(line.demand_cny + line.capacity_cny for line in self.by_month.values())


def bill(
    tariff: Tariff, grid: TimeGrid, electric_kw: Sequence[float], *, zone: ZoneInfo, facts: Facts = NO_FACTS
) -> Bill:
    """The bill of a load per step.

    Steps should be the metering window (15 min): the demand charge takes the highest step mean of each month. Demand
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
    for start, power_kw in zip(grid.starts_utc(), electric_kw, strict=True):
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
