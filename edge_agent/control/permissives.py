"""What must be true before a unit may start, stop or lose its pumps: one place for sequence, dispatch and guard. Pure.

Source: plant-operation notes, sections 3, 4 and 6.
"""

from datetime import datetime, timedelta

from edge_agent.control.memory import UnitMemory, civil_midnight_utc
from edge_agent.control.view import PlantView, UnitState, UnitView
from edge_agent.settings.model import SiteFile, Unit

PATH_OPEN_RATIO = 0.95
"""Position from which a valve counts as open. Ours: travel ends and readings are rounded."""
STOPPED_RATIO = 0.02
"""Electric power below this share of the rated heat proves that the compressor stands. Ours."""
TANK_ABOVE_MAX_K = 2.0
"""No charging when the top is this far above the tank's usable maximum. Ours."""


def start_obstacles(name: str, memory: UnitMemory, *, mode: str, view: PlantView, site: SiteFile) -> tuple[str, ...]:
    """Why a unit may not be started now: codes, shown to the operator; empty when nothing is in the way.

    Flow and staggering are not among them: they belong to the last step before the request.
    """
    unit = site.units[name]
    now_utc = view.instant_utc
    obstacles: list[str] = []
    if memory.locked_out:
        obstacles.append("unit_locked_out")
    if memory.retry_utc is not None and now_utc < memory.retry_utc:
        obstacles.append("retry_later")
    if not rested(unit, memory, now_utc):
        obstacles.append("min_off")
    obstacles.extend(starts_left(unit, memory, now_utc=now_utc, timezone=site.site.timezone))
    if oil_cold(memory, now_utc):
        obstacles.append("oil_heating")
    if memory.barred_until_utc is not None and memory.barred_mode == mode and now_utc < memory.barred_until_utc:
        obstacles.append("way_failed")
    if source_too_cold(site, view, name):
        obstacles.append("source_too_cold")
    if mode == "direct" and loop_too_hot(site, view, unit.loop):
        obstacles.append("supply_hot")
    if mode not in unit.modes:
        obstacles.append("mode_unknown")
    elif mode == "charge" and tank_too_hot(site, view, unit.storage):
        obstacles.append("tank_too_hot")
    return tuple(obstacles)


def rested(unit: Unit, memory: UnitMemory, now_utc: datetime) -> bool:
    """Whether the minimum rest is over; a rest whose begin is not known is not over."""
    return memory.off_since_utc is not None and (now_utc - memory.off_since_utc).total_seconds() >= unit.min_off_s


def run_long_enough(unit: Unit, memory: UnitMemory, now_utc: datetime) -> bool:
    """Whether the minimum run is over; a run whose begin is not known is not over."""
    since_utc = memory.running_since_utc
    return since_utc is not None and (now_utc - since_utc).total_seconds() >= unit.min_on_s


def starts_left(unit: Unit, memory: UnitMemory, *, now_utc: datetime, timezone: str) -> tuple[str, ...]:
    """Codes of the limits that another start now would break; a start of this very instant is not counted."""
    codes = []
    if memory.starts_since(now_utc - timedelta(hours=1), before_utc=now_utc) >= unit.starts_per_hour_max:
        codes.append("starts_per_hour")
    midnight_utc = civil_midnight_utc(now_utc, timezone)
    if memory.starts_since(midnight_utc, before_utc=now_utc) >= unit.starts_per_day_max:
        codes.append("starts_per_day")
    return tuple(codes)


def oil_cold(memory: UnitMemory, now_utc: datetime) -> bool:
    """Whether its oil is still being heated after its power was away."""
    return memory.heat_until_utc is not None and now_utc < memory.heat_until_utc


def loop_too_hot(site: SiteFile, view: PlantView, loop: str) -> bool:
    """Whether a loop is so hot that no unit may be started onto it; not known counts as not."""
    supply_degc = view.loops[loop].protection_degc
    return supply_degc is not None and supply_degc > site.loops[loop].supply_degc_max + site.control.over_act_k


def source_too_cold(site: SiteFile, view: PlantView, name: str) -> bool:
    """Whether the water from the source is too near its limit; not known counts as warm: the unit protects itself.

    The meter of the source and the unit's own sensor see the same water, the latter only while it flows. The colder
    one counts.
    """
    unit, seen = site.units[name], view.units[name]
    source = site.sources.get(unit.source)
    if source is None or source.inlet_degc_min is None:
        return False
    own_degc = seen.source_inlet_degc if seen.source_flow else None
    known = [degc for degc in (view.source_inlet_degc.get(unit.source), own_degc) if degc is not None]
    return bool(known) and min(known) < source.inlet_degc_min + site.control.freeze_act_k


def tank_too_hot(site: SiteFile, view: PlantView, storage: str | None) -> bool:
    """Whether the top of a tank forbids charging; a tank whose temperatures are not known is not charged."""
    if storage is None:
        return True
    top_degc = view.storages[storage].top_degc
    return top_degc is None or top_degc >= site.storages[storage].degc_max + TANK_ABOVE_MAX_K


def path_open(site: SiteFile, view: PlantView, storage: str | None) -> bool:
    """Whether the isolating valve of a tank is proven open."""
    if storage is None:
        return False
    position_ratio = view.valves[site.storages[storage].isolating_valve].position_ratio
    return position_ratio is not None and position_ratio > PATH_OPEN_RATIO


def draws_power(unit: Unit, seen: UnitView) -> bool:
    """Whether a unit is seen to draw the power of a compressor, whatever state it reports."""
    return seen.electric_kw is not None and seen.electric_kw >= STOPPED_RATIO * unit.heat_kw_rated


def compressor_stands(site: SiteFile, name: str, unit: UnitView) -> bool:
    """Whether the unit reports off and its power, if measured, agrees; a tripped one must prove it by its power."""
    limit_kw = STOPPED_RATIO * site.units[name].heat_kw_rated
    if unit.state is UnitState.OFF:
        return unit.electric_kw is None or unit.electric_kw < limit_kw
    return unit.state is UnitState.TRIPPED and unit.electric_kw is not None and unit.electric_kw < limit_kw
