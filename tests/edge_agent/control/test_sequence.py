"""Start and stop of a unit, step by step, every failure, and adoption of what the plant really does."""

from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest

from edge_agent.control.adopt import adopt
from edge_agent.control.command import Because, Kind
from edge_agent.control.memory import Phase, UnitMemory
from edge_agent.control.sequence import step
from edge_agent.control.view import UnitState, UnitView
from edge_agent.control.want import Step, Want

DIRECT = Want(on=True, mode="direct", setpoint_degc={"direct": 45.0}, limit_ratio={"direct": 0.8})
CHARGE = Want(on=True, mode="charge", setpoint_degc={"charge": 55.0}, limit_ratio={"charge": 1.0})
OFF = Want(on=False)
IDLE_S, START_HELD_S = 60.0, 900.0  # the defaults of the site file
PUMPS_ON = {"ps_hp1": True, "pu_hp1": True}


def later(now_utc: datetime, seconds: float) -> datetime:
    return now_utc + timedelta(seconds=seconds)


def take(
    kit: SimpleNamespace,
    memory: UnitMemory,
    *,
    want: Want = DIRECT,
    may_request: bool = True,
    name: str = "hp1",
    **view: object,
) -> Step:
    return step(name, memory, want=want, view=kit.view(**view), site=kit.site(), may_request=may_request)


def written(result: Step) -> dict[Kind, float]:
    return {command.kind: command.value for command in result.commands}


class TestStart:
    def test_walks_through_every_step_and_asks_last(self, kit: SimpleNamespace) -> None:
        now = kit.now_utc
        memory = kit.rested()
        taken = take(kit, memory)
        assert taken.memory.phase is Phase.SOURCE_PUMP
        assert written(taken).get(Kind.RUN_REQUEST) != 1.0

        taken = take(kit, taken.memory, pumps={"ps_hp1": True}, now_utc=later(now, 30))
        assert taken.memory.phase is Phase.USER_PUMP

        taken = take(kit, taken.memory, pumps=PUMPS_ON, now_utc=later(now, 60))
        assert taken.memory.phase is Phase.FLOW
        assert written(taken)[Kind.MODE_REQUEST] == 1.0

        flowing = replace(kit.unit_off, user_flow=True, source_flow=True, state_utc=later(now, 90))
        taken = take(kit, taken.memory, pumps=PUMPS_ON, hp1=flowing, now_utc=later(now, 90))
        assert taken.memory.phase is Phase.LEAD

        flowing = replace(flowing, state_utc=later(now, 120))
        taken = take(kit, taken.memory, pumps=PUMPS_ON, hp1=flowing, now_utc=later(now, 120))
        assert taken.memory.phase is Phase.LEAD, "the pumps lead by a minute"
        taken = take(kit, taken.memory, pumps=PUMPS_ON, hp1=flowing, now_utc=later(now, 150))
        assert taken.memory.phase is Phase.STARTING
        assert taken.memory.starts_utc == (later(now, 150),)
        assert [command.kind for command in taken.commands] == [
            Kind.MODE_REQUEST,
            Kind.SETPOINT,
            Kind.CAPACITY_LIMIT,
            Kind.RUN_REQUEST,
        ]

    def test_a_unit_without_a_limit_is_never_given_one(self, kit: SimpleNamespace) -> None:
        memory = kit.rested(phase=Phase.LEAD, mode="direct", since_utc=later(kit.now_utc, -90))
        flowing = replace(kit.unit_off, user_flow=True, source_flow=True)
        taken = take(kit, memory, name="hp2", hp2=flowing, pumps={"ps_hp2": True, "pu_hp2": True})
        assert Kind.RUN_REQUEST in written(taken)
        assert Kind.CAPACITY_LIMIT not in written(taken)

    def test_charging_waits_for_the_valve_before_any_pump(self, kit: SimpleNamespace) -> None:
        taken = take(kit, kit.rested(), want=CHARGE, charge_ratio=0.6)
        assert taken.memory.phase is Phase.PATH
        assert Kind.MODE_REQUEST not in written(taken)
        taken = take(kit, taken.memory, want=CHARGE, charge_ratio=1.0)
        assert taken.memory.phase is Phase.SOURCE_PUMP

    def test_waits_for_its_turn(self, kit: SimpleNamespace) -> None:
        memory = kit.rested(phase=Phase.LEAD, mode="direct", since_utc=later(kit.now_utc, -90))
        flowing = replace(kit.unit_off, user_flow=True, source_flow=True)
        taken = take(kit, memory, hp1=flowing, pumps=PUMPS_ON, may_request=False)
        assert taken.memory.phase is Phase.LEAD
        assert taken.waiting == ("stagger",)

    def test_needs_a_reading_younger_than_the_lead(self, kit: SimpleNamespace) -> None:
        memory = kit.rested(phase=Phase.LEAD, mode="direct", since_utc=later(kit.now_utc, -90))
        flowing = replace(kit.unit_off, user_flow=True, source_flow=True, state_utc=later(kit.now_utc, -100))
        assert take(kit, memory, hp1=flowing, pumps=PUMPS_ON).memory.phase is Phase.LEAD

    @pytest.mark.parametrize(
        ("changes", "view", "code"),
        [
            ({"off_since_utc": None}, {}, "min_off"),
            ({"locked_out": True}, {}, "unit_locked_out"),
            ({}, {"source_degc": 4.9}, "source_too_cold"),
        ],
    )
    def test_obstacles_are_said(
        self, kit: SimpleNamespace, changes: dict[str, object], view: dict[str, object], code: str
    ) -> None:
        taken = take(kit, kit.rested(**changes), **view)
        assert taken.memory.phase is Phase.OFF
        assert code in taken.waiting

    def test_rest_starts_per_hour_and_day_are_obstacles(self, kit: SimpleNamespace) -> None:
        now = kit.now_utc
        assert "min_off" in take(kit, kit.rested(off_since_utc=later(now, -1799))).waiting
        assert not take(kit, kit.rested(off_since_utc=later(now, -1800))).waiting
        twice = (later(now, -3000), later(now, -2000))
        assert "starts_per_hour" in take(kit, kit.rested(starts_utc=twice)).waiting
        # Noon in Beijing: 12.5 h ago was yesterday.
        today = tuple(later(now, -hours * 3600) for hours in (11, 8, 5))
        assert "starts_per_day" in take(kit, kit.rested(starts_utc=today)).waiting
        with_yesterday = (later(now, -12.5 * 3600), *today[1:])
        assert not take(kit, kit.rested(starts_utc=with_yesterday)).waiting

    def test_a_hot_or_unknown_tank_is_not_charged(self, kit: SimpleNamespace) -> None:
        for layers_degc in ((57.0, 55.0, 50.0, 45.0), ()):
            taken = take(kit, kit.rested(), want=CHARGE, charge_ratio=1.0, layers_degc=layers_degc)
            assert "tank_too_hot" in taken.waiting

    def test_a_plan_that_changes_its_mind_costs_nothing(self, kit: SimpleNamespace) -> None:
        memory = kit.rested(phase=Phase.LEAD, mode="direct", since_utc=kit.now_utc)
        taken = take(kit, memory, want=OFF, pumps=PUMPS_ON)
        assert taken.memory.phase is Phase.OFF
        assert taken.memory.failures == 0


class TestFailedStart:
    @pytest.mark.parametrize(
        ("phase", "mode", "age_s", "view", "reason"),
        [
            (Phase.SOURCE_PUMP, "direct", 151, {}, "source_pump_not_proven"),
            (Phase.USER_PUMP, "direct", 151, {"pumps": {"ps_hp1": True}}, "user_pump_not_proven"),
            (Phase.FLOW, "direct", 151, {"pumps": PUMPS_ON}, "source_flow_not_proven"),
        ],
    )
    def test_names_the_step_and_rests(
        self, kit: SimpleNamespace, phase: Phase, mode: str, age_s: float, view: dict[str, object], reason: str
    ) -> None:
        memory = kit.rested(phase=phase, mode=mode, since_utc=later(kit.now_utc, -age_s))
        taken = take(kit, memory, want=CHARGE if mode == "charge" else DIRECT, **view)
        assert taken.memory.phase is Phase.OFF
        assert taken.memory.fault == reason
        assert taken.memory.retry_utc == later(kit.now_utc, 1800)
        assert [alarm.code for alarm in taken.alarms] == ["unit_start_failed"]
        assert "retry_later" in take(kit, taken.memory, now_utc=later(kit.now_utc, 1700)).waiting

    def test_user_flow_and_mode_are_told_apart(self, kit: SimpleNamespace) -> None:
        memory = kit.rested(phase=Phase.FLOW, mode="direct", since_utc=later(kit.now_utc, -151))
        half = replace(kit.unit_off, source_flow=True)
        assert take(kit, memory, hp1=half, pumps=PUMPS_ON).memory.fault == "user_flow_not_proven"
        wrong = replace(kit.unit_off, source_flow=True, user_flow=True, mode_request="charge")
        assert take(kit, memory, hp1=wrong, pumps=PUMPS_ON).memory.fault == "mode_not_taken"

    def test_a_unit_that_does_not_follow_is_asked_to_stop(self, kit: SimpleNamespace) -> None:
        memory = kit.rested(phase=Phase.STARTING, mode="direct", since_utc=later(kit.now_utc, -601))
        asked = replace(kit.unit_off, run_request=True, user_flow=True, source_flow=True)
        taken = take(kit, memory, hp1=asked, pumps=PUMPS_ON)
        assert taken.memory.phase is Phase.STOPPING
        assert taken.memory.fault == "unit_not_started"
        (command,) = taken.commands
        assert (command.kind, command.value, command.because) == (Kind.RUN_REQUEST, 0.0, Because.PROTECTION)

    def test_a_unit_that_starts_for_ever_is_a_failed_start(self, kit: SimpleNamespace) -> None:
        memory = kit.rested(phase=Phase.STARTING, mode="direct", since_utc=later(kit.now_utc, -601), off_since_utc=None)
        starting = replace(kit.unit_running, state=UnitState.STARTING, electric_kw=0.5, load_ratio=0.0)
        taken = take(kit, memory, hp1=starting, pumps=PUMPS_ON)
        assert (taken.memory.phase, taken.memory.fault) == (Phase.STOPPING, "unit_keeps_starting")
        assert (taken.memory.failures, [alarm.code for alarm in taken.alarms]) == (1, ["unit_start_failed"])
        (command,) = taken.commands
        assert (command.kind, command.value, command.because) == (Kind.RUN_REQUEST, 0.0, Because.PROTECTION)
        in_time = replace(memory, since_utc=later(kit.now_utc, -599))
        assert take(kit, in_time, hp1=starting, pumps=PUMPS_ON).memory.phase is Phase.STARTING
        # One that draws the power of a compressor gives heat: a person is told, and it goes on.
        runs = replace(starting, electric_kw=100.0)
        unconfirmed = take(kit, memory, hp1=runs, pumps=PUMPS_ON)
        assert unconfirmed.memory.phase is Phase.STARTING
        assert [alarm.code for alarm in unconfirmed.alarms] == ["unit_start_unconfirmed"]

    def test_is_locked_out_after_its_retries(self, kit: SimpleNamespace) -> None:
        memory = kit.rested(phase=Phase.SOURCE_PUMP, mode="direct", since_utc=later(kit.now_utc, -151), failures=2)
        taken = take(kit, memory)
        assert taken.memory.locked_out
        assert [alarm.code for alarm in taken.alarms] == ["unit_locked_out"]

    def test_a_start_that_is_held_up_for_ever_fails(self, kit: SimpleNamespace) -> None:
        memory = kit.rested(phase=Phase.LEAD, mode="direct", since_utc=later(kit.now_utc, -START_HELD_S))
        flowing = replace(kit.unit_off, user_flow=True, source_flow=True)
        taken = take(kit, memory, hp1=flowing, pumps=PUMPS_ON, may_request=False)
        assert taken.memory.fault == "start_held"

    def test_a_start_that_stands_is_not_taken_back(self, kit: SimpleNamespace) -> None:
        memory = kit.rested(phase=Phase.STARTING, mode="direct", since_utc=later(kit.now_utc, -60))
        taken = take(kit, memory, want=OFF, pumps=PUMPS_ON)
        assert taken.memory.phase is Phase.STARTING
        assert written(taken)[Kind.RUN_REQUEST] == 1.0


class TestStop:
    def test_only_after_the_minimum_run(self, kit: SimpleNamespace) -> None:
        young = kit.running(running_since_utc=later(kit.now_utc, -3599))
        taken = take(kit, young, want=OFF, hp1=kit.unit_running, pumps=PUMPS_ON)
        assert taken.memory.phase is Phase.RUNNING
        taken = take(kit, kit.running(), want=OFF, hp1=kit.unit_running, pumps=PUMPS_ON)
        assert taken.memory.phase is Phase.STOPPING
        assert written(taken) == {Kind.RUN_REQUEST: 0.0}

    def test_a_run_of_unknown_begin_is_not_long_enough(self, kit: SimpleNamespace) -> None:
        taken = take(kit, kit.running(running_since_utc=None), want=OFF, hp1=kit.unit_running, pumps=PUMPS_ON)
        assert taken.memory.phase is Phase.RUNNING

    def test_waits_for_ever_for_the_unit_and_alarms(self, kit: SimpleNamespace) -> None:
        memory = kit.running(phase=Phase.STOPPING, since_utc=later(kit.now_utc, -100_000))
        unit = replace(kit.unit_running, state=UnitState.STOPPING, run_request=False)
        memory = adopt(memory, unit=unit, pumps_on=True, now_utc=kit.now_utc)
        taken = take(kit, memory, want=OFF, hp1=unit, pumps=PUMPS_ON)
        assert taken.memory.phase is Phase.STOPPING
        assert [alarm.code for alarm in taken.alarms] == ["unit_stop_unconfirmed"]

    def test_an_old_reading_proves_nothing(self, kit: SimpleNamespace) -> None:
        memory = kit.running(phase=Phase.STOPPING, since_utc=kit.now_utc)
        old = replace(kit.unit_off, state_utc=later(kit.now_utc, -1))
        memory = adopt(memory, unit=old, pumps_on=True, now_utc=later(kit.now_utc, 30))
        assert memory.phase is Phase.STOPPING
        young = replace(kit.unit_off, state_utc=later(kit.now_utc, 20))
        memory = adopt(memory, unit=young, pumps_on=True, now_utc=later(kit.now_utc, 30))
        assert memory.phase is Phase.OVERRUN

    def test_pumps_overrun_and_power_must_have_fallen(self, kit: SimpleNamespace) -> None:
        memory = kit.rested(phase=Phase.OVERRUN, mode="direct", since_utc=later(kit.now_utc, -119))
        assert take(kit, memory, want=OFF).memory.phase is Phase.OVERRUN
        over = replace(memory, since_utc=later(kit.now_utc, -120))
        humming = replace(kit.unit_off, electric_kw=60.0)
        assert take(kit, over, want=OFF, hp1=humming).memory.phase is Phase.OVERRUN
        assert take(kit, over, want=OFF).memory.phase is Phase.OFF


class TestRunning:
    def test_changes_mode_only_when_the_way_is_open(self, kit: SimpleNamespace) -> None:
        taken = take(kit, kit.running(), want=CHARGE, hp1=kit.unit_running, pumps=PUMPS_ON, charge_ratio=0.9)
        assert taken.memory.mode == "direct"
        assert Kind.SETPOINT not in written(taken), "a charging set-point is not for the loop"
        taken = take(kit, kit.running(), want=CHARGE, hp1=kit.unit_running, pumps=PUMPS_ON, charge_ratio=1.0)
        assert taken.memory.mode == "charge"
        assert written(taken)[Kind.SETPOINT] == 55.0

    def test_leaves_a_tank_whose_valve_closes(self, kit: SimpleNamespace) -> None:
        charging = replace(kit.unit_running, mode_actual="charge", mode_request="charge")
        taken = take(kit, kit.running("charge"), want=CHARGE, hp1=charging, pumps=PUMPS_ON, charge_ratio=0.9)
        assert taken.memory.mode == "direct"
        assert "valve_stuck" in [alarm.code for alarm in taken.alarms]

    def test_a_valve_that_is_not_seen_is_not_closed(self, kit: SimpleNamespace) -> None:
        charging = replace(kit.unit_running, mode_actual="charge", mode_request="charge")
        taken = take(kit, kit.running("charge"), want=CHARGE, hp1=charging, pumps=PUMPS_ON, charge_ratio=None)
        assert taken.memory.mode == "charge"

    def test_does_not_ask_on_a_unit_that_its_thermostat_has_stopped(self, kit: SimpleNamespace) -> None:
        idle = replace(kit.unit_off, run_request=True, user_flow=True, source_flow=True)
        memory = adopt(kit.running(), unit=idle, pumps_on=True, now_utc=kit.now_utc)
        assert memory.phase is Phase.RUNNING
        assert memory.idle_since_utc == kit.now_utc
        assert take(kit, memory, hp1=idle, pumps=PUMPS_ON).memory.phase is Phase.RUNNING
        now = later(kit.now_utc, IDLE_S)
        assert take(kit, memory, hp1=idle, pumps=PUMPS_ON, now_utc=now).memory.phase is Phase.STOPPING

    def test_says_when_a_pump_stops(self, kit: SimpleNamespace) -> None:
        taken = take(kit, kit.running(), hp1=kit.unit_running, pumps={"ps_hp1": True})
        assert [alarm.values["pump"] for alarm in taken.alarms] == ["pu_hp1"]
        assert taken.memory.phase is Phase.RUNNING, "the unit protects itself"


class TestForeign:
    def test_a_tripped_unit_is_only_told_not_to_run(self, kit: SimpleNamespace) -> None:
        tripped = replace(kit.unit_off, state=UnitState.TRIPPED, alarm_code=2, run_request=True)
        memory = adopt(kit.running(), unit=tripped, pumps_on=True, now_utc=kit.now_utc)
        taken = take(kit, memory, hp1=tripped)
        assert taken.memory.phase is Phase.TRIPPED
        assert [(command.kind, command.value) for command in taken.commands] == [(Kind.RUN_REQUEST, 0.0)]
        assert [alarm.code for alarm in taken.alarms] == ["unit_tripped"]

    def test_after_a_reset_the_unit_does_not_jump_on(self, kit: SimpleNamespace) -> None:
        memory = UnitMemory(phase=Phase.TRIPPED, since_utc=kit.now_utc, off_since_utc=kit.now_utc)
        asked = replace(kit.unit_off, run_request=True)
        assert adopt(memory, unit=asked, pumps_on=True, now_utc=kit.now_utc).phase is Phase.STOPPING

    def test_a_local_unit_is_left_alone(self, kit: SimpleNamespace) -> None:
        local = replace(kit.unit_running, remote=False)
        memory = adopt(kit.running(), unit=local, pumps_on=True, now_utc=kit.now_utc)
        taken = take(kit, memory, want=OFF, hp1=local)
        assert taken.memory.phase is Phase.LOCAL
        assert taken.commands == ()

    def test_a_silent_unit_is_left_alone(self, kit: SimpleNamespace) -> None:
        memory = adopt(kit.running(), unit=UnitView(), pumps_on=None, now_utc=kit.now_utc)
        assert memory == kit.running()
        taken = take(kit, memory, want=OFF, hp1=UnitView())
        assert taken.commands == ()
        assert [alarm.code for alarm in taken.alarms] == ["device_silent"]


class TestAdoption:
    """After a start of the service, with or without memory, the plant's real state counts."""

    def test_a_running_unit_is_running_and_its_time_counts_from_now(self, kit: SimpleNamespace) -> None:
        memory = adopt(UnitMemory(), unit=kit.unit_running, pumps_on=True, now_utc=kit.now_utc)
        assert (memory.phase, memory.mode) == (Phase.RUNNING, "direct")
        assert memory.running_since_utc == kit.now_utc
        assert memory.starts_utc == ()

    def test_a_remembered_run_goes_on(self, kit: SimpleNamespace) -> None:
        before = kit.running()
        assert adopt(before, unit=kit.unit_running, pumps_on=True, now_utc=kit.now_utc) == before

    def test_pumps_without_a_unit_run_out(self, kit: SimpleNamespace) -> None:
        memory = adopt(UnitMemory(), unit=kit.unit_off, pumps_on=True, now_utc=kit.now_utc)
        assert memory.phase is Phase.OVERRUN
        assert memory.off_since_utc == kit.now_utc

    def test_at_rest_is_off_and_the_rest_counts_from_now(self, kit: SimpleNamespace) -> None:
        memory = adopt(UnitMemory(), unit=kit.unit_off, pumps_on=False, now_utc=kit.now_utc)
        assert memory.phase is Phase.OFF
        assert memory.off_since_utc == kit.now_utc

    def test_unknown_stays_unknown(self, kit: SimpleNamespace) -> None:
        assert adopt(UnitMemory(), unit=UnitView(), pumps_on=None, now_utc=kit.now_utc).phase is Phase.UNKNOWN

    def test_a_unit_that_stopped_meanwhile_runs_out(self, kit: SimpleNamespace) -> None:
        memory = adopt(kit.running(), unit=kit.unit_off, pumps_on=True, now_utc=kit.now_utc)
        assert memory.phase is Phase.OVERRUN
        assert memory.off_since_utc == kit.now_utc

    def test_a_start_asked_just_before_the_end_is_not_repeated(self, kit: SimpleNamespace) -> None:
        memory = kit.rested(phase=Phase.STARTING, mode="direct", starts_utc=(later(kit.now_utc, -20),))
        memory = adopt(memory, unit=kit.unit_running, pumps_on=True, now_utc=kit.now_utc)
        assert memory.phase is Phase.RUNNING
        assert len(memory.starts_utc) == 1

    def test_foreign_starts_are_counted_by_the_units_counter(self, kit: SimpleNamespace) -> None:
        memory = kit.running(starts_total=100)
        unit = replace(kit.unit_running, starts_total=102)
        memory = adopt(memory, unit=unit, pumps_on=True, now_utc=kit.now_utc)
        assert len(memory.starts_utc) == 3
        assert memory.running_since_utc == kit.now_utc

    def test_our_own_start_is_counted_once(self, kit: SimpleNamespace) -> None:
        memory = kit.rested(
            phase=Phase.STARTING, mode="direct", starts_utc=(kit.now_utc,), start_pending=True, starts_total=100
        )
        unit = replace(kit.unit_running, starts_total=101)
        memory = adopt(memory, unit=unit, pumps_on=True, now_utc=later(kit.now_utc, 60))
        assert len(memory.starts_utc) == 1


def test_a_request_that_is_seen_withdrawn_once_is_no_stop_and_twice_is_one(kit: SimpleNamespace) -> None:
    def seen(memory: UnitMemory, after_s: float, *, request: bool) -> UnitMemory:
        now_utc = later(kit.now_utc, after_s)
        unit = replace(kit.unit_running, run_request=request, state_utc=now_utc)
        return adopt(memory, unit=unit, pumps_on=True, now_utc=now_utc)

    once = seen(kit.running(), 0.0, request=False)
    assert once.phase is Phase.RUNNING
    held = take(kit, once, hp1=replace(kit.unit_running, run_request=False), pumps=PUMPS_ON)
    assert [command for command in held.commands if command.kind is Kind.RUN_REQUEST] == [], "nor is it given again"
    assert seen(once, 0.0, request=False).phase is Phase.RUNNING, "the same reading is not another one"
    glitch = seen(once, 30.0, request=True)
    assert (glitch.phase, glitch.withdrawn_utc) == (Phase.RUNNING, None)
    assert seen(once, 30.0, request=False).phase is Phase.STOPPING
