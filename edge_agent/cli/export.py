"""`edge-agent export`: raw samples as they were accepted, read from the files; the service may be running or not."""

import csv
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from edge_agent.cli.common import Common, Exit, emit, shared_options
from edge_agent.cli.instants import instant

if TYPE_CHECKING:
    from edge_agent.store.frame_reader import Missing

COLUMNS = ("point", "instant_utc", "value", "unit", "quality", "cause", "correction", "frame")
Row = tuple[str, str, float | None, str, str, str, float, int]


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


@click.command(help="导出原始采样 / export raw samples as they were accepted.")
@click.option("--from", "from_text", required=True, help="起,含 / from, inside (2026-01-12T00:00, 2026-01-12T00:00Z).")
@click.option("--to", "to_text", required=True, help="止,不含 / to, outside.")
@click.option("--point", "points", multiple=True, help="只要这个测点,可重复 / only this point, may be repeated.")
@click.option("--format", "form", type=click.Choice(["csv", "json"]), default="csv", show_default=True)
@shared_options
def command(common: Common, from_text: str, to_text: str, points: tuple[str, ...], form: str) -> None:
    """Writes one row a sample, with quality and the frame that holds it; of totals, what makes them continuous."""
    from edge_agent.settings.load import load_site  # noqa: PLC0415 - heavy
    from edge_agent.store.reader import read_samples  # noqa: PLC0415 - heavy

    site = load_site(common.config)
    zone = ZoneInfo(site.site.timezone)
    unread: dict[Path, Missing] = {}
    stored = read_samples(
        site.storage_media.state_dir,
        instant(from_text, zone=zone),
        instant(to_text, zone=zone),
        set(points) or None,
        unread=unread,
    )
    rows: Iterator[Row] = (
        (
            item.sample.point,
            _text(item.sample.instant_utc),
            item.sample.value,
            item.sample.unit,
            item.sample.quality.name,
            str(item.sample.cause),
            item.sample.correction,
            item.frame,
        )
        for item in stored
    )
    if common.as_json or form == "json":
        samples = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
        emit("export/1", {"samples": samples, "damaged": sorted(map(str, unread))})
    else:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(COLUMNS)
        # repr keeps every digit of a float: what is exported is what was accepted.
        writer.writerows((*row[:2], "" if row[2] is None else repr(row[2]), *row[3:]) for row in rows)
    for path, missing in sorted(unread.items(), key=lambda item: item[0]):
        click.echo(f"{common.pick('错误', 'error')}: {path}: {_told(common, missing)}", err=True)
    if unread:
        sys.exit(Exit.FINDING)


def _told(common: Common, missing: "Missing") -> str:
    """Why a file is not exported, or not whole, and what to do."""
    if not missing.damaged:
        return missing.reason
    return common.pick(
        f"文件损坏,读得出的已全部导出,其余缺失;请另存此文件并检查磁盘健康状况({missing.reason})",
        "damaged; all that can be read is exported, the rest is missing. Keep a copy of the file, and look at"
        f" the disk's health ({missing.reason})",
    )
