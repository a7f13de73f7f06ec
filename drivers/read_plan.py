"""Fewest, cheapest legal reads for a set of points: which registers to fetch together, and which gaps to bridge. Pure.

The cost of a read of n registers is C0 + n C1; what C0 and C1 are is a property of the line (`LineCost`). Which points
are due, and when, is the business of `drivers.device`.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from drivers.profile import ADDRESS_MAX, BITS_PER_READ_MAX, Limits, PointSpec

BITS_PER_REGISTER = 16
READ_FUNCTION_BITS_LAST = 2
"""Functions 1 and 2 read bits, 3 and 4 registers."""
FAST_BAUD = 19200
"""Above it the gap of 3.5 characters is a fixed time. Source: MODBUS over Serial Line V1.02, 2.5.1.1."""
FAST_GAP_S = 0.00175


@dataclass(frozen=True, slots=True)
class Span:
    """One read: neighbouring registers (or bits) under one function code.

    Attributes:
        function: 1 coils, 2 discrete inputs, 3 holding registers, 4 input registers.
        address: first, as in the request, 0-based.
        count: how many.
    """

    function: int
    address: int
    count: int

    @property
    def end(self) -> int:
        """First address behind it."""
        return self.address + self.count


@dataclass(frozen=True, slots=True)
class LineCost:
    """What a read costs on a line.

    Attributes:
        request_s: any read, however short [s].
        register_s: each register in it [s].
        turnaround_s: the part of `request_s` that the unit takes to think, not the wire [s].
    """

    request_s: float
    register_s: float
    turnaround_s: float = 0.0

    def price_s(self, span: "Span") -> float:
        """Wall time of one read [s]. Bits come packed; their bytes are counted as whole registers."""
        if span.function <= READ_FUNCTION_BITS_LAST:
            return self.request_s + self.register_s * -(-span.count // BITS_PER_REGISTER)
        return self.request_s + self.register_s * span.count

    def paced(self, turnaround_s: float) -> "LineCost":
        """The same line with a unit that takes another time to think [s]."""
        return replace(self, request_s=self.request_s - self.turnaround_s + turnaround_s, turnaround_s=turnaround_s)

    @classmethod
    def serial(cls, *, baud: int, bits_per_character: int, turnaround_s: float) -> "LineCost":
        """Cost on RS-485: request 8 characters, answer 5 and two a register, turnaround, gap of 3.5 characters.

        Source: MODBUS over Serial Line V1.02, 2.5.1.1.
        """
        character_s = bits_per_character / baud
        wire_s = 13 * character_s + gap_s(baud=baud, character_s=character_s)
        return cls(wire_s + turnaround_s, 2 * character_s, turnaround_s)

    @classmethod
    def tcp(cls, *, turnaround_s: float) -> "LineCost":
        """Cost on TCP: the turnaround; length does not count."""
        return cls(turnaround_s, 0.0, turnaround_s)


def gap_s(*, baud: int, character_s: float) -> float:
    """Returns the silence that separates frames [s].

    Source: MODBUS over Serial Line V1.02, 2.5.1.1.
    """
    return FAST_GAP_S if baud > FAST_BAUD else 3.5 * character_s


@dataclass(frozen=True, slots=True)
class Want:
    """Registers that must come from one request, and whom they are for: a point, or an atomic group of points.

    Attributes:
        names: the points.
        span: from the first to the last register they need.
    """

    names: tuple[str, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Read:
    """One request of a plan and the points that it serves."""

    span: Span
    names: tuple[str, ...]


def wants_of(specs: Iterable[PointSpec]) -> list[Want]:
    """Groups points into what must come from one request: atomic groups whole, all others alone."""
    groups: dict[str, list[PointSpec]] = {}
    for spec in specs:
        groups.setdefault(f"group {spec.atomic}" if spec.atomic else spec.name, []).append(spec)
    wants = []
    for members in groups.values():
        first = min(spec.first for spec in members)
        end = max(spec.first + spec.count for spec in members)
        wants.append(Want(tuple(spec.name for spec in members), Span(members[0].function, first, end - first)))
    return wants


def read_plan(wants: Iterable[Want], *, cost: LineCost, limits: Limits, holes: Sequence[Span] = ()) -> list[Read]:
    """Finds the cheapest set of reads that covers all wants.

    Per function code: wants sorted by address; best[j] = min over i < j of best[i] + C0 + C1 (end - start) where
    i..j-1 are read at once. A want alone is always read, whatever the limits say (the profile has been checked); limits
    decide about merging. No read reaches beyond its outermost wants: what a profile says of legal addresses holds.

    Args:
        wants: what is needed.
        cost: of a read on this line.
        limits: of the device model.
        holes: registers that this device was seen to refuse; no merged read covers them. A hole without registers
            (count 0) is a seam: no merged read crosses from the register before its address to that address.

    Returns:
        Reads by function code and address.
    """
    by_function: defaultdict[int, list[Want]] = defaultdict(list)
    for want in wants:
        by_function[want.span.function].append(want)
    reads: list[Read] = []
    for function in sorted(by_function):
        barred = [(low, high) for kind, low, high in limits.forbidden if kind == function]
        barred += [(hole.address, hole.end - 1) for hole in holes if hole.function == function]
        count_max = BITS_PER_READ_MAX if function <= READ_FUNCTION_BITS_LAST else limits.registers_max
        if not limits.block_read:
            count_max = 0
        reads += _cheapest(by_function[function], cost=cost, count_max=count_max, barred=barred)
    return reads


def _cheapest(wants: list[Want], *, cost: LineCost, count_max: int, barred: list[tuple[int, int]]) -> list[Read]:
    """The dynamic programme for one function code."""
    wants = sorted(wants, key=lambda want: (want.span.address, want.span.end))
    best_s = [0.0] + [float("inf")] * len(wants)
    barred = sorted(barred)
    start = [0] * (len(wants) + 1)  # start[j]: first want of the last read in the best plan of the first j wants
    for i, first in enumerate(wants):
        end = 0
        low = first.span.address
        wall = _next_barred(barred, low)
        for j in range(i, len(wants)):
            end = max(end, wants[j].span.end)
            if j > i and (end - low > count_max or end > wall):
                break
            price_s = best_s[i] + cost.price_s(Span(first.span.function, low, end - low))
            if price_s < best_s[j + 1]:
                best_s[j + 1], start[j + 1] = price_s, i
    reads: list[Read] = []
    j = len(wants)
    while j:
        i = start[j]
        chosen = wants[i:j]
        low = chosen[0].span.address
        end = max(want.span.end for want in chosen)
        names = tuple(dict.fromkeys(name for want in chosen for name in want.names))
        reads.append(Read(Span(chosen[0].span.function, low, end - low), names))
        j = i
    return reads[::-1]


def _next_barred(barred: list[tuple[int, int]], address: int) -> int:
    """First address at or above `address` that a merged read may not touch; a seam counts from the register before."""
    return min((max(low, address) for low, high in barred if high >= address), default=ADDRESS_MAX + 1)
