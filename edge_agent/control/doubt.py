"""Readings that do not fit together: found, told, and the plausible one used. Pure.

The supply of a loop is seen by the header's sensor and by the heat meter's; a tank is warmest at its top. One look is
no doubt: what does not fit must last (`doubt_s`), so that two sensors of different pace are not blamed in a transient.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from itertools import pairwise

from edge_agent.control.command import Alarm
from edge_agent.control.view import LoopView, PlantView, StorageView
from edge_agent.settings.model import SiteFile

INVERTED_K = 3.0
"""A layer that is warmer than the one above it by more is in the wrong place: water does not lie so. Ours."""
SWAPPED_K = 0.5
"""A supply colder than its return by more than this is none while the loop takes heat. Ours."""


def trusted(
    view: PlantView, known: Mapping[str, datetime], *, site: SiteFile
) -> tuple[PlantView, dict[str, datetime], tuple[Alarm, ...]]:
    """The view with the plausible readings in their places, what is in doubt since when, and the alarms.

    Args:
        view: as it was read.
        known: doubts of the last cycle, by subject.
        site: how much, and for how long.
    """
    doubts: dict[str, datetime] = {}
    alarms: list[Alarm] = []

    def lasting(subject: str) -> datetime | None:
        """Since when, if it has lasted."""
        since_utc = doubts[subject] = known.get(subject, view.instant_utc)
        return since_utc if (view.instant_utc - since_utc).total_seconds() >= site.control.doubt_s else None

    loops = dict(view.loops)
    for name, loop in view.loops.items():
        if _differ(loop, site.control.doubt_k) and (since_utc := lasting(f"loop {name}")) is not None:
            loops[name] = _plausible(loop)
            values: dict[str, float | str] = {
                "device": name,
                "point": site.loops[name].supply_point,
                "degc": round(loop.supply_degc or 0.0, 1),
                "meter_degc": round(loop.meter_supply_degc or 0.0, 1),
                "used_degc": round(loops[name].supply_degc or 0.0, 1),
            }
            alarms.append(Alarm("sensors_disagree", name, since_utc, values))
    storages = dict(view.storages)
    for name, storage in view.storages.items():
        inverted_k = _inverted_k(storage)
        if inverted_k > INVERTED_K and (since_utc := lasting(f"tank {name}")) is not None:
            storages[name] = replace(storage, layers_degc=tuple(sorted(storage.layers_degc, reverse=True)))
            values = {"device": name, "inverted_k": round(inverted_k, 1)}
            alarms.append(Alarm("tank_sensors_disorder", name, since_utc, values))
    return replace(view, loops=loops, storages=storages), doubts, tuple(alarms)


def _differ(loop: LoopView, doubt_k: float) -> bool:
    if loop.supply_degc is None or loop.meter_supply_degc is None:
        return False
    return abs(loop.supply_degc - loop.meter_supply_degc) > doubt_k


def _plausible(loop: LoopView) -> LoopView:
    """The pair that can be true; of two that can, the one with the colder supply: heat goes before cost."""
    header = (loop.supply_degc, loop.return_degc)
    meter = (loop.meter_supply_degc, loop.meter_return_degc)
    if _swapped(*header) and not _swapped(*meter):
        chosen = meter
    elif _swapped(*meter) and not _swapped(*header):
        chosen = header
    else:
        chosen = min(header, meter, key=lambda pair: pair[0] or 0.0)
    supply_degc, return_degc = chosen
    return replace(loop, supply_degc=supply_degc, return_degc=loop.return_degc if return_degc is None else return_degc)


def _swapped(supply_degc: float | None, return_degc: float | None) -> bool:
    return supply_degc is not None and return_degc is not None and supply_degc < return_degc - SWAPPED_K


def _inverted_k(storage: StorageView) -> float:
    return max((lower - upper for upper, lower in pairwise(storage.layers_degc)), default=0.0)
