"""A measured village heat plant as the judge; `tests/bench/forecast_village.py` has the figures of both winters."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

_PATH = Path(__file__).resolve().parents[2] / "bench" / "forecast_village.py"
_SPEC = importlib.util.spec_from_file_location("forecast_village", _PATH)  # tests are not a package
assert _SPEC is not None
assert _SPEC.loader is not None
bench = importlib.util.module_from_spec(_SPEC)
sys.modules["forecast_village"] = bench
_SPEC.loader.exec_module(bench)


def test_the_last_weeks_of_a_winter(shared_data: Callable[[str], Path]) -> None:
    found = bench.score(bench.read_village(shared_data(bench.SET)), kind="noisy", last=25)
    assert found.days == 25
    assert found.cv_rmse_ratio < 0.8 * found.yesterday_cv_rmse_ratio
    assert found.day_error_ratio < 0.08
    assert 0.65 < found.inside_ratio < 0.92  # between the quantiles that promise 0.8
