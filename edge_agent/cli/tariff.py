"""`edge-agent tariff`: bands of a day, price per step, and what a load will cost."""

import csv
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NoReturn
from zoneinfo import ZoneInfo

import click

from edge_agent.cli.common import Common, Exit, emit, shared_options
from edge_agent.cli.instants import instant
from scheduling.errors import TariffFault
from scheduling.tariff.bands import BAND_ZH
from scheduling.tariff.bill import bill as bill_of
from scheduling.tariff.calendar import bands_of
from scheduling.tariff.form import DAY_MIN
from scheduling.tariff.model import Tariff
from scheduling.tariff.price import price_at, price_per_step
from scheduling.timegrid import SECONDS_PER_MINUTE, TimeGrid

STEP_MIN = 15
STEPS_MAX = 40_000
"""Longest list of prices or loads: a year of quarter hours and a little."""


def _site(common: Common) -> tuple[Tariff, ZoneInfo]:
    from edge_agent.settings.load import load_configuration  # noqa: PLC0415 - reads all files; help must not

    configuration = load_configuration(common.config)
    return configuration.tariff, ZoneInfo(configuration.site.site.timezone)


def _refuse(common: Common, status: Exit, message: str) -> NoReturn:
    click.echo(f"{common.pick('错误', 'error')}: {message}", err=True)
    if common.as_json:
        emit("tariff/1", {"ok": False, "message": message})
    sys.exit(status)


def _grid(common: Common, zone: ZoneInfo, *, start: str, end: str, step_min: int) -> TimeGrid:
    start_utc, end_utc = instant(start, zone=zone), instant(end, zone=zone)
    count = round((end_utc - start_utc) / timedelta(minutes=step_min))
    if not 1 <= count <= STEPS_MAX or start_utc + count * timedelta(minutes=step_min) != end_utc:
        _refuse(
            common,
            Exit.USAGE,
            common.pick(
                f"{start} 至 {end} 不是 1 至 {STEPS_MAX} 个 {step_min} 分钟的步长",
                f"{start} to {end} is not 1 to {STEPS_MAX} steps of {step_min} min",
            ),
        )
    return TimeGrid(start_utc, step_min * SECONDS_PER_MINUTE, count)


@click.group(help="查看电价时段和价格 / bands and prices.")
def command() -> None:
    """Groups the questions about the tariff."""


@command.command(help="某日的时段 / bands of a day (default: today).")
@click.argument("day", required=False)
@shared_options
def show(common: Common, day: str | None) -> None:
    """Prints the periods of a date in order, with their prices."""
    tariff, zone = _site(common)
    if day is None:
        from edge_agent.clock import RealClock  # noqa: PLC0415 - only the default needs a clock

        chosen = RealClock().now_utc().astimezone(zone).date()
    else:
        try:
            chosen = date.fromisoformat(day)
        except ValueError:
            _refuse(
                common, Exit.USAGE, f"{day}: {common.pick('应为日期 2026-08-01', 'needs a date such as 2026-08-01')}"
            )
    try:
        minutes = bands_of(tariff, chosen)
        edges = [m for m in range(DAY_MIN) if m == 0 or minutes[m] != minutes[m - 1]]
        lines: list[dict[str, object]] = []
        warnings: dict[str, None] = {}
        for first, last in zip(edges, [*edges[1:], DAY_MIN], strict=True):
            wall = datetime(chosen.year, chosen.month, chosen.day, first // 60, first % 60, tzinfo=zone)
            price = price_at(tariff, wall.astimezone(UTC), zone=zone)
            warnings.update(dict.fromkeys(price.warnings))
            lines.append(
                {
                    "from": f"{first // 60:02d}:{first % 60:02d}",
                    "to": f"{last // 60:02d}:{last % 60:02d}",
                    "band": minutes[first],
                    "cny_per_kwh": round(price.cny_per_kwh, 8),
                }
            )
    except TariffFault as fault:
        _refuse(common, Exit.FINDING, common.pick(fault.zh, fault.en))
    if common.as_json:
        emit("tariff/1", {"date": chosen.isoformat(), "name": tariff.name, "bands": lines, "warnings": list(warnings)})
    common.say(f"{tariff.name}  {chosen}", f"{tariff.name}  {chosen}")
    for line in lines:
        band = str(line["band"])
        common.say(
            f"  {line['from']}-{line['to']}  {BAND_ZH[band]}  {line['cny_per_kwh']:.5f} 元/kWh",
            f"  {line['from']}-{line['to']}  {band}  {line['cny_per_kwh']:.5f} CNY/kWh",
        )
    _warn(common, warnings)


@command.command(help="逐步电价 / price per step.")
@click.option("--from", "start", required=True)
@click.option("--to", "end", required=True)
@click.option("--step", "step_min", type=click.IntRange(1, 1440), default=STEP_MIN, show_default=True, help="min")
@shared_options
def price(common: Common, start: str, end: str, step_min: int) -> None:
    """Prints start, band and mean price of every step."""
    tariff, zone = _site(common)
    grid = _grid(common, zone, start=start, end=end, step_min=step_min)
    try:
        found = price_per_step(tariff, grid, zone=zone)
    except TariffFault as fault:
        _refuse(common, Exit.FINDING, common.pick(fault.zh, fault.en))
    rows = [
        {"start": f"{begin:%Y-%m-%dT%H:%M:%SZ}", "band": band, "cny_per_kwh": round(float(cny), 8)}
        for begin, band, cny in zip(grid.starts_utc(), found.bands, found.cny_per_kwh, strict=True)
    ]
    if common.as_json:
        emit("tariff/1", {"prices": rows, "warnings": list(found.warnings)})
        return
    for begin, band, cny in zip(grid.starts_utc(), found.bands, found.cny_per_kwh, strict=True):
        click.echo(f"{begin.astimezone(zone):%Y-%m-%d %H:%M}  {common.pick(BAND_ZH[band], band)}  {float(cny):.5f}")
    _warn(common, dict.fromkeys(found.warnings))


@command.command(help="电费 / what the meter will cost; demand and capacity for whole months.")
@click.option("--from", "start", required=True)
@click.option("--to", "end", required=True)
@click.option(
    "--load",
    "load_file",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="CSV: start,electric_kw,每 15 分钟一行 / one row each 15 min.",
)
@shared_options
def bill(common: Common, start: str, end: str, load_file: Path) -> None:
    """Prints the bill of a load by band and component, with its demand or capacity charge."""
    tariff, zone = _site(common)
    grid = _grid(common, zone, start=start, end=end, step_min=STEP_MIN)
    load_kw = _loads(common, load_file, grid, zone)
    try:
        found = bill_of(tariff, grid, load_kw, zone=zone)
    except TariffFault as fault:
        _refuse(common, Exit.FINDING, common.pick(fault.zh, fault.en))
    if common.as_json:
        emit(
            "tariff/1",
            {
                "total_cny": round(found.total_cny, 2),
                "energy_cny": round(found.energy_cny, 2),
                "by_band": {
                    band: {"electric_kwh": round(line.electric_kwh, 3), "cost_cny": round(line.cost_cny, 2)}
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
                "warnings": list(found.warnings),
            },
        )
    for band, line in found.by_band.items():
        common.say(
            f"  {BAND_ZH[band]}  {line.electric_kwh:.1f} kWh  {line.cost_cny:.2f} 元",
            f"  {band}  {line.electric_kwh:.1f} kWh  {line.cost_cny:.2f} CNY",
        )
    for name, month in found.by_month.items():
        common.say(
            f"  {name}  需量 {month.peak_kw:.1f} kW  {month.demand_cny + month.capacity_cny:.2f} 元",
            f"  {name}  demand {month.peak_kw:.1f} kW  {month.demand_cny + month.capacity_cny:.2f} CNY",
        )
    common.say(f"合计 {found.total_cny:.2f} 元", f"total {found.total_cny:.2f} CNY")
    _warn(common, found.warnings)


def _loads(common: Common, path: Path, grid: TimeGrid, zone: ZoneInfo) -> list[float]:
    """The mean power of every step from a CSV file; a step without a row is an error, never zero."""
    values: dict[int, float] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, row in enumerate(csv.DictReader(file), start=2):
                try:
                    begin, power_kw = str(row["start"]), float(row["electric_kw"])
                except (KeyError, TypeError, ValueError):
                    _refuse(
                        common,
                        Exit.USAGE,
                        f"{path}:{number}: {common.pick('需要列', 'needs columns')} start,electric_kw",
                    )
                step = grid.step_at(instant(begin, zone=zone))
                if step is not None:
                    values[step] = power_kw
    except (OSError, UnicodeDecodeError) as error:
        _refuse(common, Exit.USAGE, f"{path}: {error}")
    missing = [step for step in range(grid.count) if step not in values]
    if missing:
        first = grid.start_of(missing[0]).astimezone(zone)
        _refuse(
            common,
            Exit.USAGE,
            common.pick(
                f"{path}: 缺 {len(missing)} 行,首个 {first:%Y-%m-%d %H:%M}",
                f"{path}: {len(missing)} rows are missing, first {first:%Y-%m-%d %H:%M}",
            ),
        )
    return [values[step] for step in range(grid.count)]


def _warn(common: Common, warnings: dict[str, None]) -> None:
    for warning in warnings:
        code, _, detail = warning.partition(":")
        if code == "price_month_missing":
            message = common.pick(
                f"没有 {detail} 的电价,沿用最近公布的一条",
                f"no prices of {detail} in the file: the last published ones are used",
            )
        else:
            message = warning
        click.echo(f"{common.pick('注意', 'warning')}: {message}", err=True)
