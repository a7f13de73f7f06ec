"""A tank of water: usable energy by temperature, what it may take and give, what it loses.

Energy is counted layer by layer above the empty temperature (below it for cold), never from the mean: a tank that is
half hot and half cold gives half its heat, a lukewarm one gives none.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from scheduling.plant.curve import Line

WATER_KWH_PER_M3_K = 1.149
"""Heat held by a cubic metre of water a kelvin [kWh/(m3 K)]: 4.186 kJ/(kg K) x 988 kg/m3 (50 degC) / 3600."""
COLD_WATER_KWH_PER_M3_K = 1.166
"""The same of chilled water: 4.198 kJ/(kg K) x 1000 kg/m3 (8 degC) / 3600."""
COLDEST_DEGC = 4.0
"""Water is heaviest here: a chilled tank must not be driven below, or its layers turn over."""
CHARGE_TAPER_RATIO = 0.875
"""Above this share of its energy a tank takes less and less: the thermocline nears the port. Ours."""
DISCHARGE_TAPER_RATIO = 0.12
"""Below this share a tank gives less and less. Ours, as in the cases."""
DISCHARGE_EMPTY_RATIO = 0.05
"""Share of the full rate that an almost empty tank still gives. Ours."""
HOURS_A_DAY = 24.0
LOSS_RATIO_PER_DAY_MAX = 0.95
"""A tank that loses more in a day is no store; also where the root is still real."""


@dataclass(frozen=True, slots=True)
class WaterTank:
    """A tank between two temperatures.

    Attributes:
        volume_m3: of water.
        empty_degc: water here gives nothing; warmer (or, for cold, colder) does.
        full_degc: water here is full.
    """

    volume_m3: float
    empty_degc: float
    full_degc: float

    def __post_init__(self) -> None:
        if self.volume_m3 <= 0 or self.empty_degc == self.full_degc:
            raise ValueError(f"a tank needs a volume and two temperatures: {self}")
        if self.full_degc < self.empty_degc and self.full_degc < COLDEST_DEGC:
            raise ValueError(f"a chilled tank must not be driven below {COLDEST_DEGC:g} degC: {self}")

    @property
    def kwh_per_k(self) -> float:
        """Energy of the whole tank a kelvin."""
        water = WATER_KWH_PER_M3_K if self.full_degc > self.empty_degc else COLD_WATER_KWH_PER_M3_K
        return self.volume_m3 * water

    @property
    def capacity_kwh(self) -> float:
        """Usable energy of the full tank."""
        return self.kwh_per_k * abs(self.full_degc - self.empty_degc)

    def usable_kwh(self, layers_degc: Sequence[float]) -> float:
        """Usable energy of layers of equal volume; water beyond full counts as full.

        Raises:
            ValueError: no layer is known.
        """
        if not layers_degc:
            raise ValueError("the energy of a tank needs at least one layer")
        sign = 1.0 if self.full_degc > self.empty_degc else -1.0
        span_k = abs(self.full_degc - self.empty_degc)
        useful_k = [min(span_k, max(0.0, sign * (layer - self.empty_degc))) for layer in layers_degc]
        return self.kwh_per_k * sum(useful_k) / len(layers_degc)

    def charge_limit_kw(self, most_kw: float) -> Line:
        """What it takes against its energy."""
        return (0.0, most_kw), (CHARGE_TAPER_RATIO * self.capacity_kwh, most_kw), (self.capacity_kwh, 0.0)

    def discharge_limit_kw(self, most_kw: float) -> Line:
        """What it gives against its energy."""
        return (
            (0.0, DISCHARGE_EMPTY_RATIO * most_kw),
            (DISCHARGE_TAPER_RATIO * self.capacity_kwh, most_kw),
            (self.capacity_kwh, most_kw),
        )


def loss_fraction_per_h(loss_ratio_per_day: float) -> float:
    """Share lost in an hour from the share lost in a day; a learned factor never makes it all."""
    return 1.0 - float((1.0 - min(loss_ratio_per_day, LOSS_RATIO_PER_DAY_MAX)) ** (1.0 / HOURS_A_DAY))
