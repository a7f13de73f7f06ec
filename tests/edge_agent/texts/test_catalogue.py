"""The catalogue of texts: complete in both languages, equal placeholders, no code without a text."""
# ruff: noqa: ANN001 - fixtures and parameters are known by their names

import ast
import re
import string
from pathlib import Path

import pytest

import drivers
import edge_agent
from drivers.sample import Cause, Quality
from drivers.writing import Reason
from edge_agent.texts import alarms, commissioning, delivery, operation, profiles, quality, refusals, settings, tariff
from edge_agent.texts.catalogue import TEXTS, text


def placeholders(*parts: str) -> set[str]:
    """Names in braces; `what_zh` and `what_en` are the same thing in two languages, `about_en` exists in one only."""
    names = {name for part in parts for _, name, _, _ in string.Formatter().parse(part) if name}
    return {re.sub(r"_(zh|en)$", "", name) for name in names if name != "about_en"}


@pytest.mark.parametrize("code", sorted(TEXTS))
def test_text_is_complete(code) -> None:
    entry = TEXTS[code]
    assert entry.zh
    assert entry.en
    assert bool(entry.hint_zh) == bool(entry.hint_en)
    assert placeholders(entry.zh, entry.hint_zh) == placeholders(entry.en, entry.hint_en)
    assert not re.search("[\u4e00-\u9fff]", entry.en + entry.hint_en)


@pytest.mark.parametrize("code", sorted(TEXTS))
def test_a_remedy_can_be_typed_as_it_stands(code) -> None:
    """A verb that asks for a name and a reason is shown with both."""
    entry = TEXTS[code]
    for words, options in ((entry.hint_zh, "--by 姓名 --reason 原因"), (entry.hint_en, "--by NAME --reason TEXT")):
        if re.search(r"edge-agent (mode|override|release)\b", words):
            assert options in words


def test_codes_are_unique() -> None:
    parts = (settings, quality, refusals, alarms, commissioning, delivery, operation, profiles, tariff)
    assert len(TEXTS) == sum(len(part.TEXTS) for part in parts)


def test_every_cause_quality_and_reason_has_a_text() -> None:
    codes = {cause.value for cause in Cause} | {reason.value for reason in Reason}
    codes |= {f"quality_{level.name.lower()}" for level in Quality}
    assert (codes - {""}) - set(TEXTS) == set()


def called_with_codes(path: Path) -> set[str]:
    """Codes in calls that look a text up, or raise a code for somebody else to look up."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        values = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
        if name in {"finding", "_at", "_whole", "text", "_slip", "_wide"}:
            values += node.args
        found |= {
            constant.value
            for value in values
            for constant in ast.walk(value)
            if isinstance(constant, ast.Constant)
            and isinstance(constant.value, str)
            and re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)+", constant.value)
        }
    return found


# Keys of the files, which stand in the same calls as paths.
KEYS = {
    "operating_modes", "supply_degc_max", "supply_degc_min", "supply_setpoint_degc", "degc_max", "degc_min", "period_s",
    "charge_setpoint_degc", "demand_window_min", "period_min", "identical_to", "start_mode", "simulated_clock",
    "capacity_limit", "supply_setpoint", "stage_request", "units_in", "project_id", "gateway_id", "design_kw",
    "volume_m3", "loss_ratio_per_day",
}  # fmt: skip


def test_every_code_in_use_has_a_text() -> None:
    paths = [*(Path(edge_agent.__file__).parent / "settings").glob("*.py"), *Path(drivers.__file__).parent.glob("*.py")]
    used = set().union(*(called_with_codes(path) for path in paths))
    assert len(used) > 60  # the search itself works
    assert used - KEYS - set(TEXTS) == set()


def test_unknown_code_is_shown_with_its_values() -> None:
    assert text("no_such_code", unit="hp1").zh == "no_such_code unit=hp1"


def test_missing_value_does_not_lose_the_alarm() -> None:
    assert text("unit_tripped", unit="hp1").en == "hp1 tripped, code ?"


def test_every_alarm_and_refusal_of_control_has_a_text() -> None:
    used = set()
    for path in (Path(edge_agent.__file__).parent / "control").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                listed = ast.unparse(node.func) in {"obstacles.append", "codes.append"}
                if listed or name in {"Alarm", "Refused", "Refusal", "_fail"}:
                    used.add(node.args[0].value)
    assert len(used) > 30  # the search itself works
    assert used - set(TEXTS) == set()


def test_reason_that_is_a_code_is_worded() -> None:
    words = text("unit_start_failed", unit="hp1", reason="user_flow_not_proven")
    assert words.zh == "hp1 未能启动:用户侧没有水流"
    assert words.en == "hp1 did not start: no flow on the user side"
    assert text("unit_start_failed", unit="hp1", reason="timeout on COM3").en.endswith(": timeout on COM3")
