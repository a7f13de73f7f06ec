"""MAG 11 electromagnetic heat meter: counts the heat from the ground.

Source: 2FLOW MAG 11 series manual, pages 47 and 48 (the table is 1-based; the total is 64 bits in two 32-bit halves,
high half first).
"""

from typing import Final

from hil_sim.devices.instrument import Instrument
from hil_sim.devices.registers import HOLDING, WH_PER_KWH, Block, Number, Quantity, RegisterMap

_PAIR: Final = Instrument(period_s=2.0, offset=0.05, noise=0.02, resolution=0.01, chain="pair")

MAG11_HEAT: Final = RegisterMap(
    model="mag11_heat",
    order="high_first",
    quantities=(
        Quantity(
            "heat_total",
            "kWh",
            HOLDING,
            Number(516, "u64", scale=1 / WH_PER_KWH),
            Instrument(period_s=10.0, gain_error_ratio=0.008, resolution=1 / WH_PER_KWH, truncates=True, chain="heat"),
        ),
        Quantity(
            "flow",
            "m3/h",
            HOLDING,
            Number(1024, "f32"),
            Instrument(period_s=2.0, gain_error_ratio=0.004, noise_ratio=0.002, chain="flow"),
        ),
        Quantity("supply_temperature", "degC", HOLDING, Number(1026, "f32"), _PAIR),
        Quantity("return_temperature", "degC", HOLDING, Number(1028, "f32"), _PAIR),
        Quantity(
            "delta_t",
            "K",
            HOLDING,
            Number(1030, "f32"),
            Instrument(period_s=2.0, noise=0.02, resolution=0.01),
        ),
        Quantity(
            "heat_power",
            "kW",
            HOLDING,
            Number(1032, "f32"),
            Instrument(period_s=2.0, gain_error_ratio=0.008, noise_ratio=0.004, chain="heat"),
        ),
        Quantity("alarm_code", "", HOLDING, Number(1283, "u32")),
    ),
    blocks=(Block(HOLDING, 512, 543), Block(HOLDING, 1024, 1055), Block(HOLDING, 1280, 1299)),
)
