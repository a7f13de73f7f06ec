"""Limits that contradict what units need: refused or warned of at their file, line and column."""
# ruff: noqa: ANN001 - fixtures and parameters are known by their names

import pytest

from edge_agent.settings.files import shipped_config

CASES = [
    # key of the site file, its value, code, severity, where the caret stands
    ("design_kw: 2050 ", "design_kw: 2500 ", "capacity_below_load", "warning", "2500"),
    ("grid_kw_max: 900 ", "grid_kw_max: 40 ", "limit_below_unit", "error", "40"),
    ("contract_demand_kw: null ", "contract_demand_kw: 12 ", "limit_below_unit", "error", "12"),
    ("contract_demand_kw: null ", "contract_demand_kw: 950 ", "contract_above_limit", "warning", "950"),
    ("heat_kw_max: 2000", "heat_kw_max: 20", "source_below_unit", "error", "20"),
    ("charge_kw_max: 1800", "charge_kw_max: 100", "charge_below_unit", "warning", "100"),
    ("degc_min: 42 ", "degc_min: 20 ", "tank_below_supply", "warning", "20"),
    ("volume_m3: 800", "volume_m3: 0.8", "tank_small", "warning", "0.8"),
    ("loss_ratio_per_day: 0.01", "loss_ratio_per_day: 0.9", "tank_loses_most", "warning", "0.9"),
]


@pytest.mark.parametrize(("old", "new", "code", "severity", "given"), CASES, ids=[f"{c[2]} {c[4]}" for c in CASES])
def test_a_contradiction_is_found_where_it_stands(plant, old, new, code, severity, given) -> None:
    assert not [finding for finding in plant.inspect().warnings if finding.file == "site.yaml"]
    plant.replace("site.yaml", old, new)
    inspection = plant.inspect()
    found = [finding for finding in (*inspection.errors, *inspection.warnings) if finding.code == code]
    assert len(found) == 1
    assert (found[0].file, found[0].severity) == ("site.yaml", severity)
    line = plant.text("site.yaml").splitlines()[found[0].line - 1]
    assert line[found[0].column - 1 :].startswith(given)
    assert given in found[0].zh
    assert given in found[0].en
    assert found[0].hint_zh
    assert (inspection.configuration is None) == (severity == "error")


def test_one_unreadable_map_does_not_make_the_rest_too_small(plant) -> None:
    path = plant.folder / "site.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("performance: ground_600kw", "performance: ground_60kw", 1), encoding="utf-8")
    codes = {finding.code for finding in (*plant.inspect().errors, *plant.inspect().warnings)}
    assert "unknown_name_near" in codes
    assert "capacity_below_load" not in codes


def performance(plant, old: str, new: str) -> None:
    """The plant's own copy of the shipped map with a change."""
    folder = plant.folder / "performance"
    folder.mkdir()
    text = (shipped_config() / "performance" / "ground_600kw.yaml").read_text(encoding="utf-8")
    assert text.count(old) == 1
    (folder / "ground_600kw.yaml").write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "code", "severity"),
    [
        ("[0.75, 97.4]", "[0.75, 102.9]", "curve_hull", "warning"),  # the chord from 0.5 to 1 has 102.3
        ("[0.75, 97.4]", "[0.75, 110]", "curve_not_convex", "error"),
        ("    load_degc: 45\n", "", "map_needs", "error"),
        ("[4, 40, 519, 123.0]", "[4, 40, 123.0, 519]", "map_row", "error"),
        ("123.0], [4, 45, 500, 132.6]", "123.0], [4, 40, 1, 0]", "map_twice", "error"),
        ("[4, 40, 519, 123.0]", "[4, 40, 519]", "map_row", "error"),
    ],
)
def test_a_map_is_checked_where_it_stands(plant, old, new, code, severity) -> None:
    performance(plant, old, new)
    inspection = plant.inspect()
    found = [f for f in (*inspection.errors, *inspection.warnings) if f.file == "performance/ground_600kw.yaml"]
    assert (code, severity) in {(f.code, f.severity) for f in found}, found
    for finding in found:
        assert finding.line > 8
        assert finding.hint_zh


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("heat_kw: 558\n    curve: [[0.3, 53.9], [0.5, 79.7], [0.75, 113.9], [1, 159.4]]",
         "heat_kw: 558\n    curve: [[0.3, 5.39], [0.5, 7.97], [0.75, 11.39], [1, 15.94]]", "cop_unlikely"),
        ("    heat_kw: 600\n", "    heat_kw: 450\n", "rated_unlike_map"),
    ],
)  # fmt: skip
def test_a_map_that_no_machine_has_is_told_at_the_unit(plant, old, new, code) -> None:
    performance(plant, old, new)
    found = [finding for finding in plant.inspect().warnings if finding.code == code]
    assert len(found) == 4, "one a unit"
    assert all(finding.file == "site.yaml" for finding in found)
