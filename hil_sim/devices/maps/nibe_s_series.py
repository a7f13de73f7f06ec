"""NIBE S1155/S1255 ground-source heat pump: a sparse map, menu settings that wear, 0x8000 for a missing sensor.

Source: yozik04/nibe nibe/data/s1155_s1255.json (keys are 1-based); evcc
templates/definition/charger/nibe-s-series.yaml. Bounds of the settings are design assumptions.
"""

from typing import Final

from hil_sim.devices.encode import Kind
from hil_sim.devices.instrument import Instrument
from hil_sim.devices.registers import HOLDING, INPUT, W_PER_KW, Block, Command, Number, Quantity, RegisterMap

_NO_SENSOR: Final = -0x8000
_SENSOR: Final = Instrument(offset=0.3, noise=0.05)
_ENERGY_PULSES: Final = Instrument(gain_error_ratio=0.02, resolution=0.01, truncates=True)
_ENERGY: Final = Instrument(  # one register of tenths: it starts again at zero
    gain_error_ratio=0.02, resolution=0.1, truncates=True, rolls_over_at=6553.6
)
_POWER_KW_PER_COUNT: Final = 10.0 / W_PER_KW
_TEMPERATURES: Final = (
    ("outdoor_temperature", 1),
    ("user_supply_temperature", 5),
    ("user_return_temperature", 7),
    ("dhw_top_temperature", 8),
    ("dhw_charging_temperature", 9),
    ("source_inlet_temperature", 10),
    ("source_outlet_temperature", 11),
    ("condenser_temperature", 12),
    ("discharge_temperature", 13),
    ("outdoor_temperature_mean", 37),
)
_QUANTITIES: Final = (
    *(
        Quantity(name, "degC", INPUT, Number(address, "i16", scale=0.1, invalid_raw=_NO_SENSOR), _SENSOR)
        for name, address in _TEMPERATURES
    ),
    Quantity("requested_compressor_frequency", "Hz", INPUT, Number(140, "u16")),
    Quantity("pulse_energy_total", "kWh", INPUT, Number(398, "u32", scale=0.01), _ENERGY_PULSES),
    Quantity("additional_heat_power", "kW", INPUT, Number(1027, "i16", scale=0.01), Instrument()),
    Quantity("sg_mode", "", INPUT, Number(1911, "u16")),
    Quantity("alarm_code", "", INPUT, Number(2195, "u16")),
    Quantity("electric_power", "kW", INPUT, Number(2305, "u16", scale=_POWER_KW_PER_COUNT), Instrument()),
    Quantity("energy_total", "kWh", INPUT, Number(3823, "u16", scale=0.1), _ENERGY),
)


def _setting(name: str, address: int, kind: Kind, *, low: int, high: int) -> Command:
    return Command(name, "", Number(address, kind), low, high, stored=True)


_COMMANDS: Final = (
    Command("degree_minutes", "", Number(11, "i32", scale=0.1), -3000, 3000),
    _setting("heating_curve_3", 24, "i16", low=0, high=15),
    _setting("heating_curve_2", 25, "i16", low=0, high=15),
    _setting("heating_curve_1", 26, "i16", low=0, high=15),
    _setting("heating_offset_1", 30, "i16", low=-10, high=10),
    _setting("dhw_demand_mode", 56, "i16", low=0, high=4),
    _setting("user_pump_mode", 95, "u16", low=0, high=40),
    _setting("source_pump_mode", 96, "u16", low=0, high=40),
    _setting("cooling_offset_1", 975, "i16", low=-10, high=10),
    _setting("power_limit_enable", 2741, "i16", low=0, high=1),
    _setting("operating_mode", 2743, "u16", low=0, high=2),
    Command("sg_activation", "", Number(3032, "u16"), 0, 1, clears_itself_s=0.0, stored=True),
    Command("power_limit", "kW", Number(6007, "i16", scale=0.01), 0, 100, stored=True),
    _setting("sg_ready_mode", 6008, "i16", low=0, high=3),
)

NIBE_S_SERIES: Final = RegisterMap(
    model="nibe_s_series",
    order="high_first",
    quantities=_QUANTITIES,
    blocks=(
        *(
            Block(INPUT, quantity.layout.address, quantity.layout.address + quantity.layout.count - 1)
            for quantity in _QUANTITIES
        ),
        *(
            Block(HOLDING, command.number.address, command.number.address + command.number.count - 1)
            for command in _COMMANDS
        ),
    ),
    commands=_COMMANDS,
)
