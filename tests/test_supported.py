"""SUPPORTED.md says what the shipped profiles say."""

import subprocess
import sys
from pathlib import Path

from drivers.catalogue import shipped

REPOSITORY = Path(__file__).resolve().parent.parent


def test_the_list_of_supported_devices_is_current() -> None:
    """`make supported` draws it anew."""
    command = [sys.executable, REPOSITORY / "tools" / "draw_supported.py", "--check"]
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_model_has_its_row_and_its_section() -> None:
    text = (REPOSITORY / "SUPPORTED.md").read_text(encoding="utf-8")
    for name in shipped():
        assert text.count(f"| [{name}](#{name}) |") == 1
        assert text.count(f"\n### {name}\n") == 1
