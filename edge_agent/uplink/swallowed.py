"""A cancellation that Python 3.11 swallows is obeyed after all.

`asyncio.wait_for` gives the result, or the error, when it is cancelled in the same moment as that comes (mended in
3.12). aiomqtt waits with it for the broker's answers: a task that goes on to its next wait then never ends, and with it
the session. A task group that is breaking because of a child's error drops the cancellation of whoever waits in it: the
stop of the service.
"""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager


@contextmanager
def cancellation_heeded() -> Iterator[None]:
    """Around such a wait.

    Counts the cancellations that came within: how many came before says nothing, for a task group of Python 3.11 whose
    child failed leaves its own one behind.

    Raises:
        CancelledError: this task was told to end meanwhile.
    """
    task = asyncio.current_task()
    assert task is not None, "runs in a task"
    before = task.cancelling()
    try:
        yield
    finally:
        if task.cancelling() > before:
            raise asyncio.CancelledError


async def to_its_end(work: Coroutine[None, None, None]) -> None:
    """Does work that waits in a task group, in a task of its own; a cancellation ends it and is never dropped."""
    task = asyncio.create_task(work)  # noqa: TID251 - its parent waits for it here, whatever happens
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # it broke as it was told to end: who is cancelled does not hear of it
        raise
    task.result()
