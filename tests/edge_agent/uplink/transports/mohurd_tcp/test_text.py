"""The small XML: hostile texts are refused, the guideline's own misprints are understood, what is written is read."""

import contextlib
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.settings.dialect_file import dialect_paths, shipped_dialect
from edge_agent.uplink.transports.mohurd_tcp.faults import BadText
from edge_agent.uplink.transports.mohurd_tcp.words import (
    Told,
    Value,
    Writer,
    read_clock,
    read_packet,
    write_clock,
)
from edge_agent.uplink.transports.mohurd_tcp.xml_text import DEPTH_MAX, ELEMENTS_MAX, Element, read_xml, write_xml

BODY = shipped_dialect("g2009").body
ZONE = ZoneInfo("Asia/Shanghai")
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,8}", fullmatch=True)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn")), max_size=20).map(str.strip)


def elements() -> st.SearchStrategy[Element]:
    leaves = st.builds(Element, NAMES, st.dictionaries(NAMES, TEXTS, max_size=3), TEXTS)
    return st.recursive(
        leaves,
        lambda inside: st.builds(
            Element, NAMES, st.dictionaries(NAMES, TEXTS, max_size=3), TEXTS, st.lists(inside, max_size=3)
        ),
        max_leaves=8,
    )


@settings(max_examples=settings().max_examples // 4)
@given(elements())
def test_what_is_written_is_read_again(element: Element) -> None:
    assert read_xml(write_xml(element)) == element


@given(st.text(alphabet=st.sampled_from("<>/!?-&;#x\"'= abD["), max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(BadText):
        read_xml(text)


def test_the_misprints_of_the_guideline_are_understood() -> None:
    closed_twice = read_xml('<root><id_validate operation="sequence" /><sequence>40d</sequence></id_validate></root>')
    assert closed_twice.children[0].value("sequence") == "40d"
    only_closed = read_xml('<root><heart_beat operation="notify" /></heart_beat></root>')
    assert only_closed.children[0].children == []
    blanks = read_xml("<root>< continuous_ack > 1 </ continuous_ack ></root>")
    assert blanks.value("continuous_ack") == "1"
    comment = read_xml("<root><!-- 数据 -><a>1</a><!-- ok --><b>2</b></root>")
    assert (comment.value("a"), comment.value("b")) == ("1", "2")
    assert read_xml("<root><!-- <a>1</a> --><a>2</a></root>").value("a") == "2"


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE r [<!ENTITY a "aaaa">]><r>&a;</r>',
        "<!doctype html><r/>",
        "<r>&xxe;</r>",
        "<r>&#0;</r>",
        "<r>&#xD800;</r>",
        "<r>&#1114112;</r>",
        "<r>a & b</r>",
        "<r><![CDATA[x]]></r>",
        "<r><?php x?></r>",
        "<r></s></r>",
        "<r>",
        "</r>",
        "<r/><s/>",
        "x<r/>",
        "",
        "<r a=1/>",
        '<r a="1" a="2"/>',
        "<r><a<b></r>",
        "<1/>",
        "<r>\x00</r>",
        "<d>" * (DEPTH_MAX + 1) + "</d>" * (DEPTH_MAX + 1),
        "<r>" + "<e/>" * (ELEMENTS_MAX + 1) + "</r>",
        "<r>" + "x" * (1 << 20) + "</r>",
        "<r " + " ".join(f'a{n}="1"' for n in range(30)) + "/>",
    ],
)  # fmt: skip
def test_hostile_and_broken_texts_are_refused(text: str) -> None:
    with pytest.raises(BadText):
        read_xml(text)


def test_packets_are_taken_apart_and_trimmed() -> None:
    heard = read_packet(
        "<root><common><project_id> 110108900 </project_id><gateway_id>1\n</gateway_id><type>\tresult</type>"
        "<type>time</type></common><id_validate operation='result'><result>\r\npass\r\n</result><n> 12 </n><m>x</m>"
        "</id_validate></root>",
        body=BODY,
    )
    assert (heard.project, heard.gateway, heard.types) == ("110108900", "1", ("result", "time"))
    assert (heard.value("result"), heard.number("n"), heard.number("m"), heard.number("o")) == ("pass", 12, None, None)


@pytest.mark.parametrize(
    "text",
    ["<root></root>", "<root><common></common></root>", "<root><common><type></type></common></root>",
     f"<root><common><type>{'x' * 201}</type></common></root>"],
)  # fmt: skip
def test_a_document_that_is_no_packet_is_refused(text: str) -> None:
    with pytest.raises(BadText):
        read_packet(text, body=BODY)


@given(st.datetimes(datetime(1991, 1, 1), datetime(2149, 1, 1)))  # noqa: DTZ001 - made aware below
def test_clocks_come_back(moment: datetime) -> None:
    instant = moment.replace(microsecond=0, tzinfo=UTC)
    assert read_clock(write_clock(instant, zone=ZONE), zone=ZONE) == instant


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "00010101000000",
        "99991231235959",
        "2026",
        "20261301000000",
        "20260230000000",
        "2026-01-01 00:00",
        "x" * 14,
    ],
)
def test_what_is_no_clock_is_none(text: str | None) -> None:
    assert read_clock(text, zone=ZONE) is None


DIALECTS = {name: shipped_dialect(name) for name in dialect_paths(None)}


@given(st.sampled_from(sorted(DIALECTS)), st.floats(allow_nan=False, allow_infinity=False))
def test_a_value_arrives_exactly_as_it_was(name: str, value: float) -> None:
    dialect = DIALECTS[name]
    writer = Writer(dialect, project="1", gateway="2")
    told = Told("20260115083000", (Value("1101089002050120", "110108900010103", value), Value("b", "c", None)))
    heard = read_packet(writer.report(told, sequence="7"), body=dialect.body)
    leaves = [leaf for group in heard.body.children for leaf in _leaves(group) if "error" in leaf.attributes]
    assert float(leaves[0].text) == value
    assert "e" not in leaves[0].text
    assert (leaves[0].attributes["error"], leaves[1].attributes["error"], leaves[1].text) == ("0", "1", "")


def _leaves(element: Element) -> list[Element]:
    return [element, *(leaf for child in element.children for leaf in _leaves(child))]


def test_codes_stand_where_the_dialect_wants_them() -> None:
    told = Told("20260115083000", (Value("1101089002050120", "110108900010103", 1.5),))
    plain = read_packet(
        Writer(shipped_dialect("g2009"), project="1", gateway="2").report(told, sequence="7"), body=BODY
    )
    meter = plain.body.children[-1]
    assert (meter.name, dict(meter.attributes)) == ("meter", {"id": "1", "conn": "conn"})
    assert dict(meter.children[0].attributes) == {
        "id": "1", "coding": "1101089002050120", "error": "0", "sample_time": "20260115083000",
    }  # fmt: skip
    writer = Writer(shipped_dialect("g2009_2013"), project="1", gateway="2")
    meter = read_packet(writer.report(told, sequence="7"), body=BODY).body.children[-1]
    assert meter.attributes["id"] == "110108900010103"
    assert meter.children[0].attributes["id"] == "1101089002050120"
    assert meter.children[0].attributes["coding"] == "192"


def test_invalid_values_say_so_and_a_meter_without_any_valid_one_is_disconnected() -> None:
    told = Told("20260115083000", (Value("1101089002050120", "", None), Value("1101089002051106", "", 3.0)))
    text = Writer(shipped_dialect("g2009", {"body": {"quality_in": "quality"}}), project="1", gateway="2").report(
        told, sequence="7"
    )
    first, second = read_packet(text, body=BODY).body.children[-2:]
    assert (first.attributes["conn"], second.attributes["conn"]) == ("disconn", "conn")
    assert (first.children[0].attributes["quality"], second.children[0].attributes["quality"]) == ("0", "192")


@pytest.mark.parametrize(
    ("quality_in", "said"),
    [("none", {"coding": "1101089002050120", "error": "1"}), ("quality", {"error": "0", "quality": "64"})],
)
def test_a_value_of_an_uncertain_instant_does_not_pass_as_certain(quality_in: str, said: dict[str, str]) -> None:
    told = Told("20260115083000", (Value("1101089002050120", "", 3.0, 64),))
    writer = Writer(shipped_dialect("g2009", {"body": {"quality_in": quality_in}}), project="1", gateway="2")
    leaf = read_packet(writer.report(told, sequence="7"), body=BODY).body.children[-1].children[0]
    assert leaf.text == "3"
    assert {name: leaf.attributes[name] for name in said} == said


@pytest.mark.parametrize("form", ["energy_items", "meters"])
def test_a_form_without_a_place_for_the_quality_tells_a_doubtful_value_as_an_error(form: str) -> None:
    dialect = shipped_dialect("g2009", {"body": {"data": form, "quality_in": "coding"}})
    told = Told("20260115083000", (Value("1101089002050120", "", 3.0, 64), Value("1101089002050111", "", 4.0, 192)))
    text = Writer(dialect, project="p", gateway="g").report(told, sequence="1")
    assert text.count('error="1"') == text.count('error="0"') == 1
