"""Protection: cold source, hot supply, no ramp; oil after a power cut; pumps against frost and seizing; flow twice."""

from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest

from drivers.sample import good
from edge_agent.control.adopt import cut_likely, hear
from edge_agent.control.command import Because, Kind
from edge_agent.control.memory import (
    ClockMark,
    ControlMemory,
    Phase,
    PumpMemory,
    UnitMemory,
    after_boot,
    read_memory,
    write_memory,
)
from edge_agent.control.permissives import start_obstacles
from edge_agent.control.protection import danger_of
from edge_agent.control.pump_care import care_alarms, frost_alarms, turned
from edge_agent.control.sequence import step
from edge_agent.control.station import pump_commands
from edge_agent.control.view import MainMeterView, UnitState, UnitView, build_view
from edge_agent.control.want import Step, Want
from edge_agent.image import ProcessImage
from edge_agent.settings.model import SiteFile

DIRECT = Want(on=True, mode="direct", setpoint_degc={"direct": 45.0}, limit_ratio={"direct": 0.8})


def taken(kit: SimpleNamespace, memory: UnitMemory, unit: UnitView, *, after_s: float = 0.0, **view: object) -> Step:
    now_utc = kit.now_utc + timedelta(seconds=after_s)
    pumps = {"ps_hp1": True, "pu_hp1": True}
    seen = kit.view(now_utc=now_utc, hp1=replace(unit, state_utc=now_utc), pumps=pumps, **view)
    return step("hp1", memory, want=DIRECT, view=seen, site=kit.site(), may_request=True)


def told(result: Step, kind: Kind) -> list[tuple[float, Because]]:
    return [(command.value, command.because) for command in result.commands if command.kind is kind]


def test_a_cold_source_first_warns_then_unloads_then_stops_before_the_unit_trips(kit: SimpleNamespace) -> None:
    memory = kit.running(running_since_utc=kit.now_utc - timedelta(seconds=60))  # min on is far from over
    for degc, codes, limit_ratio in ((6.5, [], 0.8), (5.5, ["source_too_cold"], 0.8), (4.5, ["source_too_cold"], 0.3)):
        result = taken(kit, memory, replace(kit.unit_running, source_inlet_degc=degc), source_degc=degc)
        assert [alarm.code for alarm in result.alarms] == codes
        because = Because.PROTECTION if limit_ratio == 0.3 else Because.PLAN
        assert told(result, Kind.CAPACITY_LIMIT) == [(limit_ratio, because)]
    cold = replace(kit.unit_running, source_inlet_degc=3.5)
    first = taken(kit, memory, cold, source_degc=3.5)
    assert first.memory.phase is Phase.RUNNING, "one reading is none"
    second = taken(kit, first.memory, cold, source_degc=3.5, after_s=60.0)
    assert second.memory.phase is Phase.STOPPING
    assert told(second, Kind.RUN_REQUEST) == [(0.0, Because.PROTECTION)]
    glitch = taken(kit, first.memory, replace(cold, source_inlet_degc=8.0), source_degc=3.5, after_s=60.0)
    assert glitch.memory.phase is Phase.RUNNING, "one of two sensors alone stops nothing"


def test_a_hot_supply_unloads_at_once_and_stops_after_the_minimum_run(kit: SimpleNamespace) -> None:
    short = kit.running(running_since_utc=kit.now_utc - timedelta(seconds=600))
    for memory, phase in ((short, Phase.RUNNING), (kit.running(), Phase.STOPPING)):
        first = taken(kit, memory, kit.unit_running, supply_degc=55.5)
        assert told(first, Kind.CAPACITY_LIMIT) == [(0.3, Because.PROTECTION)]
        assert taken(kit, first.memory, kit.unit_running, supply_degc=55.5, after_s=60.0).memory.phase is phase
    view = kit.view(supply_degc=53.5)
    assert "supply_hot" in start_obstacles("hp1", kit.rested(), mode="direct", view=view, site=kit.site())
    assert "supply_hot" not in start_obstacles("hp1", kit.rested(), mode="charge", view=view, site=kit.site())


def test_a_unit_that_only_says_that_it_runs_is_a_failed_start(kit: SimpleNamespace) -> None:
    dead = replace(kit.unit_running, electric_kw=0.4, user_supply_degc=40.1, user_return_degc=40.0)
    young = kit.running(running_since_utc=kit.now_utc - timedelta(seconds=200))
    assert danger_of("hp1", young, view=kit.view(hp1=dead), site=kit.site()).stop == ""
    warm = replace(dead, user_supply_degc=44.0)
    assert danger_of("hp1", kit.running(), view=kit.view(hp1=warm), site=kit.site()).stop == "", "only its meter"
    first = taken(kit, kit.running(), dead)
    second = taken(kit, first.memory, dead, after_s=60.0)
    assert (second.memory.phase, second.memory.fault, second.memory.failures) == (Phase.STOPPING, "unit_no_ramp", 1)


@pytest.mark.parametrize(
    ("silent_s", "heated_s"), [(1800.0, 0.0), (4 * 3600.0, 4 * 3600.0), (30 * 3600.0, 12 * 3600.0)]
)
def test_after_a_long_power_cut_oil_is_heated_for_as_long_as_it_lasted(
    kit: SimpleNamespace, silent_s: float, heated_s: float
) -> None:
    site = kit.site()

    def heard(memory: UnitMemory, unit: UnitView, now_utc: datetime) -> UnitMemory:
        return hear(memory, unit=unit, now_utc=now_utc, config=site.units["hp1"], control=site.control, cut=True)

    gone = heard(kit.rested(), UnitView(), kit.now_utc)
    assert heard(gone, UnitView(), kit.now_utc + timedelta(seconds=60)) == gone
    back_utc = kit.now_utc + timedelta(seconds=silent_s)
    back = heard(gone, kit.unit_off, back_utc)
    assert back.silent_since_utc is None
    assert back.heat_until_utc == (back_utc + timedelta(seconds=heated_s) if heated_s else None)
    for after_s, cold in ((heated_s - 1.0, heated_s > 0.0), (heated_s, False)):
        view = kit.view(now_utc=back_utc + timedelta(seconds=after_s))
        assert ("oil_heating" in start_obstacles("hp1", back, mode="direct", view=view, site=site)) is cold
    assert heard(gone, kit.unit_running, back_utc).heat_until_utc is None, "it has had power all the time"


def test_a_machine_that_was_off_has_not_heard_of_its_units(kit: SimpleNamespace) -> None:
    memory = replace(kit.memory(), mark=ClockMark("this boot", 5.0, kit.now_utc))
    assert after_boot(memory, epoch="this boot") == memory, "the service alone was away: nobody cut the power"
    assert after_boot(memory, epoch="another boot").units["hp1"].silent_since_utc == kit.now_utc


def exposed(kit: SimpleNamespace, **control: float) -> SiteFile:
    pumps = {name: {"device": name, "exposed": name.startswith("ps")} for name in kit.site().pumps}
    return kit.site(pumps=pumps, control={"cycle_s": 30.0, **control})


def turns(
    kit: SimpleNamespace, site: SiteFile, *, stood_s: float, memory: ControlMemory | None = None, **view: object
) -> set[str]:
    off_utc = kit.now_utc - timedelta(seconds=stood_s)
    before = replace(memory or kit.memory(), pumps={name: PumpMemory(off_since_utc=off_utc) for name in site.pumps})
    seen = kit.view(**view)
    after = replace(before, pumps=turned(before, view=seen, site=site))
    return {command.subject for command in pump_commands(after, view=seen, site=site) if command.value == 1.0}


def test_exposed_pumps_circulate_in_frost_and_only_they(kit: SimpleNamespace) -> None:
    site = exposed(kit)
    sources = {"ps_hp1", "ps_hp2"}
    assert turns(kit, site, stood_s=3600.0, outdoor_degc=-5.0) == sources
    assert turns(kit, site, stood_s=3599.0, outdoor_degc=-5.0) == set()
    assert turns(kit, site, stood_s=3600.0, outdoor_degc=5.0) == set()
    assert turns(kit, site, stood_s=3600.0, outdoor_degc=None) == sources, "who does not know keeps water moving"
    busy = kit.memory(kit.rested(phase=Phase.PATH))
    assert turns(kit, site, stood_s=3600.0, memory=busy, outdoor_degc=-5.0) == {"ps_hp2"}
    assert turns(kit, site, stood_s=3600.0, outdoor_degc=-5.0, hp1=UnitView()) == {"ps_hp2"}, "a silent unit is left"


@pytest.mark.parametrize("phase", [Phase.OFF, Phase.TRIPPED, Phase.LOCAL])
def test_pipes_of_a_unit_that_waits_for_a_person_do_not_freeze(kit: SimpleNamespace, phase: Phase) -> None:
    state = UnitState.TRIPPED if phase is Phase.TRIPPED else UnitState.OFF
    hp1 = replace(kit.unit_off, state=state, remote=phase is not Phase.LOCAL)
    memory = kit.memory(kit.rested(phase=phase))
    exposed_on = turns(kit, exposed(kit), stood_s=7200.0, memory=memory, outdoor_degc=-12.0, hp1=hp1)
    assert "ps_hp1" in exposed_on
    near_freezing = turns(kit, exposed(kit), stood_s=60.0, memory=memory, supply_degc=4.0, hp1=hp1)
    assert "pu_hp1" in near_freezing
    # Turning against seizing can wait until nobody works on it.
    week_s = exposed(kit).control.pump_kick_every_s
    kicked = turns(kit, exposed(kit), stood_s=week_s, memory=memory, outdoor_degc=20.0, hp1=hp1)
    assert ("ps_hp1" in kicked) is (phase is not Phase.LOCAL)


def test_a_pump_whose_owner_forbids_it_is_not_turned_and_frost_is_told(kit: SimpleNamespace) -> None:
    site = exposed(kit)
    data = site.model_dump(mode="json")
    data["units"]["hp1"]["pump_owner"] = "unit"
    theirs = SiteFile.model_validate(data)
    assert turns(kit, theirs, stood_s=7200.0, outdoor_degc=-12.0) == {"ps_hp2"}
    stood = {name: PumpMemory(off_since_utc=kit.now_utc - timedelta(hours=2)) for name in ("ps_hp1", "pu_hp1")}
    memory = replace(kit.memory(), pumps=stood)
    cold = kit.view(outdoor_degc=-12.0)
    assert [(alarm.code, alarm.device) for alarm in frost_alarms(memory, view=cold, site=site)] == [
        ("frost_not_circulated", "ps_hp1")
    ]
    assert frost_alarms(memory, view=kit.view(outdoor_degc=8.0), site=site) == []
    assert frost_alarms(memory, view=kit.view(outdoor_degc=-12.0, pumps={"ps_hp1": True}), site=site) == []


def test_a_loop_near_freezing_keeps_its_pumps_moving_and_says_so(kit: SimpleNamespace) -> None:
    assert turns(kit, exposed(kit), stood_s=60.0, supply_degc=4.0) == {"pu_hp1", "pu_hp2"}
    assert [alarm.code for alarm in care_alarms(kit.view(supply_degc=4.0), site=kit.site())] == ["loop_near_freezing"]
    assert care_alarms(kit.view(), site=kit.site()) == []


def test_a_pump_that_has_stood_for_a_week_is_turned_for_a_minute(kit: SimpleNamespace) -> None:
    site = kit.site()
    week_s = site.control.pump_kick_every_s
    assert turns(kit, site, stood_s=week_s - 1.0) == set()
    assert turns(kit, site, stood_s=week_s) == set(site.pumps)
    assert turns(kit, exposed(kit, pump_kick_every_s=0.0), stood_s=week_s) == set()
    memory = replace(kit.memory(), pumps={"ps_hp1": PumpMemory(turned_since_utc=kit.now_utc)})
    for after_s, goes_on in ((59.0, True), (60.0, False)):
        view = kit.view(now_utc=kit.now_utc + timedelta(seconds=after_s), pumps={"ps_hp1": True})
        assert (turned(memory, view=view, site=site)["ps_hp1"].turned_since_utc is not None) is goes_on


@pytest.mark.parametrize(
    ("switch", "flow_m3_per_h", "proven"),
    [
        (1.0, 50.0, True),
        (1.0, 0.2, False),
        (0.0, 50.0, False),
        (0.0, None, False),
        (1.0, None, None),
        (None, 50.0, True),
        (None, None, None),
    ],
)
def test_flow_is_proven_by_switch_and_meter(
    kit: SimpleNamespace, switch: float | None, flow_m3_per_h: float | None, *, proven: bool | None
) -> None:
    site = kit.site()
    unit = site.units["hp1"].model_copy(update={"user_flow_point": "fm1.flow", "user_flow_m3_per_h_min": 30.0})
    site = site.model_copy(update={"units": {**site.units, "hp1": unit}})
    image = ProcessImage()
    for point, value in (("hp1.user_flow", switch), ("fm1.flow", flow_m3_per_h)):
        if value is not None:
            image.put([good(point, kit.now_utc, value, "")])
    assert build_view(site, image, now_utc=kit.now_utc).units["hp1"].user_flow is proven


def test_a_protective_stop_stays_protective_until_it_is_done(kit: SimpleNamespace) -> None:
    """The first write failed, or we died before it: the guard must not hold it to the minimum run."""
    memory = kit.running(running_since_utc=kit.now_utc - timedelta(seconds=60))
    cold = replace(kit.unit_running, source_inlet_degc=3.5)
    first = taken(kit, memory, cold, source_degc=3.5)
    second = taken(kit, first.memory, cold, source_degc=3.5, after_s=60.0)
    third = taken(
        kit, read_memory(write_memory(ControlMemory({"hp1": second.memory}))).units["hp1"], cold, after_s=90.0
    )
    assert third.memory.phase is Phase.STOPPING
    assert told(third, Kind.RUN_REQUEST) == [(0.0, Because.PROTECTION)]


def test_a_tripped_unit_s_exposed_pump_circulates_too(kit: SimpleNamespace) -> None:
    tripped = kit.memory(kit.rested(phase=Phase.TRIPPED))
    assert "ps_hp1" in turns(kit, exposed(kit), stood_s=3600.0, memory=tripped, outdoor_degc=-5.0)


def test_a_way_that_does_not_open_bars_the_mode_and_not_the_unit(kit: SimpleNamespace) -> None:
    memory = kit.rested(phase=Phase.PATH, mode="charge", since_utc=kit.now_utc - timedelta(seconds=200))
    charge = Want(on=True, mode="charge", setpoint_degc={"charge": 55.0})
    result = step("hp1", memory, want=charge, view=kit.view(charge_ratio=0.4), site=kit.site(), may_request=True)
    assert (result.memory.phase, result.memory.failures, result.memory.locked_out) == (Phase.OFF, 0, False)
    assert [alarm.code for alarm in result.alarms] == ["unit_way_failed"]
    for mode, barred in (("charge", True), ("direct", False)):
        found = start_obstacles("hp1", result.memory, mode=mode, view=kit.view(), site=kit.site())
        assert ("way_failed" in found) is barred
        assert "retry_later" not in found


@pytest.mark.parametrize(
    ("modes", "position_ratio", "stop"),
    [(["charge"], 0.3, "path_closed"), (["charge"], 1.0, ""), (["charge"], None, ""), (["direct", "charge"], 0.3, "")],
)
def test_a_unit_that_can_only_charge_does_not_run_into_a_shut_way(
    kit: SimpleNamespace, modes: list[str], position_ratio: float | None, stop: str
) -> None:
    data = kit.site().model_dump(mode="json")
    data["units"]["hp1"]["modes"] = modes
    site = SiteFile.model_validate(data)
    memory = kit.running("charge", running_since_utc=kit.now_utc - timedelta(minutes=10))
    view = kit.view(hp1=replace(kit.unit_running, mode_actual="charge"), charge_ratio=position_ratio)
    danger = danger_of("hp1", memory, view=view, site=site)
    assert (danger.stop, danger.at_once) == (stop, bool(stop))


def test_an_obstacle_that_shows_only_with_running_pumps_is_not_met_every_cycle(kit: SimpleNamespace) -> None:
    cold = replace(kit.unit_off, source_flow=True, user_flow=True, source_inlet_degc=4.6)
    memory = kit.rested(phase=Phase.FLOW, mode="direct", since_utc=kit.now_utc)
    given_up = taken(kit, memory, cold)
    assert (given_up.memory.phase, given_up.waiting) == (Phase.OFF, ("source_too_cold",))
    assert given_up.memory.failures == 0
    assert "retry_later" in taken(kit, given_up.memory, kit.unit_off, after_s=60.0).waiting
    early = kit.rested(phase=Phase.PATH, mode="direct", since_utc=kit.now_utc)
    assert taken(kit, early, kit.unit_off, source_degc=4.6).memory.retry_utc is None


def test_a_silent_unit_whose_meter_shows_power_had_no_power_cut(kit: SimpleNamespace) -> None:
    site = kit.site()
    memory = kit.rested()
    for hour in range(9):
        now_utc = kit.now_utc + timedelta(hours=hour)
        gone = UnitView(electric_kw=0.4)
        memory = hear(memory, unit=gone, now_utc=now_utc, config=site.units["hp1"], control=site.control, cut=True)
    back_utc = kit.now_utc + timedelta(hours=9)
    heard = hear(memory, unit=kit.unit_off, now_utc=back_utc, config=site.units["hp1"], control=site.control, cut=True)
    assert heard.heat_until_utc is None


@pytest.mark.parametrize(
    ("main_meter", "other", "likely"),
    [
        (True, False, False),  # all units silent, the main meter answers: their line is gone
        (False, False, True),  # the plant may be dark
        (True, True, True),  # only this one: its breaker may be off
    ],
)
def test_a_silent_unit_without_a_meter_waits_for_its_oil_only_if_a_power_cut_is_likely(
    kit: SimpleNamespace,
    *,
    main_meter: bool,
    other: bool,
    likely: bool,
) -> None:
    site, memory = kit.site(), kit.rested()
    for minute in range(0, 181, 15):
        now_utc = kit.now_utc + timedelta(minutes=minute)
        view = kit.view(now_utc=now_utc, hp1=UnitView(), hp2=kit.unit_off if other else UnitView())
        meter = MainMeterView(read_utc=now_utc, power_kw=20.0) if main_meter else MainMeterView()
        cut = cut_likely("hp1", replace(view, main_meter=meter))
        assert cut is likely
        memory = hear(memory, unit=UnitView(), now_utc=now_utc, config=site.units["hp1"], control=site.control, cut=cut)
    back_utc = kit.now_utc + timedelta(hours=3, minutes=1)
    heard = hear(memory, unit=kit.unit_off, now_utc=back_utc, config=site.units["hp1"], control=site.control, cut=False)
    assert (heard.heat_until_utc is not None) is likely
    assert (heard.silent_since_utc, heard.cut_since_utc, heard.cut_s) == (None, None, 0.0)


class Silence:
    """One unit that is heard every minute, or not."""

    def __init__(self, kit: SimpleNamespace) -> None:
        self.kit, self.memory, self.now_utc, self._site = kit, kit.rested(), kit.now_utc, kit.site()

    def lasts(self, unit: UnitView, *, minutes: int, cut: bool = False) -> UnitMemory:
        for _ in range(minutes):
            self.now_utc += timedelta(minutes=1)
            self.memory = hear(
                self.memory,
                unit=unit,
                now_utc=self.now_utc,
                config=self._site.units["hp1"],
                control=self._site.control,
                cut=cut,
            )
        return self.memory


def test_a_meter_that_answers_before_its_unit_ends_the_power_cut_and_does_not_undo_it(kit: SimpleNamespace) -> None:
    silence = Silence(kit)
    silence.lasts(UnitView(), minutes=241, cut=True)
    silence.lasts(UnitView(electric_kw=0.4), minutes=3, cut=True)  # oil heater and a controller that boots
    power_utc = kit.now_utc + timedelta(minutes=242)
    assert silence.lasts(kit.unit_off, minutes=1).heat_until_utc == power_utc + timedelta(minutes=241)


def test_a_unit_that_is_tripped_after_a_long_power_cut_waits_for_its_oil_as_well(kit: SimpleNamespace) -> None:
    silence = Silence(kit)
    silence.lasts(UnitView(), minutes=241, cut=True)
    tripped = replace(kit.unit_off, state=UnitState.TRIPPED)
    assert silence.lasts(tripped, minutes=1).heat_until_utc == silence.now_utc + timedelta(minutes=241)


def test_units_of_a_lost_line_that_come_back_one_after_the_other_do_not_wait(kit: SimpleNamespace) -> None:
    silence = Silence(kit)
    silence.lasts(UnitView(), minutes=2, cut=True)  # it fell silent before the others
    silence.lasts(UnitView(), minutes=300, cut=False)
    silence.lasts(UnitView(), minutes=2, cut=True)  # and they are back before it
    assert silence.lasts(kit.unit_off, minutes=1).heat_until_utc is None


def test_a_breaker_that_is_off_while_the_line_comes_and_goes_counts_in_all(kit: SimpleNamespace) -> None:
    silence = Silence(kit)
    for cut in (True, False, True):
        silence.lasts(UnitView(), minutes=40, cut=cut)
    assert silence.lasts(kit.unit_off, minutes=1).heat_until_utc == silence.now_utc + timedelta(minutes=80)


def test_a_second_power_cut_adds_to_what_was_still_to_be_heated(kit: SimpleNamespace) -> None:
    silence = Silence(kit)
    for _ in range(2):
        silence.lasts(UnitView(), minutes=240, cut=True)
        silence.lasts(kit.unit_off, minutes=60)
    back_utc = silence.now_utc - timedelta(minutes=59)
    assert silence.memory.heat_until_utc == back_utc + timedelta(minutes=240 - 60 + 240)


def test_oil_of_a_unit_that_runs_is_warm(kit: SimpleNamespace) -> None:
    for shown in (kit.unit_running, UnitView(electric_kw=110.0)):
        silence = Silence(kit)
        silence.lasts(UnitView(), minutes=240, cut=True)
        assert silence.lasts(kit.unit_off, minutes=1).heat_until_utc is not None
        silence.lasts(UnitView(), minutes=1, cut=True)
        assert silence.lasts(shown, minutes=1).heat_until_utc is None
