"""The demand charge of replayed days, month by month: the same figures for planning and for the account. Pure.

A month of which only some days are replayed pays that share of its charge: in the plan of each of these days, and in
the end. What an operator's bill charges for a whole month is the business of `scheduling.tariff.bill`.
"""

from calendar import monthrange
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from itertools import groupby
from zoneinfo import ZoneInfo

from scheduling.request import Demand
from scheduling.tariff.model import Tariff
from scheduling.tariff.price import charges_of
from scheduling.timegrid import TimeGrid

Peaks = Mapping[date, float]
"""Highest quarter of an hour [kW] of each month, by its first day."""


def month_of(day: date) -> date:
    """The first day of a day's month."""
    return day.replace(day=1)


class DemandAccount:
    """Price and share of each month's demand in a span of days."""

    def __init__(self, tariff: Tariff, days: Iterable[date]) -> None:
        """Takes the days that are replayed; a month's price is that of its last one, as on the bill."""
        counts: Counter[date] = Counter()
        last: dict[date, date] = {}
        for day in days:
            counts[month_of(day)] += 1
            last[month_of(day)] = max(day, last.get(month_of(day), day))
        self._share = {month: count / monthrange(month.year, month.month)[1] for month, count in counts.items()}
        self._cny_per_kw = {
            month: price
            for month, day in last.items()
            if (price := charges_of(tariff, day).demand_cny_per_kw_month) is not None
        }

    def periods(self, grid: TimeGrid, peaks_kw: Peaks, *, zone: ZoneInfo) -> tuple[Demand, ...]:
        """The charging periods of a plan: one for each of its months that is charged.

        Args:
            grid: the plan's steps.
            peaks_kw: of the days before.
            zone: the site's.
        """
        months = [month_of(start.astimezone(zone).date()) for start in grid.starts_utc()]
        out = []
        for month, steps in groupby(range(grid.count), key=lambda step: months[step]):
            own: Sequence[int] = list(steps)
            if month in self._cny_per_kw:
                out.append(
                    Demand(
                        from_step=own[0],
                        to_step=own[-1] + 1,
                        cny_per_kw_month=self._cny_per_kw[month],
                        peak_so_far_kw=max(0.0, peaks_kw.get(month, 0.0)),
                        month_share=self._share[month],
                    )
                )
        return tuple(out)

    def cost_cny(self, peaks_kw: Peaks) -> float:
        """What peaks cost."""
        return sum(
            price * self._share[month] * max(0.0, peaks_kw.get(month, 0.0)) for month, price in self._cny_per_kw.items()
        )


def raised(peaks_kw: Peaks, day: date, kw: float) -> dict[date, float]:
    """The peaks after a day with this highest quarter of an hour."""
    month = month_of(day)
    return {**peaks_kw, month: max(peaks_kw.get(month, 0.0), kw)}
