"""`edge-agent schema`: JSON Schemas of the configuration files."""

import json

import click

from edge_agent.cli.common import Common, emit, shared_options


@click.command(help="输出配置文件的 JSON Schema / print the JSON Schema of a configuration file.")
@click.argument("file", type=click.Choice(["site", "devices", "tariff", "profile", "uplink", "dialect"]))
@shared_options
def command(common: Common, file: str) -> None:
    """Prints one schema; with --json it is the member `json_schema` of the object."""
    from edge_agent.settings.schema import schema_of  # noqa: PLC0415 - loads every model

    schema = schema_of(file)
    if common.as_json:
        emit("schema/1", {"file": file, "json_schema": schema})
    else:
        click.echo(json.dumps(schema, ensure_ascii=False, indent=2))
