"""`edge-agent plan --request`: the documents in and out, and the exit statuses."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.cli.plan import command
from edge_agent.cli.plan_show import WIDTH_MAX, cells, method_words, wrapped
from scheduling.carried import shifted
from scheduling.plan import check, read_plan
from scheduling.request import read_request
from scheduling.rule import plan_by_rule

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


@pytest.mark.parametrize("key", ["price_cny_per_kwh", "timezone", "groups"])
def test_a_missing_price_or_part_is_refused_by_name(key: str) -> None:
    document = json.loads(TINY.read_text(encoding="utf-8"))
    del document[key]
    done = run("--request", "-", "--json", text=json.dumps(document))
    assert done.exit_code == 2
    assert json.loads(done.stdout)["path"] == f"$.{key}"


@pytest.mark.parametrize("text", ["{", "{}", '{"schema": "plan-request/1", "foo": 1}'])
def test_a_faulty_document_ends_with_2_and_its_path(text: str) -> None:
    done = run("--request", "-", "--json", text=text)
    assert done.exit_code == 2
    assert json.loads(done.stdout)["path"].startswith("$")


def changed(path: list[str | int], value: object) -> str:
    """The tiny request with one value changed."""
    document = json.loads(TINY.read_text(encoding="utf-8"))
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return json.dumps(document)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (changed(["grid", "start_utc"], "9999-12-31T23:00:00Z"), "$.grid.start_utc"),
        (changed(["grid", "start_utc"], "0001-01-01T00:00:00Z"), "$.grid.start_utc"),
        (changed(["grid", "step_minutes"], 1e12), "$.grid.step_minutes"),
        (changed(["grid", "step_minutes"], [1e308] * 6), "$.grid.step_minutes"),
        (changed(["grid", "steps"], 3001), "$.grid.steps"),
        (changed(["price_cny_per_kwh"], [0.5, 1e308, 0.5, 0.5, 0.5, 0.5]), "$.price_cny_per_kwh[1]"),
        (changed(["loops", 0, "load_kw"], [1e200] * 6), "$.loops[0].load_kw[0]"),
        (changed(["other_load_kw"], -1e12), "$.other_load_kw"),
        (changed(["groups", 0, "modes", 0, "capacity_kw"], 2e9), "$.groups[0].modes[0].capacity_kw"),
        (TINY.read_text(encoding="utf-8").rstrip()[:-1] + ', "name": "other"}', "$.name"),
        (changed(["loops"], 0).replace('"loops": 0', '"loops": [{"name": "a", "name": "b"}]'), "$.loops[0].name"),
        ("[" * 100_000, "$"),
        ("9" * 5000, "$"),
    ],
)
def test_what_no_plant_has_is_refused_with_its_path_and_no_traceback(text: str, path: str) -> None:
    done = run("--request", "-", "--json", "--limit", "1", text=text)
    assert done.exit_code == 2, done.output[-500:]
    assert json.loads(done.stdout)["path"] == path


@pytest.mark.parametrize(
    ("key", "value", "path"),
    [
        ("mode", ["direct", "direct"], "$.units.HP1.mode"),
        ("load_kw", [1.0] * 7, "$.units.HP1.load_kw"),
        ("step_minutes", [], "$.step_minutes"),
        ("step_minutes", [1e12] * 6, "$.step_minutes"),
        ("grid_start_utc", "9999-12-31T23:00:00Z", "$.grid_start_utc"),
        ("grid_start_utc", "0001-01-01T00:00:00Z", "$.grid_start_utc"),
    ],
)
def test_a_hint_that_is_no_plan_is_refused_with_its_path(tmp_path: Path, key: str, value: object, path: str) -> None:
    hint = json.loads(plan_by_rule(read_request(TINY.read_bytes())).to_json())
    (hint["units"]["HP1"] if key in ("mode", "load_kw") else hint)[key] = value
    file = tmp_path / "hint.json"
    file.write_text(json.dumps(hint), encoding="utf-8")
    done = run("--request", str(TINY), "--json", "--limit", "1", "--hint", str(file))
    assert done.exit_code == 2, done.output[-500:]
    assert json.loads(done.stdout)["path"] == path


def test_a_hint_of_long_ago_takes_no_time() -> None:
    request = read_request(TINY.read_bytes())
    plan = plan_by_rule(request)
    old = plan.model_copy(update={"grid_start_utc": datetime(1970, 1, 1, 21, 30, tzinfo=UTC)})
    assert shifted(request, old)[0].keys() == plan.units.keys()


def test_what_is_no_json_is_said_in_words() -> None:
    assert "不是 JSON:第 1 行第 2 列" in run("--request", "-", "--lang", "zh", text="{").stderr


def test_no_possible_plan_ends_with_1() -> None:
    document = json.loads(TINY.read_text(encoding="utf-8"))
    document["groups"][0]["units"][0].update(available=False, minutes_in_state=5)
    done = run("--request", "-", "--lang", "zh", text=json.dumps(document))
    assert done.exit_code == 1
    assert "HP1 01-13 05:30: 最短运行时间未满就要停 (55 minutes)" in done.stderr
    assert "HP1 正在运行,却不可用" in done.stderr


def test_a_limit_that_others_already_pass_ends_with_1_and_says_so() -> None:
    document = json.loads(TINY.read_text(encoding="utf-8"))
    document["other_load_kw"] = 80.0
    document["grid_caps"][0].update(hard=True)
    done = run("--request", "-", "--lang", "en", text=json.dumps(document))
    assert done.exit_code == 1
    assert "power above a limit that may not be passed" in done.stderr


def test_a_plant_too_small_is_planned_and_the_lack_is_explained() -> None:
    document = json.loads(TINY.read_text(encoding="utf-8"))
    document["loops"][0]["load_kw"] = [1500.0] * 6
    done = run("--request", "-", "--lang", "zh", text=json.dumps(document))  # without --why: a lack is always said
    assert done.exit_code == 0
    assert "缺供" in done.stdout
    assert "负荷 1500 kW,机组和辅助热源全开 800 kW" in done.stdout


@pytest.mark.parametrize("wrong", [["--at", "yesterday"], ["--hint", "/nowhere.json"], ["--limit", "0"]])
def test_wrong_usage_ends_with_2(wrong: list[str]) -> None:
    assert run("--request", str(TINY), *wrong).exit_code == 2


def test_for_people_in_two_languages() -> None:
    chinese = run("--request", str(TINY), "--why", "--lang", "zh").stdout
    english = run("--request", str(TINY), "--why", "--lang", "en").stdout
    assert chinese.startswith("tiny  2026-01-13 周二 05:30 起 5.5 小时  优化计划\n费用 277 元\n")
    for said in ("不蓄能", "按常规规则 287 元", "理论下限 277 元", "蓄热", "不蓄约多花", "放热", "不开最多缺"):
        assert said.replace(" ", "") in "".join(chinese.split())
    assert english.startswith("tiny  Tue 2026-01-13 from 05:30, 5.5 h  optimised plan\ncost 277 CNY\n")
    for said in ("without storage", "operator's rule 287 CNY", "lower bound 277 CNY", "not storing would cost about"):
        assert said in " ".join(english.split())
    assert not {"milp", "gap", "solver", "relaxed"} & set(english.lower().replace(",", " ").split())
    assert not {"milp", "gap"} & set(chinese.lower().split())
    assert max(cells(line) for line in chinese.splitlines()) <= WIDTH_MAX


@given(st.text(alphabet="蓄热kWh 0123456789,;:()元→", max_size=300), st.integers(20, 60))
def test_wrapping_loses_nothing_and_keeps_the_width(text: str, width: int) -> None:
    lines = list(wrapped(text, indent="    ", width=width))
    assert "".join("".join(lines).split()) == "".join(text.split())
    for line in lines:
        assert line.startswith("    ")
        # Only a word that is itself too long may stand out.
        assert cells(line) <= width or not any(sign in line.strip() for sign in "蓄热元 ,;:")


@pytest.mark.parametrize(
    ("method", "gap", "said"),
    [
        ("milp", 0.0, "优化计划,最多还能省 0.1 %"),
        ("milp", 0.0123, "优化计划,最多还能省 1.3 %"),
        ("relaxed", None, "简化优化的计划"),
        ("rule", None, "按常规规则的计划"),
    ],
)
def test_ways_of_planning_have_names_for_people(method: str, gap: float | None, said: str) -> None:
    assert method_words(method, gap)[0] == said


def test_help_loads_no_solver() -> None:
    code = "import sys; import edge_agent.cli.plan; sys.exit('ortools' in sys.modules or 'pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("text", ["[]", "null", "5", "{}", '{"terminal": null}'])
def test_what_is_no_request_is_refused_in_words(text: str) -> None:
    for language in ("zh", "en"):
        done = run("--request", "-", "--lang", language, text=text)
        assert done.exit_code == 2
        assert "$" in done.stderr


def test_a_byte_order_mark_is_no_mistake() -> None:
    done = run("--request", "-", "--json", "--method", "rule", text="\ufeff" + TINY.read_text(encoding="utf-8"))
    assert done.exit_code == 0


@pytest.mark.parametrize("option", ["--limit", "--gap"])
@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_number_that_is_none_is_refused(option: str, value: str) -> None:
    done = run("--request", str(TINY), option, value)
    assert done.exit_code == 2
    assert value in done.stderr


def test_a_plant_without_any_unit_has_a_plan_that_lacks_everything() -> None:
    document = json.loads(TINY.read_text(encoding="utf-8"))
    document |= {"groups": [], "aux": []}
    done = run("--request", "-", "--json", text=json.dumps(document))
    assert done.exit_code == 0
    plan = read_plan(done.stdout)
    (loop,) = plan.loops.values()
    assert min(loop.unmet_kw) >= 0.0
    assert max(loop.unmet_kw) > 200.0


def test_a_mean_counts_how_long_the_steps_are() -> None:
    """The first of the two steps from 05:30 to 07:00 is half as long as the second."""
    plan = read_plan(run("--request", str(TINY), "--json").stdout)
    kws = plan.storages["tank"].charge_kw[:2]
    mean_kw = (kws[0] * 0.5 + kws[1] * 1.0) / 1.5
    assert abs(kws[0] - kws[1]) > 10.0, "else every mean is the same"
    assert f"05:30–07:00          蓄 {mean_kw:.0f} kW" in run("--request", str(TINY), "--lang", "zh").stdout


def test_a_bound_below_a_plan_that_lacks_something_is_told_with_what_the_lack_costs() -> None:
    document = json.loads(TINY.read_text(encoding="utf-8"))
    document |= {"aux": []}
    document["loops"][0]["load_kw"] = [3 * kw for kw in document["loops"][0]["load_kw"]]
    printed = run("--request", "-", "--lang", "en", text=json.dumps(document)).stdout
    assert "with what is lacking or above limits at its price; lower bound" in printed
    assert "no way of running" not in printed


def test_times_and_sums_stay_whole_where_lines_break() -> None:
    text = "used 16:15–16:45, 2 679 CNY, and so on"
    for width in range(8, 40):
        lines = list(wrapped(text, indent="", width=width))
        assert any("16:15" in line for line in lines)
        assert any("2 679" in line for line in lines)
