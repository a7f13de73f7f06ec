"""The begin of a valley under a contracted demand: charging gives way, no 15-minute window exceeds the contract.

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
