"""Where the foreign Modbus programs are and how they are started; `make peers` brings them.

A peer that is not there is a skip that names it; one that $REQUIRE names must be there.
"""

import os
import select
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

HERE = Path(__file__).resolve().parent
PEERS = Path(os.environ.get("PEERS") or Path.home() / ".cache" / "heat-pump-edge-agent" / "peers")
START_S_MAX = 20.0


def missing(peer: str) -> NoReturn:
    """Skips, or fails where the peer is required."""
    if peer in os.environ.get("REQUIRE", "").split():
        pytest.fail(f"{peer} is not installed (make peers), and REQUIRE names it")
    pytest.skip(f"{peer} is not installed (make peers)")


def command(peer: str, wire: str) -> list[str]:
    """How a peer's server is started on a wire (tcp, rtu)."""
    servers = HERE / "servers"
    if peer == "libmodbus":
        program = PEERS / "libmodbus_server"
        return [str(program), wire] if program.exists() else missing(peer)
    if peer == "modbus-serial":
        node = shutil.which("node")
        if node is None or not (PEERS / "node_modules" / peer).exists():
            missing(peer)
        return [node, str(servers / "modbus_serial_server.js"), wire]
    python = PEERS / "venv" / "bin" / "python"
    module = {"modbus-tk": "modbus_tk", "umodbus": "umodbus", "pyModbusTCP": "pyModbusTCP"}[peer]
    if not python.exists() or not list((PEERS / "venv").glob(f"lib/python3*/site-packages/{module}")):
        missing(peer)
    return [str(python), str(servers / f"{module.lower()}_server.py"), wire]


@pytest.fixture
def server_command() -> Callable[[str, str], list[str]]:
    """Returns a function: how a peer's server is started on a wire (tcp, rtu); a skip where it is not installed."""
    return command


@pytest.fixture
def node_client() -> Callable[..., str]:
    """Returns a function that runs the node client with these arguments and returns what it prints."""
    node = command("modbus-serial", "tcp")[0]

    def run(*arguments: int) -> str:
        words = [node, str(HERE / "servers" / "modbus_serial_client.js"), *map(str, arguments)]
        environment = {"NODE_PATH": str(PEERS / "node_modules")}
        return subprocess.run(words, capture_output=True, text=True, check=True, timeout=20, env=environment).stdout

    return run


@pytest.fixture
def start() -> Iterator[Callable[[list[str]], None]]:
    """Returns a function that starts a program and waits until it prints "ready"."""
    running: list[subprocess.Popen[str]] = []

    def run(words: list[str]) -> None:
        environment = {**os.environ, "NODE_PATH": str(PEERS / "node_modules")}
        environment.pop("PYTHONSAFEPATH", None)
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment)
        running.append(process)
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], START_S_MAX)
        assert ready, f"{words[0]} says nothing"
        assert process.stdout.readline().strip() == "ready"

    yield run
    for process in running:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
