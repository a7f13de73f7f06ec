"""Every interval of an untouched unit is judged; only a line that another unit kept waiting excuses one, so far."""

import pytest

from hil_sim.bus_periods import LineHolds, UnitPeriods, unit_periods

PERIOD_S = 5.0
HOLD_S = 1.7


def judged(*instants_s: float, holds: LineHolds | None = None) -> UnitPeriods:
    found = unit_periods(instants_s, period_s=PERIOD_S, holds=holds or LineHolds())
    assert found is not None
    return found


def held_by(*marks: tuple[float, str]) -> LineHolds:
    return LineHolds(HOLD_S, sorted(marks))


def test_too_few_intervals_tell_nothing() -> None:
    assert unit_periods([0.0, 5.0, 10.0], period_s=PERIOD_S) is None


def test_a_regular_series() -> None:
    found = judged(0.0, 5.0, 10.4, 15.0, 20.1)
    assert (found.held_count, found.broken) == (4, [])
    assert found.mean_s == pytest.approx(5.025)
    assert found.off_ratio == pytest.approx(0.005)


def test_one_interval_out_of_many_is_enough_to_fail_without_an_excuse() -> None:
    found = judged(0.0, 5.0, 10.0, 16.0, 20.0, 25.0)
    assert [(broken.begin_s, broken.length_s, broken.bound_s) for broken in found.broken] == [
        (10.0, 6.0, PERIOD_S),
        (16.0, 4.0, PERIOD_S),
    ]
    assert found.worst.broken


def test_a_line_kept_waiting_excuses_the_interval_and_the_shorter_one_after_it_up_to_the_bound() -> None:
    instants_s = (0.0, 5.0, 10.0, 16.6, 20.0, 25.0)
    found = judged(*instants_s, holds=held_by((14.9, "em2")))
    assert (found.held_count, found.broken) == (3, [])
    assert found.worst.bound_s == PERIOD_S + HOLD_S
    assert found.as_score()["excused"] == 2
    late = judged(0.0, 5.0, 10.0, 17.3, 20.0, 25.0, holds=held_by((15.0, "em2")))
    assert [broken.length_s for broken in late.broken] == [pytest.approx(7.3), pytest.approx(2.7)]


def test_a_lost_turn_is_never_excused_by_one_unit() -> None:
    found = judged(0.0, 5.0, 15.0, 20.0, 25.0, holds=held_by((9.0, "em2"), (10.7, "em2"), (12.4, "em2")))
    assert [broken.length_s for broken in found.broken] == [10.0]


def test_each_unit_that_fails_excuses_once_more() -> None:
    instants_s = (0.0, 5.0, 13.0, 15.0, 20.0)
    assert judged(*instants_s, holds=held_by((9.7, "em2"))).broken
    assert not judged(*instants_s, holds=held_by((9.7, "em2"), (11.3, "hm1"))).broken


def test_what_held_the_line_long_before_is_no_excuse() -> None:
    assert judged(0.0, 5.0, 10.0, 16.6, 20.0, holds=held_by((13.0, "em2"))).broken
    assert judged(0.0, 5.0, 10.0, 16.6, 20.0, holds=held_by((16.7, "em2"))).broken
