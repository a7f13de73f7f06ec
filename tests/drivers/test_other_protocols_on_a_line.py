"""A serial line knows no protocol: an electricity meter that speaks DL/T 645 shares it with Modbus units."""

import asyncio
import contextlib
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drivers.bus.base import Span, UnitTiming
from drivers.bus.exchange import Exchange
from drivers.bus.modbus_rtu import ModbusRtuBus, check_sum
from drivers.errors import DeviceRefused, DriverError, NoAnswer
from edge_agent.clock import elapsed_s

Slaves = Callable[[Callable[[int, bytes], list[tuple[float, bytes]]]], Any]

METER = bytes.fromhex("12 34 56 78 90 12")
TOTAL = bytes.fromhex("00 00 01 00")
"""Data identifier of the total active energy, 00 01 00 00 with the low byte first."""
PREAMBLE = b"\xfe" * 4
ADDED = 0x33
SILENCE_S = 0.02
GIVE_UP_S = 30.0


def framed(address: bytes, control: int, data: bytes) -> bytes:
    """A DL/T 645 frame: 68, address, 68, control, length, data with 33 added to each byte, sum, 16.

    Source: DL/T 645-2007, 5.2 (frame), 7.1 (reading).
    """
    body = b"\x68" + address + b"\x68" + bytes((control, len(data))) + bytes((byte + ADDED) & 0xFF for byte in data)
    return body + bytes((sum(body) & 0xFF, 0x16))


class ReadEnergy:
    """Reads one data identifier; test only."""

    silence_s = SILENCE_S
    repeatable = True
    mirrored = False

    def __init__(self, address: bytes, identifier: bytes, *, size: int = 4) -> None:
        self.partner: Hashable = address
        self.request = PREAMBLE + framed(address, 0x11, identifier)
        asked = bytes((byte + ADDED) & 0xFF for byte in identifier)
        self.head = b"\x68" + address + b"\x68\x91" + bytes((4 + size,)) + asked
        self.refusal = b"\x68" + address + b"\x68\xd1"
        self.answer_length = len(self.head) + size + 2

    def variants(self) -> Sequence[Exchange[Any]]:
        return ()

    def look(self, received: bytes) -> int | None:
        at = received.find(self.head)
        frame = received[at : at + self.answer_length] if at >= 0 else b""
        if len(frame) == self.answer_length and frame[-2] == sum(frame[:-2]) & 0xFF and frame[-1] == 0x16:
            digits = bytes((byte - ADDED) & 0xFF for byte in frame[len(self.head) : -2])
            return int(digits[::-1].hex())
        at = received.find(self.refusal)
        if at >= 0 and len(received) >= at + 13:
            raise DeviceRefused("no such data", code=received[at + 10])
        return None


def slave_script(number: int, request: bytes) -> list[tuple[float, bytes]]:
    if request.startswith(PREAMBLE):
        if request[5:11] != METER:
            return []
        if request[14:18] == bytes((byte + ADDED) & 0xFF for byte in TOTAL):
            return [(0.03, PREAMBLE), (0, framed(METER, 0x91, TOTAL + bytes.fromhex("78 56 34 12")))]
        return [(0.03, framed(METER, 0xD1, b"\x02"))]
    body = bytes((request[0], 3, 2)) + number.to_bytes(2, "big")
    return [(0, body + check_sum(body))]


async def test_a_dlt645_meter_and_modbus_units_share_a_line(slaves: Slaves) -> None:
    slave = slaves(slave_script)
    bus = ModbusRtuBus("line", port=slave.path, baud=115200, framing="8N1", elapsed_s=elapsed_s, timeout_s=0.1)
    bus.line.expect(METER, UnitTiming(timeout_s=0.3, guard_s=0.05, latest_answer_s=0.4))
    bus.line.expect(b"nobody", UnitTiming(timeout_s=0.05, latest_answer_s=0.1))
    await bus.open()
    try:
        while True:
            with contextlib.suppress(DriverError):
                await bus.read(Span(3, 0, 1), unit=1)
                break
        for _ in range(2):
            assert await bus.line.transact(ReadEnergy(METER, TOTAL)) == 12345678
            assert await bus.line.transact(ReadEnergy(METER, TOTAL)) == 12345678
            (value,) = await bus.read(Span(3, 0, 1), unit=1)
            assert value == len(slave.requests) - 1
        with pytest.raises(DeviceRefused):
            await bus.line.transact(ReadEnergy(METER, b"\x00\x00\x02\x00"))
        with pytest.raises(NoAnswer):
            await bus.line.transact(ReadEnergy(b"nobody", TOTAL))
        assert len(await bus.read(Span(3, 0, 1), unit=1)) == 1
        preamble_s = len(PREAMBLE) * bus.line.bits_per_character / 115200
        assert 0.02 <= bus.line.pace(METER).turnaround_s + preamble_s < 0.3  # this slave sends faster than the wire
        assert bus.pace(1).turnaround_s < bus.pace(METER).turnaround_s + preamble_s
    finally:
        await bus.close()
    first, second = [at_s for at_s, request in slave.requests if request.startswith(PREAMBLE)][:2]
    assert second - first >= 0.03 + 0.05, "turnaround, then the rest that this meter wants"


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(babble=st.binary(max_size=40))
def test_any_bytes_give_an_error_or_the_value(slaves: Slaves, babble: bytes) -> None:
    async def scenario() -> None:
        slave = slaves(lambda number, request: [(0, babble)] if number == 0 else slave_script(number, request))
        bus = ModbusRtuBus("line", port=slave.path, baud=115200, framing="8N1", elapsed_s=elapsed_s, timeout_s=0.1)
        bus.line.expect(METER, UnitTiming(timeout_s=0.05, latest_answer_s=0.06))
        await bus.open()
        try:
            outcomes: list[int | None] = []
            began_s = elapsed_s()
            # A busy machine may let an honest answer come too late as well: an error again, never another value.
            while 12345678 not in outcomes and elapsed_s() - began_s < GIVE_UP_S:
                try:
                    outcomes.append(await bus.line.transact(ReadEnergy(METER, TOTAL)))
                except DriverError:
                    outcomes += [None] * bool(bus.counts.requests)
            assert outcomes[0] is None
            assert set(outcomes[1:-1]) <= {None}, "it has no proofs, so silence must show that nothing is owed"
            assert outcomes[-1] == 12345678
        finally:
            await bus.close()

    asyncio.run(scenario())
