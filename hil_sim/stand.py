"""A stand for single meters: some simulated devices on a serial line or a TCP port, for whoever wants to read them.

What an engineer takes along to a site that has no meters yet: scan, probe and any other master find devices that
answer as the real ones. Not here: plants, agents, faults, scores (hil_sim.site, hil_sim.bench).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from hil_sim.devices.catalogue import MODELS, asked_of_the_plant
from hil_sim.devices.registers import COIL, DISCRETE, HOLDING, INPUT, Flag, Layout, Number
from hil_sim.devices.server import DeviceServer
from hil_sim.devices.tcp import TcpServer, serve_tcp
from hil_sim.line import SerialLine
from hil_sim.plant.bench import MeterBench
from hil_sim.wire_log import WireLog

UNITS: Final = range(1, 248)
TURNAROUND_S: Final = 0.020
MBPOLL_TABLE: Final[Mapping[int, str]] = {COIL: "0", DISCRETE: "1", INPUT: "3", HOLDING: "4"}


class StandFault(Exception):
    """The stand cannot be set up; the message says why."""


@dataclass(frozen=True, slots=True)
class Place:
    """A device on the stand.

    Attributes:
        model: a name of the catalogue.
        unit: its unit number.
    """

    model: str
    unit: int


def places(wishes: Sequence[str], *, first_unit: int) -> tuple[Place, ...]:
    """What `MODEL` and `MODEL:UNIT` on a command line ask for; devices without a number get the next free one.

    Raises:
        StandFault: no such model, no such number, or one number twice.
    """
    chosen: list[Place] = []
    taken = {int(unit) for _, _, unit in (wish.partition(":") for wish in wishes) if unit.isdecimal()}
    for wish in wishes:
        model, colon, number = wish.partition(":")
        if model not in MODELS:
            raise StandFault(f"没有型号 / no model {model!r}; 有 / there are: {', '.join(sorted(MODELS))}")
        if colon:
            unit = int(number) if number.isdecimal() else 0
        else:
            unit = next((unit for unit in range(first_unit, UNITS.stop) if unit not in taken), 0)
            taken.add(unit)
        if unit not in UNITS:
            raise StandFault(f"{wish!r}: 从站地址 / unit number {UNITS.start}..{UNITS.stop - 1}")
        if any(unit == place.unit for place in chosen):
            raise StandFault(f"{wish!r}: 从站地址重复 / unit {unit} is there twice")
        chosen.append(Place(model, unit))
    return tuple(chosen)


class Stand:
    """Devices on one wire, with readings that move and fit together.

    Attributes:
        devices: the register servers in the order asked for.
        line: the serial line, if there is one.
        tcp: the TCP port, if there is one.
    """

    def __init__(
        self, chosen: Sequence[Place], *, seed: int, now_s: Callable[[], float], wall_s: Callable[[], float]
    ) -> None:
        """Sets the devices up; `open_line` and `open_port` connect them.

        Args:
            chosen: which devices.
            seed: of the loads and of the instruments' errors.
            now_s: time of the readings [s since 1970].
            wall_s: monotonic wall time [s].
        """
        self._now_s = now_s
        self._wall_s = wall_s
        self._log = WireLog(keeps_values=False)
        names = {place: f"{place.model}:{place.unit}" for place in chosen}
        self._meters = MeterBench(
            seed=seed,
            start_s=now_s(),
            devices={name: asked_of_the_plant(place.model) for place, name in names.items()},
        )
        self.devices = tuple(
            DeviceServer(
                name,
                place.unit,
                place.model,
                truth=partial(self._truth, name),
                command=partial(self._meters.command, name),
                seed=seed,
                now_s=now_s,
                log=self._log,
            )
            for place, name in names.items()
        )
        self.line: SerialLine | None = None
        self.tcp: TcpServer | None = None

    def _truth(self, device: str, name: str) -> float:
        return self._meters.quantity(device, name, instant_s=self._now_s())

    def open_line(self, *, baud: int, link: Path | None) -> None:
        """Puts the devices on a paced serial line behind a pseudo terminal.

        Raises:
            OSError: no terminal or no such folder for the link.
        """
        self.line = SerialLine(
            "stand",
            self.devices,
            baud=baud,
            turnaround_s=TURNAROUND_S,
            now_s=self._now_s,
            wall_s=self._wall_s,
            log=self._log,
            link=link,
        )
        self.line.start()

    def open_port(self, host: str, port: int) -> None:
        """Puts the devices behind a TCP port (0: any free one).

        Raises:
            OSError: the port cannot be had.
        """
        self.tcp = serve_tcp(self.devices, host, port)

    def close(self) -> None:
        """Takes the wire away."""
        if self.line is not None:
            self.line.stop()
        if self.tcp is not None:
            self.tcp.stop()

    def facts(self, host: str) -> dict[str, object]:
        """Where the devices are, what lies in their registers, and what it shows now."""
        return {
            "serial": self.line.path if self.line is not None else None,
            "baud": self.line.baud if self.line is not None else None,
            "tcp": f"{host}:{self.tcp.port}" if self.tcp is not None else None,
            "devices": [
                {"model": device.map.model, "unit": device.unit, "points": [*self._points(device, host)]}
                for device in self.devices
            ],
        }

    def _points(self, device: DeviceServer, host: str) -> list[dict[str, object]]:
        layouts = [(q.name, q.unit, q.function, q.layout) for q in device.map.quantities]
        layouts += [(c.name, c.unit, c.function, c.number) for c in device.map.commands]
        shown = device.shown()
        return [
            {
                "point": name,
                "unit": unit,
                "function": function,
                "address": layout.address,
                "registers": layout.count,
                "type": _type(layout),
                "order": device.map.order,
                "scale": layout.scale,
                "value": shown[name],
                "mbpoll": self._mbpoll(device, function, layout.address, kind=_type(layout), host=host),
            }
            for name, unit, function, layout in layouts
        ]

    def _mbpoll(self, device: DeviceServer, function: int, address: int, *, kind: str, host: str) -> str:
        """The command that reads the same registers with a foreign program."""
        table = MBPOLL_TABLE[function]
        if kind == "f32":
            table += ":float"
        elif kind in ("u32", "i32", "u64", "i32+f32"):
            table += ":int"
        big = " -B" if ":" in table and device.map.order == "high_first" else ""
        what = f"-a {device.unit} -t {table}{big} -0 -r {address} -c {2 if kind == 'u64' else 1} -1"
        if self.tcp is not None:
            return f"mbpoll -m tcp -p {self.tcp.port} {what} {host}"
        assert self.line is not None, "open a wire first"
        return f"mbpoll -m rtu -b {self.line.baud} -P none {what} {self.line.path}"


def _type(layout: Layout) -> str:
    if isinstance(layout, Number):
        return layout.kind
    return "flag" if isinstance(layout, Flag) else "i32+f32"
