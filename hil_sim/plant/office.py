"""The plant `ground-office` in winter: composition, commands, and the step that moves it all.

Office and hotel of 50 000 m2 in Beijing; four ground-source units of 600 kW heat, a tank of 800 m3, one heat loop::

    ground field --+-> p_source_1..4 --> evaporators of hp1..hp4 --+
      (2 water     |                                               |
       nodes)      +<----------------------------------------------+

      +-----------+   p_user_i, condenser of hp_i in DIRECT    +-----------+
      |           |------------------ 28.7 kg/s each --------->|           |
      |  return   |                                            |  supply   |---> load pump, 60 kg/s
      |  header   |<----------- decoupler (either way) ------->|  header   |         |
      |   20 t    |                                            |   20 t    |     office, hotel
      |           |    +--valve_charge--+     valve_discharge  |           |   (radiators, rooms,
      |           |--->|  bottom    top |-----0..40 kg/s------>|           |      structure)
      +-----------+    |   tank 10 x    |                      +-----------+         |
            ^          |    80 m3       |                                            |
            |          +----------------+                                            |
            |             |          ^                                               |
            |             +--> condenser of hp_i in CHARGE, mixing valve holds       |
            |                  the leaving set-point                                 |
            +------------------------------------------------------------------------+

The tank has two ports: the net flow is charging minus discharging. Charging water that the loop takes at the same
moment passes straight through the top port, and as much return water goes straight to the charging units.

Every stream carries the temperature its source had at the beginning of the step; every component knows the heat that it
stores; so the balance of the whole plant closes to rounding (`Truth.energy_residual_relative`). Electricity of pumps is
metered but not added to the water (design assumption: friction heat is below 2 % and would have to be split between
loops).
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise

from hil_sim.plant import quantities
from hil_sim.plant.building import Building
from hil_sim.plant.checker import CHARGE_PATH_OPEN_RATIO, Checker, SiteLimits
from hil_sim.plant.ground import GroundField
from hil_sim.plant.local_control import LocalControl
from hil_sim.plant.loop import Header
from hil_sim.plant.meter import HeatMeter, PowerMeter
from hil_sim.plant.noise import uniform
from hil_sim.plant.pipe_sensor import ROOM_DEGC, PipeSensor
from hil_sim.plant.pump import Pump
from hil_sim.plant.tank import StratifiedTank
from hil_sim.plant.truth import Truth, UnitTruth
from hil_sim.plant.unit import (
    SETPOINT_MAX_DEGC,
    SETPOINT_MIN_DEGC,
    SOURCE_FLOW_KG_PER_S,
    USER_FLOW_KG_PER_S,
    Mode,
    Unit,
)
from hil_sim.plant.unit import STANDBY_KW as UNIT_STANDBY_KW
from hil_sim.plant.valve import Valve
from hil_sim.plant.water import HEAT_CAPACITY_KJ_PER_KG_K, KJ_PER_KWH, SECONDS_PER_HOUR
from hil_sim.plant.weather import LOCAL_OFFSET_S, Weather

# Design assumptions: sizes of pumps and valves of the example plant.
UNIT_NAMES = ("hp1", "hp2", "hp3", "hp4")
UNITS_WITH_CAPACITY_LIMIT = ("hp1", "hp2")
SOURCE_PUMP_KW = 9.0
USER_PUMP_KW = 7.0
LOAD_PUMP_KW = 15.0
HOUSE_KW = 5.0
DISCHARGE_FLOW_KG_PER_S = 40.0
CHARGE_VALVE_TRAVEL_S = 90.0
DISCHARGE_VALVE_TRAVEL_S = 60.0
SUPPLY_CURVE: tuple[tuple[float, float], ...] = ((-10.0, 48.0), (5.0, 44.0), (15.0, 41.0))
"""Wanted supply temperature over outdoor temperature [degC]: the default of the example site."""

LONGEST_STEP_S = 60.0
WARM_UP_S = 86_400.0
"""Before its beginning the plant has run for a day under local control, so that no node starts from a guess."""
TANK_START_DEGC = (54.0, 54.0, 53.8, 52.5, 45.5, 42.8, 42.4, 42.2, 42.1, 42.0)
"""About 40 % of the usable heat, with a thermocline."""
SEASON_EXTRACTION_KW = 700.0
SEASON_START = (11, 15)
DISCOMFORT_TOLERANCE_K = 0.5
DEMAND_WINDOW_S = 900.0


def interpolate(curve: Sequence[tuple[float, float]], position: float) -> float:
    """Value of a curve of (position, value) points, straight between them, level outside."""
    if position <= curve[0][0]:
        return curve[0][1]
    for (left, left_value), (right, right_value) in pairwise(curve):
        if position <= right:
            return left_value + (right_value - left_value) * (position - left) / (right - left)
    return curve[-1][1]


def _season_s(instant_s: float) -> float:
    """How long the heating season has been going on [s]; 0 outside of it."""
    local = datetime.fromtimestamp(instant_s + LOCAL_OFFSET_S, UTC)
    year = local.year if (local.month, local.day) >= SEASON_START else local.year - 1
    passed_s = (local - datetime(year, *SEASON_START, tzinfo=UTC)).total_seconds()
    return passed_s if passed_s < 121 * 86_400 else 0.0


class GroundOffice:
    """The plant. It moves only when `advance_to` says so.

    Args:
        seed: of weather, occupants and start values of the meters.
        start_s: begin of the simulation [s since 1970 UTC].
        weather: outdoor air; by the seed when not given.
        step_s: length of a step [s], at most 60.
        limits: what its checker judges by, and the lower supply limit for the discomfort.
        supply_curve: (outdoor degC, supply degC), only for the unmet heat.
    """

    _window_kj: float
    _window_s: float
    _peak_kw: float

    def __init__(
        self,
        *,
        seed: int,
        start_s: float,
        weather: Weather | None = None,
        step_s: float = 10.0,
        limits: SiteLimits | None = None,
        supply_curve: Sequence[tuple[float, float]] = SUPPLY_CURVE,
    ) -> None:
        if not 0.0 < step_s <= LONGEST_STEP_S:
            raise ValueError(f"step of {step_s} s; must be above 0 and at most {LONGEST_STEP_S} s")
        self.weather = weather or Weather(seed)
        self.step_s = step_s
        self.checker = Checker(limits or SiteLimits())
        self._supply_curve = tuple(supply_curve)
        self.instant_s = start_s - WARM_UP_S

        self.units = tuple(
            Unit(
                name, takes_capacity_limit=name in UNITS_WITH_CAPACITY_LIMIT, thermostat_delay_s=60.0 + 60.0 * position
            )
            for position, name in enumerate(reversed(UNIT_NAMES))
        )[::-1]
        self.source_pumps = tuple(Pump(SOURCE_FLOW_KG_PER_S, SOURCE_PUMP_KW) for _ in UNIT_NAMES)
        self.user_pumps = tuple(Pump(USER_FLOW_KG_PER_S, USER_PUMP_KW) for _ in UNIT_NAMES)
        self.local = tuple(
            LocalControl(
                unit,
                (self.source_pumps[stage], self.user_pumps[stage]),
                stage=stage,
                stages=len(UNIT_NAMES),
                instant_s=self.instant_s,
            )
            for stage, unit in enumerate(self.units)
        )
        self.valve_charge = Valve(CHARGE_VALVE_TRAVEL_S)
        self.valve_discharge = Valve(DISCHARGE_VALVE_TRAVEL_S)
        self.tank = StratifiedTank(TANK_START_DEGC)
        self.supply_header = Header(43.0)
        self.return_header = Header(38.0)
        self.building = Building(seed=seed)
        self.ground = GroundField(extraction_kw=SEASON_EXTRACTION_KW, extraction_s=_season_s(start_s))

        self.heartbeats = [0.0] * len(UNIT_NAMES)
        self.unit_sensors = tuple(tuple(PipeSensor(20.0) for _ in range(4)) for _ in UNIT_NAMES)
        self.outdoor_degc = self.weather.outdoor_degc(self.instant_s)
        self.electric_kw = 0.0
        self.heat_charged_kw = 0.0
        self.discharge_kw = 0.0
        self._charge_inlet_degc = self.tank.bottom_degc
        self._meters_from_seed(seed)
        self._reset_sums()

        for unit in self.units[:2]:
            unit.run_request = True
        while self.instant_s < start_s - 1e-6:
            self._step(LONGEST_STEP_S)
        self.instant_s = start_s
        self.tank.layers_degc[:] = TANK_START_DEGC
        self._meters_from_seed(seed)
        self._reset_sums()
        self.checker = Checker(limits or SiteLimits())
        self._quantities: Mapping[tuple[str, str], Callable[[], float]] = quantities.build(self)

    def advance_to(self, instant_s: float) -> None:
        """Computes all whole steps up to an instant [s since 1970 UTC]; the rest waits for the next call."""
        while instant_s - self.instant_s >= self.step_s - 1e-6:
            self._step(self.step_s)

    def quantity(self, device: str, name: str) -> float:
        """True value of a device's quantity, in inside units, at the sensor.

        Raises:
            KeyError: the plant has no such device or quantity.
        """
        return self._quantities[device, name]()

    def command(self, device: str, name: str, value: float) -> None:
        """Takes a write from outside; it acts with the next step.

        Raises:
            KeyError: there is no such device or command.
            ValueError: the value is out of its range; nothing has changed.
        """
        if device == "io1":
            self._command_station(name, value)
        elif device in UNIT_NAMES:
            self._command_unit(UNIT_NAMES.index(device), name, value)
        else:
            raise KeyError((device, name))

    def reset_trips(self) -> None:
        """A person walks to each tripped unit and acknowledges its trip."""
        for unit in self.units:
            unit.reset_trip()

    def truth(self) -> Truth:
        """What really happened until now."""
        units = tuple(
            UnitTruth(
                name=unit.name,
                state="standby" if unit.standby else unit.state.name.lower(),
                mode=unit.mode_actual.name.lower(),
                load_ratio=unit.load_ratio,
                heat_kw=unit.heat_kw,
                electric_kw=unit.electric_kw,
                cop=unit.heat_kw / unit.electric_kw if unit.compressor_on else None,
                starts=unit.starts - starts,
            )
            for unit, starts in zip(self.units, self._starts_before, strict=True)
        )
        return Truth(
            instant_s=self.instant_s,
            outdoor_degc=self.outdoor_degc,
            indoor_degc=self.building.indoor_degc,
            supply_degc=self.supply_header.degc,
            return_degc=self.return_header.degc,
            load_kw=self.building.heat_kw,
            heat_delivered_kwh=self._delivered_kj / KJ_PER_KWH,
            heat_charged_kw=self.heat_charged_kw,
            heat_charged_kwh=self._charged_kj / KJ_PER_KWH,
            discharge_kw=self.discharge_kw,
            heat_discharged_kwh=self._discharged_kj / KJ_PER_KWH,
            electricity_kw=self.electric_kw,
            electricity_kwh=self._electric_kj / KJ_PER_KWH,
            peak_kw=self._peak_kw,
            units=units,
            tank_degc=tuple(self.tank.layers_degc),
            stored_kwh=self.tank.usable_kwh(),
            source_inlet_degc=self.ground.outlet_degc,
            protection_trips=sum(unit.trips for unit in self.units) - self._trips_before,
            thermostat_stops=sum(unit.thermostat_stops for unit in self.units) - self._thermostat_stops_before,
            energy_residual_relative=self.energy_residual_relative(),
            discomfort_kelvin_hours=self._discomfort_kelvin_s / SECONDS_PER_HOUR,
            unmet_heat_kwh=self._unmet_kj / KJ_PER_KWH,
        )

    def energy_residual_relative(self) -> float:
        """(stored now - stored at the beginning - net heat that came in) over the heat delivered; 0 before any."""
        if self._delivered_kj <= 0.0:
            return 0.0
        return (self._stored_kj() - self._stored_before_kj - self._net_in_kj) / self._delivered_kj

    # ------------------------------------------------------------------------------------------------- commands

    def _command_unit(self, position: int, name: str, value: float) -> None:
        unit = self.units[position]
        if name == "run_request":
            self._require(name, value, allowed=value in (0, 1))
            asked = value == 1
            if asked and not unit.run_request:
                self.checker.run_requested(
                    self.instant_s,
                    unit,
                    source_pump=self.source_pumps[position].running,
                    user_pump=self.user_pumps[position].running,
                )
            elif unit.run_request and not asked:
                self.checker.stop_requested(self.instant_s, unit)
            unit.run_request = asked
        elif name == "mode_request":
            self._require(name, value, allowed=value in (Mode.DIRECT, Mode.CHARGE))
            unit.mode_request = Mode(int(value))
        elif name == "supply_setpoint":
            self._require(name, value, allowed=SETPOINT_MIN_DEGC <= value <= SETPOINT_MAX_DEGC)
            unit.setpoint_degc = value
        elif name == "capacity_limit" and unit.takes_capacity_limit:
            self._require(name, value, allowed=0.3 <= value <= 1.0)  # noqa: PLR2004 - range of the register
            unit.capacity_limit_ratio = value
        elif name == "heartbeat":
            self.heartbeats[position] = value
        else:
            raise KeyError((unit.name, name))
        self.local[position].touch(self.instant_s)

    def _command_station(self, name: str, value: float) -> None:
        if name == "valve_charge":
            self._require(name, value, allowed=value in (0, 1))
            self.valve_charge.commanded_ratio = float(value)
            return
        if name == "valve_discharge":
            self._require(name, value, allowed=0.0 <= value <= 1.0)
            self.valve_discharge.commanded_ratio = value
            return
        for prefix, pumps in (("p_source_", self.source_pumps), ("p_user_", self.user_pumps)):
            if name.startswith(prefix) and name[len(prefix) :] in ("1", "2", "3", "4"):
                self._require(name, value, allowed=value in (0, 1))
                position = int(name[len(prefix) :]) - 1
                if value == 0 and pumps[position].commanded:
                    self.checker.pump_stop_commanded(self.instant_s, self.units[position], pump=name)
                pumps[position].commanded = value == 1
                # Who commands a unit's pumps is about to command the unit: its panel must not switch them back.
                self.local[position].touch(self.instant_s)
                return
        raise KeyError(("io1", name))

    @staticmethod
    def _require(name: str, value: float, *, allowed: bool) -> None:
        if not allowed:
            raise ValueError(f"{name}: {value} is out of range")

    # ----------------------------------------------------------------------------------------------------- step

    def _step(self, step_s: float) -> None:
        instant_s = self.instant_s
        self.outdoor_degc = self.weather.outdoor_degc(instant_s)
        self._control_locally(instant_s, step_s)
        self.valve_charge.step(step_s)
        self.valve_discharge.step(step_s)
        for pump in self.source_pumps:
            pump.step()
        for pump in self.user_pumps:
            pump.step()

        supply_degc = self.supply_header.degc
        return_degc = self.return_header.degc
        charge_position_ratio = self.valve_charge.position_ratio
        discharge_kg_per_s = DISCHARGE_FLOW_KG_PER_S * self.valve_discharge.position_ratio * charge_position_ratio
        source_return_kg_k_per_s = self._run_units(instant_s, step_s, return_degc=return_degc)
        charge_kg_per_s, charge_degc, charge_inlet_degc = self._couple_charging(
            discharge_kg_per_s, return_degc=return_degc
        )
        direct_kg_per_s = self._leave_units(return_degc=return_degc, charge_inlet_degc=charge_inlet_degc)

        self.building.step(instant_s, step_s, outdoor_degc=self.outdoor_degc, supply_degc=supply_degc)
        self._mix_headers(
            step_s,
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
        )
        self._move_ground(step_s, source_return_kg_k_per_s)
        self._meter_user(step_s, supply_degc=supply_degc)
        self._read_unit_sensors(step_s, return_degc=return_degc, charge_inlet_degc=charge_inlet_degc)
        self._account(step_s)

    def _control_locally(self, instant_s: float, step_s: float) -> None:
        header_degc = self.supply_header.degc
        all_local = True
        for local in self.local:
            local.step(instant_s, step_s, header_degc=header_degc)
            all_local = all_local and local.active
        charging = any(unit.compressor_on and unit.mode_actual is Mode.CHARGE for unit in self.units)
        if all_local and not charging:
            # Nobody commands the station any more: its valves go to rest, else the tank would empty itself into the
            # loop. Not under a running compressor: a unit that stops by itself needs its flow to the end.
            self.valve_charge.commanded_ratio = 0.0
            self.valve_discharge.commanded_ratio = 0.0

    def _run_units(self, instant_s: float, step_s: float, *, return_degc: float) -> float:
        """Lets each unit decide and run; returns flow x temperature of the water that goes back to the ground."""
        source_inlet_degc = self.ground.outlet_degc
        path_open = self.valve_charge.position_ratio >= CHARGE_PATH_OPEN_RATIO
        source_return_kg_k_per_s = 0.0
        for unit, source_pump, user_pump in zip(self.units, self.source_pumps, self.user_pumps, strict=True):
            source_flow = source_pump.running
            user_flow = user_pump.running and (unit.hydraulic_mode() is not Mode.CHARGE or path_open)
            self.checker.check_unit(
                instant_s,
                unit,
                source_flow=source_flow,
                user_flow=user_flow,
                charge_position_ratio=self.valve_charge.position_ratio,
            )
            unit.control(
                instant_s,
                step_s,
                source_flow=source_flow,
                user_flow=user_flow,
                source_inlet_degc=source_inlet_degc,
                user_inlet_degc=self._charge_inlet_degc if unit.hydraulic_mode() is Mode.CHARGE else return_degc,
            )
            # The diverter may just have moved.
            user_flow = user_pump.running and (unit.hydraulic_mode() is not Mode.CHARGE or path_open)
            unit.user_flow = user_flow
            unit.run(instant_s, step_s, source_inlet_degc=source_inlet_degc, user_flow=user_flow)
            if source_flow:
                drop_k = unit.source_heat_kw / (SOURCE_FLOW_KG_PER_S * HEAT_CAPACITY_KJ_PER_KG_K)
                source_return_kg_k_per_s += SOURCE_FLOW_KG_PER_S * (source_inlet_degc - drop_k)
        return source_return_kg_k_per_s

    def _couple_charging(self, discharge_kg_per_s: float, *, return_degc: float) -> tuple[float, float, float]:
        """Flow of all charging units, its mixed leaving temperature, and the temperature at which they draw.

        What they draw depends on how warm it comes, and that on how much they draw: solved by repeating it.
        """
        bottom_degc = self.tank.bottom_degc
        charging = [unit for unit in self.units if unit.hydraulic_mode() is Mode.CHARGE]
        inlet_degc = self._charge_inlet_degc if discharge_kg_per_s > 0.0 else bottom_degc
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
        self._charge_inlet_degc = inlet_degc
        if flow_kg_per_s <= 0.0:
            return 0.0, inlet_degc, inlet_degc
        return flow_kg_per_s, inlet_degc + heat_kw / (flow_kg_per_s * HEAT_CAPACITY_KJ_PER_KG_K), inlet_degc

    def _leave_units(self, *, return_degc: float, charge_inlet_degc: float) -> float:
        """Gives each unit its leaving temperature, direct ones into the supply header; returns the direct flow."""
        direct_kg_per_s = 0.0
        for unit in self.units:
            if not unit.user_flow:
                continue
            if unit.hydraulic_mode() is Mode.CHARGE:
                flow_kg_per_s = unit.flow_kg_per_s
                inlet_degc = charge_inlet_degc
            else:
                flow_kg_per_s = unit.flow_kg_per_s = USER_FLOW_KG_PER_S
                inlet_degc = return_degc
                direct_kg_per_s += flow_kg_per_s
            unit.leaving_degc = inlet_degc
            if flow_kg_per_s > 0.0:
                unit.leaving_degc += unit.heat_kw / (flow_kg_per_s * HEAT_CAPACITY_KJ_PER_KG_K)
            if unit.hydraulic_mode() is not Mode.CHARGE:
                self.supply_header.receive(flow_kg_per_s, unit.leaving_degc)
        return direct_kg_per_s

    def _mix_headers(
        self,
        step_s: float,
        *,
        direct_kg_per_s: float,
        discharge_kg_per_s: float,
        through_kg_per_s: float,
        charge_degc: float,
    ) -> None:
        supply, back = self.supply_header, self.return_header
        load_kg_per_s = self.building.flow_kg_per_s
        supply.receive(through_kg_per_s, charge_degc)
        supply.receive(discharge_kg_per_s - through_kg_per_s, self.tank.top_degc)
        back.receive(load_kg_per_s, self.building.return_degc)
        surplus_kg_per_s = direct_kg_per_s + discharge_kg_per_s - load_kg_per_s
        if surplus_kg_per_s > 0.0:
            back.receive(surplus_kg_per_s, supply.degc)
        else:
            supply.receive(-surplus_kg_per_s, back.degc)
        supply.step(step_s)
        back.step(step_s)

    def _move_tank(self, step_s: float, net_kg_per_s: float, *, charge_degc: float, return_degc: float) -> None:
        tank = self.tank
        charging = net_kg_per_s > 0.0
        top_degc = charge_degc if charging else tank.top_degc
        bottom_degc = tank.bottom_degc if charging else return_degc
        inlet_degc = top_degc if charging else bottom_degc
        tank.step(step_s, net_kg_per_s, inlet_degc=inlet_degc, room_degc=ROOM_DEGC)
        self.meter_tank.step(step_s, net_kg_per_s, supply_degc=top_degc, return_degc=bottom_degc)
        heat_kw = net_kg_per_s * HEAT_CAPACITY_KJ_PER_KG_K * (top_degc - bottom_degc)
        self.heat_charged_kw = heat_kw if charging else 0.0
        self.discharge_kw = -heat_kw if net_kg_per_s < 0.0 else 0.0

    def _move_ground(self, step_s: float, source_return_kg_k_per_s: float) -> None:
        flow_kg_per_s = sum(pump.flow_kg_per_s for pump in self.source_pumps if pump.running)
        outlet_degc = self.ground.outlet_degc
        inlet_degc = source_return_kg_k_per_s / flow_kg_per_s if flow_kg_per_s > 0.0 else self.ground.down_degc
        self.ground.step(step_s, flow_kg_per_s, inlet_degc=inlet_degc)
        self.meter_source.step(step_s, flow_kg_per_s, supply_degc=outlet_degc, return_degc=inlet_degc)
        self._source_inlet_degc = outlet_degc

    def _meter_user(self, step_s: float, *, supply_degc: float) -> None:
        building = self.building
        self.meter_user.step(step_s, building.flow_kg_per_s, supply_degc=supply_degc, return_degc=building.return_degc)

    def _read_unit_sensors(self, step_s: float, *, return_degc: float, charge_inlet_degc: float) -> None:
        for unit, sensors, source_pump in zip(self.units, self.unit_sensors, self.source_pumps, strict=True):
            user_supply, user_return, source_inlet, source_outlet = sensors
            inlet_degc = charge_inlet_degc if unit.hydraulic_mode() is Mode.CHARGE else return_degc
            user_supply.step(step_s, unit.leaving_degc, flowing=unit.user_flow)
            user_return.step(step_s, inlet_degc, flowing=unit.user_flow)
            flowing = source_pump.running
            drop_k = unit.source_heat_kw / (SOURCE_FLOW_KG_PER_S * HEAT_CAPACITY_KJ_PER_KG_K)
            source_inlet.step(step_s, self._source_inlet_degc, flowing=flowing)
            source_outlet.step(step_s, self._source_inlet_degc - drop_k, flowing=flowing)

    def _account(self, step_s: float) -> None:
        """Sums what the step brought, and lets the checker look."""
        electric_kw = LOAD_PUMP_KW + HOUSE_KW
        compressors_kw = 0.0
        any_running = False
        for unit, meter in zip(self.units, self.meter_units, strict=True):
            meter.step(step_s, unit.electric_kw)
            electric_kw += unit.electric_kw
            if unit.compressor_on:
                any_running = True
                compressors_kw += unit.electric_kw - UNIT_STANDBY_KW
        for pump in self.source_pumps:
            electric_kw += pump.electric_kw
        for pump in self.user_pumps:
            electric_kw += pump.electric_kw
        self.electric_kw = electric_kw
        self.meter_main.step(step_s, electric_kw)
        building = self.building
        self._electric_kj += electric_kw * step_s
        self._delivered_kj += building.heat_kw * step_s
        self._charged_kj += self.heat_charged_kw * step_s
        self._discharged_kj += self.discharge_kw * step_s
        self._net_in_kj += step_s * (
            compressors_kw + self.ground.wall_heat_kw + building.boundary_kw() - self.tank.loss_kw
        )
        supply_degc = self.supply_header.degc
        missing_k = self.checker.limits.supply_degc_min - DISCOMFORT_TOLERANCE_K - supply_degc
        if missing_k > 0.0:
            self._discomfort_kelvin_s += missing_k * step_s
            wanted_degc = interpolate(self._supply_curve, self.outdoor_degc)
            self._unmet_kj += step_s * building.shortfall_kw(supply_degc=supply_degc, wanted_degc=wanted_degc)
        self.instant_s += step_s
        self._watch_demand(electric_kw, step_s)
        self.checker.check_plant(
            self.instant_s,
            supply_degc=supply_degc,
            tank_top_degc=self.tank.top_degc,
            source_inlet_degc=self._source_inlet_degc,
            any_running=any_running,
            electric_kw=electric_kw,
        )

    def _watch_demand(self, electric_kw: float, step_s: float) -> None:
        self._window_kj += electric_kw * step_s
        self._window_s += step_s
        if self.instant_s % DEMAND_WINDOW_S < step_s - 1e-6:
            if self._window_s >= DEMAND_WINDOW_S - step_s:
                self._peak_kw = max(self._peak_kw, self._window_kj / self._window_s)
            self._window_kj = self._window_s = 0.0

    # --------------------------------------------------------------------------------------------------- begin

    def _meters_from_seed(self, seed: int) -> None:
        """Start values of registers, as in a plant that has run for some years."""
        age = 0.5 + uniform(seed, "meters", 0)
        supply_degc, source_degc = self.supply_header.degc, self.ground.outlet_degc
        self.meter_user = HeatMeter(volume_m3=1.5e6 * age, heat_kwh=9.0e6 * age, water_degc=supply_degc)
        self.meter_tank = HeatMeter(volume_m3=1.9e5 * age, heat_kwh=2.3e6 * age, water_degc=ROOM_DEGC)
        self.meter_tank.volume_negative_m3 = 1.85e5 * age
        self.meter_tank.heat_negative_kwh = 2.2e6 * age
        self.meter_source = HeatMeter(volume_m3=1.7e6 * age, heat_kwh=6.6e6 * age, water_degc=source_degc)
        self.meter_main = PowerMeter(energy_kwh=2.9e6 * age, idle_power_factor=0.78, rated_kw=700.0)
        self.meter_units = tuple(
            PowerMeter(energy_kwh=(6.5e5 - 4e4 * position) * age, idle_power_factor=0.62, rated_kw=150.0)
            for position in range(len(UNIT_NAMES))
        )
        self.run_hours_before = tuple(5200.0 * age - 310.0 * position for position in range(len(UNIT_NAMES)))
        self.starts_total_before = tuple(round(1600 * age) - 90 * position for position in range(len(UNIT_NAMES)))

    def _reset_sums(self) -> None:
        self._source_inlet_degc = self.ground.outlet_degc
        self._delivered_kj = 0.0
        self._charged_kj = 0.0
        self._discharged_kj = 0.0
        self._electric_kj = 0.0
        self._discomfort_kelvin_s = 0.0
        self._unmet_kj = 0.0
        self._net_in_kj = 0.0
        self._window_kj = 0.0
        self._window_s = 0.0
        self._peak_kw = 0.0
        self._stored_before_kj = self._stored_kj()
        self._starts_before = tuple(unit.starts for unit in self.units)
        self._trips_before = sum(unit.trips for unit in self.units)
        self._thermostat_stops_before = sum(unit.thermostat_stops for unit in self.units)

    def _stored_kj(self) -> float:
        return (
            self.tank.stored_kj()
            + self.supply_header.stored_kj()
            + self.return_header.stored_kj()
            + self.building.stored_kj()
            + self.ground.stored_kj()
            + sum(unit.stored_kj() for unit in self.units)
        )
