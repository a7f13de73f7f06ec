"""The rest a partner needs: learned within a few polls when the need begins, forgotten when it ends."""

from dataclasses import dataclass, field
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.bus.guard import GUARD_MAX_S, TRIAL_FIRST, TRIAL_MAX, Guard

LINE_REST_S = 0.004
"""Silence of the line itself, at 9600 baud."""
LONG_S = 1.5
SPARE_S = 1e-4
"""A request leaves so much later than the guard asks for; the slave sees that rest."""
LEARNED_POLLS = 6


@dataclass
class Slave:
    """Ignores requests that come sooner than `needs_s` after its answer; loses some besides."""

    guard: Guard
    needs_s: float = 0.0
    loss: float = 0.0
    dice: Random = field(default_factory=lambda: Random(1))  # noqa: S311 - repeatable, no secret

    def ask(self, rest_s: float) -> bool:
        if rest_s < self.needs_s or self.dice.random() < self.loss:
            self.guard.silent(rest_s)
            return False
        self.guard.answered(rest_s)
        return True

    def poll(self, requests: int = 2) -> int:
        """One poll: a request after a long rest, the others at once; after silence the line rests. Returns misses."""
        answered, misses = self.ask(LONG_S), 0
        for _ in range(requests - 1):
            rest_s = max(LINE_REST_S, self.guard.rest_s) + SPARE_S if answered else LONG_S
            answered = self.ask(rest_s)
            misses += not answered
        return misses


@given(needs_s=st.floats(0.005, GUARD_MAX_S), healthy=st.integers(0, 60), requests=st.integers(2, 5))
def test_a_need_that_begins_in_mid_run_is_learned_within_a_few_polls(
    needs_s: float, healthy: int, requests: int
) -> None:
    slave = Slave(Guard(0.0))
    for _ in range(healthy):
        assert not slave.poll(requests)
    assert slave.guard.rest_s == 0.0
    slave.needs_s = needs_s
    assert sum(slave.poll(requests) for _ in range(LEARNED_POLLS)) <= LEARNED_POLLS - 1
    assert needs_s - SPARE_S <= slave.guard.rest_s <= GUARD_MAX_S
    assert not any(slave.poll(requests) for _ in range(100))


def test_a_need_of_60_ms_costs_four_misses() -> None:
    slave = Slave(Guard(0.0))
    for _ in range(50):
        slave.poll()
    slave.needs_s = 0.06
    assert [slave.poll() for _ in range(6)] == [1, 1, 1, 1, 0, 0]
    assert 0.06 <= slave.guard.rest_s < 0.07


@settings(deadline=None)
@given(floor_s=st.sampled_from([0.0, 0.02]), needs_s=st.floats(0.03, GUARD_MAX_S))
def test_one_bad_evening_does_not_slow_a_line_for_ever(floor_s: float, needs_s: float) -> None:
    slave = Slave(Guard(floor_s), needs_s=needs_s)
    for _ in range(20):
        slave.poll()
    assert slave.guard.rest_s + SPARE_S >= needs_s
    slave.needs_s = 0.0
    assert not any(slave.poll() for _ in range(6 * TRIAL_FIRST))
    assert slave.guard.rest_s == floor_s


def test_a_lasting_need_is_tried_ever_more_seldom() -> None:
    slave, polls = Slave(Guard(0.0), needs_s=0.06), 40_000
    for _ in range(20):
        slave.poll()
    learned_s = slave.guard.rest_s
    assert sum(slave.poll() for _ in range(polls)) <= 7, "500, 1000, 2000 ... answers between two trials"
    assert slave.guard.rest_s in (learned_s, learned_s / 2)
    assert sum(slave.poll() for _ in range(2 * TRIAL_MAX)) <= 2


def test_a_unit_without_power_teaches_nothing() -> None:
    slave = Slave(Guard(0.0))
    for _ in range(5):
        slave.poll()
        for rest_s in (LINE_REST_S, LONG_S, 10.0, 10.0):
            assert not slave.guard.silent(rest_s)
    assert slave.guard.rest_s == 0.0


def test_what_is_silent_after_the_longest_rest_too_does_not_keep_it() -> None:
    guard = Guard(0.0)
    for _ in range(10):  # one address that is never answered, always asked right after another one
        guard.answered(LONG_S)
        guard.silent(max(LINE_REST_S, guard.rest_s))
        if guard.rest_s == GUARD_MAX_S:
            break
    assert guard.rest_s == GUARD_MAX_S
    guard.answered(LONG_S)
    guard.silent(GUARD_MAX_S)
    assert guard.rest_s == 0.0


def test_lost_requests_of_a_noisy_line_do_not_drive_the_rest_up() -> None:
    slave, rests_s = Slave(Guard(0.0), loss=0.03), []
    for _ in range(20_000):
        slave.poll(4)
        rests_s.append(slave.guard.rest_s)
    assert sum(rests_s) / len(rests_s) < 0.01


@given(
    floor_s=st.floats(0.0, 0.5),
    steps=st.lists(st.tuples(st.booleans(), st.floats(0.0, 2.0, allow_nan=False)), max_size=80),
)
def test_the_rest_has_limits(floor_s: float, steps: list[tuple[bool, float]]) -> None:
    guard = Guard(floor_s)
    for answers, rest_s in steps:
        former_s = guard.rest_s
        if answers:
            guard.answered(rest_s)
            assert guard.rest_s <= former_s, "no answer makes it longer"
        else:
            assert guard.silent(rest_s) == (guard.rest_s > former_s)
        assert floor_s <= guard.rest_s <= max(floor_s, GUARD_MAX_S)
