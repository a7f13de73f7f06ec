"""A device reads what is due, marks what it could not read, leaves a dead unit alone, and proves what it writes."""

import logging
import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from drivers.bus.base import BusCounts, Registers, Span, UnitTiming
from drivers.codec import PointCodec
from drivers.device import Device
from drivers.errors import DeviceRefused, DriverError, LineDown, NoAnswer, ProtocolFault
from drivers.link import DEAD_AFTER
from drivers.profile_file import parse_profile
from drivers.read_plan import LineCost
from drivers.sample import Cause, Quality, Sample
from drivers.writing import Reason, WriteOutcome

START_UTC = datetime(2026, 1, 15, 8, tzinfo=UTC)

POINTS: dict[str, dict[str, Any]] = {
    "flow": {"function": 3, "address": 0, "type": "u16", "scale": 0.1, "unit": "m3/h"},
    "supply": {
        "function": 3,
        "address": 1,
        "type": "i16",
        "scale": 0.1,
        "unit": "degC",
        "range": [-40, 150],
        "invalid": [0x7FFF],
        "needs_flow": {"point": "flow", "min": 1.0},
    },
    "power": {"function": 3, "address": 2, "type": "u16", "scale": 0.01, "unit": "kW", "times": ["ratio"]},
    "total": {"function": 3, "address": 500, "type": "f32", "unit": "kWh", "period_s": 60},
    "ratio": {"function": 3, "address": 900, "type": "u16", "period_s": 600, "range": [1, 1000]},
    "setpoint": {
        "function": 3,
        "address": 10,
        "type": "i16",
        "scale": 0.1,
        "unit": "degC",
        "access": "rw",
        "write": {"function": 6, "min": 35, "max": 58, "step": 0.5, "per_hour": 3, "state_point": "setpoint_state"},
    },
    "setpoint_state": {"function": 4, "address": 10, "type": "i16", "scale": 0.1, "unit": "degC", "period_s": 60},
    "run": {
        "function": 3,
        "address": 11,
        "type": "u16",
        "access": "w",
        "write": {
            "function": 16,
            "min": 0,
            "max": 1,
            "step": 1,
            "state_point": "state",
            "state_values": {0: [0], 1: [2, 3]},
        },
    },
    "state": {"function": 4, "address": 11, "type": "u16", "period_s": 60},
}


class FakeBus:
    """Registers in a dictionary; says what it is told to say."""

    def __init__(self) -> None:
        self.name = "fake"
        self.cost = LineCost.serial(baud=9600, bits_per_character=10, turnaround_s=0.02)
        self.counts = BusCounts()
        self.registers: dict[tuple[int, int], int] = {}
        self.reads: list[Span] = []
        self.writes: list[tuple[int, tuple[int, ...], int]] = []
        self.failing: dict[int, DriverError] = {}  # by address of the read
        self.down: DriverError | None = None
        self.fail_once: DriverError | None = None
        self.write_error: DriverError | None = None
        self.obeys = True
        self.mirror = {10: (4, 10), 11: (4, 11)}

    def expect(self, unit: int, timing: UnitTiming) -> None:
        """Nothing to learn."""

    def miss_s(self, unit: int) -> float:
        assert unit == 7
        return 1.0

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def read(self, span: Span, *, unit: int) -> tuple[int, ...]:
        assert unit == 7
        self.reads.append(span)
        once, self.fail_once = self.fail_once, None
        error = self.down or once or self.failing.get(span.address)
        if error is not None:
            raise error
        return tuple(self.registers.get((span.function, address), 0) for address in range(span.address, span.end))

    async def write(self, address: int, values: Sequence[int], *, unit: int, function: int, **_: object) -> None:
        assert unit == 7
        if self.down is not None:
            raise self.down
        self.writes.append((address, tuple(values), function))
        if self.obeys:
            self.registers[3, address] = values[0]
            self.registers[self.mirror[address]] = values[0]
        if self.write_error is not None:
            raise self.write_error


class Bench:
    """A device on a fake bus, with clocks that jump."""

    def __init__(self) -> None:
        self.bus = FakeBus()
        self.now_utc = START_UTC
        self.wall_s = 0.0
        points = {key: {"zh": "点", "en": key} | entry for key, entry in POINTS.items()}
        head = {"zh": "表", "en": "meter", "maker": "x", "category": "x", "level": "documented", "confidence": "low"}
        profile = parse_profile(head | {"sources": ["x"], "points": points}, name="meter")
        self.device = Device(
            "hm",
            bus=self.bus,
            unit=7,
            profile=profile,
            period_s=10,
            now_utc=lambda: self.now_utc,
            elapsed_s=lambda: self.wall_s,
            may_write=lambda: True,
        )
        self.set(flow=200, supply=455, power=1234, ratio=60, setpoint=450)
        low, high = struct.unpack(">2H", struct.pack(">f", 1234.5))
        self.bus.registers |= {(3, 500): low, (3, 501): high}

    def set(self, **raw: int) -> None:
        for name, value in raw.items():
            self.bus.registers[POINTS[name]["function"], POINTS[name]["address"]] = value

    def pass_s(self, duration_s: float) -> None:
        self.now_utc += timedelta(seconds=duration_s)
        self.wall_s += duration_s

    async def poll(self) -> dict[str, Sample]:
        samples = await self.device.poll()
        assert len({sample.point for sample in samples}) == len(samples)
        return {sample.point.removeprefix("hm."): sample for sample in samples}


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_the_first_poll_reads_all_points_in_few_requests(bench: Bench) -> None:
    samples = await bench.poll()
    assert {name: sample.value for name, sample in samples.items()} == {
        "flow": 20.0,
        "supply": 45.5,
        "power": pytest.approx(740.4),
        "total": 1234.5,
        "ratio": 60,
        "setpoint": 45.0,
        "setpoint_state": 0.0,
        "state": 0,
    }
    assert all(sample.quality is Quality.GOOD and sample.instant_utc == START_UTC for sample in samples.values())
    assert bench.bus.reads == [Span(3, 0, 11), Span(3, 500, 2), Span(3, 900, 1), Span(4, 10, 2)]
    assert bench.device.points["hm.power"].unit == "kW"


async def test_a_sample_is_of_the_instant_at_which_its_answer_was_complete_whenever_the_loop_comes_to_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = bench.bus.read

    async def read_late(span: Span, *, unit: int) -> Registers:
        bench.pass_s(0.5)
        answer = Registers(await read(span, unit=unit), complete_s=bench.wall_s)
        bench.pass_s(3.0)  # the loop was busy elsewhere
        return answer

    monkeypatch.setattr(bench.bus, "read", read_late)
    samples = await bench.poll()
    seen_s = {name: (sample.instant_utc - START_UTC).total_seconds() for name, sample in samples.items()}
    assert {seen_s[name] for name in ("flow", "supply", "power")} == {0.5}
    assert (seen_s["total"], seen_s["ratio"], seen_s["state"]) == (4.0, 7.5, 11.0)


async def test_points_are_read_when_they_are_due(bench: Bench) -> None:
    fast = {"flow", "supply", "power", "setpoint"}
    seen = []
    for _ in range(13):
        seen.append(set(await bench.poll()))
        bench.pass_s(10)
    slow = [number for number, names in enumerate(seen) if "total" in names]
    assert slow == [0, 6, 12]
    assert all(names >= fast for names in seen)
    assert sum("ratio" in names for names in seen) == 1


async def test_callers_who_wake_early_or_often_do_not_change_the_period(bench: Bench) -> None:
    await bench.poll()
    bench.pass_s(4)
    assert await bench.poll() == {}
    bench.pass_s(5.5)  # half a second before the point is due: an early waker must not lose a whole period
    assert "flow" in await bench.poll()
    bench.pass_s(10)
    assert "flow" in await bench.poll()
    bench.pass_s(35)  # periods were missed: one reading now, the next a period later
    assert "flow" in await bench.poll()
    bench.pass_s(4)
    assert "flow" not in await bench.poll()


async def test_a_clock_set_back_does_not_stop_the_readings(bench: Bench) -> None:
    await bench.poll()
    bench.now_utc -= timedelta(hours=3)
    assert "flow" in await bench.poll()
    bench.pass_s(10)
    assert "flow" in await bench.poll()


async def test_a_failed_request_spoils_exactly_its_own_points(bench: Bench) -> None:
    bench.bus.failing[500] = DeviceRefused("no such address", code=2)
    samples = await bench.poll()
    assert {name for name, sample in samples.items() if sample.quality is Quality.BAD} == {"total"}
    assert (samples["total"].value, samples["total"].cause) == (None, Cause.REFUSED)
    assert bench.device.fault is Cause.REFUSED


async def test_a_codec_that_breaks_costs_its_point_only_and_is_told_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks(self: PointCodec, registers: Sequence[int]) -> tuple[float | None, Cause]:
        if self.spec.name == "power":
            raise ZeroDivisionError("a codec with a fault")
        return decode(self, registers)

    decode = PointCodec.decode
    monkeypatch.setattr(PointCodec, "decode", breaks)
    for _ in range(2):
        samples = await bench.poll()
        assert {name for name, sample in samples.items() if sample.quality is Quality.BAD} == {"power"}
        assert (samples["power"].value, samples["power"].cause) == (None, Cause.CANNOT_DECODE)
        bench.pass_s(10)
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR] == [
        "registers cannot be decoded device=hm point=power"
    ]
    monkeypatch.setattr(PointCodec, "decode", decode)
    assert (await bench.poll())["power"].quality is Quality.GOOD


async def test_one_lost_answer_is_asked_for_again(bench: Bench) -> None:
    bench.bus.fail_once = NoAnswer("silence")
    assert all(sample.quality is Quality.GOOD for sample in (await bench.poll()).values())
    assert bench.bus.reads.count(Span(3, 0, 11)) == 2


@pytest.mark.parametrize(
    ("error", "cause"),
    [(NoAnswer("x"), Cause.NO_ANSWER), (ProtocolFault("x"), Cause.PROTOCOL), (LineDown("x"), Cause.LINE_DOWN)],
)
async def test_failures_have_their_cause_and_never_a_value(bench: Bench, error: DriverError, cause: Cause) -> None:
    await bench.poll()
    bench.pass_s(10)
    bench.bus.down = error
    samples = await bench.poll()
    assert set(samples) == {"flow", "supply", "power", "setpoint"}
    assert {(sample.value, sample.cause) for sample in samples.values()} == {(None, cause)}
    assert samples["flow"].instant_utc == bench.now_utc


async def test_a_dead_unit_is_left_alone_probed_and_welcomed_back(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="drivers")
    bench.bus.down = NoAnswer("silence")
    assert len(await bench.poll()) == 8, "a sample for every due point, though most requests were not sent"
    assert bench.device.dead
    assert len(bench.bus.reads) == DEAD_AFTER
    asked = len(bench.bus.reads)
    for _ in range(2):
        bench.pass_s(4)
        for sample in (await bench.poll()).values():
            assert sample.cause is Cause.NO_ANSWER
    assert len(bench.bus.reads) == asked, "10 s have not passed; nobody else is on the line"
    outcome = await bench.device.write("setpoint", 40)
    assert (outcome.verified, outcome.reason, bench.bus.writes) == (False, Reason.NO_ANSWER, [])
    bench.pass_s(5)
    await bench.poll()
    assert len(bench.bus.reads) == asked + 1, "one probe, not repeated"

    bench.bus.down = None
    bench.pass_s(20)
    samples = await bench.poll()
    assert len(samples) == 8, "slow points do not wait their whole period after an outage"
    assert all(sample.quality is Quality.GOOD for sample in samples.values())
    assert bench.device.fault is Cause.NONE
    words = [record.getMessage() for record in caplog.records]
    assert len(words) == 2
    assert "cannot be read device=hm" in words[0]
    assert "is read again device=hm" in words[1]
    assert "down_s=33.0" in words[1]


async def test_a_line_that_is_down_is_not_the_devices_fault(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="drivers")
    bench.bus.down = LineDown("no port")
    for _ in range(5):
        await bench.poll()
        bench.pass_s(10)
    assert not bench.device.dead
    bench.bus.down = None
    assert (await bench.poll())["flow"].quality is Quality.GOOD
    assert not caplog.records, "the line says it, once for all its devices"


async def test_a_temperature_without_flow_is_not_a_reading(bench: Bench) -> None:
    bench.set(flow=9)
    sample = (await bench.poll())["supply"]
    assert (sample.value, sample.cause) == (None, Cause.NO_FLOW)
    bench.set(flow=10)
    bench.pass_s(10)
    assert (await bench.poll())["supply"].value == 45.5


async def test_values_out_of_range_are_uncertain_and_marks_are_bad(bench: Bench) -> None:
    bench.set(supply=2000)
    sample = (await bench.poll())["supply"]
    assert (sample.value, sample.quality, sample.cause) == (200.0, Quality.UNCERTAIN, Cause.OUT_OF_RANGE)
    bench.set(supply=0x7FFF)
    bench.pass_s(10)
    assert (await bench.poll())["supply"].cause is Cause.INVALID_MARK


async def test_a_multiplied_value_waits_for_its_ratio(bench: Bench) -> None:
    bench.bus.failing[900] = DeviceRefused("x", code=2)
    sample = (await bench.poll())["power"]
    assert (sample.value, sample.cause) == (None, Cause.REFUSED)
    bench.bus.failing.clear()
    bench.set(ratio=0)  # not a plausible ratio
    bench.pass_s(10)
    assert (await bench.poll())["power"].cause is Cause.CANNOT_DECODE
    bench.set(ratio=40)
    bench.pass_s(10)
    samples = await bench.poll()
    assert samples["power"].value == pytest.approx(493.6)
    assert "ratio" in samples, "an unknown ratio is asked for at every poll"
    bench.pass_s(10)
    samples = await bench.poll()
    assert samples["power"].value == pytest.approx(493.6)
    assert "ratio" not in samples


async def test_a_unit_that_was_dead_may_be_another_one_with_another_ratio(bench: Bench) -> None:
    await bench.poll()
    bench.bus.down = NoAnswer("x")
    bench.pass_s(10)
    for _ in range(3):
        await bench.poll()
        bench.pass_s(10)
    assert bench.device.dead
    bench.bus.down = None
    bench.set(ratio=100)
    bench.pass_s(20)
    assert (await bench.poll())["power"].value == pytest.approx(1234.0)


async def test_a_write_is_rounded_sent_and_proven_by_the_state_point(bench: Bench) -> None:
    outcome = await bench.device.write("hm.setpoint", 45.3)
    assert outcome == WriteOutcome(verified=True, wrote=45.5, read_back=45.5, reason="")
    assert bench.bus.writes == [(10, (455,), 6)]
    assert bench.bus.reads == [Span(4, 10, 1)]


async def test_a_device_that_does_not_obey_is_found_out(bench: Bench) -> None:
    bench.bus.obeys = False
    outcome = await bench.device.write("setpoint", 50)
    assert outcome == WriteOutcome(verified=False, wrote=50.0, read_back=0.0, reason=Reason.READ_BACK_DIFFERS)


async def test_codes_written_and_read_may_differ(bench: Bench) -> None:
    bench.bus.mirror[11] = (4, 99)  # the state register follows by itself
    bench.set(state=2)
    assert (await bench.device.write("run", 1)).verified
    assert bench.bus.writes == [(11, (1,), 16)]
    bench.set(state=1)
    assert (await bench.device.write("run", 1)).reason == Reason.READ_BACK_DIFFERS
    bench.set(state=0)
    assert (await bench.device.write("run", 0)).verified


@pytest.mark.parametrize(
    ("point", "value", "reason"),
    [
        ("nothing", 1, Reason.UNKNOWN_POINT),
        ("flow", 1, Reason.NOT_WRITABLE),
        ("setpoint", 34.9, Reason.OUT_OF_BOUNDS),
        ("setpoint", 58.1, Reason.OUT_OF_BOUNDS),
        ("setpoint", float("nan"), Reason.NOT_A_NUMBER),
        ("setpoint", float("inf"), Reason.NOT_A_NUMBER),
    ],
)
async def test_what_the_rules_do_not_allow_never_reaches_the_wire(
    bench: Bench, point: str, value: float, reason: Reason
) -> None:
    outcome = await bench.device.write(point, value)
    assert (outcome.verified, outcome.reason, outcome.read_back) == (False, reason, None)
    assert bench.bus.writes == []
    assert bench.bus.reads == []


async def test_registers_that_wear_out_are_written_so_often_an_hour_only(bench: Bench) -> None:
    for value in (40, 41, 42):
        assert (await bench.device.write("setpoint", value)).verified
    assert (await bench.device.write("setpoint", 43)).reason == Reason.RATE_LIMIT
    bench.pass_s(3599)
    assert (await bench.device.write("setpoint", 43)).reason == Reason.RATE_LIMIT
    bench.pass_s(1)
    assert (await bench.device.write("setpoint", 43)).verified
    assert len(bench.bus.writes) == 4


async def test_a_lost_echo_is_decided_by_the_state_point_and_never_repeated(bench: Bench) -> None:
    bench.bus.write_error = NoAnswer("echo lost")
    assert (await bench.device.write("setpoint", 50)).verified
    bench.bus.obeys = False
    outcome = await bench.device.write("setpoint", 40)
    assert (outcome.verified, outcome.read_back, outcome.reason) == (False, 50.0, Reason.NO_ANSWER)
    assert len(bench.bus.writes) == 2


@pytest.mark.parametrize(
    ("error", "reason"), [(DeviceRefused("x", code=3), Reason.REFUSED), (LineDown("x"), Reason.LINE_DOWN)]
)
async def test_a_refused_write_says_so(bench: Bench, error: DriverError, reason: Reason) -> None:
    bench.bus.write_error = error
    bench.bus.obeys = False
    outcome = await bench.device.write("setpoint", 50)
    assert (outcome.verified, outcome.reason) == (False, reason)
    assert bench.bus.reads == []


async def test_a_write_without_read_back_is_not_verified(bench: Bench) -> None:
    bench.bus.failing[10] = ProtocolFault("x")
    outcome = await bench.device.write("setpoint", 50)
    assert (outcome.verified, outcome.read_back, outcome.reason) == (False, None, Reason.READ_BACK_FAILED)
