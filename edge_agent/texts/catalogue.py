"""The one catalogue of texts: finds a text by its code, whatever part of the product raised the code."""

from collections.abc import Mapping
from types import MappingProxyType

from edge_agent.texts import alarms, quality, settings
from edge_agent.texts.entry import Text

TEXTS: Mapping[str, Text] = MappingProxyType({**settings.TEXTS, **quality.TEXTS, **alarms.TEXTS})


def text(code: str, /, **values: object) -> Text:
    """Find a text and fill in its values.

    A code without a text is shown as it is, with its values: an alarm must reach the operator even when its wording
    is missing, and a test keeps the catalogue complete.
    """
    entry = TEXTS.get(code)
    if entry is None:
        bare = " ".join((code, *(f"{name}={value}" for name, value in values.items())))
        return Text(zh=bare, en=bare)
    return entry.filled(**values)
