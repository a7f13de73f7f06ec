"""Units and tanks as the planner needs them: what runs for how long, what may be counted on, what is stored. Pure."""

from datetime import datetime

from edge_agent.control.memory import ASKED, ControlMemory, Phase, civil_midnight_utc
from edge_agent.control.view import PlantView, UnitState, UnitView
from edge_agent.plan_case import UnitNow
from edge_agent.settings.model import SiteFile

RESTED_MIN = 24.0 * 60.0
"""What is out of service is planned as off for so long [min]: its times must not make the task impossible."""

TURNING = frozenset({UnitState.RUNNING, UnitState.STOPPING})
"""States in which a compressor may run."""


def unit_states(
    site: SiteFile, memory: ControlMemory, view: PlantView | None, *, now_utc: datetime
) -> dict[str, UnitNow]:
    """Each unit as the planner needs it: on or off for how long, starts today, whether it may be counted on.

    Args:
        site: the site file.
        memory: what control remembers.
        view: the plant as last seen; None before the first cycle.
        now_utc: the present instant.
    """
    midnight_utc = civil_midnight_utc(now_utc, site.site.timezone)
    states: dict[str, UnitNow] = {}
    for name in site.units:
        unit = memory.unit(name)
        known = view is not None and view.units[name].known
        available = known and unit.phase not in (Phase.UNKNOWN, Phase.LOCAL, Phase.TRIPPED) and not unit.locked_out
        if unit.phase in ASKED and unit.mode not in site.units[name].modes:
            available = False  # somebody has put it into a mode that is not ours to plan
        on = available and unit.phase in ASKED and unit.idle_since_utc is None
        since_utc = unit.running_since_utc if on else unit.off_since_utc
        minutes = 0.0 if since_utc is None else max(0.0, (now_utc - since_utc).total_seconds() / 60.0)
        seen = UnitView() if view is None else view.units[name]
        states[name] = UnitNow(
            on=on,
            mode=unit.mode if on else None,
            minutes_in_state=minutes if available else RESTED_MIN,
            starts_today=sum(1 for start_utc in unit.starts_utc if start_utc >= midnight_utc),
            available=available,
            achieved=memory.achieved.get(name, {}),
            seen_on=None if seen.state is None else seen.state in TURNING,
            seen_mode=seen.mode_actual,
            load_ratio=seen.load_ratio,
            electric_kw=seen.electric_kw,
        )
    return states


def storage_energy_kwh(site: SiteFile, view: PlantView | None) -> dict[str, float | None]:
    """Usable heat of each tank as last seen; None if it is not known."""
    if view is None:
        return dict.fromkeys(site.storages)
    return {name: storage.energy_kwh for name, storage in view.storages.items()}
