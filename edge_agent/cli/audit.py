"""`edge-agent audit`: who commanded what, why, and what became of it; the service may be running or not."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from edge_agent.cli.common import Common, Exit, emit, shared_options

if TYPE_CHECKING:
    from edge_agent.store.rows import AuditEntry

LAST_MAX = 100_000


@click.command(help="指令审计 / who commanded what, why, and what became of it.")
@click.option(
    "--last", default=50, show_default=True, type=click.IntRange(1, LAST_MAX), help="最近几条 / newest entries."
)
@click.option("--point", help="只看这个测点 / only this point.")
@click.option("--number", type=int, help="只看这条指令 / only the stages of this command.")
@shared_options
def command(common: Common, last: int, point: str | None, number: int | None) -> None:
    """Lists entries, oldest first; checks the whole chain, and names the commands that have not come to an end."""
    from edge_agent.settings.load import load_site  # noqa: PLC0415 - heavy
    from edge_agent.store.reader import read_audit  # noqa: PLC0415 - heavy

    site = load_site(common.config)
    limit = LAST_MAX if point or number else last
    entries, broken_at, unfinished = read_audit(site.storage_media.state_dir, limit=limit)
    wanted = [entry for entry in entries if point in (None, entry.point) and (number is None or entry.number == number)]
    shown = wanted[:last][::-1]
    if common.as_json:
        emit(
            "audit/1",
            {
                "entries": [asdict(entry) | {"instant_utc": entry.instant_utc.isoformat()} for entry in shown],
                "broken_at": broken_at,
                "unfinished": sorted(unfinished),
            },
        )
    else:
        _print(common, shown, zone=ZoneInfo(site.site.timezone))
        if unfinished:
            numbers = ", ".join(map(str, sorted(unfinished)))
            common.say(f"结局未定的指令:{numbers}", f"commands without an end yet: {numbers}")
        common.say(
            "审计链完整" if broken_at is None else f"审计链在第 {broken_at} 条断开",
            "the chain is whole" if broken_at is None else f"the chain is BROKEN at entry {broken_at}",
        )
    if broken_at is not None:
        sys.exit(Exit.FINDING)


def _print(common: Common, entries: Sequence["AuditEntry"], *, zone: ZoneInfo) -> None:
    for entry in entries:
        at = entry.instant_utc.astimezone(zone).strftime("%m-%d %H:%M:%S")
        change = f"{_short(entry.old)} → {_short(entry.wanted)}"
        end = " ".join(part for part in (entry.outcome, entry.reason) if part)
        taken = "" if entry.latency_s is None else f" {entry.latency_s:.1f} s"
        number = "-" if entry.number is None else str(entry.number)
        line = f"{at} {number:>6} {entry.point:<24} {change:<16} {end}{taken}  [{entry.cause}; {entry.actor}]"
        common.say(line, line)


def _short(value: float | str | None) -> str:
    if value is None:
        return "?"
    return value if isinstance(value, str) else f"{value:g}"
