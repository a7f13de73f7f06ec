"""What each unit draws and gives now, by the best that is known of it: meter, its own word, its map at its load. Pure.

A unit that runs on its own panel is nobody's to plan: its heat is taken off the load, its electricity is other load.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from edge_agent.plan_case import NAMEPLATES, Corrections, UnitNow, identical_groups
from edge_agent.settings.model import Performance, PerformanceMode, SiteFile, Unit
from scheduling.plant.identify import output_of

RUNNING_RATIO = 0.02
"""Electric power from this share of the rated heat on shows that a unit of unknown state runs; as in control."""


@dataclass(frozen=True, slots=True)
class UnitPower:
    """What a unit does now.

    Attributes:
        runs: whether it runs, whoever has asked for it.
        electric_kw: what it draws, without pumps; None: nobody can say.
        loop_heat_kw: what it gives straight to its loop; 0 where nobody can say, and while it fills a tank, which is
            measured.
    """

    runs: bool
    electric_kw: float | None
    loop_heat_kw: float


@dataclass(frozen=True, slots=True)
class PresentPower:
    """What all units do now.

    Attributes:
        units_kw: electricity of all units and of the pumps of those that run; None: one that runs cannot be told.
        not_ours_kw: the part of those that may not be planned.
        not_ours_heat_kw: what they give to each loop.
    """

    units_kw: float | None
    not_ours_kw: float = 0.0
    not_ours_heat_kw: Mapping[str, float] = field(default_factory=dict)


def unit_power(
    unit: Unit, performance: Performance, now: UnitNow, *, meter_kw: float | None, cop_ratio: float = 1.0
) -> UnitPower:
    """What one unit does now.

    Args:
        unit: its configuration.
        performance: its map.
        now: what is seen of it.
        meter_kw: of its electricity meter; None: it has none, or it is silent.
        cop_ratio: heat for electricity as history corrects it.
    """
    figures = _figures(unit, performance, now.seen_mode or now.mode)
    measured_kw = meter_kw if meter_kw is not None else now.electric_kw
    runs = now.seen_on
    if runs is None:
        runs = measured_kw is not None and measured_kw >= RUNNING_RATIO * unit.heat_kw_rated
    electric_kw = None if measured_kw is None else max(0.0, measured_kw)
    if electric_kw is None and now.seen_on is False:
        electric_kw = 0.0
    if electric_kw is None and runs and now.load_ratio is not None:
        loads, powers = zip(*figures.curve, strict=True)
        electric_kw = float(np.interp(now.load_ratio, loads, powers)) / cop_ratio
    if not runs or now.seen_mode == "charge":
        return UnitPower(runs, electric_kw, 0.0)
    if measured_kw is not None:
        heat_kw = output_of(measured_kw * cop_ratio, figures.curve, output_kw=figures.heat_kw)
    else:
        heat_kw = (now.load_ratio or 0.0) * figures.heat_kw
    return UnitPower(runs, electric_kw, heat_kw)


def _figures(unit: Unit, performance: Performance, mode: str | None) -> PerformanceMode:
    """Of the mode that shows, else of the first that it has."""
    known = [one for one in (mode, *unit.modes, *performance.modes) if one is not None and one in performance.modes]
    return performance.modes[known[0]]


def present_power(
    site: SiteFile,
    performance: Mapping[str, Performance],
    units: Mapping[str, UnitNow],
    *,
    meters_kw: Mapping[str, float | None],
    corrections: Corrections = NAMEPLATES,
) -> PresentPower:
    """What all units do now.

    Args:
        site: the site file.
        performance: performance map of each unit.
        units: what is seen of each.
        meters_kw: of the electricity meter of each unit that has one; None: it is silent.
        corrections: of nameplates.
    """
    kind_of = {name: first for first, names in identical_groups(site.units).items() for name in names}
    units_kw: float | None = 0.0
    not_ours_kw = 0.0
    heat_kw = dict.fromkeys(site.loops, 0.0)
    for name, now in units.items():
        unit = site.units[name]
        cop_ratio = corrections.factor("cop", kind_of[name])
        power = unit_power(unit, performance[name], now, meter_kw=meters_kw.get(name), cop_ratio=cop_ratio)
        if power.electric_kw is None:
            if now.available:
                units_kw = None
            continue  # one that is silent and not metered: what it may draw stays where it is, in the other load
        with_pumps_kw = power.electric_kw + (unit.pump_kw if power.runs else 0.0)
        if units_kw is not None:
            units_kw += with_pumps_kw
        if not now.available and power.runs:
            not_ours_kw += with_pumps_kw
            heat_kw[unit.loop] += power.loop_heat_kw
    return PresentPower(units_kw, not_ours_kw, heat_kw)
