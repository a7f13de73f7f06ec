import asyncio
import heapq
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from pathlib import Path
from typing import cast

import pytest

from drivers.device import Device
from drivers.sample import Sample, good
from edge_agent import acquisition
from edge_agent import clock as clock_module
from edge_agent.acquisition import BusPoller, BusWatch, Pending, Recorder
from edge_agent.clock import CLOCK_LAYOUT, CLOCK_MARK, ClockWatch, SimulatedClock, elapsed_s, sleep_until
from edge_agent.clock_quality import ClockQuality
from edge_agent.errors import StoreFault
from edge_agent.image import ProcessImage

NOON = datetime(2026, 1, 12, 4, tzinfo=UTC)


def sample(number: int) -> Sample:
    return good("a.t", NOON + timedelta(seconds=number), float(number), "degC")


class Disk:
    """Remembers frames in order; refuses while `full`."""

    def __init__(self) -> None:
        self.full = False
        self.frames: list[list[float | None]] = []
        self.closed: list[tuple[datetime, int]] = []

    async def append_frame(self, samples: Sequence[Sample], _instant_utc: datetime) -> int:
        if self.full:
            raise StoreFault("disk full")
        self.frames.append([item.value for item in samples])
        return len(self.frames)

    async def close_due(self, now_utc: datetime) -> int:
        self.closed.append((now_utc, len(self.frames)))
        return 0


def recorder(disk: Disk, pending: Pending, promised: list[int]) -> Recorder:
    return Recorder(pending=pending, append_frame=disk.append_frame, close_due=disk.close_due, promise=promised.append)


async def test_periods_close_only_after_what_was_read_before_is_committed() -> None:
    disk, pending, promised = Disk(), Pending(), list[int]()
    pending.put([sample(1), sample(2)])
    await recorder(disk, pending, promised).scan(NOON)
    assert disk.frames == [[1.0, 2.0]]
    assert disk.closed == [(NOON, 1)]
    assert promised == [1]


async def test_a_refusing_disk_loses_nothing_and_promises_nothing() -> None:
    disk, pending, promised = Disk(), Pending(), list[int]()
    part = recorder(disk, pending, promised)
    disk.full = True
    pending.put([sample(1)])
    await part.scan(NOON)
    assert part.failing_since_utc == NOON
    assert promised == []
    pending.put([sample(2)])
    disk.full = False
    await part.scan(NOON + timedelta(seconds=30))
    assert disk.frames == [[1.0, 2.0]]
    assert promised == [1]
    assert part.failing_since_utc is None


@pytest.mark.parametrize("full", [False, True])
async def test_who_stops_the_scan_drops_no_sample_on_its_way_to_the_disk(*, full: bool) -> None:
    disk, pending, promised = Disk(), Pending(), list[int]()
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def slow_append(samples: Sequence[Sample], instant_utc: datetime) -> int:
        begun.set()
        await may_end.wait()
        return await disk.append_frame(samples, instant_utc)

    part = Recorder(pending=pending, append_frame=slow_append, close_due=disk.close_due, promise=promised.append)
    pending.put([sample(1)])
    disk.full = full
    async with asyncio.TaskGroup() as group:
        scan = group.create_task(part.scan(NOON))
        await begun.wait()
        scan.cancel()
        pending.put([sample(2)])  # read while the scan is being stopped
        scan.cancel()  # and stopped once more
        may_end.set()
    assert scan.cancelled()
    assert promised == ([] if full else [1])
    disk.full = False
    await part.scan(NOON)
    assert disk.frames == ([[1.0, 2.0]] if full else [[1.0], [2.0]]), "each once, in order"
    assert len(promised) == len(disk.frames)


async def test_nothing_read_makes_no_frame_but_periods_go_on() -> None:
    disk, pending, promised = Disk(), Pending(), list[int]()
    await recorder(disk, pending, promised).scan(NOON)
    assert disk.frames == []
    assert disk.closed == [(NOON, 0)]


def test_memory_is_bounded_and_the_oldest_go_first() -> None:
    pending = Pending()
    limit = acquisition.PENDING_SAMPLE_COUNT_MAX
    pending.put([sample(0)] * limit)
    pending.put([sample(1)])
    assert pending.dropped_count == 1
    assert len(pending.take()) == limit


# ------------------------------------------------------------------------------------------------------------ polling


class JumpingClock:
    """A site's clock that jumps to whatever is waited for, as soon as everybody waits."""

    def __init__(self) -> None:
        self.now = NOON

    def now_utc(self) -> datetime:
        return self.now

    def speed_ratio(self) -> float:
        return 1.0


class Unit:
    """Looks like a device; does what a test wants."""

    def __init__(self, name: str, clock: JumpingClock, *, period_s: float = 10.0, takes_s: float = 0.0) -> None:
        self.name = name
        self.period_s = period_s
        self.takes_s = takes_s
        self.polled: list[float] = []
        self.breaks: list[Exception] = []
        self._clock = clock

    async def poll(self) -> list[Sample]:
        self.polled.append((self._clock.now - NOON).total_seconds())
        if self.breaks:
            raise self.breaks.pop(0)
        if self.takes_s:
            await sleep_until(self._clock, self._clock.now + timedelta(seconds=self.takes_s))
        return [good(f"{self.name}.t", self._clock.now, 1.0, "degC")]


async def poll_for(
    units: list[Unit], clock: JumpingClock, *, duration_s: float, monkeypatch: pytest.MonkeyPatch
) -> tuple[BusWatch, ProcessImage, list[int]]:
    """Polls until the clock has run so far; whoever sleeps the shortest is woken, and time with him."""
    sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []
    numbers = count()

    async def sleep_on_the_clock(_clock: object, instant_utc: datetime) -> None:
        if instant_utc > clock.now:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            heapq.heappush(sleepers, (instant_utc, next(numbers), future))
            await future

    monkeypatch.setattr(acquisition, "sleep_until", sleep_on_the_clock)
    monkeypatch.setitem(globals(), "sleep_until", sleep_on_the_clock)
    watch, image, marks = BusWatch(), ProcessImage(), list[int]()
    poller = BusPoller(
        "b", cast("list[Device]", units), clock=clock, image=image, pending=Pending(),
        progress=lambda: marks.append(1), watch=watch,
    )  # fmt: skip
    async with asyncio.TaskGroup() as group:
        task = group.create_task(poller.run())
        while clock.now < NOON + timedelta(seconds=duration_s):
            for _ in range(20):
                await asyncio.sleep(0)
            clock.now, _, future = heapq.heappop(sleepers)
            future.set_result(None)
        task.cancel()
    return watch, image, marks


async def test_devices_are_polled_at_their_periods_out_of_step(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = JumpingClock()
    units = [Unit("a", clock), Unit("b", clock), Unit("c", clock, period_s=5.0)]
    watch, image, _ = await poll_for(units, clock, duration_s=41, monkeypatch=monkeypatch)
    assert units[0].polled[:5] == [0, 10, 20, 30, 40]
    assert units[1].polled[:5] == [0, 5, 15, 25, 35]
    assert units[2].polled[:5] == [0, 5, 10, 15, 20]
    assert (watch.failures, watch.skipped) == (0, 0)
    assert len(image) == 3


async def test_a_poll_that_breaks_costs_one_device_one_poll_and_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = JumpingClock()
    lame, well = Unit("lame", clock), Unit("well", clock)
    lame.breaks = [ValueError("decode"), ValueError("decode"), KeyError("x"), ValueError("decode")]
    watch, image, marks = await poll_for([lame, well], clock, duration_s=71, monkeypatch=monkeypatch)
    assert lame.polled[:6] == [0, 10, 20, 30, 40, 50], "it goes on at its own period"
    assert well.polled[:6] == [0, 5, 15, 25, 35, 45], "the neighbour notices nothing"
    assert watch.failures == 4
    assert len(marks) == watch.polls + watch.failures
    assert image.get("lame.t") is not None
    words = [record.getMessage() for record in caplog.records]
    assert sum("poll failed device=lame" in word for word in words) == 3, "each new fault once"
    assert sum("poll works again device=lame" in word for word in words) == 1


async def test_a_slow_device_skips_its_own_polls_and_nobody_elses(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = JumpingClock()
    slow, well = Unit("slow", clock, takes_s=29.0), Unit("well", clock)
    watch, _, _ = await poll_for([slow, well], clock, duration_s=100, monkeypatch=monkeypatch)
    assert slow.polled[:4] == [0, 30, 60, 90]
    assert well.polled[:6] == [0, 5, 15, 25, 35, 45]
    assert watch.skipped == 6


async def test_a_poll_that_is_a_little_late_is_made_up_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = JumpingClock()
    slow = Unit("slow", clock, takes_s=12.0)
    watch, _, _ = await poll_for([slow], clock, duration_s=30, monkeypatch=monkeypatch)
    assert slow.polled[:3] == [0, 12, 24]
    assert watch.skipped == 0


class SetClock:
    """A clock that runs with simulated wall time, and that somebody sets; whoever naps is woken in his turn."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall_s = 0.0
        self.set_by_s = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = count()
        monkeypatch.setattr(clock_module, "_nap", self._nap)

    @property
    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.wall_s + self.set_by_s)

    def now_utc(self) -> datetime:
        return self.now

    def speed_ratio(self) -> float:
        return 1.0

    async def _nap(self, duration_s: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.wall_s + duration_s, next(self._numbers), future))
        await future

    async def run(self, duration_s: float) -> None:
        end_s = self.wall_s + duration_s
        while self.wall_s < end_s:
            for _ in range(10):
                await asyncio.sleep(0)
            self.wall_s, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)


class Wall(Unit):
    """Notes when it was polled by the wall, whatever the site's clock says."""

    async def poll(self) -> list[Sample]:
        self.polled.append(cast("SetClock", self._clock).wall_s)
        return [good(f"{self.name}.t", self._clock.now, 1.0, "degC")]


@pytest.mark.parametrize("set_by_s", [-3600.0, -86_400.0 * 400, -12.0, -3.0, 3600.0, 86_400.0 * 400])
async def test_a_clock_that_is_set_neither_stops_nor_bunches_polls_and_frames(
    monkeypatch: pytest.MonkeyPatch, set_by_s: float
) -> None:
    clock = SetClock(monkeypatch)
    units = [Wall(name, cast("JumpingClock", clock)) for name in ("a", "b", "c", "d")]
    pending, disk = Pending(), Disk()
    poller = BusPoller(
        "b", cast("list[Device]", units), clock=clock, image=ProcessImage(), pending=pending,
        progress=lambda: None, watch=BusWatch(),
    )  # fmt: skip
    scans_s: list[float] = []
    kept = recorder(disk, pending, [])
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(poller.run()),
            group.create_task(kept.run(clock=clock, period_s=10.0, progress=lambda: scans_s.append(clock.wall_s))),
        ]
        await clock.run(43.0)
        set_s, clock.set_by_s = clock.wall_s, set_by_s
        await clock.run(60.0)
        for task in tasks:
            task.cancel()
    for instants_s in (*(unit.polled for unit in units), scans_s):
        after = [instant_s for instant_s in instants_s if instant_s > set_s]
        assert after[0] - set_s <= 15.1, "at the latest after a period and a half"
        assert 5 <= len(after) <= 7, "each at its own period, and nothing is made up for"
        assert all(b - a == pytest.approx(10.0, abs=0.3) for a, b in pairwise(after[1:]))
    phases_s = sorted(unit.polled[-1] % 10.0 for unit in units)
    assert all(b - a == pytest.approx(2.5, abs=0.3) for a, b in pairwise(phases_s)), "out of step again"


def test_the_load_is_that_of_the_last_minute() -> None:
    watch = BusWatch()
    assert watch.load_ratio is None
    for second in range(300):
        watch.mark(now_s=second, busy_s=0.9 * min(second, 200) + 0.1 * max(0, second - 200))
    assert watch.load_ratio == pytest.approx(0.1)


async def test_a_clock_that_is_set_stops_no_scan_and_every_frame_says_what_it_is_worth(tmp_path: Path) -> None:
    """Set back by an hour, then on by two: scans go on at once, stamped as the clock stood, never anew."""
    path = tmp_path / "clock"

    def set_wrong(wrong_s: float) -> None:
        content = CLOCK_LAYOUT.pack(CLOCK_MARK, 2, begin_s, NOON.timestamp(), 200.0, math.inf, wrong_s)
        with path.open("r+b" if path.exists() else "wb") as file:
            file.write(content)

    begin_s = elapsed_s()
    set_wrong(0.0)
    clock = SimulatedClock(path)
    watch = ClockWatch(clock)
    frames: list[tuple[datetime, ClockQuality]] = []

    async def append(_samples: Sequence[Sample], now_utc: datetime) -> int:
        frames.append((now_utc, watch.look()))
        pending.put([good("a.x", now_utc, 1.0, "kW")])
        return len(frames)

    async def close_due(_now_utc: datetime) -> int:
        return 0

    async def more(count: int) -> None:
        wanted = len(frames) + count
        async with asyncio.timeout(10.0):
            while len(frames) < wanted:  # noqa: ASYNC110 - what is waited for is time
                await asyncio.sleep(0.01)

    pending = Pending()
    pending.put([good("a.x", NOON, 1.0, "kW")])
    recorder = Recorder(pending=pending, append_frame=append, close_due=close_due, promise=lambda _frame: None)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(recorder.run(clock=clock, period_s=10.0, progress=lambda: None))
        await more(3)
        for wrong_s in (-3600.0, 3600.0, 0.0):
            set_wrong(wrong_s)
            await more(4)
        running.cancel()
    qualities = [quality for _, quality in frames]
    assert qualities.count(ClockQuality.STEPPED) == 3
    assert set(qualities) == set(ClockQuality)
    assert recorder.frame_count in (len(frames), len(frames) - 1)
    jumps_s = [(after - before).total_seconds() for (before, _), (after, _) in pairwise(frames)]
    assert [round(jump_s / 3600) for jump_s in jumps_s if abs(jump_s) > 1000] == [-1, 2, -1]
