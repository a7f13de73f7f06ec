"""A task that is told to end while aiomqtt waits for the broker ends, even when the answer comes in the same moment."""

import asyncio
import sys
from contextlib import suppress
from typing import cast

import aiomqtt
import pytest

from edge_agent.store.rows import OutboxRow
from edge_agent.uplink.swallowed import cancellation_heeded
from edge_agent.uplink.transports.base import Lane
from edge_agent.uplink.transports.mqtt_json import MqttJson
from tests.edge_agent.uplink.test_delivery import START

ROW = OutboxRow("city", "e", 1, START, 15, b"{}", 0)
TICKS = range(8)
"""Steps of the loop between the broker's answer and the cancellation; one of them is the unlucky one."""


class Answering:
    """What the transport uses of a client; waits for the broker as aiomqtt does."""

    def __init__(self) -> None:
        self.answer = asyncio.Event()

    async def publish(self, *_: object, **__: object) -> None:
        await asyncio.wait_for(self.answer.wait(), 5.0)


async def _ends_when_cancelled_after(ticks: int) -> bool:
    """Whether a sending task that is cancelled so many steps after the answer ends."""
    client = Answering()
    transport = MqttJson(broker="mqtt://127.0.0.1", plant="p")
    transport._client = cast("aiomqtt.Client", client)  # no broker can be made to answer in that very moment

    async def work() -> None:
        await transport.send([ROW], Lane.BACKFILL)
        await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(work())
        await _cancel_after(ticks, task, client.answer)
        ended, _ = await asyncio.wait([task], timeout=5.0)
        task.cancel()  # a second one finds no library in its way
    return bool(ended)


async def _cancel_after(ticks: int, task: asyncio.Task[None], answer: asyncio.Event) -> None:
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    answer.set()
    for _ in range(ticks):
        await asyncio.sleep(0)
    task.cancel()


@pytest.mark.parametrize("ticks", TICKS)
async def test_a_send_that_is_cancelled_as_its_answer_comes_ends(ticks: int) -> None:
    assert await _ends_when_cancelled_after(ticks)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="wait_for was mended in 3.12")
async def test_the_library_swallows_it_in_one_of_these_moments() -> None:
    swallowed = 0
    for ticks in TICKS:
        answer = asyncio.Event()
        after: list[bool] = []

        async def work(answer: asyncio.Event = answer, after: list[bool] = after) -> None:
            with cancellation_heeded():
                await asyncio.wait_for(answer.wait(), 5.0)
                task = asyncio.current_task()
                after.append(task is not None and task.cancelling() > 0)

        async with asyncio.TaskGroup() as group:
            await _cancel_after(ticks, group.create_task(work()), answer)
        swallowed += after == [True]
    assert swallowed > 0


@pytest.mark.parametrize("ticks", TICKS)
async def test_an_error_in_the_same_moment_does_not_swallow_it_either(ticks: int) -> None:
    begun, fails = asyncio.Event(), asyncio.Event()

    async def breaks() -> None:
        await fails.wait()
        raise ConnectionError

    async def work() -> None:
        begun.set()
        while True:  # as one that connects anew after each error
            with suppress(ConnectionError), cancellation_heeded():
                await asyncio.wait_for(breaks(), 5.0)
            fails.clear()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(work())
        await begun.wait()
        await _cancel_after(ticks, task, fails)
        ended, _ = await asyncio.wait([task], timeout=5.0)
        task.cancel()
    assert ended


async def test_what_was_cancelled_before_does_not_count() -> None:
    async def failing() -> None:
        raise ValueError

    with pytest.raises(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(failing())
    with cancellation_heeded():
        await asyncio.wait_for(asyncio.sleep(0), 5.0)
