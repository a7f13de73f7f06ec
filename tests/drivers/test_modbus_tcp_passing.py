"""One unit behind a TCP host is silent, slow or talks nonsense: the others behind that host do not wait for it."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Iterator

import pytest

from drivers.bus.base import Span
from drivers.bus.host_pace import GIVES_WAY_MIN_S, PASSED_IN_VAIN_MAX
from drivers.bus.modbus_tcp import PASSING_MAX, ModbusTcpBus
from drivers.errors import NoAnswer, ProtocolFault
from drivers.link import LineShare, UnitLink
from edge_agent.clock import elapsed_s
from hil_sim.devices.tcp import TcpServer, serve_tcp, wrong_count

ONE = Span(3, 0, 1)
WELL, ILL = 1, 2
PATIENT_S = 20.0
"""A time-out that no test waits for."""


class Slave:
    """Register n holds 100 times the unit plus n."""

    def __init__(self, unit: int) -> None:
        self.name, self.unit, self.late_s = f"s{unit}", unit, 0.0

    def requested(self, _function: int) -> None:
        """Not counted."""

    def answer(self, request: bytes) -> bytes:
        value = 100 * self.unit + int.from_bytes(request[1:3], "big")
        return bytes((request[0], 2)) + value.to_bytes(2, "big")


@contextlib.contextmanager
def beside(request: Awaitable[object]) -> Iterator[asyncio.Future[object]]:
    """Lets a request go on beside the test, and sends its caller away at the end."""
    future = asyncio.ensure_future(request)  # noqa: TID251 - ended below
    try:
        yield future
    finally:
        future.cancel()


@contextlib.asynccontextmanager
async def known_host(timeout_s: float = PATIENT_S, **options: object) -> AsyncIterator[tuple[TcpServer, ModbusTcpBus]]:
    """A host with two units, both of which have answered once."""
    server = serve_tcp([Slave(WELL), Slave(ILL)], "127.0.0.1", 0)
    bus = ModbusTcpBus("net", host="127.0.0.1", port=server.port, elapsed_s=elapsed_s, timeout_s=timeout_s, **options)
    await bus.open()
    try:
        for unit in (WELL, ILL):
            assert await bus.read(ONE, unit=unit) == (100 * unit,)
        yield server, bus
    finally:
        await bus.close()
        server.stop()


async def test_requests_to_others_pass_one_that_is_overdue() -> None:
    async with known_host() as (server, bus), asyncio.timeout(PATIENT_S / 2):
        server.faults.silent_units = frozenset({ILL})
        with beside(bus.read(ONE, unit=ILL)) as silent:
            await asyncio.sleep(0)
            for _ in range(3):
                assert await bus.read(ONE, unit=WELL) == (100,)
            assert not silent.done()
        assert bus.pace.gives_way_s() == GIVES_WAY_MIN_S
        assert server.statistics.connections == 1


async def test_the_unit_itself_has_one_request_under_way() -> None:
    async with known_host() as (server, bus), asyncio.timeout(PATIENT_S / 2):
        server._devices[ILL].late_s = 3 * GIVES_WAY_MIN_S
        with beside(bus.read(ONE, unit=ILL)) as first, beside(bus.read(Span(3, 1, 1), unit=ILL)) as second:
            await asyncio.sleep(0)
            assert await bus.read(ONE, unit=WELL) == (100,)
            assert not first.done()
            assert await first == (200,)
            assert not second.done()
            assert await second == (201,)
        assert server.statistics.waiting_most == 2, "the late one, and one that passes it"


async def test_the_turn_of_an_overdue_request_is_given_away_with_it() -> None:
    async with known_host() as (server, bus), asyncio.timeout(PATIENT_S / 2):
        share = LineShare(gives_way_s=bus.pace.gives_way_s)
        well, ill = (UnitLink(bus, unit, elapsed_s=elapsed_s, share=share) for unit in (WELL, ILL))
        server.faults.silent_units = frozenset({ILL})
        with beside(ill.ask_in_turn(ONE, due_s=0.0)) as silent:
            await asyncio.sleep(0)
            assert await well.ask_in_turn(ONE, due_s=1.0) == (100,)
            assert not silent.done()


async def test_a_host_that_loses_what_passes_is_found_out_and_nothing_is_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with known_host(timeout_s=1.5 * GIVES_WAY_MIN_S) as (server, bus):
        server.faults.silent_units = frozenset({ILL})
        for _ in range(PASSED_IN_VAIN_MAX):
            assert bus.pace.gives_way_s() is not None
            server.disturbance = lambda _name, _frame: b""  # busy with the silent unit: whatever comes is lost
            with beside(bus.read(ONE, unit=ILL)) as silent, beside(bus.read(ONE, unit=WELL)) as well:
                with pytest.raises(NoAnswer):
                    await silent
                server.disturbance = None
                assert await well == (100,)
        assert bus.pace.gives_way_s() is None
    assert [record.levelno for record in caplog.records if "host loses requests" in record.message] == [logging.WARNING]


async def test_a_host_of_which_nobody_answers_is_not_flooded() -> None:
    units = range(1, 9)
    server = serve_tcp([Slave(unit) for unit in units], "127.0.0.1", 0)
    bus = ModbusTcpBus("net", host="127.0.0.1", port=server.port, elapsed_s=elapsed_s, timeout_s=PATIENT_S)
    await bus.open()
    assert await bus.read(ONE, unit=1) == (100,)
    server.faults.silent_units = frozenset(units)
    with contextlib.ExitStack() as reads:
        for unit in units:
            reads.enter_context(beside(bus.read(ONE, unit=unit)))
        async with asyncio.timeout(PATIENT_S / 2):
            while sum(job.overdue for job in bus._in_flight.values()) < 1 + PASSING_MAX:  # noqa: ASYNC110 - no event tells it
                await asyncio.sleep(0)
        assert len(bus._in_flight) == 1 + PASSING_MAX
        assert not bus._may_send()
    await bus.close()
    server.stop()


async def test_where_numbers_cannot_be_trusted_nobody_passes() -> None:
    async with known_host(lenient_ids=True) as (_, bus):
        assert bus.pace.gives_way_s() is None


async def test_nobody_passes_before_the_pace_of_the_host_is_known() -> None:
    bus = ModbusTcpBus("net", host="127.0.0.1", port=1, elapsed_s=elapsed_s)
    assert bus.pace.gives_way_s() is None


async def test_one_unit_that_talks_nonsense_makes_nobody_wait_for_a_connection() -> None:
    async with known_host() as (server, bus):
        server.disturbance = lambda name, frame: wrong_count(name, frame) if name == f"s{ILL}" else frame
        for _ in range(4):
            with pytest.raises(ProtocolFault):
                await bus.read(ONE, unit=ILL)
        assert await bus.read(ONE, unit=WELL) == (100,)
        assert server.statistics.connections == 5
