"""Modbus requests as pymodbus encodes them, and the judgement whether a frame is the answer to one. No socket.

Source: MODBUS Application Protocol Specification V1.1b3, 6 and 7.
"""

from collections.abc import Sequence

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

from drivers.bus.base import Span
from drivers.read_plan import READ_FUNCTION_BITS_LAST

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


def reads(request: ModbusPDU) -> bool:
    """Whether a request changes nothing."""
    return request.function_code in READ_REQUESTS


def read_request(span: Span, *, unit: int) -> ModbusPDU:
    """The request for registers or bits."""
    return READ_REQUESTS[span.function](address=span.address, count=span.count, dev_id=unit)


def write_request(address: int, values: Sequence[int], *, unit: int, function: int) -> ModbusPDU:
    """The request that writes registers, or bits as 0 and 1."""
    if function == WRITE_COIL:
        return WriteSingleCoilRequest(address=address, bits=[bool(values[0])], dev_id=unit)
    if function == WRITE_COILS:
        return WriteMultipleCoilsRequest(address=address, bits=[bool(value) for value in values], dev_id=unit)
    if function == WRITE_REGISTER:
        return WriteSingleRegisterRequest(address=address, registers=[values[0]], dev_id=unit)
    assert function == WRITE_REGISTERS, f"function {function} does not write"
    return WriteMultipleRegistersRequest(address=address, registers=list(values), dev_id=unit)


def values_of(response: ModbusPDU, span: Span) -> tuple[int, ...]:
    """What a checked answer brought: registers, or bits as 0 and 1."""
    if span.function <= READ_FUNCTION_BITS_LAST:
        return tuple(int(bit) for bit in response.bits[: span.count])
    return tuple(response.registers)


def fault_of(request: ModbusPDU, *, unit: int, pdu: bytes) -> str:
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
