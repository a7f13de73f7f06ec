"""Rollups: hand-computed cases, and the properties that make them safe to recompute."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.sample import Cause, Quality, Sample, bad, good
from edge_agent.rollup import Period, Reading, Rollup, instant, microseconds, period_at, roll_up, roll_up_readings

START = datetime(2026, 1, 15, 0, 30, tzinfo=UTC)
POINT = "hm_user.heat_power"


def at(second_s: float, value: float) -> Sample:
    return good(POINT, START + timedelta(seconds=second_s), value, "kW")


def rolled(samples: list[Sample], *, period_s: float = 60.0) -> Rollup:
    return roll_up(samples, point=POINT, start_utc=START, period_min=15, period_s=period_s)


def test_mean_is_weighted_by_the_time_a_reading_holds() -> None:
    rollup = rolled([at(0, 100.0), at(600, 400.0)], period_s=300.0)
    assert rollup.mean == pytest.approx((600 * 100 + 300 * 400) / 900)
    assert (rollup.minimum, rollup.maximum, rollup.first, rollup.last) == (100.0, 400.0, 100.0, 400.0)
    assert (rollup.good_ratio, rollup.count) == (1.0, 2)


def test_a_reading_holds_no_longer_than_two_expected_periods() -> None:
    rollup = rolled([at(0, 100.0)], period_s=60.0)
    assert rollup.mean == 100.0
    assert rollup.good_ratio == pytest.approx(120 / 900)


def test_bad_ends_the_reading_before_it_and_never_counts_as_zero() -> None:
    failed = bad(POINT, START + timedelta(seconds=300), "kW", Cause.NO_ANSWER)
    rollup = rolled([at(0, 100.0), failed], period_s=900.0)
    assert rollup.mean == 100.0
    assert rollup.good_ratio == pytest.approx(300 / 900)


def test_uncertain_is_not_good() -> None:
    doubtful = Sample(POINT, START, 55.0, "kW", Quality.UNCERTAIN, Cause.NO_FLOW)
    rollup = rolled([doubtful])
    assert (rollup.mean, rollup.last, rollup.good_ratio, rollup.count) == (None, None, 0.0, 0)


def test_the_reading_before_the_period_holds_into_it() -> None:
    rollup = rolled([at(-30, 70.0), at(30, 90.0)], period_s=60.0)
    assert rollup.first == 70.0
    assert rollup.minimum == 70.0
    assert rollup.count == 1
    assert rollup.good_ratio == pytest.approx((30 + 120) / 900)


def test_other_points_and_later_readings_do_not_count() -> None:
    other = good("hm_tank.heat_power", START, 5.0, "kW")
    rollup = rolled([other, at(900, 1.0)])
    assert rollup.count == 0
    assert rollup.mean is None


def test_periods_lie_on_the_clock() -> None:
    period = period_at(START + timedelta(minutes=14, seconds=59), 15)
    assert period == Period(START, 15)
    assert period.end_utc == START + timedelta(minutes=15)
    assert period_at(period.end_utc, 15) == period.next()


@settings(deadline=None)
@given(st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2090, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - hypothesis adds the zone
def test_microseconds_are_exact(instant_utc: datetime) -> None:
    assert instant(microseconds(instant_utc)) == instant_utc


READINGS = st.lists(
    st.tuples(
        st.integers(-300_000_000, 1_900_000_000),
        st.one_of(st.none(), st.floats(-1e6, 1e6, allow_nan=False)),
    ),
    max_size=40,
)


def shifted(readings: list[Reading]) -> list[Reading]:
    return [(microseconds(START) + offset_us, value) for offset_us, value in readings]


@settings(max_examples=150, deadline=None)
@given(READINGS, st.sampled_from([5.0, 60.0, 400.0]))
def test_splitting_a_period_conserves_the_integral(readings: list[Reading], period_s: float) -> None:
    found = shifted(readings)
    whole = roll_up_readings(found, point=POINT, period=Period(START, 30), period_s=period_s)
    halves = [
        roll_up_readings(found, point=POINT, period=Period(START + timedelta(minutes=15 * half), 15), period_s=period_s)
        for half in range(2)
    ]

    def integral(rollup: Rollup) -> float:
        return (rollup.mean or 0.0) * rollup.good_ratio * rollup.period_min

    assert sum(half.good_ratio for half in halves) / 2 == pytest.approx(whole.good_ratio)
    assert sum(integral(half) for half in halves) == pytest.approx(integral(whole), abs=1e-4)
    assert sum(half.count for half in halves) == whole.count


@settings(max_examples=150, deadline=None)
@given(st.data(), READINGS)
def test_order_and_repeats_do_not_matter(data: st.DataObject, readings: list[Reading]) -> None:
    found = shifted(readings)
    repeats = data.draw(st.lists(st.sampled_from(found), max_size=10)) if found else []
    shuffled = data.draw(st.permutations(found + repeats))
    period = Period(START, 15)
    assert roll_up_readings(shuffled, point=POINT, period=period, period_s=60.0) == roll_up_readings(
        found, point=POINT, period=period, period_s=60.0
    )


@settings(max_examples=150, deadline=None)
@given(READINGS)
def test_mean_lies_between_the_extremes_and_the_share_between_0_and_1(readings: list[Reading]) -> None:
    rollup = roll_up_readings(shifted(readings), point=POINT, period=Period(START, 15), period_s=60.0)
    assert 0.0 <= rollup.good_ratio <= 1.0
    if rollup.mean is not None:
        assert rollup.minimum is not None
        assert rollup.maximum is not None
        assert rollup.minimum <= rollup.mean <= rollup.maximum
