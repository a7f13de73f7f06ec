"""What the plant may still draw in the meter's present demand window, and what limits say of it. Pure.

The meter decides what is billed, so the windows are its own: learned from its elapsed time or from the moment at which
its running demand falls back. As long as they are not known, every window that could hold the present is kept: sliding.
Time that was not seen counts as drawn at the limit. What is done about it is the business of `loop/shed.py`.

Source: demand is the mean over a window of 15 min as a rule (Chinese tariffs for demand charges; IEC 62053-21 meters).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from edge_agent.control.view import SECONDS_PER_HOUR, PlantView
from edge_agent.settings.model import SiteFile

GAP_S_MAX = 150.0
"""Readings farther apart than this are not joined by a straight line. Ours: two polls of a slow meter and some."""
SLICES_PER_WINDOW = 60
"""History is kept in slices of at least this share of a window."""
RESET_RATIO = 0.5
"""A running demand that falls below this share of its last value has begun a new window. Ours: a sliding demand falls
by one part in a window's readings only."""
RESET_KW_MIN = 5.0
"""... if it stood at least here. Ours."""
CLOCK_S = 2.0
"""What a meter's own elapsed time is late by on the bus, and what its clock drifts from one window to the next [s]."""
REACT_S = 180.0
"""A unit follows a load limit within about this time: what a window does sooner cannot be changed any more. Ours."""
TOLERANCE_RATIO = 0.005
"""A window that will end this little above its limit is let go on: less than the margin, and no cause to shed. Ours."""
BURST_RATIO = 1.5
"""However little was used: what is drawn at the end of a window is drawn at the beginning of the next one too. Ours."""
HARD_MARGIN_RATIO = 0.02
"""Kept below a hard limit: error of a class 1 meter chain and of readings between polls. Ours."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the main meter said.

    Attributes:
        instant_utc: when it was read.
        power_kw: mean or present power.
        energy_kwh: its register, None if it has none; fills gaps.
        running_kw: demand of its present window so far, None if it does not tell.
        elapsed_s: age of its present window, likewise.
    """

    instant_utc: datetime
    power_kw: float
    energy_kwh: float | None = None
    running_kw: float | None = None
    elapsed_s: float | None = None


@dataclass(frozen=True, slots=True)
class Slice:
    """Energy drawn in [from, to)."""

    from_utc: datetime
    to_utc: datetime
    energy_kwh: float

    def within_kwh(self, from_utc: datetime, to_utc: datetime) -> tuple[float, float]:
        """Energy and seconds of it that lie in a span."""
        overlap_s = (min(self.to_utc, to_utc) - max(self.from_utc, from_utc)).total_seconds()
        whole_s = (self.to_utc - self.from_utc).total_seconds()
        if overlap_s <= 0.0 or whole_s <= 0.0:
            return 0.0, 0.0
        return self.energy_kwh * overlap_s / whole_s, overlap_s


@dataclass(frozen=True, slots=True)
class Edge:
    """An edge of the meter's windows, known to lie in [from, to]; the others are whole windows away."""

    from_utc: datetime
    to_utc: datetime


@dataclass(frozen=True, slots=True)
class DemandMemory:
    """History of the last window's length, and where its edges lie.

    Attributes:
        last: newest reading.
        slices: oldest first, not overlapping.
        edge: None: not learned yet.
    """

    last: Reading | None = None
    slices: tuple[Slice, ...] = ()
    edge: Edge | None = None


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a limit leaves.

    Attributes:
        allowed_kw: may be drawn from now on to the window's end; of a sliding window: for a whole window to come.
        projected_kw: mean of the window if the present power goes on.
        from_utc, to_utc: the window; sliding: the one that ends now.
        sliding: edges are not known.
    """

    allowed_kw: float
    projected_kw: float
    from_utc: datetime
    to_utc: datetime
    sliding: bool


# ------------------------------------------------------------------------------------------------------------ observe


def observe(memory: DemandMemory, reading: Reading, *, window: timedelta) -> DemandMemory:
    """Takes in a reading; one that is not newer changes nothing.

    Args:
        memory: before.
        reading: of the main meter.
        window: length of a demand window.
    """
    last = memory.last
    if not math.isfinite(reading.power_kw):
        return memory
    if last is None or reading.instant_utc < last.instant_utc - window:
        # The first one, or the clock was set back: nothing is known of this time.
        kept = memory.edge if last is None else None
        return replace(memory, last=reading, slices=(), edge=_told(reading) or kept)
    if reading.instant_utc <= last.instant_utc:
        return memory
    edge = _told(reading) or _fallen(last, reading, window=window)
    oldest_utc = reading.instant_utc - window
    slices = [entry for entry in memory.slices if entry.to_utc > oldest_utc]
    energy_kwh = _between_kwh(last, reading)
    if energy_kwh is not None:
        slices = _appended(slices, Slice(last.instant_utc, reading.instant_utc, energy_kwh), window=window)
    return DemandMemory(reading, tuple(slices), _narrowed(memory.edge, edge, window=window))


def watch_demand(memory: DemandMemory, view: PlantView, *, window: timedelta) -> DemandMemory:
    """Takes in what the main meter says in a view; nothing new changes nothing."""
    meter = view.main_meter
    if meter.read_utc is None or meter.power_kw is None:
        return memory
    reading = Reading(meter.read_utc, meter.power_kw, meter.energy_kwh, meter.running_kw, meter.elapsed_s)
    return observe(memory, reading, window=window)


def shifted(memory: DemandMemory, jump: timedelta) -> DemandMemory:
    """The same after the site's clock was set: what was drawn was drawn as long ago as before."""
    return DemandMemory(
        last=None if memory.last is None else replace(memory.last, instant_utc=memory.last.instant_utc + jump),
        slices=tuple(
            replace(entry, from_utc=entry.from_utc + jump, to_utc=entry.to_utc + jump) for entry in memory.slices
        ),
        edge=None if memory.edge is None else Edge(memory.edge.from_utc + jump, memory.edge.to_utc + jump),
    )


def _between_kwh(last: Reading, reading: Reading) -> float | None:
    """Energy between two readings; None if they are too far apart and no register fills the gap."""
    seconds = (reading.instant_utc - last.instant_utc).total_seconds()
    if seconds <= GAP_S_MAX:
        return max(0.0, 0.5 * (last.power_kw + reading.power_kw)) * seconds / SECONDS_PER_HOUR
    if last.energy_kwh is None or reading.energy_kwh is None or reading.energy_kwh < last.energy_kwh:
        return None
    return reading.energy_kwh - last.energy_kwh


def _appended(slices: list[Slice], new: Slice, *, window: timedelta) -> list[Slice]:
    """With one more slice; short neighbours become one."""
    if slices and slices[-1].to_utc == new.from_utc:
        joined_s = (new.to_utc - slices[-1].from_utc).total_seconds()
        if joined_s * SLICES_PER_WINDOW <= window.total_seconds():
            joined = Slice(slices[-1].from_utc, new.to_utc, slices[-1].energy_kwh + new.energy_kwh)
            return [*slices[:-1], joined]
    return [*slices, new]


# -------------------------------------------------------------------------------------------------------------- edges


def _told(reading: Reading) -> Edge | None:
    """The edge that the meter's own elapsed time tells."""
    if reading.elapsed_s is None or not math.isfinite(reading.elapsed_s):
        return None
    begun_utc = reading.instant_utc - timedelta(seconds=max(0.0, reading.elapsed_s))
    return Edge(begun_utc - timedelta(seconds=CLOCK_S), begun_utc)


def _fallen(last: Reading, reading: Reading, *, window: timedelta) -> Edge | None:
    """The edge between two readings if the running demand fell back to its beginning there."""
    before_kw, now_kw = last.running_kw, reading.running_kw
    if before_kw is None or now_kw is None or reading.instant_utc - last.instant_utc > window / 2:
        return None
    if before_kw < RESET_KW_MIN or now_kw >= RESET_RATIO * before_kw:
        return None
    return Edge(last.instant_utc, reading.instant_utc)


def _narrowed(known: Edge | None, seen: Edge | None, *, window: timedelta) -> Edge | None:
    """What is known and what was just seen, together; when they contradict each other, what was just seen."""
    if seen is None or known is None:
        return seen or known
    count = round((seen.from_utc - known.from_utc) / window)
    drift = timedelta(seconds=CLOCK_S) if count else timedelta(0)
    moved = Edge(known.from_utc + count * window - drift, known.to_utc + count * window + drift)
    both = Edge(max(moved.from_utc, seen.from_utc), min(moved.to_utc, seen.to_utc))
    return both if both.from_utc <= both.to_utc else seen


# ---------------------------------------------------------------------------------------------------------- allowance


def allowance(memory: DemandMemory, now_utc: datetime, *, limit_kw: float, window: timedelta) -> Allowance:
    """What may be drawn so that no window's mean exceeds the limit.

    Args:
        memory: history.
        now_utc: the present instant.
        limit_kw: of a window's mean.
        window: length of a window.
    """
    power_kw = limit_kw if memory.last is None else max(0.0, memory.last.power_kw)
    history = _up_to(memory, now_utc)
    if memory.edge is None:
        allowed_kw = _sliding_kw(history, now_utc, limit_kw=limit_kw, window=window)
        used_kwh = _used_kwh(history, now_utc - window, now_utc, limit_kw=limit_kw)
        mean_kw = used_kwh * SECONDS_PER_HOUR / window.total_seconds()
        return Allowance(allowed_kw, mean_kw, now_utc - window, now_utc, sliding=True)
    edge = memory.edge
    middle_utc = edge.from_utc + (edge.to_utc - edge.from_utc) / 2
    # An edge that is known to the minute only is kept at both ends of that minute.
    allowed_kw = min(
        _fixed_kw(history, now_utc, begun_utc=_begin(at_utc, now_utc, window), limit_kw=limit_kw, window=window)
        for at_utc in (edge.from_utc, middle_utc, edge.to_utc)
    )
    begun_utc = _begin(middle_utc, now_utc, window)
    used_kwh = _used_kwh(history, begun_utc, now_utc, limit_kw=limit_kw)
    left_s = (begun_utc + window - now_utc).total_seconds()
    mean_kw = (used_kwh * SECONDS_PER_HOUR + power_kw * left_s) / window.total_seconds()
    return Allowance(allowed_kw, mean_kw, begun_utc, begun_utc + window, sliding=False)


def _up_to(memory: DemandMemory, now_utc: datetime) -> Sequence[Slice]:
    """The history, with the newest power held from its reading to now, unless that is too long ago."""
    last = memory.last
    if last is None or not 0.0 < (now_utc - last.instant_utc).total_seconds() <= GAP_S_MAX:
        return memory.slices
    held_kwh = max(0.0, last.power_kw) * (now_utc - last.instant_utc).total_seconds() / SECONDS_PER_HOUR
    return (*memory.slices, Slice(last.instant_utc, now_utc, held_kwh))


def _begin(edge_utc: datetime, now_utc: datetime, window: timedelta) -> datetime:
    return edge_utc + math.floor((now_utc - edge_utc) / window) * window


def _used_kwh(history: Sequence[Slice], from_utc: datetime, to_utc: datetime, *, limit_kw: float) -> float:
    """Energy of a span; what was not seen of it counts at the limit."""
    used_kwh, seen_s = 0.0, 0.0
    for entry in history:
        energy_kwh, seconds = entry.within_kwh(from_utc, to_utc)
        used_kwh += energy_kwh
        seen_s += seconds
    unseen_s = max(0.0, (to_utc - from_utc).total_seconds() - seen_s)
    return used_kwh + limit_kw * unseen_s / SECONDS_PER_HOUR


def _fixed_kw(
    history: Sequence[Slice], now_utc: datetime, *, begun_utc: datetime, limit_kw: float, window: timedelta
) -> float:
    used_kwh = _used_kwh(history, begun_utc, now_utc, limit_kw=limit_kw)
    left_s = (begun_utc + window - now_utc).total_seconds()
    left_kwh = limit_kw * window.total_seconds() / SECONDS_PER_HOUR - used_kwh
    return min(max(0.0, left_kwh * SECONDS_PER_HOUR / max(left_s, 1.0)), BURST_RATIO * limit_kw)


def _sliding_kw(history: Sequence[Slice], now_utc: datetime, *, limit_kw: float, window: timedelta) -> float:
    """Least over the windows that hold the present: what each leaves, spread over what of it is still to come.

    Between two edges of the history that figure moves in one direction only, so the edges alone decide. Windows that
    end before a unit could follow are left out: they have what they have, and the limit itself is never exceeded.
    """
    length_s = window.total_seconds()
    oldest_utc = now_utc - window
    starts = {entry.from_utc for entry in history} | {entry.to_utc for entry in history} | {now_utc}
    energy_kwh = limit_kw * length_s / SECONDS_PER_HOUR
    least_kw = limit_kw
    for start_utc in starts:
        ahead_s = (start_utc - oldest_utc).total_seconds()
        if not min(REACT_S, length_s) <= ahead_s <= length_s:
            continue
        used_kwh = _used_kwh(history, start_utc, now_utc, limit_kw=limit_kw)
        least_kw = min(least_kw, (energy_kwh - used_kwh) * SECONDS_PER_HOUR / ahead_s)
    return max(0.0, least_kw)


# ------------------------------------------------------------------------------------------------------------- limits


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit of the plant's electric power.

    Attributes:
        code: grid, contract, event (demand response), peak (the plan's or the month's highest demand).
        power_kw: the limit.
        hard: may cost comfort.
        windowed: holds for the mean of a window; else for every instant.
    """

    code: str
    power_kw: float
    hard: bool
    windowed: bool


@dataclass(frozen=True, slots=True)
class Ceiling:
    """What the plant may draw now.

    Attributes:
        allowed_kw: at most, until the window ends.
        steady_kw: what may be aimed at for longer.
        code: of the limit that decides.
    """

    allowed_kw: float
    steady_kw: float
    code: str


@dataclass(frozen=True, slots=True)
class Ceilings:
    """The hard and the soft one; None: nothing limits."""

    hard: Ceiling | None = None
    soft: Ceiling | None = None


def limits_now(site: SiteFile, *, event_kw: float | None, peak_kw: float | None) -> tuple[Limit, ...]:
    """The limits in force.

    Args:
        site: the connection's limits.
        event_kw: of a demand-response call or another agreed limit in force; None: none.
        peak_kw: highest demand that is paid for anyway or planned; money, so it never costs comfort. None: no charge.
    """
    found = [
        ("grid", site.limits.grid_kw_max, True, False),
        ("contract", site.limits.contract_demand_kw, True, True),
        ("event", event_kw, True, True),
        ("peak", peak_kw, False, True),
    ]
    return tuple(
        Limit(code, power_kw * (1.0 - HARD_MARGIN_RATIO) if hard else power_kw, hard, windowed)
        for code, power_kw, hard, windowed in found
        if power_kw is not None
    )


def ceilings(memory: DemandMemory, now_utc: datetime, *, limits: Sequence[Limit], window: timedelta) -> Ceilings:
    """The lowest hard and the lowest soft ceiling."""
    hard: list[Ceiling] = []
    soft: list[Ceiling] = []
    for limit in limits:
        allowed_kw = limit.power_kw
        if limit.windowed:
            found = allowance(memory, now_utc, limit_kw=limit.power_kw, window=window)
            allowed_kw = _kept_kw(found, memory, now_utc, limit_kw=limit.power_kw)
        (hard if limit.hard else soft).append(Ceiling(allowed_kw, min(allowed_kw, limit.power_kw), limit.code))
    return Ceilings(*(min(found, key=lambda entry: entry.allowed_kw, default=None) for found in (hard, soft)))


def _kept_kw(found: Allowance, memory: DemandMemory, now_utc: datetime, *, limit_kw: float) -> float:
    """What is allowed, without alarm at the end of a window, when next to nothing can still be changed."""
    allowed_kw = found.allowed_kw
    if found.sliding or allowed_kw >= limit_kw:
        return allowed_kw
    if memory.last is not None and found.projected_kw <= limit_kw * (1.0 + TOLERANCE_RATIO):
        allowed_kw = max(allowed_kw, min(memory.last.power_kw, limit_kw))
    share_ratio = min(1.0, (found.to_utc - now_utc).total_seconds() / REACT_S)
    return limit_kw - (limit_kw - allowed_kw) * share_ratio
