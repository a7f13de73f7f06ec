"""Work that must not be left half done: it is finished although somebody wants to stop.

Short of a kill -9 or a power cut; what those leave behind is told by a journal (`edge_agent.left_behind`).
"""

import asyncio
import signal
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

Done = TypeVar("Done")
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, a service manager or a shutdown, a terminal that was closed or a connection to it that broke."""


async def _waited_for(work: Coroutine[None, None, Done]) -> tuple[asyncio.Task[Done], bool]:
    task = asyncio.create_task(work)  # noqa: TID251 - it is waited for below, whatever comes
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            cancelled = True
    return task, cancelled


async def finished(work: Coroutine[None, None, Done]) -> tuple[Done, bool]:
    """Waits for work that must not be left half done; also says whether it was cancelled meanwhile."""
    task, cancelled = await _waited_for(work)
    return task.result(), cancelled


async def to_the_end(work: Coroutine[None, None, Done]) -> Done:
    """Likewise; a cancellation takes effect after it, also where the work failed: who is to stop must not go on."""
    task, cancelled = await _waited_for(work)
    if cancelled:
        raise asyncio.CancelledError from task.exception()
    return task.result()


@contextmanager
def stopped_once() -> Iterator[None]:
    """Turns the first signal that would end the process into a cancellation of this task and swallows the others.

    Without it a SIGTERM ends the process where it stands, and asyncio ends the loop at the second Ctrl-C.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    passed = False
    before = {number: signal.getsignal(number) for number in STOPS}

    def once(number: int, frame: FrameType | None) -> None:
        nonlocal passed
        if passed:
            return
        passed = True
        ctrl_c = before[signal.SIGINT]
        if number == signal.SIGINT and callable(ctrl_c):
            ctrl_c(number, frame)
        else:
            loop.call_soon_threadsafe(task.cancel)

    for number in STOPS:
        signal.signal(number, once)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
