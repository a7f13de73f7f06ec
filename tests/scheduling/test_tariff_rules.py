"""Rules that need facts or a choice: hot days, notices, classes, holidays, the ladder, market prices, rounding."""

import json
from copy import deepcopy
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from scheduling.errors import TariffFault
from scheduling.tariff.bill import bill
from scheduling.tariff.calendar import band_at, bands_of, day_match
from scheduling.tariff.check import check_tariff, read_tariff
from scheduling.tariff.facts import Facts
from scheduling.tariff.market import MarketSeries
from scheduling.tariff.model import Tariff
from scheduling.tariff.price import price_at, price_if_hot, price_per_step
from scheduling.timegrid import TimeGrid

FOLDER = Path(__file__).parents[2] / "config/tariffs"
ZONE = ZoneInfo("Asia/Shanghai")
FLAT_DAY = {"dates": "all", "flat": ["00:00-24:00"]}


def data_of(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(json.dumps(YAML(typ="safe").load(FOLDER / f"{name}.yaml"), default=str))
    return loaded


def shipped(name: str, **changes: object) -> Tariff:
    return read_tariff({**data_of(name), **changes})


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=ZONE).astimezone(UTC)  # type: ignore[misc,arg-type]


def plain(days: list[dict[str, Any]], **changes: object) -> dict[str, Any]:
    prices = {"sharp": 1.0, "peak": 0.9, "flat": 0.6, "valley": 0.3, "deep_valley": 0.2}
    return {
        "name": "test",
        "calendars": [{"valid_from": "2026-01-01", "source": "test", "days": days}],
        "prices": [
            {"valid_from": "2026-01-01", "valid_to": "2026-12-31", "source": "test", "bands_cny_per_kwh": prices}
        ],
        **changes,
    }


def codes(data: dict[str, Any]) -> list[str]:
    return [finding.code for finding in check_tariff(Tariff.model_validate(data))]


# ------------------------------------------------------------------------------------------------------- temperature


def test_a_hot_day_triggers_outside_the_months() -> None:
    tariff = shipped("guangdong")
    noon = utc(2026, 5, 20, 15, 30)
    hot, cool = Facts({date(2026, 5, 20): 35.0}), Facts({date(2026, 5, 20): 34.9})
    assert band_at(tariff, noon, zone=ZONE, facts=hot) == "sharp"
    assert band_at(tariff, noon, zone=ZONE, facts=cool) == "peak"
    assert day_match(tariff, date(2026, 5, 20), hot).warnings == ()
    assert band_at(tariff, utc(2026, 8, 20, 15, 30), zone=ZONE, facts=cool) == "sharp"


def test_an_unknown_maximum_is_a_scenario_and_says_so() -> None:
    tariff = shipped("guangdong")
    grid = TimeGrid(utc(2026, 5, 20), 3600.0, 24)
    price = price_at(tariff, utc(2026, 5, 20, 15, 30), zone=ZONE)
    assert price.band == "peak"
    assert "day_max_unknown:2026-05-20" in price.warnings
    hot = price_if_hot(tariff, grid, zone=ZONE)
    assert hot is not None
    assert hot.bands[15] == "sharp"
    assert price_if_hot(tariff, grid, zone=ZONE, facts=Facts({date(2026, 5, 20): 20.0})) is None
    august = TimeGrid(utc(2026, 8, 20), 3600.0, 24)
    assert price_if_hot(tariff, august, zone=ZONE) is None


def test_what_the_station_published_goes_before_what_the_caller_knows() -> None:
    tariff = shipped("guangdong", day_max_degc={"2026-05-20": 35.4})
    assert band_at(tariff, utc(2026, 5, 20, 15, 30), zone=ZONE, facts=Facts({date(2026, 5, 20): 30.0})) == "sharp"


@given(st.lists(st.floats(30, 40), min_size=3, max_size=30))
def test_days_running_start_anew_after_a_cool_day(degc: list[float]) -> None:
    """A plain counter beside the rule: 3 days running at 35 degC, reset below."""
    tariff = shipped("sichuan")
    facts = Facts(
        {date(2026, 5, 30): 0.0, date(2026, 5, 31): 0.0} | {date(2026, 6, 1 + n): d for n, d in enumerate(degc)}
    )
    run = 0
    for n, value in enumerate(degc):
        run = run + 1 if value >= 35 else 0
        assert ("sharp" in bands_of(tariff, date(2026, 6, 1 + n), facts)) == (run >= 3)


def test_hours_of_a_hot_june_by_hand() -> None:
    """10-14 June hot: the 12th, 13th and 14th are the third or later; each takes 3 h of 8 from the peak."""
    tariff = shipped("sichuan")
    facts = Facts({date(2026, 5, 30) + timedelta(days=n): 36.0 if 11 <= n <= 15 else 30.0 for n in range(32)})
    minutes = [band for n in range(30) for band in bands_of(tariff, date(2026, 6, 1 + n), facts)]
    assert {band: minutes.count(band) / 60 for band in set(minutes)} == {
        "sharp": 9, "peak": 231, "flat": 240, "valley": 240,
    }  # fmt: skip


def test_an_excepted_region_has_no_sharp_peak() -> None:
    user = {"use": "large_industry", "mode": "two_part", "choices": ["region_excepted"]}
    tariff = shipped("sichuan", **{"class": user})
    assert "sharp" not in bands_of(tariff, date(2026, 8, 1), Facts(hot_when_unknown=True))
    assert "sharp" not in bands_of(tariff, date(2026, 6, 1), Facts(hot_when_unknown=True))


# ----------------------------------------------------------------------------------------- holidays, classes, notices


def test_holidays_of_three_days_for_large_users_only() -> None:
    tariff = shipped("anhui")
    assert "deep_valley" in bands_of(tariff, date(2026, 4, 5))
    short = shipped("anhui", holidays={"qingming": ["2026-04-05..2026-04-06"]})
    assert "deep_valley" not in bands_of(short, date(2026, 4, 5))
    joined = shipped("anhui", holidays={"qingming": ["2026-04-05..2026-04-06"], "other": ["2026-04-07"]})
    assert "deep_valley" in bands_of(joined, date(2026, 4, 7))
    just = shipped("anhui", **{"class": {"use": "industry", "mode": "two_part", "kva": 315}})
    assert "deep_valley" in bands_of(just, date(2026, 4, 5))
    small = shipped("anhui", **{"class": {"use": "industry", "mode": "two_part", "kva": 314.9}})
    assert "deep_valley" not in bands_of(small, date(2026, 4, 5))


def test_a_year_without_a_holiday_list_warns() -> None:
    tariff = shipped("zhejiang")
    assert "holidays_missing:2027" in price_at(tariff, utc(2027, 2, 10, 11, 0), zone=ZONE).warnings
    assert not any("holidays" in w for w in price_at(tariff, utc(2026, 2, 10, 11, 0), zone=ZONE).warnings)


def test_a_holiday_goes_before_the_month_and_a_worked_weekend_is_none() -> None:
    assert band_at(shipped("zhejiang"), utc(2026, 10, 1, 10, 30), zone=ZONE) == "deep_valley"
    shanghai = shipped("shanghai")
    assert band_at(shanghai, utc(2026, 10, 10, 3, 0), zone=ZONE) == "valley"
    assert band_at(shanghai, utc(2026, 10, 11, 3, 0), zone=ZONE) == "deep_valley"
    assert band_at(shanghai, utc(2026, 8, 9, 3, 0), zone=ZONE) == "valley"


def test_the_users_class_and_choice_select_the_hours() -> None:
    single = shipped("shanghai", **{"class": {"use": "commercial", "mode": "single_rate"}})
    assert set(bands_of(single, date(2026, 8, 9))) == {"peak", "valley"}
    chosen = shipped("jiangsu", **{"class": {"choices": ["valley_10_14"]}})
    assert band_at(chosen, utc(2026, 4, 9, 13, 30), zone=ZONE) == "valley"
    boiler = shipped("jiangsu", **{"class": {"choices": ["electric_boiler_or_ice_storage"]}})
    assert set(bands_of(boiler, date(2026, 4, 9))) == {"peak", "valley"}
    with pytest.raises(TariffFault, match="valley_10-14"):
        shipped("jiangsu", **{"class": {"choices": ["valley_10-14"]}})


def test_a_group_has_other_hours_and_another_level_in_the_season() -> None:
    tariff = shipped("shandong-rural")
    assert price_at(tariff, utc(2026, 11, 1, 21, 0), zone=ZONE).cny_per_kwh == pytest.approx(0.33)
    assert price_at(tariff, utc(2026, 10, 31, 21, 0), zone=ZONE).cny_per_kwh == pytest.approx(0.58)
    assert price_at(tariff, utc(2026, 4, 1, 23, 0), zone=ZONE).cny_per_kwh == pytest.approx(0.38)
    other = shipped("henan-rural", **{"class": {"use": "residential"}})
    assert band_at(other, utc(2026, 1, 10, 21, 0), zone=ZONE) == "peak"
    assert band_at(shipped("henan-rural"), utc(2026, 1, 10, 21, 0), zone=ZONE) == "valley"


def test_a_notice_starts_the_sharp_peak_and_a_late_one_is_said() -> None:
    tariff = shipped("heilongjiang")
    assert band_at(tariff, utc(2026, 1, 12, 16, 30), zone=ZONE) == "sharp"
    assert band_at(tariff, utc(2026, 1, 12, 16, 29), zone=ZONE) == "peak"
    assert band_at(tariff, utc(2026, 1, 17, 16, 30), zone=ZONE) == "peak"
    data = data_of("heilongjiang")
    data["notices"][0]["published"] = "2026-01-12"
    assert "tariff_notice_late" in codes(data)
    data["notices"][0]["name"] = "sharp"
    assert "tariff_notice_unused" in codes(data)


# ---------------------------------------------------------------------------------------------------------- coverage

CONDITIONS: list[dict[str, Any]] = [
    {"holidays": ["feast"]},
    {"holiday_days_min": 3},
    {"make_up_days": True},
    {"day_max_degc_min": 35},
    {"notice": "call"},
    {"weekdays": ["sat", "sun"]},
    {"weekdays": ["mon", "tue", "wed", "thu", "fri"]},
    {"only_for": {"choice": "other"}},
    {"dates": ["01-02..12-31"]},
    {"dates": ["2026-01-01..2026-12-31"]},
    {"seasons": ["cold"]},
]
FACTS: dict[str, Any] = {
    "holidays": {"feast": ["2026-05-01..2026-05-05"]},
    "make_up_dates": ["2026-05-09"],
    "seasons": {"cold": ["11-15..03-15"]},
}


@pytest.mark.parametrize("condition", CONDITIONS, ids=str)
def test_a_condition_without_an_alternative_is_refused(condition: dict[str, Any]) -> None:
    lonely = {**FLAT_DAY, **condition}
    assert "tariff_dates_missing" in codes(plain([lonely], **FACTS))
    assert codes(plain([lonely, FLAT_DAY], **FACTS)) == []


def test_working_days_and_weekends_cover_the_week_between_them() -> None:
    work = {**FLAT_DAY, "weekdays": ["mon", "tue", "wed", "thu", "fri"]}
    rest = {**FLAT_DAY, "weekdays": ["sat", "sun"]}
    assert codes(plain([work, rest], **FACTS)) == []
    torn = [{**FLAT_DAY, "weekdays": ["mon"]}, {**FLAT_DAY, "weekdays": ["tue", "wed", "thu", "fri"]}, rest]
    (fault,) = check_tariff(Tariff.model_validate(plain(torn, **FACTS)))
    assert fault.code == "tariff_dates_missing"
    assert "worked" in fault.en


def test_an_entry_behind_one_for_all_dates_is_told() -> None:
    work = {**FLAT_DAY, "weekdays": ["mon", "tue", "wed", "thu", "fri"]}
    assert codes(plain([work, FLAT_DAY], **FACTS)) == []
    (told,) = check_tariff(Tariff.model_validate(plain([FLAT_DAY, work], **FACTS)))
    assert (told.code, told.severity, told.at) == ("tariff_days_never", "warning", ("calendars", 0, "days", 1))


@given(
    conditions=st.lists(st.sampled_from(CONDITIONS), min_size=1, max_size=4),
    week=st.booleans(),
    n=st.integers(0, 364),
    hot=st.booleans(),
)
def test_what_passes_the_check_has_an_entry_on_every_date(
    conditions: list[dict[str, Any]], n: int, *, week: bool, hot: bool
) -> None:
    both = CONDITIONS[5:7] if week else []
    data = plain([{**FLAT_DAY, **condition} for condition in [*conditions, *both]], **FACTS)
    faults = [code for code in codes(data) if code != "tariff_days_never"]
    assert week <= (faults == [])
    if faults:
        return
    for year in (2026, 2027, 2028):
        day = date(year, 1, 1) + timedelta(days=n)
        assert len(bands_of(Tariff.model_validate(data), day, Facts(hot_when_unknown=hot))) == 1440


# ------------------------------------------------------------------------------------------------------------ levels


def test_a_ratio_on_another_band_and_several_components() -> None:
    version = shipped("jibei").prices[0]
    parts = version.by_component("sharp")
    assert parts is not None
    assert parts["purchase"] == pytest.approx(0.4 * 1.7 * 1.2)
    assert parts["transmission"] == pytest.approx(0.18 * 1.1)
    assert parts["funds"] == pytest.approx(0.03)
    deep = shipped("shandong").prices[0].by_component("deep_valley")
    assert deep is not None  # 0.43 floats: purchase, loss, capacity, pumped storage, coal
    assert sum(deep.values()) == pytest.approx(0.43 * 0.1 + 0.2)


@pytest.mark.parametrize(
    ("ratios", "code"),
    [
        ({"applies_to": ["purchase"], "sharp": {"of": "sharp", "plus": 0.2}}, "tariff_form"),
        ({"applies_to": ["purchase"], "sharp": {"of": "peak", "plus": 0.2}}, "tariff_form"),
        ({"applies_to": ["purchase"], "peak": {"of": "flat", "plus": -1.1}}, "tariff_form"),
        ({"applies_to": ["purchase"], "peak": {"of": "flat"}}, "tariff_form"),
        ({"applies_to": ["purchase"], "peak": float("nan")}, "tariff_form"),
        ({"applies_to": ["purchase"], "peak": True}, "tariff_form"),
        ({"applies_to": ["purchase", "purchase"]}, "tariff_component_twice"),
    ],
)
def test_ratios_that_cannot_be_are_refused(ratios: dict[str, Any], code: str) -> None:
    data = plain([FLAT_DAY])
    price = data["prices"][0]
    del price["bands_cny_per_kwh"]
    price.update(components_cny_per_kwh={"purchase": 0.4}, ratios=ratios)
    with pytest.raises(TariffFault) as refused:
        read_tariff(data)
    assert refused.value.code == code


def test_prices_are_rounded_last_and_once() -> None:
    tariff = shipped("guangdong")
    # flat 0.42137 + 0.01853 + 0.1377 + 0.03111 = 0.60871, + 0.02706; peak 0.60871 x 1.7 + 0.02706 = 1.061867
    for hour, wanted in ((9, 0.6358), (14, 1.0619), (3, 0.2584)):
        price = price_at(tariff, utc(2026, 5, 20, hour, 0), zone=ZONE)
        assert price.cny_per_kwh == pytest.approx(wanted, abs=1e-12)
        assert sum(price.by_component.values()) == pytest.approx(price.cny_per_kwh, abs=1e-12)


@pytest.mark.parametrize(
    ("mode", "value", "wanted"),
    [("half_up", 0.85505, 0.8551), ("half_even", 0.85505, 0.855), ("down", 0.85509, 0.855), ("up", 0.85501, 0.8551)],
)
def test_rounding_modes_at_the_half(mode: str, value: float, wanted: float) -> None:
    data = plain([FLAT_DAY])
    data["prices"][0].update(bands_cny_per_kwh={"flat": value}, rounding={"digits": 4, "mode": mode})
    assert price_at(read_tariff(data), utc(2026, 5, 1), zone=ZONE).cny_per_kwh == wanted


def test_a_seasonal_price_entry_may_not_stand_first() -> None:
    data = data_of("shandong-rural")
    data["prices"].reverse()
    assert "tariff_price_dates_first" in codes(data)


def test_an_open_month_warns_and_a_stated_end_does_not_until_it_is_over() -> None:
    tariff = read_tariff(plain([FLAT_DAY]))
    assert price_at(tariff, utc(2026, 12, 31, 23, 59), zone=ZONE).warnings == ()
    assert price_at(tariff, utc(2027, 1, 1), zone=ZONE).warnings == ("price_month_missing:2027-01",)


# ------------------------------------------------------------------------------------------------------------ ladder

LADDER = [
    {"up_to_kwh": 2880, "add_cny_per_kwh": 0},
    {"up_to_kwh": 4800, "add_cny_per_kwh": 0.05},
    {"up_to_kwh": None, "add_cny_per_kwh": 0.3},
]


def laddered(period: str = "year") -> Tariff:
    return read_tariff(plain([FLAT_DAY], tiers=LADDER, tiers_period=period))


def test_the_ladder_by_hand() -> None:
    """1 kW from 1 January: 5000 h use 2880 at 0, 1920 at 0.05, 200 at 0.30: 96 + 60 CNY beside 5000 x 0.6."""
    grid = TimeGrid(utc(2026, 1, 1), 3600.0, 5000)
    found = bill(laddered(), grid, [1.0] * 5000, zone=ZONE)
    assert found.by_component["tier"] == pytest.approx(156.0)
    assert found.total_cny == pytest.approx(3156.0)
    assert found.warnings == {}


def test_the_ladder_begins_anew_with_the_year_or_month() -> None:
    grid = TimeGrid(utc(2026, 12, 31), 3600.0, 48)
    facts = Facts(used_kwh=4790.0, used_at_utc=grid.start_utc)
    found = bill(laddered(), grid, [1.0] * 48, zone=ZONE, facts=facts)
    assert found.by_component["tier"] == pytest.approx(10 * 0.05 + 14 * 0.3)
    steps = price_per_step(laddered(), grid, zone=ZONE, facts=facts).cny_per_kwh
    assert steps[[0, 23]] == pytest.approx(0.65)  # the count at the start; the plan's own use is not in it
    assert steps[[24, 47]] == pytest.approx(0.6)
    month = TimeGrid(utc(2026, 3, 1), 3600.0, 24)
    assert bill(laddered("month"), month, [1.0] * 24, zone=ZONE).warnings == {}
    assert "tier_unknown" in bill(laddered("year"), month, [1.0] * 24, zone=ZONE).warnings


@given(st.floats(0, 6000), st.floats(0, 500), st.floats(0, 500))
def test_a_ladder_does_not_care_how_energy_is_cut(used_kwh: float, first_kw: float, second_kw: float) -> None:
    whole, halves = TimeGrid(utc(2026, 6, 1), 7200.0, 1), TimeGrid(utc(2026, 6, 1), 3600.0, 2)
    facts = Facts(used_kwh=used_kwh, used_at_utc=whole.start_utc)
    one = bill(laddered(), whole, [(first_kw + second_kw) / 2], zone=ZONE, facts=facts)
    two = bill(laddered(), halves, [first_kw, second_kw], zone=ZONE, facts=facts)
    assert one.total_cny == pytest.approx(two.total_cny, abs=1e-6)


@pytest.mark.parametrize("tiers", [LADDER[:2], LADDER[::-1], [LADDER[0], LADDER[0], LADDER[2]]])
def test_a_ladder_that_is_none_is_refused(tiers: list[dict[str, Any]]) -> None:
    assert codes(plain([FLAT_DAY], tiers=tiers)) == ["tariff_tiers_order"]


# ------------------------------------------------------------------------------------------------------------ market


def market_tariff(**market: object) -> Tariff:
    data = deepcopy(data_of("gansu"))
    data["market"] = {"file": "prices.csv", **market}
    series = MarketSeries(30, (utc(2026, 8, 1, 10), utc(2026, 8, 1, 10, 30), utc(2026, 8, 1, 12)), (0.1, -0.02, 0.3))
    return read_tariff(data).with_market(series)


def test_market_prices_per_interval_fall_back_to_the_calendar() -> None:
    tariff = market_tariff()
    assert price_at(tariff, utc(2026, 8, 1, 10, 29), zone=ZONE).cny_per_kwh == 0.1
    second = price_at(tariff, utc(2026, 8, 1, 10, 59, 59), zone=ZONE)
    assert (second.cny_per_kwh, second.warnings) == (-0.02, ())
    gap = price_at(tariff, utc(2026, 8, 1, 11, 0), zone=ZONE)
    assert gap.warnings == ("market_price_missing:2026-08-01",)
    assert gap.cny_per_kwh == pytest.approx(0.4 * 0.41 + 0.24)
    steps = price_per_step(tariff, TimeGrid(utc(2026, 8, 1, 10), 3600.0, 2), zone=ZONE)
    assert steps.cny_per_kwh == pytest.approx([0.04, gap.cny_per_kwh])


def test_a_market_price_may_stand_for_the_purchase_only() -> None:
    tariff = market_tariff(replaces=["purchase"])
    price = price_at(tariff, utc(2026, 8, 1, 10), zone=ZONE)
    assert price.cny_per_kwh == pytest.approx(0.1 + 0.24)
    assert set(price.by_component) == {"market", "line_loss", "transmission", "system", "funds"}
    found = bill(tariff, TimeGrid(utc(2026, 8, 1, 10), 900.0, 4), [100.0] * 4, zone=ZONE)
    assert found.by_component["market"] == pytest.approx(50 * 0.1 - 50 * 0.02)


@given(first=st.integers(-120, 240), length=st.integers(1, 240))
def test_edges_of_a_market_are_every_start_and_end(first: int, length: int) -> None:
    series = market_tariff().market_series
    assert series is not None
    begin = utc(2026, 8, 1, 10) + timedelta(minutes=first)
    end = begin + timedelta(minutes=length)
    every = [utc(2026, 8, 1, 10), utc(2026, 8, 1, 10, 30), utc(2026, 8, 1, 11), utc(2026, 8, 1, 12)]
    every.append(utc(2026, 8, 1, 12, 30))
    assert series.edges_utc(begin, end) == [edge for edge in every if begin <= edge < end]


def test_intervals_that_overlap_are_no_series() -> None:
    with pytest.raises(ValueError, match="overlap"):
        MarketSeries(30, (utc(2026, 8, 1), utc(2026, 8, 1, 0, 15)), (0.1, 0.2))
    with pytest.raises(ValueError, match="20 min"):
        MarketSeries(20, (utc(2026, 8, 1),), (0.1,))


# ------------------------------------------------------------------------------------- charges, calls, green, holidays


def charged(**more: object) -> dict[str, Any]:
    """One price, one valley, 50 CNY/kW."""
    day = {"dates": "all", "peak": ["08:00-22:00"], "valley": ["22:00-08:00"]}
    price = {"valid_from": "2026-01-01", "source": "s", "bands_cny_per_kwh": {"peak": 0.5, "valley": 0.3}}
    return {
        "name": "x",
        "calendars": [{"valid_from": "2025-01-01", "source": "s", "days": [day]}],
        "prices": [{**price, "demand_cny_per_kw_month": 50.0}],
        **more,
    }


def seasonal(**more: object) -> dict[str, Any]:
    """The same with another price of energy in the heating season."""
    data = charged()
    season = {**data["prices"][0], "dates": ["11-15..03-15"], **more}
    del season["demand_cny_per_kw_month"]
    return {**data, "prices": [*data["prices"], {**season, **more}]}


NOVEMBER = TimeGrid(utc(2026, 11, 1, 0), 900.0, 30 * 96)


def test_a_seasonal_price_of_energy_leaves_the_demand_charged() -> None:
    found = bill(read_tariff(seasonal()), NOVEMBER, [100.0] * NOVEMBER.count, zone=ZONE)
    assert found.by_month["2026-11"].demand_cny == 5000.0
    assert check_tariff(Tariff.model_validate(seasonal())) == []


@pytest.mark.parametrize(
    "charge",
    [
        {"demand_cny_per_kw_month": None},
        {"demand_cny_per_kw_month": 40.0},
        {"capacity_cny_per_kva_month": 30.0, "capacity_kva": 500.0},
    ],
)
def test_a_seasonal_charge_of_its_own_holds_and_is_warned_of(charge: dict[str, Any]) -> None:
    data = seasonal(**charge)
    assert [(f.code, f.severity) for f in check_tariff(Tariff.model_validate(data))] == [
        ("tariff_charge_differs", "warning")
    ]
    month = bill(read_tariff(data), NOVEMBER, [100.0] * NOVEMBER.count, zone=ZONE).by_month["2026-11"]
    assert month.demand_cny == 100.0 * (charge.get("demand_cny_per_kw_month") or 0.0)
    assert month.capacity_cny == charge.get("capacity_cny_per_kva_month", 0.0) * charge.get("capacity_kva", 0.0)


@pytest.mark.parametrize(("window_min", "peak_kw"), [(15, 900.0), (20, 900.0), (30, 600.0), (60, 400.0)])
def test_the_billed_peak_is_a_mean_of_the_meters_window(window_min: int, peak_kw: float) -> None:
    kw = [100.0] * NOVEMBER.count
    kw[40:44] = 200.0, 200.0, 900.0, 300.0
    found = bill(read_tariff(charged()), NOVEMBER, kw, zone=ZONE, window_min=window_min)
    assert found.by_month["2026-11"].demand_cny == pytest.approx(50.0 * peak_kw)
    hours = TimeGrid(NOVEMBER.start_utc, 3600.0, 720)
    assert bill(read_tariff(charged()), hours, [100.0] * 720, zone=ZONE).by_month["2026-11"].peak_kw == 100.0


def test_energy_above_a_called_limit_costs_what_the_call_says() -> None:
    """Two and a half hours of 50 kW too much at 3 CNY, the last quarter touched for ten minutes only."""
    event = {
        "from": "2026-11-03T17:00", "to": "2026-11-03T19:40", "grid_kw_max": 50.0, "pays_cny_per_kwh": 3.0,
        "reason": "call",
    }  # fmt: skip
    kw = [100.0] * NOVEMBER.count
    quiet = bill(read_tariff(charged()), NOVEMBER, kw, zone=ZONE)
    called = bill(read_tariff(charged(events=[event])), NOVEMBER, kw, zone=ZONE)
    assert quiet.by_event == {}
    assert called.by_event == pytest.approx({"call": 50.0 * (2.0 + 40.0 / 60.0) * 3.0})
    assert called.total_cny - quiet.total_cny == pytest.approx(called.by_event["call"])
    obeyed = bill(read_tariff(charged(events=[event])), NOVEMBER, [50.0] * NOVEMBER.count, zone=ZONE)
    assert obeyed.by_event == {"call": 0.0}


def test_green_power_ends_after_it_begins_and_is_never_more_than_all() -> None:
    green = {"from": "2026-01-01", "to": "2026-12-31", "share": 0.8, "surcharge_cny_per_kwh": 0.03}
    for entries, code in (
        ([{**green, "to": "2025-12-31"}], "tariff_form"),
        ([green, {**green, "from": "2026-12-31", "to": "2027-12-31"}], "tariff_green_share"),
    ):
        with pytest.raises(TariffFault) as refused:
            read_tariff(charged(green_power=entries))
        assert refused.value.code == code
    following = [green, {**green, "from": "2027-01-01", "to": "2027-12-31"}]
    overlapping = [{**green, "share": 0.1}] * 10
    for entries in (following, overlapping):
        tariff = read_tariff(charged(green_power=entries))
        assert price_at(tariff, utc(2026, 6, 1, 11), zone=ZONE).by_component["green_power"] > 0.0


def test_each_holiday_that_has_no_dates_in_a_year_is_named() -> None:
    data = charged(
        holidays={"new_year": ["2026-12-31..2027-01-02"], "spring": ["2026-02-15..2026-02-23"], "labour": ["05-01"]}
    )
    free = {"holidays": ["new_year", "spring", "labour"], "valley": ["00:00-24:00"]}
    data["calendars"] = [{**data["calendars"][0], "days": [free, *data["calendars"][0]["days"]]}]
    tariff = read_tariff(data)

    def said(year: int) -> list[str]:
        return [w for w in price_at(tariff, utc(year, 2, 7, 11), zone=ZONE).warnings if w.startswith("holidays")]

    assert said(2026) == []
    assert said(2027) == ["holidays_missing:2027 (spring)"]
    assert said(2028) == ["holidays_missing:2028 (new_year, spring)"]
