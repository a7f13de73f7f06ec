"""docs/new-device.md shows every key of a profile, and what it shows is a profile."""

from pathlib import Path

from pydantic import BaseModel
from ruamel.yaml import YAML

from drivers.profile_file import parse_profile
from drivers.profile_form import LimitsFile, LineFile, PointFile, ProfileFile, TimingFile, WriteFile

PAGE = Path(__file__).resolve().parent.parent / "docs" / "new-device.md"
RARE = {"byte_order", "bit", "times", "atomic", "source", "note", "frozen_s"}
RARE |= {"state_values", "tolerance", "volatile", "pulse", "keep_alive_s"}
"""Keys that few devices need; the shipped profiles show them."""


def template() -> str:
    return PAGE.read_text(encoding="utf-8").split("```yaml\n")[1].split("```")[0]


def test_the_template_is_a_profile() -> None:
    profile = parse_profile(YAML().load(template()), name="template")
    assert profile.points["setpoint"].write is not None
    assert profile.points["heat_total"].unit == "kWh"


def test_the_template_shows_every_usual_key() -> None:
    text = template()
    forms: tuple[type[BaseModel], ...] = (ProfileFile, PointFile, WriteFile, LimitsFile, LineFile, TimingFile)
    keys = {key for form in forms for key in form.model_fields}
    missing = {key for key in keys - RARE if f"{key}:" not in text}
    assert not missing
