"""Faults on a bench's wires: each begins, shows, and ends without a trace. The agent is not needed for that."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.clock import elapsed_s
from hil_sim.bench import BENCHES, Bench
from hil_sim.devices.tcp import TcpFaults, id_zero
from hil_sim.faults import FAULTS, FaultArgumentsWrong, begin
from hil_sim.line import with_crc
from hil_sim.scenario import FAULT_KINDS, Event, load, names
from hil_sim.site import ZONE, SiteFault
from hil_sim.wire_faults import WireFaults

FRAME = with_crc(bytes((12, 4, 4, 1, 2, 3, 4)))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    found = Bench(load("bus-05-dead-unit"), folder=tmp_path, wall_s=elapsed_s)
    yield found
    found.close()


def event(what: str, **args: object) -> Event:
    return Event(0.0, what, args)


def test_every_kind_that_a_scenario_may_name_can_happen() -> None:
    assert set(FAULTS) == FAULT_KINDS


def test_a_muted_device_is_muted_for_as_long_as_it_lasts(bench: Bench) -> None:
    running = begin(event("mute", device="em2"), bench, seed=1)
    assert running.touched == {"em2"}
    assert bench.devices["em2"].muted
    assert not bench.devices["em1"].muted
    running.end()
    assert not bench.devices["em2"].muted


def test_a_bus_means_all_that_hang_on_it(bench: Bench) -> None:
    running = begin(event("mute", bus="line_2"), bench, seed=1)
    assert running.touched == {"em3", "tt2", "ws1"}
    running.end()
    assert not any(device.muted for device in bench.devices.values())


@pytest.mark.parametrize("kind", ["garbage", "adversary"])
def test_a_wire_fault_hits_only_its_device_repeats_by_its_seed_and_goes(bench: Bench, kind: str) -> None:
    line = bench.lines["line_1"]
    seen = []
    for _ in range(2):
        running = begin(event(kind, device="em2", every=2), bench, seed=7)
        assert line.disturbance is not None
        assert line.disturbance("em1", FRAME) == FRAME
        seen.append([line.disturbance("em2", FRAME) for _ in range(50)])
        running.end()
        assert line.disturbance is None
    assert seen[0] == seen[1]
    assert 10 < sum(frame != FRAME for frame in seen[0]) < 45


def test_two_wire_faults_at_once_both_work_and_both_go(bench: Bench) -> None:
    first = begin(event("garbage", device="em1", every=1), bench, seed=1)
    second = begin(event("adversary", device="em2", every=1), bench, seed=1)
    disturb = bench.lines["line_1"].disturbance
    assert disturb is not None
    assert disturb("em1", FRAME) != FRAME
    assert disturb("em2", FRAME) != FRAME
    assert disturb("tt1", FRAME) == FRAME
    second.end()
    first.end()
    assert bench.lines["line_1"].disturbance is None


def test_line_faults_are_set_for_the_units_that_are_hit_and_taken_back(bench: Bench) -> None:
    line = bench.lines["line_1"]
    running = begin(event("line_fault", devices=["em2", "tt1"], late_every=5, late_s=0.4), bench, seed=1)
    assert line.faults == WireFaults(units=frozenset({12, 21}), late_every=5, late_s=0.4)
    running.end()
    assert line.faults == WireFaults()


def test_tcp_faults_are_set_and_taken_back(bench: Bench) -> None:
    net = bench.nets["net"]
    running = begin(event("tcp_fault", bus="net", change_id="zero", behind=3), bench, seed=1)
    assert running.touched == {"hp1", "hp2", "em4", "io1"}
    assert (net.faults.behind, net.faults.change_id) == (3, id_zero)
    running.end()
    assert net.faults == TcpFaults()
    with pytest.raises(FaultArgumentsWrong, match="change_id: 'odd'"):
        begin(event("tcp_fault", bus="net", change_id="odd"), bench, seed=1)


def test_a_stranger_takes_the_only_place_and_leaves_it(bench: Bench) -> None:
    bench.open()
    net = bench.nets["net"]
    with socket.create_connection(("127.0.0.1", net.port)):
        running = begin(event("occupy", bus="net"), bench, seed=1)
        with socket.create_connection(("127.0.0.1", net.port), timeout=5.0) as late:
            assert late.recv(1) == b""  # turned away
        running.end()
    assert net.faults.clients_max is None


def test_arguments_that_do_not_fit(bench: Bench) -> None:
    for wrong in ({"device": "em9"}, {}, {"devices": "em2"}):
        with pytest.raises(FaultArgumentsWrong):
            begin(event("mute", **wrong), bench, seed=1)
    with pytest.raises(FaultArgumentsWrong, match="WireFaults has no colour"):
        begin(event("line_fault", device="em2", colour="blue"), bench, seed=1)
    with pytest.raises(FaultArgumentsWrong, match="serial line"):
        begin(event("unplug", device="em4"), bench, seed=1)
    with pytest.raises(FaultArgumentsWrong, match="TCP port"):
        begin(event("restart_server", device="em2"), bench, seed=1)


@pytest.mark.parametrize("name", [name for name in names() if name.startswith("bus-")])
def test_every_shipped_bus_scenario_fits_its_wires(name: str, tmp_path: Path) -> None:
    """Each fault of each file begins and ends on closed wires; those that open and close them are left to the runs."""
    scenario = load(name)
    if scenario.plant not in BENCHES:
        return
    found = Bench(scenario, folder=tmp_path, wall_s=elapsed_s)
    try:
        for each in scenario.events(ZONE):
            if each.what in FAULT_KINDS - {"unplug", "restart_server", "drop_connections", "occupy"}:
                running = begin(each, found, seed=scenario.seed)
                assert running.touched <= found.devices.keys()
                running.end()
    finally:
        found.close()


def test_a_scenario_that_names_a_bus_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SiteFault, match="no bench"):
        Bench(load("winter-day"), folder=tmp_path, wall_s=elapsed_s)
