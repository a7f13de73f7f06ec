"""How periods, dates and times stand in a tariff file: read from text, refused with words when they do not fit.

What the entries of the file are called and mean is in `model`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

DAY_MIN = 24 * 60
LEAP_YEAR = 2024
"""Year whose 366 dates stand for every year when a calendar is checked."""

_PERIOD = re.compile(r"^(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})$")
_DAY = re.compile(r"^(?:(\d{4})-)?(\d{2})-(\d{2})$")


@dataclass(frozen=True, slots=True)
class Period:
    """[start, end) in minutes of the day; an end at or before the start crosses midnight."""

    start_min: int
    end_min: int

    def minutes(self) -> Iterator[int]:
        """Every minute of the day that it holds."""
        end_min = self.end_min if self.end_min > self.start_min else self.end_min + DAY_MIN
        return (minute % DAY_MIN for minute in range(self.start_min, end_min))


def _period(value: object) -> object:
    """`23:00-07:00` or `22:00-24:00`; a bare number is a time that YAML 1.1 has eaten."""
    if isinstance(value, Period):
        return value
    match = _PERIOD.match(value) if isinstance(value, str) else None
    if match is None:
        raise PydanticCustomError(
            "period",
            "时段应写成 23:00-07:00(半角冒号、连字符) / a period looks like 23:00-07:00, plain colon and hyphen",
        )
    start_h, start_m, end_h, end_m = (int(part) for part in match.groups())
    start_min, end_min = start_h * 60 + start_m, end_h * 60 + end_m
    if max(start_m, end_m) > 59 or start_min >= DAY_MIN or end_min > DAY_MIN or start_min == end_min:  # noqa: PLR2004 - minutes
        raise PydanticCustomError(
            "period", "时刻应在 00:00 至 24:00 之间且首尾不同 / times lie in 00:00 to 24:00 and differ"
        )
    return Period(start_min, end_min)


@dataclass(frozen=True, slots=True)
class DateSpan:
    """From one date to another, both inside; without a year it holds every year and may cross New Year."""

    first: tuple[int, int, int] | tuple[int, int]
    last: tuple[int, int, int] | tuple[int, int]

    def holds(self, day: date) -> bool:
        """Whether a date lies in the span."""
        key = (day.year, day.month, day.day) if len(self.first) == 3 else (day.month, day.day)  # noqa: PLR2004 - with a year
        if self.first <= self.last:
            return self.first <= key <= self.last
        return key >= self.first or key <= self.last


def _date_parts(text: str) -> tuple[int, int, int] | tuple[int, int]:
    match = _DAY.match(text)
    if match is None:
        raise PydanticCustomError(
            "dates", "日期应写成 07-01..08-31 或 2026-10-01 / dates look like 07-01..08-31 or 2026-10-01"
        )
    year, month, day = match.groups()
    try:
        date(int(year) if year else LEAP_YEAR, int(month), int(day))
    except ValueError as error:
        raise PydanticCustomError("dates", "没有这一天 / no such date") from error
    return (int(year), int(month), int(day)) if year else (int(month), int(day))


def _span(value: object) -> object:
    if isinstance(value, DateSpan):
        return value
    if isinstance(value, date):
        value = value.isoformat()
    if not isinstance(value, str):
        raise PydanticCustomError(
            "dates", "日期应写成 07-01..08-31 或 2026-10-01 / dates look like 07-01..08-31 or 2026-10-01"
        )
    first, _, last = value.partition("..")
    span = DateSpan(_date_parts(first.strip()), _date_parts((last or first).strip()))
    if len(span.first) != len(span.last) or (len(span.first) == 3 and span.first > span.last):  # noqa: PLR2004 - with a year
        raise PydanticCustomError(
            "dates", "起止日期应同带或同不带年份,且先后有序 / both ends with or without a year, in order"
        )
    return span


def _spans(value: object) -> object:
    if value == "all":
        return (DateSpan((1, 1), (12, 31)),)
    return value


def _date(value: object) -> object:
    if isinstance(value, datetime):
        raise PydanticCustomError("date", "应为日期 2026-08-01 / needs a date such as 2026-08-01")
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError as error:
            raise PydanticCustomError("date", "应为日期 2026-08-01 / needs a date such as 2026-08-01") from error
    return value


def _wall_time(value: object) -> object:
    """A wall-clock time of the site, without zone: the zone is the site's."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            raise PydanticCustomError(
                "time", "应为 2026-12-20T17:00 / needs a time such as 2026-12-20T17:00"
            ) from error
    if isinstance(value, datetime) and value.tzinfo is not None:
        raise PydanticCustomError("time", "不写时区,时刻按站点时区 / no zone here: times are the site's")
    return value


PeriodField = Annotated[Period, BeforeValidator(_period)]
Periods = Annotated[tuple[PeriodField, ...], Field(strict=False)]
SpanField = Annotated[DateSpan, BeforeValidator(_span)]
Spans = Annotated[tuple[SpanField, ...], Field(strict=False), BeforeValidator(_spans)]
Day = Annotated[date, BeforeValidator(_date)]
WallTime = Annotated[datetime, BeforeValidator(_wall_time)]
NotNegative = Annotated[float, Field(ge=0)]
Text = Annotated[str, Field(min_length=1)]


class Entry(BaseModel):
    """Strict, frozen, no unknown key."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        validate_by_name=True,
        validate_by_alias=True,
        arbitrary_types_allowed=True,
    )
