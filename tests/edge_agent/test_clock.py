import asyncio
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge_agent.clock import (
    CLOCK_LAYOUT,
    CLOCK_MARK,
    RealClock,
    SimulatedClock,
    elapsed_s,
    next_instant,
    sleep_until,
    stopwatch,
)
from edge_agent.errors import ConfigurationFault

JANUARY = datetime(2026, 1, 12, tzinfo=UTC)


def write_clock(path: Path, *, speed_ratio: float, sequence: int = 2) -> None:
    path.write_bytes(
        CLOCK_LAYOUT.pack(CLOCK_MARK, sequence, elapsed_s(), JANUARY.timestamp(), speed_ratio, math.inf, 0.0)
    )


def test_simulated_clock_runs_at_its_speed(tmp_path: Path) -> None:
    write_clock(tmp_path / "clock", speed_ratio=1000.0)
    clock = SimulatedClock(tmp_path / "clock")
    watch = stopwatch()
    first = clock.now_utc()
    while watch() < 0.02:
        pass
    gone_s = (clock.now_utc() - first).total_seconds()
    assert 19.9 < gone_s < 1000.0
    assert clock.speed_ratio() == 1000.0


def test_a_reading_of_the_stop_watch_is_an_instant_of_the_simulated_clock(tmp_path: Path) -> None:
    write_clock(tmp_path / "clock", speed_ratio=100.0)
    clock = SimulatedClock(tmp_path / "clock")
    reading_s = elapsed_s()
    before_utc = clock.now_utc()
    while elapsed_s() < reading_s + 0.02:
        pass
    assert before_utc - timedelta(seconds=1) < clock.at_utc(reading_s) <= before_utc
    second = clock.at_utc(reading_s) - clock.at_utc(reading_s - 1.0)
    assert second.total_seconds() == pytest.approx(100.0, abs=0.001)


def test_a_reading_of_the_stop_watch_is_an_instant_of_the_real_clock_as_it_is_set_now() -> None:
    clock = RealClock()
    before_utc, reading_s, after_utc = clock.now_utc(), elapsed_s(), clock.now_utc()
    off = timedelta(milliseconds=50)
    assert before_utc - off < clock.at_utc(reading_s) < after_utc + off
    assert abs(clock.at_utc(reading_s - 60.0) - before_utc + timedelta(seconds=60)) < off


def test_held_clock_stands_still(tmp_path: Path) -> None:
    write_clock(tmp_path / "clock", speed_ratio=0.0)
    clock = SimulatedClock(tmp_path / "clock")
    assert clock.now_utc() == clock.now_utc() == JANUARY


@pytest.mark.parametrize("content", [b"", b"HILCLK01", b"not a clock at all, but long enough to be one......"])
def test_what_is_no_clock_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "clock").write_bytes(content)
    with pytest.raises(ConfigurationFault, match="clock"):
        SimulatedClock(tmp_path / "clock")


def test_missing_clock_asks_for_the_simulator(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationFault, match="hil-sim"):
        SimulatedClock(tmp_path / "none")


async def test_sleeper_follows_a_change_of_speed(tmp_path: Path) -> None:
    path = tmp_path / "clock"
    write_clock(path, speed_ratio=1.0)
    clock = SimulatedClock(path)
    async with asyncio.timeout(5.0), asyncio.TaskGroup() as group:
        sleeper = group.create_task(sleep_until(clock, JANUARY + timedelta(hours=1)))
        await asyncio.sleep(0)
        with path.open("r+b") as file:  # in place: the reader has mapped this very file
            file.write(CLOCK_LAYOUT.pack(CLOCK_MARK, 4, elapsed_s(), JANUARY.timestamp(), 36_000.0, math.inf, 0.0))
        await sleeper
    assert clock.now_utc() >= JANUARY + timedelta(hours=1)


@pytest.mark.parametrize(
    ("served_s", "now_s", "next_s"),
    [
        (0.0, 1.0, 10.0),
        (0.0, 14.0, 14.0),  # missed: at once, and not twice
        (0.0, 3600.0, 3600.0),  # set forward
        (0.0, -3600.0, -3590.0),  # set back
    ],
)
def test_the_next_instant_of_a_grid_follows_the_clock(served_s: float, now_s: float, next_s: float) -> None:
    at = [JANUARY + timedelta(seconds=seconds) for seconds in (served_s, now_s, next_s)]
    assert next_instant(at[0], at[1], period_s=10.0) == at[2]


def test_real_clock_is_aware() -> None:
    assert RealClock().now_utc().tzinfo is UTC
    assert RealClock().speed_ratio() == 1.0
