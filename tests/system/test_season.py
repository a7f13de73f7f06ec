"""An evening peak in closed loop by each strategy: the planner, the rule, nobody; the same truth for all.

Whole days, in which the planner must also be cheaper than the rule, are the campaign's (`make season`).
"""

import asyncio
from datetime import date

import pytest

from edge_agent.settings.load import Configuration, load_configuration
from edge_agent.solver_process import SolverProcess
from hil_sim.closed_loop.season import Options, Season
from hil_sim.closed_loop.strategies import STRATEGIES, Strategy
from hil_sim.site import example_folder

pytestmark = [pytest.mark.system]

PLANT = "ground-office"
DAY = date(2025, 12, 3)
FROM_HOUR, TO_HOUR = 18, 20
"""Sharp hours: whoever has heat in the tank gives it now."""
DEARER_RATIO_MAX = 0.005
"""So much dearer than the rule the optimum may come out in two hours: what it keeps for the hours after them is only
valued, not sold."""


async def lived(configuration: Configuration, strategy: Strategy) -> dict[str, object]:
    solver = SolverProcess(explain=False)
    options = Options(
        PLANT, DAY, DAY, strategy=strategy, seed=3, replan_min=120, from_hour=FROM_HOUR, to_hour=TO_HOUR, limit_s=60.0
    )
    try:
        season = Season(options, configuration, solver=solver)
        await season.live()
    finally:
        await solver.stop()
    return season.result(wall_s=1.0)


@pytest.fixture(scope="module")
def results() -> dict[Strategy, dict[str, object]]:
    configuration = load_configuration(example_folder(PLANT))
    return {strategy: asyncio.run(lived(configuration, strategy)) for strategy in STRATEGIES}


@pytest.mark.slow
def test_in_the_peak_the_tank_is_worth_its_place(
    results: dict[Strategy, dict[str, object]],
) -> None:
    cost = {strategy: float(str(result["cost_with_stored_heat_cny"])) for strategy, result in results.items()}
    assert max(cost["optimal"], cost["rule"]) < 0.97 * cost["no-storage"]
    assert cost["optimal"] <= cost["rule"] * (1.0 + DEARER_RATIO_MAX)
    plans = {strategy: result["plans"] for strategy, result in results.items()}
    assert plans["no-storage"] is None
    assert plans["optimal"]["milp"] >= 1  # type: ignore[index]
    assert plans["rule"]["rule"] >= 1  # type: ignore[index]


@pytest.mark.slow
def test_nobody_is_cold_and_no_rule_is_broken_whoever_decides(results: dict[Strategy, dict[str, object]]) -> None:
    for strategy, result in results.items():
        assert result["invariant_violations"] == [], strategy
        assert result["discomfort_kelvin_hours"] == 0.0, strategy
        assert result["protection_trips"] == 0, strategy
        assert abs(float(str(result["energy_residual_relative"]))) < 1e-9, strategy
        assert result["samples_accepted"] is None, "there are no wires"


@pytest.mark.slow
def test_all_live_through_the_same_weather(results: dict[Strategy, dict[str, object]]) -> None:
    heat = [float(str(result["heat_delivered_kwh"])) for result in results.values()]
    assert max(heat) - min(heat) < 0.02 * max(heat)
