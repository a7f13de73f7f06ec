"""Where `edge-agent tariff` takes tariff, facts and load from: the site, a single file, a CSV, the records."""

import csv
import math
import sys
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import NoReturn
from zoneinfo import ZoneInfo

import click

from edge_agent.cli.common import Common, Exit, emit, unreadable
from edge_agent.cli.instants import instant
from edge_agent.settings.files import shipped_config
from edge_agent.settings.form import nearest
from edge_agent.settings.load import Configuration, load_configuration, load_tariff
from edge_agent.store.reader import read_means
from edge_agent.tariff_facts import facts_of, wanted
from edge_agent.texts.catalogue import text
from scheduling.tariff.bill import METERING_WINDOW_MIN
from scheduling.tariff.facts import Facts
from scheduling.tariff.model import Tariff
from scheduling.timegrid import SECONDS_PER_MINUTE, TimeGrid

STEPS_MAX = 40_000
"""Longest list of prices or loads: a year of quarter hours and a little."""
CITIES = {"peking": "beijing", "canton": "guangdong"}
"""Older names that the shipped files do not carry."""
CHINA = ZoneInfo("Asia/Shanghai")
"""Zone of a tariff file that is looked at without a site."""


@dataclass(frozen=True, slots=True)
class Source:
    """What the verbs work on.

    Attributes:
        tariff: the tariff.
        zone: the site's zone.
        configuration: the site; None when a file is looked at without one.
    """

    tariff: Tariff
    zone: ZoneInfo
    configuration: Configuration | None


def demand_window_min(source: Source) -> int:
    """Length of the site's demand windows; the usual one when a file is looked at without a site."""
    if source.configuration is None:
        return METERING_WINDOW_MIN
    return source.configuration.site.limits.demand_window_min


def source_of(common: Common, file: str | None) -> Source:
    """The site's tariff, or a single file: a path, or the name of one that comes with the product."""
    if file is not None:
        _must_exist(common, file)
        return Source(load_tariff(file, zone=CHINA), CHINA, None)
    configuration = load_configuration(common.config)
    return Source(configuration.tariff, ZoneInfo(configuration.site.site.timezone), configuration)


def _must_exist(common: Common, file: str) -> None:
    names = sorted(path.stem for path in (shipped_config() / "tariffs").glob("*.yaml"))
    if file in names or Path(file).exists():
        return
    near = nearest(file, names) or next((name for name in names if CITIES.get(file.lower(), file.lower()) in name), "")
    zh, en = (f";是不是 {near}?", f"; did you mean {near}?") if near else ("", "")
    refuse(
        common,
        Exit.USAGE,
        common.pick(
            f"没有文件 {file},也没有这个名称的电价{zh} 名称见 edge-agent tariff list",
            f"no file {file}, and no tariff of that name{en} Names: edge-agent tariff list",
        ),
    )


def refuse(common: Common, status: Exit, message: str) -> NoReturn:
    """Ends with a message on stderr, and as an object with --json."""
    click.echo(f"{common.pick('错误', 'error')}: {message}", err=True)
    if common.as_json:
        emit("tariff/1", {"ok": False, "message": message})
    sys.exit(status)


def grid_of(common: Common, zone: ZoneInfo, *, start: str, end: str, step_min: int) -> TimeGrid:
    """The steps from one instant to another; refused unless they come out even."""
    start_utc, end_utc = instant(start, zone=zone), instant(end, zone=zone)
    if end_utc <= start_utc:
        refuse(
            common,
            Exit.USAGE,
            common.pick(f"--to {end} 不晚于 --from {start}", f"--to {end} is not after --from {start}"),
        )
    count = round((end_utc - start_utc) / timedelta(minutes=step_min))
    if not 1 <= count <= STEPS_MAX or start_utc + count * timedelta(minutes=step_min) != end_utc:
        refuse(
            common,
            Exit.USAGE,
            common.pick(
                f"{start} 至 {end} 不是 1 至 {STEPS_MAX} 个 {step_min} 分钟的步长",
                f"{start} to {end} is not 1 to {STEPS_MAX} steps of {step_min} min",
            ),
        )
    return TimeGrid(start_utc, step_min * SECONDS_PER_MINUTE, count)


def facts_at(source: Source, start_utc: datetime, end_utc: datetime, *, used_kwh: float | None = None) -> Facts:
    """What the site's records say of the tariff's facts; the ladder's count is that at the start.

    Args:
        source: the tariff, with or without a site.
        start_utc: first instant that is priced.
        end_utc: the first that is not.
        used_kwh: the ladder's count, when somebody has read it off the meter [kWh].
    """
    outdoor_degc: dict[datetime, float] = {}
    electric_kw: dict[datetime, float] = {}
    if source.configuration is not None:
        site, need = source.configuration.site, wanted(source.tariff, start_utc, zone=source.zone)
        folder = site.storage_media.state_dir
        if need.outdoor_from_utc is not None:
            outdoor_degc = read_means(folder, site.meters.weather, METERING_WINDOW_MIN, need.outdoor_from_utc, end_utc)
        if need.electric_from_utc is not None:
            electric_kw = read_means(
                folder, main_meter(source.configuration), METERING_WINDOW_MIN, need.electric_from_utc, start_utc
            )
    found = facts_of(source.tariff, start_utc, zone=source.zone, outdoor_degc=outdoor_degc, electric_kw=electric_kw)
    return found if used_kwh is None else Facts(found.day_max_degc, used_kwh=used_kwh, used_at_utc=start_utc)


def main_meter(configuration: Configuration) -> str:
    """The point of the meter that is billed."""
    return f"{configuration.site.meters.electricity}.electric_power"


def load_from_records(common: Common, source: Source, grid: TimeGrid) -> tuple[list[float], int]:
    """Mean power of every quarter hour as the main meter was recorded, and how many quarters have no record.

    A quarter without a record is not in the bill; the caller says so.
    """
    if source.configuration is None:
        refuse(common, Exit.USAGE, common.pick("没有站点记录,请用 --load", "no site and no records: give --load"))
    site = source.configuration.site
    point = main_meter(source.configuration)
    means = read_means(site.storage_media.state_dir, point, METERING_WINDOW_MIN, grid.start_utc, grid.end_utc)
    starts = grid.starts_utc()
    missing_count = sum(start not in means for start in starts)
    if missing_count == grid.count:
        refuse(
            common,
            Exit.FINDING,
            common.pick(
                f"{site.storage_media.state_dir} 里没有 {point} 在这段时间的记录;可用 --load 给出负荷",
                f"no records of {point} for this time in {site.storage_media.state_dir}; give a load with --load",
            ),
        )
    return [means.get(start, 0.0) for start in starts], missing_count


def load_from_file(common: Common, path: Path, grid: TimeGrid, *, zone: ZoneInfo) -> list[float]:
    """The mean power of every step from a CSV file; a step without a row is an error, never zero."""
    values: dict[int, float] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if not {"start", "electric_kw"} <= set(reader.fieldnames or ()):
                words = common.pick("第一行应写列名", "the first line must name the columns")
                refuse(common, Exit.USAGE, f"{path}:1: {words} start,electric_kw")
            for row in reader:
                begin, given = str(row["start"]), str(row["electric_kw"])
                try:
                    power_kw = float(given)
                except ValueError:
                    power_kw = math.nan
                twice = common.pick("这一刻钟有两行", "a second row of this quarter hour")
                if not math.isfinite(power_kw):
                    words = common.pick("electric_kw 应为数字,现为", "electric_kw needs a number, not")
                    refuse(common, Exit.USAGE, f"{path}:{reader.line_num}: {words} {given!r}")
                step = (instant(begin, zone=zone) - grid.start_utc) // timedelta(minutes=METERING_WINDOW_MIN)
                if step in values:
                    refuse(
                        common,
                        Exit.USAGE,
                        f"{path}:{reader.line_num}: {twice}",
                    )
                values[step] = power_kw
    except OSError as error:
        refuse(common, Exit.USAGE, f"{path}: {unreadable(common, error)}")
    except (UnicodeDecodeError, csv.Error) as error:
        refuse(common, Exit.USAGE, f"{path}: {common.pick('不是 UTF-8 的 CSV', 'no CSV in UTF-8')} ({error})")
    missing = [step for step in range(grid.count) if step not in values]
    if missing:
        first = grid.start_of(missing[0]).astimezone(zone)
        refuse(
            common,
            Exit.USAGE,
            common.pick(
                f"{path}: 缺 {len(missing)} 行,首个 {first:%Y-%m-%d %H:%M}",
                f"{path}: {len(missing)} rows are missing, first {first:%Y-%m-%d %H:%M}",
            ),
        )
    return [values[step] for step in range(grid.count)]


def warn(common: Common, warnings: Iterable[str]) -> None:
    """Says each kind of warning once, with what it is about from first to last."""
    details: dict[str, list[str]] = {}
    for warning in warnings:
        code, _, detail = warning.partition(":")
        details.setdefault(code, []).append(detail)
    for code, about in details.items():
        detail = about[0] if len(about) == 1 else f"{about[0]} … {about[-1]} ({len(about)})"
        words = text(code, detail=detail)
        hint = common.pick(words.hint_zh, words.hint_en)
        said = common.pick(words.zh, words.en)
        click.echo(f"{common.pick('注意', 'warning')}: {said}" + (f" → {hint}" if hint else ""), err=True)


def padded(word: str, cells: int) -> str:
    """A word filled up to a width on the terminal: Chinese characters take two cells."""
    return word + " " * max(0, cells - sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in word))
