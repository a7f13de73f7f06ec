"""Measures what polling costs on a wire, request by request, and compares it with what the wire itself allows.

It stands between a device and its bus and changes nothing; whatever the device asks is passed on and timed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from drivers.bus.base import Bus, BusCounts, Span, UnitTiming
from drivers.errors import DeviceRefused, DriverError, NoAnswer
from drivers.read_plan import READ_FUNCTION_BITS_LAST, gap_s

REQUEST_CHARACTERS = 8
ANSWER_CHARACTERS = 5
"""Frames of a read without its data. Source: MODBUS over Serial Line V1.02, 2.5.1; Application Protocol V1.1b3, 6."""
BUSY_RATIO = 0.8
SLOW_S = 0.1
WIRE_BOUND_RATIO = 0.6
LOW_EFFICIENCY_RATIO = 0.9


@dataclass(frozen=True, slots=True)
class LineShape:
    """What a serial line charges."""

    baud: int
    character_s: float

    def frame_s(self, span: Span) -> float:
        """Wire time of a read: silence, request and answer, without the unit's own time [s]."""
        data = (span.count + 7) // 8 if span.function <= READ_FUNCTION_BITS_LAST else 2 * span.count
        characters = REQUEST_CHARACTERS + ANSWER_CHARACTERS + data
        return characters * self.character_s + gap_s(baud=self.baud, character_s=self.character_s)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: whom, what, how long it took, and what went wrong (empty: nothing)."""

    unit: int
    span: Span
    took_s: float
    fault: str


class Stopwatch:
    """A bus that notes every read on its way to the real one.

    Args:
        bus: the wire.
        elapsed_s: stop-watch of the machine [s].
    """

    def __init__(self, bus: Bus, *, elapsed_s: Callable[[], float]) -> None:
        self.name = bus.name
        self.cost = bus.cost
        self.asked: list[Asked] = []
        self._bus = bus
        self._elapsed_s = elapsed_s

    @property
    def counts(self) -> BusCounts:
        """What happened on the wire."""
        return self._bus.counts

    @counts.setter
    def counts(self, counts: BusCounts) -> None:
        raise AttributeError(f"{self.name}: the wire counts itself, {counts} is not taken")

    def expect(self, unit: int, timing: UnitTiming) -> None:
        """Passed on."""
        self._bus.expect(unit, timing)

    def miss_s(self, unit: int) -> float:
        """Passed on [s]."""
        return self._bus.miss_s(unit)

    async def open(self) -> None:
        """Passed on."""
        await self._bus.open()

    async def close(self) -> None:
        """Passed on."""
        await self._bus.close()

    async def read(self, span: Span, *, unit: int) -> tuple[int, ...]:
        """Passed on, and timed.

        Raises:
            DriverError: as the wire.
        """
        start_s = self._elapsed_s()
        fault = ""
        try:
            return await self._bus.read(span, unit=unit)
        except DriverError as error:
            kinds = {DeviceRefused: "refused", NoAnswer: "no_answer"}
            fault = kinds.get(type(error), "protocol")
            raise
        finally:
            self.asked.append(Asked(unit, span, self._elapsed_s() - start_s, fault))

    async def write(self, address: int, values: Sequence[int], *, unit: int, function: int, **_: object) -> None:
        """A survey only reads."""
        raise AssertionError(f"{self.name}: a survey writes nothing: {unit} {function} {address} {values}")


@dataclass(frozen=True, slots=True)
class UnitFigures:
    """One unit: its requests in all cycles, its fastest turnaround, how many failed."""

    unit: int
    requests: int
    turnaround_s: float | None
    errors: int


@dataclass(frozen=True, slots=True)
class Figures:
    """One bus.

    Attributes:
        cycles: that were measured.
        requests: of all cycles.
        points: of one cycle.
        cycle_s: median wall time of one cycle [s].
        wire_limit_s: what the same requests need at least: frames, silences, and each unit's fastest turnaround [s].
        errors: requests that failed, all cycles together.
        cpu_ms: processor time of this process for one request [ms].
        load_ratio: share of the bus's time that polling at the configured periods takes.
        frames_ratio: share of the limit that is frames and silences.
        units: in the order of their numbers.
        advice: stable codes of what to do, worded in `edge_agent/texts`.
    """

    cycles: int
    requests: int
    points: int
    cycle_s: float
    wire_limit_s: float
    errors: int
    cpu_ms: float
    load_ratio: float
    frames_ratio: float
    units: tuple[UnitFigures, ...]
    advice: tuple[str, ...] = field(default=())

    @property
    def efficiency_ratio(self) -> float:
        """How close the cycle comes to the limit."""
        return self.wire_limit_s / self.cycle_s if self.cycle_s > 0 else 0.0


def figures(
    asked: Sequence[Asked],
    *,
    cycles_s: Sequence[float],
    points: int,
    cpu_s: float,
    load_ratio: float,
    line: LineShape | None,
) -> Figures:
    """Sums up what was measured.

    Args:
        asked: all requests of all cycles.
        cycles_s: wall time of each cycle [s].
        points: read in one cycle.
        cpu_s: processor time of all cycles [s].
        load_ratio: share of the bus's time that polling takes.
        line: what the wire charges; None: TCP, where a request costs its round trip alone.
    """
    count = len(cycles_s)
    by_unit: dict[int, list[Asked]] = {}
    for one in asked:
        by_unit.setdefault(one.unit, []).append(one)
    fastest_s = {unit: _fastest_s(of_unit, line) for unit, of_unit in by_unit.items()}
    frames_s = sum(0.0 if line is None else line.frame_s(one.span) for one in asked)
    waits_s = sum(fastest_s[one.unit] or 0.0 for one in asked)
    limit_s = (frames_s + waits_s) / count
    errors = sum(bool(one.fault) for one in asked)
    units = tuple(
        UnitFigures(unit, len(of_unit), fastest_s[unit], sum(bool(one.fault) for one in of_unit))
        for unit, of_unit in sorted(by_unit.items())
    )
    found = Figures(
        count,
        len(asked),
        points,
        median(cycles_s),
        limit_s,
        errors,
        1000 * cpu_s / max(1, len(asked)),
        load_ratio,
        frames_s / max(1e-9, frames_s + waits_s),
        units,
    )
    return replace(found, advice=tuple(_advice(found, line)))


def _fastest_s(asked: Sequence[Asked], line: LineShape | None) -> float | None:
    """Shortest time that a unit took by itself [s]; None: it never answered."""
    times = [
        one.took_s - (0.0 if line is None else line.frame_s(one.span)) for one in asked if one.fault in ("", "refused")
    ]
    return max(0.0, min(times)) if times else None


def _advice(found: Figures, line: LineShape | None) -> list[str]:
    advice = []
    if found.errors:
        advice.append("bus_errors")
    if found.load_ratio > 1:
        advice.append("bus_over_period")
    elif found.load_ratio > BUSY_RATIO:
        advice.append("bus_busy")
    if line is not None and found.load_ratio > BUSY_RATIO and found.frames_ratio > WIRE_BOUND_RATIO:
        advice.append("bus_raise_baud")
    if any((unit.turnaround_s or 0.0) > SLOW_S for unit in found.units):
        advice.append("bus_slow_unit")
    if not found.errors and found.efficiency_ratio < LOW_EFFICIENCY_RATIO and line is not None:
        advice.append("bus_latency")
    return advice
