"""Several devices behind one Modbus TCP port, as a plant network has them: a server in a thread of its own.

Not here: what the devices answer (hil_sim.devices.server).
"""

import asyncio
import logging
import struct
import threading
from collections.abc import Callable, Sequence
from typing import Final

from hil_sim.devices.pdu import GATEWAY_TARGET_SILENT, exception_answer
from hil_sim.devices.server import DeviceServer

logger = logging.getLogger(__name__)

START_S_MAX: Final = 10.0
"""Longest wait [s] for the server thread to listen or to end."""
HEADER: Final = struct.Struct(">HHHB")
"""Transaction, protocol (0), length of what follows, unit.

Source: MODBUS Messaging on TCP/IP Implementation Guide V1.0b, 3.1.3.
"""
LAST_ACCEPT_S_MAX: Final = 1.0
"""Longest wait [s] at the end for a connection that is being accepted."""
LENGTHS: Final = range(2, 255)

Disturbance = Callable[[str, bytes], bytes]
"""Makes of a device's answer frame what the wire carries: the frame, a damaged one, or nothing (b"")."""


class TcpServer:
    """A running server; made by `serve_tcp`.

    Attributes:
        port: where it listens.
        disturbance: what the wire does to answers; None: nothing.
    """

    def __init__(self, devices: Sequence[DeviceServer]) -> None:
        self.port = 0
        self.disturbance: Disturbance | None = None
        self._devices = {device.unit: device for device in devices}
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self._fault: BaseException | None = None
        self._talks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._thread: threading.Thread | None = None

    def start(self, host: str, port: int) -> None:
        """Listens.

        Raises:
            OSError: the port cannot be had.
        """
        self._thread = threading.Thread(target=self._run, args=(host, port), name=f"modbus-tcp-{port}", daemon=True)
        self._thread.start()
        if not self._ready.wait(START_S_MAX):
            raise OSError(f"Modbus TCP server on {host}:{port} did not start within {START_S_MAX} s")
        if self._fault is not None:
            raise OSError(f"Modbus TCP server cannot listen on {host}:{port}: {self._fault}") from self._fault

    def stop(self) -> None:
        """Closes every connection and the port."""
        if self._thread is None or self._loop is None or self._end is None:
            return
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(START_S_MAX)
        self._thread = None

    def _run(self, host: str, port: int) -> None:
        try:
            asyncio.run(self._serve(host, port))
        except (OSError, RuntimeError) as fault:
            self._fault = fault
        finally:
            self._ready.set()

    async def _serve(self, host: str, port: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        server = await asyncio.start_server(self._connected, host, port)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._end.wait()
        # A connection that is just being accepted would escape the closing below.
        if accepting := asyncio.all_tasks() - {asyncio.current_task()} - set(self._talks):
            await asyncio.wait(accepting, timeout=LAST_ACCEPT_S_MAX)
        server.close()
        await server.wait_closed()
        for task, writer in tuple(self._talks.items()):
            writer.close()
            task.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        await asyncio.sleep(0)  # closed connections say goodbye in the loop's next round

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._talk(reader, writer), name=f"modbus-tcp-{self.port}")
        self._talks[task] = writer
        task.add_done_callback(self._talks.pop)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers one client until it goes."""
        try:
            while True:
                header = await reader.readexactly(HEADER.size)
                transaction, protocol, length, unit = HEADER.unpack(header)
                if protocol or length not in LENGTHS:
                    return
                answer = await self._answer(unit, await reader.readexactly(length - 1))
                if answer is None:
                    continue
                frame = HEADER.pack(transaction, protocol, len(answer) + 1, unit) + answer
                if self.disturbance is not None and unit in self._devices:
                    frame = self.disturbance(self._devices[unit].name, frame)
                writer.write(frame)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        except Exception:  # one request that breaks a device must not take the port away
            logger.exception("device cannot answer port=%d", self.port)
        finally:
            writer.close()

    async def _answer(self, unit: int, request: bytes) -> bytes | None:
        device = self._devices.get(unit)
        if device is None:  # a gateway whose line stays silent
            return exception_answer(request[0], GATEWAY_TARGET_SILENT)
        device.requested(request[0])
        if device.late_s:
            await asyncio.sleep(device.late_s)
        return device.answer(request)


def serve_tcp(devices: Sequence[DeviceServer], host: str, port: int) -> TcpServer:
    """Serves devices on one port (0: any free one) until `stop`; unknown units are answered with exception 11.

    Raises:
        OSError: the port cannot be had.
    """
    server = TcpServer(devices)
    server.start(host, port)
    return server
