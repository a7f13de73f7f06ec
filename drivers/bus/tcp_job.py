"""A request on a Modbus TCP bus from its call until its answer, and what is remembered of one that was given up."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from pymodbus.pdu import ModbusPDU

from drivers.errors import DriverError


@dataclass(slots=True, eq=False)
class Job:
    """A request from the call until its answer.

    Attributes:
        repeats: times that it may be sent again without a word.
        permit: asked at the last moment; None: it always may.
        opening: it is the first one on its connection.
        overdue: it has taken so long that others may pass.
        passed: it was sent while another one was overdue.
        alone: it passes nobody any more.
    """

    request: ModbusPDU
    pdu: bytes
    future: asyncio.Future[ModbusPDU]
    repeats: int
    permit: Callable[[], bool] | None = None
    number: int = 0
    sent_s: float = 0.0
    opening: bool = False
    overdue: bool = False
    passed: bool = False
    alone: bool = False
    miss_timer: asyncio.TimerHandle | None = None
    overdue_timer: asyncio.TimerHandle | None = None

    @property
    def unit(self) -> int:
        """Whom it is sent to."""
        return self.request.dev_id

    def end_timers(self) -> None:
        """It is no longer under way."""
        for timer in (self.miss_timer, self.overdue_timer):
            if timer is not None:
                timer.cancel()

    def settle(self, response: ModbusPDU | None, error: DriverError | None = None) -> None:
        """Hands the result to the caller."""
        self.end_timers()
        if self.future.done():  # the caller has gone; the transaction ended all the same
            return
        if error is not None:
            self.future.set_exception(error)
            self.future.exception()  # a caller that has just been cancelled fetches it no more
        elif response is not None:
            self.future.set_result(response)


@dataclass(frozen=True, slots=True)
class Missed:
    """A request that was given up.

    Attributes:
        here: it was sent on the present connection.
    """

    unit: int
    sent_s: float
    opening: bool
    here: bool = True
