"""Lambda Eureka EU-L heat pump in two firmwares: takes writes by function 16 only, forgets a surplus in a minute.

Source: evcc templates/definition/charger/lambda-zewotherm.yaml; GuidoJeuken-6512/lambda_heatpump MODBUS_REGISTERS.md.
Where these disagree, evcc's scale stands. Firmware 1.1.3 swaps the words of the totals.
Bounds of the set-points are design assumptions.
"""

from dataclasses import replace
from typing import Final

from hil_sim.devices.instrument import Instrument
from hil_sim.devices.registers import (
    HOLDING,
    W_PER_KW,
    WH_PER_KWH,
    WRITE_REGISTERS,
    Block,
    Command,
    Number,
    Quantity,
    RegisterMap,
    Watchdog,
)

_KW_PER_COUNT: Final = 1 / W_PER_KW
_KWH_PER_COUNT: Final = 1 / WH_PER_KWH
_SURPLUS_KW_MAX: Final = 32.0
_SURPLUS_SILENCE_S: Final = 60.0
_SENSOR: Final = Instrument(offset=0.3, noise=0.05)
_POWER: Final = Instrument(gain_error_ratio=0.03, noise_ratio=0.01)
_ENERGY: Final = Instrument(gain_error_ratio=0.03, resolution=0.001, truncates=True)


def _hundredths(address: int) -> Number:
    return Number(address, "i16", scale=0.01)


def _tenths(address: int) -> Number:
    return Number(address, "i16", scale=0.1)


LAMBDA_EUREKA: Final = RegisterMap(
    model="lambda_eureka",
    order="high_first",
    quantities=(
        Quantity("outdoor_temperature", "degC", HOLDING, _tenths(2), _SENSOR),
        Quantity("meter_power", "kW", HOLDING, Number(103, "i16", scale=_KW_PER_COUNT), _POWER),
        Quantity("hp_state", "", HOLDING, Number(1002, "u16")),
        Quantity("operating_state", "", HOLDING, Number(1003, "u16")),
        Quantity("user_supply_temperature", "degC", HOLDING, _hundredths(1004), _SENSOR),
        Quantity("user_return_temperature", "degC", HOLDING, _hundredths(1005), _SENSOR),
        Quantity("flow", "m3/h", HOLDING, _hundredths(1006), Instrument(noise_ratio=0.01)),
        Quantity("source_inlet_temperature", "degC", HOLDING, _hundredths(1007), _SENSOR),
        Quantity("source_outlet_temperature", "degC", HOLDING, _hundredths(1008), _SENSOR),
        Quantity("electric_power", "kW", HOLDING, Number(1012, "i16", scale=_KW_PER_COUNT), _POWER),
        Quantity("cop", "", HOLDING, _hundredths(1013)),
        Quantity("energy_total", "kWh", HOLDING, Number(1020, "i32", scale=_KWH_PER_COUNT), _ENERGY),
        Quantity("heat_total", "kWh", HOLDING, Number(1022, "i32", scale=_KWH_PER_COUNT), _ENERGY),
        Quantity("dhw_top_temperature", "degC", HOLDING, _tenths(2002), _SENSOR),
        Quantity("dhw_bottom_temperature", "degC", HOLDING, _tenths(2003), _SENSOR),
        Quantity("buffer_top_temperature", "degC", HOLDING, _tenths(3002), _SENSOR),
        Quantity("buffer_bottom_temperature", "degC", HOLDING, _tenths(3003), _SENSOR),
    ),
    blocks=(
        Block(HOLDING, 0, 4),
        Block(HOLDING, 100, 104),
        Block(HOLDING, 1000, 1023),
        Block(HOLDING, 2000, 2003),
        Block(HOLDING, 2050, 2050),
        Block(HOLDING, 3000, 3005),
        Block(HOLDING, 3050, 3050),
    ),
    commands=(
        Command(
            "excess_power_setpoint",
            "kW",
            Number(102, "i16", scale=_KW_PER_COUNT),
            -_SURPLUS_KW_MAX,
            _SURPLUS_KW_MAX,
            local=0.0,
        ),
        Command("dhw_setpoint", "degC", _tenths(2050), 25, 65, stored=True),
        Command("buffer_setpoint", "degC", _tenths(3050), 5, 60, stored=True),
    ),
    functions=(HOLDING, WRITE_REGISTERS),
    watchdog=Watchdog(_SURPLUS_SILENCE_S, fed_by="excess_power_setpoint"),
)
LAMBDA_EUREKA_1_1_3: Final = replace(LAMBDA_EUREKA, model="lambda_eureka_1_1_3", order="low_first")
