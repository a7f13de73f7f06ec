"""What is expected of plants unlike the example: units that only charge, buildings with another limit, cold."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from edge_agent.expectation import Expectation
from edge_agent.image import ProcessImage
from edge_agent.plan_case import LiveState, UnitNow
from edge_agent.rollup import Rollup
from edge_agent.settings.files import shipped_config
from edge_agent.settings.load import Configuration, load_configuration, load_tariff
from edge_agent.settings.model import Loop
from scheduling.forecast.load import DesignLoad
from scheduling.timegrid import staged_grid

NOW = datetime(2026, 11, 1, tzinfo=UTC)


class Empty:
    """A store of the first day."""

    async def rollups(self, point: str, period_min: int, from_utc: datetime, to_utc: datetime) -> list[Rollup]:
        del point, period_min, from_utc, to_utc
        return []


@pytest.fixture(scope="module")
def office() -> Configuration:
    return load_configuration(shipped_config() / "plants" / "ground-office")


async def live(expectation: Expectation, configuration: Configuration, now_utc: datetime = NOW) -> LiveState:
    resting = UnitNow(on=False, mode=None, minutes_in_state=600.0, starts_today=0, available=True)
    units = dict.fromkeys(configuration.site.units, resting)
    grid = staged_grid(now_utc, horizon_h=48)
    return await expectation.live_state(now_utc, grid=grid, units=units, storage_kwh={"tank": 1000.0})


async def expected(configuration: Configuration) -> Expectation:
    expectation = Expectation(configuration, store=Empty(), image=ProcessImage())
    await live(expectation, configuration)
    return expectation


def with_loop(office: Configuration, **changes: object) -> Configuration:
    loop = Loop.model_validate({**office.site.loops["heating"].model_dump(), **changes})
    return replace(office, site=office.site.model_copy(update={"loops": {"heating": loop}}))


async def test_units_that_only_charge_are_expected_to_take_what_they_can(office: Configuration) -> None:
    """The floor of a demand charge looks at straight heat, which none of them knows."""
    prices = [price.model_copy(update={"demand_cny_per_kw_month": 48.0}) for price in office.tariff.prices]
    tariff = office.tariff.model_copy(update={"prices": prices})
    maps = {
        name: map_.model_copy(update={"modes": {"charge": map_.modes["charge"]}})
        for name, map_ in office.performance.items()
    }
    await expected(replace(office, tariff=tariff, performance=maps))


async def test_the_first_days_are_forecast_on_the_building_s_own_line(office: Configuration) -> None:
    expectation = await expected(with_loop(office, balance_outdoor_degc=12.0))
    assert expectation.weather is not None
    own = DesignLoad(2050.0, -12.0, limit_degc=12.0)
    assert expectation.load_forecast["heating"].hourly_kw.tolist() == own.at(expectation.weather.outdoor_degc).tolist()
    assert float(expectation.load_forecast["heating"].hourly_kw.max()) > 0.0


async def test_a_loop_of_cold_needs_none_in_the_cold(office: Configuration) -> None:
    cold = with_loop(office, medium="cold", design_outdoor_degc=34.0, balance_outdoor_degc=26.0)
    assert float((await expected(cold)).load_forecast["heating"].hourly_kw.max()) == 0.0


@pytest.mark.parametrize(("tariff", "usual_cny_per_kwh"), [("zhejiang", 1.056), ("henan-rural", 0.44)])
async def test_the_usual_price_does_not_depend_on_the_hour_of_the_plan(
    office: Configuration, tariff: str, usual_cny_per_kwh: float
) -> None:
    """Steps are short at first: by their number the usual price was the valley's in the evening, the peak's at noon."""
    configuration = replace(office, tariff=load_tariff(tariff, zone=ZoneInfo("Asia/Shanghai")))
    expectation = Expectation(configuration, store=Empty(), image=ProcessImage())
    monday = datetime(2026, 11, 30, 16, tzinfo=UTC)
    usual = [
        (await live(expectation, configuration, monday + timedelta(hours=hour))).flat_cny_per_kwh
        for hour in range(0, 24, 4)
    ]
    assert usual == pytest.approx([usual_cny_per_kwh] * len(usual))
