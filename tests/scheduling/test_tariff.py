"""Tariff: golden numbers of Beijing 2026-08, coverage of every minute, edges, faults; the host's zone plays no part."""

import json
import os
import time
from copy import deepcopy
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from scheduling.errors import TariffFault
from scheduling.tariff.bill import bill
from scheduling.tariff.calendar import band_at, bands_of, next_change
from scheduling.tariff.check import check_tariff, read_tariff
from scheduling.tariff.model import Tariff
from scheduling.tariff.price import caps_of, price_at, price_per_step
from scheduling.timegrid import TimeGrid

ROOT = Path(__file__).parents[2]
ROWS = json.loads((ROOT / "tests/golden/vectors/beijing_tariff_2026_08.json").read_text(encoding="utf-8"))
SHIPPED = ROOT / "config/tariffs/beijing-commercial-two-part-1-10kv.yaml"
DATA: dict[str, Any] = json.loads(json.dumps(YAML(typ="safe").load(SHIPPED), default=str))
TARIFF = read_tariff(DATA)
ZONE = ZoneInfo("Asia/Shanghai")


def local(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=ZONE).astimezone(UTC)  # type: ignore[misc,arg-type]


def changed(**changes: object) -> dict[str, Any]:
    data = deepcopy(DATA)
    data.update(changes)
    return data


@pytest.mark.parametrize("row", ROWS["rows"], ids=lambda row: f"{row['class']} {row['voltage']}")
def test_published_prices_to_a_millionth(row: dict[str, Any]) -> None:
    peak, _, valley = row["ratio"]
    data = deepcopy(DATA)
    prices = data["prices"][0]
    prices["components_cny_per_kwh"]["transmission"] = row["td"]
    prices["ratios"].update(peak=peak, valley=valley, sharp=1.2 * peak)
    version = read_tariff(data).prices[0]
    for band in ("flat", "peak", "valley", "sharp"):
        if row[band] is not None:
            components = version.by_component(band)
            assert components is not None
            assert sum(components.values()) == pytest.approx(row[band], abs=1e-6)


def test_the_second_fixture_2024_07() -> None:
    data = deepcopy(DATA)
    purchase = 0.40917667
    data["prices"][0]["components_cny_per_kwh"] = {"purchase": purchase, "rest": 0.681335 - purchase}
    version = read_tariff(data).prices[0]
    for band, cny in (("peak", 0.926841), ("valley", 0.435829), ("sharp", 1.057777)):
        assert sum((version.by_component(band) or {}).values()) == pytest.approx(cny, abs=1e-6)


def test_the_worked_bill_of_august() -> None:
    grid = TimeGrid(local(2026, 8, 1), 900.0, 31 * 96)
    found = bill(TARIFF, grid, [100.0] * grid.count, zone=ZONE)
    wanted = {"sharp": (93, 9118.57), "peak": (186, 15917.63), "flat": (217, 13496.66), "valley": (248, 9625.99)}
    for band, (hours, cny) in wanted.items():
        assert found.by_band[band].hours == pytest.approx(hours)
        assert found.by_band[band].cost_cny == pytest.approx(cny, abs=0.01)
    assert found.by_month["2026-08"].demand_cny == pytest.approx(5200.0)
    assert found.total_cny == pytest.approx(53358.85, abs=0.01)
    assert sum(found.by_component.values()) == pytest.approx(found.energy_cny)


def test_every_minute_of_a_year_has_one_band_and_the_hours_are_the_rules() -> None:
    hours: dict[int, dict[str, float]] = {}
    for n in range(366):
        day = date(2028, 1, 1) + timedelta(days=n)
        minutes = bands_of(TARIFF, day)
        assert len(minutes) == 1440
        names, counts = np.unique(minutes, return_counts=True)
        hours[day.month] = {str(name): count / 60 for name, count in zip(names, counts, strict=True)}
    for month in (1, 12):
        assert hours[month] == {"sharp": 3, "peak": 5, "flat": 8, "valley": 8}
    for month in (7, 8):
        assert hours[month] == {"sharp": 3, "peak": 6, "flat": 7, "valley": 8}
    for month in (2, 3, 4, 5, 6, 9, 10, 11):
        assert hours[month] == {"peak": 8, "flat": 8, "valley": 8}


@pytest.mark.parametrize(
    ("instant", "band"),
    [
        (local(2026, 8, 15, 16, 30), "sharp"),
        (local(2026, 9, 15, 16, 30), "flat"),
        (local(2026, 8, 15, 10, 59), "peak"),
        (local(2026, 8, 15, 11, 0), "sharp"),
        (local(2026, 1, 1, 0, 0), "valley"),
        (local(2025, 12, 31, 23, 59), "valley"),
        (local(2026, 1, 5, 20, 59), "sharp"),
        (local(2026, 1, 5, 21, 0), "peak"),
        (local(2028, 2, 29, 12, 0), "peak"),
    ],
)
def test_edges(instant: datetime, band: str) -> None:
    assert band_at(TARIFF, instant, zone=ZONE) == band


@given(st.integers(0, 366 * 1440 - 1), st.sampled_from(["Asia/Shanghai", "Europe/Berlin"]))
def test_next_change_is_the_next_change(minute: int, name: str) -> None:
    zone = ZoneInfo(name)
    instant = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)
    change = next_change(TARIFF, instant, zone=zone)
    assert change is not None
    now = band_at(TARIFF, instant, zone=zone)
    assert band_at(TARIFF, change, zone=zone) != now
    between = instant
    while between < change:
        assert band_at(TARIFF, between, zone=zone) == now
        between += timedelta(minutes=7)
    assert band_at(TARIFF, change - timedelta(microseconds=1), zone=zone) == now


@pytest.mark.parametrize("name", ["Asia/Shanghai", "Europe/Berlin"])
@pytest.mark.parametrize("day", [date(2026, 3, 29), date(2026, 10, 25), date(2026, 12, 31)])
def test_step_prices_are_means_of_minute_prices(name: str, day: date) -> None:
    zone = ZoneInfo(name)
    start = datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
    coarse = price_per_step(TARIFF, TimeGrid(start, 5400.0, 18), zone=zone)
    minutes = [price_at(TARIFF, start + timedelta(minutes=n), zone=zone).cny_per_kwh for n in range(18 * 90)]
    assert coarse.cny_per_kwh == pytest.approx(np.reshape(minutes, (18, 90)).mean(axis=1), abs=1e-12)


def test_the_hosts_zone_changes_nothing() -> None:
    grid = TimeGrid(local(2026, 8, 1), 3600.0, 48)
    here = price_per_step(TARIFF, grid, zone=ZONE)
    before = os.environ.get("TZ")
    try:
        os.environ["TZ"] = "America/New_York"
        time.tzset()
        there = price_per_step(TARIFF, grid, zone=ZONE)
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
        time.tzset()
    assert here.bands == there.bands
    assert here.cny_per_kwh.tolist() == there.cny_per_kwh.tolist()


def test_a_missing_month_holds_the_last_prices_and_warns() -> None:
    assert price_at(TARIFF, local(2026, 8, 31, 12, 0), zone=ZONE).warnings == ()
    late = price_at(TARIFF, local(2026, 10, 1, 12, 0), zone=ZONE)
    assert late.warnings == ("price_month_missing:2026-10",)
    assert late.valid_from == date(2026, 8, 1)


def test_a_version_changes_inside_a_valley_at_new_year() -> None:
    newer = deepcopy(DATA["prices"][0])
    newer["valid_from"] = "2027-01-01"
    newer["components_cny_per_kwh"]["funds"] += 0.1
    tariff = read_tariff(changed(prices=[DATA["prices"][0], newer]))
    old = price_at(tariff, local(2026, 12, 31, 23, 59), zone=ZONE)
    new = price_at(tariff, local(2027, 1, 1, 0, 0), zone=ZONE)
    assert (old.band, new.band) == ("valley", "valley")
    assert new.cny_per_kwh - old.cny_per_kwh == pytest.approx(0.1)


def spoilt_day(**periods: list[str]) -> dict[str, Any]:
    return changed(calendars=[{"valid_from": "2026-01-01", "source": "test", "days": [{"dates": "all", **periods}]}])


def test_a_gap_and_an_overlap_name_their_minutes() -> None:
    gap = check_tariff(Tariff.model_validate(spoilt_day(peak=["08:00-12:00"], valley=["12:30-08:00"])))
    assert [(f.code, f.at) for f in gap] == [("tariff_gap", ("calendars", 0, "days", 0))]
    assert "12:00-12:30" in gap[0].zh
    double = check_tariff(Tariff.model_validate(spoilt_day(peak=["08:00-12:00"], valley=["11:45-08:00"])))
    assert [f.code for f in double] == ["tariff_overlap"]
    assert "11:45-12:00" in double[0].en
    assert "peak" in double[0].en
    assert "谷" in double[0].zh


@pytest.mark.parametrize(
    ("code", "data"),
    [
        (
            "tariff_dates_missing",
            changed(calendars=[{**DATA["calendars"][0], "days": DATA["calendars"][0]["days"][:2]}]),
        ),
        ("tariff_order", changed(prices=[DATA["prices"][0], DATA["prices"][0]])),
        ("tariff_band_unpriced", spoilt_day(deep_valley=["00:00-24:00"])),
        ("tariff_not_supported", changed(market={"topic": "prices"})),
        ("tariff_tiers_order", changed(tiers=[{"up_to_kwh": 2880, "add_cny_per_kwh": 0}])),
        (
            "tariff_holiday_unknown",
            changed(
                calendars=[
                    {
                        **DATA["calendars"][0],
                        "days": [
                            {"dates": "all", "holidays": ["spring"], "flat": ["00:00-24:00"]},
                            *DATA["calendars"][0]["days"],
                        ],
                    }
                ]
            ),
        ),
        ("tariff_form", spoilt_day(peak=["8:00至12:00"])),
        ("tariff_form", changed(price=[])),
    ],
)
def test_faults_carry_a_code(code: str, data: dict[str, Any]) -> None:
    with pytest.raises(TariffFault) as refused:
        read_tariff(data)
    assert refused.value.code == code
    assert refused.value.at


def test_an_unknown_component_under_a_ratio_is_refused() -> None:
    data = deepcopy(DATA)
    data["prices"][0]["ratios"]["applies_to"] = ["purchse"]
    with pytest.raises(TariffFault, match="purchse"):
        read_tariff(data)


def test_weekends_holidays_and_make_up_days() -> None:
    days = [
        {"dates": "all", "holidays": ["national_day"], "deep_valley": ["00:00-24:00"]},
        {"dates": "all", "weekdays": ["sat", "sun"], "谷": ["00:00-24:00"]},
        {"dates": "all", "平段": ["00:00-24:00"]},
    ]
    data = changed(
        calendars=[{"valid_from": "2026-01-01", "source": "test", "days": days}],
        holidays={"national_day": ["2026-10-01..2026-10-07"]},
        make_up_dates=["2026-10-10"],
    )
    data["prices"] = [
        {
            "valid_from": "2026-01-01",
            "source": "test",
            "bands_cny_per_kwh": {"flat": 0.6, "valley": 0.3, "deep_valley": 0.2},
        }
    ]
    tariff = read_tariff(data)
    bands = {day: band_at(tariff, local(2026, 10, day, 12, 0), zone=ZONE) for day in (3, 8, 10, 11, 17)}
    assert bands == {3: "deep_valley", 8: "flat", 10: "flat", 11: "valley", 17: "valley"}


def test_events_become_windows_of_steps() -> None:
    event = {
        "from": "2026-12-20T17:00",
        "to": "2026-12-20T19:00",
        "grid_kw_max": 400,
        "pays_cny_per_kwh": 3.0,
        "reason": "需求响应",
    }
    tariff = read_tariff(changed(events=[event]))
    (window,) = caps_of(tariff.events, TimeGrid(local(2026, 12, 20, 16, 30), 1800.0, 10), zone=ZONE)
    assert (window.from_step, window.to_step, window.cap_kw) == (1, 5, 400.0)


@given(
    st.integers(0, 30),
    st.sampled_from(["sharp", "peak", "flat", "valley"]),
    st.sampled_from(["sharp", "peak", "flat", "valley"]),
)
def test_shifting_a_kwh_changes_the_bill_by_the_price_difference(day: int, source: str, target: str) -> None:
    grid = TimeGrid(local(2026, 8, 1) + timedelta(days=day), 900.0, 96)
    prices = price_per_step(TARIFF, grid, zone=ZONE)
    load = np.full(96, 100.0)
    moved = load.copy()
    out, into = prices.bands.index(source), prices.bands.index(target)
    moved[out] -= 4.0
    moved[into] += 4.0
    difference = (
        bill(TARIFF, grid, moved.tolist(), zone=ZONE).energy_cny
        - bill(TARIFF, grid, load.tolist(), zone=ZONE).energy_cny
    )
    assert difference == pytest.approx(prices.cny_per_kwh[into] - prices.cny_per_kwh[out], abs=1e-9)


def test_the_wrap_at_midnight_is_one_valley() -> None:
    minutes = bands_of(TARIFF, date(2026, 3, 3))
    edges = [m for m, (a, b) in enumerate(pairwise(minutes), start=1) if a != b]
    assert edges == [7 * 60, 10 * 60, 13 * 60, 17 * 60, 22 * 60, 23 * 60]
