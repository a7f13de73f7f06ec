"""The whole of control against a small plant that misbehaves, to see that no forbidden command comes onto the wire.

Plans, readings, orders, kills and clock jumps come in any order. The judge stands at the wire and looks at the plant's
truth on the plant's own time; it shares no code with the guard.
"""

import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from drivers.sample import Cause as BadCause
from drivers.sample import bad, good
from drivers.writing import WriteOutcome
from edge_agent.control.command import FINAL, Outcome
from edge_agent.control.controller import Controller
from edge_agent.control.effect import reconcile
from edge_agent.control.intent import BandOutlook
from edge_agent.control.memory import read_memory
from edge_agent.control.modes import Mode
from edge_agent.control.orders import Order, OrderKind
from edge_agent.image import ProcessImage
from scheduling.plan import Plan

BEGIN_UTC = datetime(2026, 1, 12, 4, 0, tzinfo=UTC)
OFF, STARTING, RUNNING, STOPPING, TRIPPED = range(5)
STALE_S = 180.0
CYCLE_S = 30.0
MIN_ON_S, MIN_OFF_S, STAGGER_S, OVERRUN_S = 3600.0, 1800.0, 120.0, 120.0
NAMES = ("hp1", "hp2")


class Died(Exception):
    """The process dies at this write."""


@dataclass
class Machine:
    """A unit of the plant."""

    state: int = OFF
    since_s: float = -1e6
    stopped_s: float = -1e6
    started_s: float = -1e6
    request: bool = False
    mode: int = 1
    remote: bool = True
    setpoint_degc: float = 45.0
    limit_ratio: float = 1.0
    starts: int = 0
    asked_s: list[float] = field(default_factory=list)
    pumps: dict[str, bool] = field(default_factory=lambda: {"ps": False, "pu": False})
    commanded: dict[str, bool] = field(default_factory=lambda: {"ps": False, "pu": False})
    resting: bool = False  # its own thermostat keeps it off
    hidden_since_s: float | None = None

    @property
    def on(self) -> bool:
        return self.state in (STARTING, RUNNING, STOPPING)


class World:
    """The plant, its wires, and the judge."""

    def __init__(self) -> None:
        self.s = 0.0  # the plant's own time
        self.wrong_s = 0.0  # error of the site's clock
        self.units = {name: Machine() for name in NAMES}
        self.charge_ratio = self.discharge_ratio = 0.0
        self.charge_to = self.discharge_to = 0.0
        self.top_degc, self.source_degc, self.supply_degc = 50.0, 9.0, 44.0
        self.load_kw = 700.0
        self.mode = Mode.AUTO
        self.lie = ""  # one sensor at a time shows what is not
        self.hidden: set[str] = set()
        self.forbidden: list[str] = []
        self.fail = ""  # writes: refused, or taken without an answer
        self.dies_after: int | None = None
        self.writes = 0

    @property
    def now_utc(self) -> datetime:
        return BEGIN_UTC + timedelta(seconds=self.s + self.wrong_s)

    # ------------------------------------------------------------------------------------------------------- physics

    def flows(self, name: str) -> dict[str, bool]:
        unit = self.units[name]
        way = unit.mode == 1 or self.charge_ratio > 0.5
        return {"source": unit.pumps["ps"], "user": unit.pumps["pu"] and way}

    def advance(self, seconds: float) -> None:
        for _ in range(round(seconds / 10.0)):
            self.s += 10.0
            self.charge_ratio += max(-0.12, min(0.12, self.charge_to - self.charge_ratio))
            self.discharge_ratio += max(-0.2, min(0.2, self.discharge_to - self.discharge_ratio))
            for name, unit in self.units.items():
                unit.pumps = dict(unit.commanded)
                self.turn(name, unit)

    def turn(self, name: str, unit: Machine) -> None:
        age_s = self.s - unit.since_s
        flowing = all(self.flows(name).values())
        if unit.state == OFF and unit.request and flowing and not unit.resting:
            unit.starts += 1
            unit.started_s = self.s
            self.enter(unit, STARTING)
        elif unit.state == STARTING and age_s >= 60.0:
            self.enter(unit, RUNNING)
        elif unit.state == RUNNING and (not unit.request or unit.resting):
            self.enter(unit, STOPPING)
        elif unit.state == STOPPING and age_s >= 30.0:
            self.enter(unit, OFF)
        elif unit.on and not flowing:
            self.enter(unit, TRIPPED)

    def enter(self, unit: Machine, state: int) -> None:
        if unit.on and state in (OFF, TRIPPED):
            unit.stopped_s = self.s
        unit.state, unit.since_s = state, self.s

    # ------------------------------------------------------------------------------------------------------ readings

    def readings(self) -> dict[str, float]:
        values: dict[str, float] = {
            "io1.v_charge": self.charge_to,
            "io1.v_discharge": self.discharge_to,
            "io1.v_charge_position": self.charge_ratio,
            "io1.v_discharge_position": self.discharge_ratio,
            "io1.supply_temperature": self.supply_degc,
            "io1.return_temperature": self.supply_degc - 5.0,
            "hm_user.flow": 100.0,
            "hm_user.heat_power": self.load_kw,
            "hm_tank.heat_power": 0.0,
            "hm_source.supply_temperature": self.source_degc,
            "em_main.electric_power": 300.0,
            "ws1.temperature": 2.0,
            **{f"tt.t{layer}": self.top_degc - 2.0 * layer for layer in range(4)},
        }
        for name, unit in self.units.items():
            flows = self.flows(name)
            own = {
                "state": unit.state,
                "mode_actual": unit.mode if unit.on else 0,
                "remote": unit.remote,
                "alarm_code": 4 if unit.state == TRIPPED else 0,
                "load_ratio": 0.7 if unit.state == RUNNING else 0.0,
                "user_flow": flows["user"],
                "source_flow": flows["source"],
                "electric_power": 110.0 if unit.on else 0.4,
                "starts_total": unit.starts,
                "run_request": unit.request,
                "mode_request": unit.mode,
                "supply_setpoint": unit.setpoint_degc,
                "capacity_limit": unit.limit_ratio,
                "heartbeat": 0,
                "user_supply_temperature": self.supply_degc + 1.0,
                "user_return_temperature": self.supply_degc - 4.0,
                "source_inlet_temperature": self.source_degc,
            }
            values |= {f"{name}.{point}": float(value) for point, value in own.items()}
            for side in ("ps", "pu"):
                values[f"{side}_{name}.running"] = float(unit.pumps[side])
                values[f"{side}_{name}.run_command"] = float(unit.commanded[side])
        return values

    def lies(self, values: dict[str, float]) -> None:
        """One sensor shows the contrary of the truth, freshly."""
        match self.lie:
            case "pump":
                values |= {f"{side}_{name}.running": 1.0 for side in ("ps", "pu") for name in NAMES}
            case "flow":
                values |= {f"{name}.{side}_flow": 1.0 for side in ("source", "user") for name in NAMES}
            case "valve":
                values |= {"io1.v_charge_position": 1.0}
            case "tank":
                values |= {f"tt.t{layer}": 44.0 for layer in range(4)}
            case "source":
                values |= {"hm_source.supply_temperature": 15.0 if self.source_degc < 5.0 else 2.0}
            case "supply":
                values |= {"io1.supply_temperature": 20.0}

    def poll(self, image: ProcessImage) -> None:
        values = self.readings()
        self.lies(values)
        image.put(
            bad(point, self.now_utc, "", BadCause.NO_ANSWER)
            if point in self.hidden
            else good(point, self.now_utc, value, "")
            for point, value in values.items()
            if point.split(".")[0] not in self.hidden
        )

    # ------------------------------------------------------------------------------------------------------ the wire

    async def write(self, point: str, value: float) -> WriteOutcome:
        if self.dies_after is not None:
            if self.dies_after == 0:
                raise Died
            self.dies_after -= 1
        if self.fail == "refused":
            return WriteOutcome(verified=False, wrote=value, read_back=None, reason="refused")
        self.writes += 1
        self.take(point, value)
        if self.fail == "lost":
            return WriteOutcome(verified=False, wrote=value, read_back=None, reason="no_answer")
        return WriteOutcome(verified=True, wrote=value, read_back=value, reason="")

    def take(self, point: str, value: float) -> None:
        device, _, name = point.partition(".")
        if self.mode is not Mode.AUTO:
            self.forbid(f"{point} written in {self.mode}")
        if device in self.units:
            self.take_unit(device, name, value)
        elif name == "run_command":
            side, _, owner = device.partition("_")
            self.take_pump(self.units[owner], side, on=value == 1.0)
        elif name == "v_charge":
            charging = [key for key, unit in self.units.items() if unit.on and unit.mode == 2]
            if value == 0.0 and charging:
                self.forbid(f"the tank is closed under {charging}")
            if value == 0.0 and self.discharge_ratio > 0.05:
                self.forbid("the tank is closed while it discharges")
            self.charge_to = value
        elif name == "v_discharge":
            if value > 0.0 and self.charge_ratio < 0.9 and self.lie != "valve":
                self.forbid("discharge through a closed valve")
            if not 0.0 <= value <= 1.0:
                self.forbid(f"discharge valve to {value}")
            self.discharge_to = value

    def take_unit(self, device: str, name: str, value: float) -> None:
        unit = self.units[device]
        if not unit.remote:
            self.forbid(f"{device} is somebody else's")
        if unit.hidden_since_s is not None and self.s - unit.hidden_since_s > STALE_S + CYCLE_S:
            self.forbid(f"{device}.{name} written blindly")
        if name == "run_request":
            if value == 1.0 and not unit.request:
                self.judge_start(device, unit)
            if value == 0.0 and unit.request:
                self.judge_stop(device, unit)
            unit.request = value == 1.0
        elif name == "mode_request":
            if value == 2.0 and unit.on and self.charge_ratio < 0.5 and self.lie != "valve":
                self.forbid(f"{device} turned to a closed tank")
            unit.mode = int(value)
        elif name == "supply_setpoint":
            if not 35.0 <= value <= 55.0:
                self.forbid(f"{device} set to {value} degC")
            if value > 52.0 and unit.mode == 1 and unit.on:
                self.forbid(f"{device} set to {value} degC on the loop")
            unit.setpoint_degc = value
        elif name == "capacity_limit":
            if not 0.1 <= value <= 1.0:
                self.forbid(f"{device} limited to {value}")
            unit.limit_ratio = value

    def judge_start(self, device: str, unit: Machine) -> None:
        if unit.on:
            return  # it runs; the request only says so
        if unit.state == TRIPPED:
            self.forbid(f"{device} asked to run after a trip")
        if self.s - unit.stopped_s < MIN_OFF_S:
            self.forbid(f"{device} asked to run {self.s - unit.stopped_s:.0f} s after its stop")
        if not all(unit.pumps.values()):
            self.forbid(f"{device} asked to run, pumps {unit.pumps}")
        if not all(self.flows(device).values()):
            self.forbid(f"{device} asked to run, flows {self.flows(device)}")
        if unit.mode == 2 and self.top_degc >= 57.0 and self.lie != "tank":
            self.forbid(f"{device} asked to charge a tank of {self.top_degc} degC")
        if self.source_degc < 5.0 and self.lie != "source":
            self.forbid(f"{device} asked to run on a source of {self.source_degc} degC")
        others = [at_s for other in self.units.values() if other is not unit for at_s in other.asked_s]
        if any(self.s - at_s < STAGGER_S for at_s in others):
            self.forbid(f"{device} asked to run at the same time as another")
        unit.asked_s.append(self.s)
        if sum(1 for at_s in unit.asked_s if at_s > self.s - 3600.0) > 2:
            self.forbid(f"{device} asked to run too often")

    def judge_stop(self, device: str, unit: Machine) -> None:
        cold = self.source_degc < 4.0
        if unit.state in (STARTING, RUNNING) and self.s - unit.started_s < MIN_ON_S and not cold:
            self.forbid(f"{device} stopped after {self.s - unit.started_s:.0f} s")

    def take_pump(self, unit: Machine, side: str, *, on: bool) -> None:
        if not on:
            if unit.on:
                self.forbid(f"{side} stopped under a compressor")
            if unit.request and unit.remote and unit.state != TRIPPED:
                self.forbid(f"{side} stopped of a unit that is asked to run")
            if self.s - unit.stopped_s < OVERRUN_S - CYCLE_S:
                self.forbid(f"{side} stopped {self.s - unit.stopped_s:.0f} s after its unit")
        unit.commanded[side] = on

    def forbid(self, what: str) -> None:
        self.forbidden.append(f"{self.s:.0f} s: {what}")


def driven(work: Coroutine[object, None, object]) -> object:
    """Runs a coroutine that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("control waited for something")


def plan_of(now_utc: datetime, modes: dict[str, str | None]) -> Plan:
    """Four hours of the same."""
    count = 16
    charge_kw = 550.0 * sum(1 for mode in modes.values() if mode == "charge")
    discharge_kw = 0.0 if charge_kw or "direct" in modes.values() else 600.0
    return Plan.model_validate(
        {
            "schema": "plan/1", "request": "stateful", "made_utc": now_utc, "method": "rule", "status": "feasible",
            "objective_cny": 0.0, "parts_cny": {}, "grid_start_utc": now_utc, "step_minutes": [15.0] * count,
            "units": {
                name: {"mode": [mode] * count, "load_kw": [550.0 if mode else 0.0] * count}
                for name, mode in modes.items()
            },
            "storages": {
                "tank": {
                    "charge_kw": [charge_kw] * count, "discharge_kw": [discharge_kw] * count, "soc_kwh": [0.0] * count,
                }
            },
            "grid_kw": [0.0] * count,
        }
    )  # fmt: skip


MODES = st.fixed_dictionaries({name: st.sampled_from([None, "direct", "charge"]) for name in NAMES})
COUNTS = st.sampled_from([20, 45, 70])
"""Cycles: less than the rest, less than the minimum run, more than the rest."""


class ControlMachine(RuleBasedStateMachine):
    """Plans, people, sensors, kills and clocks in any order."""

    kit: SimpleNamespace

    def __init__(self) -> None:
        super().__init__()
        self.site = self.kit.site(control={"cycle_s": CYCLE_S, "stale_s": STALE_S})
        self.world = World()
        self.image = ProcessImage()
        self.saved: str | None = None
        self.audit: list[Outcome] = []
        self.plan: Plan | None = None
        self.orders: tuple[Order, ...] = ()
        self.controller = self.boot()
        self.cycles(61)  # what has never been seen to stop has not rested

    def boot(self) -> Controller:
        waiting = self.unfinished()
        watched, lost = reconcile(read_memory(self.saved).expectations, waiting)
        for number in lost:
            del waiting[number]
        self.audit = [outcome for outcome in self.audit if outcome.number not in lost]
        return Controller(
            self.site,
            image=self.image,
            write=self.world.write,
            audit=self.keep_audit,
            save_memory=self.keep,
            memory=self.saved,
            steady=lambda: ("plant", self.world.s, self.world.now_utc),
            last_number=max((outcome.number for outcome in self.audit), default=0),
            unfinished=frozenset(expectation.number for expectation in watched),
        )

    async def keep(self, text: str) -> None:
        self.saved = text

    async def keep_audit(self, outcomes: list[Outcome]) -> None:
        self.audit.extend(outcomes)

    def unfinished(self) -> dict[int, Outcome]:
        waiting: dict[int, Outcome] = {}
        for outcome in self.audit:
            if outcome.verdict in FINAL:
                waiting.pop(outcome.number, None)
            else:
                waiting[outcome.number] = outcome
        return waiting

    def cycles(self, count: int) -> None:
        for _ in range(count):
            self.world.advance(CYCLE_S)
            self.world.poll(self.image)
            with contextlib.suppress(Died):
                driven(
                    self.controller.cycle(
                        self.world.now_utc,
                        plan=self.plan,
                        mode=self.world.mode,
                        bands=BandOutlook("flat"),
                        orders=self.orders,
                    )
                )
            if self.world.dies_after == 0:
                self.world.dies_after = None
                self.image = ProcessImage()
                self.controller = self.boot()

    # ---------------------------------------------------------------------------------------------------------- time

    @rule(count=st.sampled_from([1, 1, 3, 6, 12, 24, 70, 130]))
    def go_on(self, count: int) -> None:
        self.cycles(count)

    @rule(jump_s=st.sampled_from([-7200.0, -1800.0, -60.0, 60.0, 1900.0, 3700.0, 86400.0]))
    def set_clock(self, jump_s: float) -> None:
        """Somebody sets the clock of the machine."""
        self.world.wrong_s += jump_s
        self.plan = None if self.plan is None else plan_of(self.world.now_utc, {})

    @rule(away_s=st.sampled_from([0.0, 60.0, 600.0, 5400.0]), forgets=st.sampled_from([False, False, True]))
    def restart(self, away_s: float, *, forgets: bool) -> None:
        """The service ends and comes back; its memory may be lost."""
        self.world.advance(away_s)
        self.image = ProcessImage()
        self.saved = None if forgets else self.saved
        self.controller = self.boot()

    @rule(writes=st.integers(0, 4))
    def die_while_writing(self, writes: int) -> None:
        self.world.dies_after = writes

    # -------------------------------------------------------------------------------------------------------- people

    @rule(modes=MODES)
    def new_plan(self, modes: dict[str, str | None]) -> None:
        self.plan = plan_of(self.world.now_utc, modes)

    @rule(stages=st.lists(st.tuples(MODES, st.sampled_from([300.0, 1100.0]), COUNTS), min_size=2, max_size=4))
    def live(self, stages: list[tuple[dict[str, str | None], float, int]]) -> None:
        """Some good hours: the load rises and falls, and units come and go."""
        for modes, load_kw, count in stages:
            self.world.load_kw, self.world.supply_degc = load_kw, 44.0 if load_kw > 500.0 else 50.0
            self.new_plan(modes)
            self.cycles(count)

    @rule()
    def no_plan(self) -> None:
        self.plan = None

    @rule(
        kind=st.sampled_from([OrderKind.CHARGE, OrderKind.HOLD, OrderKind.STOP]), subject=st.sampled_from([None, "hp1"])
    )
    def order(self, kind: OrderKind, subject: str | None) -> None:
        until_utc = self.world.now_utc + timedelta(hours=2)
        subject = subject if kind is OrderKind.STOP else None
        self.orders = (Order(kind, subject, until_utc, "op", "because", self.world.now_utc, number=1),)

    @rule()
    def release(self) -> None:
        self.orders = ()

    @rule(mode=st.sampled_from([Mode.AUTO, Mode.AUTO, Mode.ADVISE, Mode.MONITOR]))
    def set_mode(self, mode: Mode) -> None:
        self.world.mode = mode

    @rule(name=st.sampled_from(NAMES), remote=st.booleans())
    def panel(self, name: str, *, remote: bool) -> None:
        """Somebody at the unit's panel takes it over, or gives it back."""
        if self.world.units[name].hidden_since_s is None:
            self.world.units[name].remote = remote

    # --------------------------------------------------------------------------------------------------------- plant

    @rule(name=st.sampled_from(NAMES))
    def trip(self, name: str) -> None:
        unit = self.world.units[name]
        if unit.on and unit.hidden_since_s is None:
            self.world.enter(unit, TRIPPED)

    @rule(name=st.sampled_from(NAMES))
    def reset(self, name: str) -> None:
        unit = self.world.units[name]
        if unit.state == TRIPPED and unit.hidden_since_s is None:
            self.world.enter(unit, OFF)

    @rule(name=st.sampled_from(NAMES), resting=st.booleans())
    def thermostat(self, name: str, *, resting: bool) -> None:
        if self.world.units[name].hidden_since_s is None:
            self.world.units[name].resting = resting

    @rule(
        top_degc=st.sampled_from([44.0, 50.0, 56.0, 57.5]),
        source_degc=st.sampled_from([9.0, 9.0, 4.6, 3.5]),
        supply_degc=st.sampled_from([38.0, 44.0, 50.0, 54.0]),
        load_kw=st.sampled_from([0.0, 300.0, 700.0, 1100.0]),
    )
    def weather(self, top_degc: float, source_degc: float, supply_degc: float, load_kw: float) -> None:
        world = self.world
        world.top_degc, world.source_degc, world.supply_degc, world.load_kw = (
            top_degc,
            source_degc,
            supply_degc,
            load_kw,
        )

    # ------------------------------------------------------------------------------------------------------- sensors

    @rule(what=st.sampled_from(["hp1", "hp2", "io1", "ps_hp1", "pu_hp2", "tt", "hm_source", "io1.supply_temperature"]))
    def hide(self, what: str) -> None:
        """A device falls silent, or a sensor breaks."""
        self.world.hidden.add(what)
        if what in self.world.units and self.world.units[what].hidden_since_s is None:
            self.world.units[what].hidden_since_s = self.world.s

    @precondition(lambda self: self.world.hidden)
    @rule()
    def show(self) -> None:
        self.world.hidden.clear()
        for unit in self.world.units.values():
            unit.hidden_since_s = None
        self.cycles(1)

    @rule(lie=st.sampled_from(["", "", "pump", "flow", "valve", "tank", "source", "supply"]))
    def lie(self, lie: str) -> None:
        """A sensor shows the contrary of the truth."""
        self.world.lie = lie

    @rule(fail=st.sampled_from(["", "", "refused", "lost"]))
    def break_writes(self, fail: str) -> None:
        self.world.fail = fail

    # --------------------------------------------------------------------------------------------------------- judge

    @invariant()
    def nothing_forbidden(self) -> None:
        assert self.world.forbidden == []

    @invariant()
    def every_command_has_its_end_or_is_awaited(self) -> None:
        awaited = {expectation.number for expectation in self.controller.memory.expectations}
        assert self.unfinished().keys() <= awaited


def machine_of(kit: SimpleNamespace) -> Callable[[], ControlMachine]:
    return type("Machine", (ControlMachine,), {"kit": kit})


def test_no_life_of_the_plant_brings_a_forbidden_command_onto_the_wire(kit: SimpleNamespace) -> None:
    examples = max(5, settings().max_examples // 20)
    run_state_machine_as_test(
        machine_of(kit), settings=settings(max_examples=examples, stateful_step_count=40, deadline=None)
    )


@pytest.mark.slow
def test_nor_do_many_lives(kit: SimpleNamespace) -> None:
    examples = max(5, settings().max_examples // 8)
    run_state_machine_as_test(
        machine_of(kit), settings=settings(max_examples=examples, stateful_step_count=60, deadline=None)
    )


def test_the_machine_can_start_charge_and_stop_units(kit: SimpleNamespace) -> None:
    """A judge that never sees a start proves nothing."""
    life = machine_of(kit)()
    life.new_plan({"hp1": "direct", "hp2": "charge"})
    life.cycles(60)
    assert [unit.state for unit in life.world.units.values()] == [RUNNING, RUNNING]
    assert life.world.units["hp2"].mode == 2
    life.cycles(100)
    life.world.supply_degc = 49.0
    life.new_plan({"hp1": None, "hp2": None})
    life.cycles(60)
    assert life.world.units["hp2"].state == OFF
    assert life.world.forbidden == []
    life.world.take("hp1.run_request", 1.0)
    life.world.take("ps_hp1.run_command", 0.0)
    life.world.take("hp1.supply_setpoint", 80.0)
    life.world.units["hp2"].state, life.world.units["hp2"].mode = RUNNING, 2
    life.world.take("io1.v_charge", 0.0)
    assert len(life.world.forbidden) >= 3, "the judge sees what is planted"


@pytest.mark.parametrize("jump_s", [-7200.0, 1900.0, 86400.0])
def test_a_clock_that_jumps_cuts_no_rest_short(kit: SimpleNamespace, jump_s: float) -> None:
    """The search finds this seldom, so it is asked for: run long enough, stop, set the clock, want it again."""
    life = machine_of(kit)()
    life.live([({"hp1": "direct", "hp2": "direct"}, 1100.0, 160), ({"hp1": None, "hp2": None}, 300.0, 40)])
    stopped = [unit for unit in life.world.units.values() if unit.state == OFF]
    assert stopped
    life.set_clock(jump_s)
    life.live([({"hp1": "direct", "hp2": "direct"}, 1100.0, 90)])
    assert life.world.forbidden == []
    assert any(len(unit.asked_s) > 1 for unit in stopped), "after its rest it is started again"
