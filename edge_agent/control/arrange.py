"""All commands of a cycle in the order of writing: ways open, pumps on, units, pumps off, ways closed. Pure."""

from collections.abc import Mapping, Sequence

from edge_agent.control.command import Because, Command, Kind
from edge_agent.control.dispatch import Dispatched
from edge_agent.control.hydraulics import moves
from edge_agent.control.loop.case import storage_of_loop
from edge_agent.control.memory import ControlMemory
from edge_agent.control.station import CLOSED_RATIO, pump_commands, tank_needed
from edge_agent.control.view import PlantView
from edge_agent.control.want import Want
from edge_agent.settings.model import SiteFile


def arrange(
    units: Sequence[Command],
    results: Mapping[str, Dispatched],
    *,
    wants: Mapping[str, Want],
    memory: ControlMemory,
    view: PlantView,
    site: SiteFile,
    target: str | None = None,
) -> list[Command]:
    """Adds what units need of pumps and valves, and puts all in order.

    Args:
        units: commands of the units' sequences.
        results: what dispatch decided for each loop; empty while holding: valves are left as they are.
        wants: of each unit.
        memory: after the steps of this cycle.
        view: the plant now.
        site: the site file.
        target: hydraulic mode that is wanted; None: the valves that only the modes move are left as they are.
    """
    pumps = pump_commands(memory, view=view, site=site)
    way = moves(site, target, view)
    valves = _valve_commands(results, wants, memory=memory, view=view, site=site)
    return [
        *(command for command in way if command.value == 0.0),
        *(command for command in valves if command.kind is Kind.ISOLATING_VALVE and command.value == 1.0),
        *(command for command in way if command.value == 1.0),
        *(command for command in pumps if command.value == 1.0),
        *(command for command in valves if command.kind is Kind.DISCHARGE_VALVE),
        *units,
        *(command for command in pumps if command.value == 0.0),
        *(command for command in valves if command.kind is Kind.ISOLATING_VALVE and command.value == 0.0),
    ]


def _valve_commands(
    results: Mapping[str, Dispatched],
    wants: Mapping[str, Want],
    *,
    memory: ControlMemory,
    view: PlantView,
    site: SiteFile,
) -> list[Command]:
    commands: list[Command] = []
    for loop_name, result in results.items():
        storage_name = storage_of_loop(site, loop_name)
        if storage_name is None:
            continue
        storage = site.storages[storage_name]
        isolating = site.valves[storage.isolating_valve]
        used_utc = result.memory.tank_used_utc
        lingering = used_utc is not None and (view.instant_utc - used_utc).total_seconds() < site.control.tank_rest_s
        needed = tank_needed(
            storage_name,
            memories=memory.units,
            wants=wants,
            tank_used=result.tank_used or lingering,
            site=site,
        )
        position_ratio = view.valves[storage.discharge_valve].position_ratio
        emptying = position_ratio is None or position_ratio > CLOSED_RATIO
        if needed or not emptying:
            because = result.because if needed else Because.SEQUENCE
            point = f"{isolating.device}.{isolating.point}"
            commands.append(Command(point, float(needed), Kind.ISOLATING_VALVE, storage.isolating_valve, because))
        if result.discharge_ratio is not None:
            discharge = site.valves[storage.discharge_valve]
            point = f"{discharge.device}.{discharge.point}"
            commands.append(
                Command(point, result.discharge_ratio, Kind.DISCHARGE_VALVE, storage.discharge_valve, result.because)
            )
    return commands
