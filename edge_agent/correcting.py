"""Learns from the stored history how far nameplates are off, once a day; keeps what it learned across restarts.

What the history shows is gathered here; how a factor follows from it is in `scheduling.plant.identify`, what becomes of
it in a plan, in `plan_case`.
"""

import asyncio
import hashlib
import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Protocol
from zoneinfo import ZoneInfo

from pydantic import TypeAdapter, ValidationError

from edge_agent.clock import Clock, sleep_until
from edge_agent.errors import StoreFault
from edge_agent.hourly_record import Archive, HourlyRecord
from edge_agent.plan_case import NAMEPLATES, Corrections, identical_groups, tank_of
from edge_agent.settings.load import Configuration
from edge_agent.settings.model import Loop, Storage, Unit
from edge_agent.unit_figures import ModeFigures, supply_curve
from scheduling.plant.identify import Estimate, Limits, identify, output_of

LOG = logging.getLogger(__name__)

STATE_KEY = "corrections"
SETTLE = timedelta(minutes=10)
"""After a start others have more pressing things to read; after midnight the last quarters are closed by then."""
AGAIN = timedelta(hours=1)
"""A store that could not be read is asked again after this time. Ours."""
LOOK_BACK_H = 30 * 24
"""History that counts: a month, so that fouling and cleaning show within weeks. Ours."""
COP_LIMITS = Limits(0.70, 1.15, count_min=48)
LOSS_LIMITS = Limits(0.30, 5.00, count_min=12)
LOAD_LIMITS = Limits(0.40, 1.40, count_min=10)
"""How far a plant may be off its papers. Ours: a unit at 0.7 of its COP is broken or its meter is wrong, and a person
must see to it; insulation may be much worse than it was bought; design loads are usually too high."""
IDLE_RATIO = 0.01
"""A tank whose meter shows less than this share of its greatest power is left alone."""
FILLED_RATIO = 0.2
"""Below this share of its capacity a tank's loss drowns in the resolution of its sensors."""
IDLE_H_MIN = 3
"""Shortest while that a tank must have been left alone [h]."""
COLD_K_MIN = 3.0
"""Days warmer than this below the loop's balance temperature say nothing of its design load [K]."""
DAY_H = 24
MODES = {1.0: "direct", 2.0: "charge"}
"""What a unit's own word for its mode means; an hour with both has a mean between."""
MODE_TOL = 0.01


@dataclass(frozen=True, slots=True)
class _Kept:
    """What stands in the store.

    Attributes:
        day: civil day on which it was learned: a restart on the same day learns nothing new.
        corrections: of nameplates.
        papers: by kind of correction, a digest of the nameplates that it corrects; none: they are not known.
    """

    day: date
    corrections: Corrections = field(default_factory=Corrections)
    papers: Mapping[str, str] = field(default_factory=dict)


_DOCUMENT = TypeAdapter(_Kept)


class Memory(Protocol):
    """Where a text is kept across restarts."""

    async def get_state(self, key: str) -> str | None:
        """The text kept under a key."""

    async def put_state(self, key: str, json_text: str) -> None:
        """Keeps a text."""


class Correcting:
    """Corrections in force, renewed on the first look of each civil day."""

    def __init__(self, configuration: Configuration, *, history: Archive, memory: Memory) -> None:
        """Reads `history`, keeps what it learns in `memory`."""
        self._configuration = configuration
        self._site = configuration.site
        self._zone = ZoneInfo(configuration.site.site.timezone)
        self._record = HourlyRecord(history)
        self._memory = memory
        self._papers = _papers(configuration)
        self._day: date | None = None
        self._failing = False
        self.current = NAMEPLATES

    async def prepare(self) -> None:
        """Takes up what the run before had learned; what cannot be read is learned anew."""
        kept = await self._memory.get_state(STATE_KEY)
        if kept is None:
            return
        try:
            document = _DOCUMENT.validate_json(kept)
        except ValidationError:
            LOG.warning("kept corrections cannot be read, nameplates stand until they are learned anew")
            return
        self.current = _bounded(document.corrections)
        changed = [kind for kind, paper in self._papers.items() if document.papers.get(kind, paper) != paper]
        if changed:
            LOG.warning("nameplates have changed, they stand until corrections are learned anew kinds=%s", changed)
            self.current = replace(self.current, **{kind: dict[str, Estimate]() for kind in changed})
        if document.papers == self._papers:
            self._day = document.day

    async def look(self, now_utc: datetime) -> Corrections:
        """What is known now; the first look of a day learns from the days before."""
        today = now_utc.astimezone(self._zone).date()
        if today == self._day:
            return self.current
        try:
            learned = await self._learn(now_utc.replace(minute=0, second=0, microsecond=0))
            kept = _Kept(today, learned, self._papers)
            await self._memory.put_state(STATE_KEY, _DOCUMENT.dump_json(kept).decode())
        except StoreFault as fault:
            if not self._failing:
                LOG.error("nothing learned from history yet, what was known stays: %s", fault)  # noqa: TRY400 - said once
            self._failing = True
            return self.current
        self._day, self._failing = today, False
        self._tell(learned)
        self.current = learned
        return learned

    async def run(self, *, clock: Clock) -> None:
        """Learns for ever, soon after each start and each midnight of the site; plans take what is known by then."""
        due_utc = clock.now_utc() + SETTLE
        while True:
            await sleep_until(clock, due_utc)
            await self.look(clock.now_utc())
            if self._failing:
                due_utc = clock.now_utc() + AGAIN
                continue
            local = clock.now_utc().astimezone(self._zone)
            midnight = (local + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
            due_utc = midnight.astimezone(UTC) + SETTLE

    def _tell(self, learned: Corrections) -> None:
        for kind in ("cop", "loss", "load"):
            before: Mapping[str, Estimate] = getattr(self.current, kind)
            for name, estimate in getattr(learned, kind).items():
                if estimate.learned and (name not in before or before[name].why != estimate.why):
                    LOG.info(
                        "learned from history kind=%s of=%s factor=%.3f lower=%.3f upper=%.3f count=%d why=%s",
                        kind, name, estimate.value, estimate.lower, estimate.upper, estimate.count, estimate.why,
                    )  # fmt: skip

    async def _learn(self, end_utc: datetime) -> Corrections:
        site = self._site
        loss: dict[str, Estimate] = {}
        for name, storage in site.storages.items():
            loss.update(await self._loss(name, storage, end_utc))
        load: dict[str, Estimate] = {}
        for name, loop in site.loops.items():
            load.update(await self._load(name, loop, end_utc))
        return Corrections(cop=await self._cop(end_utc), loss=loss, load=load)

    async def _hours(self, point: str | None, end_utc: datetime) -> list[float]:
        """Hourly means of a point; NaN everywhere for none."""
        if point is None:
            return [math.nan] * LOOK_BACK_H
        return await self._record.hours(point, end_utc, count=LOOK_BACK_H)

    # ------------------------------------------------------------------------------------------------------- units

    async def _cop(self, end_utc: datetime) -> dict[str, Estimate]:
        """Heat for electricity of each kind of unit, from all units of a loop together against its heat meters."""
        out: dict[str, Estimate] = {}
        for loop_name, loop in self._site.loops.items():
            units = {name: unit for name, unit in self._site.units.items() if unit.loop == loop_name}
            groups = identical_groups(units)
            expected = {
                first: _sum([await self._expected_kw(name, end_utc) for name in names])
                for first, names in groups.items()
            }
            meters = [f"{loop.meter}.heat_power"]
            tanks = [storage for storage in self._site.storages.values() if storage.loop == loop_name]
            meters += ["" if storage.meter is None else f"{storage.meter}.heat_power" for storage in tanks]
            measured = _sum([await self._hours(meter or None, end_utc) for meter in meters])
            out.update(identify(expected, measured, COP_LIMITS))
        return out

    async def _expected_kw(self, name: str, end_utc: datetime) -> list[float]:
        """Heat that a unit should have given for what it took, hour by hour; NaN where that cannot be said.

        By its map at the temperatures of the hour: what is left for a factor is what the map does not explain.
        """
        unit = self._site.units[name]
        figures = {mode: ModeFigures(known) for mode, known in self._configuration.performance[name].modes.items()}
        meter = self._site.meters.units.get(name)
        electric = await self._hours(
            unit.point("electric_power") if meter is None else f"{meter}.electric_power", end_utc
        )
        words = await self._hours(unit.point("mode_actual"), end_utc)
        unknown: list[float | None] = [None] * LOOK_BACK_H
        source, leaving = unknown, dict.fromkeys(figures, unknown)
        if any(mode.follows for mode in figures.values()):
            source = await self._source_degc(unit, end_utc)
            leaving = {mode: await self._leaving_degc(unit, mode, end_utc) for mode in figures}

        def expected() -> list[float]:
            idle_kw = IDLE_RATIO * figures[unit.modes[0]].at(None, None).curve[-1][1]
            out = []
            for hour, (kw, word) in enumerate(zip(electric, words, strict=True)):
                mode = next((mode for value, mode in MODES.items() if abs(word - value) <= MODE_TOL), None)
                if math.isfinite(kw) and kw < idle_kw:
                    out.append(0.0)
                elif mode is None or mode not in figures or not math.isfinite(kw):
                    out.append(math.nan)  # it changed within the hour, or says nothing of its mode or its power
                else:
                    out.append(_heat_kw(kw, figures[mode], source_degc=source[hour], leaving_degc=leaving[mode][hour]))
            return out

        return await asyncio.to_thread(expected)  # thousands of places on maps: control must not wait for them

    async def _source_degc(self, unit: Unit, end_utc: datetime) -> list[float | None]:
        """Temperature of a unit's source, hour by hour: of air outdoors, of water where it is metered, else seen."""
        source = self._site.sources[unit.source]
        if source.kind == "air":
            return _first_known(await self._hours(self._site.meters.weather, end_utc))
        metered = await self._hours(source.meter and f"{source.meter}.supply_temperature", end_utc)
        return _first_known(metered, await self._hours(unit.point("source_inlet_temperature"), end_utc))

    async def _leaving_degc(self, unit: Unit, mode: str, end_utc: datetime) -> list[float | None]:
        """Leaving temperature of a unit in a mode, hour by hour: its own, else what the plan would reckon with."""
        own = await self._hours(unit.point("user_supply_temperature"), end_utc)
        if mode == "charge" and unit.storage is not None:
            storage = self._site.storages[unit.storage]
            if storage.charge_setpoint_degc_min is not None:
                return [*own]  # what was asked of it then is not on record
            return _first_known(own, [storage.charge_setpoint_degc] * LOOK_BACK_H)
        loop = self._site.loops[unit.loop]
        outdoor = await self._hours(self._site.meters.weather, end_utc)
        return _first_known(own, await self._hours(loop.supply_point, end_utc), supply_curve(loop, outdoor))

    # ------------------------------------------------------------------------------------------------------- tanks

    async def _loss(self, name: str, storage: Storage, end_utc: datetime) -> dict[str, Estimate]:
        """Loss of a tank, from whiles in which it was left alone."""
        if storage.meter is None or storage.loss_ratio_per_day <= 0:
            return {}
        tank = tank_of(storage)
        layers = [await self._hours(point, end_utc) for point in storage.layers]
        energy = [
            tank.usable_kwh(degc) if all(map(math.isfinite, degc)) else math.nan for degc in zip(*layers, strict=True)
        ]
        flow = await self._hours(f"{storage.meter}.heat_power", end_utc)
        idle = [abs(kw) <= IDLE_RATIO * max(storage.charge_kw_max, storage.discharge_kw_max) for kw in flow]
        expected, lost = [], []
        for first, last in _runs([quiet and math.isfinite(kwh) for quiet, kwh in zip(idle, energy, strict=True)]):
            begin_kwh, end_kwh = energy[first], energy[last - 1]
            days = (last - 1 - first) / DAY_H  # between the middles of two hours
            if last - first > IDLE_H_MIN and begin_kwh > FILLED_RATIO * tank.capacity_kwh:
                expected.append(0.5 * (begin_kwh + end_kwh) * storage.loss_ratio_per_day * days)
                lost.append(begin_kwh - end_kwh)
        return identify({name: expected}, lost, LOSS_LIMITS)

    # ------------------------------------------------------------------------------------------------------- loads

    async def _load(self, name: str, loop: Loop, end_utc: datetime) -> dict[str, Estimate]:
        """Load of a loop against its design line, from whole days: what a forecast without history falls back on."""
        span_k = loop.balance_outdoor_degc - loop.design_outdoor_degc
        if loop.medium != "heat" or span_k <= 0:
            return {}
        load = await self._hours(f"{loop.meter}.heat_power", end_utc)
        outdoor = await self._hours(self._site.meters.weather, end_utc)
        expected, measured = [], []
        for first in range(0, LOOK_BACK_H, DAY_H):
            day = slice(first, first + DAY_H)
            if all(map(math.isfinite, (*load[day], *outdoor[day]))):
                cold_k = loop.balance_outdoor_degc - sum(outdoor[day]) / DAY_H
                if cold_k >= COLD_K_MIN:
                    expected.append(loop.design_kw * cold_k / span_k)
                    measured.append(sum(load[day]) / DAY_H)
        return identify({name: expected}, measured, LOAD_LIMITS)


def _papers(configuration: Configuration) -> dict[str, str]:
    """By kind of correction, a digest of what stands on paper: a factor says nothing of any other paper."""
    site = configuration.site
    papers = {
        "cop": {
            name: (unit.identical_to, configuration.performance[name].model_dump(mode="json", include={"modes"}))
            for name, unit in site.units.items()
        },
        "loss": {
            name: storage.model_dump(mode="json", include={"volume_m3", "degc_min", "degc_max", "loss_ratio_per_day"})
            for name, storage in site.storages.items()
        },
        "load": {
            name: loop.model_dump(mode="json", include={"design_kw", "design_outdoor_degc", "balance_outdoor_degc"})
            for name, loop in site.loops.items()
        },
    }
    return {
        kind: hashlib.sha256(json.dumps(paper, sort_keys=True).encode()).hexdigest() for kind, paper in papers.items()
    }


def _heat_kw(electric_kw: float, mode: ModeFigures, *, source_degc: float | None, leaving_degc: float | None) -> float:
    """Heat for electricity at the temperatures of an hour; NaN where one of them was not known in just that hour."""
    if any(degc is not None and math.isnan(degc) for degc in (source_degc, leaving_degc)) and mode.follows:
        return math.nan
    figures = mode.at(source_degc, leaving_degc)
    full_kw = figures.curve[-1][1]
    if electric_kw > full_kw:  # a unit that takes more than it should at full load is just what is looked for
        return figures.heat_kw * electric_kw / full_kw
    return output_of(electric_kw, figures.curve, output_kw=figures.heat_kw)


def _first_known(*series: Sequence[float]) -> list[float | None]:
    """Hour by hour the first value that is known, else NaN; None everywhere where nobody ever measures it."""
    best = [next((value for value in hour if math.isfinite(value)), math.nan) for hour in zip(*series, strict=True)]
    if all(map(math.isnan, best)):
        return [None] * len(best)
    return [*best]


def _sum(series: Sequence[Sequence[float]]) -> list[float]:
    """Hour by hour; NaN where one is not known."""
    return [sum(values) for values in zip(*series, strict=True)]


def _runs(on: Sequence[bool]) -> list[tuple[int, int]]:
    """[from, to) of every run of true."""
    edges = [0, *(i for i, (a, b) in enumerate(pairwise(on), start=1) if a != b), len(on)]
    return [(first, last) for first, last in pairwise(edges) if first < last and on[first]]


def _bounded(kept: Corrections) -> Corrections:
    """What was kept, as far as it lies within today's limits: a file may have been written by another version."""

    def sane(estimates: Mapping[str, Estimate], limits: Limits) -> dict[str, Estimate]:
        return {
            name: estimate
            for name, estimate in estimates.items()
            if limits.lower <= estimate.lower <= estimate.value <= estimate.upper <= limits.upper
        }

    return Corrections(
        cop=sane(kept.cop, COP_LIMITS), loss=sane(kept.loss, LOSS_LIMITS), load=sane(kept.load, LOAD_LIMITS)
    )
