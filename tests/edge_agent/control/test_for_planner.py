"""What the planner is told of units: what control may count on, and what they do all the same."""

from dataclasses import replace
from types import SimpleNamespace

from edge_agent.control.for_planner import unit_states
from edge_agent.control.memory import ControlMemory, Phase, UnitMemory
from edge_agent.control.view import UnitState, UnitView


def test_a_unit_on_its_own_panel_may_not_be_planned_and_is_seen_to_run(kit: SimpleNamespace) -> None:
    local = replace(kit.unit_running, remote=False)
    view = kit.view(hp1=local, hp2=kit.unit_running)
    memory = ControlMemory(
        units={"hp1": UnitMemory(phase=Phase.LOCAL), "hp2": UnitMemory(phase=Phase.RUNNING, mode="direct")}
    )
    told = unit_states(kit.site(), memory, view, now_utc=kit.now_utc)
    assert (told["hp1"].available, told["hp1"].on) == (False, False)
    assert (told["hp2"].available, told["hp2"].on) == (True, True)
    for now in told.values():
        assert (now.seen_on, now.seen_mode, now.load_ratio, now.electric_kw) == (True, "direct", 0.8, 110.0)


def test_what_is_not_seen_is_not_known(kit: SimpleNamespace) -> None:
    silent = kit.view(hp1=UnitView(), hp2=replace(kit.unit_off, state=UnitState.STARTING))
    for view, seen in ((silent, (None, False)), (None, (None, None))):
        told = unit_states(kit.site(), ControlMemory(), view, now_utc=kit.now_utc)
        assert (told["hp1"].seen_on, told["hp2"].seen_on) == seen
        assert told["hp1"].electric_kw is None
