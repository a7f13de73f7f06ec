"""The small XML of the city platform's protocol: written well-formed, read leniently and never trusted. Pure.

Reading knows elements, attributes, text, comments and the five named characters, nothing else: a DOCTYPE, an entity or
a CDATA section is refused, so there is nothing to expand. Sizes are limited. The forms that the guideline itself prints
wrongly are understood: blanks after `<` and `</`, an element that is closed twice, a comment without an end.

Source: 可再生能源建筑应用示范项目数据监测系统技术导则(试行) (2009), appendix 4, its printed examples.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from edge_agent.uplink.transports.mohurd_tcp.faults import BadText

CHARACTERS_MAX = 1 << 20
ELEMENTS_MAX = 20_000
"""A day of 5-minute history of one point is 288; a packet of 300 points is 600."""
DEPTH_MAX = 12
ATTRIBUTES_MAX = 20
NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"', "apos": "'"}
CODE_POINT_MAX = 0x10FFFF

_NAME = re.compile(r"[^\W\d][\w.:-]{0,99}")
_ATTRIBUTE = re.compile(r"\s*([^\W\d][\w.:-]{0,99})\s*=\s*(\"[^\"]*\"|'[^']*')")
_REFERENCE = re.compile(r"&(#[0-9]{1,7}|#x[0-9A-Fa-f]{1,6}|[A-Za-z]{1,8})?(;?)")
_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


@dataclass(slots=True)
class Element:
    """An element as it was read.

    Attributes:
        name: of the element.
        attributes: by name.
        text: its own text, blanks around it cut off.
        children: in their order.
    """

    name: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    children: list["Element"] = field(default_factory=list)

    def all(self, name: str) -> Iterator["Element"]:
        """Children of a name, whatever its letters' case."""
        wanted = name.lower()
        return (child for child in self.children if child.name.lower() == wanted)

    def value(self, name: str) -> str | None:
        """Text of the first child of a name; None without one."""
        return next((child.text for child in self.all(name)), None)


def _character(reference: re.Match[str]) -> str:
    name, end = reference[1], reference[2]
    if name is None or not end:
        raise BadText("a bare & in the text")
    if name[0] != "#":
        if name not in NAMED:
            raise BadText(f"entity &{name};")
        return NAMED[name]
    number = int(f"0{name[1:]}", 0) if name[1] == "x" else int(name[1:])
    if number > CODE_POINT_MAX or _NO_XML.match(chr(number)):
        raise BadText(f"character &{name};")
    return chr(number)


def _unescape(text: str) -> str:
    return _REFERENCE.sub(_character, text) if "&" in text else text


def escape(text: str) -> str:
    """Text as it may stand between tags and in double quotes."""
    if _NO_XML.search(text):
        raise ValueError(f"{text!r} cannot be written in XML")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def _attributes(rest: str) -> dict[str, str]:
    found: dict[str, str] = {}
    position = 0
    while position < len(rest):
        match = _ATTRIBUTE.match(rest, position)
        if match is None:
            if rest[position:].strip():
                raise BadText(f"attributes {rest[position : position + 40]!r}")
            break
        if match[1] in found or len(found) >= ATTRIBUTES_MAX:
            raise BadText(f"attribute {match[1]}")
        found[match[1]] = _unescape(match[2][1:-1])
        position = match.end()
    return found


class _Reader:
    """Builds the tree, tag by tag."""

    def __init__(self) -> None:
        self.root: Element | None = None
        self._open: list[Element] = []
        self._texts: list[list[str]] = []
        self._count = 0

    def text(self, between: str) -> None:
        """Text between two tags."""
        if self._open:
            if between.strip():
                self._texts[-1].append(between)
        elif between.strip():
            raise BadText(f"text outside of the document: {between.strip()[:40]!r}")

    def begin(self, inner: str) -> None:
        """An opening tag, without its brackets."""
        alone = inner.endswith("/")
        inner = inner.removesuffix("/").strip()
        name = _NAME.match(inner)
        if name is None:
            raise BadText(f"tag <{inner[:40]}>")
        element = Element(name[0], _attributes(inner[name.end() :]))
        self._count += 1
        if self._count > ELEMENTS_MAX or len(self._open) >= DEPTH_MAX:
            raise BadText("more or deeper elements than a packet has")
        if self._open:
            self._open[-1].children.append(element)
        elif self.root is None:
            self.root = element
        else:
            raise BadText(f"a second document <{element.name}>")
        if not alone:
            self._open.append(element)
            self._texts.append([])

    def end(self, name: str) -> None:
        """A closing tag."""
        if self._open and self._open[-1].name == name:
            element = self._open.pop()
            element.text = _unescape("".join(self._texts.pop())).strip()
            return
        # `<x operation=".." />` and later `</x>`: what stands between them was meant to be inside.
        siblings = self._open[-1].children if self._open else []
        for place in range(len(siblings) - 1, -1, -1):
            if siblings[place].name == name and not siblings[place].children:
                siblings[place].children.extend(siblings[place + 1 :])
                del siblings[place + 1 :]
                return
        raise BadText(f"</{name[:40]}> closes nothing")

    def document(self) -> Element:
        """The whole tree."""
        if self._open or self.root is None:
            raise BadText("the document does not end")
        return self.root


def read_xml(text: str) -> Element:
    """Reads a document.

    Raises:
        BadText: it is none, or more than is read.
    """
    if len(text) > CHARACTERS_MAX:
        raise BadText(f"{len(text)} characters")
    if _NO_XML.search(text):
        raise BadText("control characters")
    reader, position = _Reader(), 0
    while True:
        start = text.find("<", position)
        if start < 0:
            reader.text(text[position:])
            return reader.document()
        reader.text(text[position:start])
        if text.startswith("<!--", start):
            end = text.find("-->", start + 4)
            # A comment without an end, as one printed example has it, is taken to end at the next bracket.
            broken = end < 0 or "<!--" in text[start + 4 : end]
            end = text.find(">", start) if broken else end + 2
        else:
            end = text.find(">", start)
        if end < 0:
            raise BadText("a tag does not end")
        inner = text[start + 1 : end].strip()
        position = end + 1
        if "<" in inner and not inner.startswith("!--"):
            raise BadText(f"a tag within a tag: {inner[:40]!r}")
        if inner.startswith("!--"):
            continue
        if inner.startswith("!"):
            raise BadText(f"{inner[:20]!r}: no DOCTYPE, no CDATA")
        if inner.startswith("?"):
            if reader.root is not None:
                raise BadText("a processing instruction within the document")
            continue
        if inner.startswith("/"):
            reader.end(inner[1:].strip())
        else:
            reader.begin(inner)


def write_xml(element: Element) -> str:
    """An element and everything in it, well-formed, on one line."""
    attributes = "".join(f' {name}="{escape(value)}"' for name, value in element.attributes.items())
    inside = escape(element.text) + "".join(write_xml(child) for child in element.children)
    return f"<{element.name}{attributes}>{inside}</{element.name}>"
