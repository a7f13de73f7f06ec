"""One request on a serial line and how to know its answer, whatever the protocol. No port, no thread."""

from collections.abc import Hashable, Sequence
from typing import Any, Protocol, TypeVar

T_co = TypeVar("T_co", covariant=True)


class Exchange(Protocol[T_co]):
    """One request and how to know its answer.

    Attributes:
        request: bytes to send.
        answer_length: length of the regular answer [bytes].
        partner: whom it is addressed to; pace and owed answers are kept per partner.
        head: how the regular answer begins, by which a late one could be taken for it: two exchanges whose answers
            cannot be told apart have the same head, and only they.
        refusal: how a refusal of it begins, in the same sense; empty where the protocol has none.
        repeatable: asking twice does no more than asking once (reads).
        silence_s: silence that its protocol wants on the line before it, where that is more than the line keeps [s].
        mirrored: the regular answer repeats the request, so that a line echo looks like it.
    """

    request: bytes
    answer_length: int
    partner: Hashable
    head: bytes
    refusal: bytes
    silence_s: float
    repeatable: bool
    mirrored: bool

    def look(self, received: bytes) -> T_co | None:
        """Searches the answer in what came in; None: not there yet; raises what the device refused."""
        ...

    def variants(self) -> "Sequence[Exchange[Any]]":
        """Harmless requests to the same partner whose answers have other heads, the likeliest to be answered first."""
        ...
