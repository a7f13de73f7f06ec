"""Single meters on a wire: what the stand says about them is what a master reads."""

import json
import re
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
import serial
from click.testing import CliRunner
from pymodbus.client import ModbusTcpClient

from edge_agent.clock import elapsed_s
from hil_sim.cli import main
from hil_sim.devices.catalogue import MODELS
from hil_sim.line import with_crc
from hil_sim.stand import Place, Stand, StandFault, places

HOST = "127.0.0.1"
NOW_S = 1.78e9
FORMATS = {"bit": "H", "u16": "H", "i16": "h", "u32": "I", "i32": "i", "u64": "Q", "f32": "f"}
READERS = {1: "read_coils", 2: "read_discrete_inputs", 3: "read_holding_registers", 4: "read_input_registers"}


@pytest.fixture
def new_stand() -> Iterator[Callable[..., Stand]]:
    stands: list[Stand] = []

    def make(*chosen: Place) -> Stand:
        stands.append(Stand(chosen, seed=1, now_s=lambda: NOW_S, wall_s=elapsed_s))
        return stands[-1]

    yield make
    for stand in stands:
        stand.close()


def number(words: list[int], kind: str, order: str) -> float:
    ordered = words if order == "high_first" else words[::-1]
    value: float = struct.unpack(f">{FORMATS[kind]}", struct.pack(f">{len(words)}H", *ordered))[0]
    return value


def test_what_is_said_of_every_model_is_what_a_master_reads(new_stand: Callable[..., Stand]) -> None:
    stand = new_stand(*(Place(model, unit) for model, unit in zip(sorted(MODELS), count(1), strict=False)))
    stand.open_port(HOST, 0)
    facts = stand.facts(HOST)
    compared = 0
    client = ModbusTcpClient(HOST, port=int(str(facts["tcp"]).rpartition(":")[2]), retries=0, timeout=5)
    assert client.connect()
    for device in facts["devices"]:  # type: ignore[attr-defined]
        for point in device["points"]:
            read = getattr(client, READERS[point["function"]])
            answer = read(point["address"], count=point["registers"], device_id=device["unit"])
            assert not answer.isError(), point
            words = [int(bit) for bit in answer.bits[:1]] if point["function"] <= 2 else answer.registers
            if point["type"] == "i32+f32":
                got = number(words[:2], "i32", point["order"]) + number(words[2:], "f32", point["order"])
            elif point["type"] == "flag":
                got = float(words[0] != 0)
            else:
                got = number(words, point["type"], point["order"])
            assert got * point["scale"] == pytest.approx(point["value"], rel=1e-6), point
            compared += 1
    client.close()
    assert compared == sum(len([*shown.names()]) for shown in MODELS.values())


def test_devices_hang_on_a_line_with_a_fixed_name(new_stand: Callable[..., Stand], tmp_path: Path) -> None:
    stand = new_stand(Place("wb_m1w2", 5))
    stand.open_line(baud=115_200, link=tmp_path / "meter")
    facts = stand.facts(HOST)
    assert facts["serial"] == str(tmp_path / "meter")
    request = with_crc(struct.pack(">BBHH", 5, 4, 7, 1))
    with serial.Serial(str(facts["serial"]), 115_200, timeout=5) as port:
        port.write(request)
        answer = port.read(7)
    (raw,) = struct.unpack_from(">h", answer, 3)
    assert raw * 0.0625 == facts["devices"][0]["points"][0]["value"]  # type: ignore[index]


def test_the_printed_line_for_mbpoll_shows_the_value(
    new_stand: Callable[..., Stand], need_program: Callable[[str], str]
) -> None:
    mbpoll = need_program("mbpoll")
    stand = new_stand(
        Place("tuf2000m", 1), Place("siemens_landisgyr_uh50_wzu485e", 2), Place("trane_rthd_ch530_pic", 3)
    )
    stand.open_port(HOST, 0)
    for device in stand.facts(HOST)["devices"]:  # type: ignore[attr-defined]
        chosen = {
            (point["type"], point["function"]): point
            for point in device["points"]
            if "+" not in point["type"] and point["type"] != "flag"
        }
        for point in chosen.values():
            command = [mbpoll, *point["mbpoll"].split()[1:]]
            shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout
            (got,) = re.findall(r"^\[\d+\]:\s+(\S+)", shown, re.MULTILINE)
            assert float(got) * point["scale"] == pytest.approx(point["value"], rel=1e-5), point


def test_units_are_given_or_counted_up() -> None:
    assert places(["xy_md0x", "wb_m1w2:2", "tuf2000m"], first_unit=1) == (
        Place("xy_md0x", 1),
        Place("wb_m1w2", 2),
        Place("tuf2000m", 3),
    )


@pytest.mark.parametrize(
    ("wishes", "complaint"),
    [
        (["no_such_meter"], "no model 'no_such_meter'"),
        (["xy_md0x:0"], "unit number 1..247"),
        (["xy_md0x:248"], "unit number 1..247"),
        (["xy_md0x:one"], "unit number 1..247"),
        (["xy_md0x:4", "wb_m1w2:4"], "twice"),
    ],
)
def test_what_cannot_be_is_said(wishes: list[str], complaint: str) -> None:
    with pytest.raises(StandFault, match=re.escape(complaint)):
        places(wishes, first_unit=1)


def test_without_a_model_the_models_are_listed() -> None:
    shown = CliRunner().invoke(main, ["device"])
    assert shown.exit_code == 0
    assert shown.output.split() == sorted(MODELS)


def test_a_wrong_model_is_a_usage_error() -> None:
    assert CliRunner().invoke(main, ["device", "no_such_meter"]).exit_code == 2


def test_the_verb_serves_until_it_is_told_to_end() -> None:
    command = [sys.executable, "-P", "-m", "hil_sim.cli", "device", "eastron_sdm630:7", "--tcp", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        facts = json.loads(process.stdout.readline())
        assert facts["schema"] == "device/1"
        client = ModbusTcpClient(HOST, port=int(facts["tcp"].rpartition(":")[2]), retries=0, timeout=5)
        assert client.connect()
        volts = number(client.read_input_registers(0, count=2, device_id=7).registers, "f32", "high_first")
        client.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 130
    assert 200.0 < volts < 260.0
