"""Trane RTHD chiller with CH530 behind a PIC gateway: starts by coils, measures in input registers.

Source: Trane BAS-SVX08D-E4 tables 7 and B (32-bit points at their register numbers). The scale of temperatures and
of per cents is set in the PIC: here they are counts of 0.1 degC and of 1 %. Bounds are design assumptions.
"""

from typing import Final

from hil_sim.devices.instrument import Instrument
from hil_sim.devices.registers import (
    COIL,
    DISCRETE,
    HOLDING,
    INPUT,
    Block,
    Command,
    Flag,
    Number,
    Quantity,
    RegisterMap,
)

_SENSOR: Final = Instrument(offset=2.0, noise=0.3)


TRANE_RTHD_CH530_PIC: Final = RegisterMap(
    model="trane_rthd_ch530_pic",
    order="high_first",
    quantities=(
        Quantity("running", "", DISCRETE, Number(1, "bit")),
        Quantity("command_copy", "", HOLDING, Number(0, "u16")),
        Quantity("active_setpoint", "", INPUT, Number(1, "i16")),
        Quantity("capacity", "", INPUT, Number(2, "i16"), Instrument(noise=0.5)),
        Quantity("evaporator_leaving_temperature", "", INPUT, Number(4, "i16"), _SENSOR),
        Quantity("evaporator_entering_temperature", "", INPUT, Number(5, "i16"), _SENSOR),
        Quantity("condenser_entering_temperature", "", INPUT, Number(6, "i16"), _SENSOR),
        Quantity("condenser_leaving_temperature", "", INPUT, Number(7, "i16"), _SENSOR),
        Quantity("state", "", INPUT, Number(8, "u16")),
        Quantity("compressor_a_running", "", INPUT, Flag(9, 8)),
        Quantity("starts_total", "", INPUT, Number(14, "u32"), Instrument(resolution=1.0, truncates=True)),
        Quantity("run_hours", "h", INPUT, Number(16, "u32"), Instrument(resolution=1.0, truncates=True)),
    ),
    blocks=(Block(COIL, 0, 1), Block(DISCRETE, 1, 1), Block(HOLDING, 0, 3), Block(INPUT, 0, 17)),
    commands=(
        Command("run_request", "", Number(0, "bit"), 0, 1, function=COIL),
        Command("mode_request", "", Number(1, "bit"), 0, 1, function=COIL),
        Command("cooling_setpoint", "", Number(1, "i16"), -150, 300),
        Command("current_limit", "", Number(2, "i16"), 0, 120),
        Command("heating_setpoint", "", Number(3, "i16"), 200, 600),
    ),
)
