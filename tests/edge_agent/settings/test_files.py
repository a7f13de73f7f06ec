"""Whole files: encodings, missing files, several mistakes in one round, order, warnings, random damage."""
# ruff: noqa: ANN001 - fixtures and parameters are known by their names

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drivers.catalogue import SHIPPED_DIR
from edge_agent.errors import ConfigurationFault
from edge_agent.settings.files import FILES, shipped_config
from edge_agent.settings.finding import Finding
from edge_agent.settings.load import inspect, load_configuration
from edge_agent.settings.yaml_file import FILE_BYTES_MAX, LINE_CHARACTERS_MAX, parse_document

EXAMPLE = shipped_config() / "plants" / "ground-office"


def only(findings: tuple[Finding, ...]) -> Finding:
    assert len(findings) == 1, findings
    return findings[0]


def test_gbk_from_a_windows_editor(plant) -> None:
    content = plant.text("site.yaml").encode("gbk")
    (plant.folder / "site.yaml").write_bytes(content)
    error = only(tuple(e for e in plant.inspect().errors if e.file == "site.yaml"))
    assert (error.code, error.line) == ("not_utf8", 1)
    assert error.column == 3  # the first Chinese character stands behind "# "
    assert "GBK" in error.zh
    assert "UTF-8" in error.hint_zh
    assert error.excerpt.startswith("# 示范站")


def test_gbk_in_a_later_line_is_placed_in_characters() -> None:
    _, findings = parse_document("name: 电价\n".encode() + "b: 好".encode() + "电".encode("gbk"), file="x.yaml")
    assert (findings[0].line, findings[0].column) == (2, 4)  # where the run of Chinese begins


def test_byte_order_mark_is_legal() -> None:
    document, findings = parse_document("name: 电价\n".encode("utf-8-sig"), file="x.yaml")
    assert not findings
    assert document is not None
    assert dict(document.data) == {"name": "电价"}


def test_utf16_says_so() -> None:
    _, findings = parse_document("name: 电价\n".encode("utf-16"), file="x.yaml")
    assert findings[0].code == "not_utf8"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "file_empty"),
        (b"# only a comment\n", "file_empty"),
        (b"- 1\n- 2\n", "not_a_mapping"),
        (b"text", "not_a_mapping"),
        (b"a: " + b"[" * 60, "yaml_too_deep"),
        (b"a: " + b"x" * LINE_CHARACTERS_MAX, "line_too_long"),
        (b"a: 1\xe2\x80\xa8b: 2\n", "control_character"),
        (b"\x00", "control_character"),
    ],
)
def test_what_is_no_configuration(content, code) -> None:
    document, findings = parse_document(content, file="x.yaml")
    assert document is None
    assert [finding.code for finding in findings] == [code]


def test_windows_line_ends_keep_places() -> None:
    _, findings = parse_document(b"a: 1\r\nb: 2\r\na: 3\r\n", file="x.yaml")
    assert [(f.code, f.line, f.column) for f in findings] == [("duplicate_key", 3, 1)]


def test_file_too_big(plant) -> None:
    (plant.folder / "tariff.yaml").write_bytes(b"#" * (FILE_BYTES_MAX + 1))
    assert only(plant.inspect().errors).code == "file_too_big"


@pytest.mark.parametrize("file", FILES)
def test_missing_file_is_named(plant, file) -> None:
    (plant.folder / file).unlink()
    errors = plant.inspect().errors
    assert (file, "file_missing") in [(error.file, error.code) for error in errors]
    assert {error.file for error in errors} == {file}  # names that live in it are not called unknown


def test_missing_folder(tmp_path) -> None:
    error = only(inspect(tmp_path / "nowhere").errors)
    assert error.code == "folder_missing"
    assert "init" in error.hint_en


def test_all_mistakes_come_in_one_round(plant) -> None:
    """A look-alike, a wrong type, a misspelt name and a gap, in three files, one of them behind a look-alike."""
    plant.replace("devices.yaml", "tt1: {bus: rs485_2, unit: 1,", "tt1: {bus: rs485_2， unit: 1,")
    plant.replace("devices.yaml", "tt2: {bus: rs485_2,", "tt2: {bus: rs485_9,")
    plant.replace("site.yaml", "heated_area_m2: 50000", "heated_area_m2: 五万")
    plant.replace("site.yaml", "    meter: hm_user ", "    meter: hm_usr ")
    plant.replace("tariff.yaml", "flat: [07:00-10:00, 13:00-16:00, 22:00-23:00]", "flat: [07:00-10:00, 13:00-16:00]")
    found = [(error.file, error.code) for error in plant.inspect().errors]
    assert found == [
        ("site.yaml", "needs_number"),
        ("site.yaml", "unknown_name_near"),
        ("devices.yaml", "wide_comma"),
        ("devices.yaml", "unknown_name_near"),
        ("tariff.yaml", "tariff_gap"),
    ]


def test_performance_map_of_the_plant_goes_first_and_is_checked(plant) -> None:
    folder = plant.folder / "performance"
    folder.mkdir()
    text = (shipped_config() / "performance" / "ground_600kw.yaml").read_text(encoding="utf-8")
    (folder / "ground_600kw.yaml").write_text(text.replace("[0.75, 97.4]", "[0.75, 110]"), encoding="utf-8")
    error = only(plant.inspect().errors)
    assert (error.file, error.code) == ("performance/ground_600kw.yaml", "curve_not_convex")
    assert "[1, 136.4]" in error.excerpt


def test_profile_of_the_plant_goes_first_and_is_checked(plant) -> None:
    folder = plant.folder / "profiles"
    folder.mkdir()
    (folder / "xy_md0x.yaml").write_text(
        "zh: 室外\nen: outdoors\nmaker: x\ncategory: y\nlevle: documented\n", encoding="utf-8"
    )
    errors = plant.inspect().errors
    assert {error.file for error in errors} == {"profiles/xy_md0x.yaml"}
    assert sorted((error.line, error.code) for error in errors) == [
        *((1, "missing_key") for _ in ("confidence", "sources", "points")),
        (5, "unknown_key_near"),
    ]


def errors_of(plant, folder: Path, text: str) -> tuple[Finding, ...]:
    (folder / "xy_md0x.yaml").write_text(text, encoding="utf-8")
    return plant.inspect().errors


def test_everything_wrong_with_a_profile_is_said_at_once_in_both_languages_and_how_to_mend_it(plant) -> None:
    folder = plant.folder / "profiles"
    folder.mkdir()
    text = (SHIPPED_DIR / "xy_md0x.yaml").read_text(encoding="utf-8")
    head, _, _ = text.partition("points:")
    points = [
        "a: {zh: 甲, en: a, function: 4, address: 70000, type: u16}",
        "b: {zh: 乙, en: b, function: 4, address: one, type: int}",
        "c: {zh: 丙, en: c, function: 9, adress: 1, type: u16, range: [5]}",
    ]
    wrong = "checks: [{kind: product}, {total: a}]\n"
    tags = errors_of(plant, folder, text + wrong)
    assert [error.code for error in tags] == ["not_one_of", "missing_key"]
    (folder / "xy_md0x.yaml").write_text(head + "points:\n  " + "\n  ".join(points) + "\n", encoding="utf-8")
    form = plant.inspect().errors
    first = head.count("\n") + 2
    assert [error.line - first for error in form] == [0, 1, 1, 2, 2, 2]
    points = [
        "a: {zh: 甲, en: a, function: 4, address: 1, type: u16, scale: 0, range: [5, 5]}",
        "b: {zh: 乙, en: b, function: 4, address: 2, type: u16, access: rw, write: {function: 6, min: 9, max: 1}}",
    ]
    (folder / "xy_md0x.yaml").write_text(head + "points:\n  " + "\n  ".join(points) + "\n", encoding="utf-8")
    meaning = plant.inspect().errors
    assert [error.line - first for error in meaning] == [0, 0, 1]
    devices = plant.text("devices.yaml")
    outdoor = "profile: xy_md0x"
    assert devices.count(outdoor) == 1
    (folder / "xy_md0x.yaml").unlink()
    changes = "{temperature: {scale: nought, adress: 4}, humidity: {function: 7}}"
    plant.write("devices.yaml", devices.replace(outdoor, f"{outdoor}, points: {changes}"))
    changed = plant.inspect().errors
    assert len(changed) == 3
    assert {error.file for error in changed} == {"devices.yaml"}
    for error in (*tags, *form, *meaning, *changed):
        assert error.line
        assert any("\u4e00" <= letter <= "\u9fff" for letter in error.zh), error.zh
        assert error.hint_zh, error
        assert error.hint_en, error
        assert "Input should" not in error.en + error.zh, "pydantic's own words help nobody"


def test_a_fault_deep_in_a_profile_has_its_line(plant) -> None:
    folder = plant.folder / "profiles"
    folder.mkdir()
    text = (SHIPPED_DIR / "xy_md0x.yaml").read_text(encoding="utf-8")
    checks = "checks:\n  - {kind: sum, total: temperature, parts: [temperature, temprature]}\n"
    (folder / "xy_md0x.yaml").write_text(text + checks, encoding="utf-8")
    error = only(plant.inspect().errors)
    assert (error.file, error.code) == ("profiles/xy_md0x.yaml", "profile_unknown_point")
    assert error.line == len(text.splitlines()) + 2


@pytest.mark.parametrize(
    ("model", "old", "new", "code"),
    [
        ("nibe_s_series", "deadband: 0.2, wait_s", "dedband⟦: 0.2, wait_s", "unknown_key_near"),
        (
            "nibe_s_series",
            "{point: power_limit_enable, value: 1}",
            "{point: ⟦power_limit_on, value: 1}",
            "profile_unknown_point",
        ),
        ("nibe_s_series", "rolls_over_at: 6553.6", "rolls_over_at⟦: 6.5k", "needs_number"),
        ("idm_navigator", "pulse: {reset: 0}", "pulse: ⟦{reset: 7}", "profile_bad_value"),
        ("idm_navigator", "expiry_s: 600, safe: 0", "safe⟦: 0", "profile_bad_value"),
        ("lambda_eureka", "keep_alive_s: 60, expiry_s: 600, safe: 0", "keep_alive_s⟦: 60", "profile_bad_value"),
        ("eas_ech_r32_modular", "2: [25, 55]", "2: [25, ⟦65]", "profile_bad_value"),
        ("eas_ech_r32_modular", "limits_by: {point: mode_request", "limits_by: {point: ⟦mode", "profile_unknown_point"),
        ("dimplex_wpm_nwpm", "expiry_s: 900, safe: 0", "expiry_s: 900, safe⟦: 5", "profile_bad_value"),
        ("york_yvag", '2: {zh: 关机, en: "off"}', "2: {zh: ⟦关机}", "missing_key"),
        ("siemens_landisgyr_uh50_wzu485e", "address: 40,", "address⟦: 41,", "profile_bad_value"),
        ("siemens_landisgyr_uh50_wzu485e", "[serial_number]", "[⟦serial]", "profile_unknown_point"),
        ("siemens_landisgyr_uh50_wzu485e", "power: heat_power", "power: ⟦heat_total", "profile_bad_value"),
        ("siemens_landisgyr_uh50_wzu485e", "framing: '8E1'", "framing⟦: 8e1x", "not_one_of"),
        ("danfoss_fc102", "guard_s: 0.005", "gaurd_s⟦: 0.005", "unknown_key_near"),
        ("danfoss_fc102", "function: 3, address: 50209", "function⟦: 4, address: 50209", "profile_bad_value"),
    ],
)
def test_a_wrong_profile_is_found_at_its_line(plant, model, old, new, code) -> None:
    """`⟦` stands in the line that the finding must name."""
    folder = plant.folder / "profiles"
    folder.mkdir()
    text = (SHIPPED_DIR / f"{model}.yaml").read_text(encoding="utf-8")
    assert text.count(old) == 1, old
    before, _, behind = text.partition(old)
    (folder / f"{model}.yaml").write_text(before + new.replace("⟦", "") + behind, encoding="utf-8")
    plant.replace("devices.yaml", "unit: 9, profile: xy_md0x", f"unit: 9, profile: {model}")
    found = [error for error in plant.inspect().errors if error.file == f"profiles/{model}.yaml"]
    assert {error.code for error in found} == {code}
    assert found[0].zh
    assert found[0].line == before.count("\n") + 1


def test_even_parity_without_quotes_is_understood(plant) -> None:
    """YAML reads 8E1 as the number 80."""
    plant.replace("devices.yaml", "rs485-1, baud: 9600, framing: 8N1", "rs485-1, baud: 9600, framing: 8E1")
    assert load_configuration(plant.folder).site is not None
    assert not plant.inspect().errors


def test_point_of_a_device_may_be_changed(plant) -> None:
    plant.replace(
        "devices.yaml", "xy_md0x, period_s: 60}", "xy_md0x, period_s: 60, points: {temperature: {address: 7}}}"
    )
    profiles = load_configuration(plant.folder).profiles
    assert profiles["ws1"].points["temperature"].parts[0].address == 7


def test_slow_device_is_a_warning(plant) -> None:
    plant.replace("devices.yaml", "profile: xy_md0x, period_s: 60}", "profile: xy_md0x, period_s: 600}")
    inspection = plant.inspect()
    assert not inspection.errors
    assert "period_too_long" in [warning.code for warning in inspection.warnings]


@pytest.mark.parametrize(
    ("port", "warned"),
    [
        ("/dev/ttyUSB0", True),
        ("/dev/ttyACM12", True),
        ("/dev/serial/by-id/usb-FTDI_x-if00-port0", False),
        ("/dev/ttyS1", False),
    ],
)
def test_a_port_by_its_number_is_a_warning(plant, port: str, *, warned: bool) -> None:
    plant.replace("devices.yaml", "/dev/serial/by-id/usb-rs485-1", port)
    inspection = plant.inspect()
    assert not inspection.errors
    assert ("port_by_number" in [warning.code for warning in inspection.warnings]) == warned


def test_charging_unit_needs_a_storage(plant) -> None:
    text = plant.text("site.yaml").replace("storage: tank, modes", "modes")
    plant.write("site.yaml", text)
    assert [error.code for error in plant.inspect().errors] == ["charge_without_storage"] * 4


def test_capacity_ratio_needs_a_unit_that_takes_one(plant) -> None:
    text = plant.text("site.yaml").replace("actuation: supply_setpoint", "actuation: capacity_ratio")
    plant.write("site.yaml", text)
    errors = plant.inspect().errors
    assert [error.code for error in errors] == ["device_lacks_command"] * 2
    assert "capacity_limit" in errors[0].zh


def test_fault_carries_the_findings(plant) -> None:
    plant.replace("site.yaml", "replan_min: 15", "replan_min: 0")
    with pytest.raises(ConfigurationFault) as caught:
        load_configuration(plant.folder)
    assert [finding.code for finding in caught.value.findings] == ["outside_bounds"]


FRAGMENTS = [
    *(sign.encode() for sign in "\t{}[:,\n\"'|#%@?\x00：\u3000"),
    *(b": ", b"- ", b"&a ", b"*a", b"!x ", b"\xff", b"1e999", b"0x", b"null", b"\n---\n", b"<<: ", b""),
]
DAMAGE = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.sampled_from(FRAGMENTS), st.integers(0, 6)), min_size=1, max_size=3
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(file=st.sampled_from(FILES), damage=DAMAGE)
def test_random_damage_raises_nothing_but_a_configuration_fault(plant, file, damage) -> None:
    content = bytearray((EXAMPLE / file).read_bytes())
    for where, insert, delete in damage:
        position = int(where * len(content))
        content[position : position + delete] = insert
    path: Path = plant.folder / file
    path.write_bytes(content)
    findings: tuple[object, ...] | None = None
    try:
        load_configuration(plant.folder)
    except ConfigurationFault as fault:
        findings = fault.findings
    finally:
        path.write_bytes((EXAMPLE / file).read_bytes())
    assert findings is None or findings


def test_hydraulic_modes_must_be_there_and_differ(plant) -> None:
    text = plant.text("site.yaml")
    plant.write("site.yaml", text.replace("units_in: [direct]}", "units_in: [driect]}", 1))
    codes = [error.code for error in plant.inspect().errors]
    assert codes == ["not_one_of"], "combined still lets units run direct"
    lines = [line for line in text.splitlines() if "units_in: [charge]" not in line and "[direct, charge]}" not in line]
    plant.write("site.yaml", "\n".join(lines))
    assert {error.code for error in plant.inspect().errors} == {"mode_without_way"}
    again = "\n  again: {name: 又一种, valves: {v_charge: closed, v_discharge: closed}, units_in: [direct]}\n"
    plant.write("site.yaml", text.replace("\noperating_modes:\n", f"\noperating_modes:{again}", 1))
    assert [error.code for error in plant.inspect().errors] == ["modes_alike"]


def test_thresholds_of_protection_stand_the_right_way_round(plant) -> None:
    text = plant.text("site.yaml")
    plant.write("site.yaml", text.replace("freeze_act_k: 1 ", "freeze_act_k: 3 "))
    assert [error.code for error in plant.inspect().errors] == ["threshold_order"]
    plant.write("site.yaml", text.replace("freeze_act_k: 1 ", "freeze_act_k: 2 "))
    assert not plant.inspect().errors


def test_the_example_shows_every_time_of_control_with_its_default(plant) -> None:
    shown = load_configuration(plant.folder).site.control
    written = set(shown.model_fields_set)
    left_out = {name for name in type(shown).model_fields if name not in written}
    assert left_out <= {"solve_s_max", "solve_gap_ratio", "order_h_max"}
    own = {"cycle_s", "replan_min", "horizon_h"}
    assert {name: getattr(shown, name) for name in written - own} == {
        name: type(shown).model_fields[name].default for name in written - own
    }


@pytest.mark.parametrize(
    ("folder", "warned"), [("/" + 95 * "a", False), ("/" + 96 * "a", True), ("/" + 32 * "目", True)]
)
def test_a_state_folder_too_deep_for_the_socket_is_a_warning(plant, folder: str, *, warned: bool) -> None:
    plant.replace("site.yaml", "state_dir: /var/lib/edge-agent", f"state_dir: {folder}")
    inspection = plant.inspect()
    assert not inspection.errors
    assert ("state_dir_too_long" in [warning.code for warning in inspection.warnings]) is warned
