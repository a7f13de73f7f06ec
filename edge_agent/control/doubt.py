"""A tank's readings that do not fit together: layers, and the heat it gives against where its valves stand. Pure.

A tank is warmest at its top; layers in another order are taken in order of heat. An open outlet gives heat, a closed
one gives none, whatever a position feedback says. One look is no doubt: what does not fit must last (`doubt_s`). The
sensors of a loop are weighed in `water.py`.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from itertools import pairwise

from edge_agent.control.command import Alarm
from edge_agent.control.lasting import Doubts
from edge_agent.control.memory import Doubt
from edge_agent.control.permissives import PATH_OPEN_RATIO
from edge_agent.control.station import CLOSED_RATIO
from edge_agent.control.view import PlantView, StorageView, UnitState
from edge_agent.settings.model import SiteFile

INVERTED_K = 3.0
"""A layer that is warmer than the one above it by more is in the wrong place: water does not lie so. Ours."""

WIDE_RATIO = 0.3
"""An outlet that is open by more must give heat that a meter sees. Ours: an equal-percentage valve lets a tenth of its
flow pass there."""
LIFT_K, LIFT_RATIO = 5.0, 0.4
"""... if the top is warmer than the return by more, and by more than this of the tank's usable difference. Ours: a
tenth of the flow then carries twice as much as counts as none, however wide that difference is."""
NOTHING_RATIO, MUCH_RATIO = 0.02, 0.05
"""Of a tank's greatest discharge: less is none, more is not what a meter shows by itself. Ours."""
CODES = ("tank_leaks", "tank_gives_nothing")


def trusted(
    view: PlantView, known: Mapping[str, Doubt], *, site: SiteFile
) -> tuple[PlantView, dict[str, Doubt], tuple[Alarm, ...]]:
    """The view with the plausible readings in their places, what is in doubt, and the alarms.

    Args:
        view: as it was read.
        known: doubts of the last cycle, by subject.
        site: how much, and for how long.
    """
    doubts = Doubts(known, now_utc=view.instant_utc)
    alarms: list[Alarm] = []
    storages = dict(view.storages)
    for name, storage in view.storages.items():
        inverted_k = _inverted_k(storage) if storage.layers_degc else None
        since_utc = doubts.note(f"tank {name}", odd=None if inverted_k is None else inverted_k > INVERTED_K)
        if since_utc is not None and inverted_k is not None and _lasts(since_utc, view, site):
            storages[name] = replace(storage, layers_degc=tuple(sorted(storage.layers_degc, reverse=True)))
            values: dict[str, float | str] = {"device": name, "inverted_k": round(inverted_k, 1)}
            alarms.append(Alarm("tank_sensors_disorder", name, since_utc, values))
        denied = _flow_denies(name, view, site)
        for code in CODES:
            since_utc = doubts.note(f"{code} {name}", odd=None if denied is None else denied == code)
            if since_utc is None or denied is None or not _lasts(since_utc, view, site):
                continue
            outlet = site.storages[name].discharge_valve
            alarms.append(
                Alarm(
                    code,
                    name,
                    since_utc,
                    {
                        "storage": name,
                        "valve": outlet,
                        "position_ratio": round(view.valves[outlet].position_ratio or 0.0, 2),
                        "heat_kw": round(-(storage.heat_kw or 0.0)),
                    },
                )
            )
    return replace(view, storages=storages), doubts.remembered(), tuple(alarms)


def _lasts(since_utc: datetime, view: PlantView, site: SiteFile) -> bool:
    return (view.instant_utc - since_utc).total_seconds() >= site.control.doubt_s


def _flow_denies(name: str, view: PlantView, site: SiteFile) -> str | None:
    """Code of what the tank's meter says against where its valves stand; empty: all fits; None: nobody can tell now.

    While a unit charges, the meter shows the difference of two streams, and says nothing of either.
    """
    storage, seen = site.storages[name], view.storages[name]
    outlet = view.valves[storage.discharge_valve].position_ratio
    way = view.valves[storage.isolating_valve].position_ratio
    top_degc, return_degc = seen.top_degc, view.loops[storage.loop].return_degc
    units = [shown for unit, shown in view.units.items() if site.units[unit].storage == name]
    if any(unit.known and unit.state is not UnitState.OFF and unit.mode_actual != "direct" for unit in units):
        return ""
    if seen.heat_kw is None or outlet is None or way is None or not all(unit.known for unit in units):
        return None
    if seen.heat_kw < -MUCH_RATIO * storage.discharge_kw_max and min(outlet, way) <= CLOSED_RATIO:
        return "tank_leaks"
    if top_degc is None or return_degc is None:
        return None
    lift_k = max(LIFT_K, LIFT_RATIO * (storage.degc_max - storage.degc_min))
    still = abs(seen.heat_kw) < NOTHING_RATIO * storage.discharge_kw_max
    opened = outlet >= WIDE_RATIO and way > PATH_OPEN_RATIO
    return "tank_gives_nothing" if still and opened and top_degc - return_degc >= lift_k else ""


def _inverted_k(storage: StorageView) -> float:
    return max((lower - upper for upper, lower in pairwise(storage.layers_degc)), default=0.0)
