"""Form of a file against its model: every pydantic error becomes a finding that says what to write, and where."""

import difflib
import math
import re
import types
import typing
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal, Protocol, TypeVar, Union

from pydantic import AliasChoices, BaseModel, ValidationError
from pydantic_core import ErrorDetails

from edge_agent.settings.finding import Finding
from edge_agent.settings.yaml_file import Path_
from edge_agent.texts.catalogue import text

Model = TypeVar("Model", bound=BaseModel)

_CODE: Mapping[str, str] = {
    "string_type": "needs_text",
    "float_type": "needs_number",
    "float_parsing": "needs_number",
    "int_type": "needs_whole_number",
    "int_from_float": "needs_whole_number",
    "int_parsing": "needs_whole_number",
    "bool_type": "needs_true_or_false",
    "bool_parsing": "needs_true_or_false",
    "model_type": "needs_mapping",
    "model_attributes_type": "needs_mapping",
    "mapping_type": "needs_mapping",
    "dict_type": "needs_mapping",
    "tuple_type": "needs_list",
    "list_type": "needs_list",
    "path_type": "needs_text",
    "finite_number": "needs_finite_number",
    "date_type": "needs_date",
    "date_from_datetime_parsing": "needs_date",
}
THOUSANDS = 3
MAP_KEY = "full_load"
"""The one list whose rows have more than two numbers."""
_BOUND: Mapping[str, tuple[str, str]] = {
    "greater_than": ("gt", ">"),
    "greater_than_equal": ("ge", "≥"),
    "less_than": ("lt", "<"),
    "less_than_equal": ("le", "≤"),
}
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_YES, _NO = {"yes", "on", "y", "是", "真", "1"}, {"no", "off", "n", "否", "假", "0"}


class Placed(Protocol):
    """Parsed data, and where each of its entries stands in a file: a `Document`, or a part of one."""

    @property
    def data(self) -> Mapping[str, object]:
        """The mapping."""
        ...

    @property
    def file(self) -> str:
        """Name of the file."""
        ...

    @property
    def finding(self) -> Callable[..., Finding]:
        """As `Document.finding`."""
        ...

    @property
    def place(self) -> Callable[..., tuple[int, int]]:
        """As `Document.place`."""
        ...

    @property
    def worded(self) -> Callable[..., Finding]:
        """As `Document.worded`."""
        ...


def validate(model: type[Model], document: Placed) -> tuple[Model | None, list[Finding]]:
    """Build the model from a file, or say everything that is wrong with its form."""
    try:
        return model.model_validate(document.data), []
    except ValidationError as error:
        details = [detail for detail in error.errors(include_url=False) if not _is_echo(detail)]
    findings = [(detail, _finding(model, document, detail)) for detail in details]
    meant = {
        (*detail["loc"][:-1], _meant(model, _without_marks(detail["loc"])))
        for detail, finding in findings
        if finding.code == "unknown_key_near"
    }
    # A misspelt key is also a missing one: said once, at the misspelling.
    return None, [finding for detail, finding in findings if detail["type"] != "missing" or detail["loc"] not in meant]


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that a misspelt one was most likely meant to be; empty when none is near."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return close[0] if close else ""


def known_keys(model: type[BaseModel], at: Path_) -> dict[str, str]:
    """Keys that are legal in the mapping at a path, each with its description; empty where any name may stand."""
    annotation: Any = model
    for step in at:
        annotation = _inner(annotation, step)
        if annotation is None:
            return {}
    found = _model_of(annotation)
    if found is None:
        return {}
    return {_written(name, field): field.description or "" for name, field in found.model_fields.items()}


def _written(name: str, field: Any) -> str:  # noqa: ANN401 - pydantic's FieldInfo, told apart below
    """The key as it stands in the file: `from_` is written `from`."""
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        alias = alias.choices[0]
    return alias if isinstance(alias, str) else name


def _bare(annotation: Any) -> Any:  # noqa: ANN401 - annotations have no common type
    """Without Annotated and None."""
    while typing.get_origin(annotation) is Annotated:
        annotation = typing.get_args(annotation)[0]
    if typing.get_origin(annotation) in {Union, types.UnionType}:
        members = [member for member in typing.get_args(annotation) if member is not type(None)]
        return _bare(members[0]) if members else annotation
    return annotation


def _model_of(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 - as above
    bare = _bare(annotation)
    return bare if isinstance(bare, type) and issubclass(bare, BaseModel) else None


def _inner(annotation: Any, step: str | int) -> Any:  # noqa: ANN401 - as above
    """The annotation of one member of a model, mapping or sequence."""
    bare = _bare(annotation)
    model = _model_of(bare)
    if model is not None:
        for name, field in model.model_fields.items():
            aliases = field.validation_alias
            names = aliases.choices if isinstance(aliases, AliasChoices) else [aliases]
            if step == name or step in names:
                return field.annotation
        return None
    arguments = typing.get_args(bare)
    if not arguments:
        return None
    if isinstance(typing.get_origin(bare), type) and issubclass(typing.get_origin(bare), Mapping):
        return arguments[1]
    if arguments[-1] is Ellipsis:
        return arguments[0]
    return arguments[step] if isinstance(step, int) and step < len(arguments) else arguments[0]


def _finding(model: type[BaseModel], document: Placed, detail: ErrorDetails) -> Finding:
    """Word one error of pydantic."""
    kind, at, given = detail["type"], _without_marks(detail["loc"]), detail["input"]
    context = detail.get("ctx") or {}
    key = next((step for step in reversed(at) if isinstance(step, str)), document.file)  # of a list, not `0`
    if kind == "union_tag_invalid":
        tag, allowed = str(context.get("discriminator")).strip("'"), str(context.get("expected_tags")).replace("'", "")
        write = allowed.replace(", ", " | ")
        return document.finding(
            "not_one_of", (*at, tag), given=_shown(context.get("tag")), allowed=allowed, write=write
        )
    if kind == "union_tag_not_found":
        tag = str(context.get("discriminator")).strip("'")
        return document.finding("missing_key", at, key=tag, parent=key, about_en="which kind of entry")
    if kind == "extra_forbidden":
        return _unknown_key(model, document, at)
    if kind in {"missing", "unexpected_positional_argument"} or (
        kind in {"too_short", "too_long"} and _is_pair(model, at)
    ):
        if isinstance(at[-1] if at else None, int) or kind != "missing":
            row = at[:-1] if isinstance(at[-1], int) else at
            form = "map_row" if MAP_KEY in row else "needs_pair"
            return document.finding(form, row, given=_shown(given))
        about = known_keys(model, at[:-1]).get(key, "")
        parent = str(at[-2]) if len(at) > 1 else document.file
        return document.finding("missing_key", at[:-1], at_key=len(at) > 1, key=key, parent=parent, about_en=about)
    if kind in {"invalid_key", "string_type"} and detail["loc"] and detail["loc"][-1] == "[key]":
        return document.finding("key_needs_text", at, at_key=True, key=str(at[-1]))
    if kind == "invalid_key":
        return document.finding("key_needs_text", at, at_key=True, key=str(at[-1]))
    if given is None:
        return document.finding("value_missing", at, at_key=True, key=key)
    if kind == "literal_error":
        return _not_one_of(model, document, at, given)
    if kind in _BOUND:
        name, sign = _BOUND[kind]
        return document.finding("outside_bounds", at, key=key, given=_shown(given), sign=sign, bound=context.get(name))
    if kind in {"too_short", "too_long", "string_too_short"}:
        least, most = context.get("min_length", 1), context.get("max_length", 1)
        return document.finding("too_few" if "short" in kind else "too_many", at, key=key, least=least, most=most)
    if kind == "string_pattern_mismatch":
        about = known_keys(model, at[:-1]).get(key, "")
        return document.finding(
            "bad_form", at, key=key, given=_shown(given), about_en=about, pattern=context.get("pattern")
        )
    code = _CODE.get(kind)
    if code is not None:
        zh, en = _what_to_write(code, given)
        return document.finding(code, at, key=key, given=_shown(given), write_zh=zh, write_en=en)
    return _worded(document, at, detail)


def _is_echo(detail: ErrorDetails) -> bool:
    """Pydantic counts only the right items of a list: "too short" then repeats what is wrong with the others."""
    given, context = detail["input"], detail.get("ctx") or {}
    return (
        detail["type"] == "too_short" and isinstance(given, list | tuple) and len(given) >= context.get("min_length", 0)
    )


def _without_marks(loc: tuple[int | str, ...]) -> Path_:
    """Pydantic marks a wrong key by a last step `[key]`, which is no key."""
    return tuple(step for step in loc if step != "[key]")


def _is_pair(model: type[BaseModel], at: Path_) -> bool:
    annotation: Any = model
    for step in at:
        annotation = _inner(annotation, step)
        if annotation is None:
            return False
    bare = _bare(annotation)
    return typing.get_origin(bare) is tuple and typing.get_args(bare)[-1] is not Ellipsis


def _meant(model: type[BaseModel], at: Path_) -> str:
    """The key that a misspelt one was most likely meant to be; empty when none is near."""
    key, known = str(at[-1]), known_keys(model, at[:-1])
    return nearest(key, known) or nearest(_narrow(key).strip().lower(), known)


def _unknown_key(model: type[BaseModel], document: Placed, at: Path_) -> Finding:
    key = str(at[-1])
    known = known_keys(model, at[:-1])
    if key.endswith(":") and key[:-1] in known:  # `{depth:}` has a key `depth:` and no value
        return document.finding("value_missing", at, at_key=True, key=key[:-1])
    close = _meant(model, at)
    if close:
        return document.finding("unknown_key_near", at, at_key=True, key=key, close=close, about_en=known[close])
    return document.finding("unknown_key", at, at_key=True, key=key, known=", ".join(known))


def _not_one_of(model: type[BaseModel], document: Placed, at: Path_, given: object) -> Finding:
    annotation: Any = model
    for step in at:
        annotation = _inner(annotation, step)
    bare = _bare(annotation)
    allowed = [str(choice) for choice in typing.get_args(bare)] if typing.get_origin(bare) is Literal else []
    word = _narrow(str(given)).strip()
    close = next((choice for choice in allowed if choice.lower() == word.lower()), "") or nearest(word, allowed)
    write = close or " | ".join(allowed)
    return document.finding("not_one_of", at, given=_shown(given), allowed=", ".join(allowed), write=write)


def _worded(document: Placed, at: Path_, detail: ErrorDetails) -> Finding:
    """An error whose words the model itself gives, `中文 / English`; `at` in its context narrows the place."""
    context = detail.get("ctx") or {}
    inner = context.get("at")
    if isinstance(inner, tuple):
        at = (*at, *inner)
    zh, separator, en = detail["msg"].partition(" / ")
    if not separator:
        return document.finding("bad_value", at, given=_shown(detail["input"]), reason=detail["msg"])
    line, column = document.place(at)
    return document.worded(detail["type"], line, column, zh, en)


def _narrow(word: str) -> str:
    return unicodedata.normalize("NFKC", word)


def _shown(given: object) -> str:
    """What stands in the file, shortened."""
    if isinstance(given, Mapping):
        return "{…}"
    if isinstance(given, list | tuple):
        return "[…]"
    if isinstance(given, bool):
        return str(given).lower()
    shown = str(given)
    return shown if len(shown) <= 40 else shown[:39] + "…"  # noqa: PLR2004 - one line of a terminal


def _without_commas(number: str) -> str:
    """One comma and no group of three behind it stands for the decimal point; any other marks thousands."""
    whole, _, rest = number.strip().partition(",")
    digits = re.match(r"\d*", rest)
    if whole.lstrip("+-").isdigit() and "," not in rest and "." not in rest and digits and len(digits[0]) != THOUSANDS:
        return f"{whole}.{rest}"
    return number.replace(",", "")


def _what_to_write(code: str, given: object) -> tuple[str, str]:
    """The correction, in both languages."""
    if code in {"needs_number", "needs_whole_number", "needs_finite_number"} and isinstance(given, str):
        number = _NUMBER.search(_without_commas(_narrow(given)))
        if number is not None:
            return f"写 {number[0]},单位已在字段名里", f"write {number[0]}; the unit is in the key's name"
    if code == "needs_whole_number" and isinstance(given, float) and math.isfinite(given):
        return f"写 {round(given)}", f"write {round(given)}"
    if code == "needs_text" and not isinstance(given, Mapping | list):
        return f'加英文引号:"{_shown(given)}"', f'put it in quotes: "{_shown(given)}"'
    if code == "needs_true_or_false" and not isinstance(given, Mapping | list):
        word = str(given).lower()
        if word in _YES | _NO:
            choice = "true" if word in _YES else "false"
            return f"写 {choice}", f"write {choice}"
        return "写 true 或 false", "write true or false"
    if code == "needs_list" and not isinstance(given, Mapping):
        return f"用方括号:[{_shown(given)}]", f"use brackets: [{_shown(given)}]"
    if code == "needs_date":
        return "写 2026-08-01", "write 2026-08-01"
    default = text(f"{code}_default")
    return default.zh, default.en
