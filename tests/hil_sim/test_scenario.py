"""Scenarios: every shipped file is read and used; a file that breaks a rule is refused with the place of the fault."""

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from hil_sim.scenario import Bound, ScenarioFault, load, names, parse

BEIJING = ZoneInfo("Asia/Shanghai")


def minimal() -> dict[str, Any]:
    return {
        "title": {"zh": "一天", "en": "a day"},
        "plant": "ground-office",
        "starts": "2027-01-13T00:00",
        "days": 1,
        "seed": 7,
        "period_s": 30,
        "speed_max": 240,
        "events": [],
    }


@pytest.mark.parametrize("name", names())
def test_every_shipped_scenario_can_be_played(name: str) -> None:
    scenario = load(name)
    assert scenario.name == name
    assert scenario.starts.tzinfo is None
    assert scenario.end_s(BEIJING) - scenario.start_s(BEIJING) == pytest.approx(scenario.days * 86_400.0)
    instants_s = [event.at_s for event in scenario.events(BEIJING)]
    assert instants_s == sorted(instants_s)
    assert all(scenario.start_s(BEIJING) <= at_s < scenario.end_s(BEIJING) for at_s in instants_s)


def test_the_winter_day_is_a_working_day_in_january_that_starts_at_midnight_in_beijing() -> None:
    scenario = load("winter-day")
    assert (scenario.starts.month, scenario.starts.hour, scenario.starts.minute) == (1, 0, 0)
    assert scenario.starts.weekday() < 5
    assert scenario.start_s(BEIJING) % 86_400.0 == 16 * 3600.0  # midnight there is 16:00 UTC
    assert scenario.events(BEIJING) == ()


def test_the_seed_draws_three_kills_and_draws_them_again() -> None:
    scenario = load("winter-day-kills")
    events = scenario.events(BEIJING)
    assert [event.what for event in events] == ["kill_agent"] * 3
    assert scenario.events(BEIJING) == events
    assert scenario.changed(seed=2).events(BEIJING) != events
    first_s = scenario.start_s(BEIJING)
    assert all(first_s + 3600.0 <= event.at_s <= first_s + 23 * 3600.0 for event in events)


def test_a_shorter_run_keeps_its_random_events_inside_and_drops_the_late_fixed_ones() -> None:
    data = minimal() | {"events": [{"what": "kill_agent", "at": "1+00:30"}, {"what": "kill_agent", "at": "00:30"}]}
    scenario = parse(data, name="x").changed(days=0.25)
    assert [event.at_s - scenario.start_s(BEIJING) for event in scenario.events(BEIJING)] == [1800.0]
    kills = load("winter-day-kills").changed(days=0.25)
    assert len(kills.events(BEIJING)) == 3
    assert all(event.at_s < kills.end_s(BEIJING) for event in kills.events(BEIJING))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"spead_max": 3}, "unknown key: spead_max"),
        ({"days": 0}, "days: 0 is not above 0"),
        ({"days": True}, "days: True is not a number"),
        ({"seed": "1"}, "seed: '1' is not a number"),
        ({"starts": "2027-01-13 00:00"}, "is not YYYY-MM-DDTHH:MM"),
        ({"starts": "2027-02-30T00:00"}, "is not YYYY-MM-DDTHH:MM"),
        ({"title": {"zh": "一天"}}, "title: missing: en"),
        ({"events": [{"what": "earthquake", "at": "01:00"}]}, r"events\[0\].what: 'earthquake'"),
        ({"events": [{"what": "kill_agent"}]}, "either `at`, or `count` with `between`"),
        ({"events": [{"what": "kill_agent", "at": "25:00"}]}, 'is not "HH:MM"'),
        ({"events": [{"what": "kill_agent", "at": "24:30"}]}, 'is not "HH:MM"'),
        ({"events": [{"what": "kill_agent", "count": 3, "between": ["01:00"]}]}, "two clock times"),
        ({"seconds": 60}, r"days \(or seconds, and not both\)"),
        ({"start_mode": "manual"}, "start_mode: 'manual'"),
        ({"wires": {"line_1": 3}}, "wires.line_1"),
        ({"settings": []}, "settings"),
        ({"events": [{"what": "kill_agent", "at": "01:00", "lasts_s": 5}]}, "kill_agent happens at once"),
        ({"events": [{"what": "mute", "at": "01:00", "lasts_s": 0}]}, "lasts_s: 0 is not above 0"),
        ({"expect": {"cost_cny": {}}}, "expect.cost_cny: needs min or max"),
        ({"expect": {"cost_cny": {"least": 1}}}, "unknown key: least"),
    ],
)
def test_a_faulty_scenario_is_refused_with_its_place(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ScenarioFault, match=words):
        parse(minimal() | change, name="x")


def test_a_missing_key_is_named() -> None:
    data = minimal()
    del data["plant"]
    with pytest.raises(ScenarioFault, match="missing: plant"):
        parse(data, name="x")


def test_files_that_are_no_scenario(tmp_path: Path) -> None:
    with pytest.raises(ScenarioFault, match="no scenario 'winter'"):
        load("winter", tmp_path)
    for number, text in enumerate(["", "- 1\n", "title: {zh: [\n", "seed: 1\nseed: 2\n", "!!python/object:x {}\n"]):
        (tmp_path / f"s{number}.yaml").write_text(text, encoding="utf-8")
        with pytest.raises(ScenarioFault):
            load(f"s{number}", tmp_path)
    (tmp_path / "gbk.yaml").write_bytes("title: {zh: 一天}".encode("gbk"))
    with pytest.raises(ScenarioFault):
        load("gbk", tmp_path)


def test_expectations_judge_numbers_and_lists_but_not_what_a_run_cannot_know() -> None:
    scenario = parse(
        minimal() | {"expect": {"samples_lost": {"max": 0}, "ratio": {"min": 0.7}, "violations": {"max": 0}}}, name="x"
    )
    assert scenario.missed({"samples_lost": 0, "ratio": 0.71, "violations": []}) == []
    assert scenario.missed({"samples_lost": 0, "ratio": None, "violations": []}) == []
    assert scenario.missed({"samples_lost": 0, "violations": []}) == ["ratio: no such figure"]
    missed = scenario.missed({"samples_lost": 1, "ratio": 0.69, "violations": ["x"]})
    assert [text.split(" ")[0] for text in missed] == ["samples_lost", "ratio", "violations"]
    assert Bound(minimum=0.0, maximum=1.0).broken_by(float("nan"))


def test_seconds_and_lasting_faults_of_a_bench() -> None:
    data = minimal() | {
        "seconds": 90,
        "events": [{"what": "mute", "at": "00:00:12", "lasts_s": 25, "args": {"device": "em1"}}],
        "wires": {"line_1": {"strict": True}},
    }
    del data["days"]
    scenario = parse(data, name="x")
    start_s = scenario.start_s(BEIJING)
    assert scenario.end_s(BEIJING) - start_s == pytest.approx(90.0)
    (event,) = scenario.events(BEIJING)
    assert (event.at_s - start_s, event.lasts_s, event.args) == (12.0, 25.0, {"device": "em1"})
    assert scenario.wires == {"line_1": {"strict": True}}


def test_faults_of_the_plant_and_alarms_are_read() -> None:
    data = minimal() | {
        "events": [
            {"what": "plant_fault", "at": "01:00", "lasts_s": 600, "args": {"kind": "unit_trip", "unit": "running"}},
            {"what": "clock_jump", "at": "02:00", "lasts_s": 600, "args": {"by_s": -3600}},
            {"what": "order", "at": "03:00", "args": {"argv": ["mode", "monitor"]}},
        ],
        "alarms": ["unit_tripped", "unit_local | unit_locked_out"],
    }
    scenario = parse(data, name="x")
    assert scenario.alarms == (("unit_tripped",), ("unit_local", "unit_locked_out"))
    assert [event.lasts_s for event in scenario.events(BEIJING)][:2] == [600.0, 600.0]
    assert scenario.missed({"alarms_seen": ["unit_tripped hp1", "unit_locked_out hp2"]}) == []
    assert scenario.missed({"alarms_seen": ["unit_tripped_twice hp1"]}) == [
        "no alarm unit_tripped",
        "no alarm unit_local | unit_locked_out",
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"events": [{"what": "plant_fault", "at": "01:00", "args": {"kind": "flood"}}]}, "kind: 'flood'"),
        ({"events": [{"what": "order", "at": "01:00", "lasts_s": 5}]}, "order happens at once"),
        ({"alarms": "unit_tripped"}, "alarms: a list is needed"),
        ({"alarms": [3]}, "3 is not a text"),
    ],
)
def test_a_wrong_plant_fault_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ScenarioFault, match=words):
        parse(minimal() | change, name="x")


def test_a_figure_of_a_group_is_bound() -> None:
    scenario = parse(minimal() | {"expect": {"starts.hp1": {"max": 0}, "starts.hp9": {"max": 0}}}, name="x")
    assert scenario.missed({"starts": {"hp1": 2, "hp2": 5}}) == [
        "starts.hp9: no such figure",
        "starts.hp1 = 2 (expected -inf .. 0)",
    ]
