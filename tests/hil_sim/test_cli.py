"""The command line of the simulator: what `list` says, and how wrong usage ends. Runs are in tests/system."""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from hil_sim.cli import main
from hil_sim.scenario import names

PROGRAM = str(Path(sys.executable).with_name("hil-sim"))


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


def test_the_platform_alone_tells_what_it_hears_and_holds() -> None:
    command = [PROGRAM, "platform", "--port", "0", "--json", "--misbehave", "acks.none"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        listening = json.loads(process.stdout.readline())
        assert listening["event"] == "listening"
        with socket.create_connection(("127.0.0.1", listening["port"])) as collector:
            collector.sendall(b"nonsense")
            packet = json.loads(process.stdout.readline())
        assert packet["saw"].startswith("wrong: head")
        process.send_signal(signal.SIGINT)
        held = json.loads(process.stdout.readline())
        assert (held["event"], held["periods"], held["wrong"]) == ("held", 0, {"head": 1})
        assert process.wait() == 130


def test_a_platform_knows_its_misbehaviours_by_name() -> None:
    command = [PROGRAM, "platform", "--misbehave", "acks.nun"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "acks.lost" in done.stderr
