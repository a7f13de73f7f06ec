"""The guard: each rule once, and no sequence of commands that brings the plant into a forbidden state."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from edge_agent.control.adopt import adopt
from edge_agent.control.command import Because, Command, Kind
from edge_agent.control.guard import Allowed, Refused, judge
from edge_agent.control.memory import ControlMemory, Phase
from edge_agent.control.modes import Mode
from edge_agent.control.view import PlantView, UnitState, UnitView
from edge_agent.settings.model import SiteFile

FLOWING = {"user_flow": True, "source_flow": True}
PUMPS_ON = {"ps_hp1": True, "pu_hp1": True}


def verdict(
    kit: SimpleNamespace,
    kind: Kind,
    value: float,
    *,
    subject: str = "hp1",
    memory: ControlMemory | dict[str, object] | None = None,
    mode: Mode | str = Mode.AUTO,
    because: Because = Because.PLAN,
    site: SiteFile | None = None,
    **view: object,
) -> Allowed | Refused:
    command = Command(f"x.{kind.value}", value, kind, subject, because)
    memory = memory or kit.memory()
    return judge(command, kit.view(**view), memory=memory, mode=mode, site=site or kit.site())


def code(result: Allowed | Refused) -> str | None:
    return result.code if isinstance(result, Refused) else None


@pytest.mark.parametrize("kind", list(Kind))
def test_nothing_passes_outside_auto_or_before_the_signature(kit: SimpleNamespace, kind: Kind) -> None:
    subject = {Kind.PUMP: "ps_hp1", Kind.ISOLATING_VALVE: "v_charge", Kind.DISCHARGE_VALVE: "v_discharge"}.get(
        kind, "hp1"
    )
    for mode in (Mode.MONITOR, Mode.ADVISE):
        assert code(verdict(kit, kind, 0.0, subject=subject, mode=mode)) == "mode_not_auto"
    unsigned = kit.site(commissioning={"signed_by": "somebody"})
    assert code(verdict(kit, kind, 0.0, subject=subject, site=unsigned)) == "not_commissioned"
    for value in (math.nan, math.inf):
        assert code(verdict(kit, kind, value, subject=subject)) == "out_of_bounds"


class TestStart:
    def ready(self, kit: SimpleNamespace, **unit: object) -> dict[str, object]:
        return {"hp1": replace(kit.unit_off, **FLOWING, **unit), "pumps": PUMPS_ON}

    def memory(self, kit: SimpleNamespace, **changes: object) -> ControlMemory:
        return kit.memory(kit.rested(phase=Phase.STARTING, mode="direct", **changes))

    def test_passes_with_everything_proven(self, kit: SimpleNamespace) -> None:
        result = verdict(kit, Kind.RUN_REQUEST, 1.0, memory=self.memory(kit), **self.ready(kit))
        assert isinstance(result, Allowed)

    @pytest.mark.parametrize(
        ("unit", "expected"),
        [
            ({"user_flow": False}, "flow_not_proven"),
            ({"source_flow": None}, "flow_not_proven"),
            ({"mode_request": "charge"}, "mode_not_taken"),
            ({"mode_request": None}, "mode_not_taken"),
            ({"remote": False}, "unit_local"),
            ({"remote": None}, "stale_inputs"),
            ({"state": None}, "stale_inputs"),
            ({"state": UnitState.TRIPPED}, "unit_tripped"),
            ({"state": UnitState.STOPPING}, "unit_stopping"),
        ],
    )
    def test_unit_obstacles(self, kit: SimpleNamespace, unit: dict[str, object], expected: str | None) -> None:
        view = self.ready(kit)
        view["hp1"] = replace(view["hp1"], **unit)
        assert code(verdict(kit, Kind.RUN_REQUEST, 1.0, memory=self.memory(kit), **view)) == expected

    def test_pumps_rest_starts_stagger_source(self, kit: SimpleNamespace) -> None:
        now = kit.now_utc
        view = self.ready(kit)
        one = {**view, "pumps": {"ps_hp1": True}}
        assert code(verdict(kit, Kind.RUN_REQUEST, 1.0, memory=self.memory(kit), **one)) == "pump_not_proven"
        for off_utc in (None, now - timedelta(seconds=1799)):
            memory = self.memory(kit, off_since_utc=off_utc)
            assert code(verdict(kit, Kind.RUN_REQUEST, 1.0, memory=memory, **view)) == "min_off"
        twice = self.memory(kit, starts_utc=(now - timedelta(minutes=50), now - timedelta(minutes=40)))
        assert code(verdict(kit, Kind.RUN_REQUEST, 1.0, memory=twice, **view)) == "starts_per_hour"
        thrice = self.memory(kit, starts_utc=tuple(now - timedelta(hours=hours) for hours in (9, 6, 3)))
        assert code(verdict(kit, Kind.RUN_REQUEST, 1.0, memory=thrice, **view)) == "starts_per_day"
        other = kit.rested(starts_utc=(now - timedelta(seconds=119),))
        memory = kit.memory(self.memory(kit).unit("hp1"), other)
        assert code(verdict(kit, Kind.RUN_REQUEST, 1.0, memory=memory, **view)) == "stagger"
        cold = {**view, "source_degc": 4.9}
        assert code(verdict(kit, Kind.RUN_REQUEST, 1.0, memory=self.memory(kit), **cold)) == "source_too_cold"

    def test_a_unit_said_to_run_without_pumps_and_request_is_not_confirmed(self, kit: SimpleNamespace) -> None:
        """After a power cut an old state may stand beside new registers: "confirming" would start the unit."""
        view = self.ready(kit, state=UnitState.RUNNING, run_request=False)
        assert isinstance(verdict(kit, Kind.RUN_REQUEST, 1.0, memory=self.memory(kit), **view), Allowed)
        for pumps in ({}, {"ps_hp1": True}, {"ps_hp1": True, "pu_hp1": False}):
            result = verdict(kit, Kind.RUN_REQUEST, 1.0, memory=self.memory(kit), **{**view, "pumps": pumps})
            assert code(result) == "pump_not_proven"

    def test_the_start_being_judged_is_not_counted(self, kit: SimpleNamespace) -> None:
        memory = self.memory(kit, starts_utc=(kit.now_utc - timedelta(minutes=50), kit.now_utc))
        assert isinstance(verdict(kit, Kind.RUN_REQUEST, 1.0, memory=memory, **self.ready(kit)), Allowed)

    def test_charging_needs_an_open_way_and_a_tank_that_takes_it(self, kit: SimpleNamespace) -> None:
        memory = kit.memory(kit.rested(phase=Phase.STARTING, mode="charge"))
        view = self.ready(kit, mode_request="charge")
        assert code(verdict(kit, Kind.RUN_REQUEST, 1.0, memory=memory, charge_ratio=0.95, **view)) == "path_closed"
        hot = {**view, "layers_degc": (57.0, 55.0, 55.0, 55.0)}
        assert code(verdict(kit, Kind.RUN_REQUEST, 1.0, memory=memory, charge_ratio=1.0, **hot)) == "tank_too_hot"
        assert isinstance(verdict(kit, Kind.RUN_REQUEST, 1.0, memory=memory, charge_ratio=1.0, **view), Allowed)


class TestStopAndPumps:
    def test_minimum_run_yields_only_to_protection(self, kit: SimpleNamespace) -> None:
        young = kit.memory(kit.running(running_since_utc=kit.now_utc - timedelta(seconds=3599)))
        assert code(verdict(kit, Kind.RUN_REQUEST, 0.0, memory=young, hp1=kit.unit_running)) == "min_on"
        result = verdict(kit, Kind.RUN_REQUEST, 0.0, memory=young, hp1=kit.unit_running, because=Because.PROTECTION)
        assert isinstance(result, Allowed)
        assert isinstance(
            verdict(kit, Kind.RUN_REQUEST, 0.0, memory=kit.memory(kit.running()), hp1=kit.unit_running), Allowed
        )

    @pytest.mark.parametrize(
        ("unit", "memory", "expected"),
        [
            ({"state": UnitState.RUNNING}, {}, "unit_not_stopped"),
            ({"state": UnitState.STOPPING}, {}, "unit_not_stopped"),
            ({"state": None}, {}, "stale_inputs"),
            ({"remote": False}, {}, "unit_local"),
            ({"electric_kw": 80.0}, {}, "unit_not_stopped"),
            ({"run_request": True}, {}, "unit_asked_to_run"),
            ({"run_request": None}, {}, "unit_asked_to_run"),
            ({}, {"phase": Phase.UNKNOWN}, "stale_inputs"),
            ({}, {"phase": Phase.LEAD}, "pump_needed"),
            ({}, {"off_since_utc": None}, "overrun"),
        ],
    )
    def test_no_pump_stops_under_a_unit_that_may_run(
        self,
        kit: SimpleNamespace,
        unit: dict[str, object],
        memory: ControlMemory | dict[str, object] | None,
        expected: str | None,
    ) -> None:
        view = {"hp1": replace(kit.unit_off, **unit), "pumps": PUMPS_ON}
        result = verdict(kit, Kind.PUMP, 0.0, subject="pu_hp1", memory=kit.memory(kit.rested(**memory)), **view)
        assert code(result) == expected

    def test_overrun_is_kept(self, kit: SimpleNamespace) -> None:
        memory = kit.memory(kit.rested(off_since_utc=kit.now_utc - timedelta(seconds=119)))
        assert code(verdict(kit, Kind.PUMP, 0.0, subject="ps_hp1", memory=memory)) == "overrun"
        assert isinstance(verdict(kit, Kind.PUMP, 0.0, subject="ps_hp1"), Allowed)

    def test_a_shared_pump_waits_for_all_its_units(self, kit: SimpleNamespace) -> None:
        units = {name: {**unit.model_dump(), "user_pump": "pu_hp1"} for name, unit in kit.site().units.items()}
        units = {name: {**unit, "modes": list(unit["modes"])} for name, unit in units.items()}
        site = kit.site(units=units)
        memory = kit.memory(None, kit.running())
        result = verdict(kit, Kind.PUMP, 0.0, subject="pu_hp1", memory=memory, hp2=kit.unit_running, site=site)
        assert code(result) == "unit_not_stopped"

    def test_only_our_own_pumps(self, kit: SimpleNamespace) -> None:
        units = {
            name: {**unit.model_dump(), "modes": list(unit.modes), "pump_owner": "plc"}
            for name, unit in kit.site().units.items()
        }
        assert code(verdict(kit, Kind.PUMP, 1.0, subject="ps_hp1", site=kit.site(units=units))) == "not_ours"


class TestTank:
    def test_its_way_is_not_closed_under_a_charging_unit(self, kit: SimpleNamespace) -> None:
        charging = replace(kit.unit_running, mode_actual="charge", mode_request="charge")
        view = {"hp1": charging, "charge_ratio": 1.0}
        memory = kit.memory(kit.running("charge"))
        assert (
            code(verdict(kit, Kind.ISOLATING_VALVE, 0.0, subject="v_charge", memory=memory, **view)) == "unit_charging"
        )
        # Also when memory knows nothing of it.
        assert code(verdict(kit, Kind.ISOLATING_VALVE, 0.0, subject="v_charge", **view)) == "unit_charging"
        blind = {"hp1": UnitView(), "charge_ratio": 1.0}
        assert (
            code(verdict(kit, Kind.ISOLATING_VALVE, 0.0, subject="v_charge", memory=memory, **blind)) == "stale_inputs"
        )

    def test_nor_while_it_feeds_the_loop(self, kit: SimpleNamespace) -> None:
        for ratio in (0.03, None):
            result = verdict(kit, Kind.ISOLATING_VALVE, 0.0, subject="v_charge", discharge_ratio=ratio)
            assert code(result) == "discharging"
        assert isinstance(verdict(kit, Kind.ISOLATING_VALVE, 0.0, subject="v_charge"), Allowed)

    @pytest.mark.parametrize(
        ("value", "view", "expected"),
        [
            (0.3, {"charge_ratio": 0.9}, "path_closed"),
            (0.3, {"charge_ratio": 1.0, "supply_degc": None}, "stale_inputs"),
            (0.3, {"charge_ratio": 1.0, "supply_degc": 52.1}, "supply_too_hot"),
            (1.1, {"charge_ratio": 1.0}, "out_of_bounds"),
            (-0.1, {"charge_ratio": 1.0}, "out_of_bounds"),
            (0.3, {"charge_ratio": 1.0}, None),
            (0.0, {"charge_ratio": 0.0, "supply_degc": None}, None),
        ],
    )
    def test_discharge_valve(
        self, kit: SimpleNamespace, value: float, view: dict[str, object], expected: str | None
    ) -> None:
        assert code(verdict(kit, Kind.DISCHARGE_VALVE, value, subject="v_discharge", **view)) == expected


@pytest.mark.parametrize(
    ("kind", "value", "mode", "expected"),
    [
        (Kind.SETPOINT, 52.0, "direct", None),
        (Kind.SETPOINT, 52.1, "direct", "out_of_bounds"),
        (Kind.SETPOINT, 34.9, "direct", "out_of_bounds"),
        (Kind.SETPOINT, 55.0, "direct", "out_of_bounds"),
        (Kind.SETPOINT, 55.0, "charge", None),
        (Kind.SETPOINT, 55.1, "charge", "out_of_bounds"),
        (Kind.CAPACITY_LIMIT, 1.0, "direct", None),
        (Kind.CAPACITY_LIMIT, 1.01, "direct", "out_of_bounds"),
        (Kind.CAPACITY_LIMIT, 0.0, "direct", "out_of_bounds"),
        (Kind.MODE_REQUEST, 3.0, "direct", "out_of_bounds"),
        (Kind.MODE_REQUEST, 1.5, "direct", "out_of_bounds"),
        (Kind.MODE_REQUEST, 2.0, "direct", "path_closed"),
        (Kind.MODE_REQUEST, 1.0, "charge", None),
        (Kind.HEARTBEAT, 7.0, "direct", None),
    ],
)
def test_bounds_of_a_unit(
    kit: SimpleNamespace, kind: Kind, value: float, mode: Mode | str, expected: str | None
) -> None:
    memory = kit.memory(kit.running(mode))
    assert code(verdict(kit, kind, value, memory=memory, hp1=kit.unit_running)) == expected


def test_a_limit_only_for_units_that_take_one(kit: SimpleNamespace) -> None:
    assert code(verdict(kit, Kind.CAPACITY_LIMIT, 0.8, subject="hp2")) == "not_commandable"


# ------------------------------------------------------------------------------------- no way into a forbidden state


@dataclass
class _Unit:
    """A unit as it really is: it does what its registers say."""

    running: bool = False
    request: bool = False
    mode: str = "direct"
    source_pump: bool = False
    user_pump: bool = False
    changed_s: float = -1e6
    starts_s: list[float] = field(default_factory=list)


class GuardMachine(RuleBasedStateMachine):
    """A plant that obeys at once, and somebody who commands anything at any time, seeing less or more of it."""

    kit = None

    @initialize(with_running=st.booleans())
    def begin(self, *, with_running: bool) -> None:
        self.now_s = 0.0
        self.units = {"hp1": _Unit(), "hp2": _Unit()}
        self.charge_open = False
        self.discharge_ratio = 0.0
        self.top_degc = 50.0
        self.memory = self.kit.memory()
        self.hidden: set[str] = set()
        self.setpoints: list[tuple[str, float]] = []
        if with_running:
            self.units["hp1"] = _Unit(running=True, request=True, mode="charge", source_pump=True, user_pump=True)
            self.charge_open = True
            self.memory = self.kit.memory(self.kit.running("charge"))

    def look(self) -> PlantView:
        now_utc = self.kit.now_utc + timedelta(seconds=self.now_s)
        views: Mapping[str, UnitView] = {}
        pumps = {}
        for name, unit in self.units.items():
            view = replace(
                self.kit.unit_running if unit.running else self.kit.unit_off,
                state_utc=now_utc,
                mode_actual=unit.mode if unit.running else None,
                mode_request=unit.mode,
                run_request=unit.request,
                user_flow=unit.user_pump and (unit.mode == "direct" or self.charge_open),
                source_flow=unit.source_pump,
            )
            views = {**views, name: UnitView() if name in self.hidden else view}
            pumps[f"ps_{name}"] = None if f"p{name}" in self.hidden else unit.source_pump
            pumps[f"pu_{name}"] = None if f"p{name}" in self.hidden else unit.user_pump
        view = self.kit.view(
            now_utc=now_utc,
            **views,
            pumps=pumps,
            charge_ratio=None if "valve" in self.hidden else float(self.charge_open),
            discharge_ratio=None if "valve" in self.hidden else self.discharge_ratio,
            layers_degc=() if "tank" in self.hidden else (self.top_degc, 48.0, 46.0, 44.0),
        )
        memory = self.memory
        for name in self.units:
            pumps_on = pumps[f"ps_{name}"] or pumps[f"pu_{name}"]
            adopted = adopt(memory.unit(name), unit=views[name], pumps_on=pumps_on, now_utc=now_utc)
            memory = memory.with_unit(name, adopted)
        self.memory = memory
        return view

    def ask(self, kind: Kind, value: float, subject: str, because: Because = Because.PLAN) -> bool:
        view = self.look()
        memory = self.memory
        name = subject if subject in self.units else None
        if kind is Kind.RUN_REQUEST and value == 1.0:
            started = replace(
                memory.unit(name), starts_utc=(*memory.unit(name).starts_utc, view.instant_utc), phase=Phase.STARTING
            )
            memory = memory.with_unit(name, started)
        command = Command("x.y", value, kind, subject, because)
        result = judge(command, view, memory=memory, mode=Mode.AUTO, site=self.kit.site())
        if isinstance(result, Allowed):
            self.memory = memory
            return True
        return False

    @rule(seconds=st.sampled_from([30.0, 130.0, 130.0, 1900.0, 3700.0]))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        self.look()

    @rule(what=st.sampled_from(["hp1", "hp2", "php1", "php2", "valve", "tank"]), hide=st.booleans())
    def sensor(self, what: str, *, hide: bool) -> None:
        self.hidden = self.hidden | {what} if hide else self.hidden - {what}

    @rule(top_degc=st.sampled_from([44.0, 56.9, 57.5]))
    def tank(self, top_degc: float) -> None:
        self.top_degc = top_degc

    @rule(
        name=st.sampled_from(["hp1", "hp2"]),
        prepared=st.sampled_from(["well", "well", "pumps", "not"]),
        mode=st.sampled_from(["direct", "charge"]),
    )
    def start(self, name: str, prepared: str, mode: Mode | str) -> None:
        """Somebody starts a unit, with more or less of what belongs to it."""
        unit = self.units[name]
        before_s = unit.changed_s
        if prepared != "not":
            self.pump(name, "ps", 1.0)
            self.pump(name, "pu", 1.0)
        # Whoever commands has its own idea of the mode, and may be wrong.
        self.memory = self.memory.with_unit(name, replace(self.memory.unit(name), mode=mode))
        if prepared == "well":
            self.isolating(1.0)
            self.mode(name, 1.0 if mode == "direct" else 2.0)
        if self.ask(Kind.RUN_REQUEST, 1.0, name) and not unit.running:
            assert self.now_s - before_s >= 1800.0
            unit.request = unit.running = True
            unit.changed_s = self.now_s
            unit.starts_s.append(self.now_s)
            assert sum(1 for start_s in unit.starts_s if start_s > self.now_s - 3600.0) <= 2
            # Noon in Beijing at the beginning: the civil day ends every 24 h, first after 12.
            days = [(start_s + 43200.0) // 86400.0 for start_s in unit.starts_s]
            assert days.count(days[-1]) <= 3
            others = [start_s for other in self.units.values() if other is not unit for start_s in other.starts_s]
            assert all(self.now_s - start_s >= 120.0 for start_s in others)
            assert unit.mode == "direct" or self.top_degc < 57.0

    @rule(name=st.sampled_from(["hp1", "hp2"]))
    def stop(self, name: str) -> None:
        unit = self.units[name]
        if self.ask(Kind.RUN_REQUEST, 0.0, name):
            if unit.running:
                assert self.now_s - unit.changed_s >= 3600.0
                unit.changed_s = self.now_s
            unit.request = unit.running = False

    @rule(name=st.sampled_from(["hp1", "hp2"]), number=st.sampled_from([1.0, 2.0, 3.0]))
    def mode(self, name: str, number: float) -> None:
        if self.ask(Kind.MODE_REQUEST, number, name):
            self.units[name].mode = {1.0: "direct", 2.0: "charge"}[number]

    @rule(name=st.sampled_from(["hp1", "hp2"]), side=st.sampled_from(["ps", "pu"]), value=st.sampled_from([0.0, 1.0]))
    def pump(self, name: str, side: str, value: float) -> None:
        if self.ask(Kind.PUMP, value, f"{side}_{name}"):
            setattr(self.units[name], "source_pump" if side == "ps" else "user_pump", value == 1.0)

    @rule(value=st.sampled_from([0.0, 1.0]))
    def isolating(self, value: float) -> None:
        if self.ask(Kind.ISOLATING_VALVE, value, "v_charge"):
            self.charge_open = value == 1.0

    @rule(value=st.sampled_from([0.0, 0.4, 1.0, 1.2]))
    def discharge(self, value: float) -> None:
        if self.ask(Kind.DISCHARGE_VALVE, value, "v_discharge"):
            self.discharge_ratio = value

    @rule(name=st.sampled_from(["hp1", "hp2"]), degc=st.floats(20.0, 70.0))
    def setpoint(self, name: str, degc: float) -> None:
        if self.ask(Kind.SETPOINT, degc, name):
            self.setpoints.append((name, degc))

    @invariant()
    def nothing_forbidden(self) -> None:
        for name, unit in getattr(self, "units", {}).items():
            assert not unit.running or (unit.source_pump and unit.user_pump), f"{name} runs without a pump"
            charging = unit.running and unit.mode == "charge"
            assert not charging or self.charge_open, f"{name} charges a closed tank"
        if getattr(self, "units", None):
            assert self.discharge_ratio == 0.0 or self.charge_open, "discharge through a closed tank"
            assert self.discharge_ratio <= 1.0
            assert all(35.0 <= degc <= 55.0 for _, degc in self.setpoints)


FEW = settings(max_examples=settings().max_examples * 4 // 10, stateful_step_count=50, deadline=None)


def test_no_sequence_of_commands_reaches_a_forbidden_state(kit: SimpleNamespace) -> None:
    machine = type("Machine", (GuardMachine,), {"kit": kit})
    run_state_machine_as_test(machine, settings=FEW)
