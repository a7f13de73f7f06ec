"""Eastron SDM630 three-phase meter: one at each heat pump.

Source: volkszaehler/mbmd meters/rs485/sdm.go, which cites Eastron's SDM630 Modbus protocol (input registers, floats,
watts).
"""

from collections.abc import Iterator
from typing import Final

from hil_sim.devices.instrument import Instrument
from hil_sim.devices.registers import INPUT, W_PER_KW, Block, Number, Quantity, RegisterMap

_VOLTAGE: Final = Instrument(gain_error_ratio=0.003, noise_ratio=0.001)
_CURRENT: Final = Instrument(gain_error_ratio=0.005, noise_ratio=0.002)
_POWER: Final = Instrument(gain_error_ratio=0.008, noise_ratio=0.003, chain="power")
_POWER_FACTOR: Final = Instrument(resolution=0.001)
_ENERGY: Final = Instrument(gain_error_ratio=0.008, resolution=0.01, truncates=True, rolls_over_at=1e6, chain="power")


def _floats(first: int, unit: str, instrument: Instrument, *names: str, scale: float = 1.0) -> Iterator[Quantity]:
    """Floats one behind the other."""
    for place, name in enumerate(names):
        yield Quantity(name, unit, INPUT, Number(first + 2 * place, "f32", scale=scale), instrument)


def _phases(name: str) -> tuple[str, str, str]:
    return f"{name}_a", f"{name}_b", f"{name}_c"


_KILO: Final = 1 / W_PER_KW

EASTRON_SDM630: Final = RegisterMap(
    model="eastron_sdm630",
    order="high_first",
    quantities=(
        *_floats(0, "V", _VOLTAGE, *_phases("voltage")),
        *_floats(6, "A", _CURRENT, *_phases("current")),
        *_floats(12, "kW", _POWER, *_phases("electric_power"), scale=_KILO),
        *_floats(18, "kVA", _POWER, *_phases("apparent_power"), scale=_KILO),
        *_floats(24, "kvar", _POWER, *_phases("reactive_power"), scale=_KILO),
        *_floats(30, "", _POWER_FACTOR, *_phases("power_factor")),
        *_floats(52, "kW", _POWER, "electric_power", scale=_KILO),
        *_floats(56, "kVA", _POWER, "apparent_power", scale=_KILO),
        *_floats(60, "kvar", _POWER, "reactive_power", scale=_KILO),
        *_floats(62, "", _POWER_FACTOR, "power_factor"),
        *_floats(66, "deg", Instrument(resolution=0.1), "phase_angle"),
        *_floats(70, "Hz", Instrument(noise=0.01, resolution=0.01), "frequency"),
        *_floats(72, "kWh", _ENERGY, "energy_total", "energy_export"),
        *_floats(76, "kvarh", _ENERGY, "reactive_energy_import", "reactive_energy_export"),
        *_floats(234, "%", Instrument(noise=0.1), *_phases("thd")),
        *_floats(248, "%", Instrument(noise=0.1), "thd"),
        *_floats(342, "kWh", _ENERGY, "energy_sum"),
        *_floats(344, "kvarh", _ENERGY, "reactive_energy_sum"),
        *_floats(346, "kWh", _ENERGY, *_phases("energy_import"), *_phases("energy_export"), *_phases("energy_sum")),
        *_floats(
            364,
            "kvarh",
            _ENERGY,
            *_phases("reactive_energy_import"),
            *_phases("reactive_energy_export"),
            *_phases("reactive_energy_sum"),
        ),
    ),
    blocks=(Block(INPUT, 0, 107), Block(INPUT, 200, 269), Block(INPUT, 334, 381)),
    registers_per_read_max=80,
)
