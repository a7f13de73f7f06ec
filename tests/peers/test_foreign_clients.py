"""Foreign clients against our simulated devices: every value that they read is the one that the log says was served."""

import json
import re
import subprocess
from collections.abc import Callable

import pytest

from edge_agent.clock import elapsed_s
from hil_sim.devices.catalogue import MODELS
from hil_sim.devices.server import DeviceServer
from hil_sim.devices.tcp import serve_tcp
from hil_sim.line import SerialLine
from hil_sim.wire_log import WireLog

UNIT = 7
INSTANT_S = 1_768_464_000.0


def device(log: WireLog, model: str) -> DeviceServer:
    return DeviceServer(
        model, UNIT, model, truth=lambda _name: 11.25, command=lambda _name, _value: None, seed=3,
        now_s=lambda: INSTANT_S, log=log,
    )  # fmt: skip


def compared(log: WireLog, subject: DeviceServer, read: Callable[[int, int, int], list[int]]) -> int:
    """Reads each quantity by a foreign client and holds it against the log."""
    count = 0
    for quantity in subject.map.quantities:
        words = read(quantity.function, quantity.layout.address, quantity.layout.count)
        served, inside = log.latest(subject.name, quantity.name, until_s=INSTANT_S)
        assert served, quantity.name
        assert quantity.layout.to_inside(tuple(words), subject.map.order) == inside, quantity.name
        count += 1
    return count


MODEL = "generic_station_io"


def mbpoll(words: list[str], function: int, address: int, count: int) -> list[int]:
    kind = {3: "4:hex", 4: "3:hex"}[function]
    shown = subprocess.run(
        [words[0], *words[1:-1], "-0", "-a", str(UNIT), "-r", str(address), "-c", str(count), "-t", kind, "-1", "-q",
         words[-1]],
        capture_output=True, text=True, check=True, timeout=20,
    ).stdout  # fmt: skip
    return [int(value, 16) for value in re.findall(r"\[\d+\]:\s+0x([0-9A-Fa-f]+)", shown)]


def test_mbpoll_over_tcp(need_program: Callable[[str], str]) -> None:
    log = WireLog()
    subject = device(log, MODEL)
    program = need_program("mbpoll")
    server = serve_tcp([subject], "127.0.0.1", 0)
    try:
        words = [program, "-m", "tcp", "-p", str(server.port), "127.0.0.1"]
        assert compared(log, subject, lambda *what: mbpoll(words, *what)) == len(MODELS[MODEL].quantities)
    finally:
        server.stop()


def test_mbpoll_on_the_paced_line(need_program: Callable[[str], str]) -> None:
    log = WireLog()
    subject = device(log, MODEL)
    program = need_program("mbpoll")
    line = SerialLine("line", [subject], baud=19200, now_s=lambda: INSTANT_S, wall_s=elapsed_s, log=log)
    line.start()
    try:
        words = [program, "-m", "rtu", "-b", "19200", "-P", "none", line.path]
        assert compared(log, subject, lambda *what: mbpoll(words, *what)) == len(MODELS[MODEL].quantities)
    finally:
        line.stop()


@pytest.mark.parametrize("model", [MODEL, "tuf2000m"])
def test_modbus_serial_over_tcp(model: str, node_client: Callable[..., str]) -> None:
    log = WireLog()
    subject = device(log, model)
    server = serve_tcp([subject], "127.0.0.1", 0)

    def read(function: int, address: int, count: int) -> list[int]:
        values: list[int] = json.loads(node_client(server.port, UNIT, function, address, count))
        return values

    try:
        assert compared(log, subject, read) == len(MODELS[model].quantities)
    finally:
        server.stop()
