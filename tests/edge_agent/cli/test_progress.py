"""Long work shows how far it is and what is left, on a terminal only, and leaves no line behind."""

from pathlib import Path

import pytest

from edge_agent.cli import progress
from edge_agent.cli.common import Common
from edge_agent.cli.progress import Bar


class Terminal:
    """Stands for stderr."""

    def __init__(self, *, terminal: bool) -> None:
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.mark.parametrize("terminal", [True, False])
def test_the_rest_is_estimated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, terminal: bool
) -> None:
    now_s = [100.0]
    monkeypatch.setattr(progress, "elapsed_s", lambda: now_s[0])
    monkeypatch.setattr(progress, "sys", type("sys", (), {"stderr": Terminal(terminal=terminal)}))
    bar = Bar(Common(Path(), as_json=False, language="en"))
    bar.draw("TCP", 0, 250)
    now_s[0] += 10.0
    bar.draw("TCP", 25, 250, found=2)
    drawn = capsys.readouterr()
    assert drawn.out == ""
    assert ("25/250  found 2  about 1 min 30 s left" in drawn.err) == terminal
    bar.draw("models", 3, 4)  # other work, with a time of its own
    bar.end()
    drawn = capsys.readouterr()
    assert ("about 0 s left" in drawn.err) == terminal
    assert drawn.err.endswith("\r" if terminal else ""), "the line is wiped (click takes the codes out for us)"
