"""A Modbus RTU slave on a pseudo terminal that does exactly what a script says, and notes when requests arrive."""

import os
import select
import threading
import tty
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import pytest
from ruamel.yaml import YAML

from drivers.catalogue import shipped
from drivers.profile import Profile
from drivers.profile_file import parse_profile
from edge_agent.clock import elapsed_s

REQUEST_LENGTH = 8
"""Requests of these tests are Modbus reads and writes ..."""
WAKING = 0xFE
"""... or those of another protocol, behind four of these: length in byte 13, two bytes behind the data."""

Script = Callable[[int, bytes], list[tuple[float, bytes]]]
"""Number and bytes of a request -> what is sent, each after a pause [s]."""


@dataclass
class Slave:
    """The slave's side of the line."""

    path: str
    master: int
    script: Script
    requests: list[tuple[float, bytes]] = field(default_factory=list)
    sent_at_s: list[float] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)
    asked: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        buffer = b""
        while not self.stopping.is_set():
            ready, _, _ = select.select([self.master], [], [], 0.05)
            if not ready:
                continue
            try:
                data = os.read(self.master, 256)
            except OSError:
                return
            if not buffer:
                arrived_s = elapsed_s()
            buffer += data
            while len(buffer) >= (length := _length(buffer)):  # those that came while it was busy wait in its queue
                request, buffer = buffer[:length], buffer[length:]
                self.requests.append((arrived_s, request))
                self.asked.set()
                for pause_s, data in self.script(len(self.requests) - 1, request):
                    if pause_s and self.stopping.wait(pause_s):
                        return
                    self.sent_at_s.append(elapsed_s())
                    os.write(self.master, data)


def _length(buffer: bytes) -> int:
    """The length of the request that begins here, as far as it can be told yet."""
    if buffer[:1] == bytes((WAKING,)):
        return 16 + buffer[13] if len(buffer) > 13 else 16
    return 9 + buffer[6] if len(buffer) > 6 and buffer[1] in (15, 16) else REQUEST_LENGTH


@pytest.fixture
def slaves() -> Iterator[Callable[[Script], Slave]]:
    """Starts slaves; stops them and closes their terminals at the end."""
    running: list[tuple[Slave, threading.Thread, int]] = []

    def start(script: Script) -> Slave:
        master, device = os.openpty()
        tty.setraw(device)
        slave = Slave(os.ttyname(device), master, script)
        thread = threading.Thread(target=slave.run, daemon=True)
        running.append((slave, thread, device))
        thread.start()
        return slave

    yield start
    for slave, thread, device in running:
        slave.stopping.set()
        thread.join()
        os.close(device)
        if slave.master >= 0:
            os.close(slave.master)


@pytest.fixture(scope="session")
def shipped_profiles() -> Mapping[str, Profile]:
    """Every profile that comes with the package, by id; read once."""
    return {
        name: parse_profile(YAML().load(path.read_text(encoding="utf-8")), name=name)
        for name, path in shipped().items()
    }
