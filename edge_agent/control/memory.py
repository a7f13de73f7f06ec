"""What control must not forget when it is killed: phases, minimum times, starts, regulators; as JSON.

An instant is that of the site's clock. The plant's real state always wins over what is remembered: `sequence.adopt`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, TypeAdapter, ValidationError

from edge_agent.control.command import Expectation

VERSION = 1
STARTS_KEPT = timedelta(hours=26)
"""Starts are kept this long: a civil day has at most 25 h."""
JUMP_MIN = timedelta(seconds=5)
"""A clock that has moved by less against a steady one within a cycle has drifted, not been set. Ours."""
UNTIL_MAX = timedelta(hours=24)
"""Nothing is put off longer than this over a restart. Ours: a day, the longest that oil is heated."""


class Phase(StrEnum):
    """Where a unit is in its sequence."""

    UNKNOWN = "unknown"  # waits for feedback
    LOCAL = "local"  # somebody else's
    TRIPPED = "tripped"  # a person must reset it
    OFF = "off"
    PATH = "path"  # valves to position
    SOURCE_PUMP = "source_pump"
    USER_PUMP = "user_pump"
    FLOW = "flow"
    LEAD = "lead"  # pumps run ahead of the unit
    STARTING = "starting"  # asked to run
    RUNNING = "running"
    STOPPING = "stopping"  # asked to stop, pumps on
    OVERRUN = "overrun"


PREPARING = frozenset({Phase.PATH, Phase.SOURCE_PUMP, Phase.USER_PUMP, Phase.FLOW, Phase.LEAD})
"""Phases before the unit is asked to run."""
ASKED = frozenset({Phase.STARTING, Phase.RUNNING})
"""Phases in which the unit is asked to run."""
NEEDS_SOURCE_PUMP = frozenset(
    {Phase.SOURCE_PUMP, Phase.USER_PUMP, Phase.FLOW, Phase.LEAD, Phase.STARTING, Phase.RUNNING, Phase.STOPPING}
    | {Phase.OVERRUN}
)
NEEDS_USER_PUMP = NEEDS_SOURCE_PUMP - {Phase.SOURCE_PUMP}


@dataclass(frozen=True, slots=True)
class UnitMemory:
    """What is remembered of one unit.

    Attributes:
        phase, since_utc: where it is, and since when.
        mode: the mode it was sequenced into; None while off.
        mode_since_utc: last change of the mode.
        running_since_utc: proven running since; None while it does not run.
        off_since_utc: reported off since; None while it is not off.
        idle_since_utc: off by its own thermostat although asked to run.
        starts_utc: starts of the last day, oldest first.
        starts_total: the unit's own counter, seen last while it ran.
        start_pending: asked to start, and the unit's counter has not moved yet.
        failures: starts in a row that were not proven.
        retry_utc: not tried again before.
        locked_out: failed too often; a person must release it.
        fault, fault_utc: the step that failed last, and when.
        stage: how many stages are asked for; 0 while it is not asked to run, or has none.
        stages_utc: the last two changes of it, oldest first.
        stage_need, stage_need_utc: one stage more or less is needed, and since when.
        run_s: how long it has run in all, the present run not counted [s].
        silent_since_utc: not heard of since; None while it answers.
        cut_since_utc: what is seen during that silence speaks for a loss of its power, since; None: it does not now.
        cut_s: for how long it did so before that, in the same silence [s].
        heat_until_utc: its oil is heated until then, after its power was away.
        danger_since_utc: something that must stop it has been seen since.
        withdrawn_utc: reading in which the request of a running unit was seen withdrawn, once; twice is a stop.
        stop_because: why its stop was begun; the request is withdrawn for the same cause until it has stopped.
        barred_mode, barred_until_utc: the way of this mode was not proven; it is not tried again before.
    """

    phase: Phase = Phase.UNKNOWN
    since_utc: AwareDatetime | None = None
    mode: str | None = None
    mode_since_utc: AwareDatetime | None = None
    running_since_utc: AwareDatetime | None = None
    off_since_utc: AwareDatetime | None = None
    idle_since_utc: AwareDatetime | None = None
    starts_utc: tuple[AwareDatetime, ...] = ()
    starts_total: int | None = None
    start_pending: bool = False
    failures: int = 0
    retry_utc: AwareDatetime | None = None
    locked_out: bool = False
    fault: str = ""
    fault_utc: AwareDatetime | None = None
    stage: int = 0
    stages_utc: tuple[AwareDatetime, ...] = ()
    stage_need: int = 0
    stage_need_utc: AwareDatetime | None = None
    run_s: float = 0.0
    silent_since_utc: AwareDatetime | None = None
    cut_since_utc: AwareDatetime | None = None
    cut_s: float = 0.0
    heat_until_utc: AwareDatetime | None = None
    danger_since_utc: AwareDatetime | None = None
    withdrawn_utc: AwareDatetime | None = None
    stop_because: str = ""
    barred_mode: str | None = None
    barred_until_utc: AwareDatetime | None = None

    def run_h(self, now_utc: datetime) -> float:
        """How long it has run in all, the present run included [h]."""
        since_utc = self.running_since_utc
        present_s = 0.0 if since_utc is None else max(0.0, (now_utc - since_utc).total_seconds())
        return (self.run_s + present_s) / 3600.0

    def age_s(self, now_utc: datetime) -> float:
        """How long it has been in its phase [s]; never negative, so a clock set back only prolongs a wait."""
        return 0.0 if self.since_utc is None else max(0.0, (now_utc - self.since_utc).total_seconds())

    def starts_since(self, from_utc: datetime, *, before_utc: datetime) -> int:
        """How often it was started in [from, before)."""
        return sum(1 for start_utc in self.starts_utc if from_utc <= start_utc < before_utc)


@dataclass(frozen=True, slots=True)
class PumpMemory:
    """What is remembered of a pump.

    Attributes:
        off_since_utc: seen to stand since; None while it runs or is not known.
        turned_since_utc: turned for its own sake since; None while it is not.
    """

    off_since_utc: AwareDatetime | None = None
    turned_since_utc: AwareDatetime | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """A valve's command: where it was sent, and between which instants that may have stood; None: it still does."""

    ratio: float
    since_utc: AwareDatetime
    until_utc: AwareDatetime | None = None


@dataclass(frozen=True, slots=True)
class ValveMemory:
    """What is remembered of a valve that we command (`travel.py`).

    Attributes:
        told: its commands, oldest first, as far back as they count.
        lowest_ratio, highest_ratio: between which a healthy one may stand at the last reading.
        read_utc: when that was taken; None before the first.
        late_utc, late_ratio: outside of that since, and the farthest from it; None while it follows.
        late_rising: it is sent up from there.
    """

    told: tuple[Told, ...] = ()
    lowest_ratio: float = 0.0
    highest_ratio: float = 1.0
    read_utc: AwareDatetime | None = None
    late_utc: AwareDatetime | None = None
    late_ratio: float = 0.0
    late_rising: bool = False


@dataclass(frozen=True, slots=True)
class Doubt:
    """Something that does not fit together: since when, and when that was seen last (`lasting.py`)."""

    since_utc: AwareDatetime
    seen_utc: AwareDatetime


@dataclass(frozen=True, slots=True)
class Still:
    """A sensor that has not moved while water flowed.

    Attributes:
        degc, since_utc: where it stands, and since when.
        lowest_degc, highest_degc: between which its neighbour has moved meanwhile; None: not seen.
        seen_utc: when it was last seen to stand there; None: not known.
    """

    degc: float
    since_utc: AwareDatetime
    lowest_degc: float | None = None
    highest_degc: float | None = None
    seen_utc: AwareDatetime | None = None


@dataclass(frozen=True, slots=True)
class Off:
    """A sensor that is not believed.

    Attributes:
        correction_k: by how much it is corrected.
        found_utc: when that was found last.
        proven: it is wrong; else one of two is, and the other one was taken.
    """

    correction_k: float
    found_utc: AwareDatetime
    proven: bool = False


@dataclass(frozen=True, slots=True)
class WaterMemory:
    """What is remembered of the sensors of one loop.

    Attributes:
        odd: by what is odd (`water.py`).
        still: by point.
        off: by point.
        mixed_k, mixed_utc: by how much the return header may be warmer for what goes round, and when that was reckoned.
    """

    odd: Mapping[str, Doubt] = field(default_factory=dict)
    still: Mapping[str, Still] = field(default_factory=dict)
    off: Mapping[str, Off] = field(default_factory=dict)
    mixed_k: float = 0.0
    mixed_utc: AwareDatetime | None = None


@dataclass(frozen=True, slots=True)
class LoopMemory:
    """What is remembered of the regulation of one loop.

    Attributes:
        discharge_ratio: opening of the tank's discharge valve.
        error_k: last control error of that valve, None before the first.
        regulated_utc: when it was last moved.
        trim_k: slow correction of the units' set-point.
        outdoor_degc: slow mean of the outdoor temperature, the last one known.
        discharging: the tank is wanted as the balance of the loop.
        tank_full: charging has ended because the tank is full.
        lack_since_utc, surplus_since_utc: too cold, too warm since.
        extra_until_utc: units that run in direct mode for comfort, beyond the plan, at least until.
        rested_until_utc: units that are kept off although planned, because their heat found no use.
        unloading_since_utc: units on their way to a stop.
        leaving_since_utc: units that have been let go and are on the loop still, because their new way is not open yet.
        stopped_utc: last stop of a direct unit, so that stops do not bunch.
        tank_used_utc: when the tank's path was last needed.
        held_kw: power ceilings kept, hard and soft.
        caps: load limits under them, by mode.
        other_kw: electricity drawn beside the loop's units.
        charge_rest_until_utc: units that are not started for charging before: it gave way, or their heat found no use.
        spending: the tank gives what the load is above the plan.
        off_plan_since_utc: the plant has been off its plan since.
        replan_utc: when a new plan was asked for last.
    """

    discharge_ratio: float | None = None
    error_k: float | None = None
    regulated_utc: AwareDatetime | None = None
    trim_k: float = 0.0
    outdoor_degc: float | None = None
    discharging: bool = False
    tank_full: bool = False
    loosened: bool = False
    lack_since_utc: AwareDatetime | None = None
    surplus_since_utc: AwareDatetime | None = None
    extra_until_utc: Mapping[str, AwareDatetime] = field(default_factory=dict)
    rested_until_utc: Mapping[str, AwareDatetime] = field(default_factory=dict)
    unloading_since_utc: Mapping[str, AwareDatetime] = field(default_factory=dict)
    leaving_since_utc: Mapping[str, AwareDatetime] = field(default_factory=dict)
    stopped_utc: AwareDatetime | None = None
    tank_used_utc: AwareDatetime | None = None
    held_kw: Mapping[str, float] = field(default_factory=dict)
    caps: Mapping[str, float] = field(default_factory=dict)
    other_kw: float | None = None
    charge_rest_until_utc: Mapping[str, AwareDatetime] = field(default_factory=dict)
    spending: bool = False
    off_plan_since_utc: AwareDatetime | None = None
    replan_utc: AwareDatetime | None = None


@dataclass(frozen=True, slots=True)
class ClockMark:
    """Where the site's clock and a clock that nobody sets stood together.

    Attributes:
        epoch: of the steady clock; its readings of another epoch cannot be compared.
        steady_s: reading of the steady clock [s].
        site_utc: reading of the site's clock.
    """

    epoch: str
    steady_s: float
    site_utc: AwareDatetime


@dataclass(frozen=True, slots=True)
class ControlMemory:
    """Everything.

    Attributes:
        units, loops, pumps: by name.
        expectations: commands whose effect is awaited.
        mark: of the last cycle, to see that the site's clock has been set.
        doubted: what does not fit together, by subject (`doubt.py`).
        achieved: by unit: what it gives for what it was told, as `actuation.learn` writes it.
        waters: of the loops' sensors.
        valves: of the valves that we command.
    """

    units: Mapping[str, UnitMemory] = field(default_factory=dict)
    loops: Mapping[str, LoopMemory] = field(default_factory=dict)
    pumps: Mapping[str, PumpMemory] = field(default_factory=dict)
    expectations: tuple[Expectation, ...] = ()
    mark: ClockMark | None = None
    doubted: Mapping[str, Doubt] = field(default_factory=dict)
    achieved: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    waters: Mapping[str, WaterMemory] = field(default_factory=dict)
    valves: Mapping[str, ValveMemory] = field(default_factory=dict)

    def unit(self, name: str) -> UnitMemory:
        """A unit's memory; nothing known of a new one."""
        return self.units.get(name) or UnitMemory()

    def loop(self, name: str) -> LoopMemory:
        """A loop's memory."""
        return self.loops.get(name, LoopMemory())

    def last_start_utc(self, *, before_utc: datetime) -> datetime | None:
        """The last start of any unit before an instant."""
        starts = [start for unit in self.units.values() for start in unit.starts_utc if start < before_utc]
        return max(starts, default=None)

    def with_unit(self, name: str, unit: UnitMemory) -> "ControlMemory":
        """The same with one unit's memory exchanged."""
        return replace(self, units={**self.units, name: unit})

    def with_loop(self, name: str, loop: LoopMemory) -> "ControlMemory":
        """The same with one loop's memory exchanged."""
        return replace(self, loops={**self.loops, name: loop})


def enter(memory: UnitMemory, phase: Phase, now_utc: datetime) -> UnitMemory:
    """The same unit in another phase, since now."""
    return replace(memory, phase=phase, since_utc=now_utc)


def civil_midnight_utc(now_utc: datetime, timezone: str) -> datetime:
    """Begin of the civil day."""
    local = now_utc.astimezone(ZoneInfo(timezone))
    return local.replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)


def write_memory(memory: ControlMemory) -> str:
    """As JSON text."""
    return _DOCUMENT.dump_json(_Document(VERSION, memory)).decode()


def read_memory(text: str | None) -> ControlMemory:
    """From JSON text; empty, of another version or damaged: nothing is remembered, and minimum times count from now."""
    if not text:
        return ControlMemory()
    try:
        document = _DOCUMENT.validate_json(text)
    except ValidationError:
        return ControlMemory()
    return document.memory if document.version == VERSION else ControlMemory()


def worth_keeping(memory: ControlMemory) -> object:
    """What must be kept as soon as it changes: what was decided or begun, not what drifts from cycle to cycle.

    A service that is killed must not forget that a unit was added for comfort, that a tank was found full, that a
    sensor is not believed, or when something began to last.
    """
    loops = {
        name: (
            (loop.discharging, loop.tank_full, loop.loosened, loop.spending),
            (loop.stopped_utc, loop.replan_utc),
            (loop.lack_since_utc, loop.surplus_since_utc, loop.off_plan_since_utc),
            loop.unloading_since_utc,
            loop.leaving_since_utc,
            tuple(frozenset(until) for until in (loop.extra_until_utc, loop.rested_until_utc)),
            frozenset(loop.charge_rest_until_utc),
            frozenset(loop.caps),
        )
        for name, loop in memory.loops.items()
    }
    odd = {name: _begins(water.odd) for name, water in memory.waters.items()}
    return memory.units, memory.pumps, memory.expectations, loops, _begins(memory.doubted), odd


def _begins(doubts: Mapping[str, Doubt]) -> dict[str, datetime]:
    return {subject: doubt.since_utc for subject, doubt in doubts.items()}


def resume(memory: ControlMemory, *, now_utc: datetime) -> ControlMemory:
    """What counts after a restart: a start that was under way begins its present step anew; regulators begin afresh."""
    units = {
        name: replace(unit, since_utc=now_utc) if unit.phase in PREPARING | {Phase.STARTING} else unit
        for name, unit in memory.units.items()
    }
    loops = {
        name: replace(loop, discharge_ratio=None, error_k=None, regulated_utc=None)
        for name, loop in memory.loops.items()
    }
    # What the valves were told meanwhile nobody knows; a regulator goes on from where its valve stands.
    return _believable(replace(memory, units=units, loops=loops, valves={}), now_utc)


def after_boot(memory: ControlMemory, *, epoch: str) -> ControlMemory:
    """Units have not been heard of since the last mark if the machine was off too: the power may have been away."""
    mark = memory.mark
    if mark is None or mark.epoch == epoch:
        return memory
    units = {
        name: replace(
            unit,
            silent_since_utc=unit.silent_since_utc or mark.site_utc,
            cut_since_utc=unit.cut_since_utc or mark.site_utc,
        )
        for name, unit in memory.units.items()
    }
    return replace(memory, units=units)


def clock_jump(mark: ClockMark | None, *, now_utc: datetime, epoch: str, steady_s: float) -> timedelta:
    """By how much the site's clock has been set since a mark; none when that cannot be told, or is only its drift."""
    if mark is None or mark.epoch != epoch:
        return timedelta(0)
    jump = (now_utc - mark.site_utc) - timedelta(seconds=steady_s - mark.steady_s)
    return jump if abs(jump) >= JUMP_MIN else timedelta(0)


def shifted(memory: ControlMemory, by: timedelta) -> ControlMemory:
    """The same memory on a clock that has been set: every age stays what it was, no minimum time is cut short."""
    moved = _moved(memory, lambda _name, instant_utc: instant_utc + by)
    assert isinstance(moved, ControlMemory)
    return moved


def _believable(memory: ControlMemory, now_utc: datetime) -> ControlMemory:
    """Without instants from the future: the clock was set back while nobody looked, and nothing may wait for years."""

    def limit(name: str, instant_utc: datetime) -> datetime:
        ahead = UNTIL_MAX if "until" in name or "retry" in name else timedelta(0)
        return min(instant_utc, now_utc + ahead)

    moved = _moved(memory, limit)
    assert isinstance(moved, ControlMemory)
    return moved


def _moved(value: object, move: Callable[[str, datetime], datetime], name: str = "") -> object:
    if isinstance(value, datetime):
        return move(name, value)
    if isinstance(value, tuple):
        return tuple(_moved(item, move, name) for item in value)
    if isinstance(value, Mapping):
        return {key: _moved(item, move, name) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return replace(
            value, **{entry.name: _moved(getattr(value, entry.name), move, entry.name) for entry in fields(value)}
        )
    return value


@dataclass(frozen=True, slots=True)
class _Document:
    """What is kept."""

    version: int
    memory: ControlMemory


_DOCUMENT = TypeAdapter(_Document)
