"""ABB ACS580 / ACH580 frequency converter, embedded fieldbus, ABB Drives profile: the process words.

Source: ACH580 E-Clipse manual page 143: registers 400001 to 400006; addresses without a parameter answer exception 2.
"""

from typing import Final

from hil_sim.devices.registers import (
    HOLDING,
    READ_WRITE,
    WRITE_REGISTER,
    WRITE_REGISTERS,
    Block,
    Command,
    Number,
    Quantity,
    RegisterMap,
)

_U16_MAX: Final = 65_535
_FULL_SPEED: Final = 20_000
_FULL_TORQUE: Final = 10_000

ABB_ACX580: Final = RegisterMap(
    model="abb_acx580",
    order="high_first",
    quantities=(
        Quantity("status_word", "", HOLDING, Number(3, "u16")),
        Quantity("actual_1", "", HOLDING, Number(4, "i16")),
        Quantity("actual_2", "", HOLDING, Number(5, "i16")),
    ),
    blocks=(Block(HOLDING, 0, 5),),
    commands=(
        Command("control_word", "", Number(0, "u16"), 0, _U16_MAX),
        Command("reference_1", "", Number(1, "i16"), -_FULL_SPEED, _FULL_SPEED),
        Command("reference_2", "", Number(2, "i16"), -_FULL_TORQUE, _FULL_TORQUE),
    ),
    functions=(HOLDING, WRITE_REGISTER, WRITE_REGISTERS, READ_WRITE),
)
