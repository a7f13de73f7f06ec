"""Drains one stream's outbox: sends, waits for the platform's receipts, sends again what got none.

Alarms and gap records go first, then the newest period, then the backlog from its oldest end, which is held back by a
bucket of tokens and never takes the last free place on the wire. Rows leave the outbox only when the store has taken
the platform's receipt. How many rows may wait for one grows while receipts come and falls back when they do not. An
outage is said once when it begins and once when it ends. What a platform asks for in between is served from the
archive.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import nullcontext
from datetime import datetime
from typing import Protocol

from edge_agent.errors import RetryUplink, StoreFault
from edge_agent.rollup import Period
from edge_agent.store.rows import OutboxRow, OutboxStatus
from edge_agent.uplink.pace import Bucket, Window
from edge_agent.uplink.record import Record
from edge_agent.uplink.swallowed import to_its_end
from edge_agent.uplink.transports.base import (
    BackfillAllowed,
    KeyChanged,
    Lane,
    Query,
    Receipt,
    ServerClock,
    SetPeriod,
    Transport,
)

LOG = logging.getLogger(__name__)

TAKEN_AHEAD = 6
"""Rows taken from the outbox at a time, in fillings of the wire: one flush of the disk marks many, and the wire does
not wait for it. What a dying process has taken counts as sent."""
LOOK_S = 0.5
"""The outbox is looked at this often [s, wall]; a receipt or a free place on the wire wakes the sender at once."""
BACKOFF_FIRST_S = 0.5
BACKOFF_S_MAX = 30.0
QUERY_COUNT_MAX = 16
"""Queries of the platform that wait; one more is passed over and logged."""
REPLIED_COUNT_MAX = 5000
"""Records in the answer to one query."""
PARKED_RECEIPTS_MAX = 1000
"""Receipts that wait for the store; a platform that says more is not heard until they are taken."""


class Outbox(Protocol):
    """What the sender needs of the store."""

    async def outbox_take(self, uplink: str, limit: int, *, skip: Collection[int], waiting_max: int) -> list[OutboxRow]:
        """Rows to be sent, noted as sent before they are."""
        ...

    async def outbox_settle(
        self, uplink: str, receipts: Sequence[Receipt], *, instant_utc: datetime
    ) -> list[list[int]]:
        """Takes receipts; returns for each the numbers that need no further sending."""
        ...

    async def outbox_fetched(self, uplink: str, periods: Sequence[Period], *, instant_utc: datetime) -> int:
        """Notes that the platform has asked for periods and was served."""
        ...

    async def outbox_retry_refused(self, uplink: str) -> int:
        """Puts what the platform refused back into the queue."""
        ...

    async def outbox_shelve(self, uplink: str, seqs: Collection[int]) -> None:
        """Takes out what the protocol has no words for."""
        ...

    async def outbox_status(self, uplink: str) -> OutboxStatus:
        """How far the uplink is."""
        ...


class Records(Protocol):
    """Where records of any span come from."""

    def records(self, stream: str, from_utc: datetime | None, to_utc: datetime | None) -> AsyncIterator[list[Record]]:
        """Records in portions, oldest first."""
        ...


class Sender:
    """One stream's delivery, for ever."""

    def __init__(
        self,
        *,
        uplink: str,
        store: Outbox,
        transport: Transport,
        archive: Records,
        resend_s: float,
        backfill_per_s: float,
        now_utc: Callable[[], datetime],
        elapsed_s: Callable[[], float],
        jitter: Callable[[], float] = random.random,
        set_period: Callable[[int], Awaitable[bool]] | None = None,
        key_changed: Callable[[KeyChanged], Awaitable[None]] | None = None,
    ) -> None:
        """Wires the sender.

        Args:
            uplink: name of the stream.
            store: the outbox.
            transport: the way to the platform.
            archive: serves the platform's queries.
            resend_s: without a receipt for this long, a row is sent again [s, wall].
            backfill_per_s: most rows of the backlog a second [1/s, wall].
            now_utc: the site's clock; stamps receipts.
            elapsed_s: the machine's monotonic clock [s].
            jitter: a number in [0, 1), anew each time: spreads the reconnecting of many plants.
            set_period: gives the stream periods of another length [min], or does not; None: never does.
            key_changed: tells the operator that the platform has set a key; the transport has kept it already.
        """
        self._uplink = uplink
        self._store = store
        self._transport = transport
        self._archive = archive
        self._now_utc = now_utc
        self._elapsed_s = elapsed_s
        self._jitter = jitter
        self._set_period_hook = set_period
        self._key_changed = key_changed
        self._window = Window(resend_s=resend_s)
        self._bucket = Bucket(backfill_per_s, now_s=elapsed_s())
        self._taken = 0
        self._taken_max = 1
        self._queued: set[int] = set()
        """Numbers of rows that are taken and wait for their turn on the wire."""
        self._wire = self._backlog_places = asyncio.Semaphore(1)
        self._wake = asyncio.Event()
        self._now = asyncio.Event()
        self._receipts: asyncio.Queue[Receipt] = asyncio.Queue(PARKED_RECEIPTS_MAX)
        self._queries: asyncio.Queue[Query] = asyncio.Queue(QUERY_COUNT_MAX)
        self._down_since_s: float | None = None
        self._heard = False
        self._backfill_allowed = True
        self.connected = False
        self.fault = ""
        self.session_count = 0
        self.server_clock_off_s: float | None = None

    @property
    def down_s(self) -> float:
        """For how long there has been no connection [s, wall]; 0 while there is one."""
        return 0.0 if self._down_since_s is None else self._elapsed_s() - self._down_since_s

    @property
    def unproven(self) -> Collection[int]:
        """Numbers of rows that were sent and wait for a receipt."""
        return self._window.waiting

    async def status(self) -> OutboxStatus:
        """Due, acknowledged, backlog."""
        return await self._store.outbox_status(self._uplink)

    async def run(self) -> None:
        """Sends for ever; ends only by cancellation."""
        backoff_s = BACKOFF_FIRST_S
        while True:
            self._heard = False
            try:
                await to_its_end(self._session())
            except* (RetryUplink, StoreFault) as faults:
                self._went_down(_first(faults))
            except* Exception as faults:
                # What a platform says must never end the service: a session that breaks on it is a lost session.
                LOG.exception("uplink session broke uplink=%s", self._uplink)
                fault = _first(faults)
                self._went_down(RetryUplink(f"{type(fault).__name__}: {fault}"))
            self.connected = False
            if self._heard:
                backoff_s = BACKOFF_FIRST_S  # the session delivered: this is a new outage
            if await self._asked_within(backoff_s * (0.5 + 0.5 * self._jitter())):
                backoff_s = BACKOFF_FIRST_S
            else:
                backoff_s = min(2 * backoff_s, BACKOFF_S_MAX)

    async def retry(self) -> int:
        """Connects at once if it is not connected, and puts back what the platform refused; returns how many."""
        count = await self._store.outbox_retry_refused(self._uplink)
        self._now.set()
        self._wake.set()
        return count

    async def _asked_within(self, wait_s: float) -> bool:
        """Waits; True when somebody asked to try again at once."""
        self._now.clear()
        try:
            async with asyncio.timeout(wait_s):
                await self._now.wait()
        except TimeoutError:
            return False
        return True

    def _went_down(self, fault: BaseException) -> None:
        self.fault = str(fault)
        if self._down_since_s is None:
            self._down_since_s = self._elapsed_s()
            LOG.warning("uplink down, records stay in the outbox uplink=%s reason=%s", self._uplink, fault)

    def _came_up(self) -> None:
        self.connected = True
        self.fault = ""
        self.session_count += 1
        if self._down_since_s is not None:
            LOG.warning(
                "uplink works again uplink=%s duration_s=%.0f", self._uplink, self._elapsed_s() - self._down_since_s
            )
            self._down_since_s = None
        else:
            LOG.info("uplink connected uplink=%s", self._uplink)

    async def _session(self) -> None:
        async with self._transport.session():
            self._came_up()
            traits = self._transport.traits
            self._taken = 0
            self._queued.clear()
            # Where the order of answers counts, nothing is taken ahead.
            ahead = TAKEN_AHEAD if traits.inflight_count_max > 1 else 1
            self._taken_max = ahead * traits.inflight_count_max
            self._wire = asyncio.Semaphore(traits.inflight_count_max)
            self._backlog_places = asyncio.Semaphore(max(1, traits.inflight_count_max - 1))
            self._backfill_allowed = not traits.asks_before_backfill
            if not traits.receipts_outlive_session:
                self._window.forget()  # whatever had no receipt when the last connection ended is sent again
            async with asyncio.TaskGroup() as group:
                for name, work in (
                    ("receive", self._receive()),
                    ("take", self._take()),
                    ("serve", self._serve()),
                    ("fill", self._fill(group)),
                ):
                    group.create_task(work, name=f"uplink {self._uplink} {name}")

    # ------------------------------------------------------------------------------------------ what the platform says
    async def _receive(self) -> None:
        """Hears the platform; its error on a lost connection ends the session and frees every send that waits."""
        while True:
            event = await self._transport.receive()
            match event:
                case Receipt():
                    await self._receipts.put(event)
                case Query():
                    try:
                        self._queries.put_nowait(event)
                    except asyncio.QueueFull:
                        LOG.warning("too many queries wait, one passed over uplink=%s", self._uplink)
                case SetPeriod():
                    accepted = await self._set_period(event.period_min)
                    LOG.warning(
                        "platform wants a period uplink=%s period_min=%d accepted=%s",
                        self._uplink,
                        event.period_min,
                        accepted,
                    )
                    await self._transport.confirm(event, accepted=accepted)
                case ServerClock():
                    self.server_clock_off_s = (event.server_utc - self._now_utc()).total_seconds()
                case KeyChanged():
                    LOG.warning(
                        "platform has set a key uplink=%s kind=%s in_use=%s fault=%s",
                        self._uplink,
                        event.kind,
                        event.in_use,
                        event.fault or "-",
                    )
                    if self._key_changed is not None:
                        await self._key_changed(event)
                case BackfillAllowed():
                    self._backfill_allowed = event.allowed
                    self._wake.set()

    async def _set_period(self, period_min: int) -> bool:
        return False if self._set_period_hook is None else await self._set_period_hook(period_min)

    async def _take(self) -> None:
        """Commits receipts, as many at once as have come."""
        while True:
            waiting = [await self._receipts.get()]
            while not self._receipts.empty():
                waiting.append(self._receipts.get_nowait())
            settled = await self._store.outbox_settle(self._uplink, waiting, instant_utc=self._now_utc())
            for receipt, seqs in zip(waiting, settled, strict=True):
                for seq, reason in receipt.refused:
                    if seq in seqs:
                        LOG.error("platform refuses a record uplink=%s seq=%d reason=%s", self._uplink, seq, reason)
                # Foreign, unbelievable or a repeat: what is on its way stays on its way.
                self._heard |= bool(seqs)
                self._window.proven(seqs, now_s=self._elapsed_s())
            self._wake.set()

    async def _serve(self) -> None:
        """Answers queries one after the other, whatever the outbox holds."""
        while True:
            query = await self._queries.get()
            LOG.info("platform asks for a span uplink=%s from=%s to=%s", self._uplink, query.from_utc, query.to_utc)
            replied: list[Period] = []
            async for portion in self._archive.records(self._uplink, query.from_utc, query.to_utc):
                await self._transport.reply(query, portion, last=False)
                replied += [record.period for record in portion]
                if len(replied) > REPLIED_COUNT_MAX:
                    break  # a question for years; what follows may be asked for again
            await self._transport.reply(query, (), last=True)
            # The transport has returned: it knows that the platform has read the answer, or cannot know better.
            known = await self._store.outbox_fetched(self._uplink, replied, instant_utc=self._now_utc())
            LOG.info("span served uplink=%s records=%d better_known=%d", self._uplink, len(replied), known)

    # ---------------------------------------------------------------------------------------------------- what is sent
    async def _fill(self, group: asyncio.TaskGroup) -> None:
        """Keeps the wire busy: rows are taken some ahead, and many at once, so that it never waits for a flush."""
        while True:
            self._wake.clear()
            now_s = self._elapsed_s()
            self._window.expire(now_s=now_s)
            free = self._taken_max - self._taken
            # What is live never waits until enough of the backlog has gone.
            await self._refill(group, free=max(1, free), now_s=now_s, backlog=2 * free >= self._taken_max)
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._wake.wait()
            except TimeoutError:
                pass  # time to look again

    async def _refill(self, group: asyncio.TaskGroup, *, free: int, now_s: float, backlog: bool) -> None:
        traits = self._transport.traits
        # One place on the wire and some of the window stay free for what is live.
        room = self._window.room - len(self._queued) - (not self._window.waiting)
        waiting_max = min(max(1, free - 1) * traits.batch_count_max, room, self._bucket.tokens(now_s=now_s))
        rows = await self._store.outbox_take(
            self._uplink,
            free * traits.batch_count_max,
            skip={*self._window.waiting, *self._window.resting(now_s=now_s), *self._queued},
            waiting_max=max(0, waiting_max) if backlog and self._backfill_allowed else 0,
        )
        says = {"record": True, "gap": traits.carries_gaps, "alarm": traits.carries_alarms}
        if unsayable := [row.seq for row in rows if not says[row.kind]]:
            await self._store.outbox_shelve(self._uplink, unsayable)
            rows = [row for row in rows if row.seq not in unsayable]
        self._bucket.take(sum(not row.live for row in rows))
        self._queued.update(row.seq for row in rows)
        for batch, lane in _batches(rows, count_max=traits.batch_count_max):
            self._taken += 1
            group.create_task(self._send(batch, lane), name=f"uplink {self._uplink} send {batch[0].seq}")

    async def _send(self, rows: Sequence[OutboxRow], lane: Lane) -> None:
        seqs = [row.seq for row in rows]
        try:
            # One place on the wire is kept for what is live.
            async with nullcontext() if lane is Lane.LIVE else self._backlog_places, self._wire:
                self._queued.difference_update(seqs)
                self._window.sent(seqs, now_s=self._elapsed_s())  # from now on a receipt may come
                await self._transport.send(rows, lane)
        except BaseException:
            # Unknown whether it left: the next session sends it at once instead of waiting.
            self._window.doubtful(seqs)
            raise
        finally:
            self._queued.difference_update(seqs)
            self._taken -= 1
            if 2 * self._taken <= self._taken_max:
                self._wake.set()


def _batches(rows: Sequence[OutboxRow], *, count_max: int) -> list[tuple[list[OutboxRow], Lane]]:
    """Rows of one lane together, at most so many; what is live always alone, so that nothing holds it up."""
    found: list[tuple[list[OutboxRow], Lane]] = []
    for row in rows:
        lane = Lane.LIVE if row.live else Lane.RECONCILE if row.again else Lane.BACKFILL
        if found and lane is not Lane.LIVE and found[-1][1] is lane and len(found[-1][0]) < count_max:
            found[-1][0].append(row)
        else:
            found.append(([row], lane))
    return found


def _first(faults: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first plain error in a group."""
    fault: BaseException = faults
    while isinstance(fault, BaseExceptionGroup):
        fault = fault.exceptions[0]
    return fault
