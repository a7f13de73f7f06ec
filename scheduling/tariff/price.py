"""The price of electricity at an instant and per step: the same figures for planner, screen and bill."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from scheduling.errors import TariffFault
from scheduling.tariff.calendar import DAY_MAX_UNKNOWN, calendar_of, day_match, edges_utc, minutes_of
from scheduling.tariff.facts import NO_FACTS, Facts
from scheduling.tariff.ladder import step_at, used_at
from scheduling.tariff.levels import CHARGES, PriceVersion
from scheduling.tariff.model import Event, Tariff
from scheduling.timegrid import SECONDS_PER_HOUR, TimeGrid

MINUTES_PER_HOUR = 60
HALF_TOL_H = 1e-9
"""Sums of hours differ by rounding."""
TIER = "tier"
"""Name of what the ladder adds, among the components."""
TIER_UNKNOWN = "tier_unknown"
"""Warning: what the meter has counted is not known, the lowest step is taken."""


@dataclass(frozen=True, slots=True)
class Price:
    """What a kWh costs at an instant."""

    band: str
    cny_per_kwh: float
    by_component: dict[str, float]
    valid_from: date
    source: str
    warnings: tuple[str, ...] = ()
    calendar_source: str = ""


@dataclass(frozen=True, slots=True)
class StepPrices:
    """Bands and mean prices of the steps of a grid, and what a reader must be told about them."""

    bands: tuple[str, ...]
    cny_per_kwh: npt.NDArray[np.float64]
    warnings: tuple[str, ...]

    def usual_cny_per_kwh(self, grid: TimeGrid) -> float:
        """The price that half of the time is not above: steps count as long as they last, so the hour does not."""
        order = np.argsort(self.cny_per_kwh, kind="stable")
        passed_h = np.cumsum(grid.hours[order])
        half = int(np.searchsorted(passed_h, passed_h[-1] / 2.0 - HALF_TOL_H))
        return float(self.cny_per_kwh[order][half])


@dataclass(frozen=True, slots=True)
class CapWindow:
    """Steps in which grid power is limited by an event."""

    name: str
    from_step: int
    to_step: int
    cap_kw: float
    penalty_cny_per_kwh: float


def version_of(tariff: Tariff, day: date) -> PriceVersion:
    """The price version of a date: the last entry that has begun and holds on it; before the first, the first."""
    valid = [
        version
        for version in tariff.prices
        if version.valid_from <= day and (version.dates is None or any(span.holds(day) for span in version.dates))
    ]
    return valid[-1] if valid else tariff.prices[0]


@dataclass(frozen=True, slots=True)
class Charges:
    """What is charged by the month beside energy; None: it is not."""

    demand_cny_per_kw_month: float | None = None
    capacity_cny_per_kva_month: float | None = None
    capacity_kva: float | None = None


def charges_of(tariff: Tariff, day: date) -> Charges:
    """The demand or capacity charge of a date.

    An entry for some dates of the year only, which names neither, changes the price of energy alone: the charge is that
    of the entry below it.
    """
    below = [
        version
        for version in tariff.prices
        if version.valid_from <= day
        and (version.dates is None or any(span.holds(day) for span in version.dates))
        and not (version.dates is not None and _names_no_charge(version))
    ]
    version = below[-1] if below else tariff.prices[0]
    return Charges(version.demand_cny_per_kw_month, version.capacity_cny_per_kva_month, version.capacity_kva)


def _names_no_charge(version: PriceVersion) -> bool:
    return not version.model_fields_set & CHARGES


def _version_warnings(version: PriceVersion, day: date) -> tuple[str, ...]:
    """`price_month_missing:2026-09` when no prices of that month are in the file: prices are published monthly.

    `price_before_first:2026-09` when that month lies before all of them.
    """
    if day < version.valid_from:
        return (f"price_before_first:{day:%Y-%m}",)
    if version.valid_to is not None:
        fits = version.valid_from <= day <= version.valid_to
    else:
        fits = (day.year, day.month) == (version.valid_from.year, version.valid_from.month)
    return () if fits else (f"price_month_missing:{day:%Y-%m}",)


def _green_cny_per_kwh(tariff: Tariff, day: date) -> float:
    return sum(
        green.share * green.surcharge_cny_per_kwh for green in tariff.green_power if green.from_ <= day <= green.to
    )


def _market_parts(tariff: Tariff, parts: dict[str, float], market_cny_per_kwh: float) -> dict[str, float]:
    """The components with the market's price in place of those that it stands for."""
    replaced = parts if tariff.market is None or tariff.market.replaces is None else tariff.market.replaces
    return {"market": market_cny_per_kwh, **{name: cny for name, cny in parts.items() if name not in replaced}}


class Pricer:
    """Prices by one tariff and one set of facts; what the instants of a day have in common is worked out once."""

    def __init__(self, tariff: Tariff, *, zone: ZoneInfo, facts: Facts = NO_FACTS) -> None:
        self._tariff = tariff
        self._zone = zone
        self._facts = facts
        self._minutes: dict[date, tuple[str, ...]] = {}
        self._prices: dict[tuple[date, str], Price] = {}

    def base_at(self, instant_utc: datetime) -> Price:
        """The price of an instant without the ladder, which depends on what has been used before.

        Raises:
            TariffFault: the version has no price for the band.
        """
        local = instant_utc.astimezone(self._zone)
        day = local.date()
        if day not in self._minutes:
            self._minutes[day] = minutes_of(day_match(self._tariff, day, self._facts).kind)
        band = self._minutes[day][local.hour * MINUTES_PER_HOUR + local.minute]
        if self._tariff.market is not None:
            series = self._tariff.market_series
            return self._priced(day, band, market_cny_per_kwh=None if series is None else series.at(instant_utc))
        if (day, band) not in self._prices:
            self._prices[day, band] = self._priced(day, band)
        return self._prices[day, band]

    def _priced(self, day: date, band: str, *, market_cny_per_kwh: float | None = None) -> Price:
        tariff = self._tariff
        version = version_of(tariff, day)
        parts = version.exact_by_component(band)
        if parts is None:
            raise TariffFault("tariff_band_unpriced", f"{day} 的 {band} 没有价格", en=f"no price for {band} on {day}")
        warnings = (*_version_warnings(version, day), *day_match(tariff, day, self._facts).warnings)
        if day < tariff.calendars[0].valid_from:
            warnings = (*warnings, f"calendar_before_first:{day:%Y-%m}")
        if market_cny_per_kwh is not None:
            parts = _market_parts(tariff, parts, market_cny_per_kwh)
        elif tariff.market is not None:
            warnings = (*warnings, f"market_price_missing:{day}")
        green = _green_cny_per_kwh(tariff, day)
        if green:
            parts = {**parts, "green_power": green}
        parts = version.rounded(parts)
        return Price(
            band,
            sum(parts.values()),
            parts,
            version.valid_from,
            version.source,
            warnings=warnings,
            calendar_source=calendar_of(tariff, day).source,
        )

    def at(self, instant_utc: datetime) -> Price:
        """The price of the next kWh at an instant, with the version it comes from.

        Raises:
            TariffFault: the version has no price for the band.
        """
        price = self.base_at(instant_utc)
        if not self._tariff.tiers:
            return price
        used_kwh = used_at(self._tariff, instant_utc, zone=self._zone, facts=self._facts)
        add_cny_per_kwh = step_at(self._tariff, used_kwh or 0.0).add_cny_per_kwh
        return replace(
            price,
            cny_per_kwh=price.cny_per_kwh + add_cny_per_kwh,
            by_component={**price.by_component, TIER: add_cny_per_kwh},
            warnings=price.warnings if used_kwh is not None else (*price.warnings, TIER_UNKNOWN),
        )


def price_at(tariff: Tariff, instant_utc: datetime, *, zone: ZoneInfo, facts: Facts = NO_FACTS) -> Price:
    """The price of the next kWh at one instant; for many, keep a `Pricer`.

    Raises:
        TariffFault: the version has no price for the band.
    """
    return Pricer(tariff, zone=zone, facts=facts).at(instant_utc)


def pieces(
    tariff: Tariff, grid: TimeGrid, *, zone: ZoneInfo, facts: Facts = NO_FACTS
) -> Iterator[tuple[int, datetime, float]]:
    """(step, start, hours) of every piece of the grid with one price."""
    starts = grid.starts_utc()
    inner = edges_utc(tariff, grid.start_utc, grid.end_utc, zone=zone, facts=facts)
    market = () if tariff.market_series is None else tariff.market_series.edges_utc(grid.start_utc, grid.end_utc)
    edges = sorted({*starts, *inner, *market})
    step = 0
    for start, end in zip(edges, [*edges[1:], grid.end_utc], strict=True):
        while step + 1 < grid.count and starts[step + 1] <= start:
            step += 1
        yield step, start, (end - start).total_seconds() / SECONDS_PER_HOUR


def price_per_step(tariff: Tariff, grid: TimeGrid, *, zone: ZoneInfo, facts: Facts = NO_FACTS) -> StepPrices:
    """Band at the start and mean price of every step; on a ladder, the price of the next kWh."""
    total, bands, warnings = np.zeros(grid.count), [""] * grid.count, {}
    pricer = Pricer(tariff, zone=zone, facts=facts)
    for step, start, hours in pieces(tariff, grid, zone=zone, facts=facts):
        price = pricer.at(start)
        total[step] += hours * price.cny_per_kwh
        bands[step] = bands[step] or price.band
        warnings.update(dict.fromkeys(price.warnings))
    return StepPrices(tuple(bands), total / grid.hours, tuple(warnings))


def price_if_hot(tariff: Tariff, grid: TimeGrid, *, zone: ZoneInfo, facts: Facts = NO_FACTS) -> StepPrices | None:
    """The prices if every day whose maximum is not known triggers; None when nothing depends on such a day."""
    hot = price_per_step(tariff, grid, zone=zone, facts=replace(facts, hot_when_unknown=True))
    return hot if any(warning.startswith(DAY_MAX_UNKNOWN) for warning in hot.warnings) else None


def _instant(wall: datetime, zone: ZoneInfo) -> datetime:
    return wall.replace(tzinfo=zone)


def caps_of(events: Sequence[Event], grid: TimeGrid, *, zone: ZoneInfo) -> list[CapWindow]:
    """The events of a tariff as windows of steps; a step that an event touches counts whole."""
    windows = []
    starts = grid.starts_utc()
    for event in events:
        begin, end = _instant(event.from_, zone), _instant(event.to, zone)
        steps = [
            step
            for step, start in enumerate(starts)
            if start < end and (starts[step + 1] if step + 1 < grid.count else grid.end_utc) > begin
        ]
        if steps:
            windows.append(CapWindow(event.reason, steps[0], steps[-1] + 1, event.grid_kw_max, event.pays_cny_per_kwh))
    return windows
