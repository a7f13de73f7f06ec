"""The water of the heat loop: units in direct and charging mode, headers, decoupler, tank, and the way between them.

Every stream carries the temperature its source had at the beginning of the step. Not here: what moves the water (pumps,
valves) and what the units and the building make of it.
"""

from collections.abc import Sequence

from hil_sim.plant.building import Building
from hil_sim.plant.loop import Header
from hil_sim.plant.meter import HeatMeter
from hil_sim.plant.pipe_sensor import ROOM_DEGC
from hil_sim.plant.tank import StratifiedTank
from hil_sim.plant.unit import USER_FLOW_KG_PER_S, Mode, Unit
from hil_sim.plant.water import HEAT_CAPACITY_KJ_PER_KG_K


class HeatLoop:
    """Headers and tank, and the water that goes through them.

    Args:
        units: give their heat to it.
        tank: the storage.
        supply_degc: supply header at the beginning.
        return_degc: return header at the beginning.

    Attributes:
        supply: supply header.
        back: return header.
        charge_inlet_degc: water that enters the charging units.
        heat_charged_kw: net heat into the tank in the last step.
        discharge_kw: net heat out of it.
    """

    __slots__ = (
        "_units",
        "back",
        "charge_inlet_degc",
        "discharge_kw",
        "heat_charged_kw",
        "supply",
        "tank",
    )

    def __init__(self, units: Sequence[Unit], tank: StratifiedTank, *, supply_degc: float, return_degc: float) -> None:
        self._units = units
        self.tank = tank
        self.supply = Header(supply_degc)
        self.back = Header(return_degc)
        self.charge_inlet_degc = tank.bottom_degc
        self.heat_charged_kw = 0.0
        self.discharge_kw = 0.0

    def stored_kj(self) -> float:
        """Heat in headers and tank above 0 degC [kJ]."""
        return self.tank.stored_kj() + self.supply.stored_kj() + self.back.stored_kj()

    def step(
        self,
        instant_s: float,
        step_s: float,
        *,
        discharge_kg_per_s: float,
        outdoor_degc: float,
        building: Building,
        meter_tank: HeatMeter,
    ) -> None:
        """Lets units, building and tank exchange their water for one step.

        Args:
            instant_s: begin of the step [s since 1970].
            step_s: its length [s].
            discharge_kg_per_s: water that the loop takes out of the tank's top.
            outdoor_degc: outdoor air.
            building: takes its heat from the supply.
            meter_tank: counts what passes the tank.
        """
        supply_degc, return_degc = self.supply.degc, self.back.degc
        charge_kg_per_s, charge_degc = self._couple_charging(discharge_kg_per_s, return_degc=return_degc)
        direct_kg_per_s = self._leave_units(return_degc=return_degc)
        building.step(instant_s, step_s, outdoor_degc=outdoor_degc, supply_degc=supply_degc)
        self._mix_headers(
            step_s,
            building,
            direct_kg_per_s=direct_kg_per_s,
            discharge_kg_per_s=discharge_kg_per_s,
            through_kg_per_s=min(charge_kg_per_s, discharge_kg_per_s),
            charge_degc=charge_degc,
        )
        self._move_tank(
            step_s,
            charge_kg_per_s - discharge_kg_per_s,
            charge_degc=charge_degc,
            return_degc=return_degc,
            meter=meter_tank,
        )

    def _couple_charging(self, discharge_kg_per_s: float, *, return_degc: float) -> tuple[float, float]:
        """Flow of all charging units and its mixed leaving temperature; notes the temperature at which they draw.

        What they draw depends on how warm it comes, and that on how much they draw: solved by repeating it.
        """
        bottom_degc = self.tank.bottom_degc
        charging = [unit for unit in self._units if unit.hydraulic_mode() is Mode.CHARGE]
        inlet_degc = self.charge_inlet_degc if discharge_kg_per_s > 0.0 else bottom_degc
        flow_kg_per_s = 0.0
        heat_kw = 0.0
        for _ in range(3):
            flow_kg_per_s = 0.0
            heat_kw = 0.0
            for unit in charging:
                unit.flow_kg_per_s = unit.water_flow_kg_per_s(inlet_degc, user_flow=unit.user_flow)
                flow_kg_per_s += unit.flow_kg_per_s
                heat_kw += unit.heat_kw
            if discharge_kg_per_s <= 0.0:
                break
            if flow_kg_per_s > discharge_kg_per_s:
                through_ratio = discharge_kg_per_s / flow_kg_per_s
                inlet_degc = (1.0 - through_ratio) * bottom_degc + through_ratio * return_degc
            else:
                inlet_degc = return_degc
        self.charge_inlet_degc = inlet_degc
        if flow_kg_per_s <= 0.0:
            return 0.0, inlet_degc
        return flow_kg_per_s, inlet_degc + heat_kw / (flow_kg_per_s * HEAT_CAPACITY_KJ_PER_KG_K)

    def _leave_units(self, *, return_degc: float) -> float:
        """Gives each unit its leaving temperature, direct ones into the supply header; returns the direct flow."""
        direct_kg_per_s = 0.0
        for unit in self._units:
            if not unit.user_flow:
                continue
            if unit.hydraulic_mode() is Mode.CHARGE:
                flow_kg_per_s = unit.flow_kg_per_s
                inlet_degc = self.charge_inlet_degc
            else:
                flow_kg_per_s = unit.flow_kg_per_s = USER_FLOW_KG_PER_S
                inlet_degc = return_degc
                direct_kg_per_s += flow_kg_per_s
            unit.leaving_degc = inlet_degc
            if flow_kg_per_s > 0.0:
                unit.leaving_degc += unit.heat_kw / (flow_kg_per_s * HEAT_CAPACITY_KJ_PER_KG_K)
            if unit.hydraulic_mode() is not Mode.CHARGE:
                self.supply.receive(flow_kg_per_s, unit.leaving_degc)
        return direct_kg_per_s

    def _mix_headers(
        self,
        step_s: float,
        building: Building,
        *,
        direct_kg_per_s: float,
        discharge_kg_per_s: float,
        through_kg_per_s: float,
        charge_degc: float,
    ) -> None:
        supply, back = self.supply, self.back
        load_kg_per_s = building.flow_kg_per_s
        supply.receive(through_kg_per_s, charge_degc)
        supply.receive(discharge_kg_per_s - through_kg_per_s, self.tank.top_degc)
        back.receive(load_kg_per_s, building.return_degc)
        surplus_kg_per_s = direct_kg_per_s + discharge_kg_per_s - load_kg_per_s
        if surplus_kg_per_s > 0.0:
            back.receive(surplus_kg_per_s, supply.degc)
        else:
            supply.receive(-surplus_kg_per_s, back.degc)
        supply.step(step_s)
        back.step(step_s)

    def _move_tank(
        self, step_s: float, net_kg_per_s: float, *, charge_degc: float, return_degc: float, meter: HeatMeter
    ) -> None:
        tank = self.tank
        charging = net_kg_per_s > 0.0
        top_degc = charge_degc if charging else tank.top_degc
        bottom_degc = tank.bottom_degc if charging else return_degc
        inlet_degc = top_degc if charging else bottom_degc
        tank.step(step_s, net_kg_per_s, inlet_degc=inlet_degc, room_degc=ROOM_DEGC)
        meter.step(step_s, net_kg_per_s, supply_degc=top_degc, return_degc=bottom_degc)
        heat_kw = net_kg_per_s * HEAT_CAPACITY_KJ_PER_KG_K * (top_degc - bottom_degc)
        self.heat_charged_kw = heat_kw if charging else 0.0
        self.discharge_kw = -heat_kw if net_kg_per_s < 0.0 else 0.0
