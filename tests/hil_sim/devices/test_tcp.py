"""Devices behind a real TCP port, read by pymodbus' clients and, where it is installed, by mbpoll."""

import contextlib
import re
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from typing import Protocol

import pytest
from pymodbus.client import AsyncModbusTcpClient, ModbusTcpClient
from pymodbus.exceptions import ModbusIOException

from edge_agent.clock import elapsed_s
from hil_sim.devices.catalogue import MODELS
from hil_sim.devices.server import DeviceServer
from hil_sim.devices.tcp import (
    TcpServer,
    id_off_by_one,
    id_zero,
    serve_tcp,
    undecodable,
    wrong_count,
    wrong_echo,
    wrong_function,
    wrong_unit,
)
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


READERS = {2: "read_discrete_inputs", 3: "read_holding_registers", 4: "read_input_registers"}
PlantNet = tuple[dict[str, DeviceServer], dict[str, Bench], TcpServer]


def test_every_map_is_served_to_a_blocking_client(plant_net: PlantNet, client: ModbusTcpClient) -> None:
    devices, benches, _ = plant_net
    for model, device in devices.items():
        for quantity in device.map.quantities:
            call = getattr(client, READERS[quantity.function])
            answer = call(quantity.layout.address, count=quantity.layout.count, device_id=device.unit)
            assert not answer.isError(), (model, quantity.name)
            words = tuple(answer.registers) or tuple(int(bit) for bit in answer.bits[:1])
            _, logged = benches[model].log.latest(model, quantity.name, until_s=benches[model].instant_s)
            assert logged == quantity.layout.to_inside(words, device.map.order)
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


@contextlib.contextmanager
def plain(port: int) -> Iterator[socket.socket]:
    """A connection without a library."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        yield connection


def request(number: int, unit: int) -> bytes:
    return struct.pack(">HHHBBHH", number, 0, 6, unit, 3, 0, 1)


def answer(connection: socket.socket) -> bytes:
    head = connection.recv(6, socket.MSG_WAITALL)
    return head + connection.recv(int.from_bytes(head[4:6], "big"), socket.MSG_WAITALL) if head else b""


def number_of(frame: bytes) -> int:
    return int.from_bytes(frame[:2], "big")


GROUND = sorted(MODELS).index("generic_ground_unit") + 11


def test_requests_that_arrive_together_are_all_answered(plant_net: PlantNet) -> None:
    with plain(plant_net[2].port) as connection:
        connection.sendall(b"".join(request(number, GROUND) for number in range(1, 9)))
        assert [number_of(answer(connection)) for _ in range(8)] == list(range(1, 9))


def test_a_request_in_pieces_is_answered_once(plant_net: PlantNet) -> None:
    with plain(plant_net[2].port) as connection:
        for piece in (request(1, GROUND)[:3], request(1, GROUND)[3:9], request(1, GROUND)[9:] + request(2, GROUND)):
            connection.sendall(piece)
        assert [number_of(answer(connection)) for _ in range(2)] == [1, 2]


@pytest.mark.parametrize("babble", [b"GET / HTTP/1.1\r\n\r\n", struct.pack(">HHHBB", 1, 0, 1, 1, 3), b"\xff" * 300])
def test_what_is_not_modbus_ends_the_connection(plant_net: PlantNet, babble: bytes) -> None:
    with plain(plant_net[2].port) as connection:
        connection.sendall(babble)
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""


@pytest.mark.parametrize(("change", "shown"), [(id_zero, 0), (id_off_by_one, 6)])
def test_numbers_are_changed(plant_net: PlantNet, change: Callable[[int], int], shown: int) -> None:
    plant_net[2].faults.change_id = change
    with plain(plant_net[2].port) as connection:
        connection.sendall(request(7, GROUND))
        assert number_of(answer(connection)) == shown


def test_a_queueing_port_falls_behind_and_keeps_the_order(plant_net: PlantNet) -> None:
    server = plant_net[2]
    server.faults.queue_s = 0.02
    with plain(server.port) as connection:
        begin_s = elapsed_s()
        connection.sendall(b"".join(request(number, GROUND) for number in range(1, 7)))
        assert [number_of(answer(connection)) for _ in range(6)] == list(range(1, 7))
        assert elapsed_s() - begin_s >= 0.12
    assert server.statistics.waiting_most == 6


def test_answers_stay_behind_their_requests(plant_net: PlantNet) -> None:
    plant_net[2].faults.behind = 2
    with plain(plant_net[2].port) as connection:
        connection.sendall(b"".join(request(number, GROUND) for number in range(1, 6)))
        assert [number_of(answer(connection)) for _ in range(3)] == [1, 2, 3]


def test_one_client_at_a_time(plant_net: PlantNet) -> None:
    server = plant_net[2]
    server.faults.clients_max = 1
    with plain(server.port) as first:
        first.sendall(request(1, GROUND))
        assert answer(first)
        with plain(server.port) as second:
            assert second.recv(1) == b""
        first.sendall(request(2, GROUND))
        assert answer(first)
    assert (server.statistics.turned_away, server.statistics.clients_most) == (1, 1)


def test_an_idle_connection_is_closed_and_a_busy_one_is_not(plant_net: PlantNet) -> None:
    plant_net[2].faults.idle_close_s = 0.1
    with plain(plant_net[2].port) as connection:
        begin_s = elapsed_s()
        while elapsed_s() - begin_s < 0.25:
            connection.sendall(request(1, GROUND))
            assert answer(connection)
        assert connection.recv(1) == b""


def test_the_first_requests_of_a_connection_are_swallowed(plant_net: PlantNet) -> None:
    plant_net[2].faults.swallow_first = 1
    for _ in range(2):
        with plain(plant_net[2].port) as connection:
            connection.sendall(request(1, GROUND) + request(2, GROUND))
            assert number_of(answer(connection)) == 2


def test_a_gateway_answers_for_a_unit_or_does_not(plant_net: PlantNet) -> None:
    faults = plant_net[2].faults
    faults.gateway_codes, faults.silent_units = {GROUND: 10}, frozenset({GROUND + 1})
    with plain(plant_net[2].port) as connection:
        connection.sendall(request(1, GROUND + 1) + request(2, GROUND))
        assert answer(connection) == struct.pack(">HHHBBB", 2, 0, 3, GROUND, 0x83, 10)


def test_a_port_that_goes_down_comes_back_where_it_was(plant_net: PlantNet) -> None:
    server = plant_net[2]
    with plain(server.port) as connection:
        connection.sendall(request(1, GROUND))
        assert answer(connection)
        server.go_down()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    with pytest.raises(ConnectionRefusedError), plain(server.port):
        pass
    server.come_back()
    with plain(server.port) as connection:
        connection.sendall(request(1, GROUND))
        assert answer(connection)
        server.drop_connections()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    with plain(server.port) as connection:
        connection.sendall(request(1, GROUND))
        assert answer(connection)


@pytest.mark.parametrize(
    ("disturb", "differs"),
    [
        (wrong_function, lambda frame: frame[7] == 4),
        (wrong_unit, lambda frame: frame[6] == GROUND ^ 1),
        (wrong_count, lambda frame: frame[8] == 0 and len(frame) == 9),
        (undecodable, lambda frame: frame[7] == 0x63),
    ],
)
def test_lies_are_frames_that_are_consistent_in_themselves(
    plant_net: PlantNet, disturb: Callable[[str, bytes], bytes], differs: Callable[[bytes], bool]
) -> None:
    plant_net[2].disturbance = disturb
    with plain(plant_net[2].port) as connection:
        connection.sendall(request(1, GROUND))
        frame = answer(connection)
        assert differs(frame)
        assert len(frame) == 6 + int.from_bytes(frame[4:6], "big")


def test_a_wrong_echo_behind_garbage(plant_net: PlantNet) -> None:
    server = plant_net[2]
    server.disturbance, server.faults.garbage = wrong_echo, b"\xa5\x5a"
    write = struct.pack(">HHHBBHH", 1, 0, 6, GROUND, 6, 4, 7)
    with plain(server.port) as connection:
        connection.sendall(write)
        assert connection.recv(14, socket.MSG_WAITALL) == b"\xa5\x5a" + write[:8] + b"\x01" + write[9:]


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
