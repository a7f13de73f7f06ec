"""Eastron SDM630 three-phase meter: one at each heat pump.

Source: volkszaehler/mbmd meters/rs485/sdm.go, which cites Eastron's SDM630 Modbus protocol (input registers, floats,
watts).
"""

from typing import Final

from hil_sim.devices.instrument import Instrument
from hil_sim.devices.registers import INPUT, W_PER_KW, Block, Number, Quantity, RegisterMap

_VOLTAGE: Final = Instrument(gain_error_ratio=0.003, noise_ratio=0.001)
_CURRENT: Final = Instrument(gain_error_ratio=0.005, noise_ratio=0.002)

EASTRON_SDM630: Final = RegisterMap(
    model="eastron_sdm630",
    order="high_first",
    quantities=(
        Quantity("voltage_a", "V", INPUT, Number(0, "f32"), _VOLTAGE),
        Quantity("voltage_b", "V", INPUT, Number(2, "f32"), _VOLTAGE),
        Quantity("voltage_c", "V", INPUT, Number(4, "f32"), _VOLTAGE),
        Quantity("current_a", "A", INPUT, Number(6, "f32"), _CURRENT),
        Quantity("current_b", "A", INPUT, Number(8, "f32"), _CURRENT),
        Quantity("current_c", "A", INPUT, Number(10, "f32"), _CURRENT),
        Quantity(
            "electric_power",
            "kW",
            INPUT,
            Number(52, "f32", scale=1 / W_PER_KW),
            Instrument(gain_error_ratio=0.008, noise_ratio=0.003, chain="power"),
        ),
        Quantity("power_factor", "", INPUT, Number(62, "f32"), Instrument(resolution=0.001)),
        Quantity("frequency", "Hz", INPUT, Number(70, "f32"), Instrument(noise=0.01, resolution=0.01)),
        Quantity(
            "energy_total",
            "kWh",
            INPUT,
            Number(72, "f32"),
            Instrument(gain_error_ratio=0.008, resolution=0.01, truncates=True, rolls_over_at=1e6, chain="power"),
        ),
    ),
    blocks=(Block(INPUT, 0, 107), Block(INPUT, 200, 269), Block(INPUT, 334, 381)),
    registers_per_read_max=80,
)
