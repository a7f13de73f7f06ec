"""Points are due by the age of their data, devices keep out of step, silent units take a small share of the line."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.schedule import (
    BURST_MISSES,
    DEAD_SHARE_MAX,
    FAILING_SHARE_MAX,
    OUT_S,
    PROBE_MIN_S,
    PointSchedule,
    SilenceBudget,
    phases_s,
)

START_UTC = datetime(2026, 1, 15, 8, tzinfo=UTC)


@settings(max_examples=60)
@given(
    own_s=st.lists(st.sampled_from([10.0, 20.0, 30.0, 60.0, 600.0]), min_size=1, max_size=5),
    jitters=st.lists(st.floats(-2.4, 2.4), min_size=40, max_size=40),
)
def test_every_point_is_read_at_its_own_period_whatever_the_jitter(own_s: list[float], jitters: list[float]) -> None:
    periods_s = {f"p{number}": period_s for number, period_s in enumerate(own_s)}
    schedule = PointSchedule(periods_s, period_s=10.0)
    taken: dict[str, list[int]] = {name: [] for name in periods_s}
    for number, jitter_s in enumerate(jitters):
        for name in schedule.take(START_UTC + timedelta(seconds=10.0 * number + jitter_s)):
            taken[name].append(number)
    for name, numbers in taken.items():
        step = periods_s[name] / 10.0
        assert numbers == [round(position * step) for position in range(len(numbers))]
        assert len(numbers) == -(-len(jitters) // step)


def test_points_that_an_outage_kept_back_are_due_soon() -> None:
    schedule = PointSchedule({"slow": 600.0, "fast": 10.0}, period_s=10.0)
    schedule.take(START_UTC)
    schedule.soon(["slow", "unknown"], START_UTC)
    assert schedule.take(START_UTC + timedelta(seconds=10)) == {"slow", "fast"}
    assert schedule.take(START_UTC + timedelta(seconds=20)) == {"fast"}


def test_devices_with_the_same_period_keep_out_of_step() -> None:
    assert phases_s([10.0, 5.0, 10.0, 5.0, 5.0, 60.0]) == pytest.approx([0.0, 0.0, 5.0, 5 / 3, 10 / 3, 0.0])


@settings(max_examples=60)
@given(
    costs_s=st.lists(st.floats(0.05, 2.0), min_size=1, max_size=8),
    step_s=st.sampled_from([0.5, 1.0, 5.0, 7.3]),
)
def test_all_dead_units_together_take_a_twentieth_and_none_is_forgotten(costs_s: list[float], step_s: float) -> None:
    budget = SilenceBudget()
    for unit, cost_s in enumerate(costs_s):
        budget.missed(unit, cost_s=cost_s, now_s=0.0, dead=True)
    probes: dict[int, list[float]] = {unit: [0.0] for unit in range(len(costs_s))}
    spent_s = now_s = 0.0
    while now_s < 2000.0:
        now_s += step_s
        for unit, cost_s in enumerate(costs_s):
            if budget.may_ask(unit, now_s=now_s):
                budget.missed(unit, cost_s=cost_s, now_s=now_s, dead=True)
                probes[unit].append(now_s)
                spent_s += cost_s
    assert spent_s <= DEAD_SHARE_MAX * now_s + max(costs_s)
    # Each within one probe interval of the time before, give or take the step in which somebody looks.
    allowed_s = budget.probe_interval_s + max(costs_s) / DEAD_SHARE_MAX + 2 * step_s
    for instants_s in probes.values():
        gaps_s = [after - before for before, after in zip(instants_s[1:], [*instants_s[2:], now_s], strict=True)]
        assert max(gaps_s, default=0.0) <= allowed_s


def test_a_unit_that_answers_gives_its_slot_back() -> None:
    budget = SilenceBudget()
    for unit in (1, 2):
        budget.missed(unit, cost_s=1.0, now_s=0.0, dead=True)
    assert list(budget.dead_units) == [1, 2]
    assert budget.probe_interval_s == pytest.approx(40.0)
    budget.heard(1, now_s=1.0)
    assert list(budget.dead_units) == [2]
    assert budget.probe_interval_s == pytest.approx(20.0)
    assert budget.may_ask(1, now_s=1.0)


class Cut:
    """A line that somebody asks once a second; units come back one by one."""

    def __init__(self, costs_s: dict[int, float]) -> None:
        self.budget = SilenceBudget()
        self.costs_s = costs_s
        self.dead = set(costs_s)
        self.now_s = self.spent_s = 0.0
        self.back_s: dict[int, float] = {}
        for unit, cost_s in costs_s.items():
            self.budget.missed(unit, cost_s=cost_s, now_s=0.0, dead=True)

    def run(self, until_s: float) -> None:
        while self.now_s < until_s:
            self.now_s += 1.0
            for unit, cost_s in self.costs_s.items():
                if unit not in self.budget.dead_units or not self.budget.may_ask(unit, now_s=self.now_s):
                    continue
                if unit in self.dead:
                    self.spent_s += cost_s
                    self.budget.missed(unit, cost_s=cost_s, now_s=self.now_s, dead=True)
                else:
                    self.budget.heard(unit, now_s=self.now_s)
                    self.back_s[unit] = self.now_s


def test_a_cheap_unit_does_not_wait_for_a_dear_one_that_is_back() -> None:
    budget = SilenceBudget()
    budget.missed(1, cost_s=10.0, now_s=0.0, dead=True)
    budget.missed(2, cost_s=0.5, now_s=1.0, dead=True)
    assert not budget.may_ask(2, now_s=209.0)
    budget.heard(1, now_s=5.0)
    assert budget.probe_interval_s == 10.0
    assert not budget.may_ask(2, now_s=10.0)
    assert budget.may_ask(2, now_s=11.0)


def test_a_cut_cable_is_forgotten_soon_after_it_is_mended() -> None:
    line = Cut(dict.fromkeys(range(1, 21), 2.0))
    line.run(65.0)
    line.dead.clear()
    line.run(120.0)
    assert len(line.back_s) == 20, "not one after the other at 40 s"
    assert max(line.back_s.values()) <= 65.0 + 40.0 + 2.0


@settings(deadline=None)  # a busy machine
@given(
    costs_s=st.lists(st.sampled_from([0.3, 0.5, 2.0, 6.0, 10.0]), min_size=2, max_size=8),
    order=st.randoms(use_true_random=False),
    pauses_s=st.lists(st.floats(0.0, 900.0), min_size=8, max_size=8),
)
def test_units_that_come_back_one_by_one_are_met_within_the_interval_told(
    costs_s: list[float], order: random.Random, pauses_s: list[float]
) -> None:
    line = Cut(dict(enumerate(costs_s, start=1)))
    units = list(line.costs_s)
    order.shuffle(units)
    for unit, pause_s in zip(units, pauses_s, strict=False):
        line.run(line.now_s + pause_s)
        line.dead.discard(unit)
        since_s, interval_s = line.now_s, line.budget.probe_interval_s
        line.run(line.now_s + interval_s + len(units) + 1)  # somebody looks once a second
        assert unit in line.back_s, (unit, since_s, interval_s)
        assert line.spent_s <= DEAD_SHARE_MAX * line.now_s + max(costs_s)
    assert not line.budget.dead_units


@given(
    costs_s=st.lists(st.sampled_from([0.5, 2.0, 10.0]), min_size=2, max_size=6),
    flaps=st.lists(st.tuples(st.integers(1, 6), st.floats(1.0, 60.0)), min_size=1, max_size=30),
)
def test_the_share_holds_while_units_come_and_go(costs_s: list[float], flaps: list[tuple[int, float]]) -> None:
    line = Cut(dict(enumerate(costs_s, start=1)))
    for unit, pause_s in flaps:
        if unit in line.dead and unit in line.budget.dead_units:
            line.dead.discard(unit)
        elif unit in line.costs_s and unit not in line.budget.dead_units:
            line.dead.add(unit)
            line.budget.missed(unit, cost_s=line.costs_s[unit], now_s=line.now_s, dead=True)
        line.run(line.now_s + pause_s)
        assert line.spent_s <= DEAD_SHARE_MAX * line.now_s + max(costs_s)


def test_a_unit_that_fails_again_and_again_does_not_starve_the_line() -> None:
    """A unit that answers every other request is never dead; its time-outs still have a bound."""
    budget = SilenceBudget()
    now_s = lost_s = 0.0
    while now_s < 1000.0:
        now_s += 0.5
        if budget.may_ask(7, now_s=now_s):
            budget.missed(7, cost_s=1.0, now_s=now_s, dead=False)
            lost_s += 1.0
            budget.heard(7, now_s=now_s)
    assert lost_s == pytest.approx(FAILING_SHARE_MAX * now_s, rel=0.05, abs=BURST_MISSES)


def test_a_dead_line_is_probed_every_ten_seconds_and_met_at_once_when_it_is_back() -> None:
    budget, units = SilenceBudget(), (1, 2, 3)
    for unit in units:
        budget.expect(unit)
        budget.missed(unit, cost_s=1.5, now_s=float(unit), dead=True)
    assert budget.probe_interval_s == PROBE_MIN_S
    assert not budget.may_ask(1, now_s=10.9)
    assert budget.may_ask(1, now_s=11.0)
    budget.missed(1, cost_s=1.5, now_s=11.0, dead=True)
    assert budget.may_ask(2, now_s=12.0)
    budget.heard(2, now_s=12.0)
    assert budget.may_ask(1, now_s=12.0)
    assert budget.may_ask(3, now_s=12.0)
    budget.missed(3, cost_s=1.5, now_s=13.0, dead=True)
    assert not budget.may_ask(3, now_s=13.0 + 1.5 / DEAD_SHARE_MAX - 0.1), "somebody answers: the share counts again"


def test_a_host_that_is_back_is_noticed_by_the_unit_that_was_not_given_up_yet() -> None:
    budget = SilenceBudget()
    for unit in (1, 2, 3):
        budget.expect(unit)
    budget.heard(3, now_s=0.0)
    for unit in (1, 2):
        budget.missed(unit, cost_s=1.0, now_s=1.0, dead=True)
    budget.missed(3, cost_s=1.0, now_s=2.0, dead=False)
    budget.heard(3, now_s=5.0)
    assert not budget.may_ask(1, now_s=5.0), "one that answers now and then is no line that was out"
    budget.missed(3, cost_s=1.0, now_s=6.0, dead=False)
    budget.heard(3, now_s=5.0 + OUT_S)
    assert budget.may_ask(1, now_s=5.0 + OUT_S)
    assert budget.may_ask(2, now_s=5.0 + OUT_S)


def test_a_dead_line_of_dear_units_is_probed_for_half_of_its_time_at_most() -> None:
    budget = SilenceBudget()
    for unit in (1, 2):
        budget.expect(unit)
        budget.missed(unit, cost_s=6.0, now_s=0.0, dead=True)
    assert budget.probe_interval_s == 24.0
    assert not budget.may_ask(1, now_s=23.9)
    assert budget.may_ask(1, now_s=24.0)
