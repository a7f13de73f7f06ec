"""Every simulated device, read and written by our drivers over a real pseudo terminal and over TCP.

The simulator's register maps and our profiles were written separately; what both make of the same registers must agree.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from ruamel.yaml import YAML

from drivers.bus.base import Bus
from drivers.bus.modbus_rtu import ModbusRtuBus
from drivers.bus.modbus_tcp import ModbusTcpBus
from drivers.bus.rtu_over_tcp import rtu_over_tcp
from drivers.catalogue import shipped
from drivers.device import Device
from drivers.profile import Level, Profile
from drivers.profile_file import parse_profile
from drivers.sample import Cause
from edge_agent.clock import elapsed_s
from hil_sim.devices.catalogue import MODELS
from hil_sim.devices.serial_server import SerialServer
from hil_sim.devices.server import DeviceServer
from hil_sim.devices.tcp import serve_tcp
from hil_sim.line import SerialLine
from hil_sim.wire_log import WireLog

pytestmark = pytest.mark.system

INSTANT_UTC = datetime(2026, 1, 15, 8, tzinfo=UTC)
INSTANT_S = INSTANT_UTC.timestamp()
BAUD = 115200
SWITCHES = ("user_flow", "source_flow", "load_pump_running")


class Plant:
    """One device of each model; a plant that is a dictionary."""

    def __init__(self) -> None:
        self.log = WireLog()
        self.truth: dict[str, dict[str, float]] = {}
        self.servers: list[DeviceServer] = []
        for unit, model in enumerate(sorted(MODELS), start=1):
            # Another value for each quantity, so that a swapped address shows.
            truth = {name: 11.25 + place for place, name in enumerate(sorted(MODELS[model].names()))}
            self.truth[model] = truth | dict.fromkeys(truth.keys() & set(SWITCHES), 1.0)
            self.servers.append(
                DeviceServer(
                    model,
                    unit,
                    model,
                    truth=self.truth[model].__getitem__,
                    command=self.truth[model].__setitem__,
                    seed=3,
                    now_s=lambda: INSTANT_S,
                    log=self.log,
                )
            )


@asynccontextmanager
async def wired(plant: Plant, wire: str) -> AsyncIterator[Bus]:
    """A bus with all devices of the plant behind it."""
    bus: Bus
    if wire != "tcp":
        line = SerialLine(
            "line",
            plant.servers,
            baud=BAUD,
            turnaround_s=0.002,
            now_s=lambda: INSTANT_S,
            wall_s=elapsed_s,
            log=plant.log,
        )
        line.start()
        if wire == "rtu":
            stop = line.stop
            bus = ModbusRtuBus(
                "line",
                port=line.path,
                baud=BAUD,
                framing="8N1",
                elapsed_s=elapsed_s,
                timeout_s=0.3,
                latest_answer_s=0.5,
            )
        else:
            box = SerialServer(line.path)

            def stop() -> None:
                box.stop()
                line.stop()

            bus = rtu_over_tcp(
                "line", host="127.0.0.1", port=box.port, baud=BAUD, framing="8N1", elapsed_s=elapsed_s,
                timeout_s=0.3, latest_answer_s=0.5,
            )  # fmt: skip
    else:
        server = serve_tcp(plant.servers, "127.0.0.1", 0)
        stop = server.stop
        bus = ModbusTcpBus("net", host="127.0.0.1", port=server.port, elapsed_s=elapsed_s, timeout_s=0.3)
    await bus.open()
    try:
        yield bus
    finally:
        await bus.close()
        stop()


@cache
def profile(model: str) -> Profile:
    return parse_profile(YAML().load(shipped()[model].read_text(encoding="utf-8")), name=model)


def device(
    bus: Bus, server: DeviceServer, *, merged: bool = True, passed_s: Callable[[], float] = lambda: 0.0
) -> Device:
    whole = profile(server.name)
    return Device(
        server.name,
        bus=bus,
        unit=server.unit,
        profile=whole if merged else replace(whole, limits=replace(whole.limits, block_read=False)),
        period_s=10,
        now_utc=lambda: INSTANT_UTC + timedelta(seconds=passed_s()),
        elapsed_s=lambda: elapsed_s() + passed_s(),
        at_utc=lambda _: INSTANT_UTC + timedelta(seconds=passed_s()),  # the wire's own stop-watch leaps not
        may_write=lambda: True,
    )


MODEL_NAMES = sorted(MODELS)
POLLS_MAX = 20
"""A plan bridges registers that nobody serves until it is refused; so many polls are enough to learn them."""


def test_a_level_is_earned() -> None:
    """`simulated` says that a register map written apart from the profile agrees with it, point by point."""
    assert {name for name in shipped() if profile(name).level is Level.SIMULATED} == set(MODELS)
    assert len([model for model in MODELS if not model.startswith("generic_")]) >= 10


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_a_profile_names_what_the_simulated_model_has(model: str) -> None:
    assert set(profile(model).points) <= set(MODELS[model].names())


@pytest.mark.parametrize("wire", ["rtu", "tcp", "rtu_over_tcp"])
@pytest.mark.parametrize("merged", [False, True])
async def test_every_device_is_read_as_it_was_served(wire: str, *, merged: bool) -> None:
    """Each point by itself; then as the plan merges them, where what is refused in between is learnt at once."""
    plant = Plant()
    compared = 0
    async with wired(plant, wire) as bus:
        for server in plant.servers:
            hours: list[int] = []
            dut = device(bus, server, merged=merged, passed_s=lambda hours=hours: 3601 * len(hours))  # type: ignore[misc]
            latest = {sample.point: sample for sample in await dut.poll()}
            if server is plant.servers[0] and any(sample.cause is Cause.LINE_DOWN for sample in latest.values()):
                pytest.fail("the line did not open")
            for _ in range(POLLS_MAX - 1 if merged else 0):
                if all(sample.value is not None for sample in latest.values()):
                    break
                hours.append(1)  # slow points are due again
                latest |= {sample.point: sample for sample in await dut.poll()}
            for sample in latest.values():
                name = sample.point.removeprefix(f"{server.name}.")
                served, value = plant.log.latest(server.name, name, until_s=INSTANT_S)
                assert served, sample.point
                assert sample.value is not None, sample
                assert sample.value == pytest.approx(value, rel=1e-9), sample.point
                compared += 1
    assert compared == sum(len(profile(model).points) for model in MODELS)


@pytest.mark.parametrize("wire", ["rtu", "tcp"])
async def test_every_writable_point_is_written_and_proven(wire: str) -> None:
    plant = Plant()
    written = 0
    async with wired(plant, wire) as bus:
        for server in plant.servers:
            if not server.name.startswith("generic_"):
                continue
            dut = device(bus, server)
            for point, spec in dut.points.items():
                for bound in spec.bounds or ():
                    outcome = await dut.write(point, bound)
                    assert outcome.verified, (point, outcome)
                    assert plant.truth[server.name][spec.name] == pytest.approx(bound)
                    written += 1
    assert written == 2 * (5 + 4 + 10 + 5 + 4)


ELSEWHERE = {
    "york_yvag.run_request",  # proven by the unit's state, and no unit is behind this register map
    "eas_ech_r32_modular.supply_setpoint",  # needs a mode first: the test below
    "nibe_s_series.power_limit",  # the unit wants ten seconds of rest behind each of the two
    "nibe_s_series.power_limit_enable",
}


async def test_real_models_take_the_lowest_value_that_their_profile_writes() -> None:
    plant = Plant()
    written: list[str] = []
    async with wired(plant, "tcp") as bus:
        for server in plant.servers:
            if server.name.startswith("generic_"):
                continue
            dut = device(bus, server, merged=False)
            for point, spec in dut.points.items():
                if not spec.bounds or point in ELSEWHERE:
                    continue
                outcome = await dut.write(point, spec.bounds[0])
                assert outcome.verified, (point, outcome)
                assert plant.truth[server.name][spec.name] == pytest.approx(spec.bounds[0]), point
                written.append(point)
            assert not server.harm
    assert len(written) >= 20


async def test_a_locked_unit_is_unlocked_before_it_is_written_to() -> None:
    plant = Plant()
    server = next(server for server in plant.servers if server.name == "eas_ech_r32_modular")
    truth = plant.truth[server.name]
    truth.update(modbus_enable=0.0, mode_request=2.0)
    async with wired(plant, "tcp") as bus:
        outcome = await device(bus, server, merged=False).write(f"{server.name}.supply_setpoint", 45.0)
    assert outcome.verified, outcome
    assert (truth["modbus_enable"], truth["supply_setpoint"]) == (1.0, 45.0)
    assert server.writes == {"modbus_enable": 1, "supply_setpoint": 1}


@pytest.mark.parametrize("wire", ["rtu", "tcp"])
async def test_polling_sends_no_write_frame(wire: str) -> None:
    plant = Plant()
    async with wired(plant, wire) as bus:
        for server in plant.servers:
            if server.name in shipped():
                await device(bus, server).poll()
    assert plant.log.frames
    assert plant.log.write_frames() == 0


@pytest.mark.parametrize("wire", ["rtu", "tcp", "rtu_over_tcp"])
async def test_a_muted_device_is_bad_and_its_neighbours_are_read(wire: str) -> None:
    plant = Plant()
    mute, neighbour = (server for server in plant.servers if server.name in ("mag11_heat", "wb_m1w2"))
    mute.mute(on=True)
    async with wired(plant, wire) as bus:
        bad = await device(bus, mute).poll()
        good = await device(bus, neighbour).poll()
    assert {(sample.value, sample.cause) for sample in bad} == {(None, Cause.NO_ANSWER)}
    assert all(sample.value is not None for sample in good)
