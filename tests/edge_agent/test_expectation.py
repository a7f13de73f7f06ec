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
