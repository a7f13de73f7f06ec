"""A uModbus server: `umodbus_server.py tcp PORT` or `umodbus_server.py rtu PATH`; prints "ready"."""

import sys
from socketserver import TCPServer

import serial
from umodbus import conf
from umodbus.server.serial import get_server as serial_server
from umodbus.server.serial.rtu import RTUServer
from umodbus.server.tcp import RequestHandler
from umodbus.server.tcp import get_server as tcp_server

TABLE = 1000
conf.SIGNED_VALUES = False
REGISTERS = {address: address for address in range(TABLE)}
BITS = {1: {n: int(n % 3 == 0) for n in range(TABLE)}, 2: {n: n % 2 for n in range(TABLE)}}
HOLDING, INPUT = dict(REGISTERS), dict(REGISTERS)

wire, where = sys.argv[1:]
TCPServer.allow_reuse_address = True
if wire == "tcp":
    server = tcp_server(TCPServer, ("127.0.0.1", int(where)), RequestHandler)
else:
    port = serial.Serial(where, 115200, timeout=0.02)
    server = serial_server(RTUServer, port)


def table(function_code: int) -> dict[int, int]:
    return {1: BITS[1], 5: BITS[1], 15: BITS[1], 2: BITS[2], 4: INPUT}.get(function_code, HOLDING)


@server.route(slave_ids=[1], function_codes=[1, 2, 3, 4], addresses=list(range(TABLE)))
def read(slave_id: int, function_code: int, address: int) -> int:  # noqa: ARG001 - called by name
    return table(function_code)[address]


@server.route(slave_ids=[1], function_codes=[5, 6, 15, 16], addresses=list(range(TABLE)))
def write(slave_id: int, function_code: int, address: int, value: int) -> None:  # noqa: ARG001 - called by name
    table(function_code)[address] = value


print("ready", flush=True)
server.serve_forever()
