"""The score of advise: exact where all is known, an interval that holds the truth where heat differs, else a reason."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.control.advice import (
    QUARTER,
    WINDOW_COUNT,
    Advice,
    Quarter,
    Score,
    Window,
    judge,
    open_window,
    read_advice,
    write_advice,
)
from edge_agent.texts.catalogue import TEXTS
from scheduling.plan import Plan
from scheduling.request import PlanRequest

START = datetime(2026, 1, 12, 16, tzinfo=UTC)
VALLEY, PEAK = 0.3, 1.2
COP_CHARGE, COP_DIRECT = 3.0, 4.0
OTHER_KW = 40.0
LOAD_KW = 800.0


def planned(number: int) -> Quarter:
    """Charges in the first eight hours at a bad COP, lives on the tank for eight, and on units for the rest."""
    part = number * 3 // WINDOW_COUNT
    heat_kw = (2 * LOAD_KW, 0.0, LOAD_KW)[part]
    cop = (COP_CHARGE, 1.0, COP_DIRECT)[part]
    stored_kwh = LOAD_KW * (8.0 - abs((number + 1) * 0.25 - 8.0)) if part < 2 else 0.0
    price = VALLEY if part == 0 else PEAK
    return Quarter(price, OTHER_KW + heat_kw / cop, heat_kw, LOAD_KW, stored_kwh)


def window(*, seen: int = WINDOW_COUNT, stored_kwh: float = 0.0, other_kw: float | None = OTHER_KW) -> Window:
    """The window in which everything was seen as planned."""
    begun = Window(START, tuple(planned(number) for number in range(WINDOW_COUNT)), 0.0, OTHER_KW)
    for _ in range(seen):
        begun = begun.seen(stored_kwh=stored_kwh, other_kw=other_kw)
    return begun


def means(kw: float, count: int = WINDOW_COUNT) -> dict[datetime, float]:
    return {START + number * QUARTER: kw for number in range(count)}


def test_a_plant_that_did_what_was_planned_saved_nothing() -> None:
    whole = window()
    electric = {START + number * QUARTER: quarter.electric_kw for number, quarter in enumerate(whole.plan)}
    score = judge(whole, electric_kw=electric, heat_kw=means(LOAD_KW))
    assert score.saved_cny == pytest.approx((0.0, 0.0), abs=1e-6)
    assert score.planned_cny == pytest.approx((score.actual_cny, score.actual_cny))
    assert score.obstacle == ""


def test_a_plant_without_its_tank_pays_what_the_tank_would_have_saved() -> None:
    straight_kw = OTHER_KW + LOAD_KW / COP_DIRECT
    score = judge(window(), electric_kw=means(straight_kw), heat_kw=means(LOAD_KW))
    other_cny = OTHER_KW * 8.0 * (VALLEY + 2 * PEAK)
    actual_cny = LOAD_KW / COP_DIRECT * 8.0 * (VALLEY + 2 * PEAK) + other_cny
    planned_cny = 2 * LOAD_KW / COP_CHARGE * 8.0 * VALLEY + LOAD_KW / COP_DIRECT * 8.0 * PEAK + other_cny
    assert score.actual_cny == pytest.approx(actual_cny)
    assert score.planned_cny == pytest.approx((planned_cny, planned_cny))
    assert score.saved_cny == pytest.approx((actual_cny - planned_cny,) * 2)


@given(st.floats(-0.2, 0.25), st.floats(0.0, 80.0))
def test_more_or_less_heat_than_expected_widens_the_interval_and_it_holds_the_truth(more: float, other: float) -> None:
    """Whenever the units had made the difference, its price lies in the interval."""
    whole = replace(window(), seen_other_kw=(other,) * WINDOW_COUNT)
    electric = {START + n * QUARTER: q.electric_kw - OTHER_KW + other for n, q in enumerate(whole.plan)}
    score = judge(whole, electric_kw=electric, heat_kw=means(LOAD_KW * (1.0 + more)))
    assert score.saved_cny is not None
    assert score.actual_cny is not None
    low, high = score.saved_cny
    assert low <= high
    for price in (VALLEY / COP_CHARGE, PEAK / COP_DIRECT, 0.2):
        truth_cny = -more * LOAD_KW * 24.0 * price
        assert low - 1e-6 <= truth_cny <= high + 1e-6


@given(st.floats(-3000.0, 3000.0))
def test_heat_left_in_the_tank_is_charged_to_the_plan(left_kwh: float) -> None:
    electric = {START + n * QUARTER: q.electric_kw for n, q in enumerate(window().plan)}
    score = judge(window(stored_kwh=left_kwh), electric_kw=electric, heat_kw=means(LOAD_KW))
    assert score.saved_cny is not None
    low, high = score.saved_cny
    for price in (VALLEY / COP_CHARGE, PEAK / COP_DIRECT):
        assert low - 1e-6 <= -left_kwh * price <= high + 1e-6


@pytest.mark.parametrize(
    ("whole", "electric", "heat", "reason"),
    [
        (window(seen=23), means(200.0), means(LOAD_KW), "advice_too_short"),
        (window(), means(200.0, 80), means(LOAD_KW), "advice_not_measured"),
        (window(), means(200.0), {}, "advice_not_measured"),
        (window().seen(stored_kwh=None, other_kw=None), means(200.0, 97), means(LOAD_KW, 97), "advice_storage_unknown"),
        (window(), means(200.0), means(2.0 * LOAD_KW), "advice_load_differs"),
        (replace(window(), obstacle="advice_other_heat"), means(200.0), means(LOAD_KW), "advice_other_heat"),
        (
            replace(window(), plan=tuple(replace(quarter, heat_kw=0.0) for quarter in window().plan)),
            means(200.0),
            means(LOAD_KW),
            "advice_no_heat_planned",
        ),
    ],
)
def test_where_it_would_be_a_guess_there_is_a_reason_and_no_figure(
    whole: Window, electric: dict[datetime, float], heat: dict[datetime, float], reason: str
) -> None:
    if len(whole.seen_stored_kwh) > WINDOW_COUNT:
        whole = replace(whole, plan=(*whole.plan, whole.plan[-1]))
    score = judge(whole, electric_kw=electric, heat_kw=heat)
    assert score.obstacle == reason
    assert score.saved_cny is None
    assert reason in TEXTS


def test_totals_and_memory() -> None:
    advice = Advice(window(seen=3))
    advice = advice.scored(Score(START, START + timedelta(days=1), 10.0, (4.0, 6.0), (4.0, 6.0)))
    advice = advice.scored(Score(START, START + timedelta(days=1), obstacle="advice_too_short"))
    advice = advice.scored(Score(START, START + timedelta(days=1), 10.0, (12.0, 13.0), (-3.0, -2.0)))
    assert advice.total_cny == (1.0, 4.0)
    assert Advice().total_cny is None
    kept = Advice(window(seen=3), advice.scores)
    assert read_advice(write_advice(kept)) == kept
    for damaged in (None, "", "{", '{"version": 9}'):
        assert read_advice(damaged) == Advice()


def task(minutes: list[float]) -> tuple[Plan, PlanRequest]:
    """A plan of steps of several lengths and its task."""
    count = len(minutes)
    request = PlanRequest.model_validate(
        {
            "schema": "plan-request/1",
            "name": "test",
            "timezone": "Asia/Shanghai",
            "grid": {"start_utc": START, "step_minutes": minutes, "steps": count},
            "price_cny_per_kwh": [0.1 * (step + 1) for step in range(count)],
            "other_load_kw": OTHER_KW,
            "loops": [
                {
                    "name": "heating",
                    "medium": "heat",
                    "load_kw": [LOAD_KW] * count,
                    "unmet_cny_per_kwh": 20.0,
                    "dump_cny_per_kwh": 0.1,
                }
            ],
            "storages": [],
            "groups": [],
        }
    )
    plan = Plan.model_validate(
        {
            "schema": "plan/1",
            "request": "test",
            "made_utc": START,
            "method": "rule",
            "status": "feasible",
            "objective_cny": 0.0,
            "parts_cny": {},
            "grid_start_utc": START,
            "step_minutes": minutes,
            "units": {"hp1": {"mode": ["direct"] * count, "load_kw": [10.0 * (step + 1) for step in range(count)]}},
            "storages": {},
            "grid_kw": [100.0 + step for step in range(count)],
        }
    )
    return plan, request


def test_a_window_opens_on_a_quarter_and_spreads_longer_steps() -> None:
    plan, request = task([15.0] * 8 + [30.0] * 8 + [60.0] * 24)
    opened = open_window(plan, request)
    assert opened is not None
    assert len(opened.plan) == WINDOW_COUNT
    assert [quarter.electric_kw for quarter in opened.plan[6:12]] == [106.0, 107.0, 108.0, 108.0, 109.0, 109.0]
    assert opened.plan[-1].heat_kw == pytest.approx(10.0 * 34)
    late = plan.model_copy(update={"grid_start_utc": START + timedelta(minutes=7)})
    assert open_window(late, request) is None
    assert open_window(*task([15.0] * 40)) is None
    assert open_window(*task([10.0] * 200)) is None
