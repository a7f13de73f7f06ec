"""One YAML file: read as YAML 1.2, with the place of every key and value, and with faults an operator can act on.

Only plain mappings, lists and scalars are taken. Anchors, merge keys, tags, directives and second documents are
refused: a plant's file is read by people who never heard of them, and each of them can change what a line means far
away. Dates and times stay text: the models read them.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, StringMark, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionStartEvent, DocumentStartEvent, ScalarEvent
from ruamel.yaml.reader import ReaderError
from ruamel.yaml.resolver import VersionedResolver
from typing_extensions import override

from edge_agent.settings.finding import Finding
from edge_agent.settings.lookalike import Slip, corrected_line, scan
from edge_agent.texts.catalogue import text

FILE_BYTES_MAX = 1_000_000
"""A configuration file is some kilobytes; anything near this size [B] is not one."""
LINE_CHARACTERS_MAX = 2000
"""A longer line is no configuration; it also keeps numbers to a size that can be shown."""
EXCERPT_CHARACTERS_MAX = 240
"""Of a longer line only the beginning is shown."""
NESTING_MAX = 40
"""Brackets or indents deeper than this are no configuration, and would overrun the parser."""

Path_ = tuple[str | int, ...]
_PERHAPS_FORBIDDEN = re.compile(r"[&*!]|^(?:%|---|\.\.\.)|<<", re.MULTILINE)
_OTHER_LINE_ENDS = re.compile("[\x85\u2028\u2029]")
_PARSER_FAULTS = (
    YAMLError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    AssertionError,
    OverflowError,
    RecursionError,
    NotImplementedError,
)
"""What a foreign parser has been seen to raise, or may raise, on damaged input: all of it is the file's fault."""


class _TextualTimes(VersionedResolver):
    """Leaves dates as text: a wrong one, such as 2026-13-45, is then reported by a model, with its place."""

    @override
    def resolve(self, kind: object, value: object, implicit: object) -> object:
        tag = super().resolve(kind, value, implicit)
        return self.DEFAULT_SCALAR_TAG if str(tag) == "tag:yaml.org,2002:timestamp" else tag


def _fresh() -> YAML:
    """A parser of its own for each file: `%YAML 1.1` in one file would stay switched on for the next."""
    yaml = YAML(typ="rt")
    yaml.allow_duplicate_keys = False
    yaml.Resolver = _TextualTimes
    return yaml


@dataclass(frozen=True, slots=True)
class Document:
    """A file that has been read.

    Attributes:
        file: name below the configuration folder.
        lines: its lines as they stand.
        data: the mapping, with places.
    """

    file: str
    lines: tuple[str, ...]
    data: CommentedMap

    def place(self, at: Path_, *, at_key: bool = False) -> tuple[int, int]:
        """Line and column, both from 1, of the value (or the key) at a path; as near as the path leads."""
        node: object = self.data
        line, column = 0, 0
        for position, step in enumerate(at):
            if isinstance(node, CommentedMap) and step in node and step in node.lc.data:
                key_line, key_column, value_line, value_column = node.lc.data[step]
                last = position == len(at) - 1
                node = node[step]
                as_key = (at_key and last) or node is None
                line, column = (key_line, key_column) if as_key else (value_line, value_column)
            elif isinstance(node, CommentedSeq) and isinstance(step, int) and step < len(node):
                line, column = node.lc.data[step][:2]
                node = node[step]
            else:
                break
        return line + 1, column + 1

    def finding(
        self, code: str, at: Path_, *, at_key: bool = False, warning: bool = False, **values: object
    ) -> Finding:
        """A finding at a path, worded from the catalogue."""
        line, column = self.place(at, at_key=at_key)
        words = text(code, **values)
        return self.worded(
            code,
            line,
            column,
            words.zh,
            words.en,
            hint_zh=words.hint_zh,
            hint_en=words.hint_en,
            at_key=at_key,
            warning=warning,
        )

    def worded(
        self, code: str, line: int, column: int, zh: str, en: str, *, hint_zh: str = "", hint_en: str = "",
        at_key: bool = False, warning: bool = False,
    ) -> Finding:  # fmt: skip
        """A finding whose words are given."""
        excerpt = _printable(self.lines[line - 1]) if line <= len(self.lines) else ""
        return Finding(
            file=self.file,
            line=line,
            column=column,
            code=code,
            zh=zh,
            en=en,
            hint_zh=hint_zh,
            hint_en=hint_en,
            excerpt=excerpt,
            width=_width(excerpt, column - 1, at_key=at_key),
            severity="warning" if warning else "error",
        )


def _width(line: str, start: int, *, at_key: bool) -> int:
    """How many characters the caret underlines."""
    pattern = r"\"[^\"]*\"|'[^']*'|[^\s:]+" if at_key else r"\"[^\"]*\"|'[^']*'|[\[{]|(?:(?! #)[^,\]}])+"
    match = re.compile(pattern).match(line, start)
    return len(match[0].rstrip()) if match else 1


def read_document(path: Path, *, file: str) -> tuple[Document | None, list[Finding]]:
    """Read a file.

    Args:
        path: where it lies.
        file: its name for messages.

    Returns:
        The document, or None when it cannot be understood, and everything found. A document may come with findings:
        look-alike characters are mended in memory so that the errors behind them show in the same round.
    """
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            return None, [_whole(file, "file_too_big", size_kb=path.stat().st_size // 1000)]
        content = path.read_bytes()
    except FileNotFoundError:
        return None, [_whole(file, "file_missing")]
    except OSError as error:
        return None, [_whole(file, "file_unreadable", reason=error.strerror or str(error))]
    return parse_document(content, file=file)


def parse_document(content: bytes, *, file: str) -> tuple[Document | None, list[Finding]]:
    """Read the bytes of a file; see `read_document`."""
    try:
        whole = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return None, [_not_utf8(content, error, file=file)]
    lines = tuple(whole.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    long = next((number for number, line in enumerate(lines) if len(line) > LINE_CHARACTERS_MAX), None)
    if long is not None:
        return None, [_at(file, lines, "line_too_long", long, 0, characters=len(lines[long]))]
    slips = scan(lines)
    findings = _slip_findings(slips, lines, file=file)
    if slips:
        by_line: dict[int, list[Slip]] = {}
        for slip in slips:
            by_line.setdefault(slip.line, []).append(slip)
        mended = tuple(corrected_line(line, by_line.get(number, [])) for number, line in enumerate(lines, start=1))
    else:
        mended = lines
    data, faults = _parse("\n".join(mended), lines, file=file)
    # Behind a look-alike the parser's complaint is usually its echo: only complaints about other lines are shown.
    findings.extend(fault for fault in faults if not findings)
    if data is None:
        return None, findings
    return Document(file=file, lines=lines, data=data), findings


def _whole(file: str, code: str, **values: object) -> Finding:
    words = text(code, file=file, **values)
    return Finding(file, 0, 0, code, words.zh, words.en, words.hint_zh, words.hint_en)


def _at(
    file: str, lines: tuple[str, ...], code: str, line: int, column: int, *, width: int = 1, **values: object
) -> Finding:
    """A finding at a line and column, counted from 0; behind the file's end it is put on its last written line."""
    words = text(code, **values)
    if line >= len(lines) or (not lines[line].strip() and line == len(lines) - 1):
        line = max((number for number, content in enumerate(lines) if content.strip()), default=0)
        column = len(lines[line]) if lines else 0
    excerpt = _printable(lines[line]) if line < len(lines) else ""
    return Finding(
        file, line + 1, column + 1, code, words.zh, words.en, words.hint_zh, words.hint_en, excerpt=excerpt, width=width
    )


def _not_utf8(content: bytes, error: UnicodeDecodeError, *, file: str) -> Finding:
    """Name the place, and say when it looks like the encoding that Chinese Windows programs write."""
    first = error.start
    while first > 0 and content[first - 1] >= 0x80:  # noqa: PLR2004 - GBK pairs may pass for UTF-8: take the whole run
        first -= 1
    before = content[:first]
    line = before.count(b"\n") + 1
    start = before.rfind(b"\n") + 1
    column = len(content[start:first].decode("utf-8", "replace")) + 1
    end = content.find(b"\n", error.start)
    raw = content[start : end if end >= 0 else len(content)]
    try:
        excerpt, encoding = raw.decode("gb18030"), "GBK"
    except UnicodeDecodeError:
        excerpt, encoding = "", "UTF-16" if content[:2] in {b"\xff\xfe", b"\xfe\xff"} else "?"
    words = text("not_utf8", encoding=encoding)
    shown = _printable(excerpt).rstrip()
    return Finding(file, line, column, "not_utf8", words.zh, words.en, words.hint_zh, words.hint_en, excerpt=shown)


def _printable(line: str) -> str:
    """A line that cannot disturb a terminal; tabs and odd blanks become one blank each, and a long line is cut."""
    return "".join(character if character.isprintable() else " " for character in line[:EXCERPT_CHARACTERS_MAX])


def _slip_findings(slips: list[Slip], lines: tuple[str, ...], *, file: str) -> list[Finding]:
    """One finding a line: the first slip's, with the whole line as it should be."""
    findings: list[Finding] = []
    for number in dict.fromkeys(slip.line for slip in slips):
        here = [slip for slip in slips if slip.line == number]
        first = here[0]
        corrected = corrected_line(lines[number - 1], here).rstrip()
        findings.append(
            _at(
                file,
                lines,
                first.code,
                number - 1,
                first.column - 1,
                width=first.width,
                found=first.found,
                replacement=first.replacement,
                corrected=corrected.strip(),
            )
        )
    return findings


def _parse(whole: str, lines: tuple[str, ...], *, file: str) -> tuple[CommentedMap | None, list[Finding]]:
    deep = _too_deep(lines)
    if deep is not None:
        return None, [_at(file, lines, "yaml_too_deep", deep, 0)]
    strange = _OTHER_LINE_ENDS.search(whole)
    if strange is not None:  # the parser would count lines by them, editors do not
        return None, [_control_character(whole, strange.start(), lines, file=file)]
    try:
        if _PERHAPS_FORBIDDEN.search(whole):
            forbidden = _forbidden(whole, lines, file=file)
            if forbidden:
                return None, forbidden
        data = _fresh().load(whole)
    except MarkedYAMLError as error:
        return None, [_syntax(error, lines, file=file)]
    except ReaderError as error:
        return None, [_control_character(whole, min(int(error.position), len(whole) - 1), lines, file=file)]
    except _PARSER_FAULTS as error:
        return None, [_whole(file, "yaml_unreadable", reason=f"{type(error).__name__}: {error}"[:200])]
    if data is None:
        return None, [_whole(file, "file_empty")]
    if not isinstance(data, CommentedMap):
        return None, [_at(file, lines, "not_a_mapping", 0, 0)]
    return data, []


def _control_character(whole: str, position: int, lines: tuple[str, ...], *, file: str) -> Finding:
    line = whole.count("\n", 0, position)
    column = position - (whole.rfind("\n", 0, position) + 1)
    return _at(file, lines, "control_character", line, column, number=f"U+{ord(whole[position]):04X}")


def _too_deep(lines: tuple[str, ...]) -> int | None:
    """First line where brackets or dashes nest too deep; quotes are not told apart, the limit is generous enough."""
    depth = 0
    for number, whole in enumerate(lines):
        line = re.split(r"(?:^|\s)#", whole, maxsplit=1)[0]
        depth = max(depth + sum(line.count(sign) for sign in "[{") - sum(line.count(sign) for sign in "]}"), 0)
        opened = max(line.count("["), line.count("{"), line.count("- "), line.count("? "))
        if depth > NESTING_MAX or opened > NESTING_MAX:
            return number
    return None


def _forbidden(whole: str, lines: tuple[str, ...], *, file: str) -> list[Finding]:
    """Directives, anchors, aliases, merge keys, tags, second documents: each with its place."""
    findings: list[Finding] = []
    documents = 0
    for event in _fresh().parse(whole):
        code = ""
        if isinstance(event, DocumentStartEvent):
            documents += 1
            if event.version or event.tags:
                number = next((number for number, line in enumerate(lines) if line.startswith("%")), 0)
                findings.append(_at(file, lines, "yaml_directive", number, 0))
            if documents > 1:
                code = "yaml_second_document"
        elif isinstance(event, AliasEvent):
            code = "yaml_anchor"
        elif isinstance(event, (ScalarEvent, CollectionStartEvent)):
            if event.anchor:
                code = "yaml_anchor"
            elif event.tag is not None:
                code = "yaml_tag"
            elif isinstance(event, ScalarEvent) and event.value == "<<":
                code = "yaml_merge"
        if code:
            mark = event.start_mark
            findings.append(_at(file, lines, code, mark.line, mark.column))
        if documents > 1:
            break
    return findings


_TIGHT_COLON = re.compile(r"\s*(?:- )?[A-Za-z_]\w*:[^\s/:]")
"""A key whose colon has no blank behind it; `mqtt://` is none."""


def _spaced(line: str) -> str:
    return line.strip().replace(":", ": ", 1)


def _syntax(error: MarkedYAMLError, lines: tuple[str, ...], *, file: str) -> Finding:
    """Turn the parser's complaint into the line that the operator must mend."""
    problem, context = str(error.problem or ""), str(error.context or "")
    mark = error.problem_mark or error.context_mark
    opening = error.context_mark
    if mark is None:
        return _whole(file, "yaml_unreadable", reason=problem)
    if "duplicate key" in problem:
        key = re.search(r'duplicate key "([^"]*)"', problem)
        return _at(
            file,
            lines,
            "duplicate_key",
            mark.line,
            mark.column,
            width=len(key[1]) if key else 1,
            key=key[1] if key else "",
        )
    tight = next(
        (number for number in range(min(mark.line + 1, len(lines))) if _TIGHT_COLON.match(lines[number])), None
    )
    if tight is not None:
        column = lines[tight].index(":")
        return _at(file, lines, "colon_without_blank", tight, column, corrected=_spaced(lines[tight]))
    if "mapping values are not allowed" in problem:
        return _stray_colon(mark, lines, file=file)
    if "quoted scalar" in context and "end of" in problem and opening is not None:
        return _at(file, lines, "yaml_quote_open", opening.line, opening.column)
    if "tag" in context.split() and opening is not None:
        return _at(file, lines, "yaml_tag", opening.line, opening.column)
    if {"alias", "anchor"} & set(context.split()) and opening is not None:
        return _at(file, lines, "yaml_anchor", opening.line, opening.column)
    if "could not find expected ':'" in problem and opening is not None:
        return _at(
            file, lines, "yaml_colon_missing", opening.line, opening.column, width=_stripped(lines, opening.line)
        )
    if ("flow mapping" in context or "flow sequence" in context or "flow node" in context) and opening is not None:
        where = mark if mark.line == opening.line else opening
        return _at(file, lines, "yaml_bracket", where.line, where.column)
    if "block end" in problem or "block mapping" in context or "block collection" in context:
        return _at(file, lines, "yaml_indent", mark.line, mark.column)
    if "cannot start any token" in problem:
        return _at(
            file,
            lines,
            "yaml_needs_quotes",
            mark.line,
            mark.column,
            sign=lines[mark.line][mark.column : mark.column + 1] if mark.line < len(lines) else "",
        )
    if "document start" in problem:
        return _at(file, lines, "yaml_bracket", mark.line, mark.column)
    return _at(
        file, lines, "yaml_syntax", mark.line, mark.column, problem=" ".join(f"{context} {problem}".split())[:160]
    )


def _stripped(lines: tuple[str, ...], line: int) -> int:
    return max(len(lines[line].strip()), 1) if line < len(lines) else 1


def _stray_colon(mark: StringMark, lines: tuple[str, ...], *, file: str) -> Finding:
    """A colon where none may stand: in a value, after a line that lacks its own, or on a line indented too far."""
    line = lines[mark.line] if mark.line < len(lines) else ""
    if re.search(r":(?:\s|$)", line[: mark.column]):
        return _at(file, lines, "yaml_colon_in_value", mark.line, mark.column)
    above = next(
        (
            number
            for number in range(mark.line - 1, -1, -1)
            if lines[number].strip() and not lines[number].lstrip().startswith("#")
        ),
        None,
    )
    if above is not None and not re.search(r":(?:\s|$)", lines[above]):
        indent = len(lines[above]) - len(lines[above].lstrip())
        return _at(file, lines, "yaml_colon_missing", above, indent, width=_stripped(lines, above))
    indent = len(line) - len(line.lstrip())
    return _at(file, lines, "yaml_indent", mark.line, indent)
