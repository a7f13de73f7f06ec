"""Every command in the commissioning guide is one that the program takes."""

import re
import shlex
from pathlib import Path

import pytest

from edge_agent.cli import VERBS, main

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "commissioning.md"
COMMANDS = sorted(set(re.findall(r"edge-agent ((?:[a-z]+)[^`\n]*)", GUIDE.read_text(encoding="utf-8"))))


@pytest.mark.parametrize("line", COMMANDS)
def test_the_verb_and_its_options_exist(line: str) -> None:
    words = shlex.split(line.split("  ", maxsplit=1)[0].rstrip("。"))
    command = main.get_command(main.make_context("edge-agent", ["--help"], resilient_parsing=True), words[0])
    assert words[0] in VERBS
    assert command is not None
    if words[0] == "scan":
        command = command.get_command(None, words[1])  # type: ignore[attr-defined]  # a group
    options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= options, line


def test_the_guide_shows_every_commissioning_verb() -> None:
    assert {line.split()[0] for line in COMMANDS} >= {"scan", "probe", "read", "bus", "prove", "check", "mode"}
