"""Whatever registers a device refuses, and whether it refuses or keeps silent: all other points are read soon."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.bus.base import BusCounts, Span, UnitTiming
from drivers.device import Device
from drivers.errors import DeviceRefused, DriverError, NoAnswer
from drivers.holes import NOTHING, Finding, HoleBook, Hunt
from drivers.memory import DeviceMemory
from drivers.profile import Profile
from drivers.profile_file import parse_profile
from drivers.read_plan import LineCost, Want
from drivers.reading import REFUSED_PACE_S, RETEST_FIRST_S, RETEST_S
from drivers.sample import Cause, Quality, Sample

START_UTC = datetime(2026, 1, 15, 8, tzinfo=UTC)
PERIOD_S = 10.0
HEAD = {"zh": "表", "en": "meter", "maker": "x", "category": "x", "level": "documented", "confidence": "low"}


class HollowBus:
    """A unit with holes: a read that touches one is refused, or met with silence."""

    def __init__(self, holes: set[int], *, silent: bool = False, longest: int = 125) -> None:
        self.name = "hollow"
        self.cost = LineCost.serial(baud=9600, bits_per_character=10, turnaround_s=0.05)
        self.counts = BusCounts()
        self.holes = holes
        self.silent = silent
        self.longest = longest
        self.reads: list[Span] = []
        self.next_error: DriverError | None = None
        self.dead = False

    def expect(self, unit: int, timing: UnitTiming) -> None:
        """Nothing to learn."""

    def miss_s(self, unit: int) -> float:
        """Short, so that the account of the line does not slow the hunt."""
        assert unit == 1
        return 0.2

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def read(self, span: Span, *, unit: int) -> tuple[int, ...]:
        assert unit == 1
        self.reads.append(span)
        error, self.next_error = self.next_error, None
        if error is not None:
            raise error
        bad = self.holes & set(range(span.address, span.end)) or span.count > self.longest
        if self.dead or (bad and self.silent):
            raise NoAnswer("silence")
        if bad:
            raise DeviceRefused("no such address", code=2)
        return tuple(range(span.address, span.end))

    async def write(self, address: int, values: object, *, unit: int, function: int, **_: object) -> None:
        raise AssertionError((address, values, unit, function))


def profile_at(places: list[int], **more: object) -> Profile:
    points = {f"p{place}": {"zh": "点", "en": "p", "function": 3, "address": place, "type": "u16"} for place in places}
    return parse_profile(HEAD | {"sources": ["x"], "points": points} | more, name="meter")


class Bench:
    def __init__(
        self, places: list[int], bus: HollowBus, *, memory: DeviceMemory | None = None, **more: object
    ) -> None:
        self.bus = bus
        self.now_utc = START_UTC
        self.wall_s = 0.0
        self.device = Device(
            "hm",
            bus=bus,
            unit=1,
            profile=profile_at(places, **more),
            period_s=PERIOD_S,
            now_utc=lambda: self.now_utc,
            elapsed_s=lambda: self.wall_s,
            memory=memory,
        )

    async def poll(self) -> dict[str, Sample]:
        self.bus.reads.clear()
        samples = await self.device.poll()
        self.now_utc += timedelta(seconds=PERIOD_S)
        self.wall_s += PERIOD_S
        return {sample.point.removeprefix("hm."): sample for sample in samples}


@settings(max_examples=60, deadline=None)
@given(
    places=st.sets(st.integers(0, 60), min_size=1, max_size=12),
    holes=st.sets(st.integers(0, 60), max_size=5),
    silent=st.booleans(),
    shy=st.booleans(),
    longest=st.sampled_from([125, 125, 20]),
)
async def test_every_point_that_the_device_has_is_read_soon(
    places: set[int],
    holes: set[int],
    silent: bool,  # noqa: FBT001 - drawn
    shy: bool,  # noqa: FBT001 - drawn
    longest: int,
) -> None:
    bus = HollowBus(holes, silent=silent, longest=longest)
    bench = Bench(sorted(places), bus, limits={"silent_beyond": shy})
    usual = sum(1 for _ in places)
    samples: dict[str, Sample] = {}
    for _ in range(60):
        samples = await bench.poll()
        assert len(bus.reads) <= 2 * usual + 2 + bench.device._reader._tests_per_poll(), "the hunt is bounded"
        for name, sample in samples.items():
            place = int(name[1:])
            assert sample.value is None or (sample.value == place and place not in holes), "a wrong value"
    alive = places - holes
    good = {name for name, sample in samples.items() if sample.quality is Quality.GOOD}
    if alive:
        assert good == {f"p{place}" for place in alive}
        # What the plan settled on is never refused, but for points that do not exist, which are asked seldom.
        assert len(bus.reads) <= len(places) + 1


async def test_a_hole_costs_a_few_reads_once_and_every_point_has_a_value_at_the_second_poll() -> None:
    bench = Bench([0, 2, 4, 6, 10, 12, 14, 16], HollowBus({8}))
    first = await bench.poll()
    assert bench.bus.reads == [Span(3, 0, 17), Span(3, 0, 7), Span(3, 10, 7), Span(3, 6, 5)]
    assert all(sample.quality is Quality.GOOD for sample in first.values()), "the halves brought the values"
    assert bench.device.holes == (Span(3, 7, 3),)
    await bench.poll()
    assert bench.bus.reads == [Span(3, 0, 7), Span(3, 10, 7)]


async def test_holes_outlive_a_restart_but_not_another_profile() -> None:
    kept: list[str] = []

    async def keep(text: str) -> None:
        kept.append(text)

    places = [0, 2, 6, 8]
    bench = Bench(places, HollowBus({4}), memory=DeviceMemory("hm", keep=keep))
    await bench.poll()
    again = Bench(places, HollowBus({4}), memory=DeviceMemory("hm", kept=kept[-1]))
    await again.poll()
    assert again.bus.reads == [Span(3, 0, 3), Span(3, 6, 3)]
    other = Bench([*places, 9], HollowBus({4}), memory=DeviceMemory("hm", kept=kept[-1]))
    assert other.device.holes == ()


async def test_an_exchanged_device_starts_without_holes() -> None:
    bench = Bench([0, 2, 6, 8], HollowBus({4}), identity=["p0"])
    await bench.poll()
    assert bench.device.holes
    book = HoleBook(profile_at([0]), None)
    assert not book.identify({"serial": 1.0}), "nothing to keep yet"
    book.learn(Finding(hole=Span(3, 4, 1)))
    assert not book.identify({"serial": 1.0})
    assert book.identify({"serial": 2.0})
    assert book.holes == []


@pytest.mark.parametrize("code", [5, 6, 4, 1])
async def test_a_busy_or_broken_device_has_no_hole(code: int) -> None:
    bench = Bench([0, 2, 6, 8], HollowBus(set()))
    bench.bus.next_error = DeviceRefused("busy", code=code)
    samples = await bench.poll()
    assert {sample.cause for sample in samples.values()} == {Cause.REFUSED}
    assert len(bench.bus.reads) == 1
    await bench.poll()
    assert (bench.bus.reads, bench.device.holes) == ([Span(3, 0, 9)], ())


@pytest.mark.parametrize("error", [DeviceRefused("once", code=2), DeviceRefused("once", code=3)])
async def test_a_refusal_that_passes_is_not_learned(error: DriverError) -> None:
    bench = Bench([0, 2, 6, 8], HollowBus(set()))
    bench.bus.next_error = error
    samples = await bench.poll()
    assert all(sample.quality is Quality.GOOD for sample in samples.values())
    await bench.poll()
    assert (bench.bus.reads, bench.device.holes) == ([Span(3, 0, 9)], ())


async def test_a_point_that_is_refused_alone_is_bad_and_asked_seldom() -> None:
    bench = Bench([0, 2, 300], HollowBus({300}))
    asked = 0
    for _ in range(60):
        samples = await bench.poll()
        asked += Span(3, 300, 1) in bench.bus.reads
        assert samples["p300"].cause is Cause.REFUSED
        assert samples["p0"].quality is Quality.GOOD
    assert asked == 2, "twice to believe it, then not for ten minutes"
    bench.bus.holes.clear()  # new firmware
    for _ in range(3):
        samples = await bench.poll()
    assert 60 * PERIOD_S > REFUSED_PACE_S - 2 * PERIOD_S
    assert samples["p300"].quality is Quality.GOOD
    assert bench.device.holes == ()


async def test_a_unit_that_is_silent_about_holes_is_not_taken_for_dead() -> None:
    bench = Bench([0, 2, 6, 8], HollowBus({4}, silent=True), limits={"silent_beyond": True})
    samples: dict[str, Sample] = {}
    for _ in range(4):
        samples = await bench.poll()
        assert not bench.device.dead
    assert all(sample.quality is Quality.GOOD for sample in samples.values())
    assert bench.device.holes == (Span(3, 3, 3),)


async def test_a_dead_unit_has_no_holes() -> None:
    bench = Bench([0, 2, 6, 8], HollowBus(set()))
    bench.bus.dead = True
    for _ in range(10):
        await bench.poll()
    assert bench.device.dead
    bench.bus.dead = False
    for _ in range(3):
        samples = await bench.poll()
    assert bench.device.holes == ()
    assert bench.bus.reads == [Span(3, 0, 9)]
    assert all(sample.quality is Quality.GOOD for sample in samples.values())


async def test_a_device_that_answers_short_reads_only_gets_short_reads() -> None:
    bench = Bench(list(range(0, 60, 3)), HollowBus(set(), longest=30))
    for _ in range(6):
        samples = await bench.poll()
    assert all(sample.quality is Quality.GOOD for sample in samples.values())
    assert max(span.count for span in bench.bus.reads) <= 30
    assert bench.device.holes == ()


def hunt(wants: list[Want], *, refuses: set[int]) -> tuple[Finding, int]:
    chase, count = Hunt(wants, silent=False), 0
    while chase.finding is None:
        span = chase.group_span
        chase.tell(answered=not refuses & set(range(span.address, span.end)))
        count += 1
    return chase.finding, count


async def lossy_bench(places: list[int], **more: object) -> Bench:
    """A device without holes of which a hole at 8 was learned, because answers got lost."""
    bus = HollowBus({8})
    bench = Bench(places, bus, **more)
    for _ in range(3):
        await bench.poll()
    assert bench.device.holes
    bus.holes = set()
    return bench


async def test_a_hole_that_is_none_is_forgotten_later_and_the_read_is_whole_again() -> None:
    bench = await lossy_bench([0, 2, 4, 6, 10, 12, 14, 16])
    await bench.poll()
    assert bench.bus.reads == [Span(3, 0, 7), Span(3, 10, 7)], "it is not asked at every poll"
    bench.wall_s += RETEST_FIRST_S
    samples = await bench.poll()
    assert bench.bus.reads == [Span(3, 0, 7), Span(3, 10, 7), Span(3, 6, 5)]
    assert all(sample.quality is Quality.GOOD for sample in samples.values())
    assert not bench.device.holes
    await bench.poll()
    assert bench.bus.reads == [Span(3, 0, 17)]


@pytest.mark.parametrize("silent", [False, True])
async def test_a_hole_that_is_one_costs_a_read_a_day(silent: bool) -> None:  # noqa: FBT001 - drawn
    bench = await lossy_bench([0, 2, 4, 6, 10, 12, 14, 16])
    bench.bus.holes, bench.bus.silent = {8}, silent
    bench.wall_s += RETEST_FIRST_S
    asked = 0
    for _ in range(20):
        samples = await bench.poll()
        assert all(sample.quality is Quality.GOOD for sample in samples.values())
        asked += sum(read.address <= 8 < read.end for read in bench.bus.reads)
    assert asked == 1
    assert not bench.device.dead
    bench.wall_s += RETEST_S
    await bench.poll()
    assert Span(3, 6, 5) in bench.bus.reads
    assert bench.device.holes


async def test_a_forbidden_register_is_never_looked_at_again() -> None:
    bench = await lossy_bench([0, 2, 4, 6, 10, 12, 14, 16])
    limits = replace(bench.device.profile.limits, forbidden=((3, 9, 9),))
    bench.device._reader._profile = replace(bench.device.profile, limits=limits)
    bench.wall_s += RETEST_FIRST_S
    for _ in range(3):
        await bench.poll()
        assert not any(read.address <= 9 < read.end for read in bench.bus.reads)
    assert bench.device.holes, "it makes no difference"


async def test_a_device_that_answers_long_reads_after_all_gets_them() -> None:
    bus = HollowBus(set(), longest=10)
    bench = Bench(list(range(0, 24, 2)), bus)
    for _ in range(4):
        await bench.poll()
    assert len(bus.reads) > 1
    bus.longest = 125
    bench.wall_s += RETEST_FIRST_S
    await bench.poll()
    await bench.poll()
    assert bus.reads == [Span(3, 0, 23)]


def test_a_hunt_halves() -> None:
    wants = [Want((f"p{number}",), Span(3, 2 * number, 1)) for number in range(64)]
    finding, count = hunt(wants, refuses={41})
    assert finding == Finding(hole=Span(3, 41, 1))
    assert count <= 14
    finding, count = hunt(wants, refuses={40})
    assert finding == Finding(hole=Span(3, 40, 1), refused=("p20",))
    assert count <= 14
    assert hunt(wants, refuses=set())[0] == NOTHING


@pytest.mark.parametrize(
    "kept", [None, 3, [], {"profile": "x"}, {"profile": None, "holes": 7}, {"holes": [[1]], "identity": [1]}]
)
def test_what_was_kept_may_be_anything(kept: object) -> None:
    assert HoleBook(profile_at([0]), kept).holes == []


def test_damaged_entries_are_left_out() -> None:
    book = HoleBook(profile_at([0]))
    kept = book.as_json() | {
        "holes": [[3, 4, 1], [3, -1, 2], ["3", 4, 1], 5],
        "registers_max": True,
        "identity": {"a": "b"},
    }
    again = HoleBook(profile_at([0]), kept)
    assert (again.holes, again.registers_max) == ([Span(3, 4, 1)], None)
