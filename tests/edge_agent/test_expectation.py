"""What the service expects beside the load: electricity that no plan moves, and what a person runs by hand."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from drivers.sample import Quality, Sample
from edge_agent.expectation import OTHER_LOAD_HELD, Expectation
from edge_agent.image import ProcessImage
from edge_agent.plan_case import LiveState, UnitNow
from edge_agent.rollup import Rollup
from edge_agent.settings.files import shipped_config
from edge_agent.settings.load import Configuration, load_configuration
from scheduling.timegrid import staged_grid

NOW = datetime(2027, 1, 15, 3, 0, tzinfo=UTC)
RUNS = UnitNow(on=True, mode="direct", minutes_in_state=90.0, starts_today=1, available=True, seen_on=True)
RESTS = UnitNow(on=False, mode=None, minutes_in_state=600.0, starts_today=0, available=True, seen_on=False)
METERED_KW = {"hp1": 130.0, "hp2": 130.0, "hp3": 100.0, "hp4": 0.0}


class Archive:
    """Quarter hours by point and start; empty at the first start of a plant."""

    def __init__(self, means: Mapping[str, Mapping[datetime, float]] | None = None) -> None:
        self._means = means or {}

    async def rollups(self, point: str, period_min: int, from_utc: datetime, to_utc: datetime) -> list[Rollup]:
        return [
            Rollup(
                point=point, start_utc=start, period_min=period_min, mean=mean, minimum=mean, maximum=mean, first=mean,
                last=mean, good_ratio=1.0, count=90,
            )
            for start, mean in self._means.get(point, {}).items()
            if from_utc <= start < to_utc
        ]  # fmt: skip


@pytest.fixture(scope="module")
def office() -> Configuration:
    return load_configuration(shipped_config() / "plants" / "ground-office")


def without_meters(office: Configuration) -> Configuration:
    meters = office.site.meters.model_copy(update={"units": {}})
    return replace(office, site=office.site.model_copy(update={"meters": meters}))


class Plant:
    """An expectation over an image into which a test writes."""

    def __init__(self, configuration: Configuration, archive: Archive | None = None) -> None:
        self.site = configuration.site
        self.image = ProcessImage()
        self.expectation = Expectation(configuration, store=archive or Archive(), image=self.image)

    def show(self, now_utc: datetime, *, main_kw: float | None, metered_kw: Mapping[str, float]) -> None:
        devices = {self.site.meters.units[name]: kw for name, kw in metered_kw.items()}
        if main_kw is not None:
            devices[self.site.meters.electricity] = main_kw
        self.image.put(
            Sample(f"{device}.electric_power", now_utc, kw, "kW", Quality.GOOD) for device, kw in devices.items()
        )

    def live(self, now_utc: datetime, units: Mapping[str, UnitNow]) -> LiveState:
        grid = staged_grid(now_utc, horizon_h=24)
        return asyncio.run(
            self.expectation.live_state(
                now_utc, grid=grid, units=units, storage_kwh=dict.fromkeys(self.site.storages, 1000.0)
            )
        )

    def other_kw(self, now_utc: datetime, units: Mapping[str, UnitNow]) -> float:
        return self.live(now_utc, units).other_load_kw


def three_on(office: Configuration) -> dict[str, UnitNow]:
    return {name: RESTS if name == "hp4" else RUNS for name in office.site.units}


def pumps_kw(office: Configuration, count: int) -> float:
    return count * office.site.units["hp1"].pump_kw


def test_running_units_are_not_other_load(office: Configuration) -> None:
    plant = Plant(office)
    plant.show(NOW, main_kw=450.0, metered_kw=METERED_KW)
    assert plant.other_kw(NOW, three_on(office)) == pytest.approx(450.0 - 360.0 - pumps_kw(office, 3))


@pytest.mark.parametrize("told", ["power", "load"])
def test_nor_are_they_without_meters_of_their_own(office: Configuration, told: str) -> None:
    """By their own word, else by the map at the load that they show."""
    bare = without_meters(office)
    plant = Plant(bare)
    plant.show(NOW, main_kw=450.0, metered_kw={})
    curve = office.performance["hp1"].modes["direct"].curve
    shown = {"electric_kw": curve[0][1]} if told == "power" else {"load_ratio": curve[0][0]}
    units = {
        name: replace(now, **shown) if now.on else now  # type: ignore[arg-type] - all are numbers
        for name, now in three_on(office).items()
    }
    expected_kw = 450.0 - 3 * curve[0][1] - pumps_kw(office, 3)
    assert expected_kw > 0.0
    assert plant.other_kw(NOW, units) == pytest.approx(expected_kw)


def test_a_unit_on_its_own_panel_is_other_load_and_serves_the_load(office: Configuration) -> None:
    plant = Plant(office)
    plant.show(NOW, main_kw=420.0, metered_kw=METERED_KW)
    ours = three_on(office)
    before = plant.live(NOW, ours)
    by_hand = replace(RUNS, on=False, mode=None, available=False, seen_mode="direct")
    live = plant.live(NOW, {**ours, "hp1": by_hand})
    assert live.other_load_kw == pytest.approx(before.other_load_kw + 130.0 + pumps_kw(office, 1))
    given_kw = before.load_kw["heating"][0] - live.load_kw["heating"][0]
    heat_kw = office.performance["hp1"].modes["direct"].heat_kw
    assert 0.8 * heat_kw < given_kw <= 1.05 * heat_kw
    assert min(live.load_kw["heating"]) >= 0.0
    at_rest = plant.live(NOW, {**ours, "hp4": replace(RESTS, available=False)})
    assert at_rest.other_load_kw == pytest.approx(before.other_load_kw), "a person may switch one off by hand"
    assert at_rest.load_kw == before.load_kw


def test_a_silent_meter_is_believed_for_a_while(office: Configuration, caplog: pytest.LogCaptureFixture) -> None:
    plant = Plant(office)
    plant.show(NOW, main_kw=450.0, metered_kw=METERED_KW)
    told_kw = plant.other_kw(NOW, three_on(office))
    assert told_kw > 0.0
    plant.show(NOW + timedelta(minutes=50), main_kw=None, metered_kw=METERED_KW)
    assert plant.other_kw(NOW + timedelta(minutes=50), three_on(office)) == told_kw
    late = NOW + OTHER_LOAD_HELD + timedelta(minutes=1)
    for _ in range(2):
        assert plant.other_kw(late, three_on(office)) == 0.0
    assert caplog.text.count("other load is not known") == 1, "said once"
    plant.show(late, main_kw=500.0, metered_kw=METERED_KW)
    assert plant.other_kw(late, three_on(office)) == pytest.approx(500.0 - 360.0 - pumps_kw(office, 3)), "begins anew"


def test_other_load_is_smoothed_and_never_below_zero(office: Configuration) -> None:
    plant = Plant(office)
    seen = []
    for minutes, main_kw in ((0, 450.0), (1, 550.0), (2, 100.0), (3, 100.0)):
        plant.show(NOW + timedelta(minutes=minutes), main_kw=main_kw, metered_kw=METERED_KW)
        seen.append(plant.other_kw(NOW + timedelta(minutes=minutes), three_on(office)))
    assert seen[0] < seen[1] < seen[0] + 100.0
    assert seen[1] > seen[2] > seen[3] >= 0.0


# ------------------------------------------------------------------------------------------------------------ demand


def charged(office: Configuration, *prices: dict[str, object], **limits: object) -> Configuration:
    """The example with demand charged, by entries of prices."""
    bands = {"sharp": 1.0, "peak": 0.9, "flat": 0.6, "valley": 0.4}
    entries = [{"source": "a test", "bands_cny_per_kwh": bands, **price} for price in prices]
    tariff = type(office.tariff).model_validate(
        {
            "name": "a test",
            "prices": entries,
            "calendars": [
                {
                    "valid_from": "2025-01-01",
                    "source": "a test",
                    "days": [{"dates": "all", "flat": ["07:00-23:00"], "valley": ["23:00-07:00"]}],
                }
            ],
        }
    )
    site = office.site.model_copy(update={"limits": office.site.limits.model_copy(update=limits)})
    return replace(office, site=site, tariff=tariff)


def history(
    office: Configuration, end_utc: datetime, *, outdoor_degc: float, load_kw: float, days: int = 20
) -> Archive:
    """Steady weeks before an instant: outdoor temperature, load, and 300 kW at the main meter with a peak of 500."""
    site = office.site
    starts = [end_utc - timedelta(minutes=15 * (n + 1)) for n in range(days * 96)]
    means = {
        site.meters.weather: dict.fromkeys(starts, outdoor_degc),
        f"{site.loops['heating'].meter}.heat_power": dict.fromkeys(starts, load_kw),
        f"{site.meters.electricity}.electric_power": dict.fromkeys(starts, 300.0),
    }
    means[f"{site.meters.electricity}.electric_power"][starts[40]] = 500.0
    return Archive(means)


FLAT_PRICE = {"valid_from": "2026-01-01", "demand_cny_per_kw_month": 50.0}


def test_the_floor_is_the_worst_day_of_the_month_and_not_all_units_at_full_load(office: Configuration) -> None:
    """A mild first: the month will need more than today, and far less than the plant has."""
    first = datetime(2026, 11, 30, 16, 0, tzinfo=UTC)
    full_kw = sum(
        office.performance[name].modes["direct"].curve[-1][1] + unit.pump_kw for name, unit in office.site.units.items()
    )
    seen = []
    for outdoor_degc, load_kw in ((6.0, 500.0), (-2.0, 900.0)):
        archive = history(office, first, outdoor_degc=outdoor_degc, load_kw=load_kw)
        plant = Plant(charged(office, FLAT_PRICE), archive)
        (demand,) = plant.live(first, three_on(office)).demand
        assert demand.measured_kw == 0.0, "the peak of the month before is over"
        assert load_kw / 5.0 < demand.expected_kw < 0.8 * full_kw
        assert demand.peak_so_far_kw == demand.expected_kw
        seen.append(demand.expected_kw)
    assert seen[0] < seen[1]


def test_what_was_metered_is_told_apart_and_counts_by_the_meters_window(office: Configuration) -> None:
    now = datetime(2026, 12, 10, 16, 0, tzinfo=UTC)
    archive = history(office, now, outdoor_degc=6.0, load_kw=500.0, days=8)
    for window_min, metered_kw in ((15, 500.0), (30, 400.0), (60, 350.0)):
        plant = Plant(charged(office, FLAT_PRICE, demand_window_min=window_min), archive)
        (demand,) = plant.live(now, three_on(office)).demand
        assert demand.measured_kw == pytest.approx(metered_kw)
        assert 0.0 < demand.expected_kw < metered_kw
        assert demand.peak_so_far_kw == demand.measured_kw


def test_no_more_is_expected_than_the_contract_lets_be_drawn(office: Configuration) -> None:
    now = datetime(2026, 12, 10, 16, 0, tzinfo=UTC)
    archive = history(office, now, outdoor_degc=-8.0, load_kw=1200.0, days=8)
    (demand,) = Plant(charged(office, FLAT_PRICE, contract_demand_kw=200.0), archive).live(now, three_on(office)).demand
    assert (demand.measured_kw, demand.expected_kw) == (500.0, 200.0)


def test_a_plan_over_the_end_of_a_month_has_two_demand_periods(office: Configuration) -> None:
    """Each with its own price; what January has had is not February's."""
    now = datetime(2027, 1, 31, 14, 0, tzinfo=UTC)
    prices = FLAT_PRICE, {"valid_from": "2027-02-01", "demand_cny_per_kw_month": 40.0}
    plant = Plant(charged(office, *prices), history(office, now, outdoor_degc=6.0, load_kw=500.0))
    january, february = plant.live(now, three_on(office)).demand
    assert (january.cny_per_kw_month, february.cny_per_kw_month) == (50.0, 40.0)
    assert (january.from_step, january.to_step, february.from_step) == (0, 8, 8)
    assert (january.measured_kw, february.measured_kw) == (500.0, 0.0)
    assert february.peak_so_far_kw == february.expected_kw == january.expected_kw


@pytest.mark.parametrize(("old", "new"), [(None, 40.0), (50.0, None)])
def test_a_charge_that_begins_or_ends_with_the_month(
    office: Configuration, old: float | None, new: float | None
) -> None:
    now = datetime(2027, 1, 31, 14, 0, tzinfo=UTC)
    prices = (
        {"valid_from": "2026-01-01", "demand_cny_per_kw_month": old},
        {"valid_from": "2027-02-01", "demand_cny_per_kw_month": new},
    )
    live = Plant(charged(office, *prices)).live(now, three_on(office))
    (demand,) = live.demand
    assert demand.cny_per_kw_month == (old or new)
    assert (demand.from_step == 0) is (new is None)
    assert Plant(charged(office, {"valid_from": "2026-01-01"})).live(now, three_on(office)).demand == []


def test_a_price_of_the_season_alone_leaves_the_demand_charged(office: Configuration) -> None:
    season = {"valid_from": "2026-01-01", "dates": ["11-15..03-15"]}
    now = datetime(2026, 12, 10, 16, 0, tzinfo=UTC)
    (demand,) = Plant(charged(office, FLAT_PRICE, season)).live(now, three_on(office)).demand
    assert demand.cny_per_kw_month == 50.0
    none = charged(office, FLAT_PRICE, {**season, "demand_cny_per_kw_month": None})
    assert Plant(none).live(now, three_on(office)).demand == []
