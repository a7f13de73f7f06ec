"""The sender's own rules, on a transport that only writes down what it is given."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge_agent.clock import elapsed_s
from edge_agent.errors import RetryUplink
from edge_agent.rollup import Period
from edge_agent.settings.model import UplinkFile
from edge_agent.store.rows import Fate, Gap, OutboxEntry, OutboxRow
from edge_agent.store.store import Store
from edge_agent.uplink import sender as sender_module
from edge_agent.uplink.archive import Archive
from edge_agent.uplink.pace import WINDOW_COUNT_FIRST
from edge_agent.uplink.record import Record
from edge_agent.uplink.sender import Sender
from edge_agent.uplink.transports.base import BackfillAllowed, Event, Lane, Proof, Query, Receipt, SetPeriod, Traits

START = datetime(2026, 1, 15, 0, 30, tzinfo=UTC)
UPLINK = "city"


class Notebook:
    """A transport; the test answers by hand."""

    def __init__(self) -> None:
        self.sent: asyncio.Queue[OutboxRow] = asyncio.Queue()
        self.receipts: asyncio.Queue[Event | None] = asyncio.Queue()
        self.sessions = 0
        self.traits = Traits(receipts_outlive_session=True, inflight_count_max=20)
        self.lanes: dict[int, Lane] = {}
        self.wire_free = asyncio.Event()
        self.wire_free.set()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[None]:
        self.sessions += 1
        yield

    async def send(self, rows: Sequence[OutboxRow], lane: Lane) -> None:
        for row in rows:
            self.sent.put_nowait(row)
            self.lanes[row.seq] = lane
        await self.wire_free.wait()

    async def receive(self) -> Event:
        receipt = await self.receipts.get()
        if receipt is None:
            raise RetryUplink("cut")
        return receipt

    async def reply(self, query: Query, records: Sequence[Record], *, last: bool) -> None:
        raise NotImplementedError

    async def confirm(self, request: SetPeriod, *, accepted: bool) -> None:
        raise NotImplementedError

    async def next_rows(self, count: int) -> list[OutboxRow]:
        async with asyncio.timeout(20):
            return [await self.sent.get() for _ in range(count)]


class Desk:
    """A sender at work on a store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.transport = Notebook()
        self.period = Period(START, 15)
        self.now_s = elapsed_s()
        self.sender = Sender(
            uplink=UPLINK,
            store=store,
            transport=self.transport,
            archive=Archive(store, UplinkFile(), plant="bj"),
            resend_s=30.0,
            backfill_per_s=10_000.0,
            now_utc=lambda: START,
            elapsed_s=lambda: self.now_s,
        )

    async def period_ends(self, count: int = 1) -> None:
        for _ in range(count):
            await self.store.close_period(self.period, [], [OutboxEntry(UPLINK, lambda e, s: f"{e} {s}".encode())])
            self.period = self.period.next()

    async def looks_again(self) -> None:
        """Waits until the sender has looked at the outbox twice more: what it would send is sent."""
        looks = 0
        seen = asyncio.Event()
        real = self.store.outbox_take

        async def counted(*arguments: object, **named: object) -> list[OutboxRow]:
            nonlocal looks
            rows = await real(*arguments, **named)  # type: ignore[arg-type] # passed on as it came
            looks += 1
            if looks > 1:
                seen.set()
            return rows

        self.store.outbox_take = counted  # type: ignore[method-assign] # watched for a moment
        async with asyncio.timeout(20):
            await seen.wait()
        self.store.outbox_take = real  # type: ignore[method-assign] # as it was


@pytest.fixture
def traits() -> Traits:
    return Traits(receipts_outlive_session=True, inflight_count_max=20)


@pytest.fixture
async def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, traits: Traits) -> AsyncIterator[Desk]:
    monkeypatch.setattr(sender_module, "LOOK_S", 0.01)
    monkeypatch.setattr(sender_module, "BACKOFF_FIRST_S", 0.01)
    store = await Store.open(tmp_path, quota_mb=64, raw_days=90)
    place = Desk(store)
    place.transport.traits = traits
    await place.period_ends(30)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(place.sender.run())
        yield place
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    await store.close()


def numbers(rows: list[OutboxRow]) -> list[int]:
    return [row.seq for row in rows]


async def test_the_newest_goes_first_then_the_oldest_and_the_window_holds(desk: Desk) -> None:
    rows = await desk.transport.next_rows(WINDOW_COUNT_FIRST)
    assert numbers(rows) == [30, *range(1, WINDOW_COUNT_FIRST)]
    await desk.looks_again()
    assert desk.transport.sent.empty()
    await desk.period_ends()
    desk.transport.receipts.put_nowait(Receipt(rows[0].epoch, 2, ((30, 30),)))
    # Three receipts: three places and a window that is wider by three.
    assert numbers(await desk.transport.next_rows(6)) == [31, 20, 21, 22, 23, 24]
    assert [desk.transport.lanes[seq] for seq in (30, 1, 31, 20)] == [Lane.LIVE, Lane.BACKFILL] * 2
    await desk.looks_again()
    # One place more when the live row left after the receipt, not before: it counts among those that wait.
    rest = [desk.transport.sent.get_nowait().seq for _ in range(desk.transport.sent.qsize())]
    assert rest in ([], [25])


async def test_without_an_acknowledgement_the_same_bytes_go_again(desk: Desk) -> None:
    first = {row.seq: row.payload for row in await desk.transport.next_rows(WINDOW_COUNT_FIRST)}
    desk.now_s += 29.0
    await desk.looks_again()
    assert desk.transport.sent.empty()
    desk.now_s += 2.0
    again = await desk.transport.next_rows(WINDOW_COUNT_FIRST)
    known = [row for row in again if row.seq in first]
    assert len(known) >= WINDOW_COUNT_FIRST - 1
    assert all(first[row.seq] == row.payload for row in known)
    await desk.looks_again()
    assert (await desk.sender.status()).resent == len(known)


async def test_a_cut_does_not_repeat_what_may_still_be_acknowledged(desk: Desk) -> None:
    rows = await desk.transport.next_rows(WINDOW_COUNT_FIRST)
    desk.transport.receipts.put_nowait(None)
    await desk.looks_again()
    assert desk.transport.sessions == 2
    assert desk.transport.sent.empty()
    desk.transport.receipts.put_nowait(Receipt(rows[0].epoch, 1))
    assert numbers(await desk.transport.next_rows(2)) == [20, 21]
    assert (await desk.sender.status()).resent == 0


@pytest.mark.parametrize("traits", [Traits(acknowledges=False, batch_count_max=4)])
async def test_without_an_acknowledgement_a_record_is_delivered_when_a_heartbeat_says_so_and_not_acknowledged(
    desk: Desk,
) -> None:
    """Whatever has no proof when the connection ends goes again on the next one, oldest first."""
    rows = await desk.transport.next_rows(5)
    assert numbers(rows) == [30, 1, 2, 3, 4]
    assert [desk.transport.lanes[seq] for seq in (30, 1)] == [Lane.LIVE, Lane.BACKFILL]
    proven = Receipt(rows[0].epoch, 0, ((1, 2), (30, 30)), proof=Proof.CONSUMED)
    desk.transport.receipts.put_nowait(proven)
    await desk.looks_again()
    status = await desk.sender.status()
    assert (status.acknowledged, status.unacknowledged, status.backlog) == (0, 3, 27)
    while not desk.transport.sent.empty():
        desk.transport.sent.get_nowait()
    desk.transport.receipts.put_nowait(None)  # the connection ends: 3, 4 and all after them are unproven
    while numbers(await desk.transport.next_rows(1)) != [3]:
        pass  # what the connection still had in hand before its end
    assert numbers(await desk.transport.next_rows(3)) == [4, 5, 6]
    await desk.store.outbox_mark_sent(UPLINK, [1])
    assert (await desk.sender.status()).unacknowledged == 3


@pytest.mark.parametrize("traits", [Traits(asks_before_backfill=True, inflight_count_max=20)])
async def test_history_waits_for_leave_and_live_does_not(desk: Desk) -> None:
    assert numbers(await desk.transport.next_rows(1)) == [30]
    await desk.looks_again()
    assert desk.transport.sent.empty()
    desk.transport.receipts.put_nowait(BackfillAllowed(allowed=True))
    assert numbers(await desk.transport.next_rows(2)) == [1, 2]


async def test_a_gap_that_the_protocol_cannot_say_stands_in_the_ledger_and_blocks_nothing(desk: Desk) -> None:
    rows = await desk.transport.next_rows(WINDOW_COUNT_FIRST)
    await desk.store.put_gap(Gap(None, START, START, 1, "quota"))
    await desk.period_ends()
    desk.transport.receipts.put_nowait(Receipt(rows[0].epoch, 5))
    later = numbers(await desk.transport.next_rows(3))
    assert later[0] == 32
    assert 31 not in later
    await desk.looks_again()
    (gap,) = [
        entry for entry in await desk.store.deliveries(UPLINK, START, desk.period.start_utc) if entry.kind == "gap"
    ]
    assert (gap.fate, gap.reason) == (Fate.REFUSED, "protocol")


async def test_retry_puts_back_what_was_refused(desk: Desk) -> None:
    rows = await desk.transport.next_rows(WINDOW_COUNT_FIRST)
    desk.transport.receipts.put_nowait(Receipt(rows[0].epoch, refused=((3, "schema"),)))
    await desk.looks_again()
    status = await desk.sender.status()
    assert (status.refused, status.refused_reason, status.backlog) == (1, "schema", 30)
    assert await desk.sender.retry() == 1
    desk.transport.receipts.put_nowait(Receipt(rows[0].epoch, 2))  # places in the window
    sent = numbers(await desk.transport.next_rows(1))
    while sent[-1] != 3:  # others may have gone into the place that the refused one left
        sent += numbers(await desk.transport.next_rows(1))
    assert len(sent) <= 6


async def test_what_is_live_does_not_wait_for_the_rows_that_were_taken_ahead(desk: Desk) -> None:
    rows = await desk.transport.next_rows(WINDOW_COUNT_FIRST)
    await desk.period_ends(400)
    # Receipts widen the window; then the wire stands still with as many rows taken as may be.
    while not desk.transport.sent.empty() or rows:
        if rows:
            desk.transport.receipts.put_nowait(Receipt(rows[0].epoch, ranges=tuple((n, n) for n in numbers(rows))))
        await desk.looks_again()
        rows = [desk.transport.sent.get_nowait() for _ in range(desk.transport.sent.qsize())]
        if len(rows) >= 4 * WINDOW_COUNT_FIRST:
            break
    desk.transport.wire_free.clear()
    desk.transport.receipts.put_nowait(Receipt(rows[0].epoch, ranges=tuple((n, n) for n in numbers(rows))))
    await desk.looks_again()
    await desk.period_ends()
    newest = (await desk.sender.status()).due
    sent: list[int] = []
    while newest not in sent:
        sent += numbers(await desk.transport.next_rows(1))
    assert len(sent) <= desk.transport.traits.inflight_count_max, "the place that is kept for it"
    assert desk.transport.lanes[newest] is Lane.LIVE
    desk.transport.wire_free.set()


@pytest.mark.parametrize("ticks", range(7))
async def test_a_stop_in_the_moment_in_which_a_session_breaks_is_heard(ticks: int, tmp_path: Path) -> None:
    store = await Store.open(tmp_path, quota_mb=64, raw_days=90)
    desk = Desk(store)
    await desk.period_ends(30)
    desk.transport.wire_free.clear()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(desk.sender.run())
        await desk.transport.next_rows(5)
        desk.transport.receipts.put_nowait(None)
        for _ in range(ticks):
            await asyncio.sleep(0)
        task.cancel()
        ended, _ = await asyncio.wait([task], timeout=5.0)
        task.cancel()
    assert ended
    await store.close()
