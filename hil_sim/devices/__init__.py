"""The simulated plant's Modbus devices: register maps, instrument errors, and the servers that answer for them."""
