"""A total stays continuous over everything that happens to a meter, and a healthy meter is never doubted."""

import itertools
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from drivers.counting import CONFIRM_COUNT, LAG_S, CounterWatch
from drivers.profile import PointSpec
from drivers.profile_file import parse_profile
from drivers.sample import Cause

START_UTC = datetime(2026, 1, 15, 8, tzinfo=UTC)
RATE_MAX = 3000.0
ROLLS_AT = 1_000_000.0
SCALE = 0.1

HEAD: dict[str, Any] = {
    "zh": "表",
    "en": "meter",
    "maker": "x",
    "category": "heat_meter",
    "level": "documented",
    "confidence": "low",
    "sources": ["x"],
}


def counter(rolls_over_at: float | None = ROLLS_AT, **changes: Any) -> PointSpec:  # noqa: ANN401 - keys of a point
    entry = {"zh": "累积", "en": "Total", "function": 3, "address": 0, "type": "u32", "scale": SCALE, "unit": "kWh"}
    rule: dict[str, Any] = {"rate_max": RATE_MAX}
    if rolls_over_at is not None:
        rule["rolls_over_at"] = rolls_over_at
    profile = parse_profile(HEAD | {"points": {"total": entry | {"counter": rule} | changes}}, name="x")
    return profile.points["total"]


@dataclass
class Meter:
    """A meter as it is: what it has counted, and where its display stands."""

    shown: float
    truth: float = 0.0
    lost: float = 0.0
    now_utc: datetime = START_UTC
    turns_at: float = ROLLS_AT

    def run(self, duration_s: float, share: float) -> None:
        grown = RATE_MAX * share * duration_s / 3600
        self.now_utc += timedelta(seconds=duration_s)
        self.truth += grown
        self.shown = (self.shown + grown) % self.turns_at

    @property
    def display(self) -> float:
        return int(self.shown / SCALE) * SCALE


STEPS = st.lists(
    st.tuples(
        st.sampled_from([10.0, 60.0, 60.0, 60.0, 300.0, 7200.0]),
        st.floats(0, 1),
        st.sampled_from(["run", "run", "run", "run", "reset", "exchange", "zero", "torn", "restart"]),
        st.floats(0, 999_000),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=400, deadline=None)
@given(start=st.sampled_from([0.0, 12.0, 5000.0, 400_000.0, 999_990.0, 999_999.9]), steps=STEPS)
@example(start=999_999.9, steps=[(60.0, 1.0, "run", 0.0)] * 3)
@example(  # a new meter that shows what the first one may show by now: its total says that it is another
    start=0.0,
    steps=[
        (10.0, 0.0, "exchange", 355.0),
        (7200.0, 1.0, "run", 0.0),
        (7200.0, 1.0, "run", 0.0),
        (10.0, 1.0, "exchange", 59.0),
        (60.0, 0.0, "run", 0.0),
        (10.0, 0.0, "run", 0.0),
        (10.0, 1.0, "run", 0.0),
    ],
)
@example(
    start=0.0,
    steps=[(10.0, 0.0, "run", 0.0), (10.0, 0.0, "reset", 0.0), (10.0, 0.0, "run", 0.0), (10.0, 0.0, "exchange", 459.0)],
)
@example(start=5000.0, steps=[(60.0, 0.5, "reset", 0.0), (60.0, 0.5, "exchange", 4990.0), (60.0, 0.5, "run", 0.0)])
def test_the_total_is_the_truth_within_one_reading_of_each_break(
    start: float, steps: list[tuple[float, float, str, float]]
) -> None:
    meter = Meter(shown=start)
    watch = CounterWatch(counter(), refresh_s=0)
    totals: list[float] = []
    tolerance = 3 * SCALE

    def read(shown: float) -> Cause:
        cause, correction = watch.judge(shown, meter.now_utc)
        if cause is Cause.NONE:
            totals.append(shown + correction)
        return cause

    read(meter.display)
    origin = totals[0]
    stands: list[tuple[float, datetime]] = []

    def passed_s(since_utc: datetime) -> float:
        return (meter.now_utc - since_utc).total_seconds()

    for duration_s, share, event, number in steps:
        before_truth = meter.truth
        meter.run(duration_s, share)
        grown, stood = meter.truth - before_truth, meter.shown
        reach = RATE_MAX * (duration_s + LAG_S) / 3600 + tolerance
        settling = reach + RATE_MAX * 60 * (CONFIRM_COUNT + 1) / 3600
        if event in ("zero", "torn"):
            true = meter.display
            wrong = 0.0 if event == "zero" else true + 65_536 * SCALE * (1 if true < ROLLS_AT / 2 else -1)
            correction = watch.correction
            last = totals[-1] - correction
            detectable = wrong < last - reach or wrong > last + reach
            rolls = wrong + ROLLS_AT - last <= reach
            if detectable and not rolls:
                assert read(wrong) is not Cause.NONE, (event, wrong)
                assert watch.correction == correction, "a single reading moves nothing"
            meter.run(60, 0.5)
        elif event == "reset":
            # One that stood no higher than it can climb again while we doubt is taken for a single wrong zero.
            # So close to its end, it is taken to have rolled over.
            meter.lost += grown + (stood if stood <= settling else max(settling - (ROLLS_AT - stood), 0.0))
            meter.lost += SCALE  # what the display did not show of it yet
            stands.append((stood, meter.now_utc))
            meter.shown = 0.0
        elif event == "exchange":
            # A meter that starts near zero, or near where the old one stood, is not told from a reset or a step.
            near = number <= reach or abs(number - stood) <= settling or number + ROLLS_AT - stood <= settling
            # One that shows what an earlier one may show by now is taken for that one.
            near |= any(
                0 <= number - old + SCALE <= settling + RATE_MAX * passed_s(at_utc) / 3600 for old, at_utc in stands
            )
            stands.append((stood, meter.now_utc))
            meter.lost += grown + (settling if near else 0.0) + SCALE
            meter.shown = number
        elif event == "restart":
            watch = CounterWatch(counter(), refresh_s=0, kept=watch.state())
        for _ in range(CONFIRM_COUNT + 1):  # whatever happened, it is settled before the next thing happens
            read(meter.display)
            meter.run(60, 0.5)
        if meter.display < 2 * RATE_MAX * 60 / 3600:  # it has just turned over: again to be settled
            for _ in range(CONFIRM_COUNT + 1):
                read(meter.display)
                meter.run(60, 0.5)
        assert read(meter.display) is Cause.NONE
        assert abs(totals[-1] - origin - meter.truth) <= meter.lost + tolerance
    assert all(later >= earlier - 1e-6 for earlier, later in itertools.pairwise(totals)), "a total fell"


@settings(max_examples=300, deadline=None)
@given(
    start=st.floats(0, 900_000),
    steps=st.lists(st.tuples(st.sampled_from([1.0, 10.0, 60.0, 900.0, 86_400.0]), st.floats(0, 1)), max_size=60),
    kind=st.sampled_from(["u32", "f32"]),
    lumps_s=st.sampled_from([0.0, 60.0]),
)
def test_a_healthy_meter_is_never_doubted(
    start: float, steps: list[tuple[float, float]], kind: str, lumps_s: float
) -> None:
    """Reading pauses, lumps of a slow meter and rounding of a 32-bit float included."""
    watch = CounterWatch(counter(None, type=kind, scale=SCALE if kind == "u32" else 1), refresh_s=lumps_s)
    meter = Meter(shown=start, turns_at=float("inf"))
    shown, lump_utc = meter.display, START_UTC
    for duration_s, share in steps:
        meter.run(duration_s, share)
        if (meter.now_utc - lump_utc).total_seconds() >= lumps_s:
            shown, lump_utc = meter.display, meter.now_utc
        value = shown if kind == "u32" else struct.unpack("f", struct.pack("f", shown))[0]
        assert watch.judge(value, meter.now_utc) == (Cause.NONE, 0.0)


class Bench:
    """One counter, read once a minute."""

    def __init__(self, **changes: Any) -> None:  # noqa: ANN401 - keys of a point
        self.watch = CounterWatch(counter(**changes), refresh_s=0)
        self.now_utc = START_UTC

    def read(self, *values: float, every_s: float = 60) -> list[tuple[Cause, float]]:
        found = []
        for value in values:
            self.now_utc += timedelta(seconds=every_s)
            found.append(self.watch.judge(value, self.now_utc))
        return found


def test_a_roll_over_is_bridged_when_the_readings_after_it_confirm_it() -> None:
    bench = Bench()
    assert bench.read(999_980, 999_990, 2, 12, 22, 32) == [
        (Cause.NONE, 0),
        (Cause.NONE, 0),
        (Cause.COUNTER_BACK, 0),
        (Cause.COUNTER_BACK, 0),
        (Cause.NONE, 1_000_000),
        (Cause.NONE, 1_000_000),
    ]


def test_a_reset_goes_on_from_what_was_counted() -> None:
    assert Bench().read(5000, 5010, 3, 13, 23)[-1] == (Cause.NONE, 5010)


def test_another_meter_goes_on_without_a_jump() -> None:
    bench = Bench()
    assert [cause for cause, _ in bench.read(5000, 5010, 88_000, 88_010, 88_020)] == [
        Cause.NONE, Cause.NONE, Cause.COUNTER_JUMP, Cause.COUNTER_JUMP, Cause.NONE,
    ]  # fmt: skip
    assert bench.watch.correction == 5010 - 88_000


@pytest.mark.parametrize(
    ("wrong", "cause"),
    [(0, Cause.COUNTER_ZERO), (5010 + 6553.6, Cause.TORN), (4000, Cause.COUNTER_BACK), (9000, Cause.COUNTER_JUMP)],
)
def test_one_wrong_reading_changes_nothing(wrong: float, cause: Cause) -> None:
    assert Bench().read(5000, 5010, wrong, 5030, 5040) == [(Cause.NONE, 0)] * 2 + [(cause, 0)] + [(Cause.NONE, 0)] * 2


def test_an_unplugged_meter_that_shows_zero_for_hours_loses_nothing() -> None:
    bench = Bench()
    found = bench.read(5000, *[0.0] * 300, 5007, 5020)
    assert {cause for cause, _ in found[1:301]} == {Cause.COUNTER_ZERO}
    assert found[301:] == [(Cause.NONE, 0)] * 2


def test_a_meter_that_stays_at_zero_for_a_day_was_reset() -> None:
    bench = Bench()
    found = bench.read(5000, *[0.0] * 30, every_s=3600)
    assert found[-1] == (Cause.NONE, 5000)


def test_an_old_meter_that_comes_back_is_known_again() -> None:
    bench = Bench()
    bench.read(5000, 5010, 100_000, 100_010, 100_020)
    assert bench.watch.correction == 5010 - 100_000
    bench.read(5050, 5060, 5070)
    assert bench.watch.correction == 0


def test_an_old_meter_that_stood_still_meanwhile_goes_on_from_the_total() -> None:
    bench = Bench()
    bench.read(5000, 5010, 100_000, *range(100_010, 102_000, 40))
    total = 101_970 + bench.watch.correction
    (*_, (cause, correction)) = bench.read(5012, 5022, 5032, 5042)
    assert cause is Cause.NONE
    assert total <= 5042 + correction <= total + 40


def test_after_an_outage_a_larger_step_is_plausible() -> None:
    bench = Bench()
    bench.read(5000)
    assert bench.read(5000 + 2.5 * RATE_MAX, every_s=3 * 3600) == [(Cause.NONE, 0)]
    assert bench.read(5000 + 6 * RATE_MAX, every_s=3 * 3600)[0][0] is Cause.COUNTER_JUMP


def test_a_small_error_upwards_holds_the_total_until_the_meter_has_caught_up() -> None:
    bench = Bench()
    found = bench.read(5000, 5010, 5060, 5020, 5050, 5070)
    totals = [
        value + correction for value, (_, correction) in zip((5000, 5010, 5060, 5020, 5050, 5070), found, strict=True)
    ]
    assert [cause for cause, _ in found] == [Cause.NONE] * 6
    assert totals == [5000, 5010, 5060, 5060, 5060, 5070]


@pytest.mark.parametrize("kept", [None, 5, {}, {"value": "x"}, {"value": 1.0, "at_s": 1e30, "correction": 0.0}])
def test_damaged_memory_starts_anew(kept: object) -> None:
    watch = CounterWatch(counter(), refresh_s=0, kept=kept)
    assert watch.state() is None
    assert watch.judge(5.0, START_UTC) == (Cause.NONE, 0.0)


def test_a_restart_goes_on_with_correction_and_last_reading() -> None:
    bench = Bench()
    bench.read(5000, 5010, 3, 13, 23)
    bench.watch = CounterWatch(counter(), refresh_s=0, kept=bench.watch.state())
    assert bench.read(33) == [(Cause.NONE, 5010)]
    assert bench.read(40_000)[0][0] is Cause.COUNTER_JUMP
