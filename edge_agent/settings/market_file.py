"""The market's price file beside tariff.yaml: rows of start and price, read whole or not at all.

A plant must not stand still for a bad one: every fault is a warning with its line, and the prices of the calendar hold.
"""

from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

from edge_agent.settings.finding import Finding
from edge_agent.settings.series_file import SeriesFault, read_series
from scheduling.tariff.market import INTERVALS_MIN, MarketSeries
from scheduling.tariff.model import Tariff

COLUMN = "cny_per_kwh"
FILE_BYTES_MAX = 5_000_000
"""Two years of quarter hours and much room; anything larger [B] is not a price file."""
SECONDS_PER_MINUTE = 60


def read_market(folder: Path, tariff: Tariff, *, zone: ZoneInfo) -> tuple[Tariff, list[Finding]]:
    """The tariff with the prices of its market file, or as it is and what is wrong with the file.

    Args:
        folder: where tariff.yaml stands.
        tariff: what it says.
        zone: the site's zone, for starts without an offset.
    """
    if tariff.market is None or tariff.market.file is None:
        return tariff, []
    file = tariff.market.file
    try:
        return tariff.with_market(_series(folder / file, zone=zone)), []
    except SeriesFault as fault:
        finding = Finding(
            file,
            fault.line,
            0,
            "market_file",
            f"{fault.zh};按时段表计价",
            f"{fault.en}; the prices of the calendar hold",
            "每行一个时段:start,cny_per_kwh,例如 2026-08-01T00:00,0.312",
            "one row an interval: start,cny_per_kwh, such as 2026-08-01T00:00,0.312",
            severity="warning",
        )
        return tariff, [finding]


def _series(path: Path, *, zone: ZoneInfo) -> MarketSeries:
    rows = read_series(path, COLUMN, zone=zone, bytes_max=FILE_BYTES_MAX)
    if not rows:
        raise SeriesFault(0, "没有一行价格", en="not one price")
    lengths_min = [(b.start_utc - a.start_utc).total_seconds() / SECONDS_PER_MINUTE for a, b in pairwise(rows)]
    interval_min = min(lengths_min, default=INTERVALS_MIN[-1])
    if interval_min not in INTERVALS_MIN:
        line = rows[lengths_min.index(interval_min) + 1].line
        raise SeriesFault(
            line, f"时段长 {interval_min:g} min,应为 15、30 或 60", en=f"{interval_min:g} min: 15, 30 or 60"
        )
    for row in rows:
        if row.start_utc.timestamp() % (interval_min * SECONDS_PER_MINUTE):
            raise SeriesFault(
                row.line, f"起点不在 {interval_min:g} min 的整点上", en=f"not on a full {interval_min:g} min"
            )
    return MarketSeries(int(interval_min), tuple(row.start_utc for row in rows), tuple(row.value for row in rows))
