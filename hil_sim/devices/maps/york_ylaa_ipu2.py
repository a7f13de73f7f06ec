"""York YLAA / YCRL / YCWL chiller with IPU II: set-points that fall back to the panel's when nobody talks.

Source: YLAA0300HE manual section 10 (address = base + object number); YCRL0200HE manual page 48 (37.2 degC gives the
set-point back to the panel); YCWL0056SE manual page 177 (local values after 5 min). The panel's own values and the
bounds of the set-points are design assumptions.
"""

from typing import Final

from hil_sim.devices.registers import HOLDING, Block, Command, Number, RegisterMap, Watchdog

_PANEL_COOLING_DEGC: Final = 7.0
_PANEL_HEATING_DEGC: Final = 45.0
_TO_PANEL_DEGC: Final = 37.2
_SILENCE_S: Final = 300.0

YORK_YLAA_IPU2: Final = RegisterMap(
    model="york_ylaa_ipu2",
    order="high_first",
    quantities=(),
    blocks=(Block(HOLDING, 1026, 1032), Block(HOLDING, 1538, 1538)),
    commands=(
        Command(
            "cooling_setpoint",
            "degC",
            Number(1026, "i16", scale=0.1),
            -10,
            30,
            local=_PANEL_COOLING_DEGC,
            hand_back=_TO_PANEL_DEGC,
        ),
        Command("load_limit_stage", "", Number(1028, "i16"), 0, 2, local=0),
        Command(
            "heating_setpoint",
            "degC",
            Number(1031, "i16", scale=0.1),
            20,
            60,
            local=_PANEL_HEATING_DEGC,
            hand_back=_TO_PANEL_DEGC,
        ),
        Command("mode_request", "", Number(1032, "i16"), 0, 2, local=0),
        Command("run_request", "", Number(1538, "u16"), 0, 1, local=0),
    ),
    watchdog=Watchdog(_SILENCE_S),
)
