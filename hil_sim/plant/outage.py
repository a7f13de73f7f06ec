"""Was a heat outage avoidable: what the plant's sound parts could have delivered more, and for how long they could.

A cold supply is nobody's fault while every sound unit gives all it can. It counts as avoidable when heat lay idle long
enough before it for a careful operator to bring it in. Parts that a fault has taken away count as nothing.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from hil_sim.plant import performance
from hil_sim.plant.checker import Checker
from hil_sim.plant.tank import StratifiedTank
from hil_sim.plant.unit import Mode, State, Unit
from hil_sim.plant.valve import Valve
from hil_sim.plant.water import HEAT_CAPACITY_KJ_PER_KG_K, SECONDS_PER_HOUR

TANK = "tank"
"""Name of the tank among the parts that a fault has taken away."""
SPARE_KW_MIN = 150.0
"""Less is within the swing of a control loop: a quarter of a unit. Ours."""
LEAD_S = 1500.0
"""Spare heat must have lain idle for this long: noticing the fault, a start sequence with valves and pumps, the ramp of
a unit, and the spacing of two starts. Ours."""
COLD_S = 120.0
"""And the supply must have been too cold for this long. Ours."""
FULL_LOAD_RATIO = 0.97
OPEN_RATIO = 0.95
TANK_ABOVE_K = 2.0
"""The top of the tank must be this much above the supply's lower limit to count as heat. Ours."""
HEAT_PER_ELECTRIC = 3.3
"""How much heat a kilowatt of grid that is still free can make; low, so as not to blame. Design assumption."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What can give heat.

    Attributes:
        units: all units.
        impaired: names of units, and TANK, that a fault has taken away.
        tank: the storage.
        valve_charge: isolates it.
        valve_discharge: lets it feed the loop.
        discharge_kg_per_s: its flow with the valve open.
    """

    units: Sequence[Unit]
    impaired: Collection[str]
    tank: StratifiedTank
    valve_charge: Valve
    valve_discharge: Valve
    discharge_kg_per_s: float


def spare_kw(
    parts: Parts, *, instant_s: float, checker: Checker, source_degc: float, return_degc: float, electric_kw: float
) -> float:
    """Heat that the sound parts could have brought besides what they brought [kW].

    Args:
        parts: units and tank.
        instant_s: present instant [s since 1970].
        checker: knows starts, minimum times and grid limits.
        source_degc: water from the ground [degC].
        return_degc: water in the return header [degC].
        electric_kw: power of the plant now [kW].
    """
    units_kw = 0.0
    for unit in parts.units:
        if unit.name in parts.impaired or not unit.powered:
            continue
        heat_full_kw, _ = performance.full_load(source_degc, max(unit.leaving_degc, return_degc))
        if unit.state is State.RUNNING and unit.mode_actual is Mode.CHARGE:
            units_kw += unit.heat_kw
        elif unit.state is State.RUNNING and unit.load_ratio < FULL_LOAD_RATIO:
            units_kw += heat_full_kw * (1.0 - unit.load_ratio)
        elif unit.state is State.OFF and checker.may_start(instant_s, unit):
            units_kw += heat_full_kw
    grid_kw = checker.limits.grid_kw_at(instant_s)
    if grid_kw is not None:
        units_kw = min(units_kw, HEAT_PER_ELECTRIC * max(0.0, grid_kw - electric_kw))
    tank_kw = 0.0
    if TANK not in parts.impaired and parts.tank.top_degc > checker.limits.supply_degc_min + TANK_ABOVE_K:
        open_ratio = parts.valve_discharge.position_ratio * parts.valve_charge.position_ratio
        if open_ratio < OPEN_RATIO:
            flow_kg_per_s = (1.0 - open_ratio) * parts.discharge_kg_per_s
            tank_kw = flow_kg_per_s * HEAT_CAPACITY_KJ_PER_KG_K * max(0.0, parts.tank.top_degc - return_degc)
    return units_kw + tank_kw


class OutageWatch:
    """Follows supply and spare heat.

    Attributes:
        kelvin_hours: discomfort that was avoidable.
    """

    __slots__ = ("_cold_s", "_spare_s", "kelvin_hours")

    def __init__(self) -> None:
        self.kelvin_hours = 0.0
        self._spare_s = 0.0
        self._cold_s = 0.0

    def step(self, instant_s: float, step_s: float, *, missing_k: float, spare_kw: float, checker: Checker) -> None:
        """Takes a step; tells the checker when an avoidable outage begins.

        Args:
            instant_s: end of the step [s since 1970].
            step_s: its length [s].
            missing_k: how far the supply is below its lower limit minus the tolerance; at most 0: it is not.
            spare_kw: heat that lay idle [kW].
            checker: judges.
        """
        self._spare_s = self._spare_s + step_s if spare_kw >= SPARE_KW_MIN else 0.0
        self._cold_s = self._cold_s + step_s if missing_k > 0.0 else 0.0
        avoidable = self._cold_s >= COLD_S and self._spare_s >= LEAD_S
        if avoidable:
            self.kelvin_hours += missing_k * step_s / SECONDS_PER_HOUR
        checker.check_outage(instant_s, avoidable=avoidable, missing_k=missing_k, spare_kw=spare_kw)
