"""What is right must not be blamed: the shipped files, and free text with every full-width sign."""
# ruff: noqa: ANN001, RUF001 - fixtures and parameters are known by their names; full-width characters are the subject

import pytest

from edge_agent.settings.files import shipped_config
from edge_agent.settings.form import validate
from edge_agent.settings.load import inspect, load_configuration
from edge_agent.settings.lookalike import corrected_line, scan
from edge_agent.settings.yaml_file import read_document
from scheduling.tariff.check import check_tariff
from scheduling.tariff.model import Tariff

PLANTS = sorted(path.name for path in (shipped_config() / "plants").iterdir())
TARIFFS = sorted(path.name for path in (shipped_config() / "tariffs").glob("*.yaml"))


@pytest.mark.parametrize("name", PLANTS)
def test_example_plant_is_without_errors(name) -> None:
    inspection = inspect(shipped_config() / "plants" / name)
    assert inspection.errors == ()
    assert inspection.configuration is not None


def test_example_plant_as_built() -> None:
    configuration = load_configuration(shipped_config() / "plants" / "ground-office")
    assert set(configuration.performance) == {"hp1", "hp2", "hp3", "hp4"}
    assert configuration.performance["hp3"].modes["charge"].heat_kw == 558
    assert len(configuration.site.storages["tank"].layers) == 10
    assert set(configuration.profiles) == set(configuration.devices.devices)
    assert configuration.profiles["io1"].points["supply_temperature"].unit == "degC"
    assert 30 <= len(configuration.uplink.points) <= 40
    assert all(len(point.code) == 16 for point in configuration.uplink.points)
    # Two meters that the monitoring guideline asks for are not there: said, and no reason to refuse.
    assert [warning.code for warning in configuration.warnings] == ["required_point_missing"] * 2
    price = configuration.tariff.prices[-1]
    assert sum((price.by_component("sharp") or {}).values()) == pytest.approx(0.98049175, abs=1e-6)
    assert (price.capacity_cny_per_kva_month, price.capacity_kva) == (33, 1250)


def test_every_performance_map_is_used_by_a_plant() -> None:
    """The shipped maps are loaded with the plants that name them; an orphan would never be checked."""
    shipped = {path.stem for path in (shipped_config() / "performance").glob("*.yaml")}
    used = {
        unit.performance
        for name in PLANTS
        for unit in load_configuration(shipped_config() / "plants" / name).site.units.values()
    }
    assert shipped == used


@pytest.mark.parametrize("name", TARIFFS)
def test_shipped_tariff_is_right(name) -> None:
    document, findings = read_document(shipped_config() / "tariffs" / name, file=name)
    assert not findings
    assert document is not None
    tariff, faults = validate(Tariff, document)
    assert not faults
    assert tariff is not None
    assert [finding for finding in check_tariff(tariff) if finding.severity == "error"] == []


GOOD_LINES = [
    "name: 示范能源站（一期）",
    "source: 通知：第3号，见附件",
    "name: 直供，１号机　一期",
    "direct: {name: 直供（泵 ＃3）, valves: {v: open}}",
    "source: “双碳”通知",
    "event: {reason: 通知：第3号，见附件, grid_kw_max: 5}",
    'name: "示范：一，二　三"',
    "name: '示范：一，二　三'",
    "t: |\n  ：，“”　\n  ０１～０２\nz: 1",
    "t: >-\n  ＃ 一\n\n  二：三\nz: 1",
    "z: 1  # ：，“”　０１～",
    "# ＃：，　",
    "broker: mqtt://a:1883",
    "bus: {tcp: 127.0.0.1:502, serial: /dev/serial/by-id/x}",
    "brokers:\n  - mqtt://x:1883",
    "peak: [10:00-13:00, 17:00-22:00]",
    "notes:\n  - 注意：先停泵，再关阀",
    "source: 2023年11号，1－10 kV～35 kV",
    "name: 泵房 ＃3",
    "a: x\t# a tab before a comment harms nobody",
    "v: {name: 联供，边蓄边供, units_in: [direct]}",
    "name: 12：30 的班次",
    "name: 热泵（２台）",
]


@pytest.mark.parametrize("text", GOOD_LINES)
def test_free_text_is_not_blamed(text) -> None:
    assert scan(tuple(text.split("\n"))) == []


def test_plant_full_of_full_width_text_passes(plant) -> None:
    plant.replace("site.yaml", "name: 示范能源站", "name: 示范能源站（一期）：办公，酒店　“双碳”＃1")
    plant.replace("site.yaml", "{name: 直供,", "{name: 直供（１号），全部,")
    plant.replace("tariff.yaml", "name: 北京 工商业 两部制 1-10 kV", "name: 北京　工商业，两部制：１～10 kV")
    assert plant.inspect().errors == ()


BAD_LINES = [
    ("devices：", "devices:"),
    ("峰：[10:00-13:00]", "峰: [10:00-13:00]"),
    ("x: {尖峰：[11:00-13:00]，峰：[10:00-11:00]}", "x: {尖峰: [11:00-13:00], 峰: [10:00-11:00]}"),
    ("seasons: {heating: 11-15～03-15}", "seasons: {heating: 11-15..03-15}"),
    ("a: ０．３８", "a: 0.38"),
    ("a: －5", "a: -5"),
    ("b: “示范”", 'b: "示范"'),
    ("b: ‘示范’", 'b: "示范"'),
    ("c: 1 ＃ 注释", "c: 1 # 注释"),
    ("＃ 注释", "# 注释"),
    ("　　d: 1", "    d: 1"),
    ("d: {unit:1, period_s: 10}", "d: {unit: 1, period_s: 10}"),
    ("device: hp１", "device: hp1"),
    ("ｄevice: hp1", "device: hp1"),
    ("d: {ｕnit: 1}", "d: {unit: 1}"),
    ("l: [1，2]", "l: [1, 2]"),
    ("l:\n  [1,\n   2，3]", "l:\n  [1,\n   2, 3]"),
    ("a:\t1", "a: 1"),
    ("- bus：x", "- bus: x"),
    ("t: |\n  ：\nz：1", "t: |\n  ：\nz: 1"),
]


@pytest.mark.parametrize(("text", "mended"), BAD_LINES)
def test_look_alikes_are_mended(text, mended) -> None:
    lines = tuple(text.split("\n"))
    slips = scan(lines)
    assert slips
    by_line = [[slip for slip in slips if slip.line == number] for number in range(1, len(lines) + 1)]
    assert "\n".join(corrected_line(line, here) for line, here in zip(lines, by_line, strict=True)) == mended
    assert scan(tuple(mended.split("\n"))) == []
