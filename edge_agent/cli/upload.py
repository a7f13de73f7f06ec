"""`edge-agent upload`: what was delivered, what waits."""

from datetime import datetime
from zoneinfo import ZoneInfo

import click

from edge_agent.cli.common import Common, emit, shared_options


@click.group(help="上传情况 / uploads.")
def command() -> None:
    """Groups the questions about uploads."""


@command.command(help="积压、最近确认 / backlog and last acknowledgement of each uplink.")
@shared_options
def status(common: Common) -> None:
    """Prints one line an uplink."""
    from edge_agent import local_api  # noqa: PLC0415 - heavy
    from edge_agent.settings.load import load_configuration  # noqa: PLC0415 - heavy

    site = load_configuration(common.config).site
    answer = local_api.ask(site.storage_media.state_dir, "upload")
    if common.as_json:
        emit("upload/1", answer)
    uplinks = answer["uplinks"]
    assert isinstance(uplinks, dict)
    zone = ZoneInfo(site.site.timezone)
    for name, uplink in uplinks.items():
        oldest, last_ack = (local(uplink[key], zone) for key in ("oldest", "last_ack"))
        common.say(
            f"{name}: 应传 {uplink['due']} 已确认 {uplink['acknowledged']} 积压 {uplink['backlog']}"
            f" 最早 {oldest} 最近确认 {last_ack}",
            f"{name}: due {uplink['due']} acknowledged {uplink['acknowledged']} backlog {uplink['backlog']}"
            f" oldest {oldest} last acknowledgement {last_ack}",
        )


def local(instant: str | None, zone: ZoneInfo) -> str:
    """An instant on the site's clock, with the zone's distance from UTC; `-`: none."""
    if instant is None:
        return "-"
    return datetime.fromisoformat(instant).astimezone(zone).isoformat(sep=" ", timespec="seconds")
