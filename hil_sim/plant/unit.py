"""One ground-source heat-pump unit: registers, sequence of its own controller, load control, heat and electricity.

The unit decides for itself: a command is a request. It starts only with flow proven on both sides, waits out its own
anti-recycle time, unloads before it stops, trips and latches on lost flow, cold source or hot leaving water, and stops
by its own thermostat when even its lowest load is too much for the water. Such a thermostat stop shows state "off"
while the run request stays 1; the unit starts again by itself when the water has cooled down. It is counted in
`thermostat_stops`.

What it can be told is its `UnitKind`. A staged unit brings stages in by itself, within the number that it is allowed;
one on contacts follows its contacts, and its panel's own thermostat is only a limit.
"""

import math
from dataclasses import dataclass
from enum import IntEnum

from hil_sim.plant import performance
from hil_sim.plant.water import HEAT_CAPACITY_KJ_PER_KG_K, relaxation_ratio

# Design assumptions, in the range of manuals of screw units.
USER_FLOW_KG_PER_S = 28.7
SOURCE_FLOW_KG_PER_S = 28.0
STANDBY_KW = 0.4
PRE_RUN_S = 20.0
FLOW_WAIT_S = 60.0
START_SHOWN_S = 30.0
UNLOAD_S = 60.0
ANTI_RECYCLE_S = 300.0
FLOW_LOST_S = 5.0
TEMPERATURE_TRIP_S = 30.0
LOAD_UP_PER_S = 0.005
LOAD_DOWN_PER_S = 0.010
SOURCE_INLET_TRIP_DEGC = 3.0
LEAVING_TRIP_DEGC = 60.0
THERMOSTAT_STOP_K = 1.0
THERMOSTAT_START_K = 3.0
SETPOINT_MIN_DEGC = 35.0
SETPOINT_MAX_DEGC = 58.0
STAGE_S = 60.0
"""A staged unit lets this much time pass between two stages of its own."""
CONTACT_S = 10.0
"""A contact brings a stage in, or takes it out, after its relays' delay."""
STAGE_UP_SHARE = 0.6
STAGE_DOWN_SHARE = 0.3
"""A staged unit calls a stage from this share of its step on, and lets it go below that one."""
PANEL_DIRECT_DEGC = 52.0
PANEL_CHARGE_DEGC = 55.0
"""What the panel of a unit on contacts is set to."""
PANEL_ABOVE_K = 0.5
PANEL_BELOW_K = 2.0
"""So far above its set-point the panel cuts the unit down to its first stage, until it is so far below."""

# Heat rise after a start: 65 % with 25 s, the rest with 120 s; power: up in 4 s, then 8 % above the steady value until
# 15 s. Source: one measured start of a small brine unit (RWTH Aachen, modelica-buildings MeasuredHeatPumpData); times
# of a large unit are assumed.
FAST_SHARE = 0.65
FAST_TAU_S = 25.0
SLOW_TAU_S = 120.0
POWER_RISE_S = 4.0
OVERSHOOT_END_S = 15.0
OVERSHOOT_RATIO = 1.08


class State(IntEnum):
    """What the unit reports."""

    OFF = 0
    STARTING = 1
    RUNNING = 2
    STOPPING = 3
    TRIPPED = 4


class Mode(IntEnum):
    """Where the condenser water goes."""

    NONE = 0
    DIRECT = 1
    CHARGE = 2


class Alarm(IntEnum):
    """Why the unit does not follow its requests."""

    NONE = 0
    SOURCE_FLOW = 1
    USER_FLOW = 2
    SOURCE_TEMPERATURE_LOW = 3
    LEAVING_TEMPERATURE_HIGH = 4
    COMMUNICATION_LOST = 5


@dataclass(frozen=True, slots=True)
class UnitKind:
    """What a unit can be told.

    Attributes:
        takes_capacity_limit: False for units that know only on/off, mode and set-point.
        stages: share of the full heat with 1, 2 ... stages; empty: the load is continuous.
        contacts: told by dry contacts only; shows nothing but contacts.
    """

    takes_capacity_limit: bool = False
    stages: tuple[float, ...] = ()
    contacts: bool = False


def _power_integral_s(since_start_s: float) -> float:
    """Integral of the power factor of a start from 0 to a time [s]."""
    rise_s = min(since_start_s, POWER_RISE_S)
    above_s = min(max(since_start_s - POWER_RISE_S, 0.0), OVERSHOOT_END_S - POWER_RISE_S)
    steady_s = max(since_start_s - OVERSHOOT_END_S, 0.0)
    return OVERSHOOT_RATIO * (0.5 * rise_s * rise_s / POWER_RISE_S + above_s) + steady_s


class Unit:
    """A unit with its diverter and its mixing valve for charging.

    Args:
        name: for messages.
        kind: what it can be told.
        thermostat_delay_s: how long the water must be too hot at lowest load before the unit stops; differs between
            units, so that they do not all stop at once.
    """

    __slots__ = (
        "_body_fast_kj",
        "_body_slow_kj",
        "_cold_source_s",
        "_flow_missing_s",
        "_hot_s",
        "_panel_cut",
        "_thermostat_s",
        "alarm",
        "capacity_limit_ratio",
        "compressor_on",
        "electric_kw",
        "flow_kg_per_s",
        "heat_kw",
        "ignores_stop",
        "kind",
        "last_stage_s",
        "last_start_s",
        "last_stop_s",
        "leaving_degc",
        "load_ratio",
        "mode_actual",
        "mode_request",
        "name",
        "powered",
        "run_request",
        "run_s",
        "setpoint_degc",
        "source_heat_kw",
        "stage",
        "stage_request",
        "stages_working",
        "standby",
        "starts",
        "state",
        "state_age_s",
        "thermostat_delay_s",
        "thermostat_stops",
        "trips",
        "user_flow",
    )

    def __init__(self, name: str, *, kind: UnitKind, thermostat_delay_s: float) -> None:
        self.name = name
        self.kind = kind
        self.thermostat_delay_s = thermostat_delay_s
        self.run_request = False
        self.mode_request = Mode.DIRECT
        self.setpoint_degc = 45.0
        self.capacity_limit_ratio = 1.0
        self.stage_request = max(1, len(kind.stages))
        self.stages_working = len(kind.stages)
        """Fault: stages that come when they are called."""
        self.stage = 0
        self.last_stage_s = -math.inf
        self.state = State.OFF
        self.mode_actual = Mode.NONE
        self.alarm = Alarm.NONE
        self.standby = False
        self.compressor_on = False
        self.load_ratio = 0.0
        self.electric_kw = STANDBY_KW
        self.heat_kw = 0.0
        self.source_heat_kw = 0.0
        self.leaving_degc = 45.0
        self.flow_kg_per_s = 0.0
        self.user_flow = False
        self.state_age_s = 0.0
        self.last_start_s = -math.inf
        self.last_stop_s = -math.inf
        self.starts = 0
        self.trips = 0
        self.powered = True
        self.ignores_stop = False
        """Fault: while its compressor runs, a withdrawn request changes nothing."""
        self.thermostat_stops = 0
        self.run_s = 0.0
        self._body_fast_kj = 0.0
        self._body_slow_kj = 0.0
        self._flow_missing_s = 0.0
        self._hot_s = 0.0
        self._panel_cut = False
        self._cold_source_s = 0.0
        self._thermostat_s = 0.0

    def stored_kj(self) -> float:
        """Heat in the metal and refrigerant on its way to the water [kJ]."""
        return self._body_fast_kj + self._body_slow_kj

    @property
    def load_ratio_min(self) -> float:
        """Its lowest load."""
        return self.kind.stages[0] if self.kind.stages else performance.LOAD_RATIO_MIN

    def hydraulic_mode(self) -> Mode:
        """Where the diverter stands: the mode in use, else the one asked for."""
        return self.mode_actual or self.mode_request

    def reset_trip(self) -> None:
        """Acknowledges a latched trip at the unit's own panel: a person's action, no register does it."""
        if self.state is State.TRIPPED:
            self.alarm = Alarm.NONE
            self._enter(State.OFF)

    def trip(self, instant_s: float, alarm: Alarm) -> None:
        """Stops at once and latches, as by one of its own protections."""
        self._trip(instant_s, alarm)

    def lose_power(self, instant_s: float) -> None:
        """The supply fails: what ran stands, requests are forgotten; a latched trip stays latched."""
        self.powered = False
        self.run_request = False
        self.standby = False
        if self.compressor_on:
            self._stop_compressor(instant_s)
        if self.state is not State.TRIPPED:
            self._enter(State.OFF)

    def control(
        self,
        instant_s: float,
        step_s: float,
        *,
        source_flow: bool,
        user_flow: bool,
        source_inlet_degc: float,
        user_inlet_degc: float,
    ) -> None:
        """Lets the unit's own controller decide at the start of a step: sequence, trips, thermostat, load.

        Args:
            instant_s: start of the step [s since 1970].
            step_s: length of the step [s].
            source_flow: flow switch of the source side.
            user_flow: flow switch of the condenser on its present path.
            source_inlet_degc: water from the ground [degC].
            user_inlet_degc: water that enters the condenser circuit [degC].
        """
        self.state_age_s += step_s
        if not self.powered:
            return
        if self.compressor_on:
            self._watch(
                instant_s,
                step_s,
                source_flow=source_flow,
                user_flow=user_flow,
                source_inlet_degc=source_inlet_degc,
            )
        if self.state is State.OFF:
            self._control_off(instant_s, flows=source_flow and user_flow, user_inlet_degc=user_inlet_degc)
        elif self.state is State.STARTING:
            self._control_starting(instant_s, step_s, source_flow=source_flow, user_flow=user_flow)
        elif self.state is State.RUNNING:
            if not self.run_request and not self.ignores_stop:
                self._enter(State.STOPPING)
            elif self.mode_request is not self.mode_actual:
                # The diverter moves at lowest load; the ramp then begins again.
                self.mode_actual = self.mode_request
                self.load_ratio = min(self.load_ratio, self.load_ratio_min)
                self.stage = min(self.stage, 1)
                self.last_stage_s = instant_s
        elif self.state is State.STOPPING:
            if self.run_request:
                self._enter(State.RUNNING)
            elif self.state_age_s >= UNLOAD_S:
                self._stop_compressor(instant_s)
                self._enter(State.OFF)
        if self.compressor_on:
            self._control_load(instant_s, step_s, source_inlet_degc=source_inlet_degc, user_inlet_degc=user_inlet_degc)

    def run(self, instant_s: float, step_s: float, *, source_inlet_degc: float, user_flow: bool) -> None:
        """Computes means over the step [kW]: electricity, heat taken from the source, heat given to the water.

        The refrigerant's heat goes into two bodies that give it to the water with their own time constants, and only
        with flow. So electricity + source heat = heat to the water + change of the bodies, exactly, for any length of
        step.
        """
        condenser_kw = 0.0
        if self.compressor_on:
            heat_full_kw, electric_full_kw = performance.full_load(source_inlet_degc, self.leaving_degc)
            heat_steady_kw = heat_full_kw * self.load_ratio
            electric_steady_kw = electric_full_kw * performance.electric_ratio(self.load_ratio, self.leaving_degc)
            since_start_s = instant_s - self.last_start_s
            factor = 1.0
            if since_start_s < OVERSHOOT_END_S:
                factor = (_power_integral_s(since_start_s + step_s) - _power_integral_s(since_start_s)) / step_s
            compressor_kw = electric_steady_kw * factor
            self.electric_kw = compressor_kw + STANDBY_KW
            self.source_heat_kw = heat_steady_kw - electric_steady_kw
            condenser_kw = self.source_heat_kw + compressor_kw
            self.run_s += step_s
        else:
            self.electric_kw = STANDBY_KW if self.powered else 0.0
            self.source_heat_kw = 0.0
        if user_flow:
            self.heat_kw = self._give(step_s, condenser_kw)
        else:
            self.heat_kw = 0.0
            self._body_fast_kj += FAST_SHARE * condenser_kw * step_s
            self._body_slow_kj += (1.0 - FAST_SHARE) * condenser_kw * step_s

    def water_flow_kg_per_s(self, user_inlet_degc: float, *, user_flow: bool) -> float:
        """Flow that the unit draws from its circuit after `run` [kg/s].

        Direct: the whole flow of its pump. Charging: its mixing valve recirculates and draws only what carries the
            heat away at the
        set-point.
        """
        if not user_flow:
            return 0.0
        if self.hydraulic_mode() is not Mode.CHARGE:
            return USER_FLOW_KG_PER_S
        rise_k = self.setpoint_degc - user_inlet_degc
        least_rise_k = self.heat_kw / (USER_FLOW_KG_PER_S * HEAT_CAPACITY_KJ_PER_KG_K)
        if rise_k <= least_rise_k:
            return USER_FLOW_KG_PER_S if self.heat_kw > 0.0 else 0.0
        return self.heat_kw / (rise_k * HEAT_CAPACITY_KJ_PER_KG_K)

    def _give(self, step_s: float, condenser_kw: float) -> float:
        """Moves heat through the bodies; returns the mean heat to the water [kW]."""
        given_kj = condenser_kw * step_s + self._body_fast_kj + self._body_slow_kj
        fast_target_kj = FAST_SHARE * condenser_kw * FAST_TAU_S
        slow_target_kj = (1.0 - FAST_SHARE) * condenser_kw * SLOW_TAU_S
        self._body_fast_kj += (fast_target_kj - self._body_fast_kj) * relaxation_ratio(step_s, FAST_TAU_S)
        self._body_slow_kj += (slow_target_kj - self._body_slow_kj) * relaxation_ratio(step_s, SLOW_TAU_S)
        return (given_kj - self._body_fast_kj - self._body_slow_kj) / step_s

    def _control_off(self, instant_s: float, *, flows: bool, user_inlet_degc: float) -> None:
        if not self.run_request:
            self.standby = False
            return
        if instant_s - self.last_stop_s < ANTI_RECYCLE_S:
            return  # an early request is not refused, only not followed yet
        if self.standby and not (flows and user_inlet_degc < self.setpoint_degc - THERMOSTAT_START_K):
            return
        self.standby = False
        self._flow_missing_s = 0.0
        self._enter(State.STARTING)
        self.mode_actual = self.mode_request

    def _control_starting(self, instant_s: float, step_s: float, *, source_flow: bool, user_flow: bool) -> None:
        if not self.run_request:
            if self.compressor_on:
                self._enter(State.STOPPING)
            else:
                self._enter(State.OFF)
            return
        if self.compressor_on:
            if instant_s - self.last_start_s >= START_SHOWN_S:
                self._enter(State.RUNNING)
            return
        self.mode_actual = self.mode_request
        if not (source_flow and user_flow):
            self._flow_missing_s += step_s
            self.state_age_s = 0.0
            if self._flow_missing_s >= FLOW_WAIT_S:
                self._trip(instant_s, Alarm.USER_FLOW if source_flow else Alarm.SOURCE_FLOW)
            return
        if self.state_age_s >= PRE_RUN_S:
            self.compressor_on = True
            self.starts += 1
            self.last_start_s = instant_s
            self.load_ratio = self.load_ratio_min
            self.stage = 1
            self.last_stage_s = instant_s
            self._panel_cut = False
            self._flow_missing_s = self._hot_s = self._cold_source_s = self._thermostat_s = 0.0

    def _watch(
        self, instant_s: float, step_s: float, *, source_flow: bool, user_flow: bool, source_inlet_degc: float
    ) -> None:
        self._flow_missing_s = 0.0 if source_flow and user_flow else self._flow_missing_s + step_s
        self._cold_source_s = self._cold_source_s + step_s if source_inlet_degc < SOURCE_INLET_TRIP_DEGC else 0.0
        self._hot_s = self._hot_s + step_s if self.leaving_degc > LEAVING_TRIP_DEGC else 0.0
        if self._flow_missing_s >= FLOW_LOST_S:
            self._trip(instant_s, Alarm.USER_FLOW if source_flow else Alarm.SOURCE_FLOW)
        elif self._cold_source_s >= TEMPERATURE_TRIP_S:
            self._trip(instant_s, Alarm.SOURCE_TEMPERATURE_LOW)
        elif self._hot_s >= TEMPERATURE_TRIP_S:
            self._trip(instant_s, Alarm.LEAVING_TEMPERATURE_HIGH)

    def _control_load(
        self, instant_s: float, step_s: float, *, source_inlet_degc: float, user_inlet_degc: float
    ) -> None:
        heat_full_kw, _ = performance.full_load(source_inlet_degc, self.leaving_degc)
        holding_kw = USER_FLOW_KG_PER_S * HEAT_CAPACITY_KJ_PER_KG_K * (self.setpoint_degc - user_inlet_degc)
        if self.kind.stages:
            self._control_stages(instant_s, holding_ratio=holding_kw / heat_full_kw)
        else:
            limit_ratio = self.capacity_limit_ratio if self.kind.takes_capacity_limit else 1.0
            target_ratio = max(self.load_ratio_min, min(limit_ratio, holding_kw / heat_full_kw))
            if self.state is State.STOPPING:
                target_ratio = self.load_ratio_min
            change_ratio = target_ratio - self.load_ratio
            self.load_ratio += max(-LOAD_DOWN_PER_S * step_s, min(LOAD_UP_PER_S * step_s, change_ratio))
        too_hot = (
            self.leaving_degc > self.setpoint_degc + THERMOSTAT_STOP_K and self.load_ratio <= self.load_ratio_min + 1e-6
        )
        self._thermostat_s = self._thermostat_s + step_s if too_hot and self.state is State.RUNNING else 0.0
        if self._thermostat_s >= self.thermostat_delay_s:
            self._stop_compressor(instant_s)
            self.standby = True
            self.thermostat_stops += 1
            self._enter(State.OFF)

    def _control_stages(self, instant_s: float, *, holding_ratio: float) -> None:
        """Lets one stage in or out when it is time: its own thermostat's within the limit, or what the contacts say."""
        shares = self.kind.stages
        allowed = min(self.stage_request, self.stages_working)
        if self.state is not State.RUNNING:
            wanted = 1
        elif self.kind.contacts:
            if self.leaving_degc > self.setpoint_degc + PANEL_ABOVE_K:
                self._panel_cut = True
            elif self.leaving_degc < self.setpoint_degc - PANEL_BELOW_K:
                self._panel_cut = False
            wanted = 1 if self._panel_cut else allowed
        else:
            wanted = self.stage
            if wanted < len(shares):
                step_ratio = shares[wanted] - shares[wanted - 1]
                wanted += holding_ratio > shares[wanted - 1] + STAGE_UP_SHARE * step_ratio
            if wanted == self.stage > 1:
                step_ratio = shares[wanted - 1] - shares[wanted - 2]
                wanted -= holding_ratio < shares[wanted - 2] + STAGE_DOWN_SHARE * step_ratio
            wanted = min(wanted, allowed)
        pause_s = CONTACT_S if self.kind.contacts or self.state is State.STOPPING else STAGE_S
        if wanted != self.stage and instant_s - self.last_stage_s >= pause_s - 1e-6:
            self.stage += 1 if wanted > self.stage else -1
            self.last_stage_s = instant_s
        self.load_ratio = shares[self.stage - 1]

    def _stop_compressor(self, instant_s: float) -> None:
        self.compressor_on = False
        self.load_ratio = 0.0
        self.stage = 0
        self.last_stop_s = instant_s

    def _trip(self, instant_s: float, alarm: Alarm) -> None:
        if self.compressor_on:
            self._stop_compressor(instant_s)
        self.trips += 1
        self.alarm = alarm
        self.standby = False
        self._enter(State.TRIPPED)

    def _enter(self, state: State) -> None:
        self.state = state
        self.state_age_s = 0.0
        if state in (State.OFF, State.TRIPPED):
            self.mode_actual = Mode.NONE
