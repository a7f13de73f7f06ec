"""XY-MD01/02: temperature and humidity of the outdoor air.

Source: wirenboard/wb-mqtt-serial templates/config-xy-md0x-deprecated.json.
"""

from typing import Final

from hil_sim.devices.instrument import Instrument
from hil_sim.devices.registers import INPUT, Block, Number, Quantity, RegisterMap

XY_MD0X: Final = RegisterMap(
    model="xy_md0x",
    order="high_first",
    quantities=(
        Quantity(
            "temperature",
            "degC",
            INPUT,
            Number(1, "i16", scale=0.1),
            Instrument(period_s=5.0, offset=0.3, noise=0.05),
        ),
        Quantity(
            "humidity",
            "%",
            INPUT,
            Number(2, "u16", scale=0.1),
            Instrument(period_s=5.0, offset=2.0, noise=0.3),
        ),
    ),
    blocks=(Block(INPUT, 1, 2),),
)
