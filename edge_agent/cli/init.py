"""`edge-agent init`: copies a commented example configuration into a new folder."""

import re
import sys
from pathlib import Path

import click

from edge_agent.cli.common import Common, Exit, emit, shared_options

# A copy is for a real plant: it starts unsigned and only looks, whatever the simulated example says.
_MADE_REAL: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"^(\s+simulated: )true\b ", re.MULTILINE), r"\1false"),
    (re.compile(r"^(\s+signed_by: )\S+", re.MULTILINE), r"\1null"),
    (re.compile(r"^(\s+signed_on: )\S+", re.MULTILINE), r"\1null"),
    (re.compile(r"^(\s+start_mode: )auto\b", re.MULTILINE), r"\1monitor"),
)


def made_real(site_yaml: str) -> str:
    """Turn a simulated example's site.yaml into a start for a real plant: unsigned, monitor, the real clock."""
    for pattern, replacement in _MADE_REAL:
        site_yaml = pattern.sub(replacement, site_yaml)
    return site_yaml


@click.command(help="写出一套带注释的配置 / write a commented configuration into DIR.")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option("--from", "name", default="ground-office", show_default=True, help="示例名称 / name of the example.")
@shared_options
def command(common: Common, directory: Path, name: str) -> None:
    """Writes the files; refuses to overwrite any."""
    from edge_agent.settings.files import FILES, shipped_config  # noqa: PLC0415

    plants = {path.name: path for path in sorted((shipped_config() / "plants").iterdir()) if path.is_dir()}
    if name not in plants:
        names = ", ".join(plants)
        click.echo(common.pick(f"没有示例 {name};现有: {names}", f"no example {name}; known: {names}"), err=True)
        sys.exit(Exit.USAGE)
    there = [file for file in FILES if (directory / file).exists()]
    if there:
        text = ", ".join(str(directory / file) for file in there)
        click.echo(common.pick(f"已存在,不覆盖: {text}", f"already there, not overwritten: {text}"), err=True)
        sys.exit(Exit.USAGE)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for file in FILES:
            content = (plants[name] / file).read_text(encoding="utf-8")
            with (directory / file).open("x", encoding="utf-8", newline="\n") as copy:
                copy.write(made_real(content) if file == "site.yaml" else content)
    except OSError as error:
        click.echo(f"{common.pick('写不了', 'cannot write')} {error.filename}: {error.strerror}", err=True)
        sys.exit(Exit.USAGE)
    if common.as_json:
        emit("init/1", {"files": [str(directory / file) for file in FILES]})
    for file in FILES:
        common.say(f"已写 {directory / file}", f"wrote {directory / file}")
    common.say(f"改好后运行: edge-agent check --config {directory}", f"next: edge-agent check --config {directory}")
    common.say("未签字,只采集不控制 (monitor)", "it is unsigned: the service will only look (monitor)")
