"""York YVAG012 air-cooled inverter chiller and heat pump: command and state apart, set-points corrected by the unit.

Source: York YVAG012 manual page 47: the building system must keep talking; set-points out of range are replaced. Design
assumptions, not in the manual: replaced by the nearest bound; after 5 min of silence (as the sibling YCWL, YCWL0056SE
manual page 177) the unit goes off.
"""

from typing import Final

from hil_sim.devices.registers import HOLDING, Block, Command, Number, Quantity, RegisterMap, Watchdog

_ON: Final = 1
_OFF: Final = 2
_MODES: Final = (0, 1, 8)
"""Cool, heat, pump only."""
_SILENCE_S: Final = 300.0


def _setpoint(name: str, address: int, low_degc: float, high_degc: float) -> Command:
    return Command(name, "degC", Number(address, "i16", scale=0.1), low_degc, high_degc, outside="clamp")


YORK_YVAG: Final = RegisterMap(
    model="york_yvag",
    order="high_first",
    quantities=(Quantity("state", "", HOLDING, Number(100, "u16")),),
    blocks=(Block(HOLDING, 0, 8), Block(HOLDING, 100, 100)),
    commands=(
        Command("run_request", "", Number(0, "u16"), _ON, _OFF, only=(_ON, _OFF), local=_OFF),
        Command("mode_request", "", Number(1, "u16"), 0, 8, only=_MODES),
        _setpoint("cooling_return_setpoint", 2, 10, 30),
        _setpoint("heating_return_setpoint", 3, 25, 50),
        _setpoint("cooling_supply_setpoint", 4, 5, 25),
        _setpoint("heating_supply_setpoint", 5, 30, 55),
        Command("fault_reset", "", Number(8, "u16"), 0, 1, clears_itself_s=0.0),
    ),
    watchdog=Watchdog(_SILENCE_S),
)
