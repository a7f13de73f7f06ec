"""The whole plant: balance, steps, local control, charging and discharging, what can be read."""

import math
from datetime import UTC, datetime

import pytest

from hil_sim.plant.office import TANK_START_DEGC, GroundOffice
from hil_sim.plant.weather import Weather

MONDAY_S = datetime(2026, 1, 11, 16, tzinfo=UTC).timestamp()  # midnight in Beijing, January


class Operator:
    """A careful person at the panel: sequences with pumps first, a heartbeat every five minutes."""

    def __init__(self, plant: GroundOffice) -> None:
        self.plant = plant
        self.now_s = MONDAY_S

    def wait_min(self, minutes: float) -> None:
        end_s = self.now_s + 60.0 * minutes
        while self.now_s < end_s:
            self.now_s = min(end_s, self.now_s + 300.0)
            for unit in range(1, 5):
                self.plant.command(f"hp{unit}", "heartbeat", 1)
            self.plant.advance_to(self.now_s)

    def pumps(self, unit: int, on: int) -> None:
        self.plant.command("io1", f"p_source_{unit}", on)
        self.plant.command("io1", f"p_user_{unit}", on)

    def start(self, unit: int, *, mode: int, setpoint_degc: float) -> None:
        self.plant.command(f"hp{unit}", "mode_request", mode)
        self.plant.command(f"hp{unit}", "supply_setpoint", setpoint_degc)
        self.plant.command(f"hp{unit}", "run_request", 1)

    def two_days(self) -> None:
        plant = self.plant
        for unit in range(1, 5):
            self.pumps(unit, 1)
        self.wait_min(2)
        for day in range(2):
            plant.command("io1", "valve_charge", 1)
            self.wait_min(3)
            for unit in (1, 2, 3):
                self.start(unit, mode=1, setpoint_degc=46)
            self.start(4, mode=2, setpoint_degc=55)
            self.wait_min(415)
            for unit in (3, 4):
                plant.command(f"hp{unit}", "run_request", 0)
            self.wait_min(10)
            plant.command("io1", "valve_discharge", 0.6)
            self.wait_min(170)
            plant.command("io1", "valve_discharge", 0.2)
            self.wait_min(120)
            plant.command("io1", "valve_discharge", 0)
            self.wait_min(2)
            plant.command("hp3", "run_request", 1)
            self.wait_min(24 * 60 * (day + 1) - (self.now_s - MONDAY_S) / 60.0)


@pytest.fixture(scope="module")
def runs() -> dict[float, GroundOffice]:
    """The same two days in steps of 10 s and of 60 s."""
    plants = {}
    for step_s in (10.0, 60.0):
        plants[step_s] = GroundOffice(seed=1, start_s=MONDAY_S, step_s=step_s)
        Operator(plants[step_s]).two_days()
    return plants


def test_two_days_of_charging_and_discharging_close_the_energy_balance(runs: dict[float, GroundOffice]) -> None:
    truth = runs[10.0].truth()
    assert truth.heat_delivered_kwh > 50_000.0
    assert truth.heat_charged_kwh > 5000.0
    assert truth.heat_discharged_kwh > 5000.0
    assert sum(unit.starts for unit in truth.units) >= 4
    assert abs(truth.energy_residual_relative) < 1e-9


def test_the_balance_can_fail(runs: dict[float, GroundOffice]) -> None:
    plant = runs[60.0]
    sound = plant.energy_residual_relative()
    plant.supply_header.degc += 0.001
    assert abs(plant.energy_residual_relative()) > 1e-9
    plant.supply_header.degc -= 0.001
    assert plant.energy_residual_relative() == pytest.approx(sound, abs=1e-12)


def test_a_step_six_times_as_long_changes_little(runs: dict[float, GroundOffice]) -> None:
    fine, coarse = runs[10.0].truth(), runs[60.0].truth()
    assert coarse.heat_delivered_kwh == pytest.approx(fine.heat_delivered_kwh, rel=0.001)
    assert coarse.electricity_kwh == pytest.approx(fine.electricity_kwh, rel=0.01)
    assert coarse.heat_charged_kwh == pytest.approx(fine.heat_charged_kwh, rel=0.01)


def test_a_careful_operator_breaks_no_rule(runs: dict[float, GroundOffice]) -> None:
    for plant in runs.values():
        assert plant.checker.violations == []
        assert plant.truth().protection_trips == 0


def test_meters_agree_with_the_truth(runs: dict[float, GroundOffice]) -> None:
    plant, fresh = runs[10.0], GroundOffice(seed=1, start_s=MONDAY_S)
    truth = plant.truth()

    def counted(device: str, name: str) -> float:
        return plant.quantity(device, name) - fresh.quantity(device, name)

    assert counted("hm_user", "heat_total") == pytest.approx(truth.heat_delivered_kwh, rel=1e-9)
    assert counted("hm_tank", "heat_total") == pytest.approx(truth.heat_charged_kwh, rel=1e-4)
    assert counted("hm_tank", "heat_total_negative") == pytest.approx(truth.heat_discharged_kwh, rel=1e-4)
    assert counted("em_main", "energy_total") == pytest.approx(truth.electricity_kwh, rel=1e-9)
    units_kwh = sum(counted(f"em_hp{unit}", "energy_total") for unit in range(1, 5))
    assert 0.75 < units_kwh / truth.electricity_kwh < 0.95
    # Source: plausibility of heat meters in the field, energy over volume x difference, 1.10-1.17 kWh/(m3 K).
    specific = plant.quantity("hm_user", "heat_power") / (
        plant.quantity("hm_user", "flow")
        * (plant.quantity("hm_user", "supply_temperature") - plant.quantity("hm_user", "return_temperature"))
    )
    assert 1.13 < specific < 1.17


def test_without_an_agent_the_plant_keeps_the_building_warm() -> None:
    plant = GroundOffice(seed=3, start_s=MONDAY_S, step_s=60.0, weather=Weather(3, shift_k=-3.0))
    supplies, loads, on = [], [], []
    for hour in range(1, 4 * 24):
        plant.advance_to(MONDAY_S + 3600.0 * hour)
        truth = plant.truth()
        supplies.append(truth.supply_degc)
        loads.append(truth.load_kw)
        on.append(sum(unit.state == "running" for unit in truth.units))
        assert all(zone.room_degc > 19.3 for zone in plant.building.zones)
    assert min(supplies) > 41.0
    assert max(supplies) < 47.0
    truth = plant.truth()
    assert truth.discomfort_kelvin_hours == 0.0
    assert truth.protection_trips == 0
    assert max(unit.starts for unit in truth.units) <= 12
    assert min(on) >= 2
    assert max(loads) > 1500.0


def test_a_lost_agent_leaves_the_plant_warm_and_the_tank_shut() -> None:
    plant = GroundOffice(seed=1, start_s=MONDAY_S)
    operator = Operator(plant)
    for unit in range(1, 5):
        operator.pumps(unit, 1)
    plant.command("io1", "valve_charge", 1)
    operator.wait_min(3)
    operator.start(3, mode=2, setpoint_degc=55)
    plant.command("hp1", "run_request", 0)
    plant.command("hp2", "run_request", 0)
    operator.wait_min(20)
    plant.command("io1", "valve_discharge", 0.5)
    operator.wait_min(5)
    assert plant.quantity("hp3", "mode_actual") == 2
    assert plant.quantity("hp3", "alarm_code") == 0
    assert plant.quantity("hm_tank", "flow") != 0.0

    plant.advance_to(operator.now_s + 4 * 3600.0)  # the agent is gone
    truth = plant.truth()
    assert plant.quantity("hp3", "alarm_code") == 5
    assert plant.quantity("hp3", "remote") == 1
    assert plant.quantity("io1", "valve_discharge_position") == 0.0
    assert plant.quantity("io1", "valve_charge_position") == 0.0
    assert truth.supply_degc > 42.0
    assert truth.protection_trips == 0
    assert [unit for unit in truth.units if unit.state == "running" and unit.mode == "charge"] == []


def test_taking_over_is_bumpless() -> None:
    plant = GroundOffice(seed=1, start_s=MONDAY_S)
    on = [unit for unit in range(1, 5) if plant.quantity(f"hp{unit}", "state") == 2]
    assert len(on) >= 2
    for unit in on:
        assert plant.quantity(f"hp{unit}", "run_request") == 1
        assert plant.quantity("io1", f"p_source_{unit}") == 1
        assert plant.quantity("io1", f"p_user_{unit}") == 1
    Operator(plant).wait_min(60)
    truth = plant.truth()
    assert [unit for unit in range(1, 5) if plant.quantity(f"hp{unit}", "state") == 2] == on
    assert truth.protection_trips == 0
    assert plant.checker.violations == []


def test_a_full_tank_stops_a_charging_unit_by_its_own_thermostat() -> None:
    plant = GroundOffice(seed=1, start_s=MONDAY_S)
    plant.tank.layers_degc[:] = [55.0] * 10
    operator = Operator(plant)
    operator.pumps(4, 1)
    plant.command("io1", "valve_charge", 1)
    operator.wait_min(2)
    operator.start(4, mode=2, setpoint_degc=54)
    operator.wait_min(30)
    assert plant.truth().units[3].state == "standby"
    assert plant.quantity("hp4", "run_request") == 1
    assert plant.quantity("hp4", "state") == 0
    assert plant.truth().thermostat_stops == 1
    assert max(plant.truth().tank_degc) < 57.0


def test_charging_while_supplying_passes_straight_through() -> None:
    plant = GroundOffice(seed=1, start_s=MONDAY_S)
    operator = Operator(plant)
    operator.pumps(4, 1)
    plant.command("io1", "valve_charge", 1)
    operator.wait_min(2)
    operator.start(4, mode=2, setpoint_degc=55)
    plant.command("io1", "valve_discharge", 1.0)
    operator.wait_min(30)
    truth = plant.truth()
    assert truth.heat_charged_kw == 0.0
    assert truth.discharge_kw > 500.0
    assert plant.quantity("hm_tank", "flow") < 0.0
    assert plant.quantity("hm_tank", "heat_power") == pytest.approx(-truth.discharge_kw)
    # Less than 40 kg/s leaves the tank: the rest comes from the charging unit.
    unit_flow_kg_per_s = 40.0 - abs(plant.quantity("hm_tank", "flow")) / 3.6 * 0.99
    assert unit_flow_kg_per_s > 5.0
    assert plant.quantity("hp4", "user_supply_temperature") == pytest.approx(55.0, abs=0.5)
    assert abs(truth.energy_residual_relative) < 1e-9


def test_a_pipe_without_flow_forgets_its_temperature() -> None:
    plant = GroundOffice(seed=1, start_s=MONDAY_S)
    Operator(plant).wait_min(1)
    assert plant.quantity("hp4", "user_flow") == 0
    before_degc = plant.quantity("hm_tank", "supply_temperature")
    Operator(plant).wait_min(12 * 60)
    assert plant.truth().tank_degc[0] > 53.0
    assert plant.quantity("hm_tank", "supply_temperature") <= before_degc
    assert plant.quantity("hm_tank", "supply_temperature") == pytest.approx(18.0, abs=0.5)
    assert plant.quantity("hp4", "user_supply_temperature") < 30.0


def test_whole_steps_only_and_the_rest_is_remembered() -> None:
    plant = GroundOffice(seed=1, start_s=MONDAY_S)
    plant.advance_to(MONDAY_S + 9.0)
    assert plant.truth().instant_s == MONDAY_S
    plant.advance_to(MONDAY_S + 25.0)
    assert plant.truth().instant_s == MONDAY_S + 20.0
    plant.advance_to(MONDAY_S + 30.0)
    assert plant.truth().instant_s == MONDAY_S + 30.0
    with pytest.raises(ValueError, match="at most"):
        GroundOffice(seed=1, start_s=MONDAY_S, step_s=600.0)


def test_the_same_seed_gives_the_same_plant_whatever_the_calls() -> None:
    one, other = GroundOffice(seed=5, start_s=MONDAY_S), GroundOffice(seed=5, start_s=MONDAY_S)
    one.advance_to(MONDAY_S + 7200.0)
    for second in range(0, 7201, 7):
        other.advance_to(MONDAY_S + second)
        other.truth()
        other.quantity("ws1", "humidity")
    other.advance_to(MONDAY_S + 7200.0)
    assert one.truth() == other.truth()
    assert one.truth() != GroundOffice(seed=6, start_s=MONDAY_S).truth()


HEAT_METER = ("flow", "heat_power", "supply_temperature", "return_temperature", "heat_total")
ULTRASONIC = (*HEAT_METER, "volume_total", "volume_total_negative", "heat_total_negative")
POWER_METER = ("electric_power", "energy_total", "power_factor", "frequency")
PHASES = tuple(f"{what}_{phase}" for what in ("voltage", "current") for phase in "abc")
UNIT = (
    "state mode_actual remote alarm_code load_ratio user_supply_temperature user_return_temperature "
    "source_inlet_temperature source_outlet_temperature user_flow source_flow starts_total run_hours electric_power "
    "run_request mode_request supply_setpoint heartbeat"
).split()
STATION = (
    *(f"p_{side}_{unit}{end}" for side in ("source", "user") for unit in range(1, 5) for end in ("", "_running")),
    *(f"valve_{which}{end}" for which in ("charge", "discharge") for end in ("", "_position")),
    "supply_temperature",
    "return_temperature",
    "load_pump_running",
)
READABLE = [
    *((device, name) for device in ("hm_user", "hm_tank") for name in ULTRASONIC),
    *(("hm_source", name) for name in (*HEAT_METER, "delta_t")),
    *(
        (device, name)
        for device in ("em_main", *(f"em_hp{k}" for k in range(1, 5)))
        for name in (*POWER_METER, *PHASES)
    ),
    ("em_main", "ct_ratio"),
    *((f"tt{module}", f"temperature_{channel}") for module in range(1, 6) for channel in (1, 2)),
    ("ws1", "temperature"),
    ("ws1", "humidity"),
    *((f"hp{unit}", name) for unit in range(1, 5) for name in UNIT),
    ("hp1", "capacity_limit"),
    ("hp2", "capacity_limit"),
    *(("io1", name) for name in STATION),
]


@pytest.fixture(scope="module")
def idle() -> GroundOffice:
    plant = GroundOffice(seed=1, start_s=MONDAY_S)
    plant.advance_to(MONDAY_S + 60.0)
    return plant


@pytest.mark.parametrize(("device", "name"), READABLE)
def test_every_point_of_the_plant_can_be_read(idle: GroundOffice, device: str, name: str) -> None:
    value = idle.quantity(device, name)
    assert isinstance(value, float)
    assert math.isfinite(value)


def test_what_is_read_is_what_is(idle: GroundOffice) -> None:
    truth = idle.truth()
    assert idle.quantity("em_main", "electric_power") == truth.electricity_kw
    assert idle.quantity("tt1", "temperature_1") == truth.tank_degc[0]
    assert idle.quantity("tt5", "temperature_2") == truth.tank_degc[9]
    assert idle.quantity("io1", "supply_temperature") == truth.supply_degc
    assert truth.tank_degc[0] == pytest.approx(TANK_START_DEGC[0], abs=0.1)
    assert 0.3 < truth.stored_kwh / (790_400 * 4.186 * 13 / 3600) < 0.5
    apparent_kw = (
        sum(idle.quantity("em_main", f"voltage_{k}") * idle.quantity("em_main", f"current_{k}") for k in "abc") / 1e3
    )
    assert truth.electricity_kw / apparent_kw == pytest.approx(idle.quantity("em_main", "power_factor"), rel=1e-6)
    assert 8.0 < truth.source_inlet_degc < 14.0


@pytest.mark.parametrize(
    ("device", "name", "value", "error"),
    [
        ("hp3", "capacity_limit", 0.5, KeyError),
        ("hp1", "capacity_limit", 0.2, ValueError),
        ("hp1", "supply_setpoint", 60.0, ValueError),
        ("hp1", "mode_request", 3, ValueError),
        ("hp1", "run_request", 2, ValueError),
        ("hp1", "state", 1, KeyError),
        ("io1", "valve_discharge", 1.1, ValueError),
        ("io1", "valve_charge", 0.5, ValueError),
        ("io1", "p_source_5", 1, KeyError),
        ("io1", "p_load", 1, KeyError),
        ("em_main", "ct_ratio", 1, KeyError),
    ],
)
def test_commands_that_do_not_exist_or_are_out_of_range_change_nothing(
    idle: GroundOffice, device: str, name: str, value: float, error: type[Exception]
) -> None:
    with pytest.raises(error):
        idle.command(device, name, value)
    if (device, name) in READABLE:
        assert idle.quantity(device, name) != value
