"""What must survive a kill: JSON round trip, damage, resuming."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.control.memory import (
    ClockMark,
    ControlMemory,
    LoopMemory,
    Phase,
    UnitMemory,
    civil_midnight_utc,
    clock_jump,
    read_memory,
    resume,
    shifted,
    worth_keeping,
    write_memory,
)

NOON_UTC = datetime(2026, 1, 12, 4, 0, tzinfo=UTC)
INSTANTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive by the library's rule
MAYBE = st.none() | INSTANTS
UNITS = st.builds(
    UnitMemory,
    phase=st.sampled_from(Phase),
    since_utc=MAYBE,
    mode=st.sampled_from([None, "direct", "charge"]),
    running_since_utc=MAYBE,
    off_since_utc=MAYBE,
    starts_utc=st.lists(INSTANTS, max_size=4).map(tuple),
    starts_total=st.none() | st.integers(0, 65535),
    failures=st.integers(0, 5),
    locked_out=st.booleans(),
)
LOOPS = st.builds(
    LoopMemory,
    discharge_ratio=st.none() | st.floats(0, 1),
    trim_k=st.floats(-3, 3),
    extra_until_utc=st.dictionaries(st.sampled_from(["hp1", "hp2"]), INSTANTS),
)


@settings(max_examples=40)
@given(units=st.dictionaries(st.sampled_from(["hp1", "hp2"]), UNITS), loops=st.dictionaries(st.just("heating"), LOOPS))
def test_round_trip(units: dict[str, UnitMemory], loops: dict[str, LoopMemory]) -> None:
    memory = ControlMemory(units=units, loops=loops)
    assert read_memory(write_memory(memory)) == memory


def test_what_an_older_version_kept_is_taken_up_as_far_as_it_means_something() -> None:
    memory = read_memory(
        """{"version": 1, "memory": {
            "units": {"hp1": {"phase": "running", "silent_since_utc": "2026-01-12T02:00:00Z", "cut_likely": true}},
            "doubts": {"tank tank": "2026-01-12T02:00:00Z"},
            "waters": {"heating": {"odd_utc": {"supply": "2026-01-12T02:00:00Z"},
                "still": {"io1.supply_temperature": {"degc": 44.0, "since_utc": "2026-01-12T02:00:00Z"}},
                "off": {"io1.supply_temperature": {"correction_k": -6.0, "found_utc": "2026-01-12T02:00:00Z"}}}}
        }}"""
    )
    assert memory.unit("hp1").phase is Phase.RUNNING
    assert memory.waters["heating"].off["io1.supply_temperature"].correction_k == -6.0


def test_damage_is_forgetting_not_failing() -> None:
    text = write_memory(ControlMemory(units={"hp1": UnitMemory(phase=Phase.RUNNING)}))
    for damaged in (
        None,
        "",
        text[:-5],
        text.replace("running", "galloping"),
        text.replace('"version":1', '"version":9'),
    ):
        assert read_memory(damaged) == ControlMemory()
    naive = '{"version":1,"memory":{"units":{"hp1":{"since_utc":"2026-01-01T00:00:00"}}}}'
    assert read_memory(naive) == ControlMemory()


def test_a_start_under_way_gets_its_time_again() -> None:
    now_utc = datetime(2026, 1, 12, tzinfo=UTC)
    long_ago = now_utc - timedelta(hours=5)
    memory = ControlMemory(
        units={
            "hp1": UnitMemory(phase=Phase.FLOW, since_utc=long_ago),
            "hp2": UnitMemory(phase=Phase.STOPPING, since_utc=long_ago),
        },
        loops={"heating": LoopMemory(error_k=1.0, trim_k=0.5)},
    )
    after = resume(memory, now_utc=now_utc)
    assert after.units["hp1"].since_utc == now_utc
    assert after.units["hp2"].since_utc == long_ago
    assert (after.loops["heating"].error_k, after.loops["heating"].trim_k) == (None, 0.5)


def test_civil_days_are_the_plants() -> None:
    noon_utc = datetime(2026, 1, 12, 4, 0, tzinfo=UTC)
    assert civil_midnight_utc(noon_utc, "Asia/Shanghai") == datetime(2026, 1, 11, 16, 0, tzinfo=UTC)
    summer_evening_utc = datetime(2026, 7, 12, 22, 30, tzinfo=UTC)
    assert civil_midnight_utc(summer_evening_utc, "Europe/Berlin") == datetime(2026, 7, 12, 22, 0, tzinfo=UTC)


NOW_UTC = datetime(2026, 1, 12, 4, 0, tzinfo=UTC)


def test_a_clock_that_is_set_is_told_from_one_that_drifts_or_belongs_to_another_boot() -> None:
    mark = ClockMark("boot", 100.0, NOW_UTC)
    later_utc = NOW_UTC + timedelta(seconds=30)

    def jump_s(site_utc: datetime, *, epoch: str = "boot", steady_s: float = 130.0) -> float:
        return clock_jump(mark, now_utc=site_utc, epoch=epoch, steady_s=steady_s).total_seconds()

    assert jump_s(later_utc) == 0.0
    assert jump_s(later_utc + timedelta(seconds=4)) == 0.0
    assert jump_s(later_utc + timedelta(hours=1)) == 3600.0
    assert jump_s(later_utc - timedelta(hours=1)) == -3600.0
    assert jump_s(later_utc + timedelta(hours=1), epoch="another boot") == 0.0
    assert clock_jump(None, now_utc=NOW_UTC, epoch="boot", steady_s=0.0) == timedelta(0)


@settings(max_examples=40)
@given(
    units=st.dictionaries(st.sampled_from(["hp1", "hp2"]), UNITS),
    loops=st.dictionaries(st.just("heating"), LOOPS),
    hours=st.integers(-48, 48),
)
def test_ages_stay_what_they_are_when_the_clock_is_set(
    units: dict[str, UnitMemory], loops: dict[str, LoopMemory], hours: int
) -> None:
    memory = ControlMemory(units=units, loops=loops)
    by = timedelta(hours=hours)
    moved = shifted(memory, by)
    assert shifted(moved, -by) == memory
    for name, unit in units.items():
        now = moved.units[name]
        assert now.age_s(NOW_UTC + by) == unit.age_s(NOW_UTC)
        assert now.starts_utc == tuple(start + by for start in unit.starts_utc)
        assert (now.phase, now.mode, now.failures) == (unit.phase, unit.mode, unit.failures)


def test_after_a_restart_nothing_is_in_the_future() -> None:
    """The clock was set back a year while the service was away: nothing waits for a year."""
    year = NOW_UTC + timedelta(days=365)
    unit = UnitMemory(phase=Phase.OFF, since_utc=year, off_since_utc=year, starts_utc=(year,), retry_utc=year)
    (resumed,) = resume(ControlMemory(units={"hp1": unit}), now_utc=NOW_UTC).units.values()
    assert (resumed.since_utc, resumed.off_since_utc, resumed.starts_utc) == (NOW_UTC, NOW_UTC, (NOW_UTC,))
    assert resumed.retry_utc == NOW_UTC + timedelta(hours=24)


@pytest.mark.parametrize(
    ("changed", "kept_at_once"),
    [
        ({"discharging": True}, True),
        ({"tank_full": True}, True),
        ({"extra_until_utc": {"hp2": NOON_UTC}}, True),
        ({"charge_rest_until_utc": {"hp2": NOON_UTC}}, True),
        ({"lack_since_utc": NOON_UTC}, True),
        ({"caps": {"charge": 0.5}}, True),
        ({"trim_k": 0.2}, False),
        ({"discharge_ratio": 0.4, "error_k": 0.1, "regulated_utc": NOON_UTC, "tank_used_utc": NOON_UTC}, False),
        ({"extra_until_utc": {"hp1": NOON_UTC + timedelta(minutes=1)}}, False),
    ],
)
def test_what_was_decided_is_kept_at_once_and_what_drifts_is_not(
    changed: dict[str, object], *, kept_at_once: bool
) -> None:
    before = LoopMemory(extra_until_utc={"hp1": NOON_UTC})
    if changed.get("extra_until_utc") == {"hp2": NOON_UTC}:
        changed = {"extra_until_utc": {"hp1": NOON_UTC, "hp2": NOON_UTC}}
    memory = ControlMemory(loops={"heating": before})
    after = memory.with_loop("heating", replace(before, **changed))  # type: ignore[arg-type]
    assert (worth_keeping(after) != worth_keeping(memory)) is kept_at_once


def test_a_regulator_goes_on_from_its_valve_after_a_restart() -> None:
    memory = ControlMemory(loops={"heating": LoopMemory(discharge_ratio=0.4, error_k=0.1, trim_k=0.3)})
    loop = resume(memory, now_utc=NOON_UTC).loops["heating"]
    assert (loop.discharge_ratio, loop.error_k, loop.trim_k) == (None, None, 0.3)
