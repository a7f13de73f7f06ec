"""Reads stretches of registers of a unit that may refuse some of them: blocks first, smaller ones where it says no."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from drivers.bus.base import Bus, Span
from drivers.errors import DeviceRefused, DriverError, LineDown, NoAnswer, ProtocolFault

BLOCK = 32
"""Registers asked for at a time: some units take no more, and an answer of 69 bytes stays short."""
TRIES = 2
SILENT_MAX = 6
DEAD_SILENT_MAX = 2
"""Spans that may stay silent before the unit is taken for gone; a unit that answers bad requests with silence costs
its time-out for each."""


@dataclass(slots=True)
class Reached:
    """What was read.

    Attributes:
        image: (function, address) -> register.
        refused: spans answered with an exception, and its code.
        silent: spans that nobody answered.
        damaged: spans answered by something that was no answer.
    """

    image: dict[tuple[int, int], int] = field(default_factory=dict)
    refused: dict[Span, int] = field(default_factory=dict)
    silent: list[Span] = field(default_factory=list)
    damaged: list[Span] = field(default_factory=list)


async def reach(
    bus: Bus,
    unit: int,
    spans: Iterable[Span],
    *,
    into: Reached | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Reached:
    """Reads spans of registers, halving those that the unit refuses. Reads only.

    Args:
        bus: open.
        unit: number.
        spans: to be read.
        into: what was read before.
        progress: told before each question how many registers are settled, and how many there are.

    Raises:
        LineDown: the wire is not there.
    """
    reached = into or Reached()
    waiting = [part for span in spans for part in _blocks(span)]
    waiting.reverse()
    total = sum(span.count for span in waiting)
    while waiting:
        progress(total - sum(span.count for span in waiting), total)
        span = waiting.pop()
        try:
            registers = await _ask(bus, unit, span)
        except LineDown:
            raise
        except DeviceRefused as error:
            if span.count == 1:
                reached.refused[span] = error.code
                if error.code == 1:  # the whole function is unknown to it
                    waiting = [other for other in waiting if other.function != span.function]
            else:
                waiting += _halves(span)
        except ProtocolFault:
            reached.damaged.append(span)
        except DriverError:
            reached.silent.append(span)
            if len(reached.silent) >= (SILENT_MAX if reached.image or reached.refused else DEAD_SILENT_MAX):
                break
            if span.count > 1 and reached.image:
                waiting += _halves(span)
        else:
            for place, register in enumerate(registers):
                reached.image[span.function, span.address + place] = register
    progress(total, total)
    return reached


async def _ask(bus: Bus, unit: int, span: Span) -> tuple[int, ...]:
    for again in reversed(range(TRIES)):
        try:
            return await bus.read(span, unit=unit)
        except (NoAnswer, ProtocolFault):
            if not again:
                raise
    raise AssertionError("unreachable")


def _blocks(span: Span) -> list[Span]:
    return [Span(span.function, first, min(BLOCK, span.end - first)) for first in range(span.address, span.end, BLOCK)]


def _halves(span: Span) -> list[Span]:
    """Both halves, the upper one first: the caller takes from the end."""
    low = span.count // 2
    return [
        Span(span.function, span.address + low, span.count - low),
        Span(span.function, span.address, low),
    ]


def around(function: int, address: int, *, before: int, behind: int) -> Span:
    """The span around an address, inside what addresses can be."""
    first = max(0, address - before)
    last = min(0xFFFF, address + behind)
    return Span(function, first, last - first + 1)
