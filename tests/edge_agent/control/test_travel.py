"""A valve that does not follow is found whatever its commands do; one that is only slow, coarse or late never is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.control.command import Command, Kind, Outcome, Verdict
from edge_agent.control.memory import ControlMemory, ValveMemory, read_memory, write_memory
from edge_agent.control.travel import APART_RATIO, TOLD_MAX, Travel, note_commands, read, stuck, told, watch_valves
from edge_agent.control.view import PlantView, ValveView
from edge_agent.settings.model import SiteFile

BEGIN_UTC = datetime(2026, 1, 12, tzinfo=UTC)
GIVEN = Travel(travel_s=60.0, margin_s=30.0)
CYCLE_S = 10
POINT = Command("io1.v_discharge", 0.5, Kind.DISCHARGE_VALVE, "v_discharge")


def at(second: float) -> datetime:
    return BEGIN_UTC + timedelta(seconds=second)


@dataclass
class Drive:
    """A valve's drive: acts late, at its own speed, and rests within its dead band."""

    position_ratio: float
    travel_s: float = 60.0
    delay_s: int = 0
    deadband_ratio: float = 0.0
    told: list[float] = field(default_factory=list)

    def second(self, commanded_ratio: float) -> None:
        self.told.append(commanded_ratio)
        target = self.told[max(0, len(self.told) - 1 - self.delay_s)]
        missing = target - self.position_ratio
        if abs(missing) > self.deadband_ratio:
            self.position_ratio += max(-1.0 / self.travel_s, min(1.0 / self.travel_s, missing))


def follow(
    drive: Drive, commands: Sequence[tuple[int, float]], *, every_s: int = 15, errors: Sequence[float] = (0.0,)
) -> list[tuple[int, bool, bool]]:
    """Lets a drive follow (seconds, ratio) commands; of each reading: second, late, stuck."""
    memory = told(ValveMemory(), commands[0][1], from_utc=at(0), until_utc=at(0))
    found: list[tuple[int, bool, bool]] = []
    second = 0
    for lasts_s, ratio in commands:
        if second:
            memory = told(memory, ratio, from_utc=at(second), until_utc=at(second + 1))
        for _ in range(lasts_s):
            drive.second(ratio)
            second += 1
            if second % every_s == 0:
                shown = drive.position_ratio + errors[len(found) % len(errors)]
                memory = read(memory, shown, read_utc=at(second), given=GIVEN)
                found.append((second, memory.late_utc is not None, stuck(memory, given=GIVEN)))
    return found


commanded = st.lists(st.tuples(st.integers(1, 40), st.floats(0.0, 1.0)), min_size=1, max_size=25)


@given(
    commands=commanded,
    drive=st.builds(
        Drive,
        position_ratio=st.floats(0.0, 1.0),
        travel_s=st.floats(1.0, 60.0),
        delay_s=st.integers(0, 29),
        deadband_ratio=st.floats(0.0, 0.049),
    ),
    every_s=st.integers(1, 40),
    errors=st.lists(st.floats(-0.049, 0.049), min_size=1, max_size=5),
)
def test_a_healthy_valve_is_never_late_whatever_it_is_told(
    commands: list[tuple[int, float]], drive: Drive, every_s: int, errors: list[float]
) -> None:
    assert not any(late for _, late, _ in follow(drive, commands, every_s=every_s, errors=errors))


@given(commands=commanded, begins=st.floats(0.0, 1.0), slower=st.floats(1.0, 3.0), every_s=st.integers(1, 40))
def test_a_valve_that_is_only_up_to_three_times_too_slow_is_not_stuck(
    commands: list[tuple[int, float]], begins: float, slower: float, every_s: int
) -> None:
    drive = Drive(begins, travel_s=slower * GIVEN.travel_s)
    assert not any(is_stuck for _, _, is_stuck in follow(drive, commands, every_s=every_s))


@given(
    stands=st.floats(0.0, 1.0),
    above=st.booleans(),
    commands=st.lists(st.tuples(st.integers(1, 40), st.floats(0.0, 1.0)), min_size=30, max_size=40),
    every_s=st.integers(1, 40),
)
def test_a_stuck_valve_is_always_found_though_no_command_stands(
    *, stands: float, above: bool, commands: list[tuple[int, float]], every_s: int
) -> None:
    apart = APART_RATIO + 0.001
    room = 1.0 - apart - stands if above else stands - apart
    if room < 0.0:
        above, room = not above, 1.0 - apart - (stands if not above else 1.0 - stands)
    edge = stands + apart if above else stands - apart
    moving = [(lasts_s, edge + (1.0 if above else -1.0) * room * share) for lasts_s, share in commands]
    # Dead time, the whole stroke, being late for long enough, and three readings between.
    bound_s = 2 * GIVEN.margin_s + 2 * GIVEN.travel_s + 3 * every_s + 1
    moving.append((round(bound_s), edge))
    found = follow(Drive(stands, travel_s=1e9), moving, every_s=every_s)
    assert all(is_stuck for second, _, is_stuck in found if second >= bound_s)


def test_a_stuck_valve_is_found_between_commands_of_both_sides() -> None:
    swings = [(60, 0.95), (60, 0.25)] * 4
    assert any(is_stuck for _, _, is_stuck in follow(Drive(0.6, travel_s=1e9), swings))


def test_it_is_over_as_soon_as_the_valve_comes_nearer_and_not_before() -> None:
    drive = Drive(0.6, travel_s=1e9)
    before = follow(drive, [(300, 1.0)])
    assert before[-1][2]
    memory = told(ValveMemory(), 1.0, from_utc=at(0), until_utc=at(0))
    seconds = range(15, 301, 15)
    for second in seconds:
        memory = read(memory, 0.6, read_utc=at(second), given=GIVEN)
    assert stuck(memory, given=GIVEN)
    assert stuck(read(memory, 0.5, read_utc=at(330), given=GIVEN), given=GIVEN), "it goes the wrong way"
    assert not stuck(read(memory, 0.7, read_utc=at(330), given=GIVEN), given=GIVEN)


def test_one_reading_that_is_wrong_is_no_valve_that_sticks() -> None:
    memory = told(ValveMemory(), 0.8, from_utc=at(0), until_utc=at(0))
    for second in range(15, 900, 15):
        shown = 0.0 if second in (300, 600) else 0.8
        memory = read(memory, shown, read_utc=at(second), given=GIVEN)
        assert not stuck(memory, given=GIVEN)


# --------------------------------------------------------------------------------------------------------- in a plant


def outcome(value: float, verdict: Verdict = Verdict.VERIFIED) -> Outcome:
    return Outcome(replace(POINT, value=value), BEGIN_UTC, verdict)


def seen(kit: SimpleNamespace, second: float, position: float | None, register: float | None) -> PlantView:
    view: PlantView = kit.view(now_utc=kit.now_utc + timedelta(seconds=second))
    valve = ValveView(position, register, None if position is None else view.instant_utc - timedelta(seconds=1))
    return replace(view, valves={**view.valves, "v_discharge": valve})


def cycles(
    kit: SimpleNamespace, told_ratios: Sequence[float], *, position: float | None = 0.6, shown: float | None = None
) -> tuple[Mapping[str, ValveMemory], list[str]]:
    """One command a cycle of 30 s, a valve that stays; its memory, and the alarms of the last cycle."""
    valves: Mapping[str, ValveMemory] = {}
    codes: list[str] = []
    for place, ratio in enumerate(told_ratios):
        view = seen(kit, 30.0 * place, position, ratio if shown is None else shown)
        register = ratio if shown is None else shown
        found = watch_valves(
            valves,
            standing=lambda _point, shown=register: shown,
            ours=True,
            view=view,
            site=kit.site(),  # type: ignore[misc]
        )
        valves, codes = found.memory, [alarm.code for alarm in found.alarms]
        changed = place == 0 or ratio != told_ratios[place - 1]
        valves = note_commands(
            valves,
            [replace(POINT, value=ratio)],
            [outcome(ratio)] if changed else [],
            standing=lambda _point, ratio=ratio: ratio if shown is None else shown,  # type: ignore[misc]
            view=view,
            present_utc=view.instant_utc,
            site=kit.site(),
        )
    return valves, codes


CREEP = [0.72 + 0.01 * place for place in range(14)]


def test_a_modulating_valve_that_sticks_is_named_though_each_cycle_has_another_command(kit: SimpleNamespace) -> None:
    assert cycles(kit, CREEP)[1] == ["valve_stuck"]
    assert cycles(kit, [0.6 + 0.005 * (place % 8) for place in range(40)])[1] == [], "it stands where it is told to"


def without_feedback(kit: SimpleNamespace) -> SiteFile:
    valves = {name: valve.model_copy(update={"feedback": None}) for name, valve in kit.site().valves.items()}
    site: SiteFile = kit.site(valves=valves)
    return site


def test_without_feedback_no_valve_is_called_stuck(kit: SimpleNamespace) -> None:
    site = without_feedback(kit)
    blind = SimpleNamespace(now_utc=kit.now_utc, view=kit.view, site=lambda: site)
    assert cycles(blind, CREEP)[1] == []


@pytest.mark.parametrize("ours", [True, False])
def test_without_feedback_a_valve_stands_as_told_only_after_its_time(kit: SimpleNamespace, *, ours: bool) -> None:
    site, valves = without_feedback(kit), dict[str, ValveMemory]()
    shown: list[float | None] = []
    for place in range(14):
        ratio = 0.0 if place < 7 else 1.0
        found = watch_valves(
            valves,
            standing=lambda point, ratio=ratio: ratio if point == "io1.v_charge" else 0.0,  # type: ignore[misc]
            ours=ours,
            view=kit.view(now_utc=kit.now_utc + timedelta(seconds=30 * place), charge_ratio=ratio),
            site=site,
        )
        valves = dict(found.memory)
        shown.append(found.view.valves["v_charge"].position_ratio)
    # 90 s of travel and 30 s of margin, in cycles of 30 s.
    assert shown == [None] * 4 + [0.0] * 3 + [None] * 4 + [1.0] * 3


def test_a_valve_that_stands_as_told_is_followed_from_the_first_wish_on(kit: SimpleNamespace) -> None:
    unwritten = [1.0] * 12
    view = seen(kit, 0.0, 0.6, 1.0)
    first = note_commands(
        {},
        [replace(POINT, value=1.0)],
        [],
        standing=lambda _point: 1.0,
        view=view,
        present_utc=view.instant_utc,
        site=kit.site(),
    )
    assert first["v_discharge"].told[-1].ratio == 1.0
    assert cycles(kit, unwritten)[1] == ["valve_stuck"]


@pytest.mark.parametrize("doubt", ["unverified", "silent", "foreign"])
def test_what_may_have_moved_the_valve_begins_anew(kit: SimpleNamespace, doubt: str) -> None:
    valves, _ = cycles(kit, CREEP)
    assert valves["v_discharge"].late_utc is not None
    view = seen(kit, 450.0, 0.6, None if doubt == "silent" else CREEP[-1])
    after = note_commands(
        valves,
        [replace(POINT, value=CREEP[-1])],
        [outcome(CREEP[-1], Verdict.UNVERIFIED)] if doubt == "unverified" else [],
        standing=lambda _point: 0.0 if doubt == "foreign" else CREEP[-1],
        view=view,
        present_utc=view.instant_utc,
        site=kit.site(),
    )
    assert after.get("v_discharge", ValveMemory()).late_utc is None


def test_commands_of_a_valve_that_nobody_reads_are_not_kept_for_ever(kit: SimpleNamespace) -> None:
    valves: dict[str, ValveMemory] = {}
    for number in range(3 * TOLD_MAX):
        ratio = 0.3 + 0.4 * (number % 2)
        view = seen(kit, 10.0 * number, None, ratio)
        valves = note_commands(
            valves,
            [replace(POINT, value=ratio)],
            [outcome(ratio, Verdict.VERIFIED)],
            standing=lambda _point, stood=ratio: stood,
            view=view,
            present_utc=view.instant_utc,
            site=kit.site(),
        )
    assert 1 <= len(valves["v_discharge"].told) <= TOLD_MAX + 2


def test_it_is_kept_with_the_memory(kit: SimpleNamespace) -> None:
    memory = ControlMemory(valves=cycles(kit, CREEP)[0])
    assert read_memory(write_memory(memory)).valves == memory.valves
