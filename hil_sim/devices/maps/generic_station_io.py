"""Remote inputs and outputs of the simulated plant room: pumps, tank valves, header temperatures.

Source: no maker's map; this project's own.
"""

from typing import Final

from hil_sim.devices.instrument import Instrument
from hil_sim.devices.registers import HOLDING, INPUT, Block, Command, Number, Quantity, RegisterMap

_UNITS: Final = (1, 2, 3, 4)
_SENSOR: Final = Instrument(offset=0.15, noise=0.03)

GENERIC_STATION_IO: Final = RegisterMap(
    model="generic_station_io",
    order="high_first",
    quantities=(
        *(Quantity(f"p_source_{unit}_running", "", INPUT, Number(unit - 1, "u16")) for unit in _UNITS),
        *(Quantity(f"p_user_{unit}_running", "", INPUT, Number(unit + 3, "u16")) for unit in _UNITS),
        Quantity("valve_charge_position", "", INPUT, Number(8, "u16", scale=0.001), Instrument()),
        Quantity("valve_discharge_position", "", INPUT, Number(9, "u16", scale=0.001), Instrument()),
        Quantity("supply_temperature", "degC", INPUT, Number(10, "i16", scale=0.01), _SENSOR),
        Quantity("return_temperature", "degC", INPUT, Number(11, "i16", scale=0.01), _SENSOR),
        Quantity("load_pump_running", "", INPUT, Number(12, "u16")),
    ),
    blocks=(Block(INPUT, 0, 12), Block(HOLDING, 0, 9)),
    commands=(
        *(Command(f"p_source_{unit}", "", Number(unit - 1, "u16"), 0, 1) for unit in _UNITS),
        *(Command(f"p_user_{unit}", "", Number(unit + 3, "u16"), 0, 1) for unit in _UNITS),
        Command("valve_charge", "", Number(8, "u16"), 0, 1),
        Command("valve_discharge", "", Number(9, "u16", scale=0.001), 0, 1),
    ),
)
