"""A cancellation that a library swallows is obeyed after all.

`asyncio.wait_for` of Python 3.11 returns the result when it is cancelled in the same moment as the result comes (mended
in 3.12). aiomqtt waits with it for the broker's answers: a task that goes on to its next wait then never ends, and with
it the session, or the stop of the service.
"""

import asyncio
from collections.abc import Iterator
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
    yield
    if task.cancelling() > before:
        raise asyncio.CancelledError
