"""The plant's own judge: what must never happen, seen from the physics.

Only commands from outside are judged, not local control. A condition that lasts is reported once, when it begins.
"""

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


@dataclass(frozen=True, slots=True)
class SiteLimits:
    """What the site has agreed with its operator and its maker; the defaults are those of the example plant.

    Attributes:
        supply_degc_min: lower limit of the loop's supply.
        supply_degc_max: upper limit of the loop's supply.
        tank_degc_max: upper limit of any layer.
        source_inlet_degc_min: lowest water from the ground without antifreeze. Source: GB 50366, 4.3.5A.
        grid_kw_max: highest electric power of the plant, None if not limited.
        min_on_s: shortest run of a unit.
        min_off_s: shortest rest of a unit.
        starts_per_hour_max: starts of a unit in any hour.
        starts_per_day_max: starts of a unit in a day of the local calendar.
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

    def run_requested(self, instant_s: float, unit: Unit, *, source_pump: bool, user_pump: bool) -> None:
        """Judges a run request that has just changed from 0 to 1."""
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
        starts_s = self._starts_s[unit.name]
        starts_s.append(instant_s)
        last_hour = sum(1 for start_s in starts_s if start_s > instant_s - HOUR_S)
        day = (instant_s + LOCAL_OFFSET_S) // DAY_S
        today = sum(1 for start_s in starts_s if (start_s + LOCAL_OFFSET_S) // DAY_S == day)
        if last_hour > limits.starts_per_hour_max:
            self._report(instant_s, "starts_per_hour", f"{unit.name} started {last_hour} times within an hour")
        if today > limits.starts_per_day_max:
            self._report(instant_s, "starts_per_day", f"{unit.name} started {today} times today")

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

    def check_unit(
        self, instant_s: float, unit: Unit, *, source_flow: bool, user_flow: bool, charge_position_ratio: float
    ) -> None:
        """Judges one unit at the beginning of a step, before its own protection acts."""
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

    def check_plant(
        self,
        instant_s: float,
        *,
        supply_degc: float,
        tank_top_degc: float,
        source_inlet_degc: float,
        any_running: bool,
        electric_kw: float,
    ) -> None:
        """Judges temperatures and power at the end of a step."""
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
        grid_kw_max = limits.grid_kw_max
        if grid_kw_max is not None and self._begins("grid_limit", "plant", holds=electric_kw > grid_kw_max):
            self._report(instant_s, "grid_limit", f"electric power {electric_kw:.0f} kW, limit {grid_kw_max:.0f} kW")

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

    def _report(self, instant_s: float, code: str, text: str) -> None:
        self.violations.append(Violation(instant_s, code, text))
