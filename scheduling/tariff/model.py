"""The tariff file as a strict model: when which band holds, and everything that belongs to it.

Keys are those of `tariff.yaml`. How much a kWh costs is in `levels`; what a file of the right form may still have
wrong is found by `check`.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, PrivateAttr, model_validator
from pydantic_core import PydanticCustomError

from scheduling.tariff.bands import BANDS, band_alias
from scheduling.tariff.form import (
    DAY_MIN,
    DateSpan,
    Day,
    Entry,
    NotNegative,
    Periods,
    Spans,
    Text,
    WallTime,
)
from scheduling.tariff.levels import PriceVersion, Tier
from scheduling.tariff.market import MarketSeries

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Names = Annotated[tuple[Text, ...], Field(strict=False, min_length=1)]


class BandPeriods(Entry):
    """The periods of each band within one day."""

    sharp: Periods = Field(default=(), validation_alias=band_alias("sharp"))
    """Periods of the sharp peak."""
    peak: Periods = Field(default=(), validation_alias=band_alias("peak"))
    """Periods of the peak."""
    flat: Periods = Field(default=(), validation_alias=band_alias("flat"))
    """Periods of the flat band."""
    valley: Periods = Field(default=(), validation_alias=band_alias("valley"))
    """Periods of the valley."""
    deep_valley: Periods = Field(default=(), validation_alias=band_alias("deep_valley"))
    """Periods of the deep valley."""


class UserClass(Entry):
    """What the user is: a rule may differ by each of these. Chosen once, in the file's `class`."""

    use: Text | None = None
    """Kind of use, in the notice's words, such as large_industry."""
    mode: Literal["single_rate", "two_part"] | None = None
    """Metering mode 单一制 or 两部制."""
    voltage: Text | None = None
    """Voltage class, such as 1-10kV."""
    kva: Annotated[float, Field(gt=0)] | None = None
    """Transformer capacity [kVA]."""
    choices: Annotated[tuple[Text, ...], Field(strict=False)] = ()
    """What the user may choose or has: a set of periods, a group such as coal_to_electricity, an equipment."""


class ClassCondition(Entry):
    """Which users an entry is for; every condition that is written must hold."""

    use: Names | None = None
    """One of these uses."""
    mode: Literal["single_rate", "two_part"] | None = None
    """This metering mode."""
    voltage: Names | None = None
    """One of these voltage classes."""
    kva_min: Annotated[float, Field(gt=0)] | None = None
    """At least this transformer capacity [kVA]."""
    choice: Text | None = None
    """The user's `choices` hold this one."""

    def holds(self, user: UserClass) -> bool:
        """Whether a user meets it; what the file does not say of the user is not met."""
        return (
            (self.use is None or user.use in self.use)
            and (self.mode is None or user.mode == self.mode)
            and (self.voltage is None or user.voltage in self.voltage)
            and (self.kva_min is None or (user.kva is not None and user.kva >= self.kva_min))
            and (self.choice is None or self.choice in user.choices)
        )


class DayKind(BandPeriods):
    """Bands of the dates that match; the first entry that matches a date holds."""

    dates: Spans = (DateSpan((1, 1), (12, 31)),)
    """`all`, or a list of dates and spans of dates."""
    seasons: Names | None = None
    """Only the dates of these seasons, as the file's `seasons` lists them."""
    weekdays: Annotated[tuple[Weekday, ...], Field(strict=False)] | None = None
    """Only these weekdays; a make-up working day counts as a working day."""
    holidays: Names | None = None
    """Only the dates of these holidays, as the file's `holidays` lists them."""
    holiday_days_min: Annotated[int, Field(ge=1)] | None = None
    """Only holidays of at least so many days running; without `holidays`, any of the file's."""
    make_up_days: bool = False
    """Only the dates of the file's `make_up_dates`."""
    day_max_degc_min: float | None = None
    """Only days whose maximum temperature reaches this [degC]."""
    days_running: Annotated[int, Field(ge=1)] = 1
    """The maximum has been reached on so many days running, the day itself being the last; a cool day starts anew."""
    notice: Text | None = None
    """Only the dates that the authority has announced under this name, in the file's `notices`."""
    notice_lead_days_min: Annotated[int, Field(ge=0)] = 0
    """How many days before its first date a notice must be published."""
    only_for: ClassCondition | None = None
    """Only for these users; the file's `class` says what this one is."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.days_running > 1 and self.day_max_degc_min is None:
            raise PydanticCustomError(
                "day_kind", "days_running 须配 day_max_degc_min / days_running goes with day_max_degc_min"
            )
        if self.notice_lead_days_min and self.notice is None:
            raise PydanticCustomError("day_kind", "notice_lead_days_min 须配 notice / it goes with notice")
        return self

    @property
    def conditional(self) -> bool:
        """Whether something beside date, weekday and user decides: such an entry cannot be counted on."""
        return (
            self.holidays is not None
            or self.holiday_days_min is not None
            or self.make_up_days
            or self.day_max_degc_min is not None
            or self.notice is not None
        )

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


class Notice(Entry):
    """Dates that the authority has announced, such as days on which it starts the sharp peak."""

    name: Text
    """Name that `days` entries refer to."""
    published: Day
    """When it was announced."""
    dates: Spans
    """The dates it holds on."""
    source: Text
    """Where it was announced."""


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

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.from_ > self.to:
            raise PydanticCustomError("green_power", "from 不得晚于 to / from is not after to")
        return self


class Market(Entry):
    """Price per interval from a contract or the spot market; where there is none, the calendar's price holds."""

    file: Text | None = None
    """CSV beside tariff.yaml with the columns start,cny_per_kwh, one row an interval of 15, 30 or 60 min."""
    topic: Text | None = None
    """An MQTT topic. Refused: nothing receives prices from a broker; have them written into the file."""
    replaces: Names | None = None
    """Components that the market price stands for, such as [purchase]; absent: it is the whole price."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.file is None) == (self.topic is None):
            raise PydanticCustomError("market", "file 与 topic 须且只须写一个 / write either file or topic")
        return self


class Tariff(Entry):
    """The whole file."""

    name: Text
    """Name for people."""
    unverified: Text | None = None
    """What in this file has not been checked against the notice; `check` and `tariff` warn until it is removed."""
    class_: UserClass = Field(default=UserClass(), validation_alias="class")
    """What the user is; entries with `only_for` depend on it."""
    calendars: Annotated[tuple[Calendar, ...], Field(strict=False, min_length=1)]
    """Versions of the calendar, oldest first."""
    prices: Annotated[tuple[PriceVersion, ...], Field(strict=False, min_length=1)]
    """Versions of the prices, oldest first."""
    events: Annotated[tuple[Event, ...], Field(strict=False)] = ()
    """Limits on grid power with their payment."""
    green_power: Annotated[tuple[GreenPower, ...], Field(strict=False)] = ()
    """Green shares and surcharges."""
    market: Market | None = None
    """Market prices per interval."""
    tiers: Annotated[tuple[Tier, ...], Field(strict=False)] = ()
    """Residential ladder, lowest step first."""
    tiers_period: Literal["year", "month"] = "year"
    """Over what the ladder counts: the calendar year or month."""
    seasons: dict[Text, Spans] = Field(default={})
    """Dates of the named seasons that `days` entries refer to."""
    holidays: dict[Text, Spans] = Field(default={})
    """Dates of the named holidays that `days` entries refer to."""
    make_up_dates: Spans = ()
    """Working days that make up for a holiday."""
    notices: Annotated[tuple[Notice, ...], Field(strict=False)] = ()
    """What the authority has announced for single dates."""
    day_max_degc: dict[Day, float] = Field(default={})
    """Maximum temperature of days as the rule's own station published it [degC]; else the site's sensor stands in."""

    _market_series: MarketSeries | None = PrivateAttr(default=None)

    @property
    def market_series(self) -> MarketSeries | None:
        """The prices that stand in the market's file; None until they are given."""
        return self._market_series

    def with_market(self, series: MarketSeries) -> Self:
        """The tariff with the prices of its market file: everyone who prices with it then sees the same."""
        copy = self.model_copy()
        copy._market_series = series  # noqa: SLF001 - a copy of ourselves
        return copy
