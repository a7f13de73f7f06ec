"""A file of instants and one number each, as services write beside the configuration: read whole, or its first fault.

What the numbers are, and what holds instead of a bad file, is said by whoever reads it: prices, weather.
"""

import csv
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

START = "start"


class SeriesFault(Exception):
    """What is wrong with a file, and where."""

    def __init__(self, line: int, zh: str, *, en: str) -> None:
        super().__init__(en)
        self.line, self.zh, self.en = line, zh, en


class Row(NamedTuple):
    """One line of a file: its number, the instant, the value in the unit that the column's name says."""

    line: int
    start_utc: datetime
    value: float


def read_series(path: Path, column: str, *, zone: ZoneInfo, bytes_max: int) -> list[Row]:
    """Rows of a file with the columns `start` and `column`; instants rise, values are finite.

    Args:
        path: of the file.
        column: name of the second column.
        zone: the site's zone, for starts without an offset.
        bytes_max: a larger file is refused [B].

    Raises:
        SeriesFault: the file cannot be used; with its line.
    """
    try:
        if path.stat().st_size > bytes_max:
            raise SeriesFault(0, f"文件大于 {bytes_max} 字节", en=f"the file is larger than {bytes_max} B")
        with path.open(encoding="utf-8-sig", newline="") as opened:
            rows = list(_rows(opened, column, zone=zone))
    except FileNotFoundError as error:
        raise SeriesFault(0, "没有这个文件", en="there is no such file") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SeriesFault(0, f"读不出:{error}", en=f"cannot be read: {error}") from error
    for before, after in pairwise(rows):
        if after.start_utc <= before.start_utc:
            raise SeriesFault(after.line, "时刻重复或先后颠倒", en="an instant twice, or out of order")
    return rows


def _rows(lines: Iterator[str], column: str, *, zone: ZoneInfo) -> Iterator[Row]:
    reader = csv.DictReader(lines)
    if tuple(reader.fieldnames or ()) != (START, column):
        raise SeriesFault(1, f"第一行应为 {START},{column}", en=f"the first line must be {START},{column}")
    for row in reader:
        try:
            start, value = datetime.fromisoformat(str(row[START])), float(str(row[column]))
        except ValueError as error:
            raise SeriesFault(reader.line_num, f"读不懂:{error}", en=f"cannot be understood: {error}") from error
        if not math.isfinite(value) or None in row:
            raise SeriesFault(reader.line_num, "不是普通的数,或列数不对", en="not a plain number, or too many columns")
        local = start if start.tzinfo is not None else start.replace(tzinfo=zone)
        yield Row(reader.line_num, local.astimezone(UTC), value)
