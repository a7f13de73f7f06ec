"""Stop of one unit: the request is withdrawn, pumps and ways stay until the unit itself reports that it stands. Pure.

Source: plant-operation notes, section 4: a unit must finish its pump-down; flow is never taken from it.
"""

from dataclasses import replace

from edge_agent.control.command import Alarm, Because
from edge_agent.control.memory import Phase, enter
from edge_agent.control.permissives import compressor_stands
from edge_agent.control.protection import danger_of
from edge_agent.control.turn import Turn, stop_commands
from edge_agent.control.want import Step


def stop(turn: Turn, because: Because) -> Step:
    """Begins the stop of a unit that runs."""
    begun = replace(turn.memory, danger_since_utc=None, stop_because=because.value)
    memory = enter(begun, Phase.STOPPING, turn.now_utc)
    return Step(memory, stop_commands(turn.site, turn.name, because=because))


def stopping(turn: Turn) -> Step:
    """Asked to stop: waits for the unit to say that it stands."""
    alarms: tuple[Alarm, ...] = ()
    if turn.age_s > turn.control.unit_stop_s and turn.memory.since_utc is not None:
        # No short cut: the pumps stay on and a person is asked.
        alarms = (Alarm("unit_stop_unconfirmed", turn.name, turn.memory.since_utc, {"unit": turn.name}),)
    if not compressor_stands(turn.site, turn.name, turn.unit):
        alarms = (*alarms, *danger_of(turn.name, turn.memory, view=turn.view, site=turn.site).alarms)
    # The cause of the stop stays with it: a protective one that was not written at once is still protective.
    known = turn.memory.stop_because
    because = Because(known) if known in tuple(Because) else Because.SEQUENCE
    return Step(turn.memory, stop_commands(turn.site, turn.name, because=because), alarms)


def overrun(turn: Turn) -> Step:
    """It stands: its pumps run on for a while."""
    stands = compressor_stands(turn.site, turn.name, turn.unit)
    if stands and turn.age_s >= turn.control.pump_overrun_s:
        return Step(enter(replace(turn.memory, mode=None), Phase.OFF, turn.now_utc), turn.withdraw())
    return Step(turn.memory, turn.withdraw())
