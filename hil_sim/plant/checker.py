"""The plant's own judge: what must never happen, seen from the physics.

Only commands from outside are judged, not local control. A condition that lasts is reported once, when it begins.
What a controller can only know after its next look at the plant (a unit that a person has just turned to local, a trip)
counts from SEEN_S on.
"""

import math
from collections import defaultdict
from dataclasses import dataclass

from hil_sim.plant.unit import Mode, Unit
from hil_sim.plant.weather import DAY_S, LOCAL_OFFSET_S

SUPPLY_MARGIN_K = 1.0
"""Kept above the supply limit before it counts: the header may swing while a valve travels. Design assumption."""
CHARGE_PATH_OPEN_RATIO = 0.5
"""Position of the isolating valve from which the charging path counts as open; the flow switch closes there. Design
assumption.
"""
HOUR_S = 3600.0
TIMES_SLACK_S = 30.0
"""A controller counts its times from when it saw something, and in cycles; so much less is within its clock. Ours."""
SEEN_S = 120.0
"""A controller looks at a unit every half minute, and acts on it within another one; twice that is late. Ours."""
EVAPORATOR_OUTLET_DEGC_MIN = 1.0
"""Water that leaves the evaporator colder than this may freeze in a channel with less flow. Design assumption."""
OPEN_RATIO = 0.05
"""A valve open by less leaks; it does not discharge. Ours."""
DISCHARGE_WRONG_S = 300.0
"""A discharge that does harm may last this long: a look, the valve's travel, the loop's own delay. Ours."""
CHARGE_LOST_S = 2700.0
"""Units may charge for this long while the loop takes more out of the tank than they bring in: the tank may balance the
loop while it is charged, but heat that is made hot for the tank and is used at once is made too dear. Three plans: the
load may leave a plan, and the next ones must put it right; it is dear, and harms nobody. Ours.
"""
HOT_K = 0.5
"""A discharge may bring the loop to its limit; so much above it is the error of the sensor that control reads. Ours."""
COLDER_K = 0.5
"""The tank's top must be this much colder than the return to count as drawing heat out of the loop. Ours."""
DEMAND_SLACK_RATIO = 0.02
"""The mean of a window may exceed its limit by the error of the meter that the controller reads."""


@dataclass(frozen=True, slots=True)
class SiteLimits:
    """What the site has agreed with its operator and its maker; the defaults are those of the example plant.

    Attributes:
        supply_degc_min: lower limit of the loop's supply.
        supply_degc_max: upper limit of the loop's supply.
        tank_degc_max: upper limit of any layer.
        source_inlet_degc_min: lowest water from the ground without antifreeze. Source: GB 50366, 4.3.5A.
        grid_kw_max: highest mean electric power of the plant in a demand window, None if not limited.
        demand_response: (begin, end, power): what it is limited to in between [s since 1970, kW].
        min_on_s: shortest run of a unit.
        min_off_s: shortest rest of a unit.
        starts_per_hour_max: starts of a unit in any hour.
        starts_per_day_max: starts of a unit in a day of the local calendar.
        stagger_s: least time between the starts of two units.
        pump_lead_s: pumps run for so long before their unit is asked to run.
        pump_overrun_s: pumps run on for so long after their unit has stopped.
    """

    supply_degc_min: float = 40.0
    supply_degc_max: float = 52.0
    tank_degc_max: float = 57.0
    source_inlet_degc_min: float = 4.0
    grid_kw_max: float | None = None
    min_on_s: float = 3600.0
    min_off_s: float = 1800.0
    starts_per_hour_max: int = 2
    starts_per_day_max: int = 6
    stagger_s: float = 120.0
    pump_lead_s: float = 60.0
    pump_overrun_s: float = 120.0
    demand_response: tuple[tuple[float, float, float], ...] = ()

    def grid_kw_at(self, instant_s: float) -> float | None:
        """Limit of the electric power at an instant [kW]; None: not limited."""
        limits_kw = [kw for begin_s, end_s, kw in self.demand_response if begin_s <= instant_s < end_s]
        if self.grid_kw_max is not None:
            limits_kw.append(self.grid_kw_max)
        return min(limits_kw, default=None)


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule.

    Attributes:
        instant_s: when it began [s since 1970 UTC].
        code: stable name of the rule.
        text: what happened, with values.
    """

    instant_s: float
    code: str
    text: str


class Checker:
    """Collects violations.

    Args:
        limits: of the site.
    """

    def __init__(self, limits: SiteLimits) -> None:
        self.limits = limits
        self.violations: list[Violation] = []
        self._lasting: set[tuple[str, str]] = set()
        self._starts_s: dict[str, list[float]] = defaultdict(list)
        self._since_s: dict[str, float] = {}

    def run_requested(
        self,
        instant_s: float,
        unit: Unit,
        *,
        source_pump: bool,
        user_pump: bool,
        pumps_on_s: float = -math.inf,
    ) -> None:
        """Judges a run request that has just changed from 0 to 1.

        Args:
            instant_s: when [s since 1970].
            unit: whose request.
            source_pump: whether its source pump runs.
            user_pump: whether its user pump runs.
            pumps_on_s: when the later one of them was commanded on from outside.
        """
        if not (source_pump and user_pump):
            missing = " and ".join(
                name for name, running in (("source", source_pump), ("user", user_pump)) if not running
            )
            self._report(
                instant_s, "request_without_pumps", f"{unit.name} asked to run while its {missing} pump is off"
            )
        if unit.compressor_on:
            return
        limits = self.limits
        off_s = instant_s - unit.last_stop_s
        if off_s < limits.min_off_s:
            self._report(
                instant_s, "min_off", f"{unit.name} started after {off_s:.0f} s off, least {limits.min_off_s:.0f} s"
            )
        lead_s = instant_s - pumps_on_s
        if source_pump and user_pump and lead_s < limits.pump_lead_s - TIMES_SLACK_S:
            text = f"{unit.name} asked to run {lead_s:.0f} s after its pumps, least {limits.pump_lead_s:.0f} s"
            self._report(instant_s, "pump_lead", text)
        others_s = [start_s for name, starts in self._starts_s.items() if name != unit.name for start_s in starts]
        apart_s = instant_s - max(others_s, default=-math.inf)
        if apart_s < limits.stagger_s - TIMES_SLACK_S:
            text = f"{unit.name} started {apart_s:.0f} s after another unit, least {limits.stagger_s:.0f} s"
            self._report(instant_s, "start_stagger", text)
        self._starts_s[unit.name].append(instant_s)
        last_hour, today = self._starts_of(unit.name, instant_s)
        if last_hour > limits.starts_per_hour_max:
            self._report(instant_s, "starts_per_hour", f"{unit.name} started {last_hour} times within an hour")
        if today > limits.starts_per_day_max:
            self._report(instant_s, "starts_per_day", f"{unit.name} started {today} times today")

    def may_start(self, instant_s: float, unit: Unit) -> bool:
        """Whether a start now would break no rule: rested, and starts left."""
        last_hour, today = self._starts_of(unit.name, instant_s)
        limits = self.limits
        return (
            instant_s - unit.last_stop_s >= limits.min_off_s
            and last_hour < limits.starts_per_hour_max
            and today < limits.starts_per_day_max
        )

    def _starts_of(self, name: str, instant_s: float) -> tuple[int, int]:
        """Starts of a unit within the last hour, and on the present day of the local calendar."""
        starts_s = self._starts_s[name]
        day = (instant_s + LOCAL_OFFSET_S) // DAY_S
        return (
            sum(1 for start_s in starts_s if start_s > instant_s - HOUR_S),
            sum(1 for start_s in starts_s if (start_s + LOCAL_OFFSET_S) // DAY_S == day),
        )

    def commanded_in_local(self, instant_s: float, unit: Unit, *, name: str, selected_s: float) -> None:
        """Judges a command to a unit whose selector stands on local since an instant."""
        if self._begins("commanded_in_local", unit.name, holds=instant_s - selected_s > SEEN_S):
            text = f"{unit.name}: {name} written {instant_s - selected_s:.0f} s after it was turned to local"
            self._report(instant_s, "commanded_in_local", text)

    def commanded_while_tripped(self, instant_s: float, unit: Unit, *, name: str) -> None:
        """Judges a command to a tripped unit that is no withdrawal of the request to run."""
        if self._begins("commanded_while_tripped", unit.name, holds=unit.state_age_s > SEEN_S):
            text = f"{unit.name}: {name} written {unit.state_age_s:.0f} s after it has tripped"
            self._report(instant_s, "commanded_while_tripped", text)

    def stop_requested(self, instant_s: float, unit: Unit) -> None:
        """Judges a run request that has just changed from 1 to 0."""
        on_s = instant_s - unit.last_start_s
        if unit.compressor_on and on_s < self.limits.min_on_s:
            self._report(
                instant_s, "min_on", f"{unit.name} stopped after {on_s:.0f} s on, least {self.limits.min_on_s:.0f} s"
            )

    def pump_stop_commanded(self, instant_s: float, unit: Unit, *, pump: str) -> None:
        """Judges a command that stops a pump."""
        if unit.compressor_on:
            self._report(
                instant_s, "pump_stopped_under_compressor", f"{pump} stopped while the compressor of {unit.name} runs"
            )
            return
        off_s, overrun_s = instant_s - unit.last_stop_s, self.limits.pump_overrun_s
        if off_s < overrun_s - TIMES_SLACK_S:
            text = f"{pump} stopped {off_s:.0f} s after the compressor of {unit.name}, least {overrun_s:.0f} s"
            self._report(instant_s, "overrun_cut", text)

    def check_unit(
        self, instant_s: float, unit: Unit, *, source_flow: bool, user_flow: bool, charge_position_ratio: float
    ) -> None:
        """Judges one unit at the beginning of a step, before its own protection acts.

        Args:
            instant_s: begin of the step [s since 1970].
            unit: the unit.
            source_flow: whether the source pump moves water, or would but for a fault of its own.
            user_flow: likewise for the user side and its way.
            charge_position_ratio: of the valve that isolates the tank.
        """
        name = unit.name
        running = unit.compressor_on
        if self._begins("no_source_flow", name, holds=running and not source_flow):
            self._report(instant_s, "no_source_flow", f"{name}: compressor runs without source flow")
        if self._begins("no_user_flow", name, holds=running and not user_flow):
            self._report(instant_s, "no_user_flow", f"{name}: compressor runs without user flow")
        closed = running and unit.mode_actual is Mode.CHARGE and charge_position_ratio < CHARGE_PATH_OPEN_RATIO
        if self._begins("charge_valve_closed", name, holds=closed):
            text = f"{name}: charges with valve_charge at {charge_position_ratio:.2f}"
            self._report(instant_s, "charge_valve_closed", text)

    def check_evaporator(self, instant_s: float, unit: Unit, *, outlet_degc: float) -> None:
        """Judges the water that leaves the evaporator of a unit."""
        cold = unit.compressor_on and outlet_degc < EVAPORATOR_OUTLET_DEGC_MIN
        if self._begins("evaporator_freezes", unit.name, holds=cold):
            self._report(instant_s, "evaporator_freezes", f"{unit.name}: evaporator outlet {outlet_degc:.1f} degC")

    def check_demand(self, instant_s: float, *, window_kw: float, window_s: float) -> None:
        """Judges the mean power of a demand window that has just ended."""
        limit_kw = self.limits.grid_kw_at(instant_s - window_s)
        if limit_kw is None:
            return
        if window_kw > limit_kw * (1.0 + DEMAND_SLACK_RATIO):
            text = f"mean power of a window {window_kw:.0f} kW, limit {limit_kw:.0f} kW"
            self._report(instant_s, "grid_limit", text)

    def check_discharge(
        self,
        instant_s: float,
        *,
        open_ratio: float,
        supply_degc: float,
        tank_degc: float,
        return_degc: float,
        lost: bool,
    ) -> None:
        """Judges what the open tank does to the loop.

        Args:
            instant_s: end of the step [s since 1970].
            open_ratio: how far the way out of the tank is open.
            supply_degc: water in the supply header.
            tank_degc: top of the tank.
            return_degc: water in the return header.
            lost: whether units charge while the loop takes more water out of the tank than they bring in.
        """
        limits = self.limits
        is_open = open_ratio > OPEN_RATIO
        if self._lasts(
            "discharge_into_hot_loop", instant_s, holds=is_open and supply_degc > limits.supply_degc_max + HOT_K
        ):
            text = f"tank open by {open_ratio:.2f} with a supply of {supply_degc:.1f} degC"
            self._report(instant_s, "discharge_into_hot_loop", text)
        if self._lasts("discharge_of_cold_tank", instant_s, holds=is_open and tank_degc < return_degc - COLDER_K):
            text = f"tank of {tank_degc:.1f} degC open to a return of {return_degc:.1f} degC"
            self._report(instant_s, "discharge_of_cold_tank", text)
        warm = supply_degc > limits.supply_degc_min + SUPPLY_MARGIN_K  # heat goes first
        if self._lasts("charge_and_discharge", instant_s, holds=lost and warm, most_s=CHARGE_LOST_S):
            text = f"a unit charges while the tank, open by {open_ratio:.2f}, empties; supply {supply_degc:.1f} degC"
            self._report(instant_s, "charge_and_discharge", text)

    def check_outage(self, instant_s: float, *, avoidable: bool, missing_k: float, spare_kw: float) -> None:
        """Judges a cold supply: avoidable when sound parts of the plant lay idle."""
        if self._begins("avoidable_outage", "loop", holds=avoidable):
            text = f"supply is {missing_k:.1f} K below what counts as cold while {spare_kw:.0f} kW of heat lie idle"
            self._report(instant_s, "avoidable_outage", text)

    def check_plant(
        self,
        instant_s: float,
        *,
        supply_degc: float,
        tank_top_degc: float,
        source_inlet_degc: float,
        any_running: bool,
    ) -> None:
        """Judges temperatures at the end of a step."""
        limits = self.limits
        if self._begins("supply_too_hot", "loop", holds=supply_degc > limits.supply_degc_max + SUPPLY_MARGIN_K):
            text = f"supply {supply_degc:.1f} degC, limit {limits.supply_degc_max:.1f}"
            self._report(instant_s, "supply_too_hot", text)
        if self._begins("tank_too_hot", "tank", holds=tank_top_degc > limits.tank_degc_max):
            text = f"top layer {tank_top_degc:.1f} degC, limit {limits.tank_degc_max:.1f}"
            self._report(instant_s, "tank_too_hot", text)
        cold = any_running and source_inlet_degc < limits.source_inlet_degc_min
        if self._begins("source_too_cold", "ground", holds=cold):
            text = f"source inlet {source_inlet_degc:.1f} degC, limit {limits.source_inlet_degc_min:.1f}"
            self._report(instant_s, "source_too_cold", text)

    def _begins(self, code: str, subject: str, *, holds: bool) -> bool:
        """Whether a lasting condition has just begun."""
        key = (code, subject)
        if not holds:
            self._lasting.discard(key)
            return False
        if key in self._lasting:
            return False
        self._lasting.add(key)
        return True

    def _lasts(self, code: str, instant_s: float, *, holds: bool, most_s: float = DISCHARGE_WRONG_S) -> bool:
        """Whether a condition has just lasted for too long."""
        if not holds:
            self._since_s.pop(code, None)
            return self._begins(code, "plant", holds=False)
        since_s = self._since_s.setdefault(code, instant_s)
        return instant_s - since_s >= most_s and self._begins(code, "plant", holds=True)

    def _report(self, instant_s: float, code: str, text: str) -> None:
        self.violations.append(Violation(instant_s, code, text))
