"""What a tariff file of the right form may still have wrong, found before anyone plans with it.

Every minute of every date is shown to be covered exactly once, whatever the weekday, holiday, notice or temperature;
what cannot be done is refused with a code, never ignored: a price that is silently wrong is worse than none.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Literal

from pydantic import ValidationError

from scheduling.errors import TariffFault
from scheduling.tariff.bands import BAND_ZH, BANDS, Band
from scheduling.tariff.calendar import WORKING_DAYS, weekday_holds
from scheduling.tariff.form import LEAP_YEAR, DateSpan
from scheduling.tariff.levels import CHARGES
from scheduling.tariff.model import WEEKDAYS, DayKind, Tariff

YEAR_DAYS = tuple(date(LEAP_YEAR, 1, 1) + timedelta(days=n) for n in range(366))
CNY_PER_KWH_USUAL_MAX = 5.0
"""No published price of any band comes near it; what is above was most likely written in fen."""
SHARE_TOL = 1e-9
"""Shares that add up to one may be off by their rounding."""
ALL_DATES = (1 << len(YEAR_DAYS)) - 1


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


def _mask(spans: tuple[DateSpan, ...]) -> int:
    """The dates of every year that spans hold, one bit each; spans with a year hold in that year only and count not."""
    yearly = [span for span in spans if len(span.first) == 2]  # noqa: PLR2004 - no year
    return sum(1 << n for n, day in enumerate(YEAR_DAYS) if any(span.holds(day) for span in yearly))


def _counted_on(tariff: Tariff, kind: DayKind) -> int:
    """The dates on which an entry matches whatever else is the case, one bit each."""
    if kind.conditional or (kind.only_for is not None and not kind.only_for.holds(tariff.class_)):
        return 0
    mask = _mask(kind.dates)
    if kind.seasons is not None:
        seasons = 0
        for name in kind.seasons:
            seasons |= _mask(tariff.seasons.get(name, ()))
        mask &= seasons
    return mask


def _every_date(tariff: Tariff) -> Iterator[TariffFinding]:
    """An entry for each date on each weekday, also on a weekend that is worked.

    A holiday, notice or temperature can only make one more entry match: where an entry holds without them, one holds
    with them. So it is enough to look at the days on which none of them does.
    """
    weekdays = [
        (name, made_up) for name in WEEKDAYS for made_up in (False, True) if not made_up or name not in WORKING_DAYS
    ]
    for i, calendar in enumerate(tariff.calendars):
        masks = [(kind, _counted_on(tariff, kind)) for kind in calendar.days]
        for weekday, made_up in weekdays:
            held = 0
            for kind, mask in masks:
                if weekday_holds(kind, weekday, made_up=made_up):
                    held |= mask
            if held == ALL_DATES:
                continue
            bare = [day for n, day in enumerate(YEAR_DAYS) if not held >> n & 1]
            days = f"{bare[0]:%m-%d}" + (f" … {bare[-1]:%m-%d} ({len(bare)})" if len(bare) > 1 else "")
            worked = ("(调休上班)", " (worked)") if made_up else ("", "")
            yield TariffFinding(
                "tariff_dates_missing",
                f"这些日期没有适用的时段表:{days},{weekday}{worked[0]}",
                f"no `days` entry holds on {days}, {weekday}{worked[1]}",
                "最后加一条 dates: all",
                "add a last entry with `dates: all`",
                ("calendars", i, "days"),
            )
            break


def _never_reached(tariff: Tariff) -> Iterator[TariffFinding]:
    """Entries behind others that hold on every date of every weekday already: the first that matches holds."""
    for i, calendar in enumerate(tariff.calendars):
        held = {(name, made_up): 0 for name in WEEKDAYS for made_up in (False, True)}
        for j, kind in enumerate(calendar.days):
            if all(mask == ALL_DATES for mask in held.values()):
                yield TariffFinding(
                    "tariff_days_never",
                    f"第 {j + 1} 条时段表永远用不到:前面的已适用于所有日期",
                    f"`days` entry {j + 1} never holds: those before it hold on every date",
                    "把适用范围小的写在前面,dates: all 写在最后",
                    "put what holds on few dates first, and `dates: all` last",
                    ("calendars", i, "days", j),
                    severity="warning",
                )
            mask = _counted_on(tariff, kind)
            for (name, made_up), before in held.items():
                if weekday_holds(kind, name, made_up=made_up):
                    held[name, made_up] = before | mask


def _versions(tariff: Tariff) -> Iterator[TariffFinding]:
    versions: tuple[tuple[str, list[date]], ...] = (
        ("calendars", [calendar.valid_from for calendar in tariff.calendars]),
        ("prices", [price.valid_from for price in tariff.prices]),
    )
    for key, starts in versions:
        for i, (before, after) in enumerate(pairwise(starts), start=1):
            seasonal = key == "prices" and tariff.prices[i].dates is not None
            if after < before or (after == before and not seasonal):
                yield TariffFinding(
                    "tariff_order",
                    f"valid_from {after} 不晚于上一条 {before}",
                    f"valid_from {after} is not after {before}",
                    "按日期先后排列,一天只留一条",
                    "oldest first, one entry a date",
                    (key, i, "valid_from"),
                )

    if tariff.prices[0].dates is not None:
        yield TariffFinding(
            "tariff_price_dates_first",
            "第一条价格只适用于部分日期,其余日期没有价格",
            "the first price entry holds on some dates only: the others have no price",
            "先写一条不带 dates 的价格",
            "put an entry without `dates` first",
            ("prices", 0, "dates"),
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
        taken: set[str] = set()
        for j, ratios in enumerate(version.ratio_sets):
            at: tuple[str | int, ...] = ("prices", i, "ratios") if j == 0 else ("prices", i, "more_ratios", j - 1)
            twice = [name for name in ratios.applies_to if name in taken]
            taken.update(ratios.applies_to)
            if twice or len(set(ratios.applies_to)) < len(ratios.applies_to):
                yield TariffFinding(
                    "tariff_component_twice",
                    f"同一价格组成被两组倍率作用:{', '.join(twice or ratios.applies_to)}",
                    f"two ratios act on one component: {', '.join(twice or ratios.applies_to)}",
                    "一个组成只写在一处 applies_to",
                    "name a component in one applies_to only",
                    (*at, "applies_to"),
                )
            known = version.components_cny_per_kwh or {}
            unknown = [name for name in ratios.applies_to if name not in known]
            if unknown:
                yield TariffFinding(
                    "tariff_component_unknown",
                    f"没有这个价格组成:{', '.join(unknown)}",
                    f"no such component: {', '.join(unknown)}",
                    f"可用:{', '.join(known)}",
                    f"known: {', '.join(known)}",
                    (*at, "applies_to"),
                )
        yield from _amounts(tariff, i, used=used)


def _amounts(tariff: Tariff, i: int, *, used: list[Band]) -> Iterator[TariffFinding]:
    """Prices that are most likely a slip: of the sign, of the unit, or two bands exchanged."""
    version = tariff.prices[i]
    cny_per_kwh = {band: sum(parts.values()) for band in used if (parts := version.by_component(band)) is not None}

    def warning(code: str, words: tuple[str, str], hint: tuple[str, str]) -> TariffFinding:
        return TariffFinding(code, *words, *hint, ("prices", i), severity="warning")

    negative = ", ".join(band for band, cny in cny_per_kwh.items() if cny < 0)
    if negative:
        yield warning(
            "tariff_negative",
            (f"电价为负:{negative}", f"negative price: {negative}"),
            ("核对各组成的符号", "check the signs of the components"),
        )
    high = ", ".join(f"{band} {cny:.4g}" for band, cny in cny_per_kwh.items() if cny > CNY_PER_KWH_USUAL_MAX)
    if high:
        yield warning(
            "tariff_price_high",
            (f"电价高于 {CNY_PER_KWH_USUAL_MAX:g} 元/kWh:{high}", f"above {CNY_PER_KWH_USUAL_MAX:g} CNY/kWh: {high}"),
            ("单位是元/kWh,不是分,小数点用 .", "the unit is CNY/kWh, not fen, and the decimal point is ."),
        )
    for dear, cheap in pairwise(cny_per_kwh):  # BANDS stand from dear to cheap
        if cny_per_kwh[cheap] > cny_per_kwh[dear]:
            low, above = cny_per_kwh[dear], cny_per_kwh[cheap]
            yield warning(
                "tariff_bands_order",
                (
                    f"{BAND_ZH[cheap]}段电价 {above:.4g} 高于{BAND_ZH[dear]}段 {low:.4g}",
                    f"{cheap} at {above:.4g} is dearer than {dear} at {low:.4g}",
                ),
                ("核对 ratios 或 bands_cny_per_kwh", "check ratios or bands_cny_per_kwh"),
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


def _seasons_and_notices(tariff: Tariff) -> Iterator[TariffFinding]:
    for i, calendar in enumerate(tariff.calendars):
        for j, kind in enumerate(calendar.days):
            at = ("calendars", i, "days", j)
            unknown = [name for name in kind.seasons or () if name not in tariff.seasons]
            if unknown:
                yield TariffFinding(
                    "tariff_season_unknown",
                    f"季节没有日期:{', '.join(unknown)}",
                    f"seasons without dates: {', '.join(unknown)}",
                    "在文件的 seasons 里写明日期",
                    "list their dates under `seasons`",
                    (*at, "seasons"),
                )
    named = {kind.notice: kind.notice_lead_days_min for cal in tariff.calendars for kind in cal.days if kind.notice}
    for i, notice in enumerate(tariff.notices):
        if notice.name not in named:
            yield TariffFinding(
                "tariff_notice_unused",
                f"时段表里没有 notice: {notice.name}",
                f"no `days` entry has notice: {notice.name}",
                f"可用:{', '.join(named)}",
                f"known: {', '.join(named)}",
                ("notices", i, "name"),
            )
            continue
        earliest = notice.published + timedelta(days=named[notice.name])
        late = [span for span in notice.dates if len(span.first) == 3 and date(*span.first) < earliest]  # noqa: PLR2004 - with a year
        if late:
            yield TariffFinding(
                "tariff_notice_late",
                f"通知发布于 {notice.published},早于 {earliest} 的日期提前期不足",
                f"published {notice.published}: too late for dates before {earliest}",
                "核对发布日期和起始日期",
                "check when it was published and when it begins",
                ("notices", i, "dates"),
                severity="warning",
            )


def _user(tariff: Tariff) -> Iterator[TariffFinding]:
    asked = {kind.only_for.choice for cal in tariff.calendars for kind in cal.days if kind.only_for is not None}
    unused = [choice for choice in tariff.class_.choices if choice not in asked]
    if unused:
        yield TariffFinding(
            "tariff_choice_unused",
            f"没有时段表用到这项选择:{', '.join(unused)}",
            f"no `days` entry asks for this choice: {', '.join(unused)}",
            f"可用:{', '.join(sorted(choice for choice in asked if choice))}",
            f"known: {', '.join(sorted(choice for choice in asked if choice))}",
            ("class", "choices"),
        )


def _ladder(tariff: Tariff) -> Iterator[TariffFinding]:
    ends = [tier.up_to_kwh for tier in tariff.tiers]
    closed = [end for end in ends if end is not None]
    if ends and (ends[-1] is not None or None in ends[:-1] or any(b <= a for a, b in pairwise(closed))):
        yield TariffFinding(
            "tariff_tiers_order",
            "阶梯应从低到高,只有最后一档不写 up_to_kwh",
            "steps rise, and the last one alone has no up_to_kwh",
            "最后一档写 {up_to_kwh: null, add_cny_per_kwh: …}",
            "end with {up_to_kwh: null, add_cny_per_kwh: …}",
            ("tiers",),
        )


def _market(tariff: Tariff) -> Iterator[TariffFinding]:
    if tariff.market is None:
        return
    if tariff.market.topic is not None:
        yield TariffFinding(
            "tariff_not_supported",
            "暂不支持:从 MQTT 主题接收市场价格",
            "not supported yet: market prices from an MQTT topic",
            "改用 {file: prices.csv},由外部程序写入",
            "use {file: prices.csv} and have it written from outside",
            ("market", "topic"),
        )
    for i, version in enumerate(tariff.prices):
        known = version.components_cny_per_kwh or {}
        unknown = [name for name in tariff.market.replaces or () if name not in known]
        if unknown:
            yield TariffFinding(
                "tariff_component_unknown",
                f"没有这个价格组成:{', '.join(unknown)}(prices 第 {i + 1} 条)",
                f"no such component: {', '.join(unknown)} (entry {i + 1} of prices)",
                f"可用:{', '.join(known)}",
                f"known: {', '.join(known)}",
                ("market", "replaces"),
            )
            return


def _green_power(tariff: Tariff) -> Iterator[TariffFinding]:
    """On no date more green electricity than electricity: the sum of the shares is greatest where an entry begins."""
    for i, entry in enumerate(tariff.green_power):
        share = sum(other.share for other in tariff.green_power if other.from_ <= entry.from_ <= other.to)
        if share > 1.0 + SHARE_TOL:
            yield TariffFinding(
                "tariff_green_share",
                f"{entry.from_} 起各绿电份额合计 {share:g},超过 1",
                f"from {entry.from_} on the green shares add up to {share:g}, more than 1",
                "核对重叠的日期和份额",
                "check dates that overlap, and the shares",
                ("green_power", i, "share"),
            )


def _seasonal_charges(tariff: Tariff) -> Iterator[TariffFinding]:
    """A month's demand or capacity charge is that of its last day: another one on some dates is hardly meant."""
    for i, version in enumerate(tariff.prices):
        below = [other for other in tariff.prices[:i] if other.dates is None]
        if version.dates is None or not below:
            continue
        named = version.demand_cny_per_kw_month, version.capacity_cny_per_kva_month
        base = below[-1].demand_cny_per_kw_month, below[-1].capacity_cny_per_kva_month
        if version.model_fields_set & CHARGES and named != base:
            yield TariffFinding(
                "tariff_charge_differs",
                "只适用于部分日期的价格写了不同的需量或容量电价;一个月按其最后一天的收",
                "a price for some dates has another demand or capacity price; the one of a month's last day is charged",
                "与其余日期相同就不要写,不写则沿用",
                "leave it out where it is that of the other dates: it is taken from there",
                ("prices", i, "dates"),
                severity="warning",
            )


def _verified(tariff: Tariff) -> Iterator[TariffFinding]:
    if tariff.unverified is not None:
        yield TariffFinding(
            "tariff_unverified",
            f"电价未核实:{tariff.unverified}",
            f"unverified tariff: {tariff.unverified}",
            "与文件、电费单核对后删去 unverified",
            "check it against notice and bill, then remove `unverified`",
            ("unverified",),
            severity="warning",
        )


RULES: tuple[Callable[[Tariff], Iterator[TariffFinding]], ...] = (
    _coverage,
    _every_date,
    _never_reached,
    _versions,
    _priced,
    _references,
    _seasons_and_notices,
    _user,
    _ladder,
    _market,
    _green_power,
    _seasonal_charges,
    _verified,
)


def check_tariff(tariff: Tariff) -> list[TariffFinding]:
    """Every fault and warning of a tariff whose form is right; a fault means that nobody may plan with it."""
    return [finding for rule in RULES for finding in rule(tariff)]


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
