"""Replaying stored days: strategies stand in the order that they must, nothing below the bound, gaps are said."""

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from edge_agent.backtest import QUARTER, Backtest, Left, Replay, _after, _Day
from edge_agent.demand_account import DemandAccount, raised
from edge_agent.plan_case import UnitNow
from edge_agent.settings.files import shipped_config
from edge_agent.settings.load import Configuration, load_configuration, load_tariff
from scheduling.errors import RequestFault
from scheduling.tariff.model import Event
from scheduling.tariff.price import StepPrices, charges_of
from scheduling.timegrid import TimeGrid

FIRST = date(2026, 1, 12)
BEIJING = ZoneInfo("Asia/Shanghai")


@pytest.fixture(scope="module")
def office() -> Configuration:
    return load_configuration(shipped_config() / "plants" / "ground-office")


class Stored:
    """Quarter hours of a winter week: a load with a morning peak, a tank at 50 degC, a main meter."""

    def __init__(self, configuration: Configuration, *, gaps: Mapping[date, int] | None = None) -> None:
        site = configuration.site
        self.layers = site.storages["tank"].layers
        self.load = f"{site.loops['heating'].meter}.heat_power"
        self.main = f"{site.meters.electricity}.electric_power"
        self.units = {f"{meter}.electric_power" for meter in site.meters.units.values()}
        self.gaps = gaps or {}
        self.asked: set[str] = set()

    def __call__(self, point: str, begin: datetime, end: datetime) -> Mapping[datetime, float]:
        self.asked.add(point)
        out = {}
        at = begin
        while at < end:
            local = at.astimezone(BEIJING)
            hour = local.hour + local.minute / 60.0
            quarter = int(hour * 4)
            if point == self.load:
                if not 40 <= quarter < 40 + self.gaps.get(local.date(), 0):
                    out[at] = 1100.0 + 400.0 * math.cos((hour - 7.0) / 24.0 * 2.0 * math.pi)
            elif point in self.layers:
                out[at] = 50.0
            elif point == self.main:
                out[at] = 380.0
            elif point in self.units:
                out[at] = 80.0
            at += QUARTER
        return out


def replay(configuration: Configuration, stored: Stored, *, days: int) -> Replay:
    backtest = Backtest(
        configuration,
        means=stored,
        limit_s=3.0,
        gap_ratio=0.02,
        elapsed_s=time.perf_counter,  # noqa: TID251 - a stop-watch
    )
    return backtest.run(FIRST, FIRST + timedelta(days=days))


def test_the_plan_costs_least_and_nothing_costs_less_than_the_bound(office: Configuration) -> None:
    found = replay(office, Stored(office), days=1)
    assert found.days == (FIRST,)
    assert found.left == ()
    cost = {name: account.cost_cny for name, account in found.accounts.items()}
    assert found.bound_cny is not None
    assert found.bound_cny <= cost["optimal"] <= cost["rule"]
    assert cost["optimal"] < cost["no_storage"]
    assert cost["optimal"] - found.bound_cny < 0.05 * cost["optimal"]
    assert all(account.unmet_kwh < 1.0 for account in found.accounts.values())
    # 380 kW all day at the mean price of the bands.
    assert found.actual_cny is not None
    assert 0.4 < found.actual_cny / (24 * 380.0) < 0.8


def at_midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=BEIJING).astimezone(UTC)


@pytest.fixture(scope="module")
def two_part(office: Configuration) -> Configuration:
    return replace(office, tariff=load_tariff("beijing-commercial-two-part-1-10kv", zone=BEIJING))


@pytest.mark.parametrize("count", [10, 31, 61, 90])
def test_demand_is_charged_month_by_month(two_part: Configuration, count: int) -> None:
    days = [date(2025, 12, 1) + timedelta(days=number) for number in range(count)]
    months = DemandAccount(two_part.tariff, days)
    peaks_kw: dict[date, float] = {}
    for day in days:
        peaks_kw = raised(peaks_kw, day, 500.0 + day.month)
    wanted_cny = 0.0
    for month, length in ((date(2025, 12, 1), 31), (date(2026, 1, 1), 31), (date(2026, 2, 1), 28)):
        own = [day for day in days if (day.year, day.month) == (month.year, month.month)]
        price = charges_of(two_part.tariff, own[-1] if own else month).demand_cny_per_kw_month
        assert price is not None
        wanted_cny += price * (500.0 + month.month if own else 0.0) * len(own) / length
    assert months.cost_cny(peaks_kw) == pytest.approx(wanted_cny)


def test_a_peak_costs_the_plan_what_it_costs_the_account_also_over_a_months_end(two_part: Configuration) -> None:
    last, first = date(2026, 1, 31), date(2026, 2, 1)
    months = DemandAccount(two_part.tariff, [date(2026, 1, 30), last, first])
    grid = TimeGrid(at_midnight(last), 900.0, 96 + 48)
    january, february = months.periods(grid, {date(2026, 1, 1): 800.0}, zone=BEIJING)
    assert (january.from_step, january.to_step, january.peak_so_far_kw) == (0, 96, 800.0)
    assert (february.from_step, february.to_step, february.peak_so_far_kw) == (96, 144, 0.0)
    for period, day in ((january, last), (february, first)):
        more_cny = months.cost_cny({day.replace(day=1): 901.0}) - months.cost_cny({day.replace(day=1): 900.0})
        assert period.cny_per_kw_month * period.month_share == pytest.approx(more_cny)
    alone = DemandAccount(two_part.tariff, [last])
    assert len(alone.periods(grid, {}, zone=BEIJING)) == 1, "a month of which no day is replayed charges nothing"


def test_the_account_of_a_day_holds_its_demand(two_part: Configuration) -> None:
    found = replay(two_part, Stored(two_part), days=1)
    assert found.bound_cny is not None
    optimal = found.accounts["optimal"]
    assert found.bound_cny <= optimal.cost_cny <= found.accounts["rule"].cost_cny
    assert list(optimal.peaks_kw) == [date(2026, 1, 1)]
    free = replace(two_part, tariff=load_tariff("beijing-commercial-single-rate-1-10kv", zone=BEIJING))
    assert optimal.peak_kw < replay(free, Stored(free), days=1).accounts["optimal"].peak_kw
    backtest = Backtest(two_part, means=Stored(two_part), limit_s=1.0, gap_ratio=0.05, elapsed_s=lambda: 0.0)
    backtest._months = DemandAccount(two_part.tariff, [FIRST])
    day = backtest._day(FIRST)
    assert isinstance(day, _Day)
    kwh = np.full(96, 95.0)
    spiked = replace(day, actual_kwh=np.array([*kwh[:-1], 195.0]))
    level = replace(day, actual_kwh=kwh)
    tanks = backtest._tanks(day.grid.start_utc)
    assert tanks is not None
    actual = [backtest._actual([each], [1000.0], tanks) for each in (level, spiked)]
    assert None not in actual
    price = charges_of(two_part.tariff, FIRST).demand_cny_per_kw_month or 0.0
    assert float(actual[1] or 0.0) - float(actual[0] or 0.0) == pytest.approx(400.0 * price / 31)


def test_the_prices_are_those_of_the_bill_and_what_is_not_known_is_said(office: Configuration) -> None:
    """A hot day has sharp hours when the record says that it was hot; a month without prices is told."""
    tariff = load_tariff("guangdong", zone=BEIJING)
    hot = replace(office, tariff=tariff)
    grid = TimeGrid(at_midnight(date(2026, 6, 10)), 900.0, 96)

    def of(outdoor_degc: float | None) -> StepPrices:
        def means(point: str, begin: datetime, end: datetime) -> Mapping[datetime, float]:
            if point != office.site.meters.weather or outdoor_degc is None:
                return {}
            count = round((end - begin) / QUARTER)
            return {begin + number * QUARTER: outdoor_degc for number in range(count)}

        return Backtest(hot, means=means, limit_s=1.0, gap_ratio=0.05, elapsed_s=lambda: 0.0)._prices(grid)

    assert of(38.0).cny_per_kwh.max() > of(25.0).cny_per_kwh.max()
    assert not [warning for warning in of(25.0).warnings if warning.startswith("day_max_unknown")]
    assert "day_max_unknown:2026-06-10" in of(None).warnings
    later = Backtest(hot, means=lambda *_: {}, limit_s=1.0, gap_ratio=0.05, elapsed_s=lambda: 0.0)
    found = later.run(date(2030, 6, 10), date(2030, 6, 11))
    assert "price_month_missing:2030-06" in found.warnings


def test_calls_and_temperatures_of_the_time_are_planned_by(office: Configuration) -> None:
    event = Event.model_validate(
        {
            "from": "2026-01-12T17:00",
            "to": "2026-01-12T19:00",
            "grid_kw_max": 400.0,
            "pays_cny_per_kwh": 3.0,
            "reason": "call",
        }
    )
    called = replace(office, tariff=office.tariff.model_copy(update={"events": (event,)}))
    stored = Stored(called)

    def frosty(point: str, begin: datetime, end: datetime) -> Mapping[datetime, float]:
        if point == called.site.meters.weather:
            return {begin + number * QUARTER: -9.0 for number in range(round((end - begin) / QUARTER))}
        return stored(point, begin, end)

    requests = []
    for means in (stored, frosty):
        backtest = Backtest(called, means=means, limit_s=1.0, gap_ratio=0.05, elapsed_s=lambda: 0.0)
        day = backtest._day(FIRST)
        assert isinstance(day, _Day)
        requests.append(backtest._request(day, backtest._fresh({"tank": 1000.0})))
    (cap,) = [cap for cap in requests[0].grid_caps if cap.name == "call"]
    assert (cap.from_step, cap.to_step, cap.cap_kw) == (68, 76, 400.0)
    usual, cold = (max(kw for _, kw in request.groups[0].modes[0].curve) for request in requests)
    assert cold > usual, "in frost the supply is hotter"


def test_a_task_that_is_none_is_not_told_as_one_without_a_plan(office: Configuration) -> None:
    backtest = Backtest(office, means=Stored(office), limit_s=1.0, gap_ratio=0.05, elapsed_s=lambda: 0.0)

    def refused(*_: object) -> None:
        raise RequestFault("$.groups[0]", "不行", "no good")

    backtest._replay = refused  # type: ignore[method-assign, assignment]
    (left,) = backtest.run(FIRST, FIRST + timedelta(days=1)).left
    assert (left.why, left.detail) == ("bad_task", "$.groups[0]: 不行 / no good")


def test_a_day_with_a_gap_is_left_out_and_a_short_gap_is_filled(office: Configuration) -> None:
    second = FIRST + timedelta(days=1)
    stored = Stored(office, gaps={FIRST: 4, second: 9})
    backtest = Backtest(office, means=stored, limit_s=1.0, gap_ratio=0.05, elapsed_s=lambda: 0.0)
    filled = backtest._day(FIRST)
    assert isinstance(filled, _Day)
    assert filled.own_steps == 96
    load = filled.load_kw["heating"]
    assert load[39] > load[41] > load[44]  # between its neighbours
    assert len(load) == 96 + 40  # the next day is known up to its gap
    assert backtest._day(second) == Left(second, "load_missing")


def test_without_any_history_there_is_nothing_to_say(office: Configuration) -> None:
    backtest = Backtest(
        office,
        means=lambda *_: {},
        limit_s=1.0,
        gap_ratio=0.02,
        elapsed_s=time.perf_counter,  # noqa: TID251 - a stop-watch
    )
    found = backtest.run(FIRST, FIRST + timedelta(days=2))
    assert found.days == ()
    assert [left.why for left in found.left] == ["load_missing", "load_missing"]
    assert found.bound_cny is None
    assert found.actual_cny is None


def test_a_unit_goes_into_the_next_day_as_it_left_this_one() -> None:
    unit = UnitNow(on=True, mode="direct", minutes_in_state=30.0, starts_today=2, available=True)
    ran_on = _after(unit, ["direct", "charge"], minutes=[15.0, 15.0])
    assert (ran_on.on, ran_on.mode, ran_on.minutes_in_state, ran_on.starts_today) == (True, "charge", 60.0, 0)
    stopped = _after(unit, ["direct", None, None], minutes=[15.0, 15.0, 15.0])
    assert (stopped.on, stopped.mode, stopped.minutes_in_state) == (False, None, 30.0)
    again = _after(unit, [None, "direct"], minutes=[15.0, 15.0])
    assert again.minutes_in_state == 15.0


def test_midnights_are_the_sites(office: Configuration) -> None:
    seen: list[datetime] = []

    def means(_: str, begin: datetime, __: datetime) -> Mapping[datetime, float]:
        seen.append(begin)
        return {}

    Backtest(office, means=means, limit_s=1.0, gap_ratio=0.01, elapsed_s=lambda: 0.0).run(
        FIRST, FIRST + timedelta(days=1)
    )
    assert seen[0] == datetime(2026, 1, 11, 16, 0, tzinfo=UTC)
