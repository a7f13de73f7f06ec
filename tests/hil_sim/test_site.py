"""One simulated site: its wires answer with what the plant does, its configuration fits, its time follows the agent."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pymodbus.client import ModbusSerialClient, ModbusTcpClient

from edge_agent.clock import SimulatedClock, elapsed_s
from edge_agent.settings.load import load_configuration
from hil_sim.plant.truth import Truth
from hil_sim.scenario import load
from hil_sim.site import (
    CLOCK_LEASE_S,
    COMPRESSED_BAUD,
    DEVICES,
    GRACE_S,
    Governor,
    Site,
    SiteFault,
    asked_since_s,
    example_folder,
    lateness_ratio,
)
from hil_sim.wire_log import WireLog

HAND_S = 100.0


class HandClock:
    """A monotonic clock that moves when told."""

    def __init__(self) -> None:
        self.wall_s = HAND_S

    def __call__(self) -> float:
        """The reading."""
        return self.wall_s


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(load("winter-day"), folder=tmp_path, wall_s=elapsed_s)
    site.open()
    yield site
    site.close()


def test_the_wires_answer_with_what_the_plant_does(site: Site) -> None:
    assert site.tcp is not None
    with ModbusTcpClient("127.0.0.1", port=site.tcp.port) as client:
        supply = client.read_input_registers(10, count=1, device_id=40).registers[0]
        assert supply / 100.0 == pytest.approx(site.plant.supply_header.degc, abs=0.5)
        assert not client.write_register(0, 1, device_id=40).isError()
        assert site.plant.source_pumps[0].commanded
    with ModbusSerialClient(site.lines["rs485_2"].path, baudrate=COMPRESSED_BAUD) as client:
        answer = client.read_input_registers(7, count=2, device_id=1)
        assert not answer.isError()
    assert site.log.frames["tt1", 4] == 1
    assert site.log.write_frames() == 1
    assert site.log.last_request_s["io1"] == site.start_s  # time is held


def test_the_configuration_fits_the_site_and_keeps_its_comments(site: Site, tmp_path: Path) -> None:
    folder = site.write_configuration(broker=("127.0.0.1", 1899))
    configuration = load_configuration(folder)
    assert configuration.site.site.simulated
    assert configuration.site.storage_media.state_dir == tmp_path / "state"
    clock_path = configuration.site.site.simulated_clock
    assert clock_path is not None
    assert SimulatedClock(clock_path).now_utc().timestamp() == site.start_s
    assert site.tcp is not None
    assert configuration.devices.buses["plant_net"].tcp == f"127.0.0.1:{site.tcp.port}"
    assert configuration.devices.buses["rs485_1"].serial == site.lines["rs485_1"].path
    assert configuration.devices.buses["rs485_1"].baud == COMPRESSED_BAUD
    assert configuration.uplink.uplinks["city"].broker == "mqtt://127.0.0.1:1899"
    assert site.uplink_period_min == configuration.uplink.uplinks["city"].period_min
    entries = configuration.devices.devices
    assert {(name, entry.bus, entry.unit, entry.profile) for name, entry in entries.items()} == {
        (wired.name, wired.bus, wired.unit, wired.model) for wired in DEVICES
    }
    assert all(entry.period_s == site.period_s(name) for name, entry in entries.items())
    example = (example_folder("ground-office") / "site.yaml").read_text(encoding="utf-8")
    comments = re.findall(r"^# .*$", example, re.MULTILINE)
    assert comments
    written = (folder / "site.yaml").read_text(encoding="utf-8")
    assert all(comment in written for comment in comments)


def test_the_plant_follows_the_clock_and_one_stretch_ends_with_the_scenario(tmp_path: Path) -> None:
    wall = HandClock()
    site = Site(load("winter-day").changed(days=0.25), folder=tmp_path, wall_s=wall)
    told: list[float] = []

    def on_truth(truth: Truth) -> None:
        told.append(truth.instant_s)

    site.advance(on_truth)
    assert told == []  # time is held
    site.clock.set_speed(240.0)
    for _ in range(500):
        wall.wall_s += 0.2
        site.clock.renew()
        site.advance(on_truth)
    wall.wall_s += 60.0  # nobody renews the lease: time stands still
    site.advance(on_truth)
    assert site.plant.instant_s == pytest.approx(site.start_s + 24_060.0, abs=site.plant.step_s)
    assert CLOCK_LEASE_S == 0.25
    steps_s = [later - earlier for earlier, later in zip([site.start_s, *told], told, strict=False)]
    assert all(0.0 < step_s <= 60.0 for step_s in steps_s)
    assert site.end_s in told
    assert site.end_s == site.start_s + 21_600.0
    site.close()


def test_a_run_ends_with_a_whole_step_of_the_plant(tmp_path: Path) -> None:
    wall = HandClock()
    site = Site(load("winter-day").changed(days=0.17), folder=tmp_path, wall_s=wall)  # 14688 s
    told: list[float] = []
    site.clock.set_speed(240.0)
    while not told or told[-1] < site.start_s + 14_680.0:
        wall.wall_s += 0.2
        site.clock.renew()
        site.advance(lambda truth: told.append(truth.instant_s))
    assert site.end_s == site.start_s + 14_680.0
    assert site.end_s in told
    site.close()


def test_a_plant_that_is_not_there_is_named(tmp_path: Path) -> None:
    scenario = load("winter-day")
    object.__setattr__(scenario, "plant", "moon-base")
    with pytest.raises(SiteFault, match="moon-base"):
        Site(scenario, folder=tmp_path, wall_s=elapsed_s)


# ----------------------------------------------------------------------------------------------------------- governor
def settle(
    governor: Governor, speed_ratio: float, *, lateness_ratio: float = 1.0, up_s: float = 30.0, rounds: int = 100
) -> float:
    for _ in range(rounds):
        speed_ratio = governor.next_speed(
            speed_ratio, lateness_ratio=lateness_ratio, agent_up_s=up_s, agent_since_s=0.0, asked_since_s=1.0
        )
    return speed_ratio


def test_time_runs_as_fast_as_wanted_while_the_agent_keeps_up() -> None:
    governor = Governor(wanted_ratio=240.0)
    assert settle(governor, 0.0) == 240.0
    assert governor.slowdowns == 0


def test_time_runs_at_1x_while_the_agent_is_down_or_has_not_asked_its_devices() -> None:
    governor = Governor(wanted_ratio=240.0)
    assert settle(governor, 0.0) == 240.0
    assert settle(governor, 240.0, up_s=0.0, rounds=1) == 1.0
    assert not governor.agent_up
    starting = {"lateness_ratio": 5.0, "agent_since_s": 100.0, "asked_since_s": 90.0}
    assert governor.next_speed(1.0, agent_up_s=5.0, **starting) == 1.0
    assert governor.next_speed(1.0, agent_up_s=GRACE_S + 1.0, **starting) == 1.0  # counts as up, but is far behind
    assert governor.agent_up
    assert settle(governor, 1.0) == 240.0


def test_time_slows_down_when_the_agent_falls_behind_and_recovers() -> None:
    governor = Governor(wanted_ratio=240.0)
    settle(governor, 0.0)
    assert settle(governor, 240.0, lateness_ratio=4.0, rounds=3) == pytest.approx(240.0 * 0.7**3)
    assert governor.late
    assert settle(governor, 80.0, lateness_ratio=2.5, rounds=3) == 80.0  # neither late nor in time: as it is
    assert settle(governor, 80.0, lateness_ratio=4.0) == 1.0
    assert settle(Governor(wanted_ratio=480.0, _up=True), 480.0, lateness_ratio=30.0, rounds=1) == 48.0  # brakes hard
    assert governor.slowdowns == 1
    assert settle(governor, 1.0) == 240.0
    assert not governor.late
    assert governor.slowest_ratio == 1.0


def test_a_single_dead_device_does_not_slow_time_but_a_silent_bus_does() -> None:
    log = WireLog()
    period_s = {wired.name: 30.0 for wired in DEVICES}
    assert asked_since_s(log) == float("-inf")
    for wired in DEVICES:
        log.request(wired.name, function=3, instant_s=970.0 if wired.name != "hm_user" else 0.0)
    assert lateness_ratio(log, now_s=1000.0, period_s=period_s) == pytest.approx(1.0)
    assert asked_since_s(log) == 970.0
    for wired in DEVICES:
        if wired.bus == "rs485_2":
            log.request(wired.name, function=3, instant_s=700.0)
    assert lateness_ratio(log, now_s=1000.0, period_s=period_s) == pytest.approx(10.0)
    assert asked_since_s(log) == 700.0
