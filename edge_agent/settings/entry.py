"""One mapping of a configuration file: how strict its models are, and how YAML's lists and texts reach them."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict


def tuples(value: object) -> object:
    """Lists from YAML become tuples, at any depth: strict models refuse a list for a tuple."""
    return tuple(tuples(item) for item in value) if isinstance(value, list) else value


Texts = Annotated[tuple[str, ...], BeforeValidator(tuples)]
"""A list of texts."""


class Entry(BaseModel):
    """One mapping of a configuration file: unknown keys, wrong types, NaN and infinity are errors."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )
