"""The planning task of a moment: what a person has stopped or held is planned again from the end of the order on."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from edge_agent.control.order_rules import held_until_utc, planned_around
from edge_agent.control.orders import Order, OrderKind
from edge_agent.plan_case import (
    CALL_EXCESS_CNY_PER_KWH,
    CALL_EXCESS_CNY_PER_KWH_MAX,
    GRID_EXCESS_CNY_PER_KWH,
    UNMET_CNY_PER_KWH,
    Corrections,
    DemandNow,
    LiveState,
    UnitNow,
    build_request,
)
from edge_agent.settings.files import shipped_config
from edge_agent.settings.load import Configuration, load_configuration
from edge_agent.settings.model import Performance, SiteFile
from scheduling.errors import RequestFault
from scheduling.plan import check
from scheduling.plant.identify import Estimate
from scheduling.rule import plan_by_rule
from scheduling.tariff.price import CapWindow
from scheduling.timegrid import staged_grid

NOW = datetime(2026, 1, 12, 16, 7, tzinfo=UTC)


@pytest.fixture(scope="module")
def office() -> Configuration:
    return load_configuration(shipped_config() / "plants" / "ground-office")


def order(subject: str | None, hours: float) -> Order:
    return Order(OrderKind.STOP, subject, NOW + timedelta(hours=hours), "a", "b", NOW, 1)


@pytest.mark.parametrize("orders", [(), (order("hp2", 2.0),), (order(None, 1.0), order("hp2", 2.0))])
def test_a_stopped_unit_is_planned_again_from_the_end_of_its_order(
    office: Configuration, orders: tuple[Order, ...]
) -> None:
    site = office.site
    running = UnitNow(on=True, mode="direct", minutes_in_state=20.0, starts_today=1, available=True)
    grid = staged_grid(NOW, horizon_h=24)
    count = grid.count
    live = LiveState(
        units=planned_around(dict.fromkeys(site.units, running), orders),
        storage_kwh=dict.fromkeys(site.storages, 4000.0),
        load_kw={name: [900.0] * count for name in site.loops},
        price_cny_per_kwh=[0.6] * count,
        valley_cny_per_kwh=0.3,
        flat_cny_per_kwh=0.6,
        other_load_kw=30.0,
    )
    request = build_request(site, office.performance, grid=grid, live=live)
    plan = plan_by_rule(request)
    assert check(request, plan) == []
    for name, unit in plan.units.items():
        until_utc = max(
            (order.until_utc for order in orders if order.subject in (None, name)),
            default=datetime.min.replace(tzinfo=UTC),
        )
        ordered_off = [
            mode for start_utc, mode in zip(grid.starts_utc(), unit.mode, strict=True) if start_utc < until_utc
        ]
        assert set(ordered_off) <= {None}
    assert any(mode is not None for unit in plan.units.values() for mode in unit.mode)


@pytest.mark.parametrize("subject", [None, "tank"])
def test_a_held_tank_is_planned_alone_until_the_end_of_its_order(office: Configuration, subject: str | None) -> None:
    site = office.site
    resting = UnitNow(on=False, mode=None, minutes_in_state=600.0, starts_today=0, available=True)
    hold = Order(OrderKind.HOLD, subject, NOW + timedelta(hours=3.2), "a", "b", NOW, 1)
    grid = staged_grid(NOW, horizon_h=24)
    count = grid.count
    until = held_until_utc(site.storages, [hold])
    assert until == {"tank": hold.until_utc}
    # Cheap now and dear in two hours: without the order the tank would be charged at once and given in the dear hours.
    price = [0.3 if start < NOW + timedelta(hours=2) else 1.0 for start in grid.starts_utc()]
    live = LiveState(
        units=dict.fromkeys(site.units, resting),
        storage_kwh=dict.fromkeys(site.storages, 4000.0),
        load_kw={name: [900.0] * count for name in site.loops},
        price_cny_per_kwh=price,
        valley_cny_per_kwh=0.3,
        flat_cny_per_kwh=0.6,
        other_load_kw=30.0,
    )
    free = build_request(site, office.performance, grid=grid, live=live)
    held = build_request(site, office.performance, grid=grid, live=replace(live, held_until_utc=until))
    for request, moves in ((free, True), (held, False)):
        plan = plan_by_rule(request)
        assert check(request, plan) == []
        tank = plan.storages["tank"]
        ordered = [start < hold.until_utc for start in grid.starts_utc()]
        flows = [charge + give for charge, give in zip(tank.charge_kw, tank.discharge_kw, strict=True)]
        assert (sum(kw for kw, inside in zip(flows, ordered, strict=True) if inside) > 0.0) is moves
        assert sum(kw for kw, inside in zip(flows, ordered, strict=True) if not inside) > 0.0


def test_a_hold_of_another_tank_or_a_stop_holds_nothing() -> None:
    orders = (
        Order(OrderKind.HOLD, "ice", NOW + timedelta(hours=1), "a", "b", NOW, 1),
        Order(OrderKind.STOP, None, NOW + timedelta(hours=1), "a", "b", NOW, 2),
    )
    assert held_until_utc(["tank"], orders) == {}


def test_who_is_not_available_stays_so_and_others_are_left_alone() -> None:
    silent = UnitNow(on=False, mode=None, minutes_in_state=5.0, starts_today=0, available=False)
    told = planned_around({"hp1": silent, "hp2": silent}, (order("hp1", 2.0),))
    assert not told["hp1"].available
    assert told["hp2"] == silent


PATHS = {
    "storage_kwh": "$.storages[0].soc_kwh",
    "load_kw": "$.loops[0].load_kw[1]",
    "price_cny_per_kwh": "$.price_cny_per_kwh[{last}]",
    "valley_cny_per_kwh": "$.storages[0].terminal.surplus_cny_per_kwh",
    "flat_cny_per_kwh": "$.storages[0].terminal.short_cny_per_kwh",
    "other_load_kw": "$.other_load_kw",
    "peak": "$.demand[0].measured_kw",
    "expected": "$.demand[0].peak_so_far_kw",
    "minutes": "$.groups[0].units[0].minutes_in_state",
    "cap": "$.grid_caps[1].cap_kw",
}


@pytest.mark.parametrize("what", PATHS)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_never_enters_a_request(office: Configuration, what: str, value: float) -> None:
    site = office.site
    grid = staged_grid(NOW, horizon_h=24)
    count = grid.count

    def pick(name: str, good: float) -> float:
        return value if what == name else good

    unit = UnitNow(on=False, mode=None, minutes_in_state=pick("minutes", 600.0), starts_today=0, available=True)
    live = LiveState(
        units=dict.fromkeys(site.units, unit),
        storage_kwh=dict.fromkeys(site.storages, pick("storage_kwh", 4000.0)),
        load_kw={name: [900.0, pick("load_kw", 900.0), *[900.0] * (count - 2)] for name in site.loops},
        price_cny_per_kwh=[*[0.6] * (count - 1), pick("price_cny_per_kwh", 0.6)],
        valley_cny_per_kwh=pick("valley_cny_per_kwh", 0.3),
        flat_cny_per_kwh=pick("flat_cny_per_kwh", 0.6),
        other_load_kw=pick("other_load_kw", 30.0),
        demand=(DemandNow(48.0, pick("peak", 600.0), pick("expected", 500.0)),),
        caps=[CapWindow("call", 0, 2, pick("cap", 300.0), 3.0)],
    )
    if what == "storage_kwh" and value == float("inf"):
        assert build_request(site, office.performance, grid=grid, live=live).storages[0].soc_kwh > 0  # full, clamped
        return
    with pytest.raises(RequestFault) as refused:
        build_request(site, office.performance, grid=grid, live=live)
    assert refused.value.path == PATHS[what].format(last=count - 1)


def test_heat_comes_before_the_demand_charge_and_the_connection_before_heat(office: Configuration) -> None:
    """By the prices alone: what an hour of heat adds to the charge of a month, and what heat a kWh above makes."""
    figures = [mode for map_ in office.performance.values() for mode in map_.modes.values()]
    cops = [mode.heat_kw * ratio / kw for mode in figures for ratio, kw in mode.curve]
    assert 52.0 / min(cops) < UNMET_CNY_PER_KWH
    assert UNMET_CNY_PER_KWH * max(cops) < GRID_EXCESS_CNY_PER_KWH
    assert UNMET_CNY_PER_KWH * min(cops) > CALL_EXCESS_CNY_PER_KWH_MAX > CALL_EXCESS_CNY_PER_KWH


@pytest.mark.parametrize(("pays", "weighed"), [(0.0, 20.0), (3.0, 20.0), (35.0, 35.0), (400.0, 50.0)])
def test_a_call_that_forfeits_more_weighs_more_and_never_more_than_heat(
    office: Configuration, pays: float, weighed: float
) -> None:
    grid = staged_grid(NOW, horizon_h=24)
    unit = UnitNow(on=False, mode=None, minutes_in_state=600.0, starts_today=0, available=True)
    live = LiveState(
        units=dict.fromkeys(office.site.units, unit),
        storage_kwh=dict.fromkeys(office.site.storages, 4000.0),
        load_kw={name: [900.0] * grid.count for name in office.site.loops},
        price_cny_per_kwh=[0.6] * grid.count,
        valley_cny_per_kwh=0.3,
        flat_cny_per_kwh=0.6,
        other_load_kw=30.0,
        caps=[CapWindow("call", 2, 6, 400.0, pays)],
    )
    (cap,) = [
        cap
        for cap in build_request(office.site, office.performance, grid=grid, live=live).grid_caps
        if cap.name == "call"
    ]
    assert (cap.from_step, cap.to_step, cap.cap_kw, cap.penalty_cny_per_kwh) == (2, 6, 400.0, weighed)


WARM = [
    (source, load, 600.0 + 12.0 * (source - 10.0), 136.4 + 2.3 * (load - 45.0))
    for source in (0.0, 10.0, 20.0)
    for load in (35.0, 45.0, 55.0)
]


def unmapped(office: Configuration) -> dict[str, Performance]:
    """The example's units at their usual temperatures only."""
    return {
        name: performance.model_copy(
            update={
                "modes": {name: mode.model_copy(update={"full_load": ()}) for name, mode in performance.modes.items()}
            }
        )
        for name, performance in office.performance.items()
    }


def mapped(office: Configuration) -> dict[str, Performance]:
    """The example's units with a map of their direct mode only: 12 kW a kelvin of source, 2.3 kW of lift."""
    out = {}
    for name, performance in unmapped(office).items():
        direct = performance.modes["direct"].model_copy(
            update={"source_degc": 10.0, "load_degc": 45.0, "full_load": tuple(WARM)}
        )
        out[name] = performance.model_copy(update={"modes": {**performance.modes, "direct": direct}})
    return out


def live_at(office: Configuration, count: int, **changes: object) -> LiveState:
    site = office.site
    resting = UnitNow(on=False, mode=None, minutes_in_state=600.0, starts_today=0, available=True)
    live = LiveState(
        units=dict.fromkeys(site.units, resting),
        storage_kwh=dict.fromkeys(site.storages, 4000.0),
        load_kw={name: [900.0] * count for name in site.loops},
        price_cny_per_kwh=[0.6] * count,
        valley_cny_per_kwh=0.3,
        flat_cny_per_kwh=0.6,
        other_load_kw=30.0,
    )
    return replace(live, **changes)


def test_a_map_moves_the_figures_to_the_temperatures_that_are_expected(office: Configuration) -> None:
    site, grid = office.site, staged_grid(NOW, horizon_h=24)
    maps = mapped(office)
    usual = build_request(site, maps, grid=grid, live=live_at(office, grid.count))
    plain = build_request(site, unmapped(office), grid=grid, live=live_at(office, grid.count))
    assert usual == plain  # nothing is known of the days ahead: the usual figures
    warm = build_request(
        site,
        maps,
        grid=grid,
        live=live_at(
            office,
            grid.count,
            source_degc={"ground": [15.0] * grid.count},
            supply_degc={"heating": [40.0] * grid.count},
        ),
    )
    group = warm.groups[0]
    direct = {mode.name: mode for mode in group.modes}["direct"]
    assert direct.capacity_kw == pytest.approx(660.0)
    assert direct.curve[-1][1] == pytest.approx(136.4 - 11.5)
    charge = {mode.name: mode for mode in group.modes}["charge"]
    assert charge.capacity_kw == office.performance["hp1"].modes["charge"].heat_kw  # it has no map
    assert group.capacity_factor is None  # a steady source needs no factors


def test_a_source_that_moves_becomes_factors_of_each_step(office: Configuration) -> None:
    site, grid = office.site, staged_grid(NOW, horizon_h=24)
    sources = [5.0 + 10.0 * step / (grid.count - 1) for step in range(grid.count)]
    request = build_request(
        site, mapped(office), grid=grid, live=live_at(office, grid.count, source_degc={"ground": sources})
    )
    group = request.groups[0]
    direct = {mode.name: mode for mode in group.modes}["direct"]
    assert group.capacity_factor is not None
    assert group.cop_factor is not None
    # Whatever the reference, output and electricity of a step are those of the map at its source temperature.
    for step in (0, grid.count // 2, grid.count - 1):
        assert direct.capacity_kw * group.capacity_factor[step] == pytest.approx(600.0 + 12.0 * (sources[step] - 10.0))
        electric_kw = direct.curve[-1][1] * group.capacity_factor[step] / group.cop_factor[step]
        assert electric_kw == pytest.approx(136.4)
    assert check(request, plan_by_rule(request)) == []


def charge_only(office: Configuration, name: str) -> tuple[SiteFile, dict[str, Performance]]:
    """The example with one unit that can only charge, as its site file and its map say."""
    unit = office.site.units[name].model_copy(update={"modes": ("charge",), "identical_to": None})
    site = office.site.model_copy(update={"units": {**office.site.units, name: unit}})
    map_ = office.performance[name]
    only = map_.model_copy(update={"modes": {"charge": map_.modes["charge"]}})
    return site, {**office.performance, name: only}


def test_a_unit_that_can_only_charge_is_planned(office: Configuration) -> None:
    site, maps = charge_only(office, "hp4")
    grid = staged_grid(NOW, horizon_h=24)
    request = build_request(site, maps, grid=grid, live=live_at(office, grid.count))
    assert [mode.name for mode in request.groups[-1].modes] == ["charge"]
    assert check(request, plan_by_rule(request)) == []


def test_where_all_units_only_charge_missing_heat_is_made_by_charging(office: Configuration) -> None:
    site, maps = office.site, dict(office.performance)
    for name in office.site.units:
        one, known = charge_only(replace(office, site=site, performance=maps), name)
        site, maps = one, known
    grid = staged_grid(NOW, horizon_h=24)
    terminal = build_request(site, maps, grid=grid, live=live_at(office, grid.count)).storages[0].terminal
    cop = maps["hp1"].modes["charge"].heat_kw / maps["hp1"].modes["charge"].curve[-1][1]
    assert terminal.short_cny_per_kwh == pytest.approx(1.2 * 0.6 / cop)


def test_a_price_below_zero_makes_left_over_heat_worth_nothing_and_is_planned(office: Configuration) -> None:
    grid = staged_grid(NOW, horizon_h=24)
    prices = [-0.05, *[0.4] * (grid.count - 1)]
    live = live_at(office, grid.count, price_cny_per_kwh=prices, valley_cny_per_kwh=-0.05, flat_cny_per_kwh=0.4)
    request = build_request(office.site, office.performance, grid=grid, live=live)
    assert request.storages[0].terminal.surplus_cny_per_kwh == 0.0
    assert request.storages[0].terminal.short_cny_per_kwh > 0.0
    assert check(request, plan_by_rule(request)) == []
    free = build_request(
        office.site, office.performance, grid=grid, live=replace(live, flat_cny_per_kwh=-0.01)
    )  # prices below zero for most of the time
    assert free.storages[0].terminal.short_cny_per_kwh == 0.0


def test_heat_in_the_tank_is_worth_what_it_takes_to_make_at_the_temperatures_that_come(office: Configuration) -> None:
    """A cold source, a hot loop, fouled units: the tank is not sold at the price of the nameplate."""
    grid = staged_grid(NOW, horizon_h=24)
    plain = live_at(office, grid.count)
    fixed = {
        name: tank.model_copy(update={"charge_setpoint_degc_min": None}) for name, tank in office.site.storages.items()
    }
    site = office.site.model_copy(update={"storages": fixed})
    hard = replace(
        plain,
        source_degc={"ground": [4.0] * grid.count},
        supply_degc={"heating": [50.0] * grid.count},
        corrections=Corrections(
            cop={name: Estimate(0.9, 0.88, 0.92, 400, "learned") for name in ("hp1", "hp3")},
        ),
    )
    usual, now = (
        build_request(site, office.performance, grid=grid, live=live).storages[0].terminal for live in (plain, hard)
    )
    # By the rows of the map: 45 degC from 10 and 50 from 4; 55 degC from 10 and from 4.
    assert now.short_cny_per_kwh / usual.short_cny_per_kwh == pytest.approx((600 / 136.4) / (482 / 143.5) / 0.9)
    assert now.surplus_cny_per_kwh / usual.surplus_cny_per_kwh == pytest.approx((558 / 159.4) / (464 / 154.7) / 0.9)


def test_a_tank_is_charged_no_hotter_than_the_next_day_needs(office: Configuration) -> None:
    grid = staged_grid(NOW, horizon_h=24)
    mild, cold = (
        replace(
            live_at(office, grid.count, flat_cny_per_kwh=0.7),  # nothing is dear
            source_degc={"ground": [10.0] * grid.count},
            supply_degc={"heating": [supply_degc] * grid.count},
        )
        for supply_degc in (46.5, 52.0)
    )
    kept = replace(mild, charge_degc={"tank": 49.0})
    for live, degc in ((mild, 48.0), (cold, 54.0), (kept, 49.0)):
        request = build_request(office.site, office.performance, grid=grid, live=live)
        tank = request.storages[0]
        assert tank.charge_degc == degc
        assert tank.capacity_kwh == pytest.approx(800 * 1.149 * (degc - 42.0))
        assert tank.charge_limit_kw[-1] == (pytest.approx(tank.capacity_kwh), 0.0)
        assert tank.discharge_limit_kw[-1][1] == pytest.approx(2170.0 * (degc - 42.0) / 13.0)
        # The map between 45 and 50, and 50 and 55 degC, from 10: cooler water is made with less electricity.
        charge = next(mode for mode in request.groups[0].modes if mode.name == "charge")
        low = (600.0 / 136.4, 580.0 / 148.0, 558.0 / 159.4)
        expected = low[1] + (degc - 50.0) / 5.0 * ((low[2] - low[1]) if degc > 50.0 else (low[1] - low[0]))
        assert charge.capacity_kw / charge.curve[-1][1] == pytest.approx(expected, rel=0.02)
        plan = plan_by_rule(request)
        assert check(request, plan) == []
        assert plan.storages["tank"].charge_degc == degc
        said = next(assumption for assumption in request.assumptions if assumption.kind == "charge_degc")
        assert (said.name, said.value, said.lower, said.upper) == ("tank", degc, 46.0, 55.0)
        assert f"{degc:g} °C" in said.zh
        assert f"{degc:g} degC" in said.en


def test_heat_of_a_tank_that_is_hotter_than_asked_is_not_forgotten(office: Configuration) -> None:
    grid = staged_grid(NOW, horizon_h=24)
    mild = replace(live_at(office, grid.count), supply_degc={"heating": [43.0] * grid.count})
    for stored_kwh, degc in ((2000.0, 46.0), (11_000.0, 54.0), (11_940.0, 55.0)):
        live = replace(mild, storage_kwh={"tank": stored_kwh})
        request = build_request(office.site, office.performance, grid=grid, live=live)
        assert request.storages[0].charge_degc == degc
        assert request.storages[0].soc_kwh == pytest.approx(stored_kwh)
        assert request.storages[0].capacity_kwh == pytest.approx(800 * 1.149 * (degc - 42.0))
        assert check(request, plan_by_rule(request)) == []


def test_a_tank_that_is_wanted_for_more_than_its_price_is_filled(office: Configuration) -> None:
    """A unit away, power called off, a demand charged, a load hardly to be carried: as hot as the site allows."""
    grid = staged_grid(NOW, horizon_h=24)
    calm = replace(
        live_at(office, grid.count), storage_kwh={"tank": 2000.0}, supply_degc={"heating": [43.0] * grid.count}
    )
    gone = replace(calm.units["hp2"], available=False)
    ordered = replace(calm.units["hp2"], out_until_utc=NOW + timedelta(hours=1))
    for live, degc in (
        (calm, 46.0),
        (replace(calm, units={**calm.units, "hp2": gone}), None),
        (replace(calm, units={**calm.units, "hp2": ordered}), None),
        (replace(calm, caps=(CapWindow("call", 3, 9, 200.0, 3.0),)), None),
        (replace(calm, demand=(DemandNow(52.0, 300.0),)), None),
        (replace(calm, demand=(DemandNow(0.0, 300.0),)), 46.0),
        (replace(calm, load_kw={"heating": [*[900.0] * (grid.count - 1), 2161.0]}), None),
    ):
        request = build_request(office.site, office.performance, grid=grid, live=live)
        assert request.storages[0].charge_degc == degc
        assert request.storages[0].capacity_kwh == pytest.approx(800 * 1.149 * ((degc or 55.0) - 42.0))
