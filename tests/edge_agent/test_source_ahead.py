"""What a source will be while heat is drawn: how it followed what was drawn from it, hour by hour."""

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.source_ahead import (
    DRAWN_HOURS_MIN,
    LOOK_BACK_H,
    RESPONSE_HOURS_MIN,
    RESPONSE_K_MAX,
    Response,
    ahead_degc,
    drawn_by_plan_kw,
    response_of,
)
from scheduling.request import PlanRequest
from scheduling.rule import plan_by_rule
from scheduling.timegrid import TimeGrid

TINY = Path(__file__).resolve().parent.parent / "golden" / "cases" / "tiny_request.json"
REST = (17.0, 0.0)
"""A field at rest: the sensor tells the plant room."""
END = datetime(2026, 1, 12, 16, 0, tzinfo=UTC)
"""Midnight in Beijing."""
DAY_KW = [1600.0] * 8 + [900.0] * 9 + [0.0] * 5 + [900.0] * 2
"""Drawn from midnight on: the night at full load, none in the evening's peak."""


def split(*hours: tuple[float, float]) -> tuple[list[float], list[float]]:
    return [degc for degc, _ in hours], [kw for _, kw in hours]


def mean_degc(*hours: tuple[float, float]) -> float:
    response = response_of(*split(*hours))
    assert response is not None
    return response.mean_degc


def field(day_kw: list[float] = DAY_KW, *, rest_degc: float = 10.7, kelvin_per_kw: float = 0.0022) -> Response:
    heat_kw = [*day_kw, *day_kw]
    response = response_of([rest_degc - kelvin_per_kw * kw if kw else 17.0 for kw in heat_kw], heat_kw)
    assert response is not None
    return response


def hours_from(start_utc: datetime, count: int = 24) -> TimeGrid:
    return TimeGrid(start_utc, 3600.0, count)


def test_hours_count_by_the_heat_drawn_in_them() -> None:
    assert mean_degc((7.0, 1500.0), (7.0, 1500.0), (10.0, 1000.0)) == pytest.approx(7.75)


def test_hours_of_rest_do_not_count() -> None:
    drawn = [(8.0, 900.0)] * DRAWN_HOURS_MIN
    assert mean_degc(*drawn, *[REST] * 40) == pytest.approx(8.0)


def test_unknown_hours_are_left_out() -> None:
    hours = [(8.0, 900.0)] * 3 + [(math.nan, 900.0), (8.0, math.nan), (math.nan, math.nan)]
    assert mean_degc(*hours) == pytest.approx(8.0)


def test_too_few_hours_say_nothing() -> None:
    assert response_of(*split(*[(8.0, 900.0)] * (DRAWN_HOURS_MIN - 1), *[REST] * 40)) is None
    assert response_of([], []) is None


def test_what_is_drawn_cools_the_source() -> None:
    response = field()
    assert response.kelvin_per_kw == pytest.approx(0.0022)
    assert response.degc(1600.0) == pytest.approx(10.7 - 3.52)
    assert response.degc(900.0) == pytest.approx(10.7 - 1.98)
    # Beyond what has been seen nothing is known; who starts a unit draws at least what one draws.
    assert response.degc(9000.0) == response.degc(1600.0)
    assert response.degc(0.0) == response.degc(900.0)


def test_heat_put_in_warms_it() -> None:
    response = field([-kw for kw in DAY_KW], rest_degc=18.0)
    assert response.degc(-1600.0) == pytest.approx(18.0 + 3.52)
    assert response.degc(-900.0) == pytest.approx(18.0 + 1.98)


def test_where_its_effect_cannot_be_seen_the_mean_stands_for_all() -> None:
    assert field([900.0 + hour for hour in range(24)]).kelvin_per_kw == 0.0
    few = [(10.0 - kw / 1000.0, kw) for kw in (300.0, 1600.0) * (RESPONSE_HOURS_MIN // 2 - 1)]
    assert response_of(*split(*few)).kelvin_per_kw == 0.0  # type: ignore[union-attr]
    # A field that seems to grow warmer the more is drawn has another reason; one that cools by 30 K a broken sensor.
    assert field(kelvin_per_kw=-0.001).kelvin_per_kw == 0.0
    assert field(kelvin_per_kw=0.02).kelvin_per_kw == pytest.approx(RESPONSE_K_MAX / 1600.0)


def test_the_hour_of_the_day_says_what_will_be_drawn_and_the_plan_as_much() -> None:
    response, record = field(), [*DAY_KW, *DAY_KW]
    plain = ahead_degc(response, hours_from(END), heat_kw=record, end_utc=END)
    assert plain == pytest.approx([response.degc(kw) for kw in DAY_KW])
    later = ahead_degc(response, hours_from(END + timedelta(hours=30), 3), heat_kw=record, end_utc=END)
    assert later == pytest.approx(plain[6:9])
    planned: list[float | None] = [0.0, 1000.0, None] + [None] * 21
    both = ahead_degc(response, hours_from(END), heat_kw=record, end_utc=END, planned_kw=planned)
    assert both[:3] == pytest.approx([response.degc(kw) for kw in (800.0, 1300.0, 1600.0)])
    # A day with a hole: the other day's hour counts; nothing known: what is drawn at most.
    holed = [math.nan] * 24 + DAY_KW
    assert ahead_degc(response, hours_from(END), heat_kw=holed, end_utc=END) == pytest.approx(plain)
    blind = ahead_degc(response, hours_from(END), heat_kw=[math.nan] * LOOK_BACK_H, end_utc=END)
    assert blind == pytest.approx([response.degc(1600.0)] * 24)


def test_what_a_plan_draws_is_looked_up_step_by_step() -> None:
    document = json.loads(TINY.read_text(encoding="utf-8"))
    document["sources"] = [{"name": "ground", "kind": "ground"}]
    for mode in document["groups"][0]["modes"]:
        mode["source"] = "ground"
    request = PlanRequest.model_validate_json(json.dumps(document))
    plan = plan_by_rule(request)
    grid = request.grid.time_grid
    drawn = drawn_by_plan_kw(plan, request, grid)["ground"]
    made_kw = [sum(unit.load_kw[step] for unit in plan.units.values()) for step in range(grid.count)]
    assert any(made_kw)
    for kw, output_kw in zip(drawn, made_kw, strict=True):
        assert kw is not None
        assert (0.6 * output_kw < kw < 0.9 * output_kw) if output_kw else kw == 0.0  # what is no electricity
    later = TimeGrid(grid.start_utc + timedelta(minutes=30), (3600.0, 3600.0, 79_200.0), 3)
    assert drawn_by_plan_kw(plan, request, later)["ground"] == [drawn[1], drawn[2], None]


@given(
    hours=st.lists(
        st.tuples(st.floats(-20.0, 40.0) | st.just(math.nan), st.floats(-3000.0, 3000.0) | st.just(math.nan)),
        max_size=LOOK_BACK_H,
    ),
    drawn_kw=st.floats(-1e5, 1e5),
)
def test_whatever_is_on_record_it_stays_near_it(hours: list[tuple[float, float]], drawn_kw: float) -> None:
    response = response_of(*split(*hours))
    if response is None:
        return
    seen = [degc for degc, kw in hours if math.isfinite(degc) and math.isfinite(kw)]
    slack_k = 2.0 * RESPONSE_K_MAX
    assert min(seen) - slack_k <= response.degc(drawn_kw) <= max(seen) + slack_k
    assert response.degc(drawn_kw) >= response.degc(drawn_kw + 100.0) - 1e-9
