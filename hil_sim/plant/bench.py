"""A table full of meters without a plant behind it: every reading moves all the time, and all of them fit together.

Heat is flow times temperature difference, energy is the integral of power, currents belong to power and voltage: what a
reader may check, holds. Every value is a function of the instant, so nothing has to be stepped. Not here: instruments
and registers (hil_sim.devices).
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from hil_sim.plant.noise import uniform
from hil_sim.plant.water import HEAT_CAPACITY_KJ_PER_KG_K, SECONDS_PER_HOUR, density_kg_per_m3

# Design assumptions: a sub-station of a few hundred kW. The swings are quick, so that no two polls see the same value.
FLOW_M3_PER_H: Final = 60.0
SUPPLY_DEGC: Final = 45.0
SPAN_K: Final = 6.0
ELECTRIC_KW: Final = 90.0
POWER_FACTOR: Final = 0.9
PHASE_VOLTAGES_V: Final = (231.4, 230.6, 232.1)
FREQUENCY_HZ: Final = 50.0
CT_RATIO: Final = 60.0
SWING_RATIO: Final = 0.25
SWING_S_MIN: Final = 70.0
SWING_S_MAX: Final = 160.0
TOTAL_START_MAX: Final = 400_000.0
SWITCHES_ON: Final = (
    *("user_flow", "source_flow", "load_pump_running", "remote", "running", "compressor_a_running"),
    "running_contact",
    "stage_2_running",
    "remote_contact",
)
COMMANDS_START: Final[Mapping[str, float]] = {
    "run_request": 1.0,
    "mode_request": 1.0,
    "supply_setpoint": 45.0,
    "capacity_limit": 1.0,
    "heartbeat": 0.0,
    "run_contact": 1.0,
    "charge_contact": 0.0,
    "stage_2_contact": 1.0,
    "stage_request": 3.0,
    "cooling_setpoint": 7.0,
    "heating_setpoint": 45.0,
    "cooling_return_setpoint": 12.0,
    "heating_return_setpoint": 40.0,
    "cooling_supply_setpoint": 7.0,
    "heating_supply_setpoint": 45.0,
    "second_setpoint": 45.0,
    "dhw_setpoint": 50.0,
    "buffer_setpoint": 45.0,
    "silent_mode": 1.0,
    "current_limit": 100.0,
    "power_limit": 10.0,
    "house_load": 2.5,
    "degree_minutes": -60.0,
    "heating_curve_1": 7.0,
    "heating_curve_2": 7.0,
    "heating_curve_3": 7.0,
    "user_pump_mode": 10.0,
    "source_pump_mode": 10.0,
    "control_word": 0.0,
    "bus_reference": 0.0,
    "reference_1": 0.0,
    "reference_2": 0.0,
    "param_write_to_eeprom": 0.0,
    "modbus_enable": 0.0,
    "fault_reset": 0.0,
    "load_limit_stage": 0.0,
    "excess_power_setpoint": 0.0,
    "pv_surplus": 0.0,
    "pv_production": 0.0,
    "electric_heater_power": 0.0,
    "dhw_trigger": 0.0,
    "dhw_demand_mode": 1.0,
    "heating_offset_1": 0.0,
    "cooling_offset_1": 0.0,
    "operating_mode": 0.0,
    "power_limit_enable": 0.0,
    "sg_activation": 0.0,
    "sg_ready_mode": 0.0,
}
DWELLING_MARK: Final = "dhw_top_temperature"
"""A device that knows the domestic hot water heats a dwelling: a tenth of a plant's power."""
DWELLING_RATIO: Final = 0.1
FULL_SPEED_COUNTS: Final = 20_000.0
METER_PIPE_M2: Final = 0.0314
SOUND_M_PER_S: Final = 1540.0
NOTHING: Final = (
    *("alarm_code", "info_code", "error_code", "cold_total", "tariff_2", "tariff_3", "flow_2", "additional_heat_power"),
    *("energy_export", "reactive_energy_export", "energy_sharp", "energy_peak", "energy_valley"),
    *("energy_import_sharp", "energy_import_peak", "energy_import_valley", "meter_power", "actual_2"),
)
"""What stays at zero: no alarms, nothing the other way round, no tariff in the meter."""
COUNTS_PER_K: Final = 10.0
"""A gateway that shows temperatures as they are in its chiller, in tenths."""


class _Swing:
    """1 + a sine: a ratio that moves, and its integral over time."""

    def __init__(self, seed: int, name: str, *, start_s: float) -> None:
        period_s = SWING_S_MIN + (SWING_S_MAX - SWING_S_MIN) * uniform(seed, f"{name} period", 0)
        self._start_s = start_s
        self._turn_per_s = 2.0 * math.pi / period_s
        self._phase = 2.0 * math.pi * uniform(seed, f"{name} phase", 0)

    def at(self, instant_s: float) -> float:
        """The ratio at an instant."""
        return 1.0 + SWING_RATIO * math.sin(self._phase + self._turn_per_s * (instant_s - self._start_s))

    def integral_s(self, instant_s: float) -> float:
        """Integral of the ratio from the start to an instant [s]."""
        gone_s = instant_s - self._start_s
        swung_s = (math.cos(self._phase) - math.cos(self._phase + self._turn_per_s * gone_s)) / self._turn_per_s
        return gone_s + SWING_RATIO * swung_s


class MeterBench:
    """What the meters on the bench measure.

    Args:
        seed: of the loads.
        start_s: begin of the simulation [s since 1970 UTC].
        devices: device name: names of the quantities and commands that it has.

    Raises:
        ValueError: a quantity that the bench cannot make.
    """

    def __init__(self, *, seed: int, start_s: float, devices: Mapping[str, frozenset[str]]) -> None:
        self._commands: dict[tuple[str, str], float] = {}
        self._table: dict[tuple[str, str], Callable[[float], float]] = {}
        for device, names in devices.items():
            ratio = DWELLING_RATIO if DWELLING_MARK in names else 1.0
            known = _quantities(device, seed=seed, start_s=start_s, electric_kw=ELECTRIC_KW * ratio)
            for name in names:
                if name in known:
                    self._table[device, name] = known[name]
                elif name in COMMANDS_START or name.startswith(("p_source_", "p_user_", "valve_")):
                    self._commands[device, name] = COMMANDS_START.get(name, 1.0)
                else:
                    raise ValueError(f"{device}: the bench makes no {name!r}")

    def quantity(self, device: str, name: str, *, instant_s: float) -> float:
        """True value of a device's quantity at an instant, in inside units.

        Raises:
            KeyError: no such device or quantity.
        """
        if (device, name) in self._commands:
            return self._commands[device, name]
        return self._table[device, name](instant_s)

    def command(self, device: str, name: str, value: float) -> None:
        """Takes a write: on the bench it acts on nothing, and reads back.

        Raises:
            KeyError: no such device or command.
        """
        if (device, name) not in self._commands:
            raise KeyError((device, name))
        self._commands[device, name] = value


_Value = Callable[[float], float]


def _quantities(device: str, *, seed: int, start_s: float, electric_kw: float) -> dict[str, _Value]:
    """Everything that a device on the bench may measure, as functions of the instant [s since 1970 UTC]."""
    load = _Swing(seed, f"{device} load", start_s=start_s)
    water = _Swing(seed, f"{device} water", start_s=start_s)
    start_kwh = TOTAL_START_MAX * (0.2 + 0.8 * uniform(seed, f"{device} total", 0))
    return {
        **dict.fromkeys(NOTHING, lambda _now_s: 0.0),
        **dict.fromkeys(SWITCHES_ON, lambda _now_s: 1.0),
        **_heat(load, water, start_kwh=start_kwh),
        **_electric(load, water, start_kwh=start_kwh, electric_kw=electric_kw),
        **_rooms(load, water),
        **_unit(load, water, start_s=start_s),
    }


def _heat(load: _Swing, water: _Swing, *, start_kwh: float) -> dict[str, _Value]:
    kg_per_m3 = density_kg_per_m3(SUPPLY_DEGC - SPAN_K)
    heat_kw = FLOW_M3_PER_H * kg_per_m3 / SECONDS_PER_HOUR * HEAT_CAPACITY_KJ_PER_KG_K * SPAN_K

    def supply_degc(now_s: float) -> float:
        return SUPPLY_DEGC + 8.0 * (water.at(now_s) - 1.0)

    def return_degc(now_s: float) -> float:
        return supply_degc(now_s) - SPAN_K

    def hours(now_s: float) -> float:
        return load.integral_s(now_s) / SECONDS_PER_HOUR

    found: dict[str, _Value] = {
        "flow": lambda now_s: FLOW_M3_PER_H * load.at(now_s),
        "velocity": lambda now_s: FLOW_M3_PER_H * load.at(now_s) / SECONDS_PER_HOUR / METER_PIPE_M2,
        "sound_speed": lambda _now_s: SOUND_M_PER_S,
        "heat_power": lambda now_s: heat_kw * load.at(now_s),
        "supply_temperature": supply_degc,
        "return_temperature": return_degc,
        "temperature_3": supply_degc,
        "temperature_4": return_degc,
        "user_supply_temperature": supply_degc,
        "user_return_temperature": return_degc,
        "delta_t": lambda _now_s: SPAN_K,
        "volume_total": lambda now_s: start_kwh + FLOW_M3_PER_H * hours(now_s),
        "heat_total": lambda now_s: start_kwh + heat_kw * hours(now_s),
        "volume_total_negative": lambda _now_s: 11.0,
        "heat_total_negative": lambda _now_s: 12.0,
        "volume_total_month": lambda _now_s: 0.9 * start_kwh,
        "heat_total_month": lambda _now_s: 0.9 * start_kwh,
    }
    found["volume_total_net"] = lambda now_s: found["volume_total"](now_s) - 11.0
    found["heat_total_net"] = lambda now_s: found["heat_total"](now_s) - 12.0
    found["tariff_1"] = found["heat_total"]
    for name in ("heat_total", "volume_total", "heat_power", "flow"):
        found[f"{name}_count"] = found[name]
    return found


def _electric(load: _Swing, water: _Swing, *, start_kwh: float, electric_kw: float) -> dict[str, _Value]:
    reactive_per_active = math.tan(math.acos(POWER_FACTOR))

    def power_kw(now_s: float) -> float:
        return electric_kw * load.at(now_s)

    def power_factor(now_s: float) -> float:
        return POWER_FACTOR + 0.2 * (water.at(now_s) - 1.0)

    def voltage_v(mean_v: float, now_s: float) -> float:
        return mean_v * (1.0 + 0.1 * (water.at(now_s) - 1.0))

    def current_a(mean_v: float, now_s: float) -> float:
        return power_kw(now_s) * 1000.0 / (3.0 * voltage_v(mean_v, now_s) * power_factor(now_s))

    def counted_kwh(now_s: float) -> float:
        return electric_kw * load.integral_s(now_s) / SECONDS_PER_HOUR

    def energy_kwh(now_s: float) -> float:
        return start_kwh + counted_kwh(now_s)

    found: dict[str, _Value] = {
        "electric_power": power_kw,
        "apparent_power": lambda now_s: power_kw(now_s) / power_factor(now_s),
        "reactive_power": lambda now_s: power_kw(now_s) * math.tan(math.acos(power_factor(now_s))),
        **dict.fromkeys(("energy_total", "energy_import", "energy_sum", "energy_flat"), energy_kwh),
        **dict.fromkeys(("energy_import_flat", "pulse_energy_total"), energy_kwh),
        # At the mean power factor: over minutes, what the swings add and take is nothing.
        **dict.fromkeys(
            ("reactive_energy_import", "reactive_energy_sum"), lambda now_s: reactive_per_active * energy_kwh(now_s)
        ),
        **dict.fromkeys(("energy_export", "reactive_energy_export"), lambda _now_s: 0.0),
        "power_factor": power_factor,
        "phase_angle": lambda now_s: math.degrees(math.acos(power_factor(now_s))),
        "thd": lambda now_s: 2.5 * load.at(now_s),
        "frequency": lambda now_s: FREQUENCY_HZ + 0.2 * (water.at(now_s) - 1.0),
        "requested_compressor_frequency": lambda now_s: FREQUENCY_HZ * load.at(now_s),
        "ct_ratio": lambda _now_s: CT_RATIO,
        "motor_voltage": lambda now_s: 380.0 * load.at(now_s),
    }
    phase_shares = [name for name in found if name.startswith(("electric_", "apparent_", "reactive_"))]
    phase_shares += ["energy_import", "energy_export", "energy_sum"]
    for phase, mean_v in zip("abc", PHASE_VOLTAGES_V, strict=True):
        found[f"voltage_{phase}"] = partial(voltage_v, mean_v)
        found[f"current_{phase}"] = partial(current_a, mean_v)
        found[f"power_factor_{phase}"] = power_factor
        found[f"thd_{phase}"] = found["thd"]
        for name in phase_shares:
            found[f"{name}_{phase}"] = partial(_third, found[name])
    found["motor_current"] = found["current_a"]
    return found


def _third(total: _Value, now_s: float) -> float:
    return total(now_s) / 3.0


def _rooms(load: _Swing, water: _Swing) -> dict[str, _Value]:
    """Air, tanks and sources."""

    def outdoor_degc(now_s: float) -> float:
        return 20.0 * (water.at(now_s) - 1.0)

    def warm_degc(now_s: float) -> float:
        return 46.0 + 20.0 * (water.at(now_s) - 1.0)

    def warmer_degc(now_s: float) -> float:
        return 50.0 + 20.0 * (load.at(now_s) - 1.0)

    def source_degc(now_s: float) -> float:
        return 10.0 * water.at(now_s)

    return {
        **dict.fromkeys(("temperature", "outdoor_temperature", "outdoor_temperature_mean"), outdoor_degc),
        **dict.fromkeys(("temperature_1", "dhw_bottom_temperature", "buffer_bottom_temperature"), warm_degc),
        **dict.fromkeys(("temperature_2", "dhw_top_temperature", "buffer_top_temperature"), warmer_degc),
        **dict.fromkeys(("buffer_temperature", "dhw_charging_temperature", "condenser_temperature"), warmer_degc),
        "discharge_temperature": lambda now_s: warmer_degc(now_s) + 25.0,
        "humidity": lambda now_s: 50.0 * load.at(now_s),
        "source_inlet_temperature": source_degc,
        "source_outlet_temperature": lambda now_s: source_degc(now_s) - 4.0,
        "active_setpoint": lambda _now_s: COUNTS_PER_K * 7.0,
        "evaporator_leaving_temperature": lambda now_s: COUNTS_PER_K * 7.0 * water.at(now_s),
        "evaporator_entering_temperature": lambda now_s: COUNTS_PER_K * (7.0 * water.at(now_s) + 5.0),
        "condenser_entering_temperature": lambda now_s: COUNTS_PER_K * 30.0 * water.at(now_s),
        "condenser_leaving_temperature": lambda now_s: COUNTS_PER_K * (30.0 * water.at(now_s) + 5.0),
    }


def _unit(load: _Swing, water: _Swing, *, start_s: float) -> dict[str, _Value]:
    """States and habits of units and drives."""
    return {
        "state": lambda _now_s: 2.0,
        "hp_state": lambda _now_s: 2.0,
        "operating_state": lambda _now_s: 1.0,
        "sg_mode": lambda _now_s: 10.0,
        "command_copy": lambda _now_s: 1.0,
        "mode_actual": lambda _now_s: 1.0,
        "load_ratio": lambda now_s: 0.7 * load.at(now_s),
        "stage_actual": lambda _now_s: 3.0,
        "fault_contact": lambda _now_s: 0.0,
        "capacity": lambda now_s: 70.0 * load.at(now_s),
        "cop": lambda now_s: 4.5 * water.at(now_s),
        "status_word": lambda _now_s: float(0b0000_0110_0011_0111),
        "actual_1": lambda now_s: 0.7 * FULL_SPEED_COUNTS * load.at(now_s),
        "main_actual": lambda now_s: 70.0 * load.at(now_s),
        "starts_total": lambda _now_s: 77.0,
        "run_hours": lambda now_s: 5000.0 + (now_s - start_s) / SECONDS_PER_HOUR,
    }
