"""The serial line: after a late answer, noise, a wrong unit or silence: an error or the right value, no other."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drivers.bus.base import Span
from drivers.bus.exchange import Exchange
from drivers.bus.modbus_rtu import ModbusRtuBus, check_sum
from drivers.bus.serial_line import parse_framing
from drivers.errors import DeviceRefused, DriverError, LineDown, NoAnswer, ProfileFault, ProtocolFault
from edge_agent.clock import elapsed_s

TIMEOUT_S = 0.15
LATEST_S = 0.6
ONE = Span(3, 0, 1)

Slaves = Callable[[Callable[[int, bytes], list[tuple[float, bytes]]]], Any]


def sealed(*body: int) -> bytes:
    return bytes(body) + check_sum(bytes(body))


def answer(request: bytes, *registers: int) -> bytes:
    data = b"".join(register.to_bytes(2, "big") for register in registers)
    return sealed(request[0], request[1], len(data), *data)


@asynccontextmanager
async def bus_on(path: str, **other: Any) -> AsyncIterator[ModbusRtuBus]:  # noqa: ANN401 - arguments of the bus
    options = {"baud": 115200, "framing": "8N1", "timeout_s": TIMEOUT_S, "latest_answer_s": LATEST_S} | other
    bus = ModbusRtuBus("line", port=path, elapsed_s=elapsed_s, **options)
    await bus.open()
    try:
        # The worker opens the port in its own time.
        while bus.line._port is None and bus.line._down_since_s is None:  # noqa: ASYNC110 - state of a thread
            await asyncio.sleep(0)
        yield bus
    finally:
        await bus.close()


async def test_reads_registers_and_refusals(slaves: Slaves) -> None:
    def script(number: int, request: bytes) -> list[tuple[float, bytes]]:
        return [(0, answer(request, 7, 8, 9) if number == 0 else sealed(1, 0x83, 2))]

    async with bus_on(slaves(script).path) as bus:
        assert await bus.read(Span(3, 100, 3), unit=1) == (7, 8, 9)
        with pytest.raises(DeviceRefused):
            await bus.read(Span(3, 100, 3), unit=1)
        assert bus.line.counts.requests == 2


async def test_a_late_answer_never_becomes_the_next_value(slaves: Slaves) -> None:
    """Reference: with pymodbus as shipped about 10 of 60 such reads are wrong without any error."""

    def script(number: int, request: bytes) -> list[tuple[float, bytes]]:
        address = int.from_bytes(request[2:4], "big")
        return [(0.25 if number % 3 == 0 else 0, answer(request, address))]

    async with bus_on(slaves(script).path) as bus:
        outcomes: list[int | None] = []
        for address in range(9):
            try:
                outcomes += await bus.read(Span(3, address, 1), unit=1)
            except NoAnswer:
                outcomes.append(None)
        assert outcomes == [None, *range(1, 9)], "the first late answer taught the time-out"
        assert bus.line.counts.late == 1, "the line went on as soon as the late answer was there"
        assert bus.pace(1).timeout_s > 0.25


async def test_a_cancelled_caller_leaves_nothing_behind(slaves: Slaves) -> None:
    def script(number: int, request: bytes) -> list[tuple[float, bytes]]:
        return [(0.05 if number == 0 else 0, answer(request, 111 if number == 0 else 222))]

    slave = slaves(script)
    async with bus_on(slave.path) as bus:
        async with asyncio.TaskGroup() as group:
            first = group.create_task(bus.read(ONE, unit=1))
            assert await asyncio.to_thread(slave.asked.wait, 5)
            first.cancel()
        assert first.cancelled()
        assert await bus.read(ONE, unit=1) == (222,)
        assert bus.line.counts.requests == 2


async def test_after_silence_the_line_rests_until_no_answer_can_come(slaves: Slaves) -> None:
    slave = slaves(lambda number, request: [] if number == 0 else [(0, answer(request, 5))])
    async with bus_on(slave.path) as bus:
        with pytest.raises(NoAnswer):
            await bus.read(ONE, unit=1)
        assert elapsed_s() - slave.requests[0][0] < LATEST_S, "the caller hears of it before the rest is over"
        assert await bus.read(ONE, unit=2) == (5,)
        assert slave.requests[1][0] - slave.requests[0][0] >= LATEST_S


@pytest.mark.parametrize(("baud", "gap_s", "pause_s"), [(9600, 0.00364, 0.025), (115200, 0.00175, 0.003)])
async def test_the_gap_before_a_request_is_kept(slaves: Slaves, baud: int, gap_s: float, pause_s: float) -> None:
    # The slave answers later than the wire needs, so that the answer is read the moment it is sent.
    slave = slaves(lambda number, request: [(pause_s, answer(request, number))])
    async with bus_on(slave.path, baud=baud) as bus:
        for number in range(12):
            assert await bus.read(ONE, unit=1) == (number,)
    gaps_s = [slave.requests[number + 1][0] - slave.sent_at_s[number] for number in range(11)]
    assert min(gaps_s) >= gap_s


async def test_a_codec_that_breaks_costs_one_request(slaves: Slaves, caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        request = sealed(1, 3, 0, 0, 0, 1)
        answer_length = 7
        partner: Hashable = 1
        head = refusal = b""
        silence_s = 0.0
        repeatable = True
        mirrored = False

        def variants(self) -> list[Exchange[int]]:
            return []

        def look(self, received: bytes) -> int | None:
            raise ValueError(received)

    slave = slaves(lambda number, request: [(0, answer(request, number))])
    async with bus_on(slave.path) as bus:
        with pytest.raises(ProtocolFault, match="internal"):
            await bus.line.transact(Broken())
        assert await bus.read(ONE, unit=1) == (1,)
    assert "transaction failed" in caplog.text


@pytest.mark.parametrize(
    "noise",
    [
        b"\x00",
        b"\xff\xff\xff",
        b"\x01\x03",
        sealed(1, 3, 4, 0, 1, 0, 2),
        sealed(9, 3, 2, 0, 66),
        sealed(1, 3, 2, 0, 66)[:-1],
    ],
)
async def test_noise_before_the_answer_is_skipped(slaves: Slaves, noise: bytes) -> None:
    slave = slaves(lambda number, request: [(0, noise), (0.002, answer(request, 70 + number))])
    async with bus_on(slave.path) as bus:
        assert await bus.read(ONE, unit=1) == (70,)
        assert await bus.read(ONE, unit=1) == (71,)


@pytest.mark.parametrize(
    "wrong",
    [
        sealed(2, 3, 2, 0, 66),
        sealed(1, 4, 2, 0, 66),
        sealed(1, 3, 4, 0, 66, 0, 66),
        b"\x55" * 20,
        sealed(1, 3, 2, 0, 66)[:-2],
    ],
)
async def test_a_wrong_answer_is_a_fault_and_the_next_read_is_right(slaves: Slaves, wrong: bytes) -> None:
    slave = slaves(lambda number, request: [(0, wrong if number == 0 else answer(request, 5))])
    async with bus_on(slave.path, latest_answer_s=0.2) as bus:
        with pytest.raises(ProtocolFault):
            await bus.read(ONE, unit=1)
        assert await bus.read(ONE, unit=1) == (5,)
        assert bus.line.counts.damaged == 1


async def test_bytes_that_nobody_asked_for_are_thrown_away(slaves: Slaves) -> None:
    slave = slaves(lambda number, request: [(0, answer(request, number))])
    async with bus_on(slave.path) as bus:
        assert await bus.read(ONE, unit=1) == (0,)
        os.write(slave.master, sealed(1, 3, 2, 0, 99))
        assert await bus.read(ONE, unit=1) == (1,)
        assert bus.line.counts.stray_bytes == 7


async def test_writes_are_checked_by_their_echo_and_go_first(slaves: Slaves) -> None:
    def script(number: int, request: bytes) -> list[tuple[float, bytes]]:
        if request[1] in (6, 16):
            return [(0, sealed(*request[:6]) if request[3] != 9 else sealed(*request[:5], request[5] ^ 1))]
        return [(0.02, answer(request, number))]

    slave = slaves(script)
    async with bus_on(slave.path, latest_answer_s=0.2) as bus:
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(bus.read(ONE, unit=1))
            assert await asyncio.to_thread(slave.asked.wait, 5)
            group.create_task(bus.write(4, [50], unit=1, function=6))
        assert [request[1] for _, request in slave.requests] == [3, 6, 3, 3]
        await bus.write(4, [50, 51], unit=1, function=16)
        with pytest.raises(ProtocolFault):
            await bus.write(9, [50], unit=1, function=6)


async def test_a_port_that_is_not_there_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="drivers")
    async with bus_on("/dev/does-not-exist") as bus:
        for _ in range(3):
            with pytest.raises(LineDown):
                await bus.read(ONE, unit=1)
    assert [record.getMessage().split(" bus=")[0] for record in caplog.records] == ["serial line is down"]
    with pytest.raises(LineDown):
        await bus.read(ONE, unit=1)


async def test_a_port_that_comes_back_is_opened_again(
    slaves: Slaves, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.WARNING, logger="drivers")
    link = tmp_path / "port"
    first = slaves(lambda _number, request: [(0, answer(request, 1))])
    link.symlink_to(first.path)
    async with bus_on(str(link)) as bus:
        assert await bus.read(ONE, unit=1) == (1,)
        first.stopping.set()
        link.unlink()
        os.close(first.master)
        first.master = -1
        with pytest.raises(LineDown):
            await bus.read(ONE, unit=1)
        second = slaves(lambda _number, request: [(0, answer(request, 2))])
        link.symlink_to(second.path)
        while True:
            try:
                assert await bus.read(ONE, unit=1) == (2,)
            except LineDown:
                await asyncio.sleep(0.01)
            else:
                break
        assert bus.line.counts.reopened == 1
    words = [record.getMessage().split(" bus=")[0] for record in caplog.records]
    assert words == ["serial line is down", "serial line is back"]


async def test_closing_fails_those_who_wait(slaves: Slaves) -> None:
    slave = slaves(lambda _number, _request: [])
    async with bus_on(slave.path, latest_answer_s=5.0) as bus:
        async with asyncio.TaskGroup() as group:
            waiting = [group.create_task(_outcome(bus)) for _ in range(3)]
            assert await asyncio.to_thread(slave.asked.wait, 5)
            begin_s = elapsed_s()
            await bus.close()
        assert elapsed_s() - begin_s < 1.0, "closing does not wait for the rest of the line"
        assert [task.result() for task in waiting] == [NoAnswer, LineDown, LineDown]


async def _outcome(bus: ModbusRtuBus) -> type[Exception] | None:
    try:
        await bus.read(ONE, unit=1)
    except DriverError as error:
        return type(error)
    return None


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(babble=st.lists(st.binary(min_size=1, max_size=30), max_size=3))
def test_any_bytes_of_a_slave_give_an_error_or_the_value(slaves: Slaves, babble: list[bytes]) -> None:
    async def scenario() -> None:
        sent = b"".join(babble)
        slave = slaves(
            lambda number, request: [(0, data) for data in babble] if number == 0 else [(0, answer(request, 5))]
        )
        async with bus_on(slave.path, timeout_s=0.01, latest_answer_s=0.02) as bus:
            try:
                (value,) = await bus.read(ONE, unit=1)
            except DriverError:
                pass
            else:
                assert sealed(1, 3, 2, *value.to_bytes(2, "big")) in sent
            assert await bus.read(ONE, unit=1) == (5,)

    asyncio.run(scenario())


@pytest.mark.parametrize(("framing", "bits"), [("8N1", 10), ("8E1", 11), ("8N2", 11), ("7O1", 10)])
def test_framings(framing: str, bits: int) -> None:
    assert ModbusRtuBus("x", port="x", baud=9600, framing=framing, elapsed_s=elapsed_s).line.bits_per_character == bits


@pytest.mark.parametrize("framing", ["", "9N1", "8X1", "8N3", "8N", "N81"])
def test_a_wrong_framing_is_a_fault_of_the_configuration(framing: str) -> None:
    with pytest.raises(ProfileFault, match="framing"):
        parse_framing(framing)
