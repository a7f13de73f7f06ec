"""What is expected over the horizon of a plan: load, prices, limits. From the stored history, the image and the tariff.

It plans nothing and commands nothing; the forecasts themselves are in `scheduling.forecast`.
"""

import asyncio
import logging
import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from statistics import median
from zoneinfo import ZoneInfo

import numpy as np

from edge_agent.control.intent import BandOutlook
from edge_agent.hourly_record import HOUR, Archive, HourlyRecord
from edge_agent.image import ProcessImage
from edge_agent.month_peak import (
    USUAL_D,
    electric_kw,
    heat_needed_kw,
    metered_peak_kw,
    months_of,
    worst_days_kw,
    worst_degc,
)
from edge_agent.plan_case import NAMEPLATES, DemandNow, LiveState, UnitNow
from edge_agent.present_power import PresentPower, present_power
from edge_agent.settings.finding import Finding
from edge_agent.settings.load import Configuration
from edge_agent.settings.model import Loop
from edge_agent.settings.tariff_feed import TariffFeed
from edge_agent.source_ahead import LOOK_BACK_H, ahead_degc, response_of
from edge_agent.tariff_facts import facts_of, wanted
from edge_agent.texts.catalogue import text
from edge_agent.unit_figures import supply_curve
from edge_agent.weather_feed import WeatherFeed
from scheduling.forecast.hourly import HourlyHistory, HourlyWeather, hours_needed
from scheduling.forecast.load import DesignLoad, LoadForecast, forecast_load
from scheduling.forecast.outdoor import PLACE_D, forecast_outdoor
from scheduling.forecast.ridge import HISTORY_H
from scheduling.forecast.skill import Issued, Skill, skill
from scheduling.tariff.calendar import band_at, edges_utc
from scheduling.tariff.facts import NO_FACTS, Facts
from scheduling.tariff.model import Tariff
from scheduling.tariff.price import caps_of, charges_of, price_per_step
from scheduling.timegrid import TimeGrid

LOG = logging.getLogger(__name__)

DAY_H = 24
SKILL_D = 14
"""Days of forecasts whose score is shown."""
OTHER_LOAD_SMOOTHING_RATIO = 0.3
"""Weight of the newest reading of what the plan cannot move."""
OTHER_LOAD_HELD = timedelta(hours=1)
"""What the plan cannot move is believed for so long after it was last told; then nothing is believed. Ours."""


@dataclass(frozen=True, slots=True)
class _OtherLoad:
    """What no unit uses [kW], smoothed, and when it was told last."""

    kw: float
    seen_utc: datetime


class Expectation:
    """Builds the live part of a planning task."""

    def __init__(self, configuration: Configuration, *, store: Archive, image: ProcessImage) -> None:
        """Reads history from `store`, the present from `image`, a weather service's file beside the configuration."""
        self._configuration = configuration
        self._site = configuration.site
        self._zone = ZoneInfo(configuration.site.site.timezone)
        self._image = image
        self._other: _OtherLoad | None = None
        self._other_unknown = False
        self._warned: set[str] = set()
        self._record = HourlyRecord(store)
        file = configuration.site.forecast.weather_file
        self._service = WeatherFeed(None if file is None else configuration.folder / file, zone=self._zone)
        self._issued: dict[str, deque[Issued]] = {}
        self.corrections = NAMEPLATES
        """Of nameplates, as the service has learned them."""
        self.load_forecast: dict[str, LoadForecast] = {}
        self.weather: HourlyWeather | None = None
        self._feed = TariffFeed(configuration.folder, configuration.tariff, zone=self._zone)
        self.tariff = configuration.tariff
        self.facts = NO_FACTS

    async def live_state(
        self,
        now_utc: datetime,
        *,
        grid: TimeGrid,
        units: Mapping[str, UnitNow],
        storage_kwh: Mapping[str, float],
        drawn_kw: Mapping[str, Sequence[float | None]] | None = None,
    ) -> LiveState:
        """The plant now and what is expected of the steps of a grid.

        Args:
            now_utc: the present instant.
            grid: the steps to plan.
            units: present state of each unit.
            storage_kwh: usable energy of each tank [kWh].
            drawn_kw: heat that the plan in force draws from each source, one value a step; None: there is no plan.
        """
        tariff = self.tariff = await asyncio.to_thread(self._feed.current)
        self.facts = await self._facts(now_utc)
        prices = price_per_step(tariff, grid, zone=self._zone, facts=self.facts)
        for warning in set(prices.warnings) - self._warned:
            code, _, detail = warning.partition(":")
            LOG.warning("tariff: %s", text(code, detail=detail).en)
        self._warned |= set(prices.warnings)
        weather = await self._weather(now_utc, grid)
        for name, loop in self._site.loops.items():
            self.load_forecast[name] = forecast_load(
                await self._history(now_utc, loop),
                grid,
                weather=weather,
                design=self._design(name, loop),
                zone=self._zone,
            )
            self._issue(name, now_utc)
        present = present_power(
            self._site,
            self._configuration.performance,
            units,
            meters_kw={
                name: self._value(f"{device}.electric_power", now_utc)
                for name, device in self._site.meters.units.items()
            },
            corrections=self.corrections,
        )
        other_load_kw = self._other_load(now_utc, present)
        return LiveState(
            units=units,
            storage_kwh=storage_kwh,
            # What units give that are not ours to plan is taken as lasting: nobody knows when the person is done, and
            # when it ends a new plan is made.
            load_kw={
                name: np.maximum(0.0, forecast.load_kw - present.not_ours_heat_kw[name]).tolist()
                for name, forecast in self.load_forecast.items()
            },
            price_cny_per_kwh=prices.cny_per_kwh.tolist(),
            bands=prices.bands,
            corrections=self.corrections,
            source_degc=await self._sources(
                now_utc, units, grid=grid, outdoor_degc=outdoor(weather, grid), drawn_kw=drawn_kw or {}
            ),
            supply_degc={name: supply_curve(loop, outdoor(weather, grid)) for name, loop in self._site.loops.items()},
            valley_cny_per_kwh=float(prices.cny_per_kwh.min()),
            flat_cny_per_kwh=prices.usual_cny_per_kwh(grid),
            other_load_kw=other_load_kw,
            demand=await self._demand(now_utc, grid, other_load_kw),
            caps=caps_of(tariff.events, grid, zone=self._zone),
        )

    async def prices_changed(self) -> bool:
        """Whether tariff or market prices have changed; what the tariff says from now on holds at once."""
        changed = await asyncio.to_thread(self._feed.changed)
        if changed:
            before, self.tariff = self.tariff, await asyncio.to_thread(self._feed.current)
            return self.tariff is not before
        return False

    @property
    def tariff_rejected(self) -> Finding | None:
        """What is wrong with a changed tariff.yaml that was not taken over; None: nothing."""
        return self._feed.rejected

    async def _sources(
        self,
        now_utc: datetime,
        units: Mapping[str, UnitNow],
        *,
        grid: TimeGrid,
        outdoor_degc: list[float],
        drawn_kw: Mapping[str, Sequence[float | None]],
    ) -> dict[str, list[float]]:
        """Temperature of each source per step: air as forecast; water as the last days say for what will be drawn.

        Without such a record as running units see it now; else no entry.
        """
        out: dict[str, list[float]] = {}
        for name, source in self._site.sources.items():
            if source.kind == "air":
                out[name] = outdoor_degc
                continue
            by_record = await self._by_record(now_utc, source.meter, grid=grid, planned_kw=drawn_kw.get(name, ()))
            seen_degc = self._seen_by_units(now_utc, units, name)
            if by_record is not None:
                out[name] = by_record
            elif seen_degc is not None:
                out[name] = [seen_degc] * len(outdoor_degc)
        return out

    async def _by_record(
        self, now_utc: datetime, meter: str | None, *, grid: TimeGrid, planned_kw: Sequence[float | None]
    ) -> list[float] | None:
        if meter is None:
            return None
        end_utc = _full_hour(now_utc)
        inlet_degc = await self._record.hours(f"{meter}.supply_temperature", end_utc, count=LOOK_BACK_H)
        heat_kw = await self._record.hours(f"{meter}.heat_power", end_utc, count=LOOK_BACK_H)
        response = response_of(inlet_degc, heat_kw)
        if response is None:
            return None
        return ahead_degc(response, grid, heat_kw=heat_kw, end_utc=end_utc, planned_kw=planned_kw)

    def _seen_by_units(self, now_utc: datetime, units: Mapping[str, UnitNow], source: str) -> float | None:
        """What running units see now; one that rests has no flow, and its sensor tells the plant room's temperature."""
        running = [u for key, u in self._site.units.items() if u.source == source and key in units and units[key].on]
        points = [unit.point("source_inlet_temperature") for unit in running]
        seen = [v for point in points if point is not None and (v := self._value(point, now_utc)) is not None]
        return median(seen) if seen else None

    async def _facts(self, now_utc: datetime) -> Facts:
        """What the records say of the tariff's facts: how hot days were, what the meter has counted."""
        need = wanted(self.tariff, now_utc, zone=self._zone)
        outdoor_degc: dict[datetime, float] = {}
        electric_kw: dict[datetime, float] = {}
        if need.outdoor_from_utc is not None:
            outdoor_degc = await self._record.quarters(self._site.meters.weather, need.outdoor_from_utc, now_utc)
        if need.electric_from_utc is not None:
            point = f"{self._site.meters.electricity}.electric_power"
            electric_kw = await self._record.quarters(point, need.electric_from_utc, now_utc)
        return facts_of(self.tariff, now_utc, zone=self._zone, outdoor_degc=outdoor_degc, electric_kw=electric_kw)

    async def _history(self, now_utc: datetime, loop: Loop) -> HourlyHistory | None:
        """Hourly means of load and outdoor temperature up to the last full hour; NaN where an hour is not complete."""
        end_utc = _full_hour(now_utc)
        load_kw = await self._record.hours(f"{loop.meter}.heat_power", end_utc, count=HISTORY_H)
        outdoor_degc = await self._record.hours(self._site.meters.weather, end_utc, count=HISTORY_H)
        first = next((hour for hour, kw in enumerate(load_kw) if math.isfinite(kw)), None)
        if first is None:
            return None
        return HourlyHistory(end_utc - (HISTORY_H - first) * HOUR, load_kw[first:], outdoor_degc[first:])

    async def _weather(self, now_utc: datetime, grid: TimeGrid) -> HourlyWeather:
        """Expected outdoor temperature from the last full hour on: of the service as far as it goes, else our own."""
        from_utc = _full_hour(now_utc)
        hours = hours_needed(from_utc, grid)
        count = min(HISTORY_H, round(3 * PLACE_D) * DAY_H)
        own = forecast_outdoor(
            from_utc - count * HOUR,
            await self._record.hours(self._site.meters.weather, from_utc, count=count),
            from_utc=from_utc,
            hours=hours,
            zone=self._zone,
            now_degc=self._value(self._site.meters.weather, now_utc),
        )
        service = await asyncio.to_thread(self._service.hours, from_utc, count=hours)
        self.weather = own if service is None else service.then(own)
        return self.weather

    def _issue(self, name: str, now_utc: datetime) -> None:
        """Keeps the first forecast of each civil day for its score; it must look a whole day ahead."""
        hour_utc = _full_hour(now_utc)
        issued = self._issued.setdefault(name, deque(maxlen=SKILL_D + 1))
        today = now_utc.astimezone(self._zone).date()
        if issued and issued[-1].start_utc.astimezone(self._zone).date() >= today:
            return
        forecast = self.load_forecast[name]
        if len(forecast.hourly_kw) >= DAY_H:
            issued.append(Issued(hour_utc, tuple(forecast.hourly_kw[:DAY_H].tolist()), forecast.method))

    async def skill(self, name: str, now_utc: datetime) -> Skill | None:
        """How good the last days' forecasts of a loop were; None while too little can be compared."""
        issued = self._issued.get(name, ())
        end_utc = _full_hour(now_utc)
        count = (SKILL_D + 2) * DAY_H
        load_kw = await self._record.hours(f"{self._site.loops[name].meter}.heat_power", end_utc, count=count)
        starts = [end_utc - (count - number) * HOUR for number in range(count)]
        came = {start: kw for start, kw in zip(starts, load_kw, strict=True) if math.isfinite(kw)}
        return skill(tuple(issued), came)

    def _value(self, point: str, now_utc: datetime) -> float | None:
        return self._image.value(point, now_utc=now_utc, age_s_max=self._site.control.stale_s)

    def _other_load(self, now_utc: datetime, present: PresentPower) -> float:
        """Electricity behind the main meter that the plan cannot move [kW]; never below zero.

        What no unit and no unit's pump uses, smoothed, and what units draw that run and are not ours to plan. While it
        cannot be told, what was told last holds for a while.
        """
        main_kw = self._value(f"{self._site.meters.electricity}.electric_power", now_utc)
        if main_kw is not None and present.units_kw is not None:
            seen_kw = max(0.0, main_kw - present.units_kw)
            before_kw = seen_kw if self._other is None else self._other.kw
            if self._other_unknown:
                LOG.warning("other load is known again kw=%.0f", seen_kw)
            self._other = _OtherLoad(before_kw + OTHER_LOAD_SMOOTHING_RATIO * (seen_kw - before_kw), now_utc)
            self._other_unknown = False
        elif self._other is not None and now_utc - self._other.seen_utc > OTHER_LOAD_HELD:
            self._other = None
        if self._other is None and not self._other_unknown:
            LOG.warning("other load is not known: main meter silent, or a unit that runs tells neither power nor load")
            self._other_unknown = True
        return (0.0 if self._other is None else self._other.kw) + present.not_ours_kw

    async def _demand(self, now_utc: datetime, grid: TimeGrid, other_load_kw: float) -> list[DemandNow]:
        """The demand charge of each month that the plan touches, with what will be paid whatever the plan does."""
        local = now_utc.astimezone(self._zone)
        limit_kw = self._site.limits.contract_demand_kw
        found: list[DemandNow] = []
        for month in months_of(grid, self._zone):
            price = charges_of(self.tariff, month.last).demand_cny_per_kw_month
            if price is None:
                continue
            measured_kw = 0.0
            if month.first == local.date().replace(day=1):
                month_utc = datetime.combine(month.first, time(), self._zone).astimezone(UTC)
                point = f"{self._site.meters.electricity}.electric_power"
                means = await self._record.quarters(point, month_utc, now_utc)
                measured_kw = metered_peak_kw(means, self._site.limits.demand_window_min)
            expected_kw = other_load_kw + await self._worst_day_kw(now_utc)
            if limit_kw is not None:
                expected_kw = min(expected_kw, limit_kw)  # control lets no more be drawn
            found.append(DemandNow(price, measured_kw, expected_kw, month.from_step, month.to_step))
        return found

    async def _worst_day_kw(self, now_utc: datetime) -> float:
        """Electricity that the worst day expected of a month needs at least, all loops together."""
        assert self.weather is not None, "the load is expected first"
        ahead_degc = self.weather.outdoor_degc.tolist()
        usual_degc = await self._record.hours(self._site.meters.weather, _full_hour(now_utc), count=USUAL_D * DAY_H)
        sum_kw = 0.0
        for name, loop in self._site.loops.items():
            design = self._design(name, loop)
            worst = worst_degc(usual_degc, ahead_degc, design=design)
            days = worst_days_kw(self.load_forecast[name].hourly_kw.tolist(), ahead_degc, day_degc=worst, design=design)
            sum_kw += electric_kw(
                self._site,
                self._configuration.performance,
                loop=name,
                heat_kw=heat_needed_kw(self._site, name, days),
                outdoor_degc=worst,
                corrections=self.corrections,
            )
        return sum_kw

    def _design(self, name: str, loop: Loop) -> DesignLoad:
        """A loop as designed, as history corrects it."""
        return DesignLoad(
            loop.design_kw * self.corrections.factor("load", name),
            loop.design_outdoor_degc,
            limit_degc=loop.balance_outdoor_degc,
            medium=loop.medium,
        )


def _full_hour(instant_utc: datetime) -> datetime:
    """The last full hour."""
    return instant_utc.replace(minute=0, second=0, microsecond=0)


def outdoor(weather: HourlyWeather, grid: TimeGrid) -> list[float]:
    """Expected outdoor temperature at the start of every step [degC]."""
    last = len(weather.outdoor_degc) - 1
    hours = [int((start - weather.start_utc) / HOUR) for start in grid.starts_utc()]
    return [float(weather.outdoor_degc[min(max(hour, 0), last)]) for hour in hours]


DEAR_BANDS = frozenset({"peak", "sharp"})
EVENT_AHEAD = timedelta(minutes=5)
"""A call is obeyed from this long before its start. Ours: a unit needs 3 to 4 min from full to lowest load."""
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
    return BandOutlook(current, peak_utc, change_utc, event_kw=_event_kw(tariff, now_utc, zone=zone))


def _event_kw(tariff: Tariff, now_utc: datetime, *, zone: ZoneInfo) -> float | None:
    """Lowest limit of the demand-response calls in force, or about to be: load needs a while to come down."""
    spans = [
        (event.from_.replace(tzinfo=zone) - EVENT_AHEAD, event.to.replace(tzinfo=zone), event.grid_kw_max)
        for event in tariff.events
    ]
    return min((limit_kw for begin, end, limit_kw in spans if begin <= now_utc < end), default=None)
