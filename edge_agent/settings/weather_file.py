"""A weather service's file beside site.yaml: rows of start and temperature, read whole or not at all.

Whoever fetches the forecast writes it; it changes while the service runs. A plant must not stand still for a bad one:
every fault is a warning with its line, and the plant's own sensor does.
"""

import csv
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

from edge_agent.settings.finding import Finding

COLUMNS = ("start", "outdoor_degc")
FILE_BYTES_MAX = 1_000_000
"""A year of hours and much room; anything larger [B] is not a forecast."""
DEGC_BOUNDS = (-60.0, 60.0)
STEP_H_MAX = 6.0
"""Forecasts come by the hour, every three or every six; between them the temperature is drawn straight."""
HOUR = timedelta(hours=1)


class WeatherFault(Exception):
    """What is wrong with a file, and where."""

    def __init__(self, line: int, zh: str, *, en: str) -> None:
        super().__init__(en)
        self.line, self.zh, self.en = line, zh, en


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
