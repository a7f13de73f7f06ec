"""Characters that a Chinese input method leaves in a YAML file and that look right but are not.

Most of them still parse, and the error then surfaces somewhere else. So the text is looked through before it is
parsed, outside comments and quotes: full-width signs where YAML needs its own, full-width digits, blanks that are no
blanks. Full-width signs in free text are right and are left alone.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

FREE_TEXT_KEYS = frozenset({"name", "source", "sources", "reason", "certificate", "zh", "en", "maker", "note"})
"""Keys whose values are for people: any character may stand there."""

_SUSPECT = re.compile(
    "[\t\u00a0\u3000：，“”‘’～\uff0d–—\uff03\uff0e\uff3f\uff10-\uff19\uff21-\uff3a\uff41-\uff5a]|[A-Za-z0-9_]:[^\\s/]"
)
_KEY = r"[A-Za-z_][A-Za-z0-9_.-]*|尖峰|高峰|峰|平段|平|低谷|谷|深谷"
_BLOCK_KEY = re.compile(
    rf"(?P<key>\"[^\"]*\"|'[^']*'|{_KEY}|[^\s#\[\]{{}},\"'&*!|>%@`-][^#：:]*?)(?P<colon>\s*(?:：|:(?=\s|$)))"
)
_NARROW_KEY = re.compile(rf"^(?:{_KEY})$")
_KEY_STUCK = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*:(?!//)[^\s:]+$")
_NUMERIC = re.compile(r"^[\d\uff10-\uff19.\uff0e:：\-+\uff0d–—～~ ]+$")
_WORD = re.compile(r"^[\x21-\x7e\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\uff0e\uff3f\uff0d：]+$")
_WIDE_IN_WORD = re.compile("[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\uff0e\uff3f\uff0d：–—～]")
_DAY_SPAN = re.compile(r"^(\d{4}-)?\d\d-\d\d$")
_QUOTES = {"“": "”", "”": "”", "‘": "’", "’": "’"}


@dataclass(frozen=True, slots=True)
class Slip:
    """One wrong character, or run of them.

    Attributes:
        line: line, counted from 1.
        column: column in characters, counted from 1.
        width: characters replaced.
        code: stable code of the text.
        found: what stands there.
        replacement: what should stand there.
    """

    line: int
    column: int
    width: int
    code: str
    found: str
    replacement: str


def corrected_line(line: str, slips: list[Slip]) -> str:
    """Apply the corrections of one line."""
    for slip in sorted(slips, key=lambda slip: slip.column, reverse=True):
        start = slip.column - 1
        line = line[:start] + slip.replacement + line[start + slip.width :]
    return line


def scan(lines: tuple[str, ...]) -> list[Slip]:
    """Look through a file, line by line."""
    if not any(_SUSPECT.search(line) for line in lines):
        return []
    scanner = _Scanner()
    return [slip for number, line in enumerate(lines, start=1) for slip in scanner.line(number, line)]


def _plain_ascii(text: str) -> str:
    """Full-width letters, digits and signs as the keyboard has them."""
    return unicodedata.normalize("NFKC", text).replace("–", "-").replace("—", "-").replace("~", "-")


class _Scanner:
    """Follows just enough of YAML to know comment, quote, block text, key and value."""

    def __init__(self) -> None:
        self._number = 0
        self._line = ""
        self._brackets: list[str] = []
        self._keys: list[str | None] = []
        self._quote = ""
        self._text_indent: int | None = None

    def line(self, number: int, line: str) -> Iterator[Slip]:
        """Look through the next line."""
        self._number, self._line = number, line
        indent = len(line) - len(line.lstrip())
        if self._text_indent is not None:
            if not line.strip() or indent > self._text_indent:
                return
            self._text_indent = None
        position = indent
        if not self._quote and line.strip():
            if not line.lstrip().startswith("#"):
                yield from self._indentation(indent)
            if not self._brackets:
                while line.startswith("- ", position):
                    position += 2
                    position += len(line[position:]) - len(line[position:].lstrip())
                if line.startswith("\uff03", position):
                    yield self._slip(position, 1, "wide_comment", "#")
                    return
                slips, position = self._block_key(position, indent)
                yield from slips
        yield from self._values(position)

    def _slip(self, start: int, width: int, code: str, replacement: str) -> Slip:
        found = self._line[start : start + width]
        return Slip(self._number, start + 1, width, code, found, replacement)

    def _wide(self, at: int, text: str, code: str) -> Slip:
        """A slip from the first to the last full-width character of a text."""
        wide = [offset for offset, character in enumerate(text) if _plain_ascii(character) != character]
        start, end = wide[0], wide[-1] + 1
        return self._slip(at + start, end - start, code, _plain_ascii(text[start:end]))

    def _indentation(self, indent: int) -> Iterator[Slip]:
        for position, character in enumerate(self._line[:indent]):
            if character == "\t":
                yield self._slip(position, 1, "tab", "  ")
            elif character != " ":
                yield self._slip(position, 1, "wide_blank", "  " if character == "\u3000" else " ")

    def _block_key(self, position: int, indent: int) -> tuple[list[Slip], int]:
        """The key at the start of a line outside brackets; returns where its value begins."""
        line, slips = self._line, []
        stuck = line[position:].split(" #")[0].rstrip()
        if _KEY_STUCK.match(stuck):
            at = position + stuck.index(":")
            self._keys = [stuck[: stuck.index(":")]]
            return [self._slip(at, 1, "colon_without_blank", ": ")], at + 1
        match = _BLOCK_KEY.match(line, position)
        if match is None:
            self._keys = self._keys[:1]
            return [], position
        key = match["key"].strip("\"'")
        if match["colon"].strip() == "：":
            if not _NARROW_KEY.match(match["key"]):
                self._keys = self._keys[:1]
                return [], position
            after = "" if line[match.end() : match.end() + 1] in {"", " "} else " "
            slips.append(self._slip(match.end() - 1, 1, "wide_colon", ":" + after))
        elif _WIDE_IN_WORD.search(key) and _WORD.match(key):
            slips.append(self._wide(match.start("key"), match["key"], "wide_letters"))
        self._keys = [key]
        value = line[match.end() :].strip()
        if value[:1] in {"|", ">"}:
            self._text_indent = indent
            return slips, len(line)
        return slips, match.end()

    # ------------------------------------------------------------------------------------------------- values

    def _values(self, position: int) -> Iterator[Slip]:
        """Walk through the rest of the line: plain values, quotes, brackets, up to a comment."""
        line = self._line
        start = position
        while position < len(line):
            character = line[position]
            if self._quote:
                position = self._inside_quote(position)
                start = position
                continue
            blank_before = position == 0 or line[position - 1] in " \t\u3000"
            if character == "#" and blank_before:
                break
            if character == "\uff03" and self._is_comment(start, position, blank_before=blank_before):
                yield self._slip(position, 1, "wide_comment", "#")
                break
            if character in "\"'" and not line[start:position].strip():
                self._quote = character
                position += 1
                continue
            opened = character in "[{" and (bool(self._brackets) or not line[start:position].strip())
            if opened:
                self._brackets.append(character)
                self._keys.append(None)
                start = position + 1
            elif self._brackets:
                slips, moved = self._in_brackets(start, position)
                yield from slips
                start = moved
            position += 1
        yield from self._value(start, position)
        if self._brackets and self._brackets[-1] == "{" and line[start:position].strip():
            yield from self._stuck(start, position)

    def _inside_quote(self, position: int) -> int:
        """Skip to the end of a quoted text, which may lie on a later line."""
        line, quote = self._line, self._quote
        while position < len(line):
            if quote == '"' and line[position] == "\\":
                position += 2
                continue
            if line[position] == quote:
                if quote == "'" and line[position + 1 : position + 2] == "'":
                    position += 2
                    continue
                self._quote = ""
                return position + 1
            position += 1
        return position

    def _is_comment(self, start: int, position: int, *, blank_before: bool) -> bool:
        """A full-width hash is a comment gone wrong, unless it belongs to free text, as in a pump's number."""
        after = self._line[position + 1 : position + 2]
        if not blank_before or unicodedata.category(after or " ") == "Nd":
            return False
        return after in {"", " "} or self._line[start:position].isascii()

    def _in_brackets(self, start: int, position: int) -> tuple[list[Slip], int]:
        """One character inside brackets that ends an item, or a key; returns where the next item begins."""
        line, character, inside = self._line, self._line[position], self._brackets[-1]
        item = line[start:position].strip()
        if character == ":" and inside == "{" and line[position + 1 : position + 2] in {"", " ", "[", "{", '"', "'"}:
            slips = []
            if _WIDE_IN_WORD.search(item) and _WORD.match(item):
                slips = [self._wide(start + line[start:position].index(item), item, "wide_letters")]
            self._keys[-1] = item.strip("\"'")
            return slips, position + 1
        if character == "：" and inside == "{" and self._keys[-1] is None and _NARROW_KEY.match(item):
            self._keys[-1] = item
            after = "" if line[position + 1 : position + 2] in {"", " "} else " "
            return [self._slip(position, 1, "wide_colon", ":" + after)], position + 1
        wide_comma = character == "，" and self._separates(start, position)
        if character not in ",]}" and not wide_comma:
            return [], start
        slips = list(self._value(start, position))
        if inside == "{":
            slips.extend(self._stuck(start, position))
        if wide_comma:
            after = "" if line[position + 1 : position + 2] in {"", " "} else " "
            slips.append(self._slip(position, 1, "wide_comma", "," + after))
        if character in "]}":
            self._brackets.pop()
            self._keys.pop()
        elif inside == "{":
            self._keys[-1] = None
        return slips, position + 1

    def _separates(self, start: int, position: int) -> bool:
        """Whether a full-width comma inside brackets stands between two items, not inside a text."""
        after = self._line[position + 1 :].lstrip()
        before = self._line[start:position].strip()
        if self._brackets[-1] == "{":
            return re.match(rf"(?:{_KEY})\s*[:：]|[}}\]]", after) is not None
        closed = self._line[:position].rstrip()[-1:] in {"]", "}", '"', "'"}
        return (closed or (bool(before) and before.isascii()) or _NUMERIC.match(before) is not None) and (
            not after or after[0].isascii() or after[0].isdigit()
        )

    def _value(self, start: int, end: int) -> Iterator[Slip]:
        """A plain value that has ended: what should be a number, a time, a name, or not be quoted like this."""
        text = self._line[start:end]
        value = text.strip()
        if not value or value.startswith(('"', "'")):
            return
        at = start + text.index(value)
        closing = _QUOTES.get(value[0])
        if closing is not None and (value.endswith(closing) or closing not in value[1:]):
            yield self._slip(at, 1, "wide_quote", '"')
            if len(value) > 1 and value[-1] in _QUOTES:
                yield self._slip(at + len(value) - 1, 1, "wide_quote", '"')
            return
        for position in range(start, at + len(value)):
            if self._line[position] == "\t":
                yield self._slip(position, 1, "tab", " ")
        key = next((key for key in reversed(self._keys) if key is not None), None)
        if key in FREE_TEXT_KEYS or _WIDE_IN_WORD.search(value) is None:
            return
        if _NUMERIC.match(value) and any(character.isdigit() for character in value):
            yield from self._numeric(at, value)
        elif _WORD.match(value) and any(character.isascii() and character.isalnum() for character in value):
            yield self._wide(at, value, "wide_letters")

    def _numeric(self, at: int, value: str) -> Iterator[Slip]:
        """A number, a time or a span of them with full-width characters."""
        halves = re.split("[～~–—\uff0d]", value)
        if len(halves) == 2 and all(_DAY_SPAN.match(half.strip()) for half in halves):  # noqa: PLR2004 - from and to
            yield self._slip(at, len(value), "wide_dash", "..".join(half.strip() for half in halves))
            return
        code = "wide_dash" if re.search("[～–—\uff0d]", value) else "wide_digits"
        yield self._wide(at, value, code)

    def _stuck(self, start: int, end: int) -> Iterator[Slip]:
        """`{unit:1}` has a key called `unit:1` and no value."""
        text = self._line[start:end]
        value = text.strip()
        if self._keys[-1] is None and _KEY_STUCK.match(value):
            yield self._slip(start + text.index(value) + value.index(":"), 1, "colon_without_blank", ": ")
