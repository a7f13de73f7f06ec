"""Readings that cannot be true are doubted, a value is never altered, and a healthy plant is left alone."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.profile_file import parse_profile
from drivers.sample import Cause, Quality, Sample, bad, good
from drivers.sanity import AGAIN_COUNT, KEEP_S, KWH_PER_M3_K_AT_0_DEGC, KWH_PER_M3_K_PER_K, SKEW_S_MAX, Sanity

START_UTC = datetime(2026, 1, 15, 8, tzinfo=UTC)


def point(unit: str, address: int, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - keys of a point
    return {"zh": "点", "en": "x", "function": 4, "address": address, "type": "f32", "unit": unit} | more


PROFILE = parse_profile(
    {
        "zh": "表",
        "en": "meter",
        "maker": "x",
        "category": "heat_meter",
        "level": "documented",
        "confidence": "low",
        "sources": ["x"],
        "identity": ["serial"],
        "checks": [
            {"kind": "heat_balance", "power": "heat", "flow": "flow", "supply": "supply", "return": "back"},
            {"kind": "sum", "total": "power", "parts": ["power_1", "power_2", "power_3"]},
        ],
        "points": {
            "serial": point("", 0),
            "heat": point("kW", 2),
            "flow": point("m3/h", 4, frozen_s=600),
            "supply": point("degC", 6, type="i16", scale=0.1),
            "back": point("degC", 7, type="i16", scale=0.1),
            "power": point("kW", 8),
            "power_1": point("kW", 10),
            "power_2": point("kW", 12),
            "power_3": point("kW", 14),
            "total": point("kWh", 16, counter={"rate_max": 1000}),
        },
    },
    name="x",
)
UNITS = {name: spec.unit for name, spec in PROFILE.points.items()}
WATER_KWH = KWH_PER_M3_K_AT_0_DEGC + KWH_PER_M3_K_PER_K * 40


class Bench:
    def __init__(self) -> None:
        self.sanity = Sanity(PROFILE)
        self.now_utc = START_UTC

    def poll(self, *, every_s: float = 60, skew_s: float = 0, **values: float | None) -> Mapping[str, Sample]:
        self.now_utc += timedelta(seconds=every_s)
        samples = []
        for position, (name, value) in enumerate(values.items()):
            instant_utc = self.now_utc + timedelta(seconds=skew_s * position)
            unit, name_ = UNITS[name], f"d.{name}"
            samples.append(
                bad(name_, instant_utc, unit, Cause.NO_ANSWER)
                if value is None
                else good(name_, instant_utc, value, unit)
            )
        judged = self.sanity.judge(samples)
        assert [(s.point, s.value, s.instant_utc) for s in judged] == [
            (s.point, s.value, s.instant_utc) for s in samples
        ]
        return {sample.point[2:]: sample for sample in judged}

    def causes(self, name: str, count: int, **values: float | None) -> list[Cause]:
        return [self.poll(**values)[name].cause for _ in range(count)]


@pytest.fixture
def bench() -> Bench:
    return Bench()


BALANCED = {"heat": WATER_KWH * 100 * 8, "flow": 100.0, "supply": 44.0, "back": 36.0}


def test_a_power_that_flow_and_temperatures_do_not_bear_out_is_doubted(bench: Bench) -> None:
    assert bench.causes("heat", 5, **BALANCED) == [Cause.NONE] * 5
    wrong = BALANCED | {"heat": BALANCED["heat"] * 3.6}  # GJ taken for MWh
    assert bench.causes("heat", 4, **wrong) == [Cause.NONE] * (AGAIN_COUNT - 1) + [Cause.HEAT_BALANCE] * 2
    found = bench.poll(**wrong)
    assert [found[name].quality for name in ("flow", "supply", "back")] == [Quality.GOOD] * 3
    assert bench.poll(**BALANCED)["heat"].quality is Quality.GOOD


@pytest.mark.parametrize(
    "values",
    [
        BALANCED | {"heat": 0.0, "supply": 37.5},  # small difference of temperatures
        BALANCED | {"heat": 0.0, "flow": 0.5},  # hardly any flow
        BALANCED | {"heat": 0.0, "supply": 36.0, "back": 44.0},  # counts heat only, and it cools
        BALANCED | {"heat": None},
        BALANCED | {"flow": None, "heat": 0.0},
        BALANCED | {"heat": -BALANCED["heat"]},  # counts the other way
    ],
)
def test_no_balance_where_nothing_can_be_said(bench: Bench, values: dict[str, float | None]) -> None:
    assert set(bench.causes("heat", 5, **values)) <= {Cause.NONE, Cause.NO_ANSWER}


def test_values_of_different_age_are_not_compared(bench: Bench) -> None:
    wrong = BALANCED | {"heat": 0.0}
    for _ in range(5):
        assert bench.poll(skew_s=SKEW_S_MAX, **wrong)["heat"].quality is Quality.GOOD


@settings(max_examples=100, deadline=None)
@given(
    polls=st.lists(
        st.tuples(
            st.floats(0, 300), st.floats(30, 60), st.floats(-10, 15), st.floats(-0.04, 0.04), st.floats(-0.05, 0.05)
        ),
        max_size=30,
    )
)
def test_instruments_within_their_errors_are_left_alone(polls: list[tuple[float, float, float, float, float]]) -> None:
    """Flow, temperatures and power with the errors of their class, temperatures in tenths, any load."""
    bench = Bench()
    for flow, supply, dt_k, gain, off_k in polls:
        carries = KWH_PER_M3_K_AT_0_DEGC + KWH_PER_M3_K_PER_K * (supply - dt_k / 2)
        values = {
            "heat": carries * flow * dt_k * (1 + gain),
            "flow": flow,
            "supply": round(supply + off_k, 1),
            "back": round(supply - dt_k, 1),
        }
        assert bench.poll(**values)["heat"].quality is Quality.GOOD


def test_a_total_that_is_not_the_sum_of_its_parts_is_doubted(bench: Bench) -> None:
    phases = {"power_1": 10.0, "power_2": 11.0, "power_3": 12.0}
    assert bench.causes("power", 4, power=33.4, **phases) == [Cause.NONE] * 4
    turned = phases | {"power_3": -12.0}  # a transformer the wrong way round
    assert bench.causes("power", 3, power=33.0, **turned)[-1] is Cause.SUM_DIFFERS


def test_a_value_that_does_not_move_is_doubted_but_a_plant_at_rest_is_not(bench: Bench) -> None:
    assert bench.causes("flow", 11, flow=12.34)[-2:] == [Cause.NONE, Cause.FROZEN]
    assert bench.poll(flow=12.35)["flow"].quality is Quality.GOOD
    assert set(bench.causes("flow", 30, flow=0.0)) == {Cause.NONE}


def test_a_pause_is_not_standing_still(bench: Bench) -> None:
    bench.poll(flow=12.34)
    assert bench.poll(every_s=7200, flow=12.34)["flow"].quality is Quality.GOOD


def test_another_serial_number_is_believed_when_it_says_so_twice(bench: Bench) -> None:
    bench.poll(serial=4711.0, total=5000.0)
    bench.poll(serial=4711.0, total=5010.0)
    assert bench.poll(serial=4712.0, total=70.0e3)["serial"].cause is Cause.IDENTITY_CHANGED
    found = bench.poll(serial=4712.0, total=70.0e3 + 10)
    assert found["serial"].quality is Quality.GOOD
    assert (found["total"].quality, found["total"].correction) == (Quality.GOOD, 5010.0 - 70.0e3), "sooner believed"


def test_the_correction_belongs_to_the_total(bench: Bench) -> None:
    for value in (5000.0, 5010.0, 3.0, 13.0, 23.0):
        sample = bench.poll(total=value)["total"]
    assert (sample.value, sample.correction) == (23.0, 5010.0)
    doubtful = Sample("d.total", bench.now_utc, 9e9, "kWh", Quality.UNCERTAIN, Cause.OUT_OF_RANGE)
    assert bench.sanity.judge([doubtful])[0].correction == 5010.0
    assert bench.poll(total=33.0)["total"].quality is Quality.GOOD, "what was out of range is not the counter's past"


def test_the_state_is_kept_when_a_correction_changes_and_at_a_slow_pace(bench: Bench) -> None:
    kept = []
    for value in (5000.0, 5010.0, 5015.0, 3.0, 13.0, 23.0, 33.0):
        bench.poll(total=value)
        kept.append(bench.sanity.to_keep(bench.now_utc) is not None)
    assert kept == [True, False, False, False, False, True, False]
    bench.now_utc += timedelta(seconds=KEEP_S)
    state = bench.sanity.to_keep(bench.now_utc)
    assert state is not None
    again = Sanity(PROFILE, json.loads(json.dumps(state)))
    sample = again.judge([good("d.total", bench.now_utc, 40.0, "kWh")])[0]
    assert (sample.quality, sample.correction) == (Quality.GOOD, 5015.0)


@pytest.mark.parametrize(
    "kept", [5, {"totals": 3, "identity": []}, {"totals": {"total": []}, "identity": {"serial": "x"}}]
)
def test_damaged_memory_is_left_out(kept: object) -> None:
    assert Sanity(PROFILE, kept).state() == {"totals": {}, "identity": {}}


def swapped(*, out: int, looks_right: int) -> list[Sample]:
    """A poll of a meter whose words have changed places: some numbers are absurd, some look like values."""
    now_utc = START_UTC
    names = ("heat", "flow", "power", "power_1", "power_2", "power_3")
    absurd = [
        Sample(f"d.{name}", now_utc, 1e30, UNITS[name], Quality.UNCERTAIN, Cause.OUT_OF_RANGE) for name in names[:out]
    ]
    return absurd + [good(f"d.{name}", now_utc, 1e-9, UNITS[name]) for name in names[out : out + looks_right]]


def test_where_several_long_numbers_are_absurd_the_others_are_not_believed_for_a_while() -> None:
    sanity = Sanity(PROFILE)
    short = good("d.supply", START_UTC, 45.0, "degC")
    judged = sanity.judge([*swapped(out=2, looks_right=3), short])
    assert [sample.cause for sample in judged] == [Cause.OUT_OF_RANGE] * 2 + [Cause.DISORDER] * 3 + [Cause.NONE]
    causes = [sanity.judge(swapped(out=0, looks_right=3))[0].cause for _ in range(4)]
    assert causes == [Cause.DISORDER, Cause.DISORDER, Cause.NONE, Cause.NONE]


def test_one_absurd_number_is_its_own_matter() -> None:
    judged = Sanity(PROFILE).judge(swapped(out=1, looks_right=4))
    assert [sample.cause for sample in judged] == [Cause.OUT_OF_RANGE] + [Cause.NONE] * 4
