"""One fault of a configuration file: where, what, and how to mend it; shared by command line and screen."""

import unicodedata
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """One error or warning.

    Attributes:
        file: name of the file below the configuration folder.
        line: line, counted from 1; 0 when the whole file is meant.
        column: column in characters, counted from 1; 0 when the whole line or file is meant.
        code: stable code of the text in `edge_agent/texts`.
        zh: what is wrong, Chinese.
        en: what is wrong, English.
        hint_zh: how to mend it, Chinese; may be empty.
        hint_en: how to mend it, English; may be empty.
        excerpt: the line as it stands in the file; empty when there is none.
        width: number of characters that the caret underlines.
        severity: an error stops the service from starting, a warning does not.
    """

    file: str
    line: int
    column: int
    code: str
    zh: str
    en: str
    hint_zh: str = ""
    hint_en: str = ""
    excerpt: str = ""
    width: int = 1
    severity: Literal["error", "warning"] = "error"

    def as_dict(self, language: Literal["zh", "en"]) -> dict[str, object]:
        """Give the members of `check --json`, message and hint in one language."""
        return {
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "code": self.code,
            "message": self.zh if language == "zh" else self.en,
            "hint": self.hint_zh if language == "zh" else self.hint_en,
            "excerpt": self.excerpt,
        }


def _cells(text: str) -> int:
    """Width of a text in terminal cells: Chinese characters and full-width signs take two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _joined(first: str, second: str) -> str:
    return f"{first} / {second}" if first and second and first != second else first or second


def render(finding: Finding, language: Literal["zh", "en"]) -> str:
    """Lay out a finding for a terminal: place and text, the line, a caret under the fault, the correction.

    Chinese readers get both languages, because manuals and search engines know the English words too.
    """
    both = language == "zh"
    text = _joined(finding.zh, finding.en) if both else finding.en
    hint = _joined(finding.hint_zh, finding.hint_en) if both else finding.hint_en
    place = f"{finding.file}:{finding.line}:{finding.column}" if finding.line else finding.file
    lines = [f"{place}  {text}"]
    if finding.excerpt:
        shown = finding.excerpt.replace("\t", " ")
        number = f"{finding.line:5d} | "
        lines.append(f"{number}{shown}")
        start = max(finding.column - 1, 0)
        caret = "^" * max(_cells(shown[start : start + max(finding.width, 1)]), 1)
        lines.append(f"{' ' * (len(number) - 2)}| {' ' * _cells(shown[:start])}{caret} {hint}".rstrip())
    elif hint:
        lines.append(f"      {hint}")
    return "\n".join(lines)
