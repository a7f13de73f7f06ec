"""The request that has been due longest goes next; a caller who goes away takes no turn with it."""

import asyncio

import pytest

from drivers.turns import Turns


async def test_the_longest_due_goes_first_and_never_two_at_once() -> None:
    turns, order, inside = Turns(), list[float](), 0

    async def ask(due_s: float) -> None:
        nonlocal inside
        async with turns.turn(due_s):
            inside += 1
            assert inside == 1
            await asyncio.sleep(0)
            order.append(due_s)
            inside -= 1

    await asyncio.gather(*(ask(due_s) for due_s in (5.0, 3.0, 9.0, 1.0)))
    assert order == [5.0, 1.0, 3.0, 9.0], "the first found the line free"


async def test_a_cancelled_caller_passes_the_turn_on() -> None:
    turns = Turns()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        async with turns.turn(0.0):
            waiting = [group.create_task(_hold(turns, due_s)) for due_s in (1.0, 2.0, 3.0)]
            await asyncio.sleep(0)
            waiting[0].cancel()
        waiting[1].cancel()  # its turn has just come
    with pytest.raises(asyncio.CancelledError):
        waiting[1].result()
    assert waiting[2].result() == 3.0
    async with asyncio.timeout(1), turns.turn(4.0):
        pass


async def test_a_deeper_line_carries_several_at_once() -> None:
    turns = Turns(depth=2)
    async with turns.turn(1.0), turns.turn(2.0):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01), turns.turn(3.0):
                pytest.fail("a third turn on a line of two")


async def test_who_gives_way_lets_the_next_one_go_and_leaves_no_turn_behind() -> None:
    turns = Turns()
    async with asyncio.timeout(1):
        async with turns.turn(1.0) as give_way:
            give_way()
            give_way()
            async with turns.turn(2.0):
                waiting = asyncio.ensure_future(_hold(turns, 3.0))  # noqa: TID251 - awaited below
                await asyncio.sleep(0)
                assert not waiting.done(), "one turn was given away, not two"
            assert await waiting == 3.0
        async with turns.turn(4.0):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01), turns.turn(5.0):
                    pytest.fail("the end of the first one's request gave a second turn away")


async def _hold(turns: Turns, due_s: float) -> float:
    async with turns.turn(due_s):
        return due_s
