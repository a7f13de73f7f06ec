"""Our serial bus on the simulated line with each of its faults: no wrong value, and no more missing than must be.

The slaves hold their address and unit number in each register, so that any mix-up of two answers shows.
"""

import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from drivers.bus.base import Span
from drivers.bus.modbus_rtu import ModbusRtuBus
from drivers.errors import DriverError, LineDown, NoAnswer
from edge_agent.clock import elapsed_s
from hil_sim.line import SerialLine
from hil_sim.wire_faults import WireFaults
from hil_sim.wire_log import WireLog

BAUD = 115200
TIMEOUT_S = 0.05
LATEST_S = 0.15
UNITS = (1, 2)


@dataclass
class Mirror:
    """A slave whose registers hold unit and address; it takes every write."""

    unit: int
    late_s: float = 0.0
    mute: bool = False
    written: int = 0

    @property
    def name(self) -> str:
        return f"mirror_{self.unit}"

    def requested(self, function: int) -> None:
        self.written += function not in (1, 2, 3, 4)

    def answer(self, request: bytes) -> bytes | None:
        if self.mute:
            return None
        function, address, count = struct.unpack(">BHH", request[:5])
        if function not in (3, 4):
            return request[:5]
        return struct.pack(f">BB{count}H", function, 2 * count, *self.registers(address, count))

    def registers(self, address: int, count: int) -> list[int]:
        return [(self.unit << 12 | place) & 0xFFFF for place in range(address, address + count)]


@asynccontextmanager
async def wired(
    *,
    link: Path | None = None,
    **options: Any,  # noqa: ANN401 - arguments of the bus
) -> AsyncIterator[tuple[ModbusRtuBus, SerialLine, dict[int, Mirror]]]:
    """Two slaves, their line, and our bus on it."""
    slaves = {unit: Mirror(unit) for unit in UNITS}
    line = SerialLine(
        "line",
        list(slaves.values()),
        baud=BAUD,
        turnaround_s=0.002,
        now_s=lambda: 0.0,
        wall_s=elapsed_s,
        log=WireLog(),
        link=link,
        seed=11,
    )
    line.start()
    arguments = {"timeout_s": TIMEOUT_S, "latest_answer_s": LATEST_S} | options
    bus = ModbusRtuBus("line", port=line.path, baud=BAUD, framing="8N1", elapsed_s=elapsed_s, **arguments)
    await bus.open()
    try:
        yield bus, line, slaves
    finally:
        await bus.close()
        line.stop()


async def read_round(bus: ModbusRtuBus, slaves: dict[int, Mirror], rounds: int, *, count: int = 3) -> list[bool]:
    """Reads another address each time from both units; says which reads were answered; a wrong value fails."""
    answered = []
    for address in range(rounds):
        for unit, slave in slaves.items():
            try:
                values = await bus.read(Span(3, 7 * address, count), unit=unit)
            except DriverError:
                answered.append(False)
            else:
                assert list(values) == slave.registers(7 * address, count), f"WRONG VALUE unit={unit}"
                answered.append(True)
    return answered


STARVED_MAX = 2
"""Reads that a machine with more to do than cores may cost, whatever the wire does: its slaves answer too late."""


@pytest.mark.parametrize(
    ("faults", "missing_max"),
    [
        (WireFaults(), 0),
        (WireFaults(late_every=5, late_s=0.08), 2),  # within the rest: the time-out is learned from the first
        (WireFaults(noise_every=3, noise_before=2, noise_after=3), 0),
        (WireFaults(noise_every=1, noise_before=1), 0),
        (WireFaults(cut_every=4), 12),
        (WireFaults(garbage_every=4), 16),
        (WireFaults(flip_every=4), 14),
        (WireFaults(echo=True), 0),
        (WireFaults(echo=True, noise_every=2, noise_before=1), 0),
        (WireFaults(latency_s=0.016), 0),
        (WireFaults(strict=True), 0),
        (WireFaults(min_gap_s=0.02), 10),  # until the rest that they need is learned
        (WireFaults(units=frozenset({1}), min_gap_s=0.01, late_every=6, late_s=0.1), 10),
    ],
)
async def test_no_fault_of_the_wire_makes_a_wrong_value(faults: WireFaults, missing_max: int) -> None:
    async with wired() as (bus, line, slaves):
        line.faults = faults
        answered = await read_round(bus, slaves, 20)
        assert answered.count(False) <= missing_max + STARVED_MAX
        line.faults = WireFaults()
        assert all((await read_round(bus, slaves, 4))[2:]), "one request at most finds out that all is well again"
        assert line.statistics.gap_violations == 0


async def test_answers_later_than_anybody_believed_are_not_taken_for_others() -> None:
    """Each answer comes 0.4 s late, the line rests 0.15 s: without proofs every read would get the one before."""
    async with wired() as (bus, line, slaves):
        line.faults = WireFaults(late_every=1, late_s=0.4, units=frozenset({1}))
        answered = await read_round(bus, {1: slaves[1]}, 8)
        assert answered[-3:] == [True] * 3, "the slow unit has been learned"
        assert bus.pace(1).latest_answer_s > 0.4
        assert bus.counts.late > 0
        line.faults = WireFaults()
        assert all(await read_round(bus, slaves, 3))


async def test_a_single_register_is_proven_by_the_other_kind() -> None:
    async with wired() as (bus, line, slaves):
        line.faults = WireFaults(late_every=1, late_s=0.4, units=frozenset({1}))
        answered = await read_round(bus, {1: slaves[1]}, 8, count=1)
        assert answered[-3:] == [True] * 3


async def test_a_unit_that_answers_no_proof_is_not_given_up() -> None:
    async with wired() as (bus, _, slaves):
        answer = slaves[1].answer
        swallowed = iter([True, False])

        def picky(request: bytes) -> bytes | None:
            if request[4] != 3 or request[0] != 3 or next(swallowed, False):
                return None  # silent to anything but reads of three registers, and once to those
            return answer(request)

        slaves[1].answer = picky  # type: ignore[method-assign] # a slave with a mind of its own
        answered = await read_round(bus, {1: slaves[1]}, 12)
        assert answered[-4:] == [True] * 4
        assert all(await read_round(bus, {2: slaves[2]}, 2))


async def test_w6_an_echoing_adapter_before_a_dead_slave_reports_no_success() -> None:
    async with wired() as (bus, line, slaves):
        line.faults = WireFaults(echo=True)
        slaves[1].mute = True
        with pytest.raises(NoAnswer):  # the very first request on the line
            await bus.write(4, [50], unit=1, function=6)
        assert slaves[1].written == 1, "sent once"
        await bus.write(4, [50], unit=2, function=6)
        await bus.write(4, [1], unit=2, function=5)
        await bus.write(4, [50, 51], unit=2, function=16)
        assert bus.counts.echoed == 5, "the test and four writes"
        assert bus.counts.writes == 4
        slaves[1].mute = False
        assert all(await read_round(bus, slaves, 3))


async def test_w6_without_an_echo_a_mirrored_answer_is_success() -> None:
    async with wired() as (bus, _, slaves):
        await bus.write(4, [50], unit=1, function=6)
        assert slaves[1].written == 1
        assert bus.counts.echoed == 0


async def test_an_echo_that_comes_and_goes_is_noticed(caplog: pytest.LogCaptureFixture) -> None:
    async with wired(timeout_s=0.3) as (bus, line, slaves):  # nothing but the mute unit may be missing
        for echo in (False, True, False):
            line.faults = WireFaults(echo=echo)
            assert all(await read_round(bus, slaves, 2))
            await bus.write(4, [50], unit=2, function=6)
            slaves[1].mute = True
            with pytest.raises(NoAnswer):
                await bus.write(4, [50], unit=1, function=6)
            slaves[1].mute = False
    words = [record.getMessage().split(" bus=")[0].split(":")[0] for record in caplog.records]
    assert [word for word in words if "echoes" in word] == ["line echoes", "line echoes no more"]


async def test_a_dead_neighbour_costs_what_was_said_and_no_more() -> None:
    async with wired() as (bus, line, slaves):
        assert all(await read_round(bus, slaves, 2))
        slaves[1].mute = True
        before_s = bus.counts.busy_s
        begin_s = elapsed_s()
        assert await read_round(bus, {1: slaves[1]}, 1) == [False]
        assert all(await read_round(bus, {2: slaves[2]}, 1))
        took_s = elapsed_s() - begin_s
        assert took_s == pytest.approx(bus.miss_s(1), abs=0.05)
        assert bus.counts.busy_s - before_s == pytest.approx(took_s, abs=0.05)
        assert (bus.counts.silent, line.statistics.gap_violations) == (1, 0)


async def test_an_adapter_comes_back_as_another_node_behind_the_same_name(tmp_path: Path) -> None:
    async with wired(link=tmp_path / "usb-adapter") as (bus, line, slaves):
        assert all(await read_round(bus, slaves, 2))
        line.unplug()
        with pytest.raises(LineDown):
            await bus.read(Span(3, 0, 1), unit=1)
        line.plug_in()
        begin_s = elapsed_s()
        while not await _answers(lambda: bus.read(Span(3, 0, 1), unit=1)):
            assert elapsed_s() - begin_s < 3.0
        assert bus.counts.reopened == 1
        assert all(await read_round(bus, slaves, 2))


async def _answers(read: Callable[[], Any]) -> bool:
    try:
        await read()
    except LineDown:
        return False
    return True
