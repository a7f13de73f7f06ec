"""What the units need together of pumps and valves: on while anybody needs it, off when nobody does. Pure."""

from collections.abc import Mapping

from edge_agent.control.command import Alarm, Because, Command, Kind
from edge_agent.control.memory import NEEDS_SOURCE_PUMP, NEEDS_USER_PUMP, PREPARING, ControlMemory, Phase, UnitMemory
from edge_agent.control.permissives import compressor_stands
from edge_agent.control.view import PlantView
from edge_agent.control.want import Want
from edge_agent.settings.model import SiteFile

CLOSED_RATIO = 0.02
"""Position below which a valve counts as closed. Ours: travel ends and readings are rounded."""


def needs_pump(name: str, pump: str, memory: UnitMemory, *, view: PlantView, site: SiteFile) -> bool | None:
    """Whether a unit needs one of its pumps: None when it is not for us to say, and the pump is left as it is."""
    unit = site.units[name]
    if memory.phase in (Phase.UNKNOWN, Phase.LOCAL) or not view.units[name].known:
        return None
    if memory.phase is Phase.TRIPPED:
        over = memory.age_s(view.instant_utc) >= site.control.pump_overrun_s
        # Water keeps moving until the unit's own power shows that its compressor stands.
        return False if over and compressor_stands(site, name, view.units[name]) else None
    needing = NEEDS_SOURCE_PUMP if pump == unit.source_pump else NEEDS_USER_PUMP
    return memory.phase in needing


def pump_commands(memory: ControlMemory, *, view: PlantView, site: SiteFile) -> tuple[Command, ...]:
    """On for a pump that any of its units needs; off, user side first, when all of them do without.

    A pump that is turned for its own sake (`pump_care.py`) stays on as well.
    """
    users: dict[str, list[bool | None]] = {}
    user_side = [unit.user_pump for unit in site.units.values()]
    source_side = [unit.source_pump for unit in site.units.values()]
    for pump in dict.fromkeys((*user_side, *source_side)):
        for name, unit in site.units.items():
            if pump in (unit.user_pump, unit.source_pump) and unit.pump_owner == "agent":
                need = needs_pump(name, pump, memory.unit(name), view=view, site=site)
                users.setdefault(pump, []).append(need)
    commands = []
    for pump, needs in users.items():
        turned = pump in memory.pumps and memory.pumps[pump].turned_since_utc is not None
        if any(needs) or turned or all(need is False for need in needs):
            config = site.pumps[pump]
            because = Because.PROTECTION if turned and not any(needs) else Because.SEQUENCE
            point = f"{config.device}.{config.command}"
            commands.append(Command(point, float(any(needs) or turned), Kind.PUMP, pump, because))
    # The source pump starts first and stops last.
    return tuple(
        sorted(commands, key=lambda command: command.value == (0.0 if command.subject in source_side else 1.0))
    )


def tank_needed(
    storage: str,
    *,
    memories: Mapping[str, UnitMemory],
    wants: Mapping[str, Want],
    tank_used: bool,
    site: SiteFile,
) -> bool:
    """Whether the way into a tank must be open: a unit charges or is about to, or the tank feeds the loop."""
    if tank_used:
        return True
    for name, unit in site.units.items():
        if unit.storage != storage:
            continue
        memory = memories.get(name, UnitMemory())
        want = wants.get(name)
        if memory.mode == "charge" and memory.phase not in (Phase.OFF, Phase.UNKNOWN):
            return True
        if memory.phase in PREPARING | {Phase.RUNNING} and want is not None and want.on and want.mode == "charge":
            return True
    return False


def pump_alarms(commands: tuple[Command, ...], *, view: PlantView) -> tuple[Alarm, ...]:
    """Pumps that were told to stop, show so in their command, and still run."""
    return tuple(
        Alarm("pump_not_stopped", command.subject, view.instant_utc, {"pump": command.subject})
        for command in commands
        if command.kind is Kind.PUMP
        and command.value == 0.0
        and view.pumps[command.subject].commanded is False
        and view.pumps[command.subject].running is True
    )
