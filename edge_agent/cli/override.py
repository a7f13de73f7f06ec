"""`edge-agent override`: what a person orders; in this version only the release of a locked-out unit."""

import click

from edge_agent.cli.common import Common, emit, shared_options


@click.group(help="人工干预;本版只有 release / manual orders; in this version only `release`.")
def command() -> None:
    """Groups the orders."""


@command.command(
    help="解除停用: 机组多次启动失败后,查明原因再用 / a unit that failed to start too often may be tried again."
)
@click.argument("unit")
@click.option("--by", required=True, help="谁 / who orders it.")
@click.option("--reason", required=True, help="查到的原因 / the cause that was found.")
@shared_options
def release(common: Common, unit: str, by: str, reason: str) -> None:
    """Lets control try a locked-out unit again; refused with exit status 5 when there is no such unit."""
    from edge_agent.cli.service import ask  # noqa: PLC0415 - heavy: reads the configuration

    answer = ask(common, "release", unit=unit, by=by, reason=reason)
    if common.as_json:
        emit("override/1", answer)
    common.say(f"{unit} 已解除停用", f"{unit} is released")
