"""`edge-agent tariff`: bands of a day, price per step, what a load will cost, and the tariffs that are shipped."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from edge_agent.cli.common import Common, Exit, Finite, emit, shared_options
from scheduling.errors import TariffFault
from scheduling.tariff.bands import BAND_ZH
from scheduling.tariff.bill import METERING_WINDOW_MIN, Bill, MonthLine
from scheduling.tariff.bill import bill as bill_of
from scheduling.tariff.calendar import bands_of
from scheduling.tariff.form import DAY_MIN
from scheduling.tariff.model import Tariff
from scheduling.tariff.price import Price, charges_of, price_at, price_if_hot, price_per_step, version_of

NAME_CELLS = 22
YEAR_FIRST, YEAR_LAST = 2000, 2100
"""No tariff is older, and near year 1 no zone can be reckoned with."""
COMPONENT_ZH = {
    "purchase": "购电", "line_loss": "线损", "transmission": "输配电", "system": "系统运行费", "funds": "基金及附加",
    "green_power": "绿电附加", "market": "市场电价", "tier": "阶梯加价", "rounding": "取整", "all": "全部",
}  # fmt: skip


def tariff_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--tariff`: look at a file without a site."""
    return click.option(
        "--tariff",
        "file",
        help="不看站点,看这个文件或随产品提供的名称 / this file, or the name of a shipped one, instead of the site's.",
    )(function)


@click.group(help="查看电价时段和价格 / bands and prices.")
def command() -> None:
    """Groups the questions about the tariff."""


@command.command("list", help="随产品提供的电价文件 / tariffs that come with the product.")
@shared_options
def list_(common: Common) -> None:
    """Prints name, title and whether the figures have been checked."""
    from edge_agent.cli.tariff_source import CHINA, padded  # noqa: PLC0415
    from edge_agent.settings.files import shipped_config  # noqa: PLC0415 - reads files; help must not
    from edge_agent.settings.load import load_tariff  # noqa: PLC0415

    folder = shipped_config() / "tariffs"
    names = sorted(path.stem for path in folder.glob("*.yaml"))
    tariffs = {name: load_tariff(name, zone=CHINA) for name in names}
    if common.as_json:
        rows = [{"name": n, "title": t.name, "unverified": t.unverified} for n, t in tariffs.items()]
        emit("tariff/1", {"folder": str(folder), "tariffs": rows})
    for name, tariff in tariffs.items():
        marked = tariff.unverified is None or common.pick("未核实", "unverified") in tariff.name
        mark = "" if marked else common.pick("  (未核实)", "  (unverified)")
        common.say(f"{padded(name, 42)}{tariff.name}{mark}", f"{padded(name, 42)}{tariff.name}{mark}")
    common.say(f"复制一份使用: cp {folder}/NAME.yaml tariff.yaml", f"to use one: cp {folder}/NAME.yaml tariff.yaml")


@command.command(help="某日的时段和价格 / bands and prices of a day (default: today).")
@click.argument("day", required=False)
@tariff_option
@shared_options
def show(common: Common, day: str | None, *, file: str | None) -> None:
    """Prints the periods of a date in order, with their prices, where they come from, and what is not certain."""
    from edge_agent.cli import tariff_source as use  # noqa: PLC0415 - reads files; help must not

    source = use.source_of(common, file)
    zone, tariff = source.zone, source.tariff
    chosen = _day(common, day, zone)
    midnight = datetime(chosen.year, chosen.month, chosen.day, tzinfo=zone)
    facts = use.facts_at(source, midnight.astimezone(UTC), (midnight + timedelta(days=1)).astimezone(UTC))
    found: list[tuple[str, str, Price]] = []
    try:
        minutes = bands_of(tariff, chosen, facts)
        edges = _edges(tariff, minutes, midnight)
        for first, last in zip(edges, [*edges[1:], DAY_MIN], strict=True):
            wall = midnight.replace(hour=first // 60, minute=first % 60)
            found.append((_clock(first), _clock(last), price_at(tariff, wall.astimezone(UTC), zone=zone, facts=facts)))
    except TariffFault as fault:
        use.refuse(common, Exit.FINDING, common.pick(fault.zh, fault.en))
    warnings = dict.fromkeys(warning for *_, price in found for warning in price.warnings)
    version, charges = version_of(tariff, chosen), charges_of(tariff, chosen)
    if common.as_json:
        lines = [
            {"from": begin, "to": end, "band": price.band, "cny_per_kwh": round(price.cny_per_kwh, 8)}
            for begin, end, price in found
        ]
        emit(
            "tariff/1",
            {
                "date": chosen.isoformat(),
                "name": tariff.name,
                "bands": lines,
                "calendar": {"source": found[0][2].calendar_source},
                "prices": {"valid_from": version.valid_from.isoformat(), "source": version.source},
                "demand_cny_per_kw_month": charges.demand_cny_per_kw_month,
                "capacity_cny_per_kva_month": charges.capacity_cny_per_kva_month,
                "unverified": tariff.unverified,
                "warnings": list(warnings),
            },
        )
        _warn_all(common, tariff, warnings)
        return
    weekday_zh, weekday_en = "一二三四五六日"[chosen.weekday()], f"{chosen:%a}"
    common.say(f"{tariff.name}  {chosen} 星期{weekday_zh}", f"{tariff.name}  {chosen} {weekday_en}")
    for begin, end, price in found:
        common.say(
            f"  {begin}-{end}  {use.padded(BAND_ZH[price.band], 6)}{price.cny_per_kwh:9.5f} 元/kWh",
            f"  {begin}-{end}  {use.padded(price.band, 12)}{price.cny_per_kwh:9.5f} CNY/kWh",
        )
    if charges.demand_cny_per_kw_month is not None:
        cny = f"{charges.demand_cny_per_kw_month:g}"
        common.say(f"  需量电价  {cny} 元/kW·月", f"  demand  {cny} CNY/kW per month")
    if charges.capacity_cny_per_kva_month is not None:
        cny = f"{charges.capacity_cny_per_kva_month:g}"
        common.say(
            f"  容量电价  {cny} 元/kVA·月,{charges.capacity_kva:g} kVA",
            f"  capacity  {cny} CNY/kVA per month, {charges.capacity_kva:g} kVA",
        )
    common.say(f"  时段依据  {found[0][2].calendar_source}", f"  bands from   {found[0][2].calendar_source}")
    common.say(
        f"  价格依据  {version.source},{version.valid_from} 起",
        f"  prices from  {version.source}, since {version.valid_from}",
    )
    _warn_all(common, tariff, warnings)


@command.command(help="逐步电价 / price per step.")
@click.option("--from", "start", required=True)
@click.option("--to", "end", required=True)
@click.option(
    "--step", "step_min", type=click.IntRange(1, 1440), default=METERING_WINDOW_MIN, show_default=True, help="min"
)
@tariff_option
@shared_options
def price(common: Common, *, start: str, end: str, step_min: int, file: str | None) -> None:
    """Prints start, band and mean price of every step."""
    from edge_agent.cli import tariff_source as use  # noqa: PLC0415 - reads files; help must not

    source = use.source_of(common, file)
    grid = use.grid_of(common, source.zone, start=start, end=end, step_min=step_min)
    facts = use.facts_at(source, grid.start_utc, grid.end_utc)
    try:
        found = price_per_step(source.tariff, grid, zone=source.zone, facts=facts)
        hot = price_if_hot(source.tariff, grid, zone=source.zone, facts=facts)
    except TariffFault as fault:
        use.refuse(common, Exit.FINDING, common.pick(fault.zh, fault.en))
    starts = grid.starts_utc()
    if common.as_json:
        rows = [
            {"start": f"{begin:%Y-%m-%dT%H:%M:%SZ}", "band": band, "cny_per_kwh": round(float(cny), 8)}
            for begin, band, cny in zip(starts, found.bands, found.cny_per_kwh, strict=True)
        ]
        if hot is not None:
            for row, cny in zip(rows, hot.cny_per_kwh, strict=True):
                row["cny_per_kwh_if_hot"] = round(float(cny), 8)
        emit("tariff/1", {"prices": rows, "warnings": list(found.warnings)})
    else:
        for step, (begin, band) in enumerate(zip(starts, found.bands, strict=True)):
            name = use.padded(common.pick(BAND_ZH[band], band), 12)
            line = f"{begin.astimezone(source.zone):%Y-%m-%d %H:%M}  {name}{found.cny_per_kwh[step]:9.5f}"
            if hot is not None and hot.bands[step] != band:
                line += common.pick(
                    f"  (高温时 {BAND_ZH[hot.bands[step]]} {hot.cny_per_kwh[step]:.5f})",
                    f"  (if hot: {hot.bands[step]} {hot.cny_per_kwh[step]:.5f})",
                )
            click.echo(line)
    _warn_all(common, source.tariff, dict.fromkeys(found.warnings))


@command.command(help="电费 / what the meter will cost; demand and capacity for whole months.")
@click.option("--from", "start", required=True)
@click.option("--to", "end", required=True)
@click.option(
    "--load",
    "load_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="CSV: start,electric_kw,每 15 分钟一行;不写则用电表记录 / one row each 15 min; else the site's records.",
)
@click.option("--used-kwh", type=Finite(min=0), help="阶梯:此前本期已用 / ladder: used before the start [kWh].")
@tariff_option
@shared_options
def bill(
    common: Common, *, start: str, end: str, load_file: Path | None, used_kwh: float | None, file: str | None
) -> None:
    """Prints the bill of a load by band and component, with its demand or capacity charge."""
    from edge_agent.cli import tariff_source as use  # noqa: PLC0415 - reads files; help must not

    source = use.source_of(common, file)
    grid = use.grid_of(common, source.zone, start=start, end=end, step_min=METERING_WINDOW_MIN)
    missing_count = 0
    if load_file is not None:
        load_kw = use.load_from_file(common, load_file, grid, zone=source.zone)
    else:
        load_kw, missing_count = use.load_from_records(common, source, grid)
    facts = use.facts_at(source, grid.start_utc, grid.end_utc, used_kwh=used_kwh)
    try:
        found = bill_of(
            source.tariff, grid, load_kw, zone=source.zone, facts=facts, window_min=use.demand_window_min(source)
        )
    except TariffFault as fault:
        use.refuse(common, Exit.FINDING, common.pick(fault.zh, fault.en))
    if missing_count:
        found.warnings[f"load_incomplete:{missing_count}"] = None
    if common.as_json:
        emit("tariff/1", _bill_dict(found) | {"quarters_missing": missing_count})
    else:
        common.say(f"{source.tariff.name}  {start} 至 {end}", f"{source.tariff.name}  {start} to {end}")
        _print_bill(common, found)
    _warn_all(common, source.tariff, found.warnings)


def _day(common: Common, day: str | None, zone: ZoneInfo) -> date:
    from edge_agent.cli.tariff_source import refuse  # noqa: PLC0415

    if day is None:
        from edge_agent.clock import RealClock  # noqa: PLC0415 - only the default needs a clock

        return RealClock().now_utc().astimezone(zone).date()
    try:
        chosen = date.fromisoformat(day)
    except ValueError:
        chosen = None
    if chosen is None or not YEAR_FIRST <= chosen.year <= YEAR_LAST:
        refuse(common, Exit.USAGE, f"{day}: {common.pick('应为日期 2026-08-01', 'needs a date such as 2026-08-01')}")
    return chosen


def _edges(tariff: Tariff, minutes: tuple[str, ...], midnight: datetime) -> list[int]:
    """Minutes of the day at which the price may change."""
    edges = {minute for minute in range(DAY_MIN) if minute == 0 or minutes[minute] != minutes[minute - 1]}
    if tariff.market_series is not None:
        begin, end = midnight.astimezone(UTC), (midnight + timedelta(days=1)).astimezone(UTC)
        walls = [edge.astimezone(midnight.tzinfo) for edge in tariff.market_series.edges_utc(begin, end)]
        edges |= {wall.hour * 60 + wall.minute for wall in walls}
    return sorted(edges)


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _bill_dict(found: Bill) -> dict[str, object]:
    return {
        "total_cny": round(found.total_cny, 2),
        "energy_cny": round(found.energy_cny, 2),
        "by_band": {
            band: {
                "hours": round(line.hours, 6),
                "electric_kwh": round(line.electric_kwh, 3),
                "cost_cny": round(line.cost_cny, 2),
            }
            for band, line in found.by_band.items()
        },
        "by_component": {name: round(cny, 2) for name, cny in found.by_component.items()},
        "demand": {
            month: {
                "peak_kw": round(line.peak_kw, 3),
                "demand_cny": round(line.demand_cny, 2),
                "capacity_cny": round(line.capacity_cny, 2),
            }
            for month, line in found.by_month.items()
        },
        "events": {reason: round(cny, 2) for reason, cny in found.by_event.items()},
        "warnings": list(found.warnings),
    }


def _print_bill(common: Common, found: Bill) -> None:
    from edge_agent.cli.tariff_source import padded  # noqa: PLC0415

    unit = common.pick("元", "CNY")
    common.say("按时段", "by band")
    for band in (band for band in BAND_ZH if band in found.by_band):
        line = found.by_band[band]
        name = padded(common.pick(BAND_ZH[band], band), NAME_CELLS)
        click.echo(f"  {name}{line.hours:8.2f} h {line.electric_kwh:14,.1f} kWh {line.cost_cny:14,.2f} {unit}")
    common.say("按组成", "by component")
    for component, cny in found.by_component.items():
        name = padded(common.pick(COMPONENT_ZH.get(component, component), component), NAME_CELLS)
        click.echo(f"  {name}{'':29}{cny:15,.2f} {unit}")
    energy = padded(common.pick("电量电费", "energy"), NAME_CELLS + 31)
    click.echo(f"{energy}{found.energy_cny:15,.2f} {unit}")
    common.say("基本电费", "demand or capacity")
    for month, charge in found.by_month.items():
        for words, cny in _fixed(common, charge):
            click.echo(f"  {padded(f'{month}  {words}', NAME_CELLS + 29)}{cny:15,.2f} {unit}")
    if found.by_event:
        common.say("超出调用上限", "above called limits")
    for reason, cny in found.by_event.items():
        click.echo(f"  {padded(reason, NAME_CELLS + 29)}{cny:15,.2f} {unit}")
    click.echo(f"{padded(common.pick('合计', 'total'), NAME_CELLS + 31)}{found.total_cny:15,.2f} {unit}")


def _fixed(common: Common, charge: MonthLine) -> Iterator[tuple[str, float]]:
    """What of a month is billed beside its energy, and by what; a line of its own for each."""
    if charge.cny_per_kw is not None:
        peak, cny = f"{charge.peak_kw:,.1f} kW", f"{charge.cny_per_kw:g}"
        yield common.pick(f"按最高需量 {peak} x {cny} 元", f"peak demand {peak} x {cny} CNY"), charge.demand_cny
    if charge.capacity_kva is not None:
        capacity, cny = f"{charge.capacity_kva:g} kVA", f"{charge.cny_per_kva:g}"
        yield common.pick(f"按容量 {capacity} x {cny} 元", f"capacity {capacity} x {cny} CNY"), charge.capacity_cny
    if charge.cny_per_kw is None and charge.capacity_kva is None:
        yield common.pick("不计", "none"), 0.0


def _warn_all(common: Common, tariff: Tariff, warnings: dict[str, None]) -> None:
    from edge_agent.cli.tariff_source import warn  # noqa: PLC0415

    unverified = [] if tariff.unverified is None else [f"tariff_file_unverified:{tariff.unverified}"]
    warn(common, [*unverified, *warnings])
