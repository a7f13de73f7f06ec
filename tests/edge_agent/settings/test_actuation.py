"""What a unit can be told, as the site file says it: every mistake at its line, and what is right passes."""
# ruff: noqa: ANN001 - fixtures and parameters are known by their names

import re

import pytest

from edge_agent.settings.model import Unit
from edge_agent.settings.unit_points import DEFAULTS, foreign_roles

BASE = (
    "  hp4: {device: DEVICE, source: ground, loop: heating, storage: tank, modes: MODES, identical_to: null,\n"
    "        heat_kw_rated: 600, performance: ground_600kw, ACTUATION,\n"
    "        min_on_s: 3600, min_off_s: 1800, source_pump: p_source_4, user_pump: p_user_4, pump_owner: agent}\n"
)
CONTACTS = (
    "actuation: contacts, points: {run_request: io1.p_source_3, running: io1.p_source_3_running, fault: null, "
    "remote: null, user_flow: io1.p_user_3_running, source_flow: io1.load_pump_running"
)
STAGED = "actuation: stages, stage_ratios: [0.5, 1], points: {stage_request: hp4.capacity_limit"


def give(plant, actuation: str, *, device: str = "hp4", modes: str = "[direct]") -> tuple[int, int]:
    """Replaces the fourth unit; returns the place of the mark."""
    text = plant.text("site.yaml")
    entry = BASE.replace("DEVICE", device).replace("MODES", modes).replace("ACTUATION", actuation)
    place: tuple[int, int] = plant.write("site.yaml", re.sub(r"  hp4: \{(.|\n)*?\}\n", lambda _: entry, text, count=1))
    if device == "hp4":
        plant.replace(
            "devices.yaml", "unit: 14, profile: generic_ground_unit_setpoint", "unit: 14, profile: generic_ground_unit"
        )
    return place


@pytest.mark.parametrize(
    ("actuation", "device"),
    [
        ("actuation: supply_setpoint", "hp4"),
        (STAGED + "}", "hp4"),
        (STAGED + ", supply_setpoint: null, heartbeat: null, alarm_code: null, mode_request: null}", "hp4"),
        (
            "actuation: stages, stage_ratios: [0.3, 0.6, 1], points: {stage_contacts: [io1.p_user_3, io1.p_user_2]}",
            "hp4",
        ),
        (CONTACTS + "}", "io1"),
        (CONTACTS.replace("running: io1.p_source_3_running", "running: null") + "}", "io1"),
        (CONTACTS + ", charge_contact: io1.p_user_3}", "io1"),
    ],
)
def test_what_a_unit_may_be_told(plant, actuation: str, device: str) -> None:
    give(plant, actuation, device=device)
    assert [(error.code, error.zh) for error in plant.inspect().errors] == []


@pytest.mark.parametrize(
    ("actuation", "device", "modes", "code"),
    [
        ("actuation: supply_setpoint, ⟦stage_ratios: [0.5, 1]", "hp4", "[direct]", "unit_key_foreign"),
        ("actuation: supply_setpoint, points: {⟦running: io1.p_user_3_running}", "hp4", "[direct]", "unit_key_foreign"),
        (STAGED.replace("[0.5, 1]", "⟦[0.5, 0.4, 1]") + "}", "hp4", "[direct]", "stage_ratios_form"),
        (STAGED.replace("[0.5, 1]", "⟦[0.5, 0.9]") + "}", "hp4", "[direct]", "stage_ratios_form"),
        (STAGED.replace("[0.5, 1]", "⟦[1]") + "}", "hp4", "[direct]", "stage_ratios_form"),
        ("actuation: ⟦stages, stage_ratios: [0.5, 1]", "hp4", "[direct]", "device_lacks_command"),
        (STAGED.replace("hp4.capacity_limit", "⟦hp4.load_ratio") + "}", "hp4", "[direct]", "device_lacks_command"),
        (STAGED.replace("hp4.capacity_limit", "⟦hp4.capacity") + "}", "hp4", "[direct]", "unknown_name_near"),
        (STAGED + ", ⟦stage_contacts: [io1.p_user_3, io1.p_user_2]}", "hp4", "[direct]", "stage_contacts_count"),
        (STAGED + ", supply_setpoint: null, ⟦user_supply_temperature: null}", "hp4", "[direct]", "unit_lacks_role"),
        (STAGED + ", ⟦mode_request: null}", "hp4", "[direct, charge]", "unit_lacks_role"),
        (STAGED + ", ⟦user_flow: null}", "hp4", "[direct]", "unit_lacks_role"),
        (
            CONTACTS.replace("user_flow: io1.p_user_3_running", "⟦user_flow: null") + "}",
            "io1",
            "[direct]",
            "unit_lacks_role",
        ),
        (CONTACTS + ", ⟦state: io1.p_user_3_running}", "io1", "[direct]", "unit_key_foreign"),
        (CONTACTS + ", ⟦stage_contacts: [io1.p_user_3]}", "io1", "[direct]", "unit_key_foreign"),
    ],
)
def test_what_it_may_not(plant, actuation: str, device: str, modes: str, code: str) -> None:
    line, column = give(plant, actuation, device=device, modes=modes)
    errors = plant.inspect().errors
    assert code in [error.code for error in errors], errors
    (error,) = [error for error in errors if error.code == code]
    assert (error.line, error.column) == (line, column)
    assert error.hint_zh
    assert error.hint_en


def test_without_running_contact_and_meter_nothing_shows_whether_it_runs(plant) -> None:
    place = give(plant, CONTACTS.replace("running: io1.p_source_3_running", "⟦running: null") + "}", device="io1")
    plant.replace("site.yaml", ", hp4: em_hp4}", "}")
    (error,) = plant.inspect().errors
    assert (error.code, error.line, error.column) == ("unit_no_feedback", *place)


def test_a_unit_that_hears_no_heartbeat_is_warned_of(plant) -> None:
    place = give(plant, STAGED + ", ⟦heartbeat: null}")
    (warning,) = [warning for warning in plant.inspect().warnings if warning.code == "unit_no_watchdog"]
    assert (warning.line, warning.column) == place
    assert "hp4" in warning.en


def test_charging_on_contacts_needs_its_contact(plant) -> None:
    give(plant, CONTACTS + "}", device="io1", modes="[direct, charge]")
    (error,) = plant.inspect().errors
    assert (error.code, error.file) == ("unit_lacks_role", "site.yaml")
    assert "charge_contact" in error.en


@pytest.mark.parametrize("actuation", DEFAULTS)
def test_a_default_is_never_foreign_to_its_actuation(actuation: str) -> None:
    assert not foreign_roles(actuation) & DEFAULTS[actuation].keys()


def test_points_of_a_unit() -> None:
    entry = {
        "device": "hp1", "source": "s", "loop": "l", "modes": ["direct"], "heat_kw_rated": 1.0, "performance": "p",
        "min_on_s": 0.0, "min_off_s": 0.0, "source_pump": "a", "user_pump": "b", "pump_owner": "agent",
    }  # fmt: skip

    def unit(actuation: str, **points: object) -> Unit:
        return Unit.model_validate(entry | {"actuation": actuation, "points": points})

    assert unit("capacity_ratio").point("capacity_limit") == "hp1.capacity_limit"
    assert unit("supply_setpoint").point("capacity_limit") is None
    assert unit("stages").point("stage_request") == "hp1.stage_request"
    assert unit("stages", stage_contacts=["io1.a"]).point("stage_request") is None
    assert unit("stages", supply_setpoint=None).point("supply_setpoint") is None
    assert unit("contacts").point("run_request") == "hp1.run_contact"
    assert unit("contacts", run_request="io2.x").point("run_request") == "io2.x"
    assert unit("contacts").point("state") is None
