"""`check` names a bus that is asked for more than it can carry."""
# ruff: noqa: ANN001 - fixtures are known by their names


def test_bus_that_cannot_keep_its_periods_is_a_warning_with_the_figure(plant) -> None:
    assert "bus_overloaded" not in [warning.code for warning in plant.inspect().warnings]
    plant.replace("devices.yaml", "profile: xy_md0x, period_s: 60}", "profile: xy_md0x, period_s: 0.02}")
    inspection = plant.inspect()
    assert not inspection.errors
    (warning,) = [warning for warning in inspection.warnings if warning.code == "bus_overloaded"]
    assert "ws1" in warning.en
    assert "s of every second" in warning.en
    assert "times longer" in warning.hint_en
