"""What goes wrong on the simulated wires: each kind of fault begins, lasts, and ends without leaving a trace.

The switches belong to the devices, the lines and the servers; here each kind of a scenario file is turned into their
use, by the seed. Not here: when something happens (hil_sim.scenario) and what may come of it (hil_sim.bus_score).

Every kind takes whom it hits: `device`, `devices` or `bus` (all that hang on it).
"""

import math
import random
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from types import MappingProxyType
from typing import Any, Final, Protocol

from hil_sim.devices.server import DeviceServer
from hil_sim.devices.tcp import TcpFaults, TcpServer, id_off_by_one, id_zero
from hil_sim.line import SerialLine, with_crc
from hil_sim.scenario import Event
from hil_sim.wire_faults import WireFaults

Undo = Callable[[], None]
Filter = Callable[[str, bytes], bytes]
GARBAGE_BYTES_MAX: Final = 24
WHOM: Final = frozenset({"device", "devices", "bus"})
HOST: Final = "127.0.0.1"
STRANGER_TRIES_MAX: Final = 50
STRANGER_WAIT_S: Final = 0.1
"""A server that has no room closes at once [wall s]."""
ID_CHANGES: Final[Mapping[str, Callable[[int], int]]] = {"zero": id_zero, "off_by_one": id_off_by_one}
RTU_HEAD: Final = 3
"""Unit, function, number of bytes."""


class FaultArgumentsWrong(Exception):
    """A scenario asks for something that the wires do not have; the message says what."""


class Wires(Protocol):
    """What a fault can get hold of."""

    @property
    def devices(self) -> Mapping[str, DeviceServer]:
        """Register servers by name."""
        ...

    @property
    def lines(self) -> Mapping[str, SerialLine]:
        """Serial lines by name."""
        ...

    @property
    def nets(self) -> Mapping[str, TcpServer]:
        """TCP ports by name."""
        ...

    def members(self, bus: str) -> Sequence[str]:
        """Names of the devices on a bus."""
        ...

    def bus_of(self, device: str) -> str:
        """Name of the bus that a device hangs on."""
        ...


@dataclass(frozen=True, slots=True)
class Running:
    """A fault that has begun.

    Attributes:
        touched: devices whose readings may suffer.
        end: puts everything back.
    """

    touched: frozenset[str]
    end: Undo


@dataclass(frozen=True, slots=True)
class _Context:
    wires: Wires
    args: Mapping[str, object]
    names: tuple[str, ...]
    dice: random.Random

    @property
    def devices(self) -> list[DeviceServer]:
        return [self.wires.devices[name] for name in self.names]

    @property
    def buses(self) -> list[str]:
        return sorted({self.wires.bus_of(name) for name in self.names})

    @property
    def lines(self) -> list[SerialLine]:
        found = [self.wires.lines[bus] for bus in self.buses if bus in self.wires.lines]
        if not found:
            raise FaultArgumentsWrong(f"{self.args}: needs a device on a serial line")
        return found

    @property
    def nets(self) -> list[TcpServer]:
        found = [self.wires.nets[bus] for bus in self.buses if bus in self.wires.nets]
        if not found:
            raise FaultArgumentsWrong(f"{self.args}: needs a device behind a TCP port")
        return found

    def number(self, key: str, default: float) -> float:
        value = self.args.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise FaultArgumentsWrong(f"{key}: {value!r} is not a number")
        return float(value)

    def fields(self, kind: type[Any]) -> dict[str, Any]:
        """The arguments that are fields of a set of switches; others than these and whom they hit are refused."""
        known = {field.name for field in fields(kind)}
        if unknown := sorted(self.args.keys() - known - WHOM):
            raise FaultArgumentsWrong(f"{kind.__name__} has no {', '.join(unknown)}")
        return {key: value for key, value in self.args.items() if key in known}

    def text(self, key: str) -> str:
        value = self.args.get(key)
        if not isinstance(value, str):
            raise FaultArgumentsWrong(f"{key}: {value!r} is not a name")
        return value


def begin(event: Event, wires: Wires, *, seed: int) -> Running:
    """Lets a fault begin.

    Args:
        event: from the scenario.
        wires: the site's.
        seed: the same seed gives the same noise.

    Raises:
        FaultArgumentsWrong: arguments that do not fit the wires.
    """
    names = _names(event.args, wires)
    dice = random.Random(f"{seed}/{event.what}/{','.join(names)}/{event.at_s}")  # noqa: S311 - repeatable, no secret
    end = FAULTS[event.what](_Context(wires, event.args, names, dice))
    return Running(frozenset(names), end)


def _names(args: Mapping[str, object], wires: Wires) -> tuple[str, ...]:
    if "bus" in args:
        return tuple(wires.members(str(args["bus"])))
    listed = args.get("devices", [args.get("device")])
    names = tuple(str(name) for name in listed) if isinstance(listed, list) else ()
    unknown = [name for name in names if name not in wires.devices]
    if unknown or not names:
        raise FaultArgumentsWrong(
            f"{args}: there is no {', '.join(unknown) or 'device named'}; say device, devices or bus"
        )
    return names


def _all(undos: Sequence[Undo]) -> Undo:
    def end() -> None:
        for undo in reversed(undos):
            undo()

    return end


# ------------------------------------------------------------------------------------------------------- the devices
def _mute(context: _Context) -> Undo:
    """Without power: neither answers nor obeys."""
    for device in context.devices:
        device.mute(on=True)
    return _all([partial(device.mute, on=False) for device in context.devices])


def _late(context: _Context) -> Undo:
    """Every answer leaves later."""
    late_s = context.number("late_s", 0.7)
    for device in context.devices:
        device.delay(late_s)
    return _all([partial(device.delay, 0.0) for device in context.devices])


def _corrupt(context: _Context) -> Undo:
    """Wrong values, and the log keeps the true ones: no driver can notice, the judge must."""
    for device in context.devices:
        device.corrupt_value(
            context.text("quantity"), context.number("delta", 1.0), answers=int(context.number("answers", 3))
        )
    return _nothing


def _switched(name: str) -> Callable[[_Context], Undo]:
    """A fault that is one switch of the devices, thrown and put back."""

    def throw(context: _Context) -> Undo:
        switches = [getattr(device, name) for device in context.devices]
        for switch in switches:
            switch(on=True)
        return _all([partial(switch, on=False) for switch in switches])

    return throw


def _refuse(context: _Context) -> Undo:
    """Every request is answered with an exception."""
    for device in context.devices:
        device.refuse(int(context.number("code", 4.0)))
    return _all([partial(device.refuse, 0) for device in context.devices])


def _torn(context: _Context) -> Undo:
    """A number of several registers is caught between two values, in the next answers."""
    quantity = context.text("quantity")
    for device in context.devices:
        device.tear(quantity, answers=int(context.number("answers", 3.0)))
    return _all([partial(device.tear, quantity, answers=0) for device in context.devices])


def _counter_reset(context: _Context) -> Undo:
    """Counters go on from another value; the meter really shows it, so nothing is put back."""
    for device in context.devices:
        device.reset_counters(context.number("start", 0.0))
    return _nothing


def _exchange(context: _Context) -> Undo:
    """Another meter of the same model is put in the place."""
    for device in context.devices:
        device.exchange(start=context.number("start", 0.0))
    return _nothing


def _holes(context: _Context) -> Undo:
    """Registers that a merged read bridges are not there; they never were, so nothing is put back."""
    first, last = int(context.number("first", 0.0)), int(context.number("last", 0.0))
    for device in context.devices:
        device.add_hole(int(context.number("function", 3.0)), first, last, silent=context.args.get("silent") is True)
    return _nothing


def _jitter(context: _Context) -> Undo:
    """A sensor flutters: what hangs on it shall not be written at every flutter."""
    quantity, amplitude = context.text("quantity"), context.number("amplitude", 0.5)
    return _all([device.jitter(quantity, amplitude, dice=context.dice) for device in context.devices])


def _nothing() -> None:
    """What such a fault has done, stays."""


# ---------------------------------------------------------------------------------------------------------- the wire
def _filtered(context: _Context, make: Callable[[str, bytes], bytes]) -> Undo:
    """Puts a filter before the answers of the devices that are hit, on every wire of theirs, behind those there are."""
    undos: list[Undo] = []
    hit = frozenset(context.names)
    for wire in (*_found(context.wires.lines, context), *_found(context.wires.nets, context)):
        before = wire.disturbance

        def disturb(device: str, frame: bytes, *, before: Filter | None = before) -> bytes:
            frame = before(device, frame) if before is not None else frame
            return make(device, frame) if device in hit and frame else frame

        wire.disturbance = disturb
        undos.append(partial(setattr, wire, "disturbance", before))
    return _all(undos)


def _found(
    wires: Mapping[str, SerialLine] | Mapping[str, TcpServer], context: _Context
) -> list[SerialLine | TcpServer]:
    return [wires[bus] for bus in context.buses if bus in wires]


def _share(context: _Context) -> Callable[[], bool]:
    """One answer in `every` is hit, by the dice."""
    every = context.number("every", 3.0)
    return lambda: context.dice.random() < 1.0 / every


def _line_fault(context: _Context) -> Undo:
    """What the wire and the slaves on it can do wrong: the keys of `WireFaults`, for the devices that are hit."""
    undos: list[Undo] = []
    for line in context.lines:
        mine = [device.unit for device in context.devices if context.wires.bus_of(device.name) == line.name]
        before = line.faults
        line.faults = replace(before, units=frozenset(mine), **context.fields(WireFaults))
        undos.append(partial(setattr, line, "faults", before))
    return _all(undos)


def _garbage(context: _Context) -> Undo:
    """Instead of the answer something else: random bytes, flipped bits, or another frame that is whole in itself."""
    hit = _share(context)

    def make(_device: str, frame: bytes) -> bytes:
        if not hit():
            return frame
        kind = context.dice.randrange(4)
        if kind == 0:
            return context.dice.randbytes(context.dice.randint(1, GARBAGE_BYTES_MAX))
        if kind == 1:
            place = context.dice.randrange(len(frame))
            return frame[:place] + bytes((frame[place] ^ 1 << context.dice.randrange(8),)) + frame[place + 1 :]
        if kind == 2:  # noqa: PLR2004 - of four kinds
            return with_crc(bytes(((frame[0] % 246) + 1,)) + frame[1:-2])  # somebody else's answer
        return with_crc(frame[:2] + bytes((frame[2] ^ 2,)) + frame[RTU_HEAD:-2])  # another number of bytes

    return _filtered(context, make)


def _adversary(context: _Context) -> Undo:
    """Answers that are whole and say absurd things: what a careless decoder chokes on."""
    hit = _share(context)
    rtu = any(bus in context.wires.lines for bus in context.buses)

    def make(_device: str, frame: bytes) -> bytes:
        if not hit():
            return frame
        start = 0 if rtu else 6
        head, body = frame[:start], frame[start : len(frame) - (2 if rtu else 0)]
        unit, function = body[:1], body[1]
        said = context.dice.choice(
            (
                unit + bytes((function | 0x80,)),  # an exception without a code
                unit + bytes((function | 0x80, 0xFF)),  # a code that does not exist
                unit + bytes((function | 0x80, 5)),  # accepted, still working
                unit + bytes((function, 0)),  # a read of nothing
                unit + bytes((function, 255)) + b"\xff" * 20,  # more announced than comes
                unit + bytes((function, 1, 0)),  # half a register
                unit + bytes((function ^ 7, 2, 0, 1)),  # another function
                unit + bytes((0,)) + body[2:],
                unit,
            )
        )
        if rtu:
            return with_crc(said)
        return head[:4] + len(said).to_bytes(2, "big") + said

    return _filtered(context, make)


def _unplug(context: _Context) -> Undo:
    """The adapter is pulled out; it comes back under its fixed name as another node."""
    lines = context.lines
    for line in lines:
        line.unplug()
    return _all([line.plug_in for line in lines])


def _restart_server(context: _Context) -> Undo:
    """The device behind the TCP port boots: connections are reset, and nothing listens for a while."""
    for net in context.nets:
        net.go_down()
    return _all([net.come_back for net in context.nets])


def _tcp_fault(context: _Context) -> Undo:
    """What a TCP port can do wrong: the keys of `TcpFaults`; `change_id` by name."""
    changes = context.fields(TcpFaults)
    if "change_id" in changes:
        name = str(changes["change_id"])
        if name not in ID_CHANGES:
            raise FaultArgumentsWrong(f"change_id: {name!r} is none of {', '.join(ID_CHANGES)}")
        changes["change_id"] = ID_CHANGES[name]
    if "silent_units" in changes:
        changes["silent_units"] = frozenset(changes["silent_units"])
    undos: list[Undo] = []
    for net in context.nets:
        before = net.faults
        net.faults = replace(before, **changes)
        undos.append(partial(setattr, net, "faults", before))
    return _all(undos)


def _drop_connections(context: _Context) -> Undo:
    """Every connection is reset; new ones are taken."""
    for net in context.nets:
        net.drop_connections()
    return _nothing


def _occupy(context: _Context) -> Undo:
    """A device that takes one client only, and somebody else is that client."""
    undos: list[Undo] = []
    for net in context.nets:
        before = net.faults
        net.faults = replace(before, clients_max=1)
        undos.append(partial(setattr, net, "faults", before))
        undos.append(_stranger(net).close)
    return _all(undos)


def _stranger(net: TcpServer) -> socket.socket:
    """A foreign connection that the server has taken: tried until it was quicker than the agent."""
    for _ in range(STRANGER_TRIES_MAX):
        net.drop_connections()
        found = socket.create_connection((HOST, net.port))
        found.settimeout(STRANGER_WAIT_S)
        try:
            turned_away = not found.recv(1)
        except TimeoutError:  # nobody closes it and nobody speaks: it is in
            return found
        except ConnectionError:
            turned_away = True
        found.close()
        assert turned_away, "a Modbus server spoke first"
    raise FaultArgumentsWrong(f"port {net.port}: the agent is always quicker")


FAULTS: Final[Mapping[str, Callable[[_Context], Undo]]] = MappingProxyType(
    {
        "mute": _mute,
        "late": _late,
        "corrupt": _corrupt,
        "refuse": _refuse,
        "freeze": _switched("freeze"),
        "zero_counters": _switched("zero_counters"),
        "swap_words": _switched("swap_words"),
        "torn": _torn,
        "counter_reset": _counter_reset,
        "exchange": _exchange,
        "holes": _holes,
        "jitter": _jitter,
        "line_fault": _line_fault,
        "garbage": _garbage,
        "adversary": _adversary,
        "unplug": _unplug,
        "restart_server": _restart_server,
        "tcp_fault": _tcp_fault,
        "drop_connections": _drop_connections,
        "occupy": _occupy,
    }
)
"""Kind of fault -> how it begins; it returns how it ends."""


def ends_at_s(event: Event, *, end_s: float) -> float:
    """When a fault is over [s since 1970]; at the latest with the run."""
    return end_s if math.isinf(event.lasts_s) else min(end_s, event.at_s + event.lasts_s)
