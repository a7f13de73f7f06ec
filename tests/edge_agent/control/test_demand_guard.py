"""The demand guard: what was used, what is left, where the meter's windows begin; never above the limit."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.control.demand_guard import (
    BURST_RATIO,
    DemandMemory,
    Edge,
    Reading,
    allowance,
    ceilings,
    limits_now,
    observe,
    shifted,
)

START_UTC = datetime(2026, 1, 12, 4, 0, tzinfo=UTC)
WINDOW = timedelta(minutes=15)
LIMIT_KW = 400.0
KNOWN = Edge(START_UTC, START_UTC)


def at(seconds: float) -> datetime:
    return START_UTC + timedelta(seconds=seconds)


def fed(*powers_kw: float, step_s: float = 30.0, memory: DemandMemory | None = None) -> DemandMemory:
    memory = memory or DemandMemory(edge=KNOWN)
    for index, power_kw in enumerate(powers_kw):
        memory = observe(memory, Reading(at(index * step_s), power_kw), window=WINDOW)
    return memory


def allowed_kw(memory: DemandMemory, seconds: float) -> float:
    return allowance(memory, at(seconds), limit_kw=LIMIT_KW, window=WINDOW).allowed_kw


class TestFixedWindow:
    def test_what_was_saved_may_be_drawn_and_what_was_too_much_must_be_saved(self) -> None:
        # Ten minutes at 300 kW leave 100 kW x 10 min for five minutes.
        assert allowed_kw(fed(*[300.0] * 21), 600.0) == pytest.approx(BURST_RATIO * LIMIT_KW)
        assert allowed_kw(fed(*[380.0] * 21), 600.0) == pytest.approx(440.0)
        assert allowed_kw(fed(*[500.0] * 21), 600.0) == pytest.approx(200.0)
        assert allowed_kw(fed(*[700.0] * 21), 600.0) == 0.0

    def test_a_new_window_begins_afresh(self) -> None:
        assert allowed_kw(fed(*[500.0] * 31), 900.0) == pytest.approx(LIMIT_KW)

    def test_projects_the_mean(self) -> None:
        found = allowance(fed(*[300.0] * 20, 450.0), at(600.0), limit_kw=LIMIT_KW, window=WINDOW)
        assert found.projected_kw == pytest.approx((300.0 * 585.0 + 450.0 * 315.0) / 900.0, rel=0.01)
        assert (found.from_utc, found.to_utc, found.sliding) == (START_UTC, at(900.0), False)

    def test_time_that_was_not_seen_counts_at_the_limit(self) -> None:
        assert allowed_kw(DemandMemory(edge=KNOWN), 600.0) == pytest.approx(LIMIT_KW)
        memory = observe(DemandMemory(edge=KNOWN), Reading(at(0.0), 200.0), window=WINDOW)
        memory = observe(memory, Reading(at(450.0), 200.0), window=WINDOW)
        assert allowed_kw(memory, 450.0) == pytest.approx(LIMIT_KW)

    def test_a_register_fills_a_gap(self) -> None:
        memory = observe(DemandMemory(edge=KNOWN), Reading(at(0.0), 200.0, 1000.0), window=WINDOW)
        memory = observe(memory, Reading(at(450.0), 200.0, 1037.5), window=WINDOW)  # 300 kW in the mean
        assert allowed_kw(memory, 450.0) == pytest.approx(500.0)

    def test_a_register_that_was_exchanged_fills_none(self) -> None:
        memory = observe(DemandMemory(edge=KNOWN), Reading(at(0.0), 200.0, 1000.0), window=WINDOW)
        memory = observe(memory, Reading(at(450.0), 200.0, 1062.5), window=WINDOW)  # 500 kW in the mean
        swapped = observe(memory, Reading(at(800.0), 200.0, 3.0), window=WINDOW)
        assert allowed_kw(swapped, 800.0) == 0.0, "350 s at the limit"

    def test_an_edge_known_to_the_minute_is_kept_at_both_ends(self) -> None:
        vague = DemandMemory(edge=Edge(at(0.0), at(60.0)))
        exact = fed(*[500.0, 500.0, 500.0, *[380.0] * 18])
        kept = fed(*[500.0, 500.0, 500.0, *[380.0] * 18], memory=vague)
        ends = [
            fed(*[500.0, 500.0, 500.0, *[380.0] * 18], memory=DemandMemory(edge=Edge(at(s), at(s)))) for s in (0, 60)
        ]
        assert allowed_kw(kept, 600.0) == min(allowed_kw(memory, 600.0) for memory in ends) <= allowed_kw(exact, 600.0)

    def test_a_clock_set_back_forgets_what_is_not_of_this_time(self) -> None:
        memory = observe(fed(*[700.0] * 21), Reading(at(-7200.0), 100.0), window=WINDOW)
        assert memory.slices == ()
        assert memory.edge is None

    def test_a_clock_that_is_set_takes_history_and_edges_along(self) -> None:
        memory = fed(*[500.0] * 21)
        for jump in (timedelta(hours=2), timedelta(minutes=-10)):
            moved = allowance(shifted(memory, jump), at(600.0) + jump, limit_kw=LIMIT_KW, window=WINDOW)
            assert moved.allowed_kw == pytest.approx(allowed_kw(memory, 600.0))


class TestSlidingWindow:
    def test_nothing_seen_leaves_the_limit(self) -> None:
        assert allowed_kw(DemandMemory(), 0.0) == pytest.approx(LIMIT_KW)

    def test_a_peak_still_counts_until_it_has_left_the_window(self) -> None:
        peaked = fed(*[300.0] * 20, *[700.0] * 10, memory=DemandMemory())
        assert allowed_kw(peaked, 870.0) < 300.0
        assert allowance(peaked, at(870.0), limit_kw=LIMIT_KW, window=WINDOW).sliding
        gone = fed(*[300.0] * 20, *[700.0] * 10, *[100.0] * 31, memory=DemandMemory())
        assert allowed_kw(gone, 60 * 30.0) == pytest.approx(LIMIT_KW)


class TestEdges:
    def test_the_meters_own_elapsed_time_tells(self) -> None:
        memory = observe(DemandMemory(), Reading(at(100.0), 300.0, elapsed_s=40.0), window=WINDOW)
        found = allowance(memory, at(100.0), limit_kw=LIMIT_KW, window=WINDOW)
        assert not found.sliding
        assert abs((found.from_utc - at(60.0)).total_seconds()) <= 2.0

    def test_a_running_demand_that_falls_back_tells_and_more_of_them_tell_better(self) -> None:
        memory = DemandMemory()
        widths_s = []
        for second in range(0, 5 * 900, 50):  # readings drift through the window: 900 is no multiple of 50 here
            instant_s = second + second // 900 * 7.0
            running_kw = 300.0 * ((instant_s - 130.0) % 900.0) / 900.0
            memory = observe(memory, Reading(at(instant_s), 300.0, running_kw=running_kw), window=WINDOW)
            if memory.edge is not None:
                edge = memory.edge
                widths_s.append((edge.to_utc - edge.from_utc).total_seconds())
                off_s = (edge.from_utc - at(130.0)).total_seconds() % 900.0
                assert off_s >= 900.0 - widths_s[-1] - 1e-6 or off_s <= 1e-6
        assert widths_s[-1] < widths_s[0] <= 50.0

    def test_a_meter_whose_clock_was_set_is_learned_anew(self) -> None:
        memory = fed(memory=DemandMemory(edge=KNOWN))
        memory = observe(memory, Reading(at(400.0), 300.0, running_kw=130.0), window=WINDOW)
        memory = observe(memory, Reading(at(430.0), 300.0, running_kw=2.0), window=WINDOW)
        assert memory.edge == Edge(at(400.0), at(430.0))

    def test_a_falling_load_is_no_edge(self) -> None:
        memory = DemandMemory()
        for index, running_kw in enumerate((200.0, 190.0, 181.0, 175.0, 120.0, 3.0, 1.0)):
            if running_kw == 3.0:
                continue
            memory = observe(memory, Reading(at(index * 60.0), 50.0, running_kw=max(running_kw, 90.0)), window=WINDOW)
        assert memory.edge is None


class TestCeilings:
    """What is reacted to: not the last seconds of a window, and not a trifle."""

    def ceiling_kw(self, kit: SimpleNamespace, powers_kw: list[float], seconds: float) -> float:
        limits = limits_now(kit.site(), event_kw=None, peak_kw=LIMIT_KW)
        found = ceilings(fed(*powers_kw), at(seconds), limits=limits, window=WINDOW).soft
        assert found is not None
        return found.allowed_kw

    def test_a_clear_excess_must_be_saved_while_there_is_time(self, kit: SimpleNamespace) -> None:
        assert self.ceiling_kw(kit, [500.0] * 21, 600.0) == pytest.approx(200.0)

    def test_the_last_seconds_are_no_cause_for_alarm(self, kit: SimpleNamespace) -> None:
        powers_kw = [440.0] * 30  # 870 s: 30 s are left, and nothing at all would be allowed
        assert allowed_kw(fed(*powers_kw), 870.0) == 0.0
        assert self.ceiling_kw(kit, powers_kw, 870.0) == pytest.approx(LIMIT_KW * (1.0 - 30.0 / 180.0))

    def test_a_trifle_is_let_go_on(self, kit: SimpleNamespace) -> None:
        assert self.ceiling_kw(kit, [401.0] * 21, 600.0) == LIMIT_KW


class TestLimits:
    def test_hard_and_soft_ones(self, kit: SimpleNamespace) -> None:
        site = kit.site(limits={"grid_kw_max": 1000.0, "contract_demand_kw": 800.0})
        limits = limits_now(site, event_kw=500.0, peak_kw=450.0)
        assert [(limit.code, limit.hard, limit.windowed) for limit in limits] == [
            ("grid", True, False),
            ("contract", True, True),
            ("event", True, True),
            ("peak", False, True),
        ]
        assert limits_now(kit.site(), event_kw=None, peak_kw=None) == ()
        found = ceilings(fed(*[300.0] * 21), at(600.0), limits=limits, window=WINDOW)
        assert found.hard is not None
        assert found.soft is not None
        # 490 kW less ten minutes of 300 kW leave more than the burst: the grid's 980 kW or 1.5 x 490 kW, the lowest.
        assert (found.hard.code, found.hard.allowed_kw, found.hard.steady_kw) == ("event", pytest.approx(735.0), 490.0)
        assert (found.soft.allowed_kw, found.soft.steady_kw) == (pytest.approx(BURST_RATIO * 450.0), 450.0)


# -------------------------------------------------------------------------------------------------------- properties

POWERS = st.lists(st.floats(0.0, 3000.0), min_size=1, max_size=80)


@given(wishes=POWERS, step_s=st.sampled_from([10.0, 30.0, 60.0]), known=st.booleans(), offset_s=st.integers(0, 899))
def test_with_perfect_response_no_window_exceeds_the_limit(
    *, wishes: list[float], step_s: float, known: bool, offset_s: int
) -> None:
    """The plant draws what it wishes, but never more than allowed; every window of the meter is summed up apart."""
    begin = at(float(offset_s))
    memory = DemandMemory(edge=KNOWN if known else None)
    drawn: list[tuple[float, float]] = []  # (start, kW) of each step
    for index, wish_kw in enumerate(wishes):
        seconds = offset_s + index * step_s
        found = allowance(memory, at(seconds), limit_kw=LIMIT_KW, window=WINDOW)
        power_kw = min(wish_kw, found.allowed_kw)
        # Two readings a step, so that its straight lines are the steps that were drawn.
        memory = observe(memory, Reading(at(seconds + 1e-3), power_kw), window=WINDOW)
        memory = observe(memory, Reading(at(seconds + step_s), power_kw), window=WINDOW)
        drawn.append((seconds, power_kw))
    assert begin == at(offset_s)
    end_s = offset_s + len(wishes) * step_s
    edges = range(0, int(end_s) + 1, 900) if known else range(offset_s - 900, int(end_s) + 1, 10)
    for edge_s in edges:
        # What was drawn before the guard began counts at the limit, as it does for the guard.
        kws = LIMIT_KW * min(900.0, max(0.0, offset_s - edge_s))
        for start_s, power_kw in drawn:
            kws += power_kw * max(0.0, min(start_s + step_s, edge_s + 900.0) - max(start_s, edge_s))
        assert kws / 900.0 <= LIMIT_KW * (1.0 + 1e-3), f"window from {edge_s} s"


@given(powers=POWERS, step_s=st.floats(1.0, 400.0), late_s=st.floats(0.0, 2000.0), limit_kw=st.floats(1.0, 5000.0))
def test_what_is_allowed_is_a_number_and_never_negative(
    powers: list[float], step_s: float, late_s: float, limit_kw: float
) -> None:
    for edge in (None, KNOWN):
        memory = fed(*powers, step_s=step_s, memory=DemandMemory(edge=edge))
        now_utc = at((len(powers) - 1) * step_s + late_s)
        found = allowance(memory, now_utc, limit_kw=limit_kw, window=WINDOW)
        assert 0.0 <= found.allowed_kw <= BURST_RATIO * limit_kw
        assert 0.0 <= found.projected_kw < 1e6
        assert found.from_utc <= now_utc <= found.to_utc
        assert len(memory.slices) <= 62 or step_s > 15.0


@given(powers=POWERS, more_kw=st.floats(0.0, 1000.0), place=st.integers(0, 79), known=st.booleans())
def test_who_has_used_more_is_allowed_less(*, powers: list[float], more_kw: float, place: int, known: bool) -> None:
    edge = KNOWN if known else None
    other = list(powers)
    other[place % len(powers)] += more_kw
    now_s = (len(powers) - 1) * 30.0
    used, used_more = (fed(*entry, memory=DemandMemory(edge=edge)) for entry in (powers, other))
    assert allowed_kw(used_more, now_s) <= allowed_kw(used, now_s) + 1e-6
