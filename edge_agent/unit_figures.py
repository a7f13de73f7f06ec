"""What a mode of a unit gives and takes at two temperatures, and which one a heating curve asks of it. Pure.

Which temperatures are expected is the plan's business (`plan_case`), which ones there were, history's (`correcting`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge_agent.settings.model import Loop, PerformanceMode
from scheduling.plant.curve import convex_hull
from scheduling.plant.unit import MapPoint, Operating, PerformanceMap

Curve = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """A mode at a source and a leaving temperature.

    Attributes:
        heat_kw: at full load.
        curve: electricity over load, convex.
        map: its map, what the map says there, and the leaving temperature [degC]; None: it has no map.
    """

    heat_kw: float
    curve: Curve
    map: tuple[PerformanceMap, Operating, float] | None = None

    @property
    def cop_ratio(self) -> float:
        """Heat for electricity at full load, without pumps."""
        return self.heat_kw / self.curve[-1][1]


class ModeFigures:
    """The figures of a mode, ready to be moved along its map."""

    def __init__(self, figures: PerformanceMode, *, cop_ratio: float = 1.0) -> None:
        """Reads the map once.

        Args:
            figures: of the performance file.
            cop_ratio: heat for electricity against the file's, as history corrects it.
        """
        self._usual = Figures(
            figures.heat_kw, tuple((load, kw / cop_ratio) for load, kw in convex_hull(figures.curve).points)
        )
        self.source_degc, self.load_degc = figures.source_degc, figures.load_degc
        self._map: PerformanceMap | None = None
        if figures.full_load and figures.source_degc is not None and figures.load_degc is not None:
            self._map = PerformanceMap([MapPoint(*row) for row in figures.full_load])
            self._usually = self._map.at(figures.source_degc, figures.load_degc)

    @property
    def follows(self) -> bool:
        """Whether the figures follow temperatures at all: the file has a map."""
        return self._map is not None

    def at(self, source_degc: float | None, load_degc: float | None) -> Figures:
        """Moved from the usual temperatures to others; the usual ones where one is not known, or there is no map."""
        if self._map is None or self.source_degc is None or self.load_degc is None:
            return self._usual
        source = self.source_degc if source_degc is None else source_degc
        load = self.load_degc if load_degc is None else load_degc
        here = self._map.at(source, load)
        electric_ratio = here.electric_kw / self._usually.electric_kw
        return Figures(
            self._usual.heat_kw * here.output_kw / self._usually.output_kw,
            tuple((share, kw * electric_ratio) for share, kw in self._usual.curve),
            (self._map, here, load),
        )


def supply_curve(loop: Loop, outdoor_degc: Sequence[float]) -> list[float]:
    """Supply temperature of a loop by its heating curve [degC]."""
    pairs = loop.supply_setpoint_degc
    return np.interp(outdoor_degc, [cold for cold, _ in pairs], [supply for _, supply in pairs]).tolist()
