"""Each shipped profile against the registers that the makers' documents state, entry by entry.

Address, function, type, scale, order, unit, access, bounds, line and limits are compared with
tests/golden/device_registers.json, which was compiled from the collected device facts and not from the profiles; each
model names its sources there. What differs on purpose is listed with its reason; anything else fails. Where the
collected facts lie beside the repository, the golden file is compared with them.
"""

import json
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from drivers.catalogue import shipped
from drivers.profile import Access, Order, PointSpec, Profile, ValueType

FACTS_DIR = Path(__file__).parents[3] / "shared" / "data" / "profiles"
FACTS: Mapping[str, Any] = json.loads(
    (Path(__file__).parents[1] / "golden" / "device_registers.json").read_text(encoding="utf-8")
)

FILE_OF = {"acrel_adl3000": "acrel_adl3000_dtsd1352", "lambda_eureka_1_1_3": "lambda_eureka"}
FILE_OF |= {"chint_dtsu666_unscaled": "chint_dtsu666", "stiebel_isg_lwz": "stiebel_isg_wpm"}
"""Profiles that are not named like their facts: two generations, two managers."""

PHASES = {"l1": "a", "l2": "b", "l3": "c"}
NAMES: Mapping[str, Mapping[str, str]] = {
    "acrel_adl3000": {"power_total": "electric_power"},
    "acrel_adw300": {"power_total": "electric_power", "energy_import": "energy_total"},
    "carrier_23xrv_pic6": {
        "unit_status": "state",
        "min_left": "time_to_start",
        "on_off_mode": "unit_mode",
        "chil_s_s": "run_request",
        "emstop": "emergency_stop",
        "ice_occ": "ice_build_occupied",
    },
    "carrier_30xv": {
        "ctrl_type": "control_type",
        "chil_s_s": "run_request",
        "chil_occ": "occupied_request",
        "sp_select": "setpoint_select",
        "setpoint_now": "active_setpoint",
        "emstop": "emergency_stop",
        "oat": "outdoor_temperature",
    },
    "chint_dtsu666": {
        "energy_import": "energy_total",
        "power_total": "electric_power",
        "reactive_power_total": "reactive_power",
        "power_factor_total": "power_factor",
    },
    "daikin_homehub": {"dhw_temp": "dhw_temperature", "flow_temp": "user_supply_temperature"},
    "danfoss_fc102": {"power": "electric_power"},
    "danfoss_fc51": {"current": "motor_current", "power": "electric_power", "dc_link": "dc_link_voltage"},
    "diehl_sharky_775": {
        "heat_energy": "heat_total",
        "volume": "volume_total",
        "power": "heat_power",
        "tariff1_energy": "tariff_1",
        "tariff2_energy": "tariff_2",
        "meter_id": "serial_number",
    },
    "dimplex_wpm_nwpm": {"dhw_temp": "dhw_temperature"},
    "eas_ech_r32_modular": {"mode": "mode_request", "leaving_setpoint": "supply_setpoint"},
    "eastron_sdm630": {
        "energy_import": "energy_total",
        "power_total": "electric_power",
        "reactive_power_total": "reactive_power",
        "apparent_power_total": "apparent_power",
        "power_factor_total": "power_factor",
    },
    "idm_navigator": {
        "el_heater_power": "electric_heater_power",
        "buffer_temp": "buffer_temperature",
        "dhw_bottom": "dhw_bottom_temperature",
        "dhw_top": "dhw_top_temperature",
        "trigger_dhw": "dhw_trigger",
        "thermal_power": "heat_power",
        "power_limit_hp": "power_limit",
    },
    "kamstrup_multical_legacy": {
        "volume_v1": "volume_total",
        "power": "heat_power",
        "pulse_a": "pulse_total_a",
        "pulse_b": "pulse_total_b",
        "heat_energy_e1": "heat_total",
        "cooling_energy_e3": "cold_total",
        "hour_counter": "operating_hours",
    },
    "kamstrup_multical_x03_default": {
        "flow_v1": "flow",
        "flow_v2": "flow_2",
        "power": "heat_power",
        "t3": "temperature_3",
        "t4": "temperature_4",
    },
    "lambda_eureka": {
        "ambient_temp": "outdoor_temperature",
        "actual_power_em": "meter_power",
        "t_flow": "user_supply_temperature",
        "t_return": "user_return_temperature",
        "t_source_in": "source_inlet_temperature",
        "t_source_out": "source_outlet_temperature",
        "inverter_power": "electric_power",
        "energy_electric": "energy_total",
        "energy_heat": "heat_total",
        "dhw_top": "dhw_top_temperature",
        "dhw_bottom": "dhw_bottom_temperature",
        "buffer_top": "buffer_top_temperature",
        "buffer_bottom": "buffer_bottom_temperature",
    },
    "lg_therma_v": {"t_inlet": "user_return_temperature", "dhw_temp": "dhw_temperature"},
    "mag11_heat": {"power": "heat_power", "alarm": "alarm_code"},
    "nibe_s_series": {
        "current_outdoor_temperature_bt1": "outdoor_temperature",
        "supply_line_bt2": "user_supply_temperature",
        "return_line_bt3": "user_return_temperature",
        "hot_water_top_bt7": "dhw_top_temperature",
        "hot_water_charging_bt6": "dhw_charging_temperature",
        "brine_in_bt10": "source_inlet_temperature",
        "brine_out_bt11": "source_outlet_temperature",
        "condenser_bt12": "condenser_temperature",
        "discharge_bt14": "discharge_temperature",
        "average_temperature_bt1": "outdoor_temperature_mean",
        "pulse_energy_meter_be6": "pulse_energy_total",
        "class_1_alarm": "alarm_code",
        "power_internal_additional_heat": "additional_heat_power",
        "heating_curve_climate_system_1": "heating_curve_1",
        "heating_curve_climate_system_2": "heating_curve_2",
        "heating_curve_climate_system_3": "heating_curve_3",
        "heating_offset_climate_system_1": "heating_offset_1",
        "cooling_offset_climate_system_1": "cooling_offset_1",
        "hot_water_demand_mode": "dhw_demand_mode",
        "operating_mode_heating_medium_pump": "user_pump_mode",
        "operating_mode_brine_pump": "source_pump_mode",
        "operating_mode_sg": "sg_mode",
        "energy_electric": "energy_total",
        "sg_ready_mode_a": "sg_ready_mode",
        "allow_external_power_limit": "power_limit_enable",
    },
    "pzem016": {"power": "electric_power", "energy": "energy_total"},
    "siemens_landisgyr_uh50_wzu485e": {
        "power": "heat_power",
        "energy_cold": "cold_total",
        "datetime": "meter_time",
        "info_code_f": "info_code",
        "header": "header_code",
        "heat_energy": "heat_total",
        "volume": "volume_total",
        "serial": "serial_number",
        "month_energy": "heat_total_month",
        "month_volume": "volume_total_month",
        "tariff1": "tariff_1",
        "tariff2": "tariff_2",
        "tariff3": "tariff_3",
    },
    "stiebel_isg_wpm": {
        "sg_ready_state": "sg_state",
        "dhw_temp_wpm": "dhw_temperature",
        "buffer_temp_wpm": "buffer_temperature",
    },
    "stiebel_isg_lwz": {"sg_ready_state": "sg_state", "dhw_temp_lwz": "dhw_temperature"},
    "trane_rthd_ch530_pic": {
        "enable_cmd": "run_request",
        "mode_cmd": "mode_request",
        "cmd_copy": "command_copy",
        "chw_setpoint": "cooling_setpoint",
        "chiller_status": "state",
        "starts_a": "starts_total",
        "runtime_a": "run_hours",
    },
    "tuf2000m": {"heat_flow": "heat_power"},
    "york_ylaa_ipu2": {"hp_mode": "mode_request", "start_stop": "run_request"},
    "york_yvag": {
        "on_off": "run_request",
        "mode": "mode_request",
        "cool_return_sp": "cooling_return_setpoint",
        "heat_return_sp": "heating_return_setpoint",
        "cool_leaving_sp": "cooling_supply_setpoint",
        "heat_leaving_sp": "heating_supply_setpoint",
        "actual_run_state": "state",
    },
}
"""Fact -> point, where the names differ beyond the rules of `point_name`."""
NAMES = NAMES | {new: NAMES[old] for new, old in FILE_OF.items() if new not in NAMES}
RULES = {
    "power_electric": "electric_power",
    "t_supply": "supply_temperature",
    "t_return": "return_temperature",
    "t1_supply": "supply_temperature",
    "t2_return": "return_temperature",
    "evap_lwt": "evaporator_leaving_temperature",
    "evap_ewt": "evaporator_entering_temperature",
    "cond_lwt": "condenser_leaving_temperature",
    "cond_ewt": "condenser_entering_temperature",
}

LEFT_OUT = {
    ("chint_dtsu666", "clear_energy"): "writing it clears the energies",
    ("chint_dtsu666_unscaled", "clear_energy"): "writing it clears the energies",
    ("diehl_sharky_775", "heat_energy_int"): "the float says the same without a factor",
    ("diehl_sharky_775", "volume_int"): "the float says the same without a factor",
    ("diehl_sharky_775", "power_int"): "the float says the same without a factor",
    ("diehl_sharky_775", "flow_int"): "the float says the same without a factor",
    ("lambda_eureka", "flow_sink"): "flow or temperature: sources disagree",
    ("lambda_eureka_1_1_3", "flow_sink"): "flow or temperature: sources disagree",
    ("nibe_s_series", "sg_activation_once"): "a matter of commissioning, never read",
    ("schneider_pm5xxx", "meter_name"): "a text",
    ("schneider_pm5xxx", "meter_model"): "a text",
    ("stiebel_isg_lwz", "dhw_temp_wpm"): "of the other manager",
    ("stiebel_isg_lwz", "buffer_temp_wpm"): "of the other manager",
    ("stiebel_isg_wpm", "dhw_temp_lwz"): "of the other manager",
    ("wb_m1w2", "baud_code"): "a setting of commissioning",
    ("wb_m1w2", "filter_deg"): "a setting of commissioning",
    ("wb_m1w2", "rs485_response_delay_ms"): "a setting of commissioning",
    ("york_yvag", "fault_reset"): "a person decides at the unit",
}
ADDED = {
    ("trane_rthd_ch530_pic", "running"): "BAS-SVX08D table 7, 10002",
    ("trane_rthd_ch530_pic", "compressor_a_running"): "BAS-SVX08D table 7, 30010, and table B",
}
"""Points that the collected facts do not have, with their source."""
READ_ONLY = {
    ("abb_acx580", "reference_2"): "not needed to run a pump",
    ("carrier_23xrv_pic6", "control_point"): "degC or degF: not before the panel is known",
    ("carrier_23xrv_pic6", "emergency_stop"): "not for a program",
    ("carrier_30xv", "*"): "types and scales unverified",
    ("chint_dtsu666", "*"): "a meter",
    ("chint_dtsu666_unscaled", "*"): "a meter",
    ("lg_therma_v", "energy_state"): "what its codes mean is not known",
    ("daikin_homehub", "pv_surplus"): "no bounds known",
    ("dimplex_wpm_nwpm", "pv_surplus"): "no bounds known",
    ("eas_ech_r32_modular", "second_setpoint"): "not needed",
    ("eas_ech_r32_modular", "silent_mode"): "not needed",
    ("idm_navigator", "electric_heater_power"): "not known to lie in RAM",
    ("idm_navigator", "pv_production"): "not known to lie in RAM",
    ("idm_navigator", "house_load"): "not known to lie in RAM",
    ("idm_navigator", "power_limit"): "undocumented",
    ("lambda_eureka", "dhw_setpoint"): "no bounds known",
    ("lambda_eureka_1_1_3", "dhw_setpoint"): "no bounds known",
    ("nibe_s_series", "degree_minutes"): "starts and stops the compressor",
    ("nibe_s_series", "heating_curve_1"): "a persistent setting of the menu",
    ("nibe_s_series", "heating_curve_2"): "a persistent setting of the menu",
    ("nibe_s_series", "heating_curve_3"): "a persistent setting of the menu",
    ("nibe_s_series", "heating_offset_1"): "a persistent setting of the menu",
    ("nibe_s_series", "cooling_offset_1"): "a persistent setting of the menu",
    ("nibe_s_series", "dhw_demand_mode"): "a persistent setting of the menu",
    ("nibe_s_series", "operating_mode"): "a persistent setting of the menu",
    ("nibe_s_series", "user_pump_mode"): "a persistent setting of the menu",
    ("nibe_s_series", "source_pump_mode"): "a persistent setting of the menu",
    ("nibe_s_series", "sg_ready_mode"): "its codes are unverified",
    ("trane_rthd_ch530_pic", "mode_request"): "only code 0 is known",
    ("trane_rthd_ch530_pic", "cooling_setpoint"): "scale set in the PIC",
    ("trane_rthd_ch530_pic", "current_limit"): "scale set in the PIC",
    ("trane_rthd_ch530_pic", "heating_setpoint"): "scale set in the PIC",
}
"""Points that the device would let us write and we do not."""
OTHERWISE: Mapping[tuple[str, str, str], tuple[Any, str]] = {
    ("abb_acx580", "reference_1", "scale"): (Fraction(1, 200), "20000 = 100 %"),
    ("abb_acx580", "reference_2", "scale"): (Fraction(1, 100), "10000 = 100 %"),
    ("danfoss_fc102", "bus_reference", "scale"): (Fraction(100, 16384), "16384 = 100 %"),
    ("danfoss_fc102", "main_actual", "scale"): (Fraction(100, 16384), "as the reference"),
    ("danfoss_fc102", "motor_current", "type"): ("u32", "32 bits on the FC 102, as its note says"),
    ("danfoss_fc102", "electric_power", "type"): ("u32", "32 bits on the FC 102, as its note says"),
    ("danfoss_fc102", "param_write_to_eeprom", "type"): ("bool", "a coil"),
    ("danfoss_fc51", "*", "max_read_registers"): (2, "the reference has 32 bits"),
    ("lambda_eureka_1_1_3", "energy_total", "word_order"): ("low_first", "firmware 1.1.3"),
    ("lambda_eureka_1_1_3", "heat_total", "word_order"): ("low_first", "firmware 1.1.3"),
    ("pzem016", "energy_total", "scale"): (Fraction(1, 1000), "1 Wh a count, as the maker's sister model"),
    ("eas_ech_r32_modular", "supply_setpoint", "bounds"): ((5.0, 55.0), "water must not freeze"),
    ("york_ylaa_ipu2", "load_limit_stage", "bounds"): ((0.0, 2.0), "as stated"),
}
UNIT = {
    ("abb_acx580", "reference_1"): "%",
    ("abb_acx580", "reference_2"): "%",
    ("carrier_23xrv_pic6", "control_point"): "degC",
    ("idm_navigator", "power_limit"): "",
    ("danfoss_fc102", "bus_reference"): "%",
    ("danfoss_fc102", "main_actual"): "%",
    ("diehl_sharky_775", "flow"): "m3/h",
    ("diehl_sharky_775", "heat_power"): "kW",
    ("kamstrup_multical_legacy", "flow"): "m3/h",
    ("kamstrup_multical_legacy", "heat_power"): "kW",
    ("kamstrup_multical_legacy", "operating_hours"): "h",
    ("kamstrup_multical_x03_default", "flow"): "m3/h",
    ("kamstrup_multical_x03_default", "flow_2"): "m3/h",
    ("kamstrup_multical_x03_default", "heat_power"): "kW",
    ("tuf2000m", "volume_total"): "m3",
    ("tuf2000m", "volume_total_negative"): "m3",
    ("tuf2000m", "volume_total_net"): "m3",
    ("tuf2000m", "heat_total"): "GJ",
    ("tuf2000m", "heat_total_negative"): "GJ",
    ("tuf2000m", "heat_total_net"): "GJ",
} | {
    ("carrier_23xrv_pic6", f"{place}_{way}_temperature"): "degC"
    for place in ("evaporator", "condenser")
    for way in ("entering", "leaving")
}
"""Units that the facts leave open (set in the device) and the profile takes; its quirks say so."""

PARTS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("tuf2000m", "volume_total"): ("vol_pos_int", "vol_pos_frac"),
    ("tuf2000m", "volume_total_negative"): ("vol_neg_int", "vol_neg_frac"),
    ("tuf2000m", "volume_total_net"): ("vol_net_int", "vol_net_frac"),
    ("tuf2000m", "heat_total"): ("heat_pos_int", "heat_pos_frac"),
    ("tuf2000m", "heat_total_negative"): ("heat_neg_int", "heat_neg_frac"),
    ("tuf2000m", "heat_total_net"): ("heat_net_int", "heat_net_frac"),
    ("mag11_heat", "heat_total"): ("heat_total_hi", "heat_total_lo"),
}
"""Points made of several facts."""


def facts_of(name: str) -> Mapping[str, Any]:
    facts = FACTS[FILE_OF.get(name, name)]
    assert isinstance(facts, dict)
    return facts


def point_name(profile: str, fact: str) -> str:
    """The point that a fact became."""
    names = NAMES.get(profile, {})
    if fact in names:
        return names[fact]
    if fact in RULES:
        return RULES[fact]
    stem, _, tail = fact.rpartition("_")
    word = f"{stem}_{PHASES.get(tail, tail)}" if stem else fact
    return f"electric_{word}" if word in {"power_a", "power_b", "power_c"} else word


def real() -> list[str]:
    return sorted(name for name in shipped() if not name.startswith("generic_"))


def pairs(profile: Profile, facts: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], PointSpec, int]]:
    """Facts and the points, and parts, that they became."""
    of_part = {
        fact: (point, i) for (name, point), many in PARTS.items() if name == profile.name for i, fact in enumerate(many)
    }
    for fact in facts["points"]:
        if (profile.name, fact["name"]) in LEFT_OUT:
            continue
        point, part = of_part.get(fact["name"], (point_name(profile.name, fact["name"]), 0))
        assert point in profile.points, f"{profile.name}: {fact['name']} became no point ({point})"
        yield fact, profile.points[point], part


def differs(profile: str, point: str, key: str, stated: object) -> object:
    """What the profile must say: the fact, or what is listed as different on purpose."""
    return OTHERWISE.get((profile, point, key), (stated, ""))[0]


def test_every_model_with_registers_has_a_profile() -> None:
    assert {FILE_OF.get(name, name) for name in real()} == set(FACTS)


@pytest.mark.skipif(not FACTS_DIR.is_dir(), reason="no collected device facts beside the repository")
def test_the_golden_registers_are_those_of_the_collected_facts() -> None:
    files = {path.stem: YAML().load(path.read_text(encoding="utf-8")) for path in sorted(FACTS_DIR.glob("*.yaml"))}
    assert {name for name, facts in files.items() if facts["points"]} == set(FACTS)
    for name, golden in FACTS.items():
        facts = files[name]
        assert golden["sources"] == list(facts["sources"])
        assert golden["word_order"] == facts["word_order"]
        assert golden["limits"].items() <= facts.get("limits", {}).items()
        assert golden["line"].items() <= facts.get("line", {}).items()
        for point, fact in zip(golden["points"], facts["points"], strict=True):
            for key in ("name", "fc", "addr", "type", "scale", "unit", "access"):
                assert point[key] == fact[key], (name, fact["name"], key)
            assert point.get("range") == fact.get("range")
            assert point.get("codes", []) == [float(code) for code in fact.get("values", [])]


@pytest.mark.parametrize("name", real())
def test_points_are_those_of_the_facts(name: str, shipped_profiles: Mapping[str, Profile]) -> None:
    profile, facts = shipped_profiles[name], facts_of(name)
    plain = name.endswith("_unscaled")
    seen: set[str] = set()
    for fact, spec, index in pairs(profile, facts):
        seen.add(spec.name)
        part = spec.parts[0] if name == "mag11_heat" else spec.parts[index]
        where = f"{name}.{spec.name}"
        assert spec.function == fact["fc"], where
        if (name, spec.name) == ("mag11_heat", "heat_total"):  # two halves of 32 bits are one number of 64, upper first
            assert (part.type, part.word_order) == (ValueType.U64, Order.HIGH_FIRST)
            assert fact["addr"] == part.address + 2 * index
            continue
        assert part.address == fact["addr"], where
        assert part.type.value == differs(name, spec.name, "type", fact["type"]), where
        scale = 1 if fact["scale"] is None or (plain and fact["type"] == "f32") else fact["scale"]
        assert part.scale == differs(name, spec.name, "scale", Fraction(str(scale))), where
        if part.type.registers > 1:
            assert part.word_order.value == differs(name, spec.name, "word_order", facts["word_order"]), where
        assert part.byte_order is Order.HIGH_FIRST
        stated = "" if fact["unit"] in ("", "from_device") or fact["scale"] is None else fact["unit"]
        assert spec.wire_unit == UNIT.get((name, spec.name), stated), where
        marks = set(fact.get("invalid", ()))
        if spec.unit == "degC":
            marks |= {mark["value"] for mark in facts.get("invalid_markers", ()) if mark["type"] == fact["type"]}
        assert set(part.invalid) == marks, where
        assert_access(name, spec, fact)
    assert set(profile.points) - seen == {point for model, point in ADDED if model == name}


def assert_access(name: str, spec: PointSpec, fact: Mapping[str, Any]) -> None:
    """Nothing is written that the facts call read only; what could be written and is not has a reason."""
    where = f"{name}.{spec.name}"
    if fact["access"] == "R":
        assert spec.access is Access.READ, where
    elif spec.write is None:
        assert (name, spec.name) in READ_ONLY or (name, "*") in READ_ONLY, where
    else:
        stated = fact.get("range")
        if isinstance(stated, list):
            assert spec.bounds == differs(name, spec.name, "bounds", tuple(map(float, stated))), where
        elif stated is not None:
            assert spec.bounds == differs(name, spec.name, "bounds", None), where
        if "FC16" in fact.get("note", ""):
            assert spec.write.function == 16, where
        if isinstance(fact.get("values"), dict):
            assert set(map(float, fact["values"])) <= set(spec.values) or not spec.values, where


@pytest.mark.parametrize("name", real())
def test_line_and_limits_are_those_of_the_facts(name: str, shipped_profiles: Mapping[str, Profile]) -> None:
    profile, facts = shipped_profiles[name], facts_of(name)
    line, limits = facts.get("line", {}), facts.get("limits", {})
    if "baud" in line:
        assert profile.line.baud == line["baud"]
        assert profile.line.framing == f"8{line['parity']}{line.get('stop', 1)}"
    assert list(profile.line.allowed_baud) == list(line.get("allowed_baud", []))
    if "unit_id" in line:
        assert profile.line.unit == line["unit_id"]
    if "max_read_registers" in limits:
        assert profile.limits.registers_max == differs(name, "*", "max_read_registers", limits["max_read_registers"])
    if "addr_range" in limits:
        assert [profile.limits.first, profile.limits.last] == limits["addr_range"]
    assert profile.limits.block_read == (limits.get("block_read", True) and name != "danfoss_fc102")
    if "fc" in limits:
        assert set(profile.limits.functions) <= set(limits["fc"])
        written = {spec.write.function for spec in profile.points.values() if spec.write}
        assert written <= set(limits["fc"])
    for first, last in limits.get("never_write", []):
        assert (3, first, last) in profile.limits.forbidden
    timing = facts.get("timing", {})
    if "guard_interval_us" in timing:
        assert profile.timing.guard_s == pytest.approx(timing["guard_interval_us"] / 1e6)
        assert profile.timing.timeout_s == pytest.approx(timing["response_timeout_ms"] / 1e3)


def test_no_listed_difference_is_stale(shipped_profiles: Mapping[str, Profile]) -> None:
    """A list of exceptions that nobody needs hides the next mistake."""
    for name, fact in LEFT_OUT:
        assert fact in {entry["name"] for entry in facts_of(name)["points"]}, (name, fact)
    named = [*ADDED, *READ_ONLY, *UNIT, *((name, point) for name, point, _ in OTHERWISE), *PARTS]
    for name, point in named:
        assert point == "*" or point in shipped_profiles[name].points, (name, point)
    for name, point in READ_ONLY:
        if point != "*":
            assert shipped_profiles[name].points[point].write is None, (name, point)
