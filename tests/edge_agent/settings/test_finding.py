"""A finding on a terminal: the caret stands under the fault even behind Chinese characters."""

import unicodedata

from edge_agent.settings.finding import Finding, render


def cells(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


FINDING = Finding(
    "tariff.yaml", 24, 17, "needs_number", "必须是数字", "must be a number", "写 0.388", "write 0.388",
    excerpt="  备注: 示范, valley: 0.388元", width=6,
)  # fmt: skip


def test_both_languages_place_line_caret_and_hint() -> None:
    place, line, caret = render(FINDING, "zh").split("\n")
    assert place == "tariff.yaml:24:17  必须是数字 / must be a number"
    assert line.endswith("备注: 示范, valley: 0.388元")
    at = len(line) - len(FINDING.excerpt) + 16
    assert cells(caret[: caret.index("^")]) == cells(line[:at])
    assert caret.endswith("^ 写 0.388 / write 0.388")


def test_english_alone() -> None:
    assert "必须" not in render(FINDING, "en").split("\n")[0]
    assert FINDING.as_dict("en")["hint"] == "write 0.388"


def test_whole_file_has_no_place() -> None:
    assert render(Finding("site.yaml", 0, 0, "file_missing", "没有", "missing"), "zh") == "site.yaml  没有 / missing"
