"""Steps down: never more than the table allows, never for longer than the cause, and never silent."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.writing import Reason
from edge_agent.control.modes import Mode
from edge_agent.control.step_down import (
    COMES_BACK_MAX,
    RULES,
    UNIT_REASONS,
    Cause,
    Evidence,
    Kept,
    StepDowns,
    acknowledged,
    clock_jumped,
    read_kept,
    weigh,
    without,
    write_kept,
)
from edge_agent.texts.catalogue import TEXTS

NOW = datetime(2026, 1, 12, 4, tzinfo=UTC)
evidences = st.builds(
    Evidence,
    blind=st.booleans(),
    control_failures=st.integers(0, 8),
    clock_jumped=st.booleans(),
    clock_behind=st.booleans(),
    store_refuses=st.booleans(),
    audit_broken_at=st.one_of(st.none(), st.integers(1, 9)),
)
lives = st.lists(st.tuples(evidences, st.floats(1.0, 7200.0)), max_size=30)


def test_every_cause_has_its_rule_and_its_words() -> None:
    assert set(RULES) == set(Cause)
    for cause in Cause:
        assert TEXTS[cause].hint_zh, cause
        if RULES[cause].back_after_s is None:
            assert "edge-agent mode auto" in TEXTS[cause].hint_en


def test_reasons_against_a_unit_are_reasons_of_a_write() -> None:
    assert set(Reason) > UNIT_REASONS


@given(lives)
def test_whatever_happens_a_step_down_has_a_cause_and_only_takes_away(life: list[tuple[Evidence, float]]) -> None:
    state, now_utc = StepDowns(), NOW
    for evidence, lasts_s in life:
        state = weigh(state, evidence, now_utc=now_utc)
        for asked in Mode:
            order = tuple(Mode)
            assert order.index(state.mode(asked)) <= order.index(asked)
        for cause, down in state.downs.items():
            rule = RULES[cause]
            assert cause in evidence.causes() or down.well_utc is not None
            if down.well_utc is not None and not down.person:
                assert rule.back_after_s is not None
                assert (now_utc - down.well_utc).total_seconds() < rule.back_after_s
        assert state.follows_plan is (not state.downs)
        assert read_kept(write_kept(Kept(state))).state == state
        now_utc += timedelta(seconds=lasts_s)


@given(lives)
def test_when_all_is_well_for_long_only_what_needs_a_person_is_left(life: list[tuple[Evidence, float]]) -> None:
    state, now_utc = StepDowns(), NOW
    for evidence, lasts_s in life:
        state = weigh(state, evidence, now_utc=now_utc)
        now_utc += timedelta(seconds=lasts_s)
    for _ in range(2):
        now_utc += timedelta(hours=2)
        state = weigh(state, Evidence(), now_utc=now_utc)
    assert all(down.person for down in state.downs.values())
    assert acknowledged(state, Evidence()).downs == {}


def test_a_cause_that_comes_and_goes_needs_a_person_at_last() -> None:
    state, now_utc = StepDowns(), NOW
    for time in range(COMES_BACK_MAX + 1):
        state = weigh(state, Evidence(clock_jumped=True), now_utc=now_utc)
        assert state.downs[Cause.CLOCK].person is (time == COMES_BACK_MAX)
        for _ in range(2):
            now_utc += timedelta(minutes=20)
            state = weigh(state, Evidence(), now_utc=now_utc)
    assert set(state.downs) == {Cause.CLOCK}
    # The same spread over days is no reason to wait for anybody.
    state, now_utc = StepDowns(), NOW
    for _ in range(2 * COMES_BACK_MAX):
        state = weigh(state, Evidence(clock_jumped=True), now_utc=now_utc)
        assert not state.downs[Cause.CLOCK].person
        for _ in range(2):
            now_utc += timedelta(hours=10)
            state = weigh(state, Evidence(), now_utc=now_utc)


def test_a_short_blindness_is_only_waited_for_also_across_a_jump_of_the_clock() -> None:
    state = weigh(StepDowns(), Evidence(blind=True), now_utc=NOW)
    state = weigh(state, Evidence(blind=True, clock_jumped=True), now_utc=NOW + timedelta(hours=5))
    assert Cause.BLIND not in state.downs
    state = weigh(state, Evidence(blind=True), now_utc=NOW + timedelta(hours=5, minutes=31))
    assert Cause.BLIND in state.downs


@pytest.mark.parametrize(
    ("site_s", "steady_s", "jumped"),
    [
        (10.0, 10.0, False),
        (200.0, 10.0, False),  # an ordinary correction
        (400.0, 10.0, True),
        (-200.0, 10.0, False),
        (-400.0, 10.0, True),
        (2400.0, 2400.0, False),
        (86400.0, 2400.0, True),
        (0.0, 600.0, True),  # it stands still while time goes by
    ],
)
def test_jumps(site_s: float, steady_s: float, *, jumped: bool) -> None:
    assert clock_jumped(site_s, steady_s=steady_s) is jumped


def test_a_unit_out_of_control_is_seen_as_local_and_nothing_else_changes(kit: SimpleNamespace) -> None:
    view = kit.view(hp1=kit.unit_running)
    left = without(view, {"hp1", "hp9"})
    assert left.units["hp1"] == replace(view.units["hp1"], remote=False)
    assert left.units["hp2"] == view.units["hp2"]
    assert without(view, ()) == view


@pytest.mark.parametrize("text", [None, "", "{", '{"version": 9}'])
def test_damaged_memory_is_none(text: str | None) -> None:
    assert read_kept(text) == Kept()
