"""What is expected over the horizon of a plan: load, prices, limits. From the stored history, the image and the tariff.

It plans nothing and commands nothing; the forecasts themselves are in `scheduling.forecast`.
"""

import asyncio
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from statistics import median
from zoneinfo import ZoneInfo

from edge_agent.control.intent import BandOutlook
from edge_agent.image import ProcessImage
from edge_agent.plan_case import DemandNow, LiveState, UnitNow
from edge_agent.settings.load import Configuration
from edge_agent.settings.market_file import MarketFeed
from edge_agent.settings.model import Loop
from edge_agent.store.store import Store
from edge_agent.tariff_facts import facts_of, wanted
from edge_agent.texts.catalogue import text
from scheduling.forecast import DesignLoad, HourlyHistory, LoadForecast, UsualDay, forecast_load, forecast_outdoor
from scheduling.tariff.calendar import band_at, edges_utc
from scheduling.tariff.facts import NO_FACTS, Facts
from scheduling.tariff.model import Tariff
from scheduling.tariff.price import caps_of, price_per_step, version_of
from scheduling.timegrid import TimeGrid

LOG = logging.getLogger(__name__)

ROLLUP_MIN = 15
"""Length of the stored means that history is made of [min]."""
QUARTERS_PER_HOUR = 4
HISTORY_H = 48
"""Hours of history handed to the forecast [h]."""
OUTDOOR_H = 24
"""Hours of outdoor temperature that set the level of the days ahead [h]."""
USUAL_WINTER_DAY = UsualDay(mean_degc=-1.0, swing_k=9.0)
"""Usual Beijing winter day until a day has been measured. Assumption; the heating season's mean is about 1 degC."""
OTHER_LOAD_SMOOTHING_RATIO = 0.3
"""Weight of the newest reading of what the plan cannot move."""


class Expectation:
    """Builds the live part of a planning task."""

    def __init__(self, configuration: Configuration, *, store: Store, image: ProcessImage) -> None:
        """Reads history from `store` and the present from `image`."""
        self._configuration = configuration
        self._site = configuration.site
        self._zone = ZoneInfo(configuration.site.site.timezone)
        self._store = store
        self._image = image
        self._other_load_kw: float | None = None
        self._warned: set[str] = set()
        self.load_forecast: dict[str, LoadForecast] = {}
        self._market = MarketFeed(configuration.folder, configuration.tariff, zone=self._zone)
        self.tariff = configuration.tariff
        self.facts = NO_FACTS

    async def live_state(
        self, now_utc: datetime, *, grid: TimeGrid, units: Mapping[str, UnitNow], storage_kwh: Mapping[str, float]
    ) -> LiveState:
        """The plant now and what is expected of the steps of a grid.

        Args:
            now_utc: the present instant.
            grid: the steps to plan.
            units: present state of each unit.
            storage_kwh: usable energy of each tank [kWh].
        """
        tariff = self.tariff = await asyncio.to_thread(self._market.current)
        self.facts = await self._facts(now_utc)
        prices = price_per_step(tariff, grid, zone=self._zone, facts=self.facts)
        for warning in set(prices.warnings) - self._warned:
            code, _, detail = warning.partition(":")
            LOG.warning("tariff: %s", text(code, detail=detail).en)
        self._warned |= set(prices.warnings)
        outdoor_degc = await self._outdoor_degc(now_utc, grid)
        for name, loop in self._site.loops.items():
            self.load_forecast[name] = forecast_load(
                await self._history(now_utc, loop),
                grid,
                outdoor_degc=outdoor_degc,
                design=DesignLoad(loop.design_kw, loop.design_outdoor_degc),
            )
        other_load_kw = self._other_load(now_utc, units)
        return LiveState(
            units=units,
            storage_kwh=storage_kwh,
            load_kw={name: forecast.load_kw.tolist() for name, forecast in self.load_forecast.items()},
            price_cny_per_kwh=prices.cny_per_kwh.tolist(),
            valley_cny_per_kwh=float(prices.cny_per_kwh.min()),
            flat_cny_per_kwh=median(prices.cny_per_kwh.tolist()),
            other_load_kw=other_load_kw,
            demand=await self._demand(now_utc, other_load_kw),
            caps=[
                (cap.from_step, cap.to_step, cap.cap_kw, cap.name)
                for cap in caps_of(tariff.events, grid, zone=self._zone)
            ],
        )

    async def _facts(self, now_utc: datetime) -> Facts:
        """What the records say of the tariff's facts: how hot days were, what the meter has counted."""
        need = wanted(self.tariff, now_utc, zone=self._zone)
        outdoor_degc: dict[datetime, float] = {}
        electric_kw: dict[datetime, float] = {}
        if need.outdoor_from_utc is not None:
            outdoor_degc = await self._quarters(self._site.meters.weather, need.outdoor_from_utc, now_utc)
        if need.electric_from_utc is not None:
            point = f"{self._site.meters.electricity}.electric_power"
            electric_kw = await self._quarters(point, need.electric_from_utc, now_utc)
        return facts_of(self.tariff, now_utc, zone=self._zone, outdoor_degc=outdoor_degc, electric_kw=electric_kw)

    async def _quarters(self, point: str, from_utc: datetime, to_utc: datetime) -> dict[datetime, float]:
        """Stored quarter-hour means of a point, by their start; quarters without a good value are left out."""
        rollups = await self._store.rollups(point, ROLLUP_MIN, from_utc, to_utc)
        return {rollup.start_utc: rollup.mean for rollup in rollups if rollup.mean is not None}

    async def _history(self, now_utc: datetime, loop: Loop) -> HourlyHistory | None:
        """Hourly means of load and outdoor temperature up to the last full hour; NaN where an hour is not complete."""
        end_utc = now_utc.replace(minute=0, second=0, microsecond=0)
        start_utc = end_utc - timedelta(hours=HISTORY_H)
        load = await self._quarters(f"{loop.meter}.heat_power", start_utc, end_utc)
        outdoor = await self._quarters(self._site.meters.weather, start_utc, end_utc)
        if not load:
            return None
        hours = [start_utc + timedelta(hours=number) for number in range(HISTORY_H)]
        first = next((at for at, hour in enumerate(hours) if _hour_mean(load, hour) == _hour_mean(load, hour)), None)
        if first is None:
            return None
        hours = hours[first:]
        return HourlyHistory(
            hours[0], [_hour_mean(load, hour) for hour in hours], [_hour_mean(outdoor, hour) for hour in hours]
        )

    async def _outdoor_degc(self, now_utc: datetime, grid: TimeGrid) -> list[float]:
        stored = await self._quarters(self._site.meters.weather, now_utc - timedelta(hours=OUTDOOR_H), now_utc)
        instants, degc = list(stored), list(stored.values())
        now_degc = self._value(self._site.meters.weather, now_utc)
        if now_degc is not None:
            instants.append(now_utc)
            degc.append(now_degc)
        forecast = forecast_outdoor(instants, degc, grid=grid, usual=USUAL_WINTER_DAY, zone=self._zone)
        return [float(value) for value in forecast.outdoor_degc]

    def _value(self, point: str, now_utc: datetime) -> float | None:
        return self._image.value(point, now_utc=now_utc, age_s_max=self._site.control.stale_s)

    def _other_load(self, now_utc: datetime, units: Mapping[str, UnitNow]) -> float:
        """Electricity behind the main meter that no unit and no unit's pump uses [kW], smoothed; never below zero."""
        main_kw = self._value(f"{self._site.meters.electricity}.electric_power", now_utc)
        meters = [self._value(f"{device}.electric_power", now_utc) for device in self._site.meters.units.values()]
        if main_kw is not None and all(kw is not None for kw in meters):
            pumps_kw = sum(self._site.units[name].pump_kw for name, unit in units.items() if unit.on)
            seen_kw = max(0.0, main_kw - sum(kw for kw in meters if kw is not None) - pumps_kw)
            before_kw = seen_kw if self._other_load_kw is None else self._other_load_kw
            self._other_load_kw = before_kw + OTHER_LOAD_SMOOTHING_RATIO * (seen_kw - before_kw)
        return self._other_load_kw or 0.0

    async def _demand(self, now_utc: datetime, other_load_kw: float) -> DemandNow | None:
        """The demand charge in force, with the peak that the month has had or will need anyway."""
        local = now_utc.astimezone(self._zone)
        price = version_of(self._configuration.tariff, local.date()).demand_cny_per_kw_month
        if price is None:
            return None
        month_utc = local.replace(day=1, hour=0, minute=0, second=0, microsecond=0).astimezone(now_utc.tzinfo)
        means = await self._quarters(f"{self._site.meters.electricity}.electric_power", month_utc, now_utc)
        # Without a contract figure: all units straight to the loop, which a design day needs with or without a tank.
        unavoidable_kw = self._site.limits.contract_demand_kw or other_load_kw + sum(
            self._configuration.performance[name].modes["direct"].curve[-1][1] + unit.pump_kw
            for name, unit in self._site.units.items()
        )
        return DemandNow(price, max(unavoidable_kw, *means.values(), 0.0))


def _hour_mean(quarters: Mapping[datetime, float], hour_utc: datetime) -> float:
    """Mean of the four quarters of an hour; NaN when one is missing, which is what the forecast takes for "unknown"."""
    values = [
        quarters.get(hour_utc + timedelta(minutes=ROLLUP_MIN * number), float("nan"))
        for number in range(QUARTERS_PER_HOUR)
    ]
    return sum(values) / QUARTERS_PER_HOUR


DEAR_BANDS = frozenset({"peak", "sharp"})
OUTLOOK_H = 24
"""How far control looks for the next peak [h]."""


def bands_at(tariff: Tariff, now_utc: datetime, *, zone: ZoneInfo, facts: Facts = NO_FACTS) -> BandOutlook:
    """What the tariff says around an instant: the band in force, the next change, the next dear band."""
    current = band_at(tariff, now_utc, zone=zone, facts=facts)
    change_utc = peak_utc = None
    for edge_utc in edges_utc(tariff, now_utc, now_utc + timedelta(hours=OUTLOOK_H), zone=zone, facts=facts)[1:]:
        band = band_at(tariff, edge_utc, zone=zone, facts=facts)
        if change_utc is None and band != current:
            change_utc = edge_utc
        if change_utc is not None and peak_utc is None and band in DEAR_BANDS:
            peak_utc = edge_utc
    return BandOutlook(current_band=current, next_peak_utc=peak_utc, next_change_utc=change_utc)
