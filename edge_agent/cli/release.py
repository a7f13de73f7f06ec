"""`edge-agent release`: lets control try a locked-out unit again, after a person has found the cause."""

import click

from edge_agent.cli.common import Common, emit, shared_options


@click.command(
    help="恢复停用的机组: 多次启动失败,查明原因后再用 / let a locked-out unit be tried again.\n\n"
    "解除人工指令用 edge-agent override release / an operator's order ends with: edge-agent override release"
)
@click.argument("unit")
@click.option("--by", required=True, help="谁 / who orders it.")
@click.option("--reason", required=True, help="查到的原因 / the cause that was found.")
@shared_options
def command(common: Common, unit: str, by: str, reason: str) -> None:
    """Asks the running service; refused with exit status 5 when the unit is not locked out."""
    from edge_agent.cli.service import ask  # noqa: PLC0415 - heavy: reads the configuration

    answer = ask(common, "release", unit=unit, by=by, reason=reason)
    if common.as_json:
        emit("release/1", answer)
    common.say(f"{unit} 不再停用,下次需要时再启动", f"{unit} is no longer locked out and is started when next needed")
