"""`edge-agent upload`: what was delivered, what waits."""

import click

from edge_agent.cli.common import Common, emit, shared_options


@click.group(help="上传情况 / uploads.")
def command() -> None:
    """Groups the questions about uploads."""


@command.command(help="积压、最近确认 / backlog and last acknowledgement of each uplink.")
@shared_options
def status(common: Common) -> None:
    """Prints one line an uplink."""
    from edge_agent.cli.service import ask  # noqa: PLC0415 - heavy: reads the configuration

    answer = ask(common, "upload")
    if common.as_json:
        emit("upload/1", answer)
    uplinks = answer["uplinks"]
    assert isinstance(uplinks, dict)
    for name, uplink in uplinks.items():
        common.say(
            f"{name}: 应传 {uplink['due']} 已确认 {uplink['acknowledged']} 积压 {uplink['backlog']}"
            f" 最早 {uplink['oldest'] or '-'} 最近确认 {uplink['last_ack'] or '-'}",
            f"{name}: due {uplink['due']} acknowledged {uplink['acknowledged']} backlog {uplink['backlog']}"
            f" oldest {uplink['oldest'] or '-'} last acknowledgement {uplink['last_ack'] or '-'}",
        )
