"""Properties of the water in every loop, and the mixing of streams."""

import math

HEAT_CAPACITY_KJ_PER_KG_K = 4.186
"""Heat capacity of water, held constant so that every balance closes. Source: NIST WebBook, water."""

KJ_PER_KWH = 3600.0
SECONDS_PER_HOUR = 3600.0


def density_kg_per_m3(water_degc: float) -> float:
    """Density of water at atmospheric pressure [kg/m3].

    Source: Tilton and Taylor formula as given in McCutcheon, Martin, Barnwell, "Handbook of Hydrology" (1993), p. 11.3.
    """
    return 1000.0 * (1.0 - (water_degc + 288.9414) / (508929.2 * (water_degc + 68.12963)) * (water_degc - 3.9863) ** 2)


def relaxation_ratio(step_s: float, time_constant_s: float) -> float:
    """Share of the way to its target that a first-order lag covers in one step, exactly: 1 - exp(-dt/tau)."""
    return -math.expm1(-step_s / time_constant_s)
