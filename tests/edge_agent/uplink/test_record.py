"""Records: aggregates, validity, labels and bytes."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from edge_agent.clock_quality import ClockQuality
from edge_agent.rollup import Period, Rollup
from edge_agent.settings.model import ReportedPoint
from edge_agent.uplink.record import RecordPoint, build_record, encode

PERIOD = Period(datetime(2026, 1, 15, 0, 30, tzinfo=UTC), 15)


def rollup(good_ratio: float = 1.0) -> Rollup:
    return Rollup("em_main.electric_power", PERIOD.start_utc, 15, 3.0, 1.0, 5.0, 2.0, 4.0, good_ratio, 15)


@pytest.mark.parametrize(("aggregate", "value"), [("mean", 3.0), ("last", 4.0), ("min", 1.0), ("max", 5.0)])
def test_each_aggregate_takes_its_own_figure(aggregate: str, value: float) -> None:
    points = [ReportedPoint.model_validate({"point": "em_main.electric_power", "code": "01", "aggregate": aggregate})]
    record = build_record({"em_main.electric_power": rollup()}, points, plant="p", period=PERIOD)
    assert record.points == (RecordPoint("01", value, 192),)


@pytest.mark.parametrize(("good_ratio", "value", "quality"), [(0.5, 3.0, 192), (0.49, None, 0), (0.0, None, 0)])
def test_below_half_the_period_there_is_no_value(good_ratio: float, value: float | None, quality: int) -> None:
    points = [ReportedPoint(point="em_main.electric_power", code="01")]
    record = build_record({"em_main.electric_power": rollup(good_ratio)}, points, plant="p", period=PERIOD)
    assert record.points == (RecordPoint("01", value, quality),)


@pytest.mark.parametrize("clock", list(ClockQuality))
def test_nothing_is_certain_while_the_clock_is_not(clock: ClockQuality) -> None:
    points = [ReportedPoint(point="em_main.electric_power", code="01"), ReportedPoint(point="x.y", code="02")]
    record = build_record({"em_main.electric_power": replace(rollup(), clock=clock)}, points, plant="p", period=PERIOD)
    certain = 192 if clock is ClockQuality.SYNCHRONISED else 64
    assert record.points == (RecordPoint("01", 3.0, certain), RecordPoint("02", None, 0))


def test_a_point_that_was_never_read_is_reported_as_invalid() -> None:
    points = [ReportedPoint(point="hm_user.heat_power", code="02")]
    assert build_record({}, points, plant="p", period=PERIOD).points == (RecordPoint("02", None, 0),)


def test_the_message_is_the_described_one_and_its_time_is_the_start() -> None:
    points = [ReportedPoint(point="em_main.electric_power", code="01"), ReportedPoint(point="x.y", code="02")]
    record = build_record({"em_main.electric_power": rollup()}, points, plant="bj-demo-01", period=PERIOD)
    made_utc = PERIOD.end_utc + timedelta(seconds=4, milliseconds=112)
    payload = encode(record, epoch="7f3c1a9e", seq=48211, sent_at_utc=made_utc)
    assert json.loads(payload) == {
        "v": 1,
        "plant": "bj-demo-01",
        "epoch": "7f3c1a9e",
        "seq": 48211,
        "sent_at": "2026-01-15T00:45:04.112000Z",
        "records": [
            {"point": "01", "time": "2026-01-15T00:30:00Z", "value": 3.0, "quality": 192},
            {"point": "02", "time": "2026-01-15T00:30:00Z", "value": None, "quality": 0},
        ],
    }
    assert payload == encode(record, epoch="7f3c1a9e", seq=48211, sent_at_utc=made_utc)
