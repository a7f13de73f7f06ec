"""The JSON Schemas: they take the shipped files, refuse broken ones, and describe every field."""
# ruff: noqa: ANN001, ANN401 - fixtures and parameters are known by their names; JSON of any shape

import re
from typing import Any

import pytest

from drivers.catalogue import shipped
from edge_agent.settings.files import shipped_config
from edge_agent.settings.schema import schema_of
from edge_agent.settings.yaml_file import read_document

EXAMPLE = shipped_config() / "plants" / "ground-office"
KINDS = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "number": (int, float),
    "integer": int,
}


def faults(value: Any, schema: Any, root: dict[str, Any], at: str = "$") -> list[str]:
    """The part of JSON Schema that pydantic writes; an unknown keyword that restricts anything fails the test."""
    if schema is True:
        return []
    known = {
        "$ref", "$defs", "$schema", "title", "description", "default", "type", "enum", "const", "anyOf", "properties",
        "required", "additionalProperties", "items", "prefixItems", "minItems", "maxItems", "minimum", "maximum",
        "exclusiveMinimum", "exclusiveMaximum", "pattern", "minLength", "propertyNames", "format", "minProperties",
        "oneOf", "discriminator",
    }  # fmt: skip
    assert set(schema) <= known, f"{at}: {set(schema) - known}"
    if "$ref" in schema:
        return faults(value, root["$defs"][schema["$ref"].rsplit("/", 1)[1]], root, at)
    if "anyOf" in schema and all(faults(value, choice, root, at) for choice in schema["anyOf"]):
        return [f"{at}: none of anyOf"]
    if "oneOf" in schema and sum(not faults(value, choice, root, at) for choice in schema["oneOf"]) != 1:
        return [f"{at}: not exactly one of oneOf"]
    kind = schema.get("type")
    if kind is not None and (not isinstance(value, KINDS[kind]) or (isinstance(value, bool) and kind != "boolean")):
        return [f"{at}: no {kind}"]
    found = []
    if value not in schema.get("enum", [value]) or value != schema.get("const", value):
        found.append(f"{at}: not one of")
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        found.append(f"{at}: pattern")
    if isinstance(value, (int, float)) and not (
        schema.get("minimum", value) <= value <= schema.get("maximum", value)
        and schema.get("exclusiveMinimum", value - 1) < value < schema.get("exclusiveMaximum", value + 1)
    ):
        found.append(f"{at}: bounds")
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        found += [f"{at}: {key} missing" for key in schema.get("required", []) if key not in value]
        if len(value) < schema.get("minProperties", 0):
            found.append(f"{at}: empty")
        for key, entry in value.items():
            other = schema.get("additionalProperties", True)
            if key in properties:
                found += faults(entry, properties[key], root, f"{at}.{key}")
            elif other is False:
                found.append(f"{at}: unknown {key}")
            else:
                found += faults(entry, other, root, f"{at}.{key}")
    if isinstance(value, list):
        first = schema.get("prefixItems", [])
        for index, entry in enumerate(value):
            inner = first[index] if index < len(first) else schema.get("items", True)
            found += faults(entry, inner, root, f"{at}[{index}]")
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            found.append(f"{at}: length")
    return found


def plain(value: Any) -> Any:
    """The parser's types without their places."""
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    return [plain(entry) for entry in value] if isinstance(value, list) else value


def data(path, file) -> Any:
    document, findings = read_document(path, file=file)
    assert not findings
    assert document is not None
    return plain(document.data)


@pytest.mark.parametrize("file", ["site", "devices", "tariff", "uplink"])
def test_schema_takes_the_example(file) -> None:
    schema = schema_of(file)
    assert faults(data(EXAMPLE / f"{file}.yaml", file), schema, schema) == []


def test_schema_takes_every_shipped_profile() -> None:
    schema = schema_of("profile")
    for name, path in shipped().items():
        assert faults(data(path, name), schema, schema) == [], name


@pytest.mark.parametrize("path", sorted((shipped_config() / "tariffs").glob("*.yaml")), ids=lambda path: path.stem)
def test_schema_takes_every_shipped_tariff(path) -> None:
    schema = schema_of("tariff")
    assert faults(data(path, path.name), schema, schema) == []


def test_schema_refuses_what_the_models_refuse() -> None:
    schema = schema_of("devices")
    broken = data(EXAMPLE / "devices.yaml", "devices")
    broken["devices"]["hp1"]["period"] = 5
    broken["buses"]["rs485_1"]["framing"] = "8n1"
    assert len(faults(broken, schema, schema)) == 2
    schema = schema_of("tariff")
    broken = data(EXAMPLE / "tariff.yaml", "tariff")
    broken["calendars"][0]["days"][0]["peak"] = [1320]
    assert len(faults(broken, schema, schema)) == 1


@pytest.mark.parametrize("path", sorted((shipped_config() / "uplink").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_dialect_fits_its_schema(path) -> None:
    schema = schema_of("dialect")
    document, findings = read_document(path, file=path.name)
    assert not findings
    assert faults(document.data, schema, schema) == []
    assert faults({**document.data, "clock": "obey"}, schema, schema) == ["$.clock: not one of"]


@pytest.mark.parametrize("file", ["site", "devices", "uplink", "profile", "dialect"])
def test_every_field_is_described(file) -> None:
    schema = schema_of(file)
    silent = [
        f"{name}.{key}"
        for name, part in {file: schema, **schema["$defs"]}.items()
        for key, field in part.get("properties", {}).items()
        if "description" not in field and "$ref" not in field
    ]
    assert silent == []
