"""iDM heat pump with Navigator 2.0/10: floats with the low word first, a pulse that the master must put back.

Source: evcc templates/definition/charger/idm.yaml; kodebach/hacs-idm-heatpump issues 69, 93, 173 (which registers wear
flash). Bounds, and how soon the action of a pulse left at 1 runs again, are design assumptions.
"""

from typing import Final

from hil_sim.devices.instrument import Instrument
from hil_sim.devices.registers import HOLDING, Block, Command, Number, Quantity, RegisterMap

_POWER_KW_MAX: Final = 100.0
_REPEATS_S: Final = 600.0
_SENSOR: Final = Instrument(offset=0.3, noise=0.05)
_POWER: Final = Instrument(gain_error_ratio=0.03, noise_ratio=0.01)

IDM_NAVIGATOR: Final = RegisterMap(
    model="idm_navigator",
    order="low_first",
    quantities=(
        Quantity("buffer_temperature", "degC", HOLDING, Number(1008, "f32"), _SENSOR),
        Quantity("dhw_bottom_temperature", "degC", HOLDING, Number(1012, "f32"), _SENSOR),
        Quantity("dhw_top_temperature", "degC", HOLDING, Number(1014, "f32"), _SENSOR),
        Quantity("heat_power", "kW", HOLDING, Number(1790, "f32"), _POWER),
        Quantity("electric_power", "kW", HOLDING, Number(4122, "f32"), _POWER),
    ),
    blocks=(
        Block(HOLDING, 74, 83),
        Block(HOLDING, 1000, 1019),
        Block(HOLDING, 1710, 1714),
        Block(HOLDING, 1790, 1791),
        Block(HOLDING, 4108, 4109),
        Block(HOLDING, 4122, 4123),
    ),
    commands=(
        Command("pv_surplus", "kW", Number(74, "f32"), -_POWER_KW_MAX, _POWER_KW_MAX),
        Command("electric_heater_power", "kW", Number(76, "f32"), 0, _POWER_KW_MAX, stored=True),
        Command("pv_production", "kW", Number(78, "f32"), 0, _POWER_KW_MAX, stored=True),
        Command("house_load", "kW", Number(82, "f32"), 0, _POWER_KW_MAX, stored=True),
        Command("dhw_trigger", "", Number(1713, "u16"), 0, 1, repeats_s=_REPEATS_S, stored=True),
        Command("power_limit", "kW", Number(4108, "f32"), 0, _POWER_KW_MAX, stored=True),
    ),
)
