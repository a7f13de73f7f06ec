"""`edge-agent check`: reports everything that is wrong with the configuration. Opens no port, writes nothing."""

import sys
from datetime import date
from typing import TYPE_CHECKING

import click

from edge_agent.cli.common import Common, Exit, emit, shared_options

if TYPE_CHECKING:  # models and YAML are loaded inside the verb
    from edge_agent.settings.finding import Finding
    from edge_agent.settings.load import Configuration, Inspection


@click.command(help="检查全部配置文件 / check all configuration files.")
@click.option("--explain", is_flag=True, help="说明配置的含义,警告详写 / what the files amount to, warnings in full.")
@shared_options
def command(common: Common, explain: bool) -> None:  # noqa: FBT001 - click hands its flags over like this
    """Ends with 1 when something must be mended."""
    from edge_agent.settings.load import inspect  # noqa: PLC0415 - loads models and YAML

    inspection = _with_today(inspect(common.config))
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

    files = dict.fromkeys((*inspection.files, *(found.file for found in (*inspection.errors, *inspection.warnings))))
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
        if file == "site.yaml" and inspection.configuration is not None:
            state += "   " + _summary(common, inspection.configuration)
        click.echo(f"{file:<{width}}{state}")
        for finding in (*errors, *(warnings if explain else ())):
            for line in render(finding, common.language).splitlines():
                click.echo(f"  {line}")
        for finding in () if explain else warnings:
            click.echo(f"  {common.pick('警告', 'warning')} {_one_line(common, finding)}")
    if explain:
        for zh, en in _explanation(inspection):
            click.echo(common.pick(zh, en))
    if inspection.errors:
        common.say("结果: 未通过", "result: not passed")
    else:
        count = len(inspection.warnings)
        common.say(
            "结果: 通过" + (f",{count} 处警告" if count else ""),
            "result: passed" + (f" with {count} warning{'s' * (count != 1)}" if count else ""),
        )


def _one_line(common: Common, finding: "Finding") -> str:
    place = f"{finding.file}:{finding.line}" if finding.line else finding.file
    hint = common.pick(finding.hint_zh, finding.hint_en)
    return f"{place}  {common.pick(finding.zh, finding.en)}" + (f" → {hint}" if hint else "")


def _with_today(inspection: "Inspection") -> "Inspection":
    """With what is wrong only because of today's date; a simulated site has a date of its own."""
    from dataclasses import replace  # noqa: PLC0415 - help must be quick
    from zoneinfo import ZoneInfo  # noqa: PLC0415

    from edge_agent.clock import RealClock  # noqa: PLC0415

    found = inspection.configuration
    if found is None or found.site.site.simulated:
        return inspection
    today = RealClock().now_utc().astimezone(ZoneInfo(found.site.site.timezone)).date()
    finding = calendar_not_begun(found, today)
    return inspection if finding is None else replace(inspection, warnings=(*inspection.warnings, finding))


def calendar_not_begun(configuration: "Configuration", today: date) -> "Finding | None":
    """A warning when the tariff's first calendar is not valid yet: hours are read off it all the same."""
    from edge_agent.settings.files import TARIFF  # noqa: PLC0415
    from edge_agent.settings.finding import Finding  # noqa: PLC0415
    from edge_agent.texts.catalogue import text  # noqa: PLC0415

    since = configuration.tariff.calendars[0].valid_from
    if since <= today:
        return None
    words = text("calendar_not_begun", since=since)
    return Finding(
        TARIFF, 0, 0, "calendar_not_begun", words.zh, words.en, words.hint_zh, words.hint_en, severity="warning"
    )


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
