"""A unit by its performance map: what it gives and takes at a source and a load temperature, at any part load.

Between the map's points values are linear; outside they are those of the edge, never extrapolated: a map that ends at
55 degC says nothing of 60. Water and brine units, air units and units that make ice are all the same here; ice is a
load temperature below zero.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from scheduling.plant.curve import Hull, convex_hull

Column: TypeAlias = tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]
"""Source temperatures, outputs, powers at one load temperature."""

FULL_RATIO_TOL = 1e-6
PART_LOAD = ((0.3, 0.339), (0.5, 0.5), (0.75, 0.714), (1.0, 1.0))
"""Electricity over load, as shares of full load, of a screw unit for maps that know full load only. Ours: the shape of
the shipped map; a measured one of 890 kW lies within 0.03 of it at 45 degC and above it at 63."""


@dataclass(frozen=True, slots=True)
class MapPoint:
    """One measured or published point.

    Attributes:
        source_degc: temperature of the source, as the map's maker counts it (entering, leaving, air).
        load_degc: leaving temperature of the load side.
        output_kw: heat, or cold.
        electric_kw: what it takes.
        load_ratio: level of part load that the point belongs to; 1: full.
    """

    source_degc: float
    load_degc: float
    output_kw: float
    electric_kw: float
    load_ratio: float = 1.0

    def __post_init__(self) -> None:
        figures = (self.source_degc, self.load_degc, self.output_kw, self.electric_kw, self.load_ratio)
        if not all(math.isfinite(figure) for figure in figures):
            raise ValueError(f"a map's point must be finite: {figures}")
        if self.output_kw <= 0 or self.electric_kw <= 0 or not 0 < self.load_ratio <= 1:
            raise ValueError(f"output, electricity and load of a map's point must be positive: {figures}")


@dataclass(frozen=True, slots=True)
class Operating:
    """What a unit is at two temperatures.

    Attributes:
        output_kw: at full load.
        electric_kw: at full load.
        hull: (load ratio, electric kW) from the lowest load to the full one, made convex; with what that costs.
        inside: whether the temperatures lie inside the map; outside the nearest edge stands in.
    """

    output_kw: float
    electric_kw: float
    hull: Hull
    inside: bool

    @property
    def cop_ratio(self) -> float:
        """Output for electricity at full load."""
        return self.output_kw / self.electric_kw


class PerformanceMap:
    """Points of a unit, ready to be read at any two temperatures."""

    def __init__(self, points: Sequence[MapPoint], *, part_load: Sequence[tuple[float, float]] = PART_LOAD) -> None:
        """Sorts the points.

        Args:
            points: at least one at full load; a level of part load need not know every temperature.
            part_load: (load, share of the full electricity), used where the points know full load only.

        Raises:
            ValueError: no point at full load, or two points for one place.
        """
        self._levels: dict[float, dict[float, Column]] = {}
        for level in sorted({point.load_ratio for point in points}):
            members = [point for point in points if point.load_ratio == level]
            if len({(point.source_degc, point.load_degc) for point in members}) != len(members):
                raise ValueError(f"two points of a map stand for one place at load {level:g}")
            self._levels[level] = _columns(members)
        if not any(abs(level - 1.0) <= FULL_RATIO_TOL for level in self._levels):
            raise ValueError("a map needs points at full load")
        self._part_load = tuple(part_load)

    def at(self, source_degc: float, load_degc: float) -> Operating:
        """Output, electricity and part-load curve at two temperatures."""
        output_kw, electric_kw, inside = _read(self._levels[max(self._levels)], source_degc, load_degc)
        curve: list[tuple[float, float]] = []
        for level in sorted(self._levels):
            level_kw, level_electric_kw, _ = _read(self._levels[level], source_degc, load_degc)
            ratio = min(1.0, level_kw / output_kw)
            if not curve or ratio > curve[-1][0] + FULL_RATIO_TOL:
                curve.append((ratio, level_electric_kw))
        if len(self._levels) == 1:
            curve = [(ratio, share * electric_kw) for ratio, share in self._part_load]
        return Operating(output_kw, electric_kw, convex_hull(curve), inside)

    def factors(
        self, sources_degc: Sequence[float], loads_degc: Sequence[float], *, reference: Operating
    ) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Capacity and COP of each step, as parts of those at a reference.

        Args:
            sources_degc: source temperature of each step.
            loads_degc: load temperature of each step.
            reference: what the plan's figures stand for.
        """
        here = [self.at(source, load) for source, load in zip(sources_degc, loads_degc, strict=True)]
        return (
            tuple(operating.output_kw / reference.output_kw for operating in here),
            tuple(operating.cop_ratio / reference.cop_ratio for operating in here),
        )


def _columns(points: Sequence[MapPoint]) -> dict[float, Column]:
    """Load temperature -> its points by rising source temperature."""
    out: dict[float, Column] = {}
    for load_degc in sorted({point.load_degc for point in points}):
        members = sorted((p for p in points if p.load_degc == load_degc), key=lambda p: p.source_degc)
        out[load_degc] = (
            tuple(p.source_degc for p in members),
            tuple(p.output_kw for p in members),
            tuple(p.electric_kw for p in members),
        )
    return out


def _read(columns: Mapping[float, Column], source_degc: float, load_degc: float) -> tuple[float, float, bool]:
    """Output and electricity at two temperatures, and whether they lie inside: along the source first, then the load.

    A map has rows only where the machine may run, so columns differ in length: each is held at its own ends.
    """
    loads = list(columns)
    output = [float(np.interp(source_degc, sources, kw)) for sources, kw, _ in columns.values()]
    electric = [float(np.interp(source_degc, sources, kw)) for sources, _, kw in columns.values()]
    above = next((number for number, load in enumerate(loads) if load >= load_degc), len(loads) - 1)
    near = {loads[max(0, above - 1)], loads[above]} if loads[above] != load_degc else {loads[above]}
    inside = loads[0] <= load_degc <= loads[-1] and all(
        columns[load][0][0] <= source_degc <= columns[load][0][-1] for load in near
    )
    return float(np.interp(load_degc, loads, output)), float(np.interp(load_degc, loads, electric)), inside
