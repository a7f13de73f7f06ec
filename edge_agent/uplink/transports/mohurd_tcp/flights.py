"""Which rows are on their way over one connection, and what an answer of the platform proves about them. Pure.

A report without an acknowledgement is proven only as far as a heartbeat goes that was sent after it on the same
connection: when that is answered, the platform's side has read everything before it. An acknowledgement counts only
when it names what it acknowledges.
"""

from collections import OrderedDict
from dataclasses import dataclass

FLIGHTS_MAX = 5000
"""Rows remembered on one connection; of more, the oldest are forgotten and will be sent again."""


@dataclass(frozen=True, slots=True)
class Flight:
    """A row on its way.

    Attributes:
        epoch: of its numbering.
        seq: its number.
        frame: sequence of its frame; empty where frames carry none.
        body: sequence in its text.
        history: it travels as history.
        current, total: its place in a batch of history.
        batch: which batch.
    """

    epoch: str
    seq: int
    frame: bytes
    body: str
    history: bool = False
    current: int = 1
    total: int = 1
    batch: int = 0


class Flights:
    """Everything on its way."""

    def __init__(self) -> None:
        self._all: OrderedDict[int, Flight] = OrderedDict()
        self._next = 0

    def __len__(self) -> int:
        """How many."""
        return len(self._all)

    @property
    def mark(self) -> int:
        """Everything that has left so far is below this mark."""
        return self._next

    def add(self, flight: Flight) -> None:
        """A row has left."""
        self._all[self._next] = flight
        self._next += 1
        if len(self._all) > FLIGHTS_MAX:
            self._all.popitem(last=False)

    def before(self, mark: int, *, history: bool) -> list[Flight]:
        """Takes out what left before a mark: reports, or history."""
        places = [place for place, flight in self._all.items() if place < mark and flight.history == history]
        return [self._all.pop(place) for place in places]

    def named(
        self, *, frame: bytes | None, body: str | None, history: bool, current: int | None = None
    ) -> list[Flight]:
        """Takes out what an acknowledgement names; everything that it gives must fit.

        Args:
            frame: sequence of the frame; None: it is not looked at.
            body: sequence of the text; None: it is not looked at.
            history: whether it acknowledges history.
            current: place in the batch; None: it is not looked at.
        """
        places = [
            place
            for place, flight in self._all.items()
            if flight.history == history
            and (frame is None or flight.frame == frame)
            and (body is None or flight.body == body)
            and (current is None or flight.current == current)
        ]
        return [self._all.pop(place) for place in places]

    def batch_of(self, *, frame: bytes | None, body: str | None, total: int | None) -> list[Flight]:
        """Takes out the whole batch to which a packet belongs that an acknowledgement names."""
        for flight in self._all.values():
            if (
                flight.history
                and (frame is None or flight.frame == frame)
                and (body is None or flight.body == body)
                and (total is None or flight.total == total)
            ):
                places = [place for place, other in self._all.items() if other.batch == flight.batch and other.history]
                return [self._all.pop(place) for place in places]
        return []
