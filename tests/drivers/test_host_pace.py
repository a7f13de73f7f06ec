"""What is learned of a TCP host: patience is given and taken back, the quickest unit says when others may pass."""

import pytest

from drivers.bus.base import UnitTiming
from drivers.bus.host_pace import (
    CONNECT_DELAY_FIRST_S,
    CONNECT_DELAY_MAX_S,
    GIVES_WAY_MIN_S,
    GIVES_WAY_RATIO,
    LATEST_ANSWER_S,
    LATEST_LEARNED_MAX_S,
    PASSED_IN_VAIN_MAX,
    PATIENCE_S_MAX,
    HostPace,
)

TIMEOUT_S = 1.0
QUICK, SLOW = 1, 2


def host(*, lenient_ids: bool = False, connect_delay_s: float | None = None) -> HostPace:
    return HostPace("net", timeout_s=TIMEOUT_S, lenient_ids=lenient_ids, connect_delay_s=connect_delay_s)


def test_a_late_unit_gets_time_and_loses_it_when_it_does_not_use_it() -> None:
    pace = host()
    assert pace.timeout_s(SLOW) == TIMEOUT_S
    pace.late(SLOW, 2.0)
    assert pace.timeout_s(SLOW) == 3.0
    pace.late(SLOW, 60.0)
    assert pace.timeout_s(SLOW) == PATIENCE_S_MAX
    assert pace.timeout_s(QUICK) == TIMEOUT_S
    pace.missed(SLOW)
    assert pace.timeout_s(SLOW) == PATIENCE_S_MAX / 2
    for _ in range(100):
        pace.answered(SLOW, 0.01)
    assert pace.timeout_s(SLOW) == TIMEOUT_S


def test_a_unit_that_is_always_slow_keeps_the_time_that_it_needs() -> None:
    pace = host()
    pace.late(SLOW, 2.0)
    for _ in range(200):
        pace.answered(SLOW, 2.0)
    assert pace.timeout_s(SLOW) == pytest.approx(3.0)


def test_the_quickest_unit_says_when_others_may_pass_a_slow_one() -> None:
    pace = host()
    assert pace.gives_way_s() is None, "nothing is known yet"
    pace.answered(SLOW, 3.0)
    assert pace.gives_way_s() == GIVES_WAY_RATIO * 3.0
    pace.answered(QUICK, 0.3)
    for _ in range(100):
        pace.answered(SLOW, 4.0)
    assert pace.gives_way_s() == pytest.approx(GIVES_WAY_RATIO * 0.3)
    pace.answered(QUICK, 0.001)
    assert pace.gives_way_s() == GIVES_WAY_MIN_S


def test_who_is_passed_costs_the_others_its_time_out_but_not_the_patience_it_was_given() -> None:
    pace = host()
    pace.late(SLOW, 3.0)
    assert pace.miss_s(SLOW) == 4.5
    pace.answered(QUICK, 0.01)
    assert pace.miss_s(SLOW) == TIMEOUT_S


def test_where_numbers_cannot_be_trusted_nobody_passes_and_a_miss_costs_the_rest_too() -> None:
    pace = host(lenient_ids=True)
    pace.answered(QUICK, 0.01)
    assert pace.gives_way_s() is None
    assert pace.miss_s(QUICK) == LATEST_ANSWER_S
    assert not pace.lengthen(QUICK, 2.0)
    assert pace.lengthen(QUICK, 6.0)
    assert pace.latest_answer_s(QUICK) == 9.0
    assert pace.lengthen(QUICK, 60.0)
    assert pace.latest_answer_s(QUICK) == LATEST_LEARNED_MAX_S


def test_a_host_that_loses_what_passes_is_believed_after_so_many_in_a_row() -> None:
    pace = host()
    pace.answered(QUICK, 0.01)
    for _ in range(3):
        for _ in range(PASSED_IN_VAIN_MAX - 1):
            pace.passed(in_vain=True)
        pace.passed(in_vain=False)
    assert pace.gives_way_s() is not None
    for _ in range(PASSED_IN_VAIN_MAX):
        pace.passed(in_vain=True)
    assert pace.gives_way_s() is None


def test_the_rest_after_connecting_is_stated_or_as_the_units_need_or_learned() -> None:
    pace = host()
    assert pace.connect_delay_s == 0.0
    pace.expect(QUICK, UnitTiming(connect_delay_s=0.1, guard_s=0.02))
    assert (pace.connect_delay_s, pace.guard_s(QUICK), pace.guard_s(SLOW)) == (0.1, 0.02, 0.0)
    pace.lost_first_request()
    assert pace.connect_delay_s == CONNECT_DELAY_FIRST_S
    for _ in range(10):
        pace.lost_first_request()
    assert pace.connect_delay_s == CONNECT_DELAY_MAX_S
    stated = host(connect_delay_s=0.5)
    stated.lost_first_request()
    assert stated.connect_delay_s == 0.5
