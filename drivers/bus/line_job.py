"""A transaction in the queue of a line's thread, and how its result gets back to the caller's event loop. No port."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from drivers.bus.exchange import Exchange
from drivers.errors import DriverError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answered(Generic[T]):
    """An answer, and when it was complete [machine s]."""

    answer: T
    complete_s: float


@dataclass(order=True, slots=True)
class Job(Generic[T]):
    """A transaction in the queue; writes (rank 0) come before reads (rank 1).

    Attributes:
        permit: asked right before the request is sent; None: it always may.
        abandoned: its caller was cancelled; if it was not sent yet, it never is.
    """

    rank: int
    number: int
    exchange: Exchange[T] = field(compare=False)
    loop: asyncio.AbstractEventLoop = field(compare=False)
    future: "asyncio.Future[Answered[T]]" = field(compare=False)
    permit: Callable[[], bool] | None = field(default=None, compare=False)
    abandoned: bool = field(default=False, compare=False)

    def may_leave(self) -> bool:
        """Whether its request may be sent now."""
        return not self.abandoned and (self.permit is None or self.permit())

    def settle(self, result: Answered[T] | None, error: DriverError | None) -> None:
        """Hands the result to the caller's loop, from the worker's thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self.loop.call_soon_threadsafe(_settle, self.future, result, error)


def _settle(future: "asyncio.Future[Any]", result: object, error: DriverError | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
        future.exception()  # a caller that has gone fetches it no more
    else:
        future.set_result(result)
