"""TUF-2000M ultrasonic heat meter: two of them count the heat to the building and in and out of the tank.

Source: TUF-2000F manual 5.1.1 and the Chinese register table of the TUF-2000M (register n is wire address n - 1, low
word first).
"""

from dataclasses import replace
from typing import Final

from hil_sim.devices.instrument import Instrument
from hil_sim.devices.registers import HOLDING, KWH_PER_GJ, Block, Number, Quantity, RegisterMap, Trap, WholeAndFraction

_STEP_UNITS: Final = 0.001
_UNITS_MAX: Final = 1e7
"""The totaliser shows seven digits before the point."""

_FLOW: Final = Instrument(gain_error_ratio=0.008, noise_ratio=0.003, chain="flow")
_HEAT: Final = Instrument(gain_error_ratio=0.010, noise_ratio=0.004, chain="heat")
_PAIR: Final = Instrument(offset=0.10, noise=0.03, resolution=0.01, chain="pair")
_VOLUME_TOTAL: Final = Instrument(
    period_s=10.0,
    gain_error_ratio=0.008,
    resolution=_STEP_UNITS,
    truncates=True,
    rolls_over_at=_UNITS_MAX,
    chain="flow",
)
_VOLUME_NET: Final = replace(_VOLUME_TOTAL, truncates=False, rolls_over_at=0.0)
_HEAT_TOTAL: Final = Instrument(
    period_s=10.0,
    gain_error_ratio=0.010,
    resolution=_STEP_UNITS * KWH_PER_GJ,
    truncates=True,
    rolls_over_at=_UNITS_MAX * KWH_PER_GJ,
    chain="heat",
)
_HEAT_NET: Final = replace(_HEAT_TOTAL, truncates=False, rolls_over_at=0.0)

TUF2000M: Final = RegisterMap(
    model="tuf2000m",
    order="low_first",
    quantities=(
        Quantity("flow", "m3/h", HOLDING, Number(0, "f32"), _FLOW),
        Quantity("heat_power", "kW", HOLDING, Number(2, "f32", scale=KWH_PER_GJ), _HEAT),
        Quantity("velocity", "m/s", HOLDING, Number(4, "f32"), _FLOW),
        Quantity("sound_speed", "m/s", HOLDING, Number(6, "f32"), Instrument(noise=1.0)),
        Quantity("volume_total", "m3", HOLDING, WholeAndFraction(8), _VOLUME_TOTAL),
        Quantity("volume_total_negative", "m3", HOLDING, WholeAndFraction(12), _VOLUME_TOTAL),
        Quantity("heat_total", "kWh", HOLDING, WholeAndFraction(16, scale=KWH_PER_GJ), _HEAT_TOTAL),
        Quantity("heat_total_negative", "kWh", HOLDING, WholeAndFraction(20, scale=KWH_PER_GJ), _HEAT_TOTAL),
        Quantity("volume_total_net", "m3", HOLDING, WholeAndFraction(24), _VOLUME_NET),
        Quantity("heat_total_net", "kWh", HOLDING, WholeAndFraction(28, scale=KWH_PER_GJ), _HEAT_NET),
        Quantity("supply_temperature", "degC", HOLDING, Number(32, "f32"), _PAIR),
        Quantity("return_temperature", "degC", HOLDING, Number(34, "f32"), _PAIR),
        # Zero stands for m3 and for GJ. Design assumption: the facts name the registers, not the codes.
        Quantity("volume_unit_code", "", HOLDING, Number(1437, "u16"), constant=0.0),
        Quantity("heat_unit_code", "", HOLDING, Number(1440, "u16"), constant=0.0),
    ),
    blocks=(Block(HOLDING, 0, 99), Block(HOLDING, 1430, 1449)),
    traps=(Trap(48, 50, "changes the access codes"),),
)
