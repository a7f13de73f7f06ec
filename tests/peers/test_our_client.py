"""Our client against foreign servers: every value compared, writes read back, refusals known for what they are."""

import contextlib
import os
import select
import threading
import tty
from collections.abc import Callable, Iterator

import pytest

from drivers.bus.base import Bus, Span
from drivers.bus.modbus_rtu import ModbusRtuBus
from drivers.bus.modbus_tcp import ModbusTcpBus
from drivers.errors import DeviceRefused
from edge_agent.clock import elapsed_s

TABLE = 1000


async def compare(bus: Bus, *, refuses: bool) -> None:
    """Reads all of the tables, writes in four ways, and asks for what does not exist."""
    for function in (3, 4):
        for first in range(0, TABLE, 125):
            assert await bus.read(Span(function, first, 125), unit=1) == tuple(range(first, first + 125))
    assert await bus.read(Span(1, 0, TABLE), unit=1) == tuple(int(n % 3 == 0) for n in range(TABLE))
    assert await bus.read(Span(2, 1, 77), unit=1) == tuple(n % 2 for n in range(1, 78))
    await bus.write(10, [0xFFFE], unit=1, function=6)
    await bus.write(20, [1, 0x8000, 0], unit=1, function=16)
    await bus.write(100, [1], unit=1, function=5)
    await bus.write(110, [1, 0, 1, 1, 0, 0, 1, 0, 1], unit=1, function=15)
    assert await bus.read(Span(3, 9, 3), unit=1) == (9, 0xFFFE, 11)
    assert await bus.read(Span(3, 19, 5), unit=1) == (19, 1, 0x8000, 0, 23)
    assert await bus.read(Span(1, 99, 3), unit=1) == (1, 1, 0)
    assert await bus.read(Span(1, 110, 9), unit=1) == (1, 0, 1, 1, 0, 0, 1, 0, 1)
    if refuses:
        with pytest.raises(DeviceRefused) as caught:
            await bus.read(Span(3, TABLE, 2), unit=1)
        assert caught.value.code == 2
    assert await bus.read(Span(3, 30, 2), unit=1) == (30, 31), "in step after a refusal"
    assert (bus.counts.silent, bus.counts.damaged, bus.counts.stray_bytes) == (0, 0, 0)


@pytest.mark.parametrize("depth", [1, 4])
@pytest.mark.parametrize(
    ("peer", "refuses"),
    [("libmodbus", True), ("modbus-serial", True), ("modbus-tk", True), ("umodbus", True), ("pyModbusTCP", False)],
)
async def test_tcp(
    peer: str,
    *,
    refuses: bool,
    depth: int,
    server_command: Callable[[str, str], list[str]],
    start: Callable[[list[str]], None],
    free_port: int,
) -> None:
    start([*server_command(peer, "tcp"), str(free_port)])
    bus = ModbusTcpBus(peer, host="127.0.0.1", port=free_port, elapsed_s=elapsed_s, timeout_s=5.0, depth=depth)
    await bus.open()
    try:
        await compare(bus, refuses=refuses)
    finally:
        await bus.close()


@contextlib.contextmanager
def cable() -> Iterator[tuple[str, str]]:
    """Two terminals, each the other end of the other."""
    pairs = [os.openpty(), os.openpty()]
    for _, end in pairs:
        tty.setraw(end)
    (one, _), (other, _) = pairs
    stop_read, stop_write = os.pipe()

    def carry() -> None:
        while True:
            ready, _, _ = select.select([one, other, stop_read], [], [])
            if stop_read in ready:
                return
            for source in ready:
                os.write(other if source == one else one, os.read(source, 4096))

    thread = threading.Thread(target=carry, daemon=True)
    thread.start()
    try:
        yield os.ttyname(pairs[0][1]), os.ttyname(pairs[1][1])
    finally:
        os.write(stop_write, b"x")
        thread.join(10)
        for descriptor in (*pairs[0], *pairs[1], stop_read, stop_write):
            os.close(descriptor)


@pytest.mark.parametrize("peer", ["modbus-tk", "umodbus"])
async def test_rtu(
    peer: str, server_command: Callable[[str, str], list[str]], start: Callable[[list[str]], None]
) -> None:
    words = server_command(peer, "rtu")
    with cable() as (ours, theirs):
        start([*words, theirs])
        bus = ModbusRtuBus(
            peer, port=ours, baud=115200, framing="8N1", elapsed_s=elapsed_s, timeout_s=2.0, latest_answer_s=3.0
        )
        await bus.open()
        try:
            await compare(bus, refuses=True)
        finally:
            await bus.close()
