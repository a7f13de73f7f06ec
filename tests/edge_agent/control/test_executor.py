"""The executor: judged, written on change, proven, repeated with pauses, audited once."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest

from drivers.sample import good
from drivers.writing import WriteOutcome
from edge_agent.control.command import Command, Kind, Outcome, Verdict
from edge_agent.control.executor import Executor
from edge_agent.control.modes import Mode
from edge_agent.image import ProcessImage

SETPOINT = Command("hp1.supply_setpoint", 45.0, Kind.SETPOINT, "hp1")


class Bench:
    """An executor with a wire that does as it is told."""

    def __init__(self, kit: SimpleNamespace) -> None:
        self.kit = kit
        self.image = ProcessImage()
        self.written = []
        self.audited = []
        self.fault = ""
        self.dead_band = 0.0
        self.holds: dict[str, float] = {}
        self.renewed = []
        self.in_force = True
        self.executor = Executor(kit.site(), image=self.image, write=self.write, audit=self.audit, renew=self.renew)

    def renew(self, point: str, value: float) -> bool:
        self.renewed.append((point, value))
        return self.in_force

    async def write(self, point: str, value: float) -> WriteOutcome:
        self.written.append((point, value))
        if self.fault:
            return WriteOutcome(verified=False, wrote=value, read_back=None, reason=self.fault)
        if abs(self.holds.get(point, value + 2.0 * self.dead_band) - value) > self.dead_band or not self.dead_band:
            self.holds[point] = value
        return WriteOutcome(verified=True, wrote=value, read_back=self.holds[point], reason="")

    async def audit(self, outcomes: Sequence[Outcome]) -> None:
        self.audited.extend(outcomes)

    def carry_out(
        self, *commands: Command, after_s: float = 0.0, mode: Mode = Mode.AUTO, **view: object
    ) -> list[Outcome]:
        now_utc = self.kit.now_utc + timedelta(seconds=after_s)
        return asyncio.run(
            self.executor.carry_out(
                commands,
                view=self.kit.view(now_utc=now_utc, **view),
                memory=self.kit.memory(self.kit.running()),
                mode=mode,
            )
        )


@pytest.fixture
def bench(kit: SimpleNamespace) -> Bench:
    return Bench(kit)


def test_writes_on_change_only(bench: Bench, kit: SimpleNamespace) -> None:
    (outcome,) = bench.carry_out(SETPOINT)
    assert outcome.verdict is Verdict.VERIFIED
    assert bench.carry_out(SETPOINT, after_s=30) == []
    bench.image.put([good("hp1.supply_setpoint", kit.now_utc + timedelta(seconds=40), 45.1, "degC")])
    assert bench.carry_out(SETPOINT, after_s=60) == [], "within the dead band"
    bench.image.put([good("hp1.supply_setpoint", kit.now_utc + timedelta(seconds=70), 50.0, "degC")])
    (outcome,) = bench.carry_out(SETPOINT, after_s=90)
    assert outcome.before == 50.0
    assert len(bench.written) == 2


def test_a_slow_ramp_is_no_device_that_changes_back(bench: Bench, kit: SimpleNamespace) -> None:
    for step in range(12):
        after_s = 30.0 * step
        bench.carry_out(replace(SETPOINT, value=round(45.0 - 0.1 * step, 1)), after_s=after_s)
        written = bench.written[-1][1]
        instant_utc = kit.now_utc + timedelta(seconds=after_s + 20.0)
        bench.image.put([good("hp1.supply_setpoint", instant_utc, written, "degC")])
    assert [value for _, value in bench.written] == [45.0, 44.8, 44.6, 44.4, 44.2, 44.0]
    assert not bench.executor.alarms()


def test_what_stands_is_renewed_and_what_has_expired_is_written_again(bench: Bench) -> None:
    bench.carry_out(SETPOINT)
    assert bench.carry_out(SETPOINT, after_s=30) == []
    assert bench.renewed == [("hp1.supply_setpoint", 45.0)]
    assert bench.carry_out(SETPOINT, after_s=60, mode=Mode.ADVISE) == []
    assert len(bench.renewed) == 1, "only auto keeps a command in force"
    bench.in_force = False
    (outcome,) = bench.carry_out(SETPOINT, after_s=90)
    assert (outcome.verdict, len(bench.written)) == (Verdict.VERIFIED, 2)


def test_an_older_reading_does_not_undo_a_proven_write(bench: Bench, kit: SimpleNamespace) -> None:
    bench.image.put([good("hp1.supply_setpoint", kit.now_utc - timedelta(seconds=20), 50.0, "degC")])
    bench.carry_out(SETPOINT)
    assert bench.carry_out(SETPOINT, after_s=10) == []


def test_monitor_writes_nothing_and_advise_only_says_so(bench: Bench) -> None:
    (outcome,) = bench.carry_out(SETPOINT, mode=Mode.ADVISE)
    assert outcome.verdict is Verdict.ADVISED
    (outcome,) = bench.carry_out(SETPOINT, mode=Mode.MONITOR)
    assert (outcome.verdict, outcome.reason) == (Verdict.REFUSED, "mode_not_auto")
    assert bench.written == []


def test_a_lasting_refusal_is_audited_once_and_is_an_alarm(bench: Bench) -> None:
    hot = replace(SETPOINT, value=60.0)
    for cycle in range(3):
        (outcome,) = bench.carry_out(hot, after_s=30.0 * cycle)
        assert (outcome.verdict, outcome.reason) == (Verdict.REFUSED, "out_of_bounds")
    assert len(bench.audited) == 1
    assert [alarm.code for alarm in bench.executor.alarms()] == ["write_refused"]
    bench.carry_out(after_s=120)
    assert bench.executor.alarms() == []


def test_what_is_not_proven_is_repeated_with_pauses_and_becomes_an_alarm(bench: Bench) -> None:
    bench.fault = "no_answer"
    tried = [cycle for cycle in range(30) if bench.carry_out(SETPOINT, after_s=30.0 * cycle)]
    assert tried == [0, 1, 3, 7, 15, 23]
    (alarm,) = bench.executor.alarms()
    assert (alarm.code, alarm.since_utc) == ("write_unverified", bench.kit.now_utc)
    bench.fault = ""
    (outcome,) = bench.carry_out(SETPOINT, after_s=3000)
    assert outcome.verdict is Verdict.VERIFIED
    assert bench.executor.alarms() == []


def test_a_unit_whose_mode_is_not_proven_is_not_started(bench: Bench, kit: SimpleNamespace) -> None:
    flowing = replace(kit.unit_off, user_flow=True, source_flow=True, mode_request="direct")
    bench.fault = "read_back_differs"
    mode = Command("hp1.mode_request", 1.0, Kind.MODE_REQUEST, "hp1")
    run = Command("hp1.run_request", 1.0, Kind.RUN_REQUEST, "hp1")
    view = {"hp1": flowing, "pumps": {"ps_hp1": True, "pu_hp1": True}}
    outcomes = bench.carry_out(mode, run, **view)
    assert [(outcome.command.kind, outcome.verdict) for outcome in outcomes] == [
        (Kind.MODE_REQUEST, Verdict.UNVERIFIED),
        (Kind.RUN_REQUEST, Verdict.REFUSED),  # so that control does not remember a start that was not made
    ]
    written = list(bench.written)
    (held,) = bench.carry_out(mode, run, after_s=1, **view)
    assert (held.verdict, held.reason) == (Verdict.REFUSED, "mode_not_taken")
    assert bench.written == written, "nor while the mode waits to be repeated"


def test_heartbeats_only_to_units_that_are_seen_and_remote(bench: Bench, kit: SimpleNamespace) -> None:
    async def beat(after_s: float, **view: object) -> None:
        now_utc = kit.now_utc + timedelta(seconds=after_s)
        seen = kit.view(now_utc=now_utc, **view)
        await bench.executor.beat(seen, memory=kit.memory(), mode=Mode.AUTO)

    asyncio.run(beat(0))
    assert [point for point, _ in bench.written] == ["hp1.heartbeat", "hp2.heartbeat"]
    asyncio.run(beat(30))
    assert len(bench.written) == 2
    asyncio.run(beat(60, hp1=replace(kit.unit_off, remote=False), hp2=replace(kit.unit_off, state=None)))
    assert len(bench.written) == 2
    asyncio.run(beat(90))
    assert len(bench.written) == 4
    values = [value for point, value in bench.written if point == "hp1.heartbeat"]
    assert values[0] != values[1]
    assert bench.audited == []


def test_heartbeats_that_fail_are_repeated_each_cycle_and_become_an_alarm(bench: Bench, kit: SimpleNamespace) -> None:
    async def cycle(after_s: float) -> None:
        seen = kit.view(now_utc=kit.now_utc + timedelta(seconds=after_s))
        await bench.executor.beat(seen, memory=kit.memory(), mode=Mode.AUTO)
        await bench.executor.carry_out((), view=seen, memory=kit.memory(), mode=Mode.AUTO)

    bench.fault = "no_answer"
    for after_s in (0.0, 30.0, 60.0):
        asyncio.run(cycle(after_s))
    assert len(bench.written) == 6
    assert {alarm.device for alarm in bench.executor.alarms()} == {"hp1.heartbeat", "hp2.heartbeat"}
    bench.fault = ""
    asyncio.run(cycle(90.0))
    assert bench.executor.alarms() == []


def stages(bench: Bench) -> list[tuple[int, str, str]]:
    return [(outcome.number, outcome.verdict, outcome.reason) for outcome in bench.audited]


def test_every_command_is_told_before_its_frame_leaves_and_comes_to_an_end(bench: Bench, kit: SimpleNamespace) -> None:
    bench.carry_out(SETPOINT)
    assert stages(bench) == [(1, "issued", ""), (1, "verified", "")]
    bench.carry_out(replace(SETPOINT, value=47.0), after_s=30)
    assert stages(bench)[2:] == [(2, "issued", ""), (1, "superseded", "by 2"), (2, "verified", "")]
    later_utc = kit.now_utc + timedelta(seconds=60)
    bench.image.put([good("hp1.supply_setpoint", later_utc, 47.0, "degC")])
    asyncio.run(bench.executor.watch(later_utc))
    assert stages(bench)[-1] == (2, "effected", "")
    assert bench.executor.expectations == ()
    bench.fault = "no_answer"
    bench.carry_out(replace(SETPOINT, value=42.0), after_s=90)
    assert stages(bench)[-2:] == [(3, "issued", ""), (3, "unverified", "no_answer")]


def test_what_the_plant_does_not_follow_is_an_alarm_until_it_does(bench: Bench, kit: SimpleNamespace) -> None:
    bench.carry_out(SETPOINT)
    for minutes, value, codes in ((10, 50.0, ["command_no_effect"]), (20, 45.0, [])):
        now_utc = kit.now_utc + timedelta(minutes=minutes)
        bench.image.put([good("hp1.supply_setpoint", now_utc, value, "degC")])
        asyncio.run(bench.executor.watch(now_utc))
        assert [alarm.code for alarm in bench.executor.alarms()] == codes
        bench.carry_out(SETPOINT, after_s=60.0 * minutes)
        bench.image.put([good("hp1.supply_setpoint", now_utc + timedelta(seconds=30), 45.0, "degC")])
        asyncio.run(bench.executor.watch(now_utc + timedelta(seconds=40)))


def test_a_register_that_the_device_keeps_changing_back_is_left_alone(bench: Bench, kit: SimpleNamespace) -> None:
    for cycle in range(10):
        bench.carry_out(SETPOINT, after_s=60.0 * cycle)
        bench.image.put([good("hp1.supply_setpoint", kit.now_utc + timedelta(seconds=60.0 * cycle + 30), 50.0, "degC")])
    assert len(bench.written) == 3
    assert [alarm.code for alarm in bench.executor.alarms()] == ["command_replaced"]
    bench.carry_out(SETPOINT, after_s=2 * 3600.0)
    assert len(bench.written) == 4, "an hour later it is tried again"


def test_a_clock_that_is_set_moves_what_the_executor_waits_for(bench: Bench) -> None:
    bench.fault = "no_answer"
    bench.carry_out(SETPOINT)
    hour = timedelta(hours=1)
    bench.executor.shift(-hour)
    assert bench.carry_out(SETPOINT, after_s=-3600.0 + 10.0) == [], "the pause goes on"
    bench.fault = ""
    (outcome,) = bench.carry_out(SETPOINT, after_s=-3600.0 + 40.0)
    assert outcome.verdict is Verdict.VERIFIED
    bench.executor.shift(hour)
    (expectation,) = bench.executor.expectations
    assert expectation.opened_utc == bench.kit.now_utc + timedelta(seconds=40)


def test_who_leaves_auto_leaves_no_alarm_of_his_commands_and_no_command_without_an_end(
    bench: Bench, kit: SimpleNamespace
) -> None:
    """The panels write their own set-points then: that is theirs to do."""
    for after_s in range(0, 300, 60):
        bench.carry_out(SETPOINT, after_s=float(after_s))
        bench.image.put([good("hp1.supply_setpoint", kit.now_utc + timedelta(seconds=after_s + 30), 50.0, "degC")])
    assert bench.executor.alarms() != []
    left_utc = kit.now_utc + timedelta(seconds=400)
    awaited = len(bench.executor.expectations)
    asyncio.run(bench.executor.stand_back(left_utc))
    assert bench.executor.alarms() == []
    assert bench.executor.expectations == ()
    ends = [outcome for outcome in bench.audited if outcome.reason == "mode_left"]
    assert len(ends) == awaited
    assert {outcome.verdict for outcome in ends} <= {Verdict.SUPERSEDED}
    (outcome,) = bench.carry_out(SETPOINT, after_s=430.0)  # and taking over again is nothing special
    assert outcome.verdict is Verdict.VERIFIED


def test_a_set_point_that_moves_by_its_dead_band_is_not_taken_for_one_that_is_changed_back(
    bench: Bench, kit: SimpleNamespace
) -> None:
    """44.2 is within 0.2 K of 44.0 and is written all the same: floats."""
    for cycle in range(12):
        value = 44.0 + 0.2 * cycle
        bench.carry_out(replace(SETPOINT, value=round(value, 1)), after_s=60.0 * cycle)
        instant_utc = kit.now_utc + timedelta(seconds=60.0 * cycle + 30)
        bench.image.put([good("hp1.supply_setpoint", instant_utc, bench.written[-1][1], "degC")])
    assert len(bench.written) == 12
    assert bench.executor.alarms() == []


def test_what_a_device_takes_within_its_own_dead_band_is_as_commanded_as_it_gets(
    bench: Bench, kit: SimpleNamespace
) -> None:
    """The register holds 44.0 while 44.4 is wanted, and the device says that this is near enough."""
    bench.dead_band = 0.5
    for cycle in range(30):
        bench.carry_out(replace(SETPOINT, value=44.0 if cycle == 0 else 44.4), after_s=60.0 * cycle)
        instant_utc = kit.now_utc + timedelta(seconds=60.0 * cycle + 30)
        bench.image.put([good("hp1.supply_setpoint", instant_utc, bench.holds["hp1.supply_setpoint"], "degC")])
        asyncio.run(bench.executor.watch(instant_utc))
    assert [value for _, value in bench.written] == [44.0, 44.4]
    assert bench.holds["hp1.supply_setpoint"] == 44.0
    assert bench.executor.alarms() == []
    assert {outcome.verdict for outcome in bench.audited} == {Verdict.ISSUED, Verdict.VERIFIED, Verdict.EFFECTED}
    bench.carry_out(replace(SETPOINT, value=44.8), after_s=3600.0)
    assert bench.holds["hp1.supply_setpoint"] == 44.8
    bench.image.put([good("hp1.supply_setpoint", kit.now_utc + timedelta(hours=2), 50.0, "degC")])
    (outcome,) = bench.carry_out(replace(SETPOINT, value=44.8), after_s=7300.0)
    assert outcome.verdict is Verdict.VERIFIED, "another value than the one proven is written over"


def test_a_set_point_that_waits_does_not_hold_back_a_start(bench: Bench, kit: SimpleNamespace) -> None:
    flowing = replace(kit.unit_off, user_flow=True, source_flow=True, mode_request="direct")
    view = {"hp1": flowing, "pumps": {"ps_hp1": True, "pu_hp1": True}}
    bench.fault = "no_answer"
    bench.carry_out(SETPOINT, **view)
    bench.fault = ""
    run = Command("hp1.run_request", 1.0, Kind.RUN_REQUEST, "hp1")
    outcomes = bench.executor
    memory = kit.memory(kit.rested(mode="direct"))
    (outcome,) = asyncio.run(
        outcomes.carry_out(
            [SETPOINT, run],
            view=kit.view(now_utc=kit.now_utc + timedelta(seconds=1), **view),
            memory=memory,
            mode=Mode.AUTO,
        )
    )
    assert (outcome.command.kind, outcome.verdict) == (Kind.RUN_REQUEST, Verdict.VERIFIED)


def test_an_effect_that_comes_late_ends_the_alarm(bench: Bench, kit: SimpleNamespace) -> None:
    bench.carry_out(SETPOINT)
    late_utc = kit.now_utc + timedelta(minutes=10)
    bench.image.put([good("hp1.supply_setpoint", late_utc, 50.0, "degC")])
    asyncio.run(bench.executor.watch(late_utc))
    assert [alarm.code for alarm in bench.executor.alarms()] == ["command_no_effect"]
    bench.image.put([good("hp1.supply_setpoint", late_utc + timedelta(seconds=30), 45.0, "degC")])
    asyncio.run(bench.executor.watch(late_utc + timedelta(seconds=30)))
    assert bench.executor.alarms() == []


def test_a_request_that_was_withdrawn_after_the_view_is_not_given_again(bench: Bench, kit: SimpleNamespace) -> None:
    """A power dip: the view still shows the unit at work, its register already reads 0, its pumps stand."""
    run = Command("hp1.run_request", 1.0, Kind.RUN_REQUEST, "hp1")
    at_work = {"hp1": kit.unit_running, "pumps": {"ps_hp1": True, "pu_hp1": True}}
    bench.image.put([good("hp1.run_request", kit.now_utc + timedelta(seconds=1), 0.0, "")])
    assert bench.carry_out(run, **at_work) == []
    assert bench.written == []
    seen = {**at_work, "hp1": replace(kit.unit_running, run_request=False)}
    assert [outcome.verdict for outcome in bench.carry_out(run, after_s=10, **seen)] == [Verdict.VERIFIED]
