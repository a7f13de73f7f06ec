"""What dispatch wants of a unit, and what a step of its sequence returns. Data only."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from edge_agent.control.command import Alarm, Because, Command
from edge_agent.control.memory import UnitMemory


@dataclass(frozen=True, slots=True)
class Want:
    """What dispatch wants of a unit.

    Attributes:
        on: whether it shall run.
        mode: direct or charge; of a unit that shall run.
        setpoint_degc: leaving temperature, for each mode that it may be in until the change is done.
        limit_ratio: most load, likewise; only for units that take one.
        because: why.
    """

    on: bool
    mode: str | None = None
    setpoint_degc: Mapping[str, float] = field(default_factory=dict)
    limit_ratio: Mapping[str, float] = field(default_factory=dict)
    because: Because = Because.PLAN


@dataclass(frozen=True, slots=True)
class Step:
    """Result of a step: new memory, wishes for the unit, alarms, and what a start is waiting for."""

    memory: UnitMemory
    commands: tuple[Command, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    waiting: tuple[str, ...] = ()
