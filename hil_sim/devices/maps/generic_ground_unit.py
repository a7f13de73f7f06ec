"""Ground-source heat pump of the simulated plant, in two firmware levels: with and without a capacity limit.

Source: no maker's map; this project's own, with the habits of real ones: command and state in different registers, a
heartbeat, and 0x7FFF for a temperature that has no flow past its sensor.
"""

from typing import Final

from hil_sim.devices.instrument import Instrument
from hil_sim.devices.registers import HOLDING, INPUT, Block, Command, Number, Quantity, RegisterMap

_NO_VALUE: Final = 0x7FFF
_SENSOR: Final = Instrument(offset=0.2, noise=0.03)
_U16_MAX: Final = 65535


def _degc(address: int) -> Number:
    return Number(address, "i16", scale=0.01, invalid_raw=_NO_VALUE)


_QUANTITIES: Final = (
    Quantity("state", "", INPUT, Number(0, "u16")),
    Quantity("mode_actual", "", INPUT, Number(1, "u16")),
    Quantity("remote", "", INPUT, Number(2, "u16")),
    Quantity("alarm_code", "", INPUT, Number(3, "u16")),
    Quantity("load_ratio", "", INPUT, Number(4, "u16", scale=0.001), Instrument()),
    Quantity("user_supply_temperature", "degC", INPUT, _degc(5), _SENSOR, valid_while="user_flow"),
    Quantity("user_return_temperature", "degC", INPUT, _degc(6), _SENSOR, valid_while="user_flow"),
    Quantity("source_inlet_temperature", "degC", INPUT, _degc(7), _SENSOR, valid_while="source_flow"),
    Quantity("source_outlet_temperature", "degC", INPUT, _degc(8), _SENSOR, valid_while="source_flow"),
    Quantity("user_flow", "", INPUT, Number(9, "u16")),
    Quantity("source_flow", "", INPUT, Number(10, "u16")),
    Quantity("starts_total", "", INPUT, Number(11, "u16")),
    Quantity("run_hours", "h", INPUT, Number(12, "u32"), Instrument(resolution=1.0, truncates=True)),
    Quantity(
        "electric_power",
        "kW",
        INPUT,
        Number(14, "u16", scale=0.1),
        Instrument(gain_error_ratio=0.03, noise_ratio=0.01),  # from the inverter's current, not a meter
    ),
)
_RUN: Final = Command("run_request", "", Number(0, "u16"), 0, 1)
_MODE: Final = Command("mode_request", "", Number(1, "u16"), 1, 2)
_SETPOINT: Final = Command("supply_setpoint", "degC", Number(2, "i16", scale=0.1), 35, 58)
_CAPACITY: Final = Command("capacity_limit", "", Number(3, "u16", scale=0.001), 0.3, 1)
_HEARTBEAT: Final = Command("heartbeat", "", Number(4, "u16"), 0, _U16_MAX)

GENERIC_GROUND_UNIT: Final = RegisterMap(
    model="generic_ground_unit",
    order="high_first",
    quantities=_QUANTITIES,
    blocks=(Block(INPUT, 0, 14), Block(HOLDING, 0, 4)),
    commands=(_RUN, _MODE, _SETPOINT, _CAPACITY, _HEARTBEAT),
)
GENERIC_GROUND_UNIT_SETPOINT: Final = RegisterMap(
    model="generic_ground_unit_setpoint",
    order="high_first",
    quantities=_QUANTITIES,
    blocks=(Block(INPUT, 0, 14), Block(HOLDING, 0, 2), Block(HOLDING, 4, 4)),
    commands=(_RUN, _MODE, _SETPOINT, _HEARTBEAT),
)
