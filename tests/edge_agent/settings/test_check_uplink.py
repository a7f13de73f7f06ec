"""What may be wrong with an uplink to a city platform: each fault at its place, in words, with what to write."""
# ruff: noqa: ANN001, ANN201 - fixtures are known by their names

import pytest

from edge_agent.settings.codes import data_code, point_code, point_codes, read_data_code

MARK = "⟦"
CITY = """\
uplinks:
  city:
    transport: mohurd_tcp
    profile: g2009
    servers: ["platform.example:4400"]
    project_id: "110108900"
    gateway_id: "1101089000101"
    keys: city-keys
    period_min: 30
points:
  - {point: hm_user.flow, code: "1101089002010120"}
  - {point: em_main.energy_total, code: "1101089002010116", aggregate: last}
"""


@pytest.fixture
def city(plant):
    """The example plant with an uplink to a city platform and its keys."""
    (plant.folder / "city-keys").write_text("md5_key: 0000000000123456\n")
    plant.write("uplink.yaml", CITY)
    return plant


def test_the_plain_one_is_right(city) -> None:
    inspection = city.inspect()
    assert inspection.errors == ()
    assert {finding.code for finding in inspection.warnings} <= {"required_point_missing"}
    assert inspection.configuration.dialects["city"].crc.order == "low_first"
    assert "shipped:uplink/g2009.yaml" in inspection.files


@pytest.mark.parametrize(
    ("old", "new", "code", "severity"),
    [
        ("profile: g2009", "profile: ⟦g2019", "unknown_name_near", "error"),
        ("profile: g2009", "profile: ⟦nothing", "unknown_name", "error"),
        ("    profile: g2009\n", "", "uplink_lacks", "error"),
        ("    keys: city-keys\n", "", "uplink_lacks", "error"),
        ('servers: ["platform.example:4400"]', "servers: []", "uplink_lacks", "error"),
        ('"platform.example:4400"', '⟦"platform.example"', "host_port", "error"),
        ('"platform.example:4400"', '"a:1", ⟦"A:1"', "server_twice", "error"),
        ('project_id: "110108900"', 'project_id: ⟦"11010890"', "project_form", "error"),
        ('project_id: "110108900"', 'project_id: ⟦"110105900"', "project_area", "error"),
        ('gateway_id: "1101089000101"', 'gateway_id: ⟦"110108900010"', "gateway_form", "error"),
        ('gateway_id: "1101089000101"', 'gateway_id: ⟦"1101059000101"', "gateway_project", "warning"),
        ("period_min: 30", "period_min: ⟦1", "period_outside", "warning"),
        ("period_min: 30", "period_min: ⟦7", "period_form", "error"),
        ("keys: city-keys", "keys: ⟦other-keys", "credential_missing", "warning"),
        ("period_min: 30", "period_min: 30\n    ⟦broker: mqtt://a:1", "uplink_key_unused", "error"),
        ("period_min: 30", "period_min: 30\n    options: {crc: {order: ⟦middle}}", "not_one_of", "error"),
        ("period_min: 30", "period_min: 30\n    options: {crc: {⟦ordr: low_first}}", "unknown_key_near", "error"),
        ("period_min: 30", "period_min: 30\n    options: {heartbeat: {every_s: ⟦1}}", "outside_bounds", "error"),
        ('code: "1101089002010120"', 'code: ⟦"110108900201012"', "code_form", "error"),
        ('code: "1101089002010120"', 'code: ⟦"1101059002010120"', "code_project", "error"),
        ('code: "1101089002010120"', 'code: ⟦"1101089009990120"', "code_technology", "error"),
        ('code: "1101089002010120"', 'code: ⟦"1101089002050120"', "code_technology_unfit", "warning"),
        ('code: "1101089002010120"', 'code: ⟦"1101089002010020"', "code_system", "error"),
        ('code: "1101089002010116"', 'code: ⟦"1101089002010120"', "code_twice", "error"),
        ('code: "1101089002010120"', 'code: "1101089002010160"', "indices_unsent", "warning"),
        ('code: "1101089002010120"}', 'code: "1101089002010120", number: ⟦100}', "outside_bounds", "error"),
    ],
)  # fmt: skip
def test_each_fault_is_said_where_it_stands(city, old: str, new: str, code: str, severity: str) -> None:
    place = city.replace("uplink.yaml", old, new)
    inspection = city.inspect()
    found = [finding for finding in (*inspection.errors, *inspection.warnings) if finding.code == code]
    assert found, [finding.en for finding in (*inspection.errors, *inspection.warnings)]
    assert found[0].severity == severity
    assert found[0].zh
    assert found[0].en
    assert found[0].hint_zh
    if MARK in new:
        assert (found[0].file, found[0].line, found[0].column) == ("uplink.yaml", *place)


def test_numbers_of_points_are_given_once(city) -> None:
    city.replace("uplink.yaml", 'code: "1101089002010120"}', 'code: "1101089002010120", number: 5}')
    place = city.replace("uplink.yaml", "aggregate: last}", "aggregate: last, number: ⟦5}")
    (finding,) = [finding for finding in city.inspect().errors if finding.code == "number_twice"]
    assert (finding.line, finding.column) == place


def test_options_change_one_thing_and_leave_the_rest(city) -> None:
    city.replace(
        "uplink.yaml",
        "period_min: 30",
        "period_min: 30\n    options: {crc: {order: high_first}, extra_indices: ['60']}",
    )
    dialect = city.inspect().configuration.dialects["city"]
    assert (dialect.crc.order, dialect.crc.coverage, dialect.extra_indices) == (
        "high_first",
        "head_to_content",
        ("60",),
    )


def test_a_plant_s_own_dialect_stands_before_that_of_the_product(city) -> None:
    (city.folder / "uplink").mkdir()
    own = city.folder / "uplink" / "g2009.yaml"
    own.write_text('name: own\nsource: the platform\'s letter\nframe: {head: "AA55", tail: "55AA"}\n')
    assert city.inspect().configuration.dialects["city"].frame.head == "AA55"
    own.write_text('name: own\nsource: letter\nframe: {head: "AA5", tail: "55AA"}\n')
    (finding,) = [finding for finding in city.inspect().errors if finding.file == "uplink/g2009.yaml"]
    assert (finding.line, finding.code) == (3, "bad_form")


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://platform.example/x", "url_form"),
        ("platform.example", "url_form"),
        ("https://a:b@platform.example/", "secret_in_file"),
        ("https://platform.example:99999/", "url_form"),
    ],
)
def test_addresses_of_https(city, url: str, code: str) -> None:
    place = city.write(
        "uplink.yaml",
        f"uplinks:\n  owner:\n    transport: https_json\n    url: ⟦{url}\n    plant: bj\n    period_min: 15\n",
    )
    (finding,) = city.inspect().errors
    assert (finding.code, finding.line, finding.column) == (code, *place)


def test_the_worked_example_of_the_codes() -> None:
    code = data_code(area="110108", project="900", technology="205", system=1, index="20")
    assert code == "1101089002050120"
    parts = read_data_code(code)
    assert parts is not None
    assert (str(parts), parts.technology, parts.system, parts.index) == (code, "205", "01", "20")
    assert point_code("1101089000101", 3) == "110108900010103"
    # The examples in the guideline's appendix 3 have a digit too few.
    assert read_data_code("110108001104106") is None
    assert read_data_code("110108D112050120") is None
    assert read_data_code("110108D112050120", form="alnum") is not None
    for number in (0, 100):
        with pytest.raises(ValueError, match="1 to 99"):
            point_code("1101089000101", number)
    with pytest.raises(ValueError, match="characters"):
        data_code(area="11010", project="9000", technology="205", system=1, index="20")


def test_points_are_numbered_by_their_place_or_as_they_say() -> None:
    found = point_codes([("a", None), ("b", 17), ("c", None)], gateway="1101089000101")
    assert found == {"a": "110108900010101", "b": "110108900010117", "c": "110108900010103"}
