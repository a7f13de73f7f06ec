"""Several units on one line of simulated time: a silent one costs the others little and is soon welcomed back."""

import asyncio
import heapq
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise

import pytest

from drivers.bus.base import BusCounts, Span, UnitTiming
from drivers.device import Device
from drivers.errors import NoAnswer
from drivers.link import LineShare
from drivers.profile_file import parse_profile
from drivers.read_plan import LineCost
from drivers.sample import Cause
from drivers.schedule import DEAD_SHARE_MAX, FAILING_SHARE_MAX

START_UTC = datetime(2026, 1, 15, 8, tzinfo=UTC)
PERIOD_S = 5.0
MISS_S = 0.6
HEAD = {"zh": "表", "en": "meter", "maker": "x", "category": "x", "level": "documented", "confidence": "low"}
POINTS = {
    f"p{place}": {"zh": "点", "en": "p", "function": 3, "address": place, "type": "u16"}
    for place in (0, 400, 800, 1200)
}
PROFILE = parse_profile(HEAD | {"sources": ["x"], "points": POINTS}, name="meter")


class Time:
    """Simulated time: jumps to the next sleeper when everybody sleeps."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = count()

    async def sleep_until(self, instant_s: float) -> None:
        if instant_s > self.now_s:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            heapq.heappush(self._sleepers, (instant_s, next(self._numbers), future))
            await future

    async def run(self, until_s: float) -> None:
        while self.now_s < until_s:
            for _ in range(12):
                await asyncio.sleep(0)
            instant_s, _, future = heapq.heappop(self._sleepers)
            if not future.done():  # whoever slept here may have been sent away
                self.now_s = instant_s
                future.set_result(None)


class Line:
    """A half-duplex wire in simulated time; it knows which unit is silent, and how often each was asked in vain."""

    def __init__(self, time: Time) -> None:
        self.name = "line"
        self.cost = LineCost.serial(baud=9600, bits_per_character=10, turnaround_s=0.02)
        self.counts = BusCounts()
        self.time = time
        self.silent: set[int] = set()
        self.flaky: set[int] = set()
        self.asked: dict[int, int] = {}
        self.lost_s = 0.0
        self.busy = False
        self.answers: dict[int, list[float]] = {}

    def expect(self, unit: int, timing: UnitTiming) -> None:
        """Nothing to learn."""

    def miss_s(self, unit: int) -> float:
        assert unit
        return MISS_S

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def read(self, span: Span, *, unit: int) -> tuple[int, ...]:
        assert not self.busy, "two requests at once on a half-duplex line"
        self.busy = True
        try:
            self.asked[unit] = self.asked.get(unit, 0) + 1
            if unit in self.silent or (unit in self.flaky and self.asked[unit] % 2):
                await self.time.sleep_until(self.time.now_s + MISS_S)
                self.lost_s += MISS_S
                raise NoAnswer("silence")
            await self.time.sleep_until(self.time.now_s + self.cost.price_s(span))
        finally:
            self.busy = False
        self.answers.setdefault(unit, []).append(self.time.now_s)
        return (1,) * span.count

    async def write(self, address: int, values: Sequence[int], *, unit: int, function: int, **_: object) -> None:
        raise AssertionError((address, values, unit, function))


class Bench:
    def __init__(self, units: int) -> None:
        self.time = Time()
        self.line = Line(self.time)
        share = LineShare()
        self.devices = [
            Device(
                f"d{unit}",
                bus=self.line,
                unit=unit,
                profile=PROFILE,
                period_s=PERIOD_S,
                now_utc=lambda: START_UTC + timedelta(seconds=self.time.now_s),
                elapsed_s=lambda: self.time.now_s,
                share=share,
            )
            for unit in range(1, units + 1)
        ]
        self.polled: dict[str, list[tuple[float, set[Cause]]]] = {device.name: [] for device in self.devices}
        self.share = share

    async def run(self, duration_s: float) -> None:
        end_s = self.time.now_s + duration_s
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._poll(device, position)) for position, device in enumerate(self.devices)]
            await self.time.run(end_s)
            for task in tasks:
                task.cancel()

    async def _poll(self, device: Device, position: int) -> None:
        due_s = self.time.now_s + PERIOD_S * position / len(self.devices)
        while True:
            await self.time.sleep_until(due_s)
            samples = await device.poll()
            self.polled[device.name].append((self.time.now_s, {sample.cause for sample in samples}))
            due_s += PERIOD_S

    def worst_gap_s(self, name: str) -> float:
        good = [instant_s for instant_s, causes in self.polled[name] if causes == {Cause.NONE}]
        return max(after - before for before, after in pairwise(good))


@pytest.mark.parametrize("dead", [1, 3])
async def test_dead_units_cost_the_others_nothing_and_come_back_within_a_probe(dead: int) -> None:
    bench = Bench(8)
    await bench.run(20.0)
    silent = set(range(1, dead + 1))
    bench.line.silent = set(silent)
    await bench.run(30.0)  # they are found out
    assert {device.unit for device in bench.devices if device.dead} == silent

    bench.line.lost_s, begin_s = 0.0, bench.time.now_s
    for record in bench.polled.values():
        record.clear()
    await bench.run(600.0)
    assert 0.0 < bench.line.lost_s <= DEAD_SHARE_MAX * (bench.time.now_s - begin_s) + MISS_S
    for device in bench.devices:
        record = bench.polled[device.name]
        if device.unit in silent:
            assert all(causes == {Cause.NO_ANSWER} for _, causes in record if causes), "never an old value"
            assert len([1 for _, causes in record if causes]) <= 600.0 / PERIOD_S + 1, "at its own period, not faster"
        else:
            assert all(causes == {Cause.NONE} for _, causes in record)
            assert bench.worst_gap_s(device.name) <= 1.1 * PERIOD_S + MISS_S

    interval_s = bench.share.silence.probe_interval_s
    bench.line.silent.clear()
    back_s = bench.time.now_s
    await bench.run(interval_s + 3 * PERIOD_S)
    for unit in silent:
        first_s = next(instant_s for instant_s in bench.line.answers[unit] if instant_s > back_s)
        assert first_s - back_s <= interval_s + PERIOD_S + MISS_S
    assert not any(device.dead for device in bench.devices)


async def test_a_unit_that_answers_every_other_request_does_not_starve_the_others() -> None:
    bench = Bench(6)
    bench.line.flaky = {1, 2}
    await bench.run(30.0)
    bench.line.lost_s, begin_s = 0.0, bench.time.now_s
    for record in bench.polled.values():
        record.clear()
    await bench.run(600.0)
    assert bench.line.lost_s <= FAILING_SHARE_MAX * (bench.time.now_s - begin_s) + 5 * MISS_S
    for device in bench.devices[2:]:
        assert all(causes == {Cause.NONE} for _, causes in bench.polled[device.name])
        assert bench.worst_gap_s(device.name) <= 1.1 * PERIOD_S + MISS_S, "nobody waits for two of them"


@pytest.mark.parametrize("silent", [{1}, {1, 4}])
async def test_nobody_waits_for_more_than_one_request_in_vain_of_each_unit_that_falls_silent(silent: set[int]) -> None:
    bench = Bench(6)
    await bench.run(30.0)
    bench.line.silent, begin_s = silent, bench.time.now_s
    for record in bench.polled.values():
        record.clear()
    await bench.run(40.0)
    polls_s = 4 * bench.line.cost.price_s(Span(3, 0, 1)) * 2  # its own, and of whoever was due before it
    for place in sorted({1, 2, 3, 4, 5, 6} - silent):
        for turn, (instant_s, causes) in enumerate(bench.polled[f"d{place}"]):
            due_s = begin_s + PERIOD_S * ((place - 1) / 6 + turn)
            assert instant_s - due_s <= MISS_S + polls_s
            assert causes == {Cause.NONE}


async def test_the_pace_of_a_unit_is_learned_and_the_plan_follows() -> None:
    bench = Bench(1)
    bench.line.cost = LineCost.serial(baud=9600, bits_per_character=10, turnaround_s=0.02)
    slow = bench.line.cost.paced(0.9)  # the wire is as told; the unit thinks longer than anybody knew
    price_s, bench.line.cost = slow.price_s, bench.line.cost
    original = bench.line.read

    async def read(span: Span, *, unit: int) -> tuple[int, ...]:
        await bench.time.sleep_until(bench.time.now_s + price_s(span) - bench.line.cost.price_s(span))
        return await original(span, unit=unit)

    bench.line.read = read  # type: ignore[method-assign]
    await bench.run(60.0)
    assert bench.devices[0]._link.turnaround_s == pytest.approx(0.9, abs=0.01)
    before = bench.line.asked[1]
    await bench.run(20.0)
    assert bench.line.asked[1] - before <= 4 * 4 + 4
