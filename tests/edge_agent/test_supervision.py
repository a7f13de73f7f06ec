import asyncio

import pytest

from edge_agent.app import DISPENSABLE
from edge_agent.supervision import CALM_S, FAILURES_MAX, PAUSE_MAX_S, supervise


class Clock:
    """Moves when told; remembers what was slept."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.slept_s: list[float] = []

    def elapsed_s(self) -> float:
        return self.now_s

    async def sleep(self, pause_s: float) -> None:
        self.slept_s.append(pause_s)


async def test_a_failing_task_comes_back_with_growing_pauses() -> None:
    clock, runs = Clock(), 0

    async def work() -> None:
        nonlocal runs
        runs += 1
        if runs < 4:
            raise ValueError("broken answer")

    await supervise("poll", work, elapsed_s=clock.elapsed_s, sleep=clock.sleep)
    assert runs == 4
    assert clock.slept_s == [1.0, 2.0, 4.0]


async def test_a_hopeless_task_ends_the_service() -> None:
    clock, runs = Clock(), 0

    async def work() -> None:
        nonlocal runs
        runs += 1
        raise ValueError("always")

    with pytest.raises(ValueError, match="always"):
        await supervise("poll", work, elapsed_s=clock.elapsed_s, sleep=clock.sleep)
    assert runs == FAILURES_MAX
    assert max(clock.slept_s) <= PAUSE_MAX_S


async def test_what_heat_does_not_depend_on_never_ends_the_service() -> None:
    clock, runs = Clock(), 0

    async def work() -> None:
        nonlocal runs
        runs += 1
        if runs < 50 * FAILURES_MAX:
            raise ValueError("always, or nearly")

    await supervise("daily ledger", work, elapsed_s=clock.elapsed_s, sleep=clock.sleep, vital=False)
    assert runs == 50 * FAILURES_MAX
    assert max(clock.slept_s) == PAUSE_MAX_S


async def test_failures_long_ago_are_forgotten() -> None:
    clock, runs = Clock(), 0

    async def work() -> None:
        nonlocal runs
        runs += 1
        clock.now_s += CALM_S + 1.0
        if runs <= 3 * FAILURES_MAX:
            raise ValueError("once an hour")

    await supervise("poll", work, elapsed_s=clock.elapsed_s, sleep=clock.sleep)
    assert set(clock.slept_s) == {1.0}


async def test_cancelling_goes_through() -> None:
    clock = Clock()

    async def work() -> None:
        await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(supervise("poll", work, elapsed_s=clock.elapsed_s, sleep=clock.sleep))
        await asyncio.sleep(0)
        task.cancel()
    assert clock.slept_s == []


def test_heat_does_not_depend_on_planning() -> None:
    assert "plan".startswith(DISPENSABLE)
    assert "plan on new prices".startswith(DISPENSABLE)
    assert not any(name.startswith(DISPENSABLE) for name in ("control", "record", "poll line", "watchdog"))
