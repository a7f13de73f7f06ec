"""The steps of a live plan: its grid, split where price, call or charging month change within a coarse step.

A step has one price, one band and one demand month; smeared over an edge, the plan would be told wrong hours. Edges of
a market's intervals split nothing: their mean is the step's price, and each would cost a step.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from scheduling.tariff.calendar import band_at, edges_utc
from scheduling.tariff.facts import NO_FACTS, Facts
from scheduling.tariff.model import Tariff
from scheduling.tariff.price import version_of
from scheduling.timegrid import TimeGrid, staged_grid

INSTANT = timedelta(microseconds=1)


def live_grid(
    tariff: Tariff, start_utc: datetime, *, horizon_h: float, zone: ZoneInfo, facts: Facts = NO_FACTS
) -> TimeGrid:
    """The grid of a plan that starts now.

    Args:
        tariff: of the site.
        start_utc: start of the plan.
        horizon_h: its length [h].
        zone: the site's.
        facts: as far as they are known; they may decide which bands a day has.

    Raises:
        TariffFault: a day of the plan has no bands.
    """
    end_utc = start_utc + timedelta(hours=horizon_h)
    return staged_grid(
        start_utc,
        horizon_h=horizon_h,
        edges_utc=step_edges_utc(tariff, start_utc, end_utc, zone=zone, facts=facts),
    )


def step_edges_utc(
    tariff: Tariff, start_utc: datetime, end_utc: datetime, *, zone: ZoneInfo, facts: Facts = NO_FACTS
) -> Iterator[datetime]:
    """Instants within a plan at which band, price version or charging month change, or a call begins or ends."""
    for edge_utc in edges_utc(tariff, start_utc, end_utc, zone=zone, facts=facts)[1:]:
        before_utc = edge_utc - INSTANT
        day, day_before = (instant.astimezone(zone).date() for instant in (edge_utc, before_utc))
        if (
            band_at(tariff, edge_utc, zone=zone, facts=facts) != band_at(tariff, before_utc, zone=zone, facts=facts)
            or version_of(tariff, day) is not version_of(tariff, day_before)
            or day.month != day_before.month
        ):
            yield edge_utc
    for event in tariff.events:
        for wall in (event.from_, event.to):
            edge_utc = wall.replace(tzinfo=zone).astimezone(UTC)
            if start_utc < edge_utc < end_utc:
                yield edge_utc
