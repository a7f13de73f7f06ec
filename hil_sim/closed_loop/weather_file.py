"""Outdoor air out of a file, in place of the simulator's own weather.

Format: UTF-8 CSV, first line `start,outdoor_degc`; instants rise, with or without an offset (site time without one),
at any distance up to three hours; straight lines between them. A file of other years is taken by its dates, moved by
whole years, so that a measured winter can be lived through under today's prices.
"""

from bisect import bisect_right
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from typing_extensions import override

from edge_agent.settings.series_file import SeriesFault, read_series
from hil_sim.plant.weather import Weather

COLUMN: Final = "outdoor_degc"
BYTES_MAX: Final = 64 * 1024 * 1024
GAP_MAX: Final = timedelta(hours=12)
"""A longer gap is filled by nobody."""


class WeatherFileWrong(Exception):
    """The file cannot be used; the message says why, zh and en."""


class FileWeather(Weather):
    """Outdoor temperature by straight lines between the rows of a file; humidity stays the generator's.

    Args:
        instants_s: rising [s since 1970 UTC].
        outdoor_degc: at these instants.
        seed: of what the file does not say.
    """

    __slots__ = ("_at_s", "_degc")

    def __init__(self, instants_s: list[float], outdoor_degc: list[float], *, seed: int) -> None:
        super().__init__(seed)
        self._at_s = instants_s
        self._degc = outdoor_degc

    @override
    def outdoor_degc(self, instant_s: float) -> float:
        after = bisect_right(self._at_s, instant_s)
        if after == 0:
            return self._degc[0]
        if after == len(self._at_s):
            return self._degc[-1]
        begin_s, end_s = self._at_s[after - 1], self._at_s[after]
        share = (instant_s - begin_s) / (end_s - begin_s)
        return self._degc[after - 1] + share * (self._degc[after] - self._degc[after - 1])


def read_weather(path: Path, *, zone: ZoneInfo, seed: int, from_utc: datetime, to_utc: datetime) -> FileWeather:
    """The weather of a run.

    Args:
        path: of the file.
        zone: for instants without an offset.
        seed: of what the file does not say.
        from_utc: first instant that is needed.
        to_utc: last one.

    Raises:
        WeatherFileWrong: it cannot be read, has a long gap, or covers the run in no year.
    """
    try:
        rows = read_series(path, COLUMN, zone=zone, bytes_max=BYTES_MAX)
    except SeriesFault as fault:
        raise WeatherFileWrong(f"{path}:{fault.line}: {fault.zh} / {fault}") from fault
    if len(rows) < 2:  # noqa: PLR2004 - a line needs two points
        raise WeatherFileWrong(f"{path}: 没有数据 / no data")
    for years in sorted(
        range(rows[0].start_utc.year - to_utc.year - 1, rows[-1].start_utc.year - from_utc.year + 2), key=abs
    ):
        moved = _years_later(from_utc, years) - from_utc
        first, last = from_utc + moved, to_utc + moved
        used = [row for row in rows if first - GAP_MAX <= row.start_utc <= last + GAP_MAX]
        if len(used) < 2 or used[0].start_utc > first or used[-1].start_utc < last:  # noqa: PLR2004
            continue
        if any(after.start_utc - before.start_utc > GAP_MAX for before, after in pairwise(used)):
            continue
        return FileWeather(
            [(row.start_utc - moved).timestamp() for row in used], [row.value for row in used], seed=seed
        )
    raise WeatherFileWrong(
        f"{path}: 没有任何一年完整包含 / no year of it covers {from_utc:%m-%d %H:%M}Z .. {to_utc:%m-%d %H:%M}Z"
        f" (空缺不超过 / gaps at most {GAP_MAX.total_seconds() / 3600:.0f} h)"
    )


def _years_later(instant: datetime, years: int) -> datetime:
    """The same date of another year; the first of March in place of a missing 29 February."""
    try:
        return instant.replace(year=instant.year + years)
    except ValueError:
        return instant.replace(year=instant.year + years, month=3, day=1)
