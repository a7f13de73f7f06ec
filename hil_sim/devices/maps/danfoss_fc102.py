"""Danfoss VLT HVAC Drive FC 102: frequency converter of a pump; each parameter stands alone, ten addresses apart.

Source: FC 102 design guide 8.10; FC 202 design guide tables 7.12 and 7.15; register = 10 x parameter number, on the
wire one less. The facts give no scale for power and motor voltage: here both are in counts.
A reference of 16384 is 100 %.
"""

from typing import Final

from hil_sim.devices.instrument import Instrument
from hil_sim.devices.registers import COIL, HOLDING, Block, Command, Number, Quantity, RegisterMap

_U16_MAX: Final = 65_535
_FULL_PERCENT: Final = 100.0
_PERCENT_PER_COUNT: Final = _FULL_PERCENT / 16_384
_SENSOR: Final = Instrument(noise_ratio=0.005)
_SINGLE: Final = (16_119, 16_129, 49_999, 50_009, 50_199, 50_209)
_DOUBLE: Final = (16_099, 16_139)
"""32-bit parameters on this drive."""

DANFOSS_FC102: Final = RegisterMap(
    model="danfoss_fc102",
    order="high_first",
    quantities=(
        Quantity("electric_power", "", HOLDING, Number(16_099, "u32"), _SENSOR),
        Quantity("motor_voltage", "", HOLDING, Number(16_119, "u16"), _SENSOR),
        Quantity("frequency", "Hz", HOLDING, Number(16_129, "u16", scale=0.1), _SENSOR),
        Quantity("motor_current", "A", HOLDING, Number(16_139, "u32", scale=0.01), _SENSOR),
        Quantity("status_word", "", HOLDING, Number(50_199, "u16")),
        Quantity("main_actual", "%", HOLDING, Number(50_209, "i16", scale=_PERCENT_PER_COUNT)),
    ),
    blocks=(
        Block(COIL, 64, 64),
        *(Block(HOLDING, address, address) for address in _SINGLE),
        *(Block(HOLDING, address, address + 1) for address in _DOUBLE),
    ),
    commands=(
        Command("param_write_to_eeprom", "", Number(64, "bit"), 0, 1, function=COIL),
        Command("control_word", "", Number(49_999, "u16"), 0, _U16_MAX),
        Command("bus_reference", "%", Number(50_009, "i16", scale=_PERCENT_PER_COUNT), -_FULL_PERCENT, _FULL_PERCENT),
    ),
    registers_per_read_max=10,
)
