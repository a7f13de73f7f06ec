"""The one catalogue of texts: finds a text by its code, whatever part of the product raised the code."""

from collections.abc import Mapping
from types import MappingProxyType

from edge_agent.texts import alarms, commissioning, delivery, operation, profiles, quality, refusals, settings, tariff
from edge_agent.texts.entry import Text

TEXTS: Mapping[str, Text] = MappingProxyType({
    **settings.TEXTS, **quality.TEXTS, **refusals.TEXTS, **alarms.TEXTS,
    **commissioning.TEXTS, **operation.TEXTS, **tariff.TEXTS, **profiles.TEXTS, **delivery.TEXTS,
})  # fmt: skip


def text(code: str, /, **values: object) -> Text:
    """Find a text and fill in its values.

    A value called `reason` that is itself a code is worded as well. A code without a text is shown as it is, with its
    values: an alarm must reach the operator even when its wording is missing, and a test keeps the catalogue complete.
    """
    entry = TEXTS.get(code)
    if entry is None:
        bare = " ".join((code, *(f"{name}={value}" for name, value in values.items())))
        return Text(zh=bare, en=bare)
    reason = values.get("reason")
    why = TEXTS.get(reason) if isinstance(reason, str) else None
    if why is None:
        return entry.filled(**values)
    outer = {name: value for name, value in values.items() if name != "reason"}
    worded = why.filled(**outer)
    zh = entry.filled(**outer, reason=worded.zh)
    en = entry.filled(**outer, reason=worded.en)
    return Text(zh=zh.zh, en=en.en, hint_zh=zh.hint_zh or worded.hint_zh, hint_en=en.hint_en or worded.hint_en)
