"""Changes a point of a device in devices.yaml in its text: every other character, comments included, stays as it is.

What cannot be changed that way without doubt is refused; the caller then shows the line to be typed by hand.
"""

import json
from collections.abc import Mapping
from typing import Any

from ruamel.yaml.comments import CommentedMap

from edge_agent.errors import ConfigurationFault
from edge_agent.settings.yaml_file import Document, parse_document

_QUOTES = "\"'"


def flow(value: object) -> str:
    """A value as YAML on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {flow(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(flow(entry) for entry in value) + "]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, int | float):
        return repr(value)
    text = str(value)
    plain = text.replace("_", "").replace("/", "").isalnum() and not text[0].isdigit()
    return (
        text if plain and text.lower() not in ("true", "false", "null", "yes", "no", "on", "off") else json.dumps(text)
    )


def with_point(content: str, *, device: str, point: str, keys: Mapping[str, object], file: str) -> str:
    """Returns the text of devices.yaml with some keys of a point of a device replaced.

    Raises:
        ConfigurationFault: the file cannot be read, or cannot be changed without touching anything else.
    """
    before = _parsed(content, file)
    entry = before.data.get("devices", {}).get(device)
    if not isinstance(entry, CommentedMap):
        raise ConfigurationFault(f"{file}: 没有设备 / no device {device}")
    points = entry.get("points")
    merged = {**_plain((points or {}).get(point) or {}), **keys}
    wanted = _plain(before.data)
    wanted["devices"][device].setdefault("points", {})
    wanted["devices"][device]["points"] = {**(wanted["devices"][device]["points"] or {}), point: merged}
    changed = _changed(content, before, device, point, merged)
    if changed is None or _plain(_parsed(changed, file).data) != wanted:
        line = f"{device}: points: {{{point}: {flow(merged)}}}"
        raise ConfigurationFault(
            f"{file}: 无法只改这一处,请手工写入 / cannot be changed in place, write it by hand: {line}"
        )
    return changed


def _changed(content: str, document: Document, device: str, point: str, merged: Mapping[str, object]) -> str | None:
    entry = document.data["devices"][device]
    points = entry.get("points")
    place = ("devices", device)
    if isinstance(points, CommentedMap):
        known = points.get(point)
        if isinstance(known, CommentedMap) and known.fa.flow_style():
            start = _offset(content, *document.place((*place, "points", point)))
            end = _closing(content, start)
            return None if end is None else content[:start] + flow(merged) + content[end + 1 :]
        if known is None and points.fa.flow_style():
            start = _offset(content, *document.place((*place, "points")))
            return _insert(content, start, f"{point}: {flow(merged)}", empty=not points)
        if known is None and points:
            line, column = document.place((*place, "points", next(iter(points))), at_key=True)
            return _insert_line(content, line, " " * (column - 1) + f"{point}: {flow(merged)}")
        return None
    if "points" in entry:
        return None
    addition = f"points: {{{point}: {flow(merged)}}}"
    if entry.fa.flow_style():
        return _insert(content, _offset(content, *document.place(place)), addition, empty=not entry)
    line, column = document.place((*place, next(iter(entry))), at_key=True)
    return _insert_line(content, line, " " * (column - 1) + addition)


def _insert(content: str, start: int, addition: str, *, empty: bool) -> str | None:
    """Puts an entry at the end of the flow mapping that begins at `start`."""
    end = _closing(content, start)
    if end is None:
        return None
    head = content[:end].rstrip(" ")
    comma = "" if empty or head.endswith(",") else ","
    return head + comma + ("" if empty else " ") + addition + content[end:]


def _insert_line(content: str, line: int, addition: str) -> str:
    """Puts a line before the given one."""
    lines = content.split("\n")
    end = "\r" if lines[line - 1].endswith("\r") else ""
    return "\n".join([*lines[: line - 1], addition + end, *lines[line - 1 :]])


def _closing(content: str, start: int) -> int | None:
    """Where the brace that opens at `start` closes, quotes and comments minded."""
    if content[start : start + 1] != "{":
        return None
    depth, quote, position = 0, "", start
    while position < len(content):
        character = content[position]
        if quote:
            if character == "\\" and quote == '"':
                position += 1
            elif character == quote:
                quote = ""
        elif character in _QUOTES and content[position - 1] in " ,:{[":
            quote = character
        elif character == "#" and content[position - 1] in " \t\n":
            position = content.find("\n", position)
            if position < 0:
                return None
        elif character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if depth == 0:
                return position
        position += 1
    return None


def _offset(content: str, line: int, column: int) -> int:
    lines = content.split("\n")
    return sum(len(text) + 1 for text in lines[: line - 1]) + column - 1


def _parsed(content: str, file: str) -> Document:
    document, findings = parse_document(content.encode(), file=file)
    if document is None:
        raise ConfigurationFault(f"{file}: 读不懂 / cannot be read", findings=tuple(findings))
    return document


def _plain(value: object) -> Any:  # noqa: ANN401 - JSON-like data of any depth
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return value
