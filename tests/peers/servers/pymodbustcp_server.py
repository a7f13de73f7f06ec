"""A pyModbusTCP server: `pymodbustcp_server.py tcp PORT`; prints "ready"."""

import sys
import threading

from pyModbusTCP.server import DataBank, ModbusServer

TABLE = 1000

bank = DataBank()
bank.set_holding_registers(0, list(range(TABLE)))
bank.set_input_registers(0, list(range(TABLE)))
bank.set_coils(0, [n % 3 == 0 for n in range(TABLE)])
bank.set_discrete_inputs(0, [bool(n % 2) for n in range(TABLE)])
server = ModbusServer("127.0.0.1", int(sys.argv[2]), no_block=True, data_bank=bank)
server.start()
print("ready", flush=True)
threading.Event().wait()
