"""A serial server: the raw TCP port of a box that has the other end of an RS-485 line, and knows no Modbus.

It carries bytes between a serial port (of a simulated line, hil_sim.line) and whoever is connected. What comes from the
line goes to the clients of that moment, also what a client before them asked for.
"""

import contextlib
import os
import select
import socket
import threading
import time
import tty
from dataclasses import dataclass
from typing import Final

READ_BYTES_MAX: Final = 4096
STOP_S_MAX: Final = 10.0
LOOK_S: Final = 0.05
"""Switches that need no traffic (idle close, `down`) take effect within this time [wall s]."""


@dataclass(slots=True)
class SerialServerFaults:
    """What the box does wrong; every switch may be thrown while it runs, from any thread.

    Attributes:
        down: refuses connections and resets those that there are, as without power; the line is not read meanwhile.
        clients_max: a connection beyond that number is closed at once.
        idle_close_s: a connection without traffic for so long is closed [wall s]; None: never.
        packing_s: what comes from the line is collected for so long before it is sent [wall s].
    """

    down: bool = False
    clients_max: int = 1
    idle_close_s: float | None = None
    packing_s: float = 0.0


class SerialServer:
    """A running serial server.

    Attributes:
        port: where it listens.
        faults: what it does wrong.
        connections: that were taken.
    """

    def __init__(self, path: str, *, host: str = "127.0.0.1", port: int = 0) -> None:
        """Opens the serial port and listens (port 0: any free one); serves until `stop`.

        Raises:
            OSError: one of them cannot be had.
        """
        self.faults = SerialServerFaults()
        self.connections = 0
        self._line = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self._line)
        self._host = host
        self._listener: socket.socket | None = socket.create_server((host, port))
        self.port: int = self._listener.getsockname()[1]
        self._clients: dict[socket.socket, float] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"serial-server-{self.port}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends connections and gives both ports back."""
        self._ended.set()
        self._thread.join(STOP_S_MAX)

    def _run(self) -> None:
        while not self._ended.is_set():
            self._follow_switches()
            if self._listener is None:
                self._ended.wait(LOOK_S)
                continue
            watched: list[int | socket.socket] = [self._listener, self._line, *self._clients]
            ready, _, _ = select.select(watched, [], [], LOOK_S)
            if self._line in ready:
                self._from_line()
            for client in [client for client in self._clients if client in ready]:
                self._from_client(client)
            if self._listener in ready:
                self._accept()
        self._shut()
        os.close(self._line)

    def _follow_switches(self) -> None:
        if self.faults.down:
            self._shut()
            return
        if self._listener is None:
            self._listener = socket.create_server((self._host, self.port))
        idle_s = self.faults.idle_close_s
        if idle_s is not None:
            now_s = time.monotonic()  # noqa: TID251 - a box of its own with its own clock
            for client in [client for client, heard_s in self._clients.items() if now_s - heard_s >= idle_s]:
                self._end(client)

    def _accept(self) -> None:
        assert self._listener is not None
        client, _ = self._listener.accept()
        if len(self._clients) >= self.faults.clients_max:
            client.close()
            return
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connections += 1
        self._heard(client)

    def _from_line(self) -> None:
        if self.faults.packing_s:
            time.sleep(self.faults.packing_s)
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._line, READ_BYTES_MAX)
            for client in tuple(self._clients):
                try:
                    client.sendall(data)
                except OSError:
                    self._end(client)
                else:
                    self._heard(client)

    def _from_client(self, client: socket.socket) -> None:
        try:
            data = client.recv(READ_BYTES_MAX)
        except OSError:
            data = b""
        if data:
            self._heard(client)
            os.write(self._line, data)
        else:
            self._end(client)

    def _heard(self, client: socket.socket) -> None:
        self._clients[client] = time.monotonic()  # noqa: TID251 - as above

    def _end(self, client: socket.socket) -> None:
        self._clients.pop(client, None)
        client.close()

    def _shut(self) -> None:
        for client in tuple(self._clients):
            self._end(client)
        if self._listener is not None:
            self._listener.close()
            self._listener = None
