"""The weather service's forecast, hour by hour, as its file has it now; a bad file leaves the last good one."""

import logging
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from edge_agent.settings.series_file import Row, SeriesFault
from edge_agent.settings.weather_file import read_weather
from scheduling.forecast.hourly import HourlyWeather

LOG = logging.getLogger(__name__)

ERROR_NEAR_K = 0.7
ERROR_DAY_K = 1.6
"""Error of a city forecast at once, and a day ahead and later. Assumption of the project's notes on plant physics."""


class WeatherFeed:
    """The forecast as the file has it now; the file is read again when it has changed."""

    def __init__(self, path: Path | None, *, zone: ZoneInfo) -> None:
        """Watches `path`; None: there is no service."""
        self._path = path
        self._zone = zone
        self._seen: tuple[int, int] | None = None
        self._rows: list[Row] = []

    def hours(self, from_utc: datetime, *, count: int) -> HourlyWeather | None:
        """Expected temperature of hours from an instant on, as many as the file has; None if it lacks the first."""
        self._refresh()
        if len(self._rows) < 2:  # noqa: PLR2004 - one row says nothing about an hour
            return None
        at_s = np.array([row.start_utc.timestamp() for row in self._rows])
        degc = np.array([row.value for row in self._rows])
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
        except SeriesFault as fault:
            LOG.warning("weather forecast: not taken over file=%s line=%d: %s", self._path.name, fault.line, fault.en)
