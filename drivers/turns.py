"""Whose request goes next on a line: the one that has been due longest. Commands do not queue here."""

import asyncio
import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count


class Turns:
    """The turns of one line.

    Args:
        depth: requests that may be under way at once.
    """

    def __init__(self, depth: int = 1) -> None:
        self._free = depth
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = count()

    @asynccontextmanager
    async def turn(self, due_s: float) -> AsyncIterator[None]:
        """Waits for a turn and holds it.

        Args:
            due_s: since when the request is due; the smallest goes first [s].
        """
        if self._free:
            self._free -= 1
        else:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            heapq.heappush(self._waiting, (due_s, next(self._numbers), future))
            try:
                await future
            except asyncio.CancelledError:
                if future.done() and not future.cancelled():
                    self._pass_on()  # the turn came just as the caller went
                raise
        try:
            yield
        finally:
            self._pass_on()

    def _pass_on(self) -> None:
        while self._waiting:
            future = heapq.heappop(self._waiting)[2]
            if not future.done():
                future.set_result(None)
                return
        self._free += 1
