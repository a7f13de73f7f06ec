"""Wiren Board WB-M1W2 with two DS18B20 sensors: the layers of the tank, two a module.

Source: wirenboard/wb-mqtt-serial templates/config-wb-m1w2.json (input registers, 1/16 K a count, 0x7FFF without a
sensor).
"""

from typing import Final

from hil_sim.devices.instrument import Instrument
from hil_sim.devices.registers import HOLDING, INPUT, Block, Number, Quantity, RegisterMap

_DEGC_PER_COUNT: Final = 0.0625
_NO_SENSOR: Final = 0x7FFF
_SENSOR: Final = Instrument(period_s=2.0, offset=0.15, noise=0.03, resolution=_DEGC_PER_COUNT)

WB_M1W2: Final = RegisterMap(
    model="wb_m1w2",
    order="high_first",
    quantities=(
        Quantity("temperature_1", "degC", INPUT, Number(7, "i16", _DEGC_PER_COUNT, _NO_SENSOR), _SENSOR),
        Quantity("temperature_2", "degC", INPUT, Number(8, "i16", _DEGC_PER_COUNT, _NO_SENSOR), _SENSOR),
        Quantity("filter", "K", HOLDING, Number(99, "u16", _DEGC_PER_COUNT), constant=0.0),
        Quantity("baud_code", "bit/s", HOLDING, Number(110, "u16", scale=100.0), constant=9600.0),
        Quantity("answer_delay", "ms", HOLDING, Number(113, "u16"), constant=8.0),
    ),
    blocks=(Block(INPUT, 0, 15), Block(HOLDING, 90, 129)),
)
