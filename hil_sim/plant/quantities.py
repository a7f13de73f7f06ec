"""Names of everything that can be read in the plant: the table behind `GroundOffice.quantity`."""

import math
from collections.abc import Callable
from typing import Protocol

from hil_sim.plant.building import Building
from hil_sim.plant.local_control import LocalControl
from hil_sim.plant.loop import Header
from hil_sim.plant.meter import HeatMeter, PowerMeter
from hil_sim.plant.pipe_sensor import PipeSensor
from hil_sim.plant.pump import Pump
from hil_sim.plant.tank import StratifiedTank
from hil_sim.plant.unit import Alarm, Mode, State, Unit
from hil_sim.plant.valve import Valve
from hil_sim.plant.water import SECONDS_PER_HOUR
from hil_sim.plant.weather import Weather

Getter = Callable[[], float]
Table = dict[tuple[str, str], Getter]

# Low-voltage grid behind the plant's own transformer. Design assumptions.
PHASE_VOLTAGES_V = (231.4, 230.6, 232.1)
VOLTAGE_DROP_V_PER_KW = 0.006
FREQUENCY_HZ = 50.0
CT_RATIO = 60.0
VOLTAGE_THD_PERCENT = 2.5
METER_PIPE_M2 = 0.0314
"""DN 200."""
SOUND_M_PER_S = 1540.0
"""In water between 40 and 60 degC, within one per cent."""

SHARED_BY_PHASES = (
    "electric_power",
    "apparent_power",
    "reactive_power",
    *(f"{kind}_{way}" for kind in ("energy", "reactive_energy") for way in ("import", "export", "sum")),
)


class Parts(Protocol):
    """What the table reads; the plant has it."""

    instant_s: float
    outdoor_degc: float
    electric_kw: float
    weather: Weather
    units: tuple[Unit, ...]
    local: tuple[LocalControl, ...]
    source_pumps: tuple[Pump, ...]
    user_pumps: tuple[Pump, ...]
    unit_sensors: tuple[tuple[PipeSensor, ...], ...]
    heartbeats: list[float]
    starts_total_before: tuple[int, ...]
    run_hours_before: tuple[float, ...]
    valve_charge: Valve
    valve_discharge: Valve
    tank: StratifiedTank
    supply_header: Header
    return_header: Header
    building: Building
    meter_user: HeatMeter
    meter_tank: HeatMeter
    meter_source: HeatMeter
    meter_main: PowerMeter
    meter_units: tuple[PowerMeter, ...]


def build(plant: Parts) -> Table:
    """Writes the table (device, quantity) -> function that reads it now."""
    table: Table = {}
    for device, heat_meter in (
        ("hm_user", plant.meter_user),
        ("hm_tank", plant.meter_tank),
        ("hm_source", plant.meter_source),
    ):
        _add_heat_meter(table, device, heat_meter)
    _add_power_meter(table, "em_main", plant.meter_main, plant=plant)
    table["em_main", "ct_ratio"] = lambda: CT_RATIO
    for position, power_meter in enumerate(plant.meter_units):
        _add_power_meter(table, f"em_hp{position + 1}", power_meter, plant=plant)
    for layer in range(10):
        table[f"tt{layer // 2 + 1}", f"temperature_{layer % 2 + 1}"] = _layer(plant, layer)
    table["ws1", "temperature"] = lambda: plant.outdoor_degc
    table["ws1", "humidity"] = lambda: plant.weather.humidity_percent(plant.instant_s)
    for position in range(len(plant.units)):
        _add_unit(table, plant, position)
    _add_station(table, plant)
    return table


def _layer(plant: Parts, layer: int) -> Getter:
    return lambda: plant.tank.layers_degc[layer]


def _shown(sensor: PipeSensor) -> Getter:
    return lambda: sensor.degc


def _commanded(pump: Pump) -> Getter:
    return lambda: float(pump.commanded)


def _running(pump: Pump) -> Getter:
    return lambda: float(pump.feedback)


def _voltage(plant: Parts, no_load_v: float) -> Getter:
    return lambda: no_load_v - VOLTAGE_DROP_V_PER_KW * plant.electric_kw


def _current(meter: PowerMeter, voltage_v: Getter) -> Getter:
    return lambda: meter.current_a(voltage_v())


def _third(total: Getter) -> Getter:
    """One of three equally loaded phases."""
    return lambda: total() / 3.0


def _add_heat_meter(table: Table, device: str, meter: HeatMeter) -> None:
    table[device, "flow"] = lambda: meter.flow_m3_per_h
    table[device, "heat_power"] = lambda: meter.heat_kw
    table[device, "supply_temperature"] = lambda: meter.supply_sensor.degc
    table[device, "return_temperature"] = lambda: meter.return_sensor.degc
    table[device, "delta_t"] = lambda: meter.supply_sensor.degc - meter.return_sensor.degc
    table[device, "volume_total"] = lambda: meter.volume_positive_m3
    table[device, "heat_total"] = lambda: meter.heat_positive_kwh
    table[device, "volume_total_negative"] = lambda: meter.volume_negative_m3
    table[device, "heat_total_negative"] = lambda: meter.heat_negative_kwh
    table[device, "volume_total_net"] = lambda: meter.volume_positive_m3 - meter.volume_negative_m3
    table[device, "heat_total_net"] = lambda: meter.heat_positive_kwh - meter.heat_negative_kwh
    table[device, "velocity"] = lambda: meter.flow_m3_per_h / SECONDS_PER_HOUR / METER_PIPE_M2
    table[device, "sound_speed"] = lambda: SOUND_M_PER_S
    table[device, "alarm_code"] = lambda: 0.0


def _add_power_meter(table: Table, device: str, meter: PowerMeter, *, plant: Parts) -> None:
    table[device, "electric_power"] = lambda: meter.electric_kw
    table[device, "energy_total"] = lambda: meter.energy_kwh
    table[device, "energy_import"] = table[device, "energy_sum"] = lambda: meter.energy_kwh
    table[device, "energy_flat"] = table[device, "energy_import_flat"] = lambda: meter.energy_kwh
    for band in ("sharp", "peak", "valley"):  # nobody programmed a tariff into the meter: all of it is flat
        table[device, f"energy_{band}"] = table[device, f"energy_import_{band}"] = lambda: 0.0
    table[device, "energy_export"] = table[device, "reactive_energy_export"] = lambda: 0.0
    table[device, "reactive_energy_import"] = table[device, "reactive_energy_sum"] = lambda: meter.reactive_kvarh
    table[device, "apparent_power"] = lambda: meter.electric_kw / meter.power_factor
    table[device, "reactive_power"] = lambda: meter.reactive_kvar
    table[device, "power_factor"] = lambda: meter.power_factor
    table[device, "phase_angle"] = lambda: math.degrees(math.acos(meter.power_factor))
    table[device, "thd"] = lambda: VOLTAGE_THD_PERCENT
    table[device, "frequency"] = lambda: FREQUENCY_HZ
    for phase, no_load_v in zip("abc", PHASE_VOLTAGES_V, strict=True):
        voltage_v = _voltage(plant, no_load_v)
        table[device, f"voltage_{phase}"] = voltage_v
        table[device, f"current_{phase}"] = _current(meter, voltage_v)
        table[device, f"power_factor_{phase}"] = table[device, "power_factor"]
        table[device, f"thd_{phase}"] = table[device, "thd"]
        for name in SHARED_BY_PHASES:
            table[device, f"{name}_{phase}"] = _third(table[device, name])


def _add_unit(table: Table, plant: Parts, position: int) -> None:
    unit = plant.units[position]
    device = unit.name
    local = plant.local[position]
    source_pump = plant.source_pumps[position]
    starts_before = plant.starts_total_before[position] - unit.starts
    run_hours_before = plant.run_hours_before[position] - unit.run_s / 3600.0

    def alarm_code() -> float:
        if unit.state is not State.TRIPPED and local.active and local.selected_s is None:
            return float(Alarm.COMMUNICATION_LOST)
        return float(unit.alarm)

    table[device, "state"] = lambda: float(unit.state)
    table[device, "mode_actual"] = lambda: float(unit.mode_actual)
    table[device, "remote"] = lambda: float(local.selected_s is None)  # a lost agent does not turn the selector
    table[device, "alarm_code"] = alarm_code
    table[device, "load_ratio"] = lambda: unit.load_ratio
    names = (
        "user_supply_temperature",
        "user_return_temperature",
        "source_inlet_temperature",
        "source_outlet_temperature",
    )
    for name, sensor in zip(names, plant.unit_sensors[position], strict=True):
        table[device, name] = _shown(sensor)
    table[device, "user_flow"] = lambda: float(unit.user_flow)
    table[device, "source_flow"] = lambda: float(source_pump.flowing)
    table[device, "starts_total"] = lambda: float(starts_before + unit.starts)
    table[device, "run_hours"] = lambda: run_hours_before + unit.run_s / 3600.0
    table[device, "electric_power"] = lambda: unit.electric_kw
    table[device, "run_request"] = lambda: float(unit.run_request)
    table[device, "mode_request"] = lambda: float(unit.mode_request)
    table[device, "supply_setpoint"] = lambda: unit.setpoint_degc
    if unit.kind.takes_capacity_limit:
        table[device, "capacity_limit"] = lambda: unit.capacity_limit_ratio
    if unit.kind.stages:
        table[device, "stage_request"] = lambda: float(unit.stage_request)
        table[device, "stage_actual"] = lambda: float(unit.stage)
    if unit.kind.contacts:
        _add_contacts(table, unit)
    table[device, "heartbeat"] = lambda: plant.heartbeats[position]


def _add_contacts(table: Table, unit: Unit) -> None:
    """What a box of inputs and outputs at the unit sees and does."""
    device = unit.name
    table[device, "run_contact"] = lambda: float(unit.run_request)
    table[device, "charge_contact"] = lambda: float(unit.mode_request is Mode.CHARGE)
    table[device, "running_contact"] = lambda: float(unit.compressor_on)
    table[device, "fault_contact"] = lambda: float(unit.state is State.TRIPPED)
    table[device, "remote_contact"] = table[device, "remote"]
    for stage in range(2, len(unit.kind.stages) + 1):
        table[device, f"stage_{stage}_contact"] = _at_least(lambda: unit.stage_request, stage)
        table[device, f"stage_{stage}_running"] = _at_least(lambda: unit.stage, stage)


def _at_least(count: Callable[[], int], wanted: int) -> Getter:
    return lambda: float(count() >= wanted)


def _add_station(table: Table, plant: Parts) -> None:
    for prefix, pumps in (("p_source", plant.source_pumps), ("p_user", plant.user_pumps)):
        for number, pump in enumerate(pumps, start=1):
            table["io1", f"{prefix}_{number}"] = _commanded(pump)
            table["io1", f"{prefix}_{number}_running"] = _running(pump)
    table["io1", "valve_charge"] = lambda: plant.valve_charge.commanded_ratio
    table["io1", "valve_charge_position"] = lambda: plant.valve_charge.position_ratio
    table["io1", "valve_discharge"] = lambda: plant.valve_discharge.commanded_ratio
    table["io1", "valve_discharge_position"] = lambda: plant.valve_discharge.position_ratio
    table["io1", "supply_temperature"] = lambda: plant.supply_header.degc
    table["io1", "return_temperature"] = lambda: plant.return_header.degc
    table["io1", "load_pump_running"] = lambda: float(plant.building.circulating)
