"""Checks what a device reads by what must hold between its values: heat balance, sum of phases, U x I x cos phi. Pure.

It judges the definition of a meter (address, type, order, scale, unit), not its health: a check is made only where the
numbers are large enough to tell a wrong factor of ten, or of gigajoules for kilowatt-hours, from an honest error.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from drivers.profile import HeatBalance, Profile, SumCheck

WATER_KWH_PER_M3_K = 1.149
"""Heat held by a cubic metre of water a kelvin [kWh/(m3 K)]: 4.186 kJ/(kg K) x 988 kg/m3 (50 degC) / 3600."""
TOLERANCE_RATIO = 0.15
"""Meters of a commissioning agree closer than this; a wrong scale or unit is off by a factor of 3.6 at least."""
HEAT_KW_MIN = 1.0
SPREAD_K_MIN = 0.5
POWER_KW_MIN = 0.2
VOLT_MIN = 1.0
FACTOR_MIN = 0.2
PHASE_VOLT_MIN, PHASE_VOLT_MAX = 180.0, 260.0
"""Voltage of a phase against neutral in a 220/230 V grid."""
LINE_VOLT_MIN, LINE_VOLT_MAX = 320.0, 450.0
GRID_HZ_MIN, GRID_HZ_MAX = 49.0, 51.0
W_PER_KW = 1000.0
PHASES = (("_a", "_b", "_c"), ("_l1", "_l2", "_l3"))
"""How the names of a three-phase meter's points end."""
_HEAT_NAMES = ("heat_power", "flow", "supply_temperature", "return_temperature")


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Attributes:
        code: which law: heat_balance, sum, volt_ampere, voltage, frequency, range, monotonic.
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


def check(values: Mapping[str, float], *, profile: Profile) -> list[Check]:
    """Makes every check that the values allow.

    Args:
        values: of one moment, inside units, by point name; points without a value are left out.
        profile: their definitions.
    """
    return [*_ranges(values, profile), *_heat(values, profile), *_sums(values, profile), *_electric(values, profile)]


def monotonic(before: Mapping[str, float], after: Mapping[str, float], *, profile: Profile) -> list[Check]:
    """Totals of energy and volume must not fall between two looks."""
    totals = [
        name for name, spec in profile.points.items() if spec.unit in ("kWh", "m3") and name in before and name in after
    ]
    return [
        Check("monotonic", (name,), after[name], before[name], after[name] >= before[name] * (1 - 1e-7))
        for name in totals
        if before[name] > 0
    ]


def _ranges(values: Mapping[str, float], profile: Profile) -> Iterator[Check]:
    for name, value in values.items():
        limits = profile.points[name].value_range
        if limits is not None and not limits[0] <= value <= limits[1]:
            yield Check("range", (name,), value, limits[1] if value > limits[1] else limits[0], holds=False)


def _heat(values: Mapping[str, float], profile: Profile) -> Iterator[Check]:
    stated = [check for check in profile.checks if isinstance(check, HeatBalance)]
    usual = HeatBalance(*_HEAT_NAMES, tolerance_ratio=TOLERANCE_RATIO, tolerance=0.0)
    for law in stated or [usual]:
        names = (law.power, law.flow, law.supply, law.return_)
        if any(name not in values for name in names):
            continue
        heat_kw, flow, supply_degc, return_degc = (values[name] for name in names)
        balance_kw = abs(flow * (supply_degc - return_degc)) * WATER_KWH_PER_M3_K
        if abs(supply_degc - return_degc) >= SPREAD_K_MIN and max(balance_kw, abs(heat_kw)) >= HEAT_KW_MIN:
            holds = _close(abs(heat_kw), balance_kw, ratio=law.tolerance_ratio, tolerance=law.tolerance)
            yield Check("heat_balance", names, abs(heat_kw), balance_kw, holds)


def _sums(values: Mapping[str, float], profile: Profile) -> Iterator[Check]:
    """Totals against their parts: as the profile states, and `x` against `x_a`, `x_b`, `x_c` of a three-phase meter."""
    stated = [check for check in profile.checks if isinstance(check, SumCheck)]
    known = {law.total for law in stated}
    for total in values.keys() - known:
        for suffixes in PHASES:
            parts = tuple(total + suffix for suffix in suffixes)
            if all(part in values for part in parts) and profile.points[total].unit in ("kW", "kvar", "kWh"):
                stated.append(SumCheck(total, parts, TOLERANCE_RATIO, 0.0))
    for law in stated:
        if law.total in values and all(part in values for part in law.parts):
            value, expected = values[law.total], sum(values[part] for part in law.parts)
            stated_parts = any(values[part] for part in law.parts)  # a meter may leave them all empty
            if stated_parts and max(abs(value), abs(expected)) >= POWER_KW_MIN:
                holds = _close(value, expected, ratio=law.tolerance_ratio, tolerance=law.tolerance)
                yield Check("sum", (law.total, *law.parts), value, expected, holds)


def _electric(values: Mapping[str, float], profile: Profile) -> Iterator[Check]:
    for name, value in values.items():
        unit = profile.points[name].unit
        if unit == "V" and value > VOLT_MIN:
            inside = PHASE_VOLT_MIN <= value <= PHASE_VOLT_MAX or LINE_VOLT_MIN <= value <= LINE_VOLT_MAX
            yield Check("voltage", (name,), value, None, inside)
        elif unit == "Hz" and name == "frequency" and value > VOLT_MIN:
            yield Check("frequency", (name,), value, None, GRID_HZ_MIN <= value <= GRID_HZ_MAX)
    for suffixes in PHASES:
        yield from _volt_ampere(values, suffixes)


def _volt_ampere(values: Mapping[str, float], suffixes: Sequence[str]) -> Iterator[Check]:
    """U x I x cos phi against the active power."""
    total = next((name for name in ("electric_power", "power") if name in values), None)
    names = [f"{stem}{suffix}" for suffix in suffixes for stem in ("voltage", "current")]
    if total is None or any(name not in values for name in names):
        return
    apparent_kw = sum(values[f"voltage{s}"] * abs(values[f"current{s}"]) for s in suffixes) / W_PER_KW
    power_kw = abs(values[total])
    if max(apparent_kw, power_kw) < POWER_KW_MIN or any(values[f"voltage{s}"] > PHASE_VOLT_MAX for s in suffixes):
        return
    factor = abs(values.get("power_factor", 0.0))
    if factor > FACTOR_MIN:
        expected_kw = apparent_kw * factor
        holds = _close(power_kw, expected_kw, ratio=TOLERANCE_RATIO, tolerance=0.0)
    else:  # without cos phi only bounds are known
        expected_kw = apparent_kw
        holds = FACTOR_MIN * apparent_kw <= power_kw <= (1 + TOLERANCE_RATIO) * apparent_kw
    yield Check("volt_ampere", (total, *names), power_kw, expected_kw, holds)


def _close(value: float, expected: float, *, ratio: float, tolerance: float) -> bool:
    return abs(value - expected) <= ratio * max(abs(value), abs(expected)) + tolerance
