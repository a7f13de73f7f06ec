"""The packets of the city platform's protocol as values: what a platform may say, and the texts that a collector says.

Every value is trimmed. A packet of a kind that nobody knows stays a packet: it is answered with "not supported". Pure.

Source: 可再生能源建筑应用示范项目数据监测系统技术导则(试行) (2009), appendix 4;
acknowledgements and the span of a query after public clients of other platforms.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from decimal import Decimal

from edge_agent.settings.dialect import Body, Dialect
from edge_agent.uplink.transports.mohurd_tcp.faults import BadText
from edge_agent.uplink.transports.mohurd_tcp.xml_text import Element, read_xml, write_xml

CLOCK_FORM = "%Y%m%d%H%M%S"
"""The guideline prints yyyyMMhhHHmmss and shows a day: local time, no zone."""
DECLARATION = '<?xml version="1.0" encoding="{encoding}"?>'
QUALITY_VALID, QUALITY_INVALID = 192, 0
KEY_KINDS = {"0": "md5", "1": "aes_key", "2": "aes_iv"}
KEY_CHARACTERS_MAX = 64
WORD_CHARACTERS_MAX = 200
"""A longer word of a platform is no word [characters]."""
YEAR_MIN, YEAR_MAX = 1990, 2150
"""Years that a platform's clock or query may name; a server without a time says 0001 or 9999."""
_CLOCK = re.compile(r"[0-9]{14}")
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")

DATA_TYPES = frozenset({"report", "reply", "continuous"})
"""What carries values."""


# ------------------------------------------------------------------------------------------------- what a platform says
@dataclass(frozen=True, slots=True)
class Heard:
    """A packet of a platform, taken apart.

    Attributes:
        project: number of the plant that it names.
        gateway: number of the collector that it names.
        types: one, or two: the result of a login also sets the clock.
        root: the whole document.
        body: the element beside `common`; the root where there is none.
    """

    project: str
    gateway: str
    types: tuple[str, ...]
    root: Element
    body: Element

    def value(self, name: str) -> str | None:
        """A value of the body, or of the root where a broken text has put it there."""
        found = self.body.value(name)
        return found if found is not None else self.root.value(name)

    def number(self, name: str) -> int | None:
        """A whole number of the body; None when there is none or it is no number."""
        text = self.value(name)
        return int(text) if text is not None and _INTEGER.fullmatch(text) else None


def read_packet(text: str, *, body: Body) -> Heard:
    """Takes a text apart.

    Raises:
        BadText: it is no packet of this protocol.
    """
    root = read_xml(text)
    if root.name.lower() == "ack":  # one family's whole answer is <ack>OK</ack>; single source
        return Heard("", "", ("data_ack",), root, root)
    common = next(root.all("common"), None)
    if common is None:
        raise BadText("no <common>")
    types = tuple(child.text for child in common.all("type"))
    if not types or not all(0 < len(kind) <= WORD_CHARACTERS_MAX for kind in types):
        raise BadText("no <type>")
    inside = next((child for child in root.children if child is not common), root)
    return Heard(
        common.value(body.project_element) or "", common.value(body.gateway_element) or "", types, root, inside
    )


def read_clock(text: str | None, *, zone: tzinfo) -> datetime | None:
    """An instant as a platform writes it; None when it is none.

    Args:
        text: fourteen digits, local time.
        zone: the platform's zone.
    """
    if text is None or not _CLOCK.fullmatch(text):
        return None
    if not YEAR_MIN <= int(text[:4]) <= YEAR_MAX:
        return None  # no time of a plant, and at the edges of the calendar no arithmetic works
    try:
        return datetime.strptime(text, CLOCK_FORM).replace(tzinfo=zone)
    except ValueError:
        return None


def write_clock(instant: datetime, *, zone: tzinfo) -> str:
    """An instant as a platform reads it."""
    local = instant.astimezone(zone)
    return f"{local.year:04d}{local:%m%d%H%M%S}"


# ------------------------------------------------------------------------------------------------ what a collector says
@dataclass(frozen=True, slots=True)
class Value:
    """One value of a period.

    Attributes:
        data_code: 16 digits.
        point_code: 15 digits; empty where nobody has given one.
        value: in the unit that the platform wants; None when invalid.
        quality: 192 valid, 64 measured while the clock was not to be trusted, 0 invalid.
    """

    data_code: str
    point_code: str
    value: float | None
    quality: int = QUALITY_VALID

    @property
    def told_quality(self) -> int:
        """The quality that goes with it: nothing is no better than invalid."""
        return QUALITY_INVALID if self.value is None else self.quality


@dataclass(frozen=True, slots=True)
class Told:
    """A period's values as the platform is told them.

    Attributes:
        time: the period's name, local time.
        values: in their order.
    """

    time: str
    values: tuple[Value, ...]


class Writer:
    """Writes the texts of one collector in one dialect."""

    def __init__(self, dialect: Dialect, *, project: str, gateway: str) -> None:
        """Takes what every packet repeats."""
        self._dialect = dialect
        self._project = project
        self._gateway = gateway

    def packet(self, kind: str, element: str, *inside: Element, operation: str | None = None) -> str:
        """A packet.

        Args:
            kind: the guideline's name of its type; a dialect may call it otherwise.
            element: name of the body.
            inside: what stands in the body.
            operation: where it differs from the type.
        """
        body = self._dialect.body
        word = self._dialect.operations.get(kind, kind)
        common = Element(
            "common",
            children=[
                Element(body.project_element, text=self._project),
                Element(body.gateway_element, text=self._gateway),
                Element("type", text=word),
            ],
        )
        told = Element(element, {"operation": operation or word}, children=list(inside))
        text = write_xml(Element("root", children=[common, told]))
        encoding = "utf-16" if body.encoding.startswith("utf-16") else body.encoding
        return (DECLARATION.format(encoding=encoding) if body.declaration else "") + text

    def request(self) -> str:
        """Begins the login."""
        return self.packet("request", "id_validate")

    def md5(self, digest: str) -> str:
        """Answers the challenge."""
        return self.packet("md5", "id_validate", Element("md5", text=digest))

    def notify(self) -> str:
        """A heartbeat."""
        return self.packet("notify", "heart_beat")

    def period_ack(self, code: int) -> str:
        """Answers a new period: 1 taken, below 0 refused."""
        return self.packet("period_ack", "config", Element("return", text=str(code)))

    def acknowledge(self, kind: str, code: int) -> str:
        """Answers a command: 1 done, 0 not supported, below 0 an error."""
        return self.packet(f"{kind}_ack", "stand", Element("return", text=str(code)))

    def ask_resume(self) -> str:
        """Asks whether history may be sent."""
        return self.packet(self._dialect.resume.ask_type, "data")

    def report(self, told: Told, *, sequence: str) -> str:
        """A timed report."""
        return self.packet("report", "data", *self._data(told, sequence=sequence))

    def reply(self, told: Told, *, sequence: str, parse: str = "yes") -> str:
        """A period that the platform asked for; `parse` no: there is none."""
        return self.packet("reply", "data", *self._data(told, sequence=sequence, parse=parse))

    def continuous(self, told: Told, *, sequence: str, total: int, current: int) -> str:
        """A packet of history, one of a batch."""
        counts = (Element("total", text=str(total)), Element("current", text=str(current)))
        return self.packet("continuous", "data", *self._data(told, sequence=sequence, counts=counts))

    def _data(
        self, told: Told, *, sequence: str, counts: Sequence[Element] = (), parse: str = "yes"
    ) -> Iterable[Element]:
        yield Element("sequence", text=sequence)
        yield Element("parse", text=parse)
        yield Element("time", text=told.time)
        yield from counts
        form = self._dialect.body.data
        if form == "meter_function":
            yield from self._meters(told)
        elif form == "energy_items":
            yield Element(
                "energy_items",
                children=[
                    Element("energy_item", {"code": value.data_code, **self._error(value)}, text=_number(value.value))
                    for value in told.values
                ],
            )
        else:
            yield Element(
                "meters",
                children=[
                    Element(
                        "meter",
                        {"id": value.point_code or value.data_code, "name": value.data_code, **self._error(value)},
                        text=_number(value.value),
                    )
                    for value in told.values
                ],
            )

    def _error(self, value: Value) -> dict[str, str]:
        """Where no quality goes with it, a value of an uncertain instant is an error: nothing passes as certain."""
        body = self._dialect.body
        carried = body.data == "meter_function" and body.quality_in != "none"
        doubtful = not carried and value.told_quality != QUALITY_VALID
        return {"error": str(self._dialect.body.error_value) if value.value is None or doubtful else "0"}

    def _meters(self, told: Told) -> Iterable[Element]:
        """Values by meter: those of one system of the plant, or each its own where the meter carries a code."""
        body = self._dialect.body
        coded = "meter_id" in {body.point_code_in, body.data_code_in}
        groups: dict[str, list[Value]] = {}
        for value in told.values:
            meter = value.point_code if body.point_code_in == "meter_id" else value.data_code
            groups.setdefault(meter if coded else value.data_code[:-2], []).append(value)
        for ordinal, (meter, values) in enumerate(groups.items(), start=1):
            yield Element(
                "meter",
                {
                    "id": meter if coded else str(ordinal),
                    "conn": "conn" if any(value.value is not None for value in values) else "disconn",
                },
                children=[self._function(place, value, told.time) for place, value in enumerate(values, start=1)],
            )

    def _function(self, place: int, value: Value, time: str) -> Element:
        body = self._dialect.body
        quality = str(value.told_quality)
        carried = {"function_id": str(place), "coding": ""}
        carried[body.data_code_in] = value.data_code
        if body.point_code_in != "none":
            carried[body.point_code_in] = value.point_code
        if body.quality_in == "coding":
            carried["coding"] = quality
        attributes = {"id": carried["function_id"], "coding": carried["coding"], **self._error(value)}
        if body.quality_in == "quality":
            attributes["quality"] = quality
        return Element("function", {**attributes, "sample_time": time}, text=_number(value.value))


def _number(value: float | None) -> str:
    """A value without an exponent and without digits that it has not; nothing when it is invalid."""
    if value is None:
        return ""
    text = format(Decimal(repr(value)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
