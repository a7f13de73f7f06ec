"""The accounting itself: a planted lost frame, wrong value and lost record are each counted; money and bands add up."""

import itertools
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from hil_sim.plant.office import GroundOffice
from hil_sim.plant.truth import Truth
from hil_sim.score import (
    BAND_CNY_PER_KWH,
    RecordVerdict,
    Run,
    SampleVerdict,
    Tally,
    ValueVerdict,
    band_of,
    bands_between,
    direct_electric_kw,
    failures,
    judge_records,
    judge_samples,
    judge_values,
    periods_due,
    read_export,
    score,
)
from hil_sim.wire_log import WireLog

BEIJING = ZoneInfo("Asia/Shanghai")
START_S = datetime(2027, 1, 13, tzinfo=BEIJING).timestamp()


def export_line(point: str, instant_s: float, value: str, *, quality: str = "GOOD", frame: int = 1) -> str:
    instant = datetime.fromtimestamp(instant_s, UTC).isoformat().replace("+00:00", "Z")
    return f"{point},{instant},{value},kW,{quality},{frame}"


def judged(lines: list[str], log: WireLog, promised: list[int]) -> SampleVerdict:
    text = ["point,instant_utc,value,unit,quality,frame", *lines]
    return judge_samples(read_export(text), promised=promised, log=log)


@pytest.fixture
def log() -> WireLog:
    log = WireLog()
    for index, value in enumerate([100.0, 101.0, None, 103.0]):
        log.serve("em_main", "electric_power", instant_s=START_S + 30.0 * index, value=value)
    return log


def test_what_was_served_and_promised_is_neither_lost_nor_wrong(log: WireLog) -> None:
    verdict = judged(
        [
            export_line("em_main.electric_power", START_S + 0.2, "100.0", frame=1),
            export_line("em_main.electric_power", START_S + 30.2, "101.00000001", frame=2),
            export_line("em_main.electric_power", START_S + 60.2, "", quality="BAD", frame=3),
            export_line("em_main.electric_power", START_S + 90.2, "103.0", quality="192", frame=4),
        ],
        log,
        promised=[1, 2, 3, 4],
    )
    assert verdict == SampleVerdict(accepted=4, lost_frames=(), wrong_count=0, wrong=())


def test_a_planted_lost_frame_is_counted(log: WireLog) -> None:
    line = export_line("em_main.electric_power", START_S + 0.2, "100.0", frame=1)
    verdict = judged([line, line.removesuffix(",1") + ",3"], log, promised=[1, 2, 3, 7])
    assert verdict.lost_frames == (2, 7)
    assert judged([], log, promised=[1]).lost_frames == (1,)


@pytest.mark.parametrize(
    ("point", "after_s", "value"),
    [
        ("em_main.electric_power", 0.2, "100.001"),  # not what was on the wire
        ("em_main.electric_power", 30.2, "100.0"),  # what was on the wire before
        ("em_main.electric_power", -5.0, "100.0"),  # before anything was served
        ("em_main.electric_power", 60.2, "101.0"),  # the device said: no value
        ("em_main.energy_total", 0.2, "100.0"),  # never asked
        ("em_main.electric_power", 0.2, "nan"),
    ],
)
def test_a_planted_wrong_value_is_counted(log: WireLog, point: str, after_s: float, value: str) -> None:
    verdict = judged([export_line(point, START_S + after_s, value)], log, promised=[1])
    assert verdict.wrong_count == 1
    assert point in verdict.wrong[0]


def test_a_bad_sample_is_never_wrong(log: WireLog) -> None:
    verdict = judged([export_line("em_main.electric_power", START_S, "", quality="BAD")], log, promised=[1])
    assert verdict.wrong_count == 0
    uncertain = export_line("em_main.electric_power", START_S + 0.1, "5.0", quality="UNCERTAIN")
    assert judged([uncertain], log, promised=[1]).wrong_count == 0


def test_the_periods_due_are_those_that_ended() -> None:
    due = periods_due(start_s=START_S, end_s=START_S + 86_400.0, period_min=15)
    assert len(due) == 96
    assert due[0] == datetime(2027, 1, 12, 16, tzinfo=UTC)
    assert due[-1] == datetime(2027, 1, 13, 15, 45, tzinfo=UTC)
    assert len(periods_due(start_s=START_S + 60.0, end_s=START_S + 1799.0, period_min=15)) == 1
    assert len(periods_due(start_s=START_S, end_s=START_S + 1800.0, period_min=15)) == 2


def test_a_planted_lost_record_is_counted_and_double_ones_are_told() -> None:
    due = periods_due(start_s=START_S, end_s=START_S + 7200.0, period_min=15)
    drained = due[-1] + timedelta(minutes=15)  # came while draining: not due, not lost
    held = {*due, drained}
    assert judge_records(due=due, held=held, duplicated=0) == RecordVerdict(
        due=8, acknowledged=8, lost=(), duplicated=0
    )
    held.discard(due[3])
    verdict = judge_records(due=due, held=held, duplicated=2)
    assert verdict == RecordVerdict(due=8, acknowledged=7, lost=(due[3],), duplicated=2)


@pytest.mark.parametrize(
    ("local", "band", "cny_per_kwh"),
    [
        ("2027-01-13T22:59", "flat", 0.62196575),
        ("2027-01-13T23:00", "valley", 0.38814475),
        ("2027-01-13T06:59", "valley", 0.38814475),
        ("2027-01-13T07:00", "flat", 0.62196575),
        ("2027-01-13T10:00", "peak", 0.85578675),
        ("2027-01-13T18:00", "sharp", 0.98049175),
        ("2027-01-13T21:00", "peak", 0.85578675),
        ("2027-02-13T18:00", "peak", 0.85578675),
        ("2026-07-13T16:30", "sharp", 0.98049175),
    ],
)
def test_the_simulators_own_tariff_table(local: str, band: str, cny_per_kwh: float) -> None:
    assert band_of(datetime.fromisoformat(local).replace(tzinfo=BEIJING)) == band
    assert BAND_CNY_PER_KWH[band] == pytest.approx(
        cny_per_kwh, abs=1e-6
    )  # the notice's own figures; the ratios give the rest


def test_bands_ahead_cover_the_time_without_gap() -> None:
    first = datetime(2027, 1, 13, 9, 42, tzinfo=BEIJING)
    bands = bands_between(first, first + timedelta(hours=24))
    assert bands[0] == (first.replace(hour=9, minute=0), first.replace(hour=10, minute=0), "flat")
    assert [band for _, _, band in bands[:6]] == ["flat", "peak", "flat", "peak", "sharp", "peak"]
    assert all(left[1] == right[0] and left[2] != right[2] for left, right in itertools.pairwise(bands))
    assert bands[-1][1] >= first + timedelta(hours=24)


@pytest.fixture(scope="module")
def truth() -> Truth:
    return GroundOffice(seed=1, start_s=START_S).truth()


def stretch(truth: Truth, hour: float, **sums: float) -> Truth:
    return replace(truth, instant_s=START_S + hour * 3600.0, **sums)


def test_money_is_counted_by_the_band_in_which_it_was_spent(truth: Truth) -> None:
    tally = Tally(zone=BEIJING)
    tally.add(stretch(truth, 6.0))
    tally.add(stretch(truth, 7.0, electricity_kwh=100.0, heat_charged_kwh=300.0))
    tally.add(stretch(truth, 8.0, electricity_kwh=150.0, heat_charged_kwh=400.0))
    assert tally.electricity_kwh == {"valley": 100.0, "flat": 50.0}
    assert tally.cost_cny == pytest.approx(100 * 0.38814475 + 50 * 0.62196575, abs=1e-3)
    assert tally.charged_valley_ratio() == pytest.approx(0.75)


def test_the_estimate_without_storage_makes_each_load_at_once_and_at_its_price(truth: Truth) -> None:
    tally = Tally(zone=BEIJING)
    first = stretch(truth, 11.0, supply_degc=45.0, source_inlet_degc=10.0)
    tally.add(first)
    tally.add(replace(first, instant_s=START_S + 12 * 3600.0, heat_delivered_kwh=first.heat_delivered_kwh + 1200.0))
    # Two units of 600 kW at full load, COP 4.40 (the map at 10 and 45 degC), their pumps, load pump and house.
    assert tally.no_storage_cny == pytest.approx((2 * (600.0 / 4.40 + 16.0) + 20.0) * 0.85578675, abs=1e-2)


def test_a_direct_plant_needs_more_electricity_for_more_heat_and_hotter_water() -> None:
    loads_kw = [0.0, 60.0, 200.0, 600.0, 700.0, 1500.0, 2400.0, 9000.0]
    powers_kw = [direct_electric_kw(load_kw, supply_degc=45.0, source_degc=10.0) for load_kw in loads_kw]
    assert powers_kw == sorted(powers_kw)
    assert powers_kw[0] == 20.0
    assert powers_kw[1] == pytest.approx(20.0 + (powers_kw[2] - 20.0) * 0.3, rel=0.1)
    assert direct_electric_kw(1000.0, supply_degc=50.0, source_degc=10.0) > direct_electric_kw(
        1000.0, supply_degc=45.0, source_degc=10.0
    )


def test_heat_left_in_the_tank_has_its_value(truth: Truth) -> None:
    tally = Tally(zone=BEIJING)
    assert tally.stored_heat_cny() == 0.0
    tally.add(truth)
    tally.add(stretch(truth, 1.0, stored_kwh=truth.stored_kwh + 330.0))
    assert tally.stored_heat_cny() == pytest.approx(100.0 * 0.38814475, abs=1e-3)
    tally.add(stretch(truth, 2.0, stored_kwh=truth.stored_kwh - 330.0))
    assert tally.stored_heat_cny() == pytest.approx(-100.0 * 0.38814475, abs=1e-3)


def figures(truth: Truth, **changes: object) -> dict[str, object]:
    tally = Tally(zone=BEIJING)
    tally.add(truth)
    run = Run(
        seed=1,
        sim_s=86_410.0,
        counted_sim_s=86_400.0,
        wall_s=400.0,
        speed_wanted_ratio=240.0,
        slowdowns=0,
        agent_starts=1,
        baud=921_600,
        plans={"milp": 90, "rule": 2},
        plan_seconds_median=0.4,
    )
    verdicts: dict[str, Any] = {
        "violations": [],
        "samples": SampleVerdict(accepted=10, lost_frames=(), wrong_count=0, wrong=()),
        "records": RecordVerdict(due=96, acknowledged=96, lost=(), duplicated=0),
        "reported": ValueVerdict(held=96, valid=96, wrong=(), wrong_count=0),
    }
    return score(run, tally=tally, **(verdicts | changes))


CONTRACT_KEYS = """
sim_hours wall_seconds speed_effective cost_cny electricity_kwh peak_kw heat_delivered_kwh unmet_heat_kwh
heat_charged_kwh
heat_charged_valley_ratio discomfort_kelvin_hours unit_starts protection_trips invariant_violations samples_accepted
samples_lost wrong_values records_due records_acknowledged records_lost records_duplicated_at_platform plans
plan_seconds_median energy_residual_relative seed
""".split()


def test_the_score_has_every_key_of_the_contract_and_is_json(truth: Truth) -> None:
    result = figures(truth)
    assert set(CONTRACT_KEYS) <= result.keys()
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["plans"] == {"milp": 90, "relaxed": 0, "rule": 2}
    assert result["speed_effective"] == 216.0
    assert result["heat_charged_valley_ratio"] is None
    assert failures(result) == []


def test_each_loss_fails_the_run_and_so_does_not_knowing(truth: Truth) -> None:
    lost = SampleVerdict(accepted=10, lost_frames=(4,), wrong_count=0, wrong=())
    wrong = SampleVerdict(accepted=10, lost_frames=(), wrong_count=1, wrong=("em_main.x",))
    record = RecordVerdict(due=96, acknowledged=95, lost=(datetime(2027, 1, 13, tzinfo=UTC),), duplicated=0)
    assert failures(figures(truth, samples=lost)) == ["samples_lost = 1"]
    assert failures(figures(truth, samples=wrong)) == ["wrong_values = 1"]
    assert failures(figures(truth, records=record)) == ["records_lost = 1"]
    assert failures(figures(truth, violations=["hp1 ran dry"])) == ["invariant: hp1 ran dry"]
    assert failures(figures(truth, samples=None, records=None)) == [
        "samples_lost: not known",
        "wrong_values: not known",
        "records_lost: not known",
    ]
    assert failures(figures(replace(truth, energy_residual_relative=1e-3))) == ["energy_residual_relative = 0.001"]


@pytest.mark.parametrize(
    ("aggregate", "reported", "wrong"),
    [("last", 41.5, 0), ("last", 41.0, 1), ("mean", 41.0, 0), ("mean", 39.0, 1), ("mean", None, 0), ("max", 42.5, 1)],
)
def test_a_reported_value_that_the_wires_cannot_have_led_to_is_counted(
    aggregate: str, reported: float | None, wrong: int
) -> None:
    begin = datetime(2027, 1, 12, 16, tzinfo=UTC)
    log = WireLog()
    for after_s, value in ((-30.0, 40.0), (60.0, 41.5), (400.0, None), (800.0, 42.0), (1000.0, 99.0)):
        log.serve("hm_user", "supply_temperature", instant_s=begin.timestamp() + after_s, value=value)
    verdict = judge_values(
        [("hm_user.supply_temperature", "C1", aggregate)],
        due=[begin, begin + timedelta(minutes=15)],
        period_s=900.0,
        readings=lambda _code: {begin: (reported, 0 if reported is None else 192)},
        log=log,
    )
    assert (verdict.held, verdict.valid, verdict.wrong_count) == (1, int(reported is not None), wrong)
    assert len(verdict.wrong) == wrong
