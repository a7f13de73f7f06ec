"""Diehl SHARKY 775 / SCYLAR heat meter with Modbus module: each value as a count and, eight registers on, as a float.

Source: star.ke.st library, Diehl SHARKY 775 heat meter; update every 4 s as the sibling module PolluTherm. The list
names no units: here totals are in counts, power in kW, flow in m3/h.
"""

from typing import Final

from hil_sim.devices.instrument import Instrument
from hil_sim.devices.registers import HOLDING, Block, Number, Quantity, RegisterMap

_PERIOD_S: Final = 4.0
_FLOW: Final = Instrument(period_s=_PERIOD_S, gain_error_ratio=0.008, noise_ratio=0.003, chain="flow")
_HEAT: Final = Instrument(period_s=_PERIOD_S, gain_error_ratio=0.010, noise_ratio=0.004, chain="heat")
_PAIR: Final = Instrument(period_s=_PERIOD_S, offset=0.05, noise=0.02, resolution=0.01, chain="pair")
_HEAT_TOTAL: Final = Instrument(
    period_s=_PERIOD_S, gain_error_ratio=0.010, resolution=1.0, truncates=True, rolls_over_at=1e7, chain="heat"
)
_VOLUME_TOTAL: Final = Instrument(
    period_s=_PERIOD_S, gain_error_ratio=0.008, resolution=0.1, truncates=True, rolls_over_at=1e6, chain="flow"
)

DIEHL_SHARKY_775: Final = RegisterMap(
    model="diehl_sharky_775",
    order="high_first",
    quantities=(
        Quantity("heat_total_count", "", HOLDING, Number(0, "u32"), _HEAT_TOTAL),
        Quantity("heat_total", "", HOLDING, Number(8, "f32"), _HEAT_TOTAL),
        Quantity("volume_total_count", "", HOLDING, Number(10, "u32"), _VOLUME_TOTAL),
        Quantity("volume_total", "", HOLDING, Number(18, "f32"), _VOLUME_TOTAL),
        Quantity("heat_power_count", "", HOLDING, Number(20, "u32"), _HEAT),
        Quantity("heat_power", "kW", HOLDING, Number(28, "f32"), _HEAT),
        Quantity("flow_count", "", HOLDING, Number(30, "u32"), _FLOW),
        Quantity("flow", "m3/h", HOLDING, Number(38, "f32"), _FLOW),
        Quantity("supply_temperature", "degC", HOLDING, Number(46, "f32"), _PAIR),
        Quantity("return_temperature", "degC", HOLDING, Number(54, "f32"), _PAIR),
        Quantity("delta_t", "K", HOLDING, Number(62, "f32"), Instrument(period_s=_PERIOD_S, noise=0.02)),
        Quantity("tariff_1", "", HOLDING, Number(72, "f32"), _HEAT_TOTAL),
        Quantity("tariff_2", "", HOLDING, Number(92, "f32"), _HEAT_TOTAL),
        Quantity("error_code", "", HOLDING, Number(164, "u16")),
        Quantity("serial_number", "", HOLDING, Number(165, "u32"), origin="serial"),
    ),
    blocks=(Block(HOLDING, 0, 93), Block(HOLDING, 164, 166)),
)
