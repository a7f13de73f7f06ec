"""Market prices per interval, as rows of a file give them; the file itself is opened elsewhere."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

INTERVALS_MIN = (15, 30, 60)
"""Lengths of the intervals that contracts and spot markets settle by [min]."""


@dataclass(frozen=True, slots=True)
class MarketSeries:
    """Prices of intervals, rising; gaps are allowed.

    Attributes:
        interval_min: length of every interval [min].
        starts_utc: start of each.
        cny_per_kwh: price of each [CNY/kWh].
    """

    interval_min: int
    starts_utc: tuple[datetime, ...]
    cny_per_kwh: tuple[float, ...]

    def __post_init__(self) -> None:
        length = timedelta(minutes=self.interval_min)
        if self.interval_min not in INTERVALS_MIN or len(self.starts_utc) != len(self.cny_per_kwh):
            raise ValueError(f"intervals of {self.interval_min} min, {len(self.starts_utc)} starts")
        if any(after - before < length for before, after in zip(self.starts_utc, self.starts_utc[1:], strict=False)):
            raise ValueError("intervals overlap or are out of order")

    def at(self, instant_utc: datetime) -> float | None:
        """The price of an instant [CNY/kWh]; None where no interval holds it."""
        place = bisect_right(self.starts_utc, instant_utc) - 1
        if place < 0 or instant_utc >= self.starts_utc[place] + timedelta(minutes=self.interval_min):
            return None
        return self.cny_per_kwh[place]

    def edges_utc(self, start_utc: datetime, end_utc: datetime) -> Sequence[datetime]:
        """Every start and end of an interval in [start, end)."""
        length = timedelta(minutes=self.interval_min)
        near = self.starts_utc[bisect_left(self.starts_utc, start_utc - length) : bisect_left(self.starts_utc, end_utc)]
        edges = {edge for start in near for edge in (start, start + length)}
        return sorted(edge for edge in edges if start_utc <= edge < end_utc)
