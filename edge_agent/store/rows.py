"""What goes into the store and comes out of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

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
        made_utc: the instant that the bytes carry as that of their making.
        codes: what the record reports, in its order.
        gaps: places in `codes` without a valid value, by cause.
        corrects: it replaces an earlier record of the same period.
    """

    uplink: str
    encode: Callable[[str, int], bytes]
    made_utc: datetime | None = None
    codes: tuple[str, ...] = ()
    gaps: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    corrects: bool = False


class Fate(StrEnum):
    """What has become of a number that was given out."""

    STORED = "stored"
    """Waits; never sent."""
    SENT = "sent"
    """Was written to a connection; nothing is proven."""
    CONSUMED = "consumed"
    """Delivered, unacknowledged: the platform's side has read it; whether it has stored it is not known."""
    FETCHED = "fetched"
    """The platform has asked for this span itself, and was served."""
    ACKNOWLEDGED = "acknowledged"
    """The platform says that it has stored it."""
    REFUSED = "refused"
    """The platform says that it will not take it; kept in quarantine."""
    EVICTED = "evicted"
    """Dropped undelivered for want of space; a gap record says so."""
    REPLACED = "replaced"
    """A later record of the same period corrects it: that one counts."""


class Proof(StrEnum):
    """How much a receipt proves."""

    ACKNOWLEDGED = "acknowledged"
    """The platform says that it has stored the record."""
    CONSUMED = "consumed"
    """The platform's side has read the bytes (a later heartbeat on the same connection was answered); whether it has
    stored them is not known. Such a record is "delivered, unacknowledged"."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the platform says about rows that were sent.

    Attributes:
        epoch: of which numbering.
        hwm: every number up to this one; 0 names none.
        ranges: inclusive ranges above it.
        refused: numbers it will never take, each with its reason.
        proof: what `hwm` and `ranges` prove.
    """

    epoch: str
    hwm: int = 0
    ranges: tuple[tuple[int, int], ...] = ()
    refused: tuple[tuple[int, str], ...] = ()
    proof: Proof = Proof.ACKNOWLEDGED


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that will never be delivered.

    Attributes:
        points: of which points; None: of all.
        from_utc: first instant.
        to_utc: first instant that is not concerned.
        count: how many records or frames; 0: not known.
        reason: why, e.g. `quota`, `damaged`.
    """

    points: tuple[str, ...] | None
    from_utc: datetime
    to_utc: datetime
    count: int
    reason: str


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
        kind: `record`, `gap` (what will never come) or `alarm`.
        live: it leaves on time: the newest period, never sent, or an alarm.
        again: it was delivered before and goes again, to be proven.
    """

    uplink: str
    epoch: str
    seq: int
    start_utc: datetime
    period_min: int
    payload: bytes
    sent_count: int
    kind: str = "record"
    live: bool = False
    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What became of one number.

    Attributes:
        uplink: name of the stream.
        epoch: birth mark of the numbering.
        seq: the number.
        kind: `record`, `gap` or `alarm`.
        start_utc: start of the period.
        period_min: its length [min].
        made_utc: the instant that the bytes carry as that of their making; 1970 when an older release made them.
        digest: first bytes of the SHA-256 of the payload; empty when an older release made it.
        codes: what the record reports, in its order.
        gaps: places in `codes` without a valid value, by cause.
        fate: how far it has come.
        sent_count: how often it was sent.
        backfilled: its first sending was not on time.
        settled_utc: when the last proof was taken.
        reason: why it was refused or dropped.
    """

    uplink: str
    epoch: str
    seq: int
    kind: str
    start_utc: datetime
    period_min: int
    made_utc: datetime
    digest: bytes
    codes: tuple[str, ...]
    gaps: Mapping[str, tuple[int, ...]]
    fate: Fate
    sent_count: int
    backfilled: bool
    settled_utc: datetime | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class ChainedDay:
    """A day's completeness as it stands in the chain.

    Attributes:
        number: place in the chain.
        day: of the site's calendar, ISO.
        record: what was due and what became of it.
        hash: of the chain up to here, hexadecimal.
    """

    number: int
    day: str
    record: Mapping[str, object]
    hash: str


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
        unacknowledged: delivered, but nothing says that they were stored.
        fetched: served to a query of the platform.
        evicted: dropped undelivered for want of space; declared in gap records.
        evicted_lately: of these, within the last week of records.
        replaced: superseded by a correcting record of the same period.
        refused_reason: the platform's word on the first that it refuses.
        backlog_bytes: what the backlog takes on the disk [bytes].
    """

    backlog: int
    oldest_utc: datetime | None
    last_ack_utc: datetime | None
    due: int
    acknowledged: int
    resent: int
    refused: int
    unacknowledged: int = 0
    fetched: int = 0
    evicted: int = 0
    backlog_bytes: int = 0
    evicted_lately: int = 0
    replaced: int = 0
    refused_reason: str = ""


@dataclass(frozen=True, slots=True)
class StoreUsage:
    """How much room there is, and what was done about it.

    Attributes:
        used_bytes: of the quota.
        quota_bytes: most disk space.
        full_ratio: share of its own half that the fuller of state.db and frames has used.
        disk_free_bytes: free on the disk, whoever may use it.
        ballast: whether the ballast is laid.
        evicted: things removed before their time since the service started.
        written_bytes: written to the disk on this UTC day by the service.
        written_before_bytes: on the day before; None: not known.
        write_budget_bytes: a day.
        damaged: files that were set aside and are still there.
    """

    used_bytes: int
    quota_bytes: int
    full_ratio: float
    disk_free_bytes: int
    ballast: bool
    evicted: int
    written_bytes: int
    written_before_bytes: int | None
    write_budget_bytes: int
    damaged: tuple[str, ...]


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
