"""What control may say to the plant, and what became of it. No device, no clock."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Kind(StrEnum):
    """What a command does; the guard has rules for each, and no command is of another kind."""

    RUN_REQUEST = "run_request"
    MODE_REQUEST = "mode_request"
    SETPOINT = "supply_setpoint"
    CAPACITY_LIMIT = "capacity_limit"
    HEARTBEAT = "heartbeat"
    PUMP = "pump"
    ISOLATING_VALVE = "isolating_valve"
    DISCHARGE_VALVE = "discharge_valve"


class Because(StrEnum):
    """Why a command is given. Layers only narrow: protection > operator > limit > comfort > plan > rule."""

    PROTECTION = "protection"
    OPERATOR = "operator"
    LIMIT = "limit"  # of the grid connection, of the demand window, of an event of the tariff
    COMFORT = "comfort"
    PLAN = "plan"
    RULE = "rule"
    SEQUENCE = "sequence"
    HEARTBEAT = "heartbeat"


@dataclass(frozen=True, slots=True)
class Command:
    """One wish for one point. It is repeated every cycle; only a change is written.

    Attributes:
        point: `device.point`.
        value: in the inside unit of the point.
        kind: what it does.
        subject: name of the unit, pump or valve in the site file.
        because: why.
    """

    point: str
    value: float
    kind: Kind
    subject: str
    because: Because = Because.SEQUENCE


class Verdict(StrEnum):
    """What became of a command."""

    VERIFIED = "verified"
    REFUSED = "refused"
    UNVERIFIED = "unverified"
    ADVISED = "advised"  # mode advise: would have been written


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a command: silence is not success.

    Attributes:
        command: what was wished.
        instant_utc: when.
        verdict: verified, refused, unverified, advised.
        reason: stable code; empty when verified.
        values: numbers that belong to the reason.
        before: value of the point before, None if unknown.
        read_back: what the device's state point showed, None if not read.
    """

    command: Command
    instant_utc: datetime
    verdict: Verdict
    reason: str = ""
    values: dict[str, float | str] = field(default_factory=dict)
    before: float | None = None
    read_back: float | None = None


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something the operator must know, until it is over.

    Attributes:
        code: of `edge_agent/texts`.
        device: unit, pump, valve, loop or point.
        since_utc: when it began.
        values: for the text's placeholders.
    """

    code: str
    device: str
    since_utc: datetime
    values: dict[str, float | str] = field(default_factory=dict)
