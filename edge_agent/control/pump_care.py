"""Pumps that run for their own sake: against frost in exposed pipes, and against seizing after a long rest. Pure.

Only pumps that are ours, whose units all answer and stand, tripped or not: whatever else needs them goes first.
Against frost also those of a unit in local: its pipes freeze like any other's. Such a pump then runs until the unit is
handed back, as every pump of a unit in local is left as it is.

Source: plant-operation notes, sections 5 (pump kick) and 7 (layer 3: pumps on request below a threshold).
"""

from collections.abc import Mapping
from dataclasses import replace

from edge_agent.control.command import Alarm
from edge_agent.control.memory import ControlMemory, Phase, PumpMemory
from edge_agent.control.view import PlantView
from edge_agent.settings.model import SiteFile


def turned(memory: ControlMemory, *, view: PlantView, site: SiteFile) -> Mapping[str, PumpMemory]:
    """Brings the pumps' memory to the present: how long they stand, and whether they are to be turned now."""
    return {name: _turned(name, memory, view=view, site=site) for name in site.pumps}


def _turned(name: str, memory: ControlMemory, *, view: PlantView, site: SiteFile) -> PumpMemory:
    known = memory.pumps.get(name, PumpMemory())
    now_utc, running = view.instant_utc, view.pumps[name].running
    if known.turned_since_utc is not None:
        turned_s = (now_utc - known.turned_since_utc).total_seconds()
        if not _free(name, memory, view=view, site=site, frost=_frost(name, view, site)) or (
            turned_s >= _run_s(name, view, site) and not _icy(name, view, site)
        ):
            return PumpMemory()
        return known
    if running is not False:
        return PumpMemory() if running else known
    if known.off_since_utc is None:
        return replace(known, off_since_utc=now_utc)
    stood_s = (now_utc - known.off_since_utc).total_seconds()
    control = site.control
    frost = _icy(name, view, site) or (_frost(name, view, site) and stood_s >= control.freeze_every_s)
    if not _free(name, memory, view=view, site=site, frost=frost):
        return known
    kick = 0.0 < control.pump_kick_every_s <= stood_s
    return replace(known, turned_since_utc=now_utc) if frost or kick else known


def _run_s(name: str, view: PlantView, site: SiteFile) -> float:
    """How long it is turned [s]."""
    return site.control.freeze_run_s if _frost(name, view, site) else site.control.pump_kick_s


def _free(name: str, memory: ControlMemory, *, view: PlantView, site: SiteFile, frost: bool) -> bool:
    """Whether the pump is ours and none of its units, which all answer, is served by it or may be worked upon.

    A unit that has tripped waits for a person, perhaps all night: its pipes must not freeze meanwhile.
    """
    users = [unit for unit, config in site.units.items() if name in (config.source_pump, config.user_pump)]
    stand = {Phase.OFF, Phase.TRIPPED, Phase.LOCAL} if frost else {Phase.OFF, Phase.TRIPPED}
    return bool(users) and all(
        site.units[unit].pump_owner == "agent" and view.units[unit].known and memory.unit(unit).phase in stand
        for unit in users
    )


def _frost(name: str, view: PlantView, site: SiteFile) -> bool:
    """Whether its pipes may freeze: exposed, and it is cold outside, or nobody knows."""
    if not site.pumps[name].exposed:
        return False
    return view.outdoor_degc is None or view.outdoor_degc < site.control.freeze_outdoor_degc


def _icy(name: str, view: PlantView, site: SiteFile) -> bool:
    """Whether the water of a loop that it serves is near freezing: it is kept moving until it is not."""
    loops = {config.loop for config in site.units.values() if config.user_pump == name}
    supplies = [
        view.loops[loop].supply_degc for loop in loops if loop in view.loops and site.loops[loop].medium == "heat"
    ]
    return any(degc is not None and degc < site.control.freeze_loop_degc for degc in supplies)


def frost_alarms(memory: ControlMemory, *, view: PlantView, site: SiteFile) -> list[Alarm]:
    """Exposed pumps that ought to have been turned in this frost and have not: not ours to turn now, or they fail."""
    due_s = site.control.freeze_every_s + site.control.freeze_run_s
    return [
        Alarm("frost_not_circulated", name, view.instant_utc, {"pump": name})
        for name in site.pumps
        if _frost(name, view, site)
        and view.pumps[name].running is not True
        and (off_utc := memory.pumps.get(name, PumpMemory()).off_since_utc) is not None
        and (view.instant_utc - off_utc).total_seconds() >= due_s
    ]


def care_alarms(view: PlantView, *, site: SiteFile) -> list[Alarm]:
    """Loops whose water is near freezing."""
    limit_degc = site.control.freeze_loop_degc
    return [
        Alarm("loop_near_freezing", name, view.instant_utc, {"supply_degc": round(degc, 1), "limit_degc": limit_degc})
        for name, loop in site.loops.items()
        if loop.medium == "heat" and (degc := view.loops[name].supply_degc) is not None and degc < limit_degc
    ]
