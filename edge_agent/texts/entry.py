"""The shape of one text: what is the matter and what to do about it, in both languages."""

from dataclasses import dataclass


class _Given(dict[str, object]):
    """Values by name: a text with a hole in it still reaches the operator."""

    def __missing__(self, name: str) -> str:
        return "?"


@dataclass(frozen=True, slots=True)
class Text:
    """A text in both languages; placeholders in braces are the same in both.

    Attributes:
        zh: what is the matter, Chinese.
        en: the same, English.
        hint_zh: what to do, Chinese; may be empty.
        hint_en: the same, English; may be empty.
    """

    zh: str
    en: str
    hint_zh: str = ""
    hint_en: str = ""

    def filled(self, **values: object) -> "Text":
        """Put values in the place of the placeholders; one that was not given shows as `?`, unused ones are ignored."""
        given = _Given(values)
        return Text(
            zh=self.zh.format_map(given),
            en=self.en.format_map(given),
            hint_zh=self.hint_zh.format_map(given),
            hint_en=self.hint_en.format_map(given),
        )
