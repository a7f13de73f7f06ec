"""Corrections of nameplates from stored quarter hours: the truth is found, kept across restarts, used in plans."""

import asyncio
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from edge_agent import correcting as correcting_module
from edge_agent.correcting import STATE_KEY, Correcting
from edge_agent.errors import StoreFault
from edge_agent.plan_case import NAMEPLATES, Corrections, LiveState, UnitNow, build_request
from edge_agent.rollup import Rollup
from edge_agent.settings.files import shipped_config
from edge_agent.settings.load import Configuration, load_configuration
from edge_agent.status import corrections_list
from edge_agent.unit_figures import ModeFigures
from scheduling.plan import check
from scheduling.plant.identify import Estimate, output_of
from scheduling.rule import plan_by_rule
from scheduling.timegrid import staged_grid

NOW = datetime(2026, 1, 31, 16, 20, tzinfo=UTC)
HOURS = 30 * 24
COP_TRUTH, LOSS_TRUTH, LOAD_TRUTH = 0.88, 2.0, 0.75


class Archive:
    """Quarter hours made of a function of the hour before the end."""

    def __init__(self, series: Mapping[str, list[float]]) -> None:
        self.series = series
        self.reads = 0
        self.kept: dict[str, str] = {}

    async def rollups(self, point: str, period_min: int, from_utc: datetime, to_utc: datetime) -> list[Rollup]:
        self.reads += 1
        end_utc = NOW.replace(minute=0)
        out = []
        start = from_utc
        while start < to_utc:
            hour = HOURS - 1 - int((end_utc - timedelta(seconds=1) - start).total_seconds() // 3600)
            values = self.series.get(point)
            if values is not None and 0 <= hour < HOURS and math.isfinite(values[hour]):
                mean = values[hour]
                out.append(Rollup(point, start, period_min, mean, mean, mean, mean, mean, good_ratio=1.0, count=90))
            start += timedelta(minutes=15)
        return out

    async def get_state(self, key: str) -> str | None:
        return self.kept.get(key)

    async def put_state(self, key: str, json_text: str) -> None:
        self.kept[key] = json_text


@pytest.fixture(scope="module")
def office() -> Configuration:
    return load_configuration(shipped_config() / "plants" / "ground-office")


@pytest.fixture(scope="module")
def month(office: Configuration) -> dict[str, list[float]]:
    """A month of a plant whose units give 0.88 of their heat, whose tank loses twice, whose load is three quarters."""
    rng = np.random.default_rng(4)
    site = office.site
    series: dict[str, list[float]] = {}
    heat = np.zeros(HOURS)
    charged = np.zeros(HOURS)
    hour_of_day = np.arange(HOURS) % 24
    quiet = (hour_of_day >= 7) & (hour_of_day < 17)  # the tank is left alone in the day
    source = np.linspace(11.0, 6.0, HOURS)  # the ground cools down over the month
    series["hm_source.supply_temperature"] = source.tolist()
    for number, (name, unit) in enumerate(site.units.items()):
        modes = office.performance[name].modes
        charges = (number == 3) & ~quiet
        on = rng.random(HOURS) < 0.8
        full = np.where(charges, modes["charge"].curve[-1][1], modes["direct"].curve[-1][1])
        electric = np.where(on, rng.uniform(0.4, 1.0, HOURS) * full, 0.0)
        series[f"{site.meters.units[name]}.electric_power"] = electric.tolist()
        point = unit.point("mode_actual")
        assert point is not None
        series[point] = np.where(on, np.where(charges, 2.0, 1.0), 0.0).tolist()
        leaving = np.where(charges, 55.0, 46.0) + rng.uniform(-1.0, 1.0, HOURS)
        series[f"{name}.user_supply_temperature"] = np.where(on, leaving, math.nan).tolist()
        for mode, hours in (("direct", ~charges), ("charge", charges)):
            figures = ModeFigures(modes[mode])
            given = np.array(
                [
                    output_of(kw, here.curve, output_kw=here.heat_kw)
                    for kw, here in zip(electric, map(figures.at, source, leaving), strict=True)
                ]
            )
            heat += np.where(hours, given, 0.0) * COP_TRUTH
            charged += np.where(hours & (mode == "charge"), given, 0.0) * COP_TRUTH
    noise = 1.0 + 0.03 * rng.standard_normal(HOURS)
    flow = np.where(quiet, 0.0, charged - 60.0)
    loop = site.loops["heating"]
    series[f"{loop.meter}.heat_power"] = (heat * noise - flow).tolist()
    series["hm_tank.heat_power"] = flow.tolist()
    tank = site.storages["tank"]
    rate = LOSS_TRUTH * tank.loss_ratio_per_day / 24.0
    warm = np.empty(HOURS)
    level_k = tank.degc_max - tank.degc_min
    for hour in range(HOURS):
        level_k = level_k * (1.0 - rate) if quiet[hour] else 0.8 * (tank.degc_max - tank.degc_min)
        warm[hour] = tank.degc_min + level_k
    for layer in tank.layers:
        series[layer] = warm.tolist()
    # Outdoors such that the measured load is three quarters of the design line, day by day.
    load = np.array(series[f"{loop.meter}.heat_power"]).reshape(-1, 24).mean(axis=1)
    span_k = loop.balance_outdoor_degc - loop.design_outdoor_degc
    outdoor = loop.balance_outdoor_degc - load / (LOAD_TRUTH * loop.design_kw) * span_k
    series[site.meters.weather] = np.repeat(outdoor, 24).tolist()
    return series


@pytest.fixture
def learner(office: Configuration) -> Callable[[Archive], Correcting]:
    return lambda archive: Correcting(office, history=archive, memory=archive)


async def test_the_truth_is_found(month: dict[str, list[float]], learner: Callable[[Archive], Correcting]) -> None:
    found = await learner(Archive(month)).look(NOW)
    assert set(found.cop) == {"hp1", "hp3"}  # first units of the two kinds
    for estimate in found.cop.values():
        assert estimate.learned
        assert estimate.value == pytest.approx(COP_TRUTH, abs=0.02)
        assert estimate.lower <= COP_TRUTH <= estimate.upper
    assert found.loss["tank"].value == pytest.approx(LOSS_TRUTH, rel=0.05)
    assert found.load["heating"].value == pytest.approx(LOAD_TRUTH, abs=0.02)


def on_a_map(
    office: Configuration, *, kept: set[str], electric_ratio: float = 1.0
) -> tuple[Configuration, dict[str, list[float]]]:
    """Units at full load for a month, exactly on their map, while the ground cools down from 12 to 5 degC.

    The map is written down as a rule: 600 kW and 12 for each kelvin of source above 10 degC, for 136.4 kW and 2.3 for
    each kelvin of leaving temperature above 45 degC. Of each kind one, both or no units run; the tank is left alone.

    Args:
        office: the example.
        kept: which temperatures are stored.
        electric_ratio: what the units take against their map.
    """
    rows = [
        (source, load, 600.0 + 12.0 * (source - 10.0), 136.4 + 2.3 * (load - 45.0))
        for source in (0.0, 20.0)
        for load in (35.0, 55.0)
    ]
    maps = {}
    for name, performance in office.performance.items():
        direct = performance.modes["direct"].model_copy(update={"full_load": tuple(rows)})
        maps[name] = performance.model_copy(update={"modes": {**performance.modes, "direct": direct}})
    site = office.site
    hour = np.arange(HOURS)
    source, leaving = np.linspace(12.0, 5.0, HOURS), 48.0 + np.sin(hour / 24.0 * 2.0 * np.pi)
    heat = np.zeros(HOURS)
    series: dict[str, list[float]] = {"hm_tank.heat_power": [0.0] * HOURS}
    for number, (name, unit) in enumerate(site.units.items()):
        on = hour % (number + 2) > 0
        heat += np.where(on, 600.0 + 12.0 * (source - 10.0), 0.0)
        electric = np.where(on, electric_ratio * (136.4 + 2.3 * (leaving - 45.0)), 0.0)
        series[f"{site.meters.units[name]}.electric_power"] = electric.tolist()
        series[str(unit.point("mode_actual"))] = np.where(on, 1.0, 0.0).tolist()
        for role, values in (("user_supply_temperature", leaving), ("source_inlet_temperature", source)):
            if role in kept:
                series[str(unit.point(role))] = np.where(on, values, math.nan).tolist()
    series[f"{site.loops['heating'].meter}.heat_power"] = heat.tolist()
    if "meter" in kept:
        series["hm_source.supply_temperature"] = source.tolist()
    if "header" in kept:
        series[site.loops["heating"].supply_point] = leaving.tolist()
    if "weather" in kept:  # on the heating curve, which ends at 48 degC and -10 degC
        series[site.meters.weather] = np.interp(leaving, [44.0, 48.0], [5.0, -10.0]).tolist()
    return replace(office, performance=maps), series


async def factors(configuration: Configuration, series: Mapping[str, list[float]]) -> list[float]:
    found = await Correcting(configuration, history=Archive(series), memory=Archive({})).look(NOW)
    assert all(estimate.learned for estimate in found.cop.values())
    assert len(found.cop) == 2
    return [estimate.value for estimate in found.cop.values()]


@pytest.mark.parametrize("kept", [{"source_inlet_temperature", "user_supply_temperature"}, {"meter", "header"}])
async def test_what_the_map_explains_is_not_learned_as_well(office: Configuration, kept: set[str]) -> None:
    configuration, series = on_a_map(office, kept=kept)
    assert await factors(configuration, series) == pytest.approx([1.0, 1.0], abs=0.002)


async def test_what_the_map_does_not_explain_is_learned_at_full_load_too(office: Configuration) -> None:
    configuration, series = on_a_map(office, kept={"meter", "user_supply_temperature"}, electric_ratio=1.1)
    assert await factors(configuration, series) == pytest.approx([1 / 1.1, 1 / 1.1], abs=0.004)


async def test_the_heating_curve_stands_in_for_a_leaving_temperature_that_nobody_measures(
    office: Configuration,
) -> None:
    """It ends at 48 degC, half of the day the water is hotter: 0.3 K in the mean, 0.5 % of the electricity."""
    configuration, series = on_a_map(office, kept={"meter", "weather"})
    assert await factors(configuration, series) == pytest.approx([0.995, 0.995], abs=0.003)


async def test_without_any_temperature_the_factor_is_against_the_usual_figures(office: Configuration) -> None:
    """As the plan reckons then: 8.5 degC in the mean instead of 10, and 48 instead of 45 degC."""
    configuration, series = on_a_map(office, kept=set())
    usual = (600.0 - 18.0) / (136.4 + 6.9) / (600.0 / 136.4)
    assert await factors(configuration, series) == pytest.approx([usual, usual], abs=0.01)


async def test_hours_whose_temperature_was_not_known_say_nothing(office: Configuration) -> None:
    configuration, series = on_a_map(office, kept={"meter", "header"})
    degc = series["hm_source.supply_temperature"]
    series["hm_source.supply_temperature"] = [math.nan] * (HOURS - 40) + degc[-40:]
    found = await Correcting(configuration, history=Archive(series), memory=Archive({})).look(NOW)
    assert all(estimate.why == "too_few" and estimate.count <= 40 for estimate in found.cop.values())


async def test_it_learns_once_a_day_and_a_restart_knows_it(
    month: dict[str, list[float]], learner: Callable[[Archive], Correcting]
) -> None:
    archive = Archive(month)
    correcting = learner(archive)
    found = await correcting.look(NOW)
    reads = archive.reads
    assert await correcting.look(NOW + timedelta(hours=3)) is found
    assert archive.reads == reads
    again = learner(archive)
    await again.prepare()
    assert again.current == found
    await again.look(NOW + timedelta(minutes=5))
    assert archive.reads == reads
    archive.series = {}
    nothing = await again.look(NOW + timedelta(days=1))  # a month of silence: back to the nameplate
    assert not any(e.learned for e in (*nothing.cop.values(), *nothing.loss.values(), *nothing.load.values()))


def kept_text(value: str, upper: str) -> str:
    estimate = f'{{"value": {value}, "lower": 0.8, "upper": {upper}, "count": 99, "why": "learned"}}'
    return f'{{"day": "2026-01-31", "corrections": {{"cop": {{"hp1": {estimate}}}}}}}'


@pytest.mark.parametrize("kept", ["{", kept_text("9.0", "9.5"), kept_text("NaN", "1.0"), kept_text("0.9", "0.85")])
async def test_what_is_damaged_or_beyond_belief_is_not_taken_up(
    kept: str, learner: Callable[[Archive], Correcting]
) -> None:
    archive = Archive({})
    archive.kept[STATE_KEY] = kept
    correcting = learner(archive)
    await correcting.prepare()
    assert correcting.current == NAMEPLATES


async def test_a_disk_that_refuses_stops_no_plan(
    month: dict[str, list[float]], learner: Callable[[Archive], Correcting], monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Archive(month)

    async def refuse(*_: object) -> list[Rollup]:
        raise StoreFault("disk full")

    monkeypatch.setattr(archive, "rollups", refuse)
    assert await learner(archive).look(NOW) == NAMEPLATES


async def test_a_store_that_could_not_be_read_is_asked_again_on_the_same_day(
    month: dict[str, list[float]], learner: Callable[[Archive], Correcting], monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Archive(month)
    correcting = learner(archive)
    rollups = archive.rollups

    async def refuse(*_: object) -> list[Rollup]:
        raise StoreFault("disk is busy")

    monkeypatch.setattr(archive, "rollups", refuse)
    assert await correcting.look(NOW) == NAMEPLATES
    monkeypatch.setattr(archive, "rollups", rollups)
    assert (await correcting.look(NOW + timedelta(hours=1))).load["heating"].learned


async def test_it_does_not_wait_for_the_next_midnight_to_ask_again(
    learner: Callable[[Archive], Correcting], monkeypatch: pytest.MonkeyPatch
) -> None:
    due: list[datetime] = []

    class Fake:
        now = NOW

        def now_utc(self) -> datetime:
            return self.now

    clock = Fake()

    async def jump(_: object, instant_utc: datetime) -> None:
        due.append(instant_utc)
        if len(due) > 3:
            raise asyncio.CancelledError
        clock.now = instant_utc

    async def refuse(*_: object) -> list[Rollup]:
        if len(due) < 3:
            raise StoreFault("disk is busy")
        return []

    monkeypatch.setattr(correcting_module, "sleep_until", jump)
    archive = Archive({})
    monkeypatch.setattr(archive, "rollups", refuse)
    with pytest.raises(asyncio.CancelledError):
        await learner(archive).run(clock=clock)  # type: ignore[arg-type] - all of a clock that it asks for
    midnight = datetime(2026, 2, 1, 16, 0, tzinfo=UTC)
    assert due == [NOW + timedelta(minutes=minutes) for minutes in (10, 70, 130)] + [midnight + timedelta(minutes=10)]


async def test_another_nameplate_ends_what_was_learned_of_the_one_before(
    month: dict[str, list[float]], office: Configuration, learner: Callable[[Archive], Correcting]
) -> None:
    archive = Archive(month)
    found = await learner(archive).look(NOW)
    loop = office.site.loops["heating"]
    better = loop.model_copy(update={"design_kw": loop.design_kw * LOAD_TRUTH})
    site = office.site.model_copy(update={"loops": {**office.site.loops, "heating": better}})
    again = Correcting(replace(office, site=site), history=archive, memory=archive)
    await again.prepare()
    assert again.current == replace(found, load={}), "the factor of the paper before would be applied to this one"
    anew = await again.look(NOW + timedelta(minutes=10))
    assert anew.load["heating"].value == pytest.approx(1.0, abs=0.02), "learned on the same day"


async def test_without_history_nameplates_stand_and_say_why(
    office: Configuration, learner: Callable[[Archive], Correcting]
) -> None:
    found = await learner(Archive({})).look(NOW)
    assert found.factor("cop", "hp1") == 1.0
    said = corrections_list(found, office.site)
    assert said
    assert all(entry["learned"] is False for entry in said)
    assert all("按铭牌" in str(entry["zh"]) and "nameplate" in str(entry["en"]) for entry in said)


def test_corrections_reach_the_plan_and_are_said(office: Configuration) -> None:
    learned = Corrections(
        cop={"hp1": Estimate(0.8, 0.78, 0.82, 400, "learned")},
        loss={"tank": Estimate(5.0, 4.0, 5.0, 40, "clipped")},
        load={"heating": Estimate(1.0, 0.4, 1.4, 3, "too_few")},
    )
    grid = staged_grid(NOW, horizon_h=24)
    resting = UnitNow(on=False, mode=None, minutes_in_state=600.0, starts_today=0, available=True)
    requests = [
        build_request(
            office.site,
            office.performance,
            grid=grid,
            live=LiveState(
                units=dict.fromkeys(office.site.units, resting),
                storage_kwh={"tank": 4000.0},
                load_kw={"heating": [900.0] * grid.count},
                price_cny_per_kwh=[0.6] * grid.count,
                valley_cny_per_kwh=0.3,
                flat_cny_per_kwh=0.6,
                other_load_kw=30.0,
                corrections=corrections,
            ),
        )
        for corrections in (NAMEPLATES, learned)
    ]
    plain, corrected = requests
    for before, after in zip(plain.groups[0].modes, corrected.groups[0].modes, strict=True):
        assert after.capacity_kw == before.capacity_kw
        assert [kw for _, kw in after.curve] == pytest.approx([kw / 0.8 for _, kw in before.curve])
    assert corrected.groups[1].modes == plain.groups[1].modes
    tank = office.site.storages["tank"]
    lost = 1.0 - (1.0 - corrected.storages[0].loss_fraction_per_h) ** 24
    assert lost == pytest.approx(5.0 * tank.loss_ratio_per_day)
    plan = plan_by_rule(corrected)
    assert check(corrected, plan) == []
    said = {assumption.kind: assumption for assumption in plan.assumptions}
    assert said["cop"].zh == "hp1、hp2 制热效率按实测为铭牌的 0.80 倍(0.78–0.82,400 次)"
    assert "check the meters" in said["loss"].en
    assert not said["load"].learned


async def test_it_looks_soon_after_a_start_and_after_each_midnight_of_the_site(
    learner: Callable[[Archive], Correcting], monkeypatch: pytest.MonkeyPatch
) -> None:
    due: list[datetime] = []

    class Fake:
        now = NOW

        def now_utc(self) -> datetime:
            return self.now

    clock = Fake()

    async def jump(_: object, instant_utc: datetime) -> None:
        due.append(instant_utc)
        if len(due) > 3:
            raise asyncio.CancelledError
        clock.now = instant_utc

    monkeypatch.setattr(correcting_module, "sleep_until", jump)
    archive = Archive({})

    async def nothing(*_: object) -> list[Rollup]:
        return []

    monkeypatch.setattr(archive, "rollups", nothing)
    correcting = learner(archive)
    with pytest.raises(asyncio.CancelledError):
        await correcting.run(clock=clock)  # type: ignore[arg-type] - all of a clock that it asks for
    assert correcting.current.cop["hp1"].why == "too_few"
    assert json.loads(archive.kept[STATE_KEY])["day"] == "2026-02-03"
    midnight = datetime(2026, 2, 1, 16, 0, tzinfo=UTC)  # 00:00 in Beijing
    assert due[1:] == [midnight + timedelta(days=day, minutes=10) for day in range(3)]
