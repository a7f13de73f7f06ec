"""A box of dry contacts at a heat pump that knows no bus: relays to its terminals, its own contacts, one pipe sensor.

Source: no maker's map; this project's own, with the habits of remote inputs and outputs: coils, discrete inputs, and a
watchdog that hands the unit back to its own panel.
"""

from typing import Final

from hil_sim.devices.instrument import Instrument
from hil_sim.devices.registers import COIL, DISCRETE, HOLDING, INPUT, Block, Command, Number, Quantity, RegisterMap

_U16_MAX: Final = 65535


def _bit(address: int) -> Number:
    return Number(address, "bit")


GENERIC_UNIT_CONTACTS: Final = RegisterMap(
    model="generic_unit_contacts",
    order="high_first",
    quantities=(
        Quantity("running_contact", "", DISCRETE, _bit(0)),
        Quantity("stage_2_running", "", DISCRETE, _bit(1)),
        Quantity("fault_contact", "", DISCRETE, _bit(2)),
        Quantity("remote_contact", "", DISCRETE, _bit(3)),
        Quantity("user_flow", "", DISCRETE, _bit(4)),
        Quantity("source_flow", "", DISCRETE, _bit(5)),
        Quantity(
            "user_supply_temperature",
            "degC",
            INPUT,
            Number(0, "i16", scale=0.1, invalid_raw=0x7FFF),
            Instrument(offset=0.2, noise=0.03),
            valid_while="user_flow",
        ),
    ),
    blocks=(Block(COIL, 0, 2), Block(DISCRETE, 0, 5), Block(INPUT, 0, 0), Block(HOLDING, 0, 0)),
    commands=(
        Command("run_contact", "", _bit(0), 0, 1, function=COIL),
        Command("charge_contact", "", _bit(1), 0, 1, function=COIL),
        Command("stage_2_contact", "", _bit(2), 0, 1, function=COIL),
        Command("heartbeat", "", Number(0, "u16"), 0, _U16_MAX),
    ),
)
