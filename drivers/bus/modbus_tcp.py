"""Modbus TCP: pymodbus' client behind a guard that owns the connection and lets nothing pass that is not the answer.

Why a guard: as shipped (3.16) the client accepts an answer with another function code, with fewer registers than
asked, with a wrong write echo or with transaction id 0; an answer that it cannot decode raises inside its receive
callback; a failed first connect starts no reconnect, and a second connect leaks the first socket. tests/drivers shows
what the guard makes of each.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence

from pymodbus import FramerType, ModbusException
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.pdu import ModbusPDU
from pymodbus.pdu.bit_message import (
    ReadCoilsRequest,
    ReadDiscreteInputsRequest,
    WriteMultipleCoilsRequest,
    WriteSingleCoilRequest,
)
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadInputRegistersRequest,
    WriteMultipleRegistersRequest,
    WriteSingleRegisterRequest,
)

from drivers.bus.base import BusCounts, Span, UnitTiming, refusal
from drivers.errors import LineDown, NoAnswer, ProtocolFault
from drivers.read_plan import READ_FUNCTION_BITS_LAST, LineCost

log = logging.getLogger(__name__)
# The guard words every failure itself; the library's own lines would repeat them at each poll.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)

TIMEOUT_S = 1.0
TURNAROUND_TYPICAL_S = 0.005
RECONNECT_FIRST_S = 0.5
RECONNECT_MAX_S = 8.0
RECONNECT_JITTER_RATIO = 0.25
"""Each wait is longer or shorter by up to this share, so that many controllers do not come back in step."""
SILENT_MAX = 3
"""Answers missing in a row before the connection itself is suspected and made anew."""
HEADER_LENGTH = 7
PDU_LENGTH_MIN, PDU_LENGTH_MAX = 2, 253
"""Source: MODBUS Messaging on TCP/IP Implementation Guide V1.0b, 3.1.3; Modbus Application Protocol V1.1b3, 4.1."""
EXCEPTION_BIT = 0x80
EXCEPTION_LENGTH = 2
ECHO_LENGTH = 5
WRITE_COIL, WRITE_REGISTER, WRITE_COILS, WRITE_REGISTERS = 5, 6, 15, 16
READ_REQUESTS: dict[int, type[ModbusPDU]] = {
    1: ReadCoilsRequest,
    2: ReadDiscreteInputsRequest,
    3: ReadHoldingRegistersRequest,
    4: ReadInputRegistersRequest,
}


class ModbusTcpBus:
    """Modbus TCP to one host: one connection, one request in flight, several units behind it.

    Args:
        name: as in devices.yaml.
        host: name or address.
        port: TCP port.
        elapsed_s: stop-watch of the machine [s].
        timeout_s: wall time for the answer, and for making the connection [s].
    """

    def __init__(
        self, name: str, *, host: str, port: int, elapsed_s: Callable[[], float], timeout_s: float = TIMEOUT_S
    ) -> None:
        self.name = name
        self.counts = BusCounts()
        self._timeout_s = timeout_s
        self._timings: dict[int, UnitTiming] = {}
        self.cost = LineCost.tcp(turnaround_s=TURNAROUND_TYPICAL_S)
        self._host = host
        self._port = port
        self._elapsed_s = elapsed_s
        self._turn = asyncio.Lock()
        self._client: AsyncModbusTcpClient | None = None
        self._request: ModbusPDU | None = None  # the one in flight
        self._opened = False
        self._silent = 0
        self._retry_at_s = float("-inf")
        self._retry_after_s = RECONNECT_FIRST_S
        self._down_since_s: float | None = None
        self._dice = random.Random()  # noqa: S311 - jitter, not a secret

    def expect(self, unit: int, timing: UnitTiming) -> None:
        """Tells the pace of a unit, before `open`."""
        self._timings[unit] = timing

    def miss_s(self, unit: int) -> float:
        """What an unanswered request to a unit costs: its time-out; nothing has to pass before the next one [s]."""
        return self._timings.get(unit, UnitTiming()).timeout_s or self._timeout_s

    async def open(self) -> None:
        """Makes the connection; a host that is not there is tried again at later requests, with growing pauses."""
        self._opened = True
        async with self._turn:
            await self._connect()

    async def close(self) -> None:
        """Ends the connection."""
        self._opened = False
        self._drop()

    async def read(self, span: Span, *, unit: int) -> tuple[int, ...]:
        """Fetches registers, or bits as 0 and 1.

        Raises:
            LineDown: no connection.
            NoAnswer: silence, or a gateway reports it.
            ProtocolFault: not the answer to this request.
            DeviceRefused: exception answer.
        """
        response = await self._transact(
            READ_REQUESTS[span.function](address=span.address, count=span.count, dev_id=unit)
        )
        if span.function <= READ_FUNCTION_BITS_LAST:
            return tuple(int(bit) for bit in response.bits[: span.count])
        return tuple(response.registers)

    async def write(self, address: int, values: Sequence[int], *, unit: int, function: int) -> None:
        """Sends registers or bits and checks the echo. Never repeated here.

        Raises:
            DriverError: as `read`.
        """
        request: ModbusPDU
        if function == WRITE_COIL:
            request = WriteSingleCoilRequest(address=address, bits=[bool(values[0])], dev_id=unit)
        elif function == WRITE_COILS:
            request = WriteMultipleCoilsRequest(address=address, bits=[bool(value) for value in values], dev_id=unit)
        elif function == WRITE_REGISTER:
            request = WriteSingleRegisterRequest(address=address, registers=[values[0]], dev_id=unit)
        else:
            assert function == WRITE_REGISTERS, f"function {function} does not write"
            request = WriteMultipleRegistersRequest(address=address, registers=list(values), dev_id=unit)
        await self._transact(request)

    # --------------------------------------------------------------------------------------------------- one request

    async def _transact(self, request: ModbusPDU) -> ModbusPDU:
        """Sends one request and returns its checked answer."""
        async with self._turn:
            client = await self._connected()
            self._request = request
            try:
                response: ModbusPDU = await client.execute(False, request)  # noqa: FBT003 - the library's signature
            except (LineDown, ProtocolFault):  # raised by the guard through the library's future
                self._drop()
                raise
            except (ModbusException, OSError) as error:
                raise self._no_answer(request, error) from error
            finally:
                self._request = None
        self._silent = 0
        if response.isError():
            raise refusal(
                response.exception_code, f"{self.name}: unit {request.dev_id}, function {request.function_code}"
            )
        return response

    def _no_answer(self, request: ModbusPDU, error: Exception) -> LineDown | NoAnswer:
        if self._client is None or not self._client.connected:
            self._drop()
            return LineDown(f"{self.name}: connection lost: {error}")
        self._silent += 1
        if self._silent >= SILENT_MAX:
            # Either all units behind it are dead, or the connection is a black hole; a new one tells.
            self._drop()
        return NoAnswer(f"{self.name}: unit {request.dev_id} is silent")

    def _inspect(self, sending: bool, data: bytes) -> bytes:  # noqa: FBT001 - the library's hook
        """Sees all bytes first; what is neither the answer nor a late one to skip ends the transaction."""
        request = self._request
        if sending:
            return data
        if request is None:
            return b""  # late answer to a request that was given up; the library forgets it at the next request
        position = 0
        while len(data) - position > HEADER_LENGTH:
            transaction = int.from_bytes(data[position : position + 2], "big")
            protocol = int.from_bytes(data[position + 2 : position + 4], "big")
            size = int.from_bytes(data[position + 4 : position + 6], "big") - 1  # without the unit
            if protocol != 0 or not PDU_LENGTH_MIN <= size <= PDU_LENGTH_MAX:
                return self._reject(f"not a Modbus TCP frame: {data[position : position + 8].hex(' ')}")
            end = position + HEADER_LENGTH + size
            if len(data) < end:
                break
            if transaction == 0:
                return self._reject("answer without a transaction number")
            if transaction == request.transaction_id:
                fault = _fault(request, unit=data[position + 6], pdu=data[position + HEADER_LENGTH : end])
                if fault:
                    return self._reject(fault)
            # Any other number belongs to an earlier request that was given up: the library skips it.
            position = end
        return data

    def _reject(self, fault: str) -> bytes:
        """Ends the transaction in flight with a protocol fault; the connection is out of step and will be dropped."""
        self._end(ProtocolFault(f"{self.name}: {fault}"))
        return b""

    def _end(self, error: LineDown | ProtocolFault) -> None:
        if self._client is not None and self._request is not None and not self._client.ctx.response_future.done():
            self._client.ctx.response_future.set_exception(error)

    # --------------------------------------------------------------------------------------------------- connection

    async def _connected(self) -> AsyncModbusTcpClient:
        """Returns the client with a live connection.

        Raises:
            LineDown: there is none, or it is too early to try again.
        """
        if not self._opened:
            raise LineDown(f"{self.name}: closed")
        if self._client is not None and not self._client.connected:
            self._drop()
        if self._client is None and self._elapsed_s() >= self._retry_at_s:
            await self._connect()
        if self._client is None:
            raise LineDown(f"{self.name}: {self._host}:{self._port} is not there")
        return self._client

    async def _connect(self) -> None:
        """Makes one attempt; a client object serves one connection only, so no socket is ever left behind."""
        if self._client is not None:
            return
        client = AsyncModbusTcpClient(
            self._host,
            framer=FramerType.SOCKET,
            port=self._port,
            name=self.name,
            reconnect_delay=0,
            timeout=self._timeout_s,
            retries=0,
            trace_packet=self._inspect,
            trace_connect=self._on_connection,
        )
        now_s = self._elapsed_s()
        if await client.connect():
            self._client = client
            self._silent = 0
            self._retry_after_s = RECONNECT_FIRST_S
            if self._down_since_s is not None:
                log.warning(
                    "connection is back bus=%s host=%s:%d down_s=%.1f",
                    self.name,
                    self._host,
                    self._port,
                    now_s - self._down_since_s,
                )
                self._down_since_s = None
            return
        client.close()
        if self._down_since_s is None:
            self._down_since_s = now_s
            log.warning("connection is down bus=%s host=%s:%d", self.name, self._host, self._port)
        jitter_ratio = 1 + RECONNECT_JITTER_RATIO * self._dice.uniform(-1, 1)
        self._retry_at_s = self._elapsed_s() + min(RECONNECT_MAX_S, self._retry_after_s * jitter_ratio)
        self._retry_after_s = min(RECONNECT_MAX_S, 2 * self._retry_after_s)

    def _on_connection(self, connected: bool) -> None:  # noqa: FBT001 - the library's hook
        if not connected:
            self._end(LineDown(f"{self.name}: connection lost"))

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()


def _fault(request: ModbusPDU, *, unit: int, pdu: bytes) -> str:
    """Says why a frame is not the answer to the request in flight; empty when it is."""
    function = pdu[0]
    if unit != request.dev_id:
        return f"asked unit {request.dev_id}, unit {unit} answered"
    if function == request.function_code | EXCEPTION_BIT:
        return "" if len(pdu) == EXCEPTION_LENGTH else f"exception answer of {len(pdu)} bytes"
    if function != request.function_code:
        return f"asked function {request.function_code}, function {function} answered"
    if function in READ_REQUESTS:
        size = (request.count + 7) // 8 if function <= READ_FUNCTION_BITS_LAST else 2 * request.count
        if pdu[1] != size or len(pdu) != size + 2:
            return f"asked {request.count} values, got {pdu[1]} bytes in a frame of {len(pdu)}"
        return ""
    # FC 5 and 6 repeat address and value, FC 15 and 16 address and number: the first four bytes of the request.
    return "" if pdu[1:] == request.encode()[: ECHO_LENGTH - 1] else f"write echo differs: {pdu.hex(' ')}"
