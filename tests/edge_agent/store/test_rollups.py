"""Rollups of every width: the same from frames in any order, after restarts, with late frames, over zones."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from drivers.sample import Cause, Sample, bad, good
from edge_agent.clock_quality import ClockQuality
from edge_agent.errors import StoreFault
from edge_agent.rollup import (
    Period,
    Rollup,
    combine,
    periods_between,
    roll_up_each,
    roll_up_readings,
)
from edge_agent.store.facts import Keep, PointFacts
from edge_agent.store.store import Store

START = datetime(2026, 1, 15, 15, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
SHANGHAI = ZoneInfo("Asia/Shanghai")
FACTS = {"em.power": PointFacts(10.0), "em.energy_total": PointFacts(60.0, Keep.TOTAL)}


async def opened(state_dir: Path) -> Store:
    store = await Store.open(state_dir, quota_mb=64, raw_days=90)
    store.expect(FACTS)
    return store


def scans(count: int, *, start_utc: datetime = START) -> list[tuple[datetime, list[Sample]]]:
    """Scans of 10 s with a power that wanders and a total that grows; every seventh reading of the power fails."""
    dice = random.Random(7)  # noqa: S311 - repeatable values
    found = []
    for number in range(count):
        instant_utc = start_utc + 10 * number * SECOND
        power = good("em.power", instant_utc, round(dice.uniform(0, 900), 1), "kW")
        samples = [bad("em.power", instant_utc, "kW", Cause.NO_ANSWER) if number % 7 == 3 else power]
        if number % 6 == 0:
            samples.append(good("em.energy_total", instant_utc, 1000 + number / 4, "kWh"))
        found.append((instant_utc, samples))
    return found


async def fill(store: Store, some: Sequence[tuple[datetime, list[Sample]]]) -> None:
    for number, (instant_utc, samples) in enumerate(some):
        await store.append_frame(samples, instant_utc=instant_utc, elapsed_s=float(number), clock=ClockQuality(0))


def close(one: Rollup, other: Rollup) -> bool:
    """Equal but for the last digits of the mean, which is summed in another order."""
    means = (one.mean, other.mean)
    same = means[0] == means[1] or (None not in means and abs(means[0] - means[1]) < 1e-9 * max(1.0, abs(means[0])))
    ratio = abs(one.good_ratio - other.good_ratio) < 1e-9
    return same and ratio and replace(one, mean=None, good_ratio=0.0) == replace(other, mean=None, good_ratio=0.0)


@pytest.mark.parametrize("width_s", [60, 300, 900, 1800, 3600])
async def test_every_width_is_what_the_readings_make_of_it(tmp_path: Path, width_s: int) -> None:
    store = await opened(tmp_path)
    some = scans(480)
    await fill(store, some)
    end_utc = START + 80 * MINUTE
    found = await store.rollups_between(width_s, START, end_utc)
    await store.close()
    expected = []
    for point, facts in FACTS.items():
        readings = [
            ((sample.instant_utc - START) // SECOND * 1_000_000, sample.value)
            for _, samples in some
            for sample in samples
            if sample.point == point
        ]
        for period in periods_between(width_s, START, end_utc, zone=UTC):
            shifted = Period(datetime(1970, 1, 1, tzinfo=UTC) + (period.start_utc - START), period.length_min)
            one = roll_up_readings(readings, point=point, period=shifted, period_s=facts.period_s)
            if one.count or one.mean is not None:
                expected.append(replace(one, start_utc=period.start_utc))
    expected.sort(key=lambda rollup: (rollup.start_utc, rollup.point))
    assert [(one.point, one.start_utc) for one in found] == [(one.point, one.start_utc) for one in expected]
    assert all(close(one, other) for one, other in zip(found, expected, strict=True))
    assert {one.period_min for one in found} == {width_s // 60}


async def test_late_frames_and_a_restart_change_what_was_stored(tmp_path: Path) -> None:
    some = scans(180)
    late = some[20:50]
    store = await opened(tmp_path)
    await fill(store, some[:20] + some[50:120])
    first = Period(START, 15)
    early = await store.rollups_between(900, START, START + 15 * MINUTE)
    assert await store.close_period(first, early, [])
    await store.close()
    store = await opened(tmp_path)
    await fill(store, late + some[120:])
    whole = await store.rollups_between(900, START, START + 15 * MINUTE)
    assert whole != early
    assert await store.rollups("em.power", 15, START, START + MINUTE) == [early[1]]  # housekeeping has not come to it
    while await store.tend_once():
        pass
    assert await store.rollups("em.power", 15, START, START + MINUTE) == [whole[1]]
    assert await store.rollups_between(900, START, START + 15 * MINUTE) == whole
    await store.close()
    undisturbed = await opened(tmp_path / "undisturbed")
    await fill(undisturbed, some)
    assert await undisturbed.rollups_between(900, START, START + 15 * MINUTE) == whole
    await undisturbed.close()


async def test_a_mark_that_comes_while_it_is_recomputed_is_not_forgotten(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    some = scans(90)
    await fill(store, some[:30])
    await store.close_period(Period(START, 15), [], [])
    await fill(store, some[30:60])
    parts = store._parts
    (stale,) = parts.state_reader.stale(5)
    await fill(store, some[60:])
    assert not parts.state.refresh(stale, [])
    assert len(parts.state_reader.stale(5)) == 1
    await store.close()


@hypothesis_settings(max_examples=40)
@given(
    order=st.permutations(range(24)), cuts=st.sets(st.integers(1, 23), max_size=4), width_min=st.sampled_from([1, 5])
)
def test_the_order_of_coming_makes_no_difference(order: list[int], cuts: set[int], width_min: int) -> None:
    """What comes in one piece, or in pieces in any order, gives the same numbers to the last bit."""
    some = scans(240)
    readings = [((sample.instant_utc - START) // SECOND * 1_000_000, sample.value) for _, (sample, *_) in some]
    start_utc = datetime(1970, 1, 1, tzinfo=UTC)
    periods = list(periods_between(60 * width_min, start_utc, start_utc + 40 * MINUTE, zone=UTC))
    whole = list(roll_up_each(readings, point="p", periods=periods, period_s=10.0))
    shuffled = [reading for piece in order for reading in readings[piece * 10 : piece * 10 + 10]]
    repeated = shuffled + [reading for cut in cuts for reading in readings[cut * 10 : cut * 10 + 3]]
    assert list(roll_up_each(repeated, point="p", periods=periods, period_s=10.0)) == whole
    quarter = [rollup for rollup in whole if rollup.start_utc < start_utc + 15 * MINUTE]
    direct = roll_up_readings(readings, point="p", period=Period(start_utc, 15), period_s=10.0)
    assert close(combine(quarter, period=Period(start_utc, 15)), direct)


async def test_a_day_is_the_plants_own(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    await fill(store, scans(720, start_utc=datetime(2026, 1, 15, 15, 0, tzinfo=UTC)))  # 23:00 to 01:00 in Shanghai
    days = await store.rollups_between(
        86_400, START - timedelta(days=1), START + timedelta(days=1), zone=SHANGHAI, points={"em.energy_total"}
    )
    await store.close()
    assert [one.start_utc for one in days] == [datetime(2026, 1, day, 16, tzinfo=UTC) for day in (14, 15)]
    assert [one.count for one in days] == [60, 60]
    assert days[0].last == 1000 + 354 / 4
    assert days[1].first == 1000 + 360 / 4  # read at midnight itself
    assert days[1].good_ratio == pytest.approx((3600 + 60) / 86_400)


def test_days_that_change_the_clock_are_longer_or_shorter() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    march = list(
        periods_between(86_400, datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 3, 31, tzinfo=UTC), zone=berlin)
    )
    assert [(period.start_utc.hour, period.length_min) for period in march] == [(23, 1380), (22, 1440), (22, 1440)]
    october = list(
        periods_between(86_400, datetime(2026, 10, 24, 22, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC), zone=berlin)
    )
    assert [period.length_min for period in october] == [1500]


async def test_what_makes_no_sense_is_refused(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    for width_s, days in ((120, 1), (86_400, 1), (60, 365)):
        with pytest.raises(StoreFault):
            await store.rollups_between(width_s, START, START + timedelta(days=days))
    assert await store.rollups_between(60, START, START) == []
    await store.close()


async def test_an_untrusted_clock_is_said_by_every_rollup_it_touches(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    for number, (instant_utc, samples) in enumerate(scans(360)):
        clock = ClockQuality.UNSYNCHRONISED if number < 100 else ClockQuality.STEPPED if number == 100 else None
        await store.append_frame(samples, instant_utc=instant_utc, elapsed_s=0.0, clock=clock)
    hour_utc = START + 60 * MINUTE
    quarters = await store.rollups_between(900, START, hour_utc, points={"em.power"})
    assert [one.clock for one in quarters] == [1, 2, 0, 0]
    (hour,) = await store.rollups_between(3600, START, hour_utc, points={"em.power"})
    assert hour.clock is ClockQuality.STEPPED
    assert await store.clock_between(START, START + 15 * MINUTE) is ClockQuality.UNSYNCHRONISED
    assert await store.clock_between(START + 30 * MINUTE, hour_utc) is ClockQuality.SYNCHRONISED
    await store.close_period(Period(START, 15), quarters[:1], [])
    assert await store.rollups_between(900, START, START + MINUTE, points={"em.power"}) == quarters[:1]
    await store.close()


async def test_a_clock_set_back_tells_the_same_hour_twice_and_the_later_telling_holds(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    sequence = 0
    for begin_s, end_s, value in ((0, 3600, 1.0), (1800, 5400, 2.0)):  # after an hour set back by half of it
        for second_s in range(begin_s, end_s, 10):
            instant_utc = START + second_s * SECOND
            frame = await store.append_frame(
                [good("em.power", instant_utc, value, "kW")], instant_utc=instant_utc, elapsed_s=0.0, clock=None
            )
            assert frame > sequence
            sequence = frame
    found = await store.rollups_between(900, START, START + 90 * MINUTE)
    assert [(one.mean, one.count) for one in found] == [(1.0, 90), (1.0, 90), *[(2.0, 90)] * 4]
    # Nothing is lost or stamped anew: both tellings are there, each with its own frame numbers.
    both = await store.samples_between(START + 30 * MINUTE, START + 31 * MINUTE)
    assert [stored.sample.value for stored in both] == [1.0] * 6 + [2.0] * 6
    assert len({stored.frame for stored in both}) == 12
    await store.close()


async def test_a_clock_set_back_and_forth_again_keeps_what_was_told_once(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    for second_s, value in ((0, 1.0), (600, 1.0), (900, 1.0), (300, 2.0), (310, 2.0), (1200, 3.0)):
        instant_utc = START + second_s * SECOND
        await store.append_frame(
            [good("em.power", instant_utc, value, "kW")], instant_utc=instant_utc, elapsed_s=0.0, clock=None
        )
    await store.close()
    store = await opened(tmp_path)
    found = await store.rollups_between(300, START, START + 30 * MINUTE)
    await store.close()
    # From 300 s on the later telling holds, up to where it came to: the readings of 600 and 900 s were told again.
    assert [((one.start_utc - START) // SECOND, one.mean) for one in found] == [(0, 1.0), (300, 2.0), (1200, 3.0)]


async def test_what_was_read_before_a_clock_was_set_back_is_not_told_again_by_being_stored_after(
    tmp_path: Path,
) -> None:
    """The first frame after the step also holds readings from before it: found by a crash trial."""
    store = await opened(tmp_path)
    sure, stepped = ClockQuality.SYNCHRONISED, ClockQuality.STEPPED

    async def frame(at_s: int, readings: dict[int, float], clock: ClockQuality) -> None:
        samples = [good("em.power", START + second_s * SECOND, value, "kW") for second_s, value in readings.items()]
        await store.append_frame(samples, instant_utc=START + at_s * SECOND, elapsed_s=0.0, clock=clock)

    for second_s in range(0, 600, 10):
        await frame(second_s, {second_s: 1.0}, sure)
    await frame(309, {600: 7.0, 609: 7.0, 305: 9.0}, stepped)  # set back by five minutes while it was read
    await frame(320, {319: 9.0}, stepped)
    await frame(640, {640: 3.0}, stepped)  # and set right
    await frame(650, {650: 3.0}, sure)
    await store.append_frame(  # came while its frame was made
        [good("em.power", START + 660.01 * SECOND, 4.0, "kW")],
        instant_utc=START + 660 * SECOND,
        elapsed_s=0.0,
        clock=sure,
    )
    await frame(670, {670: 3.0}, sure)
    found = await store.readings_between(START, START + 15 * MINUTE)
    values = {round(at_us / 1e6 - START.timestamp()): value for at_us, value in found["em.power"]}
    assert (values[600], values[609]) == (7.0, 7.0)
    assert 305 not in values, "a worse clock tells nothing anew"
    assert 319 not in values
    assert values[310] == 1.0
    assert values[660] == 4.0
    (ten,) = await store.rollups_between(60, START + 10 * MINUTE, START + 11 * MINUTE)
    assert (ten.minimum, ten.maximum, ten.count) == (3.0, 7.0, 4)
    await store.close()
