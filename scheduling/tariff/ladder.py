"""The residential ladder: which step a kWh falls on, from what the meter has counted in its year or month."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from scheduling.tariff.facts import Facts
from scheduling.tariff.levels import Tier
from scheduling.tariff.model import Tariff

NO_STEP = Tier(up_to_kwh=None, add_cny_per_kwh=0.0)


def period_of(tariff: Tariff, day: date) -> tuple[int, int]:
    """The ladder's year or month that a date lies in: (year, month), month 0 for a year."""
    return (day.year, day.month if tariff.tiers_period == "month" else 0)


def step_at(tariff: Tariff, used_kwh: float) -> Tier:
    """The step on which the next kWh falls; beyond a ladder without an open end, its last."""
    return next(
        (tier for tier in tariff.tiers if tier.up_to_kwh is None or used_kwh < tier.up_to_kwh),
        tariff.tiers[-1] if tariff.tiers else NO_STEP,
    )


def used_at(tariff: Tariff, instant_utc: datetime, *, zone: ZoneInfo, facts: Facts) -> float | None:
    """What the meter will have counted, as far as it is known [kWh]: the last count, or 0 in a later year or month."""
    if facts.used_kwh is None or facts.used_at_utc is None:
        return None
    # A count read as a period begins is the whole of the one before: the new one has counted nothing yet.
    then = period_of(tariff, (facts.used_at_utc - timedelta(microseconds=1)).astimezone(zone).date())
    now = period_of(tariff, instant_utc.astimezone(zone).date())
    return facts.used_kwh if now == then else 0.0 if now > then else None


def split(tariff: Tariff, used_kwh: float, electric_kwh: float) -> Iterator[tuple[Tier, float]]:
    """(step, energy) of a consumption that begins at a count [kWh]; what is fed back takes the step it stands on."""
    left_kwh = electric_kwh
    while left_kwh > 0:
        step = step_at(tariff, used_kwh)
        part_kwh = left_kwh if step.up_to_kwh is None else min(left_kwh, max(0.0, step.up_to_kwh - used_kwh))
        if part_kwh <= 0:  # beyond a ladder without an open end
            part_kwh = left_kwh
        yield step, part_kwh
        used_kwh += part_kwh
        left_kwh -= part_kwh
    if left_kwh < 0:
        yield step_at(tariff, used_kwh), left_kwh
