"""What a source will be while heat is drawn: from the hours in which it was."""

import math

import pytest

from edge_agent.source_ahead import DRAWN_HOURS_MIN, drawn_at_degc

REST = (17.0, 0.0)
"""A field at rest: the sensor tells the plant room."""


def split(*hours: tuple[float, float]) -> tuple[list[float], list[float]]:
    return [degc for degc, _ in hours], [kw for _, kw in hours]


def test_hours_count_by_the_heat_drawn_in_them() -> None:
    assert drawn_at_degc(*split((7.0, 1500.0), (7.0, 1500.0), (10.0, 1000.0))) == pytest.approx(7.75)


def test_hours_of_rest_do_not_count() -> None:
    drawn = [(8.0, 900.0)] * DRAWN_HOURS_MIN
    assert drawn_at_degc(*split(*drawn, *[REST] * 40)) == pytest.approx(8.0)


def test_heat_put_into_the_source_counts_likewise() -> None:
    assert drawn_at_degc(*split(*[(24.0, -700.0)] * 5)) == pytest.approx(24.0)


def test_unknown_hours_are_left_out() -> None:
    hours = [(8.0, 900.0)] * DRAWN_HOURS_MIN + [(math.nan, 900.0), (3.0, math.nan)]
    assert drawn_at_degc(*split(*hours)) == pytest.approx(8.0)


def test_too_few_hours_say_nothing() -> None:
    assert drawn_at_degc(*split(*[(8.0, 900.0)] * (DRAWN_HOURS_MIN - 1), *[REST] * 40)) is None
    assert drawn_at_degc([], []) is None
