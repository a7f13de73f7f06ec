import socket
from pathlib import Path

import pytest

from edge_agent.health import Progress, notify, watchdog_interval_s


def test_notify_reaches_the_manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        assert notify("READY=1")
        assert manager.recv(100) == b"READY=1"


def test_without_a_manager_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    assert not notify("READY=1")
    assert watchdog_interval_s() is None


def test_watchdog_is_fed_twice_in_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    assert watchdog_interval_s() == 15.0


def test_only_parts_without_progress_are_stuck() -> None:
    now_s = [0.0]
    progress = Progress(lambda: now_s[0])
    progress.mark("scan")
    progress.mark("control")
    now_s[0] = 8.0
    progress.mark("control")
    now_s[0] = 11.0
    assert list(progress.stuck({"scan": 10.0, "control": 10.0, "never seen": 1.0})) == ["scan"]
