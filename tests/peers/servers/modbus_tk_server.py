"""A modbus-tk server: `modbus_tk_server.py tcp PORT` or `modbus_tk_server.py rtu PATH`; prints "ready"."""

import contextlib
import socket
import sys
import threading

import modbus_tk.defines as kind
import serial
from modbus_tk import modbus_rtu, modbus_tcp

TABLE = 1000

wire, where = sys.argv[1:]
if wire == "tcp":
    server = modbus_tcp.TcpServer(address="127.0.0.1", port=int(where))
else:
    server = modbus_rtu.RtuServer(serial.Serial(where, 115200))
server.start()
slave = server.add_slave(1)
for name, block, values in (
    ("holding", kind.HOLDING_REGISTERS, list(range(TABLE))),
    ("input", kind.ANALOG_INPUTS, list(range(TABLE))),
    ("coils", kind.COILS, [int(n % 3 == 0) for n in range(TABLE)]),
    ("bits", kind.DISCRETE_INPUTS, [n % 2 for n in range(TABLE)]),
):
    slave.add_block(name, block, 0, TABLE)
    slave.set_values(name, 0, values)
while wire == "tcp":  # it listens in a thread of its own, whenever that gets its turn
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", int(where)), timeout=1.0):
        break
print("ready", flush=True)
threading.Event().wait()
