"""The real simulated plant behind the devices: every quantity is served, every command reads back."""

import functools
import struct

import pytest

from hil_sim.devices.registers import Number
from hil_sim.devices.server import DeviceServer
from hil_sim.plant.office import GroundOffice
from hil_sim.wire_log import WireLog

START_S = 1_768_000_000.0
SITE = {
    "hm_user": "tuf2000m",
    "hm_tank": "tuf2000m",
    "hm_source": "mag11_heat",
    "em_main": "acrel_adl3000",
    **{f"em_hp{place}": "eastron_sdm630" for place in range(1, 5)},
    **{f"tt{place}": "wb_m1w2" for place in range(1, 6)},
    "ws1": "xy_md0x",
    "hp1": "generic_ground_unit",
    "hp2": "generic_ground_unit",
    "hp3": "generic_ground_unit_setpoint",
    "hp4": "generic_ground_unit_setpoint",
    "io1": "generic_station_io",
}


@pytest.fixture(scope="module")
def plant() -> GroundOffice:
    office = GroundOffice(seed=1, start_s=START_S)
    office.advance_to(START_S + 1800.0)
    return office


def server(plant: GroundOffice, name: str, log: WireLog) -> DeviceServer:
    return DeviceServer(
        name,
        1,
        SITE[name],
        truth=functools.partial(plant.quantity, name),
        command=functools.partial(plant.command, name),
        seed=1,
        now_s=lambda: plant.instant_s,
        log=log,
    )


@pytest.mark.parametrize("name", SITE)
def test_every_quantity_is_served_close_to_the_truth(plant: GroundOffice, name: str) -> None:
    log = WireLog()
    device = server(plant, name, log)
    for quantity in device.map.quantities:
        layout = quantity.layout
        answer = device.answer(struct.pack(">BHH", quantity.function, layout.address, layout.count))
        assert answer is not None
        assert answer[0] == quantity.function, (name, quantity.name, answer.hex())
        _, shown = log.latest(name, quantity.name, until_s=plant.instant_s)
        constant = quantity.constant
        true = plant.quantity(name, quantity.name) if constant is None else constant
        if quantity.valid_while is not None and not plant.quantity(name, quantity.valid_while):
            assert shown is None
        else:
            step = layout.scale if isinstance(layout, Number) and layout.kind != "f32" else 0.0
            class_error = quantity.instrument.offset + quantity.instrument.noise + quantity.instrument.resolution
            assert shown == pytest.approx(true, rel=0.045, abs=step + class_error + 1e-6), quantity.name


@pytest.mark.parametrize("name", ["hp1", "hp3", "io1"])
def test_every_command_reads_back_as_written(plant: GroundOffice, name: str) -> None:
    device = server(plant, name, WireLog())
    for command in device.map.commands:
        for value in (command.low, command.high):
            raw = round(value / command.number.scale)
            echo = device.answer(struct.pack(">BHH", 6, command.number.address, raw))
            assert echo == struct.pack(">BHH", 6, command.number.address, raw), command.name
            back = device.answer(struct.pack(">BHH", 3, command.number.address, 1))
            assert back == struct.pack(">BBH", 3, 2, raw), command.name
            assert plant.quantity(name, command.name) == pytest.approx(value)


def test_a_command_that_the_plant_refuses_is_answered_with_an_exception_and_changes_nothing(
    plant: GroundOffice,
) -> None:
    device = server(plant, "hp1", WireLog())
    command = next(command for command in device.map.commands if command.name == "supply_setpoint")
    words = command.number.to_words(47.0, device.map.order)
    request = struct.pack(">BHHB", 16, command.number.address, len(words), 2 * len(words))
    request += struct.pack(f">{len(words)}H", *words)
    before_degc = plant.quantity("hp1", "supply_setpoint")
    plant.commands.refused.add(("hp1", "supply_setpoint"))
    try:
        assert device.answer(request) == bytes((0x90, 4))
    finally:
        plant.commands.refused.clear()
    assert plant.quantity("hp1", "supply_setpoint") == before_degc
    assert device.answer(request) is not None
    assert plant.quantity("hp1", "supply_setpoint") == 47.0
