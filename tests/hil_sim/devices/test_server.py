"""A simulated device, request by request: what it answers, logs, obeys and refuses."""

import struct
from collections.abc import Callable
from typing import Protocol

import pytest

from hil_sim.devices.catalogue import MODELS
from hil_sim.devices.registers import Flag
from hil_sim.devices.server import DeviceServer
from hil_sim.wire_log import WireLog


class Bench(Protocol):
    """The fixture's shape."""

    truth: dict[str, float]
    commands: list[tuple[str, float]]
    log: WireLog
    instant_s: float
    device: Callable[..., DeviceServer]


def ask(device: DeviceServer, function: int, address: int, argument: int) -> bytes | None:
    return device.answer(struct.pack(">BHH", function, address, argument))


def read(device: DeviceServer, function: int, address: int, count: int) -> tuple[int, ...]:
    answer = ask(device, function, address, count)
    assert answer is not None
    if function <= 2:
        assert answer[:2] == bytes((function, (count + 7) // 8)), answer.hex()
        return tuple(int.from_bytes(answer[2:], "little") >> place & 1 for place in range(count))
    assert answer[:2] == bytes((function, 2 * count)), answer.hex()
    return struct.unpack(f">{count}H", answer[2:])


@pytest.mark.parametrize("model", MODELS)
def test_the_log_holds_what_a_reader_decodes_from_the_served_registers(bench: Bench, model: str) -> None:
    device = bench.device(model)
    for quantity in device.map.quantities:
        words = read(device, quantity.function, quantity.layout.address, quantity.layout.count)
        served, value = bench.log.latest("dut", quantity.name, until_s=bench.instant_s)
        assert served
        assert value == quantity.layout.to_inside(words, device.map.order)
        if quantity.origin == "serial":
            assert value == device.serial
        elif quantity.origin == "plant":
            true = bench.truth[quantity.name] if quantity.constant is None else quantity.constant
            if isinstance(quantity.layout, Flag) or getattr(quantity.layout, "kind", "") == "bit":
                true = min(true, 1.0)
            assert value == pytest.approx(true, rel=0.05, abs=2.5)


def test_only_quantities_that_are_wholly_in_the_answer_are_logged(bench: Bench) -> None:
    device = bench.device("tuf2000m")
    read(device, 3, 1, 10)  # second half of flow, heat power, unused registers, three of the four registers of a total
    assert {quantity for _, quantity in bench.log.served} == {"heat_power", "velocity", "sound_speed"}


def test_a_partly_read_quantity_is_still_on_the_wire(bench: Bench) -> None:
    device = bench.device("tuf2000m")
    whole = read(device, 3, 0, 2)
    assert read(device, 3, 1, 1) == whole[1:]


def test_meters_say_their_numbers_in_the_makers_units(bench: Bench) -> None:
    bench.truth.update(heat_power=1000.0, electric_power=90.0)
    low, high = read(bench.device("tuf2000m"), 3, 2, 2)
    assert struct.unpack(">f", struct.pack(">HH", high, low))[0] == pytest.approx(3.6, rel=0.02)  # GJ/h
    watts = struct.unpack(">f", struct.pack(">HH", *read(bench.device("eastron_sdm630"), 4, 52, 2)))[0]
    assert watts == pytest.approx(90e3, rel=0.02)
    (secondary,) = read(bench.device("acrel_adl3000"), 3, 106, 1)
    assert secondary == pytest.approx(90.0 / 60 / 0.001, rel=0.02)
    bench.truth["heat_total"] = 5_000_000.0
    words = read(bench.device("mag11_heat"), 3, 516, 4)
    assert struct.unpack(">Q", struct.pack(">4H", *words))[0] == pytest.approx(5e9, rel=0.01)  # Wh


@pytest.mark.parametrize(
    ("model", "function", "address", "count", "code"),
    [
        ("tuf2000m", 3, 95, 10, 2),
        ("tuf2000m", 4, 0, 2, 1),
        ("xy_md0x", 4, 0, 2, 2),
        ("eastron_sdm630", 4, 0, 81, 3),
        ("eastron_sdm630", 4, 100, 60, 2),
        ("tuf2000m", 3, 0, 0, 3),
        ("tuf2000m", 3, 0, 126, 3),
        ("tuf2000m", 6, 0, 1, 2),
        ("mag11_heat", 6, 0, 1, 1),
        ("trane_rthd_ch530_pic", 1, 0, 3, 2),
        ("trane_rthd_ch530_pic", 2, 0, 1, 2),
        ("mag11_heat", 2, 0, 1, 1),
        ("trane_rthd_ch530_pic", 5, 0, 1, 3),
        ("danfoss_fc102", 3, 16_129, 2, 2),
        ("danfoss_fc102", 3, 16_129, 11, 3),
        ("lambda_eureka", 6, 102, 1, 1),
        ("lambda_eureka", 3, 1020, 5, 2),
        ("xy_md0x", 4, 65_535, 2, 2),
        ("generic_ground_unit", 1, 0, 1, 1),
        ("generic_ground_unit", 5, 0, 0xFF00, 1),
        ("generic_ground_unit", 0x2B, 0, 0, 1),
        ("generic_ground_unit", 6, 5, 1, 2),
        ("generic_ground_unit", 6, 0, 2, 3),
        ("generic_ground_unit", 6, 1, 0, 3),
        ("generic_ground_unit", 6, 2, 349, 3),
        ("generic_ground_unit", 6, 2, 581, 3),
        ("generic_ground_unit", 6, 3, 299, 3),
        ("generic_ground_unit_setpoint", 6, 3, 500, 2),
        ("generic_ground_unit_setpoint", 3, 3, 1, 2),
        ("generic_ground_unit_setpoint", 3, 0, 5, 2),
        ("generic_station_io", 6, 9, 1001, 3),
        ("generic_station_io", 6, 10, 0, 2),
    ],
)
def test_exceptions(bench: Bench, model: str, function: int, address: int, count: int, code: int) -> None:
    assert ask(bench.device(model), function, address, count) == bytes((function | 0x80, code))
    assert not bench.commands
    assert not bench.log.served


def test_a_write_reaches_the_plant_and_reads_back(bench: Bench) -> None:
    device = bench.device("generic_ground_unit")
    assert ask(device, 6, 2, 455) == struct.pack(">BHH", 6, 2, 455)
    assert bench.commands == [("supply_setpoint", 45.5)]
    assert read(device, 3, 0, 5)[2] == 455
    assert bench.log.latest("dut", "supply_setpoint", until_s=bench.instant_s) == (True, 45.5)


def test_several_registers_are_written_all_or_none(bench: Bench) -> None:
    device = bench.device("generic_ground_unit")
    bench.truth.update(run_request=0.0, mode_request=1.0)
    good = struct.pack(">BHHB4H", 16, 0, 4, 8, 1, 2, 550, 800)
    assert device.answer(good) == struct.pack(">BHH", 16, 0, 4)
    assert bench.commands == [
        ("run_request", 1),
        ("mode_request", 2),
        ("supply_setpoint", pytest.approx(55.0)),
        ("capacity_limit", pytest.approx(0.8)),
    ]
    bench.commands.clear()
    bad = struct.pack(">BHHB4H", 16, 0, 4, 8, 0, 2, 550, 200)
    assert device.answer(bad) == b"\x90\x03"
    assert not bench.commands
    assert read(device, 3, 0, 4) == (1, 2, 550, 800)


def test_a_command_register_also_shows_what_the_panel_of_the_unit_wrote(bench: Bench) -> None:
    device = bench.device("generic_station_io")
    ask(device, 6, 1, 0)
    assert read(device, 3, 1, 1) == (0,)
    bench.truth["p_source_2"] = 1.0
    assert read(device, 3, 1, 1) == (1,)


def test_a_temperature_without_flow_is_the_invalid_mark(bench: Bench) -> None:
    device = bench.device("generic_ground_unit")
    bench.truth.update(user_flow=0.0, source_flow=1.0)
    words = read(device, 4, 5, 4)
    assert words[:2] == (0x7FFF, 0x7FFF)
    assert 0x7FFF not in words[2:]
    assert bench.log.latest("dut", "user_supply_temperature", until_s=bench.instant_s) == (True, None)
    bench.truth["user_flow"] = 1.0
    bench.instant_s += 2.0
    assert read(device, 4, 5, 1) != (0x7FFF,)


def test_a_reading_holds_until_the_next_update(bench: Bench) -> None:
    device = bench.device("mag11_heat")
    first = read(device, 3, 1024, 2)
    bench.truth["flow"] = 500.0
    assert read(device, 3, 1024, 2) == first
    bench.instant_s += 2.0  # its period
    assert read(device, 3, 1024, 2) != first


def test_settings_registers_and_the_unused_ones_can_be_read(bench: Bench) -> None:
    device = bench.device("wb_m1w2")
    assert read(device, 4, 0, 7) == (0,) * 7
    assert not bench.log.served
    assert read(device, 3, 110, 4) == (96, 0, 0, 8)


def test_a_muted_device_neither_answers_nor_obeys(bench: Bench) -> None:
    device = bench.device("generic_ground_unit")
    device.mute(on=True)
    assert ask(device, 4, 0, 1) is None
    assert ask(device, 6, 0, 1) is None
    assert not bench.commands
    device.mute(on=False)
    assert ask(device, 6, 0, 1) is not None


def test_a_corrupt_value_is_on_the_wire_and_not_in_the_log(bench: Bench) -> None:
    device = bench.device("tuf2000m")
    true_words = read(device, 3, 0, 2)
    device.corrupt_value("flow", 5.0)
    wrong = read(device, 3, 0, 2)
    flow = next(quantity for quantity in device.map.quantities if quantity.name == "flow")
    shown = flow.layout.to_inside(wrong, "low_first")
    _, logged = bench.log.latest("dut", "flow", until_s=bench.instant_s)
    assert logged == flow.layout.to_inside(true_words, "low_first")
    assert shown == pytest.approx((logged or 0.0) + 5.0)
    assert read(device, 3, 0, 2) == true_words  # one answer, unless told otherwise
    with pytest.raises(KeyError):
        device.corrupt_value("no_such_quantity", 1.0)


def test_a_truth_that_is_no_number_breaks_loudly(bench: Bench) -> None:
    device = bench.device("tuf2000m")
    bench.truth["flow"] = float("nan")
    with pytest.raises(ValueError, match="nan"):
        ask(device, 3, 0, 2)
