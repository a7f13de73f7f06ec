"""The field bus under fault, as `make faults` plays it, at its shortest; and a planted fault that must be caught."""

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.clock import elapsed_s
from hil_sim import bench_play
from hil_sim.scenario import Scenario, parse

pytestmark = [pytest.mark.system, pytest.mark.slow]


def short(*events: dict[str, object], seconds: float = 8.0) -> Scenario:
    data = {
        "title": {"zh": "短", "en": "short"},
        "plant": "meter-bench",
        "starts": "2027-01-13T08:00",
        "seconds": seconds,
        "seed": 4,
        "period_s": 2,
        "speed_max": 1,
        "events": [*events],
    }
    return parse(data, name="short")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where the runs put their folders; short, for the path of a socket ends at 107 bytes (unix(7), sun_path)."""
    with tempfile.TemporaryDirectory(prefix="t-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def played(scenario: Scenario, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    return asyncio.run(bench_play.BenchPlay(scenario, speed_ratio=1.0, wall_s=elapsed_s).run())


def test_noise_and_damage_are_never_a_value_and_wrong_ones_planted_are_caught(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run for both: the line is disturbed, and one meter sends wrong values that no driver can tell from right."""
    bits = {"device": "hm1", "noise_every": 2, "noise_before": 3, "flip_every": 3}
    lie = {"device": "tt2", "quantity": "temperature_1", "delta": 0.5, "answers": 2}
    scenario = short(
        {"what": "line_fault", "at": "08:00:02", "lasts_s": 4, "args": bits},
        {"what": "garbage", "at": "08:00:02", "lasts_s": 4, "args": {"device": "em3", "every": 3}},
        {"what": "corrupt", "at": "08:00:02", "lasts_s": 1, "args": lie},
    )
    score = played(scenario, folder, monkeypatch)
    assert score["wrong_values"] == 2
    texts = score["wrong_values_first"]
    assert isinstance(texts, list)
    assert all(text.startswith("tt2.temperature_1 ") for text in texts)
    failures = score["failures"]
    assert isinstance(failures, list)
    assert "wrong_values = 2" in failures
    assert score["stale_values"] == score["write_frames"] == score["gap_violations"] == score["bad_elsewhere"] == 0
    assert score["agent_starts"] == 1
