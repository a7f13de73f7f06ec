"""ABB ACS580 / ACH580 frequency converter, embedded fieldbus, ABB Drives profile: the process words.

Source: ACH580 E-Clipse manual page 143: registers 400001 to 400006; addresses without a parameter answer exception 2.
Full scale is 20000 for reference 1 and 10000 for reference 2; which signals the actual values are is a parameter.
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
_FULL_PERCENT: Final = 100.0
_SPEED_PERCENT_PER_COUNT: Final = _FULL_PERCENT / 20_000
_TORQUE_PERCENT_PER_COUNT: Final = _FULL_PERCENT / 10_000

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
        Command("reference_1", "%", Number(1, "i16", scale=_SPEED_PERCENT_PER_COUNT), -_FULL_PERCENT, _FULL_PERCENT),
        Command("reference_2", "%", Number(2, "i16", scale=_TORQUE_PERCENT_PER_COUNT), -_FULL_PERCENT, _FULL_PERCENT),
    ),
    functions=(HOLDING, WRITE_REGISTER, WRITE_REGISTERS, READ_WRITE),
)
