"""Landis+Gyr T550 (UH50) heat meter with Siemens' RS-485 module WZU-485E-MOD, which reads it when asked.

Source: WZU-485E-MOD manual chapter 8 table 1; T550 RS-485 module instructions UH50-A23 (rates, refresh). The units of
the totals come from the meter (register 13) and are set on site: here a total is in counts.
"""

from typing import Final

from hil_sim.devices.instrument import Instrument
from hil_sim.devices.registers import HOLDING, Block, Number, Quantity, RegisterMap

_READS_METER_S: Final = 5.0
_PAIR: Final = Instrument(period_s=2.0, offset=0.05, noise=0.02, resolution=0.01, chain="pair")
_FLOW: Final = Instrument(period_s=2.0, gain_error_ratio=0.008, noise_ratio=0.003, chain="flow")
_HEAT: Final = Instrument(period_s=2.0, gain_error_ratio=0.010, noise_ratio=0.004, chain="heat")
_HEAT_TOTAL: Final = Instrument(gain_error_ratio=0.010, resolution=1.0, truncates=True, rolls_over_at=1e7, chain="heat")
_VOLUME_TOTAL: Final = Instrument(
    gain_error_ratio=0.008, resolution=1.0, truncates=True, rolls_over_at=1e7, chain="flow"
)
_COUNT: Final = Instrument(resolution=1.0, truncates=True)

SIEMENS_LANDISGYR_UH50_WZU485E: Final = RegisterMap(
    model="siemens_landisgyr_uh50_wzu485e",
    order="high_first",
    quantities=(
        Quantity("supply_temperature", "degC", HOLDING, Number(1, "i16", scale=0.01), _PAIR),
        Quantity("return_temperature", "degC", HOLDING, Number(2, "i16", scale=0.01), _PAIR),
        Quantity("delta_t", "K", HOLDING, Number(3, "i16", scale=0.01), Instrument(period_s=2.0, noise=0.02)),
        Quantity("flow", "m3/h", HOLDING, Number(4, "u32", scale=0.001), _FLOW),
        Quantity("heat_power", "kW", HOLDING, Number(6, "u32", scale=0.01), _HEAT),
        Quantity("cold_total", "", HOLDING, Number(8, "u32"), _HEAT_TOTAL),
        Quantity("meter_time", "", HOLDING, Number(10, "u32"), origin="calendar"),
        Quantity("info_code", "", HOLDING, Number(12, "u16")),
        Quantity("header_code", "", HOLDING, Number(13, "u16"), constant=0.0),
        Quantity("heat_total", "", HOLDING, Number(14, "u32"), _HEAT_TOTAL),
        Quantity("volume_total", "", HOLDING, Number(16, "u32"), _VOLUME_TOTAL),
        Quantity("serial_number", "", HOLDING, Number(18, "u32"), origin="serial"),
        Quantity("heat_total_month", "", HOLDING, Number(20, "u32"), _HEAT_TOTAL),
        Quantity("volume_total_month", "", HOLDING, Number(22, "u32"), _VOLUME_TOTAL),
        Quantity("tariff_1", "", HOLDING, Number(36, "u32"), _COUNT),
        Quantity("tariff_2", "", HOLDING, Number(38, "u32"), _COUNT),
        Quantity("tariff_3", "", HOLDING, Number(40, "u32"), _COUNT),
    ),
    blocks=(Block(HOLDING, 1, 41),),
    functions=(HOLDING,),
    silent=True,
    torn_when_split=True,
    reads_meter_s=_READS_METER_S,
)
