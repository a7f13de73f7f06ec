"""Whose request goes next on a line: the one that has been due longest. Commands do not queue here."""

import asyncio
import heapq
from collections.abc import AsyncIterator, Callable
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
    async def turn(self, due_s: float) -> AsyncIterator[Callable[[], None]]:
        """Waits for a turn and holds it.

        Yields a function by which the holder gives its turn away before its request has ended, where the wire allows
        others to go on beside it; called again it does nothing.

        Args:
            due_s: since when the request is due, on the machine's stop-watch; the smallest goes first [s].
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
        held = True

        def give_way() -> None:
            nonlocal held
            if held:
                held = False
                # Not at once: whoever held it shall first say whether his next request has been due for longer.
                asyncio.get_running_loop().call_soon(self._pass_on)

        try:
            yield give_way
        finally:
            give_way()

    def _pass_on(self) -> None:
        while self._waiting:
            future = heapq.heappop(self._waiting)[2]
            if not future.done():
                future.set_result(None)
                return
        self._free += 1
