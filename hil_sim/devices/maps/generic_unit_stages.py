"""Ground-source heat pump of the simulated plant with three stages: told on/off, mode, set-point and how many may run.

Source: no maker's map; this project's own, another edition than that of generic_ground_unit: other addresses, powers in
whole watts over two registers, temperatures in tenths.
"""

from typing import Final

from hil_sim.devices.instrument import Instrument
from hil_sim.devices.registers import HOLDING, INPUT, Block, Command, Number, Quantity, RegisterMap

_NO_VALUE: Final = 0x7FFF
_SENSOR: Final = Instrument(offset=0.2, noise=0.03)
_U16_MAX: Final = 65535
_STAGES: Final = 3


def _degc(address: int) -> Number:
    return Number(address, "i16", scale=0.1, invalid_raw=_NO_VALUE)


GENERIC_UNIT_STAGES: Final = RegisterMap(
    model="generic_unit_stages",
    order="low_first",
    quantities=(
        Quantity("state", "", INPUT, Number(100, "u16")),
        Quantity("mode_actual", "", INPUT, Number(101, "u16")),
        Quantity("stage_actual", "", INPUT, Number(102, "u16")),
        Quantity("load_ratio", "", INPUT, Number(103, "u16", scale=0.01), Instrument()),
        Quantity("remote", "", INPUT, Number(104, "u16")),
        Quantity("alarm_code", "", INPUT, Number(105, "u16")),
        Quantity("user_flow", "", INPUT, Number(106, "u16")),
        Quantity("source_flow", "", INPUT, Number(107, "u16")),
        Quantity("user_supply_temperature", "degC", INPUT, _degc(110), _SENSOR, valid_while="user_flow"),
        Quantity("user_return_temperature", "degC", INPUT, _degc(111), _SENSOR, valid_while="user_flow"),
        Quantity("source_inlet_temperature", "degC", INPUT, _degc(112), _SENSOR, valid_while="source_flow"),
        Quantity("source_outlet_temperature", "degC", INPUT, _degc(113), _SENSOR, valid_while="source_flow"),
        Quantity(
            "electric_power",
            "kW",
            INPUT,
            Number(120, "u32", scale=0.001),
            Instrument(gain_error_ratio=0.03, noise_ratio=0.01),
        ),
        Quantity("starts_total", "", INPUT, Number(122, "u32")),
        Quantity("run_hours", "h", INPUT, Number(124, "u32"), Instrument(resolution=1.0, truncates=True)),
    ),
    blocks=(Block(INPUT, 100, 125), Block(HOLDING, 200, 204)),
    commands=(
        Command("run_request", "", Number(200, "u16"), 0, 1),
        Command("mode_request", "", Number(201, "u16"), 1, 2),
        Command("stage_request", "", Number(202, "u16"), 1, _STAGES),
        Command("supply_setpoint", "degC", Number(203, "i16", scale=0.1), 35, 58),
        Command("heartbeat", "", Number(204, "u16"), 0, _U16_MAX),
    ),
)
