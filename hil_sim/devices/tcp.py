"""Several devices behind one Modbus TCP port, as a plant network has them: pymodbus' server in a thread of its own.

Not here: what the devices answer (hil_sim.devices.server).
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Final

from pymodbus.constants import ExcCodes
from pymodbus.pdu import ModbusPDU
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from hil_sim.devices.registers import HOLDING, INPUT
from hil_sim.devices.server import DeviceServer

START_S_MAX: Final = 10.0
"""Longest wait [s] for the server thread to listen or to end."""
LAST_ANSWERS_S_MAX: Final = 1.0
"""Longest wait [s] at the end for answers that are under way."""
UNIT_PLACE: Final = 6
"""Place of the unit number in a frame. Source: MODBUS Messaging on TCP/IP Implementation Guide V1.0b, 3.1.3."""
EVERY_OTHER_UNIT: Final = 0

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
        server = ModbusTcpServer(
            [*(device.sim_device(_action(device)) for device in self._devices.values()), _nobody()],
            address=(host, port),
            trace_pdu=self._on_pdu,
            trace_packet=self._on_packet,
        )
        await server.serve_forever(background=True)
        listener = server.transport
        assert isinstance(
            listener, asyncio.Server
        )  # pymodbus' type is wider: the same field holds connections elsewhere
        self.port = listener.sockets[0].getsockname()[1]
        self._ready.set()
        await self._end.wait()
        deadline_s = self._loop.time() + LAST_ANSWERS_S_MAX
        # A connection that is just being accepted would escape the closing below.
        while (under_way := asyncio.all_tasks() - {asyncio.current_task()}) and self._loop.time() < deadline_s:
            await asyncio.wait(under_way, timeout=deadline_s - self._loop.time())
        await server.shutdown()  # type: ignore[no-untyped-call] # pymodbus
        await asyncio.sleep(0)  # closed connections say goodbye in the loop's next round

    def _on_pdu(self, sending: bool, pdu: ModbusPDU) -> ModbusPDU:  # noqa: FBT001 - pymodbus' signature
        if not sending and pdu.dev_id in self._devices:
            self._devices[pdu.dev_id].requested(pdu.function_code)
        return pdu

    def _on_packet(self, sending: bool, packet: bytes) -> bytes:  # noqa: FBT001 - pymodbus' signature
        device = self._devices.get(packet[UNIT_PLACE]) if sending and len(packet) > UNIT_PLACE else None
        if device is None:
            return packet
        if device.muted:
            return b""
        return self.disturbance(device.name, packet) if self.disturbance is not None else packet


def serve_tcp(devices: Sequence[DeviceServer], host: str, port: int) -> TcpServer:
    """Serves devices on one port (0: any free one) until `stop`; unknown units are answered with exception 11.

    Raises:
        OSError: the port cannot be had.
    """
    server = TcpServer(devices)
    server.start(host, port)
    return server


def _action(
    device: DeviceServer,
) -> Callable[[int, int, int, int, list[int], list[int] | list[bool] | None], Coroutine[None, None, ExcCodes | None]]:
    async def act(
        function: int, start: int, address: int, count: int, registers: list[int], values: list[int] | list[bool] | None
    ) -> ExcCodes | None:
        if device.late_s and (values is not None or function in (HOLDING, INPUT)):
            await asyncio.sleep(device.late_s)
        return device.act(function, start, address, count=count, registers=registers, values=values)

    return act


def _nobody() -> SimDevice:
    """Stands for all other unit numbers: a gateway whose line stays silent; pymodbus alone would log a KeyError."""

    async def no_answer(
        _function: int,
        _start: int,
        _address: int,
        _count: int,
        _registers: list[int],
        _values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        return ExcCodes.GATEWAY_NO_RESPONSE

    return SimDevice(
        id=EVERY_OTHER_UNIT, simdata=SimData(0, count=65536, values=0, datatype=DataType.REGISTERS), action=no_answer
    )
