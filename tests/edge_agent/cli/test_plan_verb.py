"""`edge-agent plan --request`: the documents in and out, and the exit statuses."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edge_agent.cli.plan import command
from scheduling.plan import check, read_plan
from scheduling.request import read_request

CASES = Path(__file__).parents[2] / "golden" / "cases"
TINY = CASES / "tiny_request.json"


def run(*arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(command, list(arguments), input=text)


def test_a_request_becomes_a_plan_on_stdout_and_nothing_else() -> None:
    done = run("--request", str(TINY), "--json", "--at", "2026-01-12T21:29:00Z")
    assert done.exit_code == 0
    plan = read_plan(done.stdout)
    assert check(read_request(TINY.read_bytes()), plan) == []
    assert plan.made_utc.minute == 29
    assert plan.objective_cny == pytest.approx(276.72, rel=1e-3)
    assert {reason.code for reason in plan.reasons} >= {"charge_cheap", "discharge_dear"}


def test_stdin_rule_and_hint(tmp_path: Path) -> None:
    text = TINY.read_text(encoding="utf-8")
    rule = run("--request", "-", "--json", "--method", "rule", text=text)
    assert rule.exit_code == 0
    assert read_plan(rule.stdout).method == "rule"
    hint = tmp_path / "hint.json"
    hint.write_text(rule.stdout, encoding="utf-8")
    hinted = run("--request", "-", "--json", "--hint", str(hint), text=text)
    assert hinted.exit_code == 0
    assert read_plan(hinted.stdout).objective_cny <= read_plan(rule.stdout).objective_cny + 0.011


@pytest.mark.parametrize("text", ["{", "{}", '{"schema": "plan-request/1", "foo": 1}'])
def test_a_faulty_document_ends_with_2_and_its_path(text: str) -> None:
    done = run("--request", "-", "--json", text=text)
    assert done.exit_code == 2
    assert json.loads(done.stdout)["path"].startswith("$")


def test_what_is_no_json_is_said_in_words() -> None:
    assert "不是 JSON:第 1 行第 2 列" in run("--request", "-", "--lang", "zh", text="{").stderr


def test_no_possible_plan_ends_with_1() -> None:
    document = json.loads(TINY.read_text(encoding="utf-8"))
    document["groups"][0]["units"][0].update(available=False, minutes_in_state=5)
    done = run("--request", "-", text=json.dumps(document))
    assert done.exit_code == 1
    assert "min_up" in done.stderr


@pytest.mark.parametrize("wrong", [["--at", "yesterday"], ["--hint", "/nowhere.json"], ["--limit", "0"]])
def test_wrong_usage_ends_with_2(wrong: list[str]) -> None:
    assert run("--request", str(TINY), *wrong).exit_code == 2


def test_for_people_in_two_languages() -> None:
    chinese = run("--request", str(TINY), "--why", "--lang", "zh")
    english = run("--request", str(TINY), "--why", "--lang", "en")
    assert chinese.stdout.startswith("tiny  2026-01-13 05:30 Asia/Shanghai: ")
    assert "蓄热" in chinese.stdout
    assert "05:30" in chinese.stdout
    assert "store" in english.stdout


def test_help_loads_no_solver() -> None:
    code = "import sys; import edge_agent.cli.plan; sys.exit('ortools' in sys.modules or 'pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
