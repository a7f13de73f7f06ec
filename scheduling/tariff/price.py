"""The price of electricity at an instant and per step: the same figures for planner, screen and bill."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from scheduling.errors import TariffFault
from scheduling.tariff.calendar import band_at, edges_utc
from scheduling.tariff.model import Event, PriceVersion, Tariff
from scheduling.timegrid import SECONDS_PER_HOUR, TimeGrid

MONTHS_PER_YEAR = 12


@dataclass(frozen=True, slots=True)
class Price:
    """What a kWh costs at an instant."""

    band: str
    cny_per_kwh: float
    by_component: dict[str, float]
    valid_from: date
    source: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StepPrices:
    """Bands and mean prices of the steps of a grid, and what a reader must be told about them."""

    bands: tuple[str, ...]
    cny_per_kwh: npt.NDArray[np.float64]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CapWindow:
    """Steps in which grid power is limited by an event."""

    name: str
    from_step: int
    to_step: int
    cap_kw: float
    penalty_cny_per_kwh: float


def version_of(tariff: Tariff, day: date) -> PriceVersion:
    """The price version of a date: the last one published; before the first, the first."""
    valid = [version for version in tariff.prices if version.valid_from <= day]
    return valid[-1] if valid else tariff.prices[0]


def _warnings(version: PriceVersion, day: date) -> tuple[str, ...]:
    """`price_month_missing:2026-09` when no prices of that month are in the file: prices are published monthly."""
    age_months = (day.year - version.valid_from.year) * MONTHS_PER_YEAR + day.month - version.valid_from.month
    return (f"price_month_missing:{day:%Y-%m}",) if age_months != 0 else ()


def _green_cny_per_kwh(tariff: Tariff, day: date) -> float:
    return sum(
        green.share * green.surcharge_cny_per_kwh for green in tariff.green_power if green.from_ <= day <= green.to
    )


def price_at(tariff: Tariff, instant_utc: datetime, *, zone: ZoneInfo) -> Price:
    """The price of an instant, with the version it comes from.

    Raises:
        TariffFault: the version has no price for the band.
    """
    day = instant_utc.astimezone(zone).date()
    band = band_at(tariff, instant_utc, zone=zone)
    version = version_of(tariff, day)
    components = version.by_component(band)
    if components is None:
        raise TariffFault("tariff_band_unpriced", f"{day} 的 {band} 没有价格", en=f"no price for {band} on {day}")
    green = _green_cny_per_kwh(tariff, day)
    if green:
        components = {**components, "green_power": green}
    return Price(
        band, sum(components.values()), components, version.valid_from, version.source, _warnings(version, day)
    )


def segments(tariff: Tariff, grid: TimeGrid, *, zone: ZoneInfo) -> list[tuple[int, float, Price]]:
    """(step, hours, price) of every piece of the grid with one price."""
    starts = grid.starts_utc()
    edges = sorted({*starts, *edges_utc(tariff, grid.start_utc, grid.end_utc, zone=zone)})
    pieces: list[tuple[int, float, Price]] = []
    step = 0
    for start, end in zip(edges, [*edges[1:], grid.end_utc], strict=True):
        while step + 1 < grid.count and starts[step + 1] <= start:
            step += 1
        pieces.append((step, (end - start).total_seconds() / SECONDS_PER_HOUR, price_at(tariff, start, zone=zone)))
    return pieces


def price_per_step(tariff: Tariff, grid: TimeGrid, *, zone: ZoneInfo) -> StepPrices:
    """Band at the start and mean price of every step."""
    total, bands, warnings = np.zeros(grid.count), [""] * grid.count, {}
    for step, hours, price in segments(tariff, grid, zone=zone):
        total[step] += hours * price.cny_per_kwh
        bands[step] = bands[step] or price.band
        warnings.update(dict.fromkeys(price.warnings))
    return StepPrices(tuple(bands), total / grid.hours, tuple(warnings))


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
