"""Drains one uplink's outbox: sends, waits for the platform's acknowledgement, sends again what got none.

At most a window of rows is on its way. The newest period goes first, then the backlog from its oldest end. Rows leave
the outbox only when the store has taken the platform's acknowledgement. An outage is said once when it begins and once
when it ends.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Protocol

from edge_agent.errors import RetryUplink, StoreFault
from edge_agent.store.rows import OutboxRow, OutboxStatus
from edge_agent.uplink.transports.base import Receipt, Transport

LOG = logging.getLogger(__name__)

WINDOW_COUNT_MAX = 20
"""Rows on their way without an acknowledgement; on a real link one at a time would be bound by the round trip."""
LOOK_S = 0.5
"""The outbox is looked at this often [s, wall]; an acknowledgement wakes the sender at once."""
BACKOFF_FIRST_S = 0.5
BACKOFF_S_MAX = 30.0


class Outbox(Protocol):
    """What the sender needs of the store."""

    async def outbox_due(
        self, uplink: str, limit: int, *, skip: Collection[int] = (), live_first: bool = False
    ) -> list[OutboxRow]:
        """Rows to be sent."""
        ...

    async def outbox_mark_sent(self, uplink: str, seqs: Collection[int]) -> list[int]:
        """Notes rows as sent, before they are; returns those that still wait."""
        ...

    async def outbox_acknowledge(
        self, uplink: str, *, epoch: str, hwm: int, ranges: Sequence[tuple[int, int]], instant_utc: datetime
    ) -> int:
        """Removes what the platform holds."""
        ...

    async def outbox_refuse(self, uplink: str, *, epoch: str, seq: int, reason: str) -> bool:
        """Keeps a refused row apart."""
        ...

    async def outbox_status(self, uplink: str) -> OutboxStatus:
        """How far the uplink is."""
        ...


class Sender:
    """One uplink's delivery, for ever."""

    def __init__(
        self,
        *,
        uplink: str,
        store: Outbox,
        transport: Transport,
        resend_s: float,
        now_utc: Callable[[], datetime],
        elapsed_s: Callable[[], float],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Wires the sender.

        Args:
            uplink: name of the uplink.
            store: the outbox.
            transport: the way to the platform.
            resend_s: without an acknowledgement for this long, a row is sent again [s, wall].
            now_utc: the site's clock; stamps acknowledgements.
            elapsed_s: the machine's monotonic clock [s].
            jitter: a number in [0, 1), anew each time: spreads the reconnecting of many plants.
        """
        self._uplink = uplink
        self._store = store
        self._transport = transport
        self._resend_s = resend_s
        self._now_utc = now_utc
        self._elapsed_s = elapsed_s
        self._jitter = jitter
        self._sent_s: dict[int, float] = {}
        self._wake = asyncio.Event()
        self._down_since_s: float | None = None
        self._heard = False
        self.connected = False
        self.fault = ""
        self.session_count = 0

    async def status(self) -> OutboxStatus:
        """Due, acknowledged, backlog."""
        return await self._store.outbox_status(self._uplink)

    async def run(self) -> None:
        """Sends for ever; ends only by cancellation."""
        backoff_s = BACKOFF_FIRST_S
        while True:
            self._heard = False
            try:
                await self._session()
            except* (RetryUplink, StoreFault) as faults:
                self._went_down(_first(faults))
            self.connected = False
            if self._heard:
                backoff_s = BACKOFF_FIRST_S  # the session delivered: this is a new outage
            await asyncio.sleep(backoff_s * (0.5 + 0.5 * self._jitter()))
            backoff_s = min(2 * backoff_s, BACKOFF_S_MAX)

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
            async with asyncio.TaskGroup() as group:
                group.create_task(self._receive(), name=f"uplink {self._uplink} receive")
                group.create_task(self._fill(group), name=f"uplink {self._uplink} fill")

    async def _receive(self) -> None:
        """Takes receipts; its error on a lost connection ends the session and frees every send that waits."""
        while True:
            receipt = await self._transport.receive()
            await self._take(receipt)
            self._wake.set()

    async def _take(self, receipt: Receipt) -> None:
        now_utc = self._now_utc()
        gone = await self._store.outbox_acknowledge(
            self._uplink, epoch=receipt.epoch, hwm=receipt.hwm, ranges=receipt.ranges, instant_utc=now_utc
        )
        for seq, reason in receipt.refused:
            if await self._store.outbox_refuse(self._uplink, epoch=receipt.epoch, seq=seq, reason=reason):
                LOG.error("platform refuses a record uplink=%s seq=%d reason=%s", self._uplink, seq, reason)
                self._sent_s.pop(seq, None)
        if not gone:
            return  # foreign, unbelievable or a repeat: what is on its way stays on its way
        self._heard = True
        for seq in list(self._sent_s):
            if seq <= receipt.hwm or any(low <= seq <= high for low, high in receipt.ranges):
                del self._sent_s[seq]

    async def _fill(self, group: asyncio.TaskGroup) -> None:
        """Keeps the window full."""
        while True:
            self._wake.clear()
            now_s = self._elapsed_s()
            for seq, sent_s in list(self._sent_s.items()):
                if now_s - sent_s >= self._resend_s:
                    del self._sent_s[seq]
            rows = await self._store.outbox_due(
                self._uplink, WINDOW_COUNT_MAX - len(self._sent_s), skip=self._sent_s.keys(), live_first=True
            )
            if rows:
                waiting = await self._store.outbox_mark_sent(self._uplink, [row.seq for row in rows])
                for row in rows:
                    if row.seq not in waiting:
                        continue  # acknowledged since we looked
                    self._sent_s[row.seq] = self._elapsed_s()
                    group.create_task(self._send(row), name=f"uplink {self._uplink} send {row.seq}")
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._wake.wait()
            except TimeoutError:
                pass  # time to look again

    async def _send(self, row: OutboxRow) -> None:
        try:
            await self._transport.send(row)
        except BaseException:
            # Unknown whether it left: the next session sends it at once instead of waiting.
            self._sent_s.pop(row.seq, None)
            raise


def _first(faults: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first plain error in a group."""
    fault: BaseException = faults
    while isinstance(fault, BaseExceptionGroup):
        fault = fault.exceptions[0]
    return fault
