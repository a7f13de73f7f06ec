"""Modbus TCP: an honest server is read and written; whatever a hostile peer sends is an error, never a value."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from drivers.bus.base import Span, UnitTiming
from drivers.bus.modbus_tcp import ModbusTcpBus
from drivers.errors import DeviceRefused, DriverError, NoAnswer, ProtocolFault
from edge_agent.clock import elapsed_s

TIMEOUT_S = 0.5
SHORT_S = 0.1
ONE = Span(3, 0, 1)

Reply = Callable[[int, bytes], list[bytes] | None]
"""Number and bytes of a request -> what is sent; None: the peer closes."""


def frame(request: bytes, pdu: bytes, *, transaction: int | None = None, unit: int | None = None) -> bytes:
    """An answer to a request, with single things wrong."""
    number = struct.unpack(">H", request[:2])[0] if transaction is None else transaction
    return struct.pack(">HHHB", number, 0, len(pdu) + 1, request[6] if unit is None else unit) + pdu


def registers(*values: int, function: int = 3) -> bytes:
    return bytes((function, 2 * len(values))) + struct.pack(f">{len(values)}H", *values)


@contextlib.asynccontextmanager
async def peer(reply: Reply, *, port: int = 0) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A hand-written server; yields its port and the requests it saw, ends when its clients have gone."""
    requests: list[bytes] = []
    served: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(writer)
        try:
            while True:
                head = await reader.readexactly(6)
                request = head + await reader.readexactly(int.from_bytes(head[4:6], "big"))
                requests.append(request)
                answers = reply(len(requests) - 1, request)
                if answers is None:
                    break
                for data in answers:
                    writer.write(data)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            served.discard(writer)

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    async with server:
        yield server.sockets[0].getsockname()[1], requests
    async with asyncio.timeout(5):  # a socket that the client leaves behind fails the test
        while served:  # noqa: ASYNC110 - set by several handlers
            await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def bus_to(port: int, *, timeout_s: float = TIMEOUT_S) -> AsyncIterator[ModbusTcpBus]:
    bus = ModbusTcpBus("net", host="127.0.0.1", port=port, elapsed_s=elapsed_s, timeout_s=timeout_s)
    await bus.open()
    try:
        yield bus
    finally:
        await bus.close()


@contextlib.asynccontextmanager
async def honest_server() -> AsyncIterator[int]:
    """The library's own server, two units behind one port."""
    units = [
        SimDevice(
            unit,
            simdata=(
                [SimData(0, values=[True, False, True] + [False] * 13, datatype=DataType.BITS)],
                [SimData(0, values=[False, True] + [False] * 14, datatype=DataType.BITS)],
                [SimData(0, values=list(range(100 * unit, 100 * unit + 50)), datatype=DataType.REGISTERS)],
                [SimData(0, values=list(range(500, 550)), datatype=DataType.REGISTERS)],
            ),
        )
        for unit in (1, 2)
    ]
    server = ModbusTcpServer(units, address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    try:
        yield server.transport.sockets[0].getsockname()[1]
    finally:
        await server.shutdown()


async def test_reads_and_writes_an_honest_server() -> None:
    async with honest_server() as port, bus_to(port) as bus:
        assert await bus.read(Span(3, 10, 3), unit=1) == (110, 111, 112)
        assert await bus.read(Span(3, 10, 3), unit=2) == (210, 211, 212)
        assert await bus.read(Span(4, 0, 50), unit=1) == tuple(range(500, 550))
        await bus.write(5, [77], unit=1, function=6)
        await bus.write(6, [78, 79], unit=1, function=16)
        assert await bus.read(Span(3, 5, 3), unit=1) == (77, 78, 79)
        assert await bus.read(Span(3, 5, 3), unit=2) == (205, 206, 207)
        assert await bus.read(Span(1, 0, 3), unit=1) == (1, 0, 1)
        await bus.write(1, [1], unit=1, function=5)
        assert await bus.read(Span(1, 0, 3), unit=1) == (1, 1, 1)
        await bus.write(0, [0, 0, 1], unit=1, function=15)
        assert await bus.read(Span(1, 0, 3), unit=1) == (0, 0, 1)
        assert await bus.read(Span(2, 0, 2), unit=1) == (0, 1)
        with pytest.raises(DeviceRefused) as caught:
            await bus.read(Span(3, 1000, 2), unit=1)
        assert caught.value.code == 2


async def test_many_callers_share_the_connection() -> None:
    async with honest_server() as port, bus_to(port) as bus:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(bus.read(Span(3, number, 1), unit=1)) for number in range(40)]
        assert [task.result() for task in tasks] == [(100 + number,) for number in range(40)]


@pytest.mark.parametrize(
    "lie",
    [
        lambda request: frame(request, registers(66), unit=9),
        lambda request: frame(request, registers(66, function=4)),
        lambda request: frame(request, registers(66, 66)),
        lambda request: frame(request, b"\x03\x02\x00"),
        lambda request: frame(request, b"\x03\x04\x00\x42"),
        lambda request: frame(request, registers(66), transaction=0),
        lambda request: frame(request, b"\x63\x01\x02"),
        lambda request: frame(request, b"\x83"),
        lambda request: frame(request, b"\x83\x02\x02"),
        lambda _request: b"HTTP/1.1 400 Bad Request\r\n\r\n",
        lambda request: request[:2] + b"\x00\x00\xff\xff" + b"\x00" * 30,
    ],
    ids=[
        "unit", "W3 function", "W4 count", "cut", "length", "W13 id 0", "W14 unknown", "bare", "long refusal", "http",
        "huge",
    ],
)  # fmt: skip
async def test_a_lie_is_a_fault_and_the_next_read_is_right(lie: Callable[[bytes], bytes]) -> None:
    def reply(number: int, request: bytes) -> list[bytes]:
        return [lie(request)] if number == 0 else [frame(request, registers(5))]

    async with peer(reply) as (port, _), bus_to(port) as bus:
        with pytest.raises(ProtocolFault):
            await bus.read(ONE, unit=1)
        assert await bus.read(ONE, unit=1) == (5,)


@pytest.mark.parametrize("echo", [b"\x06\x03\xe7\x00\x05", b"\x06\x00\x0a\x00\x33", b"\x10\x00\x0a\x00\x01"])
async def test_w5_a_write_echo_must_repeat_the_write(echo: bytes) -> None:
    async with peer(lambda _number, request: [frame(request, echo)]) as (port, requests), bus_to(port) as bus:
        with pytest.raises(ProtocolFault):
            await bus.write(10, [50], unit=1, function=6)
        assert len(requests) == 1, "a write is never repeated by the wire"


async def test_an_answer_in_pieces_and_an_old_one_before_it() -> None:
    def reply(_number: int, request: bytes) -> list[bytes]:
        stale = frame(request, registers(66), transaction=40000)
        right = frame(request, registers(5))
        return [stale + right[:4], right[4:]]

    async with peer(reply) as (port, _), bus_to(port) as bus:
        assert await bus.read(ONE, unit=1) == (5,)
        assert await bus.read(ONE, unit=1) == (5,)


async def test_a_late_answer_never_becomes_the_next_value() -> None:
    waiting: list[bytes] = []

    def reply(number: int, request: bytes) -> list[bytes]:
        if number % 2 == 1:
            waiting.append(frame(request, registers(66)))
            return []
        return [*waiting, frame(request, registers(5))]

    async with peer(reply) as (port, _), bus_to(port, timeout_s=SHORT_S) as bus:
        assert await bus.read(ONE, unit=1) == (5,)
        for _ in range(2):
            with pytest.raises(NoAnswer):
                await bus.read(ONE, unit=1)
            assert await bus.read(ONE, unit=1) == (5,)
        assert (bus.counts.silent, bus.counts.late) == (2, 2)


async def test_a_cancelled_caller_leaves_nothing_behind() -> None:
    waiting: list[bytes] = []

    def reply(number: int, request: bytes) -> list[bytes]:
        waiting.append(frame(request, registers(100 + number)))
        return [] if number == 0 else waiting

    async with peer(reply) as (port, _), bus_to(port) as bus:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(bus.read(ONE, unit=1), 0.05)
        assert await bus.read(ONE, unit=1) == (101,)


async def test_a_gateway_that_reports_silence_counts_as_silence() -> None:
    async with peer(lambda _number, request: [frame(request, b"\x83\x0b")]) as (port, _), bus_to(port) as bus:
        with pytest.raises(NoAnswer):
            await bus.read(ONE, unit=1)


@settings(max_examples=40, deadline=None)
@given(
    babble=st.binary(min_size=1, max_size=40),
    head=st.sampled_from(["none", "mbap", "length"]),
    function=st.sampled_from([3, 4, 0x83, 6, 99]),
)
def test_any_bytes_of_a_peer_give_an_error_or_the_value(babble: bytes, head: str, function: int) -> None:
    sent: list[bytes] = []

    def reply(number: int, request: bytes) -> list[bytes]:
        body = bytes((function,)) + babble
        told = {"none": babble, "mbap": frame(request, body), "length": request[:4] + babble}[head]
        sent.append(frame(request, registers(5)) if number else told)  # a lost connection may have been asked again
        return sent[-1:]

    async def scenario() -> None:
        async with peer(reply) as (port, _), bus_to(port, timeout_s=2.0) as bus:
            bus.expect(1, UnitTiming(timeout_s=0.03))  # for the answers; connections get the bus's own
            try:
                values = await bus.read(ONE, unit=1)
            except DriverError:
                pass
            else:
                assert any(registers(*values) in frame_ for frame_ in sent)
            for _ in range(3):
                try:
                    assert await bus.read(ONE, unit=1) == (5,)
                except DriverError:  # a cut frame may cost one more request
                    continue
                break
            else:
                pytest.fail("does not recover")

    asyncio.run(scenario())
