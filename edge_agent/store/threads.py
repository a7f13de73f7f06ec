"""The store's threads: one writes, one reads, one tends. What is not asynchronous runs here, and faults get words.

It knows no table; where the disk or a quota is full, it asks for room once and tries again.
"""

import asyncio
import errno
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from edge_agent.errors import StoreFault
from edge_agent.store import words

CLOSED = "数据库已关闭 / the store is closed"
T = TypeVar("T")


class Threads:
    """One thread for each kind of work, so that nothing of a kind runs twice at a time."""

    def __init__(self, make_room: Callable[[], bool]) -> None:
        """Starts them.

        Args:
            make_room: called in the writing thread when there is no room; returns whether there is some now.
        """
        self._make_room = make_room
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="store-write")
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="store-read")
        self._tending = ThreadPoolExecutor(1, thread_name_prefix="store-tend")
        self._closed = False

    async def write(self, work: Callable[[], T]) -> T:
        """Does a piece of writing.

        Raises:
            StoreFault: the disk refuses; nothing was accepted.
        """
        return await self._run(self._writing, partial(self._with_room, work))

    async def read(self, work: Callable[[], T]) -> T:
        """Does a piece of reading.

        Raises:
            StoreFault: it cannot be read.
        """
        return await self._run(self._reading, work)

    async def tend(self, work: Callable[[], T]) -> T:
        """Does a piece of housekeeping, which holds up neither.

        Raises:
            StoreFault: the disk refuses.
        """
        return await self._run(self._tending, work)

    def shutdown(self) -> None:
        """Takes no more work; what is in hand ends by itself."""
        self._closed = True
        for thread in (self._writing, self._reading, self._tending):
            thread.shutdown(wait=False)

    async def _run(self, thread: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        if self._closed:
            raise StoreFault(CLOSED)
        try:
            return await asyncio.get_running_loop().run_in_executor(thread, work)
        except (sqlite3.Error, OSError) as error:
            raise StoreFault(words.told(error)) from error

    def _with_room(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except (sqlite3.OperationalError, OSError) as error:
            if not _is_full(error) or not self._make_room():
                raise
            return work()


def _is_full(error: sqlite3.OperationalError | OSError) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
