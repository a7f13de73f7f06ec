"""The command line: exit status, one JSON object, languages, and what must not be loaded."""
# ruff: noqa: ANN001 - fixtures and parameters are known by their names

import importlib
import json
import subprocess
import sys
from datetime import date
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from drivers.errors import NoAnswer, ProfileFault
from edge_agent import cli
from edge_agent.cli import VERBS, main
from edge_agent.cli.check import calendar_not_begun
from edge_agent.cli.common import Common, Exit, default_language, emit, shared_options
from edge_agent.errors import (
    ConfigurationFault,
    EdgeAgentError,
    RefusedByInterlock,
    RetryUplink,
    ServiceUnreachable,
    StoreFault,
)
from edge_agent.settings.files import FILES, shipped_config
from edge_agent.settings.load import load_configuration

EXAMPLE = shipped_config() / "plants" / "ground-office"


def run(*arguments: str, lang: str = "en_GB.UTF-8") -> Result:
    return CliRunner(env={"LANG": lang, "EDGE_AGENT_CONFIG": ""}).invoke(main, list(arguments))


@pytest.mark.parametrize("arguments", [["--help"], ["check", "--help"], ["check", "--config", str(EXAMPLE)]])
def test_help_and_check_load_nothing_heavy(arguments) -> None:
    program = (
        "import sys\n"
        "from edge_agent.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "names = 'ortools pymodbus serial aiomqtt amqtt numpy sqlite3 asyncio'.split()\n"
        "heavy = set(names) & set(sys.modules)\n"
        "if '--help' in sys.argv:\n    heavy |= {'pydantic', 'ruamel.yaml'} & set(sys.modules)\n"
        "print('heavy:', sorted(heavy))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("heavy: []")


def test_verbs_that_reach_devices_load_neither_planner_nor_uplink() -> None:
    program = (
        "import sys\n"
        "import edge_agent.attended, edge_agent.direct, edge_agent.cli.wires\n"
        "heavy = {'ortools', 'numpy', 'aiomqtt', 'edge_agent.app', 'edge_agent.planner'} & set(sys.modules)\n"
        "sys.exit(f'heavy: {sorted(heavy)}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_help_lists_the_verbs_that_are_there_and_imports_none(monkeypatch) -> None:
    monkeypatch.setattr(cli, "VERBS", {**VERBS, "bundle": ("支持包", "support archive")})
    result = run("--help")
    assert result.exit_code == 0
    for verb in ("check", "init", "schema"):
        assert VERBS[verb][1] in result.output
    assert "bundle" not in result.output
    assert run("bundle").exit_code == Exit.USAGE
    assert VERBS["check"][0] in run("--help", lang="zh_CN.UTF-8").output


def test_every_verb_module_defines_a_command() -> None:
    modules = {path.stem for path in Path(cli.__file__).parent.glob("*.py")}
    assert {"check", "init", "schema"} <= modules
    for module in modules - {"__init__", "common"}:
        if hasattr(importlib.import_module(f"edge_agent.cli.{module}"), "command"):
            assert module in VERBS, f"{module} is not in the table of verbs: nobody can call it"
            assert run(module, "--help").exit_code == 0, module


def test_check_of_the_example() -> None:
    result = run("check", "--config", str(EXAMPLE))
    assert result.exit_code == Exit.OK
    assert "passed" in result.stdout
    explained = run("check", "--config", str(EXAMPLE), "--explain", "--lang", "zh").stdout
    assert "2400 kW" in explained
    assert "监测导则" in explained


def test_check_shows_what_is_wrong_with_a_file_that_a_service_writes(plant) -> None:
    plant.replace("site.yaml", "weather_file: null", "weather_file: weather.csv")
    plant.write("weather.csv", "start,outdoor_degc\n2026-12-01T00:00,-3\n2026-12-01T01:00,warm\n")
    result = run("check", "--config", str(plant.folder))
    assert result.exit_code == Exit.OK
    assert "weather.csv:3" in result.stdout
    plant.write("site.yaml", plant.text("site.yaml").replace("weather.csv", "none.csv"))
    assert "none.csv  there is no such file" in run("check", "--config", str(plant.folder)).stdout


def test_check_reports_place_and_hint_in_json(plant) -> None:
    plant.replace("site.yaml", "replan_min: 15", "replan_min: 15分")
    result = run("check", "--config", str(plant.folder), "--json")
    assert result.exit_code == Exit.FINDING
    told = json.loads(result.stdout)
    assert told["schema"] == "check/1"
    assert told["ok"] is False
    (error,) = told["errors"]
    assert error["file"] == "site.yaml"
    assert plant.text("site.yaml").split("\n")[error["line"] - 1][error["column"] - 1 :].startswith("15分")
    assert error["hint"] == "write 15; the unit is in the key's name"
    assert told["warnings"]
    zh = json.loads(run("check", "--config", str(plant.folder), "--json", lang="zh_CN.UTF-8").stdout)
    assert zh["errors"][0]["message"].startswith("replan_min 必须是整数")


def test_check_for_people_shows_line_and_caret(plant) -> None:
    plant.replace("site.yaml", "replan_min: 15", "replan_min: 15分")
    result = run("check", "--config", str(plant.folder), "--lang", "zh")
    assert result.exit_code == Exit.FINDING
    assert "^^^^ 写 15" in result.stdout
    assert "未通过" in result.stdout


def test_check_without_a_folder(tmp_path) -> None:
    assert run("check", "--config", str(tmp_path / "nowhere")).exit_code == Exit.FINDING


def test_configuration_comes_from_the_environment(plant) -> None:
    result = CliRunner(env={"EDGE_AGENT_CONFIG": str(plant.folder)}).invoke(main, ["check", "--json"])
    assert json.loads(result.stdout)["ok"] is True


def test_init_writes_a_configuration_for_a_real_plant_and_never_overwrites(tmp_path) -> None:
    target = tmp_path / "new" / "plant"
    result = run("init", str(target), "--json")
    assert result.exit_code == Exit.OK
    assert json.loads(result.stdout) == {"schema": "init/1", "files": [str(target / file) for file in FILES]}
    site = load_configuration(target).site
    assert not site.site.simulated
    assert site.commissioning.signed_by is None
    assert site.commissioning.start_mode == "monitor"
    for file in FILES[1:]:
        assert (target / file).read_text(encoding="utf-8") == (EXAMPLE / file).read_text(encoding="utf-8")
    (target / "site.yaml").write_text("mine", encoding="utf-8")
    (target / "tariff.yaml").unlink()
    again = run("init", str(target))
    assert again.exit_code == Exit.USAGE
    assert "not overwritten" in again.stderr
    assert (target / "site.yaml").read_text(encoding="utf-8") == "mine"
    assert not (target / "tariff.yaml").exists()


def test_init_names_the_examples(tmp_path) -> None:
    result = run("init", str(tmp_path / "x"), "--from", "nope")
    assert result.exit_code == Exit.USAGE
    assert "ground-office" in result.stderr


@pytest.mark.parametrize("file", ["site", "devices", "tariff", "profile", "uplink"])
def test_schema_is_json(file) -> None:
    assert json.loads(run("schema", file).stdout)["$schema"]
    assert json.loads(run("schema", file, "--json").stdout)["schema"] == "schema/1"


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (ConfigurationFault("x"), 2),
        (ServiceUnreachable("x"), 1),
        (StoreFault("x"), 1),
        (RetryUplink("x"), 4),
        (RefusedByInterlock("x"), 5),
        (EdgeAgentError("x"), 1),
        (NoAnswer("x"), 3),
        (ProfileFault("x", code="profile_bad_value"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_exit_status_of_each_fault(fault, status) -> None:
    @click.command("demo")
    @shared_options
    def command(_: Common) -> None:
        raise fault

    plain = CliRunner().invoke(command, [])
    assert plain.exit_code == status
    assert plain.stdout == ""
    if status != 130:
        told = json.loads(CliRunner().invoke(command, ["--json"]).stdout)
        assert (told["schema"], told["error"]) == ("demo/1", type(fault).__name__)


def test_faulty_configuration_of_a_verb_is_printed_on_stderr_and_in_json(plant) -> None:
    plant.replace("site.yaml", "replan_min: 15", "replan_min: 0")

    @click.group("edge-agent")
    def group() -> None: ...

    @group.command("plan")
    @shared_options
    def command(common: Common) -> None:
        load_configuration(common.config)

    result = CliRunner().invoke(group, ["plan", "--config", str(plant.folder), "--json", "--lang", "en"])
    assert result.exit_code == Exit.USAGE
    told = json.loads(result.stdout)
    assert told["schema"] == "plan/1"
    assert told["errors"][0]["line"] > 0
    assert "replan_min" in result.stderr


def test_emit_refuses_what_is_no_json(capsys) -> None:
    emit("x/1", {"text": "峰", "none": None})
    assert capsys.readouterr().out == '{"schema": "x/1", "text": "峰", "none": null}\n'
    with pytest.raises(ValueError, match="JSON"):
        emit("x/1", {"value": float("nan")})


@pytest.mark.parametrize(
    ("lang", "language"), [("zh_CN.UTF-8", "zh"), ("zh", "zh"), ("en_US.UTF-8", "en"), ("", "en"), ("C", "en")]
)
def test_language_from_lang(monkeypatch, lang, language) -> None:
    monkeypatch.setenv("LANG", lang)
    assert default_language() == language


def test_check_shows_each_warning_in_a_line_and_counts_them_in_the_result() -> None:
    told = json.loads(run("check", "--config", str(EXAMPLE), "--json").stdout)["warnings"]
    assert told
    lines = run("check", "--config", str(EXAMPLE), "--lang", "zh").stdout.splitlines()
    assert len([line for line in lines if line.startswith("  警告 uplink.yaml:")]) == len(told)
    assert lines[-1] == f"结果: 通过,{len(told)} 处警告"


def test_a_calendar_that_is_not_valid_yet_is_a_warning() -> None:
    configuration = load_configuration(EXAMPLE)
    begins = configuration.tariff.calendars[0].valid_from
    assert calendar_not_begun(configuration, begins) is None
    early = calendar_not_begun(configuration, date(begins.year - 1, 1, 1))
    assert early is not None
    assert early.severity == "warning"
    assert str(begins) in early.zh
    assert str(begins) in early.en


@pytest.mark.parametrize("verb", ["status", "upload"])
def test_a_service_that_does_not_run_is_named_in_one_language_with_the_remedy(plant, verb) -> None:
    words = [verb] if verb == "status" else [verb, "status"]
    for lang, there, not_there in (("en", "is not running", "服务"), ("zh", "服务没有运行", "running")):
        result = run(*words, "--config", str(plant.folder), "--lang", lang)
        assert result.exit_code == Exit.FINDING
        assert there in result.stderr
        assert not_there not in result.stderr
        assert "systemctl start edge-agent" in result.stderr


def test_a_refusal_has_one_prefix(plant) -> None:
    point = next(
        name for name, spec in load_configuration(plant.folder).profiles["hp1"].points.items() if spec.write is None
    )
    result = run("prove", "hp1", "--command", point, "--config", str(plant.folder), "--lang", "zh")
    assert result.exit_code == Exit.REFUSED
    assert result.stderr.startswith("拒绝: ")
    assert result.stderr.count("拒绝") == 1


def test_a_serial_port_that_is_not_there_is_no_fault_of_the_cable() -> None:
    result = run("scan", "rtu", "/dev/ttyUSB99", "--lang", "zh")
    assert result.exit_code == Exit.DEVICE
    assert "没有串口 /dev/ttyUSB99" in result.stderr
    assert "网线" not in result.stderr
