"""Hourly means: complete hours only, read once, late quarters taken in."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from edge_agent.hourly_record import LATE_H, HourlyRecord
from edge_agent.rollup import Rollup
from edge_agent.store.store import Store

END_UTC = datetime(2026, 1, 13, 16, 0, tzinfo=UTC)
QUARTER = timedelta(minutes=15)


class Quarters:
    """Stands for the store: quarter-hour means by start, and what was asked of it."""

    def __init__(self) -> None:
        self.means: dict[datetime, float | None] = {}
        self.asked: list[tuple[datetime, datetime]] = []

    async def rollups(self, point: str, period_min: int, from_utc: datetime, to_utc: datetime) -> Sequence[Rollup]:
        assert (point, period_min) == ("hm.heat_power", 15)
        self.asked.append((from_utc, to_utc))
        return [
            Rollup(point, start, 15, mean, mean, mean, mean, mean, good_ratio=1.0, count=1)
            for start, mean in sorted(self.means.items())
            if from_utc <= start < to_utc
        ]

    def fill(self, hour_utc: datetime, value: float) -> None:
        for number in range(4):
            self.means[hour_utc + number * QUARTER] = value + number


@pytest.fixture
def stored() -> Quarters:
    return Quarters()


async def test_hours_are_means_of_four_quarters(stored: Quarters) -> None:
    stored.fill(END_UTC - timedelta(hours=2), 100.0)
    stored.fill(END_UTC - timedelta(hours=1), 200.0)
    del stored.means[END_UTC - QUARTER]
    found = await HourlyRecord(cast("Store", stored)).hours("hm.heat_power", END_UTC, count=3)
    assert found[1] == pytest.approx(101.5)
    assert math.isnan(found[0])
    assert math.isnan(found[2])


async def test_an_hour_is_read_once_and_a_late_quarter_is_taken_in(stored: Quarters) -> None:
    for hour in range(1, 400):
        stored.fill(END_UTC - timedelta(hours=hour), float(hour))
    del stored.means[END_UTC - QUARTER]
    record = HourlyRecord(cast("Store", stored))
    assert math.isnan((await record.hours("hm.heat_power", END_UTC, count=300))[-1])
    stored.fill(END_UTC - timedelta(hours=1), 7.0)
    stored.fill(END_UTC, 9.0)
    stored.asked.clear()
    found = await record.hours("hm.heat_power", END_UTC + timedelta(hours=1), count=300)
    assert found[-2:] == pytest.approx([8.5, 10.5])
    ((from_utc, _to_utc),) = stored.asked
    assert END_UTC - from_utc <= timedelta(hours=LATE_H + 1)


async def test_asking_for_less_forgets_nothing(stored: Quarters) -> None:
    for hour in range(1, 60):
        stored.fill(END_UTC - timedelta(hours=hour), float(hour))
    record = HourlyRecord(cast("Store", stored))
    long = await record.hours("hm.heat_power", END_UTC, count=50)
    assert await record.hours("hm.heat_power", END_UTC, count=5) == long[-5:]
    stored.asked.clear()
    assert await record.hours("hm.heat_power", END_UTC, count=50) == long
    assert stored.asked == [(END_UTC - timedelta(hours=LATE_H), END_UTC)]
    assert len(await record.hours("hm.heat_power", END_UTC, count=55)) == 55
