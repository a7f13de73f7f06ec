"""Bugs planted in the agent, to see that `make crash` counts what they lose; the campaign alone starts such an agent.

The nursery (crash_nursery) applies one of these in the forked process:

- `none`: the agent as it is;
- `normal`: commits are not flushed one by one (synchronous=NORMAL): gone at a power cut, though promised;
- `puback`: a record counts as delivered when the broker has confirmed it;
- `written`: a record counts as delivered when it was written to the socket;
- `unsure`: a period in which the clock was not to be trusted is reported as not measured, though its frames are there.

Nothing of this is in the product: the process patches itself before the service is built. `unsure` shows in trials of
the clock alone.
"""

import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from edge_agent.clock_quality import ClockQuality
from edge_agent.rollup import Reading
from edge_agent.store import database
from edge_agent.store.rows import OutboxRow, Receipt
from edge_agent.store.store import Store
from edge_agent.uplink.sender import Sender
from edge_agent.uplink.transports.base import Lane


def not_flushed() -> None:
    """Every connection that writes is opened with synchronous=NORMAL."""
    honest = database.open_write

    def open_write(path: Path, steps: list[str], *, bytes_max: int) -> sqlite3.Connection:
        connection = honest(path, steps, bytes_max=bytes_max)
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    database.open_write = open_write


def _settle_at_send(*, before: bool) -> None:
    """Rows are settled around the sending, whatever the platform says."""
    honest = Sender._send

    async def settle(sender: Sender, rows: Sequence[OutboxRow]) -> None:
        receipts = [Receipt(row.epoch, 0, ((row.seq, row.seq),)) for row in rows]
        await sender._store.outbox_settle(sender._uplink, receipts, instant_utc=sender._now_utc())
        sender._window.proven([row.seq for row in rows], now_s=sender._elapsed_s())

    async def send(self: Sender, rows: Sequence[OutboxRow], lane: Lane) -> None:
        if before:
            await settle(self, rows)
        await honest(self, rows, lane)
        if not before:
            await settle(self, rows)

    Sender._send = send  # type: ignore[method-assign]


def puback() -> None:
    """`publish` returns with the broker's PUBACK: the row goes."""
    _settle_at_send(before=False)


def written() -> None:
    """The row goes as its bytes do."""
    _settle_at_send(before=True)


def unsure() -> None:
    """Nothing is made of readings whose instants nobody vouches for."""
    honest = Store.readings_between

    async def readings_between(self: Store, from_utc: datetime, to_utc: datetime) -> dict[str, list[Reading]]:
        if await self.clock_between(from_utc, to_utc) is not ClockQuality.SYNCHRONISED:
            return {}
        return await honest(self, from_utc, to_utc)

    Store.readings_between = readings_between  # type: ignore[method-assign]


BUGS: dict[str, Callable[[], None]] = {
    "none": lambda: None,
    "normal": not_flushed,
    "puback": puback,
    "written": written,
    "unsure": unsure,
}
