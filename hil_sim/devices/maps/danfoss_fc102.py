"""Danfoss VLT HVAC Drive FC 102: frequency converter of a pump; each parameter stands alone, ten addresses apart.

Source: FC 102 design guide 8.10; FC 202 design guide tables 7.12 and 7.15; register = 10 x parameter number, on the
wire one less. Power and motor voltage carry no scale in the facts; here: 0.1 kW and 1 V a count.
"""

from typing import Final

from hil_sim.devices.instrument import Instrument
from hil_sim.devices.registers import COIL, HOLDING, Block, Command, Number, Quantity, RegisterMap

_U16_MAX: Final = 65_535
_FULL_REFERENCE: Final = 16_384
_SENSOR: Final = Instrument(noise_ratio=0.005)
_REGISTERS: Final = (16_099, 16_119, 16_129, 16_139, 49_999, 50_009, 50_199, 50_209)

DANFOSS_FC102: Final = RegisterMap(
    model="danfoss_fc102",
    order="high_first",
    quantities=(
        Quantity("electric_power", "kW", HOLDING, Number(16_099, "u16", scale=0.1), _SENSOR),
        Quantity("motor_voltage", "V", HOLDING, Number(16_119, "u16"), _SENSOR),
        Quantity("frequency", "Hz", HOLDING, Number(16_129, "u16", scale=0.1), _SENSOR),
        Quantity("motor_current", "A", HOLDING, Number(16_139, "u16", scale=0.01), _SENSOR),
        Quantity("status_word", "", HOLDING, Number(50_199, "u16")),
        Quantity("main_actual", "", HOLDING, Number(50_209, "i16")),
    ),
    blocks=(Block(COIL, 64, 64), *(Block(HOLDING, address, address) for address in _REGISTERS)),
    commands=(
        Command("param_write_to_eeprom", "", Number(64, "bit"), 0, 1, function=COIL),
        Command("control_word", "", Number(49_999, "u16"), 0, _U16_MAX),
        Command("bus_reference", "", Number(50_009, "i16"), -_FULL_REFERENCE, _FULL_REFERENCE),
    ),
    registers_per_read_max=10,
)
