"""What goes wrong in the plant: each kind of fault begins, lasts, and is mended, as a person would.

A fault acts on the physics or on an instrument, never on the controller; the balance of heat still closes. Whom a fault
hits may be left to the dice. Not here: wires (hil_sim.faults), when something happens (hil_sim.scenario).

Kinds and their arguments; `unit` is a name, or `any`, `running`, `standing`, `charging` (the dice choose among those):
    unit_trip: unit; alarm (name of an Alarm): stops at once and latches; mended: a person resets it
    units_lost: all units trip
    unit_local: unit; hand (true, false; without: by its thermostat): a person turns it to local; mended: and back
    unit_ignores_stop: unit: while its compressor runs, a withdrawn request changes nothing
    unit_refuses_command: unit; commands; how (exception, ignored): it does not take them
    unit_replaces_command: unit; command, value: it takes another value instead
    flow_lost: unit; side (source, user): the pump turns and moves no water
    pump_fails: pump (p_source_1 ...), or unit and side; how (no_feedback: the motor stands; no_contact: it runs, and
        its contact does not say so)
    valve_stuck: valve (valve_charge, valve_discharge); at_ratio (without: where it is)
    sensor_frozen: device, quantity; by (0): frozen at so much more than it is now
    sensor_drift: device, quantity, per_hour
    sensor_swapped: device, quantity, with_device, with_quantity
    tank_inversion: the hot water is at the bottom, and mixes with what is above it
    power_cut: no electricity in the plant room but for the controller; the devices' silence is the wires' part
    demand_step: kw: a fresh-air coil takes so much more heat
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Final

from hil_sim.plant.office import GroundOffice
from hil_sim.plant.outage import TANK
from hil_sim.plant.pump import Pump
from hil_sim.plant.unit import Alarm, Mode, Unit

Undo = Callable[[], None]
UNIT_COMMANDS: Final = ("run_request", "mode_request", "supply_setpoint", "capacity_limit")


class PlantFaultWrong(Exception):
    """A fault asks for something that the plant does not have; the message says what."""


@dataclass(frozen=True, slots=True)
class PlantFault:
    """A fault that has begun.

    Attributes:
        kind: its kind.
        subject: whom it hit, for people.
        end: mends it.
        devices_silent: whether every device of the plant has lost its power.
    """

    kind: str
    subject: str
    end: Undo
    devices_silent: bool = False


def begin(plant: GroundOffice, args: Mapping[str, object], *, dice: random.Random) -> PlantFault:
    """Lets a fault of the plant begin.

    Args:
        plant: whose.
        args: `kind`, and what the kind needs.
        dice: choose whom it hits where that is left open.

    Raises:
        PlantFaultWrong: arguments that do not fit the plant.
    """
    kind = str(args.get("kind"))
    if kind not in KINDS:
        raise PlantFaultWrong(f"kind: {kind!r} is none of {', '.join(sorted(KINDS))}")
    subject, end = KINDS[kind](_Case(plant, args, dice))
    return PlantFault(kind, subject, end, devices_silent=kind == "power_cut")


@dataclass(frozen=True, slots=True)
class _Case:
    plant: GroundOffice
    args: Mapping[str, object]
    dice: random.Random

    def text(self, key: str, default: str = "") -> str:
        value = self.args.get(key, default)
        if not isinstance(value, str) or not value:
            raise PlantFaultWrong(f"{key}: {value!r} is not a name")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        value = self.args.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise PlantFaultWrong(f"{key}: {value!r} is not a number")
        return float(value)

    def one_of(self, key: str, choices: Sequence[str]) -> str:
        value = self.text(key, choices[0])
        if value not in choices:
            raise PlantFaultWrong(f"{key}: {value!r} is none of {', '.join(choices)}")
        return value

    def position(self) -> int:
        """Number of the unit that is hit, from 0."""
        units, wish = self.plant.units, self.text("unit", "any")
        names = [unit.name for unit in units]
        if wish in names:
            return names.index(wish)
        groups: dict[str, list[Unit]] = {
            "any": list(units),
            "running": [unit for unit in units if unit.compressor_on],
            "standing": [unit for unit in units if not unit.compressor_on],
            "charging": [unit for unit in units if unit.compressor_on and unit.mode_actual is Mode.CHARGE],
        }
        if wish not in groups:
            raise PlantFaultWrong(f"unit: {wish!r} is none of {', '.join((*names, *groups))}")
        return names.index(self.dice.choice(groups[wish] or list(units)).name)

    def point(self, prefix: str = "") -> tuple[str, str]:
        """A sensor of the plant."""
        found = (self.text(f"{prefix}device"), self.text(f"{prefix}quantity"))
        try:
            self.plant.quantity(*found)
        except KeyError as error:
            raise PlantFaultWrong(f"there is no {found[0]}.{found[1]}") from error
        return found

    def impair(self, *names: str) -> Undo:
        """Takes parts of the plant out of what it could deliver."""
        self.plant.impaired.extend(names)

        def end() -> None:
            for name in names:
                self.plant.impaired.remove(name)

        return end


def _turned_on(thing: object, switch: str) -> Undo:
    """Throws a switch; returns what puts it back."""
    setattr(thing, switch, True)

    def back() -> None:
        setattr(thing, switch, False)

    return back


def _all(*undos: Undo) -> Undo:
    def end() -> None:
        for undo in undos:
            undo()

    return end


# ----------------------------------------------------------------------------------------------------------- the units
def _unit_trip(case: _Case) -> tuple[str, Undo]:
    unit = case.plant.units[case.position()]
    name = case.text("alarm", "leaving_temperature_high").upper()
    if name not in Alarm.__members__:
        raise PlantFaultWrong(f"alarm: {name.lower()!r} is none of {', '.join(Alarm.__members__).lower()}")
    unit.trip(case.plant.instant_s, Alarm[name])
    return unit.name, _all(unit.reset_trip, case.impair(unit.name))


def _units_lost(case: _Case) -> tuple[str, Undo]:
    undos: list[Undo] = []
    for unit in case.plant.units:
        unit.trip(case.plant.instant_s, Alarm.SOURCE_FLOW)
        undos += [unit.reset_trip, case.impair(unit.name)]
    return "all units", _all(*undos)


def _unit_local(case: _Case) -> tuple[str, Undo]:
    plant, position = case.plant, case.position()
    hand = case.args.get("hand")
    if hand is not None and not isinstance(hand, bool):
        raise PlantFaultWrong(f"hand: {hand!r} is neither true nor false")
    local, name = plant.local[position], plant.units[position].name
    local.select_local(plant.instant_s, hand=hand)

    def back() -> None:
        local.select_remote(plant.instant_s)

    return name, _all(back, case.impair(name))


def _unit_ignores_stop(case: _Case) -> tuple[str, Undo]:
    unit = case.plant.units[case.position()]
    return unit.name, _turned_on(unit, "ignores_stop")


def _unit_refuses_command(case: _Case) -> tuple[str, Undo]:
    name = case.plant.units[case.position()].name
    listed = case.args.get("commands", list(UNIT_COMMANDS))
    if not isinstance(listed, list) or not set(listed) <= set(UNIT_COMMANDS):
        raise PlantFaultWrong(f"commands: {listed!r} are not of {', '.join(UNIT_COMMANDS)}")
    commands = case.plant.commands
    target = commands.refused if case.one_of("how", ("exception", "ignored")) == "exception" else commands.ignored
    points = {(name, str(command)) for command in listed}
    target |= points
    return name, _all(partial(target.difference_update, points), case.impair(name))


def _unit_replaces_command(case: _Case) -> tuple[str, Undo]:
    name = case.plant.units[case.position()].name
    point = (name, case.one_of("command", UNIT_COMMANDS[2:]))
    replaced = case.plant.commands.replaced
    replaced[point] = case.number("value")

    def end() -> None:
        replaced.pop(point, None)

    return name, _all(end, case.impair(name))


# ------------------------------------------------------------------------------------------------ pumps, valves, water
def _pump_of(case: _Case) -> tuple[int, str, Pump]:
    """Number of the unit, name of the pump, and the pump."""
    plant = case.plant
    sides = {"source": plant.source_pumps, "user": plant.user_pumps}
    if "pump" in case.args:
        _, side, number = (*case.text("pump").split("_"), "", "")[:3]
        if side not in sides or number not in ("1", "2", "3", "4"):
            raise PlantFaultWrong(f"pump: there is no {case.text('pump')!r}")
        position = int(number) - 1
    else:
        side, position = case.one_of("side", ("source", "user")), case.position()
    return position, f"p_{side}_{position + 1}", sides[side][position]


def _flow_lost(case: _Case) -> tuple[str, Undo]:
    position, name, pump = _pump_of(case)
    unit = case.plant.units[position]
    return name, _all(_turned_on(pump, "blocked"), unit.reset_trip, case.impair(unit.name))


def _pump_fails(case: _Case) -> tuple[str, Undo]:
    position, name, pump = _pump_of(case)
    unit = case.plant.units[position]
    switch = "dead" if case.one_of("how", ("no_feedback", "no_contact")) == "no_feedback" else "feedback_lost"
    return name, _all(_turned_on(pump, switch), unit.reset_trip, case.impair(unit.name))


def _valve_stuck(case: _Case) -> tuple[str, Undo]:
    name = case.one_of("valve", ("valve_discharge", "valve_charge"))
    valve = case.plant.valve_discharge if name == "valve_discharge" else case.plant.valve_charge
    ratio = case.number("at_ratio", valve.position_ratio)
    if not 0.0 <= ratio <= 1.0:
        raise PlantFaultWrong(f"at_ratio: {ratio} is not between 0 and 1")
    valve.jammed_ratio = ratio
    return name, _all(partial(setattr, valve, "jammed_ratio", None), case.impair(TANK))


def _tank_inversion(case: _Case) -> tuple[str, Undo]:
    case.plant.tank.layers_degc.reverse()
    return TANK, _nothing


def _power_cut(case: _Case) -> tuple[str, Undo]:
    plant = case.plant
    instant_s = plant.instant_s
    pumps, valves = (*plant.source_pumps, *plant.user_pumps), (plant.valve_charge, plant.valve_discharge)
    for unit, local in zip(plant.units, plant.local, strict=True):
        unit.lose_power(instant_s)
        local.powered = False
    for pump in pumps:
        pump.dead = True
    for valve in valves:
        valve.powered = False
    plant.building.circulating = False

    def back() -> None:
        for unit, local in zip(plant.units, plant.local, strict=True):
            unit.powered = local.powered = True
            if local.selected_s is None:
                local.touch(plant.instant_s)  # the panel boots, and its watchdog begins anew
        for pump in pumps:
            pump.dead = pump.commanded = False
        for valve in valves:
            valve.powered = True
            valve.commanded_ratio = 0.0  # the outputs of the station come back at rest
        plant.building.circulating = True

    return "plant", _all(back, case.impair(TANK, *(unit.name for unit in plant.units)))


def _demand_step(case: _Case) -> tuple[str, Undo]:
    building, extra_kw = case.plant.building, case.number("kw")
    building.extra_kw += extra_kw

    def end() -> None:
        building.extra_kw -= extra_kw

    return "building", end


# --------------------------------------------------------------------------------------------------------- the sensors
def _sensor_frozen(case: _Case) -> tuple[str, Undo]:
    point = case.point()
    case.plant.sensors.freeze(point, by=case.number("by", 0.0))
    return ".".join(point), partial(case.plant.sensors.mend, point)


def _sensor_drift(case: _Case) -> tuple[str, Undo]:
    plant, point = case.plant, case.point()
    plant.sensors.drift(point, case.number("per_hour"), now_s=lambda: plant.instant_s)
    return ".".join(point), partial(plant.sensors.mend, point)


def _sensor_swapped(case: _Case) -> tuple[str, Undo]:
    one, other = case.point(), case.point("with_")
    case.plant.sensors.swap(one, other)
    return f"{'.'.join(one)} / {'.'.join(other)}", partial(case.plant.sensors.mend, one, other)


def _nothing() -> None:
    """What has happened, has happened."""


KINDS: Final[Mapping[str, Callable[[_Case], tuple[str, Undo]]]] = MappingProxyType(
    {
        "unit_trip": _unit_trip,
        "units_lost": _units_lost,
        "unit_local": _unit_local,
        "unit_ignores_stop": _unit_ignores_stop,
        "unit_refuses_command": _unit_refuses_command,
        "unit_replaces_command": _unit_replaces_command,
        "flow_lost": _flow_lost,
        "pump_fails": _pump_fails,
        "valve_stuck": _valve_stuck,
        "sensor_frozen": _sensor_frozen,
        "sensor_drift": _sensor_drift,
        "sensor_swapped": _sensor_swapped,
        "tank_inversion": _tank_inversion,
        "power_cut": _power_cut,
        "demand_step": _demand_step,
    }
)
"""Kind of fault -> how it begins; it returns whom it hit and how it is mended."""
