"""A weather service's file beside site.yaml: rows of start and temperature, read whole or not at all.

Whoever fetches the forecast writes it; it changes while the service runs. A plant must not stand still for a bad one:
every fault is a warning with its line, and the plant's own sensor does.
"""

from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

from edge_agent.settings.finding import Finding
from edge_agent.settings.series_file import Row, SeriesFault, read_series

COLUMN = "outdoor_degc"
FILE_BYTES_MAX = 1_000_000
"""A year of hours and much room; anything larger [B] is not a forecast."""
DEGC_BOUNDS = (-60.0, 60.0)
STEP_H_MAX = 6.0
"""Forecasts come by the hour, every three or every six; between them the temperature is drawn straight."""
HOUR = timedelta(hours=1)


def read_weather(path: Path, *, zone: ZoneInfo) -> list[Row]:
    """Starts and temperatures [degC] of a file.

    Args:
        path: of the file.
        zone: the site's zone, for starts without an offset.

    Raises:
        SeriesFault: the file cannot be used; with its line.
    """
    rows = read_series(path, COLUMN, zone=zone, bytes_max=FILE_BYTES_MAX)
    for row in rows:
        if not DEGC_BOUNDS[0] <= row.value <= DEGC_BOUNDS[1]:
            raise SeriesFault(row.line, f"{row.value:g} degC 不可信", en=f"{row.value:g} degC is not plausible")
    for before, after in pairwise(rows):
        step_h = (after.start_utc - before.start_utc) / HOUR
        if step_h > STEP_H_MAX:
            raise SeriesFault(
                after.line, f"间隔 {step_h:g} h,过长", en=f"a gap of {step_h:g} h, at most {STEP_H_MAX:g}"
            )
    return rows


def weather_finding(file: str, fault: SeriesFault) -> Finding:
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
