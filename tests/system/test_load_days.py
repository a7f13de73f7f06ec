"""Limits of electric power in closed loop: a contracted demand is never exceeded, one that only costs gives way.

The whole days, with their table, are `make load-days`.
"""

import importlib.util
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

_PATH = Path(__file__).parents[1] / "campaigns" / "load_days.py"
_SPEC = importlib.util.spec_from_file_location("load_days", _PATH)  # tests are not a package
assert _SPEC is not None
assert _SPEC.loader is not None
load_days = importlib.util.module_from_spec(_SPEC)
sys.modules["load_days"] = load_days
_SPEC.loader.exec_module(load_days)

pytestmark = [pytest.mark.system]

EVENING_UTC = datetime(2026, 1, 20, 13, 15, tzinfo=UTC)
"""21:15 in Beijing: the end of a peak, a flat hour, and the valley from 23:00."""
MORNING_UTC = datetime(2026, 1, 20, 0, 30, tzinfo=UTC)
"""08:30 in Beijing: half an hour before the load steps up."""
CONTRACT_KW = 500.0


def test_no_window_exceeds_the_contract_and_the_supply_holds() -> None:
    result = load_days.play("constant", contract_kw=CONTRACT_KW, tells=True, seed=3, hours=3.5, start_utc=EVENING_UTC)
    assert result.over_count == 0
    assert result.peak_kw > 0.9 * CONTRACT_KW, "the contract binds"
    assert result.notes["limit_charge_less"] > 0
    assert result.charged_kwh > 0.0
    assert result.violations == 0
    assert result.supply_min_degc > 42.5
    assert abs(result.error_worst_k) < 2.5


def test_a_demand_that_is_paid_for_anyway_is_kept_while_heat_is_not_short() -> None:
    soft = {"contract_kw": None, "soft_kw": CONTRACT_KW, "tells": True, "seed": 3}
    result = load_days.play("constant", **soft, hours=2.5, start_utc=EVENING_UTC)
    assert result.over_count == 0
    assert result.peak_kw > 0.9 * CONTRACT_KW, "it is used"
    assert result.notes["limit_charge_less"] > 0
    assert result.charged_kwh > 0.0
    assert result.supply_min_degc > 42.5


def test_and_gives_way_when_it_is() -> None:
    """An empty tank, a step up of the load, and less power paid for than the house needs: money never costs heat."""
    soft_kw = 150.0
    result = load_days.play(
        "step", contract_kw=None, soft_kw=soft_kw, tells=True, seed=3, hours=2.2, start_utc=MORNING_UTC, tank_degc=40.0
    )
    assert result.over_count > 0
    assert result.peak_kw > 1.5 * soft_kw
    assert result.supply_min_degc > 40.0
    assert result.violations == 0
