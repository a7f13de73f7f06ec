"""`edge-agent check`: reports everything that is wrong with the configuration. Opens no port, writes nothing."""

import sys
from typing import TYPE_CHECKING

import click

from edge_agent.cli.common import Common, Exit, emit, shared_options

if TYPE_CHECKING:  # models and YAML are loaded inside the verb
    from edge_agent.settings.load import Configuration, Inspection


@click.command(help="检查全部配置文件 / check all configuration files.")
@click.option(
    "--explain", is_flag=True, help="显示警告,并说明配置的含义 / show warnings, and what the files amount to."
)
@shared_options
def command(common: Common, explain: bool) -> None:  # noqa: FBT001 - click hands its flags over like this
    """Ends with 1 when something must be mended."""
    from edge_agent.settings.load import inspect  # noqa: PLC0415 - loads models and YAML

    inspection = inspect(common.config)
    if common.as_json:
        body: dict[str, object] = {
            "ok": not inspection.errors,
            "files": list(inspection.files),
            "errors": [finding.as_dict(common.language) for finding in inspection.errors],
            "warnings": [finding.as_dict(common.language) for finding in inspection.warnings],
        }
        if explain:
            body["explanation"] = [common.pick(zh, en) for zh, en in _explanation(inspection)]
        emit("check/1", body)
    else:
        _print(common, inspection, explain=explain)
    sys.exit(Exit.FINDING if inspection.errors else Exit.OK)


def _print(common: Common, inspection: "Inspection", *, explain: bool) -> None:
    """One line a file, its findings below, and the result at the end."""
    from edge_agent.settings.finding import render  # noqa: PLC0415 - with the models
    from edge_agent.settings.load import SHIPPED_MARK  # noqa: PLC0415

    files = dict.fromkeys((*inspection.files, *(finding.file for finding in inspection.errors)))
    width = max((len(file) for file in files if not file.startswith(SHIPPED_MARK)), default=0) + 4
    for file in files:
        errors = [finding for finding in inspection.errors if finding.file == file]
        warnings = [finding for finding in inspection.warnings if finding.file == file]
        if file.startswith(SHIPPED_MARK) and not errors and not warnings:
            continue
        state = (
            common.pick(f"{len(errors)} 处错误", f"{len(errors)} error{'s' * (len(errors) != 1)}") if errors else "ok"
        )
        if warnings:
            state += common.pick(
                f"   {len(warnings)} 处警告", f"   {len(warnings)} warning{'s' * (len(warnings) != 1)}"
            )
            state += "" if explain else common.pick(" (--explain 可见)", " (--explain shows them)")
        if file == "site.yaml" and inspection.configuration is not None:
            state += "   " + _summary(common, inspection.configuration)
        click.echo(f"{file:<{width}}{state}")
        for finding in (*errors, *(warnings if explain else ())):
            for line in render(finding, common.language).splitlines():
                click.echo(f"  {line}")
    if explain:
        for zh, en in _explanation(inspection):
            click.echo(common.pick(zh, en))
    if inspection.errors:
        common.say("结果: 未通过", "result: not passed")
    else:
        common.say("结果: 通过", "result: passed")


def _summary(common: Common, configuration: "Configuration") -> str:
    site = configuration.site.site
    devices, points = len(configuration.profiles), sum(len(p.points) for p in configuration.profiles.values())
    return common.pick(
        f"{site.name}, {site.timezone}, {devices} 台设备, {points} 个测点",
        f"{site.name}, {site.timezone}, {devices} devices, {points} points",
    )


def _explanation(inspection: "Inspection") -> list[tuple[str, str]]:
    from edge_agent.settings.overview import sentences  # noqa: PLC0415 - with the models

    return list(sentences(inspection.configuration)) if inspection.configuration is not None else []
