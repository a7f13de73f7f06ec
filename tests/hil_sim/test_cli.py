"""The command line of the simulator: what `list` says, and how wrong usage ends. Runs are in tests/system."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from hil_sim.cli import main
from hil_sim.scenario import names


def test_list_names_every_plant_and_scenario() -> None:
    answer = CliRunner().invoke(main, ["list", "--json"])
    assert answer.exit_code == 0
    listed = json.loads(answer.stdout)
    assert listed["schema"] == "list/1"
    assert [scenario["name"] for scenario in listed["scenarios"]] == [*names()]
    assert [plant["name"] for plant in listed["plants"]] == [
        "ground-office",
        "actuation-bench",
        "meter-bench",
        "crowd-bench",
    ]
    assert all(entry["zh"] and entry["en"] for entry in (*listed["scenarios"], *listed["plants"]))


def test_list_speaks_both_languages(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "冬季工作日" in CliRunner().invoke(main, ["list", "--lang", "zh"]).stdout
    assert "a winter weekday" in CliRunner().invoke(main, ["list", "--lang", "en"]).stdout
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert "场景" in CliRunner().invoke(main, ["list"]).stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "summer-night"], "summer-night"),
        (["run", "--plant", "moon-base"], "moon-base"),
        (["run", "--speed", "0"], "--speed"),
        (["run", "--days", "-1"], "--days"),
        (["run", "--broker", "nowhere"], "HOST:PORT"),
        (["run", "--broker", "host:99999"], "HOST:PORT"),
        (["demo", "--scenario", "x"], "winter-day"),
        (["serve", "--scenario", "x"], "winter-day"),
        (["fly"], "fly"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what(arguments: list[str], words: str) -> None:
    answer = CliRunner().invoke(main, arguments)
    assert answer.exit_code == 2
    assert words in answer.stderr


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom hil_sim.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print(*(name for name in ('pymodbus', 'amqtt', 'numpy', 'ortools', 'ruamel') if name in sys.modules))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-1] == ""
