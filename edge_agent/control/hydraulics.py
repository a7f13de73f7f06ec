"""Hydraulic modes of the plant: in which one it is now, and how valves must stand in each. Pure."""

from edge_agent.control.memory import ASKED, ControlMemory
from edge_agent.control.station import CLOSED_RATIO
from edge_agent.control.view import PlantView
from edge_agent.settings.model import SiteFile


def operating_mode(site: SiteFile, memory: ControlMemory, view: PlantView) -> str:
    """Code of the hydraulic mode in which the plant is now: by what units do and where valves stand."""
    modes = {unit.mode for unit in memory.units.values() if unit.phase in ASKED and unit.idle_since_utc is None}
    discharging = False
    for storage in site.storages.values():
        isolating = view.valves[storage.isolating_valve].position_ratio or 0.0
        outlet = view.valves[storage.discharge_valve].position_ratio or 0.0
        discharging = discharging or (isolating > CLOSED_RATIO and outlet > CLOSED_RATIO)
    if "charge" in modes:
        return "charge_and_supply" if "direct" in modes or discharging else "charge"
    if "direct" in modes:
        return "combined" if discharging else "direct"
    return "discharge" if discharging else "standby"
