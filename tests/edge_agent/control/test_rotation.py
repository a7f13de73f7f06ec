"""Rotation: whoever runs goes on, the one with the fewest hours starts, and equal units do not change places."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.control.memory import ASKED, Phase, UnitMemory
from edge_agent.control.rotation import identical_groups, rotate

ALL = ["a", "b", "c"]


def hours(kit: SimpleNamespace, run_h: float, phase: Phase = Phase.OFF, mode: str | None = None) -> UnitMemory:
    return UnitMemory(phase=phase, since_utc=kit.now_utc, mode=mode, run_s=run_h * 3600.0)


def doing(
    kit: SimpleNamespace,
    planned: dict[str, str | None],
    memories: dict[str, UnitMemory],
    *,
    barred: frozenset[str] = frozenset(),
) -> dict[str, str | None]:
    """What each unit does after rotation."""
    taken = rotate(
        [ALL],
        planned,
        memories=memories,
        may_start=lambda name, _: name not in barred,
        now_utc=kit.now_utc,
        rotate_h=50.0,
    )
    return {name: planned[taken[name]] for name in planned}


def test_the_fewest_hours_start_once_the_difference_is_worth_it(kit: SimpleNamespace) -> None:
    planned = {"a": "direct", "b": None, "c": None}
    near = {"a": hours(kit, 149.0), "b": hours(kit, 100.0), "c": hours(kit, 120.0)}
    assert doing(kit, planned, near) == planned
    far = {**near, "a": hours(kit, 150.0)}
    assert doing(kit, planned, far) == {"a": None, "b": "direct", "c": None}
    assert doing(kit, planned, far, barred=frozenset({"b"})) == planned, "c is not far enough behind"
    assert doing(kit, planned, near, barred=frozenset({"a"})) == {"a": None, "b": "direct", "c": None}


@pytest.mark.parametrize("phase", [Phase.PATH, Phase.LEAD, Phase.STARTING, Phase.RUNNING])
def test_who_has_been_chosen_goes_on(kit: SimpleNamespace, phase: Phase) -> None:
    """The plan still names the other one: it is not started beside, and the chosen one is not stopped."""
    planned = {"a": "direct", "b": None, "c": None}
    memories = {"a": hours(kit, 150.0), "b": hours(kit, 100.0, phase, "direct"), "c": hours(kit, 90.0)}
    assert doing(kit, planned, memories) == {"a": None, "b": "direct", "c": None}


def test_who_runs_by_the_plan_is_not_replaced_by_one_with_fewer_hours(kit: SimpleNamespace) -> None:
    planned = {"a": "direct", "b": None, "c": "charge"}
    memories = {"a": hours(kit, 900.0, Phase.RUNNING, "direct"), "b": hours(kit, 1.0), "c": hours(kit, 30.0)}
    assert doing(kit, planned, memories) == planned


def test_a_unit_that_is_not_ours_neither_gives_nor_takes(kit: SimpleNamespace) -> None:
    planned = {"a": "direct", "b": None, "c": None}
    for phase in (Phase.LOCAL, Phase.TRIPPED, Phase.UNKNOWN):
        memories = {"a": hours(kit, 150.0), "b": hours(kit, 1.0, phase), "c": hours(kit, 2.0)}
        assert doing(kit, planned, memories) == {"a": None, "b": None, "c": "direct"}


MODES = st.sampled_from([None, "direct", "charge"])
MEMORIES = st.builds(
    UnitMemory, phase=st.sampled_from(Phase), mode=MODES, run_s=st.floats(0.0, 1e7), failures=st.integers(0, 2)
)


@given(
    planned=st.fixed_dictionaries(dict.fromkeys(ALL, MODES)),
    memories=st.fixed_dictionaries(dict.fromkeys(ALL, MEMORIES)),
    barred=st.frozensets(st.sampled_from(ALL)),
)
def test_duties_only_change_hands(
    kit: SimpleNamespace,
    planned: dict[str, str | None],
    memories: dict[str, UnitMemory],
    barred: frozenset[str],
) -> None:
    done = doing(kit, planned, memories, barred=barred)
    assert sorted(map(str, done.values())) == sorted(map(str, planned.values()))
    for name in ALL:
        kept = memories[name].phase in ASKED and planned[name] is not None
        assert not kept or done[name] == planned[name], "nobody who runs by the plan is stopped for another"


def test_running_hours_are_counted_over_the_present_run(kit: SimpleNamespace) -> None:
    memory = UnitMemory(run_s=7200.0, running_since_utc=kit.now_utc - timedelta(hours=3))
    assert memory.run_h(kit.now_utc) == 5.0


def test_twins_are_found_by_the_site_file(kit: SimpleNamespace) -> None:
    units = dict(kit.site().units)
    assert identical_groups(units) == []
    units["hp2"] = units["hp2"].model_copy(update={"identical_to": "hp1"})
    assert identical_groups(units) == [["hp1", "hp2"]]
