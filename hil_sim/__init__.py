"""The other end of every wire: the simulated plant, its Modbus devices and the city platform."""
