"""What the electricity meter will cost: by band, by component, and demand or capacity, month by month."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from scheduling.tariff.model import Tariff
from scheduling.tariff.price import segments, version_of
from scheduling.timegrid import TimeGrid


@dataclass(slots=True)
class BandLine:
    """Energy and cost of one band."""

    hours: float = 0.0
    electric_kwh: float = 0.0
    cost_cny: float = 0.0


@dataclass(slots=True)
class MonthLine:
    """Demand or capacity charge of one month; null where the class has none."""

    peak_kw: float = 0.0
    demand_cny: float = 0.0
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


def bill(tariff: Tariff, grid: TimeGrid, electric_kw: Sequence[float], *, zone: ZoneInfo) -> Bill:
    """The bill of a load per step.

    Steps should be the metering window (15 min): the demand charge takes the highest step mean of each month. Demand
    and capacity are charged for whole months, also where the load covers only a part of one.
    """
    if len(electric_kw) != grid.count:
        raise ValueError(f"need {grid.count} mean powers, got {len(electric_kw)}")
    out = Bill()
    for step, hours, price in segments(tariff, grid, zone=zone):
        energy_kwh = electric_kw[step] * hours
        line = out.by_band.setdefault(price.band, BandLine())
        line.hours += hours
        line.electric_kwh += energy_kwh
        line.cost_cny += energy_kwh * price.cny_per_kwh
        for name, cny_per_kwh in price.by_component.items():
            out.by_component[name] = out.by_component.get(name, 0.0) + energy_kwh * cny_per_kwh
        out.warnings.update(dict.fromkeys(price.warnings))
    for start, power_kw in zip(grid.starts_utc(), electric_kw, strict=True):
        local = start.astimezone(zone)
        version = version_of(tariff, local.date())
        month = out.by_month.setdefault(f"{local:%Y-%m}", MonthLine())
        month.peak_kw = max(month.peak_kw, power_kw)
        month.demand_cny = month.peak_kw * (version.demand_cny_per_kw_month or 0.0)
        month.capacity_cny = (version.capacity_cny_per_kva_month or 0.0) * (version.capacity_kva or 0.0)
    return out
