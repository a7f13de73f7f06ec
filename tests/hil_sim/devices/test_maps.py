"""Register maps: consistent in themselves, in the places that the facts name, and readable to the last count."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from hil_sim.devices.catalogue import MODELS, quantity_names
from hil_sim.devices.registers import KWH_PER_GJ, Flag, Number, Quantity, WholeAndFraction

PHASES = ("a", "b", "c")


def by_phase(ours: str, fact: str) -> str:
    return " ".join(f"{ours}_{phase}={fact}_l{place}" for place, phase in enumerate(PHASES, 1))


ELECTRIC = f"""
    {by_phase("voltage", "voltage")} {by_phase("current", "current")} {by_phase("electric_power", "power")}
    {by_phase("reactive_power", "reactive_power")} {by_phase("power_factor", "power_factor")} electric_power=power_total
    reactive_power=reactive_power_total power_factor=power_factor_total frequency
    energy_total=energy_import energy_export
    {by_phase("energy_import", "energy_import")} {by_phase("energy_export", "energy_export")}
"""
LAMBDA = """
    outdoor_temperature=ambient_temp excess_power_setpoint meter_power=actual_power_em hp_state operating_state
    user_supply_temperature=t_flow user_return_temperature=t_return flow=flow_sink source_inlet_temperature=t_source_in
    source_outlet_temperature=t_source_out electric_power=inverter_power cop energy_total=energy_electric
    heat_total=energy_heat dhw_top_temperature=dhw_top dhw_bottom_temperature=dhw_bottom dhw_setpoint
    buffer_top_temperature=buffer_top buffer_bottom_temperature=buffer_bottom buffer_setpoint
"""
# Model, fact file: our names, and the facts' where they differ. Written by hand, so that a slip in a map shows.
FACTS = {
    ("tuf2000m", "tuf2000m"): """
        flow heat_power=heat_flow velocity sound_speed volume_total=vol_pos_int volume_total_negative=vol_neg_int
        heat_total=heat_pos_int heat_total_negative=heat_neg_int
        volume_total_net=vol_net_int heat_total_net=heat_net_int
        supply_temperature=t_supply return_temperature=t_return volume_unit_code heat_unit_code
    """,
    ("mag11_heat", "mag11_heat"): """
        heat_total=heat_total_hi flow supply_temperature=t_supply return_temperature=t_return delta_t heat_power=power
        alarm_code=alarm
    """,
    ("acrel_adl3000", "acrel_adl3000_dtsd1352"): """
        energy_total energy_sharp energy_peak energy_flat energy_valley energy_import energy_import_sharp
        energy_import_peak energy_import_flat energy_import_valley energy_export voltage_a voltage_b voltage_c
        current_a current_b current_c electric_power_a=power_a electric_power_b=power_b electric_power_c=power_c
        electric_power=power_total power_factor frequency ct_ratio
    """,
    ("eastron_sdm630", "eastron_sdm630"): f"""
        {ELECTRIC} {by_phase("apparent_power", "apparent_power")} apparent_power=apparent_power_total phase_angle thd
        {by_phase("thd", "thd")} energy_sum {by_phase("energy_sum", "energy_sum")}
        reactive_energy_import reactive_energy_export reactive_energy_sum
        {by_phase("reactive_energy_import", "reactive_energy_import")}
        {by_phase("reactive_energy_export", "reactive_energy_export")}
        {by_phase("reactive_energy_sum", "reactive_energy_sum")}
    """,
    ("chint_dtsu666", "chint_dtsu666"): f"{ELECTRIC} ct_ratio pt_ratio",
    ("wb_m1w2", "wb_m1w2"): """
        temperature_1 temperature_2 filter=filter_deg baud_code answer_delay=rs485_response_delay_ms
    """,
    ("xy_md0x", "xy_md0x"): "temperature humidity",
    ("siemens_landisgyr_uh50_wzu485e", "siemens_landisgyr_uh50_wzu485e"): """
        supply_temperature=t_supply return_temperature=t_return delta_t flow heat_power=power cold_total=energy_cold
        meter_time=datetime info_code=info_code_f header_code=header heat_total=heat_energy volume_total=volume
        serial_number=serial heat_total_month=month_energy volume_total_month=month_volume tariff_1=tariff1
        tariff_2=tariff2 tariff_3=tariff3
    """,
    ("kamstrup_multical_x03_default", "kamstrup_multical_x03_default"): """
        flow=flow_v1 flow_2=flow_v2 heat_power=power supply_temperature=t1_supply return_temperature=t2_return
        temperature_3=t3 temperature_4=t4
    """,
    ("diehl_sharky_775", "diehl_sharky_775"): """
        heat_total_count=heat_energy_int heat_total=heat_energy volume_total_count=volume_int volume_total=volume
        heat_power_count=power_int heat_power=power flow_count=flow_int flow supply_temperature=t_supply
        return_temperature=t_return delta_t tariff_1=tariff1_energy tariff_2=tariff2_energy error_code
        serial_number=meter_id
    """,
    ("danfoss_fc102", "danfoss_fc102"): """
        control_word bus_reference status_word main_actual electric_power=power motor_voltage frequency motor_current
        param_write_to_eeprom
    """,
    ("abb_acx580", "abb_acx580"): "control_word reference_1 reference_2 status_word actual_1 actual_2",
    ("york_yvag", "york_yvag"): """
        run_request=on_off mode_request=mode cooling_return_setpoint=cool_return_sp
        heating_return_setpoint=heat_return_sp cooling_supply_setpoint=cool_leaving_sp
        heating_supply_setpoint=heat_leaving_sp fault_reset state=actual_run_state
    """,
    ("york_ylaa_ipu2", "york_ylaa_ipu2"): """
        cooling_setpoint load_limit_stage heating_setpoint mode_request=hp_mode run_request=start_stop
    """,
    ("eas_ech_r32_modular", "eas_ech_r32_modular"): """
        mode_request=mode supply_setpoint=leaving_setpoint second_setpoint silent_mode modbus_enable
    """,
    ("trane_rthd_ch530_pic", "trane_rthd_ch530_pic"): """
        run_request=enable_cmd mode_request=mode_cmd command_copy=cmd_copy cooling_setpoint=chw_setpoint current_limit
        heating_setpoint active_setpoint capacity evaporator_leaving_temperature=evap_lwt
        evaporator_entering_temperature=evap_ewt condenser_entering_temperature=cond_ewt
        condenser_leaving_temperature=cond_lwt state=chiller_status starts_total=starts_a run_hours=runtime_a
    """,
    ("lambda_eureka", "lambda_eureka"): LAMBDA,
    ("idm_navigator", "idm_navigator"): """
        pv_surplus electric_heater_power=el_heater_power pv_production house_load buffer_temperature=buffer_temp
        dhw_bottom_temperature=dhw_bottom dhw_top_temperature=dhw_top dhw_trigger=trigger_dhw heat_power=thermal_power
        power_limit=power_limit_hp electric_power=power_electric
    """,
    ("nibe_s_series", "nibe_s_series"): """
        outdoor_temperature=current_outdoor_temperature_bt1 user_supply_temperature=supply_line_bt2
        user_return_temperature=return_line_bt3 dhw_top_temperature=hot_water_top_bt7
        dhw_charging_temperature=hot_water_charging_bt6 source_inlet_temperature=brine_in_bt10
        source_outlet_temperature=brine_out_bt11 condenser_temperature=condenser_bt12
        discharge_temperature=discharge_bt14
        outdoor_temperature_mean=average_temperature_bt1 requested_compressor_frequency degree_minutes
        pulse_energy_total=pulse_energy_meter_be6 alarm_code=class_1_alarm
        additional_heat_power=power_internal_additional_heat heating_curve_3=heating_curve_climate_system_3
        heating_curve_2=heating_curve_climate_system_2 heating_curve_1=heating_curve_climate_system_1
        heating_offset_1=heating_offset_climate_system_1 dhw_demand_mode=hot_water_demand_mode operating_mode
        user_pump_mode=operating_mode_heating_medium_pump source_pump_mode=operating_mode_brine_pump
        cooling_offset_1=cooling_offset_climate_system_1 sg_mode=operating_mode_sg electric_power=power_electric
        energy_total=energy_electric sg_ready_mode=sg_ready_mode_a power_limit
        power_limit_enable=allow_external_power_limit sg_activation=sg_activation_once
    """,
}
PARTS = {
    "vol_pos_frac", "vol_neg_frac", "heat_pos_frac", "heat_neg_frac", "vol_net_frac", "heat_net_frac", "heat_total_lo"
}  # fmt: skip
TRAPS = {"clear_energy"}
BEYOND_THE_FACTS = {  # BAS-SVX08D-E4 page 25: 10002, chiller running status; 30010, compressor running outputs
    ("trane_rthd_ch530_pic", "running"),
    ("trane_rthd_ch530_pic", "compressor_a_running"),
}
KINDS = {"u64": "u32", "bit": "bool"}  # the facts name the first of two halves
INSIDE_PER_UNIT = {"W": 1e-3, "Wh": 1e-3, "VA": 1e-3, "var": 1e-3, "GJ/h": KWH_PER_GJ}
CT = 60.0
SIMULATED_SITE = {  # what the facts leave to the site, or to the device's own settings
    ("acrel_adl3000", "current_a"): 0.01 * CT,
    ("acrel_adl3000", "current_b"): 0.01 * CT,
    ("acrel_adl3000", "current_c"): 0.01 * CT,
    ("abb_acx580", "reference_1"): 100 / 20_000,
    ("abb_acx580", "reference_2"): 100 / 10_000,
    ("danfoss_fc102", "bus_reference"): 100 / 16_384,
    ("danfoss_fc102", "main_actual"): 100 / 16_384,
    ("tuf2000m", "heat_total"): KWH_PER_GJ,
    ("tuf2000m", "heat_total_negative"): KWH_PER_GJ,
    ("tuf2000m", "heat_total_net"): KWH_PER_GJ,
}


def expected_scale(model: str, name: str, point: dict[str, Any]) -> float:
    site = SIMULATED_SITE.get((model, name))
    if site is not None:
        return site
    ratio = CT if "x PT x CT" in point.get("note", "") else 1.0
    return float(1.0 if point["scale"] is None else point["scale"]) * INSIDE_PER_UNIT.get(point["unit"], 1.0) * ratio


@pytest.mark.parametrize(("model", "fact_file"), FACTS)
def test_places_types_and_scales_are_those_of_the_facts(
    model: str, fact_file: str, shared_data: Callable[[str], Path]
) -> None:
    facts = YAML(typ="safe").load(shared_data(f"profiles/{fact_file}.yaml").read_text(encoding="utf-8"))
    points = {point["name"]: point for point in facts["points"]}
    named = dict((name.split("=") * 2)[:2] for name in FACTS[model, fact_file].split())
    shown = MODELS[model]
    assert shown.order == facts["word_order"]
    assert set(shown.names()) == set(named) | {name for own, name in BEYOND_THE_FACTS if own == model}
    assert set(points) == set(named.values()) | set(points) & (PARTS | TRAPS)
    layouts: dict[str, tuple[int, Number | WholeAndFraction | Flag]] = {
        **{quantity.name: (quantity.function, quantity.layout) for quantity in shown.quantities},
        **{command.name: (command.function, command.number) for command in shown.commands},
    }
    for name, (function, layout) in layouts.items():
        if (model, name) in BEYOND_THE_FACTS:
            continue
        point = points[named[name]]
        kind = KINDS.get(layout.kind, layout.kind) if isinstance(layout, Number) else "i32"
        if "32-bit" in point.get("note", "") and model == "danfoss_fc102":
            kind = {"u32": "u16"}[kind]  # the list names one register; this drive has two
        fact_kind = "bool" if point["fc"] == 1 else point["type"]
        assert (function, layout.address, kind) == (point["fc"], point["addr"], fact_kind), name
        assert layout.scale == pytest.approx(expected_scale(model, name, point)), name
    limits = facts.get("limits", {})
    assert shown.registers_per_read_max == limits.get("max_read_registers", 125)
    if "fc" in limits:
        assert shown.known_functions() == set(limits["fc"])
    for first, last in limits.get("never_write", []):
        assert any(trap.first <= first and last <= trap.last for trap in shown.traps)


GOLDEN = [
    # REG0001 m3/h, REAL4, low word first: 12.5 is 0x41480000
    ("tuf2000m", "flow", 12.5, "0000 4148"),
    # REG0003 GJ/h: 1.0 is 0x3F800000
    ("tuf2000m", "heat_power", 1e6 / 3600, "0000 3f80"),
    # REG0009 LONG 123456 = 0x0001E240, REG0011 REAL4 0.5 = 0x3F000000
    ("tuf2000m", "volume_total", 123_456.5, "e240 0001 0000 3f00"),
    # 0x0205, 64 bits of Wh: 5e9 = 0x12A05F200
    ("mag11_heat", "heat_total", 5_000_000.0, "0000 0001 2a05 f200"),
    ("mag11_heat", "supply_temperature", 60.5, "4272 0000"),
    # data x CT x 0.001 kW: 90 / 60 / 0.001 = 1500; data x CT x 0.01 kWh: 123 / 0.6 = 205
    ("acrel_adl3000", "electric_power", 90.0, "05dc"),
    ("acrel_adl3000", "energy_total", 123.0, "0000 00cd"),
    # watts as floats: 90000.0 = 0x47AFC800
    ("eastron_sdm630", "electric_power", 90.0, "47af c800"),
    # 0.1 V a count in a float: 2301.0 = 0x450FD000; 0.1 W: 43210.0 = 0x4728CA00
    ("chint_dtsu666", "voltage_a", 230.1, "450f d000"),
    ("chint_dtsu666", "electric_power", 4.321, "4728 ca00"),
    ("chint_dtsu666_unscaled", "voltage_a", 230.0, "4366 0000"),
    # 1/16 K a count, two's complement
    ("wb_m1w2", "temperature_1", -0.5, "fff8"),
    ("wb_m1w2", "temperature_2", 21.5, "0158"),
    ("xy_md0x", "temperature", 25.4, "00fe"),
    # table 1: 0.01 degC, 0.001 m3/h, 0.01 kW
    ("siemens_landisgyr_uh50_wzu485e", "supply_temperature", 85.31, "2153"),
    ("siemens_landisgyr_uh50_wzu485e", "flow", 12.345, "0000 3039"),
    ("siemens_landisgyr_uh50_wzu485e", "heat_power", 1234.56, "0001 e240"),
    ("kamstrup_multical_x03_default", "supply_temperature", 60.5, "4272 0000"),
    ("diehl_sharky_775", "heat_power", 100.0, "42c8 0000"),
    # parameter 16-13 in 0.1 Hz, 16-14 in 0.01 A
    ("danfoss_fc102", "frequency", 45.5, "01c7"),
    ("danfoss_fc102", "motor_current", 12.34, "0000 04d2"),
    ("danfoss_fc102", "bus_reference", -50.0, "e000"),
    ("danfoss_fc102", "param_write_to_eeprom", 1.0, "0001"),
    # -20000 is full speed backwards
    ("abb_acx580", "reference_1", -100.0, "b1e0"),
    ("york_yvag", "cooling_supply_setpoint", 7.0, "0046"),
    ("york_ylaa_ipu2", "cooling_setpoint", -5.5, "ffc9"),
    ("eas_ech_r32_modular", "supply_setpoint", 45.0, "002d"),
    ("trane_rthd_ch530_pic", "compressor_a_running", 1.0, "0100"),
    ("trane_rthd_ch530_pic", "run_hours", 70_000.0, "0001 1170"),
    # 1 W; 1 Wh in 32 bits: 1234567 = 0x0012D687, words swapped from firmware 1.1.3 on
    ("lambda_eureka", "electric_power", 3.5, "0dac"),
    ("lambda_eureka", "energy_total", 1234.567, "0012 d687"),
    ("lambda_eureka_1_1_3", "energy_total", 1234.567, "d687 0012"),
    # float, low word first: 5.0 = 0x40A00000
    ("idm_navigator", "pv_surplus", 5.0, "0000 40a0"),
    ("nibe_s_series", "outdoor_temperature", -12.3, "ff85"),
    ("nibe_s_series", "degree_minutes", -60.0, "ffff fda8"),
    # factor 10 W
    ("nibe_s_series", "electric_power", 3.5, "015e"),
]


@pytest.mark.parametrize(("model", "name", "value", "words"), GOLDEN)
def test_golden_words_computed_by_hand_from_the_facts(model: str, name: str, value: float, words: str) -> None:
    shown = MODELS[model]
    layouts = {quantity.name: quantity.layout for quantity in shown.quantities}
    layouts |= {command.name: command.number for command in shown.commands}
    assert layouts[name].to_words(value, shown.order) == tuple(int(word, 16) for word in words.split())


def test_every_model_but_the_houses_own_has_a_golden_word() -> None:
    assert {model for model, *_ in GOLDEN} == {model for model in MODELS if not model.startswith("generic_")}


@pytest.mark.parametrize("model", MODELS)
def test_every_quantity_lies_in_registers_that_exist_and_in_nobody_elses(model: str) -> None:
    shown = MODELS[model]
    existing = {(block.function, address) for block in shown.blocks for address in range(block.first, block.last + 1)}
    taken: set[tuple[int, int]] = set()
    places: list[tuple[int, Number | WholeAndFraction | Flag]] = [(q.function, q.layout) for q in shown.quantities]
    places += [(command.function, command.number) for command in shown.commands]
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
    elif isinstance(layout, Number) and layout.kind == "f32":
        assert back == pytest.approx(value, rel=1e-7)
    elif isinstance(layout, Flag) or layout.kind == "bit":
        assert back == (value > 0.5)
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
