"""Hourly means of points out of the stored quarter hours; each hour is read from the store once."""

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Protocol

from edge_agent.rollup import Rollup

ROLLUP_MIN = 15
"""Length of the stored means that hours are made of [min]."""
QUARTERS_PER_HOUR = 4
READ_H = 168
"""Hours read from the store at a time: other work gets its turn in between."""
LATE_H = 3
"""The newest hours are read again each time: periods that were late to be closed still come in."""
KEPT_H = 2400
"""Hours kept: a hundred days, more than any forecast looks back."""
HOUR = timedelta(hours=1)


class Archive(Protocol):
    """Where quarter hours are kept: the service's store, or a memory in its place."""

    async def rollups(self, point: str, period_min: int, from_utc: datetime, to_utc: datetime) -> list[Rollup]:
        """Rollups of one point for the periods that begin in [from, to), oldest first."""


class HourlyRecord:
    """Hourly means up to the last full hour."""

    def __init__(self, store: Archive) -> None:
        """Reads from `store`."""
        self._store = store
        self._means: dict[str, dict[datetime, float]] = {}

    async def hours(self, point: str, end_utc: datetime, *, count: int) -> list[float]:
        """Means of `count` hours before an instant on a full hour, oldest first; NaN where one is not complete."""
        known = self._means.setdefault(point, {})
        for hour in [hour for hour in known if hour < end_utc - KEPT_H * HOUR]:
            del known[hour]
        wanted = [end_utc - (count - number) * HOUR for number in range(count)]
        unread = [hour for hour in wanted if hour not in known or hour >= end_utc - LATE_H * HOUR]
        from_utc = unread[0] if unread else end_utc
        while from_utc < end_utc:
            to_utc = min(end_utc, from_utc + READ_H * HOUR)
            quarters = await self.quarters(point, from_utc, to_utc)
            while from_utc < to_utc:
                known[from_utc] = _hour_mean(quarters, from_utc)
                from_utc += HOUR
        return [known[hour] for hour in wanted]

    async def quarters(self, point: str, from_utc: datetime, to_utc: datetime) -> dict[datetime, float]:
        """Stored quarter-hour means, by their start; quarters without a good value are left out."""
        rollups = await self._store.rollups(point, ROLLUP_MIN, from_utc, to_utc)
        return {rollup.start_utc: rollup.mean for rollup in rollups if rollup.mean is not None}


def _hour_mean(quarters: Mapping[datetime, float], hour_utc: datetime) -> float:
    """Mean of the four quarters of an hour; NaN when one is missing, which is what the forecast takes for "unknown"."""
    values = [
        quarters.get(hour_utc + timedelta(minutes=ROLLUP_MIN * number), math.nan) for number in range(QUARTERS_PER_HOUR)
    ]
    return sum(values) / QUARTERS_PER_HOUR
