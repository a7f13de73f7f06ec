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
SWITCHES_ON: Final = ("user_flow", "source_flow", "load_pump_running", "remote")
COMMANDS_START: Final[Mapping[str, float]] = {
    "run_request": 1.0,
    "mode_request": 1.0,
    "supply_setpoint": 45.0,
    "capacity_limit": 1.0,
    "heartbeat": 0.0,
}


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


def _power_factor(water: _Swing, now_s: float) -> float:
    return POWER_FACTOR + 0.2 * (water.at(now_s) - 1.0)


def _voltage_v(water: _Swing, mean_v: float, now_s: float) -> float:
    return mean_v * (1.0 + 0.1 * (water.at(now_s) - 1.0))


def _current_a(load: _Swing, water: _Swing, mean_v: float, now_s: float) -> float:
    watts_w = ELECTRIC_KW * load.at(now_s) * 1000.0
    return watts_w / (3.0 * _voltage_v(water, mean_v, now_s) * _power_factor(water, now_s))


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
            known = self._quantities(device, seed=seed, start_s=start_s)
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

    @staticmethod
    def _quantities(device: str, *, seed: int, start_s: float) -> dict[str, Callable[[float], float]]:
        load = _Swing(seed, f"{device} load", start_s=start_s)
        water = _Swing(seed, f"{device} water", start_s=start_s)
        total_start = TOTAL_START_MAX * (0.2 + 0.8 * uniform(seed, f"{device} total", 0))
        kg_per_m3 = density_kg_per_m3(SUPPLY_DEGC - SPAN_K)
        heat_kw = FLOW_M3_PER_H * kg_per_m3 / SECONDS_PER_HOUR * HEAT_CAPACITY_KJ_PER_KG_K * SPAN_K

        def supply_degc(now_s: float) -> float:
            return SUPPLY_DEGC + 8.0 * (water.at(now_s) - 1.0)

        def hours(now_s: float) -> float:
            return load.integral_s(now_s) / SECONDS_PER_HOUR

        found: dict[str, Callable[[float], float]] = {
            "flow": lambda now_s: FLOW_M3_PER_H * load.at(now_s),
            "heat_power": lambda now_s: heat_kw * load.at(now_s),
            "supply_temperature": supply_degc,
            "return_temperature": lambda now_s: supply_degc(now_s) - SPAN_K,
            "delta_t": lambda _now_s: SPAN_K,
            "volume_total": lambda now_s: total_start + FLOW_M3_PER_H * hours(now_s),
            "heat_total": lambda now_s: total_start + heat_kw * hours(now_s),
            "volume_total_negative": lambda _now_s: 11.0,
            "heat_total_negative": lambda _now_s: 12.0,
            "electric_power": lambda now_s: ELECTRIC_KW * load.at(now_s),
            "energy_total": lambda now_s: total_start + ELECTRIC_KW * hours(now_s),
            "power_factor": partial(_power_factor, water),
            "frequency": lambda now_s: FREQUENCY_HZ + 0.2 * (water.at(now_s) - 1.0),
            "ct_ratio": lambda _now_s: CT_RATIO,
            "temperature": lambda now_s: 20.0 * (water.at(now_s) - 1.0),
            "temperature_1": lambda now_s: 46.0 + 20.0 * (water.at(now_s) - 1.0),
            "temperature_2": lambda now_s: 50.0 + 20.0 * (load.at(now_s) - 1.0),
            "humidity": lambda now_s: 50.0 * load.at(now_s),
            "state": lambda _now_s: 2.0,
            "mode_actual": lambda _now_s: 1.0,
            "alarm_code": lambda _now_s: 0.0,
            "load_ratio": lambda now_s: 0.7 * load.at(now_s),
            "user_supply_temperature": supply_degc,
            "user_return_temperature": lambda now_s: supply_degc(now_s) - SPAN_K,
            "source_inlet_temperature": lambda now_s: 10.0 * water.at(now_s),
            "source_outlet_temperature": lambda now_s: 10.0 * water.at(now_s) - 4.0,
            "starts_total": lambda _now_s: 77.0,
            "run_hours": lambda now_s: 5000.0 + (now_s - start_s) / SECONDS_PER_HOUR,
        }
        for phase, volts_v in zip("abc", PHASE_VOLTAGES_V, strict=True):
            found[f"voltage_{phase}"] = partial(_voltage_v, water, volts_v)
            found[f"current_{phase}"] = partial(_current_a, load, water, volts_v)
        found |= dict.fromkeys(SWITCHES_ON, lambda _now_s: 1.0)
        return found
