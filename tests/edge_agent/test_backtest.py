"""Replaying stored days: strategies stand in the order that they must, nothing below the bound, gaps are said."""

import math
import time
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from edge_agent.backtest import QUARTER, Backtest, Left, Replay, _after, _Day
from edge_agent.plan_case import UnitNow
from edge_agent.settings.files import shipped_config
from edge_agent.settings.load import Configuration, load_configuration

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
