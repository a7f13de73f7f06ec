"""The TCP connection as plant rooms treat it: reboots, one client, idle close, lost requests, queues, depth."""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from drivers.bus.base import Span, UnitTiming
from drivers.bus.host_keeper import RECONNECT_MAX_S, pause_s
from drivers.bus.modbus_tcp import SILENT_MAX, ModbusTcpBus
from drivers.errors import DriverError, LineDown, NoAnswer, ProtocolFault, WriteForbidden
from edge_agent.clock import elapsed_s
from hil_sim.devices.tcp import TcpServer, id_off_by_one, id_zero, serve_tcp, wrong_count

ONE = Span(3, 0, 1)
WITHIN_S = 10.0


class Slave:
    """Register n holds 100 times the unit plus n; counts what it is asked."""

    def __init__(self, unit: int) -> None:
        self.name, self.unit, self.late_s, self.asked, self.written = f"s{unit}", unit, 0.0, 0, 0

    def requested(self, _function: int) -> None:
        self.asked += 1

    def answer(self, request: bytes) -> bytes:
        if request[0] == 6:
            self.written += 1
            return request
        address, count = int.from_bytes(request[1:3], "big"), int.from_bytes(request[3:5], "big")
        values = b"".join((100 * self.unit + address + place).to_bytes(2, "big") for place in range(count))
        return bytes((request[0], 2 * count)) + values


@contextlib.contextmanager
def port_with(*units: int) -> AsyncIterator[TcpServer]:
    server = serve_tcp([Slave(unit) for unit in units or (1,)], "127.0.0.1", 0)
    try:
        yield server
    finally:
        server.stop()


@contextlib.asynccontextmanager
async def bus_to(server: TcpServer, **options: object) -> AsyncIterator[ModbusTcpBus]:
    bus = ModbusTcpBus("net", host="127.0.0.1", port=server.port, elapsed_s=elapsed_s, **{"timeout_s": 0.15, **options})
    await bus.open()
    try:
        yield bus
    finally:
        await bus.close()


async def until(wish: Callable[[], Awaitable[bool]]) -> None:
    """Waits for a condition on the wire."""
    async with asyncio.timeout(WITHIN_S):
        while not await wish():  # noqa: ASYNC110 - conditions of a thread and of a wire
            await asyncio.sleep(0.01)


async def answers(bus: ModbusTcpBus, unit: int = 1) -> bool:
    """Whether a read brings the true value; anything but the truth or an error ends the test."""
    try:
        values = await bus.read(ONE, unit=unit)
    except DriverError:
        return False
    assert values == (100 * unit,)
    return True


def sockets() -> int:
    return sum("socket:" in str(entry.readlink()) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink())


def words(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage().split(" bus=")[0] for record in caplog.records]


# ------------------------------------------------------------------------------------------------------- the connection


async def test_w11_no_socket_is_left_behind() -> None:
    with port_with() as server:
        before = sockets()
        async with bus_to(server) as bus:
            for _ in range(5):
                await bus.open()
                server.drop_connections()
                await until(lambda: answers(bus))
            assert server.statistics.clients == 1
        await until(lambda: gone(server))
        assert sockets() <= before


async def gone(server: TcpServer) -> bool:
    return server.statistics.clients == 0


async def test_w12_a_first_connect_that_fails_is_tried_again_unasked(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="drivers")
    with port_with() as server:
        server.go_down()
        async with bus_to(server) as bus:
            for _ in range(3):
                with pytest.raises(LineDown):
                    await bus.read(ONE, unit=1)
            server.come_back()
            await until(lambda: connected(server))  # nobody asks for anything meanwhile
            assert await bus.read(ONE, unit=1) == (100,)
    assert words(caplog) == ["connection is down", "connection is back"]


async def connected(server: TcpServer) -> bool:
    return server.statistics.clients == 1


def test_w12_pauses_double_to_a_cap_and_are_scattered() -> None:
    one, other = ([pause_s(attempt, random.Random(seed)) for attempt in range(1, 40)] for seed in (1, 2))  # noqa: S311 - jitter
    assert 0.3 < one[0] < 0.7
    assert one[3] > 2 * one[1]
    assert RECONNECT_MAX_S / 2 < one[-1] <= RECONNECT_MAX_S
    assert max(one + other) <= RECONNECT_MAX_S
    assert one != other


async def test_7_a_reboot_costs_one_read_at_most_and_is_over_by_itself(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="drivers")
    with port_with() as server:
        async with bus_to(server) as bus:
            assert await answers(bus)
            server.go_down()
            with pytest.raises(LineDown, match=f"{server.port} is not there: "):
                await bus.read(ONE, unit=1)
            server.come_back()
            await until(lambda: connected(server))
            assert await answers(bus)
            assert bus.counts.reopened == 1
    assert words(caplog) == ["connection is down", "connection is back"]


async def test_8_who_is_turned_away_is_told_why_and_comes_back(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="drivers")
    with port_with() as server:
        server.faults.clients_max = 1
        _, other = await asyncio.open_connection("127.0.0.1", server.port)
        await until(lambda: connected(server))
        async with bus_to(server) as bus:
            await until(lambda: turned_away(server))
            with pytest.raises(LineDown, match="one client only"):
                await bus.read(ONE, unit=1)
            other.close()
            await until(lambda: answers(bus))
            assert server.statistics.clients_most == 1
    assert words(caplog) == ["connection is down", "connection is back"]
    assert "one client only" in caplog.text


async def turned_away(server: TcpServer) -> bool:
    return server.statistics.turned_away > 1


async def test_9_an_idle_close_is_not_heard_of(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="drivers")
    with port_with() as server:
        server.faults.idle_close_s = 0.1
        async with bus_to(server) as bus:
            for number in range(1, 4):
                assert await answers(bus)
                assert server.statistics.connections == number
                await until(lambda: gone(server))
    assert not caplog.records


async def test_9_a_read_on_a_dying_connection_is_repeated_once_and_a_write_is_not() -> None:
    with port_with() as server:
        async with bus_to(server, timeout_s=5.0) as bus:
            assert await answers(bus)
            server.disturbance = lambda _name, _frame: server._drop() or b""  # type: ignore[func-returns-value]
            write = asyncio.ensure_future(bus.write(3, [7], unit=1, function=6))  # noqa: TID251 - awaited below
            with pytest.raises(NoAnswer, match="write sent, and the connection was lost"):
                await write
            assert server._devices[1].written == 1  # type: ignore[attr-defined]
            server.disturbance = None
            assert await answers(bus)
            slave = server._devices[1]
            asked = slave.asked  # type: ignore[attr-defined]
            server.disturbance = lambda _name, _frame: server._drop() or b""  # type: ignore[func-returns-value]
            with pytest.raises(LineDown):
                await bus.read(ONE, unit=1)
            assert slave.asked == asked + 2  # type: ignore[attr-defined]


async def test_10_a_swallowed_first_request_is_repeated_and_the_next_connection_waits() -> None:
    with port_with() as server:
        server.faults.swallow_first = 1
        async with bus_to(server) as bus:
            assert await answers(bus)
            assert bus.pace.connect_delay_s > 0
            server.faults.swallow_first = 0
            server.drop_connections()
            begin_s = elapsed_s()
            await until(lambda: answers(bus))
            assert elapsed_s() - begin_s >= bus.pace.connect_delay_s - 0.01


@pytest.mark.parametrize("stated", ["bus", "unit"])
async def test_10_a_stated_connect_delay_is_kept(stated: str) -> None:
    with port_with() as server:
        bus = ModbusTcpBus(
            "net", host="127.0.0.1", port=server.port, elapsed_s=elapsed_s, timeout_s=2.0,
            connect_delay_s=0.2 if stated == "bus" else None,
        )  # fmt: skip
        bus.expect(1, UnitTiming(connect_delay_s=0.2))
        begin_s = elapsed_s()
        await bus.open()
        assert await answers(bus)
        assert elapsed_s() - begin_s >= 0.2
        await bus.close()


# ------------------------------------------------------------------------------------------------ silence and lateness


async def test_a_silent_unit_does_not_cut_off_its_neighbours() -> None:
    with port_with(1, 2) as server:
        server.faults.silent_units = frozenset({2})
        async with bus_to(server, timeout_s=0.05) as bus:
            assert await answers(bus)
            for _ in range(2 * SILENT_MAX):
                with pytest.raises(NoAnswer):
                    await bus.read(ONE, unit=2)
            assert await answers(bus)
            assert server.statistics.connections == 1


async def test_a_connection_on_which_nobody_answers_is_made_anew() -> None:
    with port_with(1, 2) as server:
        async with bus_to(server, timeout_s=0.05) as bus:
            assert await answers(bus)
            assert await answers(bus, 2)
            server.faults.silent_units = frozenset({1, 2})
            for unit in (1, 2, 1):
                assert not await answers(bus, unit)
            server.faults.silent_units = frozenset()
            assert await answers(bus)
            assert server.statistics.connections == 2


@pytest.mark.parametrize("code", [10, 11])
async def test_a_gateway_that_reports_silence_keeps_the_connection(code: int) -> None:
    with port_with(1) as server:
        server.faults.gateway_codes = {2: code}
        async with bus_to(server) as bus:
            for _ in range(2 * SILENT_MAX):
                with pytest.raises(NoAnswer):
                    await bus.read(ONE, unit=2)
            assert await answers(bus)
            assert server.statistics.connections == 1


async def test_each_unit_has_its_own_time_out() -> None:
    with port_with(1, 2) as server:
        server._devices[1].late_s = server._devices[2].late_s = 1.0
        bus = ModbusTcpBus("net", host="127.0.0.1", port=server.port, elapsed_s=elapsed_s, timeout_s=5.0)
        bus.expect(1, UnitTiming(timeout_s=0.05))
        bus.expect(2, UnitTiming(timeout_s=5.0))
        assert bus.miss_s(2) == 5.0
        await bus.open()
        assert await answers(bus, 2)
        assert not await answers(bus, 1)
        await bus.close()


async def test_a_unit_that_needs_a_rest_gets_it_and_the_others_do_not_wait() -> None:
    with port_with(1, 2) as server:
        bus = ModbusTcpBus("net", host="127.0.0.1", port=server.port, elapsed_s=elapsed_s, timeout_s=2.0)
        bus.expect(1, UnitTiming(guard_s=1.5))
        await bus.open()
        assert await answers(bus)
        begin_s = elapsed_s()
        rested = asyncio.ensure_future(answers(bus))  # noqa: TID251 - awaited below
        await asyncio.sleep(0)
        assert await answers(bus, 2)
        assert not rested.done()
        assert await rested
        assert elapsed_s() - begin_s >= 1.4
        await bus.close()


async def test_2_answers_one_behind_for_ever_are_never_values() -> None:
    with port_with() as server:
        server.faults.behind = 1
        async with bus_to(server, timeout_s=0.05) as bus:
            for _ in range(8):
                assert not await answers(bus)
            assert bus.counts.late > 0
            assert server.statistics.connections > 1, "a new connection may bring it into step"
            server.faults.behind = 0
            await until(lambda: answers(bus))


async def test_4_a_host_that_falls_behind_is_asked_more_slowly() -> None:
    with port_with() as server:
        server.faults.queue_s = 0.15
        async with bus_to(server, timeout_s=0.1) as bus:
            await until(lambda: answers(bus))
            bus.pace._patience_s[1] = 1.5  # what it learned depends on how far behind the host was
            silent = bus.counts.silent
            for _ in range(10):
                assert await answers(bus)
            assert bus.counts.silent == silent, "has learned how long it takes, and does not forget it"
            assert bus.pace.timeout_s(1) > 0.1


async def test_patience_that_is_not_rewarded_shrinks() -> None:
    """A host that was behind, not slow: what its late answers taught must not make its probes seldom."""
    with port_with() as server:
        async with bus_to(server, timeout_s=0.05) as bus:
            await until(lambda: answers(bus))
            bus.pace._patience_s[1] = 0.4
            server.faults.queue_s = 60.0
            for expected_s in (0.2, 0.1, 0.05, 0.05):
                assert not await answers(bus)
                assert bus.pace.timeout_s(1) == pytest.approx(expected_s)


async def test_a_keeper_that_fails_is_started_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failed() -> bool:
        return await refused(bus) and "connection keeper failed" in caplog.text

    with port_with() as server:
        async with bus_to(server) as bus:
            assert await answers(bus)
            with monkeypatch.context() as broken:
                broken.setattr("drivers.bus.modbus_tcp.Connection", None)
                server.drop_connections()
                await until(failed)
            await until(lambda: answers(bus))


async def refused(bus: ModbusTcpBus) -> bool:
    return not await answers(bus)


# ------------------------------------------------------------------------------------------- transaction numbers, depth


@pytest.mark.parametrize("change", [id_zero, id_off_by_one])
async def test_3_changed_numbers_pass_only_where_the_bus_is_lenient(change: Callable[[int], int]) -> None:
    with port_with() as server:
        server.faults.change_id = change
        async with bus_to(server) as bus:
            for _ in range(3):
                with pytest.raises((ProtocolFault, NoAnswer, LineDown)):
                    await bus.read(ONE, unit=1)
        async with bus_to(server, lenient_ids=True) as bus:
            for _ in range(3):
                assert await answers(bus)


async def test_3_lenient_means_a_rest_after_a_miss_and_all_other_checks() -> None:
    with port_with() as server:
        server.faults.change_id = id_zero
        async with bus_to(server, lenient_ids=True) as bus:
            bus.expect(1, UnitTiming(timeout_s=0.1, latest_answer_s=0.6))
            assert bus.miss_s(1) == 0.6
            assert await answers(bus)
            server._devices[1].late_s = 0.3
            with pytest.raises(NoAnswer):
                await bus.read(Span(3, 50, 1), unit=1)
            bus.expect(1, UnitTiming(timeout_s=2.0, latest_answer_s=0.6))
            assert await answers(bus)  # the late answer would come before this one's
            server._devices[1].late_s = 0.0
            server.disturbance = wrong_count
            with pytest.raises(ProtocolFault):
                await bus.read(ONE, unit=1)


async def test_depth_puts_requests_in_flight_and_keeps_them_apart() -> None:
    with port_with() as server:
        server.faults.queue_s = 0.005
        async with bus_to(server, depth=4, timeout_s=2.0) as bus:
            spans = [Span(3, number, 1) for number in range(40)]
            values = await asyncio.gather(*(bus.read(span, unit=1) for span in spans))
            assert values == [(100 + number,) for number in range(40)]
        assert server.statistics.waiting_most == 4


async def test_depth_one_never_has_two_in_flight() -> None:
    with port_with() as server:
        server.faults.queue_s = 0.005
        async with bus_to(server, timeout_s=2.0) as bus:
            await asyncio.gather(*(bus.read(ONE, unit=1) for _ in range(20)))
        assert server.statistics.waiting_most == 1


async def test_answers_out_of_order_find_their_requests() -> None:
    with port_with(1, 2) as server:
        server._devices[1].late_s = 0.1
        async with bus_to(server, depth=2, timeout_s=2.0) as bus:
            values = await asyncio.gather(bus.read(ONE, unit=1), bus.read(ONE, unit=2))
            assert values == [(100,), (200,)]


async def test_commands_go_before_polling() -> None:
    with port_with() as server:
        server.faults.queue_s = 0.02
        order: list[str] = []
        async with bus_to(server, timeout_s=2.0) as bus:

            async def read() -> None:
                await bus.read(ONE, unit=1)
                order.append("read")

            async def write() -> None:
                await bus.write(0, [1], unit=1, function=6)
                order.append("write")

            await asyncio.gather(read(), read(), read(), write())
        assert order.index("write") == 1


async def test_cancelled_callers_leave_the_connection_in_step() -> None:
    with port_with() as server:
        server.faults.queue_s = 0.05
        async with bus_to(server, timeout_s=2.0) as bus:
            for number in range(10):
                sent = bus.counts.requests
                async with asyncio.TaskGroup() as group:
                    caller = group.create_task(bus.read(Span(3, 50 + number, 1), unit=1))
                    while bus.counts.requests == sent:  # noqa: ASYNC110 - to the very moment at which it is on its way
                        await asyncio.sleep(0)
                    caller.cancel()
                assert caller.cancelled()
                assert await answers(bus)
            assert (bus.counts.silent, bus.counts.damaged) == (0, 0)
            assert server.statistics.connections == 1


async def test_what_happened_is_counted() -> None:
    with port_with() as server:
        async with bus_to(server, timeout_s=1.0) as bus:
            await bus.write(0, [1], unit=1, function=6)
            assert await answers(bus)
            server.faults.silent_units = frozenset({1})
            assert not await answers(bus)
            counts = bus.counts
            assert (counts.requests, counts.answers, counts.silent, counts.writes) == (3, 2, 1, 1)
            assert 0.9 <= counts.busy_s < 5.0


async def test_a_write_is_asked_for_its_permit_at_the_last_moment() -> None:
    with port_with() as server:
        async with bus_to(server, timeout_s=5.0) as bus:
            assert await answers(bus)
            server._devices[1].late_s = 0.2
            mode = {"control": True}
            read = asyncio.ensure_future(answers(bus))  # noqa: TID251 - awaited below
            await asyncio.sleep(0)
            write = asyncio.ensure_future(  # noqa: TID251 - awaited below
                bus.write(0, [1], unit=1, function=6, permit=lambda: mode["control"])
            )
            await asyncio.sleep(0)
            mode["control"] = False  # while it waits in the queue
            assert await read
            with pytest.raises(WriteForbidden):
                await write
            assert (bus.counts.writes, server._devices[1].written) == (0, 0)
            await bus.write(0, [1], unit=1, function=6, permit=lambda: True)
            assert server._devices[1].written == 1


async def test_a_write_whose_caller_has_gone_is_not_sent() -> None:
    with port_with() as server:
        async with bus_to(server, timeout_s=5.0) as bus:
            assert await answers(bus)
            server._devices[1].late_s = 0.2
            read = asyncio.ensure_future(answers(bus))  # noqa: TID251 - awaited below
            await asyncio.sleep(0)
            write = asyncio.ensure_future(bus.write(0, [1], unit=1, function=6))  # noqa: TID251 - awaited below
            await asyncio.sleep(0)
            write.cancel()
            assert await read
            assert await answers(bus)
            assert bus.counts.writes == 0


async def test_an_earlier_wake_up_takes_the_place_of_a_later_one() -> None:
    with port_with(1, 2) as server:
        bus = ModbusTcpBus("net", host="127.0.0.1", port=server.port, elapsed_s=elapsed_s, timeout_s=5.0)
        bus.expect(1, UnitTiming(guard_s=20.0))
        bus.expect(2, UnitTiming(guard_s=0.1))
        await bus.open()
        assert await answers(bus)
        assert await answers(bus, 2)
        rested = asyncio.ensure_future(answers(bus))  # noqa: TID251 - cancelled below
        await asyncio.sleep(0)
        async with asyncio.timeout(WITHIN_S):
            assert await answers(bus, 2)
        rested.cancel()
        await bus.close()


@contextlib.asynccontextmanager
async def gateway_on_newest(*, late_s: list[float], keeps_numbers: bool) -> AsyncIterator[int]:
    """A gateway that answers on its newest connection; the value of a register is its address."""
    newest: list[asyncio.StreamWriter] = []
    tasks: set[asyncio.Task[None]] = set()

    async def reply(request: bytes) -> None:
        await asyncio.sleep(late_s[0])
        number = request[:2] if keeps_numbers else bytes(2)
        newest[-1].write(number + bytes((0, 0, 0, 5, request[6], request[7], 2)) + request[8:10])

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        newest.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                tasks.add(asyncio.ensure_future(reply(await reader.readexactly(12))))  # noqa: TID251 - cancelled below
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in newest:
            writer.close()
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("late_s", "keeps_numbers"),
    [(0.2, False), (0.4, False), (0.66, True), (0.72, True)],
)
async def test_a_late_answer_on_the_next_connection_is_no_value(late_s: float, *, keeps_numbers: bool) -> None:
    async with gateway_on_newest(late_s=[late_s], keeps_numbers=keeps_numbers) as port:
        bus = ModbusTcpBus(
            "net", host="127.0.0.1", port=port, elapsed_s=elapsed_s, timeout_s=0.15, lenient_ids=not keeps_numbers
        )
        bus.expect(1, UnitTiming(latest_answer_s=1.0))
        await bus.open()
        values: list[int] = []
        for address in range(200, 206):
            try:
                values.append((await bus.read(Span(3, address, 1), unit=1))[0] - address)
            except DriverError:
                continue
        assert set(values) == {0}, "in the end it is waited for, and nothing is mixed up"
        assert bus.counts.late > 0
        await bus.close()


async def test_numbers_go_on_over_connections() -> None:
    with port_with() as server:
        async with bus_to(server) as bus:
            assert await answers(bus)
            first = bus._number
            bus._number = 0xFFFF
            server.drop_connections()
            await until(lambda: answers(bus))
            assert 1 <= bus._number < 100
            assert 1 <= first <= 0xFFFF


async def test_waiting_callers_hear_of_the_end() -> None:
    with port_with() as server:
        server.faults.silent_units = frozenset({1})
        async with bus_to(server, timeout_s=30.0) as bus:
            waiting = [asyncio.ensure_future(bus.read(ONE, unit=1)) for _ in range(3)]  # noqa: TID251 - awaited below
            await asyncio.sleep(0)
            await bus.close()
            results = await asyncio.gather(*waiting, return_exceptions=True)
            assert all(isinstance(result, LineDown) for result in results)
            with pytest.raises(LineDown, match="closed"):
                await bus.read(ONE, unit=1)
