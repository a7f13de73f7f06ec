"""`edge-agent mode`: asks the running service to change its mode."""

from typing import Any

import click

from edge_agent.cli.common import Common, emit, shared_options


@click.command(help="切换运行方式 / ask the running service to change mode.")
@click.argument("mode", type=click.Choice(["monitor", "advise", "auto"]))
@click.option("--by", required=True, help="谁 / who asks.")
@click.option("--reason", required=True, help="为什么 / why.")
@shared_options
def command(common: Common, mode: str, by: str, reason: str) -> None:
    """Prints the mode now in force; a refusal ends with exit status 5 and the reason."""
    from edge_agent.cli.service import ask  # noqa: PLC0415 - heavy: reads the configuration
    from edge_agent.texts.catalogue import text  # noqa: PLC0415 - only for people

    answer: dict[str, Any] = ask(common, "mode", mode=mode, by=by, reason=reason)
    if common.as_json:
        emit("mode/1", answer)
        return
    words = text(f"mode_{answer['mode']}")
    common.say(f"运行方式: {words.zh}({words.hint_zh})", f"mode: {words.en} ({words.hint_en})")
    for note in answer["notes"]:
        words = text(note)
        common.say(f"注意 {words.zh}", f"note: {words.en}")
