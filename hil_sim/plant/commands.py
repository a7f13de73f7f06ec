"""Writes from outside: which commands the plant's devices take, what they do, and how a device can fail to obey.

A command acts with the next step of the plant. Not here: registers and answers (hil_sim.devices).
"""

import math
from collections.abc import Sequence

from hil_sim.plant.checker import Checker
from hil_sim.plant.local_control import LocalControl
from hil_sim.plant.pump import Pump
from hil_sim.plant.unit import (
    PANEL_CHARGE_DEGC,
    PANEL_DIRECT_DEGC,
    SETPOINT_MAX_DEGC,
    SETPOINT_MIN_DEGC,
    Mode,
    State,
    Unit,
)
from hil_sim.plant.valve import Valve

CAPACITY_LIMIT_RATIO_MIN = 0.3
STATION = "io1"
Point = tuple[str, str]


class CommandRefused(Exception):
    """The device says no to a command that it knows; nothing has changed."""


class Commands:
    """The inputs of units and station.

    Args:
        units: the units, in the order of their numbers.
        local: the panel of each.
        source_pumps: the source pump of each.
        user_pumps: the user pump of each.
        valve_charge: isolates the tank.
        valve_discharge: lets the tank feed the loop.

    Attributes:
        heartbeats: last number written to each unit.
        requests: every change of a request to run from outside: instant [s since 1970], unit, asked to run.
        refused: fault: commands that the device says no to.
        ignored: fault: commands that it accepts and forgets.
        replaced: fault: commands instead of whose value it takes this one.
    """

    def __init__(
        self,
        *,
        units: Sequence[Unit],
        local: Sequence[LocalControl],
        source_pumps: Sequence[Pump],
        user_pumps: Sequence[Pump],
        valve_charge: Valve,
        valve_discharge: Valve,
    ) -> None:
        self._units = units
        self._names = [unit.name for unit in units]
        self._local = local
        self._pumps = {"p_source_": source_pumps, "p_user_": user_pumps}
        self._valve_charge = valve_charge
        self._valve_discharge = valve_discharge
        self.heartbeats = [0.0] * len(units)
        self._on_s: dict[tuple[str, int], float] = {}
        self.requests: list[tuple[float, str, bool]] = []
        self.refused: set[Point] = set()
        self.ignored: set[Point] = set()
        self.replaced: dict[Point, float] = {}

    def take(self, device: str, name: str, value: float, *, instant_s: float, checker: Checker) -> None:
        """Takes a write.

        Raises:
            KeyError: there is no such device or command.
            ValueError: the value is out of its range; nothing has changed.
            CommandRefused: the device does not take it now; nothing has changed.
        """
        if (device, name) in self.refused:
            raise CommandRefused(f"{device}.{name}: refused")
        value = self.replaced.get((device, name), value)
        if (device, name) in self.ignored:
            return
        if device == STATION:
            self._station(name, value, instant_s=instant_s, checker=checker)
        elif device in self._names:
            self._unit(self._names.index(device), name, value, instant_s=instant_s, checker=checker)
        else:
            raise KeyError((device, name))

    def _unit(self, position: int, name: str, value: float, *, instant_s: float, checker: Checker) -> None:
        unit, local = self._units[position], self._local[position]
        if name == "heartbeat":
            self.heartbeats[position] = value
            local.touch(instant_s)
            return
        _judge(unit, name, value)
        if unit.kind.contacts:
            name, value = _contact(unit, name, value)
        if local.selected_s is not None:
            checker.commanded_in_local(instant_s, unit, name=name, selected_s=local.selected_s)
            raise CommandRefused(f"{unit.name} is in local control")
        if unit.state is State.TRIPPED and not (name == "run_request" and value == 0.0):
            checker.commanded_while_tripped(instant_s, unit, name=name)
        if name == "run_request":
            self._run_request(position, asked=value == 1, instant_s=instant_s, checker=checker)
        elif name == "mode_request":
            unit.mode_request = Mode(int(value))
        elif name == "supply_setpoint":
            unit.setpoint_degc = value
        elif name == "stage_request":
            unit.stage_request = int(value)
        else:
            unit.capacity_limit_ratio = value
        if unit.kind.contacts:
            unit.setpoint_degc = PANEL_CHARGE_DEGC if unit.mode_request is Mode.CHARGE else PANEL_DIRECT_DEGC
        local.touch(instant_s)

    def _run_request(self, position: int, *, asked: bool, instant_s: float, checker: Checker) -> None:
        unit = self._units[position]
        if asked and not unit.run_request:
            checker.run_requested(
                instant_s,
                unit,
                source_pump=self._pumps["p_source_"][position].running,
                user_pump=self._pumps["p_user_"][position].running,
                pumps_on_s=max(self._on_s.get((prefix, position), -math.inf) for prefix in self._pumps),
            )
        elif unit.run_request and not asked:
            checker.stop_requested(instant_s, unit)
        if asked != unit.run_request:
            self.requests.append((instant_s, unit.name, asked))
        unit.run_request = asked

    def _station(self, name: str, value: float, *, instant_s: float, checker: Checker) -> None:
        if name == "valve_charge":
            _require(name, value, allowed=value in (0, 1))
            self._valve_charge.commanded_ratio = float(value)
            return
        if name == "valve_discharge":
            _require(name, value, allowed=0.0 <= value <= 1.0)
            self._valve_discharge.commanded_ratio = value
            return
        for prefix, pumps in self._pumps.items():
            number = name.removeprefix(prefix)
            if number != name and number in ("1", "2", "3", "4"):
                _require(name, value, allowed=value in (0, 1))
                position = int(number) - 1
                if value == 0 and pumps[position].commanded:
                    checker.pump_stop_commanded(instant_s, self._units[position], pump=name)
                if value == 1 and not pumps[position].commanded:
                    self._on_s[prefix, position] = instant_s
                pumps[position].commanded = value == 1
                # Who commands a unit's pumps is about to command the unit: its panel must not switch them back.
                self._local[position].touch(instant_s)
                return
        raise KeyError((STATION, name))


def _judge(unit: Unit, name: str, value: float) -> None:
    """Refuses what the register of a unit cannot hold."""
    if unit.kind.contacts:
        if name not in ("run_contact", "charge_contact", *_stage_contacts(unit)):
            raise KeyError((unit.name, name))
        _require(name, value, allowed=value in (0, 1))
    elif name == "run_request":
        _require(name, value, allowed=value in (0, 1))
    elif name == "stage_request" and unit.kind.stages:
        _require(name, value, allowed=value in range(1, len(unit.kind.stages) + 1))
    elif name == "mode_request":
        _require(name, value, allowed=value in (Mode.DIRECT, Mode.CHARGE))
    elif name == "supply_setpoint":
        _require(name, value, allowed=SETPOINT_MIN_DEGC <= value <= SETPOINT_MAX_DEGC)
    elif name == "capacity_limit" and unit.kind.takes_capacity_limit:
        _require(name, value, allowed=CAPACITY_LIMIT_RATIO_MIN <= value <= 1.0)
    else:
        raise KeyError((unit.name, name))


def _stage_contacts(unit: Unit) -> list[str]:
    return [f"stage_{stage}_contact" for stage in range(2, len(unit.kind.stages) + 1)]


def _contact(unit: Unit, name: str, value: float) -> tuple[str, float]:
    """What a contact means to the unit behind it; stages count from the first on, an open one ends the count."""
    if name == "run_contact":
        return "run_request", value
    if name == "charge_contact":
        return "mode_request", float(Mode.CHARGE if value else Mode.DIRECT)
    stage = _stage_contacts(unit).index(name) + 2
    return "stage_request", float(max(unit.stage_request, stage) if value else min(unit.stage_request, stage - 1))


def _require(name: str, value: float, *, allowed: bool) -> None:
    if not allowed:
        raise ValueError(f"{name}: {value} is out of range")
