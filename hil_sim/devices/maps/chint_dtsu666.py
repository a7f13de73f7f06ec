"""CHINT DTSU666 three-phase meter in two firmwares: floats that carry tenths and thousandths, or the plain value.

Source: volkszaehler/mbmd meters/rs485/dtsu666.go, which cites CHINT's manual; CHINT ZTY0.464.1448 manual table 11.
Plain values: star.ke.st library, CHINT DTSU666.
"""

from collections.abc import Iterator
from typing import Final

from hil_sim.devices.instrument import Instrument
from hil_sim.devices.registers import HOLDING, W_PER_KW, Block, Number, Quantity, RegisterMap, Trap

_VOLTAGE: Final = Instrument(gain_error_ratio=0.004, noise_ratio=0.001)
_CURRENT: Final = Instrument(gain_error_ratio=0.005, noise_ratio=0.002)
_POWER: Final = Instrument(gain_error_ratio=0.008, noise_ratio=0.003, chain="power")
_ENERGY: Final = Instrument(gain_error_ratio=0.008, resolution=0.01, truncates=True, rolls_over_at=1e6, chain="power")


def _floats(first: int, unit: str, scale: float, instrument: Instrument, *names: str) -> Iterator[Quantity]:
    """Floats one behind the other."""
    for place, name in enumerate(names):
        yield Quantity(name, unit, HOLDING, Number(first + 2 * place, "f32", scale=scale), instrument)


def _phases(name: str) -> tuple[str, str, str]:
    return f"{name}_a", f"{name}_b", f"{name}_c"


def _firmware(model: str, *, scaled: bool) -> RegisterMap:
    """One firmware: a 1.0 in the registers is worth a tenth, a hundredth, a thousandth; or one."""
    tenth, hundredth, thousandth = (0.1, 0.01, 0.001) if scaled else (1.0, 1.0, 1.0)
    kw = tenth / W_PER_KW
    return RegisterMap(
        model=model,
        order="high_first",
        quantities=(
            Quantity("ct_ratio", "", HOLDING, Number(6, "i16"), constant=1.0),
            Quantity("pt_ratio", "", HOLDING, Number(7, "i16", scale=0.1), constant=1.0),
            *_floats(4126, "kWh", 1.0, _ENERGY, "energy_total", *_phases("energy_import")),
            *_floats(4136, "kWh", 1.0, _ENERGY, "energy_export", *_phases("energy_export")),
            *_floats(8198, "V", tenth, _VOLTAGE, *_phases("voltage")),
            *_floats(8204, "A", thousandth, _CURRENT, *_phases("current")),
            *_floats(8210, "kW", kw, _POWER, "electric_power", *_phases("electric_power")),
            *_floats(8218, "kvar", kw, _POWER, "reactive_power", *_phases("reactive_power")),
            *_floats(8234, "", thousandth, Instrument(), "power_factor", *_phases("power_factor")),
            *_floats(8260, "Hz", hundredth, Instrument(noise=0.01), "frequency"),
        ),
        blocks=(Block(HOLDING, 0, 46), Block(HOLDING, 4126, 4145), Block(HOLDING, 8192, 8273)),
        traps=(
            Trap(2, 2, "clears the energy totals", clears_counters=True),
            Trap(0x2C, 0x2E, "changes protocol, baud rate or unit number"),
        ),
    )


CHINT_DTSU666: Final = _firmware("chint_dtsu666", scaled=True)
CHINT_DTSU666_UNSCALED: Final = _firmware("chint_dtsu666_unscaled", scaled=False)
