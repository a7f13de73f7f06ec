"""The perfect forecast of the closed loop: the planner is told what will come, temperatures as well as loads."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import cast

import pytest

from edge_agent.control.controller import Controller
from edge_agent.control.report import CycleReport
from edge_agent.expectation import Expectation
from edge_agent.plan_case import LiveState, UnitNow
from edge_agent.settings.load import load_configuration
from hil_sim.closed_loop.strategies import Known, Tasks
from hil_sim.site import example_folder
from scheduling.tariff.facts import NO_FACTS
from scheduling.timegrid import TimeGrid

NOW = datetime(2026, 1, 12, 16, 0, tzinfo=UTC)
RESTING = UnitNow(on=False, mode=None, minutes_in_state=600.0, starts_today=0, available=True)


async def test_known_weather_moves_the_units_along_their_map() -> None:
    configuration = load_configuration(example_folder("ground-office"))
    site = configuration.site

    async def live_state(
        _now_utc: datetime,
        *,
        grid: TimeGrid,
        units: Mapping[str, UnitNow],
        storage_kwh: Mapping[str, float],
        drawn_kw: Mapping[str, Sequence[float | None]] | None = None,
    ) -> LiveState:
        """What the service would expect: warm weather, a light load."""
        assert not drawn_kw  # no plan is in force
        return LiveState(
            units=units,
            storage_kwh=storage_kwh,
            load_kw={"heating": [500.0] * grid.count},
            price_cny_per_kwh=[0.6] * grid.count,
            valley_cny_per_kwh=0.3,
            flat_cny_per_kwh=0.6,
            other_load_kw=30.0,
            source_degc={"ground": [10.0] * grid.count},
            supply_degc={"heating": [41.0] * grid.count},
        )

    controller = SimpleNamespace(
        storage_energy_kwh=lambda: {"tank": 1000.0}, unit_states=lambda _now_utc: dict.fromkeys(site.units, RESTING)
    )
    tasks = Tasks(
        configuration,
        expectation=cast(
            "Expectation", SimpleNamespace(live_state=live_state, tariff=configuration.tariff, facts=NO_FACTS)
        ),
        controller=lambda: cast("Controller", controller),
        known=lambda grid: Known([900.0] * grid.count, [5.0] * grid.count),
    )
    tasks.report = cast("CycleReport", SimpleNamespace(units={}))
    request = await tasks.build(NOW)
    assert request is not None
    assert set(request.loops[0].load_kw) == {900.0}
    direct = request.groups[0].modes[0]
    # At 5 degC outdoors the curve asks for 44 degC: a fifth of the way from the map's row of 45 to that of 40.
    assert direct.capacity_kw == pytest.approx(600.0 + 0.2 * 21.0)
    assert direct.curve[-1][1] == pytest.approx(136.4 - 0.2 * 10.2)
