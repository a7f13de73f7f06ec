"""JSON Schemas of the configuration files, for editors; the texts of the models' fields become descriptions."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from drivers.profile_form import ProfileFile
from edge_agent.settings.dialect import Dialect
from edge_agent.settings.model import DevicesFile, SiteFile, UplinkFile
from scheduling.tariff.bands import ALIASES
from scheduling.tariff.model import Tariff

# What the tariff's model builds from text: in the file it is that text.
_AS_WRITTEN: Mapping[str, dict[str, Any]] = MappingProxyType(
    {
        "Period": {
            "type": "string",
            "pattern": r"^\d{1,2}:\d{2}-\d{1,2}:\d{2}$",
            "description": "[start, end), may cross midnight: 23:00-07:00",
        },
        "DateSpan": {
            "type": "string",
            "pattern": r"^(\d{4}-)?\d{2}-\d{2}(\.\.(\d{4}-)?\d{2}-\d{2})?$",
            "description": "a date or a span of dates, both inside: 07-01..08-31",
        },
    }
)


def _tariff() -> dict[str, Any]:
    schema = Tariff.model_json_schema()
    definitions = schema["$defs"]
    definitions.update(_AS_WRITTEN)
    for part in definitions.values():
        keys = part.get("properties", {})
        for band, names in ALIASES.items():
            keys.update({name: keys[band] for name in names if band in keys})
    dates = definitions["DayKind"]["properties"]["dates"]
    listed = {key: dates.pop(key) for key in ("type", "items") if key in dates}
    dates["anyOf"] = [{"const": "all"}, listed]
    dates["default"] = "all"
    return schema


SCHEMAS: Mapping[str, Callable[[], dict[str, Any]]] = MappingProxyType(
    {
        "site": SiteFile.model_json_schema,
        "devices": DevicesFile.model_json_schema,
        "tariff": _tariff,
        "profile": ProfileFile.model_json_schema,
        "uplink": UplinkFile.model_json_schema,
        "dialect": Dialect.model_json_schema,
    }
)
"""File -> its schema."""


def schema_of(file: str) -> dict[str, Any]:
    """The JSON Schema of one kind of file: site, devices, tariff, profile, uplink or dialect."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **SCHEMAS[file]()}
