"""Every shipped tariff: covered minute by minute, band hours counted by hand, edges, one price for everybody."""

import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from scheduling.tariff.bands import BANDS
from scheduling.tariff.bill import bill
from scheduling.tariff.calendar import band_at, bands_of
from scheduling.tariff.check import check_tariff, read_tariff
from scheduling.tariff.facts import Facts
from scheduling.tariff.model import Tariff
from scheduling.tariff.price import price_at, price_per_step
from scheduling.timegrid import TimeGrid

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "config/tariffs"
ZONE = ZoneInfo("Asia/Shanghai")
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
ROWS = json.loads((ROOT / "tests/golden/vectors/beijing_tariff_2026_08.json").read_text(encoding="utf-8"))["rows"]

BEIJING = {8: {"sharp": 93, "peak": 186, "flat": 217, "valley": 248}, 9: {"peak": 240, "flat": 240, "valley": 240}}
# Hours of each band in a month of 2026, counted by hand from the periods in the file: (hours a day) x (days).
HAND: dict[str, dict[int, dict[str, float]]] = {
    "beijing-commercial-single-rate-below-1kv": {
        8: {"peak": 248, "flat": 248, "valley": 248},
        9: {"peak": 240, "flat": 240, "valley": 240},
    },
    "beijing-commercial-single-rate-1-10kv": BEIJING,
    "beijing-commercial-single-rate-35-110kv": BEIJING,
    "beijing-commercial-two-part-1-10kv": BEIJING,
    "beijing-commercial-two-part-35-110kv": BEIJING,
    "beijing-commercial-two-part-220kv": BEIJING,
    # heating season 12 / 12 h, else 14 / 10 h
    "beijing-rural-heating": {1: {"peak": 372, "valley": 372}, 4: {"peak": 420, "valley": 300}},
    "shandong-rural": {11: {"peak": 360, "valley": 360}, 4: {"peak": 420, "valley": 300}},
    # 15 days of March still in the heating season: 15 x 12 + 16 x 14 and 15 x 12 + 16 x 10
    "henan-rural": {1: {"peak": 372, "valley": 372}, 3: {"peak": 404, "valley": 340}},
    "shandong": {
        1: {"deep_valley": 93, "valley": 62, "sharp": 93, "peak": 93, "flat": 403},
        6: {"valley": 150, "sharp": 150, "peak": 30, "flat": 390},
    },
    # Spring Festival 15-23 February: 9 days of 4 deep, 8 valley, 6 flat, 6 peak; 19 others of 10, 2, 12
    "zhejiang": {
        2: {"deep_valley": 36, "valley": 262, "flat": 92, "peak": 282},
        7: {"sharp": 124, "peak": 279, "valley": 310, "flat": 31},
    },
    # October: 7 days of National Day and 6 weekend days (17 18 24 25 31 and 11; the 10th is worked) have 8 deep hours
    "shanghai": {
        10: {"deep_valley": 104, "valley": 144, "peak": 186, "flat": 310},
        7: {"sharp": 62, "peak": 248, "flat": 186, "valley": 248},
    },
    "guangdong": {
        7: {"sharp": 93, "peak": 124, "flat": 279, "valley": 248},
        5: {"peak": 217, "flat": 279, "valley": 248},
    },
    "sichuan": {
        8: {"sharp": 93, "peak": 217, "flat": 248, "valley": 186},
        6: {"peak": 240, "flat": 240, "valley": 240},
    },
    "jiangsu": {1: {"peak": 248, "flat": 248, "valley": 248}, 4: {"peak": 210, "flat": 270, "valley": 240}},
    "jiangxi": {
        7: {"deep_valley": 62, "valley": 201.5, "sharp": 62, "peak": 108.5, "flat": 310},
        4: {"deep_valley": 60, "valley": 195, "peak": 165, "flat": 300},
    },
    # Qingming 4-6 April: three days of 4 deep, 9 valley, 5 flat, 6 peak
    "anhui": {
        4: {"deep_valley": 12, "valley": 270, "peak": 180, "flat": 258},
        7: {"peak": 248, "valley": 279, "flat": 217},
    },
    "inner-mongolia-west": {
        1: {"peak": 217, "valley": 155, "flat": 372},
        7: {"sharp": 62, "peak": 186, "valley": 186, "flat": 310},
    },
    # five days announced in January take 2 h from the peak
    "heilongjiang": {
        1: {"sharp": 10, "peak": 238, "flat": 248, "valley": 248},
        4: {"peak": 240, "flat": 240, "valley": 240},
    },
    "gansu": {7: {"peak": 217, "valley": 186, "flat": 341}, 2: {"peak": 196, "valley": 168, "flat": 308}},
    "tibet": {
        1: {"sharp": 62, "peak": 155, "flat": 124, "valley": 341, "deep_valley": 62},
        7: {"peak": 124, "flat": 310, "valley": 186, "deep_valley": 124},
    },
    "jibei": {
        7: {"sharp": 62, "peak": 155, "flat": 217, "valley": 248, "deep_valley": 62},
        4: {"peak": 210, "flat": 210, "valley": 240, "deep_valley": 60},
    },
}


@cache
def shipped(name: str) -> Tariff:
    data = YAML(typ="safe").load(FOLDER / f"{name}.yaml")
    return read_tariff(json.loads(json.dumps(data, default=str)))


def days_of(year: int) -> list[date]:
    first = date(year, 1, 1)
    return [day for n in range(366) if (day := first + timedelta(days=n)).year == year]


def utc(day: date, minute: int) -> datetime:
    return datetime(day.year, day.month, day.day, minute // 60, minute % 60, tzinfo=ZONE).astimezone(UTC)


def test_the_folder_is_the_list() -> None:
    assert set(HAND) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_minute_of_every_date_once(name: str) -> None:
    tariff = shipped(name)
    for calendar in tariff.calendars:
        for kind in calendar.days:
            assert all(len(claims) == 1 for claims in kind.table())
    for year in (2025, 2026, 2028):
        for day in days_of(year):
            for hot in (False, True):
                minutes = bands_of(tariff, day, Facts(hot_when_unknown=hot))
                assert len(minutes) == 1440
                assert set(minutes) <= set(BANDS)


@pytest.mark.parametrize("name", NAMES)
def test_hours_by_hand(name: str) -> None:
    tariff = shipped(name)
    assert len(HAND[name]) == 2
    for month, wanted in HAND[name].items():
        count: Counter[str] = Counter()
        for day in days_of(2026):
            if day.month == month:
                count.update(bands_of(tariff, day))
        assert {band: minutes / 60 for band, minutes in count.items()} == wanted


@pytest.mark.parametrize("name", NAMES)
def test_every_switch_is_sharp_to_a_microsecond(name: str) -> None:
    """The band changes at t and not at t - 1 us, at every switch of a day of each month, midnight among them."""
    tariff = shipped(name)
    for month in range(1, 13):
        day = date(2026, month, 12)
        minutes, before = bands_of(tariff, day), bands_of(tariff, day - timedelta(days=1))
        for minute in [0, *(m for m in range(1, 1440) if minutes[m] != minutes[m - 1])]:
            at = utc(day, minute)
            assert band_at(tariff, at, zone=ZONE) == minutes[minute]
            earlier = minutes[minute - 1] if minute else before[-1]
            assert band_at(tariff, at - timedelta(microseconds=1), zone=ZONE) == earlier


@given(
    name=st.sampled_from(NAMES),
    quarter=st.integers(0, 365 * 96 - 1),
    minutes=st.sampled_from([15, 30, 60]),
    used_kwh=st.floats(0, 9000),
    hot=st.booleans(),
)
@example(name="henan-rural", quarter=0, minutes=60, used_kwh=3807.8, hot=False)  # counted as the ladder's month begins
def test_one_price_for_instant_step_and_bill(
    name: str, quarter: int, minutes: int, used_kwh: float, *, hot: bool
) -> None:
    """Whatever the file and the instant: the price of the instant, of the planner's step and of a billed kWh agree."""
    tariff = shipped(name)
    start = datetime(2026, 1, 1, tzinfo=ZONE).astimezone(UTC) + timedelta(minutes=15 * quarter)
    facts = Facts(hot_when_unknown=hot, used_kwh=used_kwh, used_at_utc=start)
    grid = TimeGrid(start, 60.0 * minutes, 3)
    steps = price_per_step(tariff, grid, zone=ZONE, facts=facts).cny_per_kwh
    at = [price_at(tariff, start + timedelta(minutes=n), zone=ZONE, facts=facts) for n in range(3 * minutes)]
    means = [sum(p.cny_per_kwh for p in at[n * minutes : (n + 1) * minutes]) / minutes for n in range(3)]
    assert steps == pytest.approx(means, abs=1e-9)
    tiny_kwh = 1e-6  # so that the bill stays on the ladder's step
    for step in range(3):
        load = [0.0, 0.0, 0.0]
        load[step] = tiny_kwh / (minutes / 60)
        found = bill(tariff, grid, load, zone=ZONE, facts=facts)
        assert found.energy_cny / tiny_kwh == pytest.approx(steps[step], abs=1e-6)
        assert sum(found.by_component.values()) == pytest.approx(found.energy_cny, abs=1e-12)


VOLTAGES = {"<1kV": "below-1kv", "1-10kV": "1-10kv", "35-110kV": "35-110kv", ">=220kV": "220kv"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['class']} {row['voltage']}")
def test_the_six_classes_of_beijing_as_shipped(row: dict[str, object]) -> None:
    """Published prices to 1e-6, at instants of each band; traps: no sharp below 1 kV, 16:30 sharp in August only."""
    kind = "single-rate" if "single" in str(row["class"]) else "two-part"
    tariff = shipped(f"beijing-commercial-{kind}-{VOLTAGES[str(row['voltage'])]}")
    hours = {"flat": 7 * 60, "peak": 10 * 60, "valley": 3 * 60, "sharp": 16 * 60 + 30}
    prices = {band: price_at(tariff, utc(date(2026, 8, 15), m), zone=ZONE) for band, m in hours.items()}
    for band, minute in hours.items():
        wanted = row.get(band)
        if wanted is None:
            assert band == "sharp"
            assert price_at(tariff, utc(date(2026, 8, 15), 12 * 60), zone=ZONE).cny_per_kwh == pytest.approx(
                1.07365375, abs=1e-6
            )
            continue
        assert isinstance(wanted, float)
        assert prices[band].band == band
        assert prices[band].cny_per_kwh == pytest.approx(wanted, abs=1e-6), minute
    assert band_at(tariff, utc(date(2026, 9, 15), 16 * 60 + 30), zone=ZONE) == "flat"
    version = tariff.prices[0]
    assert version.demand_cny_per_kw_month == row.get("demand_yuan_kW_month")
    if row["voltage"] == "1-10kV" and kind == "two-part":
        assert prices["peak"].cny_per_kwh / prices["valley"].cny_per_kwh == pytest.approx(2.205, abs=5e-4)
        assert prices["sharp"].cny_per_kwh / prices["valley"].cny_per_kwh == pytest.approx(2.526, abs=5e-4)


def test_what_is_not_checked_says_so() -> None:
    for name in NAMES:
        codes = [finding.code for finding in check_tariff(shipped(name))]
        assert codes == ([] if name.startswith("beijing-commercial") else ["tariff_unverified"]), name
