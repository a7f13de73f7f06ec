"""`edge-agent upload`: what was delivered, what waits, what is missing; and sending again."""

import sys
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from edge_agent.cli.common import Common, Exit, emit, shared_options
from edge_agent.cli.instants import instant

if TYPE_CHECKING:
    from edge_agent.settings.load import Configuration

VERIFY_DAYS_DEFAULT = 1


@click.group(help="上传情况 / uploads.")
def command() -> None:
    """Groups the questions about uploads."""


@command.command(help="积压、最近确认 / backlog and last acknowledgement of each uplink.")
@shared_options
def status(common: Common) -> None:
    """Prints a few lines an uplink."""
    from edge_agent import local_api  # noqa: PLC0415 - heavy
    from edge_agent.cli.upload_show import status_lines  # noqa: PLC0415 - heavy
    from edge_agent.settings.load import load_site  # noqa: PLC0415 - heavy

    site = load_site(common.config)
    answer = local_api.ask(site.storage_media.state_dir, "upload")
    if common.as_json:
        emit("upload/1", answer)
    uplinks = answer["uplinks"]
    assert isinstance(uplinks, dict)
    for zh, en in status_lines(uplinks, zone=ZoneInfo(site.site.timezone)):
        common.say(zh, en)


@command.command(help="逐个时段核对:缺了哪些、为什么 / which periods are missing, and why; exit 1 when any is.")
@click.option("--from", "begin", help="从何时 / from: 2026-01-12 or 2026-01-12T08:00 (site's zone).")
@click.option("--to", "end", help="到何时,不含 / to, not included; 缺省为现在 / default: now.")
@click.option("--uplink", help="只看这条上传 / only this uplink.")
@click.option("--points", "by_point", is_flag=True, help="列出每个测点 / list every point.")
@shared_options
def verify(common: Common, begin: str | None, end: str | None, uplink: str | None, *, by_point: bool) -> None:
    """Adds up the ledger; reads the database beside the service, which may be running or not."""
    from edge_agent.cli.upload_show import Shown, verify_lines  # noqa: PLC0415 - heavy
    from edge_agent.settings.load import load_configuration  # noqa: PLC0415 - heavy
    from edge_agent.store.reader import read_ledger  # noqa: PLC0415 - heavy
    from edge_agent.uplink.ledger import account_dict  # noqa: PLC0415 - heavy
    from edge_agent.uplink.verdict import judge  # noqa: PLC0415 - heavy

    configuration = load_configuration(common.config)
    site = configuration.site
    zone = ZoneInfo(site.site.timezone)
    now_utc = _now_utc(configuration)
    to_utc = now_utc if end is None else instant(end, zone=zone)
    from_utc = to_utc - timedelta(days=VERIFY_DAYS_DEFAULT) if begin is None else instant(begin, zone=zone)
    if from_utc >= to_utc:
        raise click.BadParameter(common.pick("--from 应早于 --to", "--from must be before --to"))
    with read_ledger(site.storage_media.state_dir) as ledger:
        verdict = judge(
            ledger,
            configuration.uplink,
            plant=site.site.id,
            zone=zone,
            from_utc=from_utc,
            to_utc=to_utc,
            now_utc=now_utc,
            only=uplink,
        )
    if uplink is not None and not verdict.accounts and not verdict.silent:
        raise click.BadParameter(common.pick(f"没有上传 {uplink!r}", f"there is no uplink {uplink!r}"))
    if common.as_json:
        emit(
            "upload/1",
            {
                "ok": verdict.complete,
                "uplinks": {name: account_dict(found) for name, found in verdict.accounts.items()},
                "without_records": list(verdict.silent),
                "chain": {
                    "broken_at": verdict.chain_broken_at,
                    "days": {
                        name: [{"day": day.day, "number": day.number, "hash": day.hash} for day in days]
                        for name, days in verdict.days.items()
                    },
                },
            },
        )
    shown = Shown(zone=zone, name=site.site.name, codes=configuration.uplink.points, by_point=by_point)
    for zh, en in verify_lines(verdict, shown, from_utc=from_utc, to_utc=to_utc):
        common.say(zh, en)
    if not verdict.complete:
        sys.exit(Exit.FINDING)


@command.command(help="立即重连并重传:拒收的;加 --from --to 则整段重传 / reconnect now and send again.")
@click.option("--from", "begin", help="整段重传,从何时 / send a span again, from.")
@click.option("--to", "end", help="到何时,不含 / to, not included.")
@click.option("--uplink", help="只这条上传 / only this uplink.")
@shared_options
def retry(common: Common, begin: str | None, end: str | None, uplink: str | None) -> None:
    """Asks the running service to send again what was refused, or all of a span under its old numbers."""
    from edge_agent import local_api  # noqa: PLC0415 - heavy
    from edge_agent.settings.load import load_site  # noqa: PLC0415 - heavy

    site = load_site(common.config)
    zone = ZoneInfo(site.site.timezone)
    if (begin is None) != (end is None):
        raise click.BadParameter(common.pick("--from 和 --to 要一起给", "--from and --to belong together"))
    arguments: dict[str, Any] = {} if uplink is None else {"uplink": uplink}
    if begin is not None and end is not None:
        arguments |= {"from": instant(begin, zone=zone).isoformat(), "to": instant(end, zone=zone).isoformat()}
    answer = local_api.ask(site.storage_media.state_dir, "upload_retry", **arguments)
    if common.as_json:
        emit("upload/1", answer)
    again = answer["uplinks"]
    assert isinstance(again, Mapping)
    for name, counts in again.items():
        common.say(
            f"{name}: 立即重连;拒收的重新排队 {counts['refused']} 条,整段重传 {counts['again']} 条",
            f"{name}: reconnects now; {counts['refused']} refused records queued again, {counts['again']} of the span",
        )


def _now_utc(configuration: "Configuration") -> datetime:
    """The present on the site's clock; of a simulated site whose simulator has gone, the machine's."""
    from edge_agent.clock import RealClock, SimulatedClock  # noqa: PLC0415 - heavy
    from edge_agent.errors import ConfigurationFault  # noqa: PLC0415 - heavy

    site = configuration.site.site
    if site.simulated and site.simulated_clock is not None:
        try:
            return SimulatedClock(site.simulated_clock).now_utc()
        except ConfigurationFault:
            pass
    return RealClock().now_utc()
