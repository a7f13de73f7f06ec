"""Devices behind a real TCP port, read by pymodbus' clients and, where it is installed, by mbpoll."""

import re
import subprocess
from collections.abc import Callable, Iterator
from typing import Protocol

import pytest
from pymodbus.client import AsyncModbusTcpClient, ModbusTcpClient
from pymodbus.exceptions import ModbusIOException

from hil_sim.devices.catalogue import MODELS
from hil_sim.devices.server import DeviceServer
from hil_sim.devices.tcp import TcpServer, serve_tcp
from hil_sim.wire_log import WireLog


class Bench(Protocol):
    """The fixture's shape."""

    truth: dict[str, float]
    commands: list[tuple[str, float]]
    log: WireLog
    instant_s: float
    device: Callable[..., DeviceServer]


@pytest.fixture
def plant_net(new_bench: Callable[[], Bench]) -> Iterator[tuple[dict[str, DeviceServer], dict[str, Bench], TcpServer]]:
    benches = {model: new_bench() for model in MODELS}
    devices = {
        model: benches[model].device(model, name=model, unit=unit) for unit, model in enumerate(sorted(MODELS), 11)
    }
    server = serve_tcp(list(devices.values()), "127.0.0.1", 0)
    yield devices, benches, server
    server.stop()


@pytest.fixture
def client(plant_net: tuple[object, object, TcpServer]) -> Iterator[ModbusTcpClient]:
    connection = ModbusTcpClient("127.0.0.1", port=plant_net[2].port, retries=0, timeout=5)
    assert connection.connect()
    yield connection
    connection.close()


PlantNet = tuple[dict[str, DeviceServer], dict[str, Bench], TcpServer]


def test_every_map_is_served_to_a_blocking_client(plant_net: PlantNet, client: ModbusTcpClient) -> None:
    devices, benches, _ = plant_net
    for model, device in devices.items():
        for quantity in device.map.quantities:
            call = client.read_holding_registers if quantity.function == 3 else client.read_input_registers
            answer = call(quantity.layout.address, count=quantity.layout.count, device_id=device.unit)
            assert not answer.isError(), (model, quantity.name)
            _, logged = benches[model].log.latest(model, quantity.name, until_s=benches[model].instant_s)
            assert logged == quantity.layout.to_inside(tuple(answer.registers), device.map.order)
        assert sum(benches[model].log.frames.values()) == len(device.map.quantities)


async def test_an_asynchronous_client_reads_and_writes(plant_net: PlantNet) -> None:
    devices, benches, server = plant_net
    unit = devices["generic_ground_unit"].unit
    async with AsyncModbusTcpClient("127.0.0.1", port=server.port, retries=0, timeout=5) as client:
        assert not (await client.write_registers(0, [1, 2, 550], device_id=unit)).isError()
        assert not (await client.write_register(4, 7, device_id=unit)).isError()
        assert (await client.read_holding_registers(0, count=3, device_id=unit)).registers == [1, 2, 550]
        refused = await client.write_register(2, 600, device_id=unit)
        assert refused.exception_code == 3
    commands = benches["generic_ground_unit"].commands
    assert commands == [("run_request", 1), ("mode_request", 2), ("supply_setpoint", 55.0), ("heartbeat", 7)]
    assert benches["generic_ground_unit"].log.write_frames() == 3


def test_registers_that_do_not_exist_and_units_that_do_not(plant_net: PlantNet, client: ModbusTcpClient) -> None:
    unit = plant_net[0]["generic_ground_unit_setpoint"].unit
    assert client.read_holding_registers(3, count=1, device_id=unit).exception_code == 2
    assert client.read_holding_registers(0, count=1, device_id=99).exception_code == 11


def test_a_muted_device_is_silent_and_the_others_are_not(plant_net: PlantNet) -> None:
    devices, _, server = plant_net
    devices["generic_station_io"].mute(on=True)
    hurried = ModbusTcpClient("127.0.0.1", port=server.port, retries=0, timeout=0.2)
    assert hurried.connect()
    with pytest.raises(ModbusIOException):
        hurried.read_input_registers(0, count=1, device_id=devices["generic_station_io"].unit)
    hurried.close()
    patient = ModbusTcpClient("127.0.0.1", port=server.port, retries=0, timeout=5)
    assert patient.connect()
    assert not patient.read_input_registers(0, count=1, device_id=devices["generic_ground_unit"].unit).isError()
    devices["generic_station_io"].mute(on=False)
    assert not patient.read_input_registers(0, count=1, device_id=devices["generic_station_io"].unit).isError()
    patient.close()


def test_a_late_answer_is_late_and_right(plant_net: PlantNet, client: ModbusTcpClient) -> None:
    device = plant_net[0]["generic_station_io"]
    device.delay(0.1)
    assert not client.read_input_registers(10, count=2, device_id=device.unit).isError()


def test_the_wire_may_damage_answers(plant_net: PlantNet, client: ModbusTcpClient) -> None:
    devices, _, server = plant_net
    unit = devices["wb_m1w2"].unit
    true = client.read_input_registers(7, count=1, device_id=unit).registers
    server.disturbance = lambda name, frame: frame[:-1] + bytes((frame[-1] ^ 0xFF,)) if name == "wb_m1w2" else frame
    assert client.read_input_registers(7, count=1, device_id=unit).registers == [true[0] ^ 0xFF]


def test_a_busy_port_is_said(plant_net: PlantNet, bench: Bench) -> None:
    with pytest.raises(OSError, match="cannot listen"):
        serve_tcp([bench.device("xy_md0x")], "127.0.0.1", plant_net[2].port)


def test_a_stopped_server_gives_the_port_back(bench: Bench) -> None:
    first = serve_tcp([bench.device("xy_md0x")], "127.0.0.1", 0)
    client = ModbusTcpClient("127.0.0.1", port=first.port, retries=0, timeout=5)
    assert client.connect()
    first.stop()
    client.close()
    second = serve_tcp([bench.device("xy_md0x")], "127.0.0.1", first.port)
    assert second.port == first.port
    second.stop()


def test_mbpoll_reads_what_the_log_says(plant_net: PlantNet, need_program: Callable[[str], str]) -> None:
    devices, benches, server = plant_net
    mbpoll = need_program("mbpoll")
    device, bench = devices["generic_station_io"], benches["generic_station_io"]
    command = [mbpoll, "-m", "tcp", "-0", "-a", str(device.unit), "-r", "10", "-c", "2", "-t", "3", "-1", "-q"]
    shown = subprocess.run(
        [*command, "-p", str(server.port), "127.0.0.1"], capture_output=True, text=True, check=True, timeout=20
    ).stdout
    counts = [int(count) for count in re.findall(r"\[\d+\]:\s+(-?\d+)", shown)]
    for count, quantity in zip(counts, ("supply_temperature", "return_temperature"), strict=True):
        assert (True, pytest.approx(count * 0.01)) == bench.log.latest(device.name, quantity, until_s=bench.instant_s)
