"""An orderly stop says what it leaves, and why that is safe."""

from types import SimpleNamespace

import pytest

from edge_agent.control.left_behind import left_behind
from edge_agent.control.memory import Phase


def test_what_runs_is_left_running_and_said(kit: SimpleNamespace) -> None:
    memory = kit.memory(kit.running("charge"), kit.rested(phase=Phase.LEAD))
    view = kit.view(hp1=kit.unit_running, pumps={"ps_hp1": True, "pu_hp1": True}, charge_ratio=1.0)
    left = {entry.subject: entry for entry in left_behind(kit.site(), memory, view)}
    assert set(left) == {"hp1", "hp2", "ps_hp1", "pu_hp1", "v_charge"}
    assert "charge, 45.0 degC" in left["hp1"].en
    assert "watchdog" in left["hp1"].en
    assert "not been asked to run" in left["hp2"].en
    assert "100% open" in left["v_charge"].en
    assert all(entry.zh and entry.en for entry in left.values())


@pytest.mark.parametrize("phase", [Phase.STOPPING, Phase.OVERRUN, Phase.OFF])
def test_a_unit_that_stops_keeps_its_flow(kit: SimpleNamespace, phase: Phase) -> None:
    memory = kit.memory(kit.running(phase=phase))
    left = {entry.subject for entry in left_behind(kit.site(), memory, kit.view(pumps={"ps_hp1": True}))}
    assert left == ({"hp1", "ps_hp1"} if phase is Phase.STOPPING else {"ps_hp1"})


def test_of_a_plant_that_stands_nothing_is_left(kit: SimpleNamespace) -> None:
    assert left_behind(kit.site(), kit.memory(), kit.view()) == ()


def test_a_unit_without_a_watchdog_is_told_apart(kit: SimpleNamespace) -> None:
    plain = kit.site()
    points = plain.units["hp1"].points.model_copy(update={"heartbeat": None})
    bare = plain.units["hp1"].model_copy(update={"points": points})
    site = plain.model_copy(update={"units": {**plain.units, "hp1": bare}})
    with_watchdog = left_behind(plain, kit.memory(kit.running()), kit.view(hp1=kit.unit_running))[0]
    without = left_behind(site, kit.memory(kit.running()), kit.view(hp1=kit.unit_running))[0]
    assert (bare.point("heartbeat") is None) is ("no watchdog" in without.en)
    assert "no watchdog" not in with_watchdog.en
