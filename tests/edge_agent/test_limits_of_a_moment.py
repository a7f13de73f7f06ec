"""What the tariff and the plan say of the power that may be drawn now: calls to draw less, and demand that is paid."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from edge_agent.expectation import EVENT_AHEAD, bands_at
from edge_agent.planner import Planner
from edge_agent.settings.files import shipped_config
from edge_agent.settings.load import load_configuration
from edge_agent.solver_process import SolverProcess
from scheduling.request import Demand, PlanRequest, read_request
from scheduling.rule import plan_by_rule
from scheduling.tariff.model import Event

ZONE = ZoneInfo("Asia/Shanghai")
TINY = Path(__file__).resolve().parent.parent / "golden" / "cases" / "tiny_request.json"
BEGIN_UTC = datetime(2026, 12, 20, 9, 0, tzinfo=UTC)
"""17:00 in Beijing."""


def call(limit_kw: float) -> Event:
    return Event.model_validate(
        {
            "from": "2026-12-20T17:00",
            "to": "2026-12-20T19:00",
            "grid_kw_max": limit_kw,
            "pays_cny_per_kwh": 3.0,
            "reason": "a call",
        }
    )


def test_a_call_to_draw_less_holds_from_a_little_before_its_start_to_its_end() -> None:
    tariff = load_configuration(shipped_config() / "plants" / "ground-office").tariff
    called = tariff.model_copy(update={"events": (call(500.0), call(400.0))})
    for minutes, limit_kw in ((-6.0, None), (-5.0, 400.0), (60.0, 400.0), (119.0, 400.0), (120.0, None)):
        bands = bands_at(called, BEGIN_UTC + timedelta(minutes=minutes), zone=ZONE)
        assert bands.event_kw == limit_kw, "the lowest of those in force"
    assert timedelta(minutes=5) == EVENT_AHEAD
    assert bands_at(tariff, BEGIN_UTC, zone=ZONE).event_kw is None


@pytest.mark.parametrize("paid_kw", [0.0, 5000.0])
def test_the_demand_that_is_planned_or_paid_anyway(paid_kw: float) -> None:
    async def build(_now_utc: datetime) -> PlanRequest | None:
        return None

    async def keep(_plan: object) -> None:
        pass

    planner = Planner(solver=SolverProcess(), build=build, keep=keep, limit_s=1.0, gap_ratio=0.01)
    request = read_request(TINY.read_bytes())
    start_utc = request.grid.start_utc
    assert planner.demand_kw(start_utc) is None
    planner.plan, planner.request = plan_by_rule(request), request.model_copy(update={"demand": ()})
    this_month = Demand(from_step=0, to_step=3, cny_per_kw_month=50.0, peak_so_far_kw=paid_kw)
    next_month = Demand(from_step=3, to_step=6, cny_per_kw_month=50.0, peak_so_far_kw=9000.0)
    planner.request = request.model_copy(update={"demand": (this_month, next_month)})
    grid = request.grid.time_grid
    for now_utc in (start_utc - timedelta(seconds=30), start_utc, grid.start_of(2)):
        assert planner.demand_kw(now_utc) == max(paid_kw, *planner.plan.grid_kw[:3])
    assert planner.demand_kw(grid.start_of(3)) == 9000.0, "another month, another peak"
    assert planner.demand_kw(grid.end_utc) is None
