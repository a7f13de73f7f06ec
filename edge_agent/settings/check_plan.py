"""Checks whether the plant that the files describe can be planned at all: limits that contradict what units need.

What only costs money or comfort is a warning; what no plan could ever keep is an error. Like the other checks they
work on the files as they were read, and stay silent where a value has not the right form.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edge_agent.settings.finding import Finding
from edge_agent.settings.model import Performance, PerformanceMode
from edge_agent.settings.yaml_file import Document

COP_USUAL = (1.0, 10.0)
RATED_OFF_RATIO_MAX = 0.2
"""A map is for other temperatures than the nameplate, but not for another machine."""
LOSS_PER_DAY_USUAL_MAX = 0.2
FILLED_H_MIN = 0.25
"""A tank that the units fill sooner than this stores nothing worth planning; its volume is most likely a slip."""
WATER_KWH_PER_M3_K = 1.163


@dataclass(frozen=True, slots=True)
class _Known:
    """A unit whose map could be read."""

    entry: Mapping[str, Any]
    performance: Performance

    def mode(self, name: str) -> PerformanceMode | None:
        """Figures of a mode that the unit may run in."""
        modes = self.entry.get("modes")
        return self.performance.modes.get(name) if isinstance(modes, list) and name in modes else None

    def figures(self) -> list[PerformanceMode]:
        """Of all its modes."""
        return [figures for name in ("direct", "charge") if (figures := self.mode(name)) is not None]


def check_plan(site: Document, performance: Mapping[str, Performance]) -> Iterator[Finding]:
    """Every contradiction between limits and units.

    Args:
        site: site.yaml as it was read.
        performance: performance maps that could be read, by name.
    """
    units = {
        name: _Known(entry, performance[wanted])
        for name, entry in _mappings(site, "units").items()
        if isinstance(wanted := entry.get("performance"), str) and wanted in performance
    }
    for rule in (_capacity, _power_limits, _sources, _charging, _nameplates, _tanks):
        yield from rule(site, units)
    for name, entry in _mappings(site, "auxiliaries").items():
        low, high = _number(entry, "heat_kw_min"), _number(entry, "heat_kw_max")
        if low is not None and high is not None and low > high:
            at = ("auxiliaries", name, "heat_kw_max")
            yield site.finding("min_above_max", at, low=f"{low:g}", high=f"{high:g}", low_key="heat_kw_min")


def _mappings(site: Document, section: str) -> dict[str, Mapping[str, Any]]:
    members = site.data.get(section)
    if not isinstance(members, Mapping):
        return {}
    return {name: entry for name, entry in members.items() if isinstance(name, str) and isinstance(entry, Mapping)}


def _number(entry: Mapping[str, Any], key: str) -> float | None:
    value = entry.get(key)
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        return None
    return float(value)


def _capacity(site: Document, units: Mapping[str, _Known]) -> Iterator[Finding]:
    """Units that together give less than the design load: the plan will lack heat on the coldest days."""
    all_known = len(units) == len(_mappings(site, "units"))
    for name, loop in _mappings(site, "loops").items():
        design_kw = _number(loop, "design_kw")
        members = [unit for unit in units.values() if unit.entry.get("loop") == name]
        if design_kw is None or not members or not all_known:
            continue
        have_kw = sum(max((figures.heat_kw for figures in unit.figures()), default=0.0) for unit in members)
        have_kw += sum(
            _number(entry, "heat_kw_max") or 0.0
            for entry in _mappings(site, "auxiliaries").values()
            if entry.get("loop") == name
        )
        if have_kw < design_kw:
            yield site.finding(
                "capacity_below_load",
                ("loops", name, "design_kw"),
                warning=True,
                load=f"{design_kw:g}",
                have=f"{have_kw:g}",
                lack=f"{design_kw - have_kw:g}",
            )


def _power_limits(site: Document, units: Mapping[str, _Known]) -> Iterator[Finding]:
    limits = site.data.get("limits")
    limits = limits if isinstance(limits, Mapping) else {}
    grid_kw, contract_kw = _number(limits, "grid_kw_max"), _number(limits, "contract_demand_kw")
    least = {
        name: min(figures.curve[0][1] for figures in unit.figures()) + (_number(unit.entry, "pump_kw") or 0.0)
        for name, unit in units.items()
        if unit.figures()
    }
    for key, limit_kw in (("grid_kw_max", grid_kw), ("contract_demand_kw", contract_kw)):
        if limit_kw is not None and least and limit_kw < min(least.values()):
            smallest = min(least, key=lambda name: least[name])
            at = ("limits", key)
            yield site.finding(
                "limit_below_unit", at, given=f"{limit_kw:g}", unit=smallest, least=f"{least[smallest]:.0f}"
            )
    if grid_kw is not None and contract_kw is not None and contract_kw > grid_kw:
        at = ("limits", "contract_demand_kw")
        yield site.finding("contract_above_limit", at, warning=True, given=f"{contract_kw:g}", limit=f"{grid_kw:g}")


def _sources(site: Document, units: Mapping[str, _Known]) -> Iterator[Finding]:
    """A source that cannot carry even one unit at its lowest load."""
    for name, source in _mappings(site, "sources").items():
        limit_kw = _number(source, "heat_kw_max")
        draws = {
            unit: min(figures.heat_kw * figures.curve[0][0] - figures.curve[0][1] for figures in known.figures())
            for unit, known in units.items()
            if known.entry.get("source") == name and known.figures()
        }
        if limit_kw is not None and draws and limit_kw < min(draws.values()):
            smallest = min(draws, key=lambda unit: draws[unit])
            at = ("sources", name, "heat_kw_max")
            yield site.finding(
                "source_below_unit", at, given=f"{limit_kw:g}", unit=smallest, least=f"{draws[smallest]:.0f}"
            )


def _charging(site: Document, units: Mapping[str, _Known]) -> Iterator[Finding]:
    """A tank that takes less than any unit that charges it gives at its lowest load: the rest goes into the loop."""
    for name, tank in _mappings(site, "storages").items():
        most_kw = _number(tank, "charge_kw_max")
        lowest = {
            unit: figures.heat_kw * figures.curve[0][0]
            for unit, known in units.items()
            if known.entry.get("storage") == name and (figures := known.mode("charge")) is not None
        }
        if most_kw is not None and lowest and most_kw < min(lowest.values()):
            smallest = min(lowest, key=lambda unit: lowest[unit])
            at = ("storages", name, "charge_kw_max")
            yield site.finding(
                "charge_below_unit",
                at,
                warning=True,
                given=f"{most_kw:g}",
                unit=smallest,
                least=f"{lowest[smallest]:.0f}",
            )


def _nameplates(site: Document, units: Mapping[str, _Known]) -> Iterator[Finding]:
    """Maps that no machine has, or another one than the nameplate says."""
    for name, unit in units.items():
        at = ("units", name, "performance")
        for figures in unit.figures():
            cop = figures.heat_kw / figures.curve[-1][1] if figures.curve[-1][1] > 0 else math.inf
            if not COP_USUAL[0] < cop < COP_USUAL[1]:
                full_kw = f"{figures.curve[-1][1]:g}"
                yield site.finding(
                    "cop_unlikely", at, warning=True, cop=f"{cop:.3g}", heat=f"{figures.heat_kw:g}", power=full_kw
                )
                break
        rated_kw, direct = _number(unit.entry, "heat_kw_rated"), unit.mode("direct")
        if rated_kw and direct is not None and abs(rated_kw / direct.heat_kw - 1.0) > RATED_OFF_RATIO_MAX:
            at = ("units", name, "heat_kw_rated")
            yield site.finding(
                "rated_unlike_map", at, warning=True, given=f"{rated_kw:g}", mapped=f"{direct.heat_kw:g}"
            )


def _tanks(site: Document, units: Mapping[str, _Known]) -> Iterator[Finding]:
    """Tanks that count heat which the loop cannot use, hold next to nothing or lose most of it."""
    loops = _mappings(site, "loops")
    for name, tank in _mappings(site, "storages").items():
        at = ("storages", name)
        low, high, volume_m3 = (_number(tank, key) for key in ("degc_min", "degc_max", "volume_m3"))
        needed = _number(loops.get(str(tank.get("loop")), {}), "supply_degc_min")
        if low is not None and needed is not None and tank.get("kind") == "hot_water" and low < needed:
            yield site.finding(
                "tank_below_supply", (*at, "degc_min"), warning=True, given=f"{low:g}", needed=f"{needed:g}"
            )
        charge_kw = sum(
            figures.heat_kw
            for unit in units.values()
            if unit.entry.get("storage") == name and (figures := unit.mode("charge")) is not None
        )
        if volume_m3 is not None and low is not None and high is not None:
            holds_kwh = volume_m3 * WATER_KWH_PER_M3_K * (high - low)
            if 0 < holds_kwh < FILLED_H_MIN * charge_kw:
                yield site.finding(
                    "tank_small",
                    (*at, "volume_m3"),
                    warning=True,
                    given=f"{volume_m3:g}",
                    holds=f"{holds_kwh:.0f}",
                    minutes=f"{60 * holds_kwh / charge_kw:.0f}",
                )
        loss = _number(tank, "loss_ratio_per_day")
        if loss is not None and loss > LOSS_PER_DAY_USUAL_MAX:
            yield site.finding("tank_loses_most", (*at, "loss_ratio_per_day"), warning=True, given=f"{loss:g}")
