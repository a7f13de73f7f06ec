"""Steps of a live plan: one band, one call, one charging month each, whatever the tariff's hours are."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from edge_agent.settings.files import shipped_config
from edge_agent.settings.load import load_tariff
from scheduling.carried import shifted
from scheduling.plan import Plan
from scheduling.request import PlanRequest
from scheduling.rule import plan_by_rule
from scheduling.tariff.calendar import band_at
from scheduling.tariff.model import Event
from scheduling.tariff.price import caps_of, price_per_step
from scheduling.tariff.steps import live_grid
from scheduling.timegrid import staged_grid

ZONE = ZoneInfo("Asia/Shanghai")
START = datetime(2026, 12, 1, 16, 0, tzinfo=UTC)
HORIZON_H = 48.0
TARIFFS = sorted(path.stem for path in (shipped_config() / "tariffs").glob("*.yaml"))
CALL = Event.model_validate(
    {
        "from": "2026-12-03T17:10",
        "to": "2026-12-03T18:30",
        "grid_kw_max": 400.0,
        "pays_cny_per_kwh": 3.0,
        "reason": "call",
    }
)


@pytest.mark.parametrize("name", TARIFFS)
def test_a_step_has_one_band_and_few_steps_are_added(name: str) -> None:
    tariff = load_tariff(name, zone=ZONE)
    grid = live_grid(tariff, START, horizon_h=HORIZON_H, zone=ZONE)
    bands = price_per_step(tariff, grid, zone=ZONE).bands
    for step, start in enumerate(grid.starts_utc()):
        for minutes in range(0, round(grid.lengths_s[step] / 60.0), 10):
            assert band_at(tariff, start + timedelta(minutes=minutes), zone=ZONE) == bands[step]
    assert grid.count <= staged_grid(START, horizon_h=HORIZON_H).count + 8


def test_half_hours_of_jiangxi_have_their_own_prices() -> None:
    tariff = load_tariff("jiangxi", zone=ZONE)
    grid = live_grid(tariff, START, horizon_h=HORIZON_H, zone=ZONE)
    prices = price_per_step(tariff, grid, zone=ZONE)
    evening = {
        f"{start.astimezone(ZONE):%H:%M}": band
        for start, band in zip(grid.starts_utc(), prices.bands, strict=True)
        if start.astimezone(ZONE).day == 3 and start.astimezone(ZONE).hour in (20, 22)
    }
    assert len(evening) == 4
    assert evening["20:00"] != evening["20:30"]
    assert evening["22:00"] != evening["22:30"]


def test_a_call_caps_its_own_minutes_and_no_others() -> None:
    tariff = load_tariff("jiangxi", zone=ZONE).model_copy(update={"events": (CALL,)})
    grid = live_grid(tariff, START, horizon_h=HORIZON_H, zone=ZONE)
    (window,) = caps_of(tariff.events, grid, zone=ZONE)
    for step, wall in ((window.from_step, CALL.from_), (window.to_step, CALL.to)):
        assert grid.start_of(step).astimezone(ZONE) == wall.replace(tzinfo=ZONE)


def test_a_month_begins_with_a_step_also_where_midnight_is_no_full_hour_of_utc() -> None:
    zone = ZoneInfo("Asia/Kolkata")
    tariff = load_tariff("guangdong", zone=zone)
    grid = live_grid(tariff, datetime(2027, 1, 30, 16, 0, tzinfo=UTC), horizon_h=HORIZON_H, zone=zone)
    assert datetime(2027, 2, 1, tzinfo=zone) in grid.starts_utc()


def test_a_plan_without_the_edges_is_shifted_onto_them(case: Callable[[str], PlanRequest]) -> None:
    """What a unit did at an instant it is to do at that instant, on either grid."""
    request = case("tiny_request")
    plan: Plan = plan_by_rule(request)
    cut = {4: 0.5, 5: 1.0 / 3.0}
    parts = [(step, part) for step in range(6) for part in ((cut[step], 1.0 - cut[step]) if step in cut else (1.0,))]
    of_step = [step for step, _ in parts]
    lengths = tuple(float(request.grid.minutes[step]) * part for step, part in parts)
    cut_request = PlanRequest.model_validate(
        request.model_dump()
        | {
            "grid": {"start_utc": request.grid.start_utc, "step_minutes": lengths, "steps": len(lengths)},
            "price_cny_per_kwh": [request.price_cny_per_kwh[step] for step in of_step],
            "other_load_kw": [float(request.per_step(request.other_load_kw)[step]) for step in of_step],
            "demand": [],
            "grid_caps": [],
            "loops": [
                loop.model_dump() | {"load_kw": [loop.load_kw[step] for step in of_step]} for loop in request.loops
            ],
        }
    )
    modes, _ = shifted(cut_request, plan)
    assert {name: list(found) for name, found in modes.items()} == {
        name: [unit.mode[step] for step in of_step] for name, unit in plan.units.items()
    }
    back, _ = shifted(request, plan_by_rule(cut_request))
    assert back.keys() == plan.units.keys()
