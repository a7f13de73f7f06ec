"""The example plant as a folder that a test may damage."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge_agent.settings.files import FILES, shipped_config
from edge_agent.settings.load import Inspection, inspect

MARK = "⟦"
"""Stands before the character that a finding must point at; taken out before the file is written."""


@dataclass(frozen=True)
class Plant:
    """A copy of the example."""

    folder: Path

    def text(self, file: str) -> str:
        return (self.folder / file).read_text(encoding="utf-8")

    def write(self, file: str, marked: str) -> tuple[int, int]:
        """Write a file; returns line and column of the mark, 0 and 0 without one."""
        before, mark, _ = marked.partition(MARK)
        (self.folder / file).write_text(marked.replace(MARK, ""), encoding="utf-8", newline="")
        return (before.count("\n") + 1, len(before) - before.rfind("\n")) if mark else (0, 0)

    def replace(self, file: str, old: str, new: str) -> tuple[int, int]:
        """Replace a text that stands there once; returns the place of the mark."""
        text = self.text(file)
        assert text.count(old) == 1, f"{file}: {old!r} stands there {text.count(old)} times"
        return self.write(file, text.replace(old, new))

    def inspect(self) -> Inspection:
        return inspect(self.folder)


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    for file in FILES:
        shutil.copy(shipped_config() / "plants" / "ground-office" / file, tmp_path / file)
    return Plant(tmp_path)
