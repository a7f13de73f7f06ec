"""What is wrong with a PlanRequest or Plan document, in Chinese and English, and how to mend it."""

import typing
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from scheduling.errors import RequestFault

TRIED_TYPES = {"float", "tuple", "bool"}
"""Where one of several types is allowed, pydantic names the one that it tried in its path: that is no key."""
SHOWN_CHARS_MAX = 40
WORDS: Mapping[str, tuple[str, str]] = {
    "missing": ("缺少这个键,请补上", "this key is missing; write it"),
    "int_type": ("应为整数", "needs a whole number"),
    "int_from_float": ("应为整数", "needs a whole number"),
    "float_type": ("应为数字,不加引号", "needs a number, without quotes"),
    "finite_number": ("应为有限的数,不能是 NaN 或无穷", "needs a finite number, neither NaN nor infinite"),
    "string_type": ("应为带引号的文字", "needs text in quotes"),
    "bool_type": ("应为 true 或 false", "needs true or false"),
    "tuple_type": ("应为列表 [ ]", "needs a list [ ]"),
    "model_type": ("应为对象 {{ }}", "needs an object {{ }}"),
    "model_attributes_type": ("应为对象 {{ }}", "needs an object {{ }}"),
    "datetime_type": ("应为 UTC 时刻,如 2026-01-12T16:00:00Z", "needs an instant in UTC such as 2026-01-12T16:00:00Z"),
    "datetime_parsing": (
        "应为 UTC 时刻,如 2026-01-12T16:00:00Z",
        "needs an instant in UTC such as 2026-01-12T16:00:00Z",
    ),
    "timezone_aware": ("应为 UTC 时刻,以 Z 结尾", "needs an instant in UTC, written with Z"),
    "not_utc": ("应为 UTC 时刻,以 Z 结尾", "needs an instant in UTC, written with Z"),
    "unknown_zone": ("没有这个时区,请写如 Asia/Shanghai", "unknown time zone; write one such as Asia/Shanghai"),
    "bool": ("应为数字,不能是 true 或 false", "needs a number, not true or false"),
    "greater_than": ("应大于 {gt:g}", "must be greater than {gt:g}"),
    "greater_than_equal": ("应不小于 {ge:g}", "must be {ge:g} or more"),
    "less_than": ("应小于 {lt:g}", "must be less than {lt:g}"),
    "less_than_equal": ("应不大于 {le:g}", "must be {le:g} or less"),
    "too_short": ("至少要 {min_length} 项", "needs at least {min_length} of them"),
    "too_long": ("最多 {max_length} 项", "takes {max_length} entries at most"),
    "string_too_short": ("不能为空", "must not be empty"),
    "string_too_long": ("最多 {max_length} 个字符", "takes {max_length} characters at most"),
    "json_invalid": ("不是 JSON", "not JSON"),
    "literal_error": ("应为其中之一: {expected}", "needs one of {expected}"),
}


def shape_fault(path: str, zh: str, en: str) -> PydanticCustomError:
    """A fault that one model finds in its own members; `path` is relative to that model."""
    return PydanticCustomError("shape", "{path}: {zh} / {en}", {"path": path, "zh": zh, "en": en})


def fault_of(error: ValidationError, model: type[BaseModel]) -> RequestFault:
    """The first fault of a validation of a document of that model, with its JSON path."""
    faults = error.errors(include_url=False)
    # Where a number or a list is allowed, each tried type reports; the deepest report names the place.
    first = max(faults, key=lambda fault: (fault["type"] == "extra_forbidden", len(fault["loc"])))
    path = _json_path(first["loc"])
    context = first.get("ctx") or {}
    if first["type"] == "shape":
        return RequestFault(f"{path}.{context['path']}", str(context["zh"]), str(context["en"]))
    if first["type"] == "extra_forbidden":
        return RequestFault(path, *_unknown_key(model, first["loc"]))
    zh, en = WORDS.get(first["type"], ("格式不对", str(first["msg"])))
    given = _shown(first)
    return RequestFault(path, zh.format(**context) + given, en.format(**context) + given)


def _shown(fault: ErrorDetails) -> str:
    """What stands there, when it is short enough to be told."""
    given = fault["input"]
    if fault["type"] == "missing" or not isinstance(given, str | int | float | None):
        return ""
    text = "null" if given is None else str(given).lower() if isinstance(given, bool) else repr(given)
    return f": {text[:SHOWN_CHARS_MAX]}"


def _json_path(loc: Iterable[str | int]) -> str:
    path = "$"
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part.isidentifier() and part not in TRIED_TYPES:
            path += f".{part}"
        elif part not in TRIED_TYPES and "[" not in part:
            path += f".{part!r}"  # a key that is no name: it is told as it stands
    return path


def _unknown_key(model: type[BaseModel], loc: tuple[int | str, ...]) -> tuple[str, str]:
    """Which keys there are, and which one was most likely meant."""
    known = _keys(model, loc[:-1])
    close = get_close_matches(str(loc[-1]), known, n=1)
    if close:
        return f"没有这个键,是否指 {close[0]}?", f"no such key; did you mean {close[0]}?"
    listed = ", ".join(known)
    return f"没有这个键,请删去;这里可用: {listed}", f"no such key, take it out; keys here: {listed}"


def _keys(model: type[BaseModel], loc: Iterable[int | str]) -> list[str]:
    """Names of the keys of the object at a place; none when the place is no object."""
    at: type[BaseModel] | None = model
    for part in loc:
        if at is None or isinstance(part, int) or part in TRIED_TYPES:
            continue
        field = next((field for name, field in at.model_fields.items() if part in {name, field.alias}), None)
        at = None if field is None else next(_models_in(field.annotation), None)
    return [] if at is None else [field.alias or name for name, field in at.model_fields.items()]


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:  # noqa: ANN401 - annotations have no common type
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in typing.get_args(annotation):
        yield from _models_in(inner)
