"""`hil-sim run`, `demo` and `serve` as a user starts them: processes, signals, exit status, one JSON object."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_agent.clock import elapsed_s

pytestmark = [pytest.mark.system, pytest.mark.slow]

HIL_SIM = (sys.executable, "-m", "hil_sim.cli")
LIMIT_S = 200.0
"""Only ends what would never come; a busy machine may take ten times as long as an idle one."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where the runs put their folders; short, for the path of a socket ends at 107 bytes (unix(7), sun_path)."""
    with tempfile.TemporaryDirectory(prefix="t-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.fixture
def environment(folder: Path) -> dict[str, str]:
    """Run folders go to the test's own place."""
    return os.environ | {"TMPDIR": str(folder), "PYTHONSAFEPATH": "1", "LANG": "C.UTF-8"}


def test_three_kills_lose_nothing_and_the_score_is_one_json_object(environment: dict[str, str], folder: Path) -> None:
    run = subprocess.run(
        [*HIL_SIM, "run", "winter-day-kills", "--days", "0.06", "--speed", "480", "--json"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert run.returncode == 0, run.stderr + run.stdout
    score: dict[str, Any] = json.loads(run.stdout)
    assert run.stdout.count("\n") == 1
    assert score["schema"] == "run/1"
    assert score["agent_starts"] == 4
    assert (score["samples_lost"], score["wrong_values"], score["records_lost"]) == (0, 0, 0)
    assert score["records_due"] == score["records_acknowledged"] == 5
    assert score["invariant_violations"] == []
    assert abs(score["energy_residual_relative"]) < 1e-9
    assert list(folder.glob("hil-sim-*")) == []  # nothing to look at, nothing left behind


class Terminal:
    """Reads a pseudo terminal in the background, as a terminal window does."""

    def __init__(self) -> None:
        self._master, self.slave = pty.openpty()
        self.text = ""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while True:
            try:
                portion = os.read(self._master, 65_536)
            except OSError:  # the last writer has gone
                return
            self.text += portion.decode("utf-8", errors="replace")

    def hung_up(self) -> None:
        """After the child has ended: closes our end and waits for the rest of the text."""
        os.close(self.slave)
        self._thread.join(20.0)
        os.close(self._master)


def wait_for(condition: Callable[[], bool], what: str, *, limit_s: float = LIMIT_S) -> None:
    end_s = elapsed_s() + limit_s
    while not condition():
        assert elapsed_s() < end_s, f"no {what} within {limit_s} s"
        select.select([], [], [], 0.05)


@pytest.fixture
def terminal() -> Terminal:
    return Terminal()


def test_the_demo_shows_the_plant_on_a_terminal_and_ends_with_the_score(
    environment: dict[str, str], terminal: Terminal
) -> None:
    demo = subprocess.Popen(
        [*HIL_SIM, "demo", "--speed", "240", "--lang", "zh"],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=terminal.slave,
        stderr=terminal.slave,
    )
    try:
        wait_for(lambda: "蓄热罐" in terminal.text, "first picture", limit_s=30.0)
        wait_for(lambda: re.search(r"制定,优化", terminal.text) is not None, "plan of the agent on the picture")
        demo.send_signal(signal.SIGINT)
        assert demo.wait(LIMIT_S) == 130
    finally:
        demo.kill()
        demo.wait()
        terminal.hung_up()
    assert terminal.text.startswith("\x1b[?1049h\x1b[?25l")
    picture, _, rest = terminal.text.partition("\x1b[?25h\x1b[?1049l")
    assert all(word in picture for word in ("hp4", "电价", "还有", "应传", "控制器", "不蓄热约"))
    assert "成绩" in rest
    assert "错误的值" in rest


def test_an_agent_does_not_outlive_the_plant_that_promised_to_listen(environment: dict[str, str], folder: Path) -> None:
    """`hil-sim` is killed: its terminals go to somebody else next, who must not find this agent on the line."""
    run = subprocess.Popen([*HIL_SIM, "run", "winter-day", "--json"], env=environment, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: any("service runs" in log.read_text() for log in folder.glob("*/agent.log")), "agent")
        (log,) = folder.glob("*/agent.log")
        run.kill()
        wait_for(lambda: "service stops" in log.read_text(), "end of the agent")
    finally:
        run.kill()
        run.wait()


@pytest.fixture
def serving(environment: dict[str, str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    server = subprocess.Popen(
        [*HIL_SIM, "serve", "--write-config", str(folder / "config"), "--json"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    with server:  # its pipe is closed at the end
        yield server
        server.kill()


def test_serve_offers_the_site_until_it_is_interrupted(serving: subprocess.Popen[str], folder: Path) -> None:
    assert serving.stdout is not None
    offered = json.loads(serving.stdout.readline())
    assert offered["schema"] == "serve/1"
    assert offered["config"] == str(folder / "config")
    assert offered["baud"] == 9600  # at 1x the lines run at true baud
    assert set(offered["ptys"]) == {"rs485_1", "rs485_2"}
    check = subprocess.run(
        [sys.executable, "-m", "edge_agent", "read", "ws1.temperature", "--config", offered["config"], "--json"],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert check.returncode == 0, check.stderr
    (sample,) = json.loads(check.stdout)["samples"]
    assert sample["quality"] == "GOOD"
    assert -30.0 < sample["value"] < 20.0
    serving.send_signal(signal.SIGINT)
    assert serving.wait(LIMIT_S) == 130
