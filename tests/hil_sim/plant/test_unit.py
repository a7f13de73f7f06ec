"""A unit on its own: sequence, ramps, trips, thermostat, heat balance."""

from collections.abc import Callable

import pytest

from hil_sim.plant.unit import (
    ANTI_RECYCLE_S,
    FAST_TAU_S,
    STANDBY_KW,
    UNLOAD_S,
    USER_FLOW_KG_PER_S,
    Alarm,
    Mode,
    State,
    Unit,
    UnitKind,
)
from hil_sim.plant.water import HEAT_CAPACITY_KJ_PER_KG_K

TAKES_A_LIMIT = UnitKind(takes_capacity_limit=True)
THIRDS = UnitKind(stages=(0.34, 0.67, 1.0))
CONTACTS = UnitKind(stages=(0.5, 1.0), contacts=True)


class Bench:
    """A test bench: water as warm as told, a balance, the time."""

    def __init__(self, kind: UnitKind = TAKES_A_LIMIT) -> None:
        self.unit = Unit("hp1", kind=kind, thermostat_delay_s=60.0)
        self.now_s = 1.0e6
        self.source_flow = self.user_flow = True
        self.source_degc, self.inlet_degc = 10.0, 40.0
        self.electric_kj = self.source_kj = self.heat_kj = 0.0

    def go(self, seconds: float, step_s: float = 1.0) -> None:
        unit = self.unit
        for _ in range(round(seconds / step_s)):
            unit.control(
                self.now_s,
                step_s,
                source_flow=self.source_flow,
                user_flow=self.user_flow,
                source_inlet_degc=self.source_degc,
                user_inlet_degc=self.inlet_degc,
            )
            unit.run(self.now_s, step_s, source_inlet_degc=self.source_degc, user_flow=self.user_flow)
            if self.user_flow:
                unit.leaving_degc = self.inlet_degc + unit.heat_kw / (USER_FLOW_KG_PER_S * HEAT_CAPACITY_KJ_PER_KG_K)
            self.electric_kj += (unit.electric_kw - STANDBY_KW) * step_s
            self.source_kj += unit.source_heat_kw * step_s
            self.heat_kj += unit.heat_kw * step_s
            self.now_s += step_s

    def started(self, setpoint_degc: float = 50.0) -> Unit:
        self.unit.setpoint_degc = setpoint_degc
        self.unit.run_request = True
        self.go(900)
        assert self.unit.state is State.RUNNING
        return self.unit


def test_a_start_shows_starting_then_running_and_ramps_to_full_load() -> None:
    bench = Bench()
    unit = bench.unit
    unit.setpoint_degc = 50.0
    unit.run_request = True
    bench.go(5)
    assert unit.state is State.STARTING
    assert unit.mode_actual is Mode.DIRECT
    assert unit.electric_kw == STANDBY_KW
    bench.go(20)
    assert unit.compressor_on
    assert unit.starts == 1
    bench.go(30)
    assert unit.state is State.RUNNING
    assert unit.heat_kw < 200.0
    bench.go(600)
    assert unit.load_ratio == pytest.approx(1.0)
    assert unit.heat_kw == pytest.approx(600.0, rel=0.02)
    assert unit.heat_kw / unit.electric_kw == pytest.approx(4.4, rel=0.03)


def test_power_stands_before_heat() -> None:
    bench = Bench()
    bench.unit.run_request = True
    bench.go(21 + 10)
    power_share = bench.unit.electric_kw / (bench.unit.source_heat_kw + bench.unit.electric_kw)
    assert power_share > 0.2
    heat_soon_kw = bench.unit.heat_kw
    bench.go(FAST_TAU_S * 2)
    assert heat_soon_kw < 0.5 * bench.unit.heat_kw


@pytest.mark.parametrize("step_s", [1.0, 10.0])
def test_heat_is_electricity_and_source_heat_and_what_the_metal_holds(step_s: float) -> None:
    bench = Bench()
    bench.unit.run_request = True
    for seconds, flow, request in (
        (600, True, True),
        (200, True, False),
        (300, False, False),
        (400, True, True),
        (900, True, True),
    ):
        bench.user_flow, bench.unit.run_request = flow, request
        bench.go(seconds, step_s)
    assert bench.heat_kj + bench.unit.stored_kj() == pytest.approx(bench.electric_kj + bench.source_kj, rel=1e-12)


def test_a_stop_unloads_first_and_an_early_request_waits() -> None:
    bench = Bench()
    unit = bench.started()
    unit.run_request = False
    bench.go(UNLOAD_S - 5)
    assert unit.state is State.STOPPING
    assert unit.compressor_on
    assert unit.load_ratio < 0.6
    bench.go(20)
    assert unit.state is State.OFF
    stopped_s = unit.last_stop_s
    unit.run_request = True
    bench.go(stopped_s + ANTI_RECYCLE_S - 5 - bench.now_s)
    assert unit.state is State.OFF
    bench.go(60)
    assert unit.compressor_on


def test_the_capacity_limit_binds_only_the_units_that_have_one() -> None:
    bench = Bench()
    bench.started().capacity_limit_ratio = 0.5
    bench.go(300)
    assert bench.unit.load_ratio == pytest.approx(0.5)
    other = Bench(UnitKind())
    other.started().capacity_limit_ratio = 0.5
    other.go(300)
    assert other.unit.load_ratio == pytest.approx(1.0)


def test_a_staged_unit_brings_its_stages_in_one_by_one_within_its_limit() -> None:
    bench = Bench(THIRDS)
    unit = bench.unit
    unit.stage_request = 2
    bench.started()
    assert (unit.stage, unit.load_ratio) == (2, 0.67)
    unit.stage_request = 3
    bench.go(5)
    assert (unit.stage, unit.load_ratio) == (3, 1.0)
    unit.stage_request = 1
    bench.go(45)
    assert unit.stage == 3, "its own pause between two stages"
    bench.go(30)
    assert unit.stage == 2
    bench.go(60)
    assert (unit.stage, unit.load_ratio) == (1, 0.34)


def test_a_staged_unit_holds_its_set_point_by_stages() -> None:
    bench = Bench(THIRDS)
    bench.inlet_degc = 43.0
    unit = bench.started(setpoint_degc=46.0)  # two thirds lift the water by 3.4 K
    assert unit.stage == 2
    stages = set()
    for _ in range(40):
        bench.go(30)
        stages.add(unit.stage)
    assert stages == {2}


def test_a_unit_on_contacts_follows_them_and_its_panel_is_a_limit() -> None:
    bench = Bench(CONTACTS)
    unit = bench.unit
    unit.stage_request = 1
    bench.started(setpoint_degc=52.0)
    assert (unit.stage, unit.load_ratio) == (1, 0.5)
    unit.stage_request = 2
    bench.go(15)
    assert (unit.stage, unit.load_ratio) == (2, 1.0)
    bench.inlet_degc = 49.0  # five kelvin more would be beyond the panel's limit
    bench.go(400)
    assert unit.stage == 1
    bench.inlet_degc = 40.0
    unit.stages_working = 1
    bench.go(60)
    assert unit.stage == 1, "a stage that is broken does not come"
    unit.run_request = False
    bench.go(UNLOAD_S + 5)
    assert (unit.state, unit.stage) == (State.OFF, 0)


def test_the_load_holds_the_leaving_set_point() -> None:
    bench = Bench()
    bench.inlet_degc = 43.0
    unit = bench.started(setpoint_degc=46.0)
    assert unit.leaving_degc == pytest.approx(46.0, abs=0.1)
    assert unit.load_ratio < 0.7


def _lose_source(bench: Bench) -> None:
    bench.source_flow = False


def _lose_user(bench: Bench) -> None:
    bench.user_flow = False


def _cool_source(bench: Bench) -> None:
    bench.source_degc = 2.5


def _heat_water(bench: Bench) -> None:
    bench.inlet_degc = 60.0


@pytest.mark.parametrize(
    ("spoil", "alarm"),
    [
        (_lose_source, Alarm.SOURCE_FLOW),
        (_lose_user, Alarm.USER_FLOW),
        (_cool_source, Alarm.SOURCE_TEMPERATURE_LOW),
        (_heat_water, Alarm.LEAVING_TEMPERATURE_HIGH),
    ],
)
def test_trips_latch_until_a_person_resets_them(spoil: Callable[[Bench], None], alarm: Alarm) -> None:
    bench = Bench()
    unit = bench.started(setpoint_degc=58.0)
    good = (bench.source_degc, bench.inlet_degc)
    spoil(bench)
    bench.go(60)
    assert unit.state is State.TRIPPED
    assert unit.alarm is alarm
    assert not unit.compressor_on
    bench.source_flow = bench.user_flow = True
    bench.source_degc, bench.inlet_degc = good
    unit.run_request = False
    bench.go(10)
    unit.run_request = True
    bench.go(600)
    assert unit.state is State.TRIPPED
    unit.reset_trip()
    bench.go(600)
    assert unit.state is State.RUNNING
    assert unit.trips == 1


def test_a_request_without_flow_ends_in_a_trip() -> None:
    bench = Bench()
    bench.user_flow = False
    bench.unit.run_request = True
    bench.go(120)
    assert bench.unit.state is State.TRIPPED
    assert bench.unit.alarm is Alarm.USER_FLOW
    assert bench.unit.starts == 0


def test_water_too_hot_for_the_lowest_load_stops_the_unit_by_its_thermostat() -> None:
    bench = Bench()
    unit = bench.started(setpoint_degc=46.0)
    bench.inlet_degc = 46.5
    bench.go(600)
    assert unit.state is State.OFF
    assert unit.standby
    assert unit.run_request
    assert (unit.thermostat_stops, unit.trips) == (1, 0)
    bench.go(900)
    assert unit.state is State.OFF
    bench.inlet_degc = 42.0
    bench.go(120)
    assert unit.compressor_on
    assert unit.starts == 2
