"""The unit file and the udev rule, judged by systemd's own tools where they are installed."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent.parent.parent / "deploy" / "systemd"
UNIT = FOLDER / "edge-agent.service"
RULES = FOLDER / "70-edge-agent-serial.rules"
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


def test_the_rule_sets_the_latency_of_usb_adapters_that_have_one_and_touches_nothing_else() -> None:
    rules = [line for line in RULES.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    (rule,) = rules
    terms = dict(re.findall(r'([A-Z]+(?:\{\w+\})?(?:==|=))"([^"]*)"', rule))
    assert terms.pop("ACTION==").split("|") == ["add", "bind", "change"]
    assert terms == {"SUBSYSTEM==": "usb-serial", "TEST==": "latency_timer", "ATTR{latency_timer}=": "1"}


def test_udev_accepts_the_rule(need_program: Callable[[str], str]) -> None:
    udevadm = need_program("udevadm")
    known = subprocess.run([udevadm, "verify", "--help"], capture_output=True, check=False)
    if known.returncode != 0:
        pytest.skip("this udevadm cannot verify rules (systemd 254 can)")
    result = subprocess.run([udevadm, "verify", RULES], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_installer_is_sound_and_puts_every_file_of_its_folder_in_place() -> None:
    script = FOLDER / "install.sh"
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    text = script.read_text(encoding="utf-8")
    for file in FOLDER.iterdir():
        if file != script:
            assert f'"$source_dir/deploy/systemd/{file.name}" /' in text, f"{file.name} is not installed"
