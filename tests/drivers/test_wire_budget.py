"""What the devices of a line want of it, against reckoning by hand."""

import pytest

from drivers.profile_file import parse_profile
from drivers.read_plan import LineCost
from drivers.wire_budget import SHARE_MAX, WireBudget, device_share

COST = LineCost.serial(baud=9600, bits_per_character=10, turnaround_s=0.02)
HEAD = {"zh": "表", "en": "meter", "maker": "x", "category": "x", "level": "documented", "confidence": "low"}


def profile(points: dict[str, dict[str, object]], **more: object):  # type: ignore[no-untyped-def]  # noqa: ANN201
    named = {key: {"zh": "点", "en": key, "function": 3, "type": "u16"} | entry for key, entry in points.items()}
    return parse_profile(HEAD | {"sources": ["x"], "points": named} | more, name="meter")


def test_slow_points_cost_the_difference_when_they_are_due() -> None:
    meter = profile({"a": {"address": 0}, "b": {"address": 4, "period_s": 60}, "c": {"address": 500, "period_s": 60}})
    one, five = COST.request_s + COST.register_s, COST.request_s + 5 * COST.register_s
    by_hand = one / 10 + (five + one - one) / 60
    assert device_share(meter, period_s=10, cost=COST) == pytest.approx(by_hand)


def test_the_pace_of_the_model_counts_and_nothing_is_polled_faster_than_it_is_renewed() -> None:
    meter = profile({"a": {"address": 0}}, timing={"turnaround_s": 0.3, "refresh_s": 20})
    assert device_share(meter, period_s=5, cost=COST) == pytest.approx((COST.request_s + 0.28 + COST.register_s) / 20)


def test_a_line_that_is_asked_too_much_says_by_how_much() -> None:
    budget = WireBudget({"a": 0.5, "b": 0.9, "c": 0.4})
    assert not budget.fits
    assert budget.share == pytest.approx(1.8)
    assert budget.stretch == pytest.approx(1.8 / SHARE_MAX)
    assert budget.dearest() == [("b", 0.9), ("a", 0.5), ("c", 0.4)]
    assert WireBudget({"a": 0.5}).fits
    assert WireBudget({"a": 0.5}).stretch == 1.0
