"""What real devices do beside answering: locks, corrections, watchdogs, pulses, silence, stale or torn values, wear."""

import struct
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

import pytest

from hil_sim.devices.contents import calendar_type_f
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
    return device.answer(struct.pack(">BHH", function, address, argument & 0xFFFF))


def read(device: DeviceServer, address: int, count: int, function: int = 3) -> tuple[int, ...]:
    answer = ask(device, function, address, count)
    assert answer is not None
    assert answer[:2] == bytes((function, 2 * count)), answer.hex()
    return struct.unpack(f">{count}H", answer[2:])


def write(device: DeviceServer, address: int, *words: int) -> bytes | None:
    words = tuple(word & 0xFFFF for word in words)
    return device.answer(struct.pack(f">BHHB{len(words)}H", 16, address, len(words), 2 * len(words), *words))


# --------------------------------------------------------------------------------------------------------------- UH50
def test_uh50_does_not_answer_what_it_does_not_like(bench: Bench) -> None:
    device = bench.device("siemens_landisgyr_uh50_wzu485e")
    assert ask(device, 3, 0, 2) is None
    assert ask(device, 3, 1, 42) is None
    assert ask(device, 4, 1, 2) is None
    assert ask(device, 6, 1, 2) is None
    assert ask(device, 3, 1, 41) is not None


def test_uh50_shows_a_split_value_torn(bench: Bench) -> None:
    device = bench.device("siemens_landisgyr_uh50_wzu485e")
    bench.truth["heat_power"] = 7000.0
    whole = read(device, 6, 2)
    assert whole[0] != whole[1]
    assert (*read(device, 6, 1), *read(device, 7, 1)) != whole
    served_s, _ = bench.log.served["dut", "heat_power"]
    assert len(served_s) == 1  # a half is no value


def test_uh50_answers_first_with_what_it_read_last_time(bench: Bench) -> None:
    device = bench.device("siemens_landisgyr_uh50_wzu485e")

    def flow_m3_per_h() -> float:
        high, low = read(device, 4, 2)
        return (high << 16 | low) * 0.001

    bench.truth["flow"] = 10.0
    assert flow_m3_per_h() == pytest.approx(10.0, rel=0.02)
    bench.truth["flow"] = 20.0
    bench.instant_s += 1800.0  # idle
    stale_time = read(device, 10, 2)
    assert flow_m3_per_h() == pytest.approx(10.0, rel=0.02)
    bench.instant_s += 4.9
    assert flow_m3_per_h() == pytest.approx(10.0, rel=0.02)
    bench.instant_s += 0.2
    assert flow_m3_per_h() == pytest.approx(20.0, rel=0.02)
    assert read(device, 10, 2) != stale_time  # the meter's clock proves it


def test_the_meters_calendar() -> None:
    # 2026-01-15 08:30: minute 30, hour 8, day 15, month 1, year 26 = 0b0011_010
    instant_s = datetime(2026, 1, 15, 8, 30, tzinfo=UTC).timestamp()
    assert calendar_type_f(instant_s) == 30 | 8 << 8 | 15 << 16 | 0b010 << 21 | 1 << 24 | 0b0011 << 28


# --------------------------------------------------------------------------------------------- set-points and watchdogs
def test_yvag_replaces_a_setpoint_out_of_range_and_still_echoes_it(bench: Bench) -> None:
    device = bench.device("york_yvag")
    assert ask(device, 6, 4, 300) == struct.pack(">BHH", 6, 4, 300)
    assert read(device, 4, 1) == (250,)
    assert bench.commands == [("cooling_supply_setpoint", 25)]


def test_yvag_refuses_a_command_that_is_none_and_shows_the_state_elsewhere(bench: Bench) -> None:
    device = bench.device("york_yvag")
    bench.truth["state"] = 0.0
    assert ask(device, 6, 0, 0) == b"\x86\x03"
    assert ask(device, 6, 1, 2) == b"\x86\x03"
    assert ask(device, 6, 0, 1) is not None
    assert read(device, 0, 1) == (1,)
    assert read(device, 100, 1) == (0,)


def test_yvag_resets_its_fault_once_and_clears_the_pulse(bench: Bench) -> None:
    device = bench.device("york_yvag")
    bench.truth["fault_reset"] = 0.0
    ask(device, 6, 8, 1)
    assert device.actions["fault_reset"] == 1
    assert read(device, 8, 1) == (0,)
    assert bench.commands == [("fault_reset", 1), ("fault_reset", 0)]


@pytest.mark.parametrize(("silence_s", "falls_back"), [(299.0, False), (301.0, True)])
def test_yvag_goes_off_when_nobody_talks(bench: Bench, silence_s: float, falls_back: bool) -> None:  # noqa: FBT001
    device = bench.device("york_yvag")
    ask(device, 6, 0, 1)
    bench.instant_s += 200.0
    read(device, 100, 1)  # any request is talking
    bench.instant_s += silence_s
    device.settle()
    assert bench.truth["run_request"] == (2 if falls_back else 1)


def test_ipu2_gives_the_setpoint_back_to_the_panel(bench: Bench) -> None:
    device = bench.device("york_ylaa_ipu2")
    ask(device, 6, 1026, -55)
    assert bench.truth["cooling_setpoint"] == pytest.approx(-5.5)
    ask(device, 6, 1026, 372)
    assert read(device, 1026, 1) == (70,)
    ask(device, 6, 1026, -55)
    bench.instant_s += 301.0
    assert read(device, 1026, 1) == (70,)


def test_eas_wants_to_be_unlocked_first_and_judges_by_the_mode(bench: Bench) -> None:
    device = bench.device("eas_ech_r32_modular")
    bench.truth.update(modbus_enable=0.0, mode_request=8.0)
    assert ask(device, 6, 0, 2) == b"\x86\x02"
    assert ask(device, 6, 138, 1) is not None
    assert ask(device, 6, 1, 45) == b"\x86\x03"  # off: no set-point
    assert ask(device, 6, 0, 2) is not None
    assert ask(device, 6, 1, 45) is not None
    assert ask(device, 6, 1, 20) == b"\x86\x03"
    assert write(device, 0, 1, 7) is not None  # mode and its set-point in one frame
    assert (bench.truth["mode_request"], bench.truth["supply_setpoint"]) == (1, 7)


def test_lambda_takes_function_16_only_and_forgets_the_surplus(bench: Bench) -> None:
    device = bench.device("lambda_eureka")
    assert ask(device, 6, 102, 3000) == b"\x86\x01"
    assert write(device, 102, 3000) == struct.pack(">BHH", 16, 102, 1)
    bench.instant_s += 59.0
    read(device, 103, 1)  # reading feeds nothing
    assert bench.truth["excess_power_setpoint"] == pytest.approx(3.0)
    assert write(device, 102, -1500) is not None
    bench.instant_s += 59.0
    assert read(device, 102, 1) == (0x10000 - 1500,)
    bench.instant_s += 2.0
    assert read(device, 102, 1) == (0,)


def test_idm_runs_a_pulse_again_until_the_master_puts_it_back(bench: Bench) -> None:
    device = bench.device("idm_navigator")
    bench.truth["dhw_trigger"] = 0.0
    ask(device, 6, 1713, 1)
    bench.instant_s += 60.0
    device.settle()
    assert device.actions["dhw_trigger"] == 1
    bench.instant_s += 1200.0
    device.settle()
    assert device.actions["dhw_trigger"] == 3
    ask(device, 6, 1713, 0)
    bench.instant_s += 6000.0
    device.settle()
    assert device.actions["dhw_trigger"] == 3


def test_writes_that_wear_are_counted_apart(bench: Bench) -> None:
    device = bench.device("idm_navigator")
    low, high = 0x0000, 0x40A0  # 5.0, low word first
    for _ in range(3):
        assert write(device, 74, low, high) is not None
    assert write(device, 78, low, high) is not None
    assert device.writes == {"pv_surplus": 3, "pv_production": 1}
    assert +device.wear == {"pv_production": 1}
    assert bench.truth["pv_surplus"] == 5.0


def test_half_a_float_is_refused(bench: Bench) -> None:
    device = bench.device("idm_navigator")
    assert ask(device, 6, 74, 1) == b"\x86\x03"
    assert ask(device, 6, 75, 1) == b"\x86\x02"
    assert write(device, 74, 0, 0x7FC0) == b"\x90\x03"  # not a number
    assert not device.writes


# -------------------------------------------------------------------------------------------------- coils and functions
def test_coils_are_switched_and_read(bench: Bench) -> None:
    device = bench.device("trane_rthd_ch530_pic")
    bench.truth.update(run_request=0.0, mode_request=0.0)
    assert ask(device, 5, 0, 0xFF00) == struct.pack(">BHH", 5, 0, 0xFF00)
    assert ask(device, 1, 0, 2) == b"\x01\x01\x01"
    assert device.answer(struct.pack(">BHHBB", 15, 0, 2, 1, 0b10)) == struct.pack(">BHH", 15, 0, 2)
    assert bench.commands == [("run_request", 1), ("run_request", 0), ("mode_request", 1)]
    assert ask(device, 1, 1, 1) == b"\x01\x01\x01"


@pytest.mark.parametrize(
    "frame",
    ["0f00000002020300", "0f0000000201", "10000100020200010002", "1000010002040001", "1000010000", "050000", "03"],
)
def test_frames_that_contradict_themselves_are_refused(bench: Bench, frame: str) -> None:
    device = bench.device("trane_rthd_ch530_pic")
    request = bytes.fromhex(frame)
    assert device.answer(request) == bytes((request[0] | 0x80, 3))
    assert not bench.commands


def test_a_drive_writes_and_reads_in_one_frame(bench: Bench) -> None:
    device = bench.device("abb_acx580")
    bench.truth.update(control_word=0.0, reference_1=0.0)
    frame = struct.pack(">BHHHHB2H", 23, 0, 4, 0, 2, 4, 0x047F, 12_000)
    assert device.answer(frame) == struct.pack(">BB4H", 23, 8, 0x047F, 12_000, *read(device, 2, 2))
    assert bench.commands == [("control_word", 0x047F), ("reference_1", 60)]


def test_a_forbidden_write_does_its_harm(bench: Bench) -> None:
    device = bench.device("chint_dtsu666")
    bench.truth["energy_total"] = 5000.0

    def energy_kwh() -> float:
        value: float = struct.unpack(">f", struct.pack(">2H", *read(device, 4126, 2)))[0]
        return value

    assert energy_kwh() > 4900.0
    assert ask(device, 6, 2, 1) is not None
    assert device.harm == {"clears the energy totals": 1}
    bench.instant_s += 1.0
    assert energy_kwh() == 0.0
    bench.truth["energy_total"] += 100.0
    bench.instant_s += 1.0
    assert energy_kwh() == pytest.approx(100.0, rel=0.01)
