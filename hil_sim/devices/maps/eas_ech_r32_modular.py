"""EAS Electric ECH R32 modular air-cooled heat pump: locked until Modbus is enabled, limits that depend on the mode.

Source: EAS Electric ECH R32 series manual page 101. Which exception a locked register answers is not said: here 2.
"""

from typing import Final

from hil_sim.devices.registers import (
    HOLDING,
    WRITE_REGISTER,
    WRITE_REGISTERS,
    Block,
    Command,
    LimitsBy,
    Number,
    RegisterMap,
    Unlock,
)

_COOL: Final = 1
_HEAT: Final = 2
_OFF: Final = 8
_BY_MODE: Final = LimitsBy("mode_request", ((_COOL, 0, 20), (_HEAT, 25, 55)))

EAS_ECH_R32_MODULAR: Final = RegisterMap(
    model="eas_ech_r32_modular",
    order="high_first",
    quantities=(),
    blocks=(Block(HOLDING, 0, 2), Block(HOLDING, 100, 100), Block(HOLDING, 138, 138)),
    commands=(
        Command("mode_request", "", Number(0, "u16"), _COOL, _OFF, only=(_COOL, _HEAT, _OFF)),
        Command("supply_setpoint", "degC", Number(1, "i16"), 0, 55, limits_by=_BY_MODE),
        Command("second_setpoint", "degC", Number(2, "i16"), 0, 55, limits_by=_BY_MODE),
        Command("silent_mode", "", Number(100, "u16"), 1, 7, only=(1, 2, 7)),
        Command("modbus_enable", "", Number(138, "u16"), 0, 1),
    ),
    functions=(HOLDING, WRITE_REGISTER, WRITE_REGISTERS),
    unlock=Unlock("modbus_enable", 1),
)
