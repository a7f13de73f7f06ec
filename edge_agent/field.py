"""Wires for commissioning: one at a time, opened for a verb and closed behind it, or lent by the running service.

Stands beside `edge_agent.app`: these verbs run before there is a configuration, and must not start a service.
"""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from typing_extensions import override

from drivers.bus.base import Bus, BusCounts, Span, UnitTiming, refusal
from drivers.bus.modbus_rtu import ModbusRtuBus
from drivers.bus.modbus_tcp import ModbusTcpBus
from drivers.commissioning.mbpoll import Line, read_question
from drivers.commissioning.scan import OpenWire, Setting
from drivers.errors import DriverError, LineDown, NoAnswer, ProtocolFault
from drivers.read_plan import LineCost
from edge_agent import local_api
from edge_agent.clock import elapsed_s
from edge_agent.errors import EdgeAgentError, ServiceUnreachable
from edge_agent.settings.load import Configuration
from edge_agent.settings.model import BusEntry, DevicesFile

TCP_PORT = 502
ASKED_LATEST_ANSWER_S = 1.5
"""After silence a wire rests so long before the next question: no late answer is taken for another one's."""

LENT_S_MAX = 60.0
"""A lent read waits for its turn on a busy line so long [s]."""


@dataclass(frozen=True, slots=True)
class Target:
    """A wire as a person names it: a serial port with its setting, or a TCP host."""

    port: str = ""
    setting: Setting | None = None
    host: str = ""
    tcp_port: int = TCP_PORT

    @property
    def line(self) -> Line:
        """For mbpoll."""
        if self.setting is None:
            return Line(self.host, port=self.tcp_port)
        return Line(self.port, baud=self.setting.baud, framing=self.setting.framing)

    @override
    def __str__(self) -> str:
        if self.setting is None:
            return f"{self.host}:{self.tcp_port}"
        return f"{self.port} {self.setting.baud} {self.setting.framing}"


def target_of(entry: BusEntry) -> Target | None:
    """The wire of an entry of devices.yaml; None for a serial server, which mbpoll does not know."""
    if entry.serial is not None:
        return Target(port=entry.serial, setting=Setting(entry.baud, entry.framing))
    if entry.tcp is not None:
        host, _, port = entry.tcp.rpartition(":")
        return Target(host=host, tcp_port=int(port))
    return None


def question_of(configuration: Configuration, point: str) -> str | None:
    """The same question for mbpoll as a point's own registers are; None for a serial server, or an unknown point."""
    device, _, name = point.partition(".")
    entry = configuration.devices.devices.get(device)
    if entry is None or (spec := configuration.profiles[device].points.get(name)) is None:
        return None
    target = target_of(configuration.devices.buses[entry.bus])
    if target is None:
        return None
    return read_question(target.line, unit=entry.unit, function=spec.function, address=spec.first, count=spec.count)


def bus_named(target: Target, devices: DevicesFile) -> str | None:
    """Name of the configured bus that is this wire, whatever name its port was given by; None: there is none."""
    for name, entry in devices.buses.items():
        if target.port and entry.serial is not None:
            if os.path.realpath(target.port) == os.path.realpath(entry.serial):
                return name
        elif target.host and (entry.tcp or entry.rtu_over_tcp) == f"{target.host}:{target.tcp_port}":
            return name
    return None


def scan_wire(target: Target) -> OpenWire:
    """Makes wires for a scan: short time-outs and no rest behind them, because a scan listens for late answers."""

    def make(setting: Setting | None, timeout_s: float) -> Bus:
        if setting is None:
            return ModbusTcpBus("tcp", host=target.host, port=target.tcp_port, elapsed_s=elapsed_s, timeout_s=timeout_s)
        return ModbusRtuBus(
            "serial",
            port=target.port,
            baud=setting.baud,
            framing=setting.framing,
            elapsed_s=elapsed_s,
            timeout_s=timeout_s,
            latest_answer_s=timeout_s,
        )

    return make


def ask_wire(target: Target, *, timeout_s: float) -> Bus:
    """One wire to ask known units on: patient, with the rest after silence that keeps late answers out."""
    if target.setting is None:
        return ModbusTcpBus("tcp", host=target.host, port=target.tcp_port, elapsed_s=elapsed_s, timeout_s=timeout_s)
    return ModbusRtuBus(
        "serial",
        port=target.port,
        baud=target.setting.baud,
        framing=target.setting.framing,
        elapsed_s=elapsed_s,
        timeout_s=timeout_s,
        latest_answer_s=max(timeout_s, ASKED_LATEST_ANSWER_S),
    )


class ServiceBus:
    """A wire of the running service, lent for single reads: they wait in its queue like its own. It never writes.

    Args:
        name: of the bus in devices.yaml.
        state_dir: where the service's socket is found.
    """

    def __init__(self, name: str, *, state_dir: Path) -> None:
        self.name = name
        self.cost = LineCost.tcp(turnaround_s=0.05)
        self.counts = BusCounts()
        self._state_dir = state_dir

    def expect(self, unit: int, timing: UnitTiming) -> None:
        """The service knows its units."""

    def miss_s(self, unit: int) -> float:  # noqa: ARG002 - the same for all
        """What an unanswered request costs [s]."""
        return ASKED_LATEST_ANSWER_S

    async def open(self) -> None:
        """It is open."""

    async def close(self) -> None:
        """It stays open."""

    async def read(self, span: Span, *, unit: int) -> tuple[int, ...]:
        """Asks the service to read.

        Raises:
            DriverError: what the wire said; `LineDown` also when the service does not answer.
        """
        self.counts.requests += 1
        arguments = {
            "bus": self.name,
            "unit": unit,
            "function": span.function,
            "address": span.address,
            "count": span.count,
        }
        while True:
            try:
                answer = await asyncio.to_thread(
                    local_api.ask_patiently,
                    self._state_dir,
                    "bus_read",
                    arguments,
                    patience_s=LENT_S_MAX,
                )
            except ServiceUnreachable as error:
                raise LineDown(str(error)) from error
            wait_s = answer.get("wait_s")
            if not isinstance(wait_s, float | int):
                break
            await asyncio.sleep(wait_s)  # the line's time for silent units is spent
        registers = answer.get("registers")
        if isinstance(registers, list):
            self.counts.answers += 1
            return tuple(int(register) for register in registers)
        raise self._fault(answer)

    def _fault(self, answer: dict[str, object]) -> DriverError:
        fault, message = str(answer.get("fault")), str(answer.get("message"))
        if fault == "refused":
            self.counts.answers += 1
            return refusal(int(str(answer.get("code"))), message)
        if fault == "no_answer":
            self.counts.silent += 1
            return NoAnswer(message)
        if fault == "line_down":
            return LineDown(message)
        self.counts.damaged += 1
        return ProtocolFault(message)

    async def write(self, address: int, values: Sequence[int], *, unit: int, function: int, **_: object) -> None:
        """Nothing is written on a lent wire."""
        raise EdgeAgentError(
            f"{self.name}: 借用的总线只读 / a lent bus is only read ({unit}, {function}, {address}, {values})"
        )


def service_wire(name: str, *, state_dir: Path) -> OpenWire:
    """Makes wires for a scan out of one of the service's."""
    return lambda _setting, _timeout_s: ServiceBus(name, state_dir=state_dir)


def service_runs(state_dir: Path) -> bool:
    """Whether a service answers here.

    Raises:
        EdgeAgentError: one is there and cannot be asked.
    """
    try:
        local_api.ask(state_dir, "ping")
    except ServiceUnreachable:
        return False
    return True
