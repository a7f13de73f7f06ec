"""What the service keeps and looks back on, in memory in place of its store: quarter-hour means, and texts by key."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from drivers.sample import Quality, Sample
from edge_agent.rollup import Period, Reading, Rollup, microseconds, period_at, roll_up_readings

QUARTER_MIN: Final = 15
READ_EVERY_S: Final = 60.0
KEPT: Final = timedelta(days=100)
"""Longer than any forecast looks back."""
LATE: Final = timedelta(minutes=5)
"""A reading of the period before that holds into the next one is at most so old."""


class MemoryArchive:
    """Rolls the samples of a few points up, with the service's own arithmetic, and answers as its store does.

    Args:
        points: that are kept; all others are passed over.
    """

    def __init__(self, points: Iterable[str]) -> None:
        self._readings: dict[str, list[Reading]] = {point: [] for point in points}
        self._rollups: dict[str, dict[datetime, Rollup]] = {point: {} for point in self._readings}
        self._open: dict[str, Period] = {}

    def put(self, samples: Iterable[Sample]) -> None:
        """Takes samples, in the order of time; a sample of a new quarter closes the one before."""
        for sample in samples:
            readings = self._readings.get(sample.point)
            if readings is None:
                continue
            period = self._open.get(sample.point)
            while period is not None and sample.instant_utc >= period.end_utc:
                self._close(sample.point, period)
                period = self._open[sample.point] = period.next()
            if period is None:
                self._open[sample.point] = period_at(sample.instant_utc, QUARTER_MIN)
            readings.append(
                (microseconds(sample.instant_utc), sample.value if sample.quality is Quality.GOOD else None)
            )

    def fill(self, point: str, means: Mapping[datetime, float]) -> None:
        """Takes whole quarters of a time before the first sample."""
        for start_utc, mean in means.items():
            self._rollups[point][start_utc] = Rollup(
                point, start_utc, QUARTER_MIN, mean, mean, mean, mean, mean, good_ratio=1.0, count=1
            )

    def _close(self, point: str, period: Period) -> None:
        readings = self._readings[point]
        kept = self._rollups[point]
        kept[period.start_utc] = roll_up_readings(readings, point=point, period=period, period_s=READ_EVERY_S)
        holds_from = microseconds(period.end_utc - LATE)
        readings[:] = [reading for reading in readings if reading[0] >= holds_from]
        kept.pop(period.start_utc - KEPT, None)

    async def rollups(self, point: str, period_min: int, from_utc: datetime, to_utc: datetime) -> list[Rollup]:
        """Closed quarters that begin in [from, to), oldest first; as the store answers.

        Raises:
            ValueError: another length than a quarter of an hour is asked for.
        """
        if period_min != QUARTER_MIN:
            raise ValueError(f"only quarter hours are kept, not {period_min} min")
        kept = self._rollups.get(point, {})
        start_utc = period_at(from_utc, QUARTER_MIN).start_utc
        if start_utc < from_utc:
            start_utc += timedelta(minutes=QUARTER_MIN)
        found: list[Rollup] = []
        while start_utc < to_utc:
            rollup = kept.get(start_utc)
            if rollup is not None:
                found.append(rollup)
            start_utc += timedelta(minutes=QUARTER_MIN)
        return found


class MemoryTexts:
    """Texts by key, as the service's store keeps them across restarts."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    async def get_state(self, key: str) -> str | None:
        """The text kept under a key."""
        return self._texts.get(key)

    async def put_state(self, key: str, json_text: str) -> None:
        """Keeps a text."""
        self._texts[key] = json_text
