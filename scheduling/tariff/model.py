"""The tariff file as a strict model, and the checks that a file must pass before anyone plans with it.

Keys are those of `tariff.yaml`. Every minute of every date is shown to be covered exactly once when the file is
loaded; what this version cannot do is refused with a code, never ignored: a price that is silently wrong is worse
than none.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from scheduling.errors import TariffFault

BANDS = ("sharp", "peak", "flat", "valley", "deep_valley")
BAND_ZH: Mapping[str, str] = {"sharp": "尖峰", "peak": "峰", "flat": "平", "valley": "谷", "deep_valley": "深谷"}
ALIASES: Mapping[str, tuple[str, ...]] = {
    "sharp": ("尖峰",),
    "peak": ("峰", "高峰"),
    "flat": ("平", "平段"),
    "valley": ("谷", "低谷"),
    "deep_valley": ("深谷",),
}
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MIN = 24 * 60
LEAP_YEAR = 2024
"""Year whose 366 dates stand for every year when a calendar is checked."""

Band = Literal["sharp", "peak", "flat", "valley", "deep_valley"]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

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


def _band(name: str) -> AliasChoices:
    return AliasChoices(name, *ALIASES[name])


class BandPeriods(Entry):
    """The periods of each band within one day."""

    sharp: Periods = Field(default=(), validation_alias=_band("sharp"))
    """Periods of the sharp peak."""
    peak: Periods = Field(default=(), validation_alias=_band("peak"))
    """Periods of the peak."""
    flat: Periods = Field(default=(), validation_alias=_band("flat"))
    """Periods of the flat band."""
    valley: Periods = Field(default=(), validation_alias=_band("valley"))
    """Periods of the valley."""
    deep_valley: Periods = Field(default=(), validation_alias=_band("deep_valley"))
    """Periods of the deep valley."""


class DayKind(BandPeriods):
    """Bands of the dates that match; the first entry that matches a date holds."""

    dates: Spans = (DateSpan((1, 1), (12, 31)),)
    """`all`, or a list of dates and spans of dates."""
    weekdays: Annotated[tuple[Weekday, ...], Field(strict=False)] | None = None
    """Only these weekdays; a make-up working day counts as a working day."""
    holidays: Annotated[tuple[Text, ...], Field(strict=False)] | None = None
    """Only the dates of these holidays, as the file's `holidays` lists them."""
    make_up_days: bool = False
    """Only the dates of the file's `make_up_dates`."""
    day_max_degc_min: float | None = None
    """Only days whose maximum reaches this temperature. Not supported yet."""

    def table(self) -> tuple[tuple[str, ...], ...]:
        """For each minute of the day, the bands that claim it: exactly one when the entry is right."""
        claims: list[list[str]] = [[] for _ in range(DAY_MIN)]
        for band in BANDS:
            for period in getattr(self, band):
                for minute in period.minutes():
                    claims[minute].append(band)
        return tuple(tuple(bands) for bands in claims)


class Calendar(Entry):
    """Which band holds when, from a date on."""

    valid_from: Day
    """First date of this version."""
    source: Text
    """The notice it was taken from."""
    days: Annotated[tuple[DayKind, ...], Field(strict=False, min_length=1)]
    """Kinds of days; the first that matches a date holds."""


class Ratios(Entry):
    """Ratio of each band's price to the flat price, on the named components only."""

    applies_to: Annotated[tuple[Text, ...], Field(strict=False, min_length=1)]
    """Components that the ratios act on."""
    sharp: NotNegative | None = Field(default=None, validation_alias=_band("sharp"))
    """Ratio of the sharp peak."""
    peak: NotNegative | None = Field(default=None, validation_alias=_band("peak"))
    """Ratio of the peak."""
    flat: NotNegative = Field(default=1.0, validation_alias=_band("flat"))
    """Ratio of the flat band."""
    valley: NotNegative | None = Field(default=None, validation_alias=_band("valley"))
    """Ratio of the valley."""
    deep_valley: NotNegative | None = Field(default=None, validation_alias=_band("deep_valley"))
    """Ratio of the deep valley."""


class BandPrices(Entry):
    """All-in price of each band [CNY/kWh]."""

    sharp: float | None = Field(default=None, validation_alias=_band("sharp"))
    """Price in the sharp peak."""
    peak: float | None = Field(default=None, validation_alias=_band("peak"))
    """Price in the peak."""
    flat: float | None = Field(default=None, validation_alias=_band("flat"))
    """Price in the flat band."""
    valley: float | None = Field(default=None, validation_alias=_band("valley"))
    """Price in the valley."""
    deep_valley: float | None = Field(default=None, validation_alias=_band("deep_valley"))
    """Price in the deep valley."""


class PriceVersion(Entry):
    """How much, from a date on; usually a new entry every month."""

    valid_from: Day
    """First date of these prices."""
    source: Text
    """The notice they were taken from."""
    components_cny_per_kwh: dict[Text, float] | None = None
    """Additive parts of the price; the sum is the flat price. The system fee may be negative."""
    ratios: Ratios | None = None
    """How the bands differ from the flat price; goes with components."""
    bands_cny_per_kwh: BandPrices | None = None
    """All-in prices instead of components and ratios."""
    demand_cny_per_kw_month: NotNegative | None = None
    """Demand price, on the month's highest demand."""
    capacity_cny_per_kva_month: NotNegative | None = None
    """Capacity price, on the transformer; instead of the demand price."""
    capacity_kva: Annotated[float, Field(gt=0)] | None = None
    """Transformer capacity; goes with the capacity price."""

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.components_cny_per_kwh is None) == (self.bands_cny_per_kwh is None):
            raise PydanticCustomError(
                "price_form",
                "components_cny_per_kwh 与 bands_cny_per_kwh 须且只须写一个 / "
                "write either components_cny_per_kwh or bands_cny_per_kwh",
            )
        if (self.components_cny_per_kwh is None) != (self.ratios is None):
            raise PydanticCustomError(
                "price_form", "components_cny_per_kwh 须配 ratios / components_cny_per_kwh go with ratios"
            )
        if self.demand_cny_per_kw_month is not None and self.capacity_cny_per_kva_month is not None:
            raise PydanticCustomError("price_form", "需量电价与容量电价只能取一 / either a demand or a capacity price")
        if (self.capacity_cny_per_kva_month is None) != (self.capacity_kva is None):
            raise PydanticCustomError(
                "price_form",
                "capacity_cny_per_kva_month 须配 capacity_kva / capacity_cny_per_kva_month goes with capacity_kva",
            )
        return self

    def by_component(self, band: str) -> dict[str, float] | None:
        """Price of a band, component by component [CNY/kWh]; None when the version has no price for it.

        Source: tariff rules, `price_b = flat + (r_b - 1) * sum(c in S)`: the ratio acts on the listed components only.
        """
        if self.bands_cny_per_kwh is not None:
            price = getattr(self.bands_cny_per_kwh, band)
            return None if price is None else {"all": price}
        ratio = getattr(self.ratios, band)
        if ratio is None or self.ratios is None or self.components_cny_per_kwh is None:
            return None
        return {
            name: value * (ratio if name in self.ratios.applies_to else 1.0)
            for name, value in self.components_cny_per_kwh.items()
        }


class Event(Entry):
    """A demand-response event or another agreed limit."""

    from_: WallTime = Field(validation_alias="from")
    """Start, the site's wall clock."""
    to: WallTime
    """End, the site's wall clock."""
    grid_kw_max: NotNegative
    """Limit of grid power [kW]."""
    pays_cny_per_kwh: NotNegative
    """What each kWh above the limit forfeits."""
    reason: Text
    """Why, for the operator."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.from_ >= self.to:
            raise PydanticCustomError("event", "from 应早于 to / from must come before to")
        return self


class GreenPower(Entry):
    """A share of green electricity and its surcharge."""

    from_: Day = Field(validation_alias="from")
    """First date."""
    to: Day
    """Last date."""
    share: Annotated[float, Field(ge=0, le=1)]
    """Share of the electricity."""
    surcharge_cny_per_kwh: float
    """Surcharge on that share."""
    certificate: str = ""
    """Certificate or contract."""


class Tariff(Entry):
    """The whole file."""

    name: Text
    """Name for people."""
    calendars: Annotated[tuple[Calendar, ...], Field(strict=False, min_length=1)]
    """Versions of the calendar, oldest first."""
    prices: Annotated[tuple[PriceVersion, ...], Field(strict=False, min_length=1)]
    """Versions of the prices, oldest first."""
    events: Annotated[tuple[Event, ...], Field(strict=False)] = ()
    """Limits on grid power with their payment."""
    green_power: Annotated[tuple[GreenPower, ...], Field(strict=False)] = ()
    """Green shares and surcharges."""
    market: dict[str, Any] | None = None
    """Market prices per interval. Not supported yet."""
    tiers: Annotated[tuple[dict[str, Any], ...], Field(strict=False)] = ()
    """Residential ladder. Not supported yet."""
    holidays: dict[Text, Spans] = {}
    """Dates of the named holidays that `days` entries refer to."""
    make_up_dates: Spans = ()
    """Working days that make up for a holiday."""


@dataclass(frozen=True, slots=True)
class TariffFinding:
    """A fault or a warning in a tariff file; `at` is the key path to it."""

    code: str
    zh: str
    en: str
    hint_zh: str
    hint_en: str
    at: tuple[str | int, ...]
    severity: Literal["error", "warning"] = "error"


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _runs(minutes: list[int]) -> str:
    """`08:00-09:00, 12:00-12:30` of a rising list of minutes."""
    starts = [m for i, m in enumerate(minutes) if i == 0 or minutes[i - 1] != m - 1]
    ends = [m + 1 for i, m in enumerate(minutes) if i == len(minutes) - 1 or minutes[i + 1] != m + 1]
    return ", ".join(f"{_clock(a)}-{_clock(b)}" for a, b in zip(starts, ends, strict=True))


def _coverage(tariff: Tariff) -> Iterator[TariffFinding]:
    for i, calendar in enumerate(tariff.calendars):
        for j, day in enumerate(calendar.days):
            at = ("calendars", i, "days", j)
            table = day.table()
            gap = [minute for minute, bands in enumerate(table) if not bands]
            if gap:
                yield TariffFinding(
                    "tariff_gap",
                    f"这些时段没有电价:{_runs(gap)}",
                    f"no band holds at {_runs(gap)}",
                    "每一类日期必须恰好覆盖 24 小时",
                    "each `days` entry must cover 24 h exactly once",
                    at,
                )
            double = [minute for minute, bands in enumerate(table) if len(bands) > 1]
            if double:
                claims = sorted({bands for bands in table if len(bands) > 1})
                zh = "、".join("与".join(BAND_ZH[band] for band in bands) for bands in claims)
                en = ", ".join(" and ".join(bands) for bands in claims)
                yield TariffFinding(
                    "tariff_overlap",
                    f"时段重叠:{_runs(double)}({zh})",
                    f"bands overlap at {_runs(double)} ({en})",
                    "从其中一个时段里去掉重叠部分",
                    "take the overlap out of one of the periods",
                    at,
                )


def _every_date(tariff: Tariff) -> Iterator[TariffFinding]:
    for i, calendar in enumerate(tariff.calendars):
        # An entry with a further condition may not match a date of some year: only unconditional ones count.
        always = [
            day for day in calendar.days if day.weekdays is None and day.holidays is None and not day.make_up_days
        ]
        first = date(LEAP_YEAR, 1, 1)
        bare = [
            day
            for day in (first + timedelta(days=n) for n in range(366))
            if not any(len(span.first) == 2 and span.holds(day) for kind in always for span in kind.dates)  # noqa: PLR2004 - no year
        ]
        if bare:
            days = f"{bare[0]:%m-%d}" + (f" … {bare[-1]:%m-%d} ({len(bare)})" if len(bare) > 1 else "")
            yield TariffFinding(
                "tariff_dates_missing",
                f"这些日期没有适用的时段表:{days}",
                f"no `days` entry holds on {days}",
                "最后加一条 dates: all",
                "add a last entry with `dates: all`",
                ("calendars", i, "days"),
            )


def _versions(tariff: Tariff) -> Iterator[TariffFinding]:
    versions: tuple[tuple[str, list[date]], ...] = (
        ("calendars", [calendar.valid_from for calendar in tariff.calendars]),
        ("prices", [price.valid_from for price in tariff.prices]),
    )
    for key, starts in versions:
        for i, (before, after) in enumerate(pairwise(starts), start=1):
            if after <= before:
                yield TariffFinding(
                    "tariff_order",
                    f"valid_from {after} 不晚于上一条 {before}",
                    f"valid_from {after} is not after {before}",
                    "按日期先后排列,一天只留一条",
                    "oldest first, one entry a date",
                    (key, i, "valid_from"),
                )


def _priced(tariff: Tariff) -> Iterator[TariffFinding]:
    used = sorted(
        {band for calendar in tariff.calendars for day in calendar.days for band in BANDS if getattr(day, band)},
        key=BANDS.index,
    )
    for i, version in enumerate(tariff.prices):
        missing = [band for band in used if version.by_component(band) is None]
        if missing:
            zh, en = "、".join(BAND_ZH[band] for band in missing), ", ".join(missing)
            yield TariffFinding(
                "tariff_band_unpriced",
                f"时段表用到但没有价格:{zh}",
                f"the calendar uses bands without a price: {en}",
                "在 ratios 或 bands_cny_per_kwh 里补上",
                "add them to ratios or bands_cny_per_kwh",
                ("prices", i),
            )
        if version.ratios is not None and version.components_cny_per_kwh is not None:
            unknown = [name for name in version.ratios.applies_to if name not in version.components_cny_per_kwh]
            if unknown:
                yield TariffFinding(
                    "tariff_component_unknown",
                    f"没有这个价格组成:{', '.join(unknown)}",
                    f"no such component: {', '.join(unknown)}",
                    f"可用:{', '.join(version.components_cny_per_kwh)}",
                    f"known: {', '.join(version.components_cny_per_kwh)}",
                    ("prices", i, "ratios", "applies_to"),
                )
        negative = [band for band in used if sum((version.by_component(band) or {}).values()) < 0]
        if negative:
            yield TariffFinding(
                "tariff_negative",
                f"电价为负:{', '.join(negative)}",
                f"negative price: {', '.join(negative)}",
                "核对各组成的符号",
                "check the signs of the components",
                ("prices", i),
                severity="warning",
            )


def _references(tariff: Tariff) -> Iterator[TariffFinding]:
    for i, calendar in enumerate(tariff.calendars):
        for j, day in enumerate(calendar.days):
            unknown = [name for name in day.holidays or () if name not in tariff.holidays]
            if unknown:
                yield TariffFinding(
                    "tariff_holiday_unknown",
                    f"节日没有日期:{', '.join(unknown)}",
                    f"holidays without dates: {', '.join(unknown)}",
                    "在文件的 holidays 里写明日期",
                    "list their dates under `holidays`",
                    ("calendars", i, "days", j, "holidays"),
                )
            if day.make_up_days and not tariff.make_up_dates:
                yield TariffFinding(
                    "tariff_make_up_unknown",
                    "没有调休上班日期",
                    "no make-up working days are listed",
                    "在文件的 make_up_dates 里写明日期",
                    "list them under `make_up_dates`",
                    ("calendars", i, "days", j, "make_up_days"),
                )


def _unsupported(tariff: Tariff) -> Iterator[TariffFinding]:
    places: list[tuple[str, str, tuple[str | int, ...]]] = [
        ("day_max_degc_min", "高温触发尖峰", ("calendars", i, "days", j, "day_max_degc_min"))
        for i, calendar in enumerate(tariff.calendars)
        for j, day in enumerate(calendar.days)
        if day.day_max_degc_min is not None
    ]
    if tariff.market is not None:
        places.append(("market", "市场分时价格", ("market",)))
    if tariff.tiers:
        places.append(("tiers", "阶梯电价", ("tiers",)))
    for key, zh, at in places:
        yield TariffFinding(
            "tariff_not_supported",
            f"暂不支持:{zh}",
            f"not supported yet: {key}",
            "删去这一项;不要以为它会被计入",
            "remove it; it would not be counted",
            at,
        )


def check_tariff(tariff: Tariff) -> list[TariffFinding]:
    """Every fault and warning of a tariff whose form is right; a fault means that nobody may plan with it."""
    return [
        finding
        for rule in (_coverage, _every_date, _versions, _priced, _references, _unsupported)
        for finding in rule(tariff)
    ]


def read_tariff(data: Mapping[str, object]) -> Tariff:
    """A tariff from a parsed mapping, checked.

    Raises:
        TariffFault: the first fault, with its key path.
    """
    try:
        tariff = Tariff.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise TariffFault("tariff_form", first["msg"], en=first["type"], at=tuple(first["loc"])) from error
    for finding in check_tariff(tariff):
        if finding.severity == "error":
            raise TariffFault(finding.code, finding.zh, en=finding.en, at=finding.at)
    return tariff
