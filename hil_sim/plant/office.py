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

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise

from hil_sim.plant import quantities
from hil_sim.plant.accounts import DEMAND_WINDOW_S, DISCOMFORT_TOLERANCE_K, Accounts, meters_from_seed
from hil_sim.plant.building import Building
from hil_sim.plant.checker import CHARGE_PATH_OPEN_RATIO, Checker, SiteLimits
from hil_sim.plant.commands import Commands
from hil_sim.plant.ground import GroundField
from hil_sim.plant.hydraulics import HeatLoop
from hil_sim.plant.local_control import LocalControl
from hil_sim.plant.outage import OutageWatch, Parts, spare_kw
from hil_sim.plant.pipe_sensor import PipeSensor
from hil_sim.plant.pump import Pump
from hil_sim.plant.sensors import Sensors
from hil_sim.plant.tank import StratifiedTank
from hil_sim.plant.truth import Truth, UnitTruth
from hil_sim.plant.unit import (
    SOURCE_FLOW_KG_PER_S,
    USER_FLOW_KG_PER_S,
    Mode,
    Unit,
    UnitKind,
)
from hil_sim.plant.unit import STANDBY_KW as UNIT_STANDBY_KW
from hil_sim.plant.valve import Valve
from hil_sim.plant.water import HEAT_CAPACITY_KJ_PER_KG_K, KJ_PER_KWH, SECONDS_PER_HOUR
from hil_sim.plant.weather import LOCAL_OFFSET_S, Weather

# Design assumptions: sizes of pumps and valves of the example plant.
UNIT_NAMES = ("hp1", "hp2", "hp3", "hp4")
UNIT_KINDS = (UnitKind(takes_capacity_limit=True), UnitKind(takes_capacity_limit=True), UnitKind(), UnitKind())
ONE_OF_EACH = (
    UnitKind(takes_capacity_limit=True),
    UnitKind(stages=(0.34, 0.67, 1.0)),
    UnitKind(),
    UnitKind(stages=(0.5, 1.0), contacts=True),
)
"""Capacity limit, three stages by a register, set-point only, two stages by contacts."""
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
SPARE_EVERY_S = 60.0
"""The heat that lies idle is reckoned this often: units and tank do not change faster."""
WARM_UP_S = 86_400.0
"""Before its beginning the plant has run for a day under local control, so that no node starts from a guess."""
TANK_START_DEGC = (54.0, 54.0, 53.8, 52.5, 45.5, 42.8, 42.4, 42.2, 42.1, 42.0)
"""About 40 % of the usable heat, with a thermocline."""
SEASON_EXTRACTION_KW = 700.0
SEASON_START = (11, 15)


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
        warm_up_s: how long it has run under local control before the begin [s].
        kinds: what each unit can be told.
        building_ratio: size of the building against the one described above.
    """

    def __init__(
        self,
        *,
        seed: int,
        start_s: float,
        weather: Weather | None = None,
        step_s: float = 10.0,
        limits: SiteLimits | None = None,
        supply_curve: Sequence[tuple[float, float]] = SUPPLY_CURVE,
        warm_up_s: float = WARM_UP_S,
        kinds: Sequence[UnitKind] = UNIT_KINDS,
        building_ratio: float = 1.0,
    ) -> None:
        if not 0.0 < step_s <= LONGEST_STEP_S:
            raise ValueError(f"step of {step_s} s; must be above 0 and at most {LONGEST_STEP_S} s")
        self.weather = weather or Weather(seed)
        self.step_s = step_s
        self._limits = limits or SiteLimits()
        self.checker = Checker(self._limits)
        self._supply_curve = tuple(supply_curve)
        self.instant_s = start_s - warm_up_s

        self.units = tuple(
            Unit(name, kind=kind, thermostat_delay_s=60.0 + 60.0 * position)
            for position, (name, kind) in enumerate(reversed(list(zip(UNIT_NAMES, kinds, strict=True))))
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
        self.loop = HeatLoop(self.units, self.tank, supply_degc=43.0, return_degc=38.0)
        self.supply_header, self.return_header = self.loop.supply, self.loop.back
        self.building = Building(seed=seed, ratio=building_ratio)
        self.ground = GroundField(extraction_kw=SEASON_EXTRACTION_KW, extraction_s=_season_s(start_s))

        self.commands = Commands(
            units=self.units,
            local=self.local,
            source_pumps=self.source_pumps,
            user_pumps=self.user_pumps,
            valve_charge=self.valve_charge,
            valve_discharge=self.valve_discharge,
        )
        self.heartbeats = self.commands.heartbeats
        self.impaired: list[str] = []
        """Units, and outage.TANK, that a fault has taken away; a name for each fault that does."""
        self.unit_sensors = tuple(tuple(PipeSensor(20.0) for _ in range(4)) for _ in UNIT_NAMES)
        self.outdoor_degc = self.weather.outdoor_degc(self.instant_s)
        self.electric_kw = 0.0
        self._begin_counting(seed)

        for unit in self.units[:2]:
            unit.run_request = True
        while self.instant_s < start_s - 1e-6:
            self._step(LONGEST_STEP_S)
        self.instant_s = start_s
        self.tank.layers_degc[:] = TANK_START_DEGC
        self._begin_counting(seed)
        self.sensors = Sensors(quantities.build(self))

    @property
    def tank_open_ratio(self) -> float:
        """How far the way out of the tank into the loop is open."""
        return self.valve_discharge.position_ratio * self.valve_charge.position_ratio

    def advance_to(self, instant_s: float) -> None:
        """Computes all whole steps up to an instant [s since 1970 UTC]; the rest waits for the next call."""
        while instant_s - self.instant_s >= self.step_s - 1e-6:
            self._step(self.step_s)

    def quantity(self, device: str, name: str) -> float:
        """What the sensor of a device's quantity feels, in inside units: the truth, unless the sensor has a fault.

        Raises:
            KeyError: the plant has no such device or quantity.
        """
        return self.sensors.read((device, name))

    def command(self, device: str, name: str, value: float) -> None:
        """Takes a write from outside; it acts with the next step.

        Raises:
            KeyError: there is no such device or command.
            ValueError: the value is out of its range; nothing has changed.
            CommandRefused: the device does not take it now; nothing has changed.
        """
        self.commands.take(device, name, value, instant_s=self.instant_s, checker=self.checker)

    def reset_trips(self) -> None:
        """A person walks to each tripped unit and acknowledges its trip."""
        for unit in self.units:
            unit.reset_trip()

    def truth(self) -> Truth:
        """What really happened until now."""
        sums = self.accounts
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
            heat_delivered_kwh=sums.delivered_kj / KJ_PER_KWH,
            heat_charged_kw=self.loop.heat_charged_kw,
            heat_charged_kwh=sums.charged_kj / KJ_PER_KWH,
            discharge_kw=self.loop.discharge_kw,
            heat_discharged_kwh=sums.discharged_kj / KJ_PER_KWH,
            electricity_kw=self.electric_kw,
            electricity_kwh=sums.electric_kj / KJ_PER_KWH,
            peak_kw=sums.peak_kw,
            units=units,
            tank_degc=tuple(self.tank.layers_degc),
            stored_kwh=self.tank.usable_kwh(),
            source_inlet_degc=self.ground.outlet_degc,
            protection_trips=sum(unit.trips for unit in self.units) - self._trips_before,
            thermostat_stops=sum(unit.thermostat_stops for unit in self.units) - self._thermostat_stops_before,
            energy_residual_relative=self.energy_residual_relative(),
            discomfort_kelvin_hours=sums.discomfort_kelvin_s / SECONDS_PER_HOUR,
            supply_degc_min=min(sums.supply_degc_min, self.supply_header.degc),
            avoidable_kelvin_hours=self.outage.kelvin_hours,
            unmet_heat_kwh=sums.unmet_kj / KJ_PER_KWH,
        )

    def energy_residual_relative(self) -> float:
        """(stored now - stored at the beginning - net heat that came in) over the heat delivered; 0 before any."""
        sums = self.accounts
        if sums.delivered_kj <= 0.0:
            return 0.0
        return (self._stored_kj() - self._stored_before_kj - sums.net_in_kj) / sums.delivered_kj

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
        source_return_kg_k_per_s = self._run_units(instant_s, step_s, return_degc=return_degc)
        self.loop.step(
            instant_s,
            step_s,
            discharge_kg_per_s=DISCHARGE_FLOW_KG_PER_S * self.tank_open_ratio,
            outdoor_degc=self.outdoor_degc,
            building=self.building,
            meter_tank=self.meter_tank,
        )
        self._move_ground(step_s, source_return_kg_k_per_s)
        self._meter_user(step_s, supply_degc=supply_degc)
        self._read_unit_sensors(step_s, return_degc=return_degc)
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
            source_flow = source_pump.flowing
            user_flow = user_pump.flowing and (unit.hydraulic_mode() is not Mode.CHARGE or path_open)
            self.checker.check_unit(
                instant_s,
                unit,
                source_flow=source_flow or source_pump.failed,
                user_flow=user_flow or user_pump.failed,
                charge_position_ratio=self.valve_charge.position_ratio,
            )
            unit.control(
                instant_s,
                step_s,
                source_flow=source_flow,
                user_flow=user_flow,
                source_inlet_degc=source_inlet_degc,
                user_inlet_degc=self.loop.charge_inlet_degc if unit.hydraulic_mode() is Mode.CHARGE else return_degc,
            )
            # The diverter may just have moved.
            user_flow = user_pump.flowing and (unit.hydraulic_mode() is not Mode.CHARGE or path_open)
            unit.user_flow = user_flow
            unit.run(instant_s, step_s, source_inlet_degc=source_inlet_degc, user_flow=user_flow)
            if source_flow:
                drop_k = unit.source_heat_kw / (SOURCE_FLOW_KG_PER_S * HEAT_CAPACITY_KJ_PER_KG_K)
                source_return_kg_k_per_s += SOURCE_FLOW_KG_PER_S * (source_inlet_degc - drop_k)
        return source_return_kg_k_per_s

    def _move_ground(self, step_s: float, source_return_kg_k_per_s: float) -> None:
        flow_kg_per_s = sum(pump.flow_kg_per_s for pump in self.source_pumps if pump.flowing)
        outlet_degc = self.ground.outlet_degc
        inlet_degc = source_return_kg_k_per_s / flow_kg_per_s if flow_kg_per_s > 0.0 else self.ground.down_degc
        self.ground.step(step_s, flow_kg_per_s, inlet_degc=inlet_degc)
        self.meter_source.step(step_s, flow_kg_per_s, supply_degc=outlet_degc, return_degc=inlet_degc)
        self._source_inlet_degc = outlet_degc

    def _meter_user(self, step_s: float, *, supply_degc: float) -> None:
        building = self.building
        self.meter_user.step(step_s, building.flow_kg_per_s, supply_degc=supply_degc, return_degc=building.return_degc)

    def _read_unit_sensors(self, step_s: float, *, return_degc: float) -> None:
        for unit, sensors, source_pump in zip(self.units, self.unit_sensors, self.source_pumps, strict=True):
            user_supply, user_return, source_inlet, source_outlet = sensors
            inlet_degc = self.loop.charge_inlet_degc if unit.hydraulic_mode() is Mode.CHARGE else return_degc
            user_supply.step(step_s, unit.leaving_degc, flowing=unit.user_flow)
            user_return.step(step_s, inlet_degc, flowing=unit.user_flow)
            flowing = source_pump.flowing
            drop_k = unit.source_heat_kw / (SOURCE_FLOW_KG_PER_S * HEAT_CAPACITY_KJ_PER_KG_K)
            self.checker.check_evaporator(self.instant_s, unit, outlet_degc=self._source_inlet_degc - drop_k)
            source_inlet.step(step_s, self._source_inlet_degc, flowing=flowing)
            source_outlet.step(step_s, self._source_inlet_degc - drop_k, flowing=flowing)

    def _account(self, step_s: float) -> None:
        """Sums what the step brought, and lets the checker look."""
        powered = self.building.circulating
        electric_kw = LOAD_PUMP_KW + HOUSE_KW if powered else 0.0
        compressors_kw = 0.0
        any_running = False
        for unit, meter in zip(self.units, self.meter_units, strict=True):
            meter.step(step_s, unit.electric_kw)
            electric_kw += unit.electric_kw
            if unit.compressor_on:
                any_running = True
                compressors_kw += unit.electric_kw - UNIT_STANDBY_KW
        electric_kw += sum(pump.electric_kw for pump in (*self.source_pumps, *self.user_pumps))
        self.electric_kw = electric_kw
        self.meter_main.step(step_s, electric_kw)
        building, checker = self.building, self.checker
        supply_degc = self.supply_header.degc
        self.accounts.add(
            step_s,
            delivered_kw=building.heat_kw,
            charged_kw=self.loop.heat_charged_kw,
            discharged_kw=self.loop.discharge_kw,
            electric_kw=electric_kw,
            net_in_kw=compressors_kw + self.ground.wall_heat_kw + building.boundary_kw() - self.tank.loss_kw,
            supply_degc=supply_degc,
        )
        missing_k = checker.limits.supply_degc_min - DISCOMFORT_TOLERANCE_K - supply_degc
        if missing_k > 0.0:
            wanted_degc = interpolate(self._supply_curve, self.outdoor_degc)
            unmet_kw = building.shortfall_kw(supply_degc=supply_degc, wanted_degc=wanted_degc)
            self.accounts.add_cold(step_s, missing_k=missing_k, unmet_kw=unmet_kw)
        self.instant_s += step_s
        self._judge(step_s, missing_k=missing_k, any_running=any_running)

    def _judge(self, step_s: float, *, missing_k: float, any_running: bool) -> None:
        """Lets the checker look at the whole plant after a step."""
        checker = self.checker
        window_kw = self.accounts.window_mean_kw(self.electric_kw, step_s, end_s=self.instant_s)
        if window_kw is not None:
            checker.check_demand(self.instant_s, window_kw=window_kw, window_s=DEMAND_WINDOW_S)
        if self.instant_s % SPARE_EVERY_S < step_s - 1e-6:
            self._spare_kw = spare_kw(
                Parts(
                    self.units,
                    self.impaired,
                    self.tank,
                    self.valve_charge,
                    self.valve_discharge,
                    DISCHARGE_FLOW_KG_PER_S,
                ),
                instant_s=self.instant_s,
                checker=checker,
                source_degc=self._source_inlet_degc,
                return_degc=self.return_header.degc,
                electric_kw=self.electric_kw,
            )
        self.outage.step(self.instant_s, step_s, missing_k=missing_k, spare_kw=self._spare_kw, checker=checker)
        checker.check_plant(
            self.instant_s,
            supply_degc=self.supply_header.degc,
            tank_top_degc=self.tank.top_degc,
            source_inlet_degc=self._source_inlet_degc,
            any_running=any_running,
        )
        checker.check_discharge(
            self.instant_s,
            open_ratio=self.tank_open_ratio,
            supply_degc=self.supply_header.degc,
            tank_degc=self.tank.top_degc,
            return_degc=self.return_header.degc,
            lost=self.loop.discharge_kw > 0.0
            and any(unit.compressor_on and unit.mode_actual is Mode.CHARGE for unit in self.units),
        )

    # --------------------------------------------------------------------------------------------------- begin

    def _begin_counting(self, seed: int) -> None:
        """Meters as in a plant of some age, and all sums at zero."""
        meters = meters_from_seed(
            seed, units=len(self.units), supply_degc=self.supply_header.degc, source_degc=self.ground.outlet_degc
        )
        self.meter_user, self.meter_tank, self.meter_source = meters.user, meters.tank, meters.source
        self.meter_main, self.meter_units = meters.main, meters.units
        self.run_hours_before, self.starts_total_before = meters.run_hours_before, meters.starts_total_before
        self._source_inlet_degc = self.ground.outlet_degc
        self.accounts = Accounts()
        self.outage = OutageWatch()
        self._spare_kw = 0.0
        self.checker = Checker(self._limits)
        self._stored_before_kj = self._stored_kj()
        self._starts_before = tuple(unit.starts for unit in self.units)
        self._trips_before = sum(unit.trips for unit in self.units)
        self._thermostat_stops_before = sum(unit.thermostat_stops for unit in self.units)

    def _stored_kj(self) -> float:
        return (
            self.loop.stored_kj()
            + self.building.stored_kj()
            + self.ground.stored_kj()
            + sum(unit.stored_kj() for unit in self.units)
        )
