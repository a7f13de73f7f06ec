"""The power that a month will need whatever a plan does today: its expected worst day, served as evenly as tanks allow.

The demand charge of that power will be paid anyway; held against less, the first plans of a month would pay for dear
hours to avoid a peak that comes all the same. What has been metered is a fact and told apart from it. Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from edge_agent.plan_case import NAMEPLATES, Corrections, identical_groups, tank_of
from edge_agent.settings.model import Performance, SiteFile
from edge_agent.unit_figures import ModeFigures
from scheduling.forecast.load import BASE_K, SCALE_BOUNDS_RATIO, DesignLoad
from scheduling.tariff.bill import METERING_WINDOW_MIN, counted_window_min
from scheduling.timegrid import SECONDS_PER_MINUTE, TimeGrid

DAY_H = 24
USUAL_D = 14
"""Days whose mean temperature stands for what is usual now."""
WORST_DAY_K = 5.0
"""How much colder (where cold is made: hotter) than usual the worst day of a month is expected. Measured in Beijing,
2013 to 2015: the coldest day of a month from November to March lay 0 to 12 K below the mean of the two weeks before
it, 5.6 K on average; the hottest of one from June to August 1 to 7 K above, 4.4 K on average."""
TANK_COUNTED_RATIO = 0.8
"""Share of a tank that is counted on when the worst hours begin. Ours."""
LEVEL_TRIES = 40
"""Halvings until the even level is known; the range is then a millionth of a millionth of the load."""
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MonthSteps:
    """The steps of a plan that lie in one civil month; a step belongs to the month in which it starts.

    Attributes:
        first, last: dates of the month.
        from_step, to_step: [from, to).
    """

    first: date
    last: date
    from_step: int
    to_step: int


def months_of(grid: TimeGrid, zone: ZoneInfo) -> list[MonthSteps]:
    """The civil months that a plan touches, in order."""
    firsts = [start.astimezone(zone).date().replace(day=1) for start in grid.starts_utc()]
    edges = [step for step in range(grid.count) if step == 0 or firsts[step] != firsts[step - 1]]
    return [
        MonthSteps(firsts[begin], _last_of(firsts[begin]), begin, end)
        for begin, end in zip(edges, [*edges[1:], grid.count], strict=True)
    ]


def _last_of(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)


def metered_peak_kw(quarters_kw: Mapping[datetime, float], window_min: int) -> float:
    """Highest mean of a whole demand window; 0 where none is whole.

    Windows are taken to lie on the clock. A length that is not made of quarters is taken as the next shorter one that
    is, which may show a little more than the meter does.

    Args:
        quarters_kw: quarter-hour means by their start.
        window_min: length of the window.
    """
    length_min = counted_window_min(window_min)
    count = length_min // METERING_WINDOW_MIN
    windows: dict[float, list[float]] = {}
    for start, kw in quarters_kw.items():
        windows.setdefault(start.timestamp() // (length_min * SECONDS_PER_MINUTE), []).append(kw)
    return max((sum(window) / count for window in windows.values() if len(window) == count), default=0.0)


def worst_degc(usual_degc: Sequence[float], ahead_degc: Sequence[float], *, design: DesignLoad) -> float:
    """Mean outdoor temperature of the worst day that is expected of a month.

    Colder than usual by what a month brings, at least as cold as any day ahead, never colder than the design day; for
    cold the other way round.

    Args:
        usual_degc: hours of the last weeks, not all of them known.
        ahead_degc: hours to come.
        design: the building as designed.
    """
    sign = 1.0 if design.cooling else -1.0
    known = [degc for degc in usual_degc if np.isfinite(degc)] or ahead_degc
    days = [float(np.mean(ahead_degc[begin : begin + DAY_H])) for begin in range(0, len(ahead_degc), DAY_H)]
    worst = max(sign * float(np.mean(known)) + WORST_DAY_K, *(sign * degc for degc in days))
    return sign * min(worst, sign * design.outdoor_degc)


def worst_days_kw(
    hourly_kw: Sequence[float], ahead_degc: Sequence[float], *, day_degc: float, design: DesignLoad
) -> list[Floats]:
    """The days of a load forecast, each as it would be on the worst day: scaled as the forecast scales yesterday.

    Args:
        hourly_kw: expected load.
        ahead_degc: expected outdoor temperature of the same hours.
        day_degc: mean temperature of the worst day.
        design: the building as designed.
    """
    worst_k = float(design.degrees_k(np.array([day_degc]))[0])
    days = []
    count = min(len(hourly_kw), len(ahead_degc))
    for begin in range(0, max(1, count - DAY_H + 1), DAY_H):  # a rest of a day is none, unless there is no more
        hours = slice(begin, min(begin + DAY_H, count))
        day_k = float(design.degrees_k(np.asarray(ahead_degc[hours], float)).mean())
        ratio = float(np.clip((worst_k + BASE_K) / (day_k + BASE_K), 1.0, SCALE_BOUNDS_RATIO[1]))
        days.append(np.asarray(hourly_kw[hours], float) * ratio)
    return days


def even_kw(load_kw: Floats, *, store_kwh: float, give_kw: float) -> float:
    """The lowest constant output that serves a day with a store that can be full when the worst hours begin.

    Never below the day's mean: what the store gives has to be made as well. Without a store, the highest hour.

    Args:
        load_kw: one value an hour.
        store_kwh: usable energy of the store.
        give_kw: most that it gives.
    """
    most = float(load_kw.max())
    low, high = max(float(load_kw.mean()), most - give_kw), most
    if low >= high or np.maximum(0.0, load_kw - low).sum() <= store_kwh:
        return min(low, most)
    for _ in range(LEVEL_TRIES):
        level = 0.5 * (low + high)
        if np.maximum(0.0, load_kw - level).sum() <= store_kwh:
            high = level
        else:
            low = level
    return high


def electric_kw(
    site: SiteFile,
    performance: Mapping[str, Performance],
    *,
    loop: str,
    heat_kw: float,
    outdoor_degc: float,
    corrections: Corrections = NAMEPLATES,
) -> float:
    """Electricity for an output of a loop's units, pumps included, as all of them together need it at full load.

    Args:
        site: the site file.
        performance: performance map of each unit.
        loop: which loop.
        heat_kw: output; more than all units have takes what they take.
        outdoor_degc: temperature of the day: of the source of an air-source unit, and for the heating curve.
        corrections: of nameplates.
    """
    kind_of = {name: first for first, names in identical_groups(site.units).items() for name in names}
    pairs = site.loops[loop].supply_setpoint_degc
    supply_degc = float(np.interp(outdoor_degc, [cold for cold, _ in pairs], [supply for _, supply in pairs]))
    given_kw = taken_kw = 0.0
    for name, unit in site.units.items():
        if unit.loop != loop:
            continue
        known = performance[name].modes
        mode = "direct" if "direct" in known else next(iter(known))
        source_degc = outdoor_degc if site.sources[unit.source].kind == "air" else None
        figures = ModeFigures(known[mode], cop_ratio=corrections.factor("cop", kind_of[name])).at(
            source_degc, supply_degc
        )
        given_kw += figures.heat_kw
        taken_kw += figures.curve[-1][1] + unit.pump_kw
    return taken_kw * min(1.0, heat_kw / given_kw) if given_kw > 0.0 else 0.0


def heat_needed_kw(site: SiteFile, loop: str, days_kw: Sequence[Floats]) -> float:
    """Even output that the hardest of some days needs, with the tanks of the loop."""
    stores = [storage for storage in site.storages.values() if storage.loop == loop]
    store_kwh = TANK_COUNTED_RATIO * sum(tank_of(storage).capacity_kwh for storage in stores)
    give_kw = sum(storage.discharge_kw_max for storage in stores)
    return max((even_kw(day, store_kwh=store_kwh, give_kw=give_kw) for day in days_kw), default=0.0)
