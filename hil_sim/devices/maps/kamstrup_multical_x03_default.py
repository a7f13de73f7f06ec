"""Kamstrup MULTICAL 403/603/803 heat meter with Modbus module, default datagram, first block.

Source: Kamstrup data sheet 58101758_B1_GB, Modbus register mapping. Units come from the meter; here: m3/h and kW.
"""

from typing import Final

from hil_sim.devices.instrument import Instrument
from hil_sim.devices.registers import HOLDING, Block, Number, Quantity, RegisterMap

_FLOW: Final = Instrument(period_s=2.0, gain_error_ratio=0.008, noise_ratio=0.003, chain="flow")
_HEAT: Final = Instrument(period_s=2.0, gain_error_ratio=0.010, noise_ratio=0.004, chain="heat")
_PAIR: Final = Instrument(period_s=2.0, offset=0.05, noise=0.02, resolution=0.01, chain="pair")
_SENSOR: Final = Instrument(period_s=2.0, offset=0.15, noise=0.02, resolution=0.01)

KAMSTRUP_MULTICAL_X03_DEFAULT: Final = RegisterMap(
    model="kamstrup_multical_x03_default",
    order="high_first",
    quantities=(
        Quantity("flow", "m3/h", HOLDING, Number(0, "f32"), _FLOW),
        Quantity("flow_2", "m3/h", HOLDING, Number(2, "f32"), _FLOW),
        Quantity("heat_power", "kW", HOLDING, Number(4, "f32"), _HEAT),
        Quantity("supply_temperature", "degC", HOLDING, Number(6, "f32"), _PAIR),
        Quantity("return_temperature", "degC", HOLDING, Number(8, "f32"), _PAIR),
        Quantity("temperature_3", "degC", HOLDING, Number(10, "f32"), _SENSOR),
        Quantity("temperature_4", "degC", HOLDING, Number(12, "f32"), _SENSOR),
    ),
    blocks=(Block(HOLDING, 0, 13),),
)
