"""Checks what a device reads by what must hold between its values: heat balance, sum of phases, U x I x cos phi. Pure.

It judges the definition of a meter (address, type, order, scale, unit), not its health: a check is made only where the
numbers are large enough to tell a wrong factor of ten, or of gigajoules for kilowatt-hours, from an honest error.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from drivers.profile import PointSpec

WATER_KWH_PER_M3_K = 1.149
"""Heat held by a cubic metre of water a kelvin [kWh/(m3 K)]: 4.186 kJ/(kg K) x 988 kg/m3 (50 degC) / 3600."""
TOLERANCE_RATIO = 0.15
"""Meters of a commissioning agree closer than this; a wrong scale or unit is off by a factor of 3.6 at least."""
HEAT_KW_MIN = 1.0
SPREAD_K_MIN = 0.5
POWER_KW_MIN = 0.2
AMPERE_MIN = 0.2
PHASE_VOLT_MIN, PHASE_VOLT_MAX = 180.0, 260.0
"""Voltage of a phase against neutral in a 220/230 V grid."""
LINE_VOLT_MIN, LINE_VOLT_MAX = 320.0, 450.0
GRID_HZ_MIN, GRID_HZ_MAX = 49.0, 51.0
_SQRT3 = math.sqrt(3)


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Attributes:
        code: which law: heat_balance, phase_sum, volt_ampere, voltage, frequency, range, monotonic.
        points: names that took part.
        expected: by the other values; None where there is a range only.
        value: what the point says.
        holds: whether they agree.
    """

    code: str
    points: tuple[str, ...]
    value: float
    expected: float | None
    holds: bool


def check(values: Mapping[str, float], *, points: Mapping[str, PointSpec]) -> list[Check]:
    """Makes every check that the values allow.

    Args:
        values: of one moment, inside units, by point name; points without a value are left out.
        points: their definitions.
    """
    return [*_ranges(values, points), *_heat(values), *_phases(values), *_volts(values, points)]


def monotonic(before: Mapping[str, float], after: Mapping[str, float], *, points: Mapping[str, PointSpec]) -> list[Check]:
    """Totals of energy and volume must not fall between two looks."""
    totals = [name for name, spec in points.items() if spec.unit in ("kWh", "m3") and name in before and name in after]
    return [
        Check("monotonic", (name,), after[name], before[name], after[name] >= before[name] * (1 - 1e-7))
        for name in totals
        if before[name] > 0
    ]


def _ranges(values: Mapping[str, float], points: Mapping[str, PointSpec]) -> Iterator[Check]:
    for name, value in values.items():
        limits = points[name].value_range
        if limits is not None and not limits[0] <= value <= limits[1]:
            yield Check("range", (name,), value, limits[1] if value > limits[1] else limits[0], holds=False)


def _heat(values: Mapping[str, float]) -> Iterator[Check]:
    names = ("heat_power", "flow", "supply_temperature", "return_temperature")
    if any(name not in values for name in names):
        return
    heat_kw, flow, supply_degc, return_degc = (values[name] for name in names)
    balance_kw = abs(flow * (supply_degc - return_degc)) * WATER_KWH_PER_M3_K
    if abs(supply_degc - return_degc) >= SPREAD_K_MIN and max(balance_kw, abs(heat_kw)) >= HEAT_KW_MIN:
        yield Check("heat_balance", names, abs(heat_kw), balance_kw, _close(abs(heat_kw), balance_kw))


def _phases(values: Mapping[str, float]) -> Iterator[Check]:
    """Total against the sum of its three phases, whatever the quantity: `x` with `x_l1`, `x_l2`, `x_l3`."""
    for total in values:
        parts = [f"{total}_l{phase}" for phase in (1, 2, 3)]
        if all(part in values for part in parts) and abs(values[total]) >= POWER_KW_MIN:
            expected = sum(values[part] for part in parts)
            yield Check("phase_sum", (total, *parts), values[total], expected, _close(values[total], expected))


def _volts(values: Mapping[str, float], points: Mapping[str, PointSpec]) -> Iterator[Check]:
    for name, value in values.items():
        unit = points[name].unit
        if unit == "V" and value > 1.0:
            inside = PHASE_VOLT_MIN <= value <= PHASE_VOLT_MAX or LINE_VOLT_MIN <= value <= LINE_VOLT_MAX
            yield Check("voltage", (name,), value, None, inside)
        elif unit == "Hz" and name == "frequency" and value > 1.0:
            yield Check("frequency", (name,), value, None, GRID_HZ_MIN <= value <= GRID_HZ_MAX)
    for suffix in ("_l1", "_l2", "_l3"):
        power, volt, ampere = (_first(values, stem + suffix) for stem in ("power", "voltage", "current"))
        if power is None or volt is None or ampere is None or abs(ampere) < AMPERE_MIN or abs(power) < POWER_KW_MIN:
            continue
        factor = _first(values, f"power_factor{suffix}")
        apparent_kw = volt * abs(ampere) / 1000
        names = (f"power{suffix}", f"voltage{suffix}", f"current{suffix}")
        if factor is None:  # without cos phi only the upper bound is known, and that it is no tenth of it
            holds = 0.2 * apparent_kw <= abs(power) <= (1 + TOLERANCE_RATIO) * apparent_kw
            yield Check("volt_ampere", names, abs(power), apparent_kw, holds)
        else:
            expected = apparent_kw * abs(factor)
            yield Check("volt_ampere", names, abs(power), expected, _close(abs(power), expected))


def _first(values: Mapping[str, float], name: str) -> float | None:
    return values.get(name)


def _close(value: float, expected: float) -> bool:
    return abs(value - expected) <= TOLERANCE_RATIO * max(abs(value), abs(expected))


def words(found: Sequence[Check]) -> tuple[int, int]:
    """How many checks held, and how many did not."""
    held = sum(one.holds for one in found)
    return held, len(found) - held
