"""The unit file, judged by systemd's own tools where they are installed."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

UNIT = Path(__file__).resolve().parent.parent.parent / "deploy" / "systemd" / "edge-agent.service"
EXPOSURE_MAX = 2.0


def test_systemd_accepts_the_unit(need_program: Callable[[str], str], tmp_path: Path) -> None:
    copy = tmp_path / UNIT.name
    # The program is not installed where this test runs; everything else stays as it is.
    copy.write_text(re.sub(r"/opt/\S+/edge-agent", "/bin/true", UNIT.read_text(encoding="utf-8")), encoding="utf-8")
    result = subprocess.run(
        [need_program("systemd-analyze"), "verify", copy], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_the_service_is_exposed_little(need_program: Callable[[str], str]) -> None:
    result = subprocess.run(
        [need_program("systemd-analyze"), "security", "--offline=true", "--no-pager", UNIT],
        capture_output=True,
        text=True,
        check=False,
    )
    level = re.search(r"exposure level for edge-agent.service: ([0-9.]+)", result.stdout)
    assert level is not None, result.stderr
    assert float(level[1]) <= EXPOSURE_MAX
