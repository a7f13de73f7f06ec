"""Register maps: consistent in themselves, in the places that the facts name, and readable to the last count."""

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from hil_sim.devices.catalogue import MODELS, quantity_names
from hil_sim.devices.registers import KWH_PER_GJ, Number, Quantity, WholeAndFraction

# Our quantity: the facts' point, where the facts have one. Written by hand, so that a slip in a map shows.
FACTS = {
    ("tuf2000m", "tuf2000m"): {
        "flow": "flow",
        "heat_power": "heat_flow",
        "volume_total": "vol_pos_int",
        "volume_total_negative": "vol_neg_int",
        "heat_total": "heat_pos_int",
        "heat_total_negative": "heat_neg_int",
        "supply_temperature": "t_supply",
        "return_temperature": "t_return",
    },
    ("mag11_heat", "mag11_heat"): {
        "heat_total": "heat_total_hi",
        "flow": "flow",
        "supply_temperature": "t_supply",
        "return_temperature": "t_return",
        "delta_t": "delta_t",
        "heat_power": "power",
    },
    ("acrel_adl3000", "acrel_adl3000_dtsd1352"): {
        "energy_total": "energy_total",
        "voltage_a": "voltage_a",
        "voltage_b": "voltage_b",
        "voltage_c": "voltage_c",
        "current_a": "current_a",
        "current_b": "current_b",
        "current_c": "current_c",
        "electric_power": "power_total",
        "power_factor": "power_factor",
        "frequency": "frequency",
        "ct_ratio": "ct_ratio",
    },
    ("eastron_sdm630", "eastron_sdm630"): {
        "voltage_a": "voltage_l1",
        "voltage_b": "voltage_l2",
        "voltage_c": "voltage_l3",
        "current_a": "current_l1",
        "current_b": "current_l2",
        "current_c": "current_l3",
        "electric_power": "power_total",
        "power_factor": "power_factor_total",
        "frequency": "frequency",
        "energy_total": "energy_import",
    },
    ("wb_m1w2", "wb_m1w2"): {"temperature_1": "temperature_1", "temperature_2": "temperature_2"},
    ("xy_md0x", "xy_md0x"): {"temperature": "temperature", "humidity": "humidity"},
}
SPLIT_KINDS = {"u64": "u32"}  # the facts name the first of two halves


@pytest.mark.parametrize(("model", "fact_file"), FACTS)
def test_places_and_types_are_those_of_the_facts(
    model: str, fact_file: str, shared_data: Callable[[str], Path]
) -> None:
    facts = YAML(typ="safe").load(shared_data(f"profiles/{fact_file}.yaml").read_text(encoding="utf-8"))
    points = {point["name"]: point for point in facts["points"]}
    assert MODELS[model].order == facts["word_order"]
    assert {quantity.name for quantity in MODELS[model].quantities} == set(FACTS[model, fact_file])
    for quantity in MODELS[model].quantities:
        point = points[FACTS[model, fact_file][quantity.name]]
        kind = quantity.layout.kind if isinstance(quantity.layout, Number) else "i32"
        place = (quantity.function, quantity.layout.address, SPLIT_KINDS.get(kind, kind))
        assert place == (point["fc"], point["addr"], point["type"]), quantity.name


@pytest.mark.parametrize("model", MODELS)
def test_every_quantity_lies_in_registers_that_exist_and_in_nobody_elses(model: str) -> None:
    shown = MODELS[model]
    existing = {(block.function, address) for block in shown.blocks for address in range(block.first, block.last + 1)}
    taken: set[tuple[int, int]] = set()
    places = [(quantity.function, quantity.layout) for quantity in shown.quantities]
    places += [(3, command.number) for command in shown.commands]
    for function, layout in places:
        own = {(function, layout.address + offset) for offset in range(layout.count)}
        assert own <= existing
        assert not own & taken
        taken |= own
    assert len(quantity_names(model)) == len(shown.quantities) + len(shown.commands)


def quantities() -> list[Quantity]:
    return [quantity for shown in MODELS.values() for quantity in shown.quantities]


@settings(max_examples=150, deadline=None)
@given(quantity=st.sampled_from(quantities()), value=st.floats(0, 30))
def test_a_reader_gets_the_reading_within_half_a_count(quantity: Quantity, value: float) -> None:
    layout = quantity.layout
    back = layout.to_inside(layout.to_words(value, "high_first"), "high_first")
    assert back is not None
    if isinstance(layout, WholeAndFraction):
        assert abs(back - value) <= 0.5 * layout.scale / layout.steps_per_unit + 1e-6 * value
    elif layout.kind == "f32":
        assert back == pytest.approx(value, rel=1e-7)
    else:
        assert abs(back - value) <= 0.5000001 * layout.scale


def test_a_split_total_is_a_whole_part_and_a_fraction() -> None:
    total = WholeAndFraction(16, scale=KWH_PER_GJ)
    words = total.to_words(12.345 * KWH_PER_GJ, "low_first")
    packed = [word.to_bytes(2, "big") for word in words]
    assert struct.unpack(">i", packed[1] + packed[0]) == (12,)
    assert struct.unpack(">f", packed[3] + packed[2])[0] == pytest.approx(0.345)
    assert total.to_inside(words, "low_first") == pytest.approx(12.345 * KWH_PER_GJ)


def test_just_below_a_whole_unit_the_fraction_does_not_become_one() -> None:
    total = WholeAndFraction(16)
    assert total.to_words(13.0 - 1e-12, "high_first") == total.to_words(13.0, "high_first")


def test_numbers_saturate_and_never_look_invalid_by_chance() -> None:
    number = Number(5, "i16", scale=0.01, invalid_raw=0x7FFF)
    assert number.to_words(1e6, "high_first") == (0x7FFE,)
    assert number.to_words(-1e6, "high_first") == (0x8000,)
    assert number.to_words(None, "high_first") == (0x7FFF,)
    assert number.to_inside((0x7FFF,), "high_first") is None
    with pytest.raises(ValueError, match="no invalid mark"):
        Number(5, "i16").to_words(None, "high_first")


def test_the_interface_table_of_the_units() -> None:
    """Addresses of the house's own map, from its table, not from the map."""
    unit = MODELS["generic_ground_unit"]
    inputs = {quantity.name: quantity.layout.address for quantity in unit.quantities}
    assert inputs == {
        "state": 0,
        "mode_actual": 1,
        "remote": 2,
        "alarm_code": 3,
        "load_ratio": 4,
        "user_supply_temperature": 5,
        "user_return_temperature": 6,
        "source_inlet_temperature": 7,
        "source_outlet_temperature": 8,
        "user_flow": 9,
        "source_flow": 10,
        "starts_total": 11,
        "run_hours": 12,
        "electric_power": 14,
    }
    holding = {command.name: command.number.address for command in unit.commands}
    assert holding == {"run_request": 0, "mode_request": 1, "supply_setpoint": 2, "capacity_limit": 3, "heartbeat": 4}
    simple = {command.name for command in MODELS["generic_ground_unit_setpoint"].commands}
    assert simple == set(holding) - {"capacity_limit"}
