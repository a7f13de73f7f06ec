"""A weather service's file beside site.yaml: rows of start and temperature, read whole or not at all.

Whoever fetches the forecast writes it; it changes while the service runs. A plant must not stand still for a bad one:
every fault is a warning with its line, and the plant's own sensor does.
"""

import csv
import logging
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from edge_agent.settings.finding import Finding
from scheduling.forecast.hourly import HourlyWeather

LOG = logging.getLogger(__name__)

COLUMNS = ("start", "outdoor_degc")
FILE_BYTES_MAX = 1_000_000
"""A year of hours and much room; anything larger [B] is not a forecast."""
DEGC_BOUNDS = (-60.0, 60.0)
STEP_H_MAX = 6.0
"""Forecasts come by the hour, every three or every six; between them the temperature is drawn straight."""
ERROR_NEAR_K = 0.7
ERROR_DAY_K = 1.6
"""Error of a city forecast at once, and a day ahead and later. Assumption of the project's notes on plant physics."""
HOUR = timedelta(hours=1)


class WeatherFault(Exception):
    """What is wrong with a file, and where."""

    def __init__(self, line: int, zh: str, *, en: str) -> None:
        super().__init__(en)
        self.line, self.zh, self.en = line, zh, en


class WeatherFeed:
    """The forecast as the file has it now; the file is read again when it has changed."""

    def __init__(self, path: Path | None, *, zone: ZoneInfo) -> None:
        """Watches `path`; None: there is no service."""
        self._path = path
        self._zone = zone
        self._seen: tuple[int, int] | None = None
        self._rows: list[tuple[datetime, float]] = []

    def hours(self, from_utc: datetime, *, count: int) -> HourlyWeather | None:
        """Expected temperature of hours from an instant on, as many as the file has; None if it lacks the first."""
        self._refresh()
        if len(self._rows) < 2:  # noqa: PLR2004 - one row says nothing about an hour
            return None
        at_s = np.array([start.timestamp() for start, _ in self._rows])
        degc = np.array([value for _, value in self._rows])
        middles_s = from_utc.timestamp() + 3600.0 * (np.arange(count) + 0.5)
        inside = (middles_s >= at_s[0]) & (middles_s <= at_s[-1])
        known = int(np.argmin(inside)) if not inside.all() else count
        if not known:
            return None
        ahead_h = np.arange(known) + 0.5
        error_k = np.minimum(ERROR_DAY_K, ERROR_NEAR_K + (ERROR_DAY_K - ERROR_NEAR_K) * ahead_h / 24.0)
        return HourlyWeather(from_utc, np.interp(middles_s[:known], at_s, degc), error_k, "service")

    def _refresh(self) -> None:
        if self._path is None:
            return
        try:
            about = self._path.stat()
        except OSError:
            return  # not there (yet): the sensor does; `check` names it
        signature = (about.st_mtime_ns, about.st_size)
        if signature == self._seen:
            return
        self._seen = signature
        try:
            self._rows = read_weather(self._path, zone=self._zone)
        except WeatherFault as fault:
            LOG.warning("weather forecast: not taken over file=%s line=%d: %s", self._path.name, fault.line, fault.en)


def read_weather(path: Path, *, zone: ZoneInfo) -> list[tuple[datetime, float]]:
    """Starts (UTC) and temperatures [degC] of a file.

    Args:
        path: of the file.
        zone: the site's zone, for starts without an offset.

    Raises:
        WeatherFault: the file cannot be used; with its line.
    """
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise WeatherFault(0, f"文件大于 {FILE_BYTES_MAX} 字节", en=f"the file is larger than {FILE_BYTES_MAX} B")
        with path.open(encoding="utf-8-sig", newline="") as opened:
            rows = list(_rows(opened, zone=zone))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise WeatherFault(0, f"读不出:{error}", en=f"cannot be read: {error}") from error
    for before, after in pairwise(rows):
        step_h = (after[1] - before[1]) / HOUR
        if step_h <= 0.0:
            raise WeatherFault(after[0], "时间重复或先后颠倒", en="an instant twice, or out of order")
        if step_h > STEP_H_MAX:
            raise WeatherFault(after[0], f"间隔 {step_h:g} h,过长", en=f"a gap of {step_h:g} h, at most {STEP_H_MAX:g}")
    return [(start, degc) for _, start, degc in rows]


def weather_finding(file: str, fault: WeatherFault) -> Finding:
    """A fault as `check` shows it: a warning, since the plant's own sensor does."""
    return Finding(
        file,
        fault.line,
        0,
        "weather_file",
        f"{fault.zh};按本站室外温度推算",
        f"{fault.en}; the plant's own outdoor sensor does",
        "每行一个时刻:start,outdoor_degc,例如 2026-12-01T00:00,-3.5",
        "one row an instant: start,outdoor_degc, such as 2026-12-01T00:00,-3.5",
        severity="warning",
    )


def _rows(lines: Iterator[str], *, zone: ZoneInfo) -> Iterator[tuple[int, datetime, float]]:
    reader = csv.DictReader(lines)
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise WeatherFault(1, f"第一行应为 {','.join(COLUMNS)}", en=f"the first line must be {','.join(COLUMNS)}")
    for row in reader:
        try:
            start, degc = datetime.fromisoformat(str(row["start"])), float(str(row["outdoor_degc"]))
        except ValueError as error:
            raise WeatherFault(reader.line_num, f"读不懂:{error}", en=f"cannot be understood: {error}") from error
        if not math.isfinite(degc) or not DEGC_BOUNDS[0] <= degc <= DEGC_BOUNDS[1] or None in row:
            raise WeatherFault(
                reader.line_num, "不是可信的温度,或列数不对", en="no plausible temperature, or too many columns"
            )
        local = start if start.tzinfo is not None else start.replace(tzinfo=zone)
        yield reader.line_num, local.astimezone(UTC), degc
