"""The simulated clock: its reader in the agent sees what the simulator sets, without a jump, even during a change."""

import itertools
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_agent.clock import CLOCK_LAYOUT, SimulatedClock, elapsed_s
from hil_sim.sim_clock import SimClock

START_S = 1_799_769_600.0  # 2027-01-13 00:00 in Beijing
GIVE_UP_S = 60.0  # of the real clock: far beyond what two starved threads need
TICK_TOLERANCE_S = 2e-6  # a double near 1.8e9 s resolves 0.24 us


class HandClock:
    """A monotonic clock that moves when told."""

    def __init__(self) -> None:
        self.wall_s = 5_000.0

    def __call__(self) -> float:
        """The reading."""
        return self.wall_s


@given(
    changes=st.lists(
        st.tuples(st.floats(0.0, 900.0), st.sampled_from([0.0, 0.5, 1.0, 60.0, 240.0, 1000.0])), min_size=1, max_size=20
    )
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_time_is_the_sum_of_speed_times_wall(tmp_path: Path, changes: list[tuple[float, float]]) -> None:
    wall = HandClock()
    clock = SimClock(tmp_path / "clock", start_s=START_S, wall_s=wall)
    expected_s, speed_ratio = START_S, 0.0
    for wait_s, next_speed_ratio in changes:
        wall.wall_s += wait_s
        expected_s += wait_s * speed_ratio
        before_s = clock.now_s()
        clock.set_speed(next_speed_ratio)
        assert clock.now_s() == pytest.approx(before_s, abs=TICK_TOLERANCE_S)  # no jump
        assert before_s == pytest.approx(expected_s, abs=1e-3)
        _, sequence, anchor_s, simulated_s, written_ratio, *_ = CLOCK_LAYOUT.unpack((tmp_path / "clock").read_bytes())
        assert sequence % 2 == 0
        assert (written_ratio, clock.speed_ratio) == (next_speed_ratio, next_speed_ratio)
        assert simulated_s + (wall.wall_s - anchor_s) * written_ratio == pytest.approx(clock.now_s(), abs=1e-9)
        speed_ratio = next_speed_ratio
    clock.close()


def test_a_held_clock_stands_still_and_the_agent_reads_the_same_instant(tmp_path: Path) -> None:
    clock = SimClock(tmp_path / "clock", start_s=START_S, wall_s=elapsed_s)
    reader = SimulatedClock(tmp_path / "clock")
    assert reader.now_utc().timestamp() == START_S == clock.now_s()
    assert reader.speed_ratio() == 0.0
    clock.set_speed(240.0)
    assert reader.speed_ratio() == 240.0
    before_s = clock.now_s()
    read_s = reader.now_utc().timestamp()
    assert before_s - TICK_TOLERANCE_S <= read_s <= clock.now_s() + TICK_TOLERANCE_S
    clock.hold()
    assert clock.now_s() == clock.now_s()
    clock.close()


def test_time_cannot_run_backwards(tmp_path: Path) -> None:
    clock = SimClock(tmp_path / "clock", start_s=START_S, wall_s=elapsed_s)
    for wrong_ratio in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="cannot run"):
            clock.set_speed(wrong_ratio)
    clock.close()


def test_for_a_concurrent_reader_time_never_goes_back(tmp_path: Path) -> None:
    """Speeds 1e6 apart: a reader that mixed an old anchor with a new speed would be off by minutes and then return."""
    clock = SimClock(tmp_path / "clock", start_s=START_S, wall_s=elapsed_s)
    reader = SimulatedClock(tmp_path / "clock")
    seen_s: list[float] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            read_s = reader.now_utc().timestamp()
            if not seen_s or read_s != seen_s[-1]:
                seen_s.append(read_s)

    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # the threads change between any two of the writer's steps
    thread = threading.Thread(target=read)
    began_s = elapsed_s()
    thread.start()
    try:
        # until the reader has seen enough, whoever of the two a busy machine lets run first, and for how long
        for change_number in itertools.takewhile(lambda _: elapsed_s() - began_s < GIVE_UP_S, itertools.count()):
            clock.set_speed(1e6 if change_number % 2 == 0 else 1.0)
            if len(seen_s) > 300 and change_number > 2000:
                break
    finally:
        done.set()
        thread.join()
        sys.setswitchinterval(usual_s)
    assert len(seen_s) > 300
    assert seen_s == sorted(seen_s)
    assert seen_s[-1] <= clock.now_s() + TICK_TOLERANCE_S
    clock.close()


def test_a_stalled_simulator_lets_time_stand_still_for_every_reader(tmp_path: Path) -> None:
    clock = SimClock(tmp_path / "clock", start_s=START_S, wall_s=elapsed_s, lease_s=0.02)
    reader = SimulatedClock(tmp_path / "clock")
    clock.set_speed(480.0)
    began_s = elapsed_s()
    while elapsed_s() - began_s < 0.1:
        pass
    assert clock.now_s() == pytest.approx(START_S + 0.02 * 480.0)
    assert reader.now_utc().timestamp() == pytest.approx(START_S + 0.02 * 480.0, abs=1e-3)
    clock.set_speed(480.0)  # renewed: time goes on from where it stood
    assert START_S + 9.6 <= clock.now_s() <= START_S + 19.2
    clock.close()


def test_threads_of_the_simulator_itself_see_no_torn_clock_either(tmp_path: Path) -> None:
    clock = SimClock(tmp_path / "clock", start_s=START_S, wall_s=elapsed_s, lease_s=0.25)
    clock.set_speed(1000.0)
    done = threading.Event()
    seen_s: list[float] = []

    def read() -> None:
        while not done.is_set():
            seen_s.append(clock.now_s())

    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread = threading.Thread(target=read)
    thread.start()
    try:
        for change_number in range(50_000):
            clock.set_speed(1000.0 if change_number % 3 else 2.0)
            if len(seen_s) > 3000:
                break
    finally:
        done.set()
        thread.join()
        sys.setswitchinterval(usual_s)
    steps_s = [later - earlier for earlier, later in itertools.pairwise(seen_s)]
    assert len(steps_s) > 300
    assert min(steps_s) >= 0.0
    clock.close()


def test_the_sites_clock_can_be_wrong_while_its_steady_clock_goes_on(tmp_path: Path) -> None:
    clock = SimClock(tmp_path / "clock", start_s=START_S, wall_s=HandClock())
    site = SimulatedClock(tmp_path / "clock")
    before_utc, steady = site.now_utc(), site.steady()
    clock.set_wrong(-3600.0)
    assert site.now_utc() - before_utc == timedelta(hours=-1)
    assert site.steady() == (*steady[:2], site.now_utc())
    clock.set_speed(2.0)
    clock.hold()
    assert before_utc - site.now_utc() <= timedelta(hours=1), "a change of speed keeps the error"
    clock.set_wrong(0.0)
    assert site.now_utc() >= before_utc


def test_a_reading_stays_the_instant_that_it_was_whatever_the_clock_did_since(tmp_path: Path) -> None:
    """A line's thread takes a reading; before the event loop asks what it was, time has stood still and run anew."""
    clock = SimClock(tmp_path / "clock", start_s=START_S, wall_s=elapsed_s)
    reader = SimulatedClock(tmp_path / "clock")
    readings = []
    for speed_ratio in (480.0, 0.0, 240.0, 0.0, 480.0):
        clock.set_speed(speed_ratio)
        until_s = elapsed_s() + 0.02
        while elapsed_s() < until_s:
            pass
        before_s, reading_s, after_s = clock.now_s(), reader.reading_s(), clock.now_s()
        readings.append((before_s, reading_s, after_s))
    for before_s, reading_s, after_s in readings:
        instant_s = reader.at_utc(reading_s).timestamp()
        assert before_s - TICK_TOLERANCE_S <= instant_s <= after_s + TICK_TOLERANCE_S
    clock.close()
