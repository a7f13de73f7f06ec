"""What the sender needs of a way to the platform, and what a platform may say: receipts and requests.

A transport knows its protocol and nothing else: no outbox, no archive, no clock policy. It hands over rows, hears the
platform, and passes on what it hears as typed events. Every row's payload is the record document of
`edge_agent.uplink.record` (`decode` reads it): a transport sends these bytes as they stand, or renders them in its own
dialect, always the same way, so that a repeat carries the same content.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from edge_agent.store.rows import OutboxRow, Proof, Receipt
from edge_agent.uplink.record import Record

__all__ = [
    "BackfillAllowed",
    "Event",
    "KeyChanged",
    "Lane",
    "Memory",
    "OutboxRow",
    "Proof",
    "Query",
    "Receipt",
    "ServerClock",
    "SetPeriod",
    "Traits",
    "Transport",
]


class Lane(StrEnum):
    """Why a row travels now; a dialect may have a packet of its own for each."""

    LIVE = "live"
    """Its period has just ended, or it is an alarm."""
    BACKFILL = "backfill"
    """It waited: an outage, or no receipt in time."""
    RECONCILE = "reconcile"
    """It was delivered without an acknowledgement and goes again, to be proven."""


@dataclass(frozen=True, slots=True)
class Query:
    """The platform wants the records of the periods that begin in [from, to); None: its request names no bound.

    Attributes:
        from_utc: first start.
        to_utc: the first start no longer wanted.
        reference: what the answer must name; opaque to the sender.
    """

    from_utc: datetime | None
    to_utc: datetime | None
    reference: bytes = b""


@dataclass(frozen=True, slots=True)
class SetPeriod:
    """The platform wants another length of the period [min]; to be answered with `Transport.confirm`."""

    period_min: int
    reference: bytes = b""


@dataclass(frozen=True, slots=True)
class ServerClock:
    """The platform has said what time it is there: stored and shown, never obeyed here."""

    server_utc: datetime


@dataclass(frozen=True, slots=True)
class KeyChanged:
    """The platform has set a key; the transport has kept it already.

    Attributes:
        kind: which one, e.g. `md5`, `aes`, `iv`.
        in_use: False: kept for the next login. True: the login with it worked, or failed and the old one is back.
        fault: why it is not used; empty: nothing is wrong.
    """

    kind: str
    in_use: bool = False
    fault: str = ""


@dataclass(frozen=True, slots=True)
class BackfillAllowed:
    """The platform allows or forbids sending history; a dialect without that question never says so."""

    allowed: bool


Event = Receipt | Query | SetPeriod | ServerClock | KeyChanged | BackfillAllowed


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What a dialect can do.

    Attributes:
        acknowledges: it has an acknowledgement that says "stored", at least for back-fill and reconciling.
        receipts_outlive_session: a receipt for a row may come over a later connection. False: whatever was sent and
            has no receipt when the connection ends is sent again on the next one.
        asks_before_backfill: back-fill waits for `BackfillAllowed(True)` in each session.
        carries_gaps: it can say that a record will never come (rows of kind `gap`).
        carries_alarms: it can carry rows of kind `alarm`.
        batch_count_max: most rows in one call of `send`.
        inflight_count_max: most calls of `send` at a time.
    """

    acknowledges: bool = True
    receipts_outlive_session: bool = False
    asks_before_backfill: bool = False
    carries_gaps: bool = False
    carries_alarms: bool = False
    batch_count_max: int = 1
    inflight_count_max: int = 1


class Memory(Protocol):
    """Where a transport keeps what must survive a restart, such as keys that the platform has set."""

    async def get(self, key: str) -> str | None:
        """The text under a key."""
        ...

    async def put(self, key: str, text: str) -> None:
        """Keeps a text under a key; committed when it returns."""
        ...


class Transport(Protocol):
    """A way to one platform. Sessions follow one another; there is never more than one at a time."""

    @property
    def traits(self) -> Traits:
        """What it can do."""
        ...

    def session(self) -> AbstractAsyncContextManager[None]:
        """A fresh connection with login done, closed at the end.

        Entering it raises RetryUplink when nobody is there or the login fails; the message says why, once, in words
        that an operator understands.
        """
        ...

    async def send(self, rows: Sequence[OutboxRow], lane: Lane) -> None:
        """Hands rows to the connection; returning proves nothing about delivery.

        Args:
            rows: at most `traits.batch_count_max`, oldest first, of kinds that the traits allow.
            lane: why they travel.

        Raises:
            RetryUplink: they may or may not have left.
        """
        ...

    async def receive(self) -> Event:
        """Waits for what the platform says next. It is always being awaited while a session lasts.

        Raises:
            RetryUplink: the connection is gone; this ends the session.
        """
        ...

    async def reply(self, query: Query, records: Sequence[Record], *, last: bool) -> None:
        """Answers a query with records from the archive.

        Args:
            query: the request.
            records: a part of the answer, oldest first; may be empty when `last`.
            last: nothing more follows. With it the call returns when the platform has read the whole answer, where the
                dialect can tell: what was delivered without an acknowledgement counts as proven then.

        Raises:
            RetryUplink: they may or may not have left.
        """
        ...

    async def confirm(self, request: SetPeriod, *, accepted: bool) -> None:
        """Tells the platform whether its wish is fulfilled.

        Raises:
            RetryUplink: the answer may or may not have left.
        """
        ...
