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
from edge_agent.control.permissives import PATH_OPEN_RATIO
from edge_agent.control.station import CLOSED_RATIO
from edge_agent.control.view import PlantView, StorageView, UnitState
from edge_agent.settings.model import SiteFile

INVERTED_K = 3.0
"""A layer that is warmer than the one above it by more is in the wrong place: water does not lie so. Ours."""

WIDE_RATIO = 0.3
"""An outlet that is open by more must give heat that a meter sees. Ours: an equal-percentage valve lets a tenth of its
flow pass there."""
LIFT_K = 5.0
"""... if the top is warmer than the return by more. Ours."""
NOTHING_RATIO, MUCH_RATIO = 0.02, 0.05
"""Of a tank's greatest discharge: less is none, more is not what a meter shows by itself. Ours."""


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

    storages = dict(view.storages)
    for name, storage in view.storages.items():
        inverted_k = _inverted_k(storage)
        if inverted_k > INVERTED_K and (since_utc := lasting(f"tank {name}")) is not None:
            storages[name] = replace(storage, layers_degc=tuple(sorted(storage.layers_degc, reverse=True)))
            values: dict[str, float | str] = {"device": name, "inverted_k": round(inverted_k, 1)}
            alarms.append(Alarm("tank_sensors_disorder", name, since_utc, values))
        code = _flow_denies(name, view, site)
        if code and (since_utc := lasting(f"{code} {name}")) is not None:
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
    return replace(view, storages=storages), doubts, tuple(alarms)


def _flow_denies(name: str, view: PlantView, site: SiteFile) -> str:
    """Code of what the tank's meter says against where its valves stand; empty while nothing can be said, or all fits.

    While a unit charges, or may, the meter shows the difference of two streams, and says nothing of either.
    """
    storage, seen = site.storages[name], view.storages[name]
    outlet = view.valves[storage.discharge_valve].position_ratio
    way = view.valves[storage.isolating_valve].position_ratio
    top_degc, return_degc = seen.top_degc, view.loops[storage.loop].return_degc
    charging = any(
        not unit.known or (unit.state is not UnitState.OFF and unit.mode_actual != "direct")
        for unit_name, unit in view.units.items()
        if site.units[unit_name].storage == name
    )
    if seen.heat_kw is None or outlet is None or way is None or charging:
        return ""
    if seen.heat_kw < -MUCH_RATIO * storage.discharge_kw_max and min(outlet, way) <= CLOSED_RATIO:
        return "tank_leaks"
    warm = top_degc is not None and return_degc is not None and top_degc - return_degc >= LIFT_K
    still = abs(seen.heat_kw) < NOTHING_RATIO * storage.discharge_kw_max
    return "tank_gives_nothing" if still and warm and outlet >= WIDE_RATIO and way > PATH_OPEN_RATIO else ""


def _inverted_k(storage: StorageView) -> float:
    return max((lower - upper for upper, lower in pairwise(storage.layers_degc)), default=0.0)
