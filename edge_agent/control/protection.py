"""What protects a running unit before its own protection has to: cold source, hot supply, hot tank, no ramp. Pure.

A trip of the unit itself needs a person to reset it and costs heat for hours; so a unit is unloaded, and if that does
not help stopped in order, while its own protection, which alone is safe, has not yet acted.

Source: plant-operation notes, sections 3 (step 6) and 7.
"""

from dataclasses import dataclass

from edge_agent.control.command import Alarm
from edge_agent.control.memory import UnitMemory
from edge_agent.control.permissives import PATH_OPEN_RATIO, STOPPED_RATIO, loop_too_hot, tank_too_hot
from edge_agent.control.view import PlantView, UnitState
from edge_agent.settings.model import SiteFile

NO_RAMP = "unit_no_ramp"
"""Code of a start whose unit says that it runs, and does not."""
RAMP_K_MIN = 0.5
"""A unit that gives any heat warms its water by more than this. Ours: 30 % load at the usual 5 K is 1.5 K."""


@dataclass(frozen=True, slots=True)
class Danger:
    """What threatens a unit.

    Attributes:
        stop: code of what must stop it; empty when nothing must.
        at_once: it must not wait for the end of the minimum run.
        unload: it shall give its least.
        alarms: for the operator.
    """

    stop: str = ""
    at_once: bool = False
    unload: bool = False
    alarms: tuple[Alarm, ...] = ()


def danger_of(name: str, memory: UnitMemory, *, view: PlantView, site: SiteFile) -> Danger:
    """What threatens a unit that runs."""
    found = [
        _cold_source(name, view, site),
        _heat_without_use(name, memory, view, site),
        _no_ramp(name, memory, view, site),
        _way_lost(name, memory, view, site),
    ]
    stops = sorted((danger for danger in found if danger.stop), key=lambda danger: not danger.at_once)
    return Danger(
        stop=stops[0].stop if stops else "",
        at_once=bool(stops) and stops[0].at_once,
        unload=any(danger.unload for danger in found),
        alarms=tuple(alarm for danger in found for alarm in danger.alarms),
    )


def _cold_source(name: str, view: PlantView, site: SiteFile) -> Danger:
    """Source water near its limit: an alarm, then less load, then a stop before water freezes in the evaporator."""
    source_name = site.units[name].source
    source = site.sources.get(source_name)
    if source is None or source.inlet_degc_min is None:
        return Danger()
    # Two sensors see this water. To warn, the colder one is enough; to stop a unit both must say so: one may be broken.
    seen = [view.source_inlet_degc.get(source_name), view.units[name].source_inlet_degc]
    known = [degc for degc in seen if degc is not None]
    if not known:
        return Danger()
    limit_degc, control = source.inlet_degc_min, site.control
    if min(known) >= limit_degc + control.freeze_warn_k:
        return Danger()
    values: dict[str, float | str] = {"inlet_degc": round(min(known), 1), "limit_degc": limit_degc}
    alarm = (Alarm("source_too_cold", source_name, view.instant_utc, values),)
    if max(known) < limit_degc:
        return Danger("source_too_cold", at_once=True, unload=True, alarms=alarm)
    return Danger(unload=max(known) < limit_degc + control.freeze_act_k, alarms=alarm)


def _heat_without_use(name: str, memory: UnitMemory, view: PlantView, site: SiteFile) -> Danger:
    """Supply or tank beyond their limits."""
    unit = site.units[name]
    if memory.mode == "charge":
        top_degc = view.storages[unit.storage].top_degc if unit.storage is not None else None
        hot = top_degc is not None and tank_too_hot(site, view, unit.storage)
        return Danger("tank_too_hot" if hot else "", unload=hot)
    supply_degc = view.loops[unit.loop].protection_degc
    if supply_degc is None or not loop_too_hot(site, view, unit.loop):
        return Danger()
    stop = supply_degc > site.loops[unit.loop].supply_degc_max + site.control.over_stop_k
    return Danger("supply_hot" if stop else "", unload=True)


def _way_lost(name: str, memory: UnitMemory, view: PlantView, site: SiteFile) -> Danger:
    """A unit that can only charge, before a valve that is seen not to be open: it has nowhere else to give its heat.

    A unit that also serves the loop turns to it (`sequence.py`); a position that is not seen is not closed.
    """
    unit = site.units[name]
    if memory.mode != "charge" or "direct" in unit.modes or unit.storage is None:
        return Danger()
    position_ratio = view.valves[site.storages[unit.storage].isolating_valve].position_ratio
    lost = position_ratio is not None and position_ratio <= PATH_OPEN_RATIO
    return Danger("path_closed", at_once=True) if lost else Danger()


def _no_ramp(name: str, memory: UnitMemory, view: PlantView, site: SiteFile) -> Danger:
    """A unit that says that it runs, and shows neither power nor heat."""
    unit = view.units[name]
    since_utc = memory.running_since_utc
    if unit.state is not UnitState.RUNNING or since_utc is None or unit.electric_kw is None:
        return Danger()
    if (view.instant_utc - since_utc).total_seconds() < site.control.ramp_watch_s:
        return Danger()
    if unit.electric_kw >= STOPPED_RATIO * site.units[name].heat_kw_rated:
        return Danger()
    warm_k = None
    if unit.user_supply_degc is not None and unit.user_return_degc is not None:
        warm_k = unit.user_supply_degc - unit.user_return_degc
    if warm_k is not None and warm_k >= RAMP_K_MIN:
        return Danger()
    return Danger(NO_RAMP)
