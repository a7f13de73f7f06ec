"""A write stays within its rules whatever the device, the clock, the mode or a crash does; what is owed is served."""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from drivers.bus.base import BusCounts, Span, UnitTiming
from drivers.codec import PointCodec
from drivers.device import Device
from drivers.errors import DeviceRefused, LineDown, NoAnswer, WriteForbidden
from drivers.memory import DeviceMemory
from drivers.profile import Profile
from drivers.profile_file import parse_profile
from drivers.read_plan import LineCost
from drivers.sample import Cause
from drivers.writing import Reason, WriteOutcome

START_UTC = datetime(2026, 1, 15, 8, tzinfo=UTC)
WAIT_S = 10.0
HOURLY, DAILY = 3, 5
"""Limits of the set-point's register in these tests."""

HEAD: dict[str, Any] = {
    "zh": "机组",
    "en": "unit",
    "maker": "x",
    "category": "heat_pump",
    "level": "documented",
    "confidence": "low",
    "sources": ["x"],
}


def holding(address: int, **write: Any) -> dict[str, Any]:  # noqa: ANN401 - keys of a write rule
    point = {"zh": "点", "en": f"point {address}", "function": 3, "address": address, "type": "i16"}
    return point | {"access": "rw", "write": {"function": 6} | write}


POINTS: dict[str, Any] = {
    "mode": holding(0, min=1, max=2, step=1, wait_s=WAIT_S, volatile=True),
    "enable": holding(1, min=0, max=1, step=1, volatile=True),
    "setpoint": holding(
        2,
        min=5,
        max=55,
        step=0.5,
        deadband=0.2,
        per_hour=HOURLY,
        per_day=DAILY,
        expiry_s=600,
        safe=10,
        unlock=[{"point": "enable", "value": 1}],
        limits_by={"point": "mode", "values": {1: [5, 20], 2: [10, 55]}},
    )
    | {"scale": 0.1, "unit": "degC"},
    "capacity": holding(3, min=0, max=100, volatile=True, keep_alive_s=60, expiry_s=300),
    "reset": holding(4, min=0, max=1, per_hour=4, pulse={"reset": 0}),
    "defrost": holding(5, min=0, max=1, pulse={"reset": None}),
}
PROFILE: Profile = parse_profile(HEAD | {"points": POINTS}, name="unit")
ADDRESSES = {name: entry["address"] for name, entry in POINTS.items()}
NAMES = {address: name for name, address in ADDRESSES.items()}


class Killed(BaseException):
    """The process dies here."""


class Plant:
    """A unit, the disk and the clocks; it stands while the software dies and comes back."""

    def __init__(self, profile: Profile = PROFILE) -> None:
        self.profile = profile
        self.now_utc = START_UTC
        self.wall_s = 0.0
        self.registers = dict.fromkeys(ADDRESSES.values(), 0) | {0: 1, 2: 100}
        self.frames: list[tuple[str, float, datetime, float]] = []
        self.kept: str | None = None
        self.keeps = 0
        self.allowed = True
        self.answers = "well"
        self.clamp_at = 10**6
        self.die_at: str | None = None
        self.name = "fake"
        self.in_queue: Callable[[], object] = lambda: None
        self.cost = LineCost.serial(baud=9600, bits_per_character=10, turnaround_s=0.02)
        self.counts = BusCounts()
        self.start()

    def start(self) -> None:
        self.device = Device(
            "u",
            bus=self,
            unit=1,
            profile=self.profile,
            period_s=10,
            now_utc=lambda: self.now_utc,
            elapsed_s=lambda: self.wall_s,
            memory=DeviceMemory("u", kept=self.kept, keep=self.keep),
            may_write=lambda: self.allowed,
        )
        self.device._writer._sleep = self.sleep

    def pass_s(self, duration_s: float) -> None:
        self.now_utc += timedelta(seconds=duration_s)
        self.wall_s += duration_s

    async def sleep(self, duration_s: float) -> None:
        self.pass_s(duration_s)

    async def keep(self, text: str) -> None:
        self.die("before the disk has it")
        self.kept = text
        self.keeps += 1
        self.die("after the disk has it")

    def die(self, where: str) -> None:
        if self.die_at == where:
            self.die_at = None
            raise Killed(where)

    # the wire
    def expect(self, unit: int, timing: UnitTiming) -> None:
        """Nothing to learn."""

    def miss_s(self, unit: int) -> float:
        assert unit == 1
        return 0.1

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def read(self, span: Span, *, unit: int) -> Sequence[int]:
        assert unit == 1
        if self.answers == "silent":
            raise NoAnswer("silence")
        if self.answers == "down":
            raise LineDown("no port")
        return [self.registers[address] for address in range(span.address, span.end)]

    async def write(
        self,
        address: int,
        values: Sequence[int],
        *,
        unit: int,
        function: int,
        permit: Callable[[], bool] | None = None,
    ) -> None:
        assert (unit, function) == (1, 6)
        assert permit is not None
        self.in_queue()
        if not permit():
            raise WriteForbidden(self.name)
        self.die("before the frame")
        if self.answers == "down":
            raise LineDown("no port")
        name = NAMES[address]
        codec = PointCodec(self.profile.points[name])
        value = codec.decode(values)[0]
        assert value is not None
        self.check(name, value)
        self.frames.append((name, value, self.now_utc, self.wall_s))
        if self.answers == "refuses":
            raise DeviceRefused("x", code=2)
        if self.answers != "silent":
            self.registers[address] = min(values[0], self.clamp_at)
        self.die("after the frame")
        if self.answers in ("silent", "deaf"):
            raise NoAnswer("no echo")
        if self.answers == "lost":  # with its connection: the next question finds no port
            self.answers = "down"
            raise NoAnswer("sent, and the connection was lost")
        if self.answers == "working":
            raise DeviceRefused("accepted, still working", code=5)

    def check(self, name: str, value: float) -> None:
        """What must be true of every frame."""
        assert self.allowed, "a frame left although nothing may be written"
        spec = self.profile.points[name]
        assert spec.bounds is not None
        assert spec.bounds[0] <= value <= spec.bounds[1]
        if self.frames:
            last, _, _, at_s = self.frames[-1]
            before = self.profile.points[last].write
            assert before is not None
            assert self.wall_s >= at_s + before.wait_s or self.restarted_s >= at_s
        if name == "setpoint" and value != 10:  # the safe value ends a command in any mode
            assert self.registers[ADDRESSES["enable"]] == 1, "written before it was unlocked"
            lower, upper = {1: (5, 20), 2: (10, 55)}[self.registers[0]]
            assert lower <= value <= upper
        if name == "setpoint":
            for span_s, limit in ((3600, HOURLY), (86400, DAILY)):
                sent = [at for which, _, at, _ in self.frames if which == name]
                assert sum((self.now_utc - at).total_seconds() < span_s for at in sent) < limit

    restarted_s = float("-inf")

    def sent(self, name: str, value: float | None = None) -> int:
        return sum(which == name and value in (None, wrote) for which, wrote, _, _ in self.frames)

    async def write_point(self, name: str, value: float) -> WriteOutcome:
        return await self.device.write(name, value)


DEATHS = ["before the disk has it", "after the disk has it", "before the frame", "after the frame"]


class Writing(RuleBasedStateMachine):
    """Commands, crashes, silence, modes and hands at the panel, in any order."""

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.plant = Plant()
        self.pulses_asked = {"reset": 0, "defrost": 0}
        self.totals: dict[str, int] = {}

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self.loop.close()

    def do(self, work: Any) -> Any:  # noqa: ANN401 - any coroutine and its result
        try:
            return self.loop.run_until_complete(work)
        except Killed:
            self.restart()
            return None

    def restart(self) -> None:
        self.plant.die_at = None
        self.plant.restarted_s = self.plant.wall_s
        self.plant.start()

    @rule(name=st.sampled_from(sorted(POINTS)), value=st.one_of(st.floats(-5, 110), st.integers(0, 2), st.just(14.0)))
    def command(self, name: str, value: float) -> None:
        self.command_of(name, value)

    def command_of(self, name: str, value: float) -> None:
        if name in self.pulses_asked:
            self.pulses_asked[name] += 1
        outcome = self.do(self.plant.write_point(name, value))
        if outcome is not None and outcome.verified and name == "setpoint":
            shown = self.plant.registers[ADDRESSES["setpoint"]] / 10
            assert abs(shown - outcome.wrote) <= 0.25 + 1e-6
        if outcome is not None and not outcome.verified:
            assert outcome.reason is not Reason.NONE

    @rule(value=st.integers(10, 20))
    def set_point(self, value: int) -> None:
        self.command_of("setpoint", value)

    @rule()
    def pulse(self) -> None:
        self.command_of("reset", 1)

    @rule(name=st.sampled_from(["reset", "setpoint"]), where=st.sampled_from(DEATHS))
    def die_within(self, name: str, where: str) -> None:
        self.plant.die_at = where
        self.command_of(name, 1 if name == "reset" else 13)

    @rule()
    def serve(self) -> None:
        self.do(self.plant.device.serve())

    @rule(duration_s=st.sampled_from([1.0, 7.0, 40.0, 400.0, 1500.0, 4000.0, 30000.0]))
    def wait(self, duration_s: float) -> None:
        self.plant.pass_s(duration_s)

    @rule(allowed=st.booleans())
    def change_mode(self, *, allowed: bool) -> None:
        self.plant.allowed = allowed

    @rule(answers=st.sampled_from(["well", "well", "silent", "deaf", "lost", "working", "refuses", "down"]))
    def change_answers(self, answers: str) -> None:
        self.plant.answers = answers

    @rule(address=st.sampled_from([0, 1, 2]), value=st.integers(1, 2))
    def hand_at_the_panel(self, address: int, value: int) -> None:
        self.plant.registers[address] = value if address < 2 else 100 * value

    @rule()
    def stop_and_start(self) -> None:
        self.restart()

    @precondition(lambda self: self.plant.die_at is None)
    @rule(where=st.sampled_from(DEATHS))
    def die_next(self, where: str) -> None:
        self.plant.die_at = where

    @invariant()
    def counts_hold(self) -> None:
        if not hasattr(self, "plant"):
            return
        counts = self.plant.device.write_counts
        for name in ("setpoint", "reset", "defrost"):
            total = counts[name].total if name in counts else 0
            assert total >= self.totals.get(name, 0), "a count went down"
            assert total >= self.plant.sent(name), "a frame was not counted"
            self.totals[name] = self.plant.sent(name)

    @invariant()
    def pulses_are_sent_once(self) -> None:
        if hasattr(self, "plant"):
            for name, asked in self.pulses_asked.items():
                assert self.plant.sent(name, 1) <= asked

    @invariant()
    def what_is_owed_is_remembered(self) -> None:
        """A pulse that stands in the device is known to be ended later, whatever has died."""
        if hasattr(self, "plant") and self.plant.registers[ADDRESSES["reset"]] == 1:
            assert "reset" in self.plant.device._writer._pulses


TestWriting = Writing.TestCase
TestWriting.settings = settings(max_examples=settings().max_examples // 2, stateful_step_count=40, deadline=None)


@pytest.fixture
def plant() -> Plant:
    return Plant()


async def ready(plant: Plant) -> None:
    plant.registers |= {0: 2, 1: 1}


async def test_bounds_follow_the_mode(plant: Plant) -> None:
    plant.registers[0] = 1
    assert (await plant.write_point("setpoint", 30)).reason is Reason.OUT_OF_BOUNDS
    plant.registers[0] = 2
    assert (await plant.write_point("setpoint", 30)).verified
    plant.registers[0] = 3
    assert (await plant.write_point("setpoint", 15)).reason is Reason.NOT_NOW
    plant.answers = "silent"
    assert (await plant.write_point("setpoint", 15)).reason is Reason.LIMITS_UNKNOWN


async def test_between_two_codes_there_is_nothing_to_write() -> None:
    mode = holding(0, min=0, max=8, step=1) | {"values": {code: {"zh": "码", "en": "code"} for code in (0, 1, 8)}}
    plant = Plant(parse_profile(HEAD | {"points": {"mode": mode}}, name="unit"))
    for code, reason in ((4, Reason.OUT_OF_BOUNDS), (7.6, Reason.NONE), (1, Reason.NONE), (2, Reason.OUT_OF_BOUNDS)):
        outcome = await plant.device.write("mode", code)
        assert outcome.reason == reason, code
    assert [frame[1] for frame in plant.frames if frame[0] == "mode"] == [8, 1]


async def test_the_lock_is_opened_first_and_proven(plant: Plant) -> None:
    assert (await plant.write_point("setpoint", 15)).verified
    assert [(name, value) for name, value, _, _ in plant.frames] == [("enable", 1), ("setpoint", 15)]
    plant.registers[1] = 0
    plant.clamp_at = 0
    assert (await plant.write_point("setpoint", 18)).reason is Reason.LOCKED
    assert plant.frames[-1][:2] == ("enable", 1)


async def test_a_change_within_the_deadband_is_not_written(plant: Plant) -> None:
    await ready(plant)
    await plant.write_point("setpoint", 30)
    plant.registers[2] = 301
    outcome = await plant.write_point("setpoint", 30)
    assert outcome == WriteOutcome(verified=True, wrote=30.0, read_back=30.1, reason="")
    assert plant.sent("setpoint") == 1
    plant.registers[2] = 400  # somebody changes it: what we wrote last is not what stands there
    assert (await plant.write_point("setpoint", 30)).verified
    assert plant.sent("setpoint") == 2


async def test_a_replaced_set_point_is_found_out(plant: Plant) -> None:
    await ready(plant)
    plant.clamp_at = 250
    outcome = await plant.write_point("setpoint", 30)
    assert (outcome.verified, outcome.reason, outcome.read_back) == (False, Reason.READ_BACK_DIFFERS, 25.0)


async def test_room_is_left_for_the_safe_value(plant: Plant) -> None:
    await ready(plant)
    reasons = [(await plant.write_point("setpoint", 20 + number)).reason for number in range(HOURLY)]
    assert reasons == [Reason.NONE] * (HOURLY - 1) + [Reason.RATE_LIMIT]
    plant.pass_s(601)
    await plant.device.serve()
    assert plant.registers[2] == 100, "the command expired and its safe value stands"
    assert plant.sent("setpoint") == HOURLY


async def test_limits_of_the_day_outlive_restarts(plant: Plant) -> None:
    await ready(plant)
    verified = 0
    for number in range(DAILY + 3):
        plant.restarted_s = plant.wall_s
        plant.start()
        verified += (await plant.write_point("setpoint", 20 + number)).verified
        plant.pass_s(2500)
    assert verified == DAILY - 1
    plant.pass_s(86400)
    assert (await plant.write_point("setpoint", 45)).verified


async def test_a_clock_set_back_blocks_for_a_while_not_for_ever(plant: Plant) -> None:
    await ready(plant)
    for number in range(HOURLY - 1):
        assert (await plant.write_point("setpoint", 20 + number)).verified
    plant.now_utc -= timedelta(days=300)
    plant.frames.clear()
    assert (await plant.write_point("setpoint", 40)).reason is Reason.RATE_LIMIT
    plant.pass_s(3600)
    assert (await plant.write_point("setpoint", 40)).verified


async def test_commands_of_one_device_are_kept_apart(plant: Plant) -> None:
    assert (await plant.write_point("mode", 2)).verified
    plant.registers[1] = 1
    assert (await plant.write_point("setpoint", 40)).verified
    assert plant.frames[1][3] - plant.frames[0][3] == WAIT_S


async def test_a_pulse_is_sent_once_and_ended(plant: Plant) -> None:
    assert (await plant.write_point("reset", 1)).verified
    assert [(name, value) for name, value, _, _ in plant.frames] == [("reset", 1), ("reset", 0)]
    plant.answers = "deaf"
    outcome = await plant.write_point("reset", 1)
    assert outcome.verified, "no echo, but it shows"
    assert plant.sent("reset", 1) == 2
    assert plant.registers[4] == 0


@pytest.mark.parametrize("where", DEATHS)
async def test_a_pulse_survives_a_crash_at_any_point(plant: Plant, where: str) -> None:
    plant.die_at = where
    with pytest.raises(Killed):
        await plant.write_point("reset", 1)
    sent = plant.sent("reset", 1)
    assert sent == (where == "after the frame")
    plant.start()
    plant.allowed = False
    await plant.device.serve()
    assert len(plant.frames) == sent, "nothing leaves while nothing may be written"
    plant.allowed = True
    await plant.device.serve()
    assert plant.registers[4] == 0
    assert plant.sent("reset", 1) == sent, "the pulse itself is never repeated"
    assert plant.sent("reset", 0) == sent, "what shows its rest already needs no frame"


async def test_a_pulse_that_ends_itself_is_proven_by_its_echo(plant: Plant) -> None:
    plant.clamp_at = 0
    assert (await plant.write_point("defrost", 1)).verified
    plant.answers = "deaf"
    assert (await plant.write_point("defrost", 1)).reason is Reason.NO_ANSWER
    assert plant.sent("defrost") == 2


async def test_no_pulse_while_the_one_before_stands(plant: Plant) -> None:
    async def write(address: int, values: Sequence[int], **_: Any) -> None:  # noqa: ANN401 - as the bus
        plant.registers[address] = max(values[0], plant.registers[address])  # a contact that sticks

    plant.write = write  # type: ignore[method-assign]
    assert (await plant.write_point("reset", 1)).verified
    assert (await plant.write_point("reset", 1)).reason is Reason.PULSE_PENDING


async def test_a_watchdog_is_served_with_margin_while_its_command_is_in_force(plant: Plant) -> None:
    assert (await plant.write_point("capacity", 70)).verified
    kept = plant.keeps
    for second in range(0, 600, 5):
        plant.pass_s(5)
        assert plant.device.renew("capacity", 70), second
        await plant.device.serve()
    instants_s = [at_s for name, _, _, at_s in plant.frames if name == "capacity"]
    gaps_s = [later - earlier for earlier, later in itertools.pairwise(instants_s)]
    assert max(gaps_s) <= 35
    assert len(instants_s) <= 1 + 600 / 30
    assert plant.keeps == kept, "feeding a register that does not wear writes nothing to the disk"


async def test_a_control_that_died_is_not_kept_alive(plant: Plant) -> None:
    await plant.write_point("capacity", 70)
    for _ in range(200):
        plant.pass_s(5)
        await plant.device.serve()
    assert plant.frames[-1][3] < 300
    assert not plant.device.renew("capacity", 70), "it must be written again"
    assert (await plant.write_point("capacity", 70)).verified
    assert plant.device.renew("capacity", 70)


async def test_in_monitor_mode_nothing_is_fed_and_the_safe_value_is_owed(plant: Plant) -> None:
    await ready(plant)
    await plant.write_point("capacity", 70)
    await plant.write_point("setpoint", 40)
    frames = len(plant.frames)
    plant.allowed = False
    for _ in range(200):
        plant.pass_s(5)
        await plant.device.serve()
    assert len(plant.frames) == frames
    assert (await plant.write_point("setpoint", 41)).reason is Reason.MONITOR_MODE
    plant.allowed = True
    await plant.device.serve()
    assert [(name, value) for name, value, _, _ in plant.frames[frames:]] == [("setpoint", 10)]


@pytest.mark.parametrize("name", ["setpoint", "reset"])
async def test_a_mode_that_changes_while_the_disk_is_busy_stops_the_frame(plant: Plant, name: str) -> None:
    await ready(plant)

    async def keep(text: str) -> None:
        plant.kept = text
        plant.allowed = False

    plant.device._memory._keep = keep
    assert (await plant.write_point(name, 1 if name == "reset" else 30)).reason is Reason.MONITOR_MODE
    assert plant.frames == []
    plant.allowed = True
    plant.pass_s(700)
    await plant.device.serve()
    assert plant.frames == [], "what was never sent is not owed"


@pytest.mark.parametrize("name", ["setpoint", "reset"])
async def test_a_mode_that_changes_while_the_frame_waits_stops_it(plant: Plant, name: str) -> None:
    await ready(plant)

    def forbid() -> None:
        plant.allowed = False

    plant.in_queue = forbid
    assert (await plant.write_point(name, 1 if name == "reset" else 30)).reason is Reason.MONITOR_MODE
    plant.allowed = True
    plant.pass_s(700)
    await plant.device.serve()
    assert plant.frames == [], "what was never sent is not owed"


async def test_what_merely_shows_is_not_in_force(plant: Plant) -> None:
    await ready(plant)
    plant.registers[2] = 400
    assert not plant.device.renew("setpoint", 40), "it was not we who wrote it"
    assert (await plant.write_point("setpoint", 40)).verified
    assert plant.sent("setpoint") == 1
    assert plant.device.renew("setpoint", 40)
    assert (await plant.write_point("setpoint", 40.1)).verified
    assert plant.sent("setpoint") == 1


async def test_a_command_that_somebody_changed_is_left_alone(plant: Plant) -> None:
    await ready(plant)
    await plant.write_point("setpoint", 40)
    plant.registers[2] = 333
    plant.pass_s(601)
    await plant.device.serve()
    assert plant.registers[2] == 333


async def test_a_command_expires_after_a_restart_too(plant: Plant) -> None:
    await ready(plant)
    await plant.write_point("setpoint", 40)
    plant.start()
    await plant.device.serve()
    assert plant.registers[2] == 400, "its owner has its time to come back"
    plant.pass_s(601)
    plant.answers = "silent"
    await plant.device.serve()
    plant.answers = "well"
    await plant.device.serve()
    assert plant.registers[2] == 400, "not tried again at once"
    plant.pass_s(31)
    await plant.device.serve()
    assert plant.registers[2] == 100


async def test_a_clock_set_forward_ends_no_command(plant: Plant) -> None:
    await ready(plant)
    await plant.write_point("setpoint", 40)
    plant.now_utc += timedelta(hours=3)
    await plant.device.serve()
    assert plant.registers[2] == 400


@pytest.mark.parametrize("answers", ["lost", "working"])
async def test_a_pulse_whose_frame_left_is_ended_whatever_the_wire_says(plant: Plant, answers: str) -> None:
    plant.answers = answers
    await plant.write_point("reset", 1)
    assert plant.sent("reset", 1) == 1
    plant.answers = "well"
    plant.pass_s(31)
    await plant.device.serve()
    assert plant.registers[4] == 0
    assert plant.sent("reset", 1) == 1


async def test_a_pulse_that_never_left_is_not_owed(plant: Plant) -> None:
    plant.answers = "down"
    assert (await plant.write_point("reset", 1)).reason is Reason.LINE_DOWN
    assert plant.device._writer._pulses == []


@pytest.mark.parametrize("answers", ["lost", "deaf", "working"])
async def test_the_value_before_is_never_fed_over_one_that_may_have_been_taken(plant: Plant, answers: str) -> None:
    assert (await plant.write_point("capacity", 40)).verified
    plant.answers = answers
    await plant.write_point("capacity", 90)
    plant.answers = "well"
    for _ in range(20):
        plant.pass_s(5)
        await plant.device.serve()
    assert plant.registers[3] == 90
    assert plant.sent("capacity", 40) == 1


@pytest.mark.parametrize("taken", [True, False])
@pytest.mark.parametrize("restarts", [True, False])
async def test_whichever_of_our_values_stands_is_replaced_by_the_safe_one(
    plant: Plant, *, taken: bool, restarts: bool
) -> None:
    await ready(plant)
    assert (await plant.write_point("setpoint", 30)).verified
    plant.answers = "lost"
    assert not (await plant.write_point("setpoint", 40)).verified
    if not taken:
        plant.registers[2] = 300
    plant.answers = "well"
    if restarts:
        plant.start()
    for _ in range(150):
        plant.pass_s(30)
        await plant.device.serve()
    assert plant.registers[2] == 100


@pytest.mark.parametrize("code", [4, 5, 6])
async def test_an_exception_that_leaves_it_open_is_proven_by_the_state_point(plant: Plant, code: int) -> None:
    await ready(plant)
    send = plant.write

    async def write(*words: Any, **more: Any) -> None:  # noqa: ANN401 - as the bus
        await send(*words, **more)
        raise DeviceRefused("x", code=code)

    plant.write = write  # type: ignore[method-assign]
    assert (await plant.write_point("setpoint", 40)).verified
    assert plant.device.renew("setpoint", 40)


async def test_what_was_never_proven_is_not_fed_after_a_restart(plant: Plant) -> None:
    plant.clamp_at = 55
    assert (await plant.write_point("capacity", 90)).reason is Reason.READ_BACK_DIFFERS
    plant.start()
    frames = len(plant.frames)
    plant.pass_s(5)
    await plant.device.serve()
    assert len(plant.frames) == frames
    assert (await plant.write_point("capacity", 50)).verified
    plant.start()
    plant.pass_s(5)
    await plant.device.serve()
    assert plant.frames[-1][:2] == ("capacity", 50), "what was proven is fed at once"
    assert plant.sent("capacity", 50) == 2


async def test_room_is_known_before_a_command_is_given(plant: Plant) -> None:
    await ready(plant)
    assert plant.device.room("setpoint", frames=HOURLY - 1), "and one more for the safe value"
    assert not plant.device.room("setpoint", frames=HOURLY)
    assert plant.device.room("u.capacity", frames=100)
    assert not plant.device.room("nothing", frames=1)


@pytest.mark.parametrize(
    "kept", ['{"writes": 5, "pulses": {"a": 1}}', '{"writes": {"counts": {"setpoint": {"total": "x"}}}}', "["]
)
async def test_a_damaged_memory_starts_anew(plant: Plant, kept: str) -> None:
    plant.kept = kept
    plant.start()
    await ready(plant)
    assert (await plant.write_point("setpoint", 40)).verified
    assert plant.device.write_counts["setpoint"].total == 1


async def test_a_total_goes_on_over_a_restart_of_the_service() -> None:
    meter = {"zh": "累积", "en": "total", "function": 3, "address": 4, "type": "u16", "unit": "kWh"}
    meter |= {"counter": {"rate_max": 600, "rolls_over_at": 10_000}}
    plant = Plant(parse_profile(HEAD | {"points": {"total": meter}}, name="meter"))
    samples = []
    for shown in (9980, 9990, 5, 15, 25, None, 30):
        plant.pass_s(60)
        if shown is None:
            plant.start()
            continue
        plant.registers[4] = shown
        samples += await plant.device.poll()
    assert [sample.value for sample in samples] == [9980, 9990, 5, 15, 25, 30]
    doubted = [Cause.NONE, Cause.NONE, Cause.COUNTER_BACK, Cause.COUNTER_BACK, Cause.NONE, Cause.NONE]
    assert [sample.cause for sample in samples] == doubted
    assert [sample.correction for sample in samples] == [0, 0, 0, 0, 10_000, 10_000]
    assert plant.keeps == 3, "at the first reading of each run and when the correction changed"
