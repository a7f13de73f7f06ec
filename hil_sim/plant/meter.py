"""True totals of heat and electricity meters; resolution and errors belong to the devices."""

import math

from hil_sim.plant.pipe_sensor import PipeSensor
from hil_sim.plant.water import HEAT_CAPACITY_KJ_PER_KG_K, SECONDS_PER_HOUR, density_kg_per_m3

FLOW_SEEN_KG_PER_S = 0.05
"""Below this a heat meter sees no flow."""


class HeatMeter:
    """Flow, two temperatures, heat, and totals for each direction.

    Args:
        volume_m3: start value of the volume [m3].
        heat_kwh: start value of the heat [kWh].
        water_degc: first reading of both sensors [degC].
    """

    __slots__ = (
        "flow_m3_per_h",
        "heat_kw",
        "heat_negative_kwh",
        "heat_positive_kwh",
        "return_sensor",
        "supply_sensor",
        "volume_negative_m3",
        "volume_positive_m3",
    )

    def __init__(self, *, volume_m3: float, heat_kwh: float, water_degc: float) -> None:
        self.supply_sensor = PipeSensor(water_degc)
        self.return_sensor = PipeSensor(water_degc)
        self.flow_m3_per_h = 0.0
        self.heat_kw = 0.0
        self.volume_positive_m3 = volume_m3
        self.volume_negative_m3 = 0.0
        self.heat_positive_kwh = heat_kwh
        self.heat_negative_kwh = 0.0

    def step(self, step_s: float, flow_kg_per_s: float, *, supply_degc: float, return_degc: float) -> None:
        """Counts one step; a negative flow counts in the totals of the other direction."""
        flowing = abs(flow_kg_per_s) > FLOW_SEEN_KG_PER_S
        self.supply_sensor.step(step_s, supply_degc, flowing=flowing)
        self.return_sensor.step(step_s, return_degc, flowing=flowing)
        if not flowing:
            self.flow_m3_per_h = 0.0
            self.heat_kw = 0.0
            return
        hours = step_s / SECONDS_PER_HOUR
        self.flow_m3_per_h = flow_kg_per_s * SECONDS_PER_HOUR / density_kg_per_m3(return_degc)
        self.heat_kw = flow_kg_per_s * HEAT_CAPACITY_KJ_PER_KG_K * (supply_degc - return_degc)
        if flow_kg_per_s > 0.0:
            self.volume_positive_m3 += self.flow_m3_per_h * hours
        else:
            self.volume_negative_m3 -= self.flow_m3_per_h * hours
        if self.heat_kw > 0.0:
            self.heat_positive_kwh += self.heat_kw * hours
        else:
            self.heat_negative_kwh -= self.heat_kw * hours


class PowerMeter:
    """Active and reactive power and energy.

    Args:
        energy_kwh: start value [kWh].
        idle_power_factor: power factor near no load; it rises to 0.9 at `rated_kw`.
        rated_kw: load at which the power factor is best [kW].
    """

    __slots__ = ("_idle_power_factor", "_rated_kw", "electric_kw", "energy_kwh", "reactive_kvarh")

    def __init__(self, *, energy_kwh: float, idle_power_factor: float, rated_kw: float) -> None:
        self.energy_kwh = energy_kwh
        self.electric_kw = 0.0
        self.reactive_kvarh = 0.0
        self._idle_power_factor = idle_power_factor
        self._rated_kw = rated_kw

    @property
    def power_factor(self) -> float:
        """Active over apparent power."""
        load_ratio = min(1.0, self.electric_kw / self._rated_kw)
        return self._idle_power_factor + (0.90 - self._idle_power_factor) * load_ratio

    @property
    def reactive_kvar(self) -> float:
        """Reactive power, inductive [kvar]."""
        return self.electric_kw * math.sqrt(1.0 / self.power_factor**2 - 1.0)

    def current_a(self, voltage_v: float) -> float:
        """Current of each of three equally loaded phases at a phase voltage [A]."""
        return self.electric_kw * 1000.0 / (3.0 * voltage_v * self.power_factor)

    def step(self, step_s: float, electric_kw: float) -> None:
        """Counts one step."""
        self.electric_kw = electric_kw
        self.energy_kwh += electric_kw * step_s / SECONDS_PER_HOUR
        self.reactive_kvarh += self.reactive_kvar * step_s / SECONDS_PER_HOUR
