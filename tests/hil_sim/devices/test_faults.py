"""The fault switches of a simulated device: what the wire carries while one is thrown, and what the log holds."""

import struct
from collections.abc import Callable
from typing import Protocol

import pytest

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


def shown(device: DeviceServer, name: str) -> float | None:
    """What a reader of one quantity gets."""
    quantity = next(quantity for quantity in device.map.quantities if quantity.name == name)
    answer = ask(device, quantity.function, quantity.layout.address, quantity.layout.count)
    assert answer is not None
    words = struct.unpack(f">{quantity.layout.count}H", answer[2:])
    return quantity.layout.to_inside(words, device.map.order)


def logged(bench: Bench, name: str) -> float | None:
    served, value = bench.log.latest("dut", name, until_s=bench.instant_s)
    assert served
    return value


def test_a_refusing_device_refuses_everything_and_serves_nothing(bench: Bench) -> None:
    device = bench.device("generic_ground_unit")
    device.refuse(4)
    assert ask(device, 4, 0, 1) == b"\x84\x04"
    assert ask(device, 6, 0, 1) == b"\x86\x04"
    assert not bench.commands
    assert not bench.log.served
    device.refuse(0)
    assert shown(device, "state") is not None


def test_a_frozen_device_shows_the_past_and_says_so_in_the_log(bench: Bench) -> None:
    device = bench.device("tuf2000m")
    before = shown(device, "flow")
    device.freeze(on=True)
    bench.truth["flow"] = 99.0
    bench.instant_s += 3600.0
    assert shown(device, "flow") == before == logged(bench, "flow")
    assert shown(device, "velocity") is not None  # never looked at before: it has to begin somewhere
    device.freeze(on=False)
    assert shown(device, "flow") == pytest.approx(99.0, rel=0.02)


def test_a_disconnected_meter_counts_zero_and_the_log_knows_better(bench: Bench) -> None:
    device = bench.device("tuf2000m")
    bench.truth["heat_total"] = 500_000.0
    device.zero_counters(on=True)
    assert shown(device, "heat_total") == 0.0
    assert logged(bench, "heat_total") == pytest.approx(500_000.0, rel=0.02)
    assert shown(device, "flow") != 0.0
    device.zero_counters(on=False)
    assert shown(device, "heat_total") == logged(bench, "heat_total")


@pytest.mark.parametrize(
    ("model", "name", "error"),
    [
        ("tuf2000m", "volume_total", 1.0),  # whole part of the next cubic metre, fraction of this one
        ("acrel_adl3000", "energy_total", 65_536 * 0.6),
        ("mag11_heat", "heat_total", 2**48 / 1000),
        ("lambda_eureka_1_1_3", "energy_total", 65.536),
    ],
)
def test_a_torn_total_is_wrong_once(bench: Bench, model: str, name: str, error: float) -> None:
    device = bench.device(model)
    bench.truth[name] = 4321.5
    device.tear(name)
    torn = shown(device, name)
    true = logged(bench, name)
    assert torn is not None
    assert true is not None
    assert torn - true == pytest.approx(error, rel=1e-6)
    assert shown(device, name) == true


def test_one_register_cannot_be_torn(bench: Bench) -> None:
    device = bench.device("wb_m1w2")
    with pytest.raises(ValueError, match="one register"):
        device.tear("temperature_1")


def test_another_firmware_swaps_the_words(bench: Bench) -> None:
    device = bench.device("eastron_sdm630")
    true = ask(device, 4, 52, 2)
    device.swap_words(on=True)
    swapped = ask(device, 4, 52, 2)
    assert true is not None
    assert swapped == true[:2] + true[4:6] + true[2:4]
    device.swap_words(on=False)
    assert ask(device, 4, 52, 2) == true


def test_a_reset_meter_counts_from_there(bench: Bench) -> None:
    device = bench.device("mag11_heat")
    bench.truth["heat_total"] = 700_000.0
    serial = device.serial
    shown(device, "heat_total")
    device.reset_counters(12.0)
    assert shown(device, "heat_total") == pytest.approx(12.0, rel=0.01) == logged(bench, "heat_total")
    bench.truth["heat_total"] += 50.0
    bench.instant_s += 10.0
    assert shown(device, "heat_total") == pytest.approx(62.0, rel=0.01)
    assert device.serial == serial
    assert shown(device, "flow") == pytest.approx(bench.truth["flow"], rel=0.02)  # no counter


def test_an_exchanged_meter_is_another_one(bench: Bench) -> None:
    device = bench.device("siemens_landisgyr_uh50_wzu485e")
    bench.truth.update(heat_total=700_000.0, supply_temperature=60.0)
    before = {name: shown(device, name) for name in ("serial_number", "supply_temperature")}
    assert before["serial_number"] == device.serial
    serial = device.exchange(start=25.0)
    for _ in range(2):  # the module reads its meter behind the first answer
        bench.instant_s += 10.0
        after = {name: shown(device, name) for name in ("serial_number", "heat_total", "supply_temperature")}
    assert after["serial_number"] == serial == device.serial != before["serial_number"]
    assert after["heat_total"] == pytest.approx(25.0, abs=1.0)
    assert after["supply_temperature"] != before["supply_temperature"]  # errors of its own


def test_a_sensor_is_taken_out_and_put_back(bench: Bench) -> None:
    device = bench.device("nibe_s_series")
    assert shown(device, "outdoor_temperature") is not None
    device.remove_sensor("outdoor_temperature")
    assert ask(device, 4, 1, 1) == b"\x04\x02\x80\x00"
    assert logged(bench, "outdoor_temperature") is None
    device.remove_sensor("outdoor_temperature", on=False)
    assert shown(device, "outdoor_temperature") is not None


@pytest.mark.parametrize(("silent", "answer"), [(False, b"\x83\x02"), (True, None)])
def test_a_hole_appears_in_the_map(bench: Bench, silent: bool, answer: bytes | None) -> None:  # noqa: FBT001
    device = bench.device("tuf2000m")
    assert ask(device, 3, 0, 20) is not None
    device.add_hole(3, 6, 7, silent=silent)
    assert ask(device, 3, 0, 20) == answer
    assert ask(device, 3, 7, 2) == answer
    assert ask(device, 3, 0, 6) is not None
    assert ask(device, 3, 8, 12) is not None
