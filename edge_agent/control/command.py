"""What control may say to the plant, and what became of it. No device, no clock."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from pydantic import AwareDatetime


class Kind(StrEnum):
    """What a command does; the guard has rules for each, and no command is of another kind."""

    RUN_REQUEST = "run_request"
    MODE_REQUEST = "mode_request"
    SETPOINT = "supply_setpoint"
    CAPACITY_LIMIT = "capacity_limit"
    STAGE = "stage"
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
    """What became of a command: issued, then verified or not, then its effect. Each is an entry of the audit."""

    ISSUED = "issued"  # about to be written: a process that dies here leaves no silence
    VERIFIED = "verified"  # the device shows it; the effect is awaited
    REFUSED = "refused"
    UNVERIFIED = "unverified"
    ADVISED = "advised"  # mode advise: would have been written
    EFFECTED = "effected"  # the plant has followed
    NO_EFFECT = "no_effect"  # the plant has not followed in its time
    SUPERSEDED = "superseded"  # a later command to the same point came first
    UNKNOWN = "unknown"  # nobody can say: the service died, or nothing measures it


FINAL = frozenset(
    {Verdict.REFUSED, Verdict.UNVERIFIED, Verdict.EFFECTED, Verdict.NO_EFFECT, Verdict.SUPERSEDED, Verdict.UNKNOWN}
)
"""Verdicts that end a command; every command in the audit must come to one of them."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A stage in the life of a command: silence is not success.

    Attributes:
        command: what was wished.
        instant_utc: when.
        verdict: the stage.
        reason: stable code; empty when all is well.
        values: numbers that belong to the reason.
        before: value of the point before, None if unknown.
        read_back: what the device's state point showed, None if not read.
        number: of the command; 0 for one that is not audited.
        reference: which plan, whose order, which limit caused it.
        latency_s: from the command to this stage on the site's clock [s]; None if not measured.
    """

    command: Command
    instant_utc: datetime
    verdict: Verdict
    reason: str = ""
    values: dict[str, float | str] = field(default_factory=dict)
    before: float | None = None
    read_back: float | None = None
    number: int = 0
    reference: str = ""
    latency_s: float | None = None


@dataclass(frozen=True, slots=True)
class Expectation:
    """A command that has been verified, and whose effect on the plant is awaited; kept over restarts.

    Attributes:
        number: of the command in the audit.
        command: what was written.
        opened_utc: when it was written; only younger readings count.
        until_utc: the effect must show before.
        before: value of the point before the command.
        reference: what caused it.
        read_back: what the register showed as the command was proven; within the device's own dead band nothing is
            written, and it goes on holding that. None: not read.
    """

    number: int
    command: Command
    opened_utc: AwareDatetime
    until_utc: AwareDatetime
    before: float | None = None
    reference: str = ""
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
