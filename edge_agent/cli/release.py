"""`edge-agent release`: lets control try a locked-out unit again, after a person has found the cause."""

import click

from edge_agent.cli.common import Common, emit, shared_options


@click.command(
    help="解除停用: 机组多次启动失败,查明原因后再用 / let a unit that failed to start too often be tried again."
)
@click.argument("unit")
@click.option("--by", required=True, help="谁 / who orders it.")
@click.option("--reason", required=True, help="查到的原因 / the cause that was found.")
@shared_options
def command(common: Common, unit: str, by: str, reason: str) -> None:
    """Asks the running service; refused with exit status 5 when there is no such unit."""
    from edge_agent.cli.service import ask  # noqa: PLC0415 - heavy: reads the configuration

    answer = ask(common, "release", unit=unit, by=by, reason=reason)
    if common.as_json:
        emit("release/1", answer)
    common.say(f"{unit} 已解除停用", f"{unit} is released")
