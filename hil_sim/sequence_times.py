"""How long each step of a unit's start and stop took on the wires, against what the site's configuration allows. Pure.

Two kinds of marks count: a command that reached its device, and a reading that was served. Both are the simulator's
own; the agent's word is not asked. Not here: how such a run is made (tests/campaigns/sequences.py).
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from edge_agent.settings.model import SiteFile, Unit

OPEN_RATIO: Final = 0.95
"""Position from which a valve counts as open."""
HALF: Final = 0.5
STATE_RUNNING: Final = 2.0
"""In the state register of the house maps."""
STANDS_RATIO: Final = 0.02
"""Electric power below this share of the rated heat: the compressor stands."""
LOADED_RATIO: Final = 0.9
"""A unit counts as loaded at this share of the most that it gave."""
ROUNDING_S: Final = 1e-3
CYCLE_JITTER_S: Final = 0.5
"""A wait between two commands is kept from cycle to cycle; on the wire they come so much earlier or later, as the
writes before them in the same cycle take their time."""

Point = tuple[str, str]
Is = Callable[[float], bool]


@dataclass(slots=True)
class Marks:
    """What was commanded and shown: per point, each change with its instant [simulated s].

    Attributes:
        changes: (device, quantity) -> instants and values, oldest first.
    """

    changes: dict[Point, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))

    def note(self, point: Point, value: float | None, *, instant_s: float) -> None:
        """Notes a value; one that is as before is no mark."""
        changes = self.changes[point]
        if value is not None and (not changes or changes[-1][1] != value):
            changes.append((instant_s, value))

    def first(self, point: Point, wanted: Is, *, from_s: float) -> float | None:
        """When a point first was as wanted at or after an instant; the instant itself if it was so already."""
        changes = self.changes.get(point, [])
        for (begin_s, value), end_s in zip(changes, [begin for begin, _ in changes[1:]] + [float("inf")], strict=True):
            if wanted(value) and end_s > from_s:
                return max(begin_s, from_s)
        return None

    def last_turn(self, point: Point, wanted: Is, *, before_s: float) -> float | None:
        """When a point last turned to what is wanted, before an instant."""
        changes = self.changes.get(point, [])
        turns = [
            instant_s
            for (_, before), (instant_s, value) in pairwise([(0.0, float("nan")), *changes])
            if wanted(value) and not wanted(before) and instant_s <= before_s
        ]
        return turns[-1] if turns else None


@dataclass(frozen=True, slots=True)
class Allowed:
    """What the configuration says [s]."""

    valve_travel_s: float
    valve_margin_s: float
    pump_proof_s: float
    flow_proof_s: float
    pump_lead_s: float
    stagger_s: float
    unit_start_s: float
    ramp_watch_s: float
    unit_stop_s: float
    pump_overrun_s: float
    min_on_s: float
    stage_up_s: float
    stage_proof_s: float


@dataclass(frozen=True, slots=True)
class Wiring:
    """Where a unit's commands and readings are; each on its own device.

    Attributes:
        name: of the unit.
        kind: what it can be told, in words.
        run: 1 asks it to run.
        state: what shows that it runs.
        runs: whether such a reading says so.
        flows: both flow switches.
        source_pump: its command; `source_pump_runs` is its feedback, and so on.
        power: electric power [kW].
        heat_kw_rated: its rating.
        stages: for each stage after the first: its command and value, its feedback and value.
        path: command and position of the valve on its way, for a unit that charges.
        stages_called: a stage that is let in must come; False: its own thermostat decides, the number is a limit.
    """

    name: str
    kind: str
    run: Point
    state: Point
    runs: Is
    flows: tuple[Point, Point]
    source_pump: Point
    source_pump_runs: Point
    user_pump: Point
    user_pump_runs: Point
    power: Point
    heat_kw_rated: float
    stages: Sequence[tuple[Point, float, Point, float]] = ()
    path: tuple[Point, Point] | None = None
    stages_called: bool = True


@dataclass(frozen=True, slots=True)
class Row:
    """One step: how long it took, and between what it had to lie; None: no such bound, or it was not seen.

    Attributes:
        between_commands: both ends are commands of ours.
    """

    unit: str
    step: str
    took_s: float | None
    least_s: float | None = None
    most_s: float | None = None
    between_commands: bool = False

    @property
    def good(self) -> bool:
        """Whether it was seen, and within its bounds."""
        if self.took_s is None:
            return False
        above = self.least_s is None or self.took_s >= self.least_s - (CYCLE_JITTER_S if self.between_commands else 0.0)
        return above and (self.most_s is None or self.took_s <= self.most_s)


def allowed_by(site: SiteFile) -> Allowed:
    """What a site's configuration says; of times that each unit has its own of, the least for what must be waited."""
    control, units = site.control, site.units.values()
    staged = [unit for unit in units if unit.stage_ratios] or list(units)
    return Allowed(
        valve_travel_s=max((valve.travel_s for valve in site.valves.values()), default=0.0),
        valve_margin_s=control.valve_margin_s,
        pump_proof_s=control.pump_proof_s,
        flow_proof_s=control.flow_proof_s,
        pump_lead_s=control.pump_lead_s,
        stagger_s=control.stagger_s,
        unit_start_s=control.unit_start_s,
        ramp_watch_s=control.ramp_watch_s,
        unit_stop_s=control.unit_stop_s,
        pump_overrun_s=control.pump_overrun_s,
        min_on_s=min(unit.min_on_s for unit in units),
        stage_up_s=min(unit.stage_up_s for unit in staged),
        stage_proof_s=max(unit.stage_proof_s for unit in staged),
    )


def wiring_of(site: SiteFile) -> list[Wiring]:
    """Where the site file says that each unit's commands and readings are."""
    return [_wiring(site, name, unit) for name, unit in site.units.items()]


def _wiring(site: SiteFile, name: str, unit: Unit) -> Wiring:
    contacts = unit.actuation == "contacts"
    source, user = site.pumps[unit.source_pump], site.pumps[unit.user_pump]
    path = None
    if unit.storage is not None:
        valve = site.valves[site.storages[unit.storage].isolating_valve]
        path = ((valve.device, valve.point), (valve.device, valve.feedback or valve.point))
    stages: list[tuple[Point, float, Point, float]] = []
    for place in range(1, len(unit.stage_ratios)):
        if unit.points.stage_contacts:
            shown = unit.points.stage_feedbacks[place - 1]
            stages.append((_split(unit.points.stage_contacts[place - 1]), 1.0, _split(shown), 1.0))
        else:
            stage = float(place + 1)
            stages.append((_point(unit, "stage_request"), stage, _point(unit, "stage_actual"), stage))
    meter = site.meters.units.get(name)
    return Wiring(
        name,
        unit.actuation,
        run=_point(unit, "run_request"),
        state=_point(unit, "running" if contacts else "state"),
        runs=_on if contacts else lambda value: value == STATE_RUNNING,
        flows=(_point(unit, "user_flow"), _point(unit, "source_flow")),
        source_pump=(source.device, source.command),
        source_pump_runs=(source.device, source.feedback),
        user_pump=(user.device, user.command),
        user_pump_runs=(user.device, user.feedback),
        power=(meter, "electric_power") if meter is not None else _point(unit, "electric_power"),
        heat_kw_rated=unit.heat_kw_rated,
        stages=stages,
        path=path,
        stages_called=unit.point("supply_setpoint") is None,
    )


def _point(unit: Unit, role: str) -> Point:
    point = unit.point(role)
    if point is None:
        raise ValueError(f"the unit has no point for {role}")
    return _split(point)


def _split(point: str) -> Point:
    device, _, name = point.partition(".")
    return device, name


def _on(value: float) -> bool:
    return value >= HALF


def _off(value: float) -> bool:
    return value < HALF


def _since(begin_s: float | None, end_s: float | None) -> float | None:
    return None if begin_s is None or end_s is None else end_s - begin_s


def judge(marks: Marks, units: Sequence[Wiring], allowed: Allowed) -> list[Row]:
    """Every step of the last start and the last stop of each unit.

    Args:
        marks: of the whole run.
        units: where to look.
        allowed: what the configuration says.
    """
    requests = {unit.name: marks.last_turn(unit.run, _on, before_s=float("inf")) for unit in units}
    rows: list[Row] = []
    for unit in units:
        asked_s = requests[unit.name]
        if asked_s is None:
            rows.append(Row(unit.name, "request", None))
            continue
        others = [other for name, other in requests.items() if name != unit.name and other is not None]
        earlier = [other for other in others if other <= asked_s]
        rows.extend(_start(marks, unit, allowed, asked_s=asked_s, earlier_s=max(earlier, default=None)))
        rows.extend(_run(marks, unit, allowed, asked_s=asked_s))
        rows.extend(_stop(marks, unit, allowed, asked_s=asked_s))
    return rows


def _start(marks: Marks, unit: Wiring, allowed: Allowed, *, asked_s: float, earlier_s: float | None) -> Iterator[Row]:
    source_s = marks.last_turn(unit.source_pump, _on, before_s=asked_s)
    user_s = marks.last_turn(unit.user_pump, _on, before_s=asked_s)
    if source_s is None or user_s is None:
        yield Row(unit.name, "pumps commanded", None)
        return
    if unit.path is not None:
        opened_s = marks.last_turn(unit.path[0], _on, before_s=source_s)
        if opened_s is not None:
            there_s = marks.first(unit.path[1], lambda value: value >= OPEN_RATIO, from_s=opened_s)
            limit_s = allowed.valve_travel_s + allowed.valve_margin_s
            yield Row(unit.name, "valve open", _since(opened_s, there_s), most_s=limit_s)
    source_runs_s = marks.first(unit.source_pump_runs, _on, from_s=source_s)
    user_runs_s = marks.first(unit.user_pump_runs, _on, from_s=user_s)
    yield Row(unit.name, "source pump runs", _since(source_s, source_runs_s), most_s=allowed.pump_proof_s)
    yield Row(unit.name, "user pump after it", _since(source_runs_s, user_s), least_s=0.0)
    yield Row(unit.name, "user pump runs", _since(user_s, user_runs_s), most_s=allowed.pump_proof_s)
    if user_runs_s is None:
        return
    flows_s = [marks.first(point, _on, from_s=user_runs_s) for point in unit.flows]
    flow_s = None if None in flows_s else max(instant for instant in flows_s if instant is not None)
    yield Row(unit.name, "flow proven", _since(user_runs_s, flow_s), most_s=allowed.flow_proof_s)
    yield Row(unit.name, "lead before request", _since(flow_s, asked_s), least_s=allowed.pump_lead_s)
    if earlier_s is not None:
        took_s = _since(earlier_s, asked_s)
        yield Row(unit.name, "stagger", took_s, least_s=allowed.stagger_s, between_commands=True)


def _run(marks: Marks, unit: Wiring, allowed: Allowed, *, asked_s: float) -> Iterator[Row]:
    runs_s = marks.first(unit.state, unit.runs, from_s=asked_s)
    yield Row(unit.name, "status running", _since(asked_s, runs_s), most_s=allowed.unit_start_s)
    limit_kw = STANDS_RATIO * unit.heat_kw_rated
    draws_s = marks.first(unit.power, lambda value: value > limit_kw, from_s=asked_s)
    most_s = allowed.unit_start_s + allowed.ramp_watch_s
    yield Row(unit.name, "power rises", _since(asked_s, draws_s), most_s=most_s)
    since_s = runs_s
    for number, (command, value, shown, shown_value) in enumerate(unit.stages, start=2):
        called_s = marks.first(command, lambda seen, value=value: seen >= value, from_s=asked_s)  # type: ignore[misc]
        there_s = (
            None
            if called_s is None
            else marks.first(shown, lambda seen, value=shown_value: seen >= value, from_s=called_s)  # type: ignore[misc]
        )
        took_s = _since(since_s, called_s)
        yield Row(unit.name, f"stage {number} let in", took_s, least_s=allowed.stage_up_s, between_commands=True)
        if unit.stages_called:
            yield Row(unit.name, f"stage {number} shows", _since(called_s, there_s), most_s=allowed.stage_proof_s)
        elif there_s is not None:
            yield Row(unit.name, f"stage {number} shows", _since(called_s, there_s))
        since_s = called_s
    if runs_s is not None:
        drawn = [value for instant_s, value in marks.changes.get(unit.power, []) if instant_s >= runs_s]
        most_kw = LOADED_RATIO * max(drawn, default=0.0)
        loaded_s = marks.first(unit.power, lambda value: value >= most_kw, from_s=runs_s)
        yield Row(unit.name, "loaded (90 % of its power)", _since(runs_s, loaded_s))


def _stop(marks: Marks, unit: Wiring, allowed: Allowed, *, asked_s: float) -> Iterator[Row]:
    stop_s = marks.first(unit.run, _off, from_s=asked_s + ROUNDING_S)
    runs_s = marks.first(unit.state, unit.runs, from_s=asked_s)
    yield Row(unit.name, "ran before the stop", _since(runs_s, stop_s), least_s=allowed.min_on_s)
    if stop_s is None:
        return
    stands_s = marks.first(unit.state, lambda value: value == 0.0, from_s=stop_s)
    yield Row(unit.name, "stopped", _since(stop_s, stands_s), most_s=allowed.unit_stop_s)
    if stands_s is None:
        return
    user_s = marks.first(unit.user_pump, _off, from_s=stop_s)
    source_s = marks.first(unit.source_pump, _off, from_s=stop_s)
    firsts = [instant for instant in (user_s, source_s) if instant is not None]
    yield Row(unit.name, "overrun", _since(stands_s, min(firsts, default=None)), least_s=allowed.pump_overrun_s)
    yield Row(unit.name, "source pump after user pump", _since(user_s, source_s), least_s=0.0)
    for side, command_s, shown in (("user", user_s, unit.user_pump_runs), ("source", source_s, unit.source_pump_runs)):
        off_s = None if command_s is None else marks.first(shown, _off, from_s=command_s)
        yield Row(unit.name, f"{side} pump off", _since(command_s, off_s), most_s=allowed.pump_proof_s)
