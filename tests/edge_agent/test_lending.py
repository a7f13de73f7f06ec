"""Reads lent to the commissioning verbs wait their turn, and what they meet of silence is a twentieth of the line."""

import asyncio
import heapq
from collections.abc import Sequence
from itertools import count, pairwise

import pytest

from drivers.bus.base import BusCounts, Span, UnitTiming
from drivers.errors import DeviceRefused, LineDown, NoAnswer
from drivers.link import LineShare, UnitLink
from drivers.read_plan import LineCost
from drivers.schedule import BURST_MISSES, DEAD_SHARE_MAX
from edge_agent.errors import EdgeAgentError
from edge_agent.lending import BEHIND_S, Lender

MISS_S = 0.6
READ_S = 0.1
PERIOD_S = 2.0
POLLED = range(1, 11)
REFUSES, DOWN = 50, 51


class Time:
    """Simulated time: jumps to the next sleeper when everybody sleeps."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = count()

    async def sleep(self, duration_s: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now_s + duration_s, next(self._numbers), future))
        await future

    async def run(self, until_s: float) -> None:
        while self.now_s < until_s:
            for _ in range(12):
                await asyncio.sleep(0)
            if not self._sleepers:
                return
            self.now_s, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)


class Line:
    """A half-duplex wire in simulated time: the polled units answer, nobody else does."""

    def __init__(self, time: Time) -> None:
        self.name = "line"
        self.cost = LineCost.serial(baud=9600, bits_per_character=10, turnaround_s=0.02)
        self.counts = BusCounts()
        self.time = time
        self.busy = False
        self.silent_s = 0.0
        self.asked: list[int] = []

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
        self.asked.append(unit)
        try:
            await self.time.sleep(READ_S if unit in (*POLLED, REFUSES, DOWN) else MISS_S)
        finally:
            self.busy = False
        if unit == REFUSES:
            raise DeviceRefused("no such address", code=2)
        if unit == DOWN:
            raise LineDown("gone")
        if unit not in POLLED:
            self.silent_s += MISS_S
            raise NoAnswer("silence")
        return (1,) * span.count

    async def write(self, address: int, values: Sequence[int], *, unit: int, function: int, **_: object) -> None:
        raise AssertionError((address, values, unit, function))


class Bench:
    """Ten units polled every other second take half of the line; somebody scans through the lender."""

    def __init__(self) -> None:
        self.time = Time()
        self.line = Line(self.time)
        self.share = LineShare()
        self.lender = Lender({"line": self.line}, shares={"line": self.share}, elapsed_s=lambda: self.time.now_s)
        self.polled_s: dict[int, list[float]] = {unit: [] for unit in POLLED}

    async def poll(self, unit: int) -> None:
        link = UnitLink(self.line, unit, elapsed_s=lambda: self.time.now_s, share=self.share)
        due_s = PERIOD_S * unit / len(POLLED)
        while True:
            await self.time.sleep(max(0.0, due_s - self.time.now_s))
            await link.ask_in_turn(Span(3, 0, 10), due_s=due_s)
            self.polled_s[unit].append(self.time.now_s)
            due_s += PERIOD_S

    async def scan(self, units: Sequence[int], found: dict[int, str]) -> None:
        for unit in units:
            while True:
                answer = await self.ask(unit)
                if "wait_s" not in answer:
                    break
                await self.time.sleep(float(str(answer["wait_s"])))
            found[unit] = str(answer.get("fault", "registers"))

    async def ask(self, unit: int) -> dict[str, object]:
        return dict(await self.lender.read({"bus": "line", "unit": unit, "function": 3, "address": 0, "count": 1}))


async def test_polling_periods_hold_while_somebody_scans_through_the_service() -> None:
    bench, found = Bench(), dict[int, str]()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(bench.poll(unit)) for unit in POLLED]
        tasks.append(group.create_task(bench.scan(range(1, 61), found)))
        await bench.time.run(900.0)
        for task in tasks:
            task.cancel()
    assert found == {
        unit: "registers" if unit in POLLED else {REFUSES: "refused", DOWN: "line_down"}.get(unit, "no_answer")
        for unit in range(1, 61)
    }
    scanned_s = (60 - len(POLLED) - 2 - BURST_MISSES) * MISS_S / DEAD_SHARE_MAX
    assert bench.line.silent_s == pytest.approx((60 - len(POLLED) - 2) * MISS_S)
    assert scanned_s < 900.0, "the scan had the time it needs"
    for instants_s in bench.polled_s.values():
        gaps_s = [after - before for before, after in pairwise(instants_s)]
        assert sum(gaps_s) / len(gaps_s) == pytest.approx(PERIOD_S, rel=0.01)
        assert max(gaps_s) <= PERIOD_S + MISS_S + READ_S * (len(POLLED) + 1)


async def test_silence_of_lent_reads_and_of_dead_units_is_one_twentieth_together() -> None:
    bench, found = Bench(), dict[int, str]()
    dead = UnitLink(bench.line, 200, elapsed_s=lambda: bench.time.now_s, share=bench.share)
    bench.share.silence.expect(1)  # one that is not dead: where all are, nobody needs to be protected

    async def probe() -> None:
        while True:
            if not dead.resting:
                with pytest.raises(NoAnswer):
                    await dead.ask_in_turn(Span(3, 0, 1), due_s=bench.time.now_s)
            await bench.time.sleep(1.0)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(probe()), group.create_task(bench.scan(range(201, 248), found))]
        await bench.time.run(60.0)  # both bursts are over
        bench.line.silent_s, begin_s = 0.0, bench.time.now_s
        before = bench.line.asked.count(200)
        await bench.time.run(begin_s + 600.0)
        for task in tasks:
            task.cancel()
    assert 0.8 * DEAD_SHARE_MAX * 600.0 <= bench.line.silent_s <= DEAD_SHARE_MAX * 600.0 + 2 * MISS_S
    assert bench.line.asked.count(200) - before >= 600.0 / (2 * MISS_S / DEAD_SHARE_MAX) - 2, "nobody is forgotten"


async def test_a_lent_read_goes_behind_the_polls_that_are_due() -> None:
    bench = Bench()
    order: list[str] = []

    async def poll(due_s: float) -> None:
        async with bench.share.turns.turn(due_s):
            order.append(f"poll {due_s:g}")

    async with asyncio.TaskGroup() as group, bench.share.turns.turn(0.0):
        lent = group.create_task(bench.ask(1))
        await asyncio.sleep(0)
        polls = [group.create_task(poll(due_s)) for due_s in (1.0, BEHIND_S - 0.1, BEHIND_S + 0.1)]
        await asyncio.sleep(0)
        lent.add_done_callback(lambda _: order.append("lent"))
        group.create_task(bench.time.run(10.0))
    assert all(task.done() for task in (lent, *polls))
    assert order.index("poll 4.9") < order.index("lent")
    assert order[0] == "poll 1"


@pytest.mark.parametrize(
    "wrong",
    [
        {"bus": "other"},
        {"unit": 0},
        {"unit": 255},
        {"function": 6},
        {"function": 16},
        {"count": 126},
        {"count": 0},
        {"address": 65_536},
        {"address": "0"},
    ],
)
async def test_only_legal_reads_are_lent(wrong: dict[str, object]) -> None:
    bench = Bench()
    legal: dict[str, object] = {"bus": "line", "unit": 1, "function": 3, "address": 0, "count": 1}
    with pytest.raises(EdgeAgentError):
        await bench.lender.read(legal | wrong)
    assert bench.line.asked == []
