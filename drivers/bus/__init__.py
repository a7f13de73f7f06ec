"""Wires: what a device needs from one, and the two kinds that plants have, RS-485 and Modbus TCP."""
