"""A tank's readings that do not fit together: found, told, and taken in order of heat. Pure.

A tank is warmest at its top. One look is no doubt: what does not fit must last (`doubt_s`). The sensors of a loop are
weighed in `water.py`.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from itertools import pairwise

from edge_agent.control.command import Alarm
from edge_agent.control.view import PlantView, StorageView
from edge_agent.settings.model import SiteFile

INVERTED_K = 3.0
"""A layer that is warmer than the one above it by more is in the wrong place: water does not lie so. Ours."""


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
    return replace(view, storages=storages), doubts, tuple(alarms)


def _inverted_k(storage: StorageView) -> float:
    return max((lower - upper for upper, lower in pairwise(storage.layers_degc)), default=0.0)
