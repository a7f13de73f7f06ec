"""What goes into the store and comes out of it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from drivers.sample import Sample


@dataclass(frozen=True, slots=True)
class StoredSample:
    """A sample as it was accepted.

    Attributes:
        frame: sequence number of the frame that holds it.
        sample: the sample.
    """

    frame: int
    sample: Sample


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """A record that is to be delivered to one uplink.

    Attributes:
        uplink: name of the uplink.
        encode: makes the bytes from epoch and sequence number, which the store gives in the same transaction. Called
            once: the bytes never change afterwards.
    """

    uplink: str
    encode: Callable[[str, int], bytes]


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A record that waits for its acknowledgement.

    Attributes:
        uplink: name of the uplink.
        epoch: birth mark of the numbering.
        seq: number within the epoch, without gaps.
        start_utc: start of the period.
        period_min: length of the period [min].
        payload: the bytes, fixed when the period was closed.
        sent_count: how often it has been sent.
    """

    uplink: str
    epoch: str
    seq: int
    start_utc: datetime
    period_min: int
    payload: bytes
    sent_count: int


@dataclass(frozen=True, slots=True)
class OutboxStatus:
    """How far one uplink is.

    Attributes:
        backlog: rows without an acknowledgement.
        oldest_utc: start of the oldest period among them.
        last_ack_utc: when the last acknowledgement was taken, on the site's clock.
        due: records created since the numbering began.
        acknowledged: records acknowledged since then.
        resent: how often a row was sent again.
        refused: rows that the platform refuses; they stay in the backlog.
    """

    backlog: int
    oldest_utc: datetime | None
    last_ack_utc: datetime | None
    due: int
    acknowledged: int
    resent: int
    refused: int


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Something that was commanded, and what came of it.

    Attributes:
        instant_utc: when.
        actor: who: a person's name, `plan`, `guard` ...
        cause: why.
        point: what was to change.
        old: value before.
        wanted: value wanted.
        read_back: value read after writing.
        outcome: the stage: `issued`, `verified`, `refused`, `effected` ...
        reason: of the outcome.
        latency_s: from the command to this stage [s].
        number: of the command that entries of several stages belong to; None for anything else.
    """

    instant_utc: datetime
    actor: str
    cause: str
    point: str
    old: float | str | None
    wanted: float | str | None
    read_back: float | str | None
    outcome: str
    reason: str
    latency_s: float | None
    number: int | None = None
