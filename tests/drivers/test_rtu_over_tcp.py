"""A serial line behind a serial server: honest reading, late answers on new connections, loss and idle close."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator

import pytest

from drivers.bus.base import Span
from drivers.bus.modbus_rtu import ModbusRtuBus
from drivers.bus.rtu_over_tcp import rtu_over_tcp
from drivers.errors import LineDown, NoAnswer
from edge_agent.clock import elapsed_s
from hil_sim.devices.serial_server import SerialServer
from hil_sim.line import SerialLine
from hil_sim.wire_log import WireLog

BAUD = 115200
ONE = Span(3, 0, 1)


class Slave:
    """Register n holds `first` + n; counts what it is asked."""

    def __init__(self, unit: int) -> None:
        self.name, self.unit, self.late_s, self.first, self.asked = f"s{unit}", unit, 0.0, 100 * unit, 0
        self.may_answer = threading.Event()
        self.may_answer.set()

    def requested(self, _function: int) -> None:
        self.asked += 1

    def answer(self, request: bytes) -> bytes:
        self.may_answer.wait(10)
        if request[0] == 6:
            return request
        address, count = int.from_bytes(request[1:3], "big"), int.from_bytes(request[3:5], "big")
        values = b"".join((self.first + address + place).to_bytes(2, "big") for place in range(count))
        return bytes((request[0], 2 * count)) + values


@contextlib.asynccontextmanager
async def wired(*slaves: Slave, latest_answer_s: float = 0.4) -> AsyncIterator[tuple[ModbusRtuBus, SerialServer]]:
    line = SerialLine("line", slaves, baud=BAUD, turnaround_s=0.002, now_s=lambda: 0.0, wall_s=elapsed_s, log=WireLog())
    line.start()
    server = SerialServer(line.path)
    bus = rtu_over_tcp(
        "net", host="127.0.0.1", port=server.port, baud=BAUD, framing="8N1", elapsed_s=elapsed_s,
        timeout_s=0.15, latest_answer_s=latest_answer_s,
    )  # fmt: skip
    await bus.open()
    try:
        yield bus, server
    finally:
        await bus.close()
        server.stop()
        line.stop()


async def read_again(bus: ModbusRtuBus, *, within_s: float = 8.0) -> tuple[int, ...]:
    """The next value after a loss."""
    async with asyncio.timeout(within_s):
        while True:
            try:
                return await bus.read(ONE, unit=1)
            except LineDown:
                await asyncio.sleep(0.01)


async def test_units_behind_a_serial_server_are_read_and_written() -> None:
    async with wired(Slave(1), Slave(2)) as (bus, _):
        assert await bus.read(Span(3, 0, 125), unit=1) == tuple(range(100, 225))
        assert await bus.read(Span(4, 7, 2), unit=2) == (207, 208)
        await bus.write(3, [5], unit=1, function=6)
        assert (bus.counts.requests, bus.counts.silent, bus.counts.damaged) == (3, 0, 0)


async def test_answers_in_pieces_are_put_together() -> None:
    async with wired(Slave(1)) as (bus, server):
        server.faults.packing_s = 0.001
        assert await bus.read(Span(3, 0, 125), unit=1) == tuple(range(100, 225))


async def test_a_late_answer_never_becomes_the_next_value() -> None:
    slave = Slave(1)
    async with wired(slave) as (bus, _):
        for truth in (111, 222, 333):
            slave.first, slave.late_s = 66, 0.25
            with contextlib.suppress(NoAnswer):  # until the line has learned to wait longer for it
                assert await bus.read(ONE, unit=1) == (66,)
            slave.first, slave.late_s = truth, 0.0
            assert await bus.read(ONE, unit=1) == (truth,)
        assert bus.counts.silent


async def test_a_late_answer_that_reaches_the_next_connection_is_no_value() -> None:
    slave = Slave(1)
    async with wired(slave, latest_answer_s=5.0) as (bus, server):
        slave.first = 66
        slave.may_answer.clear()
        asked = asyncio.ensure_future(bus.read(ONE, unit=1))  # noqa: TID251 - lost on purpose below
        while not slave.asked:  # noqa: ASYNC110 - counted in the line's thread
            await asyncio.sleep(0)
        server.faults.down = True
        with pytest.raises(LineDown):
            await asked
        server.faults.down = False
        bus.line._port._reopen_after_s = bus.line._port._reopen_at_s = 0.0
        while server.connections < 2:  # noqa: ASYNC110 - counted in the server's thread
            await asyncio.sleep(0)
        answered = asyncio.ensure_future(read_again(bus))  # noqa: TID251 - the line works on it meanwhile
        slave.may_answer.set()
        while bus.counts.late + bus.counts.answers == 0:  # noqa: ASYNC110 - counted in the line's thread
            await asyncio.sleep(0)
        slave.first = 222
        assert await answered == (222,)
        assert bus.counts.late == 1


async def test_an_idle_close_is_not_heard_of(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="drivers")
    async with wired(Slave(1)) as (bus, server):
        assert await bus.read(ONE, unit=1) == (100,)
        server.faults.idle_close_s = 0.0
        while server._clients:  # noqa: ASYNC110 - state of a thread
            await asyncio.sleep(0)
        server.faults.idle_close_s = None
        assert await bus.read(ONE, unit=1) == (100,)
        assert server.connections == 2
    assert not caplog.records


async def test_a_server_without_power_is_said_once_and_found_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="drivers")
    async with wired(Slave(1)) as (bus, server):
        assert await bus.read(ONE, unit=1) == (100,)
        server.faults.down = True
        while server._listener is not None:  # noqa: ASYNC110 - state of a thread
            await asyncio.sleep(0)
        for _ in range(3):
            with pytest.raises(LineDown):
                await bus.read(ONE, unit=1)
        server.faults.down = False
        assert await read_again(bus) == (100,)
        assert bus.counts.reopened == 1
    words = [record.getMessage().split(" bus=")[0] for record in caplog.records]
    assert words == ["serial line is down", "serial line is back"]
