"""Acrel ADL3000 three-phase meter behind current transformers: the plant's main electricity meter.

Source: Acrel ADL3000-E manual 9.1 and DTSD1352 V2.0 manual 9.1: registers hold secondary-side values; power, energy and
current are multiplied by the ratio of the transformers, which the meter shows at 331.
"""

from typing import Final

from hil_sim.devices.instrument import Instrument
from hil_sim.devices.registers import HOLDING, WRITE_REGISTERS, Block, Number, Quantity, RegisterMap

CT_RATIO: Final = 60.0
"""300 A / 5 A current transformers; voltage is connected directly."""
_ENERGY_KWH_PER_COUNT: Final = 0.01 * CT_RATIO
_POWER_KW_PER_COUNT: Final = 0.001 * CT_RATIO
_CURRENT_A_PER_COUNT: Final = 0.01 * CT_RATIO

_VOLTAGE: Final = Instrument(gain_error_ratio=0.002, noise_ratio=0.001)
_CURRENT: Final = Instrument(gain_error_ratio=0.004, noise_ratio=0.002)
_POWER: Final = Instrument(gain_error_ratio=0.005, noise_ratio=0.002, chain="power")
_ENERGY: Final = Instrument(
    gain_error_ratio=0.005,
    resolution=_ENERGY_KWH_PER_COUNT,
    truncates=True,
    rolls_over_at=1e8 * _ENERGY_KWH_PER_COUNT,  # six digits and two decimals
    chain="power",
)
_ENERGIES: Final = (
    "energy_total",
    "energy_sharp",
    "energy_peak",
    "energy_flat",
    "energy_valley",
    "energy_import",
    "energy_import_sharp",
    "energy_import_peak",
    "energy_import_flat",
    "energy_import_valley",
    "energy_export",
)
"""One behind the other from the first register on."""

ACREL_ADL3000: Final = RegisterMap(
    model="acrel_adl3000",
    order="high_first",
    quantities=(
        *(
            Quantity(name, "kWh", HOLDING, Number(2 * place, "u32", scale=_ENERGY_KWH_PER_COUNT), _ENERGY)
            for place, name in enumerate(_ENERGIES)
        ),
        Quantity("voltage_a", "V", HOLDING, Number(97, "u16", scale=0.1), _VOLTAGE),
        Quantity("voltage_b", "V", HOLDING, Number(98, "u16", scale=0.1), _VOLTAGE),
        Quantity("voltage_c", "V", HOLDING, Number(99, "u16", scale=0.1), _VOLTAGE),
        Quantity("current_a", "A", HOLDING, Number(100, "u16", scale=_CURRENT_A_PER_COUNT), _CURRENT),
        Quantity("current_b", "A", HOLDING, Number(101, "u16", scale=_CURRENT_A_PER_COUNT), _CURRENT),
        Quantity("current_c", "A", HOLDING, Number(102, "u16", scale=_CURRENT_A_PER_COUNT), _CURRENT),
        Quantity("electric_power_a", "kW", HOLDING, Number(103, "i16", scale=_POWER_KW_PER_COUNT), _POWER),
        Quantity("electric_power_b", "kW", HOLDING, Number(104, "i16", scale=_POWER_KW_PER_COUNT), _POWER),
        Quantity("electric_power_c", "kW", HOLDING, Number(105, "i16", scale=_POWER_KW_PER_COUNT), _POWER),
        Quantity("electric_power", "kW", HOLDING, Number(106, "i16", scale=_POWER_KW_PER_COUNT), _POWER),
        Quantity("power_factor", "", HOLDING, Number(118, "i16", scale=0.001), Instrument()),
        Quantity("frequency", "Hz", HOLDING, Number(119, "u16", scale=0.01), Instrument(noise=0.01)),
        Quantity("ct_ratio", "", HOLDING, Number(331, "u32"), constant=CT_RATIO),
    ),
    blocks=(Block(HOLDING, 0, 151), Block(HOLDING, 320, 339)),
    functions=(HOLDING, WRITE_REGISTERS),
)
