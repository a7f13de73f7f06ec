"""What is wanted of a unit and what it takes: limits, stages, contacts; what it gives, and what the guard lets pass."""

from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.sample import Sample, good
from edge_agent.control import actuation
from edge_agent.control.command import Because, Command, Kind
from edge_agent.control.guard import Allowed, judge
from edge_agent.control.memory import ControlMemory, Phase, UnitMemory, read_memory, resume, write_memory
from edge_agent.control.modes import Mode
from edge_agent.control.sequence import step
from edge_agent.control.view import PlantView, UnitState, UnitView, build_view
from edge_agent.control.want import Want
from edge_agent.image import ProcessImage
from edge_agent.plan_case import commandable_curve
from edge_agent.settings.model import PerformanceMode, SiteFile, Unit

THIRDS = [0.34, 0.67, 1.0]
CURVE = ((0.3, 46.2), (0.5, 68.2), (0.75, 97.4), (1.0, 136.4))
FIGURES = PerformanceMode(heat_kw=600.0, curve=CURVE)


def site_of(kit: SimpleNamespace, **unit: object) -> SiteFile:
    """The small site with its first unit changed, and an electricity meter at it."""
    units = {name: entry.model_dump(exclude_unset=True) for name, entry in kit.site().units.items()}
    units["hp1"] |= unit
    meters = {"electricity": "em_main", "weather": "ws1.temperature", "units": {"hp1": "em_hp1"}}
    return kit.site(units=units, meters=meters)


@pytest.fixture
def staged(kit: SimpleNamespace) -> SiteFile:
    """Three stages by a register, with a set-point of its own."""
    return site_of(kit, actuation="stages", stage_ratios=THIRDS)


@pytest.fixture
def contacts(kit: SimpleNamespace) -> SiteFile:
    """Three stages by contacts, nothing else; charging by a contact."""
    points = {
        "run_request": "io1.hp1_run",
        "charge_contact": "io1.hp1_charge",
        "stage_contacts": ["io1.hp1_stage_2", "io1.hp1_stage_3"],
        "running": "io1.hp1_running",
        "fault": None,
        "remote": None,
        "user_flow": "io1.hp1_user_flow",
        "source_flow": "io1.hp1_source_flow",
        "user_supply_temperature": "io1.hp1_leaving",
    }
    return site_of(kit, device="io1", actuation="contacts", stage_ratios=THIRDS, points=points)


def running(kit: SimpleNamespace, **changes: object) -> UnitMemory:
    memory: UnitMemory = kit.running(stages_utc=(kit.now_utc - timedelta(hours=1),), **changes)
    return memory


def told(site: SiteFile, memory: UnitMemory, view: PlantView, **wish: float | None) -> actuation.Told:
    wish = {"setpoint_degc": None, "limit_ratio": None} | wish
    return actuation.tell_load(
        "hp1", site.units["hp1"], memory, view=view, achieved={}, because=Because.PLAN, lowest_degc=40.0, **wish
    )


# ------------------------------------------------------------------------------------------------------------ mapping


def test_a_limit_is_a_register_of_a_unit_that_takes_one_and_nothing_to_another(kit: SimpleNamespace) -> None:
    site, view = kit.site(), kit.view(hp1=kit.unit_running, hp2=kit.unit_running)
    commands = told(site, kit.running(), view, setpoint_degc=46.0, limit_ratio=0.6).commands
    assert [(command.point, command.value) for command in commands] == [
        ("hp1.supply_setpoint", 46.0),
        ("hp1.capacity_limit", 0.6),
    ]
    only = actuation.tell_load(
        "hp2",
        site.units["hp2"],
        kit.running(),
        setpoint_degc=46.0,
        limit_ratio=0.6,
        view=view,
        achieved={},
        because=Because.PLAN,
        lowest_degc=40.0,
    )
    assert [command.point for command in only.commands] == ["hp2.supply_setpoint"]


@pytest.mark.parametrize(("learned", "expected"), [(None, 0.6), (1.0, 0.6), (1.05, 0.571), (2.0, 0.54), (0.5, 0.66)])
def test_a_limit_is_corrected_by_what_was_learned_and_by_no_more_than_a_tenth(
    learned: float | None, expected: float
) -> None:
    assert actuation._corrected(0.6, learned) == pytest.approx(expected, abs=1e-3)
    assert actuation._corrected(1.0, learned) == 1.0, "no limit stays no limit"
    assert actuation._corrected(0.3, learned) >= 0.3, "a unit takes no limit below its lowest load"


@pytest.mark.parametrize(("limit", "stage"), [(0.1, 1), (0.34, 1), (0.6, 1), (0.63, 2), (0.9, 2), (0.96, 3), (1.0, 3)])
def test_stages_keep_a_limit(limit: float, stage: int) -> None:
    assert actuation.stage_within(limit, tuple(THIRDS)) == stage


def test_stages_come_one_at_a_time_each_after_its_wait(kit: SimpleNamespace, staged: SiteFile) -> None:
    view = kit.view(hp1=replace(kit.unit_running, stage_commanded=1))
    memory = running(kit, stage=1)
    seen: list[tuple[float, int]] = []
    for second in range(0, 1500, 30):
        now = kit.now_utc + timedelta(seconds=second)
        result = told(staged, memory, replace(view, instant_utc=now), limit_ratio=1.0)
        if result.memory.stage != memory.stage:
            seen.append((second, result.memory.stage))
            assert [(c.point, c.value) for c in result.commands] == [("hp1.stage_request", float(result.memory.stage))]
        memory = result.memory
    assert seen == [(0, 2), (300, 3)], "stage_up_s apart"
    view = replace(view, instant_utc=now)
    memory = told(staged, memory, view, limit_ratio=0.5).memory
    assert memory.stage == 2, "and down by one"
    assert told(staged, memory, view, limit_ratio=0.5).memory.stage == 2, "not by two at once"
    later = replace(view, instant_utc=now + timedelta(seconds=180))
    assert told(staged, memory, later, limit_ratio=0.5).memory.stage == 1


def test_a_start_begins_with_the_first_stage_and_a_stop_opens_the_others(
    kit: SimpleNamespace, contacts: SiteFile
) -> None:
    lead = kit.rested(phase=Phase.LEAD, since_utc=kit.now_utc - timedelta(seconds=300), mode="direct")
    unit = replace(kit.unit_off, user_flow=True, source_flow=True, stage_commanded=1)
    view = kit.view(hp1=unit, pumps={"ps_hp1": True, "pu_hp1": True})
    taken = step("hp1", lead, want=Want(on=True, mode="direct"), view=view, site=contacts, may_request=True)
    assert taken.memory.phase is Phase.STARTING
    assert taken.memory.stage == 1
    assert [(c.point, c.value) for c in taken.commands] == [
        ("io1.hp1_charge", 0.0),
        ("io1.hp1_stage_3", 0.0),
        ("io1.hp1_stage_2", 0.0),
        ("io1.hp1_run", 1.0),
    ]
    memory = running(kit, stage=3)
    view = kit.view(hp1=replace(kit.unit_running, stage_commanded=3))
    taken = step("hp1", memory, want=Want(on=False), view=view, site=contacts, may_request=True)
    assert (taken.memory.phase, taken.memory.stage) == (Phase.STOPPING, 0)
    assert [(c.point, c.value) for c in taken.commands] == [
        ("io1.hp1_run", 0.0),
        ("io1.hp1_stage_3", 0.0),
        ("io1.hp1_stage_2", 0.0),
    ]


@pytest.mark.parametrize(
    ("leaving_degc", "expected"), [(42.0, 3), (44.5, 2), (45.0, 2), (45.5, 2), (47.5, 1), (None, 2)]
)
def test_without_a_set_point_of_its_own_the_leaving_water_chooses_the_stages(
    kit: SimpleNamespace, contacts: SiteFile, leaving_degc: float | None, expected: int
) -> None:
    view = kit.view(hp1=replace(kit.unit_running, user_supply_degc=leaving_degc, stage_commanded=2))
    first = told(contacts, running(kit, stage=2), view, setpoint_degc=45.0, limit_ratio=1.0).memory
    assert first.stage == 2, "one reading is no need"
    later = replace(view, instant_utc=kit.now_utc + timedelta(seconds=60))
    assert told(contacts, first, later, setpoint_degc=45.0, limit_ratio=1.0).memory.stage == expected


def test_for_its_protection_every_kind_is_unloaded_at_once(kit: SimpleNamespace, staged: SiteFile) -> None:
    seen = replace(kit.unit_running, user_return_degc=41.0, stage_commanded=3)
    view = kit.view(hp1=seen, hp2=seen)
    just = kit.running(stage=3, stages_utc=(kit.now_utc - timedelta(seconds=5),))

    def protects(site: SiteFile, name: str, memory: UnitMemory) -> dict[str, float]:
        result = actuation.tell_load(
            name,
            site.units[name],
            memory,
            setpoint_degc=47.0,
            limit_ratio=0.3,
            view=view,
            achieved={},
            because=Because.PROTECTION,
            lowest_degc=40.0,
        )
        for command in result.commands:
            judged = judge(command, view, memory=kit.memory(memory, memory), mode=Mode.AUTO, site=site)
            assert isinstance(judged, Allowed), command
        return {command.point: command.value for command in result.commands}

    assert protects(kit.site(), "hp1", kit.running())["hp1.capacity_limit"] == 0.3
    assert protects(kit.site(), "hp2", kit.running()) == {"hp2.supply_setpoint": 42.5}
    assert protects(staged, "hp1", just)["hp1.stage_request"] == 2.0


def test_a_unit_taken_over_goes_on_from_the_stages_that_stand(kit: SimpleNamespace, contacts: SiteFile) -> None:
    view = kit.view(hp1=replace(kit.unit_running, stage_commanded=3))
    assert told(contacts, kit.running(), view, limit_ratio=1.0).memory.stage == 3


# -------------------------------------------------------------------------------------------------------------- guard


def verdict(
    kit: SimpleNamespace, site: SiteFile, command: Command, *, memory: UnitMemory, unit: UnitView, now: datetime
) -> str:
    view = kit.view(hp1=unit, now_utc=now)
    result = judge(command, view, memory=kit.memory(memory), mode=Mode.AUTO, site=site)
    return "" if isinstance(result, Allowed) else result.code


@pytest.mark.parametrize(
    ("value", "standing", "ago_s", "state", "expected"),
    [
        (2.0, 1, 300, UnitState.RUNNING, ""),
        (2.0, 1, 290, UnitState.RUNNING, "stage_wait"),
        (3.0, 1, 900, UnitState.RUNNING, "stage_jump"),
        (2.0, 1, 900, UnitState.STARTING, "unit_not_running"),
        (2.0, None, 900, UnitState.RUNNING, "stale_inputs"),
        (1.0, 2, 180, UnitState.RUNNING, ""),
        (1.0, 2, 170, UnitState.RUNNING, "stage_wait"),
        (1.0, 0, 0, UnitState.STARTING, ""),
        (4.0, 3, 900, UnitState.RUNNING, "out_of_bounds"),
        (0.0, 1, 900, UnitState.RUNNING, "out_of_bounds"),
        (1.5, 1, 900, UnitState.RUNNING, "out_of_bounds"),
    ],
)
def test_the_guard_lets_stages_pass_one_by_one(
    kit: SimpleNamespace,
    staged: SiteFile,
    value: float,
    standing: int | None,
    ago_s: float,
    state: UnitState,
    expected: str,
) -> None:
    memory = kit.running(stage=standing or 1, stages_utc=(kit.now_utc - timedelta(seconds=ago_s),))
    unit = replace(kit.unit_running, state=state, stage_commanded=standing)
    command = Command("hp1.stage_request", value, Kind.STAGE, "hp1", Because.PLAN)
    assert verdict(kit, staged, command, memory=memory, unit=unit, now=kit.now_utc) == expected


def test_protection_and_a_stop_may_open_a_stage_at_once(kit: SimpleNamespace, contacts: SiteFile) -> None:
    unit = replace(kit.unit_running, stage_commanded=2)
    just = kit.running(stage=2, stages_utc=(kit.now_utc - timedelta(seconds=5),))
    opens = Command("io1.hp1_stage_2", 0.0, Kind.STAGE, "hp1", Because.PLAN)
    assert verdict(kit, contacts, opens, memory=just, unit=unit, now=kit.now_utc) == "stage_wait"
    protects = replace(opens, because=Because.PROTECTION)
    assert verdict(kit, contacts, protects, memory=just, unit=unit, now=kit.now_utc) == ""
    stopping = replace(just, phase=Phase.STOPPING)
    assert verdict(kit, contacts, opens, memory=stopping, unit=unit, now=kit.now_utc) == ""
    closes = Command("io1.hp1_stage_2", 1.0, Kind.STAGE, "hp1", Because.PLAN)
    off = replace(kit.unit_off, stage_commanded=1)
    assert verdict(kit, contacts, closes, memory=kit.rested(), unit=off, now=kit.now_utc) == "unit_not_running"


def test_a_unit_on_contacts_is_not_started_with_a_stage_closed(kit: SimpleNamespace, contacts: SiteFile) -> None:
    request = Command("io1.hp1_run", 1.0, Kind.RUN_REQUEST, "hp1", Because.PLAN)
    memory = kit.rested(mode="direct")
    flowing = replace(kit.unit_off, user_flow=True, source_flow=True, stage_commanded=2)

    def judged(unit: UnitView) -> object:
        view = kit.view(hp1=unit, pumps={"ps_hp1": True, "pu_hp1": True})
        return judge(request, view, memory=kit.memory(memory), mode=Mode.AUTO, site=contacts)

    assert getattr(judged(flowing), "code", "") == "stage_jump"
    assert isinstance(judged(replace(flowing, stage_commanded=1)), Allowed)


def test_a_charge_contact_is_judged_as_the_mode_that_it_is(kit: SimpleNamespace, contacts: SiteFile) -> None:
    charge = Command("io1.hp1_charge", 1.0, Kind.MODE_REQUEST, "hp1", Because.PLAN)
    memory, now = kit.running(), kit.now_utc
    assert verdict(kit, contacts, charge, memory=memory, unit=kit.unit_running, now=now) == "path_closed"
    direct = replace(charge, value=0.0)
    assert verdict(kit, contacts, direct, memory=memory, unit=kit.unit_running, now=now) == ""
    two = replace(charge, value=2.0)
    assert verdict(kit, contacts, two, memory=memory, unit=kit.unit_running, now=now) == "out_of_bounds"


FELT = st.tuples(st.sampled_from([None, 38.0, 44.0, 45.0, 46.5, 52.0]), st.sampled_from([None, 0.1, 0.5, 0.8, 1.0]))


@pytest.mark.parametrize("points", [{}, {"supply_setpoint": None}])
@pytest.mark.parametrize(("up_s", "down_s"), [(300.0, 180.0), (120.0, 0.0)])
def test_no_series_of_wishes_makes_a_stage_come_or_go_too_soon(
    kit: SimpleNamespace, points: dict[str, None], up_s: float, down_s: float
) -> None:
    """Whatever is wanted and felt: one stage at a time, waits kept, and the guard has nothing to refuse."""
    site = site_of(kit, actuation="stages", stage_ratios=THIRDS, stage_up_s=up_s, stage_down_s=down_s, points=points)

    @given(felt=st.lists(FELT, min_size=10, max_size=30))
    @settings(max_examples=40)
    def play(felt: list[tuple[float | None, float | None]]) -> None:
        memory = kit.running(running_since_utc=kit.now_utc)
        standing, changed = 1, kit.now_utc
        for cycle, (leaving_degc, limit_ratio) in enumerate(felt):
            now = kit.now_utc + timedelta(seconds=30 * cycle)
            seen = replace(kit.unit_running, state_utc=now, user_supply_degc=leaving_degc, stage_commanded=standing)
            view = kit.view(hp1=seen, now_utc=now)
            result = told(site, memory, view, setpoint_degc=45.0, limit_ratio=limit_ratio)
            memory = result.memory
            command = next(command for command in result.commands if command.kind is Kind.STAGE)
            assert isinstance(judge(command, view, memory=kit.memory(memory), mode=Mode.AUTO, site=site), Allowed)
            if command.value != standing:
                assert abs(command.value - standing) == 1
                assert (now - changed).total_seconds() >= (up_s if command.value > standing else down_s)
                standing, changed = round(command.value), now

    play()


# --------------------------------------------------------------------------------------------------------------- view


def image_of(kit: SimpleNamespace, **values: float) -> ProcessImage:
    image = ProcessImage()
    samples: list[Sample] = [good(name.replace("__", "."), kit.now_utc, value, "") for name, value in values.items()]
    image.put(samples)
    return image


@pytest.mark.parametrize(
    ("run", "shows", "state", "mode"),
    [
        (0.0, 0.0, UnitState.OFF, None),
        (1.0, 0.0, UnitState.OFF, None),
        (1.0, 1.0, UnitState.RUNNING, "charge"),
        (0.0, 1.0, UnitState.STOPPING, "charge"),
    ],
)
def test_contacts_tell_the_state(
    kit: SimpleNamespace, contacts: SiteFile, run: float, shows: float, state: UnitState, mode: str | None
) -> None:
    image = image_of(
        kit,
        io1__hp1_run=run,
        io1__hp1_running=shows,
        io1__hp1_charge=1.0,
        io1__hp1_stage_2=1.0,
        io1__hp1_stage_3=0.0,
        em_hp1__electric_power=90.0,
    )
    unit = build_view(contacts, image, now_utc=kit.now_utc).units["hp1"]
    assert (unit.state, unit.mode_request, unit.mode_actual, unit.remote) == (state, "charge", mode, True)
    assert (unit.stage_commanded, unit.electric_kw) == (2, 90.0)
    assert unit.known


@pytest.mark.parametrize(("power_kw", "state"), [(0.4, UnitState.OFF), (80.0, UnitState.RUNNING), (None, None)])
def test_the_electricity_meter_stands_in_for_a_running_contact(
    kit: SimpleNamespace, power_kw: float | None, state: UnitState | None
) -> None:
    points = {"run_request": "io1.hp1_run", "running": None, "fault": None, "remote": None}
    site = site_of(kit, device="io1", actuation="contacts", modes=["direct"], points=points)
    values = {"io1__hp1_run": 1.0} | ({} if power_kw is None else {"em_hp1__electric_power": power_kw})
    unit = build_view(site, image_of(kit, **values), now_utc=kit.now_utc).units["hp1"]
    assert unit.state is state
    assert unit.known is (state is not None)
    assert (unit.mode_request, unit.load_ratio) == ("direct", {None: None, UnitState.OFF: 0.0}.get(state, 1.0))


def test_a_fault_contact_is_a_trip_once_the_unit_stands(kit: SimpleNamespace) -> None:
    points = {"run_request": "io1.r", "running": "io1.on", "fault": "io1.fault", "remote": "io1.remote"}
    site = site_of(kit, device="io1", actuation="contacts", modes=["direct"], points=points)
    for on, expected in ((0.0, UnitState.TRIPPED), (1.0, UnitState.RUNNING)):
        image = image_of(kit, io1__r=1.0, io1__on=on, io1__fault=1.0, io1__remote=1.0)
        unit = build_view(site, image, now_utc=kit.now_utc).units["hp1"]
        assert (unit.state, unit.alarm_code, unit.remote) == (expected, 1, True)


# ----------------------------------------------------------------------------------------------------------- learning


@pytest.mark.parametrize(("electric_kw", "load"), [(136.4, 1.0), (97.4, 0.75), (46.2, 0.3), (57.2, 0.4), (152.0, 1.1)])
def test_power_tells_the_load(electric_kw: float, load: float) -> None:
    assert actuation.load_for_power(electric_kw, CURVE) == pytest.approx(load, abs=0.001)


def taught(
    site: SiteFile, memory: UnitMemory, *, given: float, told_ratio: float | None, now: datetime, hours: float = 4.0
) -> dict[str, float]:
    known: dict[str, float] = {}
    for _ in range(round(hours * 120)):
        known = dict(
            actuation.learn(
                known,
                site.units["hp1"],
                memory,
                told_ratio=told_ratio,
                given_ratio=given,
                step_s=30.0,
                now_utc=now,
            )
        )
    return known


def test_a_stage_that_never_comes_is_an_alarm_and_the_plan_counts_without_it(
    kit: SimpleNamespace, contacts: SiteFile
) -> None:
    unit, memory = contacts.units["hp1"], running(kit, stage=3)
    seen = replace(kit.unit_running, load_ratio=None, electric_kw=88.0)
    given = actuation.load_given(unit, seen, FIGURES)
    assert given == pytest.approx(0.67, abs=0.01)
    (alarm,) = actuation.stage_alarms("hp1", unit, memory, seen=seen, given_ratio=given, now_utc=kit.now_utc)
    assert (alarm.code, alarm.values["stage"]) == ("stage_not_proven", 3.0)
    assert actuation.stage_alarms("hp1", unit, memory, seen=seen, given_ratio=0.98, now_utc=kit.now_utc) == ()
    feedback = replace(seen, stage=3)
    assert actuation.stage_alarms("hp1", unit, memory, seen=feedback, given_ratio=0.2, now_utc=kit.now_utc) == ()
    assert given is not None
    known = taught(contacts, memory, given=given, told_ratio=1.0, now=kit.now_utc)
    assert known == {"direct/3": pytest.approx(0.67, abs=0.01)}
    planned = commandable_curve(unit, CURVE, mode="direct", achieved=[known])
    assert planned[-1][0] == pytest.approx(0.67, abs=0.01)
    kept = read_memory(write_memory(ControlMemory(achieved={"hp1": known})))
    assert resume(kept, now_utc=kit.now_utc).achieved == {"hp1": known}


def test_one_wild_reading_moves_nothing(kit: SimpleNamespace, contacts: SiteFile) -> None:
    memory = running(kit, stage=2)
    known = {"direct/2": 0.67}
    unit = contacts.units["hp1"]
    after = actuation.learn(known, unit, memory, told_ratio=1.0, given_ratio=40.0, step_s=30.0, now_utc=kit.now_utc)
    assert after["direct/2"] == pytest.approx(0.67, abs=0.004)


@given(given_ratio=st.floats(0.0, 50.0), told_ratio=st.floats(0.01, 1.0))
def test_what_is_learned_stays_within_bounds(kit: SimpleNamespace, given_ratio: float, told_ratio: float) -> None:
    known = taught(kit.site(), kit.running(), given=given_ratio, told_ratio=told_ratio, now=kit.now_utc, hours=1.0)
    assert all(actuation.ACHIEVED_MIN <= value <= actuation.ACHIEVED_MAX for value in known.values())


def test_nothing_is_learned_from_a_unit_that_has_not_settled(kit: SimpleNamespace, contacts: SiteFile) -> None:
    fresh = running(kit, stage=2, mode_since_utc=kit.now_utc - timedelta(seconds=60))
    assert taught(contacts, fresh, given=0.3, told_ratio=1.0, now=kit.now_utc, hours=0.1) == {}
    assert taught(kit.site(), kit.running(), given=0.9, told_ratio=1.0, now=kit.now_utc) == {}, "no part load was told"
    assert taught(kit.site(), kit.running(), given=0.45, told_ratio=0.5, now=kit.now_utc) == {
        "direct": pytest.approx(0.9, abs=0.01)
    }


# ------------------------------------------------------------------------------------------------------- for the plan


def unit_of(kit: SimpleNamespace, **changes: object) -> Unit:
    return site_of(kit, **changes).units["hp1"]


def test_the_plan_may_ask_for_what_a_unit_can_be_told(kit: SimpleNamespace) -> None:
    def loads(**changes: object) -> list[float]:
        return [load for load, _ in commandable_curve(unit_of(kit, **changes), CURVE, mode="direct")]

    assert loads() == loads(actuation="supply_setpoint") == [0.3, 0.5, 0.75, 1.0]
    assert loads(actuation="stages", stage_ratios=THIRDS) == THIRDS
    assert loads(actuation="contacts", points={"run_request": "io1.r"}) == [1.0]
    powers = [kw for _, kw in commandable_curve(unit_of(kit, actuation="contacts"), CURVE, mode="direct")]
    assert powers == [136.4]
