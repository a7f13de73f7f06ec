"""What the sender needs of a way to the platform: a session, a way to send, and a way to hear what is held there."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from edge_agent.store.rows import OutboxRow


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the platform says it holds, after its own commit.

    Attributes:
        epoch: of which numbering.
        hwm: every number up to this one.
        ranges: inclusive ranges above it.
        refused: numbers it will never take, each with its reason.
    """

    epoch: str
    hwm: int
    ranges: tuple[tuple[int, int], ...] = ()
    refused: tuple[tuple[int, str], ...] = ()


class Transport(Protocol):
    """A way to one platform. Sessions follow one another; there is never more than one at a time."""

    def session(self) -> AbstractAsyncContextManager[None]:
        """A fresh connection, closed at the end; entering it raises RetryUplink when nobody is there."""
        ...

    async def send(self, row: OutboxRow) -> None:
        """Hands a row to the connection; returning proves nothing about delivery.

        Raises:
            RetryUplink: it may or may not have left.
        """
        ...

    async def receive(self) -> Receipt:
        """Waits for the next receipt.

        Raises:
            RetryUplink: the connection is gone.
        """
        ...
